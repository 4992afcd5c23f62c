//! Files held open under their lock, each at most once.
//!
//! POSIX drops all of a process' locks on a file as soon as it closes any descriptor of it, so one file opened by two
//! names (`diff A A`) must be one descriptor.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::Stat;

use super::gate::{self, plain};
use super::{Locking, Options, lock, snapshot};
use crate::failure::Failure;
use crate::formats::image::Image;

/// What tells whether a file is still the one that was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    device: u64,
    inode: u64,
    len: i64,
    mtime: (i64, u64),
}

impl Stamp {
    #[allow(clippy::unnecessary_cast, reason = "the types of these fields differ between systems")]
    fn of(stat: &Stat) -> Self {
        Stamp {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            len: stat.st_size as i64,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        }
    }

    fn is_same_file(&self, other: &Stamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// An open file, its lock and its bytes.
pub(super) struct Held {
    file: File,
    stamp: Stamp,
    snapshot: bool,
    /// The file's bytes, or those of its snapshot.
    pub(super) image: Image,
}

/// How often a file that is replaced between looking and locking is looked at again.
const TRIES: usize = 100;

static HELD: Mutex<Vec<Weak<Held>>> = Mutex::new(Vec::new());

impl Held {
    /// What the system says of the file.
    pub(super) fn metadata(&self) -> Option<Metadata> {
        self.file.metadata().ok()
    }

    /// Opens the regular file at `path`, or shares it if it is open already.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Arc<Held>, Failure> {
        let mut all = HELD.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|held| held.strong_count() > 0);
        for _ in 0..TRIES {
            let seen = Stamp::of(&gate::admit(path)?);
            if let Some(held) = all.iter().filter_map(Weak::upgrade).find(|held| held.stamp.is_same_file(&seen)) {
                return Ok(held);
            }
            let file = gate::open(path, matches!(options.locking, Locking::Exclusive(_)))?;
            lock::take(&file, path, options.locking)?;
            let stamp = Stamp::of(&rustix::fs::fstat(&file).map_err(|errno| unreadable(path, errno.into()))?);
            if let Some(held) = all.iter().filter_map(Weak::upgrade).find(|held| held.stamp.is_same_file(&stamp)) {
                // Closing this second descriptor would drop the lock of the first.
                std::mem::forget(file);
                return Ok(held);
            }
            // Cyrus replaces a database by renaming a new file over it (skiplist checkpoint, twoskip repack, flat).
            if !stamp.is_same_file(&Stamp::of(&gate::admit(path)?)) {
                continue;
            }
            let held = Arc::new(Held::take(file, stamp, path, options)?);
            all.push(Arc::downgrade(&held));
            return Ok(held);
        }
        Err(Failure::file(path, "replaced again and again while it was being opened", "try again when it is quieter"))
    }

    fn take(file: File, stamp: Stamp, path: &Path, options: &Options) -> Result<Held, Failure> {
        if !options.snapshot {
            let image = Image::open(&file).map_err(|error| unreadable(path, error))?;
            return Ok(Held { file, stamp, snapshot: false, image });
        }
        let copy = snapshot::copy(&file, path).map_err(|error| {
            let what = format!("cannot be copied: {}", plain(error));
            Failure::file(path, what, "free some space in $TMPDIR, or read it without --snapshot")
        })?;
        let image = Image::open(&copy).map_err(|error| unreadable(path, error))?;
        let mut held = Held { file, stamp, snapshot: false, image };
        held.still(path)?;
        lock::release(&held.file);
        held.snapshot = true;
        Ok(held)
    }

    /// Whether the file is still the one at `path`.
    pub(super) fn is_at(&self, path: &Path) -> Result<bool, Failure> {
        Ok(self.stamp.is_same_file(&Stamp::of(&gate::admit(path)?)))
    }

    /// Checks that the file is what it was when it was opened; a snapshot always is.
    pub(super) fn still(&self, path: &Path) -> Result<(), Failure> {
        if self.snapshot {
            return Ok(());
        }
        let stat = rustix::fs::fstat(&self.file).map_err(|errno| unreadable(path, errno.into()))?;
        let now = Stamp::of(&stat);
        if now == self.stamp {
            return Ok(());
        }
        let what = match now.len - self.stamp.len {
            0 => "changed while it was being read".to_owned(),
            more @ 1.. => format!("grew by {more} bytes while it was being read"),
            less => format!("shrank by {} bytes while it was being read", less.unsigned_abs()),
        };
        Err(Failure::file(path, what, "read it under its lock (without --no-lock), or with --snapshot"))
    }
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure::file(path, format!("cannot be read: {}", plain(error)), "see what the system log says of the disk")
}
