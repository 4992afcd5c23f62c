//! A witness' records, spelt as the database that is to be recovered spells its own, and as its host has them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::account::{Account, Side, records_of};
use super::convert::role::Host;
use super::reading::Reading;
use super::recover::{Recovered, Recovery};
use crate::formats::container::Record;
use crate::formats::record::{Entry, Era, FieldKey, Key, Role};

/// Whose name has to be known to convert the entries of one host to those of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// That of the host whose list is to be recovered.
    Subject,
    /// That of the host whose copy testifies.
    Witness,
}

/// The name of the host whose entries have none, and how it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Server {
    /// The user names it, perhaps against what mailboxes say: another server, that so many speak for.
    Told(Vec<u8>, Option<(Vec<u8>, u64)>),
    /// So many mailboxes that both copies agree on say so.
    Inferred(Vec<u8>, u64),
    /// It is not known; so many mailboxes speak for each of these.
    Unknown(BTreeMap<Vec<u8>, u64>),
}

impl Server {
    /// The name.
    pub fn name(&self) -> Option<&[u8]> {
        match self {
            Server::Told(name, _) | Server::Inferred(name, _) => Some(name),
            Server::Unknown(_) => None,
        }
    }
}

/// What was done to the entries of a witness of another role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conversion {
    /// What the witness is.
    pub side: Side,
    /// Whose entries name no server.
    pub whose: Whose,
    /// The name of that host.
    pub server: Server,
    /// Fields that a record of the database needs and that some of the converted ones lack.
    pub missing: Vec<FieldKey>,
    /// Mailboxes that are not in the database, left out because the witness does not know their partition.
    pub placeless: u64,
}

/// Why a backend's copy is taken for another backend's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stranger {
    /// Mailboxes that it and the database both have, with the same uniqueid, or else the same place and ACL.
    pub shared: u64,
    /// Mailboxes of the one of them that has fewer.
    pub of: u64,
}

/// What a witness has to say.
#[derive(Clone, Debug, Default)]
pub struct Heard<'a> {
    /// Its records, as the database has them.
    pub records: Vec<Record<'a>>,
    /// What was done to them, if the witness is of another role.
    pub conversion: Option<Conversion>,
    /// Set if it has nothing to say, since it is of another host.
    pub stranger: Option<Stranger>,
}

/// The server names that the user gives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'n> {
    /// That of the host whose local entries name no server, in whichever copy.
    pub server: Option<&'n [u8]>,
    /// That of the witness.
    pub witness: Option<&'n [u8]>,
}

/// Hears a witness on the database that `recovery` is to give.
///
/// A copy of the same role and spelling testifies with its records as they stand; one in another spelling with its mailbox
/// entries, from which records are made; one of another role with the entries that the database's host has too. A backend's
/// copy that shares less than half of its mailboxes is another backend's and knows nothing, unless the user
/// names the server that they both are of.
pub fn hear<'a>(reading: &Reading<'a, '_>, subject: &Account, recovery: &Recovery<'_>, names: Names<'_>) -> Heard<'a> {
    let witness = Account::of(reading);
    if let (Some(ours), Some(theirs)) = (subject.side, witness.side)
        && ours != theirs
    {
        return Court { reading, subject, recovery, witness: &witness }.convert(ours, theirs, names);
    }
    if (subject.side, witness.side) == (Some(Side::Own), Some(Side::Own)) && names.server.is_none() {
        let stranger = Court { reading, subject, recovery, witness: &witness }.stranger();
        if stranger.is_some() {
            return Heard { stranger, ..Heard::default() };
        }
    }
    let mut records = Vec::new();
    if witness.is_spelt_like(subject) {
        reading.each(|record| records.push(record));
        return Heard { records, ..Heard::default() };
    }
    let converter = witness.converter(subject.era, Host::default());
    reading.each(|record| {
        if let Some(entry) = converter.mailbox(&record.key, &record.value, &mut |_| {}) {
            records_of(entry, subject.era, subject.by_uniqueid, push_to(&mut records, &record));
        }
    });
    Heard { records, ..Heard::default() }
}

