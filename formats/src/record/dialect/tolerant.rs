//! D values that Cyrus refuses, read with more patience: what an edit, a paste or a cut leaves of them.

use std::borrow::Cow;

use super::dlist::store;
use super::item::{self, Item, Spelling, Text};
use crate::record::acl::Acl;
use crate::record::decode::{Fault, push};
use crate::record::entry::{Entry, FieldKey, Under};
use crate::record::rules;

/// Reads what it can of a value that starts like a dlist; `false` if not one field can be read.
///
/// Any run of blanks separates items, closing brackets may be missing, and what follows the last field is passed over.
#[cold]
pub(crate) fn decode<'a>(entry: &mut Entry<'a>, value: &'a [u8], faults: &mut Vec<Fault>) -> bool {
    let Some(mut rest) = value.strip_prefix(b"%(") else { return false };
    *entry = blank(entry);
    let mut count = 0usize;
    let mut end = "the closing bracket is missing";
    loop {
        rest = skip_blanks(rest);
        match rest {
            [] => break,
            [b')', after @ ..] => {
                end = if after.is_empty() {
                    "more than one blank between two items"
                } else {
                    "bytes behind the closing bracket"
                };
                break;
            }
            _ => {}
        }
        let Some((after, field, item)) = field(rest) else {
            end = "what follows the last field read can't be read";
            break;
        };
        count += usize::from(store(entry, field, item, faults).is_ok());
        rest = after;
    }
    if count == 0 {
        return false;
    }
    let message = format!("Cyrus can't read the record and does not see the mailbox: {end}; {count} fields read");
    push(faults, &rules::TOLERATED, message);
    true
}

/// The entry as its key alone makes it.
fn blank<'a>(entry: &Entry<'a>) -> Entry<'a> {
    let mut blank = Entry::new(entry.family, entry.name.clone());
    blank.under = entry.under;
    blank.raw = entry.raw.clone();
    match entry.under {
        Under::Uniqueid => blank.uniqueid = entry.uniqueid.clone(),
        Under::Jmapid => blank.jmapid = entry.jmapid.clone(),
        Under::Name => {}
    }
    blank
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_blanks(rest: &[u8]) -> &[u8] {
    let count = rest.iter().take_while(|byte| is_blank(byte)).count();
    rest.get(count..).unwrap_or_default()
}

/// A key and its value.
fn field(rest: &[u8]) -> Option<(&[u8], FieldKey, Item<'_>)> {
    let (rest, key) = word(rest)?;
    let field = match &key.bytes[..] {
        [letter] => FieldKey::from_letter(*letter).unwrap_or(FieldKey::Unknown),
        _ => FieldKey::Unknown,
    };
    let rest = skip_blanks(rest);
    if field == FieldKey::Acl
        && let Some(inner) = rest.strip_prefix(b"%(")
    {
        return Some(acl(inner, field));
    }
    if let Ok((after, item)) = item::item(rest)
        && matches!(item, Item::List(_) | Item::Kvlist(_))
    {
        return Some((after, field, item));
    }
    let (rest, text) = word(rest)?;
    Some((rest, field, Item::Text(text)))
}

/// The pairs of an ACL up to its bracket, or to the end; an identifier without rights is dropped.
fn acl(mut rest: &[u8], field: FieldKey) -> (&[u8], FieldKey, Item<'_>) {
    let mut words = Vec::new();
    loop {
        rest = skip_blanks(rest);
        if let Some(after) = rest.strip_prefix(b")") {
            rest = after;
            break;
        }
        let Some((after, text)) = word(rest) else { break };
        words.push(text.bytes);
        rest = after;
    }
    let pairs = words.chunks_exact(2).filter_map(|pair| Some((pair.first()?, pair.get(1)?)));
    let text = Acl::from_pairs(pairs).to_text().into_owned();
    (rest, field, Item::Text(Text { spelling: Spelling::List, bytes: Cow::Owned(text), odd_spelling: false }))
}

/// A word up to a blank or a bracket; quoted strings and literals as ever. Never empty unless quoted.
fn word(rest: &[u8]) -> Option<(&[u8], Text<'_>)> {
    if let [b'"' | b'{', ..] = rest
        && let Ok(found) = item::text(rest)
    {
        return Some(found);
    }
    let len = rest.iter().take_while(|byte| !is_blank(byte) && **byte != b')').count();
    let (bytes, after) = rest.split_at_checked(len).filter(|(bytes, _)| !bytes.is_empty())?;
    let spelling = if bytes == b"NIL" { Spelling::Nil } else { Spelling::Atom };
    Some((after, Text { spelling, bytes: Cow::Borrowed(bytes), odd_spelling: false }))
}
