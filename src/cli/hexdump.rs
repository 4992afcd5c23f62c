//! `coroner hexdump`.

use std::ffi::OsString;
use std::path::PathBuf;

use coroner::failure::Failure;
use coroner::formats::image::Span;
use coroner::ops::hexdump::{Choice, Piece, choose, findings};
use coroner::ops::keys::WantedKey;
use coroner::render::annotate::Annotator;
use coroner::render::json::{self, Object};
use coroner::render::text::unprintable;
use rayon::prelude::*;
use serde_json::Value as Json;

use super::args::Common;
use super::bar::watched;
use super::out::Out;
use super::{Done, Outcome, open, say_empty};

/// Print every byte of a file with what it is: each tile's label, offset and fields above its bytes
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner hexdump mailboxes.db | less -R
  coroner hexdump mailboxes.db --key user.bob           every version of one record
  coroner hexdump mailboxes.db --range 0x0..0x200
  coroner hexdump mailboxes.db --findings              only what is damaged, and what stands around it")]
pub struct Args {
    /// A mailbox list in any format, or - for standard input
    file: PathBuf,
    /// Only the tile that holds this offset (decimal, or hexadecimal with 0x)
    #[arg(long, value_name = "N", value_parser = number, group = "choice")]
    offset: Option<u64>,
    /// Only the records and deletions of this key, or of the mailbox of this internal name; \xNN stands for a byte, \\ for a
    /// backslash
    #[arg(long, group = "choice")]
    key: Option<OsString>,
    /// Only the tiles that share a byte with A up to but not including B; either may be left out
    #[arg(long, value_name = "A..B", value_parser = range, group = "choice")]
    range: Option<Span>,
    /// Only the neighbourhood of damage
    #[arg(long, group = "choice")]
    findings: bool,
}

impl Args {
    fn choice(&self) -> Choice {
        match self {
            Args { offset: Some(offset), .. } => Choice::Range(Span::at(*offset, 1)),
            Args { range: Some(range), .. } => Choice::Range(*range),
            Args { key: Some(key), .. } => Choice::Key(WantedKey::new(&unprintable(key.as_encoded_bytes()))),
            Args { findings: true, .. } => Choice::Findings,
            _ => Choice::All,
        }
    }
}

/// Tiles rendered side by side before they are written.
const BATCH: usize = 512;

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let source = open(&args.file, common)?;
    let Some(database) = source.database() else {
        say_empty(&source);
        return Ok(Outcome::Findings);
    };
    let findings = watched("verifying", |_| findings(&*database));
    let annotator = Annotator::new(source.parts(), out.colour());
    let render = |piece: &Piece<'_, '_>| {
        if common.json { json::line(&object(piece)) + "\n" } else { annotator.tile(&piece.tile, &piece.findings) }
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut written: Result<(), Failure> = Ok(());
    let mut write = |batch: &mut Vec<Piece<'_, '_>>| {
        let texts: Vec<String> = batch.par_drain(..).map(|piece| render(&piece)).collect();
        texts.iter().try_for_each(|text| out.text(text))
    };
    choose(database.tiles(), &args.choice(), &findings, |piece| {
        batch.push(piece);
        if batch.len() == BATCH {
            written = write(&mut batch);
        }
        written.is_ok()
    });
    written?;
    write(&mut batch)?;
    source.still()?;
    Ok(Outcome::findings_if(
        findings.iter().any(|finding| finding.severity() > coroner::formats::finding::Severity::Note),
    ))
}

fn object(piece: &Piece<'_, '_>) -> Json {
    let object = json::tile(Object::schema("hexdump"), &piece.tile);
    let findings: Vec<Json> = piece.findings.iter().map(|finding| json::finding(finding)).collect();
    object.with("findings", findings).done()
}

/// An offset, decimal or hexadecimal.
fn number(text: &str) -> Result<u64, String> {
    let hex = text.strip_prefix("0x").or(text.strip_prefix("0X"));
    let number = hex.map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    number.map_err(|_| "not an offset: give it in decimal, or in hexadecimal with 0x".to_owned())
}

/// `A..B`, `A..` or `..B`.
fn range(text: &str) -> Result<Span, String> {
    let (start, end) = text.split_once("..").ok_or("not a range: give it as A..B")?;
    let start = if start.is_empty() { 0 } else { number(start)? };
    let end = if end.is_empty() { u64::MAX } else { number(end)? };
    if end <= start {
        return Err("an empty range: B must be greater than A".to_owned());
    }
    Ok(Span::new(start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_may_be_open_and_hexadecimal() {
        assert_eq!(range("16..0x20"), Ok(Span::new(16, 32)));
        assert_eq!(range("0x10.."), Ok(Span::new(16, u64::MAX)));
        assert_eq!(range("..5"), Ok(Span::new(0, 5)));
        assert!(range("5..5").is_err() && range("5").is_err() && range("a..b").is_err());
    }
}
