//! The careful look at a file in which something is wrong: says what, where, and what follows from it.

use bstr::ByteSlice;

use super::super::graph::{Hole, Mismatch, Step, Walk, Why};
use super::super::layout::{DIRTY, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, Type, choose};
use super::super::live::Live;
use super::super::replay::replay;
use super::super::rules;
use super::super::scan::{Item, Scan, What};
use super::super::survey::Survey;
use super::super::view::{File, List};
use super::{Totals, hex, only_blanks};
use crate::container::bits::Bits;
use crate::container::{KeyOrder, OrderTally};
use crate::finding::{Finding, Rule, Sink};
use crate::image::{Cursor, Span};

/// What the parts of the look share.
struct Look<'c, 'a> {
    file: File<'a>,
    survey: &'c Survey,
    header: &'c Header,
    order: KeyOrder,
    /// A transaction or recovery may be under way: upper pointers may be halfway.
    unclean: bool,
    visited: &'c Bits,
    /// Whether the list could be walked from its start to its end.
    whole_list: bool,
    nodes: u64,
    live_bytes: u64,
}

/// Looks at a whole file and reports what is wrong with it.
pub fn look(cursor: Cursor<'_>, header: &Header, sink: &mut Sink<'_>) -> Totals {
    let survey = Survey::new(cursor);
    let file = survey.file(cursor);
    let tally = order(file);
    let visited = Bits::new(cursor.len());
    let mut look = Look {
        file,
        survey: &survey,
        header,
        order: tally.best(KeyOrder::Unsigned),
        unclean: header.flags & DIRTY != 0 || header.current_size < cursor.len(),
        visited: &visited,
        whole_list: true,
        nodes: 0,
        live_bytes: 0,
    };
    look.list(&tally, sink);
    let live = look.log(sink);
    look.bytes(&live, sink);
    look.tail(sink);
    look.count(&live, sink);
    Totals { tally, live_bytes: look.live_bytes }
}

/// The order of the keys as the list has them: a quick look on all threads, and if that does not answer, one that leaves
/// out keys that can't be believed.
pub fn order(file: File<'_>) -> OrderTally {
    use crate::container::View;
    use rayon::prelude::*;
    let list = List::new(file, KeyOrder::Unsigned, 4 * rayon::current_num_threads());
    let parts: Vec<_> = (0..list.parts()).into_par_iter().map(|part| tally_part(file, &list, part, false)).collect();
    let mut all = OrderTally::default();
    let mut last: Option<Head> = None;
    for (tally, ends, _) in &parts {
        if let (Some(last), Some((first, _))) = (last, ends) {
            all.push((last.key(file.cursor), last.offset), (first.key(file.cursor), first.offset));
        }
        all.append(tally);
        last = ends.map(|(_, last)| last).or(last);
    }
    let best = all.best(KeyOrder::Unsigned);
    if parts.iter().all(|(_, _, whole)| *whole) && all.fits(best) && best != KeyOrder::Signed {
        return all;
    }
    tally_part(file, &List::new(file, KeyOrder::Unsigned, 1), 0, true).0
}

/// Tallies one part; with its first and last record, and whether it could be read to its end.
fn tally_part(file: File<'_>, list: &List<'_>, part: usize, proven: bool) -> (OrderTally, Option<(Head, Head)>, bool) {
    let mut tally = OrderTally::default();
    let mut ends: Option<(Head, Head)> = None;
    let whole = list.part(part, &mut |head| {
        if proven && !head.tail_is_right(file.cursor) {
            return true;
        }
        if let Some((_, last)) = &ends {
            tally.push((last.key(file.cursor), last.offset), (head.key(file.cursor), head.offset));
        }
        ends = Some((ends.map_or(*head, |(first, _)| first), *head));
        true
    });
    (tally, ends, whole)
}

