//! Sockets, TLS, compression and clocks around the state machines.
//!
//! One thread owns the node and its store ([`hub`]); each connection is a task that reads, decodes, and writes what the hub
//! gives it. Changes that arrive while others are being made durable are made durable together.

pub mod client;
pub mod follow;
pub mod hub;
pub mod keep;
pub mod push;
pub mod sasl;
pub mod sasldb;
pub mod server;
pub mod stage;
pub mod tls;
pub mod transport;
