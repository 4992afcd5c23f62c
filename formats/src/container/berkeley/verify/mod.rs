//! Checks every rule of the format: page by page, then the chains through them.

mod head;

use bstr::ByteSlice;
use xxhash_rust::xxh3::xxh3_64;

use super::layout::{BadItem, META_LEN, Method, page_type};
use super::rules;
use super::scan::{Fault, File, Page};
use super::view;
use crate::container::order::repeated;
use crate::container::pages::PageSet;
use crate::container::{Depth, KeyOrder, OrderTally, Record};
use crate::finding::{Finding, Rule, Sink};
use crate::image::Span;

pub use head::log;

/// Checks the whole file; see [`Database::verify`](crate::container::Database::verify).
///
/// `replayed` says that the pages lack changes, and that the log makes all of them good.
pub fn verify(file: File<'_>, depth: Depth, replayed: bool, sink: &mut Sink<'_>) {
    head::metadata(file, sink);
    if depth == Depth::Header || file.cursor.len() < META_LEN {
        return;
    }
    let mut walk = Walk { file, sink, records: 0, deleted: Seen::default() };
    for number in file.numbers() {
        walk.page(number);
    }
    let chain = view::chain(file);
    match file.layout.method {
        Method::Btree => walk.tree(&chain),
        Method::Hash => walk.buckets(),
    }
    walk.reached(&chain);
    walk.records(&chain);
    walk.free_list();
    walk.counts(replayed);
}

/// How many there are of a kind, and the first.
#[derive(Default)]
struct Seen {
    count: u64,
    first: Option<Span>,
}

impl Seen {
    fn push(&mut self, span: Span) {
        self.count = self.count.saturating_add(1);
        self.first.get_or_insert(span);
    }
}

struct Walk<'a, 's, 'k> {
    file: File<'a>,
    sink: &'s mut Sink<'k>,
    records: u64,
    deleted: Seen,
}

impl<'a> Walk<'a, '_, '_> {
    fn report(&mut self, rule: &'static Rule, span: Span, message: String) {
        let end = self.file.cursor.len();
        (self.sink)(Finding::new(rule, Span::new(span.start.min(end), span.end.min(end)), message));
    }

    /// A page by itself.
    fn page(&mut self, number: u32) {
        let span = self.file.page_span(number);
        let Some(page) = self.file.page(number) else { return };
        if page.is_blank() && page.is_whole() {
            return;
        }
        if page.head.number != number {
            let message = format!("page {number} says that it is page {}", page.head.number);
            return self.report(&rules::PAGE_NUMBER, span, message);
        }
        if page.is_whole() && !page.sum_is_right() {
            self.report(&rules::SUM, span, format!("the sum of page {number} is wrong"));
        }
        let known = match self.file.layout.method {
            Method::Btree => [page_type::UNUSED, page_type::OVERFLOW, page_type::LEAF, page_type::INTERNAL],
            Method::Hash => [page_type::UNUSED, page_type::OVERFLOW, page_type::HASH, page_type::HASH_UNSORTED],
        };
        if !known.contains(&page.head.page_type) {
            let message = format!("page {number} has type {}, which has no place here", page.head.page_type);
            return self.report(&rules::PAGE_TYPE, span, message);
        }
        if page.holds_records() {
            self.items(&page);
        } else if page.head.page_type == page_type::INTERNAL {
            self.internal(&page);
        }
    }

    fn items(&mut self, page: &Page<'a>) {
        let items = page.items();
        let number = page.number;
        for fault in &items.faults {
            match *fault {
                Fault::Index => self.bad_index(page),
                Fault::Item(n, at, BadItem::Place) => {
                    let message = format!("item {n} of page {number} can't stand at offset {}", at - page.span.start);
                    self.report(&rules::INDEX, Span::at(at.min(page.span.end), 1), message);
                }
                Fault::Item(n, at, BadItem::Type(item_type)) => {
                    let message = format!("item {n} of page {number} has type {item_type}");
                    self.report(&rules::ITEM_TYPE, Span::at(at, 3), message);
                }
                Fault::Odd => {
                    let span = Span::at(page.span.start.saturating_add(20), 2);
                    self.report(&rules::ODD_ITEMS, span, format!("page {number} has {} items", page.head.entries));
                }
                Fault::Unreferenced(span) => {
                    let message = format!("{} bytes of page {number} belong to no item", span.len());
                    self.report(&rules::UNREFERENCED, span, message);
                }
            }
        }
        items.pairs().filter(|pair| pair.is_deleted()).for_each(|pair| self.deleted.push(pair.span()));
    }

    fn bad_index(&mut self, page: &Page<'a>) {
        let span = Span::at(page.span.start.saturating_add(20), 2);
        let message = format!("the index of page {} would have {} items", page.number, page.head.entries);
        self.report(&rules::INDEX, span, message);
    }

    fn internal(&mut self, page: &Page<'a>) {
        let count = page.children().count();
        if count == 0 || count != usize::from(page.head.entries) {
            self.bad_index(page);
        }
    }

