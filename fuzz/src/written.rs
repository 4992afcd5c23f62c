//! What must hold of files that the project's own writers make, whatever the records.

use std::collections::BTreeMap;
use std::io;

use coroner_formats::container::{
    self, Confidence, Depth, Format, KeyOrder, Operation, Step, WriteOptions, append as append_to, flat,
};
use coroner_formats::finding::Severity;

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);
/// A key, and its new value or none.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// Formats and the orders that their files are written in.
const KINDS: [(Format, KeyOrder); 6] = [
    (Format::Skiplist, KeyOrder::Signed),
    (Format::Skiplist, KeyOrder::Unsigned),
    (Format::Skiplist, KeyOrder::Mbox),
    (Format::Twoskip, KeyOrder::Unsigned),
    (Format::Twoskip, KeyOrder::Mbox),
    (Format::Flat, KeyOrder::Mbox),
];

/// What the fuzzer made up, read as lengths and bytes.
struct Input<'i> {
    rest: &'i [u8],
    format: Format,
    order: KeyOrder,
}

impl<'i> Input<'i> {
    fn new(bytes: &'i [u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let (format, order) = KINDS[usize::from(kind) % KINDS.len()];
        Some(Input { rest, format, order })
    }

    /// So many bytes as the next one says, sixteen times as many behind a 255.
    fn bytes(&mut self) -> Option<&'i [u8]> {
        let (&len, rest) = self.rest.split_first()?;
        let len = if len == 255 { 4080 } else { usize::from(len) };
        let (bytes, rest) = rest.split_at(len.min(rest.len()));
        self.rest = rest;
        Some(bytes)
    }

    /// Bytes that a mailbox list may hold: a zero byte makes a skiplist record look like one that has swallowed another,
    /// brackets a flat line like one that was cut.
    fn field(&mut self) -> Option<Vec<u8>> {
        let format = self.format;
        let usual = |&byte: &u8| match (format, byte) {
            (Format::Skiplist | Format::Flat, 0) => b'0',
            (Format::Flat, b'%' | b'(' | b')' | b'{' | b'}' | b'"' | b' ' | b'\t' | b'\r' | b'\n') => b'_',
            (_, byte) => byte,
        };
        let raw = self.bytes()?;
        Some(raw.iter().map(usual).collect())
    }

    /// A key that is not empty, and a value; an empty value now and then stands for none.
    fn change(&mut self) -> Option<Change> {
        let mut key = self.field()?;
        let value = self.field().unwrap_or_default();
        if key.is_empty() {
            key.push(b'-');
        }
        // Cyrus' mbox order takes LF for TAB, and so two keys that differ in these for one.
        key.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b'\t');
        Some((key, Some(value).filter(|value| !value.is_empty())))
    }

    /// Up to `most` records, one a key.
    fn records(&mut self, most: usize) -> Vec<Pair> {
        let pairs = std::iter::from_fn(|| self.change()).take(most);
        let unique: BTreeMap<Vec<u8>, Vec<u8>> = pairs.map(|(key, value)| (key, value.unwrap_or_default())).collect();
        let mut records: Vec<Pair> = unique.into_iter().collect();
        sort(&mut records, self.format, self.order);
        records
    }
}

/// Sorts records as a file wants them.
pub fn sort(records: &mut [Pair], format: Format, order: KeyOrder) {
    records.sort_by(|a, b| match format {
        Format::Flat => flat::writer::written_order(flat::Style::Escaped, &a.0, &b.0),
        _ => order.compare(&a.0, &b.0),
    });
}

/// The bytes of a file of these records.
pub fn file(records: &[Pair], format: Format, order: KeyOrder) -> Vec<u8> {
    let options = WriteOptions { order, time: 1_700_000_000, style: flat::Style::Escaped };
    let mut out = io::Cursor::new(Vec::new());
    let pairs = records.iter().map(|(key, value)| (key, value));
    let written = container::write_proving(&mut out, format, pairs, &options);
    let (written, proof) = written.unwrap_or_else(|error| panic!("{error}"));
    let (count, bytes) = (records.len() as u64, out.into_inner());
    assert_eq!((written.records, written.len), (count, bytes.len() as u64));
    let provable = format != Format::Flat && !(format == Format::Twoskip && order == KeyOrder::Signed);
    let shown = proof.map(|proof| proof.shows(&bytes));
    assert!(shown == Some(Some(count)) || !provable && matches!(shown, None | Some(None)), "{shown:?} of {count}");
    if format == Format::Flat && shown == Some(Some(count)) {
        let db = container::open(&bytes, format);
        db.verify(Depth::Full, &mut |finding| assert_eq!(finding.severity(), Severity::Note, "{finding:?}"));
    }
    bytes
}

