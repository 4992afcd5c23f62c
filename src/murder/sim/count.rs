//! What went wrong in runs, what was answered, and what was looked at.

use crate::murder::world::bites::{Bite, Bites};

/// What goes wrong beside what a world counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// A master was started with an old copy of its database, which differed.
    OldMaster,
    /// A frontend was.
    OldFrontend,
    /// A backend was.
    OldBackend,
    /// A host was started with an empty database.
    Emptied,
    /// A frontend did not believe a master that had lost all.
    Guarded,
}

impl Count {
    const ALL: [Count; 5] = [Count::OldMaster, Count::OldFrontend, Count::OldBackend, Count::Emptied, Count::Guarded];

    fn name(self) -> &'static str {
        match self {
            Count::OldMaster => "old copy of a master's list",
            Count::OldFrontend => "old copy of a frontend's list",
            Count::OldBackend => "old copy of a backend's list",
            Count::Emptied => "list emptied",
            Count::Guarded => "frontend met an empty master",
        }
    }
}

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Faults that did something.
    pub bites: Bites,
    other: [u64; Count::ALL.len()],
    /// How often something was looked at.
    pub checks: u64,
    /// How many orders were done, refused, and never answered.
    pub answers: [u64; 3],
}

impl Counts {
    /// Counts one.
    pub fn count(&mut self, count: Count) {
        if let Some(number) = self.other.get_mut(count as usize) {
            *number = number.saturating_add(1);
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Counts) {
        self.bites.add(&other.bites);
        self.checks = self.checks.saturating_add(other.checks);
        let own = self.other.iter_mut().chain(&mut self.answers);
        own.zip(other.other.iter().chain(&other.answers)).for_each(|(own, more)| *own = own.saturating_add(*more));
    }

    /// All faults, with how often each did something.
    pub fn faults(&self) -> Vec<(&'static str, u64)> {
        let bites = Bite::ALL.iter().map(|bite| (bite.name(), self.bites.of(*bite)));
        let other = Count::ALL.iter().zip(self.other).map(|(count, number)| (count.name(), number));
        bites.chain(other).collect()
    }
}
