//! `coroner murder drill`.

use std::path::PathBuf;

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::record::Role;
use coroner::murder::drill::loopback::Loopback;
use coroner::murder::drill::memory::Memory;
use coroner::murder::drill::play::{Acted, Databases, Outcome as Became, Played, play};
use coroner::murder::drill::scenario::Scenario;
use coroner::murder::drill::theatre::House;
use coroner::murder::drill::{book, tell};
use coroner::murder::host::request::Manner;
use coroner::render::json::Object;
use serde_json::Value as Json;

use super::super::args::Common;
use super::super::out::Out;
use super::super::{Done, Outcome};
use super::lists::database;

/// Play through what happens when a part of a murder fails
///
/// A murder of a mupdate master, frontends and backends is played in memory, by a clock of its own: twenty seconds pass at once,
/// and nothing is asked of any real server. Each step of a scenario is shown with what came of it, and held against what is
/// expected. In the manner `manual` the hosts do what the manual's page on failures says, in the manner `cyrus-3.6` what 3.6.1
/// was seen to do. With lists of one's own, what a scenario that comes with coroner expects is not asked for: see what comes of it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner murder drill --list
  coroner murder drill
  coroner murder drill master-down/create
  coroner murder drill recover/hard-wrong-order --manner cyrus-3.6 --verbose
  coroner murder drill my-scenario.toml --master-db mup.db --backend-db be1=be1.db --frontend-db fe1.db")]
