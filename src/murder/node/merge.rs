//! What makes one list another.

use std::cmp::Ordering;

use super::list::List;

/// The keys of which the two lists do not say the same, in order. Both stand in one order and are compared in it, so that
/// nothing is lost (Cyrus compares by another one; see [`List::is_endangered`]).
pub fn differences(old: &List, new: &List) -> Vec<Vec<u8>> {
    let (mut a, mut b) = (old.iter().peekable(), new.iter().peekable());
    let mut keys = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return keys,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        if left.map(|(_, state)| state) != right.map(|(_, state)| state) {
            keys.extend(left.or(right).map(|(key, _)| key.to_vec()));
        }
    }
}

/// The keys that a frontend of Cyrus changes to make its list, `old`, that of a master, which it hears in its own order: it
/// walks both by comparing internal names, deletes what it has and does not meet there, and adds what it does not have
/// (`imap/mupdate.c`, `mupdate_synchronize`). Where keys stand in another order than internal names, it deletes what it should
/// keep; the second of a pair says whether the name is to be there.
pub fn as_cyrus(old: &List, new: &List) -> Vec<(Vec<u8>, bool)> {
    let named = |list: &List| -> Vec<(Vec<u8>, Vec<u8>)> {
        list.iter().map(|(key, _)| (list.name(key).to_internal().into_owned(), key.to_vec())).collect()
    };
    let (local, remote) = (named(old), named(new));
    let (mut a, mut b) = (local.iter().peekable(), remote.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return changes,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        match (left, right) {
            (Some((_, key)), None) => changes.push((key.clone(), false)),
            (_, Some((_, key))) if old.get(key) != new.get(key) || left.is_none() => changes.push((key.clone(), true)),
            _ => {}
        }
    }
}
