//! Every genuine murder to every release series: nothing is lost but what the target can't hold, and the records have the
//! shapes of the target's own.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use coroner::formats::record::{Entry, Era, FieldKey, Flag, Key, KeyStyle, Style, Under, decode};
use rayon::prelude::*;
use serde_json::Value;

use common::{coroner, corpus, records};

/// The releases with genuine files, and the folder and engine of their murder.
const SOURCES: [(&str, &str, &str); 12] = [
    ("2.2.13", "murder-skiplist", "skiplist"),
    ("2.3.19", "murder-skiplist", "skiplist"),
    ("2.4.22", "murder-skiplist", "skiplist"),
    ("2.5.17", "murder-twoskip", "twoskip"),
    ("3.0.18", "murder-twoskip", "twoskip"),
    ("3.2.12", "murder-twoskip", "twoskip"),
    ("3.4.9", "racl-twoskip", "twoskip"),
    ("3.6.1", "murder-twoskip", "twoskip"),
    ("3.8.7", "murder-twoskip", "twoskip"),
    ("3.10.3", "murder-twoskip", "twoskip"),
    ("3.12.3", "murder-twoskip", "twoskip"),
    ("3.13.7", "murder-twoskip", "twoskip"),
];

/// The target eras, each with the release whose genuine files show its shapes.
const TARGETS: [(&str, &str); 12] = [
    ("2.2", "2.2.13"),
    ("2.3", "2.3.19"),
    ("2.4", "2.4.22"),
    ("2.5", "2.5.17"),
    ("3.0", "3.0.18"),
    ("3.2", "3.2.12"),
    ("3.4", "3.4.9"),
    ("3.6", "3.6.1"),
    ("3.8", "3.8.7"),
    ("3.10", "3.10.3"),
    ("3.12", "3.12.3"),
    ("3.13", "3.13.7"),
];

fn file(release: &str, host: &str) -> PathBuf {
    let (_, folder, engine) = SOURCES.iter().find(|(source, ..)| *source == release).expect("a release");
    corpus().join(format!("cyrus-{release}/{folder}/{host}.{engine}.db"))
}

fn style(records: &[(Vec<u8>, Vec<u8>)], old: bool) -> Style {
    match records.is_empty() {
        true if old => Style::OLD,
        true => Style::NEW,
        false => Style::of(KeyStyle::guess(records.iter().map(|(key, value)| (&key[..], &value[..])))),
    }
}

/// The mailboxes' own entries of a file, by name.
fn entries(records: &[(Vec<u8>, Vec<u8>)], style: Style) -> BTreeMap<Vec<u8>, Entry<'_>> {
    let told = records.iter().filter_map(|(key, value)| {
        let decoded = decode(key, value, &style);
        let Key::Mailbox(name) = &decoded.key else { return None };
        let name = name.to_internal().into_owned();
        Some((name, decoded.entry.unwrap_or_else(|| panic!("{:?}", key.as_bstr()))))
    });
    told.collect()
}

/// What a field says, 0 and the empty string being as good as nothing.
fn field(entry: &Entry<'_>, field: &str) -> Vec<u8> {
    let number =
        |number: Option<u64>| number.filter(|&n| n != 0).map(|n| n.to_string().into_bytes()).unwrap_or_default();
    match field {
        "uniqueid" => entry.uniqueid.as_deref().unwrap_or_default().to_vec(),
        "jmapId" => entry.jmapid.as_deref().unwrap_or_default().to_vec(),
        "uidvalidity" => number(entry.uidvalidity),
        "mtime" => number(entry.mtime),
        "foldermodseq" => number(entry.foldermodseq),
        "createdmodseq" => number(entry.createdmodseq),
        "acl" => entry.acl.to_text().into_owned(),
        "mbtype" => entry.mbtype.without(Flag::LegacyDirs).to_string().into_bytes(),
        "location" => entry.location().into_owned(),
        _ => panic!("{field}"),
    }
}

