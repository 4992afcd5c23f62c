//! The list of a master or a frontend, kept on its disk and served by MUPDATE.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{ConnId, Effect, Keep};
use crate::formats::record::Era;
use crate::murder::defect::Defect;
use crate::murder::node::{Ask, Config, List, Node, State};
use crate::murder::session::server::{Greeting, Session, Step};
use crate::murder::store::durable::record;
use crate::murder::wire::command::{Change, Verb};

/// A list and those who ask about it.
#[derive(Debug)]
pub struct Board {
    node: Node,
    era: Era,
    greeting: Greeting,
    epoch: u64,
    sessions: BTreeMap<ConnId, Session>,
    /// What was asked while something was being stored.
    held: VecDeque<(ConnId, Ask)>,
    storing: bool,
}

impl Board {
    /// A list that nobody asked about yet; `place` as the banner says it.
    pub fn new(config: Config, list: List, era: Era, name: &[u8], place: String, epoch: u64) -> Board {
        let greeting = Greeting {
            mechanisms: vec!["PLAIN".into()],
            starttls: false,
            compress: false,
            server: String::from_utf8_lossy(name).into_owned(),
            product: "coroner".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            place,
        };
        let node = Node::new(config, list);
        Board { node, era, greeting, epoch, sessions: BTreeMap::new(), held: VecDeque::new(), storing: false }
    }

    /// The list.
    pub fn list(&self) -> &List {
        self.node.list()
    }

    /// Whether somebody came in by this connection.
    pub fn has(&self, conn: ConnId) -> bool {
        self.sessions.contains_key(&conn)
    }

    fn has_defect(&self, defect: Defect) -> bool {
        self.node.config().defect == Some(defect)
    }

    /// Whether changes are being stored: nothing may be changed meanwhile.
    pub fn is_storing(&self) -> bool {
        self.storing
    }

    /// Somebody comes in, who is let in without a password.
    pub fn accept(&mut self, conn: ConnId, effects: &mut VecDeque<Effect>) {
        let mut session = Session::new(&self.greeting);
        session.open_to_anyone();
        self.sessions.insert(conn, session);
        self.node.connect(conn);
        effects.push_back(Effect::Send { conn, bytes: self.greeting.banner() });
    }

    /// Somebody is gone.
    pub fn lost(&mut self, conn: ConnId) {
        self.sessions.remove(&conn);
        self.node.disconnect(conn);
        self.held.retain(|(held, _)| *held != conn);
    }

    /// Everybody is sent away.
    pub fn end_all(&mut self, text: &str, effects: &mut VecDeque<Effect>, now: Duration) {
        self.node.end_all(text);
        self.settle(effects, now);
    }

    /// Bytes of somebody; gives what a master of 3.6.1 dies of, if it is asked that.
    pub fn hear(
        &mut self,
        conn: ConnId,
        bytes: &[u8],
        effects: &mut VecDeque<Effect>,
        now: Duration,
    ) -> Option<String> {
        let mut deadly = None;
        self.sessions.get_mut(&conn)?.feed(bytes);
        while let Some(step) = self.sessions.get_mut(&conn).and_then(Session::next_step) {
            match step {
                Step::Ask(ask) => {
                    deadly = deadly.or_else(|| deadly_for(self.node.list(), &ask));
                    match self.storing {
                        true => self.held.push_back((conn, ask)),
                        false => self.node.ask(conn, ask, now),
                    }
                }
                Step::Say(bytes) => effects.push_back(Effect::Send { conn, bytes }),
                Step::Close(bytes) => {
                    effects.extend([Effect::Send { conn, bytes }, Effect::Close { conn }]);
                    self.lost(conn);
                }
                // Nobody has to log in, and neither TLS nor compression is offered.
                Step::Authenticate { .. } | Step::Answer(_) | Step::StartTls(_) | Step::Compress(_) => {}
            }
        }
        self.settle(effects, now);
        deadly
    }

    /// A master told of a change.
    pub fn follow(&mut self, name: &[u8], state: Option<State<'_>>, now: Duration) {
        self.node.follow(name, state, now);
    }

    /// Another list takes this one's place, without being stored.
    pub fn replace(&mut self, list: List, now: Duration) {
        self.node.replace(list, now);
    }

    /// Has changes stored, or what there is to say sent.
    pub fn settle(&mut self, effects: &mut VecDeque<Effect>, now: Duration) {
        if self.storing {
            return;
        }
        effects.extend(self.node.notes().into_iter().map(Effect::Log));
        if self.has_defect(Defect::FollowWithoutStore) {
            self.node.committed();
        }
        if self.node.has_changes() {
            let time = self.epoch.saturating_add(now.as_secs());
            let keep = |(key, value)| Keep::Record { key, value };
            let changes = self.node.changes();
            let keeps = changes.iter().filter_map(|change| record(change, self.era, time)).map(keep).collect();
            self.storing = true;
            if self.has_defect(Defect::ReplyBeforeSync) {
                self.node.committed();
                self.speak(effects, now);
            }
            effects.push_back(Effect::Store(keeps));
            return;
        }
        self.speak(effects, now);
    }

    fn speak(&mut self, effects: &mut VecDeque<Effect>, now: Duration) {
        loop {
            let outputs = self.node.outputs();
            if outputs.is_empty() || self.node.has_changes() {
                return;
            }
            for (conn, output) in outputs {
                if !output.bytes.is_empty() {
                    effects.push_back(Effect::Send { conn, bytes: output.bytes });
                }
                if output.close {
                    effects.push_back(Effect::Close { conn });
                    self.sessions.remove(&conn);
                } else {
                    self.node.go_on(conn, now);
                }
            }
        }
    }

    /// What was to be stored is, or is not.
    pub fn stored(&mut self, done: bool, effects: &mut VecDeque<Effect>, now: Duration) {
        if !std::mem::take(&mut self.storing) {
            return;
        }
        if done || self.has_defect(Defect::IgnoreRefusedStore) {
            self.node.committed();
        } else {
            self.node.refused();
        }
        self.speak(effects, now);
        while let Some((conn, ask)) = self.held.pop_front() {
            self.node.ask(conn, ask, now);
        }
        self.settle(effects, now);
    }

    /// Time went by.
    pub fn tick(&mut self, effects: &mut VecDeque<Effect>, now: Duration) {
        self.node.clock(now);
        if !self.storing {
            self.node.tick(now);
            self.settle(effects, now);
        }
    }

    /// When [`Board::tick`] has something to do.
    pub fn next_tick(&self) -> Option<Duration> {
        self.node.next_tick().filter(|_| !self.storing)
    }
}

/// What a master of 3.6.1 dies of: all its connections with it.
fn deadly_for(list: &List, ask: &Ask) -> Option<String> {
    let Ask::Verb { verb: Verb::Change(change), .. } = ask else { return None };
    let now = list.find(change.name());
    let name = String::from_utf8_lossy(change.name()).into_owned();
    match (change, now) {
        (Change::Delete { .. }, None) => Some(format!("DELETE of {name}, which is not known")),
        (Change::Deactivate { .. }, None) => Some(format!("DEACTIVATE of {name}, which is not known")),
        (Change::Deactivate { location, .. }, Some(now)) if now.reserved && now.location == location => {
            Some(format!("DEACTIVATE of {name}, which is not active"))
        }
        _ => None,
    }
}
