//! `coroner recover` with witnesses of another role, and into text, on the lists of genuine murders.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{coroner, corpus, records};
use tempfile::TempDir;

/// A copy of `file` in `folder` with `len` zero bytes from `before` bytes in front of the first `place`.
fn holed(folder: &Path, file: &Path, place: &[u8], before: usize, len: usize) -> PathBuf {
    let mut bytes = fs::read(file).expect("a corpus file");
    let at = bytes.windows(place.len()).position(|window| window == place).expect("the key is there") - before;
    bytes[at..at + len].fill(0);
    let path = folder.join("damaged.db");
    fs::write(&path, bytes).expect("written");
    path
}

/// Runs `coroner recover FILE -o OUT`; answers what it printed, and OUT.
fn recover(folder: &Path, file: &Path, more: &[&str]) -> (String, PathBuf) {
    let out = folder.join("out");
    let mut arguments = vec!["recover", file.to_str().expect("text"), "--force", "-o", out.to_str().expect("text")];
    arguments.extend(more);
    let output = coroner(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).expect("text"), out)
}

/// Whether a file's structure, and its records, are without errors.
fn verifies(path: &Path) {
    let output = coroner(["verify".as_ref(), path]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.contains(": error "), "{text}");
}

fn names(path: &Path) -> Vec<Vec<u8>> {
    records(path).into_iter().map(|(key, _)| key).filter(|key| key.starts_with(b"N")).collect()
}

#[test]
fn a_backend_gets_its_own_mailboxes_from_the_master() {
    let folder = TempDir::new().expect("a folder");
    let murder = corpus().join("cyrus-3.6.1/murder-twoskip");
    let (be1, mup) = (murder.join("be1.twoskip.db"), murder.join("mup.twoskip.db"));
    let damaged = holed(folder.path(), &be1, b"Nuser\x1Fanna\x1F#hash", 100, 800);
    let lost = 6;
    let (report, out) = recover(folder.path(), &damaged, &["--witness", mup.to_str().expect("text")]);
    assert!(report.contains("this list is of be1.murder.test, as 52 entries in both say"), "{report}");
    assert!(report.contains("lack what only the mailbox's own host knows: uniqueid, uidvalidity"), "{report}");
    assert!(report.contains(&format!("{lost} unverified")), "{report}");
    verifies(&out);
    assert_eq!(names(&out), names(&be1));
    let (before, after) = (records(&be1), records(&out));
    assert_eq!(after.len(), before.len());
    for ((key, value), (_, found)) in before.iter().zip(&after).filter(|(before, after)| before != after) {
        assert!(key.starts_with(b"Nuser\x1Fanna"), "{key:?}");
        let found = String::from_utf8_lossy(found);
        assert!(found.starts_with("%(T e P default M ") && !found.contains(" S "), "{found}");
        let acl = |value: &str| value[value.find(" A ").expect("an ACL")..].to_owned();
        assert_eq!(acl(&found), acl(&String::from_utf8_lossy(value)));
    }
}

