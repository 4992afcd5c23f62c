//! Items: type, lengths, where the parts of an item stand, and what its words say.

use byteorder::{ByteOrder, LittleEndian};

use super::{ALIGN, FIRST_OFFSET, MAX_LEVEL, SHORT_KEY_MAX, Sums};
use crate::image::{Cursor, Span, round_up};

/// The type of a record; its number is the type byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// The list's first node.
    Dummy = 1,
    /// A key that was not there, and its value.
    Add = 2,
    /// The same, with long lengths.
    FatAdd = 3,
    /// A key that was there before, even if it was deleted meanwhile, and its value.
    Replace = 4,
    /// The same, with long lengths.
    FatReplace = 5,
    /// A deletion; names the record that it deletes.
    Delete = 6,
    /// The end of a transaction; names where it started.
    Commit = 7,
}

impl Type {
    /// The type of a type byte.
    #[inline]
    pub fn of(byte: u8) -> Option<Type> {
        match byte {
            1 => Some(Type::Dummy),
            2 => Some(Type::Add),
            3 => Some(Type::FatAdd),
            4 => Some(Type::Replace),
            5 => Some(Type::FatReplace),
            6 => Some(Type::Delete),
            7 => Some(Type::Commit),
            _ => None,
        }
    }

    /// Cyrus' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Type::Dummy => "DUMMY",
            Type::Add => "ADD",
            Type::FatAdd => "FATADD",
            Type::Replace => "REPLACE",
            Type::FatReplace => "FATREPLACE",
            Type::Delete => "DELETE",
            Type::Commit => "COMMIT",
        }
    }

    /// Whether it has a key and a value.
    #[inline]
    pub fn is_record(self) -> bool {
        matches!(self, Type::Add | Type::FatAdd | Type::Replace | Type::FatReplace)
    }

    /// Whether its lengths are long ones.
    pub fn is_fat(self) -> bool {
        matches!(self, Type::FatAdd | Type::FatReplace)
    }

    /// Where its ancestor stands, from its first byte on.
    #[inline]
    pub fn ancestor_at(self) -> Option<u64> {
        match self {
            Type::Replace | Type::Delete => Some(8),
            Type::FatReplace => Some(24),
            _ => None,
        }
    }

    /// Where its first pointer stands, from its first byte on.
    #[inline]
    fn pointers_at(self) -> u64 {
        match self {
            Type::Dummy | Type::Add | Type::Delete | Type::Commit => 8,
            Type::Replace => 16,
            Type::FatAdd => 24,
            Type::FatReplace => 32,
        }
    }
}

