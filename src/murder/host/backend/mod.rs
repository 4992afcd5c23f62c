//! A backend: has mailboxes, and tells the master of them.
//!
//! A change of the list goes in steps (`imap/mboxlist.c`): the name is reserved at the master, one's own list is changed, the
//! mailbox is made active at the master; what was done is taken back if a later step fails.

pub mod locals;
mod look;
mod plans;
mod saga;
mod sync;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::locals::{Locals, Mailbox};
use self::saga::{Action, Asker, Saga};
use self::sync::Sync;
use super::disk::Spool;
use super::link::{Link, Ticket, Told, Wish};
use super::porch::{Asked, Porch, Users};
use super::request::{Answer, Manner, Request, User};
use super::{ConnId, Door, Effect, Host, Keep, OWN};
use crate::formats::record::{Era, Name};
use crate::murder::defect::Defect;
use crate::murder::door::Namespace;
use crate::murder::node::push::Own;
use crate::murder::wire::command::Verb;

/// What becomes of a mailbox that is deleted (`delete_mode`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DeleteMode {
    /// It is gone at once.
    Immediate,
    /// It is renamed to one below `DELETED`, for a while.
    #[default]
    Delayed,
}

/// How a backend is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name (`servername`).
    pub name: Vec<u8>,
    /// The master's name (`mupdate_server`); none if it is alone.
    pub master: Option<Vec<u8>>,
    /// The release whose records it writes.
    pub era: Era,
    /// Where mailboxes go (`defaultpartition`).
    pub partition: Vec<u8>,
    /// Whose behaviour it shows.
    pub manner: Manner,
    /// What becomes of a mailbox that is deleted.
    pub delete_mode: DeleteMode,
    /// Who may come in.
    pub users: Users,
    /// How clients spell names.
    pub namespace: Namespace,
    /// When it started, in seconds since 1970-01-01 UTC.
    pub epoch: u64,
    /// What is done wrong on purpose, to see whether anybody notices.
    pub defect: Option<Defect>,
}

/// What a question to the master was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    Saga(u64),
    Sync,
}

/// What is being stored.
#[derive(Debug)]
enum Storing {
    Saga(u64, Vec<saga::Local>),
    Sync(Vec<saga::Local>),
}

/// A backend.
#[derive(Debug)]
pub struct Backend {
    config: Config,
    locals: Locals,
    /// Number of messages, by uniqueid.
    messages: BTreeMap<Vec<u8>, u32>,
    /// Who subscribed to what.
    subscribed: BTreeSet<(Vec<u8>, Vec<u8>)>,
    porch: Porch,
    link: Link,
    /// The number of the connection to the master.
    master: Option<ConnId>,
    conns: ConnId,
    sagas: BTreeMap<u64, Saga>,
    numbers: u64,
    asked: BTreeMap<Ticket, For>,
    waiting: VecDeque<(Asker, User, Request)>,
    to_store: VecDeque<(Storing, Vec<Keep>)>,
    storing: Option<(Storing, Vec<Keep>)>,
    sync: Option<Sync>,
    effects: VecDeque<Effect>,
}

impl Backend {
    /// A backend with these records and messages.
    pub fn new(config: Config, records: &[(Vec<u8>, Vec<u8>)], spool: &Spool) -> Backend {
        let count = |messages: &Vec<Vec<u8>>| u32::try_from(messages.len()).unwrap_or(u32::MAX);
        Backend {
            locals: Locals::new(records, config.era),
            messages: spool.iter().map(|(id, messages)| (id.clone(), count(messages))).collect(),
            subscribed: BTreeSet::new(),
            porch: Porch::new(&config.name, config.namespace, config.users.clone()),
            link: Link::default(),
            master: None,
            conns: OWN,
            sagas: BTreeMap::new(),
            numbers: 0,
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            to_store: VecDeque::new(),
            storing: None,
            sync: None,
            effects: VecDeque::new(),
            config,
        }
    }

    /// Its own list, as a push looks at it.
    pub fn list_of_own(&self) -> Vec<Own> {
        self.locals.own()
    }

    fn time(&self, now: Duration) -> u64 {
        self.config.epoch.saturating_add(now.as_secs())
    }

    /// Does what can be done now.
    fn run(&mut self, now: Duration) {
        let mut later = VecDeque::new();
        loop {
            // Whoever is answered may ask the next thing at once.
            while let Some(Asked { conn, user, request }) = self.porch.next_asked() {
                self.waiting.push_back((Asker::Conn(conn), user, request));
            }
            let Some((asker, user, request)) = self.waiting.pop_front() else { break };
            if !self.begin(asker, &user, &request, now) {
                later.push_back((asker, user, request));
            }
        }
        self.waiting = later;
        self.carry();
        let idle = self.sagas.is_empty() && self.sync.is_none() && self.asked.is_empty();
        if idle && self.config.manner == Manner::Cyrus36 {
            // 3.6.1 connects anew for each change, so that one connection that does not answer harms no other.
            self.link.close();
            self.carry();
        }
    }

