//! A frontend: follows a master, and hands what clients ask on to the backends.

mod follow;
mod proxy;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::follow::Follow;
use self::proxy::Proxies;
use super::board::Board;
use super::link::{Link, Ticket, Told, Wish};
use super::porch::{Asked, Porch, Users};
use super::request::{Answer, Data, Manner, Request, User};
use super::{ConnId, Door, Effect, Host, OWN, rights};
use crate::formats::record::{Acl, Era, Name};
use crate::murder::defect::Defect;
use crate::murder::door::Namespace;
use crate::murder::node::{Config as Rules, Kind, List, Role, State};
use crate::murder::wire::command::Verb;

/// How a frontend is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name (`servername`).
    pub name: Vec<u8>,
    /// The master's name (`mupdate_server`).
    pub master: Vec<u8>,
    /// The release whose records it writes.
    pub era: Era,
    /// Whose behaviour it shows.
    pub manner: Manner,
    /// How long it waits before it looks for its master again, and how long that may be silent (`mupdate_retry_delay`).
    pub retry: Duration,
    /// How many percent of its list a master may delete at once; one of 3.6.1 lets it delete all.
    pub max_delete: u8,
    /// How long a change may wait before those who follow are told.
    pub update_wait: Duration,
    /// Who may come in.
    pub users: Users,
    /// As whom it comes in at the backends (`proxy_authname`), and with which password.
    pub proxy: (Vec<u8>, Vec<u8>),
    /// How clients spell names.
    pub namespace: Namespace,
    /// When it started, in seconds since 1970-01-01 UTC.
    pub epoch: u64,
    /// What it does wrong on purpose.
    pub defect: Option<Defect>,
}

/// What 3.6 says if it does not know where to ask, or can't.
const UNAVAILABLE: &str = "Server(s) unavailable to complete operation";

/// A frontend.
#[derive(Debug)]
pub struct Frontend {
    config: Config,
    board: Board,
    porch: Porch,
    follow: Follow,
    /// What the master told while something was being stored.
    told: VecDeque<Told>,
    /// The way to the master for questions, beside the one on which it is followed.
    finder: Link,
    finder_conn: Option<ConnId>,
    finding: BTreeMap<Ticket, Asked>,
    proxies: Proxies,
    subscribed: BTreeSet<(Vec<u8>, Vec<u8>)>,
    conns: ConnId,
    effects: VecDeque<Effect>,
}

impl Frontend {
    /// A frontend with this list.
    pub fn new(config: Config, list: List) -> Frontend {
        let rules = Rules {
            kind: Kind::Standard,
            role: Role::Frontend,
            allow_empty: config.manner == Manner::Cyrus36,
            guard: false,
            update_wait: config.update_wait,
            as_cyrus: config.manner == Manner::Cyrus36,
            defect: config.defect.filter(|defect| *defect == Defect::FollowWithoutStore),
        };
        let place = format!("mupdate://{}", String::from_utf8_lossy(&config.master));
        Frontend {
            board: Board::new(rules, list, config.era, &config.name, place, config.epoch),
            porch: Porch::new(&config.name, config.namespace, config.users.clone()),
            follow: Follow::new(&config),
            told: VecDeque::new(),
            finder: Link::default(),
            finder_conn: None,
            finding: BTreeMap::new(),
            proxies: Proxies::default(),
            subscribed: BTreeSet::new(),
            conns: OWN,
            effects: VecDeque::new(),
            config,
        }
    }

    /// Its list.
    pub fn list(&self) -> &List {
        self.board.list()
    }

    /// Whether its list is its master's, as far as it was told.
    pub fn is_following(&self) -> bool {
        self.follow.is_following()
    }

    fn new_conn(&mut self) -> ConnId {
        self.conns = self.conns.wrapping_add(1);
        self.conns
    }

    fn run(&mut self, now: Duration) {
        self.follow.go_on(&mut self.board, &mut self.effects, now);
        loop {
            self.proxies.settle(&mut self.porch, &mut self.follow, &mut self.effects, now);
            let Some(asked) = self.porch.next_asked() else { break };
            self.ask(asked, now);
        }
        self.carry();
        self.board.settle(&mut self.effects, now);
    }

    /// Takes what the master told, unless something is being stored.
    fn take_told(&mut self, now: Duration) {
        while !self.board.is_storing()
            && let Some(told) = self.told.pop_front()
        {
            self.follow.told(told, &mut self.board, &mut self.effects, now);
            if self.follow.waits() {
                // What else came by that connection will be told again.
                self.told.clear();
            }
        }
    }

