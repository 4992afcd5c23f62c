//! What a user means by a key.

use crate::formats::record::{Key, KeyStyle, Name};

/// The keys that match what a user typed: the key itself, and, since people know mailboxes by name, the key that the
/// mailbox of this internal name has since 3.6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedKey {
    spellings: Vec<Vec<u8>>,
}

impl WantedKey {
    /// For a key or an internal name.
    pub fn new(typed: &[u8]) -> Self {
        let prefixed = Key::Mailbox(Name::internal(typed)).encode(KeyStyle::Prefixed);
        WantedKey { spellings: [typed.to_vec()].into_iter().chain(prefixed).collect() }
    }

    /// Whether `key` is one of them.
    pub fn is(&self, key: &[u8]) -> bool {
        self.spellings.iter().any(|spelling| spelling == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_its_key_of_any_era() {
        let wanted = WantedKey::new(b"example.com!user.a^b");
        assert!(wanted.is(b"example.com!user.a^b") && wanted.is(b"Nexample.com\x1duser\x1fa.b"));
        assert!(!wanted.is(b"Nexample.com!user.a^b") && !wanted.is(b""));
        assert!(WantedKey::new(b"Nuser\x1fbob").is(b"Nuser\x1fbob"));
    }
}
