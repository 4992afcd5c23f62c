//! An SQLite file: its pages, its trees, and the table that holds the list.

use std::borrow::Cow;

use super::layout::{self, Cell, Class, HEADER_LEN, Head, Header, Kind};
use crate::container::pages::PageSet;
use crate::image::{Cursor, Span};

/// Most levels of a tree.
const MAX_DEPTH: u32 = 32;
/// Most tables and indexes of a file that are looked at; Cyrus makes one.
const MAX_OBJECTS: usize = 64;

/// A file.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// Its bytes.
    pub cursor: Cursor<'a>,
    /// Its header.
    pub header: Option<Header>,
    /// Bytes of a page.
    pub page_size: u64,
    /// Bytes of a page that are used.
    pub usable: u64,
    /// The table with the list.
    pub table: Option<Table>,
    /// Root pages of all tables and indexes.
    pub roots: Vec<u32>,
}

/// The table with the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// The statement that made it.
    pub sql: String,
    /// Its root page.
    pub root: u32,
    /// The place of `dbkey` among its columns.
    pub key: usize,
    /// The place of `data` among its columns.
    pub data: usize,
    /// Number of columns.
    pub columns: usize,
}

/// A page of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its number, from 1.
    pub number: u32,
    /// Its bytes.
    pub span: Span,
    /// Its head.
    pub head: Head,
    /// Where the head stands: behind the file's header on page 1.
    pub head_at: u64,
    cursor: Cursor<'a>,
    usable: u64,
}

/// Why a page of a tree can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The file ends in front of it or in it.
    Missing,
    /// It is no page of this kind of tree, or not at this height.
    Kind,
    /// It was met before.
    Again,
}

/// The pages of a tree.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Leaves from left to right.
    pub leaves: Vec<u32>,
    /// Branches, in no order.
    pub branches: Vec<u32>,
    /// Pages that can't be used.
    pub bad: Vec<(u32, Why)>,
}

/// The columns of a row that matter.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Key.
    pub key: Cow<'a, [u8]>,
    /// Its class.
    pub key_class: Class,
    /// Value.
    pub data: Cow<'a, [u8]>,
    /// Its class.
    pub data_class: Class,
}

/// Why a row can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadRow {
    /// Its overflow pages are not complete, or belong to another row.
    Overflow,
    /// Its columns are not what their description says, or are too few.
    Columns,
}

impl<'a> File<'a> {
    /// The file that consists of the bytes of `cursor`.
    pub fn new(cursor: Cursor<'a>) -> Self {
        let header = Header::decode(cursor);
        let sizes = header.map(|header| header.page_size).filter(|&size| layout::is_page_size(size));
        let page_size = sizes.unwrap_or_else(|| guess(cursor));
        let reserved = header.map_or(0, |header| u64::from(header.reserved)).min(32);
        let mut file = File { cursor, header, page_size, usable: page_size - reserved, table: None, roots: Vec::new() };
        let (table, roots) = file.schema();
        file.table = table;
        file.roots = roots;
        file
    }

    /// Number of pages in the file; the last may be cut off.
    pub fn page_count(&self) -> u64 {
        self.cursor.len().div_ceil(self.page_size)
    }

    /// A set for all pages, by their numbers.
    pub fn page_set(&self) -> PageSet {
        PageSet::new(self.page_count().saturating_add(1))
    }

    /// The bytes of a page, as far as they lie in the file.
    pub fn page_span(&self, number: u32) -> Span {
        let start = u64::from(number).saturating_sub(1).saturating_mul(self.page_size).min(self.cursor.len());
        Span::new(start, start.saturating_add(self.page_size).min(self.cursor.len()))
    }

