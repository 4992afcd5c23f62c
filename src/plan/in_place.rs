//! Puts a changed database in the place of its source, as Cyrus' own checkpoint does: a new file beside it, synced, then
//! renamed over it under the exclusive lock (`lib/cyrusdb_skiplist.c`, `mycheckpoint`).
//!
//! Whoever waits for the lock meanwhile looks, as every Cyrus process does when it has it, whether the file is still the
//! one at the path, and opens the new one (`lib/lock_fcntl.c`, `lock_reopen`).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::database::{Prepared, Target};
use super::safe_file::{SafeFile, SafeFileError};
use super::{Bound, Plan, apply, document};
use crate::failure::Failure;
use crate::formats::container::Written;
use crate::formats::image::Image;
use crate::input::Source;
use crate::ops::reading::Reading;
use crate::render::text::rfc3339;

/// What was done, and what was kept of the file before.
#[derive(Debug)]
pub struct Swapped {
    /// What was written.
    pub written: Written,
    /// A copy of the file as it was, byte for byte.
    pub backup: PathBuf,
    /// The plan that takes the changes back.
    pub undo: PathBuf,
}

/// Carries out a plan on the file itself, which `source` holds under the exclusive lock.
///
/// At every moment the path holds the old file or the new one. Backup and undo plan are there before the new one is.
///
/// # Errors
/// When anything fails; the file is then as it was, and neither backup nor undo plan are left. An error of the last step,
/// the sync of the folder, comes when the new file is in place; backup and undo plan then stay.
pub fn swap(plan: &Plan, source: &Source, reading: &Reading<'_, '_>, now: u64) -> Result<Swapped, Failure> {
    let path = fs::canonicalize(source.path())
        .map_err(|error| Failure::file(source.path(), error, "only a file can be changed in place"))?;
    let Some(like) = source.metadata() else {
        return Err(Failure::file(source.path(), "is not a file", "name the file to change"));
    };
    let target = Target { path: &path, overwrite: true, like: Some(&like) };
    let prepared = apply::prepare(plan, source, reading, target)?;
    let inverse = plan.inverse(bound(&path, plan, &prepared)?, now);

    let mut kept = Kept::default();
    let backup = kept.save(&path, "backup", "", now, |file| {
        file.take_after(&like)?;
        Ok(file.write_all(source.parts().first().bytes))
    })?;
    let undo = kept.save(&path, "undo", ".json", now, |file| {
        file.take_after(&like)?;
        Ok(file.write_all(inverse.to_json().as_bytes()))
    })?;
    source.still()?;
    if !source.is_at(&path)? {
        let next = "nothing was done; stop the servers that use it, and try again";
        return Err(Failure::file(source.path(), "was replaced while it was locked", next));
    }
    let appeared = prepared.appear();
    // The very last step, the sync of the folder, can fail when the new file is in its place: then they are needed.
    if appeared.is_ok() || !source.is_at(&path).unwrap_or(false) {
        kept.files.clear();
    }
    Ok(Swapped { written: appeared?, backup, undo })
}

/// What the undo plan is bound to: the file that is about to get its name.
fn bound(path: &Path, plan: &Plan, prepared: &Prepared) -> Result<Bound, Failure> {
    let image = Image::open(prepared.file()).map_err(|error| Failure::file(path, error, "nothing was done"))?;
    Ok(Bound {
        path: document::absolute(path),
        len: image.len() as u64,
        blake3: *blake3::hash(&image).as_bytes(),
        format: plan.source.format,
        order: Some(plan.order),
    })
}

/// Files made beside the database; they go away again if what follows fails.
#[derive(Default)]
struct Kept {
    files: Vec<PathBuf>,
}

/// How many names to try for a file beside the database.
const TRIES: usize = 100;

impl Kept {
    /// Makes the file `NAME.coroner-WHAT-TIME` beside the database, or a numbered one where that is there.
    fn save(
        &mut self,
        path: &Path,
        what: &str,
        ending: &str,
        now: u64,
        write: impl FnOnce(&mut SafeFile) -> Result<std::io::Result<()>, Failure>,
    ) -> Result<PathBuf, Failure> {
        let time = rfc3339(now).unwrap_or_else(|| now.to_string()).replace(['-', ':'], "");
        let name = |number: usize| {
            let number = if number > 1 { format!("-{number}") } else { String::new() };
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".coroner-{what}-{time}{number}{ending}"));
            path.with_file_name(name)
        };
        let free = (1..TRIES).map(name).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| name(TRIES));
        let mut file = SafeFile::create(&free, false)?;
        write(&mut file)?.map_err(|error| Failure::file(&free, error, "nothing was done; free some space"))?;
        let done = file.finish(|_| Ok(()));
        // A file that somebody else made meanwhile is not ours to take away again.
        if !matches!(done, Err(SafeFileError::Exists(_))) {
            self.files.push(free.clone());
        }
        done?;
        Ok(free)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}
