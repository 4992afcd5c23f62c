//! What makes one list another.

use std::cmp::Ordering;

use super::list::List;

/// A key of which two lists do not say the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference<'l> {
    /// The key.
    pub key: &'l [u8],
    /// Whether the new list does not have it.
    pub gone: bool,
}

/// The keys of which the two lists do not say the same, in order. Both stand in one order and are compared in it, so that
/// nothing is lost (Cyrus compares by another one; see [`List::is_endangered`]).
pub fn differences<'l>(old: &'l List, new: &'l List) -> Vec<Difference<'l>> {
    let (mut a, mut b) = (old.iter().peekable(), new.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        if left.map(|(_, state)| state) != right.map(|(_, state)| state) {
            found.extend(left.or(right).map(|(key, _)| Difference { key, gone: right.is_none() }));
        }
    }
}

/// The keys that a frontend of Cyrus changes to make its list, `old`, that of a master, which it hears in its own order: it
/// walks both by comparing internal names, deletes what it has and does not meet there, and adds what it does not have
/// (`imap/mupdate.c`, `mupdate_synchronize`). Where keys stand in another order than internal names, it deletes what it should
/// keep, and says so again of a name that it then adds.
pub fn as_cyrus<'l>(old: &'l List, new: &'l List) -> Vec<Difference<'l>> {
    fn named(list: &List) -> Vec<(Vec<u8>, &[u8])> {
        list.iter().map(|(key, _)| (list.name(key).to_internal().into_owned(), key)).collect()
    }
    let (local, remote) = (named(old), named(new));
    let (mut a, mut b) = (local.iter().peekable(), remote.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        match (left, right) {
            (Some((_, key)), None) => found.push(Difference { key, gone: true }),
            (_, Some((_, key))) if old.get(key) != new.get(key) || left.is_none() => {
                found.push(Difference { key, gone: false });
            }
            _ => {}
        }
    }
}
