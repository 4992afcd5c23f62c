//! A file's bytes, and the one bounds-checked way to read them.

mod cursor;
mod lines;
mod map;
mod parts;
mod span;

pub use cursor::{Cursor, round_up};
pub use lines::{Line, Lines};
pub use map::{Image, report_shrinking};
pub use parts::{Part, Parts};
pub use span::Span;
