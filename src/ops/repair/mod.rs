//! What is wrong with a database's records, turned into a plan that mends it.

mod against;
mod draft;
mod entry;
mod index;
pub mod rules;
mod uniqueid;

use std::collections::HashSet;

use rayon::prelude::*;

use super::entries::Decoder;
use super::findings::Findings;
use super::reading::Reading;
use crate::failure::Failure;
use crate::formats::container::{Database, Format, KeyOrder};
use crate::formats::finding::{Finding, Severity};
use crate::formats::record::role::{self, Role};
use crate::formats::record::{
    Context, Entry, Family, Flag, Key, KeyStyle, Style, Survey, cross_check, encode, examine, rules as rec,
};
use crate::input::{Source, usual_order};
use crate::plan::{Plan, apply};

use draft::Draft;
pub use draft::Left;
use entry::Host;
use rules::{Rule, Wanted, menders};

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

/// Looks at the database of `source`, which `reading` reads, and at the master's list if there is one.
///
/// # Errors
/// When a container is damaged, or is a dump.
pub fn diagnose<'a>(
    source: &Source,
    database: &dyn Database<'a>,
    reading: &Reading<'a, '_>,
    master: Option<(&Source, &dyn Database<'_>)>,
    options: &Options,
) -> Result<Diagnosis, Failure> {
    if database.format().is_dump() {
        let next = match database.format() {
            Format::Show => {
                "if it is a flat database, say so with --as flat; otherwise make a database of it with `coroner convert`"
            }
            _ => "make a database of it first with `coroner convert`",
        };
        return Err(Failure::file(source.path(), format!("a dump ({}), not a database", database.format()), next));
    }
    admit(source, reading)?;
    let order = source.order(database);
    let style = Decoder::new(reading).style();
    let lookup = reading.lookup(order);
    let mut context = Context::new(style, |key| lookup.get(key).is_some());
    context.role = options.role;
    context.now = Some(options.now);
    let mut draft = Draft::new(reading, lookup, style, &options.wanted);
    let before = Examined::of(&draft, &context);
    let host = host(&before.survey, options, style);

    if let Some((master_source, master_database)) = master {
        compare(&mut draft, &before.survey, &host, master_source, master_database)?;
    }
    treat(&mut draft, &before, &host, reading);
    cross(&mut draft, &before, &context);

    let target = target_order(&draft, &before.survey, database.format(), order);
    let after = if draft.changes.is_empty() { before } else { Examined::of(&draft, &context) };
    let stands = Some(order).filter(|_| !reading.is_carved());
    let Some(bound) = apply::bound(source, stands) else { return Err(empty(source)) };
    let (unmended, beyond) = unmended(&draft, &after.findings, &options.wanted);
    let mut left = std::mem::take(&mut draft.left);
    left.retain(|left| options.wanted.only.is_empty() || options.wanted.only.contains(&left.rule));
    let plan = Plan {
        made_by: "repair".into(),
        made: options.now,
        source: bound,
        order: target,
        changes: std::mem::take(&mut draft.changes),
    };
    let role = options.role.map_or_else(|| role::guess(&after.survey).roles, |role| vec![role]);
    Ok(Diagnosis { plan, left, unmended, beyond, offered: draft.offered.into_iter().collect(), role })
}

fn empty(source: &Source) -> Failure {
    Failure::file(source.path(), "has no bytes", "look for a backup")
}

/// All records of a draft counted, what is wrong with them, and the keys of those something is wrong with.
struct Examined {
    survey: Survey,
    findings: Findings,
    sick: Vec<Vec<u8>>,
}

impl Examined {
    fn of(draft: &Draft<'_, '_>, context: &Context) -> Self {
        let nothing =
            || Examined { survey: Survey::new(context.style), findings: Findings::default(), sick: Vec::new() };
        let part = |part| {
            let Examined { mut survey, mut findings, mut sick } = nothing();
            draft.walk_part(part, &mut |key, value, span| {
                let mut is_sick = false;
                examine(&mut survey, key, value, context, span, &mut |finding| {
                    is_sick |= finding.severity() > Severity::Note;
                    findings.push(finding);
                });
                if is_sick {
                    sick.push(key.to_vec());
                }
            });
            Examined { survey, findings, sick }
        };
        let merge = |mut all: Examined, more: Examined| {
            all.survey.merge(more.survey);
            all.findings.append(more.findings);
            all.sick.extend(more.sick);
            all
        };
        let mut all = (0..draft.parts()).into_par_iter().map(part).reduce(nothing, merge);
        let again = |visit: &mut crate::formats::record::cross::Visit<'_>| draft.walk(&mut |k, v, s| visit(k, v, s));
        cross_check(&all.survey, context, &again, &mut |finding| all.findings.push(finding));
        all
    }

