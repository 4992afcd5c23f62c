//! The quick look at a file that is sound, as most are: every byte, every sum, every pointer, on all threads, without a
//! word about what is wrong. Whatever does not fit sends the file to the careful look.

use rayon::prelude::*;

use super::super::layout::{ALIGN, BLANK, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, MAX_LEVEL, Type, choose, dummy};
use super::super::live::Live;
use super::super::scan::Heads;
use super::super::view::File;
use super::Totals;
use crate::container::bits::Bits;
use crate::container::{KeyOrder, OrderTally};

/// Bytes of a file for which one part is worth while.
const PART_LEN: u64 = 1 << 20;
/// Most parts: of a part of the largest files much is still in a cache when it is read again.
const PARTS_MAX: usize = 512;

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
    let splits = file.splits(usize::try_from(len / PART_LEN).unwrap_or(1).clamp(1, PARTS_MAX));
    // A repack writes records in key order: each stretch of such a file is a part of its list, and read twice while it
    // is in a cache.
    let stretches = physical_edges(file, &splits);
    let parts = list_edges(file, &dummy, &splits, &marks)?;
    let both: Option<Vec<_>> = (0..stretches.len().max(parts.len()))
        .into_par_iter()
        .map(|i| {
            let stretch = match stretches.get(i..=i + 1) {
                Some(&[from, to]) => Some(read(file, from, to, &marks.starts)?),
                _ => None,
            };
            let part = match parts.get(i..=i + 1) {
                Some(&[from, to]) => Some(walk(file, from, to, &marks)?),
                _ => None,
            };
            Some((stretch, part))
        })
        .collect();
    let (stretches, parts): (Vec<_>, Vec<_>) = both?.into_iter().unzip();
    let bytes = read_all(file, stretches.into_iter().flatten())?;
    let list = walk_all(file, &dummy, parts.into_iter().flatten())?;
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

/// Where the stretches of the file meet, from its first transaction to its end: places where records start.
fn physical_edges(file: File<'_>, splits: &[u64]) -> Vec<u64> {
    let end = file.cursor.len();
    let mut edges = vec![FIRST_OFFSET, end];
    edges.extend(splits.iter().copied().filter(|&at| at > FIRST_OFFSET && at < end));
    edges.sort_unstable();
    edges
}

/// Whether the stretches of the whole file fit together, and what they hold.
fn read_all(file: File<'_>, stretches: impl Iterator<Item = Stretch>) -> Option<Stretch> {
    let mut all = Stretch { last_end: Some(FIRST_OFFSET), ..Stretch::default() };
    for stretch in stretches {
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

/// Where the parts of the list meet: its first record, the splits, the end.
fn list_edges(file: File<'_>, dummy: &Head, splits: &[u64], marks: &Marks) -> Option<Vec<u64>> {
    let (first, _) = link(file, dummy, marks)?;
    let inner = splits.iter().copied().filter(|&split| split != first);
    Some(std::iter::once(first).chain(inner).chain([0]).collect())
}

/// Whether the parts of the whole list fit together, and what they hold.
fn walk_all<'a>(file: File<'a>, dummy: &Head, parts: impl Iterator<Item = Part<'a>>) -> Option<Part<'a>> {
    let mut all = empty_part();
    take_pointers(file, dummy, &mut all.last);
    for part in parts {
        join(&mut all, part)?;
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
        if !marks.reached.insert(at) {
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
