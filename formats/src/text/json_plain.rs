//! Objects in Cyrus' spacing, whatever their order, read in one straight pass; whatever is unusual is left to
//! [`super::json`].

use std::borrow::Cow;

use super::json::{JsonFields, Pairs};
use super::json_usual;
use crate::record::number;

/// Reads an object whose members are known, in Cyrus' spacing and without escapes; `None` for others.
pub(super) fn parse(object: &[u8]) -> Option<JsonFields<'_>> {
    json_usual::parse(object).map(JsonFields::from).or_else(|| in_any_order(object))
}

/// The same, without a guess at the order of its members.
pub(super) fn in_any_order(object: &[u8]) -> Option<JsonFields<'_>> {
    let mut fields = JsonFields::default();
    let mut rest = object.strip_prefix(b"{")?;
    loop {
        let (name, after) = string(rest)?;
        let after = after.strip_prefix(b": ")?;
        rest = match after {
            [b'{', inner @ ..] if name == b"acl" && fields.acl.is_none() => {
                let (pairs, after) = pairs(inner)?;
                fields.acl = Some(pairs);
                after
            }
            [b'[', b']', after @ ..] if name == b"name_history" => after,
            _ => {
                let (value, after) = string(after)?;
                store(&mut fields, name, value)?;
                after
            }
        };
        rest = match rest {
            [b',', b' ', next @ ..] => next,
            [b'}'] => return Some(fields),
            _ => return None,
        };
    }
}

/// A string without escapes or control bytes, and what follows it.
#[inline]
pub(super) fn string(input: &[u8]) -> Option<(&[u8], &[u8])> {
    text(input.strip_prefix(b"\"")?)
}

/// The same, behind its opening quote.
#[inline(always)]
pub(super) fn text(inside: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, after) = inside.split_at_checked(plain_len(inside))?;
    Some((text, after.strip_prefix(b"\"")?))
}

/// Number of bytes in front of the first that is a quote, a backslash, or not printable ASCII: eight at a time, for
/// strings are short.
#[inline(always)]
fn plain_len(input: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut rest = input;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // The high bit of each byte that is less than `limit`, and of some behind the first of them.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
        let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
        let ends = (word | below(word, 0x20) | is(b'"') | is(b'\\') | is(0x7F)) & HIGHS;
        if ends != 0 {
            return input.len().saturating_sub(rest.len()) + (ends.trailing_zeros() / 8) as usize;
        }
        rest = after;
    }
    let plain = |byte: &&u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    input.len().saturating_sub(rest.len()) + rest.iter().take_while(plain).count()
}

/// The members of an ACL behind its bracket, and what follows it.
fn pairs(mut rest: &[u8]) -> Option<(Pairs<'_>, &[u8])> {
    let mut pairs = Vec::new();
    if let Some(after) = rest.strip_prefix(b"}") {
        return Some((pairs, after));
    }
    loop {
        let (identifier, after) = string(rest)?;
        let (rights, after) = string(after.strip_prefix(b": ")?)?;
        pairs.push((Cow::Borrowed(identifier), Cow::Borrowed(rights)));
        rest = match after {
            [b',', b' ', next @ ..] => next,
            [b'}', after @ ..] => return Some((pairs, after)),
            _ => return None,
        };
    }
}

/// Puts a member where it belongs; `None` if it is unknown, no number, or stands there twice.
fn store<'a>(fields: &mut JsonFields<'a>, name: &[u8], value: &'a [u8]) -> Option<()> {
    let text = match name {
        b"name" => &mut fields.name,
        b"mbtype" => &mut fields.mbtype,
        b"partition" => &mut fields.partition,
        b"server" => &mut fields.server,
        b"uniqueid" => &mut fields.uniqueid,
        b"legacy_specialuse" => &mut fields.legacy_specialuse,
        b"jmapId" => &mut fields.jmap_id,
        _ => {
            let field = match name {
                b"mtime" => &mut fields.mtime,
                b"uidvalidity" => &mut fields.uidvalidity,
                b"createdmodseq" => &mut fields.createdmodseq,
                b"foldermodseq" => &mut fields.foldermodseq,
                _ => return None,
            };
            return field.replace(number(value)?).is_none().then_some(());
        }
    };
    text.replace(Cow::Borrowed(value)).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: &[u8] = br#"{"name": "user.bob", "mtime": "5", "mbtype": "er", "acl": {"bob": "lrs", "anyone": "p"}, "name_history": []}"#;

    #[test]
    fn usual_objects_are_read_here_and_others_are_not() {
        let fields = parse(USUAL).unwrap();
        assert_eq!((fields.name.as_deref(), fields.mtime), (Some(&b"user.bob"[..]), Some(5)));
        assert_eq!(fields.acl.unwrap().len(), 2);
        for other in [
            &br#"{"name":"a"}"#[..],
            br#"{"name": "a\u0041"}"#,
            br#"{"mtime": 5}"#,
            br#"{"mtime": "x"}"#,
            br#"{"name": "a", "name": "b"}"#,
            br#"{"other": "a"}"#,
            br#"{"name": "a"} "#,
            br#"{}"#,
        ] {
            assert!(parse(other).is_none(), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn strings_end_at_the_first_byte_that_is_not_plain() {
        for byte in 0..=u8::MAX {
            let is_plain = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            for at in 0..20 {
                let mut text = *b"all of it is plain, \"";
                text[at] = byte;
                let expected = if is_plain { 20 } else { at };
                assert_eq!(plain_len(&text), expected, "{byte} at {at}");
                assert_eq!(plain_len(&text[..20]), expected, "{byte} at {at}");
            }
        }
    }
}