/// Where the parts of a record stand. Nothing of it is checked but that type, level and lengths go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Offset of the record's first byte.
    pub offset: u64,
    /// Offset of the first pointer word; of a DELETE's ancestor or a COMMIT's start.
    pub pointers: u64,
    /// Offset of the head's sum; the tail's sum stands 4 bytes behind, the key 8 bytes behind.
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
    /// Reads the head at `offset`; `None` if nothing there can be one: wrong alignment, type or level, bytes that must be
    /// zero, lengths beyond reason, or no room for the lengths. The record may end behind the file.
    #[inline]
    pub fn decode(cursor: Cursor<'_>, offset: u64) -> Option<Head> {
        let word = cursor.le_u64(offset)?;
        let kind = Type::of(word as u8)?;
        let level = (word >> 8) as u8;
        let level_fits = match kind {
            Type::Dummy => level == MAX_LEVEL,
            Type::Delete | Type::Commit => level == 0,
            _ => (1..=MAX_LEVEL).contains(&level),
        };
        let short = matches!(kind, Type::Add | Type::Replace);
        if !level_fits || !short && word >> 16 != 0 || !offset.is_multiple_of(ALIGN) {
            return None;
        }
        let (key_len, value_len) = match kind {
            Type::Add | Type::Replace => (word >> 16 & SHORT_KEY_MAX, word >> 32),
            Type::FatAdd | Type::FatReplace => {
                (cursor.le_u64(offset.checked_add(8)?)?, cursor.le_u64(offset.checked_add(16)?)?)
            }
            _ => (0, 0),
        };
        let pointers = offset.checked_add(kind.pointers_at())?;
        let sums = pointers.checked_add(8 * (u64::from(level) + 1))?;
        Head { offset, pointers, sums, key_len, value_len, end: 0, kind, level }.with_lens(key_len, value_len)
    }

    /// The same record with a key of `key_len` bytes.
    pub fn with_key_len(self, key_len: u64) -> Option<Head> {
        self.with_lens(key_len, self.value_len)
    }

    /// The same record with a key and a value of these lengths in bytes.
    #[inline]
    pub fn with_lens(self, key_len: u64, value_len: u64) -> Option<Head> {
        let used = key_len.checked_add(value_len)?.checked_add(2)?;
        let tail = if self.kind.is_record() { round_up(used, ALIGN)? } else { 0 };
        let end = self.sums.checked_add(8)?.checked_add(tail)?;
        Some(Head { key_len, value_len, end, ..self })
    }

    /// Its bytes.
    pub fn span(&self) -> Span {
        Span::new(self.offset, self.end)
    }

    /// Its length in bytes.
    pub fn total_len(&self) -> u64 {
        self.end.saturating_sub(self.offset)
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
        Span::at(self.key_span().end.saturating_add(1), self.value_len)
    }

    /// Span of the NUL behind the value and the zeros that follow.
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
        cursor.span(self.value_span()).unwrap_or_default()
    }

    /// Span of pointer word `index`.
    pub fn pointer_span(&self, index: u8) -> Span {
        Span::at(self.pointers.saturating_add(8 * u64::from(index)), 8)
    }

    /// Pointer word `index`; 0 behind the end of the file. Words 0 and 1 belong to level 0, word `i + 1` to level `i`.
    #[inline]
    pub fn pointer(&self, cursor: Cursor<'_>, index: u8) -> u64 {
        cursor.le_u64(self.pointers.saturating_add(8 * u64::from(index))).unwrap_or_default()
    }

    /// What a COMMIT names: where its transaction started.
    #[inline]
    pub fn start(&self, cursor: Cursor<'_>) -> u64 {
        self.pointer(cursor, 0)
    }

    /// Span of the ancestor; empty if its type has none.
    pub fn ancestor_span(&self) -> Span {
        self.kind.ancestor_at().map_or(Span::at(self.offset, 0), |at| Span::at(self.offset.saturating_add(at), 8))
    }

    /// The version of the key in front of this one: what a REPLACE replaces or a DELETE deletes. `None` if its type has none.
    #[inline]
    pub fn ancestor(&self, cursor: Cursor<'_>) -> Option<u64> {
        cursor.le_u64(self.offset.checked_add(self.kind.ancestor_at()?)?)
    }

    /// The level-0 pointer that is valid when the committed size is `limit`.
    #[inline]
    pub fn next(&self, cursor: Cursor<'_>, limit: u64) -> u64 {
        choose(self.pointer(cursor, 0), self.pointer(cursor, 1), limit)
    }

    /// Span of both sums.
    pub fn sums_span(&self) -> Span {
        Span::at(self.sums, 8)
    }

    /// The head's sum as stored, and the bytes it is made of; `None` behind the end of the file.
    #[inline]
    pub fn head_part<'a>(&self, cursor: Cursor<'a>) -> Option<(u32, &'a [u8])> {
        let bytes = cursor.bytes(self.offset, self.sums.saturating_sub(self.offset).checked_add(4)?)?;
        let (head, stored) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        Some((LittleEndian::read_u32(stored), head))
    }

    /// Whether the head's sum agrees.
    #[inline]
    pub fn head_agrees(&self, cursor: Cursor<'_>, sums: Sums) -> bool {
        self.head_part(cursor).is_some_and(|(stored, bytes)| sums.agree(stored, bytes))
    }

    /// The tail's sum as stored, and the bytes it is made of; `None` if the record ends behind the file.
    #[inline]
    pub fn tail_part<'a>(&self, cursor: Cursor<'a>) -> Option<(u32, &'a [u8])> {
        let at = self.sums.checked_add(4)?;
        let (stored, tail) = cursor.bytes(at, self.end.checked_sub(at)?)?.split_at_checked(4)?;
        Some((LittleEndian::read_u32(stored), tail))
    }

    /// Whether the tail's sum agrees; what has no tail has 0 there.
    #[inline]
    pub fn tail_agrees(&self, cursor: Cursor<'_>, sums: Sums) -> bool {
        let Some((stored, tail)) = self.tail_part(cursor) else { return false };
        if self.kind.is_record() { sums.agree(stored, tail) } else { stored == 0 }
    }

    /// Whether one NUL follows the key and nothing but zeros the value.
    #[inline]
    pub fn is_filled(&self, cursor: Cursor<'_>) -> bool {
        if !self.kind.is_record() {
            return true;
        }
        let padding = cursor.span(self.padding_span()).unwrap_or(b"\x01");
        cursor.u8(self.key_span().end) == Some(0) && padding.iter().all(|&byte| byte == 0)
    }

    /// Whether its words can be what they must be: offsets of items, those of an ancestor and of a start in front of it.
    pub fn words_are_plausible(&self, cursor: Cursor<'_>) -> bool {
        let item = |word: u64| word >= FIRST_OFFSET && word.is_multiple_of(ALIGN);
        let earlier = |word: u64| item(word) && word < self.offset;
        match self.kind {
            Type::Commit => item(self.start(cursor)) && self.start(cursor) <= self.offset,
            Type::Delete => self.ancestor(cursor).is_some_and(earlier),
            _ => {
                let pointers = (0..=self.level).map(|index| self.pointer(cursor, index));
                self.ancestor(cursor).is_none_or(earlier) && pointers.into_iter().all(|word| word == 0 || item(word))
            }
        }
    }
}

/// The valid one of two level-0 pointers (`advance0`).
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
