//! Records as they stand, in another order or another container.

use std::borrow::Cow;

use rayon::prelude::*;

use super::Held;
use crate::formats::container::KeyOrder;
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

/// Parts of a source that are read side by side, and held until their records were taken.
const AHEAD: usize = 16;

/// The records of a source in its own order, read while they are taken.
pub struct Stream<'r, 'a, 's> {
    reading: &'r Reading<'a, 's>,
    /// The next part to read.
    next: usize,
    ahead: std::vec::IntoIter<Vec<Pair<'a>>>,
    part: std::vec::IntoIter<Pair<'a>>,
    /// Bytes of the keys and values taken so far.
    taken: u64,
}

/// A key and its value.
type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

impl<'r, 'a, 's> Stream<'r, 'a, 's> {
    /// All records.
    pub fn new(reading: &'r Reading<'a, 's>) -> Self {
        Stream { reading, next: 0, ahead: Vec::new().into_iter(), part: Vec::new().into_iter(), taken: 0 }
    }

    /// Whether the keys of all records of the source ascend in `order`.
    pub fn ascends(&self, order: KeyOrder) -> bool {
        let mut last: Option<Pair<'a>> = None;
        Stream::new(self.reading).all(|pair| {
            let follows = last.as_ref().is_none_or(|last| order.compare(&last.0, &pair.0).is_lt());
            last = Some(pair);
            follows
        })
    }

    /// Bytes of the keys and values that were taken.
    pub fn bytes_taken(&self) -> u64 {
        self.taken
    }

    fn read(&mut self) {
        let end = self.next.saturating_add(AHEAD).min(self.reading.parts());
        let reading = self.reading;
        let read = |part| {
            let mut pairs: Vec<Pair<'a>> = Vec::new();
            reading.walk(part, &mut |record| {
                pairs.push((record.key, record.value));
                true
            });
            pairs
        };
        let parts: Vec<_> = (self.next..end).into_par_iter().map(read).collect();
        self.next = end;
        self.ahead = parts.into_iter();
    }
}

impl<'a> Iterator for Stream<'_, 'a, '_> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            if let Some(pair) = self.part.next() {
                self.taken += (pair.0.len() + pair.1.len()) as u64;
                return Some(pair);
            }
            if self.ahead.as_slice().is_empty() && self.next < self.reading.parts() {
                self.read();
            }
            self.part = self.ahead.next()?.into_iter();
        }
    }
}

/// Whether a record may follow another one in `order`, if there is one to keep.
fn follows(order: Option<KeyOrder>, before: Option<&Held<'_>>, held: &Held<'_>) -> bool {
    let ordered = order.zip(before);
    ordered.is_none_or(|(order, before)| order.compare(before.key(), held.key()).is_lt())
}
