//! Checks every rule of the format.

use bstr::ByteSlice;

use super::layout::{Data, HEAD_LEN, MAGIC, META_LEN, Meta, NO_ROOT, Tree, flag, is_page_size};
use super::rules;
use super::scan::{Env, Pages, Why};
use crate::container::pages::PageSet;
use crate::container::{Depth, KeyOrder, OrderTally, Record};
use crate::finding::{Finding, Rule, Sink};
use crate::image::Span;

/// Checks the whole file; see [`Database::verify`](crate::container::Database::verify).
pub fn verify(env: &Env<'_>, depth: Depth, sink: &mut Sink<'_>) {
    let mut walk = Walk { env: *env, sink, used: env.page_set() };
    walk.metas();
    if depth == Depth::Header {
        return;
    }
    let Some(meta) = env.current() else { return };
    walk.main(&meta);
    walk.free(&meta);
    walk.previous();
}

struct Walk<'a, 's, 'k> {
    env: Env<'a>,
    sink: &'s mut Sink<'k>,
    /// Pages of the current trees.
    used: PageSet,
}

impl<'a> Walk<'a, '_, '_> {
    fn report(&mut self, rule: &'static Rule, span: Span, message: impl Into<String>) {
        let end = self.env.cursor.len();
        (self.sink)(Finding::new(rule, Span::new(span.start.min(end), span.end.min(end)), message.into()));
    }

    fn metas(&mut self) {
        let len = self.env.cursor.len();
        let needed = self.env.page_size.saturating_add(HEAD_LEN + META_LEN);
        if len < needed {
            self.report(&rules::META_CUT, Span::new(0, len), format!("{len} bytes do not hold two metas"));
        }
        if self.env.metas.iter().all(Option::is_none) {
            return self.without_magic();
        }
        for (number, meta) in (0..).zip(self.env.metas) {
            let span = self.env.page_span(number, 1);
            match meta {
                Some(meta) if !is_page_size(meta.page_size()) => {
                    let message = format!("meta {number} gives a page size of {}", meta.page_size());
                    self.report(&rules::PAGE_SIZE, Span::at(span.start.saturating_add(40), 4), message);
                }
                Some(meta) if meta.is_sound() => {}
                _ => self.report(&rules::META, Span::new(span.start, span.end), format!("meta {number} is damaged")),
            }
        }
        if let [Some(first), Some(second)] = self.env.metas
            && first.txnid.abs_diff(second.txnid) > 1
        {
            let message = format!("the metas are of transactions {} and {}", first.txnid, second.txnid);
            self.report(&rules::TXNID, Span::at(144, 8), message);
        }
        match self.env.current() {
            Some(meta) => self.current(&meta),
            None => self.report(&rules::MAGIC, Span::at(16, 4), "neither meta is sound"),
        }
    }

    fn without_magic(&mut self) {
        let cursor = self.env.cursor;
        let other = [(16, cursor.be_u32(16)), (12, cursor.le_u32(12)), (12, cursor.be_u32(12))];
        match other.into_iter().find(|(_, word)| *word == Some(MAGIC)) {
            Some((at, _)) => self.report(&rules::HOST, Span::at(at, 4), "the magic is that of a host of another kind"),
            None => self.report(&rules::MAGIC, Span::at(16, 4), "no meta has the magic"),
        }
    }

    fn current(&mut self, meta: &Meta) {
        let base = self.env.page_span(meta.page, 1).start;
        if meta.main.flags != 0 {
            let message = format!("the database has flags 0x{:X}", meta.main.flags);
            self.report(&rules::FLAGS, Span::at(base.saturating_add(92), 2), message);
        }
        let whole = self.env.cursor.len() / self.env.page_size;
        if meta.last_page >= whole {
            let message = format!("page {} is the last, and the file has {whole} whole pages", meta.last_page);
            self.report(&rules::MISSING_PAGES, Span::at(base.saturating_add(136), 8), message);
        }
    }

