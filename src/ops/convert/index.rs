//! The mailboxes of a source as a target keeps them: by their names, and by their uniqueids.

use std::borrow::Cow;
use std::cmp::Ordering;

use memchr::memchr;
use rayon::prelude::*;

use super::{Converter, Held};
use crate::formats::container::{KeyOrder, Pair};
use crate::formats::record::{Key, KeyStyle};
use crate::formats::text::json_usual::Cuts;

/// A mailbox of the source by its uniqueid.
#[derive(Clone, Copy)]
pub(super) struct ById {
    /// The first bytes of the uniqueid.
    prefix: u64,
    /// Which of the mailboxes it is.
    place: Place,
}

/// Which part of the source a mailbox is from, and which of that part it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    part: u32,
    index: u32,
}

impl Place {
    fn new(part: usize, index: usize) -> Self {
        let word = |number: usize| u32::try_from(number).expect("fewer than 4 Gi mailboxes");
        Place { part: word(part), index: word(index) }
    }
}

/// For whom mailboxes are put in order.
#[derive(Clone, Copy)]
pub(super) struct Sorting<'c> {
    pub(super) converter: &'c Converter,
    pub(super) order: KeyOrder,
}

/// A mailbox of the source.
pub(super) struct Mailbox<'a> {
    pub(super) held: Held<'a>,
    /// How its object is cut, where that was seen.
    pub(super) cuts: Option<Cuts>,
}

/// The mailboxes of a source or of one part of it.
#[derive(Default)]
pub(super) struct Index<'a> {
    /// Those of each part, so that no list of many is ever moved.
    parts: Vec<Vec<Mailbox<'a>>>,
    /// Whether some of the names do not ascend in the target's order.
    disordered: bool,
    /// The order of the names then, without those that another one has.
    sorted: Option<Vec<Place>>,
    /// Those of each part with a uniqueid; sorted, those of each range of uniqueids.
    ids: Vec<Vec<ById>>,
}

/// How many uniqueids are in a range, about, and how many of a part stand for each that is looked at to tell where.
const RANGE: usize = 1 << 14;
const SAMPLED: usize = 1 << 7;

impl<'a> Index<'a> {
    /// Takes a mailbox, and the prefix of the uniqueid that it is to be found by.
    #[inline]
    pub(super) fn push(&mut self, mailbox: Mailbox<'a>, prefix: Option<u64>, sorting: Sorting<'_>) {
        if self.parts.is_empty() {
            (self.parts, self.ids) = (vec![Vec::new()], vec![Vec::new()]);
        }
        let (Some(part), Some(ids)) = (self.parts.last_mut(), self.ids.last_mut()) else { return };
        // Which part this is will be known when all are together.
        ids.extend(prefix.map(|prefix| ById { prefix, place: Place::new(0, part.len()) }));
        // While both are in a cache.
        self.disordered |= part.last().is_some_and(|last| !sorting.names(last, &mailbox).is_lt());
        part.push(mailbox);
    }

    /// Takes those of a later part.
    pub(super) fn append(&mut self, mut later: Index<'a>, sorting: Sorting<'_>) {
        let (last, first) = (self.parts.iter().flatten().next_back(), later.parts.iter().flatten().next());
        let ascends = last.zip(first).is_none_or(|(a, b)| sorting.names(a, b).is_lt());
        self.disordered |= later.disordered || !ascends;
        self.parts.append(&mut later.parts);
        self.ids.append(&mut later.ids);
    }

    /// Sorts all; of those with one name the first one counts, and `double` hears of the others and of it.
    pub(super) fn sort(&mut self, sorting: Sorting<'_>, double: &mut dyn FnMut(&Mailbox<'a>, &Mailbox<'a>)) {
        self.ids.par_iter_mut().enumerate().for_each(|(part, ids)| {
            ids.iter_mut().for_each(|id| id.place = Place::new(part, id.place.index as usize));
        });
        self.sort_ids();
        if self.disordered {
            self.sort_names(sorting, double);
        }
        let ids = std::mem::take(&mut self.ids);
        self.ids = ranges(&ids).into_par_iter().map(|(from, until)| self.range(&ids, from, until, sorting)).collect();
        self.ids.retain(|range| !range.is_empty());
    }

