//! Skiplist files of coroner's own writer in the hands of the real Cyrus.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use bstr::ByteSlice;
use coroner::formats::container::skiplist::{Db, Options, write};
use coroner::formats::container::{Database, Depth, Format, KeyOrder};

use common::cyrus::Cyrus;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// `count` records of ASCII keys, among them long ones, and values of every length modulo 4, among them empty ones.
fn records(count: usize) -> Records {
    let key = |i: usize| match i % 50 {
        49 => format!("user.{i:06}.{}", "long".repeat(i % 1000)),
        _ => format!("user.{i:06}"),
    };
    let value = |i: usize| format!("%(A %(anna lrs) {})", "x".repeat(i % 7)).into_bytes();
    (0..count).map(|i| (key(i).into_bytes(), if i % 5 == 0 { Vec::new() } else { value(i) })).collect()
}

fn written(records: &Records) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let written = write(&mut out, records, Options { order: KeyOrder::Signed, last_recovery: 2_000_000_000 });
    assert_eq!(written.expect("a file").records, records.len() as u64);
    out.into_inner()
}

fn shown(records: &Records) -> Vec<u8> {
    records.iter().flat_map(|(key, value)| [key, &b"\t"[..], value, b"\n"].concat()).collect()
}

/// What Cyrus shows is what is expected, it calls the file consistent, and so do we.
fn assert_holds(cyrus: &Cyrus, file: &Path, records: &Records, when: &str) {
    let output = cyrus.dbtool(file, Format::Skiplist, &["show"], b"");
    assert!(output.stdout == shown(records), "{file:?} {when}: {}", output.stderr.as_bstr());
    let output = cyrus.dbtool(file, Format::Skiplist, &["consistent"], b"");
    assert_eq!(output.stdout.as_bstr(), b"Yes, consistent\n".as_bstr(), "{file:?} {when}");
    let bytes = fs::read(file).expect("the database");
    Db::new(&bytes).verify(Depth::Full, &mut |finding| panic!("{file:?} {when}: {finding:?}"));
}

#[test]
fn cyrus_takes_our_files_for_its_own() {
    let Some(cyrus) = Cyrus::find("cyrus_takes_our_files_for_its_own") else { return };
    for count in [0, 1, 2, 3, 31, 1000] {
        let mut records = records(count);
        let file = cyrus.place(&format!("written-{count}.db"), &written(&records));
        assert_holds(&cyrus, &file, &records, "as written");
        for (key, value) in [("user.0000005", "new"), ("aaa", "first"), ("zzz", "last"), ("user.000001", "replaced")] {
            let output = cyrus.dbtool(&file, Format::Skiplist, &["set", key, value], b"");
            assert!(output.status.success(), "{}", output.stderr.as_bstr());
            records.insert(key.into(), value.into());
        }
        assert_holds(&cyrus, &file, &records, "after set");
        for key in ["user.000001", "aaa", "zzz"] {
            let output = cyrus.dbtool(&file, Format::Skiplist, &["delete", key], b"");
            assert!(output.status.success(), "{}", output.stderr.as_bstr());
            records.remove(key.as_bytes());
        }
        assert_holds(&cyrus, &file, &records, "after delete");
        // `cyr_dbtool repack` of 3.6.1 dies of its own assertion on any skiplist file: let the log grow until Cyrus
        // checkpoints by itself.
        let before = fs::metadata(&file).expect("the database").len();
        let value = "v".repeat(4000);
        for round in 0..24 + before / 2000 {
            let input = format!("BEGIN\nSET key {value}\nSET round {round}\nCOMMIT\n");
            let output = cyrus.dbtool(&file, Format::Skiplist, &["batch"], input.as_bytes());
            assert!(output.status.success(), "{}", output.stderr.as_bstr());
            records.insert("round".into(), round.to_string().into_bytes());
        }
        records.insert("key".into(), value.into_bytes());
        assert_holds(&cyrus, &file, &records, "after a checkpoint");
        assert!(fs::metadata(&file).expect("the database").len() < 3 * before + 40_000, "no checkpoint");
        let output = cyrus.recover_and_show(&file, Format::Skiplist);
        assert!(output.stdout == shown(&records), "{file:?} after recovery: {}", output.stderr.as_bstr());
    }
}

#[test]
fn cyrus_looks_keys_up_in_our_files() {
    let Some(cyrus) = Cyrus::find("cyrus_looks_keys_up_in_our_files") else { return };
    let records = records(200);
    let file = cyrus.place("lookup.db", &written(&records));
    for (key, value) in records.iter().step_by(7).filter(|(key, _)| key.len() < 100) {
        let key = key.to_str().expect("a plain key");
        let output = cyrus.dbtool(&file, Format::Skiplist, &["get", key], b"");
        assert_eq!(output.stdout.trim_end().as_bstr(), value.as_bstr(), "{key}: {}", output.stderr.as_bstr());
    }
}