/// The first series that can hold a field.
const SINCE: [(&str, Era); 7] = [
    ("uniqueid", Era::V2_5),
    ("uidvalidity", Era::V2_5),
    ("mtime", Era::V2_5),
    ("foldermodseq", Era::V3_0),
    ("createdmodseq", Era::V3_2),
    ("name_history", Era::V3_6),
    ("jmapId", Era::V3_13),
];

/// Whether the target era can't hold what is said to be lost.
fn is_due(era: Era, lost: &Value, source: Option<&Entry<'_>>) -> bool {
    let what = lost["field"].as_str().expect("a field");
    if let Some((_, since)) = SINCE.iter().find(|(name, _)| *name == what) {
        return era < *since;
    }
    let text = lost["value"].as_str().expect("a value").as_bytes();
    match (what, source) {
        ("mbtype", Some(_)) => text.iter().all(|&letter| !era.knows_letter(letter)),
        ("acl", Some(_)) => era < Era::V2_5,
        ("entry", Some(source)) => {
            source.is_tombstone() && era < Era::V2_5 || source.is_intermediate() && era < Era::V3_2
        }
        // Records under uniqueids that no mailbox has (3.6.1 leaves them), and users' groups.
        ("record", _) => era < Era::V3_12,
        _ => false,
    }
}

fn convert(source: &Path, out: &Path, era: &str, report: &Path) -> Vec<Value> {
    let paths = [source, out, report].map(|path| path.to_str().expect("a plain path"));
    let [source, out, report] = paths;
    let output =
        coroner(["convert", source, "-o", out, "--to", "twoskip", "--era", era, "--force", "--report", report]);
    assert!(output.status.code().is_some_and(|code| code < 2), "{source} to {era}: {}", output.stderr.as_bstr());
    let lines = fs::read(report).expect("a report");
    let lost: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_slice::<Value>(line).expect("an object"))
        .filter(|object| object["fate"] == "lost" || object["fate"] == "unknown")
        .collect();
    assert_eq!(output.status.code(), Some(i32::from(!lost.is_empty())), "{source} to {era}");
    lost
}

/// A name as JSON gives it: bytes that are not UTF-8 as the characters of their numbers.
fn told(name: &[u8]) -> String {
    name.to_str().map_or_else(|_| name.iter().map(|&byte| char::from(byte)).collect(), str::to_owned)
}

/// Compares the entries before and after; returns the records made.
fn compare(release: &str, host: &str, era: Era, folder: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let source = file(release, host);
    let name = format!("{release}-{host}-{}", era.as_str());
    let (out, report) = (folder.join(format!("{name}.db")), folder.join(format!("{name}.report")));
    let lost = convert(&source, &out, era.as_str(), &report);
    let (before, after) = (records(&source), records(&out));
    let before_entries = entries(&before, style(&before, false));
    let after_entries = entries(&after, style(&after, era < Era::V3_6));
    for object in &lost {
        let of = before_entries.iter().find(|(mailbox, _)| object["name"] == told(mailbox)[..]);
        assert!(is_due(era, object, of.map(|(_, entry)| entry)), "{name}: {object}");
    }
    let said = |mailbox: &[u8], what: &str| {
        let mailbox = told(mailbox);
        lost.iter().any(|object| object["field"] == what && object["name"] == mailbox[..])
    };
    for (mailbox, entry) in &before_entries {
        let Some(made) = after_entries.get(mailbox) else {
            assert!(said(mailbox, "entry"), "{name}: {} is missing", mailbox.as_bstr());
            continue;
        };
        for (what, since) in SINCE.iter().filter(|(what, _)| *what != "name_history") {
            let (was, is) = (field(entry, what), field(made, what));
            // Every record since 2.5 has a time, and 3.13 makes ids of modseqs.
            let made_up = was.is_empty() && (*what == "mtime" || *what == "jmapId");
            assert!(
                was == is || made_up || era < *since && said(mailbox, what),
                "{name} {}: {what}",
                mailbox.as_bstr()
            );
        }
        assert_eq!(field(entry, "location"), field(made, "location"), "{name} {}", mailbox.as_bstr());
        let (was, is) = (field(entry, "acl"), field(made, "acl"));
        let respelt = release == "2.2.13" || era < Era::V2_5;
        assert!(was == is || respelt, "{name} {}: {} {}", mailbox.as_bstr(), was.as_bstr(), is.as_bstr());
        let (was, is) = (field(entry, "mbtype"), field(made, "mbtype"));
        // A location without '!' is remote to some series and not to others.
        let bare = mailbox == b"user.bare";
        assert!(was == is || bare || said(mailbox, "mbtype"), "{name} {}: mbtype", mailbox.as_bstr());
    }
    assert_eq!(after_entries.len() + lost.iter().filter(|l| l["field"] == "entry").count(), before_entries.len());
    after
}

