//! The rules of keys and pointers, checked one pointer at a time against what the replayed log demands.

use std::cmp::Ordering;

use super::bits::OffsetSet;
use super::careful::Physical;
use super::layout::{Node, NodeKind, is_record_offset};
use super::replay::Live;
use super::rules;
use super::scan::{Item, Scan};
use super::survey::Survey;
use super::view::{List, push_explicable};
use crate::container::{KeyOrder, OrderTally};
use crate::finding::{Finding, Rule, Sink};
use crate::image::{Cursor, Span};

/// Reports every pair of neighbours, of level 0 and of the INORDER region, that contradicts the order of most; answers
/// that order.
pub fn key_order(cursor: Cursor<'_>, list: List<'_>, sink: &mut Sink<'_>) -> KeyOrder {
    let mut all = OrderTally::default();
    let mut explicable = list.tally().unwrap_or_else(|| Survey::new(cursor).tally);
    each_linked_pair(cursor, list, &mut |a, b| all.push((a.key, a.offset), (b.key, b.offset)));
    each_inorder_pair(cursor, &mut |a, b| {
        all.push((a.key, a.offset), (b.key, b.offset));
        push_explicable(&mut explicable, a, b);
    });
    let order = explicable.best(KeyOrder::Signed);
    if all.fits(order) {
        return order;
    }
    let first_of = |order: KeyOrder| match all.misfit(order) {
        Some(misfit) => format!("{order}: 0x{:X} before 0x{:X}", misfit.first, misfit.second),
        None => order.to_string(),
    };
    let found = KeyOrder::ALL.map(first_of).join(", ");
    let mut report = |rule, a: Node<'_>, b: Node<'_>| {
        if order.compare(a.key, b.key) != Ordering::Less {
            let message = format!("the key does not follow that of the record in front of it, at 0x{:X}", a.offset);
            let finding = Finding::new(rule, b.span(), message);
            sink(finding.values(format!("keys that ascend in {order} order"), &found));
        }
    };
    each_linked_pair(cursor, list, &mut |a, b| report(&rules::KEY_ORDER, a, b));
    each_inorder_pair(cursor, &mut |a, b| report(&rules::INORDER_ORDER, a, b));
    order
}

/// Visits the INORDER records that follow each other in front of the log.
fn each_inorder_pair<'a>(cursor: Cursor<'a>, visit: &mut dyn FnMut(Node<'a>, Node<'a>)) {
    let mut before: Option<Node<'a>> = None;
    for item in Scan::new(cursor) {
        match item {
            Item::Record(node) if node.kind == NodeKind::Inorder => {
                if let Some(before) = before.replace(node) {
                    visit(before, node);
                }
            }
            Item::Record(_) | Item::Delete { .. } | Item::Commit(_) => return,
            _ => {}
        }
    }
}

/// Visits the neighbours of level 0, each record once.
fn each_linked_pair<'a>(cursor: Cursor<'a>, list: List<'a>, visit: &mut dyn FnMut(Node<'a>, Node<'a>)) {
    let visited = OffsetSet::new(cursor);
    let mut before: Option<Node<'a>> = None;
    let first = list.head().and_then(|head| head.pointer(0)).unwrap_or_default();
    list.walk(first, 0, &mut |node| {
        if !visited.insert(node.offset) {
            return false;
        }
        if let Some(before) = before.replace(node) {
            visit(before, node);
        }
        true
    });
}

/// A forward pointer: where it stands, what it says, and the record it belongs to.
#[derive(Clone, Copy)]
struct Pointer<'a> {
    level: usize,
    value: u32,
    owner: Node<'a>,
    /// Place of the owner among the live records; the head of the list stands in front of them.
    rank: Option<usize>,
}

