//! D values: `%(key item key item …)`, since 2.5.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::item::{self, Item, Spelling};
use super::number::number;
use super::tolerant;
use crate::record::acl::Acl;
use crate::record::decode::{Fault, push};
use crate::record::entry::{Entry, FieldKey, Under, UnknownField};
use crate::record::mbtype::{MbType, Numbering};
use crate::record::name::{Form, Name};
use crate::record::rules;

/// Reads a D value into `entry`: as Cyrus does, and where Cyrus gives up, with more patience. `false` if it is none.
#[inline]
pub(crate) fn decode<'a>(entry: &mut Entry<'a>, value: &'a [u8], faults: &mut Vec<Fault>) -> bool {
    if strict(entry, value, faults).is_some() {
        return true;
    }
    faults.clear();
    tolerant::decode(entry, value, faults)
}

/// The grammar as Cyrus reads it; `None` is its "bad format".
fn strict<'a>(entry: &mut Entry<'a>, value: &'a [u8], faults: &mut Vec<Fault>) -> Option<()> {
    let mut rest = value.strip_prefix(b"%(")?;
    let mut separator = true;
    loop {
        if let [b')', tail @ ..] = rest {
            if separator && value.len() > 3 {
                push(faults, &rules::NOT_EXACT, "a space in front of the closing bracket");
            }
            return tail.is_empty().then_some(());
        }
        if !separator {
            return None;
        }
        let field_start = rest;
        let (after, (field, key)) = field_key(rest)?;
        let (after, item) = item::item(after).ok()?;
        if let Err(raw_wanted) = store(entry, field, item, faults) {
            let len = field_start.len().saturating_sub(after.len());
            let raw = field_start.get(..len).unwrap_or_default();
            keep_unknown(entry, raw_wanted, key, raw, faults);
        }
        (separator, rest) = match after {
            [b' ', next @ ..] => (true, next),
            _ => (false, after),
        };
    }
}

/// What follows a key, the field it stands for, and the key itself where that is unknown.
type KeyRead<'a> = (&'a [u8], (FieldKey, Cow<'a, [u8]>));

/// A key and the space behind it.
fn field_key(rest: &[u8]) -> Option<KeyRead<'_>> {
    if let [letter, b' ', after @ ..] = rest
        && let Some(field) = FieldKey::from_letter(*letter)
    {
        return Some((after, (field, Cow::Borrowed(b""))));
    }
    let (after, key) = item::key(rest).ok()?;
    Some((after, (FieldKey::Unknown, key.bytes)))
}

/// Whether the record's key says what the field would say; the key counts.
fn is_said_by_key(entry: &Entry<'_>, field: FieldKey) -> bool {
    match field {
        FieldKey::Name => entry.under == Under::Name,
        FieldKey::Uniqueid => entry.under == Under::Uniqueid,
        FieldKey::Jmapid => entry.under == Under::Jmapid,
        _ => false,
    }
}

/// A field that is kept as it stands.
pub(crate) struct KeptRaw(FieldKey);

/// Puts a field where it belongs; what has the wrong shape for it is kept as it stands.
pub(crate) fn store<'a>(
    entry: &mut Entry<'a>,
    field: FieldKey,
    item: Item<'a>,
    faults: &mut Vec<Fault>,
) -> Result<(), KeptRaw> {
    match (field, item) {
        (FieldKey::Acl, Item::Kvlist(inner)) => {
            entry.acl = Acl::kvlist(inner);
            note(entry, field, Spelling::List, faults);
        }
        (FieldKey::History, Item::List(inner)) => {
            entry.history_raw = Some(Cow::Borrowed(inner));
            note(entry, field, Spelling::List, faults);
        }
        (FieldKey::History, Item::Text(text)) if text.spelling == Spelling::Nil => {
            entry.history_raw = None;
            note(entry, field, Spelling::Nil, faults);
        }
        (FieldKey::History | FieldKey::Unknown, _) => return Err(KeptRaw(field)),
        (_, Item::Text(_)) if is_said_by_key(entry, field) => return Err(KeptRaw(FieldKey::Unknown)),
        (_, Item::Text(text)) => {
            if text.odd_spelling {
                push(faults, &rules::NOT_EXACT, "escapes or a length that Cyrus would write otherwise");
            }
            if text.spelling == Spelling::Atom && text.bytes.is_empty() {
                push(faults, &rules::NOT_EXACT, "an empty value without quotes");
            }
            note(entry, field, text.spelling, faults);
            if text.spelling != Spelling::Nil {
                assign(entry, field, text.bytes, faults);
            }
        }
        _ => return Err(KeptRaw(field)),
    }
    Ok(())
}

