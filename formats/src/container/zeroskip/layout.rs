//! The bytes of a zeroskip directory: headers, records, commits, sums.

use crate::image::{Cursor, Span, round_up};

/// The signature, as a number in the host's order.
const SIGNATURE: u64 = 0x5A45_524F_534B_4950;
/// Bytes of a data file's header; records follow.
pub const HEADER_LEN: u64 = 40;
/// Bytes of `.zsdb`.
pub const DOT_LEN: u64 = 61;
/// Bytes in front of a key.
const KEY_HEAD_LEN: u64 = 24;
/// Bytes in front of a value.
const VALUE_HEAD_LEN: u64 = 16;

/// Types of records, the top byte of their first word.
mod record_type {
    pub const KEY: u8 = 1;
    pub const VALUE: u8 = 2;
    pub const COMMIT: u8 = 4;
    pub const SECOND_HALF: u8 = 8;
    pub const FINAL: u8 = 16;
    pub const LONG: u8 = 32;
    pub const LONG_KEY: u8 = KEY | LONG;
    pub const LONG_VALUE: u8 = VALUE | LONG;
    pub const LONG_COMMIT: u8 = COMMIT | LONG;
    pub const LONG_FINAL: u8 = FINAL | LONG;
    pub const DELETED: u8 = 64;
}

/// Order of bytes of the host that wrote a file: that of the signature, and of the numbers in sums. All other numbers in
/// the file are big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Host {
    /// Lowest byte first.
    Little,
    /// Highest byte first.
    Big,
}

impl Host {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Host::Little => "little-endian",
            Host::Big => "big-endian",
        }
    }

    /// The host whose signature stands at the beginning.
    pub fn of(cursor: Cursor<'_>) -> Option<Host> {
        if cursor.le_u64(0) == Some(SIGNATURE) {
            return Some(Host::Little);
        }
        (cursor.be_u64(0) == Some(SIGNATURE)).then_some(Host::Big)
    }

    fn other(self) -> Host {
        match self {
            Host::Little => Host::Big,
            Host::Big => Host::Little,
        }
    }
}

/// A CRC-32C in the making.
struct Sum {
    crc: u32,
    host: Host,
}

impl Sum {
    fn new(host: Host) -> Self {
        Sum { crc: 0, host }
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        Sum { crc: crc32c::crc32c_append(self.crc, bytes), ..self }
    }

    fn u32(self, number: u32) -> Self {
        let bytes = if self.host == Host::Little { number.to_le_bytes() } else { number.to_be_bytes() };
        self.bytes(&bytes)
    }

    fn u64(self, number: u64) -> Self {
        let bytes = if self.host == Host::Little { number.to_le_bytes() } else { number.to_be_bytes() };
        self.bytes(&bytes)
    }
}

/// How a sum compares with its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// It is right.
    Right,
    /// It is right for a host of the other order of bytes than the signature shows.
    OtherHost,
    /// It is wrong.
    Wrong,
}

fn check(stored: u32, host: Host, sum: impl Fn(Host) -> u32) -> Checked {
    match stored {
        crc if crc == sum(host) => Checked::Right,
        crc if crc == sum(host.other()) => Checked::OtherHost,
        _ => Checked::Wrong,
    }
}

/// The header of a data file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Who wrote it.
    pub host: Host,
    /// Version, 1.
    pub version: u32,
    /// Identifier of the database.
    pub uuid: [u8; 16],
    /// First index that the file covers.
    pub start: u32,
    /// Last index that the file covers.
    pub end: u32,
    /// CRC-32C.
    pub crc: u32,
    /// Whether it is right.
    pub checked: Checked,
}

impl Header {
    /// The header of a file; `None` without signature, or if the file ends in it.
    pub fn decode(cursor: Cursor<'_>) -> Option<Header> {
        let host = Host::of(cursor)?;
        let (version, start, end, crc) =
            (cursor.be_u32(8)?, cursor.be_u32(28)?, cursor.be_u32(32)?, cursor.be_u32(36)?);
        let uuid: [u8; 16] = cursor.bytes(12, 16)?.try_into().ok()?;
        let sum = |host| Sum::new(host).u64(SIGNATURE).u32(version).bytes(&uuid).u32(start).u32(end).crc;
        Some(Header { host, version, uuid, start, end, crc, checked: check(crc, host, sum) })
    }
}

