//! Damage as data: what was found wrong, where, how we got there, and what to try.

use std::borrow::Cow;

use crate::image::Span;

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Severity {
    /// Worth knowing; not damage and not a reason to act.
    Note,
    /// Not as a healthy Cyrus leaves it, but no record is in doubt.
    Warning,
    /// Records are lost, in doubt, or not what Cyrus would read.
    Error,
}

impl Severity {
    /// All severities, the lightest first.
    pub const ALL: [Severity; 3] = [Severity::Note, Severity::Warning, Severity::Error];

    /// The word printed in findings.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One numbered requirement of a format document: what a sound file fulfils, and what it means when it does not.
///
/// Every room declares its rules with [`rules!`](crate::rules) and lists the same codes in its `FORMAT.md`.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable code, such as `SKIP-12`: never reused, never renumbered.
    pub code: &'static str,
    /// Stable short name, such as `unterminated-record`.
    pub name: &'static str,
    /// What breaking it weighs.
    pub severity: Severity,
    /// The next thing to try; never something that could destroy data.
    pub advice: &'static str,
}

/// Declares a room's rules as statics and `ALL`, the list of them.
///
/// ```
/// coroner_formats::rules! {
///     /// The file starts with the format's magic.
///     MAGIC = "XX-1", "magic", Error, "check with `coroner inspect` what the file looks like";
/// }
/// assert_eq!(ALL[0].code, MAGIC.code);
/// ```
#[macro_export]
macro_rules! rules {
    ($($(#[$doc:meta])* $id:ident = $code:literal, $name:literal, $severity:ident, $advice:literal;)+) => {
        $($(#[$doc])* pub static $id: $crate::finding::Rule = $crate::finding::Rule {
            code: $code,
            name: $name,
            severity: $crate::finding::Severity::$severity,
            advice: $advice,
        };)+
        /// Every rule of this room, in the order of their numbers.
        pub static ALL: &[&$crate::finding::Rule] = &[$(&$id),+];
    };
}

/// One step of the way that led to a finding: "level-0 pointer of the record at 0x90".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was followed.
    pub what: &'static str,
    /// File offset it was read from.
    pub at: u64,
}

/// A rule that a file breaks: where, how it was found, what was expected and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule it breaks.
    pub rule: &'static Rule,
    /// The bytes in question.
    pub span: Span,
    /// One line for a person; names what was lost or is in doubt.
    pub message: Cow<'static, str>,
    /// The way to `span`, outermost first; empty when it was met in reading the file in order.
    pub trail: Vec<Step>,
    /// What a sound file would hold there, if that can be said.
    pub expected: Option<String>,
    /// What it holds.
    pub found: Option<String>,
}

impl Finding {
    /// A finding of `rule` at `span`.
    pub fn new(rule: &'static Rule, span: Span, message: impl Into<Cow<'static, str>>) -> Self {
        Finding { rule, span, message: message.into(), trail: Vec::new(), expected: None, found: None }
    }

    /// Says what was expected and what was found.
    pub fn values(mut self, expected: impl ToString, found: impl ToString) -> Self {
        self.expected = Some(expected.to_string());
        self.found = Some(found.to_string());
        self
    }

    /// Adds a step of the way that led here.
    pub fn via(mut self, what: &'static str, at: u64) -> Self {
        self.trail.push(Step { what, at });
        self
    }

    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        self.rule.severity
    }
}

/// Takes findings as they are made; the caller bounds how many it keeps.
pub type Sink<'s> = dyn FnMut(Finding) + 's;
