//! Whether a JSON dump gives nothing to report, found side by side.

use std::borrow::Cow;
use std::cell::Cell;

use rayon::prelude::*;

use super::dump::Dump;
use super::item::{Fault, What};
use super::json_usual::Usual;
use super::verify::Names;
use super::{json_rules, rules};
use crate::container::{Format, PartsSeen, Proving, Record};
use crate::finding::{Finding, Sink};
use crate::image::Span;

/// Bytes of a dump for which one part is worth while.
const PART_LEN: u64 = 1 << 20;

/// Whether all entries are sound, and their names in some order; where one of it fails, a pass in order says what.
pub(super) fn is_sound(dump: &Dump<'_>) -> bool {
    let wanted = usize::try_from(dump.cursor.len() / PART_LEN).unwrap_or(usize::MAX);
    let Some(walk) = ProvingWalk::new(dump, wanted) else { return false };
    let read = |part| walk.read(part, &mut |_, _| true);
    let parts: Option<Vec<Part<'_>>> = (0..walk.parts()).into_par_iter().map(read).collect();
    parts.is_some_and(fit)
}

/// Whether parts fit together to a sound dump.
fn fit(parts: Vec<Part<'_>>) -> bool {
    let mut duplicates = false;
    let mut names = Names::new();
    for Part { first: (key, span), names: later } in parts {
        names.push(key, span, &mut |_| duplicates = true);
        names.append(later);
    }
    !duplicates && names.in_order()
}

/// Sees a record, and what its object says if that was seen in passing.
type Visit<'v, 'a> = &'v mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool;

/// A walk over a JSON dump that verifies it in the same pass.
pub(super) struct ProvingWalk<'s, 'a> {
    dump: &'s Dump<'a>,
    starts: Vec<u64>,
    seen: PartsSeen<Part<'a>>,
}

impl<'s, 'a> ProvingWalk<'s, 'a> {
    /// One in about `wanted` parts; `None` if it would be a single one.
    pub(super) fn new(dump: &'s Dump<'a>, wanted: usize) -> Option<Self> {
        let starts = if dump.format == Format::Json { dump.starts(wanted) } else { Vec::new() };
        let parts = starts.len().saturating_sub(1);
        (parts > 1).then(|| ProvingWalk { dump, starts, seen: PartsSeen::nothing(parts) })
    }

    fn read(&self, part: usize, visit: Visit<'_, 'a>) -> Option<Part<'a>> {
        let next = part.saturating_add(1);
        let (&start, &end) = self.starts.get(part).zip(self.starts.get(next))?;
        Part::read(self.dump, start, end, next == self.parts(), visit)
    }
}

impl<'a> Proving<'a> for ProvingWalk<'_, 'a> {
    fn parts(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn walk(&self, part: usize, visit: Visit<'_, 'a>) -> bool {
        self.seen.note(part, self.read(part, visit))
    }

    fn is_sound(&self, _: &mut Sink<'_>) -> bool {
        self.seen.all().is_some_and(fit)
    }
}

/// Entries with nothing to report.
struct Part<'a> {
    /// The name of the first entry, and where that stands.
    first: (Cow<'a, [u8]>, Span),
    names: Names<'a>,
}

impl<'a> Part<'a> {
    /// Reads the entries from `start` to `end`; `None` as soon as one is worth a finding, or if there is none.
    fn read(dump: &Dump<'a>, start: u64, end: u64, is_last: bool, visit: Visit<'_, 'a>) -> Option<Self> {
        let found = Cell::new(false);
        let sink = &mut |_: Finding| found.set(true);
        let (mut first, mut names, mut open) = (None, Names::new(), false);
        let mut scan = dump.scan_of(start, end);
        loop {
            if let Some((line, span)) = scan.usual() {
                first.get_or_insert((Cow::Borrowed(line.key), span));
                names.push(Cow::Borrowed(line.key), span, sink);
                let (key, value) = (Cow::Borrowed(line.key), Cow::Borrowed(line.object));
                if found.get() || !visit(Record { key, value, span }, Some(line.usual)) {
                    return None;
                }
                continue;
            }
            let Some(item) = scan.any() else { break };
            match item.fault {
                None => json_rules::item(&item, sink),
                Some(fault) if !is_last && is_open_end(&fault, item.span) => open = true,
                Some(_) => return None,
            }
            let mut wanted = true;
            if let What::Record { key, value, .. } = item.what {
                first.get_or_insert_with(|| (key.clone(), item.span));
                names.push(key.clone(), item.span, sink);
                wanted = found.get() || visit(Record { key, value, span: item.span }, None);
            }
            if found.get() || !wanted {
                return None;
            }
        }
        // The bracket that closes the dump belongs into the last part alone.
        (open != is_last).then_some(Part { first: first?, names })
    }
}

/// Whether it only says that the part ends among entries.
fn is_open_end(fault: &Fault, span: Span) -> bool {
    fault.rule == &rules::JSON_CUT && span.is_empty()
}
