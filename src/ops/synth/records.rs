//! The records of an invented site, as a given release would write them on a given host.

use std::borrow::Cow;

use super::Options;
use super::population::{Population, Spot};
use crate::formats::record::{Acl, Entry, Family, Flag, MbType, Name, Numbering, Under, encode};

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
        let mut by_id: Vec<_> = site.spots().filter(|_| indexed).map(|spot| (uniqueid(site, spot), spot)).collect();
        by_id.sort_unstable();
        Records { site, options, by_id }
    }

    /// All records in key order.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> + Clone + '_ {
        let marker = (self.options.release == Release::V3_4).then(|| (b"$RUNQ".to_vec(), b"1".to_vec()));
        let by_id = self.by_id.iter().map(|&(_, spot)| self.under_uniqueid(spot));
        marker.into_iter().chain(by_id).chain(self.site.spots().map(|spot| self.under_name(spot)))
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
            let server = format!("be{}.example.com", site.dice(spot, 13) % u64::from(self.options.servers.max(1)) + 1);
            entry.server = Some(Cow::Owned(server.into_bytes()));
            return entry;
        }
        if release >= Release::V2_5 {
            entry.uniqueid = Some(Cow::Owned(spelt(release, uniqueid(site, spot)).into_bytes()));
            entry.uidvalidity = Some(created);
        }
        let modseq = site.dice(spot, 14) % 4_000 + 1;
        entry.foldermodseq = (release >= Release::V3_0).then_some(modseq);
        entry.createdmodseq = (release >= Release::V3_4).then_some(modseq.div_ceil(8));
        if under == Under::Uniqueid {
            entry.history_raw = Some(Cow::Borrowed(b""));
        }
        entry
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
