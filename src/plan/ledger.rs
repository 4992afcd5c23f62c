//! A file as it is written, piece by piece, and read back: is it what was written?
//!
//! Pieces go to the disk while more are made: at the end there is little left to sync. They are read back as whoever opens
//! the file next will read it, through the system's page cache; that the disk has them is what the sync answers for.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rayon::prelude::*;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::formats::container::Proof;
use crate::formats::image::Image;

/// Bytes that are written before the disk is told to begin with them.
const SYNCED: u64 = 32 << 20;
/// A file of more bytes is worth showing to be sound by what was seen while it was written.
const LARGE: u64 = 4 << 20;

/// Lets `work` write to an empty file; comes back with its answer, and with what the file then must hold.
pub fn write<T>(file: &File, work: impl FnOnce(&mut Writing<'_>) -> T) -> (T, Ledger) {
    let mut writing = Writing { file, at: 0, unsynced: 0, syncing: None, ledger: Ledger::default() };
    let answer = work(&mut writing);
    let Writing { syncing, mut ledger, .. } = writing;
    ledger.synced = syncing.map(|Syncing { thread, .. }| thread);
    (answer, ledger)
}

/// The file as the work sees it: bytes for its end, and for places that had zeros.
pub struct Writing<'f> {
    file: &'f File,
    /// The place for the next bytes.
    at: u64,
    /// Bytes written since the disk was last told.
    unsynced: u64,
    syncing: Option<Syncing>,
    ledger: Ledger,
}

/// What a file must hold.
#[derive(Default)]
pub struct Ledger {
    len: u64,
    /// What was written in one go, one behind the other: where it starts, and its sum before patches were made.
    pieces: Vec<(u64, u128)>,
    /// What was put in the place of zeros, by offset.
    patches: Vec<(u64, Vec<u8>)>,
    /// What came of the syncs so far: the system tells of an error once.
    synced: Option<JoinHandle<io::Result<()>>>,
}

/// A thread that syncs what was written.
struct Syncing {
    /// Tells it that there is more.
    more: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Syncing {
    fn begin(file: &File) -> io::Result<Self> {
        let (more, told) = sync_channel(1);
        let file = file.try_clone()?;
        let thread = std::thread::spawn(move || told.iter().try_for_each(|()| file.sync_data()));
        Ok(Syncing { more, thread })
    }
}

impl Writing<'_> {
    /// Has the disk begin with what was written, if that is much; while it is at work, later.
    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced < SYNCED {
            return Ok(());
        }
        let syncing = match self.syncing.take() {
            Some(syncing) => syncing,
            None => Syncing::begin(self.file)?,
        };
        if self.syncing.insert(syncing).more.try_send(()).is_ok() {
            self.unsynced = 0;
        }
        Ok(())
    }
}

impl Write for Writing<'_> {
    /// Takes all of `bytes`, as a piece of the file.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = if self.at < self.ledger.len {
            let room = usize::try_from(self.ledger.len - self.at).unwrap_or(usize::MAX);
            let patch = &bytes[..bytes.len().min(room)];
            self.file.write_all_at(patch, self.at)?;
            self.ledger.patches.push((self.at, patch.to_vec()));
            patch.len()
        } else {
            self.file.write_all_at(bytes, self.at)?;
            if !bytes.is_empty() {
                self.ledger.pieces.push((self.at, xxh3_128(bytes)));
                self.ledger.len += bytes.len() as u64;
                self.unsynced += bytes.len() as u64;
                self.sync()?;
            }
            bytes.len()
        };
        self.at += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Writing<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(distance) => self.ledger.len.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
        };
        // There are no holes.
        self.at = place.filter(|&at| at <= self.ledger.len).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Ledger {
    /// Whether the file is worth being shown to be sound by what was seen while it was written.
    pub fn is_large(&self) -> bool {
        self.len > LARGE
    }

    /// Reads the file back; if it is not what was written, says where. With the `proof` of what was written: the number of
    /// records, if they are shown to be sound.
    ///
    /// # Errors
    /// What is wrong, or what the system says.
    pub fn read_back(mut self, file: &File, proof: Option<Proof>) -> Result<Option<u64>, String> {
        let gone = |_| Err(io::Error::other("the thread that syncs has died"));
        let synced = self.synced.take();
        let sound = self.look(file, proof)?;
        let synced = synced.map_or(Ok(()), |thread| thread.join().unwrap_or_else(gone));
        synced.map_err(|error| format!("syncing it to the disk: {error}"))?;
        Ok(sound)
    }

    fn look(&mut self, file: &File, proof: Option<Proof>) -> Result<Option<u64>, String> {
        let image = Image::open(file).map_err(|error| error.to_string())?;
        if image.len() as u64 != self.len {
            return Err(format!("it has {} bytes, and {} were written", image.len(), self.len));
        }
        self.patches.sort_unstable_by_key(|(offset, _)| *offset);
        let ends = self.pieces.iter().skip(1).map(|&(start, _)| start).chain([self.len]);
        let pieces: Vec<_> = self.pieces.iter().zip(ends).map(|(&(start, sum), end)| (start..end, sum)).collect();
        pieces.into_par_iter().try_for_each(|(range, sum)| {
            let same = self.sum(between(&image, &range), &range) == Some(sum);
            let wrong = || format!("the bytes from 0x{:X} on are not those that were written", range.start);
            same.then_some(()).ok_or_else(wrong)
        })?;
        Ok(proof.and_then(|proof| proof.shows(&image)))
    }

    /// The sum of a piece as it was before patches were made; `None` if a patch is not there.
    fn sum(&self, bytes: &[u8], range: &Range<u64>) -> Option<u128> {
        let mut sum: Option<Xxh3> = None;
        let mut at = range.start;
        let inside =
            |(offset, patch): &&(u64, Vec<u8>)| *offset < range.end && range.start < offset + patch.len() as u64;
        for (offset, patch) in self.patches.iter().filter(inside) {
            let part = range.start.max(*offset)..range.end.min(offset + patch.len() as u64);
            let local = |range: Range<u64>, start: u64| range.start - start..range.end - start;
            let patched = between(bytes, &local(part.clone(), range.start));
            if patched != between(patch, &local(part.clone(), *offset)) {
                return None;
            }
            let sum = sum.get_or_insert_with(Xxh3::new);
            sum.update(between(bytes, &local(at..part.start, range.start)));
            sum.update(&vec![0; patched.len()]);
            at = part.end;
        }
        let Some(mut sum) = sum else { return Some(xxh3_128(bytes)) };
        sum.update(between(bytes, &(at - range.start..range.end - range.start)));
        Some(sum.digest128())
    }
}

