//! Which files a database consists of, and which of them count.

use std::cmp::Reverse;

use super::layout::{self, Checked, Dot, Header, Host};
use super::scan::Scan;
use crate::container::Record;
use crate::image::{Cursor, Part, Parts};

/// Name of the file that says which file is active.
pub const DOT_NAME: &str = ".zsdb";
/// What the names of data files begin with.
const DATA_PREFIX: &str = "zeroskip-";

/// What the name of a data file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named<'n> {
    /// Identifier of the database.
    pub uuid: &'n str,
    /// First index.
    pub start: u32,
    /// Last index; `None` for the active file, whose name has only one.
    pub end: Option<u32>,
}

impl<'n> Named<'n> {
    /// What `name` says, if it is the name of a data file.
    pub fn parse(name: &'n str) -> Option<Named<'n>> {
        let rest = name.strip_prefix(DATA_PREFIX)?;
        let (uuid, rest) = rest.split_at_checked(36)?;
        let mut numbers =
            rest.strip_prefix('-')?.split('-').map(|n| n.parse::<u32>().ok().filter(|_| !n.starts_with('+')));
        let start = numbers.next()??;
        let end = match numbers.next() {
            Some(end) => Some(end?),
            None => None,
        };
        numbers.next().is_none().then_some(Named { uuid, start, end })
    }
}

/// Whether a file of this name belongs to a zeroskip database.
pub fn is_name(name: &str) -> bool {
    name == DOT_NAME || Named::parse(name).is_some()
}

/// What a data file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Written to.
    Active,
    /// A log that is closed.
    Finalised,
    /// Sorted, with an index at its end.
    Packed,
}

impl Role {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Active => "active",
            Role::Finalised => "finalised",
            Role::Packed => "packed",
        }
    }
}

/// A data file.
#[derive(Clone, Debug)]
pub struct File<'a> {
    /// The file and its place among the others.
    pub part: Part<'a>,
    /// Its header.
    pub header: Option<Header>,
    /// What it is for.
    pub role: Role,
    /// First and last index, by the name, else by the header.
    pub range: (u32, u32),
    /// Whether it does not count: another file has all of it, or it is a packed file that was never finished.
    pub superseded: bool,
}

impl<'a> File<'a> {
    fn new(part: &Part<'a>) -> Self {
        let cursor = part.cursor();
        let header = Header::decode(cursor);
        let named = Named::parse(&part.name);
        let range = match (named, header) {
            (Some(named), _) => (named.start, named.end.unwrap_or(named.start)),
            (None, Some(header)) => (header.start, header.end),
            (None, None) => (0, 0),
        };
        let role = match named {
            _ if layout::packed_end(cursor).is_some() => Role::Packed,
            Some(Named { end: Some(end), start, .. }) if end > start => Role::Packed,
            Some(Named { end: Some(_), .. }) => Role::Finalised,
            _ if range.1 > range.0 => Role::Packed,
            _ => Role::Active,
        };
        File { part: part.clone(), header, role, range, superseded: false }
    }

    /// Its bytes.
    pub fn cursor(&self) -> Cursor<'a> {
        self.part.cursor()
    }

    /// The host that wrote it; little-endian when that is not known, as all known ones are.
    pub fn host(&self) -> Host {
        self.header.map_or(Host::Little, |header| header.host)
    }

    /// Whether it is a packed file with a right sum at its end.
    pub fn is_complete_pack(&self) -> bool {
        layout::packed_end(self.cursor()).is_some_and(|(_, placed)| {
            let layout::Entry::Commit(commit) = placed.entry else { return false };
            layout::check_commit(self.cursor(), self.host(), placed.span.start, &commit) != Checked::Wrong
        })
    }

    /// What stands in it, in physical order.
    pub fn scan(&self) -> Scan<'a> {
        Scan::new(self)
    }
}

