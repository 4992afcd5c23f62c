//! Which keys of the indexes are missing or stand for nothing: two walks, 16 bytes a key.

use std::collections::BTreeSet;

use bstr::ByteSlice;

use super::check::Context;
use super::cross::{Visit, each};
use super::entry::Under;
use super::key::{Key, Scope};
use super::rules;
use super::sums::{each_right, hash_id, hash_name, hash_right};
use crate::finding::{Finding, Sink};

/// Hashes of what should be there and of what is.
#[derive(Default)]
struct Sides {
    wanted: Vec<u64>,
    found: Vec<u64>,
}

impl Sides {
    fn sort(&mut self) {
        self.wanted.sort_unstable();
        self.found.sort_unstable();
    }

    fn is_missing(&self, hash: u64) -> bool {
        self.found.binary_search(&hash).is_err()
    }

    fn is_extra(&self, hash: u64) -> bool {
        self.wanted.binary_search(&hash).is_err()
    }
}

/// Reports reverse-ACL keys that are missing or too many.
///
/// Who the admins are is not in the database: an identifier without prefix that never has a key is taken for one.
pub(crate) fn check_reverse_acls(context: &Context, walk: &dyn Fn(&mut Visit<'_>), sink: &mut Sink<'_>) {
    let mut sides = Sides::default();
    let mut with_key = BTreeSet::new();
    each(context, walk, &mut |decoded, _| match (&decoded.key, &decoded.entry) {
        (Key::Mailbox(name), Some(entry)) => each_right(entry, context, &mut |user| {
            sides.wanted.push(hash_right(Scope::of(name), user, name));
        }),
        (Key::ReverseAcl { scope, user, name }, _) => {
            sides.found.push(hash_right(*scope, user, name));
            with_key.insert(hash_id(user));
        }
        _ => {}
    });
    sides.sort();
    let admin = |user: &[u8]| {
        let special =
            user.starts_with(b"group:") || user.starts_with(b"-") || user == b"anyone" || user == b"anonymous";
        !special && !with_key.contains(&hash_id(user))
    };
    each(context, walk, &mut |decoded, span| match (&decoded.key, &decoded.entry) {
        (Key::Mailbox(name), Some(entry)) => each_right(entry, context, &mut |user| {
            if sides.is_missing(hash_right(Scope::of(name), user, name)) && !admin(user) {
                let message = format!("{name}: {} may see it, and has no reverse-ACL key", user.as_bstr());
                sink(Finding::new(&rules::RACL_MISSING, span, message));
            }
        }),
        (Key::ReverseAcl { scope, user, name }, _) if sides.is_extra(hash_right(*scope, user, name)) => {
            let message = format!("reverse-ACL key of {} for {name}, which gives no such right", user.as_bstr());
            sink(Finding::new(&rules::RACL_EXTRA, span, message));
        }
        _ => {}
    });
}

/// Reports keys of 3.4's uniqueid index that are missing or too many.
pub(crate) fn check_uniqueid_index(context: &Context, walk: &dyn Fn(&mut Visit<'_>), sink: &mut Sink<'_>) {
    let mut sides = Sides::default();
    each(context, walk, &mut |decoded, _| match (&decoded.key, &decoded.entry) {
        (Key::Mailbox(name), Some(entry)) => {
            sides.wanted.extend(entry.uniqueid.as_deref().map(|id| hash_name(name, hash_id(id))));
        }
        (Key::UniqueidIndex { uniqueid, name }, _) => sides.found.push(hash_name(name, hash_id(uniqueid))),
        _ => {}
    });
    sides.sort();
    each(context, walk, &mut |decoded, span| match (&decoded.key, &decoded.entry) {
        (Key::Mailbox(name), Some(entry)) => {
            if let Some(id) = entry.uniqueid.as_deref()
                && sides.is_missing(hash_name(name, hash_id(id)))
            {
                let message = format!("{name}: no $RUNQ key for its uniqueid {}", id.as_bstr());
                sink(Finding::new(&rules::RUNQ_MISSING, span, message));
            }
        }
        (Key::UniqueidIndex { uniqueid, name }, _) if sides.is_extra(hash_name(name, hash_id(uniqueid))) => {
            let message = format!("$RUNQ key of uniqueid {} for {name}, which does not have it", uniqueid.as_bstr());
            sink(Finding::new(&rules::RUNQ_EXTRA, span, message));
        }
        _ => {}
    });
}

/// Reports records under JMAP ids whose mailbox is not there. Mailboxes without one are no damage: several can share an id.
pub(crate) fn check_jmap(context: &Context, walk: &dyn Fn(&mut Visit<'_>), sink: &mut Sink<'_>) {
    let mut sides = Sides::default();
    each(context, walk, &mut |decoded, _| {
        if let Some(entry) = decoded.entry.as_ref()
            && entry.under == Under::Name
            && let (Some(id), Some(jmapid)) = (entry.uniqueid.as_deref(), entry.jmapid.as_deref())
        {
            sides.wanted.push(hash_name(&entry.name, hash_id(id) ^ hash_id(jmapid).rotate_left(1)));
        }
    });
    sides.sort();
    each(context, walk, &mut |decoded, span| {
        if let Some(entry) = decoded.entry.as_ref()
            && entry.under == Under::Jmapid
            && let (Some(id), Some(jmapid)) = (entry.uniqueid.as_deref(), entry.jmapid.as_deref())
            && sides.is_extra(hash_name(&entry.name, hash_id(id) ^ hash_id(jmapid).rotate_left(1)))
        {
            let message = format!("record under JMAP id {}: no mailbox {} with it", jmapid.as_bstr(), entry.name);
            sink(Finding::new(&rules::JMAP_ORPHAN, span, message));
        }
    });
}
