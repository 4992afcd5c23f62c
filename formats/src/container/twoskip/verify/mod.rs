//! Checks every rule of `FORMAT.md`.

mod careful;
mod sound;

use super::layout::{FIRST_OFFSET, HEADER_LEN, Header, VERSION, is_blank};
use super::rules;
use super::survey::believed_header;
use super::view::File;
use crate::container::{Depth, KeyOrder, OrderTally, PartsSeen, Proving, Record};
use crate::finding::{Finding, Sink};
use crate::image::{Cursor, Span};
use crate::text::json_usual::Usual;

/// Below this size no release repacks (`lib/cyrusdb_twoskip.c`, `MINREWRITE`).
const MIN_REPACK: u64 = 16_834;
/// Dead bytes are worth a note from this many on.
const MUCH_DEAD: u64 = 1 << 20;

/// What both looks count.
#[derive(Clone, Copy, Default)]
pub(super) struct Totals {
    /// Which comparators fit.
    pub tally: OrderTally,
    /// Bytes of the live records.
    pub live_bytes: u64,
}

/// Checks a file down to `depth`; goes on after each finding.
pub fn verify(file: File<'_>, depth: Depth, sink: &mut Sink<'_>) {
    let cursor = file.cursor;
    let len = cursor.len();
    let sink: &mut Sink<'_> = &mut |mut finding: Finding| {
        finding.span = Span::new(finding.span.start.min(len), finding.span.end.min(len));
        sink(finding);
    };
    let header_is_fine = header(cursor, sink);
    let Some(header) = Header::decode(cursor) else { return };
    if depth == Depth::Header {
        return;
    }
    let sound = if header_is_fine { sound::look(file, &header) } else { None };
    let totals = sound.unwrap_or_else(|| careful::look(cursor, &header, sink));
    notes(cursor, &header, &totals, sink);
}

/// A walk that verifies in the same pass.
pub struct ProvingWalk<'a> {
    file: File<'a>,
    header: Header,
    quick: sound::Quick<'a>,
    seen: PartsSeen<(sound::Stretch, sound::Part<'a>)>,
}

impl<'a> ProvingWalk<'a> {
    /// One in about `parts` parts.
    pub fn new(file: File<'a>, parts: usize) -> Option<Self> {
        // One that is fine gives no finding.
        let header_is_fine = header(file.cursor, &mut |_| ());
        let header = Header::decode(file.cursor).filter(|_| header_is_fine)?;
        let quick = sound::Quick::new(file, &header, parts)?;
        let seen = PartsSeen::nothing(quick.parts());
        Some(ProvingWalk { file, header, quick, seen })
    }
}

impl<'a> Proving<'a> for ProvingWalk<'a> {
    fn parts(&self) -> usize {
        self.quick.parts()
    }

    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) -> bool {
        self.seen.note(part, self.quick.read(part, &mut |head| visit(self.file.lend(head), None)))
    }

    fn is_sound(&self, sink: &mut Sink<'_>) -> bool {
        let totals = self.seen.all().and_then(|all| self.quick.totals(all));
        totals.iter().for_each(|totals| notes(self.file.cursor, &self.header, totals, sink));
        totals.is_some()
    }
}

/// The order of the keys, as far as they can be read.
pub fn order(file: File<'_>) -> OrderTally {
    careful::order(file)
}

/// Checks the header alone; whether it gave no finding.
fn header(cursor: Cursor<'_>, sink: &mut Sink<'_>) -> bool {
    let mut fine = true;
    let mut report = |finding: Finding| {
        fine = false;
        sink(finding);
    };
    let Some(header) = Header::decode(cursor) else {
        let message = if cursor.is_empty() {
            "a file of zero bytes: Cyrus takes it for a new, empty database"
        } else {
            "the file ends inside the header"
        };
        report(Finding::new(&rules::HEADER_CUT, Span::at(0, cursor.len()), message).values(HEADER_LEN, cursor.len()));
        return fine;
    };
    if !Header::magic_is_right(cursor) {
        report(Finding::new(&rules::MAGIC, Header::MAGIC, "the magic is wrong: Cyrus refuses the file"));
    }
    if header.version != VERSION {
        let finding = Finding::new(&rules::VERSION, Header::VERSION, "the version is unknown: Cyrus refuses the file");
        report(finding.values(VERSION, header.version));
    }
    let computed = Header::computed_crc(cursor).unwrap_or_default();
    if header.crc != computed {
        let finding =
            Finding::new(&rules::HEADER_CRC, Header::CRC, "the header's crc is wrong: Cyrus refuses the file");
        report(finding.values(hex(computed), hex(header.crc)));
    }
    fields(cursor, &header, &mut report);
    fine
}

