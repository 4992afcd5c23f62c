//! Small skiplist files put together word by word, without the code that they test.
#![allow(dead_code)]

/// Type words.
pub const INORDER: u32 = 1;
/// A record of the log.
pub const ADD: u32 = 2;
const DELETE: u32 = 4;
const COMMIT: u32 = 255;
/// Header offsets.
pub const VERSION: usize = 20;
/// Minor version.
pub const VERSION_MINOR: usize = 24;
/// Number of pointers of the DUMMY node.
pub const MAXLEVEL: usize = 28;
/// Highest level in use.
pub const CURLEVEL: usize = 32;
/// Number of records.
pub const LISTSIZE: usize = 36;
/// Start of the log.
pub const LOGSTART: usize = 40;
/// Time of the last recovery.
pub const LAST_RECOVERY: usize = 44;

/// A skiplist file in the making.
#[derive(Clone)]
pub struct Sample {
    /// The file.
    pub bytes: Vec<u8>,
}

impl Sample {
    /// An empty database.
    pub fn new() -> Self {
        let mut sample = Sample { bytes: b"\xA1\x02\x8B\x0Dskiplist file\0\0\0".to_vec() };
        sample.words(&[1, 2, 20, 3, 0, 144, 1_700_000_000]);
        sample.words(&[257, 0, 0]);
        sample.words(&[0; 20]);
        sample.words(&[u32::MAX]);
        sample
    }

    /// INORDER records `a` to `f` with levels 1 to 3, and no log.
    pub fn packed() -> Self {
        let mut sample = Sample::new();
        let values = ["one", "two", "", "four", "five", "sixsix"];
        let records = ["a", "b", "c", "d", "e", "f"].into_iter().zip(values).zip([1, 2, 1, 3, 1, 2]);
        let nodes: Vec<usize> = records.map(|((key, value), level)| sample.node(INORDER, key, value, level)).collect();
        sample.link(&nodes);
        sample.checkpoint(6);
        sample
    }

    /// The same, and a log of four transactions that replaces `c`, deletes `e`, adds `g` and deletes it again.
    pub fn with_log() -> Self {
        let mut sample = Sample::packed();
        let [a, b, c, d, e, f] = ["a", "b", "c", "d", "e", "f"].map(|key| sample.find(INORDER, key));
        sample.delete(c);
        let new = sample.node(ADD, "c", "new", 1);
        sample.commit();
        sample.delete(e);
        sample.commit();
        let gone = sample.node(ADD, "g", "", 1);
        sample.commit();
        sample.delete(gone);
        sample.commit();
        sample.link(&[a, b, new, d, f]);
        sample
    }

    /// Appends words.
    pub fn words(&mut self, words: &[u32]) {
        words.iter().for_each(|word| self.bytes.extend(word.to_be_bytes()));
    }

    /// Overwrites the word at `at`.
    pub fn set(&mut self, at: usize, word: u32) {
        self.bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
    }

    /// The word at `at`.
    pub fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    /// Appends a record with empty pointers; its offset.
    pub fn node(&mut self, kind: u32, key: &str, value: &str, level: usize) -> usize {
        let offset = self.bytes.len();
        self.words(&[kind]);
        for field in [key, value] {
            self.words(&[field.len() as u32]);
            self.bytes.extend(field.bytes());
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        }
        self.words(&vec![0; level]);
        self.words(&[u32::MAX]);
        offset
    }

    /// Appends a DELETE; its offset.
    pub fn delete(&mut self, target: usize) -> usize {
        self.words(&[DELETE, target as u32]);
        self.bytes.len() - 8
    }

    /// Appends a COMMIT; its offset.
    pub fn commit(&mut self) -> usize {
        self.words(&[COMMIT]);
        self.bytes.len() - 4
    }

    /// Ends the INORDER region here.
    pub fn checkpoint(&mut self, count: u32) {
        let end = self.bytes.len() as u32;
        self.set(LOGSTART, end);
        self.set(LISTSIZE, count);
    }

    /// Offset of the first record of a type and a one-letter key.
    pub fn find(&self, kind: u32, key: &str) -> usize {
        let letter = u32::from(key.as_bytes()[0]) << 24;
        (144..self.bytes.len())
            .step_by(4)
            .find(|&at| self.word(at) == kind && self.word(at + 4) == 1 && self.word(at + 8) == letter)
            .unwrap()
    }

    /// Where pointer `i` of the node at `offset` stands.
    pub fn pointer(&self, offset: usize, i: usize) -> usize {
        let key_len = (self.word(offset + 4) as usize).next_multiple_of(4);
        let value_len = (self.word(offset + 8 + key_len) as usize).next_multiple_of(4);
        offset + 12 + key_len + value_len + 4 * i
    }

    /// Offset behind the terminator of the node at `offset`.
    pub fn end(&self, offset: usize) -> usize {
        let first = self.pointer(offset, 0);
        (first..).step_by(4).find(|&at| self.word(at) == u32::MAX).unwrap() + 4
    }

    /// Links these nodes, given in key order, at all their levels, and no others.
    pub fn link(&mut self, nodes: &[usize]) {
        let mut open: Vec<usize> = (0..20).map(|i| 60 + 4 * i).collect();
        for &node in nodes {
            let first = self.pointer(node, 0);
            let level = (self.end(node) - 4 - first) / 4;
            for (i, slot) in open.iter_mut().enumerate().take(level) {
                self.set(*slot, node as u32);
                *slot = first + 4 * i;
            }
        }
        open.iter().for_each(|&slot| self.set(slot, 0));
    }
}
