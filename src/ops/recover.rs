//! A sound database from a damaged one: what to keep, from where, and how sure each record is.

use std::borrow::Cow;
use std::collections::HashSet;

use rayon::prelude::*;

use crate::formats::container::{
    Change, Confidence, Crop, CyrusOutcome, Database, Ending, Format, Harvest, Kept, KeyOrder, Lend, Lost, Place,
    Record, flat,
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

/// The records to write, in key order, one a key.
pub enum Records<'a> {
    /// As they are.
    Listed(Vec<Recovered<'a>>),
    /// As places of the file, where they are read when they are asked for.
    Placed(Vec<Place>, Lend<'a>),
}

impl<'a> Records<'a> {
    /// Number of records.
    pub fn len(&self) -> usize {
        match self {
            Records::Listed(records) => records.len(),
            Records::Placed(places, _) => places.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record of that number, from 0.
    pub fn get(&self, index: usize) -> Option<Recovered<'a>> {
        match self {
            Records::Listed(records) => records.get(index).cloned(),
            Records::Placed(places, lend) => places.get(index).map(|&place| recovered(place, lend)),
        }
    }

    /// How sure the records are, and where they come from, in their order; costs no reading.
    pub fn origins(&self) -> impl Iterator<Item = Origin> + '_ {
        let (records, places) = match self {
            Records::Listed(records) => (&records[..], Default::default()),
            Records::Placed(places, _) => (Default::default(), &places[..]),
        };
        let of_places = places.iter().map(|place| Origin::Carved(place.confidence()));
        records.iter().map(|recovered| recovered.origin).chain(of_places)
    }

    /// The records in their order.
    pub fn iter(&self) -> impl Iterator<Item = Recovered<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The number of the record of a key, or of the one that it would stand in front of.
    ///
    /// # Errors
    /// The latter, if there is no record of that key.
    pub fn find(&self, key: &[u8], order: KeyOrder) -> Result<usize, usize> {
        match self {
            Records::Listed(records) => records.binary_search_by(|known| order.compare(&known.record.key, key)),
            Records::Placed(places, lend) => {
                places.binary_search_by(|place| order.compare(&lend(place.offset()).key, key))
            }
        }
    }

    /// Whether `right` holds of every two neighbours.
    fn all_pairs(&self, right: impl Fn(&Record<'a>, &Record<'a>) -> bool + Sync) -> bool {
        match self {
            Records::Listed(records) => records.par_windows(2).all(|pair| right(&pair[0].record, &pair[1].record)),
            Records::Placed(places, lend) => {
                let lent = |place: Place| lend(place.offset());
                places.par_windows(2).all(|pair| right(&lent(pair[0]), &lent(pair[1])))
            }
        }
    }

    /// The records as a list that can be changed.
    fn listed(self) -> Vec<Recovered<'a>> {
        match self {
            Records::Listed(records) => records,
            placed => placed.iter().collect(),
        }
    }
}

impl Default for Records<'_> {
    fn default() -> Self {
        Records::Listed(Vec::new())
    }
}

fn recovered<'a>(place: Place, lend: &Lend<'a>) -> Recovered<'a> {
    Recovered { record: lend(place.offset()), origin: Origin::Carved(place.confidence()) }
}

/// What recovering a file gives.
pub struct Recovery<'a> {
    /// Records to write.
    pub records: Records<'a>,
    /// Ranges lost, in file order.
    pub lost: Vec<Lost<'a>>,
    /// Records of transactions that never ended, and that are left out.
    pub uncommitted: Vec<Record<'a>>,
    /// The order that `records` stand in.
    pub order: KeyOrder,
}

impl<'a> Recovery<'a> {
    /// What carving brings up, in `order`.
    pub fn carve(harvest: Harvest<'a>, order: KeyOrder) -> Self {
        let origin = |kept: Kept<'a>| Recovered { record: kept.record, origin: Origin::Carved(kept.confidence) };
        let records = match harvest.crop {
            Crop::Listed(kept) => Records::Listed(kept.into_iter().map(origin).collect()),
            Crop::Placed(places, lend) => Records::Placed(places, lend),
        };
        Recovery { records, lost: harvest.lost, uncommitted: harvest.uncommitted, order }
    }

    /// Records that all come from `origin`, in `order`.
    pub fn plain(records: Vec<Record<'a>>, origin: Origin, order: KeyOrder) -> Self {
        let records = records.into_iter().map(|record| Recovered { record, origin }).collect();
        Recovery { records: Records::Listed(records), lost: Vec::new(), uncommitted: Vec::new(), order }
    }

    /// What it has of a key.
    pub fn get(&self, key: &[u8]) -> Option<Recovered<'a>> {
        self.records.get(self.records.find(key, self.order).ok()?)
    }

    /// Puts the records in the order that the file to write wants: of flat files, that of their escaped keys.
    pub fn sort(&mut self, format: Format, order: KeyOrder) {
        let before = std::mem::replace(&mut self.order, order);
        if matches!(self.records, Records::Placed(..)) && before == order && format != Format::Flat {
            // So they were carved.
            return;
        }
        let compare = |a: &Record<'_>, b: &Record<'_>| match format {
            Format::Flat => flat::writer::written_order(flat::Style::Escaped, &a.key, &b.key),
            _ => order.compare(&a.key, &b.key),
        };
        if !self.records.all_pairs(|a, b| compare(a, b).is_le()) {
            let mut records = std::mem::take(&mut self.records).listed();
            records.par_sort_by(|a, b| compare(&a.record, &b.record));
            self.records = Records::Listed(records);
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
        let mut records = std::mem::take(&mut self.records).listed();
        records.extend(added);
        // Stable: of one key, what was added last stands last.
        records.sort_by(|a, b| order.compare(&a.record.key, &b.record.key));
        records.reverse();
        records.dedup_by(|a, b| a.record.key == b.record.key);
        records.reverse();
        self.records = Records::Listed(records);
    }

    /// Whether everything in the file was proven and nothing was left out.
    pub fn is_whole(&self) -> bool {
        let proven = |origin| origin == Origin::Carved(Confidence::Verified);
        self.lost.is_empty() && self.uncommitted.is_empty() && self.records.origins().all(proven)
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
        let mut records = std::mem::take(&mut self.records).listed();
        let mut testimony = Testimony::default();
        let mut added = Vec::new();
        let origin = match witness.lacks_fields {
            true => Origin::OtherRole(witness.number),
            false => Origin::Witness(witness.number),
        };
        for record in witness.records {
            match records.binary_search_by(|known| order.compare(&known.record.key, &record.key)) {
                Ok(_) if witness.other_role => {}
                Ok(index) => {
                    let Some(known) = records.get_mut(index) else { continue };
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
        self.records = Records::Listed(records);
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
pub fn cost(cyrus: &Records<'_>, carved: &Records<'_>, order: KeyOrder) -> Cost {
    let mut cost = Cost::default();
    let mut theirs = cyrus.iter().map(|recovered| recovered.record).peekable();
    for ours in carved.iter().map(|recovered| recovered.record) {
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
