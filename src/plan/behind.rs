//! Writing that lags behind the work, and the file read back: is it what was written?

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use xxhash_rust::xxh3::xxh3_128;

use super::disk::{Block, Disk};
use crate::formats::container::{ReadBack, Stretch};

/// Bytes written, and read back, at once. A file that is shorter needs no threads.
const BLOCK: usize = 4 << 20;
/// Threads that write or read back, and mostly wait for the disk.
const LANES: usize = 3;
/// Blocks that may wait to be written.
const WAITING: usize = 2;
/// Bytes that are added, at least, to the beginning of a record that a block cut off.
const PIECE: usize = 4096;
/// Bytes that the file is given ahead of what is written.
const AHEAD: u64 = 64 << 20;

/// Lets `work` write to an empty file; comes back when everything is written, with what the file then must hold.
///
/// # Errors
/// The first error of the system, if any; `work` may have gone on unaware of it.
pub fn write_behind<T>(file: &File, work: impl FnOnce(&mut Behind<'_, '_>) -> T) -> io::Result<(T, Ledger)> {
    write_with(file, false, work)
}

/// The same, and each whole block is read back from the disk, and held against what it is to be, as soon as it is written
/// there: for files that are written from one end to the other.
///
/// # Errors
/// As of [`write_behind`].
pub fn write_through<T>(file: &File, work: impl FnOnce(&mut Behind<'_, '_>) -> T) -> io::Result<(T, Ledger)> {
    write_with(file, true, work)
}

fn write_with<T>(file: &File, reads: bool, work: impl FnOnce(&mut Behind<'_, '_>) -> T) -> io::Result<(T, Ledger)> {
    let disk = Disk::new(file);
    let block = Block::new(BLOCK)?;
    std::thread::scope(|scope| {
        let ledger = Ledger::default();
        let mut behind = Behind { file, disk: &disk, scope, block, at: 0, reserved: 0, lanes: None, reads, ledger };
        let answer = work(&mut behind);
        behind.end().map(|ledger| (answer, ledger))
    })
}

/// The file as the work sees it: bytes for its end, and for places that had zeros.
pub struct Behind<'scope, 'env> {
    file: &'env File,
    disk: &'env Disk<'env>,
    scope: &'scope Scope<'scope, 'env>,
    /// The bytes of the end.
    block: Block,
    /// The place for the next bytes.
    at: u64,
    /// Bytes that the file was given room for.
    reserved: u64,
    lanes: Option<Lanes<'scope>>,
    /// Whether blocks are read back once they are written.
    reads: bool,
    ledger: Ledger,
}

/// What a file must hold.
#[derive(Default)]
pub struct Ledger {
    len: u64,
    /// The sum of each [`BLOCK`] before patches were made.
    sums: Vec<u128>,
    /// Of as many of them as were written by lanes, whether they were read back and found right.
    seen: Vec<bool>,
    /// What was put in the place of zeros, by offset.
    patches: Vec<(u64, Vec<u8>)>,
    /// Where something starts that was written in one go.
    starts: Vec<u64>,
}

/// A block and its number.
type Numbered = (u64, Block);

/// A block that was written: its number, its sum, and whether it was read back and found right.
type BlockWritten = (u64, u128, bool);

/// What a thread answers in the end.
type Writing<'scope> = ScopedJoinHandle<'scope, io::Result<Vec<BlockWritten>>>;

/// The threads that write.
struct Lanes<'scope> {
    full: SyncSender<Numbered>,
    /// Blocks that were written, to be filled again.
    empty: Receiver<Block>,
    writing: Vec<Writing<'scope>>,
}

