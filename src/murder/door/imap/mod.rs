//! IMAP, as far as a rehearsal needs it. `imap-codec` reads and writes what it knows; what it does not know, access control
//! lists and Cyrus' second argument of CREATE, stands beside it.

mod caller;
mod command;
mod encode;
mod input;
mod list;
mod question;
mod session;
mod syntax;

pub use caller::Caller;
pub use session::Session;

/// Longest line: what stands between two literals.
pub const LINE_MAX: usize = 64 << 10;
/// Longest literal, and so the longest message.
pub const LITERAL_MAX: usize = 8 << 20;
