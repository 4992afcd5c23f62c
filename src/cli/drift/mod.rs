//! `coroner drift`.

mod html;
mod report;

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use coroner::failure::Failure;
use coroner::ops::drift::row::Row;
use coroner::ops::drift::{Drift, Source};
use coroner::plan::safe_file::SafeFile;
use coroner::render::json;
use coroner::render::text::printable;

use super::args::{Common, named_file};
use super::bar::watched;
use super::lists::{self, Opened};
use super::out::Out;
use super::{Done, Outcome};
use report::{Kept, Told};

/// Show where the lists of a murder's hosts disagree, and what mends it
///
/// Each disagreement has its class, what every list says, what `ctl_mboxlist -m` on a backend would do about it — also where
/// it would delete a mailbox with its messages — and the MUPDATE line or the command that mends it.
/// Exit status 1 says that there are disagreements, or that a list is damaged.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
--json prints a line for each disagreement (\"kind\": \"row\"), and a last one (\"kind\": \"summary\") with the counts, the
matrix of who disagrees with whom, and what pushes would do.

MUPDATE lines go to the master as they stand, each with a tag in front of it: `A1 ACTIVATE \"user.x\" …`, in a session of
mupdatetest or of `openssl s_client`. TABs are part of an ACL.

Examples:
  coroner drift --master master.db --backend be1.example.com=be1.db --backend be2.example.com=be2.db
  coroner drift --master master.db --frontend fe1=fe1.db --backend be1.example.com=be1.db --all
  coroner drift --master master.db --frontend fe1=fe1.db --backend be1.example.com=be1.db --html drift.html")]
pub struct Args {
    /// The master's list
    #[arg(long, value_name = "M")]
    master: PathBuf,
    /// A frontend's list; NAME=F names it
    #[arg(long, value_name = "F|NAME=F")]
    frontend: Vec<OsString>,
    /// A backend's name, as the murder knows it, and its list
    #[arg(long, value_name = "NAME=B")]
    backend: Vec<OsString>,
    /// Print every disagreement, not only the first of each class
    #[arg(long)]
    all: bool,
    /// Save one page for a browser here: the matrix as a picture, and the disagreements to be filtered
    #[arg(long, value_name = "PAGE")]
    html: Option<PathBuf>,
    /// Overwrite PAGE if it is there
    #[arg(long)]
    force: bool,
}

/// What was found so far.
struct Progress {
    kept: Kept,
    /// Lines of JSON, put aside until it is known that no list has to be read again.
    lines: Option<BufWriter<File>>,
}

impl Progress {
    fn lines(&mut self) -> Result<&mut BufWriter<File>, Failure> {
        let lines = match self.lines.take() {
            Some(lines) => lines,
            None => BufWriter::new(tempfile::tempfile().map_err(Failure::output)?),
        };
        Ok(self.lines.insert(lines))
    }
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    if args.frontend.is_empty() && args.backend.is_empty() {
        return Err(Failure::usage("nothing to compare the master with", "name a --frontend or a --backend"));
    }
    let opened = open_all(args, common)?;
    let databases = lists::databases(&opened)?;
    let (readings, damaged) = lists::readings(&opened, &databases)?;
    let origins = lists::origins(&readings);
    let sources = opened.iter().zip(readings.iter().zip(origins)).map(|(list, (reading, origin))| {
        let len = list.source.len();
        Source { name: list.name.clone().unwrap_or_default(), reading, origin, len }
    });
    let sources: Vec<Source<'_, '_, '_>> = sources.collect();
    let mut drift = Drift::new(&sources, args.backend.len());
    let names = drift.hosts().names.clone();
    let room = if args.html.is_some() { html::ROWS } else { report::NAMED };
    let fresh = || Progress { kept: Kept::new(room), lines: None };
    let progress = RefCell::new(fresh());
    let mut tell = |row: Row| -> Result<(), Failure> {
        let mut progress = progress.borrow_mut();
        if common.json {
            let line = json::line(&row.document(&names)) + "\n";
            progress.lines()?.write_all(line.as_bytes()).map_err(Failure::output)?;
        }
        progress.kept.push(row, args.all && !common.json);
        Ok(())
    };
    let begin = || *progress.borrow_mut() = fresh();
    let sum = watched("comparing", |watch| drift.run(watch, begin, &mut tell))?;
    let Progress { kept, lines } = progress.into_inner();
    opened.iter().try_for_each(|list| list.source.still())?;
    let told = Told { hosts: drift.hosts(), sum: &sum, kept: &kept };
    if let Some(path) = &args.html {
        let page = html::page(&told);
        let mut file = SafeFile::create(path, args.force)?;
        file.write_all(page.as_bytes()).map_err(|error| Failure::file(path, error, "free some space"))?;
        file.finish(|_| Ok(()))?;
    }
    match common.json {
        true => report::lines(lines, &told, out)?,
        false => told.print(args.all, out)?,
    }
    Ok(Outcome::findings_if(sum.rows() > 0 || damaged))
}

/// Opens the lists: the backends', the master's, the frontends'.
fn open_all(args: &Args, common: &Common) -> Result<Vec<Opened>, Failure> {
    let mut opened: Vec<Opened> = Vec::new();
    for argument in &args.backend {
        let (Some(name), path) = named_file(argument) else {
            let what = format!("--backend {}: no name in front of it", printable(argument.as_encoded_bytes()));
            return Err(Failure::usage(what, "give backends as NAME=FILE, by the names that the murder knows them by"));
        };
        opened.push(Opened::new(Some(name), &path, common)?);
    }
    opened.push(Opened::new(Some(b"master".to_vec()), &args.master, common)?);
    for (argument, number) in args.frontend.iter().zip(1..) {
        let (name, path) = named_file(argument);
        let name = name.unwrap_or_else(|| format!("frontend {number}").into_bytes());
        opened.push(Opened::new(Some(name), &path, common)?);
    }
    let names = opened.iter().filter_map(|list| list.name.as_ref());
    let twice =
        names.clone().enumerate().find(|(number, name)| names.clone().take(*number).any(|other| other == *name));
    match twice {
        Some((_, name)) => {
            let what = format!("two lists of one host, {:?}", printable(name));
            Err(Failure::usage(what, "name each host once"))
        }
        None => Ok(opened),
    }
}
