//! The command line's grammar and help.

use std::ffi::OsStr;
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};
use coroner::formats::container::{Format, KeyOrder};
use coroner::input::{Locking, Options};
use coroner::render::text::unprintable;

use super::{
    apply, convert, diff, digest, drift, hexdump, inspect, list, log, merge, murder, recover, repair, revive, show,
    synth, verify,
};

/// Examines, recovers, repairs and converts the mailbox lists (mailboxes.db) of Cyrus IMAP servers.
#[derive(Parser, Debug)]
#[command(name = "coroner", version, max_term_width = 100)]
#[command(after_help = "\
Exit status: 0 done and clean; 1 done, and there are findings, differences or losses; 2 not done.
Files are opened read-only, under the lock that Cyrus' own readers take, and left as they are.

Start with:
  coroner inspect /var/lib/cyrus/mailboxes.db
  coroner verify /var/lib/cyrus/mailboxes.db")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    Inspect(inspect::Args),
    Verify(verify::Args),
    List(list::Args),
    Show(show::Args),
    Hexdump(hexdump::Args),
    Log(log::Args),
    Recover(recover::Args),
    Convert(convert::Args),
    Repair(repair::Args),
    Apply(apply::Args),
    Undo(apply::UndoArgs),
    Merge(merge::Args),
    Drift(drift::Args),
    Revive(revive::Args),
    Synth(synth::Args),
    Diff(diff::Args),
    Digest(digest::Args),
    Murder(murder::Args),
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "For every command")]
pub struct Common {
    /// Read files as this format instead of the one they look like
    #[arg(long = "as", value_name = "FORMAT", global = true)]
    pub format: Option<FormatName>,
    /// The order keys stand in, instead of the one that fits them
    #[arg(long, value_name = "ORDER", global = true)]
    pub order: Option<OrderName>,
    /// Print JSON: one document, or one object a line where the answer is a list
    #[arg(long, global = true)]
    pub json: bool,
    /// Copy a file first (instantly where the file system can) and let go of its lock
    #[arg(long, global = true)]
    pub snapshot: bool,
    /// Seconds to wait for the lock of a file that is being written
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, global = true)]
    pub lock_timeout: Duration,
    /// Take no lock: for evidence on media that cannot lock
    #[arg(long, conflicts_with = "snapshot", global = true)]
    pub no_lock: bool,
    /// Use at most this many threads
    #[arg(short, long, value_name = "N", global = true)]
    pub jobs: Option<NonZeroU8>,
}

impl Common {
    /// How to open sources.
    pub fn options(&self) -> Options {
        Options {
            format: self.format.map(|name| name.0),
            order: self.order.map(|name| name.0),
            locking: if self.no_lock { Locking::None } else { Locking::Shared(self.lock_timeout) },
            snapshot: self.snapshot,
            at: None,
        }
    }
}

pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The option of commands that can look back.
#[derive(Args, Clone, Copy, Debug)]
pub struct Past {
    /// Read the database as it was after this transaction (see `coroner log`); 0 is the last checkpoint
    #[arg(long, value_name = "N")]
    pub at: Option<u64>,
}

/// A file, or `NAME=FILE` of the server of that name; the whole is a path if there is such a file.
pub fn named_file(argument: &OsStr) -> (Option<Vec<u8>>, PathBuf) {
    let parted = (!Path::new(argument).exists()).then(|| argument.to_str()?.split_once('=')).flatten();
    match parted {
        Some((name, file)) => (Some(unprintable(name.as_bytes())), PathBuf::from(file)),
        None => (None, PathBuf::from(argument)),
    }
}

/// A format by name.
#[derive(Clone, Copy, Debug)]
pub struct FormatName(Format);

impl FormatName {
    /// The format.
    pub fn format(self) -> Format {
        self.0
    }
}

impl ValueEnum for FormatName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FormatName; 11] = [
            FormatName(Format::Skiplist),
            FormatName(Format::Twoskip),
            FormatName(Format::Twom),
            FormatName(Format::Flat),
            FormatName(Format::Zeroskip),
            FormatName(Format::Berkeley),
            FormatName(Format::Lmdb),
            FormatName(Format::Sql),
            FormatName(Format::Show),
            FormatName(Format::Json),
            FormatName(Format::Text),
        ];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

/// A format that can be written, by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum WritableName {
    /// Cyrus 2.1 and later; up to 4 GiB
    Skiplist,
    /// Cyrus 2.5 and later
    Twoskip,
    /// Cyrus 3.13 and later
    Twom,
    /// Sorted lines of text
    Flat,
}

impl WritableName {
    /// The format.
    pub fn format(self) -> Format {
        match self {
            WritableName::Skiplist => Format::Skiplist,
            WritableName::Twoskip => Format::Twoskip,
            WritableName::Twom => Format::Twom,
            WritableName::Flat => Format::Flat,
        }
    }
}

/// A key order by name.
#[derive(Clone, Copy, Debug)]
pub struct OrderName(KeyOrder);

impl OrderName {
    /// The order.
    pub fn order(self) -> KeyOrder {
        self.0
    }
}

impl ValueEnum for OrderName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [OrderName; 3] =
            [OrderName(KeyOrder::Signed), OrderName(KeyOrder::Unsigned), OrderName(KeyOrder::Mbox)];
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_holds_together() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_may_have_a_fraction_but_no_sign() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert!(seconds("-1").is_err() && seconds("soon").is_err());
    }
}
