//! Rows of records that stand one behind the other in the file as in its list. A repack writes all records so: most of a
//! file, however damaged, is rows, and what is true of a row need not be asked of each of its records.

use std::cmp::Ordering;

use super::layout::{Head, MAX_LEVEL};
use super::scan::{Item, What};
use crate::container::KeyOrder;
use crate::image::Cursor;

/// Number of records of a row; shorter ones are left alone.
pub const ROW_LEN: usize = 64;

const LEVELS: usize = MAX_LEVEL as usize;

/// Records that stand one behind the other with nothing but BLANKs between them. The sums of each are right, its level-0
/// pointer leads to the next one, which has a greater key, and what its upper pointers say of the row is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The first record.
    pub first: Head,
    /// The last record.
    pub last: Head,
    /// Where the levels of the row stand among those of all rows.
    levels: (usize, usize),
}

impl Row {
    /// Whether `offset` is where one of its records stands, or lies between them.
    pub fn spans(&self, offset: u64) -> bool {
        (self.first.offset..=self.last.offset).contains(&offset)
    }
}

/// What a row has of one level: level 1, and those above it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Level {
    /// The first record of the level.
    pub first: u64,
    /// The last record of the level.
    pub last: u64,
    /// Where that leads.
    pub leads: u64,
}

/// Rows in file order.
#[derive(Default)]
pub struct Rows {
    rows: Vec<Row>,
    levels: Vec<Level>,
}

impl Rows {
    /// The row whose first record stands at `offset`.
    pub fn at(&self, offset: u64) -> Option<&Row> {
        let index = self.rows.binary_search_by_key(&offset, |row| row.first.offset).ok()?;
        self.rows.get(index)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// What a row has of level 1 and of those above it.
    pub fn levels(&self, row: &Row) -> &[Level] {
        self.levels.get(row.levels.0..row.levels.1).unwrap_or_default()
    }

    /// Adds rows that stand behind these.
    pub fn append(&mut self, mut later: Rows) {
        let before = self.levels.len();
        for row in &mut later.rows {
            row.levels = (row.levels.0.saturating_add(before), row.levels.1.saturating_add(before));
        }
        self.rows.append(&mut later.rows);
        self.levels.append(&mut later.levels);
    }
}

/// Finds the rows among items that come in file order.
pub struct Finder<'a> {
    cursor: Cursor<'a>,
    order: KeyOrder,
    /// The committed size in bytes.
    size: u64,
    rows: Rows,
    ends: Option<(Head, Head)>,
    count: usize,
    levels: [Level; LEVELS],
    /// How many levels above level 0 the row has.
    top: usize,
}

impl<'a> Finder<'a> {
    /// Looks for rows of a file that is committed up to `size` bytes and whose keys stand in `order`.
    pub fn new(cursor: Cursor<'a>, order: KeyOrder, size: u64) -> Self {
        let levels = [Level::default(); LEVELS];
        Finder { cursor, order, size, rows: Rows::default(), ends: None, count: 0, levels, top: 0 }
    }

    /// Takes the next item.
    #[inline]
    pub fn take(&mut self, item: &Item) {
        match item.what {
            What::Record(head) if head.kind == super::layout::Type::Record && head.end <= self.size => {
                self.record(head);
            }
            What::Blank => {}
            _ => self.begin(None),
        }
    }

    /// The rows that were found.
    pub fn rows(self) -> Rows {
        self.rows
    }

    fn begin(&mut self, head: Option<Head>) {
        self.levels.iter_mut().take(self.top).for_each(|level| *level = Level::default());
        self.top = 0;
        self.count = 0;
        self.ends = None;
        if let Some(head) = head {
            self.add(head, head);
        }
    }

    #[inline]
    fn record(&mut self, head: Head) {
        match self.ends {
            Some((first, last)) if self.follows(&last, &head) => self.add(first, head),
            _ => self.begin(Some(head)),
        }
        if self.count == ROW_LEN {
            self.end();
        }
    }

    /// Whether a record goes on with the row behind `last`.
    #[inline]
    fn follows(&self, last: &Head, head: &Head) -> bool {
        let met = self.levels.iter().take(usize::from(head.level).saturating_sub(1));
        last.next(self.cursor, self.size) == head.offset
            && met.clone().all(|level| level.first == 0 || level.leads == head.offset)
            && self.order.compare(last.key(self.cursor), head.key(self.cursor)) == Ordering::Less
    }

    #[inline]
    fn add(&mut self, first: Head, head: Head) {
        let above = usize::from(head.level).saturating_sub(1);
        for (level, number) in self.levels.iter_mut().take(above).zip(2..) {
            level.first = if level.first == 0 { head.offset } else { level.first };
            level.last = head.offset;
            level.leads = head.pointer(self.cursor, number);
        }
        self.top = self.top.max(above);
        self.count += 1;
        self.ends = Some((first, head));
    }

    /// Ends a row of the full length.
    fn end(&mut self) {
        let levels = self.levels.get(..self.top).unwrap_or_default();
        if let Some((first, last)) = self.ends {
            let from = self.rows.levels.len();
            let row = Row { first, last, levels: (from, from.saturating_add(self.top)) };
            if !levels.iter().any(|level| row.spans(level.leads)) {
                self.rows.levels.extend_from_slice(levels);
                self.rows.rows.push(row);
            }
        }
        self.begin(None);
    }
}
