//! What the log leaves: live records by key and by offset, brought forward one change at a time.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::bits::OffsetSet;
use super::layout::{Node, NodeKind};
use super::scan::{Item, Scan};
use super::view::List;
use crate::container::KeyOrder;
use crate::container::rows::Rows;
use crate::image::Cursor;

/// What a DELETE finds at the offset it names.
#[derive(Clone, Copy, Debug)]
pub enum Deleted<'a> {
    /// A live record.
    Live(Node<'a>),
    /// A record that is not live; with it the live record of its key, if there is one.
    Dead(Option<Node<'a>>),
    /// Nothing that can be read.
    Nothing,
}

/// The live records at some moment of a file's log.
///
/// INORDER records stand in key order, so they are found by halving; only what the log added is hashed.
pub struct Live<'a> {
    cursor: Cursor<'a>,
    order: KeyOrder,
    inorder: Cow<'a, [u32]>,
    /// Whether all of them are live.
    all_inorder: bool,
    live: OffsetSet,
    added: HashTable<u32>,
    seed: u64,
}

impl<'a> Live<'a> {
    /// The state at the last checkpoint, and the offset where the log begins:
    /// the first ADD, DELETE or COMMIT.
    pub fn at_checkpoint(cursor: Cursor<'a>, order: KeyOrder) -> (Self, u64) {
        let mut inorder = Vec::new();
        let mut log_at = cursor.len();
        for item in Scan::new(cursor) {
            match item {
                Item::Record(node) if node.kind == NodeKind::Inorder => inorder.extend(u32::try_from(node.offset)),
                Item::Record(_) | Item::Delete { .. } | Item::Commit(_) => {
                    log_at = item.span().start;
                    break;
                }
                _ => {}
            }
        }
        (Live::of_inorder(cursor, order, inorder.into(), &Rows::default()), log_at)
    }

    /// The state of INORDER records alone, given by their offsets in file order; `rows` are among the first records.
    pub fn of_inorder(cursor: Cursor<'a>, order: KeyOrder, inorder: Cow<'a, [u32]>, rows: &Rows) -> Self {
        let live = OffsetSet::new(cursor);
        inorder.par_iter().for_each(|&offset| {
            live.insert(u64::from(offset));
        });
        let seed = RandomState::new().hash_one(cursor.len());
        let mut live = Live { cursor, order, inorder, all_inorder: true, live, added: HashTable::new(), seed };
        if !live.ascends(rows) {
            live.settle();
        }
        live
    }

    /// Whether the keys of the INORDER records ascend; in rows they do.
    fn ascends(&self, rows: &Rows) -> bool {
        let ascend = |pair: &[u32]| match pair {
            &[a, b] => self.compare(a, b) == Ordering::Less,
            _ => true,
        };
        let (mut from, mut between) = (0, Vec::new());
        for row in rows.iter() {
            between.push((from, row.index.saturating_add(1)));
            from = row.index.saturating_add(row.len - 1);
        }
        between.push((from, usize::MAX));
        between.into_par_iter().all(|(from, to)| {
            let between = self.inorder.get(from..to.min(self.inorder.len())).unwrap_or_default();
            between.par_windows(2).all(ascend)
        })
    }

    /// Puts INORDER records that damage left out of order into order; of two of one key the one that stands in place is
    /// live, else the later.
    fn settle(&mut self) {
        self.all_inorder = false;
        let Live { cursor, order, inorder, live, .. } = self;
        let inorder = inorder.to_mut();
        let compare = |a: &u32, b: &u32| order.compare(key_at(*cursor, *a), key_at(*cursor, *b));
        let out_of_place = OffsetSet::new(*cursor);
        for pair in inorder.windows(2) {
            let [a, b] = pair else { continue };
            if compare(a, b) != Ordering::Less {
                out_of_place.insert(u64::from(*a));
                out_of_place.insert(u64::from(*b));
            }
        }
        inorder.sort_by(compare);
        inorder.dedup_by(|later, kept| {
            let same = compare(later, kept) == Ordering::Equal;
            let worse = out_of_place.contains(u64::from(*later)) && !out_of_place.contains(u64::from(*kept));
            if same {
                live.remove(u64::from(if worse { *later } else { *kept }));
            }
            if same && !worse {
                *kept = *later;
            }
            same
        });
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    fn same_key(&self, offset: u32, key: &[u8]) -> bool {
        self.order.compare(key_at(self.cursor, offset), key) == Ordering::Equal
    }

    /// The live record of a key.
    pub fn find(&self, key: &[u8]) -> Option<Node<'a>> {
        let added = self.added.find(self.hash(key), |&offset| self.same_key(offset, key)).copied();
        let node = added.or_else(|| self.find_inorder(key))?;
        Node::read(self.cursor, u64::from(node)).ok()
    }

