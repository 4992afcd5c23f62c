//! Doors of a host: IMAP and LMTP as state machines, the server's and the client's side.
//!
//! A server's session turns bytes into [`Request`]s and [`Answer`]s into bytes; a caller does the opposite. Enough of both
//! protocols for a rehearsal: mailboxes are made, listed, renamed, deleted and get rights and messages, which are kept as
//! bytes; nobody reads or searches them.
//!
//! * [`imap`], [`lmtp`]: the two protocols;
//! * [`Namespace`]: what clients call a mailbox.

pub mod imap;
pub mod lmtp;
mod namespace;

pub use namespace::Namespace;

use super::host::Door;
use super::host::request::{Answer, Data, Request, Status, User, Word};

/// What is to be done next for a client's connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this.
    Say(Vec<u8>),
    /// Ask the host this. Nothing more comes before [`Session::answer`].
    Ask(Request),
    /// Send this and end the connection. Nothing more comes.
    Close(Vec<u8>),
}

/// The server's side of one connection.
pub trait Session: Send {
    /// Takes what arrived.
    fn feed(&mut self, bytes: &[u8]);
    /// What is to be done next; `None` until more arrives. The greeting comes first.
    fn next_step(&mut self) -> Option<Step>;
    /// Takes the answer to what was asked.
    fn answer(&mut self, answer: Answer);
}

/// The client's side of one connection: asks one thing after the other.
pub trait Caller: Send {
    /// Asks something, behind what was asked before. What this protocol can't ask is answered with NO.
    fn ask(&mut self, request: Request);
    /// What is to be sent now; empty if nothing.
    fn take_output(&mut self) -> Vec<u8>;
    /// Takes what arrived.
    fn hear(&mut self, bytes: &[u8]);
    /// The next answer, in the order of the questions.
    fn next_answer(&mut self) -> Option<Answer>;
    /// Whether the server said something that is no answer, so that the connection is of no more use.
    fn is_lost(&self) -> bool;
}

/// The session of somebody who comes to the server of this name by that door; `None` if it is none of these two.
pub fn session(door: Door, server: &[u8], namespace: Namespace) -> Option<Box<dyn Session>> {
    let server = String::from_utf8_lossy(server);
    match door {
        Door::Imap => Some(Box::new(imap::Session::new(namespace, &server))),
        Door::Lmtp => Some(Box::new(lmtp::Session::new(namespace, &server))),
        Door::Mupdate => None,
    }
}

/// A caller for a user; LMTP for any door but IMAP.
pub fn caller(door: Door, namespace: Namespace, user: &[u8]) -> Box<dyn Caller> {
    match door {
        Door::Imap => Box::new(imap::Caller::new(namespace, user)),
        Door::Lmtp | Door::Mupdate => Box::new(lmtp::Caller::new(namespace)),
    }
}

/// A text as it can stand on one line: what can't is a space or a question mark.
fn one_line(text: &str) -> String {
    let plain = |character: char| match character {
        ' '..='~' => character,
        '\0'..='\x7F' => ' ',
        _ => '?',
    };
    let line: String = text.chars().take(TEXT_MAX).map(plain).collect();
    // What looks like the beginning of a literal would be taken for one.
    if line.ends_with('}') { line + "." } else { line }
}

/// Longest text behind a word.
const TEXT_MAX: usize = 1000;
