//! The items of a dlist, as Cyrus' fast reader takes them (`imap/dlist.c`, `_parsesax`, since 2.5.0): borrowed, not nested.

use std::borrow::Cow;

use nom::bytes::complete::{tag, take};
use nom::error::ErrorKind;
use nom::{Err, IResult, Parser};

/// What the grammar answers: the rest of the input and what was read.
pub(crate) type Parse<'a, T> = IResult<&'a [u8], T>;

/// Lists in lists deeper than this are refused; Cyrus nests three deep.
const DEPTH_MAX: u32 = 32;

/// How a string is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum Spelling {
    /// `NIL`: no value.
    Nil,
    /// Bare.
    #[default]
    Atom,
    /// `"…"`.
    Quoted,
    /// `{N}CRLF` and N bytes.
    Literal,
    /// `{N+}CRLF` and N bytes.
    LiteralPlus,
    /// No string but a list: `A %(…)`, `H (…)`.
    List,
}

/// One item of a dlist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Item<'a> {
    /// A string.
    Text(Text<'a>),
    /// What stands between `(` and `)`.
    List(&'a [u8]),
    /// What stands between `%(` and `)`.
    Kvlist(&'a [u8]),
}

/// A string of a dlist and how it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) spelling: Spelling,
    /// Without quotes and escapes; borrowed unless there are escapes.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// Whether quotes or literal are spelt in a way that writing it does not repeat.
    pub(crate) odd_spelling: bool,
}

pub(crate) fn fail<T>(input: &[u8]) -> Parse<'_, T> {
    Err(Err::Error(nom::error::Error::new(input, ErrorKind::Fail)))
}

/// Number of bytes in front of the first space: eight at a time, for items are short.
#[inline(always)]
pub(crate) fn word_len(input: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut rest = input;
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight) ^ (ONES * b' ' as u64);
        let zeros = word.wrapping_sub(ONES) & !word & HIGHS;
        if zeros != 0 {
            return input.len().saturating_sub(rest.len()) + (zeros.trailing_zeros() / 8) as usize;
        }
        rest = after;
    }
    let count = rest.iter().take_while(|&&byte| byte != b' ').count();
    input.len().saturating_sub(rest.len()) + count
}

/// A bare word: up to the next space, closing brackets at its end left to the lists around it. May be empty.
#[inline(always)]
pub(crate) fn atom(input: &[u8]) -> Parse<'_, &[u8]> {
    let (mut word, _) = input.split_at_checked(word_len(input)).unwrap_or((input, b""));
    while let [shorter @ .., b')'] = word {
        word = shorter;
    }
    let rest = input.get(word.len()..).unwrap_or_default();
    Ok((rest, word))
}

/// What stands behind the opening quote, up to the closing one; `\` takes the next byte as it is.
fn quoted(input: &[u8]) -> Parse<'_, Text<'_>> {
    let mut escaped = false;
    let mut at = 0usize;
    loop {
        match input.get(at) {
            Some(b'"') => break,
            Some(b'\\') => {
                escaped = true;
                at += 2;
            }
            Some(_) => at += 1,
            None => return fail(input),
        }
    }
    let inner = input.get(..at).unwrap_or_default();
    let bytes = if escaped { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) };
    let rest = input.get(at.saturating_add(1)..).unwrap_or_default();
    let odd_spelling = escaped && needless_escape(inner);
    Ok((rest, Text { spelling: Spelling::Quoted, bytes, odd_spelling }))
}

/// Whether a byte is escaped that needs no escape.
fn needless_escape(inner: &[u8]) -> bool {
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && !matches!(bytes.next(), Some(b'"' | b'\\')) {
            return true;
        }
    }
    false
}

fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&byte) = rest.next() {
        let plain = if byte == b'\\' { rest.next().copied() } else { Some(byte) };
        bytes.extend(plain);
    }
    bytes
}

