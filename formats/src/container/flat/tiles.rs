//! The whole file as labelled tiles, a line a tile.

use std::borrow::Cow;
use std::ops::Range;

use super::scan::{self, Piece, Shape};
use crate::image::{Cursor, Span};
use crate::tile::{Field, Kind, Tile, Tiler, Value};

/// The tiles of the file in file order.
pub fn tiles<'a>(cursor: Cursor<'a>) -> impl Iterator<Item = Tile<'a>> {
    let lines = scan::pieces(cursor, 0, cursor.len());
    Tiler::new(lines.flat_map(Parts::new), cursor.len())
}

/// The tiles of one line: one, but for lines with NUL bytes.
enum Parts<'a> {
    One(std::option::IntoIter<Tile<'a>>),
    Runs(Piece<'a>, Range<usize>),
}

impl<'a> Parts<'a> {
    fn new(piece: Piece<'a>) -> Self {
        match piece.shape {
            Shape::Zeroed => Parts::Runs(piece, 0..piece.line.body.len()),
            _ => Parts::One(Some(line(&piece)).into_iter()),
        }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Tile<'a>;

    fn next(&mut self) -> Option<Tile<'a>> {
        match self {
            Parts::One(tile) => tile.next(),
            Parts::Runs(piece, range) => {
                let body = piece.line.body.get(range.clone())?;
                let (zero, run) = scan::runs(body).next()?;
                let run = range.start..range.start.saturating_add(run.end);
                range.start = run.end;
                Some(fragment(piece, zero, &run))
            }
        }
    }
}

/// A run of zeros, or what is left of a line beside it.
fn fragment<'a>(piece: &Piece<'a>, zero: bool, run: &Range<usize>) -> Tile<'a> {
    let mut span = piece.part(run);
    if run.end == piece.line.body.len() {
        span = Span::new(span.start, piece.line.span().end);
    }
    match zero {
        true => Tile::new(span, Kind::Zeros, "zeros"),
        false if run.start == 0 => Tile::new(span, Kind::Torn, "the beginning of a line"),
        false => Tile::new(span, Kind::Gap, "a piece of a line"),
    }
}

fn line<'a>(piece: &Piece<'a>) -> Tile<'a> {
    let span = piece.line.span();
    match piece.shape {
        Shape::NoTab if piece.line.body.is_empty() => Tile::new(span, Kind::Gap, "an empty line"),
        Shape::NoTab => Tile::new(span, Kind::Gap, "a line without TAB"),
        Shape::NoKey => Tile::new(span, Kind::Gap, "a line without key"),
        Shape::Torn => Tile { fields: fields(piece), ..Tile::new(span, Kind::Torn, "a line without LF") },
        Shape::Record | Shape::Zeroed => Tile { fields: fields(piece), ..Tile::new(span, Kind::Record, label(piece)) },
    }
}

fn label<'a>(piece: &Piece<'a>) -> Cow<'a, str> {
    String::from_utf8_lossy(piece.key)
}

fn fields<'a>(piece: &Piece<'a>) -> Vec<Field<'a>> {
    let key = Field::new("key", piece.key_span(), Value::Bytes(piece.key));
    let value = piece.has_tab().then(|| Field::new("value", piece.value_span(), Value::Bytes(piece.value)));
    std::iter::once(key).chain(value).collect()
}
