//! Records under uniqueids, which since 3.6 every mailbox has beside its own.

use std::borrow::Cow;

use super::draft::Draft;
use super::rules::Rule;
use crate::formats::record::{Entry, Family, Flag, Key, KeyStyle, Name, Numbering, Under, encode};
use crate::render::text::printable;

/// Up to this part of the records under uniqueids (one in so many) can be orphans without being asked about.
const FEW: usize = 10;
/// So few orphans are never too many.
const ALWAYS: usize = 10;

fn encoded(entry: &Entry<'_>) -> Option<Vec<u8>> {
    Some(encode(entry, Numbering::New))
}

fn key_of_name(name: &Name<'_>) -> Vec<u8> {
    Key::Mailbox(name.clone()).encode(KeyStyle::Prefixed).unwrap_or_default()
}

fn key_of_id(id: &[u8]) -> Vec<u8> {
    Key::Uniqueid(id).encode(KeyStyle::Prefixed).unwrap_or_default()
}

/// Checks all records under uniqueids against the mailboxes.
pub fn all(draft: &mut Draft<'_, '_>) {
    let template = template(draft);
    let (mut mailboxes, mut ids) = (Vec::new(), Vec::new());
    draft.walk(&mut |key, _, _| match Key::decode(key, KeyStyle::Prefixed) {
        Key::Mailbox(_) => mailboxes.push(key.to_vec()),
        Key::Uniqueid(_) => ids.push(key.to_vec()),
        _ => {}
    });
    mailboxes.iter().for_each(|key| mailbox(draft, key, template.as_ref()));
    indexed(draft, &ids);
}

/// Makes the records under uniqueids follow the mailboxes' own that were changed.
pub fn follow(draft: &mut Draft<'_, '_>) {
    let template = template(draft);
    let mut ids = Vec::new();
    for key in draft.changed() {
        if let Key::Mailbox(_) = Key::decode(&key, KeyStyle::Prefixed) {
            mailbox(draft, &key, template.as_ref());
        }
    }
    // A mailbox's record that went leaves one under its uniqueid.
    let gone = draft.changes.iter().filter(|change| change.to.is_none());
    for change in gone {
        let from = change.from.as_deref().unwrap_or_default();
        let before = crate::formats::record::decode(&change.key, from, &draft.style).entry;
        ids.extend(
            before.filter(|entry| entry.under == Under::Name).and_then(|entry| Some(key_of_id(&entry.uniqueid?))),
        );
    }
    indexed(draft, &ids);
}

/// A record under a uniqueid that shows how this database's writer spells one.
fn template(draft: &Draft<'_, '_>) -> Option<Entry<'static>> {
    let shows = |key: &[u8]| matches!(Key::decode(key, KeyStyle::Prefixed), Key::Uniqueid(_));
    let key = draft.first(&|key, value| shows(key) && value.contains(&0x1F))?;
    draft.entry(&key)
}

/// Checks that a mailbox's own record has the right one under its uniqueid.
fn mailbox(draft: &mut Draft<'_, '_>, key: &[u8], template: Option<&Entry<'static>>) {
    let Some(own) = draft.entry(key) else { return };
    let Some(id) = own.uniqueid.clone() else { return };
    if own.is_tombstone() && draft.get(&key_of_id(&id)).is_none() {
        return;
    }
    let key_of_record = key_of_id(&id);
    let shown = printable(&id);
    let Some(record) = draft.entry(&key_of_record) else {
        if draft.get(&key_of_record).is_none() {
            let evidence = format!("{} has the uniqueid {shown}, and there is no record under it", own.name);
            draft.propose(Rule::UniqueidRecord, &key_of_record, encoded(&new_under_uniqueid(&own, template)), evidence);
        }
        return;
    };
    if record.name == own.name {
        let fields = own.differing_identity(&record);
        if !fields.is_empty() {
            let fields: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
            let evidence =
                format!("{} says otherwise: {}; the record under the name counts", own.name, fields.join(", "));
            let to = encoded(&under_uniqueid(&own, &record));
            draft.propose(Rule::UniqueidDiffers, &key_of_record, to, evidence);
        }
        return;
    }
    if own.is_tombstone() || record.name.is_empty() {
        return;
    }
    let other = draft.entry(&key_of_name(&record.name));
    if other.is_some_and(|other| other.uniqueid == own.uniqueid && !other.is_tombstone()) {
        let evidence = format!("has the uniqueid {shown} that {} has too, as the record under it says", record.name);
        let mut without = own;
        without.uniqueid = None;
        draft.propose(Rule::UniqueidTwice, key, encoded(&without), evidence);
    } else {
        let evidence = format!("says {}, but it is {} that has this uniqueid", record.name, own.name);
        let to = encoded(&under_uniqueid(&own, &record));
        draft.propose(Rule::UniqueidDiffers, &key_of_record, to, evidence);
    }
}

