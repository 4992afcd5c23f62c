//! Sets of offsets for formats that align records to 8 bytes: one bit for each 8 bytes of the file, so 1/64 of its size.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

/// Words that one thread looks through at a time.
const CHUNK_LEN: usize = 1 << 14;

/// A set of offsets that several threads can change.
pub struct Bits {
    words: Vec<AtomicU64>,
}

#[inline]
fn place(offset: u64) -> (usize, u64) {
    (usize::try_from(offset / 512).unwrap_or(usize::MAX), 1 << (offset / 8 % 64))
}

/// Adds offsets that mostly stand close to each other, a word at a time; what it holds back it adds when it is dropped.
pub struct Pen<'a> {
    bits: &'a Bits,
    index: usize,
    word: u64,
}

impl Pen<'_> {
    /// Adds `offset` in time. Offsets behind the file are left out.
    #[inline]
    pub fn insert(&mut self, offset: u64) {
        let (index, bit) = place(offset);
        if index != self.index {
            self.flush();
            self.index = index;
        }
        self.word |= bit;
    }

    #[inline]
    fn flush(&mut self) {
        if let Some(word) = self.bits.words.get(self.index) {
            word.fetch_or(std::mem::take(&mut self.word), Ordering::Relaxed);
        }
    }
}

impl Drop for Pen<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Offsets that stand close to each other, put down beside a set until it is known that they belong in it.
#[derive(Default)]
pub struct Patch {
    from: usize,
    words: Vec<u64>,
}

impl Patch {
    /// Puts down `offset`; none is less than the first one.
    #[inline]
    pub fn insert(&mut self, offset: u64) {
        let (index, bit) = place(offset);
        if self.words.is_empty() {
            self.from = index;
        }
        let at = index.saturating_sub(self.from);
        if at >= self.words.len() {
            self.words.resize(at.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= bit;
        }
    }
}

impl Bits {
    /// A pen that adds to the set.
    pub fn pen(&self) -> Pen<'_> {
        Pen { bits: self, index: 0, word: 0 }
    }

    /// The empty set for a file of `len` bytes.
    pub fn new(len: u64) -> Self {
        let words = usize::try_from(len / 512 + 1).unwrap_or_default();
        // The first touch of so much memory is what takes its time.
        Bits { words: (0..words).into_par_iter().with_min_len(CHUNK_LEN).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Adds `offset`; whether it was not in the set before. Offsets behind the file can't be added.
    #[inline]
    pub fn insert(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        self.words.get(index).is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Adds `offset` if it is not in the set, otherwise takes it out; whether it can be in the set at all.
    #[inline]
    pub fn toggle(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        let word = self.words.get(index).filter(|_| offset.is_multiple_of(8));
        word.map(|word| word.fetch_xor(bit, Ordering::Relaxed)).is_some()
    }

    /// Whether `offset` is in the set.
    #[inline]
    pub fn contains(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        offset.is_multiple_of(8) && self.words.get(index).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    /// The words that hold the offsets from `first` to `last`: the index of each, which of its bits these are, and those
    /// that are in the set.
    pub fn words(&self, first: u64, last: u64) -> impl Iterator<Item = (usize, u64, u64)> + '_ {
        let ((from, low), (to, high)) = (place(first), place(last));
        let words = self.words.get(from..=to.max(from)).unwrap_or_default();
        (from..).zip(words).map(move |(index, word)| {
            let above = if index == from { !(low - 1) } else { u64::MAX };
            let mask = if index == to { above & (high | (high - 1)) } else { above };
            (index, mask, word.load(Ordering::Relaxed) & mask)
        })
    }

    /// The offsets of the set from `first` to `last`, in order.
    pub fn iter_within(&self, first: u64, last: u64) -> impl Iterator<Item = u64> + '_ {
        self.words(first, last).flat_map(|(index, _, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(index as u64 * 512 + u64::from(bit) * 8)
            })
        })
    }

