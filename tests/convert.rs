//! Conversions of genuine files: between containers, between hosts of a murder, and of dumps.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use bstr::ByteSlice;
use coroner::formats::container::Format;
use coroner::formats::record::{Entry, Key, KeyStyle, Style, decode};
use rayon::prelude::*;
use serde_json::Value;

use common::{coroner, corpus, digest, records};

const CONTAINERS: [&str; 3] = ["skiplist", "twoskip", "flat"];

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Converts with these options; panics unless it ends with `status`.
fn convert(file: &Path, out: &Path, options: &[&str], status: i32) -> Output {
    let output = coroner([&["convert", text(file), "-o", text(out), "--force"], options].concat());
    let said = output.stderr.as_bstr();
    assert_eq!(output.status.code(), Some(status), "{file:?} {options:?}: {said} {}", output.stdout.as_bstr());
    output
}

#[test]
fn every_container_holds_the_same_and_gives_it_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let databases = common::undamaged();
    assert!(databases.len() >= 270, "only {} databases", databases.len());
    databases.par_iter().enumerate().for_each(|(number, (path, format))| {
        let wanted = digest(path);
        let mut sorted = records(path);
        sorted.sort();
        for container in CONTAINERS {
            let there = folder.path().join(format!("{number}.{container}.db"));
            let back = folder.path().join(format!("{number}.{container}.back.db"));
            convert(path, &there, &["--to", container], 0);
            if fs::read(&there).expect("a file").is_empty() {
                assert_eq!((container, sorted.len()), ("flat", 0), "{path:?}");
                continue;
            }
            convert(&there, &back, &["--to", format.as_str()], 0);
            for written in [&there, &back] {
                if fs::read(written).expect("a file").is_empty() {
                    continue;
                }
                assert_eq!(digest(written), wanted, "{path:?} as {container}");
                let mut found = records(written);
                found.sort();
                assert_eq!(found, sorted, "{path:?} as {container}");
            }
        }
    });
}

#[test]
fn records_as_lines_come_back_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = |path: &Path| text(path).contains("/murder-") || text(path).contains("/racl-");
    let databases: Vec<_> = common::undamaged().into_iter().filter(|(path, _)| wanted(path)).collect();
    assert!(databases.len() > 50);
    databases.par_iter().enumerate().for_each(|(number, (path, format))| {
        let lines = folder.path().join(format!("{number}.show"));
        let back = folder.path().join(format!("{number}.db"));
        convert(path, &lines, &["--to", "show"], 0);
        assert_eq!(fs::read(&lines).expect("lines"), coroner([Path::new("show"), path]).stdout, "{path:?}");
        // Lines of 2.4 and older are a dump's, too.
        convert(&lines, &back, &["--to", format.as_str(), "--as", "show"], 0);
        assert_eq!(digest(&back), digest(path), "{path:?}");
    });
}

/// Folders of genuine murders with the ending of their files.
fn murders() -> Vec<(String, PathBuf, String)> {
    let wanted = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("mup.") && name.ends_with(".db") && name.matches('.').count() == 2
    };
    let murder = |path: PathBuf| {
        let folder = path.parent().expect("a folder").to_owned();
        let set = folder.file_name()?.to_str()?;
        let release = folder.parent()?.file_name()?.to_str()?.strip_prefix("cyrus-")?.to_owned();
        let format = coroner::formats::container::detect(&fs::read(&path).ok()?).format?;
        let known = matches!(format, Format::Skiplist | Format::Twoskip | Format::Flat);
        let ending = path.file_name()?.to_str()?.strip_prefix("mup")?.to_owned();
        (known && (set.starts_with("murder-") || set.starts_with("racl-"))).then_some((release, folder, ending))
    };
    let found: Vec<_> = common::files(&corpus(), &wanted).into_iter().filter_map(murder).collect();
    assert!(found.len() >= 15, "only {} murders", found.len());
    found
}

/// What a file says of each mailbox, but for the time it says it.
fn entries(path: &Path) -> BTreeMap<String, String> {
    let records = records(path);
    let style = Style::of(KeyStyle::guess(records.iter().map(|(key, value)| (&key[..], &value[..]))));
    let told = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let decoded = decode(key, value, &style);
        let Key::Mailbox(name) = &decoded.key else { return None };
        let entry = decoded.entry.unwrap_or_else(|| panic!("{path:?}: {name}"));
        Some((name.to_string(), said(&entry)))
    };
    records.iter().filter_map(told).collect()
}

