//! The pages of a Berkeley DB file: metadata, page heads, items, sums.

use crate::image::{Cursor, Span};

/// Magic of a btree, at offset 12 of page 0.
pub const BTREE_MAGIC: u32 = 0x0005_3162;
/// Magic of a hash table, at offset 12 of page 0.
pub const HASH_MAGIC: u32 = 0x0006_1561;
/// Bytes of page 0 that metadata takes, whatever the page size.
pub const META_LEN: u64 = 512;
/// Bytes of a page's head when pages have no sums.
pub const HEAD_LEN: u64 = 26;
/// The same when they have sums: two unused bytes and the sum follow.
const SUMMED_HEAD_LEN: u64 = 32;
/// Smallest page size.
pub const MIN_PAGE_SIZE: u64 = 512;
/// Largest page size.
pub const MAX_PAGE_SIZE: u64 = 65_536;
/// Bytes of an item whose data lies on overflow pages.
pub const OFF_PAGE_LEN: u64 = 12;
/// Bit of a btree item's type: deleted.
pub const DELETED: u8 = 0x80;

/// Order of the bytes in integers: that of the host that made the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endian {
    /// Lowest byte first.
    Little,
    /// Highest byte first.
    Big,
}

impl Endian {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Endian::Little => "little-endian",
            Endian::Big => "big-endian",
        }
    }

    /// u16 at `offset`.
    #[inline]
    pub fn u16(self, cursor: Cursor<'_>, offset: u64) -> Option<u16> {
        match self {
            Endian::Little => cursor.le_u16(offset),
            Endian::Big => cursor.be_u16(offset),
        }
    }

    /// u32 at `offset`.
    #[inline]
    pub fn u32(self, cursor: Cursor<'_>, offset: u64) -> Option<u32> {
        match self {
            Endian::Little => cursor.le_u32(offset),
            Endian::Big => cursor.be_u32(offset),
        }
    }
}

/// Access method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Sorted.
    Btree,
    /// In buckets.
    Hash,
}

impl Method {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Btree => "btree",
            Method::Hash => "hash",
        }
    }
}

/// How to read a file: what the metadata says, or what the pages themselves show where it is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Order of bytes.
    pub endian: Endian,
    /// Access method.
    pub method: Method,
    /// Bytes of a page.
    pub page_size: u64,
    /// Whether every page has a sum.
    pub summed: bool,
}

impl Layout {
    /// Bytes of a page's head; the index follows.
    pub fn head_len(self) -> u64 {
        if self.summed { SUMMED_HEAD_LEN } else { HEAD_LEN }
    }

    /// What the metadata says, else what most of the first pages agree with.
    pub fn of(cursor: Cursor<'_>) -> Layout {
        Meta::decode(cursor).and_then(|meta| meta.layout()).unwrap_or_else(|| guess(cursor))
    }
}

/// What page 0 says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Order of bytes, known by the magic.
    pub endian: Endian,
    /// Access method, known by the magic.
    pub method: Method,
    /// Version of the format: btree 6 to 10, hash 5 to 10.
    pub version: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// Cipher; 0 for none.
    pub encryption: u8,
    /// Type of the page: 9 btree, 8 hash.
    pub page_type: u8,
    /// Bit 0: pages have sums.
    pub flags: u8,
    /// First page of the free list; 0 for none.
    pub free: u32,
    /// Last page; `None` in versions that do not say.
    pub last_page: Option<u32>,
    /// Root of the btree; `None` for hash.
    pub root: Option<u32>,
    /// Highest bucket of the hash; `None` for btree, and for versions that keep it elsewhere.
    pub max_bucket: Option<u32>,
}

impl Meta {
    /// The metadata of page 0; `None` if the magic is not there.
    pub fn decode(cursor: Cursor<'_>) -> Option<Meta> {
        let method = |word: u32| match word {
            BTREE_MAGIC => Some(Method::Btree),
            HASH_MAGIC => Some(Method::Hash),
            _ => None,
        };
        let orders = [Endian::Little, Endian::Big];
        let (endian, method) = orders.iter().find_map(|&e| Some((e, method(e.u32(cursor, 12)?)?)))?;
        let u32_at = |offset| endian.u32(cursor, offset);
        let version = u32_at(16)?;
        let (old, older) = match method {
            Method::Btree => (version == 7, version <= 6),
            Method::Hash => (version == 6, version <= 5),
        };
        let modern = !old && !older;
        let root = match (method, old) {
            (Method::Hash, _) => None,
            _ if older => Some(1),
            (Method::Btree, true) => u32_at(72),
            (Method::Btree, false) => u32_at(88),
        };
        let last_page = u32_at(32).filter(|_| modern && version >= 9);
        let max_bucket = u32_at(72).filter(|_| modern && method == Method::Hash);
        let byte = |offset| if older { Some(0) } else { cursor.u8(offset) };
        Some(Meta {
            endian,
            method,
            version,
            page_size: u32_at(20)?,
            encryption: byte(24)?,
            page_type: cursor.u8(25)?,
            flags: byte(26)?,
            free: u32_at(28)?,
            last_page,
            root,
            max_bucket,
        })
    }

