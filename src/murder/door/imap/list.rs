//! LIST and LSUB: which of a user's mailboxes a pattern means, and what is said of each.

use std::collections::BTreeMap;

use super::super::Namespace;
use super::encode;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    /// LSUB.
    pub subscribed: bool,
    /// Reference and pattern as one.
    pub pattern: Vec<u8>,
}

/// Writes the lines of the mailboxes with these internal names that are wanted: one's own first, then those of other users,
/// then shared ones.
pub(super) fn write(out: &mut Vec<u8>, wanted: &Wanted, internal: &[Vec<u8>], namespace: Namespace, user: &[u8]) {
    let separator = namespace.separator;
    // Keys in the order of Cyrus: elements one by one.
    let mut names: BTreeMap<Vec<u8>, (Vec<u8>, bool)> = BTreeMap::new();
    for internal in internal {
        let name = namespace.external(internal, user);
        names.insert(key(&name, separator), (name, true));
    }
    if wanted.pattern.ends_with(b"%") {
        let missing: Vec<Vec<u8>> = names.values().flat_map(|(name, _)| above(name, separator)).collect();
        for name in missing {
            names.entry(key(&name, separator)).or_insert((name, false));
        }
    }
    let keys: Vec<&Vec<u8>> = names.keys().collect();
    for (index, (key, (name, there))) in names.iter().enumerate() {
        if !matches(&wanted.pattern, name, separator) {
            continue;
        }
        let next = index.checked_add(1).and_then(|index| keys.get(index));
        let below = next.is_some_and(|next| next.strip_prefix(&key[..]).is_some_and(|rest| rest.starts_with(&[0])));
        let flags: &[&'static str] = match (there, wanted.subscribed) {
            (false, _) => &["Noselect", "HasChildren"],
            (true, true) => &[],
            (true, false) if below => &["HasChildren"],
            (true, false) => &["HasNoChildren"],
        };
        encode::listed(out, wanted.subscribed, flags, separator, name);
    }
}

/// Sorts as lists are.
fn key(name: &[u8], separator: u8) -> Vec<u8> {
    let first = name.split(|&byte| byte == separator).next().unwrap_or_default();
    let group = match first {
        b"INBOX" => b'0',
        b"user" => b'1',
        _ => b'2',
    };
    let mut key = vec![group];
    key.extend(name.iter().map(|&byte| if byte == separator { 0 } else { byte }));
    key
}

/// The names above a name, up to the first level.
fn above(name: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let ends = name.iter().enumerate().filter(|&(_, &byte)| byte == separator).map(|(at, _)| at);
    ends.filter_map(|end| name.get(..end)).map(<[u8]>::to_vec).collect()
}

/// Whether a name is what a pattern means: `*` stands for anything, `%` for anything without a separator.
pub(super) fn matches(pattern: &[u8], name: &[u8], separator: u8) -> bool {
    // Positions in the pattern that the name so far leads to.
    let mut reached = vec![false; pattern.len().saturating_add(1)];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    step_over(pattern, &mut reached);
    for &byte in name {
        let mut next = vec![false; reached.len()];
        for (at, &wanted) in pattern.iter().enumerate() {
            if reached.get(at) != Some(&true) {
                continue;
            }
            let stays = wanted == b'*' || (wanted == b'%' && byte != separator);
            let goes = !matches!(wanted, b'*' | b'%') && wanted == byte;
            let to = if stays {
                Some(at)
            } else if goes {
                at.checked_add(1)
            } else {
                None
            };
            if let Some(slot) = to.and_then(|to| next.get_mut(to)) {
                *slot = true;
            }
        }
        step_over(pattern, &mut next);
        reached = next;
        if !reached.contains(&true) {
            return false;
        }
    }
    reached.last() == Some(&true)
}

/// Wildcards may stand for nothing.
fn step_over(pattern: &[u8], reached: &mut [bool]) {
    for (at, &wanted) in pattern.iter().enumerate() {
        if matches!(wanted, b'*' | b'%')
            && reached.get(at) == Some(&true)
            && let Some(slot) = at.checked_add(1).and_then(|at| reached.get_mut(at))
        {
            *slot = true;
        }
    }
}
