//! A murder in memory: hosts, their disks, the connections between them and a clock that goes as fast as there is work.
//!
//! Everything that happens is an event at a time; the same world with the same orders goes the same way again, to the byte.

pub mod bites;
pub mod client;
mod faults;
pub mod setup;
mod station;
pub mod teller;
pub mod trace;
mod wires;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use self::bites::{Bite, Bites};
use self::setup::{Running, Setup};
pub use self::station::Life;
use self::station::Station;
use self::trace::{Trace, What};
pub use self::wires::Fault;
use self::wires::{End, Wires};
use crate::murder::host::disk::{Disk, Refused};
use crate::murder::host::request::{Answer, Request};
use crate::murder::host::{ConnId, Door, Effect, Host, Keep};
use crate::murder::wire::command::Verb;

/// The number of a host in its world.
pub type HostId = usize;

/// What happens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    /// Bytes come to an end of a connection.
    Arrive(End, Vec<u8>),
    /// An end of a connection hears that the other one is gone.
    Gone(End),
    /// A connection is there, or can't be had.
    Connected(End, bool),
    /// Somebody came in while the host hung.
    Accept(End, Door),
    /// What a host wanted stored is to be on its disk; how often the host was started by then.
    Written(HostId, u64),
    /// A host has something to do by itself.
    Tick(HostId),
    /// A host that died is started again.
    Again(HostId, u64),
}

/// A world.
pub struct World {
    now: Duration,
    stations: Vec<Station>,
    wires: Wires,
    queue: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    events: u64,
    orders: u64,
    told: BTreeMap<u64, Answer>,
    /// What happened.
    pub trace: Trace,
}

impl Default for World {
    fn default() -> Self {
        World::new()
    }
}

/// How long a host that died of something is down.
const RESTART: Duration = Duration::from_millis(500);
/// How long somebody waits for a host that can't be reached.
const UNREACHABLE: Duration = Duration::from_secs(30);

impl World {
    /// A world without hosts.
    pub fn new() -> World {
        World {
            now: Duration::ZERO,
            stations: Vec::new(),
            wires: Wires::default(),
            queue: BinaryHeap::new(),
            events: 0,
            orders: 0,
            told: BTreeMap::new(),
            trace: Trace::default(),
        }
    }

    /// The time since the world began.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// How much happened.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Adds a host, which is not started yet.
    pub fn add(&mut self, setup: Setup, disk: Disk) -> HostId {
        self.stations.push(Station::new(setup, disk));
        self.stations.len().saturating_sub(1)
    }

    /// The host of that name; its first word does too.
    pub fn find(&self, name: &str) -> Option<HostId> {
        self.stations.iter().position(|station| station.is_called(name))
    }

    /// All hosts.
    pub fn hosts(&self) -> std::ops::Range<HostId> {
        0..self.stations.len()
    }

    fn station(&self, host: HostId) -> &Station {
        &self.stations[host]
    }

    fn station_mut(&mut self, host: HostId) -> &mut Station {
        &mut self.stations[host]
    }

    /// How a host is set up.
    pub fn setup(&self, host: HostId) -> &Setup {
        &self.station(host).setup
    }

    /// How a host is set up from its next start on.
    pub fn setup_mut(&mut self, host: HostId) -> &mut Setup {
        &mut self.station_mut(host).setup
    }

    /// Whether a host runs.
    pub fn life(&self, host: HostId) -> Life {
        self.station(host).life
    }

    /// A host as it runs.
    pub fn running(&self, host: HostId) -> Option<&Running> {
        self.station(host).running.as_ref()
    }

    /// A host's disk.
    pub fn disk(&self, host: HostId) -> &Disk {
        &self.station(host).disk
    }

    /// Puts another disk in: only of a host that is down.
    pub fn set_disk(&mut self, host: HostId, disk: Disk) {
        let station = self.station_mut(host);
        station.disk = disk;
        station.changes = station.changes.saturating_add(1);
    }

    /// Whether something is being stored on a host's disk.
    pub fn is_storing(&self, host: HostId) -> bool {
        self.station(host).pending.is_some()
    }

    /// A number that changes whenever a host's disk does, or the host is started.
    pub fn disk_changes(&self, host: HostId) -> u64 {
        self.station(host).changes
    }

    /// What a host wanted stored since this was asked last, whatever became of it; with what is being stored now, which is told
    /// again the next time.
    pub fn take_attempts(&mut self, host: HostId) -> Vec<Vec<Keep>> {
        self.station_mut(host).take_attempts()
    }

    /// How often a host's disk refused a change.
    pub fn refusals(&self, host: HostId) -> u64 {
        self.station(host).refusals
    }

