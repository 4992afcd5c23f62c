//! Transactions since the last repack, and the state after any of them.

use std::iter::Chain;

use super::file::File;
use super::layout::{ALIGN, FIRST_OFFSET, Head, Type};
use super::scan::{Item, Scan, What};
use super::versions::Versions;
use crate::container::{Change, Ending, KeyOrder, Record, Transaction};
use crate::image::Span;

/// Where the log starts: behind what the last repack wrote in key order.
pub fn start(file: &File<'_>) -> u64 {
    let repack_size = file.header.filter(|_| file.header_agrees).map(|header| header.repack_size);
    let can_be = |size: &u64| (FIRST_OFFSET..=file.limit).contains(size) && size.is_multiple_of(ALIGN);
    repack_size.filter(can_be).unwrap_or(FIRST_OFFSET)
}

/// Whether the COMMIT is the repack's own, with nothing in front of it that came after the repack began.
fn is_repack(file: &File<'_>, head: &Head) -> bool {
    head.offset > FIRST_OFFSET && head.offset == start(file) && head.start(file.cursor) == FIRST_OFFSET
}

/// Number of complete transactions since the last repack.
pub fn transactions(file: &File<'_>) -> u64 {
    match file.header.filter(|header| file.header_agrees && header.current_size == file.limit) {
        Some(header) => {
            let first = file.item(start(file)).filter(|head| head.kind == Type::Commit);
            header.num_commits.saturating_sub(u64::from(first.is_some_and(|head| is_repack(file, &head))))
        }
        None => Log::without_changes(file).filter(|transaction| transaction.ending == Ending::Committed).count() as u64,
    }
}

/// The transactions of a file, one after the other.
pub struct Log<'a> {
    file: File<'a>,
    items: Chain<Scan<'a>, Scan<'a>>,
    with_changes: bool,
    number: u64,
    /// The transaction at hand.
    open: Option<Transaction<'a>>,
    damaged: bool,
    /// Where the next transaction starts.
    start: u64,
    /// What was read ahead.
    ahead: Option<Item>,
}

impl<'a> Log<'a> {
    /// The log of a file.
    pub fn new(file: &File<'a>) -> Self {
        let start = start(file);
        let items = file.committed(start).chain(file.tail());
        Log { file: *file, items, with_changes: true, number: 0, open: None, damaged: false, start, ahead: None }
    }

    /// The same, with transactions that do not say what they changed.
    fn without_changes(file: &File<'a>) -> Self {
        Log { with_changes: false, ..Log::new(file) }
    }

    fn open(&mut self) -> &mut Transaction<'a> {
        let number = self.number;
        let span = Span::at(self.start, 0);
        self.open.get_or_insert_with(|| Transaction { number, span, ending: Ending::Uncommitted, changes: Vec::new() })
    }

    /// Ends the transaction at hand at `end`.
    fn close(&mut self, end: u64, ending: Ending) -> Option<Transaction<'a>> {
        self.start = end;
        let mut done = self.open.take()?;
        self.number += 1;
        done.number = self.number;
        done.span.end = end;
        done.ending =
            if std::mem::take(&mut self.damaged) && ending == Ending::Committed { Ending::Damaged } else { ending };
        Some(done)
    }

    fn take(&mut self, item: &Item) -> Option<Transaction<'a>> {
        let committed = item.span.start < self.file.limit;
        let Some(head) = item.head() else {
            if committed {
                self.damaged = true;
                self.open();
            }
            return None;
        };
        match head.kind {
            Type::Commit if is_repack(&self.file, &head) && self.open.is_none() => {
                self.start = head.end;
                None
            }
            Type::Commit => {
                self.open();
                self.close(head.end, if committed { Ending::Committed } else { Ending::Uncommitted })
            }
            Type::Dummy => None,
            _ => {
                let change = self.change(item, &head);
                let wanted = self.with_changes;
                self.damaged |= committed && !matches!(item.what, What::Sound(_) | What::LongKey(_));
                let open = self.open();
                open.span.end = head.end;
                open.changes.extend(change.filter(|_| wanted));
                None
            }
        }
    }

    fn change(&self, item: &Item, head: &Head) -> Option<Change<'a>> {
        let file = &self.file;
        let ancestor = head.ancestor(file.cursor).filter(|&offset| offset < head.offset);
        let old = ancestor.and_then(|offset| file.sound_record(offset)).map(|old| file.lend(&old));
        if head.kind == Type::Delete {
            let certain = old.is_some() && matches!(item.what, What::Sound(_));
            return Some(Change::Delete { span: head.span(), old, certain });
        }
        let new = file.lend(head);
        Some(match old {
            Some(old) => Change::Replace { old, new },
            None => Change::Add(new),
        })
    }
}

impl<'a> Iterator for Log<'a> {
    type Item = Transaction<'a>;

    fn next(&mut self) -> Option<Transaction<'a>> {
        loop {
            let Some(item) = self.ahead.take().or_else(|| self.items.next()) else {
                let end = self.open.as_ref()?.span.end.max(self.start);
                let end = if self.start < self.file.limit { self.file.limit } else { end };
                return self.close(end, self.ending_at(end));
            };
            // What the header calls committed ends with the committed part, even if its COMMIT is lost.
            let limit = self.file.limit;
            if item.span.start >= limit && self.start < limit {
                if self.open.is_some() {
                    self.damaged = true;
                    self.ahead = Some(item);
                    return self.close(limit, Ending::Committed);
                }
                self.start = limit;
            }
            if let Some(done) = self.take(&item) {
                return Some(done);
            }
        }
    }
}

impl Log<'_> {
    /// How a transaction without a COMMIT ended.
    fn ending_at(&self, end: u64) -> Ending {
        if end <= self.file.limit { Ending::Damaged } else { Ending::Uncommitted }
    }
}

/// The live records after transaction `number`; one that was never committed changes nothing.
pub fn at<'a>(file: &File<'a>, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
    let end = match number.checked_sub(1) {
        None => start(file),
        Some(before) => {
            let before = usize::try_from(before).ok()?;
            let transaction = Log::without_changes(file).nth(before)?;
            if transaction.ending == Ending::Uncommitted { file.limit } else { transaction.span.end }
        }
    };
    let sorted = Versions::read(file, end).newest(order);
    Some(sorted.offsets().iter().map(|&offset| sorted.versions.readable.lend(offset)).collect())
}
