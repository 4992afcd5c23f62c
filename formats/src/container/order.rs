//! Key order is a value: three comparators that Cyrus used, and the tally of which of them a file keeps.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

/// A comparator that Cyrus keeps keys sorted by.
///
/// Skiplist files were written with all three, and the file does not say which (`lib/bsearch.c`: `bsearch_ncompare_raw`,
/// `bsearch_ncompare_mbox`; `lib/cyrusdb_skiplist.c`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum KeyOrder {
    /// Bytes as i8, on equal prefix the shorter first: skiplist where C's `char` is signed (x86).
    Signed,
    /// Bytes as u8, on equal prefix the shorter first: twoskip everywhere, skiplist where `char` is unsigned (ARM, POWER).
    Unsigned,
    /// Bytes through a table that puts TAB, LF and '.' before all others: flat, and `improved_mboxlist_sort`.
    Mbox,
}

impl KeyOrder {
    /// All orders, in the order of preference when several fit.
    pub const ALL: [KeyOrder; 3] = [KeyOrder::Signed, KeyOrder::Unsigned, KeyOrder::Mbox];

    /// The word used by `--order` and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyOrder::Signed => "signed",
            KeyOrder::Unsigned => "unsigned",
            KeyOrder::Mbox => "mbox",
        }
    }

    /// Where a byte stands among bytes.
    #[inline]
    pub fn rank(self, byte: u8) -> u8 {
        match self {
            KeyOrder::Signed => byte ^ 0x80,
            KeyOrder::Unsigned => byte,
            KeyOrder::Mbox => mbox_rank(byte),
        }
    }

    /// Compares two keys.
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        if self == KeyOrder::Unsigned {
            return a.cmp(b);
        }
        let (mut rest_a, mut rest_b) = (a, b);
        // Bytes can differ and rank alike, so the first difference need not be the last word.
        while let Some((same, x, y)) = first_difference(rest_a, rest_b) {
            let answer = self.rank(x).cmp(&self.rank(y));
            if answer.is_ne() {
                return answer;
            }
            rest_a = rest_a.get(same + 1..).unwrap_or_default();
            rest_b = rest_b.get(same + 1..).unwrap_or_default();
        }
        a.len().cmp(&b.len())
    }
}

impl fmt::Display for KeyOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `lib/bsearch.c`, `mbox_compar`'s table: TAB and LF share rank 1, '.' is 2, 1..=8 move up by 2, the rest stays.
#[inline]
fn mbox_rank(byte: u8) -> u8 {
    match byte {
        b'\t' | b'\n' => 1,
        b'.' => 2,
        1..=8 => byte + 2,
        other => other,
    }
}

/// How many bytes two keys share in front, and the bytes in which they then differ; `None` if one starts with the other.
#[inline]
pub(crate) fn first_difference(a: &[u8], b: &[u8]) -> Option<(usize, u8, u8)> {
    let (words_a, _) = a.as_chunks::<8>();
    let (words_b, _) = b.as_chunks::<8>();
    let differ = |(x, y): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*x) != u64::from_ne_bytes(*y);
    let words = words_a.len().min(words_b.len());
    let same = 8 * words_a.iter().zip(words_b).position(differ).unwrap_or(words);
    let tails = a.get(same..)?.iter().zip(b.get(same..)?);
    let (more, (&x, &y)) = tails.enumerate().find(|(_, (x, y))| x != y)?;
    Some((same + more, x, y))
}

/// The hashes that are there more than once: those of keys that stand apart, which no comparator brings together.
pub(crate) fn repeated(mut hashes: Vec<u64>) -> BTreeSet<u64> {
    hashes.sort_unstable();
    hashes.windows(2).filter_map(|pair| pair.first().filter(|first| pair.last() == Some(first)).copied()).collect()
}

/// The first place where a comparator does not fit: two neighbours that stand the wrong way round (or are equal).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Misfit {
    /// Offset of the record in front.
    pub first: u64,
    /// Offset of the record behind it.
    pub second: u64,
}

/// Which comparators fit the keys seen so far, and where each of the others fails first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OrderTally {
    misfits: [Option<Misfit>; 3],
    pairs: u64,
}

