//! Several lists opened and read at once: what `merge`, `drift` and `revive` begin with.

use std::path::Path;

use coroner::failure::Failure;
use coroner::formats::container::Database;
use coroner::formats::record::KeyStyle;
use coroner::input::Source;
use coroner::ops::convert::Origin;
use coroner::ops::reading::Reading;
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
    let mut damaged = false;
    for (list, reading) in opened.iter().zip(&readings) {
        say_findings(&list.source.name(), &reading.findings);
        damaged |= !reading.findings.is_clean();
    }
    Ok((readings, damaged))
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