/// A file is sound, and a walk finds exactly these records.
pub fn holds(bytes: &[u8], records: &[Pair], format: Format, order: KeyOrder) {
    let db = container::open(bytes, format);
    // Whether a line of a flat file looks cut depends on what records of mailboxes look like.
    if format != Format::Flat {
        db.verify(Depth::Full, &mut |finding| assert_eq!(finding.severity(), Severity::Note, "{finding:?}"));
    }
    let mut expected = records.iter();
    db.view(order, 1).walk(0, &mut |record| {
        let (key, value) = expected.next().expect("no more records than were written");
        assert!(record.key == &key[..] && record.value == &value[..], "record at {}", record.span);
        true
    });
    assert_eq!(expected.len(), 0, "records are missing");
}

/// What is written reads back by walking, looking up, prefixes, tiles and carving.
pub fn writer(bytes: &[u8]) {
    let Some(mut input) = Input::new(bytes) else { return };
    let (format, order) = (input.format, input.order);
    let records = input.records(usize::MAX);
    let bytes = file(&records, format, order);
    holds(&bytes, &records, format, order);
    assert_eq!(bytes, file(&records, format, order), "the same records give the same bytes");
    if bytes.is_empty() {
        return;
    }
    super::container::tiles(&bytes, format);
    let db = container::open(&bytes, format);
    let view = db.view(order, 1);
    for (key, value) in &records {
        assert!(view.get(key).is_some_and(|record| record.value == &value[..]), "a record that is not found");
        assert!(view.get(&[&key[..], b"?"].concat()).is_none_or(|found| found.key.ends_with(b"?")));
        let mut found = false;
        view.prefix(key, &mut |record| {
            found |= record.key == &key[..];
            record.key.starts_with(key)
        });
        assert!(found, "a record that is not found by its prefix");
    }
    if format != Format::Flat {
        let carved = db.carve(order);
        assert!(carved.lost.is_empty() && carved.uncommitted.is_empty());
        assert!(carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified));
        let kept = carved.kept.iter().map(|kept| (kept.record.key.to_vec(), kept.record.value.to_vec()));
        assert!(kept.eq(records), "carving finds other records");
    }
}

/// Transactions appended to a file leave what they say, and killed ones what was there before.
pub fn append(bytes: &[u8]) {
    let Some(mut input) = Input::new(bytes) else { return };
    let (format, order) = (input.format, input.order);
    let mut records: BTreeMap<Vec<u8>, Vec<u8>> = input.records(6).into_iter().collect();
    let mut bytes = file(&sorted(&records, format, order), format, order);
    while let Some((&count, rest)) = input.rest.split_first() {
        input.rest = rest;
        let changes: Vec<Change> = std::iter::from_fn(|| input.change()).take(1 + usize::from(count % 4)).collect();
        let operations: Vec<Operation<'_>> = changes
            .iter()
            .map(|(key, value)| match value {
                Some(value) => Operation::Store { key, value },
                None => Operation::Delete { key },
            })
            .collect();
        let appended = append_to(&bytes, format, order, &operations).unwrap_or_else(|error| panic!("{error}"));
        let before = sorted(&records, format, order);
        killed(&bytes, &appended.steps, usize::from(count), &before, format, order);
        appended.steps.iter().for_each(|step| step.apply(&mut bytes));
        for (key, value) in changes {
            match value {
                Some(value) => drop(records.insert(key, value)),
                None => drop(records.remove(&key)),
            }
        }
        holds(&bytes, &sorted(&records, format, order), format, order);
    }
}

fn sorted(records: &BTreeMap<Vec<u8>, Vec<u8>>, format: Format, order: KeyOrder) -> Vec<Pair> {
    let mut records: Vec<Pair> = records.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    sort(&mut records, format, order);
    records
}

/// After some steps, but not those that commit, carving finds what was there before.
fn killed(before: &[u8], steps: &[Step], some: usize, records: &[Pair], format: Format, order: KeyOrder) {
    let uncommitted = steps.len().saturating_sub(2);
    if format == Format::Flat || uncommitted == 0 {
        return;
    }
    let mut bytes = before.to_vec();
    steps.iter().take(some % (uncommitted + 1)).for_each(|step| step.apply(&mut bytes));
    let carved = container::open(&bytes, format).carve(order);
    let kept = carved.kept.iter().map(|kept| (kept.record.key.to_vec(), kept.record.value.to_vec()));
    assert!(kept.eq(records.iter().cloned()), "carving a killed transaction finds other records");
}
