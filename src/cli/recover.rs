//! `coroner recover`.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::{Confidence, CyrusOutcome, Database, Format, KeyOrder, Record};
use coroner::input::Source;
use coroner::ops::entries::Decoder;
use coroner::ops::reading::Reading;
use coroner::ops::recover::{self, Cost, Origin, Recovered, Recovery, Testimony, Witness};
use coroner::ops::testimony::{Spelling, testimony};
use coroner::plan::database::{self, Target, target_order};
use coroner::plan::safe_file::SafeFile;
use coroner::render::json::{self, Object};
use coroner::render::text::{count, printable};
use serde_json::{Value as Json, json};

use super::args::{Common, Past, WritableName};
use super::bar::watched;
use super::out::Out;
use super::{Done, Outcome, open, open_at, say_empty};

/// Write a sound database with all that a damaged one still holds
///
/// The source is read only. By default every record that can be proven or plausibly read is kept, past any damage, and
/// each is said to be verified, unverified (its own bytes can't be proven) or maybe-stale (a newer version may lie in a
/// lost range). OUT is read back and compared before it gets its name. Without -o only the report is made.
/// Exit status 1 says that something was lost, left out or is in doubt.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner recover mailboxes.db                           what could be brought back, and what not
  coroner recover mailboxes.db -o recovered.db --report recovered.jsonl
  coroner recover mailboxes.db -o recovered.db --witness /srv/backup/mailboxes.db --witness mailboxes.db.NEW
  coroner recover mailboxes.db --mode cyrus              what Cyrus' own recovery would cost")]
pub struct Args {
    /// A damaged mailbox list
    file: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// The format to write, instead of the source's
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: Option<WritableName>,
    /// Keep all that can be read, or what Cyrus 3.6.1 would leave
    #[arg(long, value_enum, default_value = "carve")]
    mode: Mode,
    /// An older backup, a .NEW file, a dump or another server's copy to ask about what was lost; several may be named
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
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

/// How many of a kind the report on the screen names one by one.
const NAMED: usize = 20;

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let source = open_at(&args.file, common, args.past)?;
    let witnesses: Vec<Source> = args.witness.iter().map(|path| open(path, common)).collect::<Result<_, _>>()?;
    let opened: Vec<_> = witnesses.iter().map(Source::database).collect();
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(Outcome::Findings);
    };
    let order = source.order(&*database);
    let mut recovery = watched("carving", |_| gather(args, &source, &*database, order))?;
    let testimonies = ask(&mut recovery, &*database, order, &witnesses, &opened)?;
    let cost = (args.mode == Mode::Cyrus).then(|| cost(&recovery, &*database, order));

    let format = args.to.map_or_else(|| container_of(database.format()), |name| name.format());
    let written = args.output.as_deref().map(|path| write(path, args, &source, &mut recovery, format)).transpose()?;
    if let Some(path) = &args.report {
        save_report(path, args.force, &recovery)?;
    }
    source.still()?;
    for witness in &witnesses {
        witness.still()?;
    }
    let told =
        Told { source: &source, recovery: &recovery, testimonies: &testimonies, cost: cost.as_ref(), written, format };
    if common.json {
        out.json(&told.document(args))?
    } else {
        told.print(args, out)?
    }
    let whole = recovery.is_whole() && cost.is_none_or(|cost| cost == Cost::default());
    Ok(Outcome::findings_if(!whole || args.mode == Mode::Cyrus && !recovery.lost.is_empty()))
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
        let mut recovery = Recovery::carve(database.carve(order), order);
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

/// What the format of a source is written as: dumps become databases.
fn container_of(format: Format) -> Format {
    if format.is_dump() { Format::Twoskip } else { format }
}

fn ask<'a>(
    recovery: &mut Recovery<'a>,
    database: &dyn Database<'a>,
    order: KeyOrder,
    sources: &'a [Source],
    opened: &[Option<Box<dyn Database<'a> + 'a>>],
) -> Result<Vec<Testimony>, Failure> {
    if opened.is_empty() {
        return Ok(Vec::new());
    }
    let spelling = Spelling::of(recovery.records.iter().map(|recovered| &recovered.record));
    let decoder = Decoder::of(spelling.style);
    let written = |record: &Record<'_>| decoder.decode(record).entry.and_then(|entry| entry.mtime);
    let deleted = recover::deleted_keys(database, order);
    let asked = sources.iter().zip(opened).zip(0..).map(|((source, witness), number)| {
        let Some(witness) = witness else { return Ok(Testimony::default()) };
        let reading = Reading::new(source, &**witness)?;
        let records = testimony(&reading, witness.format(), spelling);
        Ok(recovery.ask(Witness { number, records }, &deleted, written))
    });
    asked.collect()
}

