//! The live records of a file: by its own pointers when it is sound, else all that can be proven or plausibly read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::findings::{Findings, KEPT_PER_RULE};
use super::recover::{self, Recovery};
use crate::failure::Failure;
use crate::formats::container::{Database, Depth, Format, KeyOrder, Proving, Record, View};
use crate::formats::text::json_usual::Usual;
use crate::input::{Source, usual_order};

/// Bytes of the file that one part of a parallel walk stands for.
const PART_LEN: u64 = 1 << 20;
/// More parts than this make no walk faster.
const PARTS_MAX: u64 = 4096;

/// A file's live records, and what was found wrong with it.
pub struct Reading<'a, 's> {
    /// What the structure's verification found.
    pub findings: Findings,
    format: Format,
    /// The order that the user says the keys stand in.
    order: Option<KeyOrder>,
    records: Records<'a, 's>,
    /// What finds out whether the file is sound while it is read.
    proving: Option<Prover<'a, 's>>,
}

/// A walk that verifies.
struct Prover<'a, 's> {
    walk: Box<dyn Proving<'a> + 's>,
    /// Whether it came across something that is not as it should be.
    broken: AtomicBool,
    /// How many findings of each rule to keep.
    per_rule: usize,
    /// What was found, if the file is sound; once that was asked.
    proven: OnceLock<Option<Findings>>,
}

