//! Sets of record offsets as bit maps: one bit for each 8 bytes of the file, so 1/64 of its size.

use std::sync::atomic::{AtomicU64, Ordering};

/// A set of offsets that several threads can add to.
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
        Bits { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Adds `offset`; whether it was in the set before. Offsets behind the file are taken as known.
    #[inline]
    pub fn insert(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        self.words.get(index).is_none_or(|word| word.fetch_or(bit, Ordering::Relaxed) & bit != 0)
    }

    /// Whether `offset` is in the set.
    #[inline]
    pub fn contains(&self, offset: u64) -> bool {
        let (index, bit) = place(offset);
        offset.is_multiple_of(8) && self.words.get(index).is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
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

    /// Number of offsets in the set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.load(Ordering::Relaxed).count_ones())).sum()
    }

    /// Whether every offset of this set is in `other`, a set of the same file.
    pub fn is_subset(&self, other: &Bits) -> bool {
        let pairs = self.words.iter().zip(&other.words);
        pairs.into_iter().all(|(a, b)| a.load(Ordering::Relaxed) & !b.load(Ordering::Relaxed) == 0)
    }
}

/// A set of offsets that finds neighbours quickly: words of bits, and words that say which of those are not empty.
pub struct Tree {
    levels: Vec<Vec<u64>>,
}

impl Tree {
    /// The empty set for a file of `len` bytes.
    pub fn new(len: u64) -> Self {
        let mut words = usize::try_from(len / 512 + 1).unwrap_or_default();
        let mut levels = vec![vec![0; words]];
        while words > 1 {
            words = words.div_ceil(64);
            levels.push(vec![0; words]);
        }
        Tree { levels }
    }

    fn bit(index: usize) -> (usize, u64) {
        (index / 64, 1 << (index % 64))
    }

    fn index(offset: u64) -> usize {
        usize::try_from(offset / 8).unwrap_or(usize::MAX)
    }

    /// Adds `offset`.
    pub fn insert(&mut self, offset: u64) {
        let mut index = Tree::index(offset);
        for level in &mut self.levels {
            let (at, bit) = Tree::bit(index);
            let Some(word) = level.get_mut(at) else { return };
            let was_empty = *word == 0;
            *word |= bit;
            if !was_empty {
                return;
            }
            index = at;
        }
    }

    /// Removes `offset`; whether it was in the set.
    pub fn remove(&mut self, offset: u64) -> bool {
        let mut index = Tree::index(offset);
        let found = self.contains(offset);
        for level in &mut self.levels {
            let (at, bit) = Tree::bit(index);
            let Some(word) = level.get_mut(at) else { return found };
            *word &= !bit;
            if *word != 0 {
                return found;
            }
            index = at;
        }
        found
    }

    /// Whether `offset` is in the set.
    pub fn contains(&self, offset: u64) -> bool {
        let (at, bit) = Tree::bit(Tree::index(offset));
        offset.is_multiple_of(8)
            && self.levels.first().and_then(|level| level.get(at)).is_some_and(|word| word & bit != 0)
    }

    /// The greatest offset of the set below `offset`.
    pub fn before(&self, offset: u64) -> Option<u64> {
        let last = (self.levels.first().map_or(0, Vec::len) as u64 * 512).saturating_sub(8);
        if offset > last {
            return if self.contains(last) { Some(last) } else { self.before(last) };
        }
        self.neighbour(offset, |word, bit| word & (bit - 1), |word| 63 - word.leading_zeros())
    }

    /// The least offset of the set that is `offset` or above.
    pub fn at_or_after(&self, offset: u64) -> Option<u64> {
        let past = |word: u64, bit: u64| word & !(bit | (bit - 1));
        if self.contains(offset) { Some(offset) } else { self.neighbour(offset, past, |word| word.trailing_zeros()) }
    }

    /// Climbs until a word has a bit on the wanted side, then goes down by the nearest bits.
    fn neighbour(&self, offset: u64, side: impl Fn(u64, u64) -> u64, nearest: impl Fn(u64) -> u32) -> Option<u64> {
        let mut index = Tree::index(offset);
        for (height, level) in self.levels.iter().enumerate() {
            let (at, bit) = Tree::bit(index);
            let found = side(level.get(at).copied().unwrap_or_default(), bit);
            if found == 0 {
                index = at;
                continue;
            }
            let mut index = at * 64 + nearest(found) as usize;
            for level in self.levels.get(..height)?.iter().rev() {
                index = index * 64 + nearest(*level.get(index)?) as usize;
            }
            return Some(index as u64 * 8);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_tree_finds_the_neighbours_that_an_ordered_set_finds() {
        let mut tree = Tree::new(1 << 20);
        let mut model = BTreeSet::new();
        let mut state = 88172645463325252_u64;
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let offset = state % (1 << 17) * 8;
            if state & (1 << 40) == 0 {
                tree.insert(offset);
                model.insert(offset);
            } else {
                assert_eq!(tree.remove(offset), model.remove(&offset));
            }
            let probe = (state >> 20) % ((1 << 17) + 100) * 8;
            assert_eq!(tree.before(probe), model.range(..probe).next_back().copied());
            assert_eq!(tree.at_or_after(probe), model.range(probe..).next().copied());
        }
    }
}
