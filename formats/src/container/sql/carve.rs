//! All that can be read of a file, however damaged, and what is left of rows that are gone.

use std::cmp::{Ordering, Reverse};

use super::layout::{self, Class, Kind};
use super::scan::{File, Page, Table};
use super::view;
use crate::container::{Carved, Confidence, Kept, KeyOrder, Lost, Record};
use crate::image::{Cursor, Span};

/// Longest key that is taken for one: three times what Cyrus allows a mailbox name.
const MAX_KEY_LEN: usize = 3 * 490;

/// Harvests the file; see [`Database::carve`](crate::container::Database::carve).
///
/// What the table's tree reaches is what is stored; of two rows with one key, the one with the higher number. Where pages of
/// the tree are lost, leaves of tables that nothing leads to are taken as well: they may be stale.
pub fn carve<'a>(file: &File<'a>, order: KeyOrder) -> Carved<'a> {
    let mut found: Vec<(Kept<'a>, (bool, u64))> = Vec::new();
    view::rows(file, &mut |cell, row| {
        found.push((Kept { record: view::record(&cell, row), confidence: Confidence::Verified }, (true, cell.row)));
        true
    });
    let lost = lost(file);
    if file.table.is_none() || !lost.is_empty() {
        let assumed = || Table { name: String::new(), sql: String::new(), root: 0, key: 0, data: 1, columns: 2 };
        let table = file.table.clone().unwrap_or_else(assumed);
        let mut used = file.page_set();
        for page in unreached(file) {
            for cell in page.apart() {
                let Ok(row) = file.row(&table, &cell, &mut used) else { continue };
                if row.key.len() <= MAX_KEY_LEN && is_name(&row.key) {
                    let kept = Kept { record: view::record(&cell, row), confidence: Confidence::MaybeStale };
                    found.push((kept, (false, cell.row)));
                }
            }
        }
    }
    found.sort_by(|(a, a_rank), (b, b_rank)| {
        order.compare(&a.record.key, &b.record.key).then(Reverse(a_rank).cmp(&Reverse(b_rank)))
    });
    found.dedup_by(|(later, _), (first, _)| order.compare(&first.record.key, &later.record.key) == Ordering::Equal);
    Carved { kept: found.into_iter().map(|(kept, _)| kept).collect(), lost, uncommitted: Vec::new() }
}

fn is_name(key: &[u8]) -> bool {
    !key.is_empty() && key.iter().all(|&byte| byte >= 0x1D && byte != 0x7F)
}

/// Leaves of tables that no tree leads to.
fn unreached<'a>(file: &File<'a>) -> Vec<Page<'a>> {
    let mut reached = file.page_set();
    for root in file.roots.iter().copied().chain([1]) {
        let pages = file.tree(root);
        pages.leaves.iter().chain(&pages.branches).for_each(|&number| {
            reached.insert(u64::from(number));
        });
    }
    let numbers = (1..=file.page_count()).filter(|&number| !reached.contains(number));
    let pages = numbers.filter_map(|number| file.page(u32::try_from(number).ok()?));
    pages.filter(|page| page.head.kind == Kind::TableLeaf).collect()
}

/// What can't be read: pages of the tree, and rows.
fn lost<'a>(file: &File<'a>) -> Vec<Lost<'a>> {
    let Some(table) = &file.table else {
        let first = file.page_span(1);
        return if first.is_empty() { Vec::new() } else { vec![Lost { span: first, before: None, after: None }] };
    };
    let pages = file.tree(table.root);
    let mut spans: Vec<Span> = pages.bad.iter().map(|&(number, _)| file.page_span(number)).collect();
    let mut used = file.page_set();
    for page in pages.leaves.iter().chain(&pages.branches).filter_map(|&number| file.page(number)) {
        let cells = page.apart();
        let rows = page.head.kind == Kind::TableLeaf;
        let broken = rows && cells.iter().any(|cell| file.row(table, cell, &mut used).is_err());
        if broken || cells.len() < usize::from(page.head.cells) {
            spans.push(page.span);
        }
    }
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable();
    spans.dedup();
    spans.into_iter().map(|span| Lost { span, before: None, after: None }).collect()
}

/// Visits the rows that can be read in free space: that of leaves, and on pages that are in no tree.
pub fn remains<'a>(file: &File<'a>, visit: &mut dyn FnMut(Record<'a>) -> bool) {
    let mut live = Vec::new();
    view::rows(file, &mut |_, row| {
        live.push((row.key, row.data));
        true
    });
    live.sort_unstable();
    let is_live = |record: &Record<'a>| {
        live.binary_search_by(|(key, data)| (&**key, &**data).cmp(&(&*record.key, &*record.value))).is_ok()
    };
    let mut regions: Vec<Span> = unreached(file).iter().map(|page| page.span).collect();
    let leaves = file.table.as_ref().map(|table| file.tree(table.root).leaves).unwrap_or_default();
    for page in leaves.iter().filter_map(|&number| file.page(number)) {
        regions.push(Span::new(page.pointers_end().min(page.content_start()), page.content_start()));
        regions.extend(page.free_blocks());
    }
    regions.sort_unstable();
    for region in regions {
        if !in_region(file.cursor, region).into_iter().filter(|record| !is_live(record)).all(&mut *visit) {
            return;
        }
    }
}

/// The rows of two columns whose description can be read in a region.
fn in_region<'a>(cursor: Cursor<'a>, region: Span) -> Vec<Record<'a>> {
    let mut found = Vec::new();
    let mut at = region.start;
    while at < region.end {
        let record = row_at(cursor, at, region.end);
        at = record.as_ref().map_or(at.saturating_add(1), |record| record.span.end);
        found.extend(record);
    }
    found
}

/// A row whose description begins at `at`: its length, the class of the key, that of the value, then both.
fn row_at<'a>(cursor: Cursor<'a>, at: u64, end: u64) -> Option<Record<'a>> {
    let head_len = u64::from(cursor.u8(at)?);
    if !(3..=9).contains(&head_len) {
        return None;
    }
    let first = at.checked_add(1)?;
    let (_, first_len) = layout::varint(cursor, first)?;
    let (_, second_len) = layout::varint(cursor, first.checked_add(first_len)?)?;
    if first_len.checked_add(second_len)?.checked_add(1)? != head_len {
        return None;
    }
    let columns = layout::columns(cursor.span(Span::new(at, end))?, 2)?;
    let [(Class::Text, key), (Class::Text | Class::Blob, data)] = columns.as_slice() else { return None };
    let bytes = cursor.span(Span::new(at, end))?;
    let (key, value) = (bytes.get(key.clone())?, bytes.get(data.clone())?);
    let digits = value.iter().take_while(|b| b.is_ascii_digit()).count();
    let begins = value.starts_with(b"%(") || digits > 0 && value.get(digits) == Some(&b' ');
    let span = Span::at(at, data.end as u64);
    (begins && key.len() <= MAX_KEY_LEN && is_name(key)).then(|| Record { key: key.into(), value: value.into(), span })
}
