//! What the genuine files' records say of their era, their host's role and their own health.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use coroner_formats::finding::{Finding, Severity};
use coroner_formats::image::Span;
use coroner_formats::record::role::{self, Role};
use coroner_formats::record::*;

/// A `show` file's records, surveyed and checked step by step, or all at once in a number of parts.
struct Surveyed {
    survey: Survey,
    findings: Vec<Finding>,
}

fn survey(path: &Path, parts: usize) -> Surveyed {
    let records = common::shown_records(path);
    let style = Style::of(KeyStyle::guess(records.iter().map(|(key, value)| (&key[..], &value[..]))));
    let context = Context::new(style, |key| records.iter().any(|(have, _)| have == key));
    let mut findings = Vec::new();
    let mut whole = Survey::new(style);
    for part in records.chunks(records.len().div_ceil(parts).max(1)) {
        let mut survey = Survey::new(style);
        for (key, value) in part {
            let mut sink = |finding| findings.push(finding);
            if parts > 1 {
                examine(&mut survey, key, value, &context, Span::at(0, 1), &mut sink);
                continue;
            }
            let decoded = decode(key, value, &style);
            check(&decoded, value, &context, Span::at(0, 1), &mut sink);
            survey.push(&decoded, value, &context);
        }
        whole.merge(survey);
    }
    let walk = |visit: &mut cross::Visit<'_>| {
        records.iter().for_each(|(key, value)| visit(key, value, Span::at(0, 1)));
    };
    cross_check(&whole, &context, &walk, &mut |finding| findings.push(finding));
    Surveyed { survey: whole, findings }
}

/// `show` files that running servers of a murder wrote: `cyrus-X/murder-Y/HOST.Y.show.txt` and their like.
fn murder(wanted: impl Fn(&str) -> bool) -> Vec<std::path::PathBuf> {
    common::files("", |path| {
        let name = path.to_string_lossy();
        let servers = ["/murder-", "/racl-"].iter().any(|folder| name.contains(folder));
        name.ends_with(".show.txt") && servers && wanted(path.file_name().and_then(|name| name.to_str()).unwrap())
    })
}

fn host(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next()).unwrap()
}

