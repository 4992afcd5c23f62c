//! From key and value to entry, and back.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::dialect::plain::{self, Place};
use super::dialect::{Grammar, dlist, dump, extended, legacy};
use super::entry::{Entry, Family, Under};
use super::key::{Key, KeyStyle};
use super::mbtype::Numbering;
use super::name::{Form, Name};
use super::rules;
use crate::finding::Rule;
use crate::text::lines::{self, Recognition};

/// What has to be known of a database to read its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Style {
    /// How its keys are spelt.
    pub keys: KeyStyle,
    /// What the numbers of L1 and L2 values mean.
    pub numbering: Numbering,
    /// The grammar, if they are not a database's records but the lines or objects of a dump.
    pub dump: Option<Grammar>,
}

impl Style {
    /// Up to 3.4.
    pub const OLD: Style = Style { keys: KeyStyle::Plain, numbering: Numbering::Old, dump: None };
    /// Since 3.6.
    pub const NEW: Style = Style { keys: KeyStyle::Prefixed, numbering: Numbering::New, dump: None };
    /// JSON dumps of 3.6 and later.
    pub const JSON: Style = Style { keys: KeyStyle::Plain, numbering: Numbering::New, dump: Some(Grammar::Json) };

    /// Lines of `ctl_mboxlist -d` of an older era; numbers are the old ones unless the dump tells otherwise.
    pub fn lines(recognised: &Recognition) -> Style {
        let numbering = match recognised.numbering {
            lines::Numbering::New => Numbering::New,
            lines::Numbering::Old | lines::Numbering::Open => Numbering::Old,
        };
        Style { keys: KeyStyle::Plain, numbering, dump: Some(Grammar::Lines(recognised.era)) }
    }

    /// The style of a database whose keys are spelt so.
    pub fn of(keys: KeyStyle) -> Style {
        match keys {
            KeyStyle::Plain => Style::OLD,
            KeyStyle::Prefixed => Style::NEW,
        }
    }
}

/// What is wrong with one record, without its place in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The rule it breaks.
    pub rule: &'static Rule,
    /// One line for a person.
    pub message: Cow<'static, str>,
}

#[cold]
pub(crate) fn push(faults: &mut Vec<Fault>, rule: &'static Rule, message: impl Into<Cow<'static, str>>) {
    faults.push(Fault { rule, message: message.into() });
}

/// What a key and its value say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded<'a> {
    /// The key.
    pub key: Key<'a>,
    /// The value of a mailbox's own record, or of one under its uniqueid or JMAP id; `None` for other keys and where
    /// the value can't be read.
    pub entry: Option<Entry<'a>>,
    /// What is wrong with the two as they are written.
    pub faults: Vec<Fault>,
}

/// Reads a record. Never fails: what can't be read is a fault.
#[inline]
pub fn decode<'a>(key: &'a [u8], value: &'a [u8], style: &Style) -> Decoded<'a> {
    if let Some(grammar) = style.dump {
        return decode_dumped(key, value, grammar, style.numbering);
    }
    let decoded_key = Key::decode(key, style.keys);
    let Some(place) = place(&decoded_key, key) else {
        return Decoded { key: decoded_key, entry: None, faults: Vec::new() };
    };
    if let Some(entry) = plain::decode(&place, value) {
        return Decoded { key: decoded_key, entry: Some(entry), faults: Vec::new() };
    }
    decode_any(decoded_key, &place, value, style.numbering)
}

/// What the key says of a mailbox's entry; `None` for the keys of other indexes.
#[inline(always)]
fn place<'a>(decoded: &Key<'a>, key: &'a [u8]) -> Option<Place<'a>> {
    let behind = |letters: usize| key.get(letters..).unwrap_or_default();
    Some(match decoded {
        Key::Mailbox(name) => {
            let letters = usize::from(name.form() == Form::Db);
            Place { under: Under::Name, name: behind(letters), form: name.form(), id: b"" }
        }
        Key::Uniqueid(id) => Place { under: Under::Uniqueid, name: b"", form: Form::Db, id },
        Key::Jmap { jmapid, .. } => Place { under: Under::Jmapid, name: b"", form: Form::Db, id: jmapid },
        _ => return None,
    })
}

/// Reads a value of any family and condition.
#[inline(never)]
fn decode_any<'a>(key: Key<'a>, place: &Place<'a>, value: &'a [u8], numbering: Numbering) -> Decoded<'a> {
    let mut faults = Vec::new();
    let mut entry = Entry::new(family_of(value), Name::new(place.form, place.name));
    entry.under = place.under;
    entry.raw = Cow::Borrowed(value);
    match place.under {
        Under::Name => {}
        Under::Uniqueid => entry.uniqueid = Some(Cow::Borrowed(place.id)),
        Under::Jmapid => entry.jmapid = Some(Cow::Borrowed(place.id)),
    }
    let read = match entry.family {
        Family::Dlist => dlist::decode(&mut entry, value, &mut faults),
        Family::L2 => extended::decode(&mut entry, value, numbering, &mut faults),
        Family::L1 => legacy::decode_l1(&mut entry, value, numbering, &mut faults),
        Family::L0 | Family::Dump => legacy::decode_l0(&mut entry, value),
    };
    if read {
        return Decoded { key, entry: Some(entry), faults };
    }
    let shown = value.get(..value.len().min(60)).unwrap_or_default();
    push(&mut faults, &rules::UNREADABLE, format!("the value is of no known encoding: {:?}", shown.as_bstr()));
    Decoded { key, entry: None, faults }
}

/// Reads a line or an object of a dump. What is wrong with its text is for the dump's own rules to say.
fn decode_dumped<'a>(name: &'a [u8], value: &'a [u8], grammar: Grammar, numbering: Numbering) -> Decoded<'a> {
    let name = Name::internal(name);
    let mut entry = Entry::new(Family::Dump, name.clone());
    entry.raw = Cow::Borrowed(value);
    let read = dump::decode(&mut entry, value, grammar, numbering);
    Decoded { key: Key::Mailbox(name), entry: read.then_some(entry), faults: Vec::new() }
}

/// The family that a value's first bytes belong to.
#[inline]
pub fn family_of(value: &[u8]) -> Family {
    match value {
        [b'%', ..] => Family::Dlist,
        [b'(', ..] => Family::L2,
        _ if legacy::looks_l1(value) => Family::L1,
        _ => Family::L0,
    }
}

/// Writes an entry's value in its own family: the very bytes it was read from as long as nothing was changed, except
/// where decoding it gave a fault.
pub fn encode(entry: &Entry<'_>, numbering: Numbering) -> Vec<u8> {
    encode_as(entry, entry.family, numbering)
}

/// Writes an entry's value in `family`; what that can't hold is left out. [`Family::Dump`] is written as D.
pub fn encode_as(entry: &Entry<'_>, family: Family, numbering: Numbering) -> Vec<u8> {
    // One that was not read from a record takes some 250 bytes.
    let mut out = Vec::with_capacity(if entry.raw.is_empty() { 256 } else { entry.raw.len() });
    match family {
        Family::L0 => legacy::encode_l0(entry, &mut out),
        Family::L1 => legacy::encode_l1(entry, numbering, &mut out),
        Family::L2 => extended::encode(entry, numbering, &mut out),
        Family::Dlist | Family::Dump => dlist::encode(entry, numbering, &mut out),
    }
    out
}
