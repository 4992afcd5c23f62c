//! Where a scenario can be played: in memory, on sockets of this machine, or with real servers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dump;
use super::scenario::{Life, Murder};
use crate::formats::container::{self, KeyOrder};
use crate::formats::record::{Key, KeyStyle, Style, decode};
use crate::murder::host::request::{Answer, Manner, Request};
use crate::murder::wire::command::Verb;
use crate::murder::world::Fault;
use crate::ops::mend::order_of;

/// Why something can't be played there.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Cant {
    /// There is no such thing there.
    #[error("can't be played here")]
    Unsupported,
    /// Something went wrong.
    #[error("{0}")]
    Failed(String),
}

/// A stage with the hosts of a murder. Hosts are named as the scenario names them.
pub trait Theatre {
    /// Whether time is the theatre's own and passes at once.
    fn has_own_clock(&self) -> bool;
    /// What a host is called by the others.
    fn full_name(&self, host: &str) -> String;
    /// Starts or ends a host.
    ///
    /// # Errors
    /// If it does not start or end.
    fn life(&mut self, host: &str, life: Life) -> Result<(), Cant>;
    /// Lets time go by.
    fn wait(&mut self, time: Duration);
    /// Lets as much time go by as frontends that run need to follow the master, if that can be had.
    fn settle(&mut self);
    /// Has a user ask a host; `None` if it gave no answer for a long time. [`Request::Deliver`] goes by LMTP.
    ///
    /// # Errors
    /// If that can't be asked there.
    fn ask(&mut self, user: &str, host: &str, request: &Request) -> Result<Option<Answer>, Cant>;
    /// Tells a master something.
    ///
    /// # Errors
    /// If that can't be asked there.
    fn tell(&mut self, host: &str, verb: &Verb) -> Result<Option<Answer>, Cant>;
    /// Runs `ctl_mboxlist -m` on a backend.
    ///
    /// # Errors
    /// If that can't be asked there.
    fn sync(&mut self, host: &str, dry_run: bool, authoritative: bool) -> Result<Option<Answer>, Cant>;
    /// The bytes of a host's database, none if there is no file.
    ///
    /// # Errors
    /// If it can't be read.
    fn database(&mut self, host: &str) -> Result<Vec<u8>, Cant>;
    /// Gives a host that is down another database, or none.
    ///
    /// # Errors
    /// If it can't be written.
    fn put_database(&mut self, host: &str, bytes: Option<&[u8]>) -> Result<(), Cant>;
    /// The dump of a host's database, as `ctl_mboxlist -d` makes it.
    ///
    /// # Errors
    /// If there is none.
    fn dump(&mut self, host: &str) -> Result<Vec<u8>, Cant> {
        dump::dump(&self.database(host)?).map_err(Cant::Failed)
    }
    /// Gives a host that is down the database that `ctl_mboxlist -u` makes of a dump.
    ///
    /// # Errors
    /// If it is no dump, or the database can't be written.
    fn undump(&mut self, host: &str, dump: &[u8], manner: Manner) -> Result<(), Cant> {
        let bytes = dump::convert(dump).and_then(|converted| dump::undump(&converted, manner)).map_err(Cant::Failed)?;
        self.put_database(host, Some(&bytes))
    }
    /// Lets something happen between two hosts, or nothing any more.
    ///
    /// # Errors
    /// If that can't be played there.
    fn disturb(&mut self, a: &str, b: &str, fault: Option<Fault>) -> Result<(), Cant>;
    /// Lets a host's disk take no more, or again.
    ///
    /// # Errors
    /// If that can't be played there.
    fn fill(&mut self, host: &str, full: bool) -> Result<(), Cant>;
    /// Lets a host die in front of its deed of that number.
    ///
    /// # Errors
    /// If that can't be played there.
    fn fuse(&mut self, host: &str, deeds: u64) -> Result<(), Cant>;
    /// What happened since it was asked for last, in lines for a reader, with times since `begun`.
    fn told(&mut self, begun: Duration) -> Vec<String>;
    /// How much time went by.
    fn now(&self) -> Duration;
}

/// Whoever can open theatres: for each scenario and manner a new one.
pub trait House {
    /// A theatre with the hosts of this murder, all of them down.
    ///
    /// # Errors
    /// If there can't be one.
    fn open(&mut self, murder: &Murder, manner: Manner) -> Result<Box<dyn Theatre + '_>, Cant>;
}

/// What a host's list says of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// `server!partition`; of a mailbox of the host itself its partition.
    pub location: Vec<u8>,
    /// Its ACL as text; `None` if the name is only reserved.
    pub acl: Option<Vec<u8>>,
    /// Whether it says that the mailbox is on another host.
    pub remote: bool,
}

/// What a host's list says, by internal names.
pub type Listing = BTreeMap<Vec<u8>, Row>;

/// What a database says: all mailboxes but deleted ones and those that stand in for a parent.
pub fn listing(bytes: &[u8]) -> Listing {
    let mut listing = Listing::new();
    let Some(format) = container::detect(bytes).format.filter(|_| !bytes.is_empty()) else { return listing };
    let order: KeyOrder = order_of(bytes, format);
    let database = container::open(bytes, format);
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    database.view(order, 1).walk(0, &mut |record| {
        records.push((record.key.into_owned(), record.value.into_owned()));
        true
    });
    let style = Style::of(KeyStyle::guess(records.iter().map(|(key, value)| (&key[..], &value[..]))));
    for (key, value) in &records {
        let decoded = decode(key, value, &style);
        let (Key::Mailbox(name), Some(entry)) = (decoded.key, decoded.entry) else { continue };
        if entry.is_tombstone() || entry.is_intermediate() {
            continue;
        }
        let acl = (!entry.is_reserved()).then(|| entry.acl.to_text().into_owned());
        let remote = entry.is_remote() || entry.is_moving();
        let row = Row { location: entry.location().into_owned(), acl, remote };
        listing.insert(name.to_internal().into_owned(), row);
    }
    listing
}
