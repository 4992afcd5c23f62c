//! The examining commands on genuine files: what each release itself says of them is what coroner says.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use coroner::formats::container::{Depth, Format, KeyOrder, detect_named, open};
use coroner::formats::finding::Severity;
use coroner::formats::record::{MbType, Numbering};
use data_encoding::BASE64;
use rayon::prelude::*;
use serde_json::{Map, Value as Json};

use common::{coroner, corpus, files};

/// Exit status, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, Vec<u8>, String) {
    let output = coroner(arguments);
    (output.status.code().expect("an exit status"), output.stdout, output.stderr.to_str_lossy().into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A line of JSON each.
#[track_caller]
fn objects(stdout: &[u8]) -> Vec<Map<String, Json>> {
    let object = |line: &[u8]| match serde_json::from_slice(line) {
        Ok(Json::Object(object)) => object,
        other => panic!("{other:?}: {}", line.as_bstr()),
    };
    stdout.lines().map(object).collect()
}

/// The bytes of a member: its text, or its `raw`.
fn bytes(object: &Map<String, Json>, member: &str) -> Vec<u8> {
    match &object.get("raw").and_then(|raw| raw.get(member)) {
        Some(raw) => BASE64.decode(raw.as_str().expect("base64").as_bytes()).expect("base64"),
        None => object[member].as_str().expect("text").as_bytes().to_vec(),
    }
}

/// Every damaged file of the corpus whose format is known.
fn damaged() -> Vec<(PathBuf, Format)> {
    let all = files(&corpus(), &|path| path.ends_with("before.db"));
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a corpus file");
        detect_named(&bytes, &path).format.map(|format| (path, format))
    };
    all.into_iter().filter_map(read).collect()
}

#[test]
fn show_is_what_each_release_shows() {
    let databases = common::undamaged();
    let shown = databases.par_iter().filter(|(path, _)| {
        let theirs = path.with_extension("show.txt");
        let Ok(theirs) = fs::read(&theirs) else { return false };
        let (status, ours, said) = run(&["show", text(path)]);
        assert!(ours == theirs, "{path:?}");
        assert_eq!((status, said.as_str()), (0, ""), "{path:?}");
        true
    });
    assert!(shown.count() >= 268);
}

#[test]
fn show_of_what_cyr_dbtool_showed_is_the_same() {
    let wanted = |path: &Path| text(path).contains("/murder-") && text(path).ends_with(".show.txt");
    for path in files(&corpus(), &wanted) {
        let (status, ours, said) = run(&["show", "--as", "show", text(&path)]);
        assert!(ours == fs::read(&path).expect("read"), "{path:?}");
        assert_eq!(status, 0, "{said}");
    }
}

#[test]
fn show_with_a_prefix_is_the_lines_that_start_with_it() {
    let releases = [("3.6.1", "flat"), ("3.6.1", "skiplist"), ("3.6.1", "twoskip"), ("3.13.7", "twom")];
    for (release, format) in releases {
        let path = corpus().join(format!("cyrus-{release}/murder-{format}/be1.{format}.db"));
        let all = fs::read(path.with_extension("show.txt")).expect("read");
        for prefix in ["N", "Nuser\x1fanna", "I", "Z"] {
            let expected: Vec<u8> = all
                .lines_with_terminator()
                .filter(|line| line.starts_with(prefix.as_bytes()))
                .flatten()
                .copied()
                .collect();
            let (status, ours, _) = run(&["show", text(&path), prefix]);
            assert_eq!((status, ours.as_bstr()), (0, expected.as_bstr()), "{path:?} {prefix:?}");
        }
    }
}

