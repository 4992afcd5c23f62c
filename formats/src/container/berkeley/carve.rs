//! All that can be read of a file, however damaged: the chain of pages first, then every other page that holds records.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::scan::{Fault, File, Page, Pair};
use super::view;
use crate::container::pages::PageSet;
use crate::container::{Carved, Confidence, Kept, KeyOrder, Lost, Record};
use crate::image::Span;

/// Harvests every page; see [`Database::carve`](crate::container::Database::carve).
///
/// A key stands on one page only, so a sound page of the chain has its newest version whatever became of other pages. Of a
/// key on two pages, the one with the later log sequence number is kept; a page that no chain reaches is what a split cut
/// short has left.
pub fn carve(file: File<'_>, order: KeyOrder) -> Carved<'_> {
    let mut harvest = Harvest { file, used: file.page_set(), found: Vec::new() };
    let chain = view::chain(file);
    let mut chained = file.page_set();
    for &number in &chain {
        chained.insert(u64::from(number));
    }
    chain.iter().filter_map(|&number| file.page(number)).for_each(|page| harvest.page(&page, true));
    let others = file.pages().filter(|page| page.holds_records() && !chained.contains(page.number.into()));
    others.for_each(|page| harvest.page(&page, false));
    Carved { kept: harvest.newest(order), lost: lost(file), uncommitted: Vec::new() }
}

/// A record found, and what tells which of two is newer.
struct Found<'a> {
    kept: Kept<'a>,
    lsn: (u32, u32),
    rank: u64,
}

struct Harvest<'a> {
    file: File<'a>,
    used: PageSet,
    found: Vec<Found<'a>>,
}

impl<'a> Harvest<'a> {
    fn page(&mut self, page: &Page<'a>, chained: bool) {
        let items = page.items();
        let sound = items.faults.is_empty() && page.sum_is_right() && page.head.number == page.number;
        let confidence = match (chained, sound) {
            (true, true) => Confidence::Verified,
            (true, false) => Confidence::Unverified,
            (false, _) => Confidence::MaybeStale,
        };
        for pair in items.pairs().filter(|pair| !pair.is_deleted()) {
            if let Ok(record) = self.file.record(&pair, &mut self.used) {
                let (lsn, rank) = (page.head.lsn, self.found.len() as u64);
                self.found.push(Found { kept: Kept { record, confidence }, lsn, rank });
            }
        }
    }

    fn newest(mut self, order: KeyOrder) -> Vec<Kept<'a>> {
        self.found.sort_by(|a, b| {
            let keys = order.compare(&a.kept.record.key, &b.kept.record.key);
            keys.then_with(|| (Reverse(a.lsn), a.rank).cmp(&(Reverse(b.lsn), b.rank)))
        });
        self.found.dedup_by(|later, first| {
            let same = order.compare(&first.kept.record.key, &later.kept.record.key).is_eq();
            if same {
                first.kept.confidence = Confidence::MaybeStale;
            }
            same
        });
        self.found.into_iter().map(|found| found.kept).collect()
    }
}

/// The ranges that can't be read, with the keys around them.
fn lost<'a>(file: File<'a>) -> Vec<Lost<'a>> {
    let mut ranges: Vec<Lost<'a>> = Vec::new();
    let mut open = 0usize;
    let mut before = None;
    for number in file.numbers() {
        let page = file.page(number).filter(|page| page.holds_records());
        let pairs = page.map(|page| page.pairs()).unwrap_or_default();
        let key = |pair: Option<&Pair<'a>>| pair.and_then(|pair| pair.key.here()).map(Cow::Borrowed);
        if let Some(first) = key(pairs.first()) {
            ranges.iter_mut().skip(open).for_each(|lost| lost.after = Some(first.clone()));
            open = ranges.len();
        }
        before = key(pairs.last()).or(before);
        let span = damaged(file, number).filter(|span| !span.is_empty());
        ranges.extend(span.map(|span| Lost { span, before: before.clone(), after: None }));
    }
    ranges
}

/// What of a page can't be read.
fn damaged(file: File<'_>, number: u32) -> Option<Span> {
    let span = file.page_span(number);
    let Some(page) = file.page(number) else { return Some(span) };
    if page.holds_records() {
        let bad = page.items().faults.iter().any(|fault| !matches!(fault, Fault::Unreferenced(_)));
        return bad.then_some(Span::new(page.index_end().min(span.end), span.end));
    }
    let known = super::layout::page_type::name(page.head.page_type) != "unknown";
    let numbered = page.head.number == number && known;
    (!numbered && !page.is_blank() || !page.is_whole()).then_some(span)
}

/// Puts what the log makes of the pages in the place of what the pages hold; `complete` says whether that is all of it.
pub fn replayed<'a>(carved: &mut Carved<'a>, records: Vec<Record<'a>>, complete: bool, order: KeyOrder) {
    let confidence = if complete { Confidence::Verified } else { Confidence::MaybeStale };
    let mut kept: Vec<Kept<'a>> = records.into_iter().map(|record| Kept { record, confidence }).collect();
    if !complete {
        kept.append(&mut carved.kept);
    }
    // A stable sort keeps the log's version of a key in front of that of the pages.
    kept.sort_by(|a, b| order.compare(&a.record.key, &b.record.key));
    kept.dedup_by(|later, first| order.compare(&first.record.key, &later.record.key).is_eq());
    carved.kept = kept;
}
