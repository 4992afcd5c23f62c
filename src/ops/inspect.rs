//! What a file is, and what its records tell: one look at everything.

use std::path::PathBuf;

use super::verify::{Scope, Verified, verify};
use super::watch::Watch;
use crate::failure::Failure;
use crate::formats::container::{Database, Format, OrderTally};
use crate::formats::record::role::{self, Hazard, RoleGuess};
use crate::formats::record::{EraGuess, Style, Survey, era};
use crate::formats::tile::Field;
use crate::input::Source;

/// Everything that can be said of a database.
pub struct Inspection<'a> {
    /// Its format.
    pub format: Format,
    /// What its header says.
    pub facts: Vec<Field<'a>>,
    /// The orders its keys can stand in.
    pub order: OrderTally,
    /// Complete transactions since the last checkpoint or repack; `None` where the format keeps none.
    pub transactions: Option<u64>,
    /// The versions that can have written its records; `None` where it has no mailbox.
    pub era: Option<EraGuess>,
    /// What kind of host it is from.
    pub role: RoleGuess,
    /// What an upgrade would do to it.
    pub hazards: Vec<Hazard>,
    /// What is wrong with it, and what its records count.
    pub verified: Verified,
    /// A file beside it that was about to take its place.
    pub successor: Option<PathBuf>,
}

/// Looks at all of a database.
///
/// # Errors
/// If the user asks for the state after a transaction that the file does not have.
pub fn inspect<'a>(
    source: &Source,
    database: &dyn Database<'a>,
    scope: Scope,
    watch: &Watch,
) -> Result<Inspection<'a>, Failure> {
    let mut verified = verify(source, database, scope, watch)?;
    let survey = verified.survey.get_or_insert_with(|| Survey::new(Style::NEW));
    let format = database.format();
    // A dump's keys and fields are its grammar's, which the format's own facts tell; they say nothing of a database.
    let is_dump = survey.style.dump.is_some();
    let era = era::guess(survey).filter(|_| !is_dump);
    let hazards = if is_dump { Vec::new() } else { role::hazards(survey, era.as_ref()) };
    let role = role::guess(survey);
    Ok(Inspection {
        format,
        facts: database.facts(),
        order: database.order(),
        transactions: database.transactions(),
        era,
        role,
        hazards,
        verified,
        successor: source.successor(),
    })
}
