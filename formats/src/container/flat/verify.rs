//! Checks every rule of the format in one pass, side by side; a second one says what is wrong, and a third looks for
//! duplicates in files that are out of order.

use std::cell::Cell;
use std::cmp::Ordering;

use bstr::ByteSlice;
use memchr::memchr;
use rayon::prelude::*;

use super::layout::{self, Style};
use super::rules;
use super::scan::{self, Piece, Shape};
use crate::container::shape::{self, Verdict};
use crate::container::{Depth, KeyOrder};
use crate::finding::{Finding, Rule, Sink};
use crate::image::{Cursor, Span};

/// What the magics of all other engines begin with.
pub(super) const FOREIGN: [&[u8]; 3] = [b"\xA1\x02\x8B\x0D", b"PIKSOREZ", b"ZEROSKIP"];

/// Checks the whole file; see [`Database::verify`](crate::container::Database::verify).
pub fn verify(cursor: Cursor<'_>, depth: Depth, sink: &mut Sink<'_>) {
    head(cursor, sink);
    if depth == Depth::Header || is_sound(cursor) {
        return;
    }
    let mut pass = Pass { sink, before: None, in_order: true, styles: Styles::default() };
    for piece in scan::pieces(cursor, 0, cursor.len()) {
        pass.piece(&piece);
    }
    let Pass { in_order, styles, .. } = pass;
    styles.judge(sink);
    if !in_order {
        far_duplicates(cursor, sink);
    }
}

/// Bytes of a file for which one part is worth while.
const PART_LEN: usize = 1 << 20;

/// Whether no line gives anything to report, found side by side; where one does, one pass in order says what.
fn is_sound(cursor: Cursor<'_>) -> bool {
    let mut cuts: Vec<u64> = (0..cursor.len()).step_by(PART_LEN).map(|at| scan::line_start(cursor, at)).collect();
    cuts.push(cursor.len());
    cuts.dedup();
    let parts = cuts.par_windows(2).map(|cut| match *cut {
        [start, end] => Part::read(cursor, start, end),
        _ => None,
    });
    let Some(parts) = parts.collect::<Option<Vec<Part<'_>>>>() else { return false };
    let follow = parts.windows(2).all(|pair| match pair {
        [one, next] => KeyOrder::Mbox.compare(one.last, next.first) == Ordering::Less,
        _ => false,
    });
    let raw = parts.iter().any(|part| part.raw);
    follow && !(raw && parts.iter().any(|part| part.escaped))
}

/// Whole lines with nothing to report.
pub(super) struct Part<'a> {
    /// Number of lines.
    pub lines: u64,
    /// The key of the first line.
    pub first: &'a [u8],
    /// The key of the last one.
    pub last: &'a [u8],
    /// Whether there are raw TABs in values.
    pub raw: bool,
    /// Whether there are escaped ones.
    pub escaped: bool,
}

impl<'a> Part<'a> {
    /// Reads the lines from `start` to `end`; `None` as soon as one is worth a finding, or if there is none.
    pub(super) fn read(cursor: Cursor<'a>, start: u64, end: u64) -> Option<Self> {
        let found = Cell::new(false);
        let mut sink = |_| found.set(true);
        let plain = !shape::holds_special(cursor.span(Span::new(start, end))?);
        let mut pass = Pass { sink: &mut sink, before: None, in_order: true, styles: Styles::default() };
        let (mut first, mut lines) = (None, 0u64);
        for piece in scan::pieces(cursor, start, end) {
            lines = lines.saturating_add(1);
            match plain && is_plain(&piece) {
                true => pass.follow(&piece),
                false => pass.piece(&piece),
            }
            if found.get() {
                return None;
            }
            first.get_or_insert(piece.key);
        }
        let Pass { sink, before, styles, .. } = pass;
        styles.judge(sink);
        let (raw, escaped) = (styles.raw.count > 0, styles.escaped.count > 0);
        (!found.get()).then_some(Part { lines, first: first?, last: before?.key, raw, escaped })
    }
}

/// Whether a line that [holds nothing special](shape::holds_special) gives nothing to report but where it stands.
fn is_plain(piece: &Piece<'_>) -> bool {
    let record = piece.shape == Shape::Record && memchr(layout::KEY_END, piece.value).is_none();
    record && shape::is_plain_dlist(piece.value)
}

/// What can be said without reading lines.
fn head(cursor: Cursor<'_>, sink: &mut Sink<'_>) {
    let whole = Span::new(0, cursor.len());
    if cursor.is_empty() {
        sink(Finding::new(&rules::EMPTY, whole, "the file holds no record at all"));
    }
    if let Some(magic) = FOREIGN.iter().find(|magic| cursor.all().starts_with(magic)) {
        let span = Span::at(0, magic.len() as u64);
        sink(Finding::new(&rules::FOREIGN_MAGIC, span, "the file begins with the magic of another engine"));
    }
    if cursor.len() > layout::MAX_FILE_LEN {
        let span = Span::new(layout::MAX_FILE_LEN, cursor.len());
        let message = format!("the file has {} bytes, {} more than lookups reach", cursor.len(), span.len());
        sink(Finding::new(&rules::TOO_LARGE, span, message));
    }
}

