//! Writes a database as a repack of Cyrus would: all records in key order in one transaction.

use std::cmp::Ordering;
use std::io::{self, Seek, Write};

use super::layout::{
    ALIGN, BLANK, FIRST_OFFSET, HEADER_LEN, Head, Header, MARK_LEN, MAX_LEVEL, Type, VERSION, blanks_before, crc,
    is_blank,
};
use crate::container::lay::{self, LEVELS, List, Node, Placed};
use crate::container::proof::Found;
use crate::container::{KeyOrder, Pair};
use crate::image::Cursor;

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
pub fn write<W: Write + Seek, R: Pair + Send>(
    mut out: W,
    records: impl IntoIterator<Item = R>,
    options: Options,
) -> io::Result<W> {
    lay::write(&fresh(options), &mut out, records)?;
    Ok(out)
}

/// How the records of a new file are placed and encoded.
pub(in crate::container) fn fresh(options: Options) -> List<Fresh> {
    List(Fresh(options))
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

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// The nodes of a new database.
pub(in crate::container) struct Fresh(Options);

impl Node for Fresh {
    type Error = io::Error;
    const MAX_LEVEL: u8 = MAX_LEVEL;
    const FRONT_LEN: u64 = FIRST_OFFSET;

    fn admit(&self, _: u64, before: Option<&[u8]>, key: &[u8]) -> io::Result<()> {
        if key.is_empty() {
            return Err(invalid("twoskip holds no empty key"));
        }
        if before.is_some_and(|before| self.0.order.compare(before, key) != Ordering::Less) {
            return Err(invalid("the keys to write are not sorted, or one comes twice"));
        }
        Ok(())
    }

    fn place(&self, _: u64, end: u64, level: u8, key: &[u8], value: &[u8]) -> io::Result<(u64, u64)> {
        let (key_len, value_len) = (key.len() as u64, value.len() as u64);
        let head_len = head_len(key_len, value_len, level);
        let offset = end + ALIGN * blanks_before(end, head_len);
        Ok((offset, offset + head_len + (key_len + value_len).next_multiple_of(ALIGN)))
    }

    fn put(&self, bytes: &mut Vec<u8>, start: u64, record: &Placed<'_>) {
        let level = record.pointers.len() as u8;
        put_blanks(bytes, start, head_len(record.key.len() as u64, record.value.len() as u64, level));
        let head = bytes.len();
        put_record(bytes, level, record.key, record.value);
        if let Some(head) = bytes.get_mut(head..) {
            complete(head, record.pointers);
        }
    }

    fn found<'b>(
        &self,
        bytes: &'b [u8],
        from: usize,
        pointers: &mut [u64; LEVELS],
        summed: bool,
    ) -> Option<Option<Found<'b>>> {
        let cursor = Cursor::new(bytes);
        let mut at = from as u64;
        while is_blank(cursor, at) {
            at += ALIGN;
        }
        // A head's lengths take up to three words.
        if cursor.rest(at).len() < MARK_LEN as usize {
            return Some(None);
        }
        let head = Head::decode(cursor, at)?;
        if head.kind == Type::Commit || head.end > cursor.len() {
            return Some(None);
        }
        let sums = summed || head.head_is_right(cursor) && head.tail_is_right(cursor);
        let sound = head.kind == Type::Record && sums;
        let filled = head.key_len > 0 && head.padding_is_zero(cursor) && head.pointer(cursor, 0) == 0;
        for (index, to) in (1..=head.level).zip(pointers) {
            *to = head.pointer(cursor, index);
        }
        let range = usize::try_from(at).ok()?..usize::try_from(head.end).ok()?;
        (sound && filled).then_some(Some(Found {
            range,
            key: head.key(cursor),
            value: head.value(cursor),
            level: head.level.into(),
        }))
    }

    fn head(&self, key_len: u64, value_len: u64, pointers: &[u64]) -> (u64, Vec<u8>) {
        let mut head = Vec::new();
        put_head(&mut head, Type::Record, pointers.len() as u8, key_len, value_len);
        complete(&mut head, pointers);
        // The sum of key and value stands already.
        head.truncate(head.len().saturating_sub(4));
        (0, head)
    }

    fn frame(&self, count: u64, end: u64, pointers: &[u64]) -> (Vec<u8>, Vec<u8>) {
        let mut back = Vec::new();
        if count > 0 {
            put_blanks(&mut back, end, MARK_LEN);
            back.extend(mark(Type::Commit, FIRST_OFFSET));
        }
        let header = Header {
            version: VERSION,
            generation: self.0.generation,
            num_records: count,
            repack_size: end,
            current_size: end + back.len() as u64,
            flags: 0,
            crc: 0,
        };
        let mut front = header.encode().to_vec();
        put_head(&mut front, Type::Dummy, MAX_LEVEL, 0, 0);
        if let Some(dummy) = front.get_mut(HEADER_LEN as usize..) {
            complete(dummy, pointers);
        }
        (back, front)
    }
}

/// Sets the pointers of a head, and its check sum.
fn complete(head: &mut [u8], pointers: &[u64]) {
    for (level, &pointer) in (0..).zip(pointers) {
        set_pointer(head, level, pointer);
    }
    seal(head);
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
        for count in [0, 1, 2, 3, 1000, 8191, 8192, 8193, 100_000] {
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
