//! Live records in the file's own order, and lookups by bisection as Cyrus does them.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::layout;
use super::scan::{self, Piece, Shape};
use crate::container::{KeyOrder, Record, View};
use crate::image::Cursor;

/// The view of a flat file: parts end at line starts.
pub struct FlatView<'a> {
    cursor: Cursor<'a>,
    starts: Vec<u64>,
}

impl<'a> FlatView<'a> {
    /// A view in about `parts` parts of the same size; fewer if the file is small.
    pub fn new(cursor: Cursor<'a>, parts: usize) -> Self {
        let wanted = u64::try_from(parts).unwrap_or(u64::MAX).min(cursor.len() / 4096).max(1);
        let step = cursor.len() / wanted;
        let mut starts: Vec<u64> =
            (0..wanted).map(|part| scan::line_start(cursor, step.saturating_mul(part))).collect();
        starts.push(cursor.len());
        starts.dedup();
        if starts.len() < 2 {
            starts = vec![0, cursor.len()];
        }
        FlatView { cursor, starts }
    }

    /// Walks records from `start` to `end`; lines that are none are passed over, as they are in a recovered file.
    fn records(&self, start: u64, end: u64, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let records = scan::pieces(self.cursor, start, end).filter(|piece| piece.shape == Shape::Record);
        let _ = records.into_iter().try_for_each(|piece| match visit(record(&piece)) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        });
    }

    /// The first line whose key is not below `key` (escaped), by bisection over offsets (`lib/bsearch.c`,
    /// `bsearch_mem_mbox`); lines without LF are invisible.
    fn lower_bound(&self, key: &[u8]) -> u64 {
        let (mut low, mut high) = (0u64, self.cursor.len());
        while low < high {
            let middle = low.saturating_add((high - low) / 2);
            let start = scan::line_start(self.cursor, middle);
            let line = scan::pieces(self.cursor, start, self.cursor.len()).next().filter(|piece| piece.line.terminated);
            match line {
                Some(piece) if KeyOrder::Mbox.compare(piece.key, key) == Ordering::Less => low = piece.line.span().end,
                _ => high = middle,
            }
        }
        scan::line_start(self.cursor, low)
    }
}

/// The record of a line.
pub(super) fn record<'a>(piece: &Piece<'a>) -> Record<'a> {
    Record { key: layout::decode(piece.key), value: layout::decode(piece.value), span: piece.line.span() }
}

impl<'a> View<'a> for FlatView<'a> {
    fn parts(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let end = part.checked_add(1).and_then(|next| self.starts.get(next));
        if let (Some(&start), Some(&end)) = (self.starts.get(part), end) {
            self.records(start, end, visit);
        }
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        let key = layout::encode(key);
        let start = self.lower_bound(&key);
        let piece = scan::pieces(self.cursor, start, self.cursor.len()).next()?;
        (piece.shape == Shape::Record && piece.key == key.as_ref()).then(|| record(&piece))
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let start = self.lower_bound(&layout::encode(prefix));
        self.records(start, self.cursor.len(), &mut |record| record.key.starts_with(prefix) && visit(record));
    }
}
