//! Writing: the only code that puts a user's file on the disk.

mod behind;
pub mod database;
pub mod safe_file;
