//! The file in physical order behind its header, resynchronising behind damage.

use rayon::prelude::*;

use super::layout::{
    ADD, Broken, COMMIT, DELETE, DUMMY_OFFSET, FIRST_RECORD, INORDER, Node, NodeKind, TERMINATOR, is_record_offset,
};
use crate::image::{Cursor, Span};

/// One thing in the file, in physical order.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// The DUMMY node.
    Dummy(Node<'a>),
    /// An INORDER or ADD record.
    Record(Node<'a>),
    /// A DELETE.
    Delete {
        /// Its 8 bytes.
        span: Span,
        /// Offset of the record that it deletes.
        target: u32,
    },
    /// A COMMIT.
    Commit(Span),
    /// Zero words where a type is expected.
    Zeros(Span),
    /// What the end of the file cuts off.
    Torn(Span, Broken),
    /// Bytes that are nothing, up to where something plausible starts.
    Gap(Span, Broken),
}

impl Item<'_> {
    /// The bytes it covers.
    #[inline]
    pub fn span(&self) -> Span {
        match self {
            Item::Dummy(node) | Item::Record(node) => node.span(),
            Item::Delete { span, .. }
            | Item::Commit(span)
            | Item::Zeros(span)
            | Item::Torn(span, _)
            | Item::Gap(span, _) => *span,
        }
    }

    /// Whether its bytes can't be read.
    pub fn is_damage(&self) -> bool {
        matches!(self, Item::Zeros(_) | Item::Torn(..) | Item::Gap(..))
    }
}

/// Reads a file's items one behind the other; they cover it from where it starts to its end.
///
/// What can't be read is skipped in steps of 4 bytes until something plausible starts. A step costs a bounded number of
/// reads whatever the file holds, and no step is taken twice, so the whole scan is linear in the file's length.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    cursor: Cursor<'a>,
    at: u64,
    /// The last search for a start of anything.
    items: Search,
}

impl<'a> Scan<'a> {
    /// Scans everything behind the header.
    pub fn new(cursor: Cursor<'a>) -> Self {
        Scan::from(cursor, DUMMY_OFFSET)
    }

    /// Scans from `offset` on, where an item starts.
    pub fn from(cursor: Cursor<'a>, offset: u64) -> Self {
        Scan { cursor, at: offset, items: Search::default() }
    }

    /// The item at a place behind the DUMMY node.
    #[inline]
    fn item(&mut self, at: u64) -> Item<'a> {
        match item_at(self.cursor, at) {
            Ok(Item::Record(node)) if holds_zeros(&node) && holds_type(&node) => self.damage(Broken::Implausible),
            Ok(item) => item,
            Err(broken) => self.damage(broken),
        }
    }

    #[cold]
    fn damage(&mut self, broken: Broken) -> Item<'a> {
        let len = self.cursor.len();
        let zeros = self.cursor.rest(self.at).iter().take_while(|&&b| b == 0).count() as u64;
        if broken == Broken::Type(0) || self.at + zeros == len {
            let whole_words = if self.at + zeros == len { zeros } else { zeros & !3 };
            return Item::Zeros(Span::at(self.at, whole_words));
        }
        let span = Span::new(self.at, self.items.next(self.cursor, self.at.saturating_add(4)));
        let cut = matches!(broken, Broken::Head | Broken::Key(_) | Broken::Value(_) | Broken::Pointers);
        if span.end == len && cut && begins_known(self.cursor, self.at) {
            return Item::Torn(span, broken);
        }
        Item::Gap(span, broken)
    }

    fn dummy(&self) -> Item<'a> {
        let whole = Span::new(DUMMY_OFFSET, FIRST_RECORD.min(self.cursor.len()));
        match Node::read(self.cursor, DUMMY_OFFSET) {
            Ok(node) if node.kind == NodeKind::Dummy && node.key.is_empty() && node.value.is_empty() => {
                Item::Dummy(node)
            }
            Ok(_) => Item::Gap(whole, Broken::Implausible),
            Err(broken) if whole.end < FIRST_RECORD => Item::Torn(whole, broken),
            Err(broken) => Item::Gap(whole, broken),
        }
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.at >= self.cursor.len() {
            return None;
        }
        let item = match self.at {
            DUMMY_OFFSET => self.dummy(),
            at => self.item(at),
        };
        self.at = item.span().end;
        Some(item)
    }
}

