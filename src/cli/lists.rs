//! Several lists opened and read at once: what `merge`, `drift` and `revive` begin with.

use std::path::Path;

use coroner::failure::Failure;
use coroner::formats::container::Database;
use coroner::formats::record::KeyStyle;
use coroner::input::Source;
use coroner::ops::convert::Origin;
use coroner::ops::findings::{Findings, KEPT_PER_RULE};
use coroner::ops::reading::{self, Reading};
use rayon::prelude::*;

use super::args::Common;
use super::bar::watched;
use super::convert::target;
use super::open;
use super::show::say_findings;

/// A list that was opened, and whose it is.
pub struct Opened {
    /// The name that its host was given; `None` for one without.
    pub name: Option<Vec<u8>>,
    /// Its file.
    pub source: Source,
}

impl Opened {
    /// Opens a host's list.
    pub fn new(name: Option<Vec<u8>>, path: &Path, common: &Common) -> Result<Self, Failure> {
        Ok(Opened { name, source: open(path, common)? })
    }
}

/// The databases in the files.
pub fn databases(opened: &[Opened]) -> Result<Vec<Box<dyn Database<'_> + '_>>, Failure> {
    let empty =
        |source: &Source| Failure::file(source.path(), super::EMPTY, "leave it out only if that host has no mailboxes");
    opened.iter().map(|list| list.source.database().ok_or_else(|| empty(&list.source))).collect()
}

/// Verifies and reads all lists, and says what is wrong with them; also whether anything is.
pub fn readings<'a, 's>(
    opened: &[Opened],
    databases: &'s [Box<dyn Database<'a> + 'a>],
) -> Result<(Vec<Reading<'a, 's>>, bool), Failure> {
    let readings: Vec<Reading<'_, '_>> = watched("verifying", |watch| {
        watch.expect(opened.len() as u64);
        watch.covers(opened.iter().map(|list| list.source.len()).sum());
        let pairs = opened.par_iter().zip(databases);
        let read = pairs.map(|(list, database)| {
            let reading = Reading::new(&list.source, &**database);
            watch.step();
            reading
        });
        read.collect::<Result<_, _>>()
    })?;
    let damaged = say_all(opened, readings.iter().map(|reading| &reading.findings));
    Ok((readings, damaged))
}

/// Says what is wrong with the lists; also whether anything is.
fn say_all<'f>(opened: &[Opened], findings: impl Iterator<Item = &'f Findings>) -> bool {
    opened.iter().zip(findings).fold(false, |damaged, (list, findings)| {
        say_findings(&list.source.name(), findings);
        damaged | !findings.is_clean()
    })
}

/// Does `work` with lists that are presumed to be sound, and verifies them meanwhile: what it makes may only be used if
/// they are; if not, the answer is `None`.
pub fn presuming<T>(
    opened: &[Opened],
    databases: &[Box<dyn Database<'_> + '_>],
    work: impl FnOnce(&[Reading<'_, '_>]) -> T,
) -> Option<T> {
    if !databases.iter().all(|database| database.is_searchable()) {
        return None;
    }
    let pairs = opened.iter().zip(databases);
    let readings: Vec<_> = pairs.map(|(list, database)| Reading::presumed(&list.source, &**database)).collect();
    let verify = || -> Vec<Findings> {
        databases.par_iter().map(|database| reading::verified(&**database, KEPT_PER_RULE)).collect()
    };
    let (findings, made) = reading::beside(verify, || work(&readings));
    let findings = findings.filter(|findings| findings.iter().all(Findings::is_clean))?;
    say_all(opened, findings.iter());
    Some(made)
}

/// What each list is.
pub fn origins(readings: &[Reading<'_, '_>]) -> Vec<Origin> {
    let origin = |reading: &Reading<'_, '_>| {
        let mut origin = Origin::of(reading, None);
        if origin.era.is_none() && origin.style.dump.is_none() && origin.style.keys == KeyStyle::Plain {
            origin.era = target::guess(reading, origin.style).map(|guess| guess.newest);
        }
        origin
    };
    readings.par_iter().map(origin).collect()
}
