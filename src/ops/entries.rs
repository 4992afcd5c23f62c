//! A database's records as mailbox entries, whatever era wrote them.

use std::borrow::Cow;

use crate::formats::container::{Format, Record};
use crate::formats::record::{Decoded, Entry, Key, KeyStyle, Style, decode};
use crate::formats::text::lines;

use super::reading::Reading;

/// Records looked at to tell how keys are spelt.
const SAMPLE: usize = 1000;

/// Reads the records of one database.
///
/// The default reads those of 3.6 and later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoder {
    style: Style,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder { style: Style::NEW }
    }
}

impl Decoder {
    /// Finds out from a sample of its records how a database spells its keys.
    pub fn new(reading: &Reading<'_, '_>) -> Self {
        let mut sample: Vec<Record<'_>> = Vec::new();
        let each = SAMPLE.div_ceil(reading.parts());
        for part in 0..reading.parts() {
            let full = sample.len().saturating_add(each);
            reading.walk(part, &mut |record| {
                sample.push(record);
                sample.len() < full
            });
        }
        let values = sample.iter().map(|record| &*record.value);
        let style = match reading.format() {
            Format::Json => Style::JSON,
            Format::Text => lines::recognise(values).map_or(Style::OLD, |recognised| Style::lines(&recognised)),
            _ => Style::of(KeyStyle::guess(sample.iter().map(|record| (&*record.key, &*record.value)))),
        };
        Decoder { style }
    }

    /// Reads records of a known style.
    pub fn of(style: Style) -> Self {
        Decoder { style }
    }

    /// How its keys and numbers are to be read.
    pub fn style(self) -> Style {
        self.style
    }

    /// Whether the records are a dump's, which has mailboxes' own entries and nothing else.
    pub fn is_of_dump(self) -> bool {
        self.style.dump.is_some()
    }

    /// The internal name of the mailbox whose own record this is; `None` for an index's records.
    pub fn name<'r>(self, record: &'r Record<'_>) -> Option<Cow<'r, [u8]>> {
        match Key::decode(&record.key, self.style.keys) {
            Key::Mailbox(name) => Some(Cow::Owned(name.to_internal().into_owned())),
            _ => None,
        }
    }

    /// What a record says.
    pub fn decode<'r>(self, record: &'r Record<'_>) -> Decoded<'r> {
        decode(&record.key, &record.value, &self.style)
    }

    /// The entry of a mailbox's own record; `None` for an index's records and for values that can't be read.
    pub fn mailbox<'r>(self, record: &'r Record<'_>) -> Option<Entry<'r>> {
        // Half of the records may be an index's: they need not be decoded.
        let own = self.is_of_dump() || matches!(Key::decode(&record.key, self.style.keys), Key::Mailbox(_));
        if own { self.decode(record).entry } else { None }
    }
}
