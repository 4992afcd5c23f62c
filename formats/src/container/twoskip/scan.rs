//! The file in physical order from its DUMMY record on, resynchronising behind damage.
//!
//! Every item is proven by its own bytes alone: a head by crc_head, or (crc_head being wrong) by the key and value that
//! crc_tail proves. No pointer is followed.

use rayon::prelude::*;

use super::layout::{ALIGN, BLANK, DUMMY_OFFSET, Head, MARK_LEN, Type};
use crate::image::{Cursor, Span};

/// Zeros inside a gap are an item of their own from this length on.
const ZERO_RUN: u64 = 64;
/// Bytes that may be summed on the mere claim of an unproven head, whatever the length of the file.
const FREE_CREDIT: u64 = 1 << 20;
/// The same for each byte of progress: what keeps the whole scan linear.
const CREDIT_RATE: u64 = 16;

/// What stands at a place of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A record whose sums are both right.
    Record(Head),
    /// A record whose crc_head is right and whose crc_tail is wrong: its key and value are not to be believed.
    BadTail(Head),
    /// A record whose crc_head is wrong but whose type, level, lengths and place agree with its tail and with crc_tail.
    Worn(Head),
    /// Eight bytes of filling.
    Blank,
    /// Zeros where none belong.
    Zeros,
    /// A record that the end of the file cuts off; its head, if that is whole and its crc_head right.
    Torn(Option<Head>),
    /// Bytes that are nothing the format knows.
    Gap,
}

/// A labelled span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its bytes.
    pub span: Span,
    /// What they are.
    pub what: What,
}

impl Item {
    /// The record it is, if its head can be read.
    pub fn head(&self) -> Option<Head> {
        match self.what {
            What::Record(head) | What::Worn(head) | What::BadTail(head) => Some(head),
            _ => None,
        }
    }

    /// The record it is, if its key, value or word can be believed.
    pub fn believed(&self) -> Option<Head> {
        match self.what {
            What::Record(head) => Some(head),
            What::Worn(head) => (head.kind != Type::Delete).then_some(head),
            What::BadTail(head) => (head.kind != Type::Record).then_some(head),
            _ => None,
        }
    }

    /// The record it is, if its key, value or word is proven by the sum that covers it, and so are its pointers.
    pub fn proven(&self) -> Option<Head> {
        self.believed().filter(|_| !matches!(self.what, What::Worn(_)))
    }

    /// Whether its contents can't be known.
    pub fn is_lost(&self) -> bool {
        match self.what {
            What::Zeros | What::Torn(_) | What::Gap => true,
            What::BadTail(head) => head.kind == Type::Record,
            What::Record(head) | What::Worn(head) if head.kind == Type::Dummy => head.offset != DUMMY_OFFSET,
            What::Record(_) => false,
            What::Worn(head) => head.kind == Type::Delete,
            What::Blank => false,
        }
    }
}

/// Walks the items of a range; they cover it without gap or overlap.
pub struct Scan<'a> {
    cursor: Cursor<'a>,
    at: u64,
    end: u64,
    credit: u64,
    /// Nothing behind this is looked at; where an item can't be told without, the scan gives up.
    reach: u64,
    gave_up: bool,
}

impl<'a> Scan<'a> {
    /// The items from `start` (a multiple of 8) to the end of the file.
    pub fn new(cursor: Cursor<'a>, start: u64) -> Self {
        Scan::within(cursor, start, u64::MAX)
    }

    /// The same as far as they can be told from the bytes in front of `reach`.
    fn within(cursor: Cursor<'a>, start: u64, reach: u64) -> Self {
        Scan { cursor, at: start, end: cursor.len(), credit: FREE_CREDIT, reach, gave_up: false }
    }

    /// A BLANK or a readable record at `at`.
    fn sound(&mut self, at: u64) -> Option<Item> {
        let word = self.cursor.be_u64(at)?;
        if word == BLANK {
            return Some(Item { span: Span::at(at, ALIGN), what: What::Blank });
        }
        let head = Head::decode(self.cursor, at).filter(|head| head.end <= self.end)?;
        let right = head.head_is_right(self.cursor);
        if right && head.end > self.reach {
            self.gave_up = true;
            return None;
        }
        if right && head.tail_is_right(self.cursor) {
            return Some(Item { span: head.span(), what: What::Record(head) });
        }
        let what = if right { self.bad_tail(head)? } else { self.worn(head)? };
        Some(Item { span: head.span(), what })
    }

