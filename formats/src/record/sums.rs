//! Sums of hashes that are equal when two sets of records belong together: no look-up as long as all is well.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128_with_seed};

use super::check::Context;
use super::decode::Decoded;
use super::entry::{Entry, Under};
use super::key::{Key, KeyStyle, Scope};
use super::mbtype::Numbering;
use super::name::{Form, Name};
use super::ordinary::Said;
use super::rights::Rights;

/// Sums over the records of a database, in whatever order they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    /// Live mailboxes with a uniqueid, and the live records under uniqueids.
    pub(crate) live: Pair,
    /// Tombstones with a uniqueid; tombstones under uniqueids, and those in the history of live records.
    pub(crate) tombstones: Pair,
    /// Mailboxes with a JMAP id, and the records under JMAP ids.
    pub(crate) jmap: Pair,
    /// Rights that need a reverse-ACL key, and the keys.
    pub(crate) reverse_acls: Pair,
    /// Mailboxes with a uniqueid, and the keys of 3.4's index.
    pub(crate) uniqueid_index: Pair,
    /// Hashes of the uniqueids of live mailboxes, where no index would show that two are the same.
    pub(crate) uniqueids: Vec<u64>,
}

/// Two sums that should be equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    wanted: u128,
    found: u128,
}

impl Pair {
    pub(crate) fn agrees(self) -> bool {
        self.wanted == self.found
    }

    fn merge(&mut self, other: Pair) {
        self.wanted = self.wanted.wrapping_add(other.wanted);
        self.found = self.found.wrapping_add(other.found);
    }

    #[inline]
    fn want(&mut self, hash: u128) {
        self.wanted = self.wanted.wrapping_add(hash);
    }

    #[inline]
    fn find(&mut self, hash: u128) {
        self.found = self.found.wrapping_add(hash);
    }
}

/// Hashes a name in its db form, so that both forms of a name hash alike.
#[inline]
pub(crate) fn hash_name(name: &Name<'_>, seed: u64) -> u64 {
    match name.form() {
        Form::Db => xxh3_64_with_seed(name.as_bytes(), seed),
        Form::Internal => xxh3_64_with_seed(&name.to_db(), seed),
    }
}

/// Hashes what a mailbox's two records should both say: T, P, S, V, F, C and A.
#[inline]
pub(crate) fn hash_fields(entry: &Entry<'_>, seed: u64) -> u128 {
    let number = |number: Option<u64>| number.unwrap_or_default();
    let numbers = [number(entry.uidvalidity), number(entry.foldermodseq), number(entry.createdmodseq)];
    let mbtype = entry.mbtype.number(Numbering::New);
    let partition = entry.partition.as_deref().unwrap_or_default();
    hash_said(partition, entry.server.as_deref(), numbers, mbtype, entry.acl.as_bytes(), seed)
}