    /// Its master is gone.
    fn master_lost(&mut self, told: Told, now: Duration) {
        self.told.clear();
        self.follow.told(told, &mut self.board, &mut self.effects, now);
    }

    /// Does what is asked, or hands it on.
    fn ask(&mut self, asked: Asked, now: Duration) {
        let answer = match &asked.request {
            Request::List { subscribed } => Answer::with(Data::Mailboxes(self.names(&asked.user, *subscribed))),
            Request::Subscribe { name, subscribed } => {
                let pair = (asked.user.name.clone(), name.clone());
                let _ = if *subscribed { self.subscribed.insert(pair) } else { self.subscribed.remove(&pair) };
                Answer::ok()
            }
            // 3.6.1 believes its own list; the manual's asks the master.
            Request::Recipient { name } if self.config.manner == Manner::Manual => {
                let ticket = self.finder.ask(Verb::Find(name.clone()), now);
                self.finding.insert(ticket, asked);
                return;
            }
            Request::Recipient { name } => match self.board.list().find(name).filter(|state| !state.reserved) {
                Some(_) => Answer::ok(),
                None => Answer::unknown(),
            },
            request => match self.server_for(&asked.user, request) {
                Ok(server) => return self.hand_on(server, asked),
                Err(answer) => answer,
            },
        };
        self.porch.answer(asked.conn, answer, &mut self.effects);
    }

    fn hand_on(&mut self, server: Vec<u8>, mut asked: Asked) {
        if let Request::Create { place, .. } = &mut asked.request {
            // What is left of it is the backend's partition.
            *place = place.as_ref().and_then(|place| {
                let bang = place.iter().position(|&byte| byte == b'!')?;
                place.get(bang.saturating_add(1)..).filter(|rest| !rest.is_empty()).map(<[u8]>::to_vec)
            });
        }
        let conn = self.conns.wrapping_add(1);
        let door = self.porch.door(asked.conn).unwrap_or(Door::Imap);
        if self.proxies.ask(conn, server, door, asked, &self.config, &mut self.effects) {
            self.conns = conn;
        }
    }

    /// The backend that a request goes to.
    fn server_for(&self, user: &User, request: &Request) -> Result<Vec<u8>, Answer> {
        let list = self.board.list();
        let name = request.name().unwrap_or_default();
        let server = |state: State<'_>| state.server().to_vec();
        let here = list.find(name).filter(|state| !state.reserved).filter(|state| self.sees(user, name, *state));
        match request {
            Request::Create { place: Some(place), .. } => Ok(crate::murder::node::list::server(place).to_vec()),
            Request::Create { .. } => {
                let parent = Name::internal(name).parent().map(|parent| parent.to_internal().into_owned());
                let above = parent.and_then(|parent| list.find(&parent).map(server));
                above.ok_or_else(|| Answer::no(UNAVAILABLE))
            }
            _ => here.map(server).ok_or_else(Answer::unknown),
        }
    }

    fn sees(&self, user: &User, name: &[u8], state: State<'_>) -> bool {
        rights::allow(user, &Acl::text(state.acl), &Name::internal(name), b'l')
    }

    fn names(&self, user: &User, subscribed: bool) -> Vec<Vec<u8>> {
        let list = self.board.list();
        let names = list.iter().filter(|(_, state)| !state.reserved).filter_map(|(key, state)| {
            let parsed = list.name(key);
            let name = parsed.to_internal().into_owned();
            let hidden = parsed.deleted().is_some() && !user.admin;
            (!hidden && self.sees(user, &name, state)).then_some(name)
        });
        let wanted = |name: &Vec<u8>| !subscribed || self.subscribed.contains(&(user.name.clone(), name.clone()));
        names.filter(wanted).collect()
    }

    /// Takes what the master said of single names.
    fn found(&mut self, told: Told) {
        match told {
            Told::Done(ticket, rows) => {
                let Some(asked) = self.finding.remove(&ticket) else { return };
                let active = rows.first().filter(|row| row.acl.is_some());
                let answer = if active.is_some() { Answer::ok() } else { Answer::unknown() };
                self.porch.answer(asked.conn, answer, &mut self.effects);
            }
            Told::Refused(ticket, _) => {
                if let Some(asked) = self.finding.remove(&ticket) {
                    self.porch.answer(asked.conn, Answer::unknown(), &mut self.effects);
                }
            }
            Told::Lost => {
                self.finder_conn = None;
                for (_, asked) in std::mem::take(&mut self.finding) {
                    let answer = Answer::later("cannot locate mailbox: no connection to mupdate server");
                    self.porch.answer(asked.conn, answer, &mut self.effects);
                }
            }
            Told::Changed(_) | Told::Deleted(_) => {}
        }
    }

