//! Which records their sums prove, seen by all threads ahead of the one that reads the file in order.

use rayon::prelude::*;

use super::file::File;
use super::layout::{ALIGN, DUMMY_OFFSET, Head};
use crate::container::bits::Bits;

/// How many bytes of the file a thread takes at a time; a shorter file is not worth it.
const STRETCH: u64 = if cfg!(any(test, fuzzing)) { 1 << 9 } else { 1 << 20 };

/// Where records begin both of whose sums agree: what takes longest to see, and hangs on nothing but their own bytes. Not
/// all of these need be among them.
pub struct Proven(Bits);

impl Proven {
    /// Of the committed part, if its sums prove anything.
    pub fn of(file: &File<'_>) -> Self {
        let proven = Proven(Bits::new(file.limit));
        if file.sums.prove() && file.limit > STRETCH {
            (0..file.limit.div_ceil(STRETCH)).into_par_iter().for_each(|number| proven.look(file, number * STRETCH));
        }
        proven
    }

    fn look(&self, file: &File<'_>, start: u64) {
        let end = file.limit.min(start.saturating_add(STRETCH));
        let mut at = start.max(DUMMY_OFFSET);
        while at < end {
            let head = Head::decode(file.cursor, at).filter(|head| head.head_agrees(file.cursor, file.sums));
            at = head.map_or(at.saturating_add(ALIGN), |head| head.end);
            // A longer one could reach into many stretches, each of which would sum it again.
            let short = head.filter(|head| head.total_len() <= STRETCH);
            if let Some(head) = short.filter(|head| head.tail_agrees(file.cursor, file.sums)) {
                self.0.insert(head.offset);
            }
        }
    }

    /// Whether the record at `offset` is among them.
    pub fn contains(&self, offset: u64) -> bool {
        self.0.contains(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::rows::damage;
    use crate::container::twom::{Options, write};

    #[test]
    fn to_know_what_is_proven_changes_nothing() {
        // Some of the records are longer than a stretch.
        let records = (0..1000).map(|i| (format!("key {i:08}"), "v".repeat(i * 7 % 99 * (i % 13))));
        let out = std::io::Cursor::new(Vec::new());
        let whole = write(out, records, Options::default()).expect("a file in memory").into_inner();
        let (mut known, mut all) = (0, 0);
        for number in 0..400 {
            let bytes = if number == 0 { whole.clone() } else { damage(&whole, number) };
            let file = File::open(&bytes);
            let proven = Proven::of(&file);
            let scan = file.committed(DUMMY_OFFSET);
            assert!(scan.clone().knowing(&proven).eq(scan.clone()), "damage {number}");
            known += scan.clone().filter(|item| proven.contains(item.span.start)).count();
            all += scan.count();
        }
        assert!(known < all && known > all / 2, "{known} of {all}");
    }
}