fn said(entry: &Entry<'_>) -> String {
    let server = entry.server.as_deref().map(ByteSlice::as_bstr);
    let identity = (&entry.uniqueid, entry.uidvalidity, entry.foldermodseq, entry.createdmodseq);
    let partition = entry.partition.as_deref().map(ByteSlice::as_bstr);
    format!("{} {server:?} {partition:?} {:?} {identity:?}", entry.mbtype, entry.acl)
}

#[test]
fn backends_make_the_master_that_real_servers_made_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (release, murder, ending)) in murders().into_iter().enumerate() {
        let master = entries(&murder.join(format!("mup{ending}")));
        let mut made = BTreeMap::new();
        for backend in ["be1", "be2"] {
            let source = murder.join(format!("{backend}{ending}"));
            let out = folder.path().join(format!("{number}.{backend}"));
            convert(&source, &out, &["--role", "master", "--server", &format!("{backend}.murder.test")], 0);
            for (name, says) in entries(&out) {
                // Where two backends claim one mailbox, the corpus' XFER crashed midway: the master has it reserved.
                made.entry(name).or_insert_with(Vec::new).push(says);
            }
        }
        let mut missing = Vec::new();
        let mut same = 0;
        for (name, says) in &made {
            // Releases since 3.6 send an empty partition when they rename or delete.
            let unlocated = |says: &str| says.replace("Some(\"default\")", "Some(\"\")");
            match master.get(name) {
                Some(theirs) if says.contains(theirs) => same += 1,
                Some(theirs) if says.iter().any(|ours| unlocated(ours) == *theirs) => same += 1,
                Some(theirs) if theirs.starts_with("erz ") => {}
                theirs => missing.push((name, says, theirs)),
            }
        }
        // What else differs was put on the master by hand, or never told it by 3.6.1 (an immediate delete).
        assert!(missing.len() <= 6, "{release} {murder:?}: {missing:#?}");
        assert!(same >= 25, "{release} {murder:?}: only {same} alike, {missing:#?}");
        let only = master.iter().filter(|(name, says)| !made.contains_key(*name) && !says.starts_with("erz"));
        let own = only.filter(|(_, says)| says.contains("\"be1.") || says.contains("\"be2."));
        assert!(own.count() <= 6, "{release} {murder:?}");
    }
}

#[test]
fn a_frontend_makes_its_master() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (release, murder, ending)) in murders().into_iter().enumerate() {
        let (master, frontend) = (murder.join(format!("mup{ending}")), murder.join(format!("fe1{ending}")));
        for container in CONTAINERS {
            let out = folder.path().join(format!("{number}.{container}.db"));
            convert(&frontend, &out, &["--role", "master", "--to", container], 0);
            let (ours, mut theirs) = (entries(&out), entries(&frontend));
            if release == "2.3.19" || release == "2.4.22" || release == "2.2.13" {
                // A location without '!': the same text, said of another field.
                theirs.insert("user.bare".to_owned(), ours["user.bare"].clone());
            }
            assert_eq!(ours, theirs, "{release} {murder:?}");
            if release == "3.12.3" && murder.ends_with("racl-twoskip") {
                // Its servers crashed at every ACL with a group, before the frontend heard of it.
                continue;
            }
            let differing = entries(&master).iter().filter(|(name, says)| ours.get(*name) != Some(says)).count();
            // The copies of 3.6.1 were taken while its backends were still moving and renaming mailboxes.
            let on_the_way = if release == "3.6.1" { 9 } else { 1 };
            assert!(differing <= on_the_way, "{release} {murder:?}: {differing} of the master's differ");
        }
    }
}