/// A new record under a mailbox's uniqueid, spelt as `template` is.
fn new_under_uniqueid(own: &Entry<'_>, template: Option<&Entry<'static>>) -> Entry<'static> {
    let empty = || Entry::new(Family::Dlist, own.name.clone().into_owned());
    let mut record = under_uniqueid(own, &template.cloned().unwrap_or_else(empty));
    let copy = own.clone().into_owned();
    (record.mtime, record.jmapid) = (copy.mtime, copy.jmapid);
    record.history_raw = Some(Cow::Borrowed(b""));
    record
}

/// A record under a mailbox's uniqueid that says what the mailbox's own does; time and history stay what they are.
fn under_uniqueid(own: &Entry<'_>, known: &Entry<'_>) -> Entry<'static> {
    let mut record = known.clone().into_owned();
    let copy = own.clone().into_owned();
    record.under = Under::Uniqueid;
    record.name = copy.name;
    record.set_type(copy.mbtype, Numbering::New);
    (record.partition, record.server, record.uniqueid) = (copy.partition, copy.server, copy.uniqueid);
    (record.uidvalidity, record.createdmodseq) = (copy.uidvalidity, copy.createdmodseq);
    (record.foldermodseq, record.acl) = (copy.foldermodseq, copy.acl);
    record
}

/// Checks that these records under uniqueids belong to mailboxes.
fn indexed(draft: &mut Draft<'_, '_>, keys: &[Vec<u8>]) {
    let mut orphans = Vec::new();
    for key in keys {
        let Some(record) = draft.entry(key) else { continue };
        if record.name.is_empty() {
            draft.propose(Rule::Nameless, key, None, "names no mailbox: Cyrus can't use it");
            continue;
        }
        let own = draft.entry(&key_of_name(&record.name)).filter(|own| own.uniqueid == record.uniqueid);
        if own.is_none_or(|own| record.is_tombstone() && !own.is_tombstone()) {
            orphans.push((key, record));
        }
    }
    let many = orphans.len() > ALWAYS && orphans.len().saturating_mul(FEW) > keys.len();
    for (key, record) in orphans {
        let evidence = format!(
            "says {}, and there is no such mailbox with this uniqueid: a CREATE that failed, or a DELETE by 3.6.0 or 3.6.1",
            record.name
        );
        let own = key_of_name(&record.name);
        if draft.may(Rule::UniqueidResurrect) && !record.is_tombstone() && draft.get(&own).is_none() {
            draft.change(Rule::UniqueidResurrect, &own, encoded(&under_name(&record)), evidence);
        } else if many && !draft.is_named(Rule::UniqueidOrphan) {
            let evidence = format!("{evidence}; but of so many the mailboxes' own records may be what is lost");
            draft.leave(Rule::UniqueidOrphan, key, evidence);
        } else {
            draft.propose(Rule::UniqueidOrphan, key, None, evidence);
        }
    }
}

/// The mailbox's own record that one under a uniqueid tells of.
fn under_name(record: &Entry<'_>) -> Entry<'static> {
    let mut own = Entry::new(Family::Dlist, record.name.clone().into_owned());
    own.set_type(record.mbtype.without(Flag::Deleted), Numbering::New);
    let copy = record.clone().into_owned();
    (own.uniqueid, own.partition, own.server, own.jmapid) = (copy.uniqueid, copy.partition, copy.server, copy.jmapid);
    (own.uidvalidity, own.createdmodseq, own.foldermodseq) = (copy.uidvalidity, copy.createdmodseq, copy.foldermodseq);
    (own.mtime, own.acl) = (copy.mtime, copy.acl);
    own
}
