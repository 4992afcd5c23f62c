//! A world for a script: hosts with disks that agree.

use std::time::Duration;

use super::look::ERA;
use super::script::{Cast, Part, Role};
use crate::formats::record::Name;
use crate::murder::defect::Defect;
use crate::murder::door::Namespace;
use crate::murder::host::backend::locals::Locals;
use crate::murder::host::backend::{self, DeleteMode};
use crate::murder::host::disk::Disk;
use crate::murder::host::porch::Users;
use crate::murder::host::request::Manner;
use crate::murder::host::{Keep, frontend, master};
use crate::murder::node::State;
use crate::murder::store::durable;
use crate::murder::world::setup::Setup;
use crate::murder::world::{HostId, World};

/// When hosts start, in seconds since 1970-01-01 UTC.
const EPOCH: u64 = 1_700_000_000;
/// How long the world is there before: clocks can be put back by as much.
const BEFORE: Duration = Duration::from_secs(1_000_000);
/// The partition of all mailboxes.
pub const PARTITION: &str = "default";

/// A world with these hosts, all of them running, and agreed.
pub fn world(cast: &Cast, defect: Option<Defect>) -> World {
    let mut world = World::new();
    world.run_until(BEFORE);
    for (id, part) in cast.hosts.iter().enumerate() {
        let mut disk = Disk::empty(part.format);
        let keeps = if matches!(part.role, Role::Backend { .. }) { own(cast, id) } else { all(cast) };
        let _ = disk.store(&keeps, usize::MAX);
        let host = world.add(setup(cast, part, defect), disk);
        world.slow(host, part.disk_time);
    }
    world
}

fn setup(cast: &Cast, part: &Part, defect: Option<Defect>) -> Setup {
    let name = part.name.clone().into_bytes();
    let master = cast.name(0).as_bytes().to_vec();
    let (era, manner, epoch, update_wait) = (ERA, Manner::Manual, EPOCH, cast.update_wait);
    let users = Users::anyone(&["cyrus"]);
    let namespace = Namespace::default();
    match part.role {
        Role::Master => {
            Setup::Master(master::Config { name, era, manner, update_wait, allow_empty: false, epoch, defect })
        }
        Role::Frontend => Setup::Frontend(frontend::Config {
            name,
            master,
            era,
            manner,
            retry: cast.retry,
            max_delete: 100,
            update_wait,
            users,
            proxy: (b"cyrus".to_vec(), b"cyrus".to_vec()),
            namespace,
            epoch,
            defect,
        }),
        Role::Backend { delayed } => Setup::Backend(backend::Config {
            name,
            master: Some(master),
            era,
            partition: PARTITION.into(),
            manner,
            delete_mode: if delayed { DeleteMode::Delayed } else { DeleteMode::Immediate },
            users,
            namespace,
            epoch,
            defect,
        }),
    }
}

fn acl(name: &[u8]) -> Vec<u8> {
    let owner = Name::internal(name).userid().map(|owner| owner.into_owned());
    [&owner.unwrap_or_else(|| b"anyone".to_vec())[..], b"\tlrswipkxtecdan\t"].concat()
}

/// The records of a backend's mailboxes.
fn own(cast: &Cast, host: HostId) -> Vec<Keep> {
    let locals = Locals::new(&[], ERA);
    let mut keeps = Vec::new();
    for (number, (_, name)) in cast.mailboxes.iter().enumerate().filter(|(_, (on, _))| *on == host) {
        let uniqueid = format!("first{number:019}").into_bytes();
        let entry = locals.make(name, PARTITION.as_bytes(), &acl(name), uniqueid, EPOCH);
        keeps.extend(locals.keeps(name, Some(&entry)));
    }
    keeps
}

/// The records of a master's list.
fn all(cast: &Cast) -> Vec<Keep> {
    let record = |(host, name): &(HostId, Vec<u8>)| {
        let location = format!("{}!{PARTITION}", cast.name(*host)).into_bytes();
        let state = State { reserved: false, location: &location, acl: &acl(name) };
        let (key, value) = durable::record(&(Name::internal(name.clone()), Some(state)), ERA, EPOCH)?;
        Some(Keep::Record { key, value })
    };
    cast.mailboxes.iter().filter_map(record).collect()
}
