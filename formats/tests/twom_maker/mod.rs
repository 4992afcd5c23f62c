//! Makes twom files step by step as Cyrus does: sets, deletions, commits, aborts and a writer that dies.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};

use coroner_formats::container::twom::layout::{
    DIRTY, DUMMY_OFFSET, FIRST_OFFSET, GROWTH, Head, Header, MARK_LEN, Sums, Type, VERSION, XXH_SUMS, choose,
};
use coroner_formats::container::twom::uuid;
use coroner_formats::image::Cursor;

/// Bytes of a file, to be changed on purpose.
#[derive(Clone, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Overwrites bytes at an offset; the file grows to hold them.
    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        self.0.resize(self.0.len().max(at + bytes.len()), 0);
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub fn word(&mut self, at: u64, word: u64) {
        self.put(at, &word.to_le_bytes());
    }

    pub fn flip(&mut self, at: u64, bits: u8) {
        self.0[at as usize] ^= bits;
    }

    pub fn head(&self, at: u64) -> Head {
        Head::decode(Cursor::new(&self.0), at).unwrap_or_else(|| panic!("no head at 0x{at:X}"))
    }

    pub fn get(&self, at: u64) -> u64 {
        Cursor::new(&self.0).le_u64(at).expect("a word")
    }

    fn sum(&self, from: u64, to: u64) -> [u8; 4] {
        Sums::Xxh.compute(&self.0[from as usize..to as usize]).expect("a sum").to_le_bytes()
    }

    /// Makes the sums of the item at an offset right.
    pub fn seal(&mut self, at: u64) {
        let head = self.head(at);
        let sum = self.sum(at, head.sums);
        self.put(head.sums, &sum);
        if head.kind.is_record() {
            let sum = self.sum(head.sums + 8, head.end);
            self.put(head.sums + 4, &sum);
        }
    }

    pub fn header(&self) -> Header {
        Header::decode(Cursor::new(&self.0)).expect("a header")
    }

    /// Changes the header and makes its sum right.
    pub fn change_header(&mut self, change: impl FnOnce(&mut Header)) {
        let mut header = self.header();
        change(&mut header);
        self.put(0, &header.encode());
    }

    /// Sets pointer word `index` of the record at an offset, and makes its sums right.
    pub fn point(&mut self, at: u64, index: u8, to: u64) {
        let place = self.head(at).pointer_span(index).start;
        self.word(place, to);
        self.seal(at);
    }

    /// Takes all sums away, as in a file made without.
    pub fn take_sums(&mut self) {
        let mut at = DUMMY_OFFSET;
        while at < self.header().current_size {
            let head = self.head(at);
            self.word(head.sums, 0);
            at = head.end;
        }
        self.change_header(|header| header.flags = 1 << 27);
    }
}

/// The newest version of a key.
#[derive(Clone, Copy)]
struct Newest {
    record: u64,
    /// The DELETE in front of it.
    delete: Option<u64>,
    level: u8,
}

/// A file in the making.
#[derive(Clone)]
pub struct Maker {
    pub file: Bytes,
    keys: BTreeMap<Vec<u8>, Newest>,
    header: Header,
    end: u64,
    /// Every key with every value that was committed, even if the same transaction replaced it.
    pub ever: BTreeSet<(Vec<u8>, Vec<u8>)>,
    /// The same of what was aborted.
    pub aborted: BTreeSet<(Vec<u8>, Vec<u8>)>,
    pending: Vec<(Vec<u8>, Vec<u8>)>,
    /// What an abort goes back to.
    committed: (BTreeMap<Vec<u8>, Newest>, Header),
}

impl Maker {
    pub fn new() -> Self {
        let header = Header {
            uuid: uuid(7),
            version: VERSION,
            flags: XXH_SUMS,
            generation: 1,
            repack_size: FIRST_OFFSET,
            current_size: FIRST_OFFSET,
            ..Header::default()
        };
        let mut file = Bytes::default();
        file.put(0, &header.encode());
        file.put(DUMMY_OFFSET, &[1, 31]);
        file.put(FIRST_OFFSET - 1, &[0]);
        file.seal(DUMMY_OFFSET);
        let committed = (BTreeMap::new(), header);
        let (ever, aborted, pending) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        Maker { file, keys: BTreeMap::new(), header, end: FIRST_OFFSET, ever, aborted, pending, committed }
    }

    /// Where the next item will stand.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The live records.
    pub fn live(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let live = self.keys.iter().filter(|(_, newest)| newest.delete.is_none());
        let cursor = Cursor::new(&self.file.0);
        live.map(|(key, newest)| (key.clone(), self.file.head(newest.record).value(cursor).to_vec())).collect()
    }

