//! Proves in one pass over the file and one over its pointers that a file is sound.
//!
//! Nothing is allocated for a record, only a bit for every eight bytes of the file; both passes are divided by the list's
//! upper levels, and go in step as far as they come to the same records: a repack writes records in key order. Where the
//! proof fails, [`careful`](super::careful) says why.
//!
//! A version of a key is either the ancestor of exactly one other version, or the newest, and then exactly one pointer of
//! level 0 leads to it. So each version's bit is turned over once when it is read and once when it is named, and in the
//! end all are clear, with as many namings as versions.

use rayon::prelude::*;

use super::file::File;
use super::layout::{ALIGN, FIRST_OFFSET, Head, Header, MARK_LEN, MAX_LEVEL, SHORT_KEY_MAX, SHORT_VALUE_MAX, Type};
use crate::container::bits::Bits;

const LEVELS: usize = MAX_LEVEL as usize;
/// Bytes of a file for which one part is worth while.
const PART_LEN: u64 = 1 << 20;
/// No offset of a node: stands for a level that a part has not met yet.
const UNSEEN: u64 = u64::MAX;

/// Whether everything behind the header is as a healthy Cyrus leaves it. The header itself must have been found sound.
pub fn is_sound(file: &File<'_>, header: &Header) -> bool {
    let Some(quick) = Quick::new(file, header, usize::try_from(file.limit / PART_LEN).unwrap_or(1)) else {
        return false;
    };
    let read = |part| quick.read(part, &mut |_| true);
    let all: Option<Vec<_>> = (0..quick.parts.len()).into_par_iter().map(read).collect();
    all.is_some_and(|all| quick.fits(all))
}

/// A file whose header was found sound.
pub struct Quick<'s, 'a> {
    file: &'s File<'a>,
    header: Header,
    /// Where the stretches between the cuts start and end; no more than parts. A repack writes records in key order: each
    /// stretch of such a file is a part of its list.
    stretches: Vec<(u64, u64)>,
    /// The parts of the list: the node behind which each starts, and the offset of the one that it ends with.
    pub parts: Vec<(Head, Option<u64>)>,
    bits: Bits,
}

impl<'s, 'a> Quick<'s, 'a> {
    /// A file in about `wanted` parts; `None` if it is not sound.
    pub fn new(file: &'s File<'a>, header: &Header, wanted: usize) -> Option<Self> {
        if header.current_size != file.limit {
            return None;
        }
        let cuts = file.splits(wanted);
        let (stretches, parts) = (stretches(file, &cuts), parts(file, &cuts)?);
        Some(Quick { file, header: *header, stretches, parts, bits: Bits::new(file.limit) })
    }

    /// Reads a stretch of the file, and walks a part of the list along with it; `None` if something is not as it should
    /// be.
    pub fn read(&self, part: usize, visit: &mut impl FnMut(&Head) -> bool) -> Option<(Read, Walked)> {
        let (start, end) = self.parts.get(part)?;
        let mut walker = Walker::new(self.file, start, *end, &self.bits, visit);
        let stretch = self.stretches.get(part).copied().unwrap_or_default();
        let read = read_part(self.file, &self.header, stretch, &mut walker, &self.bits)?;
        Some((read, walker.finish()?))
    }

    /// Whether these are all parts, and make a sound file.
    pub fn fits(&self, all: Vec<(Read, Walked)>) -> bool {
        let (read, walked): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let all = join_read(self.file, read.into_iter()).zip(join_walked(self.file, walked.into_iter()));
        let Some((read, reached)) = all else { return false };
        let live = read.records.checked_sub(read.dead_records);
        let counts_fit = live == Some(self.header.num_records)
            && read.commits == self.header.num_commits
            && read.dirty_size == self.header.dirty_size
            && read.records + read.deletes == read.named + reached;
        counts_fit && self.bits.is_empty() && !has_tail(self.file)
    }
}

/// Whether anything but zeros stands behind the committed size.
pub fn has_tail(file: &File<'_>) -> bool {
    file.cursor.rest(file.limit).iter().any(|&byte| byte != 0)
}

/// What reading a part of the file counts.
pub struct Read {
    records: u64,
    deletes: u64,
    /// Records and DELETEs that are ancestors.
    named: u64,
    /// Records that are ancestors.
    dead_records: u64,
    dirty_size: u64,
    commits: u64,
    /// What the part's first COMMIT names.
    first_start: Option<u64>,
    /// Where the part's last COMMIT ends.
    last_end: Option<u64>,
}

