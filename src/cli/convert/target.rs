//! Writing what was converted: a database, a dump, or records as lines.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use coroner::failure::Failure;
use coroner::formats::container::{Database, Format, KeyOrder, Pair, WriteOptions, Written, flat};
use coroner::formats::image::Image;
use coroner::formats::record::era::guess as guess_era;
use coroner::formats::record::{Context, Era, EraGuess, Numbering, Style, Survey, decode};
use coroner::input::Source;
use coroner::ops::account::Account;
use coroner::ops::convert::raw::{Raw, Stream, streamed};
use coroner::ops::convert::records::Records;
use coroner::ops::convert::remarks::{Fate, Remarks};
use coroner::ops::convert::reverse_acl::ReverseAcls;
use coroner::ops::convert::role::Host;
use coroner::ops::convert::{Converter, Origin, dumps};
use coroner::ops::entries::Decoder;
use coroner::ops::findings::{Findings, KEPT_PER_RULE};
use coroner::ops::reading::{Reading, beside, verified};
use coroner::ops::tally::Tally;
use coroner::plan::database::{self, Prepared, Target, target_order};
use coroner::plan::ledger;
use coroner::plan::safe_file::SafeFile;
use rayon::prelude::*;

use super::super::bar::watched;
use super::super::out::Out;
use super::super::{Appeared, appear};
/// What the format of a source is written as: dumps become databases.
pub fn container_of(format: Format) -> Format {
    if format.is_dump() { Format::Twoskip } else { format }
}

/// Checks that the output can go where it is to go.
pub fn check(output: &Path, json: bool, format: Format) -> Result<(), Failure> {
    let to_stdout = output.as_os_str() == "-";
    if to_stdout && !format.is_dump() {
        let next = "name a file with -o, or a text format with --to";
        return Err(Failure::usage(format!("a {format} file can't be written to standard output"), next));
    }
    if to_stdout && json {
        return Err(Failure::usage("--json and -o - both want standard output", "name a file with -o"));
    }
    Ok(())
}

/// The time now, in seconds since 1970; `SOURCE_DATE_EPOCH` in the environment sets it.
pub fn now() -> u64 {
    u64::from(database::options(Format::Twoskip, KeyOrder::Unsigned, std::iter::empty::<(&[u8], &[u8])>()).time)
}

/// Which release series could have written a database.
pub fn guess(reading: &Reading<'_, '_>, style: Style) -> Option<EraGuess> {
    let context = Context::new(style, |key| reading.has(key));
    let surveys = (0..reading.parts()).into_par_iter().map(|part| {
        let mut survey = Survey::new(style);
        reading.walk(part, &mut |record| {
            survey.push(&decode(&record.key, &record.value, &style), &record.value, &context);
            true
        });
        survey
    });
    guess_era(&surveys.reduce(
        || Survey::new(style),
        |mut all, part| {
            all.merge(part);
            all
        },
    ))
}

/// The release series to write for, where the user names none: the source's, as far as the format is one of its.
pub fn era(wanted: Option<Era>, origin: &Origin, format: Format) -> Era {
    let new = if origin.jmapids { Era::V3_13 } else { Era::V3_10 };
    let of_style = match origin.style.numbering {
        Numbering::Old => Era::V3_4,
        Numbering::New => new,
    };
    let source = origin.era.unwrap_or(of_style);
    wanted.unwrap_or(match format {
        // What the newest can hold: JSON has no other shape in older ones.
        Format::Json => Era::V3_13,
        Format::Text => source.min(Era::V3_4),
        _ => source,
    })
}

/// The way from records to the same host's in another shape, for the release that wrote them.
pub fn converter(reading: &Reading<'_, '_>, format: Format) -> Converter {
    let account = Account::of(reading);
    let era = era(None, &account.origin, format);
    account.converter(era, Host::default())
}

/// What is to be written where.
pub struct Plan<'p, 'a, 's> {
    /// The file to write; `-` is standard output.
    pub output: &'p Path,
    /// Whether a file of that name may be replaced.
    pub force: bool,
    /// Whether nothing is to be written if anything would be lost.
    pub strict: bool,
    pub source: &'p Source,
    pub reading: &'p Reading<'a, 's>,
    pub format: Format,
    pub order: Option<KeyOrder>,
}

