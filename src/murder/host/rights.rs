//! Who may do what to a mailbox.

use super::request::User;
use crate::formats::record::{Acl, Name, Rights};

/// What an owner may always do to his own mailboxes (`implicit_owner_rights`).
const OWNERS: &[u8] = b"lkxan";

/// The rights of a user.
pub fn of(user: &User, acl: &Acl<'_>, name: &Name<'_>) -> Rights {
    let (mut given, mut taken) = (Rights::default(), Rights::default());
    for pair in acl.pairs() {
        let (identifier, rights) = (&*pair.identifier, Rights::new(&pair.rights));
        let (minus, identifier) = match identifier.strip_prefix(b"-") {
            Some(identifier) => (true, identifier),
            None => (false, identifier),
        };
        if identifier == b"anyone" || identifier == &*user.name {
            let side = if minus { &mut taken } else { &mut given };
            *side = side.union(rights);
        }
    }
    let left = Rights::new(&given.letters().into_iter().filter(|&right| !taken.has(right)).collect::<Vec<u8>>());
    if is_owner(user, name) { left.union(Rights::new(OWNERS)) } else { left }
}

/// Whether a user may do what takes this right.
pub fn allow(user: &User, acl: &Acl<'_>, name: &Name<'_>, right: u8) -> bool {
    user.admin || of(user, acl, name).has(right)
}

/// Whether a mailbox is the user's own.
pub fn is_owner(user: &User, name: &Name<'_>) -> bool {
    name.userid().is_some_and(|owner| *owner == *user.name)
}

/// An ACL after rights were given to an identifier, added (`+`) or taken (`-`).
pub fn changed(acl: &Acl<'_>, identifier: &[u8], rights: &[u8]) -> Acl<'static> {
    let before = acl.pairs().find(|pair| *pair.identifier == *identifier).map(|pair| Rights::new(&pair.rights));
    let before = before.unwrap_or_default();
    let after = match rights.split_first() {
        Some((b'+', more)) => before.union(Rights::new(more)),
        Some((b'-', less)) => {
            let less = Rights::new(less);
            Rights::new(&before.letters().into_iter().filter(|&right| !less.has(right)).collect::<Vec<u8>>())
        }
        _ => Rights::new(rights),
    };
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> =
        acl.pairs().map(|pair| (pair.identifier.to_vec(), pair.rights.to_vec())).collect();
    pairs.retain(|(known, _)| known != identifier || !after.is_empty());
    match pairs.iter_mut().find(|(known, _)| known == identifier) {
        Some((_, rights)) => *rights = after.letters(),
        None if after.is_empty() => {}
        None => pairs.push((identifier.to_vec(), after.letters())),
    }
    Acl::from_pairs(pairs)
}
