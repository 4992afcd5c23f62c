//! The rules of the header, of the DUMMY record, and of the file's length.

use super::file::File;
use super::layout::{
    ALIGN, DIRTY, DUMMY_LEN, DUMMY_OFFSET, FIRST_OFFSET, FOREIGN_ORDER, FOREIGN_SUMS, GROWTH, Header, KNOWN_FLAGS,
    MAX_LEVEL, Sums, VERSION,
};
use super::rules;
use crate::container::detect::TWOM_MAGIC;
use crate::finding::{Finding, Severity, Sink};
use crate::image::Span;

/// Checks everything in front of the first record; answers whether nothing but notes was found.
pub fn check(file: &File<'_>, sink: &mut Sink<'_>) -> bool {
    let mut findings = Vec::new();
    let len = file.cursor.len();
    if len == 0 {
        let message =
            "a file of zero bytes: Cyrus takes it for a new, empty database, and every record it held is gone";
        findings.push(Finding::new(&rules::EMPTY_FILE, Span::at(0, 0), message));
    } else if len < FIRST_OFFSET {
        let message = "the file ends in front of its first record, so Cyrus refuses to open it";
        findings.push(Finding::new(&rules::HEADER_CUT, Span::new(0, len), message).values(FIRST_OFFSET, len));
    }
    if let Some(header) = file.header {
        identity(file, &header, &mut findings);
        flags(file, &header, &mut findings);
        sizes(file, &header, &mut findings);
    }
    if len >= FIRST_OFFSET {
        dummy(file, &mut findings);
        growth(len, &mut findings);
    }
    let sound = findings.iter().all(|finding| finding.severity() == Severity::Note);
    findings.into_iter().for_each(sink);
    sound
}

fn identity(file: &File<'_>, header: &Header, findings: &mut Vec<Finding>) {
    if !Header::magic_is_right(file.cursor) {
        let found = file.cursor.span(Header::MAGIC).unwrap_or_default().escape_ascii();
        let message = "the magic is not that of a twom file, so Cyrus refuses to open it";
        findings.push(Finding::new(&rules::MAGIC, Header::MAGIC, message).values(TWOM_MAGIC.escape_ascii(), found));
    }
    if header.version != VERSION {
        let message = "the version is not 1, the only one there is";
        findings.push(Finding::new(&rules::VERSION, Header::VERSION, message).values(VERSION, header.version));
    }
    if !file.header_agrees {
        let message = "the header's sum is wrong, so Cyrus refuses to open the file";
        let bytes = file.cursor.bytes(0, Header::SUM.start).unwrap_or_default();
        let expected = file.sums.compute(bytes).unwrap_or_default();
        let finding = Finding::new(&rules::HEADER_SUM, Header::SUM, message);
        findings.push(finding.values(format!("{expected:08x}"), format!("{:08x}", header.sum)));
    }
    if header.generation == 0 {
        let message = "the generation is 0; a file is made with 1";
        findings.push(Finding::new(&rules::GENERATION, Header::GENERATION, message).values("1 or more", 0));
    }
}

fn flags(file: &File<'_>, header: &Header, findings: &mut Vec<Finding>) {
    let flags = header.flags;
    let mut say = |rule, message, expected: u32| {
        let finding = Finding::new(rule, Header::FLAGS, message);
        findings.push(finding.values(format!("0x{expected:08x}"), format!("0x{flags:08x}")));
    };
    if flags & !KNOWN_FLAGS != 0 {
        say(&rules::FLAGS, "flags are set that mean nothing", flags & KNOWN_FLAGS);
    }
    if flags & (FOREIGN_SUMS | FOREIGN_ORDER) != 0 {
        let message = "sums or order are made by a function that Cyrus does not have, so it refuses to open the file";
        say(&rules::FOREIGN, message, flags & !(FOREIGN_SUMS | FOREIGN_ORDER));
    }
    if flags & DIRTY != 0 {
        say(&rules::DIRTY, "a transaction or a recovery was under way when the writer died", flags & !DIRTY);
    }
    match file.sums {
        Sums::Xxh => {}
        Sums::Null => say(&rules::UNSUMMED, "the file has no sums: only its structure can be checked", flags),
        Sums::Foreign => say(&rules::UNSUMMED, "the file's sums can't be checked: only its structure can be", flags),
    }
}

fn sizes(file: &File<'_>, header: &Header, findings: &mut Vec<Finding>) {
    let (current, len) = (header.current_size, file.cursor.len());
    let can_be = current >= FIRST_OFFSET && current.is_multiple_of(ALIGN);
    if !can_be {
        let message = "the committed size can't be one";
        let finding = Finding::new(&rules::CURRENT_SIZE, Header::CURRENT_SIZE, message);
        findings.push(finding.values("a multiple of 8, at least 368", current));
    } else if current > len {
        let message = format!("the file ends {} bytes in front of its committed size: Cyrus dies of it", current - len);
        let finding = Finding::new(&rules::FILE_SHORT, Header::CURRENT_SIZE, message);
        findings.push(finding.values(current, len));
    } else if !file.ends_transaction(current) {
        let message = "no COMMIT ends at the committed size";
        let span = Span::new(current.saturating_sub(ALIGN), current);
        findings.push(Finding::new(&rules::LAST_COMMIT, span, message).via("current_size", Header::CURRENT_SIZE.start));
    }
    let repack = header.repack_size;
    if repack < FIRST_OFFSET || repack > current || !repack.is_multiple_of(ALIGN) {
        let message = "the part that the last repack wrote can't end there";
        let finding = Finding::new(&rules::REPACK_SIZE, Header::REPACK_SIZE, message);
        findings.push(finding.values(format!("a multiple of 8 from 368 to {current}"), repack));
    }
    if header.maxlevel > u32::from(MAX_LEVEL) {
        let message = "the highest level in use can't be";
        let finding = Finding::new(&rules::MAXLEVEL, Header::MAXLEVEL, message);
        findings.push(finding.values(format!("at most {MAX_LEVEL}"), header.maxlevel));
    }
}

fn dummy(file: &File<'_>, findings: &mut Vec<Finding>) {
    let span = Span::at(DUMMY_OFFSET, DUMMY_LEN);
    let message = "the DUMMY record, the head of the list, is damaged";
    let found = match file.dummy() {
        None => "something else".to_owned(),
        Some(head) if !head.head_agrees(file.cursor, file.sums) => "one whose sum is wrong".to_owned(),
        Some(head) if !head.tail_agrees(file.cursor, Sums::Null) => "one with the sum of a tail".to_owned(),
        Some(_) => return,
    };
    findings.push(Finding::new(&rules::DUMMY, span, message).values("a DUMMY record of level 31", found));
}

fn growth(len: u64, findings: &mut Vec<Finding>) {
    if len != FIRST_OFFSET && !len.is_multiple_of(GROWTH) {
        let message = "the file's length is not one that Cyrus gives it: it was cut or lengthened by something else";
        let finding = Finding::new(&rules::GROWTH, Span::new(len.saturating_sub(1), len), message);
        findings.push(finding.values("368, or a multiple of 16384", len));
    }
}
