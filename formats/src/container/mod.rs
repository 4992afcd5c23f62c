//! Key/value containers, one room a format, the same doors in each.
//!
//! | door | duty |
//! |---|---|
//! | `layout` | the byte layout, written once: constants, encode and decode of heads; used by all other doors |
//! | `scan` | the file in physical order, resynchronising behind damage: what `tiles`, `log` and `verify` read |
//! | `view` | live records in key order by the file's own pointers: walk, `get`, splits for parallel walks |
//! | `log` | transactions since the last checkpoint, and the live records that replaying them leaves |
//! | `tiles` | the whole file as labelled tiles |
//! | `verify` | every rule of the room's `FORMAT.md`; where that can be, while the records are read |
//! | `writer` | sorted records in, file out: how one is placed and encoded, for `lay` to do with all of them |
//! | `append` | a transaction as the steps of writing that Cyrus takes |
//!
//! Rooms never import each other.

pub mod append;
pub mod berkeley;
mod bits;
pub mod detect;
pub mod flat;
mod harvest;
mod lay;
pub mod lmdb;
pub mod order;
pub mod pages;
mod proof;
mod proving;
mod rows;
pub mod shape;
pub mod skiplist;
pub mod sql;
pub mod twom;
pub mod twoskip;
mod write;
pub mod zeroskip;

use std::borrow::Cow;
use std::fmt;

pub use append::{AppendError, Appended, Operation, Step, append};
pub use detect::{Detection, detect, detect_named};
pub use harvest::{Crop, Harvest, Lend, Place};
pub use order::{KeyOrder, OrderTally};
pub use proof::Proof;
pub(crate) use proving::PartsSeen;
pub use proving::Proving;
pub use write::{Pair, WriteError, WriteOptions, Written, write, write_proving};

use crate::finding::Sink;
use crate::image::{Parts, Span};
use crate::text::json_usual::Usual;
use crate::tile::{Field, Tile};

/// A container or dump format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Cyrus 2.1 and later; default for mailboxes.db in 2.2 to 2.4.
    Skiplist,
    /// Cyrus 2.5 and later; default since.
    Twoskip,
    /// Sorted lines of text.
    Flat,
    /// Cyrus 3.13 and later.
    Twom,
    /// A directory; Cyrus 3.2 to 3.12.
    Zeroskip,
    /// Berkeley DB btree or hash; Cyrus 1.6 to 2.5.
    Berkeley,
    /// One file of an LMDB environment; Cyrus 3.0.
    Lmdb,
    /// An SQLite file; Cyrus 2.4 and later.
    Sql,
    /// What `cyr_dbtool … show` prints.
    Show,
    /// `ctl_mboxlist -d` of 3.6 and later.
    Json,
    /// `ctl_mboxlist -d` of 2.0 to 3.4.
    Text,
}

impl Format {
    /// All formats, in the order help lists them.
    pub const ALL: [Format; 11] = [
        Format::Skiplist,
        Format::Twoskip,
        Format::Flat,
        Format::Twom,
        Format::Zeroskip,
        Format::Berkeley,
        Format::Lmdb,
        Format::Sql,
        Format::Show,
        Format::Json,
        Format::Text,
    ];

    /// The word used by `--as`, `--to` and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Skiplist => "skiplist",
            Format::Twoskip => "twoskip",
            Format::Flat => "flat",
            Format::Twom => "twom",
            Format::Zeroskip => "zeroskip",
            Format::Berkeley => "berkeley",
            Format::Lmdb => "lmdb",
            Format::Sql => "sql",
            Format::Show => "show",
            Format::Json => "json",
            Format::Text => "text",
        }
    }

    /// Whether it is text rather than a database engine's file.
    pub fn is_dump(self) -> bool {
        matches!(self, Format::Show | Format::Json | Format::Text)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key, its value, and the bytes of the file that hold both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Key, unescaped. Borrowed from the file unless the format escapes it.
    pub key: Cow<'a, [u8]>,
    /// Value, unescaped. Borrowed from the file unless the format escapes it.
    pub value: Cow<'a, [u8]>,
    /// The whole record in the file, heads and pointers included.
    pub span: Span,
}

