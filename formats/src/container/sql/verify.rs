//! Checks every rule of the format.

use std::hash::{DefaultHasher, Hash, Hasher};

use bstr::ByteSlice;

use super::layout::{Cell, Class, HEADER_LEN, Header, Kind, MAGIC, is_page_size};
use super::rules;
use super::scan::{BadRow, File, Page, Pages, Row, Why};
use super::tiles::overflow;
use crate::container::Depth;
use crate::container::pages::PageSet;
use crate::finding::{Finding, Rule, Sink};
use crate::image::{Part, Parts, Span};

/// Length in bytes of a statement that Cyrus makes for a lookup or a deletion, the words around the key left out.
const MAX_KEY_LEN: usize = 970;
/// First bytes of a rollback journal that is to be rolled back.
const JOURNAL_MAGIC: [u8; 8] = [0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7];

/// Checks the whole file; see [`Database::verify`](crate::container::Database::verify).
pub fn verify(file: &File<'_>, parts: &Parts<'_>, depth: Depth, sink: &mut Sink<'_>) {
    let mut walk = Walk { file, sink, trees: file.page_set(), overflow: file.page_set() };
    walk.header();
    walk.beside(parts);
    if depth == Depth::Header {
        return;
    }
    walk.trees();
    walk.rows();
    walk.free();
}

/// Whether a file beside the database holds what is not in it: a journal to be rolled back, or a log to be taken over.
pub fn is_hot(part: &Part<'_>) -> bool {
    part.name.ends_with("-journal") && part.bytes.starts_with(&JOURNAL_MAGIC)
        || part.name.ends_with("-wal") && part.bytes.len() > 32
}

/// Adds the pages of the free list to `free`; the page where the list breaks, if it does.
pub fn free_pages(file: &File<'_>, free: &mut PageSet) -> Option<u32> {
    let mut trunk = file.header.map_or(0, |header| header.free_trunk);
    while trunk != 0 {
        let span = file.page_span(trunk);
        if span.len() < file.page_size || !free.insert(trunk.into()) {
            return Some(trunk);
        }
        let word = |n: u64| file.cursor.be_u32(span.start.checked_add(n.checked_mul(4)?)?);
        let leaves = u64::from(word(1).unwrap_or_default());
        if leaves > (file.usable / 4).saturating_sub(2) {
            return Some(trunk);
        }
        for leaf in (0..leaves).filter_map(|n| word(n.saturating_add(2))) {
            if leaf == 0 || !free.insert(leaf.into()) {
                return Some(leaf);
            }
        }
        trunk = word(0).unwrap_or_default();
    }
    None
}

struct Walk<'f, 'a, 's, 'k> {
    file: &'f File<'a>,
    sink: &'s mut Sink<'k>,
    /// Pages of trees.
    trees: PageSet,
    /// Overflow pages.
    overflow: PageSet,
}

