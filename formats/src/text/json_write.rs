//! Writes the JSON dump of `ctl_mboxlist -d` of 3.6 and later, byte for byte as Cyrus lays it out.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// The members of a mailbox to be written. What is `None` is left out, as Cyrus does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlainEntry<'a> {
    /// Internal name.
    pub name: &'a [u8],
    /// Time of the last change, seconds since 1970.
    pub mtime: u64,
    /// The mailbox's UIDVALIDITY.
    pub uidvalidity: u64,
    /// Modseq of the folder's creation.
    pub createdmodseq: u64,
    /// Modseq of the folder's last change.
    pub foldermodseq: u64,
    /// Type letters.
    pub mbtype: &'a [u8],
    /// The partition.
    pub partition: Option<&'a [u8]>,
    /// The server.
    pub server: Option<&'a [u8]>,
    /// Pairs of identifier and rights; of one identifier the last counts, in the place of the first.
    pub acl: &'a [(&'a [u8], &'a [u8])],
    /// The mailbox's unique id.
    pub uniqueid: Option<&'a [u8]>,
    /// Special use.
    pub legacy_specialuse: Option<&'a [u8]>,
    /// JMAP id; for 3.13 and later.
    pub jmap_id: Option<&'a [u8]>,
    /// Former names, newest first.
    pub name_history: &'a [PlainHistory<'a>],
}

/// A former name to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlainHistory<'a> {
    /// Internal name.
    pub name: &'a [u8],
    /// Time of the change, seconds since 1970.
    pub mtime: u64,
    /// UIDVALIDITY at that time.
    pub uidvalidity: u64,
    /// Modseq of the folder's creation.
    pub createdmodseq: u64,
    /// Modseq of the folder's last change then.
    pub foldermodseq: u64,
    /// Type letters at that time.
    pub mbtype: &'a [u8],
    /// The partition at that time.
    pub partition: Option<&'a [u8]>,
}

/// Why an entry can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// JSON holds Unicode only; Cyrus leaves such a mailbox out of its dumps.
    #[error("a JSON dump can't hold the {field} of {}: it is not UTF-8", bstr::BStr::new(.name))]
    NotUtf8 {
        /// Name of the mailbox.
        name: Vec<u8>,
        /// The field.
        field: &'static str,
    },
}

/// Writes `"name": {…}` as `ctl_mboxlist -d` does, without a separator (`imap/ctl_mboxlist.c`, `dump_cb`).
///
/// # Errors
/// See [`WriteError`]; nothing is written unless the system refuses.
pub fn write_entry(out: &mut dyn Write, entry: &PlainEntry<'_>) -> Result<(), WriteError> {
    let mut text = Vec::new();
    append_entry(&mut text, entry)?;
    Ok(out.write_all(&text)?)
}

/// The same, at the end of `text`; answers where in it the object starts.
///
/// # Errors
/// [`WriteError::NotUtf8`]; `text` then ends in a part of the entry.
pub fn append_entry(text: &mut Vec<u8>, entry: &PlainEntry<'_>) -> Result<usize, WriteError> {
    Object { text, mailbox: entry.name, plain: false }.entry(entry)
}

/// The same of an entry whose texts are all [plain](is_plain), which need not be looked at again.
///
/// # Errors
/// None.
pub fn append_plain_entry(text: &mut Vec<u8>, entry: &PlainEntry<'_>) -> Result<usize, WriteError> {
    Object { text, mailbox: entry.name, plain: true }.entry(entry)
}

/// Whether a text stands in JSON as it is: of printable ASCII, without quotes and backslashes.
#[inline]
pub fn is_plain(text: &[u8]) -> bool {
    let plain = |&byte: &u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    // Without an early end the compiler looks at many bytes at once.
    text.iter().fold(true, |all, byte| all & plain(byte))
}

struct Object<'a> {
    text: &'a mut Vec<u8>,
    mailbox: &'a [u8],
    /// Whether all texts are known to be plain.
    plain: bool,
}

/// What stands in front of the text of a member that is not the first one.
macro_rules! next {
    ($name:literal) => {
        concat!(", \"", $name, "\": \"")
    };
}

