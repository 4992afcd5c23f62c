//! Entries exactly as Cyrus prints nearly all of them: its members in its order, nothing escaped, no former names.
//!
//! They are read in one straight pass without a copy of anything; all others are left to the readers of any object, which
//! say the same of these too.

use std::cell::Cell;
use std::num::NonZeroU64;

use super::json::{JsonFields, Pairs};
use super::json_plain::text;
use crate::record::{digits_len, number};

/// A mailbox's object, as it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usual<'a> {
    /// Internal name, as it stands in the object.
    pub name: &'a [u8],
    /// Digits of the time of the last change: as of all numbers 1 to 19, in front no needless 0.
    pub mtime: &'a [u8],
    /// Digits of the mailbox's UIDVALIDITY.
    pub uidvalidity: &'a [u8],
    /// Digits of the modseq of the folder's creation.
    pub createdmodseq: &'a [u8],
    /// Digits of the modseq of the folder's last change.
    pub foldermodseq: &'a [u8],
    /// Type letters.
    pub mbtype: &'a [u8],
    /// The partition.
    pub partition: Option<&'a [u8]>,
    /// The server.
    pub server: Option<&'a [u8]>,
    /// What stands between the brackets of the ACL.
    pub acl: UsualAcl<'a>,
    /// The mailbox's unique id.
    pub uniqueid: Option<&'a [u8]>,
    /// JMAP id.
    pub jmap_id: Option<&'a [u8]>,
}

/// The members of an ACL, as they stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UsualAcl<'a>(&'a [u8]);

impl<'a> UsualAcl<'a> {
    /// Pairs of identifier and rights, in the order of the dump.
    pub fn pairs(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (identifier, after) = text(behind(rest, b"\"")?)?;
            let (rights, after) = text(behind(after, b": \"")?)?;
            rest = behind(after, b", ").unwrap_or_default();
            Some((identifier, rights))
        })
    }
}

/// How long the parts of an object are, to read it once more without looking for their ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cuts(NonZeroU64);

/// How many bits of [`Cuts`] each length takes, behind a bit that is set: those of the numbers, of the type letters, of
/// partition, server, ACL and unique id. What may be absent counts one more.
const BITS: [u32; 9] = [5, 5, 5, 5, 3, 8, 8, 12, 8];

impl<'a> Usual<'a> {
    /// How it is cut; `None` if a part is too long, or if it has a JMAP id.
    #[inline]
    pub fn cuts(&self) -> Option<Cuts> {
        let optional = |text: Option<&[u8]>| text.map_or(0, |text| text.len().saturating_add(1));
        let lens = [
            self.mtime.len(),
            self.uidvalidity.len(),
            self.createdmodseq.len(),
            self.foldermodseq.len(),
            self.mbtype.len(),
            optional(self.partition),
            optional(self.server),
            self.acl.0.len(),
            optional(self.uniqueid),
        ];
        let fits = lens.iter().zip(BITS).all(|(&len, bits)| len >> bits == 0) && self.jmap_id.is_none();
        let word = lens.iter().zip(BITS).fold(1, |word, (&len, bits)| word << bits | len as u64);
        NonZeroU64::new(word).filter(|_| fits).map(Cuts)
    }

    /// Reads an object that is cut so, and whose name has that length, once more.
    #[inline]
    pub fn again(object: &'a [u8], name_len: usize, Cuts(word): Cuts) -> Option<Self> {
        let (mut word, mut lens) = (word.get(), [0; BITS.len()]);
        for (len, bits) in lens.iter_mut().zip(BITS).rev() {
            *len = (word & ((1 << bits) - 1)) as usize;
            word >>= bits;
        }
        let [mtime, uidvalidity, createdmodseq, foldermodseq, mbtype, partition, server, acl, uniqueid] = lens;
        let rest = Cell::new(object);
        let part = |mark: &str, len: usize| {
            let (part, behind) = rest.get().get(mark.len()..)?.split_at_checked(len)?;
            rest.set(behind);
            Some(part)
        };
        let optional = |mark: &str, len: usize| match len.checked_sub(1) {
            Some(len) => part(mark, len).map(Some),
            None => Some(None),
        };
        Some(Usual {
            name: part("{\"name\": \"", name_len)?,
            mtime: part("\", \"mtime\": \"", mtime)?,
            uidvalidity: part("\", \"uidvalidity\": \"", uidvalidity)?,
            createdmodseq: part("\", \"createdmodseq\": \"", createdmodseq)?,
            foldermodseq: part("\", \"foldermodseq\": \"", foldermodseq)?,
            mbtype: part("\", \"mbtype\": \"", mbtype)?,
            partition: optional("\", \"partition\": \"", partition)?,
            server: optional("\", \"server\": \"", server)?,
            acl: UsualAcl(part("\", \"acl\": {", acl)?),
            uniqueid: optional("}, \"uniqueid\": \"", uniqueid)?,
            jmap_id: None,
        })
    }
}

