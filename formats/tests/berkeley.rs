//! Berkeley DB files: what Cyrus and Berkeley DB themselves say of them, and every rule.

mod common;
#[path = "common/documented.rs"]
mod documented;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coroner_formats::container::berkeley::{Db, rules};
use coroner_formats::container::{Database, Depth, Format, KeyOrder, detect};
use coroner_formats::finding::{Finding, Severity};
use coroner_formats::image::Parts;

use common::{dumped, records};

fn read(name: &str) -> Vec<u8> {
    fs::read(common::corpus().join(name)).expect(name)
}

fn db(bytes: &[u8]) -> Db<'_> {
    Db::new(Parts::one(bytes))
}

fn databases() -> Vec<(String, Vec<u8>)> {
    let is_berkeley = |path: &Path| path.components().any(|part| part.as_os_str() == "berkeley");
    let wanted = |path: &Path| is_berkeley(path) && path.extension().is_some_and(|extension| extension == "db");
    let files = common::files("", wanted);
    files.iter().map(|path| (path.display().to_string(), fs::read(path).expect("a corpus file"))).collect()
}

fn show(db: &dyn Database<'_>, parts: usize) -> String {
    String::from_utf8(dumped(&records(db, parts))).expect("text")
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    db(bytes).verify(Depth::Full, &mut |finding| findings.push(finding));
    findings
}

#[test]
fn show_equals_that_of_cyrus() {
    let mut compared = 0;
    for (name, bytes) in databases() {
        // Cyrus' own show fails on a moved big-ops, and never ends on mboxsort.
        let shown = fs::read_to_string(name.replace(".db", ".show.txt")).unwrap_or_default();
        if shown.is_empty() || name.contains("mboxsort") {
            continue;
        }
        for parts in [1, 2, 7] {
            assert_eq!(show(&db(&bytes), parts), shown, "{name}");
        }
        compared += 1;
    }
    assert_eq!(compared, 11);
}

/// A record in the terms of a dump up to 2.4: partition with its server, and ACL; without the type.
fn as_dumped(value: &str) -> String {
    let Some(fields) = value.strip_prefix("%(A %(") else {
        return value.split_once(' ').map_or(value, |(_, rest)| rest).to_owned();
    };
    let (acl, rest) = fields.split_once(") ").expect("an ACL");
    let words: Vec<&str> = rest.trim_end_matches(')').split(' ').collect();
    let field = |name| words.chunks(2).find(|pair| pair.first() == Some(&name)).and_then(|pair| pair.get(1));
    let server = field("S").map(|server| format!("{server}!")).unwrap_or_default();
    let mut dumped = format!("{server}{} ", field("P").unwrap_or(&""));
    acl.split(' ').filter(|word| !word.is_empty()).for_each(|word| {
        dumped.push_str(word);
        dumped.push('\t');
    });
    dumped
}

#[test]
fn records_are_those_of_the_dump() {
    let mut compared = 0;
    for (name, bytes) in databases() {
        let Ok(dump) = fs::read_to_string(name.replace(".db", ".dump.txt")) else { continue };
        if name.contains("unflushed") {
            continue;
        }
        let dumped = dump.lines().map(|line| {
            let (key, value) = line.split_once('\t').expect("a line of a dump");
            let typed = value.split_once(' ').is_some_and(|(first, _)| first.bytes().all(|b| b.is_ascii_digit()));
            (key.to_owned(), if typed { as_dumped(value) } else { value.replacen('\t', " ", 1) })
        });
        let dumped: BTreeMap<String, String> = dumped.collect();
        let ours = records(&db(&bytes), 1).into_iter().map(|record| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
            (text(&record.key), as_dumped(&text(&record.value)))
        });
        let ours: BTreeMap<String, String> = ours.collect();
        assert_eq!(ours, dumped, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 17);
}

