//! `coroner merge`.

mod report;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::{WriteOptions, flat};
use coroner::formats::record::{Era, Role};
use coroner::ops::merge::ledger::{BASE, Decisions, Dispute, NOBODY};
use coroner::ops::merge::settle::Policy;
use coroner::ops::merge::{self, Merge};
use coroner::plan::database::{self, Prepared, Target, target_order};
use coroner::plan::interrupt;
use coroner::plan::safe_file::SafeFile;
use coroner::render::json;
use coroner::render::text::printable;

use super::args::{Common, WritableName, named_file};
use super::bar::watched;
use super::convert::{self, target};
use super::lists::{self, Opened};
use super::out::Out;
use super::{Appeared, Done, Outcome, appear};
pub use report::claim_line;
use report::{Seen, Told};

/// Write the list of a murder's master, or of a frontend, from those of its backends
///
/// Backends decide which mailboxes exist. Where two have one, the base (--base: an old master's list, a frontend's copy, a
/// dump) says where it is; what that does not settle, --on-conflict does. Every disagreement is listed with what each
/// source claims. Lists may be of different formats and releases, and damaged: then all that can be read counts.
/// Exit status 1 says that sources contradict each other, or that one is damaged.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
--on-conflict: report keeps the first named of several backends; refuse writes nothing; prefer=NAME,… keeps the first of these
that has the mailbox; newest the record written last.

A ledger has a line of JSON for every disagreement. Change its \"keep\" to the name of another source, to \"base\" or to
\"nobody\", and give the file back with --decisions: each line fits only the claims that it was made on.

Examples:
  coroner merge be1.example.com=be1.db be2.example.com=be2.db -o master.db
  coroner merge be1.example.com=be1.db be2.example.com=be2.db -o master.db --base old-master.db --ledger conflicts.jsonl
  coroner merge be1.example.com=be1.db be2.example.com=be2.db -o master.db --base old-master.db --decisions conflicts.jsonl")]
pub struct Args {
    /// A backend's name, as the murder knows it, and its mailbox list in any format
    #[arg(required = true, value_name = "NAME=FILE")]
    backends: Vec<OsString>,
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The format to write
    #[arg(long, value_enum, default_value = "twoskip", value_name = "FORMAT")]
    to: WritableName,
    /// The host to write for: both have the same records
    #[arg(long, value_enum, default_value = "master", value_name = "ROLE")]
    role: RoleName,
    /// The release series to write for, instead of the base's or the newest of the backends'
    #[arg(long, value_name = "E", value_parser = convert::era)]
    era: Option<Era>,
    /// What says where a mailbox is that two backends have: an old master's list, a frontend's, a dump
    #[arg(long, value_name = "FILE")]
    base: Option<PathBuf>,
    /// What to do where backends contradict each other: report, refuse, prefer=NAME,… or newest
    #[arg(long, value_name = "HOW", default_value = "report", value_parser = how)]
    on_conflict: How,
    /// Save every disagreement here: a JSON object a line
    #[arg(long, value_name = "L")]
    ledger: Option<PathBuf>,
    /// Follow the decisions of an edited ledger
    #[arg(long, value_name = "L")]
    decisions: Option<PathBuf>,
    /// Overwrite OUT and the ledger if they are there
    #[arg(long)]
    force: bool,
    /// Where OUT will be when all is done, if not there.
    #[arg(skip)]
    moved: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum RoleName {
    Master,
    Frontend,
}

impl Args {
    /// Merges these backends without asking for anything special.
    pub fn plain(
        backends: Vec<OsString>,
        base: Option<PathBuf>,
        output: PathBuf,
        to: WritableName,
        ledger: Option<PathBuf>,
        role: RoleName,
    ) -> Self {
        let on_conflict = How::Report;
        Args {
            backends,
            output,
            to,
            role,
            era: None,
            base,
            on_conflict,
            ledger,
            decisions: None,
            force: false,
            moved: None,
        }
    }

