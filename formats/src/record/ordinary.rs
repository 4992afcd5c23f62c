//! The records that nearly all of a database consists of, checked and counted without making entries of them.
//!
//! A live mail mailbox of 3.6 or later, here or elsewhere, written as Cyrus writes it and with nothing to be said against it,
//! goes through one straight pass over its bytes. Whatever is not of that kind is left to [`check`](super::check()) and
//! [`Survey::push`], which say the same of these too.

use super::check::Context;
use super::dialect::item::word_len;
use super::dialect::number::leading;
use super::rights::is_right;
use super::survey::Survey;

/// More pairs than this make an ACL unusual.
pub(super) const PAIRS_MAX: usize = 8;

/// What an ordinary record says.
#[derive(Clone, Copy, Default)]
pub(crate) struct Said<'a> {
    /// The name in db form.
    pub(crate) name: &'a [u8],
    /// Number of separators in the name.
    pub(crate) separators: u32,
    /// Whether the name stands in quotes that nothing but its separators asks for; `None` where it has no separator, or is
    /// in quotes for more reasons.
    pub(crate) quoted: Option<bool>,
    pub(crate) uniqueid: Option<&'a [u8]>,
    pub(crate) jmapid: Option<&'a [u8]>,
    /// Whether there is a J, even `NIL`.
    pub(crate) has_jmapid: bool,
    pub(crate) partition: &'a [u8],
    pub(crate) server: Option<&'a [u8]>,
    pub(crate) uidvalidity: u64,
    pub(crate) createdmodseq: u64,
    pub(crate) foldermodseq: u64,
    pub(crate) mtime: u64,
    /// What stands between `%(` and `)`.
    pub(crate) acl: &'a [u8],
}

/// Checks and counts an ordinary record; `false` if it is not one, and then nothing is done.
#[inline]
pub(crate) fn examine(survey: &mut Survey, key: &[u8], value: &[u8], context: &Context) -> bool {
    match key {
        [b'N', name @ ..] => match read_mailbox(name, value, context) {
            Some(said) => survey.push_ordinary(&said),
            None => return false,
        },
        [b'I', uniqueid @ ..] if !uniqueid.is_empty() => match read_indexed(value) {
            Some(said) => survey.push_ordinary_index(&Said { uniqueid: Some(uniqueid), ..said }),
            None => return false,
        },
        _ => return false,
    }
    true
}

/// A mailbox's own record: `%(T e I … [J …] P … V … C … F … M … A %(…))`, or
/// `%(T er [I NIL J NIL] P … S … M … A %(…))`.
#[inline(always)]
fn read_mailbox<'a>(name: &'a [u8], value: &'a [u8], context: &Context) -> Option<Said<'a>> {
    let in_time =
        |said: &Said<'_>| said.mtime >= super::check::MTIME_MIN && context.now.is_none_or(|now| said.mtime <= now);
    read_any_time(name, value).filter(in_time)
}

/// The same, whatever time it tells.
#[inline(always)]
pub(super) fn read_any_time<'a>(name: &'a [u8], value: &'a [u8]) -> Option<Said<'a>> {
    let (said, rest) = match value {
        [b'%', b'(', b'T', b' ', b'e', b' ', b'I', b' ', rest @ ..] => {
            let (uniqueid, rest) = word(rest)?;
            let (said, rest) = jmapid(Said { uniqueid: Some(uniqueid), ..Said::default() }, rest)?;
            local_fields(said, rest)?
        }
        [b'%', b'(', b'T', b' ', b'e', b'r', b' ', rest @ ..] => {
            let (has_jmapid, rest) = match rest.strip_prefix(b"I NIL J NIL ") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            let (partition, rest) = partition(rest.strip_prefix(b"P ")?)?;
            let (server, rest) = word(rest.strip_prefix(b"S ")?)?;
            let (mtime, rest) = digits(rest.strip_prefix(b"M ")?)?;
            if server.iter().any(|byte| *byte <= b' ' || *byte == b'!') {
                return None;
            }
            (Said { partition, server: Some(server), mtime, has_jmapid, ..Said::default() }, rest)
        }
        _ => return None,
    };
    let (acl, rest) = acl(rest)?;
    let separators = sound_name(name)?;
    (rest == b")").then_some(Said { name, separators, acl, ..said })
}

/// A record under a uniqueid: `%(T e N … [J …] P … V … C … F … M … A %(…) H ())`.
#[inline(always)]
fn read_indexed(value: &[u8]) -> Option<Said<'_>> {
    let rest = value.strip_prefix(b"%(T e N ")?;
    let (name, quoted, rest) = indexed_name(rest)?;
    let (said, rest) = jmapid(Said { name, quoted, ..Said::default() }, rest)?;
    let (said, rest) = local_fields(said, rest)?;
    let (acl, rest) = acl(rest)?;
    (rest == b" H ())").then_some(Said { acl, ..said })
}