impl Plan<'_, '_, '_> {
    /// Copies records as they stand.
    pub fn copy(&self, out: &mut Out) -> Result<Appeared, Failure> {
        if self.format != Format::Show {
            let (raw, options) = self.raw();
            return self.database(raw.pairs(), &options);
        }
        let sorted = self.order.map(|_| self.order(true));
        let raw = watched("reading", |_| Raw::new(self.reading, sorted));
        self.lines(raw.pairs(), out)
    }

    /// Copies records as they stand to a database while they are read, and while it is found out whether the source is
    /// sound. `None`, and nothing is written, if it is not, if its keys stand in another order than the target's, or if
    /// how something is to be escaped hangs on all records.
    ///
    /// # Errors
    /// What keeps a sound source in the target's order from being written: it would do so again.
    pub fn copy_meanwhile(&self, source: &dyn Database<'_>) -> Result<Option<(Findings, Appeared)>, Failure> {
        let options = database::options(self.format, self.order(true), std::iter::empty::<(&[u8], &[u8])>());
        let damaged = AtomicBool::new(false);
        let copy = |stream: &mut Stream<'_, '_>| {
            // No more than is needed is written in vain.
            let pairs = stream.by_ref().take_while(|_| !damaged.load(Ordering::Relaxed));
            let prepared = watched("writing", |_| self.prepare(pairs, &options));
            (prepared, stream.bytes_taken())
        };
        let verify = || {
            let findings = verified(source, KEPT_PER_RULE);
            damaged.store(!findings.is_clean(), Ordering::Relaxed);
            findings
        };
        let (findings, (prepared, taken)) = match self.reading.is_unproven() {
            true => {
                let copied = streamed(self.reading, copy);
                (self.reading.proven().cloned(), copied)
            }
            false => beside(verify, || streamed(self.reading, copy)),
        };
        let Some(findings) = findings.filter(Findings::is_clean) else { return Ok(None) };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(failure) if streamed(self.reading, |records| records.ascends(options.order)) => return Err(failure),
            Err(_) => return Ok(None),
        };
        let written = prepared.written();
        // A line has two bytes beside key and value, and more only if something is escaped.
        let escaped = self.format == Format::Flat && written.len != taken + 2 * written.records;
        if escaped {
            return Ok(None);
        }
        Ok(Some((findings, appear(prepared, self.output)?)))
    }

    /// All records as they stand, in the target's order.
    fn raw(&self) -> (Raw<'_>, WriteOptions) {
        let order = self.order(true);
        let raw = watched("reading", |_| Raw::new(self.reading, Some(order)));
        let mut options = database::options(self.format, order, std::iter::empty::<(&[u8], &[u8])>());
        if self.format == Format::Flat {
            options.style = raw.flat_need().style();
        }
        (raw, options)
    }

    /// Converts entries.
    pub fn convert(&self, converter: &Converter, remarks: &mut Remarks, out: &mut Out) -> Result<Appeared, Failure> {
        if matches!(self.format, Format::Json | Format::Text) {
            return self.dump(converter, remarks, out);
        }
        let order = self.order(converter.origin.style.keys == converter.era.style().keys);
        let decoder = Decoder::of(converter.origin.style);
        let racls = ReverseAcls::of(self.reading, decoder, converter.era);
        let records = watched("reading", |_| Records::plan(self.reading, converter, racls.as_ref(), order, remarks));
        self.admit()?;
        self.refuse(remarks)?;
        if records.mailboxes() == 0 && remarks.count(Fate::Unknown) > 0 {
            let what =
                "no entry tells which server its mailbox is on; an empty list would make frontends forget theirs";
            let next = "name the backend with --server, or a copy that knows with --witness; nothing was written";
            return Err(Failure::file(self.source.path(), what, next));
        }
        if self.format == Format::Show {
            return self.lines(records.pairs(), out);
        }
        let mut options = database::options(self.format, order, std::iter::empty::<(&[u8], &[u8])>());
        if self.format == Format::Flat && converter.era < Era::V2_5 {
            options.style = flat_style(&records);
        }
        records.ahead(|pairs| self.database(pairs, &options))
    }

    fn order(&self, alike: bool) -> KeyOrder {
        let kept = || {
            let kept = alike && self.source.format() == Some(self.format);
            kept.then(|| self.source.database().map(|database| self.source.order(&*database))).flatten()
        };
        target_order(self.format, self.order.or_else(kept))
    }

    /// Ends the work if only reading the source could tell whether it is sound, and it is not.
    fn admit(&self) -> Result<(), Failure> {
        match self.reading.is_unproven() && self.reading.proven().is_none() {
            true => Err(Failure::file(self.source.path(), "it is not sound", "verify it")),
            false => Ok(()),
        }
    }

    /// Ends the work if something would be lost and the user wants nothing lost.
    fn refuse(&self, remarks: &Remarks) -> Result<(), Failure> {
        if !self.strict || remarks.is_lossless() {
            return Ok(());
        }
        let count = remarks.count(Fate::Lost) + remarks.count(Fate::Unknown);
        let mut first = remarks.sorts().filter(|(fate, ..)| fate.is_loss());
        let example = first.next().map(|(_, field, why, _)| format!(", {field} first ({why})")).unwrap_or_default();
        let what = format!("{count} fields or entries would be lost{example}; nothing was written");
        Err(Failure::file(self.source.path(), what, "leave out --strict to write it all the same"))
    }

    fn database<R: Pair + Send>(
        &self,
        pairs: impl Iterator<Item = R>,
        options: &WriteOptions,
    ) -> Result<Appeared, Failure> {
        appear(watched("writing", |_| self.prepare(pairs, options))?, self.output)
    }

    fn prepare<R: Pair + Send>(
        &self,
        pairs: impl Iterator<Item = R>,
        options: &WriteOptions,
    ) -> Result<Prepared, Failure> {
        let like = self.source.metadata();
        let target = Target { path: self.output, overwrite: self.force, like: like.as_ref() };
        database::prepare(target, self.format, pairs, options)
    }

    /// Writes records as `cyr_dbtool … show` prints them.
    fn lines<R: Pair>(&self, pairs: impl Iterator<Item = R>, out: &mut Out) -> Result<Appeared, Failure> {
        let mut tally = Tally::default();
        let all = |write: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)| {
            let mut line = Vec::new();
            for pair in pairs {
                let (key, value) = (pair.key(), pair.value());
                tally.add(key, value);
                line.clear();
                [key, b"\t", value, b"\n"].into_iter().for_each(|part| line.extend_from_slice(part));
                write(&line)?;
            }
            Ok(tally)
        };
        self.text(out, all, |_| Ok(()))
    }

    fn dump(&self, converter: &Converter, remarks: &mut Remarks, out: &mut Out) -> Result<Appeared, Failure> {
        if self.strict && self.output.as_os_str() == "-" {
            // Nothing may appear before all is known.
            let nowhere = dumps::dump(self.reading, converter, self.format, remarks, &mut |_| Ok(()));
            nowhere.map_err(Failure::output)?;
            self.refuse(remarks)?;
            *remarks = Remarks::keeping(remarks.kept());
        }
        let remarks = std::cell::RefCell::new(remarks);
        let all = |write: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)| {
            let mut remarks = remarks.borrow_mut();
            dumps::dump(self.reading, converter, self.format, &mut remarks, write)
        };
        self.text(out, all, |_| self.admit().and_then(|()| self.refuse(&remarks.borrow())))
    }

    /// Writes text to standard output, or to a file that is read back before it gets its name.
    fn text(
        &self,
        out: &mut Out,
        all: impl FnOnce(&mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<Tally>,
        admit: impl FnOnce(&Tally) -> Result<(), Failure>,
    ) -> Result<Appeared, Failure> {
        let mut len = 0;
        if self.output.as_os_str() == "-" {
            let tally = all(&mut |bytes| {
                len += bytes.len() as u64;
                out.bytes(bytes)
            });
            let tally = tally.map_err(Failure::output)?;
            return Ok(Written { records: tally.records, len }.into());
        }
        let path = self.output;
        let safe = SafeFile::create(path, self.force)?;
        if let Some(source) = self.source.metadata() {
            safe.take_after(&source)?;
        }
        if self.format == Format::Json {
            // Its objects were read when they were made; what counts is that these bytes are on the disk.
            let (tally, ledger) = watched("writing", |_| {
                ledger::write(safe.file(), |out| {
                    all(&mut |bytes| {
                        len += bytes.len() as u64;
                        out.write_all(bytes)
                    })
                })
            });
            let tally = tally.map_err(|error| Failure::file(path, error, "free some space"))?;
            admit(&tally)?;
            safe.finish(|file| ledger.read_back(file, None).map(drop))?;
            return Ok(Written { records: tally.records, len }.into());
        }
        let mut file = BufWriter::with_capacity(1 << 18, safe.file());
        let tally = watched("writing", |_| {
            all(&mut |bytes| {
                len += bytes.len() as u64;
                file.write_all(bytes)
            })
        });
        let tally = tally.and_then(|tally| file.flush().map(|()| tally));
        let tally = tally.map_err(|error| Failure::file(path, error, "free some space"))?;
        drop(file);
        admit(&tally)?;
        safe.finish(|file| {
            let image = Image::open(file).map_err(|error| error.to_string())?;
            let found = dumps::read_back(&image, self.format);
            match found == tally {
                true => Ok(()),
                false => {
                    Err(format!("{} records were written, and {} other ones read back", tally.records, found.records))
                }
            }
        })?;
        Ok(Written { records: tally.records, len }.into())
    }
}

/// Values of 2.4 and older are written raw, which those releases need, unless some byte can't be.
fn flat_style(records: &Records<'_, '_>) -> flat::Style {
    let bad = |&byte: &u8| database::unwritable(byte);
    match records.pairs().any(|made| made.key().iter().chain(made.value()).any(bad)) {
        true => flat::Style::Escaped,
        false => flat::Style::Raw,
    }
}
