//! The live records of a file: by its own pointers when it is sound, else all that can be proven or plausibly read.

use super::findings::{Findings, KEPT_PER_RULE};
use crate::formats::container::{Carved, Database, Depth, Record, View};
use crate::input::Source;

/// Bytes of the file that one part of a parallel walk stands for.
const PART_LEN: u64 = 1 << 20;
/// More parts than this make no walk faster.
const PARTS_MAX: u64 = 4096;

/// A file's live records, and what was found wrong with it.
pub struct Reading<'a, 's> {
    /// What the structure's verification found.
    pub findings: Findings,
    records: Records<'a, 's>,
}

enum Records<'a, 's> {
    View(Box<dyn View<'a> + 's>),
    Carved(Carved<'a>),
}

impl<'a, 's> Reading<'a, 's> {
    /// Verifies the structure of `database`, read from `source`, and chooses how to read it.
    pub fn new(source: &Source, database: &'s dyn Database<'a>) -> Self {
        Reading::keeping(source, database, KEPT_PER_RULE)
    }

    /// The same, with the first `per_rule` findings of each rule.
    pub fn keeping(source: &Source, database: &'s dyn Database<'a>, per_rule: usize) -> Self {
        let mut findings = Findings::keeping(per_rule);
        database.verify(Depth::Structure, &mut |finding| findings.push(finding));
        findings.sort();
        let records = if findings.is_clean() {
            let order = source.order(database);
            Records::View(database.view(order, parts(source.bytes().len() as u64)))
        } else {
            Records::Carved(database.carve(source.order(database)))
        };
        Reading { findings, records }
    }

    /// Number of parts that can be walked side by side.
    pub fn parts(&self) -> usize {
        match &self.records {
            Records::View(view) => view.parts(),
            Records::Carved(_) => 1,
        }
    }

    /// Walks one part in the file's own key order; the visitor answers `false` to stop.
    pub fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        match &self.records {
            Records::View(view) => view.walk(part, visit),
            Records::Carved(carved) => {
                let _ = carved.kept.iter().all(|kept| visit(kept.record.clone()));
            }
        }
    }

    /// Walks all records in the file's own key order.
    pub fn each(&self, mut visit: impl FnMut(Record<'a>)) {
        for part in 0..self.parts() {
            self.walk(part, &mut |record| {
                visit(record);
                true
            });
        }
    }

    /// Walks the records whose key starts with `prefix`, in the file's own key order.
    pub fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        match &self.records {
            Records::View(view) => view.prefix(prefix, visit),
            Records::Carved(carved) => {
                let mut kept = carved.kept.iter().map(|kept| &kept.record).filter(|r| r.key.starts_with(prefix));
                let _ = kept.all(|record| visit(record.clone()));
            }
        }
    }

    /// Whether there is a live record of this key.
    pub fn has(&self, key: &[u8]) -> bool {
        match &self.records {
            Records::View(view) => view.get(key).is_some(),
            Records::Carved(carved) => carved.kept.iter().any(|kept| *kept.record.key == *key),
        }
    }

    /// What carving brought up, if the file was not sound.
    pub fn carved(&self) -> Option<&Carved<'a>> {
        match &self.records {
            Records::View(_) => None,
            Records::Carved(carved) => Some(carved),
        }
    }
}

/// How many parts to ask for in a file of `len` bytes.
pub fn parts(len: u64) -> usize {
    (len / PART_LEN).clamp(1, PARTS_MAX) as usize
}
