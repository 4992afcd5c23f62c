//! A frontend's or a master's list against a copy that knows better: what is missing, stale or different.

use std::borrow::Cow;

use super::draft::Draft;
use super::entry::Host;
use super::rules::Rule;
use crate::formats::record::{Entry, Family, Flag, Key, KeyStyle, MbType, Name, Style, decode, encode, encode_as};
use crate::ops::reading::{Lookup, Reading};
use crate::render::text::printable;

/// The master's list.
pub struct Master<'m, 'a> {
    /// Its records.
    pub reading: &'m Reading<'a, 'm>,
    /// Finds them by key.
    pub lookup: Lookup<'a, 'm>,
    /// How they are read.
    pub style: Style,
}

impl Master<'_, '_> {
    fn has(&self, name: &Name<'_>) -> bool {
        Key::Mailbox(name.clone()).encode(self.style.keys).is_some_and(|key| self.lookup.get(&key).is_some())
    }
}

/// Makes the draft say what the master says; `family` is how its new records are to be encoded.
pub fn compare(draft: &mut Draft<'_, '_>, master: &Master<'_, '_>, host: &Host, family: Family) {
    let mut stale = Vec::new();
    draft.walk(&mut |key, _, _| {
        if let Key::Mailbox(name) = Key::decode(key, host.style.keys)
            && !master.has(&name)
        {
            stale.push(key.to_vec());
        }
    });
    for key in stale {
        if draft.entry(&key).is_none_or(|entry| !is_own(&entry, host)) {
            draft.propose(Rule::StaleEntry, &key, None, "the master does not have it");
        }
    }
    master.reading.each(|record| {
        let decoded = decode(&record.key, &record.value, &master.style);
        let (Key::Mailbox(name), Some(theirs)) = (&decoded.key, &decoded.entry) else { return };
        let Some(key) = Key::Mailbox(name.clone()).encode(host.style.keys) else { return };
        if is_own(theirs, host) {
            return;
        }
        match draft.entry(&key) {
            Some(ours) => differing(draft, &key, ours, theirs, host),
            None if draft.get(&key).is_some() => {}
            None => missing(draft, &key, master, theirs, host, family),
        }
    });
}

/// Whether an entry of a unified murder is about a mailbox of this host.
fn is_own(entry: &Entry<'_>, host: &Host) -> bool {
    match (&host.server, entry.server.as_deref()) {
        (Some(own), Some(server)) => !host.remote_only && own.eq_ignore_ascii_case(server),
        (_, None) => !host.remote_only && !entry.is_remote(),
        _ => false,
    }
}

/// What a master says of a mailbox's type: what no master writes is left out.
fn said_type(entry: &Entry<'_>) -> MbType {
    entry.mbtype.without(Flag::LegacyDirs)
}

fn differing(draft: &mut Draft<'_, '_>, key: &[u8], ours: Entry<'static>, theirs: &Entry<'_>, host: &Host) {
    let owned = |text: &Option<Cow<'_, [u8]>>| text.as_deref().map(|text| Cow::Owned(text.to_vec()));
    let mut told = Vec::new();
    let mut new = ours.clone();
    if said_type(&ours) != said_type(theirs) {
        told.push(format!("type {} for {}", theirs.mbtype, ours.mbtype));
        new.set_type(theirs.mbtype, host.style.numbering);
    }
    let word = |text: &Option<Cow<'_, [u8]>>| text.as_deref().map_or("none".to_owned(), printable);
    for (what, mine, their, field) in [
        ("server", &ours.server, &theirs.server, &mut new.server),
        ("partition", &ours.partition, &theirs.partition, &mut new.partition),
    ] {
        if mine.as_deref() != their.as_deref() {
            told.push(format!("{what} {} for {}", word(their), word(mine)));
            *field = owned(their);
        }
    }
    if !ours.acl.pairs().eq(theirs.acl.pairs()) {
        told.push("another ACL".into());
        new.acl = theirs.acl.clone().into_owned();
    }
    if !told.is_empty() {
        let evidence = format!("the master says {}", told.join(", "));
        draft.propose(Rule::MasterDiffers, key, Some(encode(&new, host.style.numbering)), evidence);
    }
}

fn missing(
    draft: &mut Draft<'_, '_>,
    key: &[u8],
    master: &Master<'_, '_>,
    theirs: &Entry<'_>,
    host: &Host,
    family: Family,
) {
    let value = if master.style == host.style && theirs.family == family {
        theirs.raw.to_vec()
    } else {
        let mut new = Entry::new(family, theirs.name.clone().into_owned());
        let copy = theirs.clone().into_owned();
        new.set_type(copy.mbtype, host.style.numbering);
        (new.server, new.partition, new.acl) = (copy.server, copy.partition, copy.acl);
        new.mtime = Some(copy.mtime.unwrap_or(host.now));
        encode_as(&new, family, host.style.numbering)
    };
    let mut rule = Rule::MissingEntry;
    let mut evidence = "only the master has it".to_owned();
    if let Some((parent, byte)) = outsorted(draft, master, &theirs.name, host.style.keys) {
        rule = Rule::MissingSibling;
        evidence = format!(
            "only the master has it; Cyrus' resync takes such a name away with a deleted child of {parent}: its {:?} sorts \
             before '.' there and behind it in the database",
            char::from(byte)
        );
    }
    draft.propose(rule, key, Some(value), evidence);
}

/// The mailbox whose children sort otherwise against this name as '.'-names than as keys, and the byte that makes it so:
/// the resync of a frontend walks two lists as if they were sorted by '.'-names (`imap/mupdate-client.c`,
/// `imap/mupdate.c`, `mupdate_synchronize`).
fn outsorted(
    draft: &Draft<'_, '_>,
    master: &Master<'_, '_>,
    name: &Name<'_>,
    keys: KeyStyle,
) -> Option<(Name<'static>, u8)> {
    let internal = name.to_internal();
    let low = internal.iter().enumerate().filter(|&(index, &byte)| index > 0 && (b' '..b'.').contains(&byte));
    for (index, &byte) in low {
        let parent = Name::internal(internal.get(..index)?.to_vec());
        let known = Key::Mailbox(parent.clone()).encode(keys).is_some_and(|key| draft.get(&key).is_some());
        if known || master.has(&parent) {
            return Some((parent.into_owned(), byte));
        }
    }
    None
}

/// The family that most of a database's records are of.
pub fn family_of(counts: impl Fn(Family) -> u64) -> Family {
    if counts(Family::L1) > counts(Family::Dlist) { Family::L1 } else { Family::Dlist }
}
