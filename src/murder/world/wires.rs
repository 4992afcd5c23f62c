//! Connections in memory: bytes come in order, some time later, unless something is done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::HostId;
use super::bites::{Bite, Bites};
use crate::murder::host::{ConnId, Door};

/// How long bytes are on their way.
const LATENCY: Duration = Duration::from_millis(1);

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct End {
    /// The host.
    pub host: HostId,
    /// How often the host was started by then: it numbers its connections anew each time.
    pub start: u64,
    /// Its number there.
    pub conn: ConnId,
}

/// What happens to the connections between two hosts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Fault {
    /// They can't reach each other: nothing comes through until it is healed, and there are no new connections.
    Apart,
    /// All connections there are end.
    Reset,
    /// All connections there are end after so many more bytes in each direction.
    CutAfter(usize),
    /// Nothing comes through on the connections there are until it is healed; then all of it.
    Stalled,
    /// What the second host sends does not come through until it is healed.
    HalfOpen,
}

#[derive(Debug)]
struct Side {
    other: Option<End>,
    door: Door,
    /// When what was sent last arrives.
    last: Duration,
    /// Bytes that still come through.
    left: Option<usize>,
    /// What waits to come through.
    held: Vec<u8>,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Wires {
    sides: BTreeMap<End, Side>,
    apart: BTreeSet<(HostId, HostId)>,
    stalled: BTreeSet<(HostId, HostId)>,
    /// Whose bytes do not come through, to whom.
    deaf: BTreeSet<(HostId, HostId)>,
    /// Which of these did something.
    bitten: BTreeSet<(Bite, HostId, HostId)>,
    /// How often faults did something.
    pub bites: Bites,
}

fn pair(a: HostId, b: HostId) -> (HostId, HostId) {
    (a.min(b), a.max(b))
}

impl Wires {
    /// When something that is sent now arrives.
    pub fn arrival(&self, now: Duration) -> Duration {
        now.saturating_add(LATENCY)
    }

    /// A connection that is wanted.
    pub fn wish(&mut self, own: End, door: Door) {
        let side = Side { other: None, door, last: Duration::ZERO, left: None, held: Vec::new() };
        self.sides.insert(own, side);
    }

    /// A connection.
    pub fn join(&mut self, a: End, b: End, door: Door) {
        for (own, other) in [(a, b), (b, a)] {
            self.wish(own, door);
            if let Some(side) = self.sides.get_mut(&own) {
                side.other = Some(other);
            }
        }
    }

    /// Whether there is such an end.
    pub fn has(&self, end: End) -> bool {
        self.sides.contains_key(&end)
    }

    /// What is spoken there.
    pub fn door(&self, end: End) -> Option<Door> {
        self.sides.get(&end).map(|side| side.door)
    }

    /// The other end.
    pub fn other(&self, end: End) -> Option<End> {
        self.sides.get(&end)?.other
    }

    /// Whether two hosts can't reach each other.
    pub fn is_apart(&self, a: HostId, b: HostId) -> bool {
        self.apart.contains(&pair(a, b))
    }

    /// Sends bytes from an end; gives what arrives where and when, `None` for the end of the connection.
    pub fn send(&mut self, from: End, mut bytes: Vec<u8>, now: Duration) -> Vec<(End, Option<Vec<u8>>, Duration)> {
        let at = self.arrival(now);
        let Some(to) = self.sides.get(&from).map(|side| side.other) else { return Vec::new() };
        // The other end is gone, and its system knows nothing of the connection.
        let Some(to) = to else { return vec![(from, None, at)] };
        let blocked = self.blocks(from.host, to.host);
        let Some(side) = self.sides.get_mut(&from) else { return Vec::new() };
        if blocked {
            side.held.append(&mut bytes);
            self.bite(from.host, to.host);
            return Vec::new();
        }
        side.last = side.last.max(at);
        let at = side.last;
        let mut cut = false;
        if let Some(left) = &mut side.left {
            bytes.truncate(*left);
            *left = left.saturating_sub(bytes.len());
            cut = *left == 0;
        }
        let mut arrives = vec![(to, Some(bytes), at)];
        if cut {
            self.bites.count(Bite::Cut);
            self.unlink(from, to);
            arrives.extend([(to, None, at), (from, None, at)]);
        }
        arrives
    }

