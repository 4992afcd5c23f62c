//! The list and its rules, for all connections together: (state, question, now) to answers.
//!
//! [`Node`] is a master or a frontend. It knows connections by number only; [`crate::murder::net`] gives them sockets.

pub mod list;
mod machine;
pub mod merge;
pub mod push;
pub mod rules;
mod stream;

pub use list::{Builder, List, State};
pub use machine::{Ask, ConnId, Node, Output, Stored};
pub use rules::{Config, Kind, Role};