/// Bytes of a file that are scanned in one go beside others.
const PIECE_LEN: u64 = 2 << 20;

/// The items of one piece of a file: those that start in it.
pub struct Piece<'s, 'a> {
    scan: &'s mut Scan<'a>,
    until: u64,
}

impl<'a> Iterator for Piece<'_, 'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.scan.at < self.until { self.scan.next() } else { None }
    }
}

/// Scans everything behind the header in pieces side by side: what `read` makes of each, in file order. Together they are
/// the items of one [`Scan`]. `read` must take all items of its piece; what it makes of some pieces is thrown away.
///
/// Where a piece's first item starts is guessed; where the piece in front of it ends elsewhere, it is scanned again.
pub fn in_pieces<'a, T: Send>(cursor: Cursor<'a>, read: impl Fn(Piece<'_, 'a>) -> T + Sync) -> Vec<T> {
    if cursor.len() <= PIECE_LEN {
        return vec![read(Piece { scan: &mut Scan::new(cursor), until: u64::MAX })];
    }
    let until = |edge: u64| edge.saturating_add(PIECE_LEN);
    let edges: Vec<u64> = (0..cursor.len().div_ceil(PIECE_LEN)).map(|i| i * PIECE_LEN).collect();
    let guess = |&edge: &u64| {
        let inside = || (edge..until(edge)).step_by(4).find(|&at| starts_record(cursor, at));
        let from = if edge == 0 { DUMMY_OFFSET } else { inside()? };
        let mut scan = Scan::from(cursor, from);
        let made = read(Piece { scan: &mut scan, until: until(edge) });
        Some((from, scan.at, made))
    };
    let guesses: Vec<_> = edges.par_iter().map(guess).collect();
    // One scan for all that was guessed wrong: it remembers what it has searched.
    let mut scan = Scan::new(cursor);
    let mut pieces = Vec::with_capacity(edges.len());
    for (edge, guess) in edges.into_iter().zip(guesses) {
        match guess {
            _ if scan.at >= until(edge) => {}
            Some((from, end, made)) if from == scan.at => {
                scan.at = end;
                pieces.push(made);
            }
            _ => pieces.push(read(Piece { scan: &mut scan, until: until(edge) })),
        }
    }
    pieces
}

/// A search in steps of 4 bytes, remembered so that none of its steps is taken again.
#[derive(Clone, Copy, Debug, Default)]
struct Search {
    /// Nothing starts from here on, in steps of 4 bytes, …
    from: u64,
    /// … up to here, where something does, or the file ends.
    until: u64,
}

impl Search {
    /// The first place from `from` on, in steps of 4 bytes, where an item starts; the end of the file if there is none.
    fn next(&mut self, cursor: Cursor<'_>, from: u64) -> u64 {
        let known = (self.from..=self.until).contains(&from) && self.from % 4 == from % 4;
        if !known {
            let mut until = from;
            while until < cursor.len() && !starts_item(cursor, until) {
                until += 4;
            }
            *self = Search { from, until: until.min(cursor.len()) };
        }
        self.until
    }
}

/// Whether key or value hold a zero byte: names and records of mailboxes never do, heads of records always.
#[inline]
pub(super) fn holds_zeros(node: &Node<'_>) -> bool {
    memchr::memchr(0, node.value).is_some() || memchr::memchr(0, node.key).is_some()
}

/// Whether key or value hold what begins or ends a record where that can stand, or the fill behind them is none: then a
/// changed length has let the node swallow records, or parts of them. What surrounds the node does not matter: it is judged
/// alike wherever it stands.
#[cold]
fn holds_type(node: &Node<'_>) -> bool {
    let is_type = |word: &[u8; 4]| matches!(u32::from_be_bytes(*word), INORDER | ADD | COMMIT | TERMINATOR);
    !node.zero_filled || [node.key, node.value].iter().any(|field| field.as_chunks::<4>().0.iter().any(is_type))
}

