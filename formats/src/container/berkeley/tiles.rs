//! The whole file as labelled tiles, page by page.

use std::borrow::Cow;

use super::layout::{Body, Endian, Item, META_LEN, Meta, Method, page_type};
use super::log::LogFile;
use super::remains;
use super::scan::{File, Page, Pair};
use crate::image::{Cursor, Part, Parts, Span};
use crate::tile::{Field, Kind, Tile, Tiler, Value};

/// The tiles of the file in file order, then those of the log files.
pub fn tiles<'a>(file: File<'a>, parts: &Parts<'a>, logs: &[LogFile<'a>]) -> impl Iterator<Item = Tile<'a>> + use<'a> {
    let pages = file.numbers().flat_map(move |number| page(file, number));
    let beside: Vec<(Part<'a>, Option<LogFile<'a>>)> = parts
        .iter()
        .skip(1)
        .map(|part| (part.clone(), logs.iter().find(|log| log.part.span() == part.span()).cloned()))
        .collect();
    let beside = beside.into_iter().flat_map(|(part, log)| log_tiles(&part, log.as_ref()));
    Tiler::new(first(file).into_iter().chain(pages).chain(beside), parts.len())
}

/// A log file, record by record as far as they can be read.
fn log_tiles<'a>(part: &Part<'a>, log: Option<&LogFile<'a>>) -> Box<dyn Iterator<Item = Tile<'a>> + 'a> {
    let Some(log) = log else {
        return Box::new(std::iter::once(Tile::new(
            part.span(),
            Kind::Markup,
            format!("{}, which is not read", part.name),
        )));
    };
    let end = log.entries().last().map_or(part.start, |entry| entry.span.end);
    let first = log.entries().next().map_or(part.start, |entry| entry.span.start);
    let entries = log.entries().map(|entry| {
        let label =
            format!("log record {}/{} of kind {}, transaction {:X}", entry.lsn.0, entry.lsn.1, entry.kind, entry.txn);
        Tile::new(entry.span, Kind::Commit, label)
    });
    let head = Tile::new(Span::new(part.start, first), Kind::Header, format!("head of {}", part.name));
    let what = if end == part.start { "a log that is not read" } else { "the end of the log, without further records" };
    let rest = Tile::new(Span::new(end, part.span().end), Kind::Padding, what);
    Box::new(std::iter::once(head).chain(entries).chain([rest]))
}

/// Page 0: the metadata, and what fills the page behind it.
fn first(file: File<'_>) -> Vec<Tile<'_>> {
    let span = file.page_span(0);
    let head = Span::new(0, META_LEN.min(span.end));
    let Some(meta) = file.meta.filter(|_| head.len() == META_LEN) else {
        let kind = if head.len() < META_LEN { Kind::Torn } else { Kind::Gap };
        return vec![Tile::new(span, kind, "metadata that can't be read")];
    };
    let mut tile = Tile::new(head, Kind::Header, format!("metadata of a {}", meta.method.as_str()));
    tile.fields = meta_fields(file.cursor, &meta);
    vec![tile, Tile::new(Span::new(head.end, span.end), Kind::Padding, "filling behind the metadata")]
}

/// The fields of the metadata.
pub fn meta_fields<'a>(cursor: Cursor<'a>, meta: &Meta) -> Vec<Field<'a>> {
    let mut fields = Vec::new();
    let mut add =
        |name: &'static str, at: u64, len: u64, value| fields.push(Field::new(name, Span::at(at, len), value));
    add("lsn", 0, 8, lsn(cursor, meta.endian, 0));
    add("magic", 12, 4, Value::Text(format!("{}, {}", meta.method.as_str(), meta.endian.as_str()).into()));
    add("version", 16, 4, Value::Int(meta.version.into()));
    add("page_size", 20, 4, Value::Int(meta.page_size.into()));
    add("encryption", 24, 1, Value::Int(meta.encryption.into()));
    add("type", 25, 1, Value::Text(page_type::name(meta.page_type).into()));
    add("flags", 26, 1, Value::Hex(meta.flags.into()));
    add("free", 28, 4, Value::Int(meta.free.into()));
    if let Some(last_page) = meta.last_page {
        add("last_page", 32, 4, Value::Int(last_page.into()));
    }
    let at = if meta.version == 7 { 72 } else { 88 };
    if let Some(root) = meta.root.filter(|_| meta.version >= 7) {
        add("root", at, 4, Value::Int(root.into()));
    }
    if let Some(max_bucket) = meta.max_bucket {
        add("max_bucket", 72, 4, Value::Int(max_bucket.into()));
    }
    fields
}