impl Object<'_> {
    #[inline]
    fn entry(mut self, entry: &PlainEntry<'_>) -> Result<usize, WriteError> {
        self.text.push(b'"');
        self.string("name", entry.name)?;
        self.text.extend_from_slice(b": ");
        let start = self.text.len();
        self.text.extend_from_slice(b"{\"name\": \"");
        self.string("name", entry.name)?;
        self.times(entry.mtime, entry.uidvalidity, entry.createdmodseq, entry.foldermodseq);
        self.member(next!("mbtype"), "mbtype", Some(entry.mbtype))?;
        self.member(next!("partition"), "partition", entry.partition)?;
        self.member(next!("server"), "server", entry.server)?;
        self.acl(entry.acl)?;
        self.member(next!("uniqueid"), "uniqueid", entry.uniqueid)?;
        self.member(next!("legacy_specialuse"), "legacy_specialuse", entry.legacy_specialuse)?;
        self.member(next!("jmapId"), "jmapId", entry.jmap_id)?;
        self.history(entry.name_history)?;
        self.text.push(b'}');
        Ok(start)
    }

    /// Adds what stands between the quotes of a text, and the second of these.
    #[inline]
    fn string(&mut self, field: &'static str, value: &[u8]) -> Result<(), WriteError> {
        if self.plain || is_plain(value) {
            self.text.extend_from_slice(value);
        } else {
            let refused = || WriteError::NotUtf8 { name: self.mailbox.to_vec(), field };
            let value = std::str::from_utf8(value).map_err(|_| refused())?;
            value.chars().for_each(|character| self.character(character));
        }
        self.text.push(b'"');
        Ok(())
    }

    fn character(&mut self, character: char) {
        match character {
            '"' => self.text.extend_from_slice(b"\\\""),
            '\\' => self.text.extend_from_slice(b"\\\\"),
            '\u{8}' => self.text.extend_from_slice(b"\\b"),
            '\u{c}' => self.text.extend_from_slice(b"\\f"),
            '\n' => self.text.extend_from_slice(b"\\n"),
            '\r' => self.text.extend_from_slice(b"\\r"),
            '\t' => self.text.extend_from_slice(b"\\t"),
            '\0'..='\u{1f}' => self.text.extend(format!("\\u{:04X}", u32::from(character)).as_bytes()),
            _ => self.text.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    /// Adds a number in decimal digits.
    fn digits(&mut self, number: u64) {
        let mut digits = [b'0'; 20];
        let (mut rest, mut from) = (number, digits.len());
        for (place, digit) in digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (rest % 10) as u8;
            (rest, from) = (rest / 10, place);
            if rest == 0 {
                break;
            }
        }
        self.text.extend_from_slice(digits.get(from..).unwrap_or_default());
    }

    #[inline]
    fn member(&mut self, front: &'static str, field: &'static str, value: Option<&[u8]>) -> Result<(), WriteError> {
        let Some(value) = value else { return Ok(()) };
        self.text.extend_from_slice(front.as_bytes());
        self.string(field, value)
    }

    #[inline]
    fn times(&mut self, mtime: u64, uidvalidity: u64, createdmodseq: u64, foldermodseq: u64) {
        self.text.extend_from_slice(b", \"mtime\": \"");
        self.digits(mtime);
        self.text.extend_from_slice(b"\", \"uidvalidity\": \"");
        self.digits(uidvalidity);
        self.text.extend_from_slice(b"\", \"createdmodseq\": \"");
        self.digits(createdmodseq);
        self.text.extend_from_slice(b"\", \"foldermodseq\": \"");
        self.digits(foldermodseq);
        self.text.push(b'"');
    }

    fn acl(&mut self, acl: &[(&[u8], &[u8])]) -> Result<(), WriteError> {
        self.text.extend_from_slice(b", \"acl\": {");
        let mut comma = false;
        // Nearly all lists are short: looking back beats a map.
        let mut last: Option<BTreeMap<&[u8], &[u8]>> = (acl.len() > 16).then(|| acl.iter().copied().collect());
        for (index, (identifier, _)) in acl.iter().enumerate() {
            let same = |(other, _): &&(&[u8], &[u8])| other == identifier;
            let rights = match &mut last {
                Some(last) => last.remove(identifier),
                None if acl.iter().take(index).any(|pair| same(&pair)) => None,
                None => acl.iter().rev().find(same).map(|(_, rights)| *rights),
            };
            let Some(rights) = rights else { continue };
            self.text.extend_from_slice(if comma { &b", \""[..] } else { b"\"" });
            self.string("ACL", identifier)?;
            self.text.extend_from_slice(b": \"");
            self.string("ACL", rights)?;
            comma = true;
        }
        self.text.push(b'}');
        Ok(())
    }

    fn history(&mut self, history: &[PlainHistory<'_>]) -> Result<(), WriteError> {
        self.text.extend_from_slice(b", \"name_history\": [");
        for (at, former) in history.iter().enumerate() {
            self.text.extend_from_slice(if at > 0 { &b", "[..] } else { b"" });
            self.text.extend_from_slice(b"{\"name\": \"");
            self.string("former name", former.name)?;
            self.times(former.mtime, former.uidvalidity, former.createdmodseq, former.foldermodseq);
            self.member(next!("mbtype"), "mbtype", Some(former.mbtype))?;
            self.member(next!("partition"), "partition", former.partition)?;
            self.text.push(b'}');
        }
        self.text.push(b']');
        Ok(())
    }
}

/// Writes a whole dump: the brackets, and the commas between entries.
pub struct Writer<W: Write> {
    out: W,
    any: bool,
}

impl<W: Write> Writer<W> {
    /// Begins a dump on `out`, which should be buffered.
    ///
    /// # Errors
    /// What the system says to the write.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(b"{\n")?;
        Ok(Writer { out, any: false })
    }

    /// Writes an entry.
    ///
    /// # Errors
    /// See [`write_entry`].
    pub fn push(&mut self, entry: &PlainEntry<'_>) -> Result<(), WriteError> {
        let mut text = Vec::new();
        write_entry(&mut text, entry)?;
        if self.any {
            self.out.write_all(b",\n")?;
        }
        self.any = true;
        Ok(self.out.write_all(&text)?)
    }

    /// Ends the dump and gives the output back.
    ///
    /// # Errors
    /// What the system says to the write.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"\n}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}
