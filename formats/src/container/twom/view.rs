//! Live records in key order by the file's own pointers, as Cyrus reads them.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::file::File;
use super::layout::{Head, MAX_LEVEL, Type};
use crate::container::{KeyOrder, OrderTally, Record, View};

/// Upper-level nodes read at most in looking for places to divide the list at.
const SPLIT_NODES: usize = 4096;
/// Most parts a list is divided into.
const MAX_PARTS: usize = 512;

impl<'a> File<'a> {
    /// What follows `head` on level 0: the record, live or deleted, and the offset that the pointer names (that of the
    /// DELETE in front of a deleted record). `None` at the end, or where it can't be read.
    #[inline]
    pub fn next(&self, head: &Head) -> Option<(u64, Head)> {
        let pointer = head.next(self.cursor, self.limit);
        if pointer == 0 {
            return None;
        }
        let next = self.item(pointer)?;
        let record = if next.kind == Type::Delete { self.record(next.ancestor(self.cursor)?)? } else { next };
        record.kind.is_record().then_some((pointer, record))
    }

    /// The node that follows `head` on `level`, 1 or more; `None` at the end, or where it can't be read. Pointers behind
    /// the committed size belong to a transaction that never ended.
    pub fn upper(&self, head: &Head, level: u8) -> Option<Head> {
        let next = head.pointer(self.cursor, level.checked_add(1)?);
        if next == 0 || next >= self.limit { None } else { self.record(next).filter(|node| node.level > level) }
    }

    /// Offsets of nodes that divide level 0 into pieces of about one length, in key order: those of the highest level that
    /// has at least `wanted`, or of level 1.
    fn split_nodes(&self, wanted: usize) -> Vec<u64> {
        let mut best = Vec::new();
        let Some(dummy) = self.dummy() else { return best };
        for level in (1..MAX_LEVEL).rev() {
            let mut nodes: Vec<u64> = Vec::new();
            let mut last: Option<Head> = None;
            while let Some(head) = self.upper(&last.unwrap_or(dummy), level).filter(|_| nodes.len() < SPLIT_NODES) {
                if last.is_some_and(|last| last.key(self.cursor) >= head.key(self.cursor)) {
                    break;
                }
                nodes.push(head.offset);
                last = Some(head);
            }
            best = nodes;
            if best.len() >= wanted {
                break;
            }
        }
        best
    }

    /// Offsets at which to divide the list into at most `parts` pieces, in key order.
    pub fn splits(&self, parts: usize) -> Vec<u64> {
        let parts = parts.clamp(1, MAX_PARTS);
        if parts == 1 {
            return Vec::new();
        }
        // Each node looked at is on another page, and the gaps between two of one level are of one length on the whole.
        let nodes = self.split_nodes(parts.saturating_mul(2));
        let mut splits: Vec<u64> = (1..parts).filter_map(|i| nodes.get(i * nodes.len() / parts).copied()).collect();
        splits.dedup();
        splits
    }

    /// Which comparators fit the neighbours of level 0. Neighbours that no comparator explains are damage; they are left
    /// out, so that the rest still tells the order.
    pub fn tally(&self) -> OrderTally {
        let list = List::new(*self, KeyOrder::Unsigned, rayon::current_num_threads() * 4);
        let tallies: Vec<OrderTally> = (0..list.parts()).into_par_iter().map(|part| list.tally_of(part)).collect();
        let mut all = OrderTally::default();
        tallies.iter().for_each(|tally| all.append(tally));
        all
    }
}

/// The list, divided. A part goes from behind one dividing node up to the next one, that included: what stands in front
/// of a node, and so whether it is deleted, is seen only on the way to it.
pub struct List<'a> {
    file: File<'a>,
    order: KeyOrder,
    /// The node behind which each part starts; empty if there is no DUMMY record.
    starts: Vec<Head>,
}

impl<'a> List<'a> {
    /// The list of `file` in at most `parts` parts.
    pub fn new(file: File<'a>, order: KeyOrder, parts: usize) -> Self {
        let nodes = file.splits(parts).into_iter().filter_map(|offset| file.record(offset));
        let starts = file.dummy().into_iter().chain(nodes).collect();
        List { file, order, starts }
    }

    /// Walks level 0 from behind `start` up to the node at `stop`, that included, deleted records too. The visitor gets
    /// the offset that led to a record, and the record.
    #[inline]
    fn walk_nodes(&self, start: &Head, stop: Option<u64>, visit: &mut impl FnMut(u64, &Head) -> bool) {
        let mut at = *start;
        for _ in 0..self.file.most_records() {
            let Some((pointer, node)) = self.file.next(&at) else { return };
            if !visit(pointer, &node) || stop == Some(node.offset) {
                return;
            }
            at = node;
        }
    }

    #[inline]
    fn walk_part(&self, part: usize, visit: &mut impl FnMut(u64, &Head) -> bool) {
        let Some(start) = self.starts.get(part) else { return };
        let stop = self.starts.get(part.saturating_add(1)).map(|node| node.offset);
        self.walk_nodes(start, stop, visit);
    }

    fn tally_of(&self, part: usize) -> OrderTally {
        let cursor = self.file.cursor;
        let mut tally = OrderTally::default();
        let mut last = self.starts.get(part).copied().filter(|head| head.kind.is_record());
        self.walk_part(part, &mut |_, node| {
            if let Some(last) = last {
                let (a, b) = (last.key(cursor), node.key(cursor));
                let explained = [KeyOrder::Unsigned, KeyOrder::Signed, KeyOrder::Mbox];
                if explained.iter().any(|order| order.compare(a, b) == Ordering::Less) {
                    tally.push((a, last.offset), (b, node.offset));
                }
            }
            last = Some(*node);
            true
        });
        tally
    }

    /// The last node whose key is below `key`: how Cyrus looks a key up (`locate`). Stops where the keys of a level do not
    /// ascend, which Cyrus would not.
    fn before(&self, key: &[u8]) -> Option<Head> {
        let cursor = self.file.cursor;
        let compare = |head: &Head, key: &[u8]| self.order.compare(head.key(cursor), key);
        let mut at = self.file.dummy()?;
        for level in (1..MAX_LEVEL).rev().filter(|_| !key.is_empty()) {
            while let Some(next) = self.file.upper(&at, level) {
                let ascends = at.kind == Type::Dummy || compare(&at, next.key(cursor)) == Ordering::Less;
                if !ascends || compare(&next, key) != Ordering::Less {
                    break;
                }
                at = next;
            }
        }
        Some(at)
    }

    /// Walks the live records from the first whose key is not below `key`.
    fn walk_from(&self, key: &[u8], visit: &mut dyn FnMut(&Head) -> bool) {
        let Some(start) = self.before(key) else { return };
        self.walk_nodes(&start, None, &mut |pointer, node| {
            let below = self.order.compare(node.key(self.file.cursor), key) == Ordering::Less;
            below || pointer != node.offset || visit(node)
        });
    }
}

impl<'a> View<'a> for List<'a> {
    fn parts(&self) -> usize {
        self.starts.len().max(1)
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        self.walk_part(part, &mut |pointer, node| pointer != node.offset || visit(self.file.lend(node)));
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let mut found = None;
        self.walk_from(key, &mut |node| {
            found = (node.key(self.file.cursor) == key).then(|| self.file.lend(node));
            false
        });
        found
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        self.walk_from(prefix, &mut |node| {
            node.key(self.file.cursor).starts_with(prefix) && visit(self.file.lend(node))
        });
    }
}
