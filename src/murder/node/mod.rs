//! The list and its rules, for all connections together: (state, question, now) to answers.
//!
//! [`Node`] is a master or a frontend. It knows connections by number only; [`crate::murder::net`] gives them sockets.

pub mod list;
pub mod merge;
pub mod node;
pub mod rules;
mod stream;

pub use list::{List, State};
pub use node::{Ask, ConnId, Node, Output};
pub use rules::{Config, Kind, Role};
