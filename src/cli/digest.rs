//! `coroner digest`.

use std::path::PathBuf;

use coroner::ops::digest::Digest;
use coroner::ops::reading::Reading;
use coroner::render::json::Object;

use super::args::{Common, Past};
use super::bar::watched;
use super::out::Out;
use super::show::say_findings;
use super::{Done, Outcome, for_each_file, open_at, say_empty};

/// Print a hash of a file's mailbox entries: equal for two files exactly when `diff --exact` finds nothing
///
/// The hash covers each mailbox's internal name, type letters, server, partition, ACL, uniqueid, JMAP id, uidvalidity,
/// modseqs, special use and mtime, and no more: the same entries in another format, key order or encoding have the same
/// digest. It is the sum, modulo 2^256, of a BLAKE3 hash of each entry.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner digest mailboxes.db
  coroner digest mailboxes.db mailboxes.flat      the same twice if the conversion lost nothing")]
pub struct Args {
    /// Mailbox lists in any format, or - for standard input
    #[arg(required = true)]
    file: Vec<PathBuf>,
    #[command(flatten)]
    past: Past,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    for_each_file(&args.file, |path| {
        let source = open_at(path, common, args.past)?;
        let mut outcome = Outcome::Findings;
        let digest = match source.database() {
            None => {
                say_empty(&source);
                Digest::default()
            }
            Some(database) => {
                let reading = watched("verifying", |_| Reading::new(&source, &*database))?;
                say_findings(&source.name(), &reading.findings);
                outcome = Outcome::findings_if(!reading.findings.is_clean());
                watched("reading", |watch| {
                    watch.covers(source.len());
                    Digest::of(&reading, watch)
                })
            }
        };
        source.still()?;
        if common.json {
            let object = Object::schema("digest").bytes("file", path.as_os_str().as_encoded_bytes());
            out.json(&object.with("digest", digest.to_string()).with("entries", digest.entries).done())?;
        } else {
            out.line(&format!("{digest}  {}", source.name()))?;
        }
        Ok(outcome)
    })
}
