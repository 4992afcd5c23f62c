//! `coroner recover`.

mod report;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::{Confidence, CyrusOutcome, Database, Format, KeyOrder, Record};
use coroner::input::{Source, usual_order};
use coroner::ops::account::{self, Account};
use coroner::ops::convert::raw::{Stream, streamed};
use coroner::ops::convert::remarks::Remarks;
use coroner::ops::entries::Decoder;
use coroner::ops::reading::Reading;
use coroner::ops::recover::{self, Cost, Origin, Recovery, Testimony, Witness};
use coroner::ops::testimony::{Names, hear};
use coroner::plan::database::{self, Target, target_order};
use coroner::render::text::unprintable;

use super::args::{Common, FormatName, Past, named_file};
use super::bar::watched;
use super::convert::target::{self, Plan, container_of};
use super::out::Out;
use super::{Appeared, Done, Outcome, appear, open, open_at, say_empty};
use report::{Heard, Told};

/// Write a sound database with all that a damaged one still holds
///
/// The source is read only. By default every record that can be proven or plausibly read is kept, past any damage, and
/// each is said to be verified, unverified (its own bytes can't be proven) or maybe-stale (a newer version may lie in a
/// lost range). OUT is read back and compared before it gets its name. Without -o only the report is made.
///
/// A witness may be of another role: of a master's or frontend's list a backend gets back its own mailboxes, without what
/// only it knew (uniqueid, uidvalidity), and the other way round. Whose mailboxes they are is seen from those that both
/// lists have, or told with --server or NAME=FILE. From the copy of another backend nothing is taken.
///
/// Exit status 1 says that something was lost, left out or is in doubt.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner recover mailboxes.db                           what could be brought back, and what not
  coroner recover mailboxes.db -o recovered.db --report recovered.jsonl
  coroner recover mailboxes.db -o recovered.db --witness /srv/backup/mailboxes.db --witness mailboxes.db.NEW
  coroner recover be1.db -o recovered.db --witness master.db --server be1.example.com
  coroner recover mailboxes.db -o - --to show
  coroner recover mailboxes.db --mode cyrus              what Cyrus' own recovery would cost")]
pub struct Args {
    /// A damaged mailbox list
    file: PathBuf,
    /// The file to write; - for standard output, of the text formats
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// The format to write, instead of the source's
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Option<FormatName>,
    /// Keep all that can be read, or what Cyrus 3.6.1 would leave
    #[arg(long, value_enum, default_value = "carve")]
    mode: Mode,
    /// An older backup, a .NEW file, a dump or another server's copy to ask about what was lost; several may be named
    #[arg(long, value_name = "FILE|NAME=FILE")]
    witness: Vec<OsString>,
    /// The server whose local mailboxes those of FILE, or of a backend's copy that testifies, are
    #[arg(long, value_name = "NAME", requires = "witness")]
    server: Option<OsString>,
    /// Keep the records of transactions that never ended, too
    #[arg(long)]
    include_uncommitted: bool,
    #[command(flatten)]
    past: Past,
    /// Save the report here: a JSON object a line, for each record, lost range and record left out
    #[arg(long, value_name = "R")]
    report: Option<PathBuf>,
    /// Overwrite OUT and R if they are there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Mode {
    Carve,
    Cyrus,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let source = open_at(&args.file, common, args.past)?;
    let named: Vec<_> = args.witness.iter().map(|argument| named_file(argument)).collect();
    let witnesses: Vec<Source> = named.iter().map(|(_, path)| open(path, common)).collect::<Result<_, _>>()?;
    let opened: Vec<_> = witnesses.iter().map(Source::database).collect();
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(Outcome::Findings);
    };
    let format = args.to.map_or_else(|| container_of(database.format()), FormatName::format);
    let aside = args.output.as_deref().is_some_and(|path| path.as_os_str() == "-");
    if let Some(path) = &args.output {
        target::check(path, common.json, format)?;
    }
    let order = source.order(&*database);
    let mut recovery = watched("carving", |_| gather(args, &source, &*database, order))?;
    let cost = (args.mode == Mode::Cyrus).then(|| cost(&recovery, &*database, order));
    let mut remarks = match args.report {
        Some(_) => Remarks::keeping(usize::MAX),
        None => Remarks::default(),
    };
    enter(&mut recovery, &*database, &mut remarks);
    let server = args.server.as_ref().map(|name| unprintable(name.as_encoded_bytes()));
    let names = named.iter().map(|(name, _)| Names { server: server.as_deref(), witness: name.as_deref() });
    let heard = ask(&mut recovery, &*database, witnesses.iter().zip(&opened).zip(names))?;

    let appeared = write(args, &source, &mut recovery, format, &mut remarks, out)?;
    if let Some(path) = &args.report {
        report::save(path, args.force, &recovery, &heard)?;
    }
    source.still()?;
    for witness in &witnesses {
        witness.still()?;
    }
    let whole =
        recovery.is_whole() && remarks.is_lossless() && cost.as_ref().is_none_or(|cost| *cost == Cost::default());
    let whole = whole && (args.mode == Mode::Carve || recovery.lost.is_empty());
    let told = Told {
        source: &source,
        recovery: &recovery,
        heard: &heard,
        cost: cost.as_ref(),
        remarks: &remarks,
        output: args.output.as_deref().zip(appeared.map(|appeared| appeared.written)),
        format,
    };
    match common.json {
        true => out.json(&told.document())?,
        false => told.print(aside, out)?,
    }
    Ok(Outcome::findings_if(!whole || appeared.is_some_and(|appeared| appeared.doubtful)))
}

