//! What is told of a recovery.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use coroner::failure::Failure;
use coroner::formats::container::{Confidence, Format, Lost, Record, Written};
use coroner::input::Source;
use coroner::ops::convert::remarks::Remarks;
use coroner::ops::recover::{Cost, Origin, Recovered, Recovery, Testimony};
use coroner::ops::testimony::{Conversion, Server, Stranger, Whose};
use coroner::plan::safe_file::SafeFile;
use coroner::render::json::{self, Object};
use coroner::render::text::{count, printable};
use serde_json::{Value as Json, json};

use super::super::convert::report::{remark_lines, remark_objects};
use super::super::out::Out;
use super::super::say;

/// How many of a kind the report on the screen names one by one.
const NAMED: usize = 20;

/// What came of asking a witness.
pub struct Heard {
    /// The witness.
    pub file: PathBuf,
    /// What its records were used for.
    pub testimony: Testimony,
    /// What was done to them first, if it is of another role.
    pub conversion: Option<Conversion>,
    /// Set if it is of another host and so has nothing to say.
    pub stranger: Option<Stranger>,
}

impl Heard {
    fn name(&self) -> String {
        printable(self.file.as_os_str().as_encoded_bytes())
    }

    /// The fields that its records lack.
    fn missing(&self) -> Vec<&'static str> {
        self.conversion.iter().flat_map(|conversion| &conversion.missing).map(|field| field.as_str()).collect()
    }
}

/// A JSON object a line: each record written, each range lost, each record left out.
pub fn save(path: &Path, force: bool, recovery: &Recovery<'_>, heard: &[Heard]) -> Result<(), Failure> {
    let file = SafeFile::create(path, force)?;
    let mut lines = BufWriter::with_capacity(1 << 16, file.file());
    let kept = recovery.records.iter().map(|recovered| kept_object(&recovered, heard));
    let left = recovery.uncommitted.iter().map(|record| record_object(record, "left-out").done());
    let objects = recovery.lost.iter().map(|lost| lost_object(Object::schema("recover"), lost)).chain(kept).chain(left);
    for object in objects {
        let line = json::line(&object) + "\n";
        lines.write_all(line.as_bytes()).map_err(|error| Failure::file(path, error, "free some space"))?;
    }
    lines.flush().map_err(|error| Failure::file(path, error, "free some space"))?;
    drop(lines);
    file.finish(|_| Ok(()))?;
    Ok(())
}

fn kept_object(recovered: &Recovered<'_>, heard: &[Heard]) -> Json {
    let object = record_object(&recovered.record, recovered.origin.as_str());
    let Some(witness) = recovered.origin.witness().and_then(|number| heard.get(usize::from(number))) else {
        return object.done();
    };
    let object = object.bytes("witness", witness.file.as_os_str().as_encoded_bytes());
    let lacks = matches!(recovered.origin, Origin::OtherRole(_));
    object.with_some("missing", lacks.then(|| witness.missing())).done()
}

fn record_object(record: &Record<'_>, confidence: &str) -> Object {
    let object = Object::schema("recover").bytes("key", &record.key).with("confidence", confidence);
    object.with("span", json::span(record.span))
}

fn lost_object(object: Object, lost: &Lost<'_>) -> Json {
    let object = object.with("lost", json::span(lost.span));
    object.bytes_some("before", lost.before.as_deref()).bytes_some("after", lost.after.as_deref()).done()
}

/// What there is to tell of a recovery.
pub struct Told<'t, 'a> {
    pub source: &'t Source,
    pub recovery: &'t Recovery<'a>,
    pub heard: &'t [Heard],
    pub cost: Option<&'t Cost>,
    /// What the records written say less than those recovered.
    pub remarks: &'t Remarks,
    pub output: Option<(&'t Path, Written)>,
    pub format: Format,
}

/// Kinds of origin, by their rank, and how they are told.
const ORIGINS: [(&str, &str); 6] = [
    ("verified", "proven, and nothing newer can be missing"),
    ("unverified", "plausible, but not proven by their own bytes"),
    ("maybe-stale", "a newer version or a deletion may lie in a lost range"),
    ("uncommitted", "of transactions that never ended"),
    ("cyrus", "as Cyrus would leave them"),
    ("witness", "from a witness"),
];

impl Told<'_, '_> {
    fn origins(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let mut counts = [0; ORIGINS.len()];
        self.recovery.records.origins().for_each(|origin| counts[origin.rank()] += 1);
        ORIGINS.into_iter().zip(counts).map(|((word, meaning), n)| (word, meaning, n)).filter(|&(_, _, n)| n > 0)
    }