    /// Takes the cost of reading a tail on the claim of a head that may be wrong; whether it can still be afforded.
    fn afford(&mut self, head: &Head) -> bool {
        let tail_len = head.end.saturating_sub(head.key_offset());
        let affordable = tail_len <= self.credit;
        self.credit -= if affordable { tail_len } else { 0 };
        affordable
    }

    /// A record with a wrong crc_tail covers what it claims, unless something sound stands inside: then its tail is lost.
    fn bad_tail(&mut self, head: Head) -> Option<What> {
        let affordable = self.afford(&head);
        let overwritten = affordable && self.covers_something_sound(head.key_offset(), head.end);
        (!overwritten).then_some(What::BadTail(head))
    }

    /// Whether a record whose sums are right stands between `start` and `end`.
    fn covers_something_sound(&mut self, start: u64, end: u64) -> bool {
        (start..end).step_by(ALIGN as usize).any(|at| {
            let inner = Head::decode(self.cursor, at).filter(|inner| inner.end <= self.end);
            let inner = inner.filter(|inner| inner.head_is_right(self.cursor));
            inner.is_some_and(|inner| self.afford(&inner) && inner.tail_is_right(self.cursor))
        })
    }

    /// A record with a wrong crc_head is believed for its tail; one without tail for its fixed bytes.
    fn worn(&mut self, head: Head) -> Option<What> {
        if !self.afford(&head) {
            return None;
        }
        let lengths_agree = match head.kind {
            // A wrong length within the padding leaves crc_tail right, but then the last byte is one of the padding.
            Type::Record => {
                let last = self.cursor.u8(head.value_span().end.saturating_sub(1));
                head.key_len > 0 && head.padding_is_zero(self.cursor) && last != Some(0)
            }
            Type::Dummy => true,
            Type::Delete | Type::Commit => !self.covers_something_sound(head.offset.saturating_add(ALIGN), head.end),
        };
        (lengths_agree && head.tail_is_right(self.cursor)).then_some(What::Worn(head))
    }

    /// What cannot be read from here on, up to the next thing that can.
    fn unreadable(&mut self) -> Option<Item> {
        let start = self.at;
        let torn = torn(self.cursor, start);
        let zeros = self.zeros(start);
        if torn.is_none() && zeros > 0 {
            self.gave_up |= start.saturating_add(zeros) > self.reach;
            return Some(Item { span: Span::at(start, zeros), what: What::Zeros });
        }
        let mut at = start.saturating_add(ALIGN);
        while at < self.end {
            self.credit = self.credit.saturating_add(CREDIT_RATE * ALIGN);
            let stop = self.sound(at).is_some();
            self.gave_up |= at > self.reach;
            if self.gave_up {
                return None;
            }
            if stop || self.cursor.be_u64(at) == Some(0) && self.zeros(at) >= ZERO_RUN {
                return Some(Item { span: Span::new(start, at), what: What::Gap });
            }
            if torn.is_none() && torn_to_the_end(self.cursor, at) {
                return Some(Item { span: Span::new(start, at), what: What::Gap });
            }
            at = at.saturating_add(ALIGN);
        }
        Some(Item { span: Span::new(start, self.end), what: torn.map_or(What::Gap, What::Torn) })
    }

    /// Number of zero bytes at `at`, in whole words unless the file ends in them; more than reach to `reach` are not
    /// counted, but for one word.
    fn zeros(&self, at: u64) -> u64 {
        let rest = self.cursor.rest(at);
        let most = self.reach.saturating_sub(at).saturating_add(ALIGN);
        let rest = usize::try_from(most).ok().and_then(|most| rest.get(..most)).unwrap_or(rest);
        let zeros = rest.iter().position(|&byte| byte != 0).unwrap_or(rest.len());
        if zeros == rest.len() { zeros as u64 } else { zeros as u64 / ALIGN * ALIGN }
    }
}

impl Iterator for Scan<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.at >= self.end || self.gave_up {
            return None;
        }
        let sound = self.sound(self.at);
        let item = if sound.is_some() || self.gave_up { sound } else { self.unreadable() };
        let item = item.filter(|_| !self.gave_up)?;
        self.credit = self.credit.saturating_add(CREDIT_RATE.saturating_mul(item.span.len()));
        self.at = item.span.end.max(self.at.saturating_add(1));
        Some(item)
    }
}

/// Bytes of a file that are scanned in one go beside others.
const PIECE_LEN: u64 = 2 << 20;

/// The items of one piece of a file: those that start in it.
pub struct Piece<'s, 'a> {
    /// An item that the scan has given already.
    first: Option<Item>,
    scan: &'s mut Scan<'a>,
    until: u64,
}

