//! A murder under random load and faults, the same way again for the same seed.
//!
//! * [`draw`]: a script out of a seed: a murder, orders to its backends, and what goes wrong; [`text`]: the same as text;
//! * [`mod@play`]: plays a script in a [world](crate::murder::world); [`watch`], [`model`] and [`end`] look at it meanwhile and in
//!   the end, with nothing but disks, lists and answers; [`check`]: what they look for;
//! * [`shrink`]: makes a script that fails short;
//! * [`mutants`]: whether all [mistakes](crate::murder::defect) that hosts can be made to make are noticed.

pub mod check;
pub mod count;
pub mod draw;
pub mod end;
pub mod look;
pub mod model;
pub mod mutants;
pub mod play;
mod rng;
pub mod script;
pub mod shrink;
mod stage;
pub mod text;
pub mod watch;

use std::time::Duration;

use rayon::prelude::*;

use self::check::Violation;
use self::count::Counts;
use self::play::{Played, play};
use self::script::Script;
use crate::murder::defect::Defect;

/// Steps of a script, unless more or fewer are asked for.
pub const STEPS: usize = 60;

/// What became of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many were played.
    pub seeds: u64,
    /// How many steps were made.
    pub steps: u64,
    /// How much time went by in all murders together.
    pub time: Duration,
    /// How much happened.
    pub events: u64,
    /// What went wrong, was answered and looked at.
    pub counts: Counts,
    /// The first seed of which something did not hold, and what.
    pub failed: Option<(u64, Violation)>,
}

impl Summary {
    fn of(seed: u64, played: Played) -> Summary {
        let Played { violation, time, events, steps, counts, .. } = played;
        Summary { seeds: 1, steps, time, events, counts, failed: violation.map(|violation| (seed, violation)) }
    }

    /// Adds what became of others; of two that failed the lower seed is kept.
    #[must_use]
    pub fn and(mut self, other: Summary) -> Summary {
        self.seeds = self.seeds.saturating_add(other.seeds);
        self.steps = self.steps.saturating_add(other.steps);
        self.time = self.time.saturating_add(other.time);
        self.events = self.events.saturating_add(other.events);
        self.counts.add(&other.counts);
        self.failed = match (self.failed, other.failed) {
            (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
            (a, b) => a.or(b),
        };
        self
    }

    /// Simulated days.
    pub fn days(&self) -> f64 {
        self.time.as_secs_f64() / 86400.0
    }
}

/// Plays these seeds side by side; `done` is told of each that is.
pub fn seeds(seeds: std::ops::Range<u64>, steps: usize, defect: Option<Defect>, done: &(dyn Fn() + Sync)) -> Summary {
    let one = |seed: u64| {
        let played = play(&draw::script(seed, steps), defect);
        done();
        Summary::of(seed, played)
    };
    seeds.into_par_iter().map(one).reduce(Summary::default, Summary::and)
}

/// A script that fails, made short, with what fails in it.
pub fn shortest(script: &Script, violation: &Violation, defect: Option<Defect>) -> (Script, Violation) {
    let short = shrink::shrink(script, violation.check, defect);
    let now = play(&short, defect).violation;
    match now {
        Some(now) => (short, now),
        None => (script.clone(), violation.clone()),
    }
}