/// Takes keys and values that were made of `record`.
fn push_to<'p, 'a>(records: &'p mut Vec<Record<'a>>, record: &Record<'a>) -> impl FnMut(Vec<u8>, Vec<u8>) + 'p {
    let span = record.span;
    move |key, value| records.push(Record { key: Cow::Owned(key), value: Cow::Owned(value), span })
}

/// A database and a witness of another role.
struct Court<'c, 'a, 's, 'r> {
    reading: &'c Reading<'a, 's>,
    witness: &'c Account,
    subject: &'c Account,
    recovery: &'c Recovery<'r>,
}

impl<'a> Court<'_, 'a, '_, '_> {
    fn convert(&self, ours: Side, theirs: Side, names: Names<'_>) -> Heard<'a> {
        let (role, whose) = match (ours, theirs) {
            (Side::Own, _) => (Role::Backend, Whose::Subject),
            (Side::Both, Side::Elsewhere) => (Role::Unified, Whose::Subject),
            _ => (Role::Master, Whose::Witness),
        };
        let told = names.witness.filter(|_| whose == Whose::Witness).or(names.server);
        let server = match (told, elect(self.votes(whose))) {
            (None, elected) => elected,
            (Some(name), Server::Inferred(other, votes)) if other != name => {
                Server::Told(name.to_vec(), Some((other, votes)))
            }
            (Some(name), _) => Server::Told(name.to_vec(), None),
        };
        let mut conversion = Conversion { side: theirs, whose, server, missing: Vec::new(), placeless: 0 };
        let mut records = Vec::new();
        if let Some(name) = conversion.server.name() {
            let host = Host { role: Some(role), server: Some(name.to_vec()) };
            self.take(host, &mut conversion, &mut records);
        }
        Heard { records, conversion: Some(conversion), stranger: None }
    }

    /// The entries of the witness as `host` has them.
    fn take(&self, host: Host, conversion: &mut Conversion, records: &mut Vec<Record<'a>>) {
        let local_only = host.role == Some(Role::Backend);
        let converter = self.witness.converter(self.subject.era, host);
        self.reading.each(|record| {
            let Some(entry) = self.witness.mailbox(&record) else { return };
            if conversion.whose == Whose::Subject && entry.server.is_none() {
                // It is on the witness' own host, or nobody knows where.
                return;
            }
            let Some(entry) = converter.entry(entry, &mut |_| {}) else { return };
            if entry.is_local() && entry.partition.is_none() {
                conversion.placeless += u64::from(self.known(&entry).is_none());
            } else if entry.is_local() || !local_only {
                let lacks = needed(&entry, self.subject.era).filter(|field| !conversion.missing.contains(field));
                let lacks: Vec<FieldKey> = lacks.collect();
                conversion.missing.extend(lacks);
                records_of(entry, self.subject.era, self.subject.by_uniqueid, push_to(records, &record));
            }
        });
    }

    /// What was recovered of a mailbox.
    fn known(&self, entry: &Entry<'_>) -> Option<Recovered<'_>> {
        let key = Key::Mailbox(entry.name.clone()).encode(self.subject.origin.style.keys)?;
        self.recovery.get(&key)
    }

    /// Whether two backends' lists are of two hosts: fewer than half of the mailboxes of the smaller one are in the other.
    fn stranger(&self) -> Option<Stranger> {
        let (mut theirs, mut shared) = (0, 0);
        self.reading.each(|record| {
            let Some(entry) = self.witness.mailbox(&record).filter(is_settled) else { return };
            theirs += 1;
            let known = self.own(&entry);
            let known = known.as_ref().and_then(|known| self.subject.mailbox(&known.record));
            shared += u64::from(known.is_some_and(|known| is_same(&known, &entry)));
        });
        let ours = self.recovery.records.iter().filter(|known| known.origin.is_own());
        let settled = |known: &Recovered<'_>| self.subject.mailbox(&known.record).is_some_and(|ours| is_settled(&ours));
        let ours = ours.filter(settled).count() as u64;
        let of = ours.min(theirs);
        (shared * 2 < of).then_some(Stranger { shared, of })
    }

    /// What the database itself still had of a mailbox.
    fn own(&self, entry: &Entry<'_>) -> Option<Recovered<'_>> {
        self.known(entry).filter(|known| known.origin.is_own())
    }

    /// For each server how many mailboxes that it has in one copy have the same place and ACL in the other, as local ones.
    fn votes(&self, whose: Whose) -> BTreeMap<Vec<u8>, u64> {
        let mut votes = BTreeMap::new();
        self.reading.each(|record| {
            let Some(theirs) = self.witness.mailbox(&record) else { return };
            let Some(known) = self.own(&theirs) else { return };
            let Some(ours) = self.subject.mailbox(&known.record) else { return };
            let (own, elsewhere) = match whose {
                Whose::Subject => (&ours, &theirs),
                Whose::Witness => (&theirs, &ours),
            };
            if let Some(server) = agreed(own, elsewhere) {
                *votes.entry(server.to_vec()).or_default() += 1;
            }
        });
        votes
    }
}

/// Whether an entry is of a mailbox that exists where it says, and of no other.
fn is_settled(entry: &Entry<'_>) -> bool {
    !(entry.is_tombstone() || entry.is_intermediate() || entry.is_reserved() || entry.is_moving())
}

/// Whether two entries of one name are of the same mailbox.
fn is_same(a: &Entry<'_>, b: &Entry<'_>) -> bool {
    match (&a.uniqueid, &b.uniqueid) {
        (Some(a), Some(b)) => a == b,
        _ => a.partition == b.partition && a.acl.same_pairs(&b.acl),
    }
}

/// The server that one copy names for a mailbox that is a local one in the other, if they agree on all that both tell.
fn agreed<'e>(own: &Entry<'_>, elsewhere: &'e Entry<'_>) -> Option<&'e [u8]> {
    let server = elsewhere.server.as_deref()?;
    let partition = elsewhere.partition.as_deref().unwrap_or_default();
    let placed = partition.is_empty() || own.partition.as_deref() == Some(partition);
    (own.is_local() && is_settled(own) && is_settled(elsewhere) && placed && own.acl.same_pairs(&elsewhere.acl))
        .then_some(server)
}

/// The server that at least nine tenths of the votes are for: a few mailboxes may have been moved since, or be on two.
fn elect(votes: BTreeMap<Vec<u8>, u64>) -> Server {
    let all: u64 = votes.values().sum();
    match votes.iter().max_by_key(|&(_, count)| count) {
        Some((name, &count)) if count.saturating_mul(10) >= all.saturating_mul(9) => {
            Server::Inferred(name.clone(), count)
        }
        _ => Server::Unknown(votes),
    }
}

/// The fields that a mailbox of one's own has in `era` and this one lacks.
fn needed(entry: &Entry<'_>, era: Era) -> impl Iterator<Item = FieldKey> {
    let fields = [
        (FieldKey::Uniqueid, entry.uniqueid.is_none(), Era::V2_5),
        (FieldKey::Uidvalidity, entry.uidvalidity.is_none(), Era::V2_5),
        (FieldKey::Createdmodseq, entry.createdmodseq.is_none(), Era::V3_2),
        (FieldKey::Foldermodseq, entry.foldermodseq.is_none(), Era::V3_0),
    ];
    let local = entry.is_local();
    fields.into_iter().filter(move |&(_, lacks, since)| local && lacks && era >= since).map(|(field, ..)| field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_tenths_of_the_votes_elect_a_server() {
        let votes = |counts: &[(&str, u64)]| counts.iter().map(|(name, n)| (name.as_bytes().to_vec(), *n)).collect();
        assert_eq!(elect(votes(&[("be1", 9), ("be2", 1)])), Server::Inferred(b"be1".to_vec(), 9));
        assert_eq!(elect(votes(&[("be1", 8), ("be2", 1)])), Server::Unknown(votes(&[("be1", 8), ("be2", 1)])));
        assert_eq!(elect(votes(&[])), Server::Unknown(BTreeMap::new()));
    }
}
