//! Somebody's mail program: carries out orders by asking a host, by IMAP or LMTP.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::murder::door::{self, Caller, Namespace};
use crate::murder::host::request::{Answer, Request};
use crate::murder::host::{ConnId, Door, Effect, Host, OWN};

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it is called.
    pub name: Vec<u8>,
    /// The host that it asks.
    pub to: Vec<u8>,
    /// What it speaks.
    pub door: Door,
    /// Whose it is.
    pub user: Vec<u8>,
    /// The user's password.
    pub password: Vec<u8>,
    /// How it spells names.
    pub namespace: Namespace,
}

/// A client.
pub struct Client {
    config: Config,
    caller: Option<Box<dyn Caller>>,
    conn: ConnId,
    /// The orders that are asked, in order; `None` for what nobody ordered.
    asked: VecDeque<Option<u64>>,
    effects: VecDeque<Effect>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that is not connected.
    pub fn new(config: Config) -> Client {
        Client { config, caller: None, conn: OWN, asked: VecDeque::new(), effects: VecDeque::new() }
    }

    fn flush(&mut self) {
        let bytes = self.caller.as_mut().map(|caller| caller.take_output()).unwrap_or_default();
        if !bytes.is_empty() {
            self.effects.push_back(Effect::Send { conn: self.conn, bytes });
        }
    }

    fn drop_all(&mut self) {
        self.caller = None;
        for number in self.asked.drain(..).flatten() {
            self.effects.push_back(Effect::Told(number, Answer::later("the connection is gone")));
        }
    }
}

impl Host for Client {
    fn accept(&mut self, conn: ConnId, _: Door, _: Duration) {
        self.effects.push_back(Effect::Close { conn });
    }

    fn connected(&mut self, _: ConnId, _: Duration) {
        self.flush();
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8], _: Duration) {
        let Some(caller) = self.caller.as_mut().filter(|_| conn == self.conn) else { return };
        caller.hear(bytes);
        while let Some(answer) = caller.next_answer() {
            if let Some(Some(number)) = self.asked.pop_front() {
                self.effects.push_back(Effect::Told(number, answer));
            }
        }
        if caller.is_lost() {
            self.effects.push_back(Effect::Close { conn });
            self.drop_all();
        } else {
            self.flush();
        }
    }

    fn lost(&mut self, conn: ConnId, _: Duration) {
        if conn == self.conn {
            self.drop_all();
        }
    }

    fn stored(&mut self, _: bool, _: Duration) {}

    fn order(&mut self, number: u64, request: Request, _: Duration) {
        let Config { door, namespace, user, password, to, .. } = &self.config;
        let fresh = self.caller.is_none();
        let caller = self.caller.get_or_insert_with(|| door::caller(*door, *namespace, user));
        if fresh {
            self.conn = self.conn.wrapping_add(1);
            self.effects.push_back(Effect::Connect { conn: self.conn, to: to.clone(), door: *door });
            if *door == Door::Imap && !matches!(request, Request::Login { .. }) {
                caller.ask(Request::Login { user: user.clone(), password: password.clone(), acting_for: None });
                self.asked.push_back(None);
            }
        }
        if let (Door::Lmtp, Request::Deliver { name, .. }) = (door, &request) {
            caller.ask(Request::Recipient { name: name.clone() });
            self.asked.push_back(None);
        }
        caller.ask(request);
        self.asked.push_back(Some(number));
        if !fresh {
            self.flush();
        }
    }

    fn tick(&mut self, _: Duration) {}

    fn next_tick(&self) -> Option<Duration> {
        None
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}
