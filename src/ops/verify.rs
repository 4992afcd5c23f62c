//! Every rule that a file breaks: the container's, and with full depth the records'.

use std::time::{SystemTime, UNIX_EPOCH};

use rayon::prelude::*;

use super::entries::Decoder;
use super::findings::Findings;
use super::reading::{Reading, parts};
use super::watch::Watch;
use crate::failure::Failure;
use crate::formats::container::{Database, Depth};
use crate::formats::record::role::Role;
use crate::formats::record::{Context, Lineage, Survey, cross_check, examine};
use crate::input::Source;

/// What to verify, and how much of it to keep.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// How far to go.
    pub depth: Depth,
    /// The role that entries are held against, if it is known.
    pub role: Option<Role>,
    /// How many findings of each rule to keep.
    pub per_rule: usize,
}

/// What verifying a file brought up.
#[derive(Debug)]
pub struct Verified {
    /// What was found, in file order.
    pub findings: Findings,
    /// What its records say together; `None` unless they were read.
    pub survey: Option<Survey>,
    /// Whether the records are those that carving brought up.
    pub carved: bool,
}

/// Verifies the database of `source`.
///
/// # Errors
/// As of [`Reading::new`].
pub fn verify(source: &Source, database: &dyn Database<'_>, scope: Scope, watch: &Watch) -> Result<Verified, Failure> {
    if scope.depth < Depth::Full {
        let mut findings = Findings::keeping(scope.per_rule);
        database.verify(scope.depth, &mut |finding| findings.push(finding));
        findings.sort();
        return Ok(Verified { findings, survey: None, carved: false });
    }
    if let Some(reading) = Reading::unproven(source, database, parts(source.len()), scope.per_rule) {
        let examined = Examined::of(&reading, scope, watch);
        if let Some(findings) = reading.proven() {
            return Ok(examined.together(&reading, findings.clone()));
        }
    }
    let mut reading = Reading::keeping(source, database, scope.per_rule)?;
    let findings = std::mem::take(&mut reading.findings);
    Ok(Examined::of(&reading, scope, watch).together(&reading, findings))
}

/// What the records say, each by itself.
struct Examined {
    decoder: Decoder,
    context: Context,
    survey: Survey,
    found: Findings,
}

impl Examined {
    fn of(reading: &Reading<'_, '_>, scope: Scope, watch: &Watch) -> Self {
        let decoder = Decoder::new(reading);
        let mut context = Context::new(decoder.style(), |key| reading.has(key));
        context.role = scope.role;
        context.now = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs());
        watch.expect(reading.parts() as u64);
        let part = |part| {
            let mut survey = Survey::new(decoder.style());
            let mut found = Findings::keeping(scope.per_rule);
            let mut lineage = Lineage::default();
            reading.read(part, &mut |record, _| {
                let (key, value, span) = (&record.key, &record.value, record.span);
                examine(&mut survey, key, value, &context, span, &mut |finding| found.push(finding));
                if !decoder.is_of_dump() {
                    let has = |key: &[u8]| reading.has(key);
                    lineage.push((key, value), &context, span, has, &mut |finding| found.push(finding));
                }
                true
            });
            watch.step();
            (survey, found)
        };
        let merge = |(mut survey, mut found): (Survey, Findings), (more, later)| {
            survey.merge(more);
            found.append(later);
            (survey, found)
        };
        let nothing = || (Survey::new(decoder.style()), Findings::keeping(scope.per_rule));
        let (survey, found) = (0..reading.parts()).into_par_iter().map(part).reduce(nothing, merge);
        Examined { decoder, context, survey, found }
    }

    /// Checks the records against each other too, and adds all that to the `findings` of the structure.
    fn together(self, reading: &Reading<'_, '_>, mut findings: Findings) -> Verified {
        findings.append(self.found);
        if !self.decoder.is_of_dump() {
            let again = |visit: &mut crate::formats::record::cross::Visit<'_>| {
                reading.each(|record| visit(&record.key, &record.value, record.span));
            };
            cross_check(&self.survey, &self.context, &again, &mut |finding| findings.push(finding));
        }
        findings.sort();
        Verified { findings, survey: Some(self.survey), carved: reading.is_carved() }
    }
}
