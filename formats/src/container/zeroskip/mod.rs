//! The zeroskip room: a directory of logs and sorted files; see `FORMAT.md` beside this file. Read only.

mod carve;
mod directory;
mod layout;
mod live;
mod log;
pub mod rules;
mod scan;
mod tiles;
mod verify;

pub use directory::{DOT_NAME, gather, is_name};

use super::{Carved, CyrusOutcome, Database, Depth, Format, KeyOrder, OrderTally, Record, Transaction, View};
use crate::finding::Sink;
use crate::image::Parts;
use crate::tile::{Field, Tile, Value};

/// A zeroskip database.
#[derive(Clone, Debug)]
pub struct Db<'a> {
    directory: directory::Directory<'a>,
}

impl<'a> Db<'a> {
    /// The database that consists of `parts`, in the order of [`gather`]; a single part is one of its data files.
    pub fn new(parts: Parts<'a>) -> Self {
        Db { directory: directory::Directory::new(parts) }
    }

    fn records(&self, offsets: &[u64]) -> Vec<Record<'a>> {
        offsets.iter().filter_map(|&at| self.directory.record(at)).collect()
    }
}

impl<'a> Database<'a> for Db<'a> {
    fn format(&self) -> Format {
        Format::Zeroskip
    }

    fn facts(&self) -> Vec<Field<'a>> {
        let mut facts = Vec::new();
        if let Some((part, Some(dot))) = &self.directory.dot {
            facts.extend(tiles::dot_fields(dot, part.start));
        }
        for file in &self.directory.files {
            let name = if file.part.name.is_empty() { "the file" } else { &file.part.name };
            let (start, end) = file.range;
            let read = if file.superseded { ", not read" } else { "" };
            let what = format!("{name}: {}, indexes {start} to {end}{read}", file.role.as_str());
            facts.push(Field::new("file", file.part.span(), Value::Text(what.into())));
            if let Some(header) = file.header.filter(|_| self.directory.is_lone) {
                facts.extend(tiles::header_fields(&header, file.part.start));
            }
        }
        facts
    }

    fn order(&self) -> OrderTally {
        live::tally(&self.directory)
    }

    fn transactions(&self) -> Option<u64> {
        Some(log::Log::count(&self.directory))
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(&self.directory))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(&self.directory, depth, sink);
    }

    fn is_searchable(&self) -> bool {
        false
    }

    fn view<'s>(&'s self, order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(live::LiveView::new(&self.directory, order, parts))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        carve::carve(&self.directory, order)
    }

    fn log<'s>(&'s self, _order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(log::Log::new(&self.directory))
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        let (live, last) = live::live(&self.directory, order, Some(number));
        (number <= last).then(|| self.records(&live))
    }

    fn as_cyrus(&self, _order: KeyOrder) -> CyrusOutcome<'a> {
        CyrusOutcome::Refuses("Debian's Cyrus 3.6.1 is built without the zeroskip engine".into())
    }
}
