//! Transcripts of the command line: what is typed and what is printed, to the byte.
//!
//! A transcript is a text with blocks between ```` ``` ```` lines: `$ coroner …`, then `? STATUS` unless it is 0, then
//! what comes on standard output and standard error, in this order. `OVERWRITE=1 cargo test --test cli` writes what is
//! printed now into the transcripts.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

/// Splits a command line at blanks outside of single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![];
    for (index, piece) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(piece.split_whitespace().map(str::to_owned)),
            _ => words.push(piece.to_owned()),
        }
    }
    words
}

/// Runs the command of a block and gives the block as it is now.
fn block(command: &str) -> String {
    let arguments = words(command.strip_prefix("$ coroner").expect("a command of coroner"));
    let mut coroner = Command::new(env!("CARGO_BIN_EXE_coroner"));
    coroner.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(std::process::Stdio::null());
    // The time that is given to records whose source tells none.
    coroner.env("SOURCE_DATE_EPOCH", "1795000000");
    let output = coroner.env_remove("COLUMNS").output().expect("coroner runs");
    let status = match output.status.code() {
        Some(0) => String::new(),
        code => format!("? {}\n", code.expect("an exit status")),
    };
    let printed = [output.stdout, output.stderr].concat();
    format!("{command}\n{status}{}", String::from_utf8(printed).expect("text"))
}

/// A transcript as it is now.
fn rerun(transcript: &str) -> String {
    let mut now = String::new();
    let mut pieces = transcript.split("```\n");
    while let Some(prose) = pieces.next() {
        now += prose;
        if let Some(code) = pieces.next() {
            now += &format!("```\n{}```\n", block(code.lines().next().expect("a command")));
        }
    }
    now
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let all = common::files(&folder, &|path| path.extension().is_some_and(|ending| ending == "md"));
    assert!(all.len() >= 4);
    for path in all {
        let before = fs::read_to_string(&path).expect("a transcript");
        let now = rerun(&before);
        if std::env::var_os("OVERWRITE").is_some() {
            fs::write(&path, now).expect("written");
            continue;
        }
        let mut lines = before.lines().zip(now.lines()).enumerate();
        let first = lines.find(|(_, (before, now))| before != now);
        assert!(before == now, "{}: line {:?}", path.display(), first);
    }
}
