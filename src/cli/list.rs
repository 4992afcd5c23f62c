//! `coroner list`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use coroner::failure::Failure;
use coroner::formats::record::{Entry, Flag, Kind};
use coroner::ops::entries::Decoder;
use coroner::ops::list::Filter;
use coroner::ops::reading::Reading;
use coroner::ops::show::each;
use coroner::render::entry::{Widths, object};
use coroner::render::json::{self, Object};
use coroner::render::text::unprintable;

use super::args::{Common, Past};
use super::bar::watched;
use super::out::Out;
use super::show::say_findings;
use super::{Done, Outcome, open_at, say_empty};

/// List mailboxes: name, type, server, partition, uniqueid, ACL; with --json everything their records hold
///
/// Lists what `ctl_mboxlist -d` lists: every mailbox by its own name, deleted and reserved ones too, without the
/// placeholders for missing parents (intermediates), which --all adds. Names are Cyrus' internal ones: user.bob.Sent.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Type letters: e mail, n news, c calendar, a address book, b files, s p j JMAP, f sieve; then d deleted, m moving,
r remote, z reserved, i intermediate, l folders laid out by name.

Examples:
  coroner list mailboxes.db --user bob
  coroner list mailboxes.db --server be1.example.com --count
  coroner list mailboxes.db --flag reserved
  coroner list mailboxes.db --json | jq -r 'select(.uidvalidity == null) | .name'")]
pub struct Args {
    /// A mailbox list in any format, or - for standard input
    file: PathBuf,
    /// Only mailboxes of this user: bob, or bob@example.com in a virtual domain
    #[arg(long, value_name = "USERID")]
    user: Option<OsString>,
    /// Only mailboxes whose internal name starts with this
    #[arg(long, value_name = "NAME")]
    prefix: Option<OsString>,
    /// Only mailboxes on this server; '' for those that name none
    #[arg(long, value_name = "NAME")]
    server: Option<OsString>,
    /// Only mailboxes on this partition; '' for those that name none
    #[arg(long, value_name = "NAME")]
    partition: Option<OsString>,
    /// Only mailboxes of this type: a word or its letter
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<Kind>,
    /// Only mailboxes with this flag: a word or its letter; several must all be set
    #[arg(long = "flag", value_name = "FLAG", value_parser = flag)]
    flags: Vec<Flag>,
    /// Placeholders for missing parents too
    #[arg(long)]
    all: bool,
    /// Print only how many there are
    #[arg(long)]
    count: bool,
    #[command(flatten)]
    past: Past,
}

impl Args {
    fn filter(&self) -> Filter {
        let bytes = |text: &Option<OsString>| text.as_ref().map(|text| unprintable(text.as_encoded_bytes()));
        Filter {
            user: bytes(&self.user),
            prefix: bytes(&self.prefix),
            server: bytes(&self.server),
            partition: bytes(&self.partition),
            kind: self.kind,
            flags: self.flags.clone(),
            intermediates: self.all,
        }
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| is(text, kind.as_str(), kind.letter()));
    found.ok_or_else(|| format!("one of: {}", Kind::ALL.map(Kind::as_str).join(", ")))
}

fn flag(text: &str) -> Result<Flag, String> {
    let found = Flag::ALL.into_iter().find(|flag| is(text, flag.as_str(), flag.letter()));
    found.ok_or_else(|| format!("one of: {}", Flag::ALL.map(Flag::as_str).join(", ")))
}

fn is(text: &str, word: &str, letter: u8) -> bool {
    text.eq_ignore_ascii_case(word) || text.as_bytes() == [letter]
}

/// Entries looked at to choose the widths of columns.
const SAMPLE: usize = 1000;

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let source = open_at(&args.file, common, args.past)?;
    let Some(database) = source.database() else {
        say_empty(&source);
        if args.count {
            print_count(0, common, out)?;
        }
        return Ok(Outcome::Findings);
    };
    let reading = watched("verifying", |_| Reading::new(&source, &*database))?;
    say_findings(&source.name(), &reading.findings);
    let decoder = Decoder::new(&reading);
    let filter = args.filter();
    let count = AtomicU64::new(0);
    let widths = if args.count || common.json { Widths::of([]) } else { widths(&reading, decoder, &filter) };
    if !args.count && !common.json {
        out.line(&widths.head())?;
    }
    watched("reading", |watch| {
        watch.covers(source.len());
        each(
            &reading,
            b"",
            watch,
            |bytes| out.bytes(bytes),
            |record, line| {
                let Some(entry) = decoder.mailbox(record).filter(|entry| filter.takes(entry)) else { return };
                if args.count {
                    count.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                let text = match common.json {
                    true => json::line(&object(Object::schema("list"), &entry, record)),
                    false => widths.row(&entry),
                };
                line.extend_from_slice(text.as_bytes());
                line.push(b'\n');
            },
        )
    })
    .map_err(Failure::output)?;
    if args.count {
        print_count(count.into_inner(), common, out)?;
    }
    out.flush()?;
    source.still()?;
    Ok(Outcome::findings_if(!reading.findings.is_clean()))
}

fn print_count(count: u64, common: &Common, out: &mut Out) -> Result<(), Failure> {
    match common.json {
        true => out.json(&Object::schema("list").with("count", count).done()),
        false => out.line(&count.to_string()),
    }
}

fn widths(reading: &Reading<'_, '_>, decoder: Decoder, filter: &Filter) -> Widths {
    let mut sample: Vec<Entry<'static>> = Vec::new();
    for part in 0..reading.parts() {
        reading.walk(part, &mut |record| {
            let entry = decoder.mailbox(&record).filter(|entry| filter.takes(entry));
            sample.extend(entry.map(Entry::into_owned));
            sample.len() < SAMPLE
        });
        if sample.len() >= SAMPLE {
            break;
        }
    }
    Widths::of(&sample)
}
