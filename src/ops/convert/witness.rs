//! What other copies know of where mailboxes are.

use std::borrow::Cow;
use std::collections::HashMap;

use super::remarks::{Fate, Remark, Say};
use crate::formats::record::Entry;
use crate::ops::entries::Decoder;
use crate::ops::reading::Reading;

/// Locations by internal name; of several witnesses the first that knows a mailbox counts.
#[derive(Debug, Default)]
pub struct Witnesses {
    words: Vec<Vec<u8>>,
    places: HashMap<Box<[u8]>, [u32; 2]>,
}

impl Witnesses {
    /// Hears a witness: the entries of a master or frontend, or the local ones of the backend `server`.
    pub fn hear(&mut self, reading: &Reading<'_, '_>, server: Option<&[u8]>) {
        let decoder = Decoder::new(reading);
        reading.each(|record| {
            let Some(entry) = decoder.mailbox(&record) else { return };
            if entry.is_tombstone() || entry.is_intermediate() {
                return;
            }
            let at = match &entry.server {
                Some(found) => Some(&**found),
                None if entry.is_remote() => None,
                None => server,
            };
            if let Some(at) = at {
                let place = [self.word(at), self.word(entry.partition.as_deref().unwrap_or_default())];
                self.places.entry(entry.name.to_internal().into()).or_insert(place);
            }
        });
    }

    /// The number of a word; there are few different ones.
    fn word(&mut self, word: &[u8]) -> u32 {
        let known = self.words.iter().position(|known| known == word);
        known.unwrap_or_else(|| {
            self.words.push(word.to_vec());
            self.words.len() - 1
        }) as u32
    }

    /// Whether nobody was heard.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Gives an entry that names no server the place that a witness knows.
    pub fn supply(&self, entry: &mut Entry<'_>, say: &mut Say<'_>) {
        let name = entry.name.to_internal();
        let Some(&[server, partition]) = self.places.get(&*name) else { return };
        let word = |number: u32| self.words.get(number as usize).map(Vec::as_slice).unwrap_or_default();
        let why = "the source lost it, a witness has it";
        say(Remark { name, field: "server", value: Cow::Borrowed(word(server)), fate: Fate::Supplied, why });
        entry.server = Some(Cow::Owned(word(server).to_vec()));
        if entry.partition.as_deref().unwrap_or_default().is_empty() && !word(partition).is_empty() {
            entry.partition = Some(Cow::Owned(word(partition).to_vec()));
        }
    }
}
