//! A murder of real Cyrus hosts around coroner, on loopback.

mod common;

use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use common::murder::{Coroner, Host, Lab, Part, Rows, Talk, list, rows_of, wait, within};
use common::{coroner, corpus};
use rustix::process::Signal;

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A master's list with neighbours of every kind.
fn master_database(lab: &Lab) -> PathBuf {
    let path = lab.path("master.db");
    let options = ["--mailboxes", "2000", "--seed", "6", "--role", "master", "--servers", "3"];
    let output = coroner([&["synth", "-o", text(&path)], &options[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn serve(lab: &Lab, database: &Path, more: &[&str]) -> Coroner {
    Coroner::serve(lab.path("").as_path(), &[&["--role", "master", "--db", text(database), "--no-auth"], more].concat())
}

/// Waits until a server tells the same list, and has it in its database.
#[track_caller]
fn wait_for(what: &str, host: &Host, wanted: &Rows) {
    let mut last = None;
    let same = within(|| {
        last = list(host.mupdate);
        last.as_ref() == Some(wanted)
    });
    if !same {
        let last = last.unwrap_or_else(|| panic!("{what}: {} does not answer", host.name));
        let differs = |a: &Rows, b: &Rows| a.iter().filter(|(name, state)| b.get(*name) != Some(*state)).count();
        let some = wanted.iter().filter(|(name, state)| last.get(*name) != Some(*state)).take(5);
        let some: Vec<_> = some.map(|(name, _)| name.as_bstr()).collect();
        panic!(
            "{what}: {} lacks {} ({some:?}) and has {} other",
            host.name,
            differs(wanted, &last),
            differs(&last, wanted)
        );
    }
    let same = host.rows() == *wanted;
    assert!(same, "{what}: the database has {} entries, the list {}", host.rows().len(), wanted.len());
}

#[test]
fn a_real_frontend_follows_a_coroner_master() {
    let Some(lab) = Lab::find("a_real_frontend_follows_a_coroner_master") else { return };
    let database = master_database(&lab);
    let master = serve(&lab, &database, &["--listen", &format!("127.0.0.1:{}", common::murder::free_port())]);
    let port = master.port;
    let mut talk = Talk::open(port).expect("a master");
    for name in ["user.zed", "user.zed.sub", "user.zed-b", "user.zed b", "user.zoo", "user.a^b", "user.a^b.x"] {
        talk.ok(&format!("ACTIVATE \"{name}\" \"be1.murder.test!default\" \"anyone\tlrs\t\""));
    }
    talk.ok("RESERVE \"user.reserved\" \"be2.murder.test!default\"");
    let first = talk.ok("LIST");
    assert!(first.len() > 1900, "{} names", first.len());

    let mut frontend = lab.host("fe1", Part::Frontend(port), "twoskip");
    frontend.start();
    wait_for("the first list", &frontend, &first);

    talk.ok("ACTIVATE \"user.new\" \"be2.murder.test!p2\" \"new\tlrswip\tanyone\tp\t\"");
    talk.ok("ACTIVATE \"user.reserved\" \"be2.murder.test!default\" \"\"");
    talk.ok("DEACTIVATE \"user.zoo\" \"be3.murder.test!default\"");
    talk.ok("DELETE \"user.a^b.x\"");
    let changed = talk.ok("LIST");
    assert_ne!(changed, first);
    wait_for("changes", &frontend, &changed);

    // While they are apart, a mailbox goes whose absence makes a real frontend lose its neighbours.
    drop(talk);
    assert_eq!(master.stop(Signal::TERM), Some(0));
    assert_eq!(rows_of(&database), changed, "what a real Cyrus would read");
    let alone = serve(&lab, &database, &[]);
    let mut talk = Talk::open(alone.port).expect("a master");
    talk.ok("DELETE \"user.zed.sub\"");
    talk.ok("ACTIVATE \"user.later\" \"be1.murder.test!default\" \"later\tlrs\t\"");
    let later = talk.ok("LIST");
    assert!(later.contains_key(&b"user.zed-b"[..]));
    drop(talk);
    alone.stop(Signal::TERM);
    let _again = serve(&lab, &database, &["--listen", &format!("127.0.0.1:{port}")]);
    wait_for("the list after a reconnect", &frontend, &later);
}

#[test]
fn a_converted_dump_reaches_a_real_frontend_without_loss() {
    let Some(lab) = Lab::find("a_converted_dump_reaches_a_real_frontend_without_loss") else { return };
    for real in [true, false] {
        let engine = if real { "twoskip" } else { "skiplist" };
        let dump = corpus().join("cyrus-3.6.1/murder-twoskip/mup.twoskip.dump.json");
        let converted = lab.path(&format!("converted.{engine}.db"));
        let options = ["--to", engine, "--role", "master", "--era", "3.6"];
        let output = coroner([&["convert", text(&dump), "-o", text(&converted)], &options[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut wanted = rows_of(&converted);
        assert!(wanted.len() > 60, "{} entries", wanted.len());
        let mut master = None;
        let _ours;
        let port = if real {
            let host = master.insert(lab.host("mup", Part::Master, engine));
            host.put(&converted);
            host.start();
            // A real master drops reservations when it starts.
            wanted.retain(|_, (_, acl)| acl.is_some());
            host.mupdate
        } else {
            _ours = serve(&lab, &converted, &[]);
            _ours.port
        };
        wait("the master's list", || list(port).is_some());
        assert_eq!(list(port), Some(wanted.clone()));
        let mut frontend = lab.host(&format!("fe-{engine}"), Part::Frontend(port), engine);
        frontend.start();
        wait_for("the converted list", &frontend, &wanted);
    }
}