    /// Sorts the uniqueids of each part. Those of one fit a processor's cache: right after it was read they still are there.
    pub(super) fn sort_ids(&mut self) {
        self.ids.par_iter_mut().for_each(|ids| ids.sort_unstable_by_key(|id| id.prefix));
    }

    /// Those of all parts whose prefix is in a range, in the order of their uniqueids.
    fn range(&self, parts: &[Vec<ById>], from: u64, until: Option<u64>, sorting: Sorting<'_>) -> Vec<ById> {
        let mut range = Vec::with_capacity(RANGE);
        for ids in parts {
            let place = |prefix| ids.partition_point(|id| id.prefix < prefix);
            range.extend_from_slice(&ids[place(from)..until.map_or(ids.len(), place)]);
        }
        range.sort_unstable_by_key(|id| id.prefix);
        let full = |a: &ById, b: &ById| {
            let uniqueids = self.mailbox(a).zip(self.mailbox(b)).map(|(a, b)| sorting.uniqueids(a, b));
            uniqueids.unwrap_or(Ordering::Equal).then(a.place.cmp(&b.place))
        };
        // These may be many, and each comparison reads two records.
        let alike = range.chunk_by_mut(|a, b| a.prefix == b.prefix).filter(|alike| alike.len() > 1);
        alike.for_each(|alike| alike.par_sort_unstable_by(full));
        range
    }

    fn sort_names(&mut self, sorting: Sorting<'_>, double: &mut dyn FnMut(&Mailbox<'a>, &Mailbox<'a>)) {
        let names =
            |a: Place, b: Place| self.at(a).zip(self.at(b)).map_or(Ordering::Equal, |(a, b)| sorting.names(a, b));
        let each = |(part, mailboxes): (usize, &Vec<_>)| (0..mailboxes.len()).map(move |index| Place::new(part, index));
        let mut places: Vec<Place> = self.parts.iter().enumerate().flat_map(each).collect();
        places.par_sort_unstable_by(|&a, &b| names(a, b).then(a.cmp(&b)));
        places.dedup_by(|later, first| {
            let same = names(*first, *later).is_eq();
            if let (true, Some(later), Some(first)) = (same, self.at(*later), self.at(*first)) {
                double(later, first);
            }
            same
        });
        self.sorted = Some(places);
    }

    #[inline]
    fn at(&self, place: Place) -> Option<&Mailbox<'a>> {
        self.parts.get(place.part as usize)?.get(place.index as usize)
    }

    /// The mailboxes in the order of their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &Mailbox<'a>> {
        let as_they_stand = self.parts.iter().filter(|_| self.sorted.is_none()).flatten();
        as_they_stand.chain(self.sorted.iter().flatten().filter_map(|&place| self.at(place)))
    }

    /// Number of names.
    pub(super) fn len(&self) -> usize {
        self.sorted.as_ref().map_or_else(|| self.parts.iter().map(Vec::len).sum(), Vec::len)
    }

    /// Those with a uniqueid, in the order of these, in ranges: none has one that is in another range too.
    pub(super) fn ids(&self) -> impl Iterator<Item = &[ById]> {
        self.ids.iter().map(Vec::as_slice)
    }

    /// The mailbox.
    #[inline]
    pub(super) fn mailbox(&self, id: &ById) -> Option<&Mailbox<'a>> {
        self.at(id.place)
    }

    /// Whether two have the same uniqueid.
    pub(super) fn is_same(&self, a: &ById, b: &ById, converter: &Converter) -> bool {
        let id = |id: &ById| self.mailbox(id).and_then(|mailbox| uniqueid(converter, mailbox));
        a.prefix == b.prefix && id(a) == id(b)
    }

    /// Whether some mailbox has this uniqueid.
    pub(super) fn has(&self, id: &[u8], sorting: Sorting<'_>) -> bool {
        let prefix = sorting.prefix(id);
        let range = self.ids.partition_point(|range| range.last().is_some_and(|last| last.prefix < prefix));
        let range = self.ids.get(range).map(Vec::as_slice).unwrap_or_default();
        let from = range.partition_point(|known| known.prefix < prefix);
        let mut known = range[from..].iter().take_while(|known| known.prefix == prefix);
        let is_it = |mailbox: &Mailbox<'_>| uniqueid(sorting.converter, mailbox).as_deref() == Some(id);
        known.any(|known| self.mailbox(known).is_some_and(is_it))
    }
}

