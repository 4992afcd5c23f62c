//! All that can be read of a file, however damaged, and what is left of records that are gone.

use std::cmp::Ordering;

use super::layout::Data;
use super::scan::{Bad, Env, Page, Pages, Why};
use super::view;
use crate::container::pages::PageSet;
use crate::container::{Carved, Confidence, Kept, KeyOrder, Lost, Record};

/// Most lost ranges of keys that are told apart; with more of them, any key may be lost.
const MAX_RANGES: usize = 256;

/// Harvests the file; see [`Database::carve`](crate::container::Database::carve).
///
/// What the current state reaches is what is stored. Where a page of it is lost, the keys that stood below it are taken from
/// the state in front of it, then from any old leaf in the file: they may be stale.
pub fn carve<'a>(env: &Env<'a>, order: KeyOrder) -> Carved<'a> {
    let Some(meta) = env.current() else { return without_meta(env, order) };
    let pages = env.tree(meta.main.root, meta.main.depth);
    let mut found: Vec<(Kept<'a>, u8)> = Vec::new();
    let mut used = env.page_set();
    let mut take = |record: Record<'a>, confidence, rank| found.push((Kept { record, confidence }, rank));
    let mut damaged = pages.bad.clone();
    for page in pages.leaves.iter().filter_map(|&number| env.page(number)) {
        used.insert(page.number);
        let nodes = page.leaves();
        let whole = nodes.len() == usize::from(page.head.nodes());
        let before = damaged.len();
        for node in &nodes {
            match env.record(node) {
                Some(record) => take(record, if whole { Confidence::Verified } else { Confidence::Unverified }, 0),
                None => damaged.push(Bad { page: page.number, why: Why::Missing, low: Some(node.key), high: None }),
            }
        }
        if !whole && damaged.len() == before {
            let low = nodes.first().map(|node| node.key);
            damaged.push(Bad { page: page.number, why: Why::Bounds, low, high: None });
        }
    }
    if damaged.len() > MAX_RANGES {
        damaged = vec![Bad { page: meta.main.root, why: Why::Bounds, low: None, high: None }];
    }
    let lost_below = |key: &[u8]| damaged.iter().any(|bad| is_below(key, bad, order));
    if !damaged.is_empty() {
        for record in view::records(env, env.states().nth(1)).into_iter().filter(|record| lost_below(&record.key)) {
            take(record, Confidence::MaybeStale, 1);
        }
        for record in old_leaves(env, &used).into_iter().filter(|record| lost_below(&record.key)) {
            take(record, Confidence::MaybeStale, 2);
        }
    }
    let lost = lost(env, &pages);
    Carved { kept: newest(found, order), lost, uncommitted: Vec::new() }
}

fn is_below(key: &[u8], bad: &Bad<'_>, order: KeyOrder) -> bool {
    let from = bad.low.is_none_or(|low| order.compare(low, key) != Ordering::Greater);
    from && bad.high.is_none_or(|high| order.compare(key, high) == Ordering::Less)
}

/// Both metas are gone: any leaf may be current; of two versions that on the later page is kept.
fn without_meta<'a>(env: &Env<'a>, order: KeyOrder) -> Carved<'a> {
    let records = old_leaves(env, &env.page_set()).into_iter();
    let found = records.map(|record| (Kept { record, confidence: Confidence::MaybeStale }, 0)).collect();
    let whole = env.page_span(0, 2);
    let lost = if whole.is_empty() { Vec::new() } else { vec![Lost { span: whole, before: None, after: None }] };
    Carved { kept: newest(found, order), lost, uncommitted: Vec::new() }
}

/// The records of all leaves that are not in `used`, from the end of the file to its beginning.
fn old_leaves<'a>(env: &Env<'a>, used: &PageSet) -> Vec<Record<'a>> {
    let leaves = (2..env.page_count()).rev().filter(|number| !used.contains(*number));
    let pages = leaves.filter_map(|number| env.page(number)).filter(Page::is_leaf);
    pages.flat_map(|page| page.leaves()).filter_map(|node| env.record(&node)).collect()
}

fn newest<'a>(mut found: Vec<(Kept<'a>, u8)>, order: KeyOrder) -> Vec<Kept<'a>> {
    found.sort_by(|(a, a_rank), (b, b_rank)| order.compare(&a.record.key, &b.record.key).then(a_rank.cmp(b_rank)));
    found.dedup_by(|(later, _), (first, _)| order.compare(&first.record.key, &later.record.key) == Ordering::Equal);
    found.into_iter().map(|(kept, _)| kept).collect()
}

/// Pages of the current tree that can't be read, with the keys around them.
fn lost<'a>(env: &Env<'a>, pages: &Pages<'a>) -> Vec<Lost<'a>> {
    let of_bad = pages.bad.iter().map(|bad| Lost {
        span: env.page_span(bad.page, 1),
        before: bad.low.map(Into::into),
        after: bad.high.map(Into::into),
    });
    let broken = pages.leaves.iter().filter_map(|&number| env.page(number)).filter_map(|page| {
        let nodes = page.leaves();
        let whole =
            nodes.len() == usize::from(page.head.nodes()) && nodes.iter().all(|node| env.record(node).is_some());
        let before = nodes.first().map(|node| node.key.into());
        (!whole).then(|| Lost { span: page.span, before, after: nodes.last().map(|node| node.key.into()) })
    });
    let mut lost: Vec<Lost<'a>> = of_bad.chain(broken).filter(|lost| !lost.span.is_empty()).collect();
    lost.sort_by_key(|lost| lost.span);
    lost.dedup_by_key(|lost| lost.span);
    lost
}

/// Visits the records of leaves that the current state has left behind, if they are not stored word for word.
pub fn remains<'a>(env: &Env<'a>, visit: &mut dyn FnMut(Record<'a>) -> bool) {
    let leaves = view::leaves(env, env.current());
    let mut used = env.page_set();
    leaves.iter().for_each(|&number| {
        used.insert(number);
    });
    let mut live = view::records(env, env.current());
    live.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let is_live = |record: &Record<'a>| {
        let at = live.binary_search_by(|other| other.key.cmp(&record.key));
        at.ok().and_then(|at| live.get(at)).is_some_and(|other| other.value == record.value)
    };
    let old = (2..env.page_count()).filter(|number| !used.contains(*number)).filter_map(|number| env.page(number));
    for page in old.filter(Page::is_leaf) {
        let nodes = page.leaves();
        let text = |node: &&super::layout::Leaf<'a>| matches!(node.data, Data::Here(_)) && !node.key.contains(&0);
        let records = nodes.iter().filter(text).filter_map(|node| env.record(node));
        if !records.filter(|record| !is_live(record)).all(&mut *visit) {
            return;
        }
    }
}
