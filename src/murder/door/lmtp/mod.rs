//! LMTP, as far as a rehearsal needs it.

mod caller;
mod input;
mod session;

pub use caller::Caller;
pub use session::Session;

/// Longest message.
pub const MESSAGE_MAX: usize = 8 << 20;

/// What is said of a recipient that no mailbox is there for, as Cyrus says it.
const UNKNOWN: [&str; 3] = [
    "550-Mailbox unknown.  Either there is no mailbox associated with this",
    "550-name or you do not have authorization to see it.",
    "550 5.1.1 User unknown",
];
