//! Recoveries rehearsed with the lists of real murders, held against what the real 3.6.1 made of them.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use common::{coroner, corpus};
use coroner::formats::record::Era;
use coroner::murder::door::Namespace;
use coroner::murder::drill::rehearse::{Plan, Recovery, Survivors, rehearse};
use coroner::murder::drill::theatre::listing;
use coroner::murder::host::backend::{self, DeleteMode};
use coroner::murder::host::disk::Disk;
use coroner::murder::host::master;
use coroner::murder::host::porch::Users;
use coroner::murder::host::request::{Data, Manner, Request};
use coroner::murder::world::World;
use coroner::murder::world::setup::Setup;

fn bytes(path: &str) -> Vec<u8> {
    fs::read(corpus().join(path)).expect("a genuine file")
}

/// The lines of a push that a real backend logged, by backend.
fn pushed(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut pushed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut host = String::new();
    for line in text.lines() {
        if let Some((name, _)) = line.split_once(": rc=") {
            name.clone_into(&mut host);
        } else if let Some(said) = line.trim().strip_prefix("warning ctl_mboxlist: ") {
            pushed.entry(host.clone()).or_default().push(said.to_owned());
        }
    }
    pushed
}

#[test]
fn pushes_do_to_every_conflict_what_real_ones_did() {
    let set = "cyrus-3.6.1/conflicts";
    let mut world = World::new();
    let name = b"mup.murder.test".to_vec();
    // The real one was started without its recovery, which would have dropped reservations.
    let setup = Setup::Master(master::Config {
        name: name.clone(),
        era: Era::V3_6,
        manner: Manner::Manual,
        update_wait: Duration::ZERO,
        allow_empty: false,
        epoch: 1_795_000_000,
        defect: None,
    });
    let disk = |host: &str| Disk::of(bytes(&format!("{set}/{host}.twoskip.db"))).expect("a database");
    let master = world.add(setup, disk("mup"));
    world.start(master).expect("a sound list");
    let recorded = pushed(&String::from_utf8(bytes(&format!("{set}/result.txt"))).expect("text"));
    for host in ["be1", "be2"] {
        let setup = Setup::Backend(backend::Config {
            name: format!("{host}.murder.test").into_bytes(),
            master: Some(name.clone()),
            era: Era::V3_6,
            partition: b"default".to_vec(),
            manner: Manner::Cyrus36,
            delete_mode: DeleteMode::Delayed,
            users: Users::anyone(&["cyrus"]),
            namespace: Namespace { separator: b'.' },
            epoch: 1_795_000_000,
            defect: None,
        });
        let id = world.add(setup, disk(host));
        world.start(id).expect("a sound list");
        let number = world.order(id, Request::Sync { dry_run: false, authoritative: false });
        let answer = world.wait_for(number, Duration::from_secs(600)).expect("an answer");
        let Data::Lines(lines) = answer.data else { panic!("no lines: {}", answer.text) };
        assert_eq!(lines, recorded[host], "{host}");
    }
    // What the master then had: keys and values as `cyr_dbtool show` printed them.
    let ours = listing(world.disk(master).bytes());
    let text = bytes(&format!("{set}/after-m-be2/mup.twoskip.show.txt"));
    let folder = tempfile::tempdir().expect("a folder");
    let (show, theirs) = (folder.path().join("mup.show"), folder.path().join("mup.db"));
    fs::write(&show, text).expect("written");
    let options = ["--as", "show", "--to", "twoskip"];
    let paths = [show.to_str().expect("a path"), "-o", theirs.to_str().expect("a path")];
    let output = coroner([&["convert"], &paths[..], &options[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = listing(&fs::read(&theirs).expect("written"));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, row) in &theirs {
        assert_eq!(&ours[name], row, "{}", String::from_utf8_lossy(name));
    }
    assert!(theirs.len() > 70);
}

fn survivors() -> Survivors {
    let set = "cyrus-3.6.1/murder-twoskip";
    let list = |host: &str| (format!("{host}.murder.test"), bytes(&format!("{set}/{host}.twoskip.db")));
    Survivors { master: None, backends: vec![list("be1"), list("be2")], frontends: vec![list("fe1")] }
}

#[test]
fn a_hard_recovery_with_the_tools_of_cyrus_deletes_what_two_backends_have() {
    let plan = |manner, frontends_run| Plan { recovery: Recovery::Hard, manner, frontends_run };
    let cyrus = rehearse(&survivors(), &plan(Manner::Cyrus36, false)).expect("a rehearsal");
    let wiped: Vec<_> = cyrus.wiped().map(|end| (&end.host[..], end.lost.len())).collect();
    assert_eq!(wiped, [("be2.murder.test", 2)]);
    assert_eq!(cyrus.differences, Vec::<String>::new());
    let ours = rehearse(&survivors(), &plan(Manner::Manual, false)).expect("a rehearsal");
    assert_eq!(ours.wiped().count(), 0);
    assert_eq!(ours.differences, ["shared: be1 and be2 have it", "shared.news: be1 and be2 have it"]);
    // Frontends that are not stopped first reach an empty master: one of 3.6.1 tells them so, and they believe it.
    let frontend = |rehearsed: &coroner::murder::drill::rehearse::Rehearsed| {
        rehearsed.ends.iter().find(|end| end.role == "frontend").map(|end| (end.before, end.after)).expect("a frontend")
    };
    let running = rehearse(&survivors(), &plan(Manner::Manual, true)).expect("a rehearsal");
    assert_eq!(frontend(&running), (75, 77));
}

#[test]
fn a_dump_of_the_master_is_of_use_only_with_coroner() {
    let dump = bytes("cyrus-3.6.1/murder-twoskip/mup.twoskip.dump.json");
    let dump = coroner::murder::drill::dump::convert(&dump).expect("a dump");
    let plan = |manner| Plan { recovery: Recovery::Dump(dump.clone()), manner, frontends_run: false };
    let mut alone = survivors();
    alone.frontends.clear();
    for manner in Manner::ALL {
        let rehearsed = rehearse(&alone, &plan(manner)).expect("a rehearsal");
        let forced = rehearsed.ends.iter().flat_map(|end| &end.push).filter(|line| line.starts_with("Force Activate"));
        // 3.6.1's -u restored nothing, so that the backends have to tell the master of everything.
        match manner {
            Manner::Manual => assert_eq!(forced.count(), 16),
            Manner::Cyrus36 => assert_eq!(forced.count(), 77),
        }
    }
}

#[test]
fn the_command_says_what_would_be_lost_and_touches_nothing() {
    let set = corpus().join("cyrus-3.6.1/murder-twoskip");
    let file = |host: &str| set.join(format!("{host}.twoskip.db"));
    let paths: Vec<PathBuf> = ["be1", "be2", "fe1"].map(file).to_vec();
    let before: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a file")).collect();
    let named = |host: &str| format!("{host}.murder.test={}", file(host).display());
    let (be1, be2, fe1) = (named("be1"), named("be2"), named("fe1"));
    let lists = ["--backend-db", &be1, "--backend-db", &be2, "--frontend-db", &fe1];
    let run = |more: &[&str]| coroner([&["murder", "rehearse"], &lists[..], more].concat());
    let output = run(&["--recovery", "hard"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("DELETED with its messages: shared.news"), "{text}");
    let output = run(&["--recovery", "frontend-copy", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(document["schema"], "coroner/murder-rehearse/1");
    assert_eq!(document["rehearsals"].as_array().map(Vec::len), Some(2));
    let after: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("a file")).collect();
    assert!(before == after);
    let output = run(&["--recovery", "dump"]);
    assert_eq!(output.status.code(), Some(2), "a dump has to be named");
}

#[test]
fn what_is_wrong_with_a_list_is_said() {
    let set = corpus().join("cyrus-3.6.1/murder-twoskip");
    let be1 = format!("be1.murder.test={}", set.join("be1.twoskip.db").display());
    let folder = tempfile::tempdir().expect("a folder");
    let run = |dump: &std::path::Path, more: &[&str]| {
        let dump = dump.to_str().expect("a path");
        let options = ["murder", "rehearse", "--recovery", "dump", "--dump", dump, "--manner", "manual"];
        coroner([&options[..], more].concat())
    };
    // What is no dump is not taken for one without mailboxes.
    let output = run(std::path::Path::new("/etc/passwd"), &["--backend-db", &be1]);
    assert_eq!(output.status.code(), Some(2));
    // Of one that was cut off, what is missing is not passed over in silence.
    let cut = folder.path().join("cut.json");
    let whole = bytes("cyrus-3.6.1/murder-twoskip/mup.twoskip.dump.json");
    fs::write(&cut, &whole[..whole.len() / 2]).expect("written");
    let output = run(&cut, &["--backend-db", &be1]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cut.json"), "{output:?}");
    // A dump of an older release is read as well.
    let output = run(&corpus().join("cyrus-2.4.22/murder-skiplist/mup.skiplist.dump.txt"), &["--backend-db", &be1]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("listed at the master, and no backend has it"), "{text}");
    // A damaged list says so, also if nothing would be lost with it.
    let hole = corpus().join("cyrus-3.6.1/damaged/twoskip/hole/before.db");
    let damaged = format!("be1.murder.test={}", hole.display());
    let output = coroner(["murder", "rehearse", "--recovery", "hard", "--manner", "manual", "--backend-db", &damaged]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TWO-17"), "{output:?}");
}
