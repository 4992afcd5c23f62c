//! `coroner verify`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::{Database, Depth};
use coroner::formats::finding::Severity;
use coroner::formats::record::{Role, Survey};
use coroner::input::Source;
use coroner::ops::findings::KEPT_PER_RULE;
use coroner::ops::verify::{Scope, Verified, verify};
use coroner::render::json::{self, Object};
use coroner::render::text;
use serde_json::{Value as Json, json};

use super::args::Common;
use super::bar::watched;
use super::out::Out;
use super::{Done, EMPTY, Outcome, for_each_file, open};

/// Check every rule of a file's format and of its records, and name every fault with its place
///
/// A finding is a line `FILE:0xSTART-0xEND: severity code: message`; a verdict a file follows. Notes are worth knowing
/// and leave the exit status 0; warnings and errors make it 1.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner verify mailboxes.db
  coroner verify --json --depth structure /srv/backup/*/mailboxes.db")]
pub struct Args {
    /// Mailbox lists in any format, or - for standard input
    #[arg(required = true)]
    file: Vec<PathBuf>,
    /// How far to go: the file header, the whole container, or every record too
    #[arg(long, default_value = "full")]
    depth: DepthName,
    /// Hold the entries against what they must be on such a host
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// How many findings of one rule to print
    #[arg(long, value_name = "N", default_value_t = KEPT_PER_RULE)]
    max_findings: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DepthName {
    Header,
    Structure,
    Full,
}

impl From<DepthName> for Depth {
    fn from(name: DepthName) -> Depth {
        match name {
            DepthName::Header => Depth::Header,
            DepthName::Structure => Depth::Structure,
            DepthName::Full => Depth::Full,
        }
    }
}

fn role(text: &str) -> Result<Role, String> {
    let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
    found.ok_or_else(|| format!("one of: {}", Role::ALL.map(Role::as_str).join(", ")))
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    for_each_file(&args.file, |path| {
        let done = one(path, args, common);
        if common.json {
            out.json(&document(path, &done))?;
        }
        let (source, verified) = done?;
        if !common.json {
            print(&source, verified.as_ref(), out)?;
        }
        Ok(Outcome::findings_if(verified.is_none_or(|verified| !verified.findings.is_clean())))
    })
}

/// Verifies one file; nothing is there to verify in one of zero bytes.
fn one(path: &Path, args: &Args, common: &Common) -> Result<(Source, Option<Verified>), Failure> {
    let source = open(path, common)?;
    let scope = Scope { depth: args.depth.into(), role: args.role, per_rule: args.max_findings };
    let verify = |database: Box<dyn Database<'_> + '_>| {
        watched("verifying", |watch| {
            watch.covers(source.len());
            verify(&source, &*database, scope, watch)
        })
    };
    let verified = source.database().map(verify).transpose()?;
    source.still()?;
    Ok((source, verified))
}

fn print(source: &Source, verified: Option<&Verified>, out: &mut Out) -> Result<(), Failure> {
    let file = source.name();
    let Some(verified) = verified else {
        return out.line(&format!("{file}: empty: {EMPTY}"));
    };
    for finding in verified.findings.kept() {
        out.line(&text::finding(&file, finding))?;
    }
    for (rule, more) in verified.findings.more() {
        out.line(&format!("{file}: … and {more} more of {} (--max-findings shows more)", rule.code))?;
    }
    out.line(&format!("{file}: {}", verdict(source, verified)))
}

/// `clean (twoskip, 85 records)`, `damaged: 2 errors, 1 warning`.
fn verdict(source: &Source, verified: &Verified) -> String {
    let mut about = source.format().map_or(String::new(), |format| format.to_string());
    if let Some(survey) = &verified.survey {
        let (records, mailboxes) = (survey.records(), survey.mailboxes);
        about += &format!(", {}, {}", text::count(records, "record"), text::count(mailboxes, "mailbox"));
    }
    match verified.findings.worst() {
        Some(Severity::Error) => format!("damaged: {}", text::tally(&verified.findings)),
        Some(Severity::Warning) => format!("not as it should be: {}", text::tally(&verified.findings)),
        Some(Severity::Note) => format!("clean ({about}, {})", text::tally(&verified.findings)),
        None => format!("clean ({about})"),
    }
}

fn document(path: &Path, done: &Result<(Source, Option<Verified>), Failure>) -> Json {
    let object = Object::schema("verify").bytes("file", path.as_os_str().as_encoded_bytes());
    let (source, verified) = match done {
        Ok(done) => done,
        Err(failure) => return object.with("verdict", "failed").with("error", failure.to_string()).done(),
    };
    let object = object.with("len", source.len()).with_some("format", source.format().map(|f| f.as_str()));
    let Some(Verified { findings, survey, .. }) = verified else {
        return object.with("verdict", "empty").with("message", EMPTY).done();
    };
    let counts =
        json::counts(Severity::ALL.map(|severity| (format!("{}s", severity.as_str()), findings.count(severity))));
    let kept: Vec<Json> = findings.kept().iter().map(json::finding).collect();
    let more: Vec<Json> = findings.more().map(|(rule, more)| json!({"code": rule.code, "count": more})).collect();
    object
        .with("verdict", json::verdict(findings))
        .with("counts", counts)
        .with_some("records", survey.as_ref().map(Survey::records))
        .with_some("mailboxes", survey.as_ref().map(|survey| survey.mailboxes))
        .with("findings", kept)
        .with("more", more)
        .done()
}
