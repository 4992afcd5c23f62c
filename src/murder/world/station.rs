//! A host of a world and what is around it: its disk, its clock, and how it is to end.

use std::collections::VecDeque;
use std::time::Duration;

use super::Event;
use super::setup::{Running, Setup};
use crate::murder::host::disk::{Disk, Refused};
use crate::murder::host::{ConnId, Effect, Host, Keep};

/// Whether a host runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It does.
    Up,
    /// It does not.
    Down,
    /// It does, and does nothing (SIGSTOP).
    Hung,
}

/// A host and its surroundings.
pub(super) struct Station {
    pub(super) setup: Setup,
    pub(super) disk: Disk,
    pub(super) running: Option<Running>,
    pub(super) life: Life,
    /// How often it was started.
    pub(super) starts: u64,
    /// What it would have heard if it did not hang.
    pub(super) missed: VecDeque<Event>,
    /// When its next tick was asked for.
    pub(super) tick: Option<Duration>,
    pub(super) conns: ConnId,
    /// How far its clock goes before or behind, in nanoseconds.
    pub(super) skew: i64,
    /// Whether its disk takes no more.
    pub(super) full: bool,
    /// How long its disk takes for a change; none of the world's time if it is not told.
    pub(super) disk_time: Option<Duration>,
    /// What is being stored.
    pub(super) pending: Option<Vec<Keep>>,
    /// How often its disk changed, or it was started.
    pub(super) changes: u64,
    /// What it wanted stored since that was asked last.
    attempts: Vec<Vec<Keep>>,
    /// How often its disk refused a change.
    pub(super) refusals: u64,
    /// After how many more of its deeds it dies.
    pub(super) fuse: Option<u64>,
    /// After how many steps of writing the next change it dies, and what the disk then keeps of each write.
    pub(super) torn: Option<(usize, usize)>,
}

impl Station {
    /// A host that is not started yet.
    pub(super) fn new(setup: Setup, disk: Disk) -> Self {
        Station {
            setup,
            disk,
            running: None,
            life: Life::Down,
            starts: 0,
            missed: VecDeque::new(),
            tick: None,
            conns: 0,
            skew: 0,
            full: false,
            disk_time: None,
            pending: None,
            changes: 0,
            attempts: Vec::new(),
            refusals: 0,
            fuse: None,
            torn: None,
        }
    }

    /// Whether it goes by that name; the first word of its own will do.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let own = self.setup.name();
        own == name || own.split('.').next() == Some(name)
    }

    /// Starts it from what is on its disk; gives whether that had to be mended.
    pub(super) fn start(&mut self) -> Result<bool, Refused> {
        let recovered = if self.setup.recovers() { self.disk.mend()? } else { false };
        self.running = Some(self.setup.start(&self.disk));
        self.life = Life::Up;
        self.starts = self.starts.saturating_add(1);
        self.changes = self.changes.saturating_add(1);
        Ok(recovered)
    }

    /// The time as it sees it when it is `now` in the world.
    pub(super) fn time(&self, now: Duration) -> Duration {
        shifted(now, self.skew)
    }

    /// When in the world its next tick is to come, if that is sooner than what was asked for before.
    pub(super) fn next_tick(&mut self, now: Duration) -> Option<Duration> {
        let next = self.running.as_ref().and_then(Host::next_tick)?;
        let at = shifted(next, self.skew.saturating_neg()).max(now);
        let sooner = self.tick.is_none_or(|tick| tick > at);
        sooner.then(|| *self.tick.insert(at))
    }

    /// Whether a deed is the one that it dies in front of.
    pub(super) fn burns(&mut self, effect: &Effect) -> bool {
        if matches!(effect, Effect::Log(_) | Effect::Told(..)) {
            return false;
        }
        match &mut self.fuse {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// Remembers what it wants stored.
    pub(super) fn attempt(&mut self, keeps: &[Keep]) {
        self.attempts.push(keeps.to_vec());
    }

    /// What it wanted stored since this was asked last; with what is being stored now, which is told again the next time.
    pub(super) fn take_attempts(&mut self) -> Vec<Vec<Keep>> {
        let attempts = std::mem::take(&mut self.attempts);
        self.attempts.extend(self.pending.clone());
        attempts
    }

    /// Brings a change to its disk; gives whether it is there.
    pub(super) fn write(&mut self, keeps: &[Keep]) -> bool {
        self.changes = self.changes.saturating_add(1);
        if !self.full {
            return self.disk.store(keeps, usize::MAX).unwrap_or(false);
        }
        // It takes the first step, which only grows the file; but not one that is all there is to do.
        if self.disk.steps(keeps) > 1 {
            let _ = self.disk.store(keeps, 1);
        }
        self.refusals = self.refusals.saturating_add(1);
        false
    }
}

/// A time so many nanoseconds later, or sooner.
fn shifted(time: Duration, nanoseconds: i64) -> Duration {
    let by = Duration::from_nanos(nanoseconds.unsigned_abs());
    if nanoseconds < 0 { time.saturating_sub(by) } else { time.saturating_add(by) }
}
