//! The skiplist room against what real releases of Cyrus wrote and said.

mod common;
#[allow(dead_code)]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;
#[path = "common/skiplist_sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use coroner_formats::container::detect::SKIPLIST_MAGIC;
use coroner_formats::container::skiplist::{Db, Options, WriteError, write};
use coroner_formats::container::{Confidence, CyrusOutcome, Database, Depth, Ending, KeyOrder, Record};
use coroner_formats::finding::{Finding, Severity};

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn is_skiplist(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "db")
        && fs::read(path).is_ok_and(|bytes| bytes.starts_with(SKIPLIST_MAGIC))
}

fn damaged(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "damaged" || part.as_os_str() == "regressions")
}

/// Every skiplist file that a release left behind whole.
fn healthy_files() -> Vec<PathBuf> {
    common::files("", |path| is_skiplist(path) && !damaged(path))
}

/// The folder of every damaged skiplist file: below the corpus folder, and with it.
fn damaged_cases() -> Vec<(String, PathBuf)> {
    let files =
        common::files("", |path| path.ends_with("before.db") && path.to_string_lossy().contains("/damaged/skiplist/"));
    let corpus = common::corpus();
    let name =
        |folder: &Path| folder.strip_prefix(&corpus).unwrap().display().to_string().replace("damaged/skiplist/", "");
    files.iter().map(|path| path.parent().unwrap()).map(|folder| (name(folder), folder.to_owned())).collect()
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    Db::new(bytes).verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

fn order(db: &Db<'_>) -> KeyOrder {
    db.order().best(KeyOrder::Signed)
}

fn live<'a>(db: &Db<'a>, parts: usize) -> Vec<Record<'a>> {
    let view = db.view(order(db), parts);
    let mut records = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            records.push(record);
            true
        });
    }
    records
}

fn state(records: &[Record<'_>]) -> State {
    records.iter().map(|record| (record.key.to_vec(), record.value.to_vec())).collect()
}

fn kept(db: &Db<'_>) -> State {
    db.carve(order(db)).kept.iter().map(|kept| (kept.record.key.to_vec(), kept.record.value.to_vec())).collect()
}

/// What `cyr_dbtool show` printed; lines without a TAB are the rest of a value with a line end in it.
fn shown(path: &Path) -> State {
    let text = fs::read(path).unwrap();
    let split = |line: &[u8]| {
        let tab = line.iter().position(|&byte| byte == b'\t')?;
        Some((line[..tab].to_vec(), line[tab + 1..].to_vec()))
    };
    text.split(|&byte| byte == b'\n').filter_map(split).collect()
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
            assert!(common::dumped(&live(&Db::new(&bytes), parts)) == expected, "{path:?} in {parts} parts");
        }
        compared += 1;
    }
    assert!(compared > 50, "only {compared} files have a show.txt");
}

#[test]
fn orders_are_told_apart() {
    for path in healthy_files() {
        let bytes = fs::read(&path).unwrap();
        let mbox = path.to_string_lossy().contains("/mboxsort/");
        assert_eq!(order(&Db::new(&bytes)) == KeyOrder::Mbox, mbox, "{path:?}");
    }
}

#[test]
fn lookups_find_what_walks_find() {
    for path in healthy_files() {
        let bytes = fs::read(&path).unwrap();
        let db = Db::new(&bytes);
        let view = db.view(order(&db), 1);
        for record in live(&db, 1) {
            assert_eq!(view.get(&record.key).as_ref(), Some(&record), "{path:?}");
            assert_eq!(view.get(&[&record.key[..], b"\x7f"].concat()), None, "{path:?}");
        }
    }
}

#[test]
fn a_healthy_file_is_carved_as_it_is_read() {
    for path in healthy_files() {
        let bytes = fs::read(&path).unwrap();
        let db = Db::new(&bytes);
        let carved = db.carve(order(&db));
        assert!(carved.lost.is_empty() && carved.uncommitted.is_empty(), "{path:?}");
        assert!(carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified), "{path:?}");
        assert_eq!(carved.kept.into_iter().map(|kept| kept.record).collect::<Vec<_>>(), live(&db, 1), "{path:?}");
    }
}

