//! The twom room against random histories, and those against every kind of damage.

mod common;
mod twom_maker;

use std::collections::{BTreeMap, BTreeSet};

use coroner_formats::container::twom::Db;
use coroner_formats::container::{Confidence, Database, Depth, Ending, KeyOrder};
use coroner_formats::finding::Severity;

use twom_maker::{Bytes, Dice, Maker, example, forty, history};

const ORDER: KeyOrder = KeyOrder::Unsigned;

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn live(db: &Db<'_>, parts: usize) -> State {
    let view = db.view(ORDER, parts);
    let mut state = State::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| state.insert(record.key.to_vec(), record.value.to_vec()).is_none());
    }
    state
}

fn worst(file: &[u8]) -> Option<Severity> {
    let mut worst = None;
    Db::new(file).verify(Depth::Full, &mut |finding| worst = worst.max(Some(finding.severity())));
    worst
}

fn findings(file: &[u8]) -> usize {
    let mut count = 0;
    Db::new(file).verify(Depth::Full, &mut |_| count += 1);
    count
}

#[test]
fn every_state_of_a_random_history_comes_back() {
    let mut dice = Dice(0x5EED);
    let mut transactions = 0;
    for round in 0..300 {
        let mut states = vec![State::new()];
        let keys = 3 + dice.roll(30);
        let maker = history(&mut dice, 1 + round % 20, keys, &mut |maker| states.push(maker.live()));
        let file = maker.finish();
        let db = Db::new(&file.0);
        assert!(worst(&file.0) <= Some(Severity::Note), "history {round}");
        for (number, state) in states.iter().enumerate() {
            let at = db.at(number as u64, ORDER).expect("a state");
            let at: State = at.into_iter().map(|record| (record.key.into(), record.value.into())).collect();
            assert_eq!(&at, state, "history {round} after {number}");
        }
        let last = states.last().expect("a state");
        assert_eq!(db.transactions(), Some(states.len() as u64 - 1));
        for parts in [1, 3] {
            assert_eq!(&live(&db, parts), last, "history {round}");
        }
        let carved = db.carve(ORDER);
        assert!(carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified));
        let kept: State =
            carved.kept.iter().map(|kept| (kept.record.key.to_vec(), kept.record.value.to_vec())).collect();
        assert_eq!(&kept, last, "history {round}");
        let committed = db.log(ORDER).filter(|transaction| transaction.ending == Ending::Committed).count();
        assert_eq!(committed, states.len() - 1);
        transactions += committed;
    }
    assert!(transactions > 2000, "{transactions}");
}

#[test]
fn a_writer_that_dies_changes_nothing_that_was_committed() {
    let mut dice = Dice(0xDEAD);
    for round in 0..200 {
        let mut maker = history(&mut dice, 1 + round % 9, 12, &mut |_| {});
        let before = maker.live();
        for _ in 0..=dice.roll(8) {
            let key = format!("user.{:03}", dice.roll(14)).into_bytes();
            if maker.live().contains_key(&key) && dice.roll(3) == 0 {
                maker.delete(&key);
            } else {
                let level = dice.level();
                maker.set(&key, b"never committed", level);
            }
        }
        let file = maker.die();
        let db = Db::new(&file.0);
        assert_eq!(worst(&file.0), Some(Severity::Warning), "death {round}");
        assert_eq!(live(&db, 2), before, "death {round}");
        assert_eq!(db.log(ORDER).last().map(|transaction| transaction.ending), Some(Ending::Uncommitted));
        for record in live(&db, 1).keys() {
            assert!(db.view(ORDER, 1).get(record).is_some(), "death {round}");
        }
    }
}

/// A history, all values that each key ever had, and the last state.
struct Written {
    file: Bytes,
    ever: BTreeSet<(Vec<u8>, Vec<u8>)>,
    last: State,
    /// What was written but never committed.
    aborted: BTreeSet<(Vec<u8>, Vec<u8>)>,
    /// The file as it was after each commit.
    earlier: Vec<Bytes>,
}

