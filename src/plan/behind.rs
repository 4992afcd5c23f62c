//! Writing that lags behind the work, and the file read back: is it what was written?

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use xxhash_rust::xxh3::xxh3_128;

use super::disk::{Block, Disk};

/// Bytes written, and read back, at once. A file that is shorter needs no threads.
const BLOCK: usize = 4 << 20;
/// Threads that write or read back, and mostly wait for the disk.
const LANES: usize = 4;
/// Blocks that may wait to be written.
const WAITING: usize = 3;
/// Bytes that the file is given ahead of what is written.
const AHEAD: u64 = 64 << 20;

/// Lets `work` write to an empty file; comes back when everything is written, with what the file then must hold.
///
/// # Errors
/// The first error of the system, if any; `work` may have gone on unaware of it.
pub fn write_behind<T>(file: &File, work: impl FnOnce(&mut Behind<'_, '_>) -> T) -> io::Result<(T, Ledger)> {
    let disk = Disk::new(file);
    let block = Block::new(BLOCK)?;
    std::thread::scope(|scope| {
        let ledger = Ledger::default();
        let mut behind =
            Behind { file, disk: &disk, scope, block, at: 0, reserved: 0, lanes: None, ledger };
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
    ledger: Ledger,
}

/// What a file must hold.
#[derive(Default)]
pub struct Ledger {
    len: u64,
    /// The sum of each [`BLOCK`] before patches were made; the number of each.
    sums: Vec<(u64, u128)>,
    /// What was put in the place of zeros, by offset.
    patches: Vec<(u64, Vec<u8>)>,
}

/// A block and its number.
type Numbered = (u64, Block);

/// What a lane answers in the end: the sums of its blocks.
type Lane<'scope> = ScopedJoinHandle<'scope, io::Result<Vec<(u64, u128)>>>;

/// The threads that write.
struct Lanes<'scope> {
    full: SyncSender<Numbered>,
    /// Blocks that were written, to be filled again.
    empty: Receiver<Block>,
    writing: Vec<Lane<'scope>>,
}

impl<'scope> Lanes<'scope> {
    fn open<'env>(scope: &'scope Scope<'scope, 'env>, disk: &'env Disk<'env>) -> Self {
        let (full, to_write) = sync_channel::<Numbered>(WAITING);
        let (written, empty) = sync_channel::<Block>(WAITING + LANES);
        let to_write = Arc::new(Mutex::new(to_write));
        let lane = || {
            let (to_write, written) = (Arc::clone(&to_write), written.clone());
            scope.spawn(move || {
                let mut sums = Vec::new();
                loop {
                    let next = to_write.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, mut block)) = next else { return Ok(sums) };
                    sums.push((number, xxh3_128(block.filled())));
                    disk.write(&mut block, number * BLOCK as u64)?;
                    let _ = written.try_send(block);
                }
            })
        };
        Lanes { full, empty, writing: (0..LANES).map(|_| lane()).collect() }
    }

    /// Waits until all is written; the sums of all blocks.
    fn end(self) -> io::Result<Vec<(u64, u128)>> {
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
        let lanes = self.lanes.get_or_insert_with(|| Lanes::open(self.scope, self.disk));
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
            ledger.sums = lanes.end()?;
        }
        if !self.block.filled().is_empty() {
            ledger.sums.push((number, xxh3_128(self.block.filled())));
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
    /// Reads the file back; if it is not what was written, says where.
    ///
    /// # Errors
    /// What is wrong, or what the system says.
    pub fn compare(&self, file: &File) -> Result<(), String> {
        let len = file.metadata().map_err(|error| error.to_string())?.len();
        if len != self.len {
            return Err(format!("it has {len} bytes, and {} were written", self.len));
        }
        let disk = Disk::new(file);
        let next = AtomicUsize::new(0);
        let lane = || {
            let mut block = Block::new(BLOCK).map_err(|error| error.to_string())?;
            while let Some(&(number, sum)) = self.sums.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.compare_block(&disk, &mut block, number, sum)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let more: Vec<_> = (1..LANES.min(self.sums.len())).map(|_| scope.spawn(lane)).collect();
            let gone = |_| Err("a thread that reads has died".to_owned());
            let ended: Vec<_> = more.into_iter().map(|lane| lane.join().unwrap_or_else(gone)).collect();
            ended.into_iter().fold(lane(), Result::and)
        })
    }

    fn compare_block(&self, disk: &Disk<'_>, block: &mut Block, number: u64, sum: u128) -> Result<(), String> {
        let offset = number * BLOCK as u64;
        let len = usize::try_from(self.len - offset).unwrap_or(usize::MAX).min(BLOCK);
        let patched = |(at, patch): &(u64, Vec<u8>)| *at < offset + len as u64 && offset < at + patch.len() as u64;
        // What was written through the page cache is there still, and only a way past it leads to the disk.
        let read = if len < BLOCK || self.patches.iter().any(patched) { Disk::read_past } else { Disk::read_into };
        read(disk, block, offset, len).map_err(|error| error.to_string())?;
        let bytes = block.filled();
        let differs = || format!("the bytes from 0x{offset:X} on are not those that were written");
        for (at, patch) in &self.patches {
            for (at, &byte) in (*at..).zip(patch).filter(|(at, _)| (offset..offset + len as u64).contains(at)) {
                let place = &mut bytes[(at - offset) as usize];
                if *place != byte {
                    return Err(differs());
                }
                // As it was when the sum was made.
                *place = 0;
            }
        }
        if xxh3_128(bytes) == sum { Ok(()) } else { Err(differs()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(ledger.compare(&file), Ok(()));
        for at in [0, 4, BLOCK - 1, BLOCK, expected.len() - 8, expected.len() - 1] {
            file.write_all_at(&[expected[at] ^ 1], at as u64).unwrap();
            assert!(ledger.compare(&file).is_err(), "byte {at}");
            file.write_all_at(&[expected[at]], at as u64).unwrap();
        }
        assert_eq!(ledger.compare(&file), Ok(()));
        file.set_len(expected.len() as u64 - 1).unwrap();
        assert!(ledger.compare(&file).is_err());
    }

    #[test]
    fn a_file_of_whole_blocks_has_no_other_end() {
        let file = tempfile::tempfile_in(".").unwrap();
        let (written, ledger) = write_behind(&file, |out| out.write_all(&[7; 2 * BLOCK])).unwrap();
        written.unwrap();
        assert_eq!(file.metadata().unwrap().len(), 2 * BLOCK as u64);
        assert_eq!(ledger.compare(&file), Ok(()));
    }

    #[test]
    fn a_write_that_fails_is_not_forgotten() {
        let read_only = File::open(tempfile::NamedTempFile::new().unwrap().path()).unwrap();
        for len in [1, BLOCK, 4 * BLOCK] {
            assert!(write_behind(&read_only, |out| out.write_all(&vec![0; len])).is_err(), "{len} bytes");
        }
    }
}
