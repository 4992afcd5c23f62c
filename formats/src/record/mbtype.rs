//! What a mailbox is: its type and its flags, whose numbers changed between 3.4 and 3.6 and whose letters did not.

use std::fmt;

/// Which numbers stand for the types and flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Numbering {
    /// Up to 3.4: one bit for each type and each flag.
    Old,
    /// Since 3.6: the type in the low four bits, flags above.
    New,
}

/// What a mailbox holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Default)]
pub enum Kind {
    /// Mail; no letter up to 3.4, `e` since.
    #[default]
    Mail,
    /// News: `n`.
    Netnews,
    /// JMAP submissions: `s`.
    Submission,
    /// JMAP push subscriptions: `p`.
    PushSubscription,
    /// JMAP notifications: `j`.
    JmapNotification,
    /// Sieve scripts: `f`.
    Sieve,
    /// Collections of files: `b`.
    Collection,
    /// Calendars: `c`.
    Calendar,
    /// Address books: `a`.
    Addressbook,
}

impl Kind {
    /// All kinds, in the order of their numbers since 3.6.
    pub const ALL: [Kind; 9] = [
        Kind::Mail,
        Kind::Netnews,
        Kind::Submission,
        Kind::PushSubscription,
        Kind::JmapNotification,
        Kind::Sieve,
        Kind::Collection,
        Kind::Calendar,
        Kind::Addressbook,
    ];

    /// Its letter; [`Kind::Mail`] has one only since 3.6.
    pub fn letter(self) -> u8 {
        match self {
            Kind::Mail => b'e',
            Kind::Netnews => b'n',
            Kind::Submission => b's',
            Kind::PushSubscription => b'p',
            Kind::JmapNotification => b'j',
            Kind::Sieve => b'f',
            Kind::Collection => b'b',
            Kind::Calendar => b'c',
            Kind::Addressbook => b'a',
        }
    }

    /// A word for a person, also used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Mail => "mail",
            Kind::Netnews => "netnews",
            Kind::Submission => "submission",
            Kind::PushSubscription => "pushsubscription",
            Kind::JmapNotification => "jmapnotification",
            Kind::Sieve => "sieve",
            Kind::Collection => "collection",
            Kind::Calendar => "calendar",
            Kind::Addressbook => "addressbook",
        }
    }

    /// The kind that `letter` stands for.
    pub fn from_letter(letter: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    fn number(self, numbering: Numbering) -> u32 {
        match (numbering, self) {
            (_, Kind::Mail) => 0,
            (Numbering::Old, Kind::Netnews) => 4,
            (Numbering::Old, Kind::Calendar) => 32,
            (Numbering::Old, Kind::Addressbook) => 64,
            (Numbering::Old, Kind::Collection) => 128,
            (Numbering::Old, Kind::Submission) => 512,
            (Numbering::Old, Kind::PushSubscription) => 1024,
            (Numbering::Old, Kind::JmapNotification | Kind::Sieve) => 0,
            (Numbering::New, Kind::Netnews) => 1,
            (Numbering::New, Kind::Submission) => 2,
            (Numbering::New, Kind::PushSubscription) => 3,
            (Numbering::New, Kind::JmapNotification) => 4,
            (Numbering::New, Kind::Sieve) => 5,
            (Numbering::New, Kind::Collection) => 8,
            (Numbering::New, Kind::Calendar) => 9,
            (Numbering::New, Kind::Addressbook) => 10,
        }
    }
}

/// One of the flags of [`Flags`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Flag {
    /// `r`: the mailbox is not on this host.
    Remote,
    /// `z`: the name is taken, the mailbox does not exist yet.
    Reserved,
    /// `m`: being transferred to another server.
    Moving,
    /// `d`: deleted; the record is a tombstone.
    Deleted,
    /// `i`: stands in for a missing parent.
    Intermediate,
    /// `l`: its folders on disk are laid out by name, not by uniqueid.
    LegacyDirs,
}

