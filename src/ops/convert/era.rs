//! From an entry to what a release series can hold of it.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::remarks::{ENTRY, Fate, Remark, Say};
use crate::formats::record::{Acl, Entry, Era, Family, Flag, Kind, MbType, Rights, rights};

/// The entry as far as `era` can hold it, still laid out as its source has it; `None` if it can hold nothing of it. `now` is
/// the time of writing, in seconds since 1970, for entries whose source tells none.
pub fn fit<'e>(mut entry: Entry<'e>, from: Option<Era>, era: Era, now: u64, say: &mut Say<'_>) -> Option<Entry<'e>> {
    let gone = match () {
        () if entry.is_tombstone() && era < Era::V2_5 => {
            Some("a deleted mailbox: releases before 2.5 keep no record of it")
        }
        () if entry.is_intermediate() && era < Era::V3_2 => {
            Some("a placeholder for a missing parent: releases before 3.2 have none")
        }
        () if entry.name.to_internal().len() > era.name_len_max() => Some("the name is longer than the release allows"),
        () => None,
    };
    if let Some(why) = gone {
        say(lost(&entry, ENTRY, entry.location(), why));
        return None;
    }
    fit_type(&mut entry, era, say);
    fit_acl(&mut entry, from, era, say);
    fit_fields(&mut entry, era, say);
    if era >= Era::V2_5 && entry.mtime.is_none() {
        entry.mtime = Some(now);
    }
    if era >= Era::V2_3 && era < Era::V2_5 && entry.partition.is_none() && entry.server.is_some() {
        // A location without '!' is not remote to the mupdate of 2.3 and 2.4.
        entry.mbtype = entry.mbtype.without(Flag::Remote);
    }
    Some(entry)
}

fn lost<'r>(entry: &'r Entry<'_>, field: &'static str, value: Cow<'r, [u8]>, why: &'static str) -> Remark<'r> {
    Remark { name: entry.name.to_internal(), field, value, fate: Fate::Lost, why }
}

fn fit_type(entry: &mut Entry<'_>, era: Era, say: &mut Say<'_>) {
    let mbtype = entry.mbtype;
    let letter = |letter: u8| Cow::Owned(vec![letter]);
    if mbtype.kind != Kind::Mail && !era.knows_letter(mbtype.kind.letter()) {
        say(lost(entry, "mbtype", letter(mbtype.kind.letter()), "the release has no such type"));
        entry.mbtype.kind = Kind::Mail;
    }
    for flag in mbtype.flags.iter().filter(|flag| !era.knows_letter(flag.letter())) {
        // All folders are laid out by name up to 3.4: the flag says what goes without saying.
        if flag != Flag::LegacyDirs {
            say(lost(entry, "mbtype", letter(flag.letter()), "the release has no such flag"));
        }
        entry.mbtype = entry.mbtype.without(flag);
    }
    if mbtype.unknown.is_empty() {
        return;
    }
    let plain = MbType { unknown: Default::default(), ..entry.mbtype };
    if mbtype.unknown.bits() != 0 && era >= Era::V2_5 {
        let bits = mbtype.unknown.bits().to_string().into_bytes();
        say(lost(entry, "mbtype", Cow::Owned(bits), "bits of a number that have no letter"));
        entry.mbtype = plain;
    }
    let letters: Vec<u8> = mbtype.unknown.letters().collect();
    if !letters.is_empty() && (era >= Era::V3_6 || era < Era::V2_5) {
        let why = "letters without meaning: releases since 3.6 die of them, numbers have none";
        say(lost(entry, "mbtype", Cow::Owned(letters), why));
        entry.mbtype = plain;
    }
}

/// Gives the rights the letters of the release.
fn fit_acl(entry: &mut Entry<'_>, from: Option<Era>, era: Era, say: &mut Say<'_>) {
    let up = era >= Era::V2_3 && from.is_some_and(|from| from < Era::V2_3);
    let down = era < Era::V2_5 && from.is_none_or(|from| from > era);
    let changes = |pair: &[u8]| translated(pair, up, era).is_some();
    if !(up || down) || !entry.acl.pairs().any(|pair| changes(&pair.rights)) {
        return;
    }
    let mut less = false;
    let pairs = entry.acl.pairs().map(|pair| match translated(&pair.rights, up, era) {
        Some((rights, whole)) => {
            less |= !whole;
            (pair.identifier, Cow::Owned(rights))
        }
        None => (pair.identifier, pair.rights),
    });
    let acl = Acl::from_pairs(pairs);
    if less {
        say(lost(entry, "acl", entry.acl.to_text(), "rights that the release does not have"));
    }
    entry.acl = acl;
}

