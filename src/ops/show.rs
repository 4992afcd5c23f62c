//! What `cyr_dbtool FILE FORMAT show` prints: key TAB value LF, raw bytes, in the file's own order.

use std::io;

use super::pipeline::ordered;
use super::reading::Reading;
use super::watch::Watch;
use crate::formats::container::Record;

/// Writes all live records, or those whose key starts with `prefix`, as lines.
///
/// # Errors
/// The first error of `write`.
pub fn lines(
    reading: &Reading<'_, '_>,
    prefix: &[u8],
    watch: &Watch,
    write: impl FnMut(&[u8]) -> io::Result<()> + Send,
) -> io::Result<()> {
    each(reading, prefix, watch, write, |record, line| {
        line.reserve(record.key.len() + record.value.len() + 2);
        line.extend_from_slice(&record.key);
        line.push(b'\t');
        line.extend_from_slice(&record.value);
        line.push(b'\n');
    })
}

/// Writes what `append` makes of each live record, or of those whose key starts with `prefix`, in the file's own order.
///
/// # Errors
/// The first error of `write`.
pub fn each<'a>(
    reading: &Reading<'a, '_>,
    prefix: &[u8],
    watch: &Watch,
    write: impl FnMut(&[u8]) -> io::Result<()> + Send,
    append: impl Fn(&Record<'a>, &mut Vec<u8>) + Sync,
) -> io::Result<()> {
    let parts = if prefix.is_empty() { reading.parts() } else { 1 };
    watch.expect(parts as u64);
    let make = |part, chunks: &mut super::pipeline::Chunks<'_, '_>| {
        let mut visit = |record: Record<'a>| {
            append(&record, chunks.buffer());
            chunks.flow()
        };
        if prefix.is_empty() {
            reading.walk(part, &mut visit);
        } else {
            reading.prefix(prefix, &mut visit);
        }
        watch.step();
    };
    ordered(parts, make, write)
}
