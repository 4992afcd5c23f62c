//! Databases of the other engines, and those of several files, as the commands open them.

mod common;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::Command;

use bstr::ByteSlice;

use common::{coroner, corpus};

/// Exit status, standard output and standard error of a command and its options on a file.
fn run(command: &str, path: &Path) -> (i32, Vec<u8>, String) {
    let words = command.split(' ').map(OsStr::new).chain([path.as_os_str()]);
    let output = coroner(words);
    (output.status.code().expect("an exit status"), output.stdout, output.stderr.to_str_lossy().into_owned())
}

#[track_caller]
fn assert_shows(path: &Path, shown: &Path, status: i32) {
    let (code, stdout, stderr) = run("show", path);
    assert!(stdout == fs::read(shown).expect("what is shown"), "{}: {stderr}", path.display());
    assert_eq!(code, status, "{}: {stderr}", path.display());
}

#[test]
fn every_engine_is_shown_as_its_own_tools_show_it() {
    let cases = [
        "cyrus-2.4.22/berkeley/all.btree",
        "cyrus-2.4.22/berkeley/all.hash",
        "cyrus-3.10.3/zeroskip/ops",
        "other/lmdb/big",
        "other/lmdb/mboxsort",
        "other/sql/be1",
    ];
    for case in cases {
        let path = corpus().join(format!("{case}.db"));
        assert_shows(&path, &corpus().join(format!("{case}.show.txt")), 0);
        for command in ["verify --depth structure", "inspect", "list", "digest", "hexdump"] {
            let (code, stdout, stderr) = run(command, &path);
            assert!(!stdout.is_empty(), "{command} {case}: {stderr}");
            // Records can be such that there are findings; these files are sound.
            assert!(code == 0 || command == "inspect" || command == "list", "{command} {case}: {code} {stderr}");
        }
    }
}

#[test]
fn a_log_beside_a_database_is_read_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let from = corpus().join("other/berkeley-log");
    let path = folder.path().join("mailboxes.db");
    fs::copy(from.join("splits.db"), &path).expect("copied");
    let (code, stdout, stderr) = run("show", &path);
    assert!(code == 1 && stdout.is_empty() && stderr.contains("BDB-24"), "{stderr}");
    fs::create_dir(folder.path().join("db")).expect("a folder");
    fs::copy(from.join("splits.log.0000000001"), folder.path().join("db/log.0000000001")).expect("copied");
    assert_shows(&path, &from.join("splits.show.txt"), 1);
    let (code, stdout, _) = run("verify", &path);
    assert!(code == 1 && stdout.contains_str("BDB-25") && !stdout.contains_str("BDB-24"), "{}", stdout.as_bstr());
    let (_, stdout, _) = run("hexdump", &path);
    assert!(stdout.contains_str("log record"));
}

#[test]
fn a_journal_beside_a_database_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mailboxes.db");
    fs::copy(corpus().join("other/sql/ops.db"), &path).expect("copied");
    assert_eq!(run("verify --depth structure", &path).0, 0);
    let journal = [&[0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7][..], &[0; 600]].concat();
    fs::write(folder.path().join("mailboxes.db-journal"), journal).expect("written");
    let (code, stdout, _) = run("verify", &path);
    assert!(code == 1 && stdout.contains_str("SQL-21"), "{}", stdout.as_bstr());
}

#[test]
fn the_state_at_a_transaction_of_a_folder_is_shown() {
    let path = corpus().join("cyrus-3.10.3/zeroskip/ops.db");
    let output = coroner(["log".as_ref(), path.as_os_str()]);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr.as_bstr());
    let first = coroner(["show".as_ref(), path.as_os_str(), "--at".as_ref(), "0".as_ref()]);
    assert!(first.status.code() == Some(0) && first.stdout.is_empty(), "{}", first.stderr.as_bstr());
}

#[test]
fn the_records_of_a_hash_table_are_judged_like_those_of_a_btree() {
    let findings = |name: &str| {
        let path = corpus().join("cyrus-2.4.22/berkeley").join(name);
        let (code, stdout, _) = run("verify", &path);
        let found = stdout.lines().filter_map(|line| line.split_once_str(b"REC-")).map(|(_, found)| found.to_vec());
        (code, found.collect::<BTreeSet<_>>())
    };
    let found = findings("all.hash.db");
    assert!(found.0 == 0 && found.1.len() == 1, "{found:?}");
    assert_eq!(found, findings("all.btree.db"));
}

