//! What happened in a world, as it can be told.

use std::time::Duration;

use super::HostId;
use super::wires::Fault;
use crate::murder::host::Door;
use crate::murder::host::request::{Answer, Request};

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A host started; whether it took an unfinished transaction back.
    Started {
        /// Whether it did.
        recovered: bool,
    },
    /// A host ended in order.
    Stopped,
    /// A host was ended at once.
    Killed,
    /// A host died of something, and will be started again.
    Died(String),
    /// A host does nothing any more.
    Hangs,
    /// A host that did nothing goes on.
    GoesOn,
    /// Something happens between two hosts from now on.
    Disturbed {
        /// The other one.
        other: HostId,
        /// What.
        fault: Fault,
    },
    /// Nothing happens between two hosts any more.
    Healed {
        /// The other one.
        other: HostId,
    },
    /// A host is ordered something.
    Ordered {
        /// The number of the order.
        number: u64,
        /// What.
        request: Request,
    },
    /// An order is answered.
    Answered {
        /// The number of the order.
        number: u64,
        /// The answer.
        answer: Answer,
    },
    /// A change of a host's list is on its disk, or could not be brought there.
    Stored {
        /// Whether it is.
        done: bool,
        /// Number of records and messages.
        records: usize,
    },
    /// A host logged a line.
    Logged(String),
    /// A host sent bytes to another one.
    Sent {
        /// The other one.
        to: HostId,
        /// What is spoken there.
        door: Door,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// What happened, when, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When.
    pub at: Duration,
    /// Where.
    pub host: HostId,
    /// What.
    pub what: What,
}

/// What is kept of what happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Detail {
    /// Nothing.
    #[default]
    Nothing,
    /// All but what is sent.
    Deeds,
    /// What is sent too.
    All,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// What is kept of it.
    pub detail: Detail,
    /// In its order.
    pub lines: Vec<Line>,
    sum: u64,
}

impl Trace {
    pub(super) fn push(&mut self, at: Duration, host: HostId, what: What) {
        if self.detail != Detail::Nothing {
            self.lines.push(Line { at, host, what });
        }
    }

    pub(super) fn sent(&mut self, at: Duration, host: HostId, to: Option<HostId>, door: Option<Door>, bytes: &[u8]) {
        let head = [at.as_nanos() as u64, host as u64];
        for number in head {
            self.sum = xxhash_rust::xxh3::xxh3_64_with_seed(&number.to_le_bytes(), self.sum);
        }
        self.sum = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.sum);
        if let (Detail::All, Some(to), Some(door)) = (self.detail, to, door) {
            self.lines.push(Line { at, host, what: What::Sent { to, door, bytes: bytes.to_vec() } });
        }
    }

    /// A sum of all that was sent, and when: equal runs have equal ones.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}
