//! A transaction as the new file that takes the place of the old one: flat files are never written in place
//! (`lib/cyrusdb_flat.c`, `mystore`, `commit_txn`).

use std::borrow::Cow;
use std::cmp::Ordering;

use super::layout::{MAX_FILE_LEN, encode};
use super::scan::{Shape, pieces};
use crate::container::KeyOrder;
use crate::container::append::{AppendError, Appended, Operation, Step};
use crate::image::Cursor;

/// The one step of a transaction: the whole new file, escaped as since 2.5. Lines that don't change stay as they are.
///
/// # Errors
/// [`AppendError`], when a line is no record or does not follow the one in front of it, or the file would get too long.
pub fn append(bytes: &[u8], operations: &[Operation<'_>]) -> Result<Appended, AppendError> {
    let mut changes = changes(operations).into_iter().peekable();
    let mut out = Vec::with_capacity(bytes.len());
    let mut last: &[u8] = b"";
    for piece in pieces(Cursor::new(bytes), 0, bytes.len() as u64) {
        if piece.shape != Shape::Record {
            return Err(AppendError::Unsound("a line of it is no record"));
        }
        if compare(last, piece.key) != Ordering::Less {
            return Err(AppendError::Unsound("its lines are not sorted"));
        }
        last = piece.key;
        while let Some(change) = changes.next_if(|change| compare(&change.key, piece.key) == Ordering::Less) {
            change.put(&mut out);
        }
        match changes.next_if(|change| compare(&change.key, piece.key) == Ordering::Equal) {
            Some(change) => change.put(&mut out),
            None => {
                out.extend_from_slice(piece.line.body);
                out.push(b'\n');
            }
        }
    }
    changes.for_each(|change| change.put(&mut out));
    if out.len() as u64 > MAX_FILE_LEN {
        return Err(AppendError::TooLarge("a flat file can't reach 2 GiB"));
    }
    let steps = if out == bytes { Vec::new() } else { vec![Step::Replace(out)] };
    Ok(Appended { steps, rewrite_due: false })
}

/// What becomes of a key.
struct Change<'o> {
    /// As it is written.
    key: Cow<'o, [u8]>,
    value: Option<&'o [u8]>,
}

impl Change<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        if let Some(value) = self.value {
            for part in [&self.key, &b"\t"[..], &encode(value), b"\n"] {
                out.extend_from_slice(part);
            }
        }
    }
}

fn compare(a: &[u8], b: &[u8]) -> Ordering {
    KeyOrder::Mbox.compare(a, b)
}

/// The last change of each key, in the order of the file.
fn changes<'o>(operations: &[Operation<'o>]) -> Vec<Change<'o>> {
    let change = |operation: &Operation<'o>| match *operation {
        Operation::Store { key, value } => Change { key: encode(key), value: Some(value) },
        Operation::Delete { key } => Change { key: encode(key), value: None },
    };
    let mut changes: Vec<_> = operations.iter().rev().map(change).collect();
    changes.sort_by(|a, b| compare(&a.key, &b.key));
    changes.dedup_by(|a, b| compare(&a.key, &b.key) == Ordering::Equal);
    changes
}
