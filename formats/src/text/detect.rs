//! Tells flat databases, `cyr_dbtool show` output and the text eras of `ctl_mboxlist -d` apart.
//!
//! They share their grammar, and whole files of theirs can be the same byte for byte; what tells them apart, where
//! anything does, is the values and the order of the names.

use std::borrow::Cow;

use bstr::ByteSlice;
use memchr::{memmem, memrchr};

use super::eras::{Era, Recognition, Survey};
use super::item::What;
use super::{rules, show};
use crate::container::{Detection, Format, KeyOrder, detect, shape};
use crate::image::Cursor;

/// Tells what a file of lines is by its first bytes, up to 64 KiB of them.
pub fn detect_lines(head: &[u8]) -> Detection {
    if memmem::find(head, b"\": {\"name\": \"").is_some() {
        let what = "entries of a JSON dump, without its bracket in front";
        return detect::lines_verdict(Some(Format::Json), None, what.to_owned());
    }
    let traits = Traits::of(head);
    match traits.verdict().filter(|_| detect::looks_like_text(head)) {
        Some((format, also, evidence)) => detect::lines_verdict(Some(format), also, evidence),
        None => {
            let what = "neither a database nor a dump: no magic, and no lines of keys and records";
            detect::lines_verdict(None, None, what.to_owned())
        }
    }
}

/// What the lines have in common.
#[derive(Default)]
struct Traits {
    records: u64,
    /// Lines that are none.
    broken: u64,
    /// Lines without a value.
    empty: u64,
    /// Values that are dlists, and keys that only databases have.
    database: u64,
    /// Values with escapes that only flat databases have.
    escaped: u64,
    /// Values that go on over lines, which only `show` prints.
    continued: u64,
    survey: Survey,
    /// Neighbours that stand the wrong way round, by order: signed, unsigned, mbox.
    descents: [u64; 3],
}

impl Traits {
    fn of(head: &[u8]) -> Self {
        let lines = memrchr(b'\n', head).and_then(|last| head.get(..=last)).unwrap_or(head);
        let mut traits = Traits::default();
        let mut before: Option<Cow<'_, [u8]>> = None;
        for item in show::items(Cursor::new(lines)) {
            let What::Record { key, value, .. } = item.what else {
                traits.broken = traits.broken.saturating_add(u64::from(item.fault.is_some()));
                continue;
            };
            traits.push(&key, &value, item.fault.is_some_and(|fault| fault.rule == &rules::CONTINUED));
            if let Some(before) = before {
                traits.pair(&before, &key);
            }
            before = Some(key);
        }
        traits
    }

    fn push(&mut self, key: &[u8], value: &[u8], continued: bool) {
        let count = |counter: &mut u64, yes: bool| *counter = counter.saturating_add(u64::from(yes));
        count(&mut self.records, true);
        count(&mut self.empty, value.is_empty());
        count(&mut self.database, value.starts_with(b"%(") || is_index_key(key));
        count(&mut self.escaped, has_escape(key) || has_escape(value));
        count(&mut self.continued, continued && shape::dlist_len(value) == Some(value.len()));
        self.survey.push(value);
    }

    fn pair(&mut self, before: &[u8], key: &[u8]) {
        for (descents, order) in self.descents.iter_mut().zip(KeyOrder::ALL) {
            *descents = descents.saturating_add(u64::from(order.compare(before, key).is_ge()));
        }
    }

    /// What the lines are, what else they may be, and why; `None` if they are nothing we know.
    fn verdict(&self) -> Option<Verdict> {
        let [signed, unsigned, mbox] = self.descents;
        let raw = signed.min(unsigned);
        if self.records == 0 || self.records.saturating_mul(4) < self.broken {
            return None;
        }
        if self.escaped > 0 {
            let what = "lines with escapes as in a flat database of 2.5 or later";
            return Some((Format::Flat, None, what.to_owned()));
        }
        if self.continued > 0 {
            let what = "what `cyr_dbtool show` prints, values with line ends among it";
            return Some((Format::Show, None, what.to_owned()));
        }
        if self.database.saturating_mul(2) >= self.records {
            return Some(database_verdict(mbox, raw));
        }
        match self.survey.recognise() {
            Some(dump) => Some(dump_verdict(&dump, mbox, raw)),
            None if mbox > 0 && self.empty < self.records => None,
            None => {
                let what = "sorted lines of keys and values: a flat database, though not of mailboxes";
                Some((Format::Flat, Some(Format::Show), what.to_owned()))
            }
        }
    }
}

/// A format, one that the bytes may be as well, and why.
type Verdict = (Format, Option<Format>, String);

/// Flat or show: what `show` prints of another engine's file stands in that engine's order.
fn database_verdict(mbox: u64, raw: u64) -> Verdict {
    let what = "records of a database, one a line";
    if mbox > raw {
        return (Format::Show, None, format!("{what}, not in mbox order: `cyr_dbtool show`"));
    }
    let order = if mbox < raw { ", in mbox order" } else { "" };
    let either = "a flat database, or what `cyr_dbtool show` prints of one";
    (Format::Flat, Some(Format::Show), format!("{what}{order}: {either}"))
}

/// Text or flat: the lines of a flat database of 2.0 to 2.4 are those of D2, but stand in mbox order.
fn dump_verdict(dump: &Recognition, mbox: u64, raw: u64) -> Verdict {
    let Recognition { era, also, evidence, .. } = dump;
    let releases = also.iter().fold(era.releases().to_owned(), |text, era| format!("{text}, or {}", era.releases()));
    let what = format!("lines as `ctl_mboxlist -d` of {releases} prints them: {evidence}");
    if *era != Era::D2 || mbox > raw {
        return (Format::Text, None, what);
    }
    let same = "a flat database of 2.0 to 2.4 has the same lines";
    match mbox < raw {
        true => (Format::Flat, Some(Format::Text), format!("{what}; {same}, and these stand in its order")),
        false => (Format::Text, Some(Format::Flat), format!("{what}; {same}")),
    }
}

/// Whether a key is one that `ctl_mboxlist -d` does not print: an index of 3.0 to 3.4, or any key of 3.6 and later that
/// shows itself by its separators.
fn is_index_key(key: &[u8]) -> bool {
    key.starts_with(b"$RACL") || key.starts_with(b"$RUNQ") || key.find_byteset(b"\x1D\x1E\x1F").is_some()
}

/// Whether one of the escapes for NUL, TAB, LF and CR is there; 0xFF 0xFF may be old raw data.
fn has_escape(bytes: &[u8]) -> bool {
    [0x80, 0x89, 0x8A, 0x8D].iter().any(|&second| bytes.find([0xFF, second]).is_some())
}
