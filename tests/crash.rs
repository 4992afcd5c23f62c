//! Every system call of a recover run fails, or is the last one: the target is old or new, never between, nothing else is
//! left behind, and the source is untouched. The same of a run that changes a file in place, and, for calls spread over the
//! whole run, of one that writes a large file on several threads.
//!
//! strace makes the calls fail.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::traced::{CALLS, can_trace, counts, traced};
use coroner::formats::container::{Format, KeyOrder, WriteOptions, flat, write};
use rayon::prelude::*;

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
        let arguments = ["recover".as_ref(), "--force".as_ref(), "-o".as_ref(), &*self.target, &*self.source];
        traced(trace, options, &arguments).code()
    }

    /// What must hold when a run has ended.
    fn aftermath(&self, before: Before, source: &[u8], new: &[u8], fault: &str, status: Option<i32>, call: &str) {
        let what = format!("{call}: {fault}, status {status:?}");
        let target = fs::read(&self.target).ok();
        let is_new = target.as_deref() == Some(new);
        let is_old = match before {
            Before::Absent => target.is_none(),
            Before::Old => target.as_deref() == Some(OLD),
        };
        assert!(is_new || is_old, "{what}: the target is neither old nor new");
        if matches!(status, Some(0 | 1)) {
            assert!(is_new, "{what}: done, they say, but the target is old");
        }
        assert!(fs::read(&self.source).expect("the source") == source, "{what}: the source was changed");
        for item in fs::read_dir(self.folder.path()).expect("the folder") {
            let path = item.expect("an item").path();
            if path != self.source && path != self.target {
                // Between its two names a file that replaces another has a passing one; only a kill can leave it there.
                assert!(fault.starts_with("signal"), "{what}: {path:?} was left behind");
                assert!(fs::read(&path).expect("what was left") == new, "{what}: {path:?} is not whole");
            }
        }
    }
}

/// A call, its number, and what becomes of it, for all calls of a run.
fn strikes(calls: &BTreeMap<String, usize>) -> Vec<(&str, usize, &'static str)> {
    calls
        .iter()
        .flat_map(|(name, &count)| (1..=count).map(move |number| (&**name, number)))
        .flat_map(|(name, number)| ["error=EIO", "error=ENOSPC", "signal=KILL"].map(|fault| (name, number, fault)))
        .filter(|(name, _, fault)| *fault != "error=ENOSPC" || matches!(*name, "write" | "openat" | "linkat" | "fsync"))
        .collect()
}

/// One run in which call `number` of `name` fails or is the last, and what must hold then.
fn strike(before: Before, damaged: &[u8], new: &[u8], name: &str, number: usize, fault: &str) {
    let scene = Scene::new(before, damaged);
    let trace = tempfile::NamedTempFile::new().expect("a trace");
    let options = [format!("-etrace={name}"), format!("-einject={name}:{fault}:when={number}")];
    let status = scene.run(trace.path(), &options);
    scene.aftermath(before, damaged, new, fault, status, &format!("{before:?}, {name} number {number}"));
}

/// A database that is written in several pieces, and synced while it is.
fn several_pieces() -> Vec<u8> {
    let acl = "anna lrswipkxtecdan ".repeat(80);
    let records = (0..30_000).map(|i| (format!("Nuser\x1Fuser{i:06}"), format!("%(T e P default M {i} A %({acl}))")));
    let options = WriteOptions { order: KeyOrder::Unsigned, time: 1, style: flat::Style::Escaped };
    let mut out = std::io::Cursor::new(Vec::new());
    write(&mut out, Format::Twoskip, records, &options).expect("written");
    out.into_inner()
}

