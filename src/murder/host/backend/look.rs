//! What is asked of a backend's list without changing it, and who may ask.

use super::{Backend, Mailbox};
use crate::murder::host::request::{Answer, Data, Manner, Request, Status, User};
use crate::murder::host::rights;

impl Backend {
    /// The answer to what changes nothing; `None` if it changes something.
    pub(super) fn look(&self, user: &User, request: &Request) -> Option<Answer> {
        let may = |name: &[u8], right: u8| {
            let entry = self.locals.mailbox(name)?;
            self.allows(user, entry, right).then_some(entry)
        };
        Some(match request {
            Request::List { subscribed } => Answer::with(Data::Mailboxes(self.list(user, *subscribed))),
            Request::Select { name, .. } => match may(name, b'r') {
                Some(entry) => Answer::with(Data::Status(self.status(entry))),
                None => self.refused(user, name),
            },
            Request::Status { name } => match may(name, b'r') {
                Some(entry) => Answer::with(Data::Status(self.status(entry))),
                None => self.refused(user, name),
            },
            Request::GetAcl { name } => match may(name, b'a') {
                Some(entry) => {
                    let pair =
                        |pair: crate::formats::record::AclPair<'_>| (pair.identifier.to_vec(), pair.rights.to_vec());
                    Answer::with(Data::Acl(entry.acl.pairs().map(pair).collect()))
                }
                None => self.refused(user, name),
            },
            Request::Recipient { name } => match self.locals.mailbox(name) {
                Some(_) => Answer::ok(),
                None => Answer::unknown(),
            },
            _ => return None,
        })
    }

    /// Whether a user may do what takes this right. Administrators of 3.6 see every mailbox, give rights and deliver, and
    /// need rights like anyone to look into one, to put something there, and to delete it.
    pub(super) fn allows(&self, user: &User, entry: &Mailbox, right: u8) -> bool {
        let needed = self.config.manner == Manner::Cyrus36 && matches!(right, b'r' | b'i' | b'x');
        match user.admin && needed {
            true => rights::of(user, &entry.acl, &entry.name).has(right),
            false => rights::allow(user, &entry.acl, &entry.name, right),
        }
    }

    /// Why a mailbox is not to be had.
    pub(super) fn refused(&self, user: &User, name: &[u8]) -> Answer {
        let seen = self.locals.mailbox(name).filter(|entry| rights::allow(user, &entry.acl, &entry.name, b'l'));
        if seen.is_some() { Answer::no("Permission denied") } else { Answer::unknown() }
    }

    pub(super) fn list(&self, user: &User, subscribed: bool) -> Vec<Vec<u8>> {
        let seen = |entry: &&Mailbox| {
            let hidden = entry.name.deleted().is_some() && !user.admin;
            !hidden && rights::allow(user, &entry.acl, &entry.name, b'l')
        };
        let names = self.locals.mailboxes().filter(seen).map(|entry| entry.name.to_internal().into_owned());
        let wanted = |name: &Vec<u8>| !subscribed || self.subscribed.contains(&(user.name.clone(), name.clone()));
        names.filter(wanted).collect()
    }

    pub(super) fn status(&self, entry: &Mailbox) -> Status {
        let messages = entry.uniqueid.as_deref().and_then(|id| self.messages.get(id)).copied().unwrap_or_default();
        let uidvalidity = entry.uidvalidity.and_then(|number| u32::try_from(number).ok()).unwrap_or(1);
        Status { messages, uidnext: messages.saturating_add(1), uidvalidity }
    }
}
