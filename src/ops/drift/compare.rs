//! What the hosts of a murder say of one mailbox, and where they disagree.

use serde_json::Value as Json;

use super::row::{Class, Mend, Push, Row, mupdate};
use crate::ops::merge::claim::{Claim, Standing};
use crate::ops::merge::ledger;
use crate::ops::push::{Decision, Listed, Local, Manner, decide};

/// The hosts of a murder, in the order of their lists: backends, the master, frontends.
pub struct Hosts {
    /// The names of all.
    pub names: Vec<Vec<u8>>,
    /// How many of them are backends.
    pub backends: usize,
}

impl Hosts {
    /// The master's number.
    pub fn master(&self) -> usize {
        self.backends
    }

    /// The numbers of the frontends.
    pub fn frontends(&self) -> std::ops::Range<usize> {
        self.backends + 1..self.names.len()
    }

    /// A host's name.
    pub fn name(&self, host: usize) -> &[u8] {
        self.names.get(host).map(Vec::as_slice).unwrap_or_default()
    }

    fn shown(&self, host: usize) -> String {
        String::from_utf8_lossy(self.name(host)).into_owned()
    }

    /// The backend of that name.
    fn backend(&self, name: &[u8]) -> Option<usize> {
        (0..self.backends).find(|host| self.name(*host) == name)
    }
}

/// What all hosts say of one mailbox.
pub struct Case<'c, 'e> {
    /// The hosts.
    pub hosts: &'c Hosts,
    /// Internal name of the mailbox.
    pub name: &'c [u8],
    /// What they say, in their order.
    pub claims: &'c [Claim<'e>],
}

