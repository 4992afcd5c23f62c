//! A connection to a master, as a backend or a frontend keeps it: opened when there is something to ask, given up when no
//! answer comes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::murder::session::client::{Client, Server};
use crate::murder::wire::Reply;
use crate::murder::wire::command::Verb;
use crate::render::text::printable;

/// The number of a question; never given twice by one link.
pub type Ticket = u64;

/// A row as a master tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mailbox {
    /// Internal name.
    pub name: Vec<u8>,
    /// `server!partition`.
    pub location: Vec<u8>,
    /// ACL as text; `None` for a reservation.
    pub acl: Option<Vec<u8>>,
}

impl std::fmt::Display for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, location) = (printable(&self.name), printable(&self.location));
        match &self.acl {
            Some(acl) => write!(f, "MAILBOX {name} {location} {}", printable(acl)),
            None => write!(f, "RESERVE {name} {location}"),
        }
    }
}

/// What the master says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// The question of this number is answered.
    Done(Ticket, Vec<Mailbox>),
    /// What was asked under this number is refused, with these words.
    Refused(Ticket, String),
    /// A mailbox of a stream changed.
    Changed(Mailbox),
    /// A mailbox of a stream went away.
    Deleted(Vec<u8>),
    /// There is no connection, or none any more; what was asked is not answered.
    Lost,
}

/// What a link wants of whoever carries its bytes, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A connection to the master.
    Connect,
    /// These bytes to be sent.
    Send(Vec<u8>),
    /// The end of the connection.
    Close,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Off,
    /// Wanted, not there.
    Connecting,
    /// There, the banner not complete.
    Greeting,
    Open,
}

/// How long a master may leave a question without any answer: what a backend of 3.6.1 waits for a master that hangs.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Asked {
    ticket: Ticket,
    tag: Option<String>,
    verb: Verb,
    rows: Vec<Mailbox>,
}

/// A connection to a master.
#[derive(Debug)]
pub struct Link {
    client: Client,
    phase: Phase,
    asked: VecDeque<Asked>,
    /// Tag of the UPDATE that is followed.
    stream: Option<String>,
    tickets: Ticket,
    /// How long the master may leave a question without any answer.
    patience: Duration,
    /// When the master is given up.
    deadline: Option<Duration>,
    wishes: VecDeque<Wish>,
}

impl Default for Link {
    fn default() -> Self {
        Link {
            client: Client::default(),
            phase: Phase::Off,
            asked: VecDeque::new(),
            stream: None,
            tickets: 0,
            patience: PATIENCE,
            deadline: None,
            wishes: VecDeque::new(),
        }
    }
}

impl Link {
    /// No connection yet, to a master that is given up after so long without an answer.
    pub fn patient(patience: Duration) -> Link {
        Link { patience, ..Link::default() }
    }

    /// Asks something, over a new connection if there is none.
    pub fn ask(&mut self, verb: Verb, now: Duration) -> Ticket {
        self.tickets = self.tickets.saturating_add(1);
        if self.phase == Phase::Off {
            self.phase = Phase::Connecting;
            self.wishes.push_back(Wish::Connect);
        }
        self.deadline.get_or_insert(now.saturating_add(self.patience));
        self.asked.push_back(Asked { ticket: self.tickets, tag: None, verb, rows: Vec::new() });
        self.send();
        self.tickets
    }

    /// Whether there is a connection over which the master spoke.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// What it wants next.
    pub fn next_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// The connection is there.
    pub fn connected(&mut self) {
        self.phase = Phase::Greeting;
        self.client = Client::default();
    }

    /// There is no connection, or none any more.
    pub fn lost(&mut self) -> Told {
        *self = Link { tickets: self.tickets, patience: self.patience, ..Link::default() };
        Told::Lost
    }

    /// Ends the connection; what was asked is not answered.
    pub fn close(&mut self) {
        let open = self.phase != Phase::Off;
        self.lost();
        if open {
            self.wishes.push_back(Wish::Close);
        }
    }

    /// When [`Link::tick`] has something to do.
    pub fn next_tick(&self) -> Option<Duration> {
        self.deadline
    }

    /// Gives a master up that leaves questions without answers for too long.
    pub fn tick(&mut self, now: Duration) -> Option<Told> {
        // A clock that was put back makes nobody wait longer.
        self.deadline = self.deadline.map(|deadline| deadline.min(now.saturating_add(self.patience)));
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return None;
        }
        self.close();
        Some(Told::Lost)
    }

    /// Takes what arrived.
    pub fn hear(&mut self, bytes: &[u8], now: Duration) -> Vec<Told> {
        let mut told = Vec::new();
        self.client.feed(bytes);
        self.deadline = Some(now.saturating_add(self.patience));
        loop {
            let heard = match self.client.next_line() {
                Ok(Some(heard)) => heard,
                Ok(None) => break,
                Err(_) => {
                    self.close();
                    told.push(Told::Lost);
                    return told;
                }
            };
            if self.phase == Phase::Greeting {
                if Server::default().read(heard.line) {
                    self.phase = Phase::Open;
                }
                continue;
            }
            let streamed = self.stream.as_ref().is_some_and(|tag| heard.is_for(tag));
            let asked = self.asked.front_mut().filter(|asked| asked.tag.as_ref().is_some_and(|tag| heard.is_for(tag)));
            let text = || String::from_utf8_lossy(heard.line.item(0).unwrap_or_default()).into_owned();
            match (heard.reply, asked) {
                (Reply::Row(row), asked) => {
                    let acl = row.acl.map(<[u8]>::to_vec);
                    let row = Mailbox { name: row.name.to_vec(), location: row.location.to_vec(), acl };
                    match asked {
                        Some(asked) => asked.rows.push(row),
                        None if streamed => told.push(Told::Changed(row)),
                        None => {}
                    }
                }
                (Reply::Deleted(name), _) if streamed => told.push(Told::Deleted(name.to_vec())),
                (Reply::Ok, Some(_)) => {
                    let Some(asked) = self.asked.pop_front() else { continue };
                    if matches!(asked.verb, Verb::Update(_)) {
                        self.stream = asked.tag;
                    }
                    told.push(Told::Done(asked.ticket, asked.rows));
                }
                (Reply::No | Reply::Bad, Some(asked)) => {
                    told.push(Told::Refused(asked.ticket, text()));
                    self.asked.pop_front();
                }
                // The end of a connection follows.
                _ => {}
            }
        }
        self.send();
        if self.asked.is_empty() {
            self.deadline = None;
        }
        told
    }

    /// Sends what was asked, once the master has greeted.
    fn send(&mut self) {
        if self.phase != Phase::Open {
            return;
        }
        let mut out = Vec::new();
        for asked in self.asked.iter_mut().filter(|asked| asked.tag.is_none()) {
            asked.tag = Some(self.client.command(&mut out, &asked.verb));
        }
        if !out.is_empty() {
            self.wishes.push_back(Wish::Send(out));
        }
    }
}
