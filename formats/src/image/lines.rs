use memchr::memchr;

use super::Span;

/// A line of a text file, without its LF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Offset of its first byte.
    pub start: u64,
    /// Its bytes, without the LF.
    pub body: &'a [u8],
    /// Whether a LF ends it; only a file's last line can lack it.
    pub terminated: bool,
}

impl Line<'_> {
    /// Its bytes in the file, the LF included.
    pub fn span(&self) -> Span {
        Span::new(self.start, self.body_span().end.saturating_add(u64::from(self.terminated)))
    }

    /// Its bytes in the file without the LF.
    pub fn body_span(&self) -> Span {
        Span::at(self.start, self.body.len() as u64)
    }
}

/// The lines of a range of a file in file order; they cover it without gap. Nothing is copied.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    at: u64,
}

impl<'a> Lines<'a> {
    /// The lines of `bytes`, which start at offset `at` of the file.
    pub fn new(bytes: &'a [u8], at: u64) -> Self {
        Lines { rest: bytes, at }
    }

    /// Offset behind the line that was given last.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What is not yet given.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', self.rest);
        let (body, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
        let line = Line { start: self.at, body, terminated: end.is_some() };
        self.rest = rest.get(1..).unwrap_or_default();
        self.at = line.span().end;
        Some(line)
    }
}
