//! Live rows in the order of their keys, as Cyrus asks for them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::layout::Cell;
use super::scan::{File, Row};
use crate::container::{KeyOrder, Record, View};

/// Visits the rows of the list in the order in which they are stored.
pub fn rows<'a>(file: &File<'a>, visit: &mut dyn FnMut(Cell, Row<'a>) -> bool) {
    let Some(table) = &file.table else { return };
    let mut used = file.page_set();
    for page in file.tree(table.root).leaves.iter().filter_map(|&number| file.page(number)) {
        for cell in page.apart() {
            let Ok(row) = file.row(table, &cell, &mut used) else { continue };
            if !visit(cell, row) {
                return;
            }
        }
    }
}

/// The record of a row.
pub fn record<'a>(cell: &Cell, row: Row<'a>) -> Record<'a> {
    Record { key: row.key, value: row.data, span: cell.span }
}

/// The view of a file: where its rows stand, sorted by their keys.
pub struct RowView<'f, 'a> {
    file: &'f File<'a>,
    order: KeyOrder,
    rows: Vec<(Cow<'a, [u8]>, u64)>,
    stride: usize,
    parts: usize,
}

impl<'f, 'a> RowView<'f, 'a> {
    /// A view in `order`, in at most `parts` parts of the same number of rows.
    pub fn new(file: &'f File<'a>, order: KeyOrder, parts: usize) -> Self {
        let mut sorted = Vec::new();
        rows(file, &mut |cell, row| {
            sorted.push((row.key, cell.span.start));
            true
        });
        sorted.sort_by(|(a, a_at), (b, b_at)| order.compare(a, b).then(a_at.cmp(b_at)));
        let stride = sorted.len().div_ceil(parts.clamp(1, 256)).max(1);
        let parts = sorted.len().div_ceil(stride).max(1);
        RowView { file, order, rows: sorted, stride, parts }
    }

    /// The records at the given places.
    fn records<'v>(&'v self, rows: &'v [(Cow<'a, [u8]>, u64)]) -> impl Iterator<Item = Record<'a>> + 'v {
        rows.iter().filter_map(|(_, at)| {
            let (table, cell) = (self.file.table.as_ref()?, self.file.cell(*at)?);
            // Only a long row needs to know which pages it used, and it must not meet its own twice.
            let mut used = if cell.overflow.is_some() { self.file.page_set() } else { Default::default() };
            self.file.row(table, &cell, &mut used).ok().map(|row| record(&cell, row))
        })
    }

    fn from(&self, key: &[u8]) -> &[(Cow<'a, [u8]>, u64)] {
        let at = self.rows.partition_point(|(other, _)| self.order.compare(other, key) == Ordering::Less);
        self.rows.get(at..).unwrap_or_default()
    }
}

impl<'a> View<'a> for RowView<'_, 'a> {
    fn parts(&self) -> usize {
        self.parts
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>) -> bool) {
        let part = self.rows.chunks(self.stride).nth(part).unwrap_or_default();
        self.records(part).all(visit);
    }

    fn get(&self, key: &[u8]) -> Option<Record<'a>> {
        self.records(self.from(key)).next().filter(|record| record.key == key)
    }

    fn prefix(&self, prefix: &[u8], visit: &mut dyn FnMut(Record<'a>) -> bool) {
        self.records(self.from(prefix)).take_while(|record| record.key.starts_with(prefix)).all(visit);
    }
}
