//! What a host keeps: its database as the bytes of a file in memory, written as Cyrus writes it, and messages.
//!
//! Writes reach the disk for good when they are synced. What a crash leaves of those that are not is up to whoever lets it
//! happen: all, none, or some, and the last one torn.

use std::collections::BTreeMap;
use std::io::Cursor;

use super::Keep;
use crate::formats::container::{self, AppendError, Format, KeyOrder, Operation, Record, Step, WriteOptions, flat};
use crate::input::usual_order;
use crate::ops::mend::{Mended, mend, order_of};

/// The messages of each mailbox, by its uniqueid, in the order in which they came.
pub type Spool = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// A disk.
#[derive(Clone, Debug)]
pub struct Disk {
    format: Format,
    order: KeyOrder,
    /// The file as a reader sees it.
    file: Vec<u8>,
    /// The file as it was synced last; `None` if that is how it is.
    synced: Option<Vec<u8>>,
    /// What was written since then.
    loose: Vec<Step>,
    spool: Spool,
}

/// Why something is not stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The disk takes no more.
    Full,
    /// The file is damaged; with what is wrong.
    Damaged(String),
}

/// Time in a skiplist's header. Nobody recovers these files but coroner, which does not look at it.
const RECOVERED: u32 = 0;

fn write<K: AsRef<[u8]> + Send, V: AsRef<[u8]> + Send>(
    format: Format,
    order: KeyOrder,
    records: Vec<(K, V)>,
) -> Result<Vec<u8>, Refused> {
    let options = WriteOptions { order, time: RECOVERED, style: flat::Style::Escaped };
    let mut file = Cursor::new(Vec::new());
    let written = container::write(&mut file, format, records, &options);
    written.map_err(|error| Refused::Damaged(error.to_string()))?;
    Ok(file.into_inner())
}

impl Disk {
    /// A disk with an empty database.
    pub fn empty(format: Format) -> Disk {
        let order = usual_order(format);
        let none: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        // An empty file is an empty database too.
        let file = write(format, order, none).unwrap_or_default();
        Disk { format, order, file, synced: None, loose: Vec::new(), spool: Spool::new() }
    }

    /// A disk with a copy of this database, which [`Disk::mend`] has to look at before it is used; `None` if it is none that
    /// a murder's hosts write.
    pub fn of(file: Vec<u8>) -> Option<Disk> {
        let found = container::detect(&file).format;
        let format = found.filter(|format| matches!(format, Format::Skiplist | Format::Twoskip | Format::Flat))?;
        let order = order_of(&file, format);
        Some(Disk { format, order, file, synced: None, loose: Vec::new(), spool: Spool::new() })
    }

    /// The same messages with another disk's database: for a file that is copied from there.
    #[must_use]
    pub fn with_database_of(&self, other: &Disk) -> Disk {
        Disk { spool: self.spool.clone(), ..other.clone() }
    }

    /// The format of the database.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The order of its keys.
    pub fn order(&self) -> KeyOrder {
        self.order
    }

    /// The bytes of the database.
    pub fn bytes(&self) -> &[u8] {
        &self.file
    }

