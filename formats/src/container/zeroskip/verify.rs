//! Checks every rule of the format, file by file.

use std::cmp::Ordering;

use bstr::ByteSlice;

use super::directory::{DOT_NAME, Directory, File, Named, Role};
use super::layout::{Checked, Entry, HEADER_LEN, Placed, uuid_text};
use super::rules;
use super::scan::Item;
use crate::container::{Depth, KeyOrder, OrderTally};
use crate::finding::{Finding, Rule, Sink};
use crate::image::{Cursor, Part, Span};

/// Checks all files; see [`Database::verify`](crate::container::Database::verify).
pub fn verify(directory: &Directory<'_>, depth: Depth, sink: &mut Sink<'_>) {
    for file in &directory.files {
        header(directory, file, sink);
    }
    if !directory.is_lone {
        dot(directory, sink);
        files(directory, sink);
    }
    if depth == Depth::Header {
        return;
    }
    for file in &directory.files {
        Walk::new(file, sink).file();
    }
}

fn report(sink: &mut Sink<'_>, rule: &'static Rule, part: &Part<'_>, span: Span, message: String) {
    let message = if part.name.is_empty() { message } else { format!("{}: {message}", part.name) };
    let end = part.span().end;
    sink(Finding::new(rule, Span::new(span.start.min(end), span.end.min(end)), message));
}

fn header(directory: &Directory<'_>, file: &File<'_>, sink: &mut Sink<'_>) {
    let part = &file.part;
    let at = |offset: u64, len: u64| Span::at(part.start.saturating_add(offset), len);
    let len = file.cursor().len();
    let Some(header) = &file.header else {
        // A data file of no bytes is one that was just made.
        match len {
            0 => {}
            len if len < HEADER_LEN => {
                report(sink, &rules::HEADER_CUT, part, at(0, len), format!("{len} bytes of a header"))
            }
            _ => report(sink, &rules::SIGNATURE, part, at(0, 8), "no signature".into()),
        }
        return;
    };
    if header.version != 1 {
        report(sink, &rules::VERSION, part, at(8, 4), format!("version {}", header.version));
    }
    match header.checked {
        Checked::Right => {}
        Checked::OtherHost => other_host(sink, part, at(36, 4), "the header"),
        Checked::Wrong => report(sink, &rules::HEADER_SUM, part, at(36, 4), "the sum of the header is wrong".into()),
    }
    let Some(named) = Named::parse(&part.name) else { return };
    // Cyrus 3.10.3 leaves the identifier in the header of its first file zero.
    if header.uuid != [0; 16] && named.uuid != uuid_text(&header.uuid) {
        let message = format!("the header says {}", uuid_text(&header.uuid));
        report(sink, &rules::UUID, part, at(12, 16), message);
    }
    let range = (named.start, named.end.unwrap_or(named.start));
    if (header.start, header.end) != range && !directory.is_lone {
        let message = format!("the header says {} to {}", header.start, header.end);
        report(sink, &rules::INDEXES, part, at(28, 8), message);
    }
}

fn other_host(sink: &mut Sink<'_>, part: &Part<'_>, span: Span, what: &str) {
    let message = format!("the sum of {what} is that of a host of the other order of bytes");
    report(sink, &rules::OTHER_HOST, part, span, message);
}

fn dot(directory: &Directory<'_>, sink: &mut Sink<'_>) {
    let Some((part, dot)) = &directory.dot else {
        return sink(Finding::new(
            &rules::NO_DOT,
            Span::default(),
            "there is no .zsdb, which says which file is active",
        ));
    };
    let at = |offset: u64, len: u64| Span::at(part.start.saturating_add(offset), len);
    let Some(dot) = dot else {
        return report(sink, &rules::DOT, part, part.span(), "it can't be read".into());
    };
    match dot.checked {
        Checked::Right => {}
        Checked::OtherHost => other_host(sink, part, at(57, 4), DOT_NAME),
        Checked::Wrong => report(sink, &rules::DOT, part, at(57, 4), "its sum is wrong".into()),
    }
    let names = |file: &File<'_>| Named::parse(&file.part.name).is_none_or(|named| named.uuid.as_bytes() == dot.uuid);
    if !directory.files.iter().all(names) {
        let message = format!("it names {}, and there are files of another database", dot.uuid.as_bstr());
        report(sink, &rules::UUID, part, at(16, 37), message);
    }
    let active = directory.files.iter().find(|file| file.role == Role::Active && file.range.0 == dot.index);
    match active {
        None => {
            report(sink, &rules::DOT_INDEX, part, at(53, 4), format!("no file has index {}, the active one", dot.index))
        }
        Some(file) if dot.offset > file.cursor().len() => {
            let message = format!("the active file had {} bytes, and has {} now", dot.offset, file.cursor().len());
            report(sink, &rules::DOT_OFFSET, part, at(8, 8), message);
        }
        Some(_) => {}
    }
}

