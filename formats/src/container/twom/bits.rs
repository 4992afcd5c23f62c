//! Sets of offsets as bit maps: one bit for each 8 bytes of the file, so 1/64 of its size.

use std::sync::atomic::{AtomicU64, Ordering};

/// A set of offsets that several threads can change.
pub struct Bits {
    words: Vec<AtomicU64>,
}

#[inline]
fn place(offset: u64) -> (usize, u64) {
    (usize::try_from(offset / 512).unwrap_or(usize::MAX), 1 << (offset / 8 % 64))
}

impl Bits {
    /// The empty set for a file of `len` bytes.
    pub fn new(len: u64) -> Self {
        let words = usize::try_from(len / 512 + 1).unwrap_or_default();
        let mut bits = Bits { words: Vec::new() };
        bits.words.resize_with(words, AtomicU64::default);
        bits
    }

    /// Adds `offset`; whether it was not in the set before. Offsets behind the file can't be added.
    #[inline]
    pub fn insert(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        self.words.get(index).is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Whether `offset` is in the set.
    #[inline]
    pub fn contains(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        offset.is_multiple_of(8) && self.words.get(index).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// Adds `offset` if it is not in the set, otherwise takes it out; whether it can be in the set at all.
    #[inline]
    pub fn toggle(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        let word = self.words.get(index).filter(|_| offset.is_multiple_of(8));
        word.map(|word| word.fetch_xor(bit, Ordering::Relaxed)).is_some()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// The offsets in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            let word = word.load(Ordering::Relaxed);
            let set = (0..64_u64).filter(move |bit| word >> bit & 1 != 0);
            set.map(move |bit| index as u64 * 512 + bit * 8)
        })
    }
}
