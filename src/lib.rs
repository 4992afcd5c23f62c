//! Examines, recovers, repairs and converts the mailbox lists of Cyrus IMAP servers.
//!
//! * [`input`]: opening a user's file: what it is, Cyrus' lock, snapshots;
//! * [`murder`]: MUPDATE, spoken as master, frontend and client;
//! * [`ops`]: what the commands do, without printing;
//! * [`plan`]: writing a user's file, safely;
//! * [`render`]: findings, records and tiles as text, JSON and annotated bytes.

pub use coroner_formats as formats;

pub mod failure;
pub mod input;
#[cfg(feature = "murder")]
pub mod murder;
pub mod ops;
pub mod plan;
pub mod render;
