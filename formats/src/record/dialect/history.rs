//! Former names: the `H` field of a record under a uniqueid.

use std::borrow::Cow;

use super::item::{self, Item, Spelling};
use super::number::number;
use crate::record::mbtype::MbType;
use crate::record::name::Name;

/// A name that a mailbox had, and what its record said then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Former<'a> {
    /// The name.
    pub name: Name<'a>,
    /// Time of the rename, in seconds since 1970-01-01 UTC.
    pub mtime: Option<u64>,
    /// Uidvalidity.
    pub uidvalidity: Option<u64>,
    /// Created modseq.
    pub createdmodseq: Option<u64>,
    /// Folder modseq.
    pub foldermodseq: Option<u64>,
    /// Type and flags.
    pub mbtype: MbType,
    /// Partition.
    pub partition: Option<Cow<'a, [u8]>>,
}

/// The items of an `H` list.
#[derive(Clone, Debug)]
pub(crate) struct Formers<'a> {
    rest: &'a [u8],
}

impl<'a> Formers<'a> {
    /// Reads what stands between `(` and `)`.
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Formers { rest }
    }
}

impl<'a> Iterator for Formers<'a> {
    type Item = Former<'a>;

    fn next(&mut self) -> Option<Former<'a>> {
        let (rest, item) = item::item(self.rest).ok()?;
        self.rest = rest.strip_prefix(b" ").unwrap_or(rest);
        match item {
            Item::Kvlist(inner) => former(inner),
            _ => None,
        }
    }
}

fn former(mut rest: &[u8]) -> Option<Former<'_>> {
    let mut former = Former {
        name: Name::db(&b""[..]),
        mtime: None,
        uidvalidity: None,
        createdmodseq: None,
        foldermodseq: None,
        mbtype: MbType::default(),
        partition: None,
    };
    while !rest.is_empty() {
        let (after, key) = item::key(rest).ok()?;
        let (after, item) = item::item(after).ok()?;
        rest = after.strip_prefix(b" ").unwrap_or(after);
        let Item::Text(text) = item else { continue };
        if text.spelling == Spelling::Nil {
            continue;
        }
        match &key.bytes[..] {
            b"N" => former.name = Name::db(text.bytes),
            b"M" => former.mtime = number(&text.bytes),
            b"V" => former.uidvalidity = number(&text.bytes),
            b"C" => former.createdmodseq = number(&text.bytes),
            b"F" => former.foldermodseq = number(&text.bytes),
            b"T" => former.mbtype = MbType::from_letters(&text.bytes),
            b"P" => former.partition = Some(text.bytes),
            _ => {}
        }
    }
    Some(former)
}
