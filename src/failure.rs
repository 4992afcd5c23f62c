//! Why an operation cannot go on: one line that names the file, what happened, and what to try next.

use std::fmt::Display;
use std::io;
use std::path::Path;

use crate::plan::safe_file::SafeFileError;
use crate::render::text::printable;

/// An operation that cannot go on. Damage in a file is not a failure but a [finding](crate::formats::finding::Finding).
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file cannot be read, or is refused.
    #[error("{file}: {what}: {next}")]
    File {
        /// The file's name as the user gave it.
        file: String,
        /// What happened.
        what: String,
        /// The next thing to try.
        next: String,
    },
    /// The command line asks for something that does not go together.
    #[error("{what}: {next}")]
    Usage {
        /// What does not go together.
        what: String,
        /// The next thing to try.
        next: String,
    },
    /// A file was not written; what stood there before still does.
    #[error(transparent)]
    Writing(#[from] SafeFileError),
    /// Standard output cannot be written.
    #[error("standard output: {0}: free some space or write elsewhere")]
    Output(io::Error),
    /// Whoever read standard output has read enough.
    #[error("standard output was closed by its reader")]
    BrokenPipe,
}

impl Failure {
    /// A failure of `file`.
    pub fn file(file: &Path, what: impl Display, next: impl Display) -> Self {
        let file = printable(file.as_os_str().as_encoded_bytes());
        Failure::File { file, what: what.to_string(), next: next.to_string() }
    }

    /// A wrong command line.
    pub fn usage(what: impl Display, next: impl Display) -> Self {
        Failure::Usage { what: what.to_string(), next: next.to_string() }
    }

    /// What the system said to writing standard output.
    pub fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Failure::BrokenPipe } else { Failure::Output(error) }
    }
}
