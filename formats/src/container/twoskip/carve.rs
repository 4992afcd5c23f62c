//! All that can be proven or plausibly read from a file, however damaged.
//!
//! Two witnesses: the log (what the file's own order says was written last) and the list (what pointers lead to). Each is
//! believed where it is whole, and where both are broken the log is, with a word of doubt.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use super::graph::{Step, Walk, Why};
use super::layout::{DUMMY_OFFSET, FIRST_OFFSET, Head, Type, dummy};
use super::live::Live;
use super::replay::replay;
use super::survey::Survey;
use super::view::File;
use crate::container::bits::Bits;
use crate::container::{Confidence, Crop, Harvest, KeyOrder, Lost, Place, Record};
use crate::image::{Cursor, Span};

/// Stands in the list for a part that pointers don't show.
const HOLE: u64 = u64::MAX;

/// Carves a file.
pub fn carve<'a>(cursor: Cursor<'a>, order: KeyOrder) -> Harvest<'a> {
    let mut survey = Survey::new(cursor);
    let file = survey.file(cursor);
    let replayed = |displaced| replay_judged(cursor, &survey, order, displaced);
    let ((list, moved), mut replay) = rayon::join(|| list(file, &survey, order), || replayed(survey.displaced));
    if moved && !survey.displaced && replay.deletes {
        replay = replayed(true);
    }
    survey.displaced |= moved;
    let Replay { live, doubtful, .. } = replay;
    let last_doubtful = doubtful.values().copied().max().unwrap_or_default();
    let count = survey.header.map(|header| header.num_records);
    let whole = !survey.displaced && !list.contains(&HOLE) && count == Some(list.len() as u64);
    let merge = Merge {
        whole,
        file,
        survey: &survey,
        order,
        live: &live,
        doubtful,
        last_doubtful,
        front: DUMMY_OFFSET,
        kept: Vec::with_capacity(list.len().max(live.len())),
    };
    let kept = merge.run(&list);
    drop(list);
    let crop = Crop::Placed(kept, Box::new(move |offset| record(file, offset)));
    Harvest { crop, lost: lost(file, &survey), uncommitted: uncommitted(file, &survey) }
}

/// What the log leaves.
struct Replay<'a> {
    live: Live<'a>,
    /// What DELETEs named whose record could not be told, and where the last of those stands.
    doubtful: HashMap<u64, u64>,
    /// Whether there were DELETEs at all.
    deletes: bool,
}

/// Replays the log; where things were `displaced`, no DELETE is believed.
fn replay_judged<'a>(cursor: Cursor<'a>, survey: &Survey, order: KeyOrder, displaced: bool) -> Replay<'a> {
    let (mut doubtful, mut deletes) = (HashMap::new(), false);
    let live = replay(cursor, survey, order, &mut |delete, deletion| {
        deletes = true;
        let believed = deletion.certain && !displaced;
        if !believed {
            doubtful.insert(delete.word(cursor), delete.offset);
        }
        believed
    });
    Replay { live, doubtful, deletes }
}

/// What pointers lead to, in key order, with marks where they fail; and whether something has moved.
fn list(file: File<'_>, survey: &Survey, order: KeyOrder) -> (Vec<u64>, bool) {
    let mut list = Vec::new();
    if dummy(file.cursor).is_none() {
        list.push(HOLE);
        return (list, false);
    }
    let visited = Bits::new(file.cursor.len());
    let mut moved = false;
    let unclean = survey.header.is_none_or(|header| header.flags != 0 || header.current_size < file.cursor.len());
    Walk::run(file, survey, order, &visited, &mut |step| match step {
        Step::Node { head, bad_tail: false, .. } => list.push(head.offset),
        Step::Node { .. } => list.push(HOLE),
        Step::Hole(hole) => {
            moved |= !matches!(hole.why, Why::Beyond | Why::Unreadable | Why::Unproven);
            list.push(HOLE);
        }
        // Proven pointers are wrong only where a transaction is under way, or what they lead to has moved.
        Step::Upper(_) => moved |= !unclean,
    });
    (list, moved)
}

/// Brings the two witnesses together.
struct Merge<'m, 'a> {
    file: File<'a>,
    survey: &'m Survey,
    order: KeyOrder,
    live: &'m Live<'a>,
    /// What DELETEs named whose record could not be told, and where the last of those stands.
    doubtful: HashMap<u64, u64>,
    last_doubtful: u64,
    /// Whether the list has no hole, and as many records as the header says.
    whole: bool,
    /// The record of the list that was met last.
    front: u64,
    kept: Vec<Place>,
}

