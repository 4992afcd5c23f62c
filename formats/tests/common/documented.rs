//! Holds a room's FORMAT.md, its rules and its tests to each other.

use coroner_formats::finding::Rule;

/// The rows of the requirements in `document` are the `rules` in their order, and each names tests of `tests`.
///
/// A row is `| CODE | requirement | tests in backquotes |`.
pub fn assert_documented(document: &str, rules: &[&Rule], tests: &str) {
    let prefix = rules.first().and_then(|rule| rule.code.split_once('-')).expect("a code").0;
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")).filter(|row| row.starts_with(prefix));
    let mut codes = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
        codes.push(*cells.first().expect("a code"));
        let names: Vec<&str> = cells.last().expect("a cell").split('`').skip(1).step_by(2).collect();
        assert!(cells.len() == 3 && !names.is_empty(), "no test for {row}");
        for name in names {
            assert!(tests.contains(&format!("#[test]\nfn {name}()")), "no test {name}, which {row} names");
        }
    }
    assert_eq!(codes, rules.iter().map(|rule| rule.code).collect::<Vec<_>>());
}
