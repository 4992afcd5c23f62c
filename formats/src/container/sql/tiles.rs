//! The whole file as labelled tiles, page by page: rows one by one, other pages as a whole.

use super::layout::{Cell, HEADER_LEN, Header, Kind as PageKind};
use super::scan::{File, Page};
use crate::container::pages::PageSet;
use crate::image::{Part, Parts, Span};
use crate::tile::{Field, Kind, Tile, Tiler, Value};

/// Which pages are what.
#[derive(Default)]
struct Used {
    rows: PageSet,
    trees: PageSet,
    overflow: PageSet,
    free: PageSet,
}

impl Used {
    fn new(file: &File<'_>) -> Self {
        let set = || file.page_set();
        let mut used = Used { rows: set(), trees: set(), overflow: set(), free: set() };
        for root in file.roots.iter().copied().chain([1]) {
            let list = file.table.as_ref().is_some_and(|table| table.root == root);
            let pages = file.tree(root);
            for &number in pages.leaves.iter().chain(&pages.branches) {
                used.trees.insert(number.into());
                let Some(page) = file.page(number) else { continue };
                if list && page.head.kind == PageKind::TableLeaf {
                    used.rows.insert(number.into());
                }
                page.cells().for_each(|cell| overflow(file, &cell, &mut used.overflow));
            }
        }
        super::verify::free_pages(file, &mut used.free);
        used
    }
}

/// Marks the overflow pages of a cell.
pub fn overflow(file: &File<'_>, cell: &Cell, used: &mut PageSet) {
    let mut next = cell.overflow.unwrap_or_default();
    let mut left = cell.payload_len.saturating_sub(cell.local.len());
    while left > 0 && next != 0 && used.insert(next.into()) {
        left = left.saturating_sub(file.usable.saturating_sub(4));
        next = file.cursor.be_u32(file.page_span(next).start).unwrap_or_default();
    }
}

/// The tiles of the file and of what stands beside it.
pub fn tiles<'f, 'a>(file: &'f File<'a>, parts: &Parts<'a>) -> impl Iterator<Item = Tile<'a>> + 'f {
    let used = Used::new(file);
    let numbers = (1..=file.page_count()).filter_map(|number| u32::try_from(number).ok());
    let pages = numbers.flat_map(move |number| page(file, number, &used));
    let beside: Vec<Tile<'a>> = parts.iter().skip(1).map(beside).collect();
    Tiler::new(pages.chain(beside), parts.len())
}

fn beside<'a>(part: &Part<'a>) -> Tile<'a> {
    let kind = if super::verify::is_hot(part) { Kind::Gap } else { Kind::Padding };
    Tile::new(part.span(), kind, format!("{}, which is not read", part.name))
}

fn page<'a>(file: &File<'a>, number: u32, used: &Used) -> Vec<Tile<'a>> {
    let span = file.page_span(number);
    let mut tiles = Vec::new();
    if number == 1 {
        tiles.extend(header(file, span));
    }
    let n = u64::from(number);
    let rest = Span::new(tiles.last().map_or(span.start, |tile: &Tile<'_>| tile.span.end), span.end);
    let whole = |kind, what: &str| Tile::new(rest, kind, format!("page {number}, {what}"));
    let tree = file.page(number).filter(|_| used.trees.contains(n));
    match tree {
        _ if span.len() < file.page_size => tiles.push(whole(Kind::Torn, "cut off")),
        Some(page) if used.rows.contains(n) || number == 1 => tiles.extend(cells(file, &page, used.rows.contains(n))),
        Some(page) => tiles.push(whole(Kind::Page, page.head.kind.as_str())),
        None if used.overflow.contains(n) => tiles.push(whole(Kind::Record, "part of a long row")),
        None if used.free.contains(n) => tiles.push(whole(Kind::Padding, "on the free list")),
        None if number == 1 => tiles.push(whole(Kind::Gap, "no schema")),
        None => tiles.push(whole(Kind::Padding, "in no tree")),
    }
    tiles
}

fn header<'a>(file: &File<'a>, span: Span) -> Option<Tile<'a>> {
    let span = Span::new(0, HEADER_LEN.min(span.end));
    let Some(header) = &file.header else {
        let kind = if span.len() < HEADER_LEN { Kind::Torn } else { Kind::Gap };
        return Some(Tile::new(span, kind, "a header that can't be read"));
    };
    let mut tile = Tile::new(span, Kind::Header, "header of an SQLite file");
    tile.fields = fields(header);
    Some(tile)
}

/// The fields of the header.
pub fn fields<'a>(header: &Header) -> Vec<Field<'a>> {
    let field =
        |name: &'static str, at: u64, len: u64, value: u64| Field::new(name, Span::at(at, len), Value::Int(value));
    vec![
        field("page_size", 16, 2, header.page_size),
        field("write_version", 18, 1, header.write_version.into()),
        field("reserved", 20, 1, header.reserved.into()),
        field("changes", 24, 4, header.changes.into()),
        field("page_count", 28, 4, header.page_count.into()),
        field("free_trunk", 32, 4, header.free_trunk.into()),
        field("free_count", 36, 4, header.free_count.into()),
        field("encoding", 56, 4, header.encoding.into()),
        field("library", 96, 4, header.library.into()),
    ]
}

/// A leaf with its cells, and a page of the schema.
fn cells<'a>(file: &File<'a>, page: &Page<'a>, rows: bool) -> Vec<Tile<'a>> {
    let label = format!("page {}, {}", page.number, page.head.kind.as_str());
    let mut tiles = vec![
        Tile::new(Span::new(page.head_at, page.pointers_end().min(page.span.end)), Kind::Page, label),
        Tile::new(Span::new(page.pointers_end(), page.content_start()), Kind::Padding, "free space"),
    ];
    tiles.extend(page.free_blocks().into_iter().map(|block| Tile::new(block, Kind::Padding, "a free block")));
    tiles.extend(page.apart().iter().map(|cell| self::cell(file, cell, rows)));
    tiles.sort_by_key(|tile| tile.span);
    let ends: Vec<u64> = tiles.iter().skip(1).map(|tile| tile.span.start).chain([page.span.end]).collect();
    let mut all = Vec::new();
    for (tile, end) in tiles.into_iter().zip(ends) {
        let fill = Span::new(tile.span.end, end);
        all.push(tile);
        all.push(Tile::new(fill, Kind::Padding, "bytes of no cell"));
    }
    all
}

fn cell<'a>(file: &File<'a>, cell: &Cell, rows: bool) -> Tile<'a> {
    // Nothing is put together here but what stands on the page: a long row has its own tiles elsewhere.
    let row = file.table.as_ref().filter(|_| rows && cell.overflow.is_none());
    let row = row.and_then(|table| file.row(table, cell, &mut PageSet::default()).ok());
    let Some(row) = row else {
        let what = if rows { "a long row" } else { "part of the schema" };
        return Tile::new(cell.span, if rows { Kind::Record } else { Kind::Page }, what);
    };
    let mut tile = Tile::new(cell.span, Kind::Record, String::from_utf8_lossy(&row.key).into_owned());
    let text = |bytes: &[u8]| Value::Text(String::from_utf8_lossy(bytes).into_owned().into());
    tile.fields = vec![
        Field::new("row", Span::at(cell.span.start, 1), Value::Int(cell.row)),
        Field::new("dbkey", cell.local, text(&row.key)),
        Field::new("data", cell.local, text(&row.data)),
    ];
    tile
}
