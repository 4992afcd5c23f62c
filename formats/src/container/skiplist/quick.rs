//! Proves in one pass over the file and one over its pointers that a file is sound.
//!
//! Nothing is allocated for a record, only a bit for every four bytes of the file; both passes run side by side, and the
//! second is itself divided by the list's upper levels. Where the proof fails, [`careful`](super::careful) says why.

use rayon::prelude::*;

use super::bits::OffsetSet;
use super::layout::{FIRST_RECORD, Header, MAX_LEVEL, Node, NodeKind};
use super::lives;
use super::scan::{Item, Scan, holds_zeros};
use super::view::List;
use crate::container::{KeyOrder, OrderTally};
use crate::image::Cursor;

const LEVELS: usize = MAX_LEVEL as usize;
/// No offset of a node: stands for a level that a part has not met yet.
const UNSEEN: u32 = u32::MAX;

/// The number of live records if everything behind the header is as a healthy Cyrus leaves it. The header itself must
/// have been found sound.
pub fn prove(cursor: Cursor<'_>, header: &Header) -> Option<u64> {
    if let Some(chain) = Chain::new(cursor, header) {
        let ranges = chain.list.ranges(rayon::current_num_threads() * 8);
        let walk = |&range: &(u32, u32)| chain.walk(range, &mut |_| true);
        return chain.count(&ranges.par_iter().map(walk).collect::<Option<Vec<Part>>>()?);
    }
    let (list, head) = head(cursor, header)?;
    let logstart = u64::from(header.logstart);
    let seen = OffsetSet::new(cursor);
    let (read, linked) = rayon::join(|| replay(cursor, logstart), || graph(list, head, header, &seen));
    let ((live, mut tally), (count, keys)) = read.zip(linked)?;
    tally.append(&keys);
    (some_order_fits(&tally) && live.same(&seen)).then_some(count)
}

/// The list and its head, if that and where the header puts the log are as they should be.
fn head<'a>(cursor: Cursor<'a>, header: &Header) -> Option<(List<'a>, Node<'a>)> {
    let list = List::new(cursor);
    let len = u32::try_from(cursor.len()).ok()?;
    let head = list.head().filter(|head| head.end() == FIRST_RECORD && header.logstart <= len)?;
    Some((list, head))
}

/// A file without a log: each record leads to the one behind it, and the last one to nothing. The list is the physical
/// order.
pub struct Chain<'a> {
    /// Its list.
    pub list: List<'a>,
    head: Node<'a>,
    len: u32,
    curlevel: usize,
}

impl<'a> Chain<'a> {
    /// A file whose header was found sound; `None` if it has a log, or is not sound.
    pub fn new(cursor: Cursor<'a>, header: &Header) -> Option<Self> {
        let (list, head) = head(cursor, header)?;
        let len = u32::try_from(cursor.len()).ok().filter(|&len| header.logstart == len && len > 0)?;
        Some(Chain { list, head, len, curlevel: curlevel(header) })
    }

    /// Walks a part of the list, up to where something is not as it should be; `None` then.
    pub fn walk(&self, range: (u32, u32), visit: &mut impl FnMut(&Node<'a>) -> bool) -> Option<Part> {
        let is_next = |node: &Node<'_>| node.pointer(0) == u32::try_from(node.end()).ok().map(|end| end % self.len);
        // A node that may have swallowed others is the scan's to judge.
        let sound = |node: &Node<'_>| node.kind == NodeKind::Inorder && is_next(node) && !holds_zeros(node);
        walk_part(self.list, range, self.curlevel, &mut |node| sound(node) && visit(node))
    }

    /// The number of records, if these parts make the whole of a sound file.
    pub fn count(&self, parts: &[Part]) -> Option<u64> {
        let first = u32::try_from(FIRST_RECORD).ok().map(|first| first % self.len);
        let (count, _) = join(&self.head, parts).filter(|_| self.head.pointer(0) == first)?;
        Some(count)
    }
}

fn curlevel(header: &Header) -> usize {
    usize::try_from(header.curlevel).unwrap_or_default()
}

/// What one part of level 0 says about all levels: the first node of each, and where its last one leads.
pub struct Part {
    first: [u32; LEVELS],
    next: [u32; LEVELS],
    tally: OrderTally,
    count: u64,
}

/// The number of nodes and the order of their keys, if every pointer of every level leads to the next node of that
/// level, keys ascend, and no node was `seen` before.
fn graph<'a>(list: List<'a>, head: Node<'a>, header: &Header, seen: &OffsetSet) -> Option<(u64, OrderTally)> {
    let ranges = list.ranges(rayon::current_num_threads() * 8);
    let walk = |&range: &(u32, u32)| walk_part(list, range, curlevel(header), &mut |node| seen.insert(node.offset));
    join(&head, &ranges.par_iter().map(walk).collect::<Option<Vec<Part>>>()?)
}