impl OrderTally {
    /// Takes two neighbours of the file's own order, with the offsets of their records.
    #[inline]
    pub fn push(&mut self, (a, a_offset): (&[u8], u64), (b, b_offset): (&[u8], u64)) {
        self.pairs += 1;
        if ascend_plainly(a, b) {
            return;
        }
        let answers = KeyOrder::ALL.map(|order| order.compare(a, b));
        for (misfit, answer) in self.misfits.iter_mut().zip(answers) {
            if answer != Ordering::Less && misfit.is_none() {
                *misfit = Some(Misfit { first: a_offset, second: b_offset });
            }
        }
    }

    /// Takes two neighbours of which every comparator finds that they ascend.
    #[inline]
    pub fn push_ascending(&mut self) {
        self.pairs += 1;
    }

    /// Adds the tally of the keys that follow these.
    pub fn append(&mut self, later: &OrderTally) {
        self.pairs += later.pairs;
        for (mine, theirs) in self.misfits.iter_mut().zip(later.misfits) {
            *mine = mine.or(theirs);
        }
    }

    /// Whether no pair contradicts `order`.
    pub fn fits(&self, order: KeyOrder) -> bool {
        self.misfit(order).is_none()
    }

    /// The first pair that contradicts `order`.
    pub fn misfit(&self, order: KeyOrder) -> Option<Misfit> {
        let [signed, unsigned, mbox] = self.misfits;
        match order {
            KeyOrder::Signed => signed,
            KeyOrder::Unsigned => unsigned,
            KeyOrder::Mbox => mbox,
        }
    }

    /// The orders that fit, most likely first, `preferred` in front of all.
    pub fn fitting(&self, preferred: KeyOrder) -> Vec<KeyOrder> {
        let mut fitting: Vec<_> = KeyOrder::ALL.into_iter().filter(|&order| self.fits(order)).collect();
        fitting.sort_by_key(|&order| order != preferred);
        fitting
    }

    /// The order to read with: `preferred` if it fits or if none does, else the first that fits.
    pub fn best(&self, preferred: KeyOrder) -> KeyOrder {
        self.fitting(preferred).first().copied().unwrap_or(preferred)
    }
}

/// Whether every comparator finds that `b` stands behind `a`.
#[inline]
pub fn all_ascend(a: &[u8], b: &[u8]) -> bool {
    ascend_plainly(a, b) || KeyOrder::ALL.iter().all(|order| order.compare(a, b) == Ordering::Less)
}

/// Whether two keys differ first in bytes of which no comparator thinks otherwise than that they ascend.
#[inline]
fn ascend_plainly(a: &[u8], b: &[u8]) -> bool {
    first_difference(a, b).is_some_and(|(_, x, y)| x < y && plain(x) && plain(y))
}

/// Bytes that all three comparators rank alike among themselves.
#[inline]
fn plain(byte: u8) -> bool {
    (0x0B..0x80).contains(&byte) && byte != b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte by byte, as Cyrus compares.
    fn slowly(order: KeyOrder, a: &[u8], b: &[u8]) -> Ordering {
        let ranks = |key: &[u8]| key.iter().map(|&byte| order.rank(byte)).collect::<Vec<_>>();
        ranks(a).cmp(&ranks(b))
    }

    #[test]
    fn keys_compare_as_their_bytes_do() {
        let stems = ["", "user.anna", "user.anna.sub", "user\tanna", "user\nanna", "user.anna sub and more of it"];
        let ends = [
            &b""[..],
            b".",
            b"\x01",
            b"\x08",
            b"\t",
            b"\n",
            b"\t.",
            b"\n.",
            b"\x0B",
            b" ",
            b"-",
            b"a",
            b"\x80",
            b"\xFF",
        ];
        let keys: Vec<Vec<u8>> =
            stems.iter().flat_map(|stem| ends.map(|end| [stem.as_bytes(), end].concat())).collect();
        for order in KeyOrder::ALL {
            for a in &keys {
                for b in &keys {
                    assert_eq!(order.compare(a, b), slowly(order, a, b), "{order}: {a:?} and {b:?}");
                }
            }
        }
    }
}