/// The stretches between the cuts in physical order.
fn stretches(file: &File<'_>, cuts: &[u64]) -> Vec<(u64, u64)> {
    let mut ends = cuts.to_vec();
    ends.sort_unstable();
    ends.push(file.limit);
    let starts = [FIRST_OFFSET].into_iter().chain(ends.iter().copied());
    starts.zip(ends.iter().copied()).filter(|(start, end)| start < end).collect()
}

/// Whether the stretches fit together up to the committed size, and what they count.
fn join_read(file: &File<'_>, stretches: impl Iterator<Item = Read>) -> Option<Read> {
    let mut all = Read::none();
    let mut reached = FIRST_OFFSET;
    for stretch in stretches {
        if stretch.first_start.is_some_and(|start| start != reached) {
            return None;
        }
        reached = stretch.last_end.unwrap_or(reached);
        all.add(&stretch);
    }
    (reached == file.limit).then_some(all)
}

impl Read {
    fn none() -> Self {
        Read {
            records: 0,
            deletes: 0,
            named: 0,
            dead_records: 0,
            dirty_size: 0,
            commits: 0,
            first_start: None,
            last_end: None,
        }
    }

    fn add(&mut self, other: &Read) {
        self.records += other.records;
        self.deletes += other.deletes;
        self.named += other.named;
        self.dead_records += other.dead_records;
        self.dirty_size = self.dirty_size.saturating_add(other.dirty_size);
        self.commits += other.commits;
    }
}

/// Reads the items of a stretch, and walks along the list where that goes along with them; `None` as soon as something is
/// not as it should be.
fn read_part(
    file: &File<'_>,
    header: &Header,
    (start, end): (u64, u64),
    walker: &mut Walker<'_, '_, impl FnMut(&Head) -> bool>,
    bits: &Bits,
) -> Option<Read> {
    let cursor = file.cursor;
    let mut read = Read::none();
    let mut at = start;
    while at < end {
        let head = Head::decode(cursor, at).filter(|head| head.end <= end && head.kind != Type::Dummy)?;
        let sums_agree = head.head_agrees(cursor, file.sums) && head.tail_agrees(cursor, file.sums);
        if !sums_agree || !is_well_formed(file, header, &head) {
            return None;
        }
        if head.kind == Type::Commit {
            if read.last_end.is_some_and(|last| last != head.start(cursor)) {
                return None;
            }
            read.first_start.get_or_insert(head.start(cursor));
            read.last_end = Some(head.end);
            read.commits += 1;
        } else {
            // Turned over as what is read and as what is named, its bit would be clear again.
            if !walker.takes(&head, end)? {
                bits.toggle(at);
            }
            read.records += u64::from(head.kind.is_record());
            if head.kind == Type::Delete {
                read.deletes += 1;
                read.dirty_size += MARK_LEN;
            }
            name_ancestor(file, &head, bits, &mut read)?;
        }
        at = head.end;
    }
    Some(read)
}

/// What can be said of a record by itself.
fn is_well_formed(file: &File<'_>, header: &Header, head: &Head) -> bool {
    if !head.kind.is_record() {
        return true;
    }
    let cursor = file.cursor;
    let word_can_be = |word: u64| word == 0 || (FIRST_OFFSET..file.limit).contains(&word) && word.is_multiple_of(ALIGN);
    let long = head.key_len > SHORT_KEY_MAX || head.value_len > SHORT_VALUE_MAX;
    head.key_len > 0
        && head.kind.is_fat() == long
        && u32::from(head.level) <= header.maxlevel
        && head.is_filled(cursor)
        && (0..=head.level).all(|index| word_can_be(head.pointer(cursor, index)))
}

/// Holds an item against its ancestor, and names that.
fn name_ancestor(file: &File<'_>, head: &Head, bits: &Bits, read: &mut Read) -> Option<()> {
    let Some(offset) = head.ancestor(file.cursor) else { return Some(()) };
    let ancestor = file.item(offset).filter(|ancestor| ancestor.end <= head.offset)?;
    let record = file.record_of(offset)?;
    let newer = file.record_of(head.offset)?;
    let same = newer.offset == record.offset
        || newer.key(file.cursor) == record.key(file.cursor) && newer.level == record.level;
    if !same || head.kind == Type::Delete && !ancestor.kind.is_record() {
        return None;
    }
    bits.toggle(offset);
    read.named += 1;
    if ancestor.kind.is_record() {
        read.dead_records += 1;
        read.dirty_size = read.dirty_size.checked_add(ancestor.total_len())?;
    }
    Some(())
}

