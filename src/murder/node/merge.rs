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
