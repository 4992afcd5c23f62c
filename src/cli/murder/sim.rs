//! `coroner murder sim`.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::builder::PossibleValuesParser;
use coroner::failure::Failure;
use coroner::murder::defect::Defect;
use coroner::murder::sim::check::Violation;
use coroner::murder::sim::mutants::{Mutant, hunt};
use coroner::murder::sim::play::play;
use coroner::murder::sim::script::Script;
use coroner::murder::sim::{self, STEPS, Summary, draw, shortest, text};
use coroner::render::json::Object;
use serde_json::{Value as Json, json};

use super::super::args::Common;
use super::super::bar::watched;
use super::super::out::Out;
use super::super::{Done, Outcome};

/// Simulate murders under random load and faults, and see whether anything is lost
///
/// Each seed is a murder of its own: a master, frontends, backends, some mailboxes, a day of orders that meet on few names,
/// and what goes wrong meanwhile: connections cut, stalled, half open, hosts killed in the middle of a change, disks full, clocks
/// put back, old copies of databases. The same seed goes the same way again. After everything that happens it is looked at what
/// must hold, and in the end, when all is healed and each backend was synced twice, all lists must agree. What fails is printed
/// as a short script, which `--script` plays again. Nothing real is touched.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit status: 0 everything held; 1 something did not; 2 not done.

Examples:
  coroner murder sim --seeds 1000
  coroner murder sim --seed 4711 --seeds 1 --steps 200
  coroner murder sim --defect keep-reservation
  coroner murder sim --script failed.sim")]
pub struct Args {
    /// The first seed; without it one that was not used before
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// How many seeds are played, one after the other
    #[arg(long, value_name = "N", default_value = "1000")]
    seeds: u64,
    /// Orders and faults of each
    #[arg(long, value_name = "N", default_value_t = STEPS)]
    steps: usize,
    /// Have all hosts make this mistake, to see whether it is noticed
    #[arg(long, value_name = "NAME", value_parser = names(), hide_possible_values = true)]
    defect: Option<String>,
    /// Try all mistakes, each until it is noticed, and print after how many seeds that was
    #[arg(long, conflicts_with_all = ["defect", "script"])]
    defects: bool,
    /// Play this script rather than seeds
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "seeds", "steps"])]
    script: Option<PathBuf>,
}

fn names() -> PossibleValuesParser {
    Defect::ALL.iter().map(|defect| defect.name()).collect::<Vec<_>>().into()
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let defect = Defect::ALL.iter().copied().find(|defect| Some(defect.name()) == args.defect.as_deref());
    if let Some(path) = &args.script {
        let read = std::fs::read_to_string(path);
        let content = read.map_err(|error| Failure::file(path, error, "name a script that sim printed"))?;
        let script = text::parse(&content)
            .map_err(|error| Failure::file(path, error, "see a script that sim printed for how they are written"))?;
        return again(&script, defect, common.json, out);
    }
    let first = args.seed.unwrap_or_else(unused);
    if !common.json {
        out.line(&format!("seed {first}"))?;
        out.flush()?;
    }
    if args.defects { all(args, first, common.json, out) } else { some(args, first, defect, common.json, out) }
}

/// A seed that differs each time.
fn unused() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs().wrapping_shl(20) & 0xFFFF_FFFF_FFFF
}

/// Seeds that are played before it is looked at whether one failed.
const BATCH: u64 = 500;

fn some(args: &Args, first: u64, defect: Option<Defect>, json: bool, out: &mut Out) -> Done {
    let began = Instant::now();
    let end = first.saturating_add(args.seeds);
    let summary = watched("simulating", |watch| {
        watch.expect(args.seeds);
        let (mut all, mut at) = (Summary::default(), first);
        while at < end && all.failed.is_none() {
            let next = at.saturating_add(BATCH).min(end);
            all = all.and(sim::seeds(at..next, args.steps, defect, &|| watch.step()));
            at = next;
        }
        all
    });
    let took = began.elapsed();
    let failed = summary.failed.as_ref().map(|(seed, violation)| {
        let script = draw::script(*seed, args.steps);
        let (short, now) = shortest(&script, violation, defect);
        (*seed, violation.clone(), short, now)
    });
    if json {
        out.json(&report(first, &summary, took, failed.as_ref()))?;
    } else {
        if let Some((seed, violation, short, now)) = &failed {
            tell(*seed, violation, short, now, out)?;
        }
        summarize(&summary, took, out)?;
    }
    Ok(Outcome::findings_if(failed.is_some()))
}