fn written(dice: &mut Dice) -> Written {
    let mut earlier = vec![Maker::new().finish()];
    let transactions = 2 + dice.roll(30);
    let keys = 4 + dice.roll(60);
    let maker = history(dice, transactions, keys, &mut |maker: &Maker| earlier.push(maker.finish()));
    Written { file: maker.finish(), last: maker.live(), ever: maker.ever, aborted: maker.aborted, earlier }
}

/// Damages a file one way or another; the ranges that were touched.
fn damage(written: &Written, dice: &mut Dice) -> (Vec<u8>, &'static str) {
    let mut file = written.file.0.clone();
    let end = written.file.header().current_size.max(369);
    let page = 1 << (5 + dice.roll(5));
    let at = (dice.roll(end) / page * page) as usize;
    let behind = (at + page as usize).min(file.len());
    let kind = match dice.roll(7) {
        0 => {
            file.truncate(at);
            "truncated"
        }
        1 => {
            file[at..behind].fill(0);
            "a page of zeros"
        }
        2 => {
            for _ in 0..=dice.roll(3) {
                let place = dice.roll(end) as usize;
                file[place] ^= 1 << dice.roll(8);
            }
            "flipped bits"
        }
        3 => {
            let other = (dice.roll(end) / page * page) as usize;
            let len = (page as usize).min(file.len() - at.max(other));
            if at.abs_diff(other) >= len {
                for i in 0..len {
                    file.swap(at + i, other + i);
                }
            }
            "two pages swapped"
        }
        4 => {
            file.splice(at..at, (0..page).map(|i| (i * 37 + 11) as u8));
            "garbage inserted"
        }
        5 => {
            let earlier = &written.earlier[dice.roll(written.earlier.len() as u64) as usize].0;
            let earlier = earlier.iter().copied().chain(std::iter::repeat(0)).skip(at);
            file[at..behind].iter_mut().zip(earlier).for_each(|(byte, old)| *byte = old);
            "a page from an earlier time"
        }
        _ => {
            file[at..].fill(0);
            "nothing but zeros to the end"
        }
    };
    (file, kind)
}

/// A file without the zeros at its end.
fn without_end(file: &[u8]) -> &[u8] {
    let end = file.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &file[..end]
}

#[test]
fn damage_is_found_and_carving_invents_nothing() {
    let mut seen: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for round in 0..4000 {
        let mut dice = Dice(0xDA_4A6E + (round << 20));
        let written = written(&mut dice);
        for _ in 0..3 {
            let (file, kind) = damage(&written, &mut dice);
            // The page can be all there was: then this is the file as it was, and nothing tells that it went on.
            let is = |whole: &Bytes| without_end(&whole.0) == without_end(&file);
            if file == written.file.0 || kind == "a page from an earlier time" && written.earlier.iter().any(is) {
                continue;
            }
            let what = format!("history {round}, {kind}");
            let db = Db::new(&file);
            let carved = db.carve(ORDER);
            let kinds = seen.entry(kind).or_default();
            let touched = file.iter().zip(&written.file.0).position(|(a, b)| a != b).unwrap_or(file.len());
            if (touched as u64) < written.file.header().current_size && findings(&file) == 0 {
                // Pointers of a record that was replaced long ago say nothing any more: older ones can't be told from them.
                let harmless = kind == "a page from an earlier time" && live(&db, 1) == written.last;
                assert!(harmless, "{what}: damaged at {touched}, and nothing is found");
            }
            for kept in &carved.kept {
                let pair = (kept.record.key.to_vec(), kept.record.value.to_vec());
                // Such damage can bring what was never committed among what was.
                let moved = ["a page from an earlier time", "two pages swapped"].contains(&kind);
                let aborted = moved && written.aborted.contains(&pair);
                assert!(written.ever.contains(&pair) || aborted, "{what}: {pair:?} was never written");
                let newest = written.last.get(&pair.0) == Some(&pair.1);
                match kept.confidence {
                    Confidence::Verified => {
                        kinds[0] += 1;
                        assert!(newest, "{what}: {:?} is not the newest", pair.0.escape_ascii().to_string());
                    }
                    Confidence::Unverified => kinds[1] += 1,
                    Confidence::MaybeStale => {
                        kinds[2] += 1;
                    }
                }
            }
            // Every newest record whose own bytes are intact, and which the header calls committed, is kept.
            let kept: BTreeSet<&[u8]> = carved.kept.iter().map(|kept| &*kept.record.key).collect();
            if kind != "garbage inserted" && file.get(..96) == written.file.0.get(..96) {
                for tile in Db::new(&written.file.0).carve(ORDER).kept {
                    let range = tile.record.span.start as usize..tile.record.span.end as usize;
                    if file.get(range.clone()) == written.file.0.get(range) {
                        assert!(kept.contains(&*tile.record.key), "{what}: {:?} is lost", tile.record);
                    }
                }
            }
        }
    }
    println!("kept as verified, unverified, maybe stale: {seen:?}");
    assert_eq!(seen.len(), 7);
}