/// What stands behind the `{` of a literal: its length, its line end and its bytes.
fn literal(input: &[u8]) -> Parse<'_, Text<'_>> {
    let odd_spelling = matches!(input, [b'0', b'0'..=b'9', ..]);
    let (input, len) = nom::character::complete::usize(input)?;
    let (input, plus) = nom::combinator::opt(tag(&b"+"[..])).parse(input)?;
    let (input, _) = tag(&b"}\r\n"[..])(input)?;
    let (input, bytes) = take(len)(input)?;
    let spelling = if plus.is_some() { Spelling::LiteralPlus } else { Spelling::Literal };
    Ok((input, Text { spelling, bytes: Cow::Borrowed(bytes), odd_spelling }))
}

/// A string in any spelling.
#[inline(always)]
pub(crate) fn text(input: &[u8]) -> Parse<'_, Text<'_>> {
    match input.split_first() {
        Some((b'"', rest)) => quoted(rest),
        Some((b'{', rest)) => literal(rest),
        _ => {
            let (rest, word) = atom(input)?;
            let spelling = if word == b"NIL" { Spelling::Nil } else { Spelling::Atom };
            Ok((rest, Text { spelling, bytes: Cow::Borrowed(word), odd_spelling: false }))
        }
    }
}

/// One item. At the end of the input there is none.
#[inline(always)]
pub(crate) fn item(input: &[u8]) -> Parse<'_, Item<'_>> {
    match input {
        [] => fail(input),
        [b'%', b'(', rest @ ..] => enclosed(rest, true).map(|(rest, inner)| (rest, Item::Kvlist(inner))),
        [b'%', ..] => fail(input),
        [b'(', rest @ ..] => enclosed(rest, false).map(|(rest, inner)| (rest, Item::List(inner))),
        _ => text(input).map(|(rest, text)| (rest, Item::Text(text))),
    }
}

/// A key and the space behind it.
#[inline(always)]
pub(crate) fn key(input: &[u8]) -> Parse<'_, Text<'_>> {
    let (rest, key) = text(input)?;
    match rest {
        [b' ', rest @ ..] if key.spelling != Spelling::Nil => Ok((rest, key)),
        _ => fail(input),
    }
}

/// Reads to the closing bracket of a list (or key-value list); answers what is inside.
#[inline]
pub(crate) fn enclosed(input: &[u8], kv: bool) -> Parse<'_, &[u8]> {
    match flat(input, kv) {
        Some(len) => Ok((input.get(len.saturating_add(1)..).unwrap_or_default(), input.get(..len).unwrap_or_default())),
        None => nested(input, kv),
    }
}

/// Number of bytes in front of the closing bracket of a list of bare words, the common case; `None` for all others.
#[inline]
fn flat(input: &[u8], kv: bool) -> Option<usize> {
    let mut at = 0usize;
    let mut is_value = !kv;
    loop {
        let rest = input.get(at..)?;
        match rest.first()? {
            b')' if is_value != kv => return Some(at),
            b'"' | b'{' | b'(' | b'%' | b')' | b' ' => return None,
            _ => {}
        }
        let len = word_len(rest);
        let end = at.checked_add(len)?;
        let (word, _) = rest.split_at_checked(len)?;
        if word.last() == Some(&b')') {
            let brackets = word.iter().rev().take_while(|byte| **byte == b')').count();
            return is_value.then(|| end.checked_sub(brackets)).flatten();
        }
        if end >= input.len() || word == b"NIL" {
            return None;
        }
        at = end.checked_add(1)?;
        is_value = !kv || !is_value;
    }
}

