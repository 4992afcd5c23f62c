//! The values that nearly all of a murder's lists consist of, taken apart without making entries of them.
//!
//! Mail mailboxes of 3.6 and later without any flag but remote, as Cyrus writes them, with bare words:
//! `%(T e I … [J …] P … V … C … F … M … A %(…))` here, `%(T er [I NIL J NIL] P … S … M … A %(…))` elsewhere. Whatever else there
//! is has to be decoded.

/// What such a value says, as it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ordinary<'v> {
    /// Partition.
    pub partition: &'v [u8],
    /// Server; `None` for a mailbox of the list's own host.
    pub server: Option<&'v [u8]>,
    /// Time of the last write, in digits.
    pub mtime: &'v [u8],
    /// What stands between `%(` and `)`.
    pub acl: &'v [u8],
}

impl<'v> Ordinary<'v> {
    /// Takes a value apart; `None` if it is not of that kind.
    #[inline]
    pub fn of(value: &'v [u8]) -> Option<Self> {
        let rest = value.strip_prefix(b"%(T e")?;
        if let Some(rest) = rest.strip_prefix(b"r ") {
            let rest = rest.strip_prefix(b"I NIL J NIL ").unwrap_or(rest);
            let (partition, rest) = word(rest.strip_prefix(b"P ")?)?;
            let (server, rest) = word(rest.strip_prefix(b"S ")?)?;
            return tail(rest).map(|(mtime, acl)| Ordinary { partition, server: Some(server), mtime, acl });
        }
        let (_, mut rest) = word(rest.strip_prefix(b" I ")?)?;
        if let Some(behind) = rest.strip_prefix(b"J ") {
            rest = behind.strip_prefix(b"NIL ").map_or_else(|| word(behind).map(|(_, rest)| rest), Some)?;
        }
        let (partition, mut rest) = word(rest.strip_prefix(b"P ")?)?;
        for letter in [b"V ", b"C ", b"F "] {
            if let Some(behind) = rest.strip_prefix(letter) {
                rest = number(behind)?.1;
            }
        }
        tail(rest).map(|(mtime, acl)| Ordinary { partition, server: None, mtime, acl })
    }

    /// Adds to `out` the value that a master or frontend has of a mailbox on `server`, which has to be a bare word.
    pub fn write_remote(&self, server: &[u8], with_nil: bool, out: &mut Vec<u8>) {
        let nil: &[u8] = if with_nil { b"I NIL J NIL " } else { b"" };
        let before =
            [&b"%(T er "[..], nil, b"P ", self.partition, b" S ", server, b" M ", self.mtime, b" A %(", self.acl];
        before.iter().for_each(|part| out.extend_from_slice(part));
        out.extend_from_slice(b"))");
    }

    /// Whether `other`, a master's or frontend's value, says the same of where the mailbox is and who may do what: this one is
    /// of a mailbox of `server`.
    #[inline]
    pub fn is_told_in(&self, server: &[u8], other: &[u8]) -> bool {
        let located = || {
            let rest = other.strip_prefix(b"%(T er ")?;
            let rest = rest.strip_prefix(b"I NIL J NIL ").unwrap_or(rest);
            let rest = rest.strip_prefix(b"P ")?.strip_prefix(self.partition)?;
            rest.strip_prefix(b" S ")?.strip_prefix(server)?.strip_prefix(b" M ")
        };
        let behind = || located()?.strip_suffix(b"))")?.strip_suffix(self.acl)?.strip_suffix(b" A %(");
        behind().is_some_and(is_number) && is_word(server)
    }
}

/// Whether `bytes` can stand in a value as a bare word.
pub fn is_word(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes != b"NIL" && bytes.iter().all(|byte| is_plain(*byte))
}

/// Bytes that no reader takes for anything else.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let others = b"-._+@=:";
    let mut byte = 0;
    while byte < 128 {
        plain[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        plain[others[index] as usize] = true;
        index += 1;
    }
    plain
};

#[inline(always)]
fn is_plain(byte: u8) -> bool {
    PLAIN[byte as usize]
}

/// A bare word that is not `NIL`, and what follows the space behind it.
#[inline(always)]
fn word(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = input.iter().position(|byte| !is_plain(*byte))?;
    let (word, rest) = input.split_at_checked(len)?;
    let rest = rest.strip_prefix(b" ")?;
    (len > 0 && word != b"NIL").then_some((word, rest))
}

/// A number as Cyrus writes it, not 0, and what follows the space behind it.
#[inline]
fn number(input: &[u8]) -> Option<(&[u8], &[u8])> {
    word(input).filter(|(digits, _)| is_number(digits))
}

