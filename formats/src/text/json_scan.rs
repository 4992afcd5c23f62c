//! A JSON dump in file order: entry by entry, not as one document, so that what is whole is read whatever surrounds it.
//!
//! Cyrus prints an entry a line. Dumps that a tool laid out anew, on one line or on many, are read too.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};

use super::item::{Fault, Item, Items, What};
use super::json_usual::{self, Line};
use super::{json, rules};
use crate::image::{Cursor, Span};
use crate::tile::Kind;

/// An entry that was laid out over several lines is looked for within this many bytes.
const ENTRY_LEN: u64 = 65_536;

/// The items of a dump in file order.
pub fn items<'a>(cursor: Cursor<'a>) -> Items<'a> {
    items_from(cursor, 0)
}

/// The items from `start` on, which is 0 or what [`boundary`] answers; their lines are counted from there.
pub fn items_from<'a>(cursor: Cursor<'a>, start: u64) -> Items<'a> {
    Box::new(Scan::new(cursor, start))
}

/// Where the first entry behind `from` starts that stands on a line of its own, as Cyrus prints it.
pub fn boundary(cursor: Cursor<'_>, from: u64) -> Option<u64> {
    let rest = cursor.rest(from);
    let starts = memmem::find_iter(rest, b"},\n\"").map(|end| end.saturating_add(3));
    // A few that are no entry's say that the dump is laid out in another way.
    let mut starts = starts.take(64).filter(|&start| {
        let line = rest.get(start..).unwrap_or_default();
        let used = json::entry_name(line).map(|(.., used)| used);
        used.and_then(|used| line.get(used..)).is_some_and(|object| object.starts_with(b"{\"name\": "))
    });
    starts.next().map(|start| from.saturating_add(start as u64))
}

/// Where in the dump we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In front of the opening bracket.
    Front,
    /// Among entries.
    Inside,
    /// Behind the closing bracket.
    Behind,
    /// At the end of the file.
    Done,
}

/// What stands in front of the next entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comma {
    /// The opening bracket, or something that can't be read.
    Open,
    /// A comma.
    There,
    /// Another entry, and no comma.
    Missing,
}

/// A dump on its way from its beginning to its end.
pub(super) struct Scan<'a> {
    cursor: Cursor<'a>,
    at: u64,
    number: u64,
    place: Place,
    comma: Comma,
    /// End of the line that `at` lies in, its LF included.
    line_end: u64,
    /// Up to here, an entry of the line was looked for in vain: others end in front of what looks like the next one.
    line_doubt: u64,
    /// Up to here, no entry of several lines is looked for any more.
    entry_doubt: u64,
}

/// An entry that was found: where its parts start and end.
struct Entry<'a> {
    key: Cow<'a, [u8]>,
    key_span: Span,
    object: &'a [u8],
    value_span: Span,
}

