//! The skiplist room: Cyrus 2.1 to today, default for mailboxes.db from 2.2 to 2.4.
#![doc = include_str!("FORMAT.md")]

mod append;
mod bits;
mod careful;
mod carve;
mod cyrus;
mod graph;
mod header;
pub mod layout;
mod links;
mod lives;
mod log;
mod quick;
mod replay;
pub mod rules;
#[cfg(test)]
#[path = "../../../tests/common/skiplist_sample.rs"]
mod sample;
mod scan;
mod survey;
mod tiles;
mod verify;
mod view;
mod writer;

pub use append::append;
pub use scan::{Item, Scan};
pub(super) use writer::fresh;
pub use writer::{Options, WriteError, Written, write};

use std::sync::OnceLock;

use survey::Survey;

use crate::container::{
    Carved, CyrusOutcome, Database, Depth, Format, Harvest, KeyOrder, OrderTally, Proving, Record, Transaction, View,
};
use crate::finding::Sink;
use crate::image::{Cursor, Span};
use crate::tile::{Field, Tile, Value};

/// A file read as a skiplist.
pub struct Db<'a> {
    cursor: Cursor<'a>,
    /// Made when first asked for.
    survey: OnceLock<Survey<'a>>,
}

impl<'a> Db<'a> {
    /// Opens a file's bytes, whatever they are.
    pub fn new(bytes: &'a [u8]) -> Self {
        Db { cursor: Cursor::new(bytes), survey: OnceLock::new() }
    }

    fn survey(&self) -> &Survey<'a> {
        self.survey.get_or_init(|| Survey::new(self.cursor))
    }
}

impl<'a> Database<'a> for Db<'a> {
    fn format(&self) -> Format {
        Format::Skiplist
    }

    fn facts(&self) -> Vec<Field<'a>> {
        let mut facts = tiles::header_fields(self.cursor);
        facts.retain(|field| field.name != "magic");
        if let Some(header) = layout::Header::decode(self.cursor) {
            let log = Span::new(u64::from(header.logstart).min(self.cursor.len()), self.cursor.len());
            facts.push(Field::new("log_len", log, Value::Int(log.len())));
        }
        facts
    }

    fn order(&self) -> OrderTally {
        view::List::new(self.cursor).tally().unwrap_or_else(|| self.survey().tally)
    }

    fn transactions(&self) -> Option<u64> {
        Some(Scan::new(self.cursor).filter(|item| matches!(item, Item::Commit(_))).count() as u64)
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(self.cursor))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(self.cursor, depth, sink);
    }

    fn view<'s>(&'s self, order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(view::PointerView::new(view::List::new(self.cursor), order, parts))
    }

    fn proving<'s>(&'s self, parts: usize) -> Option<Box<dyn Proving<'a> + 's>> {
        Some(Box::new(verify::ProvingWalk::new(self.cursor, parts)?))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        self.harvest(order).into()
    }

    fn harvest(&self, order: KeyOrder) -> Harvest<'a> {
        carve::carve(self.cursor, order, self.survey())
    }

    fn log<'s>(&'s self, order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(log::Log::new(self.cursor, order))
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        log::at(self.cursor, number, order)
    }

    fn as_cyrus(&self, order: KeyOrder) -> CyrusOutcome<'a> {
        cyrus::as_cyrus(self.cursor, order)
    }
}
