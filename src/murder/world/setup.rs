//! What hosts of a world are.

use std::time::Duration;

use super::client::{self, Client};
use super::teller::{self, Teller};
use crate::formats::record::Era;
use crate::murder::defect::Defect;
use crate::murder::host::backend::{self, Backend};
use crate::murder::host::disk::Disk;
use crate::murder::host::frontend::{self, Frontend};
use crate::murder::host::master::{self, Master};
use crate::murder::host::request::Request;
use crate::murder::host::{ConnId, Door, Effect, Host};
use crate::murder::store::durable;

/// How a host is set up.
#[derive(Clone, Debug)]
pub enum Setup {
    /// A mupdate master.
    Master(master::Config),
    /// A frontend.
    Frontend(frontend::Config),
    /// A backend.
    Backend(backend::Config),
    /// Somebody's mail program.
    Client(client::Config),
    /// Somebody who speaks MUPDATE.
    Teller(teller::Config),
}

/// A host that runs.
#[derive(Debug)]
pub enum Running {
    /// A mupdate master.
    Master(Box<Master>),
    /// A frontend.
    Frontend(Box<Frontend>),
    /// A backend.
    Backend(Box<Backend>),
    /// Somebody's mail program.
    Client(Box<Client>),
    /// Somebody who speaks MUPDATE.
    Teller(Box<Teller>),
}

impl Setup {
    /// The host's name.
    pub fn name(&self) -> &str {
        let name = match self {
            Setup::Master(config) => &config.name,
            Setup::Frontend(config) => &config.name,
            Setup::Backend(config) => &config.name,
            Setup::Client(config) => &config.name,
            Setup::Teller(config) => &config.name,
        };
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// What it is called in reports.
    pub fn role(&self) -> &'static str {
        match self {
            Setup::Master(_) => "master",
            Setup::Frontend(_) => "frontend",
            Setup::Backend(_) => "backend",
            Setup::Client(_) | Setup::Teller(_) => "client",
        }
    }

    /// Whether it lets anyone in there.
    pub fn listens(&self, door: Door) -> bool {
        match self {
            Setup::Master(_) => door == Door::Mupdate,
            Setup::Frontend(_) => true,
            Setup::Backend(_) => door != Door::Mupdate,
            Setup::Client(_) | Setup::Teller(_) => false,
        }
    }

    /// Whether it takes an unfinished transaction back when it starts.
    pub fn recovers(&self) -> bool {
        !matches!(self, Setup::Backend(config) if config.defect == Some(Defect::NoRecovery))
    }

    /// The host as it is when it starts with this disk.
    pub fn start(&self, disk: &Disk) -> Running {
        let list = |era: Era| durable::read(disk.bytes(), disk.format(), disk.order(), era);
        match self {
            Setup::Master(config) => {
                let (era, list) = list(config.era);
                Running::Master(Box::new(Master::new(master::Config { era, ..config.clone() }, list)))
            }
            Setup::Frontend(config) => {
                let (era, list) = list(config.era);
                Running::Frontend(Box::new(Frontend::new(frontend::Config { era, ..config.clone() }, list)))
            }
            Setup::Backend(config) => {
                let (era, _) = list(config.era);
                let config = backend::Config { era, ..config.clone() };
                Running::Backend(Box::new(Backend::new(config, &disk.records(), disk.spool())))
            }
            Setup::Client(config) => Running::Client(Box::new(Client::new(config.clone()))),
            Setup::Teller(config) => Running::Teller(Box::new(Teller::new(config.clone()))),
        }
    }
}

impl Running {
    fn host(&mut self) -> &mut dyn Host {
        match self {
            Running::Master(host) => &mut **host,
            Running::Frontend(host) => &mut **host,
            Running::Backend(host) => &mut **host,
            Running::Client(host) => &mut **host,
            Running::Teller(host) => &mut **host,
        }
    }
}

impl Host for Running {
    fn accept(&mut self, conn: ConnId, door: Door, now: Duration) {
        self.host().accept(conn, door, now);
    }

    fn connected(&mut self, conn: ConnId, now: Duration) {
        self.host().connected(conn, now);
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8], now: Duration) {
        self.host().hear(conn, bytes, now);
    }

    fn lost(&mut self, conn: ConnId, now: Duration) {
        self.host().lost(conn, now);
    }

    fn stored(&mut self, done: bool, now: Duration) {
        self.host().stored(done, now);
    }

    fn order(&mut self, number: u64, request: Request, now: Duration) {
        self.host().order(number, request, now);
    }

    fn tick(&mut self, now: Duration) {
        self.host().tick(now);
    }

    fn next_tick(&self) -> Option<Duration> {
        match self {
            Running::Master(host) => host.next_tick(),
            Running::Frontend(host) => host.next_tick(),
            Running::Backend(host) => host.next_tick(),
            Running::Client(host) => host.next_tick(),
            Running::Teller(host) => host.next_tick(),
        }
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.host().next_effect()
    }
}