    /// The last record in front of `key` that has pointers of `level`.
    fn before(&self, key: &[u8], level: u8) -> u64 {
        let mut before = self.keys.range::<[u8], _>((std::ops::Bound::Unbounded, std::ops::Bound::Excluded(key))).rev();
        before.find(|(_, newest)| newest.level > level).map_or(DUMMY_OFFSET, |(_, newest)| newest.record)
    }

    fn next(&self, at: u64) -> u64 {
        self.file.head(at).next(Cursor::new(&self.file.0), self.end)
    }

    fn set_next(&mut self, at: u64, to: u64) {
        let (first, second) =
            (self.file.get(self.file.head(at).pointers), self.file.get(self.file.head(at).pointers + 8));
        let committed = self.header.current_size;
        let index = u8::from(first < committed && (second >= committed || first > second));
        self.file.point(at, index, to);
    }

    /// Puts an item with these bytes behind its first eight, with empty pointers; its offset.
    pub fn item(&mut self, kind: Type, level: u8, key: &[u8], value: &[u8], ancestor: u64) -> u64 {
        let at = self.end;
        let (key_len, value_len) = (key.len() as u64, value.len() as u64);
        let word = kind as u64 | u64::from(level) << 8;
        if kind.is_fat() {
            self.file.word(at, word);
            self.file.word(at + 8, key_len);
            self.file.word(at + 16, value_len);
        } else {
            self.file.word(at, word | (key_len & 0xFFFF) << 16 | value_len << 32);
        }
        let head = self.file.head(at).with_key_len(key_len).expect("a head");
        // Cyrus clears the place first: leftovers can stand there.
        self.file.put(at + 8, &vec![0; (head.end - at - 8) as usize]);
        if kind.is_fat() {
            self.file.word(at + 8, key_len);
            self.file.word(at + 16, value_len);
        }
        if let Some(place) = kind.ancestor_at() {
            self.file.word(at + place, ancestor);
        }
        if kind.is_record() {
            self.file.put(head.key_offset(), key);
            self.file.put(head.value_span().start, value);
        }
        if kind == Type::Commit {
            self.file.word(at + 8, ancestor);
        }
        let sum = self.file.sum(head.sums + 8, head.end);
        if kind.is_record() {
            self.file.put(head.sums + 4, &sum);
        }
        let sum = self.file.sum(at, head.sums);
        self.file.put(head.sums, &sum);
        self.end = head.end;
        at
    }

    /// Stores a value; a new key gets `level`.
    pub fn set(&mut self, key: &[u8], value: &[u8], level: u8) -> u64 {
        let old = self.keys.get(key).copied();
        let level = old.map_or(level, |old| old.level);
        let before: Vec<u64> = (0..level).map(|level| self.before(key, level)).collect();
        let from = |n: u8| old.map_or(before[usize::from(n)], |old| old.record);
        let mut successors = vec![self.next(from(0))];
        successors.extend((1..level).map(|n| self.file.get(self.file.head(from(n)).pointer_span(n + 1).start)));
        let long = key.len() > 0xFFFF;
        let kind = match (old.is_some(), long) {
            (false, false) => Type::Add,
            (false, true) => Type::FatAdd,
            (true, false) => Type::Replace,
            (true, true) => Type::FatReplace,
        };
        let at = self.item(kind, level, key, value, old.map_or(0, |old| old.delete.unwrap_or(old.record)));
        for (n, successor) in (0..level).zip(successors) {
            self.file.point(at, n + 1, successor);
        }
        self.set_next(before[0], at);
        (1..level).for_each(|n| self.file.point(before[usize::from(n)], n + 1, at));
        if let Some(old) = old.filter(|old| old.delete.is_none()) {
            self.header.num_records -= 1;
            self.header.dirty_size += self.file.head(old.record).total_len();
        }
        self.header.num_records += 1;
        self.header.maxlevel = self.header.maxlevel.max(level.into());
        self.keys.insert(key.to_vec(), Newest { record: at, delete: None, level });
        self.pending.push((key.to_vec(), value.to_vec()));
        at
    }

    /// Deletes a key that is there.
    pub fn delete(&mut self, key: &[u8]) -> u64 {
        let old = self.keys.get(key).copied().filter(|old| old.delete.is_none()).expect("a live key");
        let at = self.item(Type::Delete, 0, b"", b"", old.record);
        self.set_next(self.before(key, 0), at);
        self.header.num_records -= 1;
        self.header.dirty_size += MARK_LEN + self.file.head(old.record).total_len();
        self.keys.insert(key.to_vec(), Newest { delete: Some(at), ..old });
        at
    }