/// The fields of a record in order with their spelling, as far as that is the writer's choice; text values by their parts.
fn shape(key: &[u8], value: &[u8], style: Style) -> Option<String> {
    let decoded = decode(key, value, &style);
    let entry = match (&decoded.key, decoded.entry) {
        (Key::Mailbox(_) | Key::Uniqueid(_) | Key::Jmap { .. }, Some(entry)) => entry,
        (key, _) => return Some(format!("{:?} {:?}", key.family(), value.as_bstr())),
    };
    let fields: String =
        entry.field_order().filter(|field| *field != FieldKey::Unknown).map(|f| f.letter() as char).collect();
    let nil: String = FieldKey::ALL.into_iter().filter(|&f| entry.is_nil(f)).map(|f| f.letter() as char).collect();
    let quoted = entry.under != Under::Name && value.contains_str(b"N \"");
    let separated = entry.name.as_bytes().contains(&0x1F);
    Some(format!("{:?} {:?} {fields} nil {nil} quoted {}", entry.family, entry.under, quoted && separated))
}

/// All shapes of a release's own files.
fn genuine_shapes(release: &str, old: bool) -> BTreeSet<String> {
    let mut shapes = BTreeSet::new();
    for host in ["mup", "fe1", "be1", "be2"] {
        let found = records(&file(release, host));
        let style = style(&found, old);
        shapes.extend(found.iter().filter_map(|(key, value)| shape(key, value, style)));
    }
    shapes
}

/// Whether `part`'s letters stand in `whole` in the same order.
fn is_part(part: &str, whole: &str) -> bool {
    let mut letters = whole.chars();
    part.chars().all(|letter| letters.any(|other| other == letter))
}

#[test]
fn every_release_to_every_era() {
    let folder = tempfile::tempdir().expect("a folder");
    let genuine: BTreeMap<&str, BTreeSet<String>> = TARGETS
        .iter()
        .map(|(era, release)| (*era, genuine_shapes(release, Era::from_version(era).expect("an era") < Era::V3_6)))
        .collect();
    let pairs: Vec<_> = SOURCES.iter().flat_map(|source| TARGETS.iter().map(move |target| (source, target))).collect();
    pairs.into_par_iter().for_each(|((release, ..), (target, _))| {
        let era = Era::from_version(target).expect("an era");
        let known = &genuine[target];
        for host in ["mup", "fe1", "be1", "be2"] {
            let made = compare(release, host, era, folder.path());
            let style = style(&made, era < Era::V3_6);
            let from = Era::from_version(release).expect("an era");
            for (key, value) in &made {
                let Some(shape) = shape(key, value, style) else { continue };
                let same = known.contains(&shape);
                // Entries of older releases lack fields that the target's own have.
                let fields = |shape: &str| shape.split(' ').nth(2).unwrap_or_default().to_owned();
                let kind = |shape: &str| shape.split(' ').take(2).collect::<Vec<_>>().join(" ");
                let less = from < era
                    && known.iter().any(|own| kind(own) == kind(&shape) && is_part(&fields(&shape), &fields(own)));
                let odd = is_odd(&shape, host, era);
                assert!(same || less || odd, "{release} {host} to {target}: {:?} {shape}\n{known:#?}", key.as_bstr());
            }
        }
    });
}

