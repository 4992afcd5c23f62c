//! A part of the file in physical order, resynchronising behind damage.
//!
//! Every item is proven by its own bytes alone: a head by its sum, or (that being wrong) by the key and value that the
//! tail's sum proves. Where a file has no sums, its structure must do. No pointer is followed.

use memchr::memchr;

use super::layout::{ALIGN, DUMMY_OFFSET, Head, MARK_LEN, MAX_LEVEL, Sums, Type};
use super::proven::Proven;
use crate::image::{Cursor, Span};

/// Zeros inside a gap are an item of their own from this length on.
const ZERO_RUN: u64 = 64;
/// Bytes that may be summed on the mere claim of an unproven length, whatever the length of the file.
const FREE_CREDIT: u64 = 1 << 20;
/// The same for each byte of progress: what keeps the whole scan linear.
const CREDIT_RATE: u64 = 16;
/// Lengths are stored modulo this in records of releases up to 3.13.3 whose key is longer.
const KEY_WRAP: u64 = 1 << 16;

/// What stands at a place of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A record whose sums agree.
    Sound(Head),
    /// A record whose head agrees and whose tail does not: key or value are not what was written. The item ends in front of
    /// what begins inside it.
    BadTail(Head),
    /// A record whose head does not agree, but whose tail does, and whose type, level and lengths fit it.
    Worn(Head),
    /// A record whose key is longer than its head says; the length here is the right one.
    LongKey(Head),
    /// Zeros.
    Zeros,
    /// A record that the end of the file cuts off; its head, if that is whole and agrees.
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
            What::Sound(head) | What::BadTail(head) | What::Worn(head) | What::LongKey(head) => Some(head),
            _ => None,
        }
    }

    /// Whether it is a range that can't be read.
    pub fn is_lost(&self) -> bool {
        matches!(self.what, What::Zeros | What::Torn(_) | What::Gap)
    }
}

/// Walks the items of a range; they cover it without gap or overlap.
#[derive(Clone)]
pub struct Scan<'a> {
    cursor: Cursor<'a>,
    /// Records that are known to be sound.
    proven: Option<&'a Proven>,
    sums: Sums,
    at: u64,
    end: u64,
    credit: u64,
}

impl<'a> Scan<'a> {
    /// The items from `start` (a multiple of 8) to `end`.
    pub fn new(cursor: Cursor<'a>, sums: Sums, start: u64, end: u64) -> Self {
        Scan { cursor, proven: None, sums, at: start, end: end.min(cursor.len()), credit: FREE_CREDIT }
    }

    /// The same, of a file some of whose records are known to be sound.
    pub fn knowing(self, proven: &'a Proven) -> Self {
        Scan { proven: Some(proven), ..self }
    }

    /// A readable record at `at`.
    fn sound(&mut self, at: u64) -> Option<Item> {
        let head = Head::decode(self.cursor, at).filter(|head| head.end <= self.end)?;
        if (head.kind == Type::Dummy) != (at == DUMMY_OFFSET) {
            return None;
        }
        let what = match self.proven {
            Some(proven) if proven.contains(at) => What::Sound(head),
            _ if self.is_believed(&head) => self.judge_tail(head),
            _ => self.worn(head)?,
        };
        Some(Item { span: what_span(&what, head), what })
    }

    /// Whether the head's sum proves it, or in its stead the structure of the record.
    fn is_believed(&self, head: &Head) -> bool {
        let agrees = head.head_agrees(self.cursor, self.sums);
        agrees && (self.sums.prove() || head.words_are_plausible(self.cursor) && self.tail_is_plausible(head))
    }

    /// Whether the tail looks like one, for files without sums; a key longer than its head says does not.
    fn tail_is_plausible(&self, head: &Head) -> bool {
        !head.kind.is_record() || head.key_len > 0 && head.is_filled(self.cursor)
    }

    fn judge_tail(&mut self, head: Head) -> What {
        if head.tail_agrees(self.cursor, self.sums) {
            return What::Sound(head);
        }
        self.lengthened(head).map_or(What::BadTail(head), What::LongKey)
    }

    /// Where a record ends whose tail is not what was written: where its head says, or where before that something else
    /// begins, the record having been moved here or overwritten.
    fn true_end(&mut self, head: &Head) -> u64 {
        let next = Head::decode(self.cursor, head.end);
        if head.end == self.end || next.is_some_and(|next| self.is_believed(&next)) {
            return head.end;
        }
        let mut at = head.key_offset();
        while at < head.end {
            let inner = Head::decode(self.cursor, at).filter(|inner| inner.end <= self.end && self.is_believed(inner));
            if let Some(inner) = inner
                && let Some(credit) = self.credit.checked_sub(inner.total_len())
            {
                self.credit = credit;
                if inner.tail_agrees(self.cursor, self.sums) {
                    return at;
                }
            }
            at = at.saturating_add(ALIGN);
        }
        head.end
    }

    /// The record with its whole key, if its head holds the key's length modulo 65,536 only. A NUL ends the key: no key of
    /// Cyrus holds one.
    fn lengthened(&mut self, head: Head) -> Option<Head> {
        let short = matches!(head.kind, Type::Add | Type::Replace) && self.sums.prove();
        if !short || self.cursor.u8(head.key_span().end) == Some(0) {
            return None;
        }
        let within = Span::new(head.key_offset(), self.end.min(head.key_offset().saturating_add(self.credit)));
        let bytes = self.cursor.span(within)?;
        let key_len = memchr(0, bytes).unwrap_or(bytes.len()) as u64;
        self.credit = self.credit.saturating_sub(key_len);
        let wrapped = key_len.checked_sub(head.key_len).is_some_and(|more| more.is_multiple_of(KEY_WRAP));
        let long = head.with_key_len(key_len).filter(|long| wrapped && long.end <= self.end)?;
        self.credit = self.credit.checked_sub(long.total_len())?;
        (long.is_filled(self.cursor) && long.tail_agrees(self.cursor, self.sums)).then_some(long)
    }