/// The bytes of a range, as far as they are there.
fn between<'b>(bytes: &'b [u8], range: &Range<u64>) -> &'b [u8] {
    let place = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(place(range.start)..place(range.end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::container::{self, Format, KeyOrder, WriteOptions, flat};

    #[test]
    fn pieces_and_patches_land_where_they_belong_and_read_back() {
        let made = || {
            let file = tempfile::tempfile_in(".").unwrap();
            let mut expected = vec![0; 10];
            let (end, ledger) = write(&file, |out| -> io::Result<u64> {
                out.write_all(&[0; 10])?;
                for fill in 2..200 {
                    out.write_all(&[fill; 3 << 18])?;
                    expected.extend([fill; 3 << 18]);
                }
                out.write_all(&[0; 10])?;
                out.write_all(&[0; 10])?;
                expected.extend([0; 20]);
                // The last one reaches from one piece into the next.
                for at in [4, expected.len() - 18, expected.len() - 12] {
                    out.seek(SeekFrom::Start(at as u64))?;
                    out.write_all(b"late")?;
                    expected[at..at + 4].copy_from_slice(b"late");
                }
                out.seek(SeekFrom::End(0))
            });
            assert_eq!(end.unwrap(), expected.len() as u64);
            (file, expected, ledger)
        };
        let (file, expected, ledger) = made();
        let mut found = vec![0; expected.len()];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
        assert_eq!(file.metadata().unwrap().len(), expected.len() as u64);
        assert_eq!(ledger.read_back(&file, None), Ok(None));
        let len = expected.len();
        for at in [0, 4, 9, 10, 3 << 20, len - 20, len - 12, len - 9, len - 1] {
            let (file, expected, ledger) = made();
            file.write_all_at(&[expected[at] ^ 1], at as u64).unwrap();
            assert!(ledger.read_back(&file, None).is_err(), "byte {at}");
        }
        let (file, _, ledger) = made();
        file.set_len(len as u64 - 1).unwrap();
        assert!(ledger.read_back(&file, None).is_err());
    }

    #[test]
    fn records_of_many_pieces_are_shown_to_be_sound() {
        let options = WriteOptions { order: KeyOrder::Unsigned, time: 1, style: flat::Style::Escaped };
        let other = |format| {
            let record = [("key", "value")];
            container::write_proving(&mut io::Cursor::new(Vec::new()), format, record, &options).unwrap().1
        };
        for format in [Format::Twoskip, Format::Skiplist, Format::Twom] {
            // Many records, and some that are long.
            for (count, len) in [(1, 5 << 20), (20_000_u64, 250), (60_000, 300), (6, 8 << 20)] {
                let made = || {
                    let value = "v".repeat(len);
                    let records = (0..count).map(|i| (format!("key {i:08}"), value.as_str()));
                    let file = tempfile::tempfile_in(".").unwrap();
                    let (written, ledger) =
                        write(&file, |out| container::write_proving(out, format, records, &options));
                    let (written, proof) = written.unwrap();
                    assert_eq!(written.records, count);
                    assert!(ledger.is_large(), "{count} records of {len} bytes: {} bytes", ledger.len);
                    (file, ledger, proof)
                };
                let (file, ledger, proof) = made();
                assert!(proof.is_some());
                assert_eq!(ledger.read_back(&file, proof), Ok(Some(count)), "{format}, {count} of {len}");
                let (file, ledger, proof) = made();
                file.write_all_at(b"!", ledger.len / 2).unwrap();
                assert!(ledger.read_back(&file, proof).is_err());
                // The proof of other records says nothing, and is no error.
                let (file, ledger, _) = made();
                assert_eq!(ledger.read_back(&file, other(format)), Ok(None));
            }
        }
    }

    #[test]
    fn a_write_that_fails_is_told() {
        let read_only = File::open(tempfile::NamedTempFile::new().unwrap().path()).unwrap();
        let (written, _) = write(&read_only, |out| out.write_all(b"!"));
        assert!(written.is_err());
    }
}
