//! The byte layout of a skiplist file, written once: constants, and how heads and records are decoded and encoded.
//!
//! All integers are big-endian u32, every structure is 4-byte aligned (`lib/cyrusdb_skiplist.c`).

use crate::container::detect::SKIPLIST_MAGIC;
use crate::image::{Cursor, Span};

/// Length of the header in bytes.
pub const HEADER_LEN: u64 = 48;
/// Offset of the DUMMY node, the list's head.
pub const DUMMY_OFFSET: u64 = HEADER_LEN;
/// Most forward pointers a node can have (`SKIPLIST_MAXLEVEL`).
pub const MAX_LEVEL: u32 = 20;
/// Offset of the first record: behind a DUMMY node of [`MAX_LEVEL`] pointers, as every release wrote it.
pub const FIRST_RECORD: u64 = 144;
/// Stands behind the last forward pointer of a node.
pub const TERMINATOR: u32 = u32::MAX;
/// The version that is in use, and its minor number.
pub const VERSION: (u32, u32) = (1, 2);
/// Shortest INORDER or ADD record in bytes: a key of up to 4 bytes, no value, one pointer.
pub const MIN_RECORD_LEN: u64 = 24;
/// Largest file in bytes: offsets are 32 bits wide.
pub const MAX_FILE_LEN: u64 = u32::MAX as u64;

/// Type word of the DUMMY node.
pub const DUMMY: u32 = 257;
/// Type word of a record that a checkpoint wrote.
pub const INORDER: u32 = 1;
/// Type word of a record in the log.
pub const ADD: u32 = 2;
/// Type word of a deletion in the log.
pub const DELETE: u32 = 4;
/// Type word that ends a transaction.
pub const COMMIT: u32 = 255;

/// The header's numbers; big-endian u32 from offset 20 on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Version, offset 20.
    pub version: u32,
    /// Minor version, offset 24.
    pub version_minor: u32,
    /// Number of pointers of the DUMMY node, offset 28.
    pub maxlevel: u32,
    /// Highest level in use, offset 32.
    pub curlevel: u32,
    /// Number of live records at the last recovery or checkpoint, offset 36.
    pub listsize: u32,
    /// Offset of the first log record, offset 40.
    pub logstart: u32,
    /// Unix time in seconds of creation, last recovery or last checkpoint, offset 44.
    pub last_recovery: u32,
}

impl Header {
    /// Reads the header's numbers, whatever the magic says; `None` if the file is shorter than [`HEADER_LEN`].
    pub fn decode(cursor: Cursor<'_>) -> Option<Self> {
        Some(Header {
            version: cursor.be_u32(20)?,
            version_minor: cursor.be_u32(24)?,
            maxlevel: cursor.be_u32(28)?,
            curlevel: cursor.be_u32(32)?,
            listsize: cursor.be_u32(36)?,
            logstart: cursor.be_u32(40)?,
            last_recovery: cursor.be_u32(44)?,
        })
    }

    /// The header's 48 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let numbers = [
            self.version,
            self.version_minor,
            self.maxlevel,
            self.curlevel,
            self.listsize,
            self.logstart,
            self.last_recovery,
        ];
        let mut bytes = SKIPLIST_MAGIC.to_vec();
        bytes.extend(numbers.iter().flat_map(|n| n.to_be_bytes()));
        bytes
    }
}

/// Which kind of node a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// The list's head: no key, no value.
    Dummy,
    /// Written by a checkpoint.
    Inorder,
    /// Written by a transaction.
    Add,
}

impl NodeKind {
    /// The type word.
    pub fn word(self) -> u32 {
        match self {
            NodeKind::Dummy => DUMMY,
            NodeKind::Inorder => INORDER,
            NodeKind::Add => ADD,
        }
    }

    /// The name Cyrus gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            NodeKind::Dummy => "DUMMY",
            NodeKind::Inorder => "INORDER",
            NodeKind::Add => "ADD",
        }
    }
}

