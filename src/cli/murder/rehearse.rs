//! `coroner murder rehearse`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::record::Role;
use coroner::murder::drill::rehearse::{End, Plan, Recovery, Rehearsed, Survivors, rehearse};
use coroner::murder::host::request::Manner;
use coroner::render::json::Object;
use coroner::render::text::{count, printable};
use serde_json::Value as Json;

use super::super::args::{Common, named_file};
use super::super::out::Out;
use super::super::{Done, Outcome};
use super::drill::MannerName;
use super::lists::database;

/// Rehearse the recovery of a master with copies of one's own lists, before anything real is touched
///
/// The lists that survived are copied into a murder in memory, the recovery is played there, every backend pushes its list, and
/// what each host would end with is said: above all which mailboxes a push would delete on a backend, with their messages. In the
/// manner `manual` it is done with coroner, in the manner `cyrus-3.6` with Cyrus' own tools as 3.6.1 was seen to do it. Exits 1
/// if anything would be lost, if the lists would not agree in the end, or if one of them is damaged.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner murder rehearse --recovery hard --backend-db be1.example.com=be1.db --backend-db be2.example.com=be2.db
  coroner murder rehearse --recovery frontend-copy --frontend-db fe1.example.com=fe1.db --backend-db be1.example.com=be1.db
  coroner murder rehearse --recovery dump --dump master.json --backend-db be1.example.com=be1.db --manner cyrus-3.6")]
