//! `coroner verify`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::Depth;
use coroner::formats::finding::Severity;
use coroner::input::Source;
use coroner::ops::findings::KEPT_PER_RULE;
use coroner::ops::verify::{Verified, verify};
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

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let mut files = Vec::new();
    let outcome = for_each_file(&args.file, |path| {
        let done = one(path, args, common);
        if common.json {
            files.push(document(path, &done));
        }
        let (source, verified) = done?;
        if !common.json {
            print(&source, verified.as_ref(), out)?;
        }
        source.still()?;
        Ok(Outcome::findings_if(verified.is_none_or(|verified| !verified.findings.is_clean())))
    })?;
    if common.json {
        out.json(&Object::schema("verify").with("files", files).done())?;
    }
    Ok(outcome)
}

/// Verifies one file; nothing is there to verify in one of zero bytes.
fn one(path: &Path, args: &Args, common: &Common) -> Result<(Source, Option<Verified>), Failure> {
    let source = open(path, common)?;
    let verified = source
        .database()
        .map(|database| watched("verifying", |_| verify(&*database, args.depth.into(), args.max_findings)));
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
    if let Some(records) = verified.records {
        about += &format!(", {}", text::count(records, "record"));
    }
    match verified.findings.worst() {
        Some(Severity::Error) => format!("damaged: {}", text::tally(&verified.findings)),
        Some(Severity::Warning) => format!("not as it should be: {}", text::tally(&verified.findings)),
        Some(Severity::Note) => format!("clean ({about}, {})", text::tally(&verified.findings)),
        None => format!("clean ({about})"),
    }
}

fn document(path: &Path, done: &Result<(Source, Option<Verified>), Failure>) -> Json {
    let object = Object::new().bytes("file", path.as_os_str().as_encoded_bytes());
    let (source, verified) = match done {
        Ok(done) => done,
        Err(failure) => return object.with("verdict", "failed").with("error", failure.to_string()).done(),
    };
    let object = object.with("len", source.bytes().len()).with_some("format", source.format().map(|f| f.as_str()));
    let Some(Verified { findings, records }) = verified else {
        return object.with("verdict", "empty").with("message", EMPTY).done();
    };
    let word = match findings.worst() {
        Some(Severity::Error) => "damaged",
        Some(Severity::Warning) => "suspect",
        _ => "clean",
    };
    let counts =
        json::counts(Severity::ALL.map(|severity| (format!("{}s", severity.as_str()), findings.count(severity))));
    let kept: Vec<Json> = findings.kept().iter().map(json::finding).collect();
    let more: Vec<Json> = findings.more().map(|(rule, more)| json!({"code": rule.code, "count": more})).collect();
    object
        .with("verdict", word)
        .with("counts", counts)
        .with_some("records", *records)
        .with("findings", kept)
        .with("more", more)
        .done()
}
