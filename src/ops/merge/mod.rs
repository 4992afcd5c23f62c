//! One list out of many: a master's or frontend's database from those of the backends.
//!
//! [`claim`] is what one list says of a mailbox, [`settle`] who has it, [`make`] the record that comes of it, and [`ledger`] what
//! is told of it. Records are made range by range on all threads and come out in key order; nothing is kept of
//! them but what somebody has to look at.

pub mod claim;
pub mod ledger;
pub mod make;
pub mod settle;

use std::ops::Range;
use std::sync::Arc;

use crate::formats::container::KeyOrder;
use crate::formats::record::{Era, Key, KeyStyle, Role, Style};
use crate::ops::convert::remarks::Remarks;
use crate::ops::convert::role::Host;
use crate::ops::convert::witness::Witnesses;
use crate::ops::convert::{Converter, Origin};
use crate::ops::reading::Reading;
use crate::ops::together::{Member, Misordered, Together, in_order};
use crate::ops::watch::Watch;

use claim::Standing;
use ledger::{Decisions, Dispute};
use make::{Chunk, Maker};
use settle::{Class, Policy};

/// One of the lists to merge.
pub struct Source<'s, 'r, 'a> {
    /// The backend's name; `None` for the base.
    pub name: Option<Vec<u8>>,
    /// Its records.
    pub reading: &'r Reading<'a, 's>,
    /// What it is.
    pub origin: Origin,
    /// Length of its file in bytes.
    pub len: u64,
}

/// What is to come out.
pub struct Target {
    /// Master or frontend.
    pub role: Role,
    /// The release series to write for.
    pub era: Era,
    /// The order of keys.
    pub order: KeyOrder,
    /// The time given to records whose source tells none, in seconds since 1970.
    pub now: u64,
}

/// Lists about to be merged.
pub struct Merge<'s, 'r, 'a> {
    together: Together<'s, 'r, 'a>,
    converters: Vec<Converter>,
    names: Vec<Vec<u8>>,
    policy: Policy,
    decisions: Decisions,
    marker: Option<(Vec<u8>, Vec<u8>)>,
    tells_notes: bool,
}

/// What came of a merge, beside the records.
#[derive(Debug, Default)]
pub struct Sum {
    /// For each list how many of its records stand how, by [`Standing::ALL`].
    pub standings: Vec<[u64; Standing::ALL.len()]>,
    /// How much of each class was only counted, by [`Class::ALL`].
    pub noted: [u64; Class::ALL.len()],
    /// What the target can't hold.
    pub remarks: Remarks,
    /// Decisions that were followed.
    pub decided: u64,
    /// Names whose decision does not fit the claims.
    pub stale: Vec<Vec<u8>>,
}

/// Bytes of a record, kept alive by whoever holds a piece of the range they were made in.
pub struct Piece {
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }
}

