//! Live records by the file's own pointers, as Cyrus reads them, in parts that can be walked side by side.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::layout::{Broken, Header, MAX_LEVEL, MIN_RECORD_LEN, Node, NodeKind};
use crate::container::{KeyOrder, OrderTally, Record, View};
use crate::image::{Cursor, Span};

/// Most parts a list is divided into.
const MAX_PARTS: usize = 512;

/// The pointer list of a file.
#[derive(Clone, Copy)]
pub struct List<'a> {
    cursor: Cursor<'a>,
    /// The head of the list: the DUMMY node, or what stands in its place.
    head: Option<Node<'a>>,
    curlevel: usize,
}

impl<'a> List<'a> {
    /// The list of a file, however damaged.
    pub fn new(cursor: Cursor<'a>) -> Self {
        let most = MAX_LEVEL as usize;
        let curlevel = Header::decode(cursor).and_then(|h| usize::try_from(h.curlevel).ok()).unwrap_or(most);
        List { cursor, head: dummy(cursor), curlevel: curlevel.clamp(1, most) }
    }

    /// The head of the list.
    pub fn head(&self) -> Option<Node<'a>> {
        self.head
    }

    /// The node that a pointer leads to; `None` at the end of the list and where no node can be read.
    #[inline]
    pub fn follow(&self, pointer: u32) -> Option<Node<'a>> {
        if pointer == 0 { None } else { self.read(pointer).ok().filter(|node| node.kind != NodeKind::Dummy) }
    }

    /// The node at an offset.
    ///
    /// # Errors
    /// [`Broken`] if no complete node stands there.
    #[inline]
    pub fn read(&self, offset: u32) -> Result<Node<'a>, Broken> {
        Node::read(self.cursor, u64::from(offset))
    }

    /// Whether a node's key and value can be believed (see [`Node::is_credible`]).
    pub fn credits(&self, node: &Node<'a>) -> bool {
        node.is_credible(self.cursor)
    }

    /// The most steps that any walk of one level can take before it must have gone in a circle.
    pub fn step_limit(&self) -> u64 {
        self.cursor.len() / MIN_RECORD_LEN + 1
    }

    /// The first node, in the file's own order, whose key is not less than `key`: how Cyrus looks a key up
    /// (`find_node`). Stops where the keys of a level do not ascend, which Cyrus would not.
    pub fn seek(&self, order: KeyOrder, key: &[u8]) -> Option<Node<'a>> {
        let mut at = self.head?;
        for level in (0..self.curlevel).rev() {
            while let Some(next) = at.pointer(level).and_then(|pointer| self.follow(pointer)) {
                let ascends = at.kind == NodeKind::Dummy || order.compare(at.key, next.key) == Ordering::Less;
                if !ascends || order.compare(next.key, key) != Ordering::Less {
                    break;
                }
                at = next;
            }
        }
        at.pointer(0).and_then(|pointer| self.follow(pointer))
    }

    /// Offsets that cut level 0 into about `parts` pieces of like length: nodes of the highest level that has enough.
    pub fn cuts(&self, parts: usize) -> Vec<u32> {
        let parts = parts.clamp(1, MAX_PARTS);
        if parts == 1 {
            return Vec::new();
        }
        // Each node looked at is on another page, and the gaps between two of one level are of one length on the whole.
        let wanted = parts * 2;
        for level in (1..MAX_LEVEL as usize).rev() {
            let nodes = self.nodes_of(level, wanted * 8);
            if nodes.len() >= wanted {
                return (1..parts).filter_map(|i| nodes.get(i * nodes.len() / parts).copied()).collect();
            }
        }
        Vec::new()
    }

    /// Offsets of up to `most` nodes of a level.
    fn nodes_of(&self, level: usize, most: usize) -> Vec<u32> {
        let mut nodes = Vec::new();
        let mut at = self.head;
        while let Some(pointer) = at.and_then(|node| node.pointer(level)).filter(|_| nodes.len() < most) {
            at = self.follow(pointer);
            if at.is_some() {
                nodes.push(pointer);
            }
        }
        nodes
    }

    /// Walks level 0 from the node at `from` up to the one at `until` (0: the end); the visitor answers `false` to stop.
    /// Answers whether it got there.
    #[inline]
    pub fn walk(&self, from: u32, until: u32, visit: &mut impl FnMut(Node<'a>) -> bool) -> bool {
        let mut pointer = from;
        for _ in 0..self.step_limit() {
            if pointer == until {
                return true;
            }
            let Some(node) = self.follow(pointer).filter(|node| visit(*node)) else { return false };
            let Some(next) = node.pointer(0) else { return false };
            pointer = next;
        }
        false
    }

    /// Where each part of level 0 starts and ends, as offsets of nodes; the last ends at 0.
    pub fn ranges(&self, parts: usize) -> Vec<(u32, u32)> {
        let first = self.head.and_then(|head| head.pointer(0)).unwrap_or_default();
        let mut ranges = Vec::new();
        let mut start = first;
        for cut in self.cuts(parts).into_iter().filter(|&cut| cut != first) {
            ranges.push((start, cut));
            start = cut;
        }
        ranges.push((start, 0));
        ranges
    }

    /// Which comparators fit the neighbours of level 0; `None` if the list breaks off.
    ///
    /// Neighbours that no comparator explains are damage; they are left out, so that the rest still tells the order.
    pub fn tally(&self) -> Option<OrderTally> {
        let ranges = self.ranges(rayon::current_num_threads() * 4);
        let tallies: Vec<OrderTally> = ranges.par_iter().map(|&range| self.tally_of(range)).collect::<Option<_>>()?;
        let mut all = OrderTally::default();
        tallies.iter().for_each(|tally| all.append(tally));
        Some(all)
    }

    /// The tally of one part and of the step from it into the next; `None` if the list breaks off in it.
    fn tally_of(&self, (from, until): (u32, u32)) -> Option<OrderTally> {
        let mut tally = OrderTally::default();
        let mut last: Option<Node<'a>> = None;
        let mut take = |node: Node<'a>| {
            if let Some(before) = last.replace(node) {
                push_explicable(&mut tally, before, node);
            }
            true
        };
        let whole = self.walk(from, until, &mut take);
        if let Some(node) = self.follow(until) {
            take(node);
        }
        whole.then_some(tally)
    }
}

