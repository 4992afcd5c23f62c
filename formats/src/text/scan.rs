//! A dump of 2.0 to 3.4 in file order: a line an item, with lines mended where blanks, lost line ends or a reader's buffer
//! spoilt them.

use std::borrow::Cow;
use std::ops::ControlFlow;

use memchr::memchr;

use super::item::{Fault, Item, Items, What};
use super::{lines, rules};
use crate::container::shape;
use crate::image::{Cursor, Line, Lines, Span};
use crate::tile::Kind;

/// What the readers and writers of all releases take of a line at once: a buffer of 16384 bytes with its NUL
/// (`imap/ctl_mboxlist.c`, `do_undump`).
pub const BUFFER_LEN: usize = 16_383;

/// The items of a dump in file order.
pub fn items<'a>(cursor: Cursor<'a>) -> Items<'a> {
    items_from(cursor, 0)
}

/// The items from `start` on, which is the start of a line; their lines are counted from there.
pub fn items_from<'a>(cursor: Cursor<'a>, start: u64) -> Items<'a> {
    Box::new(Scan { lines: Lines::new(cursor.rest(start), start), number: 0, glued: None })
}

/// Where the first line behind `from` starts that no buffer cut off from the one before it.
pub fn boundary(cursor: Cursor<'_>, from: u64) -> Option<u64> {
    let rest = cursor.rest(from);
    let first = memchr(b'\n', rest)?.checked_add(1)?;
    let second = memchr(b'\n', rest.get(first..)?)?;
    let start = if second == BUFFER_LEN { None } else { first.checked_add(second)?.checked_add(1) };
    start.map(|start| from.saturating_add(start as u64)).filter(|&start| start < cursor.len())
}

struct Scan<'a> {
    lines: Lines<'a>,
    number: u64,
    /// The rest of a line in which a second one began.
    glued: Option<Line<'a>>,
}

/// The parts of a line: where its name ends, where its value starts, and what had to be mended for it.
struct Split {
    name: usize,
    value: usize,
    fault: Option<Fault>,
}

impl<'a> Scan<'a> {
    fn split(&self, line: &Line<'a>) -> ControlFlow<Item<'static>, Split> {
        let found = super::name_end(line, self.number);
        let (tab, mendable) = match &found {
            ControlFlow::Continue(tab) => (*tab, true),
            ControlFlow::Break(item) => (usize::MAX, item.fault.is_some_and(|fault| fault.rule == &rules::NO_TAB)),
        };
        let value = tab.saturating_add(1);
        let good = line.body.get(value..).is_some_and(|value| lines::is_value(value) && !lines::is_amid_acl(value));
        let instead = || lines::blanks_for_tab(line.body).filter(|&(name, _)| name < tab);
        if let Some((name, value)) = (mendable && !good).then(instead).flatten() {
            let fault = Fault::new(&rules::BLANKS, "blanks where a TAB belongs");
            return ControlFlow::Continue(Split { name, value, fault: Some(fault) });
        }
        found.map_continue(|name| Split { name, value, fault: None })
    }

    /// The line that was cut off from this one by a buffer, if it is as long as the buffer.
    fn cut_off(&self, line: &Line<'a>) -> Option<Line<'a>> {
        let next = self.lines.clone().next().filter(|_| line.body.len() == BUFFER_LEN && line.terminated)?;
        let tab = memchr(b'\t', next.body).and_then(|tab| tab.checked_add(1));
        let value = tab.and_then(|value| next.body.get(value..));
        let whole = value.is_some_and(|value| lines::is_value(value) && !lines::is_amid_acl(value));
        (!whole && !next.body.contains(&0)).then_some(next)
    }

    fn record(&mut self, line: &Line<'a>, split: &Split) -> Item<'a> {
        let key = line.body.get(..split.name).unwrap_or_default();
        let value = line.body.get(split.value..).unwrap_or_default();
        let value_start = line.start.saturating_add(split.value as u64);
        let mut parts = Parts {
            value: Cow::Borrowed(value),
            value_span: Span::new(value_start, line.body_span().end),
            end: line.span().end,
            fault: split.fault,
        };
        self.trouble(line, value, &mut parts);
        let key_span = Span::at(line.start, key.len() as u64);
        let what = What::Record { key: Cow::Borrowed(key), value: parts.value, key_span, value_span: parts.value_span };
        Item { span: Span::new(line.start, parts.end), number: self.number, what, fault: parts.fault }
    }

    /// What a line's end, or its want of one, does to the value.
    fn trouble(&mut self, line: &Line<'a>, value: &'a [u8], parts: &mut Parts<'a>) {
        if let Some(second) = shape::glued(value).filter(|second| second.start > 0) {
            let head = value.get(..second.start).unwrap_or_default();
            let start = parts.value_span.start.saturating_add(second.start as u64);
            let body = value.get(second.start..).unwrap_or_default();
            self.glued = Some(Line { start, body, terminated: line.terminated });
            parts.value = Cow::Borrowed(head);
            parts.value_span.end = start;
            parts.end = start;
            parts.fault = Some(Fault::new(&rules::GLUED, "another line begins inside this one"));
        } else if let Some(next) = self.cut_off(line) {
            self.lines.next();
            self.number = self.number.saturating_add(1);
            parts.value = Cow::Owned([value, next.body].concat());
            parts.value_span.end = next.body_span().end;
            parts.end = next.span().end;
            parts.fault = Some(Fault::new(&rules::LONG_LINE, "a buffer of 16384 bytes cut the line in two"));
        } else if let Some(shorter) = value.strip_suffix(b"\r") {
            parts.value = Cow::Borrowed(shorter);
            parts.value_span.end = parts.value_span.end.saturating_sub(1);
            parts.fault = parts.fault.or(Some(Fault::new(&rules::CARRIAGE_RETURN, "a CR at the line's end")));
        } else if !line.terminated {
            parts.fault = Some(Fault::new(&rules::TORN, "no LF ends the last line"));
        } else if line.body.len() > BUFFER_LEN {
            parts.fault = Some(Fault::new(&rules::LONG_LINE, "the line is longer than Cyrus reads at once"));
        }
    }
}

struct Parts<'a> {
    value: Cow<'a, [u8]>,
    value_span: Span,
    end: u64,
    fault: Option<Fault>,
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let line = match self.glued.take() {
            Some(line) => line,
            None => {
                self.number = self.number.saturating_add(1);
                self.lines.next()?
            }
        };
        let split = match self.split(&line) {
            ControlFlow::Continue(split) => split,
            ControlFlow::Break(item) => return Some(item),
        };
        let value = line.body.get(split.value..).unwrap_or_default();
        if !lines::is_value(value.strip_suffix(b"\r").unwrap_or(value)) {
            let torn = if line.terminated { Kind::Gap } else { Kind::Torn };
            let fault = Fault::new(&rules::LINE_FORM, "neither a type nor a partition and an ACL follow the name");
            return Some(Item::broken(line.span(), self.number, torn, fault));
        }
        Some(self.record(&line, &split))
    }
}
