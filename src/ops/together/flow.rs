//! Pieces of work done side by side, and taken in their order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};

/// Pieces that may be finished, beside those being worked on, while an earlier one is awaited.
const AHEAD: usize = 1;

struct State<T> {
    ready: BTreeMap<usize, T>,
    /// The next piece that somebody has to begin.
    next: usize,
    /// The next piece that is taken.
    wanted: usize,
    /// Threads that are still at work.
    makers: usize,
    /// Set when nobody wants more, or one who makes them has died.
    over: bool,
}

struct Desk<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    count: usize,
    makers: usize,
}

/// Makes `count` pieces on as many threads as rayon has, and lets `take` have them in their order.
///
/// At most a few more pieces than there are threads are held at a time. When `take` ends early, no more are made.
pub fn in_order<T: Send, R>(
    count: usize,
    make: impl Fn(usize) -> T + Sync,
    take: impl FnOnce(&mut dyn Iterator<Item = T>) -> R,
) -> R {
    let makers = rayon::current_num_threads().clamp(1, count.max(1));
    let state = State { ready: BTreeMap::new(), next: 0, wanted: 0, makers, over: false };
    let desk = Desk { state: Mutex::new(state), changed: Condvar::new(), count, makers };
    std::thread::scope(|scope| {
        for _ in 0..makers {
            scope.spawn(|| {
                let _leaving = Leaving(&desk);
                while let Some(piece) = desk.begin() {
                    let made = make(piece);
                    desk.change(|state| state.ready.insert(piece, made));
                }
            });
        }
        let _closing = Closing(&desk);
        take(&mut std::iter::from_fn(|| desk.take()))
    })
}

impl<T> Desk<T> {
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let answer = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        answer
    }

    /// The next piece to work on, when it is near enough to the one that is awaited.
    fn begin(&self) -> Option<usize> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let far = |state: &mut State<T>| {
            !state.over && state.next < self.count && state.next >= state.wanted + self.makers + AHEAD
        };
        let mut state = self.changed.wait_while(state, far).unwrap_or_else(PoisonError::into_inner);
        let piece = state.next;
        (!state.over && piece < self.count).then(|| {
            state.next += 1;
            piece
        })
    }

    /// The piece that is awaited; `None` behind the last, or if those who make them have died.
    fn take(&self) -> Option<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |state: &mut State<T>| {
            state.wanted < self.count && !state.ready.contains_key(&state.wanted) && state.makers > 0 && !state.over
        };
        let mut state = self.changed.wait_while(state, missing).unwrap_or_else(PoisonError::into_inner);
        let wanted = state.wanted;
        let piece = state.ready.remove(&wanted)?;
        state.wanted += 1;
        drop(state);
        self.changed.notify_all();
        Some(piece)
    }
}

/// Says that a thread works no more, however it ends: if it died, the piece it was at never comes, and nobody may wait.
struct Leaving<'d, T>(&'d Desk<T>);

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.makers -= 1;
            state.over |= std::thread::panicking();
        });
    }
}

/// Says that nobody wants more, however the taking ends.
struct Closing<'d, T>(&'d Desk<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_their_order() {
        let make = |piece: usize| {
            std::thread::sleep(std::time::Duration::from_micros(if piece.is_multiple_of(7) { 500 } else { 1 }));
            piece
        };
        let taken: Vec<usize> = in_order(100, make, |pieces| pieces.collect());
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
        assert_eq!(in_order(0, |_| 0, |pieces| pieces.count()), 0);
    }

    #[test]
    fn no_more_is_made_than_is_taken() {
        let made = std::sync::atomic::AtomicUsize::new(0);
        let make = |piece: usize| {
            made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            piece
        };
        let first: Vec<usize> = in_order(100_000, make, |pieces| pieces.take(3).collect());
        assert_eq!(first, [0, 1, 2]);
        assert!(made.into_inner() < 1000);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_maker_that_dies_ends_the_work() {
        in_order(10, |piece| assert!(piece != 5), |pieces| pieces.count());
    }
}
