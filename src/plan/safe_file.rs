//! A new file that appears complete or not at all.
//!
//! The content goes to a file without a name on the target's own file system. Only when it is written, synced, read back
//! and found right does it get its name: by `linkat` when nothing may be overwritten, by `rename` when that was asked
//! for. Whatever fails or is killed before leaves the target as it was and no file behind; on a file system without nameless
//! files, whatever fails or is [interrupted](super::interrupt) before.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::interrupt::{self, Passing};

/// Files of this many bytes and more are read back while they are being synced.
const LARGE: u64 = 16 << 20;

/// Why a file was not written; the target is then untouched.
#[derive(Debug, thiserror::Error)]
pub enum SafeFileError {
    /// The target exists and overwriting was not asked for.
    #[error("{0}: exists already; nothing is overwritten without --force")]
    Exists(PathBuf),
    /// The target is something a file cannot replace.
    #[error("{0}: is not a regular file; name a file to write to")]
    NotAFile(PathBuf),
    /// A system call failed.
    #[error("{path}: {what}: {source}")]
    Io {
        /// The target.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// What was read back is not what was to be written.
    #[error("{path}: read back and found wrong: {why}; the file was not put in place")]
    Verify {
        /// The target.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// A file being written, not yet visible under its name.
pub struct SafeFile {
    target: PathBuf,
    folder: File,
    content: Content,
    overwrite: bool,
}

/// Where the bytes are until they get their name.
enum Content {
    /// A file without a name (`O_TMPFILE`): gone by itself when we are.
    Nameless(File),
    /// A file beside the target, for file systems that know no nameless ones; removed by whoever ends us.
    Named(tempfile::NamedTempFile, Passing),
}

impl SafeFile {
    /// Begins a file that is to appear as `target`.
    ///
    /// # Errors
    /// When `target` exists and `overwrite` is false, is not a regular file, or its folder can't be written to.
    pub fn create(target: &Path, overwrite: bool) -> Result<Self, SafeFileError> {
        match fs::symlink_metadata(target) {
            Ok(_) if !overwrite => return Err(SafeFileError::Exists(target.to_owned())),
            Ok(found) if !found.is_file() => return Err(SafeFileError::NotAFile(target.to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(target, "looking at it")(error)),
        }
        let folder_path = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let folder = File::open(folder_path).map_err(failed(target, "opening its folder"))?;
        let content = Content::create(folder_path).map_err(failed(target, "creating it"))?;
        Ok(SafeFile { target: target.to_owned(), folder, content, overwrite })
    }

    /// The file to write to; readable too.
    pub fn file(&self) -> &File {
        match &self.content {
            Content::Nameless(file) => file,
            Content::Named(file, _) => file.as_file(),
        }
    }

    /// Gives the file the permissions of `source`, and its owner and group where we are allowed to.
    ///
    /// # Errors
    /// When the permissions can't be set. That the owner can't be set is no error: only root may.
    pub fn take_after(&self, source: &Metadata) -> Result<(), SafeFileError> {
        let (uid, gid) = (rustix::fs::Uid::from_raw(source.uid()), rustix::fs::Gid::from_raw(source.gid()));
        let _ = rustix::fs::fchown(self.file(), Some(uid), Some(gid));
        let mode = fs::Permissions::from_mode(source.mode() & 0o777);
        self.file().set_permissions(mode).map_err(failed(&self.target, "setting its permissions"))
    }

    /// Syncs the file, has it read back and judged by `verify` (of a large file, meanwhile), gives it its name, and syncs
    /// the folder.
    ///
    /// # Errors
    /// When a system call fails or `verify` answers with what is wrong; the target is then as it was. An error of the
    /// last step, the sync of the folder, comes when the file already has its name.
    pub fn finish(self, verify: impl FnOnce(&File) -> Result<(), String>) -> Result<(), SafeFileError> {
        self.check(verify)?;
        self.appear()
    }

    /// Syncs the file, and has it read back and judged by `verify`; of a large file, meanwhile.
    ///
    /// # Errors
    /// When the sync fails or `verify` answers with what is wrong.
    pub fn check(&self, verify: impl FnOnce(&File) -> Result<(), String>) -> Result<(), SafeFileError> {
        let file = self.file();
        let len = file.metadata().map_err(failed(&self.target, "looking at it"))?.len();
        let (synced, verified) = if len < LARGE {
            let synced = file.sync_all();
            let verified = if synced.is_ok() { verify(file) } else { Ok(()) };
            (synced, verified)
        } else {
            std::thread::scope(|scope| {
                let syncing = scope.spawn(|| file.sync_all());
                let verified = verify(file);
                (syncing.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has died"))), verified)
            })
        };
        synced.map_err(failed(&self.target, "syncing it to the disk"))?;
        verified.map_err(|why| SafeFileError::Verify { path: self.target.clone(), why })
    }

    /// Gives the checked file its name, and syncs the folder.
    ///
    /// # Errors
    /// When a system call fails; the target is then as it was, unless it was the last one, the sync of the folder.
    pub fn appear(self) -> Result<(), SafeFileError> {
        let SafeFile { target, folder, content, overwrite } = self;
        // Not to read it: to close a file opened so would let go of the lock that we may hold on it.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let replaced = overwrite.then(|| rustix::fs::openat(CWD, &target, flags, Mode::empty()).ok()).flatten();
        content.appear(&target, overwrite).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SafeFileError::Exists(target.clone()),
            _ => failed(&target, "giving it its name")(error),
        })?;
        // To free what a large file leaves in the page cache takes as long as copying it; nothing need wait for that. Where
        // there is no thread for it, it is freed at once.
        if let Some(replaced) = replaced {
            let _ = std::thread::Builder::new().spawn(move || drop(replaced));
        }
        folder.sync_all().map_err(failed(&target, "syncing its folder"))
    }
}

impl Write for SafeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Content {
    fn create(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => Ok(Content::Nameless(File::from(fd))),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                let hold = interrupt::hold();
                let file = tempfile::Builder::new().prefix(".coroner-").tempfile_in(folder)?;
                let passing = hold.remember(file.path().to_owned());
                Ok(Content::Named(file, passing))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn appear(self, target: &Path, overwrite: bool) -> io::Result<()> {
        let hold = interrupt::hold();
        let (answer, passing) = match self {
            Content::Named(file, passing) => {
                let named = if overwrite { file.persist(target) } else { file.persist_noclobber(target) };
                // A file that did not get its name is removed here.
                (named.map(drop).map_err(|error| error.error), Some(passing))
            }
            Content::Nameless(file) if overwrite => (replace(&file, target), None),
            Content::Nameless(file) => (link(&file, target), None),
        };
        drop((passing, hold));
        answer
    }
}

/// Gives a nameless file a name that nothing has yet.
fn link(file: &File, name: &Path) -> io::Result<()> {
    let fd = file.as_fd();
    let itself = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
    Ok(rustix::fs::linkat(CWD, itself, CWD, name, AtFlags::SYMLINK_FOLLOW)?)
}

/// Gives a nameless file the name of another file, which is thereby replaced.
///
/// `linkat` never replaces, so the file passes through a name of its own; a `kill -9` between the two calls is the one
/// moment that can leave a (complete) file under that name.
fn replace(file: &File, target: &Path) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".coroner-{}", std::process::id()));
    let passing = target.with_file_name(name);
    link(file, &passing)?;
    fs::rename(&passing, target).inspect_err(|_| {
        let _ = fs::remove_file(&passing);
    })
}

fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> SafeFileError {
    move |source| SafeFileError::Io { path: path.to_owned(), what, source }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom};

