//! What a backend that pushes its list to the mupdate master decides for each mailbox: `ctl_mboxlist -m`.
//!
//! The table is that of `imap/ctl_mboxlist.c` (`mupdate_list_cb` and `dump_cb`), as 3.6.1 was seen to follow it; releases since
//! 2.2 differ in nothing that is decided here. The master is asked for all whose location starts with `SERVER!`, and with
//! FIND about any other mailbox that the backend has.
//!
//! | the backend has | the master says here | the master says elsewhere | the master knows nothing |
//! |---|---|---|---|
//! | a mailbox | nothing, or Force Activate if location or ACL differ or it is only reserved | **Remove Local Mailbox** | Force Activate |
//! | a mailbox flagged moving | Remove remote flag on | **Remove Local Mailbox** | Remove remote flag on |
//! | a reservation | Remove from MUPDATE, then Force Activate | **Remove Local Mailbox** | Force Activate |
//! | a tombstone or placeholder | Remove from MUPDATE | nothing | nothing |
//! | no record | Remove from MUPDATE | – | – |
//!
//! With `-a` the master is not believed: elsewhere counts as nothing known. A unified server (`mupdate_config: unified`)
//! removes no local mailbox.
//!
//! Order of a run: what is removed from MUPDATE comes first, in the reverse of the order that the master lists it in; then
//! the rest as the backend's database orders it ([`Decision::is_removal`] tells the two apart).

use std::borrow::Cow;

use crate::formats::record::Entry;

/// What a backend's own record says of a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Local<'e> {
    /// What kind of record it is.
    pub state: State,
    /// Its partition; of a mailbox flagged moving, where it was to go.
    pub partition: Cow<'e, [u8]>,
    /// Its ACL in text form.
    pub acl: Cow<'e, [u8]>,
}

/// What kind of record a backend has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// A mailbox.
    Mailbox,
    /// A mailbox that a transfer flagged.
    Moving,
    /// A name that was taken for a mailbox that was not made.
    Reserved,
    /// What is left of a deleted mailbox, or stands in for a missing parent.
    Gone,
}

/// What the master says of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed<'e> {
    /// `server!partition`, as MUPDATE carries it.
    pub location: Cow<'e, [u8]>,
    /// ACL in text form; `None` if the name is only reserved.
    pub acl: Option<Cow<'e, [u8]>>,
}

/// How a backend pushes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    /// `-a`: the backend's list counts, whatever the master says.
    pub authoritative: bool,
    /// Whether the backend is a unified server.
    pub unified: bool,
}

/// What is done about a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Decision {
    /// Both agree.
    Nothing,
    /// The master is told to forget it.
    RemoveFromMupdate,
    /// The master is told to forget a reservation, then told of it again.
    Renew,
    /// The master is told of it.
    ForceActivate,
    /// The backend takes it for its own again, and tells the master.
    RemoveRemoteFlag,
    /// The backend deletes the mailbox and all that is in it.
    RemoveLocal,
}

impl<'e> Local<'e> {
    /// What a backend's entry says.
    pub fn of(entry: &'e Entry<'_>) -> Self {
        let state = match () {
            () if entry.is_tombstone() || entry.is_intermediate() => State::Gone,
            () if entry.is_reserved() => State::Reserved,
            () if entry.is_moving() => State::Moving,
            () => State::Mailbox,
        };
        let partition = Cow::Borrowed(entry.partition.as_deref().unwrap_or_default());
        Local { state, partition, acl: entry.acl.to_text() }
    }
}

impl<'e> Listed<'e> {
    /// What a master's entry says: `server!partition`, even if the partition is empty.
    pub fn of(entry: &'e Entry<'_>) -> Self {
        let location = match (&entry.server, &entry.partition) {
            (Some(server), Some(partition)) => Cow::Owned([server, &b"!"[..], partition].concat()),
            _ => entry.location(),
        };
        Listed { location, acl: (!entry.is_reserved()).then(|| entry.acl.to_text()) }
    }

    /// Whether it is on `server`: locations are compared byte by byte, up to the `!`.
    pub fn is_on(&self, server: &[u8]) -> bool {
        self.location.strip_prefix(server).is_some_and(|rest| rest.first() == Some(&b'!'))
    }
}

impl Decision {
    /// The words that Cyrus prints (with `-w`) and logs, before a colon and the mailbox's internal name; none where nothing is done.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Decision::Nothing => &[],
            Decision::RemoveFromMupdate => &["Remove from MUPDATE"],
            Decision::Renew => &["Remove from MUPDATE", "Force Activate"],
            Decision::ForceActivate => &["Force Activate"],
            Decision::RemoveRemoteFlag => &["Remove remote flag on"],
            Decision::RemoveLocal => &["Remove Local Mailbox"],
        }
    }

    /// Whether the master is told to forget the name, which Cyrus does before all else.
    pub fn is_removal(self) -> bool {
        matches!(self, Decision::RemoveFromMupdate | Decision::Renew)
    }

    /// Whether a mailbox with its messages is deleted.
    pub fn wipes(self) -> bool {
        self == Decision::RemoveLocal
    }
}

/// What the backend `server` does about one name; `None` is no record of it.
pub fn decide(server: &[u8], local: Option<&Local<'_>>, master: Option<&Listed<'_>>, manner: Manner) -> Decision {
    let here = master.filter(|listed| listed.is_on(server));
    let elsewhere = here.is_none() && master.is_some() && !manner.authoritative;
    match (local.map(|local| local.state), here) {
        (None | Some(State::Gone), Some(_)) => Decision::RemoveFromMupdate,
        (None | Some(State::Gone), None) => Decision::Nothing,
        (Some(_), None) if elsewhere && manner.unified => Decision::Nothing,
        (Some(_), None) if elsewhere => Decision::RemoveLocal,
        (Some(State::Reserved), Some(_)) => Decision::Renew,
        (Some(State::Moving), _) => Decision::RemoveRemoteFlag,
        (Some(_), Some(listed)) if local.is_some_and(|local| agrees(server, local, listed)) => Decision::Nothing,
        (Some(_), _) => Decision::ForceActivate,
    }
}

/// Whether the master's entry is what the backend would tell it.
fn agrees(server: &[u8], local: &Local<'_>, listed: &Listed<'_>) -> bool {
    let partition = listed.location.strip_prefix(server).and_then(|rest| rest.strip_prefix(b"!"));
    partition == Some(&*local.partition) && listed.acl.as_deref() == Some(&*local.acl)
}
