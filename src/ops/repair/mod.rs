//! What is wrong with a database's records, turned into a plan that mends it.

mod against;
mod draft;
mod entry;
mod index;
pub mod rules;
mod uniqueid;

use std::sync::Mutex;

use rayon::prelude::*;

use super::entries::Decoder;
use super::findings::Findings;
use super::reading::Reading;
use crate::failure::Failure;
use crate::formats::container::{Database, Format, KeyOrder, Record};
use crate::formats::finding::{Finding, Severity};
use crate::formats::record::role::{self, Role};
use crate::formats::record::{
    Context, Family, Flag, Key, KeyStyle, Style, Survey, cross_check, encode, examine, rules as rec,
};
use crate::input::{Source, usual_order};
use crate::plan::{Plan, apply};

use draft::Draft;
pub use draft::Left;
use entry::Host;
use rules::{Rule, Sureness, Wanted, menders};

/// What the user says of the host and wants of repair.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which rules may act.
    pub wanted: Wanted,
    /// The host's role, if it is not to be told by the records.
    pub role: Option<Role>,
    /// The host's own name as a server.
    pub server: Option<Vec<u8>>,
    /// The time now, in seconds since 1970-01-01 UTC.
    pub now: u64,
}

/// What looking at a database brought.
pub struct Diagnosis {
    /// The changes.
    pub plan: Plan,
    /// Changes that guess and were not asked for.
    pub left: Vec<Left>,
    /// What some rule could mend, and what is still wrong after the plan.
    pub unmended: Vec<Finding>,
    /// How many findings weigh something and are of no rule's concern.
    pub beyond: u64,
    /// How often a rule of choice could act.
    pub offered: Vec<(Rule, u64)>,
    /// What the host is taken for.
    pub role: Vec<Role>,
}

impl Diagnosis {
    /// Whether nothing is left to do once the plan is carried out.
    pub fn is_cured(&self) -> bool {
        self.left.is_empty() && self.unmended.is_empty()
    }
}

/// Container rules that are broken when nothing but the order of the records is wrong.
const OUT_OF_ORDER: [&str; 3] = ["FLAT-4", "SKIP-27", "TWO-30"];

/// Refuses a database whose container is damaged. Records that only stand in the wrong order are all there.
///
/// # Errors
/// Names the command that recovers it.
pub fn admit(source: &Source, reading: &Reading<'_, '_>) -> Result<(), Failure> {
    let weighs = |finding: &&Finding| finding.severity() > Severity::Note;
    let damage = reading.findings.kept().iter().filter(weighs).find(|f| !OUT_OF_ORDER.contains(&f.rule.code));
    let name = source.name();
    match damage {
        Some(finding) => {
            let what = format!("the file itself is damaged: {}", crate::render::text::finding_line(finding));
            let next = format!("recover it first: `coroner recover {name} -o recovered.db`, and repair that");
            Err(Failure::file(source.path(), what, next))
        }
        None => Ok(()),
    }
}

/// Looks at the database of `source`, and at the master's list if there is one.
///
/// # Errors
/// When a container is damaged, or is a dump.
pub fn diagnose(
    source: &Source,
    database: &dyn Database<'_>,
    master: Option<(&Source, &dyn Database<'_>)>,
    options: &Options,
) -> Result<Diagnosis, Failure> {
    if database.format().is_dump() {
        let next = "make a database of it first with `coroner convert`";
        return Err(Failure::file(source.path(), format!("a dump ({}), not a database", database.format()), next));
    }
    let reading = Reading::new(source, database)?;
    admit(source, &reading)?;
    let order = source.order(database);
    let style = Decoder::new(&reading).style();
    let lookup = reading.lookup(order);
    let mut context = Context::new(style, |key| lookup.get(key).is_some());
    context.role = options.role;
    context.now = Some(options.now);
    let Examined { survey, sick } = examine_all(&reading, &context);
    let host = host(&survey, options, style);
    let mut draft = Draft::new(&reading, lookup, style, &options.wanted);

    if let Some((master_source, master_database)) = master {
        compare(&mut draft, &survey, &host, master_source, master_database)?;
    }
    treat(&mut draft, &survey, &host, &reading, sick);
    cross(&mut draft, &survey, &context, &reading);

    let target = target_order(&mut draft, &survey, database.format(), order, &reading);
    let (unmended, beyond) = findings_after(&draft, &context);
    let Some(bound) = apply::bound(source, order) else { return Err(empty(source)) };
    let mut left = std::mem::take(&mut draft.left);
    left.retain(|left| options.wanted.only.is_empty() || options.wanted.only.contains(&left.rule));
    let plan = Plan {
        made_by: "repair".into(),
        made: options.now,
        source: bound,
        order: target,
        changes: std::mem::take(&mut draft.changes),
    };
    let unmended = unmended
        .into_iter()
        .filter(|finding| options.wanted.only.is_empty() || menders(finding.rule).any(|rule| options.wanted.has(rule)))
        .collect();
    let role = options.role.map_or_else(|| role::guess(&survey).roles, |role| vec![role]);
    Ok(Diagnosis { plan, left, unmended, beyond, offered: draft.offered.into_iter().collect(), role })
}

fn empty(source: &Source) -> Failure {
    Failure::file(source.path(), "has no bytes", "look for a backup")
}

/// All records counted, and those that break a rule.
struct Examined<'a> {
    survey: Survey,
    sick: Vec<Record<'a>>,
}