impl Iterator for Piece<'_, '_> {
    type Item = Item;

    #[inline]
    fn next(&mut self) -> Option<Item> {
        if self.first.is_some() {
            return self.first.take();
        }
        if self.scan.at < self.until { self.scan.next() } else { None }
    }
}

/// Scans everything from `start` on in pieces side by side: what `read` makes of each, in file order. Together they are
/// the items of one [`Scan`]. `read` must take all items of its piece; what it makes of some pieces is thrown away.
///
/// Where a piece's first item starts is guessed: at its first proven record. Where the piece in front of it ends
/// elsewhere, it is scanned again. A guess looks no farther than the piece behind its own, so that what spans many
/// pieces, a hole or the tail that a head claims, is read once and not from each of them.
pub fn in_pieces<T: Send>(cursor: Cursor<'_>, start: u64, read: impl Fn(Piece<'_, '_>) -> T + Sync) -> Vec<T> {
    if cursor.len() <= PIECE_LEN {
        return vec![read(Piece { first: None, scan: &mut Scan::new(cursor, start), until: u64::MAX })];
    }
    let edges: Vec<u64> = (start / PIECE_LEN..cursor.len().div_ceil(PIECE_LEN)).map(|i| i * PIECE_LEN).collect();
    let until = |edge: u64| edge.saturating_add(PIECE_LEN);
    let guess = |&edge: &u64| {
        let mut scan = Scan::within(cursor, edge.max(start), until(until(edge)));
        let mut first = None;
        if edge > start {
            let piece = Piece { first: None, scan: &mut scan, until: until(edge) };
            first = piece.into_iter().find(|item| matches!(item.what, What::Record(_)));
            first?;
        }
        let from = first.map_or(start, |item| item.span.start);
        let made = read(Piece { first, scan: &mut scan, until: until(edge) });
        (!scan.gave_up).then_some((from, scan.at, made))
    };
    let guesses: Vec<_> = edges.par_iter().map(guess).collect();
    let mut scan = Scan::new(cursor, start);
    let mut pieces = Vec::with_capacity(edges.len());
    for (edge, guess) in edges.into_iter().zip(guesses) {
        match guess {
            _ if scan.at >= until(edge) => {}
            Some((from, end, made)) if from == scan.at => {
                scan.at = end;
                pieces.push(made);
            }
            _ => pieces.push(read(Piece { first: None, scan: &mut scan, until: until(edge) })),
        }
    }
    pieces
}

/// Whether the file ends inside a record that begins at `at`: `Some` of its head if that is whole and right.
fn torn(cursor: Cursor<'_>, at: u64) -> Option<Option<Head>> {
    let rest = cursor.rest(at);
    let (&kind, level) = (rest.first()?, rest.get(1));
    if rest.len() < MARK_LEN as usize {
        let plausible = match kind {
            b'+' => level.is_none_or(|level| (1..=31).contains(level)),
            b'-' | b'$' => rest.iter().skip(1).take(7).all(|&byte| byte == 0),
            b'=' => level.is_none_or(|&level| level == 31),
            b' ' => BLANK.to_be_bytes().starts_with(rest),
            _ => false,
        };
        return plausible.then_some(None);
    }
    let head = Head::decode(cursor, at).filter(|head| head.end > cursor.len())?;
    match head.head_sums(cursor) {
        None => Some(None),
        Some((stored, computed)) => (stored == computed).then_some(Some(head)),
    }
}

/// The same, where only proof counts: inside a gap.
fn torn_to_the_end(cursor: Cursor<'_>, at: u64) -> bool {
    matches!(torn(cursor, at), Some(Some(_)))
}

/// The heads of the records from `start` to `end` where nothing is damaged, without looking at any sum. Ends early where
/// a head can't be read.
pub struct Heads<'a> {
    cursor: Cursor<'a>,
    at: u64,
    end: u64,
}

impl<'a> Heads<'a> {
    /// The heads from `start` to `end`.
    pub fn new(cursor: Cursor<'a>, start: u64, end: u64) -> Self {
        Heads { cursor, at: start, end }
    }
}

