//! `coroner repair`, `apply` and `undo` on genuine files and on genuine files with planted defects.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use bstr::ByteSlice;
use coroner::formats::container::{Format, KeyOrder, WriteOptions, detect, flat, open, write};
use serde_json::Value;
use tempfile::TempDir;

use common::coroner;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The live records of a file.
fn records(path: &Path) -> Records {
    let bytes = fs::read(path).expect("a database");
    let database = open(&bytes, detect(&bytes).format.expect("a format"));
    let mut records = Records::new();
    database.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        records.insert(record.key.into_owned(), record.value.into_owned());
        true
    });
    records
}

fn genuine(path: &str) -> PathBuf {
    common::corpus().join(path)
}

/// A folder for a test's files.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Bench(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A twoskip file of these records.
    fn database(&self, name: &str, records: &Records) -> PathBuf {
        let path = self.path(name);
        let mut file = fs::File::create(&path).expect("a file");
        let options = WriteOptions { order: KeyOrder::Unsigned, time: 1, style: flat::Style::Escaped };
        write(&mut file, Format::Twoskip, records, &options).expect("written");
        path
    }
}

fn run<const N: usize>(arguments: [&str; N]) -> Output {
    coroner(arguments)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[track_caller]
fn assert_status(output: &Output, status: i32) {
    let (out, err) = (output.stdout.as_bstr(), output.stderr.as_bstr());
    assert_eq!(output.status.code(), Some(status), "{out}{err}");
}

/// What `repair --json` says of a file.
fn repaired<const N: usize>(path: &Path, more: [&str; N]) -> Value {
    let output = coroner(["repair", "--json", text(path)].into_iter().chain(more));
    assert_ne!(output.status.code(), Some(2), "{path:?}: {}", output.stderr.as_bstr());
    serde_json::from_slice(&output.stdout).expect("a document")
}

/// How many changes each rule makes.
fn rules(document: &Value) -> BTreeMap<String, usize> {
    let mut rules = BTreeMap::new();
    for change in document["changes"].as_array().expect("changes") {
        *rules.entry(change["rule"].as_str().expect("a rule").to_owned()).or_default() += 1;
    }
    rules
}

fn one_rule(rule: &str, count: usize) -> BTreeMap<String, usize> {
    BTreeMap::from([(rule.to_owned(), count)])
}

#[test]
fn healthy_genuine_files_are_left_as_they_are() {
    let healthy = common::undamaged();
    let healthy: Vec<_> = healthy.iter().filter(|(path, _)| path.to_string_lossy().contains("/murder-")).collect();
    assert!(healthy.len() >= 50, "{}", healthy.len());
    for (path, _) in healthy {
        let output = coroner([Path::new("repair"), path]);
        assert_eq!(output.status.code(), Some(0), "{path:?}: {}", output.stdout.as_bstr());
        assert!(output.stdout.contains_str("nothing to change"), "{path:?}: {}", output.stdout.as_bstr());
    }
}

#[test]
fn a_master_rebuilt_from_a_dump_gets_its_remote_flags_back() {
    let bench = Bench::new();
    let source = genuine("cyrus-2.2.13/undump/mup-reloaded.skiplist.db");
    let (plan, first, second) = (bench.path("plan.json"), bench.path("first.db"), bench.path("second.db"));
    assert_status(&run(["repair", text(&source)]), 1);
    assert_status(&run(["repair", text(&source), "--plan", text(&plan), "-o", text(&first)]), 0);
    assert_status(&run(["apply", text(&plan), "-o", text(&second)]), 0);
    assert_eq!(records(&first), records(&second));
    // Which of the entries without ACL were reservations the dump does not tell; one entry names no server.
    let master = records(&genuine("cyrus-2.2.13/murder-skiplist/mup.skiplist.db"));
    let differing: Vec<_> = records(&first).into_iter().filter(|(key, value)| master.get(key) != Some(value)).collect();
    let names: Vec<_> = differing.iter().map(|(key, _)| key.as_bstr().to_string()).collect();
    assert_eq!(names, ["user.bare", "user.rez", "user.zoe.Old"]);
}

const MASTER: &str = "cyrus-3.6.1/murder-twoskip/mup.twoskip.db";
const BACKEND: &str = "cyrus-3.6.1/murder-twoskip/be1.twoskip.db";
const OLD_MASTER: &str = "cyrus-3.4.9/murder-twoskip/mup.twoskip.db";
const OLD_BACKEND: &str = "cyrus-3.4.9/murder-twoskip/be1.twoskip.db";

/// The codes of the warnings and errors that verify reports.
fn codes(path: &Path) -> Vec<String> {
    let output = run(["verify", "--json", text(path)]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
    let findings = document["findings"].as_array().expect("findings").iter();
    let weigh = findings.filter(|finding| finding["severity"] != "note");
    weigh.map(|finding| finding["code"].as_str().expect("a code").to_owned()).collect()
}

/// A genuine file with a planted defect, repaired.
struct Case {
    bench: Bench,
    genuine: PathBuf,
    before: Records,
    planted: PathBuf,
    repaired: PathBuf,
}

impl Case {
    fn new(of: &str, plant: impl FnOnce(&mut Records)) -> Case {
        let (bench, genuine) = (Bench::new(), genuine(of));
        let before = records(&genuine);
        let mut sick = before.clone();
        plant(&mut sick);
        assert_ne!(sick, before, "nothing was planted");
        let planted = bench.database("planted.db", &sick);
        let repaired = bench.path("repaired.db");
        Case { bench, genuine, before, planted, repaired }
    }

    /// Repairs, and says how many changes each rule made.
    #[track_caller]
    fn repair<const N: usize>(&self, more: [&str; N]) -> BTreeMap<String, usize> {
        let arguments = ["repair", "--json", text(&self.planted), "-o", text(&self.repaired)];
        let output = coroner(arguments.into_iter().chain(more));
        assert_ne!(output.status.code(), Some(2), "{}", output.stderr.as_bstr());
        rules(&serde_json::from_slice(&output.stdout).expect("a document"))
    }

    /// Repairs a defect that leaves no trace: afterwards the records are the genuine ones.
    #[track_caller]
    fn heals<const N: usize>(&self, expected: &[(&str, usize)], more: [&str; N]) {
        self.mends(expected, more);
        assert_eq!(records(&self.repaired), self.before);
    }

    /// Repairs a defect: afterwards there is nothing to find or to change that is not there in the genuine file.
    #[track_caller]
    fn mends<const N: usize>(&self, expected: &[(&str, usize)], more: [&str; N]) {
        let expected: BTreeMap<_, _> = expected.iter().map(|&(rule, count)| (rule.to_owned(), count)).collect();
        assert_eq!(self.repair(more), expected);
        assert_eq!(codes(&self.repaired), codes(&self.genuine));
        assert_status(&coroner(["repair", text(&self.repaired)].into_iter().chain(more)), 0);
    }

    /// The repaired record of a key, as text.
    fn record(&self, key: &str) -> Option<String> {
        records(&self.repaired).get(key.as_bytes()).map(|value| value.as_bstr().to_string())
    }
}

/// Replaces text in the values of the records whose key starts with `prefix`; how many there were.
fn replace(records: &mut Records, prefix: &str, from: &str, to: &str) -> usize {
    let mut count = 0;
    for (_, value) in records.iter_mut().filter(|(key, _)| key.starts_with(prefix.as_bytes())) {
        let new = value.replace(from, to);
        count += usize::from(new != *value);
        *value = new;
    }
    count
}

/// The first key with this start whose value holds `part`.
fn key_with(records: &Records, prefix: &str, part: &str) -> Vec<u8> {
    let mut found =
        records.iter().filter(|(key, value)| key.starts_with(prefix.as_bytes()) && value.contains_str(part));
    found.next().expect("such a record").0.clone()
}

#[test]
fn remote_flags_come_back_in_every_era() {
    for (of, with, without) in [
        (MASTER, "T er ", "T e "),
        (OLD_MASTER, " T r ", " "),
        ("cyrus-2.5.17/murder-twoskip/mup.twoskip.db", " T r ", " "),
        ("cyrus-3.12.3/murder-twoskip/mup.twoskip.db", "T er ", "T e "),
    ] {
        let mut count = 0;
        let case = Case::new(of, |records| count = replace(records, "", with, without));
        assert!(count > 30, "{of}");
        case.heals(&[("remote-flag", count)], []);
    }
    let mut count = 0;
    let case = Case::new("cyrus-2.4.22/murder-skiplist/mup.skiplist.db", |records| {
        for value in records.values_mut().filter(|value| value.starts_with(b"1 ")) {
            value[0] = b'0';
            count += 1;
        }
    });
    case.heals(&[("remote-flag", count)], []);
}

#[test]
fn numbers_misread_by_3_6_become_what_they_meant() {
    let case = Case::new(MASTER, |records| {
        replace(records, "Nuser", "T erz ", "T p ");
        replace(records, "N", "T er ", "T n ");
    });
    let output = case.repair([]);
    assert_eq!(output.keys().collect::<Vec<_>>(), ["type-number"]);
    assert_eq!(records(&case.repaired), case.before);

    let genuine = genuine("cyrus-2.4.22/upgrade-3.6.1/uL-mup.twoskip.db");
    assert_eq!(rules(&repaired(&genuine, [])), one_rule("type-number", 44));
}

#[test]
fn locations_in_the_wrong_place_are_split() {
    let source = genuine("cyrus-2.5.17/undump/all.twoskip.db");
    assert_eq!(rules(&repaired(&source, [])), one_rule("location-split", 6));
    let case = Case::new(OLD_MASTER, |records| {
        let key = key_with(records, "user.", "S be1.murder.test");
        let value = records[&key].replace(" S be1.murder.test", "").replace("P default", "P be1.murder.test!default");
        records.insert(key, value);
    });
    case.heals(&[("location-split", 1)], []);
    let case = Case::new(MASTER, |records| {
        let key = key_with(records, "Nuser", "P default S be1.murder.test");
        let value = records[&key].replace("S be1.murder.test", "S be1.murder.test!default");
        records.insert(key, value);
    });
    case.heals(&[("server-split", 1)], []);
}

#[test]
fn a_value_of_2_x_under_a_key_of_3_6_is_read_with_its_own_numbers() {
    let case = Case::new(MASTER, |records| {
        records.insert(b"Nuser\x1fold".to_vec(), b"1 be1.murder.test!default fred\tlrs\t".to_vec());
    });
    case.mends(&[("old-value", 1)], []);
    let record = case.record("Nuser\x1fold").expect("the record");
    assert!(record.starts_with("%(T er P default S be1.murder.test M "), "{record}");
    assert!(record.ends_with(" A %(fred lrs))"), "{record}");
}

#[test]
fn what_a_dump_printed_for_nothing_is_nothing_again() {
    let source = genuine("cyrus-2.5.17/undump/be1-reloaded.twoskip.db");
    assert_eq!(rules(&repaired(&source, [])), one_rule("null-text", 6));
    let case = Case::new(OLD_BACKEND, |records| {
        records.insert(b"user.null".to_vec(), b"%(A \"(null)\" P default M 1795435872)".to_vec());
    });
    assert_eq!(case.repair([]), one_rule("null-text", 1));
}

#[test]
fn this_hosts_own_mailboxes_are_local() {
    let mut count = 0;
    let case = Case::new(BACKEND, |records| {
        for prefix in ["N", "I"] {
            count = replace(records, prefix, "P default V", "P default S BE1.murder.test V");
        }
    });
    assert!(count > 10);
    case.heals(
        &[("own-server", count), ("uniqueid-differs", count)],
        ["--server", "be1.murder.test", "--role", "backend"],
    );
}

#[test]
fn transfers_that_never_ended_are_taken_back_only_when_named() {
    let case = Case::new(BACKEND, |records| {
        let own = key_with(records, "Nuser", "A %(anna ");
        let value = records[&own].to_str().expect("text").to_owned();
        let id = value.split(' ').skip_while(|word| *word != "I").nth(1).expect("a uniqueid");
        for key in [own, format!("I{id}").into_bytes()] {
            let value = records[&key].replace("T e ", "T em ").replace("P default", "P default S be2.murder.test");
            records.insert(key, value);
        }
    });
    let document = repaired(&case.planted, []);
    assert_eq!(document["changes"].as_array().map(Vec::len), Some(0));
    assert_eq!(document["left"][0]["rule"], "moving-stuck");
    assert_status(&run(["repair", text(&case.planted), "-o", text(&case.repaired)]), 1);
    fs::remove_file(&case.repaired).expect("removed");
    case.heals(&[("moving-stuck", 1), ("uniqueid-differs", 1)], ["--also", "moving-stuck"]);
}

#[test]
fn an_old_type_that_says_nothing_is_left_out() {
    let case = Case::new(OLD_BACKEND, |records| {
        let key = key_with(records, "user.", "A %(");
        let value = records[&key].replace(" P default", " P default S be2.murder.test T mr");
        records.insert(key, value);
    });
    case.heals(&[("moving-stuck", 1)], ["--also", "moving-stuck"]);
}

#[test]
fn a_master_has_nothing_that_moves() {
    let case = Case::new(MASTER, |records| {
        let key = key_with(records, "Nuser", "T er ");
        let value = records[&key].replace("T er ", "T em ");
        records.insert(key, value);
    });
    case.heals(&[("moving-flag", 1)], []);
}

#[test]
fn reservations_go_from_backends_and_stay_on_masters() {
    let case = Case::new(BACKEND, |records| {
        records.insert(b"Nuser\x1fhalf".to_vec(), b"%(T ez P default M 1795430512 A %())".to_vec());
    });
    case.heals(&[("reservation-left", 1)], []);

    let master = genuine(MASTER);
    let document = repaired(&master, []);
    let reserved = document["offered"]["reservation"].as_u64().expect("offered");
    assert!(reserved > 0);
    let without = rules(&repaired(&master, ["--also", "reservation"]));
    assert_eq!(without, one_rule("reservation", usize::try_from(reserved).expect("few")));
}

#[test]
fn defects_of_acls_are_mended() {
    let acl = |of: &str, to: &str| {
        let to = to.to_owned();
        Case::new(of, move |records| {
            let key = key_with(records, "Nuser\x1fa", "A %(");
            let value = records[&key].to_str().expect("text");
            let (head, _) = value.split_once("A %(").expect("an ACL");
            let value = format!("{head}A %({to}))");
            records.insert(key, value.into_bytes());
        })
    };
    let key = |case: &Case| key_with(&case.before, "Nuser\x1fa", "A %(").to_str().expect("text").to_owned();
    let case = acl(MASTER, "anna lrQs! bob lrs eve ?");
    case.mends(&[("acl-rights", 1)], []);
    assert!(case.record(&key(&case)).expect("it").ends_with("A %(anna lrs bob lrs))"));
    let case = acl(MASTER, "anna lrs bob lr anna lrs");
    case.mends(&[("acl-twice", 1)], []);
    assert!(case.record(&key(&case)).expect("it").ends_with("A %(anna lrs bob lr))"));
    let case = acl(MASTER, "anna lrs bob lr anna lrswi");
    assert_eq!(case.repair([]), BTreeMap::new());
    fs::remove_file(&case.repaired).expect("removed");
    case.mends(&[("acl-first", 1)], ["--also", "acl-first"]);
    assert!(case.record(&key(&case)).expect("it").ends_with("A %(anna lrs bob lr))"));

    let old = "cyrus-2.4.22/murder-skiplist/mup.skiplist.db";
    let case = Case::new(old, |records| {
        let key = key_with(records, "user.", "\tlrs\t");
        let cut = records[&key].len() - 1;
        records.get_mut(&key).expect("it").truncate(cut);
    });
    case.heals(&[("acl-tab", 1)], []);
    let case = Case::new(old, |records| {
        let key = key_with(records, "user.", "\tlrs\t");
        records.get_mut(&key).expect("it").extend_from_slice(b"eve\t");
    });
    assert_eq!(case.repair([]), BTreeMap::new());
    fs::remove_file(&case.repaired).expect("removed");
    case.heals(&[("acl-odd", 1)], ["--also", "acl-odd"]);
}

#[test]
fn types_and_values_that_cyrus_dies_of_or_hides_are_mended_when_named() {
    let case = Case::new(MASTER, |records| {
        let key = key_with(records, "Nuser", "T er ");
        let value = records[&key].replace("T er ", "T erq ");
        records.insert(key, value);
    });
    assert_status(&run(["repair", text(&case.planted)]), 1);
    case.heals(&[("type-letters", 1)], ["--also", "type-letters"]);
    let case = Case::new(MASTER, |records| {
        let key = key_with(records, "Nuser", "T er ");
        let value = records[&key].replace(" P default", "  P default");
        records.insert(key, value);
    });
    case.heals(&[("value-format", 1)], ["--also", "value-format"]);
    let upgraded = genuine("cyrus-2.4.22/upgrade-3.6.1/types-after.skiplist.db");
    let document = repaired(&upgraded, ["--only", "type-lost,tombstone-number"]);
    assert_eq!(rules(&document)["type-lost"], 1);
    assert_eq!(rules(&document)["tombstone-number"], 1);
}

#[test]
fn records_under_uniqueids_follow_the_mailboxes() {
    let drop_id = |records: &mut Records| {
        let key = key_with(records, "I", "N user\x1fanna ");
        records.remove(&key);
    };
    Case::new(BACKEND, drop_id).heals(&[("uniqueid-record", 1)], []);
    let differ = |records: &mut Records| {
        let key = key_with(records, "I", "N user\x1fanna ");
        let value = records[&key].replace("P default", "P other").replace("F ", "F 9");
        records.insert(key, value);
    };
    Case::new(BACKEND, differ).heals(&[("uniqueid-differs", 1)], []);
    let orphan = |records: &mut Records| {
        let value = b"%(T e N user\x1fgone P default V 1 C 1 F 1 M 1795430512 A %(gone lrs) H ())".to_vec();
        records.insert(b"I5f8d0c3e".to_vec(), value);
    };
    Case::new(BACKEND, orphan).heals(&[("uniqueid-orphan", 1)], []);
    let case = Case::new(BACKEND, orphan);
    case.repair(["--also", "uniqueid-resurrect"]);
    let record = case.record("Nuser\x1fgone").expect("the mailbox");
    assert_eq!(record, "%(T e I 5f8d0c3e P default V 1 C 1 F 1 M 1795430512 A %(gone lrs))");
    let nameless = |records: &mut Records| {
        records.insert(b"I5f8d0c3e".to_vec(), b"%(T e P default M 1795430512 H ())".to_vec());
    };
    Case::new(BACKEND, nameless).heals(&[("nameless", 1)], []);
}

#[test]
fn a_uniqueid_of_two_mailboxes_stays_with_the_one_that_its_record_names() {
    let case = Case::new(BACKEND, |records| {
        let key = key_with(records, "Nuser\x1fanna", "A %(anna ");
        let copy = records[&key].clone();
        records.insert(b"Nuser\x1fzzz".to_vec(), copy);
    });
    assert_status(&run(["repair", text(&case.planted)]), 1);
    let made = case.repair(["--also", "uniqueid-twice"]);
    assert_eq!(made.get("uniqueid-twice"), Some(&1));
    assert!(!case.record("Nuser\x1fzzz").expect("it").contains(" I "));
}

#[test]
fn orphans_are_dropped_after_an_outage_and_kept_where_the_mailboxes_may_be_lost() {
    let outage = genuine("cyrus-3.6.1/incidents/outage/be1.twoskip.db");
    assert_eq!(rules(&repaired(&outage, [])), one_rule("uniqueid-orphan", 5));
    let purged = genuine("cyrus-3.6.1/logtail/purged.twoskip.db");
    let document = repaired(&purged, []);
    assert_eq!(rules(&document), BTreeMap::new());
    assert_eq!(document["left"].as_array().map(Vec::len), Some(60));
    // The records of tombstones can't bring a mailbox back.
    let back = rules(&repaired(&purged, ["--only", "uniqueid-resurrect"]));
    let bench = Bench::new();
    let out = bench.path("back.db");
    run(["repair", text(&purged), "--only", "uniqueid-resurrect", "-o", text(&out)]);
    let genuine = records(&genuine(BACKEND));
    let missing = |key: &&Vec<u8>| key.starts_with(b"N") && !genuine[*key].starts_with(b"%(T ed");
    let names: Vec<_> = genuine.keys().filter(missing).cloned().collect();
    assert_eq!(back, one_rule("uniqueid-resurrect", names.len()));
    let all = records(&out);
    names.iter().for_each(|name| assert_eq!(all.get(name).map(|v| v.as_bstr()), Some(genuine[name].as_bstr())));
}

#[test]
fn indexes_are_made_to_fit() {
    let racl = "cyrus-3.0.18/racl-twoskip/be1.twoskip.db";
    let case = Case::new(racl, |records| {
        let key = key_with(records, "$RACL$S$anyone$", "");
        records.remove(&key);
        records.insert(b"$RACL$S$anyone$no.such".to_vec(), Vec::new());
    });
    case.heals(&[("reverse-acl", 2)], []);
    let case = Case::new("cyrus-3.4.9/racl-twoskip/be1.twoskip.db", |records| {
        let key = key_with(records, "$RUNQ$", "");
        records.remove(&key);
        records.insert(b"$RUNQ$5f8d0c3e$user.gone".to_vec(), Vec::new());
    });
    case.heals(&[("uniqueid-index", 2)], []);
}

#[test]
fn what_a_resync_took_from_a_frontend_comes_back_from_the_master() {
    let case = Case::new(MASTER, |records| {
        let shape = records[&key_with(records, "Nuser", "T er ")].clone();
        for name in ["zed", "zed\x1fy", "zed-b", "zoo"] {
            records.insert(format!("Nuser\x1f{name}").into_bytes(), shape.clone());
        }
    });
    let master = case.planted.clone();
    let mut left = records(&master);
    left.remove(b"Nuser\x1fzed-b".as_slice());
    left.remove(b"Nuser\x1fzoo".as_slice());
    let other = key_with(&left, "Nuser", "S be1.murder.test");
    let moved = left[&other].replace("be1.murder.test", "be2.murder.test");
    left.insert(other, moved);
    left.insert(b"Nuser\x1fstale".to_vec(), b"%(T er P default S be1.murder.test M 1795430512 A %())".to_vec());
    let frontend = case.bench.database("frontend.db", &left);
    let out = case.bench.path("out.db");

    let document = repaired(&frontend, ["--against", text(&master)]);
    let expected = [("master-differs", 1), ("missing-entry", 1), ("missing-sibling", 1)];
    assert_eq!(rules(&document), expected.map(|(rule, count)| (rule.to_owned(), count)).into());
    assert_eq!(document["offered"]["stale-entry"], 1);
    let also = ["repair", text(&frontend), "--against", text(&master), "--also", "stale-entry", "-o", text(&out)];
    assert_status(&run(also), 0);
    assert_eq!(records(&out), records(&master));

    // A master of another era says it in the other era's way.
    let old = genuine(OLD_MASTER);
    let new = genuine("cyrus-3.8.7/murder-twoskip/mup.twoskip.db");
    let out = case.bench.path("other-era.db");
    let also = ["repair", text(&new), "--against", text(&old), "--also", "stale-entry", "-o", text(&out)];
    assert_status(&run(also), 0);
    let diff = run(["diff", text(&old), text(&out)]);
    assert_status(&diff, 0);

    // A dump of the master will do.
    let fe = genuine("cyrus-3.6.1/incidents/outage/fe1.twoskip.db");
    let dump = genuine("cyrus-3.6.1/incidents/outage/mup.twoskip.dump.json");
    assert_eq!(rules(&repaired(&fe, ["--against", text(&dump)])), one_rule("master-differs", 2));

    let backend = genuine(BACKEND);
    assert_status(&run(["repair", text(&backend), "--against", text(&master)]), 2);
}

#[test]
fn servers_that_a_dump_lost_come_from_the_master() {
    let lost = genuine("cyrus-2.5.17/undump/mup-reloaded.twoskip.db");
    let master = genuine("cyrus-2.5.17/murder-twoskip/mup.twoskip.db");
    assert_status(&run(["repair", text(&lost)]), 1);
    let bench = Bench::new();
    let out = bench.path("out.db");
    assert_status(&run(["repair", text(&lost), "--against", text(&master), "-o", text(&out)]), 0);
    assert_status(&run(["diff", text(&out), text(&master)]), 0);
}

#[test]
fn keys_in_the_wrong_order_are_put_right() {
    let source = genuine("cyrus-3.6.1/damaged/flat/unsorted/before.db");
    let bench = Bench::new();
    let out = bench.path("out.db");
    assert_status(&run(["repair", text(&source)]), 1);
    assert_status(&run(["repair", text(&source), "-o", text(&out)]), 0);
    assert_status(&run(["verify", text(&out)]), 0);
    assert_eq!(records(&out).len(), 118);

    let mut records = records(&genuine(MASTER));
    let shape = records[&key_with(&records, "Nuser", "T er ")].clone();
    records.extend(["Nuser\x1fa.b", "Nuser\x1fa-b"].map(|key| (key.into(), shape.clone())));
    let path = bench.path("mbox.db");
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_by(|a, b| KeyOrder::Mbox.compare(a.0, b.0));
    let options = WriteOptions { order: KeyOrder::Mbox, time: 1, style: flat::Style::Escaped };
    write(&mut fs::File::create(&path).expect("a file"), Format::Twoskip, sorted, &options).expect("written");
    let document = repaired(&path, []);
    assert_eq!((document["order"].as_str(), document["changes"].as_array().map(Vec::len)), (Some("unsigned"), Some(0)));
    assert_status(&run(["repair", text(&path)]), 1);
    let out = bench.path("sorted.db");
    assert_status(&run(["repair", text(&path), "-o", text(&out)]), 0);
    assert_status(&run(["repair", text(&out)]), 0);
    assert_eq!(self::records(&out), records);
}

#[test]
fn damaged_files_and_dumps_are_refused_by_the_command_that_helps() {
    for (of, says) in [
        ("cyrus-3.6.1/damaged/twoskip/hole/before.db", "coroner recover"),
        ("cyrus-3.6.1/murder-twoskip/mup.twoskip.dump.json", "coroner convert"),
    ] {
        let output = run(["repair", text(&genuine(of))]);
        assert_status(&output, 2);
        assert!(output.stderr.contains_str(says), "{}", output.stderr.as_bstr());
        assert_eq!(output.stderr.lines().count(), 1);
    }
}
