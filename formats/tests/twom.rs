//! The twom room against what Cyrus 3.13.7 wrote and said.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor as Memory;
use std::path::{Path, PathBuf};

use coroner_formats::container::detect::TWOM_MAGIC;
use coroner_formats::container::twom::{Db, Options, uuid, write};
use coroner_formats::container::{Change, Confidence, CyrusOutcome, Database, Depth, Ending, KeyOrder, Record};
use coroner_formats::finding::{Finding, Severity};
use coroner_formats::tile::Kind;

const ORDER: KeyOrder = KeyOrder::Unsigned;

fn is_twom(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "db") && fs::read(path).is_ok_and(|bytes| bytes.starts_with(TWOM_MAGIC))
}

fn is_damaged(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "damaged")
}

/// Every twom file that was left behind on purpose and whole.
fn healthy_files() -> Vec<PathBuf> {
    common::files("", |path| is_twom(path) && !is_damaged(path))
}

fn damaged_file(name: &str) -> Vec<u8> {
    corpus(&format!("damaged/twom/{name}/before.db"))
}

fn corpus(name: &str) -> Vec<u8> {
    fs::read(common::corpus().join("cyrus-3.13.7").join(name)).expect("a corpus file")
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    Db::new(bytes).verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

fn codes(bytes: &[u8]) -> Vec<&'static str> {
    findings(bytes).iter().map(|finding| finding.rule.name).collect()
}

fn lines<'a>(records: impl IntoIterator<Item = Record<'a>>) -> Vec<u8> {
    records.into_iter().flat_map(|record| [&record.key, b"\t".as_slice(), &record.value, b"\n"].concat()).collect()
}

fn live<'a>(db: &Db<'a>, parts: usize) -> Vec<Record<'a>> {
    let view = db.view(ORDER, parts);
    let mut records = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            records.push(record);
            true
        });
    }
    records
}

fn beside(path: &Path, ending: &str) -> Vec<u8> {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name").trim_end_matches(".db");
    fs::read(path.with_file_name(format!("{name}{ending}"))).expect("what Cyrus shows")
}

#[test]
fn show_equals_what_cyrus_shows() {
    let files = healthy_files();
    assert!(files.len() >= 8);
    for path in files {
        let bytes = fs::read(&path).expect("a corpus file");
        let db = Db::new(&bytes);
        let shown = beside(&path, ".show.txt");
        for parts in [1, 2, 7] {
            assert!(lines(live(&db, parts)) == shown, "{} in {parts} parts", path.display());
        }
        let CyrusOutcome::Opens(records) = db.as_cyrus(ORDER) else { panic!("Cyrus opens {}", path.display()) };
        assert!(lines(records) == shown, "as Cyrus reads {}", path.display());
        let carved = db.carve(ORDER);
        assert!(carved.lost.is_empty());
        assert!(carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified));
        assert!(lines(carved.kept.into_iter().map(|kept| kept.record)) == shown, "carving {}", path.display());
        let last = db.transactions().expect("a number");
        assert!(lines(db.at(last, ORDER).expect("the last state")) == shown, "the last state of {}", path.display());
    }
}

#[test]
fn healthy_files_have_no_warning() {
    for path in healthy_files() {
        let bytes = fs::read(&path).expect("a corpus file");
        let found: Vec<Finding> =
            findings(&bytes).into_iter().filter(|finding| finding.severity() > Severity::Note).collect();
        assert_eq!(found, [], "{}", path.display());
        assert!(Db::new(&bytes).order().fits(ORDER));
    }
}

