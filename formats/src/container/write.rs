//! The registry of writers: sorted records in, a sound file of any container out.

use std::io::{self, Seek, SeekFrom, Write};

use super::read_back::{skiplist_options, twoskip_options};
use super::{Format, KeyOrder, flat, skiplist, twom, twoskip};

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
/// records and options give the same bytes. What is written in one go starts with a record, but for what stands in front of
/// the first one and behind the last.
///
/// # Errors
/// When the records do not ascend or the format can't hold one, and what the system says. `out` then holds a part.
pub fn write<W, K, V>(
    out: &mut W,
    format: Format,
    records: impl IntoIterator<Item = (K, V)>,
    options: &WriteOptions,
) -> Result<Written, WriteError>
where
    W: Write + Seek,
    K: AsRef<[u8]> + Send,
    V: AsRef<[u8]> + Send,
{
    let mut count = 0;
    let records = records.into_iter().inspect(|_| count += 1);
    match format {
        Format::Skiplist => {
            skiplist::write(&mut *out, records, skiplist_options(options))?;
        }
        Format::Twoskip => {
            twoskip::writer::write(&mut *out, records, twoskip_options(options))?;
        }
        // Cyrus reads no other order of keys than bytewise; records that come in another one are refused.
        Format::Twom => {
            twom::write(&mut *out, records, twom::Options::default())?;
        }
        Format::Flat => {
            flat::writer::write(out, records, options.style)?;
        }
        other => return Err(WriteError::Unsupported(other)),
    }
    Ok(Written { records: count, len: out.seek(SeekFrom::End(0))? })
}
