//! Databases of several files: which of them belong to what the user named.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::formats::container::{Format, zeroskip};

/// The files of a zeroskip database, if `path` is the folder of one.
pub(super) fn folder(path: &Path) -> Option<Vec<PathBuf>> {
    let files = regular_files(path, |_| true);
    files.iter().any(|file| zeroskip::is_name(&name(file))).then_some(files)
}

/// The files that hold what the file at `path`, a database of `format`, may lack: the log files of a Berkeley DB environment,
/// which Cyrus keeps in the folder `db` beside it, or SQLite's journal and write-ahead log.
pub(super) fn files(path: &Path, format: Format) -> Vec<PathBuf> {
    match format {
        Format::Berkeley => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let mut logs = regular_files(folder, is_log);
            logs.extend(regular_files(&folder.join("db"), is_log));
            logs
        }
        Format::Sql => {
            ["-journal", "-wal"].into_iter().map(|end| with_end(path, end)).filter(|path| path.is_file()).collect()
        }
        _ => Vec::new(),
    }
}

/// The name of a file as the formats know it.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `log.` and a number of ten digits.
fn is_log(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix("log."));
    digits.is_some_and(|digits| digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// The regular files of a folder whose names are wanted, in the order of their names; none if it can't be listed.
fn regular_files(folder: &Path, wanted: impl Fn(&OsStr) -> bool) -> Vec<PathBuf> {
    let items = fs::read_dir(folder).into_iter().flatten().flatten();
    let wanted = items.filter(|item| wanted(&item.file_name())).map(|item| item.path());
    let mut files: Vec<PathBuf> = wanted.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_known_by_their_names() {
        assert!(is_log(OsStr::new("log.0000000001")));
        assert!(
            !is_log(OsStr::new("log.1"))
                && !is_log(OsStr::new("log.000000000x"))
                && !is_log(OsStr::new("x.log.0000000001"))
        );
    }

    #[test]
    fn what_stands_beside_a_database_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str| fs::write(folder.path().join(name), "x").expect("written");
        fs::create_dir(folder.path().join("db")).expect("a folder");
        ["mailboxes.db", "mailboxes.db-journal", "log.0000000002", "db/log.0000000001", "db/__db.001"]
            .into_iter()
            .for_each(write);
        let names = |format| {
            let found = files(&folder.path().join("mailboxes.db"), format);
            found.iter().map(|path| name(path)).collect::<Vec<_>>()
        };
        assert_eq!(names(Format::Berkeley), ["log.0000000002", "log.0000000001"]);
        assert_eq!(names(Format::Sql), ["mailboxes.db-journal"]);
        assert!(names(Format::Twoskip).is_empty());
    }
}
