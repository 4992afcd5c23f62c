//! What Cyrus 3.6.1's own recovery would leave of a file (`lib/cyrusdb_skiplist.c`, `recovery`).

use std::cmp::Ordering;
use std::collections::HashMap;

use super::layout::{
    ADD, Broken, COMMIT, DELETE, DUMMY, DUMMY_OFFSET, FIRST_RECORD, Header, INORDER, MAX_LEVEL, Node, NodeKind, VERSION,
};
use super::view::record;
use crate::container::detect::SKIPLIST_MAGIC;
use crate::container::{CyrusOutcome, KeyOrder};
use crate::image::Cursor;

/// Length of a page of memory, up to which the file's last page can be read past its end.
const PAGE_LEN: u64 = 4096;
/// The DUMMY node's offset.
const HEAD: u32 = DUMMY_OFFSET as u32;

/// Runs Cyrus' recovery on a file without changing it.
pub fn as_cyrus<'a>(cursor: Cursor<'a>, order: KeyOrder) -> CyrusOutcome<'a> {
    if cursor.is_empty() {
        return CyrusOutcome::Opens(Vec::new());
    }
    let header = match opens(cursor) {
        Ok(header) => header,
        Err(why) => return CyrusOutcome::Refuses(why),
    };
    let mut recovery = Recovery::new(cursor, order, &header);
    match recovery.relink_inorder().and_then(|log_at| recovery.replay(log_at)) {
        Ok(()) => CyrusOutcome::Opens(recovery.listed()),
        Err(outcome) => outcome,
    }
}

/// The checks of `read_header`.
fn opens(cursor: Cursor<'_>) -> Result<Header, String> {
    let dummy = Node::read(cursor, DUMMY_OFFSET).ok().filter(|node| node.kind == NodeKind::Dummy);
    let Some((header, dummy)) = Header::decode(cursor).zip(dummy) else {
        return Err("first node not type DUMMY".to_owned());
    };
    if cursor.bytes(0, SKIPLIST_MAGIC.len() as u64) != Some(SKIPLIST_MAGIC) {
        return Err("invalid magic header".to_owned());
    }
    if header.version != VERSION.0 {
        return Err(format!("version mismatch: version {}.{}", header.version, header.version_minor));
    }
    if header.maxlevel > MAX_LEVEL || header.curlevel > header.maxlevel {
        return Err("MAXLEVEL or CURLEVEL in the header beyond the limit".to_owned());
    }
    if dummy.level() as u64 != u64::from(header.maxlevel) {
        return Err("DUMMY level does not match the header".to_owned());
    }
    Ok(header)
}

/// The list as recovery rebuilds it.
struct Recovery<'a> {
    cursor: Cursor<'a>,
    order: KeyOrder,
    curlevel: usize,
    /// Forward pointers of each linked node, level 0 first.
    forward: HashMap<u32, Vec<u32>>,
    /// Where the data ends: Cyrus cuts the file off here.
    end: u64,
}

impl<'a> Recovery<'a> {
    fn new(cursor: Cursor<'a>, order: KeyOrder, header: &Header) -> Self {
        let curlevel = usize::try_from(header.curlevel).unwrap_or_default();
        let head = vec![0; usize::try_from(header.maxlevel).unwrap_or_default()];
        Recovery { cursor, order, curlevel, forward: HashMap::from([(HEAD, head)]), end: cursor.len() }
    }

