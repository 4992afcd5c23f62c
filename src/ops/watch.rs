//! How far long work has come, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts steps done out of a total; shared between the threads that work and the one that looks.
#[derive(Debug, Default)]
pub struct Watch {
    done: AtomicU64,
    total: AtomicU64,
    bytes: AtomicU64,
}

impl Watch {
    /// Work of which nothing is known yet.
    pub fn new() -> Self {
        Watch::default()
    }

    /// Announces `steps` more steps.
    pub fn expect(&self, steps: u64) {
        self.total.fetch_add(steps, Ordering::Relaxed);
    }

    /// Tells how many bytes all steps together stand for.
    pub fn covers(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Says that a step is done.
    pub fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Steps done and steps expected; none are expected as long as nothing is known.
    pub fn progress(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// Bytes dealt with and bytes in all, about; `None` as long as nobody told.
    pub fn bytes(&self) -> Option<(u64, u64)> {
        let ((done, total), bytes) = (self.progress(), self.bytes.load(Ordering::Relaxed));
        let share = u128::from(bytes) * u128::from(done) / u128::from(total.max(1));
        (bytes > 0 && total > 0).then(|| (u64::try_from(share).unwrap_or(bytes).min(bytes), bytes))
    }
}
