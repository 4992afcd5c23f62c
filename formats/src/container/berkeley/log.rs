//! The log files of an environment, as Berkeley DB 5.3 writes them: which committed changes of a database they hold.

use std::collections::{BTreeSet, HashMap};

use super::layout::{Endian, META_LEN, sum};
use super::scan::File;
use crate::image::{Cursor, Part, Parts, Span};

/// Magic of a log file, behind the head of its first record.
const MAGIC: u32 = 0x0004_0988;
/// Version of the log whose records are read: Berkeley DB 5.3.
pub const VERSION: u32 = 19;
/// Bytes of a record in front of its body: offset of the record in front of it, length, sum.
const HEAD_LEN: u64 = 12;
/// Most zeros at the end of a file that are made good: its preallocated end may have been cut off when it was copied.
const MOST_CUT: u64 = 64;

/// Most kinds of records that are told apart although they are not understood.
const MOST_KINDS: usize = 32;

/// Kinds of records.
mod kind {
    pub const REGISTER: u32 = 2;
    pub const COMMIT: u32 = 10;
    pub const CHILD: u32 = 12;
    pub const ADD_REMOVE: u32 = 41;
    pub const BIG: u32 = 43;
    pub const FREE: u32 = 50;
    pub const MARK_DELETED: u32 = 57;
    pub const REPLACE: u32 = 58;
    pub const SPLIT: u32 = 62;
    /// Checkpoints, allocation of pages, files made and renamed: they change no record.
    pub const HARMLESS: [u32; 10] = [11, 13, 14, 47, 48, 49, 143, 144, 145, 146];
}

/// A log file.
#[derive(Clone, Debug)]
pub struct LogFile<'a> {
    /// The file.
    pub part: Part<'a>,
    /// Its number, by its name.
    pub number: u32,
    /// Order of bytes and version, if it begins like a log file.
    pub version: Option<(Endian, u32)>,
}

/// A record of a log file.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its bytes.
    pub span: Span,
    /// Log file and offset: where pages say they were changed last.
    pub lsn: (u32, u32),
    /// What kind it is.
    pub kind: u32,
    /// Its transaction; 0 for none.
    pub txn: u32,
    /// What follows the transaction and the place of its record in front of this one.
    body: &'a [u8],
    /// Where that stands.
    body_at: u64,
}

/// A change of a page.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// An item comes to a place in the index, or goes from it.
    AddRemove {
        /// Page.
        page: u32,
        /// Type of the page.
        page_type: u8,
        /// Place in the index.
        index: u32,
        /// Whether it comes.
        add: bool,
        /// The item's head, or the whole item; empty for plain data.
        head: &'a [u8],
        /// Its data.
        data: &'a [u8],
    },
    /// The middle of an item's data is another.
    Replace {
        /// Page.
        page: u32,
        /// Place in the index.
        index: u32,
        /// The middle as it was.
        old: &'a [u8],
        /// The middle as it is.
        new: &'a [u8],
        /// Bytes in front of it that stay.
        prefix: u32,
        /// Bytes behind it that stay.
        suffix: u32,
    },
    /// The value behind a key is marked deleted.
    MarkDeleted {
        /// Page.
        page: u32,
        /// Place of the key in the index.
        index: u32,
    },
    /// A page becomes two.
    Split {
        /// The page with the first half.
        left: u32,
        /// The page with the other.
        right: u32,
        /// Where the second half begins in the index.
        index: u32,
        /// The page as it was.
        image: &'a [u8],
        /// Where that stands.
        image_at: u64,
    },
    /// An overflow page gets data.
    Big {
        /// Page.
        page: u32,
        /// The page in front of it in its chain; 0 for none.
        prev: u32,
        /// What is done: 3 new data, 8 more data, else it goes.
        operation: u8,
        /// The data.
        data: &'a [u8],
    },
    /// A page is freed.
    Free {
        /// Page.
        page: u32,
    },
}

impl Change<'_> {
    /// The pages that it changes first: two halves of a split, or twice the same page.
    pub fn pages(&self) -> [u32; 2] {
        match *self {
            Change::Split { left, right, .. } => [left, right],
            Change::AddRemove { page, .. }
            | Change::Replace { page, .. }
            | Change::MarkDeleted { page, .. }
            | Change::Big { page, .. }
            | Change::Free { page } => [page, page],
        }
    }
}