impl Case<'_, '_> {
    fn claim(&self, host: usize) -> Option<&Claim<'_>> {
        self.claims.iter().find(|claim| claim.list == host)
    }

    fn holders(&self) -> impl Iterator<Item = &Claim<'_>> {
        self.claims.iter().filter(|claim| claim.list < self.hosts.backends && claim.standing.holds())
    }

    /// What the master's entry says, if it lists the name.
    fn master(&self) -> Option<&Claim<'_>> {
        let listed = |claim: &&Claim<'_>| matches!(claim.standing, Standing::Mailbox | Standing::Reserved);
        self.claim(self.hosts.master()).filter(listed)
    }

    fn listed(&self) -> Option<Listed<'_>> {
        self.master().and_then(|claim| claim.entry.as_ref()).map(Listed::of)
    }

    /// The disagreements: at most one of backends and master, and one for each way in which frontends differ.
    pub fn rows(&self, mut push: impl FnMut(Row)) {
        let pushes = self.pushes();
        if let Some((class, between)) = self.class(&pushes) {
            let mends = self.mends(class);
            push(self.row(class, between, pushes, mends));
        }
        for class in [Class::FrontendMissing, Class::FrontendOrphaned, Class::FrontendStale] {
            let differing: Vec<usize> =
                self.hosts.frontends().filter(|host| self.frontend(*host) == Some(class)).collect();
            if differing.is_empty() {
                continue;
            }
            let words = differing.iter().map(|&host| {
                let host = self.hosts.shown(host);
                Mend::Words(format!("on {host}: restart mupdate, which reads the master's whole list again"))
            });
            let mends = words.collect();
            let between = [&[self.hosts.master()][..], &differing].concat();
            push(self.row(class, between, Vec::new(), mends));
        }
    }

    fn row(&self, class: Class, between: Vec<usize>, pushes: Vec<Push>, mends: Vec<Mend>) -> Row {
        let claims = self.claims.iter().map(|claim| ledger::claim(claim, self.hosts.name(claim.list)));
        let evidence: Vec<Json> = claims.collect();
        Row { name: self.name.to_vec(), class, between, evidence, pushes, mends }
    }

    /// What each backend that pushes its list would do.
    fn pushes(&self) -> Vec<Push> {
        let listed = self.listed();
        let decision = |host: usize| {
            let claim = self.claim(host);
            // A mailbox of another server is none of a backend's own.
            let claim = claim.filter(|claim| claim.standing != Standing::Elsewhere);
            let local = claim.and_then(|claim| claim.entry.as_ref()).map(Local::of);
            let decision = decide(self.hosts.name(host), local.as_ref(), listed.as_ref(), Manner::default());
            (decision != Decision::Nothing).then_some(Push { host, decision })
        };
        (0..self.hosts.backends).filter_map(decision).collect()
    }

    /// What the disagreement of backends and master is, and who disagrees.
    fn class(&self, pushes: &[Push]) -> Option<(Class, Vec<usize>)> {
        let master = self.hosts.master();
        let holders: Vec<usize> = self.holders().map(|claim| claim.list).collect();
        let unreadable =
            self.claims.iter().find(|claim| claim.list <= master && claim.standing == Standing::Unreadable);
        if let Some(claim) = unreadable {
            return Some((Class::Unreadable, vec![claim.list]));
        }
        let moving = self.holders().any(|claim| claim.standing == Standing::Moving);
        if moving {
            return Some((Class::Moving, [&holders[..], &[master]].concat()));
        }
        if holders.len() > 1 {
            return Some((Class::DuplicateOwner, holders));
        }
        let between = |host: usize| vec![host, master];
        let Some(listed) = self.master() else {
            let own = holders.first().copied();
            let reserved = || self.claims.iter().find(|c| c.list < master && c.standing == Standing::Reserved);
            return match own {
                Some(host) => Some((Class::Missing, between(host))),
                None => reserved().map(|claim| (Class::StuckReservation, vec![claim.list])),
            };
        };
        let server = listed.server().unwrap_or_default();
        match (holders.first().copied(), self.hosts.backend(server)) {
            (Some(host), _) if listed.standing == Standing::Reserved => Some((Class::StuckReservation, between(host))),
            (Some(host), at) if at != Some(host) => Some((Class::WrongServer, between(host))),
            (Some(host), _) => {
                let decision = pushes.iter().find(|push| push.host == host)?.decision;
                let own = self.claim(host)?;
                let class = if own.acl() != listed.acl() { Class::AclDiffers } else { Class::PartitionDiffers };
                (decision == Decision::ForceActivate).then(|| (class, between(host)))
            }
            (None, Some(host)) if listed.standing == Standing::Reserved => {
                Some((Class::StuckReservation, between(host)))
            }
            (None, Some(host)) => Some((Class::Orphaned, between(host))),
            (None, None) => None,
        }
    }

    /// How a frontend differs from the master.
    fn frontend(&self, host: usize) -> Option<Class> {
        let claim =
            self.claim(host).filter(|claim| !matches!(claim.standing, Standing::Tombstone | Standing::Intermediate));
        match (self.master(), claim) {
            (None, None) => None,
            (Some(_), None) => Some(Class::FrontendMissing),
            (None, Some(_)) => Some(Class::FrontendOrphaned),
            (Some(master), Some(own)) => {
                let same = master.standing == own.standing
                    && master.server() == own.server()
                    && master.partition() == own.partition()
                    && master.acl() == own.acl();
                (!same).then_some(Class::FrontendStale)
            }
        }
    }

    /// The line that tells the master what a backend has.
    fn activate(&self, claim: &Claim<'_>) -> Vec<Mend> {
        let name = self.hosts.name(claim.list);
        let location = [name, b"!", claim.partition()].concat();
        let line = mupdate("ACTIVATE", &[self.name, &location, &claim.acl()]);
        vec![line.map_or_else(
            || Mend::Words(format!("on {}: ctl_mboxlist -m", self.hosts.shown(claim.list))),
            Mend::Mupdate,
        )]
    }

    fn delete(&self) -> Vec<Mend> {
        let words = || Mend::Words("ctl_mboxlist -m on the backend that the master names".into());
        vec![mupdate("DELETE", &[self.name]).map_or_else(words, Mend::Mupdate)]
    }

    fn mends(&self, class: Class) -> Vec<Mend> {
        let own = self.holders().next();
        let activate = || own.map(|claim| self.activate(claim)).unwrap_or_default();
        match class {
            Class::Missing | Class::WrongServer | Class::AclDiffers | Class::PartitionDiffers => activate(),
            Class::Orphaned => self.delete(),
            Class::StuckReservation if own.is_some() => activate(),
            Class::StuckReservation if self.master().is_some() => self.delete(),
            Class::StuckReservation => {
                vec![Mend::Words("ctl_cyrusdb -r, at the backend's next start, removes it".into())]
            }
            Class::DuplicateOwner => self.keep_one(),
            Class::Moving => self.end_transfer(),
            Class::Unreadable => vec![Mend::Words("coroner verify and coroner repair on that list first".into())],
            Class::FrontendMissing | Class::FrontendOrphaned | Class::FrontendStale => Vec::new(),
        }
    }

    /// The holder that the master names, and the others.
    fn owner(&self) -> (Option<&Claim<'_>>, Vec<&Claim<'_>>) {
        let server = self.master().and_then(Claim::server).unwrap_or_default();
        let named = self.holders().find(|claim| self.hosts.name(claim.list) == server);
        let settled = || self.holders().find(|claim| claim.standing == Standing::Mailbox);
        let owner = named.or_else(settled).or_else(|| self.holders().next());
        let others = self.holders().filter(|claim| owner.is_none_or(|owner| owner.list != claim.list)).collect();
        (owner, others)
    }

    fn keep_one(&self) -> Vec<Mend> {
        let (owner, others) = self.owner();
        let names =
            |claims: &[&Claim<'_>]| claims.iter().map(|c| self.hosts.shown(c.list)).collect::<Vec<_>>().join(", ");
        let mut mends = vec![Mend::Words(format!(
            "compare the messages on {} and move what is only there; ctl_mboxlist -m deletes the mailbox there",
            names(&others)
        ))];
        mends.extend(owner.map(|claim| self.activate(claim)).unwrap_or_default());
        mends
    }

    fn end_transfer(&self) -> Vec<Mend> {
        let (owner, others) = self.owner();
        let Some(owner) = owner else { return Vec::new() };
        let mut mends = self.activate(owner);
        let flagged = owner.standing == Standing::Moving;
        if flagged {
            mends
                .push(Mend::Words(format!("on {}: ctl_mboxlist -m takes the flag away", self.hosts.shown(owner.list))));
        }
        for other in others {
            let host = self.hosts.shown(other.list);
            mends.push(Mend::Words(format!("on {host}: ctl_mboxlist -m deletes the other end, messages and all")));
        }
        mends
    }
}
