//! What one careful pass over a file finds out before anything else is asked: where readable records start, which ranges
//! are lost, and how far the file is committed.

use std::cmp::Ordering;

use super::layout::{ALIGN, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, MARK_LEN, Type, VERSION};
use super::scan::{Item, Piece, What, in_pieces};
use super::view::File;
use crate::container::KeyOrder;
use crate::container::bits::{Bits, Patch};
use crate::container::rows::{Finder, Rows};
use crate::image::{Cursor, Span};

/// The outcome of the pass.
pub struct Survey {
    /// Offsets of the `+` and `-` records whose contents can be believed.
    pub starts: Bits,
    /// Those of the committed part that stand in rows, if they were asked for.
    pub rows: Rows,
    /// Those of them whose crc_head is wrong, in file order: their pointers can't be believed.
    pub worn: Vec<u64>,
    /// Offsets of the `+` records whose crc_head is right and whose crc_tail is wrong, in file order.
    pub bad_tails: Vec<u64>,
    /// Ranges whose contents are lost, in file order, wherever in the file.
    pub lost: Vec<Span>,
    /// How far the file is committed for sure, in bytes.
    pub proven: u64,
    /// How far it may be taken as committed: beyond `proven` only where the COMMIT itself may be lost.
    pub limit: u64,
    /// How far it reached when it was whole; behind its end where that is missing.
    pub committed: u64,
    /// The farthest offset that a proven pointer leads to.
    farthest: u64,
    /// Where the first bytes stand that are no item at all.
    first_gap: Option<u64>,
    /// End of the last COMMIT whose crc_head is wrong.
    worn_commit_end: u64,
    /// End of the last lost range within the committed part.
    last_loss: u64,
    /// What the header says, if it can be believed.
    pub header: Option<Header>,
    /// Whether something proven stands where it can't have been written (a COMMIT or DELETE names what lies behind it, or
    /// a start that no lost range explains): pages may have changed places.
    pub displaced: bool,
    /// Whether what stands in the file allows the size that the header says.
    pub size_is_possible: bool,
}

/// The header, if its check sum and the fields that its meaning hangs on are right.
pub fn believed_header(cursor: Cursor<'_>) -> Option<Header> {
    let header = Header::decode(cursor)?;
    let sound = Header::magic_is_right(cursor) && header.version == VERSION;
    let sum = Header::computed_crc(cursor) == Some(header.crc);
    (sound && sum && header.current_size >= FIRST_OFFSET && header.current_size % ALIGN == 0).then_some(header)
}

/// A COMMIT that names a place its transaction can have started at.
fn plausible_commit(cursor: Cursor<'_>, head: &Head) -> bool {
    let start = head.word(cursor);
    head.kind == Type::Commit && start >= FIRST_OFFSET && start <= head.offset && start.is_multiple_of(ALIGN)
}