fn lsn<'a>(cursor: Cursor<'_>, endian: Endian, at: u64) -> Value<'a> {
    let word = |at: u64| endian.u32(cursor, at).unwrap_or_default();
    Value::Text(format!("{}/{}", word(at), word(at.saturating_add(4))).into())
}

/// The tiles of a page behind page 0.
fn page(file: File<'_>, number: u32) -> Vec<Tile<'_>> {
    let span = file.page_span(number);
    let Some(page) = file.page(number) else {
        return vec![Tile::new(span, Kind::Torn, format!("page {number}, cut off in its head"))];
    };
    if page.is_whole() && page.is_blank() {
        return vec![Tile::new(span, Kind::Padding, format!("page {number}, never used"))];
    }
    if page.head.number != number {
        let kind = if page.is_blank() { Kind::Zeros } else { Kind::Gap };
        return vec![Tile::new(span, kind, format!("page {number}: its head is another's"))];
    }
    let mut tiles = vec![head(file, &page)];
    match page.head.page_type {
        page_type::UNUSED => tiles.extend(free_space(&page, span)),
        page_type::OVERFLOW => tiles.extend(overflow(&page)),
        page_type::INTERNAL => tiles.extend(internal(&page)),
        page_type::LEAF | page_type::HASH | page_type::HASH_UNSORTED => tiles.extend(records(file, &page)),
        _ => return vec![Tile::new(span, Kind::Gap, format!("page {number}, of a type that has no place here"))],
    }
    tiles
}

/// The head of a page and its index.
fn head<'a>(file: File<'a>, page: &Page<'a>) -> Tile<'a> {
    let base = page.span.start;
    let head = page.head;
    let indexed = !matches!(head.page_type, page_type::OVERFLOW | page_type::UNUSED);
    let bare = base.saturating_add(file.layout.head_len());
    let end = if indexed && page.index_end() <= page.span.end { page.index_end() } else { bare };
    let label = format!("page {}, {}", page.number, page_type::name(head.page_type));
    let mut tile = Tile::new(Span::new(base, end.min(page.span.end)), Kind::Page, label);
    let mut add = |name: &'static str, at: u64, len: u64, value| {
        let span = Span::at(base.saturating_add(at), len);
        if span.end <= end.min(page.span.end) {
            tile.fields.push(Field::new(name, span, value));
        }
    };
    add("lsn", 0, 8, Value::Text(format!("{}/{}", head.lsn.0, head.lsn.1).into()));
    add("number", 8, 4, Value::Int(head.number.into()));
    add("prev", 12, 4, Value::Int(head.prev.into()));
    add("next", 16, 4, Value::Int(head.next.into()));
    add("entries", 20, 2, Value::Int(head.entries.into()));
    add("hf_offset", 22, 2, Value::Int(head.hf_offset.into()));
    add("level", 24, 1, Value::Int(head.level.into()));
    add("type", 25, 1, Value::Int(head.page_type.into()));
    if file.layout.summed {
        let sum = file.layout.endian.u32(file.cursor, base.saturating_add(28)).unwrap_or_default();
        add("sum", 28, 4, Value::Hex(sum.into()));
    }
    tile
}

/// Bytes that nothing refers to, from the end of the index to `until`.
fn free_space<'a>(page: &Page<'a>, until: Span) -> Vec<Tile<'a>> {
    let start = page.index_end().min(until.end);
    let free = Span::new(start, until.end);
    let left = remains::of_page(page);
    let Some(first) = left.first() else {
        return vec![Tile::new(free, Kind::Padding, "free space")];
    };
    let more = if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() };
    let label = format!("free space, with remains of {}{more}", String::from_utf8_lossy(&first.key));
    let mut tile = Tile::new(free, Kind::Padding, label);
    for record in &left {
        let value = Value::Text(String::from_utf8_lossy(&record.key).into_owned().into());
        if free.start <= record.span.start && record.span.end <= free.end {
            tile.fields.push(Field::new("remains", record.span, value));
        }
    }
    vec![tile]
}

