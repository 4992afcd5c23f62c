//! The mailboxes that nearly all of a database or of its dump consists of, taken from one to the other without entries
//! being made of them.
//!
//! Whatever is not of that kind is left to [`decode()`](super::decode()), [`Entry`](super::Entry) and
//! [`encode()`](super::encode()), which make the same of these too.

use memchr::memchr;

use super::dialect::item::{self, Spelling};
use super::era::Era;
use super::ordinary::{self, Said};
use crate::text::json::PlainEntry;
use crate::text::json_usual::{self, Cuts, Usual};

/// A mailbox's object in a JSON dump, to be made records of 3.6 and later.
#[derive(Clone, Copy, Debug)]
pub struct Dumped<'a> {
    usual: Usual<'a>,
    era: Era,
}

impl<'a> Dumped<'a> {
    /// Reads an object; `None` unless a writer of `era`, 3.6 or later, would have all that it says, and nothing more.
    #[inline]
    pub fn read(name: &[u8], object: &'a [u8], era: Era) -> Option<Self> {
        Dumped::of(name, json_usual::parse(object)?, era)
    }

    /// The same of an object that was read.
    #[inline]
    pub fn of(name: &[u8], usual: Usual<'a>, era: Era) -> Option<Self> {
        let plain = matches!(usual.mbtype, b"e" | b"er")
            && usual.mtime != b"0"
            && usual.uniqueid != Some(b"")
            && usual.jmap_id.is_none()
            && usual.name == name
            && (1..=era.name_len_max()).contains(&name.len())
            && memchr(b'!', name).is_none();
        (plain && era >= Era::V3_6).then_some(Dumped { usual, era })
    }

    /// The object of the mailbox of that name, which was [cut](Dumped::cuts) when it was read for the same era.
    #[inline]
    pub fn again(name: &[u8], object: &'a [u8], cuts: Cuts, era: Era) -> Option<Self> {
        Some(Dumped { usual: Usual::again(object, name.len(), cuts)?, era })
    }

    /// How the object is cut, for who comes back to it; `None` where it must be read from the start.
    #[inline]
    pub fn cuts(&self) -> Option<Cuts> {
        self.usual.cuts()
    }

    /// The mailbox's unique id.
    pub fn uniqueid(&self) -> Option<&'a [u8]> {
        self.usual.uniqueid
    }

    /// Appends the key of the mailbox's own record, and its value; answers how long the key is.
    #[inline]
    pub fn append_named(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.push(b'N');
        self.append_name(out);
        let key_len = out.len().saturating_sub(start);
        self.append_type(out);
        match self.usual.uniqueid {
            Some(id) => self.append_text(b" I ", id, out),
            None if self.era >= Era::V3_13 => out.extend_from_slice(b" I NIL"),
            None => {}
        }
        self.append_rest(out);
        out.push(b')');
        key_len
    }

    /// Appends the key of the record under the unique id of a mailbox without former names, and its value; answers how
    /// long the key is.
    #[inline]
    pub fn append_indexed(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.push(b'I');
        out.extend_from_slice(self.usual.uniqueid.unwrap_or_default());
        let key_len = out.len().saturating_sub(start);
        self.append_type(out);
        out.extend_from_slice(b" N ");
        let name_start = out.len();
        self.append_name(out);
        let name = out.get(name_start..).unwrap_or_default();
        let spelling = item::spelling(name, self.era.quotes_separators());
        if spelling != Spelling::Atom {
            let name = name.to_vec();
            out.truncate(name_start);
            item::write_text(out, &name, spelling);
        }
        self.append_rest(out);
        out.extend_from_slice(b" H ())");
        key_len
    }

    /// The name in db form; it has no domain.
    #[inline(always)]
    fn append_name(&self, out: &mut Vec<u8>) {
        let in_db_form = |byte: &u8| match byte {
            b'.' => 0x1F,
            b'^' => b'.',
            other => *other,
        };
        out.extend(self.usual.name.iter().map(in_db_form));
    }

    #[inline(always)]
    fn append_type(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"%(T ");
        out.extend_from_slice(self.usual.mbtype);
    }

    #[inline(always)]
    fn append_text(&self, mark: &[u8; 3], text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(mark);
        item::write_text(out, text, item::spelling(text, self.era.quotes_separators()));
    }

    /// What both records have in common, from the JMAP id on.
    #[inline(always)]
    fn append_rest(&self, out: &mut Vec<u8>) {
        let Usual { partition, server, uidvalidity, createdmodseq, foldermodseq, mtime, acl, .. } = self.usual;
        if self.era >= Era::V3_13 {
            out.extend_from_slice(b" J NIL");
        }
        if let Some(partition) = partition {
            self.append_text(b" P ", partition, out);
        }
        if let Some(server) = server {
            self.append_text(b" S ", server, out);
        }
        let numbers = [(b" V ", uidvalidity), (b" C ", createdmodseq), (b" F ", foldermodseq), (b" M ", mtime)];
        for (mark, digits) in numbers {
            // Dumps print 0 for what is absent.
            if digits != b"0" {
                out.extend_from_slice(mark);
                out.extend_from_slice(digits);
            }
        }
        out.extend_from_slice(b" A %(");
        let start = out.len();
        for (identifier, rights) in acl.pairs() {
            if out.len() > start {
                out.push(b' ');
            }
            item::write_text(out, identifier, item::spelling(identifier, false));
            out.push(b' ');
            item::write_text(out, rights, item::spelling(rights, false));
        }
        out.push(b')');
    }
}

