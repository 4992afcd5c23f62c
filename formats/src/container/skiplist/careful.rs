//! Says what is wrong with a file that could not be proven sound: reads it in order, replays its log, compares every
//! pointer with what the replay demands.

use super::bits::OffsetSet;
use super::graph;
use super::header::number_span;
use super::layout::{Broken, DUMMY_OFFSET, FIRST_RECORD, Header, Node, NodeKind};
use super::replay::{Deleted, Live};
use super::rules;
use super::scan::{Item, Scan};
use super::view::List;
use crate::container::KeyOrder;
use crate::finding::{Finding, Sink};
use crate::image::{Cursor, Span};

/// What reading a file in order tells.
pub struct Physical {
    /// Offsets of all INORDER and ADD records.
    pub starts: OffsetSet,
    /// Offset of the first ADD, DELETE or COMMIT; the file's length if there is none.
    pub log_at: u64,
    /// Offset behind the last COMMIT; `log_at` if there is none.
    pub committed_end: u64,
    /// Number of INORDER records.
    inorder_count: u64,
    /// Highest level of any record.
    top_level: usize,
}

/// Checks everything behind the header.
pub fn examine(cursor: Cursor<'_>, sink: &mut Sink<'_>) {
    let physical = read_in_order(cursor, sink);
    header_against_content(cursor, &physical, sink);
    let list = List::new(cursor);
    let order = graph::key_order(cursor, list, sink);
    let live = replay_committed(cursor, &physical, order, sink);
    graph::pointers(cursor, &physical, &live, order, sink);
}

/// Reads items from front to back and judges each by itself and by its place.
fn read_in_order(cursor: Cursor<'_>, sink: &mut Sink<'_>) -> Physical {
    let starts = OffsetSet::new(cursor);
    let len = cursor.len();
    let mut physical = Physical { starts, log_at: len, committed_end: 0, inorder_count: 0, top_level: 0 };
    let mut pending: Option<u64> = None;
    for item in Scan::new(cursor) {
        let span = item.span();
        if matches!(item, Item::Delete { .. } | Item::Commit(_))
            || matches!(item, Item::Record(n) if n.kind == NodeKind::Add)
        {
            physical.log_at = physical.log_at.min(span.start);
        }
        match item {
            Item::Record(node) => {
                record(&node, &mut physical, sink);
                pending = pending.or(Some(span.start).filter(|_| node.kind == NodeKind::Add));
            }
            Item::Delete { .. } => pending = pending.or(Some(span.start)),
            Item::Commit(_) => {
                physical.committed_end = span.end;
                pending = None;
            }
            Item::Zeros(_) | Item::Torn(..) | Item::Gap(..) => damage(cursor, item, sink),
            Item::Dummy(_) => {}
        }
    }
    physical.committed_end = physical.committed_end.max(physical.log_at);
    if let Some(start) = pending {
        let message = "the last transaction was never committed; Cyrus shows it until its next write takes it away";
        sink(Finding::new(&rules::UNCOMMITTED, Span::new(start, len), message));
    }
    if !len.is_multiple_of(4) && len >= FIRST_RECORD {
        let message =
            "the length of the file is not a multiple of 4, so its last transaction was not written to the end";
        sink(Finding::new(&rules::ALIGNMENT, Span::new(len & !3, len), message).values("a multiple of 4", len));
    }
    physical
}

fn record(node: &Node<'_>, physical: &mut Physical, sink: &mut Sink<'_>) {
    physical.starts.insert(node.offset);
    physical.top_level = physical.top_level.max(node.level());
    if node.kind == NodeKind::Inorder {
        physical.inorder_count += 1;
        if node.offset > physical.log_at {
            let message = "an INORDER record stands in the log";
            sink(Finding::new(&rules::INORDER_IN_LOG, node.span(), message));
        }
    }
    if node.key.is_empty() {
        sink(Finding::new(&rules::EMPTY_KEY, node.span(), "a record without a key"));
    }
    if !node.zero_filled {
        let message = "the fill behind the key or the value is not zero, so a length or the bytes have changed";
        sink(Finding::new(&rules::FILL, Span::new(node.offset, node.pointer_offset(0)), message));
    }
}

