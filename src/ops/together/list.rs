//! One list among others: walked where it lies, or put in order first.

use std::borrow::Cow;

use rayon::prelude::*;

use super::range::Reach;
use super::{Item, Member, is_mailbox};
use crate::formats::container::{KeyOrder, View};
use crate::formats::record::{Key, KeyStyle};

/// Pieces that a file is divided into at most: as many as the upper levels of a list give.
const PIECES_MAX: u64 = 1 << 12;
/// No piece is shorter than this, in bytes.
const PIECE_LEN: u64 = 1 << 13;
/// Records of a sorted list that stand for a piece.
const STRIDE: usize = 1 << 10;

/// A list's own records of mailboxes.
pub(super) enum List<'a, 's> {
    /// By the file's own pointers.
    Walked { view: Box<dyn View<'a> + 's>, keys: KeyStyle, starts: Vec<Cow<'a, [u8]>> },
    /// In order, one a key.
    Sorted(Vec<Item<'a>>),
}

impl<'a, 's> List<'a, 's> {
    /// A member's list, in `pieces` pieces if that does any good.
    pub(super) fn new(member: &Member<'s, '_, 'a>, keys: KeyStyle, order: KeyOrder, pieces: u64) -> Self {
        let pieces = pieces.min(member.len / PIECE_LEN).clamp(1, PIECES_MAX) as usize;
        let alike = member.style.dump.is_none() && member.style.keys == keys;
        if let Some(view) = member.reading.view(order, pieces).filter(|_| alike) {
            let starts: Option<Vec<_>> = (0..view.parts()).map(|part| first(&*view, part)).collect();
            let ascend = |a: &Cow<'_, [u8]>, b: &Cow<'_, [u8]>| order.compare(a, b).is_lt();
            match starts {
                Some(starts) if starts.is_sorted_by(ascend) => return List::Walked { view, keys, starts },
                None if view.parts() == 1 => return List::Sorted(Vec::new()),
                _ => {}
            }
        }
        List::sorted(member, keys, order)
    }

    /// Reads all records and puts those of mailboxes in order.
    pub(super) fn sorted(member: &Member<'s, '_, 'a>, keys: KeyStyle, order: KeyOrder) -> Self {
        let own = member.style.keys;
        let parts = (0..member.reading.parts()).into_par_iter().map(|part| {
            let mut items = Vec::new();
            member.reading.walk(part, &mut |record| {
                if own == keys && is_mailbox(&record.key, keys) {
                    items.push(Item { key: record.key, value: record.value, list: 0 });
                } else if own != keys
                    && let name @ Key::Mailbox(_) = Key::decode(&record.key, own)
                    && let Some(key) = name.encode(keys)
                {
                    items.push(Item { key: Cow::Owned(key), value: record.value, list: 0 });
                }
                true
            });
            items
        });
        let mut items: Vec<Item<'a>> = parts.collect::<Vec<_>>().into_iter().flatten().collect();
        items.par_sort_by(|a, b| order.compare(&a.key, &b.key).then_with(|| a.key.cmp(&b.key)));
        items.dedup_by(|later, first| later.key == first.key);
        List::Sorted(items)
    }

    /// Where pieces of its mailboxes' part begin.
    pub(super) fn starts(&self) -> Vec<&[u8]> {
        match self {
            List::Walked { starts, keys, .. } => {
                starts.iter().map(|start| &**start).filter(|start| is_mailbox(start, *keys)).collect()
            }
            List::Sorted(items) => items.iter().step_by(STRIDE).map(|item| &*item.key).collect(),
        }
    }

    /// How much of a file of `len` bytes is about mailboxes' names.
    pub(super) fn share(&self, len: u64) -> u64 {
        match self {
            List::Walked { starts, .. } => {
                let pieces = starts.len().max(1) as u64;
                len / pieces * (self.starts().len() as u64).clamp(1, pieces)
            }
            List::Sorted(items) => items.len() as u64 * 200,
        }
    }

    /// Adds the records within `reach`, as those of list `tag`; an error if the list's keys do not ascend.
    pub(super) fn take(&self, reach: &Reach<'_>, tag: u32, items: &mut Vec<Item<'a>>) -> Result<(), ()> {
        match self {
            List::Sorted(all) => {
                let start = all.partition_point(|item| reach.is_before(&item.key));
                let rest = all.get(start..).unwrap_or_default();
                let rest = rest.iter().take_while(|item| !reach.is_behind(&item.key));
                items.extend(rest.map(|item| Item { list: tag, ..item.clone() }));
                Ok(())
            }
            List::Walked { view, keys, starts } => {
                let of = |number: usize| starts.get(number).map(|start| &**start);
                // The last piece that begins where the range does, or in front of it.
                let first = starts
                    .partition_point(|start| reach.from.is_none_or(|from| reach.order.compare(start, from).is_le()));
                let first = if reach.from.is_some() { first.saturating_sub(1) } else { 0 };
                let within =
                    (first..starts.len()).take_while(|&piece| of(piece).is_some_and(|key| !reach.is_behind(key)));
                for piece in within {
                    let end = of(piece + 1);
                    // Indexes stand in front of the mailboxes.
                    let indexes = end.is_some_and(|end| end.first().is_some_and(|&first| first < b'N'));
                    if !indexes || *keys != KeyStyle::Prefixed {
                        Piece { view: &**view, keys: *keys, number: piece, end }.take(reach, tag, items)?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// A part of a list that is walked.
struct Piece<'p, 'a> {
    view: &'p (dyn View<'a> + 'p),
    keys: KeyStyle,
    number: usize,
    /// The key that the next piece begins with.
    end: Option<&'p [u8]>,
}

impl<'a> Piece<'_, 'a> {
    /// Adds the records within `reach`; an error if the keys do not ascend up to the piece's end.
    fn take(&self, reach: &Reach<'_>, tag: u32, items: &mut Vec<Item<'a>>) -> Result<(), ()> {
        let (mut ascends, mut inside) = (true, reach.from.is_none());
        let ends_inside = self.end.is_some_and(|end| reach.to.is_some_and(|to| reach.order.compare(end, to).is_le()));
        let mut before: Option<Cow<'a, [u8]>> = None;
        self.view.walk(self.number, &mut |record| {
            ascends = before.as_ref().is_none_or(|before| reach.order.compare(before, &record.key).is_lt());
            if !ascends || !ends_inside && reach.is_behind(&record.key) {
                return false;
            }
            inside = inside || !reach.is_before(&record.key);
            if inside && is_mailbox(&record.key, self.keys) {
                items.push(Item { key: record.key.clone(), value: record.value, list: tag });
            }
            before = Some(record.key);
            true
        });
        let ends = before.is_none_or(|last| self.end.is_none_or(|end| reach.order.compare(&last, end).is_lt()));
        if ascends && ends { Ok(()) } else { Err(()) }
    }
}

/// The first key of a piece.
fn first<'a>(view: &(dyn View<'a> + '_), piece: usize) -> Option<Cow<'a, [u8]>> {
    let mut first = None;
    view.walk(piece, &mut |record| {
        first = Some(record.key);
        false
    });
    first
}