fn examine_all<'a>(reading: &Reading<'a, '_>, context: &Context) -> Examined<'a> {
    let nothing = || Examined { survey: Survey::new(context.style), sick: Vec::new() };
    let part = |part| {
        let mut all = nothing();
        reading.walk(part, &mut |record| {
            let mut is_sick = false;
            let mut sink = |finding: Finding| is_sick |= finding.severity() > Severity::Note;
            examine(&mut all.survey, &record.key, &record.value, context, record.span, &mut sink);
            if is_sick {
                all.sick.push(record);
            }
            true
        });
        all
    };
    let merge = |mut all: Examined<'a>, more: Examined<'a>| {
        all.survey.merge(more.survey);
        all.sick.extend(more.sick);
        all
    };
    (0..reading.parts()).into_par_iter().map(part).reduce(nothing, merge)
}

/// Up to this part of the entries (one in so many) can be leftovers.
const FEW: u64 = 10;

fn host(survey: &Survey, options: &Options, style: Style) -> Host {
    let elsewhere = survey.remote.max(survey.servers.sorted().iter().map(|(_, count)| count).sum());
    let (remote_only, local_only) = match options.role {
        Some(role) => (role.is_remote_only(), role.is_local_only()),
        None => (
            elsewhere > 0 && survey.local.saturating_mul(FEW) < elsewhere,
            survey.local > 0 && elsewhere.saturating_mul(FEW) < survey.local,
        ),
    };
    Host { remote_only, local_only, server: options.server.clone(), style, now: options.now }
}

/// Lets the rules for single entries act: on those that break a rule, and on those whose flags may be leftovers.
fn treat(draft: &mut Draft<'_, '_>, survey: &Survey, host: &Host, reading: &Reading<'_, '_>, sick: Vec<Record<'_>>) {
    let mut keys: Vec<Vec<u8>> = sick.into_iter().map(|record| record.key.into_owned()).collect();
    let flagged = survey.flag(Flag::Reserved) + survey.flag(Flag::Moving) > 0;
    let own = host.server.as_deref().filter(|_| !host.remote_only);
    if flagged || own.is_some() {
        let decoder = Decoder::of(host.style);
        reading.each(|record| {
            let entry = decoder.mailbox(&record);
            let wanted = entry.is_some_and(|entry| {
                let is_own = own.is_some()
                    && entry.server.as_deref().is_some_and(|s| own.is_some_and(|own| own.eq_ignore_ascii_case(s)));
                entry.is_reserved() || entry.is_moving() || is_own
            });
            if wanted {
                keys.push(record.key.into_owned());
            }
        });
        keys.sort();
        keys.dedup();
    }
    let mailboxes = keys.iter().filter(|key| matches!(Key::decode(key, host.style.keys), Key::Mailbox(_)));
    for key in mailboxes {
        for (rule, mend) in entry::MENDS {
            let Some(value) = draft.get(key) else { break };
            if let Some(mended) = entry::mend(*mend, key, &value, host) {
                let numbering = host.style.numbering;
                let to = mended.entry.map(|entry| encode(&entry, numbering));
                draft.propose(*rule, key, to, mended.evidence);
            }
        }
    }
}

