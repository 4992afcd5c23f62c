//! `coroner repair`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use clap::builder::PossibleValue;
use coroner::failure::Failure;
use coroner::formats::container::Format;
use coroner::formats::record::Role;
use coroner::input::{Locking, Options, Source};
use coroner::ops::reading::Reading;
use coroner::ops::repair::rules::{Rule, Sureness, Wanted};
use coroner::ops::repair::{self, Diagnosis};
use coroner::plan::database::Target;
use coroner::plan::in_place::{self, Swapped};
use coroner::plan::safe_file::SafeFile;
use coroner::plan::{Change, Plan, apply};
use coroner::render::json::{self, Object};
use coroner::render::text::{count, finding_line, printable, words};
use serde_json::Value as Json;

use super::args::Common;
use super::bar::watched;
use super::out::Out;
use super::{Done, Outcome, open, say_empty};

/// Find what is wrong with a database's records, and mend it by a plan
///
/// Without -o or --in-place only the plan is printed; --plan saves it, and `coroner apply` carries it out. FILE itself is
/// changed only with --in-place: under the exclusive lock that Cyrus' writers take, with a backup and an undo plan beside
/// it. Rules that guess act only when they are named. Exit status 1 says that changes are left to be made.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner repair mailboxes.db                            what is wrong, and what would be changed
  coroner repair master.db --role master -o repaired.db  remote flags, for example
  coroner repair mailboxes.db --plan plan.json           a plan to read, and then:
  coroner apply plan.json -o repaired.db
  coroner repair frontend.db --against master.db -o repaired.db
  coroner repair mailboxes.db --also moving-stuck,uniqueid-twice --in-place
  coroner undo mailboxes.db.coroner-undo-20261123T104512Z.json")]
pub struct Args {
    /// A database whose file is sound (`coroner recover` makes one of a damaged file)
    file: PathBuf,
    #[command(flatten)]
    place: Place,
    /// Save the plan here
    #[arg(long, value_name = "P")]
    plan: Option<PathBuf>,
    /// Let only these rules act
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    only: Vec<RuleName>,
    /// Let these rules act too, of those that act only when named (see --only)
    #[arg(long, value_name = "RULE", value_delimiter = ',', conflicts_with = "only", hide_possible_values = true)]
    also: Vec<RuleName>,
    /// The host's own name as a server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// The host's role, instead of the one that fits the records
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleName>,
    /// The master's list, for a frontend's: what only one of them has, and where they differ
    #[arg(long, value_name = "MASTER")]
    against: Option<PathBuf>,
}

/// Where a changed database goes.
#[derive(clap::Args, Debug)]
pub struct Place {
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
    /// Change FILE itself: lock it as Cyrus does, keep a backup and an undo plan beside it
    #[arg(long, conflicts_with_all = ["output", "no_lock", "snapshot"])]
    pub in_place: bool,
    /// Overwrite OUT and P if they are there
    #[arg(long)]
    pub force: bool,
}

/// A rule by name.
#[derive(Clone, Copy, Debug)]
struct RuleName(Rule);

impl ValueEnum for RuleName {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: std::sync::LazyLock<Vec<RuleName>> =
            std::sync::LazyLock::new(|| Rule::ALL.iter().map(|&rule| RuleName(rule)).collect());
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let RuleName(rule) = *self;
        let guess = if rule.sureness() == Sureness::Certain { "" } else { " (only when named)" };
        Some(PossibleValue::new(rule.as_str()).help(format!("{}{guess}", rule.summary())))
    }
}

/// A role by name.
#[derive(Clone, Copy, Debug)]
struct RoleName(Role);