    /// The report for a person: on standard error if the records went to standard output.
    pub fn print(&self, aside: bool, out: &mut Out) -> Result<(), Failure> {
        self.lines().iter().try_for_each(|line| match aside {
            true => {
                say(line);
                Ok(())
            }
            false => out.line(line),
        })
    }

    fn lines(&self) -> Vec<String> {
        let recovery = self.recovery;
        let mut lines = vec![format!("{}: {}", self.source.name(), count(recovery.records.len() as u64, "record"))];
        for (word, meaning, n) in self.origins() {
            lines.push(format!("  {n:>8} {word}: {meaning}"));
        }
        let proven =
            |origin| matches!(origin, Origin::Carved(Confidence::Verified) | Origin::Uncommitted | Origin::Cyrus);
        let doubtful = (0..).zip(recovery.records.origins()).filter(|&(_, origin)| !proven(origin));
        name(&mut lines, doubtful, |(index, _)| self.record_line(index));
        let bytes: u64 = recovery.lost.iter().map(|lost| lost.span.len()).sum();
        lines.push(format!("lost: {}, {}", count(recovery.lost.len() as u64, "range"), count(bytes, "byte")));
        name(&mut lines, recovery.lost.iter(), lost_line);
        if !recovery.uncommitted.is_empty() {
            let n = count(recovery.uncommitted.len() as u64, "uncommitted record");
            lines.push(format!("left out: {n} (--include-uncommitted keeps them)"));
            let told = |record: &Record<'_>| format!("{} at {}", printable(&record.key), record.span);
            name(&mut lines, recovery.uncommitted.iter(), told);
        }
        self.heard.iter().for_each(|heard| witness_lines(&mut lines, heard));
        if let Some(Cost { lost, changed, only_cyrus }) = self.cost {
            lines.push(format!(
                "against carving: {} lost, {} with another value, {} that were deleted or never committed",
                lost.len(),
                changed.len(),
                only_cyrus.len()
            ));
        }
        lines.extend(remark_lines(self.remarks));
        if let Some((path, written)) = self.output.filter(|(path, _)| path.as_os_str() != "-") {
            let (file, len) = (printable(path.as_os_str().as_encoded_bytes()), count(written.len, "byte"));
            lines.push(format!("wrote {file}: {}, {len}, read back and found right", self.format));
        }
        lines
    }

    fn record_line(&self, index: usize) -> String {
        let Some(Recovered { record, origin }) = self.recovery.records.get(index) else { return String::new() };
        let witness = origin.witness().and_then(|number| self.heard.get(usize::from(number)));
        let of = witness.map(|heard| format!(" of {}", heard.name())).unwrap_or_default();
        format!("{} {} at {}{of}", origin.as_str(), printable(&record.key), record.span)
    }

