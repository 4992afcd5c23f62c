//! A set of record offsets: one bit for every four bytes of the file.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::image::Cursor;

/// A set of 4-byte aligned offsets of one file; takes a 32nd of its length. Marking is safe from several threads.
pub struct OffsetSet {
    words: Vec<AtomicU64>,
}

impl OffsetSet {
    /// The empty set for a file.
    pub fn new(cursor: Cursor<'_>) -> Self {
        let len = usize::try_from(cursor.len() / 256).unwrap_or_default().saturating_add(1);
        let mut words = Vec::new();
        words.resize_with(len, AtomicU64::default);
        OffsetSet { words }
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

    /// Whether two sets of one file hold the same offsets.
    pub fn same(&self, other: &OffsetSet) -> bool {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        self.words.iter().map(load).eq(other.words.iter().map(load))
    }
}
