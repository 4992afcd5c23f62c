//! All that can be read of a damaged file, and what Cyrus itself makes of it.

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::{memchr, memchr2};

use super::layout;
use super::scan::{self, Piece, Shape};
use super::view::record;
use crate::container::shape::{self, Verdict};
use crate::container::{Carved, Confidence, CyrusOutcome, Kept, KeyOrder, Lost, Record};
use crate::image::{Cursor, Span};

/// Harvests every line that parses; see [`Database::carve`](crate::container::Database::carve).
///
/// A line is verified when it stands between its neighbours in mbox order, which a piece of another line hardly does.
/// Of two lines with one key the later is kept, as one that may be stale.
pub fn carve<'a>(cursor: Cursor<'a>, order: KeyOrder) -> Carved<'a> {
    let mut harvest = Harvest { cursor, of_mailboxes: is_of_mailboxes(cursor), ..Harvest::default() };
    let mut pieces = scan::pieces(cursor, 0, cursor.len()).peekable();
    while let Some(piece) = pieces.next() {
        let next = pieces.peek().filter(|next| next.shape == Shape::Record).map(|next| next.key);
        harvest.piece(&piece, next);
    }
    harvest.flush();
    let Harvest { mut kept, lost, disordered, .. } = harvest;
    if disordered {
        demote_seams(&mut kept);
    }
    Carved { kept: newest(kept, order), lost, uncommitted: Vec::new() }
}

/// Whether most of the first values look like those of mailboxes.db: what does not is then no value of its.
fn is_of_mailboxes(cursor: Cursor<'_>) -> bool {
    let records = scan::pieces(cursor, 0, HEAD_LEN).filter(|piece| piece.shape == Shape::Record);
    let (mut all, mut foreign) = (0u64, 0u64);
    for piece in records {
        all = all.saturating_add(1);
        foreign = foreign.saturating_add(u64::from(!piece.value.is_empty() && !shape::is_record(piece.value)));
    }
    foreign.saturating_mul(2) < all
}

/// Where pages changed places, a line that lies in two of them may be two halves: it is no longer proven.
fn demote_seams(kept: &mut [Kept<'_>]) {
    for kept in kept {
        let Span { start, end } = kept.record.span;
        if start / PAGE_LEN != end.saturating_sub(1) / PAGE_LEN && kept.confidence == Confidence::Verified {
            kept.confidence = Confidence::Unverified;
        }
    }
}

/// How much of a file tells what it is a list of.
const HEAD_LEN: u64 = 65_536;

/// What file systems write, lose and mix up at once, at the least.
const PAGE_LEN: u64 = 4096;

struct Harvest<'a> {
    cursor: Cursor<'a>,
    of_mailboxes: bool,
    /// Whether a line stood behind one that belongs behind it.
    disordered: bool,
    kept: Vec<Kept<'a>>,
    lost: Vec<Lost<'a>>,
    /// The line in front, if the dlist on it is not closed: the next line may close it.
    unclosed: Option<Piece<'a>>,
    /// Key of the last line that stands in its place, still escaped.
    in_place: Option<&'a [u8]>,
    /// Index of the first lost range behind which no record was kept yet.
    open: usize,
}

impl Default for Harvest<'_> {
    fn default() -> Self {
        let cursor = Cursor::new(&[]);
        Harvest {
            cursor,
            of_mailboxes: false,
            disordered: false,
            kept: Vec::new(),
            lost: Vec::new(),
            unclosed: None,
            in_place: None,
            open: 0,
        }
    }
}

impl<'a> Harvest<'a> {
    fn piece(&mut self, piece: &Piece<'a>, next: Option<&[u8]>) {
        let span = piece.line.span();
        if self.closes(piece) {
            return;
        }
        self.flush();
        match piece.shape {
            Shape::Record => self.record(piece, next),
            Shape::NoTab => self.no_tab(piece, next),
            Shape::Torn if piece.has_tab() && scan::looks_whole(piece.value) => {
                self.plausible(piece.key, piece.value, span, next);
            }
            Shape::Zeroed => self.zeroed(piece, next),
            Shape::NoKey | Shape::Torn => self.lose(span),
        }
    }

