//! The quick look at a file that is sound, as most are: every byte, every sum, every pointer, on all threads, without a
//! word about what is wrong. Whatever does not fit sends the file to the careful look.

use rayon::prelude::*;

use super::super::layout::{ALIGN, BLANK, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, MAX_LEVEL, Type, choose, dummy};
use super::super::live::Live;
use super::super::scan::Heads;
use super::super::view::File;
use super::Totals;
use crate::container::bits::{Bits, Pen};
use crate::container::{KeyOrder, OrderTally};

/// Bytes of a file for which one part is worth while.
const PART_LEN: u64 = 1 << 20;
/// Most parts: enough for threads to share, and few enough to be found quickly.
const PARTS_MAX: usize = 128;

/// The sets that both looks fill: where records and DELETEs start, which records were reached, and which DELETEs and
/// idle targets were named.
struct Marks {
    starts: Bits,
    reached: Bits,
    named: Bits,
}

/// What is known of a sound file; `None` if it is not sound, or not for certain.
pub fn look(file: File<'_>, header: &Header) -> Option<Totals> {
    let wanted = usize::try_from(file.cursor.len() / PART_LEN).unwrap_or(1).clamp(1, PARTS_MAX);
    let quick = Quick::new(file, header, wanted)?;
    let read = |part| quick.read(part, &mut |_| true);
    quick.totals((0..quick.parts()).into_par_iter().map(read).collect::<Option<_>>()?)
}

/// A file of which nothing is wrong so far, and what both looks fill.
pub struct Quick<'a> {
    file: File<'a>,
    header: Header,
    dummy: Head,
    marks: Marks,
    /// Where the stretches of the file meet. A repack writes records in key order: each stretch of such a file is a part
    /// of its list, and both are read in step.
    stretches: Vec<u64>,
    /// Where the parts of the list meet.
    parts: Vec<u64>,
}

impl<'a> Quick<'a> {
    /// A file whose header was found sound, in about `wanted` parts; `None` if the file is not, or not for certain.
    pub fn new(file: File<'a>, header: &Header, wanted: usize) -> Option<Self> {
        let len = file.cursor.len();
        let size_fits = header.current_size == len && header.repack_size <= len && header.repack_size >= FIRST_OFFSET;
        let plain = header.flags == 0 && header.generation > 0 && header.repack_size.is_multiple_of(ALIGN);
        let dummy = dummy(file.cursor)?;
        if !size_fits || !plain || !dummy.head_is_right(file.cursor) || !dummy.tail_is_right(file.cursor) {
            return None;
        }
        let marks = Marks { starts: Bits::new(len), reached: Bits::new(len), named: Bits::new(len) };
        let splits = file.splits(wanted);
        let (stretches, parts) = (physical_edges(file, &splits), list_edges(file, &dummy, &splits, &marks)?);
        Some(Quick { file, header: *header, dummy, marks, stretches, parts })
    }

    /// Number of parts.
    pub fn parts(&self) -> usize {
        self.stretches.len().max(self.parts.len()).saturating_sub(1)
    }

    /// Reads a stretch of the file, and walks a part of the list along with it; `None` if something is not as it should
    /// be.
    pub fn read(&self, part: usize, visit: &mut impl FnMut(&Head) -> bool) -> Option<(Stretch, Part<'a>)> {
        let between = |edges: &[u64]| match edges.get(part..=part.saturating_add(1)) {
            Some(&[from, to]) => (from, to),
            _ => (0, 0),
        };
        let walker = Walker::new(self.file, between(&self.parts), &self.marks, visit);
        read(self.file, between(&self.stretches), walker, &self.marks.starts)
    }

