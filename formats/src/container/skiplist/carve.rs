//! All that can be proven or plausibly read from a file, however damaged.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::bits::OffsetSet;
use super::layout::{DUMMY_OFFSET, FIRST_RECORD, Header, Node, NodeKind, is_record_offset};
use super::replay::{Deleted, Live, key_at};
use super::scan::{Item, Scan};
use super::view::{List, record, record_at};
use crate::container::{Carved, Confidence, Kept, KeyOrder, Lost, Record};
use crate::image::{Cursor, Span};

/// The DUMMY node's offset, which stands for the head of the list.
const HEAD: u32 = DUMMY_OFFSET as u32;
/// The level from which on the list is walked first: about every 64th record has it.
const UPPER_LEVEL: usize = 6;

/// Carves a file: the newest committed version of each key, by what its log and its pointers say together.
pub fn carve<'a>(cursor: Cursor<'a>, order: KeyOrder) -> Carved<'a> {
    let (mut carver, checkpoint) = rayon::join(|| Carver::read(cursor, order), || Live::at_checkpoint(cursor, order));
    let live = carver.replay(checkpoint);
    let sorted = live.sorted();
    drop(live);
    Carved {
        kept: carver.judge(&sorted),
        lost: std::mem::take(&mut carver.lost),
        uncommitted: std::mem::take(&mut carver.uncommitted),
    }
}

struct Carver<'a> {
    cursor: Cursor<'a>,
    order: KeyOrder,
    head: Option<Node<'a>>,
    /// Records that some way of pointers from the head of the list leads to.
    linked: OffsetSet,
    /// Offset behind the last COMMIT.
    committed_end: u64,
    /// Where the log begins, as far as can be told.
    log_at: u64,
    /// Ranges that can't be read, in file order.
    lost: Vec<Lost<'a>>,
    uncommitted: Vec<Record<'a>>,
}

impl<'a> Carver<'a> {
    /// Reads the file in order, then follows its pointers.
    fn read(cursor: Cursor<'a>, order: KeyOrder) -> Self {
        let starts = OffsetSet::new(cursor);
        let mut carver = Carver {
            cursor,
            order,
            head: List::new(cursor).head(),
            linked: OffsetSet::new(cursor),
            committed_end: 0,
            log_at: declared_logstart(cursor),
            lost: Vec::new(),
            uncommitted: Vec::new(),
        };
        let mut last_key: Option<&'a [u8]> = None;
        let mut key_wanted = false;
        for item in Scan::new(cursor) {
            let span = item.span();
            match item {
                Item::Record(node) => {
                    starts.insert(node.offset);
                    last_key = Some(node.key);
                    if std::mem::take(&mut key_wanted)
                        && let Some(lost) = carver.lost.last_mut()
                    {
                        lost.after = Some(node.key.into());
                    }
                    if node.kind == NodeKind::Add {
                        carver.log_at = carver.log_at.min(span.start);
                        carver.uncommitted.push(record(node));
                    }
                }
                Item::Delete { .. } => carver.log_at = carver.log_at.min(span.start),
                Item::Commit(_) => {
                    carver.log_at = carver.log_at.min(span.start);
                    carver.committed_end = span.end;
                    carver.uncommitted.clear();
                }
                Item::Zeros(_) | Item::Torn(..) | Item::Gap(..) if span.start >= FIRST_RECORD => {
                    carver.lose(span, last_key);
                    key_wanted = true;
                }
                _ => {}
            }
        }
        carver.follow_pointers(&starts);
        carver
    }

    fn lose(&mut self, span: Span, before: Option<&'a [u8]>) {
        match self.lost.last_mut() {
            Some(lost) if lost.span.end == span.start => lost.span.end = span.end,
            _ => self.lost.push(Lost { span, before: before.map(Into::into), after: None }),
        }
    }

    /// Marks every record that the head of the list leads to over records whose keys ascend: first those of the upper
    /// levels, then, side by side, what lies between them.
    fn follow_pointers(&self, starts: &OffsetSet) {
        let Some(head) = self.head else { return };
        let mut nodes = vec![head];
        self.spread(&head, UPPER_LEVEL, starts, &mut |node| nodes.push(node));
        nodes.par_iter().for_each(|node| self.spread(node, 0, starts, &mut drop));
    }

