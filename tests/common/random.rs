//! Random histories: the same everywhere under the same seed.

/// SplitMix64: small, and the same numbers everywhere.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// One of several.
    pub fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }

    /// Keys from a small set, so that they are overwritten and deleted again, with neighbours of every kind.
    pub fn key(&mut self) -> Vec<u8> {
        let stem =
            self.pick(&["user", "user.bob", "user.bob.Sent", "user.bob-x", "Nuser\u{1f}zoë", "DELETED.user", "~"]);
        let mut key = stem.as_bytes().to_vec();
        if self.below(3) > 0 {
            key.extend_from_slice(self.pick(&[".", ".a", "\u{1f}", "/", "é", "Z", "-", " ", "+"]).as_bytes());
            key.extend_from_slice(self.below(9).to_string().as_bytes());
        }
        if self.below(12) == 0 {
            // No control bytes: Cyrus would take them, but no mailbox has them, and verify says so.
            key.extend_from_slice(self.pick(&[b"\xff".as_slice(), b"\x80", b"\xc3"]));
        }
        key
    }

    /// A short value, mostly; sometimes of odd bytes.
    pub fn value(&mut self) -> Vec<u8> {
        let len = match self.below(10) {
            0 => 0,
            1 => self.below(3000),
            _ => self.below(60),
        };
        let odd = self.below(4) == 0;
        // NUL is left out: cyr_dbtool prints with a format that stops there.
        (0..len).map(|_| if odd { 1 + self.below(255) as u8 } else { b'a' + self.below(26) as u8 }).collect()
    }
}
