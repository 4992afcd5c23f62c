//! An LMDB file: its two states, and the pages of a tree.

use super::layout::{self, Branch, Data, HEAD_LEN, Head, Leaf, Meta, NO_ROOT, flag};
use crate::container::Record;
use crate::container::pages::PageSet;
use crate::image::{Cursor, Span};

/// Most levels that a tree has.
const MAX_DEPTH: u16 = 32;

/// A file and its metas.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// Its bytes.
    pub cursor: Cursor<'a>,
    /// The metas of pages 0 and 1, where there is one.
    pub metas: [Option<Meta>; 2],
    /// Bytes of a page.
    pub page_size: u64,
}

/// A page with its place.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its number by its place.
    pub number: u64,
    /// Its bytes, as far as they lie in the file.
    pub span: Span,
    /// Its head.
    pub head: Head,
    cursor: Cursor<'a>,
}

/// Why a page of a tree can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The file ends in front of it or in it.
    Missing,
    /// It says that it is another page.
    Number,
    /// It is not what a page of its level must be.
    Flags,
    /// It was met before.
    Again,
    /// Its pointers do not fit into it, or there are none.
    Bounds,
}

/// A page of a tree that can't be used, and the keys that stand below it.
#[derive(Clone, Copy, Debug)]
pub struct Bad<'a> {
    /// Number of the page.
    pub page: u64,
    /// Why.
    pub why: Why,
    /// Keys from this one on; `None` for the beginning.
    pub low: Option<&'a [u8]>,
    /// Keys in front of this one; `None` for the end.
    pub high: Option<&'a [u8]>,
}

/// The pages of a tree.
#[derive(Clone, Debug, Default)]
pub struct Pages<'a> {
    /// Leaves from left to right.
    pub leaves: Vec<u64>,
    /// Branches, in no order.
    pub branches: Vec<u64>,
    /// Pages that can't be used.
    pub bad: Vec<Bad<'a>>,
}

impl<'a> Env<'a> {
    /// The file that consists of the bytes of `cursor`.
    pub fn new(cursor: Cursor<'a>) -> Self {
        let first = Meta::decode(cursor, 0, 0);
        let sizes = first.map(|meta| meta.page_size()).into_iter().chain((9..=15).map(|bits| 1 << bits));
        let second = |size: u64| Meta::decode(cursor, 1, size).filter(|meta| meta.page_size() == size);
        let page_size = sizes.filter(|&size| layout::is_page_size(size)).find(|&size| second(size).is_some());
        let first_size = first.map(|meta| meta.page_size()).filter(|&size| layout::is_page_size(size));
        let page_size = page_size.or(first_size).unwrap_or(4096);
        Env { cursor, metas: [first, Meta::decode(cursor, 1, page_size)], page_size }
    }

    /// The sound metas, the current one first.
    pub fn states(&self) -> impl Iterator<Item = Meta> + use<> {
        let [first, second] = self.metas.map(|meta| meta.filter(Meta::is_sound));
        let swap = matches!((&first, &second), (Some(a), Some(b)) if b.txnid > a.txnid);
        let both = if swap { [second, first] } else { [first, second] };
        both.into_iter().flatten()
    }

    /// The state that a reader sees.
    pub fn current(&self) -> Option<Meta> {
        self.states().next()
    }

    /// The state in front of it, whose pages are all there still.
    pub fn previous(&self) -> Option<Meta> {
        let current = self.current()?;
        self.states().nth(1).filter(|meta| meta.txnid.checked_add(1) == Some(current.txnid))
    }

    /// Number of pages; the last may be cut off.
    pub fn page_count(&self) -> u64 {
        self.cursor.len().div_ceil(self.page_size)
    }

    /// A set for all pages.
    pub fn page_set(&self) -> PageSet {
        PageSet::new(self.page_count())
    }

    /// The bytes of `count` pages from `number` on, as far as they lie in the file.
    pub fn page_span(&self, number: u64, count: u64) -> Span {
        let start = number.saturating_mul(self.page_size).min(self.cursor.len());
        let len = count.saturating_mul(self.page_size);
        Span::new(start, start.saturating_add(len).min(self.cursor.len()))
    }