    fn find_inorder(&self, key: &[u8]) -> Option<u32> {
        let less = |&offset: &u32| self.order.compare(key_at(self.cursor, offset), key) == Ordering::Less;
        let found = *self.inorder.get(self.inorder.partition_point(less))?;
        (self.is_live(found) && self.same_key(found, key)).then_some(found)
    }

    /// Whether the record at an offset is live.
    pub fn is_live(&self, offset: u32) -> bool {
        self.live.contains(u64::from(offset))
    }

    /// Takes a record in; answers the live record of the same key that it displaces.
    pub fn add(&mut self, node: Node<'a>) -> Option<Node<'a>> {
        let displaced = self.find(node.key);
        if let Some(old) = displaced {
            self.remove(old);
        }
        let offset = u32::try_from(node.offset).ok()?;
        self.live.insert(node.offset);
        let (cursor, seed) = (self.cursor, self.seed);
        let rehash = move |&offset: &u32| xxh3_64_with_seed(key_at(cursor, offset), seed);
        self.added.insert_unique(self.hash(node.key), offset, rehash);
        displaced
    }

    /// What a DELETE of `target` would find.
    pub fn look_up(&self, target: u32) -> Deleted<'a> {
        match Node::read(self.cursor, u64::from(target)) {
            Ok(node) if node.kind == NodeKind::Dummy => Deleted::Nothing,
            Ok(node) if self.is_live(target) => Deleted::Live(node),
            Ok(node) => Deleted::Dead(self.find(node.key)),
            Err(_) => Deleted::Nothing,
        }
    }

    /// Takes a live record out.
    pub fn remove(&mut self, node: Node<'a>) {
        self.all_inorder &= node.kind != NodeKind::Inorder;
        self.live.remove(node.offset);
        let hash = self.hash(node.key);
        if let Ok(entry) = self.added.find_entry(hash, |&offset| u64::from(offset) == node.offset) {
            entry.remove();
        }
    }

    /// Offsets of all live records in key order.
    pub fn sorted(&self) -> Cow<'_, [u32]> {
        if self.all_inorder && self.added.is_empty() {
            return Cow::Borrowed(&self.inorder);
        }
        let inorder = self.inorder.iter().copied().filter(|&offset| self.is_live(offset));
        if self.added.is_empty() {
            return inorder.collect();
        }
        let mut added = self.added_as_listed();
        added.sort_by(|&a, &b| self.compare(a, b).then(a.cmp(&b)));
        let mut sorted = Vec::with_capacity(self.inorder.len() + added.len());
        let mut added = added.into_iter().peekable();
        for offset in inorder {
            while let Some(next) = added.next_if(|&next| self.compare(next, offset) == Ordering::Less) {
                sorted.push(next);
            }
            sorted.push(offset);
        }
        sorted.extend(added);
        sorted.into()
    }

    fn compare(&self, a: u32, b: u32) -> Ordering {
        self.order.compare(key_at(self.cursor, a), key_at(self.cursor, b))
    }

    /// Offsets of what the log added, as far as possible in the order of the file's own list, which leaves little to sort.
    fn added_as_listed(&self) -> Vec<u32> {
        let mut offsets = Vec::with_capacity(self.added.len());
        let list = List::new(self.cursor);
        let wanted = OffsetSet::new(self.cursor);
        self.added.iter().for_each(|&offset| {
            wanted.insert(u64::from(offset));
        });
        let first = list.head().and_then(|head| head.pointer(0)).unwrap_or_default();
        list.walk(first, 0, &mut |node| {
            offsets.extend(u32::try_from(node.offset).ok().filter(|_| wanted.remove(node.offset)));
            true
        });
        offsets.extend(self.added.iter().filter(|&&offset| wanted.remove(u64::from(offset))));
        offsets
    }
}

/// The key of the node at an offset that a scan has found one at.
pub fn key_at(cursor: Cursor<'_>, offset: u32) -> &[u8] {
    let offset = u64::from(offset);
    let len = cursor.be_u32(offset.saturating_add(4)).unwrap_or_default();
    cursor.bytes(offset.saturating_add(8), u64::from(len)).unwrap_or_default()
}
