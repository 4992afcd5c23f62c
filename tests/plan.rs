//! Plans over any records: what they do, what undoes them, and their JSON.

#[path = "../fuzz/src/plan.rs"]
mod fuzz;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use coroner::formats::container::shape::{self, Verdict};
use coroner::formats::container::{Format, KeyOrder, WriteOptions, flat, open, write};
use coroner::input::{Options, Source};
use coroner::ops::reading::Reading;
use coroner::plan::database::Target;
use coroner::plan::{Bound, Change, Plan, apply};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A key and its new value, if it is to have one.
type Step = (Vec<u8>, Option<Vec<u8>>);

const FORMATS: [Format; 3] = [Format::Twoskip, Format::Skiplist, Format::Flat];

fn order_of(format: Format) -> KeyOrder {
    if format == Format::Flat { KeyOrder::Mbox } else { KeyOrder::Unsigned }
}

fn write_database(path: &Path, format: Format, records: &Records) {
    let order = order_of(format);
    let mut sorted: Vec<_> = records.iter().collect();
    sorted.sort_by(|a, b| order.compare(a.0, b.0));
    let options = WriteOptions { order, time: 1, style: flat::Style::Escaped };
    write(&mut fs::File::create(path).expect("a file"), format, sorted, &options).expect("written");
}

fn read_database(path: &Path, format: Format) -> Records {
    let bytes = fs::read(path).expect("a database");
    let database = open(&bytes, format);
    let mut records = Records::new();
    database.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        records.insert(record.key.into_owned(), record.value.into_owned());
        true
    });
    records
}

/// Records of any kind do not always look like a database.
fn source(path: &Path, format: Format) -> Source {
    Source::open(path, &Options { format: Some(format), ..Options::default() }).expect("opened")
}

/// What a plan for the file at `path` is bound to.
fn bound(path: &Path, format: Format) -> Bound {
    apply::bound(&source(path, format), Some(order_of(format))).expect("bytes")
}

fn apply_to(plan: &Plan, path: &Path, out: &Path) -> Result<(), String> {
    let source = source(path, plan.source.format);
    apply::check(plan, &source).map_err(|failure| failure.to_string())?;
    let database = source.database().expect("a database");
    let reading = Reading::new(&source, &*database).expect("read");
    let target = Target { path: out, overwrite: true, like: None };
    apply::copy(plan, &source, &reading, target).map(drop).map_err(|failure| failure.to_string())
}

/// A key as mailboxes have them, or any that every format can hold. A flat file that begins like JSON or a script is none.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let any = prop_oneof![
        "Nuser\u{1f}[a-d]{1,3}(\u{1f}[A-C.-]{1,2})?".prop_map(String::into_bytes),
        vec(0x1Du8..=0x7E, 1..6),
        vec(prop_oneof![b' '..=b'~', 0x80u8..=0xFE], 1..4),
    ];
    any.prop_filter("another file", |key| !b" {#[\"".contains(&key[0]))
}

/// Any value but one that looks, on a line of a flat file, like damage: such a line is not read as it stands.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let as_it_stands = |value: &Vec<u8>| {
        shape::judge(value) != Verdict::Spoilt && shape::glued(value).is_none() && !value.ends_with(b" ")
    };
    vec(1u8..=0xFE, 0..40).prop_filter("like damage", as_it_stands)
}

/// Records, and what to do with some of them: a new value, or none.
fn scene() -> impl Strategy<Value = (Records, Vec<Step>)> {
    btree_map(key(), value(), 1..30).prop_flat_map(|records| {
        let keys: Vec<_> = records.keys().cloned().collect();
        let known = proptest::sample::select(keys);
        let steps = vec((prop_oneof![known, key()], proptest::option::of(value())), 0..20);
        (Just(records), steps)
    })
}

