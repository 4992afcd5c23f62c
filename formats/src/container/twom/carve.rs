//! All that can be proven or plausibly read, however damaged the file is.

use rayon::prelude::*;

use super::chain::contradicted_end;
use super::file::File;
use super::layout::GROWTH;
use super::quick::has_tail;
use super::versions::{Newest, Sorted, Versions};
use crate::container::{Confidence, Crop, Harvest, KeyOrder, Lost, Place, Record};

/// Carves a file; what is kept stands in `order`.
pub fn carve<'a>(file: &File<'a>, order: KeyOrder) -> Harvest<'a> {
    let mut versions = Versions::read(file, file.limit);
    versions.doubt_discarded();
    let mut sorted = versions.newest(order);
    let mut doubt = Doubt::of(file, &sorted);
    if doubt.contradicted {
        let mut versions = Versions::read(file, file.limit);
        versions.doubt_discarded();
        versions.hear_pointers();
        sorted = versions.newest(order);
        doubt = Doubt { moved: !sorted.versions.consistent, ..doubt };
    }
    let place = |newest: Newest| Place::new(newest.head.offset, doubt.confidence(&newest));
    let kept = (0..sorted.offsets().len()).into_par_iter().filter_map(|index| sorted.get(index)).map(place).collect();
    let key = |offset: Option<u64>| offset.map(|offset| sorted.versions.key(offset).into());
    let lost = sorted.versions.lost.iter();
    let lost = lost.map(|lost| Lost { span: lost.span, before: key(lost.before), after: key(lost.after) }).collect();
    let readable = sorted.versions.readable;
    let crop = Crop::Placed(kept, Box::new(move |offset| readable.lend(offset)));
    Harvest { crop, lost, uncommitted: uncommitted(file) }
}

/// The records behind the committed part.
fn uncommitted<'a>(file: &File<'a>) -> Vec<Record<'a>> {
    let heads = file.tail().filter_map(|item| item.head().filter(|head| head.kind.is_record()));
    heads.filter(|head| head.tail_agrees(file.cursor, file.sums)).map(|head| file.lend(&head)).collect()
}

/// Which records a lost range can hold newer versions of.
struct Doubt {
    /// Whether places in the file can't be trusted.
    moved: bool,
    /// Whether bytes of different times stand in the file.
    contradicted: bool,
    /// Where the last lost range ends, or what else can stand in the place of something newer; 0 if there is none.
    lost_end: u64,
    /// The most bytes that versions can have which only lost ones replace or delete.
    unexplained: u64,
}

impl Doubt {
    /// The header counts the bytes of everything that has a newer version. What the readable versions do not account for
    /// can be due to lost ones, and no record longer than that can have a lost newer version.
    fn of(file: &File<'_>, sorted: &Sorted<'_>) -> Self {
        let versions = &sorted.versions;
        let lost = versions.lost.last().map_or(0, |lost| lost.span.end);
        let len = file.cursor.len();
        let missing = match file.claimed_size().filter(|_| file.header_agrees) {
            Some(size) => size > len,
            // Without the header, only a file that looks untouched to its end is believed to end where its COMMITs do.
            None => has_tail(file) || !len.is_multiple_of(GROWTH),
        };
        let header = file.proven_header().filter(|_| !file.is_dirty());
        let unexplained = header.and_then(|header| header.dirty_size.checked_sub(versions.dirty_size));
        let mut doubt = Doubt {
            moved: !versions.consistent,
            contradicted: false,
            lost_end: if missing { u64::MAX } else { lost },
            unexplained: unexplained.unwrap_or(u64::MAX),
        };
        if !doubt.moved {
            let end = contradicted_end(sorted, |newest| doubt.confidence(newest) == Confidence::Verified);
            if end > 0 {
                doubt.contradicted = true;
                doubt.lost_end = doubt.lost_end.max(end);
                doubt.unexplained = u64::MAX;
            }
        }
        doubt
    }

    /// A record behind all that is lost is the newest if it stands where it was written: where a pointer leads to. So must
    /// one whose transaction is damaged.
    fn confidence(&self, newest: &Newest) -> Confidence {
        let head = &newest.head;
        let behind = head.offset >= self.lost_end && newest.pointed;
        let stale = self.lost_end > 0 && head.total_len() <= self.unexplained && !behind;
        let lonely = newest.damaged && !newest.pointed;
        if stale || lonely || self.moved || newest.outlived {
            Confidence::MaybeStale
        } else if newest.proven {
            Confidence::Verified
        } else {
            Confidence::Unverified
        }
    }
}
