//! What carving brings up, in no more memory than it takes to find it again.

use super::{Carved, Confidence, Kept, Lost, Record};

/// Where a record stands, and how sure it is, in eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place(u64);

impl Place {
    /// The place of a record at `offset`.
    #[inline]
    pub fn new(offset: u64, confidence: Confidence) -> Self {
        let doubt = match confidence {
            Confidence::Verified => 0,
            Confidence::Unverified => 1,
            Confidence::MaybeStale => 2,
        };
        Place(offset << 2 | doubt)
    }

    /// The record's first byte.
    #[inline]
    pub fn offset(self) -> u64 {
        self.0 >> 2
    }

    /// How sure the record is.
    #[inline]
    pub fn confidence(self) -> Confidence {
        match self.0 & 3 {
            0 => Confidence::Verified,
            1 => Confidence::Unverified,
            _ => Confidence::MaybeStale,
        }
    }
}

/// Reads the record at an offset again.
pub type Lend<'a> = Box<dyn Fn(u64) -> Record<'a> + Send + Sync + 'a>;

/// The records that carving kept, in key order, one a key.
pub enum Crop<'a> {
    /// As they are.
    Listed(Vec<Kept<'a>>),
    /// As places of the file at which they can be read.
    Placed(Vec<Place>, Lend<'a>),
}

/// What carving brought up.
pub struct Harvest<'a> {
    /// Records kept.
    pub crop: Crop<'a>,
    /// Ranges lost, in file order.
    pub lost: Vec<Lost<'a>>,
    /// Records of transactions that never ended, in file order.
    pub uncommitted: Vec<Record<'a>>,
}

impl<'a> From<Carved<'a>> for Harvest<'a> {
    fn from(carved: Carved<'a>) -> Self {
        Harvest { crop: Crop::Listed(carved.kept), lost: carved.lost, uncommitted: carved.uncommitted }
    }
}

impl<'a> From<Harvest<'a>> for Carved<'a> {
    fn from(harvest: Harvest<'a>) -> Self {
        let kept = match harvest.crop {
            Crop::Listed(kept) => kept,
            Crop::Placed(places, lend) => {
                let kept = |place: Place| Kept { record: lend(place.offset()), confidence: place.confidence() };
                places.into_iter().map(kept).collect()
            }
        };
        Carved { kept, lost: harvest.lost, uncommitted: harvest.uncommitted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_holds_offset_and_confidence() {
        for offset in [0, 8, 336, 1 << 40, (1 << 62) - 8] {
            for confidence in [Confidence::Verified, Confidence::Unverified, Confidence::MaybeStale] {
                let place = Place::new(offset, confidence);
                assert_eq!((place.offset(), place.confidence()), (offset, confidence));
            }
        }
    }
}
