//! The lines that `ctl_mboxlist -d` of 2.0 to 3.4 prints: five grammars, none of which escapes anything.
//!
//! What stands behind the name is read by [`parse`], whatever the era: a number in front tells the newer ones apart.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use bstr::ByteSlice;
use memchr::{memchr, memchr_iter, memchr2};
use nom::branch::alt;
use nom::bytes::complete::{is_a, tag, take_till, take_till1, take_while1};
use nom::character::complete::{digit1, space1};
use nom::combinator::{map_opt, opt, rest};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use crate::container::shape;

/// A grammar of `ctl_mboxlist -d` before JSON; letters and digits as in `FORMAT.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Era {
    /// `NAME TAB LOCATION TAB ACL`
    D1,
    /// `NAME TAB TYPE SP LOCATION SP ACL`
    D2,
    /// `NAME TAB TYPE SP PARTITION SP ACL`: the server is left out.
    D3,
    /// `NAME TAB TYPE SP [SERVER!]PARTITION SP ACL`
    D4,
    /// As D4, and `>UNIQUEID SP MTIME SP UIDVALIDITY SP FOLDERMODSEQ SP CREATEDMODSEQ SP SPECIALUSE` behind it.
    D5,
}

impl Era {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Era::D1 => "D1",
            Era::D2 => "D2",
            Era::D3 => "D3",
            Era::D4 => "D4",
            Era::D5 => "D5",
        }
    }

    /// The releases that print it.
    pub fn releases(self) -> &'static str {
        match self {
            Era::D1 => "2.0 to 2.2",
            Era::D2 => "2.3 or 2.4",
            Era::D3 => "2.5",
            Era::D4 => "3.0 to 3.4",
            Era::D5 => "development versions between 3.4 and 3.6",
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the types of a dump are numbered; the numbers changed between 3.4 and 3.6 (`imap/mboxlist.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Numbering {
    /// As up to 3.4: REMOTE is 1.
    Old,
    /// As since 3.6: REMOTE is 16.
    New,
    /// No line tells.
    Open,
}

/// What era a dump seems to be of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recognition {
    /// The era to read it as: of those that fit, the one that loses nothing.
    pub era: Era,
    /// The other eras whose dumps can look the same.
    pub also: Vec<Era>,
    /// How types are numbered.
    pub numbering: Numbering,
    /// What was seen.
    pub evidence: String,
}

/// What the values of a dump have in common.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Survey {
    /// Values read.
    pub lines: u64,
    /// With a number in front.
    pub typed: u64,
    /// `location TAB identifier TAB …`
    pub untyped: u64,
    /// With the `>` part.
    pub extra: u64,
    /// With a server in the location.
    pub located: u64,
    /// REMOTE by the old numbers, but without a server.
    pub unlocated: u64,
    /// With the old number for a type that 2.5 brought (calendars and address books), the right `n`, or `(null)`.
    pub since_2_5: u64,
    /// With a type that 3.0 or later brought.
    pub since_3_0: u64,
    /// With a server, and a type that has bit 16 but not bit 1.
    pub located_16: u64,
    /// With a server, and a type that has bit 1.
    pub located_1: u64,
}

impl Survey {
    /// Adds a value.
    pub fn push(&mut self, value: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        let Ok((behind, line)) = line(value) else { return };
        debug_assert!(behind.is_empty());
        let count = |counter: &mut u64, yes: bool| *counter = counter.saturating_add(u64::from(yes));
        let Some(mbtype) = line.mbtype else {
            return count(&mut self.untyped, memchr(b'\t', value).is_some());
        };
        let located = memchr(b'!', line.location).is_some();
        count(&mut self.typed, true);
        count(&mut self.extra, extra_start(line.acl).is_some());
        count(&mut self.located, located);
        count(&mut self.unlocated, !located && mbtype & 1 != 0);
        count(&mut self.since_2_5, mbtype & 0x60 != 0 || line.location.ends_with(NULL) || has_annotate(line.acl));
        count(&mut self.since_3_0, mbtype >= 128);
        count(&mut self.located_16, located && mbtype & 17 == 16);
        count(&mut self.located_1, located && mbtype & 1 == 1);
    }

    /// The era that fits best; `None` if the values are of none.
    pub fn recognise(&self) -> Option<Recognition> {
        let readable = self.typed.saturating_add(self.untyped);
        if readable == 0 || readable.saturating_mul(2) < self.lines {
            return None;
        }
        let (era, also, evidence) = self.era();
        let numbering = match (self.located_16, self.located_1) {
            (0, 0) => Numbering::Open,
            (new, old) if new > old => Numbering::New,
            _ => Numbering::Old,
        };
        Some(Recognition { era, also: also.to_vec(), numbering, evidence: evidence.to_owned() })
    }

    fn era(&self) -> (Era, &'static [Era], &'static str) {
        if self.untyped > self.typed {
            return (Era::D1, &[], "the lines have no type");
        }
        if self.extra.saturating_mul(2) > self.typed {
            return (Era::D5, &[], "`>` and more fields follow the ACL");
        }
        let newer = self.since_2_5 > 0 || self.since_3_0 > 0;
        match (self.located > 0, newer) {
            (true, true) => (Era::D4, &[], "servers, and types or rights that 2.5 brought"),
            (true, false) => (Era::D2, &[Era::D4], "servers, and no type or right newer than 2.4"),
            (false, _) if self.unlocated > 0 => (Era::D3, &[], "remote mailboxes without a server"),
            (false, true) if self.since_3_0 > 0 => (Era::D4, &[], "types that 3.0 brought"),
            (false, true) => (Era::D4, &[Era::D3], "types or rights that 2.5 brought, and no remote mailbox"),
            (false, false) => (Era::D2, &[Era::D3, Era::D4], "no remote mailbox, and no type or right newer than 2.4"),
        }
    }
}

/// Whether an ACL has the right `n`, which 2.5 brought.
fn has_annotate(acl: &[u8]) -> bool {
    acl.split(|&b| b == b'\t').skip(1).step_by(2).any(|rights| memchr(b'n', rights).is_some())
}

/// Recognises the era of a dump by its values, what stands behind the first TAB of each line; `None` if they are of none.
pub fn recognise<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Recognition> {
    let mut survey = Survey::default();
    values.into_iter().for_each(|value| survey.push(value));
    survey.recognise()
}

/// What glibc's `printf` makes of a missing string.
const NULL: &[u8] = b"(null)";

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
struct Parts<'a> {
    mbtype: Option<u32>,
    location: &'a [u8],
    acl: &'a [u8],
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

fn line(input: &[u8]) -> IResult<&[u8], Parts<'_>> {
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
/// four numbers follow counts.
fn extra_start(tail: &[u8]) -> Option<usize> {
    memchr_iter(b'>', tail).filter(|&at| tail.get(at.saturating_add(1)..).is_some_and(is_extra)).last()
}

fn is_extra(text: &[u8]) -> bool {
    let mut words = text.split(|&b| b == b' ').skip(1);
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
    let (acl, last_tab) = match acl.ends_with(b"\t") || tabs % 2 == 0 {
        true => (Cow::Borrowed(acl), false),
        false => (Cow::Owned([kept, b"\t"].concat()), true),
    };
    let odd_acl = memchr_iter(b'\t', &acl).count() % 2 == 1 || !acl.ends_with(b"\t");
    (acl, Mended { last_tab, odd_acl, ..Mended::default() })
}

/// An ACL whose TABs became blanks, if its words are pairs of identifier and rights.
fn blank_pairs(acl: &[u8]) -> Option<Vec<u8>> {
    let words: Vec<&[u8]> = acl.split(|&b| b == b' ').filter(|word| !word.is_empty()).collect();
    let rights = |word: &&[u8]| word.iter().all(|b| b"lrswipkxtecdan0123456789-".contains(b));
    let paired = !words.is_empty() && words.len() % 2 == 0 && words.iter().skip(1).step_by(2).all(rights);
    paired.then(|| words.into_iter().flat_map(|word| [word, b"\t"]).flatten().copied().collect())
}

/// Where in a line, whose first TAB is not where it belongs, the name and the value part: the blanks between them, as
/// the name's end and the value's start.
pub(super) fn blanks_for_tab(body: &[u8]) -> Option<(usize, usize)> {
    memchr_iter(b' ', body).find_map(|blank| {
        let value = blank.checked_add(1)?;
        let tail = body.get(value..)?;
        let name = body.get(..blank)?.trim_ascii_end().len();
        (name > 0 && shape::is_numbered(tail) && typed(tail).is_ok()).then_some((name, value))
    })
}

/// Whether the text behind a line's first TAB can be what a dump has there.
pub(super) fn is_value(value: &[u8]) -> bool {
    shape::is_numbered(value) && typed(value).is_ok()
        || untyped(value).is_ok_and(|(_, parts)| parts.acl.is_empty() || memchr(b'\t', parts.acl).is_some())
}

/// The fields of a line to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlainLine<'a> {
    /// The mailbox's internal name.
    pub name: &'a [u8],
    /// The type, in the numbers of the release that is to read it.
    pub mbtype: u32,
    /// The server; D3 has no place for it.
    pub server: Option<&'a [u8]>,
    /// The partition.
    pub partition: Option<&'a [u8]>,
    /// The ACL, pairs of identifier and rights, each ended by a TAB.
    pub acl: &'a [u8],
    /// What only D5 has; `(null)` and 0 are written if there is none.
    pub extra: Option<Extra<'a>>,
}

/// Why a line can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A name, server, partition or ACL holds a byte that ends the field or the line.
    #[error("a text dump can't hold the {field} of {}: a TAB, a line end, or a blank lies in it", bstr::BStr::new(.name))]
    Unwritable {
        /// Name of the mailbox.
        name: Vec<u8>,
        /// The field.
        field: &'static str,
    },
}

/// Writes a line as `ctl_mboxlist -d` of the era does.
///
/// # Errors
/// See [`WriteError`]; nothing is written unless the system refuses.
pub fn write_line(out: &mut dyn Write, era: Era, line: &PlainLine<'_>) -> Result<(), WriteError> {
    let refused = |field| WriteError::Unwritable { name: line.name.to_vec(), field };
    let words = [("server", line.server), ("partition", line.partition)];
    if line.name.is_empty() || line.name.iter().any(|b| b"\t\n\r\0".contains(b)) {
        return Err(refused("name"));
    }
    if let Some((field, _)) =
        words.iter().find(|(_, word)| word.is_some_and(|w| w.iter().any(|b| b" \t\n\r\0".contains(b))))
    {
        return Err(refused(field));
    }
    if memchr2(b'\n', 0, line.acl).is_some() || memchr(b'\r', line.acl).is_some() {
        return Err(refused("ACL"));
    }
    let mut text = line.name.to_vec();
    text.push(b'\t');
    if era != Era::D1 {
        text.extend(format!("{} ", line.mbtype).as_bytes());
    }
    if let Some(server) = line.server.filter(|_| era != Era::D3) {
        text.extend(server);
        text.push(b'!');
    }
    text.extend(line.partition.unwrap_or(if era > Era::D2 { NULL } else { b"" }));
    text.push(if era == Era::D1 { b'\t' } else { b' ' });
    text.extend(line.acl);
    if era == Era::D5 {
        write_extra(&mut text, &line.extra.unwrap_or_default());
    }
    text.push(b'\n');
    Ok(out.write_all(&text)?)
}

fn write_extra(text: &mut Vec<u8>, extra: &Extra<'_>) {
    text.push(b'>');
    text.extend(extra.uniqueid.unwrap_or(NULL));
    for number in [extra.mtime, extra.uidvalidity, extra.foldermodseq, extra.createdmodseq] {
        text.extend(format!(" {}", number.unwrap_or_default()).as_bytes());
    }
    text.push(b' ');
    text.extend(extra.specialuse.unwrap_or(NULL));
}
