//! A list in a `mailboxes.db`, as a real master or frontend of the same release would write it.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;

use super::Store;
use crate::failure::Failure;
use crate::formats::container::{self, Format, KeyOrder, Operation};
use crate::formats::record::{
    Acl, Entry, Era, Family, Flag, Form, Key, KeyStyle, Kind, MbType, Name, Style, decode, encode,
};
use crate::murder::node::Stored;
use crate::murder::node::{Builder, List, State};
use crate::ops::account::Account;
use crate::ops::entries::Decoder;
use crate::ops::reading::Reading;
use crate::plan::live::LiveFile;

/// A list in a database.
pub struct Durable {
    live: LiveFile,
    era: Era,
}

impl Durable {
    /// The database at `path`; one that is not there, or is empty, begins as one of `format` for `era`.
    ///
    /// # Errors
    /// As of [`LiveFile::open`].
    pub fn open(path: &Path, format: Format, era: Era, timeout: Duration) -> Result<Self, Failure> {
        Ok(Durable { live: LiveFile::open(path, format, timeout)?, era })
    }

    /// The release whose records it writes.
    pub fn era(&self) -> Era {
        self.era
    }

    /// The format of the database.
    pub fn format(&self) -> Format {
        self.live.format()
    }
}

impl Store for Durable {
    fn load(&mut self) -> Result<List, Failure> {
        let mut era = self.era;
        let list = self.live.read(|bytes, format, order| {
            let (found, list) = read(bytes, format, order, era);
            era = found;
            Ok(list)
        })?;
        self.era = era;
        Ok(list)
    }

    fn commit(&mut self, changes: &[Stored<'_>]) -> Result<(), Failure> {
        let now = now();
        let records: Vec<_> = changes.iter().filter_map(|change| record(change, self.era, now)).collect();
        let operations: Vec<Operation<'_>> = records
            .iter()
            .map(|(key, value)| match value {
                Some(value) => Operation::Store { key, value },
                None => Operation::Delete { key },
            })
            .collect();
        self.live.append(&operations)
    }

    fn replace(&mut self, list: &List) -> Result<(), Failure> {
        let (now, era) = (now(), self.era);
        let rows: Vec<(&[u8], State<'_>)> = list.iter().collect();
        let runs: Vec<Run> = rows.par_chunks(RUN).map(|rows| Run::of(list, rows, era, now)).collect();
        let is_mailbox = |key: &[u8]| matches!(Key::decode(key, era.style().keys), Key::Mailbox(_));
        self.live.replace_all(runs.iter().flat_map(Run::records), &is_mailbox)
    }

    fn is_stale(&mut self) -> Result<bool, Failure> {
        self.live.is_stale()
    }
}

/// The list in a sound database, and the release it is for: `era` if it has no mailbox.
pub fn read(bytes: &[u8], format: Format, order: KeyOrder, era: Era) -> (Era, List) {
    if bytes.is_empty() {
        return (era, List::new(form(era)));
    }
    let database = container::open(bytes, format);
    let reading = Reading::sound(&*database, order);
    let account = Account::of(&reading);
    let era = if account.side.is_none() { era } else { account.era };
    let decoder = Decoder::of(account.origin.style);
    let mut list = Builder::new(form(era));
    reading.each(|record| {
        let decoded = decode(&record.key, &record.value, &decoder.style());
        let (Key::Mailbox(name), Some(entry)) = (decoded.key, decoded.entry) else { return };
        // No MUPDATE server tells of these.
        if entry.is_tombstone() || entry.is_intermediate() {
            return;
        }
        let acl = if entry.is_reserved() { Cow::Borrowed(&b""[..]) } else { entry.acl.to_text() };
        let state = State { reserved: entry.is_reserved(), location: &entry.location(), acl: &acl };
        list.push(&name, state);
    });
    let list = list.finish();
    (era, list)
}

/// Records in one piece of memory: there are hundreds of thousands.
struct Run {
    bytes: Vec<u8>,
    /// Where keys and values are.
    places: Vec<(Range<usize>, Range<usize>)>,
}

/// Records in a [`Run`].
const RUN: usize = 4096;

impl Run {
    fn of(list: &List, rows: &[(&[u8], State<'_>)], era: Era, now: u64) -> Run {
        let mut run = Run { bytes: Vec::new(), places: Vec::with_capacity(rows.len()) };
        let mut last: Option<(State<'_>, Range<usize>)> = None;
        for (key, state) in rows {
            let name = list.name(key).into_form(form(era));
            let Some(key) = Key::Mailbox(name).encode(era.style().keys) else { continue };
            // The mailboxes of a user mostly have one location and one ACL.
            let place = match last.take() {
                Some((before, place)) if before == *state => place,
                _ => run.add(&value(*state, era, now)),
            };
            last = Some((*state, place.clone()));
            let key = run.add(&key);
            run.places.push((key, place));
        }
        run
    }

    fn add(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }

    fn records(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let bytes = |place: &Range<usize>| self.bytes.get(place.clone()).unwrap_or_default();
        self.places.iter().map(move |(key, value)| (bytes(key), bytes(value)))
    }
}

/// The time that records are written with.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The record of a change as a master or frontend of `era` writes it, at a time in seconds since 1970-01-01 UTC; without value
/// if the name is gone. `None` for a name that no key can spell.
pub fn record((name, state): &Stored<'_>, era: Era, now: u64) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let name = name.clone().into_form(form(era));
    let value = state.map(|state| value(state, era, now));
    Some((Key::Mailbox(name).encode(era.style().keys)?, value))
}

/// How the keys of a release spell names.
pub fn form(era: Era) -> Form {
    if era.style().keys == KeyStyle::Prefixed { Form::Db } else { Form::Internal }
}

/// The value of a mailbox's record, as a master of `era` writes it (`imap/mupdate.c`, `database_log`); it does not hold the
/// mailbox's name.
fn value(state: State<'_>, era: Era, now: u64) -> Vec<u8> {
    let mut entry = Entry::new(Family::Dlist, Name::internal(&b""[..]));
    let bang = state.location.iter().position(|&byte| byte == b'!');
    let (server, partition) = match bang.and_then(|at| state.location.split_at_checked(at)) {
        Some((server, partition)) => (Some(server), partition.get(1..)),
        // Up to 2.4 what names no server is a partition, since 2.5 it stands in the server's place.
        None if era < Era::V2_5 => (None, Some(state.location)),
        None => (Some(state.location), None),
    };
    entry.server = server.map(Cow::Borrowed);
    entry.partition = partition.map(Cow::Borrowed);
    entry.mbtype = MbType::new(Kind::Mail);
    if entry.server.is_some() || era < Era::V2_3 {
        entry.mbtype = entry.mbtype.with(Flag::Remote);
    }
    if state.reserved {
        entry.mbtype = entry.mbtype.with(Flag::Reserved);
    } else {
        entry.acl = Acl::text(state.acl);
    }
    entry.mtime = Some(now);
    let style: Style = era.style();
    encode(&entry.as_written_in(era), style.numbering)
}
