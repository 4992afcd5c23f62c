use byteorder::{BigEndian, ByteOrder, LittleEndian};

use super::Span;

/// Reads integers and byte strings at file offsets; every read is bounds-checked, none can panic.
///
/// This is the only place of the crate that turns an offset into bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor over a whole file.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes }
    }

    /// The file's length in bytes.
    #[inline]
    pub fn len(self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether the file has no bytes.
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// All bytes of the file.
    pub fn all(self) -> &'a [u8] {
        self.bytes
    }

    /// `len` bytes at `offset`; `None` if they do not all lie in the file.
    #[inline]
    pub fn bytes(self, offset: u64, len: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.bytes.get(start..end)
    }

    /// The bytes of `span`; `None` if they do not all lie in the file.
    pub fn span(self, span: Span) -> Option<&'a [u8]> {
        self.bytes(span.start, span.len())
    }

    /// The bytes from `offset` to the end of the file; empty behind it.
    pub fn rest(self, offset: u64) -> &'a [u8] {
        usize::try_from(offset).ok().and_then(|start| self.bytes.get(start..)).unwrap_or_default()
    }

    /// The byte at `offset`.
    #[inline]
    pub fn u8(self, offset: u64) -> Option<u8> {
        self.bytes(offset, 1).and_then(|b| b.first().copied())
    }

    /// Big-endian u16 at `offset`.
    #[inline]
    pub fn be_u16(self, offset: u64) -> Option<u16> {
        self.bytes(offset, 2).map(BigEndian::read_u16)
    }

    /// Big-endian u32 at `offset`.
    #[inline]
    pub fn be_u32(self, offset: u64) -> Option<u32> {
        self.bytes(offset, 4).map(BigEndian::read_u32)
    }

    /// Big-endian u64 at `offset`.
    #[inline]
    pub fn be_u64(self, offset: u64) -> Option<u64> {
        self.bytes(offset, 8).map(BigEndian::read_u64)
    }

    /// Little-endian u16 at `offset`.
    #[inline]
    pub fn le_u16(self, offset: u64) -> Option<u16> {
        self.bytes(offset, 2).map(LittleEndian::read_u16)
    }

    /// Little-endian u32 at `offset`.
    #[inline]
    pub fn le_u32(self, offset: u64) -> Option<u32> {
        self.bytes(offset, 4).map(LittleEndian::read_u32)
    }

    /// Little-endian u64 at `offset`.
    #[inline]
    pub fn le_u64(self, offset: u64) -> Option<u64> {
        self.bytes(offset, 8).map(LittleEndian::read_u64)
    }
}

/// `n` rounded up to a multiple of `step` (a power of two); `None` on overflow.
#[inline]
pub fn round_up(n: u64, step: u64) -> Option<u64> {
    n.checked_add(step - 1).map(|sum| sum & !(step - 1))
}
