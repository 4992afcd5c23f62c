//! The SQL room: an SQLite file with a table of keys and values; see `FORMAT.md` beside this file. Read only.

mod carve;
mod layout;
pub mod rules;
mod scan;
mod tiles;
mod verify;
mod view;

use super::{Carved, CyrusOutcome, Database, Depth, Format, KeyOrder, OrderTally, Record, Transaction, View};
use crate::finding::Sink;
use crate::image::{Cursor, Parts};
use crate::tile::{Field, Tile, Value};

/// An SQLite file.
#[derive(Clone, Debug)]
pub struct Db<'a> {
    parts: Parts<'a>,
    file: scan::File<'a>,
}

impl<'a> Db<'a> {
    /// The database in the first of `parts`; the others are the journal and the write-ahead log beside it.
    pub fn new(parts: Parts<'a>) -> Self {
        let file = scan::File::new(Cursor::new(parts.first().bytes));
        Db { parts, file }
    }
}

impl<'a> Database<'a> for Db<'a> {
    fn format(&self) -> Format {
        Format::Sql
    }

    fn facts(&self) -> Vec<Field<'a>> {
        let mut facts = self.file.header.map(|header| tiles::fields(&header)).unwrap_or_default();
        if let Some(table) = &self.file.table {
            let span = self.file.page_span(table.root);
            facts.push(Field::new("table", span, Value::Text(table.name.clone().into())));
        }
        facts
    }

    /// Rows stand in no order; they are read in that of their bytes, as Cyrus asks for them.
    fn order(&self) -> OrderTally {
        OrderTally::default()
    }

    fn transactions(&self) -> Option<u64> {
        None
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(&self.file, &self.parts))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(&self.file, &self.parts, depth, sink);
    }

    fn is_searchable(&self) -> bool {
        false
    }

    fn view<'s>(&'s self, order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(view::RowView::new(&self.file, order, parts))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        carve::carve(&self.file, order)
    }

    fn remains(&self, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        carve::remains(&self.file, visit);
    }

    fn log<'s>(&'s self, _order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(std::iter::empty())
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        let live = || self.carve(order).kept.into_iter().map(|kept| kept.record).collect();
        (number == 0).then(live)
    }

    fn as_cyrus(&self, order: KeyOrder) -> CyrusOutcome<'a> {
        match &self.file.table {
            Some(_) => CyrusOutcome::Opens(self.carve(order).kept.into_iter().map(|kept| kept.record).collect()),
            None => CyrusOutcome::Refuses("Cyrus finds no table of its own in the file".into()),
        }
    }
}