/// What is read of a damaged file, that something was found is said, and the exit status tells.
#[test]
fn show_of_a_damaged_file_is_all_that_can_be_carved() {
    damaged().par_iter().for_each(|(path, format)| {
        let image = fs::read(path).expect("read");
        let database = open(&image, *format);
        let mut worst = None;
        database.verify(Depth::Structure, &mut |finding| worst = worst.max(Some(finding.severity())));
        let (status, ours, said) = run(&["show", text(path)]);
        let lines: BTreeSet<BString> = ours.lines_with_terminator().map(BString::from).collect();
        if worst <= Some(Severity::Note) {
            assert_eq!((status, said.as_str()), (0, ""), "{path:?}");
            return;
        }
        assert_eq!(status, 1, "{path:?}: {said}");
        assert!(said.lines().all(|line| line.starts_with("coroner: ")) && said.contains("coroner verify"), "{said}");
        let kept = database.carve(KeyOrder::Unsigned).kept;
        for kept in &kept {
            let line = [&kept.record.key, &b"\t"[..], &kept.record.value, b"\n"].concat();
            let shown = line.lines_with_terminator().all(|line| lines.contains(line.as_bstr()));
            assert!(shown, "{path:?} lacks {:?}", line.as_bstr());
        }
    });
}

/// Damage that costs no record costs no line.
#[test]
fn damage_behind_the_last_record_costs_nothing() {
    let harmless =
        ["garbage-tail", "zero-tail", "header-crc", "header-dirty", "header-count", "bad-magic", "header-version"];
    let cases = damaged().into_iter().filter(|(path, _)| harmless.iter().any(|name| text(path).contains(name)));
    let seen = cases.map(|(path, format)| {
        let folder = path.parent().expect("a folder");
        let theirs = fs::read(folder.join("show.txt")).expect("read");
        let (status, ours, said) = run(&["show", text(&path)]);
        // A twom file ends in zeros anyway: no damage there.
        assert_eq!(status, i32::from(format != Format::Twom), "{path:?}: {said}");
        let ours: BTreeSet<&[u8]> = ours.lines().collect();
        assert!(theirs.lines().all(|line| ours.contains(line)), "{path:?}");
    });
    assert!(seen.count() >= 15);
}

/// A dump's line of an entry, taken apart without coroner's own reader.
#[derive(Debug, PartialEq, Eq)]
struct Dumped {
    name: Vec<u8>,
    members: Map<String, Json>,
}

/// The lines of a JSON dump: `"name": {…},`; a name that is not UTF-8 leaves the line empty but for its comma.
fn dumped_json(dump: &[u8]) -> Vec<Option<Dumped>> {
    let lines = dump.lines().filter(|line| !matches!(line, [b'{'] | [b'}'] | []));
    let entry = |line: &[u8]| {
        let line = line.strip_suffix(b",").unwrap_or(line);
        let object: Map<String, Json> = serde_json::from_slice(&[b"{", line, b"}"].concat()).expect("a line of a dump");
        let (name, value) = object.into_iter().next()?;
        let Json::Object(members) = value else { panic!("{value}") };
        Some(Dumped { name: name.into_bytes(), members })
    };
    lines.map(entry).collect()
}

#[test]
fn list_agrees_with_the_json_dump_of_each_release() {
    let pairs: Vec<_> = with_dump("dump.json").collect();
    assert!(pairs.len() >= 100, "{}", pairs.len());
    pairs.par_iter().for_each(|(path, dump)| {
        let (status, ours, said) = run(&["list", "--json", text(path)]);
        assert_eq!(status, 0, "{path:?}: {said}");
        let (ours, theirs) = (objects(&ours), dumped_json(dump));
        assert_eq!(ours.len(), theirs.len(), "{path:?}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let name = bytes(ours, "name");
            let Some(theirs) = theirs else {
                assert!(name.to_str().is_err(), "{path:?}: {:?} is missing from the dump", name.as_bstr());
                continue;
            };
            assert_eq!(name.as_bstr(), theirs.name.as_bstr(), "{path:?}");
            assert_same_entry(ours, &theirs.members, path);
        }
    });
}

/// Every member of the dump is what coroner says; its numbers are strings, and absent ones 0.
fn assert_same_entry(ours: &Map<String, Json>, theirs: &Map<String, Json>, path: &Path) {
    for (member, theirs) in theirs {
        let said = match member.as_str() {
            "name" | "name_history" => continue,
            "mtime" => ours.get("mtime").map_or(Json::from(0), |time| time["seconds"].clone()),
            "uidvalidity" | "createdmodseq" | "foldermodseq" => ours.get(member).cloned().unwrap_or(Json::from(0)),
            _ => ours.get(member).cloned().unwrap_or(Json::Null),
        };
        let said = if said.is_number() { Json::from(said.to_string()) } else { said };
        assert_eq!(&said, theirs, "{path:?}: {member} of {ours:?}");
    }
    for member in ["server", "partition", "uniqueid", "jmapId"] {
        assert_eq!(ours.contains_key(member), theirs.contains_key(member), "{path:?}: {member} of {ours:?}");
    }
}

