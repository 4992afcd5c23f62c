//! What a dump consists of, in file order, whatever its grammar.

use std::borrow::Cow;

use crate::finding::Rule;
use crate::image::Span;
use crate::tile::Kind;

/// A rule that a part of a dump breaks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The rule.
    pub rule: &'static Rule,
    /// What is wrong, in a few words.
    pub what: &'static str,
}

impl Fault {
    /// A fault.
    pub fn new(rule: &'static Rule, what: &'static str) -> Self {
        Fault { rule, what }
    }
}

/// What a part of a dump is.
#[derive(Clone, Debug)]
pub enum What<'a> {
    /// A name and what the dump says of it.
    Record {
        /// The name field as it stands; for JSON with its escapes undone.
        key: Cow<'a, [u8]>,
        /// The rest of the line, or the JSON object.
        value: Cow<'a, [u8]>,
        /// Where the name stands.
        key_span: Span,
        /// Where the value stands.
        value_span: Span,
    },
    /// Brackets and blank lines.
    Markup(&'static str),
    /// Something that can't be read.
    Broken(Kind),
}

/// A part of a dump: a line, or a few that belong together.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// Its bytes; the items of a dump follow each other without gap.
    pub span: Span,
    /// Number of its first line in the file, from 1.
    pub number: u64,
    /// What it is.
    pub what: What<'a>,
    /// What is wrong with it; always something if it is broken.
    pub fault: Option<Fault>,
}

impl<'a> Item<'a> {
    /// A part that can't be read.
    pub fn broken(span: Span, number: u64, kind: Kind, fault: Fault) -> Self {
        Item { span, number, what: What::Broken(kind), fault: Some(fault) }
    }

    /// A part that holds no record.
    pub fn markup(span: Span, number: u64, label: &'static str) -> Self {
        Item { span, number, what: What::Markup(label), fault: None }
    }
}

/// The items of a dump in file order.
pub type Items<'a> = Box<dyn Iterator<Item = Item<'a>> + Send + 'a>;
