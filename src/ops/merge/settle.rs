//! Who has a mailbox: the rules of authority, without any I/O.
//!
//! Backends decide which mailboxes exist; where two have one, the base (an old master, a frontend's copy) says where it is.
//! What neither settles, the user's policy does. Every disagreement has a [`Class`]; `Settled::conflict` tells those that
//! somebody should look at from those that are as they should be (a tombstone of a deleted mailbox, say).

use super::claim::{Claim, Standing};

/// What kind of disagreement, or of record that a master does not have, it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Class {
    /// Two backends or more have the mailbox, and none is said to be moving it.
    TwoOwners,
    /// A transfer did not end: the mailbox is flagged moving on one backend, or on both ends.
    Moving,
    /// One backend has the mailbox, and the base says that another server does.
    Location,
    /// The base has the name reserved, or a backend left a reservation behind.
    Reserved,
    /// The ACL differs from the base's.
    Acl,
    /// The partition differs from the base's.
    Partition,
    /// The base says that a backend has the mailbox, and that backend has no record of it.
    Gone,
    /// A deleted mailbox, of which the backend keeps the record.
    Tombstone,
    /// A placeholder for a missing parent.
    Intermediate,
    /// The record of a backend can't be read.
    Unreadable,
    /// The base does not know the mailbox.
    New,
    /// The base alone knows the mailbox; the server it names is none of the backends.
    Unheard,
    /// A mailbox that a delayed delete moved away; it is listed like any other.
    DeletedName,
}

impl Class {
    /// All classes, the gravest first.
    pub const ALL: [Class; 13] = [
        Class::TwoOwners,
        Class::Moving,
        Class::Location,
        Class::Reserved,
        Class::Acl,
        Class::Partition,
        Class::Gone,
        Class::Tombstone,
        Class::Intermediate,
        Class::Unreadable,
        Class::New,
        Class::Unheard,
        Class::DeletedName,
    ];

    /// The word printed and used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::TwoOwners => "two-owners",
            Class::Moving => "moving",
            Class::Location => "location",
            Class::Reserved => "reserved",
            Class::Acl => "acl",
            Class::Partition => "partition",
            Class::Gone => "gone",
            Class::Tombstone => "tombstone",
            Class::Intermediate => "intermediate",
            Class::Unreadable => "unreadable",
            Class::New => "new",
            Class::Unheard => "unheard",
            Class::DeletedName => "deleted-name",
        }
    }

    /// What it means, for a person.
    pub fn meaning(self) -> &'static str {
        match self {
            Class::TwoOwners => "on several backends at once",
            Class::Moving => "a transfer that did not end",
            Class::Location => "on one backend, and the base says another server",
            Class::Reserved => "a reservation without a mailbox, or in place of one",
            Class::Acl => "the backend's ACL is not the base's",
            Class::Partition => "the backend's partition is not the base's",
            Class::Gone => "the base says a backend has it, and it does not",
            Class::Tombstone => "deleted; only its backend keeps the record",
            Class::Intermediate => "stands in for a missing parent; only its backend keeps it",
            Class::Unreadable => "a record that can't be read",
            Class::New => "unknown to the base",
            Class::Unheard => "the base alone knows it, on a server that is none of the backends",
            Class::DeletedName => "moved away by a delayed delete; listed like any other",
        }
    }
}

/// Whose entry is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// That of the claim of this number.
    Claim(usize),
    /// The base's, as it stands.
    Base,
    /// None: the mailbox is not listed.
    Nobody,
}

/// What settled it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// Only one backend has it, or none.
    Backends,
    /// The base says where it is.
    Base,
    /// The only end of a transfer that is not flagged.
    Flag,
    /// The policy: the first named.
    FirstNamed,
    /// The policy: the backend that the user prefers.
    Preferred,
    /// The policy: the record written last.
    Newest,
    /// A decision that the user gave.
    Decision,
}

impl By {
    /// The word printed and used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Backends => "backends",
            By::Base => "base",
            By::Flag => "flag",
            By::FirstNamed => "first-named",
            By::Preferred => "preferred",
            By::Newest => "newest",
            By::Decision => "decision",
        }
    }
}

/// What to do where backends contradict each other and no base settles it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// The first named wins, and the conflict is reported.
    #[default]
    Report,
    /// Nothing is written.
    Refuse,
    /// The first of these lists that has the mailbox wins.
    Prefer(Vec<usize>),
    /// The record written last wins.
    Newest,
}

