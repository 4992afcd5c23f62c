//! The registry of writers: sorted records in, a sound file of any container out.

use std::io::{self, Seek, Write};

use super::lay::{self, Laid, Layout};
use super::proof::{Proof, Prove};
use super::{Format, KeyOrder, flat, skiplist, twom, twoskip};

/// A key and its value, as a file is to hold them.
pub trait Pair {
    /// The key.
    fn key(&self) -> &[u8];
    /// The value.
    fn value(&self) -> &[u8];
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Pair for (K, V) {
    #[inline]
    fn key(&self) -> &[u8] {
        self.0.as_ref()
    }

    #[inline]
    fn value(&self) -> &[u8] {
        self.1.as_ref()
    }
}

/// What a file needs to know beside its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteOptions {
    /// The order the records come in and the file is to have; flat files are always in mbox order.
    pub order: KeyOrder,
    /// Unix time in seconds that a skiplist header gives as its last recovery. Cyrus recovers, and rewrites, a file
    /// whose time lies before its last start.
    pub time: u32,
    /// Which bytes of a flat file are escaped.
    pub style: flat::Style,
}

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// Number of records.
    pub records: u64,
    /// Length of the file in bytes.
    pub len: u64,
}

/// Why a file can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What a skiplist file can't hold.
    #[error(transparent)]
    Skiplist(#[from] skiplist::WriteError),
    /// What a flat file can't hold.
    #[error(transparent)]
    Flat(#[from] flat::writer::WriteError),
    /// What the system says, or what a twoskip or twom file can't hold.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The format is read only.
    #[error("{0} files are not written by this version of coroner: choose skiplist, twoskip, twom or flat")]
    Unsupported(Format),
}

/// Writes `records`, sorted in the order of `options`, as a new file of `format` from the beginning of `out`. The same
/// records and options give the same bytes.
///
/// # Errors
/// When the records do not ascend or the format can't hold one, and what the system says. `out` then holds a part.
pub fn write<W, R>(
    out: &mut W,
    format: Format,
    records: impl IntoIterator<Item = R>,
    options: &WriteOptions,
) -> Result<Written, WriteError>
where
    W: Write + Seek,
    R: Pair + Send,
{
    write_proving(out, format, records, options).map(|(written, _)| written)
}

/// The same, with what shows of the written bytes that they are a sound file; `None` where only `verify` can.
///
/// # Errors
/// As of [`write()`].
pub fn write_proving<W, R>(
    out: &mut W,
    format: Format,
    records: impl IntoIterator<Item = R>,
    options: &WriteOptions,
) -> Result<(Written, Option<Proof>), WriteError>
where
    W: Write + Seek,
    R: Pair + Send,
{
    let (written, proof) = match format {
        Format::Skiplist => {
            let options = skiplist::Options { order: options.order, last_recovery: options.time };
            proving(skiplist::fresh(options), out, records)?
        }
        Format::Twoskip => {
            let options = twoskip::writer::Options { order: options.order, ..Default::default() };
            proving(twoskip::writer::fresh(options), out, records)?
        }
        // Cyrus reads no other order of keys than bytewise; records that come in another one are refused.
        Format::Twom => proving(twom::fresh(twom::Options::default()), out, records)?,
        Format::Flat => proving(flat::writer::fresh(options.style), out, records)?,
        other => return Err(WriteError::Unsupported(other)),
    };
    // No release reads twoskip files in another order.
    let readable = format != Format::Twoskip || options.order != KeyOrder::Signed;
    Ok((written, proof.filter(|_| readable)))
}

fn proving<L, W, R>(
    layout: L,
    out: &mut W,
    records: impl IntoIterator<Item = R>,
) -> Result<(Written, Option<Proof>), L::Error>
where
    L: Layout + Prove + 'static,
    W: Write + Seek,
    R: Pair + Send,
{
    let Laid { records, len, shown } = lay::write(&layout, out, records)?;
    let proof = shown.map(|stretches| Proof { records: Box::new(layout), stretches });
    Ok((Written { records, len }, proof))
}
