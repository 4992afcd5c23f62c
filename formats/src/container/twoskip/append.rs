//! A transaction, as the steps in which Cyrus writes it: the header made DIRTY, and a sync; each record appended, then the
//! heads in front of it rewritten in place; the COMMIT, and a sync; the header of the new size, and a sync
//! (`lib/cyrusdb_twoskip.c`, `newtxn`, `store_here`, `stitch`, `mycommit`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::layout::{DIRTY, DUMMY_OFFSET, Head, Header, MARK_LEN, MAX_LEVEL, Type, choose};
use super::survey::believed_header;
use super::writer::{head_len, mark, pointers_at, put_blanks, put_record, seal, set_word};
use crate::container::KeyOrder;
use crate::container::append::{AppendError, Appended, Operation, Step};
use crate::image::Cursor;

const LEVELS: usize = MAX_LEVEL as usize;
/// Below this size Cyrus does not repack (`MINREWRITE`).
const MIN_REPACK: u64 = 16_834;

/// The steps of one transaction.
///
/// # Errors
/// [`AppendError`], when Cyrus would recover the file before it wrote to it.
pub fn append(bytes: &[u8], order: KeyOrder, operations: &[Operation<'_>]) -> Result<Appended, AppendError> {
    let cursor = Cursor::new(bytes);
    let header = believed_header(cursor).ok_or(AppendError::Unsound("its header is wrong"))?;
    if header.flags != 0 || header.current_size != cursor.len() {
        return Err(AppendError::Unsound("it does not end with a finished transaction"));
    }
    let steps = Vec::new();
    let mut draft = Draft { cursor, order, header, heads: BTreeMap::new(), tail: Vec::new(), steps };
    for operation in operations {
        match operation {
            Operation::Store { key, value } => draft.change(key, Some(value))?,
            Operation::Delete { key } => draft.change(key, None)?,
        }
    }
    if !draft.tail.is_empty() {
        draft.commit();
    }
    let size = draft.end();
    let rewrite_due = size > MIN_REPACK && size > header.repack_size.saturating_mul(2);
    Ok(Appended { steps: draft.steps, rewrite_due })
}

/// A file with a transaction under way.
struct Draft<'a> {
    cursor: Cursor<'a>,
    order: KeyOrder,
    header: Header,
    /// Heads of the file that were changed, by their offsets.
    heads: BTreeMap<u64, Vec<u8>>,
    /// What was appended to it.
    tail: Vec<u8>,
    steps: Vec<Step>,
}

/// A record of the file or of what was appended.
#[derive(Clone, Copy)]
struct Spot<'d> {
    offset: u64,
    kind: Type,
    level: u8,
    key: &'d [u8],
    value: &'d [u8],
    /// Its bytes from the first pointer on, as they are now.
    pointers: Cursor<'d>,
}

impl Spot<'_> {
    fn pointer(&self, index: u64) -> Option<u64> {
        self.pointers.be_u64(8 * index)
    }
}

/// Where a key belongs.
struct Place {
    /// For each level, the last record in front of the key, and what follows behind the key.
    around: [(u64, u64); LEVELS],
    /// Level of the record of the key, if there is one.
    found: Option<u8>,
    /// Whether its value is the one that was asked about.
    same: bool,
}

