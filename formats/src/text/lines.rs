//! The lines that `ctl_mboxlist -d` of 2.0 to 3.4 prints: five grammars, none of which escapes anything.
//!
//! What stands behind the name is read by [`parse`], whatever the era: a number in front tells the newer ones apart.

use std::borrow::Cow;

use bstr::ByteSlice;
use memchr::{memchr, memchr_iter, memchr2};
use nom::branch::alt;
use nom::bytes::complete::{is_a, tag, take_till, take_till1, take_while1};
use nom::character::complete::{digit1, space1};
use nom::combinator::{map_opt, opt, rest};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use crate::container::shape;

pub use super::eras::{Era, Numbering, Recognition, recognise};
pub use super::line_write::{PlainLine, WriteError, write_line};

/// What glibc's `printf` makes of a missing string.
pub(super) const NULL: &[u8] = b"(null)";

/// The fields of a line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LineFields<'a> {
    /// The type as it is numbered in the dump; `None` in D1.
    pub mbtype: Option<u32>,
    /// What stands in front of the location's first `!`.
    pub server: Option<&'a [u8]>,
    /// What stands behind it, or the whole location; `None` if it is missing or `(null)`.
    pub partition: Option<&'a [u8]>,
    /// The ACL, pairs of identifier and rights, each ended by a TAB; borrowed unless it had to be mended.
    pub acl: Cow<'a, [u8]>,
    /// What only D5 has.
    pub extra: Option<Extra<'a>>,
    /// What is not as any Cyrus prints it, and was read all the same.
    pub mended: Mended,
}

/// What was not as any Cyrus prints it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mended {
    /// Blanks stood where TABs belong.
    pub blanks: bool,
    /// The ACL's last TAB was missing, and is added.
    pub last_tab: bool,
    /// The ACL ends with an identifier without rights.
    pub odd_acl: bool,
}

/// The fields that D5 adds; absent where the dump says `(null)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extra<'a> {
    /// The mailbox's unique id.
    pub uniqueid: Option<&'a [u8]>,
    /// Time of the last change, seconds since 1970.
    pub mtime: Option<u64>,
    /// The mailbox's UIDVALIDITY.
    pub uidvalidity: Option<u64>,
    /// Modseq of the folder's last change.
    pub foldermodseq: Option<u64>,
    /// Modseq of the folder's creation.
    pub createdmodseq: Option<u64>,
    /// Special use, such as `\Sent`.
    pub specialuse: Option<&'a [u8]>,
}

/// A value that is no line of any era.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("neither a type nor a partition and an ACL follow the name")]
pub struct Unreadable;

/// A line's three parts, as they stand.
pub(super) struct Parts<'a> {
    pub mbtype: Option<u32>,
    pub location: &'a [u8],
    pub acl: &'a [u8],
}

/// Blanks and TABs.
fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    is_a(&b" \t"[..])(input)
}

/// `TYPE SP LOCATION [SP ACL]`; a run of blanks or one TAB is taken for the space behind the location.
fn typed(input: &[u8]) -> IResult<&[u8], Parts<'_>> {
    let number = map_opt(digit1, |digits| shape::leading_number(digits).and_then(|(n, _)| u32::try_from(n).ok()));
    let location = take_till1(|b| matches!(b, b' ' | b'\t'));
    let (input, (mbtype, location)) = (terminated(number, space1), location).parse(input)?;
    let (input, _) = opt(alt((take_while1(|b| b == b' '), tag(&b"\t"[..])))).parse(input)?;
    let (input, acl) = rest(input)?;
    Ok((input, Parts { mbtype: Some(mbtype), location, acl }))
}

/// `LOCATION TAB ACL`.
fn untyped(input: &[u8]) -> IResult<&[u8], Parts<'_>> {
    let location = take_till1(|b| matches!(b, b' ' | b'\t'));
    let (input, location) = terminated(location, tag(&b"\t"[..])).parse(input)?;
    let (input, acl) = rest(input)?;
    Ok((input, Parts { mbtype: None, location, acl }))
}

pub(super) fn line(input: &[u8]) -> IResult<&[u8], Parts<'_>> {
    alt((typed, untyped)).parse(input)
}

/// ` UNIQUEID SP MTIME SP …` behind the `>`.
fn extra(input: &[u8]) -> IResult<&[u8], Extra<'_>> {
    let mut word = preceded(opt(blanks), take_till(|b| matches!(b, b' ' | b'\t')));
    let (input, uniqueid) = word.parse(input)?;
    let (input, mtime) = word.parse(input)?;
    let (input, uidvalidity) = word.parse(input)?;
    let (input, foldermodseq) = word.parse(input)?;
    let (input, createdmodseq) = word.parse(input)?;
    let (input, specialuse) = preceded(opt(blanks), rest).parse(input)?;
    let number = |text| present(text).and_then(|text| shape::leading_number(text).map(|(n, _)| n));
    let extra = Extra {
        uniqueid: present(uniqueid),
        mtime: number(mtime),
        uidvalidity: number(uidvalidity),
        foldermodseq: number(foldermodseq),
        createdmodseq: number(createdmodseq),
        specialuse: present(specialuse),
    };
    Ok((input, extra))
}

