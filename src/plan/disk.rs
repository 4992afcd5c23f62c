//! A file that is being made: whole pages go past the page cache where the file system lets them (`O_DIRECT`).
//!
//! Then nothing is copied, there is little left to sync, and what is read back for the first time comes from the disk.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, Mode, OFlags};

/// What addresses, offsets and lengths must be multiples of to go past the page cache.
const PAGE: usize = 4096;

/// What a buffer is aligned to, so that it can consist of huge pages: whole stretches of memory go to a disk, and come from
/// it, much faster than scattered pages.
const HUGE_PAGE: usize = 2 << 20;

/// A buffer that may go past the page cache.
pub struct Block {
    bytes: MmapMut,
    start: usize,
    len: usize,
}

impl Block {
    /// An empty block with room for `room` bytes, a multiple of [`PAGE`].
    ///
    /// # Errors
    /// If there is no memory.
    pub fn new(room: usize) -> io::Result<Self> {
        // What is never touched takes no memory.
        let bytes = MmapMut::map_anon(room + HUGE_PAGE)?;
        // Where the system has none, small pages do.
        let _ = bytes.advise(memmap2::Advice::HugePage);
        let start = bytes.as_ptr().align_offset(HUGE_PAGE).min(HUGE_PAGE);
        Ok(Block { bytes, start, len: 0 })
    }

    fn room(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - HUGE_PAGE + self.start;
        &mut self.bytes[self.start..end]
    }

    /// What is in it.
    pub fn filled(&mut self) -> &mut [u8] {
        let len = self.len;
        &mut self.room()[..len]
    }

    /// Takes as many of `bytes` as it has room for; answers how many, and whether it is full.
    pub fn fill(&mut self, bytes: &[u8]) -> (usize, bool) {
        let from = self.len;
        let room = &mut self.room()[from..];
        let taken = room.len().min(bytes.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        let full = taken == room.len();
        self.len += taken;
        (taken, full)
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

/// A file that is being made.
pub struct Disk<'f> {
    file: &'f File,
    /// The same file, past the page cache.
    direct: OnceLock<Option<File>>,
    refused: AtomicBool,
}

impl<'f> Disk<'f> {
    /// The file, which must have no other writer.
    pub fn new(file: &'f File) -> Self {
        Disk { file, direct: OnceLock::new(), refused: AtomicBool::new(false) }
    }

    /// The file past the page cache, unless the file system has refused that.
    fn direct(&self) -> Option<&File> {
        let open = || {
            let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
            rustix::fs::open(itself, flags, Mode::empty()).ok().map(File::from)
        };
        let direct = self.direct.get_or_init(open).as_ref();
        direct.filter(|_| !self.refused.load(Ordering::Relaxed))
    }

    /// Gives the file room up to `end`, if the file system can; if not, writing does.
    pub fn reserve(&self, from: u64, end: u64) {
        let _ = rustix::fs::fallocate(self.file, FallocateFlags::empty(), from, end.saturating_sub(from));
    }

    /// Writes a block.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, block: &mut Block, offset: u64) -> io::Result<()> {
        let bytes = block.filled();
        if let Some(direct) = self.direct().filter(|_| bytes.len().is_multiple_of(PAGE)) {
            match direct.write_all_at(bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.refused.store(true, Ordering::Relaxed);
                }
                written => return written,
            }
        }
        self.file.write_all_at(bytes, offset)
    }

    /// Whether what the file has at an offset is what is in `block`; reads it into `again`, past the page cache.
    pub fn holds(&self, block: &mut Block, again: &mut Block, offset: u64) -> bool {
        let len = block.len;
        self.read_past(again, offset, len).is_ok() && again.filled() == block.filled()
    }

    /// Reads `len` bytes into a block, past the page cache.
    ///
    /// # Errors
    /// What the system says, and if the file ends before.
    pub fn read_past(&self, block: &mut Block, offset: u64, len: usize) -> io::Result<()> {
        block.len = len;
        if let Some(direct) = self.direct() {
            // Up to a whole page: the file may end in it.
            let read = direct.read_at(&mut block.room()[..len.next_multiple_of(PAGE)], offset);
            if read.is_ok_and(|read| read >= len) {
                return Ok(());
            }
        }
        self.file.read_exact_at(block.filled(), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_held_against_what_the_file_has() {
        let file = tempfile::tempfile_in(".").unwrap();
        let disk = Disk::new(&file);
        let [mut block, mut again] = [(); 2].map(|()| Block::new(2 * PAGE).unwrap());
        assert!(block.fill(&[7; 2 * PAGE]).1);
        disk.write(&mut block, PAGE as u64).unwrap();
        assert!(disk.holds(&mut block, &mut again, PAGE as u64));
        assert!(!disk.holds(&mut block, &mut again, 0));
        // The file ends before.
        assert!(!disk.holds(&mut block, &mut again, 2 * PAGE as u64));
        file.write_all_at(b"!", 3 * PAGE as u64 - 1).unwrap();
        assert!(!disk.holds(&mut block, &mut again, PAGE as u64));
    }
}
