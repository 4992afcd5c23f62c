//! A recovery, rehearsed with one's own lists: what every host would end with, before anything real is touched.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check;
use super::dump;
use super::theatre::{Cant, Listing, listing};
use crate::formats::container::Format;
use crate::formats::record::Era;
use crate::murder::door::Namespace;
use crate::murder::host::backend::{self, DeleteMode};
use crate::murder::host::disk::Disk;
use crate::murder::host::porch::Users;
use crate::murder::host::request::{Data, Manner, Request};
use crate::murder::host::{frontend, master};
use crate::murder::world::setup::Setup;
use crate::murder::world::{HostId, World};

/// How the master's list is to come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// From a dump of `ctl_mboxlist -d`: the master's database that coroner made of it.
    Dump(Vec<u8>),
    /// From the list of the first frontend.
    FrontendCopy,
    /// From the backends: all other lists are deleted.
    Hard,
    /// It is there.
    None,
}

/// What survived, as databases that a host can start with.
#[derive(Clone, Debug, Default)]
pub struct Survivors {
    /// The master's list.
    pub master: Option<Vec<u8>>,
    /// The backends' lists, by their names.
    pub backends: Vec<(String, Vec<u8>)>,
    /// The frontends' lists, by their names.
    pub frontends: Vec<(String, Vec<u8>)>,
}

/// A recovery to be rehearsed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How the list is to come back.
    pub recovery: Recovery,
    /// Whose behaviour the hosts show.
    pub manner: Manner,
    /// Whether frontends are left running meanwhile, which the manual warns of.
    pub frontends_run: bool,
}

/// What became of a host's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// The host.
    pub host: String,
    /// What it is.
    pub role: &'static str,
    /// Mailboxes in its list before.
    pub before: usize,
    /// Mailboxes in its list in the end.
    pub after: usize,
    /// Mailboxes that it had and has no more.
    pub lost: Vec<Vec<u8>>,
    /// Mailboxes that it has and had not.
    pub new: Vec<Vec<u8>>,
    /// What its push said, if it is a backend.
    pub push: Vec<String>,
}

/// What came of a rehearsal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rehearsed {
    /// What was done, in order.
    pub steps: Vec<String>,
    /// What became of each host's list.
    pub ends: Vec<End>,
    /// What the lists do not agree on in the end.
    pub differences: Vec<String>,
}

impl Rehearsed {
    /// The backends that lost mailboxes, with the messages in them.
    pub fn wiped(&self) -> impl Iterator<Item = &End> {
        self.ends.iter().filter(|end| end.role == "backend" && !end.lost.is_empty())
    }
}

const MASTER: &str = "mupdate master";
/// How long frontends wait before they look for their master again.
const RETRY: Duration = Duration::from_secs(20);
/// Longest that a push is waited for, in the stage's own time.
const PATIENCE: Duration = Duration::from_secs(3600);
/// When a rehearsal begins, in seconds since 1970-01-01 UTC.
const EPOCH: u64 = 1_795_000_000;

struct Stage {
    world: World,
    master: HostId,
    backends: Vec<HostId>,
    frontends: Vec<HostId>,
    steps: Vec<String>,
}

/// Rehearses a recovery.
///
/// # Errors
/// If a list can't be used, or the recovery needs one that is not there.
pub fn rehearse(survivors: &Survivors, plan: &Plan) -> Result<Rehearsed, Cant> {
    let mut stage = Stage::new(survivors, plan.manner)?;
    let before: BTreeMap<HostId, Listing> =
        stage.world.hosts().map(|id| (id, listing(stage.world.disk(id).bytes()))).collect();
    let pushes = stage.recover(survivors, plan)?;
    let mut ends = Vec::new();
    for id in stage.world.hosts() {
        let after = listing(stage.world.disk(id).bytes());
        let was = before.get(&id).cloned().unwrap_or_default();
        let only = |a: &Listing, b: &Listing| a.keys().filter(|name| !b.contains_key(*name)).cloned().collect();
        ends.push(End {
            host: stage.world.setup(id).name().to_owned(),
            role: stage.world.setup(id).role(),
            before: was.len(),
            after: after.len(),
            lost: only(&was, &after),
            new: only(&after, &was),
            push: pushes.get(&id).cloned().unwrap_or_default(),
        });
    }
    let list = |id: &HostId| (stage.world.setup(*id).name().to_owned(), listing(stage.world.disk(*id).bytes()));
    let backends: Vec<_> = stage.backends.iter().map(list).collect();
    let frontends: Vec<_> = stage.frontends.iter().map(list).collect();
    let differences = check::differences(&list(&stage.master).1, &backends, &frontends);
    Ok(Rehearsed { steps: stage.steps, ends, differences })
}

fn disk(name: &str, bytes: Option<&Vec<u8>>) -> Result<Disk, Cant> {
    match bytes {
        None => Ok(Disk::empty(Format::Twoskip)),
        Some(bytes) => Disk::of(bytes.clone())
            .ok_or_else(|| Cant::Failed(format!("{name}: its list is no database that a host starts with"))),
    }
}

