//! Signals that end the program: what must not stay behind goes first.
//!
//! A file without a name goes away by itself. A name that a file has only on its way to its own does not, nor does a folder
//! that is being filled. Whoever makes one [holds](hold) the signals, and [remembers](Hold::remember) it: the thread that
//! ends the program removes what is remembered, and nothing gets its name any more.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

struct State {
    /// How many hold the signals now.
    holds: usize,
    /// What is removed if the program is ended now.
    passing: Vec<PathBuf>,
}

static STATE: Mutex<State> = Mutex::new(State { holds: 0, passing: Vec::new() });
static LET_GO: Condvar = Condvar::new();

/// Set when a signal has come.
static CAME: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SIGHUP, SIGINT and SIGTERM remove what is remembered before the program dies of them, as it would without
/// this. For programs, once, at their start; one that was told to ignore a signal (`nohup`) goes on ignoring it.
///
/// # Errors
/// What the system says to `sigaction`, or of threads.
pub fn watch() -> io::Result<()> {
    let ignored = ignored();
    let signals: Vec<i32> = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| !ignored(*signal)).collect();
    let mut coming = Signals::new(&signals)?;
    let end = move || {
        let Some(signal) = coming.forever().next() else { return };
        let state = LET_GO.wait_while(state(), |state| state.holds > 0);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.passing.drain(..).for_each(|path| remove(&path));
        let _ = emulate_default_handler(signal);
    };
    thread::Builder::new().name("signals".into()).spawn(end)?;
    signals.iter().try_for_each(|signal| signal_hook::flag::register(*signal, Arc::clone(&CAME)).map(drop))
}

/// Which signals the program was told to ignore.
fn ignored() -> impl Fn(i32) -> bool {
    let mut status = String::new();
    let _ = File::open("/proc/self/status").and_then(|mut file| file.read_to_string(&mut status));
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    move |signal| mask & 1 << (signal - 1) != 0
}

fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    let _ = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

/// As long as it lives, no signal ends the program.
#[must_use]
pub struct Hold(());

/// Lets signals wait. If one has come that nobody lets wait, this never returns: the program is about to end.
pub fn hold() -> Hold {
    let mut state = state();
    while state.holds == 0 && CAME.load(Ordering::SeqCst) {
        drop(state);
        thread::park();
        state = self::state();
    }
    state.holds += 1;
    Hold(())
}

impl Hold {
    /// Has a file or folder removed if the program is ended before the answer is dropped.
    pub fn remember(&self, path: PathBuf) -> Passing {
        state().passing.push(path.clone());
        Passing(path)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        state().holds -= 1;
        LET_GO.notify_all();
    }
}

/// A file or folder that does not outlast the program.
#[must_use]
pub struct Passing(PathBuf);

impl Passing {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        state().passing.retain(|path| *path != self.0);
    }
}
