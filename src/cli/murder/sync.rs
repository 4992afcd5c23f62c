//! `coroner murder sync`.

use std::borrow::Cow;
use std::ffi::OsString;

use coroner::failure::Failure;
use coroner::formats::record::Key;
use coroner::murder::net::client::Connection;
use coroner::murder::net::push::{carry_out, plan};
use coroner::murder::node::push::{Deed, Own};
use coroner::ops::account::Account;
use coroner::ops::push::{Local, Manner};
use coroner::ops::reading::Reading;
use coroner::render::json::Object;
use coroner::render::text::{count, printable};

use super::super::args::{Common, named_file};
use super::super::out::Out;
use super::super::{Done, Outcome, open, say};
use super::reach::Reach;

/// Bring a mupdate master into line with a backend's list: what `ctl_mboxlist -m` does on the backend
///
/// Prints the lines that Cyrus prints or logs for the same decisions, in the same order. The backend's file is only read: where
/// Cyrus would delete a local mailbox with its messages, because the master says that it is on another server, or clear the flag of a
/// transfer, that is said and not done. Exits 1 if something is left to be done.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner murder sync --backend be1.example.com=mailboxes.db --master localhost:3905 --dry-run
  coroner murder sync --backend be1.example.com=mailboxes.db --master mup.example.com --user murder --password-file secret")]
pub struct Args {
    /// The backend's name, as in its servername, and its database
    #[arg(long, value_name = "NAME=FILE")]
    backend: OsString,
    /// The master; port 3905 unless one is named
    #[arg(long, value_name = "HOST:PORT")]
    master: String,
    /// Only say what would be done: ctl_mboxlist -mw
    #[arg(long)]
    dry_run: bool,
    /// Believe the backend, whatever the master says: ctl_mboxlist -ma
    #[arg(long)]
    authoritative: bool,
    /// The backend is a frontend too: mupdate_config unified
    #[arg(long)]
    unified: bool,
    #[command(flatten)]
    reach: Reach,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let (name, path) = named_file(&args.backend);
    let Some(server) = name.filter(|name| !name.is_empty() && !name.contains(&b'!')) else {
        return Err(Failure::usage("--backend names no server", "name it: --backend NAME=FILE"));
    };
    let source = open(&path, common)?;
    let own = match source.database() {
        None => Vec::new(),
        Some(database) => own(&Reading::new(&source, &*database)?, &source.name())?,
    };
    source.still()?;
    let target = args.reach.target(&args.master)?;
    let manner = Manner { authoritative: args.authoritative, unified: args.unified };
    let (deeds, refused) = super::block_on(1, async {
        let lost = |error: std::io::Error| {
            Failure::usage(
                format!("{}: {error}", args.master),
                "see the master's log; what was done is done, try again",
            )
        };
        let mut master = Connection::open(&target).await?;
        let deeds = plan(&mut master, &server, &own, manner).await.map_err(lost)?;
        let mut refused = Vec::new();
        if !args.dry_run {
            let answers = carry_out(&mut master, &deeds).await.map_err(lost)?;
            refused.extend(answers.into_iter().map(|(deed, said)| (deed.clone(), said)));
        }
        master.log_out().await;
        Ok((deeds, refused))
    })?;
    for deed in &deeds {
        print(deed, common.json, out)?;
    }
    for (deed, said) in &refused {
        say(&format!("{}: {}: the master says {said}", deed.words, printable(&deed.name)));
    }
    let left = deeds.iter().filter(|deed| deed.change.is_none()).count();
    if left > 0 && !args.dry_run {
        let what = count(left as u64, "local mailbox");
        say(&format!("{what} would be changed or deleted by ctl_mboxlist -m: nothing was done to any"));
    }
    let undone = if args.dry_run { !deeds.is_empty() } else { left > 0 || !refused.is_empty() };
    Ok(Outcome::findings_if(undone))
}

/// The backend's own records, in its order.
fn own(reading: &Reading<'_, '_>, name: &str) -> Result<Vec<Own>, Failure> {
    if !reading.findings.is_clean() {
        let what = format!("{name}: is damaged");
        return Err(Failure::usage(what, "the master would forget what can't be read: `coroner recover` it first"));
    }
    let account = Account::of(reading);
    let mut own = Vec::new();
    reading.each(|record| {
        let decoded = account.decode(&record.key, &record.value);
        let (Key::Mailbox(name), Some(entry)) = (decoded.key, decoded.entry) else { return };
        let local = Local::of(&entry);
        let (partition, acl) = (Cow::Owned(local.partition.into_owned()), Cow::Owned(local.acl.into_owned()));
        own.push((name.to_internal().into_owned(), Local { state: local.state, partition, acl }));
    });
    Ok(own)
}

fn print(deed: &Deed, json: bool, out: &mut Out) -> Result<(), Failure> {
    if json {
        let object = Object::schema("murder-sync").with("decision", deed.words).bytes("name", &deed.name);
        return out.json(&object.with("told_to_master", deed.change.is_some()).done());
    }
    out.line(&format!("{}: {}", deed.words, printable(&deed.name)))
}
