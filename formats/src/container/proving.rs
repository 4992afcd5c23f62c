//! Reading a file and finding out whether it is sound in the same pass.

use std::sync::{Mutex, PoisonError};

use super::Record;
use crate::finding::Sink;
use crate::text::json_usual::Usual;

/// Walks the live records of a file in parts, as a [`View`](super::View) does, and verifies it on the way.
///
/// It says no more than whether the file is sound: what is wrong with one that is not, [`verify`](super::Database::verify)
/// tells, and what was walked of it is worth nothing.
pub trait Proving<'a>: Send + Sync {
    /// Number of parts, at least 1.
    fn parts(&self) -> usize;
    /// Walks the records of one part, with what a JSON dump's object says; answers `false` where something is not as it
    /// should be. A visitor that answers `false` ends the walk, and then nothing is proven.
    fn walk(&self, part: usize, visit: &mut dyn FnMut(Record<'a>, Option<Usual<'a>>) -> bool) -> bool;
    /// Whether all parts were walked and make a sound file. If so, tells `sink` all that `verify` would.
    fn is_sound(&self, sink: &mut Sink<'_>) -> bool;
}

/// What was seen of each part.
pub(crate) struct PartsSeen<T>(Mutex<Vec<Option<T>>>);

impl<T> PartsSeen<T> {
    /// Nothing yet, of so many parts.
    pub fn nothing(parts: usize) -> Self {
        PartsSeen(Mutex::new((0..parts).map(|_| None).collect()))
    }

    /// Notes what was seen of a part; whether it is as it should be.
    pub fn note(&self, part: usize, seen: Option<T>) -> bool {
        let sound = seen.is_some();
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = parts.get_mut(part) {
            *place = seen;
        }
        sound
    }

    /// What was seen of all parts, in their order; `None` if one was not seen or is not as it should be. Gives it once.
    pub fn all(&self) -> Option<Vec<T>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::damage;
    use super::super::{Depth, Format, KeyOrder, WriteOptions, flat, open, write};
    use super::*;
    use crate::finding::{Finding, Severity};

    /// What a walk in so many parts reads and tells, if it shows the file to be sound.
    fn proven(bytes: &[u8], format: Format, parts: usize) -> Option<(Vec<Record<'_>>, Vec<Finding>)> {
        let db = open(bytes, format);
        let proving = db.proving(parts)?;
        let (records, mut told) = (Mutex::new(Vec::new()), Vec::new());
        let read = |part| {
            proving.walk(part, &mut |record, _| {
                records.lock().unwrap().push(record);
                true
            })
        };
        let whole = (0..proving.parts()).all(read);
        let sound = proving.is_sound(&mut |finding| told.push(finding));
        assert!(whole || !sound);
        sound.then(|| (records.into_inner().unwrap(), told))
    }

    /// What the view reads, and what verification finds.
    fn verified(bytes: &[u8], format: Format) -> (Vec<Record<'_>>, Vec<Finding>) {
        let (db, mut records, mut findings) = (open(bytes, format), Vec::new(), Vec::new());
        db.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
            records.push(record);
            true
        });
        db.verify(Depth::Structure, &mut |finding| findings.push(finding));
        (records, findings)
    }

    fn check(bytes: &[u8], format: Format, what: &str) -> usize {
        let mut sound = 0;
        for parts in [1, 5] {
            if let Some(proven) = proven(bytes, format, parts) {
                assert!(proven == verified(bytes, format), "{what} in {parts} parts");
                assert!(proven.1.iter().all(|finding| finding.severity() == Severity::Note), "{what}");
                sound += 1;
            }
        }
        sound
    }

    #[test]
    fn what_is_proven_is_what_verification_finds() {
        let records = (0..2000).map(|i| (format!("Nkey {i:08}"), format!("%(T e A %({} l))", "v".repeat(i % 99))));
        for format in [Format::Skiplist, Format::Twoskip, Format::Twom] {
            let options = WriteOptions { order: KeyOrder::Unsigned, time: 1, style: flat::Style::Escaped };
            let mut out = std::io::Cursor::new(Vec::new());
            write(&mut out, format, records.clone(), &options).unwrap();
            let whole = out.into_inner();
            assert_eq!(check(&whole, format, "the whole file"), 2, "{format}");
            for number in 1..300 {
                check(&damage(&whole, number), format, &format!("{format}, damage {number}"));
            }
        }
    }

    #[test]
    fn files_with_a_log_are_proven_too() {
        for (name, format) in [
            ("cyrus-3.6.1/logtail/overwrites.twoskip.db", Format::Twoskip),
            ("cyrus-2.5.17/logtail/ops.twoskip.db", Format::Twoskip),
            ("cyrus-3.13.7/logtail/ops.twom.db", Format::Twom),
        ] {
            let bytes = std::fs::read(format!("{}/../corpus/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            assert_eq!(check(&bytes, format, name), 2, "{name}");
            for at in 0..bytes.len() {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << (at % 8);
                check(&bytes, format, &format!("{name}, byte {at}"));
            }
        }
    }

    #[test]
    fn dumps_are_proven_in_parts() {
        let entry = |i: usize| {
            let fields =
                r#""mtime": "1795435813", "uidvalidity": "14", "mbtype": "e", "partition": "p", "acl": {"a": "l"}"#;
            format!(r#""user.{i:05}": {{"name": "user.{i:05}", {fields}}}"#)
        };
        let entries: Vec<String> = (0..200).map(entry).collect();
        let text = |entries: &[String]| format!("{{\n{}\n}}\n", entries.join(",\n"));
        let sound = text(&entries);
        assert!(verified(sound.as_bytes(), Format::Json).1.is_empty());
        // In one part a pass in order tells as fast.
        assert_eq!(check(sound.as_bytes(), Format::Json, "a dump"), 1);
        let mut swapped = entries.clone();
        swapped.swap(30, 150);
        assert_eq!(check(text(&swapped).as_bytes(), Format::Json, "out of order"), 0);
        let doubled = [&entries[..100], &entries[99..]].concat();
        assert_eq!(check(text(&doubled).as_bytes(), Format::Json, "a name twice"), 0);
        for at in (0..sound.len()).step_by(7) {
            let mut bytes = sound.clone().into_bytes();
            bytes[at] ^= 1;
            check(&bytes, Format::Json, &format!("byte {at}"));
            check(&sound.as_bytes()[..at], Format::Json, &format!("cut at {at}"));
        }
    }
}