impl Flag {
    /// All flags, in the order that letters are written since 3.6.
    pub const ALL: [Flag; 6] =
        [Flag::Deleted, Flag::Moving, Flag::Remote, Flag::Reserved, Flag::Intermediate, Flag::LegacyDirs];

    /// Its letter, the same in every version that knows it.
    pub fn letter(self) -> u8 {
        match self {
            Flag::Remote => b'r',
            Flag::Reserved => b'z',
            Flag::Moving => b'm',
            Flag::Deleted => b'd',
            Flag::Intermediate => b'i',
            Flag::LegacyDirs => b'l',
        }
    }

    /// A word for a person, also used in JSON and by `--flag`.
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::Remote => "remote",
            Flag::Reserved => "reserved",
            Flag::Moving => "moving",
            Flag::Deleted => "deleted",
            Flag::Intermediate => "intermediate",
            Flag::LegacyDirs => "legacy-dirs",
        }
    }

    /// The flag that `letter` stands for.
    pub fn from_letter(letter: u8) -> Option<Flag> {
        Flag::ALL.into_iter().find(|flag| flag.letter() == letter)
    }

    fn number(self, numbering: Numbering) -> u32 {
        match (numbering, self) {
            (Numbering::Old, Flag::Remote) => 1,
            (Numbering::Old, Flag::Reserved) => 2,
            (Numbering::Old, Flag::Moving) => 8,
            (Numbering::Old, Flag::Deleted) => 16,
            (Numbering::Old, Flag::LegacyDirs) => 0,
            (Numbering::New, Flag::Remote) => 16,
            (Numbering::New, Flag::Reserved) => 32,
            (Numbering::New, Flag::Moving) => 64,
            (Numbering::New, Flag::Deleted) => 128,
            (_, Flag::Intermediate) => 256,
            (Numbering::New, Flag::LegacyDirs) => 512,
        }
    }

    fn bit(self) -> u8 {
        match self {
            Flag::Remote => 1,
            Flag::Reserved => 2,
            Flag::Moving => 4,
            Flag::Deleted => 8,
            Flag::Intermediate => 16,
            Flag::LegacyDirs => 32,
        }
    }
}

/// A set of [`Flag`]s.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);

    /// Whether `flag` is set.
    pub fn has(self, flag: Flag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// The same set with `flag`.
    pub fn with(self, flag: Flag) -> Flags {
        Flags(self.0 | flag.bit())
    }

    /// The same set without `flag`.
    pub fn without(self, flag: Flag) -> Flags {
        Flags(self.0 & !flag.bit())
    }

    /// The flags set, in the order letters are written since 3.6.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.into_iter().filter(move |&flag| self.has(flag))
    }

    /// Whether no flag is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Letters and bits that no version gives a meaning in their place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct Unknown {
    letters: u32,
    bits: u32,
    other: bool,
}

impl Unknown {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Unknown::default()
    }

    /// Small letters without meaning, or beyond the one type a mailbox can have.
    pub fn letters(self) -> impl Iterator<Item = u8> {
        (b'a'..=b'z').enumerate().filter(move |&(index, _)| self.letters >> index & 1 == 1).map(|(_, letter)| letter)
    }

    /// Bits of a number without meaning.
    pub fn bits(self) -> u32 {
        self.bits
    }

    fn add_letter(&mut self, letter: u8) {
        match letter {
            b'a'..=b'z' => self.letters |= 1 << (letter - b'a'),
            _ => self.other = true,
        }
    }
}

/// A mailbox's type, its flags, and what of the record's letters or number is neither.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct MbType {
    /// What it holds.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
    /// What has no meaning.
    pub unknown: Unknown,
}

/// Letters up to 3.4, in the order they were written (`imap/mboxlist.c`, `mboxlist_mbtype_to_string`).
const OLD_ORDER: &[u8] = b"dmnrzcbaisp";

