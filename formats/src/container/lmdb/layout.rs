//! The pages of an LMDB file: metas, page heads, nodes. For hosts of 64 bits and little-endian order, as LMDB itself.

use crate::image::{Cursor, Span};

/// Magic of a meta.
pub const MAGIC: u32 = 0xBEEF_C0DE;
/// Version of the format.
pub const VERSION: u32 = 1;
/// Bytes of a page's head.
pub const HEAD_LEN: u64 = 16;
/// Bytes of a meta behind the page's head.
pub const META_LEN: u64 = 136;
/// Bytes of a node in front of its key.
const NODE_HEAD_LEN: u64 = 8;
/// Longest key that the library stores.
pub const MAX_KEY_LEN: usize = 511;
/// Root of a tree without pages.
pub const NO_ROOT: u64 = u64::MAX;
/// Node flag: the data is on overflow pages.
const BIG_DATA: u16 = 1;

/// Flags of pages.
pub mod flag {
    /// Above the leaves.
    pub const BRANCH: u16 = 0x01;
    /// Keys with their data.
    pub const LEAF: u16 = 0x02;
    /// Data that is too long for a leaf.
    pub const OVERFLOW: u16 = 0x04;
    /// Meta.
    pub const META: u16 = 0x08;
}

/// What a meta says of a tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tree {
    /// Page size in the first tree, 0 in the second.
    pub pad: u32,
    /// Flags it was made with: 0 for Cyrus' databases.
    pub flags: u16,
    /// Number of levels.
    pub depth: u16,
    /// Number of branch pages.
    pub branch_pages: u64,
    /// Number of leaves.
    pub leaf_pages: u64,
    /// Number of overflow pages.
    pub overflow_pages: u64,
    /// Number of records.
    pub entries: u64,
    /// Page of the root; [`NO_ROOT`] if there is none.
    pub root: u64,
}

impl Tree {
    fn decode(cursor: Cursor<'_>, at: u64) -> Option<Tree> {
        let u64_at = |n: u64| cursor.le_u64(at.checked_add(n)?);
        let u16_at = |n: u64| cursor.le_u16(at.checked_add(n)?);
        Some(Tree {
            pad: cursor.le_u32(at)?,
            flags: u16_at(4)?,
            depth: u16_at(6)?,
            branch_pages: u64_at(8)?,
            leaf_pages: u64_at(16)?,
            overflow_pages: u64_at(24)?,
            entries: u64_at(32)?,
            root: u64_at(40)?,
        })
    }
}

/// A meta: the state after one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Page it stands on, 0 or 1.
    pub page: u64,
    /// Number that the page gives itself.
    pub number: u64,
    /// Flags of the page.
    pub flags: u16,
    /// Version.
    pub version: u32,
    /// Size of the map in bytes.
    pub map_size: u64,
    /// Pages that are free, by the transaction that freed them.
    pub free: Tree,
    /// The database.
    pub main: Tree,
    /// Last page in use.
    pub last_page: u64,
    /// Number of the transaction.
    pub txnid: u64,
}

impl Meta {
    /// The meta of the page at file offset `base`; `None` without magic, or if the file ends in it.
    pub fn decode(cursor: Cursor<'_>, page: u64, base: u64) -> Option<Meta> {
        let at = |n: u64| base.checked_add(n);
        if cursor.le_u32(at(16)?)? != MAGIC {
            return None;
        }
        Some(Meta {
            page,
            number: cursor.le_u64(base)?,
            flags: cursor.le_u16(at(10)?)?,
            version: cursor.le_u32(at(20)?)?,
            map_size: cursor.le_u64(at(32)?)?,
            free: Tree::decode(cursor, at(40)?)?,
            main: Tree::decode(cursor, at(88)?)?,
            last_page: cursor.le_u64(at(136)?)?,
            txnid: cursor.le_u64(at(144)?)?,
        })
    }

    /// Whether it can be what LMDB wrote.
    pub fn is_sound(&self) -> bool {
        self.version == VERSION
            && self.flags & flag::META != 0
            && self.number == self.page
            && is_page_size(self.page_size())
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> u64 {
        self.free.pad.into()
    }
}

/// Whether LMDB has pages of this size.
pub fn is_page_size(size: u64) -> bool {
    size.is_power_of_two() && (512..=32_768).contains(&size)
}

/// The head of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its own number.
    pub number: u64,
    /// What it is.
    pub flags: u16,
    /// Where the pointers to nodes end.
    pub lower: u16,
    /// Where the nodes begin.
    pub upper: u16,
    /// Number of pages that the data of an overflow page takes.
    pub count: u32,
}

impl Head {
    /// The head at file offset `base`.
    pub fn decode(cursor: Cursor<'_>, base: u64) -> Option<Head> {
        let at = |n: u64| base.checked_add(n);
        Some(Head {
            number: cursor.le_u64(base)?,
            flags: cursor.le_u16(at(10)?)?,
            lower: cursor.le_u16(at(12)?)?,
            upper: cursor.le_u16(at(14)?)?,
            count: cursor.le_u32(at(12)?)?,
        })
    }

    /// Number of nodes.
    pub fn nodes(&self) -> u16 {
        self.lower.saturating_sub(16) / 2
    }
}

/// Where the data of a leaf's node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data<'a> {
    /// In the node.
    Here(&'a [u8]),
    /// On overflow pages.
    Big {
        /// The first of them.
        page: u64,
        /// Length in bytes.
        len: u32,
    },
}

/// A node of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf<'a> {
    /// Its bytes, the one that aligns the next included.
    pub span: Span,
    /// Key.
    pub key: &'a [u8],
    /// Data.
    pub data: Data<'a>,
}

/// A node of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch<'a> {
    /// Its bytes.
    pub span: Span,
    /// Lowest key of the child; empty in the first node, where it counts for nothing.
    pub key: &'a [u8],
    /// Page of the child.
    pub child: u64,
}

/// The leaf's node at file offset `at`, which must end before `limit`. Nodes of trees in trees, which Cyrus never makes, are
/// none.
pub fn leaf(cursor: Cursor<'_>, at: u64, limit: u64) -> Option<Leaf<'_>> {
    let len = cursor.le_u32(at)?;
    let flags = cursor.le_u16(at.checked_add(4)?)?;
    let (key, data_at) = key(cursor, at)?;
    let (data, end) = match flags {
        0 => {
            let data = Data::Here(cursor.bytes(data_at, len.into())?);
            (data, data_at.checked_add(len.into())?)
        }
        BIG_DATA => (Data::Big { page: cursor.le_u64(data_at)?, len }, data_at.checked_add(8)?),
        _ => return None,
    };
    let end = end.checked_next_multiple_of(2)?;
    (end <= limit).then_some(Leaf { span: Span::new(at, end), key, data })
}

/// The branch's node at file offset `at`, which must end before `limit`.
pub fn branch(cursor: Cursor<'_>, at: u64, limit: u64) -> Option<Branch<'_>> {
    let low = cursor.le_u32(at)?;
    let high = cursor.le_u16(at.checked_add(4)?)?;
    let (key, end) = key(cursor, at)?;
    let end = end.checked_next_multiple_of(2)?;
    let child = u64::from(low) | u64::from(high) << 32;
    (end <= limit).then_some(Branch { span: Span::new(at, end), key, child })
}

fn key(cursor: Cursor<'_>, at: u64) -> Option<(&[u8], u64)> {
    let len = u64::from(cursor.le_u16(at.checked_add(6)?)?);
    let start = at.checked_add(NODE_HEAD_LEN)?;
    Some((cursor.bytes(start, len)?, start.checked_add(len)?))
}
