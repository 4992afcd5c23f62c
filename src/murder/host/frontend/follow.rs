//! How a frontend follows its master: the whole list, then every change, and again when the connection is lost.

use std::collections::VecDeque;
use std::time::Duration;

use super::Config;
use crate::murder::defect::Defect;
use crate::murder::host::board::Board;
use crate::murder::host::link::{Link, Mailbox, Ticket, Told, Wish};
use crate::murder::host::request::Manner;
use crate::murder::host::{ConnId, Effect};
use crate::murder::node::{List, State, merge};
use crate::murder::wire::command::Verb;

/// What was asked of the master.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// The list, and all changes from then on.
    Update(Ticket),
    /// Whether it is still there, and all that it has to tell by now.
    Noop(Ticket),
}

/// A frontend's way to its master.
#[derive(Debug)]
pub(super) struct Follow {
    name: Vec<u8>,
    master: String,
    manner: Manner,
    retry: Duration,
    max_delete: u8,
    defect: Option<Defect>,
    link: Link,
    conn: Option<ConnId>,
    asked: VecDeque<Asked>,
    following: bool,
    /// Whether the list was had at least once.
    had: bool,
    /// When it connects again; `None` while it is connected.
    again: Option<Duration>,
    /// When it asks a silent master whether it is there.
    ping: Option<Duration>,
    /// How often it connected.
    tries: u64,
    /// Those who wait for the master to have told all, by the NOOP that asks it.
    kicked: Vec<(Ticket, u64)>,
    kicks_done: Vec<u64>,
}

impl Follow {
    pub(super) fn new(config: &Config) -> Follow {
        Follow {
            name: config.name.clone(),
            master: String::from_utf8_lossy(&config.master).into_owned(),
            manner: config.manner,
            retry: config.retry,
            max_delete: config.max_delete,
            defect: config.defect,
            link: Link::patient(config.retry),
            conn: None,
            asked: VecDeque::new(),
            following: false,
            had: false,
            again: Some(Duration::ZERO),
            ping: None,
            tries: 0,
            kicked: Vec::new(),
            kicks_done: Vec::new(),
        }
    }

    pub(super) fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    pub(super) fn set_conn(&mut self, conn: Option<ConnId>) {
        self.conn = conn;
    }

    pub(super) fn is_following(&self) -> bool {
        self.following
    }

    pub(super) fn next_wish(&mut self) -> Option<Wish> {
        self.link.next_wish()
    }

    pub(super) fn connected(&mut self) {
        self.link.connected();
    }

    pub(super) fn hear(&mut self, bytes: &[u8], now: Duration) -> Vec<Told> {
        if self.following {
            self.ping = Some(now.saturating_add(self.retry));
        }
        self.link.hear(bytes, now)
    }

    pub(super) fn lost(&mut self) -> Told {
        self.link.lost()
    }

    /// Whether it waits until it connects again.
    pub(super) fn waits(&self) -> bool {
        self.again.is_some()
    }

    pub(super) fn tick(&mut self, now: Duration) -> Option<Told> {
        // A clock that was put back makes nobody wait longer.
        let latest = now.saturating_add(self.retry);
        self.again = self.again.map(|again| again.min(latest.saturating_add(self.more())));
        self.ping = self.ping.map(|ping| ping.min(latest));
        self.link.tick(now)
    }

    pub(super) fn next_tick(&self) -> Option<Duration> {
        let ping = self.ping.filter(|_| self.following && self.defect != Some(Defect::NoPing));
        [self.link.next_tick(), self.again, ping].into_iter().flatten().min()
    }

