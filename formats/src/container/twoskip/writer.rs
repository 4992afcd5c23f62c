//! Writes a database as a repack of Cyrus would: all records in key order in one transaction.
//!
//! One sequential pass. A record's pointers are known only when later records are placed; the few records whose pointers
//! are still open when their bytes are written out get their heads rewritten at the end.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use super::layout::{
    BLANK, DUMMY_OFFSET, FIRST_OFFSET, HEADER_LEN, Header, MARK_LEN, MAX_LEVEL, Type, VERSION, blanks_before, crc,
};
use crate::container::KeyOrder;

/// Bytes collected before they are written.
const BUFFER_LEN: usize = 4 << 20;

/// What a new database is to be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The generation in the header: 1 for a new database, one more than the source's for a rewritten one.
    pub generation: u64,
    /// The order in which the keys come; Cyrus 3.6 and later reads [`KeyOrder::Unsigned`] only.
    pub order: KeyOrder,
}

impl Default for Options {
    fn default() -> Self {
        Options { generation: 1, order: KeyOrder::Unsigned }
    }
}

/// Writes a whole database of `records`, sorted by key, each key once. The same records and options give the same bytes.
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
    last_key: Vec<u8>,
    /// For each level, the offset of the record whose pointer of that level is still open.
    open: [u64; MAX_LEVEL as usize],
    /// Heads of open records that are written already, by their offsets.
    late: BTreeMap<u64, Vec<u8>>,
}

/// Puts type, level, lengths, empty pointers and empty check sums.
fn put_head(buffer: &mut Vec<u8>, kind: Type, level: u8, key_len: u64, value_len: u64) {
    let short_key = key_len.min(0xFFFF);
    let short_value = value_len.min(0xFFFF_FFFF);
    let word = u64::from(kind.byte()) << 56 | u64::from(level) << 48 | short_key << 32 | short_value;
    buffer.extend_from_slice(&word.to_be_bytes());
    if short_key == 0xFFFF {
        buffer.extend_from_slice(&key_len.to_be_bytes());
    }
    if short_value == 0xFFFF_FFFF {
        buffer.extend_from_slice(&value_len.to_be_bytes());
    }
    let pointers_and_sums = 8 * (usize::from(level) + 2);
    buffer.resize(buffer.len() + pointers_and_sums, 0);
}

/// Puts a `+` record with empty pointers: complete but for them and crc_head.
pub(super) fn put_record(buffer: &mut Vec<u8>, level: u8, key: &[u8], value: &[u8]) {
    put_head(buffer, Type::Record, level, key.len() as u64, value.len() as u64);
    let tail = buffer.len();
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
    buffer.resize(buffer.len().next_multiple_of(8), 0);
    let sum = buffer.get(tail..).map_or(0, crc);
    if let Some(place) = buffer.get_mut(tail - 4..tail) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

/// Puts the BLANKs that belong in front of a head of this length; `buffer` starts at `buffer_offset` of the file.
pub(super) fn put_blanks(buffer: &mut Vec<u8>, buffer_offset: u64, head_len: u64) {
    for _ in 0..blanks_before(buffer_offset + buffer.len() as u64, head_len) {
        buffer.extend_from_slice(&BLANK.to_be_bytes());
    }
}

/// The bytes of a DELETE or COMMIT that names `word`.
pub(super) fn mark(kind: Type, word: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MARK_LEN as usize);
    put_head(&mut bytes, kind, 0, 0, 0);
    set_word(&mut bytes, 8, word);
    seal(&mut bytes);
    bytes
}

/// Length of a head in bytes, its check sums included.
pub(super) fn head_len(key_len: u64, value_len: u64, level: u8) -> u64 {
    let long_key = if key_len >= 0xFFFF { 8 } else { 0 };
    let long_value = if value_len >= 0xFFFF_FFFF { 8 } else { 0 };
    8 + long_key + long_value + 8 * (u64::from(level) + 1) + 8
}

