//! `coroner repair`, `apply` and `undo` on genuine files and on genuine files with planted defects.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use bstr::ByteSlice;
use coroner::formats::container::{Format, KeyOrder, WriteOptions, detect, flat, open, write};
use serde_json::Value;
use tempfile::TempDir;

use common::coroner;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The live records of a file.
fn records(path: &Path) -> Records {
    let bytes = fs::read(path).expect("a database");
    let database = open(&bytes, detect(&bytes).format.expect("a format")).expect("read");
    let mut records = Records::new();
    database.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        records.insert(record.key.into_owned(), record.value.into_owned());
        true
    });
    records
}

fn genuine(path: &str) -> PathBuf {
    common::corpus().join(path)
}

/// A folder for a test's files.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Bench(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A twoskip file of these records.
    fn database(&self, name: &str, records: &Records) -> PathBuf {
        let path = self.path(name);
        let mut file = fs::File::create(&path).expect("a file");
        let options = WriteOptions { order: KeyOrder::Unsigned, time: 1, style: flat::Style::Escaped };
        write(&mut file, Format::Twoskip, records, &options).expect("written");
        path
    }
}

fn run<const N: usize>(arguments: [&str; N]) -> Output {
    coroner(arguments)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[track_caller]
fn assert_status(output: &Output, status: i32) {
    let (out, err) = (output.stdout.as_bstr(), output.stderr.as_bstr());
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
}

/// What `repair --json` says of a file.
fn repaired<const N: usize>(path: &Path, more: [&str; N]) -> Value {
    let output = coroner(["repair", "--json", text(path)].into_iter().chain(more));
    assert_ne!(output.status.code(), Some(2), "{path:?}: {}", output.stderr.as_bstr());
    serde_json::from_slice(&output.stdout).expect("a document")
}

/// How many changes each rule makes.
fn rules(document: &Value) -> BTreeMap<String, usize> {
    let mut rules = BTreeMap::new();
    for change in document["changes"].as_array().expect("changes") {
        *rules.entry(change["rule"].as_str().expect("a rule").to_owned()).or_default() += 1;
    }
    rules
}

fn one_rule(rule: &str, count: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(rule.to_owned(), count)])
}

#[test]
fn healthy_genuine_files_are_left_as_they_are() {
    let healthy = common::undamaged();
    let healthy: Vec<_> = healthy.iter().filter(|(path, _)| path.to_string_lossy().contains("/murder-")).collect();
    assert!(healthy.len() >= 50, "{}", healthy.len());
    for (path, _) in healthy {
        let output = coroner([Path::new("repair"), path]);
        assert_eq!(output.status.code(), Some(0), "{path:?}: {}", output.stdout.as_bstr());
        assert!(output.stdout.contains_str("nothing to change"), "{path:?}: {}", output.stdout.as_bstr());
    }
}

#[test]
fn a_master_rebuilt_from_a_dump_gets_its_remote_flags_back() {
    let bench = Bench::new();
    let source = genuine("cyrus-2.2.13/undump/mup-reloaded.skiplist.db");
    let (plan, first, second) = (bench.path("plan.json"), bench.path("first.db"), bench.path("second.db"));
    assert_status(&run(["repair", text(&source)]), 1);
    assert_status(&run(["repair", text(&source), "--plan", text(&plan), "-o", text(&first)]), 0);
    assert_status(&run(["apply", text(&plan), "-o", text(&second)]), 0);
    assert_eq!(records(&first), records(&second));
    // Which of the entries without ACL were reservations the dump does not tell; one entry names no server.
    let master = records(&genuine("cyrus-2.2.13/murder-skiplist/mup.skiplist.db"));
    let differing: Vec<_> = records(&first).into_iter().filter(|(key, value)| master.get(key) != Some(value)).collect();
    let names: Vec<_> = differing.iter().map(|(key, _)| key.as_bstr().to_string()).collect();
    assert_eq!(names, ["user.bare", "user.rez", "user.zoe.Old"]);
}