/// The item at `offset`, if one can be read there.
#[inline]
fn item_at(cursor: Cursor<'_>, offset: u64) -> Result<Item<'_>, Broken> {
    match cursor.be_u32(offset) {
        Some(INORDER | ADD) => {
            let node = Node::read(cursor, offset)?;
            if node.is_flawless() {
                return Ok(Item::Record(node));
            }
            // A length that changed, or a terminator that is gone, often ends at the terminator of a later record.
            match node.pointer_offsets().position(|at| starts_record(cursor, at)) {
                Some(0) => return Err(Broken::Implausible),
                Some(_) => return Err(Broken::Unterminated),
                None => {}
            }
            if leads_on(cursor, node.end()) { Ok(Item::Record(node)) } else { Err(Broken::Implausible) }
        }
        Some(COMMIT) => Ok(Item::Commit(Span::at(offset, 4))),
        Some(DELETE) => {
            let target = cursor.be_u32(offset.saturating_add(4)).ok_or(Broken::Head)?;
            Ok(Item::Delete { span: Span::at(offset, 8), target })
        }
        Some(other) => Err(Broken::Type(other)),
        None => Err(Broken::Head),
    }
}

/// Whether the word at `offset` is the type of something in the log or the INORDER region.
fn begins_known(cursor: Cursor<'_>, offset: u64) -> bool {
    match cursor.be_u32(offset) {
        Some(word) => matches!(word, INORDER | ADD | DELETE | COMMIT),
        None => cursor.rest(offset).iter().all(|&b| b == 0),
    }
}

/// Whether the file may go on at `offset` like a skiplist file: with a known type, or by ending there.
fn leads_on(cursor: Cursor<'_>, offset: u64) -> bool {
    offset >= cursor.len() || begins_known(cursor, offset)
}

/// Whether an item starts at `offset` beyond reasonable doubt: the test for going on behind damage.
///
/// Keys and values are text and pointers are multiples of 4, so a type word inside a record is rare, and what follows it
/// there rarer still.
fn starts_item(cursor: Cursor<'_>, offset: u64) -> bool {
    let followed = |end: u64| leads_on(cursor, end) || cursor.be_u32(end) == Some(0);
    match cursor.be_u32(offset) {
        Some(INORDER | ADD) => starts_record(cursor, offset),
        Some(COMMIT) => followed(offset.saturating_add(4)),
        Some(DELETE) => {
            let target = cursor.be_u32(offset.saturating_add(4));
            let back = target.is_some_and(|t| is_record_offset(t) && u64::from(t) < offset);
            back && followed(offset.saturating_add(8))
        }
        _ => false,
    }
}

/// Whether an INORDER or ADD record about which nothing is odd starts at `offset`.
fn starts_record(cursor: Cursor<'_>, offset: u64) -> bool {
    Node::read(cursor, offset).is_ok_and(|node| node.kind != NodeKind::Dummy && node.is_flawless())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::{Options, write};
    use super::*;
    use crate::container::KeyOrder;

    /// Damage of many kinds in front of, on and behind every edge of a piece.
    #[test]
    fn pieces_together_are_the_whole_scan() {
        let records = (0..80_000).map(|i| (format!("key {i:08}"), "v".repeat(i % 199)));
        let options = Options { order: KeyOrder::Signed, last_recovery: 1 };
        let mut out = io::Cursor::new(Vec::new());
        write(&mut out, records, options).expect("a file in memory");
        let whole = out.into_inner();
        let edges = (1..whole.len() as u64).map_while(|i| Some(i * PIECE_LEN).filter(|&at| at < whole.len() as u64));
        let edges: Vec<usize> = edges.map(|at| at as usize).collect();
        assert!(edges.len() > 2);
        let fills: [&[u8]; 4] = [&[0; 6000], &[0xA5; 6000], &[0, 0, 0, 2, 0, 0, 0, 4], &[0, 0, 0, 1, 0, 0x40, 0, 0]];
        for fill in fills {
            for distance in [-6000, -2400, -400, -100, -8, 0, 4, 40, 100, 400] {
                let mut bytes = whole.clone();
                for edge in &edges {
                    let at = edge.saturating_add_signed(distance);
                    bytes[at..at + fill.len()].copy_from_slice(fill);
                }
                let cursor = Cursor::new(&bytes);
                let outline = |item: Item<'_>| (item.span(), item.is_damage(), matches!(item, Item::Record(_)));
                let pieces = in_pieces(cursor, |piece| piece.map(outline).collect::<Vec<_>>());
                let scan = Scan::new(cursor).map(outline);
                assert!(pieces.concat().into_iter().eq(scan), "{distance} with {:?}", fill.get(..8));
            }
        }
    }
}