    /// Begins with a request; `false` if somebody else must be done first.
    fn begin(&mut self, asker: Asker, user: &User, request: &Request, now: Duration) -> bool {
        if self.sync.is_some() && changes(request) {
            return false;
        }
        if let Request::Sync { dry_run, authoritative } = *request {
            if !self.sagas.is_empty() {
                return false;
            }
            self.begin_sync(asker, dry_run, authoritative, now);
            return true;
        }
        if let Request::Subscribe { name, subscribed } = request {
            let pair = (user.name.clone(), name.clone());
            let _ = if *subscribed { self.subscribed.insert(pair) } else { self.subscribed.remove(&pair) };
            self.tell(asker, Answer::ok());
            return true;
        }
        match self.look(user, request) {
            Some(answer) => self.tell(asker, answer),
            None => match self.plan(user, request, now) {
                Err(answer) => self.tell(asker, answer),
                Ok(steps) => {
                    let saga = Saga::new(asker, request, steps);
                    let busy = |other: &Saga| other.names.iter().any(|name| saga.names.binary_search(name).is_ok());
                    if self.sagas.values().any(busy) {
                        return false;
                    }
                    self.numbers = self.numbers.saturating_add(1);
                    let number = self.numbers;
                    if self.has_defect(Defect::AnswerBeforeStore) && !saga.steps.is_empty() {
                        self.tell(asker, saga.answer.clone());
                    }
                    self.sagas.insert(number, saga);
                    self.go_on(number, now);
                }
            },
        }
        true
    }

    /// Goes on with a saga as far as it goes by itself.
    fn go_on(&mut self, number: u64, now: Duration) {
        let Some(saga) = self.sagas.get_mut(&number) else { return };
        match saga.steps.front().map(|step| step.action.clone()) {
            None => {
                let Some(saga) = self.sagas.remove(&number) else { return };
                self.tell(saga.asker, saga.answer);
            }
            Some(Action::Tell(change)) => match self.config.master {
                Some(_) => {
                    let ticket = self.link.ask(Verb::Change(change), now);
                    self.asked.insert(ticket, For::Saga(number));
                }
                // Alone, nobody has to be told.
                None => {
                    saga.done();
                    self.go_on(number, now);
                }
            },
            Some(Action::Keep(locals, more)) => {
                let mut keeps = more;
                for (name, entry) in &locals {
                    keeps.extend(self.locals.keeps(name, entry.as_ref()));
                }
                self.to_store.push_back((Storing::Saga(number, locals), keeps));
                self.store_next();
            }
        }
    }

    fn store_next(&mut self) {
        if self.storing.is_none()
            && let Some((storing, keeps)) = self.to_store.pop_front()
        {
            self.effects.push_back(Effect::Store(keeps.clone()));
            self.storing = Some((storing, keeps));
        }
    }

    /// Counts the messages that came and went.
    fn count(&mut self, keeps: &[Keep]) {
        for keep in keeps {
            match keep {
                Keep::Message { uniqueid, .. } => {
                    let count = self.messages.entry(uniqueid.clone()).or_default();
                    *count = count.saturating_add(1);
                }
                Keep::Forget { uniqueid } => drop(self.messages.remove(uniqueid)),
                Keep::Record { .. } => {}
            }
        }
    }

    /// Takes what the master told.
    fn told(&mut self, told: Told, now: Duration) {
        match told {
            Told::Done(ticket, rows) => match self.asked.remove(&ticket) {
                Some(For::Saga(number)) => {
                    self.sagas.get_mut(&number).into_iter().for_each(Saga::done);
                    self.go_on(number, now);
                }
                Some(For::Sync) => self.sync_told(ticket, Some(rows), now),
                None => {}
            },
            Told::Refused(ticket, _) => match self.asked.remove(&ticket) {
                Some(For::Saga(number)) => self.fail(number, true, now),
                Some(For::Sync) => self.sync_told(ticket, None, now),
                None => {}
            },
            Told::Lost => {
                self.master = None;
                for (_, why) in std::mem::take(&mut self.asked) {
                    match why {
                        For::Saga(number) if self.has_defect(Defect::LostIsDone) => {
                            self.sagas.get_mut(&number).into_iter().for_each(Saga::done);
                            self.go_on(number, now);
                        }
                        For::Saga(number) => self.fail(number, false, now),
                        For::Sync => self.sync_lost(),
                    }
                }
            }
            Told::Changed(_) | Told::Deleted(_) => {}
        }
    }

    fn fail(&mut self, number: u64, refused: bool, now: Duration) {
        if let Some(saga) = self.sagas.get_mut(&number) {
            saga.failed(refused);
        }
        self.go_on(number, now);
    }

