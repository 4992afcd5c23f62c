//! What an entry says, apart from how its era writes it: the fields that `diff` compares and `digest` sums up.
//!
//! Two entries are the same when all these fields are, whatever container, key style and encoding holds them:
//!
//! * a name counts in its internal form;
//! * type and flags count as the letters of 3.6 and later, so numbers and letters compare;
//! * an ACL counts as its pairs in their order, so text and dlists compare;
//! * a number that is 0 counts as absent, and so does an empty string: that is what dumps make of what is absent;
//! * a value that can't be read counts as its bytes.

use std::borrow::Cow;

use crate::formats::record::{Decoded, Entry, Numbering};

/// A field that entries are compared by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Aspect {
    /// Type and flags, as letters.
    Mbtype,
    /// Server.
    Server,
    /// Partition.
    Partition,
    /// Access control list, in its text form.
    Acl,
    /// Uniqueid.
    Uniqueid,
    /// JMAP id.
    Jmapid,
    /// Uidvalidity.
    Uidvalidity,
    /// Created modseq.
    Createdmodseq,
    /// Folder modseq.
    Foldermodseq,
    /// Special use.
    Specialuse,
    /// Time of the record's last write.
    Mtime,
    /// Fields that no version writes.
    Unknown,
    /// The bytes of a value that can't be read.
    Unreadable,
}

impl Aspect {
    /// All fields, in the order they are compared and printed.
    pub const ALL: [Aspect; 13] = [
        Aspect::Mbtype,
        Aspect::Server,
        Aspect::Partition,
        Aspect::Acl,
        Aspect::Uniqueid,
        Aspect::Jmapid,
        Aspect::Uidvalidity,
        Aspect::Createdmodseq,
        Aspect::Foldermodseq,
        Aspect::Specialuse,
        Aspect::Mtime,
        Aspect::Unknown,
        Aspect::Unreadable,
    ];

    /// The word printed and used in JSON; that of `ctl_mboxlist -d` where it has one.
    pub fn as_str(self) -> &'static str {
        match self {
            Aspect::Mbtype => "mbtype",
            Aspect::Server => "server",
            Aspect::Partition => "partition",
            Aspect::Acl => "acl",
            Aspect::Uniqueid => "uniqueid",
            Aspect::Jmapid => "jmapId",
            Aspect::Uidvalidity => "uidvalidity",
            Aspect::Createdmodseq => "createdmodseq",
            Aspect::Foldermodseq => "foldermodseq",
            Aspect::Specialuse => "legacy_specialuse",
            Aspect::Mtime => "mtime",
            Aspect::Unknown => "unknown",
            Aspect::Unreadable => "unreadable",
        }
    }

    /// Whether not all eras and dumps can hold it.
    pub fn is_of_some_eras(self) -> bool {
        use Aspect::{Createdmodseq, Foldermodseq, Jmapid, Mtime, Specialuse, Uidvalidity, Uniqueid};
        matches!(self, Uniqueid | Jmapid | Uidvalidity | Createdmodseq | Foldermodseq | Specialuse | Mtime)
    }
}

/// What one entry says.
#[derive(Clone, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Canon<'e> {
    fields: [Option<Cow<'e, [u8]>>; Aspect::ALL.len()],
}

impl<'e> Canon<'e> {
    /// What a decoded record says; `value` is its value.
    pub fn of(decoded: &'e Decoded<'_>, value: &'e [u8]) -> Self {
        match &decoded.entry {
            Some(entry) => Canon::of_entry(entry),
            None => Canon::default().with(Aspect::Unreadable, Some(Cow::Borrowed(value))),
        }
    }

    /// What an entry says.
    pub fn of_entry(entry: &'e Entry<'_>) -> Self {
        let unknown: Vec<u8> = entry.unknown.iter().flat_map(|field| [&*field.raw, b" "].concat()).collect();
        Canon::default()
            .with(Aspect::Mbtype, Some(Cow::Owned(letters(entry))))
            .with(Aspect::Server, entry.server.as_deref().map(Cow::Borrowed))
            .with(Aspect::Partition, entry.partition.as_deref().map(Cow::Borrowed))
            .with(Aspect::Acl, Some(entry.acl.to_text()))
            .with(Aspect::Uniqueid, entry.uniqueid.as_deref().map(Cow::Borrowed))
            .with(Aspect::Jmapid, entry.jmapid.as_deref().map(Cow::Borrowed))
            .with(Aspect::Uidvalidity, number(entry.uidvalidity))
            .with(Aspect::Createdmodseq, number(entry.createdmodseq))
            .with(Aspect::Foldermodseq, number(entry.foldermodseq))
            .with(Aspect::Specialuse, entry.specialuse.as_deref().map(Cow::Borrowed))
            .with(Aspect::Mtime, number(entry.mtime))
            .with(Aspect::Unknown, Some(Cow::Owned(unknown)))
    }

    fn with(mut self, aspect: Aspect, value: Option<Cow<'e, [u8]>>) -> Self {
        self.fields[aspect as usize] = value.filter(|value| !value.is_empty());
        self
    }

    /// A field's value, if there is one.
    pub fn get(&self, aspect: Aspect) -> Option<&[u8]> {
        self.fields[aspect as usize].as_deref()
    }

    /// One bit for each field that has a value, by its place in [`Aspect::ALL`].
    pub fn present(&self) -> u16 {
        self.fields.iter().rev().fold(0, |bits, field| bits << 1 | u16::from(field.is_some()))
    }

    /// Visits an unambiguous sequence of bytes for name and fields: each that is there by its number, its length as
    /// 8 bytes little-endian, and its bytes.
    pub fn serialise(&self, name: &[u8], mut visit: impl FnMut(&[u8])) {
        let fields = Aspect::ALL.into_iter().filter_map(|aspect| Some((aspect as u8 + 1, self.get(aspect)?)));
        for (number, bytes) in [(0, name)].into_iter().chain(fields) {
            visit(&[number]);
            visit(&(bytes.len() as u64).to_le_bytes());
            visit(bytes);
        }
    }
}

fn number(number: Option<u64>) -> Option<Cow<'static, [u8]>> {
    number.filter(|&number| number != 0).map(|number| Cow::Owned(number.to_string().into_bytes()))
}

/// Type letters as since 3.6, and bits that have no letter as a number behind them.
fn letters(entry: &Entry<'_>) -> Vec<u8> {
    let mut letters = entry.mbtype.letters(Numbering::New);
    if entry.mbtype.unknown.bits() != 0 {
        letters.extend_from_slice(format!("+{}", entry.mbtype.unknown.bits()).as_bytes());
    }
    letters
}
