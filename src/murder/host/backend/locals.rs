//! A backend's own mailboxes: the records of its database, and what a change of a mailbox changes in them.

use std::collections::BTreeMap;

use crate::formats::record::{
    Acl, Context, Entry, Era, Family, Flag, Form, Former, Key, Kind, MbType, Name, Scope, Under, decode, each_right,
    encode, write_history,
};
use crate::murder::host::Keep;
use crate::murder::node::push::Own;
use crate::murder::store::durable::form;
use crate::ops::push::{Local, State};

/// A mailbox's entry.
pub type Mailbox = Entry<'static>;

/// The mailboxes of a backend, in the order of its database.
#[derive(Clone, Debug)]
pub struct Locals {
    era: Era,
    form: Form,
    /// By name as the database spells it.
    entries: BTreeMap<Vec<u8>, Mailbox>,
    /// Former names by uniqueid, as the records under uniqueids spell them.
    histories: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What is needed to keep reverse ACLs, if the database keeps them.
    reverse: Option<Context>,
}

impl Locals {
    /// What these records of a release say.
    pub fn new(records: &[(Vec<u8>, Vec<u8>)], era: Era) -> Locals {
        let (style, form) = (era.style(), form(era));
        let marker = Key::ReverseAclMarker.encode(style.keys);
        let reverse = records.iter().any(|(key, _)| Some(key) == marker.as_ref());
        let reverse = reverse.then(|| Context::new(style, |_| true));
        let (mut entries, mut histories) = (BTreeMap::new(), BTreeMap::new());
        for (key, value) in records {
            let decoded = decode(key, value, &style);
            match (decoded.key, decoded.entry) {
                (Key::Mailbox(name), Some(entry)) => {
                    entries.insert(name.spelt(form).into_owned(), entry.into_owned());
                }
                (Key::Uniqueid(id), Some(Entry { history_raw: Some(history), .. })) if !history.is_empty() => {
                    histories.insert(id.to_vec(), history.into_owned());
                }
                _ => {}
            }
        }
        Locals { era, form, entries, histories, reverse }
    }

    fn key(&self, name: &[u8]) -> Vec<u8> {
        Name::internal(name).spelt(self.form).into_owned()
    }

    /// The record of a name, whatever it says.
    pub fn record(&self, name: &[u8]) -> Option<&Mailbox> {
        self.entries.get(&self.key(name))
    }

    /// The mailbox of that name.
    pub fn mailbox(&self, name: &[u8]) -> Option<&Mailbox> {
        self.record(name).filter(|entry| is_mailbox(entry))
    }