    fn record(&mut self, piece: &Piece<'a>, next: Option<&[u8]>) {
        if let Some(second) = shape::glued(piece.value) {
            return self.glued(piece, second, next);
        }
        let in_place = self.is_in_place(piece.key, next);
        let value = scan::trimmed(piece.value);
        let edited = value.len() < piece.value.len();
        let mut record = record(piece);
        if edited {
            record.value = layout::decode(value);
        }
        self.disordered |= !in_place;
        if self.of_mailboxes && record.value.starts_with(b"%(") && shape::dlist_len(&record.value).is_none() {
            self.unclosed = Some(*piece);
            return;
        }
        if !self.is_plausible(&record, in_place) {
            return self.lose(piece.line.span());
        }
        let clean = !piece.key.iter().copied().any(shape::is_odd_in_key);
        let known = !self.of_mailboxes || !is_odd(&record.value) || shape::judge(&record.value) == Verdict::Whole;
        let proven = in_place && clean && known && !edited && layout::bad_escape(piece.line.body).is_none();
        self.keep(record, if proven { Confidence::Verified } else { Confidence::Unverified });
        if in_place {
            self.in_place = Some(piece.key);
        }
    }

    /// Whether a line can be what was written there. In a list of mailboxes its value must look like one, and its key
    /// must hold no controls; in any other list, its place speaks for it.
    fn is_plausible(&self, record: &Record<'_>, in_place: bool) -> bool {
        let odd = is_odd(&record.key);
        if !self.of_mailboxes {
            return in_place || !odd;
        }
        let controls = layout::has_controls(&record.key);
        let fits = match shape::judge(&record.value) {
            Verdict::Whole => true,
            Verdict::Spoilt => false,
            Verdict::Foreign => in_place,
        };
        fits && !controls && (in_place || !odd)
    }

    /// Whether `key` lies between the last line in its place and the next line. A line that is followed by one that is
    /// in place behind that last line, but lies behind it, is itself the one that is not.
    fn is_in_place(&self, key: &[u8], next: Option<&[u8]>) -> bool {
        let behind =
            |key: &[u8]| self.in_place.is_none_or(|before| KeyOrder::Mbox.compare(before, key) == Ordering::Less);
        let front = next.is_none_or(|next| KeyOrder::Mbox.compare(key, next) == Ordering::Less || !behind(next));
        behind(key) && front
    }

    fn keep(&mut self, record: Record<'a>, confidence: Confidence) {
        for lost in self.lost.get_mut(self.open..).unwrap_or_default() {
            lost.after = Some(record.key.clone());
        }
        // What can't be read may hold the LF that this line seems to start behind.
        let beside_lost = self.lost.last().is_some_and(|lost| lost.span.end == record.span.start);
        let proven = confidence == Confidence::Verified && !beside_lost;
        let confidence = if proven { confidence } else { Confidence::Unverified };
        self.open = self.lost.len();
        self.kept.push(Kept { record, confidence });
    }

    /// Keeps what is read by a guess, if it has a key that stands in its place.
    fn plausible(&mut self, key: &'a [u8], value: &'a [u8], span: Span, next: Option<&[u8]>) {
        if key.is_empty() || is_odd(key) || !self.is_in_place(key, next) {
            return self.lose(span);
        }
        let record = Record { key: layout::decode(key), value: layout::decode(value), span };
        self.keep(record, Confidence::Unverified);
        self.in_place = Some(key);
    }

    fn lose(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        if let Some(last) = self.kept.last_mut().filter(|last| last.record.span.end == span.start) {
            last.confidence = Confidence::Unverified;
        }
        let open = self.lost.len() > self.open;
        match self.lost.last_mut().filter(|last| open && last.span.end == span.start) {
            Some(last) => last.span.end = span.end,
            None => {
                let before = self.kept.last().map(|kept| kept.record.key.clone());
                self.lost.push(Lost { span, before, after: None });
            }
        }
    }

    /// A line without TAB: its TAB may have become a blank.
    fn no_tab(&mut self, piece: &Piece<'a>, next: Option<&[u8]>) {
        let span = piece.line.span();
        let blank = scan::blank_for_tab(piece.line.body).and_then(|blank| piece.line.body.split_at_checked(blank));
        match blank {
            Some((key, value)) => self.plausible(key, value.get(1..).unwrap_or_default(), span, next),
            None => self.lose(span),
        }
    }

    /// Whether this line closes the dlist of the line in front, which a raw LF cut in two; keeps both as one then.
    fn closes(&mut self, piece: &Piece<'a>) -> bool {
        let joined = self.unclosed.filter(|_| piece.shape == Shape::NoTab).and_then(|front| self.joined(&front, piece));
        let Some(record) = joined else { return false };
        self.unclosed = None;
        self.keep(record, Confidence::Unverified);
        true
    }

