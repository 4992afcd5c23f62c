//! What replaying the files leaves: the newest committed version of each key.

use std::cmp::Ordering;

use super::directory::{Directory, Role};
use super::layout::{Entry, Placed};
use super::scan::Item;
use crate::container::{KeyOrder, OrderTally, Record, View};

/// Where the additions that are in force stand, in the order of their keys; and how many transactions there are.
///
/// With `until`, as of that transaction of the log; 0 is what the packed files hold.
pub fn live(directory: &Directory<'_>, order: KeyOrder, until: Option<u64>) -> (Vec<u64>, u64) {
    let mut changes = Vec::new();
    let mut number = 0u64;
    for file in directory.counting() {
        let mut pending = Vec::new();
        let mut open = false;
        for item in file.scan() {
            open = true;
            match item {
                Item::Entry(placed) => pending.push(placed.span.start),
                Item::Commit(..) => {
                    number = number.saturating_add(u64::from(file.role != Role::Packed));
                    if until.is_none_or(|until| number <= until) {
                        changes.append(&mut pending);
                    }
                    pending.clear();
                    open = false;
                }
                _ => {}
            }
        }
        number = number.saturating_add(u64::from(open && file.role != Role::Packed));
    }
    (newest(directory, order, changes), number)
}

/// Of all changes, oldest first, the additions that no later change of the same key follows.
fn newest(directory: &Directory<'_>, order: KeyOrder, mut changes: Vec<u64>) -> Vec<u64> {
    // A stable sort leaves the changes of a key in their order, whatever file they are in.
    changes.sort_by(|&a, &b| order.compare(directory.key(a), directory.key(b)));
    changes.reverse();
    changes.dedup_by(|older, newer| order.compare(directory.key(*older), directory.key(*newer)) == Ordering::Equal);
    changes.reverse();
    changes.retain(|&at| matches!(directory.entry(at), Some(Placed { entry: Entry::Add { .. }, .. })));
    changes
}

/// Which comparators fit the files that are sorted: packed ones.
pub fn tally(directory: &Directory<'_>) -> OrderTally {
    let mut all = OrderTally::default();
    for file in directory.counting().filter(|file| file.role == Role::Packed) {
        let mut before: Option<(&[u8], u64)> = None;
        for item in file.scan() {
            let Item::Entry(placed) = item else { continue };
            let this = (directory.key(placed.span.start), placed.span.start);
            if let Some(before) = before {
                all.push(before, this);
            }
            before = Some(this);
        }
    }
    all
}

/// The view of a database: what is live, sorted.
pub struct LiveView<'d, 'a> {
    directory: &'d Directory<'a>,
    order: KeyOrder,
    live: Vec<u64>,
    stride: usize,
    parts: usize,
}

impl<'d, 'a> LiveView<'d, 'a> {
    /// A view in `order`, in at most `parts` parts of the same number of records.
    pub fn new(directory: &'d Directory<'a>, order: KeyOrder, parts: usize) -> Self {
        let (live, _) = live(directory, order, None);
        let stride = live.len().div_ceil(parts.clamp(1, 256)).max(1);
        let parts = live.len().div_ceil(stride).max(1);
        LiveView { directory, order, live, stride, parts }
    }

    /// Index of the first record whose key is not below `key`.
    fn lower_bound(&self, key: &[u8]) -> usize {
        self.live.partition_point(|&at| self.order.compare(self.directory.key(at), key) == Ordering::Less)
    }
}

impl<'a> View<'a> for LiveView<'_, 'a> {
    fn parts(&self) -> usize {
        self.parts
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let part = self.live.chunks(self.stride).nth(part).unwrap_or_default();
        part.iter().filter_map(|&at| self.directory.record(at)).all(visit);
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let record = self.directory.record(*self.live.get(self.lower_bound(key))?)?;
        (record.key == key).then_some(record)
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let from = self.live.get(self.lower_bound(prefix)..).unwrap_or_default();
        let records = from.iter().filter_map(|&at| self.directory.record(at));
        records.take_while(|record| record.key.starts_with(prefix)).all(visit);
    }
}
