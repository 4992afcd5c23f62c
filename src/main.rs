//! The command line: parses, calls, exits.

fn main() {}
