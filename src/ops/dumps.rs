//! Mailbox entries out of the records of text dumps.

use std::borrow::Cow;

use crate::formats::container::{Format, Record};
use crate::formats::record::{
    Acl, Decoded, Entry, Family, Fault, Key, MbType, Name, Numbering, Style, UnknownField, rules,
};
use crate::formats::text::json;
use crate::formats::text::lines::{self, Era};

/// The grammar of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grammar {
    /// `ctl_mboxlist -d` since 3.6.
    Json,
    /// `ctl_mboxlist -d` up to 3.4, of this era and with types numbered so.
    Lines(Era, Numbering),
}

impl Grammar {
    /// The grammar of a file in `format`, from a sample of its records; `None` if it is no dump of `ctl_mboxlist`.
    pub fn of<'r, 'a: 'r>(format: Format, sample: impl IntoIterator<Item = &'r Record<'a>>) -> Option<Self> {
        match format {
            Format::Json => Some(Grammar::Json),
            Format::Text => {
                let recognition = lines::recognise(sample.into_iter().map(|record| &*record.value));
                let (era, numbering) = recognition.map_or((Era::D4, lines::Numbering::Old), |r| (r.era, r.numbering));
                let new = numbering == lines::Numbering::New;
                Some(Grammar::Lines(era, if new { Numbering::New } else { Numbering::Old }))
            }
            _ => None,
        }
    }

    /// How a database of the dump's time spells its records.
    pub fn style(self) -> Style {
        match self {
            Grammar::Json => Style::NEW,
            Grammar::Lines(_, numbering) => Style { numbering, ..Style::OLD },
        }
    }

    /// What a record of the dump says.
    pub fn decode<'r>(self, record: &'r Record<'_>) -> Decoded<'r> {
        let name = Name::internal(&*record.key);
        let read = match self {
            Grammar::Json => of_json(name.clone(), &record.value),
            Grammar::Lines(era, numbering) => of_line(name.clone(), &record.value, era, numbering),
        };
        let key = Key::Mailbox(name);
        match read {
            Ok(mut entry) => {
                entry.raw = Cow::Borrowed(&record.value);
                Decoded { key, entry: Some(entry), faults: Vec::new() }
            }
            Err(message) => {
                let fault = Fault { rule: &rules::UNREADABLE, message: message.into() };
                Decoded { key, entry: None, faults: vec![fault] }
            }
        }
    }
}

fn of_json<'r>(name: Name<'r>, value: &'r [u8]) -> Result<Entry<'r>, String> {
    let fields = json::parse(value).map_err(|error| error.to_string())?;
    let mut entry = Entry::new(Family::Dump, name);
    entry.mbtype = fields.mbtype.map(|letters| MbType::from_letters(&letters)).unwrap_or_default();
    entry.server = fields.server;
    entry.partition = fields.partition;
    entry.acl = Acl::from_pairs(fields.acl.unwrap_or_default());
    entry.uniqueid = fields.uniqueid;
    entry.jmapid = fields.jmap_id;
    entry.uidvalidity = fields.uidvalidity;
    entry.mtime = fields.mtime;
    entry.foldermodseq = fields.foldermodseq;
    entry.createdmodseq = fields.createdmodseq;
    entry.specialuse = fields.legacy_specialuse;
    let unknown = fields.unknown.into_iter().map(|(key, value)| {
        let raw = Cow::Owned([&key, &b" "[..], value].concat());
        UnknownField { key, raw }
    });
    entry.unknown = unknown.collect();
    Ok(entry)
}

fn of_line<'r>(name: Name<'r>, value: &'r [u8], era: Era, numbering: Numbering) -> Result<Entry<'r>, String> {
    let fields = lines::parse(value, era).map_err(|error| error.to_string())?;
    let mut entry = Entry::new(Family::Dump, name);
    entry.mbtype = match fields.mbtype {
        Some(number) => MbType::from_number(number, numbering),
        // D1 leaves the type out; an entry is remote exactly when it names a server.
        None if fields.server.is_some() => MbType::from_letters(b"r"),
        None => MbType::default(),
    };
    entry.server = fields.server.map(Cow::Borrowed);
    entry.partition = fields.partition.map(Cow::Borrowed);
    entry.acl = Acl::text(fields.acl);
    if let Some(extra) = fields.extra {
        entry.uniqueid = extra.uniqueid.map(Cow::Borrowed);
        entry.mtime = extra.mtime;
        entry.uidvalidity = extra.uidvalidity;
        entry.foldermodseq = extra.foldermodseq;
        entry.createdmodseq = extra.createdmodseq;
        entry.specialuse = extra.specialuse.map(Cow::Borrowed);
    }
    Ok(entry)
}
