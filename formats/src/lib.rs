//! The containers, records and text dumps that a Cyrus `mailboxes.db` was ever kept in.
//!
//! Bytes in; spans, records and findings out. Nothing here prints, nothing writes a user's file, and nothing panics,
//! loops or allocates without bound on any input.
//!
//! * [`image`]: a file's bytes, and the one bounds-checked way to read them;
//! * [`tile`]: every byte of a file with a label;
//! * [`finding`]: damage as data;
//! * [`container`]: key/value files, one room a format;
//! * [`record`]: mailbox entries, whatever container holds them;
//! * [`text`]: dumps of `cyr_dbtool show` and of every era of `ctl_mboxlist -d`.

pub mod container;
pub mod finding;
pub mod image;
pub mod record;
pub mod text;
pub mod tile;
