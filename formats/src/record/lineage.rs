//! Whether mailboxes have the ones above them, told while records pass in key order.
//!
//! Between a key and those that start with it only such keys stand, whatever the comparator: so the keys that the current
//! one starts with are all that has to be remembered, and those in front of a part of a database that matter to it are
//! those that its first key starts with.

use memchr::memrchr;

use super::check::Context;
use super::decode::decode;
use super::key::{Key, KeyStyle};
use super::name::{Flaw, Form};
use super::rules;
use crate::finding::{Finding, Sink};
use crate::image::Span;

/// Follows mailboxes' keys in key order and reports those whose parent has no record.
#[derive(Debug, Default)]
pub struct Lineage {
    /// The last mailbox's key.
    last: Vec<u8>,
    /// Lengths of the mailboxes' keys that `last` starts with, itself included.
    held: Vec<usize>,
    /// The key that was reported missing last.
    missing: Vec<u8>,
    /// The first mailbox's key.
    first: Vec<u8>,
    /// Lengths of the keys that `first` starts with and that were asked for in vain.
    absent: Vec<usize>,
}

impl Lineage {
    /// Takes the next record; `has` answers whether a key is there, and is asked once about keys in front of the first one
    /// only.
    #[inline]
    pub fn push(
        &mut self,
        (key, value): (&[u8], &[u8]),
        context: &Context,
        span: Span,
        has: impl Fn(&[u8]) -> bool,
        sink: &mut Sink<'_>,
    ) {
        let Some(separator) = separator_of(key, context.style.keys) else { return };
        while self.held.last().is_some_and(|&len| key.get(..len) != self.last.get(..len)) {
            self.held.pop();
        }
        if self.first.is_empty() {
            self.first.extend_from_slice(key);
        }
        // Nearly always the parent's key is all in front of the last separator, and is held.
        let cut = memrchr(separator, key);
        if cut.is_some_and(|cut| !self.held.contains(&cut)) {
            self.look_up((key, value), context, span, has, sink);
        }
        self.held.push(key.len());
        self.last.clear();
        self.last.extend_from_slice(key);
    }

    fn look_up(
        &mut self,
        (key, value): (&[u8], &[u8]),
        context: &Context,
        span: Span,
        has: impl Fn(&[u8]) -> bool,
        sink: &mut Sink<'_>,
    ) {
        let Key::Mailbox(name) = Key::decode(key, context.style.keys) else { return };
        let Some(parent) = name.parent() else { return };
        // A key ends with its mailbox's name, and that starts with its parent's.
        let len = key.len().saturating_sub(name.as_bytes().len()).saturating_add(parent.as_bytes().len());
        if let (Err(place), Some(parent)) = (self.held.binary_search(&len), key.get(..len)) {
            let in_front = self.first.starts_with(parent) && !self.absent.contains(&len);
            if in_front && has(parent) {
                self.held.insert(place, len);
                return;
            }
            if in_front {
                self.absent.push(len);
            }
            self.report(parent, (key, value), context, span, sink);
        }
    }

    #[cold]
    fn report(
        &mut self,
        parent: &[u8],
        (key, value): (&[u8], &[u8]),
        context: &Context,
        span: Span,
        sink: &mut Sink<'_>,
    ) {
        let decoded = decode(key, value, &context.style);
        let (Key::Mailbox(name), Some(entry)) = (&decoded.key, &decoded.entry) else { return };
        let Some(above) = name.parent() else { return };
        if matches!(name.flaw(), Some(Flaw::EmptyElement(_))) {
            return;
        }
        if entry.is_tombstone() || name.deleted().is_some() || self.missing == parent {
            return;
        }
        self.missing = parent.to_vec();
        let (rule, who) = match above.is_inbox() {
            true => (&rules::INBOX_MISSING, "the user's INBOX"),
            false => (&rules::PARENT_MISSING, "the mailbox above it"),
        };
        sink(Finding::new(rule, span, format!("{name}: {who}, {above}, has no record")));
    }
}

/// What separates the elements of the name in a mailbox's key; `None` for other keys.
#[inline]
fn separator_of(key: &[u8], keys: KeyStyle) -> Option<u8> {
    match (keys, key) {
        (KeyStyle::Prefixed, [b'N', _, ..]) => Some(Form::Db.separator()),
        (KeyStyle::Plain, [b'$', b'R', ..] | []) | (KeyStyle::Prefixed, _) => None,
        (KeyStyle::Plain, _) => Some(Form::Internal.separator()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::record::{Name, Style};

    const VALUE: &[u8] = b"0 default anna\tlrs\t";

    /// The keys whose parents are reported missing, of keys read in parts that end at `cuts`.
    fn orphans(keys: &[Vec<u8>], cuts: &[usize]) -> Vec<u64> {
        let has = |key: &[u8]| keys.iter().any(|have| have == key);
        let context = Context::new(Style::OLD, has);
        let asked = RefCell::new(BTreeSet::new());
        let has = |key: &[u8]| {
            assert!(asked.borrow_mut().insert(key.to_vec()), "asked twice");
            has(key)
        };
        let mut found = Vec::new();
        let mut lineage = Lineage::default();
        for (index, key) in keys.iter().enumerate() {
            if cuts.contains(&index) {
                lineage = Lineage::default();
                asked.borrow_mut().clear();
            }
            // Each orphan is to be seen, not only the first of its parent.
            lineage.missing.clear();
            let span = Span::at(index as u64, 1);
            lineage.push((key, VALUE), &context, span, has, &mut |finding| found.push(finding.span.start));
        }
        found
    }

    fn names() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let element = prop::sample::select(&["a", "b", "a-a", "user", "ab"][..]);
        let name = prop::collection::vec(element, 1..5).prop_map(|elements| elements.join(".").into_bytes());
        prop::collection::btree_set(name, 1..40).prop_map(|names| names.into_iter().collect())
    }

    proptest! {
        #[test]
        fn parents_are_found_as_looking_up_each_finds_them(keys in names(), cuts in prop::collection::vec(0..40_usize, 0..4)) {
            let lacks = |key: &Vec<u8>| {
                let name = Name::internal(&key[..]);
                name.parent().is_some_and(|parent| !keys.iter().any(|have| have == parent.as_bytes()))
            };
            let expected: Vec<u64> = (0..).zip(&keys).filter(|(_, key)| lacks(key)).map(|(index, _)| index).collect();
            prop_assert_eq!(orphans(&keys, &[]), expected.clone());
            prop_assert_eq!(orphans(&keys, &cuts), expected);
        }
    }
}
