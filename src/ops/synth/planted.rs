//! Contradictions among the hosts of an invented murder, to be found again.

/// What is planted about a mailbox. Its home is the backend that it would be on without that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Planted {
    /// The next backend has one of that name too.
    TwoOwners,
    /// It is flagged moving at home, and already on the next backend.
    Moving,
    /// The master says the next backend.
    Location,
    /// The master has its name reserved.
    Reserved,
    /// The master has another ACL.
    Acl,
    /// The master has another partition.
    Partition,
    /// Home has no record of it.
    Gone,
    /// Home has its tombstone.
    Tombstone,
    /// Home has a placeholder.
    Intermediate,
}

impl Planted {
    /// All kinds.
    pub const ALL: [Planted; 9] = [
        Planted::TwoOwners,
        Planted::Moving,
        Planted::Location,
        Planted::Reserved,
        Planted::Acl,
        Planted::Partition,
        Planted::Gone,
        Planted::Tombstone,
        Planted::Intermediate,
    ];

    /// The word for it, the same as that of `merge`.
    pub fn as_str(self) -> &'static str {
        match self {
            Planted::TwoOwners => "two-owners",
            Planted::Moving => "moving",
            Planted::Location => "location",
            Planted::Reserved => "reserved",
            Planted::Acl => "acl",
            Planted::Partition => "partition",
            Planted::Gone => "gone",
            Planted::Tombstone => "tombstone",
            Planted::Intermediate => "intermediate",
        }
    }

    /// Whether the backend behind home has the mailbox too.
    pub(super) fn is_on_next(self) -> bool {
        matches!(self, Planted::TwoOwners | Planted::Moving)
    }
}
