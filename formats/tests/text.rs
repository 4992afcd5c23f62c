//! Dumps of twelve releases, as they print them.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use coroner_formats::container::{Format, detect};

/// What a corpus file is, by its name.
fn named(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let is = |ending: &str| name.ends_with(ending);
    if path.to_string_lossy().contains("damaged/flat/") {
        return (name == "before.db").then_some(Format::Flat);
    }
    if path.to_string_lossy().contains("damaged/") && name == "show.txt" {
        return Some(Format::Show);
    }
    match () {
        () if is("flat.db") => Some(Format::Flat),
        () if is(".show.txt") => Some(Format::Show),
        () if is(".json") => Some(Format::Json),
        () if is(".dump.txt") || is(".in.txt") => Some(Format::Text),
        () => None,
    }
}

#[test]
fn detection() {
    let mut tally: BTreeMap<(Format, Option<Format>), Vec<String>> = BTreeMap::new();
    for path in common::files("", |path| named(path).is_some()) {
        let bytes = fs::read(&path).unwrap();
        if bytes.is_empty() {
            continue;
        }
        let d = detect(&bytes);
        tally.entry((named(&path).unwrap(), d.format)).or_default().push(format!(
            "{} {}",
            path.strip_prefix(common::corpus()).unwrap().display(),
            d.evidence
        ));
    }
    for ((want, got), paths) in tally {
        println!("{want} read as {got:?}: {}", paths.len());
        if Some(want) != got {
            for path in paths.iter().take(400) {
                println!("   {path}");
            }
        }
    }
}
