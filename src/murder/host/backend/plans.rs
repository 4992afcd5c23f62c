//! What a change of the list takes, in both manners.

use std::time::Duration;

use super::saga::{Action, Local, Step};
use super::{Backend, DeleteMode, Mailbox, internal, parent};
use crate::formats::record::name::DELETED_PREFIX;
use crate::formats::record::{Acl, Name};
use crate::murder::defect::Defect;
use crate::murder::host::request::{Answer, Manner, Request, User};
use crate::murder::host::{Keep, rights};
use crate::murder::wire::command::Change;

/// What 3.6 says of any change that it can't tell the master of.
const NO_CONNECTION: &str = "no connection to server";
/// What it says of a name that it can't have.
const NOT_RESERVED: &str = "unable to reserve mailbox on mupdate server";

impl Backend {
    fn is_cyrus(&self) -> bool {
        self.config.manner == Manner::Cyrus36
    }

    pub(super) fn has_defect(&self, defect: Defect) -> bool {
        self.config.defect == Some(defect)
    }

    /// What the client is told if there is no master, and if it refuses.
    fn or_say(&self, lost: String, refused: &str) -> Option<(String, String)> {
        let lost = if self.is_cyrus() { NO_CONNECTION.to_owned() } else { lost };
        Some((lost, refused.to_owned()))
    }

    /// The steps of a request.
    pub(super) fn plan(&mut self, user: &User, request: &Request, now: Duration) -> Result<Vec<Step>, Answer> {
        match request {
            Request::Create { name, place } => self.create(user, name, place.as_deref(), now),
            Request::Delete { name } => {
                let entry = self.own(user, name, b'x')?;
                let is_deleted = entry.name.deleted().is_some();
                match self.config.delete_mode {
                    DeleteMode::Delayed if !is_deleted => self.delete_later(name, now),
                    _ => Ok(self.delete(name, entry, now)),
                }
            }
            Request::Rename { from, to } => {
                // Administrators may rename what they may not delete.
                self.own(user, from, if user.admin { b'l' } else { b'x' })?;
                self.vacant(user, to)?;
                let mut pairs = vec![(from.clone(), to.clone())];
                let below = self.locals.below(from).into_iter();
                pairs.extend(below.map(|name| {
                    let rest = name.get(from.len()..).unwrap_or_default();
                    let new = [to, rest].concat();
                    (name, new)
                }));
                self.rename(pairs, now)
            }
            Request::SetAcl { name, identifier, rights } => {
                let entry = self.own(user, name, b'a')?;
                if let Some(letter) = wrong_right(rights) {
                    return Err(Answer::no(format!("Unknown right {:?}", char::from(letter))));
                }
                let acl = rights::changed(&entry.acl, identifier, rights);
                Ok(self.set_acl(name, entry, acl, now))
            }
            Request::Append { name, message } | Request::Deliver { name, message } => {
                let right = if matches!(request, Request::Append { .. }) { b'i' } else { b'p' };
                let entry = self.own(user, name, right)?;
                let uniqueid = entry.uniqueid.as_deref().unwrap_or_default().to_vec();
                let keep = Keep::Message { uniqueid, bytes: message.clone() };
                Ok(vec![self.keep(vec![], vec![keep], None)])
            }
            _ => Err(Answer::no("This is not part of a rehearsal")),
        }
    }

    /// A mailbox that the user may do this to.
    fn own(&self, user: &User, name: &[u8], right: u8) -> Result<Mailbox, Answer> {
        match self.locals.mailbox(name) {
            Some(entry) if self.allows(user, entry, right) => Ok(entry.clone()),
            _ => Err(self.refused(user, name)),
        }
    }

    /// Whether a mailbox of that name may be made.
    fn vacant(&self, user: &User, name: &[u8]) -> Result<(), Answer> {
        let parsed = Name::internal(name);
        if parsed.flaw().is_some() || name.is_empty() || name.len() > NAME_LEN_MAX {
            return Err(Answer::no("Invalid mailbox name"));
        }
        if self.locals.mailbox(name).is_some() {
            return Err(Answer::no("Mailbox already exists"));
        }
        let above = parent(name).and_then(|parent| self.locals.mailbox(&parent));
        let may = user.admin || above.is_some_and(|above| rights::allow(user, &above.acl, &above.name, b'k'));
        if may { Ok(()) } else { Err(Answer::no("Permission denied")) }
    }

