//! Dumps that were cut, edited or mangled: what can be read goes over, and each line that can't is a finding.

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use common::{coroner, corpus};
use coroner::formats::container::{self, Format, KeyOrder, WriteOptions, flat};

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

struct Converted {
    /// Names that went over.
    names: Vec<String>,
    status: Option<i32>,
    said: String,
    printed: String,
}

/// Converts a dump of this content to a master's database of 3.6.
fn convert(folder: &Path, name: &str, dump: &[u8], options: &[&str]) -> Converted {
    let (source, out) = (folder.join(name), folder.join("out.db"));
    fs::write(&source, dump).expect("a dump");
    let options =
        [&["convert", text(&source), "-o", text(&out), "--force", "--to", "twoskip", "--era", "3.6"], options];
    let output = coroner(options.concat());
    let listed = coroner(["list", "--json", text(&out)]).stdout;
    let name = |line: &[u8]| {
        let entry: serde_json::Value = serde_json::from_slice(line).expect("an object");
        entry["name"].as_str().expect("a name").to_owned()
    };
    Converted {
        names: listed.lines().map(name).collect(),
        status: output.status.code(),
        said: output.stderr.to_str_lossy().into_owned(),
        printed: output.stdout.to_str_lossy().into_owned(),
    }
}

fn dump_of_3_4() -> (PathBuf, Vec<u8>) {
    let path = corpus().join("cyrus-3.4.9/murder-twoskip/mup.twoskip.dump.txt");
    let bytes = fs::read(&path).expect("a dump");
    (path, bytes)
}

#[test]
fn a_dump_cut_in_the_middle_gives_its_whole_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, dump) = dump_of_3_4();
    let cut = &dump[..dump.len() / 2];
    let whole = cut.iter().filter(|&&byte| byte == b'\n').count();
    let done = convert(folder.path(), "cut.txt", cut, &["--role", "master"]);
    assert_eq!(done.status, Some(1));
    assert!(done.names.len() >= whole && done.names.len() <= whole + 1, "{} of {whole}", done.names.len());
    assert!(done.said.contains(&format!("line {}", whole + 1)), "{}", done.said);
}

#[test]
fn a_json_dump_cut_in_the_middle_gives_its_whole_entries() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = fs::read(corpus().join("cyrus-3.8.7/murder-twoskip/be1.twoskip.dump.json")).expect("a dump");
    let cut = &dump[..dump.len() / 2];
    let whole = cut.find_iter(b"\"name_history\": []}").count();
    let done = convert(folder.path(), "cut.json", cut, &[]);
    assert_eq!((done.status, done.names.len()), (Some(1), whole), "{}", done.said);
    assert!(done.said.contains(&format!("line {}", whole + 2)), "{}", done.said);
}

#[test]
fn line_ends_and_blanks_of_other_systems_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, dump) = dump_of_3_4();
    let wanted = convert(folder.path(), "plain.txt", &dump, &["--role", "master"]);
    assert_eq!((wanted.status, wanted.names.len()), (Some(0), 59), "{}", wanted.said);
    let with_cr = convert(folder.path(), "cr.txt", &dump.replace("\n", "\r\n"), &["--role", "master"]);
    assert_eq!((with_cr.status, &with_cr.names), (Some(1), &wanted.names), "{}", with_cr.said);
    assert!(with_cr.said.contains("line 1:"), "{}", with_cr.said);
    let blanks = b"user.a 1 be1.example.com!default a lrswip anyone lrs\nuser.b\t1 be1.example.com!default b\tlrs\t\n";
    let blanks = convert(folder.path(), "blanks.txt", blanks, &["--role", "master"]);
    assert_eq!((blanks.status, &blanks.names[..]), (Some(1), &["user.a".to_owned(), "user.b".to_owned()][..]));
    assert!(blanks.said.contains("line 1:"), "{}", blanks.said);
}

#[test]
fn missing_strings_are_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = b"user.a\t1 be1!default a\tlrs\t\nuser.b\t1 default!(null) b\tlrs\t\nuser.old\t16 (null) \n";
    let done = convert(folder.path(), "null.txt", dump, &[]);
    assert_eq!(done.names, ["user.a", "user.b", "user.old"], "{}", done.said);
    let shown = coroner(["show", text(&folder.path().join("out.db"))]).stdout;
    assert!(!shown.contains_str("(null)"), "{}", shown.as_bstr());
    assert!(shown.contains_str("Nuser\x1fold\t%(T edl M "), "{}", shown.as_bstr());
}

