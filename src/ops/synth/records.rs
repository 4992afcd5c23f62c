//! The records of an invented site, as a given release would write them on a given host.

use std::borrow::Cow;

use super::Options;
use super::planted::{PLANTED, is_on_next};
use super::population::{Population, Spot};
use crate::formats::record::{Acl, Entry, Family, Flag, MbType, Name, Numbering, Under, encode};
use crate::ops::merge::settle::Class;

/// What role the host plays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Every mailbox is here.
    Backend,
    /// No mailbox is here: a frontend or the mupdate master, which hold the same records.
    Remote,
}

/// A release whose records are imitated. Later ones sort behind earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Release {
    /// Text values, rights of 2.0 to 2.2.
    V2_2,
    /// Text values, rights since 2.3.
    V2_4,
    /// Dlist values under plain names.
    V2_5,
    /// The same, with a folder modseq.
    V3_0,
    /// The same, with `$RUNQ` keys.
    V3_4,
    /// N and I records.
    V3_6,
    /// The same, with names quoted.
    V3_12,
}

impl Release {
    fn has_prefixed_keys(self) -> bool {
        self >= Release::V3_6
    }

    fn numbering(self) -> Numbering {
        if self.has_prefixed_keys() { Numbering::New } else { Numbering::Old }
    }
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The records of a site in key order.
pub struct Records {
    site: Population,
    options: Options,
    /// Mailboxes by uniqueid, where records are kept by that too.
    by_id: Vec<(u128, Spot)>,
}

impl Records {
    /// Prepares the records that `options` ask for; holds 32 bytes a mailbox where records are kept by uniqueid too.
    pub fn new(options: Options) -> Self {
        let site = Population { mailboxes: options.mailboxes, seed: options.seed };
        let indexed = options.role == Role::Backend && options.release >= Release::V3_4;
        let mut records = Records { site, options, by_id: Vec::new() };
        let spots = site.spots().filter(|spot| indexed && records.is_here(*spot));
        let mut by_id: Vec<_> = spots.map(|spot| (records.uniqueid(spot), spot)).collect();
        by_id.sort_unstable();
        records.by_id = by_id;
        records
    }

    /// The backend that a mailbox is on, from 0.
    fn home(&self, spot: Spot) -> u64 {
        self.site.dice(spot, 13) % self.servers()
    }

    fn servers(&self) -> u64 {
        u64::from(self.options.servers.max(1))
    }

    /// What is planted about a mailbox.
    fn planted(&self, spot: Spot) -> Option<Class> {
        let one_in = u64::from(self.options.conflicts?.get());
        let hit = self.site.dice(spot, 30).is_multiple_of(one_in);
        let kind = (self.site.dice(spot, 31) % PLANTED.len() as u64) as usize;
        PLANTED.get(kind).copied().filter(|_| hit)
    }

    /// Whether this host has a record of a mailbox.
    fn is_here(&self, spot: Spot) -> bool {
        let Some(server) = self.options.server else { return true };
        let (home, own) = (self.home(spot), u64::from(server.saturating_sub(1)));
        match self.planted(spot) {
            Some(planted) if is_on_next(planted) && (home + 1) % self.servers() == own => true,
            Some(Class::Gone) => false,
            _ => home == own,
        }
    }

    /// Whether this host is the one that a mailbox is on.
    fn is_home(&self, spot: Spot) -> bool {
        self.options.server.is_none_or(|server| self.home(spot) == u64::from(server.saturating_sub(1)))
    }

    /// All that is planted: internal name and kind, in key order.
    pub fn all_planted(&self) -> impl Iterator<Item = (String, Class)> + '_ {
        let planted = self.site.spots().filter_map(|spot| Some((spot, self.planted(spot)?)));
        planted.map(|(spot, planted)| (self.site.mailbox(spot).elements.join("."), planted))
    }

    fn uniqueid(&self, spot: Spot) -> u128 {
        let own = !self.is_home(spot) && self.planted(spot) == Some(Class::TwoOwners);
        uniqueid(self.site, spot) ^ u128::from(own) << 64
    }

