//! The file in physical order: its pages, and what stands on each of them.

use std::borrow::Cow;

use super::layout::{self, BadItem, Body, Head, Item, Layout, Meta, Method, page_type};
use crate::container::Record;
use crate::container::pages::PageSet;
use crate::image::{Cursor, Span, round_up};

/// A Berkeley DB file and how to read it.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its bytes.
    pub cursor: Cursor<'a>,
    /// What page 0 says; `None` if its magic is not there.
    pub meta: Option<Meta>,
    /// How its pages are read.
    pub layout: Layout,
}

/// A page with a head.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its bytes; fewer than a page at the end of a file that is cut off.
    pub span: Span,
    /// Its number by its place in the file.
    pub number: u32,
    /// Its head.
    pub head: Head,
    file: File<'a>,
}

/// What is wrong with a page's items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The index does not fit into the page.
    Index,
    /// An item can't be read: its place in the index, where it should stand, and why not.
    Item(u16, u64, BadItem),
    /// The number of items is odd.
    Odd,
    /// Bytes between the items belong to none.
    Unreferenced(Span),
}

/// The items of a page by their place in the index, and what is wrong with others.
#[derive(Clone, Debug, Default)]
pub struct Items<'a> {
    /// Items that can be read and share no byte with another.
    pub good: Vec<(u16, Item<'a>)>,
    /// All faults.
    pub faults: Vec<Fault>,
}

/// A key and the item behind it in the index.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The key.
    pub key: Item<'a>,
    /// The value.
    pub value: Item<'a>,
}

/// Why the data of an item can't be put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadChain {
    /// The overflow page where it breaks off.
    pub page: u32,
}

impl<'a> File<'a> {
    /// The file that consists of the bytes of `cursor`.
    pub fn new(cursor: Cursor<'a>) -> Self {
        File { cursor, meta: Meta::decode(cursor), layout: Layout::of(cursor) }
    }

    /// Number of pages; the last may be cut off.
    pub fn page_count(&self) -> u64 {
        self.cursor.len().div_ceil(self.layout.page_size).min(1 << 32)
    }

    /// The bytes of a page, as far as they lie in the file.
    pub fn page_span(&self, number: u32) -> Span {
        let start = u64::from(number).saturating_mul(self.layout.page_size).min(self.cursor.len());
        Span::new(start, start.saturating_add(self.layout.page_size).min(self.cursor.len()))
    }