#[test]
fn logs_lead_to_the_live_records() {
    let mut longest = 0;
    for path in healthy_files() {
        let bytes = fs::read(&path).unwrap();
        let db = Db::new(&bytes);
        let order = order(&db);
        let count = db.log(order).inspect(|t| assert_eq!(t.ending, Ending::Committed, "{path:?}")).count() as u64;
        assert_eq!(db.transactions(), Some(count), "{path:?}");
        assert_eq!(db.at(count, order), Some(live(&db, 1)), "{path:?}");
        assert_eq!(db.at(count + 1, order), None, "{path:?}");
        longest = longest.max(count);
    }
    assert!(longest > 100, "no file with a long log");
}

#[test]
fn cyrus_leaves_a_healthy_file_as_it_is() {
    for path in healthy_files() {
        let bytes = fs::read(&path).unwrap();
        let db = Db::new(&bytes);
        assert_eq!(db.as_cyrus(order(&db)), CyrusOutcome::Opens(live(&db, 1)), "{path:?}");
    }
}

/// Files of the damaged folders that show no damage, and why.
const UNSEEN: [(&str, &str); 3] = [
    ("cyrus-3.6.1/aborted", "an abort takes back all it wrote"),
    ("cyrus-3.6.1/bad-logstart", "the field that was changed is listsize, which says nothing in a file with a log"),
    ("cyrus-3.6.1/bitflip-value", "nothing in a skiplist guards the bytes of a value"),
];

#[test]
fn every_damage_is_found() {
    for (name, folder) in damaged_cases() {
        let found = findings(&fs::read(folder.join("before.db")).unwrap());
        if UNSEEN.iter().any(|(unseen, _)| *unseen == name) {
            assert_eq!(found, [], "{name}");
        } else if name.ends_with("/recovery-due") {
            assert_eq!(found.iter().map(|f| f.rule.name).collect::<Vec<_>>(), ["recovery-due"], "{name}");
        } else {
            assert!(found.iter().any(|f| f.severity() == Severity::Error), "{name}: {found:?}");
        }
    }
}

/// The rule that names what was done to the file.
const EXPECTED: [(&str, &str); 22] = [
    ("/bad-magic", "magic"),
    ("/bad-type", "garbage"),
    ("/bitflip-before-key", "garbage"),
    ("/bitflip-key", "key-order"),
    ("/committed-then-killed", "uncommitted"),
    ("/dbtool-damage", "uncommitted"),
    ("/empty", "empty-file"),
    ("/garbage-tail", "garbage"),
    ("/header-version", "version"),
    ("/killed-in-transaction", "uncommitted"),
    ("/master-killed-in-transaction", "uncommitted"),
    ("/master-truncated-tail", "torn-record"),
    ("/no-final-commit", "uncommitted"),
    ("/recovery-due", "recovery-due"),
    ("/truncated-short-header", "header-cut"),
    ("/truncated-tail", "torn-record"),
    ("/truncated-to-header", "dummy-node"),
    ("/zero-middle", "zeros-inside"),
    ("/zero-tail", "zero-tail"),
    ("cyrus-2.2.13/bad-logstart", "logstart"),
    ("cyrus-2.3.19/hole", "zeros-inside"),
    ("cyrus-3.6.1/hole", "unterminated-record"),
];

#[test]
fn every_damage_is_named() {
    for (case, rule) in EXPECTED {
        let cases: Vec<_> = damaged_cases().into_iter().filter(|(name, _)| name.ends_with(case)).collect();
        assert!(!cases.is_empty(), "no {case}");
        for (name, folder) in cases {
            let found = findings(&fs::read(folder.join("before.db")).unwrap());
            assert!(found.iter().any(|f| f.rule.name == rule), "{name}: no {rule} in {found:?}");
        }
    }
}

