//! Records as they stand, in another order or another container.

use rayon::prelude::*;

use super::Held;
use crate::formats::container::KeyOrder;
use crate::ops::reading::Reading;

/// All records of a source in one order, 32 bytes each beside the source.
#[derive(Debug)]
pub struct Raw<'a> {
    parts: Vec<Vec<Held<'a>>>,
}

impl<'a> Raw<'a> {
    /// Reads all records and puts them in `order`, or leaves them in the source's own.
    pub fn new(reading: &Reading<'a, '_>, order: Option<KeyOrder>) -> Self {
        let read = |part| {
            let mut records = Vec::new();
            reading.walk(part, &mut |record| {
                records.push(Held::new(record));
                true
            });
            records
        };
        let mut raw = Raw { parts: (0..reading.parts()).into_par_iter().map(read).collect() };
        if let Some(order) = order.filter(|&order| !raw.stands_in(order)) {
            let mut all: Vec<Held<'a>> = std::mem::take(&mut raw.parts).into_iter().flatten().collect();
            all.par_sort_by(|a, b| order.compare(a.key(), b.key()));
            raw.parts = vec![all];
        }
        raw
    }

    /// Whether the keys ascend in `order`.
    fn stands_in(&self, order: KeyOrder) -> bool {
        let ascend = |a: &Held<'_>, b: &Held<'_>| order.compare(a.key(), b.key()).is_lt();
        let within = self.parts.par_iter().all(|part| part.is_sorted_by(ascend));
        let ends = self.parts.iter().filter_map(|part| Some((part.first()?, part.last()?)));
        within && ends.clone().zip(ends.skip(1)).all(|((_, last), (first, _))| ascend(last, first))
    }

    /// The records.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parts.iter().flatten().map(|held| (held.key(), held.value()))
    }
}