    fn tell(&mut self, asker: Asker, answer: Answer) {
        match asker {
            Asker::Conn(conn) => self.porch.answer(conn, answer, &mut self.effects),
            Asker::Order(number) => self.effects.push_back(Effect::Told(number, answer)),
        }
    }

    /// Does what the link wants.
    fn carry(&mut self) {
        while let Some(wish) = self.link.next_wish() {
            match (wish, self.master, &self.config.master) {
                (Wish::Connect, _, Some(to)) => {
                    self.conns = self.conns.wrapping_add(1);
                    self.master = Some(self.conns);
                    self.effects.push_back(Effect::Connect { conn: self.conns, to: to.clone(), door: Door::Mupdate });
                }
                (Wish::Send(bytes), Some(conn), _) => self.effects.push_back(Effect::Send { conn, bytes }),
                (Wish::Close, Some(conn), _) => {
                    self.master = None;
                    self.effects.push_back(Effect::Close { conn });
                }
                _ => {}
            }
        }
    }

    /// A uniqueid that nobody else has.
    fn uniqueid(&mut self, name: &[u8], now: Duration) -> Vec<u8> {
        self.numbers = self.numbers.saturating_add(1);
        let seed = [&self.config.name, name, &now.as_nanos().to_le_bytes(), &self.numbers.to_le_bytes()].concat();
        let sum = xxhash_rust::xxh3::xxh3_128(&seed);
        // 24 digits of base 36, as releases since 3.0 have them.
        let digit = |place: u32| b"0123456789abcdefghijklmnopqrstuvwxyz"[(sum / 36_u128.pow(place) % 36) as usize];
        (0..24).map(digit).collect()
    }

    /// `server!partition` of a mailbox here.
    fn location(&self, partition: &[u8]) -> Vec<u8> {
        [&self.config.name, &b"!"[..], partition].concat()
    }
}

/// Whether a request changes the list.
fn changes(request: &Request) -> bool {
    matches!(
        request,
        Request::Create { .. }
            | Request::Delete { .. }
            | Request::Rename { .. }
            | Request::SetAcl { .. }
            | Request::Sync { .. }
            | Request::Append { .. }
            | Request::Deliver { .. }
    )
}

/// The internal name of a mailbox.
fn internal(entry: &Mailbox) -> Vec<u8> {
    entry.name.to_internal().into_owned()
}

/// The mailbox above a name, if it is to have one.
fn parent(name: &[u8]) -> Option<Vec<u8>> {
    Name::internal(name).parent().map(|name| name.to_internal().into_owned())
}

impl Host for Backend {
    fn accept(&mut self, conn: ConnId, door: Door, now: Duration) {
        match door {
            Door::Mupdate => self.effects.push_back(Effect::Close { conn }),
            Door::Imap | Door::Lmtp => self.porch.accept(conn, door, &mut self.effects),
        }
        self.run(now);
    }

    fn connected(&mut self, conn: ConnId, now: Duration) {
        if self.master == Some(conn) {
            self.link.connected();
        }
        self.run(now);
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8], now: Duration) {
        if self.master == Some(conn) {
            let told = self.link.hear(bytes, now);
            // Of a connection that is given up, before there is another one.
            self.carry();
            told.into_iter().for_each(|told| self.told(told, now));
        } else {
            self.porch.hear(conn, bytes, &mut self.effects);
        }
        self.run(now);
    }

    fn lost(&mut self, conn: ConnId, now: Duration) {
        if self.master == Some(conn) {
            let lost = self.link.lost();
            self.told(lost, now);
        } else {
            self.porch.lost(conn);
        }
        self.run(now);
    }

    fn stored(&mut self, done: bool, now: Duration) {
        if let Some((storing, keeps)) = self.storing.take() {
            let (saga, locals) = match storing {
                Storing::Saga(number, locals) => (Some(number), locals),
                Storing::Sync(locals) => (None, locals),
            };
            if done {
                self.count(&keeps);
                locals.into_iter().for_each(|(name, entry)| self.locals.set(&name, entry));
            }
            match saga {
                Some(number) if done => {
                    self.sagas.get_mut(&number).into_iter().for_each(Saga::done);
                    self.go_on(number, now);
                }
                Some(number) => self.fail(number, true, now),
                None => {}
            }
        }
        self.store_next();
        self.run(now);
    }

    fn order(&mut self, number: u64, request: Request, now: Duration) {
        let admin = User { name: b"cyrus".to_vec(), admin: true };
        self.waiting.push_back((Asker::Order(number), admin, request));
        self.run(now);
    }

    fn tick(&mut self, now: Duration) {
        if let Some(told) = self.link.tick(now) {
            // Before what was asked is asked again: the old connection ends.
            self.carry();
            self.told(told, now);
        }
        self.run(now);
    }

    fn next_tick(&self) -> Option<Duration> {
        self.link.next_tick()
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}