    /// All records in key order.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> + Clone + '_ {
        let marker = (self.options.release == Release::V3_4).then(|| (b"$RUNQ".to_vec(), b"1".to_vec()));
        let by_id = self.by_id.iter().map(|&(_, spot)| self.under_uniqueid(spot));
        let spots = self.site.spots().filter(|spot| self.is_here(*spot));
        marker.into_iter().chain(by_id).chain(spots.map(|spot| self.under_name(spot)))
    }

    fn under_uniqueid(&self, spot: Spot) -> Pair {
        let entry = self.entry(spot, Under::Uniqueid);
        let id = entry.uniqueid.as_deref().unwrap_or_default();
        if self.options.release.has_prefixed_keys() {
            return ([b"I", id].concat(), encode(&entry, Numbering::New));
        }
        ([b"$RUNQ$", id, b"$", &entry.name.to_internal()].concat(), Vec::new())
    }

    fn under_name(&self, spot: Spot) -> Pair {
        let entry = self.entry(spot, Under::Name);
        let value = encode(&entry, self.options.release.numbering());
        let key = match self.options.release.has_prefixed_keys() {
            true => [b"N", &*entry.name.to_db()].concat(),
            false => entry.name.to_internal().into_owned(),
        };
        (key, value)
    }

    fn entry(&self, spot: Spot, under: Under) -> Entry<'_> {
        let (site, release) = (self.site, self.options.release);
        let mailbox = site.mailbox(spot);
        let family = if release < Release::V2_5 { Family::L1 } else { Family::Dlist };
        let mut entry = Entry::new(family, Name::internal(mailbox.elements.join(".").into_bytes()));
        entry.under = under;
        entry.mbtype = MbType::default();
        entry.acl = self.acl(spot, &mailbox.owner);
        let partition: &[u8] = if site.dice(spot, 10) % 8 == 0 { b"archive" } else { b"default" };
        entry.partition = Some(Cow::Borrowed(partition));
        let created = 1_600_000_000 + site.dice(spot, 11) % 190_000_000;
        entry.mtime = (release >= Release::V2_5).then_some(created + site.dice(spot, 12) % 1_000_000);
        if self.options.role == Role::Remote {
            entry.mbtype = entry.mbtype.with(Flag::Remote);
            entry.server = Some(Cow::Owned(server_name(self.home(spot))));
            self.contradict_master(spot, &mut entry);
            return entry;
        }
        if release >= Release::V2_5 {
            entry.uniqueid = Some(Cow::Owned(spelt(release, self.uniqueid(spot)).into_bytes()));
            entry.uidvalidity = Some(created);
        }
        let modseq = site.dice(spot, 14) % 4_000 + 1;
        entry.foldermodseq = (release >= Release::V3_0).then_some(modseq);
        entry.createdmodseq = (release >= Release::V3_4).then_some(modseq.div_ceil(8));
        if under == Under::Uniqueid {
            entry.history_raw = Some(Cow::Borrowed(b""));
        }
        self.contradict_backend(spot, &mut entry);
        entry
    }

    /// What is planted in a master's entry.
    fn contradict_master(&self, spot: Spot, entry: &mut Entry<'_>) {
        match self.planted(spot) {
            Some(Class::Location) => {
                entry.server = Some(Cow::Owned(server_name((self.home(spot) + 1) % self.servers())));
            }
            Some(Class::Reserved) => {
                entry.mbtype = entry.mbtype.with(Flag::Reserved);
                entry.acl = Acl::default();
            }
            Some(Class::Acl) => entry.acl = Acl::from_pairs([("anyone", "l")]),
            Some(Class::Partition) => entry.partition = Some(Cow::Borrowed(b"former")),
            _ => {}
        }
    }

    /// What is planted in a backend's entry.
    fn contradict_backend(&self, spot: Spot, entry: &mut Entry<'_>) {
        match self.planted(spot) {
            _ if self.options.server.is_none() || !self.is_home(spot) => return,
            Some(Class::Moving) => {
                entry.mbtype = entry.mbtype.with(Flag::Moving).with(Flag::Remote);
                entry.server = Some(Cow::Owned(server_name((self.home(spot) + 1) % self.servers())));
                return;
            }
            Some(Class::Tombstone) => entry.mbtype = entry.mbtype.with(Flag::Deleted),
            Some(Class::Intermediate) => entry.mbtype = entry.mbtype.with(Flag::Intermediate),
            _ => return,
        }
        (entry.partition, entry.acl) = (None, Acl::default());
    }

    fn acl(&self, spot: Spot, owner: &str) -> Acl<'static> {
        let all = if self.options.release == Release::V2_2 { "lrswipcda" } else { "lrswipkxtecda" };
        let dice = self.site.dice(spot, 15);
        let mut pairs = match spot {
            Spot::Shared(_) => vec![(format!("group:{owner}"), "lrswip"), ("anyone".to_owned(), "lrs")],
            _ => vec![(owner.to_owned(), all)],
        };
        if dice.is_multiple_of(10) {
            pairs.push(("anyone".to_owned(), "p"));
        }
        if dice % 16 == 1 {
            pairs.push(("postmaster".to_owned(), "lrswipd"));
        }
        pairs.dedup_by(|a, b| a.0 == b.0);
        Acl::from_pairs(pairs)
    }
}

/// The name of a backend, counted from 0.
fn server_name(number: u64) -> Vec<u8> {
    format!("be{}.example.com", number + 1).into_bytes()
}

fn uniqueid(site: Population, spot: Spot) -> u128 {
    u128::from(site.dice(spot, 20)) << 64 | u128::from(site.dice(spot, 21))
}

/// A uniqueid as a release spells it; sorts as the number does.
fn spelt(release: Release, id: u128) -> String {
    let hex = format!("{id:032x}");
    if release == Release::V3_6 {
        // 24 characters, here of the first 16 letters and digits only.
        return hex.chars().take(24).collect();
    }
    let cuts = [0, 8, 12, 16, 20, 32];
    let groups = cuts.windows(2).filter_map(|cut| hex.get(*cut.first()?..*cut.last()?));
    groups.collect::<Vec<_>>().join("-")
}