    /// A page of a tree, if the page is there and is one.
    pub fn page(&self, number: u32) -> Option<Page<'a>> {
        let span = self.page_span(number);
        let head_at = if number == 1 { HEADER_LEN } else { span.start };
        let head = Head::decode(self.cursor, head_at).filter(|_| number > 0 && span.len() == self.page_size)?;
        Some(Page { number, span, head, head_at, cursor: self.cursor, usable: self.usable })
    }

    /// The pages of the tree below `root`, each of them once.
    pub fn tree(&self, root: u32) -> Pages {
        let mut pages = Pages::default();
        let mut seen = self.page_set();
        let is_index = self.page(root).is_some_and(|page| page.head.kind.is_index());
        let mut stack = vec![(root, 0)];
        while let Some((number, level)) = stack.pop() {
            let whole = self.page_span(number).len() == self.page_size && number > 0;
            let page = self.page(number).filter(|page| page.head.kind.is_index() == is_index && level < MAX_DEPTH);
            let Some(page) = page else {
                pages.bad.push((number, if whole { Why::Kind } else { Why::Missing }));
                continue;
            };
            if !seen.insert(u64::from(number)) {
                pages.bad.push((number, Why::Again));
                continue;
            }
            if !page.head.kind.is_branch() {
                pages.leaves.push(number);
                continue;
            }
            pages.branches.push(number);
            let children = page.cells().filter_map(|cell| cell.child).chain(page.head.right);
            let from = stack.len();
            stack.extend(children.map(|child| (child, level.saturating_add(1))));
            stack.get_mut(from..).unwrap_or_default().reverse();
        }
        pages
    }

    /// The payload of a cell. A page in `used` is not read again, so no file makes us read more than it has.
    pub fn payload(&self, cell: &Cell, used: &mut PageSet) -> Option<Cow<'a, [u8]>> {
        let local = self.cursor.span(cell.local)?;
        let Some(mut page) = cell.overflow else { return Some(Cow::Borrowed(local)) };
        let mut payload = local.to_vec();
        while (payload.len() as u64) < cell.payload_len {
            if page == 0 || !used.insert(u64::from(page)) {
                return None;
            }
            let span = self.page_span(page);
            let left = cell.payload_len.checked_sub(payload.len() as u64)?;
            let start = span.start.checked_add(4)?;
            payload.extend_from_slice(self.cursor.bytes(start, left.min(self.usable.checked_sub(4)?))?);
            page = self.cursor.be_u32(span.start)?;
        }
        (page == 0).then_some(Cow::Owned(payload))
    }

    /// The columns of a row of the list.
    pub fn row(&self, table: &Table, cell: &Cell, used: &mut PageSet) -> Result<Row<'a>, BadRow> {
        let payload = self.payload(cell, used).ok_or(BadRow::Overflow)?;
        let columns = layout::columns(&payload, table.columns.max(2)).ok_or(BadRow::Columns)?;
        let (key_class, key) = columns.get(table.key).cloned().ok_or(BadRow::Columns)?;
        let (data_class, data) = columns.get(table.data).cloned().ok_or(BadRow::Columns)?;
        if key_class == Class::Number || key_class == Class::Null || data_class == Class::Number {
            return Err(BadRow::Columns);
        }
        let part = |range: std::ops::Range<usize>| match &payload {
            Cow::Borrowed(bytes) => bytes.get(range).map(Cow::Borrowed),
            Cow::Owned(bytes) => bytes.get(range).map(|bytes| Cow::Owned(bytes.to_vec())),
        };
        let (key, data) = part(key).zip(part(data)).ok_or(BadRow::Columns)?;
        Ok(Row { key, key_class, data, data_class })
    }

    /// The cell at a file offset on a leaf of a table.
    pub fn cell(&self, at: u64) -> Option<Cell> {
        let page = at / self.page_size;
        let limit = page.checked_mul(self.page_size)?.checked_add(self.usable)?;
        layout::cell(self.cursor, at, Kind::TableLeaf, self.usable, limit)
    }

    /// The table with the list, and the roots of everything, as the schema on page 1 tells.
    fn schema(&self) -> (Option<Table>, Vec<u32>) {
        let mut used = self.page_set();
        let (mut best, mut roots) = (None, Vec::new());
        for page in self.tree(1).leaves.iter().filter_map(|&number| self.page(number)) {
            for cell in page.cells() {
                let Some(payload) = self.payload(&cell, &mut used) else { continue };
                let Some(columns) = layout::columns(&payload, 5) else { continue };
                let text = |n: usize| {
                    let bytes = columns.get(n).and_then(|(_, range)| payload.get(range.clone())).unwrap_or_default();
                    String::from_utf8_lossy(bytes).into_owned()
                };
                let root =
                    columns.get(3).and_then(|(_, range)| payload.get(range.clone())).map(number).unwrap_or_default();
                if roots.len() >= MAX_OBJECTS || root == 0 || roots.contains(&root) {
                    continue;
                }
                roots.push(root);
                let table = (text(0) == "table").then(|| Table::parse(text(1), text(4), root)).flatten();
                let is_better = |table: &Table| best.is_none() || table.name == "mailboxes_db";
                best = table.filter(is_better).or(best);
            }
        }
        (best, roots)
    }
}