#[test]
fn genuine_files_have_no_finding_but_the_unflushed() {
    for (name, bytes) in databases() {
        assert_eq!(detect(&bytes).format, Some(Format::Berkeley), "{name}");
        let codes: Vec<_> = findings(&bytes).iter().map(|finding| finding.rule.code).collect();
        let expected: &[&str] = if name.contains("unflushed") { &["BDB-24"] } else { &[] };
        assert_eq!(codes, expected, "{name}: {:?}", findings(&bytes));
    }
}

#[test]
fn orders_are_told_apart() {
    for (name, bytes) in databases() {
        let order = db(&bytes).order();
        let fits = |wanted| order.fits(wanted);
        match () {
            () if name.contains("unflushed") => {}
            () if name.contains("mboxsort") => assert!(fits(KeyOrder::Mbox) && !fits(KeyOrder::Unsigned), "{name}"),
            () if name.contains("hash") => assert!(!KeyOrder::ALL.into_iter().any(fits), "{name}"),
            () => assert!(fits(KeyOrder::Unsigned), "{name}"),
        }
    }
}

#[test]
fn carving_a_sound_file_keeps_what_is_shown() {
    for (name, bytes) in databases() {
        let db = db(&bytes);
        let carved = db.carve(KeyOrder::Unsigned);
        assert!(carved.lost.is_empty(), "{name}");
        let kept: BTreeMap<_, _> = carved.kept.into_iter().map(|k| (k.record.key, k.record.value)).collect();
        let shown: BTreeMap<_, _> = records(&db, 1).into_iter().map(|r| (r.key, r.value)).collect();
        assert_eq!(kept, shown, "{name}");
    }
}

#[test]
fn remains_were_once_written_and_are_gone() {
    let mut found = 0;
    for (name, bytes) in databases() {
        let db = db(&bytes);
        let live: BTreeMap<_, _> = records(&db, 1).into_iter().map(|r| (r.key.clone(), r)).collect();
        db.remains(&mut |record| {
            let key = String::from_utf8_lossy(&record.key).into_owned();
            let named = ["user.", "archive", "DELETED.", "example.com!", "Inbox", "A", "News", "netnews"];
            assert!(named.iter().any(|name| key.starts_with(name)), "{name}: {key}");
            found += usize::from(!live.contains_key(&record.key));
            true
        });
    }
    println!("{found} deleted records");
    assert!(found > 20);
}

#[test]
fn everything_is_read_from_leaves_when_the_tree_is_gone() {
    let bytes = read("cyrus-2.4.22/berkeley/big-ops.btree.db");
    let whole: Vec<_> =
        db(&bytes).carve(KeyOrder::Unsigned).kept.into_iter().map(|k| (k.record.key, k.record.value)).collect();
    assert_eq!(whole.len(), 224);
    let mut damaged = bytes.clone();
    damaged[..8192].fill(0xA5);
    damaged[2 * 4096 + 16..2 * 4096 + 20].fill(0);
    let kept: Vec<_> =
        db(&damaged).carve(KeyOrder::Unsigned).kept.into_iter().map(|k| (k.record.key, k.record.value)).collect();
    assert_eq!(kept, whole);
}

const SMALL: &str = "cyrus-2.4.22/berkeley/all.btree.db";
const LARGE: &str = "cyrus-2.4.22/berkeley/big-ops.btree.db";
const HASH: &str = "cyrus-2.4.22/berkeley/big-ops.hash.db";
const SUMMED: &str = "other/berkeley/summed.btree.db";
const LONG: &str = "other/berkeley/long.btree.db";

/// Damages a genuine file, and asks verify to name it with `code` at `offset`.
fn names(code: &str, file: &str, offset: u64, damage: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = read(file);
    assert!(findings(&bytes).iter().all(|finding| finding.rule.code != code), "{file} has {code} already");
    damage(&mut bytes);
    let found = findings(&bytes);
    assert!(
        found.iter().any(|f| f.rule.code == code && f.span.start == offset),
        "no {code} at {offset:#x}: {found:#?}"
    );
    let other = |finding: &Finding| finding.rule.code == code && finding.rule.severity == Severity::Note;
    assert!(found.iter().any(|f| f.severity() >= Severity::Warning || other(f)));
}

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes.get_mut(at..at + new.len()).expect("an offset of the file").copy_from_slice(new);
}

