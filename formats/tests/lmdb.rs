//! LMDB files: what the library itself says of them, and every rule.

mod common;
#[path = "common/documented.rs"]
mod documented;

use std::fs;

use coroner_formats::container::lmdb::{Db, rules};
use coroner_formats::container::{Change, Confidence, Database, Depth, Format, KeyOrder, Record, detect};
use coroner_formats::finding::Finding;

use common::{dumped, records};

const GENUINE: [&str; 3] = ["small", "big", "mboxsort"];

fn read(name: &str) -> Vec<u8> {
    fs::read(common::corpus().join(format!("other/lmdb/{name}.db"))).expect(name)
}

fn shown(name: &str) -> Vec<u8> {
    fs::read(common::corpus().join(format!("other/lmdb/{name}.show.txt"))).expect(name)
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    Db::new(bytes).verify(Depth::Full, &mut |finding| findings.push(finding));
    findings
}

#[test]
fn show_equals_what_the_library_dumps() {
    for name in GENUINE {
        let bytes = read(name);
        assert_eq!(detect(&bytes).format, Some(Format::Lmdb));
        for parts in [1, 2, 7] {
            assert!(dumped(&records(&Db::new(&bytes), parts)) == shown(name), "{name}");
        }
        assert_eq!(findings(&bytes), [], "{name}");
    }
}

#[test]
fn orders_are_told_apart() {
    let fits = |name, order| Db::new(&read(name)).order().fits(order);
    assert!(fits("big", KeyOrder::Unsigned) && !fits("big", KeyOrder::Mbox));
    assert!(fits("mboxsort", KeyOrder::Mbox) && !fits("mboxsort", KeyOrder::Unsigned));
}

#[test]
fn the_state_before_the_last_transaction_is_there() {
    let bytes = read("small");
    let db = Db::new(&bytes);
    assert_eq!(db.transactions(), Some(1));
    let log: Vec<_> = db.log(KeyOrder::Unsigned).collect();
    let [transaction] = log.as_slice() else { panic!("{log:?}") };
    let [Change::Delete { old: Some(old), .. }] = transaction.changes.as_slice() else { panic!("{transaction:?}") };
    assert_eq!(*old.key, *b"user.gone");
    let before = db.at(0, KeyOrder::Unsigned).expect("a state");
    assert_eq!(before.len(), records(&db, 1).len() + 1);
    assert!(dumped(&db.at(1, KeyOrder::Unsigned).expect("a state")) == shown("small"));
    assert_eq!(db.at(2, KeyOrder::Unsigned), None);
}

#[test]
fn carving_a_sound_file_keeps_what_is_shown() {
    for name in GENUINE {
        let bytes = read(name);
        let db = Db::new(&bytes);
        let carved = db.carve(db.order().best(KeyOrder::Unsigned));
        assert!(carved.lost.is_empty() && carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified));
        assert!(dumped(&carved.kept.into_iter().map(|kept| kept.record).collect::<Vec<_>>()) == shown(name));
    }
}

#[test]
fn remains_are_old_versions_and_deleted_records() {
    let bytes = read("big");
    let db = Db::new(&bytes);
    let live = records(&db, 1);
    let (mut old, mut deleted) = (0, 0);
    db.remains(&mut |record| {
        assert!(record.key.starts_with(b"user."));
        match live.iter().find(|other| other.key == record.key) {
            Some(other) => old += usize::from(other.value != record.value),
            None => deleted += 1,
        }
        true
    });
    assert!(old > 0 && deleted > 0, "{old} old, {deleted} deleted");
}

#[test]
fn a_lost_leaf_is_made_good_from_older_pages() {
    let bytes = read("big");
    let whole = records(&Db::new(&bytes), 1).len();
    let mut damaged = bytes.clone();
    let (leaf, _) = live_leaf(&bytes);
    damaged[leaf..leaf + 4096].fill(0xA5);
    let db = Db::new(&damaged);
    let left = records(&db, 1).len();
    assert!(left < whole && left > whole / 2);
    let carved = db.carve(KeyOrder::Unsigned);
    assert!(carved.lost.iter().any(|lost| lost.span.start == leaf as u64));
    assert!(carved.kept.len() > left, "{} kept of {whole}, {left} without older pages", carved.kept.len());
    assert!(carved.kept.iter().any(|kept| kept.confidence == Confidence::MaybeStale));
    let known = records(&Db::new(&bytes), 1);
    let is_known = |record: &Record<'_>| known.iter().any(|other| other.key == record.key);
    let sure = carved.kept.iter().filter(|kept| kept.confidence == Confidence::Verified);
    assert!(sure.map(|kept| &kept.record).all(is_known));
}

