//! The command line: parses, calls, exits.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
