//! A backend's list pushed to the master: `ctl_mboxlist -m`.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::saga::{Asker, Local};
use super::{Backend, For, Storing};
use crate::formats::record::Flag;
use crate::murder::defect::Defect;
use crate::murder::host::link::{Mailbox, Ticket};
use crate::murder::host::request::{Answer, Data, Manner};
use crate::murder::node::push::{Deed, Known, Own, deeds, listed, unknown};
use crate::murder::wire::command::{Change, Verb};
use crate::ops::push::{self, Decision};
use crate::render::text::printable;

/// A push on its way.
#[derive(Debug)]
pub(super) struct Sync {
    asker: Asker,
    manner: push::Manner,
    dry_run: bool,
    own: Vec<Own>,
    here: Vec<Known>,
    /// What the master was asked of, in order.
    finds: VecDeque<(Ticket, Vec<u8>)>,
    found: Vec<Known>,
    phase: Phase,
    lines: Vec<String>,
    /// Questions that are not answered yet.
    open: usize,
    /// What was not done.
    left: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Listing,
    Finding,
    Telling,
}

impl Backend {
    pub(super) fn begin_sync(&mut self, asker: Asker, dry_run: bool, authoritative: bool, now: Duration) {
        if self.config.master.is_none() {
            return self.tell(asker, Answer::no("no mupdate_server is configured"));
        }
        // `ctl_mboxlist` is a process of its own, and comes in anew: a connection that died unnoticed is not its affair.
        self.link.close();
        let manner = push::Manner { authoritative, unified: false };
        let ticket = self.link.ask(Verb::List(self.location(b"")), now);
        self.asked.insert(ticket, For::Sync);
        self.sync = Some(Sync {
            asker,
            manner,
            dry_run,
            own: self.locals.own(),
            here: Vec::new(),
            finds: VecDeque::new(),
            found: Vec::new(),
            phase: Phase::Listing,
            lines: Vec::new(),
            open: 0,
            left: false,
        });
    }

    /// The master answered; `None` if it refused.
    pub(super) fn sync_told(&mut self, ticket: Ticket, rows: Option<Vec<Mailbox>>, now: Duration) {
        let Some(mut sync) = self.sync.take() else { return };
        match (sync.phase, rows) {
            (Phase::Listing, Some(rows)) => {
                sync.here = rows.into_iter().map(known).collect();
                let names: Vec<Vec<u8>> = match self.has_defect(Defect::PushWithoutFind) {
                    true => Vec::new(),
                    false => unknown(&sync.own, &sync.here, sync.manner).into_iter().map(<[u8]>::to_vec).collect(),
                };
                for name in names {
                    let ticket = self.link.ask(Verb::Find(name.clone()), now);
                    self.asked.insert(ticket, For::Sync);
                    sync.finds.push_back((ticket, name));
                }
                sync.phase = Phase::Finding;
            }
            (Phase::Finding, Some(rows)) => {
                if sync.finds.front().is_some_and(|(asked, _)| *asked == ticket) {
                    sync.finds.pop_front();
                }
                sync.found.extend(rows.into_iter().map(known));
            }
            (Phase::Telling, answered) => {
                sync.open = sync.open.saturating_sub(1);
                sync.left |= answered.is_none();
            }
            (_, None) => return self.tell(sync.asker, Answer::no("the mupdate server refuses")),
        }
        if sync.phase == Phase::Finding && sync.finds.is_empty() {
            self.act(&mut sync, now);
        }
        if sync.phase == Phase::Telling && sync.open == 0 {
            let lines = Data::Lines(std::mem::take(&mut sync.lines));
            let word = if sync.left { Answer::no("not all could be done") } else { Answer::ok() };
            return self.tell(sync.asker, Answer { data: lines, ..word });
        }
        self.sync = Some(sync);
    }

    /// The master is gone.
    pub(super) fn sync_lost(&mut self) {
        if let Some(sync) = self.sync.take() {
            self.tell(sync.asker, Answer::no("no connection to server"));
        }
    }

    /// Does what was decided, and has the master told of it.
    fn act(&mut self, sync: &mut Sync, now: Duration) {
        let found: HashMap<&[u8], push::Listed<'static>> =
            sync.found.iter().map(|(name, listed)| (&name[..], listed.clone())).collect();
        let deeds = deeds(&self.config.name, &sync.own, &sync.here, &found, sync.manner);
        sync.phase = Phase::Telling;
        for deed in deeds {
            sync.lines.push(format!("{}: {}", deed.words, printable(&deed.name)));
            if !sync.dry_run && !self.is_left_out(sync, &deed) {
                self.carry_out(sync, deed, now);
            }
        }
    }

    /// Whether a mistake is made about it.
    fn is_left_out(&self, sync: &Sync, deed: &Deed) -> bool {
        let known = sync.here.iter().find(|(name, _)| *name == deed.name);
        let reserved = known.is_some_and(|(_, listed)| listed.acl.is_none());
        let removal = deed.decision == Decision::RemoveFromMupdate;
        removal
            && (self.has_defect(Defect::PushWithoutRemoval)
                || self.has_defect(Defect::KeepOldName)
                || (self.has_defect(Defect::KeepReservation) && reserved))
    }

    fn carry_out(&mut self, sync: &mut Sync, deed: Deed, now: Duration) {
        let cyrus = self.config.manner == Manner::Cyrus36;
        let mut change = deed.change;
        match deed.decision {
            // The only copy of somebody's mail is not deleted because a list says something else.
            Decision::RemoveLocal if !cyrus && !self.has_defect(Defect::WipeOnPush) => sync.left = true,
            Decision::RemoveLocal => {
                if let Some((locals, more)) = self.wiped(&deed.name, now) {
                    self.store_for_sync(locals, more);
                }
            }
            Decision::RemoveRemoteFlag => {
                if let Some(entry) = self.locals.record(&deed.name).cloned() {
                    let mut own = entry;
                    own.mbtype = own.mbtype.without(Flag::Moving).without(Flag::Remote);
                    own.server = None;
                    let location = self.location(own.partition.as_deref().unwrap_or_default());
                    let acl = own.acl.to_text().into_owned();
                    change = Some(Change::Activate { name: deed.name.clone(), location, acl });
                    self.store_for_sync(vec![(deed.name, Some(own))], Vec::new());
                }
            }
            _ => {}
        }
        if let Some(change) = change {
            let ticket = self.link.ask(Verb::Change(change), now);
            self.asked.insert(ticket, For::Sync);
            sync.open = sync.open.saturating_add(1);
        }
    }

    fn store_for_sync(&mut self, locals: Vec<Local>, more: Vec<crate::murder::host::Keep>) {
        let mut keeps = more;
        for (name, entry) in &locals {
            keeps.extend(self.locals.keeps(name, entry.as_ref()));
        }
        self.to_store.push_back((Storing::Sync(locals), keeps));
        self.store_next();
    }
}

fn known(row: Mailbox) -> Known {
    let listed = listed(&row.location, row.acl.as_deref());
    (row.name, listed)
}