/// The rights in the letters of `era`, and whether they still say the same; `None` if they stay as they are.
fn translated(letters: &[u8], up: bool, era: Era) -> Option<(Vec<u8>, bool)> {
    if letters.is_empty() || Rights::first_unknown(letters).is_some() {
        return None;
    }
    let rights = Rights::new(letters);
    let (new, whole) = if up {
        // Entries that a newer release sent to an old master have the newer letters already.
        if rights.has_any(b"kxten") {
            return None;
        }
        (rights.from_2_2(b'c'), true)
    } else if era < Era::V2_3 {
        let old = rights.for_2_2();
        (old, rights.fits_2_2() || old.from_2_2(b'c') == rights)
    } else {
        (rights.only(rights::UP_TO_2_4), !rights.has(b'n'))
    };
    (new != rights).then(|| (new.letters(), whole))
}

fn fit_fields(entry: &mut Entry<'_>, era: Era, say: &mut Say<'_>) {
    const NO_FIELD: &str = "the release has no such field";
    let number = |number: u64| Cow::Owned(number.to_string().into_bytes());
    let numbers = [
        ("uidvalidity", entry.uidvalidity, Era::V2_5),
        ("mtime", entry.mtime, Era::V2_5),
        ("foldermodseq", entry.foldermodseq, Era::V3_0),
        ("createdmodseq", entry.createdmodseq, Era::V3_2),
    ];
    for (field, value, since) in numbers {
        if let Some(value) = value.filter(|&value| value != 0 && era < since) {
            say(lost(entry, field, number(value), NO_FIELD));
        }
    }
    let texts = [
        ("uniqueid", &entry.uniqueid, Era::V2_5),
        ("jmapId", &entry.jmapid, Era::V3_13),
        ("name_history", &entry.history_raw, Era::V3_6),
    ];
    for (field, value, since) in texts {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty() && era < since) {
            say(lost(entry, field, Cow::Borrowed(value), NO_FIELD));
        }
    }
    if let Some(value) = entry.specialuse.as_deref().filter(|value| !value.is_empty()) {
        say(lost(entry, "legacy_specialuse", Cow::Borrowed(value), "no release keeps it in mailboxes.db"));
    }
    if era < Era::V2_5 {
        for field in &entry.unknown {
            say(lost(entry, "unknown", Cow::Borrowed(&field.raw), NO_FIELD));
        }
    }
    forget_newer(entry, era);
    if entry.family != Family::Dlist || era < Era::V2_5 {
        entry.unknown.clear();
    }
}

fn forget_newer(entry: &mut Entry<'_>, era: Era) {
    entry.specialuse = None;
    if era < Era::V2_5 {
        (entry.uniqueid, entry.uidvalidity, entry.mtime) = (None, None, None);
    }
    if era < Era::V3_0 {
        entry.foldermodseq = None;
    }
    if era < Era::V3_2 {
        entry.createdmodseq = None;
    }
    if era < Era::V3_6 {
        entry.history_raw = None;
    }
    if era < Era::V3_13 {
        entry.jmapid = None;
    }
}

/// What a value of 2.0 to 2.4 can't hold of an entry: nothing in it is escaped.
pub fn legacy_limits(entry: &Entry<'_>, say: &mut Say<'_>) -> bool {
    let words = [("server", &entry.server), ("partition", &entry.partition)];
    let bad = |word: &[u8]| word.find_byteset(b" \t!\n\r\0").is_some();
    let found = words.into_iter().find_map(|(field, word)| word.as_deref().filter(|w| bad(w)).map(|w| (field, w)));
    if let Some((field, word)) = found {
        say(lost(entry, field, Cow::Borrowed(word), "a blank or '!' ends the field"));
        return false;
    }
    true
}
