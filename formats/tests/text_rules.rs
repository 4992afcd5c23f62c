//! Every rule of the text formats' document, each broken once: its code, and the bytes it is about.

mod common;

use std::ops::Range;

use coroner_formats::container::{Database, Depth, Format, open};
use coroner_formats::text::rules;

/// What verify finds: codes and spans.
fn found(format: Format, bytes: &[u8]) -> Vec<(&'static str, Range<u64>)> {
    let mut found = Vec::new();
    let dump: Box<dyn Database<'_>> = open(bytes, format);
    dump.verify(Depth::Full, &mut |finding| {
        assert!(!finding.message.is_empty());
        found.push((finding.rule.code, finding.span.start..finding.span.end));
    });
    found
}

/// Verify finds this rule broken at this part, and nothing else.
fn only(format: Format, bytes: &[u8], code: &str, part: &[u8]) {
    let start = bytes.windows(part.len()).position(|window| window == part).unwrap() as u64;
    let wanted = [(code, start..start + part.len() as u64)];
    assert_eq!(found(format, bytes), wanted, "{:?}", String::from_utf8_lossy(bytes));
}

/// A JSON dump of these lines.
fn dump(lines: &[&str]) -> String {
    format!("{{\n{}\n}}\n", lines.join("\n"))
}

const A: &str = r#""a": {"name": "a", "mtime": "1", "mbtype": "e", "acl": {"anyone": "lrs"}, "name_history": []},"#;
const B: &str = r#""b": {"name": "b", "mtime": "2", "mbtype": "e", "acl": {}, "name_history": []}"#;

#[test]
fn a_sound_dump_has_no_finding() {
    assert!(found(Format::Json, dump(&[A, B]).as_bytes()).is_empty());
    assert!(found(Format::Json, b"{\n\n}\n").is_empty());
    assert!(found(Format::Text, b"user.a\t0 default a\tlrs\t\n").is_empty());
    assert!(found(Format::Show, b"Nuser\x1Fa\t%(T e)\n").is_empty());
}

#[test]
fn text_01_torn_line() {
    only(Format::Text, b"user.a\t0 p a\tlrs\t\nuser.b\t0 p b\tlrs\t", "TEXT-1", b"user.b\t0 p b\tlrs\t");
    only(Format::Show, b"Nuser\x1Fa\t%(T e)\nNb\t%(T", "TEXT-1", b"Nb\t%(T");
}

#[test]
fn text_02_no_tab() {
    only(Format::Text, b"user.a\t0 p \nnothing here\nuser.b\t0 p \n", "TEXT-2", b"nothing here\n");
    only(Format::Show, b"Na\t%(T e)\nnothing here\nNb\t%(T e)\n", "TEXT-2", b"nothing here\n");
}