    /// The report for a program.
    pub fn document(&self) -> Json {
        let recovery = self.recovery;
        let counts = json::counts(self.origins().map(|(word, _, n)| (word, n)));
        let lost: Vec<Json> = recovery.lost.iter().map(|lost| lost_object(Object::new(), lost)).collect();
        let left = recovery.uncommitted.iter().map(|record| record_object(record, "left-out").done());
        let witnesses: Vec<Json> = self.heard.iter().map(witness_object).collect();
        let cost = self.cost.map(|cost| {
            json!({
                "lost": cost.lost.len(), "changed": cost.changed.len(), "only_cyrus": cost.only_cyrus.len(),
            })
        });
        let object = Object::schema("recover").bytes("file", self.source.path().as_os_str().as_encoded_bytes());
        object
            .with("records", recovery.records.len())
            .with("confidence", counts)
            .with("lost", lost)
            .with("left_out", left.collect::<Vec<_>>())
            .with("witnesses", witnesses)
            .with_some("cyrus_cost", cost)
            .with("remarks", remark_objects(self.remarks))
            .with_some("written", self.output.map(|(_, written)| written.len))
            .with("format", self.format.as_str())
            .done()
    }
}

/// Adds the first lines of a list, and how many more there are.
fn name<T>(lines: &mut Vec<String>, mut things: impl Iterator<Item = T>, line: impl Fn(T) -> String) {
    lines.extend(things.by_ref().take(NAMED).map(|thing| format!("           {}", line(thing))));
    match things.count() {
        0 => {}
        more => lines.push(format!("           … and {more} more (--report saves them all)")),
    }
}

fn witness_lines(lines: &mut Vec<String>, heard: &Heard) {
    let Testimony { filled, confirmed, replaced, deleted } = heard.testimony;
    let file = heard.name();
    if let Some(Stranger { shared, of }) = heard.stranger {
        lines.push(format!(
            "witness {file}: another backend's copy, by its mailboxes ({shared} of {of} are the same): nothing was taken; if it \
             is of this host all the same, name that with --server NAME"
        ));
        return;
    }
    if let Some(conversion) = &heard.conversion {
        lines.push(format!("witness {file}: {}", conversion_line(conversion)));
        if !conversion.missing.is_empty() {
            let missing = heard.missing().join(", ");
            lines.push(format!("  its records lack what only the mailbox's own host knows: {missing}"));
        }
        if conversion.placeless > 0 {
            let n = count(conversion.placeless, "mailbox");
            lines.push(format!("  left out: {n} whose partition it does not know"));
        }
        if conversion.server.name().is_none() {
            return;
        }
    }
    lines.push(format!(
        "witness {file}: filled in {filled}, confirmed {confirmed}, newer {replaced}, known to be deleted {deleted}"
    ));
}

/// What was done to the entries of a witness of another role.
fn conversion_line(conversion: &Conversion) -> String {
    let side = conversion.side.as_str();
    let known = match &conversion.server {
        Server::Told(_, None) => "as you say".to_owned(),
        Server::Told(_, Some((other, votes))) => {
            format!("as you say, though {} in both say {}", count(*votes, "entry"), printable(other))
        }
        Server::Inferred(_, votes) => format!("as {} in both say", count(*votes, "entry")),
        Server::Unknown(votes) => {
            let votes: Vec<_> = votes.iter().map(|(name, n)| format!("{n} for {}", printable(name))).collect();
            let votes = if votes.is_empty() { "no entry tells".to_owned() } else { votes.join(", ") };
            let (what, next) = match conversion.whose {
                Whose::Subject => ("which of its servers this list is of", "name it with --server NAME"),
                Whose::Witness => ("which server it is of", "name it with --witness NAME=FILE"),
            };
            return format!("{side}, and it is not known {what} ({votes}): nothing was taken; {next}");
        }
    };
    let server = printable(conversion.server.name().unwrap_or_default());
    match conversion.whose {
        Whose::Subject => format!("{side}; this list is of {server}, {known}: its mailboxes were taken as local ones"),
        Whose::Witness => format!("{side}, of {server}, {known}: its mailboxes were taken as remote ones"),
    }
}

fn witness_object(heard: &Heard) -> Json {
    let Testimony { filled, confirmed, replaced, deleted } = heard.testimony;
    let object = Object::new().bytes("file", heard.file.as_os_str().as_encoded_bytes()).with("filled", filled);
    let object = object.with("confirmed", confirmed).with("newer", replaced).with("deleted", deleted);
    if let Some(Stranger { shared, of }) = heard.stranger {
        return object.with("server_is", "another").with("shared", shared).with("of", of).done();
    }
    let Some(conversion) = &heard.conversion else { return object.done() };
    let (how, votes) = match &conversion.server {
        Server::Told(..) => ("told", None),
        Server::Inferred(_, votes) => ("inferred", Some(*votes)),
        Server::Unknown(_) => ("unknown", None),
    };
    let against = match &conversion.server {
        Server::Told(_, against) => against.as_ref().map(|(other, _)| &other[..]),
        _ => None,
    };
    object
        .with("kind", conversion.side.as_str())
        .bytes_some("server", conversion.server.name())
        .bytes_some("but_agreeing_on", against)
        .with("server_is", how)
        .with_some("agreeing", votes)
        .with("missing", heard.missing())
        .with("without_partition", conversion.placeless)
        .done()
}

fn lost_line(lost: &Lost<'_>) -> String {
    let side = |key: Option<&[u8]>| key.map_or("nothing".to_owned(), printable);
    format!("{} between {} and {}", lost.span, side(lost.before.as_deref()), side(lost.after.as_deref()))
}
