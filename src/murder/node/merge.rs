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

/// Walks two lists whose items `compare` orders, side by side; `visit` gets what is in both, or in one of them.
fn side_by_side<T>(
    old: impl Iterator<Item = T>,
    new: impl Iterator<Item = T>,
    compare: impl Fn(&T, &T) -> Ordering,
    mut visit: impl FnMut(Option<T>, Option<T>),
) {
    let (mut a, mut b) = (old.peekable(), new.peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => compare(a, b),
        };
        let left = if order.is_le() { a.next() } else { None };
        let right = if order.is_ge() { b.next() } else { None };
        visit(left, right);
    }
}

/// The keys of which the two lists do not say the same, in order. Both stand in one order and are compared in it, so that
/// nothing is lost (Cyrus compares by another one; see [`List::is_endangered`]).
pub fn differences<'l>(old: &'l List, new: &'l List) -> Vec<Difference<'l>> {
    let mut found = Vec::new();
    side_by_side(
        old.iter(),
        new.iter(),
        |a, b| a.0.cmp(b.0),
        |left, right| {
            if left.map(|(_, state)| state) != right.map(|(_, state)| state) {
                found.extend(left.or(right).map(|(key, _)| Difference { key, gone: right.is_none() }));
            }
        },
    );
    found
}

/// The keys that a frontend of Cyrus changes to make its list, `old`, that of a master, which it hears in its own order: it
/// walks both by comparing internal names, deletes what it has and does not meet there, and adds what it does not have
/// (`imap/mupdate.c`, `mupdate_synchronize`). Where keys stand in another order than internal names, it deletes what it should
/// keep, and says so again of a name that it then adds.
pub fn as_cyrus<'l>(old: &'l List, new: &'l List) -> Vec<Difference<'l>> {
    fn named(list: &List) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
        list.iter().map(|(key, _)| (list.name(key).to_internal().into_owned(), key))
    }
    let mut found = Vec::new();
    side_by_side(
        named(old),
        named(new),
        |a, b| a.0.cmp(&b.0),
        |left, right| match (left, right) {
            (Some((_, key)), None) => found.push(Difference { key, gone: true }),
            (left, Some((_, key))) if left.is_none() || old.get(key) != new.get(key) => {
                found.push(Difference { key, gone: false });
            }
            _ => {}
        },
    );
    found
}