struct Pass<'a, 's, 'k> {
    sink: &'s mut Sink<'k>,
    /// The record in front.
    before: Option<Piece<'a>>,
    in_order: bool,
    styles: Styles,
}

impl<'a> Pass<'a, '_, '_> {
    fn report(&mut self, rule: &'static Rule, span: Span, piece: &Piece<'_>, what: impl std::fmt::Display) {
        (self.sink)(Finding::new(rule, span, format!("line {}: {what}", piece.number)));
    }

    fn piece(&mut self, piece: &Piece<'a>) {
        let span = piece.line.span();
        match piece.shape {
            Shape::Record => self.record(piece),
            Shape::NoTab => self.report(&rules::NO_TAB, span, piece, "no TAB ends the key"),
            Shape::NoKey => self.report(&rules::NO_KEY, span, piece, "the key is empty"),
            Shape::Torn => self.torn(piece),
            Shape::Zeroed => self.zeroed(piece),
        }
        if matches!(piece.shape, Shape::Record | Shape::NoTab | Shape::NoKey | Shape::Torn) {
            self.odd_bytes(piece);
        }
    }

    fn torn(&mut self, piece: &Piece<'a>) {
        let whole = if scan::looks_whole(piece.value) { ", but its value looks whole" } else { "" };
        let key = piece.key.as_bstr();
        self.report(&rules::TORN, piece.line.span(), piece, format_args!("{key}: no LF ends it{whole}"));
    }

    fn zeroed(&mut self, piece: &Piece<'a>) {
        for (_, range) in scan::runs(piece.line.body).filter(|(zero, _)| *zero) {
            let span = piece.part(&range);
            let len = span.len();
            self.report(&rules::NUL, span, piece, format_args!("{len} NUL byte{}", if len == 1 { "" } else { "s" }));
        }
        if !piece.line.terminated && !piece.line.body.ends_with(b"\0") {
            self.report(&rules::TORN, piece.line.span(), piece, "no LF ends it");
        }
    }

    /// CR, and 0xFF that escapes nothing.
    fn odd_bytes(&mut self, piece: &Piece<'a>) {
        let body = piece.line.body;
        if layout::first_odd(body).is_none() {
            return;
        }
        if let Some(at) = memchr(b'\r', body) {
            let span = piece.part(&(at..at.saturating_add(1)));
            self.report(&rules::CARRIAGE_RETURN, span, piece, "a raw CR");
        }
        let bad_key = layout::bad_escape(piece.key).map(|at| (piece.key_span(), at));
        let bad = bad_key.or_else(|| layout::bad_escape(piece.value).map(|at| (piece.value_span(), at)));
        if let Some((span, at)) = bad {
            let at = span.start.saturating_add(at as u64);
            let message = "a byte 0xFF that escapes nothing";
            self.report(&rules::ESCAPE, Span::at(at, 1), piece, message);
        }
    }

    /// Holds a record against the one in front.
    fn follow(&mut self, piece: &Piece<'a>) {
        if let Some(before) = self.before.replace(*piece) {
            self.pair(&before, piece);
        }
    }

    fn record(&mut self, piece: &Piece<'a>) {
        self.follow(piece);
        if layout::has_controls(&layout::decode(piece.key)) {
            let odd = "a key with control bytes";
            self.report(&rules::ODD_KEY, piece.key_span(), piece, odd);
        }
        self.value(piece);
        self.styles.push(piece);
    }

    fn pair(&mut self, before: &Piece<'a>, piece: &Piece<'a>) {
        match KeyOrder::Mbox.compare(before.key, piece.key) {
            Ordering::Less => {}
            Ordering::Equal => {
                let key = piece.key.as_bstr();
                let message = format_args!("{key}: the line in front has the same key");
                self.report(&rules::DUPLICATE, piece.line.span(), piece, message);
            }
            Ordering::Greater => {
                self.in_order = false;
                let (first, second) = (before.key.as_bstr(), piece.key.as_bstr());
                let message = format_args!("{second} stands behind {first}, and belongs in front of it");
                self.report(&rules::ORDER, piece.line.span(), piece, message);
            }
        }
    }

