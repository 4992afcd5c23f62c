//! Random histories by the project's own writers: transactions that add, overwrite and delete, aborts, checkpoints, and a
//! kill after every single step of writing. The file always tells the state of the model.

use std::collections::BTreeMap;
use std::io;

use coroner_formats::container::{
    self, AppendError, Change, CyrusOutcome, Database, Depth, Ending, Format, KeyOrder, Operation, Record, Step,
    WriteOptions, append, flat, write,
};
use coroner_formats::finding::Severity;
use rayon::prelude::*;

/// Records of a database.
type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// SplitMix64: small, and the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn key(&mut self) -> Vec<u8> {
        let stems: [&[u8]; 6] =
            [b"user", b"user.anna", b"user-anna", b"Nuser\x1Fzo\xC3\xAB", b"\xC3odd", b"user\x1Fanna"];
        [stems[self.below(stems.len())], format!("{:02}", self.below(12)).as_bytes()].concat()
    }

    fn value(&mut self) -> Vec<u8> {
        let len = if self.below(12) == 0 { 600 + self.below(900) } else { self.below(50) };
        (0..len).map(|_| b"abcdef /-+\xC3\xFF"[self.below(12)]).collect()
    }

    /// Stores, most of them, and deletions.
    fn changes(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        (0..1 + self.below(5)).map(|_| (self.key(), (self.below(3) > 0).then(|| self.value()))).collect()
    }
}

fn operations(changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (key, value) in changes {
        operations.push(match value {
            Some(value) => Operation::Store { key, value },
            None => Operation::Delete { key },
        });
    }
    operations
}

fn changed(state: &State, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> State {
    let mut state = state.clone();
    for (key, value) in changes {
        match value {
            Some(value) => drop(state.insert(key.clone(), value.clone())),
            None => drop(state.remove(key)),
        }
    }
    state
}

fn state<'r>(records: impl IntoIterator<Item = &'r Record<'r>>) -> State {
    records.into_iter().map(|record| (record.key.to_vec(), record.value.to_vec())).collect()
}

/// What a history does: a format, an order, a seed.
#[derive(Clone, Copy, Debug)]
struct Case {
    format: Format,
    order: KeyOrder,
    seed: u64,
}

impl Case {
    /// A file freshly written, as a checkpoint or repack leaves it.
    fn written(&self, state: &State) -> Vec<u8> {
        let mut records: Vec<_> = state.iter().collect();
        match self.format {
            Format::Flat => records.sort_by(|a, b| flat::writer::written_order(flat::Style::Escaped, a.0, b.0)),
            _ => records.sort_by(|a, b| self.order.compare(a.0, b.0)),
        }
        let options = WriteOptions { order: self.order, time: 1_700_000_000, style: flat::Style::Escaped };
        let mut out = io::Cursor::new(Vec::new());
        write(&mut out, self.format, records, &options).expect("a file in memory");
        out.into_inner()
    }

