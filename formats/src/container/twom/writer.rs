//! Writes a database as a repack of Cyrus would: all records in key order in one transaction.
//!
//! One sequential pass. A record's pointers are known only when later records are placed; the few records whose pointers
//! are still open when their bytes are written out get their heads written anew at the end.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::layout::{
    DUMMY_OFFSET, FIRST_OFFSET, GROWTH, HEADER_LEN, Header, MAX_LEVEL, SHORT_KEY_MAX, SHORT_VALUE_MAX, Sums, Type,
    VERSION, XXH_SUMS,
};

/// Bytes collected before they are written.
const BUFFER_LEN: usize = 4 << 20;
const LEVELS: usize = MAX_LEVEL as usize;

/// What a new database is to be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The generation in the header: 1 for a new database, one more than the source's for a rewritten one.
    pub generation: u64,
    /// The UUID in the header: [`uuid`] for a new database, the source's for a rewritten one.
    pub uuid: [u8; 16],
}

impl Default for Options {
    fn default() -> Self {
        Options { generation: 1, uuid: uuid(0) }
    }
}

/// A UUID of version 4 that depends on nothing but `seed`.
pub fn uuid(seed: u64) -> [u8; 16] {
    let mut uuid = xxh3_128_with_seed(b"twom", seed);
    uuid = uuid & !(0xF << 76) | 0x4 << 76;
    uuid = uuid & !(0b11 << 62) | 0b10 << 62;
    uuid.to_be_bytes()
}

/// Writes a whole database of `records`, sorted by key bytewise, each key once, from the current place of `out` on, which
/// is taken as offset 0. The same records and options give the same bytes.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for an empty key or one that does not follow the one before it; else what writing or
/// seeking says. The output is of no use then.
pub fn write<W: Write + Seek, K: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: W,
    records: impl IntoIterator<Item = (K, V)>,
    options: Options,
) -> io::Result<W> {
    let mut writer = Writer::new(out, options)?;
    for (key, value) in records {
        writer.push(key.as_ref(), value.as_ref())?;
    }
    writer.finish()
}

/// Writes a database record by record.
pub struct Writer<W: Write + Seek> {
    out: W,
    options: Options,
    /// Bytes not yet written, and the file offset of the first of them.
    buffer: Vec<u8>,
    buffer_offset: u64,
    count: u64,
    maxlevel: u8,
    last_key: Vec<u8>,
    /// For each level, the offset of the record whose pointer of that level is still open.
    open: [u64; LEVELS],
    /// Heads that were written before they were complete, by their offsets.
    late: BTreeMap<u64, Vec<u8>>,
}

