//! Several lists read as one: what each of them says of a mailbox, name by name, in key order and in bounded memory.
//!
//! The names are cut into ranges. [`Together::range`] reads one range of all lists, so ranges can be worked on side by side, and
//! [`in_order`] brings what was made of them back into order. A list whose keys are spelt and ordered as all together are
//! is walked where it lies, from the places where its own upper levels divide it; any other is put in order first.

mod flow;
mod list;
pub mod ordinary;

use std::borrow::Cow;

use rayon::prelude::*;

use crate::formats::container::KeyOrder;
use crate::formats::record::{Decoded, Entry, Form, Key, KeyStyle, Name, Style, decode};

use super::reading::Reading;

pub use flow::in_order;
use list::List;

/// Bytes of all lists together that one range stands for.
const RANGE_LEN: u64 = 8 << 20;

/// A mailbox's own record in one of the lists.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// Its key, spelt as all lists together are.
    pub key: Cow<'a, [u8]>,
    /// Its value as it stands in its list.
    pub value: Cow<'a, [u8]>,
    /// The number of the list it is from.
    pub list: u32,
    /// The first bytes in which keys of its range can differ, as a number that sorts as they do.
    rank: u64,
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
        let lists = members.par_iter().map(|member| List::new(member, keys, order)).collect();
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
        let ranges = usize::try_from(len / RANGE_LEN).unwrap_or(usize::MAX).max(1);
        // A range that is shorter than most lists' pieces would walk each piece again and again.
        let step = (starts.len() / ranges).max(self.lists.len()).max(1);
        let mut cuts: Vec<Vec<u8>> = starts.iter().skip(step).step_by(step).map(|start| start.to_vec()).collect();
        cuts.dedup_by(|a, b| self.order.compare(a, b).is_eq());
        self.cuts = cuts;
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

    /// The records of one range of names, in key order; of one name, in the order of the lists.
    ///
    /// # Errors
    /// When a list's keys turn out not to ascend.
    pub fn range(&self, number: usize) -> Result<Vec<Item<'a>>, Misordered> {
        let from = number.checked_sub(1).and_then(|before| self.cuts.get(before)).map(Vec::as_slice);
        let to = self.cuts.get(number).map(Vec::as_slice);
        let reach = Reach { from, to, order: self.order, shared: shared(from, to, self.order) };
        let mut items = Vec::new();
        for (list, tag) in self.lists.iter().zip(0..) {
            list.take(&reach, tag, &mut items).map_err(|()| Misordered(tag as usize))?;
        }
        // Stable, and quick where runs stand behind each other as they do here.
        let whole = |a: &Item<'_>, b: &Item<'_>| self.order.compare(&a.key, &b.key).then_with(|| a.key.cmp(&b.key));
        items.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| whole(a, b)));
        Ok(items)
    }

    /// Whether a key belongs to a range of names.
    pub fn is_in(&self, number: usize, key: &[u8]) -> bool {
        self.cuts.partition_point(|cut| self.order.compare(cut, key).is_le()) == number
    }

    /// The items of each name in turn.
    pub fn groups<'i>(items: &'i [Item<'a>]) -> impl Iterator<Item = &'i [Item<'a>]> {
        items.chunk_by(|a, b| a.rank == b.rank && a.key == b.key)
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

/// A range of names: from a key, up to another.
struct Reach<'c> {
    from: Option<&'c [u8]>,
    to: Option<&'c [u8]>,
    order: KeyOrder,
    /// How many bytes all its keys share in front.
    shared: usize,
}

impl Reach<'_> {
    fn is_before(&self, key: &[u8]) -> bool {
        self.from.is_some_and(|from| self.order.compare(key, from).is_lt())
    }

    fn is_behind(&self, key: &[u8]) -> bool {
        self.to.is_some_and(|to| self.order.compare(key, to).is_ge())
    }

    /// A number that sorts as the keys of the range do, as far as it goes.
    #[inline]
    fn rank(&self, key: &[u8]) -> u64 {
        let rest = key.get(self.shared..).unwrap_or_default();
        match rest.first_chunk() {
            Some(bytes) if self.order == KeyOrder::Unsigned => u64::from_be_bytes(*bytes),
            _ => {
                let mut bytes = [0; 8];
                bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = self.order.rank(*from));
                u64::from_be_bytes(bytes)
            }
        }
    }
}

/// How many bytes all keys between two share in front.
fn shared(from: Option<&[u8]>, to: Option<&[u8]>, order: KeyOrder) -> usize {
    match (from, to) {
        // Some bytes rank alike there, so keys between two that share them need not.
        _ if order == KeyOrder::Mbox => 0,
        (Some(from), Some(to)) => from.iter().zip(to).take_while(|(a, b)| a == b).count(),
        _ => 0,
    }
}

/// Whether a key spelt in `keys` is a mailbox's own.
fn is_mailbox(key: &[u8], keys: KeyStyle) -> bool {
    match keys {
        KeyStyle::Prefixed => key.first() == Some(&b'N'),
        KeyStyle::Plain => matches!(Key::decode(key, keys), Key::Mailbox(_)),
    }
}
