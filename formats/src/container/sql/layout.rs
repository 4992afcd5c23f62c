//! The bytes of an SQLite file: header, page heads, cells, rows. Numbers are big-endian; pages are counted from 1.

use crate::image::{Cursor, Span};

/// First 16 bytes of the file.
pub const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of the file's header, on page 1.
pub const HEADER_LEN: u64 = 100;

/// The file's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Bytes of a page.
    pub page_size: u64,
    /// 1 for a rollback journal, 2 for a write-ahead log.
    pub write_version: u8,
    /// Bytes at the end of each page that are not used.
    pub reserved: u8,
    /// Number of pages.
    pub page_count: u32,
    /// First trunk page of the free list.
    pub free_trunk: u32,
    /// Number of free pages.
    pub free_count: u32,
    /// Not 0 if there are pointer maps.
    pub vacuum: u32,
    /// 1 for UTF-8.
    pub encoding: u32,
    /// How often the file was changed.
    pub changes: u32,
    /// The same as of the moment when `page_count` was written.
    pub valid_for: u32,
    /// Version of the library that wrote last.
    pub library: u32,
}

impl Header {
    /// The header of the file; `None` without magic, or if the file ends in it.
    pub fn decode(cursor: Cursor<'_>) -> Option<Header> {
        if cursor.bytes(0, 16)? != MAGIC {
            return None;
        }
        let page_size = match cursor.be_u16(16)? {
            1 => 65_536,
            size => size.into(),
        };
        Some(Header {
            page_size,
            write_version: cursor.u8(18)?,
            reserved: cursor.u8(20)?,
            page_count: cursor.be_u32(28)?,
            free_trunk: cursor.be_u32(32)?,
            free_count: cursor.be_u32(36)?,
            vacuum: cursor.be_u32(52)?,
            encoding: cursor.be_u32(56)?,
            changes: cursor.be_u32(24)?,
            valid_for: cursor.be_u32(92)?,
            library: cursor.be_u32(96)?,
        })
    }
}

/// Whether SQLite has pages of this size.
pub fn is_page_size(size: u64) -> bool {
    size.is_power_of_two() && (512..=65_536).contains(&size)
}

/// What a page of a tree is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Above the leaves of an index.
    IndexBranch,
    /// Above the leaves of a table.
    TableBranch,
    /// Leaf of an index.
    IndexLeaf,
    /// Leaf of a table: rows.
    TableLeaf,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        match byte {
            2 => Some(Kind::IndexBranch),
            5 => Some(Kind::TableBranch),
            10 => Some(Kind::IndexLeaf),
            13 => Some(Kind::TableLeaf),
            _ => None,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::IndexBranch => "index branch",
            Kind::TableBranch => "table branch",
            Kind::IndexLeaf => "index leaf",
            Kind::TableLeaf => "table leaf",
        }
    }

    /// Whether pages below it belong to it.
    pub fn is_branch(self) -> bool {
        matches!(self, Kind::IndexBranch | Kind::TableBranch)
    }

    /// Whether it belongs to an index.
    pub fn is_index(self) -> bool {
        matches!(self, Kind::IndexBranch | Kind::IndexLeaf)
    }
}

/// The head of a page of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Offset in the page of the first free block; 0 for none.
    pub free_block: u16,
    /// Number of cells.
    pub cells: u16,
    /// Offset in the page where cells begin; 0 for 65536.
    pub content: u16,
    /// Bytes between cells that are too few for a free block.
    pub fragments: u8,
    /// Last child of a branch.
    pub right: Option<u32>,
}

impl Head {
    /// The head at file offset `at`.
    pub fn decode(cursor: Cursor<'_>, at: u64) -> Option<Head> {
        let plus = |n: u64| at.checked_add(n);
        let kind = Kind::of(cursor.u8(at)?)?;
        Some(Head {
            kind,
            free_block: cursor.be_u16(plus(1)?)?,
            cells: cursor.be_u16(plus(3)?)?,
            content: cursor.be_u16(plus(5)?)?,
            fragments: cursor.u8(plus(7)?)?,
            right: if kind.is_branch() { Some(cursor.be_u32(plus(8)?)?) } else { None },
        })
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        if self.kind.is_branch() { 12 } else { 8 }
    }
}

