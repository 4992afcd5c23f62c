//! The LMDB room: a tree of pages that are never written twice in a row; see `FORMAT.md` beside this file. Read only, and
//! without the library, which trusts what it reads.

mod carve;
mod layout;
mod log;
pub mod rules;
mod scan;
mod tiles;
mod verify;
mod view;

use super::{Carved, CyrusOutcome, Database, Depth, Format, KeyOrder, OrderTally, Record, Transaction, View};
use crate::finding::Sink;
use crate::image::Cursor;
use crate::tile::{Field, Tile};

/// An LMDB file.
#[derive(Clone, Copy, Debug)]
pub struct Db<'a> {
    env: scan::Env<'a>,
}

impl<'a> Db<'a> {
    /// The file that consists of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Db { env: scan::Env::new(Cursor::new(bytes)) }
    }
}

impl<'a> Database<'a> for Db<'a> {
    fn format(&self) -> Format {
        Format::Lmdb
    }

    fn facts(&self) -> Vec<Field<'a>> {
        let base = |page| self.env.page_span(page, 1).start;
        self.env.current().map(|meta| tiles::fields(&meta, base(meta.page))).unwrap_or_default()
    }

    fn order(&self) -> OrderTally {
        view::tally(&self.env)
    }

    fn transactions(&self) -> Option<u64> {
        self.env.current().map(|_| u64::from(self.env.previous().is_some()))
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(self.env))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(&self.env, depth, sink);
    }

    fn is_searchable(&self) -> bool {
        false
    }

    fn view<'s>(&'s self, _order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(view::LeafView::new(self.env, parts))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        carve::carve(&self.env, order)
    }

    fn remains(&self, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        carve::remains(&self.env, visit);
    }

    fn log<'s>(&'s self, order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(log::last(&self.env, order).into_iter())
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        let before = log::before(&self.env, order);
        let now = || log::sorted(view::records(&self.env, self.env.current()), order);
        match (number, before) {
            (0, Some(before)) => Some(before),
            (0, None) | (1, Some(_)) => Some(now()),
            _ => None,
        }
    }

    fn as_cyrus(&self, _order: KeyOrder) -> CyrusOutcome<'a> {
        CyrusOutcome::Refuses("Cyrus 3.2 and later have no lmdb engine".into())
    }
}
