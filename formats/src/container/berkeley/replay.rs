//! What the pages of a btree hold once the changes of the log are made in them that no page has yet.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::layout::{self, Body, DELETED, Method, page_type};
use super::log::{Change, Entry, History};
use super::scan::{Fault, File, Page};
use super::view;
use crate::container::pages::PageSet;
use crate::container::{Record, View};
use crate::image::{Cursor, Span};

/// Data of an item, wherever it comes from.
#[derive(Clone, Debug)]
enum Data<'a> {
    Here(Cow<'a, [u8]>),
    OffPage(u32, u32),
}

/// An item of a leaf.
#[derive(Clone, Debug)]
struct Item<'a> {
    data: Data<'a>,
    deleted: bool,
    /// Where it stands: on its page, or in the log.
    span: Span,
}

/// A page as it is after the changes.
#[derive(Clone, Debug)]
enum State<'a> {
    Leaf {
        items: Vec<Item<'a>>,
        prev: u32,
        next: u32,
    },
    Overflow {
        data: Cow<'a, [u8]>,
        next: u32,
    },
    /// Nothing that holds records.
    Other,
    /// A leaf on disk some items of which can't be read: no place in its index is sure.
    Broken,
}

/// Overflow pages that were read: each is read once, so that no file or log makes us read more than it has.
struct Used {
    on_disk: PageSet,
    in_log: BTreeSet<u32>,
}

/// The pages that the log changes.
#[derive(Clone, Debug, Default)]
pub struct Replay<'a> {
    pages: BTreeMap<u32, State<'a>>,
    /// Number of changes that the pages did not have.
    pub missing: u64,
    /// The first of them.
    pub first: Option<Span>,
    /// The first change that could not be made.
    pub failed: Option<Span>,
    /// Records later than all pages that are not understood; they may be those of another database.
    pub unknown: Vec<Entry<'a>>,
}

impl<'a> Replay<'a> {
    /// Makes the changes of `history` that are later than the pages they change. Hash tables are left as they are.
    pub fn new(file: &File<'a>, history: &History<'a>) -> Self {
        let mut replay = Replay::default();
        if !history.unknown.is_empty() {
            let newest = file.pages().map(|page| page.head.lsn).max().unwrap_or_default();
            replay.unknown = history.unknown.iter().filter(|entry| entry.lsn > newest).copied().collect();
        }
        for (entry, change) in &history.changes {
            if !change.pages().iter().any(|&page| is_behind(file, page, entry)) {
                continue;
            }
            replay.missing = replay.missing.saturating_add(1);
            replay.first.get_or_insert(entry.span);
            if file.layout.method == Method::Hash || replay.make(file, entry, change).is_none() {
                replay.failed.get_or_insert(entry.span);
            }
        }
        replay
    }

    /// Whether the pages lack something, and all of it could be made good.
    pub fn is_complete(&self, history: &History<'_>) -> bool {
        self.missing > 0 && self.failed.is_none() && self.unknown.is_empty() && history.unread.is_empty()
    }

