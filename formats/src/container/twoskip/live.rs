//! The live records as replaying the file in its physical order leaves them.
//!
//! A repack writes all records in key order, so most of a file is one ascending run: of that run only a bit map and a
//! sparse index are kept. An ordered map holds what was written out of order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

use super::layout::{Head, Type};
use super::tree::Tree;
use crate::container::KeyOrder;
use crate::container::bits::Bits;
use crate::container::rows::Row;
use crate::image::Cursor;

/// Every so many records of the run, one stands in the index; no row is longer.
const INDEX_STEP: usize = 64;

/// A key that compares in a given order.
#[derive(Clone, Copy)]
struct Key<'a> {
    bytes: &'a [u8],
    order: KeyOrder,
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key<'_> {}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare(self.bytes, other.bytes)
    }
}

/// The records live after what was replayed so far.
pub struct Live<'a> {
    cursor: Cursor<'a>,
    order: KeyOrder,
    run: Tree,
    index: Vec<u64>,
    /// How many records of the run the last one in the index stands for by now.
    indexed: usize,
    greatest: Option<&'a [u8]>,
    map: BTreeMap<Key<'a>, u64>,
    len: usize,
}

/// What a DELETE did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deletion {
    /// Offset of the record it removed.
    pub old: Option<u64>,
    /// Whether that record's own pointers say the same: they lead to what the DELETE names, and nothing led them anywhere
    /// else since.
    pub certain: bool,
}

impl<'a> Live<'a> {
    /// Nothing yet, of a file whose keys stand in `order`.
    pub fn new(cursor: Cursor<'a>, order: KeyOrder) -> Self {
        Live {
            cursor,
            order,
            run: Tree::new(cursor.len()),
            index: Vec::new(),
            indexed: INDEX_STEP,
            greatest: None,
            map: BTreeMap::new(),
            len: 0,
        }
    }

    fn key(&self, offset: u64) -> &'a [u8] {
        Head::decode(self.cursor, offset).map_or(b"", |head| head.key(self.cursor))
    }

    fn sort_key(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, order: self.order }
    }

    /// The first record of the run, live, whose key is not below `key`.
    fn run_at_or_after(&self, key: &[u8]) -> Option<u64> {
        let below = |&offset: &u64| self.order.compare(self.key(offset), key) == Ordering::Less;
        let from = self.index.partition_point(below).checked_sub(1).and_then(|at| self.index.get(at));
        let mut at = self.run.at_or_after(from.copied().unwrap_or_default())?;
        for _ in 0..=INDEX_STEP {
            if !below(&at) {
                return Some(at);
            }
            at = self.run.at_or_after(at.saturating_add(8))?;
        }
        Some(at)
    }

    fn run_get(&self, key: &[u8]) -> Option<u64> {
        self.run_at_or_after(key).filter(|&offset| self.order.compare(self.key(offset), key) == Ordering::Equal)
    }

    /// Number of live records.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Replays a `+` record; the offset of the one it replaces.
    pub fn add(&mut self, head: &Head) -> Option<u64> {
        let old = self.insert(head);
        self.len += usize::from(old.is_none());
        old
    }

    fn insert(&mut self, head: &Head) -> Option<u64> {
        let key = head.key(self.cursor);
        if self.greatest.is_none_or(|greatest| self.order.compare(greatest, key) == Ordering::Less) {
            let old = if self.map.is_empty() { None } else { self.map.remove(&self.sort_key(key)) };
            if self.indexed == INDEX_STEP {
                self.index.push(head.offset);
                self.indexed = 0;
            }
            self.run.insert(head.offset);
            self.indexed += 1;
            self.greatest = Some(key);
            return old;
        }
        let old = self.run_get(key);
        if let Some(old) = old {
            self.run.remove(old);
        }
        old.or(self.map.insert(self.sort_key(key), head.offset))
    }

    /// Replays the records of a row, which are in `starts`, if they go on with the run; answers whether they do.
    pub fn add_row(&mut self, row: &Row, starts: &Bits) -> bool {
        let first = self.key(row.first);
        if self.greatest.is_some_and(|greatest| self.order.compare(greatest, first) != Ordering::Less) {
            return false;
        }
        // What is not of the run has keys below the greatest: none of the row's is there.
        self.run.insert_within(starts, row.first, row.last);
        self.index.push(row.first);
        self.indexed = INDEX_STEP;
        self.greatest = Some(self.key(row.last));
        self.len += row.len;
        true
    }

    /// The live record in front of `key`, or the last one.
    fn before(&self, key: Option<&'a [u8]>) -> Option<u64> {
        let Some(key) = key else {
            let last = self.map.last_key_value().map(|(_, &offset)| offset);
            return self.later(self.run.before(u64::MAX), last);
        };
        let place = self.run_at_or_after(key).unwrap_or(u64::MAX);
        let last = self.map.range(..self.sort_key(key)).next_back().map(|(_, &offset)| offset);
        self.later(self.run.before(place), last)
    }

    /// The one of two records that stands later in key order.
    fn later(&self, a: Option<u64>, b: Option<u64>) -> Option<u64> {
        let (Some(first), Some(second)) = (a, b) else { return a.or(b) };
        let order = self.order.compare(self.key(first), self.key(second));
        Some(if order == Ordering::Less { second } else { first })
    }

    /// Finds what a DELETE removes: the record in front of the one it names (the last one, if it names none).
    pub fn deletion(&self, delete: &Head) -> Deletion {
        let next = delete.word(self.cursor);
        let named = Head::decode(self.cursor, next).filter(|head| head.kind == Type::Record && next < delete.offset);
        if next != 0 && named.is_none() {
            return Deletion { old: None, certain: false };
        }
        let old = self.before(named.map(|head| head.key(self.cursor)));
        let old = old.and_then(|offset| Head::decode(self.cursor, offset));
        let certain = old.is_some_and(|head| self.died_at(&head, delete.offset, next));
        Deletion { old: old.map(|head| head.offset), certain }
    }

    /// Whether a record's pointers were last written before `when` and lead to `next`: those of a live record's
    /// predecessor would lead to the DELETE itself.
    pub fn died_at(&self, head: &Head, when: u64, next: u64) -> bool {
        let last = head.pointer(self.cursor, 0).max(head.pointer(self.cursor, 1));
        let resolved = match Head::decode(self.cursor, last) {
            Some(target) if target.kind == Type::Delete => target.word(self.cursor),
            _ => last,
        };
        last < when && (last == next || resolved == next)
    }

    /// Takes a record out.
    pub fn remove(&mut self, offset: u64) {
        let place = self.sort_key(self.key(offset));
        let removed =
            self.run.remove(offset) || self.map.get(&place) == Some(&offset) && self.map.remove(&place).is_some();
        self.len -= usize::from(removed);
    }

    /// Whether the record at `offset` is live.
    pub fn contains(&self, offset: u64) -> bool {
        self.run.contains(offset) || self.map.get(&self.sort_key(self.key(offset))) == Some(&offset)
    }

    /// The offset of the live record of `key`.
    pub fn get(&self, key: &'a [u8]) -> Option<u64> {
        self.run_get(key).or_else(|| self.map.get(&self.sort_key(key)).copied())
    }

    /// Offsets of the live records in key order.
    pub fn iter(&self) -> Iter<'_, 'a> {
        Iter { live: self, run: self.run.at_or_after(0), map: self.map.iter().peekable() }
    }
}

