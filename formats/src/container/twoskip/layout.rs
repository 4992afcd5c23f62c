//! The byte layout, written once: header, record heads, pointers, check sums. All integers are big-endian.
//!
//! Source: `lib/cyrusdb_twoskip.c` (`read_header`, `read_onerecord`, `write_record`, `prepare_record`), releases 2.5 to 3.13.

use byteorder::{BigEndian, ByteOrder};

use super::super::detect::TWOSKIP_MAGIC;
use crate::image::{Cursor, Span, round_up};

/// Length of the file header in bytes.
pub const HEADER_LEN: u64 = 64;
/// Offset of the DUMMY record.
pub const DUMMY_OFFSET: u64 = HEADER_LEN;
/// Level of the DUMMY record, and the highest a record can have.
pub const MAX_LEVEL: u8 = 31;
/// Length of the DUMMY record in bytes.
pub const DUMMY_LEN: u64 = 272;
/// Offset of the first transaction, and the length of an empty database.
pub const FIRST_OFFSET: u64 = DUMMY_OFFSET + DUMMY_LEN;
/// Length of a DELETE or a COMMIT in bytes.
pub const MARK_LEN: u64 = 24;
/// The eight bytes of a BLANK as a big-endian word: `" BLANK" 07 A0`.
pub const BLANK: u64 = 0x2042_4C41_4E4B_07A0;
/// The only version there is.
pub const VERSION: u32 = 1;
/// Header flag: a transaction or a recovery is under way.
pub const DIRTY: u32 = 1;
/// Every item starts at a multiple of this many bytes.
pub const ALIGN: u64 = 8;

/// CRC-32 as zlib computes it.
#[inline]
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The fields of the file header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Format version.
    pub version: u32,
    /// 1 at creation, one more at each repack.
    pub generation: u64,
    /// Number of live records.
    pub num_records: u64,
    /// Size of the file in bytes right after the last repack, without the final COMMIT.
    pub repack_size: u64,
    /// Committed size of the file in bytes.
    pub current_size: u64,
    /// Bit 0: [`DIRTY`].
    pub flags: u32,
    /// CRC-32 of bytes 0 to 59.
    pub crc: u32,
}

impl Header {
    /// Where the fields stand.
    pub const VERSION: Span = Span { start: 20, end: 24 };
    /// Span of `generation`.
    pub const GENERATION: Span = Span { start: 24, end: 32 };
    /// Span of `num_records`.
    pub const NUM_RECORDS: Span = Span { start: 32, end: 40 };
    /// Span of `repack_size`.
    pub const REPACK_SIZE: Span = Span { start: 40, end: 48 };
    /// Span of `current_size`.
    pub const CURRENT_SIZE: Span = Span { start: 48, end: 56 };
    /// Span of `flags`.
    pub const FLAGS: Span = Span { start: 56, end: 60 };
    /// Span of `crc`.
    pub const CRC: Span = Span { start: 60, end: 64 };
    /// Span of the magic.
    pub const MAGIC: Span = Span { start: 0, end: 20 };

    /// Reads the header's fields, whatever they say; `None` if the file is shorter than a header.
    pub fn decode(cursor: Cursor<'_>) -> Option<Header> {
        Some(Header {
            version: cursor.be_u32(20)?,
            generation: cursor.be_u64(24)?,
            num_records: cursor.be_u64(32)?,
            repack_size: cursor.be_u64(40)?,
            current_size: cursor.be_u64(48)?,
            flags: cursor.be_u32(56)?,
            crc: cursor.be_u32(60)?,
        })
    }

    /// The header's 64 bytes, with the right check sum whatever `self.crc` says.
    pub fn encode(&self) -> [u8; HEADER_LEN as usize] {
        let mut out = Vec::with_capacity(HEADER_LEN as usize);
        out.extend_from_slice(TWOSKIP_MAGIC);
        out.extend_from_slice(&self.version.to_be_bytes());
        for word in [self.generation, self.num_records, self.repack_size, self.current_size] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&self.flags.to_be_bytes());
        out.extend_from_slice(&crc(&out).to_be_bytes());
        let mut bytes = [0; HEADER_LEN as usize];
        bytes.iter_mut().zip(out).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Whether the first bytes are the magic.
    pub fn magic_is_right(cursor: Cursor<'_>) -> bool {
        cursor.span(Header::MAGIC) == Some(TWOSKIP_MAGIC)
    }

    /// The check sum that the header should have.
    pub fn computed_crc(cursor: Cursor<'_>) -> Option<u32> {
        cursor.bytes(0, Header::CRC.start).map(crc)
    }
}

