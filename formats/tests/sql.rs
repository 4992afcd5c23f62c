//! SQLite files: what Cyrus 3.6.1 and SQLite themselves say of them, and every rule.

mod common;
#[path = "common/documented.rs"]
mod documented;

use std::fs;

use coroner_formats::container::sql::{Db, rules};
use coroner_formats::container::{Confidence, Database, Depth, Format, KeyOrder, Record, detect};
use coroner_formats::finding::Finding;
use coroner_formats::image::Parts;

use common::{dumped, records};

const GENUINE: [&str; 3] = ["be1", "ops", "long"];

fn read(name: &str) -> Vec<u8> {
    fs::read(common::corpus().join(format!("other/sql/{name}.db"))).expect(name)
}

fn shown(name: &str) -> Vec<u8> {
    fs::read(common::corpus().join(format!("other/sql/{name}.show.txt"))).expect(name)
}

fn db(bytes: &[u8]) -> Db<'_> {
    Db::new(Parts::one(bytes))
}

fn of_parts(parts: Parts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    Db::new(parts).verify(Depth::Full, &mut |finding| findings.push(finding));
    findings
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    of_parts(Parts::one(bytes))
}

#[test]
fn show_equals_that_of_cyrus() {
    for name in GENUINE {
        let bytes = read(name);
        assert_eq!(detect(&bytes).format, Some(Format::Sql));
        for parts in [1, 2, 7] {
            assert!(dumped(&records(&db(&bytes), parts)) == shown(name), "{name}");
        }
        assert_eq!(findings(&bytes), [], "{name}");
    }
}

#[test]
fn carving_a_sound_file_keeps_what_is_shown() {
    for name in GENUINE {
        let bytes = read(name);
        let carved = db(&bytes).carve(KeyOrder::Unsigned);
        assert!(carved.lost.is_empty() && carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified));
        assert!(dumped(&carved.kept.into_iter().map(|kept| kept.record).collect::<Vec<_>>()) == shown(name));
    }
}

#[test]
fn remains_are_deleted_rows() {
    let bytes = read("long");
    let db = db(&bytes);
    let live = records(&db, 1);
    let mut deleted = 0;
    db.remains(&mut |record| {
        assert!(record.key.starts_with(b"user.u"), "{record:?}");
        deleted += usize::from(!live.iter().any(|other| other.key == record.key));
        true
    });
    assert!(deleted > 10, "{deleted}");
}

#[test]
fn rows_are_read_from_leaves_when_schema_and_tree_are_gone() {
    let mut bytes = read("be1");
    bytes[..4096].fill(0xA5);
    let db = db(&bytes);
    assert!(records(&db, 1).is_empty());
    let kept = db.carve(KeyOrder::Unsigned).kept;
    assert!(kept.iter().all(|kept| kept.confidence == Confidence::MaybeStale));
    let kept = dumped(&kept.into_iter().map(|kept| kept.record).collect::<Vec<_>>());
    let missing = String::from_utf8(shown("be1")).expect("text");
    let missing = missing.lines().filter(|line| !String::from_utf8_lossy(&kept).contains(*line)).count();
    // Keys of reverse ACLs hold control bytes that names do not.
    assert!(missing < 10, "{missing} lines missing");
}

/// Root page of the table in the files, and an offset within its page by the page's head.
fn head(bytes: &[u8], size: usize, page: usize) -> usize {
    let at = (page - 1) * size + if page == 1 { 100 } else { 0 };
    assert!(matches!(bytes[at], 5 | 13), "page {page} is one of a table");
    at
}

fn cell(bytes: &[u8], size: usize, page: usize, n: usize) -> usize {
    let head = head(bytes, size, page);
    let pointers = head + if bytes[head] == 5 { 12 } else { 8 };
    (page - 1) * size + usize::from(u16::from_be_bytes([bytes[pointers + 2 * n], bytes[pointers + 2 * n + 1]]))
}

/// The first leaf of the table of be1.db.
const LEAF: usize = 3;

/// Damages a file, and asks verify to name it.
fn names_in(file: &str, code: &str, damage: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = read(file);
    damage(&mut bytes);
    let found = findings(&bytes);
    assert!(found.iter().any(|finding| finding.rule.code == code), "no {code}: {found:#?}");
}

