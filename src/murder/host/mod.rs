//! Hosts of a murder as state machines: (state, what happened, now) to what is to be done.
//!
//! * [`master`]: a mupdate master; [`frontend`]: follows one, and hands clients on to the backends; [`backend`]: has mailboxes;
//! * [`request`]: what clients ask of the last two, and what they are told;
//! * [`link`]: a connection to a master, as the last two keep it;
//! * [`disk`]: the database of a host as the bytes of a file in memory.
//!
//! A host knows no sockets, threads, clocks, disks or randomness. Somebody carries it: connections in memory and a clock of
//! its own for a drill ([`crate::murder::world`]), sockets and a file for a host that others can reach
//! ([`crate::murder::net`]).

pub mod backend;
pub mod board;
pub mod disk;
pub mod frontend;
pub mod link;
pub mod master;
pub mod porch;
pub mod request;
pub mod rights;

use std::time::Duration;

pub use crate::murder::node::ConnId;
use request::{Answer, Request};

/// The first of the numbers that a host gives its own connections.
pub const OWN: ConnId = 1 << 63;

/// What is spoken on a connection, and so what is listened on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Door {
    /// MUPDATE.
    Mupdate,
    /// IMAP.
    Imap,
    /// LMTP.
    Lmtp,
}

impl Door {
    /// As it is spelt in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Door::Mupdate => "mupdate",
            Door::Imap => "imap",
            Door::Lmtp => "lmtp",
        }
    }
}

/// Something to be kept on the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keep {
    /// A record of the database, or that there is none of this key any more.
    Record {
        /// The key as it stands in the database.
        key: Vec<u8>,
        /// The value as it stands in the database.
        value: Option<Vec<u8>>,
    },
    /// A message in a mailbox of this uniqueid, behind those that it has.
    Message {
        /// The mailbox.
        uniqueid: Vec<u8>,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A mailbox goes with all its messages.
    Forget {
        /// The mailbox.
        uniqueid: Vec<u8>,
    },
}

/// What a host wants done. Whoever carries it does these in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// A connection to another host, to be known by this number; [`Host::connected`] or [`Host::lost`] says what became of it.
    Connect {
        /// The number: those that a host gives have the highest bit set, those that it is given have not.
        conn: ConnId,
        /// The other host's name.
        to: Vec<u8>,
        /// Where to come in.
        door: Door,
    },
    /// These bytes to be sent.
    Send {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The end of a connection, behind what was sent; nothing more is heard of it.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// All of these to be kept as one, and synced; then [`Host::stored`]. There is one at a time.
    Store(Vec<Keep>),
    /// An order of the host's own administrator is carried out.
    Told(u64, Answer),
    /// A line for the log.
    Log(String),
    /// The process dies of this, and is started again.
    Die(String),
}

/// A host.
pub trait Host: Send {
    /// Somebody comes in.
    fn accept(&mut self, conn: ConnId, door: Door, now: Duration);
    /// A connection that it wanted is there.
    fn connected(&mut self, conn: ConnId, now: Duration);
    /// Bytes arrive.
    fn hear(&mut self, conn: ConnId, bytes: &[u8], now: Duration);
    /// A connection is gone, or could not be had.
    fn lost(&mut self, conn: ConnId, now: Duration);
    /// What was to be stored is on the disk, or could not be brought there and is as if it had never been tried.
    fn stored(&mut self, done: bool, now: Duration);
    /// Its own administrator wants something, under a number that comes back with [`Effect::Told`].
    fn order(&mut self, number: u64, request: Request, now: Duration);
    /// Time went by.
    fn tick(&mut self, now: Duration);
    /// When [`Host::tick`] has something to do.
    fn next_tick(&self) -> Option<Duration>;
    /// What it wants done next.
    fn next_effect(&mut self) -> Option<Effect>;
}
