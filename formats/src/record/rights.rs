//! The rights of an access control list, and what became of them between versions.

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub struct Rights(u32);

/// All rights, in the order in which Cyrus writes them (`lib/acl.c`, `cyrus_acl_masktostr`).
pub const ALL: &[u8] = b"lrswipkxtecdan0123456789";

/// Rights that 2.3 and 2.4 know.
pub const UP_TO_2_4: &[u8] = b"lrswipkxtecda0123456789";

/// Rights that 2.2 and older know.
const UP_TO_2_2: &[u8] = b"lrswipcda0123456789";

/// The bit of each letter, by `letter - b'0'`; 0 for what is no right.
const BITS: [u32; 128] = {
    let mut bits = [0; 128];
    let mut index = 0;
    while index < ALL.len() {
        bits[ALL[index] as usize] = 1 << index;
        index += 1;
    }
    bits
};

#[inline]
fn bit(letter: u8) -> u32 {
    BITS.get(letter as usize).copied().unwrap_or_default()
}

/// Whether a letter is a right.
#[inline(always)]
pub(crate) fn is_right(letter: u8) -> bool {
    bit(letter) != 0
}

impl Rights {
    /// The letters that are rights; see [`Rights::first_unknown`] for the others.
    #[inline]
    pub fn new(letters: &[u8]) -> Rights {
        Rights(letters.iter().fold(0, |set, &letter| set | bit(letter)))
    }

    /// The first letter that no version knows as a right.
    #[inline]
    pub fn first_unknown(letters: &[u8]) -> Option<u8> {
        letters.iter().copied().find(|&letter| bit(letter) == 0)
    }

    /// Whether the right is in the set.
    #[inline]
    pub fn has(self, letter: u8) -> bool {
        self.0 & bit(letter) != 0
    }

    /// Whether any of these rights is in the set.
    #[inline]
    pub fn has_any(self, letters: &[u8]) -> bool {
        self.0 & Rights::new(letters).0 != 0
    }

    /// The same set with another right.
    pub fn with(self, letter: u8) -> Rights {
        Rights(self.0 | bit(letter))
    }

    /// The rights of either.
    pub fn union(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// The rights among `letters`.
    pub fn only(self, letters: &[u8]) -> Rights {
        Rights(self.0 & Rights::new(letters).0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The letters, in Cyrus' order.
    pub fn letters(self) -> Vec<u8> {
        ALL.iter().copied().filter(|&letter| self.has(letter)).collect()
    }

    /// The set that 2.2 and older have for it: `c` for k or x, `d` for x, t or e; k, x, t, e and n go.
    pub fn for_2_2(self) -> Rights {
        let mut rights = self.only(b"lrswipa0123456789");
        if self.has_any(b"ckx") {
            rights = rights.with(b'c');
        }
        if self.has_any(b"dxte") {
            rights = rights.with(b'd');
        }
        rights.only(UP_TO_2_2)
    }

    /// The set that 2.3 and later have for one of 2.2 and older: `c` stands for k, `d` for t and e, and the one that
    /// the option `deleteright` names (`c` by default) for x too.
    pub fn from_2_2(self, deleteright: u8) -> Rights {
        let mut rights = self;
        if self.has(b'c') {
            rights = rights.with(b'k');
        }
        if self.has(b'd') {
            rights = rights.with(b't').with(b'e');
        }
        if self.has(deleteright) {
            rights = rights.with(b'x');
        }
        rights
    }

    /// Whether 2.2 and older know all of it.
    pub fn fits_2_2(self) -> bool {
        self.only(UP_TO_2_2) == self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(letters: &str) -> String {
        String::from_utf8(Rights::new(letters.as_bytes()).for_2_2().letters()).unwrap()
    }

    #[test]
    fn rights_of_old_and_new_versions_stand_for_each_other() {
        assert_eq!(converted("lrswipkxtecdan"), "lrswipcda");
        assert_eq!(converted("lrsk9"), "lrsc9");
        assert_eq!(converted("lrsx"), "lrscd");
        assert_eq!(converted("lrst"), "lrsd");
        let new = |letters: &str, deleteright| Rights::new(letters.as_bytes()).from_2_2(deleteright).letters();
        assert_eq!(new("lrswipcda", b'c'), b"lrswipkxtecda");
        assert_eq!(new("lrsc", b'd'), b"lrskc");
        assert_eq!(new("lrsd", b'd'), b"lrsxted");
    }

    #[test]
    fn letters_that_are_no_rights_are_told() {
        assert_eq!(Rights::first_unknown(b"lrswipkxtecdan0123456789"), None);
        assert_eq!(Rights::first_unknown(b"lrsZ"), Some(b'Z'));
        assert_eq!(Rights::first_unknown(b"-lrs"), Some(b'-'));
        assert_eq!(Rights::first_unknown(b"l\xC3"), Some(0xC3));
        assert!(Rights::new(b"lrs").fits_2_2() && !Rights::new(b"lrsk").fits_2_2());
    }
}
