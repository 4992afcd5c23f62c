#![no_main]

#[path = "../src/plan.rs"]
mod of_plans;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| of_plans::plan(bytes));