    /// Adds the offsets of `other`, a set of the same file, from `first` to `last`.
    pub fn insert_within(&self, other: &Bits, first: u64, last: u64) {
        for (index, _, added) in other.words(first, last) {
            if let Some(word) = self.words.get(index) {
                word.fetch_or(added, Ordering::Relaxed);
            }
        }
    }

    /// Adds offsets that were put down beside the set.
    pub fn insert_all(&self, patch: &Patch) {
        for (word, added) in self.words.iter().skip(patch.from).zip(&patch.words) {
            word.fetch_or(*added, Ordering::Relaxed);
        }
    }

    /// The greatest offset of the set below `offset`.
    pub fn before(&self, offset: u64) -> Option<u64> {
        let (from, bit) = place(offset.saturating_add(7) / 8 * 8);
        let mask = |index| if index == from { bit - 1 } else { u64::MAX };
        let words = self.words.iter().enumerate().take(from.saturating_add(1)).rev();
        let mut words = words.map(|(index, word)| (index, word.load(Ordering::Relaxed) & mask(index)));
        let (index, word) = words.find(|&(_, word)| word != 0)?;
        Some(index as u64 * 512 + u64::from(63 - word.leading_zeros()) * 8)
    }

    /// The least offset of the set that is `offset` or above.
    pub fn at_or_after(&self, offset: u64) -> Option<u64> {
        let (from, bit) = place(offset);
        let words = self.words.get(from..)?.iter().zip(from..);
        let mut mask = !(bit - 1);
        for (word, index) in words {
            let word = word.load(Ordering::Relaxed) & std::mem::replace(&mut mask, u64::MAX);
            if word != 0 {
                return Some(index as u64 * 512 + u64::from(word.trailing_zeros()) * 8);
            }
        }
        None
    }

    /// The offsets of the set that are `offset` or above, in order.
    pub fn iter_from(&self, offset: u64) -> impl Iterator<Item = u64> + '_ {
        let mut next = self.at_or_after(offset);
        std::iter::from_fn(move || {
            let offset = next?;
            next = self.at_or_after(offset.saturating_add(8));
            Some(offset)
        })
    }

    /// The offsets of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.iter_from(0)
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// Number of offsets in the set.
    pub fn count(&self) -> u64 {
        let count = |words: &[AtomicU64]| -> u64 {
            words.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
        };
        self.words.par_chunks(CHUNK_LEN).map(count).sum()
    }

    /// Whether every offset of this set is in `other`, a set of the same file.
    pub fn is_subset(&self, other: &Bits) -> bool {
        let pairs = self.words.par_chunks(CHUNK_LEN).zip(other.words.par_chunks(CHUNK_LEN));
        pairs
            .into_par_iter()
            .all(|(a, b)| a.iter().zip(b).all(|(a, b)| a.load(Ordering::Relaxed) & !b.load(Ordering::Relaxed) == 0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn stretches_of_a_set_are_those_of_an_ordered_set() {
        let bits = Bits::new(1 << 14);
        let mut state = 88172645463325252_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % (1 << 11) * 8
        };
        let model: BTreeSet<u64> = (0..200).map(|_| random()).collect();
        let mut patch = Patch::default();
        model.iter().for_each(|&offset| patch.insert(offset));
        bits.insert_all(&patch);
        assert!(bits.iter().eq(model.iter().copied()));
        for _ in 0..2000 {
            let (a, b) = (random(), random());
            let (first, last) = (a.min(b), a.max(b));
            let within: Vec<u64> = model.range(first..=last).copied().collect();
            assert!(bits.iter_within(first, last).eq(within.iter().copied()), "{first} to {last}");
            let other = Bits::new(1 << 14);
            other.insert_within(&bits, first, last);
            assert!(other.iter().eq(within), "{first} to {last}");
            assert_eq!(bits.before(first), model.range(..first).next_back().copied(), "{first}");
            assert_eq!(bits.before(first + 1), model.range(..=first).next_back().copied(), "{first}");
        }
        assert_eq!(bits.before(u64::MAX), model.last().copied());
    }
}