/// Offset of an item by its place in a page's index.
fn item(bytes: &[u8], page: usize, index: usize) -> usize {
    let at = page * 4096 + 26 + 2 * index;
    page * 4096 + usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[test]
fn damaged_magic_is_named() {
    names("BDB-1", LARGE, 12, |bytes| bytes[12] = 0);
}

#[test]
fn cut_metadata_is_named() {
    names("BDB-2", LARGE, 0, |bytes| bytes.truncate(300));
}

#[test]
fn unknown_version_is_named() {
    names("BDB-3", LARGE, 16, |bytes| bytes[16] = 42);
    names("BDB-3", HASH, 16, |bytes| bytes[16] = 42);
}

#[test]
fn impossible_page_size_is_named_and_inferred() {
    names("BDB-4", LARGE, 20, |bytes| bytes[20] = 1);
    let mut bytes = read(LARGE);
    bytes[20] = 1;
    assert_eq!(records(&db(&bytes), 1).len(), 224);
}

#[test]
fn wrong_type_of_metadata_is_named() {
    names("BDB-5", LARGE, 25, |bytes| bytes[25] = 5);
}

#[test]
fn encryption_is_named() {
    names("BDB-6", LARGE, 24, |bytes| bytes[24] = 1);
}

#[test]
fn torn_page_is_named() {
    names("BDB-7", LARGE, 6 * 4096, |bytes| bytes.truncate(7 * 4096 - 100));
}

#[test]
fn missing_pages_are_named() {
    names("BDB-8", LARGE, 32, |bytes| bytes.truncate(6 * 4096));
}

#[test]
fn wrong_page_number_is_named() {
    names("BDB-9", LARGE, 3 * 4096, |bytes| bytes[3 * 4096 + 8] = 9);
}

#[test]
fn wrong_page_type_is_named() {
    names("BDB-10", LARGE, 3 * 4096, |bytes| bytes[3 * 4096 + 25] = 11);
}

#[test]
fn wrong_sum_is_named() {
    names("BDB-11", SUMMED, 5 * 512, |bytes| bytes[5 * 512 + 500] ^= 1);
    names("BDB-11", SUMMED, 0, |bytes| bytes[200] ^= 1);
}

#[test]
fn items_out_of_place_are_named() {
    names("BDB-12", LARGE, 3 * 4096 + 20, |bytes| put(bytes, 3 * 4096 + 20, &[0xFE, 0xFF]));
    names("BDB-12", LARGE, 3 * 4096 + 4, |bytes| put(bytes, 3 * 4096 + 26, &[4, 0]));
    names("BDB-12", LARGE, 4096 + 20, |bytes| put(bytes, 4096 + 20, &[0, 0]));
    let second = item(&read(LARGE), 3, 1) as u64;
    names("BDB-12", LARGE, second, |bytes| bytes.copy_within(3 * 4096 + 28..3 * 4096 + 30, 3 * 4096 + 30));
}

#[test]
fn unknown_item_type_is_named() {
    let at = item(&read(LARGE), 2, 0);
    names("BDB-13", LARGE, at as u64, |bytes| bytes[at + 2] = 9);
}

#[test]
fn odd_number_of_items_is_named() {
    names("BDB-14", LARGE, 2 * 4096 + 20, |bytes| bytes[2 * 4096 + 20] -= 1);
}

#[test]
fn unreferenced_bytes_are_named() {
    let start = 2 * 4096 + 660 - 8;
    names("BDB-15", LARGE, start, |bytes| put(bytes, 2 * 4096 + 22, &652u16.to_le_bytes()));
}

#[test]
fn broken_overflow_chain_is_named() {
    let bytes = read(LONG);
    let long = (1..9).flat_map(|page| (0..24).map(move |n| (page, n))).find_map(|(page, n)| {
        let base = page * 1024;
        let at = base + usize::from(u16::from_le_bytes([bytes[base + 26 + 2 * n], bytes[base + 27 + 2 * n]]));
        (bytes[base + 25] == 5 && bytes.get(at + 2) == Some(&3)).then_some((at, bytes[at + 4]))
    });
    let (at, first) = long.expect("a long value");
    let key = |bytes: &[u8]| {
        let found = findings(bytes).into_iter().find(|finding| finding.rule.code == "BDB-16");
        found.map(|finding| finding.span)
    };
    for damage in [(usize::from(first) * 1024 + 25, 0), (usize::from(first) * 1024 + 16, 0), (at + 8, 1)] {
        let mut bytes = bytes.clone();
        bytes[damage.0] = damage.1;
        assert!(key(&bytes).is_some(), "{damage:?}: {:?}", findings(&bytes));
    }
    assert_eq!(key(&bytes), None);
}

#[test]
fn broken_tree_is_named() {
    names("BDB-17", LARGE, 88, |bytes| bytes[88] = 99);
    names("BDB-17", LARGE, 3 * 4096, |bytes| bytes[3 * 4096 + 24] = 2);
    let child = item(&read(LARGE), 1, 2) + 4;
    names("BDB-17", LARGE, 2 * 4096, |bytes| bytes[child] = 2);
}

#[test]
fn broken_chain_of_leaves_is_named() {
    names("BDB-18", LARGE, 4 * 4096, |bytes| bytes[3 * 4096 + 16] = 5);
    names("BDB-18", LARGE, 3 * 4096 + 12, |bytes| bytes[3 * 4096 + 12] = 5);
    names("BDB-18", LARGE, 6 * 4096 + 16, |bytes| bytes[6 * 4096 + 16] = 2);
    names("BDB-18", HASH, 4 * 4096 + 16, |bytes| bytes[4 * 4096 + 16] = 9);
}

#[test]
fn unreachable_records_are_named() {
    names("BDB-19", LARGE, 5 * 4096, |bytes| bytes[4 * 4096 + 16] = 0);
    names("BDB-19", HASH, 3 * 4096, |bytes| bytes[4 * 4096 + 16] = 0);
    names("BDB-19", HASH, 9 * 4096, |bytes| bytes[72] = 4);
}

#[test]
fn keys_out_of_order_are_named() {
    let bytes = read(LARGE);
    let (key, value) = (item(&bytes, 3, 20), item(&bytes, 3, 23) as u64);
    names("BDB-20", LARGE, value, |bytes| bytes[key + 3] = b'z');
}

#[test]
fn duplicate_keys_are_named() {
    let bytes = read(LARGE);
    let keys = (0..57).map(|n| item(&bytes, 3, 2 * n));
    let len = |at: usize| usize::from(bytes[at]);
    let pair: Vec<usize> = keys.collect();
    let (a, b) = pair.windows(2).map(|w| (w[0], w[1])).find(|&(a, b)| len(a) == len(b)).expect("keys of one length");
    let value = (0..57).find(|&n| item(&bytes, 3, 2 * n) == b).map(|n| item(&bytes, 3, 2 * n + 1)).expect("its value");
    names("BDB-21", LARGE, value as u64, |bytes| bytes.copy_within(a + 3..a + 3 + len(a), b + 3));
}

#[test]
fn duplicate_keys_of_a_bucket_are_named() {
    let bytes = read(HASH);
    let keys: Vec<usize> = (0..30).map(|n| item(&bytes, 1, 2 * n)).collect();
    let key = |n: usize| {
        let end = if n == 0 { 8192 } else { item(&bytes, 1, 2 * n - 1) };
        keys[n] + 1..end
    };
    let (a, b) = (1..29).map(|n| (key(n), key(n + 1))).find(|(a, b)| a.len() == b.len()).expect("keys of one length");
    // Of two records that share a key, the one that stands later in the file is named.
    let value = (0..30).find(|&n| key(n) == a).map(|n| item(&bytes, 1, 2 * n + 1)).expect("its value");
    names("BDB-21", HASH, value as u64, |bytes| bytes.copy_within(a, b.start));
}

#[test]
fn a_key_in_two_buckets_is_named() {
    let bytes = read(HASH);
    // Pages 1 and 2 are the first two buckets'.
    let keys = |page: usize| {
        let count = usize::from(bytes[page * 4096 + 20]) / 2;
        let bytes = &bytes;
        (0..count).map(move |n| {
            let end = if n == 0 { (page + 1) * 4096 } else { item(bytes, page, 2 * n - 1) };
            (item(bytes, page, 2 * n) + 1..end, item(bytes, page, 2 * n + 1))
        })
    };
    let mut pairs = keys(1).flat_map(|(a, _)| keys(2).map(move |(b, value)| (a.clone(), b, value)));
    let (a, b, value) = pairs.find(|(a, b, _)| a.len() == b.len()).expect("keys of one length");
    names("BDB-21", HASH, value as u64, |bytes| bytes.copy_within(a, b.start));
}

#[test]
fn missing_bucket_is_named() {
    names("BDB-22", HASH, 5 * 4096, |bytes| bytes[5 * 4096 + 25] = 0);
}

#[test]
fn used_page_on_the_free_list_is_named() {
    names("BDB-23", HASH, 5 * 4096, |bytes| bytes[28] = 5);
}

#[test]
fn empty_pages_are_named() {
    names("BDB-24", SMALL, 0, |bytes| bytes[4096 + 20] = 0);
    for version in ["2.2.13", "2.3.19", "2.4.22", "2.5.17"] {
        let bytes = read(&format!("cyrus-{version}/berkeley/unflushed.btree.db"));
        assert!(findings(&bytes).iter().any(|f| f.rule.code == "BDB-24" && f.severity() == Severity::Error));
    }
}

#[test]
fn deleted_items_are_named_and_not_shown() {
    let at = item(&read(LARGE), 2, 1);
    names("BDB-26", LARGE, at as u64, |bytes| bytes[at + 2] |= 0x80);
    let mut bytes = read(LARGE);
    bytes[at + 2] |= 0x80;
    assert_eq!(records(&db(&bytes), 1).len(), 223);
    let mut remains = 0;
    db(&bytes).remains(&mut |record| {
        remains += usize::from(record.span.start == at as u64);
        true
    });
    assert_eq!(remains, 1);
}

/// A database and the log beside it.
fn logged(name: &str) -> (Vec<u8>, Vec<u8>) {
    (read(&format!("{name}.db")), read(&format!("{name}.log.0000000001")))
}

fn with_log<'a>((bytes, log): &'a (Vec<u8>, Vec<u8>)) -> Parts<'a> {
    let mut parts = Parts::one(bytes);
    parts.push("log.0000000001", log);
    parts
}