impl ValueEnum for RoleName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [RoleName; 5] = [
            RoleName(Role::Standalone),
            RoleName(Role::Backend),
            RoleName(Role::Frontend),
            RoleName(Role::Master),
            RoleName(Role::Unified),
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

/// Seconds since 1970; `SOURCE_DATE_EPOCH` sets them.
pub fn now() -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Opens the file that a plan is about, as `format` unless the user says otherwise: for writing if it is to be changed in
/// place.
pub fn open_for(place: &Place, path: &Path, format: Option<Format>, common: &Common) -> Result<Source, Failure> {
    let mut options: Options = common.options();
    options.format = options.format.or(format);
    if place.in_place {
        options.locking = Locking::Exclusive(common.lock_timeout);
    }
    Source::open(path, &options)
}

/// What became of a plan.
pub enum Carried {
    /// Nothing was asked for.
    No,
    /// A file was written.
    Copy(PathBuf, u64),
    /// The file itself was changed.
    InPlace(Swapped),
    /// There was nothing to change in the file.
    Nothing,
}

/// Carries out a plan where the user wants it.
pub fn carry_out(plan: &Plan, source: &Source, reading: &Reading<'_, '_>, place: &Place) -> Result<Carried, Failure> {
    if place.in_place {
        if plan.is_empty() {
            return Ok(Carried::Nothing);
        }
        return watched("writing", |_| in_place::swap(plan, source, reading, now())).map(Carried::InPlace);
    }
    let Some(path) = &place.output else { return apply::fits(plan, source, reading).map(|()| Carried::No) };
    if path.exists() && source.is_at(path)? {
        return Err(Failure::file(path, "is the file to be repaired", "change the file itself with --in-place"));
    }
    let like = source.metadata();
    let target = Target { path, overwrite: place.force, like: like.as_ref() };
    let written = watched("writing", |_| apply::copy(plan, source, reading, target))?;
    source.still()?;
    Ok(Carried::Copy(path.clone(), written.len))
}

impl Carried {
    /// Whether the plan was carried out.
    pub fn is_done(&self) -> bool {
        !matches!(self, Carried::No)
    }

    /// What it says for people.
    pub fn print(&self, plan: &Plan, out: &mut Out) -> Result<(), Failure> {
        let name = |path: &Path| printable(path.as_os_str().as_encoded_bytes());
        match self {
            Carried::No => Ok(()),
            Carried::Nothing => out.line("the file was left as it is"),
            Carried::Copy(path, len) => {
                let (format, len) = (plan.source.format, count(*len, "byte"));
                out.line(&format!("wrote {}: {format}, {len}, read back and found right", name(path)))
            }
            Carried::InPlace(swapped) => {
                let len = count(swapped.written.len, "byte");
                out.line(&format!("changed in place: {}, {len}, read back and found right", plan.source.format))?;
                out.line(&format!("backup: {}", name(&swapped.backup)))?;
                out.line(&format!("to take it back: coroner undo {}", name(&swapped.undo)))
            }
        }
    }

    /// What it says for programs.
    pub fn members(&self, object: Object) -> Object {
        match self {
            Carried::No | Carried::Nothing => object,
            Carried::Copy(path, len) => {
                object.bytes("output", path.as_os_str().as_encoded_bytes()).with("written", *len)
            }
            Carried::InPlace(swapped) => object
                .with("written", swapped.written.len)
                .bytes("backup", swapped.backup.as_os_str().as_encoded_bytes())
                .bytes("undo", swapped.undo.as_os_str().as_encoded_bytes()),
        }
    }
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let source = open_for(&args.place, &args.file, None, common)?;
    let master = args.against.as_deref().map(|path| open(path, common)).transpose()?;
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(Outcome::Findings);
    };
    let opened = master.as_ref().map(|master| {
        let database = master.database();
        let empty = || Failure::file(master.path(), "has no bytes", "name the master's list");
        database.map(|database| (master, database)).ok_or_else(empty)
    });
    let opened = opened.transpose()?;
    let options = repair::Options {
        wanted: Wanted { only: rules(&args.only), also: rules(&args.also) },
        role: args.role.map(|name| name.0),
        server: args.server.as_ref().map(|name| name.clone().into_bytes()),
        now: now(),
    };
    let against = opened.as_ref().map(|(master, database)| (*master, &**database));
    let reading = watched("verifying", |_| Reading::new(&source, &*database))?;
    let diagnosis = watched("looking", |_| repair::diagnose(&source, &*database, &reading, against, &options))?;
    if let Some(path) = &args.plan {
        save(path, args.place.force, &diagnosis.plan)?;
    }
    let carried = carry_out(&diagnosis.plan, &source, &reading, &args.place)?;
    if !args.place.in_place {
        source.still()?;
    }
    if common.json {
        out.json(&document(args, &diagnosis, &carried))?;
    } else {
        print(&source, &diagnosis, &carried, out)?;
    }
    let done = carried.is_done() || diagnosis.plan.is_empty();
    Ok(Outcome::findings_if(!done || !diagnosis.is_cured()))
}

fn rules(names: &[RuleName]) -> Vec<Rule> {
    names.iter().map(|name| name.0).collect()
}

fn save(path: &Path, force: bool, plan: &Plan) -> Result<(), Failure> {
    let mut file = SafeFile::create(path, force)?;
    file.write_all(plan.to_json().as_bytes()).map_err(|error| Failure::file(path, error, "free some space"))?;
    Ok(file.finish(|_| Ok(()))?)
}

