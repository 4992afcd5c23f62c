//! What all doors read a file through: its bytes, how its sums are made, and how much of it is committed.

use super::layout::{
    ALIGN, DIRTY, DUMMY_OFFSET, FIRST_OFFSET, FOREIGN_ORDER, Head, Header, MARK_LEN, MIN_RECORD_LEN, Sums, Type,
    VERSION,
};
use super::scan::{Scan, What};
use crate::container::Record;
use crate::image::Cursor;

/// A file that was opened, however damaged.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// The bytes.
    pub cursor: Cursor<'a>,
    /// How the sums are made.
    pub sums: Sums,
    /// The header, if the file holds one.
    pub header: Option<Header>,
    /// Whether the header's sum agrees with it.
    pub header_agrees: bool,
    /// Committed size in bytes, at most the file's length: what lies behind it belongs to no committed transaction.
    pub limit: u64,
    /// Whether what is committed does not end where the header says, although it can be read there: bytes were put in or
    /// taken out.
    pub is_moved: bool,
}

impl<'a> File<'a> {
    /// Opens a file. Where its header is damaged, the file is read for what the header should say.
    pub fn open(bytes: &'a [u8]) -> Self {
        let cursor = Cursor::new(bytes);
        let header = Header::decode(cursor);
        let sums = find_sums(cursor, header);
        let header_agrees = header.is_some_and(|header| header.sum_agrees(cursor, sums));
        let mut file = File { cursor, sums, header, header_agrees, limit: cursor.len(), is_moved: false };
        (file.limit, file.is_moved) = file.find_limit();
        file
    }

    /// The header, if its sum proves it.
    pub fn proven_header(&self) -> Option<Header> {
        self.header.filter(|_| self.header_agrees && self.sums.prove())
    }

    /// Whether the file says that a transaction or a recovery is under way.
    pub fn is_dirty(&self) -> bool {
        self.header.is_some_and(|header| header.flags & DIRTY != 0)
    }

    /// Whether keys stand in an order that only the program knows which wrote the file.
    pub fn is_foreign_order(&self) -> bool {
        self.header.is_some_and(|header| self.header_agrees && header.flags & FOREIGN_ORDER != 0)
    }

    /// Committed size as the header gives it; the file can be shorter. `None` if the header can't be believed.
    pub fn claimed_size(&self) -> Option<u64> {
        let header = self.header?;
        let size = header.current_size;
        let plausible = size >= FIRST_OFFSET && size.is_multiple_of(ALIGN);
        let known = Header::magic_is_right(self.cursor) && header.version == VERSION;
        let told = self.header_agrees && (self.sums.prove() || size > self.cursor.len());
        (plausible && known && (told || self.ends_transaction(size))).then_some(size)
    }

    /// Whether a COMMIT ends at `size`, or no transaction was ever written.
    pub fn ends_transaction(&self, size: u64) -> bool {
        let commit = size.checked_sub(MARK_LEN).and_then(|at| Head::decode(self.cursor, at));
        let right = |head: Head| head.head_agrees(self.cursor, self.sums) && head.words_are_plausible(self.cursor);
        size == FIRST_OFFSET || commit.is_some_and(|head| head.kind == Type::Commit && right(head))
    }

    fn find_limit(&self) -> (u64, bool) {
        let len = self.cursor.len();
        let Some(size) = self.claimed_size() else { return (self.last_transaction_end(), false) };
        if size > len || self.ends_transaction(size) {
            return (size.min(len), false);
        }
        self.moved_end(size).map_or((size, false), |end| (end, true))
    }

    /// Where the last COMMIT ends that does not belong to the time before those in front of it: behind the committed part
    /// leftovers of an older state can stand. Never in front of where the first transaction can begin, whatever looks like a
    /// COMMIT there.
    fn last_transaction_end(&self) -> u64 {
        let mut end = FIRST_OFFSET.min(self.cursor.len());
        for commit in self.commits() {
            if commit.start(self.cursor) >= end {
                end = end.max(commit.end);
            }
        }
        end
    }

