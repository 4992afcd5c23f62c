//! A content hash of a database's mailbox entries: equal exactly when `diff --exact` finds nothing.
//!
//! Each entry's [canonical bytes](super::canon::Canon::serialise), its name in front, are hashed with BLAKE3 in key
//! derivation mode; the digest is the sum of these hashes as little-endian integers modulo 2^256. So neither the order
//! of the entries nor the format, era and key order of the file play a part, and a digest can be made on many threads. It
//! tells different contents apart, and is not meant to withstand somebody who makes up entries to match a digest.

use std::fmt;

use rayon::prelude::*;

use super::canon::Canon;
use super::entries::Decoder;
use super::reading::Reading;
use super::watch::Watch;
use crate::formats::container::Record;
use crate::formats::record::Key;

/// What BLAKE3 derives the digest's hashes for; changes with the meaning of a digest.
const CONTEXT: &str = "coroner 2026 digest of a mailbox entry, version 1";

/// Sum of the hashes of a database's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    /// Little-endian limbs.
    sum: [u64; 4],
    /// Number of entries.
    pub entries: u64,
}

impl Digest {
    /// The digest of a database's mailbox entries.
    pub fn of(reading: &Reading<'_, '_>, watch: &Watch) -> Self {
        let decoder = Decoder::new(reading);
        watch.expect(reading.parts() as u64);
        let parts = (0..reading.parts()).into_par_iter().map(|part| {
            let mut digest = Digest::default();
            reading.walk(part, &mut |record| {
                digest.add_record(decoder, &record);
                true
            });
            watch.step();
            digest
        });
        parts.reduce(Digest::default, Digest::plus)
    }

    fn add_record(&mut self, decoder: Decoder, record: &Record<'_>) {
        let decoded = decoder.decode(record);
        if let Key::Mailbox(name) = &decoded.key {
            self.add(&name.to_internal(), &Canon::of(&decoded, &record.value));
        }
    }

    /// Adds an entry under its internal name.
    pub fn add(&mut self, name: &[u8], says: &Canon<'_>) {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        says.serialise(name, |bytes| {
            hasher.update(bytes);
        });
        let hash = *hasher.finalize().as_bytes();
        let (limbs, _) = hash.as_chunks::<8>();
        let mut one = Digest { sum: [0; 4], entries: 1 };
        for (limb, bytes) in one.sum.iter_mut().zip(limbs) {
            *limb = u64::from_le_bytes(*bytes);
        }
        *self = self.plus(one);
    }

    /// The digest of the entries of both.
    pub fn plus(self, other: Digest) -> Digest {
        let mut sum = [0; 4];
        let mut carry = false;
        for (limb, (a, b)) in sum.iter_mut().zip(self.sum.into_iter().zip(other.sum)) {
            let (partial, over) = a.overflowing_add(b);
            let (total, over_too) = partial.overflowing_add(u64::from(carry));
            *limb = total;
            carry = over || over_too;
        }
        Digest { sum, entries: self.entries + other.entries }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum.iter().flat_map(|limb| limb.to_le_bytes()).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_carry_from_limb_to_limb() {
        let top = Digest { sum: [u64::MAX, u64::MAX, 0, u64::MAX], entries: 1 };
        let one = Digest { sum: [1, 0, 0, 0], entries: 1 };
        assert_eq!(top.plus(one), Digest { sum: [0, 0, 1, u64::MAX], entries: 2 });
    }

    #[test]
    fn the_order_of_entries_plays_no_part_and_their_number_does() {
        let digest = |names: &[&str]| {
            let mut digest = Digest::default();
            names.iter().for_each(|name| digest.add(name.as_bytes(), &Canon::default()));
            digest
        };
        assert_eq!(digest(&["user.a", "user.b"]), digest(&["user.b", "user.a"]));
        assert_ne!(digest(&["user.a"]), digest(&["user.a", "user.a"]));
        assert_ne!(digest(&["user.a"]), digest(&["user.b"]));
    }
}