impl<'scope> Lanes<'scope> {
    fn open<'env>(scope: &'scope Scope<'scope, 'env>, disk: &'env Disk<'env>, reads: bool) -> Self {
        let (full, to_write) = sync_channel::<Numbered>(WAITING);
        let (written, empty) = sync_channel::<Block>(WAITING + LANES);
        let to_write = Arc::new(Mutex::new(to_write));
        let lane = || {
            let (to_write, written) = (Arc::clone(&to_write), written.clone());
            scope.spawn(move || {
                let mut sums = Vec::new();
                let mut again = if reads { Some(Block::new(BLOCK)?) } else { None };
                loop {
                    let next = to_write.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, mut block)) = next else { return Ok(sums) };
                    let (sum, offset) = (xxh3_128(block.filled()), number * BLOCK as u64);
                    disk.write(&mut block, offset)?;
                    // What can't be read now is read, and told of, in the end.
                    let seen = again.as_mut().is_some_and(|again| disk.holds(&mut block, again, offset));
                    sums.push((number, sum, seen));
                    let _ = written.try_send(block);
                }
            })
        };
        Lanes { full, empty, writing: (0..LANES).map(|_| lane()).collect() }
    }

    /// Waits until all is written; what was.
    fn end(self) -> io::Result<Vec<BlockWritten>> {
        let Lanes { full, empty, writing } = self;
        drop((full, empty));
        let gone = |_| Err(io::Error::other("a thread that writes has died"));
        // All of them, before the first error is told.
        let ended: Vec<_> = writing.into_iter().map(|lane| lane.join().unwrap_or_else(gone)).collect();
        ended.into_iter().try_fold(Vec::new(), |mut sums, lane| {
            sums.extend(lane?);
            Ok(sums)
        })
    }
}

