//! What one pass over a file finds out before anything else is asked: where records stand, what is lost, where the log
//! begins and how far it is committed.

use super::layout::{FIRST_RECORD, Node, NodeKind};
use super::scan::{Item, Piece, in_pieces};
use super::view::{List, push_explicable};
use crate::container::order::all_ascend;
use crate::container::rows::{Finder, Rows};
use crate::container::{Lost, OrderTally};
use crate::image::{Cursor, Span};

/// The outcome of the pass, over a file or a piece of it.
#[derive(Default)]
pub struct Survey<'a> {
    /// Offsets of the INORDER and ADD records that can be believed, in file order.
    pub records: Vec<u32>,
    /// Those of them that stand in rows: flawless ones whose keys ascend whatever compares them.
    pub rows: Rows,
    /// How many of them stand in front of the log.
    pub inorder_count: usize,
    /// Where the log begins: its first ADD, DELETE or COMMIT.
    pub log_at: Option<u64>,
    /// Offset behind the last COMMIT; 0 if there is none.
    pub committed_end: u64,
    /// Ranges that can't be read, in file order.
    pub lost: Vec<Lost<'a>>,
    /// Offsets of the ADDs behind the last COMMIT.
    pub uncommitted: Vec<u32>,
    /// Which comparators fit the records and what they lead to.
    pub tally: OrderTally,
    first_key: Option<&'a [u8]>,
    last_key: Option<&'a [u8]>,
}

impl<'a> Survey<'a> {
    /// Reads the whole file once, on all threads.
    pub fn new(cursor: Cursor<'a>) -> Self {
        let list = List::new(cursor);
        let mut pieces = in_pieces(cursor, |piece| Survey::of(list, piece)).into_iter();
        let mut all = pieces.next().unwrap_or_default();
        pieces.for_each(|piece| all.append(piece));
        all
    }

    fn of(list: List<'a>, piece: Piece<'_, 'a>) -> Self {
        let (mut survey, mut finder) = (Survey::default(), Finder::default());
        let mut last: Option<Node<'a>> = None;
        for item in piece {
            let span = item.span();
            let follows = last.take().is_some_and(|last| survey.tell(list, &last, Some(&item)));
            last = if let Item::Record(node) = item { Some(node) } else { None };
            match item {
                Item::Record(node) if !list.credits(&node) => {
                    survey.lose(span);
                    finder.cut();
                }
                Item::Record(node) => {
                    survey.record(&node);
                    match node.is_flawless() {
                        true => finder.record(node.offset, follows, node.pointers().skip(1).map(u64::from)),
                        false => finder.pass(),
                    }
                }
                Item::Commit(_) => {
                    survey.committed_end = span.end;
                    survey.uncommitted.clear();
                    finder.cut();
                }
                _ => {
                    if item.is_damage() && span.start >= FIRST_RECORD {
                        survey.lose(span);
                    }
                    finder.cut();
                }
            }
            if survey.log_at.is_none() && is_logged(&item) {
                survey.log_at = Some(span.start);
            }
        }
        if let Some(last) = last {
            survey.tell(list, &last, None);
        }
        survey.rows = finder.rows();
        survey
    }

    /// Tallies a record and the one that it leads to; whether that is the one behind it, with a key that is greater
    /// whatever compares them.
    #[inline]
    fn tell(&mut self, list: List<'a>, last: &Node<'a>, behind: Option<&Item<'a>>) -> bool {
        let Some(pointer) = last.pointer(0) else { return false };
        let next = match behind {
            Some(Item::Record(next)) if next.offset == u64::from(pointer) => {
                if all_ascend(last.key, next.key) {
                    self.tally.push_ascending();
                    return true;
                }
                Some(*next)
            }
            _ => list.follow(pointer),
        };
        if let Some(next) = next {
            push_explicable(&mut self.tally, *last, next);
        }
        false
    }

    fn record(&mut self, node: &Node<'a>) {
        let Ok(offset) = u32::try_from(node.offset) else { return };
        self.records.push(offset);
        self.last_key = Some(node.key);
        self.first_key = self.first_key.or(self.last_key);
        self.close_loss(self.last_key);
        match node.kind {
            NodeKind::Add => self.uncommitted.push(offset),
            _ if self.log_at.is_none() => self.inorder_count = self.records.len(),
            _ => {}
        }
    }

    /// Names the key behind the last lost range, if none is named yet.
    fn close_loss(&mut self, key: Option<&'a [u8]>) {
        if let Some(lost) = self.lost.last_mut().filter(|lost| lost.after.is_none()) {
            lost.after = key.map(Into::into);
        }
    }

    /// Adds a lost range behind the others, to the last one if it follows that directly.
    fn lose(&mut self, span: Span) {
        match self.lost.last_mut() {
            Some(last) if last.span.end == span.start => last.span.end = span.end,
            _ => self.lost.push(Lost { span, before: self.last_key.map(Into::into), after: None }),
        }
    }

    /// Adds what the piece behind it holds.
    fn append(&mut self, mut later: Survey<'a>) {
        if self.log_at.is_none() {
            self.inorder_count = self.records.len() + later.inorder_count;
        }
        self.log_at = self.log_at.or(later.log_at);
        self.records.append(&mut later.records);
        self.rows.append(std::mem::take(&mut later.rows));
        if later.committed_end > 0 {
            self.committed_end = later.committed_end;
            self.uncommitted.clear();
        }
        self.uncommitted.append(&mut later.uncommitted);
        self.tally.append(&later.tally);
        self.append_losses(&mut later);
        self.first_key = self.first_key.or(later.first_key);
        self.last_key = later.last_key.or(self.last_key);
    }

    fn append_losses(&mut self, later: &mut Survey<'a>) {
        self.close_loss(later.first_key);
        for mut lost in later.lost.drain(..) {
            match self.lost.last_mut() {
                Some(last) if last.span.end == lost.span.start => last.span.end = lost.span.end,
                _ => {
                    lost.before = lost.before.or(self.last_key.map(Into::into));
                    self.lost.push(lost);
                }
            }
        }
    }
}

/// Whether an item is one of the log's.
fn is_logged(item: &Item<'_>) -> bool {
    match item {
        Item::Record(node) => node.kind == NodeKind::Add,
        Item::Delete { .. } | Item::Commit(_) => true,
        _ => false,
    }
}