    fn open<'b>(&self, bytes: &'b [u8]) -> Box<dyn Database<'b> + 'b> {
        container::open(bytes, self.format)
    }

    /// The file is sound and holds `live`, by its pointers, by lookups, by carving and in the eyes of Cyrus.
    fn assert_sound(&self, bytes: &[u8], live: &State) {
        let db = self.open(bytes);
        if !bytes.is_empty() {
            db.verify(Depth::Full, &mut |finding| {
                assert_eq!(finding.severity(), Severity::Note, "{self:?}: {finding:?}");
            });
        }
        let view = db.view(self.order, 1);
        let mut walked = State::new();
        view.walk(0, &mut |record| walked.insert(record.key.to_vec(), record.value.to_vec()).is_none());
        assert!(&walked == live, "{self:?}: what a walk finds");
        for (key, value) in live {
            assert!(view.get(key).is_some_and(|record| record.value == &value[..]), "{self:?}: {key:?} is not found");
        }
        self.assert_tells(bytes, live);
    }

    /// Carving finds `live` and nothing else, and so would Cyrus' recovery.
    fn assert_tells(&self, bytes: &[u8], live: &State) {
        let db = self.open(bytes);
        let carved = db.carve(self.order);
        assert!(state(carved.kept.iter().map(|kept| &kept.record)) == *live, "{self:?}: carved");
        assert_eq!(carved.lost, [], "{self:?}");
        match db.as_cyrus(self.order) {
            CyrusOutcome::Opens(records) => assert!(state(&records) == *live, "{self:?}: as Cyrus would recover it"),
            other => panic!("{self:?}: {other:?}"),
        }
    }

    /// The log has a transaction for each state but the first, each of which it brings back.
    fn assert_log(&self, bytes: &[u8], states: &[State]) {
        let db = self.open(bytes);
        if self.format == Format::Flat {
            return;
        }
        let at = |number: usize| db.at(number as u64, self.order).map(|records| state(&records));
        let mut replayed = states[0].clone();
        assert!(at(0).as_ref() == Some(&replayed), "{self:?}: the state at the checkpoint");
        let mut committed = 0;
        for transaction in db.log(self.order) {
            if transaction.ending != Ending::Committed {
                assert_eq!(committed, states.len() - 1, "{self:?}: {:?} is not the last", transaction.number);
                continue;
            }
            committed += 1;
            for change in &transaction.changes {
                match change {
                    Change::Add(new) => assert!(replayed.insert(new.key.to_vec(), new.value.to_vec()).is_none()),
                    Change::Replace { old, new } => {
                        let before = replayed.insert(new.key.to_vec(), new.value.to_vec());
                        assert_eq!(before.as_deref(), Some(&old.value[..]), "{self:?}");
                    }
                    Change::Delete { old, .. } => {
                        let old = old.as_ref().expect("what was deleted");
                        assert!(replayed.remove(&old.key[..]).is_some(), "{self:?}");
                    }
                }
            }
            assert!(replayed == states[committed], "{self:?}: replayed up to {committed}");
            assert!(at(committed).as_ref() == Some(&replayed), "{self:?}: the state at {committed}");
        }
        assert_eq!(committed, states.len() - 1, "{self:?}: transactions in the log");
    }

    /// A kill after any step, or in the middle of one that lets the file grow, leaves the state before the transaction,
    /// or, once that is committed, the state behind it.
    fn assert_survives_kills(&self, before: &[u8], steps: &[Step], states: &[State], live: &State, next: &State) {
        let commits = match self.format {
            Format::Skiplist => steps.len().saturating_sub(1),
            Format::Twoskip => steps.len().saturating_sub(1),
            _ => steps.len(),
        };
        let mut bytes = before.to_vec();
        let mut with_next = states.to_vec();
        with_next.push(next.clone());
        for (done, step) in (1..).zip(steps) {
            if let Step::Write { offset, bytes: written } = step
                && *offset == bytes.len() as u64
            {
                let mut torn = bytes.clone();
                torn.extend_from_slice(&written[..written.len() / 2]);
                self.assert_tells_in_part(&torn, live);
            }
            step.apply(&mut bytes);
            let is_committed = done >= commits;
            self.assert_tells(&bytes, if is_committed { next } else { live });
            self.assert_log(&bytes, if is_committed { &with_next } else { states });
            let grown = bytes.len() != before.len() && !is_committed;
            let again = append(&bytes, self.format, self.order, &[Operation::Store { key: b"k", value: b"" }]);
            assert!(!grown || matches!(again, Err(AppendError::Unsound(_))), "{self:?}: written to, though unfinished");
        }
    }

    /// The same for a file that ends inside a record: the torn bytes may be told as lost.
    fn assert_tells_in_part(&self, bytes: &[u8], live: &State) {
        let carved = self.open(bytes).carve(self.order);
        assert!(state(carved.kept.iter().map(|kept| &kept.record)) == *live, "{self:?}: carved from a torn file");
    }

    fn run(&self) {
        let random = &mut Random(self.seed);
        let mut live = State::new();
        for _ in 0..random.below(30) {
            live.insert(random.key(), random.value());
        }
        let mut bytes = self.written(&live);
        let mut states = vec![live.clone()];
        for _ in 0..1 + random.below(8) {
            let changes = random.changes();
            let next = changed(&live, &changes);
            let appended = append(&bytes, self.format, self.order, &operations(&changes)).expect("a transaction");
            match random.below(8) {
                0 => {}
                1 => {
                    bytes = self.written(&live);
                    states = vec![live.clone()];
                }
                kind => {
                    if kind == 2 {
                        self.assert_survives_kills(&bytes, &appended.steps, &states, &live, &next);
                    }
                    appended.steps.iter().for_each(|step| step.apply(&mut bytes));
                    live = next;
                    if !appended.steps.is_empty() {
                        states.push(live.clone());
                    }
                }
            }
            self.assert_sound(&bytes, &live);
        }
        self.assert_log(&bytes, &states);
    }
}

#[test]
fn histories_tell_every_state_through_every_kill() {
    let kinds = [
        (Format::Skiplist, KeyOrder::Signed),
        (Format::Skiplist, KeyOrder::Mbox),
        (Format::Twoskip, KeyOrder::Unsigned),
        (Format::Twoskip, KeyOrder::Mbox),
        (Format::Flat, KeyOrder::Mbox),
    ];
    for (format, order) in kinds {
        (0..2000).into_par_iter().for_each(|seed| Case { format, order, seed }.run());
    }
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let state = State::from([(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
    for (format, order) in [(Format::Twoskip, KeyOrder::Unsigned), (Format::Flat, KeyOrder::Mbox)] {
        let bytes = Case { format, order, seed: 0 }.written(&state);
        let nothing = [Operation::Store { key: b"a", value: b"1" }, Operation::Delete { key: b"c" }];
        assert_eq!(append(&bytes, format, order, &nothing).expect("a transaction").steps, []);
    }
    let bytes = Case { format: Format::Skiplist, order: KeyOrder::Signed, seed: 0 }.written(&state);
    let nothing = append(&bytes, Format::Skiplist, KeyOrder::Signed, &[Operation::Delete { key: b"c" }]);
    assert_eq!(nothing.expect("a transaction").steps, []);
}

#[test]
fn what_cannot_be_stored_is_refused() {
    let empty = [Operation::Store { key: b"", value: b"1" }];
    assert_eq!(append(b"", Format::Flat, KeyOrder::Mbox, &empty), Err(AppendError::EmptyKey));
    let one = [Operation::Store { key: b"a", value: b"1" }];
    for format in [Format::Skiplist, Format::Twoskip] {
        assert!(matches!(append(b"no database", format, KeyOrder::Signed, &one), Err(AppendError::Unsound(_))));
    }
    assert!(matches!(append(b"no TAB\n", Format::Flat, KeyOrder::Mbox, &one), Err(AppendError::Unsound(_))));
    assert!(matches!(append(b"b\t\na\t\n", Format::Flat, KeyOrder::Mbox, &one), Err(AppendError::Unsound(_))));
    assert_eq!(append(b"", Format::Show, KeyOrder::Mbox, &one), Err(AppendError::Unsupported(Format::Show)));
}