/// Keys that Cyrus shows of a damaged file with a value that carving does not keep, and why.
const NOT_KEPT: [(&str, &[&str], &str); 11] = [
    ("/killed-in-transaction", &["user.ivan", "user.ivan.k0", "user.ivan.k1", "user.ivan.k2"], "never committed"),
    ("/killed-in-transaction", &["Nuser\u{1f}killed0", "Nuser\u{1f}killed1", "Nuser\u{1f}killed2"], "never committed"),
    ("/killed-in-transaction", &["Nuser\u{1f}anna"], "the new value was never committed"),
    ("/master-killed-in-transaction", &["Nuser\u{1f}killed0", "Nuser\u{1f}killed1", "Nuser\u{1f}killed2"], "the same"),
    ("/master-killed-in-transaction", &["Nuser\u{1f}anna"], "the new value was never committed"),
    ("/committed-then-killed", &["Nuser\u{1f}second"], "never committed"),
    ("/dbtool-damage", &["INVALID"], "never committed"),
    ("/no-final-commit", &["user.ivan.tx3"], "the new value's COMMIT is cut off"),
    ("/truncated-tail", &["user.ivan.tx3"], "the new value's transaction is cut off"),
    (
        "/master-truncated-tail",
        &["Nshared\u{1f}news"],
        "a torn value, which Cyrus fills with zeros from behind the end",
    ),
    ("cyrus-3.6.1/", STALE_IN_CYRUS, "old values: Cyrus cut the log off in front of the damage"),
];
const STALE_IN_CYRUS: &[&str] =
    &["I0ziyx5f6pt0wbcv2s7wq067y", "Iynhs4yu7icia0ceydagyshh4", "Nuser\u{1f}dora", "Nuser\u{1f}dora\u{1f}Sent"];

#[test]
fn carving_keeps_all_that_cyrus_reads() {
    for (name, folder) in damaged_cases() {
        let bytes = fs::read(folder.join("before.db")).unwrap();
        let kept = kept(&Db::new(&bytes));
        for (key, value) in shown(&folder.join("show.txt")) {
            let key = String::from_utf8_lossy(&key);
            let excused = NOT_KEPT.iter().any(|(case, keys, _)| {
                let fits = if case.starts_with('/') { name.ends_with(case) } else { name.starts_with(case) };
                fits && keys.contains(&key.as_ref())
            });
            assert!(excused || kept.get(key.as_bytes()) == Some(&value), "{name}: {key:?}");
        }
    }
}

/// Nothing but what the undamaged file held, at some time since its last checkpoint.
#[test]
fn carving_invents_nothing() {
    let original = fs::read(common::corpus().join("cyrus-3.6.1/murder-skiplist/be1.skiplist.db")).unwrap();
    let db = Db::new(&original);
    let ever: Vec<State> =
        (0..=db.transactions().unwrap()).map(|n| state(&db.at(n, KeyOrder::Signed).unwrap())).collect();
    let cases =
        ["hole", "bad-type", "bitflip-before-key", "truncated-60", "truncated-tail", "garbage-tail", "lost-last-page"];
    for case in cases {
        let bytes = fs::read(common::corpus().join(format!("cyrus-3.6.1/damaged/skiplist/{case}/before.db"))).unwrap();
        let db = Db::new(&bytes);
        for kept in db.carve(KeyOrder::Signed).kept {
            let (key, value) = (&kept.record.key[..], &kept.record.value[..]);
            assert!(ever.iter().any(|state| state.get(key).is_some_and(|v| v == value)), "{case}: {:?}", kept.record);
            let last = ever.last().unwrap().get(key);
            let stale = last.is_none_or(|last| last != value);
            assert!(!stale || kept.confidence == Confidence::MaybeStale, "{case}: {kept:?}");
        }
    }
}

