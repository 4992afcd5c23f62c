//! L0 and L1 values: `partition TAB acl` up to 1.5, `type partition acl` in 2.0 to 2.4.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::number::number;
use crate::record::acl::Acl;
use crate::record::decode::{Fault, push};
use crate::record::entry::Entry;
use crate::record::mbtype::{MbType, Numbering};
use crate::record::rules;

/// Splits `server!partition` at the first '!'; without one it is a partition (`imap/mboxlist.c` since 2.5).
pub(crate) fn split_location(location: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match location.split_once_str(b"!") {
        Some((server, partition)) => (Some(server), partition),
        None => (None, location),
    }
}

/// Whether a value is meant to be L1: digits, then a space.
pub(crate) fn looks_l1(value: &[u8]) -> bool {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && value.get(digits) == Some(&b' ')
}

/// Reads an L1 value into `entry`; `false` if it is none.
pub(crate) fn decode_l1<'a>(
    entry: &mut Entry<'a>,
    value: &'a [u8],
    numbering: Numbering,
    faults: &mut Vec<Fault>,
) -> bool {
    let Some((digits, rest)) = value.split_once_str(b" ") else { return false };
    let Some(number) = number(digits).and_then(|number| u32::try_from(number).ok()) else { return false };
    if digits.len() > 1 && digits.starts_with(b"0") {
        push(faults, &rules::NOT_EXACT, "the type's number has leading zeros");
    }
    entry.mbtype = MbType::from_number(number, numbering);
    let trimmed = rest.trim_start_with(|c| c == ' ');
    if trimmed.len() != rest.len() {
        push(faults, &rules::TOLERATED, "more than one space behind the type: Cyrus reads an empty location");
    }
    let (location, acl) = match trimmed.find_byteset(b" \t") {
        Some(end) => {
            if trimmed.get(end) == Some(&b'\t') {
                push(faults, &rules::TOLERATED, "a TAB instead of the space in front of the ACL");
            }
            (trimmed.get(..end).unwrap_or_default(), trimmed.get(end.saturating_add(1)..).unwrap_or_default())
        }
        None => {
            push(faults, &rules::TOLERATED, "nothing behind the location, not even a space");
            (trimmed, &b""[..])
        }
    };
    let (server, partition) = split_location(location);
    entry.server = server.map(Cow::Borrowed);
    entry.partition = Some(Cow::Borrowed(partition));
    entry.acl = Acl::text(acl);
    true
}

/// Writes an L1 value. What L1 can't hold is left out.
pub(crate) fn encode_l1(entry: &Entry<'_>, numbering: Numbering, out: &mut Vec<u8>) {
    out.extend_from_slice(entry.mbtype.number(numbering).to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(&entry.location());
    out.push(b' ');
    out.extend_from_slice(&entry.acl.to_text());
}

/// Reads an L0 value into `entry`; `false` if it is none.
pub(crate) fn decode_l0<'a>(entry: &mut Entry<'a>, value: &'a [u8]) -> bool {
    let Some((location, acl)) = value.split_once_str(b"\t") else { return false };
    if location.is_empty() || location.contains(&b' ') {
        return false;
    }
    let (server, partition) = split_location(location);
    entry.server = server.map(Cow::Borrowed);
    entry.partition = Some(Cow::Borrowed(partition));
    entry.acl = Acl::text(acl);
    true
}

/// Writes an L0 value. What L0 can't hold is left out.
pub(crate) fn encode_l0(entry: &Entry<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.location());
    out.push(b'\t');
    out.extend_from_slice(&entry.acl.to_text());
}
