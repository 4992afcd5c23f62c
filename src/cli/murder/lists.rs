//! A user's own lists, as databases that the hosts of a drill start with. The files are read as any others, and left alone.

use std::io::Cursor;
use std::path::Path;

use coroner::failure::Failure;
use coroner::formats::container::{self, Format, KeyOrder, WriteError, WriteOptions, flat};
use coroner::formats::record::{Era, Role};
use coroner::ops::convert::raw::Raw;
use coroner::ops::convert::records::Records;
use coroner::ops::convert::remarks::{Fate, Remarks};
use coroner::ops::convert::role::Host;
use coroner::ops::convert::witness::Witnesses;
use coroner::ops::convert::{Converter, Origin};
use coroner::ops::reading::Reading;

use super::super::args::Common;
use super::super::convert::target::now;
use super::super::show::say_findings;
use super::super::{open, say_empty};

/// A list that a host starts with.
pub struct Taken {
    /// A database of its records.
    pub database: Vec<u8>,
    /// Whether nothing is wrong with the file.
    pub is_sound: bool,
}

/// The list in a file of any format, as a database of the same records; of a dump, one of the records that it tells of, of a
/// master's if `role` says so. What is wrong with the file is said.
pub fn database(path: &Path, role: Option<Role>, common: &Common) -> Result<Taken, Failure> {
    let source = open(path, common)?;
    let mut file = Cursor::new(Vec::new());
    let order = KeyOrder::Unsigned;
    let options = WriteOptions { order, time: 0, style: flat::Style::Escaped };
    let wrong = |error: WriteError| Failure::file(path, error, "convert it with `coroner convert` first");
    let Some(database) = source.database() else {
        say_empty(&source);
        let none: [(&[u8], &[u8]); 0] = [];
        container::write(&mut file, Format::Twoskip, none, &options).map_err(wrong)?;
        return Ok(Taken { database: file.into_inner(), is_sound: false });
    };
    let reading = Reading::new(&source, &*database)?;
    say_findings(&source.name(), &reading.findings);
    if matches!(database.format(), Format::Json | Format::Text) {
        let converter = Converter {
            origin: Origin::of(&reading, None),
            era: Era::V3_6,
            host: Host { role, server: None },
            witnesses: Witnesses::default(),
            makes_jmapids: false,
            now: now(),
        };
        let mut remarks = Remarks::default();
        let records = Records::plan(&reading, &converter, None, order, &mut remarks);
        if records.mailboxes() == 0 && remarks.count(Fate::Unknown) > 0 {
            let what = "no entry tells which server its mailbox is on";
            return Err(Failure::file(path, what, "convert it with `coroner convert --witness` first"));
        }
        container::write(&mut file, Format::Twoskip, records.pairs(), &options).map_err(wrong)?;
    } else {
        let raw = Raw::new(&reading, Some(order));
        container::write(&mut file, Format::Twoskip, raw.pairs(), &options).map_err(wrong)?;
    }
    source.still()?;
    Ok(Taken { database: file.into_inner(), is_sound: reading.findings.is_clean() })
}
