//! What Cyrus 3.6.1 makes of a file, its own recovery included, wrong as that is (`lib/cyrusdb_twoskip.c`: `recovery1`,
//! `recovery2`, `copy_commit`). Told from its behaviour, in words of ours.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::layout::{ALIGN, DIRTY, DUMMY_OFFSET, HEADER_LEN, Header, MAX_LEVEL, VERSION, choose, is_blank};
use crate::container::{CyrusOutcome, KeyOrder, Record};
use crate::image::{Cursor, round_up};

/// How often COMMITs may make the second recovery read the file over before we give up following it.
const PATIENCE: u64 = 8;

/// A record as Cyrus reads it: any type byte, any level up to 31, any lengths that fit.
struct Raw {
    offset: u64,
    kind: u8,
    pointers: u64,
    key_offset: u64,
    key_len: u64,
    value_len: u64,
    end: u64,
}

/// Reads a record that lies in front of `end`; `None` where Cyrus calls it unreadable.
fn read(cursor: Cursor<'_>, offset: u64, end: u64) -> Option<Raw> {
    if is_blank(cursor, offset) && offset.checked_add(ALIGN)? <= end {
        let end = offset.checked_add(ALIGN)?;
        let key_offset = end;
        return Some(Raw { offset, kind: b' ', pointers: end, key_offset, key_len: 0, value_len: 0, end });
    }
    let (kind, level) = (cursor.u8(offset)?, cursor.u8(offset.checked_add(1)?)?);
    if level > MAX_LEVEL {
        return None;
    }
    let mut pointers = offset.checked_add(8)?;
    let mut long = |short: u64, limit: u64| {
        if short != limit {
            return Some(short);
        }
        let len = cursor.be_u64(pointers)?;
        pointers = pointers.checked_add(8)?;
        Some(len)
    };
    let key_len = long(cursor.be_u16(offset.checked_add(2)?)?.into(), 0xFFFF)?;
    let value_len = long(cursor.be_u32(offset.checked_add(4)?)?.into(), 0xFFFF_FFFF)?;
    let sums = pointers.checked_add(8 * (u64::from(level) + 1))?;
    let key_offset = sums.checked_add(8)?;
    let record_end = key_offset.checked_add(round_up(key_len.checked_add(value_len)?, ALIGN)?)?;
    let head = cursor.bytes(offset, sums.checked_sub(offset)?)?;
    let right = record_end <= end && cursor.be_u32(sums)? == super::layout::crc(head);
    right.then_some(Raw { offset, kind, pointers, key_offset, key_len, value_len, end: record_end })
}

impl Raw {
    fn word(&self, cursor: Cursor<'_>, index: u64) -> u64 {
        cursor.be_u64(self.pointers.saturating_add(8 * index)).unwrap_or_default()
    }

    fn key<'a>(&self, cursor: Cursor<'a>) -> &'a [u8] {
        cursor.bytes(self.key_offset, self.key_len).unwrap_or_default()
    }

    fn record<'a>(&self, cursor: Cursor<'a>) -> Record<'a> {
        let value = cursor.bytes(self.key_offset.saturating_add(self.key_len), self.value_len).unwrap_or_default();
        let span = crate::image::Span::new(self.offset, self.end);
        Record { key: self.key(cursor).into(), value: value.into(), span }
    }

    fn tail_is_right(&self, cursor: Cursor<'_>) -> bool {
        let len = self.end.saturating_sub(self.key_offset);
        let stored = cursor.be_u32(self.key_offset.saturating_sub(4));
        cursor.bytes(self.key_offset, len).map(super::layout::crc) == stored
    }
}

/// What would be left of a file.
pub fn as_cyrus<'a>(cursor: Cursor<'a>, order: KeyOrder) -> CyrusOutcome<'a> {
    if cursor.is_empty() {
        return CyrusOutcome::Opens(Vec::new());
    }
    let header = match refuse(cursor) {
        Ok(header) => header,
        Err(why) => return CyrusOutcome::Refuses(why.into()),
    };
    if header.current_size == cursor.len() && header.flags & DIRTY == 0 {
        return CyrusOutcome::Opens(walk(cursor, header.current_size, cursor.len()).0);
    }
    if header.current_size <= HEADER_LEN {
        return CyrusOutcome::Dies("recovery of a file whose current_size is no more than a header".into());
    }
    // The first recovery cuts the file to current_size, or lengthens it with zeros.
    if first_recovery(cursor, header.current_size, order) {
        let end = header.current_size.min(cursor.len());
        return CyrusOutcome::Opens(walk(cursor, header.current_size, end).0);
    }
    second_recovery(cursor, order)
}