/// More pairs than this an ACL that is read here does not have.
const PAIRS_MAX: usize = ordinary::PAIRS_MAX;

/// A mailbox's own record of 3.6 or later, to be dumped.
#[derive(Clone, Copy)]
pub struct Recorded<'a> {
    said: Said<'a>,
    mbtype: &'static [u8],
    pairs: [(&'a [u8], &'a [u8]); PAIRS_MAX],
    count: usize,
}

impl<'a> Recorded<'a> {
    /// Reads a record; `None` unless a JSON dump of `era`, 3.6 or later, holds all that it says.
    #[inline]
    pub fn read(key: &'a [u8], value: &'a [u8], era: Era) -> Option<Self> {
        let name = key.strip_prefix(b"N")?;
        let said = ordinary::read_any_time(name, value)?;
        if era < Era::V3_6 || (era < Era::V3_13 && said.jmapid.is_some()) {
            return None;
        }
        let (mut pairs, mut count) = ([(&b""[..], &b""[..]); PAIRS_MAX], 0);
        let mut words = said.acl.split(|&byte| byte == b' ');
        while let (Some(identifier), Some(rights)) = (words.next(), words.next()) {
            *pairs.get_mut(count)? = (identifier, rights);
            count = count.saturating_add(1);
        }
        let mbtype: &[u8] = if said.server.is_some() { b"er" } else { b"e" };
        Some(Recorded { said, mbtype, pairs, count })
    }

    /// The mailbox's unique id.
    pub fn uniqueid(&self) -> Option<&'a [u8]> {
        self.said.uniqueid
    }

    /// Appends the internal name.
    #[inline]
    pub fn append_name(&self, out: &mut Vec<u8>) {
        let internal = |byte: &u8| match byte {
            0x1F => b'.',
            b'.' => b'^',
            other => *other,
        };
        out.extend(self.said.name.iter().map(internal));
    }

    /// What a dump says of it, `name` being its internal name.
    #[inline]
    pub fn entry<'e>(&'e self, name: &'e [u8]) -> PlainEntry<'e> {
        let said = &self.said;
        PlainEntry {
            name,
            mtime: said.mtime,
            uidvalidity: said.uidvalidity,
            createdmodseq: said.createdmodseq,
            foldermodseq: said.foldermodseq,
            mbtype: self.mbtype,
            partition: Some(said.partition),
            server: said.server,
            acl: self.pairs.get(..self.count).unwrap_or_default(),
            uniqueid: said.uniqueid,
            legacy_specialuse: None,
            jmap_id: said.jmapid,
            name_history: &[],
        }
    }
}
