//! The index of reverse ACLs: which mailboxes a user may see (`imap/mboxlist.c`, `mboxlist_update_racl`).

use std::collections::HashSet;

use crate::formats::record::{Context, Entry, Era, Key, Scope, Style, each_right};
use crate::ops::entries::Decoder;
use crate::ops::reading::Reading;

/// The rule by which a database keeps reverse ACLs.
pub struct ReverseAcls {
    context: Context,
    era: Era,
}

impl ReverseAcls {
    /// How the source keeps them, for a target of `era`; `None` if it keeps none.
    ///
    /// Who the admins are, which have no keys, is not in the database: an identifier without prefix that never has a key
    /// though some ACL gives it a right that needs one is taken for an admin.
    pub fn of(reading: &Reading<'_, '_>, decoder: Decoder, era: Era) -> Option<Self> {
        let keys = decoder.style().keys;
        if decoder.is_of_dump() || !Key::ReverseAclMarker.encode(keys).is_some_and(|key| reading.has(&key)) {
            return None;
        }
        let source = context(decoder.style(), Vec::new());
        let (mut entitled, mut with_key) = (HashSet::new(), HashSet::new());
        reading.each(|record| {
            let decoded = decoder.decode(&record);
            match (&decoded.key, &decoded.entry) {
                (Key::Mailbox(_), Some(entry)) => each_right(entry, &source, &mut |user| {
                    if !is_special(user) && !entitled.contains(user) {
                        entitled.insert(user.to_vec());
                    }
                }),
                (Key::ReverseAcl { user, .. }, _) if !with_key.contains(*user) => {
                    with_key.insert(user.to_vec());
                }
                _ => {}
            }
        });
        let admins = entitled.into_iter().filter(|user| !with_key.contains(user)).collect();
        (era >= Era::V3_0).then(|| ReverseAcls { context: context(era.style(), admins), era })
    }

    /// The keys that a mailbox needs.
    pub fn keys(&self, entry: &Entry<'_>, mut push: impl FnMut(Vec<u8>)) {
        let scope = Scope::of(&entry.name);
        each_right(entry, &self.context, &mut |user| {
            let key = Key::ReverseAcl { scope, user, name: entry.name.clone() };
            key.encode(self.context.style.keys).into_iter().for_each(&mut push);
        });
    }

    /// The record that says that they are kept; 3.4 gives it a version.
    pub fn marker(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let keys = self.context.style.keys;
        let value = if self.era == Era::V3_4 { b"3".to_vec() } else { Vec::new() };
        Key::ReverseAclMarker.encode(keys).map(|key| (key, value))
    }
}

fn context(style: Style, admins: Vec<Vec<u8>>) -> Context {
    Context { admins, ..Context::new(style, |_| false) }
}

/// Whether an identifier can't be an admin.
fn is_special(user: &[u8]) -> bool {
    user.starts_with(b"group:") || user.starts_with(b"-") || user == b"anyone" || user == b"anonymous"
}
