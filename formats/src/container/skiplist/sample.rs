//! Small files for this room's own tests.

use std::io::Cursor;

use super::layout::{ADD, COMMIT, DELETE};
use super::{Options, write};
use crate::container::KeyOrder;

/// A file without a log.
pub fn packed(records: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    write(&mut out, records.iter().copied(), Options { order: KeyOrder::Signed, last_recovery: 1_700_000_000 })
        .unwrap();
    out.into_inner()
}

/// The file with the one occurrence of `old` replaced by `new`, of the same length.
pub fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

/// Appends words to a file.
fn append(bytes: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| bytes.extend(word.to_be_bytes()));
}

fn set(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

/// INORDER records `a` to `f`, then a log of four transactions that replaces `c`, deletes `e`, adds `g` and deletes it
/// again, with all pointers right.
pub fn with_log() -> Vec<u8> {
    let mut bytes = packed(&[("a", "one"), ("b", "two"), ("c", ""), ("d", "four"), ("e", "five"), ("f", "six")]);
    let key = |bytes: &[u8], key: u8| bytes.windows(8).position(|w| w == [0, 0, 0, 1, key, 0, 0, 0]).unwrap() - 4;
    let [b, c, d, e, f] = [b'b', b'c', b'd', b'e', b'f'].map(|k| key(&bytes, k));
    let words = |offset: usize| u32::try_from(offset).unwrap();
    let new = bytes.len() + 8;
    append(&mut bytes, &[DELETE, words(c), ADD, 1, u32::from(b'c') << 24, 3, 0x6E65_7700, words(d), u32::MAX, COMMIT]);
    append(&mut bytes, &[DELETE, words(e), COMMIT]);
    let gone = bytes.len();
    append(&mut bytes, &[ADD, 1, u32::from(b'g') << 24, 0, 0, u32::MAX, COMMIT, DELETE, words(gone), COMMIT]);
    // `b`, of two levels, leads to the new `c`; `d`, of three, to `f`, of two, at its two lower levels.
    set(&mut bytes, b + 20, words(new));
    set(&mut bytes, d + 20, words(f));
    bytes
}
