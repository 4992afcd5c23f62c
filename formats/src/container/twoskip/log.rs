//! Transactions since the last repack, each with what it added, replaced and deleted, and the state after any of them.

use std::collections::VecDeque;
use std::iter::Peekable;

use super::layout::{ALIGN, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, Type, is_blank};
use super::live::{Deletion, Live};
use super::scan::{Item, Scan, What};
use super::survey::Survey;
use super::view::File;
use crate::container::{Change, Ending, KeyOrder, Record, Transaction};
use crate::image::{Cursor, Span};

/// Offset behind the transaction that the last repack wrote, if the file begins with one.
///
/// A repack notes the size of the file in front of its COMMIT (`lib/cyrusdb_twoskip.c`, `mycheckpoint`).
pub(super) fn repack_end(cursor: Cursor<'_>, header: Option<&Header>, limit: u64) -> Option<u64> {
    let mut at = header.map(|header| header.repack_size).filter(|&size| size > FIRST_OFFSET && size < limit)?;
    while is_blank(cursor, at) {
        at = at.checked_add(ALIGN)?;
    }
    let commit = Head::decode(cursor, at).filter(|head| head.kind == Type::Commit && head.end <= limit)?;
    (commit.head_is_right(cursor) && commit.word(cursor) == FIRST_OFFSET).then_some(commit.end)
}

/// The transactions of a file, in file order.
pub struct Log<'a> {
    file: File<'a>,
    scan: Peekable<Scan<'a>>,
    live: Live<'a>,
    /// Whether uncommitted changes are played on top of the committed state.
    uncommitted_too: bool,
    number: u64,
    start: u64,
    changes: Vec<Change<'a>>,
    damaged: bool,
    ready: VecDeque<Transaction<'a>>,
}

impl<'a> Log<'a> {
    /// The log from the last repack on. With `uncommitted_too`, changes of transactions that never ended are described
    /// against each other; without, they leave the state alone.
    pub fn new(cursor: Cursor<'a>, order: KeyOrder, uncommitted_too: bool) -> Self {
        let survey = Survey::new(cursor);
        let file = survey.file(cursor);
        let mut log = Log {
            file,
            scan: Scan::new(cursor, DUMMY_OFFSET).peekable(),
            live: Live::new(cursor, order),
            uncommitted_too,
            number: 0,
            start: FIRST_OFFSET,
            changes: Vec::new(),
            damaged: false,
            ready: VecDeque::new(),
        };
        let begin = repack_end(cursor, survey.header.as_ref(), file.limit).unwrap_or(FIRST_OFFSET);
        while let Some(item) = log.scan.next_if(|item| item.span.end <= begin) {
            if let Some(head) = item.believed() {
                log.play(&head);
            }
        }
        log.start = begin;
        log
    }

    /// Plays a change without describing it.
    fn play(&mut self, head: &Head) {
        match head.kind {
            Type::Record => drop(self.live.add(head)),
            Type::Delete => {
                if let Deletion { old: Some(old), certain: true } = self.live.deletion(head) {
                    self.live.remove(old);
                }
            }
            Type::Dummy | Type::Commit => {}
        }
    }

