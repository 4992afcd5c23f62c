//! Whose list a file is, as far as the lists of a murder tell of each other.

use std::collections::BTreeMap;

use super::account::{Account, Side};
use super::reading::{Lookup, Reading};
use crate::formats::record::{Entry, Key};

/// Mailboxes of a backend that are looked up in a master's or frontend's list.
const SAMPLE: usize = 2000;

/// What a file is good for.
#[derive(Clone, Debug)]
pub struct Witness {
    /// What kind of list it is.
    pub account: Account,
    /// Mailboxes in it.
    pub mailboxes: u64,
    /// When the last of its records was written, in seconds since 1970; 0 if none tells.
    pub newest: u64,
    /// Whether nothing is wrong with the file.
    pub sound: bool,
}

impl Witness {
    /// Looks at a list.
    pub fn of(reading: &Reading<'_, '_>) -> Self {
        let account = Account::of(reading);
        let (mut mailboxes, mut newest) = (0, 0);
        reading.each(|record| {
            if let Some(entry) = account.mailbox(&record).filter(|entry| !entry.is_tombstone()) {
                mailboxes += 1;
                newest = newest.max(entry.mtime.unwrap_or_default());
            }
        });
        Witness { account, mailboxes, newest, sound: reading.findings.is_clean() }
    }

    /// Whether it lists mailboxes of other hosts: a master's list, a frontend's, or a dump of one.
    pub fn is_elsewhere(&self) -> bool {
        self.account.side == Some(Side::Elsewhere)
    }

    /// How good a witness it is: sound ones before damaged ones, newer before older, fuller before emptier.
    pub fn worth(&self) -> (bool, u64, u64) {
        (self.sound, self.newest, self.mailboxes)
    }
}

/// The server that a master's or frontend's list has most mailboxes of a backend's list on; `None` if it does not know them.
pub fn server_of(own: &Reading<'_, '_>, witness: &Witness, other: &Lookup<'_, '_>, list: &Account) -> Option<Vec<u8>> {
    let mut votes: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let each = SAMPLE.div_ceil(own.parts());
    for part in 0..own.parts() {
        let mut looked = 0;
        own.walk(part, &mut |record| {
            let Some(entry) = witness.account.mailbox(&record).filter(is_here) else { return true };
            looked += 1;
            if let Some(key) = Key::Mailbox(entry.name.clone()).encode(list.origin.style.keys)
                && let Some(found) = other.get(&key)
                && let Some(known) = list.mailbox(&found)
                && let Some(server) = &known.server
                && known.acl.same_pairs(&entry.acl)
            {
                *votes.entry(server.to_vec()).or_default() += 1;
            }
            looked < each
        });
    }
    let all: usize = votes.values().sum();
    let best = votes.into_iter().max_by_key(|(_, count)| *count)?;
    (best.1 * 10 >= all * 6).then_some(best.0)
}

fn is_here(entry: &Entry<'_>) -> bool {
    entry.is_local() && !entry.is_tombstone() && !entry.is_intermediate() && !entry.is_reserved()
}
