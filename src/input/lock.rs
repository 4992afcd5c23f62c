//! Cyrus' `fcntl` lock over the whole file (`lib/lock_fcntl.c`, `lock_shared` and `lock_reopen`).

use std::fs::File;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::Locking;
use super::gate::plain;
use crate::failure::Failure;

/// Takes the lock on `file` that `locking` asks for, waiting for others no longer than it says.
pub(crate) fn take(file: &File, path: &Path, locking: Locking) -> Result<(), Failure> {
    let (operation, timeout) = match locking {
        Locking::Shared(timeout) => (FlockOperation::NonBlockingLockShared, timeout),
        Locking::Exclusive(timeout) => (FlockOperation::NonBlockingLockExclusive, timeout),
        Locking::None => return Ok(()),
    };
    let deadline = Instant::now().checked_add(timeout);
    let mut pause = Duration::from_millis(1);
    loop {
        match rustix::fs::fcntl_lock(file, operation) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN | Errno::ACCESS) => {}
            Err(errno) => return Err(unlockable(path, errno)),
        }
        let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(busy(file, path, locking, timeout));
        }
        sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Lets go of the lock; the file stays open.
pub(crate) fn release(file: &File) {
    let _ = rustix::fs::fcntl_lock(file, FlockOperation::NonBlockingUnlock);
}

fn busy(file: &File, path: &Path, locking: Locking, timeout: Duration) -> Failure {
    let exclusive = matches!(locking, Locking::Exclusive(_));
    let asked = Flock::from(if exclusive { FlockType::WriteLock } else { FlockType::ReadLock });
    let holder = fcntl_getlk(file, &asked).ok().flatten().and_then(|lock| lock.pid);
    let who = holder.map_or("another process".into(), |pid| format!("process {}", pid.as_raw_nonzero()));
    let what = if exclusive { "locked" } else { "locked for writing" };
    let next = match exclusive {
        true => "stop the servers that use it, or wait longer with --lock-timeout",
        false => "try again, or wait longer with --lock-timeout",
    };
    Failure::file(path, format!("{what} by {who} for longer than {} s", timeout.as_secs_f64()), next)
}

fn unlockable(path: &Path, errno: Errno) -> Failure {
    let what = format!("cannot be locked: {}", plain(errno.into()));
    Failure::file(path, what, "if nothing else can write to it, read it with --no-lock")
}
