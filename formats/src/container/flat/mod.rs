//! The flat room: a text file of sorted lines, `key TAB value LF`; see `FORMAT.md` beside this file.

mod append;
mod carve;
pub mod layout;
mod proof;
pub mod rules;
mod scan;
mod tiles;
mod verify;
mod view;
pub mod writer;

use memchr::memchr;

pub use append::append;
pub use layout::Style;

use super::{Carved, CyrusOutcome, Database, Depth, Format, KeyOrder, OrderTally, Record, Transaction, View};
use crate::finding::Sink;
use crate::image::{Cursor, Span};
use crate::tile::{Field, Tile, Value};

/// How far facts look into the file.
const FACTS_LEN: u64 = 65_536;

/// A flat file.
#[derive(Clone, Copy, Debug)]
pub struct Flat<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Flat<'a> {
    /// The file that consists of `bytes`; nothing is read yet.
    pub fn new(bytes: &'a [u8]) -> Self {
        Flat { cursor: Cursor::new(bytes) }
    }
}

impl<'a> Database<'a> for Flat<'a> {
    fn format(&self) -> Format {
        Format::Flat
    }

    fn facts(&self) -> Vec<Field<'a>> {
        let head = Span::new(0, self.cursor.len().min(FACTS_LEN));
        let mut styles = scan::pieces(self.cursor, 0, head.end).filter_map(|piece| verify::style(piece.value));
        let style = match styles.next() {
            Some(Style::Raw) => "raw, as up to 2.4",
            Some(Style::Escaped) => "escaped, as since 2.5",
            None => "no line needs escaping",
        };
        let last = memchr(b'\n', self.cursor.rest(self.cursor.len().saturating_sub(1))).is_some();
        let ends = if last || self.cursor.is_empty() { "yes" } else { "no" };
        let tail = Span::new(self.cursor.len().saturating_sub(1), self.cursor.len());
        vec![
            Field::new("style", head, Value::Text(style.into())),
            Field::new("ends in LF", tail, Value::Text(ends.into())),
        ]
    }

    fn order(&self) -> OrderTally {
        let mut tally = OrderTally::default();
        let mut before: Option<scan::Piece<'a>> = None;
        for piece in scan::pieces(self.cursor, 0, self.cursor.len()).filter(|p| p.shape == scan::Shape::Record) {
            if let Some(before) = before {
                tally.push((before.key, before.line.start), (piece.key, piece.line.start));
            }
            before = Some(piece);
        }
        tally
    }

    fn transactions(&self) -> Option<u64> {
        None
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(tiles::tiles(self.cursor))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        verify::verify(self.cursor, depth, sink);
    }

    fn view<'s>(&'s self, _order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(view::FlatView::new(self.cursor, parts))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        carve::carve(self.cursor, order)
    }

    fn log<'s>(&'s self, _order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(std::iter::empty())
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        let live = || carve::carve(self.cursor, order).kept.into_iter().map(|kept| kept.record).collect();
        (number == 0).then(live)
    }

    fn as_cyrus(&self, order: KeyOrder) -> CyrusOutcome<'a> {
        carve::as_cyrus(self.cursor, order)
    }
}