    /// Tells of OUT as if it were where it will be moved to.
    pub fn moving_to(self, path: PathBuf) -> Self {
        Args { moved: Some(path), ..self }
    }

    /// What OUT is called in the answer.
    fn shown(&self) -> &Path {
        self.moved.as_deref().unwrap_or(&self.output)
    }
}

/// What `--on-conflict` says.
#[derive(Clone, Debug)]
enum How {
    Report,
    Refuse,
    Prefer(Vec<String>),
    Newest,
}

fn how(text: &str) -> Result<How, String> {
    match text.split_once('=') {
        None if text == "report" => Ok(How::Report),
        None if text == "refuse" => Ok(How::Refuse),
        None if text == "newest" => Ok(How::Newest),
        Some(("prefer", names)) => Ok(How::Prefer(names.split(',').map(str::to_owned).collect())),
        _ => Err("one of: report refuse prefer=NAME,… newest".into()),
    }
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let opened = open_all(args, common)?;
    let databases = lists::databases(&opened)?;
    let (readings, damaged) = lists::readings(&opened, &databases)?;
    let origins = lists::origins(&readings);
    let sources = opened.iter().zip(readings.iter().zip(origins)).map(|(list, (reading, origin))| {
        let len = list.source.len();
        merge::Source { name: list.name.clone(), reading, origin, len }
    });
    let sources: Vec<merge::Source<'_, '_, '_>> = sources.collect();
    let format = args.to.format();
    let goal = merge::Target {
        role: if args.role == RoleName::Master { Role::Master } else { Role::Frontend },
        era: era(args, &sources),
        order: target_order(format, common.order.map(|name| name.order())),
        now: target::now(),
    };
    let decisions = args.decisions.as_deref().map(decisions).transpose()?.unwrap_or_default();
    let policy = policy(args, &opened)?;
    let refusing = policy == Policy::Refuse;
    let mut merge = Merge::new(&sources, &goal, policy, decisions);
    merge.tell_notes(args.ledger.is_some());
    let (prepared, told) = write(args, &mut merge, &goal, &opened)?;
    opened.iter().try_for_each(|list| list.source.still())?;
    let told = Told { path: args.shown(), format, opened: &opened, ..told };
    told.refuse_stale(&merge, args.decisions.as_deref())?;
    let conflicts = told.seen.conflicts();
    if refusing && conflicts > 0 {
        told.print(None, out)?;
        out.flush()?;
        let what = format!("sources contradict each other about {conflicts} mailboxes; nothing was written");
        return Err(Failure::file(&args.output, what, "decide with --decisions, or choose another --on-conflict"));
    }
    let both = interrupt::hold();
    if let Some(ledger) = told.ledger {
        ledger.finish(|_| Ok(()))?;
    }
    let Appeared { written, doubtful } = appear(prepared, &args.output)?;
    drop(both);
    let told = Told { ledger: None, ..told };
    match common.json {
        true => out.json(&told.document(written))?,
        false => told.print(Some(written), out)?,
    }
    Ok(Outcome::findings_if(conflicts > 0 || damaged || doubtful || !told.sum.remarks.is_lossless()))
}

/// Opens the backends' lists and, behind them, the base's.
fn open_all(args: &Args, common: &Common) -> Result<Vec<Opened>, Failure> {
    let mut opened: Vec<Opened> = Vec::new();
    for argument in &args.backends {
        let (Some(name), path) = named_file(argument) else {
            let what = format!("{}: no name in front of it", printable(argument.as_encoded_bytes()));
            return Err(Failure::usage(what, "give backends as NAME=FILE, by the names that the murder knows them by"));
        };
        let reserved = [BASE, NOBODY].iter().any(|word| word.as_bytes() == name);
        if name.is_empty() || reserved || opened.iter().any(|known| known.name.as_ref() == Some(&name)) {
            let what = format!("{:?} can't be the name of this backend", printable(&name));
            return Err(Failure::usage(what, "name each backend once, by its servername"));
        }
        opened.push(Opened::new(Some(name), &path, common)?);
    }
    if let Some(path) = &args.base {
        opened.push(Opened::new(None, path, common)?);
    }
    Ok(opened)
}

/// The release series to write for: what the user says, the base's, or the newest of the backends'.
fn era(args: &Args, sources: &[merge::Source<'_, '_, '_>]) -> Era {
    let of = |source: &merge::Source<'_, '_, '_>| {
        let new = if source.origin.jmapids { Era::V3_13 } else { Era::V3_10 };
        source.origin.era.unwrap_or(new)
    };
    let base = || sources.iter().find(|source| source.name.is_none()).map(of);
    args.era.or_else(base).or_else(|| sources.iter().map(of).max()).unwrap_or(Era::V3_10)
}

fn decisions(path: &Path) -> Result<Decisions, Failure> {
    let text = fs::read(path).map_err(|error| Failure::file(path, error, "name a ledger that merge wrote"))?;
    Decisions::read(&text).map_err(|(line, what)| {
        Failure::file(
            path,
            format!("line {line}: {what}"),
            "give back a ledger that merge wrote, with another \"keep\"",
        )
    })
}

fn policy(args: &Args, opened: &[Opened]) -> Result<Policy, Failure> {
    let How::Prefer(names) = &args.on_conflict else {
        return Ok(match args.on_conflict {
            How::Refuse => Policy::Refuse,
            How::Newest => Policy::Newest,
            _ => Policy::Report,
        });
    };
    let known = |name: &String| {
        let number = opened.iter().position(|list| list.name.as_deref() == Some(name.as_bytes()));
        number.ok_or_else(|| {
            Failure::usage(format!("prefer={name}: no such backend"), "use the names given as NAME=FILE")
        })
    };
    names.iter().map(known).collect::<Result<_, _>>().map(Policy::Prefer)
}

/// Merges into a file that has no name yet, and a ledger that has none either.
fn write<'o>(
    args: &'o Args,
    merge: &mut Merge<'_, '_, '_>,
    goal: &merge::Target,
    opened: &'o [Opened],
) -> Result<(Prepared, Told<'o>), Failure> {
    let format = args.to.format();
    let like = opened.last().and_then(|list| list.source.metadata());
    let style = if goal.era < Era::V2_5 { flat::Style::Raw } else { flat::Style::Escaped };
    let options = database::options(format, goal.order, std::iter::empty::<(&[u8], &[u8])>());
    let options = WriteOptions { style, ..options };
    let progress = std::cell::RefCell::new((Seen::default(), None::<SafeFile>));
    let mut tell = |dispute: Dispute| -> Result<(), Failure> {
        let mut progress = progress.borrow_mut();
        let (seen, ledger) = &mut *progress;
        if let (Some(path), None) = (&args.ledger, &ledger) {
            *ledger = Some(SafeFile::create(path, args.force)?);
        }
        if let (Some(path), Some(ledger)) = (&args.ledger, ledger) {
            let line = json::line(&dispute.document()) + "\n";
            ledger.write_all(line.as_bytes()).map_err(|error| Failure::file(path, error, "free some space"))?;
        }
        seen.push(dispute);
        Ok(())
    };
    let begin = || *progress.borrow_mut() = (Seen::default(), None);
    let (prepared, sum) = watched("merging", |watch| {
        merge.run(watch, begin, &mut tell, |records| {
            let target = Target { path: &args.output, overwrite: args.force, like: like.as_ref() };
            database::prepare(target, format, records, &options)
        })
    })?;
    let (mut seen, mut ledger) = progress.into_inner();
    seen.note(&sum.noted);
    if let (Some(path), None) = (&args.ledger, &ledger) {
        ledger = Some(SafeFile::create(path, args.force)?);
    }
    Ok((prepared, Told { path: args.shown(), format, opened, seen, sum, ledger }))
}