/// The file, committed as far as can be known without reading all of it: what the header says, else the end of the last
/// COMMIT.
pub fn quick_file(cursor: Cursor<'_>) -> File<'_> {
    if let Some(header) = believed_header(cursor) {
        return File::new(cursor, header.current_size);
    }
    let mut at = cursor.len() / ALIGN * ALIGN;
    while at >= FIRST_OFFSET + ALIGN {
        at -= ALIGN;
        let commit = Head::decode(cursor, at).filter(|head| plausible_commit(cursor, head));
        if let Some(commit) = commit.filter(|head| head.head_is_right(cursor)) {
            return File::guessed(cursor, commit.end);
        }
    }
    File::guessed(cursor, FIRST_OFFSET.min(cursor.len()))
}

impl Survey {
    /// Reads the whole file once.
    pub fn new(cursor: Cursor<'_>) -> Survey {
        Survey::read(cursor, None)
    }

    /// The same, and finds rows of records whose keys stand in `order`.
    pub fn with_rows(cursor: Cursor<'_>, order: KeyOrder) -> Survey {
        Survey::read(cursor, Some(order))
    }

    fn read(cursor: Cursor<'_>, order: Option<KeyOrder>) -> Survey {
        let header = believed_header(cursor);
        let starts = Bits::new(cursor.len());
        let mut survey = Survey {
            starts,
            rows: Rows::default(),
            worn: Vec::new(),
            bad_tails: Vec::new(),
            lost: Vec::new(),
            proven: FIRST_OFFSET,
            limit: 0,
            committed: 0,
            farthest: 0,
            last_loss: 0,
            first_gap: None,
            worn_commit_end: 0,
            header,
            displaced: false,
            size_is_possible: true,
        };
        let size = header.map(|header| header.current_size);
        let pieces = in_pieces(cursor, DUMMY_OFFSET, |piece| Outline::of(cursor, size, order, piece));
        let mut last_commit_end = 0;
        for piece in pieces {
            survey.starts.insert_all(&piece.starts);
            survey.rows.append(piece.rows);
            survey.size_is_possible &= piece.size_is_possible;
            survey.farthest = survey.farthest.max(piece.farthest);
            for item in &piece.others {
                survey.judge(cursor, item, &mut last_commit_end);
            }
        }
        survey.settle(cursor, last_commit_end);
        survey
    }

    /// Takes in what is not just a record as it should be.
    fn judge(&mut self, cursor: Cursor<'_>, item: &Item, last_commit_end: &mut u64) {
        self.take(item);
        if matches!(item.what, What::Worn(head) if head.kind == Type::Commit) {
            self.worn_commit_end = item.span.end;
        }
        // A tail of other origin says nothing of a whole file; behind a loss it may be a part that moved up.
        let size = self.header.map_or(u64::MAX, |header| header.current_size);
        let beside_a_gap = self.first_gap.is_some_and(|gap| gap < size);
        if let Some(head) = item.proven() {
            let fits = self.chain(cursor, last_commit_end, &head);
            self.displaced |= !fits && (item.span.start < size || beside_a_gap);
        }
    }

    fn take(&mut self, item: &Item) {
        if let What::BadTail(head) = item.what
            && head.kind == Type::Record
        {
            self.bad_tails.push(head.offset);
        }
        if item.is_lost() {
            let gap = item.head().is_none().then_some(item.span.start);
            self.first_gap = self.first_gap.or(gap);
            match self.lost.last_mut().filter(|last| last.end == item.span.start) {
                Some(last) => last.end = item.span.end,
                None => self.lost.push(item.span),
            }
        } else if let Some(head) = item.believed()
            && matches!(head.kind, Type::Record | Type::Delete)
        {
            self.starts.insert(head.offset);
            if matches!(item.what, What::Worn(_)) {
                self.worn.push(head.offset);
            }
        }
    }

    /// Whether the record at `offset`, one of `starts`, has a wrong crc_head.
    pub fn is_worn(&self, offset: u64) -> bool {
        self.worn.binary_search(&offset).is_ok()
    }

    /// Whether a COMMIT follows the one in front of it, and a DELETE what it names.
    fn chain(&mut self, cursor: Cursor<'_>, last_commit_end: &mut u64, head: &Head) -> bool {
        match head.kind {
            Type::Delete => head.word(cursor) < head.offset,
            Type::Commit if plausible_commit(cursor, head) => {
                let (start, expected) = (head.word(cursor), (*last_commit_end).max(FIRST_OFFSET));
                let commit_before = Span::new(start.saturating_sub(MARK_LEN), start);
                let lost = self.worn_commit_end == start || self.is_lost(commit_before);
                *last_commit_end = head.end;
                start == expected || start > expected && lost
            }
            Type::Commit => false,
            Type::Record | Type::Dummy => {
                self.farthest = self.farthest.max(farthest(cursor, head));
                true
            }
        }
    }

    /// Whether something of `span` is lost.
    pub fn is_lost(&self, span: Span) -> bool {
        let behind = self.lost.partition_point(|lost| lost.end <= span.start);
        self.lost.get(behind).is_some_and(|lost| lost.overlaps(span))
    }

    /// Decides how far the file is committed.
    fn settle(&mut self, cursor: Cursor<'_>, last_commit_end: u64) {
        let len = cursor.len();
        if let Some(header) = self.header.filter(|_| self.size_is_possible) {
            self.committed = header.current_size;
            self.proven = header.current_size.min(len);
            self.limit = self.proven;
            // Cyrus sets DIRTY before it lets a file grow: this one grew by other hands, perhaps where it is damaged.
            let grown = len > header.current_size && header.flags == 0;
            self.displaced |= grown && self.first_gap.is_some_and(|gap| gap < self.limit);
        } else {
            self.rows = Rows::default();
            self.proven = last_commit_end.max(FIRST_OFFSET.min(len));
            let may_hide_a_commit = |lost: &&Span| lost.len() >= MARK_LEN || lost.end == len;
            let hidden = self.lost.iter().rev().find(may_hide_a_commit).map_or(0, |lost| lost.end);
            let cut_off = self.farthest >= len;
            self.limit = if cut_off { len } else { self.proven.max(hidden).max(self.worn_commit_end) };
            self.committed = if self.limit < len { self.limit } else { self.farthest.saturating_add(1).max(len) };
        }
        if self.committed > len {
            self.lost.push(Span::new(len, self.committed));
        }
        self.last_loss = self.lost.iter().rev().find(|lost| lost.start < self.committed).map_or(0, |lost| lost.end);
    }

    /// The file as the survey found it to be committed.
    pub fn file<'a>(&self, cursor: Cursor<'a>) -> File<'a> {
        File { cursor, committed: self.committed, limit: self.limit }
    }

    /// Whether a lost range that ends behind `offset` lies within the committed part.
    pub fn loses_behind(&self, offset: u64) -> bool {
        self.last_loss > offset
    }
}

