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
    let logstart = u64::from(header.logstart);
    let list = List::new(cursor);
    let len = u32::try_from(cursor.len()).ok()?;
    let head = list.head().filter(|head| head.end() == FIRST_RECORD && logstart <= u64::from(len))?;
    let curlevel = usize::try_from(header.curlevel).unwrap_or_default();
    if logstart == u64::from(len) {
        // Each record leads to the one behind it, and the last one to nothing: the chain is the physical order.
        let first = u32::try_from(FIRST_RECORD).ok().map(|first| first % len);
        let is_next = |node: &Node<'_>| node.pointer(0) == u32::try_from(node.end()).ok().map(|end| end % len);
        // A node that may have swallowed others is the scan's to judge.
        let accept = |node: &Node<'_>| node.kind == NodeKind::Inorder && is_next(node) && !holds_zeros(node);
        return graph(list, head, curlevel, &accept).filter(|_| head.pointer(0) == first).map(|(count, _)| count);
    }
    let seen = OffsetSet::new(cursor);
    let (read, linked) =
        rayon::join(|| replay(cursor, logstart), || graph(list, head, curlevel, &|node| seen.insert(node.offset)));
    let ((live, mut tally), (count, keys)) = read.zip(linked)?;
    tally.append(&keys);
    (some_order_fits(&tally) && live.same(&seen)).then_some(count)
}

/// What one part of level 0 says about all levels: the first node of each, and where its last one leads.
struct Part {
    first: [u32; LEVELS],
    next: [u32; LEVELS],
    tally: OrderTally,
    count: u64,
}

/// The number of nodes and the order of their keys, if every pointer of every level leads to the next node of that
/// level, keys ascend, and `accept` takes each node.
fn graph<'a>(
    list: List<'a>,
    head: Node<'a>,
    curlevel: usize,
    accept: &(dyn Fn(&Node<'a>) -> bool + Sync),
) -> Option<(u64, OrderTally)> {
    let ranges = list.ranges(rayon::current_num_threads() * 8);
    let parts =
        ranges.par_iter().map(|&range| walk_part(list, range, curlevel, accept)).collect::<Option<Vec<Part>>>()?;
    let mut expected: Vec<u32> = head.pointers().collect();
    let mut tally = OrderTally::default();
    for part in &parts {
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
    accept: &(dyn Fn(&Node<'a>) -> bool + Sync),
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
