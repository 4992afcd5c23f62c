//! Whether a JSON dump gives nothing to report, found side by side.

use std::borrow::Cow;
use std::cell::Cell;

use rayon::prelude::*;

use super::dump::Dump;
use super::item::{Fault, What};
use super::verify::Names;
use super::{json_rules, rules};
use crate::finding::Finding;
use crate::image::Span;

/// Bytes of a dump for which one part is worth while.
const PART_LEN: u64 = 1 << 20;

/// Whether all entries are sound, and their names in some order; where one of it fails, a pass in order says what.
pub(super) fn is_sound(dump: &Dump<'_>) -> bool {
    let starts = dump.starts(usize::try_from(dump.cursor.len() / PART_LEN).unwrap_or(usize::MAX));
    let last = starts.len().saturating_sub(2);
    if last == 0 {
        return false;
    }
    let parts = starts.par_windows(2).enumerate().map(|(index, ends)| match *ends {
        [start, end] => Part::read(dump, start, end, index == last),
        _ => None,
    });
    let Some(parts) = parts.collect::<Option<Vec<Part<'_>>>>() else { return false };
    let mut duplicates = false;
    let mut names = Names::new();
    for Part { first: (key, span), names: later } in parts {
        names.push(key, span, &mut |_| duplicates = true);
        names.append(later);
    }
    !duplicates && names.in_order()
}

/// Entries with nothing to report.
struct Part<'a> {
    /// The name of the first entry, and where that stands.
    first: (Cow<'a, [u8]>, Span),
    names: Names<'a>,
}

impl<'a> Part<'a> {
    /// Reads the entries from `start` to `end`; `None` as soon as one is worth a finding, or if there is none.
    fn read(dump: &Dump<'a>, start: u64, end: u64, is_last: bool) -> Option<Self> {
        let found = Cell::new(false);
        let sink = &mut |_: Finding| found.set(true);
        let (mut first, mut names, mut open) = (None, Names::new(), false);
        let mut scan = dump.scan_of(start, end);
        loop {
            if let Some((line, span)) = scan.usual() {
                first.get_or_insert((Cow::Borrowed(line.key), span));
                names.push(Cow::Borrowed(line.key), span, sink);
                if found.get() {
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
            if let What::Record { key, .. } = item.what {
                first.get_or_insert_with(|| (key.clone(), item.span));
                names.push(key, item.span, sink);
            }
            if found.get() {
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