/// Which files there are.
fn files(directory: &Directory<'_>, sink: &mut Sink<'_>) {
    let active: Vec<&File<'_>> = directory.files.iter().filter(|file| file.role == Role::Active).collect();
    match active.as_slice() {
        [_] => {}
        [] => sink(Finding::new(&rules::ACTIVE, Span::default(), "there is no active file")),
        [_, second, ..] => {
            let message = format!("one of {} active files", active.len());
            report(sink, &rules::ACTIVE, &second.part, second.part.span(), message);
        }
    }
    let mut next: Option<u32> = None;
    for file in directory.counting() {
        if let Some(next) = next.filter(|&next| next != file.range.0) {
            let message = format!("it begins with index {}, and {next} comes next", file.range.0);
            report(sink, &rules::MISSING_FILE, &file.part, Span::at(file.part.start, HEADER_LEN), message);
        }
        next = file.range.1.checked_add(1);
    }
    for file in directory.files.iter().filter(|file| file.superseded) {
        let message =
            format!("indexes {} to {} are in another file too, which is read instead", file.range.0, file.range.1);
        report(sink, &rules::OVERLAP, &file.part, Span::at(file.part.start, HEADER_LEN), message);
    }
    for lock in directory.parts.iter().filter(|part| part.name.ends_with(".lock")) {
        report(sink, &rules::LOCK, lock, lock.span(), "a lock file".into());
    }
}

/// The records of one file.
struct Walk<'w, 'a, 's, 'k> {
    file: &'w File<'a>,
    sink: &'s mut Sink<'k>,
    /// Entries and damage since the last commit: where they begin and end, and whether they are deletions.
    open: Vec<(Span, bool)>,
    damaged: bool,
    tally: OrderTally,
    before: Option<(&'a [u8], u64)>,
    /// Offsets within the file of all entries, for the index of a packed file.
    offsets: Vec<u64>,
}

impl<'w, 'a, 's, 'k> Walk<'w, 'a, 's, 'k> {
    fn new(file: &'w File<'a>, sink: &'s mut Sink<'k>) -> Self {
        let tally = OrderTally::default();
        Walk { file, sink, open: Vec::new(), damaged: false, tally, before: None, offsets: Vec::new() }
    }

    fn report(&mut self, rule: &'static Rule, span: Span, message: impl Into<String>) {
        report(self.sink, rule, &self.file.part, span, message.into());
    }

    fn file(mut self) {
        let packed = self.file.role == Role::Packed;
        let mut ended = false;
        for item in self.file.scan() {
            match item {
                Item::Entry(placed) => self.entry(&placed),
                Item::Commit(_, span, covered, checked) => self.commit(span, covered, checked),
                Item::Zeros(span) => {
                    self.damaged = true;
                    self.report(&rules::ZEROS, span, format!("{} zero bytes", span.len()));
                }
                Item::Torn(span) => {
                    self.damaged = true;
                    self.report(&rules::TORN, span, "the last record is cut off");
                }
                Item::Gap(span, broken) => {
                    self.damaged = true;
                    self.report(&rules::GARBAGE, span, format!("{} bytes are nothing known ({broken:?})", span.len()));
                }
                Item::Index(span) => self.index(span),
                Item::Final(_, span, checked) => {
                    ended = true;
                    self.sum(&rules::PACKED_END, span, checked, "the index");
                }
            }
        }
        if let (Some(first), Some(last)) = (self.open.first(), self.open.last()) {
            let span = Span::new(first.0.start, last.0.end);
            let message = format!("{} changes have no commit behind them", self.open.len());
            self.report(&rules::UNCOMMITTED, span, message);
        }
        if packed && !ended {
            let end = self.file.part.span().end;
            self.report(
                &rules::PACKED_END,
                Span::new(end.saturating_sub(8), end),
                "the file does not end with its index",
            );
        }
        self.order();
    }

