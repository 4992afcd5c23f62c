//! The scenarios of a murder's failures on real hosts: what an installed Cyrus 3.6 says and does at each step is what the
//! scenario expects of it, and what the hosts in memory do in its manner.
//!
//! `CORONER_DRILL=partition` plays only those whose names begin so, and prints every step.

mod common;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::murder::Lab;
use common::theatre::Real;
use coroner::murder::drill::book;
use coroner::murder::drill::memory::Memory;
use coroner::murder::drill::play::{Acted, Databases, Outcome, Played, play};
use coroner::murder::drill::scenario::{Deed, Scenario};
use coroner::murder::host::request::Manner;

/// How many murders there are at once.
const AT_ONCE: usize = 4;
/// Why steps of a scenario may be left out, as its outcome says it.
const NEEDS_CLOCK: &str = "it needs a clock of its own";

/// What became of a scenario.
#[derive(Default)]
struct Report {
    name: String,
    /// Steps that were played, and how many of them were held against what is expected.
    played: usize,
    checked: usize,
    left_out: Vec<String>,
    wrong: Vec<String>,
    /// What was said at each step, and when it was begun.
    steps: Vec<String>,
    took: Duration,
}

/// Why a scenario can't be played on real hosts at all.
fn cant(scenario: &Scenario) -> Option<&'static str> {
    let one = |deed: &Deed| match deed {
        Deed::Full(..) => Some("a real host's disk is not to be filled"),
        _ => None,
    };
    scenario.steps.iter().find_map(|step| one(&step.deed))
}

fn run(lab: &Lab, number: usize, scenario: &Scenario) -> Report {
    let mut report = Report { name: scenario.name.clone(), ..Report::default() };
    if let Some(why) = cant(scenario) {
        report.left_out.push(format!("all of it: {why}"));
        return report;
    }
    let begun = Instant::now();
    let mut house = Real::new(lab, u8::try_from(number).expect("few scenarios"), scenario);
    let none = Databases::new();
    let real = play(&mut house, scenario, Manner::Cyrus36, &none);
    report.took = begun.elapsed();
    let memory = play(&mut Memory { verbose: false }, scenario, Manner::Cyrus36, &none);
    match (real, memory) {
        (Ok(real), Ok(memory)) => compare(&mut report, scenario, &real, &memory),
        (real, memory) => {
            report.wrong.extend(real.err().map(|why| format!("the real one: {why}")));
            report.wrong.extend(memory.err().map(|why| format!("in memory: {why}")));
        }
    }
    report
}

fn compare(report: &mut Report, scenario: &Scenario, real: &Played, memory: &Played) {
    assert_eq!(real.steps.len(), memory.steps.len(), "{}", scenario.name);
    for (number, (real, memory)) in real.steps.iter().zip(&memory.steps).enumerate() {
        let step = format!("step {}, {}", number + 1, real.text);
        report.steps.push(format!("{:7.3} {}: {}", real.at.as_secs_f64(), real.text, real.said.join(" | ")));
        match &real.outcome {
            Outcome::NotPlayed(why) if why == NEEDS_CLOCK => {
                report.left_out.push(format!("{step}: {why}"));
                continue;
            }
            Outcome::NotPlayed(why) => {
                report.wrong.push(format!("{step}: {why}"));
                continue;
            }
            Outcome::Unexpected(expected) => {
                report.wrong.push(format!("{step}: {:?}, and {expected:?} is expected", real.said));
            }
            Outcome::Fine => {}
        }
        report.played += 1;
        report.checked += usize::from(real.expected);
        if is_comparable(scenario, real) && essence(real) != essence(memory) {
            report.wrong.push(format!("{step}: {:?}, and in memory {:?}", real.said, memory.said));
        }
    }
}

/// Whether both say what they did in the same way. `ctl_mboxlist -m` tells only the log what it does; and what somebody hears
/// from a host that dies hangs on what it was about to do.
fn is_comparable(scenario: &Scenario, step: &Acted) -> bool {
    let dies = scenario.steps.iter().any(|step| matches!(step.deed, Deed::Fuse(..)));
    let tells_the_log = step.text.starts_with("sync") && !step.text.contains(" -w");
    !tells_the_log && (step.expected || !dies)
}

/// What was said, without the words behind a delivery that worked: each server on the way has its own.
fn essence(step: &Acted) -> Vec<&str> {
    step.said.iter().map(|line| if line.starts_with("delivered") { "delivered" } else { line }).collect()
}

#[test]
fn the_book_is_played_on_real_hosts() {
    let Some(lab) = Lab::find("the_book_is_played_on_real_hosts") else { return };
    Real::prepare(&lab);
    let wanted = std::env::var("CORONER_DRILL").ok();
    let book = book::all().expect("a sound book");
    let mut book: Vec<Scenario> = book
        .into_iter()
        .filter(|scenario| wanted.as_ref().is_none_or(|name| scenario.name.starts_with(name)))
        .collect();
    // The longest first, so that nobody waits for one alone at the end.
    book.sort_by_key(|scenario| Reverse(scenario.steps.len()));
    let queue: VecDeque<(usize, Scenario)> = (1..).zip(book).collect();
    let (queue, reports) = (Mutex::new(queue), Mutex::new(Vec::new()));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((number, scenario)) = next() {
                    let report = run(&lab, number, &scenario);
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = io::stderr().lock();
    for report in &reports {
        let Report { name, played, checked, took, .. } = report;
        let _ = writeln!(out, "{name}: {played} steps played, {checked} checked, {:.1} s", took.as_secs_f64());
        let steps = report.steps.iter().filter(|_| wanted.is_some());
        steps.for_each(|line| drop(writeln!(out, "{name}: {line}")));
        report.left_out.iter().for_each(|line| drop(writeln!(out, "LEFT OUT {name}: {line}")));
        report.wrong.iter().for_each(|line| drop(writeln!(out, "WRONG {name}: {line}")));
    }
    let wrong: Vec<&String> = reports.iter().flat_map(|report| &report.wrong).collect();
    assert!(wrong.is_empty(), "{} steps differ", wrong.len());
    if wanted.is_none() {
        let played = reports.iter().filter(|report| report.checked > 0).count();
        let checked: usize = reports.iter().map(|report| report.checked).sum();
        assert!(played >= 26 && checked >= 146, "only {played} scenarios with {checked} checks");
    }
}
