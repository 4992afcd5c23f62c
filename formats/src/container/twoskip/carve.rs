//! All that can be proven or plausibly read from a file, however damaged.
//!
//! Two witnesses: the log (what the file's own order says was written last) and the list (what pointers lead to). Each is
//! believed where it is whole, and where both are broken the log is, with a word of doubt.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use super::graph::{Step, Walk, Why};
use super::layout::{ALIGN, DUMMY_OFFSET, FIRST_OFFSET, Head, Type, dummy};
use super::live::{Iter, Live};
use super::replay::replay;
use super::survey::Survey;
use super::view::File;
use crate::container::bits::Bits;
use crate::container::{Confidence, Crop, Harvest, KeyOrder, Lost, Place, Record};
use crate::image::{Cursor, Span};

/// Stands in the list for a part that pointers don't show.
const HOLE: u64 = u64::MAX;
/// Marks the last record of a row in the list, which stands for all of the row but the first one, in front of it.
const ROW: u64 = 1 << 63;

/// What pointers lead to.
#[derive(Default)]
struct List {
    /// Offsets in key order, with marks where pointers fail, and for rows.
    links: Vec<u64>,
    /// Number of records.
    count: usize,
    /// Whether there is a hole.
    broken: bool,
    /// Whether something has moved.
    moved: bool,
}

impl List {
    fn hole(&mut self) {
        self.links.push(HOLE);
        self.broken = true;
    }
}

/// Carves a file.
pub fn carve<'a>(cursor: Cursor<'a>, order: KeyOrder) -> Harvest<'a> {
    carve_surveyed(cursor, order, Survey::with_rows(cursor, order))
}

fn carve_surveyed<'a>(cursor: Cursor<'a>, order: KeyOrder, mut survey: Survey) -> Harvest<'a> {
    let file = survey.file(cursor);
    let replayed = |displaced| replay_judged(cursor, &survey, order, displaced);
    let (list, mut replay) = rayon::join(|| list(file, &survey, order), || replayed(survey.displaced));
    if list.moved && !survey.displaced && replay.deletes {
        replay = replayed(true);
    }
    survey.displaced |= list.moved;
    let Replay { live, doubtful, .. } = replay;
    let last_doubtful = doubtful.values().copied().max().unwrap_or_default();
    let count = survey.header.map(|header| header.num_records);
    let whole = !survey.displaced && !list.broken && count == Some(list.count as u64);
    let merge = Merge {
        whole,
        file,
        survey: &survey,
        order,
        live: &live,
        doubtful,
        last_doubtful,
        front: DUMMY_OFFSET,
        hole: false,
        kept: Vec::with_capacity(list.count.max(live.len())),
    };
    let kept = merge.run(&list.links);
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

/// What pointers lead to.
fn list(file: File<'_>, survey: &Survey, order: KeyOrder) -> List {
    let mut list = List::default();
    if dummy(file.cursor).is_none() {
        list.hole();
        return list;
    }
    let visited = Bits::new(file.cursor.len());
    let unclean = survey.header.is_none_or(|header| header.flags != 0 || header.current_size < file.cursor.len());
    Walk::run(file, survey, order, &visited, &mut |step| match step {
        Step::Node { head, bad_tail: false, .. } => {
            list.links.push(head.offset);
            list.count += 1;
        }
        Step::Node { .. } => list.hole(),
        Step::Row(row) => {
            list.links.push(row.last | ROW);
            list.count += row.len - 1;
        }
        Step::Hole(hole) => {
            list.moved |= !matches!(hole.why, Why::Beyond | Why::Unreadable | Why::Unproven);
            list.hole();
        }
        // Proven pointers are wrong only where a transaction is under way, or what they lead to has moved.
        Step::Upper(_) => list.moved |= !unclean,
    });
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
    last_doubtful: u64,
    /// Whether the list has no hole, and as many records as the header says.
    whole: bool,
    /// The record of the list that was met last.
    front: u64,
    /// Whether the list has a hole behind that.
    hole: bool,
    kept: Vec<Place>,
}

