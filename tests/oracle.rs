//! What coroner says against what the real Cyrus 3.6.1 says of the same files.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bstr::ByteSlice;
use coroner::formats::container::{Format, KeyOrder, open};
use rayon::prelude::*;
use serde_json::Value;

use common::coroner;
use common::cyrus::Cyrus;
use common::random::Random;

fn assert_same(ours: &[u8], theirs: &[u8], what: &Path) {
    if ours == theirs {
        return;
    }
    let mut pairs = ours.lines().zip(theirs.lines()).enumerate();
    let first = pairs.find(|(_, (a, b))| a != b);
    match first {
        Some((line, (a, b))) => {
            panic!("{what:?} line {}:\n  coroner {:?}\n  Cyrus   {:?}", line + 1, a.as_bstr(), b.as_bstr())
        }
        None => panic!("{what:?}: coroner shows {} bytes, Cyrus {}", ours.len(), theirs.len()),
    }
}

/// Written with `improved_mboxlist_sort`, an order that 3.6.1 no longer has for this file: it finds only some of the keys.
fn in_an_order_unknown_to_3_6(path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder.ends_with("mboxsort"))
}

#[test]
fn show_is_what_cyr_dbtool_shows() {
    let Some(cyrus) = Cyrus::find("show_is_what_cyr_dbtool_shows") else { return };
    // 3.6.1 does not know twom.
    let databases: Vec<_> = common::undamaged().into_iter().filter(|(_, format)| *format != Format::Twom).collect();
    assert!(databases.len() >= 270, "only {} databases", databases.len());
    databases.par_iter().enumerate().for_each(|(i, (path, format))| {
        let theirs = if in_an_order_unknown_to_3_6(path) {
            fs::read(path.with_extension("show.txt")).expect("what the release itself shows")
        } else {
            let copy = cyrus.place(&format!("show-{i}.db"), &fs::read(path).expect("a corpus file"));
            let output = cyrus.dbtool(&copy, *format, &["show"], b"");
            assert!(output.status.success(), "{path:?}: {}", output.stderr.as_bstr());
            output.stdout
        };
        let ours = coroner([Path::new("show"), path]);
        assert_same(&ours.stdout, &theirs, path);
        assert_eq!(ours.status.code(), Some(0), "{path:?}: {}", ours.stderr.as_bstr());
    });
}

#[test]
fn show_of_a_prefix_is_what_cyr_dbtool_shows() {
    let Some(cyrus) = Cyrus::find("show_of_a_prefix_is_what_cyr_dbtool_shows") else { return };
    let wanted = |path: &Path| path.to_string_lossy().contains("cyrus-3.6.1/murder-");
    let databases: Vec<_> = common::undamaged().into_iter().filter(|(path, _)| wanted(path)).collect();
    databases.par_iter().enumerate().for_each(|(i, (path, format))| {
        let copy = cyrus.place(&format!("prefix-{i}.db"), &fs::read(path).expect("a corpus file"));
        for prefix in ["N", "I", "Nuser\u{1f}", "Nuser\u{1f}a", "Nusers", "zzz", "$"] {
            let theirs = cyrus.dbtool(&copy, *format, &["show", prefix], b"");
            let ours = coroner([Path::new("show"), path, Path::new(prefix)]);
            assert_same(&ours.stdout, &theirs.stdout, path);
        }
    });
}

/// The objects of `ctl_mboxlist -d` by name.
fn dumped(output: &[u8]) -> BTreeMap<String, Value> {
    let text = output.to_str().expect("UTF-8");
    // A record that Cyrus can't print (its name has bytes that are not UTF-8) leaves its comma behind.
    let text = text.replace("\n,\n", "\n").replace(",\n}", "\n}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON, {error}: {text}"))
}

/// The objects of `coroner list --json` by name.
fn listed(output: &[u8]) -> BTreeMap<String, Value> {
    let entry = |line| serde_json::from_slice::<Value>(line).expect("an object a line");
    output.lines().map(entry).map(|entry| (entry["name"].as_str().expect("a name").to_owned(), entry)).collect()
}

