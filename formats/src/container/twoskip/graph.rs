//! The list as its pointers make it: walked with all levels at once, each pointer checked against the next record of its
//! level, and resumed by the upper levels where a link is broken.

use std::cmp::Ordering;

use super::layout::{Head, MAX_LEVEL, Type, dummy};
use super::survey::Survey;
use super::view::File;
use crate::container::KeyOrder;
use crate::container::bits::Bits;
use crate::container::rows::{Level, Row};

/// Pointer levels above 0, and the unused place of level 0.
const LEVELS: usize = MAX_LEVEL as usize;

/// Why a link can't be followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It leads behind the committed size.
    Beyond,
    /// No readable record stands where it leads.
    Unreadable,
    /// It leads into the middle of a record.
    Inside,
    /// It leads to a record that was passed before.
    Circle,
    /// It leads to a key that does not follow.
    Disorder,
    /// The pointers can't be believed, since their own crc_head is wrong.
    Unproven,
    /// It leaves out a record that an upper level has.
    Skips,
    /// It leads to a record of fewer levels than those that lead there.
    TooLow,
}

/// A part of the list that pointers don't show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hole {
    /// The record in front of it.
    pub from: Head,
    /// Where its level-0 pointer leads.
    pub target: u64,
    /// Why that is of no use.
    pub why: Why,
}

/// An upper pointer that does not lead to the next record of its level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// Offset of the record that has it.
    pub from: u64,
    /// Its level.
    pub level: u8,
    /// Where it leads.
    pub found: u64,
    /// Where it should lead.
    pub expected: u64,
}

/// What the walk meets, in key order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A record. Its pointers are proven unless `worn`, its key and value unless `bad_tail`.
    Node {
        /// The record.
        head: Head,
        /// crc_head is wrong, the tail proven.
        worn: bool,
        /// crc_tail is wrong, the head proven.
        bad_tail: bool,
    },
    /// The records of a row behind its first one, which came before; only where the survey has rows.
    Row(Row),
    /// A part of the list is unknown.
    Hole(Hole),
    /// An upper pointer is wrong.
    Upper(Mismatch),
}

/// A careful walk over a list that may be damaged.
pub struct Walk<'w, 'a> {
    file: File<'a>,
    survey: &'w Survey,
    order: KeyOrder,
    visited: &'w Bits,
    /// The last node whose key can be believed.
    last: Option<Head>,
    /// For each level, the pointer that should lead to its next record, and the record that has it; `None` if unknown.
    expected: [Option<(u64, u64)>; LEVELS],
    visit: &'w mut dyn FnMut(Step),
}

/// A node as far as it can be believed.
#[derive(Clone, Copy)]
struct Node {
    head: Head,
    worn: bool,
    bad_tail: bool,
}

impl Node {
    /// Whether it has level 1, and a key that can be believed.
    fn is_upper(&self) -> bool {
        !self.bad_tail && self.head.level > 1
    }
}

impl<'w, 'a> Walk<'w, 'a> {
    /// Walks the whole list; adds the records it meets to `visited`, an empty set.
    pub fn run(
        cursor_file: File<'a>,
        survey: &'w Survey,
        order: KeyOrder,
        visited: &'w Bits,
        visit: &'w mut dyn FnMut(Step),
    ) {
        let mut walk = Walk { file: cursor_file, survey, order, visited, last: None, expected: [None; LEVELS], visit };
        let Some(dummy) = dummy(walk.file.cursor) else { return };
        let worn = !dummy.head_is_right(walk.file.cursor);
        let mut at = Node { head: dummy, worn, bad_tail: false };
        walk.expect(&at);
        while let Some(next) = walk.step(&at) {
            walk.enter(&next);
            at = walk.pass_row(&next).unwrap_or(next);
        }
        walk.end();
    }

    /// Takes over a node's upper pointers.
    fn expect(&mut self, node: &Node) {
        let upper = self.expected.iter_mut().enumerate().take(node.head.level.into()).skip(1);
        for (level, expected) in upper {
            let pointer = node.head.pointer(self.file.cursor, level as u8 + 1);
            *expected = (!node.worn).then_some((pointer, node.head.offset));
        }
    }

    fn enter(&mut self, node: &Node) {
        for level in 1..node.head.level {
            self.compare(level, node.head.offset);
        }
        (self.visit)(Step::Node { head: node.head, worn: node.worn, bad_tail: node.bad_tail });
        if !node.bad_tail {
            self.last = Some(node.head);
        }
        self.expect(node);
    }

    /// Compares the pointer of `level` with where it should lead.
    fn compare(&mut self, level: u8, expected: u64) {
        let Some(&Some((found, from))) = self.expected.get(usize::from(level)) else { return };
        if found != expected {
            (self.visit)(Step::Upper(Mismatch { from, level, found, expected }));
        }
    }

    fn end(&mut self) {
        for level in 1..MAX_LEVEL {
            self.compare(level, 0);
        }
    }