impl Behind<'_, '_> {
    /// Hands the full block on.
    fn send(&mut self) -> io::Result<()> {
        let number = self.ledger.len.div_ceil(BLOCK as u64).saturating_sub(1);
        if self.ledger.len > self.reserved {
            let end = self.reserved + AHEAD;
            self.disk.reserve(self.reserved, end);
            self.reserved = end;
        }
        let lanes = self.lanes.get_or_insert_with(|| Lanes::open(self.scope, self.disk, self.reads));
        let mut fresh = lanes.empty.try_recv().or_else(|_| Block::new(BLOCK))?;
        fresh.clear();
        let full = std::mem::replace(&mut self.block, fresh);
        // Whoever ends the lanes tells what happened.
        lanes.full.send((number, full)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Writes what is left, waits until all is written, and makes the patches.
    fn end(mut self) -> io::Result<Ledger> {
        let number = self.ledger.len / BLOCK as u64;
        let mut ledger = self.ledger;
        if let Some(lanes) = self.lanes.take() {
            let mut sums = lanes.end()?;
            sums.sort_unstable_by_key(|&(number, ..)| number);
            (ledger.sums, ledger.seen) = sums.into_iter().map(|(_, sum, seen)| (sum, seen)).unzip();
        }
        if !self.block.filled().is_empty() {
            ledger.sums.push(xxh3_128(self.block.filled()));
            self.file.write_all_at(self.block.filled(), number * BLOCK as u64)?;
        }
        if self.reserved > ledger.len {
            self.file.set_len(ledger.len)?;
        }
        for (offset, bytes) in &ledger.patches {
            self.file.write_all_at(bytes, *offset)?;
        }
        Ok(ledger)
    }
}

impl Write for Behind<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = if self.at < self.ledger.len {
            let room = usize::try_from(self.ledger.len - self.at).unwrap_or(usize::MAX);
            let taken = bytes.len().min(room);
            self.ledger.patches.push((self.at, bytes[..taken].to_vec()));
            taken
        } else {
            let (taken, full) = self.block.fill(bytes);
            self.ledger.len += taken as u64;
            if full {
                self.send()?;
            }
            taken
        };
        self.at += taken as u64;
        Ok(taken)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.at == self.ledger.len {
            self.ledger.starts.push(self.at);
        }
        while !bytes.is_empty() {
            let written = self.write(bytes)?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Behind<'_, '_> {
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
    /// Whether the file is one of several blocks.
    pub fn is_large(&self) -> bool {
        self.sums.len() > 1
    }

    /// Reads the file back from the disk; if it is not what was written, says where. `records` looks at what is read: the
    /// number of records, if they are shown to be sound.
    ///
    /// # Errors
    /// What is wrong, or what the system says.
    pub fn read_back(&self, file: &File, records: Option<&dyn ReadBack>) -> Result<Option<u64>, String> {
        let len = file.metadata().map_err(|error| error.to_string())?.len();
        if len != self.len {
            return Err(format!("it has {len} bytes, and {} were written", self.len));
        }
        let disk = Disk::new(file);
        let count = self.sums.len();
        let edge = |lane: usize| count * lane / LANES;
        let lane = |number: usize| self.lane(&disk, edge(number)..edge(number + 1), records);
        let read: Vec<_> = std::thread::scope(|scope| {
            let lane = &lane;
            let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(number))).collect();
            let gone = |_| Err("a thread that reads has died".to_owned());
            lanes.into_iter().map(|lane| lane.join().unwrap_or_else(gone)).collect()
        });
        let lanes = read.into_iter().collect::<Result<Vec<_>, _>>()?;
        let Some(records) = records.filter(|_| lanes.iter().all(Lane::is_sound)) else { return Ok(None) };
        let front: Vec<u8> = lanes.iter().flat_map(|lane| &lane.front).copied().collect();
        let back: Vec<u8> = lanes.iter().flat_map(|lane| &lane.rest).copied().collect();
        let stretches: Vec<Stretch> = lanes.into_iter().map(|lane| lane.stretch).collect();
        Ok(records.join(&stretches, &front, &back))
    }

    /// Reads some blocks, and the records that start in them.
    fn lane<'r>(
        &self,
        disk: &Disk<'_>,
        blocks: Range<usize>,
        records: Option<&'r dyn ReadBack>,
    ) -> Result<Lane<'r>, String> {
        let front_len = records.map_or(0, |records| records.front_len());
        let [start, end] = [blocks.start, blocks.end].map(|block| match block {
            0 => front_len.min(self.len),
            block if block == self.sums.len() => self.len,
            block => self.first_start(block as u64 * BLOCK as u64),
        });
        let mut lane = Lane::new(start..end, records);
        // Nothing was changed behind the end, and nobody wants to see what is in the blocks.
        let seen = |number: usize| records.is_none() && self.patches.is_empty() && self.seen.get(number) == Some(&true);
        let mut block = Block::new(BLOCK).map_err(|error| error.to_string())?;
        let mut number = blocks.start;
        // The last record may reach into blocks of the next lane.
        let reaches = |number: usize| start < end && (number as u64) < end.div_ceil(BLOCK as u64);
        while number < blocks.end || lane.is_sound() && reaches(number) {
            let Some(&sum) = self.sums.get(number) else { break };
            if seen(number) {
                number += 1;
                continue;
            }
            self.read_block(disk, &mut block, number as u64, sum)?;
            lane.take(number as u64 * BLOCK as u64, block.filled());
            number += 1;
        }
        Ok(lane)
    }

    /// Where the first record starts at or behind an offset, of those of which it is known.
    fn first_start(&self, offset: u64) -> u64 {
        let index = self.starts.partition_point(|&start| start < offset);
        self.starts.get(index).copied().unwrap_or(self.len)
    }

    /// Reads a block from the disk, and holds it against what was written.
    fn read_block(&self, disk: &Disk<'_>, block: &mut Block, number: u64, sum: u128) -> Result<(), String> {
        let offset = number * BLOCK as u64;
        let len = usize::try_from(self.len - offset).unwrap_or(usize::MAX).min(BLOCK);
        // What was written through the page cache is there still, and only a way past it leads to the disk.
        disk.read_past(block, offset, len).map_err(|error| error.to_string())?;
        let bytes = block.filled();
        let inside = offset..offset + len as u64;
        let patches =
            self.patches.iter().filter(|(at, patch)| *at < inside.end && inside.start < at + patch.len() as u64);
        let patches: Vec<_> = patches.collect();
        let patched = || {
            let all = patches.iter().flat_map(|(at, patch)| (*at..).zip(patch)).filter(|(at, _)| inside.contains(at));
            all.map(|(at, &byte)| ((at - offset) as usize, byte))
        };
        let mut same = patched().all(|(at, byte)| bytes[at] == byte);
        // As it was when the sum was made.
        patched().for_each(|(at, _)| bytes[at] = 0);
        same &= xxh3_128(bytes) == sum;
        patched().for_each(|(at, byte)| bytes[at] = byte);
        if same { Ok(()) } else { Err(format!("the bytes from 0x{offset:X} on are not those that were written")) }
    }
}

