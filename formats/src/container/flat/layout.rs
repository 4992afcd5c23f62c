//! How a line of a flat file is written: the key, a TAB, the value, a LF, and what stands for bytes that can't.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memchr2_iter, memchr3};

use crate::container::shape::is_odd_in_key;

/// Introduces an escaped byte (`lib/cyrusdb_flat.c`, `ESCAPE`; since 2.5.0).
pub const ESCAPE: u8 = 0xFF;

/// Ends the key; further TABs belong to the value.
pub const KEY_END: u8 = b'\t';

/// The largest file that lookups work in: Cyrus keeps offsets in an `int`.
pub const MAX_FILE_LEN: u64 = i32::MAX as u64;

/// How bytes that a line can't hold are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// As they are: up to 2.4. Keys can't hold TAB, values can't hold LF, neither can hold NUL or CR.
    Raw,
    /// With [`ESCAPE`]: 2.5 and later.
    Escaped,
}

/// Whether `byte` behind [`ESCAPE`] is what a Cyrus writes there.
#[inline]
pub fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0x80 | 0x89 | 0x8A | 0x8D | ESCAPE)
}

/// Whether Cyrus 2.5 and later escapes `byte`.
#[inline]
pub fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\r' | b'\n' | ESCAPE)
}

/// The byte that an escape's second byte stands for.
#[inline]
fn meant(second: u8) -> u8 {
    if second == ESCAPE { ESCAPE } else { second & 0x7F }
}

/// Unescapes a key or value; borrowed when nothing is escaped.
///
/// An [`ESCAPE`] that no Cyrus would write is taken for a byte of an unescaped file (up to 2.4) and kept; see
/// [`decode_as_cyrus`] for what 2.5 and later make of it.
pub fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    decode_if(raw, |second| second.is_some_and(is_escaped))
}

/// Unescapes as `lib/cyrusdb_flat.c` does since 2.5 (`decode`): every [`ESCAPE`] takes the next byte's top bit, a lone one
/// at the end is dropped.
pub fn decode_as_cyrus(raw: &[u8]) -> Cow<'_, [u8]> {
    decode_if(raw, |_| true)
}

fn decode_if(raw: &[u8], escaped: impl Fn(Option<u8>) -> bool) -> Cow<'_, [u8]> {
    if memchr(ESCAPE, raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut plain = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        let second = bytes.as_slice().first().copied();
        if byte != ESCAPE || !escaped(second) {
            plain.push(byte);
            continue;
        }
        plain.extend(second.map(meant));
        bytes.next();
    }
    Cow::Owned(plain)
}

/// Escapes a key or value as 2.5 and later do; borrowed when nothing needs it.
pub fn encode(plain: &[u8]) -> Cow<'_, [u8]> {
    if memchr3(0, b'\r', b'\n', plain).is_none() && memchr2(b'\t', ESCAPE, plain).is_none() {
        return Cow::Borrowed(plain);
    }
    let mut raw = Vec::with_capacity(plain.len().saturating_add(8));
    for &byte in plain {
        match byte {
            ESCAPE => raw.extend([ESCAPE, ESCAPE]),
            byte if needs_escape(byte) => raw.extend([ESCAPE, byte | 0x80]),
            byte => raw.push(byte),
        }
    }
    Cow::Owned(raw)
}

/// Where in `raw` an [`ESCAPE`] stands that no Cyrus since 2.5 writes.
pub fn bad_escape(raw: &[u8]) -> Option<usize> {
    let mut skip = None;
    memchr::memchr_iter(ESCAPE, raw).find(|&at| {
        if skip == Some(at) {
            return false;
        }
        let second = at.checked_add(1).and_then(|next| raw.get(next).copied());
        let good = second.is_some_and(is_escaped);
        skip = (good && second == Some(ESCAPE)).then(|| at.saturating_add(1));
        !good
    })
}

/// Whether a key, unescaped, holds controls that no mailbox's name has. A TAB can be meant: escaped, it does no harm.
pub fn has_controls(key: &[u8]) -> bool {
    key.iter().fold(false, |found, &byte| found | (byte != KEY_END && is_odd_in_key(byte)))
}

/// Whether the escape for TAB is in `raw`.
pub fn has_escaped_tab(raw: &[u8]) -> bool {
    memchr::memmem::find(raw, &[ESCAPE, KEY_END | 0x80]).is_some()
}

/// Where in `body` the first CR or [`ESCAPE`] stands.
pub fn first_odd(body: &[u8]) -> Option<usize> {
    memchr2_iter(b'\r', ESCAPE, body).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_the_real_cyrus() {
        assert_eq!(encode(b"a\tb").as_ref(), b"a\xFF\x89b");
        assert_eq!(encode(b"x\ty\nz\r\0\xFF").as_ref(), b"x\xFF\x89y\xFF\x8Az\xFF\x8D\xFF\x80\xFF\xFF");
        assert_eq!(decode(b"x\xFF\x89y\xFF\x8Az\xFF\x8D\xFF\x80\xFF\xFF").as_ref(), b"x\ty\nz\r\0\xFF");
        assert!(matches!(encode(b"plain.\x1F"), Cow::Borrowed(_)));
        assert!(matches!(decode(b"plain.\x1F"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_raw_0xff_of_an_old_file_is_kept_but_cyrus_eats_it() {
        assert_eq!(decode(b"a\xFFb\xFF").as_ref(), b"a\xFFb\xFF");
        assert_eq!(decode_as_cyrus(b"a\xFF\xE2\xFF").as_ref(), b"ab");
        assert_eq!(bad_escape(b"a\xFFb"), Some(1));
        assert_eq!(bad_escape(b"\xFF\xFF\xFF\x89"), None);
        assert_eq!(bad_escape(b"\xFF\xFF\xFF"), Some(2));
    }

    #[test]
    fn every_byte_survives_encoding() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).as_ref(), all);
        assert_eq!(decode_as_cyrus(&encode(&all)).as_ref(), all);
        assert_eq!(bad_escape(&encode(&all)), None);
        for byte in all {
            assert_eq!(matches!(encode(&[byte]), Cow::Owned(_)), needs_escape(byte), "{byte:#x}");
        }
    }
}
