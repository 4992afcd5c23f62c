//! The rules of keys and pointers: one walk along level 0, holding what each upper level must lead to next.

use super::careful::{Physical, shown};
use super::file::File;
use super::layout::{Head, MAX_LEVEL, Type};
use super::rules;
use crate::container::bits::Bits;
use crate::finding::{Finding, Rule, Sink};

const LEVELS: usize = MAX_LEVEL as usize;

/// A pointer that must lead to the next node of its level.
#[derive(Clone, Copy)]
struct Pending {
    level: u8,
    value: u64,
    /// Where it stands.
    at: u64,
}

struct Walk<'f, 'a> {
    file: &'f File<'a>,
    physical: &'f Physical,
    /// What level-0 pointers have led to.
    reached: Bits,
    /// The open pointers of levels 1 to 30.
    pending: [Pending; LEVELS],
    /// The greatest key so far.
    key: &'a [u8],
}

/// Walks level 0 and says what is wrong with it, with the upper levels, and what it leaves out.
pub fn check(file: &File<'_>, physical: &Physical, sink: &mut Sink<'_>) {
    let Some(dummy) = file.dummy() else { return };
    let pending = [Pending { level: 0, value: 0, at: 0 }; LEVELS];
    let mut walk = Walk { file, physical, reached: Bits::new(file.limit), pending, key: b"" };
    walk.open_pointers(&dummy);
    let mut at = Some(dummy);
    while let Some(head) = at {
        at = match walk.step(&head, sink) {
            Step::To(node) => Some(node),
            Step::End => None,
            Step::Broken => walk.resume(),
        };
    }
    walk.finish(sink);
}

enum Step {
    To(Head),
    End,
    Broken,
}

impl<'a> Walk<'_, 'a> {
    /// Goes on along level 0.
    fn step(&mut self, head: &Head, sink: &mut Sink<'_>) -> Step {
        let (cursor, limit) = (self.file.cursor, self.file.limit);
        let pointer = head.next(cursor, limit);
        if pointer == 0 {
            return Step::End;
        }
        let second = head.pointer(cursor, 0) != pointer;
        let stands_at = head.pointer_span(u8::from(second));
        let known = self.physical.items.contains(pointer) && pointer < limit;
        let Some((_, node)) =
            self.file.next(head).filter(|(_, node)| known && self.physical.items.contains(node.offset))
        else {
            let message = "a pointer of level 0 does not lead to anything that can be read";
            let finding = Finding::new(&rules::POINTER_TARGET, stands_at, message);
            sink(finding.values("the offset of a record or a deletion", format!("0x{pointer:X}")));
            return Step::Broken;
        };
        if self.physical.named.contains(pointer) {
            let message = "a pointer of level 0 leads to a version that has a newer one";
            sink(Finding::new(&rules::DEAD_LINKED, node.span(), message).via("level-0 pointer", stands_at.start));
        }
        let circle = !self.reached.insert(pointer);
        let key = node.key(cursor);
        if !node.tail_agrees(cursor, self.file.sums) {
            // Its key is not what was written, which is a finding of its own.
        } else if !self.file.is_foreign_order() && key <= self.key {
            let message = "the key does not follow the greatest one in front of it";
            let finding = Finding::new(&rules::KEY_ORDER, node.span(), message).via("level-0 pointer", stands_at.start);
            let expected = format!("a key behind {}", shown(self.key));
            sink(finding.values(expected, shown(key)));
        } else {
            self.key = key;
        }
        if circle {
            return Step::Broken;
        }
        self.meet(&node, sink);
        Step::To(node)
    }

    /// Holds the open pointers of a node's levels against it, and opens its own.
    fn meet(&mut self, node: &Head, sink: &mut Sink<'_>) {
        let met: Vec<Pending> =
            self.pending.iter().skip(1).take(usize::from(node.level).saturating_sub(1)).copied().collect();
        for pending in met.iter().filter(|pending| pending.value != node.offset) {
            self.report(pending, node.offset, sink);
        }
        self.open_pointers(node);
    }

    fn open_pointers(&mut self, node: &Head) {
        for (level, pending) in (0..node.level).zip(&mut self.pending).skip(1) {
            let index = level.saturating_add(1);
            *pending =
                Pending { level, value: node.pointer(self.file.cursor, index), at: node.pointer_span(index).start };
        }
    }

    /// Says what is wrong with an upper pointer that should lead to `expected`.
    fn report(&self, pending: &Pending, expected: u64, sink: &mut Sink<'_>) {
        let Pending { level, value, at } = *pending;
        // What lies behind the committed size is not followed, and a finding of its own where it must not be.
        if value >= self.file.limit {
            return;
        }
        let target = self.file.record(value).filter(|_| self.physical.items.contains(value));
        let (rule, what): (&'static Rule, &str) = match target {
            _ if value == 0 => (&rules::POINTER_SKIPS, "ends its level too early"),
            None => (&rules::POINTER_TARGET, "does not lead to a record"),
            Some(head) if head.level <= level => (&rules::POINTER_LEVEL, "leads to a record of too low a level"),
            Some(_) => (&rules::POINTER_SKIPS, "does not lead to the next record of its level"),
        };
        let finding = Finding::new(rule, crate::image::Span::at(at, 8), format!("a pointer of level {level} {what}"));
        sink(finding.values(format!("0x{expected:X}"), format!("0x{value:X}")));
    }

    /// The next node that an upper pointer knows of, where level 0 can't be read further.
    fn resume(&mut self) -> Option<Head> {
        if self.file.is_foreign_order() {
            return None;
        }
        let cursor = self.file.cursor;
        let known = |pending: &Pending| {
            let node = self.file.record(pending.value).filter(|node| node.level > pending.level)?;
            (self.physical.items.contains(node.offset) && node.key(cursor) > self.key).then_some(node)
        };
        let node = self.pending.iter().skip(1).filter_map(known).min_by_key(|node| node.key(cursor))?;
        self.key = node.key(cursor);
        self.reached.insert(node.offset);
        self.open_pointers(&node);
        Some(node)
    }

    /// Says which upper pointers lead on behind the end, and what level 0 left out.
    fn finish(&self, sink: &mut Sink<'_>) {
        for pending in self.pending.iter().skip(1).filter(|pending| pending.value != 0) {
            self.report(pending, 0, sink);
        }
        let newest = self.physical.items.iter().filter(|&offset| !self.physical.named.contains(offset));
        for offset in newest.filter(|&offset| !self.reached.contains(offset)) {
            let Some(head) = self.file.item(offset) else { continue };
            let message = if head.kind == Type::Delete {
                "level 0 does not lead to a deletion, so what it deleted is shown or left out by chance"
            } else {
                "level 0 does not lead to this record"
            };
            sink(Finding::new(&rules::UNREACHABLE, head.span(), message));
        }
    }
}
