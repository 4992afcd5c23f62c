//! What a client asks for.

use super::line::{Flaw, Line};

/// A command that asks something of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Nothing, and what a stream has pending.
    Noop,
    /// One mailbox.
    Find(Vec<u8>),
    /// All mailboxes, or those whose location starts so.
    List(Vec<u8>),
    /// All mailboxes, or those of these servers, and all changes from then on.
    Update(Vec<Vec<u8>>),
    /// A change of one mailbox.
    Change(Change),
}

/// A change that a backend asks for. Names are internal names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Takes a name.
    Reserve {
        /// The mailbox.
        name: Vec<u8>,
        /// `server!partition`.
        location: Vec<u8>,
    },
    /// Makes a mailbox known, reserved before or not.
    Activate {
        /// The mailbox.
        name: Vec<u8>,
        /// `server!partition`.
        location: Vec<u8>,
        /// Its ACL as text.
        acl: Vec<u8>,
    },
    /// Makes an active mailbox a reserved name.
    Deactivate {
        /// The mailbox.
        name: Vec<u8>,
        /// `server!partition`.
        location: Vec<u8>,
    },
    /// Takes the name away.
    Delete {
        /// The mailbox.
        name: Vec<u8>,
    },
}

impl Change {
    /// The mailbox that it is about.
    pub fn name(&self) -> &[u8] {
        match self {
            Change::Reserve { name, .. }
            | Change::Activate { name, .. }
            | Change::Deactivate { name, .. }
            | Change::Delete { name } => name,
        }
    }
}

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// One that asks something of the list.
    Verb(Verb),
    /// Who the client is.
    Authenticate {
        /// SASL mechanism.
        mechanism: Vec<u8>,
        /// Initial response, in base64.
        initial: Option<Vec<u8>>,
    },
    /// TLS from now on.
    StartTls,
    /// Compression from now on, with the algorithm named.
    Compress(Vec<u8>),
    /// The end.
    Logout,
}

/// Why a line is no command; with its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// There is nothing behind the tag; answered without tag.
    Need,
    /// Two spaces behind the tag.
    Null,
    /// No such command.
    Unrecognized,
    /// Too few arguments.
    Missing,
    /// Too many arguments, or something that is none.
    Extra,
    /// An argument that may not be empty.
    Badly,
}

impl Mistake {
    /// What Cyrus says of it.
    pub fn text(self) -> &'static str {
        match self {
            Mistake::Need => "Need command",
            Mistake::Null => "Null command",
            Mistake::Unrecognized => "Unrecognized command",
            Mistake::Missing => "Missing arguments",
            Mistake::Extra => "Extra arguments",
            Mistake::Badly => "Badly formed arguments",
        }
    }
}

/// Most hosts that UPDATE takes.
pub const HOSTS_MAX: usize = 30;

/// The words of all commands, with the fewest and the most arguments of each.
const WORDS: [(&[u8], usize, usize); 12] = [
    (b"NOOP", 0, 0),
    (b"FIND", 1, 1),
    (b"LIST", 0, 1),
    (b"UPDATE", 0, HOSTS_MAX),
    (b"RESERVE", 2, 2),
    (b"ACTIVATE", 3, 3),
    (b"DEACTIVATE", 2, 2),
    (b"DELETE", 1, 1),
    (b"AUTHENTICATE", 1, 2),
    (b"STARTTLS", 0, 0),
    (b"COMPRESS", 1, 1),
    (b"LOGOUT", 0, 0),
];

fn known(word: &[u8]) -> Option<&'static (&'static [u8], usize, usize)> {
    WORDS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(word))
}

/// Most arguments of a command of somebody who is logged in.
pub fn arity(word: &[u8]) -> usize {
    known(word).map_or(0, |(.., most)| *most)
}

/// Whether a word is a command for those who are not logged in too.
pub fn is_for_strangers(word: &[u8]) -> bool {
    [&b"AUTHENTICATE"[..], b"STARTTLS", b"COMPRESS", b"LOGOUT"].iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Most arguments of a command of somebody who is not logged in: what is refused anyway is not read.
pub fn arity_of_strangers(word: &[u8]) -> usize {
    if is_for_strangers(word) { arity(word) } else { 0 }
}

/// The command of a line.
///
/// # Errors
/// The mistake that Cyrus finds first.
pub fn parse(line: &Line) -> Result<Command, Mistake> {
    let begun = match line.flaw() {
        Some(Flaw::NoCommand) => return Err(Mistake::Need),
        Some(Flaw::EmptyCommand) => return Err(Mistake::Null),
        Some(Flaw::Junk { begun }) => Some(begun),
        None => None,
    };
    let (word, fewest, most) = known(line.word()).ok_or(Mistake::Unrecognized)?;
    let count = begun.unwrap_or(line.count());
    if count < *fewest {
        return Err(Mistake::Missing);
    }
    if begun.is_some() || count > *most {
        return Err(Mistake::Extra);
    }
    let item = |index: usize| line.item(index).unwrap_or_default().to_vec();
    let (name, location) = (|| item(0), || item(1));
    Ok(Command::Verb(match *word {
        b"NOOP" => Verb::Noop,
        b"FIND" => Verb::Find(name()),
        b"LIST" => Verb::List(item(0)),
        b"UPDATE" => {
            let hosts: Vec<Vec<u8>> = line.items().map(|(host, _)| host.to_vec()).collect();
            if hosts.iter().any(Vec::is_empty) {
                return Err(Mistake::Badly);
            }
            Verb::Update(hosts)
        }
        b"RESERVE" => Verb::Change(Change::Reserve { name: name(), location: location() }),
        b"ACTIVATE" => Verb::Change(Change::Activate { name: name(), location: location(), acl: item(2) }),
        b"DEACTIVATE" => Verb::Change(Change::Deactivate { name: name(), location: location() }),
        b"DELETE" => Verb::Change(Change::Delete { name: name() }),
        b"AUTHENTICATE" => {
            return Ok(Command::Authenticate { mechanism: item(0), initial: line.item(1).map(<[u8]>::to_vec) });
        }
        b"STARTTLS" => return Ok(Command::StartTls),
        b"COMPRESS" => return Ok(Command::Compress(item(0))),
        _ => return Ok(Command::Logout),
    }))
}