fn overflow<'a>(page: &Page<'a>) -> Vec<Tile<'a>> {
    match page.overflow_data() {
        Some(data) => {
            let rest = Span::new(data.end, page.span.end);
            let label = format!("{} bytes of a long key or value", data.len());
            vec![Tile::new(data, Kind::Record, label), Tile::new(rest, Kind::Padding, "free space")]
        }
        None => Vec::new(),
    }
}

fn internal<'a>(page: &Page<'a>) -> Vec<Tile<'a>> {
    let items = page.items_start().min(page.span.end);
    let mut tiles = free_space(page, Span::new(page.index_end().min(items), items));
    tiles.push(Tile::new(Span::new(items, page.span.end), Kind::Page, "keys of child pages"));
    tiles
}

/// The items of a leaf or hash page in the order of their offsets, and the free space in front of them.
fn records<'a>(file: File<'a>, page: &Page<'a>) -> Vec<Tile<'a>> {
    let items = page.items();
    let mut tiles: Vec<Tile<'a>> = Vec::new();
    let mut paired = Vec::new();
    for pair in items.pairs() {
        paired.extend([pair.key.span, pair.value.span]);
        tiles.extend(record(file, &pair));
    }
    paired.sort_unstable();
    let single = items.good.iter().filter(|(_, item)| paired.binary_search(&item.span).is_err());
    tiles.extend(single.map(|(_, item)| part(item, Kind::Gap, "an item without its pair", file)));
    tiles.sort_unstable_by_key(|tile| tile.span);
    align(&mut tiles, page.span.end);
    let lowest = tiles.first().map_or(page.span.end, |tile| tile.span.start);
    let mut all = free_space(page, Span::new(page.index_end(), lowest));
    all.extend(tiles);
    all
}

/// Takes the bytes that align the next item into the tile in front of them.
fn align(tiles: &mut [Tile<'_>], end: u64) {
    let starts: Vec<u64> = tiles.iter().skip(1).map(|tile| tile.span.start).chain([end]).collect();
    for (tile, next) in tiles.iter_mut().zip(starts) {
        if next.saturating_sub(tile.span.end) < 4 {
            tile.span = Span::new(tile.span.start, next.max(tile.span.end));
        }
    }
}

fn record<'a>(file: File<'a>, pair: &Pair<'a>) -> Vec<Tile<'a>> {
    let (kind, mark) = if pair.is_deleted() { (Kind::Delete, "deleted: ") } else { (Kind::Record, "") };
    let name = label(&pair.key);
    if !pair.is_joint() {
        return vec![
            part(&pair.value, kind, format!("{mark}value of {name}"), file),
            part(&pair.key, kind, format!("{mark}key {name}"), file),
        ];
    }
    let mut tile = Tile::new(pair.span(), kind, format!("{mark}{name}"));
    tile.fields = vec![field("value", &pair.value, file), field("key", &pair.key, file)];
    vec![tile]
}

fn part<'a>(item: &Item<'a>, kind: Kind, label: impl Into<Cow<'a, str>>, file: File<'a>) -> Tile<'a> {
    Tile { fields: vec![field("data", item, file)], ..Tile::new(item.span, kind, label) }
}

fn label<'a>(item: &Item<'a>) -> Cow<'a, str> {
    match item.body {
        Body::Here(bytes) => String::from_utf8_lossy(bytes),
        Body::OffPage { page, len } => format!("{len} bytes from page {page} on").into(),
    }
}

fn field<'a>(name: &'static str, item: &Item<'a>, file: File<'a>) -> Field<'a> {
    match item.body {
        Body::Here(bytes) => {
            let head = if file.layout.method == Method::Hash { 1 } else { 3 };
            let span = Span::new(item.span.start.saturating_add(head), item.span.end);
            Field::new(name, span, Value::Bytes(bytes))
        }
        Body::OffPage { .. } => Field::new(name, item.span, Value::Text(label(item))),
    }
}
