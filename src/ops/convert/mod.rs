//! From any container, era and role to any other.
//!
//! An entry goes through pure steps: [`role::complete`] says what its source left unsaid, [`role::place`] makes of it what
//! the target's host has, [`era::fit`] what its release can hold. [`records`] makes the target's records of entries, and
//! [`dumps`] its lines or objects. What is lost on the way is said, field by field.

mod blocks;
pub mod dumps;
pub mod era;
mod index;
pub mod jmap;
mod part;
pub mod raw;
pub mod records;
pub mod remarks;
pub mod reverse_acl;
pub mod role;
pub mod witness;

use std::borrow::Cow;

use crate::formats::container::{Pair, Record};
use crate::formats::record::{
    Decoded, Entry, Era, Family, Flag, Grammar, Key, KeyStyle, Numbering, Role, Style, decode,
};
use crate::formats::text::lines;
use crate::ops::entries::Decoder;
use crate::ops::reading::Reading;

use remarks::{ENTRY, Fate, Remark, Say};
use role::{Bare, Host};
use witness::Witnesses;

/// Entries looked at to tell what kind of host a source is from.
const SAMPLE: usize = 1000;
/// Records looked at, at most, for each of those entries.
const RECORDS_FOR_EACH: usize = 16;

/// What a source is, as far as a conversion has to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// How its records are read.
    pub style: Style,
    /// The release series that wrote it, if that was told or can be known.
    pub era: Option<Era>,
    /// What its entries without server mean.
    pub bare: Bare,
    /// Whether it lost the types of its entries.
    pub typeless: bool,
    /// Whether it holds JMAP ids.
    pub jmapids: bool,
}

impl Origin {
    /// What a file is; `era` is the user's word on it.
    pub fn of(reading: &Reading<'_, '_>, era: Option<Era>) -> Self {
        let mut style = Decoder::new(reading).style();
        if let (Some(era), None | Some(Grammar::Lines(_))) = (era, style.dump) {
            style.numbering = era.style().numbering;
        }
        let decoder = Decoder::of(style);
        let (mut entries, mut located, mut jmapids, mut legacy) = (0usize, 0usize, false, false);
        // An index's records may fill half of all parts: no part is read to its end for them, unless it is the only one.
        let most = match reading.parts() {
            1 => usize::MAX,
            parts => (SAMPLE * RECORDS_FOR_EACH).div_ceil(parts),
        };
        for part in 0..reading.parts() {
            let mut records = 0;
            reading.walk(part, &mut |record| {
                records += 1;
                if let Some(entry) = decoder.mailbox(&record) {
                    entries += 1;
                    located += usize::from(entry.server.is_some());
                    jmapids |= entry.jmapid.is_some();
                    legacy |= matches!(entry.family, Family::L0 | Family::L1 | Family::L2);
                }
                entries < SAMPLE && records < most
            });
        }
        let lines = match style.dump {
            Some(Grammar::Lines(era)) => Some(era),
            _ => None,
        };
        let mostly_elsewhere = located * 2 > entries;
        let bare = match lines {
            Some(lines::Era::D3) => Bare::Lost,
            Some(lines::Era::D1 | lines::Era::D2) if mostly_elsewhere => Bare::Location,
            None if legacy && mostly_elsewhere => Bare::Location,
            _ => Bare::Local,
        };
        let printed_by = lines.map(|lines| match (lines, style.numbering) {
            (_, Numbering::New) => Era::V3_10,
            (lines::Era::D1, _) => Era::V2_2,
            (lines::Era::D2, _) => Era::V2_4,
            (lines::Era::D3, _) => Era::V2_5,
            (lines::Era::D4 | lines::Era::D5, _) => Era::V3_4,
        });
        Origin { style, era: era.or(printed_by), bare, typeless: lines == Some(lines::Era::D1), jmapids }
    }

    /// Whether it is from a release before 3.6, as far as that can be told.
    fn is_old(self) -> bool {
        match (self.era, self.style.dump) {
            (Some(era), _) => era < Era::V3_6,
            (None, Some(_)) => false,
            (None, None) => self.style.keys == KeyStyle::Plain,
        }
    }
}

/// The way from the entries of one source to those of a target.
pub struct Converter {
    /// What the source is.
    pub origin: Origin,
    /// The release series to write for.
    pub era: Era,
    /// The host to write for.
    pub host: Host,
    /// What other copies know.
    pub witnesses: Witnesses,
    /// Whether mailboxes without a JMAP id get one, if the release has them.
    pub makes_jmapids: bool,
    /// The time given to records whose source tells none, in seconds since 1970.
    pub now: u64,
}

