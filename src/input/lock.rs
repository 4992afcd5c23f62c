//! Cyrus' shared `fcntl` lock over the whole file (`lib/lock_fcntl.c`, `lock_shared`).

use std::fs::File;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::gate::plain;
use crate::failure::Failure;

/// Takes the shared lock on `file`, waiting for a writer at most `timeout`.
pub(super) fn shared(file: &File, path: &Path, timeout: Duration) -> Result<(), Failure> {
    let deadline = Instant::now().checked_add(timeout);
    let mut pause = Duration::from_millis(1);
    loop {
        match rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN | Errno::ACCESS) => {}
            Err(errno) => return Err(unlockable(path, errno)),
        }
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(busy(file, path, timeout));
        }
        sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Lets go of the lock; the file stays open.
pub(super) fn release(file: &File) {
    let _ = rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingUnlock);
}

fn busy(file: &File, path: &Path, timeout: Duration) -> Failure {
    let holder = fcntl_getlk(file, &Flock::from(FlockType::ReadLock)).ok().flatten().and_then(|lock| lock.pid);
    let who = holder.map_or("another process".into(), |pid| format!("process {}", pid.as_raw_nonzero()));
    let what = format!("locked for writing by {who} for longer than {} s", timeout.as_secs_f64());
    Failure::file(path, what, "try again, or wait longer with --lock-timeout")
}

fn unlockable(path: &Path, errno: Errno) -> Failure {
    let what = format!("cannot be locked: {}", plain(errno.into()));
    Failure::file(path, what, "if nothing else can write to it, read it with --no-lock")
}