#[test]
fn other_engines_are_converted() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases =
        ["cyrus-2.4.22/berkeley/big-ops.hash", "cyrus-2.4.22/berkeley/mboxsort.btree", "cyrus-3.10.3/zeroskip/ops"];
    for (number, case) in cases.into_iter().chain(["other/lmdb/mboxsort", "other/sql/be1"]).enumerate() {
        let (path, out) = (corpus().join(format!("{case}.db")), folder.path().join(format!("{number}.db")));
        let words = ["convert".as_ref(), path.as_os_str(), "--to".as_ref(), "twoskip".as_ref(), "-o".as_ref()];
        let done = coroner(words.into_iter().chain([out.as_os_str()]));
        assert!(out.exists(), "{case}: {}", done.stderr.as_bstr());
        let digests = [&path, &out].map(|path| run("digest", path).1.split_str(" ").next().map(<[u8]>::to_vec));
        assert!(digests[0].is_some() && digests[0] == digests[1], "{case}: {digests:?}");
    }
}

/// Runs a command with a clock that stands still.
fn at_rest(words: &[&OsStr]) -> (i32, Vec<u8>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coroner"));
    let output = command.args(words).env("SOURCE_DATE_EPOCH", "1795000000").output().expect("coroner runs");
    (output.status.code().expect("an exit status"), output.stdout)
}

/// Every engine that is only read merges and compares as the same records do in a twoskip file, which other tests hold
/// against what Cyrus says.
#[test]
fn other_engines_are_merged_and_compared_like_any_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: String| folder.path().join(name);
    let cases = [
        ("cyrus-2.2.13/berkeley/all.btree", 17),
        ("cyrus-2.3.19/berkeley/mboxsort.btree", 18),
        ("cyrus-2.4.22/berkeley/all.hash", 18),
        ("cyrus-2.5.17/berkeley/big-ops.hash", 98),
        ("cyrus-3.10.3/zeroskip/ops", 27),
        ("cyrus-3.10.3/zeroskip/all", 25),
        ("other/lmdb/mboxsort", 15),
        ("other/sql/be1", 60),
    ];
    let named = |name: &str, path: &Path| OsString::from(format!("{name}={}", path.display()));
    let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
    let run = |all: &[OsString]| at_rest(&all.iter().map(OsString::as_os_str).collect::<Vec<_>>());
    let mut sources = [Vec::new(), Vec::new()];
    for (number, (case, records)) in cases.into_iter().enumerate() {
        let (original, copy) = (corpus().join(format!("{case}.db")), path(format!("{number}.db")));
        let convert =
            [words(&["convert", "--to", "twoskip", "-o"]), vec![copy.clone().into(), original.clone().into()]];
        run(&convert.concat());
        let host = format!("be{number}.example.com");
        let said = [&original, &copy].map(|list| {
            let out = path("merged.db".into());
            let merge =
                [words(&["merge", "--json", "--force", "--era", "3.6", "-o"]), vec![out.clone().into()]].concat();
            let (status, document) = run(&[merge, vec![named(&host, list)]].concat());
            let drift =
                [words(&["drift", "--json", "--master"]), vec![out.clone().into()], words(&["--backend"])].concat();
            (status, document, fs::read(&out).expect("a list"), run(&[drift, vec![named(&host, list)]].concat()))
        });
        assert!(said[0] == said[1], "{case}: {}\n{}", said[0].1.as_bstr(), said[1].1.as_bstr());
        let document: serde_json::Value = serde_json::from_slice(&said[0].1).expect("JSON");
        assert_eq!(document["records"], records, "{case}: {document}");
        for (sources, list) in sources.iter_mut().zip([original, copy]) {
            sources.push(named(&host, &list));
        }
    }
    // All of them together, whatever order their keys stand in, with one of them as the base.
    let base = [corpus().join("cyrus-3.10.3/zeroskip/mup.twoskip-to-zeroskip.db"), path("base.db".into())];
    run(&[words(&["convert", "--to", "twoskip", "-o"]), vec![base[1].clone().into(), base[0].clone().into()]].concat());
    let merged = [0, 1].map(|number| {
        let out = path(format!("all{number}.db"));
        let merge =
            [words(&["merge", "--era", "3.10", "--base"]), vec![base[number].clone().into(), "-o".into()]].concat();
        let (status, _) = run(&[merge, vec![out.clone().into()], sources[number].clone()].concat());
        (status, fs::read(&out).expect("a list"))
    });
    assert!(merged[0] == merged[1] && merged[0].0 == 1);
}
