//! JMAP ids: what 3.13 makes of a mailbox's created modseq (genuine 3.13.7: 1 is `P-F`, 2 `P-V`, 4 `P0-`).

use std::borrow::Cow;

use crate::formats::record::{Entry, Era};

const ALPHABET: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// The id of a mailbox created at this modseq: `P`, and the modseq's bytes in base 64 without padding.
pub fn id_of(createdmodseq: u64) -> Vec<u8> {
    let bytes = createdmodseq.to_be_bytes();
    let from = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len() - 1);
    let mut id = vec![b'P'];
    for three in bytes[from..].chunks(3) {
        let word = three.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        let digits = (0..=three.len()).map(|place| word >> (18 - 6 * place) & 63);
        id.extend(digits.map(|digit| ALPHABET[digit as usize]));
    }
    id
}

/// Gives an entry of 3.13 the id that follows from its created modseq, if it has none.
pub fn complete(entry: &mut Entry<'_>, era: Era) {
    if era < Era::V3_13 || entry.jmapid.is_some() || entry.uniqueid.is_none() {
        return;
    }
    let created = entry.createdmodseq.filter(|&modseq| modseq != 0);
    entry.jmapid = created.map(|modseq| Cow::Owned(id_of(modseq)));
}

#[cfg(test)]
mod tests {
    use super::id_of;

    #[test]
    fn ids_are_those_of_3_13() {
        let ids = [1, 2, 3, 4, 5].map(|modseq| String::from_utf8(id_of(modseq)).unwrap());
        assert_eq!(ids, ["P-F", "P-V", "P-k", "P0-", "P0F"]);
        assert_eq!(id_of(0x0001_0203), b"P-F72");
        assert!((0..5000).map(id_of).collect::<std::collections::BTreeSet<_>>().len() == 5000);
    }
}
