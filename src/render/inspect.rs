//! An inspection as a page for people and as an object.

use serde_json::{Value as Json, json};

use super::json::{Object, counts, facts, time};
use super::text::{self, printable, tally, value};
use crate::formats::container::{Format, KeyOrder};
use crate::formats::finding::Severity;
use crate::formats::record::{Counts, Family, Flag, KeyFamily, Kind, Survey};
use crate::input::Source;
use crate::ops::inspect::Inspection;

/// Servers and partitions shown to people; JSON has all.
const SHOWN: usize = 20;
/// Column where the page's values start.
const INDENT: usize = 16;

/// The page for people, a line each.
pub fn page(source: &Source, inspection: &Inspection<'_>) -> Vec<String> {
    let mut page = Page { lines: vec![source.name()] };
    page.say("format", &format!("{}: {}", inspection.format, source.detection().evidence));
    page.say("size", &text::size(source.len()));
    for fact in &inspection.facts {
        page.say(&fact.name.replace('_', " "), &value(&fact.value));
    }
    page.say("key order", &orders(inspection));
    if let Some(transactions) = inspection.transactions {
        let since = if inspection.format == Format::Skiplist { "checkpoint" } else { "repack" };
        page.say("transactions", &format!("{transactions} since the last {since}"));
    }
    if let Some(survey) = &inspection.verified.survey {
        if inspection.verified.carved {
            page.say("counted", "what can be read of the damaged file");
        }
        page.survey(survey);
    }
    page.guesses(inspection);
    if let Some(successor) = &inspection.successor {
        let name = printable(successor.as_os_str().as_encoded_bytes());
        page.say("beside it", &format!("{name}: a new file that did not take this one's place; Cyrus died meanwhile"));
    }
    page.say("verdict", &verdict(source, inspection));
    page.lines
}

struct Page {
    lines: Vec<String>,
}

impl Page {
    fn say(&mut self, name: &str, value: &str) {
        self.lines.push(format!("  {name:INDENT$}{value}"));
    }

    fn more(&mut self, value: &str) {
        self.lines.push(format!("  {:INDENT$}  {value}", ""));
    }

    fn survey(&mut self, survey: &Survey) {
        let listed = |all: Vec<(&str, u64)>| {
            let all = all.into_iter().filter(|&(_, n)| n > 0).map(|(name, n)| format!("{n} {name}"));
            all.collect::<Vec<_>>().join(", ")
        };
        let keys = KeyFamily::ALL.map(|family| (family.as_str(), survey.keys(family))).to_vec();
        self.say("records", &format!("{}: {}", survey.records(), listed(keys)));
        let kinds = Kind::ALL.map(|kind| (kind.as_str(), survey.kind(kind))).to_vec();
        self.say("mailboxes", &format!("{}: {}", survey.mailboxes, listed(kinds)));
        let flags = listed(Flag::ALL.map(|flag| (flag.as_str(), survey.flag(flag))).to_vec());
        self.say("flagged", if flags.is_empty() { "none" } else { &flags });
        self.say("encoding", &listed(Family::ALL.map(|family| (family.as_str(), survey.family(family))).to_vec()));
        self.counts("servers", &[&survey.servers]);
        self.counts("partitions", &[&survey.partitions, &survey.remote_partitions]);
        if let Some((first, last)) = survey.mtimes {
            self.say("written", &format!("{} to {}", text::time(first), text::time(last)));
        }
    }

    fn counts(&mut self, name: &str, all: &[&Counts]) {
        let sorted: Vec<_> = all.iter().flat_map(|counts| counts.sorted()).collect();
        let shown: Vec<String> =
            sorted.iter().take(SHOWN).map(|(word, n)| format!("{} {n}", shown_word(word))).collect();
        let more = match (sorted.len().saturating_sub(SHOWN), all.iter().map(|counts| counts.others()).sum()) {
            (0, 0) => String::new(),
            (more, 0) => format!(", and {more} more"),
            (more, _) => format!(", and more than {more} more"),
        };
        self.say(name, &if shown.is_empty() { "none named".to_owned() } else { shown.join(", ") + &more });
    }

    fn guesses(&mut self, inspection: &Inspection<'_>) {
        if let Some(era) = &inspection.era {
            self.say("record era", &format!("Cyrus {}", era.range()));
            era.evidence.iter().for_each(|line| self.more(line));
        }
        let roles: Vec<&str> = inspection.role.roles.iter().map(|role| role.as_str()).collect();
        self.say("likely role", &if roles.is_empty() { "cannot be told".to_owned() } else { roles.join(" or ") });
        inspection.role.evidence.iter().for_each(|line| self.more(line));
        for (number, hazard) in inspection.hazards.iter().enumerate() {
            let name = if number == 0 { "on upgrade" } else { "" };
            self.say(name, &format!("to {}: {} {}", hazard.since.as_str(), hazard.count, hazard.message));
        }
    }
}

