//! `coroner synth`.

use std::io::{BufWriter, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::{KeyOrder, WriteOptions, flat, write};
use coroner::ops::synth::{Options, Records, Release, Role};
use coroner::plan::safe_file::SafeFile;
use coroner::render::json::Object;

use super::args::{Common, WritableName};
use super::bar::watched;
use super::out::Out;
use super::{Done, Outcome};

/// Write a realistic database of invented mailboxes, for rehearsals and benchmarks
///
/// The same options and seed give the same bytes. A whole murder comes from one seed: --role master, and --server 1 to
/// --server N with --servers N for its backends. About one mailbox in a hundred is shared, one deleted; users have about
/// eight folders each.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner synth -o million.db --mailboxes 1000000 --seed 1
  coroner synth -o master.db --mailboxes 5000 --seed 1 --role master --era 3.4 --to skiplist
  coroner synth -o be3.db --mailboxes 5000 --seed 1 --servers 16 --server 3 --conflicts 1000")]
pub struct Args {
    /// The file to write
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// How many mailboxes
    #[arg(long, value_name = "N")]
    mailboxes: u32,
    /// What everything else follows from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// The role of the host it could come from
    #[arg(long, value_enum, default_value = "backend")]
    role: RoleName,
    /// The release that could have written it
    #[arg(long, value_enum, default_value = "3.6")]
    era: EraName,
    /// The container
    #[arg(long, value_enum, default_value = "twoskip")]
    to: WritableName,
    /// How many backends the entries of a master or frontend name
    #[arg(long, value_name = "N", default_value_t = 4)]
    servers: u32,
    /// Only the mailboxes of this one of the backends: beN.example.com
    #[arg(long, value_name = "N")]
    server: Option<u32>,
    /// Let the hosts of a murder contradict each other about one mailbox in so many
    #[arg(long, value_name = "N")]
    conflicts: Option<NonZeroU32>,
    /// Save the names of those mailboxes here, each with what is wrong with it
    #[arg(long, value_name = "FILE", requires = "conflicts")]
    planted: Option<PathBuf>,
    /// Overwrite OUT if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Standalone,
    Backend,
    Frontend,
    Master,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EraName {
    #[value(name = "2.2")]
    V2_2,
    #[value(name = "2.4")]
    V2_4,
    #[value(name = "2.5")]
    V2_5,
    #[value(name = "3.0")]
    V3_0,
    #[value(name = "3.4")]
    V3_4,
    #[value(name = "3.6")]
    V3_6,
    #[value(name = "3.12")]
    V3_12,
}

impl EraName {
    fn release(self) -> Release {
        match self {
            EraName::V2_2 => Release::V2_2,
            EraName::V2_4 => Release::V2_4,
            EraName::V2_5 => Release::V2_5,
            EraName::V3_0 => Release::V3_0,
            EraName::V3_4 => Release::V3_4,
            EraName::V3_6 => Release::V3_6,
            EraName::V3_12 => Release::V3_12,
        }
    }
}

/// When invented skiplist files say they were last recovered, in seconds: a fixed time, so that the bytes are too.
const LAST_RECOVERY: u32 = 1_790_000_000;

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let release = args.era.release();
    let role = match args.role {
        RoleName::Standalone | RoleName::Backend => Role::Backend,
        RoleName::Frontend | RoleName::Master => Role::Remote,
    };
    let Args { mailboxes, seed, servers, server, conflicts, .. } = *args;
    if let Some(server) = server.filter(|server| role != Role::Backend || *server == 0 || *server > servers) {
        let what = format!("--server {server}: no backend of that number");
        return Err(Failure::usage(what, "give a number from 1 to that of --servers, and --role backend"));
    }
    let style = if release < Release::V2_5 { flat::Style::Raw } else { flat::Style::Escaped };
    let options = WriteOptions { order: KeyOrder::Unsigned, time: LAST_RECOVERY, style };
    let file = SafeFile::create(&args.output, args.force)?;
    let written = watched("inventing", |_| {
        let records = Records::new(Options { mailboxes, seed, role, release, servers, server, conflicts });
        if let Some(path) = &args.planted {
            save_planted(path, args.force, &records)?;
        }
        let written = write(&mut file.file(), args.to.format(), records.pairs(), &options);
        written.map_err(|error| Failure::file(&args.output, error, "nothing was written"))
    })?;
    file.finish(|_| Ok(()))?;
    if common.json {
        let document = Object::schema("synth").with("records", written.records).with("len", written.len).done();
        out.json(&document)?;
    }
    Ok(Outcome::Clean)
}

/// Saves what is planted: a name, a TAB and the word of its kind a line.
fn save_planted(path: &Path, force: bool, records: &Records) -> Result<(), Failure> {
    let file = SafeFile::create(path, force)?;
    let mut lines = BufWriter::new(file.file());
    let written = records.all_planted().try_for_each(|(name, kind)| writeln!(lines, "{name}\t{}", kind.as_str()));
    let written = written.and_then(|()| lines.flush());
    written.map_err(|error| Failure::file(path, error, "free some space"))?;
    drop(lines);
    Ok(file.finish(|_| Ok(()))?)
}
