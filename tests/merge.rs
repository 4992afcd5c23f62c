//! Merging the lists of real murders' backends, against what the releases themselves say of them.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bstr::ByteSlice;
use common::murders::{Murder, SERVERS, conflicts, lines, murders};
use common::{coroner, corpus, records};
use coroner::formats::record::{Decoded, Entry, Key, KeyStyle, Style, decode};
use coroner::ops::push::{Decision, Listed, Local, Manner, decide};
use serde_json::Value as Json;

type Entries = BTreeMap<Vec<u8>, Entry<'static>>;

/// The entries of a list, in its own order.
fn in_order(path: &Path) -> Vec<(Vec<u8>, Entry<'static>)> {
    let records = records(path);
    let style = Style::of(KeyStyle::guess(records.iter().map(|(key, value)| (&key[..], &value[..]))));
    let entry = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let Decoded { key: Key::Mailbox(name), entry, .. } = decode(key, value, &style) else { return None };
        Some((name.to_internal().into_owned(), entry?.into_owned()))
    };
    records.iter().filter_map(entry).collect()
}

fn entries(path: &Path) -> Entries {
    in_order(path).into_iter().collect()
}

/// What MUPDATE carries of an entry: whether its name is only reserved, where it is, and its ACL.
fn carried(entry: &Entry<'_>) -> (bool, Vec<u8>, Vec<u8>) {
    (entry.is_reserved(), entry.location().into_owned(), entry.acl.to_text().into_owned())
}