/// Why no node can be read at an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// The word there is no type.
    Type(u32),
    /// The file ends in its head.
    Head,
    /// Its key length leads past the end of the file.
    Key(u32),
    /// Its value length leads past the end of the file.
    Value(u32),
    /// Its pointers reach the end of the file without a terminator.
    Pointers,
    /// More words than a node can have pointers, and no terminator.
    Unterminated,
    /// The terminator stands where the first pointer should.
    NoPointer,
    /// It can be read, but its fill or pointers can't be right and nothing known follows.
    Implausible,
}

/// An INORDER, ADD or DUMMY record, borrowed from the file.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Offset of its type word.
    pub offset: u64,
    /// What it is.
    pub kind: NodeKind,
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// Whether the bytes that fill key and value up to a multiple of 4 are all zero.
    pub zero_filled: bool,
    pointers: &'a [[u8; 4]],
}

impl<'a> Node<'a> {
    /// Reads the node at `offset`.
    ///
    /// # Errors
    /// [`Broken`] if no complete node stands there.
    #[inline]
    pub fn read(cursor: Cursor<'a>, offset: u64) -> Result<Self, Broken> {
        let (head, rest) = cursor.rest(offset).split_first_chunk::<8>().ok_or(Broken::Head)?;
        let word = cursor.be_u32(offset).ok_or(Broken::Head)?;
        let kind = match word {
            INORDER => NodeKind::Inorder,
            ADD => NodeKind::Add,
            DUMMY => NodeKind::Dummy,
            other => return Err(Broken::Type(other)),
        };
        let [_, _, _, _, key_len @ ..] = *head;
        let key_len = u32::from_be_bytes(key_len);
        let (key, key_clean, rest) = padded(rest, key_len).ok_or(Broken::Key(key_len))?;
        let (value_len, rest) = rest.split_first_chunk::<4>().ok_or(Broken::Head)?;
        let value_len = u32::from_be_bytes(*value_len);
        let (value, value_clean, rest) = padded(rest, value_len).ok_or(Broken::Value(value_len))?;
        let pointers = terminated(rest)?;
        Ok(Node { offset, kind, key, value, zero_filled: key_clean && value_clean, pointers })
    }

    /// The DUMMY node's pointers at the place where every release puts them, whatever surrounds them.
    pub fn assumed_dummy(cursor: Cursor<'a>) -> Option<Self> {
        let (pointers, _) = cursor.bytes(DUMMY_OFFSET + 12, 4 * u64::from(MAX_LEVEL))?.as_chunks::<4>();
        let kind = NodeKind::Dummy;
        Some(Node { offset: DUMMY_OFFSET, kind, key: &[], value: &[], zero_filled: true, pointers })
    }

    /// Number of forward pointers.
    #[inline]
    pub fn level(&self) -> usize {
        self.pointers.len()
    }

    /// Forward pointer `i`: the offset of the next node of that level, 0 at the end of the list; `None` from `level` on.
    #[inline]
    pub fn pointer(&self, i: usize) -> Option<u32> {
        self.pointers.get(i).map(|word| u32::from_be_bytes(*word))
    }

    /// All forward pointers, level 0 first.
    #[inline]
    pub fn pointers(&self) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + Clone + use<'a> {
        self.pointers.iter().map(|word| u32::from_be_bytes(*word))
    }

    /// Where the value's length stands.
    pub fn value_len_offset(&self) -> u64 {
        self.offset + 8 + pad4(self.key.len() as u64)
    }

    /// Where forward pointer `i` stands.
    pub fn pointer_offset(&self, i: usize) -> u64 {
        self.value_len_offset() + 4 + pad4(self.value.len() as u64) + 4 * i as u64
    }

    /// Where each of its forward pointers stands.
    pub fn pointer_offsets(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.pointer_offset(0);
        (0..self.level() as u64).map(move |i| first + 4 * i)
    }

    /// Offset behind its terminator.
    #[inline]
    pub fn end(&self) -> u64 {
        self.pointer_offset(self.level()) + 4
    }

    /// All its bytes.
    pub fn span(&self) -> Span {
        Span::new(self.offset, self.end())
    }

    /// Whether nothing about it is odd: zero fill, a key, and pointers that could be offsets of records.
    #[inline]
    pub fn is_flawless(&self) -> bool {
        self.zero_filled && !self.key.is_empty() && self.pointers().all(is_pointer)
    }

    /// Whether its key and value can be believed to be those that were written: at most one of its pointers can't be one,
    /// and would be an offset or 0 with a single bit changed. Bytes that came into a record push text among its pointers.
    pub fn is_credible(&self, cursor: Cursor<'_>) -> bool {
        let within = |p: u32| is_pointer(p) && (p < TEXT || u64::from(p) < cursor.len());
        let nearly =
            |p: u32| (0..32).map(|bit| p ^ (1 << bit)).any(|near| is_pointer(near) && u64::from(near) < cursor.len());
        let mut odd = self.pointers().filter(|&p| !within(p));
        !self.key.is_empty() && odd.next().is_none_or(nearly) && odd.next().is_none()
    }
}