impl<'s, 'r, 'a> Merge<'s, 'r, 'a> {
    /// The backends' lists in the order that they were named, the base's behind them if there is one.
    pub fn new(sources: &[Source<'s, 'r, 'a>], target: &Target, policy: Policy, decisions: Decisions) -> Self {
        let style: Style = target.era.style();
        let member = |source: &Source<'s, 'r, 'a>| Member {
            reading: source.reading,
            style: source.origin.style,
            len: source.len,
        };
        let together = Together::new(sources.iter().map(member).collect(), style.keys, target.order);
        let converter = |source: &Source<'s, 'r, 'a>| Converter {
            origin: source.origin,
            era: target.era,
            host: Host { role: Some(target.role), server: source.name.clone() },
            witnesses: Witnesses::default(),
            makes_jmapids: false,
            now: target.now,
        };
        let marker = Key::UniqueidMarker.encode(KeyStyle::Plain).filter(|_| target.era == Era::V3_4);
        Merge {
            together,
            converters: sources.iter().map(converter).collect(),
            names: sources.iter().filter_map(|source| source.name.clone()).collect(),
            policy,
            decisions,
            marker: marker.map(|key| (key, b"1".to_vec())),
            tells_notes: false,
        }
    }

    /// Tells what is as it should be (tombstones, say) one by one too, instead of only counting it.
    pub fn tell_notes(&mut self, tells_notes: bool) {
        self.tells_notes = tells_notes;
    }

    /// The decisions that it follows.
    pub fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// Merges: `take` is given the records in order, `tell` what had to be settled, in the same order.
    ///
    /// Both may be called again from the start: a list may turn out in the middle to have its keys in another order.
    ///
    /// # Errors
    /// What `take` or `tell` answers.
    pub fn run<R, E>(
        &mut self,
        watch: &Watch,
        mut begin: impl FnMut(),
        tell: &mut dyn FnMut(Dispute) -> Result<(), E>,
        mut take: impl FnMut(&mut dyn Iterator<Item = (Piece, Piece)>) -> Result<R, E>,
    ) -> Result<(R, Sum), E> {
        loop {
            begin();
            let mut flow = Flow { sum: Sum::default(), misordered: None, error: None, watch };
            watch.expect(self.together.ranges() as u64);
            watch.covers(self.together.len());
            let maker = Maker {
                together: &self.together,
                converters: &self.converters,
                names: &self.names,
                policy: &self.policy,
                decisions: &self.decisions,
                marker: self.marker.as_ref(),
                tells_notes: self.tells_notes,
            };
            let taken = in_order(
                self.together.ranges(),
                |range| maker.chunk(range),
                |chunks| {
                    let records = std::iter::from_fn(|| flow.next(chunks, tell)).flat_map(pieces);
                    take(&mut { records })
                },
            );
            if let Some(misordered) = flow.misordered {
                self.together.sort(misordered);
                continue;
            }
            return match flow.error {
                Some(error) => Err(error),
                None => taken.map(|taken| (taken, flow.sum)),
            };
        }
    }
}

/// Chunks on their way to the writer.
struct Flow<'w, E> {
    sum: Sum,
    misordered: Option<Misordered>,
    error: Option<E>,
    watch: &'w Watch,
}

impl<E> Flow<'_, E> {
    /// The next chunk's records; what else it brought is summed up.
    fn next(
        &mut self,
        chunks: &mut dyn Iterator<Item = Result<Chunk, Misordered>>,
        tell: &mut dyn FnMut(Dispute) -> Result<(), E>,
    ) -> Option<Chunk> {
        let mut chunk = match chunks.next()? {
            Ok(chunk) => chunk,
            Err(misordered) => {
                self.misordered = Some(misordered);
                return None;
            }
        };
        self.watch.step();
        for dispute in std::mem::take(&mut chunk.disputes) {
            if let Err(error) = tell(dispute) {
                self.error = Some(error);
                return None;
            }
        }
        let sum = &mut self.sum;
        sum.standings.resize(chunk.standings.len(), [0; Standing::ALL.len()]);
        for (all, part) in sum.standings.iter_mut().zip(&chunk.standings) {
            all.iter_mut().zip(part).for_each(|(all, part)| *all += part);
        }
        sum.noted.iter_mut().zip(chunk.noted).for_each(|(all, part)| *all += part);
        sum.remarks.append(std::mem::take(&mut chunk.remarks));
        sum.decided += chunk.decided;
        sum.stale.append(&mut chunk.stale);
        Some(chunk)
    }
}

/// A chunk's records, one by one.
fn pieces(chunk: Chunk) -> impl Iterator<Item = (Piece, Piece)> {
    let bytes = Arc::new(chunk.bytes);
    let mut from = 0;
    chunk.ends.into_iter().map(move |[key, value]| {
        let piece = |range| Piece { bytes: Arc::clone(&bytes), range };
        let record = (piece(from..key), piece(key..value));
        from = value;
        record
    })
}
