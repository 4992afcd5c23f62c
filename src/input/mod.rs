//! Opening a user's file: what kind of file it is, Cyrus' lock, snapshots, and which format to read it as.
//!
//! Nothing here writes to a source: it is opened for reading only, locked with the same shared lock that Cyrus' own
//! readers take, and compared with itself when the work is done. Only a file that is to be replaced is locked as Cyrus'
//! writers do, for which it has to be opened for writing.

mod beside;
mod gate;
mod held;
mod lock;
mod snapshot;
mod source;

use std::time::Duration;

use crate::formats::container::{Format, KeyOrder};

pub(crate) use lock::{release as unlock_file, take as lock_file};
pub use source::{Source, usual_order};

/// How a source is protected against writers while it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Locking {
    /// Under Cyrus' shared `fcntl` lock; waits at most this long for it.
    Shared(Duration),
    /// Under Cyrus' exclusive `fcntl` lock, to put another file in its place; waits at most this long for it.
    Exclusive(Duration),
    /// Not at all: for evidence on media that cannot lock.
    None,
}

/// How to open a source.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The format to read it as, instead of the one it looks like.
    pub format: Option<Format>,
    /// The order its keys stand in, instead of the one that fits them.
    pub order: Option<KeyOrder>,
    /// How to keep writers away.
    pub locking: Locking,
    /// Whether to copy the file first and let go of the lock.
    pub snapshot: bool,
    /// The transaction after which to read the file's state, instead of its last.
    pub at: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            format: None,
            order: None,
            locking: Locking::Shared(Duration::from_secs(5)),
            snapshot: false,
            at: None,
        }
    }
}
