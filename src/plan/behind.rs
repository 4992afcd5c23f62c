//! Writing that lags behind the work: what is written goes to the disk while more is being made.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

/// Writes shorter than this, in front of the first longer one, are done at once: small files need no threads.
const WORTH_A_THREAD: usize = 1 << 20;
/// How many pieces may wait to be written.
const WAITING: usize = 3;
/// Bytes written between two requests to bring them to the disk.
const SYNC_EVERY: u64 = 48 << 20;

/// Bytes, and the offset they belong at.
type Piece = (u64, Vec<u8>);

/// Lets `work` write to an empty file; comes back when everything is written.
///
/// # Errors
/// The first error of the system, if any; `work` may have gone on unaware of it.
pub fn write_behind<T>(file: &File, work: impl FnOnce(&mut Behind<'_, '_>) -> T) -> io::Result<T> {
    std::thread::scope(|scope| {
        let mut behind = Behind { file, scope, at: 0, len: 0, lane: None };
        let answer = work(&mut behind);
        behind.end().map(|()| answer)
    })
}

/// The file as the work sees it.
pub struct Behind<'scope, 'env> {
    file: &'env File,
    scope: &'scope Scope<'scope, 'env>,
    at: u64,
    len: u64,
    lane: Option<Lane<'scope>>,
}

/// The threads that write, and bring to the disk what was written.
struct Lane<'scope> {
    full: SyncSender<Piece>,
    /// Pieces that were written, to be filled again.
    empty: Receiver<Vec<u8>>,
    writing: ScopedJoinHandle<'scope, io::Result<()>>,
    syncing: ScopedJoinHandle<'scope, io::Result<()>>,
}

impl<'scope, 'env> Lane<'scope> {
    fn open(scope: &'scope Scope<'scope, 'env>, file: &'env File) -> Self {
        let (full, to_write) = sync_channel::<Piece>(WAITING);
        let (written, empty) = sync_channel::<Vec<u8>>(WAITING);
        let (ask, asked) = sync_channel::<()>(1);
        let syncing = scope.spawn(move || asked.into_iter().try_for_each(|()| file.sync_data()));
        let writing = scope.spawn(move || {
            let mut since_sync = 0;
            for (offset, piece) in to_write {
                file.write_all_at(&piece, offset)?;
                since_sync += piece.len() as u64;
                // One that is under way will do.
                if since_sync >= SYNC_EVERY && !matches!(ask.try_send(()), Err(TrySendError::Full(()))) {
                    since_sync = 0;
                }
                let _ = written.try_send(piece);
            }
            Ok(())
        });
        Lane { full, empty, writing, syncing }
    }

    fn send(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut piece = self.empty.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(bytes);
        // Whoever ends the lane tells what happened.
        self.full.send((offset, piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Behind<'_, '_> {
    /// Waits until all is written.
    fn end(self) -> io::Result<()> {
        let Some(Lane { full, empty, writing, syncing }) = self.lane else { return Ok(()) };
        drop((full, empty));
        let gone = |_| Err(io::Error::other("a thread that writes has died"));
        writing.join().unwrap_or_else(gone).and(syncing.join().unwrap_or_else(gone))
    }
}

impl Write for Behind<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.lane.is_none() && bytes.len() >= WORTH_A_THREAD {
            self.lane = Some(Lane::open(self.scope, self.file));
        }
        match &self.lane {
            Some(lane) => lane.send(self.at, bytes)?,
            None => self.file.write_all_at(bytes, self.at)?,
        }
        self.at += bytes.len() as u64;
        self.len = self.len.max(self.at);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Behind<'_, '_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(distance) => self.len.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
        };
        self.at = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pieces_and_late_changes_land_where_they_belong() {
        let file = tempfile::tempfile().unwrap();
        let mut expected = vec![1; 10];
        let end = write_behind(&file, |out| -> io::Result<u64> {
            out.write_all(&[1; 10])?;
            for fill in 2..20 {
                out.write_all(&vec![fill; 3 << 20])?;
                expected.extend(vec![fill; 3 << 20]);
            }
            out.seek(SeekFrom::Start(4))?;
            out.write_all(b"late")?;
            expected[4..8].copy_from_slice(b"late");
            out.seek(SeekFrom::End(0))
        });
        assert_eq!(end.unwrap().unwrap(), expected.len() as u64);
        let mut found = vec![0; expected.len()];
        file.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
        assert_eq!(file.metadata().unwrap().len(), expected.len() as u64);
    }

    #[test]
    fn a_write_that_fails_is_not_forgotten() {
        let read_only = fs::File::open(tempfile::NamedTempFile::new().unwrap().path()).unwrap();
        let short = write_behind(&read_only, |out| out.write_all(b"short"));
        assert!(short.unwrap().is_err(), "at once");
        let long = write_behind(&read_only, |out| out.write_all(&vec![0; WORTH_A_THREAD]));
        assert!(long.is_err(), "at the end");
    }
}
