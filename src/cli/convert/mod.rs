//! `coroner convert`.

pub mod report;
pub mod target;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::{Database, Format};
use coroner::formats::record::{Era, Role};
use coroner::input::{Options, Source};
use coroner::ops::convert::remarks::Remarks;
use coroner::ops::convert::role::Host;
use coroner::ops::convert::witness::Witnesses;
use coroner::ops::convert::{Converter, Origin};
use coroner::ops::findings::{Findings, KEPT_PER_RULE};
use coroner::ops::reading::{Reading, parts};
use coroner::render::text::unprintable;

use super::args::{Common, FormatName, Past, named_file};
use super::bar::watched;
use super::out::Out;
use super::show::say_findings;
use super::{Appeared, Done, Outcome, open, say_empty};

/// Write a mailbox list in another format, for another release or for another host of a murder
///
/// Between containers nothing but --to is needed: every record goes over as it stands. --era writes the records as
/// another release series has them, --role as another host has them: on a mupdate master and its frontends an entry is
/// remote exactly when it names a server, so a dump that lost the remote flags gets them back. What the target can't hold
/// is listed, field by field. OUT is read back and compared before it gets its name.
/// Exit status 1 says that something was lost, or that the source is damaged.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
--order is the order to write keys in here; that of the source is found out.
Release series: 1.5 2.0 2.1 2.2 2.3 2.4 2.5 3.0 3.2 3.4 3.6 3.8 3.10 3.12 3.13; a version such as 3.6.1 does too.

Examples:
  coroner convert mailboxes.db -o mailboxes.new --to twoskip
  coroner convert master.dump -o mailboxes.db --to twoskip --role master --era 3.6
  coroner convert frontend.db -o mailboxes.db --role master
  coroner convert be1.db -o be1.expected.db --role master --server be1.example.com
  coroner convert mailboxes.db -o - --to text --era 2.4
  coroner convert dump-of-2.5 -o mailboxes.db --to twoskip --role master --witness frontend.db --witness be1.example.com=be1.db")]
pub struct Args {
    /// A mailbox list in any format, or - for standard input
    file: PathBuf,
    /// The file to write; - for standard output, of the text formats
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The format to write, instead of the source's
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Option<FormatName>,
    /// The host to write for
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Option<RoleName>,
    /// The backend whose local mailboxes these are, or (with --role backend) are to be
    #[arg(long, value_name = "NAME")]
    server: Option<OsString>,
    /// The release series to write for, instead of the source's
    #[arg(long, value_name = "E", value_parser = era)]
    era: Option<Era>,
    /// The release series that wrote the source, instead of the one it looks like
    #[arg(long, value_name = "E", value_parser = era)]
    source_era: Option<Era>,
    /// A master's, frontend's or (as NAME=FILE) a backend's list to ask for servers that the source lost
    #[arg(long, value_name = "FILE|NAME=FILE")]
    witness: Vec<OsString>,
    /// Write nothing if anything would be lost
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    past: Past,
    /// Save here what was lost, left out or supplied: a JSON object a line
    #[arg(long, value_name = "R")]
    report: Option<PathBuf>,
    /// Overwrite OUT and R if they are there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum RoleName {
    Master,
    Frontend,
    Backend,
    Standalone,
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            RoleName::Master => Role::Master,
            RoleName::Frontend => Role::Frontend,
            RoleName::Backend => Role::Backend,
            RoleName::Standalone => Role::Standalone,
        }
    }
}

/// A release series by its version.
pub fn era(text: &str) -> Result<Era, String> {
    let all = Era::ALL.map(Era::as_str).join(" ");
    Era::from_version(text).ok_or_else(|| format!("one of: {all}"))
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    // The order that the user names is the target's.
    let options = Options { at: args.past.at, order: None, ..common.options() };
    let source = Source::open(&args.file, &options)?;
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(Outcome::Findings);
    };
    let format = args.to.map_or_else(|| target::container_of(database.format()), FormatName::format);
    target::check(&args.output, common.json, format)?;
    let mut remarks = match args.report {
        Some(_) => Remarks::keeping(usize::MAX),
        None => Remarks::default(),
    };
    let (findings, appeared) = match at_once(args, common, &source, &*database, format, &mut remarks, out)? {
        Some((findings, appeared)) => {
            say_findings(&source.name(), &findings);
            (findings, appeared)
        }
        None => {
            let reading = watched("verifying", |_| Reading::new(&source, &*database))?;
            say_findings(&source.name(), &reading.findings);
            let plan = plan_for(args, common, &source, &reading, format);
            let appeared = match converter(args, common, &reading, &*database, format)? {
                None => plan.copy(out)?,
                Some(converter) => plan.convert(&converter, &mut remarks, out)?,
            };
            (reading.findings, appeared)
        }
    };
    if let Some(path) = &args.report {
        report::save(path, args.force, &remarks)?;
    }
    source.still()?;
    let told = report::Told { remarks: &remarks, written: appeared.written, format, path: &args.output };
    match common.json {
        true => out.json(&told.document())?,
        false => told.print(args.output.as_os_str() == "-", out)?,
    }
    Ok(Outcome::findings_if(!remarks.is_lossless() || !findings.is_clean() || appeared.doubtful))
}

