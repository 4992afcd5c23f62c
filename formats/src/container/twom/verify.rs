//! Checks every rule of the format.

use super::file::File;
use super::{careful, header, quick};
use crate::container::{Depth, PartsSeen, Proving, Record};
use crate::finding::Sink;
use crate::text::json_usual::Usual;

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
pub struct ProvingWalk<'s, 'a> {
    file: &'s File<'a>,
    quick: quick::Quick<'s, 'a>,
    seen: PartsSeen<(quick::Read, quick::Walked)>,
}

impl<'s, 'a> ProvingWalk<'s, 'a> {
    /// One in about `parts` parts.
    pub fn new(file: &'s File<'a>, parts: usize) -> Option<Self> {
        let header = file.header.filter(|_| header::check(file, &mut |_| ()))?;
        let quick = quick::Quick::new(file, &header, parts)?;
        let seen = PartsSeen::nothing(quick.parts.len());
        Some(ProvingWalk { file, quick, seen })
    }
}

impl<'a> Proving<'a> for ProvingWalk<'_, 'a> {
    fn parts(&self) -> usize {
        self.quick.parts.len()
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) -> bool {
        self.seen.note(part, self.quick.read(part, &mut |head| visit(self.file.lend(head), None)))
    }

    fn is_sound(&self, sink: &mut Sink<'_>) -> bool {
        let sound = self.seen.all().is_some_and(|all| self.quick.fits(all));
        if sound {
            header::check(self.file, sink);
        }
        sound
    }
}