#[test]
fn list_agrees_with_the_text_dump_of_each_release() {
    let pairs: Vec<_> = with_dump("dump.txt").collect();
    assert!(pairs.len() >= 60, "{}", pairs.len());
    for (path, dump) in &pairs {
        let (status, ours, said) = run(&["list", "--json", text(path)]);
        assert_eq!(status, 0, "{path:?}: {said}");
        let ours = objects(&ours);
        let theirs: Vec<&[u8]> = dump.lines().collect();
        assert_eq!(ours.len(), theirs.len(), "{path:?}");
        let release = text(path.strip_prefix(corpus()).expect("below the corpus"));
        for (ours, line) in ours.iter().zip(theirs) {
            assert_eq!(line_of(ours, release).as_bstr(), line.as_bstr(), "{path:?}");
        }
    }
}

/// The line that a release prints of an entry.
fn line_of(entry: &Map<String, Json>, release: &str) -> Vec<u8> {
    let letters = MbType::from_letters(entry["mbtype"].as_str().expect("letters").as_bytes());
    let acl = entry["acl"].as_object().expect("an object").iter();
    let acl: String = acl.map(|(id, rights)| format!("{id}\t{}\t", rights.as_str().expect("rights"))).collect();
    let member = |name: &str| entry.contains_key(name).then(|| bytes(entry, name));
    let partition = member("partition").unwrap_or_else(|| b"(null)".to_vec());
    let located = match member("server") {
        // Without a partition the location is one word, which a database of 2.4 and older has in its place.
        Some(server) => [&server, &b"!"[..], &partition].concat(),
        None => partition.clone(),
    };
    let number = letters.number(Numbering::Old).to_string();
    let name = bytes(entry, "name");
    match release {
        _ if release.starts_with("cyrus-2.2") => [&name[..], b"\t", &located, b"\t", acl.as_bytes()].concat(),
        _ if release.starts_with("cyrus-2.5") => {
            [&name[..], b"\t", number.as_bytes(), b" ", &partition, b" ", acl.as_bytes()].concat()
        }
        _ => [&name[..], b"\t", number.as_bytes(), b" ", &located, b" ", acl.as_bytes()].concat(),
    }
}

/// Undamaged databases with the release's own dump beside them.
fn with_dump(ending: &str) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let ending = ending.to_owned();
    common::undamaged().into_iter().filter_map(move |(path, _)| {
        let dump = fs::read(path.with_extension(&ending)).ok()?;
        Some((path, dump))
    })
}

#[test]
fn list_filters() {
    let path = corpus().join("cyrus-3.6.1/murder-twoskip/mup.twoskip.db");
    let path = text(&path);
    let (_, all, _) = run(&["list", "--json", path]);
    let all = objects(&all);
    let count = |arguments: &[&str]| -> usize {
        let (status, out, _) = run(&[&["list", path, "--count"], arguments].concat());
        assert_eq!(status, 0);
        out.to_str_lossy().trim().parse().expect("a number")
    };
    let of = |wanted: &dyn Fn(&Map<String, Json>) -> bool| all.iter().filter(|object| wanted(object)).count();
    let server = |object: &Map<String, Json>| object.get("server") == Some(&Json::from("be1.murder.test"));
    let expected = [
        (count(&[]), all.len()),
        (count(&["--server", "be1.murder.test"]), of(&server)),
        (count(&["--server", ""]), 0),
        (count(&["--flag", "reserved"]), of(&|object| object["mbtype"].as_str().expect("letters").contains('z'))),
        (count(&["--flag", "z", "--server", "be1.murder.test"]), {
            of(&|object| server(object) && object["mbtype"].as_str().expect("letters").contains('z'))
        }),
        (count(&["--type", "calendar"]), of(&|object| object["type"] == "calendar")),
        (count(&["--prefix", "user.anna"]), {
            of(&|object| object["name"].as_str().expect("text").starts_with("user.anna"))
        }),
        (count(&["--user", "anna"]), {
            let owned = |name: &str| name == "user.anna" || name.starts_with("user.anna.");
            let deleted = |name: &str| name.starts_with("DELETED.user.anna.");
            of(&|object| object["name"].as_str().is_some_and(|name| owned(name) || deleted(name)))
        }),
    ];
    for (number, (ours, theirs)) in expected.into_iter().enumerate() {
        assert_eq!(ours, theirs, "case {number}");
    }
    assert!(count(&["--flag", "reserved"]) > 0 && count(&["--user", "anna"]) > 0);
}

