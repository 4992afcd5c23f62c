//! The quick look at a file that is sound, as most are: every byte, every sum, every pointer, on all threads, without a
//! word about what is wrong. Whatever does not fit sends the file to the careful look.

use rayon::prelude::*;

use super::super::bits::Bits;
use super::super::layout::{ALIGN, BLANK, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, MAX_LEVEL, Type, choose, dummy};
use super::super::live::Live;
use super::super::scan::Heads;
use super::super::view::File;
use super::Totals;
use crate::container::{KeyOrder, OrderTally};

/// Bytes of a file for which one part is worth while.
const PART_LEN: u64 = 1 << 20;

/// The sets that both looks fill: where records and DELETEs start, which records were reached, and which DELETEs and
/// idle targets were named.
struct Marks {
    starts: Bits,
    reached: Bits,
    named: Bits,
}

/// What is known of a sound file; `None` if it is not sound, or not for certain.
pub fn look(file: File<'_>, header: &Header) -> Option<Totals> {
    let len = file.cursor.len();
    let size_fits = header.current_size == len && header.repack_size <= len && header.repack_size >= FIRST_OFFSET;
    let plain = header.flags == 0 && header.generation > 0 && header.repack_size.is_multiple_of(ALIGN);
    let dummy = dummy(file.cursor)?;
    if !size_fits || !plain || !dummy.head_is_right(file.cursor) || !dummy.tail_is_right(file.cursor) {
        return None;
    }
    let marks = Marks { starts: Bits::new(len), reached: Bits::new(len), named: Bits::new(len) };
    let parts = usize::try_from(len / PART_LEN).unwrap_or(1).clamp(1, 8 * rayon::current_num_threads());
    let splits = file.splits(parts);
    let (bytes, list) = rayon::join(|| read_all(file, &splits, &marks.starts), || walk_all(file, &splits, &marks));
    let (bytes, list) = (bytes?, list?);
    let mut orders = list.tally.fitting(KeyOrder::Unsigned);
    orders.retain(|&order| order != KeyOrder::Signed);
    let counts_agree = list.nodes == header.num_records && marks.reached.count() == list.nodes;
    let known = marks.reached.is_subset(&marks.starts) && marks.named.is_subset(&marks.starts);
    if !counts_agree || !known || orders.is_empty() {
        return None;
    }
    let all_live = bytes.deletes == 0 && bytes.records == list.nodes;
    // Which order the keys of few live records stand in, only those that died may tell.
    (all_live || orders.into_iter().any(|order| replays(file, order, &marks.reached, list.nodes)))
        .then_some(Totals { tally: list.tally, live_bytes: list.bytes })
}

/// One stretch of the file in physical order.
#[derive(Default)]
struct Stretch {
    records: u64,
    deletes: u64,
    /// What its first COMMIT names.
    first_start: Option<u64>,
    /// The end of its last COMMIT.
    last_end: Option<u64>,
}

/// Reads the file from its first transaction to its end, split at places where records start.
fn read_all(file: File<'_>, splits: &[u64], starts: &Bits) -> Option<Stretch> {
    let mut edges = Vec::with_capacity(splits.len() + 2);
    edges.push(FIRST_OFFSET);
    edges.extend(splits.iter().copied().filter(|&at| at > FIRST_OFFSET && at < file.cursor.len()));
    edges.push(file.cursor.len());
    edges.sort_unstable();
    let stretches: Vec<Option<Stretch>> = edges
        .par_windows(2)
        .map(|edge| match edge {
            [from, to] => read(file, *from, *to, starts),
            _ => None,
        })
        .collect();
    let mut all = Stretch { last_end: Some(FIRST_OFFSET), ..Stretch::default() };
    for stretch in stretches {
        let stretch = stretch?;
        if stretch.first_start.is_some_and(|start| Some(start) != all.last_end) {
            return None;
        }
        all.records += stretch.records;
        all.deletes += stretch.deletes;
        all.last_end = stretch.last_end.or(all.last_end);
    }
    (all.last_end == Some(file.cursor.len())).then_some(all)
}

fn read(file: File<'_>, from: u64, to: u64, starts: &Bits) -> Option<Stretch> {
    let cursor = file.cursor;
    let mut stretch = Stretch::default();
    let mut at = from;
    while at < to {
        if cursor.be_u64(at)? == BLANK {
            at += ALIGN;
            continue;
        }
        let head = Head::decode(cursor, at).filter(|head| head.end <= to)?;
        if !head.head_is_right(cursor) || !head.tail_is_right(cursor) {
            return None;
        }
        match head.kind {
            Type::Record if head.key_len > 0 && head.padding_is_zero(cursor) => {
                stretch.records += 1;
                starts.insert(at);
            }
            Type::Delete => {
                stretch.deletes += 1;
                starts.insert(at);
            }
            Type::Commit => {
                let start = head.word(cursor);
                match stretch.last_end {
                    None => stretch.first_start = Some(start),
                    Some(end) if end != start => return None,
                    Some(_) => {}
                }
                stretch.last_end = Some(head.end);
            }
            Type::Record | Type::Dummy => return None,
        }
        at = head.end;
    }
    (at == to).then_some(stretch)
}