/// Compares every pointer of every live record with the next live record of its level.
pub fn pointers(cursor: Cursor<'_>, physical: &Physical, live: &Live<'_>, order: KeyOrder, sink: &mut Sink<'_>) {
    let Some(head) = List::new(cursor).head() else { return };
    let sorted = live.sorted();
    let judge = Judge { cursor, physical, live, order, sorted: &sorted };
    let of = |owner, rank| move |(level, value)| Pointer { level, value, owner, rank };
    let mut open: Vec<Pointer<'_>> = head.pointers().enumerate().map(of(head, None)).collect();
    for (rank, &offset) in sorted.iter().enumerate() {
        let Ok(node) = Node::read(cursor, u64::from(offset)) else { continue };
        for next in node.pointers().enumerate().map(of(node, Some(rank))) {
            let Some(pointer) = open.get_mut(next.level) else { break };
            if pointer.value != offset {
                judge.report(pointer, Some((rank, offset)), sink);
            }
            *pointer = next;
        }
    }
    for pointer in open.iter().filter(|pointer| pointer.value != 0) {
        judge.report(pointer, None, sink);
    }
}

/// Says what is wrong with a pointer that does not lead where it should.
struct Judge<'a, 's> {
    cursor: Cursor<'a>,
    physical: &'s Physical,
    live: &'s Live<'a>,
    order: KeyOrder,
    sorted: &'s [u32],
}

impl Judge<'_, '_> {
    fn report(&self, pointer: &Pointer<'_>, expected: Option<(usize, u32)>, sink: &mut Sink<'_>) {
        let (rule, what) = self.verdict(pointer, expected);
        let span = Span::at(pointer.owner.pointer_offset(pointer.level), 4);
        let owner = match pointer.owner.kind {
            NodeKind::Dummy => "the DUMMY node".to_owned(),
            _ => format!("the record at 0x{:X}", pointer.owner.offset),
        };
        let message = format!("the level-{} pointer of {owner} {what}", pointer.level);
        let expected = expected.map_or("0".to_owned(), |(_, offset)| format!("0x{offset:X}"));
        sink(Finding::new(rule, span, message).values(expected, format!("0x{:X}", pointer.value)));
    }

    fn verdict(&self, pointer: &Pointer<'_>, expected: Option<(usize, u32)>) -> (&'static Rule, String) {
        let offset = u64::from(pointer.value);
        if pointer.value == 0 {
            return self.skipped(pointer, expected, self.sorted.len());
        }
        if offset >= self.cursor.len() {
            return (&rules::POINTER_TARGET, "leads past the end of the file: what stood there is lost".to_owned());
        }
        let target = Node::read(self.cursor, offset).ok().filter(|_| self.physical.starts.contains(offset));
        let Some(target) = target.filter(|_| is_record_offset(pointer.value)) else {
            return (&rules::POINTER_TARGET, "does not lead to a record".to_owned());
        };
        if target.level() <= pointer.level {
            let what = format!("leads to a record that has only {} levels", target.level());
            return (&rules::POINTER_LEVEL, what);
        }
        if !self.live.is_live(pointer.value) {
            return if offset >= self.physical.committed_end {
                (&rules::UNCOMMITTED_LINKED, "leads to a record that was never committed".to_owned())
            } else {
                (&rules::DEAD_LINKED, "leads to a record that was deleted or replaced".to_owned())
            };
        }
        if pointer.rank.is_some() && self.order.compare(target.key, pointer.owner.key) != Ordering::Greater {
            return (&rules::POINTER_BACKWARDS, "leads backwards".to_owned());
        }
        let rank = self.rank_of(target.key);
        self.skipped(pointer, expected, rank)
    }

    /// Place of a key among the live records.
    fn rank_of(&self, key: &[u8]) -> usize {
        let key_at = |&offset: &u32| super::replay::key_at(self.cursor, offset);
        self.sorted.partition_point(|offset| self.order.compare(key_at(offset), key) == Ordering::Less)
    }

    /// A pointer that leads on, but too far: to the record of place `rank`.
    fn skipped(&self, pointer: &Pointer<'_>, expected: Option<(usize, u32)>, rank: usize) -> (&'static Rule, String) {
        let count = rank.saturating_sub(expected.map_or(rank, |(rank, _)| rank));
        match pointer.level {
            0 => (&rules::UNREACHABLE, format!("leaves out live records: {count} of them")),
            _ => (&rules::POINTER_SKIPS, "leaves out live records of that level".to_owned()),
        }
    }
}
