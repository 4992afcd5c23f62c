//! Says what is wrong with a file that could not be proven sound: reads it in order, holds every version of a key against
//! its ancestor, then every pointer against what was read.

use super::file::File;
use super::graph;
use super::layout::{ALIGN, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, MARK_LEN, SHORT_KEY_MAX, SHORT_VALUE_MAX, Type};
use super::rules;
use super::scan::{Item, What};
use crate::container::bits::Bits;
use crate::finding::{Finding, Sink};
use crate::image::Span;

/// Bytes of a key that a finding shows at most.
const SHOWN_LEN: usize = 120;

/// What reading the committed part in order tells.
pub struct Physical {
    /// Offsets of all records and DELETEs that can be read.
    pub items: Bits,
    /// Those of them that are an ancestor: that have a newer version.
    pub named: Bits,
    records: u64,
    dead_records: u64,
    dirty_size: u64,
    commits: u64,
    top_level: u8,
    /// Whether nothing is lost, so that what was counted can be held against the header.
    whole: bool,
    /// Where the last COMMIT ended, and whether anything was lost since.
    last_end: u64,
    lost_since: bool,
}

/// Checks everything behind the header.
pub fn examine(file: &File<'_>, sink: &mut Sink<'_>) {
    let mut physical = Physical {
        items: Bits::new(file.limit),
        named: Bits::new(file.limit),
        records: 0,
        dead_records: 0,
        dirty_size: 0,
        commits: 0,
        top_level: 0,
        whole: file.claimed_size() == Some(file.limit),
        last_end: FIRST_OFFSET,
        lost_since: false,
    };
    for item in file.committed(DUMMY_OFFSET) {
        match item.head() {
            Some(head) if head.kind == Type::Dummy => {}
            Some(head) => physical.take(file, &item, &head, sink),
            None => physical.lose(item, sink),
        }
    }
    physical.compare_counts(file, sink);
    graph::check(file, &physical, sink);
    tail(file, sink);
}

impl Physical {
    fn take(&mut self, file: &File<'_>, item: &Item, head: &Head, sink: &mut Sink<'_>) {
        sums(file, item, head, sink);
        if head.kind == Type::Commit {
            return self.commit(file, head, sink);
        }
        if head.kind.is_record() {
            self.records += 1;
            self.top_level = self.top_level.max(head.level);
            form(file, item, head, sink);
        } else {
            self.dirty_size = self.dirty_size.saturating_add(MARK_LEN);
        }
        let worn = matches!(item.what, What::Worn(_));
        if !worn && head.kind.is_record() {
            pointer_words(file, head, sink);
        }
        self.name_ancestor(file, head, worn, sink);
        self.items.insert(head.offset);
    }

    fn lose(&mut self, item: Item, sink: &mut Sink<'_>) {
        let span = Span::new(item.span.start.max(FIRST_OFFSET), item.span.end);
        // What stands in the place of the DUMMY record is a finding of the header's.
        if span.is_empty() {
            return;
        }
        self.whole = false;
        self.lost_since = true;
        let len = span.len();
        let (rule, message) = match item.what {
            What::Zeros => (&rules::ZEROS, format!("{len} zero bytes where a record should be")),
            What::Torn(_) => {
                (&rules::TORN, format!("the file ends inside a committed record, {len} bytes of it are left"))
            }
            _ => (&rules::GAP, format!("{len} bytes can't be read: what stood there is lost")),
        };
        sink(Finding::new(rule, span, message));
    }

    fn commit(&mut self, file: &File<'_>, head: &Head, sink: &mut Sink<'_>) {
        let start = head.start(file.cursor);
        let explained = start == self.last_end || self.lost_since && start > self.last_end;
        if !explained {
            let message = "a COMMIT does not start where the one in front of it ends";
            let finding = Finding::new(&rules::COMMIT_START, head.span(), message);
            sink(finding.values(format!("0x{:X}", self.last_end), format!("0x{start:X}")));
        }
        self.commits += 1;
        self.last_end = head.end;
        self.lost_since = false;
    }

