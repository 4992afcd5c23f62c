//! SIGINT in the middle of what writes: nothing is left behind, what was there is as it was, and the program dies of the
//! signal, as a shell expects. On a file system without nameless files too.
//!
//! strace sends the signal at every system call that touches files, one run each.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use common::traced::{CALLS, can_trace, counts, traced};
use common::{coroner, corpus};
use rayon::prelude::*;
use rustix::process::{Pid, Signal, kill_process};

const OLD: &[u8] = b"an older database";

/// Calls by which files and names come and go.
const WRITING: [&str; 12] = [
    "fchmod",
    "fchown",
    "fsync",
    "ftruncate",
    "linkat",
    "mkdir",
    "pwrite64",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "write",
];

/// A command that writes, and the exit status that it has.
struct Case {
    name: &'static str,
    words: Vec<String>,
    status: i32,
    /// Whether it writes a folder.
    folder: bool,
}

fn cases() -> Vec<Case> {
    let path = |below: &str| corpus().join(below).display().to_string();
    let be = |number: usize| {
        let list = path(&format!("cyrus-3.6.1/murder-twoskip/be{number}.twoskip.db"));
        format!("be{number}.murder.test={list}")
    };
    let case = |name, words: &[String], status| Case { name, words: words.to_vec(), status, folder: false };
    let sound = path("cyrus-3.6.1/murder-twoskip/be1.twoskip.db");
    vec![
        case("merge", &[be(1), be(2)], 1),
        case("convert", &["--to".into(), "skiplist".into(), sound], 0),
        case("recover", &[path("cyrus-3.6.1/damaged/twoskip/hole/before.db")], 1),
        Case { folder: true, ..case("revive", &[path("hard-recovery")], 1) },
    ]
}

/// A folder to write in, with or without an old target.
struct Scene {
    folder: tempfile::TempDir,
    target: PathBuf,
    old: bool,
}

impl Scene {
    fn new(old: bool) -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("out.db");
        if old {
            fs::write(&target, OLD).expect("an old target");
        }
        Scene { folder, target, old }
    }

    fn run(&self, case: &Case, trace: &Path, options: &[String]) -> ExitStatus {
        traced(trace, options, &words(case, &self.target, self.old))
    }

    /// Files in the folder and below, with what they hold.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = common::files(self.folder.path(), &|_| true).into_iter();
        files.map(|path| (path.clone(), fs::read(&path).expect("a file"))).collect()
    }

    /// Whether everything is as it was.
    fn is_untouched(&self) -> bool {
        let names = fs::read_dir(self.folder.path()).expect("the folder").count();
        names == usize::from(self.old) && (!self.old || self.files().get(&self.target).map(Vec::as_slice) == Some(OLD))
    }
}

fn words(case: &Case, target: &Path, old: bool) -> Vec<String> {
    let force = old.then(|| "--force".to_owned());
    let output = ["-o".to_owned(), target.display().to_string()];
    [case.name.to_owned()].into_iter().chain(case.words.clone()).chain(force).chain(output).collect()
}

/// The calls of opening that ask for a file without a name, counted thread by thread as strace does.
fn nameless(trace: &Path) -> Vec<usize> {
    let (mut opened, mut found) = (BTreeMap::<String, usize>::new(), Vec::new());
    for line in fs::read_to_string(trace).expect("a trace").lines() {
        if let Some((thread, _)) = line.split_once(' ')
            && line.contains(" openat(")
        {
            let count = opened.entry(thread.to_owned()).or_default();
            *count += 1;
            if line.contains("O_TMPFILE") {
                found.push(*count);
            }
        }
    }
    found
}