/// Whether an object has a member that only a mailbox's has, and is not the ACL within one.
fn is_mailbox(object: &[u8]) -> bool {
    let members: [&[u8]; 5] = [b"\"name\"", b"\"mbtype\"", b"\"partition\"", b"\"server\"", b"\"uniqueid\""];
    members.iter().any(|member| memmem::find(object, member).is_some())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

impl<'a> Scan<'a> {
    /// The items from `start` on, as of [`items_from`].
    pub(super) fn new(cursor: Cursor<'a>, start: u64) -> Self {
        Scan {
            cursor,
            at: start,
            number: 1,
            place: if start == 0 { Place::Front } else { Place::Inside },
            comma: Comma::Open,
            line_end: 0,
            line_doubt: 0,
            entry_doubt: 0,
        }
    }

    /// The next entry and its span, if it is one as Cyrus prints nearly all; nothing is wrong with such an entry.
    #[inline(always)]
    pub(super) fn usual(&mut self) -> Option<(Line<'a>, Span)> {
        if self.place != Place::Inside || self.comma == Comma::Missing || self.at < self.line_doubt {
            return None;
        }
        let line = json_usual::line(self.cursor.rest(self.at))?;
        let span = Span::at(self.at, line.len as u64);
        self.comma = Comma::There;
        self.number = self.number.saturating_add(1);
        self.at = span.end;
        Some((line, span))
    }

    fn bytes(&self, start: u64, end: u64) -> &'a [u8] {
        self.cursor.span(Span::new(start, end.min(self.cursor.len()))).unwrap_or_default()
    }

    /// Offset of the first byte at or behind `at` that is not blank.
    fn behind_blanks(&self, at: u64) -> u64 {
        let skip = self.cursor.rest(at).iter().take_while(|b| is_blank(**b)).count();
        at.saturating_add(skip as u64)
    }

    /// Offset behind the blanks at `at` that stand on one line, and behind its LF.
    fn behind_line_blanks(&self, at: u64) -> u64 {
        let rest = self.cursor.rest(at);
        let skip = rest.iter().take_while(|b| is_blank(**b) && **b != b'\n').count();
        let lf = u64::from(rest.get(skip) == Some(&b'\n'));
        at.saturating_add(skip as u64).saturating_add(lf)
    }

    /// End of the line that `at` lies in; looked for once a line.
    fn line_end(&mut self, at: u64) -> u64 {
        if at >= self.line_end {
            let rest = self.cursor.rest(at);
            let len = memchr(b'\n', rest).map_or(rest.len(), |lf| lf.saturating_add(1));
            self.line_end = at.saturating_add(len as u64);
        }
        self.line_end
    }

    /// The entry that starts at `start` with its quote.
    fn entry(&mut self, start: u64) -> Option<Entry<'a>> {
        let line_end = self.line_end(start);
        let limit = if start < self.line_doubt { self.next_start(start.saturating_add(1), line_end) } else { line_end };
        if let Some(entry) = self.entry_within(start, limit) {
            return Some(entry);
        }
        if start >= self.line_doubt {
            self.line_doubt = line_end;
            let limit = self.next_start(start.saturating_add(1), line_end);
            if let Some(entry) = self.entry_within(start, limit) {
                return Some(entry);
            }
        }
        self.entry_of_lines(start, line_end)
    }

    /// An entry over several lines, if its first line ends as such a layout has it.
    fn entry_of_lines(&mut self, start: u64, line_end: u64) -> Option<Entry<'a>> {
        let line = self.bytes(start, line_end).trim_ascii_end();
        if start < self.entry_doubt || !matches!(line.last(), Some(b'{' | b'[' | b',' | b':')) {
            return None;
        }
        let limit = start.saturating_add(ENTRY_LEN).min(self.cursor.len());
        let end = self.entry_within(start, limit).map_or(limit, |entry| entry.value_span.end);
        let found = self.entry_within(start, self.next_start(start.saturating_add(1), end));
        if found.is_none() {
            self.entry_doubt = limit;
        }
        found
    }

    fn entry_within(&self, start: u64, limit: u64) -> Option<Entry<'a>> {
        let bytes = self.bytes(start, limit);
        let (key, name_len, used) = json::entry_name(bytes)?;
        let object = bytes.get(used..).filter(|object| object.starts_with(b"{"))?;
        let object = object.get(..json::nested_len(object)?).filter(|object| is_mailbox(object))?;
        let value_span = Span::at(start.saturating_add(used as u64), object.len() as u64);
        Some(Entry { key, key_span: Span::at(start, name_len as u64), object, value_span })
    }

    /// Where something that looks like an entry starts, at or behind `from` and in front of `end`; `end` if nothing does.
    fn next_start(&self, from: u64, end: u64) -> u64 {
        let bytes = self.bytes(from, end);
        let marks = memmem::find_iter(bytes, b"\": {\"name\":").filter_map(|mark| {
            let quote = memchr::memrchr(b'"', bytes.get(..mark)?)?;
            let name = bytes.get(quote.checked_add(1)?..mark)?;
            (name != b"acl" && !name.is_empty()).then_some(quote)
        });
        marks.into_iter().next().map_or(end, |quote| from.saturating_add(quote as u64))
    }

    /// Ends an item at `end`.
    fn finish(&mut self, end: u64, what: What<'a>, fault: Option<Fault>) -> Item<'a> {
        let span = Span::new(self.at, end.min(self.cursor.len()));
        let number = self.number;
        let lines = memchr_iter(b'\n', self.bytes(span.start, span.end)).count();
        self.number = self.number.saturating_add(lines as u64);
        self.at = span.end;
        Item { span, number, what, fault }
    }

    fn record(&mut self, entry: Entry<'a>) -> Item<'a> {
        let missing = self.comma == Comma::Missing;
        let mut fault = missing.then(|| Fault::new(&rules::JSON_COMMA, "no comma stands in front of the entry"));
        let behind = self.behind_blanks(entry.value_span.end);
        let (comma, mut end) = match self.cursor.u8(behind) {
            Some(b',') => (Comma::There, behind.saturating_add(1)),
            _ => (Comma::Missing, entry.value_span.end),
        };
        self.comma = comma;
        end = self.behind_line_blanks(end);
        if self.bytes(end.saturating_sub(2), end) == b"\r\n" {
            fault = fault.or(Some(Fault::new(&rules::CARRIAGE_RETURN, "a CR at the line's end")));
        }
        if self.place == Place::Front {
            self.place = Place::Inside;
            fault = Some(Fault::new(&rules::JSON_GARBAGE, "no bracket opens the dump in front of it"));
        }
        let Entry { key, key_span, object, value_span } = entry;
        self.finish(end, What::Record { key, value: Cow::Borrowed(object), key_span, value_span }, fault)
    }

    fn open(&mut self, first: u64) -> Item<'a> {
        let again = self.place == Place::Behind;
        let fault = again.then(|| Fault::new(&rules::JSON_GARBAGE, "a second dump begins behind the first"));
        (self.place, self.comma) = (Place::Inside, Comma::Open);
        let end = self.behind_line_blanks(first.saturating_add(1));
        self.finish(end, What::Markup("opening bracket"), fault)
    }

    fn close(&mut self, first: u64) -> Item<'a> {
        let empty = Fault::new(&rules::JSON_EMPTY, "an entry is empty in front of the closing bracket");
        let fault = (self.comma == Comma::There).then_some(empty);
        self.place = Place::Behind;
        let end = self.behind_line_blanks(first.saturating_add(1));
        self.finish(end, What::Markup("closing bracket"), fault)
    }

    /// Bytes that are no entry, up to the line's end or to what looks like one.
    fn garbage(&mut self, first: u64) -> Item<'a> {
        let line_end = self.line_end(first);
        let end = self.next_start(first.saturating_add(1), line_end);
        let bytes = self.bytes(self.at, end);
        let cut = end >= self.cursor.len() && !bytes.ends_with(b"\n");
        self.comma = Comma::Open;
        let (kind, fault) = match () {
            () if bytes.iter().all(|b| *b == 0 || is_blank(*b)) => (Kind::Zeros, Fault::new(&rules::NUL, "NUL bytes")),
            () if bytes.contains(&0) => (Kind::Gap, Fault::new(&rules::NUL, "NUL bytes")),
            () if cut && self.place != Place::Behind => {
                (Kind::Torn, Fault::new(&rules::JSON_CUT, "the file ends within an entry"))
            }
            () => (Kind::Gap, Fault::new(&rules::JSON_GARBAGE, "bytes that are no entry")),
        };
        if fault.rule == &rules::JSON_CUT {
            self.place = Place::Behind;
        }
        self.finish(end, What::Broken(kind), Some(fault))
    }

    /// The end of the file: something is missing unless the closing bracket was there.
    fn end(&mut self) -> Option<Item<'a>> {
        let before = std::mem::replace(&mut self.place, Place::Done);
        if matches!(before, Place::Behind | Place::Done) {
            return None;
        }
        let fault = Fault::new(&rules::JSON_CUT, "no bracket closes the dump");
        Some(self.finish(self.cursor.len(), What::Broken(Kind::Torn), Some(fault)))
    }

    /// The next item, whatever it is.
    pub(super) fn any(&mut self) -> Option<Item<'a>> {
        if self.at >= self.cursor.len() {
            return self.end();
        }
        let first = self.behind_blanks(self.at);
        match self.cursor.u8(first) {
            None => Some(self.finish(first, What::Markup("blanks"), None)),
            Some(b'{') if self.place != Place::Inside => Some(self.open(first)),
            Some(b'}') if self.place == Place::Inside => Some(self.close(first)),
            Some(b',') if self.place == Place::Inside => {
                self.comma = Comma::There;
                let end = self.behind_line_blanks(first.saturating_add(1));
                let fault = Fault::new(&rules::JSON_EMPTY, "an entry is empty");
                Some(self.finish(end, What::Broken(Kind::Gap), Some(fault)))
            }
            Some(b'"') => match self.entry(first) {
                Some(entry) => Some(self.record(entry)),
                None => Some(self.garbage(first)),
            },
            Some(_) => Some(self.garbage(first)),
        }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let number = self.number;
        if let Some((line, span)) = self.usual() {
            let name_len = (line.key.len() as u64).saturating_add(2);
            let key_span = Span::at(span.start, name_len);
            let value_span = Span::at(key_span.end.saturating_add(2), line.object.len() as u64);
            let (key, value) = (Cow::Borrowed(line.key), Cow::Borrowed(line.object));
            return Some(Item { span, number, what: What::Record { key, value, key_span, value_span }, fault: None });
        }
        self.any()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DUMP: &[u8] = br#"{
