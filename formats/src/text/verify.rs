//! Checks every rule of the text formats in one pass, sound JSON dumps side by side; a second one only for dumps that keep
//! no order.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bstr::ByteSlice;
use xxhash_rust::xxh3::xxh3_64;

use super::dump::Dump;
use super::item::{Item, What};
use super::{json_rules, line_rules, rules, sound};
use crate::container::order::{first_difference, repeated};
use crate::container::{Format, KeyOrder, OrderTally};
use crate::finding::{Finding, Sink};
use crate::image::Span;

/// Checks the whole dump; see [`Database::verify`](crate::container::Database::verify).
pub fn verify(dump: &Dump<'_>, sink: &mut Sink<'_>) {
    if dump.format == Format::Json && sound::is_sound(dump) {
        return;
    }
    let mut names = Names::new();
    let mut judge = Judge::new(dump);
    for item in dump.items() {
        if let Some(fault) = item.fault {
            sink(Finding::new(fault.rule, item.span, describe(&item, fault.what)));
        }
        judge.item(&item, sink);
        if let What::Record { key, .. } = item.what {
            names.push(key, item.span, sink);
        }
    }
    judge.end(sink);
    if !names.in_order() {
        far_duplicates(dump, sink);
    }
}

/// What each format asks of its records.
enum Judge {
    Show,
    Text(Box<line_rules::Lines>),
    Json,
}

impl Judge {
    fn new(dump: &Dump<'_>) -> Self {
        match dump.format {
            Format::Text => Judge::Text(Box::new(line_rules::Lines::new(dump))),
            Format::Json => Judge::Json,
            _ => Judge::Show,
        }
    }

    fn item(&mut self, item: &Item<'_>, sink: &mut Sink<'_>) {
        match self {
            Judge::Show => {}
            Judge::Text(lines) => lines.item(item, sink),
            Judge::Json => json_rules::item(item, sink),
        }
    }

    fn end(&self, sink: &mut Sink<'_>) {
        match self {
            Judge::Show | Judge::Json => {}
            Judge::Text(lines) => lines.end(sink),
        }
    }
}

/// "line 7: user.bob: what is wrong".
pub(super) fn describe(item: &Item<'_>, what: impl std::fmt::Display) -> String {
    match &item.what {
        What::Record { key, .. } => format!("line {}: {}: {what}", item.number, key.as_bstr()),
        What::Markup(_) | What::Broken(_) => format!("line {}: {what}", item.number),
    }
}

/// Names as they come: duplicates side by side are found at once.
#[derive(Default)]
pub(super) struct Names<'a> {
    before: Option<(Cow<'a, [u8]>, Span)>,
    tally: OrderTally,
    by_dbname: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new() -> Self {
        Names { by_dbname: true, ..Names::default() }
    }

    pub(super) fn push(&mut self, key: Cow<'a, [u8]>, span: Span, sink: &mut Sink<'_>) {
        if let Some((before, first)) = &self.before {
            if *before == key {
                sink(duplicate(&key, *first, span));
            } else {
                self.tally.push((before, first.start), (&key, span.start));
                self.by_dbname &= dbname_ascends(before, &key);
            }
        }
        self.before = Some((key, span));
    }

    /// Adds the names of a part whose first one was pushed.
    pub(super) fn append(&mut self, part: Names<'a>) {
        self.tally.append(&part.tally);
        self.by_dbname &= part.by_dbname;
        self.before = part.before;
    }

    /// Whether the names ascend in some order, so that no two that stand apart can be the same.
    pub(super) fn in_order(&self) -> bool {
        self.by_dbname || KeyOrder::ALL.into_iter().any(|order| self.tally.fits(order))
    }
}

/// The byte that stands for a byte of an internal name in the keys of 3.6 and later, whose order their dumps keep
/// (`imap/mboxname.c`, `mboxname_to_dbname`).
fn dbname_byte(byte: &u8) -> u8 {
    match *byte {
        b'.' => 0x1F,
        b'!' => 0x1D,
        b'^' => b'.',
        other => other,
    }
}

/// Whether a name stands in front of another one in the order of keys of 3.6 and later.
fn dbname_ascends(a: &[u8], b: &[u8]) -> bool {
    // Nearly always the first byte that differs decides.
    if let Some((_, x, y)) = first_difference(a, b) {
        let (x, y) = (dbname_byte(&x), dbname_byte(&y));
        if x != y {
            return x < y;
        }
    }
    a.iter().map(dbname_byte).lt(b.iter().map(dbname_byte))
}

fn duplicate(key: &[u8], first: Span, second: Span) -> Finding {
    let message = format!("{}: the entry at 0x{:X} has the same name", key.as_bstr(), first.start);
    Finding::new(&rules::DUPLICATE, second, message)
}

/// Reports names that stand twice, but not side by side. Needs eight bytes a name, and a second pass only if two of
/// them have the same hash.
fn far_duplicates(dump: &Dump<'_>, sink: &mut Sink<'_>) {
    let mut hashes: Vec<u64> = Vec::new();
    let mut before = None;
    for (key, _) in names(dump) {
        let hash = Some(xxh3_64(&key));
        if hash != before {
            hashes.extend(hash);
        }
        before = hash;
    }
    let twice = repeated(hashes);
    if twice.is_empty() {
        return;
    }
    let mut seen: BTreeMap<Cow<'_, [u8]>, (Span, u64)> = BTreeMap::new();
    for ((key, span), at) in names(dump).zip(0u64..) {
        if !twice.contains(&xxh3_64(&key)) {
            continue;
        }
        match seen.get_mut(&key) {
            Some((first, last)) => {
                if last.saturating_add(1) != at {
                    sink(duplicate(&key, *first, span));
                }
                (*first, *last) = (span, at);
            }
            None => drop(seen.insert(key, (span, at))),
        }
    }
}

/// The names of a dump, and where their entries stand.
fn names<'a>(dump: &Dump<'a>) -> impl Iterator<Item = (Cow<'a, [u8]>, Span)> {
    dump.items().filter_map(|item| match item.what {
        What::Record { key, .. } => Some((key, item.span)),
        What::Markup(_) | What::Broken(_) => None,
    })
}