/// The tiles of every file follow each other from 0 to its length.
#[test]
fn hexdump_covers_every_file() {
    let sound = common::undamaged().into_iter().filter(|(path, _)| !text(path).contains("/big/"));
    let all: Vec<_> = sound.chain(damaged()).collect();
    all.par_iter().for_each(|(path, _)| {
        let (status, out, said) = run(&["hexdump", "--json", text(path)]);
        assert!(status < 2, "{path:?}: {said}");
        let mut at = 0;
        for tile in objects(&out) {
            assert_eq!(tile["schema"], "coroner/hexdump/1");
            assert_eq!(tile["span"]["start"], at, "{path:?}");
            at = tile["span"]["end"].as_u64().expect("an offset");
        }
        assert_eq!(at, fs::metadata(path).expect("a file").len(), "{path:?}");
    });
}

#[test]
fn hexdump_chooses_tiles() {
    let path = corpus().join("cyrus-3.6.1/logtail/overwrites.twoskip.db");
    let tiles = |arguments: &[&str]| {
        let (status, out, said) = run(&[&["hexdump", "--json", text(&path)], arguments].concat());
        assert_eq!(status, 0, "{said}");
        objects(&out)
    };
    let all = tiles(&[]);
    let one = &all[5]["span"];
    let (start, end) = (one["start"].as_u64().expect("a start"), one["end"].as_u64().expect("an end"));
    assert_eq!(tiles(&["--offset", &start.to_string()]), all[5..6]);
    assert_eq!(tiles(&["--offset", &format!("0x{:x}", end - 1)]), all[5..6]);
    assert_eq!(tiles(&["--range", &format!("{start}..{}", end + 1)]), all[5..7]);
    assert_eq!(tiles(&["--findings"]), []);
    let (_, shown, _) = run(&["show", text(&path)]);
    let key = shown.lines().next_back().and_then(|line| line.split_once_str("\t")).expect("a record").0;
    let versions = tiles(&["--key", &coroner::render::text::printable(key)]);
    assert!(!versions.is_empty());
    assert_eq!(tiles(&["--key", "user.anna"]), tiles(&["--key", "Nuser\\x1Fanna"]));
    assert!(!tiles(&["--key", "user.anna"]).is_empty());
    for tile in versions {
        let fields = tile["fields"].as_array().expect("fields").iter().filter_map(Json::as_object);
        let field = fields.into_iter().find(|field| field["name"] == "key").expect("a key");
        let raw = field.get("raw").map(|raw| BASE64.decode(raw.as_str().expect("text").as_bytes()).expect("base64"));
        assert_eq!(raw.expect("a key with control bytes"), key);
    }
}

