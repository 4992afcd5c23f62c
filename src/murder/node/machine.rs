//! Master and frontend: who asks what, in which order, and what they are told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::list::{List, Row, State};
use super::rules::{Config, Role, Verdict, judge};
use super::stream::{Filter, Stream, Walk, is_for, row};
use crate::formats::record::Name;
use crate::murder::defect::Defect;
use crate::murder::wire::command::{Change, Verb};
use crate::murder::wire::encode;

/// The number of a connection; never given twice.
pub type ConnId = u64;

/// What a connection asks of the node; answers come in the same order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// A command under a tag.
    Verb {
        /// Its tag.
        tag: Vec<u8>,
        /// What it asks.
        verb: Verb,
    },
    /// To be told this when its turn comes.
    Say(Vec<u8>),
    /// To be told this when its turn comes, and then nothing more.
    Bye(Vec<u8>),
}

/// What a connection is to be sent. Nothing more is made for it before [`Node::go_on`] says that this is gone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Output {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether the connection ends behind them.
    pub close: bool,
    /// Number of questions that were answered.
    pub answered: usize,
}

/// Bytes that are made for a connection at a time.
const ROOM: usize = 256 << 10;
/// Somebody who lets so many changes wait does not follow any more.
const QUEUE_MAX: usize = 1 << 18;

#[derive(Debug, Default)]
struct Conn {
    out: Vec<u8>,
    answered: usize,
    waiting: VecDeque<Ask>,
    walk: Option<Walk>,
    /// The NOOP that is answered when the stream has nothing left.
    noop: Option<Vec<u8>>,
    stream: Option<Box<Stream>>,
    /// Whether it changed something that is not durable yet.
    changed: bool,
    /// Whether what it was sent last is not gone yet.
    busy: bool,
    close: bool,
}

impl Conn {
    /// When it is to be told of changes; `None` while it is busy.
    fn due(&self, wait: Duration) -> Option<Duration> {
        self.stream.as_ref().filter(|_| !self.busy)?.due(wait)
    }

    fn answer(&mut self, tag: &[u8], word: &str, text: &str) {
        encode::answer(&mut self.out, tag, word, text);
        self.answered = self.answered.saturating_add(1);
    }
}

/// A change as the store takes it: `None` is a name that is gone.
pub type Stored<'n> = (Name<'n>, Option<State<'n>>);

/// A master or a frontend.
#[derive(Debug)]
pub struct Node {
    config: Config,
    list: List,
    conns: BTreeMap<ConnId, Conn>,
    /// What the list said before the changes that are not durable yet, in their order.
    undo: Vec<(Vec<u8>, Option<Row>)>,
    /// Connections with something to be sent.
    touched: Vec<ConnId>,
    /// What is worth a line in the log.
    notes: Vec<String>,
}

impl Node {
    /// A node with this list.
    pub fn new(config: Config, list: List) -> Self {
        Node { config, list, conns: BTreeMap::new(), undo: Vec::new(), touched: Vec::new(), notes: Vec::new() }
    }

    /// The list.
    pub fn list(&self) -> &List {
        &self.list
    }

    /// How it behaves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Makes a frontend a master.
    pub fn promote(&mut self) {
        self.config.role = Role::Master;
    }

    /// Number of connections.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// A connection that is logged in.
    pub fn connect(&mut self, conn: ConnId) {
        self.conns.insert(conn, Conn::default());
    }

    /// A connection that is gone.
    pub fn disconnect(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
    }

    /// Takes a question. Its answer, and what others are told of it, is to be had from [`Node::outputs`] once the changes
    /// are durable.
    pub fn ask(&mut self, conn: ConnId, ask: Ask, now: Duration) {
        let Some(asking) = self.conns.get_mut(&conn) else { return };
        asking.waiting.push_back(ask);
        self.fill(conn, now);
    }

