//! Proves in one pass over the file and one over its pointers that a file is sound.
//!
//! Nothing is allocated for a record, only a bit for every four bytes of the file; both passes run side by side, and the
//! second is itself divided by the list's upper levels. Where the proof fails, [`careful`](super::careful) says why.

use std::hash::{BuildHasher, RandomState};

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bits::OffsetSet;
use super::layout::{FIRST_RECORD, Header, MAX_LEVEL, Node, NodeKind};
use super::scan::{Item, Scan};
use super::view::List;
use crate::container::{KeyOrder, OrderTally};
use crate::image::Cursor;

const LEVELS: usize = MAX_LEVEL as usize;
/// No offset of a node: stands for a level that a part has not met yet.
const UNSEEN: u32 = u32::MAX;
/// How many deletions are looked at in one go.
const DELETIONS_AT_ONCE: usize = 1 << 20;

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
        let accept = |node: &Node<'_>| node.kind == NodeKind::Inorder && is_next(node);
        return graph(list, head, curlevel, &accept).filter(|_| head.pointer(0) == first);
    }
    let seen = OffsetSet::new(cursor);
    let (live, linked) =
        rayon::join(|| replay(cursor, logstart), || graph(list, head, curlevel, &|node| seen.insert(node.offset)));
    linked.filter(|_| live.is_some_and(|live| live.same(&seen)))
}

/// What one part of level 0 says about all levels: the first node of each, and where its last one leads.
struct Part {
    first: [u32; LEVELS],
    next: [u32; LEVELS],
    tally: OrderTally,
    count: u64,
}

/// The number of nodes if every pointer of every level leads to the next node of that level, keys ascend, and `accept` takes each node.
fn graph<'a>(
    list: List<'a>,
    head: Node<'a>,
    curlevel: usize,
    accept: &(dyn Fn(&Node<'a>) -> bool + Sync),
) -> Option<u64> {
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
    (ends && some_order_fits(&tally)).then(|| parts.iter().map(|part| part.count).sum())
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

/// The live records that the file's items leave, read in order; `None` if anything in it is not as it should be.
fn replay(cursor: Cursor<'_>, logstart: u64) -> Option<OffsetSet> {
    let live = OffsetSet::new(cursor);
    let mut deletions = false;
    let mut committed = false;
    let mut log_met = false;
    for item in Scan::new(cursor) {
        let in_log = item.span().start >= logstart;
        if in_log && !log_met && item.span().start != logstart {
            return None;
        }
        log_met = in_log;
        committed = false;
        let sound = match item {
            Item::Dummy(_) => true,
            Item::Record(node) => {
                let place = (node.kind == NodeKind::Add) == in_log;
                place && node.is_flawless() && live.insert(node.offset)
            }
            Item::Delete { target, .. } => {
                deletions = true;
                in_log && live.remove(u64::from(target))
            }
            Item::Commit(_) => {
                committed = true;
                in_log
            }
            Item::Zeros(_) | Item::Torn(..) | Item::Gap(..) => false,
        };
        if !sound {
            return None;
        }
    }
    (committed && !(deletions && adds_live_key(cursor, logstart))).then_some(live)
}

/// A record that the log deletes: the hash of its key, and from where to where in the file it was live.
type Life = (u64, u32, u32);

/// Whether any ADD of the log has the key of a record that was live then and deleted later.
///
/// What was live to the end needs no look: two live records of one key can't both stand in a list that ascends.
fn adds_live_key(cursor: Cursor<'_>, logstart: u64) -> bool {
    let seed = RandomState::new().hash_one(cursor.len());
    let mut scan = Scan::from(cursor, logstart);
    loop {
        let mut lives: Vec<Life> = Vec::new();
        for item in scan.by_ref() {
            if let Item::Delete { span, target } = item
                && let (Ok(node), Ok(end)) = (Node::read(cursor, u64::from(target)), u32::try_from(span.start))
            {
                lives.push((xxh3_64_with_seed(node.key, seed), target, end));
            }
            if lives.len() >= DELETIONS_AT_ONCE {
                break;
            }
        }
        if lives.is_empty() {
            return false;
        }
        lives.sort_unstable();
        let added = |item: Item<'_>| matches!(item, Item::Record(node) if is_within_life(cursor, &lives, &node, seed));
        if Scan::from(cursor, logstart).any(added) {
            return true;
        }
    }
}

/// Whether a record of `node`'s key was live where `node` stands. Lives of one key follow each other, so the last that
/// began in front of it tells; a few more are looked at for the sake of keys that share a hash.
fn is_within_life(cursor: Cursor<'_>, lives: &[Life], node: &Node<'_>, seed: u64) -> bool {
    let Ok(offset) = u32::try_from(node.offset) else { return true };
    let hash = xxh3_64_with_seed(node.key, seed);
    let behind = lives.partition_point(|&(h, start, _)| (h, start) < (hash, offset));
    let earlier = lives.get(..behind).unwrap_or_default().iter().rev();
    earlier.take_while(|life| life.0 == hash).take(4).any(|&(_, start, end)| {
        end > offset && Node::read(cursor, u64::from(start)).is_ok_and(|old| old.key == node.key)
    })
}