/// Level of record `number`, counted from 1: as even as levels drawn at random are on average.
fn level(number: u64) -> u8 {
    (number.trailing_zeros() as u8).saturating_add(1).min(MAX_LEVEL)
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl<W: Write + Seek> Writer<W> {
    /// Begins a database at the current place of `out`, which is taken as offset 0.
    ///
    /// # Errors
    /// What writing says.
    pub fn new(out: W, options: Options) -> io::Result<Self> {
        let mut writer = Writer {
            out,
            options,
            buffer: Vec::with_capacity(BUFFER_LEN + BUFFER_LEN / 8),
            buffer_offset: 0,
            count: 0,
            last_key: Vec::new(),
            open: [DUMMY_OFFSET; MAX_LEVEL as usize],
            late: BTreeMap::new(),
        };
        writer.buffer.resize(HEADER_LEN as usize, 0);
        put_head(&mut writer.buffer, Type::Dummy, MAX_LEVEL, 0, 0);
        Ok(writer)
    }

    fn end(&self) -> u64 {
        self.buffer_offset + self.buffer.len() as u64
    }

    fn blanks(&mut self, head_len: u64) {
        put_blanks(&mut self.buffer, self.buffer_offset, head_len);
    }

    /// Adds the record that follows in key order.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an empty key or one that does not follow; else what writing says.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if key.is_empty() {
            return Err(invalid("twoskip holds no empty key"));
        }
        if self.count > 0 && self.options.order.compare(&self.last_key, key) != Ordering::Less {
            return Err(invalid("the keys to write are not sorted, or one comes twice"));
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.count += 1;
        let (key_len, value_len, level) = (key.len() as u64, value.len() as u64, level(self.count));
        self.blanks(head_len(key_len, value_len, level));
        let offset = self.end();
        put_record(&mut self.buffer, level, key, value);
        self.link(offset, level);
        if self.buffer.len() >= BUFFER_LEN { self.flush() } else { Ok(()) }
    }

    /// Leads the open pointers below `level` to the record at `offset`, whose own are open from now on.
    fn link(&mut self, offset: u64, level: u8) {
        for below in 0..level {
            let Some(open) = self.open.get_mut(usize::from(below)) else { return };
            let from = std::mem::replace(open, offset);
            let Some(head) = head_at(&mut self.buffer, self.buffer_offset, &mut self.late, from) else { continue };
            set_pointer(head, below, offset);
            if head.get(1) == Some(&(below + 1)) {
                seal(head);
            }
        }
    }

    /// Writes out what is collected; keeps the heads that are not finished.
    fn flush(&mut self) -> io::Result<()> {
        for offset in self.open {
            let place = offset.checked_sub(self.buffer_offset).and_then(|place| usize::try_from(place).ok());
            if let Some(bytes) = place.and_then(|place| self.buffer.get(place..)) {
                let len = sums_at(bytes).map_or(0, |sums| sums + 4);
                self.late.entry(offset).or_insert_with(|| bytes.get(..len).unwrap_or_default().to_vec());
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
            if let Some(head) = head_at(&mut self.buffer, self.buffer_offset, &mut self.late, offset) {
                seal(head);
            }
        }
        if self.count > 0 {
            self.blanks(MARK_LEN);
            self.buffer.extend(mark(Type::Commit, FIRST_OFFSET));
        }
        let header = Header {
            version: VERSION,
            generation: self.options.generation,
            num_records: self.count,
            repack_size,
            current_size: self.end(),
            flags: 0,
            crc: 0,
        };
        self.complete(&header)
    }

    fn complete(mut self, header: &Header) -> io::Result<W> {
        let begin = self.out.stream_position()?.saturating_sub(self.buffer_offset);
        let end = begin + self.end();
        self.late.insert(0, header.encode().to_vec());
        self.out.write_all(&self.buffer)?;
        for (offset, head) in &self.late {
            self.out.seek(SeekFrom::Start(begin + offset))?;
            self.out.write_all(head)?;
        }
        self.out.seek(SeekFrom::Start(end))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// The bytes of the head of the record at `offset`, collected or kept.
fn head_at<'b>(
    buffer: &'b mut [u8],
    buffer_offset: u64,
    late: &'b mut BTreeMap<u64, Vec<u8>>,
    offset: u64,
) -> Option<&'b mut [u8]> {
    match offset.checked_sub(buffer_offset) {
        Some(place) => buffer.get_mut(usize::try_from(place).ok()?..),
        None => late.get_mut(&offset).map(Vec::as_mut_slice),
    }
}

/// Where the pointers of a head written here start.
pub(super) fn pointers_at(head: &[u8]) -> usize {
    let long_key = head.get(2..4) == Some(&[0xFF; 2]);
    let long_value = head.get(4..8) == Some(&[0xFF; 4]);
    8 + 8 * (usize::from(long_key) + usize::from(long_value))
}

/// Where its check sums start.
fn sums_at(head: &[u8]) -> Option<usize> {
    Some(pointers_at(head) + 8 * (usize::from(*head.get(1)?) + 1))
}

pub(super) fn set_word(head: &mut [u8], place: usize, word: u64) {
    if let Some(place) = head.get_mut(place..place + 8) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

/// Sets the pointer of `level`; of level 0 the second word, as Cyrus does in a new record.
fn set_pointer(head: &mut [u8], level: u8, pointer: u64) {
    let place = pointers_at(head) + 8 * (usize::from(level) + 1);
    set_word(head, place, pointer);
}

/// Puts the check sum of a finished head.
pub(super) fn seal(head: &mut [u8]) {
    let Some((head, rest)) = sums_at(head).and_then(|sums| head.split_at_mut_checked(sums)) else { return };
    if let Some(place) = rest.get_mut(..4) {
        place.copy_from_slice(&crc(head).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Db;
    use super::*;
    use crate::container::{Database, Depth};

    fn written(count: u32, options: Options) -> Vec<u8> {
        let records = (0..count).map(|i| (format!("key {i:08}"), "v".repeat(i as usize % 97)));
        write(io::Cursor::new(Vec::new()), records, options).unwrap().into_inner()
    }

    #[test]
    fn files_beyond_the_buffer_are_sound_and_complete() {
        for count in [0, 1, 2, 3, 1000, 100_000] {
            let bytes = written(count, Options::default());
            let db = Db::new(&bytes);
            db.verify(Depth::Full, &mut |finding| assert_eq!(finding.severity(), crate::finding::Severity::Note));
            let view = db.view(KeyOrder::Unsigned, 1);
            let mut next = 0;
            view.walk(0, &mut |record| {
                assert_eq!(*record.key, *format!("key {next:08}").as_bytes());
                assert_eq!(record.value.len(), next as usize % 97);
                next += 1;
                true
            });
            assert_eq!(next, count);
        }
        assert!(written(100_000, Options::default()).len() > 2 * BUFFER_LEN);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let refused = |records: &[(&str, &str)]| {
            let answer = write(io::Cursor::new(Vec::new()), records.iter().copied(), Options::default());
            assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        };
        refused(&[("", "value")]);
        refused(&[("b", ""), ("a", "")]);
        refused(&[("a", ""), ("a", "")]);
    }

    #[test]
    fn an_empty_database_is_the_one_that_cyrus_makes() {
        let bytes = written(0, Options::default());
        assert_eq!(bytes.len() as u64, FIRST_OFFSET);
        assert_eq!(Header::decode(crate::image::Cursor::new(&bytes)).map(|header| header.repack_size), Some(336));
    }
}