/// Behind a hole in the middle of its log Cyrus loses 64 of 142 records, carving none but those inside it.
#[test]
fn carving_reads_past_a_hole() {
    for (case, expected) in [("hole", 138), ("bad-type", 141), ("bitflip-before-key", 141), ("bad-magic", 142)] {
        let bytes = fs::read(common::corpus().join(format!("cyrus-3.6.1/damaged/skiplist/{case}/before.db"))).unwrap();
        assert_eq!(kept(&Db::new(&bytes)).len(), expected, "{case}");
    }
}

/// What 3.6.1 left of the damaged files that it recovered.
#[test]
fn cyrus_leaves_what_it_left() {
    let mut compared = 0;
    for (name, folder) in damaged_cases().into_iter().filter(|(name, _)| name.starts_with("cyrus-3.6.1/")) {
        let bytes = fs::read(folder.join("before.db")).unwrap();
        let db = Db::new(&bytes);
        let outcome = db.as_cyrus(order(&db));
        if let Ok(after) = fs::read(folder.join("after-show.db")) {
            let CyrusOutcome::Opens(records) = outcome else { panic!("{name}: {outcome:?}") };
            let after = Db::new(&after);
            assert_eq!(common::dumped(&records), common::dumped(&live(&after, 1)), "{name}");
            compared += 1;
        } else if let Ok(lost) = fs::read_to_string(folder.join("write-lost.txt")) {
            let CyrusOutcome::Opens(records) = outcome else { panic!("{name}: {outcome:?}") };
            let left = state(&records);
            for key in shown(&folder.join("show.txt")).keys() {
                let is_lost = lost.lines().any(|lost| lost.as_bytes() == key);
                assert_eq!(left.contains_key(key), !is_lost, "{name}: {}", key.escape_ascii());
            }
            compared += 1;
        } else if name.ends_with("/zero-tail") {
            assert!(matches!(outcome, CyrusOutcome::Dies(_)), "{name}: {outcome:?}");
        } else if fs::read(folder.join("show.txt")).unwrap().is_empty() {
            assert!(matches!(outcome, CyrusOutcome::Refuses(_)), "{name}: {outcome:?}");
        }
    }
    assert!(compared >= 16, "only {compared} compared");
}

#[test]
fn tiles_cover_every_file() {
    for path in common::files("", is_skiplist) {
        let bytes = fs::read(&path).unwrap();
        common::assert_tiled(&Db::new(&bytes), bytes.len());
    }
}

/// Every door keeps its promises for small files cut at every byte and with every byte overwritten.
#[test]
fn every_door_withstands_every_damage() {
    let doors: Vec<_> = fuzz::TARGETS.iter().filter(|(name, _)| name.starts_with("skiplist_")).collect();
    assert!(doors.len() >= 6);
    let legacy = fs::read(common::corpus().join("cyrus-3.6.1/legacy/text-2.x.skiplist.db")).unwrap();
    for bytes in [sample::Sample::with_log().bytes, sample::Sample::packed().bytes, legacy] {
        common::maul(&bytes, |mauled| {
            for (_, door) in &doors {
                door(mauled);
            }
        });
    }
}

/// A length that changed so that one record takes in those behind it, down to the pointers of the last, and ends well.
#[test]
fn records_inside_others_are_read_as_records() {
    let sound = sample::Sample::packed();
    let [b, d, f] = ["b", "d", "f"].map(|key| sound.find(sample::INORDER, key));
    for last in [d, f] {
        let mut swallowing = sound.clone();
        swallowing.set(b + 12, (sound.pointer(last, 0) - (b + 16)) as u32);
        let found = findings(&swallowing.bytes);
        assert!(found.iter().any(|f| f.rule.name == "record-length" && f.span.start == b as u64), "{found:?}");
        let kept = kept(&Db::new(&swallowing.bytes));
        let keys: Vec<&[u8]> = kept.keys().map(Vec::as_slice).collect();
        assert_eq!(keys, [b"a", b"c", b"d", b"e", b"f"]);
    }
}

