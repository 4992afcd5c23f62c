//! Checks every rule of the format.

use super::file::File;
use super::{careful, header, quick};
use crate::container::{Depth, ProvingWalk};
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

/// A walk that verifies in the same pass.
pub fn proving_walk<'s, 'a>(file: &'s File<'a>) -> Option<ProvingWalk<'s, 'a>> {
    let header = file.header.filter(|_| header::check(file, &mut |_| ()))?;
    Some(Box::new(move |visit, sink| {
        let sound = quick::is_sound_walked(file, &header, &mut |head| visit(file.lend(head)));
        if sound {
            header::check(file, sink);
        }
        sound
    }))
}