/// A field, unless it is empty or `(null)`.
fn present(field: &[u8]) -> Option<&[u8]> {
    Some(field).filter(|field| !field.is_empty() && *field != NULL)
}

/// Where D5's `>` stands in what follows the location. Rights never hold one, and identifiers hardly do: the last one that
/// a word and four numbers follow counts.
pub(super) fn extra_start(tail: &[u8]) -> Option<usize> {
    memchr_iter(b'>', tail).rfind(|&at| tail.get(at.saturating_add(1)..).is_some_and(is_extra))
}

fn is_extra(text: &[u8]) -> bool {
    let Some(space) = memchr2(b' ', b'>', text).filter(|&at| text.get(at) == Some(&b' ')) else { return false };
    let mut words = text.get(space.saturating_add(1)..).unwrap_or_default().split(|&b| b == b' ');
    let number = |word: &[u8]| word == NULL || (!word.is_empty() && word.iter().all(u8::is_ascii_digit));
    (0..4).all(|_| words.next().is_some_and(number))
}

/// Reads what stands behind a line's first TAB.
///
/// # Errors
/// [`Unreadable`] if no era prints such a line.
pub fn parse(value: &[u8], era: Era) -> Result<LineFields<'_>, Unreadable> {
    let (_, parts) = line(value).map_err(|_| Unreadable)?;
    let (mut tail, mut more) = (parts.acl, None);
    if era == Era::D5
        && let Some((acl, behind)) = extra_start(tail).and_then(|at| tail.split_at_checked(at))
    {
        tail = acl;
        more = behind.get(1..).and_then(|behind| extra(behind).ok()).map(|(_, extra)| extra);
    }
    let bang = memchr(b'!', parts.location).and_then(|bang| parts.location.split_at_checked(bang));
    let (server, partition) = match bang {
        Some((server, partition)) => (Some(server), partition.get(1..).unwrap_or_default()),
        None => (None, parts.location),
    };
    let (acl, mended) = mend_acl(tail);
    Ok(LineFields {
        mbtype: parts.mbtype,
        server: server.and_then(present),
        partition: present(partition),
        acl,
        extra: more,
        mended,
    })
}

/// Makes an ACL of what editors, terminals and mail programs left of one.
fn mend_acl(acl: &[u8]) -> (Cow<'_, [u8]>, Mended) {
    let acl = match acl.trim_end_with(|c| c == ' ') {
        kept if kept.ends_with(b"\t") => kept,
        _ => acl,
    };
    let kept = acl.trim_ascii_end();
    if memchr(b'\t', kept).is_none() {
        if let Some(pairs) = blank_pairs(kept) {
            return (Cow::Owned(pairs), Mended { blanks: true, ..Mended::default() });
        }
        if kept.is_empty() || kept == NULL {
            return (Cow::Borrowed(b""), Mended::default());
        }
    }
    let tabs = memchr_iter(b'\t', acl).count();
    let (acl, last_tab) = match acl.ends_with(b"\t") || tabs.is_multiple_of(2) {
        true => (Cow::Borrowed(acl), false),
        false => (Cow::Owned([kept, b"\t"].concat()), true),
    };
    let odd_acl = !memchr_iter(b'\t', &acl).count().is_multiple_of(2) || !acl.ends_with(b"\t");
    (acl, Mended { last_tab, odd_acl, ..Mended::default() })
}

/// An ACL whose TABs became blanks, if its words are pairs of identifier and rights.
fn blank_pairs(acl: &[u8]) -> Option<Vec<u8>> {
    let words: Vec<&[u8]> = acl.split(|&b| b == b' ').filter(|word| !word.is_empty()).collect();
    let mut rights = words.iter().skip(1).step_by(2);
    let paired = !words.is_empty() && words.len().is_multiple_of(2) && rights.all(|word| is_rights(word));
    paired.then(|| words.into_iter().flat_map(|word| [word, b"\t"]).flatten().copied().collect())
}

/// Where in a line, whose first TAB is not where it belongs, the name and the value part: the blanks between them, as
/// the name's end and the value's start.
pub(super) fn blanks_for_tab(body: &[u8]) -> Option<(usize, usize)> {
    memchr_iter(b' ', body).find_map(|blank| {
        let value = blank.checked_add(1)?;
        let tail = body.get(value..)?;
        if !shape::is_numbered(tail) || typed(tail).is_err() {
            return None;
        }
        let name = body.get(..blank)?.trim_ascii_end().len();
        (name > 0).then_some((name, value))
    })
}

/// Whether the text behind a line's first TAB can be what a dump has there.
pub(super) fn is_value(value: &[u8]) -> bool {
    shape::is_numbered(value) && typed(value).is_ok()
        || untyped(value).is_ok_and(|(_, parts)| parts.acl.is_empty() || memchr(b'\t', parts.acl).is_some())
}

/// Whether that text is rather the middle of an ACL: rights stand in front of its first TAB.
pub(super) fn is_amid_acl(value: &[u8]) -> bool {
    value.split(|&b| b == b'\t').next().is_some_and(|field| !field.is_empty() && is_rights(field))
}

/// Whether a word consists of rights alone.
fn is_rights(word: &[u8]) -> bool {
    word.iter().all(|b| b"lrswipkxtecdan0123456789-".contains(b))
}