fn is_number(digits: &[u8]) -> bool {
    let short = !digits.is_empty() && digits.len() < 19;
    short && digits.first() != Some(&b'0') && digits.iter().all(u8::is_ascii_digit)
}

/// `M … A %(…))`: the time, and the pairs if they are all of bare words.
#[inline]
fn tail(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mtime, rest) = number(input.strip_prefix(b"M ")?)?;
    let acl = rest.strip_prefix(b"A %(")?.strip_suffix(b"))")?;
    is_paired(acl).then_some((mtime, acl))
}

/// Whether it is bare words with single spaces between them, as many as it takes for pairs.
#[inline]
fn is_paired(acl: &[u8]) -> bool {
    let (mut len, mut words) = (0usize, 0usize);
    for (index, &byte) in acl.iter().enumerate() {
        if is_plain(byte) {
            words += usize::from(len == 0);
            len += 1;
        } else if byte == b' ' && len > 0 && acl.get(index - len..index) != Some(b"NIL") {
            len = 0;
        } else {
            return false;
        }
    }
    let last = acl.len().checked_sub(len).and_then(|start| acl.get(start..));
    acl.is_empty() || len > 0 && words % 2 == 0 && last != Some(b"NIL")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::record::{Style, decode};

    #[test]
    fn what_is_taken_apart_is_what_is_decoded() {
        let values: [&[u8]; 12] = [
            b"%(T e I abc P default V 5 C 1 F 2 M 1700000000 A %(anna lrs anyone p))",
            b"%(T e I abc J P-F P p2 V 5 C 1 F 2 M 1700000000 A %())",
            b"%(T e I abc J NIL P p2 M 1700000000 A %(-eve lrs))",
            b"%(T er P default S be1.example.com M 1700000000 A %(anna lrs))",
            b"%(T er I NIL J NIL P default S be1 M 1 A %())",
            b"%(T ed I abc V 5 M 1 A %())",
            b"%(T er P \"\" S be1 M 1 A %(a l))",
            b"%(T er P p S be1 M 1 A %(a))",
            b"%(T er P p S be1 M 1 A %(\"a b\" l))",
            b"%(T er P p S be1 M 0 A %(a l))",
            b"%(T er P p S be1 M 1 A %(a l) X y)",
            b"%(T e P p M 1 A %(a l))",
        ];
        for (number, value) in values.into_iter().enumerate() {
            let found = Ordinary::of(value);
            assert_eq!(found.is_some(), number < 5, "{}", String::from_utf8_lossy(value));
            let Some(found) = found else { continue };
            let entry = decode(b"Nuser\x1Fa", value, &Style::NEW).entry.expect("an entry");
            assert_eq!(entry.partition.as_deref(), Some(found.partition));
            assert_eq!(entry.server.as_deref(), found.server);
            assert_eq!(entry.acl.as_bytes(), found.acl);
            assert_eq!(entry.mtime.map(|time| time.to_string().into_bytes()), Some(found.mtime.to_vec()));
        }
    }

    #[test]
    fn what_a_master_is_told_is_known_again() {
        let own =
            Ordinary::of(b"%(T e I abc P default V 5 C 1 F 2 M 1700000000 A %(anna lrs anyone p))").expect("ordinary");
        for with_nil in [true, false] {
            let mut told = Vec::new();
            own.write_remote(b"be1", with_nil, &mut told);
            let known = Ordinary::of(&told).expect("ordinary");
            assert_eq!((known.partition, known.server, known.acl), (own.partition, Some(&b"be1"[..]), own.acl));
            assert!(own.is_told_in(b"be1", &told));
            assert!(!own.is_told_in(b"be", &told) && !own.is_told_in(b"be1.x", &told));
            // Whatever byte is changed, it says something else, or nothing: but for the time.
            let time = told.windows(10).position(|bytes| bytes == b"1700000000").expect("a time");
            for at in (0..told.len()).filter(|at| !(time..time + 10).contains(at)) {
                let mut other = told.clone();
                other[at] ^= 1;
                assert!(!own.is_told_in(b"be1", &other), "{at}");
            }
            told[time + 9] = b'5';
            assert!(own.is_told_in(b"be1", &told));
        }
        assert!(!own.is_told_in(b"be1", b"%(T er P default S be1 M 0 A %(anna lrs anyone p))"));
        assert!(!own.is_told_in(b"a b", b"%(T er P default S a b M 1 A %(anna lrs anyone p))"));
    }
}
