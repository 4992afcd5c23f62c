//! Every genuine file, cut off at every byte and with every byte overwritten: its tiles cover it all the same, and no door
//! panics or hangs.

mod common;
#[allow(dead_code)]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use coroner_formats::container::{Format, detect, open};
use rayon::prelude::*;

use common::Genuine;

/// Tiles must cover `bytes` from 0 to its length without gap or overlap.
fn assert_covered(bytes: &[u8], format: Format, what: impl Fn() -> String) {
    let db = open(bytes, format);
    let mut at = 0;
    for tile in db.tiles() {
        assert!(tile.span.start == at && tile.span.end > at, "{}: tile {} behind {at}", what(), tile.span);
        at = tile.span.end;
    }
    assert_eq!(at, bytes.len() as u64, "{}", what());
}

/// What to overwrite a byte with: its complement, zero and 0xFF in turn, but always another byte.
fn overwriting(offset: usize, old: u8) -> u8 {
    let new = [!old, 0x00, 0xFF].get(offset % 3).copied().unwrap_or_default();
    if new == old { !old } else { new }
}

/// The offsets `0..len` that a file is tried at, in portions, so that one large file keeps all processors busy: all of
/// them; of a damaged copy of a file that is here too, a few, others for each copy.
fn portions(file: &Genuine, len: usize) -> impl ParallelIterator<Item = impl Iterator<Item = usize>> {
    let size = 1024;
    let step = if file.name.contains("/damaged/") { 7 } else { 1 };
    let first = file.name.len() % step;
    (0..len.div_ceil(size)).into_par_iter().map(move |i| (i * size + first..((i + 1) * size).min(len)).step_by(step))
}

/// Whether to try a file at every byte. 2.2.13 to 2.5.17 wrote the same pages with the same library: the larger files of the
/// last stand for those of all.
fn is_swept(file: &Genuine) -> bool {
    let is_like = file.format == Format::Berkeley && file.bytes.len() > 16_384;
    !is_like
        || !["cyrus-2.2.13/", "cyrus-2.3.19/", "cyrus-2.4.22/"].iter().any(|release| file.name.starts_with(release))
}

fn sweep_tiles(file: &Genuine) {
    let Genuine { name, bytes, format } = file;
    portions(file, bytes.len() + 1).for_each(|portion| {
        for len in portion {
            let cut = bytes.get(..len).expect("a length within the file");
            assert_covered(cut, *format, || format!("{name} cut off at {len}"));
        }
    });
    portions(file, bytes.len()).for_each(|portion| {
        let mut bytes = bytes.clone();
        for offset in portion {
            let byte = bytes.get_mut(offset).expect("an offset within the file");
            let old = *byte;
            *byte = overwriting(offset, old);
            assert_covered(&bytes, *format, || format!("{name} with byte {offset} overwritten"));
            if let Some(byte) = bytes.get_mut(offset) {
                *byte = old;
            }
        }
    });
}

#[test]
fn tiles_cover_every_file_cut_off_or_overwritten_anywhere() {
    let files = common::genuine(65_536);
    let databases = [Format::Skiplist, Format::Twoskip, Format::Twom, Format::Flat];
    let read_only = [Format::Zeroskip, Format::Berkeley, Format::Lmdb, Format::Sql];
    let dumps = [Format::Show, Format::Json, Format::Text];
    for format in databases.into_iter().chain(read_only).chain(dumps) {
        assert!(files.iter().any(|file| file.format == format), "no {format} in the corpus");
    }
    files.par_iter().filter(|file| is_swept(file)).for_each(sweep_tiles);
    println!("{} files, {} bytes", files.len(), files.iter().map(|file| file.bytes.len()).sum::<usize>());
}

/// Bytes of input that each door gets of one file at most.
const DOOR_BUDGET: usize = 1 << 19;

#[test]
fn every_door_withstands_damage_anywhere() {
    let files = common::genuine(65_536);
    files.par_iter().for_each(|Genuine { name, bytes, format }| {
        let doors: Vec<_> = fuzz::TARGETS
            .iter()
            .filter(|(target, _)| target.split('_').next() == Some(format.as_str()) && !target.ends_with("_tiles"))
            .collect();
        // Every offset of a small file; of a larger one as many as the budget allows, a different residue for each file.
        let stride = (bytes.len() * bytes.len()).div_ceil(DOOR_BUDGET).max(1);
        let first = name.len() % stride;
        (first..bytes.len()).into_par_iter().step_by(stride).for_each(|offset| {
            let mut damaged = bytes.clone();
            if let Some(byte) = damaged.get_mut(offset) {
                *byte = overwriting(offset, *byte);
            }
            for (_, door) in &doors {
                door(&damaged);
                door(bytes.get(..offset).unwrap_or_default());
            }
        });
    });
}

#[test]
fn detection_withstands_damage_anywhere() {
    common::genuine(65_536).par_iter().for_each(|Genuine { bytes, .. }| {
        for len in (0..bytes.len().min(512)).chain((0..bytes.len()).step_by(509)) {
            let _ = detect(bytes.get(..len).unwrap_or_default());
        }
    });
}