/// Reads the source once, to find out whether it is sound and to write what it holds. `None`, and nothing is written, if
/// that can't be, or if it is not sound.
fn at_once(
    args: &Args,
    common: &Common,
    source: &Source,
    database: &dyn Database<'_>,
    format: Format,
    remarks: &mut Remarks,
    out: &mut Out,
) -> Result<Option<(Findings, Appeared)>, Failure> {
    if copies_a_database(args, database, format) {
        let reading = Reading::unproven(source, database, 1, KEPT_PER_RULE);
        let reading = reading.unwrap_or_else(|| Reading::presumed(source, database));
        return plan_for(args, common, source, &reading, format).copy_meanwhile(database);
    }
    // What stands on standard output can't be taken back, and witnesses are heard once.
    let streams = format.is_dump() && args.output.as_os_str() == "-";
    if streams || !args.witness.is_empty() {
        return Ok(None);
    }
    let reading = Reading::unproven(source, database, parts(source.len()), KEPT_PER_RULE);
    let Some(reading) = reading else { return Ok(None) };
    let Some(converter) = converter(args, common, &reading, database, format)? else { return Ok(None) };
    let mut said = Remarks::keeping(remarks.kept());
    let written = plan_for(args, common, source, &reading, format).convert(&converter, &mut said, out);
    let Some(findings) = reading.proven() else { return Ok(None) };
    *remarks = said;
    Ok(Some((findings.clone(), written?)))
}

/// What is to be written of the records of a reading.
fn plan_for<'p, 'a, 's>(
    args: &'p Args,
    common: &Common,
    source: &'p Source,
    reading: &'p Reading<'a, 's>,
    format: Format,
) -> target::Plan<'p, 'a, 's> {
    let order = common.order.map(|name| name.order());
    target::Plan { output: &args.output, force: args.force, strict: args.strict, source, reading, format, order }
}

/// Whether it takes entries, not records, to get from a format to another.
fn is_of_entries(from: Format, to: Format) -> bool {
    [from, to].iter().any(|format| matches!(format, Format::Json | Format::Text))
}

/// Whether the user asks for another host's list.
fn asks_for_host(args: &Args) -> bool {
    args.role.is_some() || args.server.is_some() || !args.witness.is_empty()
}

/// Whether the records of a database that can be searched go over to another as they stand, whatever they say.
fn copies_a_database(args: &Args, database: &dyn Database<'_>, to: Format) -> bool {
    let converts = is_of_entries(database.format(), to) || asks_for_host(args) || args.era.is_some();
    !converts && args.past.at.is_none() && !to.is_dump() && database.is_searchable()
}

/// How to convert entries; `None` if records go over as they stand.
fn converter(
    args: &Args,
    common: &Common,
    reading: &Reading<'_, '_>,
    database: &dyn Database<'_>,
    format: Format,
) -> Result<Option<Converter>, Failure> {
    let (of_entries, asked) = (is_of_entries(database.format(), format), asks_for_host(args));
    if !of_entries && !asked && args.era.is_none() {
        return Ok(None);
    }
    let mut origin = Origin::of(reading, args.source_era);
    // What a series of releases could have written is known only when all records were looked at.
    let guess = match origin.style.dump {
        None if !of_entries || origin.style.numbering == coroner::formats::record::Numbering::Old => {
            target::guess(reading, origin.style)
        }
        _ => None,
    };
    if let Some(guess) = &guess {
        if !of_entries && !asked && args.source_era.is_none() && args.era.is_some_and(|era| guess.allows(era)) {
            return Ok(None);
        }
        origin.era = origin.era.or(Some(guess.newest));
    }
    let server = args.server.as_ref().map(|name| unprintable(name.as_encoded_bytes()));
    let host = Host { role: args.role.map(RoleName::role), server };
    let era = target::era(args.era, &origin, format);
    let mut witnesses = Witnesses::default();
    for witness in &args.witness {
        hear(&mut witnesses, witness, common)?;
    }
    let makes_jmapids = args.era.is_some();
    // Dumps say 0 where no time is known.
    let now = if matches!(format, Format::Json | Format::Text) { 0 } else { target::now() };
    Ok(Some(Converter { origin, era, host, witnesses, makes_jmapids, now }))
}

/// Asks a witness: `FILE`, or `NAME=FILE` of the backend of that name.
fn hear(witnesses: &mut Witnesses, witness: &OsStr, common: &Common) -> Result<(), Failure> {
    let (server, path) = named_file(witness);
    let source = open(&path, common)?;
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(());
    };
    let reading = Reading::new(&source, &*database)?;
    say_findings(&source.name(), &reading.findings);
    witnesses.hear(&reading, server.as_deref());
    source.still()
}
