//! What records show of themselves while they are written: is the file sound, if it holds the very bytes?
//!
//! Each record is read again where it was made, while it is in a cache, and nothing is kept of it. Only files as [`write`]
//! makes them are shown to be sound; of any other nothing is said, and `verify` says what is wrong with it.
//!
//! [`write`]: super::write()

use std::io;

use super::lay::{LEVELS, List, Node, Placed};

/// What whole records, one behind the other, show of themselves.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    /// Offset of its first byte.
    pub start: u64,
    /// Offset behind the last record taken.
    pub end: u64,
    /// Number of records taken.
    pub records: u64,
    /// Key of the first one, as it stands in the file.
    pub first: Vec<u8>,
    /// Key of the last one.
    pub last: Vec<u8>,
    /// For each level, the first record of it; 0 if there was none.
    level_first: [u64; LEVELS],
    /// For each level, where the last record of it leads.
    level_next: [u64; LEVELS],
    /// Whether there are raw TABs in the values of a flat file.
    pub raw: bool,
    /// Whether there are escaped ones.
    pub escaped: bool,
}

impl Stretch {
    /// Nothing yet, from an offset on.
    pub fn new(start: u64) -> Self {
        Stretch { start, end: start, ..Stretch::default() }
    }

    /// The same, of bytes that start at an offset instead of at 0.
    pub fn moved(self, by: u64) -> Self {
        Stretch { start: self.start + by, end: self.end + by, ..self }
    }

    /// Takes the record at `offset`, whose levels lead to `pointers`; `None` if what was taken before leads elsewhere.
    /// Where the stretch ends then, and with which key, is to be said afterwards.
    #[inline]
    pub fn push(&mut self, offset: u64, record: &Found<'_>, pointers: &[u64; LEVELS]) -> Option<()> {
        let levels = self.level_first.iter_mut().zip(&mut self.level_next).zip(pointers);
        for ((first, next), &pointer) in levels.take(record.level) {
            if *first == 0 {
                *first = offset;
            } else if *next != offset {
                return None;
            }
            *next = pointer;
        }
        if self.records == 0 {
            self.first = record.key.to_vec();
        }
        self.records = self.records.checked_add(1)?;
        Some(())
    }
}

/// How records of a format are told to be sound.
pub(super) trait Prove: Send + Sync {
    /// Where the first record stands.
    fn front_len(&self) -> u64;
    /// Takes the whole records that `bytes`, which follow those of the stretch, begin with; answers how many bytes these
    /// are. `None` if something is not as it should be.
    fn take(&self, stretch: &mut Stretch, bytes: &[u8]) -> Option<usize>;
    /// The number of records, if `stretches`, the bytes in front of the first and those behind the last one make a sound
    /// file.
    fn join(&self, stretches: &[Stretch], front: &[u8], back: &[u8]) -> Option<u64>;
}

/// What was seen of a file's records while they were written.
pub struct Proof {
    pub(super) records: Box<dyn Prove>,
    /// The records, without those that lead so far that this was written last.
    pub(super) stretches: Vec<Stretch>,
}

impl Proof {
    /// The number of records of `file`, if it is shown to be sound; its bytes must be those that were written.
    pub fn shows(self, file: &[u8]) -> Option<u64> {
        let mut all = Vec::with_capacity(self.stretches.len());
        let mut end = self.records.front_len();
        let between = |from: u64, until: u64| {
            let mut stretch = Stretch::new(from);
            let bytes = file.get(usize::try_from(from).ok()?..usize::try_from(until).ok()?)?;
            self.records.take(&mut stretch, bytes).map(|_| stretch)
        };
        for stretch in self.stretches {
            if stretch.start > end {
                all.push(between(end, stretch.start)?);
            }
            end = stretch.end;
            all.push(stretch);
        }
        let last = between(end, file.len() as u64)?;
        end = last.end;
        all.push(last);
        let (front, back) = (usize::try_from(self.records.front_len()).ok()?, usize::try_from(end).ok()?);
        self.records.join(&all, file.get(..front)?, file.get(back..)?)
    }
}

