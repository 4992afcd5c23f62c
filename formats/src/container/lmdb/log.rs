//! The last transaction: the difference between the two states of a file.

use std::cmp::Ordering;

use super::scan::Env;
use super::view;
use crate::container::{Change, Ending, KeyOrder, Record, Transaction};

/// The transaction that led to the current state, if the state in front of it is there as a whole.
pub fn last<'a>(env: &Env<'a>, order: KeyOrder) -> Option<Transaction<'a>> {
    let current = env.current()?;
    let (old, new) = (before(env, order)?, sorted(view::records(env, Some(current)), order));
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut changes = Vec::new();
    loop {
        let side = match (old.peek(), new.peek()) {
            (Some(old), Some(new)) => order.compare(&old.key, &new.key),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        match side {
            Ordering::Less => {
                let old = old.next();
                let span = env.page_span(current.page, 1);
                changes.push(Change::Delete { span, old, certain: true });
            }
            Ordering::Greater => changes.extend(new.next().map(Change::Add)),
            Ordering::Equal => {
                let both = old.next().zip(new.next()).filter(|(old, new)| old.value != new.value);
                changes.extend(both.map(|(old, new)| Change::Replace { old, new }));
            }
        }
    }
    Some(Transaction { number: 1, span: env.page_span(current.page, 1), ending: Ending::Committed, changes })
}

/// The records of the state in front of the current one, in `order`.
pub fn before<'a>(env: &Env<'a>, order: KeyOrder) -> Option<Vec<Record<'a>>> {
    let previous = env.previous()?;
    let whole = env.tree(previous.main.root, previous.main.depth).bad.is_empty();
    let records = view::records(env, Some(previous));
    (whole && records.len() as u64 == previous.main.entries).then(|| sorted(records, order))
}

/// Records in `order`, each key once.
pub fn sorted(mut records: Vec<Record<'_>>, order: KeyOrder) -> Vec<Record<'_>> {
    records.sort_by(|a, b| order.compare(&a.key, &b.key));
    records.dedup_by(|later, first| order.compare(&first.key, &later.key) == Ordering::Equal);
    records
}
