//! A mailbox entry as a table's row and as an object.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::json::{self, Object, text};
use super::text::printable;
use crate::formats::container::Record;
use crate::formats::record::{Acl, AclPair, Entry, Numbering};

/// Heads of the table's columns.
pub const COLUMNS: [&str; 6] = ["NAME", "TYPE", "SERVER", "PARTITION", "UNIQUEID", "ACL"];

/// Wider cells push the following ones aside.
const WIDTH_MAX: usize = 48;

/// Widths of the table's columns.
pub struct Widths([usize; COLUMNS.len()]);

impl Widths {
    /// Wide enough for the heads and for most cells of `sample`.
    pub fn of<'e, 'a: 'e>(sample: impl IntoIterator<Item = &'e Entry<'a>>) -> Self {
        let mut widths = COLUMNS.map(str::len);
        for entry in sample {
            for (width, cell) in widths.iter_mut().zip(cells(entry)) {
                *width = cell.chars().count().clamp(*width, WIDTH_MAX.max(*width));
            }
        }
        Widths(widths)
    }

    /// The table's head.
    pub fn head(&self) -> String {
        self.join(COLUMNS.map(str::to_owned))
    }

    /// An entry's row.
    pub fn row(&self, entry: &Entry<'_>) -> String {
        self.join(cells(entry))
    }

    fn join(&self, cells: [String; COLUMNS.len()]) -> String {
        let padded = cells.iter().zip(self.0).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

fn cells(entry: &Entry<'_>) -> [String; COLUMNS.len()] {
    let cell = |bytes: Option<&[u8]>| match bytes {
        Some([]) => "\"\"".to_owned(),
        Some(bytes) => printable(bytes),
        None => "-".to_owned(),
    };
    [
        cell(Some(&entry.name.to_internal())),
        entry.mbtype.to_string(),
        cell(entry.server.as_deref()),
        cell(entry.partition.as_deref()),
        cell(entry.uniqueid.as_deref()),
        acl(&entry.acl.to_text()),
    ]
}

/// An ACL in text form, for people: `bob lrswipkxtecda, anyone p`.
pub fn acl(text: &[u8]) -> String {
    let pairs = Acl::text(text);
    let pairs: Vec<String> =
        pairs.pairs().map(|pair| format!("{} {}", printable(&pair.identifier), printable(&pair.rights))).collect();
    if pairs.is_empty() { "-".to_owned() } else { pairs.join(", ") }
}

/// An entry's members, named as in the JSON of `ctl_mboxlist -d`; what the record lacks is left out.
pub fn object(object: Object, entry: &Entry<'_>, record: &Record<'_>) -> Json {
    let flags: Vec<&str> = entry.mbtype.flags.iter().map(|flag| flag.as_str()).collect();
    let letters = entry.mbtype.letters(Numbering::New);
    let unknown: Vec<Json> = entry.unknown.iter().map(|field| text(&field.raw).0.into()).collect();
    let object = object
        .bytes("name", &entry.name.to_internal())
        .bytes("mbtype", &letters)
        .with("type", entry.mbtype.kind.as_str())
        .with("flags", flags)
        .bytes_some("server", entry.server.as_deref())
        .bytes_some("partition", entry.partition.as_deref());
    with_acl(object, "acl", &entry.acl)
        .bytes_some("uniqueid", entry.uniqueid.as_deref())
        .bytes_some("jmapId", entry.jmapid.as_deref())
        .with_some("uidvalidity", entry.uidvalidity)
        .with_some("createdmodseq", entry.createdmodseq)
        .with_some("foldermodseq", entry.foldermodseq)
        .with_some("mtime", entry.mtime.map(json::time))
        .bytes_some("legacy_specialuse", entry.specialuse.as_deref())
        .with_some("unknown_fields", (!unknown.is_empty()).then_some(unknown))
        .with("encoding", entry.family.as_str())
        .bytes("key", &record.key)
        .with("span", json::span(record.span))
        .done()
}

/// Adds an ACL as an object, rights by identifier, as Cyrus reads its text form. Where that is not all that the record
/// says (an identifier twice or with a TAB in it, bytes that are no text), the record's own pairs follow as `NAME_pairs`.
pub fn with_acl(object: Object, name: &str, acl: &Acl<'_>) -> Object {
    let as_text = Acl::text(acl.to_text());
    let mut seen = HashSet::new();
    let mut rights = Object::new();
    let mut holds = acl.same_pairs(&as_text);
    let mut pairs = as_text.pairs();
    for pair in pairs.by_ref() {
        let ((identifier, raw), (letters, raw_letters)) = (text(&pair.identifier), text(&pair.rights));
        holds &= raw.is_none() && raw_letters.is_none() && seen.insert(identifier.clone());
        rights = rights.with(&identifier, letters);
    }
    if let Some(odd) = pairs.odd() {
        rights = rights.with(&text(odd).0, "");
    }
    let pair =
        |pair: AclPair<'_>| Object::new().bytes("identifier", &pair.identifier).bytes("rights", &pair.rights).done();
    let pairs = (!holds).then(|| acl.pairs().map(pair).collect::<Vec<Json>>());
    object.with(name, rights.done()).with_some(&format!("{name}_pairs"), pairs)
}