/// Lets the rules act that look at several records, where records contradict each other or were changed.
fn cross(draft: &mut Draft<'_, '_>, survey: &Survey, context: &Context, reading: &Reading<'_, '_>) {
    let again = |visit: &mut crate::formats::record::cross::Visit<'_>| {
        reading.each(|record| visit(&record.key, &record.value, record.span));
    };
    let mut broken = Vec::new();
    cross_check(survey, context, &again, &mut |finding| broken.push(finding.rule));
    let breaks = |rules: &[&crate::formats::finding::Rule]| broken.iter().any(|rule| rules.contains(rule));
    let nameless = survey.style.keys == KeyStyle::Prefixed && survey.undecodable > 0;
    let changed = !draft.changes.is_empty();
    if context.style.keys == KeyStyle::Prefixed {
        let ids = [&rec::UNIQUEID_ORPHAN, &rec::UNIQUEID_NO_RECORD, &rec::UNIQUEID_DIFFERS, &rec::UNIQUEID_TWICE];
        if breaks(&ids) || nameless {
            uniqueid::all(draft);
        } else if changed {
            uniqueid::follow(draft);
        }
    }
    if context.reverse_acls && (changed || breaks(&[&rec::RACL_MISSING, &rec::RACL_EXTRA])) {
        index::reverse_acls(draft, context);
    }
    if context.uniqueid_index && (changed || breaks(&[&rec::RUNQ_MISSING, &rec::RUNQ_EXTRA])) {
        index::uniqueids(draft, context);
    }
}

fn compare(
    draft: &mut Draft<'_, '_>,
    survey: &Survey,
    host: &Host,
    source: &Source,
    database: &dyn Database<'_>,
) -> Result<(), Failure> {
    if host.local_only {
        let next = "leave out --against; `ctl_mboxlist -mw` on the backend says what it and the master disagree about";
        return Err(Failure::usage("--against is for the lists of frontends, and this is a backend's", next));
    }
    let reading = Reading::new(source, database)?;
    admit(source, &reading)?;
    let style = Decoder::new(&reading).style();
    let lookup = reading.lookup(source.order(database));
    let mut mailboxes = 0u64;
    reading.each(|record| mailboxes += u64::from(Decoder::of(style).mailbox(&record).is_some()));
    if mailboxes == 0 {
        return Err(Failure::file(
            source.path(),
            "holds no mailbox, so it can't say what a frontend should hold",
            "name the master's list",
        ));
    }
    let master = against::Master { reading: &reading, lookup, style };
    against::compare(draft, &master, host, against::family_of(|family: Family| survey.family(family)));
    Ok(())
}

/// The order that Cyrus looks for the records in, if that is not the one they stand in and the rule may act.
fn target_order(
    draft: &mut Draft<'_, '_>,
    survey: &Survey,
    format: Format,
    order: KeyOrder,
    reading: &Reading<'_, '_>,
) -> KeyOrder {
    if reading.is_carved() && !draft.may(Rule::KeyOrder) {
        return order;
    }
    // Since 3.6 no option sorts mailboxes otherwise; before, `improved_mboxlist_sort` did, and twoskip was always unsigned.
    let since_3_6 = survey.style.keys == KeyStyle::Prefixed;
    let wrong = order == KeyOrder::Mbox && since_3_6 && format != Format::Flat;
    match wrong && draft.may(Rule::KeyOrder) {
        true => usual_order(format),
        false => order,
    }
}

/// What is still wrong when the draft's changes are made: what some rule could mend, and how much else.
fn findings_after(draft: &Draft<'_, '_>, context: &Context) -> (Vec<Finding>, u64) {
    let mut survey = Survey::new(context.style);
    let all = Mutex::new(Findings::default());
    let mut sink = |finding: Finding| all.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(finding);
    draft.walk(&mut |key, value, span| examine(&mut survey, key, value, context, span, &mut sink));
    let again = |visit: &mut crate::formats::record::cross::Visit<'_>| draft.walk(&mut |k, v, s| visit(k, v, s));
    cross_check(&survey, context, &again, &mut sink);
    let findings = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let weigh = findings.count(Severity::Warning) + findings.count(Severity::Error);
    let kept: Vec<Finding> = findings
        .kept()
        .iter()
        .filter(|f| f.severity() > Severity::Note && menders(f.rule).next().is_some())
        .cloned()
        .collect();
    let beyond = weigh.saturating_sub(kept.len() as u64);
    (kept, beyond)
}

/// Whether a rule guesses, for people.
pub fn sureness(rule: Rule) -> &'static str {
    match rule.sureness() {
        Sureness::Certain => "certain",
        Sureness::Guess => "a guess",
        Sureness::Choice => "your choice",
    }
}