    /// Marks what pointers of `lowest` level and above lead to from a node, and tells of each node that it marks.
    fn spread(&self, from: &Node<'a>, lowest: usize, starts: &OffsetSet, tell: &mut dyn FnMut(Node<'a>)) {
        let mut stack = vec![*from];
        while let Some(from) = stack.pop() {
            for (level, pointer) in from.pointers().enumerate().skip(lowest).rev() {
                let offset = u64::from(pointer);
                if !starts.contains(offset) || self.linked.contains(offset) {
                    continue;
                }
                let Ok(node) = Node::read(self.cursor, offset) else { continue };
                let is_head = from.kind == NodeKind::Dummy;
                let ascends = is_head || self.order.compare(from.key, node.key) == Ordering::Less;
                if ascends && node.level() > level && self.linked.insert(offset) {
                    tell(node);
                    stack.push(node);
                }
            }
        }
    }

    /// The live records that the committed part of the log leaves, from those at the checkpoint on.
    fn replay(&self, (mut live, log_at): (Live<'a>, u64)) -> Live<'a> {
        for item in Scan::from(self.cursor, log_at) {
            let committed = item.span().end <= self.committed_end;
            match item {
                Item::Record(node) if committed || node.kind == NodeKind::Inorder => {
                    live.add(node);
                }
                Item::Delete { span, target } if committed => {
                    if let Some(node) = self.intended(&live, span, target) {
                        live.remove(node);
                    }
                }
                _ => {}
            }
        }
        live
    }

    /// The record that a DELETE took away.
    ///
    /// A record that it names although pointers still lead to it, or that was not live, was hardly meant: then a live
    /// record that no pointer leads to, and whose offset differs in a single bit, is the better reading.
    fn intended(&self, live: &Live<'a>, span: Span, target: u32) -> Option<Node<'a>> {
        let named = match live.look_up(target) {
            Deleted::Live(node) => Some(node),
            Deleted::Dead(_) | Deleted::Nothing => None,
        };
        if named.is_some_and(|node| !self.linked.contains(node.offset)) {
            return named;
        }
        let near = (2..32).map(|bit| target ^ (1 << bit)).filter(|&offset| {
            is_record_offset(offset) && u64::from(offset) < span.start && !self.linked.contains(u64::from(offset))
        });
        let mut meant = near.filter(|&offset| live.is_live(offset));
        match (meant.next(), meant.next()) {
            (Some(offset), None) => Node::read(self.cursor, u64::from(offset)).ok(),
            _ => named,
        }
    }

    /// Says of each live record how sure it is.
    fn judge(&self, sorted: &[u32]) -> Vec<Kept<'a>> {
        let last_log_hole = self.lost.iter().map(|lost| lost.span).rfind(|span| span.end > self.log_at);
        let hole = last_log_hole.map_or(0, |hole| hole.start);
        let mut witness = HEAD;
        let linked_before = |&offset: &u32| {
            if self.linked.contains(u64::from(offset)) {
                witness = offset;
            }
            witness
        };
        let witnesses: Vec<u32> = sorted.iter().map(linked_before).collect();
        let pairs = sorted.par_iter().zip(&witnesses);
        pairs.map(|(&offset, &witness)| self.judge_one(offset, witness, hole)).collect()
    }

    /// Judges a record by the last linked one in front of it, itself included, and by the last loss in the log.
    fn judge_one(&self, offset: u32, witness: u32, last_log_hole: u64) -> Kept<'a> {
        let node = Node::read(self.cursor, u64::from(offset)).ok();
        let confidence = match node {
            Some(node) if offset == witness => {
                let agrees = node.is_flawless() && self.leads_on(&node);
                if agrees { Confidence::Verified } else { Confidence::Unverified }
            }
            _ if last_log_hole > u64::from(offset) || !self.hidden_by_loss(witness) => Confidence::MaybeStale,
            _ => Confidence::Unverified,
        };
        Kept { record: record_at(self.cursor, offset), confidence }
    }

    /// Whether the record that follows at level 0, if it can be read, has a greater key.
    fn leads_on(&self, node: &Node<'a>) -> bool {
        let next = node.pointer(0).unwrap_or_default();
        let readable = next != 0 && Node::read(self.cursor, u64::from(next)).is_ok();
        !readable || self.order.compare(node.key, key_at(self.cursor, next)) == Ordering::Less
    }

    /// Whether the last linked record in front leads into a lost range of the INORDER region: what follows it there is
    /// hidden for that reason alone, not because it was taken out of the list.
    fn hidden_by_loss(&self, witness: u32) -> bool {
        if witness == HEAD && Node::read(self.cursor, DUMMY_OFFSET).is_err() {
            return true;
        }
        let node = if witness == HEAD { self.head } else { Node::read(self.cursor, u64::from(witness)).ok() };
        let Some(next) = node.and_then(|node| node.pointer(0)).map(u64::from) else { return true };
        let after = self.lost.partition_point(|lost| lost.span.end <= next);
        self.lost.get(after).is_some_and(|lost| lost.span.contains(next) && next < self.log_at)
    }
}

/// Where the header puts the start of the log, if that can be; else the end of the file.
fn declared_logstart(cursor: Cursor<'_>) -> u64 {
    let declared = Header::decode(cursor).map(|header| u64::from(header.logstart));
    declared.filter(|at| (FIRST_RECORD..=cursor.len()).contains(at)).unwrap_or(cursor.len())
}