    fn entry(&mut self, placed: &Placed<'a>) {
        let (key, is_deletion, linked) = match placed.entry {
            Entry::Add { key, linked, .. } => (key, false, linked),
            Entry::Delete { key } => (key, true, true),
            Entry::Commit(_) => return,
        };
        if !linked {
            let span = Span::at(placed.span.start, 24);
            self.report(&rules::VALUE_OFFSET, span, format!("{} names another place for its value", key.as_bstr()));
        }
        if !placed.filled {
            self.report(
                &rules::FILL,
                placed.span,
                format!("{} is filled up with other bytes than zeros", key.as_bstr()),
            );
        }
        self.open.push((placed.span, is_deletion));
        if self.file.role == Role::Packed {
            self.offsets.push(placed.span.start.saturating_sub(self.file.part.start));
            let this = (key, placed.span.start);
            if let Some(before) = self.before {
                self.tally.push(before, this);
            }
            self.before = Some(this);
        }
    }

    fn commit(&mut self, span: Span, covered: Option<Span>, checked: Checked) {
        let open = std::mem::take(&mut self.open);
        let damaged = std::mem::take(&mut self.damaged);
        self.sum(&rules::COMMIT_SUM, span, checked, "what it commits");
        let Some(covered) = covered else {
            return self.report(&rules::COVERAGE, span, "the commit would begin in front of the first record");
        };
        let at = |start: u64| open.binary_search_by_key(&start, |(span, _)| span.start);
        let first = at(covered.start).unwrap_or_else(|next| next);
        // Each deletion arms the sum anew, so those in front of the last one of a transaction stand outside.
        let outside = open.get(..first).unwrap_or_default().iter().any(|(_, is_deletion)| !is_deletion);
        let cut = at(covered.start).is_err();
        if !damaged && (outside || cut) {
            let message =
                format!("the commit covers the {} bytes in front of it, which is not what stands there", covered.len());
            self.report(&rules::COVERAGE, span, message);
        }
    }

    fn sum(&mut self, rule: &'static Rule, span: Span, checked: Checked, what: &str) {
        match checked {
            Checked::Right => {}
            Checked::OtherHost => other_host(self.sink, &self.file.part, span, what),
            Checked::Wrong => self.report(rule, span, format!("the sum of {what} is wrong")),
        }
    }

    fn index(&mut self, span: Span) {
        let cursor: Cursor<'_> = self.file.cursor();
        let local = span.start.saturating_sub(self.file.part.start);
        let count = cursor.be_u64(local).unwrap_or_default();
        let entries = (span.len() / 8).saturating_sub(1);
        let offset = |n: u64| cursor.be_u64(local.saturating_add(8).saturating_add(n.saturating_mul(8)));
        let offsets = std::mem::take(&mut self.offsets);
        let known = offsets.len() as u64;
        if count != entries || count != known {
            let message = format!("the index counts {count} records and has {entries}, and the file holds {known}");
            return self.report(&rules::PACKED_INDEX, span, message);
        }
        let wrong = offsets.iter().zip(0..).find(|(at, n)| offset(*n) != Some(**at));
        if let Some((at, n)) = wrong {
            let entry = Span::at(span.start.saturating_add(8).saturating_add(n * 8), 8);
            self.report(&rules::PACKED_INDEX, entry, format!("the index does not name the record at offset {at}"));
        }
    }

    fn order(&mut self) {
        let misfits = [KeyOrder::Unsigned, KeyOrder::Mbox].map(|order| self.tally.misfit(order));
        if let [Some(unsigned), Some(mbox)] = misfits {
            let same = unsigned.second.cmp(&mbox.second) == Ordering::Equal;
            self.report(
                &rules::PACKED_ORDER,
                Span::at(unsigned.second, 8),
                "this key does not ascend from the one in front of it",
            );
            if !same {
                self.report(&rules::PACKED_ORDER, Span::at(mbox.second, 8), "nor does this one in mailbox order");
            }
        }
    }
}
