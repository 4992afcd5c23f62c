//! Every rule of the flat format's document, each broken once: its code, and the bytes it is about.

mod common;

use std::ops::Range;

use coroner_formats::container::flat::{Flat, layout, rules};
use coroner_formats::container::{Database, Depth};

/// What verify finds: codes and spans.
fn found(bytes: &[u8]) -> Vec<(&'static str, Range<u64>)> {
    let mut found = Vec::new();
    Flat::new(bytes).verify(Depth::Full, &mut |finding| {
        assert!(!finding.message.is_empty());
        found.push((finding.rule.code, finding.span.start..finding.span.end));
    });
    found
}

/// The place of `part` in `bytes`.
fn place(bytes: &[u8], part: &[u8]) -> Range<u64> {
    let start = bytes.windows(part.len()).position(|window| window == part).unwrap() as u64;
    start..start + part.len() as u64
}

/// Verify finds this rule broken at this part, and nothing else.
fn only(bytes: &[u8], code: &str, part: &[u8]) {
    assert_eq!(found(bytes), [(code, place(bytes, part))], "{:?}", String::from_utf8_lossy(bytes));
}

/// The same, where the part is better told by its offsets.
fn only_at(bytes: &[u8], code: &str, range: Range<u64>) {
    assert_eq!(found(bytes), [(code, range)], "{:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn flat_01_torn_line() {
    let bytes = b"user.a\t0 default \nuser.b\t0 def";
    only(bytes, "FLAT-1", b"user.b\t0 def");
}

#[test]
fn flat_02_no_tab() {
    only(b"user.a\t0 default \nuser.b 0 default \nuser.c\t0 default \n", "FLAT-2", b"user.b 0 default \n");
    only_at(b"user.a\t0 default \n\nuser.c\t0 default \n", "FLAT-2", 18..19);
}

#[test]
fn flat_03_empty_key() {
    only(b"\t0 default \nuser.c\t0 default \n", "FLAT-3", b"\t0 default \n");
}

#[test]
fn flat_04_order() {
    only(b"user.b\t0 p \nuser.a\t0 q \nuser.c\t0 p \n", "FLAT-4", b"user.a\t0 q \n");
    // In the order of any other engine '-' stands in front of '.'.
    only(b"user.foo-bar\t0 p \nuser.foo.sub\t0 p \n", "FLAT-4", b"user.foo.sub\t0 p \n");
    // Keys are compared as they are written: an escaped byte stands behind all others.
    assert!(found(b"a\xC3\t0 p \na\xFF\x89b\t0 p \n").is_empty());
    only(b"a\xFF\x89b\t0 p \na\xC3\t0 q \n", "FLAT-4", b"a\xC3\t0 q \n");
}

#[test]
fn flat_05_duplicate_key() {
    only(b"user.a\t0 p \nuser.a\t0 q \nuser.b\t0 p \n", "FLAT-5", b"user.a\t0 q \n");
    let far = b"user.a\t0 p \nuser.c\t0 p \nuser.a\t0 q \nuser.d\t0 p \n";
    let twice = place(far, b"user.a\t0 q \n");
    assert_eq!(found(far), [("FLAT-4", twice.clone()), ("FLAT-5", twice)]);
}

#[test]
fn flat_06_nul() {
    only(b"user.a\t0 def\0ult \nuser.b\t0 p \n", "FLAT-6", b"\0");
    only(b"user.a\t0 p \nuser\0\0\0\0\0\0 \nuser.c\t0 p \n", "FLAT-6", b"\0\0\0\0\0\0");
    only(b"user.a\t0 p \n\0\0\0\0", "FLAT-6", b"\0\0\0\0");
    let torn = b"user.a\t0 p \n\0\0rest";
    assert_eq!(found(torn), [("FLAT-6", place(torn, b"\0\0")), ("FLAT-1", place(torn, b"\0\0rest"))]);
}

#[test]
fn flat_07_carriage_return() {
    only(b"user.a\t%(T e)\nuser.b\t%(T e)\r\n", "FLAT-7", b"\r");
}

#[test]
fn flat_08_escape() {
    only(b"user.a\t0 p \nuser.b\xFFx\t0 p \n", "FLAT-8", b"\xFF");
    only_at(b"user.a\tx\xFF\xFF\xFF\n", "FLAT-8", 10..11);
    assert!(found(b"user.a\tx\xFF\x80\xFF\x8A\xFF\x8D\xFF\xFF\n").is_empty());
}

#[test]
fn flat_09_mixed_style() {
    let bytes = b"user.a\t0 p a\tlrs\t\nuser.b\t%(A %(\"b\xFF\x89c\" lrs))\nuser.c\t0 p c\tlrs\t\n";
    only(bytes, "FLAT-9", b"user.b\t%(A %(\"b\xFF\x89c\" lrs))\n");
    let bytes = b"user.a\t0 p a\tlrs\t\nuser.b\t%(A %(\"b\xFF\x89c\" lrs))\nuser.c\t%(A %(\"b\xFF\x89c\" lrs))\n";
    only(bytes, "FLAT-9", b"user.a\t0 p a\tlrs\t\n");
}

#[test]
fn flat_10_foreign_magic() {
    let bytes = b"\xA1\x02\x8B\x0Dskiplist file\0\0\0";
    assert_eq!(found(bytes)[0], ("FLAT-10", 0..4));
    assert_eq!(found(b"PIKSOREZ\x01")[0], ("FLAT-10", 0..8));
}

#[test]
fn flat_11_escaped_acl() {
    let bytes = b"user.a\t%(T e)\nuser.b\t0 p b\xFF\x89lrs\xFF\x89\nuser.c\t0 p c\xFF\x89lrs\xFF\x89\n";
    only(bytes, "FLAT-11", b"user.b\t0 p b\xFF\x89lrs\xFF\x89\n");
}

#[test]
fn flat_12_dump_lines() {
    only(b"user.a\tdefault\ta\tlrs\t\nuser.b\tp2\tb\tlrs\t\n", "FLAT-12", b"user.a\tdefault\ta\tlrs\t\n");
}

#[test]
fn flat_13_glued_lines() {
    only(b"user.a\t%(T e)user.b\t%(T e)\nuser.c\t%(T e)\n", "FLAT-13", b"user.b\t%(T e)\n");
    only(b"user.a\t0 p a\tlrs\tuser.b\t0 p b\tlrs\t\n", "FLAT-13", b"user.b\t0 p b\tlrs\t\n");
    only(b"user.a\t%(T e P deuser.b\t%(T e)\nuser.c\t%(T e)\n", "FLAT-13", b"\t%(T e)\n");
}

#[test]
fn flat_14_too_large() {
    let bytes = vec![0; layout::MAX_FILE_LEN as usize + 5];
    let mut found = Vec::new();
    Flat::new(&bytes).verify(Depth::Header, &mut |finding| found.push((finding.rule.code, finding.span)));
    let [(code, span)] = found[..] else { panic!("{found:?}") };
    assert_eq!((code, span.start, span.len()), ("FLAT-14", layout::MAX_FILE_LEN, 5));
}

#[test]
fn flat_15_trailing_blanks() {
    only_at(b"user.a\t%(T e)  \nuser.b\t0 p \n", "FLAT-15", 13..15);
    only_at(b"user.a\t0 p a\tlrs\t \nuser.b\t0 p \n", "FLAT-15", 17..18);
}

#[test]
fn flat_16_odd_key() {
    only(b"user.\x07a\t0 p \nuser.b\t0 p \n", "FLAT-16", b"user.\x07a");
    assert!(found(b"Nuser\x1Fa\t0 p \nexample.com\x1Duser\x1Fb\t0 p \n").iter().all(|(code, _)| *code != "FLAT-16"));
}

#[test]
fn flat_17_empty() {
    assert_eq!(found(b""), [("FLAT-17", 0..0)]);
}

#[test]
fn flat_18_spoilt_value() {
    only(b"user.a\t%(T e P def\nuser.b\t0 p \n", "FLAT-18", b"%(T e P def");
    only(b"user.a\t%(T e)) P def\nuser.b\t0 p \n", "FLAT-18", b"%(T e)) P def");
    only(b"user.a\t0 p a\tlrs\tb\nuser.b\t0 p \n", "FLAT-18", b"0 p a\tlrs\tb");
}

#[test]
fn the_document_the_rules_and_the_tests_are_the_same_list() {
    let document = include_str!("../src/container/flat/FORMAT.md");
    common::assert_rules(document, rules::ALL, include_str!("flat_rules.rs"), "flat");
}
