//! The mailbox entries of a database, filtered.

use crate::formats::record::{Entry, Flag, Kind};

/// Which entries are wanted; what is not given does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The owner's userid: `bob`, or `bob@example.com` in a virtual domain.
    pub user: Option<Vec<u8>>,
    /// What the internal name starts with.
    pub prefix: Option<Vec<u8>>,
    /// Server.
    pub server: Option<Vec<u8>>,
    /// Partition.
    pub partition: Option<Vec<u8>>,
    /// Type.
    pub kind: Option<Kind>,
    /// Flags, all of which must be set.
    pub flags: Vec<Flag>,
    /// Placeholders for missing parents too, which `ctl_mboxlist -d` leaves out unless told otherwise.
    pub intermediates: bool,
}

impl Filter {
    /// Whether `entry` is wanted.
    pub fn takes(&self, entry: &Entry<'_>) -> bool {
        let is = |wanted: &Option<Vec<u8>>, value: Option<&[u8]>| match wanted {
            Some(wanted) => value.unwrap_or_default() == &wanted[..],
            None => true,
        };
        let placeholders = self.intermediates || self.flags.contains(&Flag::Intermediate);
        (placeholders || !entry.is_intermediate())
            && self.kind.is_none_or(|kind| entry.mbtype.kind == kind)
            && self.flags.iter().all(|&flag| entry.mbtype.has(flag))
            && is(&self.server, entry.server.as_deref())
            && is(&self.partition, entry.partition.as_deref())
            && self.prefix.as_ref().is_none_or(|prefix| entry.name.to_internal().starts_with(prefix))
            && self.user.as_ref().is_none_or(|user| entry.name.userid().is_some_and(|owner| *owner == user[..]))
    }
}