/// A number of 1 to 9 bytes, 7 bits in each but the ninth, and how many bytes it takes.
pub fn varint(cursor: Cursor<'_>, at: u64) -> Option<(u64, u64)> {
    let mut number = 0u64;
    for n in 0..8 {
        let byte = cursor.u8(at.checked_add(n)?)?;
        number = number << 7 | u64::from(byte & 0x7F);
        if byte < 0x80 {
            return Some((number, n + 1));
        }
    }
    Some((number << 8 | u64::from(cursor.u8(at.checked_add(8)?)?), 9))
}

/// A cell of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Its bytes.
    pub span: Span,
    /// Child page, of branches.
    pub child: Option<u32>,
    /// Row number, of tables.
    pub row: u64,
    /// The part of the payload that stands in the cell; empty for branches of tables.
    pub local: Span,
    /// Length of the whole payload.
    pub payload_len: u64,
    /// First overflow page; `None` if all of the payload stands in the cell.
    pub overflow: Option<u32>,
}

/// The cell at file offset `at` of a page of `kind` with `usable` bytes, which must end before `limit`.
pub fn cell(cursor: Cursor<'_>, at: u64, kind: Kind, usable: u64, limit: u64) -> Option<Cell> {
    let (child, mut next) = match kind.is_branch() {
        true => (Some(cursor.be_u32(at)?), at.checked_add(4)?),
        false => (None, at),
    };
    let mut number = || {
        let (number, len) = varint(cursor, next)?;
        next = next.checked_add(len)?;
        Some(number)
    };
    if kind == Kind::TableBranch {
        let row = number()?;
        let local = Span::at(next, 0);
        let span = Span::new(at, next);
        return (span.end <= limit).then_some(Cell { span, child, row, local, payload_len: 0, overflow: None });
    }
    let payload_len = number()?;
    let row = if kind.is_index() { 0 } else { number()? };
    let local = Span::at(next, local_len(payload_len, kind, usable)?);
    let overflows = local.len() < payload_len;
    let overflow = if overflows { Some(cursor.be_u32(local.end)?) } else { None };
    let end = local.end.checked_add(if overflows { 4 } else { 0 })?;
    // The shortest cell takes four bytes, which is what a free block needs.
    let span = Span::new(at, end.max(at.checked_add(4)?));
    (span.end <= limit).then_some(Cell { span, child, row, local, payload_len, overflow })
}

/// How many bytes of a payload stand in the cell.
fn local_len(payload_len: u64, kind: Kind, usable: u64) -> Option<u64> {
    let most = if kind.is_index() {
        (usable.checked_sub(12)?.checked_mul(64)? / 255).checked_sub(23)?
    } else {
        usable.checked_sub(35)?
    };
    if payload_len <= most {
        return Some(payload_len);
    }
    let least = (usable.checked_sub(12)?.checked_mul(32)? / 255).checked_sub(23)?;
    let fitting = least.checked_add(payload_len.checked_sub(least)?.checked_rem(usable.checked_sub(4)?)?)?;
    Some(if fitting <= most { fitting } else { least })
}

/// The class and place of a column's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// No value.
    Null,
    /// A number, whole or not.
    Number,
    /// Text, what Cyrus writes.
    Text,
    /// Bytes, which never equal text.
    Blob,
}

/// The columns of a row: the class of each, and where it stands in the payload. At most `most` are read.
pub fn columns(payload: &[u8], most: usize) -> Option<Vec<(Class, std::ops::Range<usize>)>> {
    let cursor = Cursor::new(payload);
    let (head_len, mut at) = varint(cursor, 0)?;
    let mut data = head_len;
    let mut columns = Vec::new();
    while at < head_len && columns.len() < most {
        let (serial, len) = varint(cursor, at)?;
        at = at.checked_add(len)?;
        let (class, len) = match serial {
            0 => (Class::Null, 0),
            1..=4 => (Class::Number, serial),
            5 => (Class::Number, 6),
            6 | 7 => (Class::Number, 8),
            8 | 9 => (Class::Number, 0),
            10 | 11 => return None,
            even if even % 2 == 0 => (Class::Blob, (even - 12) / 2),
            odd => (Class::Text, (odd - 13) / 2),
        };
        let end = data.checked_add(len)?;
        let range = usize::try_from(data).ok()?..usize::try_from(end).ok()?;
        payload.get(range.clone())?;
        columns.push((class, range));
        data = end;
    }
    (at <= head_len).then_some(columns)
}
