//! Transactions of coroner's own, appended in turns with the real Cyrus', and killed anywhere.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bstr::ByteSlice;
use coroner::formats::container::{Depth, Format, KeyOrder, Operation, Step, append, open};
use coroner::formats::finding::Severity;
use rayon::prelude::*;

use common::cyrus::Cyrus;
use common::random::Random;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

const ENGINES: [(Format, KeyOrder); 3] =
    [(Format::Skiplist, KeyOrder::Signed), (Format::Twoskip, KeyOrder::Unsigned), (Format::Flat, KeyOrder::Mbox)];

/// A transaction, and the records that it leaves.
struct Transaction {
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    left: Records,
}

impl Transaction {
    fn new(random: &mut Random, before: &Records) -> Self {
        // No control bytes: what Cyrus shows has one record a line.
        let plain = |value: Vec<u8>| value.into_iter().filter(|&byte| byte >= b' ').collect::<Vec<_>>();
        let change = |random: &mut Random| (random.key(), (random.below(3) > 0).then(|| plain(random.value())));
        let changes: Vec<_> = (0..1 + random.below(8)).map(|_| change(random)).collect();
        let mut left = before.clone();
        for (key, value) in &changes {
            match value {
                Some(value) => drop(left.insert(key.clone(), value.clone())),
                None => drop(left.remove(key)),
            }
        }
        Transaction { changes, left }
    }

    fn steps(&self, bytes: &[u8], (engine, order): (Format, KeyOrder)) -> Vec<Step> {
        let operations = self.changes.iter().map(|(key, value)| match value {
            Some(value) => Operation::Store { key, value },
            None => Operation::Delete { key },
        });
        let operations: Vec<Operation<'_>> = operations.collect();
        append(bytes, engine, order, &operations).expect("a transaction").steps
    }

    /// The same as input to `cyr_dbtool batch`.
    fn batch(&self) -> Vec<u8> {
        let mut batch = b"BEGIN\n".to_vec();
        for (key, value) in &self.changes {
            let literals = [Some(key), value.as_ref()];
            batch.extend_from_slice(if value.is_some() { b"SET" } else { b"DELETE" });
            for bytes in literals.into_iter().flatten() {
                batch.extend_from_slice(format!(" {{{}+}}\r\n", bytes.len()).as_bytes());
                batch.extend_from_slice(bytes);
            }
            batch.push(b'\n');
        }
        batch.extend_from_slice(b"COMMIT\n");
        batch
    }
}

fn apply(steps: &[Step], path: &Path) {
    let mut bytes = fs::read(path).expect("a database");
    steps.iter().for_each(|step| step.apply(&mut bytes));
    fs::write(path, bytes).expect("a database");
}

/// The records that the library reads from a file that it finds sound.
fn ours(path: &Path, (engine, order): (Format, KeyOrder)) -> Records {
    let bytes = fs::read(path).expect("a database");
    let db = open(&bytes, engine);
    if !bytes.is_empty() {
        db.verify(Depth::Full, &mut |finding| assert_eq!(finding.severity(), Severity::Note, "{path:?}: {finding:?}"));
    }
    let mut records = Records::new();
    db.view(order, 1).walk(0, &mut |record| records.insert(record.key.into(), record.value.into()).is_none());
    records
}

/// What Cyrus shows, sorted by bytes.
fn theirs(output: &[u8]) -> Records {
    let pair = |line: &[u8]| line.split_once_str("\t").map(|(key, value)| (key.to_vec(), value.to_vec()));
    output.lines().map(|line| pair(line).expect("a TAB")).collect()
}

#[test]
fn cyrus_and_coroner_write_in_turns() {
    let Some(cyrus) = Cyrus::find("cyrus_and_coroner_write_in_turns") else { return };
    let cases: Vec<_> = (0..24).flat_map(|seed| ENGINES.map(|engine| (seed, engine))).collect();
    cases.into_par_iter().for_each(|(seed, engine)| {
        let random = &mut Random(seed);
        let path = cyrus.place(&format!("turns-{seed}.{}.db", engine.0), b"");
        let mut records = Records::new();
        for turn in 0..8 {
            let transaction = Transaction::new(random, &records);
            if turn % 2 == 0 {
                let output = cyrus.dbtool(&path, engine.0, &["batch"], &transaction.batch());
                assert_eq!(output.stderr.as_bstr(), b"".as_bstr(), "{path:?}, turn {turn}");
            } else {
                apply(&transaction.steps(&fs::read(&path).expect("a database"), engine), &path);
            }
            records = transaction.left;
            assert!(ours(&path, engine) == records, "{path:?}, turn {turn}: what coroner reads");
            let output = cyrus.dbtool(&path, engine.0, &["show"], b"");
            assert!(theirs(&output.stdout) == records, "{path:?}, turn {turn}: {}", output.stderr.as_bstr());
            let output = cyrus.dbtool(&path, engine.0, &["consistent"], b"");
            assert_eq!(output.stdout.as_bstr(), b"Yes, consistent\n".as_bstr(), "{path:?}, turn {turn}");
        }
    });
}

#[test]
fn cyrus_recovers_from_a_kill_after_any_step() {
    let Some(cyrus) = Cyrus::find("cyrus_recovers_from_a_kill_after_any_step") else { return };
    let cases: Vec<_> = (0..6).flat_map(|seed| ENGINES.map(|engine| (seed, engine))).collect();
    cases.into_par_iter().for_each(|(seed, engine)| {
        let random = &mut Random(1000 + seed);
        let path = cyrus.place(&format!("killed-{seed}.{}.db", engine.0), b"");
        let first = Transaction::new(random, &Records::new());
        cyrus.dbtool(&path, engine.0, &["batch"], &first.batch());
        let second = Transaction::new(random, &first.left);
        let sound = fs::read(&path).expect("a database");
        let steps = second.steps(&sound, engine);
        for done in 0..=steps.len() {
            let copy = cyrus.place(&format!("killed-{seed}-{done}.{}.db", engine.0), &sound);
            apply(&steps[..done], &copy);
            // The last step is a sync; the one in front of it commits.
            let committed = done + usize::from(engine.0 != Format::Flat) >= steps.len();
            let expected = if committed { &second.left } else { &first.left };
            let output = cyrus.recover_and_show(&copy, engine.0);
            assert!(theirs(&output.stdout) == *expected, "{copy:?}: {}", output.stderr.as_bstr());
            if fs::metadata(&copy).is_ok_and(|file| file.len() > 0) {
                assert!(ours(&copy, engine) == *expected, "{copy:?}, recovered by Cyrus");
            }
        }
    });
}
