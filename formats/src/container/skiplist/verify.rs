//! Checks every rule of the format.

use super::layout::{Header, Node};
use super::view::record;
use super::{careful, header, quick};
use crate::container::{Depth, PartsSeen, Proving, Record};
use crate::finding::Sink;
use crate::image::Cursor;
use crate::text::json_usual::Usual;

/// Checks a file up to `depth`.
pub fn verify(cursor: Cursor<'_>, depth: Depth, sink: &mut Sink<'_>) {
    let header_sound = header::check(cursor, sink);
    if depth == Depth::Header {
        return;
    }
    let proven = Header::decode(cursor).filter(|_| header_sound).and_then(|h| Some((h, quick::prove(cursor, &h)?)));
    match proven {
        Some((header, count)) => careful::listsize(cursor, &header, count, sink),
        None => careful::examine(cursor, sink),
    }
}

/// A walk over a file without a log that verifies it in the same pass.
pub struct ProvingWalk<'a> {
    cursor: Cursor<'a>,
    header: Header,
    chain: quick::Chain<'a>,
    ranges: Vec<(u32, u32)>,
    seen: PartsSeen<quick::Part>,
}

impl<'a> ProvingWalk<'a> {
    /// One in about `parts` parts.
    pub fn new(cursor: Cursor<'a>, parts: usize) -> Option<Self> {
        let header = Header::decode(cursor).filter(|_| header::check(cursor, &mut |_| ()))?;
        let chain = quick::Chain::new(cursor, &header)?;
        let ranges = chain.list.ranges(parts);
        let seen = PartsSeen::nothing(ranges.len());
        Some(ProvingWalk { cursor, header, chain, ranges, seen })
    }
}

impl<'a> Proving<'a> for ProvingWalk<'a> {
    fn parts(&self) -> usize {
        self.ranges.len()
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) -> bool {
        let visit = &mut |node: &Node<'a>| visit(record(*node), None);
        self.seen.note(part, self.ranges.get(part).and_then(|&range| self.chain.walk(range, visit)))
    }

    fn is_sound(&self, sink: &mut Sink<'_>) -> bool {
        let Some(count) = self.seen.all().and_then(|parts| self.chain.count(&parts)) else { return false };
        header::check(self.cursor, sink);
        careful::listsize(self.cursor, &self.header, count, sink);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::skiplist::{sample::Sample, view::List};
    use crate::container::{KeyOrder, OrderTally};
    use crate::finding::{Finding, Severity};

    fn weighty(check: impl FnOnce(&mut Sink<'_>)) -> Vec<Finding> {
        let mut found = Vec::new();
        check(&mut |finding| found.push(finding));
        found.retain(|finding| finding.severity() > Severity::Note);
        found
    }

    /// The quick proof and the careful examination must come to the same verdict, whatever byte is changed.
    #[test]
    fn proof_and_examination_agree() {
        let sound = Sample::with_log().bytes;
        let mut proven = 0;
        for at in 48..sound.len() {
            for new in [0, 1, 2, 4, 0x90, 0xFF, sound[at] ^ 1, sound[at] ^ 8, sound[at].wrapping_add(4)] {
                let mut bytes = sound.clone();
                bytes[at] = new;
                let cursor = Cursor::new(&bytes);
                let header = Header::decode(cursor).unwrap();
                let proof = weighty(|sink| assert!(at < 144 || header::check(cursor, sink))).is_empty()
                    && quick::prove(cursor, &header).is_some();
                let found = weighty(|sink| {
                    header::check(cursor, sink);
                    careful::examine(cursor, sink);
                });
                assert!(!proof || found.is_empty(), "byte {at:#x} = {new:#x}: proven sound, yet {found:?}");
                proven += usize::from(proof);
            }
        }
        assert!(proven > 0);
    }

    #[test]
    fn a_tally_leaves_out_what_no_order_explains() {
        let mut sample = Sample::packed();
        let b = sample.find(1, "b");
        sample.set(b + 8, u32::from(b'x') << 24);
        let tally: OrderTally = List::new(Cursor::new(&sample.bytes)).tally().expect("a whole list");
        assert!(KeyOrder::ALL.iter().all(|&order| tally.fits(order)));
        assert!(!weighty(|sink| verify(Cursor::new(&sample.bytes), Depth::Full, sink)).is_empty());
    }
}