#[test]
fn a_master_tells_what_each_backend_should_have() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (release, murder, ending)) in murders().into_iter().enumerate() {
        let (master, backend) = (murder.join(format!("mup{ending}")), murder.join(format!("be2{ending}")));
        let out = folder.path().join(number.to_string());
        let status =
            if release.starts_with("3.1") || release.starts_with("3.6") || release.starts_with("3.8") { 1 } else { 0 };
        convert(&master, &out, &["--role", "backend", "--server", "BE2.murder.test"], status);
        let (expected, have) = (records_by_name(&out), records_by_name(&backend));
        let both = expected.keys().filter(|name| have.contains_key(*name)).count();
        assert!(both >= 10, "{release}: {both} of {}", expected.len());
        assert!(expected.values().all(|(server, remote)| !server && !remote), "{release}: local entries only");
        assert!(expected.keys().filter(|name| !have.contains_key(*name)).count() <= 3, "{release}");
    }
}

/// Whether each mailbox names a server, and is remote.
fn records_by_name(path: &Path) -> BTreeMap<String, (bool, bool)> {
    let listed = coroner(["list", "--json", text(path)]).stdout;
    let entry = |line: &[u8]| serde_json::from_slice::<Value>(line).expect("an object");
    let told = |entry: Value| {
        let remote = entry["mbtype"].as_str().is_some_and(|letters| letters.contains('r'));
        (entry["name"].as_str().expect("a name").to_owned(), (entry.get("server").is_some(), remote))
    };
    listed.lines().map(entry).map(told).collect()
}

#[test]
fn a_masters_dump_becomes_the_master_again() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (release, murder, ending)) in murders().into_iter().enumerate() {
        let stem = format!("mup{}", ending.trim_end_matches(".db"));
        let dump = ["dump.txt", "dump.json"].map(|kind| murder.join(format!("{stem}.{kind}"))).into_iter();
        let dump = dump.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{murder:?}: no dump"));
        let master = entries(&murder.join(format!("mup{ending}")));
        let out = folder.path().join(number.to_string());
        let mut options = vec!["--role", "master", "--era", &release, "--to", "twoskip"];
        let frontend = murder.join(format!("fe1{ending}"));
        if release == "2.5.17" {
            // Its dumps leave servers out.
            let refused = coroner([&["convert", text(&dump), "-o", text(&out), "--force"], &options[..]].concat());
            assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr.as_bstr());
            assert!(!out.exists());
            options.extend(["--witness", text(&frontend)]);
        }
        let output = coroner([&["convert", text(&dump), "-o", text(&out), "--force"], &options[..]].concat());
        assert!(output.status.code().is_some_and(|code| code < 2), "{}", output.stderr.as_bstr());
        let ours = entries(&out);
        for (name, says) in &master {
            let reserved = says.starts_with("erz") && release == "2.2.13";
            // A name that is not UTF-8 is missing in Cyrus' JSON.
            let unspeakable = name.contains('\u{FFFD}') && text(&dump).ends_with("json");
            if name == "user.bare" || unspeakable {
                continue;
            }
            let wanted = if reserved { says.replacen("erz", "er", 1) } else { says.clone() };
            assert_eq!(ours.get(name), Some(&wanted), "{release} {murder:?} {name}");
        }
        assert!(ours.len() <= master.len(), "{release}");
        if release != "2.5.17" && !text(&dump).ends_with("json") {
            assert_eq!(output.status.code(), Some(0), "{release}: {}", output.stdout.as_bstr());
        }
    }
}

#[test]
fn the_servers_that_2_5_left_out_come_from_backends_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let murder = corpus().join("cyrus-2.5.17/murder-twoskip");
    let (dump, out) = (murder.join("mup.twoskip.dump.txt"), folder.path().join("out"));
    let witness =
        |backend: &str| format!("{backend}.murder.test={}", text(&murder.join(format!("{backend}.twoskip.db"))));
    let (first, second) = (witness("be1"), witness("be2"));
    let options = ["--role", "master", "--to", "flat", "--witness", &first, "--witness", &second];
    convert(&dump, &out, &options, 1);
    let (ours, master) = (entries(&out), entries(&murder.join("mup.twoskip.db")));
    assert!(ours.len() >= 40 && ours.iter().all(|(name, says)| master.get(name) == Some(says)), "{ours:#?}");
}

