//! Turns away what is no regular file, before anything could block on opening it.

use std::io;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::failure::Failure;

/// Refuses `path` unless it is a regular file; gives what `stat` says of it.
pub(super) fn admit(path: &Path) -> Result<Stat, Failure> {
    let stat = rustix::fs::stat(path).map_err(|errno| refused(path, errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(stat),
        FileType::Directory => Err(directory(path)),
        FileType::Fifo => Err(Failure::file(path, "a FIFO, not a file", "copy what comes out of it into a file first")),
        FileType::Socket => Err(Failure::file(path, "a socket, not a file", "name a mailboxes.db")),
        FileType::CharacterDevice | FileType::BlockDevice => {
            Err(Failure::file(path, "a device, not a file", "copy the database out of it first"))
        }
        _ => Err(Failure::file(path, "not a regular file", "name a mailboxes.db")),
    }
}

fn directory(path: &Path) -> Failure {
    let inside = path.join("mailboxes.db");
    let next = if inside.exists() { format!("try {}", inside.display()) } else { "name a file in it".into() };
    Failure::file(path, "a directory, not a file", next)
}

/// Opens for reading, never blocking, and where it is allowed without touching the access time; for an exclusive lock,
/// which the system gives nobody else, for writing too.
pub(super) fn open(path: &Path, exclusive: bool) -> Result<std::fs::File, Failure> {
    let access = if exclusive { OFlags::RDWR } else { OFlags::RDONLY };
    let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    #[cfg(target_os = "linux")]
    if let Ok(fd) = rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty()) {
        return Ok(fd.into());
    }
    rustix::fs::open(path, flags, Mode::empty()).map(Into::into).map_err(|errno| refused(path, errno))
}

/// What the system said to opening or examining `path`.
fn refused(path: &Path, errno: Errno) -> Failure {
    let next = match errno {
        Errno::NOENT => "check the path; Cyrus keeps mailboxes.db in its configdirectory",
        Errno::ACCESS | Errno::PERM => "run as the user cyrus, or as root",
        Errno::NOTDIR => "a part of the path is a file; check the path",
        Errno::LOOP => "its symbolic links go in circles; check the path",
        _ => "see what the system log says of the disk",
    };
    Failure::file(path, plain(errno.into()), next)
}

/// An I/O error's text without Rust's "(os error N)".
pub(super) fn plain(error: io::Error) -> String {
    let text = error.to_string();
    let cut = text.find(" (os error").unwrap_or(text.len());
    text[..cut].to_lowercase()
}
