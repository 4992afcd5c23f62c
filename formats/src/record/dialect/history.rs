//! Former names: the `H` field of a record under a uniqueid.

use std::borrow::Cow;

use super::item::{self, Item, Spelling, spelling, write_text};
use super::number::number;
use crate::record::mbtype::{MbType, Numbering};
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

/// Writes former names as a record under a uniqueid has them between `(` and `)` (`imap/mboxlist.c`,
/// `mboxlist_entry_add_history`); since 3.12 names with separators stand between quotes.
pub fn write<'f>(formers: impl IntoIterator<Item = Former<'f>>, quote_separators: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for former in formers {
        let number = |number: Option<u64>| number.map(|number| Cow::Owned(number.to_string().into_bytes()));
        let known = |field: Option<u64>| number(field.filter(|&number| number != 0));
        let fields = [
            (b'N', Some(former.name.to_db())),
            (b'M', number(former.mtime)),
            (b'V', known(former.uidvalidity)),
            (b'C', known(former.createdmodseq)),
            (b'F', known(former.foldermodseq)),
            (b'T', Some(Cow::Owned(former.mbtype.letters(Numbering::New)))),
            (b'P', former.partition.clone()),
        ];
        out.extend_from_slice(if out.is_empty() { b"%(" } else { b" %(" });
        let there = fields.into_iter().filter_map(|(key, value)| Some((key, value?)));
        for (index, (key, value)) in there.enumerate() {
            let space: &[u8] = if index > 0 { b" " } else { b"" };
            out.extend_from_slice(space);
            out.extend_from_slice(&[key, b' ']);
            write_text(&mut out, &value, spelling(&value, quote_separators));
        }
        out.push(b')');
    }
    out
}

/// The same list in the other spelling of names; one that holds more than [`write`] knows stays as it is.
pub(crate) fn respelt(raw: Cow<'_, [u8]>, quote_separators: bool) -> Cow<'_, [u8]> {
    if raw.is_empty() {
        return raw;
    }
    let again = |quote| write(Formers::new(&raw), quote);
    if again(quote_separators) == *raw || again(!quote_separators) != *raw {
        return raw;
    }
    Cow::Owned(again(quote_separators))
}
