//! `coroner log`.

use std::path::PathBuf;

use coroner::failure::Failure;
use coroner::formats::container::{Change, Depth, Ending, Record, Transaction};
use coroner::ops::findings::Findings;
use coroner::ops::keys::WantedKey;
use coroner::render::json::{self, Object};
use coroner::render::text::{count, printable, unprintable};
use serde_json::Value as Json;

use super::args::Common;
use super::bar::watched;
use super::out::Out;
use super::show::say_findings;
use super::{Done, Outcome, open, say, say_empty};

/// Print the transactions since the last checkpoint: what each added, replaced and deleted, old values too
///
/// Skiplist and twoskip files keep every change since their last checkpoint or repack. The number of a transaction is
/// what --at of the other commands takes: the database as it was when that transaction ended; 0 is the checkpoint itself.
/// Torn and uncommitted transactions are printed too.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner log mailboxes.db
  coroner log mailboxes.db --key user.bob           the history of one mailbox
  coroner show mailboxes.db --at 17 > yesterday.txt")]
pub struct Args {
    /// A mailbox list
    file: PathBuf,
    /// Only changes of this key, or of the mailbox of this internal name; \xNN stands for a byte, \\ for a backslash
    #[arg(long, value_name = "KEY")]
    key: Option<std::ffi::OsString>,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let source = open(&args.file, common)?;
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(Outcome::Findings);
    };
    let mut findings = Findings::default();
    watched("verifying", |_| database.verify(Depth::Structure, &mut |finding| findings.push(finding)));
    findings.sort();
    say_findings(&source.name(), &findings);
    if database.transactions().is_none() {
        say(&format!("{}: {} files keep no transactions", source.name(), database.format()));
    }
    let key = args.key.as_ref().map(|key| WantedKey::new(&unprintable(key.as_encoded_bytes())));
    let mut unfinished = false;
    for transaction in database.log(source.order(&*database)) {
        unfinished |= transaction.ending != Ending::Committed;
        let changes: Vec<&Change<'_>> =
            transaction.changes.iter().filter(|change| key.as_ref().is_none_or(|key| concerns(change, key))).collect();
        if key.is_some() && changes.is_empty() {
            continue;
        }
        if common.json {
            out.json(&object(&transaction, &changes))?;
        } else {
            print(&transaction, &changes, out)?;
        }
    }
    out.flush()?;
    source.still()?;
    Ok(Outcome::findings_if(unfinished || !findings.is_clean()))
}

fn concerns(change: &Change<'_>, key: &WantedKey) -> bool {
    match change {
        Change::Add(record) | Change::Replace { new: record, .. } => key.is(&record.key),
        Change::Delete { old, .. } => old.as_ref().is_some_and(|record| key.is(&record.key)),
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Committed => "committed",
        Ending::Damaged => "damaged",
        Ending::Uncommitted => "uncommitted",
    }
}

fn print(transaction: &Transaction<'_>, changes: &[&Change<'_>], out: &mut Out) -> Result<(), Failure> {
    let Transaction { number, span, ending: end, .. } = transaction;
    out.line(&format!("{number}  {span}  {}, {}", ending(*end), count(changes.len() as u64, "change")))?;
    for change in changes {
        match change {
            Change::Add(record) => {
                out.line(&format!("  add      {}", printable(&record.key)))?;
                value("", record, out)?;
            }
            Change::Replace { old, new } => {
                out.line(&format!("  replace  {}", printable(&new.key)))?;
                value("was ", old, out)?;
                value("now ", new, out)?;
            }
            Change::Delete { old: Some(record), certain, .. } => {
                let doubt = if *certain { "" } else { "  (inferred beside damage: uncertain)" };
                out.line(&format!("  delete   {}{doubt}", printable(&record.key)))?;
                value("was ", record, out)?;
            }
            Change::Delete { span, old: None, .. } => {
                out.line(&format!("  delete   of a record that can't be known, at {span}"))?
            }
        }
    }
    Ok(())
}

fn value(when: &str, record: &Record<'_>, out: &mut Out) -> Result<(), Failure> {
    out.line(&format!("           {when}{}  at {}", printable(&record.value), record.span))
}

fn object(transaction: &Transaction<'_>, changes: &[&Change<'_>]) -> Json {
    let changes: Vec<Json> = changes.iter().map(|change| change_object(change)).collect();
    Object::schema("log")
        .with("transaction", transaction.number)
        .with("span", json::span(transaction.span))
        .with("ending", ending(transaction.ending))
        .with("changes", changes)
        .done()
}

fn change_object(change: &Change<'_>) -> Json {
    let state =
        |record: &Record<'_>| Object::new().bytes("value", &record.value).with("span", json::span(record.span)).done();
    match change {
        Change::Add(record) => {
            Object::new().with("change", "add").bytes("key", &record.key).with("new", state(record)).done()
        }
        Change::Replace { old, new } => {
            let object = Object::new().with("change", "replace").bytes("key", &new.key);
            object.with("old", state(old)).with("new", state(new)).done()
        }
        Change::Delete { span, old, certain } => {
            let object = Object::new().with("change", "delete");
            let object = object.bytes_some("key", old.as_ref().map(|record| &*record.key));
            let object = object.with("span", json::span(*span)).with("certain", *certain);
            object.with_some("old", old.as_ref().map(state)).done()
        }
    }
}
