//! `coroner murder query`.

use clap::Subcommand;
use coroner::failure::Failure;
use coroner::formats::record::Acl;
use coroner::murder::net::client::Connection;
use coroner::murder::wire::command::Verb;
use coroner::murder::wire::{Reply, Row};
use coroner::render::json::Object;
use coroner::render::text::{printable, unprintable};

use super::super::args::Common;
use super::super::out::Out;
use super::super::{Done, Outcome};
use super::reach::Reach;

/// Ask a MUPDATE server for its list, for one mailbox, or whether it is there
///
/// Each mailbox is a line: name, location, and who may do what, with TABs between; a name that is only reserved has no third
/// column. FIND of a name that the server does not know exits 1.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner murder query localhost:3905 list
  coroner murder query localhost:3905 list 'be1.example.com!'
  coroner murder query localhost:3905 find user.anna")]
pub struct Args {
    /// The server; port 3905 unless one is named
    #[arg(value_name = "HOST:PORT")]
    server: String,
    #[command(subcommand)]
    question: Question,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Subcommand, Debug)]
enum Question {
    /// All mailboxes, or those whose location starts so
    List {
        /// The beginning of locations, mostly SERVER!
        prefix: Option<String>,
    },
    /// One mailbox
    Find {
        /// Its internal name
        name: String,
    },
    /// Nothing: whether the server answers
    Noop,
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let target = args.reach.target(&args.server)?;
    let verb = match &args.question {
        Question::List { prefix } => Verb::List(unprintable(prefix.as_deref().unwrap_or_default().as_bytes())),
        Question::Find { name } => Verb::Find(unprintable(name.as_bytes())),
        Question::Noop => Verb::Noop,
    };
    let (rows, said, text) = super::block_on(1, async {
        let mut connection = Connection::open(&target).await?;
        let (mut rows, mut failure) = (0_u64, None);
        let mut each = |reply: Reply<'_>| {
            if let Reply::Row(row) = reply {
                rows += 1;
                if failure.is_none() {
                    failure = write(&row, common.json, out).err();
                }
            }
        };
        let said = connection.ask(&verb, &mut each).await.map_err(|error| {
            Failure::usage(format!("{}: {error}", args.server), "log in with --user, or see the server's log")
        })?;
        failure.map_or(Ok(()), Err)?;
        let server = connection.server.clone();
        connection.log_out().await;
        Ok((rows, said, format!("{} {} {}", server.name, server.version, server.place)))
    })?;
    if matches!(args.question, Question::Noop) {
        if common.json {
            out.json(&Object::schema("murder-query").with("server", text).with("answer", said).done())?;
        } else {
            out.line(&format!("{text}: {said}"))?;
        }
    }
    Ok(Outcome::findings_if(rows == 0 && matches!(args.question, Question::Find { .. })))
}

fn write(row: &Row<'_>, json: bool, out: &mut Out) -> Result<(), Failure> {
    let acl = row.acl.map(|acl| Acl::text(acl.to_vec()));
    if json {
        let mut object = Object::schema("murder-query").bytes("name", row.name).bytes("location", row.location);
        object = object.with("state", if acl.is_some() { "active" } else { "reserved" });
        if let Some(acl) = row.acl {
            object = object.bytes("acl", acl);
        }
        return out.json(&object.done());
    }
    let mut line = format!("{}\t{}", printable(row.name), printable(row.location));
    if let Some(acl) = acl {
        let pair = |pair: coroner::formats::record::AclPair<'_>| {
            format!("{} {}", printable(&pair.identifier), printable(&pair.rights))
        };
        let pairs: Vec<String> = acl.pairs().map(pair).collect();
        line += "\t";
        line += &pairs.join(" ");
    }
    out.line(&line)
}