fn assign<'a>(entry: &mut Entry<'a>, field: FieldKey, bytes: Cow<'a, [u8]>, faults: &mut Vec<Fault>) {
    match field {
        FieldKey::Uniqueid => entry.uniqueid = Some(bytes),
        FieldKey::Partition => entry.partition = Some(bytes),
        FieldKey::Server => entry.server = Some(bytes),
        FieldKey::Jmapid => entry.jmapid = Some(bytes),
        FieldKey::Name => entry.name = Name::new(Form::Db, bytes),
        FieldKey::Acl => entry.acl = Acl::text(bytes),
        FieldKey::Type => {
            entry.mbtype = MbType::from_letters(&bytes);
            entry.letters = bytes;
        }
        FieldKey::Uidvalidity => entry.uidvalidity = plain_number(&bytes, faults),
        FieldKey::Mtime => entry.mtime = plain_number(&bytes, faults),
        FieldKey::Foldermodseq => entry.foldermodseq = plain_number(&bytes, faults),
        FieldKey::Createdmodseq => entry.createdmodseq = plain_number(&bytes, faults),
        FieldKey::History | FieldKey::Unknown => {}
    }
}

/// Notes the place of a field that has the right shape; a second one of the same key replaces the first, as in Cyrus.
fn note(entry: &mut Entry<'_>, field: FieldKey, spelling: Spelling, faults: &mut Vec<Fault>) {
    if entry.layout.has(field) {
        push(
            faults,
            &rules::FIELD_TWICE,
            format!("field {} stands there twice; the last counts", field.letter() as char),
        );
    } else if !entry.layout.push(field, spelling) {
        push(faults, &rules::NOT_EXACT, "more fields than their order can be kept of");
    }
}

fn plain_number(digits: &[u8], faults: &mut Vec<Fault>) -> Option<u64> {
    let answer = number(digits);
    if answer.is_none() {
        push(faults, &rules::BAD_NUMBER, format!("{:?} is no decimal number of 64 bits", digits.as_bstr()));
    } else if digits.len() > 1 && digits.first() == Some(&b'0') {
        push(faults, &rules::NOT_EXACT, "a number with leading zeros");
    }
    answer
}

#[cold]
fn keep_unknown<'a>(
    entry: &mut Entry<'a>,
    KeptRaw(field): KeptRaw,
    key: Cow<'a, [u8]>,
    raw: &'a [u8],
    faults: &mut Vec<Fault>,
) {
    if field == FieldKey::Unknown {
        let shown = raw.get(..raw.len().min(60)).unwrap_or_default();
        push(faults, &rules::FIELD_UNKNOWN, format!("field {:?} is passed over by Cyrus", shown.as_bstr()));
    } else {
        let message = format!("field {} has the shape of another kind of value", field.letter() as char);
        push(faults, &rules::FIELD_SHAPE, message);
    }
    let key = match key.is_empty() {
        true => Cow::Borrowed(raw.get(..1).unwrap_or_default()),
        false => key,
    };
    entry.unknown.push(UnknownField { key, raw: Cow::Borrowed(raw) });
    if !entry.layout.push(FieldKey::Unknown, Spelling::Atom) {
        push(faults, &rules::NOT_EXACT, "more fields than their order can be kept of");
    }
}

/// The order in which Cyrus up to 3.4 wrote the fields of a record of its own making; since 3.6 it is [`FieldKey::ALL`].
pub(super) const ORDER_OLD: &[FieldKey] = &[
    FieldKey::Acl,
    FieldKey::Uniqueid,
    FieldKey::Partition,
    FieldKey::Server,
    FieldKey::Type,
    FieldKey::Uidvalidity,
    FieldKey::Createdmodseq,
    FieldKey::Foldermodseq,
    FieldKey::Mtime,
];

/// The fields to write: the record's own in its order, without those that were taken away, and new ones where Cyrus puts them.
fn order(entry: &Entry<'_>, numbering: Numbering) -> Vec<FieldKey> {
    let is_kept = |field| if field == FieldKey::Type { keeps_type(entry, numbering) } else { is_there(entry, field) };
    let kept = entry.layout.slots().filter(|slot| slot.spelling == Spelling::Nil || is_kept(slot.field));
    let mut order = Vec::with_capacity(FieldKey::ALL.len());
    order.extend(kept.map(|slot| slot.field));
    let wanted = if numbering == Numbering::Old { ORDER_OLD } else { &FieldKey::ALL };
    for (index, &field) in wanted.iter().enumerate() {
        if order.contains(&field) || !is_new(entry, field, numbering) {
            continue;
        }
        let before = wanted.iter().take(index).rev().find_map(|earlier| order.iter().position(|have| have == earlier));
        order.insert(before.map_or(0, |at| at.saturating_add(1)), field);
    }
    order
}

/// Whether a record that has a type is to keep it: up to 3.4 there is none where it would say nothing.
fn keeps_type(entry: &Entry<'_>, numbering: Numbering) -> bool {
    let says_nothing = numbering == Numbering::Old && entry.mbtype == MbType::default();
    !says_nothing || MbType::from_letters(&entry.letters) == MbType::default()
}