impl<'a> Merge<'_, 'a> {
    fn run(mut self, links: &[u64]) -> Vec<Place> {
        let live = self.live;
        let mut log = live.iter();
        for &link in links {
            if link == HOLE {
                self.hole = true;
            } else if link & ROW == 0 {
                self.listed(link, &mut log);
            } else {
                self.row(link & !ROW, &mut log);
            }
        }
        for logged in log {
            self.logged_only(logged);
        }
        self.kept
    }

    /// The records of a row behind the one that was met last.
    fn row(&mut self, last: u64, log: &mut Iter<'_, 'a>) {
        let survey = self.survey;
        let span = (self.front.saturating_add(ALIGN), last);
        let rest = survey.starts.iter_within(span.0, span.1);
        if !self.doubtful.is_empty() || !log.pass(&survey.starts, span, self.key(last)) {
            rest.for_each(|listed| self.listed(listed, log));
            return;
        }
        let confidence = if survey.displaced { Confidence::Unverified } else { Confidence::Verified };
        for listed in rest {
            self.push(Place::new(listed, confidence));
        }
        (self.hole, self.front) = (false, last);
    }

    /// A record of the list, with those that the log has in front of it.
    fn listed(&mut self, listed: u64, log: &mut Iter<'_, 'a>) {
        if log.next_if_eq(listed).is_some() {
            self.both(listed, listed);
            (self.hole, self.front) = (false, listed);
            return;
        }
        let Some(head) = Head::decode(self.file.cursor, listed) else { return };
        let key = head.key(self.file.cursor);
        while let Some(logged) = log.peek() {
            let order = if logged == listed { Ordering::Equal } else { self.order.compare(self.key(logged), key) };
            if order == Ordering::Greater {
                break;
            }
            log.next();
            if order == Ordering::Less {
                self.logged_only(logged);
                continue;
            }
            self.both(listed, logged);
            break;
        }
        let last = self.kept.last().map(|last| self.key(last.offset()));
        if last.is_none_or(|last| self.order.compare(last, key) == Ordering::Less) {
            self.keep(listed, Confidence::Unverified);
        }
        (self.hole, self.front) = (false, listed);
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
    fn logged_only(&mut self, logged: u64) {
        let end_is_known = self.survey.header.is_some() && self.survey.size_is_possible;
        let lost_behind = self.survey.loses_behind(logged) || logged < self.last_doubtful;
        let in_doubt = self.survey.displaced || !end_is_known || lost_behind;
        match (self.hole, in_doubt) {
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
        self.push(Place::new(offset, confidence));
    }

    fn push(&mut self, place: Place) {
        if self.kept.len() == self.kept.capacity() {
            // Not twice as many.
            self.kept.reserve_exact(self.kept.len() / 32 + 64);
        }
        self.kept.push(place);
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
    let record = |start| Head::decode(cursor, start).filter(|head| head.kind == Type::Record);
    let first_from = |from| survey.starts.iter_from(from).find_map(record);
    let mut before: Option<Head> = None;
    let mut after = first_from(FIRST_OFFSET);
    let mut lost = Vec::new();
    for span in survey.lost.iter().filter(|span| span.start < survey.committed.min(cursor.len())) {
        if let Some(behind) = after.filter(|head| head.offset < span.end) {
            let back = std::iter::successors(survey.starts.before(span.end), |&start| survey.starts.before(start));
            before = back.take_while(|&start| start > behind.offset).find_map(record).or(after);
            after = first_from(span.end);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Carved;
    use crate::container::rows::damage;

    /// A file of two thousand records.
    fn whole() -> Vec<u8> {
        let records = (0..2000).map(|i| (format!("key {i:08}"), "v".repeat(i % 99)));
        let out = std::io::Cursor::new(Vec::new());
        super::super::writer::write(out, records, Default::default()).expect("a file in memory").into_inner()
    }

    #[test]
    fn rows_change_nothing() {
        let whole = whole();
        let mut passed = 0;
        for number in 0..400 {
            let bytes = if number == 0 { whole.clone() } else { damage(&whole, number) };
            let cursor = Cursor::new(&bytes);
            for order in [KeyOrder::Unsigned, KeyOrder::Mbox] {
                let surveyed = Survey::with_rows(cursor, order);
                passed += surveyed.rows.iter().count();
                let by_rows = Carved::from(carve_surveyed(cursor, order, surveyed));
                let one_by_one = Carved::from(carve_surveyed(cursor, order, Survey::new(cursor)));
                assert!(by_rows == one_by_one, "damage {number}, {order}");
            }
        }
        assert!(passed > 400 * 20, "{passed} rows");
    }
}
