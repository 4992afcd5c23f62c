//! Every record that twelve Cyrus releases wrote, decoded and encoded again.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use coroner_formats::record::*;

/// Records of a `show` file: key TAB value LF; a value that ends in a literal's head goes on in the next line.
fn records(show: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut open = false;
    for line in show.lines_with_terminator() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if open && let Some((_, value)) = records.last_mut() {
            value.push(b'\n');
            value.extend_from_slice(line);
        } else {
            let (key, value) = line.split_once_str(b"\t").unwrap_or((line, b""));
            records.push((key.to_vec(), value.to_vec()));
        }
        open = line.ends_with(b"}\r");
    }
    records
}

fn style_of(records: &[(Vec<u8>, Vec<u8>)]) -> Style {
    Style::of(KeyStyle::guess(records.iter().map(|(key, value)| (&key[..], &value[..]))))
}

/// The `show` files of undamaged databases. A Berkeley file in mbox order sends `show` round in circles: not those.
fn sound_shows() -> Vec<PathBuf> {
    let sound = |path: &Path| {
        let path = path.to_string_lossy();
        path.ends_with(".show.txt") && !path.contains("/damaged/") && !path.contains("mboxsort.btree")
    };
    common::files("", sound)
}

fn release_of(path: &Path) -> String {
    let path = path.strip_prefix(common::corpus()).unwrap();
    path.iter().next().unwrap().to_str().unwrap().trim_start_matches("cyrus-").to_string()
}

#[test]
fn every_genuine_value_decodes_and_encodes_to_the_same_bytes() {
    let mut count = 0;
    for path in sound_shows() {
        let records = records(&fs::read(&path).unwrap());
        let style = style_of(&records);
        let path = path.display();
        for (key, value) in &records {
            let decoded = decode(key, value, &style);
            let shown = (key.as_bstr(), value.as_bstr());
            match &decoded.key {
                Key::Mailbox(_) | Key::Uniqueid(_) | Key::Jmap { .. } => {
                    let entry =
                        decoded.entry.as_ref().unwrap_or_else(|| panic!("{path}: {shown:?}: {:?}", decoded.faults));
                    assert_eq!(encode(entry, style.numbering).as_bstr(), value.as_bstr(), "{path}");
                    assert_eq!(decoded.faults, [], "{path}: {shown:?}");
                    count += 1;
                }
                Key::Unknown => panic!("{path}: {shown:?}"),
                _ => {}
            }
            assert_eq!(decoded.key.encode(style.keys).as_deref(), Some(&key[..]), "{path}");
        }
    }
    assert!(count > 15_000, "{count}");
}

#[test]
fn the_style_of_every_genuine_file_is_known() {
    for path in sound_shows() {
        let records = records(&fs::read(&path).unwrap());
        if records.is_empty() {
            continue;
        }
        let new = path.to_string_lossy().contains("upgrade")
            || !matches!(&release_of(&path)[..3], "2.2" | "2.3" | "2.4" | "2.5" | "3.0" | "3.2" | "3.4");
        let wanted = if new { Style::NEW } else { Style::OLD };
        assert_eq!(style_of(&records), wanted, "{}", path.display());
    }
}