/// Ranges of prefixes, from one to another, of about as many uniqueids each, together all there are.
fn ranges(parts: &[Vec<ById>]) -> Vec<(u64, Option<u64>)> {
    let mut samples: Vec<u64> =
        parts.iter().flat_map(|ids| ids.iter().skip(SAMPLED / 2).step_by(SAMPLED)).map(|id| id.prefix).collect();
    samples.par_sort_unstable();
    let mut cuts: Vec<u64> = samples.into_iter().skip(RANGE / SAMPLED).step_by(RANGE / SAMPLED).collect();
    cuts.dedup();
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    starts.zip(cuts.iter().copied().map(Some).chain([None])).collect()
}

impl Sorting<'_> {
    /// How the keys that two mailboxes have in the target stand to each other.
    #[inline]
    fn names(&self, a: &Mailbox<'_>, b: &Mailbox<'_>) -> Ordering {
        order_of_names(self.converter, self.order, a.held.key(), b.held.key())
    }

    /// The first eight bytes of a uniqueid as a number that sorts as they do; what is equal here need not be equal.
    pub(super) fn prefix(&self, id: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(id).for_each(|(to, from)| *to = self.order.rank(*from));
        u64::from_be_bytes(bytes)
    }

    /// How two mailboxes stand to each other by their uniqueids, and if these are the same by their keys.
    fn uniqueids(&self, a: &Mailbox<'_>, b: &Mailbox<'_>) -> Ordering {
        let [x, y] = [a, b].map(|mailbox| uniqueid(self.converter, mailbox).unwrap_or_default());
        self.order.compare(&x, &y).then_with(|| x.cmp(&y)).then_with(|| a.held.key().cmp(b.held.key()))
    }
}

/// How the keys that two mailboxes of the source have in the target stand to each other.
fn order_of_names(converter: &Converter, order: KeyOrder, a: &[u8], b: &[u8]) -> Ordering {
    let styles = (converter.origin.style.keys, converter.era.style().keys);
    if styles == (KeyStyle::Plain, KeyStyle::Prefixed) && memchr(b'!', a).is_none() && memchr(b'!', b).is_none() {
        // Without domains, bytes become others whatever stands around them.
        let in_key = |byte: u8| match byte {
            b'.' => 0x1F,
            b'^' => b'.',
            other => other,
        };
        let differing = a.iter().zip(b).filter(|(x, y)| x != y);
        let mut ranks = differing.map(|(&x, &y)| [x, y].map(|byte| order.rank(in_key(byte))));
        return ranks.find(|[x, y]| x != y).map_or_else(|| a.len().cmp(&b.len()), |[x, y]| x.cmp(&y));
    }
    order.compare(&name_key(converter, a), &name_key(converter, b))
}

/// The key that a mailbox of the source has in the target.
fn name_key<'k>(converter: &Converter, key: &'k [u8]) -> Cow<'k, [u8]> {
    let target = converter.era.style().keys;
    if converter.origin.style.keys == target {
        return Cow::Borrowed(key);
    }
    Cow::Owned(Key::decode(key, converter.origin.style.keys).encode(target).unwrap_or_default())
}