    /// The levels above the leaves, and whether the chain goes through the leaves as they do.
    fn tree(&mut self, chain: &[u32]) {
        let Some(meta) = self.file.meta else { return };
        let root = meta.root.unwrap_or_default();
        let fits = |page: &Page<'_>| matches!(page.head.page_type, page_type::INTERNAL | page_type::LEAF);
        let Some(page) = self.file.linked(root).filter(fits) else {
            let at = if meta.version == 7 { 72 } else { 88 };
            return self.report(&rules::TREE, Span::at(at, 4), format!("the root, page {root}, is no page of a tree"));
        };
        let leaves = self.leaves(page);
        for (leaf, chained) in leaves.iter().zip(chain.iter().map(Some).chain(std::iter::repeat(None))) {
            if Some(leaf) != chained {
                let span = self.file.page_span(*leaf);
                let instead = chained.map_or("it ends".to_owned(), |page| format!("page {page} follows"));
                self.report(
                    &rules::LEAF_CHAIN,
                    span,
                    format!("page {leaf} should come next in the chain of leaves, but {instead}"),
                );
                break;
            }
        }
        if let Some(extra) = chain.get(leaves.len()).filter(|_| chain.starts_with(&leaves)) {
            let span = self.file.page_span(*extra);
            self.report(&rules::TREE, span, format!("page {extra} is in the chain of leaves, but not below the root"));
        }
        self.links(chain);
    }

    /// The leaves below `root` from left to right.
    fn leaves(&mut self, root: Page<'a>) -> Vec<u32> {
        let mut seen = self.file.page_set();
        let mut leaves = Vec::new();
        let mut stack = vec![(root.number, root.head.level)];
        while let Some((number, level)) = stack.pop() {
            let child = self.file.linked(number).filter(|page| page.head.level == level);
            let page_type = child.map(|page| page.head.page_type);
            let fits = page_type == Some(if level > 1 { page_type::INTERNAL } else { page_type::LEAF });
            let Some(page) = child.filter(|_| fits && seen.insert(u64::from(number))) else {
                let message = format!("page {number} should be a page of level {level} below the root, once");
                self.report(&rules::TREE, self.file.page_span(number), message);
                continue;
            };
            if level <= 1 {
                leaves.push(number);
                continue;
            }
            let from = stack.len();
            stack.extend(page.children().map(|child| (child, level.saturating_sub(1))));
            stack.get_mut(from..).unwrap_or_default().reverse();
        }
        leaves
    }

    /// Whether each page of a chain names the one in front of it, and the last one none behind it.
    fn links(&mut self, chain: &[u32]) {
        let mut before = 0;
        for &number in chain {
            let Some(page) = self.file.page(number) else { continue };
            if page.head.prev != before {
                let span = Span::at(page.span.start.saturating_add(12), 4);
                let message =
                    format!("page {number} says that page {} is in front of it, not {before}", page.head.prev);
                self.report(&rules::LEAF_CHAIN, span, message);
            }
            before = number;
        }
        if let Some(last) = self.file.page(before).filter(|last| last.head.next != 0) {
            let span = Span::at(last.span.start.saturating_add(16), 4);
            let message = format!("page {} follows page {before}, and is no further page of the chain", last.head.next);
            self.report(&rules::LEAF_CHAIN, span, message);
        }
    }

    /// Every bucket has its first page, and every chain its links back.
    fn buckets(&mut self) {
        let Some(meta) = self.file.meta else { return };
        let buckets = meta.max_bucket.map_or(0, |max| u64::from(max).saturating_add(1)).min(self.file.page_count());
        let mut heads = self.file.page_set();
        for bucket in (0..buckets).filter_map(|bucket| u32::try_from(bucket).ok()) {
            let Some(number) = meta.bucket_page(self.file.cursor, bucket) else { continue };
            heads.insert(u64::from(number));
            let page = self.file.page(number);
            let fits = page.is_some_and(|page| page.is_blank() || page.holds_records() && page.head.prev == 0);
            if !fits {
                let message = format!("bucket {bucket} starts at page {number}, which is no first page of a bucket");
                self.report(&rules::BUCKET, self.file.page_span(number), message);
            }
        }
        for page in self.file.pages().filter(Page::holds_records) {
            let next =
                self.file.linked(page.head.next).filter(|next| next.holds_records() && next.head.prev == page.number);
            if page.head.next != 0 && next.is_none() {
                let message = format!("page {} follows page {}, and does not say so", page.head.next, page.number);
                self.report(&rules::LEAF_CHAIN, Span::at(page.span.start.saturating_add(16), 4), message);
            }
            let lone = page.head.prev == 0 && page.head.entries > 0 && !heads.contains(u64::from(page.number));
            if lone && meta.max_bucket.is_some() {
                let message = format!("page {} is the first of a bucket that the table does not have", page.number);
                self.report(&rules::UNREACHABLE, page.span, message);
            }
        }
    }

