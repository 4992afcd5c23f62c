//! MUPDATE: the protocol that keeps the mailbox list of a Cyrus Murder in many places.
//!
//! * [`wire`]: bytes to lines and back;
//! * [`session`]: one connection as a state machine, the server's and the client's side;
//! * [`node`]: the list and its rules as a state machine, for all connections together;
//! * [`store`]: where the list is kept;
//! * [`host`]: masters, frontends and backends whole, as state machines;
//! * [`defect`]: mistakes that hosts make when told to;
//! * [`door`]: IMAP and LMTP, as far as a rehearsal needs them;
//! * [`world`]: hosts, disks and connections in memory, under a clock of their own;
//! * [`sim`]: murders under random load and faults, by seed;
//! * [`drill`]: scenarios that are played in such a world;
//! * [`net`]: sockets, TLS, SASL, compression and clocks around them.
//!
//! All but the last know no sockets, threads, clocks or randomness.

pub mod defect;
pub mod door;
pub mod drill;
pub mod host;
pub mod net;
pub mod node;
pub mod session;
pub mod sim;
pub mod store;
pub mod wire;
pub mod world;
