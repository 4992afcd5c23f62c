//! `coroner diff`.

use std::path::{Path, PathBuf};

use coroner::failure::Failure;
use coroner::formats::container::Database;
use coroner::formats::record::Acl;
use coroner::input::Source;
use coroner::ops::canon::{Aspect, Canon};
use coroner::ops::diff::{Comparison, Difference, Side};
use coroner::ops::reading::Reading;
use coroner::render::entry::{acl, with_acl};
use coroner::render::json::{self, Object};
use coroner::render::text::{count, printable};
use serde_json::Value as Json;

use super::args::{Common, Past};
use super::bar::watched;
use super::out::Out;
use super::show::say_findings;
use super::{Done, Outcome, open, open_at, say, say_empty};

/// Compare the mailbox entries of two files of any formats and eras, field by field
///
/// The time of a record's last write (mtime) does not count, nor does what one of the files has in none of its entries
/// because its era or dump could not hold it; with --exact everything counts. Exit status 1 says that they differ.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner diff mailboxes.db /srv/backup/mailboxes.db
  coroner diff master.db frontend.db
  ctl_mboxlist -d | coroner diff mailboxes.db -")]
pub struct Args {
    /// The file to compare with
    a: PathBuf,
    /// The file to compare
    b: PathBuf,
    /// Compare every field, mtime too
    #[arg(long)]
    exact: bool,
    #[command(flatten)]
    past: Past,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    if args.a == Path::new("-") && args.b == Path::new("-") {
        return Err(Failure::usage("both files are standard input", "name a file for one of them"));
    }
    let sources = [open_at(&args.a, common, args.past)?, open(&args.b, common)?];
    let databases = sources.each_ref().map(Source::database);
    let a = side(&sources[0], databases[0].as_deref())?;
    let b = side(&sources[1], databases[1].as_deref())?;
    for source in &sources {
        source.still()?;
    }
    let (a, b, clean) = (a.0, b.0, a.1 && b.1);
    let comparison = Comparison::new(&a, &b, args.exact);
    if !comparison.lacking.is_empty() {
        let names: Vec<&str> = comparison.lacking.iter().map(|aspect| aspect.as_str()).collect();
        say(&format!("not compared, because one file has none: {} (--exact compares all)", names.join(", ")));
    }
    let mut tally = Tally::default();
    let mut written = Ok(());
    comparison.each(&a, &b, |difference| {
        tally.add(&difference);
        written = if common.json { out.json(&object(&difference)) } else { print(&difference, out) };
        written.is_ok()
    });
    written?;
    if !common.json {
        out.line(&tally.line(args, &sources, (a.len(), b.len())))?;
    }
    Ok(Outcome::findings_if(!clean || tally != Tally::default()))
}

/// The entries of a file, and whether nothing was found wrong with it.
fn side<'a>(source: &Source, database: Option<&(dyn Database<'a> + 'a)>) -> Result<(Side<'a>, bool), Failure> {
    let Some(database) = database else {
        say_empty(source);
        return Ok((Side::empty(), false));
    };
    let reading = watched("verifying", |_| Reading::new(source, database))?;
    say_findings(&source.name(), &reading.findings);
    let side = watched("reading", |watch| {
        watch.covers(source.len());
        Side::new(&reading, watch)
    });
    Ok((side, reading.findings.is_clean()))
}

#[derive(Default, PartialEq, Eq)]
struct Tally {
    added: u64,
    removed: u64,
    changed: u64,
}

impl Tally {
    fn add(&mut self, difference: &Difference<'_>) {
        match difference {
            Difference::Added(_) => self.added += 1,
            Difference::Removed(_) => self.removed += 1,
            Difference::Changed { .. } => self.changed += 1,
        }
    }