"DELETED.user.a.6AE04E68": {"name": "DELETED.user.a.6AE04E68", "mtime": "1655223049", "uidvalidity": "1654584238", "createdmodseq": "372", "foldermodseq": "2969", "mbtype": "ed", "partition": "default", "acl": {"a": "lrs", "b": "lrs"}, "uniqueid": "e5", "name_history": []},
"user.a": {"name": "user.a", "mtime": "1", "uidvalidity": "0", "createdmodseq": "0", "foldermodseq": "0", "mbtype": "er", "server": "be1", "acl": {}, "name_history": []},
"user.b": {"name": "user.b", "mtime": "1", "uidvalidity": "2", "createdmodseq": "3", "foldermodseq": "4", "mbtype": "e", "partition": "p", "acl": {"b": "l"}, "uniqueid": "e6", "jmapId": "P-F", "name_history": []},
"user.c": {"name": "user.c", "mtime": "1", "uidvalidity": "2", "createdmodseq": "3", "foldermodseq": "4", "mbtype": "e", "partition": "p", "acl": {"b": "l"}, "uniqueid": "e7", "name_history": []}
}
"#;

    /// All items, with and without a guess at what comes.
    fn both(dump: &[u8], start: u64) -> [String; 2] {
        let mut slow = Scan::new(Cursor::new(dump), start);
        let slow: Vec<_> = std::iter::from_fn(|| slow.any()).collect();
        let fast: Vec<_> = items_from(Cursor::new(dump), start).collect();
        [format!("{slow:#?}"), format!("{fast:#?}")]
    }

    #[test]
    fn usual_lines_are_recognised() {
        let mut scan = Scan::new(Cursor::new(DUMP), 0);
        assert!(scan.usual().is_none());
        assert!(scan.any().is_some());
        for name in ["DELETED.user.a.6AE04E68", "user.a", "user.b"] {
            assert_eq!(scan.usual().map(|(line, _)| line.key), Some(name.as_bytes()));
        }
        assert!(scan.usual().is_none());
        let [slow, fast] = both(DUMP, 0);
        assert_eq!(slow, fast);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn changed_dumps_read_alike(
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..40, prop::sample::select(&[
                "", " ", "\"", ",", "{", "}", "\n", "\r\n", ",\n", "},\n", "\": {\"name\": \"", "\"x\": {\"name\": \"x\"}", "\\", "\0",
                "0", "é", ", \"server\": \"b\"", ", \"other\": 5", "\"user.b\": {\"name\": \"user.b\"},\n", "{\n", "\n}\n",
            ][..])), 1..4),
        ) {
            let mut dump = DUMP.to_vec();
            for (at, removed, with) in changes {
                let at = at.index(dump.len().max(1)).min(dump.len());
                dump.splice(at..(at + removed).min(dump.len()), with.bytes());
            }
            let [slow, fast] = both(&dump, 0);
            prop_assert_eq!(slow, fast);
            if let Some(start) = boundary(Cursor::new(&dump), 1) {
                let [slow, fast] = both(&dump, start);
                prop_assert_eq!(slow, fast);
            }
        }
    }
}
