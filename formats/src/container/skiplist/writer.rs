//! Sorted records in, a freshly checkpointed file out, in one sequential pass.

use std::cmp::Ordering;
use std::io::{self, Seek, SeekFrom, Write};

use super::layout::{DUMMY_OFFSET, Header, MAX_FILE_LEN, MAX_LEVEL, NodeKind, VERSION, encode_node, node_len};
use crate::container::KeyOrder;

/// How much is gathered before it is written.
const BUFFER_LEN: usize = 4 << 20;
const LEVELS: usize = MAX_LEVEL as usize;

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
pub fn write<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: impl Write + Seek,
    records: impl IntoIterator<Item = (K, V)>,
    options: Options,
) -> Result<Written, WriteError> {
    let mut writer = Writer::new(out, options);
    for (key, value) in records {
        writer.push(key.as_ref(), value.as_ref())?;
    }
    writer.finish()
}

/// Writes a skiplist file record by record.
///
/// Record `i` gets one level more than `i` has trailing zero bits, so the same records give the same bytes. The output is
/// written front to back in large pieces; pointers that lead out of the piece at hand, and the header, are filled in at
/// the end.
pub struct Writer<W> {
    out: W,
    options: Options,
    /// Bytes not yet written.
    buffer: Vec<u8>,
    /// Offset in the file where `buffer` starts.
    buffer_offset: u64,
    /// For each level, where the pointer stands that waits for the next record of that level.
    open: [u64; LEVELS],
    /// Pointers that had been written when their target came: where they stand, what they say.
    late: Vec<(u64, u32)>,
    last_key: Vec<u8>,
    count: u64,
    top_level: usize,
}

impl<W: Write + Seek> Writer<W> {
    /// A writer to `out`, which must be empty and stand at 0; it needs no buffer of its own.
    pub fn new(out: W, options: Options) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER_LEN + (64 << 10));
        buffer.resize(usize::try_from(DUMMY_OFFSET).unwrap_or_default(), 0);
        encode_node(NodeKind::Dummy, &[], &[], &[0; LEVELS], &mut buffer);
        let mut open = [0; LEVELS];
        for (level, slot) in (0..).zip(&mut open) {
            *slot = DUMMY_OFFSET + 12 + 4 * level;
        }
        let (late, last_key) = (Vec::new(), Vec::new());
        Writer { out, options, buffer, buffer_offset: 0, open, late, last_key, count: 0, top_level: 1 }
    }

    /// Writes a record.
    ///
    /// # Errors
    /// [`WriteError`]; only if the system refused has anything of the record been written.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        let order = self.options.order;
        let index = self.count + 1;
        if key.is_empty() {
            return Err(WriteError::EmptyKey(index));
        }
        if index > 1 && order.compare(&self.last_key, key) != Ordering::Less {
            let key = key.escape_ascii().to_string();
            return Err(WriteError::Order { index, order, key });
        }
        let level = LEVELS.min(index.trailing_zeros() as usize + 1);
        let offset = self.buffer_offset + self.buffer.len() as u64;
        let end = node_len(key.len(), value.len(), level).and_then(|len| offset.checked_add(len));
        let (Some(end), Ok(offset)) = (end.filter(|&end| end <= MAX_FILE_LEN), u32::try_from(offset)) else {
            return Err(WriteError::TooLarge(index));
        };
        self.count = index;
        self.top_level = self.top_level.max(level);
        encode_node(NodeKind::Inorder, key, value, [0; LEVELS].get(..level).unwrap_or_default(), &mut self.buffer);
        let first_slot = end - 4 - 4 * level as u64;
        let slots = (0..).map(|i| first_slot + 4 * i);
        let mut open = self.open;
        for (slot, next) in open.iter_mut().take(level).zip(slots) {
            self.point(*slot, offset);
            *slot = next;
        }
        self.open = open;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        if self.buffer.len() >= BUFFER_LEN {
            self.flush()?;
        }
        Ok(())
    }

    /// Sets the pointer at `slot`, now or, if it has been written already, at the end.
    fn point(&mut self, slot: u64, offset: u32) {
        let place = slot.checked_sub(self.buffer_offset).and_then(|at| usize::try_from(at).ok());
        match place.and_then(|at| self.buffer.get_mut(at..)).and_then(|rest| rest.first_chunk_mut::<4>()) {
            Some(word) => *word = offset.to_be_bytes(),
            None => self.late.push((slot, offset)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer_offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, then the pointers that came late, then the header: a file that is not finished has none.
    ///
    /// # Errors
    /// [`WriteError`], if the system refuses.
    pub fn finish(mut self) -> Result<Written, WriteError> {
        let len = self.buffer_offset + self.buffer.len() as u64;
        let too_large = |_| WriteError::TooLarge(self.count);
        let header = Header {
            version: VERSION.0,
            version_minor: VERSION.1,
            maxlevel: MAX_LEVEL,
            curlevel: u32::try_from(self.top_level).unwrap_or(MAX_LEVEL),
            listsize: u32::try_from(self.count).map_err(too_large)?,
            logstart: u32::try_from(len).map_err(too_large)?,
            last_recovery: self.options.last_recovery,
        };
        self.flush()?;
        for (slot, offset) in &self.late {
            self.out.seek(SeekFrom::Start(*slot))?;
            self.out.write_all(&offset.to_be_bytes())?;
        }
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header.encode())?;
        self.out.seek(SeekFrom::Start(len))?;
        self.out.flush()?;
        Ok(Written { records: self.count, len })
    }
}
