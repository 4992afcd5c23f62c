//! Entries added, removed and changed between two databases of any formats and eras.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::canon::{Aspect, Canon};
use super::entries::Decoder;
use super::reading::Reading;
use super::watch::Watch;
use crate::formats::container::Record;

/// One side of a comparison: the mailbox entries of a database, by name.
pub struct Side<'a> {
    decoder: Decoder,
    items: Vec<Item<'a>>,
    present: u16,
}

struct Item<'a> {
    /// Internal form.
    name: Vec<u8>,
    record: Record<'a>,
}

impl<'a> Side<'a> {
    /// A side without entries.
    pub fn empty() -> Self {
        Side { decoder: Decoder::default(), items: Vec::new(), present: 0 }
    }

    /// Takes the mailbox entries of a database.
    pub fn new(reading: &Reading<'a, '_>, watch: &Watch) -> Self {
        let decoder = Decoder::new(reading);
        watch.expect(reading.parts() as u64);
        let parts = (0..reading.parts()).into_par_iter().map(|part| {
            let mut items = Vec::new();
            reading.walk(part, &mut |record| {
                items.extend(item(decoder, record));
                true
            });
            watch.step();
            items
        });
        let mut items: Vec<Item<'a>> = parts.collect::<Vec<_>>().into_iter().flatten().collect();
        items.par_sort_by(|a, b| a.name.cmp(&b.name));
        settle_duplicates(&mut items, decoder);
        let masks = items.par_iter().map(|item| Canon::of(&decoder.decode(&item.record), &item.record.value).present());
        let present = masks.reduce(|| 0, |a, b| a | b);
        Side { decoder, items, present }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

fn item(decoder: Decoder, record: Record<'_>) -> Option<Item<'_>> {
    let name = decoder.name(&record)?.into_owned();
    Some(Item { name, record })
}

/// Puts entries of one name (a fault that dumps and flat files can have) into an order that does not depend on the file.
fn settle_duplicates(items: &mut [Item<'_>], decoder: Decoder) {
    for same in items.chunk_by_mut(|a, b| a.name == b.name).filter(|same| same.len() > 1) {
        same.sort_by(|a, b| {
            let (a, b) = ((decoder.decode(&a.record), &a.record.value), (decoder.decode(&b.record), &b.record.value));
            Canon::of(&a.0, a.1).cmp(&Canon::of(&b.0, b.1))
        });
    }
}

/// What is different between two sides.
pub enum Difference<'d> {
    /// Only the second side has it.
    Added(OneSided<'d>),
    /// Only the first side has it.
    Removed(OneSided<'d>),
    /// Both have it, and some of its fields differ.
    Changed {
        /// Internal form of its name.
        name: &'d [u8],
        /// The records of both sides.
        records: [&'d Record<'d>; 2],
        /// The fields that differ, with their values on both sides.
        fields: Vec<(Aspect, [Option<&'d [u8]>; 2])>,
    },
}

/// An entry that only one side has.
pub struct OneSided<'d> {
    /// Internal form of its name.
    pub name: &'d [u8],
    /// Its record.
    pub record: &'d Record<'d>,
    /// What it says.
    pub says: &'d Canon<'d>,
}

/// Compares two sides by name.
pub struct Comparison {
    /// The fields that are compared.
    pub compared: Vec<Aspect>,
    /// The fields that are not, because one side has them in no entry.
    pub lacking: Vec<Aspect>,
}

impl Comparison {
    /// Chooses the fields to compare. With `exact` these are all; otherwise the time of a record's last write is left
    /// out, and so is what one side has in no entry because its era or dump could not hold it.
    pub fn new(a: &Side<'_>, b: &Side<'_>, exact: bool) -> Self {
        let lacks = |aspect: Aspect| {
            let bit = 1u16 << aspect as u16;
            let both_filled = !a.is_empty() && !b.is_empty();
            aspect.is_of_some_eras() && both_filled && (a.present & bit == 0) != (b.present & bit == 0)
        };
        let (lacking, compared): (Vec<_>, Vec<_>) = Aspect::ALL
            .into_iter()
            .filter(|&aspect| exact || aspect != Aspect::Mtime)
            .partition(|&aspect| !exact && lacks(aspect));
        Comparison { compared, lacking }
    }

    /// Visits every difference in the order of names, until the visitor answers `false`.
    pub fn each(&self, a: &Side<'_>, b: &Side<'_>, mut visit: impl FnMut(Difference<'_>) -> bool) {
        let (mut left, mut right) = (a.items.iter().peekable(), b.items.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(first), Some(second)) => first.name.cmp(&second.name),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let (first, second) = (left.next_if(|_| order.is_le()), right.next_if(|_| order.is_ge()));
            let go_on = match (first, second) {
                (Some(first), Some(second)) => self.both((a, first), (b, second), &mut visit),
                (Some(first), None) => alone(a, first, |one| visit(Difference::Removed(one))),
                (None, Some(second)) => alone(b, second, |one| visit(Difference::Added(one))),
                (None, None) => return,
            };
            if !go_on {
                return;
            }
        }
    }

    fn both(
        &self,
        (a, first): (&Side<'_>, &Item<'_>),
        (b, second): (&Side<'_>, &Item<'_>),
        visit: &mut impl FnMut(Difference<'_>) -> bool,
    ) -> bool {
        if a.decoder == b.decoder && first.record.value == second.record.value {
            return true;
        }
        let decoded = [a.decoder.decode(&first.record), b.decoder.decode(&second.record)];
        let says = [Canon::of(&decoded[0], &first.record.value), Canon::of(&decoded[1], &second.record.value)];
        let fields = self.compared.iter().map(|&aspect| (aspect, [says[0].get(aspect), says[1].get(aspect)]));
        let fields: Vec<_> = fields.filter(|(_, [a, b])| a != b).collect();
        let records = [&first.record, &second.record];
        fields.is_empty() || visit(Difference::Changed { name: &first.name, records, fields })
    }
}

fn alone(side: &Side<'_>, item: &Item<'_>, mut visit: impl FnMut(OneSided<'_>) -> bool) -> bool {
    let decoded = side.decoder.decode(&item.record);
    let says = Canon::of(&decoded, &item.record.value);
    visit(OneSided { name: &item.name, record: &item.record, says: &says })
}
