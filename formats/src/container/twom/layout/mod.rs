//! The byte layout, written once: header, record heads, pointers, check sums. All integers are little-endian.
//!
//! Source: the twom library (`twom.c`: `read_header`, `reclenfn`, `store_here`), as Cyrus 3.13 carries it in `lib/twom.c`.

mod item;

pub use item::{Head, Type, choose};

use xxhash_rust::xxh3::xxh3_64;

use super::super::detect::TWOM_MAGIC;
use crate::image::{Cursor, Span};

/// Length of the file header in bytes.
pub const HEADER_LEN: u64 = 96;
/// Offset of the DUMMY record.
pub const DUMMY_OFFSET: u64 = HEADER_LEN;
/// Length of the DUMMY record in bytes.
pub const DUMMY_LEN: u64 = 272;
/// Offset of the first transaction, and the length of an empty database.
pub const FIRST_OFFSET: u64 = DUMMY_OFFSET + DUMMY_LEN;
/// Level of the DUMMY record, and the highest a record can have.
pub const MAX_LEVEL: u8 = 31;
/// Length of a DELETE or a COMMIT in bytes.
pub const MARK_LEN: u64 = 24;
/// Length of the shortest record in bytes: an ADD of level 1 with a key of up to six bytes and no value.
pub const MIN_RECORD_LEN: u64 = 40;
/// Every item starts at a multiple of this many bytes.
pub const ALIGN: u64 = 8;
/// The file grows to a multiple of this many bytes.
pub const GROWTH: u64 = 16_384;
/// A key of more bytes needs a record with long lengths.
pub const SHORT_KEY_MAX: u64 = 0xFFFF;
/// A value of more bytes needs a record with long lengths.
pub const SHORT_VALUE_MAX: u64 = 0xFFFF_FFFF;
/// The only version there is.
pub const VERSION: u32 = 1;

/// Header flag: a transaction or a recovery is under way.
pub const DIRTY: u32 = 1;
/// Header flag: there are no check sums.
pub const NULL_SUMS: u32 = 1 << 27;
/// Header flag: check sums are XXH3; the default.
pub const XXH_SUMS: u32 = 1 << 28;
/// Header flag: check sums are made by a function of the program that wrote the file.
pub const FOREIGN_SUMS: u32 = 1 << 29;
/// Header flag: keys are ordered by a function of the program that wrote the file.
pub const FOREIGN_ORDER: u32 = 1 << 30;
/// All flags that are known.
pub const KNOWN_FLAGS: u32 = DIRTY | NULL_SUMS | XXH_SUMS | FOREIGN_SUMS | FOREIGN_ORDER;

/// How a file's check sums are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sums {
    /// The low 32 bits of XXH3-64 with seed 0; 0 for no bytes at all.
    Xxh,
    /// There are none: each is 0.
    Null,
    /// By a function that only the program knows which wrote the file.
    Foreign,
}

impl Sums {
    /// What the header's flags say (`set_csum_engine`).
    pub fn of(flags: u32) -> Sums {
        if flags & FOREIGN_SUMS != 0 {
            Sums::Foreign
        } else if flags & NULL_SUMS != 0 {
            Sums::Null
        } else {
            Sums::Xxh
        }
    }

    /// The sum of `bytes`; `None` if it can't be known.
    #[inline]
    pub fn compute(self, bytes: &[u8]) -> Option<u32> {
        match self {
            Sums::Xxh if bytes.is_empty() => Some(0),
            Sums::Xxh => Some(xxh3_64(bytes) as u32),
            Sums::Null => Some(0),
            Sums::Foreign => None,
        }
    }

    /// Whether `stored` does not contradict `bytes`.
    #[inline]
    pub fn agree(self, stored: u32, bytes: &[u8]) -> bool {
        self.compute(bytes).is_none_or(|sum| sum == stored)
    }

    /// Whether a sum that agrees proves anything.
    pub fn prove(self) -> bool {
        self == Sums::Xxh
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Sums::Xxh => "XXH3",
            Sums::Null => "none",
            Sums::Foreign => "foreign",
        }
    }
}

