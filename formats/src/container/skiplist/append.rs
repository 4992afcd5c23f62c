//! A transaction, as the steps in which Cyrus writes it: each record is appended, then the pointers in front of it are led
//! there in place; at the end a sync, the COMMIT, and a sync (`lib/cyrusdb_skiplist.c`, `mystore`, `mydelete`, `mycommit`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::header;
use super::layout::{
    COMMIT, DELETE, DUMMY_OFFSET, Header, MAX_FILE_LEN, MAX_LEVEL, Node, NodeKind, TERMINATOR, encode_node,
};
use crate::container::KeyOrder;
use crate::container::append::{AppendError, Appended, Operation, Step};
use crate::image::Cursor;

const LEVELS: usize = MAX_LEVEL as usize;
/// Bytes of log beside which Cyrus does not yet checkpoint (`MINREWRITE`).
const MIN_REWRITE: u64 = 16_834;

/// The steps of one transaction.
///
/// # Errors
/// [`AppendError`], when Cyrus would recover the file before it wrote to it, or the file would reach 4 GiB.
pub fn append(bytes: &[u8], order: KeyOrder, operations: &[Operation<'_>]) -> Result<Appended, AppendError> {
    let cursor = Cursor::new(bytes);
    let header = ready(cursor)?;
    let mut draft = Draft { cursor, order, header, changed: BTreeMap::new(), tail: Vec::new(), steps: Vec::new() };
    for operation in operations {
        match operation {
            Operation::Store { key, value } => draft.store(key, value)?,
            Operation::Delete { key } => draft.delete(key)?,
        }
    }
    if !draft.tail.is_empty() {
        draft.steps.push(Step::Sync);
        draft.append(&COMMIT.to_be_bytes());
        draft.steps.push(Step::Sync);
    }
    let rewrite_due = draft.end() > 2 * u64::from(header.logstart) + MIN_REWRITE;
    Ok(Appended { steps: draft.steps, rewrite_due })
}

/// The header, if Cyrus would append to the file as it is (`SAFE_TO_APPEND`).
fn ready(cursor: Cursor<'_>) -> Result<Header, AppendError> {
    let sound = header::check(cursor, &mut |_| {});
    let header = Header::decode(cursor).filter(|_| sound).ok_or(AppendError::Unsound("its header is wrong"))?;
    let len = cursor.len();
    let word = |back: u64| len.checked_sub(4 * back).and_then(|at| cursor.be_u32(at));
    let ends_well = match len == u64::from(header.logstart) {
        true => word(1) == Some(TERMINATOR),
        false => word(1) == Some(COMMIT) && (word(2) == Some(TERMINATOR) || word(3) == Some(DELETE)),
    };
    if !len.is_multiple_of(4) || len < u64::from(header.logstart) || !ends_well {
        return Err(AppendError::Unsound("it does not end with a finished transaction"));
    }
    Ok(header)
}

/// A file with a transaction under way.
struct Draft<'a> {
    cursor: Cursor<'a>,
    order: KeyOrder,
    header: Header,
    /// Words of the file that were changed, by their offsets.
    changed: BTreeMap<u64, u32>,
    /// What was appended to it.
    tail: Vec<u8>,
    steps: Vec<Step>,
}

/// A node of the file or of what was appended.
#[derive(Clone, Copy)]
struct Spot<'d> {
    offset: u64,
    key: &'d [u8],
    level: usize,
    /// Where its first pointer stands.
    pointers_at: u64,
}