    /// Whether pages have sums.
    pub fn summed(&self) -> bool {
        self.flags & 1 != 0
    }

    /// How to read the pages; `None` if the page size is impossible.
    pub fn layout(&self) -> Option<Layout> {
        let page_size = u64::from(self.page_size);
        let possible = page_size.is_power_of_two() && (MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&page_size);
        let Meta { endian, method, .. } = *self;
        possible.then_some(Layout { endian, method, page_size, summed: self.summed() })
    }

    /// The page that a bucket of the hash starts at; `None` where the version keeps it otherwise.
    pub fn bucket_page(&self, cursor: Cursor<'_>, bucket: u32) -> Option<u32> {
        self.max_bucket.filter(|&max| bucket <= max)?;
        let doubling = u64::from(bucket.checked_add(1)?.checked_next_power_of_two()?.ilog2());
        let spare = self.endian.u32(cursor, doubling.checked_mul(4)?.checked_add(96)?)?;
        bucket.checked_add(spare)
    }
}

/// Types of pages.
pub mod page_type {
    /// Freed, or never used.
    pub const UNUSED: u8 = 0;
    /// Hash table, items in no order.
    pub const HASH_UNSORTED: u8 = 2;
    /// Btree above the leaves.
    pub const INTERNAL: u8 = 3;
    /// Btree leaf.
    pub const LEAF: u8 = 5;
    /// Part of an item that is too long for its page.
    pub const OVERFLOW: u8 = 7;
    /// Metadata of a hash table.
    pub const HASH_META: u8 = 8;
    /// Metadata of a btree.
    pub const BTREE_META: u8 = 9;
    /// Hash table, items sorted within a page.
    pub const HASH: u8 = 13;

    /// What a page of a type is called.
    pub fn name(of: u8) -> &'static str {
        match of {
            UNUSED => "unused",
            HASH_UNSORTED => "hash unsorted",
            INTERNAL => "btree internal",
            LEAF => "btree leaf",
            OVERFLOW => "overflow",
            HASH_META => "hash metadata",
            BTREE_META => "btree metadata",
            HASH => "hash",
            _ => "unknown",
        }
    }
}

/// The head of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Log file and offset of the last change.
    pub lsn: (u32, u32),
    /// Its own number.
    pub number: u32,
    /// The page in front of it in its chain; 0 for none.
    pub prev: u32,
    /// The page behind it in its chain; 0 for none.
    pub next: u32,
    /// Number of items; references of an overflow page.
    pub entries: u16,
    /// Offset of the lowest item within the page; length of the data of an overflow page.
    pub hf_offset: u16,
    /// Height above the leaves, whose level is 1; 0 for pages of other kinds.
    pub level: u8,
    /// Type.
    pub page_type: u8,
}

impl Head {
    /// The head of the page at file offset `base`; `None` if the file ends in it.
    pub fn decode(cursor: Cursor<'_>, endian: Endian, base: u64) -> Option<Head> {
        let u32_at = |offset: u64| endian.u32(cursor, base.checked_add(offset)?);
        let u16_at = |offset: u64| endian.u16(cursor, base.checked_add(offset)?);
        let u8_at = |offset: u64| cursor.u8(base.checked_add(offset)?);
        Some(Head {
            lsn: (u32_at(0)?, u32_at(4)?),
            number: u32_at(8)?,
            prev: u32_at(12)?,
            next: u32_at(16)?,
            entries: u16_at(20)?,
            hf_offset: u16_at(22)?,
            level: u8_at(24)?,
            page_type: u8_at(25)?,
        })
    }
}

/// Where an item's data is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// In the item.
    Here(&'a [u8]),
    /// On overflow pages from `page` on, `len` bytes in all.
    OffPage {
        /// First overflow page.
        page: u32,
        /// Length in bytes.
        len: u32,
    },
}

/// A key or a value on a leaf or a hash page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item<'a> {
    /// Its bytes, without the filling behind them.
    pub span: Span,
    /// Whether it is marked deleted.
    pub deleted: bool,
    /// Its data.
    pub body: Body<'a>,
}

