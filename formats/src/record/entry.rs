//! A mailbox entry: what a record says of a mailbox, borrowed from the record.

use std::borrow::Cow;

use super::acl::Acl;
use super::dialect::item::Spelling;
use super::dialect::layout::Layout;
use super::dialect::{history, item};
use super::mbtype::{Flag, MbType, Numbering};
use super::name::Name;

/// How a value is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `partition TAB acl`: up to 1.5, and the two columns of a dump without types.
    L0,
    /// `type partition acl`: 2.0 to 2.4.
    L1,
    /// `(uniqueid … specialuse …) type partition acl`: development builds of 2011 to 2013.
    L2,
    /// `%(…)`: since 2.5.
    Dlist,
    /// A line of `ctl_mboxlist -d`, of any era.
    Dump,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 5] = [Family::L0, Family::L1, Family::L2, Family::Dlist, Family::Dump];

    /// The word printed and used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::L0 => "L0",
            Family::L1 => "L1",
            Family::L2 => "L2",
            Family::Dlist => "dlist",
            Family::Dump => "dump",
        }
    }
}

/// A field of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum FieldKey {
    /// `A`: access control list.
    Acl,
    /// `I`: uniqueid.
    Uniqueid,
    /// `P`: partition.
    Partition,
    /// `S`: server.
    Server,
    /// `T`: type letters.
    Type,
    /// `V`: uidvalidity.
    Uidvalidity,
    /// `M`: time of the last write of the record.
    Mtime,
    /// `F`: folder modseq.
    Foldermodseq,
    /// `C`: created modseq.
    Createdmodseq,
    /// `N`: name, in records under a uniqueid or a JMAP id.
    Name,
    /// `H`: former names.
    History,
    /// `J`: JMAP id.
    Jmapid,
    /// A key that no version writes.
    Unknown,
}

impl FieldKey {
    /// All fields that have a letter.
    pub const ALL: [FieldKey; 12] = [
        FieldKey::Type,
        FieldKey::Name,
        FieldKey::Uniqueid,
        FieldKey::Jmapid,
        FieldKey::Partition,
        FieldKey::Server,
        FieldKey::Uidvalidity,
        FieldKey::Createdmodseq,
        FieldKey::Foldermodseq,
        FieldKey::Mtime,
        FieldKey::Acl,
        FieldKey::History,
    ];

    /// Its key in a dlist; '?' for [`FieldKey::Unknown`].
    pub const fn letter(self) -> u8 {
        match self {
            FieldKey::Acl => b'A',
            FieldKey::Uniqueid => b'I',
            FieldKey::Partition => b'P',
            FieldKey::Server => b'S',
            FieldKey::Type => b'T',
            FieldKey::Uidvalidity => b'V',
            FieldKey::Mtime => b'M',
            FieldKey::Foldermodseq => b'F',
            FieldKey::Createdmodseq => b'C',
            FieldKey::Name => b'N',
            FieldKey::History => b'H',
            FieldKey::Jmapid => b'J',
            FieldKey::Unknown => b'?',
        }
    }

    /// The field of a dlist key of one letter.
    #[inline]
    pub fn from_letter(letter: u8) -> Option<FieldKey> {
        OF_LETTER.get(letter as usize).copied().flatten()
    }

    /// The word printed and used in JSON; those of `ctl_mboxlist -d`'s JSON where it has one.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldKey::Acl => "acl",
            FieldKey::Uniqueid => "uniqueid",
            FieldKey::Partition => "partition",
            FieldKey::Server => "server",
            FieldKey::Type => "mbtype",
            FieldKey::Uidvalidity => "uidvalidity",
            FieldKey::Mtime => "mtime",
            FieldKey::Foldermodseq => "foldermodseq",
            FieldKey::Createdmodseq => "createdmodseq",
            FieldKey::Name => "name",
            FieldKey::History => "name_history",
            FieldKey::Jmapid => "jmapId",
            FieldKey::Unknown => "unknown",
        }
    }
}

/// The field of each letter.
const OF_LETTER: [Option<FieldKey>; 128] = {
    let mut fields = [None; 128];
    let mut index = 0;
    while index < FieldKey::ALL.len() {
        fields[FieldKey::ALL[index].letter() as usize] = Some(FieldKey::ALL[index]);
        index += 1;
    }
    fields
};