/// Reads to the closing bracket of a list (or key-value list), whatever lists are in it; answers what is inside.
fn nested(input: &[u8], kv: bool) -> Parse<'_, &[u8]> {
    let mut kinds = u64::from(kv);
    let mut depth = 1u32;
    let mut rest = input;
    loop {
        if let [b')', after @ ..] = rest {
            depth -= 1;
            kinds >>= 1;
            if depth == 0 {
                let len = input.len().saturating_sub(rest.len());
                return Ok((after, input.get(..len).unwrap_or_default()));
            }
            rest = separated(after)?;
            continue;
        }
        if kinds & 1 == 1 {
            (rest, _) = key(rest)?;
        }
        let opens = match rest {
            [b'%', b'(', inner @ ..] => Some((inner, 1)),
            [] | [b'%', ..] => return fail(rest),
            [b'(', inner @ ..] => Some((inner, 0)),
            _ => None,
        };
        match opens {
            Some((inner, kind)) if depth < DEPTH_MAX => {
                depth += 1;
                kinds = kinds << 1 | kind;
                rest = inner;
            }
            Some(_) => return fail(rest),
            None => {
                let (after, _) = text(rest)?;
                rest = separated(after)?;
            }
        }
    }
}

/// The rest behind the space that follows an item; a closing bracket may stand there instead.
#[inline(always)]
pub(crate) fn separated(rest: &[u8]) -> Result<&[u8], Err<nom::error::Error<&[u8]>>> {
    match rest {
        [b' ', after @ ..] => Ok(after),
        [b')', ..] => Ok(rest),
        _ => Err(Err::Error(nom::error::Error::new(rest, ErrorKind::Fail))),
    }
}

/// Whether `bytes` can be written bare.
///
/// 0x1F counts as a byte of an atom up to 3.10 and not since 3.12 (`quote_unit_separator`).
pub(crate) fn is_atom(bytes: &[u8], quote_unit_separator: bool) -> bool {
    /// Of each byte, whether it is one of an atom where 0x1F is none, and where it is one.
    const GOOD: [[bool; 2]; 256] = {
        let mut good = [[false; 2]; 256];
        let mut byte = b'!';
        while byte < 0x7F {
            good[byte as usize] = [!matches!(byte, b'{' | b'(' | b')' | b'"' | b'%' | b'*' | b'\\'); 2];
            byte += 1;
        }
        good[0x1F] = [false, true];
        good
    };
    let one = usize::from(!quote_unit_separator);
    // Atoms are short, and most strings are atoms: to look at all bytes takes less than to ask after each.
    let all = |bytes: &[u8]| bytes.iter().fold(true, |all, &byte| all & GOOD[usize::from(byte)][one]);
    (1..1024).contains(&bytes.len()) && bytes != b"NIL" && all(bytes)
}

/// Whether `bytes` can be written between quotes.
pub(crate) fn is_quotable(bytes: &[u8]) -> bool {
    bytes.len() < 1024 && !bytes.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n' | b'"' | b'%' | b'\\' | 0x80..))
}

/// The spelling that Cyrus' writer chooses (`imap/dlist.c`, `dlist_printbuf` and `prot_printastring`).
pub(crate) fn spelling(bytes: &[u8], quote_unit_separator: bool) -> Spelling {
    if is_atom(bytes, quote_unit_separator) {
        Spelling::Atom
    } else if is_quotable(bytes) {
        Spelling::Quoted
    } else {
        Spelling::Literal
    }
}

/// Writes a string in `spelling`; quotes get the escapes they need.
pub(crate) fn write_text(out: &mut Vec<u8>, bytes: &[u8], spelling: Spelling) {
    match spelling {
        Spelling::Nil => out.extend_from_slice(b"NIL"),
        Spelling::Atom | Spelling::List => out.extend_from_slice(bytes),
        Spelling::Quoted => {
            out.push(b'"');
            for &byte in bytes {
                if byte == b'"' || byte == b'\\' {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
        Spelling::Literal | Spelling::LiteralPlus => {
            let plus = if spelling == Spelling::LiteralPlus { "+" } else { "" };
            out.extend_from_slice(format!("{{{}{plus}}}\r\n", bytes.len()).as_bytes());
            out.extend_from_slice(bytes);
        }
    }
}

/// Whether Cyrus' reader takes these bytes back from an atom as they are.
pub(crate) fn is_atom_for_reader(bytes: &[u8]) -> bool {
    !matches!(bytes, [] | [b'"' | b'{' | b'(' | b'%', ..] | [.., b')'] | b"NIL") && !bytes.contains(&b' ')
}