/// The same of the fields one by one; the numbers are V, F and C.
#[inline]
fn hash_said(
    partition: &[u8],
    server: Option<&[u8]>,
    [uidvalidity, foldermodseq, createdmodseq]: [u64; 3],
    mbtype: u32,
    acl: &[u8],
    seed: u64,
) -> u128 {
    let place = xxh3_64_with_seed(partition, seed);
    let place = server.map_or(place, |server| xxh3_64_with_seed(server, place));
    let mix =
        uidvalidity ^ foldermodseq.rotate_left(21) ^ createdmodseq.rotate_left(42) ^ u64::from(mbtype).rotate_left(54);
    xxh3_128_with_seed(acl, place ^ mix.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Hashes a reverse-ACL key.
#[inline]
pub(crate) fn hash_right(scope: Scope, user: &[u8], name: &Name<'_>) -> u64 {
    hash_name(name, xxh3_64_with_seed(user, scope as u64))
}

/// Hashes a uniqueid.
#[inline]
pub(crate) fn hash_id(uniqueid: &[u8]) -> u64 {
    xxh3_64(uniqueid)
}

#[inline]
fn widen(hash: u64) -> u128 {
    let wide = u128::from(hash);
    wide.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) ^ wide.rotate_left(64)
}

/// Calls `take` with each identifier of a mailbox's ACL that needs a reverse-ACL key (`imap/mboxlist.c`,
/// `mboxlist_update_racl`): it may look up the mailbox (since 3.6: or read it), and is neither owner nor admin.
pub fn each_right(entry: &Entry<'_>, context: &Context, take: &mut dyn FnMut(&[u8])) {
    if entry.is_tombstone() || entry.acl.is_empty() {
        return;
    }
    let letters: &[u8] = if context.style.keys == KeyStyle::Prefixed { b"lr" } else { b"l" };
    let owner = entry.name.userid();
    for pair in entry.acl.pairs() {
        let owns = owner.as_deref() == Some(&pair.identifier[..]);
        let admin = context.admins.iter().any(|admin| admin[..] == pair.identifier[..]);
        if !owns && !admin && Rights::new(&pair.rights).has_any(letters) {
            take(&pair.identifier);
        }
    }
}

impl Sums {
    /// Takes a record.
    #[inline]
    pub(crate) fn push(&mut self, decoded: &Decoded<'_>, context: &Context) {
        match (&decoded.key, &decoded.entry) {
            (Key::Mailbox(_), Some(entry)) => self.push_mailbox(entry, context),
            (_, Some(entry)) => self.push_indexed(entry),
            (Key::ReverseAcl { scope, user, name }, _) => {
                self.reverse_acls.find(widen(hash_right(*scope, user, name)));
            }
            (Key::UniqueidIndex { uniqueid, name }, _) => {
                self.uniqueid_index.find(widen(hash_name(name, hash_id(uniqueid))));
            }
            _ => {}
        }
    }

    #[inline]
    fn push_mailbox(&mut self, entry: &Entry<'_>, context: &Context) {
        if let Some(uniqueid) = entry.uniqueid.as_deref() {
            let id = hash_id(uniqueid);
            if context.style.keys == KeyStyle::Plain {
                self.push_plain(entry, id, context);
            } else {
                let named = hash_name(&entry.name, id);
                match entry.is_tombstone() {
                    true => self.tombstones.want(widen(named)),
                    false => self.live.want(hash_fields(entry, named)),
                }
                if let Some(jmapid) = entry.jmapid.as_deref() {
                    self.jmap.want(widen(xxh3_64_with_seed(jmapid, named)));
                }
            }
        }
        if context.reverse_acls {
            let scope = Scope::of(&entry.name);
            let sum = &mut self.reverse_acls;
            each_right(entry, context, &mut |user| sum.want(widen(hash_right(scope, user, &entry.name))));
        }
    }

    /// Takes an ordinary record: of a mailbox, or under a uniqueid.
    #[inline(always)]
    pub(crate) fn push_ordinary(&mut self, said: &Said<'_>, indexed: bool) {
        let Some(uniqueid) = said.uniqueid else { return };
        let named = xxh3_64_with_seed(said.name, hash_id(uniqueid));
        let numbers = [said.uidvalidity, said.foldermodseq, said.createdmodseq];
        let fields = hash_said(said.partition, said.server, numbers, 0, said.acl, named);
        if indexed {
            return self.live.find(fields);
        }
        self.live.want(fields);
        if let Some(jmapid) = said.jmapid {
            self.jmap.want(widen(xxh3_64_with_seed(jmapid, named)));
        }
    }

    fn push_plain(&mut self, entry: &Entry<'_>, id: u64, context: &Context) {
        if !entry.is_tombstone() {
            self.uniqueids.push(id);
        }
        if context.uniqueid_index {
            self.uniqueid_index.want(widen(hash_name(&entry.name, id)));
        }
    }

    #[inline]
    fn push_indexed(&mut self, entry: &Entry<'_>) {
        let Some(uniqueid) = entry.uniqueid.as_deref() else { return };
        let id = hash_id(uniqueid);
        let named = hash_name(&entry.name, id);
        if entry.under == Under::Jmapid {
            let jmapid = entry.jmapid.as_deref().unwrap_or_default();
            return self.jmap.find(widen(xxh3_64_with_seed(jmapid, named)));
        }
        match entry.is_tombstone() {
            true => self.tombstones.find(widen(named)),
            false => self.live.find(hash_fields(entry, named)),
        }
        if entry.history_raw.as_deref().is_some_and(|history| !history.is_empty()) {
            for former in entry.history().filter(|former| former.mbtype.has(super::mbtype::Flag::Deleted)) {
                self.tombstones.find(widen(hash_name(&former.name, id)));
            }
        }
    }

    pub(crate) fn merge(&mut self, mut other: Sums) {
        self.live.merge(other.live);
        self.tombstones.merge(other.tombstones);
        self.jmap.merge(other.jmap);
        self.reverse_acls.merge(other.reverse_acls);
        self.uniqueid_index.merge(other.uniqueid_index);
        if self.uniqueids.is_empty() {
            std::mem::swap(&mut self.uniqueids, &mut other.uniqueids);
        }
        self.uniqueids.append(&mut other.uniqueids);
    }
}
