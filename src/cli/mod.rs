//! The commands: one file each; the only code that prints.

mod apply;
mod args;
mod bar;
mod convert;
mod diff;
mod digest;
mod drift;
mod hexdump;
mod inspect;
mod list;
mod lists;
mod log;
mod merge;
mod murder;
mod out;
mod recover;
mod repair;
mod revive;
mod show;
mod synth;
mod verify;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use coroner::failure::Failure;
use coroner::formats::container::Written;
use coroner::formats::image::report_shrinking;
use coroner::input::{Options, Source};
use coroner::plan::database::Prepared;
use coroner::plan::interrupt;
use coroner::render::text::printable;

use args::{Cli, Command, Common, Past};
use out::Out;

/// How a command that was done ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// Nothing to report.
    Clean,
    /// Findings, differences, conflicts or losses.
    Findings,
    /// At least one of several files could not be examined; its error is already printed.
    Failed,
}

impl Outcome {
    fn findings_if(there_are: bool) -> Self {
        if there_are { Outcome::Findings } else { Outcome::Clean }
    }

    fn code(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

type Done = Result<Outcome, Failure>;

/// Parses the command line, runs the command, and gives the exit status.
pub fn main() -> ExitCode {
    let _ = report_shrinking(
        "coroner: a file shrank while it was being read: read it under its lock (without --no-lock), or with --snapshot\n",
        2,
    );
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else a wrong command line; a closed reader is no error either way.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(&cli) {
        Ok(outcome) => outcome.code(),
        Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            Outcome::Failed.code()
        }
    }
}

fn run(cli: &Cli) -> Done {
    let common = &cli.common;
    if let Some(threads) = common.jobs {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads.get()));
        pool.build_global().map_err(|error| Failure::usage(format!("-j {threads}: {error}"), "try fewer threads"))?;
    }
    let mut out = Out::new()?;
    // Who serves ends in an order of his own.
    if !matches!(cli.command, Command::Murder(_)) {
        let _ = interrupt::watch();
    }
    let outcome = match &cli.command {
        Command::Murder(args) => murder::run(args, common, &mut out),
        Command::Log(args) => log::run(args, common, &mut out),
        Command::Recover(args) => recover::run(args, common, &mut out),
        Command::Convert(args) => convert::run(args, common, &mut out),
        Command::Repair(args) => repair::run(args, common, &mut out),
        Command::Apply(args) => apply::run(args, common, &mut out),
        Command::Undo(args) => apply::undo(args, common, &mut out),
        Command::Merge(args) => merge::run(args, common, &mut out),
        Command::Drift(args) => drift::run(args, common, &mut out),
        Command::Revive(args) => revive::run(args, common, &mut out),
        Command::Synth(args) => synth::run(args, common, &mut out),
        Command::Inspect(args) => inspect::run(args, common, &mut out),
        Command::Show(args) => show::run(args, common, &mut out),
        Command::Verify(args) => verify::run(args, common, &mut out),
        Command::List(args) => list::run(args, common, &mut out),
        Command::Digest(args) => digest::run(args, common, &mut out),
        Command::Diff(args) => diff::run(args, common, &mut out),
        Command::Hexdump(args) => hexdump::run(args, common, &mut out),
    }?;
    out.flush()?;
    Ok(outcome)
}

/// Runs `each` on every file; one that fails does not keep the others from being examined.
fn for_each_file(files: &[std::path::PathBuf], mut each: impl FnMut(&std::path::Path) -> Done) -> Done {
    let mut worst = Outcome::Clean;
    for file in files {
        let outcome = match each(file) {
            Ok(outcome) => outcome,
            Err(failure @ (Failure::BrokenPipe | Failure::Output(_))) => return Err(failure),
            Err(failure) => {
                complain(&failure);
                Outcome::Failed
            }
        };
        worst = worst.max(outcome);
    }
    Ok(worst)
}

/// An error's one line on standard error.
fn complain(failure: &Failure) {
    say(&failure.to_string());
}

/// A line on standard error.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "coroner: {line}");
}

/// What was written, and whether a record of it will be taken for damage.
#[derive(Clone, Copy)]
struct Appeared {
    written: Written,
    doubtful: bool,
}

impl From<Written> for Appeared {
    fn from(written: Written) -> Self {
        Appeared { written, doubtful: false }
    }
}

/// Gives a written database its name; says what of its records a reader takes for damage, if there is any.
fn appear(prepared: Prepared, path: &Path) -> Result<Appeared, Failure> {
    if let Some(given) = prepared.given() {
        let path = printable(path.as_os_str().as_encoded_bytes());
        say(&format!("{path}: {given}; so the record was given, and so it was written"));
    }
    let doubtful = prepared.given().is_some();
    Ok(Appeared { written: prepared.appear()?, doubtful })
}

/// Says that a file has no bytes, and what Cyrus makes of it.
fn say_empty(source: &Source) {
    say(&format!("{}: {}", source.name(), EMPTY));
}

/// What a file of zero bytes is.
const EMPTY: &str =
    "zero bytes, which Cyrus takes for a new, empty database: if there were mailboxes in it, look for a backup";

/// Opens a source to be read as of the transaction that the options name.
fn open_at(path: &std::path::Path, common: &Common, past: Past) -> Result<Source, Failure> {
    Source::open(path, &Options { at: past.at, ..common.options() })
}

/// Opens a source as the common options say.
fn open(path: &std::path::Path, common: &Common) -> Result<Source, Failure> {
    Source::open(path, &common.options())
}
