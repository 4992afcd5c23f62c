//! Sorted records in, file out in one pass.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::{self, Write};

use memchr::{memchr, memchr2};

use super::layout::{self, Style};
use crate::container::lay::{Batch, Layout};
use crate::container::proof::{Prove, Stretch};
use crate::container::shape;
use crate::container::{KeyOrder, Pair};
use crate::image::Lines as ImageLines;

/// Why a record can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An empty key.
    #[error("an empty key can't be written")]
    EmptyKey,
    /// Keys must ascend, without duplicates, in the mbox order of their written form.
    #[error("keys must ascend in mbox order, but {} comes behind {}", bstr::BStr::new(.second), bstr::BStr::new(.first))]
    Order {
        /// The key in front, as written.
        first: Vec<u8>,
        /// The key that does not belong behind it, as written.
        second: Vec<u8>,
    },
    /// A file of Cyrus 2.4 or older can't hold the byte there.
    #[error("a flat file of Cyrus 2.4 or older can't hold the byte 0x{byte:02X} of the key or value of {}", bstr::BStr::new(.key))]
    Unwritable {
        /// The record's key.
        key: Vec<u8>,
        /// The first byte that can't be written.
        byte: u8,
    },
}

/// Lines, which stand where the one before ends and know nothing of each other.
pub(in crate::container) struct Lines(Style);

/// How the lines of a new file are written.
pub(in crate::container) fn fresh(style: Style) -> Lines {
    Lines(style)
}

impl Layout for Lines {
    type Error = WriteError;
    type Places = ();

    fn front(&self) -> Vec<u8> {
        Vec::new()
    }

    fn place<R: Pair>(&self, (): &mut (), _: &mut Batch<R>) -> Result<(), WriteError> {
        Ok(())
    }

    fn encode<R: Pair>(&self, batch: &mut Batch<R>) -> Result<(), WriteError> {
        let mut bytes = std::mem::take(&mut batch.bytes);
        bytes.clear();
        batch.shown = usual(&mut bytes, batch);
        if batch.shown.is_none() {
            bytes.clear();
            bytes = self.unusual(bytes, batch)?;
            let mut shown = Stretch::new(0);
            batch.shown = self.take(&mut shown, &bytes).map(|_| shown);
        }
        batch.bytes = bytes;
        Ok(())
    }

    fn back(&self, (): &(), _: u64) -> (Vec<u8>, Vec<(u64, Vec<u8>)>) {
        (Vec::new(), Vec::new())
    }
}

impl Lines {
    /// Puts the lines of a batch into `bytes`, whatever is in them.
    fn unusual<R: Pair>(&self, bytes: Vec<u8>, batch: &Batch<R>) -> Result<Vec<u8>, WriteError> {
        let mut writer = Writer::new(bytes, self.0);
        if let Some(before) = &batch.before {
            writer.last = writer.encoded(before, true).unwrap_or_default().into_owned();
        }
        for (_, _, key, value) in batch.each() {
            writer.push(key, value)?;
        }
        let bytes = writer.finish()?;
        match unlike(&bytes, batch) {
            Some(number) => Err(io::Error::other(format!("record {number} does not read back")).into()),
            None => Ok(bytes),
        }
    }
}

