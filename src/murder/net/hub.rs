//! The thread that owns the node and its store.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use crate::murder::node::merge::differences;
use crate::murder::node::{Ask, ConnId, List, Node, Output};
use crate::murder::store::Store;

/// Changes of a list, as a master tells them: names and what they are, `None` for those that are gone.
pub type Changes = Vec<(Vec<u8>, Option<(bool, Vec<u8>, Vec<u8>)>)>;

/// What the hub is told.
pub enum Message {
    /// Somebody is logged in; what is to be sent goes there.
    Connect(ConnId, mpsc::UnboundedSender<Output>),
    /// Questions, in order.
    Asks(ConnId, Vec<Ask>),
    /// What a connection was given is sent.
    GoOn(ConnId),
    /// A connection is gone.
    Disconnect(ConnId),
    /// The whole list, from a master that is followed; answered when it is durable.
    Replace(List, oneshot::Sender<Merged>),
    /// Changes, from a master that is followed.
    Follow(Changes),
    /// From now on it is a master.
    Promote,
    /// Everything is to end, with this text.
    Stop(&'static str),
}

/// What became of a list that was to take another's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// It did, with so many changes.
    Done(usize),
    /// It would delete so many names, which is more than it may.
    TooMany(usize),
    /// It could not be made durable.
    Failed,
}

/// The way to the hub.
#[derive(Clone)]
pub struct Hub(Sender<Message>);

impl Hub {
    /// Tells it something; nothing happens if it is gone.
    pub fn tell(&self, message: Message) {
        let _ = self.0.send(message);
    }
}

/// Messages taken before what they changed is made durable.
const BATCH: usize = 10_000;
/// How often it looks whether somebody else wrote to the store.
const LOOK: Duration = Duration::from_secs(1);

/// From so many changes on, if they are the most of the list, a new database is written instead.
const MANY: usize = 2000;
/// So many names may always be deleted.
const FEW: usize = 10;

/// Starts the thread. A followed master's list may delete `max_delete` percent of what there is.
pub fn start(node: Node, store: Box<dyn Store>, max_delete: Option<u8>) -> (Hub, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let keeper =
        Keeper { node, store, outs: HashMap::new(), started: Instant::now(), looked: Duration::ZERO, max_delete };
    (Hub(sender), std::thread::spawn(move || keeper.run(&receiver)))
}

struct Keeper {
    node: Node,
    store: Box<dyn Store>,
    outs: HashMap<ConnId, mpsc::UnboundedSender<Output>>,
    started: Instant,
    looked: Duration,
    max_delete: Option<u8>,
}

impl Keeper {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let now = self.now();
            let wait = self.node.next_tick().map_or(LOOK, |due| due.saturating_sub(now)).min(LOOK);
            let mut going = match receiver.recv_timeout(wait) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            for _ in 0..BATCH {
                let Ok(message) = receiver.try_recv() else { break };
                going &= self.take(message);
            }
            self.node.tick(self.now());
            self.settle();
            self.look();
            if !going {
                return;
            }
        }
    }

    fn take(&mut self, message: Message) -> bool {
        let now = self.now();
        match message {
            Message::Connect(conn, out) => {
                self.outs.insert(conn, out);
                self.node.connect(conn);
            }
            Message::Asks(conn, asks) => asks.into_iter().for_each(|ask| self.node.ask(conn, ask, now)),
            Message::GoOn(conn) => self.node.go_on(conn, now),
            Message::Disconnect(conn) => {
                self.outs.remove(&conn);
                self.node.disconnect(conn);
            }
            Message::Replace(list, answer) => {
                let merged = self.merge(list);
                let _ = answer.send(merged);
            }
            Message::Follow(changes) => {
                for (name, state) in &changes {
                    let state = state.as_ref().map(|(reserved, location, acl)| crate::murder::node::State {
                        reserved: *reserved,
                        location,
                        acl,
                    });
                    self.node.follow(name, state, now);
                }
            }
            Message::Promote => {
                self.node.promote();
                info!("promoted: a master from now on");
            }
            Message::Stop(text) => {
                self.node.end_all(text);
                self.settle();
                return false;
            }
        }
        true
    }

    /// Makes changes durable, then lets out what was to be said.
    fn settle(&mut self) -> bool {
        let mut durable = true;
        if self.node.has_changes() {
            match self.store.commit(&self.node.changes()) {
                Ok(()) => self.node.committed(),
                Err(failure) => {
                    error!(%failure, "changes could not be made durable, and were taken back");
                    self.node.refused();
                    durable = false;
                }
            }
        }
        for note in self.node.notes() {
            warn!("{note}");
        }
        for (conn, output) in self.node.outputs() {
            let close = output.close;
            if let Some(out) = self.outs.get(&conn) {
                let _ = out.send(output);
            }
            if close {
                self.outs.remove(&conn);
            }
        }
        durable
    }

    /// Takes over what somebody else wrote to the store.
    fn look(&mut self) {
        let now = self.now();
        if now.saturating_sub(self.looked) < LOOK {
            return;
        }
        self.looked = now;
        match self.store.is_stale().and_then(|stale| if stale { self.store.load().map(Some) } else { Ok(None) }) {
            Ok(None) => {}
            Ok(Some(list)) => {
                info!(names = list.len(), "somebody else wrote to the database: read again");
                self.node.replace(list, now);
            }
            Err(failure) => error!(%failure, "the database can't be looked at"),
        }
    }

    /// Makes the list that of a master.
    fn merge(&mut self, list: List) -> Merged {
        let now = self.now();
        let own = self.node.list();
        let found = differences(own, &list);
        let (changes, deleted) = (found.len(), found.iter().filter(|found| found.gone).count());
        let most = |percent: u8| (own.len().saturating_mul(percent.into()) / 100).max(FEW);
        if self.max_delete.is_some_and(|percent| deleted > most(percent)) {
            return Merged::TooMany(deleted);
        }
        if changes > MANY && changes > own.len() / 2 {
            // What there was to be said of changes before is said first: there is nothing else that is not durable.
            self.settle();
            if let Err(failure) = self.store.replace(&list) {
                error!(%failure, "the list could not be made durable");
                return Merged::Failed;
            }
            self.node.replace(list, now);
            return Merged::Done(changes);
        }
        let keys: Vec<Vec<u8>> = found.into_iter().map(|found| found.key.to_vec()).collect();
        for key in &keys {
            let name = list.name(key).to_internal().into_owned();
            self.node.follow(&name, list.get(key), now);
        }
        if self.settle() { Merged::Done(changes) } else { Merged::Failed }
    }
}
