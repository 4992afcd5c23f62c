//! A database that is written to while it is in use: transactions appended as Cyrus appends them, each under its lock.
//!
//! Between two transactions the file belongs to everybody: a real Cyrus may read it, write to it, or put another one in its
//! place, and finds it sound at any moment (`lib/cyrusdb.c`; `lib/lock_fcntl.c`, `lock_reopen`).

use std::borrow::Cow;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::database::{self, Target};
use super::safe_file::SafeFile;
use crate::failure::Failure;
use crate::formats::container::{self, AppendError, Format, KeyOrder, Operation, Step};
use crate::formats::image::Image;
use crate::input::{Locking, lock_file, unlock_file, usual_order};
use crate::ops::mend::{Mended, mend, order_of};
use crate::render::text::rfc3339;

/// What tells whether somebody else wrote to the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A database in use.
pub struct LiveFile {
    path: PathBuf,
    file: File,
    format: Format,
    order: KeyOrder,
    timeout: Duration,
    stamp: Option<Stamp>,
}

/// How often a file that is replaced between opening and locking is opened again.
const TRIES: usize = 100;

impl LiveFile {
    /// Opens the database at `path`, or begins an empty one of `format`. A transaction that was not finished is taken back
    /// as Cyrus would take it back.
    ///
    /// # Errors
    /// When the file can't be opened, locked or written to, or is damaged beyond what Cyrus' own recovery mends without loss.
    pub fn open(path: &Path, format: Format, timeout: Duration) -> Result<Self, Failure> {
        let missing = match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                return Err(Failure::file(path, "a directory, not a file", "name a mailboxes.db"));
            }
            Ok(found) => found.len() == 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(unusable(path, error)),
        };
        if missing {
            begin(path, format)?;
        }
        let file = open_file(path)?;
        let mut live =
            LiveFile { path: path.to_owned(), file, format, order: usual_order(format), timeout, stamp: None };
        live.locked(|live| {
            let image = live.image()?;
            let found = container::detect_named(&image, path);
            live.format = match found.format {
                Some(format @ (Format::Skiplist | Format::Twoskip | Format::Flat)) => format,
                _ if image.is_empty() => Format::Flat,
                _ => {
                    let what = format!("can't be served from: it looks like {}", found.evidence);
                    return Err(Failure::file(
                        path,
                        what,
                        "convert it with `coroner convert FILE -o NEW --to twoskip`",
                    ));
                }
            };
            live.mend()
        })?;
        Ok(live)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether somebody else wrote to it, or put another file in its place.
    ///
    /// # Errors
    /// When nothing is there any more.
    pub fn is_stale(&self) -> Result<bool, Failure> {
        let found = fs::metadata(&self.path).map_err(|error| unusable(&self.path, error))?;
        Ok(self.stamp != Some(Stamp::of(&found)))
    }

    /// Reads it under its lock.
    ///
    /// # Errors
    /// When it can't be locked or read, and what `read` says.
    pub fn read<T>(&mut self, read: impl FnOnce(&[u8], Format, KeyOrder) -> Result<T, Failure>) -> Result<T, Failure> {
        self.locked(|live| {
            live.mend()?;
            let image = live.image()?;
            let answer = read(&image, live.format, live.order)?;
            live.stamp = Some(live.look()?);
            Ok(answer)
        })
    }

    /// Makes one transaction durable, and puts a new file in the place of one that grew too long.
    ///
    /// # Errors
    /// When it is not durable.
    pub fn append(&mut self, operations: &[Operation<'_>]) -> Result<(), Failure> {
        self.locked(|live| {
            let before = live.look()?;
            let known = live.stamp == Some(before);
            let appended = match live.try_append(operations) {
                // Somebody else died in the middle of a transaction.
                Err(AppendError::Unsound(_)) => {
                    live.mend()?;
                    live.try_append(operations)
                }
                other => other,
            };
            let appended =
                appended.map_err(|error| Failure::file(&live.path, error, "look at it with `coroner verify`"))?;
            for step in &appended.steps {
                live.carry_out(step)?;
            }
            if appended.rewrite_due {
                live.rewrite()?;
            }
            // What somebody else wrote meanwhile is still to be read.
            live.stamp = if known { Some(live.look()?) } else { None };
            Ok(())
        })
    }

    /// Puts a new file with these records in its place, and with what it holds under other keys than those that `replaced`
    /// accepts.
    ///
    /// # Errors
    /// When it is not in place; the file is then as it was.
    pub fn replace_all<'r>(
        &mut self,
        records: impl Iterator<Item = (&'r [u8], &'r [u8])>,
        replaced: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Failure> {
        type Bytes<'r> = Cow<'r, [u8]>;
        let mut records: Vec<(Bytes<'r>, Bytes<'r>)> = records.map(|(key, value)| (key.into(), value.into())).collect();
        self.locked(|live| {
            live.mend()?;
            let image = live.image()?;
            if !image.is_empty() {
                let database = container::open(&image, live.format);
                database.view(live.order, 1).walk(0, &mut |record| {
                    if !replaced(&record.key) {
                        records.push((record.key.into_owned().into(), record.value.into_owned().into()));
                    }
                    true
                });
            }
            let order = live.order;
            if !records.is_sorted_by(|a, b| order.compare(&a.0, &b.0).is_lt()) {
                records.sort_by(|a, b| order.compare(&a.0, &b.0));
            }
            live.write(&records)?;
            live.stamp = Some(live.look()?);
            Ok(())
        })
    }

    fn try_append(&self, operations: &[Operation<'_>]) -> Result<container::Appended, AppendError> {
        let image = Image::open(&self.file).map_err(|_| AppendError::Unsound("it can't be read"))?;
        container::append(&image, self.format, self.order, operations)
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Write { offset, bytes } => self.file.write_all_at(bytes, *offset),
            Step::Sync => self.file.sync_data(),
            Step::Replace(bytes) => return self.replace(bytes),
        }
        .map_err(|error| Failure::file(&self.path, format!("can't be written to: {error}"), "free some space"))
    }

    fn replace(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut safe = SafeFile::create(&self.path, true)?;
        safe.take_after(&self.metadata()?)?;
        safe.write_all(bytes).map_err(|error| unusable(&self.path, error))?;
        safe.finish(|_| Ok(()))?;
        self.file = open_file(&self.path)?;
        Ok(())
    }

    /// Writes its live records to a new file in its place.
    fn rewrite(&mut self) -> Result<(), Failure> {
        let image = self.image()?;
        let database = container::open(&image, self.format);
        let mut records = Vec::new();
        database.view(self.order, 1).walk(0, &mut |record| {
            records.push((record.key, record.value));
            true
        });
        self.write(&records)
    }

    fn write<K: AsRef<[u8]> + Sync, V: AsRef<[u8]> + Sync>(&mut self, records: &[(K, V)]) -> Result<(), Failure> {
        let pairs = || records.iter().map(|(key, value)| (key, value));
        let options = database::options(self.format, self.order, pairs());
        let like = self.metadata()?;
        let target = Target { path: &self.path, overwrite: true, like: Some(&like) };
        database::write(target, self.format, pairs(), &options)?;
        self.file = open_file(&self.path)?;
        Ok(())
    }

    /// Takes an unfinished transaction back. A file that lost anything is left as it is.
    fn mend(&mut self) -> Result<(), Failure> {
        let image = self.image()?;
        if image.is_empty() {
            return Ok(());
        }
        self.order = order_of(&image, self.format);
        match mend(&image, self.format, self.order) {
            Mended::Sound => Ok(()),
            Mended::TakenBack(kept) => {
                self.keep_a_copy(&image)?;
                self.write(&kept.into_iter().map(|record| (record.key, record.value)).collect::<Vec<_>>())
            }
            Mended::Lost(first) => {
                let what = format!("is damaged, and not all of it can be read: {first}");
                let next = "recover it with `coroner recover FILE -o NEW`, and serve NEW";
                Err(Failure::file(&self.path, what, next))
            }
        }
    }

    /// Keeps the file as it was beside it.
    fn keep_a_copy(&self, image: &[u8]) -> Result<(), Failure> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let time = rfc3339(now).unwrap_or_default().replace(['-', ':'], "");
        let name = |number: usize| {
            let mut name = self.path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".coroner-before-recovery-{time}-{number}"));
            self.path.with_file_name(name)
        };
        let path = (1..TRIES).map(name).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| name(TRIES));
        let mut safe = SafeFile::create(&path, false)?;
        safe.take_after(&self.metadata()?)?;
        safe.write_all(image).map_err(|error| unusable(&path, error))?;
        safe.finish(|_| Ok(()))?;
        Ok(())
    }

    /// Does something under the exclusive lock, on the file that is at the path.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        for _ in 0..TRIES {
            lock_file(&self.file, &self.path, Locking::Exclusive(self.timeout))?;
            let (found, own) = (fs::metadata(&self.path), self.metadata()?);
            let same = |found: Metadata| (found.dev(), found.ino()) == (own.dev(), own.ino());
            if found.map_err(|error| unusable(&self.path, error)).map(same)? {
                let answer = work(self);
                unlock_file(&self.file);
                return answer;
            }
            self.file = open_file(&self.path)?;
        }
        Err(Failure::file(&self.path, "replaced again and again", "stop what replaces it"))
    }

    fn image(&self) -> Result<Image, Failure> {
        Image::open(&self.file).map_err(|error| unusable(&self.path, error))
    }

    fn metadata(&self) -> Result<Metadata, Failure> {
        self.file.metadata().map_err(|error| unusable(&self.path, error))
    }

    fn look(&self) -> Result<Stamp, Failure> {
        Ok(Stamp::of(&self.metadata()?))
    }
}

/// Makes an empty database.
fn begin(path: &Path, format: Format) -> Result<(), Failure> {
    let none: [(&[u8], &[u8]); 0] = [];
    let order = usual_order(format);
    let like = fs::metadata(path).ok();
    let target = Target { path, overwrite: like.is_some(), like: like.as_ref() };
    database::write(target, format, none, &database::options(format, order, none)).map(drop)
}

fn open_file(path: &Path) -> Result<File, Failure> {
    File::options().read(true).write(true).open(path).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: io::Error) -> Failure {
    Failure::file(path, format!("can't be used: {error}"), "see who owns it, and who may write to its folder")
}
