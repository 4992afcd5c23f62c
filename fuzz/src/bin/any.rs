//! All targets in one program, which is built far sooner than a program for each; `TARGET` in the environment names one.
#![no_main]

#[path = "../decisions.rs"]
mod of_decisions;
#[path = "../plan.rs"]
mod of_plans;

use std::sync::LazyLock;

use coroner_fuzz::{TARGETS, Target};

const OF_COMMANDS: [Target; 2] = [("decisions", of_decisions::decisions), ("plan", of_plans::plan)];

static BODY: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let found = TARGETS.iter().chain(&OF_COMMANDS).find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("TARGET names none of the targets: {wanted:?}")).1
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| BODY(bytes));
