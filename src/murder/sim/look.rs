//! What a disk holds, read without the code of the hosts that wrote it.

use std::collections::BTreeMap;

use crate::formats::record::{Era, Key, decode};
use crate::murder::host::disk::{Disk, Refused};

/// A name in a database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// `server!partition`; of a backend's own, the partition alone.
    pub location: Vec<u8>,
    /// ACL as text; `None` for a reservation.
    pub acl: Option<Vec<u8>>,
    /// Uniqueid; masters and frontends know none.
    pub uniqueid: Vec<u8>,
}

/// Records by key.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;
/// Mailboxes by internal name.
pub type Rows = BTreeMap<Vec<u8>, Row>;

/// The release whose records are written.
pub const ERA: Era = Era::V3_6;

/// What would be there if the host was started from this disk now; and whether a transaction was to be taken back for that.
///
/// # Errors
/// What is wrong with the database.
pub fn records(disk: &Disk) -> Result<(Records, bool), Refused> {
    let mut copy = disk.clone();
    let taken_back = copy.mend()?;
    Ok((copy.records().into_iter().collect(), taken_back))
}

/// The names that records tell of, but for what is left of deleted ones.
pub fn rows(records: &Records) -> Rows {
    let style = ERA.style();
    let mut rows = Rows::new();
    for (key, value) in records {
        let decoded = decode(key, value, &style);
        let (Key::Mailbox(name), Some(entry)) = (decoded.key, decoded.entry) else { continue };
        if entry.is_tombstone() || entry.is_intermediate() {
            continue;
        }
        let partition = entry.partition.as_deref().unwrap_or_default();
        let location = match entry.server.as_deref() {
            Some(server) => [server, b"!", partition].concat(),
            None => partition.to_vec(),
        };
        let acl = (!entry.is_reserved()).then(|| entry.acl.to_text().into_owned());
        let uniqueid = entry.uniqueid.as_deref().unwrap_or_default().to_vec();
        rows.insert(name.to_internal().into_owned(), Row { location, acl, uniqueid });
    }
    rows
}
