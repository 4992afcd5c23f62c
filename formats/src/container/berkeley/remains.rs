//! What is left of records that were deleted: in the free space of pages, and marked in their place.

use super::layout::{self, Method, page_type};
use super::scan::{File, Page};
use crate::container::Record;
use crate::image::{Span, round_up};

/// Longest key that is taken for one: three times what Cyrus allows a mailbox name.
const MAX_KEY_LEN: usize = 3 * 490;

/// Visits all remains in file order, leaving out what a live record says word for word.
pub fn all<'a>(file: File<'a>, visit: &mut dyn FnMut(Record<'a>) -> bool) {
    let mut used = file.page_set();
    for page in file.pages().filter(|page| page.head.number == page.number) {
        let pairs = if page.holds_records() { page.pairs() } else { Vec::new() };
        let mut found = of_page(&page);
        found
            .extend(pairs.iter().filter(|pair| pair.is_deleted()).filter_map(|pair| file.record(pair, &mut used).ok()));
        if !found.into_iter().all(&mut *visit) {
            return;
        }
    }
}

/// The records that can be read in the free space of a page, without those that stand on the page itself.
pub fn of_page<'a>(page: &Page<'a>) -> Vec<Record<'a>> {
    let holds = page.holds_records();
    if !holds && page.head.page_type != page_type::UNUSED {
        return Vec::new();
    }
    let start = page.index_end();
    let end = if holds { page.items_start() } else { page.span.end };
    let free = Span::new(start.min(page.span.end), end.min(page.span.end));
    if free.len() < 8 || page.file().cursor.span(free).is_none_or(|bytes| bytes.iter().all(|&b| b == 0)) {
        return Vec::new();
    }
    let mut found = match page.file().layout.method {
        Method::Btree => btree(page, free),
        Method::Hash => hash(page, free),
    };
    if holds {
        let pairs = page.pairs();
        let mut live: Vec<(&[u8], &[u8])> =
            pairs.iter().filter_map(|p| Some((p.value.here()?, p.key.here()?))).collect();
        live.sort_unstable();
        // Items are moved within the page, so what is left can be a live record once more, or one with the end of its key gone.
        found.retain(|record| {
            let at = live.partition_point(|pair| *pair < (&*record.value, &*record.key));
            live.get(at).is_none_or(|(value, key)| **value != *record.value || !key.starts_with(&record.key))
        });
    }
    found
}

/// Items in the free space of a btree page: a value, and the key above it.
fn btree<'a>(page: &Page<'a>, free: Span) -> Vec<Record<'a>> {
    let file = page.file();
    let item = |at| {
        layout::leaf_item(file.cursor, file.layout.endian, at, page.span.end).ok().filter(|i| i.span.end <= free.end)
    };
    let mut found = Vec::new();
    let mut at = round_up(free.start, 4).unwrap_or(free.end);
    while at < free.end {
        let next = at.saturating_add(4);
        let Some(value) = item(at) else {
            at = next;
            continue;
        };
        let key = round_up(value.span.end, 4).and_then(item);
        let record = key.and_then(|key| plausible(key.here()?, value.here()?, Span::new(at, key.span.end)));
        at = record.as_ref().and_then(|record| round_up(record.span.end, 4)).unwrap_or(next);
        found.extend(record);
    }
    found
}

/// Items in the free space of a hash page, whose lengths are lost: what stands between two marks of an item.
fn hash<'a>(page: &Page<'a>, free: Span) -> Vec<Record<'a>> {
    let bytes = page.file().cursor.span(free).unwrap_or_default();
    // The last piece is left out: live items may have been written over its end.
    let marks: Vec<usize> = memchr::memchr_iter(1, bytes).collect();
    let piece = |from: usize, to: usize| bytes.get(from.checked_add(1)?..to);
    let mut found = Vec::new();
    let mut at = 0usize;
    while let Some(&[a, b, c]) = marks.get(at..).and_then(|rest| rest.get(..3)) {
        let span = Span::new(free.start.saturating_add(a as u64), free.start.saturating_add(c as u64));
        let record = piece(b, c).zip(piece(a, b)).and_then(|(key, value)| plausible(key, value, span));
        at = at.saturating_add(if record.is_some() { 2 } else { 1 });
        found.extend(record);
    }
    found
}

/// A record of these, if the key can be a name and the value begins like some Cyrus' record.
fn plausible<'a>(key: &'a [u8], value: &'a [u8], span: Span) -> Option<Record<'a>> {
    let named = (1..=MAX_KEY_LEN).contains(&key.len()) && key.iter().all(|&b| b >= 0x1D && b != 0x7F);
    let text = value.iter().all(|&b| b >= 0x20 || matches!(b, b'\t' | b'\n' | b'\r'));
    let record = Record { key: key.into(), value: value.into(), span };
    (named && text && begins_record(value) && !begins_record(key)).then_some(record)
}

/// Whether a value begins like some Cyrus' record: with a type and a blank, or with the list of 2.5.
fn begins_record(value: &[u8]) -> bool {
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    digits > 0 && value.get(digits) == Some(&b' ') || value.starts_with(b"%(")
}