/// What one piece of a file holds.
struct Outline {
    /// Offsets of the `+` records about which nothing is odd.
    starts: Patch,
    /// Those of them that stand in rows.
    rows: Rows,
    /// The farthest offset that a pointer of theirs leads to.
    farthest: u64,
    /// Everything else but filling, in file order.
    others: Vec<Item>,
    /// Whether it allows the size that the header says.
    size_is_possible: bool,
}

impl Outline {
    fn of(cursor: Cursor<'_>, size: Option<u64>, order: Option<KeyOrder>, piece: Piece<'_, '_>) -> Self {
        let (starts, rows) = (Patch::default(), Rows::default());
        let mut outline = Outline { starts, rows, farthest: 0, others: Vec::new(), size_is_possible: true };
        let (mut finder, mut last) = (Finder::default(), None);
        for item in piece {
            if let Some((order, size)) = order.zip(size) {
                find_row(cursor, &mut finder, (order, size), &mut last, &item);
            }
            outline.size_is_possible &= !size.is_some_and(|size| contradicts(&item, size));
            match item.what {
                What::Record(head) if head.kind == Type::Record => {
                    outline.starts.insert(head.offset);
                    outline.farthest = outline.farthest.max(farthest(cursor, &head));
                }
                What::Blank => {}
                _ => outline.others.push(item),
            }
        }
        outline.rows = finder.rows();
        outline
    }
}

/// Looks for a row in items that come in file order, of a file that is committed up to `size` bytes.
#[inline]
fn find_row<'a>(
    cursor: Cursor<'a>,
    finder: &mut Finder,
    (order, size): (KeyOrder, u64),
    last: &mut Option<(Head, &'a [u8])>,
    item: &Item,
) {
    match item.what {
        What::Record(head) if head.kind == Type::Record && head.end <= size => {
            let key = head.key(cursor);
            let follows = last.replace((head, key)).is_some_and(|(last, last_key)| {
                last.next(cursor, size) == head.offset && order.compare(last_key, key) == Ordering::Less
            });
            finder.record(head.offset, follows, (2..=head.level).map(move |index| head.pointer(cursor, index)));
        }
        What::Blank => {}
        _ => finder.cut(),
    }
}

/// The farthest offset that a pointer of a record leads to.
fn farthest(cursor: Cursor<'_>, head: &Head) -> u64 {
    (0..=head.level).map(|index| head.pointer(cursor, index)).max().unwrap_or_default()
}

/// Whether a readable item shows that nothing was ever committed at exactly `size`.
fn contradicts(item: &Item, size: u64) -> bool {
    let ends_there = item.span.end == size && size != FIRST_OFFSET;
    match item.what {
        What::Record(head) => item.span.start < size && size < item.span.end || ends_there && head.kind != Type::Commit,
        What::Blank => ends_there,
        _ => false,
    }
}