/// An entry on a line of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    /// The name in front of the object, which is the one within.
    pub key: &'a [u8],
    /// The object.
    pub object: &'a [u8],
    /// What the object says.
    pub usual: Usual<'a>,
    /// Length of the line, its LF included.
    pub len: usize,
}

/// Reads `"name": {…},LF`; `None` for all others, where there is no name, and where the name within is another one.
#[inline(always)]
pub(super) fn line(input: &[u8]) -> Option<Line<'_>> {
    let (key, object) = text(behind(input, b"\"")?)?;
    let object = behind(object, b": ").filter(|_| !key.is_empty())?;
    let (usual, rest) = read(object, Some(key))?;
    let behind = behind(rest, b",\n")?;
    let object = object.get(..object.len().checked_sub(rest.len())?)?;
    Some(Line { key, object, usual, len: input.len().checked_sub(behind.len())? })
}

/// Whether `entry` is that of `name`, in all its length, and reads as one of those.
pub(super) fn is_entry(entry: &[u8], name: &[u8]) -> bool {
    let object = || {
        let (key, object) = text(behind(entry, b"\"")?)?;
        read(behind(object, b": ")?, Some(key)).filter(|_| key == name)
    };
    object().is_some_and(|(_, rest)| rest.is_empty())
}

/// Reads an object; `None` for all others.
#[inline]
pub fn parse(object: &[u8]) -> Option<Usual<'_>> {
    read(object, None).filter(|(_, rest)| rest.is_empty()).map(|(fields, _)| fields)
}

/// Reads the object that `input` begins with, and answers what follows it. Its name must be the one that is given, if any.
#[inline(always)]
fn read<'a>(input: &'a [u8], name: Option<&'a [u8]>) -> Option<(Usual<'a>, &'a [u8])> {
    let rest = behind(input, b"{\"name\": \"")?;
    let (name, rest) = match name {
        Some(name) => (name, behind(rest.strip_prefix(name)?, b"\"")?),
        None => text(rest)?,
    };
    let (mtime, rest) = digits(behind(rest, b", \"mtime\": \"")?)?;
    let (uidvalidity, rest) = digits(behind(rest, b", \"uidvalidity\": \"")?)?;
    let (createdmodseq, rest) = digits(behind(rest, b", \"createdmodseq\": \"")?)?;
    let (foldermodseq, rest) = digits(behind(rest, b", \"foldermodseq\": \"")?)?;
    let (mbtype, rest) = text(behind(rest, b", \"mbtype\": \"")?)?;
    let (partition, rest) = optional(rest, b", \"partition\": \"")?;
    let (server, rest) = optional(rest, b", \"server\": \"")?;
    let (acl, rest) = acl(behind(rest, b", \"acl\": {")?)?;
    let (uniqueid, rest) = optional(rest, b", \"uniqueid\": \"")?;
    let (jmap_id, rest) = optional(rest, b", \"jmapId\": \"")?;
    let rest = behind(rest, b", \"name_history\": []}")?;
    let usual = Usual {
        name,
        mtime,
        uidvalidity,
        createdmodseq,
        foldermodseq,
        mbtype,
        partition,
        server,
        acl,
        uniqueid,
        jmap_id,
    };
    Some((usual, rest))
}

/// What follows `mark`, if that is what `input` begins with.
#[inline(always)]
fn behind<'a, const LEN: usize>(input: &'a [u8], mark: &[u8; LEN]) -> Option<&'a [u8]> {
    input.split_first_chunk::<LEN>().filter(|(front, _)| *front == mark).map(|(_, rest)| rest)
}

/// A string that has `mark` in front, if that is there.
#[inline(always)]
fn optional<'a, const LEN: usize>(input: &'a [u8], mark: &[u8; LEN]) -> Option<(Option<&'a [u8]>, &'a [u8])> {
    match behind(input, mark) {
        Some(inside) => text(inside).map(|(text, rest)| (Some(text), rest)),
        None => Some((None, input)),
    }
}

/// The digits of a number as Cyrus prints it, and what follows the quote behind them.
#[inline(always)]
fn digits(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (digits, rest) = input.split_at_checked(digits_len(input))?;
    let canonical = !matches!(digits, [b'0', _, ..]) && (1..20).contains(&digits.len());
    behind(rest, b"\"").filter(|_| canonical).map(|rest| (digits, rest))
}

/// The members of an ACL up to its bracket, and what follows that.
#[inline(always)]
fn acl(input: &[u8]) -> Option<(UsualAcl<'_>, &[u8])> {
    if let Some(rest) = behind(input, b"}") {
        return Some((UsualAcl(b""), rest));
    }
    let mut rest = input;
    loop {
        let (_, after) = text(behind(rest, b"\"")?)?;
        let (_, after) = text(behind(after, b": \"")?)?;
        match after {
            [b',', b' ', next @ ..] => rest = next,
            [b'}', behind @ ..] => {
                let len = input.len().checked_sub(after.len())?;
                return Some((UsualAcl(input.get(..len)?), behind));
            }
            _ => return None,
        }
    }
}

