//! All that can be proven or plausibly read from a file, however damaged.

use rayon::prelude::*;

use super::layout::{DUMMY_OFFSET, FIRST_RECORD, Header, Node, NodeKind, is_record_offset};
use super::links::{Links, Standing};
use super::replay::{Deleted, Live};
use super::scan::{Item, Scan};
use super::survey::Survey;
use super::view::{List, record_at};
use crate::container::rows::{Row, Rows};
use crate::container::{Confidence, Crop, Harvest, KeyOrder, Lost, Place};
use crate::image::Cursor;

/// How many records one thread judges at a time. The short inputs of tests and fuzzing are to be divided too.
const JUDGED_AT_ONCE: usize = if cfg!(any(test, fuzzing)) { 16 } else { 1 << 14 };

/// The DUMMY node's offset, which stands for the head of the list.
const HEAD: u32 = DUMMY_OFFSET as u32;

/// Carves a file: the newest committed version of each key, by what its log and its pointers say together.
pub fn carve<'a>(cursor: Cursor<'a>, order: KeyOrder, survey: &Survey<'a>) -> Harvest<'a> {
    let inorder = survey.records.get(..survey.inorder_count).unwrap_or_default();
    let (log_at, mut carver) = (survey.log_at, Carver::new(cursor, order, survey));
    let live =
        carver.replay(Live::of_inorder(cursor, order, inorder.into(), &survey.rows), log_at.unwrap_or(cursor.len()));
    let kept = carver.judge(&live.sorted());
    let uncommitted = carver.uncommitted.into_iter().map(|offset| record_at(cursor, offset)).collect();
    let lend = move |offset| record_at(cursor, u32::try_from(offset).unwrap_or(u32::MAX));
    Harvest { crop: Crop::Placed(kept, Box::new(lend)), lost: carver.lost, uncommitted }
}

struct Carver<'s, 'a> {
    cursor: Cursor<'a>,
    head: Option<Node<'a>>,
    rows: &'s Rows,
    links: Links<'s, 'a>,
    /// Offset behind the last COMMIT.
    committed_end: u64,
    /// Where the log begins, as far as can be told.
    log_at: u64,
    /// Ranges that can't be read, in file order.
    lost: Vec<Lost<'a>>,
    /// Offsets of the ADDs behind the last COMMIT.
    uncommitted: Vec<u32>,
    /// Offsets of live records that shared their key with another one, in order.
    disputed: Vec<u32>,
}