    fn tree(&mut self, tree: &Tree) -> Pages<'a> {
        let pages = self.env.tree(tree.root, tree.depth);
        for bad in &pages.bad {
            let span = self.env.page_span(bad.page, 1);
            let what = match bad.why {
                Why::Missing => "is not in the file".to_owned(),
                Why::Number => "says that it is another page".to_owned(),
                Why::Flags => "is not of the kind that its level has".to_owned(),
                Why::Again => "is in the tree a second time".to_owned(),
                Why::Bounds => "has pointers that lead nowhere".to_owned(),
            };
            let rule = if bad.why == Why::Bounds { &rules::NODES } else { &rules::TREE };
            let below = match (bad.low, bad.high) {
                (Some(low), Some(high)) => format!("keys from {} up to {}", low.as_bstr(), high.as_bstr()),
                (Some(low), None) => format!("keys from {} on", low.as_bstr()),
                (None, Some(high)) => format!("keys in front of {}", high.as_bstr()),
                (None, None) => "all keys".to_owned(),
            };
            self.report(rule, span, format!("page {} {what}; below it stood {below}", bad.page));
        }
        for &page in pages.leaves.iter().chain(&pages.branches) {
            self.nodes(page);
            if !self.used.insert(page) {
                let span = self.env.page_span(page, 1);
                self.report(&rules::TREE, span, format!("page {page} is in both trees"));
            }
        }
        pages
    }

    /// Whether nodes fill the end of a page without a gap.
    fn nodes(&mut self, number: u64) {
        let Some(page) = self.env.page(number) else { return };
        let spans: Vec<Span> = match page.head.flags & flag::LEAF {
            0 => page.branches().map(|node| node.span).collect(),
            _ => page.leaves().iter().map(|node| node.span).collect(),
        };
        let missing = usize::from(page.head.nodes()).saturating_sub(spans.len());
        if missing > 0 {
            let message = format!("{missing} nodes of page {number} can't be read");
            return self.report(&rules::NODES, page.span, message);
        }
        let filled = spans.iter().fold(0u64, |sum, span| sum.saturating_add(span.len()));
        if filled != page.span.end.saturating_sub(page.nodes_start()) {
            let message = format!("the nodes of page {number} leave bytes between them, or share some");
            self.report(&rules::NODES, page.span, message);
        }
    }

    fn main(&mut self, meta: &Meta) {
        let pages = self.tree(&meta.main);
        let mut tally = OrderTally::default();
        let mut before: Option<Record<'a>> = None;
        let (mut entries, mut overflow) = (0u64, 0u64);
        let env = self.env;
        for page in pages.leaves.iter().filter_map(|&number| env.page(number)) {
            let nodes = page.leaves();
            for node in &nodes {
                entries = entries.saturating_add(1);
                if node.key.len() > super::layout::MAX_KEY_LEN {
                    self.report(&rules::LONG_KEY, node.span, format!("a key of {} bytes", node.key.len()));
                }
                if let Data::Big { page, len } = node.data {
                    overflow = overflow.saturating_add(self.overflow(page, len, node.span));
                }
                let record = Record { key: node.key.into(), value: Default::default(), span: node.span };
                if let Some(before) = before {
                    self.pair(&before, &record, &mut tally);
                }
                before = Some(record);
            }
        }
        self.order(&tally);
        let counted = [
            ("records", meta.main.entries, entries),
            ("leaves", meta.main.leaf_pages, pages.leaves.len() as u64),
            ("branches", meta.main.branch_pages, pages.branches.len() as u64),
            ("overflow pages", meta.main.overflow_pages, overflow),
        ];
        let base = self.env.page_span(meta.page, 1).start;
        for (what, expected, found) in counted.into_iter().filter(|(_, expected, found)| expected != found) {
            let finding =
                Finding::new(&rules::COUNTS, Span::at(base.saturating_add(96), 32), format!("the number of {what}"));
            (self.sink)(finding.values(expected, found));
        }
        if entries == 0 {
            self.report(&rules::EMPTY, Span::at(base, HEAD_LEN + META_LEN), "the database holds no record");
        }
    }

    /// Checks the overflow pages of a value; gives their number.
    fn overflow(&mut self, number: u64, len: u32, node: Span) -> u64 {
        let fits = self.env.big(number, len).is_some();
        let count = self.env.page(number).map_or(0, |page| u64::from(page.head.count)).min(self.env.page_count());
        let last = number.saturating_add(if fits { count } else { 0 });
        let alone = (number..last).all(|page| self.used.insert(page));
        if !fits || !alone {
            let message = format!("{len} bytes should stand on pages from {number} on, and on no other's");
            self.report(&rules::OVERFLOW, node, message);
        }
        count
    }

    fn pair(&mut self, before: &Record<'a>, record: &Record<'a>, tally: &mut OrderTally) {
        if before.key == record.key {
            return self.report(&rules::DUPLICATE, record.span, format!("{} is there twice", record.key.as_bstr()));
        }
        tally.push((&before.key, before.span.start), (&record.key, record.span.start));
    }

    fn order(&mut self, tally: &OrderTally) {
        let misfits = [KeyOrder::Unsigned, KeyOrder::Mbox].map(|order| tally.misfit(order));
        if let [Some(unsigned), Some(mbox)] = misfits {
            let message = "this key does not ascend from the one in front of it";
            self.report(&rules::ORDER, Span::at(unsigned.second, 8), message);
            if unsigned.second != mbox.second {
                self.report(&rules::ORDER, Span::at(mbox.second, 8), "nor does this one in mailbox order");
            }
        }
    }

    /// The tree of free pages: a record a transaction, a count and page numbers.
    fn free(&mut self, meta: &Meta) {
        let pages = self.tree(&meta.free);
        let env = self.env;
        for page in pages.leaves.iter().filter_map(|&number| env.page(number)) {
            for record in page.leaves().iter().filter_map(|node| env.record(node)) {
                let words = record
                    .value
                    .chunks_exact(8)
                    .skip(1)
                    .filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
                let in_use =
                    words.filter(|&number| number != NO_ROOT && self.used.contains(number)).collect::<Vec<u64>>();
                for number in in_use {
                    let message = format!("page {number} is in use, and on the list of free pages");
                    self.report(&rules::FREE_IN_USE, env.page_span(number, 1), message);
                }
            }
        }
    }

    fn previous(&mut self) {
        let Some(previous) = self.env.previous() else { return };
        let pages = self.env.tree(previous.main.root, previous.main.depth);
        if let Some(bad) = pages.bad.first() {
            let message = format!("page {} of transaction {} can't be read any more", bad.page, previous.txnid);
            self.report(&rules::PREVIOUS, self.env.page_span(bad.page, 1), message);
        }
    }
}
