//! The two looks must agree, and nothing may go unnoticed.

use std::io;

use super::super::layout::{DUMMY_OFFSET, Head};
use super::super::scan::Heads;
use super::super::{survey, writer};
use super::*;
use crate::finding::Severity;

/// What the careful look says, worse than a note.
fn careful_findings(bytes: &[u8]) -> Vec<Finding> {
    let cursor = Cursor::new(bytes);
    let mut found = Vec::new();
    if let Some(header) = Header::decode(cursor) {
        careful::look(cursor, &header, &mut |finding| found.push(finding));
    }
    found.retain(|finding| finding.severity() > Severity::Note);
    found
}

/// Whether the whole verification has nothing worse than a note to say.
fn is_clean(bytes: &[u8]) -> bool {
    let cursor = Cursor::new(bytes);
    let mut clean = true;
    verify(survey::quick_file(cursor), Depth::Full, &mut |finding| clean &= finding.severity() == Severity::Note);
    clean
}

fn corpus_file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../corpus/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Puts the right crc_head at every readable head.
fn reseal(bytes: &mut [u8]) {
    let mut sums = Vec::new();
    let mut at = DUMMY_OFFSET;
    while at < bytes.len() as u64 {
        let cursor = Cursor::new(bytes);
        let head = Head::decode(cursor, at).filter(|head| head.end <= cursor.len());
        at = head.map_or(at + 8, |head| head.end);
        if let Some((head, (_, sum))) = head.and_then(|head| Some((head, head.head_sums(cursor)?))) {
            sums.push((head.sums as usize, sum));
        }
    }
    for (place, sum) in sums {
        bytes[place..place + 4].copy_from_slice(&sum.to_be_bytes());
    }
}

#[test]
fn the_careful_look_agrees_that_sound_files_are_sound() {
    let names = ["cyrus-3.6.1/logtail/overwrites.twoskip.db", "cyrus-2.5.17/logtail/ops.twoskip.db"];
    let records = (0..5000).map(|i| (format!("{i:05}"), "value"));
    let written = writer::write(io::Cursor::new(Vec::new()), records, writer::Options::default()).unwrap();
    for bytes in names.map(corpus_file).into_iter().chain([written.into_inner()]) {
        assert_eq!(careful_findings(&bytes), []);
        let cursor = Cursor::new(&bytes);
        assert!(sound::look(survey::quick_file(cursor), &Header::decode(cursor).unwrap()).is_some());
    }
}

#[test]
fn no_byte_can_change_without_a_finding() {
    for name in ["cyrus-3.4.9/logtail/ops.twoskip.db", "cyrus-2.5.17/murder-twoskip/be2.twoskip.db"] {
        let mut bytes = corpus_file(name);
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xFF] {
                bytes[at] ^= flip;
                assert!(!is_clean(&bytes), "{name}: byte {at} ^ {flip}");
                bytes[at] ^= flip;
            }
        }
        assert!(is_clean(&bytes));
    }
}

#[test]
fn no_length_but_the_right_one_is_clean() {
    let bytes = corpus_file("cyrus-3.8.7/logtail/ops.twoskip.db");
    for len in 0..bytes.len() {
        assert!(!is_clean(&bytes[..len]), "cut at {len}");
    }
    for more in 1..64 {
        assert!(!is_clean(&[&bytes[..], &vec![0; more]].concat()), "{more} zeros more");
    }
}

#[test]
fn both_looks_agree_on_pointers_with_right_sums() {
    let original = corpus_file("cyrus-3.6.1/logtail/overwrites.twoskip.db");
    let cursor = Cursor::new(&original);
    let heads: Vec<_> = Heads::new(cursor, DUMMY_OFFSET, cursor.len()).collect();
    let (mut clean, mut tried) = (0, 0);
    for (i, head) in heads.iter().enumerate() {
        for index in 0..=head.level.min(4) {
            let at = head.pointer_span(index).start as usize;
            for other in [0, 8, heads[(i * 7 + 3) % heads.len()].offset, original.len() as u64] {
                let mut bytes = original.clone();
                bytes[at..at + 8].copy_from_slice(&other.to_be_bytes());
                reseal(&mut bytes);
                let careful = careful_findings(&bytes);
                assert_eq!(is_clean(&bytes), careful.is_empty(), "word {index} of {head:?}: {other:#x}: {careful:#?}");
                clean += u32::from(careful.is_empty() && bytes != original);
                tried += 1;
            }
        }
    }
    // Pointers of dead records, and idle ones that lead to some record, break no rule.
    assert!(tried > 2000 && clean < tried / 3, "{clean} of {tried} changes unnoticed");
}