/// The committed changes of a database, and what else the log says.
#[derive(Clone, Debug, Default)]
pub struct History<'a> {
    /// Changes in their order.
    pub changes: Vec<(Entry<'a>, Change<'a>)>,
    /// The last record of each kind that is not understood.
    pub unknown: Vec<Entry<'a>>,
    /// Files that can't be read: another version, or no log at all.
    pub unread: Vec<Span>,
}

impl<'a> LogFile<'a> {
    fn new(part: &Part<'a>) -> Option<Self> {
        let number = part.name.rsplit_once("log.").and_then(|(_, number)| number.parse().ok())?;
        let cursor = part.cursor();
        let endian = [Endian::Little, Endian::Big].into_iter().find(|e| e.u32(cursor, HEAD_LEN) == Some(MAGIC));
        let version = endian.and_then(|e| Some((e, e.u32(cursor, HEAD_LEN.checked_add(4)?)?)));
        Some(LogFile { part: part.clone(), number, version })
    }

    /// The byte order of a file whose records are read.
    fn readable(&self) -> Option<Endian> {
        self.version.filter(|(_, version)| *version == VERSION).map(|(endian, _)| endian)
    }

    /// Its records up to the first that is not sound, the one with the magic left out.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let (cursor, base, number) = (self.part.cursor(), self.part.start, self.number);
        let endian = self.readable();
        let mut at = endian.and_then(|e| e.u32(cursor, 4)).map_or(cursor.len(), u64::from);
        std::iter::from_fn(move || {
            let (entry, end) = entry(cursor, endian?, at, base, number)?;
            at = end;
            Some(entry)
        })
    }
}

/// The log files among the files beside a database.
pub fn files<'a>(parts: &Parts<'a>) -> Vec<LogFile<'a>> {
    let mut files: Vec<LogFile<'a>> = parts.iter().skip(1).filter_map(LogFile::new).collect();
    files.sort_by_key(|file| file.number);
    files
}

/// The record at an offset of a log file, and where the next begins; `None` if none stands there with a right sum.
fn entry(cursor: Cursor<'_>, endian: Endian, at: u64, base: u64, number: u32) -> Option<(Entry<'_>, u64)> {
    let word = |n: u64| endian.u32(cursor, at.checked_add(n)?);
    let (prev, len, stored) = (word(0)?, word(4)?, word(8)?);
    let end = at.checked_add(len.into())?;
    let missing = end.saturating_sub(cursor.len());
    if u64::from(len) < HEAD_LEN + 16 || missing > MOST_CUT {
        return None;
    }
    let whole = cursor.span(Span::new(at.checked_add(HEAD_LEN)?, end.min(cursor.len())))?;
    let zeros = (0..missing).fold(sum(whole, usize::MAX, 0), |hash, _| hash.wrapping_mul(33));
    if zeros ^ prev ^ len != stored {
        return None;
    }
    let body_at = at.checked_add(HEAD_LEN + 16)?;
    let entry = Entry {
        span: Span::new(at.checked_add(base)?, end.min(cursor.len()).checked_add(base)?),
        lsn: (number, u32::try_from(at).ok()?),
        kind: word(HEAD_LEN)?,
        txn: word(HEAD_LEN + 4)?,
        body: whole.get(16..).unwrap_or_default(),
        body_at: body_at.checked_add(base)?,
    };
    Some((entry, end))
}

/// Reads the fields of a record's body one behind the other.
struct Fields<'a> {
    cursor: Cursor<'a>,
    endian: Endian,
    at: u64,
}

impl<'a> Fields<'a> {
    fn u32(&mut self) -> Option<u32> {
        let number = self.endian.u32(self.cursor, self.at)?;
        self.at = self.at.checked_add(4)?;
        Some(number)
    }

    fn skip(&mut self, words: u64) -> Option<()> {
        self.at = self.at.checked_add(words.checked_mul(4)?)?;
        Some(())
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        let bytes = self.cursor.bytes(self.at, len.into())?;
        self.at = self.at.checked_add(len.into())?;
        Some(bytes)
    }
}

/// Reads all changes of `file` from the log files, in the order in which they were made.
pub fn history<'a>(file: &File<'a>, logs: &[LogFile<'a>]) -> History<'a> {
    let mut reader =
        Reader { uid: uid(file), ours: BTreeSet::new(), pending: HashMap::new(), history: History::default() };
    for log in logs {
        let Some(endian) = log.readable() else {
            reader.history.unread.push(log.part.span());
            continue;
        };
        for entry in log.entries() {
            reader.entry(&entry, endian);
        }
    }
    let mut history = reader.history;
    history.changes.sort_by_key(|(entry, _)| entry.lsn);
    history
}

/// The identifier by which the log names the database.
fn uid<'a>(file: &File<'a>) -> &'a [u8] {
    file.cursor.bytes(52, 20).filter(|_| file.cursor.len() >= META_LEN).unwrap_or_default()
}

