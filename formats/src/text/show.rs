//! What `cyr_dbtool FILE FORMAT show` prints: a record a line, `KEY TAB VALUE LF`, nothing escaped.
//!
//! A value that holds LF takes several lines. Where it goes on is told by its own grammar: a dlist goes on until its
//! bracket closes, and a line without TAB can only be the rest of a value.

use std::borrow::Cow;
use std::io::{self, Write};
use std::ops::ControlFlow;

use memchr::memchr;

use super::item::{Fault, Item, Items, What};
use super::rules;
use crate::container::shape;
use crate::image::{Cursor, Line, Lines, Span};

/// A dlist that goes on for more than this many bytes of further lines is taken for one that was cut.
const CONTINUATION_LEN: u64 = 65_536;

/// The records of a `show` dump in file order.
pub fn items<'a>(cursor: Cursor<'a>) -> Items<'a> {
    Box::new(Show { cursor, lines: Lines::new(cursor.all(), 0), number: 0, doubt: None })
}

struct Show<'a> {
    cursor: Cursor<'a>,
    lines: Lines<'a>,
    number: u64,
    /// Behind this offset dlists are again looked for in further lines; in front of it that has failed.
    doubt: Option<u64>,
}

impl<'a> Show<'a> {
    /// The lines that follow, without taking them.
    fn peek(&self) -> Lines<'a> {
        self.lines.clone()
    }

    fn take(&mut self) -> Option<Line<'a>> {
        let line = self.lines.next()?;
        self.number = self.number.saturating_add(1);
        Some(line)
    }

    /// Takes the lines up to `end`.
    fn take_to(&mut self, end: u64) {
        while self.lines.at() < end && self.take().is_some() {}
    }

    /// Where the dlist that starts at `start` and is not closed on its `own` line ends: behind the LF of a further line.
    /// `None` if it ends nowhere.
    fn dlist_end(&mut self, start: u64, own: &[u8]) -> Option<u64> {
        if !own.starts_with(b"%(") || self.doubt.is_some_and(|doubt| start < doubt) {
            return None;
        }
        let limit = Span::at(start, CONTINUATION_LEN.saturating_add(own.len() as u64));
        let bytes = self.cursor.span(Span::new(start, limit.end.min(self.cursor.len())))?;
        let end = shape::dlist_len(bytes).and_then(|len| start.checked_add(len as u64));
        let Some(end) = end.filter(|&end| self.cursor.u8(end) == Some(b'\n')) else {
            self.doubt = Some(limit.end);
            return None;
        };
        Some(end.saturating_add(1))
    }

    /// Where the value goes on to: over lines without TAB, which can't be records.
    fn untabbed_end(&self, line: &Line<'a>) -> Option<u64> {
        let joins = |line: &Line<'_>| line.terminated && is_rest(line.body);
        line.terminated.then(|| self.peek().take_while(joins).last()).flatten().map(|line| line.span().end)
    }
}

/// Whether a line can be the rest of a value: text without TAB.
fn is_rest(body: &[u8]) -> bool {
    memchr(b'\t', body).is_none() && memchr(0, body).is_none()
}

impl<'a> Iterator for Show<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let line = self.take()?;
        let number = self.number;
        let tab = match super::name_end(&line, number) {
            ControlFlow::Continue(tab) => tab,
            ControlFlow::Break(item) => return Some(item),
        };
        let key_span = Span::at(line.start, tab as u64);
        let value_start = key_span.end.saturating_add(1);
        let own = self.cursor.span(Span::new(value_start, line.body_span().end)).unwrap_or_default();
        let closed = shape::dlist_len(own);
        let further = match closed {
            Some(len) if len == own.len() => None,
            Some(_) => self.untabbed_end(&line),
            None => self.dlist_end(value_start, own).or_else(|| self.untabbed_end(&line)),
        };
        let end = further.unwrap_or(line.span().end);
        self.take_to(end);
        let mut value_span = Span::new(value_start, end.saturating_sub(u64::from(line.terminated)));
        let mut value = self.cursor.span(value_span).unwrap_or_default();
        let mut fault = further.map(|_| Fault::new(&rules::CONTINUED, "the value goes on over more than one line"));
        if let Some(shorter) = value.strip_suffix(b"\r") {
            value = shorter;
            value_span.end = value_span.end.saturating_sub(1);
            fault = Some(Fault::new(&rules::CARRIAGE_RETURN, "a CR at the line's end"));
        }
        if !line.terminated {
            fault = Some(Fault::new(&rules::TORN, "no LF ends the last line"));
        }
        let key = Cow::Borrowed(line.body.get(..tab).unwrap_or_default());
        let what = What::Record { key, value: Cow::Borrowed(value), key_span, value_span };
        Some(Item { span: Span::new(line.start, end), number, what, fault })
    }
}

/// Writes a record as `cyr_dbtool … show` does.
///
/// # Errors
/// What the system says to the write.
pub fn write_record(out: &mut dyn Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    out.write_all(key)?;
    out.write_all(b"\t")?;
    out.write_all(value)?;
    out.write_all(b"\n")
}
