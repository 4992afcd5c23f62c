//! Whether any two records of one key were ever live at the same time: which only the log's deletions can hide from the
//! list of keys that are live now.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bits::OffsetSet;
use super::layout::{FIRST_RECORD, Node};
use super::scan::{Item, Scan};
use crate::image::Cursor;

/// How many deletions are looked at in one go: what bounds the memory.
const DELETIONS_AT_ONCE: usize = 1 << 20;
/// Number of bits for each deletion, by which most keys that were not deleted are told from those that were.
const SIEVE_BITS: usize = 8;
/// How many neighbours of one hash are looked at, for the sake of different keys that share it.
const SHARED_HASHES: usize = 4;

/// A record that the log deletes: where it stands, and where its deletion stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Life {
    hash: u64,
    start: u32,
    end: u32,
}

/// Lives of up to [`DELETIONS_AT_ONCE`] records, by the hash of their key and then by where they start.
struct Lives<'a> {
    cursor: Cursor<'a>,
    seed: u64,
    lives: Vec<Life>,
    sieve: Vec<u64>,
}

/// Whether a record came, in INORDER region or log, while another of its key was live. `live` are those that are live at
/// the end; their keys must all be different, and so must be those of the INORDER region.
pub fn overlap(cursor: Cursor<'_>, logstart: u64, live: &OffsetSet) -> bool {
    let seed = RandomState::new().hash_one(cursor.len());
    let mut deletions = Scan::from(cursor, logstart);
    loop {
        let lives = Lives::take(cursor, seed, &mut deletions);
        if lives.lives.is_empty() {
            return false;
        }
        let clashes = |item| matches!(item, Item::Record(node) if lives.clash(&node, live.contains(node.offset)));
        if Scan::from(cursor, FIRST_RECORD).any(clashes) {
            return true;
        }
    }
}

impl<'a> Lives<'a> {
    fn take(cursor: Cursor<'a>, seed: u64, deletions: &mut Scan<'a>) -> Self {
        let mut lives = Vec::new();
        for item in deletions {
            if let Item::Delete { span, target } = item
                && let (Ok(node), Ok(end)) = (Node::read(cursor, u64::from(target)), u32::try_from(span.start))
            {
                lives.push(Life { hash: xxh3_64_with_seed(node.key, seed), start: target, end });
            }
            if lives.len() >= DELETIONS_AT_ONCE {
                break;
            }
        }
        lives.sort_unstable();
        let mut sieve = vec![0; (lives.len() * SIEVE_BITS).div_ceil(64).max(1)];
        for life in &lives {
            let (word, bit) = sieve_place(sieve.len(), life.hash);
            if let Some(word) = sieve.get_mut(word) {
                *word |= bit;
            }
        }
        Lives { cursor, seed, lives, sieve }
    }

    /// Whether `node` came during one of the lives of its key, or, being live to the end, one of them came after it.
    ///
    /// Where lives of one key follow each other, as they should, the nearest on each side tell; where they don't, the
    /// node that starts the later one clashes itself.
    fn clash(&self, node: &Node<'_>, is_live: bool) -> bool {
        let hash = xxh3_64_with_seed(node.key, self.seed);
        let (word, bit) = sieve_place(self.sieve.len(), hash);
        if self.sieve.get(word).is_none_or(|word| word & bit == 0) {
            return false;
        }
        let Ok(offset) = u32::try_from(node.offset) else { return true };
        let (before, after) = self.lives.split_at(self.lives.partition_point(|l| (l.hash, l.start) < (hash, offset)));
        let same_hash = |life: &&Life| life.hash == hash && life.start != offset;
        let same_key =
            |life: &Life| Node::read(self.cursor, u64::from(life.start)).is_ok_and(|old| old.key == node.key);
        let during =
            before.iter().rev().take_while(same_hash).take(SHARED_HASHES).any(|l| l.end > offset && same_key(l));
        during || (is_live && after.iter().take_while(same_hash).take(SHARED_HASHES).any(same_key))
    }
}

/// The word, of so many, and the bit of the sieve that stand for a hash.
fn sieve_place(words: usize, hash: u64) -> (usize, u64) {
    let word = usize::try_from((hash >> 6) % words as u64).unwrap_or_default();
    (word, 1 << (hash % 64))
}
