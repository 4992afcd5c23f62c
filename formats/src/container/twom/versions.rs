//! All versions of all keys up to some point of the file, and the newest of each: the log view, read without pointers.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;

use super::file::File;
use super::layout::{DUMMY_OFFSET, FIRST_OFFSET, Head, MARK_LEN, Type};
use super::proven::Proven;
use super::scan::{Item, What};
use crate::container::bits::Bits;
use crate::container::{KeyOrder, Record};
use crate::image::Span;

/// What was read of the committed part.
pub struct Versions<'a> {
    pub(super) file: File<'a>,
    /// Offsets of all records that can be read.
    pub(super) records: Vec<u64>,
    /// Of those, the ones that have a newer version or were deleted.
    pub(super) dead: Bits,
    /// Of those, the ones whose newer version can't be read or believed.
    pub(super) outlived: Bits,
    /// Offsets of all records and deletions that can be read.
    pub(super) items: Bits,
    /// Where the pointers lead to of all records that can be read.
    pub(super) pointed: Bits,
    /// What is an ancestor of anything that can be read.
    pub(super) named: Bits,
    /// Up to where it was read.
    pub(super) end: u64,
    /// How records are read again.
    pub(super) readable: Readable<'a>,
    /// Ranges that can't be read, in file order.
    pub lost: Vec<LostRange>,
    /// Bytes of deletions, and of records that have a newer version or were deleted, as far as whole transactions tell.
    pub dirty_size: u64,
    /// The same of the transaction at hand.
    pub(super) open_dirty: u64,
    /// Transactions that something is lost of.
    pub(super) damaged: Vec<Span>,
    /// Deletions whose head's sum is wrong, and what they seem to delete.
    pub(super) worn_deletes: Vec<(Span, Option<Head>)>,
    /// Whether COMMITs and ancestors fit each other, as far as nothing is lost: what was moved does not fit.
    pub consistent: bool,
    /// Where the last COMMIT ended, and whether anything was lost since.
    pub(super) last_end: u64,
    pub(super) lost_since: bool,
}

/// A range that can't be read, and the records next to it in file order.
#[derive(Clone, Copy)]
pub struct LostRange {
    /// Its bytes.
    pub span: Span,
    /// Offset of the last record in front of it.
    pub before: Option<u64>,
    /// Offset of the first record behind it.
    pub after: Option<u64>,
}

/// What is special about a record.
#[derive(Clone, Copy)]
pub(super) struct Odd<'a> {
    head: Head,
    /// The key to take, which a damaged record's ancestor can tell.
    key: &'a [u8],
    proven: bool,
}

/// The records that can be read, to be read again.
pub struct Readable<'a> {
    file: File<'a>,
    /// Records that are not proven by sums of their own, and those whose head does not tell their length.
    odd: HashMap<u64, Odd<'a>>,
}

/// A record that is the newest of its key.
#[derive(Clone, Copy)]
pub struct Newest {
    /// The record.
    pub head: Head,
    /// Whether its sums prove it.
    pub proven: bool,
    /// Whether a newer version is known that can't be read, or that was finished but not committed.
    pub outlived: bool,
    /// Whether any pointer leads to it.
    pub pointed: bool,
    /// Whether something of its transaction is lost.
    pub damaged: bool,
}

impl<'a> Versions<'a> {
    /// Reads all items in front of `end`, at most the committed part.
    pub fn read(file: &File<'a>, end: u64) -> Self {
        let end = end.min(file.limit);
        let mut versions = Versions {
            file: *file,
            records: Vec::new(),
            dead: Bits::new(end),
            outlived: Bits::new(end),
            items: Bits::new(end),
            pointed: Bits::new(end),
            named: Bits::new(end),
            end,
            readable: Readable { file: *file, odd: HashMap::new() },
            lost: Vec::new(),
            dirty_size: 0,
            open_dirty: 0,
            damaged: Vec::new(),
            worn_deletes: Vec::new(),
            consistent: !file.is_moved,
            last_end: FIRST_OFFSET,
            lost_since: false,
        };
        let proven = Proven::of(file);
        for item in file.committed(DUMMY_OFFSET).knowing(&proven).take_while(|item| item.span.start < end) {
            versions.take(&item);
        }
        versions.end_transaction(end);
        versions.judge_worn_deletes();
        versions.consistent &= versions.lost.is_empty() || versions.pointers_fit();
        if !versions.consistent {
            versions.bury_again();
        } else if !versions.lost.is_empty() {
            versions.hear_pointers();
        }
        versions
    }