/// Whether a field that the record has still has a value.
fn is_there(entry: &Entry<'_>, field: FieldKey) -> bool {
    match field {
        FieldKey::Uniqueid => entry.uniqueid.is_some(),
        FieldKey::Partition => entry.partition.is_some(),
        FieldKey::Server => entry.server.is_some(),
        FieldKey::Jmapid => entry.jmapid.is_some(),
        FieldKey::Uidvalidity => entry.uidvalidity.is_some(),
        FieldKey::Mtime => entry.mtime.is_some(),
        FieldKey::Foldermodseq => entry.foldermodseq.is_some(),
        FieldKey::Createdmodseq => entry.createdmodseq.is_some(),
        FieldKey::History => entry.history_raw.is_some(),
        FieldKey::Acl | FieldKey::Type | FieldKey::Name | FieldKey::Unknown => true,
    }
}

/// Whether a field that the record lacks has to be added.
fn is_new(entry: &Entry<'_>, field: FieldKey, numbering: Numbering) -> bool {
    match field {
        FieldKey::Acl => !entry.acl.is_empty(),
        FieldKey::Type => entry.mbtype != MbType::default() || (entry.raw.is_empty() && numbering == Numbering::New),
        FieldKey::Name => entry.under != Under::Name && !entry.name.is_empty(),
        FieldKey::Uniqueid => entry.under != Under::Uniqueid && entry.uniqueid.is_some(),
        FieldKey::Jmapid => entry.under != Under::Jmapid && entry.jmapid.is_some(),
        FieldKey::Unknown => false,
        _ => is_there(entry, field),
    }
}

/// Writes a D value: the fields in the order and spelling of the record it came from, new ones where Cyrus puts them.
pub(crate) fn encode(entry: &Entry<'_>, numbering: Numbering, out: &mut Vec<u8>) {
    out.extend_from_slice(b"%(");
    let mut unknown = entry.unknown.iter();
    for (index, field) in order(entry, numbering).into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        if field == FieldKey::Unknown {
            unknown.next().into_iter().for_each(|kept| out.extend_from_slice(&kept.raw));
            continue;
        }
        out.extend_from_slice(&[field.letter(), b' ']);
        write_field(entry, field, numbering, out);
    }
    out.push(b')');
}

fn write_field(entry: &Entry<'_>, field: FieldKey, numbering: Numbering, out: &mut Vec<u8>) {
    let number = match field {
        FieldKey::Acl => return write_acl(entry, out),
        FieldKey::History => {
            return match entry.history_raw.as_deref() {
                Some(history) => write_list(b"(", history, out),
                None => out.extend_from_slice(b"NIL"),
            };
        }
        FieldKey::Uniqueid => return write_string(entry, field, entry.uniqueid.as_deref(), out),
        FieldKey::Partition => return write_string(entry, field, entry.partition.as_deref(), out),
        FieldKey::Server => return write_string(entry, field, entry.server.as_deref(), out),
        FieldKey::Jmapid => return write_string(entry, field, entry.jmapid.as_deref(), out),
        FieldKey::Name => {
            let nil = entry.is_nil(field) && entry.name.is_empty();
            let name = entry.name.to_db();
            return write_string(entry, field, (!nil).then_some(&name[..]), out);
        }
        FieldKey::Type => {
            let nil = entry.is_nil(field) && entry.mbtype == MbType::default();
            let letters = (!nil).then(|| entry.letters_to_write(numbering));
            return write_string(entry, field, letters.as_deref(), out);
        }
        FieldKey::Uidvalidity => entry.uidvalidity,
        FieldKey::Mtime => entry.mtime,
        FieldKey::Foldermodseq => entry.foldermodseq,
        FieldKey::Createdmodseq => entry.createdmodseq,
        FieldKey::Unknown => return,
    };
    write_string(entry, field, number.map(|number| number.to_string()).as_deref().map(str::as_bytes), out);
}

fn write_string(entry: &Entry<'_>, field: FieldKey, bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    match bytes {
        None => out.extend_from_slice(b"NIL"),
        Some(bytes) => item::write_text(out, bytes, entry.spelling_of(field, bytes)),
    }
}

/// Writes the list as a list, or as the string that the record has in its place.
fn write_acl(entry: &Entry<'_>, out: &mut Vec<u8>) {
    match entry.layout.find(FieldKey::Acl) {
        Some(Spelling::Nil) if entry.acl.is_empty() => out.extend_from_slice(b"NIL"),
        None | Some(Spelling::Nil | Spelling::List) => write_list(b"%(", &entry.acl.to_kvlist(), out),
        Some(_) => {
            let text = entry.acl.to_text();
            item::write_text(out, &text, entry.spelling_of(FieldKey::Acl, &text));
        }
    }
}

fn write_list(open: &[u8], inner: &[u8], out: &mut Vec<u8>) {
    [open, inner, b")"].into_iter().for_each(|part| out.extend_from_slice(part));
}
