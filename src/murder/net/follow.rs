//! A frontend's way to its master: the whole list, then every change, and again when the connection is lost.

use std::io;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::client::{Connection, Target};
use super::hub::{Changes, Hub, Merged, Message};
use crate::formats::record::{Form, Name};
use crate::murder::node::{Builder, State};
use crate::murder::session::client::Heard;
use crate::murder::wire::command::Verb;
use crate::murder::wire::{Reply, encode};

/// How a frontend follows.
pub struct Follower {
    /// The master.
    pub target: Target,
    /// How long it waits before it connects again, and how long it is silent before it asks whether the master is there.
    pub retry: Duration,
    /// How the names of its list are spelt.
    pub form: Form,
    /// After how long without a master it becomes one.
    pub promote: Option<Duration>,
}

impl Follower {
    /// Follows until it is promoted, by `promoted` or because the master is gone for too long; `ready` says when the list is
    /// the master's.
    pub async fn run(self, hub: Hub, ready: watch::Sender<bool>, promoted: watch::Sender<bool>) {
        let mut told = promoted.subscribe();
        let mut alive = Instant::now();
        loop {
            let followed = tokio::select! {
                followed = self.follow(&hub, &ready, &mut alive) => followed,
                _ = told.wait_for(|promoted| *promoted) => break,
            };
            if let Err(error) = followed {
                warn!(master = self.target.address, %error, "not following the master");
            }
            let gone = alive.elapsed();
            if self.promote.is_some_and(|limit| gone >= limit) {
                warn!(master = self.target.address, gone = ?gone, "the master is gone for too long");
                break;
            }
            let wait = self.promote.map_or(self.retry, |limit| self.retry.min(limit.saturating_sub(gone)));
            tokio::select! {
                () = sleep(wait) => {}
                _ = told.wait_for(|promoted| *promoted) => break,
            }
        }
        hub.tell(Message::Promote);
        let _ = promoted.send(true);
        let _ = ready.send(true);
    }

    async fn follow(&self, hub: &Hub, ready: &watch::Sender<bool>, alive: &mut Instant) -> io::Result<()> {
        let opened = Connection::open(&self.target).await;
        let mut master = opened.map_err(|failure| io::Error::other(failure.to_string()))?;
        let mut list = Builder::new(self.form);
        let mut out = Vec::new();
        encode::command(&mut out, TAG, &Verb::Update(Vec::new()));
        master.send(&out).await?;
        let mut complete = false;
        while !complete {
            master
                .hear(&mut |heard| {
                    match heard.reply {
                        Reply::Row(row) if heard.is_for(TAG) => {
                            let (location, acl) = (row.location, row.acl.unwrap_or_default());
                            let state = State { reserved: row.acl.is_none(), location, acl };
                            list.push(&Name::internal(row.name), state);
                        }
                        Reply::Ok if heard.is_for(TAG) => complete = true,
                        _ => return Err(io::Error::other(format!("it answers {}", heard.text()))),
                    }
                    Ok(!complete)
                })
                .await?;
        }
        let list = list.finish();
        let names = list.len();
        let (answer, merged) = oneshot::channel();
        hub.tell(Message::Replace(list, answer));
        match merged.await {
            Ok(Merged::Done(changes)) => {
                info!(master = self.target.address, names, changes, "the list is the master's")
            }
            Ok(Merged::TooMany(deleted)) => {
                error!(deleted, names, "the master's list would delete too many mailboxes: see --max-delete");
                return Err(io::Error::other("its list is refused"));
            }
            _ => return Err(io::Error::other("its list can't be kept")),
        }
        let _ = ready.send(true);
        self.stream(&mut master, hub, alive).await
    }

    /// Hears changes, until the connection is lost.
    async fn stream(&self, master: &mut Connection, hub: &Hub, alive: &mut Instant) -> io::Result<()> {
        let mut asked = false;
        loop {
            *alive = Instant::now();
            let mut changes = Changes::new();
            let mut each = |heard: Heard<'_>| {
                match heard.reply {
                    Reply::Row(row) => {
                        let state = (row.acl.is_none(), row.location.to_vec(), row.acl.unwrap_or_default().to_vec());
                        changes.push((row.name.to_vec(), Some(state)));
                    }
                    Reply::Deleted(name) => changes.push((name.to_vec(), None)),
                    Reply::Ok => {}
                    _ => return Err(io::Error::other(format!("it says {}", heard.text()))),
                }
                Ok(true)
            };
            match timeout(self.retry, master.hear(&mut each)).await {
                Ok(heard) => {
                    heard?;
                    asked = false;
                }
                Err(_) if asked => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")),
                Err(_) => {
                    master.send(b"N01 NOOP\r\n").await?;
                    asked = true;
                }
            }
            if !changes.is_empty() {
                hub.tell(Message::Follow(changes));
            }
        }
    }
}

/// Tag of the command that is followed.
const TAG: &str = "U01";