/// Takes the records that start in a range of the file from blocks that follow each other.
struct Lane<'r> {
    records: Option<&'r dyn ReadBack>,
    range: Range<u64>,
    stretch: Stretch,
    /// What stands in front of the first record of the file.
    front: Vec<u8>,
    /// The beginning of a record that the last block cut off.
    rest: Vec<u8>,
}

impl<'r> Lane<'r> {
    fn new(range: Range<u64>, records: Option<&'r dyn ReadBack>) -> Self {
        let stretch = Stretch::new(range.start);
        Lane { records, range, stretch, front: Vec::new(), rest: Vec::new() }
    }

    /// Whether nothing was seen that is not as it should be.
    fn is_sound(&self) -> bool {
        self.records.is_some()
    }

    /// Takes the next block, which stands at `offset`.
    fn take(&mut self, offset: u64, block: &[u8]) {
        let Some(records) = self.records else { return };
        let place = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(block.len());
        if offset == 0 {
            self.front = block[..place(records.front_len())].to_vec();
        }
        let bytes = &block[place(self.range.start)..place(self.range.end)];
        if self.take_records(records, bytes).is_none() {
            self.records = None;
        }
    }

    fn take_records(&mut self, records: &dyn ReadBack, mut bytes: &[u8]) -> Option<()> {
        while !self.rest.is_empty() && !bytes.is_empty() {
            let before = self.rest.len();
            let (more, behind) = bytes.split_at(bytes.len().min(before.max(PIECE)));
            self.rest.extend_from_slice(more);
            let taken = records.take(&mut self.stretch, &self.rest)?;
            if let Some(used) = taken.checked_sub(before) {
                self.rest.clear();
                bytes = &bytes[used..];
            } else {
                self.rest.drain(..taken);
                bytes = behind;
            }
        }
        let taken = records.take(&mut self.stretch, bytes)?;
        self.rest.extend_from_slice(bytes.get(taken..)?);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::container::{Format, KeyOrder, WriteOptions, flat, read_back, write};

    #[test]
    fn pieces_and_patches_land_where_they_belong_and_read_back() {
        let file = tempfile::tempfile_in(".").unwrap();
        let mut expected = vec![0; 10];
        let (end, ledger) = write_behind(&file, |out| -> io::Result<u64> {
            out.write_all(&[0; 10])?;
            for fill in 2..20 {
                out.write_all(&[fill; 3 << 18])?;
                expected.extend([fill; 3 << 18]);
            }
            out.write_all(&[0; 10])?;
            expected.extend([0; 10]);
            for at in [4, expected.len() - 8] {
                out.seek(SeekFrom::Start(at as u64))?;
                out.write_all(b"late")?;
                expected[at..at + 4].copy_from_slice(b"late");
            }
            out.seek(SeekFrom::End(0))
        })
        .unwrap();
        assert_eq!(end.unwrap(), expected.len() as u64);
        let mut found = vec![0; expected.len()];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
        assert_eq!(file.metadata().unwrap().len(), expected.len() as u64);
        assert_eq!(ledger.read_back(&file, None), Ok(None));
        for at in [0, 4, BLOCK - 1, BLOCK, expected.len() - 8, expected.len() - 1] {
            file.write_all_at(&[expected[at] ^ 1], at as u64).unwrap();
            assert!(ledger.read_back(&file, None).is_err(), "byte {at}");
            file.write_all_at(&[expected[at]], at as u64).unwrap();
        }
        assert_eq!(ledger.read_back(&file, None), Ok(None));
        file.set_len(expected.len() as u64 - 1).unwrap();
        assert!(ledger.read_back(&file, None).is_err());
    }

    #[test]
    fn a_file_of_whole_blocks_has_no_other_end() {
        let file = tempfile::tempfile_in(".").unwrap();
        let (written, ledger) = write_behind(&file, |out| out.write_all(&[7; 2 * BLOCK])).unwrap();
        written.unwrap();
        assert_eq!(file.metadata().unwrap().len(), 2 * BLOCK as u64);
        assert_eq!(ledger.read_back(&file, None), Ok(None));
    }

    #[test]
    fn whole_blocks_are_read_back_once_they_are_written() {
        let bytes: Vec<u8> = (0..(3 * BLOCK + 9) as u32).map(|at| (at % 251) as u8).collect();
        let file = tempfile::tempfile_in(".").unwrap();
        let (written, mut ledger) = write_through(&file, |out| out.write_all(&bytes)).unwrap();
        written.unwrap();
        assert_eq!(ledger.seen, [true; 3]);
        assert_eq!(ledger.read_back(&file, None), Ok(None));
        // What was not seen is read in the end, and so is what no lane has written.
        file.write_all_at(b"!", BLOCK as u64).unwrap();
        ledger.seen[1] = false;
        assert!(ledger.read_back(&file, None).is_err());
        file.write_all_at(&bytes[BLOCK..=BLOCK], BLOCK as u64).unwrap();
        assert_eq!(ledger.read_back(&file, None), Ok(None));
        file.write_all_at(b"!!", 3 * BLOCK as u64).unwrap();
        assert!(ledger.read_back(&file, None).is_err());
        file.set_len(3 * BLOCK as u64).unwrap();
        assert!(ledger.read_back(&file, None).is_err());
    }

    #[test]
    fn blocks_that_changed_behind_are_read_once_more() {
        let file = tempfile::tempfile_in(".").unwrap();
        let (written, ledger) = write_through(&file, |out| -> io::Result<()> {
            out.write_all(&[0; 2 * BLOCK])?;
            out.seek(SeekFrom::Start(5))?;
            out.write_all(b"late")
        })
        .unwrap();
        written.unwrap();
        assert_eq!((&ledger.seen[..], ledger.read_back(&file, None)), (&[true; 2][..], Ok(None)));
        file.write_all_at(b"\0", 5).unwrap();
        assert!(ledger.read_back(&file, None).is_err());
    }

    #[test]
    fn records_of_many_blocks_are_shown_to_be_sound() {
        let format = Format::Twoskip;
        let options = WriteOptions { order: KeyOrder::Unsigned, time: 1, style: flat::Style::Escaped };
        let proof = read_back(format, &options).unwrap();
        // Two blocks, many, and records that are longer than blocks.
        for (count, len) in [(20_000_u64, 250), (60_000, 300), (6, 2 * BLOCK)] {
            let value = "v".repeat(len);
            let records = (0..count).map(|i| (format!("key {i:08}"), value.as_str()));
            let file = tempfile::tempfile_in(".").unwrap();
            let (written, ledger) = write_behind(&file, |out| write(out, format, records, &options)).unwrap();
            assert_eq!(written.unwrap().records, count);
            assert!(ledger.is_large(), "{count} records of {len} bytes: {} bytes", ledger.len);
            assert_eq!(ledger.read_back(&file, Some(&*proof)), Ok(Some(count)));
            // Records of another format say nothing, and are no error.
            let other = read_back(Format::Skiplist, &options).unwrap();
            assert_eq!(ledger.read_back(&file, Some(&*other)), Ok(None));
            file.write_all_at(b"!", ledger.len / 2).unwrap();
            assert!(ledger.read_back(&file, Some(&*proof)).is_err());
        }
    }

    #[test]
    fn a_write_that_fails_is_not_forgotten() {
        let read_only = File::open(tempfile::NamedTempFile::new().unwrap().path()).unwrap();
        for len in [1, BLOCK, 4 * BLOCK] {
            assert!(write_behind(&read_only, |out| out.write_all(&vec![0; len])).is_err(), "{len} bytes");
        }
    }
}