struct Reader<'a> {
    uid: &'a [u8],
    /// Numbers by which the log names the database at the moment.
    ours: BTreeSet<u32>,
    /// Changes of transactions that have not ended.
    pending: HashMap<u32, Vec<(Entry<'a>, Change<'a>)>>,
    history: History<'a>,
}

impl<'a> Reader<'a> {
    fn entry(&mut self, entry: &Entry<'a>, endian: Endian) {
        let mut fields = Fields { cursor: Cursor::new(entry.body), endian, at: 0 };
        match entry.kind {
            kind::REGISTER => self.register(&mut fields).unwrap_or_default(),
            kind::COMMIT => {
                // 1 commits; a transaction that is undone leaves no such record.
                let changes = self.pending.remove(&entry.txn).unwrap_or_default();
                if fields.u32() == Some(1) {
                    self.history.changes.extend(changes);
                }
            }
            kind::CHILD => {
                let child = fields.u32().and_then(|child| self.pending.remove(&child)).unwrap_or_default();
                self.pending.entry(entry.txn).or_default().extend(child);
            }
            kind if kind::HARMLESS.contains(&kind) => {}
            _ => self.change(entry, &mut fields),
        }
    }

    fn register(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        fields.skip(1)?;
        fields.bytes()?;
        let uid = fields.bytes()?;
        let number = fields.u32()?;
        match uid == self.uid {
            true => self.ours.insert(number),
            false => self.ours.remove(&number),
        };
        Some(())
    }

    fn change(&mut self, entry: &Entry<'a>, fields: &mut Fields<'a>) {
        match change(entry, fields) {
            Some((number, change)) if self.ours.contains(&number) => {
                self.pending.entry(entry.txn).or_default().push((*entry, change));
            }
            Some(_) => {}
            None => {
                self.history.unknown.retain(|other| other.kind != entry.kind);
                if self.history.unknown.len() < MOST_KINDS {
                    self.history.unknown.push(*entry);
                }
            }
        }
    }
}

/// The change of a record, with the number of the database; `None` for kinds that are not understood.
fn change<'a>(entry: &Entry<'a>, fields: &mut Fields<'a>) -> Option<(u32, Change<'a>)> {
    match entry.kind {
        kind::ADD_REMOVE => {
            let [page_type, operation, ..] = fields.u32()?.to_le_bytes();
            let (number, page, index) = (fields.u32()?, fields.u32()?, fields.u32()?);
            fields.skip(1)?;
            let (head, data) = (fields.bytes()?, fields.bytes()?);
            Some((number, Change::AddRemove { page, page_type, index, add: operation == 1, head, data }))
        }
        kind::BIG => {
            let [_, operation, ..] = fields.u32()?.to_le_bytes();
            let (number, page, prev) = (fields.u32()?, fields.u32()?, fields.u32()?);
            fields.skip(1)?;
            Some((number, Change::Big { page, prev, operation, data: fields.bytes()? }))
        }
        kind::FREE => {
            let (number, page) = (fields.u32()?, fields.u32()?);
            Some((number, Change::Free { page }))
        }
        kind::MARK_DELETED => {
            let (number, page) = (fields.u32()?, fields.u32()?);
            fields.skip(2)?;
            Some((number, Change::MarkDeleted { page, index: fields.u32()? }))
        }
        kind::REPLACE => {
            let (number, page) = (fields.u32()?, fields.u32()?);
            fields.skip(2)?;
            let index = fields.u32()?;
            fields.skip(1)?;
            let (old, new) = (fields.bytes()?, fields.bytes()?);
            let (prefix, suffix) = (fields.u32()?, fields.u32()?);
            Some((number, Change::Replace { page, index, old, new, prefix, suffix }))
        }
        kind::SPLIT => {
            let number = fields.u32()?;
            fields.skip(1)?;
            let left = fields.u32()?;
            fields.skip(2)?;
            let right = fields.u32()?;
            fields.skip(2)?;
            let index = fields.u32()?;
            fields.skip(7)?;
            let image = fields.bytes()?;
            let image_at = entry.body_at.checked_add(fields.at)?.checked_sub(image.len() as u64)?;
            Some((number, Change::Split { left, right, index, image, image_at }))
        }
        _ => None,
    }
}