    /// The messages.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The records in their order.
    pub fn records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut records = Vec::new();
        if !self.file.is_empty() {
            container::open(&self.file, self.format).view(self.order, 1).walk(0, &mut |record| {
                records.push((record.key.into_owned(), record.value.into_owned()));
                true
            });
        }
        records
    }

    /// Takes an unfinished transaction back, as a host does when it starts; gives whether there was one.
    ///
    /// # Errors
    /// If the file is damaged in another way; it is then left as it is.
    pub fn mend(&mut self) -> Result<bool, Refused> {
        if self.file.is_empty() {
            return Ok(false);
        }
        match mend(&self.file, self.format, self.order) {
            Mended::Sound => Ok(false),
            Mended::TakenBack(kept) => {
                let pair = |record: Record<'_>| (record.key.into_owned(), record.value.into_owned());
                let file = write(self.format, self.order, kept.into_iter().map(pair).collect())?;
                self.replace(file);
                Ok(true)
            }
            Mended::Lost(what) => Err(Refused::Damaged(what)),
        }
    }

    /// Keeps all of these, or as much of it as `steps` steps of writing bring: gives whether it came to the end.
    ///
    /// # Errors
    /// If the file is not one that can be written to.
    pub fn store(&mut self, keeps: &[Keep], steps: usize) -> Result<bool, Refused> {
        let operations: Vec<Operation<'_>> = keeps.iter().filter_map(operation).collect();
        let appended = match self.append(&operations) {
            // Writing stopped in the middle before.
            Err(AppendError::Unsound(_)) => {
                self.mend()?;
                self.append(&operations)
            }
            other => other,
        };
        let appended = appended.map_err(|error| Refused::Damaged(error.to_string()))?;
        for (number, step) in appended.steps.iter().enumerate() {
            if number >= steps {
                return Ok(false);
            }
            self.carry_out(step);
        }
        if appended.rewrite_due {
            self.replace(write(self.format, self.order, self.records())?);
        }
        keeps.iter().for_each(|keep| self.keep(keep));
        Ok(true)
    }

    /// How many steps of writing these take.
    pub fn steps(&self, keeps: &[Keep]) -> usize {
        let operations: Vec<Operation<'_>> = keeps.iter().filter_map(operation).collect();
        self.append(&operations).map_or(0, |appended| appended.steps.len())
    }

    fn append(&self, operations: &[Operation<'_>]) -> Result<container::Appended, AppendError> {
        container::append(&self.file, self.format, self.order, operations)
    }

    fn carry_out(&mut self, step: &Step) {
        match step {
            Step::Write { .. } => {
                if self.synced.is_none() {
                    self.synced = Some(self.file.clone());
                }
                step.apply(&mut self.file);
                self.loose.push(step.clone());
            }
            Step::Sync => self.sync(),
            Step::Replace(bytes) => self.replace(bytes.clone()),
        }
    }

    /// Everything that was written is on the disk for good.
    pub fn sync(&mut self) {
        self.synced = None;
        self.loose.clear();
    }

    fn replace(&mut self, file: Vec<u8>) {
        self.file = file;
        self.sync();
    }

    /// Messages are files of their own, and in place before the database says so.
    fn keep(&mut self, keep: &Keep) {
        match keep {
            Keep::Record { .. } => {}
            Keep::Message { uniqueid, bytes } => self.spool.entry(uniqueid.clone()).or_default().push(bytes.clone()),
            Keep::Forget { uniqueid } => drop(self.spool.remove(uniqueid)),
        }
    }

    /// The host dies. Of what was not synced, `choose` says of each write how many of its bytes, at most so many, are there.
    pub fn crash(&mut self, choose: &mut dyn FnMut(usize) -> usize) {
        let Some(mut file) = self.synced.take() else { return };
        for step in std::mem::take(&mut self.loose) {
            let Step::Write { offset, mut bytes } = step else { continue };
            // Files grow from their end on: where what comes before is missing, this is too.
            if offset > file.len() as u64 {
                continue;
            }
            let kept = choose(bytes.len()).min(bytes.len());
            let kept = if kept < bytes.len() { whole_sectors(offset, kept, file.len()) } else { kept };
            if kept > 0 {
                bytes.truncate(kept);
                Step::Write { offset, bytes }.apply(&mut file);
            }
        }
        self.file = file;
    }
}

/// A disk writes a sector whole or not at all; only what is written behind the end of the file can end anywhere.
const SECTOR: u64 = 512;

/// How many bytes of a write that was not finished are there.
fn whole_sectors(offset: u64, kept: usize, file_len: usize) -> usize {
    let end = offset.saturating_add(kept as u64);
    if end > file_len as u64 {
        return kept;
    }
    let end = end.saturating_sub(end.checked_rem(SECTOR).unwrap_or_default());
    usize::try_from(end.saturating_sub(offset)).unwrap_or_default()
}

fn operation(keep: &Keep) -> Option<Operation<'_>> {
    match keep {
        Keep::Record { key, value: Some(value) } => Some(Operation::Store { key, value }),
        Keep::Record { key, value: None } => Some(Operation::Delete { key }),
        Keep::Message { .. } | Keep::Forget { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: Option<&str>) -> Keep {
        Keep::Record { key: key.into(), value: value.map(Into::into) }
    }

    #[test]
    fn a_crash_at_any_step_leaves_the_state_before_or_after() {
        for format in [Format::Skiplist, Format::Twoskip, Format::Flat] {
            let mut disk = Disk::empty(format);
            assert_eq!(disk.store(&[record("a", Some("1")), record("b", Some("2"))], usize::MAX), Ok(true));
            let before = disk.records();
            let change = [record("a", None), record("c", Some("3"))];
            let mut whole = disk.clone();
            assert_eq!(whole.store(&change, usize::MAX), Ok(true));
            let after = whole.records();
            assert_ne!(before, after);
            for steps in 0..=disk.steps(&change) {
                for share in [0, 1, 2] {
                    let mut dying = disk.clone();
                    dying.store(&change, steps).unwrap();
                    dying.crash(&mut |len| len * share / 2);
                    dying.mend().unwrap();
                    let left = dying.records();
                    assert!(left == before || left == after, "{format}: {steps} steps: {left:?}");
                    assert_eq!(dying.store(&[record("d", Some("4"))], usize::MAX), Ok(true));
                }
            }
        }
    }
}