    /// The state of a page, as it is on disk if nothing has changed it yet.
    fn state(&mut self, file: &File<'a>, number: u32) -> &mut State<'a> {
        self.pages.entry(number).or_insert_with(|| file.linked(number).map_or_else(empty_leaf, |page| from_disk(&page)))
    }

    fn leaf(&mut self, file: &File<'a>, number: u32) -> Option<&mut Vec<Item<'a>>> {
        match self.state(file, number) {
            State::Leaf { items, .. } => Some(items),
            _ => None,
        }
    }

    fn make(&mut self, file: &File<'a>, entry: &Entry<'a>, change: &Change<'a>) -> Option<()> {
        match *change {
            Change::AddRemove { page_type: page_type::INTERNAL, .. } => Some(()),
            Change::AddRemove { page, index, add, head, data, .. } => {
                if matches!(self.state(file, page), State::Other) {
                    self.pages.insert(page, empty_leaf());
                }
                let items = self.leaf(file, page)?;
                let index = usize::try_from(index).ok()?;
                match add {
                    true if index <= items.len() => items.insert(index, item(file, head, data, entry.span)?),
                    false if index < items.len() => drop(items.remove(index)),
                    _ => return None,
                }
                Some(())
            }
            Change::Replace { page, index, old, new, prefix, suffix } => {
                let item = self.leaf(file, page)?.get_mut(usize::try_from(index).ok()?)?;
                let Data::Here(data) = &item.data else { return None };
                let from = usize::try_from(prefix).ok()?;
                let to = data.len().checked_sub(usize::try_from(suffix).ok()?)?;
                if data.get(from..to)? != old {
                    return None;
                }
                item.data = Data::Here([data.get(..from)?, new, data.get(to..)?].concat().into());
                Some(())
            }
            Change::MarkDeleted { page, index } => {
                let value = usize::try_from(index).ok()?.checked_add(1)?;
                self.leaf(file, page)?.get_mut(value)?.deleted = true;
                Some(())
            }
            Change::Split { left, right, index, image, image_at } => {
                self.split(file, entry, [left, right], index, (image, image_at))
            }
            Change::Big { page, prev, operation, data } => self.big(file, page, prev, operation, data),
            Change::Free { page } => {
                self.pages.insert(page, State::Other);
                Some(())
            }
        }
    }

    fn split(
        &mut self,
        file: &File<'a>,
        entry: &Entry<'a>,
        to: [u32; 2],
        index: u32,
        image: (&'a [u8], u64),
    ) -> Option<()> {
        let ([left, right], (bytes, image_at)) = (to, image);
        let head = layout::Head::decode(Cursor::new(bytes), file.layout.endian, 0)?;
        if head.number != left {
            // The root went to two new pages, and leads to them now.
            self.pages.insert(head.number, State::Other);
        }
        let mut halves = [State::Other, State::Other];
        if head.page_type == page_type::LEAF {
            let mut first = image_items(file, bytes, image_at, head.entries)?;
            let index = usize::try_from(index).ok().filter(|&index| index <= first.len())?;
            let second = first.split_off(index);
            halves = [
                State::Leaf { items: first, prev: head.prev, next: right },
                State::Leaf { items: second, prev: left, next: head.next },
            ];
        }
        for (page, half) in to.into_iter().zip(halves) {
            if is_behind(file, page, entry) {
                self.pages.insert(page, half);
            }
        }
        if head.next != 0
            && is_behind(file, head.next, entry)
            && let State::Leaf { prev, .. } = self.state(file, head.next)
        {
            *prev = right;
        }
        Some(())
    }

    fn big(&mut self, file: &File<'a>, page: u32, prev: u32, operation: u8, data: &'a [u8]) -> Option<()> {
        match operation {
            3 => {
                self.pages.insert(page, State::Overflow { data: data.into(), next: 0 });
                if prev != 0
                    && let State::Overflow { next, .. } = self.state(file, prev)
                {
                    *next = page;
                }
            }
            8 => {
                let State::Overflow { data: old, .. } = self.state(file, page) else { return None };
                old.to_mut().extend_from_slice(data);
            }
            _ => drop(self.pages.insert(page, State::Other)),
        }
        Some(())
    }

    /// The leaves in their order after the changes.
    fn chain(&self, file: &File<'a>) -> Vec<u32> {
        let changed = self.pages.iter().find(|(_, state)| matches!(state, State::Leaf { prev: 0, .. }));
        let first = changed.map(|(number, _)| *number).or_else(|| view::leftmost(*file).map(|page| page.number));
        let mut numbers = BTreeSet::new();
        let mut chain = Vec::new();
        let mut at = first;
        while let Some(number) = at.filter(|&number| number != 0 && numbers.insert(number)) {
            let next = match self.pages.get(&number) {
                Some(State::Leaf { next, .. }) => *next,
                Some(_) => break,
                None => match file.linked(number).filter(Page::holds_records) {
                    Some(page) => page.head.next,
                    None => break,
                },
            };
            chain.push(number);
            at = Some(next);
        }
        chain
    }

    /// Visits the records of the given pages.
    fn walk(&self, file: &File<'a>, pages: &[u32], visit: &mut dyn FnMut(Record<'a>) -> bool) -> bool {
        let mut used = Used { on_disk: file.page_set(), in_log: BTreeSet::new() };
        pages.iter().all(|number| match self.pages.get(number) {
            Some(State::Leaf { items, .. }) => {
                items.chunks_exact(2).filter_map(|pair| self.record(file, pair, &mut used)).all(&mut *visit)
            }
            Some(_) => true,
            None => view::walk(*file, &[*number], visit),
        })
    }

    fn record(&self, file: &File<'a>, pair: &[Item<'a>], used: &mut Used) -> Option<Record<'a>> {
        let [key, value] = pair else { return None };
        if key.deleted || value.deleted {
            return None;
        }
        Some(Record { key: self.data(file, key, used)?, value: self.data(file, value, used)?, span: key.span })
    }