/// `P … V … C … F … M … `.
#[inline(always)]
fn local_fields<'a>(said: Said<'a>, rest: &'a [u8]) -> Option<(Said<'a>, &'a [u8])> {
    let (partition, rest) = partition(rest.strip_prefix(b"P ")?)?;
    let (uidvalidity, rest) = digits(rest.strip_prefix(b"V ")?)?;
    let (createdmodseq, rest) = digits(rest.strip_prefix(b"C ")?)?;
    let (foldermodseq, rest) = digits(rest.strip_prefix(b"F ")?)?;
    let (mtime, rest) = digits(rest.strip_prefix(b"M ")?)?;
    let said = Said { partition, uidvalidity, createdmodseq, foldermodseq, mtime, ..said };
    (uidvalidity != 0).then_some((said, rest))
}

/// A bare word that is not `NIL`, and what follows the space behind it.
#[inline(always)]
fn word(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (word, after) = input.split_at_checked(word_len(input))?;
    let plain = !matches!(word, [] | [b'"' | b'{' | b'(' | b')' | b'%', ..] | [.., b')'] | b"NIL");
    after.get(1..).filter(|_| plain).map(|after| (word, after))
}

/// A number as Cyrus writes it, and what follows the space behind it.
#[inline(always)]
fn digits(input: &[u8]) -> Option<(u64, &[u8])> {
    let (number, len) = leading(input)?;
    let after = input.get(len..)?.strip_prefix(b" ")?;
    Some((number, after))
}

/// `J … ` if it is there.
#[inline(always)]
fn jmapid<'a>(said: Said<'a>, input: &'a [u8]) -> Option<(Said<'a>, &'a [u8])> {
    let Some(rest) = input.strip_prefix(b"J ") else { return Some((said, input)) };
    if let Some(rest) = rest.strip_prefix(b"NIL ") {
        return Some((Said { has_jmapid: true, ..said }, rest));
    }
    word(rest).map(|(id, rest)| (Said { jmapid: Some(id), has_jmapid: true, ..said }, rest))
}

/// A partition that nothing can be said against.
#[inline(always)]
fn partition(input: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some((b"default ", after)) = input.split_first_chunk() {
        return Some((b"default", after));
    }
    let (partition, after) = word(input)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (partition.len() < 64 && partition.iter().all(plain)).then_some((partition, after))
}

/// `A %(…)`: pairs of bare words, each identifier once, each with known rights. Answers what is between the brackets.
#[inline(always)]
fn acl(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = input.strip_prefix(b"A %(")?;
    if let Some(after) = start.strip_prefix(b")") {
        return Some((b"", after));
    }
    let mut seen: [&[u8]; PAIRS_MAX] = [b""; PAIRS_MAX];
    let mut rest = start;
    for count in 0..PAIRS_MAX {
        let (identifier, after) = word(rest)?;
        if seen.get(..count)?.contains(&identifier) {
            return None;
        }
        *seen.get_mut(count)? = identifier;
        // Most owners have all that 2.3 knew.
        let known = if after.starts_with(b"lrswipkxtecda") { 13 } else { 0 };
        let more = after.get(known..)?.iter().take_while(|byte| is_right(**byte)).count();
        let (rights, after) = after.split_at_checked(known.saturating_add(more))?;
        match after {
            _ if rights.is_empty() => return None,
            [b' ', next @ ..] => rest = next,
            [b')', next @ ..] => {
                let len = start.len().checked_sub(after.len())?;
                return Some((start.get(..len)?, next));
            }
            _ => return None,
        }
    }
    None
}

/// What a byte is: in a name in db form, and in quotes.
const SEPARATOR: u8 = 1;
/// Not let into names, or a sign of a domain.
const NOT_GOOD: u8 = 2;
/// Makes Cyrus write quotes around a string, as the separator does.
const NOT_ATOM: u8 = 4;
const BACKSLASH: u8 = 8;
const QUOTE: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            0x1F => SEPARATOR,
            b'\\' => NOT_GOOD | BACKSLASH,
            b'"' => NOT_GOOD | QUOTE,
            b'^' => NOT_GOOD,
            _ if super::name::GOOD[byte] => 0,
            _ => NOT_GOOD,
        };
        if matches!(byte as u8, 0..=0x1E | b' ' | 0x7F.. | b'{' | b'(' | b')' | b'%' | b'*') {
            classes[byte] |= NOT_ATOM;
        }
        byte += 1;
    }
    classes
};

#[inline(always)]
fn class(byte: u8) -> u8 {
    CLASSES.get(byte as usize).copied().unwrap_or(NOT_GOOD)
}

