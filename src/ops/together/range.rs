//! One range of names: the records of all lists, brought together name by name.

use std::cmp::Ordering;

use super::Item;
use crate::formats::container::KeyOrder;

/// Bytes behind those that all keys of a range share that tell most of them apart.
const TELLING: usize = 16;

/// From a key, up to another.
pub(super) struct Reach<'c> {
    pub from: Option<&'c [u8]>,
    pub to: Option<&'c [u8]>,
    pub order: KeyOrder,
    /// How many bytes all its keys share in front.
    shared: usize,
}

impl<'c> Reach<'c> {
    pub fn new(from: Option<&'c [u8]>, to: Option<&'c [u8]>, order: KeyOrder) -> Self {
        let shared = match (from, to) {
            // Some bytes rank alike there, so keys between two that share them need not.
            _ if order == KeyOrder::Mbox => 0,
            (Some(from), Some(to)) => from.iter().zip(to).take_while(|(a, b)| a == b).count(),
            _ => 0,
        };
        Reach { from, to, order, shared }
    }

    pub fn is_before(&self, key: &[u8]) -> bool {
        self.from.is_some_and(|from| self.order.compare(key, from).is_lt())
    }

    pub fn is_behind(&self, key: &[u8]) -> bool {
        self.to.is_some_and(|to| self.order.compare(key, to).is_ge())
    }

    /// A number that sorts as the keys of the range do, as far as it goes.
    #[inline]
    fn rank(&self, key: &[u8]) -> u128 {
        let rest = key.get(self.shared..).unwrap_or_default();
        match rest.first_chunk::<TELLING>() {
            Some(bytes) if self.order == KeyOrder::Unsigned => u128::from_be_bytes(*bytes),
            _ => {
                let mut bytes = [0; TELLING];
                bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = self.order.rank(*from));
                u128::from_be_bytes(bytes)
            }
        }
    }
}

/// Where an item stands among the others.
#[derive(Clone, Copy)]
struct Place {
    rank: u128,
    key_len: u32,
    item: u32,
}

/// The records of one range of names.
pub struct Range<'a> {
    items: Vec<Item<'a>>,
    /// In the order of keys; of one key, in that of the lists.
    places: Vec<Place>,
    order: KeyOrder,
    /// Length of the longest keys that rank and length tell apart.
    told_len: u32,
}

impl<'a> Range<'a> {
    /// The items of a range, list by list.
    pub(super) fn new(items: Vec<Item<'a>>, reach: &Reach<'_>) -> Self {
        let place = |(item, number): (&Item<'a>, u32)| Place {
            rank: reach.rank(&item.key),
            key_len: u32::try_from(item.key.len()).unwrap_or(u32::MAX),
            item: number,
        };
        let mut places: Vec<Place> = items.iter().zip(0..).map(place).collect();
        let told_len = if reach.order == KeyOrder::Mbox { 0 } else { reach.shared + TELLING };
        let told_len = u32::try_from(told_len).unwrap_or_default();
        let order = reach.order;
        let range = Range { items, places: Vec::new(), order, told_len };
        // Stable, and quick where runs stand behind each other as they do here.
        places.sort_by(|a, b| a.rank.cmp(&b.rank).then_with(|| range.compare(a, b)));
        Range { places, ..range }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes_len(&self) -> usize {
        self.items.iter().map(|item| item.key.len() + item.value.len()).sum()
    }

    fn key(&self, place: &Place) -> &[u8] {
        self.items.get(place.item as usize).map(|item| &*item.key).unwrap_or_default()
    }

    /// Compares keys that rank alike.
    #[inline]
    fn compare(&self, a: &Place, b: &Place) -> Ordering {
        if a.key_len.max(b.key_len) <= self.told_len {
            return a.key_len.cmp(&b.key_len);
        }
        let (a, b) = (self.key(a), self.key(b));
        self.order.compare(a, b).then_with(|| a.cmp(b))
    }

    /// What the lists say of each name in turn: at least one of them says something.
    pub fn each_name<'r>(&'r self, mut visit: impl FnMut(&[&'r Item<'a>])) {
        let mut said: Vec<&Item<'a>> = Vec::new();
        for name in self.places.chunk_by(|a, b| a.rank == b.rank && self.compare(a, b).is_eq()) {
            said.clear();
            said.extend(name.iter().filter_map(|place| self.items.get(place.item as usize)));
            if !said.is_empty() {
                visit(&said);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// Keys as they come out of a range, with the lists that have them.
    fn names(keys: &[(u32, &[u8])], reach: &Reach<'_>) -> Vec<(Vec<u8>, Vec<u32>)> {
        let item = |&(list, key): &(u32, &[u8])| Item { key: key.to_vec().into(), value: Cow::Borrowed(b""), list };
        let range = Range::new(keys.iter().map(item).collect(), reach);
        let mut names = Vec::new();
        range.each_name(|said| names.push((said[0].key.to_vec(), said.iter().map(|item| item.list).collect())));
        names
    }

    #[test]
    fn keys_that_look_alike_are_told_apart() {
        let long = [b"Na".as_slice(), &[b'x'; 40]].concat();
        let longer = [&long[..], b"x"].concat();
        let keys: [&[u8]; 9] = [b"Na", b"Na\0", b"Na\0\0", b"Na\x80", b"Na\xFF", b"Nab", b"Na.", &long, &longer];
        for order in KeyOrder::ALL {
            for reach in [Reach::new(None, None, order), Reach::new(Some(b"Na"), Some(b"Na\xFF\xFF"), order)] {
                let mut sorted = keys.to_vec();
                sorted.sort_by(|a, b| order.compare(a, b));
                // List by list, as they come.
                let lists = (0..3).flat_map(|list| sorted.iter().skip(list as usize).map(move |key| (list, *key)));
                let found = names(&lists.collect::<Vec<_>>(), &reach);
                let expected = sorted.iter().zip(1..).map(|(key, count)| (key.to_vec(), (0..count.min(3)).collect()));
                assert_eq!(found, expected.collect::<Vec<_>>(), "{order}");
            }
        }
    }
}
