//! Standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write, stdout};
use std::os::fd::AsFd;

use anstream::{AutoStream, ColorChoice};
use coroner::failure::Failure;
use coroner::render::json;
use serde_json::Value as Json;

/// Standard output, buffered in large pieces; every error becomes a [`Failure`].
pub struct Out {
    file: BufWriter<File>,
}

impl Out {
    /// Takes standard output.
    pub fn new() -> Result<Self, Failure> {
        let file = stdout().as_fd().try_clone_to_owned().map_err(Failure::output)?;
        Ok(Out { file: BufWriter::with_capacity(1 << 16, file.into()) })
    }

    /// Takes what nobody is to read.
    pub fn nowhere() -> Result<Self, Failure> {
        let file = File::options().write(true).open("/dev/null").map_err(Failure::output)?;
        Ok(Out { file: BufWriter::new(file) })
    }

    /// Whether colours are welcome: on a terminal, unless the environment says otherwise.
    pub fn colour(&self) -> bool {
        AutoStream::choice(&stdout()) != ColorChoice::Never
    }

    /// Writes bytes as they are; large ones go past the buffer.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Writes text as it is.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(text.as_bytes()).map_err(Failure::output)
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(line)?;
        self.text("\n")
    }

    /// Writes a JSON document, on a line of its own.
    pub fn json(&mut self, document: &Json) -> Result<(), Failure> {
        self.line(&json::line(document))
    }

    /// Writes what is still buffered.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(Failure::output)
    }
}
