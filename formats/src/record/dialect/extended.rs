//! L2 values: `(uniqueid … specialuse …) type partition acl`, of development builds between 2.4 and 2.5.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::legacy;
use crate::record::decode::{Fault, push};
use crate::record::entry::{Entry, UnknownField};
use crate::record::mbtype::Numbering;
use crate::record::rules;

/// Reads an L2 value into `entry`; `false` if it is none.
pub(crate) fn decode<'a>(
    entry: &mut Entry<'a>,
    value: &'a [u8],
    numbering: Numbering,
    faults: &mut Vec<Fault>,
) -> bool {
    let Some(rest) = value.strip_prefix(b"(") else { return false };
    let Some((list, rest)) = rest.split_once_str(b")") else { return false };
    let Some(legacy) = rest.strip_prefix(b" ") else { return false };
    let mut words = list.split_str(b" ").filter(|word| !word.is_empty());
    while let Some(key) = words.next() {
        let Some(value) = words.next() else {
            push(faults, &rules::NOT_EXACT, "a name without a value");
            break;
        };
        match key {
            b"uniqueid" => entry.uniqueid = Some(Cow::Borrowed(value)),
            b"specialuse" => entry.specialuse = Some(Cow::Borrowed(value)),
            _ => entry.unknown.push(UnknownField { key: Cow::Borrowed(key), raw: Cow::Borrowed(value) }),
        }
    }
    if !legacy::decode_l1(entry, legacy, numbering, faults) {
        return false;
    }
    let mut again = Vec::with_capacity(value.len());
    encode(entry, numbering, &mut again);
    if faults.is_empty() && again != value {
        push(faults, &rules::NOT_EXACT, "names in another order, or more blanks than needed");
    }
    true
}

/// Whether a word can stand in the list: nothing escapes the bytes that end a word or the list.
fn is_word(word: &[u8]) -> bool {
    !word.is_empty() && !word.iter().any(|byte| matches!(byte, b' ' | b')'))
}

/// Writes an L2 value. What L2 can't hold is left out.
pub(crate) fn encode(entry: &Entry<'_>, numbering: Numbering, out: &mut Vec<u8>) {
    let own = [(&b"uniqueid"[..], &entry.uniqueid), (&b"specialuse"[..], &entry.specialuse)];
    let own = own.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)));
    let other = entry.unknown.iter().map(|field| (&field.key[..], &field.raw[..]));
    let own = own.filter(|(_, value)| is_word(value));
    let other = other.filter(|(key, value)| is_word(key) && is_word(value));
    out.push(b'(');
    for (index, (key, value)) in own.chain(other).enumerate() {
        let space: &[u8] = if index > 0 { b" " } else { b"" };
        [space, key, b" ", value].into_iter().for_each(|part| out.extend_from_slice(part));
    }
    out.extend_from_slice(b") ");
    legacy::encode_l1(entry, numbering, out);
}
