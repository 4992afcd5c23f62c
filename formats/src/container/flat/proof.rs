//! What written lines show of themselves.

use std::cmp::Ordering;

use memchr::memrchr;

use super::layout::MAX_FILE_LEN;
use super::verify::{FOREIGN, Part};
use super::writer::Lines;
use crate::container::KeyOrder;
use crate::container::proof::{Prove, Stretch};
use crate::image::Cursor;

impl Prove for Lines {
    fn front_len(&self) -> u64 {
        0
    }

    /// Takes lines that give nothing to report.
    fn take(&self, stretch: &mut Stretch, bytes: &[u8]) -> Option<usize> {
        let Some(taken) = memrchr(b'\n', bytes).and_then(|last| last.checked_add(1)) else { return Some(0) };
        let part = Part::read(Cursor::new(bytes), 0, taken as u64)?;
        if stretch.records == 0 {
            stretch.first = part.first.to_vec();
        } else if KeyOrder::Mbox.compare(&stretch.last, part.first) != Ordering::Less {
            return None;
        }
        stretch.last.clear();
        stretch.last.extend_from_slice(part.last);
        stretch.raw |= part.raw;
        stretch.escaped |= part.escaped;
        stretch.records = stretch.records.checked_add(part.lines)?;
        stretch.end = stretch.end.checked_add(taken as u64)?;
        Some(taken)
    }

    fn join(&self, stretches: &[Stretch], front: &[u8], back: &[u8]) -> Option<u64> {
        let (mut end, mut count, mut before): (_, u64, Option<&Stretch>) = (0, 0, None);
        for stretch in stretches {
            let follows = |before: &Stretch| KeyOrder::Mbox.compare(&before.last, &stretch.first) == Ordering::Less;
            if stretch.start != end || stretch.records > 0 && !before.is_none_or(follows) {
                return None;
            }
            end = stretch.end;
            count = count.checked_add(stretch.records)?;
            before = Some(stretch).filter(|stretch| stretch.records > 0).or(before);
        }
        let foreign = |stretch: &Stretch| FOREIGN.iter().any(|magic| stretch.first.starts_with(magic));
        let mixed = stretches.iter().any(|stretch| stretch.raw) && stretches.iter().any(|stretch| stretch.escaped);
        let whole = front.is_empty() && back.is_empty() && count > 0 && end <= MAX_FILE_LEN;
        (whole && !mixed && !stretches.first().is_some_and(foreign)).then_some(count)
    }
}