    /// Holds an item against its ancestor. A worn head's word for it counts only if the keys are the same.
    fn name_ancestor(&mut self, file: &File<'_>, head: &Head, worn: bool, sink: &mut Sink<'_>) {
        let Some(offset) = head.ancestor(file.cursor) else { return };
        let ancestor = file.item(offset).filter(|ancestor| self.items.contains(offset) && ancestor.end <= head.offset);
        let right_kind = |ancestor: &Head| head.kind != Type::Delete || ancestor.kind.is_record();
        let record = file.record_of(offset).filter(|_| ancestor.is_some_and(|ancestor| right_kind(&ancestor)));
        let (Some(ancestor), Some(record)) = (ancestor, record) else {
            if !worn {
                let message = format!("the ancestor of a {} can't be read or is none", head.kind.as_str());
                let finding = Finding::new(&rules::ANCESTOR, head.ancestor_span(), message);
                sink(finding.values("the offset of an earlier version of the key", format!("0x{offset:X}")));
                self.whole = false;
            }
            return;
        };
        if head.kind.is_record() && !same_key(file, head, &record, worn, sink) {
            return;
        }
        if !self.named.insert(offset) {
            let message = format!("the version at 0x{offset:X} has two newer ones");
            sink(Finding::new(&rules::ANCESTOR_TWICE, head.ancestor_span(), message));
            return;
        }
        if ancestor.kind.is_record() {
            self.dead_records += 1;
            self.dirty_size = self.dirty_size.saturating_add(ancestor.total_len());
        }
    }

    fn compare_counts(&self, file: &File<'_>, sink: &mut Sink<'_>) {
        let Some(header) = file.header else { return };
        if u32::from(self.top_level) > header.maxlevel {
            let message = "records have more levels than the header says were ever used";
            let finding = Finding::new(&rules::MAXLEVEL, Header::MAXLEVEL, message);
            sink(finding.values(self.top_level, header.maxlevel));
        }
        if !self.whole {
            return;
        }
        let live = self.records.saturating_sub(self.dead_records);
        let counts = [
            (
                &rules::NUM_RECORDS,
                Header::NUM_RECORDS,
                "the header counts other records than are live",
                live,
                header.num_records,
            ),
            (
                &rules::NUM_COMMITS,
                Header::NUM_COMMITS,
                "the header counts other COMMITs than there are",
                self.commits,
                header.num_commits,
            ),
            (
                &rules::DIRTY_SIZE,
                Header::DIRTY_SIZE,
                "the header knows of other dead bytes than there are",
                self.dirty_size,
                header.dirty_size,
            ),
        ];
        for (rule, span, message, expected, found) in counts {
            if expected != found {
                sink(Finding::new(rule, span, message).values(expected, found));
            }
        }
    }
}

/// Whether an ancestor is a version of the same key; says so if not, and if their levels differ.
fn same_key(file: &File<'_>, head: &Head, record: &Head, worn: bool, sink: &mut Sink<'_>) -> bool {
    let (key, old_key) = (head.key(file.cursor), record.key(file.cursor));
    if worn {
        return key == old_key;
    }
    if key != old_key {
        let message = format!("the key differs from that of the version in front of it, at 0x{:X}", record.offset);
        let finding =
            Finding::new(&rules::ANCESTOR_KEY, head.span(), message).via("ancestor", head.ancestor_span().start);
        sink(finding.values(shown(old_key), shown(key)));
    }
    if head.level != record.level {
        let message = format!("the level differs from that of the version in front of it, at 0x{:X}", record.offset);
        let finding =
            Finding::new(&rules::ANCESTOR_LEVEL, head.span(), message).via("ancestor", head.ancestor_span().start);
        sink(finding.values(record.level, head.level));
    }
    true
}

