//! A witness' records, spelt as the database that is to be recovered spells its own.

use std::borrow::Cow;

use super::entries::Decoder;
use super::reading::Reading;
use crate::formats::container::{Format, Record};
use crate::formats::record::{Entry, Family, FieldKey, Key, KeyStyle, Name, Numbering, Style, Under, encode};

/// How a database spells its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spelling {
    /// Its keys and numbers.
    pub style: Style,
    /// How its values are encoded.
    pub family: Family,
    /// Whether it holds records under uniqueids too.
    pub by_uniqueid: bool,
}

impl Spelling {
    /// Finds out from what is left of a database; values are dlists unless the first one that can be read says otherwise.
    pub fn of<'r, 'a: 'r>(records: impl Iterator<Item = &'r Record<'a>> + Clone) -> Self {
        let style = Style::of(KeyStyle::guess(records.clone().map(|record| (&*record.key, &*record.value))));
        let decoder = Decoder::of(style);
        let family = records.clone().find_map(|record| decoder.mailbox(record).map(|entry| entry.family));
        let by_uniqueid = records.clone().any(|record| matches!(decoder.decode(record).key, Key::Uniqueid(_)));
        Spelling { style, family: family.unwrap_or(Family::Dlist), by_uniqueid }
    }
}

/// The records of a witness in the spelling of the database it testifies for.
///
/// A copy of the same kind testifies with its records as they stand; a dump or a database of another era with its mailbox
/// entries, from which records are made.
pub fn testimony<'a>(reading: &Reading<'a, '_>, format: Format, wanted: Spelling) -> Vec<Record<'a>> {
    let decoder = Decoder::new(reading);
    let mut records = Vec::new();
    let alike = decoder.style() == wanted.style && !matches!(format, Format::Json | Format::Text);
    reading.each(|record| {
        if alike {
            records.push(record);
        } else if let Some(entry) = decoder.mailbox(&record) {
            translate(&entry, wanted, |key, value| {
                records.push(Record { key: Cow::Owned(key), value: Cow::Owned(value), span: record.span });
            });
        }
    });
    records
}

/// The records that say in `wanted` what `entry` says.
fn translate(entry: &Entry<'_>, wanted: Spelling, mut push: impl FnMut(Vec<u8>, Vec<u8>)) {
    let numbering = wanted.style.numbering;
    let mut made = remade(entry, wanted.family);
    let value = encode(&made, numbering);
    match wanted.style.keys {
        KeyStyle::Plain => push(entry.name.to_internal().into_owned(), value),
        KeyStyle::Prefixed => push([b"N", &*entry.name.to_db()].concat(), value),
    }
    if let (true, Numbering::New, Some(uniqueid)) = (wanted.by_uniqueid, numbering, entry.uniqueid.as_deref()) {
        made.under = Under::Uniqueid;
        made.history_raw = Some(Cow::Borrowed(b""));
        push([b"I", uniqueid].concat(), encode(&made, numbering));
    }
}

/// The same entry as if it had never been written in another family.
fn remade<'e>(entry: &'e Entry<'_>, family: Family) -> Entry<'e> {
    fn borrowed<'e>(field: &'e Option<Cow<'_, [u8]>>) -> Option<Cow<'e, [u8]>> {
        field.as_deref().map(Cow::Borrowed)
    }
    let mut made = Entry::new(family, Name::new(entry.name.form(), entry.name.as_bytes()));
    made.mbtype = entry.mbtype;
    made.server = borrowed(&entry.server);
    made.partition = borrowed(&entry.partition);
    made.acl = entry.acl.clone();
    made.uniqueid = borrowed(&entry.uniqueid);
    made.uidvalidity = entry.uidvalidity;
    made.mtime = entry.mtime;
    made.foldermodseq = entry.foldermodseq;
    made.createdmodseq = entry.createdmodseq;
    if entry.has(FieldKey::Jmapid) {
        made.jmapid = borrowed(&entry.jmapid);
    }
    made
}
