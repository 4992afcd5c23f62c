//! Connections of a frontend to the backends, one for each client and backend.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use super::follow::Follow;
use super::{Config, UNAVAILABLE};
use crate::murder::door::{self, Caller};
use crate::murder::host::porch::{Asked, Porch};
use crate::murder::host::request::{Answer, Request};
use crate::murder::host::{ConnId, Door, Effect};

/// What an answer of a backend is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum For {
    /// Coming in, or something else that the client did not ask.
    Nobody,
    /// The client; the list may have changed.
    Client { changes: bool },
}

/// A connection to a backend.
struct Proxy {
    guest: ConnId,
    server: Vec<u8>,
    door: Door,
    caller: Box<dyn Caller>,
    waiting: VecDeque<For>,
}

/// All connections to backends.
#[derive(Default)]
pub(super) struct Proxies {
    open: BTreeMap<ConnId, Proxy>,
    answered: VecDeque<(ConnId, Answer, bool)>,
    /// Answers that wait until the master has told of what changed.
    kicked: BTreeMap<u64, (ConnId, Answer)>,
    kicks: u64,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies")
            .field("open", &self.open.len())
            .field("answered", &self.answered)
            .finish_non_exhaustive()
    }
}

impl Proxies {
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.open.contains_key(&conn)
    }

    /// Hands a request on; gives whether `conn` was taken for a new connection.
    pub(super) fn ask(
        &mut self,
        conn: ConnId,
        server: Vec<u8>,
        door: Door,
        asked: Asked,
        config: &Config,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        let same = |proxy: &Proxy| proxy.guest == asked.conn && proxy.server == server && proxy.door == door;
        let known = self.open.iter().find(|(_, proxy)| same(proxy)).map(|(conn, _)| *conn);
        let taken = known.is_none();
        let conn = known.unwrap_or(conn);
        if taken {
            let mut caller = door::caller(door, config.namespace, &asked.user.name);
            let mut waiting = VecDeque::new();
            if door == Door::Imap {
                let (user, password) = config.proxy.clone();
                caller.ask(Request::Login { user, password, acting_for: Some(asked.user.name.clone()) });
                waiting.push_back(For::Nobody);
            }
            effects.push_back(Effect::Connect { conn, to: server.clone(), door });
            self.open.insert(conn, Proxy { guest: asked.conn, server, door, caller, waiting });
        }
        if let Some(proxy) = self.open.get_mut(&conn) {
            if let Request::Deliver { name, .. } = &asked.request {
                // The backend says first whether it has such a mailbox.
                proxy.caller.ask(Request::Recipient { name: name.clone() });
                proxy.waiting.push_back(For::Nobody);
            }
            let changes = matches!(
                asked.request,
                Request::Create { .. } | Request::Delete { .. } | Request::Rename { .. } | Request::SetAcl { .. }
            );
            proxy.caller.ask(asked.request);
            proxy.waiting.push_back(For::Client { changes });
        }
        self.flush(conn, effects);
        taken
    }

    fn flush(&mut self, conn: ConnId, effects: &mut VecDeque<Effect>) {
        if let Some(proxy) = self.open.get_mut(&conn) {
            let bytes = proxy.caller.take_output();
            if !bytes.is_empty() {
                effects.push_back(Effect::Send { conn, bytes });
            }
        }
    }

    pub(super) fn hear(&mut self, conn: ConnId, bytes: &[u8], effects: &mut VecDeque<Effect>) {
        let Some(proxy) = self.open.get_mut(&conn) else { return };
        proxy.caller.hear(bytes);
        while let Some(answer) = proxy.caller.next_answer() {
            if let Some(For::Client { changes }) = proxy.waiting.pop_front() {
                self.answered.push_back((proxy.guest, answer, changes));
            }
        }
        if proxy.caller.is_lost() {
            effects.push_back(Effect::Close { conn });
            self.lost(conn);
        } else {
            self.flush(conn, effects);
        }
    }

    /// A backend is gone, or not to be had.
    pub(super) fn lost(&mut self, conn: ConnId) {
        let Some(proxy) = self.open.remove(&conn) else { return };
        for waiting in proxy.waiting {
            if matches!(waiting, For::Client { .. }) {
                let answer = match proxy.door {
                    Door::Lmtp => Answer::later(UNAVAILABLE),
                    _ => Answer::no(UNAVAILABLE),
                };
                self.answered.push_back((proxy.guest, answer, false));
            }
        }
    }

    /// A client is gone.
    pub(super) fn guest_lost(&mut self, guest: ConnId, effects: &mut VecDeque<Effect>) {
        let gone: Vec<ConnId> =
            self.open.iter().filter(|(_, proxy)| proxy.guest == guest).map(|(conn, _)| *conn).collect();
        for conn in gone {
            self.open.remove(&conn);
            effects.push_back(Effect::Close { conn });
        }
        self.answered.retain(|(conn, _, _)| *conn != guest);
    }

    /// Gives clients their answers; of changes, when the master has told of them.
    pub(super) fn settle(
        &mut self,
        porch: &mut Porch,
        follow: &mut Follow,
        effects: &mut VecDeque<Effect>,
        now: Duration,
    ) {
        while let Some((guest, answer, changes)) = self.answered.pop_front() {
            if changes && answer.is_done() {
                self.kicks = self.kicks.wrapping_add(1);
                self.kicked.insert(self.kicks, (guest, answer));
                follow.kick(self.kicks, now);
            } else {
                porch.answer(guest, answer, effects);
            }
        }
        while let Some(number) = follow.next_kick() {
            if let Some((guest, answer)) = self.kicked.remove(&number) {
                porch.answer(guest, answer, effects);
            }
        }
    }
}
