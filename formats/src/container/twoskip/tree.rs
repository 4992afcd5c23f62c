//! A set of record offsets that finds neighbours quickly.

use crate::container::bits::Bits;

/// A set of offsets: words of bits, and words that say which of those are not empty.
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

    /// Adds the offsets of a set of the same file, from `first` to `last`.
    pub fn insert_within(&mut self, bits: &Bits, first: u64, last: u64) {
        for (index, _, added) in bits.words(first, last).filter(|&(.., added)| added != 0) {
            // The first of them tells the levels above, should they not know of the word.
            self.insert((index as u64 * 64 + u64::from(added.trailing_zeros())) * 8);
            if let Some(word) = self.levels.first_mut().and_then(|level| level.get_mut(index)) {
                *word |= added;
            }
        }
    }

    /// Whether it has the same offsets from `first` to `last` as a set of the same file.
    pub fn agrees(&self, bits: &Bits, first: u64, last: u64) -> bool {
        let lowest = self.levels.first().map(Vec::as_slice).unwrap_or_default();
        bits.words(first, last).all(|(index, mask, word)| lowest.get(index).is_some_and(|mine| mine & mask == word))
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

    #[test]
    fn stretches_are_taken_over_whole() {
        let bits = Bits::new(1 << 20);
        for word in (0..1 << 17).step_by(7).filter(|word| word % 3 != 0) {
            bits.insert(word * 8);
        }
        let mut tree = Tree::new(1 << 20);
        for (first, last) in [(0, 4096), (8192, 8192), (100_000, 900_000), (1_000_000, 1 << 20)] {
            tree.insert_within(&bits, first, last);
            assert!(tree.agrees(&bits, first, last));
        }
        let wanted = |offset: &u64| matches!(offset, 0..=4096 | 8192 | 100_000..=900_000 | 1_000_000..);
        let mut at = 0;
        for offset in bits.iter().filter(wanted) {
            assert_eq!(tree.at_or_after(at), Some(offset));
            at = offset + 8;
        }
        assert_eq!(tree.at_or_after(at), None);
        assert!(!tree.agrees(&bits, 0, 1 << 20) && tree.agrees(&bits, 100_000, 900_000));
        let some = bits.at_or_after(500_000).expect("some");
        assert!(tree.remove(some) && !tree.agrees(&bits, 100_000, 900_000));
    }
}