impl<'a> From<Usual<'a>> for JsonFields<'a> {
    fn from(usual: Usual<'a>) -> Self {
        let pairs: Pairs<'a> =
            usual.acl.pairs().map(|(identifier, rights)| (identifier.into(), rights.into())).collect();
        JsonFields {
            name: Some(usual.name.into()),
            mtime: number(usual.mtime),
            uidvalidity: number(usual.uidvalidity),
            createdmodseq: number(usual.createdmodseq),
            foldermodseq: number(usual.foldermodseq),
            mbtype: Some(usual.mbtype.into()),
            partition: usual.partition.map(Into::into),
            server: usual.server.map(Into::into),
            acl: Some(pairs),
            uniqueid: usual.uniqueid.map(Into::into),
            jmap_id: usual.jmap_id.map(Into::into),
            ..JsonFields::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::json_plain;

    const USUAL: [&[u8]; 3] = [
        br#"{"name": "user.a^b.Sent Items", "mtime": "1655223049", "uidvalidity": "1654584238", "createdmodseq": "372", "foldermodseq": "2969", "mbtype": "e", "partition": "default", "acl": {"a": "lrs", "b": "lrs"}, "uniqueid": "e5", "jmapId": "P-F", "name_history": []}"#,
        br#"{"name": "user.a", "mtime": "1", "uidvalidity": "0", "createdmodseq": "0", "foldermodseq": "0", "mbtype": "er", "partition": "p", "server": "be1", "acl": {}, "name_history": []}"#,
        br#"{"name": "user.b", "mtime": "9999999999999999999", "uidvalidity": "2", "createdmodseq": "3", "foldermodseq": "4", "mbtype": "", "acl": {"b": ""}, "uniqueid": "", "name_history": []}"#,
    ];

    #[test]
    fn usual_objects_are_read_as_they_stand() {
        for object in USUAL {
            let fields = JsonFields::from(parse(object).unwrap());
            assert_eq!(Some(fields), json_plain::in_any_order(object));
        }
        let pairs: Vec<_> = parse(USUAL[0]).unwrap().acl.pairs().collect();
        assert_eq!(pairs, [(&b"a"[..], &b"lrs"[..]), (b"b", b"lrs")]);
        assert_eq!(parse(USUAL[1]).unwrap().acl.pairs().count(), 0);
    }

    #[test]
    fn objects_are_read_once_more_as_they_are_cut() {
        let long = |field: &str, len: usize| {
            let object = String::from_utf8_lossy(USUAL[1]);
            object.replacen(&format!("\"{field}\": \""), &format!("\"{field}\": \"{}", "x".repeat(len)), 1).into_bytes()
        };
        for (object, cut) in [
            (USUAL[0].to_vec(), false),
            (USUAL[1].to_vec(), true),
            (USUAL[2].to_vec(), true),
            (long("name", 1000), true),
            (long("server", 251), true),
            (long("server", 252), false),
            (long("mbtype", 5), true),
            (long("mbtype", 6), false),
        ] {
            let usual = parse(&object).unwrap();
            let again = usual.cuts().and_then(|cuts| Usual::again(&object, usual.name.len(), cuts));
            assert_eq!(again, cut.then_some(usual), "{}", object.escape_ascii());
        }
    }

    #[test]
    fn entries_are_those_of_their_names() {
        let entry = |name: &str| [b"\"", name.as_bytes(), b"\": ", USUAL[1]].concat();
        assert!(is_entry(&entry("user.a"), b"user.a"));
        assert!(!is_entry(&entry("user.a"), b"user.b"));
        assert!(!is_entry(&entry("user.b"), b"user.b"));
        assert!(!is_entry(&[entry("user.a"), b" ".to_vec()].concat(), b"user.a"));
        assert!(line(&[entry("user.a"), b",\n".to_vec()].concat()).is_some());
        for behind in ["", ",", "\n", ",\r\n", " ,\n"] {
            assert!(line(&[entry("user.a"), behind.into()].concat()).is_none(), "{behind:?}");
        }
        let nameless = USUAL[1].to_vec();
        let nameless = String::from_utf8(nameless).unwrap().replacen("user.a", "", 1);
        assert!(line(format!("\"\": {nameless},\n").as_bytes()).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn changed_objects_say_the_same(
            object in prop::sample::select(&USUAL[..]),
            at in any::<prop::sample::Index>(),
            removed in 0usize..20,
            with in prop::sample::select(&[
                "", " ", "\"", ",", "{", "}", "\n", "\\", "\0", "0", "9", "é", ", \"server\": \"b\"", "\": \"", "\", \"",
                ", \"b\": \"lrs\"",
            ][..]),
        ) {
            let mut object = object.to_vec();
            let at = at.index(object.len());
            object.splice(at..(at + removed).min(object.len()), with.bytes());
            if let Some(usual) = parse(&object) {
                let again = usual.cuts().map(|cuts| Usual::again(&object, usual.name.len(), cuts));
                prop_assert_eq!(again, usual.cuts().map(|_| Some(usual)));
                prop_assert_eq!(Some(JsonFields::from(usual)), json_plain::in_any_order(&object));
            }
        }
    }
}
