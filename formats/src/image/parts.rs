use std::borrow::Cow;

use super::{Cursor, Span};

/// One of the files that a database consists of.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// Its name, without the folder; empty when it is the only file.
    pub name: Cow<'a, str>,
    /// All its bytes.
    pub bytes: &'a [u8],
    /// Where its first byte stands in the common space of offsets.
    pub start: u64,
}

impl<'a> Part<'a> {
    /// Its bytes, read at offsets of the file itself.
    pub fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.bytes)
    }

    /// The whole file in the common space of offsets.
    pub fn span(&self) -> Span {
        Span::at(self.start, self.bytes.len() as u64)
    }
}

/// The files of one database, one behind the other in one space of offsets: the spans of its tiles, records and findings
/// are spans of that space. A database of a single file is the usual case, where both spaces are the same.
#[derive(Clone, Debug, Default)]
pub struct Parts<'a> {
    parts: Vec<Part<'a>>,
}

impl<'a> Parts<'a> {
    /// The one file that consists of `bytes`.
    pub fn one(bytes: &'a [u8]) -> Self {
        Parts { parts: vec![Part { name: Cow::Borrowed(""), bytes, start: 0 }] }
    }

    /// Adds a file behind those that are there.
    pub fn push(&mut self, name: impl Into<Cow<'a, str>>, bytes: &'a [u8]) {
        self.parts.push(Part { name: name.into(), bytes, start: self.len() });
    }

    /// The files in the order of their offsets.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Part<'a>> + ExactSizeIterator {
        self.parts.iter()
    }

    /// The first file: the database itself where the others only stand beside it.
    pub fn first(&self) -> Part<'a> {
        let none = || Part { name: Cow::Borrowed(""), bytes: Default::default(), start: 0 };
        self.parts.first().cloned().unwrap_or_else(none)
    }

    /// Length of all files together, in bytes.
    pub fn len(&self) -> u64 {
        self.parts.last().map_or(0, |last| last.span().end)
    }

    /// Whether there is no byte in any file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file that an offset lies in.
    pub fn at(&self, offset: u64) -> Option<&Part<'a>> {
        self.parts.iter().find(|part| part.span().contains(offset))
    }

    /// The bytes of `span`; `None` unless they all lie in one file.
    pub fn span(&self, span: Span) -> Option<&'a [u8]> {
        let part = self.at(span.start)?;
        part.cursor().bytes(span.start.checked_sub(part.start)?, span.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_share_one_space_of_offsets() {
        let mut parts = Parts::default();
        parts.push("a", b"0123");
        parts.push("b", b"");
        parts.push("c", b"45");
        assert_eq!(parts.len(), 6);
        assert_eq!(parts.at(4).map(|part| part.name.as_ref()), Some("c"));
        assert_eq!(parts.span(Span::new(4, 6)), Some(&b"45"[..]));
        assert_eq!(parts.span(Span::new(3, 5)), None);
        assert_eq!(parts.at(6).map(|part| part.start), None);
    }
}