/// The order of the keys is still known where the list breaks off at its first pointer.
#[test]
fn a_broken_list_still_tells_its_order() {
    let path = common::corpus().join("cyrus-3.4.9/mboxsort/all.skiplist.db");
    let mut bytes = fs::read(path).unwrap();
    assert_eq!(order(&Db::new(&bytes)), KeyOrder::Mbox);
    bytes[60..140].fill(0x7C);
    assert_eq!(order(&Db::new(&bytes)), KeyOrder::Mbox);
}

fn written(records: &State, order: KeyOrder) -> Vec<u8> {
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_by(|a, b| order.compare(a.0, b.0));
    let mut out = Cursor::new(Vec::new());
    let written = write(&mut out, sorted, Options { order, last_recovery: 1 }).unwrap();
    assert_eq!((written.records, written.len), (records.len() as u64, out.get_ref().len() as u64));
    out.into_inner()
}

#[test]
fn written_files_are_sound_and_read_back() {
    for order in KeyOrder::ALL {
        for count in [0_usize, 1, 2, 3, 7, 64, 1000] {
            let key = |i: usize| format!("user.{i}{}", ["", ".a", " b", "é", "\t"][i % 5]).into_bytes();
            let records: State = (0..count).map(|i| (key(i), vec![b'v'; i % 9])).collect();
            let bytes = written(&records, order);
            assert_eq!(findings(&bytes), [], "{count} records in {order} order");
            let db = Db::new(&bytes);
            assert_eq!(state(&live(&db, 3)), records);
            assert!(db.order().fits(order));
            assert_eq!(bytes, written(&records, order), "the same records, other bytes");
        }
    }
}

/// More than one piece of the writer's buffer: pointers lead over what has been written already.
#[test]
fn large_files_are_linked_across_pieces() {
    let records: State = (0..3000).map(|i| (format!("key{i:06}").into_bytes(), vec![b'v'; 5000])).collect();
    let bytes = written(&records, KeyOrder::Unsigned);
    assert!(bytes.len() > 12 << 20);
    assert_eq!(findings(&bytes), []);
    assert_eq!(state(&live(&Db::new(&bytes), 4)), records);
}

#[test]
fn the_writer_refuses_what_it_must() {
    let options = Options { order: KeyOrder::Signed, last_recovery: 1 };
    let attempt = |records: &[(&str, &str)]| write(Cursor::new(Vec::new()), records.iter().copied(), options);
    assert!(matches!(attempt(&[("", "x")]), Err(WriteError::EmptyKey(1))));
    assert!(matches!(attempt(&[("b", ""), ("a", "")]), Err(WriteError::Order { index: 2, .. })));
    assert!(matches!(attempt(&[("a", ""), ("a", "")]), Err(WriteError::Order { index: 2, .. })));
    assert!(matches!(attempt(&[("a", ""), ("é", "")]), Err(WriteError::Order { index: 2, .. })));
}

/// Counts bytes and forgets them.
struct Void(u64);

impl std::io::Write for Void {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Seek for Void {
    fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
        Ok(self.0)
    }
}

#[test]
fn the_writer_stops_in_front_of_4_gib() {
    let value = vec![0_u8; 1 << 26];
    let records = (0_u64..65).map(|i| (i.to_be_bytes(), &value));
    let result = write(Void(0), records, Options { order: KeyOrder::Signed, last_recovery: 1 });
    assert!(matches!(result, Err(WriteError::TooLarge(64))), "{result:?}");
}

#[test]
fn a_record_that_swallows_its_neighbours_is_no_sound_one() {
    let path = common::corpus().join("cyrus-2.4.22/damaged/skiplist/no-final-commit/after-show.db");
    let mut bytes = fs::read(path).expect("a recovered file: records in key order, no log");
    // The value of user.ivan.moving2 then ends with the record two further on, and every pointer still fits.
    assert_eq!(bytes[0x68C..0x690], 0x2D_u32.to_be_bytes());
    bytes[0x68F] = !0x2D;
    let findings = findings(&bytes);
    assert!(findings.iter().any(|f| f.severity() == Severity::Error && f.span.contains(0x68F)), "{findings:?}");
}
