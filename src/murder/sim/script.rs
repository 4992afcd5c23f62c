//! What is played: a murder, and what is ordered and what goes wrong in it, step by step.

use std::time::Duration;

use crate::formats::container::Format;
use crate::murder::host::request::Request;
use crate::murder::world::{Fault, HostId};

/// What a host is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The mupdate master; it is the first host.
    Master,
    /// A frontend.
    Frontend,
    /// A backend; whether what is deleted is kept for a while.
    Backend {
        /// `delete_mode: delayed`.
        delayed: bool,
    },
}

/// A host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// The format of its database.
    pub format: Format,
    /// How long its disk takes for a change.
    pub disk_time: Duration,
}

/// A murder before anything happens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cast {
    /// How long frontends wait before they look for their master again.
    pub retry: Duration,
    /// How long a change may wait before those who follow are told.
    pub update_wait: Duration,
    /// The hosts; the first is the master.
    pub hosts: Vec<Part>,
    /// The mailboxes that there are, and on which backend.
    pub mailboxes: Vec<(HostId, Vec<u8>)>,
}

/// What a host's disk keeps of what was not synced when it is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// All.
    Kept,
    /// Nothing.
    Lost,
    /// Some, by these numbers.
    Torn(u64),
}

/// Something to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A backend is ordered something.
    Order(HostId, Request),
    /// Something happens between two hosts from now on.
    Disturb(HostId, HostId, Fault),
    /// Nothing happens between two hosts any more.
    Heal(HostId, HostId),
    /// A host is killed.
    Kill(HostId, Loss),
    /// A host is ended in order.
    Stop(HostId),
    /// A host is started, if it is down.
    Start(HostId),
    /// A host is to die in front of one of its next deeds.
    Fuse(HostId, u64),
    /// A host is to die in the middle of its next change: after so many steps, of which so many bytes each are there.
    Tear(HostId, usize, usize),
    /// A host hangs.
    Hang(HostId),
    /// A host goes on.
    Resume(HostId),
    /// A disk takes no more.
    Full(HostId),
    /// A disk has room again.
    Free(HostId),
    /// A clock jumps by so many seconds.
    Jump(HostId, i64),
    /// The database is copied, to be brought back later.
    Copy(HostId),
    /// A host is killed, and started with the copy of its database.
    Old(HostId),
    /// A host is killed, and started with an empty database.
    Empty(HostId),
}

impl Deed {
    /// The host that it is about, first.
    pub fn host(&self) -> HostId {
        match *self {
            Deed::Order(host, _)
            | Deed::Disturb(host, ..)
            | Deed::Heal(host, _)
            | Deed::Kill(host, _)
            | Deed::Stop(host)
            | Deed::Start(host)
            | Deed::Fuse(host, _)
            | Deed::Tear(host, ..)
            | Deed::Hang(host)
            | Deed::Resume(host)
            | Deed::Full(host)
            | Deed::Free(host)
            | Deed::Jump(host, _)
            | Deed::Copy(host)
            | Deed::Old(host)
            | Deed::Empty(host) => host,
        }
    }
}

/// Something to be done, so long after what was done before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// How long after.
    pub after: Duration,
    /// What.
    pub deed: Deed,
}

/// What is played.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script {
    /// What it was made of, if it was.
    pub seed: u64,
    /// The murder.
    pub cast: Cast,
    /// What happens in it.
    pub steps: Vec<Step>,
}

impl Cast {
    /// The backends.
    pub fn backends(&self) -> impl Iterator<Item = HostId> {
        let is = |part: &Part| matches!(part.role, Role::Backend { .. });
        self.hosts.iter().enumerate().filter(move |(_, part)| is(part)).map(|(id, _)| id)
    }

    /// The frontends.
    pub fn frontends(&self) -> impl Iterator<Item = HostId> {
        self.hosts.iter().enumerate().filter(|(_, part)| part.role == Role::Frontend).map(|(id, _)| id)
    }

    /// The host of that name.
    pub fn find(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|part| part.name == name)
    }

    /// A host's name.
    pub fn name(&self, host: HostId) -> &str {
        self.hosts.get(host).map(|part| &part.name[..]).unwrap_or_default()
    }

    /// What keeps it from being played.
    pub fn flaw(&self) -> Option<&'static str> {
        let is_master = |part: &Part| part.role == Role::Master;
        let masters = self.hosts.iter().filter(|part| is_master(part)).count();
        let twice = |(at, part): (usize, &Part)| self.find(&part.name) != Some(at);
        match () {
            () if masters != 1 || !self.hosts.first().is_some_and(is_master) => {
                Some("the first host is the only master")
            }
            () if self.hosts.len() > HOSTS_MAX => Some("so many hosts are not played"),
            () if self.hosts.iter().enumerate().any(twice) => Some("two hosts have one name"),
            () if self.retry < Duration::from_secs(1) => Some("frontends wait for at least a second"),
            () => None,
        }
    }
}

/// Most hosts of a murder that is played.
const HOSTS_MAX: usize = 32;