impl<'s, 'a: 's> Carver<'s, 'a> {
    /// Follows the pointers of what the survey found.
    fn new(cursor: Cursor<'a>, order: KeyOrder, survey: &'s Survey<'a>) -> Self {
        let links = Links::follow(cursor, order, survey);
        let head = List::new(cursor).head();
        let log_at = survey.log_at.unwrap_or(u64::MAX).min(declared_logstart(cursor));
        let (lost, uncommitted) = (survey.lost.clone(), survey.uncommitted.clone());
        let committed_end = survey.committed_end;
        Carver {
            cursor,
            head,
            rows: &survey.rows,
            links,
            committed_end,
            log_at,
            lost,
            uncommitted,
            disputed: Vec::new(),
        }
    }

    /// The live records that the committed part of the log leaves, from those at the checkpoint on.
    fn replay(&mut self, mut live: Live<'s>, log_at: u64) -> Live<'s> {
        let mut deletion: Option<(u64, u32)> = None;
        for item in Scan::from(self.cursor, log_at) {
            let span = item.span();
            let mut replaces_unknown = false;
            if let Some((end, target)) = deletion.take() {
                let replacement = match item {
                    Item::Record(node) if span.start == end => Some(node),
                    _ => None,
                };
                let gone = self.intended(&live, end, target, replacement);
                replaces_unknown = gone.is_none() && replacement.is_some();
                gone.into_iter().for_each(|node| live.remove(node));
            }
            match item {
                Item::Record(node) if span.end <= self.committed_end || node.kind == NodeKind::Inorder => {
                    self.add(&mut live, node, replaces_unknown);
                }
                Item::Delete { target, .. } if span.end <= self.committed_end => deletion = Some((span.end, target)),
                _ => {}
            }
        }
        self.disputed.sort_unstable();
        live
    }

    /// Takes an added record in, unless it can't be believed. Of two records of one key the later is taken, unless the list
    /// speaks for the earlier: then a key has changed. (Not where the later replaces what can't be read.)
    fn add(&mut self, live: &mut Live<'s>, node: Node<'a>, replaces_unknown: bool) {
        if !node.is_credible(self.cursor) {
            return;
        }
        let old = live.find(node.key).filter(|_| node.offset < self.links.displaced_from);
        let kept = match old {
            Some(old) if !replaces_unknown && self.links.standing(&old) > self.links.standing(&node) => old,
            _ => {
                live.add(node);
                node
            }
        };
        if old.is_some() {
            self.disputed.extend(u32::try_from(kept.offset));
        }
    }

    /// The record that a DELETE, which ends at `end`, took away; `replacement` is the record directly behind it.
    ///
    /// A DELETE that the record behind it confirms by its key is believed. Otherwise: behind displaced bytes none is; a
    /// record that it names although pointers still lead to it, or that was not live, was hardly meant: then a live record
    /// that the pointers pass over, and whose offset differs in a single bit, is the better reading.
    fn intended(&self, live: &Live<'s>, end: u64, target: u32, replacement: Option<Node<'a>>) -> Option<Node<'s>> {
        let named = match live.look_up(target) {
            Deleted::Live(node) => Some(node),
            Deleted::Dead(_) | Deleted::Nothing => None,
        };
        if named.is_some_and(|node| replacement.is_some_and(|new| new.key == node.key)) {
            return named;
        }
        if u64::from(target) >= self.links.displaced_from {
            return None;
        }
        let explained = self.loses(u64::from(target)) || (named.is_some() && !self.links.contains(target));
        if explained {
            return named;
        }
        let near = (2..32).map(|bit| target ^ (1 << bit)).filter(|&offset| {
            is_record_offset(offset) && u64::from(offset) < end && live.is_live(offset) && !self.links.contains(offset)
        });
        let mut meant = near.filter_map(|offset| Node::read(self.cursor, u64::from(offset)).ok());
        match (meant.next(), meant.next()) {
            (Some(node), None) if self.links.pass_over(node.key) => Some(node),
            _ => named,
        }
    }

    /// Says of each live record how sure it is.
    fn judge(&self, sorted: &[u32]) -> Vec<Place> {
        let last_log_hole = self.lost.iter().map(|lost| lost.span).rfind(|span| span.end > self.log_at);
        let hole = last_log_hole.map_or(0, |hole| hole.start);
        let stretches = || sorted.par_chunks(JUDGED_AT_ONCE);
        let last_linked = |offsets: &[u32]| offsets.iter().rfind(|&&offset| self.links.contains(offset)).copied();
        let last: Vec<Option<u32>> = stretches().map(last_linked).collect();
        let mut witness = HEAD;
        let in_front = last.iter().map(|last| {
            let next = last.unwrap_or(witness);
            std::mem::replace(&mut witness, next)
        });
        let witnesses: Vec<u32> = in_front.collect();
        let verified = |&offset: &u32| Place::new(u64::from(offset), Confidence::Verified);
        let mut kept: Vec<Place> = sorted.par_iter().map(verified).collect();
        let work = kept.par_chunks_mut(JUDGED_AT_ONCE).zip(stretches()).zip(&witnesses);
        work.for_each(|((kept, offsets), &witness)| self.judge_stretch(offsets, witness, hole, kept));
        kept
    }

    /// Looks at all records of a stretch but those inside of rows that stand in the list and in `sorted` as in the file,
    /// which are verified. `witness` is the last linked record in front.
    fn judge_stretch(&self, sorted: &[u32], mut witness: u32, hole: u64, kept: &mut [Place]) {
        let mut index = 0;
        while let (Some(&offset), Some(place)) = (sorted.get(index), kept.get_mut(index)) {
            *place = self.judge_one(offset, witness, hole);
            if self.links.contains(offset) {
                witness = offset;
            }
            index += 1;
            let rest = sorted.get(index..).unwrap_or_default();
            if let Some(row) = self.rows.at(u64::from(offset))
                && let Some(before_last) = self.inside(row, rest)
            {
                witness = before_last;
                index += row.len - 2;
            }
        }
    }

    /// The last but one record of a row, if `rest` goes on with all records of the row behind its first one, and nothing
    /// but what the row itself shows can make those in front of its last one doubtful.
    fn inside(&self, row: &Row, rest: &[u32]) -> Option<u32> {
        let behind_first =
            rest.get(..row.len - 1).filter(|behind| behind.iter().all(|&offset| row.spans(offset.into())))?;
        let undisputed = |offset: &u32| self.disputed.binary_search(offset).is_err();
        let plain = row.last < self.links.displaced_from && self.links.contains_row(row);
        let plain = plain && (self.disputed.is_empty() || behind_first.iter().all(undisputed));
        behind_first.iter().rev().nth(1).copied().filter(|_| plain)
    }

    /// Judges a record by the last linked one in front of it, and by where the last loss in the log starts.
    fn judge_one(&self, offset: u32, witness: u32, last_log_hole: u64) -> Place {
        let before = if witness == HEAD { self.head } else { Node::read(self.cursor, u64::from(witness)).ok() };
        let confidence = if self.links.contains(offset) {
            if self.is_proven(offset, before) { Confidence::Verified } else { Confidence::Unverified }
        } else if last_log_hole > u64::from(offset) || !self.hidden_by_loss(witness, before) {
            Confidence::MaybeStale
        } else {
            Confidence::Unverified
        };
        Place::new(u64::from(offset), confidence)
    }

    /// Whether a linked record stands where it was written, is flawless, follows at level 0 on the live record in front of
    /// it, and leads to a greater key.
    fn is_proven(&self, offset: u32, before: Option<Node<'a>>) -> bool {
        let Ok(node) = Node::read(self.cursor, u64::from(offset)) else { return false };
        let in_place = u64::from(offset) < self.links.displaced_from && self.disputed.binary_search(&offset).is_err();
        in_place
            && node.is_flawless()
            && self.links.standing(&node) == Standing::Linked
            && self.links.lead_from_to(before, &node)
    }

    /// Whether the last linked record in front leads into a lost range of the INORDER region: what follows it there is
    /// hidden for that reason alone, not because it was taken out of the list.
    fn hidden_by_loss(&self, witness: u32, before: Option<Node<'a>>) -> bool {
        if witness == HEAD && Node::read(self.cursor, DUMMY_OFFSET).is_err() {
            return true;
        }
        let Some(next) = before.and_then(|node| node.pointer(0)).map(u64::from) else { return true };
        self.loses(next) && next < self.log_at
    }

    /// Whether the byte at an offset lies in a lost range.
    fn loses(&self, offset: u64) -> bool {
        let after = self.lost.partition_point(|lost| lost.span.end <= offset);
        self.lost.get(after).is_some_and(|lost| lost.span.contains(offset))
    }
}

