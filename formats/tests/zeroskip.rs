//! zeroskip directories: what Cyrus 3.10.3 itself says of them, packed and closed files by the document, and every rule.

mod common;
#[path = "common/documented.rs"]
mod documented;

use std::fs;
use std::path::Path;

use coroner_formats::container::zeroskip::{Db, gather, rules};
use coroner_formats::container::{Change, Confidence, Database, Depth, Ending, KeyOrder};
use coroner_formats::finding::Finding;
use coroner_formats::image::Parts;

use common::{dumped, records};

/// The files of a directory.
type Files = Vec<(String, Vec<u8>)>;

const GENUINE: [&str; 5] = ["all", "mup.twoskip-to-zeroskip", "ops", "repacked", "repacked-ops"];

fn folder(name: &str) -> std::path::PathBuf {
    common::corpus().join(format!("cyrus-3.10.3/zeroskip/{name}.db"))
}

fn read(folder: &Path) -> Files {
    let items = fs::read_dir(folder).expect("a folder of the corpus").map(|item| item.expect("an item").path());
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).expect("a plain name").to_owned();
    items.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect()
}

fn parts(files: &Files) -> Parts<'_> {
    gather(files.iter().map(|(name, bytes)| (name.clone(), bytes.as_slice())).collect())
}

fn findings(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    Db::new(parts(files)).verify(Depth::Full, &mut |finding| findings.push(finding));
    findings
}

#[test]
fn show_equals_that_of_cyrus() {
    for name in GENUINE {
        let files = read(&folder(name));
        let shown = fs::read(folder(name).with_extension("show.txt")).expect("what Cyrus shows");
        for split in [1, 2, 7] {
            assert!(dumped(&records(&Db::new(parts(&files)), split)) == shown, "{name}");
        }
        assert_eq!(findings(&files), [], "{name}");
    }
}

#[test]
fn a_data_file_alone_is_read_too() {
    let files = read(&folder("ops"));
    let data = files.iter().find(|(name, _)| name != ".zsdb").expect("a data file");
    let db = Db::new(Parts::one(&data.1));
    assert!(dumped(&records(&db, 1)) == fs::read(folder("ops").with_extension("show.txt")).expect("what Cyrus shows"));
    let mut found = 0;
    db.verify(Depth::Full, &mut |_| found += 1);
    assert_eq!(found, 0);
}

#[test]
fn the_log_leads_from_one_genuine_file_to_the_next() {
    let (before, after) = (read(&folder("all")), read(&folder("ops")));
    let (before, after) = (Db::new(parts(&before)), Db::new(parts(&after)));
    let first = before.transactions().expect("a number");
    assert!(first > 0);
    let state = |db: &Db<'_>, n| dumped(&db.at(n, KeyOrder::Unsigned).expect("a state"));
    assert!(state(&before, first) == dumped(&records(&before, 1)));
    assert!(
        state(&after, first) == dumped(&records(&before, 1)),
        "the first transactions are those of the file before"
    );
    let last = after.transactions().expect("a number");
    assert!(state(&after, last) == dumped(&records(&after, 1)));
    assert_eq!(after.at(last + 1, KeyOrder::Unsigned), None);
    let log: Vec<_> = after.log(KeyOrder::Unsigned).collect();
    assert_eq!(log.len() as u64, last);
    assert!(log.iter().all(|transaction| transaction.ending == Ending::Committed));
    let late = log.iter().filter(|transaction| transaction.number > first).flat_map(|transaction| &transaction.changes);
    let count = |kind: fn(&Change<'_>) -> bool| late.clone().filter(|change| kind(change)).count();
    assert_eq!(count(|change| matches!(change, Change::Delete { old: Some(_), .. })), 2);
    assert_eq!(count(|change| !matches!(change, Change::Delete { .. })), 9);
}

#[test]
fn carving_a_sound_directory_keeps_what_is_shown() {
    for name in GENUINE {
        let files = read(&folder(name));
        let db = Db::new(parts(&files));
        let carved = db.carve(KeyOrder::Unsigned);
        assert!(carved.lost.is_empty() && carved.uncommitted.is_empty());
        assert!(carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified), "{name}");
        assert!(
            dumped(&carved.kept.into_iter().map(|kept| kept.record).collect::<Vec<_>>()) == dumped(&records(&db, 1))
        );
    }
}

