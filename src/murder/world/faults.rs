//! What can happen to the hosts of a world, their disks, their clocks and the connections between them.

use std::time::Duration;

use super::trace::What;
use super::wires::Fault;
use super::{Bite, Event, HostId, Life, World};
use crate::murder::host::Host;

impl World {
    /// Lets a host's disk take so long for each change, in which other things happen.
    pub fn slow(&mut self, host: HostId, time: Duration) {
        self.station_mut(host).disk_time = Some(time);
    }

    /// Nothing that was planned for a host happens any more: no fuse, no torn change.
    pub fn calm(&mut self, host: HostId) {
        let station = self.station_mut(host);
        (station.fuse, station.torn) = (None, None);
    }

    /// Ends a host in order.
    pub fn stop(&mut self, host: HostId) {
        self.end(host, What::Stopped, &mut |len| len);
    }

    /// Ends a host at once; `choose` says how many bytes of each write that was not synced, at most so many, are on the disk.
    pub fn kill(&mut self, host: HostId, choose: &mut dyn FnMut(usize) -> usize) {
        self.end(host, What::Killed, choose);
    }

    pub(super) fn end(&mut self, host: HostId, what: What, choose: &mut dyn FnMut(usize) -> usize) {
        let now = self.now;
        let station = self.station_mut(host);
        if station.life == Life::Down {
            return;
        }
        station.life = Life::Down;
        station.running = None;
        station.tick = None;
        station.fuse = None;
        station.torn = None;
        station.missed.clear();
        let mut bites = Vec::new();
        if let Some(keeps) = station.pending.take().filter(|_| !station.full) {
            // Some of its steps were made.
            let steps = choose(station.disk.steps(&keeps).max(1));
            if steps > 0 {
                let _ = station.disk.store(&keeps, steps);
            }
            bites.push(Bite::KilledStoring);
        }
        let mut less = false;
        station.disk.crash(&mut |len| {
            let kept = choose(len);
            less |= kept < len;
            kept
        });
        station.changes = station.changes.saturating_add(1);
        if less {
            bites.push(Bite::Unsynced);
        }
        if what == What::Killed {
            bites.push(Bite::Killed);
        }
        bites.into_iter().for_each(|bite| self.wires.bites.count(bite));
        self.trace.push(now, host, what);
        for (end, at) in self.wires.leave(host, now) {
            self.push(at, Event::Gone(end));
        }
    }

    /// Lets a host hang, or go on.
    pub fn hang(&mut self, host: HostId, hangs: bool) {
        let now = self.now;
        let station = self.station_mut(host);
        match (station.life, hangs) {
            (Life::Up, true) => {
                station.life = Life::Hung;
                self.trace.push(now, host, What::Hangs);
            }
            (Life::Hung, false) => {
                station.life = Life::Up;
                self.trace.push(now, host, What::GoesOn);
                for event in std::mem::take(&mut self.station_mut(host).missed) {
                    self.happen(event);
                }
                self.input(host, |running, now| running.tick(now));
            }
            _ => {}
        }
    }

    /// Lets a host's clock jump; back too.
    pub fn jump(&mut self, host: HostId, seconds: i64) {
        let station = self.station_mut(host);
        station.skew = station.skew.saturating_add(seconds.saturating_mul(1_000_000_000));
        station.tick = None;
        self.wires.bites.count(if seconds < 0 { Bite::Back } else { Bite::Forward });
        let station = self.station_mut(host);
        if station.life == Life::Up {
            self.input(host, |running, now| running.tick(now));
        }
    }

    /// Lets a host's disk take no more, or again.
    pub fn fill(&mut self, host: HostId, full: bool) {
        self.station_mut(host).full = full;
    }

    /// Lets a host die after so many more deeds: connections, bytes sent, changes stored.
    pub fn fuse(&mut self, host: HostId, deeds: u64) {
        self.station_mut(host).fuse = Some(deeds);
    }

    /// How many deeds are left of [`World::fuse`]; `None` if there is none, or it burnt.
    pub fn fuse_left(&self, host: HostId) -> Option<u64> {
        self.station(host).fuse
    }

    /// Lets a host die in the middle of its next change: after so many steps of writing, of which so many bytes each are on
    /// the disk if they were not synced.
    pub fn tear(&mut self, host: HostId, steps: usize, bytes: usize) {
        self.station_mut(host).torn = Some((steps, bytes));
    }

    /// What happens to connections between two hosts from now on.
    pub fn disturb(&mut self, a: HostId, b: HostId, fault: Fault) {
        let now = self.now;
        self.trace.push(now, a, What::Disturbed { other: b, fault });
        for (end, at) in self.wires.disturb(a, b, fault, now) {
            self.push(at, Event::Gone(end));
        }
    }

    /// Connections between two hosts are as they should be.
    pub fn heal(&mut self, a: HostId, b: HostId) {
        let now = self.now;
        self.trace.push(now, a, What::Healed { other: b });
        for (end, bytes, at) in self.wires.heal(a, b, now) {
            self.push(at, Event::Arrive(end, bytes));
        }
    }
}