    fn line(&self, args: &Args, [a, b]: &[Source; 2], (in_a, in_b): (usize, usize)) -> String {
        let head =
            format!("{} ({}) to {} ({})", a.name(), count(in_a as u64, "entry"), b.name(), count(in_b as u64, "entry"));
        if *self == Tally::default() {
            let but = if args.exact { "" } else { " but for mtime" };
            return format!("{head}: no difference{but}");
        }
        format!("{head}: {} added, {} removed, {} changed", self.added, self.removed, self.changed)
    }
}

fn print(difference: &Difference<'_>, out: &mut Out) -> Result<(), Failure> {
    match difference {
        Difference::Added(one) => out.line(&format!("+ {} {}", printable(one.name), summary(one.says))),
        Difference::Removed(one) => out.line(&format!("- {} {}", printable(one.name), summary(one.says))),
        Difference::Changed { name, fields, .. } => {
            out.line(&format!("~ {}", printable(name)))?;
            fields.iter().try_for_each(|(aspect, [a, b])| {
                out.line(&format!("    {}: {} -> {}", aspect.as_str(), shown(*aspect, *a), shown(*aspect, *b)))
            })
        }
    }
}

/// An entry in a few words: `er be1.example.com!default bob lrs`.
fn summary(says: &Canon<'_>) -> String {
    if let Some(value) = says.get(Aspect::Unreadable) {
        return format!("(unreadable: {})", printable(value));
    }
    let server = says.get(Aspect::Server).map(|server| printable(server) + "!").unwrap_or_default();
    let part = |aspect| shown(aspect, says.get(aspect));
    format!("{} {server}{} {}", part(Aspect::Mbtype), part(Aspect::Partition), part(Aspect::Acl))
}

fn shown(aspect: Aspect, value: Option<&[u8]>) -> String {
    match (aspect, value) {
        (_, None) => "-".to_owned(),
        (Aspect::Acl, Some(text)) => acl(text),
        (_, Some(value)) => printable(value),
    }
}

fn object(difference: &Difference<'_>) -> Json {
    let object = Object::schema("diff");
    match difference {
        Difference::Added(one) => {
            let object = object.with("change", "added").bytes("name", one.name);
            object.with("entry", entry(one.says)).with("b_span", json::span(one.record.span)).done()
        }
        Difference::Removed(one) => {
            let object = object.with("change", "removed").bytes("name", one.name);
            object.with("entry", entry(one.says)).with("a_span", json::span(one.record.span)).done()
        }
        Difference::Changed { name, records: [a, b], fields } => {
            let fields: Vec<Json> = fields.iter().map(|(aspect, [a, b])| changed(*aspect, *a, *b)).collect();
            object
                .with("change", "changed")
                .bytes("name", name)
                .with("fields", fields)
                .with("a_span", json::span(a.span))
                .with("b_span", json::span(b.span))
                .done()
        }
    }
}

fn changed(aspect: Aspect, a: Option<&[u8]>, b: Option<&[u8]>) -> Json {
    let object = member(Object::new().with("field", aspect.as_str()), "a", aspect, a);
    member(object, "b", aspect, b).done()
}

fn entry(says: &Canon<'_>) -> Json {
    let with = |object, &aspect: &Aspect| match says.get(aspect) {
        Some(value) => member(object, aspect.as_str(), aspect, Some(value)),
        None => object,
    };
    Aspect::ALL.iter().fold(Object::new(), with).done()
}

/// A field's value: an ACL as rights by identifier, numbers as numbers, times as times, everything else as text.
fn member(object: Object, name: &str, aspect: Aspect, value: Option<&[u8]>) -> Object {
    let number = || value.and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
    match (aspect, value) {
        (_, None) => object.with(name, Json::Null),
        (Aspect::Acl, Some(text)) => with_acl(object, name, &Acl::text(text)),
        (Aspect::Mtime, _) => object.with(name, number().map(json::time)),
        (Aspect::Uidvalidity | Aspect::Createdmodseq | Aspect::Foldermodseq, _) => object.with(name, number()),
        (_, Some(value)) => object.bytes(name, value),
    }
}
