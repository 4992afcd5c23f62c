//! One mailbox of a JSON dump (`ctl_mboxlist -d` of 3.6 and later): its object read, and re-exported, its writing.
//!
//! Members are read with nom, one at a time, so that what is unknown is kept as it stands and a strange member does not
//! cost the others.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use nom::bytes::complete::{tag, take_while};
use nom::character::complete::char;
use nom::combinator::opt;
use nom::error::ErrorKind;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use super::{json_plain, json_usual};
use crate::container::shape;

pub use super::json_write::{
    PlainEntry, PlainHistory, WriteError, Writer, append_entry, append_plain_entry, is_plain, write_entry,
};

/// Pairs of identifier and rights.
pub type Pairs<'a> = Vec<(Cow<'a, [u8]>, Cow<'a, [u8]>)>;

/// The members of a mailbox's object. Strings are borrowed unless they hold escapes; absent and `null` are `None`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JsonFields<'a> {
    /// Internal name; Cyrus ignores it for the name in front of the object.
    pub name: Option<Cow<'a, [u8]>>,
    /// Time of the last change, seconds since 1970; Cyrus ignores it.
    pub mtime: Option<u64>,
    /// The mailbox's UIDVALIDITY.
    pub uidvalidity: Option<u64>,
    /// Modseq of the folder's creation.
    pub createdmodseq: Option<u64>,
    /// Modseq of the folder's last change.
    pub foldermodseq: Option<u64>,
    /// Type letters.
    pub mbtype: Option<Cow<'a, [u8]>>,
    /// The partition.
    pub partition: Option<Cow<'a, [u8]>>,
    /// The server.
    pub server: Option<Cow<'a, [u8]>>,
    /// Pairs of identifier and rights, in the order of the dump.
    pub acl: Option<Pairs<'a>>,
    /// The mailbox's unique id.
    pub uniqueid: Option<Cow<'a, [u8]>>,
    /// Special use.
    pub legacy_specialuse: Option<Cow<'a, [u8]>>,
    /// JMAP id; 3.13 and later.
    pub jmap_id: Option<Cow<'a, [u8]>>,
    /// Former names, newest first.
    pub name_history: Vec<History<'a>>,
    /// Members that no release prints, or whose values are not what they should be: name, and value as it stands.
    pub unknown: Vec<(Cow<'a, [u8]>, &'a [u8])>,
    /// Whether a number stands there as a number: Cyrus prints strings, and takes numbers for missing.
    pub plain_numbers: bool,
}

/// A former name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History<'a> {
    /// Internal name.
    pub name: Option<Cow<'a, [u8]>>,
    /// Time of the change, seconds since 1970.
    pub mtime: Option<u64>,
    /// UIDVALIDITY at that time.
    pub uidvalidity: Option<u64>,
    /// Modseq of the folder's creation.
    pub createdmodseq: Option<u64>,
    /// Modseq of the folder's last change then.
    pub foldermodseq: Option<u64>,
    /// Type letters at that time.
    pub mbtype: Option<Cow<'a, [u8]>>,
    /// The partition at that time.
    pub partition: Option<Cow<'a, [u8]>>,
}

/// An object that is no mailbox's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at byte {at} of the object")]
pub struct Unreadable {
    /// Where, from the object's first byte.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

type Parsed<'a, T> = IResult<&'a [u8], T>;

fn no<T>(input: &[u8]) -> Parsed<'_, T> {
    Err(nom::Err::Error(nom::error::Error::new(input, ErrorKind::Verify)))
}

fn blank(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))(input)
}

/// The inside of a string, with its escapes.
fn string(input: &[u8]) -> Parsed<'_, &[u8]> {
    let Some(inside) = input.strip_prefix(b"\"") else { return no(input) };
    let mut at = 0usize;
    loop {
        let Some(step) = inside.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else { return no(input) };
        at = at.saturating_add(step);
        if inside.get(at) == Some(&b'"') {
            let (body, rest) = inside.split_at_checked(at).unwrap_or_default();
            return Ok((rest.get(1..).unwrap_or_default(), body));
        }
        at = at.saturating_add(2);
    }
}

