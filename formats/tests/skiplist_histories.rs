//! Random histories of a skiplist file, and random damage to it: what was committed and survives is kept, nothing is
//! invented, and what is stale is never called current.

#[path = "common/skiplist_sample.rs"]
mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use coroner_formats::container::skiplist::Db;
use coroner_formats::container::{Confidence, Database, Depth, Kept, KeyOrder};
use coroner_formats::finding::Severity;
use rayon::prelude::*;

use sample::{ADD, CURLEVEL, INORDER, Sample};

/// SplitMix64: small, and the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

/// A record that was once written.
#[derive(Clone, Debug)]
struct Written {
    key: String,
    value: String,
    bytes: Range<usize>,
    level: usize,
    /// Where the COMMIT of its transaction stands; `None` for INORDER records.
    commit: Option<usize>,
}

/// A file, all that was ever written to it, and what is live at its end.
struct History {
    sample: Sample,
    written: Vec<Written>,
    live: BTreeMap<String, usize>,
    /// The live records after each transaction.
    states: Vec<BTreeMap<String, String>>,
}

impl History {
    fn new(random: &mut Random) -> Self {
        let mut history =
            History { sample: Sample::new(), written: Vec::new(), live: BTreeMap::new(), states: Vec::new() };
        history.sample.set(CURLEVEL, 6);
        // Half of the files have records of one size, which makes offsets coincide.
        let uniform = random.below(2) == 0;
        let keys: BTreeSet<String> = (0..random.below(40)).map(|_| key(random)).collect();
        for key in keys {
            let level = level(random, uniform);
            history.write(random, INORDER, key, level, uniform);
        }
        history.sample.checkpoint(history.live.len() as u32);
        history.remember();
        for _ in 0..random.below(30) {
            let first = history.written.len();
            for _ in 0..1 + random.below(3) {
                history.change(random, uniform);
            }
            let commit = history.sample.commit();
            history.written[first..].iter_mut().for_each(|record| record.commit = Some(commit));
            history.remember();
        }
        let nodes: Vec<usize> = history.live.values().map(|&i| history.written[i].bytes.start).collect();
        history.sample.link(&nodes);
        history
    }

    fn remember(&mut self) {
        let value = |&i: &usize| self.written[i].value.clone();
        self.states.push(self.live.iter().map(|(key, i)| (key.clone(), value(i))).collect());
    }

    fn change(&mut self, random: &mut Random, uniform: bool) {
        let key = key(random);
        let old = self.live.get(&key).copied();
        let level = old.map_or_else(|| level(random, uniform), |old| self.written[old].level);
        if let Some(old) = old {
            self.sample.delete(self.written[old].bytes.start);
            self.live.remove(&key);
        }
        if old.is_none() || random.below(3) > 0 {
            self.write(random, ADD, key, level, uniform);
        }
    }

    fn write(&mut self, random: &mut Random, kind: u32, key: String, level: usize, uniform: bool) {
        let value = match uniform {
            true => format!("value {:06}", self.written.len()),
            false => format!("{} {}", self.written.len(), "x".repeat(random.below(40))),
        };
        let start = self.sample.node(kind, &key, &value, level);
        let bytes = start..self.sample.bytes.len();
        self.live.insert(key.clone(), self.written.len());
        self.written.push(Written { key, value, bytes, level, commit: None });
    }
}

fn key(random: &mut Random) -> String {
    format!("user.{:02}", random.below(60))
}

fn level(random: &mut Random, uniform: bool) -> usize {
    if uniform { 1 } else { 1 + (random.next() as u32 | 0x20).trailing_zeros() as usize }
}

/// What damage leaves: the bytes, and where each byte of the sound file now is, if it survives.
struct Damaged {
    what: &'static str,
    bytes: Vec<u8>,
    /// Ranges of the sound file that did not survive.
    gone: Vec<Range<usize>>,
}

const PAGE: usize = 128;

fn damage(random: &mut Random, sound: &[u8]) -> Damaged {
    let mut bytes = sound.to_vec();
    let len = bytes.len();
    let mut gone = Vec::new();
    let page = |random: &mut Random| {
        let start = 144 + random.below((len - 144).div_ceil(PAGE).max(1)) * PAGE;
        start.min(len)..(start + PAGE).min(len)
    };
    let what = match random.below(6) {
        0 => {
            let cut = 144 + random.below(len - 143);
            bytes.truncate(cut);
            gone.push(cut..len);
            "cut"
        }
        1 => {
            for _ in 0..1 + random.below(2) {
                let page = page(random);
                bytes[page.clone()].fill(0);
                gone.push(page);
            }
            "page of zeros"
        }
        2 => {
            let page = page(random);
            bytes[page.clone()].iter_mut().for_each(|byte| *byte = random.next() as u8);
            gone.push(page);
            "page of garbage"
        }
        3 => {
            for _ in 0..1 + random.below(3) {
                let at = 144 + random.below(len - 144).min(len - 145);
                bytes[at] ^= 1 << random.below(8);
                gone.push(at..at + 1);
            }
            "flipped bits"
        }
        4 => {
            let at = 144 + random.below((len - 144) / 4 + 1) * 4;
            let garbage: Vec<u8> = (0..4 * (1 + random.below(40))).map(|_| random.next() as u8).collect();
            bytes.splice(at..at, garbage);
            gone.push(at..at);
            "inserted garbage"
        }
        _ => {
            let start = len - (len - 144) % PAGE;
            bytes[start..].fill(0);
            gone.push(start..len);
            "last page lost"
        }
    };
    Damaged { what, bytes, gone }
}

