//! Random damage to genuine twoskip files whose history is known: what carving may keep, must keep, and may be sure of.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use coroner_formats::container::{Change, Confidence, Database, Depth, Ending, KeyOrder, Record, twoskip};
use coroner_formats::finding::Severity;
use coroner_formats::image::Span;

/// A small generator of numbers (xorshift), so that each run damages alike.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides.max(1)
    }
}

type Line = (Vec<u8>, Vec<u8>);

fn line(record: &Record<'_>) -> Line {
    (record.key.to_vec(), record.value.to_vec())
}

/// What is true of a file before it is damaged.
struct Truth {
    name: String,
    bytes: Vec<u8>,
    /// Every record ever written that is still in the file.
    written: BTreeSet<Line>,
    /// The live records and where they stand.
    live: BTreeMap<Vec<u8>, (Vec<u8>, Span)>,
}

impl Truth {
    fn new(name: &str) -> Truth {
        let bytes = fs::read(common::corpus().join(name)).unwrap();
        let db = twoskip::Db::new(&bytes);
        let mut written = BTreeSet::new();
        let mut live = BTreeMap::new();
        written.extend(db.at(0, KeyOrder::Unsigned).unwrap().iter().map(line));
        for transaction in db.log(KeyOrder::Unsigned) {
            assert_eq!(transaction.ending, Ending::Committed);
            for change in &transaction.changes {
                if let Change::Add(new) | Change::Replace { new, .. } = change {
                    written.insert(line(new));
                }
            }
        }
        db.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
            live.insert(record.key.to_vec(), (record.value.to_vec(), record.span));
            true
        });
        Truth { name: name.into(), written, live, bytes }
    }
}

fn truths() -> Vec<Truth> {
    let names = [
        "cyrus-3.6.1/logtail/overwrites.twoskip.db",
        "cyrus-3.6.1/logtail/purged.twoskip.db",
        "cyrus-3.6.1/murder-twoskip/be1.twoskip.db",
        "cyrus-3.6.1/murder-twoskip/mup.twoskip.db",
        "cyrus-2.5.17/logtail/ops.twoskip.db",
        "cyrus-3.8.7/logtail/ops.twoskip.db",
        "cyrus-3.6.1/repacked/be1.twoskip.db",
    ];
    names.map(Truth::new).into_iter().collect()
}

/// Damages a file in one of many ways; says how, and which bytes are no longer what they were.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) -> (String, Vec<Span>) {
    let len = bytes.len();
    let span = |start: usize, end: usize| Span::new(start as u64, end as u64);
    let page = [64, 512, 4096][dice.roll(3)];
    let at = dice.roll(len.div_ceil(page)) * page;
    let end = (at + page).min(len);
    match dice.roll(8) {
        0 => {
            let cut = dice.roll(len);
            bytes.truncate(cut);
            (format!("cut at {cut}"), vec![span(cut, len)])
        }
        1 => {
            bytes[at..end].fill(0);
            (format!("zeros at {at}..{end}"), vec![span(at, end)])
        }
        2 => {
            bytes[at..end].iter_mut().for_each(|byte| *byte = dice.roll(256) as u8);
            (format!("garbage at {at}..{end}"), vec![span(at, end)])
        }
        3 => {
            let flips: Vec<_> = (0..=dice.roll(4)).map(|_| dice.roll(len)).collect();
            flips.iter().for_each(|&at| bytes[at] ^= 1 << dice.roll(8));
            (format!("bits flipped in {flips:?}"), flips.iter().map(|&at| span(at, at + 1)).collect())
        }
        4 => {
            let cut = len - len % 4096;
            bytes[cut..].fill(0);
            (format!("last page zero from {cut}"), vec![span(cut, len)])
        }
        5 => {
            let more: Vec<u8> = (0..8 * dice.roll(20)).map(|_| dice.roll(256) as u8).collect();
            let at = at.min(len) / 8 * 8;
            bytes.splice(at..at, more.iter().copied());
            (format!("{} bytes put in at {at}", more.len()), vec![span(at, len)])
        }
        6 => {
            let other = dice.roll(len / page) * page;
            let first = at.min(len / page * page - page);
            for i in 0..page {
                bytes.swap(first + i, other + i);
            }
            (
                format!("pages of {page} at {first} and {other} swapped"),
                vec![span(first, first + page), span(other, other + page)],
            )
        }
        _ => {
            bytes[..4096.min(len)].fill(0);
            ("first page zero".into(), vec![span(0, 4096.min(len))])
        }
    }
}

#[test]
fn carving_damaged_files_invents_nothing_loses_nothing_and_is_not_too_sure() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let truths = truths();
    for round in 0..3000 {
        let truth = &truths[round % truths.len()];
        let mut bytes = truth.bytes.clone();
        let (mut how, mut touched) = damage(&mut bytes, &mut dice);
        if dice.roll(3) == 0 && bytes.len() > 8192 {
            let (more, also) = damage(&mut bytes, &mut dice);
            how = format!("{how}, {more}");
            touched.extend(also);
        }
        let what = format!("round {round}: {} with {how}", truth.name);
        let db = twoskip::Db::new(&bytes);
        let carved = db.carve(KeyOrder::Unsigned);
        let kept: BTreeMap<_, _> = carved.kept.iter().map(|kept| (kept.record.key.to_vec(), kept)).collect();
        for found in &carved.kept {
            let record = line(&found.record);
            assert!(truth.written.contains(&record), "{what}: invented {:?}", found.record);
            if found.confidence == Confidence::Verified {
                let is = truth.live.get(&record.0).map(|(value, _)| value);
                assert_eq!(is, Some(&record.1), "{what}: not current {:?}", found.record);
            }
        }
        let changed = bytes != truth.bytes;
        for (key, (value, span)) in &truth.live {
            let intact = touched.iter().all(|touched| !touched.overlaps(*span));
            let found = kept.get(key);
            // Where pages changed places, or everything moved up, an old version can stand behind the newest.
            let versions = truth.written.iter().filter(|(written, _)| written == key).count();
            let moved = how.contains("swapped") || how.contains("put in");
            if intact && !(moved && versions > 1) {
                assert!(
                    found.is_some_and(|found| *found.record.value == **value),
                    "{what}: lost {key:?} at {span}: {found:?}"
                );
            }
        }
        let mut clean = true;
        db.verify(Depth::Full, &mut |finding| clean &= finding.severity() == Severity::Note);
        assert_eq!(clean, !changed, "{what}: verify");
        db.log(KeyOrder::Unsigned).for_each(drop);
    }
}
