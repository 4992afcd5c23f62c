//! Reading a file and finding out whether it is sound in the same pass.

use std::sync::{Mutex, PoisonError};

use super::Record;
use crate::finding::Sink;
use crate::text::json_usual::Usual;

/// Walks the live records of a file in parts, as a [`View`](super::View) does, and verifies it on the way.
///
/// It says no more than whether the file is sound: what is wrong with one that is not, [`verify`](super::Database::verify)
/// tells, and what was walked of it is worth nothing.
pub trait Proving<'a>: Send + Sync {
    /// Number of parts, at least 1.
    fn parts(&self) -> usize;
    /// Walks the records of one part, with what a JSON dump's object says; answers `false` where something is not as it
    /// should be. A visitor that answers `false` ends the walk, and then nothing is proven.
    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) -> bool;
    /// Whether all parts were walked and make a sound file. If so, tells `sink` all that `verify` would.
    fn is_sound(&self, sink: &mut Sink<'_>) -> bool;
}

/// What was seen of each part.
pub(crate) struct Seen<T>(Mutex<Vec<Option<T>>>);

impl<T> Seen<T> {
    /// Nothing yet, of so many parts.
    pub fn nothing(parts: usize) -> Self {
        Seen(Mutex::new((0..parts).map(|_| None).collect()))
    }

    /// Notes what was seen of a part; whether it is as it should be.
    pub fn note(&self, part: usize, seen: Option<T>) -> bool {
        let sound = seen.is_some();
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = parts.get_mut(part) {
            *place = seen;
        }
        sound
    }

    /// What was seen of all parts, in their order; `None` if one was not seen or is not as it should be. Gives it once.
    pub fn all(&self) -> Option<Vec<T>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}
