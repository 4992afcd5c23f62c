//! What a copy of a mailbox list is: how it spells its records, and on which side of a murder it stands.

use std::borrow::Cow;

use rayon::prelude::*;

use super::convert::remarks::{Remarks, Say};
use super::convert::role::{Host, complete};
use super::convert::witness::Witnesses;
use super::convert::{Converter, Origin};
use super::reading::Reading;
use super::recover::{Records, Recovered, Recovery};
use crate::formats::container::{KeyOrder, Record};
use crate::formats::record::era::guess as guess_era;
use crate::formats::record::role::guess as guess_role;
use crate::formats::record::{Context, Decoded, Entry, Era, Family, Key, Survey, Under, decode, encode};

/// Whose mailboxes a copy lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Those of its own host: a backend's copy, or a standalone server's.
    Own,
    /// Those of other hosts: the master's copy, or a frontend's.
    Elsewhere,
    /// Both: a unified server's.
    Both,
}

impl Side {
    /// What such a copy is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Own => "a backend's copy",
            Side::Elsewhere => "a master's or frontend's copy",
            Side::Both => "a unified server's copy",
        }
    }
}

/// What is known of a copy before any record of it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// How its records are read.
    pub origin: Origin,
    /// The release series to write such records for.
    pub era: Era,
    /// Whose mailboxes it lists; `None` if it has none.
    pub side: Option<Side>,
    /// How most of its values are encoded; [`Family::Dump`] if they are a dump's.
    pub family: Family,
    /// Whether it holds records under uniqueids too.
    pub by_uniqueid: bool,
}

impl Account {
    /// Looks at all records of a copy.
    pub fn of(reading: &Reading<'_, '_>) -> Self {
        let mut origin = Origin::of(reading, None);
        let survey = survey(reading, &origin);
        if origin.style.dump.is_none() {
            origin.era = origin.era.or(guess_era(&survey).map(|guess| guess.newest));
        }
        let newest = if origin.jmapids { Era::V3_13 } else { Era::V3_10 };
        let role = guess_role(&survey).roles.first().copied();
        let side = role.map(|role| match (role.is_local_only(), role.is_remote_only()) {
            (true, _) => Side::Own,
            (_, true) => Side::Elsewhere,
            _ => Side::Both,
        });
        let family = Family::ALL.into_iter().rev().max_by_key(|&family| survey.family(family));
        let by_uniqueid = survey.keys(crate::formats::record::KeyFamily::Uniqueid) > 0;
        let family = family.unwrap_or(Family::Dlist);
        Account { origin, era: origin.era.unwrap_or(newest), side, family, by_uniqueid }
    }

    /// Whether the other's records can be taken as they stand.
    pub fn is_spelt_like(&self, other: &Account) -> bool {
        let dump = self.origin.style.dump.or(other.origin.style.dump);
        self.origin.style == other.origin.style && self.family == other.family && dump.is_none()
    }

    /// What a record of the copy says, with what the copy leaves unsaid.
    pub fn decode<'r>(&self, key: &'r [u8], value: &'r [u8]) -> Decoded<'r> {
        let mut decoded = decode(key, value, &self.origin.style);
        if let Some(entry) = &mut decoded.entry {
            complete(entry, self.origin.typeless, self.origin.bare);
        }
        decoded
    }

    /// The entry of a mailbox's own record.
    pub fn mailbox<'r>(&self, record: &'r Record<'_>) -> Option<Entry<'r>> {
        let decoded = self.decode(&record.key, &record.value);
        decoded.entry.filter(|_| matches!(decoded.key, Key::Mailbox(_)))
    }

    /// The way from this copy's entries to those of `host` in `era`. Nothing is made up: what tells no time gets 0.
    pub fn converter(&self, era: Era, host: Host) -> Converter {
        let witnesses = Witnesses::default();
        Converter { origin: self.origin, era, host, witnesses, makes_jmapids: false, now: 0 }
    }
}

fn survey(reading: &Reading<'_, '_>, origin: &Origin) -> Survey {
    let context = Context::new(origin.style, |_| false);
    let surveys = (0..reading.parts()).into_par_iter().map(|part| {
        let mut survey = Survey::new(origin.style);
        reading.walk(part, &mut |record| {
            let mut decoded = decode(&record.key, &record.value, &origin.style);
            if let Some(entry) = &mut decoded.entry {
                complete(entry, origin.typeless, origin.bare);
            }
            survey.push(&decoded, &record.value, &context);
            true
        });
        survey
    });
    let merged = |mut all: Survey, part| {
        all.merge(part);
        all
    };
    surveys.reduce(|| Survey::new(origin.style), merged)
}

/// The records that say in `era` what `entry` says: its own, and that under its uniqueid if there is anything to say there.
pub fn records_of(mut entry: Entry<'_>, era: Era, by_uniqueid: bool, mut push: impl FnMut(Vec<u8>, Vec<u8>)) {
    let style = era.style();
    let history = entry.history_raw.take().map(Cow::into_owned);
    if let Some(key) = Key::Mailbox(entry.name.clone()).encode(style.keys) {
        push(key, encode(&entry, style.numbering));
    }
    let former = history.as_deref().is_some_and(|history| !history.is_empty());
    if era < Era::V3_6 || !by_uniqueid && !former {
        return;
    }
    let Some(key) = entry.uniqueid.as_deref().and_then(|id| Key::Uniqueid(id).encode(style.keys)) else { return };
    entry.under = Under::Uniqueid;
    entry.history_raw = Some(Cow::Owned(history.unwrap_or_default()));
    push(key, encode(&entry.as_written_in(era), style.numbering));
}

/// Makes a database's records of those of a dump that a recovery holds, in `order`.
pub fn enter(recovery: &mut Recovery<'_>, dump: &Account, order: KeyOrder, remarks: &mut Remarks) {
    let converter = dump.converter(dump.era, Host::default());
    let say: &mut Say<'_> = &mut |remark| remarks.push(remark);
    let mut made = Vec::with_capacity(recovery.records.len());
    for Recovered { record, origin } in recovery.records.iter() {
        let Some(entry) = converter.mailbox(&record.key, &record.value, say) else { continue };
        records_of(entry, dump.era, false, |key, value| {
            let record = Record { key: Cow::Owned(key), value: Cow::Owned(value), span: record.span };
            made.push(Recovered { record, origin });
        });
    }
    made.sort_by(|a, b| order.compare(&a.record.key, &b.record.key));
    made.dedup_by(|later, first| later.record.key == first.record.key);
    (recovery.records, recovery.order) = (Records::Listed(made), order);
}