/// No word of plain text is less than this.
const TEXT: u32 = 0x2020_2020;

/// Whether a word could be a pointer.
#[inline]
fn is_pointer(word: u32) -> bool {
    word == 0 || is_record_offset(word)
}

/// Whether a record could stand at `offset`.
#[inline]
pub fn is_record_offset(offset: u32) -> bool {
    offset.is_multiple_of(4) && u64::from(offset) > DUMMY_OFFSET
}

/// `len` rounded up to a multiple of 4, for lengths of things that lie in the file.
#[inline]
pub fn pad4(len: u64) -> u64 {
    len.saturating_add(3) & !3
}

/// Splits off `len` bytes and their fill: the bytes, whether the fill is zero, the rest.
#[inline]
fn padded(bytes: &[u8], len: u32) -> Option<(&[u8], bool, &[u8])> {
    let len = usize::try_from(len).ok()?;
    let (field, rest) = bytes.split_at_checked(len.checked_add(3)? & !3)?;
    let (content, fill) = field.split_at_checked(len)?;
    Some((content, fill.iter().all(|&b| b == 0), rest))
}

/// The pointers in front of the first terminator.
#[inline]
fn terminated(bytes: &[u8]) -> Result<&[[u8; 4]], Broken> {
    let most = MAX_LEVEL as usize;
    let (words, _) = bytes.as_chunks::<4>();
    let level = words.iter().take(most + 1).position(|word| *word == TERMINATOR.to_be_bytes());
    match level.and_then(|level| words.get(..level)) {
        Some([]) => Err(Broken::NoPointer),
        Some(pointers) => Ok(pointers),
        None if words.len() <= most => Err(Broken::Pointers),
        None => Err(Broken::Unterminated),
    }
}

/// The bytes of a node; pointers level 0 first.
pub fn encode_node(kind: NodeKind, key: &[u8], value: &[u8], pointers: &[u32], out: &mut Vec<u8>) {
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    put(&kind.word().to_be_bytes());
    for field in [key, value] {
        put(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        put(field);
        put([0; 3].get(..(4 - field.len() % 4) % 4).unwrap_or_default());
    }
    pointers.iter().for_each(|pointer| put(&pointer.to_be_bytes()));
    put(&TERMINATOR.to_be_bytes());
}

/// Length in bytes of a node of these lengths; `None` if it does not fit a file.
pub fn node_len(key_len: usize, value_len: usize, level: usize) -> Option<u64> {
    let len = |n: usize| u64::try_from(n).ok().filter(|&n| n < MAX_FILE_LEN).map(pad4);
    let pointers = u64::try_from(level).ok()?.checked_mul(4)?;
    16_u64.checked_add(len(key_len)?)?.checked_add(len(value_len)?)?.checked_add(pointers)
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Type(word) => write!(f, "the word 0x{word:X}, which is no type"),
            Broken::Head => f.write_str("a head that the end of the file cuts off"),
            Broken::Key(len) => write!(f, "a key length of {len}, which leads past the end of the file"),
            Broken::Value(len) => write!(f, "a value length of {len}, which leads past the end of the file"),
            Broken::Pointers => f.write_str("pointers that reach the end of the file without a terminator"),
            Broken::Unterminated => f.write_str("more than 20 words where a terminator should be among them"),
            Broken::NoPointer => f.write_str("a terminator where the first pointer should be"),
            Broken::Implausible => f.write_str("lengths that lead to nothing known"),
        }
    }
}