/// The directory of the document's worked example, byte by byte.
#[test]
fn the_worked_example_is_read() {
    let hex = |text: &str| -> Vec<u8> {
        let digits: Vec<char> = text.split_whitespace().collect::<String>().chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex");
        digits.chunks(2).map(byte).collect()
    };
    let data = hex("50494b53 4f52455a 00000001 53e8bca4 77c84a1f b8a9acbe 503ae8dd 00000000
        00000000 68eed886 01000800 00000020 00000000 00000000 00000000 00000000
        75736572 2e626f62 02000002 00000000 00000000 00000000 76310000 00000000
        04000038 bce09e59 40000800 00000000 00000000 00000000 00000000 00000000
        75736572 2e626f62 04000020 a048dfea");
    let dot = hex("50494b53 4f52455a 00000000 00000090 35336538 62636134 2d373763 382d3461
        31662d62 3861392d 61636265 35303361 65386464 00000000 0063c9f8 41");
    let files = vec![(".zsdb".to_owned(), dot), ("zeroskip-53e8bca4-77c8-4a1f-b8a9-acbe503ae8dd-0".to_owned(), data)];
    assert_eq!(findings(&files), []);
    let db = Db::new(parts(&files));
    assert_eq!(records(&db, 1), []);
    assert_eq!(dumped(&db.at(1, KeyOrder::Unsigned).expect("a state")), b"user.bob\tv1\n");
}

const UUID: &str = "53e8bca4-77c8-4a1f-b8a9-acbe503ae8dd";

fn header(start: u32, end: u32) -> Vec<u8> {
    let uuid: Vec<u8> = UUID
        .replace('-', "")
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect();
    let signature = 0x5A45_524F_534B_4950u64.to_le_bytes();
    let sum = [&signature[..], &1u32.to_le_bytes(), &uuid, &start.to_le_bytes(), &end.to_le_bytes()].concat();
    let rest = [start, end, crc32c::crc32c(&sum)].map(u32::to_be_bytes).concat();
    [&signature[..], &1u32.to_be_bytes(), &uuid, &rest].concat()
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn add(key: &str, value: &str) -> Vec<u8> {
    let value_at = 24 + padded(key.as_bytes()).len() as u64;
    let head = 1u64 << 56 | (key.len() as u64) << 40 | value_at;
    let value_head = 2u64 << 56 | (value.len() as u64) << 32;
    let heads = |words: &[u64]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    [heads(&[head, 0, 0]), padded(key.as_bytes()), heads(&[value_head, 0]), padded(value.as_bytes())].concat()
}

fn delete(key: &str) -> Vec<u8> {
    let head = 64u64 << 56 | (key.len() as u64) << 40;
    [[head, 0, 0].map(u64::to_be_bytes).concat(), padded(key.as_bytes())].concat()
}

/// A commit over the last `len` bytes; of the long form if asked.
fn commit(bytes: &mut Vec<u8>, len: usize, kind: u64, long: bool) {
    let data = bytes[bytes.len() - len..].to_vec();
    let words = match long {
        false => vec![kind << 56 | (len as u64) << 32],
        true => vec![(kind | 32) << 56, len as u64, 8 << 56],
    };
    let summed: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let crc = u64::from(crc32c::crc32c(&[data, summed].concat()));
    let last = words.len() - 1;
    for (n, word) in words.into_iter().enumerate() {
        bytes.extend((word | if n == last { crc } else { 0 }).to_be_bytes());
    }
}

fn log(index: u32, transactions: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header(index, index);
    for transaction in transactions {
        bytes.extend(transaction);
        commit(&mut bytes, transaction.len(), 4, false);
    }
    bytes
}

fn packed(start: u32, end: u32, records: &[Vec<u8>], long: bool) -> Vec<u8> {
    let mut bytes = header(start, end);
    let mut index = vec![records.len() as u64];
    for record in records {
        index.push(bytes.len() as u64);
        bytes.extend(record);
    }
    let len = bytes.len() - 40;
    commit(&mut bytes, len, 4, long);
    index.iter().for_each(|word| bytes.extend(word.to_be_bytes()));
    commit(&mut bytes, index.len() * 8, 16, long);
    bytes
}

fn dot(index: u32, offset: u64) -> Vec<u8> {
    let signature = 0x5A45_524F_534B_4950u64.to_le_bytes();
    let text = [UUID.as_bytes(), b"\0"].concat();
    let sum = [&signature[..], &offset.to_le_bytes(), &text, &index.to_le_bytes()].concat();
    [&signature[..], &offset.to_be_bytes(), &text, &index.to_be_bytes(), &crc32c::crc32c(&sum).to_be_bytes()].concat()
}

fn name(suffix: &str) -> String {
    format!("zeroskip-{UUID}-{suffix}")
}

/// A packed file of indexes 0 and 1, a closed one of index 2, and an active one of index 10.
fn several(long: bool) -> Files {
    let pack = packed(0, 1, &[add("a", "packed"), add("b", "packed"), delete("c"), add("d", "packed")], long);
    let closed = log(2, &[[add("b", "closed"), delete("a")].concat(), add("e", "closed")]);
    let middle = log(3, &[add("f", "three")]);
    let active = log(4, &[add("a", "active"), add("user.long", &"x".repeat(300))]);
    vec![
        (name("4"), active),
        (name("3-3"), middle),
        (name("2-2"), closed),
        (name("0-1"), pack),
        (".zsdb".into(), dot(4, 40)),
    ]
}

#[test]
fn later_files_override_earlier_ones() {
    for long in [false, true] {
        let files = several(long);
        assert_eq!(findings(&files), []);
        let db = Db::new(parts(&files));
        let long_value = "x".repeat(300);
        let expected = format!("a\tactive\nb\tclosed\nd\tpacked\ne\tclosed\nf\tthree\nuser.long\t{long_value}\n");
        assert_eq!(String::from_utf8(dumped(&records(&db, 2))).expect("text"), expected);
        assert_eq!(dumped(&db.at(0, KeyOrder::Unsigned).expect("a state")), b"a\tpacked\nb\tpacked\nd\tpacked\n");
        assert_eq!(db.transactions(), Some(5));
        let view = db.view(KeyOrder::Unsigned, 1);
        assert_eq!(view.get(b"b").map(|record| record.value.into_owned()), Some(b"closed".to_vec()));
        assert_eq!(view.get(b"c"), None);
        assert!(db.order().fits(KeyOrder::Unsigned));
    }
}

#[test]
fn every_file_is_covered_by_tiles() {
    let mut all: Vec<Files> = GENUINE.iter().map(|name| read(&folder(name))).collect();
    all.push(several(false));
    all.push(vec![(name("0"), log(0, &[add("a", "1")])), ("x.lock".into(), b"12".to_vec())]);
    for files in all {
        let parts = parts(&files);
        let db = Db::new(parts.clone());
        let mut at = 0;
        for tile in db.tiles() {
            assert!(tile.span.start == at && tile.span.end > at, "{tile:?} behind {at}");
            assert!(tile.kind.is_sound() && parts.span(tile.span).is_some(), "{tile:?}");
            at = tile.span.end;
        }
        assert_eq!(at, parts.len());
    }
}

/// Every byte of every file overwritten, and every file cut off at every byte: the doors stand it, and tiles that show damage
/// come with a finding.
#[test]
fn damage_anywhere_is_withstood() {
    let check = |files: &Files| {
        let parts = parts(files);
        let db = Db::new(parts.clone());
        let mut at = 0;
        let mut sound = true;
        for tile in db.tiles() {
            assert!(tile.span.start == at && tile.span.end > at);
            at = tile.span.end;
            sound &= tile.kind.is_sound();
        }
        assert_eq!(at, parts.len());
        let mut found = 0;
        db.verify(Depth::Full, &mut |finding| {
            assert!(finding.span.end <= parts.len());
            found += 1;
        });
        assert!(sound || found > 0, "{:?}", db.tiles().filter(|tile| !tile.kind.is_sound()).collect::<Vec<_>>());
        let live = records(&db, 3);
        let kept = db.carve(KeyOrder::Unsigned).kept;
        assert!(kept.len() >= live.len());
        assert_eq!(
            db.log(KeyOrder::Unsigned).count() as u64,
            db.log(KeyOrder::Unsigned).last().map_or(0, |t| t.number)
        );
        drop((db.facts(), db.order(), db.at(1, KeyOrder::Mbox)));
    };
    let mut small = read(&folder("mup.twoskip-to-zeroskip"));
    small.iter_mut().for_each(|(_, bytes)| bytes.truncate(1200));
    for files in [several(false), several(true), small] {
        for n in 0..files.len() {
            for offset in 0..files[n].1.len() {
                let mut damaged = files.clone();
                damaged[n].1[offset] ^= [0xFF, 0x01, 0x80, 0x20][offset % 4];
                check(&damaged);
                damaged[n].1.truncate(offset);
                check(&damaged);
            }
        }
    }
}

/// Damages the files, and asks verify to name it.
fn names(code: &str, damage: impl FnOnce(&mut Files)) {
    let mut files = several(false);
    files.sort();
    assert_eq!(findings(&files), []);
    damage(&mut files);
    let found = findings(&files);
    assert!(found.iter().any(|finding| finding.rule.code == code), "no {code}: {found:#?}");
}

/// Places of the files in [`names`].
const DOT: usize = 0;
const PACK: usize = 1;
const CLOSED: usize = 2;
const ACTIVE: usize = 4;

fn put(files: &mut Files, file: usize, at: usize, new: &[u8]) {
    files[file].1[at..at + new.len()].copy_from_slice(new);
}

#[test]
fn damaged_signature_is_named() {
    names("ZERO-1", |files| put(files, CLOSED, 0, b"Q"));
}

#[test]
fn cut_header_is_named() {
    names("ZERO-2", |files| files[CLOSED].1.truncate(39));
}

#[test]
fn unknown_version_is_named() {
    names("ZERO-3", |files| put(files, CLOSED, 11, &[2]));
}

#[test]
fn wrong_sum_of_a_header_is_named() {
    names("ZERO-4", |files| put(files, CLOSED, 36, &[0x55]));
}

#[test]
fn sums_of_another_host_are_named() {
    names("ZERO-5", |files| {
        let header = &files[CLOSED].1;
        let uuid = header[12..28].to_vec();
        let signature = 0x5A45_524F_534B_4950u64.to_be_bytes();
        let numbers = [&signature[..], &1u32.to_be_bytes(), &uuid, &2u32.to_be_bytes(), &2u32.to_be_bytes()].concat();
        put(files, CLOSED, 36, &crc32c::crc32c(&numbers).to_be_bytes());
    });
}

#[test]
fn files_of_another_database_are_named() {
    names("ZERO-6", |files| put(files, CLOSED, 12, &[0x55]));
    names("ZERO-6", |files| files[CLOSED].0 = files[CLOSED].0.replace("53e8", "63e8"));
}

#[test]
fn indexes_that_differ_from_the_name_are_named() {
    names("ZERO-7", |files| put(files, CLOSED, 31, &[7]));
}

#[test]
fn missing_zsdb_is_named() {
    names("ZERO-8", |files| {
        files.remove(DOT);
    });
}

#[test]
fn damaged_zsdb_is_named() {
    names("ZERO-9", |files| put(files, DOT, 60, &[0x55]));
    names("ZERO-9", |files| files[DOT].1.truncate(60));
}

#[test]
fn zsdb_with_another_active_file_is_named() {
    names("ZERO-10", |files| files[DOT].1 = dot(5, 40));
}

#[test]
fn active_file_that_lost_its_end_is_named() {
    names("ZERO-11", |files| files[DOT].1 = dot(4, 4000));
}

#[test]
fn none_or_two_active_files_are_named() {
    names("ZERO-12", |files| {
        files.remove(ACTIVE);
    });
    names("ZERO-12", |files| files.push((name("5"), log(5, &[]))));
}

#[test]
fn missing_file_is_named() {
    names("ZERO-13", |files| {
        files.remove(CLOSED);
    });
}

#[test]
fn packing_cut_short_is_named_and_the_right_file_is_read() {
    let source = || (name("0-0"), log(0, &[add("a", "source"), add("z", "source")]));
    names("ZERO-14", |files| files.push(source()));
    let mut files = several(false);
    files.push(source());
    assert!(!dumped(&records(&Db::new(parts(&files)), 1)).starts_with(b"z\tsource"));
    // The pack is not finished: its sources are read.
    let pack = files.iter().position(|(name, _)| name.ends_with("-0-1")).expect("the pack");
    let len = files[pack].1.len();
    files[pack].1.truncate(len - 8);
    assert!(findings(&files).iter().any(|finding| finding.rule.code == "ZERO-14"));
    assert!(dumped(&records(&Db::new(parts(&files)), 1)).ends_with(b"z\tsource\n"));
}

#[test]
fn torn_record_is_named() {
    names("ZERO-15", |files| {
        let len = files[ACTIVE].1.len();
        files[ACTIVE].1.truncate(len - 20);
    });
}

#[test]
fn garbage_is_named_and_passed() {
    names("ZERO-16", |files| put(files, CLOSED, 40, &[0x77]));
    let mut files = several(false);
    files.sort();
    put(&mut files, CLOSED, 40, &[0x77]);
    let db = Db::new(parts(&files));
    let carved = db.carve(KeyOrder::Unsigned);
    assert_eq!(carved.lost.len(), 1);
    let of = |key: &[u8]| carved.kept.iter().find(|kept| &*kept.record.key == key).map(|kept| kept.confidence);
    assert_eq!(of(b"b"), Some(Confidence::MaybeStale), "a newer version was lost");
    assert_eq!(of(b"e"), Some(Confidence::Verified));
}

#[test]
fn zeros_are_named() {
    names("ZERO-17", |files| files[ACTIVE].1.extend([0; 64]));
    names("ZERO-17", |files| put(files, CLOSED, 40, &[0; 24]));
}

#[test]
fn wrong_place_of_a_value_is_named() {
    names("ZERO-18", |files| put(files, CLOSED, 47, &[0x28]));
}

#[test]
fn filling_that_is_not_zero_is_named() {
    names("ZERO-19", |files| put(files, CLOSED, 40 + 24 + 7, &[1]));
}

#[test]
fn commit_over_half_a_record_is_named() {
    names("ZERO-20", |files| {
        let mut bytes = header(4, 4);
        bytes.extend(add("a", "1"));
        commit(&mut bytes, 16, 4, false);
        files[ACTIVE].1 = bytes;
    });
    names("ZERO-20", |files| put(files, ACTIVE, 40 + 56 + 2, &[0xFF]));
}

#[test]
fn a_commit_over_the_last_deletion_only_is_sound() {
    let mut files = several(false);
    files.sort();
    let mut bytes = header(4, 4);
    bytes.extend([delete("a"), delete("b")].concat());
    commit(&mut bytes, delete("b").len(), 4, false);
    files[ACTIVE].1 = bytes;
    assert_eq!(findings(&files), []);
    assert!(dumped(&records(&Db::new(parts(&files)), 1)).starts_with(b"d\t"));
}

#[test]
fn wrong_sum_of_a_commit_is_named() {
    names("ZERO-21", |files| put(files, CLOSED, 40 + 24, b"B"));
}

#[test]
fn unfinished_transaction_is_named_and_not_shown() {
    names("ZERO-22", |files| files[ACTIVE].1.extend(add("never", "committed")));
    let mut files = several(false);
    files.sort();
    files[ACTIVE].1.extend(add("never", "committed"));
    let db = Db::new(parts(&files));
    assert!(records(&db, 1).iter().all(|record| &*record.key != b"never"));
    assert_eq!(db.carve(KeyOrder::Unsigned).uncommitted.len(), 1);
    let last = db.log(KeyOrder::Unsigned).last().expect("a transaction");
    assert_eq!((last.ending, last.number), (Ending::Uncommitted, 6));
    assert_eq!(dumped(&db.at(6, KeyOrder::Unsigned).expect("a state")), dumped(&records(&db, 1)));
}

#[test]
fn packed_file_out_of_order_is_named() {
    names("ZERO-23", |files| files[PACK].1 = packed(0, 1, &[add("b", "1"), add("a", "1")], false));
}

#[test]
fn packed_file_without_its_end_is_named() {
    names("ZERO-24", |files| {
        let len = files[PACK].1.len();
        files[PACK].1.truncate(len - 8);
    });
    names("ZERO-24", |files| {
        let len = files[PACK].1.len();
        files[PACK].1[len - 1] ^= 1;
    });
}

#[test]
fn wrong_index_of_a_packed_file_is_named() {
    let index = |files: &mut Files, n: usize, new: u64| {
        let bytes = &mut files[PACK].1;
        let at = bytes.len() - 8 - 40 + 8 * n;
        bytes[at..at + 8].copy_from_slice(&new.to_be_bytes());
    };
    names("ZERO-25", |files| index(files, 0, 3));
    names("ZERO-25", |files| index(files, 2, 40));
}

#[test]
fn lock_file_is_named() {
    names("ZERO-26", |files| files.push((".zsdb.lock".into(), Vec::new())));
}

#[test]
fn the_document_lists_every_rule_with_its_tests() {
    let document = include_str!("../src/container/zeroskip/FORMAT.md");
    documented::assert_documented(document, rules::ALL, include_str!("zeroskip.rs"));
}