enum Records<'a, 's> {
    /// By the file's own pointers.
    View(Box<dyn View<'a> + 's>, &'s dyn Database<'a>),
    /// What carving brought up, in this order.
    Carved(Vec<Record<'a>>, KeyOrder),
    /// As of an earlier transaction, or of a file that can't be searched, in this order.
    Listed(Vec<Record<'a>>, KeyOrder),
    /// Those of a recovery, in its order.
    Kept(&'s recover::Records<'a>, KeyOrder),
}

/// Records of a recovery that one part of a parallel walk stands for.
const PART_RECORDS: usize = 1 << 13;

impl<'a, 's> Reading<'a, 's> {
    /// Verifies the structure of `database`, read from `source`, and chooses how to read it.
    ///
    /// # Errors
    /// If the user asks for the state after a transaction that the file does not have.
    pub fn new(source: &Source, database: &'s dyn Database<'a>) -> Result<Self, Failure> {
        Reading::keeping(source, database, KEPT_PER_RULE)
    }

    /// The same, with the first `per_rule` findings of each rule.
    ///
    /// # Errors
    /// As of [`Reading::new`].
    pub fn keeping(source: &Source, database: &'s dyn Database<'a>, per_rule: usize) -> Result<Self, Failure> {
        Reading::as_stored(source, database, per_rule).map(Reading::searchable)
    }

    /// The same, in the file's own order even where that helps nobody to find a key: that of a hash table.
    ///
    /// # Errors
    /// As of [`Reading::new`].
    pub fn as_stored(source: &Source, database: &'s dyn Database<'a>, per_rule: usize) -> Result<Self, Failure> {
        let findings = verified(database, per_rule);
        let records = if let Some(number) = source.at() {
            let order = source.order(database);
            let records = database.at(number, order).ok_or_else(|| source.has_no_transaction(number))?;
            Records::Listed(records, order)
        } else if findings.is_clean() {
            return Ok(Reading { findings, ..Reading::by_pointers(source, database, parts(source.len())) });
        } else {
            let order = source.order(database);
            let records = database.carve(order).kept.into_iter().map(|kept| kept.record).collect();
            Records::Carved(records, order)
        };
        let (format, order) = (database.format(), source.forced_order());
        Ok(Reading { findings, format, order, records, proving: None })
    }

    /// Reads a database by its own pointers, from one end to the other, before it is known to be sound: what is made of that
    /// is worth nothing unless [`verified`] finds nothing wrong.
    pub fn presumed(source: &Source, database: &'s dyn Database<'a>) -> Self {
        // To look for places to divide it at would take as long as reading a good part of it.
        Reading::by_pointers(source, database, 1)
    }

    /// The same in about `parts` parts, where [`read`](Reading::read)ing them all finds out whether it is sound: nothing is
    /// worth anything unless it is then [`proven`](Reading::proven). `None` where that can't be. Keeps the first `per_rule`
    /// findings of each rule.
    pub fn unproven(source: &Source, database: &'s dyn Database<'a>, parts: usize, per_rule: usize) -> Option<Self> {
        if source.at().is_some() {
            return None;
        }
        let walk = database.proving(parts)?;
        let proving = Some(Prover { walk, broken: AtomicBool::new(false), per_rule, proven: OnceLock::new() });
        Some(Reading { proving, ..Reading::by_pointers(source, database, parts) })
    }

    /// What `verify` would find in a database that was read [unproven](Reading::unproven), if it is sound. To be asked when
    /// all of it was read.
    pub fn proven(&self) -> Option<&Findings> {
        let Prover { walk, per_rule, proven, .. } = self.proving.as_ref()?;
        let judge = || {
            let mut findings = Findings::keeping(*per_rule);
            let sound = walk.is_sound(&mut |finding| findings.push(finding));
            findings.sort();
            sound.then_some(findings).filter(Findings::is_clean)
        };
        proven.get_or_init(judge).as_ref()
    }

    fn by_pointers(source: &Source, database: &'s dyn Database<'a>, parts: usize) -> Self {
        // A walk follows the file's own pointers; which order they keep matters only for looking up keys.
        let order = source.forced_order().unwrap_or(KeyOrder::Unsigned);
        let records = Records::View(database.view(order, parts), database);
        let findings = Findings::keeping(KEPT_PER_RULE);
        Reading { findings, format: database.format(), order: source.forced_order(), records, proving: None }
    }

    /// Lists the records in key order if the file itself can't be searched.
    fn searchable(mut self) -> Self {
        let Records::View(_, database) = &self.records else { return self };
        if !database.is_searchable() {
            let order = self.order.unwrap_or_else(|| database.order().best(usual_order(self.format)));
            let mut records = Vec::new();
            self.each(|record| records.push(record));
            records.sort_by(|a, b| order.compare(&a.key, &b.key));
            self.records = Records::Listed(records, order);
        }
        self
    }

    /// The records of a database that was verified and found sound, whose keys stand in `order`.
    pub fn sound(database: &'s dyn Database<'a>, order: KeyOrder) -> Self {
        let records = Records::View(database.view(order, 1), database);
        let findings = Findings::keeping(KEPT_PER_RULE);
        Reading { findings, format: database.format(), order: Some(order), records, proving: None }
    }

    /// The records that a recovery would write, as if they had been read from a file of `format`.
    pub fn kept(recovery: &'s Recovery<'a>, format: Format) -> Self {
        let records = Records::Kept(&recovery.records, recovery.order);
        Reading { findings: Findings::keeping(KEPT_PER_RULE), format, order: None, records, proving: None }
    }

    /// The format it is read from.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether only reading it will tell if it is sound.
    pub fn is_unproven(&self) -> bool {
        self.proving.is_some()
    }

    /// Number of parts that can be walked side by side.
    pub fn parts(&self) -> usize {
        if let Some(proving) = &self.proving {
            return proving.walk.parts();
        }
        match &self.records {
            Records::View(view, _) => view.parts(),
            Records::Kept(records, _) => records.len().div_ceil(PART_RECORDS).max(1),
            Records::Carved(..) | Records::Listed(..) => 1,
        }
    }

    /// Walks one part in the file's own key order; the visitor answers `false` to stop.
    pub fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        match &self.records {
            Records::View(view, _) => view.walk(part, visit),
            Records::Kept(records, _) => {
                let from = part.saturating_mul(PART_RECORDS);
                let mut part = (from..from.saturating_add(PART_RECORDS)).map_while(|index| records.get(index));
                let _ = part.all(|recovered| visit(recovered.record));
            }
            Records::Carved(records, _) | Records::Listed(records, _) => {
                let _ = records.iter().all(|record| visit(record.clone()));
            }
        }
    }

    /// The same, with what a JSON dump's object says where that was seen in passing.
    pub fn walk_dumped(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) {
        match &self.records {
            Records::View(view, _) => view.walk_dumped(part, visit),
            _ => self.walk(part, &mut |record| visit(record, None)),
        }
    }

    /// The same, finding out whether the part is sound where that is still to be done; nothing is read any more where
    /// something was found to be wrong.
    pub fn read(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) {
        match &self.proving {
            None => self.walk_dumped(part, visit),
            Some(Prover { broken, .. }) if broken.load(Ordering::Relaxed) => {}
            Some(Prover { walk, broken, .. }) => {
                if !walk.walk(part, visit) {
                    broken.store(true, Ordering::Relaxed);
                }
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
            Records::View(_, database) => {
                let usual = usual_order(self.format);
                let order = self.order.unwrap_or_else(|| database.order().best(usual));
                database.view(order, 1).prefix(prefix, visit);
            }
            Records::Kept(records, _) => {
                let mut found = records.iter().filter(|recovered| recovered.record.key.starts_with(prefix));
                let _ = found.all(|recovered| visit(recovered.record));
            }
            Records::Carved(records, _) | Records::Listed(records, _) => {
                let mut found = records.iter().filter(|record| record.key.starts_with(prefix));
                let _ = found.all(|record| visit(record.clone()));
            }
        }
    }

    /// Whether there is a live record of this key.
    pub fn has(&self, key: &[u8]) -> bool {
        if self.proving.as_ref().is_some_and(|proving| proving.broken.load(Ordering::Relaxed)) {
            // Nobody wants to know any more, and it may take long to find out.
            return false;
        }
        match &self.records {
            Records::View(_, database) => {
                // Cheaper than reading all keys to tell their order: only the right one finds a key that is there.
                KeyOrder::ALL.into_iter().any(|order| database.view(order, 1).get(key).is_some())
            }
            Records::Carved(records, order) | Records::Listed(records, order) => {
                records.binary_search_by(|record| order.compare(&record.key, key)).is_ok()
            }
            Records::Kept(records, order) => records.find(key, *order).is_ok(),
        }
    }

    /// Looks keys up in the records, which stand in `order`.
    pub fn lookup(&self, order: KeyOrder) -> Lookup<'a, '_> {
        match &self.records {
            Records::View(_, database) => Lookup::View(database.view(order, 1)),
            Records::Carved(records, order) | Records::Listed(records, order) => Lookup::List(records, *order),
            Records::Kept(records, order) => Lookup::Kept(records, *order),
        }
    }

    /// The records by the file's own pointers in about `parts` parts; `None` where they are not read so.
    pub fn view(&self, order: KeyOrder, parts: usize) -> Option<Box<dyn View<'a> + 's>> {
        match &self.records {
            Records::View(_, database) => Some(database.view(order, parts)),
            _ => None,
        }
    }

    /// Whether the records are those that carving brought up.
    pub fn is_carved(&self) -> bool {
        matches!(self.records, Records::Carved(..))
    }
}

/// Finds the live records of keys.
pub enum Lookup<'a, 'r> {
    /// By the file's own pointers.
    View(Box<dyn View<'a> + 'r>),
    /// In records that stand in this order.
    List(&'r [Record<'a>], KeyOrder),
    /// In those of a recovery, which stand in this order.
    Kept(&'r recover::Records<'a>, KeyOrder),
}

impl<'a> Lookup<'a, '_> {
    /// The live record of `key`.
    pub fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        match self {
            Lookup::View(view) => view.get(key),
            Lookup::List(records, order) => {
                let index = records.binary_search_by(|record| order.compare(&record.key, key)).ok()?;
                records.get(index).cloned()
            }
            Lookup::Kept(records, order) => {
                let index = records.find(key, *order).ok()?;
                records.get(index).map(|recovered| recovered.record)
            }
        }
    }
}

/// What the verification of a database's structure finds, with the first `per_rule` findings of each rule.
pub fn verified(database: &dyn Database<'_>, per_rule: usize) -> Findings {
    let mut findings = Findings::keeping(per_rule);
    database.verify(Depth::Structure, &mut |finding| findings.push(finding));
    findings.sort();
    findings
}

/// Does `check`, a verification, beside `work`: on threads of its own, half as many as there are, for `work` is not to wait
/// behind it. `None` if the check died.
pub fn beside<C: Send, T>(check: impl FnOnce() -> C + Send, work: impl FnOnce() -> T) -> (Option<C>, T) {
    std::thread::scope(|scope| {
        let threads = (rayon::current_num_threads() / 2).max(1);
        let checking = scope.spawn(move || match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
            Ok(pool) => pool.install(check),
            Err(_) => check(),
        });
        let made = work();
        (checking.join().ok(), made)
    })
}

/// How many parts to ask for in a file of `len` bytes.
pub fn parts(len: u64) -> usize {
    (len / PART_LEN).clamp(1, PARTS_MAX) as usize
}
