//! A sound database from a damaged one: what to keep, from where, and how sure each record is.

use std::borrow::Cow;
use std::collections::HashSet;

use rayon::prelude::*;

use crate::formats::container::{
    Carved, Change, Confidence, CyrusOutcome, Database, Ending, Format, Kept, KeyOrder, Lost, Record, flat,
};
use crate::formats::image::Span;

/// How sure a recovered record is, and where it comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Origin {
    /// From the file, as sure as carving says.
    Carved(Confidence),
    /// From a transaction of the file that never ended; asked for with `--include-uncommitted`.
    Uncommitted,
    /// What Cyrus itself would leave.
    Cyrus,
    /// From the witness of this number; the file lost it, or holds an older version of it.
    Witness(u16),
    /// From the witness of this number, which is of another role and does not know all that a record needs.
    OtherRole(u16),
}

impl Origin {
    /// Whether it is from the file itself.
    pub fn is_own(self) -> bool {
        !matches!(self, Origin::Witness(_) | Origin::OtherRole(_))
    }

    /// Its place among the kinds of origin, the surest first.
    pub fn rank(self) -> usize {
        match self {
            Origin::Carved(Confidence::Verified) => 0,
            Origin::Carved(Confidence::Unverified) | Origin::OtherRole(_) => 1,
            Origin::Carved(Confidence::MaybeStale) => 2,
            Origin::Uncommitted => 3,
            Origin::Cyrus => 4,
            Origin::Witness(_) => 5,
        }
    }

    /// Stable word, as printed and as given in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Carved(Confidence::Verified) => "verified",
            Origin::Carved(Confidence::Unverified) | Origin::OtherRole(_) => "unverified",
            Origin::Carved(Confidence::MaybeStale) => "maybe-stale",
            Origin::Uncommitted => "uncommitted",
            Origin::Cyrus => "cyrus",
            Origin::Witness(_) => "witness",
        }
    }

    /// The number of the witness it comes from.
    pub fn witness(self) -> Option<u16> {
        match self {
            Origin::Witness(number) | Origin::OtherRole(number) => Some(number),
            Origin::Carved(_) | Origin::Uncommitted | Origin::Cyrus => None,
        }
    }
}

/// A record to write.
#[derive(Clone, Debug)]
pub struct Recovered<'a> {
    /// The record; its span lies in the source, or in the witness.
    pub record: Record<'a>,
    /// How sure it is and where it comes from.
    pub origin: Origin,
}

/// What recovering a file gives.
#[derive(Debug)]
pub struct Recovery<'a> {
    /// Records to write, in key order, one a key.
    pub records: Vec<Recovered<'a>>,
    /// Ranges lost, in file order.
    pub lost: Vec<Lost<'a>>,
    /// Records of transactions that never ended, and that are left out.
    pub uncommitted: Vec<Record<'a>>,
    /// The order that `records` stand in.
    pub order: KeyOrder,
}

impl<'a> Recovery<'a> {
    /// What carving brings up, in `order`.
    pub fn carve(carved: Carved<'a>, order: KeyOrder) -> Self {
        let origin = |kept: Kept<'a>| Recovered { record: kept.record, origin: Origin::Carved(kept.confidence) };
        let records = carved.kept.into_iter().map(origin).collect();
        Recovery { records, lost: carved.lost, uncommitted: carved.uncommitted, order }
    }

    /// Records that all come from `origin`, in `order`.
    pub fn plain(records: Vec<Record<'a>>, origin: Origin, order: KeyOrder) -> Self {
        let records = records.into_iter().map(|record| Recovered { record, origin }).collect();
        Recovery { records, lost: Vec::new(), uncommitted: Vec::new(), order }
    }

    /// What it has of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Recovered<'a>> {
        let found = self.records.binary_search_by(|known| self.order.compare(&known.record.key, key));
        self.records.get(found.ok()?)
    }

    /// Puts the records in the order that the file to write wants: of flat files, that of their escaped keys.
    pub fn sort(&mut self, format: Format, order: KeyOrder) {
        self.order = order;
        let compare = |a: &Recovered<'_>, b: &Recovered<'_>| match format {
            Format::Flat => flat::writer::written_order(flat::Style::Escaped, &a.record.key, &b.record.key),
            _ => order.compare(&a.record.key, &b.record.key),
        };
        if !self.records.par_windows(2).all(|pair| compare(&pair[0], &pair[1]).is_le()) {
            self.records.par_sort_by(compare);
        }
    }

    /// Adds the records of unfinished transactions; those that came last win.
    pub fn include_uncommitted(&mut self) {
        let uncommitted = std::mem::take(&mut self.uncommitted);
        let added = uncommitted.into_iter().map(|record| Recovered { record, origin: Origin::Uncommitted });
        self.overlay(added.collect());
    }

    /// Adds records; they replace those of the same key, later ones earlier ones.
    fn overlay(&mut self, added: Vec<Recovered<'a>>) {
        let order = self.order;
        self.records.extend(added);
        // Stable: of one key, what was added last stands last.
        self.records.sort_by(|a, b| order.compare(&a.record.key, &b.record.key));
        self.records.reverse();
        self.records.dedup_by(|a, b| a.record.key == b.record.key);
        self.records.reverse();
    }

    /// Whether everything in the file was proven and nothing was left out.
    pub fn is_whole(&self) -> bool {
        let proven = |recovered: &Recovered<'_>| recovered.origin == Origin::Carved(Confidence::Verified);
        self.lost.is_empty() && self.uncommitted.is_empty() && self.records.iter().all(proven)
    }
}

