//! What a server answers.

use super::line::Line;

/// A mailbox as a server tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row<'l> {
    /// Internal name.
    pub name: &'l [u8],
    /// `server!partition`.
    pub location: &'l [u8],
    /// ACL as text; `None` for a reservation.
    pub acl: Option<&'l [u8]>,
}

/// A line of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply<'l> {
    /// A mailbox, active or reserved.
    Row(Row<'l>),
    /// A mailbox that went away.
    Deleted(&'l [u8]),
    /// The command of this tag is done.
    Ok,
    /// The command of this tag is refused.
    No,
    /// The command of this tag is none.
    Bad,
    /// The server ends the connection.
    Bye,
    /// A line of the banner: `AUTH`, `STARTTLS`, `COMPRESS`, `PARTIAL-UPDATE`, or one that no release sends.
    Capability,
    /// Nothing that a server of any release says.
    Unknown,
}

/// Reads a line of a server.
pub fn parse(line: &Line) -> Reply<'_> {
    let is = |word: &str| line.word().eq_ignore_ascii_case(word.as_bytes());
    if line.flaw().is_some() {
        return Reply::Unknown;
    }
    // What stands behind the items that are known is left aside: later releases may say more.
    match (line.item(0), line.item(1), line.item(2)) {
        (Some(name), Some(location), Some(acl)) if is("MAILBOX") => Reply::Row(Row { name, location, acl: Some(acl) }),
        (Some(name), Some(location), _) if is("RESERVE") => Reply::Row(Row { name, location, acl: None }),
        (Some(name), ..) if is("DELETE") => Reply::Deleted(name),
        _ if is("OK") => Reply::Ok,
        _ if is("NO") => Reply::No,
        _ if is("BAD") => Reply::Bad,
        _ if is("BYE") => Reply::Bye,
        _ if line.tag() == b"*" => Reply::Capability,
        _ => Reply::Unknown,
    }
}
