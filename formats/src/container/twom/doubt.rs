//! What can't be taken at its word beside damage: deletions that no sum proves, leftovers of aborted transactions that came
//! among what is committed, and newer versions that were finished but never committed.

use rayon::prelude::*;

use super::layout::{DUMMY_OFFSET, Head, MARK_LEN, Type};
use super::scan::{Item, What};
use super::versions::{LostRange, Versions};
use crate::container::bits::Bits;

/// How many bytes of the file a thread takes at a time.
const STRETCH: u64 = 1 << 20;

impl Versions<'_> {
    /// Deletions with a wrong sum are believed if nothing else is damaged and the header counts as many dead bytes.
    pub(super) fn judge_worn_deletes(&mut self) {
        let header = self.file.proven_header().filter(|_| !self.file.is_dirty() && self.end == self.file.limit);
        if header.is_some_and(|header| self.lost.is_empty() && header.dirty_size == self.dirty_size) {
            return;
        }
        for (span, deleted) in std::mem::take(&mut self.worn_deletes) {
            let place = self.lost.partition_point(|lost| lost.span.start < span.start);
            let before = self.records.partition_point(|&offset| offset < span.start);
            let near = |index: Option<usize>| index.and_then(|index| self.records.get(index).copied());
            let range = LostRange { span, before: near(before.checked_sub(1)), after: near(Some(before)) };
            self.lost.insert(place, range);
            self.dirty_size = self.dirty_size.saturating_sub(MARK_LEN);
            let deleted = deleted.filter(|record| self.dead.contains(record.offset));
            if let Some(record) = deleted {
                self.dead.toggle(record.offset);
                self.outlived.insert(record.offset);
                self.dirty_size = self.dirty_size.saturating_sub(record.total_len());
            }
        }
    }

    /// Whether the pointers of every record that its head's sum proves lead to what they can lead to: an item of a greater key
    /// and of the pointer's level, or something lost. Where one does not, one of the two has been moved.
    pub(super) fn pointers_fit(&self) -> bool {
        let file = self.file;
        let records = self.records.par_iter().filter_map(|&offset| file.record(offset));
        let all_fit = |head: &Head| {
            let upper = (1..head.level).map(|level| (level, head.pointer(file.cursor, level.saturating_add(1))));
            [(0, head.next(file.cursor, self.end))]
                .into_iter()
                .chain(upper)
                .all(|(level, to)| self.fits(head, level, to))
        };
        records.all(|head| all_fit(&head) || !head.head_agrees(file.cursor, file.sums))
    }

    /// Whether a pointer of `level` of the record `from` can lead to `to`.
    fn fits(&self, from: &Head, level: u8, to: u64) -> bool {
        let file = self.file;
        if to == 0 || to >= self.end || self.is_lost(to) {
            return true;
        }
        let item = file.item(to).filter(|item| self.items.contains(to) && (level == 0 || item.kind.is_record()));
        let Some(record) = item.and_then(|item| file.record_of(item.offset)) else { return false };
        let ascends = file.is_foreign_order() || self.key(record.offset) > self.key(from.offset);
        let known = self.items.contains(record.offset);
        !known || ascends && (record.level > level || !record.head_agrees(file.cursor, file.sums))
    }

    /// Where a record of the list, live or deleted, leads past a deletion to what that deleted, one of the two is not of its
    /// place: bytes of an earlier time. The record is kept then, in doubt.
    pub(super) fn hear_pointers(&mut self) {
        let file = self.file;
        // What has a newer version, even one that can't be read, knows nothing of what came after that.
        let is_newest = |offset: u64| !self.dead.contains(offset) && !self.outlived.contains(offset);
        let records = self.records.par_iter().filter(|&&offset| is_newest(offset));
        let live = records.filter_map(|&offset| file.record(offset));
        let stretches = (0..self.end.div_ceil(STRETCH)).into_par_iter();
        let items = stretches.flat_map_iter(|i| self.items.iter_within(i * STRETCH, (i + 1) * STRETCH - 1));
        let marks = items.filter(|&offset| !self.named.contains(offset)).filter_map(|offset| file.item(offset));
        let deletions = marks.filter(|mark| mark.kind == Type::Delete);
        let deleted = deletions.filter_map(|deletion| file.record_of(deletion.offset));
        let next = |head: Head| head.next(file.cursor, file.limit);
        let is_dead = |next: &u64| self.items.contains(*next) && self.dead.contains(*next);
        let revived: Vec<u64> = live.chain(deleted).chain(file.dummy()).map(next).filter(is_dead).collect();
        for offset in revived.into_iter().filter(|&offset| file.record(offset).is_some()) {
            if self.dead.contains(offset) {
                self.dead.toggle(offset);
                self.outlived.insert(offset);
            }
        }
    }

    /// Whether anything else in the file knows of the item at `offset`. Where parts of the file have been moved, leftovers
    /// of transactions that were aborted long ago can stand among what is committed; nothing leads to those.
    pub(super) fn is_supported(&self, offset: u64) -> bool {
        self.consistent || self.pointed.contains(offset) || self.named.contains(offset)
    }

    /// Tells again what has a newer version, by supported ones alone. Deletions are not believed then: a leftover one would
    /// take away a record that is live.
    pub(super) fn bury_again(&mut self) {
        self.dead = Bits::new(self.end);
        let items = self.file.committed(DUMMY_OFFSET).take_while(|item| item.span.start < self.end);
        for head in items.filter(|item| !matches!(item.what, What::Worn(_))).filter_map(|item| item.head()) {
            let old =
                head.ancestor(self.file.cursor).filter(|&offset| self.items.contains(offset) && offset < head.offset);
            if let Some(old) = old.and_then(|offset| self.file.record_of(offset))
                && head.kind.is_record()
                && self.key(old.offset) == self.key(head.offset)
                && self.is_supported(head.offset)
            {
                self.dead.insert(old.offset);
            }
        }
    }

    /// Records whose newer version was finished behind the committed part are in doubt as well; all are where that part
    /// can't be read as a whole.
    pub fn doubt_discarded(&mut self) {
        let is_commit = |item: &Item| item.head().is_some_and(|head| head.kind == Type::Commit);
        let Some(finished) = self.file.tail().filter(is_commit).last() else { return };
        let mut end = self.file.limit;
        for item in self.file.tail().take_while(|item| item.span.start <= finished.span.start) {
            let head = item.head().filter(|head| head.kind != Type::Commit || head.start(self.file.cursor) == end);
            let Some(head) = head else {
                self.consistent = false;
                return;
            };
            if head.kind == Type::Commit {
                end = head.end;
            }
            if let Some(old) = head.ancestor(self.file.cursor).and_then(|offset| self.file.record_of(offset)) {
                self.outlived.insert(old.offset);
            }
        }
    }
}
