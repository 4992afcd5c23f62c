//! Several lists read as one: what each of them says of a mailbox, name by name, in key order and in bounded memory.
//!
//! The names are cut into ranges. [`Together::range`] reads one range of all lists, so ranges can be worked on side by side, and
//! [`in_order`] brings what was made of them back into order. A list whose keys are spelt and ordered as all together are
//! is walked where it lies, from the places where its own upper levels divide it; any other is put in order first.

mod flow;
mod list;
pub mod ordinary;
mod range;

use std::borrow::Cow;

use rayon::prelude::*;

use crate::formats::container::KeyOrder;
use crate::formats::record::{Decoded, Entry, Form, Key, KeyStyle, Name, Style, decode};

use super::reading::Reading;

pub use flow::in_order;
use list::List;
pub use range::Range;
use range::Reach;

/// Bytes of all lists together that one range stands for: few enough for a processor's cache.
const RANGE_LEN: u64 = 2 << 20;
/// Pieces of each list that one range stands for, on the average: of the first and the last, part is walked in vain.
const PIECES_A_RANGE: u64 = 4;
/// Bytes that a range has of each list on the average, at least: shorter ones are not worth going to.
const SHARE_LEN: u64 = 32 << 10;

/// A mailbox's own record in one of the lists.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// Its key, spelt as all lists together are.
    pub key: Cow<'a, [u8]>,
    /// Its value as it stands in its list.
    pub value: Cow<'a, [u8]>,
    /// The number of the list it is from.
    pub list: u32,
}

/// One list of several.
#[derive(Clone, Copy)]
pub struct Member<'s, 'r, 'a> {
    /// Its records.
    pub reading: &'r Reading<'a, 's>,
    /// How they are read.
    pub style: Style,
    /// Length of its file in bytes.
    pub len: u64,
}

/// A list's keys do not ascend as they should: the number of the list. It has to be [sorted](Together::sort).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Misordered(pub usize);

/// Lists read together.
pub struct Together<'s, 'r, 'a> {
    members: Vec<Member<'s, 'r, 'a>>,
    lists: Vec<List<'a, 's>>,
    keys: KeyStyle,
    order: KeyOrder,
    /// Where each range but the first begins.
    cuts: Vec<Vec<u8>>,
}

impl<'s, 'r, 'a> Together<'s, 'r, 'a> {
    /// The lists, with keys spelt in `keys` and in `order`.
    pub fn new(members: Vec<Member<'s, 'r, 'a>>, keys: KeyStyle, order: KeyOrder) -> Self {
        let all_len: u64 = members.iter().map(|member| member.len).sum();
        let pieces = PIECES_A_RANGE * (all_len / range_len(members.len()) + 1);
        let lists = members.par_iter().map(|member| List::new(member, keys, order, pieces)).collect();
        let mut together = Together { members, lists, keys, order, cuts: Vec::new() };
        together.cut();
        together
    }

    /// Puts a list that turned out to be [`Misordered`] in order.
    pub fn sort(&mut self, misordered: Misordered) {
        let Misordered(number) = misordered;
        if let (Some(list), Some(member)) = (self.lists.get_mut(number), self.members.get(number)) {
            *list = List::sorted(member, self.keys, self.order);
        }
        self.cut();
    }

    /// Divides the names into ranges of about one length.
    fn cut(&mut self) {
        let mut starts: Vec<&[u8]> = self.lists.iter().flat_map(List::starts).collect();
        starts.par_sort_unstable_by(|a, b| self.order.compare(a, b).then_with(|| a.cmp(b)));
        let len: u64 = self.lists.iter().zip(&self.members).map(|(list, member)| list.share(member.len)).sum();
        let ranges = usize::try_from(len / range_len(self.lists.len())).unwrap_or(usize::MAX).max(1);
        // A range that is not longer than most lists' pieces would walk each piece again and again.
        let step = (starts.len() / ranges).max(PIECES_A_RANGE as usize * self.lists.len()).max(1);
        let mut cuts: Vec<Vec<u8>> = starts.iter().skip(step).step_by(step).map(|start| start.to_vec()).collect();
        cuts.dedup_by(|a, b| self.order.compare(a, b).is_eq());
        self.cuts = cuts;
    }

    /// Bytes of all lists' files.
    pub fn len(&self) -> u64 {
        self.members.iter().map(|member| member.len).sum()
    }

    /// Whether they have none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of ranges, at least 1.
    pub fn ranges(&self) -> usize {
        self.cuts.len() + 1
    }

    /// The order that names come in.
    pub fn order(&self) -> KeyOrder {
        self.order
    }

    /// How keys are spelt.
    pub fn keys(&self) -> KeyStyle {
        self.keys
    }

    /// The records of one range of names.
    ///
    /// # Errors
    /// When a list's keys turn out not to ascend.
    pub fn range(&self, number: usize) -> Result<Range<'a>, Misordered> {
        let from = number.checked_sub(1).and_then(|before| self.cuts.get(before)).map(Vec::as_slice);
        let to = self.cuts.get(number).map(Vec::as_slice);
        let reach = Reach::new(from, to, self.order);
        let mut items = Vec::new();
        for (list, tag) in self.lists.iter().zip(0..) {
            list.take(&reach, tag, &mut items).map_err(|()| Misordered(tag as usize))?;
        }
        Ok(Range::new(items, &reach))
    }

    /// Whether a key belongs to a range of names.
    pub fn is_in(&self, number: usize, key: &[u8]) -> bool {
        self.cuts.partition_point(|cut| self.order.compare(cut, key).is_le()) == number
    }

    /// What an item says; `None` if its value can't be read.
    pub fn decode<'i>(&self, item: &'i Item<'_>) -> Option<Entry<'i>> {
        let style = self.members.get(item.list as usize)?.style;
        if style.dump.is_none() {
            let Decoded { entry, .. } = decode(&item.key, &item.value, &Style { keys: self.keys, ..style });
            return entry;
        }
        let mut entry = decode(b"", &item.value, &style).entry?;
        entry.name = self.name(&item.key);
        Some(entry)
    }

    /// The name that a key stands for.
    pub fn name<'k>(&self, key: &'k [u8]) -> Name<'k> {
        match self.keys {
            KeyStyle::Plain => Name::internal(key),
            KeyStyle::Prefixed => Name::new(Form::Db, key.get(1..).unwrap_or_default()),
        }
    }
}

/// Bytes of so many lists that one range stands for.
fn range_len(lists: usize) -> u64 {
    RANGE_LEN.max(SHARE_LEN * lists as u64)
}

/// Whether a key spelt in `keys` is a mailbox's own.
fn is_mailbox(key: &[u8], keys: KeyStyle) -> bool {
    match keys {
        KeyStyle::Prefixed => key.first() == Some(&b'N'),
        KeyStyle::Plain => matches!(Key::decode(key, keys), Key::Mailbox(_)),
    }
}
