use std::fmt;

/// A range of bytes in a file: `start` inclusive, `end` exclusive, both file offsets in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte; never less than `start`.
    pub end: u64,
}

impl Span {
    /// The bytes from `start` up to `end`; empty when `end` lies before `start`.
    pub fn new(start: u64, end: u64) -> Self {
        Span { start, end: end.max(start) }
    }

    /// `len` bytes from `start` on.
    pub fn at(start: u64, len: u64) -> Self {
        Span { start, end: start.saturating_add(len) }
    }

    /// Number of bytes.
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether it holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether `offset` is one of its bytes.
    pub fn contains(self, offset: u64) -> bool {
        self.start <= offset && offset < self.end
    }

    /// Whether the two share a byte.
    pub fn overlaps(self, other: Span) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:X}-0x{:X}", self.start, self.end)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