    /// How often faults did something.
    pub fn bites(&self) -> &Bites {
        &self.wires.bites
    }

    fn end_of(&self, host: HostId, conn: ConnId) -> End {
        End { host, start: self.station(host).starts, conn }
    }

    /// Starts a host from what is on its disk.
    ///
    /// # Errors
    /// What is wrong with its database.
    pub fn start(&mut self, host: HostId) -> Result<(), Refused> {
        let station = self.station_mut(host);
        if station.life != Life::Down {
            return Ok(());
        }
        let recovered = station.start()?;
        self.trace.push(self.now, host, What::Started { recovered });
        self.input(host, |running, now| running.tick(now));
        Ok(())
    }

    /// Gives an order to a host; its answer is to be had by the number that comes back.
    pub fn order(&mut self, host: HostId, request: Request) -> u64 {
        self.orders = self.orders.saturating_add(1);
        let (number, now) = (self.orders, self.now);
        self.trace.push(now, host, What::Ordered { number, request: request.clone() });
        if self.station(host).life == Life::Up {
            self.input(host, |running, now| running.order(number, request, now));
        } else {
            self.answer(host, number, Answer::no("the host is down"));
        }
        number
    }

    /// Has a [`teller::Teller`] tell its master something; its answer is to be had by the number that comes back.
    pub fn tell(&mut self, host: HostId, verb: Verb) -> u64 {
        self.orders = self.orders.saturating_add(1);
        let number = self.orders;
        self.input(host, |running, now| {
            if let Running::Teller(teller) = running {
                teller.tell(number, verb, now);
            }
        });
        number
    }

    /// The answer to an order, if there is one; it is given once.
    pub fn take_answer(&mut self, number: u64) -> Option<Answer> {
        self.told.remove(&number)
    }

    /// All answers that there are; each is given once.
    pub fn take_answers(&mut self) -> BTreeMap<u64, Answer> {
        std::mem::take(&mut self.told)
    }

    /// Lets the next thing happen, if there is one before `until`; gives whether there was.
    pub fn step(&mut self, until: Duration) -> bool {
        match self.queue.peek() {
            Some(Reverse((at, _, _))) if *at <= until => {}
            _ => return false,
        }
        let Some(Reverse((at, _, event))) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.events = self.events.saturating_add(1);
        self.happen(event);
        true
    }

    /// Lets everything happen until then.
    pub fn run_until(&mut self, until: Duration) {
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// Lets everything happen until an order is answered, for so long at most.
    pub fn wait_for(&mut self, number: u64, patience: Duration) -> Option<Answer> {
        let until = self.now.saturating_add(patience);
        loop {
            if let Some(answer) = self.take_answer(number) {
                return Some(answer);
            }
            if !self.step(until) {
                self.now = self.now.max(until);
                return None;
            }
        }
    }

    fn push(&mut self, at: Duration, event: Event) {
        self.events = self.events.saturating_add(1);
        self.queue.push(Reverse((at.max(self.now), self.events, event)));
    }

    fn answer(&mut self, host: HostId, number: u64, answer: Answer) {
        let now = self.now;
        self.trace.push(now, host, What::Answered { number, answer: answer.clone() });
        self.told.insert(number, answer);
    }

    fn happen(&mut self, event: Event) {
        let host = match &event {
            Event::Arrive(end, _) | Event::Gone(end) | Event::Connected(end, _) | Event::Accept(end, _) => end.host,
            Event::Tick(host) | Event::Again(host, _) | Event::Written(host, _) => *host,
        };
        if let Event::Again(host, starts) = event {
            if self.station(host).starts == starts && self.station(host).life == Life::Down {
                let _ = self.start(host);
            }
            return;
        }
        match self.station(host).life {
            Life::Down => return,
            Life::Hung => {
                if self.station(host).missed.is_empty() {
                    self.wires.bites.count(Bite::Hung);
                }
                return self.station_mut(host).missed.push_back(event);
            }
            Life::Up => {}
        }
        match event {
            Event::Arrive(end, bytes) if self.wires.has(end) => {
                self.input(host, |running, now| running.hear(end.conn, &bytes, now));
            }
            Event::Gone(end) | Event::Connected(end, false) if self.wires.has(end) => {
                self.wires.forget(end);
                self.input(host, |running, now| running.lost(end.conn, now));
            }
            Event::Connected(end, true) if self.wires.has(end) => {
                self.input(host, |running, now| running.connected(end.conn, now));
            }
            Event::Accept(end, door) if self.wires.has(end) => {
                self.input(host, |running, now| running.accept(end.conn, door, now));
            }
            Event::Written(_, starts) if self.station(host).starts == starts => {
                if let Some(keeps) = self.station_mut(host).pending.take() {
                    let done = self.write(host, &keeps);
                    self.input(host, |running, now| running.stored(done, now));
                }
            }
            Event::Tick(_) if self.station(host).tick.is_some_and(|tick| tick <= self.now) => {
                self.station_mut(host).tick = None;
                self.input(host, |running, now| running.tick(now));
            }
            _ => {}
        }
    }

    /// Lets a host take something in, and does what it then wants done.
    fn input(&mut self, host: HostId, take: impl FnOnce(&mut Running, Duration)) {
        let now = self.station(host).time(self.now);
        let Some(running) = &mut self.stations[host].running else { return };
        take(running, now);
        while let Some(effect) = self.stations[host].running.as_mut().and_then(Host::next_effect) {
            if self.station_mut(host).burns(&effect) {
                self.wires.bites.count(Bite::Fuse);
                return self.kill(host, &mut |len| len);
            }
            self.carry_out(host, effect);
        }
        let now = self.now;
        if let Some(at) = self.station_mut(host).next_tick(now) {
            self.push(at, Event::Tick(host));
        }
    }

    fn carry_out(&mut self, host: HostId, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::Connect { conn, to, door } => self.connect(host, conn, &to, door),
            Effect::Send { conn, bytes } => {
                let end = self.end_of(host, conn);
                self.trace.sent(now, host, self.wires.other(end).map(|other| other.host), self.wires.door(end), &bytes);
                for (end, arrived, at) in self.wires.send(end, bytes, now) {
                    let event = arrived.map_or(Event::Gone(end), |bytes| Event::Arrive(end, bytes));
                    self.push(at, event);
                }
            }
            Effect::Close { conn } => {
                if let Some((end, at)) = self.wires.close(self.end_of(host, conn), now) {
                    self.push(at, Event::Gone(end));
                }
            }
            Effect::Store(keeps) => self.store(host, keeps),
            Effect::Told(number, answer) => self.answer(host, number, answer),
            Effect::Log(line) => self.trace.push(now, host, What::Logged(line)),
            Effect::Die(what) => {
                let starts = self.station(host).starts;
                self.end(host, What::Died(what), &mut |len| len);
                self.push(now.saturating_add(RESTART), Event::Again(host, starts));
            }
        }
    }

