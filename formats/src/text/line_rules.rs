//! What verify asks of the lines of D1 to D5, beyond their being readable.

use memchr::{memchr, memmem};

use super::dump::Dump;
use super::item::{Item, What};
use super::lines::{self, Era, LineFields};
use super::rules;
use super::verify::describe;
use crate::finding::{Finding, Rule, Sink};
use crate::image::Span;

/// How many lines the era is recognised by.
const SURVEYED: usize = 1000;

/// A partition of this many bytes or more is refused (`imap/ctl_mboxlist.c`, `do_undump`).
const MAX_PARTITION_LEN: usize = 64;

/// Findings that are made once a dump, with the number of lines they are about.
#[derive(Default)]
struct Seen {
    count: u64,
    first: Option<(Span, String)>,
}

impl Seen {
    fn push(&mut self, item: &Item<'_>, what: &str) {
        self.count = self.count.saturating_add(1);
        self.first.get_or_insert_with(|| (item.span, describe(item, what)));
    }

    fn end(&self, rule: &'static Rule, sink: &mut Sink<'_>) {
        if let Some((span, message)) = &self.first {
            let more = if self.count > 1 { format!(" ({} such lines)", self.count) } else { String::new() };
            sink(Finding::new(rule, *span, format!("{message}{more}")));
        }
    }
}

/// The state of a pass over the lines.
pub(super) struct Lines {
    era: Era,
    typed: Seen,
    untyped: Seen,
    null: Seen,
    servers_lost: Seen,
    types_lost: Seen,
    located: u64,
}

impl Lines {
    pub(super) fn new(dump: &Dump<'_>) -> Self {
        Lines {
            era: dump.era(SURVEYED).map_or(Era::D4, |recognition| recognition.era),
            typed: Seen::default(),
            untyped: Seen::default(),
            null: Seen::default(),
            servers_lost: Seen::default(),
            types_lost: Seen::default(),
            located: 0,
        }
    }

    pub(super) fn item(&mut self, item: &Item<'_>, sink: &mut Sink<'_>) {
        let What::Record { key, value, .. } = &item.what else { return };
        let mut report = |rule, what: &str| sink(Finding::new(rule, item.span, describe(item, what)));
        if key.iter().any(|b| matches!(b, 0x1D..=0x1F)) {
            report(&rules::FOREIGN_NAME, "the name is in the form of database keys");
        }
        let Ok(fields) = lines::parse(value, self.era) else { return };
        if fields.partition.is_some_and(|partition| partition.len() >= MAX_PARTITION_LEN) {
            report(&rules::LONG_PARTITION, "the partition has 64 bytes or more");
        }
        if fields.mended.odd_acl {
            report(&rules::ACL_PAIRS, "the ACL ends with an identifier without rights");
        }
        if fields.mended.last_tab {
            report(&rules::ACL_END, "no TAB ends the ACL");
        }
        if fields.mended.blanks && item.fault.is_none_or(|fault| fault.rule != &rules::BLANKS) {
            report(&rules::BLANKS, "blanks instead of TABs in the ACL");
        }
        self.survey(item, value, &fields);
    }

    fn survey(&mut self, item: &Item<'_>, value: &[u8], fields: &LineFields<'_>) {
        let seen = if fields.mbtype.is_some() { &mut self.typed } else { &mut self.untyped };
        seen.push(item, if fields.mbtype.is_some() { "a line with a type" } else { "a line without a type" });
        if memmem::find(value, b"(null)").is_some() {
            self.null.push(item, "(null) stands for a string that is missing");
        }
        self.located = self.located.saturating_add(u64::from(fields.server.is_some()));
        match (fields.mbtype, fields.server) {
            (Some(mbtype), None) if mbtype & 1 != 0 && memchr(b'!', value).is_none() => {
                self.servers_lost.push(item, "a remote mailbox without a server");
            }
            (Some(0), Some(_)) => self.types_lost.push(item, "a mailbox with a server, but of type 0"),
            _ => {}
        }
    }

    pub(super) fn end(&self, sink: &mut Sink<'_>) {
        if self.typed.count > 0 && self.untyped.count > 0 {
            let fewer = if self.typed.count < self.untyped.count { &self.typed } else { &self.untyped };
            fewer.end(&rules::MIXED_ERAS, sink);
        }
        self.null.end(&rules::NULL, sink);
        if self.located == 0 {
            self.servers_lost.end(&rules::SERVERS_LOST, sink);
        }
        if self.types_lost.count == self.located {
            self.types_lost.end(&rules::TYPES_LOST, sink);
        }
    }
}