/// What one part of level 0 says about all levels: the first node of each, and where its last one leads.
pub struct Walked {
    first: [u64; LEVELS],
    next: [u64; LEVELS],
    nodes: u64,
}

/// The parts of the list: the node behind which each starts, and the offset of the one that it ends with.
fn parts(file: &File<'_>, cuts: &[u64]) -> Option<Vec<(Head, Option<u64>)>> {
    let nodes: Option<Vec<Head>> = cuts.iter().map(|&cut| file.record(cut)).collect();
    let starts = [file.dummy()?].into_iter().chain(nodes?);
    let ends = cuts.iter().copied().map(Some).chain([None]);
    Some(starts.zip(ends).collect())
}

/// Whether the parts fit together, so that every pointer of every level leads to the next node of that level; the number
/// of nodes.
fn join_walked(file: &File<'_>, parts: impl Iterator<Item = Walked>) -> Option<u64> {
    let dummy = file.dummy()?;
    let mut expected = [0; LEVELS];
    for (level, word) in (1..MAX_LEVEL).zip(expected.iter_mut().skip(1)) {
        *word = dummy.pointer(file.cursor, level.checked_add(1)?);
    }
    let mut nodes = 0;
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
        nodes += part.nodes;
    }
    expected.iter().all(|&pointer| pointer == 0).then_some(nodes)
}

/// Walks a part of the list from behind its start. Ascending keys keep it from going in a circle.
struct Walker<'f, 'a, V> {
    file: &'f File<'a>,
    walked: Walked,
    /// The node it stands at, and its key.
    at: Head,
    key: &'a [u8],
    /// Where level 0 leads from there; 0 at the end of the list.
    next: u64,
    /// The node that the part ends with; without one it ends with the list.
    end: Option<u64>,
    bits: &'f Bits,
    /// Sees all live nodes.
    visit: &'f mut V,
}

impl<'f, 'a, V: FnMut(&Head) -> bool> Walker<'f, 'a, V> {
    fn new(file: &'f File<'a>, start: &Head, end: Option<u64>, bits: &'f Bits, visit: &'f mut V) -> Self {
        let walked = Walked { first: [UNSEEN; LEVELS], next: [UNSEEN; LEVELS], nodes: 0 };
        let (key, next) = (start.key(file.cursor), start.next(file.cursor, file.limit));
        Walker { file, walked, at: *start, key, next, end, bits, visit }
    }

    fn has_ended(&self) -> bool {
        self.next == 0 || self.end == Some(self.at.offset)
    }

    /// Takes `head`, an item of the stretch that ends at `end`, if it is the next node; before that, all nodes that stand
    /// elsewhere. `None` if one of them is not as it should be.
    #[inline]
    fn takes(&mut self, head: &Head, end: u64) -> Option<bool> {
        while !self.has_ended() && self.next != head.offset && !(head.offset..end).contains(&self.next) {
            self.step()?;
        }
        let next = !self.has_ended() && self.next == head.offset && head.kind.is_record();
        if next {
            self.take(*head)?;
        }
        Some(next)
    }

    /// Goes to the next node.
    fn step(&mut self) -> Option<()> {
        let pointer = self.next;
        let (_, node) = self.file.next(&self.at)?;
        if self.bits.toggle(pointer) { self.take(node) } else { None }
    }

    /// Goes to `node`, which is the next one.
    #[inline]
    fn take(&mut self, node: Head) -> Option<()> {
        let cursor = self.file.cursor;
        let key = node.key(cursor);
        // To a deleted one its DELETE leads.
        let live = self.next == node.offset;
        if key <= self.key || live && !(self.visit)(&node) {
            return None;
        }
        let levels = self.walked.first.iter_mut().zip(&mut self.walked.next).skip(1);
        for (level, (first, next)) in (1..node.level).zip(levels) {
            if *next == UNSEEN {
                *first = node.offset;
            } else if *next != node.offset {
                return None;
            }
            *next = node.pointer(cursor, level.checked_add(1)?);
        }
        self.walked.nodes += 1;
        (self.at, self.key, self.next) = (node, key, node.next(cursor, self.file.limit));
        Some(())
    }

    /// Walks to the end; `None` if it does not come there.
    fn finish(mut self) -> Option<Walked> {
        while !self.has_ended() {
            self.step()?;
        }
        (self.end.is_none_or(|end| end == self.at.offset)).then_some(self.walked)
    }
}