/// Under which key a record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Under {
    /// Under the mailbox's name: the record that counts.
    #[default]
    Name,
    /// Under its uniqueid (`I`, since 3.6).
    Uniqueid,
    /// Under its JMAP id (`J`, since 3.13).
    Jmapid,
}

/// A field that no version writes, kept as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownField<'a> {
    /// Its key.
    pub key: Cow<'a, [u8]>,
    /// Key, space and item, as they stand in the record.
    pub raw: Cow<'a, [u8]>,
}

/// A mailbox entry.
///
/// A field is `None` where the record lacks it and where it says `NIL`; [`Entry::has`] and [`Entry::is_nil`] tell these
/// apart. An empty string is `Some`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// How its value is encoded.
    pub family: Family,
    /// Under which key it stands.
    pub under: Under,
    /// Its name: the key's, or the `N` field of a record under a uniqueid or JMAP id.
    pub name: Name<'a>,
    /// Type and flags.
    pub mbtype: MbType,
    /// Server, without partition.
    pub server: Option<Cow<'a, [u8]>>,
    /// Partition.
    pub partition: Option<Cow<'a, [u8]>>,
    /// Access control list; empty where the record has none.
    pub acl: Acl<'a>,
    /// Uniqueid; of a record under a uniqueid the key's.
    pub uniqueid: Option<Cow<'a, [u8]>>,
    /// JMAP id; of a record under a JMAP id the key's.
    pub jmapid: Option<Cow<'a, [u8]>>,
    /// Uidvalidity.
    pub uidvalidity: Option<u64>,
    /// Time of the record's last write, in seconds since 1970-01-01 UTC.
    pub mtime: Option<u64>,
    /// Folder modseq.
    pub foldermodseq: Option<u64>,
    /// Created modseq.
    pub createdmodseq: Option<u64>,
    /// Special use (L2 values and D5 dumps alone).
    pub specialuse: Option<Cow<'a, [u8]>>,
    /// Former names as they stand between `(` and `)`; see [`Entry::history`].
    pub history_raw: Option<Cow<'a, [u8]>>,
    /// Fields that no version writes, in order.
    pub unknown: Vec<UnknownField<'a>>,
    /// The value it was read from; empty for an entry made otherwise.
    pub raw: Cow<'a, [u8]>,
    pub(crate) letters: Cow<'a, [u8]>,
    pub(crate) layout: Layout,
}

impl<'a> Entry<'a> {
    /// An entry of the given name without anything else.
    #[inline(always)]
    pub fn new(family: Family, name: Name<'a>) -> Self {
        Entry {
            family,
            under: Under::Name,
            name,
            mbtype: MbType::default(),
            server: None,
            partition: None,
            acl: Acl::default(),
            uniqueid: None,
            jmapid: None,
            uidvalidity: None,
            mtime: None,
            foldermodseq: None,
            createdmodseq: None,
            specialuse: None,
            history_raw: None,
            unknown: Vec::new(),
            raw: Cow::Borrowed(b""),
            letters: Cow::Borrowed(b""),
            layout: Layout::default(),
        }
    }

    /// The same entry with bytes of its own.
    pub fn into_owned(self) -> Entry<'static> {
        fn own(field: Option<Cow<'_, [u8]>>) -> Option<Cow<'static, [u8]>> {
            field.map(|bytes| Cow::Owned(bytes.into_owned()))
        }
        let unknown = self.unknown.into_iter().map(|field| UnknownField {
            key: Cow::Owned(field.key.into_owned()),
            raw: Cow::Owned(field.raw.into_owned()),
        });
        Entry {
            family: self.family,
            under: self.under,
            name: self.name.into_owned(),
            mbtype: self.mbtype,
            server: own(self.server),
            partition: own(self.partition),
            acl: self.acl.into_owned(),
            uniqueid: own(self.uniqueid),
            jmapid: own(self.jmapid),
            uidvalidity: self.uidvalidity,
            mtime: self.mtime,
            foldermodseq: self.foldermodseq,
            createdmodseq: self.createdmodseq,
            specialuse: own(self.specialuse),
            history_raw: own(self.history_raw),
            unknown: unknown.collect(),
            raw: Cow::Owned(self.raw.into_owned()),
            letters: Cow::Owned(self.letters.into_owned()),
            layout: self.layout,
        }
    }

    /// Whether the record has the field, even as `NIL` (dlist records).
    pub fn has(&self, field: FieldKey) -> bool {
        self.layout.has(field)
    }

    /// Whether the record says `NIL` for the field.
    pub fn is_nil(&self, field: FieldKey) -> bool {
        self.layout.find(field) == Some(Spelling::Nil)
    }

