//! Sorted records in, a freshly checkpointed file out.

use std::cmp::Ordering;
use std::io::{self, Seek, Write};

use super::layout::{
    self, Broken, FIRST_RECORD, Header, MAX_FILE_LEN, MAX_LEVEL, NodeKind, VERSION, encode_node, node_len, pad4,
};
use crate::container::lay::{self, LEVELS, Laid, List, Node, Placed};
use crate::container::proof::Found;
use crate::container::{KeyOrder, Pair};
use crate::image::Cursor;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The comparator of the server that will read it; records must come in this order.
    pub order: KeyOrder,
    /// Unix time in seconds that the header gives as its last recovery. Cyrus recovers a file whose time lies before its
    /// own last start.
    pub last_recovery: u32,
}

/// Why no file could be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A key that does not follow the one in front of it.
    #[error("record {index} does not follow the one in front of it in {order} order: {key}")]
    Order {
        /// Number of the record, from 1.
        index: u64,
        /// The order asked for.
        order: KeyOrder,
        /// Its key, escaped.
        key: String,
    },
    /// A record without a key.
    #[error("record {0} has no key, which a skiplist file can't hold")]
    EmptyKey(u64),
    /// The file would not fit its 32-bit offsets.
    #[error("a skiplist file can't reach 4 GiB, and record {0} would lie beyond: write twoskip instead")]
    TooLarge(u64),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Number of records.
    pub records: u64,
    /// Length of the file in bytes.
    pub len: u64,
}

/// Writes `records`, which must come in `options.order`, as a whole file to `out`, which must be empty and stand at 0.
///
/// # Errors
/// [`WriteError`]; `out` then holds an unfinished file without a magic.
pub fn write<R: Pair + Send>(
    mut out: impl Write + Seek,
    records: impl IntoIterator<Item = R>,
    options: Options,
) -> Result<Written, WriteError> {
    let Laid { records, len, .. } = lay::write(&fresh(options), &mut out, records)?;
    Ok(Written { records, len })
}

/// How the records of a new file are placed and encoded.
pub(in crate::container) fn fresh(options: Options) -> List<Fresh> {
    List(Fresh(options))
}

/// The nodes of a new file.
pub(in crate::container) struct Fresh(Options);

/// A pointer as it stands in the file; that it fits was seen when the record it leads to was placed.
fn word(pointer: u64) -> u32 {
    u32::try_from(pointer).unwrap_or_default()
}

/// Length of a node in front of its pointers.
fn pointers_at(key_len: u64, value_len: u64) -> u64 {
    12 + pad4(key_len) + pad4(value_len)
}

impl Node for Fresh {
    type Error = WriteError;
    const MAX_LEVEL: u8 = MAX_LEVEL as u8;
    const FRONT_LEN: u64 = FIRST_RECORD;

    fn admit(&self, index: u64, before: Option<&[u8]>, key: &[u8]) -> Result<(), WriteError> {
        let order = self.0.order;
        if key.is_empty() {
            return Err(WriteError::EmptyKey(index));
        }
        if before.is_some_and(|before| order.compare(before, key) != Ordering::Less) {
            return Err(WriteError::Order { index, order, key: key.escape_ascii().to_string() });
        }
        Ok(())
    }

    fn place(&self, index: u64, end: u64, level: u8, key: &[u8], value: &[u8]) -> Result<(u64, u64), WriteError> {
        let end_of_it = node_len(key.len(), value.len(), level.into()).and_then(|len| end.checked_add(len));
        let fits = end_of_it.filter(|&end| end <= MAX_FILE_LEN);
        fits.map(|end_of_it| (end, end_of_it)).ok_or(WriteError::TooLarge(index))
    }

    fn put(&self, bytes: &mut Vec<u8>, _: u64, record: &Placed<'_>) {
        let mut words = [0; MAX_LEVEL as usize];
        for (word_at, &pointer) in words.iter_mut().zip(record.pointers) {
            *word_at = word(pointer);
        }
        let pointers = words.get(..record.pointers.len()).unwrap_or_default();
        encode_node(NodeKind::Inorder, record.key, record.value, pointers, bytes);
    }

    fn found<'b>(
        &self,
        bytes: &'b [u8],
        from: usize,
        pointers: &mut [u64; LEVELS],
        _: bool,
    ) -> Option<Option<Found<'b>>> {
        let node = match layout::Node::read(Cursor::new(bytes), from as u64) {
            Ok(node) => node,
            Err(Broken::Head | Broken::Key(_) | Broken::Value(_) | Broken::Pointers) => return Some(None),
            Err(_) => return None,
        };
        let end = usize::try_from(node.end()).ok()?;
        pointers.iter_mut().zip(node.pointers()).for_each(|(to, from)| *to = from.into());
        let sound = node.kind == NodeKind::Inorder && node.is_flawless();
        sound.then_some(Some(Found { range: from..end, key: node.key, value: node.value, level: node.level() }))
    }

    fn head(&self, key_len: u64, value_len: u64, pointers: &[u64]) -> (u64, Vec<u8>) {
        let words = pointers.iter().flat_map(|&pointer| word(pointer).to_be_bytes());
        (pointers_at(key_len, value_len), words.collect())
    }

    fn frame(&self, count: u64, end: u64, pointers: &[u64]) -> (Vec<u8>, Vec<u8>) {
        let levels = pointers.iter().take_while(|&&pointer| pointer != 0).count();
        let header = Header {
            version: VERSION.0,
            version_minor: VERSION.1,
            maxlevel: MAX_LEVEL,
            curlevel: u32::try_from(levels.max(1)).unwrap_or(MAX_LEVEL),
            listsize: word(count),
            logstart: word(end),
            last_recovery: self.0.last_recovery,
        };
        let mut front = header.encode();
        let pointers: Vec<u32> = pointers.iter().map(|&pointer| word(pointer)).collect();
        encode_node(NodeKind::Dummy, &[], &[], &pointers, &mut front);
        (Vec::new(), front)
    }
}
