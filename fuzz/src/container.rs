//! What must hold of every door of a container, whatever the bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;

use bstr::ByteSlice;
use coroner_formats::container::{
    self, Change, Confidence, Database, Depth, Ending, Format, KeyOrder, Record, flat, open,
};
use coroner_formats::finding::{Finding, Severity};
use coroner_formats::image::Span;
use coroner_formats::text::json_usual::{self, Usual};

use super::written;

/// The order that a reader takes for a file.
fn order(db: &dyn Database<'_>) -> KeyOrder {
    db.order().best(match db.format() {
        Format::Skiplist => KeyOrder::Signed,
        Format::Flat => KeyOrder::Mbox,
        _ => KeyOrder::Unsigned,
    })
}

fn assert_inside(span: Span, bytes: &[u8], what: &str) {
    assert!(span.start <= span.end && span.end <= bytes.len() as u64, "{what} at {span} of {} bytes", bytes.len());
}

fn findings(db: &dyn Database<'_>, depth: Depth) -> Vec<Finding> {
    let mut findings = Vec::new();
    db.verify(depth, &mut |finding| findings.push(finding));
    findings
}

/// Whether no record is in doubt.
fn is_sound(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity() < Severity::Error)
}

/// Whether there is nothing about it that a healthy Cyrus does not write.
fn is_clean(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity() < Severity::Warning)
}

/// Compares record by record, so that a failure names the first that differs.
fn assert_same(ours: &[Record<'_>], others: &[Record<'_>], what: &str) {
    for (a, b) in ours.iter().zip(others) {
        assert!(a == b, "{what}: {:?} at {} against {:?} at {}", a.key.as_bstr(), a.span, b.key.as_bstr(), b.span);
    }
    assert_eq!(ours.len(), others.len(), "{what}");
}

fn walk<'a>(db: &dyn Database<'a>, order: KeyOrder, parts: usize, limit: usize) -> Vec<Record<'a>> {
    let view = db.view(order, parts);
    assert!(view.parts() >= 1);
    let mut records = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            records.push(record);
            assert!(records.len() <= limit, "a walk that does not end");
            true
        });
    }
    records
}

/// Whether the keys of a sound file stand in an order: those of a hash table do not.
fn is_ordered(db: &dyn Database<'_>, order: KeyOrder) -> bool {
    db.format() != Format::Berkeley || db.order().fits(order)
}