    /// Links the INORDER records one behind the other, whatever their keys; answers where they end.
    ///
    /// # Errors
    /// What becomes of the process at a node of too many levels: it follows its tables past their end, and writes where
    /// that leads.
    fn relink_inorder(&mut self) -> Result<u64, CyrusOutcome<'a>> {
        let mut at = FIRST_RECORD;
        let mut last = [HEAD; MAX_LEVEL as usize];
        while self.cursor.be_u32(at) == Some(INORDER) {
            let (node, offset) = match (Node::read(self.cursor, at), u32::try_from(at)) {
                (Ok(node), Ok(offset)) => (node, offset),
                (Err(Broken::Unterminated), _) => {
                    let why =
                        format!("unpredictable: it counts more than 20 levels at 0x{at:X} and overruns its tables");
                    return Err(CyrusOutcome::Dies(why));
                }
                _ => {
                    self.end = at;
                    break;
                }
            };
            for (level, last) in last.iter_mut().enumerate().take(node.level()) {
                self.set(*last, level, offset);
                *last = offset;
            }
            self.forward.insert(offset, vec![0; node.level()]);
            at = node.end();
        }
        Ok(at)
    }

    /// Replays the log from `at` on.
    ///
    /// # Errors
    /// What becomes of the process where it can't go on.
    fn replay(&mut self, mut at: u64) -> Result<(), CyrusOutcome<'a>> {
        let mut complete_until = at;
        let mut zeros_end = 0;
        while at < self.end {
            match self.cursor.be_u32(at) {
                Some(0) => (at, zeros_end) = self.skip_zeros(at).map(|end| (end, end))?,
                None if self.cursor.rest(at).iter().all(|&byte| byte == 0) => return Err(zero_tail(self.cursor.len())),
                Some(COMMIT) => at = at.saturating_add(4),
                Some(word @ (ADD | DELETE)) => {
                    if at >= complete_until {
                        let Some(commit) = self.commit_behind(at) else { return Ok(()) };
                        complete_until = commit;
                    }
                    let Some(len) = self.record_len(at) else { return Ok(()) };
                    if word == ADD {
                        self.add(at)
                    } else {
                        self.delete(at)?
                    }
                    at = at.saturating_add(len);
                }
                // "should be ADD or DELETE": the first open fails and cuts the file off here. The second succeeds, unless
                // zeros are now the end of the file.
                _ if at == zeros_end => return Err(zero_tail(at)),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Offset behind a run of zero words. One that reaches the end of the file is read on past it: into the rest of the
    /// last page, which is zero, or, where there is none, into nothing.
    fn skip_zeros(&self, at: u64) -> Result<u64, CyrusOutcome<'a>> {
        let zeros = self.cursor.rest(at).iter().take_while(|&&byte| byte == 0).count() as u64;
        let end = at.saturating_add(zeros);
        if end < self.cursor.len() {
            return Ok(at.saturating_add(zeros & !3));
        }
        Err(zero_tail(end))
    }

    /// Offset of the next COMMIT, if every record up to it can be measured.
    fn commit_behind(&self, mut at: u64) -> Option<u64> {
        while at < self.end {
            if self.cursor.be_u32(at) == Some(COMMIT) {
                return Some(at);
            }
            at = at.checked_add(self.record_len(at)?)?;
        }
        None
    }

    /// `RECSIZE_safe`: the length of what stands at an offset, `None` where Cyrus takes it for 0.
    fn record_len(&self, at: u64) -> Option<u64> {
        match self.cursor.be_u32(at)? {
            DUMMY | INORDER | ADD => Node::read(self.cursor, at).ok().map(|node| node.span().len()),
            DELETE => self.cursor.bytes(at, 8).map(|_| 8),
            COMMIT => Some(4),
            _ => None,
        }
    }

    fn key(&self, offset: u32) -> &'a [u8] {
        super::replay::key_at(self.cursor, offset)
    }

    fn next(&self, offset: u32, level: usize) -> u32 {
        self.forward.get(&offset).and_then(|pointers| pointers.get(level)).copied().unwrap_or_default()
    }

    fn set(&mut self, offset: u32, level: usize, to: u32) {
        if let Some(pointer) = self.forward.get_mut(&offset).and_then(|pointers| pointers.get_mut(level)) {
            *pointer = to;
        }
    }

    /// `find_node`: the last node in front of `key` at each level.
    fn find(&self, key: &[u8]) -> [u32; MAX_LEVEL as usize] {
        let mut before = [HEAD; MAX_LEVEL as usize];
        let mut at = HEAD;
        for level in (0..self.curlevel).rev() {
            loop {
                let next = self.next(at, level);
                if next == 0 || self.order.compare(self.key(next), key) != Ordering::Less {
                    break;
                }
                at = next;
            }
            if let Some(slot) = before.get_mut(level) {
                *slot = at;
            }
        }
        before
    }

    /// The node of exactly `key` behind what [`find`](Self::find) answered.
    fn exact(&self, before: &[u32; MAX_LEVEL as usize], key: &[u8]) -> Option<u32> {
        let [first, ..] = *before;
        let found = self.next(first, 0);
        (found != 0 && self.order.compare(self.key(found), key) == Ordering::Equal).then_some(found)
    }

    fn unlink(&mut self, before: &[u32; MAX_LEVEL as usize], node: u32) {
        let pointers = self.forward.remove(&node).unwrap_or_default();
        for (level, (&to, &from)) in pointers.iter().zip(before).enumerate() {
            self.set(from, level, to);
        }
    }

    fn add(&mut self, at: u64) {
        let (Ok(node), Ok(offset)) = (Node::read(self.cursor, at), u32::try_from(at)) else { return };
        let before = self.find(node.key);
        if let Some(old) = self.exact(&before, node.key) {
            self.unlink(&before, old);
        }
        let pointers = (0..node.level()).zip(&before).map(|(level, &from)| self.next(from, level)).collect();
        self.forward.insert(offset, pointers);
        for (level, &from) in before.iter().enumerate().take(node.level()) {
            self.set(from, level, offset);
        }
    }

    fn delete(&mut self, at: u64) -> Result<(), CyrusOutcome<'a>> {
        let target = self.cursor.be_u32(at.saturating_add(4)).unwrap_or_default();
        // The rest of the file's last page is zero: a record without a key, which is not in the list.
        if u64::from(target) >= self.cursor.len().next_multiple_of(PAGE_LEN) {
            let why = format!("killed by a signal: the DELETE at 0x{at:X} names 0x{target:X}, outside the file");
            return Err(CyrusOutcome::Dies(why));
        }
        let key = self.key(target);
        let before = self.find(key);
        if let Some(node) = self.exact(&before, key) {
            self.unlink(&before, node);
        }
        Ok(())
    }

    /// The records of level 0.
    fn listed(&self) -> Vec<crate::container::Record<'a>> {
        let mut records = Vec::new();
        let mut at = self.next(HEAD, 0);
        while at != 0 && records.len() < self.forward.len() {
            records.extend(Node::read(self.cursor, u64::from(at)).ok().map(record));
            at = self.next(at, 0);
        }
        records
    }
}

/// What becomes of a file of `len` bytes that ends in zeros.
fn zero_tail<'a>(len: u64) -> CyrusOutcome<'a> {
    match len % PAGE_LEN {
        0 => CyrusOutcome::Dies("killed by SIGBUS: it reads past the zeros at the end of the file".to_owned()),
        _ => CyrusOutcome::Refuses("can't open database: nothing follows the zeros at its end".to_owned()),
    }
}