    /// A record whose head does not agree is believed for its tail, which also tells its lengths anew; one without tail for
    /// its fixed bytes.
    fn worn(&mut self, head: Head) -> Option<What> {
        let tail_len = head.end.saturating_sub(head.key_offset());
        self.credit = self.credit.checked_sub(tail_len)?;
        if !head.tail_agrees(self.cursor, self.sums) {
            return None;
        }
        match head.kind {
            Type::Dummy => Some(What::Worn(head)),
            Type::Delete | Type::Commit => head.words_are_plausible(self.cursor).then_some(What::Worn(head)),
            _ if self.sums.prove() && !self.hides_another(&head) => self.lengths_of_tail(head).map(What::Worn),
            _ => None,
        }
    }

    /// Whether another record begins where the pointers of this one should stand: a wrong level reaches for its tail.
    fn hides_another(&self, head: &Head) -> bool {
        let words = (1..=u64::from(MAX_LEVEL) + 4).map(|word| head.offset.saturating_add(word * ALIGN));
        let mut inside = words.take_while(|&at| at < head.sums).filter_map(|at| Head::decode(self.cursor, at));
        inside.any(|inner| inner.end <= head.end && inner.head_agrees(self.cursor, self.sums))
    }

    /// The record with the lengths that its tail has: a NUL ends the key, zeros follow the value. No key of Cyrus holds a NUL
    /// and no value ends in one.
    fn lengths_of_tail(&self, head: Head) -> Option<Head> {
        let (_, tail) = head.tail_part(self.cursor)?;
        let key_len = tail.iter().position(|&byte| byte == 0).filter(|&len| len > 0)?;
        let used = tail.iter().rposition(|&byte| byte != 0)?.checked_add(1)?;
        let value_len = used.saturating_sub(key_len.checked_add(1)?);
        let told = head.with_lens(key_len as u64, value_len as u64)?;
        (told.end == head.end && told.is_filled(self.cursor)).then_some(told)
    }

    /// What cannot be read from here on, up to the next thing that can.
    fn unreadable(&mut self) -> Item {
        let start = self.at;
        let torn = self.torn(start);
        let zeros = self.zeros(start);
        if torn.is_none() && zeros > 0 {
            return Item { span: Span::at(start, zeros), what: What::Zeros };
        }
        let mut at = start.saturating_add(ALIGN);
        while at < self.end {
            self.credit = self.credit.saturating_add(CREDIT_RATE * ALIGN);
            let stop = self.sound(at).is_some();
            let zeros =
                || self.cursor.le_u64(at) == Some(0) && self.zeros(at) >= ZERO_RUN.min(self.end.saturating_sub(at));
            if stop || zeros() || torn.is_none() && matches!(self.torn(at), Some(Some(_))) {
                return Item { span: Span::new(start, at), what: What::Gap };
            }
            at = at.saturating_add(ALIGN);
        }
        Item { span: Span::new(start, self.end), what: torn.map_or(What::Gap, What::Torn) }
    }

    /// Number of zero bytes at `at`, in whole words unless the range ends in them.
    fn zeros(&self, at: u64) -> u64 {
        let rest = self.cursor.span(Span::new(at, self.end)).unwrap_or_default();
        let zeros = rest.iter().position(|&byte| byte != 0).unwrap_or(rest.len());
        if zeros == rest.len() { zeros as u64 } else { zeros as u64 / ALIGN * ALIGN }
    }

    /// Whether the file ends inside a record that begins at `at`: `Some` of its head if that is whole and agrees.
    fn torn(&self, at: u64) -> Option<Option<Head>> {
        if self.end < self.cursor.len() {
            return None;
        }
        let rest = self.cursor.rest(at);
        if rest.len() < MARK_LEN as usize {
            return begins_record(rest).then_some(None);
        }
        let head = Head::decode(self.cursor, at).filter(|head| head.end > self.end)?;
        if (head.kind == Type::Dummy) != (at == DUMMY_OFFSET) {
            return None;
        }
        match head.head_part(self.cursor) {
            None => head.words_are_plausible(self.cursor).then_some(None),
            Some((stored, bytes)) => {
                let believed = self.sums.prove() || head.words_are_plausible(self.cursor);
                (believed && self.sums.agree(stored, bytes)).then_some(Some(head))
            }
        }
    }
}

fn what_span(what: &What, head: Head) -> Span {
    if let What::LongKey(long) = what { long.span() } else { head.span() }
}

/// Whether these bytes, fewer than the shortest record has, can be the beginning of one.
fn begins_record(rest: &[u8]) -> bool {
    let level = rest.get(1).copied();
    match rest.first().copied().and_then(Type::of) {
        Some(Type::Dummy) | None => false,
        Some(Type::Delete | Type::Commit) => rest.iter().skip(1).take(7).all(|&byte| byte == 0),
        Some(_) => level.is_none_or(|level| (1..=MAX_LEVEL).contains(&level)),
    }
}

impl Iterator for Scan<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        if self.at >= self.end {
            return None;
        }
        let mut item = self.sound(self.at).unwrap_or_else(|| self.unreadable());
        if let What::BadTail(head) = item.what {
            item.span.end = self.true_end(&head);
        }
        self.credit = self.credit.saturating_add(CREDIT_RATE.saturating_mul(item.span.len()));
        self.at = item.span.end.max(self.at.saturating_add(1));
        Some(item)
    }
}