impl MbType {
    /// A type without flags.
    pub fn new(kind: Kind) -> Self {
        MbType { kind, ..MbType::default() }
    }

    /// Whether `flag` is set.
    #[inline]
    pub fn has(self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// The same with `flag`.
    pub fn with(self, flag: Flag) -> Self {
        MbType { flags: self.flags.with(flag), ..self }
    }

    /// The same without `flag`.
    pub fn without(self, flag: Flag) -> Self {
        MbType { flags: self.flags.without(flag), ..self }
    }

    /// Reads letters in any order; they mean the same in all versions that know them.
    #[inline]
    pub fn from_letters(letters: &[u8]) -> Self {
        match letters {
            [b'e'] => return MbType::default(),
            [b'e', b'r'] => return MbType { flags: Flags(1), ..MbType::default() },
            _ => {}
        }
        let mut mbtype = MbType::default();
        for &letter in letters {
            if let Some(flag) = Flag::from_letter(letter) {
                mbtype.flags = mbtype.flags.with(flag);
            } else {
                mbtype.add_kind(letter);
            }
        }
        mbtype
    }

    fn add_kind(&mut self, letter: u8) {
        match Kind::from_letter(letter) {
            Some(Kind::Mail) => {}
            Some(kind) if self.kind == Kind::Mail || self.kind == kind => self.kind = kind,
            _ => self.unknown.add_letter(letter),
        }
    }

    /// The letters that a writer of `numbering`'s time gives it; those it does not know are left out.
    pub fn letters(self, numbering: Numbering) -> Vec<u8> {
        let unknown = self.unknown.letters();
        match numbering {
            Numbering::New => {
                let flags = self.flags.iter().map(Flag::letter);
                [self.kind.letter()].into_iter().chain(flags).chain(unknown).collect()
            }
            Numbering::Old => {
                let has = |letter: u8| match Flag::from_letter(letter) {
                    Some(flag) => self.has(flag),
                    None => Kind::from_letter(letter) == Some(self.kind),
                };
                OLD_ORDER.iter().copied().filter(|&letter| has(letter)).chain(unknown).collect()
            }
        }
    }

    /// Reads the number of an L1 or L2 value, or of a text dump.
    #[inline]
    pub fn from_number(number: u32, numbering: Numbering) -> Self {
        if number == 0 {
            return MbType::default();
        }
        let mut mbtype = MbType::default();
        let mut rest = number;
        for flag in Flag::ALL {
            let bit = flag.number(numbering);
            if bit != 0 && rest & bit != 0 {
                mbtype.flags = mbtype.flags.with(flag);
                rest &= !bit;
            }
        }
        for kind in Kind::ALL.into_iter().skip(1) {
            let own = kind.number(numbering);
            let found = match numbering {
                Numbering::New => own == rest & 15,
                Numbering::Old => own != 0 && rest & own != 0 && mbtype.kind == Kind::Mail,
            };
            if found {
                mbtype.kind = kind;
                rest &= !own;
                break;
            }
        }
        mbtype.unknown.bits = rest;
        mbtype
    }

    /// The number that `numbering` has for it; types and flags without one there count as 0.
    pub fn number(self, numbering: Numbering) -> u32 {
        let flags: u32 = self.flags.iter().map(|flag| flag.number(numbering)).fold(0, |a, b| a | b);
        flags | self.kind.number(numbering) | self.unknown.bits
    }

    /// Whether `numbering` has a number for all of it.
    pub fn has_number(self, numbering: Numbering) -> bool {
        let kind = self.kind == Kind::Mail || self.kind.number(numbering) != 0;
        kind && self.unknown.is_empty() && self.flags.iter().all(|flag| flag.number(numbering) != 0)
    }
}

impl fmt::Display for MbType {
    /// Prints the letters of 3.6 and later.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters(Numbering::New).into_iter().try_for_each(|letter| write!(f, "{}", letter as char))
    }
}
