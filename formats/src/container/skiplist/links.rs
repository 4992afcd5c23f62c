//! What the pointers of a damaged file still tell: which records are in its list, and whether offsets can be trusted.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::bits::OffsetSet;
use super::layout::{Node, NodeKind};
use super::survey::Survey;
use super::view::List;
use crate::container::KeyOrder;
use crate::container::rows::{Row, Rows};
use crate::image::Cursor;

/// The level from which on the list is walked first: few enough records have it that it does not matter where in a row they
/// stand.
const UPPER_LEVEL: usize = 12;
/// How many records that are not live a way from one live record to the next may lead over.
const MOST_DETOUR: usize = 64;

/// How many records, at least, are asked where their pointers lead, to know whether offsets can be trusted.
const ASKED: usize = 1 << 15;

/// What the list says of a record, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It leads to a lesser key.
    Contradicted,
    /// No pointers lead to it.
    Unlinked,
    /// Pointers lead to it, and it leads to a record of the same key.
    Doubled,
    /// Pointers lead to it, and it leads to a greater key, to the end, or to what can't be read.
    Linked,
}

/// Records that some way of pointers from the head of the list leads to, over records whose keys ascend.
pub struct Links<'s, 'a> {
    order: KeyOrder,
    list: List<'a>,
    rows: &'s Rows,
    /// Where records stand.
    starts: OffsetSet,
    linked: OffsetSet,
    /// From here on nothing stands at the offset it was written at: bytes came into the file or went out of it here.
    pub displaced_from: u64,
}

impl<'s, 'a> Links<'s, 'a> {
    /// Follows the pointers of a file whose survey is known.
    pub fn follow(cursor: Cursor<'a>, order: KeyOrder, survey: &'s Survey<'a>) -> Self {
        let Survey { records, lost, rows, .. } = survey;
        let starts = OffsetSet::new(cursor);
        records.par_iter().for_each(|&offset| {
            starts.insert(u64::from(offset));
        });
        let (list, linked) = (List::new(cursor), OffsetSet::new(cursor));
        let mut links = Links { order, list, rows, starts, linked, displaced_from: u64::MAX };
        if let Some(head) = list.head() {
            // First the upper levels, then, side by side, what lies between their records.
            let mut nodes = vec![head];
            links.spread(&head, UPPER_LEVEL, &mut |node| nodes.push(node));
            nodes.par_iter().for_each(|node| links.spread(node, 0, &mut drop));
        }
        if let Some(first) = lost.first()
            && links.most_miss(records, first.span.start)
        {
            links.displaced_from = first.span.start;
        }
        links
    }

    /// Whether pointers lead to the record at an offset.
    pub fn contains(&self, offset: u32) -> bool {
        self.linked.contains(u64::from(offset))
    }

    /// Whether pointers lead to all records of a row.
    pub fn contains_row(&self, row: &Row) -> bool {
        self.linked.covers(&self.starts, row.first, row.last)
    }

    /// What the list says of a record.
    pub fn standing(&self, node: &Node<'a>) -> Standing {
        let next = node.pointer(0).and_then(|next| self.list.follow(next));
        let linked = self.linked.contains(node.offset);
        match next.map(|next| self.order.compare(node.key, next.key)) {
            Some(Ordering::Greater) => Standing::Contradicted,
            _ if !linked => Standing::Unlinked,
            Some(Ordering::Equal) => Standing::Doubled,
            Some(Ordering::Less) | None => Standing::Linked,
        }
    }

    /// Whether level 0 leads past `key`, from a record in front of it directly to one behind it.
    pub fn pass_over(&self, key: &[u8]) -> bool {
        let next = self.list.seek(self.order, key);
        next.is_some_and(|next| {
            self.linked.contains(next.offset) && self.order.compare(next.key, key) == Ordering::Greater
        })
    }

