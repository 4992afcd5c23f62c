//! A mupdate master.

use std::collections::VecDeque;
use std::time::Duration;

use super::board::Board;
use super::request::{Answer, Manner, Request};
use super::{ConnId, Door, Effect, Host};
use crate::formats::record::Era;
use crate::murder::defect::Defect;
use crate::murder::node::{Config as Rules, Kind, List, Role};

/// How a master is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name.
    pub name: Vec<u8>,
    /// The release whose records it writes.
    pub era: Era,
    /// Whose behaviour it shows.
    pub manner: Manner,
    /// How long a change may wait before those who follow are told.
    pub update_wait: Duration,
    /// Whether it serves an empty list to those who follow. One of 3.6.1 always does.
    pub allow_empty: bool,
    /// When it started, in seconds since 1970-01-01 UTC.
    pub epoch: u64,
    /// What it does wrong on purpose.
    pub defect: Option<Defect>,
}

/// A mupdate master.
#[derive(Debug)]
pub struct Master {
    manner: Manner,
    board: Board,
    effects: VecDeque<Effect>,
}

impl Master {
    /// A master with this list. One of 3.6.1 drops its reservations first (`ctl_cyrusdb -r`).
    pub fn new(config: Config, list: List) -> Master {
        let cyrus = config.manner == Manner::Cyrus36;
        let rules = Rules {
            kind: Kind::Standard,
            role: Role::Master,
            allow_empty: cyrus || config.allow_empty,
            guard: false,
            update_wait: config.update_wait,
            // Else it would help frontends that make this mistake.
            as_cyrus: cyrus || config.defect == Some(Defect::WrongComparator),
            // That one is a frontend's.
            defect: config.defect.filter(|defect| *defect != Defect::FollowWithoutStore),
        };
        let reserved = |list: &List| -> Vec<Vec<u8>> {
            let reserved = list.iter().filter(|(_, state)| state.reserved);
            reserved.map(|(key, _)| list.name(key).to_internal().into_owned()).collect()
        };
        let dropped = if cyrus { reserved(&list) } else { Vec::new() };
        let mut board = Board::new(rules, list, config.era, &config.name, "(master)".into(), config.epoch);
        let mut effects = VecDeque::new();
        for name in &dropped {
            effects.push_back(Effect::Log(format!("removed reserved mailbox '{}'", String::from_utf8_lossy(name))));
            board.follow(name, None, Duration::ZERO);
        }
        board.settle(&mut effects, Duration::ZERO);
        Master { manner: config.manner, board, effects }
    }

    /// Its list.
    pub fn list(&self) -> &List {
        self.board.list()
    }
}

impl Host for Master {
    fn accept(&mut self, conn: ConnId, door: Door, _: Duration) {
        match door {
            Door::Mupdate => self.board.accept(conn, &mut self.effects),
            Door::Imap | Door::Lmtp => self.effects.push_back(Effect::Close { conn }),
        }
    }

    fn connected(&mut self, _: ConnId, _: Duration) {}

    fn hear(&mut self, conn: ConnId, bytes: &[u8], now: Duration) {
        let deadly = self.board.hear(conn, bytes, &mut self.effects, now);
        if let Some(what) = deadly.filter(|_| self.manner == Manner::Cyrus36) {
            self.effects.clear();
            self.effects.push_back(Effect::Die(what));
        }
    }

    fn lost(&mut self, conn: ConnId, _: Duration) {
        self.board.lost(conn);
    }

    fn stored(&mut self, done: bool, now: Duration) {
        self.board.stored(done, &mut self.effects, now);
    }

    fn order(&mut self, number: u64, _: Request, _: Duration) {
        self.effects.push_back(Effect::Told(number, Answer::no("a mupdate master has no mailboxes of its own")));
    }

    fn tick(&mut self, now: Duration) {
        self.board.tick(&mut self.effects, now);
    }

    fn next_tick(&self) -> Option<Duration> {
        self.board.next_tick()
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}