#[test]
fn a_master_gets_a_backends_mailboxes_as_remote_ones() {
    let folder = TempDir::new().expect("a folder");
    let murder = corpus().join("cyrus-3.6.1/murder-twoskip");
    let (be1, mup) = (murder.join("be1.twoskip.db"), murder.join("mup.twoskip.db"));
    let damaged = holed(folder.path(), &mup, b"Nuser\x1Fanna\x1F#calendars", 100, 800);
    for witness in [be1.clone(), murder.join("be1.twoskip.dump.json")] {
        let (report, out) = recover(folder.path(), &damaged, &["--witness", witness.to_str().expect("text")]);
        assert!(report.contains("a backend's copy, of be1.murder.test, as 52 entries in both say"), "{report}");
        verifies(&out);
        let output = coroner(["diff".as_ref(), mup.as_path(), out.as_path()]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_user_names_the_server_where_nothing_agrees() {
    let folder = TempDir::new().expect("a folder");
    let murder = corpus().join("cyrus-3.6.1/murder-twoskip");
    let mup = murder.join("mup.twoskip.db");
    let be2 = murder.join("be2.twoskip.db");
    // Of the master's list nothing is left that the backend could be known by.
    let mut lines = fs::read(murder.join("mup.twoskip.show.txt")).expect("a corpus file");
    let keep = |line: &&[u8]| !line.windows(17).any(|window| window == b" S be2.murder.tes");
    lines = lines.split_inclusive(|byte| *byte == b'\n').filter(keep).collect::<Vec<_>>().concat();
    lines.extend_from_slice(b"Nuser\x1Flost");
    let damaged = folder.path().join("master.show");
    fs::write(&damaged, lines).expect("written");
    let witness = be2.to_str().expect("text");
    let (report, out) = recover(folder.path(), &damaged, &["--witness", witness]);
    assert!(report.contains("it is not known which server it is of (no entry tells): nothing was taken"), "{report}");
    assert!(names(&out).iter().all(|name| name != b"Nuser\x1Fann"));
    for told in [
        vec!["--witness", witness, "--server", "be2.murder.test"],
        vec!["--witness", &format!("be2.murder.test={witness}")],
    ] {
        let (report, out) = recover(folder.path(), &damaged, &told);
        assert!(report.contains("of be2.murder.test, as you say"), "{report}");
        verifies(&out);
        let wanted: Vec<_> = records(&mup).into_iter().filter(|(key, _)| key == b"Nuser\x1Fann").collect();
        let found: Vec<_> = records(&out).into_iter().filter(|(key, _)| key == b"Nuser\x1Fann").collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn another_backends_copy_is_not_taken_for_ones_own() {
    let folder = TempDir::new().expect("a folder");
    let murder = corpus().join("cyrus-3.6.1/murder-twoskip");
    let damaged = corpus().join("cyrus-3.6.1/damaged/twoskip/hole/before.db");
    let (_, alone) = recover(folder.path(), &damaged, &[]);
    let alone = names(&alone);
    for witness in ["be2.twoskip.db", "be2.twoskip.dump.json"].map(|name| murder.join(name)) {
        let witness = witness.to_str().expect("text");
        let (report, out) = recover(folder.path(), &damaged, &["--witness", witness]);
        assert!(report.contains("another backend's copy, by its mailboxes"), "{report}");
        assert_eq!(names(&out), alone, "what be2 has is no mailbox of be1");
    }
    let own = murder.join("be1.twoskip.db");
    let (report, out) = recover(folder.path(), &damaged, &["--witness", own.to_str().expect("text")]);
    assert!(!report.contains("another backend") && names(&out).len() > alone.len(), "{report}");
}

#[test]
fn a_server_named_against_the_mailboxes_is_contradicted() {
    let folder = TempDir::new().expect("a folder");
    let damaged = corpus().join("cyrus-3.6.1/damaged/twoskip/hole/before.db");
    let mup = corpus().join("cyrus-3.6.1/murder-twoskip/mup.twoskip.db");
    let told = ["--server", "be2.murder.test", "--witness", mup.to_str().expect("text")];
    let (report, _) = recover(folder.path(), &damaged, &told);
    assert!(report.contains("as you say, though 54 entries in both say be1.murder.test"), "{report}");
}

#[test]
fn entries_of_2_4_lack_nothing() {
    let folder = TempDir::new().expect("a folder");
    let murder = corpus().join("cyrus-2.4.22/murder-skiplist");
    let (be1, mup) = (murder.join("be1.skiplist.db"), murder.join("mup.skiplist.db"));
    let dump = fs::read(murder.join("be1.skiplist.dump.txt")).expect("a corpus file");
    let cut = folder.path().join("cut.txt");
    fs::write(&cut, &dump[..1200]).expect("written");
    for witness in [mup, murder.join("fe1.skiplist.dump.txt")] {
        let more = ["--to", "skiplist", "--witness", witness.to_str().expect("text")];
        let (report, out) = recover(folder.path(), &cut, &more);
        assert!(report.contains("this list is of be1.murder.test, as 22 entries in both say"), "{report}");
        verifies(&out);
        // The master still lists a mailbox that the backend does not have.
        let found: Vec<_> = records(&out).into_iter().filter(|(key, _)| key != b"user.takeover").collect();
        assert_eq!(found, records(&be1));
    }
}

#[test]
fn text_says_what_the_recovered_database_says() {
    let folder = TempDir::new().expect("a folder");
    let damaged = common::files(&corpus().join("cyrus-3.6.1/damaged"), &|path| path.ends_with("before.db"));
    let mut compared = 0;
    for file in damaged {
        let database = folder.path().join("recovered.db");
        let output = coroner(["recover".as_ref(), file.as_path(), "--force".as_ref(), "-o".as_ref(), &database]);
        // A flat file without records has no bytes, and a file without bytes is not read.
        let empty = |path: &Path| fs::metadata(path).expect("a file").len() == 0;
        if output.status.code() == Some(2) || empty(&file) || empty(&database) {
            continue;
        }
        let shown = coroner(["show".as_ref(), database.as_path()]).stdout;
        let recovered =
            |format: &str| coroner(["recover", file.to_str().expect("text"), "-o", "-", "--to", format]).stdout;
        assert_eq!(recovered("show"), shown, "{}", file.display());
        for format in ["json", "text"] {
            let converted = coroner(["convert", database.to_str().expect("text"), "-o", "-", "--to", format]).stdout;
            assert_eq!(recovered(format), converted, "{} as {format}", file.display());
        }
        compared += 1;
    }
    assert!(compared > 10);
}

#[test]
fn a_dump_becomes_a_database() {
    let folder = TempDir::new().expect("a folder");
    for (dump, of) in [
        ("cyrus-3.6.1/murder-twoskip/be1.twoskip.dump.json", "cyrus-3.6.1/murder-twoskip/be1.twoskip.db"),
        ("cyrus-2.4.22/murder-skiplist/be1.skiplist.dump.txt", "cyrus-2.4.22/murder-skiplist/be1.skiplist.db"),
    ] {
        let (dump, of, out) = (corpus().join(dump), corpus().join(of), folder.path().join("out"));
        let output = coroner(["recover".as_ref(), dump.as_path(), "--force".as_ref(), "-o".as_ref(), &out]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let output = coroner(["diff".as_ref(), "--exact".as_ref(), of.as_path(), out.as_path()]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