#[test]
fn the_era_guess_allows_the_release_that_wrote_the_file() {
    let mut exact = BTreeSet::new();
    for path in murder(|_| true) {
        let release = Era::from_version(&common::release_of(&path)).unwrap();
        let guess = era::guess(&survey(&path, 1).survey).unwrap();
        assert!(guess.allows(release), "{}: {guess:?}", path.display());
        assert!(!guess.evidence.is_empty());
        if guess.oldest == guess.newest {
            exact.insert(release);
        }
    }
    let wanted = [Era::V2_5, Era::V3_0, Era::V3_2, Era::V3_4, Era::V3_12, Era::V3_13];
    assert_eq!(exact.into_iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn the_role_guess_names_the_host_of_the_file() {
    for path in murder(|_| true) {
        let guess = role::guess(&survey(&path, 1).survey);
        let wanted = match host(&path) {
            "mup" | "fe1" => [Role::Master, Role::Frontend],
            _ => [Role::Backend, Role::Standalone],
        };
        assert_eq!(guess.roles.get(..2), Some(&wanted[..]), "{}: {guess:?}", path.display());
        if wanted[0] == Role::Master {
            let same = |line: &String| line.contains("same records") || line.contains("few of this host");
            assert!(guess.evidence.iter().any(same), "{}: {guess:?}", path.display());
        }
    }
}

#[test]
fn masters_and_frontends_of_old_releases_lose_all_in_an_upgrade() {
    for path in murder(|name| name.starts_with("mup") || name.starts_with("fe1")) {
        let survey = survey(&path, 1).survey;
        let hazards = role::hazards(&survey, era::guess(&survey).as_ref());
        let old = survey.style.keys == KeyStyle::Plain;
        let dropped: u64 = hazards.iter().filter(|h| h.message.contains("upgrade drops them")).map(|h| h.count).sum();
        assert_eq!(dropped, if old { survey.mailboxes - survey.local } else { 0 }, "{}", path.display());
        let numbers = hazards.iter().any(|hazard| hazard.message.contains("types are numbers"));
        assert_eq!(numbers, common::release_of(&path).as_str() < "2.5", "{}", path.display());
    }
}

#[test]
fn a_database_surveyed_in_parts_says_the_same() {
    for path in murder(|name| name.starts_with("be1") || name.starts_with("mup")) {
        let (whole, parts) = (survey(&path, 1), survey(&path, 7));
        let said = |s: &Surveyed| {
            let s = &s.survey;
            let flags = Flag::ALL.map(|flag| s.flag(flag));
            let kinds = Kind::ALL.map(|kind| s.kind(kind));
            let keys = KeyFamily::ALL.map(|family| s.keys(family));
            let counts = [&s.servers, &s.partitions, &s.remote_partitions];
            let places = format!("{:?}", counts.map(|counts| counts.sorted()));
            (flags, kinds, keys, places, s.mtimes, era::guess(s), role::guess(s))
        };
        assert_eq!(said(&whole), said(&parts), "{}", path.display());
        assert_eq!(whole.findings.len(), parts.findings.len(), "{}", path.display());
    }
}

/// Rules that the records of each folder break with more than a note, and that they really break: the files of running
/// servers hold two names that mupdate let in; the others were edited, loaded from dumps, or lost records.
#[test]
fn genuine_files_break_only_the_rules_they_are_known_to_break() {
    let known: BTreeMap<&str, &str> = [
        ("2.2.13/undump", "REC-12 REC-26"),
        ("2.2.13/berkeley", "REC-12"),
        ("2.2.13/logtail", "REC-12"),
        ("2.3.19/undump", "REC-26"),
        ("2.3.19/upgrade-3.6.1", "REC-12 REC-26 REC-30"),
        ("2.4.22/undump", "REC-26"),
        ("2.4.22/upgrade-3.6.1", "REC-11 REC-12 REC-13 REC-26 REC-30"),
        ("2.4.22/upgrade-3.13.7", "REC-12 REC-13"),
        ("2.5.17/berkeley", "REC-14"),
        ("2.5.17/logtail", "REC-14"),
        ("2.5.17/mboxsort", "REC-14"),
        ("2.5.17/undump", "REC-13 REC-14 REC-19 REC-26"),
        ("2.5.17/upgrade-3.6.1", "REC-12 REC-13 REC-19 REC-21 REC-26 REC-30"),
        ("3.0.18/undump", "REC-19 REC-26"),
        ("3.0.18/upgrade-3.6.1", "REC-12 REC-13 REC-19 REC-21 REC-26 REC-30"),
        ("3.2.12/undump", "REC-19 REC-26"),
        ("3.2.12/upgrade-3.6.1", "REC-12 REC-13 REC-19 REC-21 REC-26 REC-30"),
        ("3.4.9/undump", "REC-19 REC-26"),
        ("3.4.9/upgrade-3.6.1", "REC-12 REC-13 REC-19 REC-21 REC-26 REC-30"),
        ("3.6.1/conflicts", "REC-15 REC-39 REC-42"),
        ("3.6.1/incidents", "REC-38"),
        ("3.6.1/logtail", "REC-30 REC-31 REC-38"),
        ("3.6.1/synthetic", "REC-15 REC-18 REC-38 REC-39 REC-42"),
        ("3.8.7/logtail", "REC-30 REC-38"),
        ("3.10.3/zeroskip", "REC-26 REC-30 REC-38"),
        ("3.12.3/logtail", "REC-30 REC-38"),
        ("3.12.3/upgrade-3.13.7", "REC-26"),
        ("3.13.7/logtail", "REC-30 REC-38"),
    ]
    .into();
    let mut broken: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for path in common::sound_shows() {
        let folder = path.strip_prefix(common::corpus()).unwrap().to_string_lossy().into_owned();
        let mut parts = folder.trim_start_matches("cyrus-").split('/');
        let folder = format!("{}/{}", parts.next().unwrap(), parts.next().unwrap());
        let grave = survey(&path, 1).findings.into_iter().filter(|finding| finding.severity() > Severity::Note);
        broken.entry(folder).or_default().extend(grave.map(|finding| finding.rule.code));
    }
    let mut wrong = Vec::new();
    for (folder, codes) in &broken {
        let servers = ["murder-", "racl-", "converted"].iter().any(|kind| folder.contains(kind));
        let expected = match known.get(&folder[..]) {
            Some(codes) => codes,
            None if servers && !folder.contains("3.6.1/") => "REC-26",
            None => "",
        };
        let codes = codes.iter().copied().collect::<Vec<_>>().join(" ");
        if codes != expected {
            wrong.push(format!("{folder}: {codes}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn cyrus_3_6_1_leaves_records_behind_when_it_deletes_mailboxes() {
    let outage = survey(&common::corpus().join("cyrus-3.6.1/incidents/outage/be1.twoskip.show.txt"), 1);
    let orphans = outage.findings.iter().filter(|finding| finding.rule == &rules::UNIQUEID_ORPHAN).count();
    assert_eq!(orphans, 5);
    let purged = survey(&common::corpus().join("cyrus-3.6.1/logtail/purged.twoskip.show.txt"), 1);
    let orphans = purged.findings.iter().filter(|finding| finding.rule == &rules::UNIQUEID_ORPHAN).count();
    assert_eq!(orphans, 60);
}