/// Records in `order`: flat files keep that of their keys' escaped bytes, hash tables none.
fn sorted(mut records: Vec<Record<'_>>, order: KeyOrder) -> Vec<Record<'_>> {
    records.sort_by(|a, b| order.compare(&a.key, &b.key));
    records
}

fn assert_ascending(records: &[Record<'_>], order: KeyOrder) {
    for pair in records.windows(2) {
        let [a, b] = pair else { continue };
        assert!(order.compare(&a.key, &b.key).is_lt(), "{order}: {:?} before {:?}", a.key.as_bstr(), b.key.as_bstr());
    }
}

/// Tiles cover the file from its first byte to its last without gap or overlap, and their fields lie inside them.
pub fn tiles(bytes: &[u8], format: Format) {
    let db = open(bytes, format);
    let mut at = 0;
    let mut sound = true;
    for tile in db.tiles() {
        assert_eq!(tile.span.start, at, "{:?} {}", tile.kind, tile.label);
        assert!(tile.span.end > at, "an empty tile at {at}: {}", tile.label);
        at = tile.span.end;
        sound &= tile.kind.is_sound();
        for field in &tile.fields {
            let inside = tile.span.start <= field.span.start && field.span.end <= tile.span.end;
            assert!(inside, "field {} {} outside its tile {} {}", field.name, field.span, tile.span, tile.label);
        }
        black_box(&tile);
    }
    assert_eq!(at, bytes.len() as u64);
    if !sound {
        assert!(!findings(&*db, Depth::Full).is_empty(), "tiles show damage, and verify has no finding");
    }
}

/// Verification ends, names bytes of the file, says the same twice, and says no less when it goes deeper.
pub fn verify(bytes: &[u8], format: Format) {
    let db = open(bytes, format);
    let all = findings(&*db, Depth::Full);
    assert!(all.len() <= 64 + 4 * bytes.len(), "{} findings in {} bytes", all.len(), bytes.len());
    for finding in &all {
        // What is missing at the end may be named too.
        assert!(finding.span.start <= finding.span.end && finding.span.start <= bytes.len() as u64, "{finding:?}");
        assert!(!finding.message.is_empty());
    }
    assert_eq!(all, findings(&*open(bytes, format), Depth::Full), "two verifications differ");
    assert_eq!(all, findings(&*db, Depth::Structure), "records are not a container's business");
    for finding in findings(&*db, Depth::Header) {
        assert!(all.contains(&finding), "only --depth header finds {finding:?}");
    }
    black_box((db.facts(), db.transactions()));
    proving(bytes, &*db, &all);
}

/// Reading and verifying in one pass shows no file to be sound that is not, and reads and tells the same.
pub fn proving<'a>(bytes: &'a [u8], db: &dyn Database<'a>, findings: &[Finding]) {
    for parts in [1, 4] {
        let Some(proving) = db.proving(parts) else { continue };
        let (mut records, mut whole, mut told) = (Vec::new(), true, Vec::new());
        for part in 0..proving.parts() {
            whole &= proving.walk(part, &mut |record, _| {
                records.push(record);
                assert!(records.len() <= bytes.len() + 16, "a walk that does not end");
                true
            });
        }
        let sound = proving.is_sound(&mut |finding| told.push(finding));
        assert_eq!(told, if sound { findings } else { &[] });
        if sound {
            assert!(whole && is_sound(findings));
            assert_same(&records, &walk(db, order(db), 1, bytes.len() + 16), "a walk that verifies");
        }
    }
}

/// Walks end, however they are split; in a sound file keys ascend, and `get` and `prefix` find what the walk finds.
pub fn view(bytes: &[u8], format: Format) {
    let db = open(bytes, format);
    let order = order(&*db);
    let limit = bytes.len() + 16;
    let records = walk(&*db, order, 1, limit);
    for record in &records {
        assert_inside(record.span, bytes, "record");
    }
    let split = walk(&*db, order, 4, limit);
    let view = db.view(order, 1);
    let probe = records.first().map(|record| record.key.to_vec()).unwrap_or_default();
    black_box(view.get(&probe));
    let findings = findings(&*db, Depth::Full);
    if !is_sound(&findings) {
        return;
    }
    assert_same(&records, &split, "a split walk");
    if format.is_dump() {
        return; // in any order
    }
    match format {
        // Flat keys stand in the order of their escaped bytes, which can't be told where an escape has gone wrong.
        Format::Flat if !is_clean(&findings) => {}
        Format::Flat => {
            let written = |a: &Record<'_>, b| flat::writer::written_order(flat::Style::Escaped, &a.key, b);
            assert!(records.is_sorted_by(|a, b| written(a, &b.key).is_lt()), "flat keys out of order");
        }
        _ if !is_ordered(&*db, order) => {}
        _ => assert_ascending(&records, order),
    }
    if !is_clean(&findings) {
        return;
    }
    for record in &records {
        assert!(view.get(&record.key).as_ref() == Some(record), "get {:?} at {}", record.key.as_bstr(), record.span);
        let prefix = record.key.get(..record.key.len() / 2).unwrap_or_default();
        let expected = records.iter().filter(|other| other.key.starts_with(prefix)).count();
        let mut found = 0;
        view.prefix(prefix, &mut |other| {
            assert!(other.key.starts_with(prefix));
            found += 1;
            found <= limit
        });
        // Cyrus stops at the first key without the prefix, which under the mbox order can stand between two with it.
        assert!(found == expected || order == KeyOrder::Mbox && found < expected, "prefix: {found} of {expected}");
        if records.len() > 256 {
            break;
        }
    }
}

/// Carving invents nothing, keeps one record a key in order, and leaves nothing of a sound file behind.
pub fn carve(bytes: &[u8], format: Format) {
    let db = open(bytes, format);
    let order = order(&*db);
    let carved = db.carve(order);
    let kept: Vec<_> = carved.kept.iter().map(|kept| kept.record.clone()).collect();
    if !format.is_dump() {
        assert_ascending(&kept, order);
    }
    let mut spans: Vec<_> = kept.iter().map(|record| record.span).collect();
    spans.sort_unstable();
    for pair in spans.windows(2) {
        let [a, b] = pair else { continue };
        assert!(!a.overlaps(*b), "two kept records share bytes: {a} and {b}");
    }
    for record in kept.iter().chain(&carved.uncommitted) {
        assert_inside(record.span, bytes, "record");
    }
    for pair in carved.lost.windows(2) {
        let [a, b] = pair else { continue };
        assert!(a.span.end <= b.span.start, "lost ranges out of order: {} and {}", a.span, b.span);
    }
    for lost in &carved.lost {
        assert_inside(lost.span, bytes, "lost range");
        assert!(!lost.span.is_empty());
    }
    recovered(bytes, &kept, format, order);
    let findings = findings(&*db, Depth::Full);
    // Carving leaves out the blanks that an editor put behind a value of a flat file: a warning.
    let sound = if format == Format::Flat { is_clean(&findings) } else { is_sound(&findings) };
    if !format.is_dump() && sound {
        assert_same(&kept, &sorted(walk(&*db, order, 1, bytes.len() + 16), order), "carving a sound file");
        // What follows the committed part of a twom file may be newer: its header may be of an earlier time.
        let followed = findings.iter().any(|finding| finding.rule.code == "TWOM-45");
        let doubted = carved.kept.iter().any(|kept| kept.confidence == Confidence::MaybeStale);
        assert!(!doubted || followed);
    }
}

/// Whether files of a format are written too.
fn is_written(format: Format) -> bool {
    matches!(format, Format::Skiplist | Format::Twoskip | Format::Twom | Format::Flat)
}

/// What was carved was in the bytes, and makes a sound file that holds it and nothing else.
fn recovered(bytes: &[u8], kept: &[Record<'_>], format: Format, order: KeyOrder) {
    for record in kept {
        for part in [&record.key, &record.value] {
            // Long values of formats that consist of pages stand on pages of their own.
            let is_paged = matches!(format, Format::Berkeley | Format::Lmdb | Format::Sql);
            let span = if is_paged { Span::new(0, bytes.len() as u64) } else { record.span };
            let within = span.start as usize..span.end as usize;
            let there = |part: &[u8]| bytes.get(within.clone()).is_some_and(|bytes| bytes.contains_str(part));
            assert!(matches!(part, Cow::Owned(_)) || there(part), "{:?} is not at {}", part.as_bstr(), record.span);
        }
    }
    let mut records: Vec<_> = kept.iter().map(|record| (record.key.to_vec(), record.value.to_vec())).collect();
    let (format, order) = if is_written(format) { (format, order) } else { (Format::Twoskip, KeyOrder::Unsigned) };
    let order = match (format, order) {
        (Format::Twoskip, KeyOrder::Signed) | (Format::Twom, _) => KeyOrder::Unsigned,
        _ => order,
    };
    written::sort(&mut records, format, order);
    if kept.iter().all(|record| !record.key.is_empty()) {
        // Cyrus' mbox order takes two keys that differ in TAB and LF for one.
        records.dedup_by(|a, b| order.compare(&a.0, &b.0).is_eq());
        written::holds(&written::file(&records, format, order), &records, format, order);
    }
}

type State<'a> = BTreeMap<Vec<u8>, Vec<u8>>;

fn state(records: &[Record<'_>]) -> State<'static> {
    records.iter().map(|record| (record.key.to_vec(), record.value.to_vec())).collect()
}

fn replay(state: &mut State<'_>, change: &Change<'_>) {
    match change {
        Change::Add(new) => {
            let old = state.insert(new.key.to_vec(), new.value.to_vec());
            assert_eq!(old, None, "an added key was there already");
        }
        Change::Replace { old, new } => {
            assert_eq!(old.key, new.key);
            let was = state.insert(new.key.to_vec(), new.value.to_vec());
            assert_eq!(was.as_deref(), Some(&*old.value), "a replaced value");
        }
        Change::Delete { old, .. } => {
            let old = old.as_ref().expect("the deleted record of a sound file");
            assert_eq!(state.remove(&*old.key).as_deref(), Some(&*old.value), "a deleted value");
        }
    }
}

/// The log is numbered from 1 in file order; in a sound file, replaying it gives the state at every transaction.
pub fn log(bytes: &[u8], format: Format) {
    let db = open(bytes, format);
    let order = order(&*db);
    let sound = is_sound(&findings(&*db, Depth::Full));
    let mut replayed = db.at(0, order).map(|records| state(&records));
    let mut last = (0, 0);
    for transaction in db.log(order) {
        assert_eq!(transaction.number, last.0 + 1);
        assert_inside(transaction.span, bytes, "transaction");
        assert!(transaction.span.start >= last.1, "transactions out of order");
        last = (transaction.number, transaction.span.end);
        if sound && transaction.ending != Ending::Uncommitted {
            let replayed = replayed.as_mut().expect("the state at the last checkpoint");
            transaction.changes.iter().for_each(|change| replay(replayed, change));
            if transaction.number <= 16 {
                let at = db.at(transaction.number, order).expect("the state at a transaction of the log");
                assert!(&state(&at) == replayed, "state at {}", transaction.number);
            }
        }
    }
    assert_eq!(db.at(last.0 + 1, order), None);
    let Some(at) = db.at(last.0, order) else { return };
    for record in &at {
        assert_inside(record.span, bytes, "record");
    }
    if sound {
        assert_same(&at, &walk(&*db, order, 1, bytes.len() + 16), "the last state");
    }
}

/// What Cyrus would leave are records of the file, in order.
pub fn as_cyrus(bytes: &[u8], format: Format) {
    let db = open(bytes, format);
    let order = order(&*db);
    if let container::CyrusOutcome::Opens(records) = db.as_cyrus(order) {
        for record in &records {
            assert_inside(record.span, bytes, "record");
        }
        if is_clean(&findings(&*db, Depth::Full)) {
            let walked = sorted(walk(&*db, order, 1, bytes.len() + 16), order);
            assert_same(&records, &walked, "what Cyrus makes of a clean file");
        }
    }
}

/// All of these, for dumps: they have no pointers and no log.
pub fn dump(bytes: &[u8], format: Format) {
    [tiles, verify, view, carve, objects].into_iter().for_each(|door| door(bytes, format));
}

/// An object that was read as the usual ones are says the same when it is read again as it was cut.
fn objects(bytes: &[u8], format: Format) {
    open(bytes, format).view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        if let Some(usual) = json_usual::parse(&record.value)
            && let Some(cuts) = usual.cuts()
        {
            assert_eq!(Usual::again(&record.value, usual.name.len(), cuts), Some(usual));
        }
        true
    });
}

/// Detection answers for any bytes, and what it finds can be opened.
pub fn detect(bytes: &[u8]) {
    let detection = container::detect(bytes);
    assert!(!detection.evidence.is_empty());
    if let Some(format) = detection.format {
        assert_eq!(open(bytes, format).format(), format);
    }
}
