//! Transactions of the log: those of the files that are not packed, the oldest first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use super::directory::{Directory, File, Role};
use super::layout::{Checked, Entry};
use super::live;
use super::scan::{Item, Scan};
use crate::container::{Change, Ending, KeyOrder, Transaction};
use crate::image::Span;

/// Reads the log one transaction after the other; keeps the offsets of live records by their keys.
pub struct Log<'d, 'a> {
    directory: &'d Directory<'a>,
    files: Vec<&'d File<'a>>,
    scan: Option<Scan<'a>>,
    live: BTreeMap<&'a [u8], u64>,
    number: u64,
}

impl<'d, 'a> Log<'d, 'a> {
    /// The log of a database.
    pub fn new(directory: &'d Directory<'a>) -> Self {
        let mut files: Vec<_> = directory.counting().filter(|file| file.role != Role::Packed).collect();
        files.reverse();
        let (packed, _) = live::live(directory, KeyOrder::Unsigned, Some(0));
        let live = packed.into_iter().map(|at| (directory.key(at), at)).collect();
        Log { directory, files, scan: None, live, number: 0 }
    }

    /// Number of transactions that ended with their commits.
    pub fn count(directory: &Directory<'a>) -> u64 {
        let logs = directory.counting().filter(|file| file.role != Role::Packed);
        let commits = logs.flat_map(File::scan).filter(|item| matches!(item, Item::Commit(..)));
        commits.count() as u64
    }

    /// The next transaction of the file being read; `None` at its end.
    fn transaction(&mut self) -> Option<Transaction<'a>> {
        let mut span: Option<Span> = None;
        let mut entries = Vec::new();
        let mut damaged = false;
        let mut ending = None;
        for item in self.scan.as_mut()? {
            let at = item.span();
            span = Some(Span::new(span.map_or(at.start, |span| span.start), at.end));
            match item {
                Item::Entry(placed) => entries.push(placed),
                Item::Commit(_, _, _, checked) => {
                    let right = checked != Checked::Wrong && !damaged;
                    ending = Some(if right { Ending::Committed } else { Ending::Damaged });
                    break;
                }
                _ => damaged |= item.is_damage(),
            }
        }
        let ending = ending.unwrap_or(Ending::Uncommitted);
        let changes = entries.iter().filter_map(|placed| self.change(placed.entry, placed.span, ending)).collect();
        let span = span?;
        self.number = self.number.saturating_add(1);
        Some(Transaction { number: self.number, span, ending, changes })
    }

    fn change(&mut self, entry: Entry<'a>, span: Span, ending: Ending) -> Option<Change<'a>> {
        let directory = self.directory;
        let old_of = |at: Option<u64>| at.and_then(|at| directory.record(at));
        match entry {
            Entry::Add { key, .. } => {
                let new = directory.record(span.start)?;
                let old = match self.live.entry(key) {
                    Slot::Vacant(_) if ending == Ending::Uncommitted => None,
                    Slot::Occupied(slot) if ending == Ending::Uncommitted => Some(*slot.get()),
                    Slot::Vacant(slot) => {
                        slot.insert(span.start);
                        None
                    }
                    Slot::Occupied(mut slot) => Some(slot.insert(span.start)),
                };
                Some(old_of(old).map_or(Change::Add(new.clone()), |old| Change::Replace { old, new }))
            }
            Entry::Delete { key } => {
                let old = match ending {
                    Ending::Uncommitted => self.live.get(key).copied(),
                    _ => self.live.remove(key),
                };
                Some(Change::Delete { span, old: old_of(old), certain: true })
            }
            Entry::Commit(_) => None,
        }
    }
}

impl<'a> Iterator for Log<'_, 'a> {
    type Item = Transaction<'a>;

    fn next(&mut self) -> Option<Transaction<'a>> {
        loop {
            if let Some(transaction) = self.transaction() {
                return Some(transaction);
            }
            self.scan = Some(self.files.pop()?.scan());
        }
    }
}
