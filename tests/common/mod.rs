//! Runs coroner and the real Cyrus, and finds the genuine files.
#![allow(dead_code)]

pub mod cyrus;
pub mod mupdate;
pub mod murder;
pub mod murders;
pub mod random;
pub mod relay;
pub mod talk;
pub mod theatre;
pub mod traced;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use coroner::formats::container::{Format, KeyOrder, detect, open};

/// The corpus folder.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Runs coroner with these arguments and no standard input.
pub fn coroner<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coroner"));
    command.args(arguments).stdin(std::process::Stdio::null()).output().expect("coroner runs")
}

/// Every file below `folder` that `wanted` accepts, in a fixed order.
pub fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = item.expect("an item").path();
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every undamaged database of the corpus in a format that Cyrus 3.6.1 reads, with that format.
pub fn undamaged() -> Vec<(PathBuf, Format)> {
    let corpus = corpus();
    let wanted = |path: &Path| {
        let below = path.strip_prefix(&corpus).unwrap_or(path).to_string_lossy();
        below.ends_with(".db") && !below.contains("/damaged/") && below.starts_with("cyrus-")
    };
    let format = |path: PathBuf| {
        let format = detect(&fs::read(&path).expect("a corpus file")).format?;
        matches!(format, Format::Skiplist | Format::Twoskip | Format::Twom | Format::Flat).then_some((path, format))
    };
    files(&corpus, &wanted).into_iter().filter_map(format).collect()
}

/// The live records of a database file, in its own order.
pub fn records(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let Some(format) = detect(&bytes).format else {
        assert!(bytes.is_empty(), "{}: no database", path.display());
        return Vec::new();
    };
    let database = open(&bytes, format);
    let mut records = Vec::new();
    database.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        records.push((record.key.into_owned(), record.value.into_owned()));
        true
    });
    records
}

/// The digest that coroner prints of a file.
pub fn digest(path: &Path) -> String {
    let output = coroner([Path::new("digest"), path]);
    let text = String::from_utf8(output.stdout).expect("text");
    text.split_whitespace().next().unwrap_or_else(|| panic!("{}: no digest", path.display())).to_owned()
}
