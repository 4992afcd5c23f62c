//! All that can be proven or plausibly read from a file, however damaged.
//!
//! Two witnesses: the log (what the file's own order says was written last) and the list (what pointers lead to). Each is
//! believed where it is whole, and where both are broken the log is, with a word of doubt.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::bits::Bits;
use super::graph::{Step, Walk};
use super::layout::{FIRST_OFFSET, Head, Type, dummy};
use super::live::Live;
use super::replay::replay;
use super::scan::{Scan, What};
use super::survey::Survey;
use super::view::File;
use crate::container::{Carved, Confidence, Kept, KeyOrder, Lost};
use crate::image::{Cursor, Span};

/// Stands in the list for a part that pointers don't show.
const HOLE: u64 = u64::MAX;

/// Carves a file.
pub fn carve<'a>(cursor: Cursor<'a>, order: KeyOrder) -> Carved<'a> {
    let mut survey = Survey::new(cursor);
    let file = survey.file(cursor);
    let list = list(file, &mut survey, order);
    let mut doubtful = HashMap::new();
    let live = replay(cursor, &survey, order, &mut |delete, _| {
        doubtful.insert(delete.word(cursor), delete.offset);
    });
    let merge = Merge { file, survey: &survey, order, live: &live, doubtful, kept: Vec::new() };
    let kept = merge.run(&list);
    drop(list);
    let (lost, uncommitted) = rest(file, &survey);
    Carved { kept, lost, uncommitted }
}

/// What pointers lead to, in key order, with marks where they fail.
fn list(file: File<'_>, survey: &mut Survey, order: KeyOrder) -> Vec<u64> {
    let mut list = Vec::new();
    if dummy(file.cursor).is_none() {
        list.push(HOLE);
        return list;
    }
    let visited = Bits::new(file.cursor.len());
    let mut farthest = 0;
    Walk::run(file, survey, order, &visited, &mut |step| match step {
        Step::Node { head, bad_tail: false, .. } => list.push(head.offset),
        Step::Node { .. } => list.push(HOLE),
        Step::Hole(hole) => {
            farthest = farthest.max(hole.target);
            list.push(HOLE);
        }
        Step::Upper(_) => {}
    });
    if survey.header.is_none() && farthest >= file.cursor.len() {
        survey.lost.push(Span::new(file.cursor.len(), farthest));
    }
    list
}

/// Brings the two witnesses together.
struct Merge<'m, 'a> {
    file: File<'a>,
    survey: &'m Survey,
    order: KeyOrder,
    live: &'m Live<'a>,
    /// What DELETEs named whose record could not be told, and where the last of those stands.
    doubtful: HashMap<u64, u64>,
    kept: Vec<Kept<'a>>,
}

impl<'a> Merge<'_, 'a> {
    fn run(mut self, list: &[u64]) -> Vec<Kept<'a>> {
        let live = self.live;
        let mut log = live.iter().peekable();
        let mut hole = false;
        for &listed in list {
            if listed == HOLE {
                hole = true;
                continue;
            }
            let Some(head) = Head::decode(self.file.cursor, listed) else { continue };
            let key = head.key(self.file.cursor);
            while let Some(&logged) = log.peek() {
                let order = self.order.compare(self.key(logged), key);
                if order == Ordering::Greater {
                    break;
                }
                log.next();
                if order == Ordering::Less {
                    self.logged_only(logged, hole);
                    continue;
                }
                self.both(listed, logged);
                break;
            }
            if self.kept.last().is_none_or(|kept| self.order.compare(&kept.record.key, key) == Ordering::Less) {
                self.keep(listed, Confidence::Unverified);
            }
            hole = false;
        }
        for logged in log {
            self.logged_only(logged, hole);
        }
        self.kept
    }

    fn key(&self, offset: u64) -> &'a [u8] {
        Head::decode(self.file.cursor, offset).map_or(b"", |head| head.key(self.file.cursor))
    }

    /// A key that both witnesses know.
    fn both(&mut self, listed: u64, logged: u64) {
        let confidence = if listed == logged { Confidence::Verified } else { Confidence::Unverified };
        self.keep(listed.max(logged), confidence);
    }

    /// A record that the log says is live and pointers do not lead to.
    fn logged_only(&mut self, logged: u64, hole: bool) {
        let in_doubt = self.survey.displaced || self.survey.loses_behind(logged);
        if self.was_deleted(logged) {
            return;
        }
        match (hole, in_doubt) {
            (true, true) => self.keep(logged, Confidence::MaybeStale),
            (true, false) => self.keep(logged, Confidence::Verified),
            // The list is whole here and has it not: its DELETE is what was lost.
            (false, true) => {}
            (false, false) => self.keep(logged, Confidence::Unverified),
        }
    }

    /// Whether a DELETE of which only the name of the following record is left took it away.
    fn was_deleted(&self, offset: u64) -> bool {
        let Some(head) = Head::decode(self.file.cursor, offset).filter(|_| !self.doubtful.is_empty()) else {
            return false;
        };
        let last = head.pointer(self.file.cursor, 0).max(head.pointer(self.file.cursor, 1));
        let resolved = super::layout::skip_delete(self.file.cursor, last);
        [last, resolved].iter().any(|next| {
            let when = self.doubtful.get(next).copied();
            when.is_some_and(|when| offset < when && self.live.died_at(&head, when, *next))
        })
    }

    fn keep(&mut self, offset: u64, confidence: Confidence) {
        let Some(head) = self.file.record(offset) else { return };
        let proven = head.head_is_right(self.file.cursor) && head.end <= self.survey.proven;
        let confidence = if proven { confidence } else { confidence.max(Confidence::Unverified) };
        self.kept.push(Kept { record: self.file.lend(&head), confidence });
    }
}

/// What was lost of the committed part, and what was never committed.
fn rest<'a>(file: File<'a>, survey: &Survey) -> (Vec<Lost<'a>>, Vec<crate::container::Record<'a>>) {
    let cursor = file.cursor;
    let mut lost: Vec<Lost<'a>> = Vec::new();
    let mut uncommitted = Vec::new();
    let mut before = None;
    let mut open = 0;
    let mut last_end = 0;
    for item in Scan::new(cursor, super::layout::DUMMY_OFFSET) {
        if item.is_lost() && survey.is_committed(&item.span) {
            let span = item.span;
            match lost.last_mut().filter(|last| last.span.end == span.start && last_end == span.start) {
                Some(last) => last.span.end = span.end,
                None => lost.push(Lost { span, before: before.clone(), after: None }),
            }
            last_end = span.end;
        }
        let head = match item.what {
            What::Record(head) | What::Worn(head) if head.kind == Type::Record => head,
            _ => continue,
        };
        let record = file.lend(&head);
        for lost in lost.iter_mut().skip(open) {
            lost.after = Some(record.key.clone());
        }
        open = lost.len();
        before = Some(record.key.clone());
        if head.end > file.limit {
            uncommitted.push(record);
        }
    }
    if cursor.len() < FIRST_OFFSET && !cursor.is_empty() && lost.is_empty() {
        lost.push(Lost { span: Span::new(0, cursor.len()), before: None, after: None });
    }
    (lost, uncommitted)
}
