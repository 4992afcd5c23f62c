//! What a connection still has to be told.

use std::collections::VecDeque;
use std::time::Duration;

use super::list::{List, State};
use crate::murder::wire::encode;

/// Whom a list is for.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    /// Mailboxes whose location starts so.
    Prefix(Vec<u8>),
    /// Mailboxes of these servers; all if there is none.
    Hosts(Vec<Vec<u8>>),
    /// Those that a Cyrus frontend can lose when it merges lists, of these servers.
    Endangered(Vec<Vec<u8>>),
}

impl Filter {
    fn lets(&self, list: &List, key: &[u8], state: State<'_>) -> bool {
        match self {
            Filter::Prefix(prefix) => state.location.starts_with(prefix),
            Filter::Hosts(hosts) => is_for(hosts, state.server()),
            Filter::Endangered(hosts) => is_for(hosts, state.server()) && list.is_endangered(key),
        }
    }
}

/// Whether somebody who asked for `hosts` is told of mailboxes on `server`.
pub(super) fn is_for(hosts: &[Vec<u8>], server: &[u8]) -> bool {
    hosts.is_empty() || hosts.iter().any(|host| host == server)
}

/// A list on its way.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) tag: Vec<u8>,
    pub(super) filter: Filter,
    /// The key that was looked at last.
    pub(super) after: Option<Vec<u8>>,
}

impl Walk {
    /// Writes rows until `out` holds `room` bytes; gives whether the list is through.
    pub(super) fn go_on(&mut self, list: &List, out: &mut Vec<u8>, room: usize) -> bool {
        let after = self.after.take();
        for (seen, (key, state)) in list.behind(after.as_deref()).enumerate() {
            if self.filter.lets(list, key, state) {
                row(list, out, &self.tag, key, state);
            }
            if out.len() >= room || seen >= SEEN_MAX {
                self.after = Some(key.to_vec());
                return false;
            }
        }
        true
    }
}

/// Rows looked at in one go: nobody else waits for longer than that takes.
const SEEN_MAX: usize = 50_000;

pub(super) fn row(list: &List, out: &mut Vec<u8>, tag: &[u8], key: &[u8], state: State<'_>) {
    let name = list.name(key);
    let internal = name.bytes_in(crate::formats::record::Form::Internal);
    encode::row(out, tag, key.len(), internal, state.location, (!state.reserved).then_some(state.acl));
}

/// Somebody who follows the list.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) tag: Vec<u8>,
    pub(super) hosts: Vec<Vec<u8>>,
    /// Keys of names that changed, in the order of the changes: what is told is the state when it is told.
    queue: VecDeque<Vec<u8>>,
    /// When the first of them came.
    since: Duration,
}

/// From so many names on, one that waits already does not wait twice.
const QUEUE_PLAIN: usize = 1000;

impl Stream {
    pub(super) fn new(tag: Vec<u8>, hosts: Vec<Vec<u8>>) -> Self {
        Stream { tag, hosts, queue: VecDeque::new(), since: Duration::ZERO }
    }

    pub(super) fn push(&mut self, key: &[u8], now: Duration) {
        if self.queue.is_empty() {
            self.since = now;
        }
        self.queue.push_back(key.to_vec());
        let len = self.queue.len();
        if len > QUEUE_PLAIN && len.is_power_of_two() {
            let mut seen = std::collections::HashSet::new();
            self.queue.retain(|key| seen.insert(key.clone()));
        }
    }

    /// The clock may have been put back.
    pub(super) fn clock(&mut self, now: Duration) {
        self.since = self.since.min(now);
    }

    /// Number of changes that wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// When the changes are to be told.
    pub(super) fn due(&self, wait: Duration) -> Option<Duration> {
        (!self.queue.is_empty()).then(|| self.since.saturating_add(wait))
    }

    /// Writes changes until `out` holds `room` bytes; gives whether all are told.
    pub(super) fn drain(&mut self, list: &List, out: &mut Vec<u8>, room: usize) -> bool {
        while let Some(key) = self.queue.pop_front() {
            match list.get(&key) {
                Some(state) => row(list, out, &self.tag, &key, state),
                None => encode::deleted(out, &self.tag, &list.name(&key).to_internal()),
            }
            if out.len() >= room {
                return self.queue.is_empty();
            }
        }
        true
    }
}
