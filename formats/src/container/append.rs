//! Transactions appended to a sound file, as the steps of writing that Cyrus takes, in its order.
//!
//! Nothing is written here: whoever holds the file under Cyrus' exclusive lock carries the steps out one after the other. A
//! kill between any two of them leaves what Cyrus' own recovery brings back to the transaction before.

use super::{Format, KeyOrder, flat, skiplist, twoskip};

/// A change to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation<'o> {
    /// Gives a key a value, new or instead of another.
    Store {
        /// The key; not empty.
        key: &'o [u8],
        /// Its value.
        value: &'o [u8],
    },
    /// Takes a key away; nothing happens if it is not there.
    Delete {
        /// The key.
        key: &'o [u8],
    },
}

impl<'o> Operation<'o> {
    /// The key that it changes.
    pub fn key(&self) -> &'o [u8] {
        match self {
            Operation::Store { key, .. } | Operation::Delete { key } => key,
        }
    }
}

/// A step of writing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Put bytes at an offset of the file, which grows where they reach behind its end.
    Write {
        /// Offset in bytes.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bring everything written so far to the disk, before anything else is written.
    Sync,
    /// Write a new file beside it (`<db>.NEW`), bring that to the disk, and rename it over the file.
    Replace(Vec<u8>),
}

impl Step {
    /// Carries the step out on a file in memory.
    pub fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Step::Write { offset, bytes } => {
                let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                let Some(end) = start.checked_add(bytes.len()) else { return };
                if file.len() < end {
                    file.resize(end, 0);
                }
                if let Some(place) = file.get_mut(start..end) {
                    place.copy_from_slice(bytes);
                }
            }
            Step::Sync => {}
            Step::Replace(bytes) => file.clone_from(bytes),
        }
    }
}

/// A transaction, ready to be written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Appended {
    /// What to do, in this order; nothing if nothing changes.
    pub steps: Vec<Step>,
    /// Whether Cyrus would checkpoint or repack the file when the transaction is written.
    pub rewrite_due: bool,
}

/// Why no transaction can be appended.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AppendError {
    /// The file is not as a finished transaction leaves it: Cyrus would recover it first.
    #[error("the file must be recovered first: {0}")]
    Unsound(&'static str),
    /// A record without a key.
    #[error("a record without a key can't be stored")]
    EmptyKey,
    /// More than a file of the format can hold.
    #[error("no room is left: {0}")]
    TooLarge(&'static str),
    /// The format is read only.
    #[error("nothing can be appended to {0} files")]
    Unsupported(Format),
}

/// One transaction that makes `operations` in their order in a file of `format`, whose keys stand in `order`. Flat files,
/// always in mbox order, are rewritten whole, with escapes.
///
/// # Errors
/// [`AppendError`], when the file is not sound enough or can't hold a record.
pub fn append(
    bytes: &[u8],
    format: Format,
    order: KeyOrder,
    operations: &[Operation<'_>],
) -> Result<Appended, AppendError> {
    if operations.iter().any(|operation| operation.key().is_empty()) {
        return Err(AppendError::EmptyKey);
    }
    match format {
        Format::Skiplist => skiplist::append(bytes, order, operations),
        Format::Twoskip => twoskip::append(bytes, order, operations),
        Format::Flat => flat::append(bytes, operations),
        other => Err(AppendError::Unsupported(other)),
    }
}