/// A string without its escapes; one whose escapes mean nothing is kept as it stands.
fn unescaped(inside: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', inside).is_none() {
        return Cow::Borrowed(inside);
    }
    let quoted = [b"\"", inside, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map_or(Cow::Borrowed(inside), |text| Cow::Owned(text.into_bytes()))
}

/// Length of the object or array that `input` starts with, up to its own closing bracket; `None` if it is not closed.
pub(super) fn nested_len(input: &[u8]) -> Option<usize> {
    let (open, close) = match input.first()? {
        b'{' => (b'{', b'}'),
        b'[' => (b'[', b']'),
        _ => return None,
    };
    let (mut rest, mut depth) = (input, 0usize);
    // What stands between strings is short: a search of its own costs more than it saves.
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'"' {
            (_, rest) = json_plain::string(rest).or_else(|| string(rest).ok().map(|(rest, inside)| (inside, rest)))?;
            continue;
        }
        rest = after;
        if byte == open {
            depth = depth.checked_add(1)?;
        } else if byte == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(input.len().saturating_sub(rest.len()));
            }
        }
    }
    None
}

/// Any value, as it stands.
fn value(input: &[u8]) -> Parsed<'_, &[u8]> {
    let len = match input.first() {
        Some(b'"') => string(input).map(|(rest, _)| input.len().saturating_sub(rest.len()))?,
        Some(b'{' | b'[') => match nested_len(input) {
            Some(len) => len,
            None => return no(input),
        },
        _ => input.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')).count(),
    };
    match input.split_at_checked(len) {
        Some((value, rest)) if len > 0 => Ok((rest, value)),
        _ => no(input),
    }
}

/// `"name": value`, and the comma behind it.
fn member(input: &[u8]) -> Parsed<'_, (&[u8], &[u8])> {
    let colon = delimited(blank, char(':'), blank);
    let (input, (name, value)) = (terminated(string, colon), value).parse(input)?;
    let (input, _) = (blank, opt(tag(&b","[..])), blank).parse(input)?;
    Ok((input, (name, value)))
}

/// Visits the members of an object in turn.
fn members<'a>(object: &'a [u8], visit: &mut dyn FnMut(&'a [u8], &'a [u8])) -> Result<(), Unreadable> {
    let at = |rest: &[u8]| object.len().saturating_sub(rest.len());
    let broken = |rest: &[u8], what| Unreadable { at: at(rest), what };
    let (mut rest, _) =
        terminated(char('{'), blank).parse(object).map_err(|_: Broken<'_>| broken(object, "no object"))?;
    loop {
        if let Some(behind) = rest.strip_prefix(b"}") {
            let blank_only = behind.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            return if blank_only { Ok(()) } else { Err(broken(behind, "more behind the object")) };
        }
        let (behind, (name, value)) = member(rest).map_err(|_: Broken<'_>| broken(rest, "no member"))?;
        visit(name, value);
        rest = behind;
    }
}

type Broken<'a> = nom::Err<nom::error::Error<&'a [u8]>>;

/// The elements of an array of objects.
fn objects(array: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = array.strip_prefix(b"[")?;
    let mut found = Vec::new();
    loop {
        (rest, _) = blank(rest).ok()?;
        if rest.starts_with(b"]") {
            return Some(found);
        }
        let (object, behind) = rest.split_at_checked(nested_len(rest).filter(|_| rest.starts_with(b"{"))?)?;
        found.push(object);
        (rest, _) = preceded(blank, opt(tag(&b","[..])))
            .parse(behind)
            .ok()
            .filter(|(rest, _): &(&[u8], _)| rest.len() < array.len())?;
    }
}

/// A string member; `Err` if the value is something else.
fn text(value: &[u8]) -> Result<Option<Cow<'_, [u8]>>, ()> {
    if value == b"null" {
        return Ok(None);
    }
    match string(value) {
        Ok((b"", inside)) => Ok(Some(unescaped(inside))),
        _ => Err(()),
    }
}

/// A number, as a string or as itself; and whether it is the latter.
fn number(value: &[u8]) -> Result<(Option<u64>, bool), ()> {
    let (digits, plain) = match string(value) {
        Ok((b"", inside)) => (inside, false),
        _ => (value, true),
    };
    match shape::leading_number(digits) {
        Some((number, used)) if used > 0 && used == digits.len() => Ok((Some(number), plain)),
        _ if value == b"null" => Ok((None, false)),
        _ => Err(()),
    }
}

/// Pairs of identifier and rights.
fn acl(value: &[u8]) -> Result<Option<Pairs<'_>>, ()> {
    if value == b"null" {
        return Ok(None);
    }
    let (mut pairs, mut good) = (Vec::new(), true);
    members(value, &mut |name, rights| match text(rights) {
        Ok(Some(rights)) => pairs.push((unescaped(name), rights)),
        _ => good = false,
    })
    .map_err(|_| ())?;
    if good { Ok(Some(pairs)) } else { Err(()) }
}

