//! Looks at a world after everything that happens in it, and says what does not hold.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Check, Checked, holds};
use super::look::{self, Records, Row, Rows};
use super::model::{Model, Shelf, touches};
use super::script::{Cast, Role};
use super::stage::PARTITION;
use crate::murder::host::Keep;
use crate::murder::host::request::{Answer, Request};
use crate::murder::world::setup::Running;
use crate::murder::world::{HostId, Life, World};
use crate::ops::push::State;
use crate::render::text::printable;

/// A host as it was looked at last.
#[derive(Debug, Default)]
struct Seen {
    changes: u64,
    down: bool,
    records: Records,
    rows: Rows,
    model: Model,
}

/// An order that is not answered.
#[derive(Clone, Debug)]
struct Order {
    host: HostId,
    request: Request,
    /// How often the host's disk had refused a change by then.
    refusals: u64,
    /// How often the master's database had been replaced by then.
    masters: u64,
}

/// All that is known of a world.
#[derive(Debug)]
pub struct Watch {
    cast: Cast,
    seen: Vec<Seen>,
    orders: BTreeMap<u64, Order>,
    /// What is answered with NO, and could not be taken back: it is not known what it left until nothing else is on its way.
    half_done: Vec<(HostId, Request)>,
    /// Names that may be on several backends, since an old copy of a database came back.
    tainted: BTreeSet<Vec<u8>>,
    masters: u64,
    /// Answers of syncs.
    pub synced: BTreeMap<u64, Answer>,
    /// How often something was looked at.
    pub checks: u64,
    /// How many orders were done, refused, and never answered.
    pub answers: [u64; 3],
}

impl Watch {
    /// What is known of a world in which nothing happened yet.
    ///
    /// # Errors
    /// If something is wrong already.
    pub fn new(cast: &Cast, world: &mut World) -> Result<Watch, (Check, String)> {
        let mut watch = Watch {
            cast: cast.clone(),
            seen: cast.hosts.iter().map(|_| Seen { down: true, ..Seen::default() }).collect(),
            orders: BTreeMap::new(),
            half_done: Vec::new(),
            tainted: BTreeSet::new(),
            masters: 0,
            synced: BTreeMap::new(),
            checks: 0,
            answers: [0; 3],
        };
        for host in world.hosts() {
            watch.believe(world, host)?;
        }
        Ok(watch)
    }

    fn name(&self, host: HostId) -> &str {
        self.cast.name(host)
    }

    fn is_backend(&self, host: HostId) -> bool {
        self.cast.hosts.get(host).is_some_and(|part| matches!(part.role, Role::Backend { .. }))
    }

    /// What a host's disk says, as it was looked at last.
    pub fn rows(&self, host: HostId) -> &Rows {
        &self.seen[host].rows
    }

    /// Whether a name may be on several backends.
    pub fn is_tainted(&self, name: &[u8]) -> bool {
        self.tainted.contains(name)
    }

    /// Whether there are orders that are not answered; with one of them.
    pub fn unanswered(&self) -> Option<String> {
        self.orders.values().next().map(|order| format!("{}: {:?}", self.name(order.host), order.request))
    }

    /// A backend was ordered something.
    pub fn ordered(&mut self, world: &World, number: u64, host: HostId, request: Request) {
        let (refusals, masters) = (world.refusals(host), self.masters);
        self.orders.insert(number, Order { host, request, refusals, masters });
    }

    /// Takes what a host's disk says for what it should say.
    fn believe(&mut self, world: &mut World, host: HostId) -> Checked {
        let (records, _) = look::records(world.disk(host)).map_err(|refused| self.does_not_open(host, &refused))?;
        world.take_attempts(host);
        let delayed = self.cast.hosts.get(host).is_some_and(|part| part.role == Role::Backend { delayed: true });
        let rows = look::rows(&records);
        let model = Model::of(Shelf { rows: &rows, spool: world.disk(host).spool() }, delayed);
        let changes = world.disk_changes(host);
        let down = world.life(host) == Life::Down;
        self.seen[host] = Seen { changes, down, records, rows, model };
        Ok(())
    }

    fn does_not_open(&self, host: HostId, why: &dyn std::fmt::Debug) -> (Check, String) {
        (Check::Opens, format!("{}: {why:?}", self.name(host)))
    }

    /// Another database was put in the place of a host's.
    ///
    /// # Errors
    /// If it does not open.
    pub fn replaced(&mut self, world: &mut World, host: HostId) -> Checked {
        let before = std::mem::take(&mut self.seen[host].rows);
        self.believe(world, host)?;
        let after = &self.seen[host].rows;
        if host == 0 {
            self.masters = self.masters.saturating_add(1);
            let place = |row: Option<&Row>| row.map(|row| (row.location.clone(), row.acl.is_none()));
            let names = before.keys().chain(after.keys());
            self.tainted.extend(names.filter(|name| place(before.get(*name)) != place(after.get(*name))).cloned());
        } else if self.is_backend(host) {
            self.tainted.extend(after.keys().filter(|name| !before.contains_key(*name)).cloned());
        }
        Ok(())
    }

