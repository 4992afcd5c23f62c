//! What the doors need of hosts.

/// What is spoken on a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    Mupdate,
    Imap,
    Lmtp,
}

#[path = "../../../src/murder/host/request.rs"]
pub mod request;
