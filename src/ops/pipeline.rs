//! Text made side by side and written in order, in bounded memory.
//!
//! Whoever makes the part that is next writes what is made at once, while it is still in the cache of its processor. Whoever is
//! done early leaves its part behind, and the one whose turn it is writes that too.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that are written together: few enough to be still in a cache then.
const CHUNK_LEN: usize = 1 << 18;
/// Bytes of a part that may be made before its turn, and of all makers' together.
const AHEAD_LEN: usize = 1 << 22;
const ALL_AHEAD_LEN: usize = 1 << 24;
/// Bytes of whole parts that may be left behind before their turn.
const LEFT_LEN: usize = 1 << 23;

/// Where a part's text goes.
pub struct Chunks<'p, 'w> {
    buffer: Vec<u8>,
    /// The length of the buffer at which to look whether its turn has come.
    full_len: usize,
    part: usize,
    turns: &'p Turns<'w>,
    open: bool,
}

impl Chunks<'_, '_> {
    /// The buffer to append to; call [`flow`](Chunks::flow) now and then.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Writes the buffer if it is full and its turn has come; `false` when nobody wants more.
    #[inline]
    pub fn flow(&mut self) -> bool {
        if self.buffer.len() >= self.full_len {
            self.hand_on();
        }
        self.open
    }

    fn hand_on(&mut self) {
        if !self.turns.has_come(self.part, self.buffer.len() >= self.turns.ahead_len) {
            self.full_len = self.buffer.len().saturating_add(CHUNK_LEN);
            return;
        }
        self.open = self.turns.write(&self.buffer);
        self.buffer.clear();
        self.full_len = CHUNK_LEN;
    }

    /// Writes what is left, or leaves it behind; the buffer, if it can be filled again. `None` if nobody wants more.
    fn finish(mut self) -> Option<Vec<u8>> {
        let buffer = std::mem::take(&mut self.buffer);
        if self.open { self.turns.finish(self.part, buffer) } else { None }
    }
}

/// The parts' turns to be written.
struct Turns<'w> {
    state: Mutex<State>,
    moved: Condvar,
    /// Locked by the one whose turn it is, and so never waited for.
    sink: Mutex<Sink<'w>>,
    /// Bytes of a part that may be made before its turn.
    ahead_len: usize,
}

struct State {
    /// The part whose turn it is; [`CLOSED`] when nobody wants more.
    turn: usize,
    /// Whole parts whose turn has not come.
    left: BTreeMap<usize, Vec<u8>>,
    /// Bytes of these.
    left_len: usize,
}

const CLOSED: usize = usize::MAX;

struct Sink<'w> {
    write: &'w mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    end: io::Result<()>,
}

impl Turns<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the turn of `part`, or nobody's any more; waits for that if told so.
    fn has_come(&self, part: usize, wait: bool) -> bool {
        let mut state = self.state();
        if wait {
            let waited = self.moved.wait_while(state, |state| state.turn < part);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.turn >= part
    }

    /// Writes bytes of the part whose turn it is; `false` when nobody wants more.
    fn write(&self, bytes: &[u8]) -> bool {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.end.is_ok() && !bytes.is_empty() {
            sink.end = (sink.write)(bytes);
        }
        let open = sink.end.is_ok();
        drop(sink);
        if !open {
            self.close();
        }
        open
    }

    fn close(&self) {
        self.state().turn = CLOSED;
        self.moved.notify_all();
    }

    /// Ends `part` with its last bytes.
    fn finish(&self, part: usize, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
        let mut state = self.state();
        if state.turn < part && state.left_len + buffer.len() <= LEFT_LEN {
            // It may have room for more than it holds, and is not filled again.
            buffer.shrink_to_fit();
            state.left_len += buffer.len();
            state.left.insert(part, buffer);
            return Some(Vec::new());
        }
        let waited = self.moved.wait_while(state, |state| state.turn < part);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        loop {
            if !self.write(&buffer) {
                return None;
            }
            let mut state = self.state();
            state.turn = state.turn.saturating_add(1);
            let turn = state.turn;
            let next = state.left.remove(&turn);
            state.left_len -= next.as_ref().map_or(0, Vec::len);
            drop(state);
            self.moved.notify_all();
            match next {
                Some(next) => buffer = next,
                None => break,
            }
        }
        buffer.clear();
        Some(buffer)
    }
}

/// Lets nobody wait for a maker that panicked.
struct CloseOnPanic<'p, 'w>(&'p Turns<'w>);

impl Drop for CloseOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut sink = self.0.sink.lock().unwrap_or_else(PoisonError::into_inner);
            sink.end = Err(io::Error::other("a thread panicked"));
            drop(sink);
            self.0.close();
        }
    }
}

/// Makes the text of `parts` parts on as many threads as rayon has, and writes it in the order of the parts.
///
/// # Errors
/// The first error of `write`; the makers then stop.
pub fn ordered(
    parts: usize,
    make: impl Fn(usize, &mut Chunks<'_, '_>) + Sync,
    mut write: impl FnMut(&[u8]) -> io::Result<()> + Send,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let makers = rayon::current_num_threads().min(parts);
    let turns = Turns {
        state: Mutex::new(State { turn: 0, left: BTreeMap::new(), left_len: 0 }),
        moved: Condvar::new(),
        sink: Mutex::new(Sink { write: &mut write, end: Ok(()) }),
        ahead_len: (ALL_AHEAD_LEN / makers.max(1)).clamp(CHUNK_LEN, AHEAD_LEN),
    };
    let maker = || {
        let _guard = CloseOnPanic(&turns);
        let mut buffer = Vec::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            if part >= parts {
                break;
            }
            let mut chunks = Chunks { buffer, full_len: CHUNK_LEN, part, turns: &turns, open: true };
            make(part, &mut chunks);
            match chunks.finish() {
                Some(spare) => buffer = spare,
                None => break,
            }
        }
    };
    std::thread::scope(|scope| {
        (1..makers).for_each(|_| drop(scope.spawn(maker)));
        maker();
    });
    turns.sink.into_inner().unwrap_or_else(PoisonError::into_inner).end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(part: usize) -> String {
        format!("part {part}\n").repeat(if part.is_multiple_of(3) { 300_000 } else { part })
    }

    fn make(part: usize, chunks: &mut Chunks<'_, '_>) {
        for line in text(part).lines() {
            chunks.buffer().extend_from_slice(line.as_bytes());
            chunks.buffer().push(b'\n');
            if !chunks.flow() {
                return;
            }
        }
    }

    #[test]
    fn parts_are_written_in_their_order() {
        let mut written = Vec::new();
        ordered(20, make, |chunk| {
            written.extend_from_slice(chunk);
            Ok(())
        })
        .expect("written");
        assert!(written == (0..20).map(text).collect::<String>().into_bytes());
    }

    #[test]
    fn a_failing_writer_ends_the_work() {
        let mut calls = 0;
        let end = ordered(50, make, |_| {
            calls += 1;
            if calls < 3 { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
        assert_eq!(end.expect_err("no success").kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(calls, 3);
    }
}