    /// What is known, if these are all parts, and make a sound file.
    pub fn totals(&self, both: Vec<(Stretch, Part<'a>)>) -> Option<Totals> {
        let (file, marks) = (self.file, &self.marks);
        let (stretches, parts): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        let bytes = read_all(file, stretches.into_iter())?;
        let list = walk_all(file, &self.dummy, parts.into_iter())?;
        let mut orders = list.tally.fitting(KeyOrder::Unsigned);
        orders.retain(|&order| order != KeyOrder::Signed);
        let counts_agree = list.nodes == self.header.num_records && marks.reached.count() == list.nodes;
        let known = marks.reached.is_subset(&marks.starts) && marks.named.is_subset(&marks.starts);
        if !counts_agree || !known || orders.is_empty() {
            return None;
        }
        let all_live = bytes.deletes == 0 && bytes.records == list.nodes;
        // Which order the keys of few live records stand in, only those that died may tell.
        (all_live || orders.into_iter().any(|order| replays(file, order, &marks.reached, list.nodes)))
            .then_some(Totals { tally: list.tally, live_bytes: list.bytes })
    }
}

/// One stretch of the file in physical order.
#[derive(Default)]
pub struct Stretch {
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

/// Reads a stretch, and a part of the list in step with it as long as they are the same.
fn read<'a>(
    file: File<'a>,
    (from, to): (u64, u64),
    mut walker: Walker<'a, '_, impl FnMut(&Head) -> bool>,
    starts: &Bits,
) -> Option<(Stretch, Part<'a>)> {
    let cursor = file.cursor;
    let mut stretch = Stretch::default();
    let mut starts = starts.pen();
    let mut at = from;
    walker.walk_out_of(from, to)?;
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
                if walker.next == at {
                    walker.take(&head)?;
                    walker.walk_out_of(head.end, to)?;
                }
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
    walker.walk_out_of(0, 0)?;
    (at == to).then_some((stretch, walker.part))
}

/// One part of the list in key order.
pub struct Part<'a> {
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
    let first = link(file, dummy, &mut marks.named.pen())?;
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

fn take_pointers(file: File<'_>, head: &Head, last: &mut [u64; MAX_LEVEL as usize]) {
    for (level, last) in (0..head.level).zip(last.iter_mut()).skip(1) {
        *last = head.pointer(file.cursor, level + 1);
    }
}

/// Checks both level-0 pointers of a node; the record that follows.
#[inline]
fn link(file: File<'_>, head: &Head, named: &mut Pen<'_>) -> Option<u64> {
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
            b'+' => named.insert(pointer),
            b'-' => {
                delete |= pointer == next;
                named.insert(pointer);
            }
            _ => return None,
        }
    }
    if first == second && first != 0 {
        return None;
    }
    if delete { Some(Head::decode(file.cursor, next)?.word(file.cursor)) } else { Some(next) }
}

/// Follows one part of the list.
struct Walker<'a, 'm, V> {
    file: File<'a>,
    part: Part<'a>,
    reached: Pen<'m>,
    named: Pen<'m>,
    /// The record that comes next.
    next: u64,
    /// The first record behind the part.
    stop: u64,
    visit: &'m mut V,
}

impl<'a, 'm, V: FnMut(&Head) -> bool> Walker<'a, 'm, V> {
    fn new(file: File<'a>, (start, stop): (u64, u64), marks: &'m Marks, visit: &'m mut V) -> Self {
        let (reached, named) = (marks.reached.pen(), marks.named.pen());
        Walker { file, part: empty_part(), reached, named, next: start, stop, visit }
    }

    /// Takes records until the next one stands from `from` to `to`, or until the part ends.
    #[inline]
    fn walk_out_of(&mut self, from: u64, to: u64) -> Option<()> {
        while self.next != self.stop && !(from..to).contains(&self.next) {
            let head = self.file.record(self.next)?;
            self.take(&head)?;
        }
        Some(())
    }

    /// Takes the next record, whose head is `head`.
    #[inline]
    fn take(&mut self, head: &Head) -> Option<()> {
        let at = head.offset;
        let part = &mut self.part;
        self.reached.insert(at);
        let levels = part.first.iter_mut().zip(part.last.iter_mut()).take(head.level.into());
        for (level, (first, last)) in levels.enumerate().skip(1) {
            if *first == 0 {
                *first = at;
            } else if *last != at {
                return None;
            }
            *last = head.pointer(self.file.cursor, level as u8 + 1);
        }
        let key = (head.key(self.file.cursor), at);
        match &mut part.ends {
            Some([_, last]) => part.tally.push(std::mem::replace(last, key), key),
            None => part.ends = Some([key, key]),
        }
        part.nodes += 1;
        part.bytes += head.end - at;
        if part.bytes > self.file.limit || !(self.visit)(head) {
            return None;
        }
        self.next = link(self.file, head, &mut self.named)?;
        Some(())
    }
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