/// A field of ours as Cyrus prints it: numbers and times as strings.
fn as_dumped(field: &Value) -> Value {
    match field {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Object(time) if time.contains_key("seconds") => Value::String(time["seconds"].to_string()),
        other => other.clone(),
    }
}

const FIELDS: [&str; 9] =
    ["mbtype", "partition", "server", "acl", "uniqueid", "mtime", "uidvalidity", "createdmodseq", "foldermodseq"];

fn assert_alike(our: Option<&Value>, their: &Value, path: &Path, name: &str) {
    let our = our.unwrap_or_else(|| panic!("{path:?}: {name} is not listed"));
    for field in FIELDS {
        let (our, their) = (as_dumped(&our[field]), &their[field]);
        // Cyrus prints 0 for numbers that the record does not hold, and takes a TAB in an identifier for its end.
        let absent = our.is_null() && their == "0";
        let torn = field == "acl" && our.to_string().contains("\\t");
        assert!(our == *their || absent || torn, "{path:?} {name}: {field} is {our}, and Cyrus dumps {their}");
    }
}

#[test]
fn list_is_what_ctl_mboxlist_dumps() {
    let Some(cyrus) = Cyrus::find("list_is_what_ctl_mboxlist_dumps") else { return };
    // Releases before 3.6 spell keys in another way, which 3.6 does not read.
    let new = |path: &Path| {
        ["3.6.1", "3.8.7", "3.10.3", "3.12.3"].iter().any(|v| path.to_string_lossy().contains(&format!("cyrus-{v}/")))
    };
    let old = |path: &Path| path.to_string_lossy().contains("legacy/") && !path.to_string_lossy().contains("upgraded");
    let databases: Vec<_> = common::undamaged().into_iter().filter(|(path, _)| new(path) && !old(path)).collect();
    let compared: usize = databases
        .par_iter()
        .enumerate()
        .map(|(i, (path, format))| {
            let copy = cyrus.place(&format!("list-{i}.db"), &fs::read(path).expect("a corpus file"));
            let theirs = cyrus.mboxlist(&copy, *format, &["-d", "-y"]);
            assert!(theirs.status.success(), "{path:?}: {}", theirs.stderr.as_bstr());
            let theirs = dumped(&theirs.stdout);
            let ours = listed(&coroner([Path::new("list"), Path::new("--all"), Path::new("--json"), path]).stdout);
            theirs.iter().for_each(|(name, entry)| assert_alike(ours.get(name), entry, path, name));
            let more = ours.keys().find(|name| name.is_ascii() && !theirs.contains_key(*name));
            assert_eq!(more, None, "{path:?}: not in Cyrus' dump");
            theirs.len()
        })
        .sum();
    assert!(compared > 1000, "only {compared} entries compared");
}

/// A random history as input to `cyr_dbtool batch`, and the records that it leaves.
#[derive(Default)]
struct History {
    batch: Vec<u8>,
    left: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn literal(batch: &mut Vec<u8>, bytes: &[u8]) {
    batch.extend_from_slice(format!(" {{{}+}}\r\n", bytes.len()).as_bytes());
    batch.extend_from_slice(bytes);
}

impl History {
    /// Single changes, and transactions that are committed or aborted.
    fn new(random: &mut Random) -> History {
        let mut history = History::default();
        for _ in 0..random.below(30) {
            let before = history.left.clone();
            match random.below(4) {
                0 | 1 => history.change(random),
                2 => history.transaction(random, "COMMIT"),
                _ => {
                    history.transaction(random, "ABORT");
                    history.left = before;
                }
            }
        }
        history
    }

    fn transaction(&mut self, random: &mut Random, end: &str) {
        self.batch.extend_from_slice(b"BEGIN\n");
        // Never none: cyr_dbtool dies of an assertion at the end of a transaction without a change.
        for _ in 0..1 + random.below(12) {
            self.change(random);
        }
        self.batch.extend_from_slice(format!("{end}\n").as_bytes());
    }

