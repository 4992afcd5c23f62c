//! Live records in the file's own order: leaf by leaf. Never by search, since the file does not tell its comparator.

use super::layout::Meta;
use super::scan::Env;
use crate::container::{OrderTally, Record, View};

/// Walks the records of the given leaves; the visitor answers `false` to stop. Answers whether it never did.
pub fn walk<'a>(env: &Env<'a>, leaves: &[u64], visit: &mut dyn FnMut(Record<'a>) -> bool) -> bool {
    leaves.iter().filter_map(|&number| env.page(number)).all(|page| {
        let nodes = page.leaves();
        nodes.iter().filter_map(|node| env.record(node)).all(&mut *visit)
    })
}

/// The leaves of a state.
pub fn leaves(env: &Env<'_>, state: Option<Meta>) -> Vec<u64> {
    state.map(|meta| env.tree(meta.main.root, meta.main.depth).leaves).unwrap_or_default()
}

/// All records of a state, in its own order.
pub fn records<'a>(env: &Env<'a>, state: Option<Meta>) -> Vec<Record<'a>> {
    let mut records = Vec::new();
    walk(env, &leaves(env, state), &mut |record| {
        records.push(record);
        true
    });
    records
}

/// Which comparators fit the keys.
pub fn tally(env: &Env<'_>) -> OrderTally {
    let mut tally = OrderTally::default();
    let mut before: Option<Record<'_>> = None;
    walk(env, &leaves(env, env.current()), &mut |record| {
        if let Some(before) = &before {
            tally.push((&before.key, before.span.start), (&record.key, record.span.start));
        }
        before = Some(record);
        true
    });
    tally
}

/// The view of a file.
pub struct LeafView<'a> {
    env: Env<'a>,
    leaves: Vec<u64>,
    stride: usize,
    parts: usize,
}

impl<'a> LeafView<'a> {
    /// A view in at most `parts` parts of the same number of leaves.
    pub fn new(env: Env<'a>, parts: usize) -> Self {
        let leaves = leaves(&env, env.current());
        let stride = leaves.len().div_ceil(parts.clamp(1, 256)).max(1);
        let parts = leaves.len().div_ceil(stride).max(1);
        LeafView { env, leaves, stride, parts }
    }
}

impl<'a> View<'a> for LeafView<'a> {
    fn parts(&self) -> usize {
        self.parts
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        walk(&self.env, self.leaves.chunks(self.stride).nth(part).unwrap_or_default(), visit);
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let mut found = None;
        walk(&self.env, &self.leaves, &mut |record| {
            if record.key == key {
                found = Some(record);
            }
            found.is_none()
        });
        found
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        walk(&self.env, &self.leaves, &mut |record| !record.key.starts_with(prefix) || visit(record));
    }
}