    fn value(&mut self, piece: &Piece<'a>) {
        let value = piece.value;
        let trimmed = scan::trimmed(value);
        if shape::glued(value).is_none() && shape::judge(&layout::decode(trimmed)) == Verdict::Spoilt {
            self.report(&rules::SPOILT_VALUE, piece.value_span(), piece, "the value does not end as it begins");
        }
        if let Some(key) = shape::glued(value) {
            let start = piece.value_span().start.saturating_add(key.start as u64);
            let span = Span::new(start, piece.line.span().end);
            let name = value.get(key).unwrap_or_default().as_bstr();
            self.report(&rules::GLUED, span, piece, format_args!("a second record begins inside it: {name}"));
        }
        let kept = trimmed.len();
        if kept < value.len() && !value.ends_with(b"\r") {
            let end = piece.value_span().end;
            let span = Span::new(end.saturating_sub(value.len().saturating_sub(kept) as u64), end);
            self.report(&rules::TRAILING_BLANKS, span, piece, "blanks behind the value");
        }
    }
}

/// The first lines of each style, and how many there are.
#[derive(Default)]
struct Styles {
    raw: Seen,
    escaped: Seen,
    escaped_acl: Seen,
    untyped: Seen,
}

/// How many lines there are of a kind, and the first of them.
#[derive(Default)]
struct Seen {
    count: u64,
    first: Option<(Span, u64)>,
}

impl Seen {
    fn push(&mut self, piece: &Piece<'_>) {
        self.count = self.count.saturating_add(1);
        self.first.get_or_insert((piece.line.span(), piece.number));
    }

    fn judge(&self, rule: &'static Rule, what: &str, sink: &mut Sink<'_>) {
        if let Some((span, number)) = self.first {
            let more = match self.count {
                1 => String::new(),
                count => format!(" ({count} such lines)"),
            };
            sink(Finding::new(rule, span, format!("line {number}: {what}{more}")));
        }
    }
}

impl Styles {
    #[inline]
    fn push(&mut self, piece: &Piece<'_>) {
        if piece.value.starts_with(b"%(") && memchr(layout::ESCAPE, piece.value).is_none() {
            return;
        }
        match style(piece.value) {
            Some(Style::Raw) => self.raw.push(piece),
            Some(Style::Escaped) => self.escaped.push(piece),
            None => {}
        }
        if layout::has_escaped_tab(piece.value) && shape::is_numbered(piece.value) {
            self.escaped_acl.push(piece);
        }
        if is_untyped(piece.value) {
            self.untyped.push(piece);
        }
    }

    fn judge(&self, sink: &mut Sink<'_>) {
        let fewer = if self.raw.count <= self.escaped.count { &self.raw } else { &self.escaped };
        if self.raw.count > 0 && self.escaped.count > 0 {
            let style = if self.raw.count <= self.escaped.count { "raw" } else { "escaped" };
            fewer.judge(&rules::MIXED_STYLE, &format!("the TABs of the value are {style}, of others not"), sink);
        }
        self.escaped_acl.judge(&rules::ESCAPED_ACL, "the TABs of the ACL are escaped", sink);
        self.untyped.judge(&rules::DUMP_LINES, "partition and ACL, but no type in front of them", sink);
    }
}

/// How the TABs of a value are written, if it has any.
pub(super) fn style(value: &[u8]) -> Option<Style> {
    if memchr(layout::KEY_END, value).is_some() {
        return Some(Style::Raw);
    }
    layout::has_escaped_tab(value).then_some(Style::Escaped)
}

/// Whether a value is `partition TAB identifier TAB rights TAB`.
fn is_untyped(value: &[u8]) -> bool {
    let mut fields = value.split(|&b| b == layout::KEY_END);
    let location = fields.next().is_some_and(|first| !first.is_empty() && memchr(b' ', first).is_none());
    location && !shape::is_record(value) && fields.count() >= 3 && value.ends_with(b"\t")
}

/// Reports keys on two lines that do not stand side by side; needs eight bytes a line.
fn far_duplicates(cursor: Cursor<'_>, sink: &mut Sink<'_>) {
    let from = |start| scan::pieces(cursor, start, cursor.len()).filter(|piece| piece.shape == Shape::Record);
    let key = |start| from(start).next().map_or(&[][..], |piece| piece.key);
    let mut starts: Vec<u64> = from(0).map(|piece| piece.line.start).collect();
    starts.sort_unstable_by(|&a, &b| key(a).cmp(key(b)).then(a.cmp(&b)));
    for pair in starts.windows(2) {
        let &[first, second] = pair else { continue };
        let beside = || from(first).nth(1).is_some_and(|next| next.line.start == second);
        if key(first) != key(second) || beside() {
            continue;
        }
        if let Some(piece) = from(second).next() {
            let message = format!("{}: the line at 0x{first:X} has the same key", piece.key.as_bstr());
            sink(Finding::new(&rules::DUPLICATE, piece.line.span(), message));
        }
    }
}