/// `FILE:0xSTART-0xEND: severity code: message`, then a verdict.
#[test]
fn verify_has_a_line_a_finding_and_a_verdict_a_file() {
    damaged().par_iter().for_each(|(path, _)| {
        let (status, out, said) = run(&["verify", text(path)]);
        let (_, json, _) = run(&["verify", "--json", text(path)]);
        let [document] = &objects(&json)[..] else { panic!("one line a file: {}", json.as_bstr()) };
        assert_eq!(document["schema"], "coroner/verify/1");
        assert!(said.is_empty(), "{said}");
        let out = out.to_str().expect("text");
        let mut lines: Vec<&str> = out.lines().collect();
        let verdict = lines.pop().expect("a verdict");
        let clean = verdict.contains(": clean (");
        assert_eq!(status, i32::from(!clean), "{verdict}");
        assert_eq!(document["verdict"] == "clean", clean, "{verdict}");
        lines.retain(|line| !line.contains(": … and "));
        let findings = document["findings"].as_array().expect("findings");
        assert_eq!(lines.len(), findings.len(), "{path:?}");
        for (line, finding) in lines.into_iter().zip(findings) {
            let start = finding["span"]["start"].as_u64().expect("an offset");
            let end = finding["span"]["end"].as_u64().expect("an offset");
            let (severity, code) =
                (finding["severity"].as_str().expect("text"), finding["code"].as_str().expect("text"));
            let head = format!("{}:0x{start:X}-0x{end:X}: {severity} {code}: ", path.display());
            assert!(line.starts_with(&head) && line.len() > head.len(), "{line}");
            for member in ["name", "message", "advice"] {
                assert!(finding[member].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
            }
            assert!(finding["trail"].is_array() && finding.get("expected").is_some() && finding.get("found").is_some());
        }
    });
}

#[test]
fn verify_finds_nothing_but_notes_in_most_genuine_files() {
    let names = ["murder-twoskip/be1.twoskip.db", "murder-skiplist/be1.skiplist.db", "murder-flat/be1.flat.db"];
    for name in names {
        let path = corpus().join("cyrus-3.6.1").join(name);
        let (status, out, _) = run(&["verify", text(&path), text(&path)]);
        assert_eq!(status, 0, "{}", out.as_bstr());
        assert_eq!(out.lines().filter(|line| line.contains_str(": clean (")).count(), 2);
    }
}

#[test]
fn one_file_that_cannot_be_read_does_not_hide_the_others() {
    let path = corpus().join("cyrus-3.6.1/murder-flat/be1.flat.db");
    let (status, out, said) = run(&["verify", "/nonexistent/mailboxes.db", text(&path)]);
    assert_eq!(status, 2);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(out.contains_str("clean (flat"), "{}", out.as_bstr());
}

#[test]
fn findings_of_one_rule_are_capped() {
    let path = corpus().join("cyrus-3.6.1/damaged/flat/crlf/before.db");
    let lines = |arguments: &[&str]| {
        let (status, out, _) = run(&[&["verify", text(&path)], arguments].concat());
        assert_eq!(status, 1);
        out.to_str().expect("text").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, few) = (lines(&["--max-findings", "100000"]), lines(&["--max-findings", "3"]));
    assert!(all.len() > 100 && few.len() < 20, "{} {}", all.len(), few.len());
    let more = few.iter().find(|line| line.contains("… and ")).expect("how many more");
    assert!(more.contains("more of FLAT-"), "{more}");
    assert_eq!(all.last(), few.last());
}

/// What is the same content, whatever the engine: a digest tells, exactly as `diff --exact` does.
#[test]
fn digests_are_equal_exactly_when_diff_finds_nothing() {
    let wanted = |path: &Path| {
        let below = path.strip_prefix(corpus().join("cyrus-3.6.1")).unwrap_or(path);
        let name = text(path);
        (below.starts_with("converted") || below.starts_with("repacked") || below.starts_with("murder-flat"))
            && (name.ends_with(".db") || name.ends_with(".dump-y.json"))
    };
    let paths = files(&corpus().join("cyrus-3.6.1"), &wanted);
    let (_, out, _) = run(&[vec!["digest"], paths.iter().map(|path| text(path)).collect()].concat());
    let digests: Vec<&[u8]> = out.lines().filter_map(|line| line.fields().next()).collect();
    assert_eq!(digests.len(), paths.len());
    let pairs: Vec<(usize, usize)> = (0..paths.len()).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
    let equal = pairs.par_iter().filter(|&&(a, b)| {
        let (status, out, said) = run(&["diff", "--exact", text(&paths[a]), text(&paths[b])]);
        assert_eq!(digests[a] == digests[b], status == 0, "{:?} {:?} {said} {}", paths[a], paths[b], out.as_bstr());
        status == 0
    });
    assert!(equal.count() >= 8);
}

#[test]
fn diff_tells_added_removed_and_changed_field_by_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, lines: &str| {
        let path = folder.path().join(name);
        fs::write(&path, lines).expect("written");
        path
    };
    let a = write(
        "a.db",
        "user.a\t%(A %(a lrs) P default V 1 M 1600000000)\nuser.b\t%(A %(b lrs) P default M 1)\nuser.c\t%(A %() P p2 M 1)\n",
    );
    let b = write(
        "b.db",
        "user.a\t%(A %(a lrsw) P p2 V 1 M 1700000000)\nuser.c\t%(A %() P p2 M 2)\nuser.d\t%(A %(d lrs) P default M 1)\n",
    );
    let (status, out, _) = run(&["diff", text(&a), text(&b)]);
    let expected = "\
~ user.a
    partition: default -> p2
    acl: a lrs -> a lrsw
- user.b e default b lrs
+ user.d e default d lrs
";
    assert_eq!(status, 1);
    assert!(out.starts_with_str(expected), "{}", out.as_bstr());
    assert!(out.ends_with_str("1 added, 1 removed, 1 changed\n"), "{}", out.as_bstr());
    let (status, exact, _) = run(&["diff", "--exact", text(&a), text(&b)]);
    assert_eq!(status, 1);
    assert!(exact.contains_str("~ user.c\n    mtime: 1 -> 2\n"), "{}", exact.as_bstr());
    let (_, json, _) = run(&["diff", "--json", text(&a), text(&b)]);
    let changes: Vec<Json> = objects(&json).iter().map(|change| change["change"].clone()).collect();
    assert_eq!(changes, ["changed", "removed", "added"]);
    let (status, same, _) = run(&["diff", "--exact", text(&a), text(&a)]);
    assert_eq!(status, 0, "{}", same.as_bstr());
}

