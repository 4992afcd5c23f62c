//! The eras of the text dumps, and how a dump's own lines tell which it is of.

use std::fmt;

use memchr::memchr;

use super::lines::{NULL, extra_start, line};

/// A grammar of `ctl_mboxlist -d` before JSON; letters and digits as in `FORMAT.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Era {
    /// `NAME TAB LOCATION TAB ACL`
    D1,
    /// `NAME TAB TYPE SP LOCATION SP ACL`
    D2,
    /// `NAME TAB TYPE SP PARTITION SP ACL`: the server is left out.
    D3,
    /// `NAME TAB TYPE SP [SERVER!]PARTITION SP ACL`
    D4,
    /// As D4, and `>UNIQUEID SP MTIME SP UIDVALIDITY SP FOLDERMODSEQ SP CREATEDMODSEQ SP SPECIALUSE` behind it.
    D5,
}

impl Era {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Era::D1 => "D1",
            Era::D2 => "D2",
            Era::D3 => "D3",
            Era::D4 => "D4",
            Era::D5 => "D5",
        }
    }

    /// The releases that print it.
    pub fn releases(self) -> &'static str {
        match self {
            Era::D1 => "2.0 to 2.2",
            Era::D2 => "2.3 or 2.4",
            Era::D3 => "2.5",
            Era::D4 => "3.0 to 3.4",
            Era::D5 => "development versions between 3.4 and 3.6",
        }
    }
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the types of a dump are numbered; the numbers changed between 3.4 and 3.6 (`imap/mboxlist.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Numbering {
    /// As up to 3.4: REMOTE is 1.
    Old,
    /// As since 3.6: REMOTE is 16.
    New,
    /// No line tells.
    Open,
}

/// What era a dump seems to be of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recognition {
    /// The era to read it as: of those that fit, the one that loses nothing.
    pub era: Era,
    /// The other eras whose dumps can look the same.
    pub also: Vec<Era>,
    /// How types are numbered.
    pub numbering: Numbering,
    /// What was seen.
    pub evidence: String,
}

/// What the values of a dump have in common.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Survey {
    /// Values read.
    pub lines: u64,
    /// With a number in front.
    pub typed: u64,
    /// `location TAB identifier TAB …`
    pub untyped: u64,
    /// With the `>` part.
    pub extra: u64,
    /// With a server in the location.
    pub located: u64,
    /// REMOTE by the old numbers, but without a server.
    pub unlocated: u64,
    /// With the old number for a type that 2.5 brought (calendars and address books), the right `n`, or `(null)`.
    pub since_2_5: u64,
    /// With a type that 3.0 or later brought.
    pub since_3_0: u64,
    /// With a server, and a type that has bit 16 but not bit 1.
    pub located_16: u64,
    /// With a server, and a type that has bit 1.
    pub located_1: u64,
}

impl Survey {
    /// Adds a value.
    pub fn push(&mut self, value: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        let Ok((behind, line)) = line(value) else { return };
        debug_assert!(behind.is_empty());
        let count = |counter: &mut u64, yes: bool| *counter = counter.saturating_add(u64::from(yes));
        let Some(mbtype) = line.mbtype else {
            return count(&mut self.untyped, memchr(b'\t', value).is_some());
        };
        let located = memchr(b'!', line.location).is_some();
        count(&mut self.typed, true);
        count(&mut self.extra, extra_start(line.acl).is_some());
        count(&mut self.located, located);
        count(&mut self.unlocated, !located && mbtype & 1 != 0);
        count(&mut self.since_2_5, mbtype & 0x60 != 0 || line.location.ends_with(NULL) || has_annotate(line.acl));
        count(&mut self.since_3_0, mbtype >= 128);
        count(&mut self.located_16, located && mbtype & 17 == 16);
        count(&mut self.located_1, located && mbtype & 1 == 1);
    }

    /// The era that fits best; `None` if the values are of none.
    pub fn recognise(&self) -> Option<Recognition> {
        let readable = self.typed.saturating_add(self.untyped);
        if readable == 0 || readable.saturating_mul(2) < self.lines {
            return None;
        }
        let (era, also, evidence) = self.era();
        let numbering = match (self.located_16, self.located_1) {
            (0, 0) => Numbering::Open,
            (new, old) if new > old => Numbering::New,
            _ => Numbering::Old,
        };
        Some(Recognition { era, also: also.to_vec(), numbering, evidence: evidence.to_owned() })
    }

    fn era(&self) -> (Era, &'static [Era], &'static str) {
        if self.untyped > self.typed {
            return (Era::D1, &[], "the lines have no type");
        }
        if self.extra.saturating_mul(2) > self.typed {
            return (Era::D5, &[], "`>` and more fields follow the ACL");
        }
        let newer = self.since_2_5 > 0 || self.since_3_0 > 0;
        match (self.located > 0, newer) {
            (true, true) => (Era::D4, &[], "servers, and types or rights that 2.5 brought"),
            (true, false) => (Era::D2, &[Era::D4], "servers, and no type or right newer than 2.4"),
            (false, _) if self.unlocated > 0 => (Era::D3, &[], "remote mailboxes without a server"),
            (false, true) if self.since_3_0 > 0 => (Era::D4, &[], "types that 3.0 brought"),
            (false, true) => (Era::D4, &[Era::D3], "types or rights that 2.5 brought, and no remote mailbox"),
            (false, false) => (Era::D2, &[Era::D3, Era::D4], "no remote mailbox, and no type or right newer than 2.4"),
        }
    }
}

/// Whether an ACL has the right `n`, which 2.5 brought.
fn has_annotate(acl: &[u8]) -> bool {
    acl.split(|&b| b == b'\t').skip(1).step_by(2).any(|rights| memchr(b'n', rights).is_some())
}

/// Recognises the era of a dump by its values, what stands behind the first TAB of each line; `None` if they are of none.
pub fn recognise<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Recognition> {
    let mut survey = Survey::default();
    values.into_iter().for_each(|value| survey.push(value));
    survey.recognise()
}
