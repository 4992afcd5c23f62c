//! twoskip: what the room's doors say of genuine files, beside what Cyrus says of them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use coroner_formats::container::{Database, Depth, KeyOrder, twoskip};
use coroner_formats::finding::{Finding, Severity};

/// The path below the corpus folder.
fn place(path: &Path) -> String {
    path.strip_prefix(common::corpus()).unwrap().to_string_lossy().into_owned()
}

fn healthy() -> Vec<PathBuf> {
    common::files("", |path| path.to_string_lossy().ends_with("twoskip.db") && !place(path).contains("damaged/"))
}

/// The damaged files as they were before Cyrus read them.
fn damaged() -> Vec<PathBuf> {
    common::files("", |path| place(path).contains("damaged/twoskip/") && path.ends_with("before.db"))
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    twoskip::Db::new(bytes).verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

fn show(bytes: &[u8], parts: usize) -> Vec<u8> {
    let db = twoskip::Db::new(bytes);
    let order = db.order().best(KeyOrder::Unsigned);
    let view = db.view(order, parts);
    let mut out = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            for piece in [&record.key[..], b"\t", &record.value[..], b"\n"] {
                out.extend_from_slice(piece);
            }
            true
        });
    }
    out
}

#[test]
fn healthy_files_show_what_cyrus_shows() {
    let mut compared = 0;
    for path in healthy() {
        let shown = path.with_extension("show.txt");
        let Ok(expected) = fs::read(&shown) else { continue };
        let bytes = fs::read(&path).unwrap();
        for parts in [1, 3, 16] {
            assert!(show(&bytes, parts) == expected, "{} in {parts} parts", place(&path));
        }
        compared += 1;
    }
    assert!(compared > 100, "only {compared} files compared");
}

#[test]
fn healthy_files_give_no_warning_and_no_error() {
    for path in healthy() {
        let found: Vec<_> = findings(&fs::read(&path).unwrap());
        let bad: Vec<_> = found.iter().filter(|finding| finding.severity() > Severity::Note).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", place(&path));
    }
}

#[test]
fn every_damaged_file_gives_a_finding() {
    /// Folders that hold no damage: the abort put the file back as it was before its writer was killed.
    const SOUND: [&str; 1] = ["aborted"];
    for path in damaged() {
        let found = findings(&fs::read(&path).unwrap());
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let is_sound = !found.iter().any(|finding| finding.severity() > Severity::Note);
        assert_eq!(is_sound, SOUND.contains(&folder.as_str()), "{}: {found:#?}", place(&path));
    }
}

#[test]
fn tiles_cover_every_file() {
    for path in healthy().into_iter().chain(damaged()) {
        let bytes = fs::read(&path).unwrap();
        let db = twoskip::Db::new(&bytes);
        let mut at = 0;
        for tile in db.tiles() {
            assert_eq!(tile.span.start, at, "{}", place(&path));
            assert!(tile.span.end > at, "{}", place(&path));
            at = tile.span.end;
            if !place(&path).contains("damaged/") {
                assert!(tile.kind.is_sound(), "{}: {tile:?}", place(&path));
            }
        }
        assert_eq!(at, bytes.len() as u64, "{}", place(&path));
    }
}

#[test]
fn lookups_find_each_key_and_no_other() {
    for path in healthy() {
        let bytes = fs::read(&path).unwrap();
        let db = twoskip::Db::new(&bytes);
        let view = db.view(db.order().best(KeyOrder::Unsigned), 1);
        let mut records = Vec::new();
        view.walk(0, &mut |record| {
            records.push(record);
            true
        });
        for record in &records {
            assert_eq!(view.get(&record.key).as_ref(), Some(record), "{}", place(&path));
            let mut other = record.key.to_vec();
            other.push(0);
            assert_eq!(view.get(&other), None, "{}", place(&path));
        }
        let mut named = Vec::new();
        view.prefix(b"N", &mut |record| {
            named.push(record);
            true
        });
        records.retain(|record| record.key.starts_with(b"N"));
        assert_eq!(named, records, "{}", place(&path));
    }
}