impl<'a> Merge<'_, 'a> {
    fn run(mut self, list: &[u64]) -> Vec<Place> {
        let live = self.live;
        let mut log = live.iter().peekable();
        let mut hole = false;
        for &listed in list {
            if listed == HOLE {
                hole = true;
                continue;
            }
            if log.next_if_eq(&listed).is_some() {
                self.both(listed, listed);
                (hole, self.front) = (false, listed);
                continue;
            }
            let Some(head) = Head::decode(self.file.cursor, listed) else { continue };
            let key = head.key(self.file.cursor);
            while let Some(&logged) = log.peek() {
                let order = if logged == listed { Ordering::Equal } else { self.order.compare(self.key(logged), key) };
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
            let last = self.kept.last().map(|last| self.key(last.offset()));
            if last.is_none_or(|last| self.order.compare(last, key) == Ordering::Less) {
                self.keep(listed, Confidence::Unverified);
            }
            hole = false;
            self.front = listed;
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
        let confidence = match listed == logged {
            _ if self.was_deleted(listed) => Confidence::MaybeStale,
            true => Confidence::Verified,
            false => Confidence::Unverified,
        };
        // Where pages may have changed places, position does not tell which version is newer; pointers do.
        let offset = if self.survey.displaced { listed } else { listed.max(logged) };
        self.keep(offset, confidence);
    }

    /// A record that the log says is live and pointers do not lead to.
    fn logged_only(&mut self, logged: u64, hole: bool) {
        let end_is_known = self.survey.header.is_some() && self.survey.size_is_possible;
        let lost_behind = self.survey.loses_behind(logged) || logged < self.last_doubtful;
        let in_doubt = self.survey.displaced || !end_is_known || lost_behind;
        match (hole, in_doubt) {
            // What has moved proves no deletion.
            _ if self.survey.displaced => self.keep(logged, Confidence::MaybeStale),
            _ if self.was_deleted(logged) => {}
            (true, true) => self.keep(logged, Confidence::MaybeStale),
            (true, false) => self.keep(logged, Confidence::Verified),
            (false, true) if self.whole || self.lost_its_delete(logged) => {}
            (false, true) => self.keep(logged, Confidence::MaybeStale),
            (false, false) => self.keep(logged, Confidence::Unverified),
        }
    }

    /// Whether the record in front of it in the list was once led to something now lost, written later than it: its DELETE.
    fn lost_its_delete(&self, offset: u64) -> bool {
        let Some(front) = Head::decode(self.file.cursor, self.front) else { return false };
        let pointers = [front.pointer(self.file.cursor, 0), front.pointer(self.file.cursor, 1)];
        pointers.iter().any(|&pointer| pointer > offset && self.survey.is_lost(Span::at(pointer, 1)))
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

    /// Keeps a record, no surer than its place and its head are.
    fn keep(&mut self, offset: u64, confidence: Confidence) {
        let end = self.file.record(offset).map_or(offset, |head| head.end);
        let placed = end <= self.survey.proven && !self.survey.displaced;
        let proven = placed && !self.survey.is_worn(offset);
        let confidence = if proven { confidence } else { confidence.max(Confidence::Unverified) };
        if self.kept.len() == self.kept.capacity() {
            // Not twice as many.
            self.kept.reserve_exact(self.kept.len() / 32 + 64);
        }
        self.kept.push(Place::new(offset, confidence));
    }
}

/// The record at an offset where the log or the list has one.
fn record(file: File<'_>, offset: u64) -> Record<'_> {
    let none = || Record { key: Cow::Borrowed(b""), value: Cow::Borrowed(b""), span: Span::at(offset, 0) };
    file.record(offset).map_or_else(none, |head| file.lend(&head))
}

/// What was lost of the committed part, with the keys on either side.
fn lost<'a>(file: File<'a>, survey: &Survey) -> Vec<Lost<'a>> {
    let cursor = file.cursor;
    let mut records = survey.starts.iter_from(FIRST_OFFSET).filter_map(|start| Head::decode(cursor, start));
    let mut before: Option<Head> = None;
    let mut after = records.find(|head| head.kind == Type::Record);
    let mut lost = Vec::new();
    for span in survey.lost.iter().filter(|span| span.start < survey.committed.min(cursor.len())) {
        while let Some(head) = after.filter(|head| head.offset < span.end) {
            before = Some(head);
            after = records.find(|head| head.kind == Type::Record);
        }
        let key = |head: Option<Head>| head.map(|head| Cow::Borrowed(head.key(cursor)));
        let span = Span::new(span.start, span.end.min(cursor.len()));
        lost.push(Lost { span, before: key(before), after: key(after) });
    }
    if cursor.len() < FIRST_OFFSET && !cursor.is_empty() && lost.is_empty() {
        lost.push(Lost { span: Span::new(0, cursor.len()), before: None, after: None });
    }
    lost
}

/// The records of transactions that never ended.
fn uncommitted<'a>(file: File<'a>, survey: &Survey) -> Vec<Record<'a>> {
    let starts = survey.starts.iter_from(file.limit);
    let heads = starts.filter_map(|start| Head::decode(file.cursor, start));
    heads.filter(|head| head.kind == Type::Record).map(|head| file.lend(&head)).collect()
}