/// How far a verification goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Depth {
    /// The file header alone.
    Header,
    /// Every byte of the container: heads, sums, pointers, log, order.
    Structure,
    /// The same, and every record decoded.
    Full,
}

/// The live records of a file in its own order, divided into parts that can be walked side by side.
///
/// Part `i` ends where part `i + 1` starts; together they are the whole list. A walk ends early where the file can't
/// be read further; `verify` says why.
pub trait View<'a>: Send + Sync {
    /// Number of parts, at least 1.
    fn parts(&self) -> usize;
    /// Walks the records of one part in the file's own key order; the visitor answers `false` to stop.
    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool);
    /// The same, with what a JSON dump's object says where that was seen in passing.
    fn walk_dumped(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) {
        self.walk(part, &mut |record| visit(record, None));
    }
    /// The live record of `key`, found as Cyrus finds it.
    fn get(&self, key: &[u8]) -> Option<Record<'a>>;
    /// Walks the records whose key starts with `prefix`, in the file's own order; the visitor answers `false` to stop.
    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool);
}

/// A file opened as one format. Opening never fails: what is wrong with the file is what [`verify`](Database::verify) says.
pub trait Database<'a>: Send + Sync {
    /// Its format.
    fn format(&self) -> Format;
    /// What its header says, and what else is known without reading it all: version, generation, times, sizes.
    fn facts(&self) -> Vec<Field<'a>>;
    /// The order its keys stand in, found by reading them all: the tally of which comparators fit.
    fn order(&self) -> OrderTally;
    /// Number of complete transactions since the last checkpoint or repack; `None` where the format keeps none.
    fn transactions(&self) -> Option<u64>;
    /// The whole file in physical order; covers `0..len` without gap or overlap, whatever the file holds.
    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's>;
    /// Checks every rule of the format up to `depth` ([`Depth::Full`] is [`Depth::Structure`] here: records are not a
    /// container's business). Goes on after each finding.
    fn verify(&self, depth: Depth, sink: &mut Sink<'_>);
    /// Whether its keys stand in an order by which a view finds one without reading them all.
    fn is_searchable(&self) -> bool {
        true
    }
    /// Live records by the file's own pointers, as Cyrus reads them: for files that `verify` has no error for.
    /// `parts` is how many parts are wanted.
    fn view<'s>(&'s self, order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's>;
    /// A walk over its records in about `parts` parts that verifies it in the same pass; `None` where it takes more than
    /// one to tell whether it is sound, or where it can't be.
    fn proving<'s>(&'s self, parts: usize) -> Option<Box<dyn Proving<'a> + 's>> {
        let _ = parts;
        None
    }
    /// All that can be proven or plausibly read from the file, however damaged: the newest committed version of each key
    /// with its provenance, what was lost, and what was never committed. Never less than what Cyrus would read of it,
    /// nothing that was never written, no deleted record. The kept records stand in `order`.
    fn carve(&self, order: KeyOrder) -> Carved<'a>;
    /// The same, with no more than the places of the records kept where they can be read there again.
    fn harvest(&self, order: KeyOrder) -> Harvest<'a> {
        self.carve(order).into()
    }
    /// What is left of records that were deleted or replaced, in file order, where the format does not keep them in a
    /// log: bytes that nothing refers to any more. A reading, never proof.
    /// The visitor answers `false` to stop.
    fn remains(&self, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let _ = visit;
    }
    /// The transactions since the last checkpoint or repack in file order, the torn and uncommitted ones too; empty for
    /// formats that keep none. Streams: holds no more than one transaction and an index of live keys.
    fn log<'s>(&'s self, order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's>;
    /// The live records in `order` after transaction `number` of [`log`](Database::log); 0 is the state at the last
    /// checkpoint. `None` if there is no such transaction.
    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>>;
    /// What would be left if Cyrus 3.6.1 were let at the file and made it consistent.
    fn as_cyrus(&self, order: KeyOrder) -> CyrusOutcome<'a>;
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With its COMMIT.
    Committed,
    /// Damage lies inside it; its COMMIT is there.
    Damaged,
    /// The file ends, or other damage begins, before its COMMIT.
    Uncommitted,
}