/// One part of the list in key order.
struct Part<'a> {
    nodes: u64,
    bytes: u64,
    tally: OrderTally,
    /// First and last key, with their offsets.
    ends: Option<[(&'a [u8], u64); 2]>,
    /// For each level, the first node of it met; 0 if there was none.
    first: [u64; MAX_LEVEL as usize],
    /// For each level, the pointer of the last node of it met.
    last: [u64; MAX_LEVEL as usize],
}

/// Walks the whole list in parts and checks that they fit together.
fn walk_all<'a>(file: File<'a>, splits: &[u64], marks: &Marks) -> Option<Part<'a>> {
    let mut all = empty_part();
    let dummy = dummy(file.cursor)?;
    let (first, _) = link(file, &dummy, marks)?;
    let inner = splits.iter().copied().filter(|&split| split != first);
    let edges: Vec<u64> = std::iter::once(first).chain(inner).chain([0]).collect();
    let parts: Vec<Option<Part<'a>>> = edges
        .par_windows(2)
        .map(|edge| match edge {
            [from, to] => walk(file, *from, *to, marks),
            _ => None,
        })
        .collect();
    take_pointers(file, &dummy, &mut all.last);
    for part in parts {
        join(&mut all, part?)?;
    }
    all.last.iter().all(|&pointer| pointer == 0).then_some(all)
}

fn empty_part<'a>() -> Part<'a> {
    let none = [0; MAX_LEVEL as usize];
    Part { nodes: 0, bytes: 0, tally: OrderTally::default(), ends: None, first: none, last: none }
}

/// Adds the part behind it to `all`.
fn join<'a>(all: &mut Part<'a>, part: Part<'a>) -> Option<()> {
    for ((expected, first), last) in all.last.iter_mut().zip(part.first).zip(part.last) {
        if first != 0 {
            if *expected != first {
                return None;
            }
            *expected = last;
        }
    }
    all.nodes += part.nodes;
    all.bytes += part.bytes;
    if let Some([first, last]) = part.ends {
        if let Some([_, before]) = all.ends {
            all.tally.push(before, first);
        }
        all.ends = Some([all.ends.map_or(first, |[earliest, _]| earliest), last]);
    }
    all.tally.append(&part.tally);
    Some(())
}

/// Checks both level-0 pointers of a node; the record that follows, and whether a DELETE stands in between.
#[inline]
fn link(file: File<'_>, head: &Head, marks: &Marks) -> Option<(u64, bool)> {
    let (first, second) = (head.pointer(file.cursor, 0), head.pointer(file.cursor, 1));
    let next = choose(first, second, file.limit);
    let mut delete = false;
    for pointer in [first, second] {
        if pointer == 0 {
            continue;
        }
        if pointer >= file.limit || pointer % ALIGN != 0 {
            return None;
        }
        match file.cursor.u8(pointer)? {
            b'+' if pointer == next => {}
            b'+' => {
                marks.named.insert(pointer);
            }
            b'-' => {
                delete |= pointer == next;
                marks.named.insert(pointer);
            }
            _ => return None,
        }
    }
    if first == second && first != 0 {
        return None;
    }
    Some((if delete { Head::decode(file.cursor, next)?.word(file.cursor) } else { next }, delete))
}

fn take_pointers(file: File<'_>, head: &Head, last: &mut [u64; MAX_LEVEL as usize]) {
    for (level, last) in (0..head.level).zip(last.iter_mut()).skip(1) {
        *last = head.pointer(file.cursor, level + 1);
    }
}

/// Walks from the record at `start` to the one at `stop`.
fn walk<'a>(file: File<'a>, start: u64, stop: u64, marks: &Marks) -> Option<Part<'a>> {
    let mut part = empty_part();
    let mut at = start;
    let mut before: Option<(&[u8], u64)> = None;
    while at != stop {
        let head = file.record(at)?;
        if marks.reached.insert(at) {
            return None;
        }
        let levels = part.first.iter_mut().zip(part.last.iter_mut()).take(head.level.into());
        for (level, (first, last)) in levels.enumerate().skip(1) {
            if *first == 0 {
                *first = at;
            } else if *last != at {
                return None;
            }
            *last = head.pointer(file.cursor, level as u8 + 1);
        }
        let key = (head.key(file.cursor), at);
        match before {
            Some(before) => part.tally.push(before, key),
            None => part.ends = Some([key, key]),
        }
        before = Some(key);
        part.nodes += 1;
        part.bytes += head.end - head.offset;
        if part.bytes > file.limit {
            return None;
        }
        at = link(file, &head, marks)?.0;
    }
    if let (Some([_, last]), Some(before)) = (&mut part.ends, before) {
        *last = before;
    }
    Some(part)
}

/// Whether replaying the file leaves live what pointers reach.
fn replays(file: File<'_>, order: KeyOrder, reached: &Bits, nodes: u64) -> bool {
    let mut live = Live::new(file.cursor, order);
    for head in Heads::new(file.cursor, DUMMY_OFFSET, file.limit) {
        match head.kind {
            Type::Record => drop(live.add(&head)),
            Type::Delete => match live.deletion(&head) {
                super::super::live::Deletion { old: Some(old), certain: true } => live.remove(old),
                _ => return false,
            },
            Type::Dummy | Type::Commit => {}
        }
    }
    let mut count = 0;
    live.iter().all(|offset| {
        count += 1;
        reached.contains(offset)
    }) && count == nodes
}