    /// A page behind the metadata; `None` if the file ends in front of it or in its head.
    pub fn page(self, number: u32) -> Option<Page<'a>> {
        let span = self.page_span(number);
        let head =
            Head::decode(self.cursor, self.layout.endian, span.start).filter(|_| number > 0 && span.len() >= 26)?;
        Some(Page { span, number, head, file: self })
    }

    /// A page by a link to it: it must carry its own number.
    pub fn linked(self, number: u32) -> Option<Page<'a>> {
        self.page(number).filter(|page| page.head.number == number)
    }

    /// The numbers of all pages behind the metadata, in file order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        (1..self.page_count()).filter_map(|number| u32::try_from(number).ok())
    }

    /// All pages that have a head, in file order.
    pub fn pages(self) -> impl Iterator<Item = Page<'a>> {
        self.numbers().filter_map(move |number| self.page(number))
    }

    /// The data of an item. A page that is in `used` already is not read again, so that no file makes us read more than it
    /// has.
    pub fn data(&self, item: &Item<'a>, used: &mut PageSet) -> Result<Cow<'a, [u8]>, BadChain> {
        let (mut page, total) = match item.body {
            Body::Here(bytes) => return Ok(Cow::Borrowed(bytes)),
            Body::OffPage { page, len } => (page, u64::from(len)),
        };
        let mut data = Vec::new();
        while (data.len() as u64) < total {
            let broken = BadChain { page };
            let at = self.linked(page).filter(|at| at.head.page_type == page_type::OVERFLOW).ok_or(broken)?;
            if !used.insert(u64::from(page)) {
                return Err(broken);
            }
            let bytes = at.overflow_data().and_then(|span| self.cursor.span(span)).ok_or(broken)?;
            data.extend_from_slice(bytes);
            page = at.head.next;
        }
        if data.len() as u64 == total && page == 0 { Ok(Cow::Owned(data)) } else { Err(BadChain { page }) }
    }

    /// The record of a pair.
    pub fn record(&self, pair: &Pair<'a>, used: &mut PageSet) -> Result<Record<'a>, BadChain> {
        Ok(Record { key: self.data(&pair.key, used)?, value: self.data(&pair.value, used)?, span: pair.span() })
    }

    /// A set for all pages.
    pub fn page_set(&self) -> PageSet {
        PageSet::new(self.page_count())
    }
}

impl<'a> Pair<'a> {
    /// The bytes of key and value if they stand side by side, as they are stored together; otherwise those of the key.
    pub fn span(&self) -> Span {
        match self.is_joint() {
            true => Span::new(self.value.span.start, self.key.span.end),
            false => self.key.span,
        }
    }

    /// Whether the value stands right in front of the key.
    pub fn is_joint(&self) -> bool {
        let gap = self.key.span.start.checked_sub(self.value.span.end);
        gap.is_some_and(|gap| gap < 4)
    }

    /// Whether it is marked deleted.
    pub fn is_deleted(&self) -> bool {
        self.key.deleted || self.value.deleted
    }
}

impl<'a> Page<'a> {
    /// The file it is in.
    pub fn file(&self) -> File<'a> {
        self.file
    }

    /// Whether the file has all of it.
    pub fn is_whole(&self) -> bool {
        self.span.len() == self.file.layout.page_size
    }

    /// Whether it has no byte but zeros: allocated, and never used.
    pub fn is_blank(&self) -> bool {
        self.file.cursor.span(self.span).is_some_and(|bytes| bytes.iter().all(|&b| b == 0))
    }

    /// Whether its keys are records of the database.
    pub fn holds_records(&self) -> bool {
        match self.file.layout.method {
            Method::Btree => self.head.page_type == page_type::LEAF,
            Method::Hash => matches!(self.head.page_type, page_type::HASH | page_type::HASH_UNSORTED),
        }
    }

    /// Whether its sum is right; `true` if pages have none.
    pub fn sum_is_right(&self) -> bool {
        let layout = self.file.layout;
        if !layout.summed {
            return true;
        }
        let stored = self.span.start.checked_add(28).and_then(|at| layout.endian.u32(self.file.cursor, at));
        let bytes = self.file.cursor.span(self.span).unwrap_or_default();
        stored == Some(layout::sum(bytes, 28, 4))
    }

    /// Where the index ends and items may begin.
    pub fn index_end(&self) -> u64 {
        let index = u64::from(self.head.entries).saturating_mul(2);
        self.span.start.saturating_add(self.file.layout.head_len()).saturating_add(index)
    }

    /// Where the items begin, by the page's own word.
    pub fn items_start(&self) -> u64 {
        match (self.head.hf_offset, self.head.entries) {
            (0, 0) => self.span.end,
            (offset, _) => self.span.start.saturating_add(u64::from(offset)),
        }
    }

    /// The data of an overflow page; `None` if it does not fit.
    pub fn overflow_data(&self) -> Option<Span> {
        let start = self.span.start.checked_add(self.file.layout.head_len())?;
        let span = Span::at(start, u64::from(self.head.hf_offset));
        (span.end <= self.span.end && self.head.hf_offset > 0).then_some(span)
    }

    /// Offsets of the items, in the order of the index; empty if the index does not fit.
    pub fn index(&self) -> impl Iterator<Item = (u16, u64)> + use<'a> {
        let fits = self.index_end() <= self.span.end;
        let (base, cursor, layout) = (self.span.start, self.file.cursor, self.file.layout);
        (0..if fits { self.head.entries } else { 0 }).filter_map(move |n| {
            let at = base.checked_add(layout.head_len())?.checked_add(u64::from(n) * 2)?;
            Some((n, base.checked_add(u64::from(layout.endian.u16(cursor, at)?))?))
        })
    }

    /// The items of a leaf or a hash page.
    pub fn items(&self) -> Items<'a> {
        let mut items = Items::default();
        if self.index_end() > self.span.end {
            items.faults.push(Fault::Index);
            return items;
        }
        let (cursor, endian) = (self.file.cursor, self.file.layout.endian);
        let mut before = self.span.start.saturating_add(self.file.layout.page_size);
        for (n, at) in self.index() {
            let inside = at >= self.index_end() && at < self.span.end;
            let item = match self.head.page_type {
                _ if !inside => Err(BadItem::Place),
                page_type::LEAF => layout::leaf_item(cursor, endian, at, self.span.end),
                _ if at >= before => Err(BadItem::Place),
                _ => layout::hash_item(cursor, endian, at, before),
            };
            match item {
                Ok(item) => items.good.push((n, item)),
                Err(bad) => items.faults.push(Fault::Item(n, at, bad)),
            }
            before = if inside { at } else { before };
        }
        items.part_overlapping();
        items.find_unreferenced(self);
        if self.head.entries % 2 == 1 {
            items.faults.push(Fault::Odd);
        }
        items
    }

    /// The keys with their values, deleted ones too. Both must be readable.
    pub fn pairs(&self) -> Vec<Pair<'a>> {
        self.items().pairs().collect()
    }

    /// The child pages of an internal page in order, where they can be read.
    pub fn children(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (cursor, endian, end) = (self.file.cursor, self.file.layout.endian, self.span.end);
        let start = self.index_end();
        self.index().filter_map(move |(_, at)| {
            let inside = at >= start && at.checked_add(12)? <= end;
            endian.u32(cursor, at.checked_add(4)?).filter(|_| inside)
        })
    }
}

