//! What one part of a source gives for a target.

use std::borrow::Cow;

use super::index::{Index, Mailbox, Sorting};
use super::remarks::{Fate, Remark, Say};
use super::reverse_acl::ReverseAcls;
use super::{Converter, Held, era};
use crate::formats::container::{KeyOrder, Pair, Record};
use crate::formats::record::straight::Dumped;
use crate::formats::record::{Era, Family, Key, KeyStyle, Role};
use crate::formats::text::json_usual::{self, Usual};

/// A record that is no mailbox's own.
pub(super) type Other = (Vec<u8>, Vec<u8>);

/// A record under a JMAP id.
pub(super) struct ByJmapid<'a> {
    pub(super) key: Box<[u8]>,
    pub(super) mtime: u64,
    pub(super) held: Held<'a>,
}

/// What a part of the source is read for.
#[derive(Clone, Copy)]
pub(super) struct Task<'t> {
    pub(super) converter: &'t Converter,
    pub(super) racls: Option<&'t ReverseAcls>,
    pub(super) order: KeyOrder,
    pub(super) straight: bool,
}

impl<'t> Task<'t> {
    pub(super) fn sorting(&self) -> Sorting<'t> {
        Sorting { converter: self.converter, order: self.order }
    }
}

/// What one part of the source gives.
#[derive(Default)]
pub(super) struct Part<'a> {
    pub(super) mailboxes: Index<'a>,
    pub(super) jmapids: Vec<ByJmapid<'a>>,
    pub(super) others: Vec<Other>,
    /// The source's records under uniqueids.
    pub(super) indexed: Vec<Held<'a>>,
}

impl<'a> Part<'a> {
    /// Takes what a later part gave.
    pub(super) fn append(&mut self, mut later: Part<'a>, task: Task<'_>) {
        self.mailboxes.append(later.mailboxes, task.sorting());
        self.jmapids.append(&mut later.jmapids);
        self.others.append(&mut later.others);
        self.indexed.append(&mut later.indexed);
    }

    /// Takes a record of the source, and `usual`, if it was read as that already.
    pub(super) fn take(&mut self, record: Record<'a>, usual: Option<Usual<'a>>, task: Task<'_>, say: &mut Say<'_>) {
        let key = Key::decode(&record.key, task.converter.origin.style.keys);
        match key {
            Key::Mailbox(_) => self.take_mailbox(record, usual, task, say),
            // Hosts without mailboxes of their own have no such records.
            Key::Uniqueid(_) if task.converter.host.role.is_some_and(Role::is_remote_only) => {}
            Key::Uniqueid(_) => self.indexed.push(Held::new(record)),
            // These are made again from the entries.
            Key::Jmap { .. }
            | Key::ReverseAcl { .. }
            | Key::ReverseAclMarker
            | Key::UniqueidIndex { .. }
            | Key::UniqueidMarker => {}
            Key::UserGroup { .. } | Key::Version | Key::Unknown => self.take_other(&record, &key, task.converter, say),
        }
    }

    /// A record that is about no mailbox goes over as it stands, if the target's release knows it.
    fn take_other(&mut self, record: &Record<'a>, key: &Key<'_>, converter: &Converter, say: &mut Say<'_>) {
        let same = converter.origin.style.keys == converter.era.style().keys;
        let known = !matches!(key, Key::UserGroup { .. }) || converter.era >= Era::V3_12;
        if same && known && converter.host.role.is_none() {
            self.others.push((record.key.to_vec(), record.value.to_vec()));
        } else {
            let (name, value) = (Cow::Borrowed(&*record.key), Cow::Borrowed(&*record.value));
            let why = "a record of no mailbox, which the target has no place for";
            say(Remark { name, field: "record", value, fate: Fate::Lost, why });
        }
    }

    fn take_mailbox(&mut self, record: Record<'a>, usual: Option<Usual<'a>>, task: Task<'_>, say: &mut Say<'_>) {
        let Task { converter, racls, straight, .. } = task;
        let held = Held::new(record);
        let known = if straight { usual.or_else(|| json_usual::parse(held.value())) } else { None };
        if let Some(dumped) = known.and_then(|usual| Dumped::of(held.key(), usual, converter.era)) {
            let prefix = dumped.uniqueid().map(|id| task.sorting().prefix(id));
            let cuts = dumped.cuts();
            return self.mailboxes.push(Mailbox { held, cuts }, prefix, task.sorting());
        }
        let Some(entry) = converter.content(held.key(), held.value(), say) else { return };
        if converter.era.family() != Family::Dlist && !era::legacy_limits(&entry, say) {
            return;
        }
        if let Some(racls) = racls {
            racls.keys(&entry, |key| self.others.push((key, Vec::new())));
        }
        let uniqueid = entry.uniqueid.as_deref().filter(|id| !id.is_empty());
        if let Some(uniqueid) = uniqueid.filter(|_| converter.era == Era::V3_4) {
            let key = Key::UniqueidIndex { uniqueid, name: entry.name.clone() }.encode(KeyStyle::Plain);
            self.others.extend(key.map(|key| (key, Vec::new())));
        }
        let indexed = converter.era >= Era::V3_6 || converter.origin.style.keys == KeyStyle::Prefixed;
        let prefix = uniqueid.filter(|_| indexed).map(|id| task.sorting().prefix(id));
        let jmapid = entry.jmapid.as_deref().filter(|_| prefix.is_some() && converter.era >= Era::V3_13);
        if let Some(jmapid) = jmapid {
            let userid = entry.name.userid().unwrap_or_default();
            let key = Key::Jmap { userid: &userid, jmapid }.encode(KeyStyle::Prefixed);
            let mtime = entry.mtime.unwrap_or_default();
            self.jmapids.extend(key.map(|key| ByJmapid { key: key.into(), mtime, held: again(&held) }));
        }
        drop(entry);
        self.mailboxes.push(Mailbox { held, cuts: None }, prefix, task.sorting());
    }
}

/// The same record once more.
fn again<'a>(held: &Held<'a>) -> Held<'a> {
    match held {
        Held::Borrowed(key, value) => Held::Borrowed(key, value),
        Held::Owned(pair) => Held::Owned(pair.clone()),
    }
}
