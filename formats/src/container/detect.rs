//! What a file is, by its first bytes and by what stands around them.

use std::borrow::Cow;
use std::path::Path;

use bstr::ByteSlice;

use super::Format;
use crate::image::Cursor;

/// What a file looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detection {
    /// The format to read it as; `None` when it is nothing we know.
    pub format: Option<Format>,
    /// Whether the format's own mark is there, or that of something that is no mailbox list; otherwise it is a guess
    /// from the content.
    pub certain: bool,
    /// Another format that the bytes may as well be: a flat database and a dump can be the same byte for byte.
    pub also: Option<Format>,
    /// What it looks like and why, in words: "a skiplist whose magic is damaged".
    pub evidence: Cow<'static, str>,
}

impl Detection {
    fn certain(format: Format, evidence: &'static str) -> Self {
        Detection { format: Some(format), certain: true, also: None, evidence: evidence.into() }
    }

    fn guess(format: Format, evidence: impl Into<Cow<'static, str>>) -> Self {
        Detection { format: Some(format), certain: false, also: None, evidence: evidence.into() }
    }

    fn foreign(evidence: &'static str) -> Self {
        Detection { format: None, certain: true, also: None, evidence: evidence.into() }
    }

    fn none(evidence: &'static str) -> Self {
        Detection { format: None, certain: false, also: None, evidence: evidence.into() }
    }
}

/// First 20 bytes of a skiplist file (`lib/cyrusdb_skiplist.c`, `HEADER_MAGIC`).
pub const SKIPLIST_MAGIC: &[u8; 20] = b"\xA1\x02\x8B\x0Dskiplist file\0\0\0";
/// First 20 bytes of a twoskip file (`lib/cyrusdb_twoskip.c`, `HEADER_MAGIC`).
pub const TWOSKIP_MAGIC: &[u8; 20] = b"\xA1\x02\x8B\x0Dtwoskip file\0\0\0\0";
/// First 16 bytes of a twom file.
pub const TWOM_MAGIC: &[u8; 16] = b"\xA1\x02\x8B\x0Dtwomfile\0\0\0\0";
/// Magic of an LMDB meta, in the order of the host.
const LMDB_MAGIC: u32 = 0xBEEF_C0DE;
/// First 8 bytes of a zeroskip data file, in the order of a little-endian and a big-endian host.
const ZEROSKIP_MAGICS: [&[u8; 8]; 2] = [b"PIKSOREZ", b"ZEROSKIP"];

