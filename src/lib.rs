//! Examines, recovers, repairs and converts the mailbox lists of Cyrus IMAP servers.

pub mod ops;
pub mod plan;

pub use coroner_formats as formats;