impl Iterator for Heads<'_> {
    type Item = Head;

    fn next(&mut self) -> Option<Head> {
        while self.at < self.end && self.cursor.be_u64(self.at)? == BLANK {
            self.at = self.at.saturating_add(ALIGN);
        }
        let head = Head::decode(self.cursor, self.at).filter(|head| head.end <= self.end)?;
        self.at = head.end;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::crc;
    use super::*;

    /// A head of a record with a key of one byte and a value of `value_len`; its sum is right.
    fn head(value_len: u32) -> Vec<u8> {
        let mut bytes = vec![b'+', 1, 0, 1];
        bytes.extend_from_slice(&value_len.to_be_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&crc(&bytes).to_be_bytes());
        bytes
    }

    fn record(key: u8) -> Vec<u8> {
        let tail = [key, 0, 0, 0, 0, 0, 0, 0];
        [&head(0)[..], &crc(&tail).to_be_bytes(), &tail].concat()
    }

    #[test]
    fn items_are_found_again_behind_garbage() {
        let bytes = [&record(b'a')[..], &[0xA5; 20], &[0; 12], &record(b'b'), &[0; 80], &record(b'c')].concat();
        let items: Vec<_> = Scan::new(Cursor::new(&bytes), 0).collect();
        let kinds: Vec<_> = items.iter().map(|item| (item.span.start, item.is_lost())).collect();
        assert_eq!(kinds, [(0, false), (40, true), (72, false), (112, true), (192, false)]);
        assert_eq!(items[3].what, What::Zeros);
    }

    #[test]
    fn a_record_written_over_gives_way_to_what_stands_in_its_tail() {
        let bytes = [&head(100)[..], &[0; 4], &record(b'b'), &[0; 72]].concat();
        let items: Vec<_> = Scan::new(Cursor::new(&bytes), 0).collect();
        assert_eq!(items[0].what, What::Gap);
        assert_eq!(items[1].span, Span::at(32, 40));
        assert!(matches!(items[1].what, What::Record(_)));
    }

    /// Damage of many kinds in front of, on and behind every edge of a piece.
    #[test]
    fn pieces_together_are_the_whole_scan() {
        let records = (0..80_000).map(|i| (format!("key {i:08}"), "v".repeat(i % 199)));
        let out = std::io::Cursor::new(Vec::new());
        let whole = super::super::writer::write(out, records, Default::default()).unwrap().into_inner();
        let edges: Vec<usize> = (1..whole.len() / PIECE_LEN as usize).map(|i| i * PIECE_LEN as usize).collect();
        assert!(edges.len() > 2);
        let fills: [&[u8]; 3] = [&[0; 6000], &[0xA5; 6000], &[b'+', 1, 0, 1, 0, 0x40, 0, 0]];
        for fill in fills {
            for distance in [-6000, -2400, -400, -104, -8, 0, 8, 40, 104, 400] {
                let mut bytes = whole.clone();
                for edge in &edges {
                    let at = edge.saturating_add_signed(distance);
                    bytes[at..at + fill.len()].copy_from_slice(fill);
                }
                let cursor = Cursor::new(&bytes);
                let pieces = in_pieces(cursor, DUMMY_OFFSET, |piece| piece.collect::<Vec<_>>()).concat();
                assert!(pieces.into_iter().eq(Scan::new(cursor, DUMMY_OFFSET)), "{distance} with {:?}", fill.get(..8));
            }
        }
    }

    /// Else a hole of a gigabyte is read from each of its hundreds of pieces on.
    #[test]
    fn what_reaches_too_far_is_given_up_without_looking() {
        let far = 1 << 16;
        let claim = [&head(1 << 20)[..], &[0; 4]].concat();
        let open: [(&[u8], u8); 3] = [(&[], 0), (&[0xA5; 8], 0xA5), (&claim, 1)];
        for (start, fill) in open {
            let mut bytes = [&record(b'a')[..], start].concat();
            bytes.resize(2 << 20, fill);
            let cursor = Cursor::new(&bytes);
            let mut scan = Scan::within(cursor, 0, far);
            assert!(matches!(scan.next().expect("a record").what, What::Record(_)));
            assert_eq!(scan.next(), None, "{fill}");
            assert!(scan.gave_up && scan.at == 40 && scan.zeros(40) <= far);
            assert!(Scan::new(cursor, 40).next().is_some_and(|item| item.span.end > far), "{fill}");
        }
    }

    /// Tens of thousands of proven heads, each of which claims all that follows: summing every tail would take hours.
    #[test]
    fn claims_of_long_tails_are_not_all_followed_up() {
        let heads = 1 << 18;
        let mut bytes = Vec::new();
        for left in (0..heads).rev() {
            bytes.extend(head(32 * left + 30));
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes.extend(record(b'z'));
        let covered: u64 = Scan::new(Cursor::new(&bytes), 0).map(|item| item.span.len()).sum();
        assert_eq!(covered, bytes.len() as u64);
    }
}