    /// All mailboxes, in the order of the database.
    pub fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.entries.values().filter(|entry| is_mailbox(entry))
    }

    /// The names of the mailboxes below this one.
    pub fn below(&self, name: &[u8]) -> Vec<Vec<u8>> {
        let mut prefix = self.key(name);
        prefix.push(self.form.separator());
        let range = self.entries.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        let names = range.filter(|(_, entry)| is_mailbox(entry));
        names.map(|(_, entry)| entry.name.to_internal().into_owned()).collect()
    }

    /// All records as a push looks at them.
    pub fn own(&self) -> Vec<Own> {
        let own = |entry: &Mailbox| {
            let Local { state, partition, acl } = Local::of(entry);
            let (partition, acl) = (partition.into_owned().into(), acl.into_owned().into());
            (entry.name.to_internal().into_owned(), Local { state, partition, acl })
        };
        self.entries.values().map(own).collect()
    }

    /// A mailbox that is not there yet, as this release writes it at that time.
    pub fn make(&self, name: &[u8], partition: &[u8], acl: &[u8], uniqueid: Vec<u8>, now: u64) -> Mailbox {
        let mut entry = Entry::new(Family::Dlist, Name::internal(name.to_vec()).into_form(self.form));
        entry.mbtype = MbType::new(Kind::Mail);
        entry.partition = Some(partition.to_vec().into());
        entry.acl = Acl::text(acl.to_vec());
        entry.uniqueid = Some(uniqueid.into());
        entry.uidvalidity = Some(now);
        entry.createdmodseq = Some(1);
        entry.foldermodseq = Some(1);
        entry.mtime = Some(now);
        entry
    }

    /// The same mailbox under another name, which it has from that time on.
    pub fn renamed(&self, entry: &Mailbox, name: &[u8], now: u64) -> Mailbox {
        let mut renamed = entry.clone();
        let quotes = self.era.quotes_separators();
        let known = entry.uniqueid.as_deref().and_then(|id| self.histories.get(id));
        let mut history = write_history([former(entry, now)], quotes);
        if let Some(former) = known {
            history.push(b' ');
            history.extend_from_slice(former);
        }
        renamed.history_raw = Some(history.into());
        renamed.name = Name::internal(name.to_vec()).into_form(self.form);
        renamed.mtime = Some(now);
        renamed
    }

    /// What is left of a deleted mailbox.
    pub fn tombstone(mut entry: Mailbox, now: u64) -> Mailbox {
        entry.mbtype = entry.mbtype.with(Flag::Deleted);
        entry.partition = None;
        entry.acl = Acl::default();
        entry.history_raw = None;
        entry.mtime = Some(now);
        entry
    }

    /// What has to be kept so that `name` is what `entry` says; `None` if nothing is to be left of it.
    pub fn keeps(&self, name: &[u8], entry: Option<&Mailbox>) -> Vec<Keep> {
        let before = self.record(name);
        let mut keeps = Vec::new();
        let gone: Vec<Vec<u8>> = before.map(|entry| self.index(entry)).unwrap_or_default();
        let come: Vec<Vec<u8>> = entry.map(|entry| self.index(entry)).unwrap_or_default();
        let record = |key: Vec<u8>, value: Option<Vec<u8>>| Keep::Record { key, value };
        keeps.extend(gone.iter().filter(|key| !come.contains(key)).map(|key| record(key.clone(), None)));
        keeps.extend(come.iter().filter(|key| !gone.contains(key)).map(|key| record(key.clone(), Some(Vec::new()))));
        let style = self.era.style();
        let own = Key::Mailbox(Name::internal(name).into_form(self.form)).encode(style.keys);
        let value = entry.map(|entry| {
            let mut plain = entry.clone();
            plain.history_raw = None;
            encode(&plain.as_written_in(self.era), style.numbering)
        });
        keeps.extend(own.map(|key| record(key, value)));
        keeps.extend(entry.and_then(|entry| self.by_uniqueid(entry)));
        keeps
    }

    /// The record under a mailbox's uniqueid, which releases since 3.6 write.
    pub fn by_uniqueid(&self, entry: &Mailbox) -> Option<Keep> {
        let style = self.era.style();
        let id = entry.uniqueid.as_deref().filter(|_| self.era >= Era::V3_6 && entry.is_local())?;
        let key = Key::Uniqueid(id).encode(style.keys)?;
        let mut indexed = entry.clone();
        indexed.under = Under::Uniqueid;
        if indexed.history_raw.is_none() {
            indexed.history_raw = Some(self.histories.get(id).cloned().unwrap_or_default().into());
        }
        Some(Keep::Record { key, value: Some(encode(&indexed.as_written_in(self.era), style.numbering)) })
    }

    /// The keys of the index of reverse ACLs that an entry has.
    fn index(&self, entry: &Mailbox) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let Some(context) = self.reverse.as_ref().filter(|_| is_mailbox(entry)) else { return keys };
        let scope = Scope::of(&entry.name);
        each_right(entry, context, &mut |user| {
            let key = Key::ReverseAcl { scope, user, name: entry.name.clone() };
            keys.extend(key.encode(context.style.keys));
        });
        keys
    }

    /// `name` is from now on what `entry` says.
    pub fn set(&mut self, name: &[u8], entry: Option<Mailbox>) {
        let key = self.key(name);
        match entry {
            Some(mut entry) => {
                if let (Some(id), Some(history)) = (entry.uniqueid.as_deref(), entry.history_raw.take()) {
                    self.histories.insert(id.to_vec(), history.into_owned());
                }
                self.entries.insert(key, entry);
            }
            None => drop(self.entries.remove(&key)),
        }
    }
}

/// Whether an entry is a mailbox that clients see.
fn is_mailbox(entry: &Mailbox) -> bool {
    Local::of(entry).state == State::Mailbox && entry.is_local()
}

/// The name that a mailbox had until now.
fn former(entry: &Mailbox, now: u64) -> Former<'_> {
    Former {
        name: entry.name.clone(),
        mtime: Some(now),
        uidvalidity: entry.uidvalidity,
        createdmodseq: entry.createdmodseq,
        foldermodseq: entry.foldermodseq,
        mbtype: MbType::new(Kind::Mail).with(Flag::Deleted),
        partition: None,
    }
}
