//! Rows of records that stand one behind the other in a file as in its skip list. A Cyrus that rewrites a file writes all
//! records so: most of it, however damaged, is rows, and what is true of a row need not be asked of each of its records.

/// Most records of a row. The short inputs of fuzzing are to hold some too.
const LONGEST: usize = if cfg!(fuzzing) { 5 } else { 64 };

/// Fewest records of a row; fewer are left alone.
const SHORTEST: usize = if cfg!(fuzzing) { 3 } else { 8 };

/// More levels above the lowest one than any format has.
const LEVELS: usize = 32;

/// Records that stand one behind the other, nothing but filling between them. Each leads to the next one on the lowest
/// level, and on the levels above to the next one that has the level, as far as that is one of the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Offset of the first record.
    pub first: u64,
    /// Offset of the last record.
    pub last: u64,
    /// How many records it has: at least two.
    pub len: usize,
    /// How many records stand in front of the row.
    pub index: usize,
    /// Where its levels stand among those of all rows.
    levels: (usize, usize),
}

impl Row {
    /// Whether `offset` is where one of its records stands, or lies between them.
    pub fn spans(&self, offset: u64) -> bool {
        (self.first..=self.last).contains(&offset)
    }
}

/// What a row has of one level above the lowest one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Level {
    /// The first record that has the level.
    pub first: u64,
    /// The last record that has it.
    pub last: u64,
    /// Where that leads: out of the row.
    pub leads: u64,
}

/// Rows in file order.
#[derive(Default)]
pub struct Rows {
    rows: Vec<Row>,
    levels: Vec<Level>,
    /// How many records were looked at.
    records: usize,
}

impl Rows {
    /// The row whose first record stands at `offset`.
    pub fn at(&self, offset: u64) -> Option<&Row> {
        let index = self.rows.binary_search_by_key(&offset, |row| row.first).ok()?;
        self.rows.get(index)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// What a row has of the levels above the lowest one, as far up as it has any.
    pub fn levels(&self, row: &Row) -> &[Level] {
        self.levels.get(row.levels.0..row.levels.1).unwrap_or_default()
    }

    /// Adds rows that stand behind these.
    pub fn append(&mut self, mut later: Rows) {
        let before = self.levels.len();
        for row in &mut later.rows {
            row.levels = (row.levels.0.saturating_add(before), row.levels.1.saturating_add(before));
            row.index = row.index.saturating_add(self.records);
        }
        self.rows.append(&mut later.rows);
        self.levels.append(&mut later.levels);
        self.records = self.records.saturating_add(later.records);
    }
}

/// Finds the rows among records that come in file order.
#[derive(Default)]
pub struct Finder {
    rows: Rows,
    first: u64,
    last: u64,
    /// Number of records of the row that has begun.
    count: usize,
    levels: [Level; LEVELS],
    /// How many levels above the lowest one it has.
    top: usize,
}

impl Finder {
    /// Takes the next record, which leads to `upper` on the levels above the lowest one; `follows` tells whether the one
    /// in front of it leads to it, and to a greater key.
    #[inline]
    pub fn record(&mut self, offset: u64, follows: bool, upper: impl Iterator<Item = u64> + Clone) {
        let fits = |(level, _): (&Level, u64)| level.first == 0 || level.leads == offset;
        if self.count > 0 && !(follows && self.levels.iter().zip(upper.clone()).all(fits)) {
            self.cut();
        }
        if self.count == 0 {
            self.first = offset;
        }
        let mut levels = 0;
        for (level, leads) in self.levels.iter_mut().zip(upper) {
            let first = if level.first == 0 { offset } else { level.first };
            *level = Level { first, last: offset, leads };
            levels += 1;
        }
        self.top = self.top.max(levels);
        self.last = offset;
        self.count += 1;
        self.rows.records += 1;
        if self.count == LONGEST {
            self.cut();
        }
    }

    /// Takes a record that belongs in no row.
    pub fn pass(&mut self) {
        self.cut();
        self.rows.records += 1;
    }

    /// Something else stands here: what has begun is a row, if it is long enough.
    pub fn cut(&mut self) {
        if self.count >= SHORTEST {
            self.end();
        }
        self.levels.iter_mut().take(self.top).for_each(|level| *level = Level::default());
        self.top = 0;
        self.count = 0;
    }

