//! MUPDATE: the protocol that keeps the mailbox list of a Cyrus Murder in many places.
//!
//! * [`wire`]: bytes to lines and back;
//! * [`session`]: one connection as a state machine, the server's and the client's side;
//! * [`node`]: the list and its rules as a state machine, for all connections together;
//! * [`store`]: where the list is kept.
//!
//! None of these know no sockets, threads, clocks or randomness.

pub mod node;
pub mod session;
pub mod store;
pub mod wire;
