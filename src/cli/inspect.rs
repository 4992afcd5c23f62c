//! `coroner inspect`.

use std::path::PathBuf;

use coroner::formats::container::Depth;
use coroner::ops::findings::KEPT_PER_RULE;
use coroner::ops::inspect::inspect;
use coroner::ops::verify::Scope;
use coroner::render::inspect::{object, page};
use coroner::render::json::Object;

use super::args::{Common, Past};
use super::bar::watched;
use super::out::Out;
use super::{Done, EMPTY, Outcome, for_each_file, open_at};

/// Say what a file is: format, key order, era, likely role, counts, what an upgrade would do, and whether it is sound
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner inspect /var/lib/cyrus/mailboxes.db
  coroner inspect --json */mailboxes.db | jq -r '[.file, .format, .verdict] | @tsv'")]
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
        let head = Object::schema("inspect").bytes("file", path.as_os_str().as_encoded_bytes());
        let Some(database) = source.database() else {
            match common.json {
                true => out.json(&head.with("len", 0).with("verdict", "empty").with("message", EMPTY).done())?,
                false => out.line(&format!("{}\n  {EMPTY}", source.name()))?,
            }
            return Ok(Outcome::Findings);
        };
        let scope = Scope { depth: Depth::Full, role: None, per_rule: KEPT_PER_RULE };
        let inspection = watched("examining", |watch| {
            watch.covers(source.len());
            inspect(&source, &*database, scope, watch)
        })?;
        source.still()?;
        if common.json {
            out.json(&object(head, &source, &inspection))?;
        } else {
            page(&source, &inspection).iter().try_for_each(|line| out.line(line))?;
        }
        Ok(Outcome::findings_if(!inspection.verified.findings.is_clean()))
    })
}
