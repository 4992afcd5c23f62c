//! A theatre in memory: a world with a clock of its own, in which twenty seconds pass at once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::{Life, Murder};
use super::tell;
use super::theatre::{Cant, House, Theatre};
use crate::formats::container::Format;
use crate::formats::record::Era;
use crate::murder::door::Namespace;
use crate::murder::host::backend::{self, DeleteMode};
use crate::murder::host::disk::Disk;
use crate::murder::host::porch::Users;
use crate::murder::host::request::{Answer, Manner, Request};
use crate::murder::host::{Door, frontend, master};
use crate::murder::wire::command::Verb;
use crate::murder::world::setup::{Running, Setup};
use crate::murder::world::trace::Detail;
use crate::murder::world::{Fault, HostId, Life as Alive, World};
use crate::murder::world::{client, teller};

/// What hosts of a drill are called behind their first names.
pub const DOMAIN: &str = ".murder.test";
/// When a drill begins, in seconds since 1970-01-01 UTC: the same for all, so that all of them say the same.
const EPOCH: u64 = 1_795_000_000;
/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How clients of a drill spell names: as the scenario does.
pub const NAMESPACE: Namespace = Namespace { separator: b'.' };
/// Who may do everything.
const ADMINS: [&str; 3] = ["cyrus", "murder", "mailproxy"];

/// Opens theatres in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Whether what is said is told too.
    pub verbose: bool,
}

impl House for Memory {
    fn open(&mut self, murder: &Murder, manner: Manner) -> Result<Box<dyn Theatre + '_>, Cant> {
        Ok(Box::new(Stage::new(murder, manner, self.verbose)?))
    }
}

/// The theatre.
struct Stage {
    world: World,
    retry: Duration,
    clients: BTreeMap<(String, String, Door), HostId>,
    tellers: BTreeMap<String, HostId>,
    /// What was told already.
    lines: usize,
}

/// How the hosts of a drill are set up, by their names.
///
/// # Errors
/// If a name does not tell what the host is.
pub fn setups(murder: &Murder, manner: Manner) -> Result<Vec<Setup>, Cant> {
    let retry = Duration::from_secs(murder.retry_delay.unwrap_or(20).max(2));
    let delete_mode = match (murder.delete_mode.as_deref(), manner) {
        (Some("immediate"), _) | (None, Manner::Manual) => DeleteMode::Immediate,
        (Some("delayed"), _) | (None, Manner::Cyrus36) => DeleteMode::Delayed,
        (Some(other), _) => return Err(Cant::Failed(format!("{other:?} is no delete-mode: immediate or delayed"))),
    };
    let full = |name: &str| format!("{name}{DOMAIN}").into_bytes();
    let master = murder.hosts.iter().find(|name| name.starts_with("mup")).map(|name| full(name));
    let users = Users::anyone(&ADMINS);
    let one = |name: &String| {
        let name = full(name);
        let setup = match (&name[..2], &master) {
            (b"mu", _) => Setup::Master(master::Config {
                name,
                era: Era::V3_6,
                manner,
                update_wait: Duration::from_secs(1),
                allow_empty: false,
                epoch: EPOCH,
                defect: None,
            }),
            (b"fe", Some(master)) => Setup::Frontend(frontend::Config {
                name,
                master: master.clone(),
                era: Era::V3_6,
                manner,
                retry,
                max_delete: murder.max_delete.unwrap_or(20),
                update_wait: Duration::from_secs(1),
                users: users.clone(),
                proxy: (b"mailproxy".to_vec(), b"secret".to_vec()),
                namespace: NAMESPACE,
                epoch: EPOCH,
                defect: None,
            }),
            (b"be", _) => Setup::Backend(backend::Config {
                name,
                master: master.clone(),
                era: Era::V3_6,
                partition: b"default".to_vec(),
                manner,
                delete_mode,
                users: users.clone(),
                namespace: NAMESPACE,
                epoch: EPOCH,
                defect: None,
            }),
            _ => {
                let name = String::from_utf8_lossy(&name).into_owned();
                return Err(Cant::Failed(format!(
                    "{name}: hosts are called mup…, fe… or be…, and frontends need a mup"
                )));
            }
        };
        Ok(setup)
    };
    murder.hosts.iter().map(one).collect()
}

impl Stage {
    fn new(murder: &Murder, manner: Manner, verbose: bool) -> Result<Stage, Cant> {
        let mut world = World::new();
        world.trace.detail = if verbose { Detail::All } else { Detail::Deeds };
        for setup in setups(murder, manner)? {
            world.add(setup, Disk::empty(Format::Twoskip));
        }
        let retry = Duration::from_secs(murder.retry_delay.unwrap_or(20).max(2));
        Ok(Stage { world, retry, clients: BTreeMap::new(), tellers: BTreeMap::new(), lines: 0 })
    }

    fn find(&self, host: &str) -> Result<HostId, Cant> {
        self.world.find(host).ok_or_else(|| Cant::Failed(format!("there is no host {host:?}")))
    }

    /// A host that is started at once.
    fn hire(&mut self, setup: Setup) -> HostId {
        let id = self.world.add(setup, Disk::empty(Format::Twoskip));
        // An empty disk has nothing wrong.
        let _ = self.world.start(id);
        id
    }
}