    /// The rows that were found.
    pub fn rows(mut self) -> Rows {
        self.cut();
        self.rows
    }

    /// Adds what has begun to the rows.
    fn end(&mut self) {
        let levels = self.levels.get(..self.top).unwrap_or_default();
        let from = self.rows.levels.len();
        let levels_of_it = (from, from.saturating_add(self.top));
        let (len, index) = (self.count, self.rows.records.saturating_sub(self.count));
        let row = Row { first: self.first, last: self.last, len, index, levels: levels_of_it };
        // Else it has a record that the level leads to and that does not have the level.
        if !levels.iter().any(|level| row.spans(level.leads)) {
            self.rows.levels.extend_from_slice(levels);
            self.rows.rows.push(row);
        }
    }
}

/// Damage of many kinds, always the same one of a number.
#[cfg(test)]
pub fn damage(whole: &[u8], number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut bytes = whole.to_vec();
    for _ in 0..1 + random(4) {
        let (at, other) = (random(bytes.len() / 8 - 600) * 8, random(bytes.len() / 8 - 600) * 8);
        match random(6) {
            0 => bytes[at..at + 4096].fill(random(256) as u8),
            1 => bytes[at + random(8)] ^= 1 << random(8),
            2 => bytes.copy_within(at..at + 4096, other),
            3 => bytes.copy_within(at..at + 8, other),
            4 => drop(bytes.drain(at..at + 8 * (1 + random(20)))),
            _ => drop(bytes.splice(at..at, std::iter::repeat_n(0x2B, 8 * (1 + random(20))))),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records 8 bytes apart, every second of level 1, every fourth of level 2, each leading to the next of its level.
    fn upper(number: u64) -> Vec<u64> {
        let levels = number.trailing_zeros().min(2);
        (1..=levels).map(|level| (((number >> level) + 1) << level) * 8).collect()
    }

    fn found(count: u64, follows: impl Fn(u64) -> bool, upper: impl Fn(u64) -> Vec<u64>) -> Vec<(u64, u64, usize)> {
        let mut finder = Finder::default();
        for number in 1..=count {
            finder.record(number * 8, follows(number), upper(number).into_iter());
        }
        finder.rows().iter().map(|row| (row.first, row.last, row.index)).collect()
    }

    #[test]
    fn rows_are_found_where_all_leads_on() {
        let len = LONGEST as u64;
        let row = |first: u64, last: u64| (first * 8, last * 8, first as usize - 1);
        let whole = |first: u64| row(first, first + len - 1);
        assert_eq!(found(3 * len, |_| true, upper), [whole(1), whole(len + 1), whole(2 * len + 1)]);
        assert_eq!(found(2 * len + 9, |_| true, upper), [whole(1), whole(len + 1), row(2 * len + 1, 2 * len + 9)]);
        assert_eq!(found(len + 7, |_| true, upper), [whole(1)]);
        assert_eq!(found(len + 10, |number| number != 11, upper), [row(1, 10), whole(11)]);
        assert_eq!(found(len + 3, |number| number != 4, upper), [whole(4)]);
        // A level that leads past a record of it, and one that leads to a record that does not have the level.
        let wrong = |number, to: u64| move |n: u64| if n == number { vec![to * 8] } else { upper(n) };
        assert_eq!(found(len + 11, |_| true, wrong(10, 14)), [row(1, 11), whole(12)]);
        assert_eq!(found(len, |_| true, wrong(len, len - 1)), []);
    }

    #[test]
    fn levels_tell_where_a_row_leads() {
        let mut finder = Finder::default();
        let mut rows = Rows::default();
        finder.pass();
        (1..=LONGEST as u64).for_each(|number| finder.record(number * 8, true, upper(number).into_iter()));
        rows.append(std::mem::take(&mut finder).rows());
        (1..=LONGEST as u64).for_each(|number| finder.record((number + 64) * 8, true, upper(number + 64).into_iter()));
        rows.append(finder.rows());
        let second = rows.at(65 * 8).expect("a row");
        assert_eq!(second.index, 65);
        let level = |first: u64, last: u64, leads: u64| Level { first: first * 8, last: last * 8, leads: leads * 8 };
        assert_eq!(rows.levels(second), [level(66, 128, 130), level(68, 128, 132)]);
        assert!(rows.at(66 * 8).is_none());
    }
}
