//! No length that a damaged file claims is believed: memory stays within a small multiple of the file.

mod common;

use coroner_formats::container::{Database, Depth, KeyOrder, open};
use peak_alloc::PeakAlloc;

use common::Genuine;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that may be held at once for a file of `len` bytes: records of a few bytes each weigh ten times that in an index.
fn allowance(len: usize) -> usize {
    65_536 + 48 * len
}

fn through_every_door(db: &dyn Database<'_>) {
    db.tiles().for_each(drop);
    db.verify(Depth::Full, &mut drop);
    for order in [KeyOrder::Signed, KeyOrder::Mbox] {
        let view = db.view(order, 2);
        (0..view.parts()).for_each(|part| view.walk(part, &mut |_| true));
        view.prefix(b"user.", &mut |_| true);
        drop(view);
        drop(db.carve(order));
        db.log(order).for_each(drop);
        drop(db.at(1, order));
        drop(db.as_cyrus(order));
    }
    drop((db.facts(), db.order(), db.transactions()));
}

// One test only: the allocator counts for the whole process.
#[test]
fn memory_stays_within_a_small_multiple_of_the_file() {
    let mut worst = (0.0, String::new());
    for (number, Genuine { name, bytes, format }) in common::genuine(65_536).into_iter().enumerate() {
        let mut damaged = bytes.clone();
        // Other offsets in each file: releases write much the same files.
        let stride = (bytes.len() / 12).max(1) | 1;
        for offset in (number % stride..bytes.len()).step_by(stride) {
            let old = damaged.get(offset).copied().unwrap_or_default();
            for new in [!old, 0x7F] {
                if let Some(byte) = damaged.get_mut(offset) {
                    *byte = new;
                }
                MEMORY.reset_peak_usage();
                let before = MEMORY.current_usage();
                let db = open(&damaged, format);
                through_every_door(&*db);
                drop(db);
                let peak = MEMORY.peak_usage().saturating_sub(before);
                assert!(peak <= allowance(bytes.len()), "{name}: {peak} bytes held, byte {offset} being {new:#x}");
                let ratio = peak as f64 / bytes.len() as f64;
                if bytes.len() > 4096 && ratio > worst.0 {
                    worst = (ratio, format!("{name} with byte {offset} {new:#x}"));
                }
            }
            if let Some(byte) = damaged.get_mut(offset) {
                *byte = old;
            }
        }
    }
    println!("at most {:.1} times the file: {}", worst.0, worst.1);
}