    use super::*;

    fn folder_with(target: Option<&str>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.db");
        if let Some(content) = target {
            fs::write(&path, content).unwrap();
        }
        (folder, path)
    }

    fn names(folder: &tempfile::TempDir) -> Vec<OsString> {
        fs::read_dir(folder.path()).unwrap().map(|item| item.unwrap().file_name()).collect()
    }

    #[test]
    fn appears_whole_after_it_was_judged() {
        let (folder, path) = folder_with(None);
        let mut file = SafeFile::create(&path, false).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(names(&folder).is_empty(), "nothing is visible before the end");
        file.finish(|mut written| {
            let mut back = String::new();
            written.seek(SeekFrom::Start(0)).unwrap();
            written.read_to_string(&mut back).unwrap();
            if back == "whole" { Ok(()) } else { Err(back) }
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(names(&folder), ["out.db"]);
    }

    #[test]
    fn overwrites_only_when_told() {
        let (folder, path) = folder_with(Some("old"));
        assert!(matches!(SafeFile::create(&path, false), Err(SafeFileError::Exists(_))));
        let mut file = SafeFile::create(&path, true).unwrap();
        file.write_all(b"new").unwrap();
        file.finish(|_| Ok(())).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(&folder), ["out.db"]);
    }

    #[test]
    fn a_file_that_came_meanwhile_is_kept() {
        let (folder, path) = folder_with(None);
        let file = SafeFile::create(&path, false).unwrap();
        fs::write(&path, "somebody else's").unwrap();
        assert!(matches!(file.finish(|_| Ok(())), Err(SafeFileError::Exists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
        assert_eq!(names(&folder), ["out.db"]);
    }

    #[test]
    fn a_file_judged_wrong_leaves_nothing() {
        let (folder, path) = folder_with(Some("old"));
        let file = SafeFile::create(&path, true).unwrap();
        assert!(matches!(file.finish(|_| Err("short".into())), Err(SafeFileError::Verify { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(&folder), ["out.db"]);
    }

    #[test]
    fn takes_permissions_from_the_source() {
        let (folder, path) = folder_with(None);
        let source = folder.path().join("source");
        fs::write(&source, "").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
        let file = SafeFile::create(&path, false).unwrap();
        file.take_after(&fs::metadata(&source).unwrap()).unwrap();
        file.finish(|_| Ok(())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn folders_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(SafeFile::create(folder.path(), true), Err(SafeFileError::NotAFile(_))));
    }
}