/// Format, counts and guesses agree with what is known of how the files were made.
#[test]
fn inspect_tells_what_a_file_is() {
    let wanted = |path: &Path| text(path).contains("/murder-") && !text(path).contains("after");
    let databases: Vec<_> = common::undamaged().into_iter().filter(|(path, _)| wanted(path)).collect();
    assert!(databases.len() >= 40, "{}", databases.len());
    databases.par_iter().for_each(|(path, format)| {
        let (_, out, said) = run(&["inspect", "--json", text(path)]);
        let [object] = &objects(&out)[..] else { panic!("{said}") };
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(object["schema"], "coroner/inspect/1");
        assert_eq!(object["format"], format.as_str());
        assert_eq!(object["len"], fs::metadata(path).expect("a file").len());
        if let Ok(shown) = fs::read(path.with_extension("show.txt")) {
            assert_eq!(object["records"], shown.lines().count(), "{path:?}");
        }
        let (_, listed, _) = run(&["list", "--all", "--count", text(path)]);
        assert_eq!(object["mailboxes"].to_string(), listed.to_str_lossy().trim(), "{path:?}");
        let roles = object["role"]["likely"].as_array().expect("roles");
        let role = match &file[..2] {
            "mu" => "master",
            "fe" => "frontend",
            _ => "backend",
        };
        assert!(roles.contains(&Json::from(role)), "{path:?}: {roles:?}");
        let (_, page, _) = run(&["inspect", text(path)]);
        assert!(page.contains_str("likely role") && page.contains_str("verdict"), "{}", page.as_bstr());
    });
}

#[test]
fn every_json_line_keeps_the_conventions() {
    let path = corpus().join("cyrus-2.4.22/murder-skiplist/mup.skiplist.db");
    for command in ["inspect", "verify", "show", "list", "hexdump", "digest"] {
        let (_, out, _) = run(&[command, "--json", text(&path)]);
        assert!(out.is_ascii() || out.to_str().is_ok(), "{command}");
        assert!(!out.iter().any(|&byte| byte < b' ' && byte != b'\n'), "{command}");
        let lines = objects(&out);
        assert!(!lines.is_empty());
        for object in lines {
            assert_eq!(object["schema"], format!("coroner/{command}/1"));
        }
    }
    let (_, out, _) = run(&["list", "--json", text(&path)]);
    let strange =
        objects(&out).into_iter().find(|object| object.contains_key("raw")).expect("a name that is not UTF-8");
    assert_eq!(bytes(&strange, "name").as_bstr(), b"user.d\xe9j\xe0".as_bstr());
    assert_eq!(strange["name"], "user.d\u{e9}j\u{e0}");
    assert!(out.contains_str("user.d\\u00e9j\\u00e0"));
}