#[test]
fn damaged_files_show_what_was_done_to_them() {
    let expected: [(&str, &[&str]); 7] = [
        ("bitflip-head", &["head-sum"]),
        ("bitflip-key", &["tail-sum", "ancestor-key"]),
        ("bitflip-value", &["tail-sum"]),
        ("hole", &["zeros"]),
        ("killed-in-transaction", &["dirty", "uncommitted"]),
        ("truncated-tail", &["file-short", "torn"]),
        // Zeros behind the committed size are what a healthy file has; only its length is not one that Cyrus gives it.
        ("zero-tail", &["growth"]),
    ];
    for (name, rules) in expected {
        let found = codes(&damaged_file(name));
        for rule in rules {
            assert!(found.contains(rule), "{name}: {found:?}");
        }
    }
}

#[test]
fn carving_keeps_at_least_what_cyrus_reads() {
    let original: BTreeMap<Vec<u8>, Vec<u8>> = {
        let bytes = corpus("logtail/ops.twom.db");
        live(&Db::new(&bytes), 1).into_iter().map(|record| (record.key.into(), record.value.into())).collect()
    };
    for name in ["bitflip-head", "bitflip-key", "bitflip-value", "hole", "truncated-tail", "zero-tail"] {
        let bytes = damaged_file(name);
        let db = Db::new(&bytes);
        let carved = db.carve(ORDER);
        let kept: BTreeMap<Vec<u8>, Vec<u8>> =
            carved.kept.iter().map(|kept| (kept.record.key.to_vec(), kept.record.value.to_vec())).collect();
        let shown = corpus(&format!("damaged/twom/{name}/show.txt"));
        for line in shown.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let tab = line.iter().position(|&byte| byte == b'\t').expect("a key");
            let (key, value) = line.split_at(tab);
            assert_eq!(kept.get(key).map(|value| [b"\t", value.as_slice()].concat()).as_deref(), Some(value), "{name}");
        }
        for kept in carved.kept.iter().filter(|kept| kept.confidence == Confidence::Verified) {
            assert_eq!(original.get(&*kept.record.key).map(Vec::as_slice), Some(&*kept.record.value), "{name}");
        }
        println!("{name}: {} kept of {}, {} lost ranges", kept.len(), original.len(), carved.lost.len());
        if name != "hole" {
            assert_eq!(kept.keys().collect::<Vec<_>>(), original.keys().collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn cyrus_is_foretold_as_3_13_7_did() {
    for name in ["bitflip-head", "bitflip-key", "bitflip-value", "hole", "killed-in-transaction", "zero-tail"] {
        let bytes = damaged_file(name);
        let CyrusOutcome::Opens(records) = Db::new(&bytes).as_cyrus(ORDER) else { panic!("{name} opens") };
        assert!(lines(records) == corpus(&format!("damaged/twom/{name}/show.txt")), "{name}");
    }
    assert!(matches!(Db::new(&damaged_file("truncated-tail")).as_cyrus(ORDER), CyrusOutcome::Dies(_)));
    assert_eq!(Db::new(b"").as_cyrus(ORDER), CyrusOutcome::Opens(Vec::new()));
    assert!(matches!(Db::new(&[0; 400]).as_cyrus(ORDER), CyrusOutcome::Refuses(_)));
}

#[test]
fn a_killed_writer_leaves_its_records_to_see() {
    let bytes = damaged_file("killed-in-transaction");
    let db = Db::new(&bytes);
    assert!(lines(live(&db, 1)) == corpus("damaged/twom/killed-in-transaction/show.txt"));
    let carved = db.carve(ORDER);
    assert_eq!(carved.uncommitted.len(), 4);
    let last = db.log(ORDER).last().expect("a transaction");
    assert_eq!(last.ending, Ending::Uncommitted);
    assert_eq!(last.changes.len(), 5);
    assert!(matches!(last.changes.last(), Some(Change::Delete { old: Some(_), certain: true, .. })));
    assert_eq!(last.number, db.transactions().unwrap_or_default() + 1);
}

/// Replays the log of `bytes` and compares with the state that `at` gives.
fn replay_all(bytes: &[u8], what: &str) -> u64 {
    let db = Db::new(bytes);
    let as_map = |records: Vec<Record<'_>>| -> BTreeMap<Vec<u8>, Vec<u8>> {
        records.into_iter().map(|record| (record.key.into(), record.value.into())).collect()
    };
    let mut state = as_map(db.at(0, ORDER).expect("the first state"));
    let mut number = 0;
    for transaction in db.log(ORDER).filter(|transaction| transaction.ending == Ending::Committed) {
        for change in &transaction.changes {
            match change {
                Change::Add(new) => assert_eq!(state.insert(new.key.to_vec(), new.value.to_vec()), None, "{what}"),
                Change::Replace { old, new } => {
                    assert_eq!(
                        state.insert(new.key.to_vec(), new.value.to_vec()).as_deref(),
                        Some(&*old.value),
                        "{what}"
                    );
                }
                Change::Delete { old, .. } => {
                    let old = old.as_ref().expect("the deleted record");
                    assert_eq!(state.remove(&*old.key).as_deref(), Some(&*old.value), "{what}");
                }
            }
        }
        number += 1;
        assert_eq!(transaction.number, number);
        assert_eq!(as_map(db.at(number, ORDER).expect("a state")), state, "{what} after {number}");
    }
    assert_eq!(db.transactions(), Some(number), "{what}");
    assert_eq!(as_map(live(&db, 1)), state, "{what}");
    number
}

#[test]
fn the_log_replays_to_the_state_after_every_transaction() {
    let mut numbers = Vec::new();
    for path in healthy_files() {
        let bytes = fs::read(&path).expect("a corpus file");
        numbers.push(replay_all(&bytes, &path.display().to_string()));
    }
    numbers.sort_unstable();
    assert_eq!(numbers.first(), Some(&1));
    assert_eq!(numbers.last(), Some(&0x9B));
}

#[test]
fn every_version_of_a_key_is_in_the_log() {
    let bytes = corpus("logtail/ops.twom.db");
    let mut changes = 0;
    let mut deletions = 0;
    for transaction in Db::new(&bytes).log(ORDER) {
        for change in transaction.changes {
            changes += 1;
            deletions += u32::from(matches!(change, Change::Delete { .. }));
        }
    }
    assert!(changes > 120 && deletions >= 4, "{changes} changes, {deletions} deletions");
}

#[test]
fn lookups_find_what_the_walk_finds() {
    for path in healthy_files() {
        let bytes = fs::read(&path).expect("a corpus file");
        let db = Db::new(&bytes);
        let records = live(&db, 1);
        let view = db.view(ORDER, 1);
        for record in &records {
            assert_eq!(view.get(&record.key).as_ref(), Some(record));
            let longer = [&record.key, b"\0".as_slice()].concat();
            assert_eq!(view.get(&longer), None);
            for len in [0, record.key.len() / 2, record.key.len()] {
                let prefix = record.key.get(..len).expect("a prefix");
                let expected: Vec<_> = records.iter().filter(|other| other.key.starts_with(prefix)).cloned().collect();
                let mut found = Vec::new();
                view.prefix(prefix, &mut |other| {
                    found.push(other);
                    true
                });
                assert_eq!(found, expected);
            }
        }
    }
}

fn written(records: &[(Vec<u8>, Vec<u8>)], options: Options) -> Vec<u8> {
    let records = records.iter().map(|(key, value)| (key, value));
    write(Memory::new(Vec::new()), records, options).expect("a database").into_inner()
}

#[test]
fn a_written_file_is_laid_out_as_cyrus_lays_it_out() {
    for name in ["be1.twoskip-to-twom", "mup.twoskip-to-twom"] {
        let genuine = corpus(&format!("converted/{name}.db"));
        let db = Db::new(&genuine);
        let records: Vec<_> =
            live(&db, 1).into_iter().map(|record| (record.key.to_vec(), record.value.to_vec())).collect();
        let ours = written(&records, Options::default());
        assert_eq!(ours.len(), genuine.len(), "{name}");
        assert!(codes(&ours).is_empty(), "{name}: {:?}", codes(&ours));
        assert_eq!(ours, written(&records, Options::default()), "{name} written twice");
        assert_ne!(ours, written(&records, Options { uuid: uuid(1), ..Options::default() }), "{name} by another seed");
        let mine = Db::new(&ours);
        let count = |db: &Db<'_>, kind| db.tiles().filter(|tile| tile.kind == kind).count();
        for kind in [Kind::Header, Kind::Dummy, Kind::Record, Kind::Delete, Kind::Commit, Kind::Padding] {
            assert_eq!(count(&mine, kind), count(&db, kind), "{name}");
        }
        // Levels are drawn at random by Cyrus; all else of a record is the same, field by field.
        let parts = |db: &Db<'_>| -> Vec<(Vec<String>, Option<usize>)> {
            let records = db.tiles().filter(|tile| tile.kind == Kind::Record);
            let told = |name: &str| {
                ["type", "key length", "value length", "tail sum", "key", "value", "padding"].contains(&name)
            };
            let zero = |name: &str| name == "level 0 pointer 1";
            let fields = records.map(|tile| {
                let same = tile.fields.iter().filter(|field| told(&field.name));
                let same = same.map(|field| format!("{}: {:?}", field.name, field.value)).collect();
                (same, tile.fields.iter().position(|field| zero(&field.name)))
            });
            fields.collect()
        };
        assert_eq!(parts(&mine), parts(&db), "{name}");
    }
}

#[test]
fn a_written_file_is_sound_whatever_its_size() {
    for count in [0_u32, 1, 2, 3, 100, 60_000] {
        let records: Vec<_> = (0..count)
            .map(|i| (format!("key {i:08}").into_bytes(), "v".repeat(i as usize % 197).into_bytes()))
            .collect();
        let bytes = written(&records, Options::default());
        assert!(codes(&bytes).is_empty(), "{count}: {:?}", codes(&bytes));
        let db = Db::new(&bytes);
        for parts in [1, 8] {
            let read: Vec<_> = live(&db, parts).iter().map(|r| (r.key.to_vec(), r.value.to_vec())).collect();
            assert!(read == records, "{count} in {parts} parts");
        }
        assert_eq!(db.transactions(), Some(0));
        assert_eq!(db.at(0, ORDER).map(|records| records.len()), Some(count as usize));
        assert_eq!(db.log(ORDER).count(), 0);
    }
}

#[test]
fn long_keys_get_long_lengths() {
    let records =
        vec![(b"a".to_vec(), vec![]), (vec![b'k'; 70_000], b"value".to_vec()), (b"l".to_vec(), b"x".to_vec())];
    let bytes = written(&records, Options::default());
    assert!(codes(&bytes).is_empty(), "{:?}", codes(&bytes));
    let db = Db::new(&bytes);
    let read: Vec<_> = live(&db, 1).iter().map(|r| (r.key.to_vec(), r.value.to_vec())).collect();
    assert!(read == records);
    assert_eq!(db.tiles().filter(|tile| tile.label.starts_with("FATADD")).count(), 1);
}

#[test]
fn what_cannot_be_written_is_refused() {
    for records in [vec![("", "value")], vec![("b", ""), ("a", "")], vec![("a", ""), ("a", "")]] {
        let refused = write(Memory::new(Vec::new()), records, Options::default());
        assert_eq!(refused.map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::InvalidInput));
    }
}

#[test]
fn tiles_of_a_healthy_file_are_all_sound() {
    for path in healthy_files() {
        let bytes = fs::read(&path).expect("a corpus file");
        let tiles: Vec<_> = Db::new(&bytes).tiles().collect();
        let committed = tiles.iter().filter(|tile| !tile.label.ends_with("committed"));
        for tile in committed {
            assert!(tile.kind.is_sound(), "{}: {}", path.display(), tile.label);
        }
    }
}