    pub fn commit(&mut self) {
        let start = self.header.current_size;
        self.item(Type::Commit, 0, b"", b"", start);
        self.ever.extend(self.pending.drain(..));
        self.header.num_commits += 1;
        self.header.current_size = self.end;
        self.committed = (self.keys.clone(), self.header);
    }

    /// Goes back to the last COMMIT, as recovery does: the bytes behind it stay.
    pub fn abort(&mut self) {
        let maxlevel = self.header.maxlevel;
        self.aborted.extend(self.pending.drain(..));
        (self.keys, self.header) = self.committed.clone();
        self.header.maxlevel = maxlevel;
        self.end = self.header.current_size;
        let nodes: Vec<(u64, u8)> = self.keys.values().map(|newest| (newest.record, newest.level)).collect();
        for &(at, _) in nodes.iter().chain([&(DUMMY_OFFSET, 31)]) {
            for index in 0..2 {
                if self.file.get(self.file.head(at).pointer_span(index).start) >= self.end {
                    self.file.point(at, index, 0);
                }
            }
        }
        for level in 1..31 {
            let mut at = DUMMY_OFFSET;
            for &(node, _) in nodes.iter().filter(|&&(_, l)| l > level) {
                self.file.point(at, level + 1, node);
                at = node;
            }
            self.file.point(at, level + 1, 0);
        }
    }

    /// The file as it is after the last commit or abort.
    pub fn finish(&self) -> Bytes {
        let mut file = self.file.clone();
        file.put(0, &self.header.encode());
        file.0.resize(file.0.len().next_multiple_of(GROWTH as usize), 0);
        file
    }

    /// The file as a writer leaves it that dies inside a transaction.
    pub fn die(&self) -> Bytes {
        let mut file = self.finish();
        let committed = self.committed.1;
        file.put(0, &Header { flags: committed.flags | DIRTY, ..committed }.encode());
        file
    }
}

/// The level-0 pointer in use, for tests that look at one.
pub fn next_of(file: &Bytes, at: u64) -> u64 {
    let head = file.head(at);
    choose(file.get(head.pointers), file.get(head.pointers + 8), file.header().current_size)
}

/// A generator of numbers that look random; the same seed gives the same ones.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    /// A level as Cyrus draws it.
    pub fn level(&mut self) -> u8 {
        (1..31).find(|_| self.roll(2) == 0).unwrap_or(31)
    }
}

/// A random history of `transactions` transactions over `keys` keys; `each` sees the maker after every commit.
pub fn history(dice: &mut Dice, transactions: u64, keys: u64, each: &mut dyn FnMut(&Maker)) -> Maker {
    let mut maker = Maker::new();
    for _ in 0..transactions {
        for _ in 0..=dice.roll(6) {
            let key = format!("user.{:03}", dice.roll(keys)).into_bytes();
            let live = maker.keys.get(&key).is_some_and(|newest| newest.delete.is_none());
            if live && dice.roll(3) == 0 {
                maker.delete(&key);
            } else {
                let value = format!("value {:05}", dice.roll(100_000)).repeat(1 + dice.roll(3) as usize);
                let level = dice.level();
                maker.set(&key, value.as_bytes(), level);
            }
        }
        if dice.roll(6) == 0 {
            maker.abort();
        } else {
            maker.commit();
            each(&maker);
        }
    }
    maker.abort();
    maker
}

/// The worked example of four transactions: two sets, an overwrite, a deletion.
pub fn example() -> Maker {
    let mut maker = Maker::new();
    maker.set(b"user.alice", b"A1", 1);
    maker.commit();
    maker.set(b"user.bob", b"B1", 1);
    maker.commit();
    maker.set(b"user.alice", b"A2", 1);
    maker.commit();
    maker.delete(b"user.bob");
    maker.commit();
    maker
}

/// Where the items of the [`example`] stand.
pub mod at {
    pub const ALICE: u64 = 0x170;
    pub const BOB: u64 = 0x1B8;
    pub const SECOND_COMMIT: u64 = 0x1E8;
    pub const ALICE_AGAIN: u64 = 0x200;
    pub const DELETE: u64 = 0x250;
    pub const LAST_COMMIT: u64 = 0x268;
    pub const END: u64 = 0x280;
}

/// Forty records with levels up to six, in one transaction.
pub fn forty() -> Maker {
    let mut maker = Maker::new();
    for i in 1..=40_u64 {
        maker.set(format!("user.{i:02}").as_bytes(), b"value", i.trailing_zeros() as u8 + 1);
    }
    maker.commit();
    maker
}

/// Where the record of [`forty`] stands that has this number.
pub fn numbered(file: &Bytes, number: u64) -> u64 {
    let mut at = FIRST_OFFSET;
    (1..number).for_each(|_| at = file.head(at).end);
    at
}