pub struct Args {
    /// How the master's list is to come back
    #[arg(long, value_enum)]
    recovery: RecoveryName,
    /// A backend's name, as in its servername, and its list
    #[arg(long, value_name = "NAME=FILE", required = true)]
    backend_db: Vec<OsString>,
    /// A frontend's name and its list
    #[arg(long, value_name = "NAME=FILE")]
    frontend_db: Vec<OsString>,
    /// What is left of the master's list
    #[arg(long, value_name = "FILE")]
    master_db: Option<PathBuf>,
    /// The dump to load
    #[arg(long, value_name = "FILE", required_if_eq("recovery", "dump"))]
    dump: Option<PathBuf>,
    /// Leave the frontends running meanwhile, which the manual warns of
    #[arg(long)]
    frontends_run: bool,
    /// With whose tools; both unless one is named
    #[arg(long, value_enum)]
    manner: Option<MannerName>,
    /// Name every mailbox, not only the first ten of each kind
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RecoveryName {
    /// A dump of ctl_mboxlist -d is loaded
    Dump,
    /// The first frontend's list is copied
    FrontendCopy,
    /// All lists but the backends' are deleted
    Hard,
    /// The master's own list is used as it is
    None,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let (survivors, mut is_sound) = survivors(args, common)?;
    let recovery = match args.recovery {
        RecoveryName::Hard => Recovery::Hard,
        RecoveryName::FrontendCopy => Recovery::FrontendCopy,
        RecoveryName::None => Recovery::None,
        RecoveryName::Dump => {
            let path = args.dump.clone().unwrap_or_default();
            let taken = database(&path, Some(Role::Master), common)?;
            is_sound &= taken.is_sound;
            Recovery::Dump(taken.database)
        }
    };
    let manners: Vec<Manner> = args.manner.map_or(Manner::ALL.to_vec(), |name| vec![name.manner()]);
    let mut lossy = false;
    let mut documents = Vec::new();
    for manner in manners {
        let plan = Plan { recovery: recovery.clone(), manner, frontends_run: args.frontends_run };
        let rehearsed = rehearse(&survivors, &plan)
            .map_err(|cant| Failure::usage(cant, "see `coroner murder rehearse --help`; nothing real was touched"))?;
        lossy |= rehearsed.wiped().next().is_some() || !rehearsed.differences.is_empty();
        match common.json {
            true => documents.push(document(manner, &rehearsed)),
            false => print(manner, &rehearsed, args.all, out)?,
        }
    }
    if common.json {
        out.json(&Object::schema("murder-rehearse").with("rehearsals", documents).done())?;
    }
    Ok(Outcome::findings_if(lossy || !is_sound))
}

/// What survived, and whether nothing is wrong with any of it.
fn survivors(args: &Args, common: &Common) -> Result<(Survivors, bool), Failure> {
    let mut is_sound = true;
    let mut take = |path: &Path, role: Option<Role>| {
        let taken = database(path, role, common)?;
        is_sound &= taken.is_sound;
        Ok::<_, Failure>(taken.database)
    };
    let mut named = |given: &OsStr, role: Option<Role>| {
        let (name, path) = named_file(given);
        let Some(name) = name.filter(|name| !name.is_empty() && !name.contains(&b'!')) else {
            let what = format!("{}: names no host", given.to_string_lossy());
            return Err(Failure::usage(what, "name it: NAME=FILE"));
        };
        Ok((printable(&name), take(&path, role)?))
    };
    let mut survivors = Survivors::default();
    for given in &args.backend_db {
        survivors.backends.push(named(given, None)?);
    }
    for given in &args.frontend_db {
        survivors.frontends.push(named(given, Some(Role::Frontend))?);
    }
    if let Some(path) = &args.master_db {
        survivors.master = Some(take(path, Some(Role::Master))?);
    }
    Ok((survivors, is_sound))
}

/// So many names of each kind are told.
const FEW: usize = 10;

fn print(manner: Manner, rehearsed: &Rehearsed, all: bool, out: &mut Out) -> Result<(), Failure> {
    let tools = match manner {
        Manner::Manual => "with coroner",
        Manner::Cyrus36 => "with the tools of Cyrus 3.6.1",
    };
    out.line(&format!("{tools}:"))?;
    for (number, step) in (1..).zip(&rehearsed.steps) {
        out.line(&format!("  {number:>3}  {step}"))?;
    }
    for end in &rehearsed.ends {
        let End { host, before, after, .. } = end;
        let what = if end.role == host { host.clone() } else { format!("{} {host}", end.role) };
        out.line(&format!("  {what}: {before} before, {after} in the end"))?;
        let lost = if end.role == "backend" { "DELETED with its messages" } else { "no longer listed" };
        names(lost, &end.lost, all, out)?;
        if end.before > 0 {
            names("listed anew", &end.new, all, out)?;
        }
        let warned: Vec<&String> = end.push.iter().filter(|line| line.starts_with("Remove Local Mailbox")).collect();
        if !warned.is_empty() && end.lost.is_empty() {
            let what = count(warned.len() as u64, "mailbox");
            out.line(&format!("      {what} would be deleted by ctl_mboxlist -m, and were left alone"))?;
        }
    }
    match &rehearsed.differences[..] {
        [] => out.line("  all lists agree in the end")?,
        differences => {
            out.line(&format!("  {} in the end:", count(differences.len() as u64, "disagreement")))?;
            let shown = if all { differences.len() } else { FEW };
            for line in differences.iter().take(shown) {
                out.line(&format!("      {line}"))?;
            }
            if differences.len() > shown {
                out.line(&format!("      and {} more: --all names them", differences.len() - shown))?;
            }
        }
    }
    out.line("")
}

fn names(what: &str, names: &[Vec<u8>], all: bool, out: &mut Out) -> Result<(), Failure> {
    let shown = if all { names.len() } else { FEW };
    for name in names.iter().take(shown) {
        out.line(&format!("      {what}: {}", printable(name)))?;
    }
    if names.len() > shown {
        out.line(&format!("      {what}: and {} more: --all names them", names.len() - shown))?;
    }
    Ok(())
}

fn document(manner: Manner, rehearsed: &Rehearsed) -> Json {
    let names = |names: &[Vec<u8>]| -> Vec<Json> {
        names.iter().map(|name| Object::new().bytes("name", name).done()).collect()
    };
    let end = |end: &End| {
        Object::new()
            .with("host", &end.host[..])
            .with("role", end.role)
            .with("before", end.before)
            .with("after", end.after)
            .with("lost", names(&end.lost))
            .with("new", names(&end.new))
            .with("push", end.push.clone())
            .done()
    };
    Object::new()
        .with("manner", manner.name())
        .with("steps", rehearsed.steps.clone())
        .with("hosts", rehearsed.ends.iter().map(end).collect::<Vec<_>>())
        .with("differences", rehearsed.differences.clone())
        .done()
}