fn names(code: &str, damage: impl FnOnce(&mut Vec<u8>)) {
    names_in("be1", code, damage);
}

/// Offset of `text`, which stands in the file once or more; the last place.
fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).rposition(|window| window == text).expect("the text")
}

#[test]
fn damaged_magic_is_named() {
    names("SQL-1", |bytes| bytes[3] = b'x');
}

#[test]
fn cut_header_is_named() {
    names("SQL-2", |bytes| bytes.truncate(99));
}

#[test]
fn impossible_page_size_is_named_and_inferred() {
    names("SQL-3", |bytes| bytes[17] = 3);
    let mut bytes = read("be1");
    bytes[17] = 3;
    assert!(dumped(&records(&db(&bytes), 1)) == shown("be1"));
}

#[test]
fn other_encodings_are_named() {
    names("SQL-4", |bytes| bytes[59] = 2);
}

#[test]
fn missing_pages_are_named() {
    names("SQL-5", |bytes| bytes.truncate(bytes.len() - 4096));
    names("SQL-5", |bytes| bytes.truncate(bytes.len() - 7));
}

#[test]
fn missing_table_is_named() {
    names("SQL-6", |bytes| {
        let at = find(bytes, b"dbkey BLOB");
        bytes[at] = b'x';
    });
}

#[test]
fn further_columns_are_named() {
    names("SQL-7", |bytes| {
        let at = find(bytes, b"data BLOB)");
        bytes[at..at + 10].copy_from_slice(b"data, mor)");
    });
}

#[test]
fn broken_tree_is_named() {
    names("SQL-8", |bytes| bytes[(LEAF - 1) * 4096] = 0);
    names("SQL-8", |bytes| {
        let root = head(bytes, 4096, 2);
        bytes[root + 11] = u8::try_from(LEAF).expect("a page");
    });
    names("SQL-8", |bytes| {
        let root = head(bytes, 4096, 2);
        bytes[root + 11] = 200;
    });
}

#[test]
fn broken_cells_are_named() {
    names("SQL-9", |bytes| {
        let head = head(bytes, 4096, LEAF);
        bytes[head + 8] = 0;
    });
    names("SQL-9", |bytes| {
        let head = head(bytes, 4096, LEAF);
        bytes.copy_within(head + 8..head + 10, head + 10);
    });
}

#[test]
fn free_space_that_does_not_add_up_is_named() {
    names("SQL-10", |bytes| {
        let head = head(bytes, 4096, LEAF);
        bytes[head + 7] += 3;
    });
}

#[test]
fn rows_of_other_kinds_are_named() {
    names("SQL-11", |bytes| {
        let at = cell(bytes, 4096, LEAF, 0);
        // Length, number, length of the description, class of the key.
        let class = (at..at + 8).find(|&n| bytes[n] == 3 || bytes[n] == 4).expect("a description") + 1;
        bytes[class] = 6;
    });
}

#[test]
fn cut_long_row_is_named() {
    names_in("long", "SQL-12", |bytes| {
        let overflow = (1..bytes.len() / 1024).find(|page| {
            let at = page * 1024;
            bytes[at..at + 3] == [0, 0, 0] && bytes[at + 3] > 0 && bytes[at + 4..at + 1000].contains(&b'g')
        });
        let at = overflow.expect("an overflow page") * 1024;
        bytes[at + 3] = 0;
    });
}

#[test]
fn rows_out_of_order_are_named() {
    names("SQL-13", |bytes| {
        let head = head(bytes, 4096, LEAF);
        let (first, second) = ([bytes[head + 8], bytes[head + 9]], [bytes[head + 10], bytes[head + 11]]);
        bytes[head + 8..head + 10].copy_from_slice(&second);
        bytes[head + 10..head + 12].copy_from_slice(&first);
    });
}

