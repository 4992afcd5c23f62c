//! What must be so in the end, when nothing is wrong any more.

use std::collections::BTreeMap;

use super::check::{Check, Checked, holds};
use super::look::Row;
use super::script::Cast;
use super::stage::PARTITION;
use super::watch::Watch;
use crate::murder::world::setup::Running;
use crate::murder::world::{HostId, World};
use crate::render::text::printable;

/// All lists say the same.
///
/// # Errors
/// Where they do not.
pub fn all_agree(cast: &Cast, world: &World, watch: &mut Watch) -> Checked {
    world.hosts().try_for_each(|host| watch.memory(world, host))?;
    watch.checks = watch.checks.saturating_add(2);
    union(cast, watch)?;
    cast.frontends().try_for_each(|host| follows(cast, world, watch, host))
}

/// The master's list is that of the backends; of a mailbox that is on several, that of one of them.
fn union(cast: &Cast, watch: &Watch) -> Checked {
    let mut owners: BTreeMap<&[u8], Vec<(HostId, &Row)>> = BTreeMap::new();
    for host in cast.backends() {
        for (name, row) in watch.rows(host) {
            owners.entry(name).or_default().push((host, row));
        }
    }
    for (name, row) in watch.rows(0) {
        let name = printable(name);
        holds(Check::NoReservation, row.acl.is_some(), || format!("{name} is reserved: {}", printable(&row.location)))?;
    }
    for (name, owners) in &owners {
        let listed = watch.rows(0).get(*name);
        let is = |(host, row): &(HostId, &Row)| {
            let location = format!("{}!{PARTITION}", cast.name(*host)).into_bytes();
            listed.is_some_and(|listed| listed.location == location && listed.acl == row.acl)
        };
        let on = || owners.iter().map(|(host, _)| cast.name(*host)).collect::<Vec<_>>().join(" and ");
        holds(Check::MasterIsUnion, owners.iter().any(is), || {
            format!("{} is on {}, the master says {listed:?}", printable(name), on())
        })?;
    }
    let stale = watch.rows(0).keys().find(|name| !owners.contains_key(&name[..]));
    holds(Check::MasterIsUnion, stale.is_none(), || {
        format!("the master lists {}, which no backend has", stale.map(|name| printable(name)).unwrap_or_default())
    })
}

fn follows(cast: &Cast, world: &World, watch: &Watch, host: HostId) -> Checked {
    let (master, own) = (watch.rows(0), watch.rows(host));
    // One that is empty is not believed.
    if master.is_empty() {
        return Ok(());
    }
    let following = matches!(world.running(host), Some(Running::Frontend(frontend)) if frontend.is_following());
    let name = cast.name(host);
    holds(Check::FrontendIsMaster, following, || format!("{name} does not follow its master"))?;
    let differs = |key: &&Vec<u8>| master.get(*key) != own.get(*key);
    let other = master.keys().chain(own.keys()).find(differs);
    holds(Check::FrontendIsMaster, other.is_none(), || {
        let key = other.cloned().unwrap_or_default();
        format!("{name} says {:?} of {}, its master {:?}", own.get(&key), printable(&key), master.get(&key))
    })
}