/// Level of record `number`, counted from 1: as even as levels drawn at random are on average.
fn level(number: u64) -> u8 {
    (number.trailing_zeros() as u8).saturating_add(1).min(MAX_LEVEL)
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    Sums::Xxh.compute(bytes).unwrap_or_default().to_le_bytes()
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a database at the current place of `out`, which is taken as offset 0.
    ///
    /// # Errors
    /// What writing says.
    pub fn new(out: W, options: Options) -> io::Result<Self> {
        let mut buffer = Vec::with_capacity(BUFFER_LEN + BUFFER_LEN / 8);
        buffer.resize(HEADER_LEN as usize, 0);
        let mut writer = Writer {
            out,
            options,
            buffer,
            buffer_offset: 0,
            count: 0,
            maxlevel: 0,
            last_key: Vec::new(),
            open: [DUMMY_OFFSET; LEVELS],
            late: BTreeMap::new(),
        };
        writer.head(Type::Dummy, MAX_LEVEL, 0, 0);
        Ok(writer)
    }

    fn end(&self) -> u64 {
        self.buffer_offset + self.buffer.len() as u64
    }

    /// Puts type, level, lengths, empty pointers and empty sums.
    fn head(&mut self, kind: Type, level: u8, key_len: u64, value_len: u64) {
        let word = kind as u64 | u64::from(level) << 8;
        if kind.is_fat() {
            for word in [word, key_len, value_len] {
                self.buffer.extend_from_slice(&word.to_le_bytes());
            }
        } else {
            self.buffer.extend_from_slice(&(word | key_len << 16 | value_len << 32).to_le_bytes());
        }
        let rest = 8 * (usize::from(level) + 1) + 8;
        self.buffer.resize(self.buffer.len() + rest, 0);
    }

    /// Adds the record that follows in key order.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an empty key or one that does not follow; else what writing says.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if key.is_empty() {
            return Err(invalid("twom holds no empty key"));
        }
        if self.count > 0 && self.last_key.as_slice() >= key {
            return Err(invalid("the keys to write are not sorted, or one comes twice"));
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.count += 1;
        let level = level(self.count);
        self.maxlevel = self.maxlevel.max(level);
        let offset = self.end();
        let (key_len, value_len) = (key.len() as u64, value.len() as u64);
        let long = key_len > SHORT_KEY_MAX || value_len > SHORT_VALUE_MAX;
        self.head(if long { Type::FatAdd } else { Type::Add }, level, key_len, value_len);
        let tail = self.buffer.len();
        for part in [key, b"\0", value, b"\0"] {
            self.buffer.extend_from_slice(part);
        }
        self.buffer.resize(self.buffer.len().next_multiple_of(8), 0);
        let tail_sum = self.buffer.get(tail..).map_or([0; 4], sum);
        if let Some(place) = self.buffer.get_mut(tail - 4..tail) {
            place.copy_from_slice(&tail_sum);
        }
        self.link(offset, level);
        if self.buffer.len() >= BUFFER_LEN { self.flush() } else { Ok(()) }
    }

    /// Leads the open pointers below `level` to the record at `offset`, whose own are open from now on. A head is complete
    /// with the pointer of its highest level.
    fn link(&mut self, offset: u64, level: u8) {
        for below in 0..level {
            let Some(open) = self.open.get_mut(usize::from(below)) else { return };
            let from = std::mem::replace(open, offset);
            let Some(head) = self.head_at(from) else { continue };
            set_pointer(head, below, offset);
            if head.get(1) == Some(&(below + 1)) {
                seal(head);
            }
        }
    }

    /// The bytes from a head on, collected or kept.
    fn head_at(&mut self, offset: u64) -> Option<&mut [u8]> {
        match offset.checked_sub(self.buffer_offset) {
            Some(place) => self.buffer.get_mut(usize::try_from(place).ok()?..),
            None => self.late.get_mut(&offset).map(Vec::as_mut_slice),
        }
    }

    /// Writes out what is collected; keeps the heads that are not complete.
    fn flush(&mut self) -> io::Result<()> {
        for offset in self.open {
            let place = offset.checked_sub(self.buffer_offset).and_then(|place| usize::try_from(place).ok());
            if let Some(bytes) = place.and_then(|place| self.buffer.get(place..)) {
                let head = sums_at(bytes).and_then(|sums| bytes.get(..sums + 4));
                self.late.entry(offset).or_insert_with(|| head.unwrap_or_default().to_vec());
            }
        }
        self.out.write_all(&self.buffer)?;
        self.buffer_offset = self.end();
        self.buffer.clear();
        Ok(())
    }

    /// Ends the transaction and completes the heads; gives the output back, with everything written to it.
    ///
    /// # Errors
    /// What writing or seeking says.
    pub fn finish(mut self) -> io::Result<W> {
        let repack_size = self.end();
        for offset in self.open {
            self.head_at(offset).map(seal);
        }
        if self.count > 0 {
            self.head(Type::Commit, 0, 0, 0);
            if let Some(commit) = self.head_at(repack_size) {
                set_word(commit, 8, FIRST_OFFSET);
                seal(commit);
            }
        }
        let header = Header {
            uuid: self.options.uuid,
            version: VERSION,
            flags: XXH_SUMS,
            generation: self.options.generation,
            num_records: self.count,
            num_commits: u64::from(self.count > 0),
            dirty_size: 0,
            repack_size,
            current_size: self.end(),
            maxlevel: self.maxlevel.into(),
            sum: 0,
        };
        self.complete(&header)
    }

    /// Writes what is left, with the room to grow that Cyrus gives a file, then the heads that were not complete.
    fn complete(mut self, header: &Header) -> io::Result<W> {
        let begin = self.out.stream_position()?.saturating_sub(self.buffer_offset);
        let end = if self.count > 0 { self.end().next_multiple_of(GROWTH) } else { self.end() };
        let room = usize::try_from(end - self.end()).unwrap_or_default();
        self.buffer.resize(self.buffer.len() + room, 0);
        self.late.insert(0, header.encode().to_vec());
        self.out.write_all(&self.buffer)?;
        for (offset, head) in &self.late {
            self.out.seek(SeekFrom::Start(begin + offset))?;
            self.out.write_all(head)?;
        }
        self.out.seek(SeekFrom::Start(begin + end))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Where the pointers of a head written here start.
fn pointers_at(head: &[u8]) -> usize {
    if head.first() == Some(&(Type::FatAdd as u8)) { 24 } else { 8 }
}

/// Where its sums start.
fn sums_at(head: &[u8]) -> Option<usize> {
    Some(pointers_at(head) + 8 * (usize::from(*head.get(1)?) + 1))
}

fn set_word(head: &mut [u8], place: usize, word: u64) {
    if let Some(place) = head.get_mut(place..place + 8) {
        place.copy_from_slice(&word.to_le_bytes());
    }
}

/// Sets the pointer of `level`; of level 0 the first word, as Cyrus does in a record that was followed by none.
fn set_pointer(head: &mut [u8], level: u8, pointer: u64) {
    let index = if level == 0 { 0 } else { usize::from(level) + 1 };
    set_word(head, pointers_at(head) + 8 * index, pointer);
}

/// Puts the sum of a complete head.
fn seal(head: &mut [u8]) {
    let Some((head, rest)) = sums_at(head).and_then(|sums| head.split_at_mut_checked(sums)) else { return };
    if let Some(place) = rest.get_mut(..4) {
        place.copy_from_slice(&sum(head));
    }
}