pub struct Args {
    /// Scenarios by their names, or files with some; all that come with coroner unless one is named
    scenario: Vec<String>,
    /// Only say which scenarios there are
    #[arg(long)]
    list: bool,
    /// Whose behaviour the hosts show; both, one beside the other, unless one is named
    #[arg(long, value_enum)]
    manner: Option<MannerName>,
    /// Where to play
    #[arg(long, value_enum, default_value = "memory")]
    transport: Transport,
    /// Show what hosts log, store and say to each other by MUPDATE too
    #[arg(long, short)]
    verbose: bool,
    /// Begin with a copy of this list on the master
    #[arg(long, value_name = "FILE")]
    master_db: Option<PathBuf>,
    /// Begin with a copy of this list on a backend, which is named as the scenario names it
    #[arg(long, value_name = "NAME=FILE")]
    backend_db: Vec<String>,
    /// Begin with copies of these lists on the frontends, in their order
    #[arg(long, value_name = "FILE")]
    frontend_db: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MannerName {
    /// What the manual says
    Manual,
    /// What Cyrus 3.6.1 does
    #[value(name = "cyrus-3.6")]
    Cyrus36,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Transport {
    /// In memory: a clock of its own, and twenty seconds pass at once
    Memory,
    /// On sockets of this machine, in real time; what needs broken networks or disks is left out
    Loopback,
}

impl MannerName {
    /// The manner.
    pub fn manner(self) -> Manner {
        match self {
            MannerName::Manual => Manner::Manual,
            MannerName::Cyrus36 => Manner::Cyrus36,
        }
    }
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let scenarios = scenarios(args)?;
    if args.list {
        return list(&scenarios, common.json, out);
    }
    let manners: Vec<Manner> = args.manner.map_or(Manner::ALL.to_vec(), |name| vec![name.manner()]);
    let (mut failed, mut checked, mut sound) = (0_usize, 0_usize, true);
    let mut drills = Vec::new();
    for scenario in &scenarios {
        let (databases, is_sound) = databases(args, scenario, common)?;
        sound &= is_sound;
        let mut played = Vec::new();
        for &manner in &manners {
            let mut house: Box<dyn House> = match args.transport {
                Transport::Memory => Box::new(Memory { verbose: args.verbose }),
                Transport::Loopback => Box::new(Loopback),
            };
            let one = play(&mut *house, scenario, manner, &databases);
            played.push(one.map_err(|cant| {
                Failure::usage(format!("{}: {cant}", scenario.name), "see `coroner murder drill --help`")
            })?);
        }
        failed += played.iter().filter(|played| !played.is_fine()).count();
        checked += played.iter().map(Played::checked).sum::<usize>();
        match common.json {
            true => drills.push(document(scenario, &played)),
            false => print(scenario, &played, args.verbose, out)?,
        }
    }
    if common.json {
        out.json(&Object::schema("murder-drill").with("drills", drills).with("failed", failed).done())?;
    } else {
        let what = match (failed, checked) {
            (0, 0) => "nothing was expected".to_owned(),
            (0, _) => "all as expected".to_owned(),
            (failed, _) => format!("{failed} not as expected"),
        };
        out.line(&format!("{} scenarios in {} manners: {what}", scenarios.len(), manners.len()))?;
    }
    Ok(Outcome::findings_if(failed > 0 || !sound))
}

/// The scenarios that are asked for. What those that come with coroner expect is expected of their own mailboxes alone.
fn scenarios(args: &Args) -> Result<Vec<Scenario>, Failure> {
    let names = &args.scenario;
    let own = args.master_db.is_some() || !args.backend_db.is_empty() || !args.frontend_db.is_empty();
    let wrong = |error: coroner::murder::drill::scenario::Wrong| Failure::usage(error, "see SCENARIO.md");
    let mut book = book::all().map_err(wrong)?;
    if own {
        book = book.into_iter().map(Scenario::expecting_nothing).collect();
    }
    if names.is_empty() {
        return Ok(book);
    }
    let mut scenarios = Vec::new();
    for name in names {
        let known: Vec<Scenario> = book
            .iter()
            .filter(|scenario| scenario.name == *name || scenario.name.starts_with(&format!("{name}/")))
            .cloned()
            .collect();
        if !known.is_empty() {
            scenarios.extend(known);
            continue;
        }
        let text = std::fs::read_to_string(name).map_err(|error| {
            Failure::usage(format!("{name}: no such scenario, and no file: {error}"), "`--list` says which there are")
        })?;
        scenarios.push(Scenario::parse(name, &text).map_err(|error| {
            Failure::usage(format!("{name}: {error}"), "see SCENARIO.md for what a scenario is made of")
        })?);
    }
    Ok(scenarios)
}

/// The user's own lists, by the hosts of the scenario, and whether nothing is wrong with them.
fn databases(args: &Args, scenario: &Scenario, common: &Common) -> Result<(Databases, bool), Failure> {
    let (mut databases, mut is_sound) = (Databases::new(), true);
    let hosts = |kind: &'static str| scenario.murder.hosts.iter().filter(move |name| name.starts_with(kind)).cloned();
    let mut add = |host: String, path: &std::path::Path| {
        let role = if host.starts_with("be") { None } else { Some(Role::Master) };
        let taken = database(path, role, common)?;
        is_sound &= taken.is_sound;
        databases.insert(host, taken.database);
        Ok::<_, Failure>(())
    };
    if let (Some(path), Some(host)) = (&args.master_db, hosts("mup").next()) {
        add(host, path)?;
    }
    for (host, path) in hosts("fe").zip(&args.frontend_db) {
        add(host, path)?;
    }
    for given in &args.backend_db {
        let Some((name, path)) = given.split_once('=') else {
            return Err(Failure::usage(format!("{given}: names no backend"), "name it: --backend-db NAME=FILE"));
        };
        let first = name.split('.').next().unwrap_or_default();
        let Some(host) = hosts("be").find(|host| host == first) else {
            let what = format!("{}: has no backend {name}", scenario.name);
            return Err(Failure::usage(what, "name one of the scenario's own"));
        };
        add(host, std::path::Path::new(path))?;
    }
    Ok((databases, is_sound))
}

fn list(scenarios: &[Scenario], json: bool, out: &mut Out) -> Done {
    for scenario in scenarios {
        if json {
            let object =
                Object::schema("murder-drill").with("name", &scenario.name[..]).with("title", &scenario.title[..]);
            let object = object.with_some("manual", scenario.manual.as_deref());
            out.json(&object.with_some("cyrus", scenario.cyrus.as_deref()).done())?;
        } else {
            out.line(&format!("{:<28} {}", scenario.name, scenario.title))?;
        }
    }
    Ok(Outcome::Clean)
}

fn print(scenario: &Scenario, played: &[Played], verbose: bool, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("{}: {}", scenario.name, scenario.title))?;
    for line in [("the manual", &scenario.manual), ("Cyrus 3.6.1", &scenario.cyrus)] {
        if let (who, Some(text)) = line {
            out.line(&format!("  {who}: {text}"))?;
        }
    }
    // What both do alike is told once.
    let alike = match played {
        [one, other] => {
            let steps = |played: &Played| -> Vec<(String, Vec<String>)> {
                played.steps.iter().map(|step| (step.text.clone(), step.said.clone())).collect()
            };
            steps(one) == steps(other) && one.is_fine() && other.is_fine() && !verbose
        }
        _ => false,
    };
    for one in played.iter().take(if alike { 1 } else { played.len() }) {
        let manner = if alike { "in both manners".to_owned() } else { format!("in the manner {}", one.manner.name()) };
        out.line(&format!("  {manner}:"))?;
        for step in &one.steps {
            print_step(step, verbose, out)?;
        }
        let verdict = match (one.checked(), one.is_fine()) {
            (0, _) => format!("nothing was expected of its {} steps", one.steps.len()),
            (checked, true) => format!("{checked} of {} steps checked: as expected", one.steps.len()),
            (checked, false) => format!("{checked} of {} steps checked: NOT AS EXPECTED", one.steps.len()),
        };
        out.line(&format!("    {verdict}"))?;
    }
    out.line("")
}

fn print_step(step: &Acted, verbose: bool, out: &mut Out) -> Result<(), Failure> {
    if let Some(note) = &step.note {
        out.line(&format!("            # {note}"))?;
    }
    out.line(&format!("    {} {}", tell::time(step.at), step.text))?;
    if verbose {
        for line in &step.told {
            out.line(&format!("              {line}"))?;
        }
    }
    for said in &step.said {
        out.line(&format!("            {said}"))?;
    }
    match &step.outcome {
        Became::Fine => Ok(()),
        Became::NotPlayed(why) => out.line(&format!("            not played: {why}")),
        Became::Unexpected(expected) => {
            out.line(&format!("            NOT AS EXPECTED, which is: {}", expected.join(" | ")))
        }
    }
}

fn document(scenario: &Scenario, played: &[Played]) -> Json {
    let step = |step: &Acted| {
        let object = Object::new()
            .with("at_seconds", step.at.as_secs_f64())
            .with("do", &step.text[..])
            .with_some("note", step.note.as_deref())
            .with("said", step.said.clone())
            .with("told", step.told.clone());
        match &step.outcome {
            Became::Fine => object.with("outcome", if step.expected { "as expected" } else { "done" }),
            Became::Unexpected(expected) => object.with("outcome", "unexpected").with("expected", expected.clone()),
            Became::NotPlayed(why) => object.with("outcome", "not played").with("why", &why[..]),
        }
        .done()
    };
    let one = |played: &Played| {
        Object::new()
            .with("manner", played.manner.name())
            .with("took_seconds", played.took.as_secs_f64())
            .with("as_expected", played.is_fine())
            .with("steps", played.steps.iter().map(step).collect::<Vec<_>>())
            .done()
    };
    Object::new()
        .with("name", &scenario.name[..])
        .with("title", &scenario.title[..])
        .with_some("manual", scenario.manual.as_deref())
        .with_some("cyrus", scenario.cyrus.as_deref())
        .with("played", played.iter().map(one).collect::<Vec<_>>())
        .done()
}