/// The text of an identifier, as in the names of files.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// What `.zsdb` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dot<'a> {
    /// Who wrote it.
    pub host: Host,
    /// A good position in the active file, as of some earlier moment.
    pub offset: u64,
    /// Identifier of the database as text, 36 characters.
    pub uuid: &'a [u8],
    /// Index of the active file.
    pub index: u32,
    /// CRC-32C.
    pub crc: u32,
    /// Whether it is right.
    pub checked: Checked,
}

impl<'a> Dot<'a> {
    /// What a `.zsdb` says; `None` without signature, or if it is cut off.
    pub fn decode(cursor: Cursor<'a>) -> Option<Dot<'a>> {
        let host = Host::of(cursor)?;
        let (offset, text, index, crc) =
            (cursor.be_u64(8)?, cursor.bytes(16, 37)?, cursor.be_u32(53)?, cursor.be_u32(57)?);
        let sum = |host| Sum::new(host).u64(SIGNATURE).u64(offset).bytes(text).u32(index).crc;
        Some(Dot { host, offset, uuid: text.get(..36)?, index, crc, checked: check(crc, host, sum) })
    }
}

/// Something in a data file, in one piece.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry<'a> {
    /// A key, and the value behind it.
    Add {
        /// Key.
        key: &'a [u8],
        /// Value.
        value: &'a [u8],
        /// Where the value stands.
        value_span: Span,
        /// Whether the key record names the place of the value record.
        linked: bool,
    },
    /// A deletion.
    Delete {
        /// The key that goes.
        key: &'a [u8],
    },
    /// The end of a transaction, or of a packed file.
    Commit(Commit),
}

/// A commit record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Commit {
    /// How many bytes in front of it it covers.
    pub length: u64,
    /// CRC-32C.
    pub crc: u32,
    /// Whether it ends a packed file.
    pub is_final: bool,
    /// Whether it is of the long form.
    pub is_long: bool,
}

/// An entry and its bytes, those that fill it up included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed<'a> {
    /// The entry.
    pub entry: Entry<'a>,
    /// Its bytes.
    pub span: Span,
    /// Whether the bytes that fill it up are zeros.
    pub filled: bool,
}

/// Why no entry stands at an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// The type is none that can stand there.
    Type(u8),
    /// The file ends in it.
    Cut,
    /// A key without a value record behind it.
    NoValue,
}

fn top_byte(word: u64) -> u8 {
    u8::try_from(word >> 56).unwrap_or_default()
}

/// A key or value of `len` bytes behind a head: its bytes, where it ends filled up, and whether that is with zeros.
fn filled_up(cursor: Cursor<'_>, at: u64, len: u64) -> Option<(&[u8], u64, bool)> {
    let bytes = cursor.bytes(at, len)?;
    let end = round_up(at.checked_add(len)?, 8)?;
    let fill = cursor.bytes(at.checked_add(len)?, end.checked_sub(at.checked_add(len)?)?)?;
    Some((bytes, end, fill.iter().all(|&b| b == 0)))
}

