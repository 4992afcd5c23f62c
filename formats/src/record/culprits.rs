//! Which mailboxes' records and records under uniqueids don't belong together: two walks, 24 bytes a record.

use std::collections::BTreeMap;

use bstr::ByteSlice;

use super::check::Context;
use super::cross::{Visit, each};
use super::entry::{Entry, Under};
use super::key::KeyStyle;
use super::rules;
use super::sums::{hash_fields, hash_id, hash_name};
use crate::finding::{Finding, Rule, Sink};
use crate::image::Span;

/// Uniqueids whose records are shown in detail.
const SHOWN_MAX: usize = 65_536;

/// What is kept of a record in the first walk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    id: u64,
    name: u64,
    fields: u64,
}

impl Node {
    fn of(entry: &Entry<'_>) -> Option<Node> {
        let id = hash_id(entry.uniqueid.as_deref()?);
        let name = hash_name(&entry.name, id);
        let fields = hash_fields(entry, name) as u64;
        Some(Node { id, name, fields })
    }
}

/// All records of a kind, sorted.
#[derive(Default)]
struct Nodes(Vec<Node>);

impl Nodes {
    fn of_id(&self, id: u64) -> &[Node] {
        let start = self.0.partition_point(|node| node.id < id);
        let rest = self.0.get(start..).unwrap_or_default();
        let count = rest.iter().take_while(|node| node.id == id).count();
        rest.get(..count).unwrap_or_default()
    }

    fn find(&self, wanted: &Node) -> Option<&Node> {
        self.of_id(wanted.id).iter().find(|node| node.name == wanted.name)
    }
}

#[derive(Default)]
struct Found {
    live: Nodes,
    tombstones: Nodes,
    indexed_live: Nodes,
    indexed_tombstones: Nodes,
}

impl Found {
    fn collect(context: &Context, walk: &dyn Fn(&mut Visit<'_>)) -> Found {
        let mut found = Found::default();
        each(context, walk, &mut |decoded, _| {
            let Some(entry) = decoded.entry.as_ref() else { return };
            let nodes = match (entry.under, entry.is_tombstone()) {
                (Under::Name, false) => &mut found.live,
                (Under::Name, true) => &mut found.tombstones,
                (Under::Uniqueid, false) => &mut found.indexed_live,
                (Under::Uniqueid, true) => &mut found.indexed_tombstones,
                (Under::Jmapid, _) => return,
            };
            nodes.0.extend(Node::of(entry));
        });
        for nodes in [&mut found.live, &mut found.tombstones, &mut found.indexed_live, &mut found.indexed_tombstones] {
            nodes.0.sort_unstable();
        }
        found
    }

    /// The hashes of the uniqueids that something is wrong with.
    fn suspects(&self, style: KeyStyle) -> BTreeMap<u64, Suspect> {
        let mut suspects = BTreeMap::new();
        let mut suspect = |id: u64| {
            if suspects.len() < SHOWN_MAX || suspects.contains_key(&id) {
                suspects.entry(id).or_insert_with(Suspect::default);
            }
        };
        for pair in self.live.0.windows(2) {
            if let [a, b] = pair
                && a.id == b.id
            {
                suspect(a.id);
            }
        }
        if style == KeyStyle::Plain {
            return suspects;
        }
        for node in &self.live.0 {
            if self.indexed_live.find(node) != Some(node) {
                suspect(node.id);
            }
        }
        for node in &self.indexed_live.0 {
            if self.live.find(node).is_none() {
                suspect(node.id);
            }
        }
        for node in &self.indexed_tombstones.0 {
            if self.tombstones.find(node).is_none() {
                suspect(node.id);
            }
        }
        suspects
    }
}

/// The records of one uniqueid, kept in the second walk.
#[derive(Default)]
struct Suspect {
    mailboxes: Vec<(Entry<'static>, Span)>,
    indexed: Option<(Entry<'static>, Span)>,
}

/// Reports each uniqueid whose records don't belong together.
pub(crate) fn check_uniqueids(context: &Context, walk: &dyn Fn(&mut Visit<'_>), sink: &mut Sink<'_>) {
    let mut suspects = Found::collect(context, walk).suspects(context.style.keys);
    if suspects.is_empty() {
        return;
    }
    each(context, walk, &mut |decoded, span| {
        let Some(entry) = decoded.entry.as_ref() else { return };
        let Some(uniqueid) = entry.uniqueid.as_deref() else { return };
        let Some(suspect) = suspects.get_mut(&hash_id(uniqueid)) else { return };
        match entry.under {
            Under::Name => suspect.mailboxes.push((entry.clone().into_owned(), span)),
            Under::Uniqueid => suspect.indexed = Some((entry.clone().into_owned(), span)),
            Under::Jmapid => {}
        }
    });
    let mut findings = Vec::new();
    for suspect in suspects.values() {
        report(suspect, context.style.keys, &mut |finding| findings.push(finding));
    }
    findings.sort_by_key(|finding| finding.span.start);
    findings.into_iter().for_each(sink);
}

fn say(sink: &mut Sink<'_>, rule: &'static Rule, span: Span, message: String) {
    sink(Finding::new(rule, span, message));
}

fn report(suspect: &Suspect, style: KeyStyle, sink: &mut Sink<'_>) {
    let live: Vec<_> = suspect.mailboxes.iter().filter(|(entry, _)| !entry.is_tombstone()).collect();
    if let [(first, _), others @ ..] = &live[..] {
        for (entry, span) in others.iter().filter(|(entry, _)| entry.name != first.name) {
            let id = entry.uniqueid.as_deref().unwrap_or_default().as_bstr();
            let message = format!("{} has the uniqueid {id} of {}", entry.name, first.name);
            say(sink, &rules::UNIQUEID_TWICE, *span, message);
        }
    }
    if style == KeyStyle::Plain {
        return;
    }
    match &suspect.indexed {
        None => {
            for (entry, span) in live {
                let id = entry.uniqueid.as_deref().unwrap_or_default().as_bstr();
                let message = format!("{}: no record under its uniqueid {id}", entry.name);
                say(sink, &rules::UNIQUEID_NO_RECORD, *span, message);
            }
        }
        Some((indexed, span)) => report_indexed(indexed, *span, suspect, sink),
    }
}

fn report_indexed(indexed: &Entry<'_>, span: Span, suspect: &Suspect, sink: &mut Sink<'_>) {
    let id = indexed.uniqueid.as_deref().unwrap_or_default().as_bstr();
    let own = suspect.mailboxes.iter().find(|(entry, _)| entry.name == indexed.name);
    if let Some((entry, _)) = own {
        let fields = entry.differing_identity(indexed);
        if !fields.is_empty() {
            let fields = fields.iter().map(|field| field.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("record under uniqueid {id}: {fields} differ from the record of {}", entry.name);
            say(sink, &rules::UNIQUEID_DIFFERS, span, message);
        }
        return;
    }
    match suspect.mailboxes.iter().find(|(entry, _)| !entry.is_tombstone()) {
        Some((entry, _)) => {
            let message = format!(
                "record under uniqueid {id} says {}, but it is {} that has this uniqueid",
                indexed.name, entry.name
            );
            say(sink, &rules::UNIQUEID_DIFFERS, span, message);
        }
        None => {
            let message = format!("record under uniqueid {id}: no mailbox {} with this uniqueid", indexed.name);
            say(sink, &rules::UNIQUEID_ORPHAN, span, message);
        }
    }
}