#[test]
fn duplicate_keys_are_named_and_the_later_is_kept() {
    let damage = |bytes: &mut Vec<u8>| {
        let at = find(bytes, b"user.u017%(A");
        let first = bytes.windows(9).position(|window| window == b"user.u018").expect("another");
        bytes.copy_within(at..at + 9, first);
    };
    names_in("ops", "SQL-14", damage);
    let mut bytes = read("ops");
    damage(&mut bytes);
    let db = db(&bytes);
    let count = |records: Vec<Record<'_>>| records.iter().filter(|record| &*record.key == b"user.u017").count();
    assert_eq!(count(records(&db, 1)), 2);
    assert_eq!(count(db.carve(KeyOrder::Unsigned).kept.into_iter().map(|kept| kept.record).collect()), 1);
}

/// Changes the class of a column of the row whose key is `user.u017`.
fn reclass(bytes: &mut [u8], column: usize, class: impl Fn(u8) -> u8) {
    let key = find(bytes, b"user.u017%(A");
    let at = if column == 0 { key - 3 } else { key - 1 };
    bytes[at] = class(bytes[at]);
}

#[test]
fn missing_data_is_named() {
    names_in("ops", "SQL-15", |bytes| {
        // The class of the value takes two bytes: a number of zero, written long.
        reclass(bytes, 1, |_| 0);
        let key = find(bytes, b"user.u017%(A");
        bytes[key - 2] = 0x80;
    });
}

#[test]
fn keys_of_bytes_are_named() {
    names_in("ops", "SQL-16", |bytes| reclass(bytes, 0, |class| class - 1));
}

#[test]
fn apostrophes_are_named() {
    names_in("ops", "SQL-17", |bytes| {
        let at = find(bytes, b"user.u017%(A");
        bytes[at + 5] = b'\'';
    });
}

#[test]
fn long_keys_are_named() {
    names_in("long", "SQL-18", |bytes| {
        // In front of the key: length of the description, class of the key, that of the value in two bytes.
        let row = records(&db(bytes), 1).into_iter().find(|record| &*record.key == b"user.u070").expect("the long row");
        let span =
            usize::try_from(row.span.start).expect("an offset")..usize::try_from(row.span.end).expect("an offset");
        let head = span.start + find(&bytes[span], b"user.u070%(A %(g000 lrs") - 4;
        // Length of the description, class of the key and of the value in two bytes each.
        let classes = |n: u64| [0x80 | u8::try_from(n >> 7).expect("small"), u8::try_from(n & 0x7F).expect("small")];
        bytes[head + 1..head + 3].copy_from_slice(&classes(13 + 2 * 1000));
        bytes[head + 3..head + 5].copy_from_slice(&classes(13 + 2 * 500));
        bytes[head] = 5;
    });
}

#[test]
fn broken_free_list_is_named() {
    names_in("long", "SQL-19", |bytes| bytes[39] += 1);
    names_in("long", "SQL-19", |bytes| bytes[35] = 2);
}

#[test]
fn unused_pages_are_named() {
    names_in("long", "SQL-20", |bytes| bytes[32..40].fill(0));
}

#[test]
fn journals_beside_it_are_named() {
    let bytes = read("ops");
    let journal = [&[0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7][..], &[0; 600]].concat();
    let log = vec![0x37; 4152];
    let of = |name: &'static str, beside: &[u8]| {
        let mut parts = Parts::one(&bytes);
        parts.push(name, beside);
        let covered =
            Db::new(parts.clone()).tiles().fold(0, |at, tile| if tile.span.start == at { tile.span.end } else { at });
        assert_eq!(covered, parts.len());
        of_parts(parts).iter().map(|finding| finding.rule.code).collect::<Vec<_>>()
    };
    assert_eq!(of("ops.db-journal", &journal), ["SQL-21"]);
    assert_eq!(of("ops.db-wal", &log), ["SQL-22"]);
    assert_eq!(of("ops.db-journal", &[0; 600]), [""; 0]);
    assert_eq!(of("ops.db-wal", b""), [""; 0]);
}

#[test]
fn empty_table_is_named() {
    names("SQL-23", |bytes| {
        let root = head(bytes, 4096, 2);
        bytes[root..root + 4096].fill(0);
        bytes[root..root + 8].copy_from_slice(&[13, 0, 0, 0, 0, 0x10, 0, 0]);
    });
}

#[test]
fn the_document_lists_every_rule_with_its_tests() {
    let document = include_str!("../src/container/sql/FORMAT.md");
    documented::assert_documented(document, rules::ALL, include_str!("sql.rs"));
}
