//! Text made side by side and written in order, in bounded memory.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that travel together from a maker to the writer: few enough to be still in a cache when they are written.
const CHUNK_LEN: usize = 1 << 18;
/// Chunks of one part that may wait for the writer.
const CHUNKS_AHEAD: usize = 4;
/// Parts that may be begun, for each maker, while the writer still waits for an earlier one.
const PARTS_AHEAD: usize = 3;

/// Buffers that were written and can be filled again.
type Spare = Mutex<Vec<Vec<u8>>>;

/// Where a part's text goes.
pub struct Chunks<'p> {
    buffer: Vec<u8>,
    full: SyncSender<Vec<u8>>,
    spare: &'p Spare,
    open: bool,
}

impl Chunks<'_> {
    /// The buffer to append to; call [`flow`](Chunks::flow) now and then.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Hands the buffer on if it is full; `false` when nobody wants more.
    #[inline]
    pub fn flow(&mut self) -> bool {
        if self.buffer.len() >= CHUNK_LEN {
            self.hand_on();
        }
        self.open
    }

    fn hand_on(&mut self) {
        let full = std::mem::replace(&mut self.buffer, fresh(self.spare));
        self.open = self.full.send(full).is_ok();
    }

    /// Hands on what is left; whether it is still wanted.
    fn finish(mut self) -> bool {
        if !self.buffer.is_empty() {
            self.open &= self.full.send(std::mem::take(&mut self.buffer)).is_ok();
        }
        self.open
    }
}

/// How far the writer has come, for makers to keep near it.
#[derive(Default)]
struct Progress {
    written: Mutex<usize>,
    moved: Condvar,
}

impl Progress {
    /// Waits until all parts but `ahead` in front of `part` are written. The first part that is not is never kept waiting.
    fn wait(&self, part: usize, ahead: usize) {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let near = self.moved.wait_while(written, |written| part > written.saturating_add(ahead));
        drop(near.unwrap_or_else(PoisonError::into_inner));
    }

    fn reach(&self, parts: usize) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = parts;
        self.moved.notify_all();
    }
}

/// Makes the text of `parts` parts on as many threads as rayon has, and writes it in the order of the parts.
///
/// # Errors
/// The first error of `write`; the makers then stop.
pub fn ordered(
    parts: usize,
    make: impl Fn(usize, &mut Chunks<'_>) + Sync,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let spare = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    let progress = Progress::default();
    let makers = rayon::current_num_threads().min(parts);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..parts).map(|_| sync_channel(CHUNKS_AHEAD)).unzip();
    let senders: Vec<_> = senders.into_iter().map(|sender| Mutex::new(Some(sender))).collect();
    let maker = || loop {
        let part = next.fetch_add(1, Ordering::Relaxed);
        let Some(sender) = senders.get(part) else { break };
        progress.wait(part, makers * PARTS_AHEAD);
        let Some(full) = sender.lock().unwrap_or_else(PoisonError::into_inner).take() else { break };
        let mut chunks = Chunks { buffer: fresh(&spare), full, spare: &spare, open: true };
        make(part, &mut chunks);
        if !chunks.finish() {
            break;
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..makers {
            scope.spawn(maker);
        }
        let written = write_all(receivers, &spare, &progress, &mut write);
        progress.reach(usize::MAX);
        written
    })
}

/// Writes what the parts hand on, one part behind the other, and gives the buffers back.
fn write_all(
    parts: Vec<Receiver<Vec<u8>>>,
    spare: &Spare,
    progress: &Progress,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    for (part, chunks) in parts.into_iter().enumerate() {
        for mut chunk in chunks {
            write(&chunk)?;
            chunk.clear();
            spare.lock().unwrap_or_else(PoisonError::into_inner).push(chunk);
        }
        progress.reach(part + 1);
    }
    Ok(())
}

fn fresh(spare: &Spare) -> Vec<u8> {
    let used = spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
    used.unwrap_or_else(|| Vec::with_capacity(CHUNK_LEN + CHUNK_LEN / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(part: usize) -> String {
        format!("part {part}\n").repeat(if part.is_multiple_of(3) { 300_000 } else { part })
    }

    fn make(part: usize, chunks: &mut Chunks<'_>) {
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