impl Stage {
    fn new(survivors: &Survivors, manner: Manner) -> Result<Stage, Cant> {
        let mut world = World::new();
        let (users, namespace) = (Users::anyone(&["cyrus", "mailproxy"]), Namespace { separator: b'.' });
        let (era, update_wait) = (Era::V3_6, Duration::from_secs(1));
        let name = MASTER.as_bytes().to_vec();
        let setup = Setup::Master(master::Config {
            name: name.clone(),
            era,
            manner,
            update_wait,
            allow_empty: false,
            epoch: EPOCH,
            defect: None,
        });
        let master = world.add(setup, disk(MASTER, survivors.master.as_ref())?);
        let mut backends = Vec::new();
        for (host, bytes) in &survivors.backends {
            let setup = Setup::Backend(backend::Config {
                name: host.clone().into_bytes(),
                master: Some(name.clone()),
                era,
                partition: b"default".to_vec(),
                manner,
                delete_mode: DeleteMode::Immediate,
                users: users.clone(),
                namespace,
                epoch: EPOCH,
                defect: None,
            });
            backends.push(world.add(setup, disk(host, Some(bytes))?));
        }
        let mut frontends = Vec::new();
        for (host, bytes) in &survivors.frontends {
            let setup = Setup::Frontend(frontend::Config {
                name: host.clone().into_bytes(),
                master: name.clone(),
                era,
                manner,
                retry: RETRY,
                max_delete: 20,
                update_wait,
                users: users.clone(),
                proxy: (b"mailproxy".to_vec(), Vec::new()),
                namespace,
                epoch: EPOCH,
                defect: None,
            });
            frontends.push(world.add(setup, disk(host, Some(bytes))?));
        }
        Ok(Stage { world, master, backends, frontends, steps: Vec::new() })
    }

    fn name(&self, id: HostId) -> String {
        self.world.setup(id).name().to_owned()
    }

    fn say(&mut self, step: impl Into<String>) {
        self.steps.push(step.into());
    }

    fn start(&mut self, id: HostId) -> Result<(), Cant> {
        let name = self.name(id);
        self.say(format!("start {name}"));
        self.world.start(id).map_err(|refused| Cant::Failed(format!("{name} does not start: {refused:?}")))?;
        self.wait(Duration::from_millis(100));
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        let until = self.world.now().saturating_add(time);
        self.world.run_until(until);
    }

    /// Plays the recovery; gives what each push said.
    fn recover(&mut self, survivors: &Survivors, plan: &Plan) -> Result<BTreeMap<HostId, Vec<String>>, Cant> {
        for id in self.backends.clone() {
            self.start(id)?;
        }
        let frontends = self.frontends.clone();
        if plan.frontends_run {
            self.say("the frontends are left running");
            for &id in &frontends {
                self.start(id)?;
            }
        }
        match &plan.recovery {
            Recovery::None => {}
            Recovery::Dump(converted) => {
                let (bytes, how) = match plan.manner {
                    Manner::Manual => (Ok(converted.clone()), "coroner convert --role master"),
                    Manner::Cyrus36 => (dump::undump(converted, plan.manner), "ctl_mboxlist -u"),
                };
                self.say(format!("the master gets the dump, by {how}"));
                self.put(&bytes.map_err(Cant::Failed)?)?;
            }
            Recovery::FrontendCopy => {
                let Some((host, bytes)) = survivors.frontends.first() else {
                    return Err(Cant::Failed("there is no frontend's list to copy".into()));
                };
                self.say(format!("the master gets a copy of the list of {host}"));
                self.put(&bytes.clone())?;
            }
            Recovery::Hard => {
                self.say("the lists of the master and of the frontends are deleted");
                self.world.set_disk(self.master, Disk::empty(Format::Twoskip));
                for &id in frontends.iter().filter(|_| !plan.frontends_run) {
                    self.world.set_disk(id, Disk::empty(Format::Twoskip));
                }
            }
        }
        self.start(self.master)?;
        if plan.frontends_run {
            self.wait(RETRY.saturating_mul(2));
        }
        let mut pushes = BTreeMap::new();
        for id in self.backends.clone() {
            let lines = self.push(id)?;
            pushes.insert(id, lines);
        }
        for &id in &frontends {
            self.start(id)?;
        }
        self.wait(RETRY.saturating_mul(2));
        Ok(pushes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Cant> {
        let disk = disk(MASTER, Some(&bytes.to_vec()))?;
        self.world.set_disk(self.master, disk);
        Ok(())
    }

    fn push(&mut self, id: HostId) -> Result<Vec<String>, Cant> {
        let name = self.name(id);
        self.say(format!("push the list of {name} (ctl_mboxlist -m)"));
        let number = self.world.order(id, Request::Sync { dry_run: false, authoritative: false });
        match self.world.wait_for(number, PATIENCE) {
            Some(answer) => match answer.data {
                Data::Lines(lines) => Ok(lines),
                _ => Err(Cant::Failed(format!("{name} could not push: {}", answer.text))),
            },
            None => Err(Cant::Failed(format!("{name} could not push: no answer"))),
        }
    }
}
