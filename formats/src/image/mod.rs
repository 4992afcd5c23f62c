//! A file's bytes, and the one bounds-checked way to read them.

mod cursor;
mod lines;
mod map;
mod span;

pub use cursor::{Cursor, round_up};
pub use lines::{Line, Lines};
pub use map::{Image, report_shrinking};
pub use span::Span;
