//! The whole file as labelled tiles.

use bstr::ByteSlice;

use super::file::File;
use super::layout::DUMMY_OFFSET;
use super::layout::{DIRTY, HEADER_LEN, Head, Header, Type, VERSION};
use super::scan::{Item, What};
use crate::image::Span;
use crate::tile::{Field, Kind, POINTERS, Tile, Tiler, Value};

/// The tiles of a file, in physical order; they cover it.
pub fn tiles<'a>(file: &File<'a>) -> impl Iterator<Item = Tile<'a>> + use<'a> {
    let file = *file;
    let items = file.committed(DUMMY_OFFSET).chain(file.tail());
    Tiler::new(header(&file).into_iter().chain(items.map(move |item| tile(&file, item))), file.cursor.len())
}

/// The fields of the header.
pub fn header_fields<'a>(file: &File<'a>) -> Vec<Field<'a>> {
    let Some(header) = file.header else { return Vec::new() };
    let uuid = file.cursor.span(Header::UUID).unwrap_or_default();
    vec![
        Field::new("uuid", Header::UUID, Value::Bytes(uuid)),
        Field::new("version", Header::VERSION, Value::Int(header.version.into())),
        Field::new("flags", Header::FLAGS, Value::Hex(header.flags.into())),
        Field::new("generation", Header::GENERATION, Value::Int(header.generation)),
        Field::new("num_records", Header::NUM_RECORDS, Value::Int(header.num_records)),
        Field::new("num_commits", Header::NUM_COMMITS, Value::Int(header.num_commits)),
        Field::new("dirty_size", Header::DIRTY_SIZE, Value::Int(header.dirty_size)),
        Field::new("repack_size", Header::REPACK_SIZE, Value::Offset(header.repack_size)),
        Field::new("current_size", Header::CURRENT_SIZE, Value::Offset(header.current_size)),
        Field::new("maxlevel", Header::MAXLEVEL, Value::Int(header.maxlevel.into())),
        Field::new("sum", Header::SUM, Value::Hex(header.sum.into())),
    ]
}

fn header<'a>(file: &File<'a>) -> Option<Tile<'a>> {
    let Some(header) = file.header else {
        let whole = Span::at(0, file.cursor.len());
        return (!whole.is_empty()).then(|| Tile::new(whole, Kind::Torn, "header, cut off"));
    };
    let mut label = String::from("twom header");
    if !Header::magic_is_right(file.cursor) {
        label.push_str(", magic wrong");
    }
    if header.version != VERSION {
        label.push_str(&format!(", version {}", header.version));
    }
    if header.flags & DIRTY != 0 {
        label.push_str(", DIRTY");
    }
    if !file.header_agrees {
        label.push_str(", sum wrong");
    }
    let mut tile = Tile::new(Span::at(0, HEADER_LEN), Kind::Header, label);
    let magic = file.cursor.span(Header::MAGIC).unwrap_or_default();
    tile.fields.push(Field::new("magic", Header::MAGIC, Value::Bytes(magic)));
    tile.fields.extend(header_fields(file));
    Some(tile)
}

fn tile<'a>(file: &File<'a>, item: Item) -> Tile<'a> {
    let uncommitted = item.span.start >= file.limit;
    let simple = |kind, label: &'static str| Tile::new(item.span, kind, label);
    match item.what {
        What::Sound(head) => record(file, &item, &head, ""),
        What::BadTail(head) => record(file, &item, &head, ", tail sum wrong"),
        What::Worn(head) => record(file, &item, &head, ", head sum wrong"),
        What::LongKey(head) => record(file, &item, &head, ", key longer than its length says"),
        What::Zeros if uncommitted => simple(Kind::Padding, "room to grow"),
        What::Zeros => simple(Kind::Zeros, "zeros"),
        What::Gap if uncommitted => simple(Kind::Gap, "unreadable bytes behind what is committed"),
        What::Gap => simple(Kind::Gap, "unreadable bytes"),
        What::Torn(None) => simple(Kind::Torn, "the beginning of a record, cut off"),
        What::Torn(Some(head)) => {
            let mut tile = Tile::new(item.span, Kind::Torn, format!("{}, cut off", label(file, &head)));
            tile.fields = fields(file, &head);
            tile.fields.retain(|field| field.span.end <= item.span.end);
            tile
        }
    }
}