fn codes(parts: Parts<'_>) -> Vec<&'static str> {
    let mut codes = Vec::new();
    Db::new(parts).verify(Depth::Full, &mut |finding| codes.push(finding.rule.code));
    codes
}

#[test]
fn unflushed_databases_are_read_from_their_log() {
    for version in ["2.2.13", "2.3.19", "2.4.22", "2.5.17"] {
        let folder = format!("cyrus-{version}/berkeley");
        let files = logged(&format!("{folder}/unflushed.btree"));
        let db = Db::new(with_log(&files));
        // The same dump was loaded into another file, which was flushed.
        let shown = String::from_utf8(read(&format!("{folder}/all.btree.show.txt"))).expect("text");
        let without_time =
            |text: &str| text.lines().map(|line| line.split(" M 1").next().map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(without_time(&show(&db, 2)), without_time(&shown), "{version}");
        assert_eq!(codes(with_log(&files)), ["BDB-25"], "{version}");
        let kept = db.carve(KeyOrder::Unsigned).kept;
        assert_eq!(kept.len(), shown.lines().count());
    }
}

#[test]
fn changes_only_in_the_log_are_named_and_read() {
    for name in ["splits", "checkpoint"] {
        let files = logged(&format!("other/berkeley-log/{name}"));
        let shown = String::from_utf8(read(&format!("other/berkeley-log/{name}.show.txt"))).expect("text");
        assert_ne!(show(&db(&files.0), 1), shown);
        let db = Db::new(with_log(&files));
        for parts in [1, 3] {
            assert!(show(&db, parts) == shown, "{name}");
        }
        assert_eq!(codes(with_log(&files)), ["BDB-25"], "{name}");
        let kept = db.carve(KeyOrder::Unsigned).kept;
        let kept = kept.iter().flat_map(|kept| [&*kept.record.key, b"\t", &*kept.record.value, b"\n"].concat());
        assert!(kept.collect::<Vec<u8>>() == shown.as_bytes(), "{name}");
        assert!(db.order().fits(KeyOrder::Unsigned));
        let view = db.view(KeyOrder::Unsigned, 1);
        assert!(view.get(b"user.long").is_some_and(|record| record.value.len() > 2000));
        assert!(view.get(b"user.aborted").is_none());
    }
}

#[test]
fn a_log_of_what_the_pages_have_changes_nothing() {
    // The log of another database, and one that the pages are ahead of.
    let files = (read(LARGE), logged("other/berkeley-log/splits").1);
    assert_eq!(codes(with_log(&files)), [""; 0]);
    assert_eq!(records(&Db::new(with_log(&files)), 1).len(), 224);
}

#[test]
fn logs_that_are_not_understood_are_named() {
    let hash = logged("other/berkeley-log/hash");
    let found = codes(with_log(&hash));
    assert!(found.contains(&"BDB-24") && found.contains(&"BDB-27"), "{found:?}");
    let mut old = logged("cyrus-2.4.22/berkeley/unflushed.btree");
    old.1[16] = 8;
    assert_eq!(codes(with_log(&old)), ["BDB-24", "BDB-27"]);
    let mut none = logged("cyrus-2.4.22/berkeley/unflushed.btree");
    none.1[12] = 0;
    assert_eq!(codes(with_log(&none)), ["BDB-24", "BDB-27"]);
}

#[test]
fn damage_of_the_log_is_withstood() {
    let files = logged("other/berkeley-log/splits");
    let known: Vec<String> = show(&Db::new(with_log(&files)), 1).lines().map(str::to_owned).collect();
    let check = |files: &(Vec<u8>, Vec<u8>)| {
        let parts = with_log(files);
        let db = Db::new(parts.clone());
        let mut at = 0;
        for tile in db.tiles() {
            assert!(tile.span.start == at && tile.span.end > at);
            at = tile.span.end;
        }
        assert_eq!(at, parts.len());
        db.verify(Depth::Full, &mut |finding| assert!(finding.span.end <= parts.len()));
        records(&db, 2).len().max(db.carve(KeyOrder::Unsigned).kept.len())
    };
    assert_eq!(check(&files), known.len());
    for offset in (0..files.1.len()).step_by(13) {
        let mut damaged = files.clone();
        damaged.1[offset] ^= 0xFF;
        check(&damaged);
        damaged.1.truncate(offset);
        check(&damaged);
    }
}

#[test]
fn the_document_lists_every_rule_with_its_tests() {
    let document = include_str!("../src/container/berkeley/FORMAT.md");
    documented::assert_documented(document, rules::ALL, include_str!("berkeley.rs"));
}
