//! The whole file as labelled tiles, page by page.

use super::layout::{Data, HEAD_LEN, META_LEN, Meta, flag};
use super::scan::{Env, Page};
use crate::container::pages::PageSet;
use crate::image::Span;
use crate::tile::{Field, Kind, Tile, Tiler, Value};

/// Which pages the current state uses.
struct Used {
    tree: PageSet,
    overflow: PageSet,
}

impl Used {
    fn new(env: &Env<'_>) -> Self {
        let mut used = Used { tree: env.page_set(), overflow: env.page_set() };
        let Some(meta) = env.current() else { return used };
        for tree in [meta.main, meta.free] {
            let pages = env.tree(tree.root, tree.depth);
            for &leaf in &pages.leaves {
                used.tree.insert(leaf);
                let nodes = env.page(leaf).map(|page| page.leaves()).unwrap_or_default();
                for node in nodes {
                    if let Data::Big { page, len } = node.data
                        && env.big(page, len).is_some()
                    {
                        used.overflow.insert(page);
                    }
                }
            }
            pages.branches.iter().for_each(|&branch| {
                used.tree.insert(branch);
            });
        }
        used
    }
}

/// The tiles of the file in file order.
pub fn tiles<'a>(env: Env<'a>) -> impl Iterator<Item = Tile<'a>> {
    let used = Used::new(&env);
    let mut next = 0;
    let pages = std::iter::from_fn(move || {
        let number = next;
        if number >= env.page_count() {
            return None;
        }
        let count = if used.overflow.contains(number) { overflow_count(&env, number) } else { 1 };
        next = number.saturating_add(count);
        Some(page(&env, number, count, &used))
    });
    Tiler::new(pages.flatten(), env.cursor.len())
}

fn overflow_count(env: &Env<'_>, number: u64) -> u64 {
    env.page(number).map_or(1, |page| u64::from(page.head.count)).clamp(1, env.page_count())
}

fn page<'a>(env: &Env<'a>, number: u64, count: u64, used: &Used) -> Vec<Tile<'a>> {
    let span = env.page_span(number, count);
    if number < 2 {
        return meta(env, number, span);
    }
    let Some(page) = env.page(number) else {
        let beyond = env.current().is_some_and(|meta| number > meta.last_page);
        let kind = if beyond { Kind::Padding } else { Kind::Torn };
        return vec![Tile::new(span, kind, format!("page {number}, cut off"))];
    };
    if used.overflow.contains(number) {
        return overflow(&page, span);
    }
    if !used.tree.contains(number) {
        return vec![unused(env, &page)];
    }
    if page.head.flags & flag::BRANCH != 0 { branch(&page) } else { leaf(env, &page) }
}

fn meta<'a>(env: &Env<'a>, number: u64, span: Span) -> Vec<Tile<'a>> {
    let found = usize::try_from(number).ok().and_then(|n| env.metas.get(n).copied().flatten());
    let head = Span::new(span.start, span.start.saturating_add(HEAD_LEN + META_LEN).min(span.end));
    let Some(meta) = found else {
        let kind = if span.len() < HEAD_LEN + META_LEN { Kind::Torn } else { Kind::Gap };
        return vec![Tile::new(span, kind, format!("meta {number}, which can't be read"))];
    };
    let current = env.current().is_some_and(|current| current.page == number);
    let label = format!("meta {number}{}", if current { ", current" } else { "" });
    let mut tile = Tile::new(head, Kind::Header, label);
    tile.fields = fields(&meta, span.start);
    vec![tile, Tile::new(Span::new(head.end, span.end), Kind::Padding, "filling behind the meta")]
}

