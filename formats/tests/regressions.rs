//! Replays the inputs that fuzzing once found something with: `corpus/regressions/TARGET/*`.

mod common;
#[allow(dead_code)]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn names(folder: &Path) -> BTreeSet<String> {
    let items = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    items.map(|item| item.expect("an item").file_name().into_string().expect("a plain name")).collect()
}

#[test]
fn every_regression_stays_fixed() {
    let folder = common::corpus().join("regressions");
    let mut replayed = 0;
    let others = |name: &&String| *name == "README.md" || fuzz::OF_COMMANDS.contains(&name.as_str());
    for target in names(&folder).iter().filter(|name| !others(name)) {
        let (_, body) = fuzz::TARGETS
            .iter()
            .find(|(name, _)| name == target)
            .unwrap_or_else(|| panic!("corpus/regressions/{target} names no fuzz target"));
        for input in names(&folder.join(target)) {
            let path = folder.join(target).join(&input);
            println!("{target} {input}");
            body(&fs::read(path).expect("an input"));
            replayed += 1;
        }
    }
    println!("{replayed} inputs replayed");
}

#[test]
fn genuine_files_hold_what_the_targets_ask() {
    use rayon::prelude::*;

    let files = common::genuine(65_536);
    let failures = files.par_iter().flat_map_iter(|file| {
        let wanted = |name: &str| name == "detect" || name.split('_').next() == Some(file.format.as_str());
        let targets = fuzz::TARGETS.iter().filter(|(name, _)| wanted(name));
        let failed = targets.filter(|(_, body)| std::panic::catch_unwind(|| body(&file.bytes)).is_err());
        failed.map(|(name, _)| format!("{name} {}", file.name)).collect::<Vec<_>>()
    });
    let failures: Vec<_> = failures.collect();
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A target without its libFuzzer program, or a program without its target, would go unfuzzed in silence.
#[test]
fn every_target_has_its_program() {
    let fuzz_folder = common::corpus().join("../fuzz");
    let programs: BTreeSet<String> =
        names(&fuzz_folder.join("fuzz_targets")).iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    let targets = fuzz::TARGETS.iter().map(|(name, _)| name).chain(fuzz::OF_COMMANDS);
    let targets: BTreeSet<String> = targets.map(|name| (*name).to_owned()).collect();
    assert_eq!(programs, targets);
    let any = fs::read_to_string(fuzz_folder.join("src/bin/any.rs")).expect("the program of all targets");
    for target in fuzz::OF_COMMANDS {
        assert!(any.contains(&format!("(\"{target}\", ")), "any.rs does not know {target}");
    }
    let manifest = fs::read_to_string(fuzz_folder.join("Cargo.toml")).expect("the fuzz manifest");
    for target in &targets {
        let body = fs::read_to_string(fuzz_folder.join(format!("fuzz_targets/{target}.rs"))).expect("a program");
        assert!(body.contains(&format!("::{target}(bytes)")), "{target}.rs runs another target");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not in fuzz/Cargo.toml");
    }
}
