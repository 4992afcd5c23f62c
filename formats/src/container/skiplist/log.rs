//! Transactions since the last checkpoint, and the state after each.

use super::layout::Node;
use super::replay::{Deleted, Live};
use super::scan::{Item, Scan};
use super::view::{record, record_at};
use crate::container::{Change, Ending, KeyOrder, Record, Transaction};
use crate::image::{Cursor, Span};

/// Reads transactions in file order, keeping the live records beside them.
pub struct Log<'a> {
    cursor: Cursor<'a>,
    live: Live<'a>,
    scan: Scan<'a>,
    number: u64,
}

impl<'a> Log<'a> {
    /// The log of a file, from the state at its last checkpoint on.
    pub fn new(cursor: Cursor<'a>, order: KeyOrder) -> Self {
        let (live, log_at) = Live::at_checkpoint(cursor, order);
        Log { cursor, live, scan: Scan::from(cursor, log_at), number: 0 }
    }

    fn delete(&mut self, span: Span, target: u32) -> Change<'a> {
        let (old, certain) = match self.live.look_up(target) {
            Deleted::Live(node) => (Some(node), true),
            Deleted::Dead(current) => (current, false),
            Deleted::Nothing => (None, false),
        };
        old.into_iter().for_each(|node| self.live.remove(node));
        Change::Delete { span, old: old.map(record), certain }
    }

    /// Takes an added record into the changes; with the deletion directly in front of it, it is a replacement.
    fn add(&mut self, node: Node<'a>, changes: &mut Vec<Change<'a>>) {
        let displaced = self.live.add(node).map(record);
        let replaces = |change: &mut Change<'a>| match change {
            Change::Delete { span, old: Some(old), .. } => span.end == node.offset && old.key == node.key,
            _ => false,
        };
        let new = record(node);
        let old = match changes.pop_if(replaces) {
            Some(Change::Delete { old, .. }) => old,
            _ => displaced,
        };
        changes.push(match old {
            Some(old) => Change::Replace { old, new },
            None => Change::Add(new),
        });
    }

    fn into_records(self) -> Vec<Record<'a>> {
        self.live.sorted().iter().map(|&offset| record_at(self.cursor, offset)).collect()
    }
}

impl<'a> Iterator for Log<'a> {
    type Item = Transaction<'a>;

    fn next(&mut self) -> Option<Transaction<'a>> {
        let mut changes = Vec::new();
        let mut span: Option<Span> = None;
        let mut begun = false;
        let mut damaged = false;
        let mut committed = false;
        while let Some(item) = self.scan.next() {
            let here = item.span();
            match item {
                Item::Zeros(_) => {
                    // Zeros stand between transactions where an old release's recovery cut one off; inside one they are damage.
                    damaged |= begun;
                    continue;
                }
                Item::Gap(..) => damaged = true,
                Item::Torn(..) => {
                    damaged = true;
                    begun = true;
                }
                Item::Record(node) => self.add(node, &mut changes),
                Item::Delete { span, target } => {
                    let change = self.delete(span, target);
                    changes.push(change);
                }
                Item::Commit(_) => committed = true,
                Item::Dummy(_) => {}
            }
            begun |= !item.is_damage();
            span = Some(Span::new(span.map_or(here.start, |span| span.start), here.end));
            if committed {
                break;
            }
        }
        let span = span.filter(|_| begun)?;
        self.number += 1;
        let ending = match (committed, damaged) {
            (true, false) => Ending::Committed,
            (true, true) => Ending::Damaged,
            (false, _) => Ending::Uncommitted,
        };
        Some(Transaction { number: self.number, span, ending, changes })
    }
}

/// The live records after transaction `number`; 0 is the state at the last checkpoint.
pub fn at<'a>(cursor: Cursor<'a>, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
    let mut log = Log::new(cursor, order);
    for _ in 0..number {
        log.next()?;
    }
    Some(log.into_records())
}