impl Damaged {
    fn touches(&self, bytes: &Range<usize>) -> bool {
        self.gone.iter().any(|gone| {
            gone.start < bytes.end && (bytes.start < gone.end || gone.is_empty() && bytes.start < gone.start)
        })
    }
}

/// Runs `check`, which answers what is wrong, on thousands of damaged files.
fn each_case(first_seed: u64, check: impl Fn(&History, &Damaged) -> Option<String> + Sync) {
    let wrong = (first_seed..first_seed + 4000).into_par_iter().filter_map(|seed| {
        let random = &mut Random(seed);
        let history = History::new(random);
        if history.sample.bytes.len() <= 160 {
            return None;
        }
        let damaged = damage(random, &history.sample.bytes);
        check(&history, &damaged).map(|wrong| format!("seed {seed}, {}: {wrong}", damaged.what))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} cases: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}

#[test]
fn logs_replay_to_every_state() {
    (0..1500).into_par_iter().for_each(|seed| {
        let history = History::new(&mut Random(seed));
        let bytes = &history.sample.bytes;
        let db = Db::new(bytes);
        db.verify(Depth::Full, &mut |finding| panic!("seed {seed}: {finding:?}"));
        for (number, state) in (0..).zip(&history.states) {
            let at = db.at(number, KeyOrder::Signed).expect("a state");
            let at: BTreeMap<String, String> = at
                .iter()
                .map(|r| (String::from_utf8(r.key.to_vec()).unwrap(), String::from_utf8(r.value.to_vec()).unwrap()))
                .collect();
            assert_eq!(&at, state, "seed {seed}, transaction {number}");
        }
        assert_eq!(db.at(history.states.len() as u64, KeyOrder::Signed), None);
    });
}

#[test]
fn what_survives_is_kept() {
    each_case(10_000, |history, damaged| {
        let db = Db::new(&damaged.bytes);
        let carved = db.carve(KeyOrder::Signed);
        let kept: BTreeMap<&[u8], &[u8]> =
            carved.kept.iter().map(|k| (&k.record.key[..], &k.record.value[..])).collect();
        let lost = history.live.values().map(|&i| &history.written[i]).find(|record| {
            let commit = record.commit.map_or(0..0, |at| at..at + 4);
            let survives = !damaged.touches(&record.bytes) && !damaged.touches(&commit);
            let found = kept.get(record.key.as_bytes());
            // A flipped bit can give another record this key.
            let usurped = found.is_some_and(|value| {
                history.written.iter().any(|w| w.value.as_bytes() == *value && w.key != record.key)
            });
            survives && !usurped && found != Some(&record.value.as_bytes())
        });
        lost.map(|lost| {
            format!(
                "{lost:?} is not kept, but {:?}",
                kept.get(lost.key.as_bytes()).map(|v| v.escape_ascii().to_string())
            )
        })
    });
}

#[test]
fn nothing_is_invented_and_nothing_stale_called_current() {
    each_case(20_000, |history, damaged| {
        let wrong = |kept: &&Kept<'_>| {
            let (key, value) = (&kept.record.key[..], &kept.record.value[..]);
            let was = history.written.iter().find(|w| w.key.as_bytes() == key && w.value.as_bytes() == value);
            // Nothing guards a record's own bytes: a flipped bit in them shows as far as it breaks the structure.
            let Some(was) = was else { return damaged.what != "flipped bits" };
            let newest = history.live.get(&was.key).map(|&i| &history.written[i].value);
            kept.confidence == Confidence::Verified && damaged.what != "flipped bits" && newest != Some(&was.value)
        };
        let db = Db::new(&damaged.bytes);
        let carved = db.carve(KeyOrder::Signed);
        carved.kept.iter().find(wrong).map(|kept| format!("{kept:?}"))
    });
}

/// A clean verdict is given only for a file that reads as it once was.
#[test]
fn no_damage_is_called_clean() {
    each_case(30_000, |history, damaged| {
        let db = Db::new(&damaged.bytes);
        let mut worst = Severity::Note;
        db.verify(Depth::Full, &mut |finding| worst = worst.max(finding.severity()));
        if worst > Severity::Note || damaged.what == "flipped bits" {
            return None;
        }
        let mut read = BTreeMap::new();
        db.view(KeyOrder::Signed, 1).walk(0, &mut |r| {
            read.insert(String::from_utf8(r.key.to_vec()).unwrap(), String::from_utf8(r.value.to_vec()).unwrap());
            true
        });
        (!history.states.contains(&read)).then(|| format!("read as {read:?}"))
    });
}