impl<'a> Look<'_, 'a> {
    fn cursor(&self) -> Cursor<'a> {
        self.file.cursor
    }

    fn name(&self, head: &Head) -> String {
        match head.kind {
            Type::Record => format!("{:?}", head.key(self.cursor()).as_bstr()),
            Type::Dummy => "the start of the list".into(),
            Type::Delete => "a DELETE".into(),
            Type::Commit => "a COMMIT".into(),
        }
    }

    /// Walks the list and reports on its pointers and its order.
    fn list(&mut self, tally: &OrderTally, sink: &mut Sink<'_>) {
        let (file, survey, order, visited) = (self.file, self.survey, self.order, self.visited);
        let mut disorder_told = false;
        let mut started = false;
        let mut mismatches = Vec::new();
        Walk::run(file, survey, order, visited, &mut |step| match step {
            Step::Node { head, worn, .. } => {
                started = true;
                self.nodes += 1;
                self.live_bytes = self.live_bytes.saturating_add(head.span().len());
                if !worn {
                    self.pointers(&head, sink);
                }
            }
            Step::Hole(hole) => {
                self.whole_list = false;
                disorder_told |= hole.why == Why::Disorder;
                sink(self.hole(&hole));
            }
            Step::Upper(mismatch) => mismatches.push(mismatch),
            // Only carving asks for rows.
            Step::Row(_) => {}
        });
        mismatches.iter().for_each(|mismatch| sink(self.upper(mismatch)));
        match super::super::layout::dummy(self.cursor()) {
            Some(dummy) if dummy.head_is_right(self.cursor()) => self.pointers(&dummy, sink),
            _ => self.whole_list &= started,
        }
        let fits = tally.fits(order) && order != KeyOrder::Signed;
        if let Some(misfit) = tally.misfit(KeyOrder::Unsigned).filter(|_| !fits && !disorder_told) {
            sink(self.misfit(misfit.first, misfit.second));
        }
    }

    fn misfit(&self, first: u64, second: u64) -> Finding {
        let name = |offset| self.file.record(offset).map_or_else(String::new, |head| self.name(&head));
        let message = format!("{} follows {}: keys stand in no order that Cyrus uses", name(second), name(first));
        let span = self.file.record(second).map_or(Span::at(second, 8), |head| head.span());
        Finding::new(&rules::ORDER, span, message).via("level-0 pointer of the record", first)
    }

    fn hole(&self, hole: &Hole) -> Finding {
        let name = self.name(&hole.from);
        let pointers = Span::new(hole.from.pointer_span(0).start, hole.from.pointer_span(1).end);
        let (rule, what) = match hole.why {
            Why::Beyond => (&rules::BROKEN_LINK, "leads behind the committed part"),
            Why::Unreadable => (&rules::BROKEN_LINK, "leads to no readable record"),
            Why::Inside => (&rules::BROKEN_LINK, "leads into the middle of a record"),
            Why::Circle => (&rules::BROKEN_LINK, "leads back to a record that was passed before"),
            Why::Skips => (&rules::BROKEN_LINK, "leaves out a record that an upper level leads to"),
            Why::TooLow => (&rules::BROKEN_LINK, "leads to a record of fewer levels than lead there"),
            Why::Unproven => (&rules::BROKEN_LINK, "can't be believed, since the crc of the head is wrong"),
            Why::Disorder => (&rules::ORDER, "leads to a key that does not follow"),
        };
        let message = format!("the link behind {name} {what}");
        Finding::new(rule, pointers, message).values("the offset of the next record", format!("0x{:X}", hole.target))
    }

    fn upper(&self, mismatch: &Mismatch) -> Finding {
        // What an unfinished transaction leaves: a pointer to one of its own records, or past a record that it deleted.
        let found = mismatch.found;
        let halfway = found == 0 || found >= self.file.committed || self.visited.contains(found);
        let rule: &'static Rule = if self.unclean && halfway { &rules::UNRECOVERED } else { &rules::UPPER_LINK };
        let from = Head::decode(self.cursor(), mismatch.from);
        let span = from.map_or(Span::at(mismatch.from, 8), |head| head.pointer_span(mismatch.level.saturating_add(1)));
        let name = from.map_or_else(String::new, |head| self.name(&head));
        let message = format!("the level-{} pointer of {name} does not lead to the next record", mismatch.level);
        Finding::new(rule, span, message)
            .values(format!("0x{:X}", mismatch.expected), format!("0x{:X}", mismatch.found))
            .via("record", mismatch.from)
    }

    /// Checks the two level-0 pointers of a node whose head is proven.
    fn pointers(&self, head: &Head, sink: &mut Sink<'_>) {
        let pair = [head.pointer(self.cursor(), 0), head.pointer(self.cursor(), 1)];
        let [first, second] = pair;
        if first == second && first != 0 {
            let message = format!("both level-0 pointers of {} are the same", self.name(head));
            sink(Finding::new(&rules::EQUAL_POINTERS, head.pointer_span(1), message).via("record", head.offset));
        }
        let chosen = choose(first, second, self.file.committed);
        for (index, pointer) in (0..).zip(pair) {
            if pointer >= self.file.committed {
                let rule: &'static Rule = if self.unclean { &rules::UNRECOVERED } else { &rules::BEYOND };
                let message = format!("a level-0 pointer of {} leads behind the committed part", self.name(head));
                let finding = Finding::new(rule, head.pointer_span(index), message);
                sink(finding.values(format!("below 0x{:X}", self.file.committed), format!("0x{pointer:X}")));
            } else if pointer != chosen && pointer != 0 && !self.survey.starts.contains(pointer) {
                let message = format!("the idle level-0 pointer of {} leads to no record", self.name(head));
                let finding = Finding::new(&rules::IDLE_POINTER, head.pointer_span(index), message);
                sink(finding.values("0 or the offset of a record", format!("0x{pointer:X}")));
            }
        }
    }

    /// Replays the log and compares it with the list.
    fn log(&self, sink: &mut Sink<'_>) -> Live<'a> {
        let cursor = self.cursor();
        let live = replay(cursor, self.survey, self.order, &mut |delete, deletion| {
            if deletion.certain {
                return true;
            }
            let message = match deletion.old.and_then(|old| Head::decode(cursor, old)) {
                Some(old) => format!("this DELETE should remove {}, which does not agree", self.name(&old)),
                None => "what this DELETE removed can't be found".into(),
            };
            let finding = Finding::new(&rules::DELETE_NEXT, delete.span(), message);
            sink(finding.values("the record behind the deleted one", format!("0x{:X}", delete.word(cursor))));
            false
        });
        self.unreached(&live, sink);
        self.undead(&live, sink);
        live
    }

    /// Records that are live in the log and not in the list, run by run.
    fn unreached(&self, live: &Live<'a>, sink: &mut Sink<'_>) {
        let mut run: Option<(Head, Head, u64)> = None;
        let mut end = |run: Option<(Head, Head, u64)>| {
            if let Some((first, last, count)) = run {
                let (first_name, last_name) = (self.name(&first), self.name(&last));
                let message = match count {
                    1 => format!("no pointer leads to {first_name}, which is live"),
                    _ => format!("no pointer leads to {count} live records, {first_name} to {last_name}"),
                };
                sink(Finding::new(&rules::UNREACHED, first.span(), message));
            }
        };
        for offset in live.iter() {
            let missing = !self.visited.contains(offset) && !self.survey.loses_behind(offset);
            let head = Head::decode(self.cursor(), offset).filter(|_| missing);
            run = match (run, head) {
                (Some((first, _, count)), Some(head)) => Some((first, head, count + 1)),
                (None, Some(head)) => Some((head, head, 1)),
                (run, None) => {
                    end(run);
                    None
                }
            };
        }
        end(run);
    }

    /// Records that are in the list although the log replaced or deleted them.
    fn undead(&self, live: &Live<'a>, sink: &mut Sink<'_>) {
        let cursor = self.cursor();
        for item in Scan::new(cursor, FIRST_OFFSET) {
            let head = item.believed().filter(|head| head.kind == Type::Record && self.visited.contains(head.offset));
            let Some(head) = head.filter(|head| !live.contains(head.offset)) else { continue };
            let newer = live.get(head.key(cursor));
            if newer.is_none() && self.survey.loses_behind(0) {
                continue;
            }
            let message = match newer {
                Some(newer) => format!("the list has {}, which 0x{newer:X} replaced", self.name(&head)),
                None => format!("the list has {}, which was deleted", self.name(&head)),
            };
            sink(Finding::new(&rules::UNDEAD, head.span(), message));
        }
    }

    /// Whether both witnesses say that a record is not live.
    fn is_dead(&self, live: &Live<'a>, head: &Head, bad_tail: bool) -> bool {
        let reached = self.visited.contains(head.offset);
        head.kind != Type::Record || !reached && (self.whole_list || !bad_tail && !live.contains(head.offset))
    }

    /// Reports on the bytes of the committed part, in file order.
    fn bytes(&self, live: &Live<'a>, sink: &mut Sink<'_>) {
        let mut expected = FIRST_OFFSET;
        let dummy_is_right = Scan::new(self.cursor(), DUMMY_OFFSET).next().is_some_and(|item| match item.what {
            What::Record(head) => head.kind == Type::Dummy,
            _ => false,
        });
        if !dummy_is_right {
            let message = "the DUMMY record is damaged: Cyrus finds nothing";
            sink(Finding::new(&rules::DUMMY, Span::new(DUMMY_OFFSET, FIRST_OFFSET), message));
        }
        let from = if dummy_is_right { FIRST_OFFSET } else { DUMMY_OFFSET };
        for item in Scan::new(self.cursor(), from) {
            if item.span.start >= self.survey.limit {
                break;
            }
            self.item(&item, live, sink);
            if let Some(commit) = item.head().filter(|head| head.kind == Type::Commit) {
                let start = commit.word(self.cursor());
                if item.proven().is_some() && start != expected {
                    let message = "this COMMIT names another start than the end of the COMMIT in front of it";
                    let finding = Finding::new(&rules::COMMIT_START, item.span, message);
                    sink(finding.values(format!("0x{expected:X}"), format!("0x{start:X}")));
                }
                expected = commit.end;
            }
        }
        let size = self.header.current_size;
        let contradicted = self.survey.header.is_some() && !self.survey.size_is_possible;
        if contradicted || expected != self.survey.limit {
            let message = "the committed size is not where a COMMIT ends";
            let finding = Finding::new(&rules::LAST_COMMIT, Header::CURRENT_SIZE, message);
            sink(finding.values(format!("0x{expected:X}"), format!("0x{size:X}")));
        }
    }

    fn item(&self, item: &Item, live: &Live<'a>, sink: &mut Sink<'_>) {
        match item.what {
            What::Blank => {}
            What::Zeros => sink(Finding::new(&rules::ZEROS, item.span, "zeros where records should be")),
            What::Gap => sink(Finding::new(&rules::GAP, item.span, "bytes that are nothing the format knows")),
            What::Torn(_) => sink(Finding::new(&rules::TORN, item.span, "the file ends inside this record")),
            What::Record(head) | What::Worn(head) | What::BadTail(head) if head.kind == Type::Dummy => {
                if head.offset != DUMMY_OFFSET {
                    sink(Finding::new(&rules::GAP, item.span, "a DUMMY record in the middle of the file"));
                }
            }
            What::Record(head) => self.contents(&head, sink),
            What::Worn(head) if head.kind == Type::Delete => {
                let message = "the crc of the head of a DELETE is wrong: what it removed can't be told";
                let (stored, computed) = head.head_sums(self.cursor()).unwrap_or_default();
                sink(Finding::new(&rules::DELETE_NEXT, head.span(), message).values(hex(computed), hex(stored)));
            }
            What::Worn(head) => {
                let dead = self.is_dead(live, &head, false);
                let rule: &'static Rule = if dead { &rules::DEAD_HEAD } else { &rules::LIVE_HEAD };
                let message = format!("the crc of the head of {} is wrong", self.name(&head));
                let (stored, computed) = head.head_sums(self.cursor()).unwrap_or_default();
                sink(Finding::new(rule, head.span(), message).values(hex(computed), hex(stored)));
            }
            What::BadTail(head) => {
                let dead = self.is_dead(live, &head, true);
                let rule: &'static Rule = if dead { &rules::DEAD_TAIL } else { &rules::LIVE_TAIL };
                let message =
                    format!("the crc of the tail of {} is wrong: its key or value is not right", self.name(&head));
                let (stored, computed) = head.tail_sums(self.cursor()).unwrap_or_default();
                sink(Finding::new(rule, head.span(), message).values(hex(computed), hex(stored)));
            }
        }
    }

    /// Checks what sums don't tell.
    fn contents(&self, head: &Head, sink: &mut Sink<'_>) {
        if head.kind == Type::Record && head.key_len == 0 {
            sink(Finding::new(&rules::EMPTY_KEY, head.span(), "a record with an empty key"));
        }
        if !head.padding_is_zero(self.cursor()) {
            let message = format!("{} is filled up with other bytes than zeros", self.name(head));
            sink(Finding::new(&rules::PADDING, head.padding_span(), message));
        }
    }

    /// Reports on what follows the committed part.
    fn tail(&self, sink: &mut Sink<'_>) {
        let cursor = self.cursor();
        let (limit, len) = (self.survey.limit, cursor.len());
        if limit >= len {
            return;
        }
        let (mut records, mut expected, mut stale) = (0_u64, limit, false);
        for item in Scan::new(cursor, limit) {
            let Some(head) = item.believed() else { continue };
            records += u64::from(matches!(head.kind, Type::Record | Type::Delete));
            if head.kind == Type::Commit {
                let start = head.word(cursor);
                stale |= start != expected;
                if start == expected && only_blanks_or_readable(cursor, expected, head.offset) {
                    expected = head.end;
                }
            }
        }
        if expected > limit {
            let message = "transactions that are complete on disk follow current_size: Cyrus would throw them away";
            sink(Finding::new(&rules::COMPLETE_TAIL, Span::new(limit, expected), message));
        }
        let rest = Span::new(expected, len);
        if rest.is_empty() {
            return;
        }
        if stale {
            let message = "bytes follow current_size that belong to another file or an older state of this one";
            sink(Finding::new(&rules::STALE_TAIL, rest, message));
        } else {
            let message = format!("{} bytes follow the committed part, {records} changes in them", rest.len());
            sink(Finding::new(&rules::TAIL, rest, message));
        }
    }

    /// Compares num_records with what was counted.
    fn count(&self, live: &Live<'a>, sink: &mut Sink<'_>) {
        let counted = if self.whole_list {
            self.nodes
        } else if !self.survey.loses_behind(0) {
            live.iter().count() as u64
        } else {
            return;
        };
        if self.survey.header.is_some() && self.header.num_records != counted {
            let message = "num_records is not the number of live records: Cyrus calls the file inconsistent";
            let finding = Finding::new(&rules::NUM_RECORDS, Header::NUM_RECORDS, message);
            sink(finding.values(counted, self.header.num_records));
        }
    }
}

/// Whether a transaction can be read from its start to its COMMIT.
fn only_blanks_or_readable(cursor: Cursor<'_>, start: u64, commit: u64) -> bool {
    only_blanks(cursor, start, commit)
        || Scan::new(cursor, start).take_while(|item| item.span.start < commit).all(|item| !item.is_lost())
}
