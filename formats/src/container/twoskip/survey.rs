//! What one careful pass over a file finds out before anything else is asked: where readable records start, which ranges
//! are lost, and how far the file is committed.

use super::bits::Bits;
use super::layout::{ALIGN, DUMMY_OFFSET, FIRST_OFFSET, Head, Header, MARK_LEN, Type, VERSION};
use super::scan::{Item, Scan, What};
use super::view::File;
use crate::image::{Cursor, Span};

/// The outcome of the pass.
pub struct Survey {
    /// Offsets of the `+` and `-` records whose contents can be believed.
    pub starts: Bits,
    /// Ranges whose contents are lost, in file order, wherever in the file.
    pub lost: Vec<Span>,
    /// How far the file is committed for sure, in bytes.
    pub proven: u64,
    /// How far it may be taken as committed: beyond `proven` only where the COMMIT itself may be lost.
    pub limit: u64,
    /// What the header says, if it can be believed.
    pub header: Option<Header>,
    /// Whether a COMMIT names a start that no lost range explains: pages may have changed places.
    pub displaced: bool,
    /// Whether what stands in the file allows the size that the header says.
    pub size_is_possible: bool,
}

/// What the pass remembers of the COMMITs behind it.
#[derive(Default)]
struct Commits {
    last_end: u64,
    /// Whether something was lost since.
    lost: bool,
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
    head.kind == Type::Commit && start >= FIRST_OFFSET && start <= head.offset && start % ALIGN == 0
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
        let header = believed_header(cursor);
        let starts = Bits::new(cursor.len());
        let mut survey = Survey {
            starts,
            lost: Vec::new(),
            proven: FIRST_OFFSET,
            limit: 0,
            header,
            displaced: false,
            size_is_possible: true,
        };
        let mut commits = Commits::default();
        for item in Scan::new(cursor, DUMMY_OFFSET) {
            if let Some(header) = &header {
                survey.size_is_possible &= !contradicts(&item, header.current_size);
            }
            survey.take(&item);
            commits.lost |= item.is_lost();
            if let What::Record(head) = item.what
                && plausible_commit(cursor, &head)
            {
                survey.chain(cursor, &mut commits, &head);
            }
        }
        survey.settle(cursor, commits.last_end);
        survey
    }

    fn take(&mut self, item: &Item) {
        if item.is_lost() {
            match self.lost.last_mut().filter(|last| last.end == item.span.start) {
                Some(last) => last.end = item.span.end,
                None => self.lost.push(item.span),
            }
        } else if let Some(head) = item.believed()
            && matches!(head.kind, Type::Record | Type::Delete)
        {
            self.starts.insert(head.offset);
        }
    }

    /// Sees whether a COMMIT follows the one in front of it.
    fn chain(&mut self, cursor: Cursor<'_>, commits: &mut Commits, commit: &Head) {
        let (start, expected) = (commit.word(cursor), commits.last_end.max(FIRST_OFFSET));
        self.displaced |= start < expected || start > expected && !commits.lost;
        *commits = Commits { last_end: commit.end, lost: false };
    }

    /// Decides how far the file is committed.
    fn settle(&mut self, cursor: Cursor<'_>, last_commit_end: u64) {
        let len = cursor.len();
        if let Some(header) = self.header.filter(|_| self.size_is_possible) {
            self.proven = header.current_size.min(len);
            self.limit = self.proven;
            if header.current_size > len {
                self.lost.push(Span::new(len, header.current_size));
            }
            return;
        }
        self.proven = last_commit_end.max(FIRST_OFFSET.min(len));
        let may_hide_a_commit = |lost: &&Span| lost.len() >= MARK_LEN || lost.end == len;
        let hidden = self.lost.iter().rev().find(may_hide_a_commit).map_or(0, |lost| lost.end);
        self.limit = self.proven.max(hidden);
    }

    /// The file as the survey found it to be committed.
    pub fn file<'a>(&self, cursor: Cursor<'a>) -> File<'a> {
        match self.header.filter(|_| self.size_is_possible) {
            Some(header) => File::new(cursor, header.current_size),
            None => File::guessed(cursor, self.limit),
        }
    }

    /// Whether a lost range that ends behind `offset` lies within the committed part.
    pub fn loses_behind(&self, offset: u64) -> bool {
        self.lost.iter().rev().take_while(|lost| lost.end > offset).any(|lost| self.is_committed(lost))
    }

    /// Whether a lost range touches the committed part.
    pub fn is_committed(&self, lost: &Span) -> bool {
        lost.start < self.limit || self.header.is_some_and(|header| lost.start < header.current_size)
    }
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
