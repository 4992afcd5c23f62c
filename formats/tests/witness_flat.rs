//! The real Cyrus as witness: it reads flat files that coroner wrote, and of damaged ones what coroner says it reads.

mod common;
#[path = "common/witness.rs"]
mod witness;

use std::fs;
use std::path::Path;

use common::dumped;
use coroner_formats::container::flat::writer::{WriteError, Writer, written_order};
use coroner_formats::container::flat::{Flat, Style};
use coroner_formats::container::{CyrusOutcome, Database, Depth, KeyOrder};
use coroner_formats::finding::Severity;
use witness::Witness;

type Records = Vec<(Vec<u8>, Vec<u8>)>;

fn written(records: &Records, style: Style) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), style);
    for (key, value) in records {
        writer.push(key, value).unwrap();
    }
    writer.finish().unwrap()
}

fn shown(records: &Records) -> Vec<u8> {
    records.iter().flat_map(|(key, value)| [key, &b"\t"[..], value, b"\n"].concat()).collect()
}

fn assert_sound(bytes: &[u8]) {
    Flat::new(bytes).verify(Depth::Full, &mut |finding| assert_eq!(finding.severity(), Severity::Note, "{finding:?}"));
}

fn thousand() -> Records {
    let mut records: Records = (0..1000)
        .map(|i| {
            let separator = [".", "-", "\x1F", " "][i % 4];
            (format!("user{separator}{:04}", i * 7919 % 1000).into_bytes(), format!("%(T e V {i})").into_bytes())
        })
        .collect();
    records.sort_by(|(a, _), (b, _)| written_order(Style::Escaped, a, b));
    records
}

fn odd() -> Records {
    let keys: [&[u8]; 8] = [b"a\tb", b"a", b"a\xFF", b"a\nb", b"\x01", b"\xC3\xA9", b"a.b", b"a\r"];
    let mut records: Records = keys.iter().map(|key| (key.to_vec(), [b"<", *key, b">"].concat())).collect();
    records.sort_by(|(a, _), (b, _)| written_order(Style::Escaped, a, b));
    records
}

#[test]
fn cyrus_reads_and_changes_what_the_writer_wrote() {
    let Some(witness) = Witness::new("flat", "writer") else { return };
    for (name, records) in [("none", Records::new()), ("thousand", thousand()), ("odd", odd())] {
        let bytes = written(&records, Style::Escaped);
        if !records.is_empty() && name != "odd" {
            assert_sound(&bytes);
        }
        let path = witness.place(&format!("{name}.db"), &bytes);
        assert!(witness.said(&path, &["show"]) == shown(&records), "{name}");
        for (key, value) in records.iter().step_by(97) {
            if let Ok(key) = std::str::from_utf8(key) {
                assert_eq!(witness.said(&path, &["get", key]), [value, &b"\n"[..]].concat(), "{name} {key:?}");
            }
        }
        witness.said(&path, &["set", "user.between", "%(T e)"]);
        witness.said(&path, &["set", "user.tab", "0 p a\tlrs\t"]);
        if let Some(key) = records.get(500).and_then(|(key, _)| std::str::from_utf8(key).ok()) {
            witness.said(&path, &["delete", key]);
        }
        let after = fs::read(&path).unwrap();
        let flat = Flat::new(&after);
        let view = flat.view(KeyOrder::Mbox, 3);
        let mut records = Vec::new();
        (0..view.parts()).for_each(|part| {
            view.walk(part, &mut |record| {
                records.push(record);
                true
            });
        });
        assert_eq!(dumped(&records), witness.said(&path, &["show"]), "{name}");
        assert_eq!(view.get(b"user.tab").unwrap().value.as_ref(), b"0 p a\tlrs\t", "{name}");
    }
}

#[test]
fn the_writer_refuses_what_would_not_be_read_back() {
    let mut writer = Writer::new(Vec::new(), Style::Raw);
    assert!(matches!(writer.push(b"", b"x"), Err(WriteError::EmptyKey)));
    assert!(matches!(writer.push(b"a\tb", b"x"), Err(WriteError::Unwritable { byte: b'\t', .. })));
    assert!(matches!(writer.push(b"a", b"x\ny"), Err(WriteError::Unwritable { byte: b'\n', .. })));
    writer.push(b"user.a", b"0 p a\tlrs\t").unwrap();
    assert!(matches!(writer.push(b"user.a", b""), Err(WriteError::Order { .. })));
    assert!(matches!(writer.push(b"user", b""), Err(WriteError::Order { .. })));
    writer.push(b"user.a.b", b"").unwrap();
    writer.push(b"user.a-b", b"").unwrap();
    assert_eq!(writer.finish().unwrap(), b"user.a\t0 p a\tlrs\t\nuser.a.b\t\nuser.a-b\t\n");
}

#[test]
fn genuine_files_are_written_again_byte_for_byte() {
    let healthy = |path: &Path| path.to_string_lossy().ends_with("flat.db");
    for path in common::files("", healthy) {
        let bytes = fs::read(&path).unwrap();
        let release = path.strip_prefix(common::corpus()).unwrap().to_string_lossy().into_owned();
        let raw =
            ["cyrus-2.2", "cyrus-2.3", "cyrus-2.4", "cyrus-3.6.1/legacy"].iter().any(|old| release.starts_with(old));
        let style = if raw { Style::Raw } else { Style::Escaped };
        let records = Flat::new(&bytes).carve(KeyOrder::Mbox).kept.into_iter().map(|kept| kept.record);
        let records: Records = records.map(|record| (record.key.into_owned(), record.value.into_owned())).collect();
        assert_eq!(written(&records, style), bytes, "{path:?}");
    }
}

#[test]
fn of_damaged_files_cyrus_reads_what_is_said() {
    let Some(witness) = Witness::new("flat", "damaged") else { return };
    let path = common::corpus().join("cyrus-3.6.1/murder-flat/be2.flat.db");
    let whole = fs::read(path).unwrap();
    let mut cases: Vec<Vec<u8>> = Vec::new();
    // Not the first byte: a NUL there makes Cyrus compare bytes that it never set, with any outcome.
    for (at, byte) in (0..40).map(|i| (i * whole.len() / 41 + i + 1, b"\0\n\t\r\xFF\x01"[i % 6])) {
        let mut mauled = whole.clone();
        mauled[at] = byte;
        cases.push(mauled);
        cases.push(whole[..at].to_vec());
    }
    let mut glued = whole.clone();
    glued.retain(|&b| b != b'\t');
    cases.push(glued);
    cases.push([&whole[..], &[0; 5000]].concat());
    cases.push(b"\t empty key\na\t\n\n\nb\t1\n\t\n".to_vec());
    cases.push(b"a\xFF\xE2\t\xFF\nb\tx\xFF\xFFy\xFF\n".to_vec());
    for (at, bytes) in cases.iter().enumerate() {
        let path = witness.place(&format!("{at}.db"), bytes);
        let CyrusOutcome::Opens(mut records) = Flat::new(bytes).as_cyrus(KeyOrder::Mbox) else {
            panic!("Cyrus opens any flat file");
        };
        records.sort_by_key(|record| record.span);
        let shown = witness.run(&path, &["show"]).stdout;
        assert!(dumped(&records) == shown, "case {at}: {} bytes said, {} shown", dumped(&records).len(), shown.len());
    }
}
