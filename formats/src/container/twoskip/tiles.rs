//! The whole file as labelled tiles.

use bstr::ByteSlice;

use super::layout::{DIRTY, DUMMY_OFFSET, HEADER_LEN, Head, Header, Type, VERSION};
use super::scan::{Item, Scan, What};
use crate::image::{Cursor, Span};
use crate::tile::{Field, Kind, POINTERS, Tile, Tiler, Value};

/// The tiles of a file, in physical order; they cover it.
pub fn tiles<'a>(cursor: Cursor<'a>) -> impl Iterator<Item = Tile<'a>> {
    let scan = Scan::new(cursor, DUMMY_OFFSET);
    let all = header(cursor).into_iter().chain(Blanks { scan: scan.peekable() }.map(move |item| tile(cursor, item)));
    Tiler::new(all, cursor.len())
}

/// Joins neighbouring BLANKs.
struct Blanks<'a> {
    scan: std::iter::Peekable<Scan<'a>>,
}

impl Iterator for Blanks<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let mut item = self.scan.next()?;
        let blank = item.what == What::Blank;
        while let Some(more) = self.scan.next_if(|next| blank && next.what == What::Blank) {
            item.span.end = more.span.end;
        }
        Some(item)
    }
}

/// The fields of the header.
pub fn header_fields<'a>(header: &Header) -> Vec<Field<'a>> {
    vec![
        Field::new("version", Header::VERSION, Value::Int(header.version.into())),
        Field::new("generation", Header::GENERATION, Value::Int(header.generation)),
        Field::new("num_records", Header::NUM_RECORDS, Value::Int(header.num_records)),
        Field::new("repack_size", Header::REPACK_SIZE, Value::Offset(header.repack_size)),
        Field::new("current_size", Header::CURRENT_SIZE, Value::Offset(header.current_size)),
        Field::new("flags", Header::FLAGS, Value::Hex(header.flags.into())),
        Field::new("crc", Header::CRC, Value::Hex(header.crc.into())),
    ]
}

fn header(cursor: Cursor<'_>) -> Option<Tile<'_>> {
    let Some(header) = Header::decode(cursor) else {
        return (!cursor.is_empty()).then(|| Tile::new(Span::at(0, cursor.len()), Kind::Torn, "header, cut off"));
    };
    let mut label = String::from("twoskip header");
    if !Header::magic_is_right(cursor) {
        label.push_str(", magic wrong");
    }
    if header.version != VERSION {
        label.push_str(&format!(", version {}", header.version));
    }
    if header.flags & DIRTY != 0 {
        label.push_str(", DIRTY");
    }
    if Header::computed_crc(cursor) != Some(header.crc) {
        label.push_str(", crc wrong");
    }
    let mut tile = Tile::new(Span::at(0, HEADER_LEN), Kind::Header, label);
    let magic = cursor.span(Header::MAGIC).unwrap_or_default();
    tile.fields.push(Field::new("magic", Header::MAGIC, Value::Bytes(magic)));
    tile.fields.extend(header_fields(&header));
    Some(tile)
}

fn tile<'a>(cursor: Cursor<'a>, item: Item) -> Tile<'a> {
    let simple = |kind, label: &'static str| Tile::new(item.span, kind, label);
    match item.what {
        What::Record(head) | What::Worn(head) | What::BadTail(head) => record(cursor, &head),
        What::Blank => Tile::new(item.span, Kind::Padding, format!("BLANK x{}", item.span.len() / 8)),
        What::Zeros => simple(Kind::Zeros, "zeros"),
        What::Gap => simple(Kind::Gap, "unreadable bytes"),
        What::Torn(None) => simple(Kind::Torn, "the beginning of a record, cut off"),
        What::Torn(Some(head)) => {
            let mut tile = Tile::new(item.span, Kind::Torn, format!("{}, cut off", label(cursor, &head)));
            tile.fields = fields(cursor, &head).into_iter().filter(|field| field.span.end <= item.span.end).collect();
            tile
        }
    }
}

fn label<'a>(cursor: Cursor<'a>, head: &Head) -> String {
    match head.kind {
        Type::Dummy => "DUMMY level 31".into(),
        Type::Record => format!("RECORD level {} {}", head.level, head.key(cursor).as_bstr()),
        Type::Delete => format!("DELETE in front of 0x{:X}", head.word(cursor)),
        Type::Commit => format!("COMMIT of 0x{:X}-0x{:X}", head.word(cursor), head.offset),
    }
}

fn record<'a>(cursor: Cursor<'a>, head: &Head) -> Tile<'a> {
    let kind = match head.kind {
        Type::Dummy => Kind::Dummy,
        Type::Record => Kind::Record,
        Type::Delete => Kind::Delete,
        Type::Commit => Kind::Commit,
    };
    let mut label = label(cursor, head);
    if !head.head_is_right(cursor) {
        label.push_str(", crc_head wrong");
    }
    if !head.tail_is_right(cursor) {
        label.push_str(", crc_tail wrong");
    }
    let mut tile = Tile::new(head.span(), kind, label);
    tile.fields = fields(cursor, head);
    tile
}

fn fields<'a>(cursor: Cursor<'a>, head: &Head) -> Vec<Field<'a>> {
    let at = head.offset;
    let text = match head.kind {
        Type::Dummy => "=",
        Type::Record => "+",
        Type::Delete => "-",
        Type::Commit => "$",
    };
    let mut fields = Vec::with_capacity(10 + usize::from(head.level));
    fields.extend([
        Field::new("type", Span::at(at, 1), Value::Text(text.into())),
        Field::new("level", Span::at(at.saturating_add(1), 1), Value::Int(head.level.into())),
        Field::new("key length", Span::at(at.saturating_add(2), 2), Value::Int(head.key_len)),
        Field::new("value length", Span::at(at.saturating_add(4), 4), Value::Int(head.value_len)),
    ]);
    fields.extend((0..=head.level).map(|index| {
        let name = match (head.kind, index) {
            (Type::Delete, _) => "next".into(),
            (Type::Commit, _) => "start".into(),
            _ => POINTERS.get(usize::from(index)).copied().unwrap_or("pointer").into(),
        };
        Field { name, span: head.pointer_span(index), value: Value::Offset(head.pointer(cursor, index)) }
    }));
    let sums = head.sums_span().start;
    for (name, at) in [("crc_head", sums), ("crc_tail", sums.saturating_add(4))] {
        fields.push(Field::new(name, Span::at(at, 4), Value::Hex(cursor.be_u32(at).unwrap_or_default().into())));
    }
    if head.kind == Type::Record {
        fields.push(Field::new("key", head.key_span(), Value::Bytes(head.key(cursor))));
        fields.push(Field::new("value", head.value_span(), Value::Bytes(head.value(cursor))));
    }
    if !head.padding_span().is_empty() {
        let padding = cursor.span(head.padding_span()).unwrap_or_default();
        fields.push(Field::new("padding", head.padding_span(), Value::Bytes(padding)));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::super::layout::{BLANK, is_blank};
    use super::*;

    #[test]
    fn a_blank_is_spelt_as_cyrus_spells_it() {
        assert_eq!(&BLANK.to_be_bytes(), b" BLANK\x07\xA0");
        assert!(is_blank(Cursor::new(b" BLANK\x07\xA0"), 0));
    }
}
