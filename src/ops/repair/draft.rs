//! A database's records with the changes decided so far.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::rules::{Rule, Sureness, Wanted};
use crate::formats::image::Span;
use crate::formats::record::{Entry, Style, decode};
use crate::ops::reading::{Lookup, Reading};
use crate::plan::Change;

/// Takes a record: key, value, and where it stands in the file.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8], Span) + 'v;

/// A change that a rule would make and is not allowed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// The rule.
    pub rule: Rule,
    /// The record's key.
    pub key: Vec<u8>,
    /// What speaks for it.
    pub evidence: String,
}

/// What became of a changed record.
struct Now {
    value: Option<Vec<u8>>,
    /// Whether the file does not have the key.
    is_new: bool,
}

/// The records and their changes.
pub struct Draft<'d, 'a> {
    reading: &'d Reading<'a, 'd>,
    lookup: Lookup<'a, 'd>,
    /// How records are read.
    pub style: Style,
    wanted: &'d Wanted,
    /// The changes, in the order they were decided.
    pub changes: Vec<Change>,
    now: BTreeMap<Vec<u8>, Now>,
    /// Guesses that were not asked for.
    pub left: Vec<Left>,
    /// How often a rule of choice could act.
    pub offered: BTreeMap<Rule, u64>,
}

impl<'d, 'a> Draft<'d, 'a> {
    /// No change yet.
    pub fn new(reading: &'d Reading<'a, 'd>, lookup: Lookup<'a, 'd>, style: Style, wanted: &'d Wanted) -> Self {
        let (changes, now, left, offered) = (Vec::new(), BTreeMap::new(), Vec::new(), BTreeMap::new());
        Draft { reading, lookup, style, wanted, changes, now, left, offered }
    }

    /// The value of a key as of now.
    pub fn get(&self, key: &[u8]) -> Option<Cow<'a, [u8]>> {
        match self.now.get(key) {
            Some(now) => now.value.clone().map(Cow::Owned),
            None => self.lookup.get(key).map(|record| record.value),
        }
    }

    /// The entry under a key as of now.
    pub fn entry(&self, key: &[u8]) -> Option<Entry<'static>> {
        let value = self.get(key)?;
        decode(key, &value, &self.style).entry.map(Entry::into_owned)
    }

    /// The keys that were changed.
    pub fn changed(&self) -> Vec<Vec<u8>> {
        self.now.keys().cloned().collect()
    }

    /// The first key, in the file's order, of a record that `wanted` accepts as the file has it.
    pub fn first(&self, wanted: &dyn Fn(&[u8], &[u8]) -> bool) -> Option<Vec<u8>> {
        (0..self.reading.parts()).find_map(|part| {
            let mut found = None;
            self.reading.walk(part, &mut |record| {
                found = wanted(&record.key, &record.value).then(|| record.key.to_vec());
                found.is_none()
            });
            found
        })
    }

    /// Number of parts that can be visited side by side.
    pub fn parts(&self) -> usize {
        self.reading.parts().saturating_add(1)
    }

    /// Visits the records of one part as they are now.
    pub fn walk_part(&self, part: usize, visit: &mut Visit<'_>) {
        if part < self.reading.parts() {
            self.reading.walk(part, &mut |record| {
                match self.now.get(&*record.key) {
                    None => visit(&record.key, &record.value, record.span),
                    Some(Now { value: Some(value), .. }) => visit(&record.key, value, record.span),
                    Some(Now { value: None, .. }) => {}
                }
                true
            });
            return;
        }
        for (key, now) in self.now.iter().filter(|(_, now)| now.is_new) {
            if let Some(value) = &now.value {
                visit(key, value, Span::at(0, 0));
            }
        }
    }

    /// Visits all records as they are now, in no particular order.
    pub fn walk(&self, visit: &mut Visit<'_>) {
        (0..self.parts()).for_each(|part| self.walk_part(part, visit));
    }

    /// Where the record of a key stands in the file.
    pub fn span(&self, key: &[u8]) -> Option<Span> {
        self.lookup.get(key).map(|record| record.span)
    }

    /// Makes a rule's change if the rule may act, and otherwise remembers that it would. Whether it was made.
    pub fn propose(&mut self, rule: Rule, key: &[u8], to: Option<Vec<u8>>, evidence: impl Into<String>) -> bool {
        let may = self.wanted.has(rule);
        match rule.sureness() {
            _ if may => self.change(rule, key, to, evidence),
            Sureness::Choice => *self.offered.entry(rule).or_default() += 1,
            _ => self.leave(rule, key, evidence),
        }
        may
    }

    /// Makes a change.
    pub fn change(&mut self, rule: Rule, key: &[u8], to: Option<Vec<u8>>, evidence: impl Into<String>) {
        let from = self.get(key).map(Cow::into_owned);
        if from == to {
            return;
        }
        let is_new = self.now.get(key).map_or(from.is_none(), |now| now.is_new);
        self.now.insert(key.to_vec(), Now { value: to.clone(), is_new });
        let rule = rule.as_str().to_owned();
        self.changes.push(Change { rule, key: key.to_vec(), from, to, evidence: evidence.into() });
    }

    /// Remembers a change that is not made.
    pub fn leave(&mut self, rule: Rule, key: &[u8], evidence: impl Into<String>) {
        self.left.push(Left { rule, key: key.to_vec(), evidence: evidence.into() });
    }

    /// Whether the user named the rule.
    pub fn is_named(&self, rule: Rule) -> bool {
        self.wanted.is_named(rule)
    }

    /// Whether the rule may act.
    pub fn may(&self, rule: Rule) -> bool {
        self.wanted.has(rule)
    }
}
