//! Objects as Cyrus prints nearly all of them, read in one straight pass; whatever is unusual is left to [`super::json`].

use std::borrow::Cow;

use memchr::memchr2;

use super::json::{JsonFields, Pairs};
use crate::record::number;

/// Reads an object whose members are known, in Cyrus' spacing and without escapes; `None` for others.
pub(super) fn parse(object: &[u8]) -> Option<JsonFields<'_>> {
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
fn string(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = input.strip_prefix(b"\"")?;
    let (text, after) = inside.split_at_checked(memchr2(b'"', b'\\', inside)?)?;
    let plain = text.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'));
    plain.then_some((text, after.strip_prefix(b"\"")?))
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
}
