//! The whole file as labelled tiles.

use bstr::ByteSlice;

use super::layout::{HEADER_LEN, Header, Node};
use super::scan::{Item, Scan};
use crate::image::{Cursor, Span};
use crate::tile::{Field, Kind, Tile, Tiler, Value};

/// Covers a file from 0 to its length, whatever it holds.
pub fn tiles<'a>(cursor: Cursor<'a>) -> impl Iterator<Item = Tile<'a>> {
    let items = std::iter::once(header(cursor)).chain(Scan::new(cursor).map(move |item| tile(cursor, item)));
    Tiler::new(items, cursor.len())
}

/// What the header says, field by field; nothing if the file ends inside it.
pub fn header_fields<'a>(cursor: Cursor<'a>) -> Vec<Field<'a>> {
    let Some(header) = Header::decode(cursor) else { return Vec::new() };
    let int = |n: u32| Value::Int(u64::from(n));
    let numbers = [
        ("version", int(header.version)),
        ("version_minor", int(header.version_minor)),
        ("maxlevel", int(header.maxlevel)),
        ("curlevel", int(header.curlevel)),
        ("listsize", int(header.listsize)),
        ("logstart", Value::Offset(u64::from(header.logstart))),
        ("last_recovery", Value::Time(u64::from(header.last_recovery))),
    ];
    let magic = Field::new("magic", Span::at(0, 20), Value::Bytes(cursor.bytes(0, 20).unwrap_or_default()));
    let field = |(i, (name, value))| Field::new(name, super::header::number_span(i), value);
    std::iter::once(magic).chain((0..).zip(numbers).map(field)).collect()
}

fn header(cursor: Cursor<'_>) -> Tile<'_> {
    let span = Span::new(0, HEADER_LEN.min(cursor.len()));
    if span.len() < HEADER_LEN {
        return Tile::new(span, Kind::Torn, "header, cut off by the end of the file");
    }
    let mut tile = Tile::new(span, Kind::Header, "header");
    tile.fields = header_fields(cursor);
    tile
}

fn tile<'a>(cursor: Cursor<'a>, item: Item<'a>) -> Tile<'a> {
    let span = item.span();
    match item {
        Item::Dummy(node) => node_tile(cursor, &node, Kind::Dummy, format!("DUMMY level {}", node.level())),
        Item::Record(node) => {
            let label = format!("{} level {} {}", node.kind.as_str(), node.level(), node.key.as_bstr());
            node_tile(cursor, &node, Kind::Record, label)
        }
        Item::Delete { target, .. } => {
            let gone = Node::read(cursor, u64::from(target)).map(|node| node.key.as_bstr());
            let label = gone.map_or(format!("DELETE 0x{target:X}"), |key| format!("DELETE 0x{target:X} {key}"));
            let mut tile = Tile::new(span, Kind::Delete, label);
            tile.fields =
                vec![type_field(cursor, span.start), offset_field("target", span.start.saturating_add(4), target)];
            tile
        }
        Item::Commit(_) => {
            let mut tile = Tile::new(span, Kind::Commit, "COMMIT");
            tile.fields = vec![type_field(cursor, span.start)];
            tile
        }
        Item::Zeros(_) => Tile::new(span, Kind::Zeros, format!("{} zero bytes", span.len())),
        Item::Torn(_, broken) => Tile::new(span, Kind::Torn, format!("cut off by the end of the file: {broken}")),
        Item::Gap(_, broken) => Tile::new(span, Kind::Gap, format!("{} bytes of nothing known: {broken}", span.len())),
    }
}

fn type_field<'a>(cursor: Cursor<'a>, offset: u64) -> Field<'a> {
    Field::new("type", Span::at(offset, 4), Value::Int(u64::from(cursor.be_u32(offset).unwrap_or_default())))
}

fn offset_field<'a>(name: &'static str, at: u64, offset: u32) -> Field<'a> {
    Field::new(name, Span::at(at, 4), Value::Offset(u64::from(offset)))
}

/// Names of the forward pointers, level 0 first.
const FORWARD: [&str; 20] = [
    "forward[0]",
    "forward[1]",
    "forward[2]",
    "forward[3]",
    "forward[4]",
    "forward[5]",
    "forward[6]",
    "forward[7]",
    "forward[8]",
    "forward[9]",
    "forward[10]",
    "forward[11]",
    "forward[12]",
    "forward[13]",
    "forward[14]",
    "forward[15]",
    "forward[16]",
    "forward[17]",
    "forward[18]",
    "forward[19]",
];

fn node_tile<'a>(cursor: Cursor<'a>, node: &Node<'a>, kind: Kind, label: String) -> Tile<'a> {
    let bytes =
        |name, at: u64, bytes: &'a [u8]| Field::new(name, Span::at(at, bytes.len() as u64), Value::Bytes(bytes));
    let len = |name, at: u64, len: usize| Field::new(name, Span::at(at, 4), Value::Int(len as u64));
    let value_len_at = node.value_len_offset();
    let mut tile = Tile::new(node.span(), kind, label);
    tile.fields.reserve_exact(6 + node.level());
    tile.fields.extend([
        type_field(cursor, node.offset),
        len("key_len", node.offset.saturating_add(4), node.key.len()),
        bytes("key", node.offset.saturating_add(8), node.key),
        len("value_len", value_len_at, node.value.len()),
        bytes("value", value_len_at.saturating_add(4), node.value),
    ]);
    for (i, pointer) in node.pointers().enumerate() {
        let at = Span::at(node.pointer_offset(i), 4);
        let name = FORWARD.get(i).copied().unwrap_or("forward");
        tile.fields.push(Field::new(name, at, Value::Offset(u64::from(pointer))));
    }
    let terminator = Span::at(node.pointer_offset(node.level()), 4);
    tile.fields.push(Field::new("terminator", terminator, Value::Hex(u64::from(super::layout::TERMINATOR))));
    tile
}
