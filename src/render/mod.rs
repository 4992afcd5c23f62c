//! Findings, records and tiles as text for people, as JSON for programs, and as annotated bytes.

#[cfg(feature = "murder")]
pub mod annotate;
pub mod entry;
pub mod inspect;
pub mod json;
pub mod text;