    /// What a connection was sent is gone.
    pub fn go_on(&mut self, conn: ConnId, now: Duration) {
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.busy = false;
        }
        self.fill(conn, now);
    }

    /// The clock may have been put back: nobody waits longer for that.
    pub fn clock(&mut self, now: Duration) {
        self.conns.values_mut().filter_map(|conn| conn.stream.as_mut()).for_each(|stream| stream.clock(now));
    }

    /// Tells those who follow what is due.
    pub fn tick(&mut self, now: Duration) {
        let wait = self.config.update_wait;
        let due = |conn: &Conn| conn.due(wait).is_some_and(|due| due <= now);
        let due: Vec<ConnId> = self.conns.iter().filter(|(_, conn)| due(conn)).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|conn| self.fill(conn, now));
    }

    /// When [`Node::tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Duration> {
        let wait = self.config.update_wait;
        self.conns.values().filter_map(|conn| conn.due(wait)).min()
    }

    /// Whether there are changes that are not durable yet.
    pub fn has_changes(&self) -> bool {
        !self.undo.is_empty()
    }

    /// The names that changed and what they are now.
    pub fn changes(&self) -> Vec<Stored<'_>> {
        let mut keys: Vec<&[u8]> = self.undo.iter().map(|(key, _)| &key[..]).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|key| (self.list.name(key), self.list.get(key))).collect()
    }

    /// The changes are durable.
    pub fn committed(&mut self) {
        self.undo.clear();
        self.touched.iter().for_each(|conn| {
            if let Some(conn) = self.conns.get_mut(conn) {
                conn.changed = false;
            }
        });
    }

    /// The changes could not be made durable: they did not happen, and those who asked for them, or were about to be told of
    /// them, are told so by the end of their connections.
    pub fn refused(&mut self) {
        for (key, before) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.list.put_back(&key, before);
        }
        for conn in self.conns.values_mut().filter(|conn| conn.changed || !conn.out.is_empty()) {
            conn.out.clear();
            encode::answer(&mut conn.out, b"*", "BYE", "database error");
            conn.close = true;
        }
    }

    /// Ends all connections, with this text.
    pub fn end_all(&mut self, text: &str) {
        for (id, conn) in &mut self.conns {
            encode::answer(&mut conn.out, b"*", "BYE", text);
            conn.close = true;
            self.touched.push(*id);
        }
    }

    /// What is to be sent; not before the changes are durable.
    pub fn outputs(&mut self) -> Vec<(ConnId, Output)> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        let mut outputs = Vec::new();
        for id in touched {
            let Some(conn) = self.conns.get_mut(&id) else { continue };
            let (bytes, answered) = (std::mem::take(&mut conn.out), std::mem::take(&mut conn.answered));
            if bytes.is_empty() && answered == 0 && !conn.close {
                continue;
            }
            conn.busy = true;
            outputs.push((id, Output { bytes, close: conn.close, answered }));
            if conn.close {
                self.conns.remove(&id);
            }
        }
        outputs
    }

    /// What is worth a line in the log.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Puts another list in the place of the one it has: those who follow are told what differs.
    pub fn replace(&mut self, list: List, now: Duration) {
        if self.conns.values().all(|conn| conn.stream.is_none()) {
            self.list = list;
            return;
        }
        let changes = super::merge::differences(&self.list, &list);
        let changes: Vec<Vec<u8>> = changes.into_iter().map(|change| change.key.to_vec()).collect();
        let old = std::mem::replace(&mut self.list, list);
        for key in changes {
            let before = old.get(&key).map(|state| state.server().to_vec());
            let after = self.list.get(&key).map(|state| state.server().to_vec());
            self.tell(&key, before.as_deref(), after.as_deref(), now);
        }
    }

    /// Does a change that a master told a frontend.
    pub fn follow(&mut self, name: &[u8], state: Option<State<'_>>, now: Duration) {
        let key = self.list.key(name);
        if self.list.get(&key) != state {
            self.set(&key, state, now);
        }
    }

    /// Makes output for a connection, up to a limit.
    fn fill(&mut self, id: ConnId, now: Duration) {
        self.touched.push(id);
        loop {
            let Some(conn) = self.conns.get_mut(&id) else { return };
            if conn.busy || conn.out.len() >= ROOM || conn.close {
                return;
            }
            if let Some(walk) = &mut conn.walk {
                if !walk.go_on(&self.list, &mut conn.out, ROOM) {
                    return;
                }
                self.walked(id);
            } else if let Some(noop) = conn.noop.take() {
                let told = conn.stream.as_mut().is_none_or(|stream| stream.drain(&self.list, &mut conn.out, ROOM));
                if !told {
                    conn.noop = Some(noop);
                    return;
                }
                conn.answer(&noop, "OK", "Noop done");
            } else if let Some(ask) = conn.waiting.pop_front() {
                self.take(id, ask, now);
            } else {
                let wait = self.config.update_wait;
                let due = conn.stream.as_mut().filter(|stream| stream.due(wait).is_some_and(|due| due <= now));
                if let Some(stream) = due {
                    stream.drain(&self.list, &mut conn.out, ROOM);
                }
                return;
            }
        }
    }

    /// A list is through.
    fn walked(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(walk) = conn.walk.take() else { return };
        match walk.filter {
            Filter::Prefix(_) => conn.answer(&walk.tag, "OK", "list complete"),
            Filter::Hosts(hosts) => {
                conn.answer(&walk.tag, "OK", "streaming starts");
                // The names that a Cyrus frontend may have lost while it merged are told again.
                conn.walk = (!self.config.as_cyrus).then_some(Walk {
                    tag: walk.tag,
                    filter: Filter::Endangered(hosts),
                    after: None,
                });
            }
            Filter::Endangered(_) => {}
        }
    }

    fn take(&mut self, id: ConnId, ask: Ask, now: Duration) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (tag, verb) = match ask {
            Ask::Say(bytes) => {
                conn.out.extend_from_slice(&bytes);
                conn.answered = conn.answered.saturating_add(1);
                return;
            }
            Ask::Bye(bytes) => {
                conn.out.extend_from_slice(&bytes);
                conn.close = true;
                return;
            }
            Ask::Verb { tag, verb } => (tag, verb),
        };
        if conn.stream.is_some() && verb != Verb::Noop {
            return conn.answer(&tag, "BAD", "not legal when streaming");
        }
        match verb {
            Verb::Noop => conn.noop = Some(tag),
            Verb::Find(name) => {
                let key = self.list.key(&name);
                if let Some(state) = self.list.get(&key) {
                    row(&self.list, &mut conn.out, &tag, &key, state);
                }
                conn.answer(&tag, "OK", "Search completed");
            }
            Verb::List(prefix) => conn.walk = Some(Walk { tag, filter: Filter::Prefix(prefix), after: None }),
            Verb::Update(_) if self.list.is_empty() && !self.config.allow_empty => {
                conn.answer(&tag, "NO", "the list is empty");
                self.notes.push(
                    "UPDATE refused: the list is empty, and whoever follows it would forget all mailboxes".to_owned(),
                );
            }
            Verb::Update(hosts) => {
                conn.stream = Some(Box::new(Stream::new(tag.clone(), hosts.clone())));
                conn.walk = Some(Walk { tag, filter: Filter::Hosts(hosts), after: None });
            }
            Verb::Change(_) if self.config.role == Role::Frontend => conn.answer(&tag, "BAD", "read-only session"),
            Verb::Change(change) => self.change(id, &tag, &change, now),
        }
    }

    fn change(&mut self, id: ConnId, tag: &[u8], change: &Change, now: Duration) {
        let verdict = judge(&self.list, &self.config, change);
        let answer = match verdict {
            Verdict::No(text) => ("NO", text),
            Verdict::Nothing => ("OK", "done"),
            Verdict::Remove => {
                self.set(&self.list.key(change.name()), None, now);
                ("OK", "done")
            }
            Verdict::Set(state, acl) => {
                let acl = acl.as_deref().unwrap_or(state.acl);
                let key = self.list.key(change.name());
                let old = self
                    .list
                    .get(&key)
                    .filter(|old| self.config.defect == Some(Defect::KeepOldAcl) && !old.reserved && !state.reserved);
                let old = old.map(|old| old.acl.to_vec());
                let acl = old.as_deref().unwrap_or(acl);
                self.note_taken(&key, state);
                self.set(&key, Some(State { acl, ..state }), now);
                ("OK", "done")
            }
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.changed = conn.changed || answer.0 == "OK";
            conn.answer(tag, answer.0, answer.1);
        }
    }

    /// A mailbox that another server takes over is worth a line.
    fn note_taken(&mut self, key: &[u8], state: State<'_>) {
        let before = self.list.get(key).filter(|before| !before.reserved && before.server() != state.server());
        let Some(before) = before.filter(|_| !state.reserved) else { return };
        let name = self.list.name(key);
        let text = |bytes: &[u8]| crate::render::text::printable(bytes);
        self.notes.push(format!("{name} goes from {} to {}", text(before.location), text(state.location)));
    }

    fn set(&mut self, key: &[u8], state: Option<State<'_>>, now: Duration) {
        let before = self.list.set(key, state);
        let server = before.as_ref().map(|row| row.state().server().to_vec());
        self.tell(key, server.as_deref(), state.map(|state| state.server()), now);
        self.undo.push((key.to_vec(), before));
    }

    /// Has those who follow told of a change.
    fn tell(&mut self, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>, now: Duration) {
        if after.is_none() && self.config.defect == Some(Defect::StreamWithoutDeletes) {
            return;
        }
        let forgetful = self.config.defect == Some(Defect::LostWakeUp);
        for (id, conn) in &mut self.conns {
            let Some(stream) = &mut conn.stream else { continue };
            if ![before, after].into_iter().flatten().any(|server| is_for(&stream.hosts, server)) {
                continue;
            }
            if forgetful && stream.len() > 0 {
                continue;
            }
            stream.push(key, now);
            if stream.len() > QUEUE_MAX && !conn.close {
                conn.close = true;
                encode::answer(&mut conn.out, b"*", "BYE", "too slow");
                self.touched.push(*id);
            }
        }
    }
}
