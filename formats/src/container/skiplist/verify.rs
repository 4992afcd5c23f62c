//! Checks every rule of the format.

use super::layout::Header;
use super::{careful, header, quick};
use crate::container::Depth;
use crate::finding::Sink;
use crate::image::Cursor;

/// Checks a file up to `depth`.
pub fn verify(cursor: Cursor<'_>, depth: Depth, sink: &mut Sink<'_>) {
    let header_sound = header::check(cursor, sink);
    if depth == Depth::Header {
        return;
    }
    let proven = Header::decode(cursor).filter(|_| header_sound).and_then(|h| Some((h, quick::prove(cursor, &h)?)));
    match proven {
        Some((header, count)) => careful::listsize(cursor, &header, count, sink),
        None => careful::examine(cursor, sink),
    }
}