/// A big-endian number of up to 4 bytes; 0 for longer ones.
fn number(bytes: &[u8]) -> u32 {
    if bytes.len() > 4 {
        return 0;
    }
    bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

impl Table {
    /// A table with the columns `dbkey` and `data`.
    fn parse(name: String, sql: String, root: u32) -> Option<Table> {
        let (open, close) = (sql.find('(')?, sql.rfind(')')?);
        let list = sql.get(open.checked_add(1)?..close)?;
        let name_of = |column: &str| {
            let word = column.split_whitespace().next().unwrap_or_default();
            word.trim_matches(|c| matches!(c, '"' | '`' | '[' | ']')).to_ascii_lowercase()
        };
        let columns: Vec<String> = list.split(',').map(name_of).collect();
        let place = |wanted: &str| columns.iter().position(|column| column == wanted);
        let (key, data) = (place("dbkey")?, place("data")?);
        let rows = !sql.to_ascii_uppercase().contains("WITHOUT ROWID");
        rows.then_some(Table { name, root, key, data, columns: columns.len(), sql })
    }
}

/// The page size of a file whose header is damaged: that with which most pages begin like leaves or branches of a table.
fn guess(cursor: Cursor<'_>) -> u64 {
    const PAGES: u64 = 64;
    let score = |size: u64| {
        let heads = (1..PAGES).filter_map(|n| Head::decode(cursor, n.checked_mul(size)?));
        let fitting = heads.filter(|head| !head.kind.is_index() && u64::from(head.content) <= size && head.cells > 0);
        fitting.count() as u64 * size
    };
    (9..=16).map(|bits| 1u64 << bits).rev().max_by_key(|&size| (score(size), size == 4096)).unwrap_or(4096)
}

impl<'a> Page<'a> {
    /// Where the pointers to cells end.
    pub fn pointers_end(&self) -> u64 {
        let pointers = u64::from(self.head.cells).saturating_mul(2);
        self.head_at.saturating_add(self.head.len()).saturating_add(pointers)
    }

    /// Where used bytes of the page end.
    pub fn limit(&self) -> u64 {
        self.span.start.saturating_add(self.usable).min(self.span.end)
    }

    /// Where cells begin, by the page's own word.
    pub fn content_start(&self) -> u64 {
        let content = if self.head.content == 0 { 65_536 } else { u64::from(self.head.content) };
        self.span.start.saturating_add(content).min(self.limit())
    }

    /// The cells in the order of the pointers, those that can be read.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + use<'a> {
        let page = *self;
        let pointers = self.head_at.saturating_add(self.head.len());
        let fits = self.pointers_end() <= self.limit();
        (0..if fits { self.head.cells } else { 0 }).filter_map(move |n| {
            let at = page.cursor.be_u16(pointers.checked_add(u64::from(n) * 2)?)?;
            let at = page.span.start.checked_add(at.into())?;
            let inside = at >= page.pointers_end() && at < page.limit();
            layout::cell(page.cursor, at, page.head.kind, page.usable, page.limit()).filter(|_| inside)
        })
    }

    /// The cells that share no byte with one in front of them in the file.
    pub fn apart(&self) -> Vec<Cell> {
        let mut cells: Vec<(usize, Cell)> = self.cells().enumerate().collect();
        cells.sort_by_key(|(_, cell)| cell.span);
        let mut end = 0;
        cells.retain(|(_, cell)| {
            let apart = cell.span.start >= end;
            end = end.max(cell.span.end);
            apart
        });
        cells.sort_by_key(|(n, _)| *n);
        cells.into_iter().map(|(_, cell)| cell).collect()
    }

    /// The free blocks, as far as they ascend within the page.
    pub fn free_blocks(&self) -> Vec<Span> {
        let mut blocks = Vec::new();
        let mut at = u64::from(self.head.free_block);
        while at != 0 {
            let start = self.span.start.saturating_add(at);
            let next = self.cursor.be_u16(start).unwrap_or_default();
            let len = start.checked_add(2).and_then(|at| self.cursor.be_u16(at)).unwrap_or_default();
            let block = Span::at(start, len.into());
            if len < 4 || start < self.content_start() || block.end > self.limit() {
                break;
            }
            blocks.push(block);
            at = if u64::from(next) >= at.saturating_add(len.into()) { next.into() } else { 0 };
        }
        blocks
    }
}