impl<'a> Walk<'_, 'a, '_, '_> {
    fn report(&mut self, rule: &'static Rule, span: Span, message: impl Into<String>) {
        let end = self.file.cursor.len();
        (self.sink)(Finding::new(rule, Span::new(span.start.min(end), span.end.min(end)), message.into()));
    }

    fn header(&mut self) {
        let len = self.file.cursor.len();
        if len < HEADER_LEN {
            self.report(&rules::HEADER_CUT, Span::new(0, len), format!("{len} bytes of a header"));
        }
        let Some(header) = self.file.header else {
            if !self.file.cursor.all().starts_with(MAGIC) {
                self.report(&rules::MAGIC, Span::new(0, 16), "the magic is not there");
            }
            return;
        };
        if !is_page_size(header.page_size) {
            self.report(&rules::PAGE_SIZE, Span::at(16, 2), format!("a page size of {}", header.page_size));
        }
        if header.encoding > 1 {
            self.report(&rules::ENCODING, Span::at(56, 4), format!("text encoding {}", header.encoding));
        }
        self.size(&header);
    }

    fn size(&mut self, header: &Header) {
        let whole = self.file.cursor.len() / self.file.page_size;
        // The count in the header is only valid for the change that wrote it.
        let counted = if header.changes == header.valid_for { u64::from(header.page_count) } else { 0 };
        if counted > whole || whole < self.file.page_count() {
            let message = format!("the file has {whole} whole pages of {}", counted.max(self.file.page_count()));
            self.report(&rules::MISSING_PAGES, Span::at(28, 4), message);
        }
    }

    fn beside(&mut self, parts: &Parts<'_>) {
        for part in parts.iter().skip(1).filter(|part| is_hot(part)) {
            let rule = if part.name.ends_with("-wal") { &rules::WAL } else { &rules::JOURNAL };
            let message = format!("{} holds {} bytes that are to be taken into account", part.name, part.bytes.len());
            (self.sink)(Finding::new(rule, part.span(), message));
        }
    }

    /// All trees, of which the list's is one.
    fn trees(&mut self) {
        let file = self.file;
        for root in [1].into_iter().chain(file.roots.iter().copied()) {
            let pages = file.tree(root);
            self.bad(&pages);
            for &number in pages.leaves.iter().chain(&pages.branches) {
                if !self.trees.insert(number.into()) {
                    self.report(&rules::TREE, file.page_span(number), format!("page {number} is in two trees"));
                    continue;
                }
                if let Some(page) = file.page(number) {
                    self.page(&page);
                }
            }
        }
        let Some(table) = &file.table else {
            let span = file.page_span(1);
            return self.report(&rules::NO_TABLE, span, "there is no table with the columns dbkey and data");
        };
        if table.columns != 2 {
            let message = format!("{} has {} columns: {}", table.name, table.columns, table.sql);
            self.report(&rules::COLUMNS, file.page_span(1), message);
        }
    }

    fn bad(&mut self, pages: &Pages) {
        for &(number, why) in &pages.bad {
            let what = match why {
                Why::Missing => "is not in the file",
                Why::Kind => "is no page of this tree",
                Why::Again => "is in the tree a second time",
            };
            self.report(&rules::TREE, self.file.page_span(number), format!("page {number} {what}"));
        }
    }

    /// Cells and free space of one page.
    fn page(&mut self, page: &Page<'a>) {
        let cells = page.apart();
        let missing = usize::from(page.head.cells).saturating_sub(cells.len());
        if missing > 0 {
            let message = format!("{missing} cells of page {} can't be read", page.number);
            return self.report(&rules::CELLS, page.span, message);
        }
        let sum = |spans: &mut dyn Iterator<Item = Span>| spans.fold(0u64, |sum, span| sum.saturating_add(span.len()));
        let in_cells = sum(&mut cells.iter().map(|cell| cell.span));
        let free = sum(&mut page.free_blocks().into_iter()).saturating_add(page.head.fragments.into());
        let content = page.limit().saturating_sub(page.content_start());
        if in_cells.saturating_add(free) != content || page.pointers_end() > page.content_start() {
            let message =
                format!("page {} has {content} bytes of content, {in_cells} in cells and {free} free", page.number);
            self.report(&rules::FREE_SPACE, page.span, message);
        }
        cells
            .iter()
            .filter(|_| page.head.kind != Kind::TableLeaf)
            .for_each(|cell| overflow(self.file, cell, &mut self.overflow));
    }

    /// The rows of the list, and of other tables as far as their overflow pages go.
    fn rows(&mut self) {
        let file = self.file;
        let list = file.table.as_ref().map(|table| table.root);
        for root in [1].into_iter().chain(file.roots.iter().copied().filter(|&root| Some(root) != list)) {
            for page in file.tree(root).leaves.iter().filter_map(|&number| file.page(number)) {
                page.cells().for_each(|cell| overflow(file, &cell, &mut self.overflow));
            }
        }
        let Some(table) = &file.table else { return };
        let mut keys = Keys::default();
        let mut before = None;
        let mut rows = 0u64;
        for page in file.tree(table.root).leaves.iter().filter_map(|&number| file.page(number)) {
            for cell in page.apart() {
                rows = rows.saturating_add(1);
                if before.is_some_and(|before| before >= signed(cell.row)) {
                    self.report(&rules::ROW_ORDER, cell.span, format!("row {} stands behind a higher one", cell.row));
                }
                before = Some(signed(cell.row));
                match file.row(table, &cell, &mut self.overflow) {
                    Ok(row) => self.row(&cell, &row, &mut keys),
                    Err(BadRow::Overflow) => {
                        self.report(&rules::OVERFLOW, cell.span, format!("row {} is cut off", cell.row))
                    }
                    Err(BadRow::Columns) => {
                        let message = format!("row {} has no key and value of text", cell.row);
                        self.report(&rules::ROW, cell.span, message);
                    }
                }
            }
        }
        self.duplicates(keys);
        if rows == 0 {
            self.report(&rules::EMPTY, file.page_span(table.root), format!("{} has no rows", table.name));
        }
    }

    fn row(&mut self, cell: &Cell, row: &Row<'a>, keys: &mut Keys) {
        let key = row.key.as_bstr();
        keys.push(&row.key, cell.span.start);
        if row.key_class == Class::Blob {
            self.report(&rules::BLOB_KEY, cell.span, format!("the key {key} is bytes, not text"));
        }
        if row.data_class == Class::Null {
            self.report(&rules::NULL_DATA, cell.span, format!("{key} has no data at all"));
        }
        if row.key.contains(&b'\'') || row.data.contains(&b'\'') {
            self.report(&rules::APOSTROPHE, cell.span, format!("an apostrophe in the row of {key}"));
        }
        if row.key.len() > MAX_KEY_LEN {
            self.report(&rules::TOO_LONG, cell.span, format!("a key of {} bytes", row.key.len()));
        }
    }

    fn duplicates(&mut self, mut keys: Keys) {
        let Some(table) = &self.file.table else { return };
        keys.places.sort_unstable();
        let mut seen: Vec<(u64, Vec<u8>)> = Vec::new();
        for pair in keys.places.windows(2) {
            let &[(hash, first), (other, second)] = pair else { continue };
            if hash != other {
                continue;
            }
            let key = |at: u64| {
                let cell = self.file.cell(at)?;
                let row = self.file.row(table, &cell, &mut self.file.page_set()).ok()?;
                Some((cell.span, row.key.into_owned()))
            };
            let (Some((_, first)), Some((span, second))) = (key(first), key(second)) else { continue };
            seen.retain(|(kept, _)| *kept == hash);
            seen.push((hash, first));
            if seen.iter().any(|(_, key)| *key == second) {
                self.report(&rules::DUPLICATE, span, format!("{} is there twice", second.as_bstr()));
            }
            seen.truncate(8);
        }
    }

    fn free(&mut self) {
        let file = self.file;
        let mut free = file.page_set();
        let broken = free_pages(file, &mut free);
        let Some(header) = file.header else { return };
        let is_used = |number: u64| self.trees.contains(number) || self.overflow.contains(number);
        let all = 1..=file.page_count();
        let both: Vec<u64> = all.clone().filter(|&number| free.contains(number) && is_used(number)).collect();
        let count = all.clone().filter(|&number| free.contains(number)).count() as u64;
        let lone: Vec<u64> = all.filter(|&number| !free.contains(number) && !is_used(number)).collect();
        if broken.is_some() || count != u64::from(header.free_count) {
            let finding =
                Finding::new(&rules::FREE_LIST, Span::at(32, 8), "the list of free pages is not what the header says");
            (self.sink)(finding.values(header.free_count, count));
        }
        let span = |number: u64| file.page_span(u32::try_from(number).unwrap_or(u32::MAX));
        for number in both {
            self.report(&rules::FREE_LIST, span(number), format!("page {number} is free, and in use"));
        }
        for number in lone.into_iter().filter(|_| header.vacuum == 0) {
            self.report(&rules::UNUSED_PAGE, span(number), format!("page {number} is in no tree and not free"));
        }
    }
}

/// Row numbers are signed.
fn signed(row: u64) -> i64 {
    i64::from_ne_bytes(row.to_ne_bytes())
}

/// Where each key stands, by a hash of it.
#[derive(Default)]
struct Keys {
    places: Vec<(u64, u64)>,
}

impl Keys {
    fn push(&mut self, key: &[u8], at: u64) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.places.push((hasher.finish(), at));
    }
}