/// The files of a database.
#[derive(Clone, Debug)]
pub struct Directory<'a> {
    /// All files.
    pub parts: Parts<'a>,
    /// `.zsdb`, and what it says.
    pub dot: Option<(Part<'a>, Option<Dot<'a>>)>,
    /// Data files, the oldest first.
    pub files: Vec<File<'a>>,
    /// Whether it is a data file by itself, not a directory.
    pub is_lone: bool,
}

impl<'a> Directory<'a> {
    /// Finds out what each of `parts` is. A single file is taken for a data file whatever its name.
    pub fn new(parts: Parts<'a>) -> Self {
        let is_lone = parts.iter().len() <= 1;
        let is_data = |part: &&Part<'a>| is_lone || Named::parse(&part.name).is_some();
        let mut files: Vec<File<'a>> = parts.iter().filter(is_data).map(File::new).collect();
        files.sort_by_key(|file| (file.range.1, Reverse(file.range.0)));
        let dot = parts.iter().find(|part| part.name == DOT_NAME && !is_lone);
        let dot = dot.map(|part| (part.clone(), Dot::decode(part.cursor())));
        mark_superseded(&mut files);
        Directory { parts, dot, files, is_lone }
    }

    /// The data files that count, the oldest first.
    pub fn counting(&self) -> impl Iterator<Item = &File<'a>> {
        self.files.iter().filter(|file| !file.superseded)
    }

    /// The entry at an offset of the common space.
    pub fn entry(&self, at: u64) -> Option<layout::Placed<'a>> {
        let part = self.parts.at(at)?;
        layout::entry(part.cursor(), at.checked_sub(part.start)?).ok()
    }

    /// The record that was added at an offset of the common space.
    pub fn record(&self, at: u64) -> Option<Record<'a>> {
        let placed = self.entry(at)?;
        let layout::Entry::Add { key, value, .. } = placed.entry else { return None };
        let span = crate::image::Span::at(at, placed.span.len());
        Some(Record { key: key.into(), value: value.into(), span })
    }

    /// The key of the addition or deletion at an offset of the common space.
    pub fn key(&self, at: u64) -> &'a [u8] {
        match self.entry(at).map(|placed| placed.entry) {
            Some(layout::Entry::Add { key, .. } | layout::Entry::Delete { key }) => key,
            _ => Default::default(),
        }
    }
}

/// A packed file that is complete stands for the files whose range lies in its own; one that is not counts for nothing
/// while they are there.
fn mark_superseded(files: &mut [File<'_>]) {
    let packs: Vec<((u32, u32), bool)> = files
        .iter()
        .filter(|file| file.role == Role::Packed)
        .map(|file| (file.range, file.is_complete_pack()))
        .collect();
    let inside = |(start, end): (u32, u32), (first, last): (u32, u32)| first <= start && end <= last;
    let sources: Vec<(u32, u32)> =
        files.iter().filter(|file| file.role != Role::Packed).map(|file| file.range).collect();
    for file in files {
        file.superseded = match file.role {
            Role::Active => false,
            Role::Finalised => packs.iter().any(|(range, complete)| *complete && inside(file.range, *range)),
            Role::Packed => {
                let larger =
                    |(range, complete): &(_, bool)| *complete && *range != file.range && inside(file.range, *range);
                let unfinished = !file.is_complete_pack() && sources.iter().any(|source| inside(*source, file.range));
                packs.iter().any(larger) || unfinished
            }
        };
    }
}

/// Puts the files of a directory in the order in which they were written: `.zsdb` first, then data files by their indexes.
pub fn gather<'a>(mut files: Vec<(String, &'a [u8])>) -> Parts<'a> {
    files.sort_by_cached_key(|(name, _)| {
        let rank = match Named::parse(name) {
            _ if name == DOT_NAME => (0, 0, Reverse(0)),
            Some(named) => (1, named.end.unwrap_or(named.start), Reverse(named.start)),
            None => (2, 0, Reverse(0)),
        };
        (rank, name.clone())
    });
    let mut parts = Parts::default();
    files.into_iter().for_each(|(name, bytes)| parts.push(name, bytes));
    parts
}
