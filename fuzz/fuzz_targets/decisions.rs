#![no_main]

#[path = "../src/decisions.rs"]
mod of_merge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| of_merge::decisions(bytes));
