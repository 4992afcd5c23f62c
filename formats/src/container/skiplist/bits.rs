//! A set of record offsets: one bit for every four bytes of the file.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::image::Cursor;

/// Words that one thread clears at a time.
const CHUNK_LEN: usize = 1 << 14;

/// A set of 4-byte aligned offsets of one file; takes a 32nd of its length. Marking is safe from several threads.
pub struct OffsetSet {
    words: Vec<AtomicU64>,
}

impl OffsetSet {
    /// The empty set for a file.
    pub fn new(cursor: Cursor<'_>) -> Self {
        let len = usize::try_from(cursor.len() / 256).unwrap_or_default().saturating_add(1);
        // The first touch of so much memory is what takes its time.
        OffsetSet { words: (0..len).into_par_iter().with_min_len(CHUNK_LEN).map(|_| AtomicU64::new(0)).collect() }
    }

    #[inline]
    fn place(&self, offset: u64) -> Option<(&AtomicU64, u64)> {
        let word = self.words.get(usize::try_from(offset / 256).ok()?)?;
        offset.is_multiple_of(4).then_some((word, 1 << (offset / 4 % 64)))
    }

    /// Adds an offset; `false` if it was there already, is not aligned, or lies outside the file.
    #[inline]
    pub fn insert(&self, offset: u64) -> bool {
        self.place(offset).is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Takes an offset out; `false` if it was not there.
    #[inline]
    pub fn remove(&self, offset: u64) -> bool {
        self.place(offset).is_some_and(|(word, bit)| word.fetch_and(!bit, Ordering::Relaxed) & bit != 0)
    }

    /// Whether an offset is in the set.
    #[inline]
    pub fn contains(&self, offset: u64) -> bool {
        self.place(offset).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// The words that hold the offsets from `first` to `last`, and the index of each and which of its bits these are.
    fn words(&self, first: u64, last: u64) -> impl Iterator<Item = (usize, u64, &AtomicU64)> {
        let index = |offset: u64| usize::try_from(offset / 256).unwrap_or(usize::MAX);
        let (from, to) = (index(first), index(last).max(index(first)));
        let words = self.words.get(from..=to).unwrap_or_default();
        (from..).zip(words).map(move |(index, word)| {
            let above = if index == from { u64::MAX << (first / 4 % 64) } else { u64::MAX };
            let below = if index == to { u64::MAX >> (63 - last / 4 % 64) } else { u64::MAX };
            (index, above & below, word)
        })
    }

    /// Adds the offsets of another set of the file from `first` to `last`.
    pub fn insert_within(&self, other: &OffsetSet, first: u64, last: u64) {
        for (index, mask, added) in other.words(first, last) {
            if let Some(word) = self.words.get(index) {
                word.fetch_or(added.load(Ordering::Relaxed) & mask, Ordering::Relaxed);
            }
        }
    }

    /// Whether all offsets of another set of the file from `first` to `last` are in this one.
    pub fn covers(&self, other: &OffsetSet, first: u64, last: u64) -> bool {
        other.words(first, last).all(|(index, mask, theirs)| {
            let mine = self.words.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
            theirs.load(Ordering::Relaxed) & mask & !mine == 0
        })
    }

    /// Whether two sets of one file hold the same offsets.
    pub fn same(&self, other: &OffsetSet) -> bool {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        self.words.iter().map(load).eq(other.words.iter().map(load))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_a_set_can_be_taken_over() {
        let bytes = [0; 4096];
        let cursor = Cursor::new(&bytes);
        let set = OffsetSet::new(cursor);
        let offsets = || (0..4096).step_by(4).filter(|offset| offset % 28 != 0 && offset % 44 < 24);
        for offset in offsets() {
            set.insert(offset);
        }
        for (first, last) in [(0, 4092), (4, 4), (256, 508), (248, 272), (100, 3000), (3000, 4092)] {
            let part = OffsetSet::new(cursor);
            part.insert_within(&set, first, last);
            let within = |offset| (first..=last).contains(&offset);
            assert!(offsets().all(|offset| part.contains(offset) == within(offset)), "{first} to {last}");
            assert!(part.covers(&set, first, last));
            let some = offsets().find(|&offset| within(offset)).expect("some");
            part.remove(some);
            assert!(!part.covers(&set, first, last) && part.covers(&set, some + 4, last));
        }
    }
}
