//! A dump behind the doors of a container, so that every command works on dumps as on databases.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::eras::{Numbering, Recognition, Survey};
use super::item::{Item, Items, What};
use super::json_scan::Scan;
use super::json_usual::Usual;
use super::{json_scan, scan, show, sound, verify};
use crate::container::{
    Carved, Confidence, CyrusOutcome, Database, Depth, Format, Kept, KeyOrder, Lost, OrderTally, Proving, Record,
    Transaction, View,
};
use crate::finding::{Severity, Sink};
use crate::image::{Cursor, Span};
use crate::tile::{Field, Kind, Tile, Tiler, Value};

/// How many lines facts look at.
const FACTS_LINES: usize = 1000;

/// A dump of one of the three text formats.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) format: Format,
}

impl<'a> Dump<'a> {
    /// The dump that consists of `bytes`; nothing is read yet.
    pub fn new(bytes: &'a [u8], format: Format) -> Self {
        Dump { cursor: Cursor::new(bytes), format }
    }

    /// The items of the dump in file order; they cover it.
    pub fn items(&self) -> Items<'a> {
        match self.format {
            Format::Text => scan::items(self.cursor),
            Format::Json => json_scan::items(self.cursor),
            _ => show::items(self.cursor),
        }
    }

    /// The era of a text dump, by its first lines; `None` for other formats and for lines of no era.
    pub fn era(&self, lines: usize) -> Option<Recognition> {
        let mut survey = Survey::default();
        let records = self.items().filter_map(record).take(lines);
        records.for_each(|record| survey.push(&record.value));
        survey.recognise().filter(|_| self.format == Format::Text)
    }

    /// Where at most `parts` parts of about one length start, each with an entry; the last offset is the file's end.
    pub(super) fn starts(&self, parts: usize) -> Vec<u64> {
        let step = (self.cursor.len() / parts.max(1) as u64).max(1);
        let mut starts = vec![0];
        for part in 1..parts as u64 {
            let from = part.saturating_mul(step).max(starts.last().copied().unwrap_or_default());
            let found = match self.format {
                Format::Json => json_scan::boundary(self.cursor, from),
                Format::Text => scan::boundary(self.cursor, from),
                // A value of records as lines can go on over several lines.
                _ => None,
            };
            let Some(start) = found else { break };
            if starts.last().is_some_and(|&last| last < start) {
                starts.push(start);
            }
        }
        starts.push(self.cursor.len());
        starts
    }

    /// The items of one part.
    pub(super) fn items_of(&self, start: u64, end: u64) -> Items<'a> {
        let cursor = self.cursor.span(Span::new(0, end)).map_or(self.cursor, Cursor::new);
        match self.format {
            Format::Text => scan::items_from(cursor, start),
            Format::Json => json_scan::items_from(cursor, start),
            _ => show::items(cursor),
        }
    }

    /// One part of a JSON dump.
    pub(super) fn scan_of(&self, start: u64, end: u64) -> Scan<'a> {
        Scan::new(self.cursor.span(Span::new(0, end)).map_or(self.cursor, Cursor::new), start)
    }

    /// Visits the records in file order until the visitor answers `false`.
    fn records(&self, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        for item in self.items() {
            if let Some(record) = record(item)
                && !visit(record)
            {
                return;
            }
        }
    }
}

fn record(item: Item<'_>) -> Option<Record<'_>> {
    match item.what {
        What::Record { key, value, .. } => Some(Record { key, value, span: item.span }),
        What::Markup(_) | What::Broken(_) => None,
    }
}

impl<'a> Database<'a> for Dump<'a> {
    fn format(&self) -> Format {
        self.format
    }

    fn facts(&self) -> Vec<Field<'a>> {
        let Some(recognition) = self.era(FACTS_LINES) else { return Vec::new() };
        let whole = Span::new(0, self.cursor.len());
        let also = recognition.also.iter().map(|era| format!(" or {era}")).collect::<String>();
        let numbering = match recognition.numbering {
            Numbering::Old => "as up to 3.4",
            Numbering::New => "as since 3.6",
            Numbering::Open => "not told by any line",
        };
        let text = |name, text: String| Field::new(name, whole, Value::Text(text.into()));
        vec![
            text("era", format!("{}{also}: {}", recognition.era, recognition.evidence)),
            text("type numbers", numbering.to_owned()),
        ]
    }

    fn order(&self) -> OrderTally {
        let mut tally = OrderTally::default();
        let mut before: Option<(Cow<'a, [u8]>, u64)> = None;
        self.records(&mut |record| {
            if let Some((key, start)) = &before {
                tally.push((key, *start), (&record.key, record.span.start));
            }
            before = Some((record.key, record.span.start));
            true
        });
        tally
    }

    fn transactions(&self) -> Option<u64> {
        None
    }

    fn tiles<'s>(&'s self) -> Box<dyn Iterator<Item = Tile<'a>> + 's> {
        Box::new(Tiler::new(self.items().map(tile), self.cursor.len()))
    }

    fn verify(&self, depth: Depth, sink: &mut Sink<'_>) {
        if depth > Depth::Header {
            verify::verify(self, sink);
        }
    }

    fn view<'s>(&'s self, _order: KeyOrder, parts: usize) -> Box<dyn View<'a> + 's> {
        Box::new(DumpView { dump: *self, starts: self.starts(parts) })
    }

    fn proving<'s>(&'s self, parts: usize) -> Option<Box<dyn Proving<'a> + 's>> {
        Some(Box::new(sound::ProvingWalk::new(self, parts)?))
    }

    fn carve(&self, order: KeyOrder) -> Carved<'a> {
        let mut carved = Carved::default();
        let mut open = 0usize;
        for item in self.items() {
            match item.what {
                What::Broken(_) if !item.span.is_empty() => lose(&mut carved, open, item.span),
                What::Broken(_) | What::Markup(_) => {}
                What::Record { .. } => {
                    let doubtful = item.fault.is_some_and(|fault| fault.rule.severity > Severity::Note);
                    let confidence = if doubtful { Confidence::Unverified } else { Confidence::Verified };
                    let Some(record) = record(item) else { continue };
                    for lost in carved.lost.get_mut(open..).unwrap_or_default() {
                        lost.after = Some(record.key.clone());
                    }
                    open = carved.lost.len();
                    carved.kept.push(Kept { record, confidence });
                }
            }
        }
        newest(&mut carved.kept, order);
        carved
    }

    fn log<'s>(&'s self, _order: KeyOrder) -> Box<dyn Iterator<Item = Transaction<'a>> + 's> {
        Box::new(std::iter::empty())
    }

    fn at(&self, number: u64, order: KeyOrder) -> Option<Vec<Record<'a>>> {
        (number == 0).then(|| self.carve(order).kept.into_iter().map(|kept| kept.record).collect())
    }

    fn as_cyrus(&self, _order: KeyOrder) -> CyrusOutcome<'a> {
        let load = match self.format {
            Format::Show => "`cyr_dbtool … set` loads it",
            _ => "`ctl_mboxlist -u` loads it",
        };
        CyrusOutcome::Refuses(format!("a dump is no database that Cyrus opens; {load}"))
    }
}

