//! `coroner apply` and `coroner undo`.

use std::path::{Path, PathBuf};

use coroner::failure::Failure;
use coroner::ops::reading::Reading;
use coroner::ops::repair::admit;
use coroner::plan::{Plan, apply};
use coroner::render::json::Object;

use super::args::Common;
use super::bar::watched;
use super::out::Out;
use super::repair::{Place, carry_out, open_for, plan_members, print_plan};
use super::{Done, Outcome};

/// Carry out a plan that `coroner repair` saved
///
/// The plan names its file; FILE names another place where that file is now. A file that is not, byte for byte, the one
/// that the plan was made for is refused. Without -o or --in-place the plan is only held against the file and printed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner apply plan.json -o repaired.db
  coroner apply plan.json /srv/copy/mailboxes.db -o repaired.db
  coroner apply plan.json --in-place")]
pub struct Args {
    /// A plan
    plan: PathBuf,
    /// The file to apply it to, instead of the one that the plan names
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// Take back what was changed in place
///
/// UNDO is the plan that --in-place wrote beside the database. The records are then those from before; a backup and an
/// undo plan of this are written again, so that the undoing can be undone.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner undo mailboxes.db.coroner-undo-20261123T104512Z.json
  coroner undo mailboxes.db.coroner-undo-20261123T104512Z.json -o as-before.db    leave mailboxes.db as it is")]
pub struct UndoArgs {
    /// An undo plan
    undo: PathBuf,
    /// The file to apply it to, instead of the one that the plan names
    file: Option<PathBuf>,
    /// The file to write, instead of changing FILE itself
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Overwrite OUT if it is there
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    apply_plan("apply", &args.plan, args.file.as_deref(), &args.place, common, out)
}

pub fn undo(args: &UndoArgs, common: &Common, out: &mut Out) -> Done {
    let UndoArgs { output, force, .. } = args;
    let place = Place { output: output.clone(), in_place: output.is_none(), force: *force };
    if place.in_place && (common.no_lock || common.snapshot) {
        let what = "undo changes the file itself, which has to be locked for that";
        return Err(Failure::usage(what, "leave out --no-lock and --snapshot, or write another file with -o"));
    }
    apply_plan("undo", &args.undo, args.file.as_deref(), &place, common, out)
}

fn read(path: &Path) -> Result<Plan, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::file(path, error, "name a plan"))?;
    Plan::from_json(&text)
        .map_err(|error| Failure::file(path, error, "name a plan that `coroner repair --plan` or --in-place wrote"))
}

fn apply_plan(command: &str, path: &Path, file: Option<&Path>, place: &Place, common: &Common, out: &mut Out) -> Done {
    let plan = read(path)?;
    let source = open_for(place, file.unwrap_or(&plan.source.path), Some(plan.source.format), common)?;
    apply::check(&plan, &source)?;
    let Some(database) = source.database() else {
        return Err(Failure::file(source.path(), "has no bytes", "nothing was done"));
    };
    let reading = watched("verifying", |_| Reading::new(&source, &*database))?;
    admit(&source, &reading)?;
    let carried = carry_out(&plan, &source, &reading, place)?;
    if common.json {
        let object = Object::schema(command).bytes("file", source.path().as_os_str().as_encoded_bytes());
        let object = plan_members(object, &plan).with("carried_out", carried.is_done());
        out.json(&carried.members(object).done())?;
    } else {
        print_plan(&source.name(), &plan, out)?;
        carried.print(&plan, out)?;
    }
    Ok(Outcome::findings_if(!carried.is_done() && !plan.is_empty()))
}