#[test]
fn what_json_holds_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, (release, murder, ending)) in murders().into_iter().enumerate() {
        if !release.starts_with("3.1") && !release.starts_with("3.6") && !release.starts_with("3.8") {
            continue;
        }
        for host in ["be1", "be2", "mup"] {
            let source = murder.join(format!("{host}{ending}"));
            let (dump, back) =
                (folder.path().join(format!("{number}.json")), folder.path().join(format!("{number}.db")));
            // A name that is not UTF-8 is the one thing that a JSON dump can't hold.
            let odd = entries(&source).keys().filter(|name| name.contains('\u{FFFD}')).count();
            convert(&source, &dump, &["--to", "json"], i32::from(odd > 0));
            convert(&dump, &back, &["--to", "twoskip", "--era", &release], 0);
            let wanted = |(key, _): &(Vec<u8>, Vec<u8>)| {
                !key.starts_with(b"A") && !key.starts_with(b"J") && !key.contains(&0xE9)
            };
            let ours: Vec<_> = records(&back).into_iter().filter(wanted).collect();
            let theirs: Vec<_> = records(&source).into_iter().filter(wanted).collect();
            let mut sorted = theirs;
            sorted.sort();
            let (ours, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) =
                (ours.into_iter().collect(), sorted.into_iter().collect());
            for (key, value) in &theirs {
                // A dump does not tell an empty ACL from none.
                let value = if value.starts_with(b"%(T ed") { value.replace(" A %()", "") } else { value.clone() };
                let value = &value;
                let orphan = key.starts_with(b"I") && !ours.contains_key(key);
                assert!(
                    orphan || ours.get(key) == Some(value),
                    "{release} {host} {:?}: {:?} {:?}",
                    key.as_bstr(),
                    value.as_bstr(),
                    ours.get(key).map(|v| v.as_bstr())
                );
            }
        }
    }
}

#[test]
fn damaged_files_give_what_can_be_read_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    for damaged in ["twoskip/bitflip-value", "twoskip/hole", "skiplist/truncated-60", "skiplist/bad-type", "flat/nul"] {
        let source = corpus().join("cyrus-3.6.1/damaged").join(damaged).join("before.db");
        let out = folder.path().join(damaged.replace('/', "-"));
        let output = convert(&source, &out, &["--to", "twoskip"], 1);
        assert!(output.stderr.contains_str(b"see them all with `coroner verify`"), "{damaged}");
        assert_eq!(digest(&out), digest(&source), "{damaged}");
        assert_eq!(coroner(["verify", text(&out)]).status.code(), coroner(["verify", text(&out)]).status.code());
    }
}

#[test]
fn strict_writes_nothing_that_would_be_less() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = corpus().join("cyrus-3.6.1/murder-twoskip/be1.twoskip.db");
    for (format, era) in [("twoskip", "2.4"), ("flat", "3.4"), ("text", "3.6"), ("json", "2.2")] {
        let out = folder.path().join(format);
        let options = ["convert", text(&source), "-o", text(&out), "--to", format, "--era", era, "--strict"];
        let refused = coroner(options);
        assert_eq!(refused.status.code(), Some(2), "{format} {era}: {}", refused.stderr.as_bstr());
        assert!(!out.exists());
    }
    let refused = coroner(["convert", text(&source), "-o", "-", "--to", "text", "--strict"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0));
    let out = folder.path().join("there");
    fs::write(&out, "mine").expect("a file");
    let refused = coroner(["convert", text(&source), "-o", text(&out), "--to", "flat"]);
    assert_eq!((refused.status.code(), &*fs::read(&out).expect("a file")), (Some(2), &b"mine"[..]));
}

#[test]
fn reports_name_each_field_that_was_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = corpus().join("cyrus-3.6.1/murder-twoskip/be1.twoskip.db");
    let (out, report) = (folder.path().join("out"), folder.path().join("report"));
    let output = convert(&source, &out, &["--era", "3.4", "--json", "--report", text(&report)], 1);
    let document: Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["schema"], "coroner/convert/1");
    let lines = fs::read(&report).expect("a report");
    let objects: Vec<Value> = lines.lines().map(|line| serde_json::from_slice(line).expect("an object")).collect();
    let lost = objects.iter().filter(|object| object["fate"] == "lost").count();
    assert_eq!(document["counts"]["lost"], lost);
    assert!(objects.iter().all(|object| object["schema"] == "coroner/convert/1" && object["why"].is_string()));
    assert!(objects.iter().any(|object| object["field"] == "name_history"));
}