    /// Does what the two ways to the master want.
    fn carry(&mut self) {
        while let Some(wish) = self.follow.next_wish() {
            let conn = self.follow.conn();
            if let Some(conn) = self.wish(wish, conn) {
                self.follow.set_conn(conn);
            }
        }
        while let Some(wish) = self.finder.next_wish() {
            let conn = self.finder_conn;
            if let Some(conn) = self.wish(wish, conn) {
                self.finder_conn = conn;
            }
        }
    }

    /// Does what a link wants; gives its new connection if that changes.
    fn wish(&mut self, wish: Wish, conn: Option<ConnId>) -> Option<Option<ConnId>> {
        match (wish, conn) {
            (Wish::Connect, _) => {
                let conn = self.new_conn();
                self.effects.push_back(Effect::Connect { conn, to: self.config.master.clone(), door: Door::Mupdate });
                Some(Some(conn))
            }
            (Wish::Send(bytes), Some(conn)) => {
                self.effects.push_back(Effect::Send { conn, bytes });
                None
            }
            (Wish::Close, Some(conn)) => {
                self.effects.push_back(Effect::Close { conn });
                Some(None)
            }
            _ => None,
        }
    }
}

impl Host for Frontend {
    fn accept(&mut self, conn: ConnId, door: Door, now: Duration) {
        match door {
            Door::Mupdate => self.board.accept(conn, &mut self.effects),
            Door::Imap | Door::Lmtp => self.porch.accept(conn, door, &mut self.effects),
        }
        self.run(now);
    }

    fn connected(&mut self, conn: ConnId, now: Duration) {
        if self.follow.conn() == Some(conn) {
            self.follow.connected();
        } else if self.finder_conn == Some(conn) {
            self.finder.connected();
        }
        self.run(now);
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8], now: Duration) {
        if self.follow.conn() == Some(conn) {
            let told = self.follow.hear(bytes, now);
            self.carry();
            match told.last() {
                Some(Told::Lost) => self.master_lost(Told::Lost, now),
                _ => {
                    self.told.extend(told);
                    self.take_told(now);
                }
            }
        } else if self.finder_conn == Some(conn) {
            let told = self.finder.hear(bytes, now);
            self.carry();
            told.into_iter().for_each(|told| self.found(told));
        } else if self.proxies.has(conn) {
            self.proxies.hear(conn, bytes, &mut self.effects);
        } else if self.porch.has(conn) {
            self.porch.hear(conn, bytes, &mut self.effects);
        } else if self.board.has(conn) {
            self.board.hear(conn, bytes, &mut self.effects, now);
        }
        self.run(now);
    }

    fn lost(&mut self, conn: ConnId, now: Duration) {
        if self.follow.conn() == Some(conn) {
            let told = self.follow.lost();
            self.master_lost(told, now);
        } else if self.finder_conn == Some(conn) {
            let told = self.finder.lost();
            self.found(told);
        } else if self.proxies.has(conn) {
            self.proxies.lost(conn);
        } else if self.porch.has(conn) {
            self.porch.lost(conn);
            self.finding.retain(|_, asked| asked.conn != conn);
            self.proxies.guest_lost(conn, &mut self.effects);
        } else {
            self.board.lost(conn);
        }
        self.run(now);
    }

    fn stored(&mut self, done: bool, now: Duration) {
        self.board.stored(done, &mut self.effects, now);
        self.follow.stored(done, &mut self.effects, now);
        if self.follow.waits() {
            self.told.clear();
        }
        self.take_told(now);
        self.run(now);
    }

    fn order(&mut self, number: u64, _: Request, _: Duration) {
        self.effects.push_back(Effect::Told(number, Answer::no("a frontend has no mailboxes of its own")));
    }

    fn tick(&mut self, now: Duration) {
        if let Some(told) = self.finder.tick(now) {
            self.carry();
            self.found(told);
        }
        if let Some(told) = self.follow.tick(now) {
            self.carry();
            self.master_lost(told, now);
        }
        self.board.tick(&mut self.effects, now);
        self.run(now);
    }

    fn next_tick(&self) -> Option<Duration> {
        let all = [self.board.next_tick(), self.follow.next_tick(), self.finder.next_tick()];
        all.into_iter().flatten().min()
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}