#[test]
fn text_03_empty_name() {
    only(Format::Text, b"user.a\t0 p \n\t0 q \n", "TEXT-3", b"\t0 q \n");
    only(Format::Json, dump(&[r#""": {"name": ""}"#]).as_bytes(), "TEXT-3", b"\"\": {\"name\": \"\"}\n");
}

#[test]
fn text_04_duplicate_name() {
    only(Format::Text, b"user.a\t0 p \nuser.a\t0 q \nuser.b\t0 p \n", "TEXT-4", b"user.a\t0 q \n");
    only(Format::Text, b"user.c\t0 p \nuser.a\t0 p \nuser.b\t0 p \nuser.a\t0 q \n", "TEXT-4", b"user.a\t0 q \n");
    only(Format::Show, b"Nb\t%(T e)\nNa\t%(T e)\nNb\t%(T c)\n", "TEXT-4", b"Nb\t%(T c)\n");
    let last = format!("{}\n", A.trim_end_matches(',').replace("lrs", "lr"));
    let again = dump(&[A, &format!("{B},"), last.trim_end()]);
    only(Format::Json, again.as_bytes(), "TEXT-4", last.as_bytes());
}

#[test]
fn text_05_nul() {
    only(Format::Text, b"user.a\t0 p \n\0\0\0\0\nuser.b\t0 p \n", "TEXT-5", b"\0\0\0\0\n");
    only(Format::Show, b"Na\t%(T \0)\nNb\t%(T e)\n", "TEXT-5", b"Na\t%(T \0)\n");
    only(Format::Json, dump(&[A, "\0\0\0", B]).as_bytes(), "TEXT-5", b"\0\0\0\n");
}

#[test]
fn text_06_carriage_return() {
    only(Format::Text, b"user.a\t0 p a\tlrs\t\r\nuser.b\t0 p \n", "TEXT-6", b"user.a\t0 p a\tlrs\t\r\n");
    only(Format::Show, b"Na\t%(T e)\r\nNb\t%(T e)\n", "TEXT-6", b"Na\t%(T e)\r\n");
    let (one, line) = (dump(&[A, B]).replace("[]},\n", "[]},\r\n"), format!("{A}\r\n"));
    only(Format::Json, one.as_bytes(), "TEXT-6", line.as_bytes());
}

#[test]
fn text_07_continued_value() {
    let bytes = b"Na\t%(A %({3}\r\na\tb lrs))\nNb\t%(T e)\n";
    only(Format::Show, bytes, "TEXT-7", b"Na\t%(A %({3}\r\na\tb lrs))\n");
}

#[test]
fn text_08_blanks_for_tabs() {
    only(Format::Text, b"user.a\t0 p \nuser.b 0 p b lrs \nuser.c\t0 p \n", "TEXT-8", b"user.b 0 p b lrs \n");
    only(Format::Text, b"user.a\t0 p \nuser.b 0 p b\tlrs\t\n", "TEXT-8", b"user.b 0 p b\tlrs\t\n");
    only(Format::Text, b"user.a\t0 p a lrs b lrs\n", "TEXT-8", b"user.a\t0 p a lrs b lrs\n");
}

#[test]
fn text_09_long_line() {
    let acl = "someone\tlrs\t".repeat(2000);
    let long = format!("user.a\t0 p {acl}\n");
    only(Format::Text, format!("{long}user.b\t0 p \n").as_bytes(), "TEXT-9", long.as_bytes());
    let cut = format!("{}\n{}", &long[..16_383], &long[16_383..]);
    only(Format::Text, format!("{cut}user.b\t0 p \n").as_bytes(), "TEXT-9", cut.as_bytes());
    let bytes = format!("{cut}user.b\t0 p \n");
    let carved = open(bytes.as_bytes(), Format::Text).carve(coroner_formats::container::KeyOrder::Unsigned).kept;
    assert_eq!(carved[0].record.value.as_ref(), &long.as_bytes()[7..long.len() - 1]);
    assert_eq!(carved.len(), 2);
}

#[test]
fn text_10_glued_lines() {
    let bytes = b"user.a\t0 p a\tlrs\tuser.b\t0 p b\tlrs\t\nuser.c\t0 p \n";
    only(Format::Text, bytes, "TEXT-10", b"user.a\t0 p a\tlrs\t");
}

#[test]
fn text_11_line_form() {
    only(Format::Text, b"user.a\t0 p \nuser.b\tp\nuser.c\t0 p \n", "TEXT-11", b"user.b\tp\n");
}

#[test]
fn text_12_mixed_eras() {
    let bytes = b"user.a\t0 p \nuser.b\tp\tb\tlrs\t\nuser.c\t0 p \n";
    only(Format::Text, bytes, "TEXT-12", b"user.b\tp\tb\tlrs\t\n");
}

#[test]
fn text_13_null() {
    only(Format::Text, b"user.a\t16 (null) \nuser.b\t16 (null) \n", "TEXT-13", b"user.a\t16 (null) \n");
}

#[test]
fn text_14_acl_pairs() {
    only(Format::Text, b"user.a\t0 p a\tlrs\tb\t\n", "TEXT-14", b"user.a\t0 p a\tlrs\tb\t\n");
    only(Format::Text, b"user.a\t0 p a\tlrs\tb\n", "TEXT-14", b"user.a\t0 p a\tlrs\tb\n");
}

#[test]
fn text_15_acl_end() {
    only(Format::Text, b"user.a\t0 p a\tlrs\n", "TEXT-15", b"user.a\t0 p a\tlrs\n");
}

#[test]
fn text_16_long_partition() {
    let line = format!("user.a\t0 {} a\tlrs\t\n", "p".repeat(64));
    only(Format::Text, line.as_bytes(), "TEXT-16", line.as_bytes());
    assert!(found(Format::Text, line.replace("ppppp", "pppp").as_bytes()).is_empty());
}

#[test]
fn text_17_servers_lost() {
    let bytes = b"user.a\t1 default a\tlrs\t\nuser.b\t1 default b\tlrs\t\n";
    only(Format::Text, bytes, "TEXT-17", b"user.a\t1 default a\tlrs\t\n");
}

#[test]
fn text_18_types_lost() {
    let bytes = b"user.a\t0 be1!default a\tlrs\t\nuser.b\t0 be1!p2 b\tlrs\t\n";
    only(Format::Text, bytes, "TEXT-18", b"user.a\t0 be1!default a\tlrs\t\n");
    assert!(found(Format::Text, b"user.a\t1 be1!default a\tlrs\t\n").is_empty());
}

#[test]
fn text_19_foreign_name() {
    only(Format::Text, b"user\x1Fa\t0 p \nuser.b\t0 p \n", "TEXT-19", b"user\x1Fa\t0 p \n");
}

#[test]
fn text_20_json_empty_entry() {
    let bytes = dump(&[A, ",", B]);
    let start = bytes.find("\n,\n").unwrap() as u64 + 1;
    assert_eq!(found(Format::Json, bytes.as_bytes()), [("TEXT-20", start..start + 2)]);
    let last = dump(&[A, ""]);
    assert_eq!(found(Format::Json, last.as_bytes())[0].0, "TEXT-20");
}

#[test]
fn text_21_json_cut() {
    let whole = dump(&[A, B]);
    let cut = &whole.as_bytes()[..whole.len() - 20];
    let torn = &cut[whole.find("\"b\"").unwrap()..];
    only(Format::Json, cut, "TEXT-21", torn);
    let ends = whole.strip_suffix("\n}\n").unwrap().as_bytes();
    assert_eq!(found(Format::Json, ends), [("TEXT-21", ends.len() as u64..ends.len() as u64)]);
    assert_eq!(found(Format::Json, b""), [("TEXT-21", 0..0)]);
}

#[test]
fn text_22_json_garbage() {
    only(Format::Json, dump(&[A, "what is this", B]).as_bytes(), "TEXT-22", b"what is this\n");
    only(Format::Json, format!("{}more\n", dump(&[A, B])).as_bytes(), "TEXT-22", b"more\n");
}

#[test]
fn text_23_json_comma() {
    let bytes = dump(&[A.trim_end_matches(','), B]);
    only(Format::Json, bytes.as_bytes(), "TEXT-23", format!("{B}\n").as_bytes());
}

#[test]
fn text_24_json_object() {
    let odd = A.replace("\"1\", ", "\"1\" ");
    only(Format::Json, dump(&[&odd, B]).as_bytes(), "TEXT-24", format!("{odd}\n").as_bytes());
    let odd = A.replace("\"mtime\": \"1\"", "mtime = 1");
    only(Format::Json, dump(&[&odd, B]).as_bytes(), "TEXT-24", format!("{odd}\n").as_bytes());
}

#[test]
fn text_25_json_name() {
    let odd = A.replace("{\"name\": \"a\"", "{\"name\": \"x\"");
    only(Format::Json, dump(&[&odd, B]).as_bytes(), "TEXT-25", format!("{odd}\n").as_bytes());
}

#[test]
fn text_26_json_number() {
    let odd = A.replace("\"1\"", "1");
    only(Format::Json, dump(&[&odd, B]).as_bytes(), "TEXT-26", format!("{odd}\n").as_bytes());
}

#[test]
fn text_27_json_member() {
    let odd = A.replace("\"mtime\": \"1\"", "\"colour\": [\"blue\"]");
    only(Format::Json, dump(&[&odd, B]).as_bytes(), "TEXT-27", format!("{odd}\n").as_bytes());
}

#[test]
fn the_document_the_rules_and_the_tests_are_the_same_list() {
    let document = include_str!("../src/text/FORMAT.md");
    common::assert_rules(document, rules::ALL, include_str!("text_rules.rs"), "text");
}