/// A copy to ask about what the file lost: its records, in the spelling of the file to recover.
pub struct Witness<'a> {
    /// Its number in the order given by the user.
    pub number: u16,
    /// Its records.
    pub records: Vec<Record<'a>>,
    /// Whether it is of another role: it then can't tell which of two versions is the newer one, as each host writes its
    /// own times.
    pub other_role: bool,
    /// Whether its records lack what a record needs.
    pub lacks_fields: bool,
}

/// What a witness was used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Testimony {
    /// Keys the file had lost.
    pub filled: usize,
    /// Doubtful records whose value the witness has too: no longer in doubt.
    pub confirmed: usize,
    /// Doubtful records that the witness has a newer version of.
    pub replaced: usize,
    /// Keys of the witness that the file's own log says were deleted: left out.
    pub deleted: usize,
}

impl<'a> Recovery<'a> {
    /// Asks a witness: fills in keys that a lost range may have held, and arbitrates doubtful records by their `mtime`.
    ///
    /// Nothing is taken when the file lost nothing: what it does not hold was then deleted on purpose. `deleted` are keys
    /// that the file itself says were deleted.
    pub fn ask(
        &mut self,
        witness: Witness<'a>,
        deleted: &HashSet<Cow<'a, [u8]>>,
        written: impl Fn(&Record<'_>) -> Option<u64>,
    ) -> Testimony {
        let order = self.order;
        let mut testimony = Testimony::default();
        let mut added = Vec::new();
        let origin = match witness.lacks_fields {
            true => Origin::OtherRole(witness.number),
            false => Origin::Witness(witness.number),
        };
        for record in witness.records {
            match self.records.binary_search_by(|known| order.compare(&known.record.key, &record.key)) {
                Ok(_) if witness.other_role => {}
                Ok(index) => {
                    let Some(known) = self.records.get_mut(index) else { continue };
                    let doubtful = matches!(
                        known.origin,
                        Origin::Carved(Confidence::Unverified | Confidence::MaybeStale) | Origin::Uncommitted
                    );
                    if !doubtful {
                        continue;
                    }
                    if known.record.value == record.value {
                        known.origin = Origin::Carved(Confidence::Verified);
                        testimony.confirmed += 1;
                    } else if written(&record) > written(&known.record) {
                        *known = Recovered { record, origin };
                        testimony.replaced += 1;
                    }
                }
                Err(_) if self.lost.is_empty() => {}
                Err(_) if deleted.contains(&record.key) => testimony.deleted += 1,
                Err(_) => {
                    added.push(Recovered { record, origin });
                    testimony.filled += 1;
                }
            }
        }
        if !added.is_empty() {
            self.overlay(added);
        }
        testimony
    }
}

/// Keys whose last change in the file's log is a deletion that is beyond doubt.
pub fn deleted_keys<'a>(database: &dyn Database<'a>, order: KeyOrder) -> HashSet<Cow<'a, [u8]>> {
    let mut deleted = HashSet::new();
    for transaction in database.log(order).filter(|transaction| transaction.ending == Ending::Committed) {
        for change in transaction.changes {
            match change {
                Change::Add(record) | Change::Replace { new: record, .. } => {
                    deleted.remove(&record.key);
                }
                Change::Delete { old: Some(record), certain: true, .. } => {
                    deleted.insert(record.key);
                }
                Change::Delete { .. } => {}
            }
        }
    }
    deleted
}

/// What letting Cyrus at the file would cost against carving it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Records that Cyrus would lose.
    pub lost: Vec<Span>,
    /// Keys that Cyrus would give another value: the bytes that carving keeps.
    pub changed: Vec<Span>,
    /// Records that only Cyrus would show: uncommitted, deleted or resurrected ones.
    pub only_cyrus: Vec<Span>,
}

/// Compares Cyrus' records with carved ones; both in `order`.
pub fn cost(cyrus: &[Record<'_>], carved: &[Recovered<'_>], order: KeyOrder) -> Cost {
    let mut cost = Cost::default();
    let mut theirs = cyrus.iter().peekable();
    for ours in carved.iter().map(|recovered| &recovered.record) {
        while let Some(extra) = theirs.next_if(|record| order.compare(&record.key, &ours.key).is_lt()) {
            cost.only_cyrus.push(extra.span);
        }
        match theirs.next_if(|record| record.key == ours.key) {
            None => cost.lost.push(ours.span),
            Some(record) if record.value != ours.value => cost.changed.push(ours.span),
            Some(_) => {}
        }
    }
    cost.only_cyrus.extend(theirs.map(|record| record.span));
    cost
}

/// What Cyrus would make of the file, with its records sorted in `order`.
pub fn as_cyrus<'a>(database: &dyn Database<'a>, order: KeyOrder) -> CyrusOutcome<'a> {
    match database.as_cyrus(order) {
        CyrusOutcome::Opens(mut records) => {
            records.sort_by(|a, b| order.compare(&a.key, &b.key));
            CyrusOutcome::Opens(records)
        }
        other => other,
    }
}
