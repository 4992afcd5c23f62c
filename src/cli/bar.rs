//! A progress bar on standard error, for people who have waited half a second.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use coroner::ops::watch::Watch;
use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(100);

/// Does `work`, and shows how far it has come if that takes long and somebody is there to see it.
pub fn watched<T>(what: &str, work: impl FnOnce(&Watch) -> T) -> T {
    let watch = Watch::new();
    if !std::io::stderr().is_terminal() {
        return work(&watch);
    }
    std::thread::scope(|scope| {
        let (end, ended) = channel::<()>();
        let watch = &watch;
        scope.spawn(move || {
            if ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new(0).with_message(what.to_owned());
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                draw(&bar, watch);
            }
            bar.finish_and_clear();
        });
        let answer = work(watch);
        drop(end);
        answer
    })
}

fn draw(bar: &ProgressBar, watch: &Watch) {
    let (steps, bytes) = (watch.progress(), watch.bytes());
    let (template, (done, total)) = match bytes {
        Some(bytes) => ("{msg} [{bar:40}] {percent}% {binary_bytes_per_sec}, {eta} left", bytes),
        None if steps.1 > 1 => ("{msg} [{bar:40}] {percent}% {eta} left", steps),
        None => ("{msg} {spinner} {elapsed}", steps),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_length(total);
    bar.set_position(done);
    bar.tick();
}