impl Theatre for Stage {
    fn has_own_clock(&self) -> bool {
        true
    }

    fn full_name(&self, host: &str) -> String {
        format!("{host}{DOMAIN}")
    }

    fn life(&mut self, host: &str, life: Life) -> Result<(), Cant> {
        let id = self.find(host)?;
        match life {
            Life::Start => {
                self.world.start(id).map_err(|refused| Cant::Failed(format!("{host} does not start: {refused:?}")))?;
                // What it begins with.
                self.wait(Duration::from_millis(100));
            }
            Life::Stop => self.world.stop(id),
            // A process that is killed loses nothing that it gave its system to write.
            Life::Kill => self.world.kill(id, &mut |len| len),
            Life::Hang => self.world.hang(id, true),
            Life::Resume => self.world.hang(id, false),
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        let until = self.world.now().saturating_add(time);
        self.world.run_until(until);
    }

    fn settle(&mut self) {
        let follows = |world: &World, id: HostId| match world.running(id) {
            Some(Running::Frontend(frontend)) => frontend.is_following(),
            _ => true,
        };
        let until = self.world.now().saturating_add(self.retry.saturating_mul(2));
        let all = |world: &World| world.hosts().all(|id| world.life(id) != Alive::Up || follows(world, id));
        self.wait(Duration::from_millis(10));
        while !all(&self.world) && self.world.now() < until {
            self.wait(Duration::from_millis(500));
        }
        self.wait(Duration::from_secs(2));
    }

    fn ask(&mut self, user: &str, host: &str, request: &Request) -> Result<Option<Answer>, Cant> {
        self.find(host)?;
        let door = if matches!(request, Request::Deliver { .. }) { Door::Lmtp } else { Door::Imap };
        let key = (user.to_owned(), host.to_owned(), door);
        let id = match self.clients.get(&key) {
            Some(id) => *id,
            None => {
                let name = match door {
                    Door::Lmtp => "somebody".into(),
                    _ => user.as_bytes().to_vec(),
                };
                let to = self.full_name(host).into_bytes();
                let (user, password) = (user.as_bytes().to_vec(), b"secret".to_vec());
                let config = client::Config { name, to, door, user, password, namespace: NAMESPACE };
                let id = self.hire(Setup::Client(config));
                self.clients.insert(key, id);
                id
            }
        };
        let number = self.world.order(id, request.clone());
        Ok(self.world.wait_for(number, PATIENCE))
    }

    fn tell(&mut self, host: &str, verb: &Verb) -> Result<Option<Answer>, Cant> {
        self.find(host)?;
        let id = match self.tellers.get(host) {
            Some(id) => *id,
            None => {
                let to = self.full_name(host).into_bytes();
                let id = self.hire(Setup::Teller(teller::Config { name: b"somebody".to_vec(), to }));
                self.tellers.insert(host.to_owned(), id);
                id
            }
        };
        let number = self.world.tell(id, verb.clone());
        Ok(self.world.wait_for(number, PATIENCE))
    }

    fn sync(&mut self, host: &str, dry_run: bool, authoritative: bool) -> Result<Option<Answer>, Cant> {
        let id = self.find(host)?;
        let number = self.world.order(id, Request::Sync { dry_run, authoritative });
        Ok(self.world.wait_for(number, PATIENCE))
    }

    fn database(&mut self, host: &str) -> Result<Vec<u8>, Cant> {
        let id = self.find(host)?;
        Ok(self.world.disk(id).bytes().to_vec())
    }

    fn put_database(&mut self, host: &str, bytes: Option<&[u8]>) -> Result<(), Cant> {
        let id = self.find(host)?;
        if self.world.life(id) != Alive::Down {
            return Err(Cant::Failed(format!("{host} is not down")));
        }
        let other = match bytes {
            None => Disk::empty(Format::Twoskip),
            Some(bytes) => {
                let disk = Disk::of(bytes.to_vec());
                disk.ok_or_else(|| Cant::Failed("it is no database of a murder's host".into()))?
            }
        };
        let disk = self.world.disk(id).with_database_of(&other);
        self.world.set_disk(id, disk);
        Ok(())
    }

    fn disturb(&mut self, a: &str, b: &str, fault: Option<Fault>) -> Result<(), Cant> {
        let (a, b) = (self.find(a)?, self.find(b)?);
        match fault {
            Some(fault) => self.world.disturb(a, b, fault),
            None => self.world.heal(a, b),
        }
        Ok(())
    }

    fn fill(&mut self, host: &str, full: bool) -> Result<(), Cant> {
        let id = self.find(host)?;
        self.world.fill(id, full);
        Ok(())
    }

    fn fuse(&mut self, host: &str, deeds: u64) -> Result<(), Cant> {
        let id = self.find(host)?;
        self.world.fuse(id, deeds);
        Ok(())
    }

    fn told(&mut self, begun: Duration) -> Vec<String> {
        let lines = self.world.trace.lines.get(self.lines..).unwrap_or_default();
        let told = lines.iter().filter_map(|line| tell::line(&self.world, line, begun)).collect();
        self.lines = self.world.trace.lines.len();
        told
    }

    fn now(&self) -> Duration {
        self.world.now()
    }
}