    fn lend(&self, offset: u64) -> Option<Record<'a>> {
        Head::decode(self.file.cursor, offset).map(|head| self.file.lend(&head))
    }

    /// Plays and describes a change.
    fn change(&mut self, head: &Head) {
        match head.kind {
            Type::Record => {
                let new = self.file.lend(head);
                let old = self.live.add(head).and_then(|old| self.lend(old));
                match old {
                    Some(old) if old.key == new.key => self.changes.push(Change::Replace { old, new }),
                    Some(old) => {
                        self.changes.push(Change::Delete { span: new.span, old: Some(old), certain: true });
                        self.changes.push(Change::Add(new));
                    }
                    None => self.changes.push(Change::Add(new)),
                }
            }
            Type::Delete => {
                let Deletion { old, certain } = self.live.deletion(head);
                let old = old.filter(|_| certain);
                let record = old.and_then(|old| self.lend(old));
                old.into_iter().for_each(|old| self.live.remove(old));
                self.changes.push(Change::Delete { span: head.span(), old: record, certain });
            }
            Type::Dummy | Type::Commit => {}
        }
    }

    /// Notes a change without playing it.
    fn note(&mut self, head: &Head) {
        match head.kind {
            Type::Record => self.changes.push(Change::Add(self.file.lend(head))),
            Type::Delete => self.changes.push(Change::Delete { span: head.span(), old: None, certain: false }),
            Type::Dummy | Type::Commit => {}
        }
    }

    /// Ends the transaction under way at `end`.
    fn end(&mut self, end: u64, ending: Ending, changes: Vec<Change<'a>>) {
        self.number = self.number.saturating_add(1);
        let span = Span::new(self.start, end);
        self.ready.push_back(Transaction { number: self.number, span, ending, changes });
        self.start = end;
        self.damaged = false;
    }

    /// Ends what is under way with a COMMIT. If that names a later start, the COMMIT of what stands in front is lost.
    fn commit(&mut self, head: &Head, proven: bool) {
        let start = head.word(self.file.cursor);
        let mut changes = std::mem::take(&mut self.changes);
        let damaged = self.damaged;
        if proven && start > self.start && start <= head.offset {
            let later = changes.iter().position(|change| place(change) >= start).unwrap_or(changes.len());
            let rest = changes.split_off(later);
            let ending = if start > self.file.limit { Ending::Uncommitted } else { Ending::Damaged };
            self.end(start, ending, changes);
            changes = rest;
        }
        let uncommitted = head.end > self.file.limit;
        let ending = match (uncommitted, damaged) {
            (true, _) => Ending::Uncommitted,
            (false, true) => Ending::Damaged,
            (false, false) => Ending::Committed,
        };
        self.end(head.end, ending, changes);
    }

    /// Ends what is under way where the committed part or the file ends.
    fn cut(&mut self, end: u64) {
        let changes = std::mem::take(&mut self.changes);
        let committed = end <= self.file.limit;
        if !changes.is_empty() || committed && self.damaged && self.start < end {
            self.end(end, if committed { Ending::Damaged } else { Ending::Uncommitted }, changes);
        }
        self.start = end;
        self.damaged = false;
    }

    fn take(&mut self, item: &Item) {
        let committed = item.span.end <= self.file.limit;
        if !committed && self.start < self.file.limit {
            self.cut(self.file.limit);
        }
        self.damaged |= item.is_lost() || matches!(item.what, What::Worn(_));
        match item.believed() {
            Some(head) if head.kind == Type::Commit => self.commit(&head, item.proven().is_some()),
            Some(head) if committed || self.uncommitted_too => self.change(&head),
            Some(head) => self.note(&head),
            None => {}
        }
    }

    /// The committed state after transaction `number`, 0 being the last repack; `None` if there is no such transaction.
    pub fn state_at(mut self, number: u64) -> Option<Vec<Record<'a>>> {
        let mut at = 0;
        while at < number {
            at = self.next()?.number;
        }
        // Two transactions can end at one COMMIT; what the second changed is played already.
        let count = self.live.iter().count();
        let mut records = Vec::with_capacity(count);
        records.extend(self.live.iter().filter_map(|offset| self.lend(offset)));
        Some(records)
    }
}

/// Offset of what a change consists of.
fn place(change: &Change<'_>) -> u64 {
    match change {
        Change::Add(new) | Change::Replace { new, .. } => new.span.start,
        Change::Delete { span, .. } => span.start,
    }
}

impl<'a> Iterator for Log<'a> {
    type Item = Transaction<'a>;

    fn next(&mut self) -> Option<Transaction<'a>> {
        while self.ready.is_empty() {
            match self.scan.next() {
                Some(item) => self.take(&item),
                None => {
                    let len = self.file.cursor.len();
                    if self.start >= len {
                        return None;
                    }
                    self.cut(len);
                    self.start = len;
                    if self.ready.is_empty() {
                        return None;
                    }
                }
            }
        }
        self.ready.pop_front()
    }
}