/// Reads the header as Cyrus does at opening.
fn refuse(cursor: Cursor<'_>) -> Result<Header, &'static str> {
    let header = Header::decode(cursor).ok_or("the file is too short for a header")?;
    if !Header::magic_is_right(cursor) {
        return Err("the magic is wrong");
    }
    if header.version > VERSION {
        return Err("the version is newer than it knows");
    }
    if Header::computed_crc(cursor) != Some(header.crc) {
        return Err("the header's crc is wrong");
    }
    Ok(header)
}

/// The list as level 0 has it, up to the first record that can't be read; and whether that was its end.
fn walk<'a>(cursor: Cursor<'a>, limit: u64, end: u64) -> (Vec<Record<'a>>, bool) {
    let mut records = Vec::new();
    let whole = level_0(cursor, limit, end, &mut |raw| {
        let right = raw.tail_is_right(cursor);
        if right {
            records.push(raw.record(cursor));
        }
        right
    });
    (records, whole)
}

/// Follows level 0; whether it ends where it should.
fn level_0(cursor: Cursor<'_>, limit: u64, end: u64, visit: &mut dyn FnMut(&Raw) -> bool) -> bool {
    let Some(mut at) = read(cursor, DUMMY_OFFSET, end) else { return false };
    let mut left = cursor.len();
    loop {
        let mut next = choose(at.word(cursor, 0), at.word(cursor, 1), limit);
        if next == 0 {
            return true;
        }
        let Some(mut raw) = read(cursor, next, end) else { return false };
        if raw.kind == b'-' {
            next = raw.word(cursor, 0);
            if next == 0 {
                return true;
            }
            let Some(record) = read(cursor, next, end) else { return false };
            raw = record;
        }
        // More bytes than the file has: Cyrus would go round in a circle.
        let Some(rest) = left.checked_sub(raw.end.saturating_sub(raw.offset)) else { return false };
        left = rest;
        if !visit(&raw) {
            return false;
        }
        at = raw;
    }
}

/// Whether the first recovery gets through: it reads heads only, and wants keys to ascend.
fn first_recovery(cursor: Cursor<'_>, limit: u64, order: KeyOrder) -> bool {
    let mut last: Option<&[u8]> = None;
    level_0(cursor, limit, cursor.len(), &mut |raw| {
        let key = raw.key(cursor);
        let ascends = last.is_none_or(|last| order.compare(last, key) == Ordering::Less);
        last = Some(key);
        ascends
    })
}

/// Replays the file as the second recovery does: a DELETE takes away the record it names, which is the one that follows
/// the deleted one.
fn second_recovery<'a>(cursor: Cursor<'a>, order: KeyOrder) -> CyrusOutcome<'a> {
    let mut state: BTreeMap<Vec<u8>, Record<'a>> = BTreeMap::new();
    let mut rescued = false;
    let mut patience = PATIENCE.saturating_mul(cursor.len()).saturating_add(1 << 20);
    let mut at = DUMMY_OFFSET;
    while at < cursor.len() {
        let Some(raw) = read(cursor, at, cursor.len()) else {
            at = at.saturating_add(ALIGN);
            continue;
        };
        if raw.kind == b'$' {
            let start = raw.word(cursor, 0);
            let Some(left) = patience.checked_sub(raw.offset.saturating_sub(start)) else {
                return CyrusOutcome::Dies("its second recovery reads the same transactions again and again".into());
            };
            patience = left;
            match copy_commit(cursor, &raw, &mut state) {
                Ok(()) => rescued = true,
                Err(Failed::Unreadable) => {}
                Err(Failed::Dies) => {
                    return CyrusOutcome::Dies("its second recovery meets a DELETE of the last key".into());
                }
            }
        }
        at = raw.end;
    }
    if !rescued || state.is_empty() {
        return CyrusOutcome::Dies("both its recoveries find no records".into());
    }
    let mut records: Vec<_> = state.into_values().collect();
    records.sort_by(|a, b| order.compare(&a.key, &b.key));
    CyrusOutcome::Opens(records)
}

/// Why a transaction is not replayed.
enum Failed {
    Unreadable,
    Dies,
}

/// Applies one transaction, or nothing of it.
fn copy_commit<'a>(cursor: Cursor<'a>, commit: &Raw, state: &mut BTreeMap<Vec<u8>, Record<'a>>) -> Result<(), Failed> {
    let mut changes: Vec<(Vec<u8>, Option<Record<'a>>)> = Vec::new();
    let mut at = commit.word(cursor, 0);
    while at < commit.offset {
        let mut raw = read(cursor, at, cursor.len()).ok_or(Failed::Unreadable)?;
        let advance = |at: u64, raw: &Raw| at.saturating_add(raw.end.saturating_sub(raw.offset).max(ALIGN));
        match raw.kind {
            b'-' => {
                let next = raw.word(cursor, 0);
                if next == 0 {
                    return Err(Failed::Dies);
                }
                raw = read(cursor, next, cursor.len()).ok_or(Failed::Unreadable)?;
                changes.push((raw.key(cursor).to_vec(), None));
            }
            b'+' => changes.push((raw.key(cursor).to_vec(), Some(raw.record(cursor)))),
            _ => {}
        }
        if matches!(raw.kind, b'+' | b'-') && raw.key_len == 0 {
            return Err(Failed::Dies);
        }
        at = advance(at, &raw);
    }
    for (key, record) in changes {
        match record {
            Some(record) => drop(state.insert(key, record)),
            None => drop(state.remove(&key)),
        }
    }
    Ok(())
}
