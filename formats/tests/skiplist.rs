//! The skiplist room against what real releases of Cyrus wrote and said.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use coroner_formats::container::detect::SKIPLIST_MAGIC;
use coroner_formats::container::skiplist::Db;
use coroner_formats::container::{Confidence, Database, Depth, KeyOrder};
use coroner_formats::finding::{Finding, Severity};

fn is_skiplist(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "db")
        && fs::read(path).is_ok_and(|bytes| bytes.starts_with(SKIPLIST_MAGIC))
}

fn damaged(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "damaged")
}

/// Every skiplist file that a release left behind on purpose and whole.
fn healthy_files() -> Vec<PathBuf> {
    common::files("", |path| is_skiplist(path) && !damaged(path))
}

/// Every damaged skiplist file, those of zero bytes included.
fn damaged_files() -> Vec<PathBuf> {
    common::files("", |path| {
        let folder = path.parent().and_then(Path::parent).and_then(Path::file_name);
        damaged(path) && path.file_name().is_some_and(|n| n == "before.db") && folder.is_some_and(|f| f == "skiplist")
    })
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    Db::new(bytes).verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

fn order(db: &Db<'_>) -> KeyOrder {
    db.order().best(KeyOrder::Signed)
}

fn line(key: &[u8], value: &[u8]) -> Vec<u8> {
    [key, b"\t", value, b"\n"].concat()
}

fn show(db: &Db<'_>, parts: usize) -> Vec<u8> {
    let view = db.view(order(db), parts);
    let mut out = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            out.extend(line(&record.key, &record.value));
            true
        });
    }
    out
}

#[test]
fn healthy_files_have_no_findings() {
    let mut failures = Vec::new();
    for path in healthy_files() {
        let bytes = fs::read(&path).unwrap();
        let found = findings(&bytes);
        if !found.is_empty() {
            failures.push((path, found));
        }
    }
    for (path, found) in &failures {
        for finding in found {
            eprintln!("{}: {} {}: {}", path.display(), finding.span, finding.rule.code, finding.message);
        }
    }
    assert!(failures.is_empty());
}

#[test]
fn show_equals_cyrus_show() {
    let mut compared = 0;
    for path in healthy_files() {
        let Ok(expected) = fs::read(path.with_extension("show.txt")) else { continue };
        let bytes = fs::read(&path).unwrap();
        for parts in [1, 2, 7] {
            assert!(show(&Db::new(&bytes), parts) == expected, "{path:?} in {parts} parts");
        }
        compared += 1;
    }
    assert!(compared > 50, "only {compared} files have a show.txt");
}