impl Draft<'_> {
    fn end(&self) -> u64 {
        self.cursor.len() + self.tail.len() as u64
    }

    fn spot(&self, offset: u64) -> Option<Spot<'_>> {
        let (cursor, base) = match offset.checked_sub(self.cursor.len()) {
            None => (self.cursor, 0),
            Some(_) => (Cursor::new(&self.tail), self.cursor.len()),
        };
        let head = Head::decode(cursor, offset - base).filter(|head| head.end <= cursor.len())?;
        let pointers = match self.heads.get(&offset) {
            Some(changed) => changed.get(pointers_at(changed)..)?,
            None => cursor.rest(head.pointers),
        };
        let (key, value) = (head.key(cursor), head.value(cursor));
        Some(Spot { offset, kind: head.kind, level: head.level, key, value, pointers: Cursor::new(pointers) })
    }

    /// The record that follows on a level; 0 at the end.
    fn next(&self, spot: &Spot<'_>, level: u8) -> Option<u64> {
        if level > 0 {
            return spot.pointer(u64::from(level) + 1);
        }
        let next = choose(spot.pointer(0)?, spot.pointer(1)?, self.end());
        match next {
            0 => Some(0),
            next => match self.spot(next)? {
                delete if delete.kind == Type::Delete => delete.pointer(0),
                _ => Some(next),
            },
        }
    }

    fn place(&self, key: &[u8], value: Option<&[u8]>) -> Option<Place> {
        let mut at = self.spot(DUMMY_OFFSET).filter(|dummy| dummy.kind == Type::Dummy)?;
        let mut around = [(0, 0); LEVELS];
        let mut next = 0;
        for (level, around) in (0..MAX_LEVEL).zip(&mut around).rev() {
            loop {
                next = self.next(&at, level)?;
                if next == 0 {
                    break;
                }
                let record = self.spot(next).filter(|next| next.kind == Type::Record && next.level > level)?;
                let ascends = at.kind == Type::Dummy || self.order.compare(at.key, record.key) == Ordering::Less;
                if !ascends {
                    return None;
                }
                if self.order.compare(record.key, key) != Ordering::Less {
                    break;
                }
                at = record;
            }
            *around = (at.offset, next);
        }
        let record = if next == 0 { None } else { self.spot(next) };
        let Some(record) = record.filter(|record| self.order.compare(record.key, key) == Ordering::Equal) else {
            return Some(Place { around, found: None, same: value.is_none() });
        };
        for (level, (_, behind)) in (0..record.level).zip(&mut around) {
            *behind = self.next(&record, level)?;
        }
        Some(Place { around, found: Some(record.level), same: Some(record.value) == value })
    }

    /// Stores a key's value, or, without one, deletes the key. What is so already is not written.
    fn change(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), AppendError> {
        let unsound = || AppendError::Unsound("its pointers do not lead where they should");
        let Place { around, found, same } = self.place(key, value).ok_or_else(unsound)?;
        if same {
            return Ok(());
        }
        self.begin();
        let next = around.first().map_or(0, |&(_, behind)| behind);
        let (level, offset) = match value {
            Some(value) => {
                let level = self.level(key);
                let record = record(level, key, value, &around);
                (level, self.append(head_len(key.len() as u64, value.len() as u64, level), &record))
            }
            None => (0, self.append(MARK_LEN, &mark(Type::Delete, next))),
        };
        self.header.num_records = match (found, value) {
            (None, _) => self.header.num_records.saturating_add(1),
            (Some(_), None) => self.header.num_records.saturating_sub(1),
            (Some(_), Some(_)) => self.header.num_records,
        };
        self.stitch(&around, level.max(found.unwrap_or_default()), level, offset).ok_or_else(unsound)
    }

    /// Leads the pointers in front of a new record, of `top` levels, to it, and those of levels that it does not have past
    /// it. Of level 0 even a DELETE is led to.
    fn stitch(&mut self, around: &[(u64, u64)], top: u8, level: u8, offset: u64) -> Option<()> {
        let levels = around.get(..usize::from(top))?;
        let mut first = 0;
        for group in levels.chunk_by(|(a, _), (b, _)| a == b) {
            let &(front, _) = group.first()?;
            let mut head = self.head(front)?;
            for (index, (_, behind)) in (first..).zip(group) {
                match index {
                    0 => self.point_level_0(&mut head, offset),
                    _ => {
                        let to = if index < usize::from(level) { offset } else { *behind };
                        let place = pointers_at(&head) + 8 * (index + 1);
                        set_word(&mut head, place, to);
                    }
                }
            }
            first += group.len();
            seal(&mut head);
            self.rewrite(front, head);
        }
        Some(())
    }

    /// Of the two level-0 pointers sets the one that this transaction has set before, else the one that is not valid now.
    fn point_level_0(&self, head: &mut [u8], offset: u64) {
        let at = pointers_at(head);
        let word = |index: u64| Cursor::new(head).be_u64(at as u64 + 8 * index).unwrap_or_default();
        let (first, second, size) = (word(0), word(1), self.header.current_size);
        let index = if first >= size || second < size && first < second { 0 } else { 1 };
        set_word(head, at + 8 * index, offset);
    }

    /// The head of a record as it is now, crc_head included.
    fn head(&self, offset: u64) -> Option<Vec<u8>> {
        if let Some(head) = self.heads.get(&offset) {
            return Some(head.clone());
        }
        let (cursor, at) = match offset.checked_sub(self.cursor.len()) {
            None => (self.cursor, offset),
            Some(at) => (Cursor::new(&self.tail), at),
        };
        let head = Head::decode(cursor, at)?;
        cursor.bytes(at, head.sums.checked_sub(at)?.checked_add(4)?).map(<[u8]>::to_vec)
    }

    fn rewrite(&mut self, offset: u64, head: Vec<u8>) {
        self.steps.push(Step::Write { offset, bytes: head.clone() });
        match offset.checked_sub(self.cursor.len()).and_then(|at| usize::try_from(at).ok()) {
            None => drop(self.heads.insert(offset, head)),
            Some(at) => {
                let place = self.tail.get_mut(at..).and_then(|rest| rest.get_mut(..head.len()));
                place.into_iter().for_each(|place| place.copy_from_slice(&head));
            }
        }
    }

    /// A level for a new record: each further one half as likely. The same key at the same place gets the same.
    fn level(&self, key: &[u8]) -> u8 {
        let zeros = xxh3_64_with_seed(key, self.end()).trailing_zeros();
        u8::try_from(zeros).unwrap_or(MAX_LEVEL).saturating_add(1).min(MAX_LEVEL)
    }

    /// Says that a transaction is under way, once.
    fn begin(&mut self) {
        if self.steps.is_empty() {
            let header = Header { flags: DIRTY, ..self.header };
            self.steps.push(Step::Write { offset: 0, bytes: header.encode().to_vec() });
            self.steps.push(Step::Sync);
        }
    }

    /// Appends a record whose head is so long, and the filling that belongs in front of it; its offset.
    fn append(&mut self, head_len: u64, record: &[u8]) -> u64 {
        let mut bytes = Vec::new();
        put_blanks(&mut bytes, self.end(), head_len);
        let offset = self.end() + bytes.len() as u64;
        bytes.extend_from_slice(record);
        self.tail.extend_from_slice(&bytes);
        self.steps.push(Step::Write { offset: self.end() - bytes.len() as u64, bytes });
        offset
    }

    fn commit(&mut self) {
        self.append(MARK_LEN, &mark(Type::Commit, self.header.current_size));
        self.steps.push(Step::Sync);
        self.header.current_size = self.end();
        self.steps.push(Step::Write { offset: 0, bytes: self.header.encode().to_vec() });
        self.steps.push(Step::Sync);
    }
}

/// The bytes of a new record in front of what stands behind its key.
fn record(level: u8, key: &[u8], value: &[u8], around: &[(u64, u64)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_record(&mut bytes, level, key, value);
    let pointers = pointers_at(&bytes);
    for (index, (_, behind)) in (1..=usize::from(level)).zip(around) {
        set_word(&mut bytes, pointers + 8 * index, *behind);
    }
    seal(&mut bytes);
    bytes
}
