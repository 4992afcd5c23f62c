//! All that can be read of the files, however damaged.

use std::cmp::Ordering;

use super::directory::{Directory, Role};
use super::layout::{Checked, Entry};
use super::scan::Item;
use crate::container::{Carved, Confidence, Kept, KeyOrder, Lost, Record};
use crate::image::Span;

/// A change found: where it stands, and whether a right sum covers it.
#[derive(Clone, Copy)]
struct Found {
    at: u64,
    is_addition: bool,
    summed: bool,
}

/// Harvests every file; see [`Database::carve`](crate::container::Database::carve).
///
/// A record is verified when the sum of its commit is right. Whatever stands in front of a lost range may be older than
/// what was lost.
pub fn carve<'a>(directory: &Directory<'a>, order: KeyOrder) -> Carved<'a> {
    let mut found: Vec<Found> = Vec::new();
    let mut carved = Carved::default();
    for file in directory.counting() {
        let mut pending: Vec<Found> = Vec::new();
        for item in file.scan() {
            match item {
                Item::Entry(placed) => {
                    let is_addition = matches!(placed.entry, Entry::Add { .. });
                    pending.push(Found { at: placed.span.start, is_addition, summed: false });
                }
                Item::Commit(_, _, covered, checked) => {
                    let right = covered.filter(|_| checked != Checked::Wrong);
                    for change in &mut pending {
                        // Deletions in front of what a commit covers are genuine.
                        change.summed = right.is_some_and(|right| right.contains(change.at) || !change.is_addition);
                    }
                    found.append(&mut pending);
                }
                _ => {}
            }
        }
        // A packed file has one transaction: where its commit is lost, its records are still complete.
        match file.role {
            Role::Packed => found.append(&mut pending),
            _ => carved.uncommitted.extend(pending.iter().filter_map(|change| directory.record(change.at))),
        }
    }
    carved.lost = lost(directory);
    let last_lost = carved.lost.last().map_or(0, |lost| lost.span.start);
    carved.kept = newest(directory, order, found, last_lost);
    carved
}

fn newest<'a>(directory: &Directory<'a>, order: KeyOrder, mut found: Vec<Found>, last_lost: u64) -> Vec<Kept<'a>> {
    found.sort_by(|a, b| order.compare(directory.key(a.at), directory.key(b.at)));
    found.reverse();
    found.dedup_by(|older, newer| order.compare(directory.key(older.at), directory.key(newer.at)) == Ordering::Equal);
    found.reverse();
    let kept = found.into_iter().filter(|change| change.is_addition).filter_map(|change| {
        let confidence = match change.summed {
            _ if change.at < last_lost => Confidence::MaybeStale,
            true => Confidence::Verified,
            false => Confidence::Unverified,
        };
        Some(Kept { record: directory.record(change.at)?, confidence })
    });
    kept.collect()
}

/// The ranges that can't be read, with the keys around them.
fn lost<'a>(directory: &Directory<'a>) -> Vec<Lost<'a>> {
    let mut ranges: Vec<Lost<'a>> = Vec::new();
    let mut open = 0usize;
    let mut before: Option<Record<'a>> = None;
    for item in directory.counting().flat_map(|file| file.scan()) {
        match item {
            Item::Entry(placed) => {
                let Some(record) = directory.record(placed.span.start) else { continue };
                for lost in ranges.iter_mut().skip(open) {
                    lost.after = Some(record.key.clone());
                }
                open = ranges.len();
                before = Some(record);
            }
            item if item.is_damage() => {
                let before = before.as_ref().map(|record| record.key.clone());
                ranges.push(Lost { span: item.span(), before, after: None });
            }
            _ => {}
        }
    }
    ranges.retain(|lost| !lost.span.is_empty());
    ranges.sort_by_key(|lost: &Lost<'a>| (lost.span.start, Span::len(lost.span)));
    ranges
}
