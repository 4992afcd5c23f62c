//! Every byte of a file with a label: tiles cover a file from 0 to its length without gap or overlap.

use std::borrow::Cow;

use crate::image::Span;

/// What a tile's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// The file header.
    Header,
    /// The list's first node, which holds only pointers.
    Dummy,
    /// The head of a page: its links, its counts, and where its items stand.
    Page,
    /// A key and its value, or a part of one that stands by itself.
    Record,
    /// A deletion.
    Delete,
    /// The end of a transaction.
    Commit,
    /// Filling that the format puts there by rule (twoskip BLANK, alignment, growth).
    Padding,
    /// Zeros where the format has none.
    Zeros,
    /// The beginning of something that the end of the file cuts off.
    Torn,
    /// Bytes that are nothing the format knows.
    Gap,
    /// A line of text that is not a record (brackets of a dump, blank lines).
    Markup,
}

impl Kind {
    /// Stable word, as printed and as given in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Header => "header",
            Kind::Dummy => "dummy",
            Kind::Page => "page",
            Kind::Record => "record",
            Kind::Delete => "delete",
            Kind::Commit => "commit",
            Kind::Padding => "padding",
            Kind::Zeros => "zeros",
            Kind::Torn => "torn",
            Kind::Gap => "gap",
            Kind::Markup => "markup",
        }
    }

    /// Whether a sound file can hold it.
    pub fn is_sound(self) -> bool {
        !matches!(self, Kind::Zeros | Kind::Torn | Kind::Gap)
    }
}

/// A field's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// A number.
    Int(u64),
    /// A file offset in bytes.
    Offset(u64),
    /// A check sum or a bit field, best read in hexadecimal.
    Hex(u64),
    /// Seconds since 1970-01-01 UTC.
    Time(u64),
    /// Bytes of the file, usually a key or a value.
    Bytes(&'a [u8]),
    /// Words of ours.
    Text(Cow<'a, str>),
}

/// A named part of a tile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Name as in the room's FORMAT.md.
    pub name: Cow<'static, str>,
    /// Where it stands.
    pub span: Span,
    /// What it says.
    pub value: Value<'a>,
}

impl<'a> Field<'a> {
    /// A field of the given name, place and value.
    pub fn new(name: impl Into<Cow<'static, str>>, span: Span, value: Value<'a>) -> Self {
        Field { name: name.into(), span, value }
    }
}

/// Names of a node's pointers in file order, where level 0 has two.
pub(crate) const POINTERS: [&str; 32] = [
    "level 0 pointer 0",
    "level 0 pointer 1",
    "level 1 pointer",
    "level 2 pointer",
    "level 3 pointer",
    "level 4 pointer",
    "level 5 pointer",
    "level 6 pointer",
    "level 7 pointer",
    "level 8 pointer",
    "level 9 pointer",
    "level 10 pointer",
    "level 11 pointer",
    "level 12 pointer",
    "level 13 pointer",
    "level 14 pointer",
    "level 15 pointer",
    "level 16 pointer",
    "level 17 pointer",
    "level 18 pointer",
    "level 19 pointer",
    "level 20 pointer",
    "level 21 pointer",
    "level 22 pointer",
    "level 23 pointer",
    "level 24 pointer",
    "level 25 pointer",
    "level 26 pointer",
    "level 27 pointer",
    "level 28 pointer",
    "level 29 pointer",
    "level 30 pointer",
];

/// A labelled span of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tile<'a> {
    /// The bytes it covers.
    pub span: Span,
    /// What they are.
    pub kind: Kind,
    /// One line for a person: `ADD level 2 user.bob`.
    pub label: Cow<'a, str>,
    /// Its parts, in file order; they need not cover it.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Tile<'a> {
    /// A tile without fields.
    pub fn new(span: Span, kind: Kind, label: impl Into<Cow<'a, str>>) -> Self {
        Tile { span, kind, label: label.into(), fields: Vec::new() }
    }
}

/// Makes a sequence of tiles complete: fills what they leave out with [`Kind::Gap`], clips what overlaps
/// with the fields that are clipped off, and ends at `len`.
///
/// A room's own walk should already cover the file; this holds it to that, whatever the walk does.
pub struct Tiler<'a, I: Iterator<Item = Tile<'a>>> {
    inner: I,
    pending: Option<Tile<'a>>,
    at: u64,
    len: u64,
}

impl<'a, I: Iterator<Item = Tile<'a>>> Tiler<'a, I> {
    /// Completes `inner` to cover `0..len`.
    pub fn new(inner: I, len: u64) -> Self {
        Tiler { inner, pending: None, at: 0, len }
    }

    fn emit(&mut self, mut tile: Tile<'a>) -> Tile<'a> {
        let span = Span::new(self.at, tile.span.end.min(self.len));
        if span != tile.span {
            tile.fields.retain(|field| span.start <= field.span.start && field.span.end <= span.end);
            tile.span = span;
        }
        self.at = span.end;
        tile
    }
}

impl<'a, I: Iterator<Item = Tile<'a>>> Iterator for Tiler<'a, I> {
    type Item = Tile<'a>;

    fn next(&mut self) -> Option<Tile<'a>> {
        if self.at >= self.len {
            return None;
        }
        loop {
            let Some(tile) = self.pending.take().or_else(|| self.inner.next()) else {
                let rest = Tile::new(Span::new(self.at, self.len), Kind::Gap, "unexplained bytes");
                return Some(self.emit(rest));
            };
            if tile.span.end <= self.at || tile.span.start >= self.len {
                continue;
            }
            if tile.span.start > self.at {
                let gap = Tile::new(Span::new(self.at, tile.span.start), Kind::Gap, "unexplained bytes");
                self.pending = Some(tile);
                return Some(self.emit(gap));
            }
            return Some(self.emit(tile));
        }
    }
}