/// What became of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// What was to be settled; `None` if all agree.
    pub class: Option<Class>,
    /// Whether sources contradict each other, or something can't be read.
    pub conflict: bool,
    /// Whose entry is kept.
    pub keep: Keep,
    /// What settled it.
    pub by: By,
}

impl Settled {
    fn quiet(keep: Keep) -> Self {
        Settled { class: None, conflict: false, keep, by: By::Backends }
    }

    fn noted(class: Class, keep: Keep) -> Self {
        Settled { class: Some(class), ..Settled::quiet(keep) }
    }

    fn conflict(class: Class, keep: Keep, by: By) -> Self {
        Settled { class: Some(class), conflict: true, keep, by }
    }
}

/// Settles who has a mailbox: `claims` are the backends', in the order that they were named, `base` is the base's.
/// `names` are the names of the backends, and `has_base` tells whether there is a base at all.
pub fn settle(
    claims: &[Claim<'_>],
    base: Option<&Claim<'_>>,
    names: &[Vec<u8>],
    policy: &Policy,
    has_base: bool,
) -> Settled {
    let case = Case { claims, base, names, policy };
    let holders = claims.iter().filter(|claim| claim.standing.holds()).count();
    let moving = claims.iter().any(|claim| claim.standing == Standing::Moving);
    match holders {
        0 => case.nobody(),
        _ if moving => case.moving(),
        1 => case.one(has_base),
        _ => {
            let (keep, by) = case.choose();
            Settled::conflict(Class::TwoOwners, keep, by)
        }
    }
}

struct Case<'c, 'e> {
    claims: &'c [Claim<'e>],
    base: Option<&'c Claim<'e>>,
    names: &'c [Vec<u8>],
    policy: &'c Policy,
}

impl Case<'_, '_> {
    fn holders(&self) -> impl Iterator<Item = (usize, Standing)> {
        let holding = self.claims.iter().map(|claim| claim.standing).enumerate();
        holding.filter(|(_, standing)| standing.holds())
    }