/// Adds a pair of neighbours that at least one comparator explains.
#[inline]
pub fn push_explicable(tally: &mut OrderTally, a: Node<'_>, b: Node<'_>) {
    let [signed, unsigned, mbox] = KeyOrder::ALL;
    if [unsigned, signed, mbox].iter().any(|order| order.compare(a.key, b.key) == Ordering::Less) {
        tally.push((a.key, a.offset), (b.key, b.offset));
    }
}

/// The DUMMY node, or the pointers that stand where it should be.
fn dummy(cursor: Cursor<'_>) -> Option<Node<'_>> {
    let offset = super::layout::DUMMY_OFFSET;
    let read = Node::read(cursor, offset).ok();
    read.filter(|node| node.key.is_empty() && node.value.is_empty()).or_else(|| Node::assumed_dummy(cursor))
}

/// A node as the record it holds.
pub fn record<'a>(node: Node<'a>) -> Record<'a> {
    Record { key: node.key.into(), value: node.value.into(), span: node.span() }
}

/// The record at an offset where a scan has found one.
pub fn record_at(cursor: Cursor<'_>, offset: u32) -> Record<'_> {
    let nothing = || Record { key: (&[][..]).into(), value: (&[][..]).into(), span: Span::at(u64::from(offset), 0) };
    Node::read(cursor, u64::from(offset)).map_or_else(|_| nothing(), record)
}

/// The live records of a file by its pointers.
pub struct PointerView<'a> {
    list: List<'a>,
    order: KeyOrder,
    ranges: Vec<(u32, u32)>,
}

impl<'a> PointerView<'a> {
    /// A view in about `parts` parts, for lookups in `order`.
    pub fn new(list: List<'a>, order: KeyOrder, parts: usize) -> Self {
        PointerView { list, order, ranges: list.ranges(parts) }
    }
}

impl<'a> View<'a> for PointerView<'a> {
    fn parts(&self) -> usize {
        self.ranges.len()
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        if let Some(&(from, until)) = self.ranges.get(part) {
            self.list.walk(from, until, &mut |node| visit(record(node)));
        }
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let found = self.list.seek(self.order, key)?;
        (self.order.compare(found.key, key) == Ordering::Equal).then(|| record(found))
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let Some(first) = self.list.seek(self.order, prefix) else { return };
        let from = u32::try_from(first.offset).unwrap_or_default();
        self.list.walk(from, 0, &mut |node| node.key.starts_with(prefix) && visit(record(node)));
    }
}
