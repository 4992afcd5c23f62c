//! Records made side by side, many of them in one stretch of memory.

use std::sync::Arc;

use rayon::prelude::*;

use crate::formats::container::{KeyOrder, Pair};

/// How many items are taken at a time, and what is made of them kept until it is wanted.
const BATCH: usize = 8192;
/// How many items a block is made of.
const TOGETHER: usize = 256;
/// What a record takes, about.
const RECORD_LEN: usize = 256;

/// The bytes of a block: not beside the number of its records, which one thread counts while others read.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Bytes(Vec<u8>);

/// A record in a block.
#[derive(Clone, Debug)]
pub struct Record {
    bytes: Arc<Bytes>,
    start: usize,
    middle: usize,
    end: usize,
}

impl Pair for Record {
    #[inline]
    fn key(&self) -> &[u8] {
        &self.bytes.0[self.start..self.middle]
    }

    #[inline]
    fn value(&self) -> &[u8] {
        &self.bytes.0[self.middle..self.end]
    }
}

/// Records behind each other.
#[derive(Default)]
pub struct Block {
    bytes: Vec<u8>,
    /// Of each record, where its key and its value end.
    ends: Vec<(usize, usize)>,
}

impl Block {
    /// Adds a record.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.with(|bytes| {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
            key.len()
        });
    }

    /// Adds the record that `append` puts behind the others: key and value; it answers how long the key is.
    #[inline]
    pub fn with(&mut self, append: impl FnOnce(&mut Vec<u8>) -> usize) {
        let start = self.bytes.len();
        let key_len = append(&mut self.bytes);
        self.ends.push((start + key_len, self.bytes.len()));
    }
}

/// What `make` puts into blocks of items that follow each other, on all threads.
pub fn made<'i, T: Sync + 'i>(
    mut items: impl Iterator<Item = T> + 'i,
    make: impl Fn(&[T], &mut Block) + Sync + 'i,
) -> impl Iterator<Item = Block> + 'i {
    let mut batch = Vec::with_capacity(BATCH);
    let blocks = std::iter::from_fn(move || {
        batch.clear();
        batch.extend(items.by_ref().take(BATCH));
        let make = |items: &[T]| {
            let mut block =
                Block { bytes: Vec::with_capacity(TOGETHER * RECORD_LEN), ends: Vec::with_capacity(TOGETHER) };
            make(items, &mut block);
            block
        };
        let blocks: Vec<Block> = batch.par_chunks(TOGETHER).map(make).collect();
        (!blocks.is_empty()).then_some(blocks)
    });
    blocks.flatten()
}

/// The records of blocks.
pub struct Made<B> {
    blocks: B,
    /// The bytes of the block at hand.
    bytes: Arc<Bytes>,
    /// Where the next record starts in them.
    start: usize,
    /// Where keys and values of those to come end.
    ends: std::vec::IntoIter<(usize, usize)>,
}

impl<B> Made<B> {
    /// Of all that come.
    pub fn of(blocks: B) -> Self {
        Made { blocks, bytes: Arc::default(), start: 0, ends: Vec::new().into_iter() }
    }
}

impl<B: Iterator<Item = Block>> Iterator for Made<B> {
    type Item = Record;

    #[inline]
    fn next(&mut self) -> Option<Record> {
        loop {
            if let Some((middle, end)) = self.ends.next() {
                let start = std::mem::replace(&mut self.start, end);
                return Some(Record { bytes: Arc::clone(&self.bytes), start, middle, end });
            }
            let Block { bytes, ends } = self.blocks.next()?;
            (self.bytes, self.start, self.ends) = (Arc::new(Bytes(bytes)), 0, ends.into_iter());
        }
    }
}

/// Two sequences that stand in `order` as one; the second is a short one.
pub fn merge<'i>(
    order: KeyOrder,
    mut a: impl Iterator<Item = Record> + 'i,
    b: impl Iterator<Item = Record> + 'i,
) -> impl Iterator<Item = Record> + 'i {
    let (mut next, mut b) = (None, b.peekable());
    std::iter::from_fn(move || {
        let Some(other) = b.peek() else { return next.take().or_else(|| a.next()) };
        next = next.take().or_else(|| a.next());
        match &next {
            Some(first) if order.compare(first.key(), other.key()).is_le() => next.take(),
            _ => b.next(),
        }
    })
}
