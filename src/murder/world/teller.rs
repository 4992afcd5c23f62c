//! Somebody who tells a master things, by MUPDATE: an administrator with a terminal.

use std::collections::VecDeque;
use std::time::Duration;

use crate::murder::host::link::{Link, Mailbox, Ticket, Told, Wish};
use crate::murder::host::request::{Answer, Data, Request};
use crate::murder::host::{ConnId, Door, Effect, Host, OWN};
use crate::murder::wire::command::Verb;

/// How somebody is set up who tells a master things, by MUPDATE.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it is called.
    pub name: Vec<u8>,
    /// The master.
    pub to: Vec<u8>,
}

/// Somebody who tells a master things, by MUPDATE.
#[derive(Debug)]
pub struct Teller {
    to: Vec<u8>,
    link: Link,
    conn: Option<ConnId>,
    conns: ConnId,
    told: VecDeque<(Ticket, u64)>,
    effects: VecDeque<Effect>,
}

impl Teller {
    /// Somebody who told nothing yet.
    pub fn new(config: Config) -> Teller {
        let (told, effects) = (VecDeque::new(), VecDeque::new());
        Teller { to: config.to, link: Link::default(), conn: None, conns: OWN, told, effects }
    }

    /// Tells something, under a number.
    pub fn tell(&mut self, number: u64, verb: Verb, now: Duration) {
        let ticket = self.link.ask(verb, now);
        self.told.push_back((ticket, number));
        self.carry();
    }

    fn carry(&mut self) {
        while let Some(wish) = self.link.next_wish() {
            match (wish, self.conn) {
                (Wish::Connect, _) => {
                    self.conns = self.conns.wrapping_add(1);
                    self.conn = Some(self.conns);
                    let to = self.to.clone();
                    self.effects.push_back(Effect::Connect { conn: self.conns, to, door: Door::Mupdate });
                }
                (Wish::Send(bytes), Some(conn)) => self.effects.push_back(Effect::Send { conn, bytes }),
                (Wish::Close, Some(conn)) => {
                    self.conn = None;
                    self.effects.push_back(Effect::Close { conn });
                }
                _ => {}
            }
        }
    }

    fn heard(&mut self, told: Told) {
        let answer = match told {
            Told::Done(_, rows) => Answer::with(Data::Lines(rows.iter().map(Mailbox::to_string).collect())),
            Told::Refused(_, text) => Answer::no(text),
            Told::Lost => {
                self.conn = None;
                for (_, number) in self.told.drain(..) {
                    self.effects.push_back(Effect::Told(number, Answer::later("the connection is gone")));
                }
                return;
            }
            Told::Changed(_) | Told::Deleted(_) => return,
        };
        if let Some((_, number)) = self.told.pop_front() {
            self.effects.push_back(Effect::Told(number, answer));
        }
    }
}

impl Host for Teller {
    fn accept(&mut self, conn: ConnId, _: Door, _: Duration) {
        self.effects.push_back(Effect::Close { conn });
    }

    fn connected(&mut self, conn: ConnId, _: Duration) {
        if self.conn == Some(conn) {
            self.link.connected();
        }
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8], now: Duration) {
        if self.conn == Some(conn) {
            let told = self.link.hear(bytes, now);
            self.carry();
            told.into_iter().for_each(|told| self.heard(told));
        }
    }

    fn lost(&mut self, conn: ConnId, _: Duration) {
        if self.conn == Some(conn) {
            let told = self.link.lost();
            self.heard(told);
        }
    }

    fn stored(&mut self, _: bool, _: Duration) {}

    fn order(&mut self, number: u64, _: Request, _: Duration) {
        self.effects.push_back(Effect::Told(number, Answer::no("it speaks MUPDATE alone")));
    }

    fn tick(&mut self, now: Duration) {
        if let Some(told) = self.link.tick(now) {
            self.carry();
            self.heard(told);
        }
    }

    fn next_tick(&self) -> Option<Duration> {
        self.link.next_tick()
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}
