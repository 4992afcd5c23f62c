//! What a list says of a mailbox, as far as it matters to who has it.

use std::borrow::Cow;

use crate::formats::record::Entry;

/// What a backend's record, or the base's, says of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Standing {
    /// The mailbox is on this backend; of the base: on the server that it names.
    Mailbox,
    /// It is on this backend, flagged by a transfer to another.
    Moving,
    /// Its name is taken, and there is no mailbox.
    Reserved,
    /// It was on this backend, and was deleted.
    Tombstone,
    /// It stands in for a missing parent.
    Intermediate,
    /// It is on another server, as far as this backend knows.
    Elsewhere,
    /// The record can't be read.
    Unreadable,
}

impl Standing {
    /// All of them.
    pub const ALL: [Standing; 7] = [
        Standing::Mailbox,
        Standing::Moving,
        Standing::Reserved,
        Standing::Tombstone,
        Standing::Intermediate,
        Standing::Elsewhere,
        Standing::Unreadable,
    ];

    /// The word printed and used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Mailbox => "mailbox",
            Standing::Moving => "moving",
            Standing::Reserved => "reserved",
            Standing::Tombstone => "tombstone",
            Standing::Intermediate => "intermediate",
            Standing::Elsewhere => "elsewhere",
            Standing::Unreadable => "unreadable",
        }
    }

    /// Whether the mailbox itself is there.
    pub fn holds(self) -> bool {
        matches!(self, Standing::Mailbox | Standing::Moving)
    }

    /// What the record of the backend `name` says.
    pub fn of_backend(entry: Option<&Entry<'_>>, name: &[u8]) -> Standing {
        let Some(entry) = entry else { return Standing::Unreadable };
        let other = entry.server.as_deref().is_some_and(|server| !server.eq_ignore_ascii_case(name));
        match () {
            () if entry.is_tombstone() => Standing::Tombstone,
            () if entry.is_intermediate() => Standing::Intermediate,
            () if entry.is_reserved() => Standing::Reserved,
            () if entry.is_moving() => Standing::Moving,
            () if other || entry.is_remote() && entry.server.is_none() => Standing::Elsewhere,
            () => Standing::Mailbox,
        }
    }

    /// What the record of a master or frontend says.
    pub fn of_base(entry: Option<&Entry<'_>>) -> Standing {
        match entry {
            None => Standing::Unreadable,
            Some(entry) if entry.is_tombstone() => Standing::Tombstone,
            Some(entry) if entry.is_intermediate() => Standing::Intermediate,
            Some(entry) if entry.is_reserved() => Standing::Reserved,
            Some(_) => Standing::Mailbox,
        }
    }
}

/// What one list says of a mailbox.
#[derive(Clone, Debug)]
pub struct Claim<'e> {
    /// The number of the list; the base has the number behind the last backend's.
    pub list: usize,
    /// What its record says.
    pub standing: Standing,
    /// The record; `None` if it can't be read.
    pub entry: Option<Entry<'e>>,
}

impl Claim<'_> {
    /// The server that the record names.
    pub fn server(&self) -> Option<&[u8]> {
        self.entry.as_ref()?.server.as_deref()
    }

    /// The partition that the record names; empty if it names none.
    pub fn partition(&self) -> &[u8] {
        self.entry.as_ref().and_then(|entry| entry.partition.as_deref()).unwrap_or_default()
    }

    /// The ACL in text form.
    pub fn acl(&self) -> Cow<'_, [u8]> {
        self.entry.as_ref().map(|entry| entry.acl.to_text()).unwrap_or_default()
    }

    /// When the record was written, in seconds since 1970; 0 if it does not tell.
    pub fn mtime(&self) -> u64 {
        self.entry.as_ref().and_then(|entry| entry.mtime).unwrap_or_default()
    }
}