impl Converter {
    /// What a record of the source says.
    pub fn decode<'r>(&self, key: &'r [u8], value: &'r [u8]) -> Decoded<'r> {
        decode(key, value, &self.origin.style)
    }

    /// The entry that the target has for a mailbox's own record; `None` if it has none, or the record is no mailbox's own.
    pub fn mailbox<'r>(&self, key: &'r [u8], value: &'r [u8], say: &mut Say<'_>) -> Option<Entry<'r>> {
        self.content(key, value, say).map(|entry| entry.as_written_in(self.era))
    }

    /// The same, still laid out as its source has it.
    pub fn content<'r>(&self, key: &'r [u8], value: &'r [u8], say: &mut Say<'_>) -> Option<Entry<'r>> {
        let decoded = self.decode(key, value);
        let Key::Mailbox(name) = &decoded.key else { return None };
        if decoded.entry.is_none() {
            let why = "its value can't be read";
            say(Remark { name: name.to_internal(), field: ENTRY, value: Cow::Borrowed(value), fate: Fate::Lost, why });
        }
        self.entry_content(decoded.entry?, say)
    }

    /// The entry that the target has for one of the source.
    pub fn entry<'e>(&self, entry: Entry<'e>, say: &mut Say<'_>) -> Option<Entry<'e>> {
        self.entry_content(entry, say).map(|entry| entry.as_written_in(self.era))
    }

    fn entry_content<'e>(&self, mut entry: Entry<'e>, say: &mut Say<'_>) -> Option<Entry<'e>> {
        role::complete(&mut entry, self.origin.typeless, self.origin.bare);
        if entry.server.is_none() && self.wants_server(&entry) && !self.witnesses.is_empty() {
            self.witnesses.supply(&mut entry, say);
        }
        let mut entry = role::place(entry, &self.host, self.origin.bare, say)?;
        if self.era >= Era::V3_6 && self.origin.is_old() && entry.is_local() {
            // Releases before 3.6 lay folders out by name; without this flag 3.6 looks for them by uniqueid.
            entry.mbtype = entry.mbtype.with(Flag::LegacyDirs);
        }
        if self.makes_jmapids {
            jmap::complete(&mut entry, self.era);
        }
        if self.origin.style.keys != self.era.style().keys && !entry.name.converts_exactly() {
            let (name, value) = (entry.name.to_internal(), Cow::Borrowed(entry.name.as_bytes()));
            let why = "it holds a byte that means something else in the other spelling of names";
            say(Remark { name, field: "name", value, fate: Fate::Lost, why });
        }
        era::fit(entry, self.origin.era, self.era, self.now, say)
    }

    /// Whether an entry of 3.6 or later, of which nothing is unusual, is the same in the target.
    pub(crate) fn keeps_entries(&self) -> bool {
        let makes_jmapids = self.makes_jmapids && self.era >= Era::V3_13;
        let alike = !self.origin.is_old() && !self.origin.typeless && self.origin.bare == Bare::Local;
        let asked = self.host.role.is_some() || !self.witnesses.is_empty();
        self.era >= Era::V3_6 && alike && !asked && !makes_jmapids
    }

    fn wants_server(&self, entry: &Entry<'_>) -> bool {
        let elsewhere = matches!(self.host.role, Some(Role::Master | Role::Frontend));
        entry.is_remote() || elsewhere && self.host.server.is_none()
    }
}

/// A record of the source to come back to: 32 bytes, and its own only where the format escapes it.
#[derive(Debug)]
pub enum Held<'a> {
    /// Key and value in the source.
    Borrowed(&'a [u8], &'a [u8]),
    /// Key and value, unescaped.
    Owned(Box<(Vec<u8>, Vec<u8>)>),
}

impl<'a> Held<'a> {
    /// Holds a record.
    pub fn new(record: Record<'a>) -> Self {
        match (record.key, record.value) {
            (Cow::Borrowed(key), Cow::Borrowed(value)) => Held::Borrowed(key, value),
            (key, value) => Held::Owned(Box::new((key.into_owned(), value.into_owned()))),
        }
    }
}

impl Pair for Held<'_> {
    #[inline]
    fn key(&self) -> &[u8] {
        match self {
            Held::Borrowed(key, _) => key,
            Held::Owned(pair) => &pair.0,
        }
    }

    #[inline]
    fn value(&self) -> &[u8] {
        match self {
            Held::Borrowed(_, value) => value,
            Held::Owned(pair) => &pair.1,
        }
    }
}