/// What `bytes`, a whole file, looks like. Reads at most its first 64 KiB.
pub fn detect(bytes: &[u8]) -> Detection {
    let cursor = Cursor::new(bytes);
    if bytes.is_empty() {
        return Detection::none("a file of zero bytes, which Cyrus takes for a new, empty database");
    }
    let magics: [(&[u8], Format, &'static str); 5] = [
        (SKIPLIST_MAGIC, Format::Skiplist, "the magic of a skiplist file"),
        (TWOSKIP_MAGIC, Format::Twoskip, "the magic of a twoskip file"),
        (TWOM_MAGIC, Format::Twom, "the magic of a twom file"),
        (ZEROSKIP_MAGICS[0], Format::Zeroskip, "the signature of a zeroskip data file"),
        (ZEROSKIP_MAGICS[1], Format::Zeroskip, "the signature of a zeroskip data file of a big-endian host"),
    ];
    for (magic, format, evidence) in magics {
        if bytes.starts_with(magic) {
            return Detection::certain(format, evidence);
        }
    }
    if [cursor.be_u32(12), cursor.le_u32(12)].iter().any(|word| matches!(word, Some(0x0005_3162 | 0x0006_1561))) {
        return Detection::certain(Format::Berkeley, "the magic of a Berkeley DB file at offset 12");
    }
    if cursor.le_u32(16) == Some(LMDB_MAGIC) {
        return Detection::certain(Format::Lmdb, "the magic of an LMDB file at offset 16");
    }
    if [cursor.be_u32(16), cursor.le_u32(12), cursor.be_u32(12)].contains(&Some(LMDB_MAGIC)) {
        return Detection::certain(Format::Lmdb, "the magic of an LMDB file of another kind of host");
    }
    if bytes.starts_with(b"SQLite format 3\0") {
        return Detection::certain(Format::Sql, "the magic of an SQLite file");
    }
    damaged_database(cursor).or_else(|| foreign(bytes)).unwrap_or_else(|| text(bytes))
}

/// What `bytes`, a whole file, looks like, with its name to decide between formats that the bytes leave open: what is named
/// as databases are (`….db`, `….NEW`, `mailboxes`) is one, what has another ending is a dump.
pub fn detect_named(bytes: &[u8], name: &Path) -> Detection {
    let mut seen = detect(bytes);
    let (Some(first), Some(second)) = (seen.format, seen.also) else { return seen };
    let stem = name.file_name().is_some_and(|name| name == "mailboxes");
    let database = match name.extension().and_then(|ending| ending.to_str()) {
        Some(ending) => ending == "db" || ending == "NEW",
        None if stem => true,
        None => return seen,
    };
    if first.is_dump() == database {
        (seen.format, seen.also) = (Some(second), Some(first));
    }
    seen
}

/// Database files whose magic is damaged: enough of it is left, or the DUMMY node stands where it must.
fn damaged_database(cursor: Cursor<'_>) -> Option<Detection> {
    let head = cursor.bytes(0, 20.min(cursor.len()))?;
    let alike = |magic: &[u8]| magic.iter().zip(head).filter(|(a, b)| a == b).count();
    let skiplist_dummy = cursor.be_u32(48) == Some(257) && cursor.be_u64(52) == Some(0);
    let twoskip_dummy = cursor.be_u64(64) == Some(0x3D1F_0000_0000_0000);
    if alike(SKIPLIST_MAGIC) >= 12 && alike(SKIPLIST_MAGIC) > alike(TWOSKIP_MAGIC) || skiplist_dummy {
        return Some(Detection::guess(Format::Skiplist, "a skiplist file whose magic is damaged"));
    }
    if alike(TWOSKIP_MAGIC) >= 12 || twoskip_dummy {
        return Some(Detection::guess(Format::Twoskip, "a twoskip file whose magic is damaged"));
    }
    None
}

/// Files that are something else altogether.
fn foreign(bytes: &[u8]) -> Option<Detection> {
    let known: [(&[u8], &'static str); 8] = [
        (b"\x1F\x8B", "gzip data: unpack it first"),
        (b"BZh", "bzip2 data: unpack it first"),
        (b"\xFD7zXZ\0", "xz data: unpack it first"),
        (b"\x28\xB5\x2F\xFD", "zstd data: unpack it first"),
        (b"PK\x03\x04", "a zip archive: unpack it first"),
        (b"\x7FELF", "a program (ELF)"),
        (b"#!", "a script"),
        (b"%PDF", "a PDF document"),
    ];
    let mark = known.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, what)| *what);
    let tar = (bytes.get(257..262) == Some(b"ustar".as_slice())).then_some("a tar archive: unpack it first");
    mark.or(tar).map(Detection::foreign)
}

/// Text: a dump, or a flat database.
fn text(bytes: &[u8]) -> Detection {
    let head = bytes.get(..65_536).unwrap_or(bytes);
    if head.iter().all(|&b| b == 0) {
        return Detection::none("nothing but zero bytes");
    }
    if head.trim_ascii_start().first() == Some(&b'{') {
        return Detection::certain(Format::Json, "an object of JSON, as `ctl_mboxlist -d` of 3.6 and later prints");
    }
    crate::text::detect_lines(head)
}

/// What a few lines of text look like; see [`crate::text::detect_lines`].
pub(crate) fn lines_verdict(format: Option<Format>, also: Option<Format>, evidence: String) -> Detection {
    Detection { format, certain: false, also, evidence: evidence.into() }
}

/// Whether most of the bytes are those of text: no controls but TAB, LF, CR and Cyrus' separators 0x1D to 0x1F. Zeros
/// don't count: they are what crashes leave in text.
pub(crate) fn looks_like_text(head: &[u8]) -> bool {
    let zeros = head.iter().filter(|&&b| b == 0).count();
    let odd = head.iter().filter(|&&b| b > 0 && b < 0x1D && !matches!(b, b'\t' | b'\n' | b'\r')).count();
    odd.saturating_mul(20) <= head.len().saturating_sub(zeros) && head.find_byte(b'\t').is_some()
}