/// What can't be read, and why.
fn damage(cursor: Cursor<'_>, item: Item<'_>, sink: &mut Sink<'_>) {
    let span = item.span();
    let (rule, message) = match item {
        // The DUMMY node's damage is a finding of the header's.
        _ if span.start == DUMMY_OFFSET => return,
        Item::Zeros(_) if span.end == cursor.len() => {
            (&rules::ZERO_TAIL, format!("{} zero bytes up to the end of the file", span.len()))
        }
        Item::Zeros(_) => (&rules::ZEROS_INSIDE, format!("{} zero bytes where a record should be", span.len())),
        Item::Torn(_, broken) => (&rules::TORN_RECORD, format!("the file ends inside a record: {broken}")),
        Item::Gap(_, broken) => {
            let rule = match broken {
                Broken::Unterminated | Broken::Pointers | Broken::NoPointer => &rules::UNTERMINATED,
                Broken::Key(_) | Broken::Value(_) | Broken::Implausible => &rules::RECORD_LENGTH,
                Broken::Type(_) | Broken::Head => &rules::GARBAGE,
            };
            (rule, format!("{} bytes can't be read, beginning with {broken}", span.len()))
        }
        _ => return,
    };
    sink(Finding::new(rule, span, message));
}

/// What the header says of the file behind it.
fn header_against_content(cursor: Cursor<'_>, physical: &Physical, sink: &mut Sink<'_>) {
    let Some(header) = Header::decode(cursor) else { return };
    let logstart = u64::from(header.logstart);
    if logstart != physical.log_at {
        let message = "the log does not start where the header says";
        let finding = Finding::new(&rules::LOGSTART, number_span(5), message);
        sink(finding.values(format!("0x{:X}", physical.log_at), format!("0x{logstart:X}")));
    }
    if physical.top_level as u64 > u64::from(header.curlevel) && header.curlevel > 0 {
        let message = "records have more levels than the header says are in use";
        let finding = Finding::new(&rules::CURLEVEL_LOW, number_span(3), message);
        sink(finding.values(physical.top_level, header.curlevel));
    }
    listsize(cursor, &header, physical.inorder_count, sink);
}

/// The header's count, where it can be held against anything: without a log it counts the INORDER records.
pub fn listsize(cursor: Cursor<'_>, header: &Header, inorder_count: u64, sink: &mut Sink<'_>) {
    if u64::from(header.logstart) == cursor.len() && inorder_count != u64::from(header.listsize) {
        let message = "the header counts other records than the file holds";
        sink(Finding::new(&rules::LISTSIZE, number_span(4), message).values(inorder_count, header.listsize));
    }
}

/// Replays the log up to the last COMMIT and judges each change by what was live then.
fn replay_committed<'a>(cursor: Cursor<'a>, physical: &Physical, order: KeyOrder, sink: &mut Sink<'_>) -> Live<'a> {
    let (mut live, log_at) = Live::at_checkpoint(cursor, order);
    for item in Scan::from(cursor, log_at) {
        let span = item.span();
        let committed = span.end <= physical.committed_end;
        match item {
            Item::Record(node) if committed || node.kind == NodeKind::Inorder => {
                if let Some(old) = live.add(node) {
                    let message = "a record was added whose key was live already";
                    let found = format!("a live record of the same key at 0x{:X}", old.offset);
                    sink(Finding::new(&rules::ADD_LIVE, span, message).values("a key that is not live", found));
                }
            }
            Item::Delete { target, .. } if committed => delete(&mut live, physical, span, target, sink),
            Item::Record(_) | Item::Delete { .. } | Item::Dummy(_) | Item::Commit(_) => {}
            Item::Zeros(_) | Item::Torn(..) | Item::Gap(..) => {}
        }
    }
    live
}

fn delete<'a>(live: &mut Live<'a>, physical: &Physical, span: Span, target: u32, sink: &mut Sink<'_>) {
    let names_record = u64::from(target) < span.start && physical.starts.contains(u64::from(target));
    let finding = match live.look_up(target) {
        _ if !names_record => Finding::new(&rules::DELETE_TARGET, span, "a deletion of what is no earlier record")
            .values("the offset of an earlier record", format!("0x{target:X}")),
        Deleted::Live(node) => return live.remove(node),
        Deleted::Dead(current) => {
            let found = match current {
                Some(node) => format!("0x{target:X}, replaced by the record at 0x{:X}", node.offset),
                None => format!("0x{target:X}, deleted already"),
            };
            // Cyrus' recovery deletes by key (`lib/cyrusdb_skiplist.c`, `recovery`).
            current.into_iter().for_each(|node| live.remove(node));
            let message = "a deletion of a record that was not live";
            Finding::new(&rules::DELETE_DEAD, span, message).values("a live record", found)
        }
        Deleted::Nothing => return,
    };
    sink(finding);
}