/// One change of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change<'a> {
    /// A key that was not there.
    Add(Record<'a>),
    /// A new value for a key that was there.
    Replace {
        /// The record it replaces.
        old: Record<'a>,
        /// The record that replaces it.
        new: Record<'a>,
    },
    /// A key that went away.
    Delete {
        /// The bytes of the deletion itself.
        span: Span,
        /// The record that went away; `None` where it can't be known.
        old: Option<Record<'a>>,
        /// Whether `old` is what the file says rather than what was inferred beside damage.
        certain: bool,
    },
}

/// What happened between two COMMITs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction<'a> {
    /// Its number, from 1; what `--at` takes. Uncommitted transactions are numbered too.
    pub number: u64,
    /// Its bytes, the COMMIT included.
    pub span: Span,
    /// How it ended.
    pub ending: Ending,
    /// What it changed, in file order.
    pub changes: Vec<Change<'a>>,
}

/// How sure a carved record is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Confidence {
    /// Every sum the format has is right (or all its structure agrees, where it has none), it is committed, and no lost
    /// range can hold a newer version.
    Verified,
    /// Committed and newest as far as can be seen, but its own bytes can't be proven.
    Unverified,
    /// A newer version, or its deletion, may lie in a lost range.
    MaybeStale,
}

/// A record that carving kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept<'a> {
    /// The record.
    pub record: Record<'a>,
    /// How sure it is.
    pub confidence: Confidence,
}

/// A range that can't be read, and what bordered it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lost<'a> {
    /// The bytes that can't be read.
    pub span: Span,
    /// The last key read in front of it, in file order.
    pub before: Option<Cow<'a, [u8]>>,
    /// The first key read behind it, in file order.
    pub after: Option<Cow<'a, [u8]>>,
}

/// What carving a file brought up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Carved<'a> {
    /// Records kept, in key order, one a key.
    pub kept: Vec<Kept<'a>>,
    /// Ranges lost, in file order.
    pub lost: Vec<Lost<'a>>,
    /// Records of transactions that never ended, in file order.
    pub uncommitted: Vec<Record<'a>>,
}

/// What Cyrus 3.6.1 makes of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CyrusOutcome<'a> {
    /// It opens it, and this is what is left after its recovery and the first write.
    Opens(Vec<Record<'a>>),
    /// It refuses to open it.
    Refuses(String),
    /// The process dies.
    Dies(String),
}

/// Opens a file's bytes as `format`: the registry of rooms.
pub fn open(bytes: &[u8], format: Format) -> Box<dyn Database<'_> + '_> {
    open_parts(Parts::one(bytes), format)
}

/// Opens a database that consists of several files: a berkeley database, then the log files of its environment in the order
/// of their names; an SQLite file, then its journal and its write-ahead log; what [`zeroskip::gather`] makes of a directory.
/// Other formats have one file, the first.
pub fn open_parts(parts: Parts<'_>, format: Format) -> Box<dyn Database<'_> + '_> {
    let bytes = parts.first().bytes;
    match format {
        Format::Skiplist => Box::new(skiplist::Db::new(bytes)),
        Format::Twoskip => Box::new(twoskip::Db::new(bytes)),
        Format::Flat => Box::new(flat::Flat::new(bytes)),
        Format::Twom => Box::new(twom::Db::new(bytes)),
        Format::Zeroskip => Box::new(zeroskip::Db::new(parts)),
        Format::Berkeley => Box::new(berkeley::Db::new(parts)),
        Format::Lmdb => Box::new(lmdb::Db::new(bytes)),
        Format::Sql => Box::new(sql::Db::new(parts)),
        Format::Show | Format::Json | Format::Text => crate::text::open(bytes, format),
    }
}