#[test]
fn lines_longer_than_the_buffer_of_cyrus_stay_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let acl: String = (0..2000).map(|number| format!("user{number:04}\tlrswip\t")).collect();
    let dump = format!("user.a\t1 be1!default {acl}\nuser.b\t1 be1!default b\tlrs\t\n");
    assert!(dump.len() > 16_384);
    let done = convert(folder.path(), "long.txt", dump.as_bytes(), &["--role", "master"]);
    assert_eq!((done.status, done.names.len()), (Some(1), 2), "{}", done.said);
    assert!(done.said.contains("line 1:"), "{}", done.said);
    let shown = coroner(["show", text(&folder.path().join("out.db"))]).stdout;
    assert!(shown.contains_str("user1999 lrswip))"), "the last pair is there");
}

#[test]
fn names_that_are_not_utf_8_go_where_bytes_may_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = b"user.d\xe9j\xe0\t1 be1!default a\tlrs\t\nuser.e\t1 be1!default e\tlrs\t\n";
    let done = convert(folder.path(), "bytes.txt", dump, &["--role", "master"]);
    assert_eq!((done.status, done.names.len()), (Some(0), 2), "{}", done.said);
    let (source, json) = (folder.path().join("out.db"), folder.path().join("out.json"));
    let output = coroner(["convert", text(&source), "-o", text(&json), "--to", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.contains_str("JSON holds UTF-8 only"), "{}", output.stdout.as_bstr());
    assert_eq!(fs::read(&json).expect("a dump").lines().count(), 3, "the brackets and the other entry");
}

#[test]
fn unknown_letters_abort_nothing_and_are_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = br#"{
"user.a": {"name": "user.a", "mbtype": "eq", "partition": "default", "acl": {"a": "lrs"}, "uniqueid": "1", "name_history": []},
"user.b": {"name": "user.b", "mbtype": "e", "partition": "default", "acl": {"b": "lrs"}, "uniqueid": "2", "name_history": []}
}
"#;
    let done = convert(folder.path(), "letters.json", dump, &[]);
    assert_eq!((done.status, done.names.len()), (Some(1), 2), "{}", done.said);
    assert!(done.printed.contains("user.a: q"), "{}", done.printed);
    let verdict = coroner(["verify", text(&folder.path().join("out.db"))]);
    assert!(!verdict.stdout.contains_str("REC-7"), "{}", verdict.stdout.as_bstr());
}

#[test]
fn lines_that_are_none_are_named_by_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let dump = b"user.a\t1 be1!default a\tlrs\t\nrubbish\n\tno name\nuser.b\t1 be1!default b\tlrs\t\n";
    let done = convert(folder.path(), "rubbish.txt", dump, &["--role", "master"]);
    assert_eq!((done.status, done.names.len()), (Some(1), 2), "{}", done.said);
    assert!(done.said.contains("line 2:") && done.said.contains("line 3:"), "{}", done.said);
}

#[test]
fn a_mailbox_whose_record_is_spoilt_goes_to_a_flat_file_as_it_stands_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let [source, out] = ["mailboxes.db", "out.db"].map(|name| folder.path().join(name));
    let records = [("user.a", "0 p a\tlrs\t"), ("user.b", "%(T e))"), ("user.c", "0 p c\tlrs\t")];
    let options = WriteOptions { order: KeyOrder::Mbox, time: 0, style: flat::Style::Raw };
    let mut file = File::create(&source).expect("a file");
    container::write(&mut file, Format::Twoskip, records, &options).expect("written");
    for command in ["convert", "recover"] {
        let output = coroner([command, text(&source), "-o", text(&out), "--to", "flat", "--force"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = output.stderr.to_str_lossy();
        assert!(said.contains("FLAT-18: line 2") && said.contains("so the record was given"), "{said}");
        let lines = records.map(|(key, value)| format!("{key}\t{value}\n")).concat();
        assert_eq!(fs::read_to_string(&out).expect("a file"), lines, "{command}");
    }
}