/// The records that the mode asks for.
fn gather<'a>(
    args: &Args,
    source: &Source,
    database: &dyn Database<'a>,
    order: KeyOrder,
) -> Result<Recovery<'a>, Failure> {
    if let Some(number) = source.at() {
        let records = database.at(number, order).ok_or_else(|| source.has_no_transaction(number))?;
        return Ok(Recovery::plain(records, Origin::Carved(Confidence::Verified), order));
    }
    if args.mode == Mode::Carve {
        let mut recovery = Recovery::carve(database.harvest(order), order);
        if args.include_uncommitted {
            recovery.include_uncommitted();
        }
        return Ok(recovery);
    }
    match recover::as_cyrus(database, order) {
        CyrusOutcome::Opens(records) => Ok(Recovery::plain(records, Origin::Cyrus, order)),
        CyrusOutcome::Refuses(why) => {
            Err(Failure::file(&args.file, format!("Cyrus would refuse it: {why}"), "recover it without --mode cyrus"))
        }
        CyrusOutcome::Dies(why) => {
            Err(Failure::file(&args.file, format!("Cyrus would die of it: {why}"), "recover it without --mode cyrus"))
        }
    }
}

/// Makes records of what a dump was recovered to: they are what can be written, and compared with those of witnesses.
fn enter(recovery: &mut Recovery<'_>, database: &dyn Database<'_>, remarks: &mut Remarks) {
    if matches!(database.format(), Format::Json | Format::Text) {
        let dump = Account::of(&Reading::kept(recovery, database.format()));
        account::enter(recovery, &dump, usual_order(container_of(database.format())), remarks);
    }
}

/// A witness' source, its database if it has one, and the names that the user gives.
type Called<'a, 'c> = ((&'a Source, &'c Option<Box<dyn Database<'a> + 'a>>), Names<'c>);

fn ask<'a: 'c, 'c>(
    recovery: &mut Recovery<'a>,
    database: &dyn Database<'a>,
    witnesses: impl ExactSizeIterator<Item = Called<'a, 'c>>,
) -> Result<Vec<Heard>, Failure> {
    if witnesses.len() == 0 {
        return Ok(Vec::new());
    }
    let subject = Account::of(&Reading::kept(recovery, container_of(database.format())));
    let decoder = Decoder::of(subject.origin.style);
    let written = |record: &Record<'_>| decoder.decode(record).entry.and_then(|entry| entry.mtime);
    let deleted = recover::deleted_keys(database, recovery.order);
    let asked = witnesses.zip(0..).map(|(((source, witness), names), number)| {
        let file = source.path().to_owned();
        let Some(witness) = witness else {
            say_empty(source);
            return Ok(Heard { file, testimony: Testimony::default(), conversion: None, stranger: None });
        };
        let reading = Reading::new(source, &**witness)?;
        let heard = hear(&reading, &subject, recovery, names);
        let lacks_fields = heard.conversion.as_ref().is_some_and(|conversion| !conversion.missing.is_empty());
        let other_role = heard.conversion.is_some();
        let witness = Witness { number, records: heard.records, other_role, lacks_fields };
        let testimony = recovery.ask(witness, &deleted, written);
        Ok(Heard { file, testimony, conversion: heard.conversion, stranger: heard.stranger })
    });
    asked.collect()
}

fn cost(recovery: &Recovery<'_>, database: &dyn Database<'_>, order: KeyOrder) -> Cost {
    recover::cost(&recovery.records, &Recovery::carve(database.harvest(order), order).records, order)
}

/// Writes the records where they are to go, if anywhere.
fn write(
    args: &Args,
    source: &Source,
    recovery: &mut Recovery<'_>,
    format: Format,
    remarks: &mut Remarks,
    out: &mut Out,
) -> Result<Option<Appeared>, Failure> {
    let Some(path) = &args.output else { return Ok(None) };
    let from = source.format().unwrap_or(format);
    if !format.is_dump() && !matches!(from, Format::Json | Format::Text) {
        let order = target_order(format, Some(recovery.order).filter(|_| from == format));
        recovery.sort(format, order);
        let reading = Reading::kept(recovery, format);
        let like = source.metadata();
        let target = Target { path, overwrite: args.force, like: like.as_ref() };
        let options = match format {
            Format::Flat => streamed(&reading, |records| database::options(format, order, records)),
            _ => database::options(format, order, std::iter::empty::<(&[u8], &[u8])>()),
        };
        let write = |records: &mut Stream<'_, '_>| database::prepare(target, format, records, &options);
        let prepared = watched("writing", |_| streamed(&reading, write))?;
        return appear(prepared, path).map(Some);
    }
    // In the order that a database recovered to the source's format would have.
    let like = container_of(from);
    recovery.sort(like, target_order(like, Some(recovery.order)));
    let reading = Reading::kept(recovery, like);
    let plan = Plan { output: path, force: args.force, strict: false, source, reading: &reading, format, order: None };
    let of_entries = [from, format].iter().any(|format| matches!(format, Format::Json | Format::Text));
    match of_entries {
        true => plan.convert(&target::converter(&reading, format), remarks, out).map(Some),
        false => plan.copy(out).map(Some),
    }
}
