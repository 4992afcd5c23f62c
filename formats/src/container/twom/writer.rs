//! Writes a database as a repack of Cyrus would: all records in key order in one transaction.

use std::io::{self, Seek, Write};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::layout::{
    ALIGN, FIRST_OFFSET, GROWTH, HEADER_LEN, Head, Header, MARK_LEN, MAX_LEVEL, SHORT_KEY_MAX, SHORT_VALUE_MAX, Sums,
    Type, VERSION, XXH_SUMS,
};
use crate::container::Pair;
use crate::container::lay::{self, LEVELS, List, Node, Placed};
use crate::container::proof::Found;
use crate::image::Cursor;

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

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    Sums::Xxh.compute(bytes).unwrap_or_default().to_le_bytes()
}

/// The nodes of a new database.
pub(in crate::container) struct Fresh(Options);

/// The type of a record.
fn kind(key_len: u64, value_len: u64) -> Type {
    if key_len > SHORT_KEY_MAX || value_len > SHORT_VALUE_MAX { Type::FatAdd } else { Type::Add }
}

/// Puts type, level, lengths, empty pointers and empty sums.
fn put_head(bytes: &mut Vec<u8>, kind: Type, level: u8, key_len: u64, value_len: u64) {
    let word = kind as u64 | u64::from(level) << 8;
    if kind.is_fat() {
        for word in [word, key_len, value_len] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    } else {
        bytes.extend_from_slice(&(word | key_len << 16 | value_len << 32).to_le_bytes());
    }
    let rest = 8 * (usize::from(level) + 1) + 8;
    bytes.resize(bytes.len() + rest, 0);
}

impl Node for Fresh {
    type Error = io::Error;
    const MAX_LEVEL: u8 = MAX_LEVEL;
    const FRONT_LEN: u64 = FIRST_OFFSET;

    fn admit(&self, _: u64, before: Option<&[u8]>, key: &[u8]) -> io::Result<()> {
        if key.is_empty() {
            return Err(invalid("twom holds no empty key"));
        }
        if before.is_some_and(|before| before >= key) {
            return Err(invalid("the keys to write are not sorted, or one comes twice"));
        }
        Ok(())
    }

    fn place(&self, _: u64, end: u64, level: u8, key: &[u8], value: &[u8]) -> io::Result<(u64, u64)> {
        let (key_len, value_len) = (key.len() as u64, value.len() as u64);
        let lens = if kind(key_len, value_len).is_fat() { 24 } else { 8 };
        // Two sums, and a NUL behind the key and the value.
        let head_len = lens + 8 * (u64::from(level) + 1) + 8;
        Ok((end, end + head_len + (key_len + value_len + 2).next_multiple_of(ALIGN)))
    }

    fn put(&self, bytes: &mut Vec<u8>, _: u64, record: &Placed<'_>) {
        let (key_len, value_len) = (record.key.len() as u64, record.value.len() as u64);
        let start = bytes.len();
        put_head(bytes, kind(key_len, value_len), record.pointers.len() as u8, key_len, value_len);
        let tail = bytes.len();
        for part in [record.key, b"\0", record.value, b"\0"] {
            bytes.extend_from_slice(part);
        }
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let tail_sum = bytes.get(tail..).map_or([0; 4], sum);
        if let Some(place) = bytes.get_mut(tail - 4..tail) {
            place.copy_from_slice(&tail_sum);
        }
        if let Some(head) = bytes.get_mut(start..) {
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
        // The shortest item, and more than the lengths of any.
        if cursor.rest(from as u64).len() < MARK_LEN as usize {
            return Some(None);
        }
        let head = Head::decode(cursor, from as u64)?;
        if head.kind == Type::Commit || head.end > cursor.len() {
            return Some(None);
        }
        let sums = summed || head.head_agrees(cursor, Sums::Xxh) && head.tail_agrees(cursor, Sums::Xxh);
        let formed = head.kind == kind(head.key_len, head.value_len) && head.key_len > 0 && head.is_filled(cursor);
        for (level, to) in (0..head.level).zip(pointers) {
            *to = head.pointer(cursor, word_of(level));
        }
        let sound = sums && formed && head.pointer(cursor, 1) == 0;
        let range = from..usize::try_from(head.end).ok()?;
        sound.then_some(Some(Found {
            range,
            key: head.key(cursor),
            value: head.value(cursor),
            level: head.level.into(),
        }))
    }

    fn head(&self, key_len: u64, value_len: u64, pointers: &[u64]) -> (u64, Vec<u8>) {
        let mut head = Vec::new();
        put_head(&mut head, kind(key_len, value_len), pointers.len() as u8, key_len, value_len);
        complete(&mut head, pointers);
        // The sum of key and value stands already.
        head.truncate(head.len().saturating_sub(4));
        (0, head)
    }

    /// Behind the COMMIT there is the room to grow that Cyrus gives a file.
    fn frame(&self, count: u64, end: u64, pointers: &[u64]) -> (Vec<u8>, Vec<u8>) {
        let mut back = Vec::new();
        let mut current_size = end;
        if count > 0 {
            put_head(&mut back, Type::Commit, 0, 0, 0);
            set_word(&mut back, 8, FIRST_OFFSET);
            seal(&mut back);
            current_size += back.len() as u64;
            back.resize(usize::try_from(current_size.next_multiple_of(GROWTH) - end).unwrap_or_default(), 0);
        }
        let header = Header {
            uuid: self.0.uuid,
            version: VERSION,
            flags: XXH_SUMS,
            generation: self.0.generation,
            num_records: count,
            num_commits: u64::from(count > 0),
            dirty_size: 0,
            repack_size: end,
            current_size,
            maxlevel: pointers.iter().take_while(|&&pointer| pointer != 0).count() as u32,
            sum: 0,
        };
        let mut front = header.encode().to_vec();
        put_head(&mut front, Type::Dummy, MAX_LEVEL, 0, 0);
        if let Some(dummy) = front.get_mut(HEADER_LEN as usize..) {
            complete(dummy, pointers);
        }
        (back, front)
    }
}

/// Sets the pointers of a head, and its sum.
fn complete(head: &mut [u8], pointers: &[u64]) {
    for (level, &pointer) in (0..).zip(pointers) {
        set_word(head, pointers_at(head) + 8 * usize::from(word_of(level)), pointer);
    }
    seal(head);
}

/// Which pointer word a level's is: of level 0 the first, as Cyrus sets it in a record that was followed by none.
fn word_of(level: u8) -> u8 {
    if level == 0 { 0 } else { level + 1 }
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

/// Puts the sum of a complete head.
fn seal(head: &mut [u8]) {
    let Some((head, rest)) = sums_at(head).and_then(|sums| head.split_at_mut_checked(sums)) else { return };
    if let Some(place) = rest.get_mut(..4) {
        place.copy_from_slice(&sum(head));
    }
}