/// Checks what the header's fields say.
fn fields(cursor: Cursor<'_>, header: &Header, report: &mut dyn FnMut(Finding)) {
    if header.flags & !super::layout::DIRTY != 0 {
        report(Finding::new(&rules::FLAGS, Header::FLAGS, "unknown flags are set").values("0", hex(header.flags)));
    }
    if header.flags & super::layout::DIRTY != 0 {
        let message = "DIRTY is set: a transaction or a recovery was cut short";
        report(Finding::new(&rules::DIRTY, Header::FLAGS, message).values("0", hex(header.flags)));
    }
    if header.generation == 0 {
        report(Finding::new(&rules::GENERATION, Header::GENERATION, "the generation is 0").values("1 or more", 0));
    }
    let size = header.current_size;
    if size < FIRST_OFFSET || !size.is_multiple_of(super::layout::ALIGN) {
        let finding = Finding::new(&rules::CURRENT_SIZE, Header::CURRENT_SIZE, "current_size is not a possible size");
        report(finding.values("a multiple of 8, at least 336", size));
    } else if size > cursor.len() {
        let message = format!("{} bytes are missing at the end of the file", size - cursor.len());
        report(Finding::new(&rules::FILE_SHORT, Header::CURRENT_SIZE, message).values(size, cursor.len()));
    }
    let repack = header.repack_size;
    if repack < FIRST_OFFSET || repack > size || !repack.is_multiple_of(super::layout::ALIGN) {
        let finding = Finding::new(&rules::REPACK_SIZE, Header::REPACK_SIZE, "repack_size is not a possible size");
        report(finding.values(format!("a multiple of 8 from 336 to {size}"), repack));
    }
}

/// What is worth knowing of a file that may be sound.
fn notes(cursor: Cursor<'_>, header: &Header, totals: &Totals, sink: &mut Sink<'_>) {
    if let (Some(misfit), true) = (totals.tally.misfit(KeyOrder::Unsigned), totals.tally.fits(KeyOrder::Mbox)) {
        let message = "keys are sorted by the mbox comparator: Cyrus 3.6 and later misses keys of this file";
        let finding = Finding::new(&rules::MBOX_ORDER, Span::at(misfit.second, 8), message);
        sink(finding.via("the record in front of it", misfit.first));
    }
    if believed_header(cursor).is_none() {
        return;
    }
    let size = header.current_size;
    if header.generation == 1 && header.repack_size == FIRST_OFFSET && size > 2 * MIN_REPACK {
        let message = "generation 1 and never repacked in spite of its size: a conversion, or Cyrus' second recovery";
        sink(Finding::new(&rules::RESCUED, Header::GENERATION, message));
    }
    let dead = size.min(cursor.len()).saturating_sub(totals.live_bytes).saturating_sub(FIRST_OFFSET);
    if dead > MUCH_DEAD && dead > totals.live_bytes.saturating_mul(4) {
        let message = format!("{dead} of {size} bytes are not of live records: it is long since the last repack");
        sink(Finding::new(&rules::NEVER_REPACKED, Header::REPACK_SIZE, message));
    }
}

fn hex(number: u32) -> String {
    format!("0x{number:08X}")
}

/// Whether nothing but BLANKs stands from `start` to `end`.
fn only_blanks(cursor: Cursor<'_>, start: u64, end: u64) -> bool {
    (start..end).step_by(8).all(|at| is_blank(cursor, at))
}

#[cfg(test)]
mod tests;
