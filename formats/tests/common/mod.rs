//! Finds the genuine files that the tests read.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// The corpus folder at the root of the repository.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").canonicalize().expect("the corpus folder")
}

/// Every file below `folder` (relative to the corpus) that `wanted` accepts, in a fixed order; never none.
pub fn files(folder: &str, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![corpus().join(folder)];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).expect("a corpus folder") {
            let path = item.expect("a corpus item").path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file wanted below {folder:?}");
    found
}