/// The number of nodes and the order of their keys, if parts fit together.
fn join(head: &Node<'_>, parts: &[Part]) -> Option<(u64, OrderTally)> {
    let mut expected: Vec<u32> = head.pointers().collect();
    let mut tally = OrderTally::default();
    for part in parts {
        for (expected, (&first, &next)) in expected.iter_mut().zip(part.first.iter().zip(&part.next)) {
            if first == UNSEEN {
                continue;
            }
            if *expected != first {
                return None;
            }
            *expected = next;
        }
        tally.append(&part.tally);
    }
    let ends = expected.iter().all(|&pointer| pointer == 0);
    (ends && some_order_fits(&tally)).then(|| (parts.iter().map(|part| part.count).sum(), tally))
}

fn some_order_fits(tally: &OrderTally) -> bool {
    KeyOrder::ALL.iter().any(|&order| tally.fits(order))
}

/// Walks one part; `None` as soon as something is not as it should be. Ascending keys keep it from going in a circle.
fn walk_part<'a>(
    list: List<'a>,
    (from, until): (u32, u32),
    curlevel: usize,
    accept: &mut impl FnMut(&Node<'a>) -> bool,
) -> Option<Part> {
    let mut part = Part { first: [UNSEEN; LEVELS], next: [UNSEEN; LEVELS], tally: OrderTally::default(), count: 0 };
    let mut at = from;
    let mut before: Option<Node<'a>> = None;
    while at != until {
        let node = list.follow(at).filter(|node| node.is_flawless() && node.level() <= curlevel)?;
        for (pointer, (first, next)) in node.pointers().zip(part.first.iter_mut().zip(&mut part.next)) {
            if *next == UNSEEN {
                *first = at;
            } else if *next != at {
                return None;
            }
            *next = pointer;
        }
        if !accept(&node) || !ascends(&mut part.tally, before, &node) {
            return None;
        }
        before = Some(node);
        part.count += 1;
        at = node.pointer(0)?;
    }
    // The step into the next part; at the end of the list there is none.
    list.follow(until).is_none_or(|node| ascends(&mut part.tally, before, &node)).then_some(part)
}

#[inline]
fn ascends(tally: &mut OrderTally, before: Option<Node<'_>>, node: &Node<'_>) -> bool {
    let Some(before) = before else { return true };
    tally.push((before.key, before.offset), (node.key, node.offset));
    some_order_fits(tally)
}

/// The live records that the file's items leave, read in order, and the order of its INORDER records; `None` if anything
/// in it is not as it should be.
fn replay(cursor: Cursor<'_>, logstart: u64) -> Option<(OffsetSet, OrderTally)> {
    let live = OffsetSet::new(cursor);
    let mut tally = OrderTally::default();
    let mut before: Option<Node<'_>> = None;
    let mut deletions = false;
    let mut committed = false;
    let mut log_met = false;
    for item in Scan::new(cursor) {
        let start = item.span().start;
        let in_log = start >= logstart;
        if in_log && !log_met && start != logstart {
            return None;
        }
        log_met = in_log;
        committed = matches!(item, Item::Commit(_));
        let sound = match item {
            Item::Dummy(_) => true,
            Item::Record(node) => {
                let in_order = in_log || ascends(&mut tally, before.replace(node), &node);
                let in_place = (node.kind == NodeKind::Add) == in_log;
                in_order && in_place && node.is_flawless() && live.insert(node.offset)
            }
            Item::Delete { target, .. } => {
                deletions = true;
                in_log && live.remove(u64::from(target))
            }
            Item::Commit(_) => in_log,
            Item::Zeros(_) | Item::Torn(..) | Item::Gap(..) => false,
        };
        if !sound {
            return None;
        }
    }
    let sound = committed && !(deletions && lives::overlap(cursor, logstart, &live));
    sound.then_some((live, tally))
}
