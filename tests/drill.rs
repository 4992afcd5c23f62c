//! The scenarios that come with coroner, in memory, and what is said of those that are wrong.

mod common;

use std::fs;

use bstr::ByteSlice;
use common::coroner;
use coroner::murder::drill::book;
use coroner::murder::drill::memory::Memory;
use coroner::murder::drill::play::{Databases, Outcome, play};
use coroner::murder::host::request::Manner;

#[test]
fn the_whole_book_goes_as_expected_in_both_manners() {
    let book = book::all().expect("a sound book");
    assert!(book.len() >= 26, "{} scenarios", book.len());
    let mut wrong = Vec::new();
    for (scenario, manner) in book.iter().flat_map(|scenario| Manner::ALL.map(|manner| (scenario, manner))) {
        let played = play(&mut Memory { verbose: false }, scenario, manner, &Databases::new());
        let played = played.unwrap_or_else(|cant| panic!("{}: {cant}", scenario.name));
        assert!(played.checked() > 0, "{} checks nothing", scenario.name);
        let odd = played.steps.iter().filter(|step| step.outcome != Outcome::Fine);
        wrong.extend(odd.map(|step| {
            let (name, manner) = (&scenario.name, manner.name());
            format!("{name}, {manner}: {}: {:?}, {:?}", step.text, step.said, step.outcome)
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_scenario_goes_the_same_way_twice() {
    for scenario in &book::all().expect("a sound book") {
        let play = || play(&mut Memory { verbose: true }, scenario, Manner::Cyrus36, &Databases::new());
        assert_eq!(play(), play(), "{}", scenario.name);
    }
}

/// What `coroner murder drill` says of a scenario of one's own, and its exit status.
fn drill(text: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.toml");
    fs::write(&path, text).expect("a scenario");
    let output = coroner(["murder", "drill", path.to_str().expect("a plain path")]);
    let text = |bytes: &[u8]| bytes.to_str().expect("text").to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_wrong_expectation_is_reported() {
    let right = "title = \"mine\"\n[[step]]\ndo = \"count mup\"\nexpect = \"6\"\n";
    let (status, said, _) = drill(right);
    assert_eq!(status, Some(0), "{said}");
    assert!(!said.contains("NOT AS EXPECTED"), "{said}");
    let (status, said, _) = drill(&right.replace("\"6\"", "\"7\""));
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("NOT AS EXPECTED, which is: 7"), "{said}");
}

#[test]
fn a_mistake_in_a_scenario_gets_one_clear_line() {
    let step = |step: &str| format!("title = \"mine\"\n[[step]]\ndo = \"agree\"\n[[step]]\n{step}\n");
    let mistakes = [
        (step("do = \"stop be9\""), "step 2: \"stop be9\": there is no host \"be9\" in this murder"),
        (step("do = \"dance be1\""), "step 2: \"dance be1\": there is no host \"dance\""),
        (step("do = \"anna@be1 DANCE\""), "step 2: \"anna@be1 DANCE\": no such command"),
        (step("do = \"wait long\""), "step 2: \"wait long\": \"long\" is no number"),
        (step("do = \"\""), "step 2: \"\": nothing is to be done"),
        (step("do = \"agree\"\nonly = \"mine\""), "\"mine\" is no manner: manual or cyrus-3.6"),
        (step("do = \"agree\"\nexpects = \"yes\""), "line 6: unknown field `expects`"),
        ("title = \"mine".to_owned(), "line 1: invalid basic string"),
        (String::new(), "line 1: missing field `title`"),
        ("title = \"m\"\n[murder]\nhosts = [\"mup\", \"cat\"]\n".to_owned(), "hosts are called mup"),
    ];
    for (text, wanted) in mistakes {
        let (status, said, complaint) = drill(&text);
        assert_eq!(status, Some(2), "{text:?}: {said} {complaint}");
        assert!(complaint.contains(wanted), "{text:?}: {complaint}");
        assert_eq!(complaint.lines().count(), 1, "{text:?}: {complaint}");
    }
}
