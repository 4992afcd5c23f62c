//! Plans as anybody may have written them: read, what they do together, taken back, held against a database, written.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use coroner::formats::container::{Format, KeyOrder, WriteOptions, flat, write};
use coroner::input::{Locking, Options, Source};
use coroner::ops::reading::Reading;
use coroner::plan::{Net, Plan, apply};

/// A database to hold plans against: one record for each of these keys.
const KEYS: [&str; 3] = ["Nuser\u{1f}anna", "Nuser\u{1f}anna\u{1f}Sent", "a"];
const VALUE: &str = "%(T e P default M 1 A %(anna lrs))";

/// The database, opened once; its file is gone then.
fn source() -> &'static Source {
    static SOURCE: OnceLock<Source> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("coroner-fuzz-{}.db", std::process::id()));
        let mut file = std::fs::File::create(&path).expect("a file");
        let options = WriteOptions { order: KeyOrder::Unsigned, time: 1, style: flat::Style::Escaped };
        let records = KEYS.map(|key| (key, VALUE));
        write(&mut file, Format::Twoskip, records, &options).expect("written");
        let options = Options { locking: Locking::None, ..Options::default() };
        let source = Source::open(&path, &options).expect("opened");
        std::fs::remove_file(&path).expect("removed");
        source
    })
}

/// Whether two plans' changes do the opposite of each other.
fn are_opposite(net: &BTreeMap<&[u8], Net<'_>>, back: &BTreeMap<&[u8], Net<'_>>) -> bool {
    let opposite = |(key, net): (&&[u8], &Net<'_>)| back.get(key).is_some_and(|b| (b.from, b.to) == (net.to, net.from));
    net.len() == back.len() && net.iter().all(opposite)
}

/// Reads a plan; what is read is written as an equal one, can be taken back, and fits a database or does not.
pub fn plan(bytes: &[u8]) {
    let Ok(mut plan) = Plan::from_json(bytes) else { return };
    let text = plan.to_json();
    assert_eq!(Plan::from_json(text.as_bytes()).as_ref(), Ok(&plan), "{text}");
    let undo = plan.inverse(plan.source.clone(), plan.made);
    assert_eq!(Plan::from_json(undo.to_json().as_bytes()).as_ref(), Ok(&undo), "{text}");
    assert_eq!(undo.inverse(plan.source.clone(), plan.made).changes, plan.changes, "{text}");
    match (plan.net(), undo.net()) {
        (Ok(net), Ok(back)) => assert!(are_opposite(&net, &back), "{text}"),
        (Err(at), Err(_)) => assert!(at < plan.changes.len(), "{text}"),
        _ => panic!("only one of a plan and what takes it back holds together: {text}"),
    }
    let database = source().database().expect("a database");
    let reading = Reading::new(source(), &*database).expect("no transaction is asked for");
    let was_bound = apply::check(&plan, source()).is_ok();
    plan.source = apply::bound(source(), plan.source.order).expect("a format");
    assert!(!was_bound || apply::check(&plan, source()).is_ok());
    let fits = plan.net().is_ok_and(|net| {
        net.iter().all(|(key, net)| {
            let there = KEYS.iter().any(|known| known.as_bytes() == *key);
            net.from == there.then_some(VALUE.as_bytes())
        })
    });
    assert_eq!(apply::fits(&plan, source(), &reading).is_ok(), fits, "{text}");
}