impl<'a> Item<'a> {
    /// Its data, if it stands in the item itself.
    pub fn here(&self) -> Option<&'a [u8]> {
        match self.body {
            Body::Here(bytes) => Some(bytes),
            Body::OffPage { .. } => None,
        }
    }
}

/// Why an item can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadItem {
    /// It does not lie between the index and the end of the page, or on another item.
    Place,
    /// It is of a type that Cyrus' databases do not have.
    Type(u8),
}

/// The btree item at file offset `offset`, which must end before `limit`.
pub fn leaf_item(cursor: Cursor<'_>, endian: Endian, offset: u64, limit: u64) -> Result<Item<'_>, BadItem> {
    const OUT: BadItem = BadItem::Place;
    let item_type = offset.checked_add(2).and_then(|at| cursor.u8(at)).ok_or(OUT)?;
    let deleted = item_type & DELETED != 0;
    match item_type & !DELETED {
        1 => {
            let len = u64::from(endian.u16(cursor, offset).ok_or(OUT)?);
            let start = offset.checked_add(3).ok_or(OUT)?;
            let span = Span::new(offset, start.checked_add(len).filter(|&end| end <= limit).ok_or(OUT)?);
            let body = Body::Here(cursor.bytes(start, len).ok_or(OUT)?);
            Ok(Item { span, deleted, body })
        }
        3 => off_page(cursor, endian, offset, limit).map(|item| Item { deleted, ..item }).ok_or(OUT),
        _ => Err(BadItem::Type(item_type)),
    }
}

/// The hash item from file offset `offset` up to `end`.
pub fn hash_item(cursor: Cursor<'_>, endian: Endian, offset: u64, end: u64) -> Result<Item<'_>, BadItem> {
    const OUT: BadItem = BadItem::Place;
    match cursor.u8(offset).ok_or(OUT)? {
        1 => {
            let span = Span::new(offset, end);
            let start = offset.checked_add(1).ok_or(OUT)?;
            let body = Body::Here(cursor.span(Span::new(start, end)).filter(|_| start <= end).ok_or(OUT)?);
            Ok(Item { span, deleted: false, body })
        }
        3 => off_page(cursor, endian, offset, end).ok_or(OUT),
        other => Err(BadItem::Type(other)),
    }
}

fn off_page(cursor: Cursor<'_>, endian: Endian, offset: u64, limit: u64) -> Option<Item<'_>> {
    let span = Span::at(offset, OFF_PAGE_LEN);
    let page = endian.u32(cursor, offset.checked_add(4)?)?;
    let len = endian.u32(cursor, offset.checked_add(8)?)?;
    (span.end <= limit).then_some(Item { span, deleted: false, body: Body::OffPage { page, len } })
}

/// The sum of a page or of metadata, the sum itself (`len` bytes at `at`) taken for zeros.
pub fn sum(page: &[u8], at: usize, len: usize) -> u32 {
    let in_sum = |index: usize| index >= at && index - at < len;
    let bytes = page.iter().enumerate().map(|(index, &byte)| if in_sum(index) { 0 } else { byte });
    bytes.fold(0u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)))
}

/// Finds out how to read the pages of a file whose metadata is damaged: the page size and order of bytes with which most
/// of its first pages carry their own number and a known type.
fn guess(cursor: Cursor<'_>) -> Layout {
    const PAGES: u64 = 64;
    let mut best = (0, Layout { endian: Endian::Little, method: Method::Btree, page_size: 4096, summed: false });
    for page_size in (9..=16).rev().map(|bits| 1u64 << bits) {
        for endian in [Endian::Little, Endian::Big] {
            let heads = (1..PAGES).filter_map(|n| Some((n, Head::decode(cursor, endian, n.checked_mul(page_size)?)?)));
            let fitting =
                heads.filter(|(n, head)| u64::from(head.number) == *n && page_type::name(head.page_type) != "unknown");
            let (mut score, mut hash, mut leaf) = (0usize, 0usize, 0usize);
            for (_, head) in fitting {
                score = score.saturating_add(1);
                hash = hash
                    .saturating_add(usize::from(matches!(head.page_type, page_type::HASH | page_type::HASH_UNSORTED)));
                leaf = leaf.saturating_add(usize::from(head.page_type == page_type::LEAF));
            }
            let method = if hash > leaf { Method::Hash } else { Method::Btree };
            // With larger pages the same file has fewer of them: count bytes, not pages.
            let weight = score.saturating_mul(usize::try_from(page_size).unwrap_or_default());
            if weight > best.0 {
                best = (weight, Layout { endian, method, page_size, summed: false });
            }
        }
    }
    best.1
}
