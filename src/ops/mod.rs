//! What the commands do: no command line here, and no printing.

pub mod findings;
pub mod hexdump;
pub mod pipeline;
pub mod reading;
pub mod show;
pub mod synth;
pub mod verify;
pub mod watch;
