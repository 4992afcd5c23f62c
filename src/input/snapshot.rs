//! A private copy of a locked file: an instant one where the file system can, otherwise byte by byte.

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;

/// An unlinked copy of `file`, which lies at `path`; it has no name and is gone when closed.
///
/// # Errors
/// What the system says to creating or writing a temporary file.
pub(super) fn copy(mut file: &File, path: &Path) -> io::Result<File> {
    if let Some(copy) = reflink(file, path) {
        return Ok(copy);
    }
    let mut copy = tempfile::tempfile()?;
    file.rewind()?;
    io::copy(&mut file, &mut copy)?;
    copy.rewind()?;
    Ok(copy)
}

/// A copy that shares the blocks of `file`: needs an unnamed file in the same file system.
#[cfg(target_os = "linux")]
fn reflink(file: &File, path: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let copy: File = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).ok()?.into();
    rustix::fs::ioctl_ficlone(&copy, file).ok()?;
    Some(copy)
}

#[cfg(not(target_os = "linux"))]
fn reflink(_: &File, _: &Path) -> Option<File> {
    None
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn copies_all_bytes_and_keeps_nothing_on_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        File::create(&path).and_then(|mut file| file.write_all(b"some bytes")).expect("a file");
        let source = File::open(&path).expect("opened");
        let mut bytes = Vec::new();
        copy(&source, &path).and_then(|mut copy| copy.read_to_end(&mut bytes)).expect("copied");
        assert_eq!(bytes, b"some bytes");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
