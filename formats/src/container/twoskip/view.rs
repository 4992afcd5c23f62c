//! Live records in key order by the file's own pointers, as Cyrus reads them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::layout::{Head, MAX_LEVEL, Type, dummy, skip_delete};
use crate::container::{KeyOrder, Record, View};
use crate::image::Cursor;

/// Upper-level nodes read at most in looking for places to divide the list at.
const SPLIT_NODES: usize = 1 << 14;

/// What all doors read a file through: its bytes and its committed size.
#[derive(Clone, Copy)]
pub struct File<'a> {
    /// The bytes.
    pub cursor: Cursor<'a>,
    /// Committed size in bytes: a level-0 pointer to it or behind it belongs to no committed transaction. More than the
    /// file's length where the end of the file is missing.
    pub committed: u64,
    /// How far the committed part can be read, at most the file's length.
    pub limit: u64,
}

impl<'a> File<'a> {
    /// A file committed up to `committed`.
    pub fn new(cursor: Cursor<'a>, committed: u64) -> Self {
        File { cursor, committed, limit: committed.min(cursor.len()) }
    }

    /// A file whose header does not tell how far it is committed; as far as can be seen, up to `limit`. Where that is its
    /// very end, more may be missing, and no pointer is taken for uncommitted.
    pub fn guessed(cursor: Cursor<'a>, limit: u64) -> Self {
        File { cursor, committed: if limit < cursor.len() { limit } else { u64::MAX }, limit }
    }

    /// The `+` record at `offset`, if one can stand there within the committed size.
    #[inline]
    pub fn record(&self, offset: u64) -> Option<Head> {
        Head::decode(self.cursor, offset).filter(|head| head.kind == Type::Record && head.end <= self.limit)
    }

    /// Offset of the live record that follows `head` in key order; 0 at the end.
    #[inline]
    pub fn next(&self, head: &Head) -> u64 {
        let next = head.next(self.cursor, self.committed);
        if self.cursor.u8(next) == Some(b'-') { skip_delete(self.cursor, next) } else { next }
    }

    /// The node that follows `head` on `level`, 1 or more; `None` at the end, or where it can't be read.
    fn upper(&self, head: &Head, level: u8) -> Option<Head> {
        let next = head.pointer(self.cursor, level.checked_add(1)?);
        if next == 0 { None } else { self.record(next).filter(|node| node.level > level) }
    }

    /// The record as the doors hand it out.
    pub fn lend(&self, head: &Head) -> Record<'a> {
        Record {
            key: Cow::Borrowed(head.key(self.cursor)),
            value: Cow::Borrowed(head.value(self.cursor)),
            span: head.span(),
        }
    }

    /// Nodes of the highest level that has at least `wanted` of them (or of level 1), in key order.
    pub fn split_nodes(&self, wanted: usize) -> Vec<u64> {
        let mut best = Vec::new();
        let Some(dummy) = dummy(self.cursor) else { return best };
        for level in (1..MAX_LEVEL).rev() {
            let mut nodes: Vec<u64> = Vec::new();
            let mut node = self.upper(&dummy, level);
            let mut key: &[u8] = b"";
            while let Some(head) = node.filter(|_| nodes.len() < SPLIT_NODES) {
                if !nodes.is_empty() && head.key(self.cursor) == key {
                    break;
                }
                key = head.key(self.cursor);
                nodes.push(head.offset);
                node = self.upper(&head, level);
            }
            best = nodes;
            if best.len() >= wanted {
                break;
            }
        }
        best
    }

    /// Offsets at which to divide the list into at most `parts` pieces of about one length.
    pub fn splits(&self, parts: usize) -> Vec<u64> {
        if parts < 2 {
            return Vec::new();
        }
        // Each node looked at is on another page, and the gaps between two of one level are of one length on the whole.
        let nodes = self.split_nodes(parts.saturating_mul(2));
        let mut splits: Vec<u64> = (1..parts).filter_map(|i| nodes.get(i * nodes.len() / parts).copied()).collect();
        splits.dedup();
        splits
    }
}

/// The live list, divided.
pub struct List<'a> {
    file: File<'a>,
    order: KeyOrder,
    /// First record of each part; 0 for an empty list.
    starts: Vec<u64>,
}

impl<'a> List<'a> {
    /// The list of `file` in at most `parts` parts.
    pub fn new(file: File<'a>, order: KeyOrder, parts: usize) -> Self {
        let first = dummy(file.cursor).map_or(0, |dummy| file.next(&dummy));
        let mut starts = vec![first];
        starts.extend(file.splits(parts).into_iter().filter(|&start| start != first));
        List { file, order, starts }
    }

    /// Walks from the record at `start` up to the one at `stop`; whether it came there.
    fn walk_heads(&self, start: u64, stop: u64, visit: &mut dyn FnMut(&Head) -> bool) -> bool {
        let mut next = start;
        let mut left = self.file.limit;
        while next != stop {
            let Some(head) = self.file.record(next) else { return false };
            // More bytes than the file has: a circle, or records inside each other.
            let Some(rest) = left.checked_sub(head.span().len()) else { return false };
            left = rest;
            if !visit(&head) {
                return true;
            }
            next = self.file.next(&head);
        }
        true
    }

    /// Walks the heads of one part; whether it could be read to its end.
    pub fn part(&self, part: usize, visit: &mut dyn FnMut(&Head) -> bool) -> bool {
        let start = self.starts.get(part).copied().unwrap_or_default();
        let stop = self.starts.get(part.saturating_add(1)).copied().unwrap_or_default();
        self.walk_heads(start, stop, visit)
    }

    /// The first record whose key is not below `key`.
    fn seek(&self, key: &[u8]) -> Option<Head> {
        let below = |head: &Head| self.order.compare(head.key(self.file.cursor), key) == Ordering::Less;
        let mut at = dummy(self.file.cursor)?;
        for level in (1..MAX_LEVEL).rev() {
            if level >= at.level {
                continue;
            }
            while let Some(next) = self.file.upper(&at, level).filter(|next| below(next) && self.follows(&at, next)) {
                at = next;
            }
        }
        let mut found = None;
        self.walk_heads(self.file.next(&at), 0, &mut |head| {
            found = (!below(head)).then_some(*head);
            found.is_none()
        });
        found
    }

    /// Whether `next` stands behind `at` in key order: no circle can be walked.
    fn follows(&self, at: &Head, next: &Head) -> bool {
        let key = |head: &Head| head.key(self.file.cursor);
        at.kind == Type::Dummy || self.order.compare(key(at), key(next)) == Ordering::Less
    }
}

impl<'a> View<'a> for List<'a> {
    fn parts(&self) -> usize {
        self.starts.len()
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        self.part(part, &mut |head| visit(self.file.lend(head)));
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        self.seek(key).filter(|head| head.key(self.file.cursor) == key).map(|head| self.file.lend(&head))
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let Some(first) = self.seek(prefix) else { return };
        self.walk_heads(first.offset, 0, &mut |head| {
            head.key(self.file.cursor).starts_with(prefix) && visit(self.file.lend(head))
        });
    }
}