/// The changes of these steps, each starting from what the one before it left, and the records that they leave.
fn changes(records: &Records, steps: &[Step]) -> (Vec<Change>, Records) {
    let mut now = records.clone();
    let mut changes = Vec::new();
    for (key, to) in steps {
        let from = now.get(key).cloned();
        if from == *to {
            continue;
        }
        match to {
            Some(to) => now.insert(key.clone(), to.clone()),
            None => now.remove(key),
        };
        let (rule, evidence) = ("remote-flag".to_owned(), "because".to_owned());
        changes.push(Change { rule, key: key.clone(), from, to: to.clone(), evidence });
    }
    (changes, now)
}

fn plan(path: &Path, format: Format, changes: Vec<Change>) -> Plan {
    let source = bound(path, format);
    let order = source.order.expect("an order");
    Plan { made_by: "repair".into(), made: 1_795_430_512, source, order, changes }
}

#[test]
fn a_plan_that_would_make_a_file_that_reads_as_damaged_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let [file, out] = ["file.db", "out.db"].map(|name| folder.path().join(name));
    let records: Records =
        [(b"user.a".to_vec(), b"0 p a\tlrs\t".to_vec()), (b"user.b".to_vec(), b"0 p b\tlrs\t".to_vec())].into();
    write_database(&file, Format::Flat, &records);
    let steps = [(b"user.b".to_vec(), Some(b"%(T e))".to_vec()))];
    let plan = plan(&file, Format::Flat, changes(&records, &steps).0);
    let refused = apply_to(&plan, &file, &out).expect_err("refused");
    assert!(refused.contains("would be read as damaged: FLAT-18: line 2"), "{refused}");
    assert!(!out.exists());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_undone_is_as_it_was((records, steps) in scene(), format in 0usize..3) {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, out, back] = ["file.db", "out.db", "back.db"].map(|name| folder.path().join(name));
        let format = FORMATS[format];
        write_database(&file, format, &records);
        let (changes, expected) = changes(&records, &steps);
        // A flat file without records has no bytes, and so no format.
        prop_assume!(!expected.is_empty());
        let plan = plan(&file, format, changes);
        apply_to(&plan, &file, &out).expect("applied");
        prop_assert_eq!(read_database(&out, format), expected.clone());
        let undo = plan.inverse(bound(&out, format), 1_795_430_513);
        apply_to(&undo, &out, &back).expect("undone");
        prop_assert_eq!(read_database(&back, format), records);
        let again = undo.inverse(bound(&back, format), 1_795_430_514);
        apply_to(&again, &back, &out).expect("done again");
        prop_assert_eq!(read_database(&out, format), expected);
        prop_assert_eq!(again.changes, plan.changes);
    }

    #[test]
    fn a_plan_is_the_same_after_json(
        changes in vec((vec(any::<u8>(), 0..9), proptest::option::of(vec(any::<u8>(), 0..30)), proptest::option::of(vec(any::<u8>(), 0..30)), ".*"), 0..9),
        path in vec(1u8..=255, 1..20),
        (len, blake3, made) in (any::<u64>(), any::<[u8; 32]>(), any::<u64>()),
        order in proptest::option::of(0usize..3),
    ) {
        use std::os::unix::ffi::OsStringExt;
        let changes = changes.into_iter().filter(|(_, from, to, _)| from != to);
        let changes = changes.map(|(key, from, to, evidence)| Change { rule: "acl-tab".into(), key, from, to, evidence });
        let path = PathBuf::from(std::ffi::OsString::from_vec(path));
        let order = order.map(|index| KeyOrder::ALL[index]);
        let source = Bound { path, len, blake3, format: Format::Twoskip, order };
        let plan = Plan { made_by: "repair".into(), made, source, order: KeyOrder::Mbox, changes: changes.collect() };
        prop_assert_eq!(Plan::from_json(plan.to_json().as_bytes()), Ok(plan));
    }

    #[test]
    fn a_plan_for_another_file_is_refused((records, steps) in scene(), key in key(), value in value()) {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, other, out] = ["file.db", "other.db", "out.db"].map(|name| folder.path().join(name));
        write_database(&file, Format::Twoskip, &records);
        let mut more = records.clone();
        prop_assume!(more.insert(key, value.clone()) != Some(value));
        write_database(&other, Format::Twoskip, &more);
        let plan = plan(&file, Format::Twoskip, changes(&records, &steps).0);
        let refused = apply_to(&plan, &other, &out).expect_err("refused");
        prop_assert!(refused.contains("is not the file that the plan was made for"), "{}", refused);
        prop_assert!(!out.exists());
    }

    #[test]
    fn a_plan_that_starts_from_other_records_is_refused((records, steps) in scene(), which in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, out] = ["file.db", "out.db"].map(|name| folder.path().join(name));
        write_database(&file, Format::Twoskip, &records);
        let mut plan = plan(&file, Format::Twoskip, changes(&records, &steps).0);
        prop_assume!(!plan.changes.is_empty());
        let change = which.get(&plan.changes).clone();
        let index = plan.changes.iter().position(|known| *known == change).expect("it");
        plan.changes[index].from = match change.from {
            Some(from) => Some([&from[..], b"!"].concat()),
            None => Some(b"!".to_vec()),
        };
        prop_assert!(apply_to(&plan, &file, &out).is_err());
        prop_assert!(!out.exists());
    }

    #[test]
    fn a_plan_changed_by_hand_is_read_as_it_stands_or_refused(
        at in any::<prop::sample::Index>(),
        removed in 0usize..12,
        with in prop::sample::select(&["", "{", "}", "[", "]", ",", ":", "\"", "null", "7", "\\u001f", "true", "raw", "changes", "\u{80}"][..]),
    ) {
        let document = include_str!("../src/plan/PLAN.md");
        let mut text = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example").to_owned();
        let at = at.index(text.len());
        text.replace_range(at..(at + removed).min(text.len()), with);
        if let Ok(plan) = Plan::from_json(text.as_bytes()) {
            prop_assert_eq!(Plan::from_json(plan.to_json().as_bytes()), Ok(plan));
        }
    }

    #[test]
    fn what_fuzzing_asks_holds_of_any_plan((records, steps) in scene(), known in any::<bool>()) {
        let (mut changes, _) = changes(&records, &steps);
        if known {
            let (rule, key, to) = ("remote-flag".to_owned(), b"Nuser\x1fanna".to_vec(), Some(b"x".to_vec()));
            let from = Some(b"%(T e P default M 1 A %(anna lrs))".to_vec());
            changes.retain(|change| change.key == key && change.from.is_some());
            changes.insert(0, Change { rule, key, from, to, evidence: String::new() });
        }
        let source = Bound { path: "a".into(), len: 1, blake3: [0; 32], format: Format::Twoskip, order: None };
        let plan = Plan { made_by: "repair".into(), made: 1, source, order: KeyOrder::Unsigned, changes };
        fuzz::plan(plan.to_json().as_bytes());
    }

    #[test]
    fn no_text_breaks_the_reader_of_plans(text in vec(any::<u8>(), 0..200)) {
        let _ = Plan::from_json(&text);
    }
}

/// The inputs that fuzzing once found something with, and the document's example.
#[test]
fn every_regression_stays_fixed() {
    let document = include_str!("../src/plan/PLAN.md");
    fuzz::plan(
        document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example").as_bytes(),
    );
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/regressions/plan");
    for item in fs::read_dir(kept).into_iter().flatten() {
        fuzz::plan(&fs::read(item.expect("an item").path()).expect("an input"));
    }
}

#[test]
fn the_documents_example_is_a_plan() {
    let document = include_str!("../src/plan/PLAN.md");
    let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let plan = Plan::from_json(example.as_bytes()).expect("a plan");
    assert_eq!(plan.to_json(), example);
    assert_eq!(plan.changes[0].key, b"Nuser\x1fanna");
    assert_eq!(plan.changes[1].to, None);
    assert_eq!(plan.net().map(|net| net.len()), Ok(2));
    // Every member that a plan has is described.
    let members =
        ["schema", "made_by", "made", "source", "path", "len", "blake3", "format", "order", "changes", "rule"];
    for member in members.into_iter().chain(["key", "from", "to", "evidence", "raw"]) {
        assert!(document.contains(&format!("| `{member}` |")), "{member}");
    }
}
