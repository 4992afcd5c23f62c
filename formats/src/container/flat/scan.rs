//! The file in physical order: its lines, and what each of them is.

use std::ops::Range;

use bstr::ByteSlice;
use memchr::{memchr, memmem};

use super::layout::{self, KEY_END};
use crate::container::shape;
use crate::image::{Cursor, Line, Lines, Span};

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A key and a value.
    Record,
    /// A line without TAB.
    NoTab,
    /// A line that starts with its TAB.
    NoKey,
    /// The last line, without LF.
    Torn,
    /// A line with NUL bytes, wherever in it.
    Zeroed,
}

/// A line and its parts, as they stand in the file.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The line.
    pub line: Line<'a>,
    /// Its number in the file, from 1.
    pub number: u64,
    /// What it is.
    pub shape: Shape,
    /// What stands in front of its first TAB; everything if there is none. Still escaped.
    pub key: &'a [u8],
    /// What stands behind its first TAB. Still escaped.
    pub value: &'a [u8],
}

impl<'a> Piece<'a> {
    #[inline]
    fn new(line: Line<'a>, number: u64) -> Self {
        let tab = memchr(KEY_END, line.body);
        let (key, value) = match tab.and_then(|tab| line.body.split_at_checked(tab)) {
            Some((key, value)) => (key, value.get(1..).unwrap_or_default()),
            None => (line.body, Default::default()),
        };
        let shape = match tab {
            _ if memchr(0, line.body).is_some() => Shape::Zeroed,
            _ if !line.terminated => Shape::Torn,
            None => Shape::NoTab,
            Some(0) => Shape::NoKey,
            Some(_) => Shape::Record,
        };
        Piece { line, number, shape, key, value }
    }

    /// Whether there is a TAB.
    pub fn has_tab(&self) -> bool {
        self.key.len() < self.line.body.len()
    }

    /// The bytes of the key in the file.
    pub fn key_span(&self) -> Span {
        Span::at(self.line.start, self.key.len() as u64)
    }

    /// The bytes of the value in the file; empty at the line's end if there is no TAB.
    pub fn value_span(&self) -> Span {
        let end = self.line.body_span().end;
        Span::new(end.saturating_sub(self.value.len() as u64), end)
    }

    /// Its bytes from the given place of the body to the given place, as a span of the file.
    pub fn part(&self, range: &Range<usize>) -> Span {
        let at = |index: usize| self.line.start.saturating_add(index as u64);
        Span::new(at(range.start), at(range.end))
    }
}

/// The lines from offset `start` to offset `end` of the file.
pub fn pieces<'a>(cursor: Cursor<'a>, start: u64, end: u64) -> impl Iterator<Item = Piece<'a>> + Clone {
    let bytes = cursor.span(Span::new(start, end.min(cursor.len()))).unwrap_or_default();
    Lines::new(bytes, start).zip(1..).map(|(line, number)| Piece::new(line, number))
}

/// The start of the first line at or behind `offset`; the file's length if there is none.
pub fn line_start(cursor: Cursor<'_>, offset: u64) -> u64 {
    match offset.checked_sub(1) {
        None => 0,
        Some(before) => match memchr(b'\n', cursor.rest(before)) {
            Some(skip) => before.saturating_add(skip as u64).saturating_add(1),
            None => cursor.len(),
        },
    }
}

/// The runs of `body` that are all NUL or free of NUL, in order; `true` for NUL.
pub fn runs(body: &[u8]) -> impl Iterator<Item = (bool, Range<usize>)> + '_ {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        let zero = rest.first() == Some(&0);
        let len = if zero { rest.iter().position(|&b| b != 0) } else { memchr(0, rest) }.unwrap_or(rest.len());
        let start = at;
        at = at.saturating_add(len);
        Some((zero, start..at))
    })
}

/// Where in a line without TAB a dlist begins behind a blank, the TAB having become one: the offset of the blank.
pub fn blank_for_tab(body: &[u8]) -> Option<usize> {
    let blank = memmem::find(body, b" %(").filter(|&at| at > 0)?;
    let value = layout::decode(body.get(blank.checked_add(1)?..)?);
    (shape::dlist_len(&value) == Some(value.len())).then_some(blank)
}

/// A value without the CR, and the blanks behind its end, that editors leave there.
pub fn trimmed(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    match value.trim_end_with(|c| c == ' ') {
        kept if kept.ends_with(b")") || kept.ends_with(b"\t") => kept,
        _ => value,
    }
}

/// Whether a value that the end of the file cuts off looks whole.
pub fn looks_whole(value: &[u8]) -> bool {
    shape::looks_whole(&layout::decode(value))
}