/// Notes a range that can't be read; one that touches the last is added to it if no record lies between.
fn lose(carved: &mut Carved<'_>, open: usize, span: Span) {
    let touching =
        carved.lost.get_mut(open..).and_then(|lost| lost.last_mut()).filter(|last| last.span.end == span.start);
    if let Some(last) = touching {
        last.span.end = span.end;
        return;
    }
    let before = carved.kept.last().map(|kept| kept.record.key.clone());
    carved.lost.push(Lost { span, before, after: None });
}

/// Leaves one record a key, the last in the file, in `order`.
fn newest(kept: &mut Vec<Kept<'_>>, order: KeyOrder) {
    let compare = |a: &Kept<'_>, b: &Kept<'_>| order.compare(&a.record.key, &b.record.key);
    if kept.windows(2).all(|pair| matches!(pair, [a, b] if compare(a, b) == Ordering::Less)) {
        return;
    }
    kept.sort_unstable_by(|a, b| {
        let same = || a.record.key.cmp(&b.record.key);
        compare(a, b).then_with(same).then_with(|| b.record.span.cmp(&a.record.span))
    });
    kept.dedup_by(|older, newer| {
        let same = older.record.key == newer.record.key;
        if same && older.record.value != newer.record.value {
            newer.confidence = Confidence::MaybeStale;
        }
        same
    });
}

fn tile<'a>(item: Item<'a>) -> Tile<'a> {
    match item.what {
        What::Markup(label) => Tile::new(item.span, Kind::Markup, label),
        What::Broken(kind) => Tile::new(item.span, kind, item.fault.map_or("unreadable", |fault| fault.what)),
        What::Record { key, value, key_span, value_span } => {
            let label = match key {
                Cow::Borrowed(key) => String::from_utf8_lossy(key),
                Cow::Owned(key) => Cow::Owned(String::from_utf8_lossy(&key).into_owned()),
            };
            let value = match value {
                Cow::Borrowed(value) => Value::Bytes(value),
                Cow::Owned(value) => Value::Text(String::from_utf8_lossy(&value).into_owned().into()),
            };
            let fields =
                vec![Field::new("name", key_span, Value::Text(label.clone())), Field::new("value", value_span, value)];
            Tile { span: item.span, kind: Kind::Record, label, fields }
        }
    }
}

/// The records of a dump as a view; a dump promises no order to search by.
struct DumpView<'a> {
    dump: Dump<'a>,
    starts: Vec<u64>,
}

impl<'a> View<'a> for DumpView<'a> {
    fn parts(&self) -> usize {
        self.starts.len().saturating_sub(1).max(1)
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let (Some(&start), Some(&end)) = (self.starts.get(part), self.starts.get(part.saturating_add(1))) else {
            return;
        };
        for item in self.dump.items_of(start, end) {
            if let Some(record) = record(item)
                && !visit(record)
            {
                return;
            }
        }
    }

    fn walk_dumped(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) {
        let ends = self.starts.get(part).zip(self.starts.get(part.saturating_add(1)));
        let Some((&start, &end)) = ends.filter(|_| self.dump.format == Format::Json) else {
            return self.walk(part, &mut |record| visit(record, None));
        };
        let mut scan = self.dump.scan_of(start, end);
        loop {
            let go_on = if let Some((line, span)) = scan.usual() {
                let (key, value) = (Cow::Borrowed(line.key), Cow::Borrowed(line.object));
                visit(Record { key, value, span }, Some(line.usual))
            } else if let Some(item) = scan.any() {
                record(item).is_none_or(|record| visit(record, None))
            } else {
                false
            };
            if !go_on {
                return;
            }
        }
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let mut found = None;
        self.dump.records(&mut |record| {
            if record.key.as_ref() == key {
                found = Some(record);
            }
            true
        });
        found
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        self.dump.records(&mut |record| !record.key.starts_with(prefix) || visit(record));
    }
}
