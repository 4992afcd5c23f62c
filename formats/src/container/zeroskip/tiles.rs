//! All files as labelled tiles, one behind the other.

use super::directory::{Directory, File};
use super::layout::{Checked, Commit, DOT_LEN, Dot, Entry, HEADER_LEN, Header, Placed, key_span, uuid_text};
use super::scan::Item;
use crate::image::{Part, Span};
use crate::tile::{Field, Kind, Tile, Tiler, Value};

/// The tiles of all files.
pub fn tiles<'d, 'a>(directory: &'d Directory<'a>) -> impl Iterator<Item = Tile<'a>> + 'd {
    let len = directory.parts.len();
    let parts: Vec<Part<'a>> = directory.parts.iter().cloned().collect();
    Tiler::new(parts.into_iter().flat_map(move |part| of_part(directory, &part)), len)
}

fn of_part<'d, 'a>(directory: &'d Directory<'a>, part: &Part<'a>) -> Box<dyn Iterator<Item = Tile<'a>> + 'd> {
    if let Some(file) = directory.files.iter().find(|file| file.part.span() == part.span() && !part.bytes.is_empty()) {
        return Box::new(header(file).into_iter().chain(file.scan().map(item)));
    }
    match &directory.dot {
        Some((dot_part, dot)) if dot_part.span() == part.span() => Box::new(dot_tile(part, dot.as_ref()).into_iter()),
        _ => Box::new(std::iter::once(Tile::new(part.span(), Kind::Markup, format!("{}, no data", part.name)))),
    }
}

/// The name of a file in front of a label, if there are several.
fn named(part: &Part<'_>, what: &str) -> String {
    if part.name.is_empty() { what.to_owned() } else { format!("{}: {what}", part.name) }
}

fn header<'a>(file: &File<'a>) -> Option<Tile<'a>> {
    let span = Span::at(file.part.start, HEADER_LEN.min(file.cursor().len()));
    let Some(header) = &file.header else {
        let kind = if span.len() < HEADER_LEN { Kind::Torn } else { Kind::Gap };
        return Some(Tile::new(span, kind, named(&file.part, "a header that can't be read")));
    };
    let label = named(&file.part, &format!("header of a file that is {}", file.role.as_str()));
    let mut tile = Tile::new(span, Kind::Header, label);
    tile.fields = header_fields(header, file.part.start);
    Some(tile)
}

/// The fields of a header at offset `base`.
pub fn header_fields<'a>(header: &Header, base: u64) -> Vec<Field<'a>> {
    let field =
        |name: &'static str, at: u64, len: u64, value| Field::new(name, Span::at(base.saturating_add(at), len), value);
    vec![
        field("signature", 0, 8, Value::Text(header.host.as_str().into())),
        field("version", 8, 4, Value::Int(header.version.into())),
        field("uuid", 12, 16, Value::Text(uuid_text(&header.uuid).into())),
        field("startidx", 28, 4, Value::Int(header.start.into())),
        field("endidx", 32, 4, Value::Int(header.end.into())),
        field("crc", 36, 4, Value::Hex(header.crc.into())),
    ]
}

fn dot_tile<'a>(part: &Part<'a>, dot: Option<&Dot<'a>>) -> Vec<Tile<'a>> {
    let Some(dot) = dot else {
        return vec![Tile::new(part.span(), Kind::Gap, named(part, "can't be read"))];
    };
    let span = Span::at(part.start, DOT_LEN);
    let mut tile = Tile::new(span, Kind::Header, named(part, "which file is active"));
    tile.fields = dot_fields(dot, part.start);
    let rest = Span::new(span.end, part.span().end);
    vec![tile, Tile::new(rest, Kind::Gap, named(part, "bytes behind its end"))]
}

/// The fields of a `.zsdb` at offset `base`.
pub fn dot_fields<'a>(dot: &Dot<'a>, base: u64) -> Vec<Field<'a>> {
    let field =
        |name: &'static str, at: u64, len: u64, value| Field::new(name, Span::at(base.saturating_add(at), len), value);
    vec![
        field("signature", 0, 8, Value::Text(dot.host.as_str().into())),
        field("offset", 8, 8, Value::Offset(dot.offset)),
        field("uuid", 16, 37, Value::Bytes(dot.uuid)),
        field("index", 53, 4, Value::Int(dot.index.into())),
        field("crc", 57, 4, Value::Hex(dot.crc.into())),
    ]
}

fn item<'a>(item: Item<'a>) -> Tile<'a> {
    let span = item.span();
    match item {
        Item::Entry(placed) => entry(&placed),
        Item::Commit(commit, _, _, checked) => commit_tile(&commit, span, checked, "commit"),
        Item::Final(commit, _, checked) => commit_tile(&commit, span, checked, "end of a packed file"),
        Item::Index(_) => {
            Tile::new(span, Kind::Page, format!("index of {} records", (span.len() / 8).saturating_sub(1)))
        }
        Item::Zeros(_) => Tile::new(span, Kind::Zeros, "zeros"),
        Item::Torn(_) => Tile::new(span, Kind::Torn, "cut off by the end of the file"),
        Item::Gap(..) => Tile::new(span, Kind::Gap, "nothing that is known"),
    }
}

fn entry<'a>(placed: &Placed<'a>) -> Tile<'a> {
    let (kind, key, value) = match placed.entry {
        Entry::Add { key, value, value_span, .. } => {
            let start = placed.span.end.saturating_sub(crate::image::round_up(value_span.len(), 8).unwrap_or_default());
            (Kind::Record, key, Some(Field::new("value", Span::at(start, value_span.len()), Value::Bytes(value))))
        }
        Entry::Delete { key } => (Kind::Delete, key, None),
        Entry::Commit(_) => (Kind::Commit, Default::default(), None),
    };
    let mut tile = Tile::new(placed.span, kind, String::from_utf8_lossy(key));
    tile.fields.push(Field::new("key", key_span(placed.span.start, key), Value::Bytes(key)));
    tile.fields.extend(value);
    tile
}

fn commit_tile<'a>(commit: &Commit, span: Span, checked: Checked, what: &str) -> Tile<'a> {
    let verdict = match checked {
        Checked::Right => "",
        Checked::OtherHost => ", sum of a host of the other order of bytes",
        Checked::Wrong => ", wrong sum",
    };
    let mut tile = Tile::new(span, Kind::Commit, format!("{what} of {} bytes{verdict}", commit.length));
    let at = if commit.is_long { 20 } else { 4 };
    tile.fields = vec![
        Field::new("length", Span::at(span.start, 4), Value::Int(commit.length)),
        Field::new("crc", Span::at(span.start.saturating_add(at), 4), Value::Hex(commit.crc.into())),
    ];
    tile
}
