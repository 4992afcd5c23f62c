//! The scenarios that come with coroner.

use super::scenario::{Scenario, Wrong};

/// Names and texts.
const BOOK: &[(&str, &str)] = &[];

/// All scenarios, in the order of the manual's page.
///
/// # Errors
/// What is wrong with one of them; a test shows that nothing is.
pub fn all() -> Result<Vec<Scenario>, Wrong> {
    BOOK.iter().map(|(name, text)| Scenario::parse(name, text)).collect()
}