fn label(file: &File<'_>, head: &Head) -> String {
    let kind = head.kind.as_str();
    match head.kind {
        Type::Dummy => format!("{kind} level {}", head.level),
        Type::Commit => format!("{kind} of 0x{:X}-0x{:X}", head.start(file.cursor), head.offset),
        Type::Delete => {
            let ancestor = head.ancestor(file.cursor).unwrap_or_default();
            let old = file.sound_record(ancestor).map(|old| old.key(file.cursor).as_bstr().to_string());
            format!("{kind} of the record at 0x{ancestor:X} {}", old.unwrap_or_default()).trim_end().to_owned()
        }
        _ => format!("{kind} level {} {}", head.level, head.key(file.cursor).as_bstr()),
    }
}

fn record<'a>(file: &File<'a>, item: &Item, head: &Head, state: &'static str) -> Tile<'a> {
    let kind = match head.kind {
        Type::Dummy => Kind::Dummy,
        Type::Delete => Kind::Delete,
        Type::Commit => Kind::Commit,
        _ => Kind::Record,
    };
    let uncommitted = if item.span.start >= file.limit { ", uncommitted" } else { "" };
    let mut tile = Tile::new(item.span, kind, format!("{}{state}{uncommitted}", label(file, head)));
    tile.fields = fields(file, head);
    tile.fields.retain(|field| field.span.end <= item.span.end);
    tile
}

fn fields<'a>(file: &File<'a>, head: &Head) -> Vec<Field<'a>> {
    let (cursor, at) = (file.cursor, head.offset);
    let mut fields = Vec::with_capacity(11 + usize::from(head.level));
    fields.extend([
        Field::new("type", Span::at(at, 1), Value::Text(head.kind.as_str().into())),
        Field::new("level", Span::at(at.saturating_add(1), 1), Value::Int(head.level.into())),
    ]);
    if head.kind.is_record() {
        let (key, value) = if head.kind.is_fat() {
            (Span::at(at.saturating_add(8), 8), Span::at(at.saturating_add(16), 8))
        } else {
            (Span::at(at.saturating_add(2), 2), Span::at(at.saturating_add(4), 4))
        };
        fields.push(Field::new("key length", key, Value::Int(head.key_len)));
        fields.push(Field::new("value length", value, Value::Int(head.value_len)));
    }
    if let Some(ancestor) = head.ancestor(cursor) {
        fields.push(Field::new("ancestor", head.ancestor_span(), Value::Offset(ancestor)));
    }
    match head.kind {
        Type::Commit => fields.push(Field::new("start", head.pointer_span(0), Value::Offset(head.start(cursor)))),
        Type::Delete => {}
        _ => fields.extend((0..=head.level).map(|index| {
            let name = POINTERS.get(usize::from(index)).copied().unwrap_or("pointer");
            Field::new(name, head.pointer_span(index), Value::Offset(head.pointer(cursor, index)))
        })),
    }
    for (name, at) in [("head sum", head.sums), ("tail sum", head.sums.saturating_add(4))] {
        fields.push(Field::new(name, Span::at(at, 4), Value::Hex(cursor.le_u32(at).unwrap_or_default().into())));
    }
    if head.kind.is_record() {
        fields.push(Field::new("key", head.key_span(), Value::Bytes(head.key(cursor))));
        fields.push(Field::new("value", head.value_span(), Value::Bytes(head.value(cursor))));
        let padding = cursor.span(head.padding_span()).unwrap_or_default();
        fields.push(Field::new("padding", head.padding_span(), Value::Bytes(padding)));
    }
    fields
}
