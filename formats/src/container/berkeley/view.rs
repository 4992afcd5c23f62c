//! Live records in the file's own order: along the chain of leaves, or bucket by bucket. Never by search, since the file
//! does not tell which comparator its keys are sorted by.

use super::layout::{Method, page_type};
use super::scan::{File, Page};
use crate::container::pages::PageSet;
use crate::container::{OrderTally, Record, View};

/// Most levels that a walk from the root down to the first leaf takes.
const MAX_LEVELS: usize = 255;

/// The pages with records in the order of the file, by its own links.
pub fn chain(file: File<'_>) -> Vec<u32> {
    let mut seen = file.page_set();
    let mut pages = Vec::new();
    match file.layout.method {
        Method::Btree => follow(file, leftmost(file), &mut seen, &mut pages),
        Method::Hash => {
            let heads = file.pages().filter(|page| page.holds_records() && page.head.prev == 0);
            heads.for_each(|head| follow(file, Some(head), &mut seen, &mut pages));
        }
    }
    pages
}

/// Adds the pages from `first` along the links to the next one.
fn follow<'a>(file: File<'a>, first: Option<Page<'a>>, seen: &mut PageSet, pages: &mut Vec<u32>) {
    let mut at = first;
    while let Some(page) = at.filter(|page| page.holds_records() && seen.insert(u64::from(page.number))) {
        pages.push(page.number);
        at = file.linked(page.head.next);
    }
}

/// The first leaf: down from the root, or, where that fails, the one that has none in front of it.
pub fn leftmost(file: File<'_>) -> Option<Page<'_>> {
    let mut at = file.meta.and_then(|meta| meta.root).and_then(|root| file.linked(root));
    for _ in 0..MAX_LEVELS {
        match at {
            Some(page) if page.head.page_type == page_type::INTERNAL => {
                at = page.children().next().and_then(|child| file.linked(child));
            }
            other => {
                at = other;
                break;
            }
        }
    }
    let first = || file.pages().find(|page| page.holds_records() && page.head.prev == 0);
    at.filter(Page::holds_records).or_else(first)
}

/// Walks the live records of the given pages; the visitor answers `false` to stop. Answers whether it never did.
pub fn walk<'a>(file: File<'a>, pages: &[u32], visit: &mut dyn FnMut(Record<'a>) -> bool) -> bool {
    let mut used = file.page_set();
    pages.iter().filter_map(|&number| file.page(number)).all(|page| {
        let pairs = page.pairs();
        let live = pairs.iter().filter(|pair| !pair.is_deleted());
        live.filter_map(|pair| file.record(pair, &mut used).ok()).all(&mut *visit)
    })
}

/// Which comparators fit the keys in the file's order; none, as a rule, for a hash table.
pub fn tally(file: File<'_>) -> OrderTally {
    let mut tally = OrderTally::default();
    let mut before: Option<Record<'_>> = None;
    walk(file, &chain(file), &mut |record| {
        if let Some(before) = &before {
            push(&mut tally, before, &record);
        }
        before = Some(record);
        true
    });
    tally
}

/// Which comparators fit these records.
pub fn tally_of(records: &[Record<'_>]) -> OrderTally {
    let mut tally = OrderTally::default();
    for pair in records.windows(2) {
        if let [before, record] = pair {
            push(&mut tally, before, record);
        }
    }
    tally
}

fn push(tally: &mut OrderTally, before: &Record<'_>, record: &Record<'_>) {
    tally.push((&before.key, before.span.start), (&record.key, record.span.start));
}

/// The view of a file.
pub struct PageView<'a> {
    file: File<'a>,
    pages: Vec<u32>,
    /// Number of pages of each part but the last.
    stride: usize,
    parts: usize,
}

impl<'a> PageView<'a> {
    /// A view in at most `parts` parts of the same number of pages.
    pub fn new(file: File<'a>, parts: usize) -> Self {
        let pages = chain(file);
        let stride = pages.len().div_ceil(parts.clamp(1, 256)).max(1);
        let parts = pages.len().div_ceil(stride).max(1);
        PageView { file, pages, stride, parts }
    }
}

impl<'a> View<'a> for PageView<'a> {
    fn parts(&self) -> usize {
        self.parts
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        if let Some(pages) = self.pages.chunks(self.stride).nth(part) {
            walk(self.file, pages, visit);
        }
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let mut found = None;
        walk(self.file, &self.pages, &mut |record| {
            if record.key == key {
                found = Some(record);
            }
            found.is_none()
        });
        found
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        walk(self.file, &self.pages, &mut |record| !record.key.starts_with(prefix) || visit(record));
    }
}
