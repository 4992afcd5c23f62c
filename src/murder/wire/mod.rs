//! The protocol on the wire: lines of words, quoted strings and literals, read piece by piece and written.
//!
//! A [`Lexer`] takes bytes as they come and gives whole [`Line`]s; how the bytes were split makes no difference. Both sides
//! use it: the server reads [`Grammar::Command`], the client [`Grammar::Reply`]. [`encode`] is the way back.

pub mod command;
pub mod encode;
pub mod lexer;
pub mod line;
pub mod reply;

pub use command::{Command, Verb};
pub use lexer::{Event, Grammar, Lexer, Limits, TooLong};
pub use line::{Flaw, Form, Line};
pub use reply::{Reply, Row};
