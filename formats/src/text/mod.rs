//! Text dumps of mailboxes.db: `cyr_dbtool … show`, and every era of `ctl_mboxlist -d`; see `FORMAT.md` beside this file.

mod dump;
pub mod item;
pub mod rules;
pub mod show;
mod verify;

use memchr::memchr;

use crate::container::{Database, Detection, Format};
use crate::image::{Cursor, Line};
use crate::tile::Kind;
use item::{Fault, Item};

pub use dump::Dump;

/// Tells flat databases, `cyr_dbtool show` output and the text eras of `ctl_mboxlist -d` apart by the first lines of a file.
pub fn detect_lines(head: &[u8]) -> Detection {
    crate::container::detect::lines_verdict(None, format!("{} bytes of something", head.len()))
}

/// Opens a dump's bytes as one of the three text formats.
pub fn open(bytes: &[u8], format: Format) -> Box<dyn Database<'_> + '_> {
    Box::new(Dump { cursor: Cursor::new(bytes), format })
}

/// How a line starts.
enum Start {
    /// With a name, which ends at this index.
    Name(usize),
    /// The line is no record.
    Other(Item<'static>),
}

/// Where the name of a line ends, or what the line is if it is no record.
fn start_of_line(line: &Line<'_>, number: u64) -> Start {
    if let Some(item) = show::broken(line, number) {
        return Start::Other(item);
    }
    let broken = |fault| Start::Other(Item::broken(line.span(), number, Kind::Gap, fault));
    match memchr(b'\t', line.body) {
        Some(0) => broken(Fault::new(&rules::NO_NAME, "the line starts with a TAB")),
        Some(tab) => Start::Name(tab),
        None => broken(Fault::new(&rules::NO_TAB, "a line without TAB")),
    }
}
