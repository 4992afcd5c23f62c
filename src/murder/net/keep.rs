//! Where a host that is carried on sockets keeps what it has: a `mailboxes.db`, and a folder of messages.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Failure;
use crate::formats::container::{Format, KeyOrder, Operation};
use crate::murder::host::Keep;
use crate::murder::host::disk::Spool;
use crate::plan::live::LiveFile;

/// A database in use, and the messages of its mailboxes: `DIR/UNIQUEID/NUMBER.` if there is a folder for them, nowhere but
/// in the host's memory otherwise.
pub struct Keeper {
    live: LiveFile,
    spool: Option<PathBuf>,
    messages: BTreeMap<Vec<u8>, Messages>,
}

/// The messages of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Messages {
    count: usize,
    /// The number of the last one.
    last: u64,
}

impl Keeper {
    /// The database at `path`, that begins as one of `format` if it is not there.
    ///
    /// # Errors
    /// As of [`LiveFile::open`], and when the folder can't be read.
    pub fn open(path: &Path, format: Format, timeout: Duration, spool: Option<&Path>) -> Result<Keeper, Failure> {
        let live = LiveFile::open(path, format, timeout)?;
        let mut keeper = Keeper { live, spool: spool.map(Path::to_owned), messages: BTreeMap::new() };
        if let Some(spool) = spool {
            fs::create_dir_all(spool).map_err(|error| unusable(spool, error))?;
            keeper.messages = messages(spool).map_err(|error| unusable(spool, error))?;
        }
        Ok(keeper)
    }

    /// Reads the database.
    ///
    /// # Errors
    /// As of [`LiveFile::read`], and what `read` says.
    pub fn read<T>(&mut self, read: impl FnOnce(&[u8], Format, KeyOrder) -> Result<T, Failure>) -> Result<T, Failure> {
        self.live.read(read)
    }

    /// How many messages there are, each as an empty one: nobody reads them.
    pub fn spool(&self) -> Spool {
        self.messages.iter().map(|(id, messages)| (id.clone(), vec![Vec::new(); messages.count])).collect()
    }

    /// Keeps all of these, or none.
    ///
    /// # Errors
    /// When none is kept.
    pub fn keep(&mut self, keeps: &[Keep]) -> Result<(), Failure> {
        let operations: Vec<Operation<'_>> = keeps.iter().filter_map(operation).collect();
        let before = self.messages.clone();
        let mut written = Vec::new();
        let kept = self.write_messages(keeps, &mut written);
        let kept = kept.and_then(|()| if operations.is_empty() { Ok(()) } else { self.live.append(&operations) });
        if kept.is_err() {
            self.messages = before;
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            return kept;
        }
        self.forget(keeps);
        kept
    }

    fn write_messages(&mut self, keeps: &[Keep], written: &mut Vec<PathBuf>) -> Result<(), Failure> {
        for keep in keeps {
            let Keep::Message { uniqueid, bytes } = keep else { continue };
            let Some(spool) = &self.spool else { continue };
            let messages = self.messages.entry(uniqueid.clone()).or_default();
            messages.count = messages.count.saturating_add(1);
            messages.last = messages.last.saturating_add(1);
            let folder = spool.join(folder_of(uniqueid));
            let path = folder.join(format!("{}.", messages.last));
            written.push(path.clone());
            write_synced(&folder, &path, bytes).map_err(|error| unusable(&path, error))?;
        }
        Ok(())
    }

    /// What is left of a mailbox that is gone does no harm.
    fn forget(&mut self, keeps: &[Keep]) {
        for keep in keeps {
            let Keep::Forget { uniqueid } = keep else { continue };
            self.messages.remove(uniqueid);
            if let Some(spool) = &self.spool {
                let _ = fs::remove_dir_all(spool.join(folder_of(uniqueid)));
            }
        }
    }
}

/// The name of a mailbox's folder: its uniqueid, with everything but letters and digits of it in hexadecimal.
fn folder_of(uniqueid: &[u8]) -> String {
    let spelt = |byte: &u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    uniqueid.iter().map(spelt).collect()
}

fn uniqueid_of(folder: &str) -> Option<Vec<u8>> {
    let mut pieces = folder.split('%');
    let mut uniqueid = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        uniqueid.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        uniqueid.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    Some(uniqueid)
}

/// What stands in each folder.
fn messages(spool: &Path) -> io::Result<BTreeMap<Vec<u8>, Messages>> {
    let mut found = BTreeMap::new();
    for folder in fs::read_dir(spool)? {
        let folder = folder?;
        let name = folder.file_name();
        let Some(uniqueid) = name.to_str().and_then(uniqueid_of).filter(|_| folder.path().is_dir()) else { continue };
        let messages: &mut Messages = found.entry(uniqueid).or_default();
        for message in fs::read_dir(folder.path())? {
            let name = message?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix('.')?.parse::<u64>().ok());
            let Some(number) = number else { continue };
            *messages = Messages { count: messages.count.saturating_add(1), last: messages.last.max(number) };
        }
    }
    Ok(found)
}

/// What a record means for the database.
fn operation(keep: &Keep) -> Option<Operation<'_>> {
    match keep {
        Keep::Record { key, value: Some(value) } => Some(Operation::Store { key, value }),
        Keep::Record { key, value: None } => Some(Operation::Delete { key }),
        Keep::Message { .. } | Keep::Forget { .. } => None,
    }
}

fn write_synced(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

fn unusable(path: &Path, error: io::Error) -> Failure {
    Failure::file(path, format!("can't be used: {error}"), "see who owns it, and what room there is")
}
