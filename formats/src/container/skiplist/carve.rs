//! All that can be proven or plausibly read from a file, however damaged.

use super::bits::OffsetSet;
use super::layout::{FIRST_RECORD, Header, Node, NodeKind, is_record_offset};
use super::replay::{Deleted, Live, key_at};
use super::scan::{Item, Scan};
use super::view::{List, record};
use crate::container::{Carved, Confidence, Kept, KeyOrder, Lost};
use crate::image::{Cursor, Span};
use std::cmp::Ordering;

/// Carves a file: the newest committed version of each key, by what its log and its pointers say together.
pub fn carve<'a>(cursor: Cursor<'a>, order: KeyOrder) -> Carved<'a> {
    let mut carver = Carver::read(cursor, order);
    let live = carver.replay();
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
    uncommitted: Vec<crate::container::Record<'a>>,
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

    /// Marks every record that the head of the list leads to over records whose keys ascend.
    fn follow_pointers(&mut self, starts: &OffsetSet) {
        let mut stack: Vec<u32> = Vec::new();
        let push_all = |from: &Node<'a>, stack: &mut Vec<u32>| {
            let is_head = from.kind == NodeKind::Dummy;
            for (level, pointer) in from.pointers().enumerate().rev() {
                let offset = u64::from(pointer);
                if !starts.contains(offset) || self.linked.contains(offset) {
                    continue;
                }
                let Ok(node) = Node::read(self.cursor, offset) else { continue };
                let ascends = is_head || self.order.compare(from.key, node.key) == Ordering::Less;
                if ascends && node.level() > level && self.linked.insert(offset) {
                    stack.push(pointer);
                }
            }
        };
        if let Some(head) = self.head {
            push_all(&head, &mut stack);
        }
        while let Some(offset) = stack.pop() {
            if let Ok(node) = Node::read(self.cursor, u64::from(offset)) {
                push_all(&node, &mut stack);
            }
        }
    }

    /// The live records that the committed part of the log leaves.
    fn replay(&self) -> Live<'a> {
        let (mut live, log_at) = Live::at_checkpoint(self.cursor, self.order);
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
        let mut kept = Vec::with_capacity(sorted.len());
        let mut witness = self.head;
        let last_log_hole = self.lost.iter().map(|lost| lost.span).rfind(|span| span.end > self.log_at);
        for &offset in sorted {
            let Ok(node) = Node::read(self.cursor, u64::from(offset)) else { continue };
            let confidence = if self.linked.contains(node.offset) {
                witness = Some(node);
                if node.is_flawless() && self.leads_on(&node) { Confidence::Verified } else { Confidence::Unverified }
            } else if last_log_hole.is_some_and(|hole| hole.start > node.offset) || !self.hidden_by_loss(witness) {
                Confidence::MaybeStale
            } else {
                Confidence::Unverified
            };
            kept.push(Kept { record: record(node), confidence });
        }
        kept
    }

    /// Whether the record that follows at level 0, if it can be read, has a greater key.
    fn leads_on(&self, node: &Node<'a>) -> bool {
        let next = node.pointer(0).unwrap_or_default();
        let readable = next != 0 && Node::read(self.cursor, u64::from(next)).is_ok();
        !readable || self.order.compare(node.key, key_at(self.cursor, next)) == Ordering::Less
    }

    /// Whether the last linked record in front leads into a lost range of the INORDER region: what follows it there is
    /// hidden for that reason alone, not because it was taken out of the list.
    fn hidden_by_loss(&self, witness: Option<Node<'a>>) -> bool {
        let Some(next) = witness.and_then(|node| node.pointer(0)).map(u64::from) else { return true };
        let head_lost = Node::read(self.cursor, super::layout::DUMMY_OFFSET).is_err();
        let at_head = witness.is_some_and(|node| node.kind == NodeKind::Dummy);
        let after = self.lost.partition_point(|lost| lost.span.end <= next);
        let in_loss = self.lost.get(after).is_some_and(|lost| lost.span.contains(next) && next < self.log_at);
        in_loss || (at_head && head_lost)
    }
}

/// Where the header puts the start of the log, if that can be; else the end of the file.
fn declared_logstart(cursor: Cursor<'_>) -> u64 {
    let declared = Header::decode(cursor).map(|header| u64::from(header.logstart));
    declared.filter(|at| (FIRST_RECORD..=cursor.len()).contains(at)).unwrap_or(cursor.len())
}