    fn take(&mut self, item: &Item) {
        let Some(head) = item.head() else { return self.lose(item.span) };
        let worn = matches!(item.what, What::Worn(_));
        match head.kind {
            Type::Commit => self.commit(&head, worn),
            Type::Delete => {
                self.open_dirty = self.open_dirty.saturating_add(MARK_LEN);
                let deleted = self.ancestor(&head, worn);
                deleted.iter().for_each(|record| self.bury(record));
                if worn {
                    self.worn_deletes.push((head.span(), deleted));
                }
                self.items.insert(head.offset);
            }
            Type::Dummy => self.follow_pointers(&head),
            _ => self.record(item, &head, worn),
        }
    }

    fn commit(&mut self, head: &Head, worn: bool) {
        let start = head.start(self.file.cursor);
        let later = self.lost_since && start > self.last_end && start < head.offset;
        self.consistent &= start == self.last_end || later || worn;
        self.end_transaction(head.end);
    }

    fn end_transaction(&mut self, end: u64) {
        let dirty = std::mem::take(&mut self.open_dirty);
        if std::mem::take(&mut self.lost_since) {
            self.damaged.push(Span::new(self.last_end, end));
        } else {
            self.dirty_size = self.dirty_size.saturating_add(dirty);
        }
        self.last_end = end;
    }

    /// The record that an item replaces or deletes. What can't be the one, and is not lost, has been moved.
    fn ancestor(&mut self, head: &Head, worn: bool) -> Option<Head> {
        let offset = head.ancestor(self.file.cursor)?;
        let known = self.items.contains(offset) && offset < head.offset;
        let record = self.file.record_of(offset).filter(|record| known && self.items.contains(record.offset));
        self.consistent &= record.is_some() || worn || self.is_lost(offset);
        self.named.insert(offset);
        record
    }

    fn record(&mut self, item: &Item, head: &Head, worn: bool) {
        let ancestor = self.ancestor(head, worn);
        let old_key = ancestor.map(|old| self.key(old.offset));
        let key = head.key(self.file.cursor);
        if !worn {
            self.follow_pointers(head);
        }
        match item.what {
            What::BadTail(_) => match proven_key(&self.file, head, old_key) {
                Some(key) => self.keep_odd(*head, key, false),
                None => {
                    ancestor.iter().for_each(|old| _ = self.outlived.insert(old.offset));
                    return self.lose(item.span);
                }
            },
            What::Worn(_) => self.keep_odd(*head, key, false),
            What::LongKey(_) => self.keep_odd(*head, key, true),
            _ => self.keep(head.offset),
        }
        let fits = old_key.is_none_or(|old| old == self.key(head.offset));
        self.consistent &= fits || worn;
        if let Some(old) = ancestor.filter(|_| fits) {
            self.bury(&old);
        }
    }

    fn follow_pointers(&self, head: &Head) {
        (0..=head.level).for_each(|index| _ = self.pointed.insert(head.pointer(self.file.cursor, index)));
    }

    /// Whether an offset lies in a range that can't be read.
    pub(super) fn is_lost(&self, offset: u64) -> bool {
        let before = self.lost.partition_point(|lost| lost.span.start <= offset);
        before.checked_sub(1).and_then(|i| self.lost.get(i)).is_some_and(|lost| lost.span.contains(offset))
    }

    /// Whether an offset lies in a transaction that something is lost of.
    fn is_of_damaged(&self, offset: u64) -> bool {
        let before = self.damaged.partition_point(|span| span.start <= offset);
        before.checked_sub(1).and_then(|i| self.damaged.get(i)).is_some_and(|span| span.contains(offset))
    }

    fn keep(&mut self, offset: u64) {
        for lost in self.lost.iter_mut().rev().take_while(|lost| lost.after.is_none()) {
            lost.after = Some(offset);
        }
        self.items.insert(offset);
        self.records.push(offset);
    }

    fn keep_odd(&mut self, head: Head, key: &'a [u8], proven: bool) {
        self.keep(head.offset);
        self.readable.odd.insert(head.offset, Odd { head, key, proven });
    }

    /// A record that has a newer version or was deleted.
    fn bury(&mut self, record: &Head) {
        if self.dead.insert(record.offset) {
            let len = self.readable.head(record.offset).map_or(record.total_len(), |head| head.total_len());
            self.open_dirty = self.open_dirty.saturating_add(len);
        }
    }

