//! Every system call of a recover run fails, or is the last one: the target is old or new, never between, nothing else is
//! left behind, and the source is untouched.
//!
//! strace makes the calls fail. Where it is missing or may not trace, the test says so; with CI=true that is a failure.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rayon::prelude::*;

/// System calls that touch files; those of memory and threads alone say nothing about the target.
const CALLS: &str = "open,openat,openat2,newfstatat,statx,fstat,fcntl,lseek,read,pread64,mmap,write,pwrite64,ftruncate,\
                     fsync,fdatasync,fchown,fchmod,linkat,rename,renameat,renameat2,unlink,unlinkat,close";

/// What the target is before the run.
#[derive(Clone, Copy, Debug)]
enum Before {
    Absent,
    Old,
}

const OLD: &[u8] = b"an older database";

/// A folder with a source and perhaps an old target.
struct Scene {
    folder: tempfile::TempDir,
    source: PathBuf,
    target: PathBuf,
}

impl Scene {
    fn new(before: Before, damaged: &[u8]) -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        let (source, target) = (folder.path().join("source.db"), folder.path().join("out.db"));
        fs::write(&source, damaged).expect("a source");
        if matches!(before, Before::Old) {
            fs::write(&target, OLD).expect("an old target");
        }
        Scene { folder, source, target }
    }

    /// Recovers under strace with more options for it; its trace goes to `trace`. The exit status, if there is one.
    fn run(&self, trace: &Path, options: &[String]) -> Option<i32> {
        let status = Command::new("strace")
            .args(["-f", "-qq", "-o"])
            .arg(trace)
            .args(options)
            .arg(env!("CARGO_BIN_EXE_coroner"))
            .args(["recover", "--force", "-j1", "-o"])
            .args([&self.target, &self.source])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("strace");
        status.code()
    }
}

/// How often a run makes each call.
fn counts(trace: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(trace).expect("a trace").lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        if let Some((name, _)) = call.split_once('(') {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

/// One run in which call `number` of `name` fails or is the last, and what must hold then.
fn strike(before: Before, damaged: &[u8], new: &[u8], name: &str, number: usize, fault: &str) {
    let scene = Scene::new(before, damaged);
    let trace = tempfile::NamedTempFile::new().expect("a trace");
    let options = [format!("-etrace={name}"), format!("-einject={name}:{fault}:when={number}")];
    let status = scene.run(trace.path(), &options);
    let what = format!("{before:?}, {name} number {number}: {fault}, status {status:?}");

    let target = fs::read(&scene.target).ok();
    let is_new = target.as_deref() == Some(new);
    let is_old = match before {
        Before::Absent => target.is_none(),
        Before::Old => target.as_deref() == Some(OLD),
    };
    assert!(is_new || is_old, "{what}: the target is neither old nor new");
    if matches!(status, Some(0 | 1)) {
        assert!(is_new, "{what}: done, they say, but the target is old");
    }
    assert_eq!(fs::read(&scene.source).expect("the source"), damaged, "{what}: the source was changed");
    for item in fs::read_dir(scene.folder.path()).expect("the folder") {
        let path = item.expect("an item").path();
        if path != scene.source && path != scene.target {
            // Between its two names a file that replaces another has a passing one; only a kill can leave it there.
            assert!(fault.starts_with("signal"), "{what}: {path:?} was left behind");
            assert_eq!(fs::read(&path).expect("what was left"), new, "{what}: {path:?} is not whole");
        }
    }
}

#[test]
fn a_run_that_fails_or_dies_anywhere_leaves_old_or_new() {
    let damaged = fs::read(common::corpus().join("cyrus-3.6.1/damaged/twoskip/hole/before.db")).expect("a case");
    for before in [Before::Absent, Before::Old] {
        let scene = Scene::new(before, &damaged);
        let trace = tempfile::NamedTempFile::new().expect("a trace");
        let traced = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok()
            && scene.run(trace.path(), &[format!("-etrace={CALLS}")]) == Some(1);
        if !traced {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "strace is missing or may not trace");
            println!("LEFT OUT: strace is missing or may not trace, so no system call was made to fail");
            return;
        }
        let new = fs::read(&scene.target).expect("the target");
        let calls = counts(trace.path());
        assert!(calls.contains_key("linkat") && calls.contains_key("fsync"), "{calls:?}");
        let strikes: Vec<(&str, usize, &str)> = calls
            .iter()
            .flat_map(|(name, &count)| (1..=count).map(move |number| (&**name, number)))
            .flat_map(|(name, number)| ["error=EIO", "error=ENOSPC", "signal=KILL"].map(|fault| (name, number, fault)))
            .filter(|(name, _, fault)| {
                *fault != "error=ENOSPC" || matches!(*name, "write" | "openat" | "linkat" | "fsync")
            })
            .collect();
        println!("{before:?}: {} faults", strikes.len());
        strikes.into_par_iter().for_each(|(name, number, fault)| strike(before, &damaged, &new, name, number, fault));
    }
}