type Failed = (u64, Violation, Script, Violation);

fn tell(seed: u64, violation: &Violation, short: &Script, now: &Violation, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("seed {seed} failed: {violation}"))?;
    out.line(&format!("# in {} steps: {now}", short.steps.len()))?;
    out.text(&short.to_string())?;
    out.line("# kept in a file, this is played again with: coroner murder sim --script FILE")
}

fn per_second(number: f64, took: Duration) -> f64 {
    number / took.as_secs_f64().max(0.001)
}

fn summarize(summary: &Summary, took: Duration, out: &mut Out) -> Result<(), Failure> {
    let Summary { seeds, steps, events, counts, .. } = summary;
    let days = summary.days();
    out.line(&format!(
        "{seeds} seeds, {steps} steps, {days:.0} days in {:.1} s: {:.0} days/s, {:.0} events/s",
        took.as_secs_f64(),
        per_second(days, took),
        per_second(*events as f64, took)
    ))?;
    let [done, refused, never] = counts.answers;
    out.line(&format!("orders: {done} done, {refused} refused, {never} never answered; {} checks", counts.checks))?;
    counts.faults().iter().try_for_each(|(name, count)| out.line(&format!("{count:>9}  {name}")))
}

fn report(first: u64, summary: &Summary, took: Duration, failed: Option<&Failed>) -> Json {
    let [done, refused, never] = summary.counts.answers;
    let faults: serde_json::Map<String, Json> =
        summary.counts.faults().into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
    let failed = failed.map(|(seed, violation, short, _)| {
        json!({
            "seed": seed,
            "check": violation.check.name(),
            "step": violation.step,
            "text": violation.text,
            "script": short.to_string(),
        })
    });
    Object::schema("murder-sim")
        .with("seed", first)
        .with("seeds", summary.seeds)
        .with("steps", summary.steps)
        .with("days", summary.days())
        .with("events", summary.events)
        .with("seconds", took.as_secs_f64())
        .with("orders", json!({ "done": done, "refused": refused, "unanswered": never }))
        .with("checks", summary.counts.checks)
        .with("faults", faults)
        .with_some("failed", failed)
        .done()
}

/// Seeds within which each mistake is to be noticed.
const MOST: u64 = 2000;

fn all(args: &Args, first: u64, json: bool, out: &mut Out) -> Done {
    let most = if args.seeds == 1000 { MOST } else { args.seeds };
    let mut missed = false;
    for &defect in Defect::ALL {
        let Mutant { caught, .. } = hunt(defect, first, most, args.steps);
        missed |= caught.is_none();
        let name = defect.name();
        if json {
            let object = Object::schema("murder-sim-defect").with("defect", name);
            let object = object.with_some("seeds", caught.map(|(seeds, _)| seeds));
            out.json(&object.with_some("check", caught.map(|(_, check)| check.name())).done())?;
        } else {
            out.line(&match caught {
                Some((seeds, check)) => format!("{name:<24} {seeds:>5}  {}", check.name()),
                None => format!("{name:<24}     -  not noticed in {most} seeds"),
            })?;
        }
        out.flush()?;
    }
    Ok(Outcome::findings_if(missed))
}

fn again(script: &Script, defect: Option<Defect>, json: bool, out: &mut Out) -> Done {
    let played = play(script, defect);
    let violation = played.violation;
    if json {
        let object = Object::schema("murder-sim-script").with("steps", played.steps).with("events", played.events);
        let object = object.with_some("check", violation.as_ref().map(|violation| violation.check.name()));
        out.json(&object.with_some("text", violation.as_ref().map(ToString::to_string)).done())?;
    } else {
        out.line(&match &violation {
            Some(violation) => violation.to_string(),
            None => format!("{} steps, {} events: everything held", played.steps, played.events),
        })?;
    }
    Ok(Outcome::findings_if(violation.is_some()))
}