    fn create(&mut self, user: &User, name: &[u8], place: Option<&[u8]>, now: Duration) -> Result<Vec<Step>, Answer> {
        self.vacant(user, name)?;
        let partition = place.unwrap_or(&self.config.partition).to_vec();
        if partition.is_empty() || !partition.iter().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Answer::no("Unknown/invalid partition"));
        }
        let uniqueid = self.uniqueid(name, now);
        let acl = self.first_acl(name);
        let entry = self.locals.make(name, &partition, &acl, uniqueid, self.time(now));
        let location = self.location(&partition);
        let text = String::from_utf8_lossy(name).into_owned();
        let mut steps = Vec::new();
        if self.is_cyrus() {
            // It stays, whatever happens next.
            let orphan = self.locals.by_uniqueid(&entry).into_iter().collect();
            steps.push(self.keep(vec![], orphan, None));
        }
        if !self.has_defect(Defect::SkipReserve) {
            let lost = format!("can not connect to mupdate server for reservation on '{text}'");
            steps.push(self.reserve(name, &location, self.or_say(lost, NOT_RESERVED)));
        }
        let before = self.locals.record(name).cloned();
        steps.push(self.keep(vec![(name.to_vec(), Some(entry))], vec![], Some(vec![(name.to_vec(), before)])));
        if !self.has_defect(Defect::SkipActivate) {
            let lost = format!("can not connect to mupdate server to activate '{text}'");
            steps.push(Step {
                action: Action::Tell(Change::Activate { name: name.to_vec(), location, acl }),
                undo: None,
                must: self.or_say(lost, "the mupdate server does not take the mailbox"),
            });
        }
        Ok(steps)
    }

    /// The rights that a new mailbox begins with: those of the one above it, those of its owner, or `defaultacl`.
    fn first_acl(&self, name: &[u8]) -> Vec<u8> {
        let above = parent(name).and_then(|parent| self.locals.mailbox(&parent));
        if let Some(above) = above {
            return above.acl.to_text().into_owned();
        }
        match Name::internal(name).userid() {
            Some(owner) => [&*owner, &b"\tlrswipkxtecdan\t"[..]].concat(),
            None => b"anyone\tlrs\t".to_vec(),
        }
    }

    fn reserve(&self, name: &[u8], location: &[u8], must: Option<(String, String)>) -> Step {
        let undo = Action::Tell(Change::Delete { name: name.to_vec() });
        Step {
            action: Action::Tell(Change::Reserve { name: name.to_vec(), location: location.to_vec() }),
            undo: (!self.has_defect(Defect::KeepReservation)).then_some(undo),
            must,
        }
    }

    /// A change of one's own list, and what takes it back.
    fn keep(&self, locals: Vec<Local>, more: Vec<Keep>, back: Option<Vec<Local>>) -> Step {
        let back = back.filter(|_| !self.has_defect(Defect::KeepLocal));
        let failed = "System I/O error".to_owned();
        Step {
            action: Action::Keep(locals, more),
            undo: back.map(|locals| Action::Keep(locals, Vec::new())),
            must: Some((failed.clone(), failed)),
        }
    }

    /// It is gone at once. 3.6 never tells the master of that, even if it is there.
    fn delete(&mut self, name: &[u8], entry: Mailbox, now: Duration) -> Vec<Step> {
        let uniqueid = entry.uniqueid.as_deref().unwrap_or_default().to_vec();
        let left = super::Locals::tombstone(entry, self.time(now));
        let mut steps = vec![self.keep(vec![(name.to_vec(), Some(left))], vec![Keep::Forget { uniqueid }], None)];
        if !self.is_cyrus() {
            steps.push(Step::may(Action::Tell(Change::Delete { name: name.to_vec() })));
        }
        steps
    }

    /// It is renamed: `DELETED.`, its name, and the time in hexadecimal.
    fn delete_later(&mut self, name: &[u8], now: Duration) -> Result<Vec<Step>, Answer> {
        let time = format!(".{:X}", self.time(now));
        let new = [DELETED_PREFIX, b".", name, time.as_bytes()].concat();
        if self.locals.mailbox(&new).is_some() {
            return Err(Answer::no("Mailbox already exists"));
        }
        self.rename(vec![(name.to_vec(), new)], now)
    }

    fn rename(&mut self, pairs: Vec<(Vec<u8>, Vec<u8>)>, now: Duration) -> Result<Vec<Step>, Answer> {
        let time = self.time(now);
        let (mut reservations, mut locals, mut back, mut told) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (from, to) in &pairs {
            let Some(entry) = self.locals.mailbox(from).cloned() else { continue };
            if self.locals.mailbox(to).is_some() {
                return Err(Answer::no("Mailbox already exists"));
            }
            let partition = entry.partition.as_deref().unwrap_or_default().to_vec();
            let location = self.location(&partition);
            let text = String::from_utf8_lossy(to).into_owned();
            let lost = format!("can not connect to mupdate server for reservation on '{text}'");
            reservations.push(self.reserve(to, &location, self.or_say(lost, NOT_RESERVED)));
            back.push((to.clone(), self.locals.record(to).cloned()));
            back.push((from.clone(), Some(entry.clone())));
            locals.push((to.clone(), Some(self.locals.renamed(&entry, to, time))));
            locals.push((from.clone(), Some(super::Locals::tombstone(entry.clone(), time))));
            // 3.6 forgets the partition there.
            let location = if self.is_cyrus() { self.location(b"") } else { location };
            let acl = entry.acl.to_text().into_owned();
            let lost = format!("can not connect to mupdate server to activate '{text}'");
            told.push(Step {
                action: Action::Tell(Change::Activate { name: to.clone(), location, acl }),
                // What takes the reservation back does, once one's own list is as before: the name is free for others then.
                undo: None,
                must: self.or_say(lost, "the mupdate server does not take the mailbox"),
            });
        }
        let mut steps = reservations;
        steps.push(self.keep(locals, vec![], Some(back)));
        steps.extend(told);
        if !self.has_defect(Defect::KeepOldName) {
            let forget =
                |(from, _): &(Vec<u8>, Vec<u8>)| Step::may(Action::Tell(Change::Delete { name: from.clone() }));
            steps.extend(pairs.iter().map(forget));
        }
        Ok(steps)
    }

    /// 3.6 keeps the new rights even if it can't tell the master of them.
    fn set_acl(&mut self, name: &[u8], entry: Mailbox, acl: Acl<'static>, now: Duration) -> Vec<Step> {
        let partition = entry.partition.as_deref().unwrap_or_default();
        let (location, text) = (self.location(partition), acl.to_text().into_owned());
        let mut changed = entry.clone();
        (changed.acl, changed.mtime) = (acl, Some(self.time(now)));
        let back = (!self.is_cyrus()).then(|| vec![(name.to_vec(), Some(entry))]);
        let lost = format!("can not connect to mupdate server for setacl on '{}'", String::from_utf8_lossy(name));
        vec![
            self.keep(vec![(name.to_vec(), Some(changed))], vec![], back),
            Step {
                action: Action::Tell(Change::Activate { name: name.to_vec(), location, acl: text }),
                undo: None,
                must: self.or_say(lost, "the mupdate server does not take the rights"),
            },
        ]
    }

    /// What takes a mailbox of one's own list away for good, without a word to the master.
    pub(super) fn wiped(&self, name: &[u8], now: Duration) -> Option<(Vec<Local>, Vec<Keep>)> {
        let entry = self.locals.mailbox(name)?.clone();
        let name = internal(&entry);
        let uniqueid = entry.uniqueid.as_deref().unwrap_or_default().to_vec();
        let time = self.time(now);
        if self.config.delete_mode == DeleteMode::Delayed {
            let new = [DELETED_PREFIX, b".", &name[..], format!(".{time:X}").as_bytes()].concat();
            let moved = self.locals.renamed(&entry, &new, time);
            return Some((vec![(new, Some(moved)), (name, Some(super::Locals::tombstone(entry, time)))], Vec::new()));
        }
        let left = super::Locals::tombstone(entry, time);
        Some((vec![(name, Some(left))], vec![Keep::Forget { uniqueid }]))
    }
}

/// Longer names don't fit every release.
const NAME_LEN_MAX: usize = 490;

/// The first letter that is no right.
fn wrong_right(rights: &[u8]) -> Option<u8> {
    let letters = rights.strip_prefix(b"+").or(rights.strip_prefix(b"-")).unwrap_or(rights);
    crate::formats::record::Rights::first_unknown(letters)
}
