//! Keys of the indexes that Cyrus keeps beside the mailboxes: reverse ACLs, and the uniqueids of 3.4.

use std::collections::HashSet;

use super::draft::Draft;
use super::rules::Rule;
use crate::formats::record::{Context, Key, Scope, decode, each_right};
use crate::render::text::printable;

/// A key to add or drop, and what speaks for it.
struct Step {
    key: Vec<u8>,
    to: Option<Vec<u8>>,
    evidence: String,
}

fn carry_out(draft: &mut Draft<'_, '_>, rule: Rule, steps: Vec<Step>) {
    for Step { key, to, evidence } in steps {
        draft.propose(rule, &key, to, evidence);
    }
}

/// Adds missing reverse-ACL keys and drops those that stand for no right.
///
/// Who the admins are is not in the database: an identifier without prefix that never has a key is taken for one.
pub fn reverse_acls(draft: &mut Draft<'_, '_>, context: &Context) {
    let style = context.style;
    let mut with_key: HashSet<Vec<u8>> = HashSet::new();
    draft.walk(&mut |key, _, _| {
        if let Key::ReverseAcl { user, .. } = Key::decode(key, style.keys) {
            with_key.insert(user.to_vec());
        }
    });
    let has_keys = |user: &[u8]| {
        let special =
            user.starts_with(b"group:") || user.starts_with(b"-") || [&b"anyone"[..], b"anonymous"].contains(&user);
        special || with_key.contains(user)
    };
    let mut steps = Vec::new();
    draft.walk(&mut |key, value, _| {
        let decoded = decode(key, value, &style);
        match (&decoded.key, &decoded.entry) {
            (Key::Mailbox(name), Some(entry)) => each_right(entry, context, &mut |user| {
                let wanted = Key::ReverseAcl { scope: Scope::of(name), user, name: name.clone() }.encode(style.keys);
                let missing = wanted.filter(|wanted| has_keys(user) && draft.get(wanted).is_none());
                let evidence = || format!("{} may see {name}", printable(user));
                steps.extend(missing.map(|key| Step { key, to: Some(Vec::new()), evidence: evidence() }));
            }),
            (Key::ReverseAcl { user, name, .. }, _) => {
                let mailbox = Key::Mailbox(name.clone()).encode(style.keys).and_then(|key| draft.entry(&key));
                let mut stands = false;
                if let Some(entry) = &mailbox {
                    each_right(entry, context, &mut |other| stands |= other == *user);
                }
                if !stands {
                    let evidence = format!("{} has no right to see {name}", printable(user));
                    steps.push(Step { key: key.to_vec(), to: None, evidence });
                }
            }
            _ => {}
        }
    });
    carry_out(draft, Rule::ReverseAcl, steps);
}

/// Adds missing keys of 3.4's uniqueid index and drops those that stand for no mailbox.
pub fn uniqueids(draft: &mut Draft<'_, '_>, context: &Context) {
    let style = context.style;
    let mut steps = Vec::new();
    draft.walk(&mut |key, value, _| {
        let decoded = decode(key, value, &style);
        match (&decoded.key, &decoded.entry) {
            (Key::Mailbox(name), Some(entry)) => {
                let Some(uniqueid) = entry.uniqueid.as_deref() else { return };
                let wanted = Key::UniqueidIndex { uniqueid, name: name.clone() }.encode(style.keys);
                let missing = wanted.filter(|wanted| draft.get(wanted).is_none());
                let evidence = || format!("{name} has the uniqueid {}", printable(uniqueid));
                steps.extend(missing.map(|key| Step { key, to: Some(Vec::new()), evidence: evidence() }));
            }
            (Key::UniqueidIndex { uniqueid, name }, _) => {
                let mailbox = Key::Mailbox(name.clone()).encode(style.keys).and_then(|key| draft.entry(&key));
                if mailbox.is_none_or(|entry| entry.uniqueid.as_deref() != Some(*uniqueid)) {
                    let evidence = format!("{name} does not have the uniqueid {}", printable(uniqueid));
                    steps.push(Step { key: key.to_vec(), to: None, evidence });
                }
            }
            _ => {}
        }
    });
    carry_out(draft, Rule::UniqueidIndex, steps);
}