/// How many changes the screen names one by one.
const NAMED: usize = 20;

/// Prints a plan's changes for people.
pub fn print_plan(name: &str, plan: &Plan, out: &mut Out) -> Result<(), Failure> {
    if plan.is_empty() {
        return out.line(&format!("{name}: nothing to change"));
    }
    out.line(&format!("{name}: {}", count(plan.changes.len() as u64, "change")))?;
    for rule in Rule::ALL {
        let n = plan.changes.iter().filter(|change| change.rule == rule.as_str()).count();
        if n > 0 {
            out.line(&format!("{n:>8} {}: {}", rule.as_str(), rule.summary()))?;
        }
    }
    if plan.source.order != Some(plan.order) {
        let stand = plan.source.order.map_or("no", |order| order.as_str());
        out.line(&format!("  key-order: the records stand in {stand} order, and are written in {}", plan.order))?;
    }
    for change in plan.changes.iter().take(NAMED) {
        print_change(change, out)?;
    }
    match plan.changes.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => out.line(&format!("  … and {more} more (--plan saves them all)")),
    }
}

fn print_change(change: &Change, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("  {} {}: {}", printable(&change.key), words(&change.rule), words(&change.evidence)))?;
    for (sign, value) in [('-', &change.from), ('+', &change.to)] {
        if let Some(value) = value {
            out.line(format!("    {sign} {}", printable(value)).trim_end())?;
        }
    }
    Ok(())
}

fn print(source: &Source, diagnosis: &Diagnosis, carried: &Carried, out: &mut Out) -> Result<(), Failure> {
    let name = source.name();
    print_plan(&name, &diagnosis.plan, out)?;
    let roles: Vec<&str> = diagnosis.role.iter().map(|role| role.as_str()).collect();
    if !diagnosis.plan.is_empty() && !roles.is_empty() {
        out.line(&format!("  taken for the list of a {}", roles.join(" or ")))?;
    }
    for left in diagnosis.left.iter().take(NAMED) {
        let rule = left.rule.as_str();
        out.line(&format!("  left: {}: {} (--also {rule})", printable(&left.key), words(&left.evidence)))?;
    }
    if let Some(more) = diagnosis.left.len().checked_sub(NAMED).filter(|&more| more > 0) {
        out.line(&format!("  … and {more} more left"))?;
    }
    for finding in diagnosis.unmended.iter().take(NAMED) {
        out.line(&format!("  still wrong: {}: {}", finding_line(finding), finding.rule.advice))?;
    }
    if let Some(more) = diagnosis.unmended.len().checked_sub(NAMED).filter(|&more| more > 0) {
        out.line(&format!("  … and {more} more still wrong"))?;
    }
    for (rule, n) in &diagnosis.offered {
        out.line(&format!("  --also {} would change {}", rule.as_str(), count(*n, "record")))?;
    }
    if diagnosis.beyond > 0 {
        let n = count(diagnosis.beyond, "finding");
        out.line(&format!("  {n} that no rule mends: `coroner verify {name}` lists them"))?;
    }
    carried.print(&diagnosis.plan, out)
}

fn document(args: &Args, diagnosis: &Diagnosis, carried: &Carried) -> Json {
    let left: Vec<Json> = diagnosis
        .left
        .iter()
        .map(|left| {
            let object = Object::new().with("rule", left.rule.as_str()).bytes("key", &left.key);
            object.with("evidence", left.evidence.as_str()).done()
        })
        .collect();
    let unmended: Vec<Json> = diagnosis.unmended.iter().map(json::finding).collect();
    let roles: Vec<&str> = diagnosis.role.iter().map(|role| role.as_str()).collect();
    let offered = json::counts(diagnosis.offered.iter().map(|(rule, n)| (rule.as_str(), *n)));
    let object = Object::schema("repair").bytes("file", args.file.as_os_str().as_encoded_bytes());
    let object = plan_members(object, &diagnosis.plan)
        .with("role", roles)
        .with("left", left)
        .with("still_wrong", unmended)
        .with("offered", offered)
        .with("beyond", diagnosis.beyond)
        .with("carried_out", carried.is_done());
    carried.members(object).done()
}

/// A plan's members of a document.
pub fn plan_members(object: Object, plan: &Plan) -> Object {
    let changes: Vec<Json> = plan.changes.iter().map(Change::object).collect();
    object.with("order", plan.order.as_str()).with("changes", changes)
}
