//! One connection as a state machine: bytes in, steps out.

pub mod client;
pub mod server;