    fn joined(&self, front: &Piece<'a>, piece: &Piece<'a>) -> Option<Record<'a>> {
        let span = Span::new(front.line.start, piece.line.span().end);
        let value = layout::decode(self.cursor.span(Span::new(front.value_span().start, piece.line.body_span().end))?);
        (shape::dlist_len(&value) == Some(value.len())).then(|| Record { key: layout::decode(front.key), value, span })
    }

    /// Gives up a dlist that no line closed.
    fn flush(&mut self) {
        if let Some(front) = self.unclosed.take() {
            self.lose(front.line.span());
        }
    }

    /// A line that swallowed the next one: the first ends where its dlist closes or at the last TAB of its ACL; the
    /// second begins there, or one byte later where the LF became another byte.
    fn glued(&mut self, piece: &Piece<'a>, second: std::ops::Range<usize>, next: Option<&[u8]>) {
        let start = piece.value_span().start.saturating_add(second.start as u64);
        let first = piece.value.get(..second.start).unwrap_or_default();
        let key = piece.value.get(second.clone()).unwrap_or_default();
        let value = piece.value.get(second.end.saturating_add(1)..).unwrap_or_default();
        let front = Span::new(piece.line.start, start);
        if scan::looks_whole(first) {
            self.plausible(piece.key, first, front, None);
        } else {
            self.lose(front);
        }
        let end = piece.line.span().end;
        let shorter = key.get(1..).unwrap_or_default();
        let whole = shape::glued(value).is_none() && shape::is_record(value);
        if whole && self.is_in_place(key, next) && !is_odd(key) {
            self.plausible(key, value, Span::new(start, end), next);
        } else if whole && self.is_in_place(shorter, next) {
            self.lose(Span::at(start, 1));
            self.plausible(shorter, value, Span::new(start.saturating_add(1), end), next);
        } else {
            self.lose(Span::new(start, end));
        }
    }

    /// A line with zeros in it: what stands behind the last of them may be a whole line.
    fn zeroed(&mut self, piece: &Piece<'a>, next: Option<&[u8]>) {
        let span = piece.line.span();
        let tail = memchr::memrchr(0, piece.line.body).map_or(0, |last| last.saturating_add(1));
        let rest = piece.line.body.get(tail..).unwrap_or_default();
        let start = piece.line.start.saturating_add(tail as u64);
        let tab = memchr(layout::KEY_END, rest).and_then(|tab| rest.split_at_checked(tab));
        let between = self.in_place.is_some() && next.is_some();
        match tab.map(|(key, value)| (key, value.get(1..).unwrap_or_default())) {
            Some((key, value)) if piece.line.terminated && between && shape::is_record(value) => {
                self.lose(Span::new(span.start, start));
                self.plausible(key, value, Span::new(start, span.end), next);
            }
            _ => self.lose(span),
        }
    }
}

/// Whether a text has bytes that no mailbox name has.
fn is_odd(key: &[u8]) -> bool {
    key.iter().copied().any(shape::is_odd_in_key) || std::str::from_utf8(key).is_err()
}

/// One record a key, the last in the file, in `order`.
fn newest(mut kept: Vec<Kept<'_>>, order: KeyOrder) -> Vec<Kept<'_>> {
    let compare = |a: &Kept<'_>, b: &Kept<'_>| order.compare(&a.record.key, &b.record.key);
    let sorted = kept.windows(2).all(|pair| matches!(pair, [a, b] if compare(a, b) == Ordering::Less));
    if sorted {
        return kept;
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
    kept
}

/// What `lib/cyrusdb_flat.c` of 3.6.1 reads (`foreach`, `getentry`): up to the first line that it can't, with lines
/// without TAB at the front of the next key. It recovers nothing, and a write copies the lines it does not read.
pub fn as_cyrus<'a>(cursor: Cursor<'a>, order: KeyOrder) -> CyrusOutcome<'a> {
    let mut records = Vec::new();
    let mut at = 0u64;
    while let Some((record, end)) = entry_as_cyrus(cursor, at) {
        records.push(record);
        at = end;
    }
    records.sort_by(|a: &Record<'_>, b| order.compare(&a.key, &b.key));
    CyrusOutcome::Opens(records)
}

/// The entry at `at` and where the next one starts. Cyrus looks for the TAB and then for the LF as in C strings: a NUL
/// ends the search.
fn entry_as_cyrus<'a>(cursor: Cursor<'a>, at: u64) -> Option<(Record<'a>, u64)> {
    let rest = cursor.rest(at);
    let tab = memchr2(layout::KEY_END, 0, rest).filter(|&tab| rest.get(tab) == Some(&layout::KEY_END))?;
    let (key, value) = rest.split_at_checked(tab)?;
    let value = value.get(1..)?;
    let lf = memchr2(b'\n', 0, value).filter(|&lf| value.get(lf) == Some(&b'\n'))?;
    let end = at.checked_add(tab as u64)?.checked_add(lf as u64)?.checked_add(2)?;
    let decode = |raw: &'a [u8]| -> Cow<'a, [u8]> { layout::decode_as_cyrus(raw) };
    let record = Record { key: decode(key), value: decode(value.get(..lf)?), span: Span::new(at, end) };
    Some((record, end))
}