impl<'a> Items<'a> {
    /// The keys with their values.
    pub fn pairs(&self) -> impl Iterator<Item = Pair<'a>> + '_ {
        self.good.windows(2).filter_map(|both| match both {
            &[(n, key), (m, value)] if n % 2 == 0 && n.checked_add(1) == Some(m) => Some(Pair { key, value }),
            _ => None,
        })
    }

    /// Takes out items that share bytes with one in front of them in the index.
    fn part_overlapping(&mut self) {
        let mut by_place: Vec<(u64, u64, u16)> =
            self.good.iter().map(|(n, item)| (item.span.start, item.span.end, *n)).collect();
        by_place.sort_unstable();
        let mut out = Vec::new();
        let mut kept: Option<(u64, u64, u16)> = None;
        for item in by_place {
            kept = match kept {
                Some(other) if item.0 < other.1 => {
                    let (first, second) = if item.2 < other.2 { (item, other) } else { (other, item) };
                    out.push((second.2, second.0));
                    Some(first)
                }
                _ => Some(item),
            };
        }
        out.sort_unstable();
        self.good.retain(|(n, _)| out.binary_search_by_key(n, |(out, _)| *out).is_err());
        self.faults.extend(out.into_iter().map(|(n, at)| Fault::Item(n, at, BadItem::Place)));
    }

    /// Finds bytes between the items, more than it takes to align the next.
    fn find_unreferenced(&mut self, page: &Page<'_>) {
        if !self.faults.is_empty() {
            return;
        }
        let mut spans: Vec<Span> = self.good.iter().map(|(_, item)| item.span).collect();
        spans.sort_unstable();
        let mut at = page.items_start().min(page.span.end);
        for span in spans.into_iter().chain([Span::at(page.span.end, 0)]) {
            if round_up(at, 4).is_some_and(|at| at < span.start) || at > span.start {
                self.faults
                    .push(Fault::Unreferenced(Span::new(at.min(span.start), span.start.max(at).min(page.span.end))));
            }
            at = span.end;
        }
    }
}