/// Shapes that some release writes, though it did not in the files that the corpus has of it.
fn is_odd(shape: &str, host: &str, era: Era) -> bool {
    let fields = shape.split(' ').nth(2).unwrap_or_default();
    let full = if era >= Era::V3_6 { "TNIJPSVCFMAH" } else { "AIPSTVCFM" };
    // Tombstones with an ACL, placeholders and reservations stand in the files of some releases only; the order is theirs.
    let dlist = shape.starts_with("Dlist") && is_part(fields, full);
    let reverse_acl = shape.starts_with("ReverseAcl") || shape.starts_with("UniqueidIndex");
    dlist && (host.starts_with("be") || fields.len() < 6) || reverse_acl || shape.starts_with("Unknown")
}

#[test]
fn an_upgrade_loses_none_where_that_of_cyrus_loses_all() {
    let folder = tempfile::tempdir().expect("a folder");
    for (release, set, engine) in SOURCES.iter().filter(|(release, ..)| Era::from_version(release) < Some(Era::V3_6)) {
        for host in ["mup", "fe1"] {
            let upgraded = corpus().join(format!("cyrus-{release}/upgrade-3.6.1/{host}.{engine}.db"));
            let source = corpus().join(format!("cyrus-{release}/{}/{host}.{engine}.db", set.replace("racl", "murder")));
            let before = records(&source);
            let entries_before = entries(&before, style(&before, true));
            assert!(entries_before.len() >= 40, "{source:?}");
            assert_eq!(records(&upgraded).len(), 0, "what Cyrus' own upgrade left of {source:?}");
            let out = folder.path().join(format!("{release}-{host}.db"));
            let lost = convert(&source, &out, "3.6", &folder.path().join("report"));
            assert_eq!(lost, Vec::<Value>::new(), "{source:?}");
            let after = records(&out);
            assert!(entries(&after, Style::NEW).keys().eq(entries_before.keys()), "{source:?}");
        }
    }
}

#[test]
fn an_upgraded_backend_is_what_cyrus_makes_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for release in ["2.5.17", "3.0.18", "3.2.12", "3.4.9"] {
        let source = corpus().join(format!("cyrus-{release}/murder-twoskip/be1.twoskip.db"));
        let theirs = records(&corpus().join(format!("cyrus-{release}/upgrade-3.6.1/be1.twoskip.db")));
        let out = folder.path().join(format!("{release}.db"));
        convert(&source, &out, "3.6", &folder.path().join("report"));
        let ours: BTreeMap<_, _> = records(&out).into_iter().collect();
        assert!(theirs.len() > 50, "{release}");
        // The hosts were started again for the upgrade, with names that the copies do not have yet.
        let mut compared = 0;
        for (key, value) in &theirs {
            let decoded = decode(key, value, &Style::NEW);
            let Some(entry) = decoded.entry else { continue };
            let made = ours.get(key).unwrap_or_else(|| panic!("{release}: no {:?}", key.as_bstr()));
            let made = decode(key, made, &Style::NEW).entry.expect("a record");
            for what in ["uniqueid", "uidvalidity", "foldermodseq", "createdmodseq", "acl", "location"] {
                assert_eq!(field(&made, what), field(&entry, what), "{release} {:?} {what}", key.as_bstr());
            }
            // Cyrus gives the flag to tombstones and placeholders too, which have no folder.
            let kept = |entry: &Entry<'_>| !entry.is_tombstone() && !entry.is_intermediate();
            assert!(!kept(&entry) || made.mbtype == entry.mbtype, "{release} {:?}: {}", key.as_bstr(), made.mbtype);
            let former = |entry: &Entry<'_>| entry.history().map(|f| f.name.to_string()).collect::<Vec<_>>();
            assert_eq!(former(&made), former(&entry), "{release} {:?}", key.as_bstr());
            compared += 1;
        }
        assert_eq!(compared, ours.len(), "{release}");
    }
}