    fn breaks(&self, rules: &[&crate::formats::finding::Rule]) -> bool {
        self.findings.kept().iter().any(|finding| rules.contains(&finding.rule))
    }
}

/// Up to this part of the entries (one in so many) can be leftovers.
const FEW: u64 = 10;

fn host(survey: &Survey, options: &Options, style: Style) -> Host {
    let named: u64 = survey.servers.sorted().iter().map(|(_, count)| count).sum();
    let elsewhere = survey.remote.max(named.saturating_add(survey.servers.others()));
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
fn treat(draft: &mut Draft<'_, '_>, before: &Examined, host: &Host, reading: &Reading<'_, '_>) {
    let mut keys = before.sick.clone();
    let survey = &before.survey;
    let own = host.server.as_deref().filter(|_| !host.remote_only);
    if survey.flag(Flag::Reserved) + survey.flag(Flag::Moving) > 0 || own.is_some() {
        let decoder = Decoder::of(host.style);
        reading.each(|record| {
            let entry = decoder.mailbox(&record);
            let is_own = |server: &[u8]| own.is_some_and(|own| own.eq_ignore_ascii_case(server));
            let suspect = |entry: Entry<'_>| {
                entry.is_reserved() || entry.is_moving() || entry.server.as_deref().is_some_and(is_own)
            };
            if entry.is_some_and(suspect) {
                keys.push(record.key.into_owned());
            }
        });
    }
    keys.sort();
    keys.dedup();
    let mailboxes = keys.iter().filter(|key| matches!(Key::decode(key, host.style.keys), Key::Mailbox(_)));
    for key in mailboxes {
        let mut start = 0;
        while let Some(value) = draft.get(key) {
            let Some((number, rule, mended)) = entry::first(start, key, &value, host) else { break };
            let to = mended.entry.map(|entry| encode(&entry, host.style.numbering));
            draft.propose(rule, key, to, mended.evidence);
            start = number + 1;
        }
    }
}

/// Lets the rules act that look at several records, where records contradict each other or were changed.
fn cross(draft: &mut Draft<'_, '_>, before: &Examined, context: &Context) {
    let changed = !draft.changes.is_empty();
    if context.style.keys == KeyStyle::Prefixed {
        let ids = [&rec::UNIQUEID_ORPHAN, &rec::UNIQUEID_NO_RECORD, &rec::UNIQUEID_DIFFERS, &rec::UNIQUEID_TWICE];
        if before.breaks(&ids) || before.breaks(&[&rec::NAMELESS]) {
            uniqueid::all(draft);
        } else if changed {
            uniqueid::follow(draft);
        }
    }
    if context.reverse_acls && (changed || before.breaks(&[&rec::RACL_MISSING, &rec::RACL_EXTRA])) {
        index::reverse_acls(draft, context);
    }
    if context.uniqueid_index && (changed || before.breaks(&[&rec::RUNQ_MISSING, &rec::RUNQ_EXTRA])) {
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
fn target_order(draft: &Draft<'_, '_>, survey: &Survey, format: Format, order: KeyOrder) -> KeyOrder {
    // Since 3.6 no option sorts mailboxes otherwise; before, `improved_mboxlist_sort` did, and twoskip was always unsigned.
    let since_3_6 = survey.style.keys == KeyStyle::Prefixed;
    let wrong = order == KeyOrder::Mbox && since_3_6 && format != Format::Flat;
    match wrong && draft.may(Rule::KeyOrder) {
        true => usual_order(format),
        false => order,
    }
}

/// What is still wrong when the draft's changes are made: what some rule could mend and did not say so itself, and how
/// much else.
fn unmended(draft: &Draft<'_, '_>, findings: &Findings, wanted: &Wanted) -> (Vec<Finding>, u64) {
    let said: HashSet<_> = draft.left.iter().filter_map(|left| Some((draft.span(&left.key)?, left.rule))).collect();
    let (mut unmended, mut beyond) = (Vec::new(), 0);
    for finding in findings.kept().iter().filter(|finding| finding.severity() > Severity::Note) {
        let rules: Vec<Rule> = menders(finding.rule).collect();
        let unsaid = rules.iter().all(|&rule| !said.contains(&(finding.span, rule)));
        if rules.is_empty() {
            beyond += 1;
        } else if unsaid && (wanted.only.is_empty() || rules.iter().any(|&rule| wanted.has(rule))) {
            unmended.push(finding.clone());
        }
    }
    let more: u64 = findings.more().filter(|(rule, _)| rule.severity > Severity::Note).map(|(_, more)| more).sum();
    (unmended, beyond + more)
}
