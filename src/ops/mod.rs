//! What the commands do: no command line here, and no printing.

pub mod account;
pub mod canon;
pub mod convert;
pub mod diff;
pub mod digest;
pub mod drift;
pub mod entries;
pub mod findings;
pub mod hexdump;
pub mod inspect;
pub mod keys;
pub mod list;
pub mod merge;
pub mod pipeline;
pub mod push;
pub mod reading;
pub mod recover;
pub mod repair;
pub mod revive;
pub mod show;
pub mod synth;
pub mod tally;
pub mod testimony;
pub mod together;
pub mod verify;
pub mod watch;
