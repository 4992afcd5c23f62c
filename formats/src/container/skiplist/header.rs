//! The rules of the header and the DUMMY node.

use super::layout::{DUMMY_OFFSET, HEADER_LEN, Header, MAX_FILE_LEN, MAX_LEVEL, Node, NodeKind, VERSION};
use super::rules;
use crate::container::detect::SKIPLIST_MAGIC;
use crate::finding::{Finding, Sink};
use crate::image::{Cursor, Span};

/// Checks everything in front of the first record; answers whether nothing but notes was found.
pub fn check(cursor: Cursor<'_>, sink: &mut Sink<'_>) -> bool {
    let mut findings = Vec::new();
    whole_file(cursor, &mut findings);
    if let Some(header) = Header::decode(cursor) {
        magic(cursor, &mut findings);
        version(&header, &mut findings);
        levels(&header, &mut findings);
        if header.last_recovery == 0 {
            let message = "the time of the last recovery is 0, so Cyrus recovers the file at its next open";
            findings.push(Finding::new(&rules::RECOVERY_DUE, number_span(6), message));
        }
        dummy(cursor, &header, &mut findings);
    }
    let sound = findings.iter().all(|finding| finding.severity() == crate::finding::Severity::Note);
    findings.into_iter().for_each(sink);
    sound
}

/// The bytes of number `i` of the header, counted from the version on.
pub fn number_span(i: u64) -> Span {
    Span::at(20 + 4 * i, 4)
}

fn whole_file(cursor: Cursor<'_>, findings: &mut Vec<Finding>) {
    let len = cursor.len();
    if len == 0 {
        let message =
            "a file of zero bytes: Cyrus takes it for a new, empty database, and every record it held is gone";
        findings.push(Finding::new(&rules::EMPTY_FILE, Span::at(0, 0), message));
    } else if len < HEADER_LEN {
        let message = "the file ends inside its header: every record it held is gone";
        findings.push(Finding::new(&rules::HEADER_CUT, Span::new(0, len), message).values(HEADER_LEN, len));
    }
    if len > MAX_FILE_LEN {
        let message = "the file is longer than its offsets can reach: what lies behind 4 GiB can't be linked";
        findings.push(Finding::new(&rules::FILE_SIZE, Span::new(MAX_FILE_LEN, len), message).values(MAX_FILE_LEN, len));
    }
}

fn magic(cursor: Cursor<'_>, findings: &mut Vec<Finding>) {
    let len = SKIPLIST_MAGIC.len() as u64;
    let Some(found) = cursor.bytes(0, len).filter(|found| found != SKIPLIST_MAGIC) else { return };
    let message = if cursor.bytes(0, HEADER_LEN).is_some_and(|header| header.iter().all(|&b| b == 0)) {
        "the header is nothing but zeros, as in a .NEW file whose checkpoint died"
    } else {
        "the magic is not that of a skiplist file, so Cyrus refuses to open it"
    };
    let finding = Finding::new(&rules::MAGIC, Span::at(0, len), message);
    findings.push(finding.values(SKIPLIST_MAGIC.escape_ascii(), found.escape_ascii()));
}

fn version(header: &Header, findings: &mut Vec<Finding>) {
    if header.version != VERSION.0 {
        let message = "the version is not 1, so Cyrus refuses to open the file";
        findings.push(Finding::new(&rules::VERSION, number_span(0), message).values(VERSION.0, header.version));
    }
    if header.version_minor != VERSION.1 {
        let message = "the minor version is not 2, which no release ever wrote";
        let finding = Finding::new(&rules::VERSION_MINOR, number_span(1), message);
        findings.push(finding.values(VERSION.1, header.version_minor));
    }
}

fn levels(header: &Header, findings: &mut Vec<Finding>) {
    if !(1..=MAX_LEVEL).contains(&header.maxlevel) {
        let message = "the greatest level can't be, so Cyrus refuses to open the file";
        findings.push(Finding::new(&rules::MAXLEVEL, number_span(2), message).values("1 to 20", header.maxlevel));
    }
    if !(1..=header.maxlevel.clamp(1, MAX_LEVEL)).contains(&header.curlevel) {
        let message = "the level in use lies outside what the file can have";
        let expected = format!("1 to {}", header.maxlevel.clamp(1, MAX_LEVEL));
        findings.push(Finding::new(&rules::CURLEVEL, number_span(3), message).values(expected, header.curlevel));
    }
}

fn dummy(cursor: Cursor<'_>, header: &Header, findings: &mut Vec<Finding>) {
    let span = Span::new(DUMMY_OFFSET, super::layout::FIRST_RECORD.min(cursor.len()));
    let found = match Node::read(cursor, DUMMY_OFFSET) {
        Ok(node) if node.kind != NodeKind::Dummy => format!("a record of type {}", node.kind.as_str()),
        Ok(node) if !node.key.is_empty() || !node.value.is_empty() => "a DUMMY node with a key or a value".to_owned(),
        Ok(node) if node.level() as u64 != u64::from(header.maxlevel) => format!("{} pointers", node.level()),
        Ok(_) => return,
        Err(broken) => broken.to_string(),
    };
    let message = "the DUMMY node, the head of the list, is damaged, so Cyrus refuses to open the file";
    let expected = format!("a DUMMY node of {} pointers", header.maxlevel);
    findings.push(Finding::new(&rules::DUMMY_NODE, span, message).values(expected, found));
}
