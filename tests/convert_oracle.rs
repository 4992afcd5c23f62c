//! What the real Cyrus 3.6.1 says of the files that `coroner convert` writes.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use coroner::formats::container::Format;
use rayon::prelude::*;

use common::coroner;
use common::cyrus::Cyrus;

const ENGINES: [Format; 3] = [Format::Skiplist, Format::Twoskip, Format::Flat];

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Lines of `show`, sorted: engines keep them in different orders.
fn sorted(show: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = show.lines().collect();
    lines.sort();
    lines
}

#[test]
fn cyrus_reads_the_same_from_every_container() {
    let Some(cyrus) = Cyrus::find("cyrus_reads_the_same_from_every_container") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // 3.6.1 has no twom.
    let wanted = |(path, format): &(PathBuf, Format)| {
        !text(path).contains("/mboxsort/") && !text(path).contains("/synthetic/") && *format != Format::Twom
    };
    let databases: Vec<_> = common::undamaged().into_iter().filter(wanted).collect();
    assert!(databases.len() > 200);
    databases.par_iter().enumerate().for_each(|(number, (path, format))| {
        let original = cyrus.place(&format!("{number}.db"), &fs::read(path).expect("a corpus file"));
        let shown = cyrus.dbtool(&original, *format, &["show"], b"").stdout;
        let dumped = cyrus.mboxlist(&original, *format, &["-d", "-y"]).stdout;
        for engine in ENGINES {
            let out = folder.path().join(format!("{number}.{engine}.db"));
            let output = coroner(["convert", text(path), "-o", text(&out), "--to", engine.as_str()]);
            assert_eq!(output.status.code(), Some(0), "{path:?}: {}", output.stderr.as_bstr());
            let copy = cyrus.place(&format!("{number}.{engine}"), &fs::read(&out).expect("what was written"));
            let show = cyrus.dbtool(&copy, engine, &["show"], b"");
            assert_eq!(sorted(&show.stdout), sorted(&shown), "{path:?} as {engine}");
            let consistent = cyrus.dbtool(&copy, engine, &["consistent"], b"").stdout;
            assert!(consistent.contains_str(b"Yes, consistent"), "{path:?} as {engine}: {}", consistent.as_bstr());
            let dump = cyrus.mboxlist(&copy, engine, &["-d", "-y"]).stdout;
            assert_eq!(entries(&dump), entries(&dumped), "{path:?} as {engine}");
        }
    });
}

/// The entries of a dump, sorted, without the commas between them.
fn entries(dump: &[u8]) -> Vec<&[u8]> {
    let mut entries: Vec<&[u8]> = dump.lines().map(|line| line.strip_suffix(b",").unwrap_or(line)).collect();
    entries.sort();
    entries
}

#[test]
fn cyrus_dumps_what_coroner_dumps() {
    let Some(cyrus) = Cyrus::find("cyrus_dumps_what_coroner_dumps") else { return };
    let wanted = |path: &Path| text(path).contains("cyrus-3.6.1/murder-") || text(path).contains("cyrus-3.8.7/murder-");
    for (path, format) in common::undamaged().into_iter().filter(|(path, _)| wanted(path)) {
        let copy = cyrus.place("dump.db", &fs::read(&path).expect("a corpus file"));
        let theirs = cyrus.mboxlist(&copy, format, &["-d", "-y"]).stdout;
        let ours = coroner(["convert", text(&path), "-o", "-", "--to", "json"]).stdout;
        // Cyrus prints no former names, and cuts an entry that is not UTF-8 down to its comma.
        let theirs: Vec<&[u8]> = theirs.lines().filter(|line| *line != b",").collect();
        assert_eq!(theirs.len(), ours.lines().count(), "{path:?}");
        for (ours, theirs) in ours.lines().zip(theirs) {
            let cut = |line: &[u8]| line.find(b"\"name_history\"").map_or(line.len(), |at| at);
            let bare = |line: &[u8]| line.strip_suffix(b",").unwrap_or(line).to_vec();
            if cut(ours) == ours.len() {
                assert_eq!(bare(ours).as_bstr(), bare(theirs).as_bstr(), "{path:?}");
            } else {
                assert_eq!(ours[..cut(ours)].as_bstr(), theirs[..cut(theirs)].as_bstr(), "{path:?}");
            }
        }
    }
}

#[test]
fn cyrus_reads_older_masters_once_they_are_converted() {
    let Some(cyrus) = Cyrus::find("cyrus_reads_older_masters_once_they_are_converted") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = |path: &Path| {
        let path = text(path);
        path.contains("/murder-")
            && (path.contains("/mup.") || path.contains("/fe1."))
            && !path.contains("after-restart")
    };
    let databases: Vec<_> = common::undamaged().into_iter().filter(|(path, _)| wanted(path)).collect();
    databases.par_iter().enumerate().for_each(|(number, (path, _))| {
        for engine in ENGINES {
            let out = folder.path().join(format!("{number}.{engine}.db"));
            let options = ["--to", engine.as_str(), "--role", "master", "--era", "3.6"];
            let output = coroner([&["convert", text(path), "-o", text(&out)], &options[..]].concat());
            assert_eq!(output.status.code(), Some(0), "{path:?}: {}", output.stdout.as_bstr());
            let count = coroner(["list", "--count", text(&out)]).stdout;
            let copy = cyrus.place(&format!("{number}.{engine}"), &fs::read(&out).expect("what was written"));
            let dump = cyrus.mboxlist(&copy, engine, &["-d"]).stdout;
            let remote = dump
                .lines()
                .filter(|line| line.contains_str(b"\"mbtype\": \"er") && line.contains_str(b"\"server\": "));
            // Names that are not UTF-8 are entries all the same, which Cyrus leaves empty.
            let empty = dump.lines().filter(|line| *line == b",").count();
            let empty = empty + usize::from(dump.ends_with(b",\n\n}\n"));
            assert_eq!((remote.count() + empty).to_string(), count.to_str_lossy().trim(), "{path:?} as {engine}");
        }
    });
}