/// Runs a merge; the entries of what it wrote and its JSON document.
fn merge<S: AsRef<std::ffi::OsStr>>(arguments: &[S], status: i32) -> (Entries, Json) {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.db");
    let mut all = vec!["merge".into(), "--json".into(), "-o".into(), out.clone().into_os_string()];
    all.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
    let output = coroner(&all);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{all:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    (entries(&out), serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// The names behind one of Cyrus' phrases.
fn names<'l>(lines: &'l [Vec<u8>], phrase: &str) -> BTreeSet<&'l [u8]> {
    let prefix = format!("{phrase}: ");
    lines.iter().filter_map(|line| line.strip_prefix(prefix.as_bytes())).collect()
}

#[test]
fn merging_backends_gives_the_masters_own_content() {
    let murders = murders();
    assert!(murders.len() >= 14, "{} murders", murders.len());
    for murder in murders {
        let shown = murder.folder.display();
        let planned = [murder.planned(0), murder.planned(1)];
        let (mut removed, mut pushed, mut wiped) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for lines in &planned {
            removed.extend(names(lines, "Remove from MUPDATE"));
            pushed.extend(names(lines, "Force Activate"));
            wiped.extend(names(lines, "Remove Local Mailbox"));
        }
        // A transfer that broke off left two mailboxes on both backends in two of the sets.
        let status = i32::from(!wiped.is_empty() || has_two_owners(&murder));
        let (merged, document) = merge(&murder.named_backends(), status);
        let master = entries(&murder.master);
        let mut expected = 0;
        for (name, entry) in &master {
            let heard = entry.server.as_deref().is_some_and(|server| SERVERS.iter().any(|s| s.as_bytes() == server));
            if !heard || removed.contains(&name[..]) {
                assert!(!merged.contains_key(name), "{shown}: {} has no backend", name.as_bstr());
                continue;
            }
            expected += 1;
            let found = merged.get(name).unwrap_or_else(|| panic!("{shown}: {} is missing", name.as_bstr()));
            if !pushed.contains(&name[..]) && !wiped.contains(&name[..]) {
                assert_eq!(carried(found), carried(entry), "{shown}: {}", name.as_bstr());
                assert!(found.is_remote() || entry.mbtype == found.mbtype, "{shown}: {}", name.as_bstr());
            }
        }
        for name in merged.keys().filter(|name| !master.contains_key(*name)) {
            assert!(pushed.contains(&name[..]) || wiped.contains(&name[..]), "{shown}: {} is nowhere", name.as_bstr());
        }
        assert!(expected > 20 && merged.len() >= expected, "{shown}");
        let two = document["conflicts"]["two-owners"].as_u64().unwrap_or_default();
        assert_eq!(two > 0, status == 1, "{shown}: {document}");

        // With the master as base, what is on servers that are not heard stays.
        let base = ["--base".to_owned(), murder.master.display().to_string()];
        let (based, _) = merge(&[&murder.named_backends()[..], &base].concat(), base_status(&planned, &murder));
        for (name, entry) in &master {
            let heard = entry.server.as_deref().is_some_and(|server| SERVERS.iter().any(|s| s.as_bytes() == server));
            if !heard {
                assert_eq!(based.get(name).map(carried), Some(carried(entry)), "{shown}: {}", name.as_bstr());
            }
        }
        let others = master.keys().filter(|name| !based.contains_key(*name));
        assert!(others.map(|name| &name[..]).all(|name| removed.contains(name)), "{shown}");
    }
}

/// Whether a mailbox is on both backends.
fn has_two_owners(murder: &Murder) -> bool {
    let own = |number| {
        let entries = entries(&murder.backend(number)).into_iter();
        let live = entries.filter(|(_, entry)| !entry.is_tombstone() && !entry.is_intermediate());
        live.map(|(name, _)| name).collect::<BTreeSet<_>>()
    };
    own(0).intersection(&own(1)).next().is_some()
}

/// Whether the base contradicts a backend in more than an empty partition.
fn base_status(planned: &[Vec<Vec<u8>>; 2], murder: &Murder) -> i32 {
    let removes = planned.iter().any(|lines| !names(lines, "Remove from MUPDATE").is_empty());
    let wipes = planned.iter().any(|lines| !names(lines, "Remove Local Mailbox").is_empty());
    i32::from(removes || wipes || has_two_owners(murder))
}

/// What `ctl_mboxlist -m -w` would print on a backend.
fn would_print(murder: &Murder, number: usize, manner: Manner) -> Vec<Vec<u8>> {
    let server = SERVERS[number].as_bytes();
    let (local, master) = (in_order(&murder.backend(number)), in_order(&murder.master));
    let by_name = |entries: &[(Vec<u8>, Entry<'static>)]| entries.iter().cloned().collect::<Entries>();
    let (own, listed) = (by_name(&local), by_name(&master));
    let decision = |name: &[u8]| {
        let (local, master) = (own.get(name).map(Local::of), listed.get(name).map(Listed::of));
        decide(server, local.as_ref(), master.as_ref(), manner)
    };
    let line = |words: &str, name: &[u8]| [words.as_bytes(), b": ", name].concat();
    let removals = master.iter().rev().filter(|(name, _)| decision(name).is_removal());
    let mut lines: Vec<_> = removals.map(|(name, _)| line("Remove from MUPDATE", name)).collect();
    for (name, _) in &local {
        let words = decision(name).words().iter().filter(|words| **words != "Remove from MUPDATE");
        lines.extend(words.map(|words| line(words, name)));
    }
    lines
}

#[test]
fn decisions_are_those_of_every_release() {
    let shown = |lines: &[Vec<u8>]| lines.iter().map(|line| line.as_bstr().to_string()).collect::<Vec<_>>();
    for murder in murders().into_iter().chain([conflicts()]) {
        for number in [0, 1] {
            let (would, did) = (would_print(&murder, number, Manner::default()), murder.planned(number));
            assert_eq!(shown(&would), shown(&did), "{} be{}", murder.folder.display(), number + 1);
            let authoritative = murder.lists.replace("mw", "maw");
            let path = murder.folder.join(format!("be{}.{authoritative}.txt", number + 1));
            if path.exists() {
                let manner = Manner { authoritative: true, unified: false };
                let would = would_print(&murder, number, manner);
                assert_eq!(shown(&would), shown(&lines(&path)), "{}", path.display());
            }
        }
    }
    assert_eq!(Decision::RemoveLocal.words(), ["Remove Local Mailbox"]);
}

#[test]
fn backends_of_different_releases_come_together() {
    let murders = murders();
    let options = ["--era", "3.6"].map(str::to_owned);
    for (first, second) in [("2.2.13", "3.13.7"), ("2.4.22", "3.4.9"), ("3.12.3", "2.5.17"), ("3.0.18", "2.3.19")] {
        let of = |release: &str| {
            let folder = corpus().join(format!("cyrus-{release}"));
            murders.iter().find(|murder| murder.folder.starts_with(&folder)).expect("a murder")
        };
        let (one, two) = (of(first).named_backends()[0].clone(), of(second).named_backends()[1].clone());
        let (both, _) = merge(&[&[one.clone(), two.clone()][..], &options].concat(), 0);
        let (mut apart, _) = merge(&[&[one][..], &options].concat(), 0);
        apart.extend(merge(&[&[two][..], &options].concat(), 0).0);
        let carried = |entries: &Entries| entries.iter().map(|(n, e)| (n.clone(), carried(e))).collect::<Vec<_>>();
        assert_eq!(carried(&both), carried(&apart), "{first} with {second}");
        assert!(both.len() > 30, "{first} with {second}");
    }
}

/// The class and the kept source of a name in the answer's list.
fn listed(document: &Json) -> BTreeMap<&str, (&str, &str, &str)> {
    let items = document["listed"].as_array().expect("a list").iter();
    items
        .map(|item| {
            let word = |member: &str| item[member].as_str().unwrap_or_default();
            (word("name"), (word("class"), word("keep"), word("by")))
        })
        .collect()
}

#[test]
fn every_planted_conflict_is_classified() {
    let murder = conflicts();
    let base = ["--base".to_owned(), murder.master.display().to_string()];
    let (merged, document) = merge(&[&murder.named_backends()[..], &base].concat(), 1);
    let (be1, be2) = (SERVERS[0], SERVERS[1]);
    let expected = BTreeMap::from([
        ("shared", ("two-owners", be1, "first-named")),
        ("shared.news", ("two-owners", be1, "first-named")),
        ("user.carl.both", ("two-owners", be2, "base")),
        ("user.carl.gonebe1", ("gone", "nobody", "backends")),
        ("user.eve-lynn.acl", ("acl", be1, "backends")),
        ("user.eve-lynn.aclorder", ("acl", be1, "backends")),
        ("user.eve-lynn.move1", ("moving", be1, "backends")),
        ("user.eve-lynn.move2", ("moving", be2, "base")),
        ("user.eve-lynn.move3", ("moving", be1, "backends")),
        ("user.eve-lynn.part", ("partition", be1, "backends")),
        ("user.zz.res1", ("reserved", be1, "backends")),
        ("user.zz.res2", ("reserved", be1, "backends")),
        ("user.zz.res3", ("reserved", "nobody", "backends")),
        ("user.zz.third", ("location", be1, "backends")),
        ("user.zz.tomb", ("tombstone", "nobody", "backends")),
    ]);
    assert_eq!(listed(&document), expected);
    assert_eq!(document["others"]["new"], 1, "user.carl.unlisted");
    assert_eq!(document["others"]["intermediate"], 1, "user.zz.inter");
    assert!(merged.values().all(|entry| entry.is_remote() && !entry.is_reserved() && !entry.is_moving()));
    let found = merged.get(&b"user.eve-lynn.move1"[..]).expect("listed");
    assert_eq!(found.location().as_bstr(), "be1.murder.test!default");
}

/// One mailbox on two backends, a master's word on it, and whatever more is asked for.
fn settled_by(more: &[String]) -> (String, Option<String>) {
    let murder = conflicts();
    let arguments = [&murder.named_backends()[..], more].concat();
    let (merged, document) = merge(&arguments, 1);
    let by = listed(&document).get("user.carl.both").map(|(_, _, by)| (*by).to_owned()).unwrap_or_default();
    let kept = merged.get(&b"user.carl.both"[..]).and_then(|entry| entry.server.as_deref());
    (by, kept.map(|server| String::from_utf8_lossy(server).into_owned()))
}

#[test]
fn what_nobody_settles_goes_as_the_user_says() {
    let kept = |server: &str| Some(server.to_owned());
    let option = |how: &str| ["--on-conflict".to_owned(), how.to_owned()];
    assert_eq!(settled_by(&[]), ("first-named".into(), kept(SERVERS[0])));
    assert_eq!(settled_by(&option("prefer=be2.murder.test")), ("preferred".into(), kept(SERVERS[1])));
    // Both records were written in the same second.
    assert_eq!(settled_by(&option("newest")), ("first-named".into(), kept(SERVERS[0])));
}

#[test]
fn an_edited_ledger_decides_and_fits_only_its_claims() {
    let murder = conflicts();
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("ledger.jsonl");
    let path = ledger.display().to_string();
    merge(&[&murder.named_backends()[..], &["--ledger".to_owned(), path.clone()]].concat(), 1);
    let text = std::fs::read_to_string(&ledger).expect("a ledger");
    let edited: String = text
        .lines()
        .map(|line| line.replace("\"keep\":\"be1.murder.test\"", "\"keep\":\"be2.murder.test\""))
        .filter(|line| line.contains("\"conflict\":true") && line.matches("\"from\"").count() == 2)
        .map(|line| line + "\n")
        .collect();
    assert!(edited.contains("user.carl.both"), "{edited}");
    std::fs::write(&ledger, &edited).expect("edited");
    let decided = [&murder.named_backends()[..], &["--decisions".to_owned(), path.clone()]].concat();
    let (merged, document) = merge(&decided, 1);
    assert_eq!(document["conflicts"]["two-owners"], Json::Null, "all are decided: {document}");
    assert_eq!(document["decided"], 4, "shared, shared.news, both and move2");
    let found = merged.get(&b"user.carl.both"[..]).and_then(|entry| entry.server.as_deref());
    assert_eq!(found.map(|server| server.as_bstr().to_string()).as_deref(), Some(SERVERS[1]));

    // With a base there are other claims.
    let out = folder.path().join("out.db").display().to_string();
    let base = murder.master.display().to_string();
    let stale = [&["merge", "-o", &out, "--base", &base][..], &decided.iter().map(String::as_str).collect::<Vec<_>>()];
    let output = coroner(stale.concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not fit"), "{:?}", output.stderr.as_bstr());
    assert!(!Path::new(&out).exists());
}

#[test]
fn planted_contradictions_are_all_found_and_none_is_invented() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let servers = 40;
    let synth = |out: &str, more: &[&str]| {
        let site =
            ["synth", "--mailboxes", "100000", "--seed", "9", "--conflicts", "100", "--servers", "40", "-o", out];
        assert!(coroner([&site[..], more].concat()).status.success());
    };
    let mut sources = Vec::new();
    for server in 1..=servers {
        let out = path(&format!("be{server}.db"));
        // Every container, and keys in another order among them.
        let format = ["twoskip", "skiplist", "flat", "twom"][server % 4];
        synth(&out, &["--server", &server.to_string(), "--to", format]);
        sources.push(format!("be{server}.example.com={out}"));
    }
    synth(&path("mup.db"), &["--role", "master", "--planted", &path("planted")]);
    let planted = std::fs::read_to_string(path("planted")).expect("what is planted");
    let planted: BTreeMap<&str, &str> = planted.lines().filter_map(|line| line.split_once('\t')).collect();
    assert!(planted.len() > 900, "{}", planted.len());

    sources.extend(["--base".to_owned(), path("mup.db")]);
    let (_, document) = merge(&sources, 1);
    let found: BTreeMap<&str, &str> = listed(&document).into_iter().map(|(name, (class, ..))| (name, class)).collect();
    assert_eq!(found, planted);
    // No class has more than the list has room for, and nothing else is said of any mailbox.
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    planted.values().for_each(|class| *counts.entry(class).or_default() += 1);
    assert_eq!(counts.len(), 9, "{counts:?}");
    let told = document["conflicts"].as_object().expect("counts").iter();
    let told: BTreeMap<&str, u64> = told.map(|(class, count)| (&**class, count.as_u64().expect("a count"))).collect();
    assert_eq!(told, counts);
    assert_eq!(
        document["others"].as_object().map(|others| others.keys().all(|class| class == "deleted-name")),
        Some(true)
    );
}

#[test]
fn a_murder_is_revived_from_a_damaged_master_two_backends_and_a_frontend() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("revived");
    let shown = out.display().to_string();
    let survivors = corpus().join("hard-recovery").display().to_string();
    let dry = coroner(["revive", &survivors, "-o", &shown, "--dry-run"]);
    assert_eq!(dry.status.code(), Some(1), "{}", dry.stderr.as_bstr());
    assert!(!out.exists(), "nothing is written by a rehearsal");
    let output = coroner(["revive", &survivors, "-o", &shown]);
    assert_eq!(output.status.code(), Some(1), "{}", output.stderr.as_bstr());

    let master = out.join("master.db");
    let verified = coroner(["verify".as_ref(), master.as_os_str(), "--role".as_ref(), "master".as_ref()]);
    assert_eq!(verified.status.code(), Some(0), "{}", verified.stdout.as_bstr());
    let frontend = entries(&out.join("frontend-fe1.murder.test.db"));
    assert_eq!(entries(&master), frontend);
    let murder = Murder { folder: corpus().join("cyrus-3.6.1/murder-twoskip"), ..conflicts() };
    for number in [0, 1] {
        let revived = Murder { master: master.clone(), folder: murder.folder.clone(), ..conflicts() };
        let would = would_print(&revived, number, Manner::default());
        assert_eq!(would, lines(&out.join(format!("push-{}.txt", SERVERS[number]))), "{}", SERVERS[number]);
    }
    let before = std::fs::read(out.join("PLAN.md")).expect("a plan");
    assert!(before.contains_str("Stop Cyrus on the master"));
    assert_eq!(coroner(["revive", &survivors, "-o", &shown]).status.code(), Some(2), "nothing is overwritten");
}