/// The number of separators of a name without domain that nothing can be said against; `None` for others, and for those
/// of deleted mailboxes.
#[inline(always)]
fn sound_name(name: &[u8]) -> Option<u32> {
    if name.len() > 490 || name.starts_with(super::name::DELETED_PREFIX) {
        return None;
    }
    let mut separators = 0u32;
    let mut flaws = 0;
    // An element must not be empty: neither of two neighbours, and of the ends, may be separators.
    let mut before = SEPARATOR;
    for &byte in name {
        let class = class(byte);
        separators += u32::from(class & SEPARATOR);
        flaws |= (before & class & SEPARATOR) | (class & NOT_GOOD);
        before = class;
    }
    (flaws | (before & SEPARATOR) == 0).then_some(separators)
}

/// The name in a record under a uniqueid, how it is quoted, and what follows the space behind it. Only names whose bytes
/// are good, which a bare word can hold but for the separators, and others that are bare or have none.
#[inline(always)]
fn indexed_name(input: &[u8]) -> Option<(&[u8], Option<bool>, &[u8])> {
    let Some(inner) = input.strip_prefix(b"\"") else {
        let (name, after) = word(input)?;
        return Some((name, name.contains(&0x1F).then_some(false), after));
    };
    let mut seen = 0;
    let mut len = 0usize;
    for &byte in inner {
        let class = class(byte);
        if class & QUOTE != 0 {
            break;
        }
        seen |= class;
        len += 1;
    }
    if seen & BACKSLASH != 0 {
        return None;
    }
    let (name, after) = inner.split_at_checked(len)?;
    let after = after.strip_prefix(b"\" ")?;
    let quoted = (seen & (SEPARATOR | NOT_ATOM) == SEPARATOR && len < 1024).then_some(true);
    (len > 0).then_some((name, quoted, after))
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice;
    use proptest::prelude::*;

    use super::*;
    use crate::finding::Finding;
    use crate::image::Span;
    use crate::record::{Style, check, decode, examine};

    /// What both ways say of a record, and whether it is an ordinary one.
    fn both(key: &[u8], value: &[u8]) -> bool {
        let mut context = Context::new(Style::NEW, |_| false);
        context.now = Some(1_800_000_000);
        let (mut slow, mut fast) = (Vec::<Finding>::new(), Vec::<Finding>::new());
        let (mut counted, mut examined) = (Survey::new(Style::NEW), Survey::new(Style::NEW));
        let decoded = decode(key, value, &Style::NEW);
        check(&decoded, value, &context, Span::at(0, 1), &mut |finding| slow.push(finding));
        counted.push(&decoded, value, &context);
        examine(&mut examined, key, value, &context, Span::at(0, 1), &mut |finding| fast.push(finding));
        let shown = (key.as_bstr(), value.as_bstr());
        assert_eq!(slow, fast, "{shown:?}");
        assert_eq!(format!("{counted:?}"), format!("{examined:?}"), "{shown:?}");
        super::examine(&mut Survey::new(Style::NEW), key, value, &context)
    }

    const ORDINARY: [(&str, &str); 8] = [
        ("Nuser\x1Fa", "%(T e I id1 P default V 5 C 1 F 2 M 1700000000 A %(a lrswipkxtecdan anyone p))"),
        ("Npub", "%(T e I id1 J P-F P p2 V 1600000001 C 10 F 200 M 1700000000 A %())"),
        ("Nuser\x1Fa.b\x1FSub x", "%(T e I id1 J NIL P default V 5 C 1 F 2 M 1700000000 A %(-eve l))"),
        ("Nuser\x1Fr", "%(T er P default S be1.example.com M 1700000000 A %(r lrs))"),
        ("Nuser\x1Fr", "%(T er I NIL J NIL P default S be1.example.com M 1700000000 A %())"),
        ("Iid1", "%(T e N user\x1Fa P default V 5 C 1 F 2 M 1700000000 A %(a lrswipkxtecdan anyone p) H ())"),
        ("Iid1", "%(T e N \"user\x1Fa\" J P-F P default V 5 C 1 F 2 M 1700000000 A %(a lrs) H ())"),
        ("Iid1", "%(T e N \"user\x1Fa\x1Fb c\" P default V 5 C 1 F 2 M 1700000000 A %(a lrs) H ())"),
    ];

    #[test]
    fn ordinary_records_are_recognised_and_counted_alike() {
        for (key, value) in ORDINARY {
            assert!(both(key.as_bytes(), value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn changed_records_are_counted_alike(
            (key, value) in prop::sample::select(&ORDINARY[..]),
            at in any::<prop::sample::Index>(),
            removed in 0usize..4,
            with in prop::sample::select(&[
                "", " ", "\"", "(", ")", "%(", "NIL", "0", "e", "ed ", "J x ", "S b ", "default", "\\", "\x1F", "\x1D", "^", "!",
                "\0", "a lrs ", "Z", "DELETED", "x", "99999999999999999999", "V 0 ", " H (%(N a T ed))",
            ][..]),
            in_key: bool,
        ) {
            let (mut key, mut value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
            let changed = if in_key { &mut key } else { &mut value };
            let at = at.index(changed.len());
            changed.splice(at..(at + removed).min(changed.len()), with.bytes());
            both(&key, &value);
        }
    }
}
