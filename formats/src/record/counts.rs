//! Counting distinct strings without letting a damaged file fill the memory.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

/// Distinct strings that are kept apart; the rest are counted together.
const DISTINCT_MAX: usize = 4096;

/// The keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A map whose keys are hashes.
pub(crate) type HashedMap<V> = HashMap<u64, V, BuildHasherDefault<Hashed>>;

/// How often each of a bounded number of strings was seen.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    strings: Vec<(Box<[u8]>, u64)>,
    /// Where a string stands, by its hash.
    index: HashedMap<usize>,
    /// Where the string counted last stands; it is often the next one too.
    last: usize,
    others: u64,
    /// Room to put a place together in.
    place: Vec<u8>,
}

impl Counts {
    /// Counts one more.
    #[inline]
    pub fn add(&mut self, string: &[u8]) {
        match self.strings.get_mut(self.last) {
            Some((last, count)) if **last == *string => *count += 1,
            _ => self.add_count(string, 1),
        }
    }

    /// Counts one more of a server's partition, as `server!partition`.
    #[inline]
    pub fn add_place(&mut self, server: &[u8], partition: &[u8]) {
        match self.strings.get_mut(self.last) {
            Some((last, count)) if is_place(last, server, partition) => *count += 1,
            _ => {
                let mut place = std::mem::take(&mut self.place);
                place.clear();
                [server, b"!", partition].iter().for_each(|part| place.extend_from_slice(part));
                self.add_count(&place, 1);
                self.place = place;
            }
        }
    }

    fn add_count(&mut self, string: &[u8], count: u64) {
        let hash = xxh3_64(string);
        let known = self.index.get(&hash).copied();
        if let Some((at, (_, seen))) = known.and_then(|at| Some((at, self.strings.get_mut(at)?))) {
            *seen = seen.saturating_add(count);
            self.last = at;
        } else if self.strings.len() < DISTINCT_MAX {
            self.last = self.strings.len();
            self.index.insert(hash, self.last);
            self.strings.push((string.into(), count));
        } else {
            self.others = self.others.saturating_add(count);
        }
    }

    /// Adds what another part of the database counted.
    pub fn merge(&mut self, other: Counts) {
        for (string, count) in other.strings {
            self.add_count(&string, count);
        }
        self.others = self.others.saturating_add(other.others);
    }

    /// Strings and how often they were seen, most often first, then by their bytes.
    pub fn sorted(&self) -> Vec<(&[u8], u64)> {
        let mut sorted: Vec<_> = self.strings.iter().map(|(string, count)| (&string[..], *count)).collect();
        sorted.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
        sorted
    }

    /// How often one string was seen.
    pub fn get(&self, string: &[u8]) -> u64 {
        let at = self.index.get(&xxh3_64(string));
        at.and_then(|at| self.strings.get(*at)).map_or(0, |(_, count)| *count)
    }

    /// Number of distinct strings kept apart.
    pub fn distinct(&self) -> usize {
        self.strings.len()
    }

    /// How often strings were seen beyond those kept apart; 0 means the counts are complete.
    pub fn others(&self) -> u64 {
        self.others
    }
}

/// Whether `place` is `server!partition`.
#[inline]
fn is_place(place: &[u8], server: &[u8], partition: &[u8]) -> bool {
    place.strip_prefix(server).and_then(|rest| rest.strip_prefix(b"!")) == Some(partition)
}
