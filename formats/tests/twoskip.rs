//! twoskip: what the room's doors say of genuine files, beside what Cyrus says of them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use std::collections::BTreeSet;

use bstr::ByteSlice;
use coroner_formats::container::{
    Change, Confidence, CyrusOutcome, Database, Depth, Ending, KeyOrder, Record, twoskip,
};
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

/// Records as `show` prints them, as a set of lines.
fn lines(shown: &[u8]) -> BTreeSet<Vec<u8>> {
    shown.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn line(record: &Record<'_>) -> Vec<u8> {
    [&record.key, &b"\t"[..], &record.value].concat()
}

#[test]
fn carving_a_healthy_file_gives_its_live_records() {
    for path in healthy() {
        let bytes = fs::read(&path).unwrap();
        let db = twoskip::Db::new(&bytes);
        let order = db.order().best(KeyOrder::Unsigned);
        let carved = db.carve(order);
        let kept: Vec<_> = carved.kept.iter().map(|kept| kept.record.clone()).collect();
        assert_eq!(common::dumped(&kept), show(&bytes, 1), "{}", place(&path));
        assert!(carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified), "{}", place(&path));
        assert!(carved.lost.is_empty() && carved.uncommitted.is_empty(), "{}", place(&path));
    }
}

#[test]
fn the_log_of_a_healthy_file_leads_to_its_live_records() {
    for path in healthy() {
        let bytes = fs::read(&path).unwrap();
        let db = twoskip::Db::new(&bytes);
        let order = db.order().best(KeyOrder::Unsigned);
        let mut last = 0;
        for transaction in db.log(order) {
            assert_eq!(transaction.number, last + 1);
            assert_eq!(transaction.ending, Ending::Committed, "{}", place(&path));
            for change in &transaction.changes {
                if let Change::Delete { old, certain, .. } = change {
                    assert!(*certain && old.is_some(), "{}", place(&path));
                }
            }
            last = transaction.number;
        }
        assert_eq!(db.transactions(), Some(last), "{}", place(&path));
        let at = db.at(last, order).unwrap();
        assert_eq!(common::dumped(&at), show(&bytes, 1), "{}", place(&path));
        assert_eq!(db.at(last + 1, order), None);
    }
}

#[test]
fn cyrus_is_foretold_for_every_damaged_file_of_3_6_1() {
    let files = common::files("cyrus-3.6.1/damaged/twoskip", |path| path.ends_with("before.db"));
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let db = twoskip::Db::new(&bytes);
        let shown = fs::read(path.with_file_name("show.txt")).unwrap();
        let result = fs::read_to_string(path.with_file_name("result.txt")).unwrap();
        match db.as_cyrus(KeyOrder::Unsigned) {
            CyrusOutcome::Opens(records) => {
                assert!(result.contains("show: rc=0"), "{}: it opens", place(&path));
                assert!(common::dumped(&records) == shown, "{}: {} records", place(&path), records.len());
            }
            CyrusOutcome::Refuses(why) => assert!(result.contains("show: rc=75"), "{}: {why}", place(&path)),
            CyrusOutcome::Dies(why) => assert!(result.contains("show: rc=70"), "{}: {why}", place(&path)),
        }
    }
}

/// Folders where Cyrus shows keys that carving leaves out, with the file as it was before the damage: none of those keys
/// was live in it with that value. Cyrus' second recovery brought them back.
const RESURRECTED: [(&str, &str, usize); 1] = [(
    "cyrus-3.6.1/damaged/twoskip/master-truncated-tail/before.db",
    "cyrus-3.6.1/murder-twoskip/mup.twoskip.show.txt",
    6,
)];

#[test]
fn carving_keeps_what_cyrus_keeps_except_what_it_resurrects() {
    let mut more = 0;
    for path in damaged() {
        let bytes = fs::read(&path).unwrap();
        let db = twoskip::Db::new(&bytes);
        let carved = db.carve(db.order().best(KeyOrder::Unsigned));
        let kept: BTreeSet<_> = carved.kept.iter().map(|kept| line(&kept.record)).collect();
        let shown = lines(&fs::read(path.with_file_name("show.txt")).unwrap());
        let missing: Vec<_> = shown.difference(&kept).collect();
        more += kept.difference(&shown).count();
        match RESURRECTED.iter().find(|(folder, _, _)| *folder == place(&path)) {
            None => assert_eq!(missing, [] as [&Vec<u8>; 0], "{}", place(&path)),
            Some((_, original, count)) => {
                let original = lines(&fs::read(common::corpus().join(original)).unwrap());
                assert_eq!(missing.len(), *count);
                assert!(missing.iter().all(|line| !original.contains(*line)));
            }
        }
    }
    assert!(more > 1000, "only {more} records more than Cyrus shows");
}

#[test]
fn carving_the_damaged_files_of_3_6_1_is_sure_of_nothing_that_is_not_so() {
    let original = |path: &Path| match path.to_string_lossy() {
        name if name.contains("/master-") => "cyrus-3.6.1/murder-twoskip/mup.twoskip.show.txt",
        name if name.contains("/committed-then-killed/") => {
            "cyrus-3.6.1/damaged/twoskip/committed-then-killed/show.txt"
        }
        _ => "cyrus-3.6.1/murder-twoskip/be1.twoskip.show.txt",
    };
    for path in common::files("cyrus-3.6.1/damaged/twoskip", |path| path.ends_with("before.db")) {
        let bytes = fs::read(&path).unwrap();
        let carved = twoskip::Db::new(&bytes).carve(KeyOrder::Unsigned);
        let live = lines(&fs::read(common::corpus().join(original(&path))).unwrap());
        for kept in carved.kept.iter().filter(|kept| kept.confidence == Confidence::Verified) {
            assert!(live.contains(&line(&kept.record)), "{}: {:?}", place(&path), kept.record.key.as_bstr());
        }
    }
}

/// Every door of a small file cut at every byte and with every byte overwritten.
#[test]
fn no_door_minds_damage_anywhere() {
    for name in ["cyrus-3.6.1/legacy/dlist-3.0.twoskip.db", "cyrus-3.6.1/incidents/outage/be2.twoskip.db"] {
        let bytes = fs::read(common::corpus().join(name)).unwrap();
        common::maul(&bytes, |mauled| {
            let db = twoskip::Db::new(mauled);
            common::exercise(&db, mauled.len());
            let numbers: Vec<_> = db.log(KeyOrder::Unsigned).map(|transaction| transaction.number).collect();
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
            db.at(1, KeyOrder::Unsigned);
        });
    }
}
