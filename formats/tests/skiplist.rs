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

fn parse_show(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let text = fs::read(path).unwrap_or_default();
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let split =
        |line: &[u8]| line.iter().position(|&b| b == b'\t').map(|at| (line[..at].to_vec(), line[at + 1..].to_vec()));
    lines.filter_map(split).collect()
}

#[test]
fn explore() {
    for path in damaged_files() {
        let bytes = fs::read(&path).unwrap();
        let db = Db::new(&bytes);
        let found = findings(&bytes);
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        found.iter().for_each(|f| *codes.entry(f.rule.name).or_default() += 1);
        let folder = path.parent().unwrap();
        let carved = db.carve(order(&db));
        let mut by = [0; 3];
        carved.kept.iter().for_each(|k| by[k.confidence as usize] += 1);
        let kept: BTreeMap<_, _> =
            carved.kept.iter().map(|k| (k.record.key.to_vec(), k.record.value.to_vec())).collect();
        let show = parse_show(&folder.join("show.txt"));
        let missing: Vec<_> =
            show.keys().filter(|k| !kept.contains_key(*k)).map(|k| String::from_utf8_lossy(k)).collect();
        let differ: Vec<_> = show
            .iter()
            .filter(|(k, v)| kept.get(*k).is_some_and(|x| x != *v))
            .map(|k| String::from_utf8_lossy(k.0))
            .collect();
        eprintln!(
            "{:?}\n   {codes:?}\n   kept v/u/s {by:?} lost {} uncommitted {} show {} missing {missing:?} differ {differ:?}",
            folder.strip_prefix(common::corpus()).unwrap(),
            carved.lost.len(),
            carved.uncommitted.len(),
            show.len(),
        );
        let cy = db.as_cyrus(order(&db));
        let after = ["after-show.db", "after-write.db"].iter().map(|n| folder.join(n)).find(|p| p.exists());
        match cy {
            coroner_formats::container::CyrusOutcome::Opens(records) => {
                let ours: BTreeMap<_, _> = records.iter().map(|r| (r.key.to_vec(), r.value.to_vec())).collect();
                let theirs = after.map(|p| {
                    let b = fs::read(p).unwrap();
                    let d = Db::new(&b);
                    parse(&show_bytes(&d))
                });
                eprintln!(
                    "   cyrus opens {} vs after {:?} same {:?}",
                    ours.len(),
                    theirs.as_ref().map(|t| t.len()),
                    theirs.as_ref().map(|t| {
                        let only_ours = ours.iter().filter(|(k, v)| t.get(*k) != Some(*v)).count();
                        let only_theirs = t
                            .iter()
                            .filter(|(k, v)| ours.get(*k) != Some(*v))
                            .map(|x| String::from_utf8_lossy(x.0).into_owned())
                            .collect::<Vec<_>>();
                        (only_ours, only_theirs)
                    })
                );
            }
            other => eprintln!("   cyrus {other:?}"),
        }
    }
}
fn show_bytes(d: &Db<'_>) -> Vec<u8> {
    show(d, 1)
}
fn parse(text: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty());
    let split =
        |line: &[u8]| line.iter().position(|&b| b == b'\t').map(|at| (line[..at].to_vec(), line[at + 1..].to_vec()));
    lines.filter_map(split).collect()
}