fn shown_word(word: &[u8]) -> String {
    if word.is_empty() { "\"\"".to_owned() } else { printable(word) }
}

/// The orders that fit, and why the others do not.
fn orders(inspection: &Inspection<'_>) -> String {
    let order = &inspection.order;
    let fitting = order.fitting(crate::input::usual_order(inspection.format));
    let misfits = KeyOrder::ALL.into_iter().filter_map(|other| order.misfit(other).map(|misfit| (other, misfit)));
    let misfits: Vec<String> =
        misfits.map(|(other, m)| format!("not {other}: 0x{:X} before 0x{:X}", m.first, m.second)).collect();
    let head = match fitting.split_first() {
        None => "none fits".to_owned(),
        Some((first, [])) => first.to_string(),
        Some((first, others)) => {
            let others: Vec<&str> = others.iter().map(|order| order.as_str()).collect();
            let fit = if others.len() == 1 { "fits" } else { "fit" };
            format!("{first} ({} {fit} as well)", others.join(" and "))
        }
    };
    if misfits.is_empty() { head } else { format!("{head}; {}", misfits.join(", ")) }
}

fn verdict(source: &Source, inspection: &Inspection<'_>) -> String {
    let findings = &inspection.verified.findings;
    let next = format!("`coroner verify {}` lists them", source.name());
    match findings.worst() {
        None => "clean".to_owned(),
        Some(Severity::Note) => format!("clean; {}: {next}", tally(findings)),
        Some(Severity::Warning) => format!("not as it should be: {}: {next}", tally(findings)),
        Some(Severity::Error) => format!("damaged: {}: {next}", tally(findings)),
    }
}

/// The members for programs.
pub fn object(object: Object, source: &Source, inspection: &Inspection<'_>) -> Json {
    let order = &inspection.order;
    let fitting: Vec<&str> =
        order.fitting(crate::input::usual_order(inspection.format)).iter().map(|o| o.as_str()).collect();
    let findings = &inspection.verified.findings;
    let era = inspection
        .era
        .as_ref()
        .map(|era| json!({"oldest": era.oldest.as_str(), "newest": era.newest.as_str(), "evidence": era.evidence}));
    let roles: Vec<&str> = inspection.role.roles.iter().map(|role| role.as_str()).collect();
    let hazards = inspection
        .hazards
        .iter()
        .map(|hazard| json!({"since": hazard.since.as_str(), "records": hazard.count, "message": hazard.message}));
    let by_severity = Severity::ALL.map(|severity| (format!("{}s", severity.as_str()), findings.count(severity)));
    let object = object
        .with("format", inspection.format.as_str())
        .with("evidence", &*source.detection().evidence)
        .with("len", source.len())
        .with("header", facts(&inspection.facts))
        .with("key_order", fitting.first().copied())
        .with("key_orders_fitting", fitting)
        .with("transactions", inspection.transactions)
        .with("era", era)
        .with("role", json!({"likely": roles, "evidence": inspection.role.evidence}))
        .with("hazards", hazards.collect::<Vec<Json>>());
    let object = match &inspection.verified.survey {
        Some(survey) => with_survey(object, survey),
        None => object,
    };
    let successor = inspection.successor.as_ref().map(|path| printable(path.as_os_str().as_encoded_bytes()));
    object
        .with("carved", inspection.verified.carved)
        .with_some("successor", successor)
        .with("verdict", super::json::verdict(findings))
        .with("counts", counts(by_severity))
        .done()
}

fn with_survey(object: Object, survey: &Survey) -> Object {
    let some = |all: Vec<(&'static str, u64)>| counts(all.into_iter().filter(|&(_, n)| n > 0));
    let words = |all: &[&Counts]| {
        counts(all.iter().flat_map(|counts| counts.sorted()).map(|(word, n)| (super::json::text(word).0, n)))
    };
    let mtimes = survey.mtimes.map(|(first, last)| json!({"first": time(first), "last": time(last)}));
    object
        .with("records", survey.records())
        .with("mailboxes", survey.mailboxes)
        .with("keys", some(KeyFamily::ALL.map(|family| (family.as_str(), survey.keys(family))).to_vec()))
        .with("types", some(Kind::ALL.map(|kind| (kind.as_str(), survey.kind(kind))).to_vec()))
        .with("flags", some(Flag::ALL.map(|flag| (flag.as_str(), survey.flag(flag))).to_vec()))
        .with("encodings", some(Family::ALL.map(|family| (family.as_str(), survey.family(family))).to_vec()))
        .with("servers", words(&[&survey.servers]))
        .with("partitions", words(&[&survey.partitions, &survey.remote_partitions]))
        .with("mtimes", mtimes)
}