/// The type of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// `=`: the list's first node.
    Dummy,
    /// `+`: a key and its value.
    Record,
    /// `-`: a deletion; names the record that follows the deleted one.
    Delete,
    /// `$`: the end of a transaction; names where it started.
    Commit,
}

impl Type {
    /// The type byte.
    pub fn byte(self) -> u8 {
        match self {
            Type::Dummy => b'=',
            Type::Record => b'+',
            Type::Delete => b'-',
            Type::Commit => b'$',
        }
    }
}

/// Where the parts of a record stand. Nothing of it is checked but that type, level and lengths go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Offset of the record's first byte.
    pub offset: u64,
    /// Offset of the first pointer word.
    pub pointers: u64,
    /// Offset of crc_head; crc_tail stands 4 bytes behind, the key 8 bytes behind.
    pub sums: u64,
    /// Length of the key in bytes.
    pub key_len: u64,
    /// Length of the value in bytes.
    pub value_len: u64,
    /// Offset behind the record, its padding included.
    pub end: u64,
    /// Its type.
    pub kind: Type,
    /// Its level: it has `level + 1` pointer words.
    pub level: u8,
}

impl Head {
    /// Reads the head at `offset`; `None` if nothing there can be one: wrong alignment, type or level, lengths that a
    /// record of that type cannot have, or no room for the fixed part and long lengths. The record may end behind the file.
    #[inline]
    pub fn decode(cursor: Cursor<'_>, offset: u64) -> Option<Head> {
        let word = cursor.be_u64(offset)?;
        if !offset.is_multiple_of(ALIGN) {
            return None;
        }
        let level = (word >> 48) as u8;
        let kind = match (word >> 56) as u8 {
            b'+' if (1..=MAX_LEVEL).contains(&level) => Type::Record,
            b'=' if level == MAX_LEVEL => Type::Dummy,
            b'-' if level == 0 => Type::Delete,
            b'$' if level == 0 => Type::Commit,
            _ => return None,
        };
        let (short_key, short_value) = (word >> 32 & 0xFFFF, word & 0xFFFF_FFFF);
        if kind != Type::Record && (short_key != 0 || short_value != 0) {
            return None;
        }
        if short_key == 0xFFFF || short_value == 0xFFFF_FFFF {
            return Head::decode_long(cursor, offset, level, short_key, short_value);
        }
        let pointers = offset.checked_add(8)?;
        let sums = pointers.checked_add(8 * (u64::from(level) + 1))?;
        let end = sums.checked_add(8 + ((short_key + short_value + 7) & !7))?;
        Some(Head { offset, pointers, sums, key_len: short_key, value_len: short_value, end, kind, level })
    }

    #[cold]
    fn decode_long(cursor: Cursor<'_>, offset: u64, level: u8, short_key: u64, short_value: u64) -> Option<Head> {
        let mut pointers = offset.checked_add(8)?;
        let mut long = |short: u64, limit: u64| {
            if short != limit {
                return Some(short);
            }
            let len = cursor.be_u64(pointers)?;
            pointers = pointers.checked_add(8)?;
            Some(len)
        };
        let key_len = long(short_key, 0xFFFF)?;
        let value_len = long(short_value, 0xFFFF_FFFF)?;
        let sums = pointers.checked_add(8 * (u64::from(level) + 1))?;
        let tail = round_up(key_len.checked_add(value_len)?, ALIGN)?;
        let end = sums.checked_add(8)?.checked_add(tail)?;
        Some(Head { offset, pointers, sums, key_len, value_len, end, kind: Type::Record, level })
    }

    /// Its bytes.
    pub fn span(&self) -> Span {
        Span::new(self.offset, self.end)
    }

    /// Offset of the key.
    #[inline]
    pub fn key_offset(&self) -> u64 {
        self.sums.saturating_add(8)
    }

    /// Span of the key.
    pub fn key_span(&self) -> Span {
        Span::at(self.key_offset(), self.key_len)
    }

    /// Span of the value.
    pub fn value_span(&self) -> Span {
        Span::at(self.key_span().end, self.value_len)
    }

    /// Span of the zeros behind the value.
    pub fn padding_span(&self) -> Span {
        Span::new(self.value_span().end, self.end)
    }