    fn connect(&mut self, host: HostId, conn: ConnId, to: &[u8], door: Door) {
        let now = self.now;
        let own = self.end_of(host, conn);
        let other = self.find(&String::from_utf8_lossy(to));
        let Some(other) = other.filter(|&other| self.station(other).setup.listens(door)) else {
            self.wires.wish(own, door);
            return self.push(self.wires.arrival(now), Event::Connected(own, false));
        };
        if self.wires.is_apart(host, other) {
            self.wires.bite(host, other);
            self.wires.wish(own, door);
            return self.push(now.saturating_add(UNREACHABLE), Event::Connected(own, false));
        }
        if self.station(other).life == Life::Down {
            self.wires.wish(own, door);
            return self.push(self.wires.arrival(now), Event::Connected(own, false));
        }
        let station = self.station_mut(other);
        station.conns = station.conns.saturating_add(1);
        let conn = station.conns;
        let end = self.end_of(other, conn);
        self.wires.join(own, end, door);
        self.push(self.wires.arrival(now), Event::Connected(own, true));
        // One that hangs is reached by its system, which says nothing.
        self.happen(Event::Accept(end, door));
    }

    fn store(&mut self, host: HostId, keeps: Vec<Keep>) {
        let now = self.now;
        let station = self.station_mut(host);
        if station.disk_time.is_some() {
            station.attempt(&keeps);
        }
        if let Some((steps, bytes)) = station.torn.take() {
            let _ = station.disk.store(&keeps, steps);
            self.wires.bites.count(Bite::Torn);
            return self.kill(host, &mut |len| len.min(bytes));
        }
        if let Some(time) = station.disk_time {
            station.pending = Some(keeps);
            let starts = station.starts;
            return self.push(now.saturating_add(time), Event::Written(host, starts));
        }
        let done = self.write(host, &keeps);
        let at = self.station(host).time(now);
        if let Some(running) = &mut self.stations[host].running {
            running.stored(done, at);
        }
    }

    /// Brings a change to a host's disk; gives whether it is there.
    fn write(&mut self, host: HostId, keeps: &[Keep]) -> bool {
        if self.station(host).full {
            self.wires.bites.count(Bite::Full);
        }
        let done = self.station_mut(host).write(keeps);
        self.trace.push(self.now, host, What::Stored { done, records: keeps.len() });
        done
    }
}