    /// Something happened.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look(&mut self, world: &mut World) -> Checked {
        for host in world.hosts() {
            if world.disk_changes(host) != self.seen[host].changes {
                self.disk_changed(world, host)?;
            }
        }
        for (number, answer) in world.take_answers() {
            if let Some(order) = self.orders.remove(&number) {
                self.answered(world, number, &order, answer)?;
            }
        }
        Ok(())
    }

    fn disk_changed(&mut self, world: &mut World, host: HostId) -> Checked {
        self.checks = self.checks.saturating_add(1);
        let (records, taken_back) =
            look::records(world.disk(host)).map_err(|refused| self.does_not_open(host, &refused))?;
        let attempts = world.take_attempts(host);
        let (was_down, down) = (self.seen[host].down, world.life(host) == Life::Down);
        holds(Check::Opens, !(was_down && !down && taken_back), || {
            format!("{} started from a database with an unfinished transaction", self.name(host))
        })?;
        if records != self.seen[host].records {
            let is = is_reached(&self.seen[host].records, &attempts, &records);
            holds(Check::BeforeOrAfter, is, || format!("{}: a part of a change is on the disk", self.name(host)))?;
            self.seen[host].rows = look::rows(&records);
            self.seen[host].records = records;
        }
        self.seen[host].changes = world.disk_changes(host);
        self.seen[host].down = down;
        if down && !was_down {
            self.died(world, host)?;
        }
        self.memory(world, host)?;
        if self.is_backend(host) {
            self.own(world, host, Check::NothingIsLost)?;
            self.places(host)?;
        }
        Ok(())
    }

    /// What a backend holds is what it must hold, but for what is being changed.
    fn own(&mut self, world: &World, host: HostId, check: Check) -> Checked {
        self.checks = self.checks.saturating_add(1);
        let seen = &self.seen[host];
        let orders = self.orders.values().map(|order| (order.host, &order.request));
        let orders = orders.chain(self.half_done.iter().map(|(host, request)| (*host, request)));
        let orders: Vec<&Request> = orders.filter(|(on, _)| *on == host).map(|(_, request)| request).collect();
        let busy = |name: &[u8]| orders.iter().any(|request| touches(request, name));
        let shelf = Shelf { rows: &seen.rows, spool: world.disk(host).spool() };
        let at = |(check, text)| (check, format!("{}: {text}", self.cast.name(host)));
        seen.model.check(check, shelf, &busy).map_err(at)
    }

    /// No mailbox of a backend is on another one.
    fn places(&mut self, host: HostId) -> Checked {
        self.checks = self.checks.saturating_add(1);
        for other in self.cast.backends().filter(|other| *other != host) {
            let there = &self.seen[other].rows;
            let both = |name: &&Vec<u8>| there.contains_key(*name) && !self.tainted.contains(*name);
            let both = self.seen[host].rows.keys().find(both);
            holds(Check::OnePlace, both.is_none(), || {
                let name = both.map(|name| printable(name)).unwrap_or_default();
                format!("{name} is on {} and on {}", self.name(host), self.name(other))
            })?;
        }
        Ok(())
    }

    /// What a host was doing will never be answered: it was done, or it was not.
    fn died(&mut self, world: &World, host: HostId) -> Checked {
        let lost: Vec<u64> = self.orders.iter().filter(|(_, order)| order.host == host).map(|(id, _)| *id).collect();
        let lost: Vec<Request> =
            lost.into_iter().filter_map(|id| self.orders.remove(&id)).map(|order| order.request).collect();
        self.answers[2] = self.answers[2].saturating_add(lost.len() as u64);
        let mut lost = lost;
        lost.extend(self.take_half_done(host));
        if self.is_backend(host) {
            self.either(world, host, &lost)?;
        }
        Ok(())
    }

    /// What these orders did is not known: it is what is there, and nothing is lost by it.
    fn either(&mut self, world: &World, host: HostId, orders: &[Request]) -> Checked {
        let busy = |name: &[u8]| orders.iter().any(|request| touches(request, name));
        let may_go = orders.iter().any(|request| matches!(request, Request::Delete { .. }));
        let at = |(check, text)| (check, format!("{}: {text}", self.cast.name(host)));
        let Seen { rows, model, .. } = &mut self.seen[host];
        let shelf = Shelf { rows, spool: world.disk(host).spool() };
        model.conserved(shelf, may_go, &busy).map_err(at)?;
        model.adopt(shelf, &busy);
        Ok(())
    }

    fn answered(&mut self, world: &World, number: u64, order: &Order, answer: Answer) -> Checked {
        let Order { host, request, .. } = order;
        let host = *host;
        self.checks = self.checks.saturating_add(1);
        let done = answer.is_done();
        let count = &mut self.answers[usize::from(!done)];
        *count = count.saturating_add(1);
        if let Request::Sync { .. } = request {
            self.synced.insert(number, answer);
        } else if done {
            let at = |(check, text)| (check, format!("{}: {text}", self.cast.name(host)));
            let Seen { rows, model, .. } = &mut self.seen[host];
            let shelf = Shelf { rows, spool: world.disk(host).spool() };
            let others: Vec<&Request> =
                self.orders.values().filter(|order| order.host == host).map(|order| &order.request).collect();
            let busy = |name: &[u8]| others.iter().any(|request| touches(request, name));
            let names = model.done(request, shelf, &busy).map_err(at)?;
            if order.masters == self.masters {
                names.iter().try_for_each(|name| self.master_knows(host, name))?;
            }
        } else if order.refusals != world.refusals(host) {
            // Not even what was done could be taken back.
            self.half_done.push((host, request.clone()));
        } else {
            self.own(world, host, Check::NoMeansNo)?;
        }
        if !self.orders.values().any(|order| order.host == host) {
            let left = self.take_half_done(host);
            self.either(world, host, &left)?;
        }
        self.own(world, host, Check::NothingIsLost)
    }

    fn take_half_done(&mut self, host: HostId) -> Vec<Request> {
        let (own, others) = std::mem::take(&mut self.half_done).into_iter().partition(|(on, _)| *on == host);
        self.half_done = others;
        let own: Vec<(HostId, Request)> = own;
        own.into_iter().map(|(_, request)| request).collect()
    }

    /// A master knows what it told a backend to be done.
    fn master_knows(&self, host: HostId, name: &[u8]) -> Checked {
        if self.tainted.contains(name) {
            return Ok(());
        }
        let own = self.seen[host].rows.get(name);
        let location = format!("{}!{PARTITION}", self.name(host)).into_bytes();
        let listed = self.seen[0].rows.get(name);
        let is =
            listed.is_some_and(|listed| listed.location == location && Some(&listed.acl) == own.map(|own| &own.acl));
        holds(Check::MasterKnows, is, || {
            format!("{} on {}, but its master's disk says {listed:?}", printable(name), self.name(host))
        })
    }

    /// What a host believes is on its disk.
    ///
    /// # Errors
    /// Where it is not.
    pub fn memory(&mut self, world: &World, host: HostId) -> Checked {
        let Some(running) = world.running(host).filter(|_| !world.is_storing(host)) else { return Ok(()) };
        self.checks = self.checks.saturating_add(1);
        let rows = &self.seen[host].rows;
        /// Name, location and ACL.
        type Believed = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);
        let mut believed: Vec<Believed> = Vec::new();
        let list = match running {
            Running::Master(master) => Some(master.list()),
            Running::Frontend(frontend) => Some(frontend.list()),
            Running::Backend(backend) => {
                let own = backend.list_of_own().into_iter().filter(|(_, local)| local.state != State::Gone);
                believed.extend(own.map(|(name, local)| (name, local.partition.to_vec(), Some(local.acl.to_vec()))));
                None
            }
            _ => return Ok(()),
        };
        for (key, state) in list.into_iter().flat_map(|list| list.iter()) {
            let name = list.map(|list| list.name(key).to_internal().into_owned()).unwrap_or_default();
            believed.push((name, state.location.to_vec(), (!state.reserved).then(|| state.acl.to_vec())));
        }
        let same = |(name, location, acl): &(Vec<u8>, Vec<u8>, Option<Vec<u8>>)| {
            rows.get(name).is_some_and(|row| row.location == *location && row.acl == *acl)
        };
        let other = believed.iter().find(|row| !same(row));
        let is = other.is_none() && believed.len() == rows.len();
        holds(Check::MemoryIsDisk, is, || match other {
            Some((name, ..)) => {
                let (name, on) = (printable(name), rows.get(name));
                format!("{} believes {other:?} of {name}, its disk says {on:?}", self.name(host))
            }
            None => format!("{} knows of {} names, its disk of {}", self.name(host), believed.len(), rows.len()),
        })
    }
}

/// Whether some of these changes, one after the other, lead from one state to another.
fn is_reached(from: &Records, changes: &[Vec<Keep>], to: &Records) -> bool {
    let mut states = vec![from.clone()];
    for change in changes.iter().take(CHANGES_MAX) {
        let more: Vec<Records> = states.iter().map(|state| changed(state, change)).collect();
        states.extend(more);
    }
    states.iter().any(|state| state == to)
}

/// So many changes are never made between two looks.
const CHANGES_MAX: usize = 8;

fn changed(state: &Records, change: &[Keep]) -> Records {
    let mut state = state.clone();
    for keep in change {
        match keep {
            Keep::Record { key, value: Some(value) } => drop(state.insert(key.clone(), value.clone())),
            Keep::Record { key, value: None } => drop(state.remove(key)),
            Keep::Message { .. } | Keep::Forget { .. } => {}
        }
    }
    state
}