fn cost(recovery: &Recovery<'_>, database: &dyn Database<'_>, order: KeyOrder) -> Cost {
    let cyrus: Vec<Record<'_>> = recovery.records.iter().map(|recovered| recovered.record.clone()).collect();
    recover::cost(&cyrus, &Recovery::carve(database.carve(order), order).records, order)
}

fn write(
    path: &Path,
    args: &Args,
    source: &Source,
    recovery: &mut Recovery<'_>,
    format: Format,
) -> Result<u64, Failure> {
    let order = target_order(format, Some(recovery.order).filter(|_| source.format() == Some(format)));
    recovery.sort(format, order);
    let pairs = || recovery.records.iter().map(|recovered| (&*recovered.record.key, &*recovered.record.value));
    let like = source.metadata();
    let target = Target { path, overwrite: args.force, like: like.as_ref() };
    let options = database::options(format, order, pairs());
    Ok(watched("writing", |_| database::write(target, format, pairs(), &options))?.len)
}

/// A JSON object a line: each record written, each range lost, each record left out.
fn save_report(path: &Path, force: bool, recovery: &Recovery<'_>) -> Result<(), Failure> {
    let file = SafeFile::create(path, force)?;
    let mut lines = BufWriter::with_capacity(1 << 16, file.file());
    let kept = recovery.records.iter().map(|recovered| record_object(&recovered.record, recovered.origin.as_str()));
    let left = recovery.uncommitted.iter().map(|record| record_object(record, "left-out"));
    let objects = recovery.lost.iter().map(|lost| lost_object(Object::schema("recover"), lost)).chain(kept).chain(left);
    for object in objects {
        let line = json::line(&object) + "\n";
        lines.write_all(line.as_bytes()).map_err(|error| Failure::file(path, error, "free some space"))?;
    }
    lines.flush().map_err(|error| Failure::file(path, error, "free some space"))?;
    drop(lines);
    file.finish(|_| Ok(()))?;
    Ok(())
}

fn record_object(record: &Record<'_>, confidence: &str) -> Json {
    let object = Object::schema("recover").bytes("key", &record.key).with("confidence", confidence);
    object.with("span", json::span(record.span)).done()
}

fn lost_object(object: Object, lost: &coroner::formats::container::Lost<'_>) -> Json {
    let object = object.with("lost", json::span(lost.span));
    object.bytes_some("before", lost.before.as_deref()).bytes_some("after", lost.after.as_deref()).done()
}

/// What there is to tell of a recovery.
struct Told<'t, 'a> {
    source: &'t Source,
    recovery: &'t Recovery<'a>,
    testimonies: &'t [Testimony],
    cost: Option<&'t Cost>,
    written: Option<u64>,
    format: Format,
}

/// Kinds of origin, by their rank, and how they are told.
const ORIGINS: [(&str, &str); 6] = [
    ("verified", "proven, and nothing newer can be missing"),
    ("unverified", "plausible, but their own bytes can't be proven"),
    ("maybe-stale", "a newer version or a deletion may lie in a lost range"),
    ("uncommitted", "of transactions that never ended"),
    ("cyrus", "as Cyrus would leave them"),
    ("witness", "from a witness"),
];

impl Told<'_, '_> {
    fn origins(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let mut counts = [0; ORIGINS.len()];
        for recovered in &self.recovery.records {
            counts[recovered.origin.rank()] += 1;
        }
        ORIGINS.into_iter().zip(counts).map(|((word, meaning), n)| (word, meaning, n)).filter(|&(_, _, n)| n > 0)
    }