/// Where the header puts the start of the log, if that can be; else the end of the file.
fn declared_logstart(cursor: Cursor<'_>) -> u64 {
    let declared = Header::decode(cursor).map(|header| u64::from(header.logstart));
    declared.filter(|at| (FIRST_RECORD..=cursor.len()).contains(at)).unwrap_or(cursor.len())
}

#[cfg(test)]
mod tests {
    use super::super::{Options, write};
    use super::*;
    use crate::container::Carved;
    use crate::container::rows::damage;

    /// A file of two thousand records.
    fn whole() -> Vec<u8> {
        let records = (0..2000).map(|i| (format!("key {i:08}"), "v".repeat(i % 99)));
        let options = Options { order: KeyOrder::Signed, last_recovery: 1 };
        let mut out = std::io::Cursor::new(Vec::new());
        write(&mut out, records, options).expect("a file in memory");
        out.into_inner()
    }

    #[test]
    fn rows_change_nothing() {
        let whole = whole();
        let mut passed = 0;
        for number in 0..400 {
            let bytes = if number == 0 { whole.clone() } else { damage(&whole, number) };
            let cursor = Cursor::new(&bytes);
            let surveyed = Survey::new(cursor);
            passed += surveyed.rows.iter().count();
            let mut plain = Survey::new(cursor);
            plain.rows = Rows::default();
            for order in [KeyOrder::Signed, KeyOrder::Mbox] {
                let by_rows = Carved::from(carve(cursor, order, &surveyed));
                let one_by_one = Carved::from(carve(cursor, order, &plain));
                assert!(by_rows == one_by_one, "damage {number}, {order}");
            }
        }
        assert!(passed > 400 * 10, "{passed} rows");
    }
}