/// The fields of the file header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Made at creation, kept across repacks.
    pub uuid: [u8; 16],
    /// Format version.
    pub version: u32,
    /// [`DIRTY`] and what the file's sums and order are.
    pub flags: u32,
    /// 1 at creation, one more at each repack.
    pub generation: u64,
    /// Number of live records.
    pub num_records: u64,
    /// Number of COMMITs since creation or the last repack.
    pub num_commits: u64,
    /// Bytes of deletions, and of records that were deleted or replaced.
    pub dirty_size: u64,
    /// Offset behind the part that the last repack wrote in key order.
    pub repack_size: u64,
    /// Committed size of the file in bytes.
    pub current_size: u64,
    /// Highest level that any record was ever given.
    pub maxlevel: u32,
    /// Sum of bytes 0 to 91.
    pub sum: u32,
}

impl Header {
    /// Span of the magic.
    pub const MAGIC: Span = Span { start: 0, end: 16 };
    /// Span of `uuid`.
    pub const UUID: Span = Span { start: 16, end: 32 };
    /// Span of `version`.
    pub const VERSION: Span = Span { start: 32, end: 36 };
    /// Span of `flags`.
    pub const FLAGS: Span = Span { start: 36, end: 40 };
    /// Span of `generation`.
    pub const GENERATION: Span = Span { start: 40, end: 48 };
    /// Span of `num_records`.
    pub const NUM_RECORDS: Span = Span { start: 48, end: 56 };
    /// Span of `num_commits`.
    pub const NUM_COMMITS: Span = Span { start: 56, end: 64 };
    /// Span of `dirty_size`.
    pub const DIRTY_SIZE: Span = Span { start: 64, end: 72 };
    /// Span of `repack_size`.
    pub const REPACK_SIZE: Span = Span { start: 72, end: 80 };
    /// Span of `current_size`.
    pub const CURRENT_SIZE: Span = Span { start: 80, end: 88 };
    /// Span of `maxlevel`.
    pub const MAXLEVEL: Span = Span { start: 88, end: 92 };
    /// Span of `sum`.
    pub const SUM: Span = Span { start: 92, end: 96 };

    /// Reads the header's fields, whatever they say; `None` if the file is shorter than a header.
    pub fn decode(cursor: Cursor<'_>) -> Option<Header> {
        Some(Header {
            uuid: cursor.span(Header::UUID)?.try_into().ok()?,
            version: cursor.le_u32(Header::VERSION.start)?,
            flags: cursor.le_u32(Header::FLAGS.start)?,
            generation: cursor.le_u64(Header::GENERATION.start)?,
            num_records: cursor.le_u64(Header::NUM_RECORDS.start)?,
            num_commits: cursor.le_u64(Header::NUM_COMMITS.start)?,
            dirty_size: cursor.le_u64(Header::DIRTY_SIZE.start)?,
            repack_size: cursor.le_u64(Header::REPACK_SIZE.start)?,
            current_size: cursor.le_u64(Header::CURRENT_SIZE.start)?,
            maxlevel: cursor.le_u32(Header::MAXLEVEL.start)?,
            sum: cursor.le_u32(Header::SUM.start)?,
        })
    }

    /// The header's 96 bytes, with the right sum (0 where it can't be known) whatever `self.sum` says.
    pub fn encode(&self) -> [u8; HEADER_LEN as usize] {
        let mut out = Vec::with_capacity(HEADER_LEN as usize);
        out.extend_from_slice(TWOM_MAGIC);
        out.extend_from_slice(&self.uuid);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        let words = [self.generation, self.num_records, self.num_commits, self.dirty_size, self.repack_size];
        for word in words.into_iter().chain([self.current_size]) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.maxlevel.to_le_bytes());
        out.extend_from_slice(&Sums::of(self.flags).compute(&out).unwrap_or_default().to_le_bytes());
        let mut bytes = [0; HEADER_LEN as usize];
        bytes.iter_mut().zip(out).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Whether the first bytes are the magic.
    pub fn magic_is_right(cursor: Cursor<'_>) -> bool {
        cursor.span(Header::MAGIC) == Some(TWOM_MAGIC)
    }

    /// Whether the header's sum agrees with its bytes.
    pub fn sum_agrees(&self, cursor: Cursor<'_>, sums: Sums) -> bool {
        cursor.bytes(0, Header::SUM.start).is_some_and(|bytes| sums.agree(self.sum, bytes))
    }
}