    fn lose(&mut self, span: Span) {
        let span = Span::new(span.start.max(FIRST_OFFSET), span.end);
        self.lost_since |= !span.is_empty();
        match self.lost.last_mut() {
            _ if span.is_empty() => {}
            Some(last) if last.span.end == span.start => last.span.end = span.end,
            _ => self.lost.push(LostRange { span, before: self.records.last().copied(), after: None }),
        }
    }

    /// The key of the record at an offset.
    #[inline]
    pub fn key(&self, offset: u64) -> &'a [u8] {
        self.readable.key(offset)
    }

    /// The newest version of each key that is not deleted, in `order`.
    pub fn newest(mut self, order: KeyOrder) -> Sorted<'a> {
        let mut records = std::mem::take(&mut self.records);
        let is_proven = |offset: &u64| self.readable.odd(*offset).is_none_or(|odd| odd.proven);
        // What was deleted hides older versions of its key, unless it is not certain to be a version of that key.
        let hides = |offset: u64| self.consistent && is_proven(&offset);
        let lives = |offset: u64| hides(offset) || !self.dead.contains(offset);
        let rank = |offset: u64| (lives(offset), self.is_supported(offset), offset);
        let compare =
            |a: &u64, b: &u64| order.compare(self.key(*a), self.key(*b)).then_with(|| rank(*a).cmp(&rank(*b)));
        records.par_sort_unstable_by(compare);
        // The last version of the key at hand in file order, of those passed over.
        let mut last = 0;
        records.dedup_by(|later, kept| {
            let same = order.compare(self.key(*later), self.key(*kept)) == Ordering::Equal;
            if same {
                last = last.max(*kept);
                if *later < last {
                    self.outlived.insert(*later);
                }
                *kept = *later;
            } else {
                last = 0;
            }
            same
        });
        records.retain(|&offset| !self.dead.contains(offset));
        self.records = records;
        Sorted { versions: self }
    }
}

/// The key of a record whose tail's sum is wrong: its ancestor's, if with that the sum is right.
fn proven_key<'a>(file: &File<'a>, head: &Head, old_key: Option<&'a [u8]>) -> Option<&'a [u8]> {
    let old_key = old_key.filter(|old| file.sums.prove() && old.len() as u64 == head.key_len)?;
    let (stored, tail) = head.tail_part(file.cursor)?;
    let mended = [old_key, tail.get(old_key.len()..)?].concat();
    (file.sums.agree(stored, &mended) && head.is_filled(file.cursor)).then_some(old_key)
}

impl<'a> Readable<'a> {
    #[inline]
    fn odd(&self, offset: u64) -> Option<&Odd<'a>> {
        if self.odd.is_empty() { None } else { self.odd.get(&offset) }
    }

    /// The record at an offset, with the length that it really has.
    fn head(&self, offset: u64) -> Option<Head> {
        self.odd(offset).map(|odd| odd.head).or_else(|| self.file.record(offset))
    }

    #[inline]
    fn key(&self, offset: u64) -> &'a [u8] {
        match self.odd(offset) {
            Some(odd) => odd.key,
            None => self.file.record(offset).map_or(b"", |head| head.key(self.file.cursor)),
        }
    }

    /// The record at an offset as the doors hand it out; an empty one where there is none.
    pub fn lend(&self, offset: u64) -> Record<'a> {
        let none = || Record { key: Cow::Borrowed(b""), value: Cow::Borrowed(b""), span: Span::at(offset, 0) };
        let record = self.head(offset).map_or_else(none, |head| self.file.lend(&head));
        // A mended key is not in the record's own bytes.
        match self.odd(offset).filter(|odd| *record.key != *odd.key) {
            Some(odd) => Record { key: odd.key.to_vec().into(), ..record },
            None => record,
        }
    }
}

/// The newest version of each key, in order.
pub struct Sorted<'a> {
    /// What was read besides.
    pub versions: Versions<'a>,
}

impl Sorted<'_> {
    /// Offsets of the newest versions, in order.
    pub fn offsets(&self) -> &[u64] {
        &self.versions.records
    }

    /// The newest version at a place of the order.
    pub fn get(&self, index: usize) -> Option<Newest> {
        let versions = &self.versions;
        let offset = *versions.records.get(index)?;
        let odd = versions.readable.odd(offset);
        Some(Newest {
            head: versions.readable.head(offset)?,
            proven: odd.is_none_or(|odd| odd.proven),
            outlived: versions.outlived.contains(offset),
            pointed: versions.pointed.contains(offset),
            damaged: versions.is_of_damaged(offset),
        })
    }
}