    /// The fields of a dlist record, in its order.
    pub fn field_order(&self) -> impl Iterator<Item = FieldKey> + '_ {
        self.layout.slots().map(|slot| slot.field)
    }

    /// Type letters as the record spells them; empty where it has none or gives a number.
    pub fn type_letters(&self) -> &[u8] {
        &self.letters
    }

    /// Gives it another type, spelt as a writer of `numbering`'s time spells it.
    pub fn set_type(&mut self, mbtype: MbType, numbering: Numbering) {
        self.mbtype = mbtype;
        let letters = mbtype.letters(numbering);
        if !letters.is_empty() {
            self.letters = Cow::Owned(letters);
        }
    }

    /// Whether the mailbox is on this host as far as the record tells: no server, no remote flag.
    #[inline]
    pub fn is_local(&self) -> bool {
        self.server.is_none() && !self.is_remote()
    }

    /// Whether the mailbox is said not to be on this host.
    pub fn is_remote(&self) -> bool {
        self.mbtype.has(Flag::Remote)
    }

    /// Whether only the name is taken.
    pub fn is_reserved(&self) -> bool {
        self.mbtype.has(Flag::Reserved)
    }

    /// Whether it is being transferred to another server.
    pub fn is_moving(&self) -> bool {
        self.mbtype.has(Flag::Moving)
    }

    /// Whether it was deleted, and only the record is left.
    pub fn is_tombstone(&self) -> bool {
        self.mbtype.has(Flag::Deleted)
    }

    /// Whether it only stands in for a missing parent.
    pub fn is_intermediate(&self) -> bool {
        self.mbtype.has(Flag::Intermediate)
    }

    /// Where the mailbox is: `server!partition`, or the one of them that it has.
    pub fn location(&self) -> Cow<'_, [u8]> {
        match (&self.server, &self.partition) {
            (Some(server), Some(partition)) => Cow::Owned([server, &b"!"[..], partition].concat()),
            (Some(one), None) | (None, Some(one)) => Cow::Borrowed(one),
            (None, None) => Cow::Borrowed(b""),
        }
    }

    /// Which of the fields that a mailbox's two records should both say differ: T, P, S, V, F, C and A.
    pub fn differing_identity(&self, other: &Entry<'_>) -> Vec<FieldKey> {
        let number = |number: Option<u64>| number.unwrap_or_default();
        let text = |text: &Option<Cow<'_, [u8]>>| text.as_deref().unwrap_or_default().to_vec();
        let differs = |field: FieldKey| match field {
            FieldKey::Type => self.mbtype != other.mbtype,
            FieldKey::Partition => text(&self.partition) != text(&other.partition),
            FieldKey::Server => text(&self.server) != text(&other.server),
            FieldKey::Uidvalidity => number(self.uidvalidity) != number(other.uidvalidity),
            FieldKey::Foldermodseq => number(self.foldermodseq) != number(other.foldermodseq),
            FieldKey::Createdmodseq => number(self.createdmodseq) != number(other.createdmodseq),
            FieldKey::Acl => !self.acl.same_pairs(&other.acl),
            _ => false,
        };
        FieldKey::ALL.into_iter().filter(|&field| differs(field)).collect()
    }

    /// Its former names, newest first; stops where they can't be read.
    pub fn history(&self) -> impl Iterator<Item = history::Former<'_>> + '_ {
        history::Formers::new(self.history_raw.as_deref().unwrap_or_default())
    }

    /// Type letters as they are written back: the record's own as long as they say what `mbtype` says.
    pub(crate) fn letters_to_write(&self, numbering: Numbering) -> Cow<'_, [u8]> {
        if self.has(FieldKey::Type) && MbType::from_letters(&self.letters) == self.mbtype {
            return Cow::Borrowed(&self.letters);
        }
        Cow::Owned(self.mbtype.letters(numbering))
    }

    /// The spelling in which `field` stands in the record, or the one that Cyrus' writer would choose.
    pub(crate) fn spelling_of(&self, field: FieldKey, bytes: &[u8]) -> Spelling {
        match self.layout.find(field) {
            Some(Spelling::Atom) if item::is_atom_for_reader(bytes) => Spelling::Atom,
            Some(kept @ (Spelling::Quoted | Spelling::Literal | Spelling::LiteralPlus)) => kept,
            _ => item::spelling(bytes, true),
        }
    }
}