    /// Connects, or asks whether the master is there, when it is time to.
    pub(super) fn go_on(&mut self, board: &mut Board, effects: &mut VecDeque<Effect>, now: Duration) {
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.tries = self.tries.saturating_add(1);
            board.end_all("no longer ready for connections", effects, now);
            let ticket = self.link.ask(Verb::Update(Vec::new()), now);
            self.asked.push_back(Asked::Update(ticket));
        }
        let silent = self.ping.is_some_and(|ping| ping <= now);
        if self.following && silent && self.defect != Some(Defect::NoPing) {
            self.ping = Some(now.saturating_add(self.retry));
            self.noop(now);
        }
    }

    fn noop(&mut self, now: Duration) -> Ticket {
        let ticket = self.link.ask(Verb::Noop, now);
        self.asked.push_back(Asked::Noop(ticket));
        ticket
    }

    /// Has the master tell all that it has to tell; then [`Follow::next_kick`] gives `number`.
    pub(super) fn kick(&mut self, number: u64, now: Duration) {
        if self.following {
            let ticket = self.noop(now);
            self.kicked.push((ticket, number));
        } else {
            self.kicks_done.push(number);
        }
    }

    pub(super) fn next_kick(&mut self) -> Option<u64> {
        self.kicks_done.pop()
    }

    /// Takes what the master told.
    pub(super) fn told(&mut self, told: Told, board: &mut Board, effects: &mut VecDeque<Effect>, now: Duration) {
        match told {
            Told::Done(ticket, rows) => match self.asked.pop_front() {
                Some(Asked::Update(asked)) if asked == ticket => self.merge(rows, board, effects, now),
                _ => {
                    let done = |(kick, _): &(Ticket, u64)| *kick == ticket;
                    self.kicks_done.extend(self.kicked.iter().filter(|kick| done(kick)).map(|(_, number)| *number));
                    self.kicked.retain(|kick| !done(kick));
                }
            },
            Told::Refused(_, text) => {
                effects.push_back(Effect::Log(format!("the master {} says {text}", self.master)));
                self.give_up(effects, now);
            }
            Told::Changed(row) => board.follow(&row.name, Some(state(&row)), now),
            Told::Deleted(name) => board.follow(&name, None, now),
            Told::Lost => {
                self.conn = None;
                self.retry_later(effects, now);
            }
        }
    }

    /// Ends the connection, and tries again later.
    fn give_up(&mut self, effects: &mut VecDeque<Effect>, now: Duration) {
        self.link.close();
        self.retry_later(effects, now);
    }

    fn retry_later(&mut self, effects: &mut VecDeque<Effect>, now: Duration) {
        self.following = false;
        self.ping = None;
        self.asked.clear();
        self.kicks_done.extend(self.kicked.drain(..).map(|(_, number)| number));
        let delay = self.retry.saturating_add(self.more());
        effects.push_back(Effect::Log(format!("retrying connection to mupdate server in {} seconds", delay.as_secs())));
        self.again = Some(now.saturating_add(delay));
    }

    /// What 3.6.1 waits longer than it is told: some of half of it.
    fn more(&self) -> Duration {
        let half = self.retry.as_secs() / 2;
        if self.manner == Manner::Manual || half == 0 {
            return Duration::ZERO;
        }
        let seed = [&self.name[..], &self.tries.to_le_bytes()].concat();
        Duration::from_secs(xxhash_rust::xxh3::xxh3_64(&seed) % half)
    }

    /// Makes the list the master's.
    fn merge(&mut self, rows: Vec<Mailbox>, board: &mut Board, effects: &mut VecDeque<Effect>, now: Duration) {
        self.following = true;
        self.ping = Some(now.saturating_add(self.retry));
        if self.had && self.defect == Some(Defect::NoResync) {
            return;
        }
        let own = board.list();
        let names = rows.iter().map(|row| (crate::formats::record::Name::internal(&row.name[..]), state(row)));
        let list = List::of(own.form(), names);
        let wrong = self.manner == Manner::Cyrus36 || self.defect == Some(Defect::WrongComparator);
        let found = if wrong { merge::as_cyrus(own, &list) } else { merge::differences(own, &list) };
        let changes: Vec<(Vec<u8>, bool)> = found.iter().map(|found| (found.key.to_vec(), found.gone)).collect();
        let deleted = changes.iter().filter(|(_, gone)| *gone).count();
        let most = own.len().saturating_mul(self.max_delete.into()).checked_div(100).unwrap_or_default().max(FEW);
        if self.manner == Manner::Manual && deleted > most {
            let what = format!("the master's list would delete {deleted} of {} mailboxes: it is refused", own.len());
            effects.push_back(Effect::Log(what));
            return self.give_up(effects, now);
        }
        self.had = true;
        for (key, gone) in changes {
            let name = list.name(&key).to_internal().into_owned();
            match gone {
                true if self.defect == Some(Defect::MergeWithoutDeletes) => {}
                true => board.follow(&name, None, now),
                false => board.follow(&name, list.get(&key), now),
            }
        }
        effects.push_back(Effect::Log("mailbox list synchronization complete".into()));
    }

    /// What was told is stored, or could not be: then it is asked for again.
    pub(super) fn stored(&mut self, done: bool, effects: &mut VecDeque<Effect>, now: Duration) {
        if !done && self.following {
            effects.push_back(Effect::Log("what the master told could not be stored".into()));
            self.give_up(effects, now);
        }
    }
}

/// So many names may always be deleted.
const FEW: usize = 10;

fn state(row: &Mailbox) -> State<'_> {
    State { reserved: row.acl.is_none(), location: &row.location, acl: row.acl.as_deref().unwrap_or_default() }
}
