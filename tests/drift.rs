//! Drift of real murders, against what their releases' `ctl_mboxlist -m -w` printed.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use bstr::ByteSlice;
use common::coroner;
use common::murders::{Murder, SERVERS, conflicts, murders};
use serde_json::Value as Json;

fn drift(murder: &Murder, more: &[&str], status: i32) -> Vec<u8> {
    let [be1, be2] = murder.named_backends();
    let master = murder.master.display().to_string();
    let arguments = [&["drift", "--master", &master, "--backend", &be1, "--backend", &be2], more].concat();
    let output = coroner(&arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The rows, and the summary behind them.
fn rows(murder: &Murder, more: &[&str], status: i32) -> (Vec<Json>, Json) {
    let text = drift(murder, &[&["--json"], more].concat(), status);
    let mut lines: Vec<Json> = text.lines().map(|line| serde_json::from_slice(line).expect("JSON")).collect();
    let summary = lines.pop().expect("a summary");
    assert!(lines.iter().all(|row| row["kind"] == "row" && row["schema"] == "coroner/drift/1"));
    assert_eq!((summary["kind"].as_str(), summary["rows"].as_u64()), (Some("summary"), Some(lines.len() as u64)));
    (lines, summary)
}

#[test]
fn what_a_push_would_do_is_what_every_release_printed() {
    for murder in murders().into_iter().chain([conflicts()]) {
        let status = i32::from([0, 1].iter().any(|number| !murder.planned(*number).is_empty()));
        // A mailbox on two backends, with a master that knows neither, is a disagreement too; its push is not empty.
        let (rows, _) = rows(&murder, &[], status);
        for (number, server) in SERVERS.iter().enumerate() {
            let mut would = BTreeSet::new();
            for row in &rows {
                for push in row["push"].as_array().expect("pushes").iter().filter(|push| push["backend"] == *server) {
                    let name = row["name"].as_str().expect("a name");
                    let prints = push["prints"].as_array().expect("lines").iter();
                    would.extend(prints.map(|words| format!("{}: {name}", words.as_str().unwrap_or_default())));
                }
            }
            let planned = murder.planned(number).into_iter();
            let planned: BTreeSet<String> = planned.map(|line| line.to_str_lossy().into_owned()).collect();
            assert_eq!(would, planned, "{} {server}", murder.folder.display());
        }
    }
}

#[test]
fn every_kind_of_disagreement_is_named_and_mended() {
    let (rows, summary) = rows(&conflicts(), &[], 1);
    let found: BTreeMap<&str, &Json> = rows.iter().map(|row| (row["name"].as_str().expect("a name"), row)).collect();
    let classes = [
        ("user.carl.both", "duplicate-owner"),
        ("shared", "duplicate-owner"),
        ("user.carl.unlisted", "missing"),
        ("user.carl.gonebe1", "orphaned"),
        ("user.eve-lynn.acl", "acl-differs"),
        ("user.eve-lynn.aclorder", "acl-differs"),
        ("user.eve-lynn.part", "partition-differs"),
        ("user.eve-lynn.move1", "moving"),
        ("user.eve-lynn.move2", "moving"),
        ("user.eve-lynn.move3", "moving"),
        ("user.zz.res1", "stuck-reservation"),
        ("user.zz.res2", "stuck-reservation"),
        ("user.zz.res3", "stuck-reservation"),
        ("user.zz.tomb", "orphaned"),
        ("user.zz.third", "wrong-server"),
    ];
    for (name, class) in classes {
        assert_eq!(found[name]["class"], class, "{name}");
        assert!(!found[name]["mend"].as_array().expect("mends").is_empty(), "{name}");
    }
    assert!(!found.contains_key("user.zz.inter"), "nobody disagrees about a placeholder");
    assert_eq!(summary["wiped"], 4);
    assert_eq!(summary["hosts"], serde_json::json!([SERVERS[0], SERVERS[1], "master"]));
    assert_eq!(summary["matrix"][0][2], summary["matrix"][2][0]);
    let line = &found["user.zz.third"]["mend"][0]["mupdate"];
    assert_eq!(line, "ACTIVATE \"user.zz.third\" \"be1.murder.test!default\" \"x\tlrs\t\"");
}

#[test]
fn frontends_are_compared_with_their_master() {
    let murder = conflicts();
    let path = murder.folder.join("../murder-twoskip/fe1.twoskip.db").display().to_string();
    let named = format!("fe1={path}");
    let (rows, summary) = rows(&murder, &["--frontend", &named], 1);
    let has = |class: &str, name: &str| rows.iter().any(|row| row["class"] == class && row["name"] == name);
    assert!(has("frontend-missing", "user.zz.third"));
    assert!(has("frontend-orphaned", "shared"));
    assert_eq!(summary["hosts"][3], "fe1");
    // A master is its own frontend.
    let master = murder.master.display().to_string();
    let output = coroner(["drift", "--master", &master, "--frontend", &master]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_page_holds_all_it_needs_and_nothing_that_ends_it() {
    let murder = conflicts();
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("drift.html").display().to_string();
    // A dump of the master with a name that a page must not take for its own words.
    let dump = folder.path().join("master.txt").display().to_string();
    fs::write(&dump, "user.<\u{2f}script><b>\t1 be1.murder.test!default anyone\tlrs\t\n").expect("a dump");
    let [be1, _] = murder.named_backends();
    let output = coroner(["drift", "--master", &dump, "--backend", &be1, "--html", &page]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&page).expect("a page");
    assert_eq!(text.matches("</script>").count(), 2, "the data's and the program's");
    assert!(text.contains("user.\\u003c/script>\\u003cb>"), "the name, escaped");
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("src="), "self-contained");
    let data = text.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
    let data: Json = serde_json::from_str(data).expect("JSON");
    assert_eq!(data["hosts"].as_array().map(Vec::len), Some(2));
    assert_eq!(data["rows"].as_array().map(|rows| rows.len() as u64), data["total"].as_u64());
}