    /// Goes to the end of the row that begins with `node`, which was entered, if that is what going there step by step
    /// would do and nothing else.
    fn pass_row(&mut self, node: &Node) -> Option<Node> {
        let survey = self.survey;
        let row = survey.rows.at(node.head.offset)?;
        let (levels, last) = (survey.rows.levels(row), self.file.record(row.last)?);
        let leads_in = |(expected, level): (&Option<(u64, u64)>, Option<&Level>)| match (expected, level) {
            // Its own pointer, of which the row knows.
            (_, Some(level)) if level.first == node.head.offset => true,
            (Some((target, _)), Some(level)) => *target == level.first,
            (Some((target, _)), None) => !row.spans(*target),
            (None, _) => true,
        };
        let upper = self.expected.get(1..)?;
        let all = upper.iter().zip(levels.iter().map(Some).chain(std::iter::repeat(None)));
        // As long as level 1 leads to a record of the row, none is skipped.
        if upper.first()?.is_none() || !all.clone().all(leads_in) {
            return None;
        }
        // Behind that, the nearest record that upper levels lead to must not stand in front of the row's last one.
        let leads_out =
            all.filter_map(|(expected, level)| level.map(|level| level.leads).or(expected.map(|(to, _)| to)));
        let nearest = leads_out.filter(|&to| to != 0).find_map(|to| self.node(to).ok().filter(Node::is_upper));
        if nearest.is_some_and(|nearest| !self.is_less(&last, &nearest.head)) {
            return None;
        }
        self.visited.insert_within(&survey.starts, row.first, row.last);
        (self.visit)(Step::Row(*row));
        for (expected, level) in self.expected.iter_mut().skip(1).zip(levels) {
            *expected = Some((level.leads, level.last));
        }
        self.last = Some(last);
        Some(Node { head: last, worn: false, bad_tail: false })
    }

    /// The node behind `at`, over a hole if there is one; `None` at the end.
    fn step(&mut self, at: &Node) -> Option<Node> {
        let target = at.head.next(self.file.cursor, self.file.committed);
        let answer = if at.worn { Err(Why::Unproven) } else { self.follow(target) };
        let why = match answer {
            Ok(next) if self.skips(next.as_ref()) => Why::Skips,
            Ok(next) => {
                if let Some(next) = &next {
                    self.visited.insert(next.head.offset);
                }
                return next;
            }
            Err(why) => why,
        };
        (self.visit)(Step::Hole(Hole { from: at.head, target, why }));
        let next = self.resume()?;
        self.visited.insert(next.head.offset);
        Some(next)
    }

    /// Follows a level-0 pointer.
    fn follow(&self, target: u64) -> Result<Option<Node>, Why> {
        let offset = self.past_delete(target)?;
        if offset == 0 {
            return Ok(None);
        }
        let next = self.node(offset)?;
        if self.visited.contains(offset) {
            return Err(Why::Circle);
        }
        if self.is_too_low(&next.head) {
            return Err(Why::TooLow);
        }
        if self.ascends(&next) { Ok(Some(next)) } else { Err(Why::Disorder) }
    }

    /// Whether an upper level leads to a record that does not have that level.
    fn is_too_low(&self, head: &Head) -> bool {
        let above = self.expected.iter().skip(head.level.into()).flatten();
        above.into_iter().any(|(target, _)| *target == head.offset)
    }

    fn past_delete(&self, target: u64) -> Result<u64, Why> {
        if target >= self.file.limit {
            return Err(Why::Beyond);
        }
        match Head::decode(self.file.cursor, target).filter(|head| head.kind == Type::Delete) {
            Some(delete) if delete.head_is_right(self.file.cursor) => Ok(delete.word(self.file.cursor)),
            Some(_) => Err(Why::Unreadable),
            None => Ok(target),
        }
    }

    /// The node at `offset`, if its own bytes prove it.
    fn node(&self, offset: u64) -> Result<Node, Why> {
        if offset >= self.file.limit {
            return Err(Why::Beyond);
        }
        let cursor = self.file.cursor;
        let head = self.file.record(offset).ok_or(Why::Unreadable)?;
        if self.survey.starts.contains(offset) {
            return Ok(Node { head, worn: self.survey.is_worn(offset), bad_tail: false });
        }
        if self.survey.bad_tails.binary_search(&offset).is_ok() {
            return Ok(Node { head, worn: false, bad_tail: true });
        }
        Err(if head.head_is_right(cursor) { Why::Inside } else { Why::Unreadable })
    }

    /// Whether a node stands behind the last one, as far as its key can be believed.
    fn ascends(&self, next: &Node) -> bool {
        next.bad_tail || self.last.is_none_or(|last| self.is_less(&last, &next.head))
    }

    fn is_less(&self, a: &Head, b: &Head) -> bool {
        self.order.compare(a.key(self.file.cursor), b.key(self.file.cursor)) == Ordering::Less
    }

    /// Whether the nearest record that upper levels lead to stands in front of `next`, the one that level 0 leads to.
    fn skips(&self, next: Option<&Node>) -> bool {
        let targets = self.expected.iter().skip(1).flatten().map(|(target, _)| *target).filter(|&target| target != 0);
        for target in targets {
            if next.is_some_and(|next| next.head.offset == target || next.bad_tail) {
                return false;
            }
            if let Some(upper) = self.node(target).ok().filter(Node::is_upper) {
                let between = self.ascends(&upper) && next.is_none_or(|next| self.is_less(&upper.head, &next.head));
                return between && !self.visited.contains(target);
            }
        }
        false
    }

    /// The nearest record further on that an upper level leads to.
    fn resume(&mut self) -> Option<Node> {
        for level in 1..MAX_LEVEL {
            let Some(&Some((target, _))) = self.expected.get(usize::from(level)) else { continue };
            let node = if target == 0 { None } else { self.node(target).ok() };
            let usable = |node: &Node| node.head.level > level && self.ascends(node);
            if let Some(node) = node.filter(|node| usable(node) && !self.visited.contains(target)) {
                self.forget_below(level);
                return Some(node);
            }
        }
        self.forget_below(MAX_LEVEL);
        None
    }

    /// Pointers of the levels below `level` can't be compared over a hole.
    fn forget_below(&mut self, level: u8) {
        self.expected.iter_mut().take(level.into()).for_each(|expected| *expected = None);
    }
}
