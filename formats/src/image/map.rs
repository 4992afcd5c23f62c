//! The one place where a file is mapped, and so the one place with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::FileExt;

use memmap2::Mmap;
use rustix::fs::Advice;

/// Files up to this many bytes are read rather than mapped: they then cannot change or shrink under us.
const READ_LIMIT: u64 = 1 << 20;

/// The bytes of an opened file, mapped if it is large, otherwise read.
pub struct Image {
    bytes: Bytes,
}

enum Bytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Image {
    /// Takes the whole of a regular file.
    ///
    /// The caller keeps Cyrus' shared lock for as long as the image lives, or has made a copy of its own. A file that
    /// another process truncates nevertheless raises SIGBUS: see [`report_shrinking`].
    ///
    /// # Errors
    /// What the system says to `fstat`, `read` or `mmap`.
    pub fn open(file: &File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        if len <= READ_LIMIT {
            return whole(file, len).map(Image::from);
        }
        // SAFETY: the map is private and read-only, and every access through it is of plain bytes. That nobody changes the
        // file meanwhile is what Cyrus' lock is for; if somebody does all the same, the bytes read are merely other bytes.
        let map = unsafe { Mmap::map(file)? };
        let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
        Ok(Image { bytes: Bytes::Mapped(map) })
    }
}

/// The bytes of a file from its beginning on, wherever its own position stands.
fn whole(file: &File, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

impl From<Vec<u8>> for Image {
    fn from(bytes: Vec<u8>) -> Self {
        Image { bytes: Bytes::Read(bytes) }
    }
}

impl Deref for Image {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Read(bytes) => bytes,
        }
    }
}

/// Ends the process with `message` on standard error and exit status `status` when a mapped file is truncated by somebody
/// who does not keep to Cyrus' lock (SIGBUS), instead of dying of the signal. For programs, once, at their start.
///
/// # Errors
/// What the system says to `sigaction`.
pub fn report_shrinking(message: &'static str, status: i32) -> io::Result<()> {
    let action = move || {
        let stderr = unsafe { std::os::fd::BorrowedFd::borrow_raw(2) };
        let _ = rustix::io::write(stderr, message.as_bytes());
        signal_hook::low_level::exit(status);
    };
    // SAFETY: the action calls only write(2) and _exit(2), both async-signal-safe, and allocates nothing.
    unsafe { signal_hook::low_level::register(signal_hook::consts::SIGBUS, action) }.map(drop)
}
