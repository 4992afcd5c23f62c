//! twoskip: header, DUMMY, records in the order of time, COMMITs between them. See `FORMAT.md` beside this file.

mod append;
mod carve;
mod cyrus;
mod graph;
pub mod layout;
mod live;
mod log;
mod replay;
pub mod rules;
mod scan;
mod survey;
mod tiles;
mod tree;
mod verify;
mod view;
pub mod writer;

pub use append::append;
use layout::{DUMMY_OFFSET, Header, Type};
use scan::Heads;
use view::{File, List};

use super::{
    Carved, CyrusOutcome, Database, Depth, Format, Harvest, KeyOrder, OrderTally, Proving, Record, Transaction, View,
};
use crate::finding::Sink;
use crate::image::Cursor;
use crate::tile::{Field, Tile};

/// A file opened as twoskip, whatever it holds.
#[derive(Clone, Copy)]
pub struct Db<'a> {
    file: File<'a>,
}

impl<'a> Db<'a> {
    /// Opens a file's bytes. Reads the header; if that can't be believed, looks for the last COMMIT.
    pub fn new(bytes: &'a [u8]) -> Self {
        let cursor = Cursor::new(bytes);
        Db { file: survey::quick_file(cursor) }
    }
}

impl<'a> Database<'a> for Db<'a> {
    fn format(&self) -> Format {
        Format::Twoskip
    }

    fn facts(&self) -> Vec<Field<'a>> {
        Header::decode(self.file.cursor).map(|header| tiles::header_fields(&header)).unwrap_or_default()
    }

    fn order(&self) -> OrderTally {
        verify::order(self.file)
    }

    fn transactions(&self) -> Option<u64> {
        let File { cursor, limit, .. } = self.file;
        let begin = log::repack_end(cursor, Header::decode(cursor).as_ref(), limit).unwrap_or(DUMMY_OFFSET);
        let heads = Heads::new(cursor, begin, limit);
        Some(heads.filter(|head| head.kind == Type::Commit).count() as u64)
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(self.file.cursor))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(self.file, depth, sink);
    }

    fn view<'s>(&'s self, order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(List::new(self.file, order, parts))
    }

    fn proving<'s>(&'s self, parts: usize) -> Option<Box<dyn Proving<'a> + 's>> {
        Some(Box::new(verify::ProvingWalk::new(self.file, parts)?))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        self.harvest(order).into()
    }

    fn harvest(&self, order: KeyOrder) -> Harvest<'a> {
        carve::carve(self.file.cursor, order)
    }

    fn log<'s>(&'s self, order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(log::Log::new(self.file.cursor, order, true))
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        log::Log::new(self.file.cursor, order, false).state_at(number)
    }

    fn as_cyrus(&self, order: KeyOrder) -> CyrusOutcome<'a> {
        cyrus::as_cyrus(self.file.cursor, order)
    }
}
