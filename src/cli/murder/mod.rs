//! `coroner murder`: MUPDATE.

mod drill;
mod host;
mod lists;
mod password;
mod query;
mod reach;
mod rehearse;
mod serve;
mod sim;
mod sync;

use clap::Subcommand;
use coroner::failure::Failure;

use super::Done;
use super::args::Common;
use super::out::Out;

/// Serve a mailbox list to a Cyrus Murder by MUPDATE, or ask a server for it
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Serve(Box<serve::Args>),
    Sync(sync::Args),
    Query(query::Args),
    Password(password::Args),
    Drill(drill::Args),
    Rehearse(rehearse::Args),
    Sim(sim::Args),
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    match &args.command {
        Command::Serve(args) => serve::run(args, common, out),
        Command::Sync(args) => sync::run(args, common, out),
        Command::Query(args) => query::run(args, common, out),
        Command::Password(args) => password::run(args, out),
        Command::Drill(args) => drill::run(args, common, out),
        Command::Rehearse(args) => rehearse::run(args, common, out),
        Command::Sim(args) => sim::run(args, common, out),
    }
}

/// Runs something that waits for sockets.
fn block_on<T>(threads: usize, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads.max(1)).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::usage(format!("no threads: {error}"), "free some memory"))?;
    runtime.block_on(future)
}