/// The uniqueid of a mailbox's record.
fn uniqueid<'h>(converter: &Converter, mailbox: &'h Mailbox<'_>) -> Option<Cow<'h, [u8]>> {
    converter.decode(mailbox.held.key(), mailbox.held.value()).entry?.uniqueid
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::record::{Era, Style};
    use crate::ops::convert::Origin;
    use crate::ops::convert::role::Bare;

    fn converter(era: Era) -> Converter {
        let origin = Origin { style: Style::JSON, era: None, bare: Bare::Local, typeless: false, jmapids: false };
        let (host, witnesses) = (Default::default(), Default::default());
        Converter { origin, era, host, witnesses, makes_jmapids: false, now: 0 }
    }

    #[test]
    fn of_a_name_that_stands_there_twice_the_first_counts_and_both_uniqueids_do() {
        let converter = converter(Era::V3_6);
        let sorting = Sorting { converter: &converter, order: KeyOrder::Unsigned };
        let sources = [("user.c", "id3"), ("user.a", "id1"), ("user.b", "id2"), ("user.a", "id9"), ("user.a", "id1")];
        let objects = sources.map(|(_, id)| format!(r#"{{"uniqueid": "{id}"}}"#));
        // In one part and in several.
        for cut in [0, 2, 3, 5] {
            let (mut index, mut later) = (Index::default(), Index::default());
            for (number, ((name, id), object)) in sources.iter().zip(&objects).enumerate() {
                let part = if number < cut { &mut index } else { &mut later };
                let held = Held::Borrowed(name.as_bytes(), object.as_bytes());
                part.push(Mailbox { held, cuts: None }, Some(sorting.prefix(id.as_bytes())), sorting);
            }
            index.append(later, sorting);
            let mut doubles = Vec::new();
            index.sort(sorting, &mut |later, first| {
                doubles.push([later, first].map(|mailbox| mailbox.held.value().to_vec()))
            });
            let names: Vec<_> = index.names().map(|mailbox| mailbox.held.key()).collect();
            assert_eq!(names, [b"user.a", b"user.b", b"user.c"]);
            let first = objects[1].as_bytes();
            assert_eq!(doubles, [3, 4].map(|double: usize| [objects[double].as_bytes().to_vec(), first.to_vec()]));
            let ids: Vec<&ById> = index.ids().flatten().collect();
            let values: Vec<_> =
                ids.iter().filter_map(|id| index.mailbox(id)).map(|mailbox| mailbox.held.value()).collect();
            assert_eq!(values, [1, 4, 2, 0, 3].map(|number: usize| objects[number].as_bytes()));
            assert!(std::ptr::eq(index.mailbox(ids[0]).unwrap(), index.names().next().unwrap()));
            assert!(index.is_same(ids[0], ids[1], &converter));
            assert!(!index.is_same(ids[1], ids[2], &converter));
            assert!(index.has(b"id9", sorting) && !index.has(b"id4", sorting));
        }
    }

    #[test]
    fn many_uniqueids_are_sorted_whatever_they_begin_with() {
        let converter = converter(Era::V3_6);
        let sorting = Sorting { converter: &converter, order: KeyOrder::Unsigned };
        let count = 3 * RANGE;
        // All differ early, in the ninth byte at last, or not at all; each stands where its name does not.
        for id in
            [|n: usize| format!("{:08x}", n.wrapping_mul(0x9E37_79B1)), |n| format!("same pre{n}"), |_| "one".into()]
        {
            let names: Vec<String> = (0..count).map(|n| format!("user.{n:06}")).collect();
            let objects: Vec<String> = (0..count).map(|n| format!(r#"{{"uniqueid": "{}"}}"#, id(n))).collect();
            let mut index = Index::default();
            for part in names.iter().zip(&objects).collect::<Vec<_>>().chunks(1000) {
                let mut later = Index::default();
                for (name, object) in part {
                    let held = Held::Borrowed(name.as_bytes(), object.as_bytes());
                    let prefix = sorting.prefix(&object.as_bytes()[14..object.len() - 2]);
                    later.push(Mailbox { held, cuts: None }, Some(prefix), sorting);
                }
                index.append(later, sorting);
            }
            index.sort(sorting, &mut |_, _| panic!("no name stands there twice"));
            let held = index.ids().flatten().filter_map(|id| index.mailbox(id)).map(|mailbox| &mailbox.held);
            let found: Vec<_> = held.map(|held| (held.value(), held.key())).collect();
            let mut expected: Vec<_> =
                objects.iter().zip(&names).map(|(id, name)| (id.as_bytes(), name.as_bytes())).collect();
            expected.sort();
            assert!(found == expected, "{}", objects[1]);
            assert!(index.has(id(7).as_bytes(), sorting) && !index.has(b"two", sorting) && !index.has(b"zz", sorting));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]
        #[test]
        fn names_stand_to_each_other_as_their_keys_do(a in "[a.^! b$R\u{1D}-\u{1F}]{0,6}", b in "[a.^! b$R\u{1D}-\u{1F}]{0,6}") {
            for era in [Era::V3_4, Era::V3_6] {
                for order in KeyOrder::ALL {
                    let converter = converter(era);
                    let [a, b] = [&a, &b].map(|name| name.as_bytes());
                    let mailboxes = [a, b].iter().all(|name| matches!(Key::decode(name, KeyStyle::Plain), Key::Mailbox(_)));
                    let expected = order.compare(&name_key(&converter, a), &name_key(&converter, b));
                    prop_assert!(!mailboxes || order_of_names(&converter, order, a, b) == expected);
                }
            }
        }
    }
}