/// A record and where it stands among the bytes that it was found in.
pub(super) struct Found<'b> {
    /// Where it starts, and where it ends.
    pub range: std::ops::Range<usize>,
    /// Its key.
    pub key: &'b [u8],
    /// Its value.
    pub value: &'b [u8],
    /// Number of its levels.
    pub level: usize,
}

impl Found<'_> {
    /// Whether it is this record, with those pointers, in bytes that start at that offset and end with it.
    #[inline]
    pub fn is(&self, record: &Placed<'_>, pointers: &[u64; LEVELS], start: u64, end: usize) -> bool {
        let in_place = start.checked_add(self.range.start as u64) == Some(record.offset) && self.range.end == end;
        let same = self.key == record.key && self.value == record.value;
        in_place && same && pointers.get(..self.level) == Some(record.pointers)
    }
}

impl<N: Node + Send> Prove for List<N>
where
    N::Error: From<io::Error>,
{
    fn front_len(&self) -> u64 {
        N::FRONT_LEN
    }

    fn take(&self, stretch: &mut Stretch, bytes: &[u8]) -> Option<usize> {
        let (mut taken, start) = (0usize, stretch.end);
        let mut pointers = [0; LEVELS];
        let mut before: Option<&[u8]> = None;
        while let Some(found) = self.0.found(bytes, taken, &mut pointers, false)? {
            let offset = start.checked_add(found.range.start as u64)?;
            let last = before.or((stretch.records > 0).then_some(&stretch.last));
            self.0.admit(stretch.records, last, found.key).ok()?;
            stretch.push(offset, &found, &pointers)?;
            before = Some(found.key);
            taken = found.range.end;
        }
        if let Some(last) = before {
            stretch.last.clear();
            stretch.last.extend_from_slice(last);
        }
        stretch.end = start.checked_add(taken as u64)?;
        Some(taken)
    }

    fn join(&self, stretches: &[Stretch], front: &[u8], back: &[u8]) -> Option<u64> {
        let (mut head, mut next) = ([0; LEVELS], [0; LEVELS]);
        let (mut end, mut count, mut before) = (N::FRONT_LEN, 0u64, None);
        for stretch in stretches {
            if stretch.start != end {
                return None;
            }
            end = stretch.end;
            if stretch.records == 0 {
                continue;
            }
            self.0.admit(count, before, &stretch.first).ok()?;
            before = Some(&stretch.last);
            count = count.checked_add(stretch.records)?;
            let levels = stretch.level_first.iter().zip(&stretch.level_next).zip(head.iter_mut().zip(&mut next));
            for ((&first, &leads), (head, next)) in levels.filter(|((first, _), _)| **first != 0) {
                if *head == 0 {
                    *head = first;
                } else if *next != first {
                    return None;
                }
                *next = leads;
            }
        }
        let ends = next.iter().all(|&pointer| pointer == 0);
        let pointers = head.get(..N::MAX_LEVEL.into())?;
        let (expected_back, expected_front) = self.0.frame(count, end, pointers);
        let framed = front == expected_front && back == expected_back;
        (ends && framed).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{self, Depth, Format, KeyOrder, WriteOptions, flat};
    use crate::finding::Severity;

    const FORMATS: [Format; 4] = [Format::Skiplist, Format::Twoskip, Format::Twom, Format::Flat];

    fn options(format: Format) -> WriteOptions {
        let order = if format == Format::Flat { KeyOrder::Mbox } else { KeyOrder::Unsigned };
        WriteOptions { order, time: 1, style: flat::Style::Escaped }
    }

    fn written(format: Format, count: usize) -> Vec<u8> {
        let value = |i: usize| format!("%(T e P default M {i} A %(anna{} lrs))", "x".repeat(i % 23));
        let records = (0..count).map(|i| (format!("Nuser\x1F{i:07}"), value(i)));
        let mut out = io::Cursor::new(Vec::new());
        container::write(&mut out, format, records, &options(format)).expect("written");
        out.into_inner()
    }

    /// How records of a format are told to be sound.
    fn prove(format: Format) -> Box<dyn Prove> {
        let records = std::iter::once(("key", "%()"));
        let out = &mut io::Cursor::new(Vec::new());
        let (_, proof) = container::write_proving(out, format, records, &options(format)).expect("written");
        proof.expect("a format that is written").records
    }

    /// The number of records of a file, cut at about these places, if it is shown to be sound.
    fn shown(format: Format, bytes: &[u8], cuts: &[usize]) -> Option<u64> {
        let proof = prove(format);
        let mut at = proof.front_len() as usize;
        let front = bytes.get(..at)?;
        let mut stretches = Vec::new();
        for cut in cuts.iter().chain([&bytes.len()]) {
            let mut stretch = Stretch::new(at as u64);
            at += proof.take(&mut stretch, bytes.get(at..(*cut).min(bytes.len()).max(at))?)?;
            assert_eq!(stretch.end, at as u64);
            stretches.push(stretch);
        }
        proof.join(&stretches, front, bytes.get(at..)?)
    }

    #[test]
    fn what_was_written_is_sound_however_it_is_cut() {
        for format in FORMATS {
            for count in [1, 2, 3, 8191, 8192, 40_000] {
                let bytes = written(format, count);
                let len = bytes.len();
                for cuts in [&[][..], &[0, 1, 700], &[len / 3, len / 2, len - 1], &[len]] {
                    assert_eq!(shown(format, &bytes, cuts), Some(count as u64), "{format}, {count}, {cuts:?}");
                }
            }
        }
    }

    /// Whatever byte is changed: what is taken for sound, verification finds nothing wrong with either.
    #[test]
    fn nothing_is_taken_for_sound_that_is_not() {
        for format in FORMATS {
            let sound = written(format, 40);
            let mut refused = 0usize;
            for at in 0..sound.len() {
                for new in [0, 1, b'\n', 0xFF, sound[at] ^ 1, sound[at] ^ 0x20, sound[at].wrapping_add(8)] {
                    let mut bytes = sound.clone();
                    bytes[at] = new;
                    if bytes == sound {
                        continue;
                    }
                    if shown(format, &bytes, &[sound.len() / 2]).is_none() {
                        refused += 1;
                        continue;
                    }
                    assert!(matches!(format, Format::Skiplist | Format::Flat), "{format}: byte {at:#x} = {new:#x}");
                    let mut found = None;
                    container::open(&bytes, format).verify(Depth::Structure, &mut |finding| {
                        if finding.severity() > Severity::Note {
                            found = Some(finding);
                        }
                    });
                    assert_eq!(found, None, "{format}: byte {at:#x} = {new:#x}");
                }
            }
            assert!(refused > sound.len(), "{format}");
            for len in 0..sound.len() {
                let cut = shown(format, &sound[..len], &[]);
                assert!(cut.is_none() || format == Format::Flat && sound[..len].ends_with(b"\n"), "{format} of {len}");
            }
        }
    }

    /// Records that are sound by themselves, but left out, doubled or in another order.
    #[test]
    fn whole_records_in_the_wrong_place_are_seen() {
        for format in FORMATS {
            let bytes = written(format, 40);
            let proof = prove(format);
            let front_len = proof.front_len() as usize;
            let (mut starts, mut at) = (Vec::new(), front_len);
            for end in front_len..=bytes.len() {
                let mut one = Stretch::new(at as u64);
                if proof.take(&mut one, &bytes[at..end]).is_some_and(|taken| taken > 0) {
                    starts.push(at..end);
                    at = end;
                }
            }
            assert_eq!(starts.len(), 40, "{format}");
            let (one, next) = (&bytes[starts[20].clone()], &bytes[starts[21].clone()]);
            let (front, back) = (&bytes[..starts[20].start], &bytes[starts[21].end..]);
            for wrong in [&[front, next, back][..], &[front, one, one, next, back], &[front, next, one, back]] {
                let known = wrong.len() == 3 && format == Format::Flat;
                assert_eq!(shown(format, &wrong.concat(), &[]).is_some(), known, "{format}");
            }
        }
    }
}
