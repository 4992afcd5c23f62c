//! A new folder that appears with all that is to be in it, or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::interrupt::{self, Passing};

/// A folder that is being filled under a name of its own, beside the one that it is to have.
pub struct SafeFolder {
    target: PathBuf,
    passing: Option<Passing>,
}

impl SafeFolder {
    /// Begins a folder that is to appear as `target`.
    ///
    /// # Errors
    /// If something of that name exists, or what the system says of making a folder beside it.
    pub fn create(target: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(target).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut name = OsString::from(".");
        name.push(target.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        name.push(format!(".coroner-{}", std::process::id()));
        let path = target.with_file_name(name);
        let hold = interrupt::hold();
        fs::create_dir(&path)?;
        let passing = Some(hold.remember(path));
        Ok(SafeFolder { target: target.to_owned(), passing })
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        self.passing.as_ref().map_or(&self.target, Passing::path)
    }

    /// Gives it its name, and syncs the folder that it is in.
    ///
    /// # Errors
    /// When a system call fails; it is gone then, unless it was the last one, the sync.
    pub fn appear(mut self) -> io::Result<()> {
        let path = self.path().to_owned();
        File::open(&path)?.sync_all()?;
        let hold = interrupt::hold();
        match renameat_with(CWD, &path, CWD, &self.target, RenameFlags::NOREPLACE) {
            // A file system that can't promise that nothing is replaced: a folder replaces an empty one at most.
            Err(Errno::INVAL | Errno::NOSYS) => fs::rename(&path, &self.target)?,
            renamed => renamed?,
        }
        self.passing = None;
        drop(hold);
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for SafeFolder {
    fn drop(&mut self) {
        if let Some(passing) = &self.passing {
            let _ = fs::remove_dir_all(passing.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let home = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(home.path()).unwrap().map(|item| item.unwrap().file_name()).collect::<Vec<_>>();
        let target = home.path().join("new");
        let folder = SafeFolder::create(&target).unwrap();
        fs::write(folder.path().join("inner"), "text").unwrap();
        assert!(!target.exists());
        drop(folder);
        assert!(names().is_empty());
        let folder = SafeFolder::create(&target).unwrap();
        fs::write(folder.path().join("inner"), "text").unwrap();
        folder.appear().unwrap();
        assert_eq!(names(), ["new"]);
        assert_eq!(fs::read(target.join("inner")).unwrap(), b"text");
        assert!(SafeFolder::create(&target).is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists));
    }

    #[test]
    fn a_folder_that_came_meanwhile_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("new");
        let folder = SafeFolder::create(&target).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(target.join("theirs"), "").unwrap();
        assert!(folder.appear().is_err());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
        assert!(target.join("theirs").exists());
    }
}
