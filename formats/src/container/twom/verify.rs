//! Checks every rule of the format.

use super::file::File;
use super::{careful, header, quick};
use crate::container::Depth;
use crate::finding::Sink;

/// Checks a file up to `depth`.
pub fn verify(file: &File<'_>, depth: Depth, sink: &mut Sink<'_>) {
    let header_sound = header::check(file, sink);
    if depth == Depth::Header {
        return;
    }
    match file.header.filter(|_| header_sound) {
        Some(header) if quick::is_sound(file, &header) => {}
        _ => careful::examine(file, sink),
    }
}
