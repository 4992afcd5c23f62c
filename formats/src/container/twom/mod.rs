//! The twom room: Cyrus 3.13 and later.
#![doc = include_str!("FORMAT.md")]

mod careful;
mod carve;
mod chain;
mod cyrus;
mod doubt;
mod file;
mod graph;
mod header;
pub mod layout;
mod log;
mod proven;
mod quick;
pub mod rules;
mod scan;
mod tiles;
mod verify;
mod versions;
mod view;
mod writer;

pub(super) use writer::fresh;
pub use writer::{Options, uuid, write};

use self::file::File;
use super::{
    Carved, CyrusOutcome, Database, Depth, Format, Harvest, KeyOrder, OrderTally, Proving, Record, Transaction, View,
};
use crate::finding::Sink;
use crate::tile::{Field, Tile};

/// A file read as twom, whatever it holds.
pub struct Db<'a> {
    file: File<'a>,
}

impl<'a> Db<'a> {
    /// Opens a file's bytes. Reads the header; if that can't be believed, looks for the last COMMIT.
    pub fn new(bytes: &'a [u8]) -> Self {
        Db { file: File::open(bytes) }
    }
}

impl<'a> Database<'a> for Db<'a> {
    fn format(&self) -> Format {
        Format::Twom
    }

    fn facts(&self) -> Vec<Field<'a>> {
        tiles::header_fields(&self.file)
    }

    fn order(&self) -> OrderTally {
        self.file.tally()
    }

    fn transactions(&self) -> Option<u64> {
        Some(log::transactions(&self.file))
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(&self.file))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(&self.file, depth, sink);
    }

    fn view<'s>(&'s self, order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(view::List::new(self.file, order, parts))
    }

    fn proving<'s>(&'s self, parts: usize) -> Option<Box<dyn Proving<'a> + 's>> {
        Some(Box::new(verify::ProvingWalk::new(&self.file, parts)?))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        self.harvest(order).into()
    }

    fn harvest(&self, order: KeyOrder) -> Harvest<'a> {
        carve::carve(&self.file, order)
    }

    fn log<'s>(&'s self, _order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(log::Log::new(&self.file))
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        log::at(&self.file, number, order)
    }

    fn as_cyrus(&self, _order: KeyOrder) -> CyrusOutcome<'a> {
        cyrus::as_cyrus(&self.file)
    }
}