/// Where a key belongs.
struct Place {
    /// For each level, where the pointer stands that leads to what does not come before the key.
    slots: [u64; LEVELS],
    /// The node of the key: its offset, and its pointers.
    found: Option<(u32, Vec<u32>)>,
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
        let node = Node::read(cursor, offset - base).ok()?;
        Some(Spot { offset, key: node.key, level: node.level(), pointers_at: base + node.pointer_offset(0) })
    }

    fn word(&self, at: u64) -> Option<u32> {
        match at.checked_sub(self.cursor.len()) {
            None => self.changed.get(&at).copied().or_else(|| self.cursor.be_u32(at)),
            Some(at) => Cursor::new(&self.tail).be_u32(at),
        }
    }

    fn pointer(&self, spot: &Spot<'_>, level: usize) -> Option<u32> {
        if level < spot.level { self.word(spot.pointers_at + 4 * level as u64) } else { None }
    }

    /// Looks a key up as `find_node` does.
    fn find(&self, key: &[u8]) -> Result<Place, AppendError> {
        let unsound = AppendError::Unsound("its pointers do not lead where they should");
        self.place(key).ok_or(unsound)
    }

    fn place(&self, key: &[u8]) -> Option<Place> {
        let mut at = self.spot(DUMMY_OFFSET).filter(|dummy| dummy.level == LEVELS)?;
        let mut slots = [0; LEVELS];
        let mut next = 0;
        for (level, slot) in slots.iter_mut().enumerate().rev() {
            loop {
                next = self.pointer(&at, level)?;
                if next == 0 {
                    break;
                }
                let node = self.spot(u64::from(next))?;
                let ascends = at.offset == DUMMY_OFFSET || self.order.compare(at.key, node.key) == Ordering::Less;
                if !ascends {
                    return None;
                }
                if self.order.compare(node.key, key) != Ordering::Less {
                    break;
                }
                at = node;
            }
            *slot = at.pointers_at + 4 * level as u64;
        }
        let node = if next == 0 { None } else { self.spot(u64::from(next)) };
        let found = match node.filter(|node| self.order.compare(node.key, key) == Ordering::Equal) {
            Some(node) => Some((next, (0..node.level).map(|i| self.pointer(&node, i)).collect::<Option<_>>()?)),
            None => None,
        };
        Some(Place { slots, found })
    }

    fn store(&mut self, key: &[u8], value: &[u8]) -> Result<(), AppendError> {
        let Place { slots, found } = self.find(key)?;
        let mut bytes = Vec::new();
        let pointers = match found {
            Some((old, pointers)) => {
                bytes.extend(DELETE.to_be_bytes());
                bytes.extend(old.to_be_bytes());
                pointers
            }
            None => {
                let level = self.level(key);
                slots.iter().take(level).map(|&slot| self.word(slot).unwrap_or_default()).collect()
            }
        };
        let offset = self.end() + bytes.len() as u64;
        encode_node(NodeKind::Add, key, value, &pointers, &mut bytes);
        let fits = self.end() + bytes.len() as u64 + 4 <= MAX_FILE_LEN;
        let too_large = AppendError::TooLarge("a skiplist file can't reach 4 GiB");
        let offset = u32::try_from(offset).ok().filter(|_| fits).ok_or(too_large)?;
        self.raise_curlevel(pointers.len());
        self.append(&bytes);
        slots.iter().take(pointers.len()).for_each(|&slot| self.point(slot, offset));
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), AppendError> {
        let Place { slots, found } = self.find(key)?;
        let Some((old, pointers)) = found else { return Ok(()) };
        self.append(&[DELETE.to_be_bytes(), old.to_be_bytes()].concat());
        for (slot, next) in slots.into_iter().zip(pointers) {
            if self.word(slot) == Some(old) {
                self.point(slot, next);
            }
        }
        Ok(())
    }

    /// A level for a new record: each further one half as likely. The same key at the same place gets the same.
    fn level(&self, key: &[u8]) -> usize {
        LEVELS.min(xxh3_64_with_seed(key, self.end()).trailing_zeros() as usize + 1)
    }

    /// Says in the header that so many levels are in use.
    fn raise_curlevel(&mut self, level: usize) {
        let level = u32::try_from(level).unwrap_or(MAX_LEVEL);
        if level > self.header.curlevel {
            self.header.curlevel = level;
            self.steps.push(Step::Write { offset: 0, bytes: self.header.encode() });
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.steps.push(Step::Write { offset: self.end(), bytes: bytes.to_vec() });
        self.tail.extend_from_slice(bytes);
    }

    fn point(&mut self, slot: u64, offset: u32) {
        let bytes = offset.to_be_bytes();
        match slot.checked_sub(self.cursor.len()).and_then(|at| usize::try_from(at).ok()) {
            None => drop(self.changed.insert(slot, offset)),
            Some(at) => {
                if let Some(word) = self.tail.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
                    *word = bytes;
                }
            }
        }
        self.steps.push(Step::Write { offset: slot, bytes: bytes.to_vec() });
    }
}
