//! How values are encoded, one file a family; decode and encode side by side.

pub(crate) mod dlist;
pub mod dump;
pub(crate) mod extended;
pub mod history;
pub(crate) mod item;
pub(crate) mod layout;
pub(crate) mod legacy;
pub(crate) mod number;
pub(crate) mod plain;
mod shape;
pub(crate) mod tolerant;

pub use dump::Grammar;
pub use item::Spelling;