/// Gives the offsets of live records in key order.
pub struct Iter<'l, 'a> {
    live: &'l Live<'a>,
    /// The next one of the run.
    run: Option<u64>,
    map: Peekable<btree_map::Iter<'l, Key<'a>, u64>>,
}

impl<'a> Iter<'_, 'a> {
    /// Passes over the records of `starts` from `first` to `last`, whose key is `last_key`, if these and no others come
    /// next; answers whether they do.
    pub fn pass(&mut self, starts: &Bits, (first, last): (u64, u64), last_key: &'a [u8]) -> bool {
        let last_key = self.live.sort_key(last_key);
        let comes = self.run.is_some_and(|run| (first..=last).contains(&run))
            && self.live.run.agrees(starts, first, last)
            && self.map.peek().is_none_or(|(key, _)| **key > last_key);
        if comes {
            self.run = self.live.run.at_or_after(last.saturating_add(8));
        }
        comes
    }
}

impl Iter<'_, '_> {
    /// The next one, which stays there.
    pub fn peek(&mut self) -> Option<u64> {
        if self.is_from_map() { self.map.peek().map(|(_, offset)| **offset) } else { self.run }
    }

    /// The next one if it is `offset`.
    pub fn next_if_eq(&mut self, offset: u64) -> Option<u64> {
        if self.peek() == Some(offset) { self.next() } else { None }
    }

    /// Whether the next one is none of the run.
    fn is_from_map(&mut self) -> bool {
        match (self.run, self.map.peek()) {
            (Some(offset), Some((key, _))) => self.live.sort_key(self.live.key(offset)) > **key,
            (None, Some(_)) => true,
            (_, None) => false,
        }
    }
}

impl Iterator for Iter<'_, '_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.is_from_map() {
            return self.map.next().map(|(_, &offset)| offset);
        }
        let offset = self.run?;
        self.run = self.live.run.at_or_after(offset.saturating_add(8));
        Some(offset)
    }
}