    /// A page by its place.
    pub fn page(&self, number: u64) -> Option<Page<'a>> {
        let span = self.page_span(number, 1);
        let head = Head::decode(self.cursor, span.start).filter(|_| span.len() >= HEAD_LEN)?;
        Some(Page { number, span, head, cursor: self.cursor })
    }

    /// A whole page that gives itself its number and has the flags of its kind.
    fn sound(&self, number: u64, flags: u16) -> Result<Page<'a>, Why> {
        let page = self.page(number).filter(|page| page.span.len() == self.page_size).ok_or(Why::Missing)?;
        let kind = page.head.flags & (flag::BRANCH | flag::LEAF | flag::OVERFLOW | flag::META);
        match () {
            () if page.head.number != number => Err(Why::Number),
            () if kind != flags => Err(Why::Flags),
            () if !page.fits() => Err(Why::Bounds),
            () => Ok(page),
        }
    }

    /// The pages of the tree that a meta roots at `root`, each of them once.
    pub fn tree(&self, root: u64, depth: u16) -> Pages<'a> {
        let mut pages = Pages::default();
        let mut seen = self.page_set();
        let mut stack = Vec::new();
        if root != NO_ROOT || depth > 0 {
            stack.push((root, depth.clamp(1, MAX_DEPTH), None, None));
        }
        while let Some((number, level, low, high)) = stack.pop() {
            let flags = if level > 1 { flag::BRANCH } else { flag::LEAF };
            let page = match self.sound(number, flags) {
                Ok(page) if seen.insert(number) => page,
                Ok(_) => {
                    pages.bad.push(Bad { page: number, why: Why::Again, low, high });
                    continue;
                }
                Err(why) => {
                    pages.bad.push(Bad { page: number, why, low, high });
                    continue;
                }
            };
            if level <= 1 {
                pages.leaves.push(number);
                continue;
            }
            pages.branches.push(number);
            let children: Vec<Branch<'a>> = page.branches().collect();
            if children.len() < usize::from(page.head.nodes()) {
                pages.bad.push(Bad { page: number, why: Why::Bounds, low, high });
            }
            let bounds = children.iter().skip(1).map(|child| Some(child.key));
            let highs: Vec<Option<&[u8]>> = bounds.chain([high]).collect();
            for (n, (child, high)) in children.iter().zip(highs).enumerate().rev() {
                let low = if n == 0 { low } else { Some(child.key) };
                stack.push((child.child, level - 1, low, high));
            }
        }
        pages
    }

    /// The record of a leaf's node; `None` if its data can't be found.
    pub fn record(&self, node: &Leaf<'a>) -> Option<Record<'a>> {
        let value = match node.data {
            Data::Here(bytes) => bytes,
            Data::Big { page, len } => self.cursor.span(self.big(page, len)?)?,
        };
        Some(Record { key: node.key.into(), value: value.into(), span: node.span })
    }

    /// Where `len` bytes of data on overflow pages from `number` on stand.
    pub fn big(&self, number: u64, len: u32) -> Option<Span> {
        let page = self.page(number)?;
        let is_overflow = page.head.number == number && page.head.flags & flag::OVERFLOW != 0;
        let start = page.span.start.checked_add(HEAD_LEN)?;
        let span = Span::at(start, len.into());
        let all = u64::from(page.head.count).checked_mul(self.page_size)?;
        (is_overflow && span.end <= page.span.start.checked_add(all)? && span.end <= self.cursor.len()).then_some(span)
    }
}

impl<'a> Page<'a> {
    /// Whether its pointers fit into it.
    fn fits(&self) -> bool {
        let Head { lower, upper, .. } = self.head;
        let overflow = self.head.flags & flag::OVERFLOW != 0;
        let within = lower >= 16 && lower % 2 == 0 && lower <= upper && u64::from(upper) <= self.span.len();
        overflow || within && (self.head.nodes() > 0)
    }

    /// Whether it is a leaf by its own word, for pages that no tree leads to.
    pub fn is_leaf(&self) -> bool {
        self.head.number == self.number && self.head.flags & 0xF == flag::LEAF && self.fits()
    }

    /// Where the pointers end.
    pub fn index_end(&self) -> u64 {
        self.span.start.saturating_add(u64::from(self.head.lower)).min(self.span.end)
    }

    /// Where the nodes begin.
    pub fn nodes_start(&self) -> u64 {
        self.span.start.saturating_add(u64::from(self.head.upper)).min(self.span.end)
    }

    /// Offsets of the nodes in the file, in the order of the pointers; those that point outside the nodes left out.
    fn offsets(&self) -> impl Iterator<Item = u64> + use<'a> {
        let (base, cursor, start, end) = (self.span.start, self.cursor, self.nodes_start(), self.span.end);
        (0..self.head.nodes()).filter_map(move |n| {
            let at = base.checked_add(HEAD_LEN)?.checked_add(u64::from(n) * 2)?;
            let at = base.checked_add(u64::from(cursor.le_u16(at)?))?;
            (at >= start && at < end).then_some(at)
        })
    }

    /// The nodes of a leaf that can be read and share no byte with another.
    pub fn leaves(&self) -> Vec<Leaf<'a>> {
        let nodes: Vec<Leaf<'a>> =
            self.offsets().filter_map(|at| layout::leaf(self.cursor, at, self.span.end)).collect();
        let mut places: Vec<(Span, usize)> = nodes.iter().enumerate().map(|(n, node)| (node.span, n)).collect();
        places.sort_unstable();
        let mut end = 0;
        let mut alone = vec![true; nodes.len()];
        for (span, n) in places {
            if let Some(alone) = alone.get_mut(n) {
                *alone = span.start >= end;
            }
            end = end.max(span.end);
        }
        nodes.into_iter().zip(alone).filter_map(|(node, alone)| alone.then_some(node)).collect()
    }

    /// The nodes of a branch that can be read.
    pub fn branches(&self) -> impl Iterator<Item = Branch<'a>> + use<'a> {
        let (cursor, end) = (self.cursor, self.span.end);
        self.offsets().filter_map(move |at| layout::branch(cursor, at, end))
    }
}