    fn print(&self, args: &Args, out: &mut Out) -> Result<(), Failure> {
        let recovery = self.recovery;
        out.line(&format!("{}: {}", self.source.name(), count(recovery.records.len() as u64, "record")))?;
        for (word, meaning, n) in self.origins() {
            out.line(&format!("  {n:>8} {word}: {meaning}"))?;
        }
        let doubtful = recovery.records.iter().filter(|recovered| {
            matches!(
                recovered.origin,
                Origin::Carved(Confidence::Unverified | Confidence::MaybeStale) | Origin::Witness(_)
            )
        });
        let told =
            |r: &Recovered<'_>| format!("{} {} at {}", r.origin.as_str(), printable(&r.record.key), r.record.span);
        self.name(out, doubtful, told)?;
        let bytes: u64 = recovery.lost.iter().map(|lost| lost.span.len()).sum();
        out.line(&format!("lost: {}, {}", count(recovery.lost.len() as u64, "range"), count(bytes, "byte")))?;
        self.name(out, recovery.lost.iter(), lost_line)?;
        if !recovery.uncommitted.is_empty() {
            let n = count(recovery.uncommitted.len() as u64, "uncommitted record");
            out.line(&format!("left out: {n} (--include-uncommitted keeps them)"))?;
            let told = |record: &Record<'_>| format!("{} at {}", printable(&record.key), record.span);
            self.name(out, recovery.uncommitted.iter(), told)?;
        }
        for (path, told) in args.witness.iter().zip(self.testimonies) {
            let Testimony { filled, confirmed, replaced, deleted } = told;
            let file = printable(path.as_os_str().as_encoded_bytes());
            out.line(&format!("witness {file}: filled in {filled}, confirmed {confirmed}, newer {replaced}, known to be deleted {deleted}"))?;
        }
        if let Some(cost) = self.cost {
            let Cost { lost, changed, only_cyrus } = cost;
            out.line(&format!(
                "against carving: {} lost, {} with another value, {} that were deleted or never committed",
                lost.len(),
                changed.len(),
                only_cyrus.len()
            ))?;
        }
        if let (Some(path), Some(len)) = (&args.output, self.written) {
            let file = printable(path.as_os_str().as_encoded_bytes());
            out.line(&format!("wrote {file}: {}, {}, read back and found right", self.format, count(len, "byte")))?;
        }
        Ok(())
    }

    /// The first lines of a list, and how many more there are.
    fn name<T>(
        &self,
        out: &mut Out,
        mut things: impl Iterator<Item = T>,
        line: impl Fn(T) -> String,
    ) -> Result<(), Failure> {
        for thing in things.by_ref().take(NAMED) {
            out.line(&format!("           {}", line(thing)))?;
        }
        match things.count() {
            0 => Ok(()),
            more => out.line(&format!("           … and {more} more (--report saves them all)")),
        }
    }

    fn document(&self, args: &Args) -> Json {
        let recovery = self.recovery;
        let counts = json::counts(self.origins().map(|(word, _, n)| (word, n)));
        let lost: Vec<Json> = recovery.lost.iter().map(|lost| lost_object(Object::new(), lost)).collect();
        let left: Vec<Json> = recovery.uncommitted.iter().map(|record| record_object(record, "left-out")).collect();
        let witnesses: Vec<Json> = args
            .witness
            .iter()
            .zip(self.testimonies)
            .map(|(path, told)| {
                let object =
                    Object::new().bytes("file", path.as_os_str().as_encoded_bytes()).with("filled", told.filled);
                object
                    .with("confirmed", told.confirmed)
                    .with("newer", told.replaced)
                    .with("deleted", told.deleted)
                    .done()
            })
            .collect();
        let cost = self.cost.map(|cost| {
            json!({
                "lost": cost.lost.len(), "changed": cost.changed.len(), "only_cyrus": cost.only_cyrus.len(),
            })
        });
        let object = Object::schema("recover").bytes("file", args.file.as_os_str().as_encoded_bytes());
        object
            .with("records", recovery.records.len())
            .with("confidence", counts)
            .with("lost", lost)
            .with("left_out", left)
            .with("witnesses", witnesses)
            .with_some("cyrus_cost", cost)
            .with_some("written", self.written)
            .with("format", self.format.as_str())
            .done()
    }
}

fn lost_line(lost: &coroner::formats::container::Lost<'_>) -> String {
    let side = |key: Option<&[u8]>| key.map_or("nothing".to_owned(), printable);
    format!("{} between {} and {}", lost.span, side(lost.before.as_deref()), side(lost.after.as_deref()))
}