    fn name(&self, claim: usize) -> &[u8] {
        self.claims.get(claim).and_then(|claim| self.names.get(claim.list)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The server that the base says the mailbox is on, or its name is reserved for.
    fn base_server(&self) -> Option<&[u8]> {
        self.base.filter(|base| matches!(base.standing, Standing::Mailbox | Standing::Reserved))?.server()
    }

    /// Whether the server that the base names is one of the backends.
    fn base_is_heard(&self) -> bool {
        self.base_server().is_some_and(|server| self.names.iter().any(|name| name == server))
    }

    /// Which of several holders has it.
    fn choose(&self) -> (Keep, By) {
        if let Some(server) = self.base_server()
            && let Some((claim, _)) = self.holders().find(|(claim, _)| self.name(*claim) == server)
        {
            return (Keep::Claim(claim), By::Base);
        }
        let settled: Vec<usize> =
            self.holders().filter(|(_, standing)| *standing == Standing::Mailbox).map(|(claim, _)| claim).collect();
        let all: Vec<usize> = self.holders().map(|(claim, _)| claim).collect();
        if let &[claim] = &settled[..]
            && all.len() > 1
        {
            return (Keep::Claim(claim), By::Flag);
        }
        let among = if settled.is_empty() { all } else { settled };
        let list = |claim: usize| self.claims.get(claim).map_or(usize::MAX, |claim| claim.list);
        let first = among.first().copied().unwrap_or_default();
        let (claim, by) = match self.policy {
            Policy::Report | Policy::Refuse => (first, By::FirstNamed),
            Policy::Prefer(lists) => {
                let found = lists.iter().find_map(|wanted| among.iter().find(|claim| list(**claim) == *wanted));
                found.map_or((first, By::FirstNamed), |claim| (*claim, By::Preferred))
            }
            Policy::Newest => {
                let time = |claim: usize| self.claims.get(claim).map_or(0, Claim::mtime);
                let newest = among.iter().copied().rev().max_by_key(|claim| time(*claim)).unwrap_or(first);
                let tells = among.iter().any(|claim| time(*claim) < time(newest));
                if tells { (newest, By::Newest) } else { (first, By::FirstNamed) }
            }
        };
        (Keep::Claim(claim), by)
    }

    /// At least one holder is flagged moving.
    fn moving(&self) -> Settled {
        let alone = self.holders().count() == 1;
        if alone && self.base_server().is_some() && !self.base_is_heard() {
            // It went to a server that is not heard here, as the base confirms.
            return Settled::conflict(Class::Moving, Keep::Base, By::Base);
        }
        let (keep, by) = self.choose();
        Settled::conflict(Class::Moving, keep, if alone { By::Backends } else { by })
    }

    /// One backend has it, not flagged moving.
    fn one(&self, has_base: bool) -> Settled {
        let keep = self.holders().next().map_or(Keep::Nobody, |(claim, _)| Keep::Claim(claim));
        let Keep::Claim(number) = keep else { return Settled::quiet(keep) };
        if self.claims.iter().any(|claim| claim.standing == Standing::Unreadable) {
            return Settled::conflict(Class::Unreadable, keep, By::Backends);
        }
        let (Some(base), Some(claim)) = (self.base, self.claims.get(number)) else {
            return match self.left(number) {
                Some(class) => Settled::noted(class, keep),
                None if has_base => Settled::noted(Class::New, keep),
                None => Settled::quiet(keep),
            };
        };
        match base.standing {
            Standing::Unreadable => Settled::conflict(Class::Unreadable, keep, By::Backends),
            Standing::Reserved => Settled::conflict(Class::Reserved, keep, By::Backends),
            _ if self.base_server() != Some(self.name(number)) => {
                Settled::conflict(Class::Location, keep, By::Backends)
            }
            _ if base.acl() != claim.acl() => Settled::conflict(Class::Acl, keep, By::Backends),
            // A RENAME since 3.6 tells the master an empty partition.
            _ if base.partition() != claim.partition() && !base.partition().is_empty() => {
                Settled::conflict(Class::Partition, keep, By::Backends)
            }
            _ => match self.left(number) {
                Some(class) => Settled::noted(class, keep),
                None => Settled::quiet(keep),
            },
        }
    }

    /// What other backends have left of a mailbox that one has.
    fn left(&self, holder: usize) -> Option<Class> {
        let others = self.claims.iter().enumerate().filter(|(number, _)| *number != holder);
        let class = |standing| match standing {
            Standing::Reserved => Some(Class::Reserved),
            Standing::Tombstone => Some(Class::Tombstone),
            Standing::Intermediate => Some(Class::Intermediate),
            _ => None,
        };
        others.filter_map(|(_, claim)| class(claim.standing)).min()
    }

    /// No backend has it.
    fn nobody(&self) -> Settled {
        let has = |standing| self.claims.iter().any(|claim| claim.standing == standing);
        let base = self.base.filter(|base| matches!(base.standing, Standing::Mailbox | Standing::Reserved));
        let Some(base) = base else {
            let unreadable = has(Standing::Unreadable) || self.base.is_some_and(|b| b.standing == Standing::Unreadable);
            return match () {
                () if unreadable => Settled::conflict(Class::Unreadable, Keep::Nobody, By::Backends),
                () if has(Standing::Reserved) => Settled::noted(Class::Reserved, Keep::Nobody),
                () if has(Standing::Tombstone) => Settled::noted(Class::Tombstone, Keep::Nobody),
                () if has(Standing::Intermediate) => Settled::noted(Class::Intermediate, Keep::Nobody),
                () => Settled::quiet(Keep::Nobody),
            };
        };
        let server = base.server().unwrap_or_default();
        let of_server = |claim: &&Claim<'_>| self.names.get(claim.list).is_some_and(|name| name == server);
        let own = self.claims.iter().find(of_server).map(|claim| claim.standing);
        match own {
            // What can't be read may well be the mailbox that the base knows.
            Some(Standing::Unreadable) => Settled::conflict(Class::Unreadable, Keep::Base, By::Base),
            _ if !self.base_is_heard() => Settled::noted(Class::Unheard, Keep::Base),
            _ if base.standing == Standing::Reserved => Settled::conflict(Class::Reserved, Keep::Nobody, By::Backends),
            Some(Standing::Reserved) => Settled::conflict(Class::Reserved, Keep::Nobody, By::Backends),
            Some(Standing::Tombstone) => Settled::conflict(Class::Tombstone, Keep::Nobody, By::Backends),
            Some(Standing::Intermediate) => Settled::conflict(Class::Intermediate, Keep::Nobody, By::Backends),
            _ => Settled::conflict(Class::Gone, Keep::Nobody, By::Backends),
        }
    }
}