/// Puts the lines of a batch into `bytes`, and says what they show of themselves; `None`, and the bytes are of no use, if
/// something would have to be escaped or is worth a closer look.
fn usual<R: Pair>(bytes: &mut Vec<u8>, batch: &Batch<R>) -> Option<Stretch> {
    let as_it_stands = |key: &[u8]| !shape::holds_special(key) && memchr2(layout::KEY_END, b'\n', key).is_none();
    if !batch.before.as_deref().is_none_or(as_it_stands) {
        return None;
    }
    for (_, before, key, value) in batch.each() {
        let (start, tab) = (bytes.len(), key.len());
        for part in [key, b"\t", value, b"\n"] {
            bytes.extend_from_slice(part);
        }
        let line = bytes.get(start..)?;
        let reads = line.get(..tab) == Some(key) && line.get(tab + 1..line.len() - 1) == Some(value);
        let follows = before.is_none_or(|before| KeyOrder::Mbox.compare(before, key) == Ordering::Less);
        if !reads || !follows || key.is_empty() || !shape::is_plain_dlist(value) {
            return None;
        }
    }
    // One of each in a line, and so none in keys and values: each line is read as it was put.
    let seen = shape::Seen::of(bytes);
    let once = |count| count == batch.records.len();
    if seen.special || !once(seen.tabs) || !once(seen.line_ends) {
        return None;
    }
    let mut shown = Stretch::new(0);
    shown.end = bytes.len() as u64;
    shown.records = batch.records.len() as u64;
    shown.first = batch.records.first()?.key().to_vec();
    shown.last = batch.records.last()?.key().to_vec();
    Some(shown)
}

/// The number of the first record of a batch that the line of its place in `bytes` does not hold.
fn unlike<R: Pair>(bytes: &[u8], batch: &Batch<R>) -> Option<u64> {
    // Nothing is escaped in most files.
    let plain = memchr2(0, layout::ESCAPE, bytes).is_none();
    let mut lines = ImageLines::new(bytes, 0);
    let mut reads = |key: &[u8], value: &[u8]| {
        let line = lines.next().filter(|line| line.terminated)?;
        let (found_key, found_value) = line.body.split_at_checked(memchr(layout::KEY_END, line.body)?)?;
        let found_value = found_value.get(1..)?;
        let same = match plain {
            true => found_key == key && found_value == value,
            false => layout::decode(found_key) == key && layout::decode(found_value) == value,
        };
        (same && !key.is_empty() && (plain || memchr(0, line.body).is_none())).then_some(())
    };
    batch.each().find(|&(_, _, key, value)| reads(key, value).is_none()).map(|(number, ..)| number)
}

/// Writes a flat file line by line; [`written_order`] sorts keys as it wants them.
pub struct Writer<W: Write> {
    out: W,
    style: Style,
    last: Vec<u8>,
}

/// Compares two keys as they stand in a file of `style`: the order that a flat file keeps.
pub fn written_order(style: Style, a: &[u8], b: &[u8]) -> Ordering {
    match style {
        Style::Raw => KeyOrder::Mbox.compare(a, b),
        Style::Escaped => KeyOrder::Mbox.compare(&layout::encode(a), &layout::encode(b)),
    }
}

impl<W: Write> Writer<W> {
    /// A writer to `out`, which should be buffered.
    pub fn new(out: W, style: Style) -> Self {
        Writer { out, style, last: Vec::new() }
    }

    /// Writes a record.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing of the record is written unless the system refuses.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> Result<(), WriteError> {
        if key.is_empty() {
            return Err(WriteError::EmptyKey);
        }
        let unwritable = |byte| WriteError::Unwritable { key: key.to_vec(), byte };
        let raw_key = self.encoded(key, true).map_err(unwritable)?;
        let raw_value = self.encoded(value, false).map_err(unwritable)?;
        if KeyOrder::Mbox.compare(&self.last, &raw_key) != Ordering::Less {
            return Err(WriteError::Order { first: self.last.clone(), second: raw_key.into_owned() });
        }
        for part in [&raw_key, &b"\t"[..], &raw_value, b"\n"] {
            self.out.write_all(part)?;
        }
        self.last.clear();
        self.last.extend_from_slice(&raw_key);
        Ok(())
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    /// What the system says to the flush.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn encoded<'b>(&self, plain: &'b [u8], is_key: bool) -> Result<Cow<'b, [u8]>, u8> {
        let refused = |byte: u8| matches!(byte, 0 | b'\r' | b'\n') || (is_key && byte == layout::KEY_END);
        match self.style {
            Style::Escaped => Ok(layout::encode(plain)),
            Style::Raw => plain.iter().copied().find(|&b| refused(b)).map_or(Ok(Cow::Borrowed(plain)), Err),
        }
    }
}