/// Former names; `Err` if the value is no list of objects.
fn history<'a>(value: &'a [u8], plain: &mut bool) -> Result<Vec<History<'a>>, ()> {
    let mut list = Vec::new();
    for object in objects(value).ok_or(())? {
        let mut fields = JsonFields::default();
        let mut good = true;
        members(object, &mut |name, value| good &= fields.scalar(name, value).is_ok()).map_err(|_| ())?;
        *plain |= fields.plain_numbers;
        if !good {
            return Err(());
        }
        let JsonFields { name, mtime, uidvalidity, createdmodseq, foldermodseq, mbtype, partition, .. } = fields;
        list.push(History { name, mtime, uidvalidity, createdmodseq, foldermodseq, mbtype, partition });
    }
    Ok(list)
}

impl<'a> JsonFields<'a> {
    fn push(&mut self, name: &'a [u8], value: &'a [u8]) {
        if self.known(name, value).is_err() {
            self.unknown.push((unescaped(name), value));
        }
    }

    /// Sets the member of that name; `Err` if there is none, or if the value is not of its kind.
    fn known(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), ()> {
        match name {
            b"acl" => self.acl = acl(value)?,
            b"name_history" => self.name_history = history(value, &mut self.plain_numbers)?,
            _ => self.scalar(name, value)?,
        }
        Ok(())
    }

    /// The same, for members that are strings or numbers.
    fn scalar(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), ()> {
        match name {
            b"name" => self.name = text(value)?,
            b"mbtype" => self.mbtype = text(value)?,
            b"partition" => self.partition = text(value)?,
            b"server" => self.server = text(value)?,
            b"uniqueid" => self.uniqueid = text(value)?,
            b"legacy_specialuse" => self.legacy_specialuse = text(value)?,
            b"jmapId" => self.jmap_id = text(value)?,
            b"mtime" | b"uidvalidity" | b"createdmodseq" | b"foldermodseq" => {
                let (number, plain) = number(value)?;
                self.plain_numbers |= plain;
                match name {
                    b"mtime" => self.mtime = number,
                    b"uidvalidity" => self.uidvalidity = number,
                    b"createdmodseq" => self.createdmodseq = number,
                    _ => self.foldermodseq = number,
                }
            }
            _ => return Err(()),
        }
        Ok(())
    }
}

/// Reads the object of one mailbox.
///
/// # Errors
/// [`Unreadable`] if it is no object, or its members are not separated as JSON has it.
pub fn parse(object: &[u8]) -> Result<JsonFields<'_>, Unreadable> {
    if let Some(fields) = json_plain::parse(object) {
        return Ok(fields);
    }
    let mut fields = JsonFields::default();
    members(object, &mut |name, value| fields.push(name, value))?;
    Ok(fields)
}

/// Whether `entry` reads as the object of `name`, and nothing else.
pub fn holds(entry: &[u8], name: &[u8]) -> bool {
    let holds = || {
        let (key, _, used) = entry_name(entry)?;
        let object = entry.get(used..)?;
        let whole = nested_len(object)? == object.len() && parse(object).is_ok();
        Some(whole && key == name)
    };
    json_usual::is_entry(entry, name) || holds() == Some(true)
}

/// The name in front of an object, how many bytes it takes with its quotes, and how many with all up to the object.
pub(super) fn entry_name(input: &[u8]) -> Option<(Cow<'_, [u8]>, usize, usize)> {
    let (behind, name) = string(input).ok()?;
    let colon: Parsed<'_, char> = delimited(blank, char(':'), blank).parse(behind);
    let len = |rest: &[u8]| input.len().checked_sub(rest.len());
    Some((unescaped(name), len(behind)?, len(colon.ok()?.0)?))
}
