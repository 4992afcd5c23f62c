//! Replays ledgers that fuzzing found something with, and those that it begins with.

mod common;
#[path = "../fuzz/src/decisions.rs"]
mod fuzz;

use std::fs;

use common::corpus;

#[test]
fn ledgers_decide_among_claims_only() {
    let (seeds, found) = (corpus().join("../fuzz/seeds/decisions"), corpus().join("regressions/decisions"));
    let mut replayed = 0;
    for folder in [seeds, found] {
        // Nothing found yet is no folder.
        for path in if folder.exists() { common::files(&folder, &|_| true) } else { Vec::new() } {
            println!("{}", path.display());
            fuzz::decisions(&fs::read(path).expect("a ledger"));
            replayed += 1;
        }
    }
    assert!(replayed > 3, "{replayed}");
}