    fn change(&mut self, random: &mut Random) {
        let key = random.key();
        if random.below(3) == 0 {
            self.batch.extend_from_slice(b"DELETE");
            literal(&mut self.batch, &key);
            self.left.remove(&key);
        } else {
            let value = random.value();
            self.batch.extend_from_slice(b"SET");
            literal(&mut self.batch, &key);
            literal(&mut self.batch, &value);
            self.left.insert(key, value);
        }
        self.batch.push(b'\n');
    }
}

const ENGINES: [Format; 3] = [Format::Skiplist, Format::Twoskip, Format::Flat];
const HISTORIES: u64 = 40;

/// Calls `each` with a random source and a new file's path, for every engine and seed.
fn histories(cyrus: &Cyrus, first_seed: u64, each: impl Fn(&mut Random, &Path, Format) + Sync) {
    let cases = (first_seed..first_seed + HISTORIES).flat_map(|seed| ENGINES.map(|engine| (seed, engine)));
    cases.collect::<Vec<_>>().into_par_iter().for_each(|(seed, engine)| {
        let path = cyrus.place(&format!("history-{seed}.{engine}.db"), b"");
        each(&mut Random(seed), &path, engine);
    });
}

/// The live records that the library reads from a file.
fn live(path: &Path, engine: Format) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let bytes = fs::read(path).expect("a database");
    let db = open(&bytes, engine);
    let mut records = BTreeMap::new();
    let view = db.view(KeyOrder::Unsigned, 1);
    view.walk(0, &mut |record| records.insert(record.key.into_owned(), record.value.into_owned()).is_none());
    records
}

#[test]
fn freshly_written_databases_show_alike_and_verify_clean() {
    let Some(cyrus) = Cyrus::find("freshly_written_databases_show_alike_and_verify_clean") else { return };
    histories(&cyrus, 0, |random, path, engine| {
        let history = History::new(random);
        let output = cyrus.dbtool(path, engine, &["batch"], &history.batch);
        assert_eq!(output.stderr.as_bstr(), b"".as_bstr(), "{path:?}");
        assert_eq!(live(path, engine), history.left, "{path:?}");
        if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return; // a flat database without records is a file of zero bytes
        }
        // Ours first: reading can make Cyrus change the file.
        let file = path.to_str().expect("a plain path");
        let ours = coroner(["show", "--as", engine.as_str(), file]);
        let verdict = coroner(["verify", "--as", engine.as_str(), "--depth", "structure", file]);
        let theirs = cyrus.dbtool(path, engine, &["show"], b"");
        assert_same(&ours.stdout, &theirs.stdout, path);
        assert_eq!(verdict.status.code(), Some(0), "{path:?}: {}", verdict.stdout.as_bstr());
    });
}

#[test]
fn a_writer_killed_in_a_transaction_leaves_what_was_committed() {
    let Some(cyrus) = Cyrus::find("a_writer_killed_in_a_transaction_leaves_what_was_committed") else { return };
    histories(&cyrus, 1000, |random, path, engine| {
        let mut history = History::new(random);
        let committed = history.left.clone();
        history.batch.extend_from_slice(b"BEGIN\n");
        for _ in 0..1 + random.below(5) {
            history.change(random);
        }
        cyrus.dbtool_killed(path, engine, &history.batch);
        let file = path.to_str().expect("a plain path");
        if fs::metadata(path).is_ok_and(|file| file.len() == 0) {
            return;
        }
        let ours = coroner(["show", "--as", engine.as_str(), file]);
        let verdict = coroner(["verify", "--as", engine.as_str(), "--depth", "structure", file]);
        let theirs = cyrus.recover_and_show(path, engine);
        assert_eq!(live(path, engine), committed, "Cyrus' own recovery of {path:?}");
        assert_same(&ours.stdout, &theirs.stdout, path);
        // A flat file is replaced whole, so nothing of the transaction is in it.
        let expected = if engine == Format::Flat { 0 } else { 1 };
        assert_eq!(verdict.status.code(), Some(expected), "{path:?}: {}", verdict.stdout.as_bstr());
    });
}
