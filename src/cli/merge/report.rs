//! What is told of a merge.

use std::collections::BTreeMap;
use std::path::Path;

use coroner::failure::Failure;
use coroner::formats::container::{Format, Written};
use coroner::ops::merge::claim::Standing;
use coroner::ops::merge::ledger::Dispute;
use coroner::ops::merge::settle::Class;
use coroner::ops::merge::{Merge, Sum};
use coroner::plan::safe_file::SafeFile;
use coroner::render::json::{self, Object};
use coroner::render::text::{count, printable};
use serde_json::Value as Json;

use super::super::convert::report::{remark_lines, remark_objects};
use super::super::lists::Opened;
use super::super::out::Out;

/// How many mailboxes of a class the report on the screen names.
const NAMED: usize = 5;
/// How many mailboxes of a class the JSON document has.
const LISTED: usize = 1000;

/// Disputes of one class.
#[derive(Default)]
struct Sort {
    conflicts: u64,
    others: u64,
    first: Vec<Dispute>,
}

/// Disputes by class, and the first of each.
#[derive(Default)]
pub struct Seen {
    sorts: BTreeMap<Class, Sort>,
}

impl Seen {
    /// Takes one.
    pub fn push(&mut self, dispute: Dispute) {
        let Some(class) = dispute.settled.class else { return };
        let sort = self.sorts.entry(class).or_default();
        match dispute.settled.conflict {
            true => sort.conflicts += 1,
            false => sort.others += 1,
        }
        // Conflicts are worth more room than what is as it should be.
        let room = if dispute.settled.conflict { LISTED } else { NAMED };
        if sort.first.len() < room {
            sort.first.push(dispute);
        }
    }

    /// Adds those of which only the number is known, by [`Class::ALL`].
    pub fn note(&mut self, noted: &[u64]) {
        for (class, count) in Class::ALL.into_iter().zip(noted).filter(|(_, count)| **count > 0) {
            self.sorts.entry(class).or_default().others += count;
        }
    }

    /// How many conflicts there are.
    pub fn conflicts(&self) -> u64 {
        self.sorts.values().map(|sort| sort.conflicts).sum()
    }
}

/// What there is to tell.
pub struct Told<'t> {
    pub path: &'t Path,
    pub format: Format,
    pub opened: &'t [Opened],
    pub seen: Seen,
    pub sum: Sum,
    pub ledger: Option<SafeFile>,
}

