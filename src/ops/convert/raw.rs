//! Records as they stand, in another order or another container.

use rayon::prelude::*;

use super::Held;
use crate::formats::container::{KeyOrder, Pair};
use crate::ops::ahead::{Ahead, ahead};
use crate::ops::reading::Reading;
use crate::plan::database::FlatNeed;

/// All records of a source in one order, 32 bytes each beside the source.
#[derive(Debug)]
pub struct Raw<'a> {
    parts: Vec<Vec<Held<'a>>>,
}

impl<'a> Raw<'a> {
    /// Reads all records and puts them in `order`, or leaves them in the source's own.
    pub fn new(reading: &Reading<'a, '_>, order: Option<KeyOrder>) -> Self {
        let read = |part| {
            let (mut records, mut ascend) = (Vec::new(), true);
            reading.walk(part, &mut |record| {
                let held = Held::new(record);
                // While both are in a cache.
                ascend = ascend && follows(order, records.last(), &held);
                records.push(held);
                true
            });
            (records, ascend)
        };
        let read: Vec<(Vec<Held<'a>>, bool)> = (0..reading.parts()).into_par_iter().map(read).collect();
        let within = read.iter().all(|(_, ascend)| *ascend);
        let mut raw = Raw { parts: read.into_iter().map(|(records, _)| records).collect() };
        if let Some(order) = order.filter(|&order| !within || !raw.parts_follow(order)) {
            let mut all: Vec<Held<'a>> = std::mem::take(&mut raw.parts).into_iter().flatten().collect();
            all.par_sort_by(|a, b| order.compare(a.key(), b.key()));
            raw.parts = vec![all];
        }
        raw
    }

    /// Whether each part starts behind the key that the one before ends with.
    fn parts_follow(&self, order: KeyOrder) -> bool {
        let ends = self.parts.iter().filter_map(|part| Some((part.first()?, part.last()?)));
        ends.clone().zip(ends.skip(1)).all(|((_, last), (first, _))| follows(Some(order), Some(last), first))
    }

    /// What a flat file must be like to hold them.
    pub fn flat_need(&self) -> FlatNeed {
        let need = |part: &Vec<Held<'a>>| FlatNeed::of(part.iter().map(|held| (held.key(), held.value())));
        self.parts.par_iter().map(need).max().unwrap_or(FlatNeed::Nothing)
    }

    /// The records.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parts.iter().flatten().map(|held| (held.key(), held.value()))
    }
}

/// How many records are handed on together.
const TOGETHER: usize = 1 << 10;

/// Lets `work` take the records of a source in its own order, while they are read.
pub fn streamed<'a, T>(reading: &Reading<'a, '_>, work: impl FnOnce(&mut Stream<'_, 'a>) -> T) -> T {
    let read = |give: &mut dyn FnMut(Held<'a>) -> bool| {
        let mut wanted = true;
        for part in 0..reading.parts() {
            reading.read(part, &mut |record, _| {
                // Whoever wants no more still wants to know whether it is sound.
                wanted = give(Held::new(record)) || reading.is_unproven();
                wanted
            });
            if !wanted {
                return;
            }
        }
    };
    ahead(TOGETHER, read, |pairs| work(&mut Stream { pairs, taken: 0 }))
}

/// Records as they are read.
pub struct Stream<'p, 'a> {
    pairs: &'p mut Ahead<Held<'a>>,
    /// Bytes of the keys and values taken so far.
    taken: u64,
}

impl Stream<'_, '_> {
    /// Whether the keys of all records ascend in `order`.
    pub fn ascends(&mut self, order: KeyOrder) -> bool {
        let mut last: Option<Held<'_>> = None;
        self.all(|held| {
            let follows = last.as_ref().is_none_or(|last| order.compare(last.key(), held.key()).is_lt());
            last = Some(held);
            follows
        })
    }

    /// Bytes of the keys and values that were taken.
    pub fn bytes_taken(&self) -> u64 {
        self.taken
    }
}

impl<'a> Iterator for Stream<'_, 'a> {
    type Item = Held<'a>;

    fn next(&mut self) -> Option<Held<'a>> {
        let held = self.pairs.next()?;
        self.taken += (held.key().len() + held.value().len()) as u64;
        Some(held)
    }
}

/// Whether a record may follow another one in `order`, if there is one to keep.
fn follows(order: Option<KeyOrder>, before: Option<&Held<'_>>, held: &Held<'_>) -> bool {
    let ordered = order.zip(before);
    ordered.is_none_or(|(order, before)| order.compare(before.key(), held.key()).is_lt())
}