/// The fields of the meta at offset `base`.
pub fn fields<'a>(meta: &Meta, base: u64) -> Vec<Field<'a>> {
    let field =
        |name: &'static str, at: u64, len: u64, value| Field::new(name, Span::at(base.saturating_add(at), len), value);
    vec![
        field("magic", 16, 4, Value::Hex(super::layout::MAGIC.into())),
        field("version", 20, 4, Value::Int(meta.version.into())),
        field("mapsize", 32, 8, Value::Int(meta.map_size)),
        field("page_size", 40, 4, Value::Int(meta.page_size())),
        field("depth", 94, 2, Value::Int(meta.main.depth.into())),
        field("entries", 120, 8, Value::Int(meta.main.entries)),
        field("root", 128, 8, Value::Int(meta.main.root)),
        field("last_page", 136, 8, Value::Int(meta.last_page)),
        field("txnid", 144, 8, Value::Int(meta.txnid)),
    ]
}

fn head<'a>(page: &Page<'a>, what: &str, end: u64) -> Tile<'a> {
    let base = page.span.start;
    let mut tile = Tile::new(Span::new(base, end), Kind::Page, format!("page {}, {what}", page.number));
    tile.fields = vec![
        Field::new("number", Span::at(base, 8), Value::Int(page.head.number)),
        Field::new("flags", Span::at(base.saturating_add(10), 2), Value::Hex(page.head.flags.into())),
    ];
    tile
}

fn overflow<'a>(page: &Page<'a>, span: Span) -> Vec<Tile<'a>> {
    let data = span.start.saturating_add(HEAD_LEN).min(span.end);
    let what = format!("{} pages of data", page.head.count);
    vec![
        head(page, &what, data),
        Tile::new(Span::new(data, span.end), Kind::Record, "a long value, and what fills its last page"),
    ]
}

fn unused<'a>(env: &Env<'a>, page: &Page<'a>) -> Tile<'a> {
    let nodes = if page.is_leaf() { page.leaves() } else { Vec::new() };
    let what = match nodes.first() {
        Some(first) => format!(
            "not in use, once a leaf with {} records from {} on",
            nodes.len(),
            String::from_utf8_lossy(first.key)
        ),
        None => "not in use".to_owned(),
    };
    let mut tile = Tile::new(page.span, Kind::Padding, format!("page {}, {what}", page.number));
    let records = nodes.iter().filter_map(|node| env.record(node));
    tile.fields = records.map(|record| Field::new("old", record.span, Value::Text(lossy(&record.key)))).collect();
    tile
}

fn lossy<'a>(bytes: &[u8]) -> std::borrow::Cow<'a, str> {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn branch<'a>(page: &Page<'a>) -> Vec<Tile<'a>> {
    let mut tiles = vec![
        head(page, "branch", page.index_end()),
        Tile::new(Span::new(page.index_end(), page.nodes_start()), Kind::Padding, "free space"),
    ];
    let nodes: Vec<Tile<'a>> = page
        .branches()
        .map(|node| {
            let label = format!("page {} from {} on", node.child, String::from_utf8_lossy(node.key));
            Tile::new(node.span, Kind::Page, label)
        })
        .collect();
    tiles.extend(nodes);
    tiles.get_mut(2..).unwrap_or_default().sort_by_key(|tile| tile.span);
    tiles
}

fn leaf<'a>(env: &Env<'a>, page: &Page<'a>) -> Vec<Tile<'a>> {
    let mut tiles = vec![
        head(page, "leaf", page.index_end()),
        Tile::new(Span::new(page.index_end(), page.nodes_start()), Kind::Padding, "free space"),
    ];
    let nodes = page.leaves();
    tiles.extend(nodes.iter().map(|node| {
        let mut tile = Tile::new(node.span, Kind::Record, String::from_utf8_lossy(node.key));
        let key = Span::at(node.span.start.saturating_add(8), node.key.len() as u64);
        tile.fields.push(Field::new("key", key, Value::Bytes(node.key)));
        match node.data {
            Data::Here(data) => {
                tile.fields.push(Field::new("value", Span::at(key.end, data.len() as u64), Value::Bytes(data)))
            }
            Data::Big { page, len } => {
                let place = Span::at(key.end, 8);
                let at = env.big(page, len).map_or(0, |span| span.start);
                tile.fields.push(Field::new("value", place, Value::Text(format!("{len} bytes at offset {at}").into())));
            }
        }
        tile
    }));
    tiles.get_mut(2..).unwrap_or_default().sort_by_key(|tile| tile.span);
    tiles
}
