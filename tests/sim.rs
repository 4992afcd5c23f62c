//! Murders under random load and faults: nothing is lost, and whoever makes a mistake is noticed.

use std::time::Duration;

use coroner::formats::record::Form;
use coroner::murder::defect::Defect;
use coroner::murder::node::{Ask, Config, List, Node};
use coroner::murder::sim::mutants::hunt;
use coroner::murder::sim::play::play;
use coroner::murder::sim::{STEPS, draw, seeds, shortest, text};
use coroner::murder::wire::command::{Change, Verb};

/// Seeds that are played without a mistake.
const SEEDS: u64 = 300;
/// Seeds within which a mistake is noticed.
const MOST: u64 = 2000;

#[test]
fn nothing_is_lost() {
    let summary = seeds(0..SEEDS, STEPS, None, &|| ());
    assert_eq!(summary.failed, None);
    assert_eq!(summary.seeds, SEEDS);
    for (fault, count) in summary.counts.faults() {
        assert!(count > 0, "{fault} never did anything");
    }
}

#[test]
fn every_mistake_is_noticed() {
    let missed: Vec<&str> = Defect::ALL
        .iter()
        .filter(|&&defect| hunt(defect, 0, MOST, STEPS).caught.is_none())
        .map(|defect| defect.name())
        .collect();
    assert!(missed.is_empty(), "not noticed: {missed:?}");
}

#[test]
fn a_seed_goes_the_same_way_again() {
    for seed in [1, 2, 3, 1000, u64::MAX] {
        let script = draw::script(seed, STEPS);
        assert_eq!(play(&script, None), play(&script, None), "{seed}");
    }
    assert_ne!(play(&draw::script(1, STEPS), None).sum, play(&draw::script(2, STEPS), None).sum);
}

#[test]
fn what_fails_is_made_short_and_fails_again_from_its_text() {
    let defect = Some(Defect::SkipActivate);
    let summary = seeds(0..64, STEPS, defect, &|| ());
    let Some((seed, violation)) = summary.failed else { panic!("nobody noticed") };
    let (short, now) = shortest(&draw::script(seed, STEPS), &violation, defect);
    assert_eq!(now.check, violation.check);
    assert!(short.steps.len() <= 3, "{short}");
    let again = text::parse(&short.to_string()).unwrap();
    assert_eq!(again, short);
    assert_eq!(play(&again, defect).violation, Some(now));
    assert_eq!(play(&again, None).violation, None);
}

#[test]
fn what_failed_once_holds_now() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/sim");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sim") {
            continue;
        }
        let script = text::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(play(&script, None).violation, None, "{}", path.display());
        played += 1;
    }
    assert!(played > 0);
}

#[test]
fn nobody_is_told_of_a_change_that_could_not_be_stored() {
    let mut node = Node::new(Config::default(), List::new(Form::Db));
    let ask = |verb: Verb| Ask::Verb { tag: b"T".to_vec(), verb };
    let (name, location) = (b"user.a".to_vec(), b"be1!default".to_vec());
    node.connect(1);
    node.connect(2);
    node.ask(1, ask(Verb::Change(Change::Reserve { name: name.clone(), location })), Duration::ZERO);
    node.ask(2, ask(Verb::Find(name)), Duration::ZERO);
    assert!(node.has_changes());
    node.refused();
    let told = node.outputs();
    assert_eq!(told.len(), 2);
    for (conn, output) in told {
        assert!(output.close, "{conn}");
        assert!(output.bytes.starts_with(b"* BYE"), "{conn}: {:?}", String::from_utf8_lossy(&output.bytes));
    }
}
