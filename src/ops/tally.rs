//! A sum over records: equal for equal sets of keys and values, whatever their order.

use std::sync::Mutex;

use rayon::prelude::*;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::formats::container::View;

/// Number and summed hashes of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Number of records.
    pub records: u64,
    sum: u128,
}

impl Tally {
    /// Adds a record.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        // The key's length keeps ("ab", "c") and ("a", "bc") apart.
        let hash = xxh3_128_with_seed(value, xxh3_64_with_seed(key, key.len() as u64));
        self.records += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    /// Adds the tally of other records.
    pub fn append(&mut self, other: Tally) {
        self.records += other.records;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// The tally of a view's records, its parts side by side.
    pub fn of(view: &dyn View<'_>) -> Self {
        let all = Mutex::new(Tally::default());
        (0..view.parts()).into_par_iter().for_each(|part| {
            let mut tally = Tally::default();
            view.walk(part, &mut |record| {
                tally.add(&record.key, &record.value);
                true
            });
            all.lock().unwrap_or_else(std::sync::PoisonError::into_inner).append(tally);
        });
        all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
