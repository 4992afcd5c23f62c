//! A data file in physical order, resynchronising behind damage.

use super::directory::File;
use super::layout::{self, Broken, Checked, Commit, Entry, HEADER_LEN, Host, Placed};
use crate::image::{Cursor, Span};

/// One thing in a data file. Spans are those of the common space.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A record or a deletion.
    Entry(Placed<'a>),
    /// The end of a transaction: the commit, its bytes, what it covers, and whether its sum is right.
    Commit(Commit, Span, Option<Span>, Checked),
    /// The index of a packed file.
    Index(Span),
    /// The end of a packed file.
    Final(Commit, Span, Checked),
    /// Zero bytes where a record should begin.
    Zeros(Span),
    /// What the end of the file cuts off.
    Torn(Span),
    /// Bytes that are nothing, up to where something plausible starts.
    Gap(Span, Broken),
}

impl Item<'_> {
    /// Its bytes.
    pub fn span(&self) -> Span {
        match self {
            Item::Entry(placed) => placed.span,
            Item::Commit(_, span, _, _)
            | Item::Index(span)
            | Item::Final(_, span, _)
            | Item::Zeros(span)
            | Item::Torn(span)
            | Item::Gap(span, _) => *span,
        }
    }

    /// Whether its bytes can't be read.
    pub fn is_damage(&self) -> bool {
        matches!(self, Item::Zeros(_) | Item::Torn(_) | Item::Gap(..))
    }
}

/// Reads what stands behind the header of a data file; the items cover it to its end.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    cursor: Cursor<'a>,
    /// Where the file begins in the common space.
    base: u64,
    host: Host,
    /// Offset of the next item in the file.
    at: u64,
    /// Where records end in the file.
    end: u64,
    /// Index and last commit of a packed file.
    packed: Option<(Span, Placed<'a>)>,
    /// End of the last commit whose sum was right: a commit does not cover anything in front of it. So every byte is summed
    /// at most once for a right sum, and a wrong one is not tried twice.
    summed: u64,
}

impl<'a> Scan<'a> {
    /// Reads a file.
    pub fn new(file: &File<'a>) -> Self {
        let cursor = file.cursor();
        let packed = layout::packed_end(cursor);
        let end = packed.map_or(cursor.len(), |(index, _)| index.start);
        Scan { cursor, base: file.part.start, host: file.host(), at: HEADER_LEN, end, packed, summed: HEADER_LEN }
    }

    fn shifted(&self, span: Span) -> Span {
        Span::new(span.start.saturating_add(self.base), span.end.saturating_add(self.base))
    }

    fn commit(&mut self, commit: Commit, at: Span) -> Item<'a> {
        let covered = layout::covered(at.start, &commit);
        let sensible = covered.is_some_and(|covered| covered.start >= self.summed);
        let checked = match sensible {
            true => layout::check_commit(self.cursor, self.host, at.start, &commit),
            false => Checked::Wrong,
        };
        self.summed = at.end;
        Item::Commit(commit, self.shifted(at), covered.map(|covered| self.shifted(covered)), checked)
    }

    fn damage(&self, broken: Broken) -> Item<'a> {
        let rest = self.cursor.bytes(self.at, self.end.saturating_sub(self.at)).unwrap_or_default();
        let zeros = rest.iter().take_while(|&&b| b == 0).count() as u64;
        let to_end = zeros == rest.len() as u64;
        if zeros >= 8 || to_end {
            return Item::Zeros(self.shifted(Span::at(self.at, if to_end { zeros } else { zeros & !7 })));
        }
        let mut next = self.at.saturating_add(8);
        while next < self.end && !self.starts_entry(next) {
            next = next.saturating_add(8);
        }
        let span = self.shifted(Span::new(self.at, next.min(self.end)));
        if next >= self.end && broken == Broken::Cut { Item::Torn(span) } else { Item::Gap(span, broken) }
    }

    /// Whether something begins at `at` beyond reasonable doubt.
    fn starts_entry(&self, at: u64) -> bool {
        let Ok(placed) = layout::entry(self.cursor, at) else { return self.are_zeros(at) };
        match placed.entry {
            _ if placed.span.end > self.end => false,
            Entry::Add { key, linked, .. } => linked && placed.filled && !key.is_empty(),
            Entry::Delete { key } => placed.filled && !key.is_empty(),
            Entry::Commit(commit) => {
                let covered = layout::covered(at, &commit);
                commit.length % 8 == 0 && commit.length > 0 && covered.is_some()
            }
        }
    }

    /// Whether more zeros stand at `at` than a record has in a row behind its type.
    fn are_zeros(&self, at: u64) -> bool {
        self.cursor.bytes(at, 32).is_some_and(|bytes| bytes.iter().all(|&b| b == 0))
    }

    fn body(&mut self) -> Item<'a> {
        let placed = layout::entry(self.cursor, self.at).and_then(|placed| match placed.span.end <= self.end {
            true => Ok(placed),
            false => Err(Broken::Cut),
        });
        let item = match placed {
            Ok(Placed { entry: Entry::Commit(commit), span, .. }) => self.commit(commit, span),
            Ok(placed) => Item::Entry(Placed { span: self.shifted(placed.span), ..placed }),
            Err(broken) => self.damage(broken),
        };
        self.at = item.span().end.saturating_sub(self.base).max(self.at.saturating_add(1));
        item
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.at < self.end {
            return Some(self.body());
        }
        let (index, placed) = self.packed?;
        if self.at < index.end {
            self.at = index.end;
            return Some(Item::Index(self.shifted(index)));
        }
        self.packed = None;
        let Entry::Commit(commit) = placed.entry else { return None };
        let checked = layout::check_commit(self.cursor, self.host, placed.span.start, &commit);
        Some(Item::Final(commit, self.shifted(placed.span), checked))
    }
}
