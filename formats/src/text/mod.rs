//! Text dumps of mailboxes.db: `cyr_dbtool … show`, and every era of `ctl_mboxlist -d`; see `FORMAT.md` beside this file.

mod detect;
mod dump;
mod eras;
pub mod item;
pub mod json;
mod json_plain;
mod json_rules;
mod json_scan;
pub mod json_usual;
mod json_write;
mod line_rules;
mod line_write;
pub mod lines;
pub mod rules;
mod scan;
pub mod show;
mod sound;
mod verify;

use std::ops::ControlFlow;

use memchr::memchr;

use crate::container::{Database, Format};
use crate::image::Line;
use crate::tile::Kind;
use item::{Fault, Item};

pub use detect::detect_lines;
pub use dump::Dump;

/// Opens a dump's bytes as one of the three text formats.
pub fn open(bytes: &[u8], format: Format) -> Box<dyn Database<'_> + '_> {
    Box::new(Dump::new(bytes, format))
}

/// Where the name of a line ends; breaks with what the line is if it is no record.
fn name_end(line: &Line<'_>, number: u64) -> ControlFlow<Item<'static>, usize> {
    let span = line.span();
    let broken = |kind, fault| ControlFlow::Break(Item::broken(span, number, kind, fault));
    if line.body.is_empty() || line.body == b"\r" {
        return ControlFlow::Break(Item::markup(span, number, "an empty line"));
    }
    if memchr(0, line.body).is_some() {
        let kind = if line.body.iter().all(|&b| b == 0) { Kind::Zeros } else { Kind::Gap };
        return broken(kind, Fault::new(&rules::NUL, "NUL bytes"));
    }
    match memchr(b'\t', line.body) {
        Some(0) => broken(Kind::Gap, Fault::new(&rules::NO_NAME, "the line starts with a TAB")),
        Some(tab) => ControlFlow::Continue(tab),
        None => broken(Kind::Gap, Fault::new(&rules::NO_TAB, "a line without TAB")),
    }
}
