//! Makes the sums of a file right again, so that mutations get past them.

use coroner_formats::container::twom::layout::{DUMMY_OFFSET, Head, Header, Sums};
use coroner_formats::image::Cursor;
use crc32fast::hash;

/// A copy of `bytes` with the header's and every record's check sums recomputed, walking the records in file order.
pub fn twoskip(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    seal(&mut file, 0, 60, 60);
    let mut at = 64;
    while at < file.len() {
        at += record(&mut file, at).unwrap_or(8);
    }
    file
}

/// Puts the sum of `file[from..to]` at `place`.
fn seal(file: &mut [u8], from: usize, to: usize, place: usize) -> Option<()> {
    let sum = hash(file.get(from..to)?);
    file.get_mut(place..place.checked_add(4)?)?.copy_from_slice(&sum.to_be_bytes());
    Some(())
}

/// Seals the record at `at`; its length, or `None` if there is none.
fn record(file: &mut [u8], at: usize) -> Option<usize> {
    let head = file.get(at..at.checked_add(8)?)?;
    let &[kind, level, k0, k1, v0, v1, v2, v3] = head else { return None };
    if !matches!(kind, b'=' | b'+' | b'-' | b'$') {
        return None;
    }
    let mut pointers = at + 8;
    let mut long = |file: &[u8]| {
        let word = file.get(pointers..pointers + 8)?;
        pointers += 8;
        usize::try_from(u64::from_be_bytes(word.try_into().ok()?)).ok()
    };
    let mut key_len = usize::from(u16::from_be_bytes([k0, k1]));
    if key_len == 0xFFFF {
        key_len = long(file)?;
    }
    let mut value_len = usize::try_from(u32::from_be_bytes([v0, v1, v2, v3])).ok()?;
    if value_len == 0xFFFF_FFFF {
        value_len = long(file)?;
    }
    let head_end = pointers + 8 * (usize::from(level) + 1);
    let tail_len = key_len.checked_add(value_len)?.checked_next_multiple_of(8)?;
    let end = (head_end + 8).checked_add(tail_len)?;
    seal(file, at, head_end, head_end)?;
    seal(file, head_end + 8, end, head_end + 4)?;
    Some(end - at)
}

/// The same for a twom file, whose sums its header and its DUMMY record choose.
pub fn twom(bytes: &[u8]) -> Vec<u8> {
    let mut file = bytes.to_vec();
    if let Some(header) = Header::decode(Cursor::new(bytes)) {
        twom_sum(&mut file, 0, 92, 92, Sums::of(header.flags));
    }
    let mut at = DUMMY_OFFSET;
    while at < bytes.len() as u64 {
        let head = Head::decode(Cursor::new(bytes), at).filter(|head| head.end <= bytes.len() as u64);
        if let Some(head) = head {
            if head.kind.is_record() {
                twom_sum(&mut file, head.key_offset(), head.end, head.sums + 4, Sums::Xxh);
            }
            twom_sum(&mut file, head.offset, head.sums, head.sums, Sums::Xxh);
        }
        at = head.map_or(at + 8, |head| head.end);
    }
    file
}

fn twom_sum(file: &mut [u8], from: u64, to: u64, place: u64, sums: Sums) {
    let sum = file.get(from as usize..to as usize).and_then(|bytes| sums.compute(bytes));
    if let (Some(sum), Some(place)) = (sum, file.get_mut(place as usize..place as usize + 4)) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