/// How often each thread makes each call, at most.
fn counts_of_threads(trace: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(trace).expect("a trace").lines() {
        let mut words = line.split_whitespace();
        let (thread, call) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if let Some((name, _)) = call.split_once('(') {
            *counts.entry((name.to_owned(), thread.to_owned())).or_insert(0) += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in counts {
        let known = most.entry(name).or_insert(0);
        *known = count.max(*known);
    }
    most
}

/// Calls of a run on threads, some of each spread over all of it, and what becomes of them. strace counts those of each
/// thread by themselves, so the same number strikes several threads.
fn spread(calls: &BTreeMap<String, usize>) -> Vec<(&str, usize, &'static str)> {
    let some = |count: usize| (0..4).map(move |i| 1 + (count - 1) * i / 3).collect::<BTreeSet<_>>();
    let numbered = calls.iter().flat_map(|(name, &count)| some(count).into_iter().map(move |number| (&**name, number)));
    let struck = numbered.flat_map(|(name, number)| {
        let full = matches!(name, "pwrite64" | "fdatasync" | "fsync" | "linkat" | "openat").then_some("error=ENOSPC");
        let faults = ["error=EIO", "signal=KILL"].into_iter().chain(full);
        faults.map(move |fault| (name, number, fault))
    });
    struck.collect()
}

#[test]
fn a_large_file_that_is_not_written_to_its_end_leaves_old_or_new() {
    if !can_trace() {
        return;
    }
    let source = several_pieces();
    let run = |scene: &Scene, trace: &Path, options: &[String]| {
        let convert = ["convert", "--to", "skiplist", "--force", "-o"].map(Path::new);
        traced(trace, options, &[&convert[..], &[&scene.target, &scene.source]].concat()).code()
    };
    for before in [Before::Absent, Before::Old] {
        let scene = Scene::new(before, &source);
        let trace = tempfile::NamedTempFile::new().expect("a trace");
        assert_eq!(run(&scene, trace.path(), &[format!("-etrace={CALLS}")]), Some(0));
        let new = fs::read(&scene.target).expect("the target");
        let calls = counts_of_threads(trace.path());
        assert!(calls.contains_key("fdatasync") && calls["pwrite64"] > 3, "{calls:?}");
        // Of two runs that differ only in what the target was, what is read tells nothing new.
        let written =
            |name: &str| !matches!(name, "read" | "newfstatat" | "statx" | "fstat" | "fcntl" | "lseek" | "close");
        let strikes = spread(&calls).into_iter().filter(|(name, ..)| matches!(before, Before::Old) || written(name));
        let strikes: Vec<_> = strikes.collect();
        println!("a large file, {before:?}: {} faults", strikes.len());
        strikes.into_par_iter().for_each(|(name, number, fault)| {
            let scene = Scene::new(before, &source);
            let trace = tempfile::NamedTempFile::new().expect("a trace");
            let options =
                [format!("-etrace={name}"), "--seccomp-bpf".into(), format!("-einject={name}:{fault}:when={number}")];
            let status = run(&scene, trace.path(), &options);
            scene.aftermath(
                before,
                &source,
                &new,
                fault,
                status,
                &format!("large, {before:?}, {name} number {number}"),
            );
        });
    }
}

#[test]
fn a_run_that_fails_or_dies_anywhere_leaves_old_or_new() {
    if !can_trace() {
        return;
    }
    let damaged = fs::read(common::corpus().join("cyrus-3.6.1/damaged/twoskip/hole/before.db")).expect("a case");
    for before in [Before::Absent, Before::Old] {
        let scene = Scene::new(before, &damaged);
        let trace = tempfile::NamedTempFile::new().expect("a trace");
        assert_eq!(scene.run(trace.path(), &[format!("-etrace={CALLS}")]), Some(1));
        let new = fs::read(&scene.target).expect("the target");
        let calls = counts(trace.path());
        assert!(calls.contains_key("linkat") && calls.contains_key("fsync"), "{calls:?}");
        let strikes = strikes(&calls);
        println!("{before:?}: {} faults", strikes.len());
        strikes.into_par_iter().for_each(|(name, number, fault)| strike(before, &damaged, &new, name, number, fault));
    }
}

/// A folder with a database to repair in place.
struct InPlace {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl InPlace {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mailboxes.db");
        fs::write(&file, bytes).expect("a database");
        InPlace { folder, file }
    }

    fn run(&self, trace: &Path, options: &[String]) -> Option<i32> {
        traced(trace, options, &["repair".as_ref(), "--in-place".as_ref(), &*self.file]).code()
    }
}

/// One run in place in which a call fails or is the last, and what must hold then.
fn strike_in_place(old: &[u8], new: &[u8], name: &str, number: usize, fault: &str) {
    let scene = InPlace::new(old);
    let trace = tempfile::NamedTempFile::new().expect("a trace");
    let options = [format!("-etrace={name}"), format!("-einject={name}:{fault}:when={number}")];
    let status = scene.run(trace.path(), &options);
    let what = format!("in place, {name} number {number}: {fault}, status {status:?}");

    let now = fs::read(&scene.file).unwrap_or_else(|error| panic!("{what}: the file is gone: {error}"));
    let is_new = now == new;
    assert!(is_new || now == old, "{what}: neither old nor new");
    if status == Some(0) {
        assert!(is_new, "{what}: done, they say, but the file is old");
    }
    let mut beside = Vec::new();
    for path in common::files(scene.folder.path(), &|path| path != scene.file) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = fs::read(&path).expect("what is beside it");
        let kind = ["backup", "undo"].into_iter().find(|kind| name.contains(&format!(".coroner-{kind}-")));
        match kind {
            Some("backup") => assert!(bytes == old, "{what}: the backup is not the old file"),
            Some(_) => assert!(coroner::plan::Plan::from_json(&bytes).is_ok(), "{what}: {name} is no plan"),
            // Only a kill can leave the passing name of the new file.
            None => assert!(bytes == new && fault.starts_with("signal"), "{what}: {name} was left"),
        }
        beside.extend(kind);
    }
    beside.sort_unstable();
    match is_new {
        true => assert_eq!(beside, ["backup", "undo"], "{what}: the file is new"),
        false => {
            assert!(beside.is_empty() || fault.starts_with("signal"), "{what}: {beside:?} left beside the old file")
        }
    }
}

#[test]
fn a_run_in_place_that_fails_or_dies_anywhere_leaves_old_or_new() {
    if !can_trace() {
        return;
    }
    let old = fs::read(common::corpus().join("cyrus-2.2.13/undump/mup-reloaded.skiplist.db")).expect("a database");
    let scene = InPlace::new(&old);
    let trace = tempfile::NamedTempFile::new().expect("a trace");
    assert_eq!(scene.run(trace.path(), &[format!("-etrace={CALLS}")]), Some(0));
    let new = fs::read(&scene.file).expect("the file");
    assert!(old != new);
    let calls = counts(trace.path());
    assert!(calls.contains_key("linkat") && calls.contains_key("fsync") && calls.contains_key("rename"), "{calls:?}");
    let strikes = strikes(&calls);
    println!("in place: {} faults", strikes.len());
    strikes.into_par_iter().for_each(|(name, number, fault)| strike_in_place(&old, &new, name, number, fault));
}