impl Told<'_> {
    /// Refuses decisions that fit no claims of now.
    pub fn refuse_stale(&self, merge: &Merge<'_, '_, '_>, path: Option<&Path>) -> Result<(), Failure> {
        let Some(path) = path else { return Ok(()) };
        let next = "save a new ledger with --ledger and decide on that; nothing was written";
        if let Some(name) = self.sum.stale.first() {
            let others = self.sum.stale.len() - 1;
            let more = if others == 0 { String::new() } else { format!(" (and {others} more)") };
            let what = format!("the decision on {}{more} does not fit what the sources claim now", printable(name));
            return Err(Failure::file(path, what, next));
        }
        let missing = (merge.decisions().len() as u64).saturating_sub(self.sum.decided);
        if missing > 0 {
            let what = format!("{} about mailboxes that no source knows", count(missing, "decision"));
            return Err(Failure::file(path, what, next));
        }
        Ok(())
    }

    fn name(&self, list: usize) -> Vec<u8> {
        let named = self.opened.get(list).and_then(|list| list.name.clone());
        named.unwrap_or_else(|| coroner::ops::merge::ledger::BASE.as_bytes().to_vec())
    }

    /// The answer as JSON.
    pub fn document(&self, written: Written) -> Json {
        let sources = self.sum.standings.iter().enumerate().map(|(number, standings)| {
            let counts = Standing::ALL.iter().zip(standings).map(|(standing, count)| (standing.as_str(), *count));
            Object::new().bytes("name", &self.name(number)).with("records", json::counts(counts)).done()
        });
        let sources: Vec<Json> = sources.collect();
        let conflicts = self.seen.sorts.iter().map(|(class, sort)| (class.as_str(), sort.conflicts));
        let others = self.seen.sorts.iter().map(|(class, sort)| (class.as_str(), sort.others));
        let listed = self.seen.sorts.values().flat_map(|sort| &sort.first);
        let listed: Vec<Json> = listed.filter(|d| d.settled.conflict).map(Dispute::document).collect();
        Object::schema("merge")
            .bytes("output", self.path.as_os_str().as_encoded_bytes())
            .with("format", self.format.as_str())
            .with("records", written.records)
            .with("len", written.len)
            .with("sources", sources)
            .with("conflicts", json::counts(conflicts.filter(|(_, count)| *count > 0)))
            .with("others", json::counts(others.filter(|(_, count)| *count > 0)))
            .with("listed", listed)
            .with("decided", self.sum.decided)
            .with("remarks", remark_objects(&self.sum.remarks))
            .done()
    }

    /// The same for a person.
    pub fn print(&self, written: Option<Written>, out: &mut Out) -> Result<(), Failure> {
        for (number, standings) in self.sum.standings.iter().enumerate() {
            let counts = Standing::ALL.iter().zip(standings).filter(|(_, count)| **count > 0);
            let counts: Vec<String> =
                counts.map(|(standing, count)| format!("{count} {}", standing.as_str())).collect();
            out.line(&format!("{}: {}", printable(&self.name(number)), counts.join(", ")))?;
        }
        for conflicts in [true, false] {
            for (class, sort) in &self.seen.sorts {
                self.print_sort(*class, sort, conflicts, out)?;
            }
        }
        remark_lines(&self.sum.remarks).iter().try_for_each(|line| out.line(line))?;
        if self.sum.decided > 0 {
            out.line(&format!("followed {}", count(self.sum.decided, "decision")))?;
        }
        let Some(written) = written else { return Ok(()) };
        let path = printable(self.path.as_os_str().as_encoded_bytes());
        let records = count(written.records, "record");
        out.line(&format!("{path}: {records}, {} bytes, {}: read back and compared", written.len, self.format))
    }

    fn print_sort(&self, class: Class, sort: &Sort, conflicts: bool, out: &mut Out) -> Result<(), Failure> {
        let (number, word) = if conflicts { (sort.conflicts, "conflict") } else { (sort.others, "note") };
        if number == 0 {
            return Ok(());
        }
        out.line(&format!("{word}: {number} {}: {}", class.as_str(), class.meaning()))?;
        if !conflicts {
            return Ok(());
        }
        for dispute in sort.first.iter().filter(|dispute| dispute.settled.conflict).take(NAMED) {
            let kept = printable(&dispute.kept);
            out.line(&format!("  {}: kept {kept} ({})", printable(&dispute.name), dispute.settled.by.as_str()))?;
            for claim in &dispute.claims {
                out.line(&format!("    {}", claim_line(claim)))?;
            }
        }
        if number > NAMED as u64 {
            out.line(&format!("  and {} more", number - NAMED as u64))?;
        }
        Ok(())
    }
}

/// A claim in one line.
pub fn claim_line(claim: &Json) -> String {
    let word = |name: &str| claim.get(name).and_then(Json::as_str).map(|text| printable(text.as_bytes()));
    let mut line = format!("{} says {}", word("from").unwrap_or_default(), word("says").unwrap_or_default());
    for name in ["server", "partition", "acl", "uniqueid"] {
        if let Some(text) = word(name).filter(|text| !text.is_empty()) {
            line.push_str(&format!(", {name} {}", text.trim_end_matches("\\x09").replace("\\x09", " ")));
        }
    }
    let date = claim.get("mtime").and_then(|time| time.get("rfc3339")).and_then(Json::as_str);
    if let Some(date) = date {
        line.push_str(&format!(", written {date}"));
    }
    line
}