    /// Whether what one host sends does not come through to another now.
    fn blocks(&self, from: HostId, to: HostId) -> bool {
        let hosts = pair(from, to);
        self.apart.contains(&hosts) || self.stalled.contains(&hosts) || self.deaf.contains(&(from, to))
    }

    /// What keeps one host from reaching another did something; each is counted once.
    pub fn bite(&mut self, from: HostId, to: HostId) {
        let (a, b) = pair(from, to);
        let bite = match () {
            () if self.apart.contains(&(a, b)) => Bite::Apart,
            () if self.stalled.contains(&(a, b)) => Bite::Stalled,
            () => Bite::HalfOpen,
        };
        if self.bitten.insert((bite, a, b)) {
            self.bites.count(bite);
        }
    }

    /// Both ends know nothing of each other any more; each is told by whoever calls this.
    fn unlink(&mut self, a: End, b: End) {
        for end in [a, b] {
            if let Some(side) = self.sides.get_mut(&end) {
                side.other = None;
            }
        }
    }

    /// An end is closed; gives who is told, and when.
    pub fn close(&mut self, end: End, now: Duration) -> Option<(End, Duration)> {
        let at = self.arrival(now);
        let side = self.sides.remove(&end)?;
        let other = side.other?;
        if let Some(side) = self.sides.get_mut(&other) {
            side.other = None;
        }
        // One that is not reached is told when it sends something.
        (!self.blocks(end.host, other.host)).then_some((other, side.last.max(at)))
    }

    /// An end was told that its connection is gone.
    pub fn forget(&mut self, end: End) {
        self.sides.remove(&end);
    }

    /// A host is gone; gives who is told, and when.
    pub fn leave(&mut self, host: HostId, now: Duration) -> Vec<(End, Duration)> {
        let own: Vec<End> = self.sides.keys().copied().filter(|end| end.host == host).collect();
        own.into_iter().filter_map(|end| self.close(end, now)).collect()
    }

    /// Something happens between two hosts; gives who is told that a connection is gone, and when.
    pub fn disturb(&mut self, a: HostId, b: HostId, fault: Fault, now: Duration) -> Vec<(End, Duration)> {
        let hosts = pair(a, b);
        match fault {
            Fault::Apart => drop(self.apart.insert(hosts)),
            Fault::Stalled => drop(self.stalled.insert(hosts)),
            Fault::HalfOpen => drop(self.deaf.insert((b, a))),
            Fault::Reset => {
                let at = self.arrival(now);
                let between = self.between(a, b);
                if !between.is_empty() {
                    self.bites.count(Bite::Reset);
                }
                for &end in &between {
                    self.sides.get_mut(&end).into_iter().for_each(|side| side.other = None);
                }
                return between.into_iter().map(|end| (end, at)).collect();
            }
            Fault::CutAfter(bytes) => {
                for end in self.between(a, b) {
                    self.sides.get_mut(&end).into_iter().for_each(|side| side.left = Some(bytes));
                }
            }
        }
        Vec::new()
    }

    /// Nothing happens between two hosts any more; gives what had waited, and when it arrives.
    pub fn heal(&mut self, a: HostId, b: HostId, now: Duration) -> Vec<(End, Vec<u8>, Duration)> {
        let at = self.arrival(now);
        self.apart.remove(&pair(a, b));
        self.stalled.remove(&pair(a, b));
        self.deaf.remove(&(a, b));
        self.deaf.remove(&(b, a));
        self.bitten.retain(|(_, one, other)| (*one, *other) != pair(a, b));
        let mut arrives = Vec::new();
        for end in self.between(a, b) {
            let Some(side) = self.sides.get_mut(&end) else { continue };
            let held = std::mem::take(&mut side.held);
            side.left = None;
            side.last = side.last.max(at);
            if let Some(other) = side.other.filter(|_| !held.is_empty()) {
                arrives.push((other, held, side.last));
            }
        }
        arrives
    }

    fn between(&self, a: HostId, b: HostId) -> Vec<End> {
        let hosts = pair(a, b);
        let is = |(end, side): &(&End, &Side)| side.other.is_some_and(|other| pair(end.host, other.host) == hosts);
        self.sides.iter().filter(is).map(|(end, _)| *end).collect()
    }
}