    /// Pages with records that no chain reaches.
    fn reached(&mut self, chain: &[u32]) {
        let mut reached = self.file.page_set();
        for &number in chain {
            reached.insert(u64::from(number));
        }
        for page in self.file.pages().filter(|page| page.holds_records() && !reached.contains(u64::from(page.number))) {
            let message = format!("no chain leads to page {} with {} records", page.number, page.head.entries / 2);
            self.report(&rules::UNREACHABLE, page.span, message);
        }
    }

    /// Order, duplicates and long values along the chain.
    fn records(&mut self, chain: &[u32]) {
        let mut used = self.file.page_set();
        let mut tally = OrderTally::default();
        let mut before: Option<Record<'a>> = None;
        let file = self.file;
        for page in chain.iter().filter_map(|&number| file.page(number)) {
            for pair in page.pairs() {
                let record = match self.file.record(&pair, &mut used) {
                    Ok(record) => record,
                    Err(bad) => {
                        let message = format!("its data ends at page {}, or is used by another item", bad.page);
                        self.report(&rules::OVERFLOW, pair.span(), message);
                        continue;
                    }
                };
                if pair.is_deleted() {
                    continue;
                }
                self.records = self.records.saturating_add(1);
                if let Some(before) = before.filter(|_| self.file.layout.method == Method::Btree) {
                    self.pair(&before, &record, &mut tally);
                }
                before = Some(record);
            }
        }
        self.order(&tally);
        if self.file.layout.method == Method::Hash {
            self.hash_duplicates(chain);
        }
        self.unused_overflow(&used);
    }

    fn pair(&mut self, before: &Record<'a>, record: &Record<'a>, tally: &mut OrderTally) {
        if before.key == record.key {
            let message = format!("{} is there twice", record.key.as_bstr());
            return self.report(&rules::DUPLICATE, record.span, message);
        }
        tally.push((&before.key, before.span.start), (&record.key, record.span.start));
    }

    fn order(&mut self, tally: &OrderTally) {
        let [unsigned, mbox] = [KeyOrder::Unsigned, KeyOrder::Mbox].map(|order| tally.misfit(order));
        let (Some(unsigned), Some(mbox)) = (unsigned, mbox) else { return };
        for misfit in [unsigned, mbox] {
            let message = "this key does not ascend from the one in front of it".to_owned();
            self.report(&rules::ORDER, Span::at(misfit.second, 1), message);
            if unsigned == mbox {
                break;
            }
        }
    }

    /// Keys of a hash table that are there twice, in one bucket or in two. Takes eight bytes a key, and a second pass only
    /// if two of them have the same hash.
    fn hash_duplicates(&mut self, chain: &[u32]) {
        let file = self.file;
        let each = |visit: &mut dyn FnMut(Record<'a>)| {
            view::walk(file, chain, &mut |record| {
                visit(record);
                true
            });
        };
        let mut hashes = Vec::new();
        each(&mut |record| hashes.push(xxh3_64(&record.key)));
        let twice = repeated(hashes);
        if twice.is_empty() {
            return;
        }
        let mut keys = Vec::new();
        each(&mut |record| keys.extend(twice.contains(&xxh3_64(&record.key)).then_some((record.key, record.span))));
        keys.sort_unstable();
        for pair in keys.windows(2) {
            if let [(first, _), (key, span)] = pair
                && first == key
            {
                self.report(&rules::DUPLICATE, *span, format!("{} is there twice", key.as_bstr()));
            }
        }
    }

    /// Overflow pages that no record uses. A btree may keep long keys of internal pages on such pages.
    fn unused_overflow(&mut self, used: &PageSet) {
        if self.file.layout.method == Method::Btree {
            return;
        }
        let overflow = self.file.pages().filter(|page| page.head.page_type == page_type::OVERFLOW);
        for page in overflow.filter(|page| page.head.number == page.number && !used.contains(page.number.into())) {
            let message = format!("page {} is part of a long key or value that no item has", page.number);
            self.report(&rules::OVERFLOW, page.span, message);
        }
    }

    fn free_list(&mut self) {
        let Some(meta) = self.file.meta else { return };
        let mut seen = self.file.page_set();
        let mut at = meta.free;
        while at != 0 {
            let page = self.file.linked(at).filter(|page| page.head.page_type == page_type::UNUSED);
            let Some(page) = page.filter(|_| seen.insert(u64::from(at))) else {
                let message = format!("page {at} is on the free list, but is in use, or is there twice");
                return self.report(&rules::FREE_LIST, self.file.page_span(at), message);
            };
            at = page.head.next;
        }
    }

    fn counts(&mut self, replayed: bool) {
        if let Some(first) = self.deleted.first {
            let count = self.deleted.count;
            self.report(
                &rules::DELETED_ITEMS,
                first,
                format!("{count} records are marked deleted and still in their place"),
            );
        }
        if self.records == 0 && !replayed {
            let span = Span::new(0, self.file.cursor.len());
            let message = "the pages hold no record at all; what was stored may be only in the log files".to_owned();
            self.report(&rules::EMPTY, span, message);
        }
    }
}
