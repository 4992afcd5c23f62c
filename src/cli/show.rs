//! `coroner show`.

use std::path::PathBuf;

use coroner::failure::Failure;
use coroner::formats::container::Record;
use coroner::ops::findings::KEPT_PER_RULE;
use coroner::ops::reading::Reading;
use coroner::ops::{self, findings::Findings};
use coroner::render::json::{self, Object};
use coroner::render::text;

use super::args::{Common, Past};
use super::bar::watched;
use super::out::Out;
use super::{Done, Outcome, open_at, say, say_empty};

/// Print the live records as `cyr_dbtool FILE FORMAT show` does: key TAB value LF, raw bytes
///
/// Of a damaged file, everything that can be proven or plausibly read is printed, what was found goes to standard
/// error, and the exit status is 1.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner show mailboxes.db > mailboxes.txt
  coroner show mailboxes.db $'Nuser\\x1fbob'     records whose key starts with these bytes")]
pub struct Args {
    /// A mailbox list in any format, or - for standard input
    file: PathBuf,
    /// Only records whose key starts with this
    prefix: Option<std::ffi::OsString>,
    #[command(flatten)]
    past: Past,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let source = open_at(&args.file, common, args.past)?;
    let prefix = args.prefix.as_deref().unwrap_or_default().as_encoded_bytes();
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(Outcome::Findings);
    };
    let reading = watched("verifying", |_| Reading::as_stored(&source, &*database, KEPT_PER_RULE))?;
    say_findings(&source.name(), &reading.findings);
    let json = common.json;
    watched("reading", |watch| {
        watch.covers(source.len());
        let write = |bytes: &[u8]| out.bytes(bytes);
        if json {
            ops::show::each(&reading, prefix, watch, write, |record, line| {
                line.extend_from_slice(json::line(&object(record)).as_bytes());
                line.push(b'\n');
            })
        } else {
            ops::show::lines(&reading, prefix, watch, write)
        }
    })
    .map_err(Failure::output)?;
    out.flush()?;
    source.still()?;
    Ok(Outcome::findings_if(!reading.findings.is_clean()))
}

fn object(record: &Record<'_>) -> serde_json::Value {
    Object::schema("show")
        .bytes("key", &record.key)
        .bytes("value", &record.value)
        .with("span", json::span(record.span))
        .done()
}

/// Says on standard error what is wrong with a file whose records are read all the same.
pub fn say_findings(file: &str, findings: &Findings) {
    if findings.is_clean() {
        return;
    }
    let heavy = findings.kept().iter().filter(|finding| finding.severity() > coroner::formats::finding::Severity::Note);
    for finding in heavy.take(10) {
        say(&text::finding(file, finding));
    }
    say(&format!("{file}: {}: see them all with `coroner verify`", text::tally(findings)));
}
