//! `coroner murder password`.

use std::io::Read;

use coroner::failure::Failure;
use coroner::murder::net::sasl;

use super::super::out::Out;
use super::super::{Done, Outcome};

/// Print the lines of a user for the password file of `serve`; the password is the first line of standard input
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  coroner murder password murder < secret >> passwords")]
pub struct Args {
    /// The user
    user: String,
}

pub fn run(args: &Args, out: &mut Out) -> Done {
    if args.user.is_empty() || args.user.contains([':', '\n', '#']) {
        return Err(Failure::usage("a user's name has no ':' and no '#'", "name another user"));
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("standard input: {error}"), "give the password there"))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(Failure::usage("the password is empty", "give it on standard input"));
    }
    for line in sasl::lines(&args.user, password, &sasl::salt()?) {
        out.line(&line)?;
    }
    Ok(Outcome::Clean)
}