/// The entry at `at`, an offset of the file itself.
///
/// # Errors
/// [`Broken`] if there is none.
pub fn entry(cursor: Cursor<'_>, at: u64) -> Result<Placed<'_>, Broken> {
    let word = |n: u64| at.checked_add(n).and_then(|at| cursor.be_u64(at)).ok_or(Broken::Cut);
    let first = word(0)?;
    match top_byte(first) {
        record_type::KEY => add(cursor, at, (first >> 40) & 0xFFFF, first & 0xFF_FFFF_FFFF),
        record_type::LONG_KEY => add(cursor, at, word(8)?, word(16)?),
        record_type::DELETED => {
            let start = at.checked_add(KEY_HEAD_LEN).ok_or(Broken::Cut)?;
            let (key, end, filled) = filled_up(cursor, start, (first >> 40) & 0xFFFF).ok_or(Broken::Cut)?;
            Ok(Placed { entry: Entry::Delete { key }, span: Span::new(at, end), filled })
        }
        kind @ (record_type::COMMIT | record_type::FINAL) => {
            let crc = u32::try_from(first & 0xFFFF_FFFF).unwrap_or_default();
            let length = (first >> 32) & 0xFF_FFFF;
            let commit = Commit { length, crc, is_final: kind == record_type::FINAL, is_long: false };
            Ok(Placed { entry: Entry::Commit(commit), span: Span::at(at, 8), filled: true })
        }
        kind @ (record_type::LONG_COMMIT | record_type::LONG_FINAL) => {
            let (length, last) = (word(8)?, word(16)?);
            if top_byte(last) != record_type::SECOND_HALF {
                return Err(Broken::Type(top_byte(last)));
            }
            let crc = u32::try_from(last & 0xFFFF_FFFF).unwrap_or_default();
            let commit = Commit { length, crc, is_final: kind == record_type::LONG_FINAL, is_long: true };
            Ok(Placed { entry: Entry::Commit(commit), span: Span::at(at, 24), filled: true })
        }
        other => Err(Broken::Type(other)),
    }
}

/// The key record at `at`, and the value record behind it.
fn add(cursor: Cursor<'_>, at: u64, key_len: u64, value_offset: u64) -> Result<Placed<'_>, Broken> {
    let start = at.checked_add(KEY_HEAD_LEN).ok_or(Broken::Cut)?;
    let (key, value_at, key_filled) = filled_up(cursor, start, key_len).ok_or(Broken::Cut)?;
    let head = cursor.be_u64(value_at).ok_or(Broken::Cut)?;
    let value_len = match top_byte(head) {
        record_type::VALUE => (head >> 32) & 0xFF_FFFF,
        record_type::LONG_VALUE => value_at.checked_add(8).and_then(|at| cursor.be_u64(at)).ok_or(Broken::Cut)?,
        _ => return Err(Broken::NoValue),
    };
    let start = value_at.checked_add(VALUE_HEAD_LEN).ok_or(Broken::Cut)?;
    let (value, end, value_filled) = filled_up(cursor, start, value_len).ok_or(Broken::Cut)?;
    let value_span = Span::at(start, value_len);
    let linked = at.checked_add(value_offset) == Some(value_at);
    let entry = Entry::Add { key, value, value_span, linked };
    Ok(Placed { entry, span: Span::new(at, end), filled: key_filled && value_filled })
}

/// Where the key of an addition or deletion at `at` stands.
pub fn key_span(at: u64, key: &[u8]) -> Span {
    Span::at(at.saturating_add(KEY_HEAD_LEN), key.len() as u64)
}

/// The bytes that a commit at `at` covers; `None` if they would begin in front of the first record.
pub fn covered(at: u64, commit: &Commit) -> Option<Span> {
    let start = at.checked_sub(commit.length)?;
    (start >= HEADER_LEN).then_some(Span::new(start, at))
}

/// Whether the sum of a commit at `at` is right.
pub fn check_commit(cursor: Cursor<'_>, host: Host, at: u64, commit: &Commit) -> Checked {
    let Some(data) = covered(at, commit).and_then(|span| cursor.span(span)) else { return Checked::Wrong };
    let kind = match (commit.is_final, commit.is_long) {
        (false, false) => record_type::COMMIT,
        (true, false) => record_type::FINAL,
        (false, true) => record_type::LONG_COMMIT,
        (true, true) => record_type::LONG_FINAL,
    };
    let first = u64::from(kind) << 56;
    let sum = |host| {
        let sum = Sum::new(host).bytes(data);
        match commit.is_long {
            false => sum.u64(first | (commit.length & 0xFF_FFFF) << 32).crc,
            true => sum.u64(first).u64(commit.length).u64(u64::from(record_type::SECOND_HALF) << 56).crc,
        }
    };
    check(commit.crc, host, sum)
}

/// The index of a packed file, and the commit behind it that ends the file; `None` if the file does not end so.
pub fn packed_end(cursor: Cursor<'_>) -> Option<(Span, Placed<'_>)> {
    let at = |len: u64| cursor.len().checked_sub(len).filter(|at| *at >= HEADER_LEN && at % 8 == 0);
    let ends = |len: u64| {
        let placed = entry(cursor, at(len)?).ok()?;
        let Entry::Commit(commit) = placed.entry else { return None };
        let index = covered(placed.span.start, &commit)?;
        let whole = commit.is_final && placed.span.end == cursor.len() && index.len() % 8 == 0 && index.len() >= 8;
        whole.then_some((index, placed))
    };
    ends(8).or_else(|| ends(24))
}