    fn data(&self, file: &File<'a>, item: &Item<'a>, used: &mut Used) -> Option<Cow<'a, [u8]>> {
        let (mut page, total) = match &item.data {
            Data::Here(data) => return Some(data.clone()),
            Data::OffPage(page, len) => (*page, usize::try_from(*len).ok()?),
        };
        let mut whole = Vec::new();
        while whole.len() < total {
            let Some(State::Overflow { data, next }) = self.pages.get(&page) else {
                // Nothing has changed the chain from here on: it is that of the file.
                let left = u32::try_from(total.checked_sub(whole.len())?).ok()?;
                let rest = layout::Item { span: item.span, deleted: false, body: Body::OffPage { page, len: left } };
                whole.extend_from_slice(&file.data(&rest, &mut used.on_disk).ok()?);
                break;
            };
            if data.is_empty() || !used.in_log.insert(page) {
                return None;
            }
            whole.extend_from_slice(data);
            page = *next;
        }
        (whole.len() == total).then_some(whole.into())
    }

    /// All records after the changes, in the order of the leaves.
    pub fn records(&self, file: &File<'a>) -> Vec<Record<'a>> {
        let mut records = Vec::new();
        self.walk(file, &self.chain(file), &mut |record| {
            records.push(record);
            true
        });
        records
    }
}

/// Whether a page on disk, if it is there at all, does not have a change yet.
fn is_behind(file: &File<'_>, page: u32, entry: &Entry<'_>) -> bool {
    file.linked(page).is_none_or(|page| page.head.lsn < entry.lsn)
}

fn empty_leaf<'a>() -> State<'a> {
    State::Leaf { items: Vec::new(), prev: 0, next: 0 }
}

fn from_disk<'a>(page: &Page<'a>) -> State<'a> {
    match page.head.page_type {
        page_type::LEAF => {
            let items = page.items();
            if items.faults.iter().any(|fault| !matches!(fault, Fault::Unreferenced(_))) {
                return State::Broken;
            }
            let items = items.good.iter().map(|(_, item)| own(item));
            State::Leaf { items: items.collect(), prev: page.head.prev, next: page.head.next }
        }
        page_type::OVERFLOW => {
            let data = page.overflow_data().and_then(|span| page.file().cursor.span(span)).unwrap_or_default();
            State::Overflow { data: data.into(), next: page.head.next }
        }
        _ => State::Other,
    }
}

fn own<'a>(item: &layout::Item<'a>) -> Item<'a> {
    let data = match item.body {
        Body::Here(bytes) => Data::Here(bytes.into()),
        Body::OffPage { page, len } => Data::OffPage(page, len),
    };
    Item { data, deleted: item.deleted, span: item.span }
}

/// An item as the log gives it: its head, which may be all of it, and its data.
fn item<'a>(file: &File<'a>, head: &'a [u8], data: &'a [u8], span: Span) -> Option<Item<'a>> {
    if head.is_empty() {
        return Some(Item { data: Data::Here(data.into()), deleted: false, span });
    }
    if !data.is_empty() {
        let deleted = head.get(2)? & DELETED != 0;
        return (head.get(2)? & !DELETED == 1).then(|| Item { data: Data::Here(data.into()), deleted, span });
    }
    let item = layout::leaf_item(Cursor::new(head), file.layout.endian, 0, head.len() as u64).ok()?;
    Some(Item { span, ..own(&item) })
}

/// The items of a page that the log gives as a whole.
fn image_items<'a>(file: &File<'a>, bytes: &'a [u8], image_at: u64, entries: u16) -> Option<Vec<Item<'a>>> {
    let (cursor, endian) = (Cursor::new(bytes), file.layout.endian);
    let items = (0..u64::from(entries)).map(|n| {
        let at = endian.u16(cursor, file.layout.head_len().checked_add(n.checked_mul(2)?)?)?;
        let item = layout::leaf_item(cursor, endian, at.into(), cursor.len()).ok()?;
        let shifted = |at: u64| at.saturating_add(image_at);
        Some(Item { span: Span::new(shifted(item.span.start), shifted(item.span.end)), ..own(&item) })
    });
    items.collect()
}

/// The view of a database with its log.
pub struct ReplayView<'d, 'a> {
    file: File<'a>,
    replay: &'d Replay<'a>,
    pages: Vec<u32>,
    stride: usize,
    parts: usize,
}

impl<'d, 'a> ReplayView<'d, 'a> {
    /// A view in at most `parts` parts of the same number of pages.
    pub fn new(file: File<'a>, replay: &'d Replay<'a>, parts: usize) -> Self {
        let pages = replay.chain(&file);
        let stride = pages.len().div_ceil(parts.clamp(1, 256)).max(1);
        let parts = pages.len().div_ceil(stride).max(1);
        ReplayView { file, replay, pages, stride, parts }
    }
}

impl<'a> View<'a> for ReplayView<'_, 'a> {
    fn parts(&self) -> usize {
        self.parts
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let pages = self.pages.chunks(self.stride).nth(part).unwrap_or_default();
        self.replay.walk(&self.file, pages, visit);
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let mut found = None;
        self.replay.walk(&self.file, &self.pages, &mut |record| {
            if record.key == key {
                found = Some(record);
            }
            found.is_none()
        });
        found
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        self.replay.walk(&self.file, &self.pages, &mut |record| !record.key.starts_with(prefix) || visit(record));
    }
}
