//! From key and value to entry, and back.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::dialect::{dlist, extended, legacy};
use super::entry::{Entry, Family, FieldKey, Under};
use super::key::{Key, KeyStyle};
use super::mbtype::Numbering;
use super::name::Name;
use super::rules;
use crate::finding::Rule;

/// What has to be known of a database to read its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Style {
    /// How its keys are spelt.
    pub keys: KeyStyle,
    /// What the numbers of L1 and L2 values mean.
    pub numbering: Numbering,
}

impl Style {
    /// Up to 3.4.
    pub const OLD: Style = Style { keys: KeyStyle::Plain, numbering: Numbering::Old };
    /// Since 3.6.
    pub const NEW: Style = Style { keys: KeyStyle::Prefixed, numbering: Numbering::New };

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
    let mut faults = Vec::new();
    let decoded_key = Key::decode(key, style.keys);
    let entry = match &decoded_key {
        Key::Mailbox(name) => value_of(Under::Name, name.clone(), value, style, &mut faults),
        Key::Uniqueid(uniqueid) => {
            value_of(Under::Uniqueid, Name::db(&b""[..]), value, style, &mut faults).map(|mut e| {
                e.uniqueid.get_or_insert(Cow::Borrowed(uniqueid));
                note_nil(&e, FieldKey::Uniqueid, &mut faults);
                e
            })
        }
        Key::Jmap { jmapid, .. } => {
            value_of(Under::Jmapid, Name::db(&b""[..]), value, style, &mut faults).map(|mut e| {
                e.jmapid.get_or_insert(Cow::Borrowed(jmapid));
                note_nil(&e, FieldKey::Jmapid, &mut faults);
                e
            })
        }
        _ => None,
    };
    Decoded { key: decoded_key, entry, faults }
}

/// An id that the key gives and the value denies is written as the key gives it.
fn note_nil(entry: &Entry<'_>, field: FieldKey, faults: &mut Vec<Fault>) {
    if entry.is_nil(field) {
        push(faults, &rules::NOT_EXACT, format!("field {} is NIL, and the key names it", field.letter() as char));
    }
}

#[inline(always)]
fn value_of<'a>(
    under: Under,
    name: Name<'a>,
    value: &'a [u8],
    style: &Style,
    faults: &mut Vec<Fault>,
) -> Option<Entry<'a>> {
    let mut entry = Entry::new(family_of(value), name);
    entry.under = under;
    entry.raw = Cow::Borrowed(value);
    let read = match entry.family {
        Family::Dlist => dlist::decode(&mut entry, value, faults),
        Family::L2 => extended::decode(&mut entry, value, style.numbering, faults),
        Family::L1 => legacy::decode_l1(&mut entry, value, style.numbering, faults),
        Family::L0 | Family::Dump => legacy::decode_l0(&mut entry, value),
    };
    if read {
        return Some(entry);
    }
    let shown = value.get(..value.len().min(60)).unwrap_or_default();
    push(faults, &rules::UNREADABLE, format!("the value is of no known encoding: {:?}", shown.as_bstr()));
    None
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
    let mut out = Vec::with_capacity(entry.raw.len().max(64));
    match family {
        Family::L0 => legacy::encode_l0(entry, &mut out),
        Family::L1 => legacy::encode_l1(entry, numbering, &mut out),
        Family::L2 => extended::encode(entry, numbering, &mut out),
        Family::Dlist | Family::Dump => dlist::encode(entry, numbering, &mut out),
    }
    out
}