    /// The key; empty if the file ends inside it.
    #[inline]
    pub fn key<'a>(&self, cursor: Cursor<'a>) -> &'a [u8] {
        cursor.bytes(self.key_offset(), self.key_len).unwrap_or_default()
    }

    /// The value; empty if the file ends inside it.
    #[inline]
    pub fn value<'a>(&self, cursor: Cursor<'a>) -> &'a [u8] {
        cursor.bytes(self.key_offset().saturating_add(self.key_len), self.value_len).unwrap_or_default()
    }

    /// Span of pointer word `index`.
    pub fn pointer_span(&self, index: u8) -> Span {
        Span::at(self.pointers.saturating_add(8 * u64::from(index)), 8)
    }

    /// Pointer word `index`; 0 behind the end of the file. Words 0 and 1 belong to level 0, word `i + 1` to level `i`.
    #[inline]
    pub fn pointer(&self, cursor: Cursor<'_>, index: u8) -> u64 {
        cursor.be_u64(self.pointers.saturating_add(8 * u64::from(index))).unwrap_or_default()
    }

    /// What a DELETE or COMMIT names.
    #[inline]
    pub fn word(&self, cursor: Cursor<'_>) -> u64 {
        self.pointer(cursor, 0)
    }

    /// The level-0 pointer that is valid when the committed size is `limit` (`_getloc`: the highest one below it).
    #[inline]
    pub fn next(&self, cursor: Cursor<'_>, limit: u64) -> u64 {
        choose(self.pointer(cursor, 0), self.pointer(cursor, 1), limit)
    }

    /// Span of both check sums.
    pub fn sums_span(&self) -> Span {
        Span::at(self.sums, 8)
    }

    /// crc_head as stored and as it should be; `None` behind the end of the file.
    #[inline]
    pub fn head_sums(&self, cursor: Cursor<'_>) -> Option<(u32, u32)> {
        let bytes = cursor.bytes(self.offset, self.sums.saturating_sub(self.offset).checked_add(4)?)?;
        let (head, stored) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        Some((BigEndian::read_u32(stored), crc(head)))
    }

    /// Whether crc_head is right.
    #[inline]
    pub fn head_is_right(&self, cursor: Cursor<'_>) -> bool {
        self.head_sums(cursor).is_some_and(|(stored, computed)| stored == computed)
    }

    /// crc_tail as stored and as it should be; `None` if the record ends behind the file.
    #[inline]
    pub fn tail_sums(&self, cursor: Cursor<'_>) -> Option<(u32, u32)> {
        let at = self.sums.checked_add(4)?;
        let bytes = cursor.bytes(at, self.end.checked_sub(at)?)?;
        let (stored, tail) = bytes.split_at_checked(4)?;
        Some((BigEndian::read_u32(stored), crc(tail)))
    }

    /// Whether crc_tail is right.
    #[inline]
    pub fn tail_is_right(&self, cursor: Cursor<'_>) -> bool {
        self.tail_sums(cursor).is_some_and(|(stored, computed)| stored == computed)
    }

    /// Whether the bytes behind the value are zeros.
    #[inline]
    pub fn padding_is_zero(&self, cursor: Cursor<'_>) -> bool {
        let used = (self.key_len.wrapping_add(self.value_len) % ALIGN) as u32;
        used == 0 || cursor.be_u64(self.end.saturating_sub(ALIGN)).is_some_and(|word| word << (used * 8) == 0)
    }
}

/// The valid one of two level-0 pointers.
#[inline]
pub fn choose(first: u64, second: u64, limit: u64) -> u64 {
    if first >= limit {
        second
    } else if second >= limit {
        first
    } else {
        first.max(second)
    }
}

/// What a level-0 pointer leads to once a DELETE in its way is skipped: 0 at the end of the list.
#[inline]
pub fn skip_delete(cursor: Cursor<'_>, pointer: u64) -> u64 {
    match Head::decode(cursor, pointer) {
        Some(head) if head.kind == Type::Delete => head.word(cursor),
        _ => pointer,
    }
}

/// The DUMMY record's head, if its fixed part is what it must be and the file holds all of it.
pub fn dummy(cursor: Cursor<'_>) -> Option<Head> {
    Head::decode(cursor, DUMMY_OFFSET).filter(|head| head.kind == Type::Dummy && head.end <= cursor.len())
}

/// Whether bytes at `offset` are a BLANK.
#[inline]
pub fn is_blank(cursor: Cursor<'_>, offset: u64) -> bool {
    cursor.be_u64(offset) == Some(BLANK)
}

/// Number of BLANKs that Cyrus 3.2 and later writes at `end` in front of a record whose head is `head_len` bytes long
/// (check sums included), so that the head crosses no 512-byte boundary.
pub fn blanks_before(end: u64, head_len: u64) -> u64 {
    if head_len > 504 {
        return 0;
    }
    let fits = |end: u64| end.saturating_add(8) % 512 <= end.saturating_sub(8).saturating_add(head_len) % 512;
    (0..64).find(|blanks| fits(end.saturating_add(8 * blanks))).unwrap_or(0)
}
