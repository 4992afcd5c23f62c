//! Holds the newest versions against the chain of level 0. Cyrus leads the record in front of a key to every newer version
//! of it; where a record that should be current leads to something else, bytes of different times stand in the file.

use rayon::prelude::*;

use super::layout::{DUMMY_OFFSET, Head, MIN_RECORD_LEN, Type};
use super::versions::{Newest, Sorted, Versions};

/// The chain from one record to the next, through what was deleted between them.
struct Chain<'v, 'a> {
    versions: &'v Versions<'a>,
    /// Deletions that may still be passed: as many as the file has room for, whatever its pointers say.
    steps: u64,
}

/// Up to which offset bytes of different times can reach: behind everything that takes part in a contradiction; 0 if there is
/// none. Only records that `is_current` counts are asked.
pub fn contradicted_end(sorted: &Sorted<'_>, is_current: impl Fn(&Newest) -> bool + Sync) -> u64 {
    let versions = &sorted.versions;
    let file = &versions.file;
    let agrees = |head: &Head| head.head_agrees(file.cursor, file.sums);
    // What should lead to the record at an index, and that.
    let pair = |index: usize| {
        let before = match index.checked_sub(1) {
            None => file.dummy(),
            Some(before) => sorted.get(before).filter(&is_current).map(|newest| newest.head),
        };
        Some((before.filter(agrees)?, sorted.get(index).map(|newest| newest.head)))
    };
    let leads = |(before, expected): (Head, Option<Head>)| {
        before.next(file.cursor, versions.end) == expected.map_or(0, |expected| expected.offset)
    };
    let pairs = (0..=sorted.offsets().len()).into_par_iter();
    let astray: Vec<usize> = pairs.filter(|&index| pair(index).is_some_and(|pair| !leads(pair))).collect();
    let mut chain = Chain { versions, steps: file.cursor.len() / MIN_RECORD_LEN };
    let pairs = astray.into_iter().filter_map(pair);
    let wrong = pairs.filter_map(|(before, expected)| chain.contradiction(&before, expected.as_ref()));
    wrong.max().unwrap_or_default()
}

impl Chain<'_, '_> {
    /// Where the last of the items ends that contradict each other if `before` does not lead to `expected`, the end of the list
    /// if that is `None`. What is lost contradicts nothing.
    fn contradiction(&mut self, before: &Head, expected: Option<&Head>) -> Option<u64> {
        let Versions { file, end, .. } = *self.versions;
        let least = before.end.max(expected.map_or(DUMMY_OFFSET, |expected| expected.end));
        let mut at = *before;
        loop {
            let pointer = at.next(file.cursor, end);
            if pointer == expected.map_or(0, |expected| expected.offset) {
                return None;
            }
            if pointer >= end || self.versions.is_lost(pointer) {
                return None;
            }
            let item = file.item(pointer).filter(|_| pointer != 0 && self.versions.items.contains(pointer));
            let deletion = item.filter(|item| item.kind == Type::Delete && !self.versions.named.contains(pointer));
            if deletion.is_none() || self.steps == 0 {
                return Some(least.max(item.map_or(pointer, |item| item.end)));
            }
            self.steps -= 1;
            let deleted = file.record_of(pointer).filter(|deleted| self.versions.items.contains(deleted.offset))?;
            if !deleted.head_agrees(file.cursor, file.sums) {
                return None;
            }
            at = deleted;
        }
    }
}