    /// Whether level 0 leads from `from` to the record at `to`, if need be over records that are not live or can't be read.
    pub fn lead_from_to(&self, from: Option<Node<'a>>, to: &Node<'a>) -> bool {
        let mut at = from;
        for _ in 0..MOST_DETOUR {
            let Some(next) = at.and_then(|node| node.pointer(0)) else { return true };
            if u64::from(next) == to.offset {
                return true;
            }
            let Ok(node) = self.list.read(next) else { return next != 0 };
            if self.order.compare(node.key, to.key) != Ordering::Less {
                return false;
            }
            at = Some(node);
        }
        false
    }

    /// Marks what pointers of `lowest` level and above lead to from a node, and tells of each node that it marks. Of what is
    /// marked as part of a row it does not tell.
    fn spread(&self, from: &Node<'a>, lowest: usize, tell: &mut dyn FnMut(Node<'a>)) {
        let mut stack = vec![*from];
        let mut mark = |from: Node<'a>, level, pointer, stack: &mut Vec<Node<'a>>| {
            if let Some(node) = self.fitting(&from, level, pointer)
                && self.linked.insert(node.offset)
            {
                tell(node);
                stack.push(node);
            }
        };
        while let Some(from) = stack.pop() {
            if let Some(row) = self.rows.at(from.offset).filter(|_| lowest == 0) {
                self.linked.insert_within(&self.starts, row.first, row.last);
                for (level, source, pointer) in self.ways_out(row).rev() {
                    if !self.linked.contains(u64::from(pointer))
                        && let Ok(from) = self.list.read(source)
                    {
                        mark(from, level, pointer, &mut stack);
                    }
                }
                continue;
            }
            for (level, pointer) in from.pointers().enumerate().skip(lowest).rev() {
                if !self.linked.contains(u64::from(pointer)) {
                    mark(from, level, pointer, &mut stack);
                }
            }
        }
    }

    /// The pointers that lead out of a row: the level of each, the record that has it, and where it leads.
    fn ways_out(&self, row: &Row) -> impl DoubleEndedIterator<Item = (usize, u32, u32)> + use<> {
        let word = |offset: u64| u32::try_from(offset).unwrap_or_default();
        let last = word(row.last);
        let lowest = self.list.read(last).ok().and_then(|node| node.pointer(0)).unwrap_or_default();
        let levels = self.rows.levels(row).iter().map(|level| (word(level.last), word(level.leads)));
        let ways: Vec<_> = std::iter::once((last, lowest)).chain(levels).enumerate().collect();
        ways.into_iter().map(|(level, (source, pointer))| (level, source, pointer))
    }

    /// The record that a pointer leads to, if it has that level and follows in key order.
    fn fitting(&self, from: &Node<'a>, level: usize, pointer: u32) -> Option<Node<'a>> {
        let node = Some(pointer)
            .filter(|&offset| self.starts.contains(u64::from(offset)))
            .and_then(|at| self.list.follow(at))?;
        let ascends = from.kind == NodeKind::Dummy || self.order.compare(from.key, node.key) == Ordering::Less;
        (ascends && node.level() > level).then_some(node)
    }

    /// Whether so many pointers to what lies behind `first` miss that it can't all be damage of their own. Of many records
    /// some are asked.
    fn most_miss(&self, records: &[u32], first: u64) -> bool {
        let step = (records.len() / ASKED) | 1;
        let nodes = records.par_iter().step_by(step).filter_map(|&offset| self.list.follow(offset));
        let count = |node: Node<'a>| {
            let behind = node.pointers().enumerate().filter(|&(_, pointer)| u64::from(pointer) > first);
            behind.fold((0_u64, 0_u64), |(hits, misses), (level, pointer)| match self.fitting(&node, level, pointer) {
                Some(_) => (hits + 1, misses),
                None => (hits, misses + 1),
            })
        };
        let both = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
        let head = self.list.head().map(count).unwrap_or_default();
        let (hits, misses) = both(head, nodes.map(count).reduce(Default::default, both));
        misses > hits / 2
    }
}