#[test]
fn without_metas_all_leaves_are_read() {
    let mut bytes = read("small");
    bytes[..8192].fill(0);
    let db = Db::new(&bytes);
    assert!(records(&db, 1).is_empty());
    let kept = db.carve(KeyOrder::Unsigned).kept;
    assert!(kept.len() >= 9 && kept.iter().all(|kept| kept.confidence == Confidence::MaybeStale));
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Offset of the current meta, of the root of its tree, and of the tree's first leaf.
fn current(bytes: &[u8]) -> usize {
    if u64_at(bytes, 144) > u64_at(bytes, 4096 + 144) { 0 } else { 4096 }
}

fn root(bytes: &[u8]) -> usize {
    u64_at(bytes, current(bytes) + 128) as usize * 4096
}

/// Offset of the first leaf of the big file, and of the node of the branch that leads to it.
fn live_leaf(bytes: &[u8]) -> (usize, usize) {
    let root = root(bytes);
    let node = root + usize::from(u16::from_le_bytes([bytes[root + 16], bytes[root + 17]]));
    (usize::from(bytes[node]) * 4096, node)
}

fn first_node(bytes: &[u8], leaf: usize) -> usize {
    leaf + usize::from(u16::from_le_bytes([bytes[leaf + 16], bytes[leaf + 17]]))
}

/// Damages the big file, and asks verify to name it.
fn names(code: &str, damage: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = read("big");
    damage(&mut bytes);
    let found = findings(&bytes);
    assert!(found.iter().any(|finding| finding.rule.code == code), "no {code}: {found:#?}");
}

#[test]
fn cut_metas_are_named() {
    names("LMDB-1", |bytes| bytes.truncate(4200));
}

#[test]
fn missing_magic_is_named() {
    names("LMDB-2", |bytes| {
        bytes[16] = 0;
        bytes[4096 + 16] = 0;
    });
}

#[test]
fn other_hosts_are_named() {
    let mut bytes = vec![0; 8192];
    bytes[16..20].copy_from_slice(&0xBEEF_C0DEu32.to_be_bytes());
    assert_eq!(detect(&bytes).format, Some(Format::Lmdb));
    assert_eq!(findings(&bytes).iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["LMDB-3"]);
    let mut bytes = vec![0; 8192];
    bytes[12..16].copy_from_slice(&0xBEEF_C0DEu32.to_le_bytes());
    assert_eq!(findings(&bytes).iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["LMDB-3"]);
}

#[test]
fn one_damaged_meta_is_named_and_the_other_read() {
    names("LMDB-4", |bytes| bytes[20] = 9);
    let mut bytes = read("small");
    let meta = current(&bytes);
    bytes[meta + 10] = 0;
    let before = Db::new(&read("small")).at(0, KeyOrder::Unsigned).map(|state| dumped(&state));
    assert_eq!(Some(dumped(&records(&Db::new(&bytes), 1))), before);
}

#[test]
fn impossible_page_size_is_named() {
    names("LMDB-5", |bytes| bytes[41] = 0x11);
}

#[test]
fn far_apart_transactions_are_named() {
    names("LMDB-6", |bytes| bytes[144] ^= 0x40);
}

#[test]
fn flags_of_other_databases_are_named() {
    names("LMDB-7", |bytes| {
        let meta = current(bytes);
        bytes[meta + 92] = 4;
    });
}

#[test]
fn missing_pages_are_named() {
    names("LMDB-8", |bytes| bytes.truncate(bytes.len() - 4096));
    names("LMDB-8", |bytes| bytes.truncate(bytes.len() - 100));
}

#[test]
fn broken_tree_is_named() {
    names("LMDB-9", |bytes| {
        let leaf = live_leaf(bytes).0;
        bytes[leaf] ^= 1;
    });
    names("LMDB-9", |bytes| {
        let leaf = live_leaf(bytes).0;
        bytes[leaf + 10] = 1;
    });
    names("LMDB-9", |bytes| {
        let node = live_leaf(bytes).1;
        bytes[node] = 200;
    });
    names("LMDB-9", |bytes| {
        let root = root(bytes);
        bytes.copy_within(root + 16..root + 18, root + 18);
    });
}

#[test]
fn broken_nodes_are_named() {
    names("LMDB-10", |bytes| {
        let leaf = live_leaf(bytes).0;
        bytes[leaf + 12] = 4;
    });
    names("LMDB-10", |bytes| {
        let node = first_node(bytes, live_leaf(bytes).0);
        bytes[node + 6] = 0xFF;
        bytes[node + 7] = 0xFF;
    });
    names("LMDB-10", |bytes| {
        let node = first_node(bytes, live_leaf(bytes).0);
        bytes[node] = bytes[node].wrapping_sub(4);
    });
}

#[test]
fn missing_overflow_pages_are_named() {
    names("LMDB-11", |bytes| {
        let overflow = (2..bytes.len() / 4096).find(|page| bytes[page * 4096 + 10] == 4).expect("an overflow page");
        bytes[overflow * 4096 + 12] = 1;
        bytes[overflow * 4096] ^= 0x80;
    });
}

#[test]
fn keys_out_of_order_are_named() {
    names("LMDB-12", |bytes| {
        let node = first_node(bytes, live_leaf(bytes).0);
        bytes[node + 8] = b'z';
    });
}

#[test]
fn duplicate_keys_are_named() {
    names("LMDB-13", |bytes| {
        let leaf = live_leaf(bytes).0;
        let at =
            |n: usize| leaf + usize::from(u16::from_le_bytes([bytes[leaf + 16 + 2 * n], bytes[leaf + 17 + 2 * n]]));
        let len = |n: usize| usize::from(bytes[at(n) + 6]);
        let n = (0..8).find(|&n| len(n) == len(n + 1)).expect("two keys of one length");
        let (from, len, to) = (at(n) + 8, len(n), at(n + 1) + 8);
        bytes.copy_within(from..from + len, to);
    });
}

#[test]
fn wrong_counts_are_named() {
    for field in [96, 104, 112, 120] {
        names("LMDB-14", |bytes| {
            let meta = current(bytes);
            bytes[meta + field] += 1;
        });
    }
}

#[test]
fn free_pages_in_use_are_named() {
    names("LMDB-15", |bytes| {
        let meta = current(bytes);
        let free = u64_at(bytes, meta + 80) as usize * 4096;
        let leaf = live_leaf(bytes).0 / 4096;
        let node = first_node(bytes, free);
        // A key of eight bytes, a count, then page numbers.
        bytes[node + 8 + 8 + 8] = u8::try_from(leaf).expect("a small number");
    });
}

#[test]
fn long_keys_are_named() {
    names("LMDB-16", |bytes| {
        let node = first_node(bytes, live_leaf(bytes).0);
        // One long node instead of a short one, to the end of the page; the others are gone.
        let leaf = node / 4096 * 4096;
        let len = 600usize;
        let start = leaf + 4096 - 8 - len;
        bytes[start..start + 8].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0x58, 0x02]);
        bytes[start + 8..leaf + 4096].fill(b'a');
        bytes[leaf + 12..leaf + 16].copy_from_slice(&[18, 0, 0, 0]);
        let upper = u16::try_from(start - leaf).expect("an offset").to_le_bytes();
        bytes[leaf + 14..leaf + 16].copy_from_slice(&upper);
        bytes[leaf + 16..leaf + 18].copy_from_slice(&upper);
    });
}

#[test]
fn lost_previous_state_is_named() {
    names("LMDB-17", |bytes| {
        let other = 4096 - current(bytes);
        bytes[other + 128] = 1;
    });
}

#[test]
fn empty_database_is_named() {
    names("LMDB-18", |bytes| {
        let meta = current(bytes);
        bytes[meta + 94] = 0;
        bytes[meta + 96..meta + 128].fill(0);
        bytes[meta + 128..meta + 136].fill(0xFF);
    });
}

#[test]
fn the_document_lists_every_rule_with_its_tests() {
    let document = include_str!("../src/container/lmdb/FORMAT.md");
    documented::assert_documented(document, rules::ALL, include_str!("lmdb.rs"));
}