/// One command, with nameless files or without, and a signal at every call; how many runs died of it with nothing done.
fn interrupt(case: &Case, old: bool, named: bool) -> usize {
    let trace = tempfile::NamedTempFile::new().expect("a trace");
    let what = format!(
        "{}, {}, {}",
        case.name,
        ["absent", "old"][usize::from(old)],
        ["nameless", "named"][usize::from(named)]
    );
    let scene = Scene::new(old);
    let plain = [format!("-etrace={CALLS}")];
    assert_eq!(scene.run(case, trace.path(), &plain).code(), Some(case.status), "{what}");
    let whole = scene.files();
    let mut fallback = Vec::new();
    if named {
        let places = nameless(trace.path());
        assert!(!places.is_empty(), "{what}: no nameless file");
        // Of several files the first one: whatever goes wrong with one goes wrong with any.
        fallback.push(format!("-einject=openat:error=EOPNOTSUPP:when={}", places[0]));
        let scene = Scene::new(old);
        assert_eq!(
            scene.run(case, trace.path(), &[&plain[..], &fallback].concat()).code(),
            Some(case.status),
            "{what}"
        );
        assert_eq!(strip(&scene), strip_of(&whole), "{what}");
        assert!(fs::read_to_string(trace.path()).expect("a trace").contains("/.coroner-"), "{what}: no passing name");
    }
    let calls = counts(trace.path());
    let calls = calls.iter().filter(|(call, _)| !named || *call != "openat");
    // Of calls that only read, one in four is moment enough.
    let step = |call: &str| if WRITING.contains(&call) { 1 } else { 4 };
    let each =
        |(call, &count): (&'_ String, &usize)| (1..=count).step_by(step(call)).map(|n| (call.clone(), n)).collect();
    let strikes: Vec<(String, usize)> = calls.flat_map::<Vec<_>, _>(each).collect();
    let died = strikes.par_iter().filter(|(call, number)| {
        let scene = Scene::new(old);
        let trace = tempfile::NamedTempFile::new().expect("a trace");
        let strike = [format!("-einject={call}:signal=INT:when={number}"), format!("-etrace={CALLS}")];
        let status = scene.run(case, trace.path(), &[&strike[..], &fallback].concat());
        let what = format!("{what}, {call} number {number}: {status:?}");
        let interrupted = status.signal() == Some(Signal::INT.as_raw());
        assert!(interrupted || status.code() == Some(case.status), "{what}");
        if !interrupted || !scene.is_untouched() {
            // It came when all was done, or nearly.
            assert_eq!(strip(&scene), strip_of(&whole), "{what}: neither old nor new");
        }
        interrupted && scene.is_untouched()
    });
    let died = died.count();
    println!("{what}: {} moments, {died} with nothing done", strikes.len());
    died
}

/// What files of a scene hold, without what depends on where they are.
fn strip(scene: &Scene) -> Vec<(String, usize)> {
    strip_of(&scene.files())
}

fn strip_of(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<(String, usize)> {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.iter().map(|(path, bytes)| (name(path), bytes.len())).collect()
}

#[test]
fn an_interrupted_run_leaves_everything_as_it_was() {
    if !can_trace() {
        return;
    }
    for case in cases() {
        for (old, named) in [(false, false), (false, true), (true, false), (true, true)] {
            // A folder is never replaced, and what merge does in all four ways need not be done by all.
            if old && case.folder || old == named && case.name != "merge" && !case.folder {
                continue;
            }
            let died = interrupt(&case, old, named);
            assert!(died > 20, "{}: {died}", case.name);
        }
    }
}

/// From when on a signal comes too late is known of one call: before the sync of the file nothing has its name.
#[test]
fn what_is_interrupted_before_it_is_synced_never_appears() {
    if !can_trace() {
        return;
    }
    for case in cases() {
        let (scene, trace) = (Scene::new(false), tempfile::NamedTempFile::new().expect("a trace"));
        let options = ["-etrace=fsync", "-einject=fsync:signal=INT:when=1"].map(str::to_owned);
        let status = scene.run(&case, trace.path(), &options);
        assert_eq!(status.signal(), Some(Signal::INT.as_raw()), "{}: {status:?}", case.name);
        assert!(scene.is_untouched(), "{}", case.name);
    }
}

#[test]
fn long_work_ends_where_it_is_interrupted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let site = ["synth", "--mailboxes", "200000", "--servers", "2", "--seed", "4", "-o"];
    let list = |number: usize| path(&format!("be{number}.db"));
    for number in [1, 2] {
        let server = number.to_string();
        assert!(coroner([&site[..], &[&list(number), "--server", &server]].concat()).status.success());
    }
    let named = |number: usize| format!("be{number}.example.com={}", list(number));
    let cases = [
        vec!["merge".to_owned(), named(1), named(2)],
        vec!["convert".to_owned(), list(1), "--to".to_owned(), "twoskip".to_owned()],
        vec!["recover".to_owned(), list(2)],
    ];
    let mut died = 0;
    for (case, old) in cases.iter().zip([false, true, true]) {
        for after in [0, 20, 60, 120, 200] {
            let scene = Scene::new(old);
            let target = scene.target.display().to_string();
            let mut command = Command::new("env");
            command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_coroner")]);
            command.args(case).args(["--force", "-o", &target]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("coroner starts");
            std::thread::sleep(Duration::from_millis(after));
            let _ = kill_process(Pid::from_child(&child), Signal::INT);
            let sent = Instant::now();
            let status = child.wait().expect("its end");
            assert!(sent.elapsed() < Duration::from_secs(60), "{case:?}: a signal did not end it");
            match status.signal() {
                Some(signal) => {
                    assert_eq!(signal, Signal::INT.as_raw());
                    assert!(scene.is_untouched(), "{case:?} after {after} ms");
                    died += 1;
                }
                None => assert!(matches!(status.code(), Some(0 | 1)), "{case:?} after {after} ms: {status:?}"),
            }
        }
    }
    assert!(died > 0, "no run was interrupted");
}

#[test]
fn who_ignores_the_signal_goes_on() {
    if !can_trace() {
        return;
    }
    let scene = Scene::new(false);
    let case = &cases()[0];
    let (shell, trace) = ("trap '' INT; exec \"$@\"", tempfile::NamedTempFile::new().expect("a trace"));
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh", "strace", "-f", "-qq", "-o"]).arg(trace.path());
    command.args(["-etrace=fsync", "-einject=fsync:signal=INT:when=1", env!("CARGO_BIN_EXE_coroner")]);
    command.args(words(case, &scene.target, false)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.process_group(0).status().expect("sh starts");
    assert_eq!(status.code(), Some(case.status), "{status:?}");
    assert_eq!(scene.files().len(), 1);
}