/// Runs every door over a file.
fn through_every_door(file: &[u8]) {
    let db = Db::new(file);
    let mut at = 0;
    for tile in db.tiles() {
        assert!(tile.span.start == at && tile.span.end > at);
        at = tile.span.end;
    }
    assert_eq!(at, file.len() as u64);
    findings(file);
    live(&db, 3);
    db.view(ORDER, 1).get(b"user.alice");
    db.carve(ORDER);
    let last = db.log(ORDER).last().map_or(0, |transaction| transaction.number);
    assert!(db.at(last, ORDER).is_some());
    assert!(db.at(last + 1, ORDER).is_none());
    db.as_cyrus(ORDER);
    drop((db.facts(), db.order(), db.transactions()));
}

fn small_files() -> Vec<Vec<u8>> {
    let mut dying = example();
    dying.set(b"user.carol", b"C1", 2);
    let mut files = vec![Maker::new().finish(), example().finish(), dying.die(), forty().finish()];
    files.iter_mut().for_each(|file| file.0.truncate(file.header().current_size as usize + 200));
    let mut unsummed = example().finish();
    unsummed.take_sums();
    unsummed.0.truncate(700);
    files.push(unsummed);
    files.into_iter().map(|file| file.0).collect()
}

#[test]
fn every_door_withstands_a_cut_anywhere() {
    for file in small_files() {
        for len in 0..=file.len() {
            through_every_door(&file[..len]);
        }
    }
}

#[test]
fn every_door_withstands_any_byte_overwritten() {
    for file in small_files() {
        for place in 0..file.len() {
            for new in [!file[place], 0, 0xFF, file[place] ^ 1, file[place] ^ 0x40] {
                let mut file = file.clone();
                file[place] = new;
                through_every_door(&file);
            }
        }
    }
}

#[test]
fn a_changed_byte_of_what_is_committed_is_always_found() {
    for file in small_files().into_iter().take(4) {
        let size = Bytes(file.clone()).header().current_size as usize;
        let before = findings(&file);
        for place in 0..size {
            let mut file = file.clone();
            file[place] ^= 0x10;
            assert!(findings(&file) > before || worst(&file) == Some(Severity::Error), "byte {place}");
        }
    }
}

/// Lengths that claim the whole file over and over must not cost more than the file allows.
#[test]
fn claimed_lengths_are_not_paid_for() {
    let mut file = example().finish().0;
    file.resize(4 << 20, 0);
    for at in (1024..file.len() - 64).step_by(24) {
        file[at] = 2;
        file[at + 1] = 1;
        file[at + 2] = 9;
        let claim = ((file.len() - at - 64) as u32).to_le_bytes();
        file[at + 4..at + 8].copy_from_slice(&claim);
    }
    let mut header = Bytes(file.clone());
    header.change_header(|header| header.current_size = 4 << 20);
    through_every_door(&header.0);
}