    /// The COMMITs of the whole file.
    fn commits(&self) -> impl Iterator<Item = Head> + use<'a> {
        let items = Scan::new(self.cursor, self.sums, DUMMY_OFFSET, self.cursor.len());
        items.filter_map(|item| item.head()).filter(|head| head.kind == Type::Commit)
    }

    /// Where what is committed really ends, if something other than the end of a COMMIT can be read where the header says
    /// that it ends; `None` if nothing can be read there.
    fn moved_end(&self, size: u64) -> Option<u64> {
        let mut items = Scan::new(self.cursor, self.sums, DUMMY_OFFSET, self.cursor.len());
        let there = items.find(|item| item.span.end >= size)?;
        let ends_in_commit = there.span.end == size && there.head().is_some_and(|head| head.kind == Type::Commit);
        let moved = there.head().is_some() && !ends_in_commit;
        moved.then(|| self.commits().last().map_or(0, |commit| commit.end).max(there.span.end))
    }

    /// The items of the committed part, from `start` on.
    pub fn committed(&self, start: u64) -> Scan<'a> {
        Scan::new(self.cursor, self.sums, start, self.limit)
    }

    /// The items behind the committed part.
    pub fn tail(&self) -> Scan<'a> {
        Scan::new(self.cursor, self.sums, self.limit.max(DUMMY_OFFSET), self.cursor.len())
    }

    /// The DUMMY record, if one stands where it must.
    pub fn dummy(&self) -> Option<Head> {
        Head::decode(self.cursor, DUMMY_OFFSET).filter(|head| head.kind == Type::Dummy && head.end <= self.cursor.len())
    }

    /// What stands at `offset`, if that is within the committed size.
    #[inline]
    pub fn item(&self, offset: u64) -> Option<Head> {
        Head::decode(self.cursor, offset).filter(|head| head.end <= self.limit)
    }

    /// The record at `offset`, if one can stand there within the committed size.
    #[inline]
    pub fn record(&self, offset: u64) -> Option<Head> {
        self.item(offset).filter(|head| head.kind.is_record())
    }

    /// The record that a version of a key is: itself, or for a DELETE the record it deletes.
    pub fn record_of(&self, offset: u64) -> Option<Head> {
        let head = self.item(offset)?;
        if head.kind == Type::Delete { self.record(head.ancestor(self.cursor)?) } else { self.record(offset) }
    }

    /// The record at `offset` if all its sums agree; for what ancestors name.
    pub fn sound_record(&self, offset: u64) -> Option<Head> {
        let (cursor, sums) = (self.cursor, self.sums);
        let head = Head::decode(cursor, offset).filter(|head| head.kind.is_record() && head.end <= cursor.len())?;
        (head.head_agrees(cursor, sums) && head.tail_agrees(cursor, sums) && head.is_filled(cursor)).then_some(head)
    }

    /// The record as the doors hand it out.
    #[inline]
    pub fn lend(&self, head: &Head) -> Record<'a> {
        Record { key: head.key(self.cursor).into(), value: head.value(self.cursor).into(), span: head.span() }
    }

    /// More steps than a list without a circle can have.
    pub fn most_records(&self) -> u64 {
        self.cursor.len() / MIN_RECORD_LEN + 1
    }
}

/// How the sums are made: the DUMMY record's sum is the best witness, then any other, then what the header says.
fn find_sums(cursor: Cursor<'_>, header: Option<Header>) -> Sums {
    let dummy = Head::decode(cursor, DUMMY_OFFSET).filter(|head| head.kind == Type::Dummy);
    let stored = dummy.and_then(|head| head.head_part(cursor));
    if stored.is_some_and(|(stored, bytes)| Sums::Xxh.agree(stored, bytes)) {
        return Sums::Xxh;
    }
    let mut items = Scan::new(cursor, Sums::Xxh, DUMMY_OFFSET, cursor.len());
    if items.any(|item| matches!(item.what, What::Sound(_))) {
        return Sums::Xxh;
    }
    let said = header.filter(|_| Header::magic_is_right(cursor)).map_or(Sums::Xxh, |header| Sums::of(header.flags));
    let unsummed = header.is_some_and(|header| header.sum == 0) && stored.is_some_and(|(stored, _)| stored == 0);
    if said == Sums::Xxh && unsummed { Sums::Null } else { said }
}
