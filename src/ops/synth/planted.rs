//! Contradictions among the hosts of an invented murder, to be found again under the classes that `merge` gives them.

use crate::ops::merge::settle::Class;

/// What is planted about mailboxes. The home of one is the backend that it would be on without that; `TwoOwners` and
/// `Moving` put it on the next backend too, `Location` only in what the master says, and of what is `Gone`, a `Tombstone` or
/// `Intermediate` home has no mailbox.
pub(super) const PLANTED: [Class; 9] = [
    Class::TwoOwners,
    Class::Moving,
    Class::Location,
    Class::Reserved,
    Class::Acl,
    Class::Partition,
    Class::Gone,
    Class::Tombstone,
    Class::Intermediate,
];

/// Whether the backend behind home has the mailbox too.
pub(super) fn is_on_next(class: Class) -> bool {
    matches!(class, Class::TwoOwners | Class::Moving)
}
