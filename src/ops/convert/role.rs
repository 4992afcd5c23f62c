//! From the entry of one host to the entry that another host has of the same mailbox.
//!
//! On the mupdate master and on its frontends an entry is remote exactly when it names a server, and says no more than
//! MUPDATE carries: name, location, ACL, whether the name is only reserved (`imap/mupdate.c`, `cmd_set`).

use std::borrow::Cow;

use super::remarks::{ENTRY, Fate, Remark, Say};
use crate::formats::record::{Entry, Flag, Kind, MbType, Role};

/// The host an entry is meant for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Host {
    /// Its role; the source's if it is not told.
    pub role: Option<Role>,
    /// The backend whose local entries these are, or are to be.
    pub server: Option<Vec<u8>>,
}

/// What an entry without server can mean in its source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Bare {
    /// A mailbox of the source's host.
    #[default]
    Local,
    /// A location without `!`, on a master or frontend of a replicated murder: since 2.5 it stands in the server's place.
    Location,
    /// The server was lost: dumps of 2.5 leave it out.
    Lost,
}

/// The entry as the host has it; `None` if it has none of that mailbox.
pub fn place<'e>(entry: Entry<'e>, host: &Host, bare: Bare, say: &mut Say<'_>) -> Option<Entry<'e>> {
    match host.role {
        None => Some(entry),
        Some(Role::Master | Role::Frontend) => elsewhere(entry, host, bare, say),
        Some(Role::Backend | Role::Standalone) => here(entry, host, say),
        Some(Role::Unified) => unified(entry, host),
    }
}

fn remark<'r>(
    entry: &'r Entry<'_>,
    field: &'static str,
    value: Cow<'r, [u8]>,
    fate: Fate,
    why: &'static str,
) -> Remark<'r> {
    Remark { name: entry.name.to_internal(), field, value, fate, why }
}

/// Says of a whole entry what became of it.
fn whole(entry: &Entry<'_>, fate: Fate, why: &'static str, say: &mut Say<'_>) {
    say(remark(entry, ENTRY, entry.location(), fate, why));
}

/// Where a mailbox is that the entry does not call local.
fn locate(entry: &mut Entry<'_>, bare: Bare) {
    let partition = entry.partition.as_deref().is_some_and(|partition| !partition.is_empty());
    if entry.server.is_none() && partition && bare == Bare::Location {
        entry.server = entry.partition.take();
    }
}

/// The entry on a master or a frontend.
fn elsewhere<'e>(mut entry: Entry<'e>, host: &Host, bare: Bare, say: &mut Say<'_>) -> Option<Entry<'e>> {
    if entry.is_tombstone() {
        whole(&entry, Fate::LeftOut, "a deleted mailbox: only its own host keeps the record", say);
        return None;
    }
    if entry.is_intermediate() {
        whole(&entry, Fate::LeftOut, "a placeholder for a missing parent: only its own host keeps it", say);
        return None;
    }
    if entry.server.is_none() {
        match &host.server {
            Some(_) if entry.is_reserved() => {
                whole(&entry, Fate::LeftOut, "a reservation that a backend left behind: no mailbox", say);
                return None;
            }
            Some(server) if !entry.is_remote() => entry.server = Some(Cow::Owned(server.clone())),
            _ => locate(&mut entry, bare),
        }
    }
    if entry.server.is_none() {
        let why = match entry.is_remote() {
            true => "on another server, and no word on which: name a --witness",
            false => "a mailbox of its own host, and no word on which host that is: name it with --server",
        };
        whole(&entry, Fate::Unknown, why, say);
        return None;
    }
    let (reserved, acl) = (entry.is_reserved(), std::mem::take(&mut entry.acl));
    entry.mbtype = MbType::new(Kind::Mail).with(Flag::Remote);
    if reserved {
        entry.mbtype = entry.mbtype.with(Flag::Reserved);
        if !acl.is_empty() {
            say(remark(&entry, "acl", acl.to_text(), Fate::LeftOut, "a reservation has no ACL"));
        }
    } else {
        entry.acl = acl;
    }
    forget(&mut entry);
    Some(entry)
}

/// Takes away what MUPDATE does not carry.
fn forget(entry: &mut Entry<'_>) {
    (entry.uniqueid, entry.jmapid, entry.specialuse, entry.history_raw) = (None, None, None, None);
    (entry.uidvalidity, entry.foldermodseq, entry.createdmodseq) = (None, None, None);
}

/// The entry on the backend that `host` names, or on the source's own host.
fn here<'e>(mut entry: Entry<'e>, host: &Host, say: &mut Say<'_>) -> Option<Entry<'e>> {
    let own = match (&entry.server, &host.server) {
        (None, _) => !entry.is_remote(),
        (Some(server), Some(own)) => server.eq_ignore_ascii_case(own),
        (Some(_), None) => false,
    };
    if entry.server.is_none() && entry.is_remote() {
        whole(&entry, Fate::Unknown, "on another server, and no word on which: name a --witness", say);
        return None;
    }
    if entry.server.is_none() || entry.is_moving() && !own {
        return Some(entry);
    }
    if !own {
        whole(&entry, Fate::LeftOut, "a mailbox of another server", say);
        return None;
    }
    if entry.is_reserved() {
        whole(&entry, Fate::LeftOut, "a reservation: the mailbox does not exist", say);
        return None;
    }
    entry.server = None;
    entry.mbtype = entry.mbtype.without(Flag::Remote).without(Flag::Moving);
    if entry.partition.as_deref().unwrap_or_default().is_empty() {
        entry.partition = None;
        say(remark(&entry, "partition", Cow::Borrowed(b""), Fate::Unknown, "the master does not know it"));
    }
    Some(entry)
}

/// The entry on a frontend that is a backend too.
fn unified<'e>(mut entry: Entry<'e>, host: &Host) -> Option<Entry<'e>> {
    let own = match (&entry.server, &host.server) {
        (Some(server), Some(own)) => server.eq_ignore_ascii_case(own),
        _ => return Some(entry),
    };
    if own {
        entry.server = None;
        entry.mbtype = entry.mbtype.without(Flag::Remote);
    } else if !entry.is_moving() && !entry.is_tombstone() {
        entry.mbtype = entry.mbtype.with(Flag::Remote);
    }
    Some(entry)
}

/// What a dump without types leaves open, or a database of 2.0 to 2.4 says in other words, as newer releases say it.
pub fn complete(entry: &mut Entry<'_>, typeless: bool, bare: Bare) {
    if typeless && entry.server.is_some() {
        entry.mbtype = entry.mbtype.with(Flag::Remote);
    }
    if entry.is_remote() {
        locate(entry, bare);
    }
}