fn sums(file: &File<'_>, item: &Item, head: &Head, sink: &mut Sink<'_>) {
    let sum = |part: Option<(u32, &[u8])>| {
        let (stored, bytes) = part.unwrap_or_default();
        (format!("{:08x}", file.sums.compute(bytes).unwrap_or_default()), format!("{stored:08x}"))
    };
    match item.what {
        What::Worn(_) => {
            let (expected, found) = sum(head.head_part(file.cursor));
            let message =
                format!("the head of a {} has a wrong sum; its pointers can't be trusted", head.kind.as_str());
            let span = Span::new(head.offset, head.sums.saturating_add(4));
            sink(Finding::new(&rules::HEAD_SUM, span, message).values(expected, found));
        }
        What::BadTail(_) if head.kind.is_record() => {
            let (expected, found) = sum(head.tail_part(file.cursor));
            let message = "the tail has a wrong sum: key or value are not what was written";
            let span = Span::new(head.sums.saturating_add(4), item.span.end);
            sink(Finding::new(&rules::TAIL_SUM, span, message).values(expected, found));
        }
        What::BadTail(_) => {
            let message = "what has no tail has the sum of one";
            sink(Finding::new(&rules::FILL, head.sums_span(), message));
        }
        What::LongKey(_) => {
            let message = "the key is longer than its length says: only the low 16 bits of the length were stored";
            let finding = Finding::new(&rules::LONG_KEY, Span::at(head.offset.saturating_add(2), 2), message);
            sink(finding.values(head.key_len, head.key_len % (SHORT_KEY_MAX + 1)));
        }
        _ => {}
    }
}

/// The beginning of a key, as a finding shows it: many findings can name the same long one.
pub fn shown(key: &[u8]) -> String {
    match key.split_at_checked(SHOWN_LEN) {
        Some((beginning, rest)) if !rest.is_empty() => format!("{}... ({} bytes)", beginning.escape_ascii(), key.len()),
        _ => key.escape_ascii().to_string(),
    }
}

/// What can be said of a record's form by itself.
fn form(file: &File<'_>, item: &Item, head: &Head, sink: &mut Sink<'_>) {
    if head.key_len == 0 {
        sink(Finding::new(&rules::EMPTY_KEY, head.span(), "a record without a key"));
    }
    let tail_agrees = !matches!(item.what, What::BadTail(_));
    if tail_agrees && !head.is_filled(file.cursor) {
        let message = "no NUL follows the key or the value, or the padding is not zero";
        sink(Finding::new(&rules::FILL, Span::new(head.key_span().end, head.end), message));
    }
    let long = head.key_len > SHORT_KEY_MAX || head.value_len > SHORT_VALUE_MAX;
    if head.kind.is_fat() && !long {
        let message = "long lengths where short ones do";
        sink(Finding::new(&rules::FAT, Span::at(head.offset, 24), message));
    }
}

fn pointer_words(file: &File<'_>, head: &Head, sink: &mut Sink<'_>) {
    for index in 0..=head.level {
        let word = head.pointer(file.cursor, index);
        let rule = if word == 0 {
            continue;
        } else if word < FIRST_OFFSET || !word.is_multiple_of(ALIGN) {
            &rules::POINTER_WORD
        } else if word >= file.limit && !file.is_dirty() && file.claimed_size() == Some(file.limit) {
            &rules::FUTURE_POINTER
        } else {
            continue;
        };
        let message = match index {
            0 | 1 => format!("word {index} of level 0 leads where nothing committed can stand"),
            _ => format!("the pointer of level {} leads where nothing committed can stand", index - 1),
        };
        let expected = format!("0, or an offset below 0x{:X}", file.limit);
        sink(Finding::new(rule, head.pointer_span(index), message).values(expected, format!("0x{word:X}")));
    }
}

/// What stands behind the committed part.
fn tail(file: &File<'_>, sink: &mut Sink<'_>) {
    let mut finished = file.limit;
    let mut last = file.limit;
    let mut intact = file.claimed_size() == Some(file.limit);
    for item in file.tail() {
        if item.what == What::Zeros {
            intact = false;
            continue;
        }
        last = item.span.end;
        intact &= !item.is_lost();
        if let Some(head) = item.head()
            && intact
            && head.kind == Type::Commit
            && head.start(file.cursor) == finished
        {
            finished = head.end;
        }
    }
    if finished > file.limit {
        let span = Span::new(file.limit, finished);
        let message = format!("a finished transaction of {} bytes follows the committed size", span.len());
        sink(Finding::new(&rules::DISCARDED, span, message));
    }
    if last > finished {
        let in_doubt = file.is_dirty() || file.claimed_size().is_none();
        let (rule, whose) = if in_doubt { (&rules::UNCOMMITTED, "unfinished") } else { (&rules::LEFTOVER, "aborted") };
        let message = format!("{} bytes of an {whose} transaction follow what is committed", last - finished);
        sink(Finding::new(rule, Span::new(finished, last), message));
    }
}
