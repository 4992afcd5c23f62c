//! The flat room on genuine files of twelve releases.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::dumped;
use coroner_formats::container::flat::Flat;
use coroner_formats::container::{Carved, Confidence, CyrusOutcome, Database, Depth, KeyOrder, Record};
use coroner_formats::finding::{Finding, Severity};
use coroner_formats::tile::Kind;

fn is_flat_db(path: &Path) -> bool {
    path.to_string_lossy().ends_with("flat.db")
}

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    Flat::new(bytes).verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

fn walked(bytes: &[u8], parts: usize) -> Vec<Record<'_>> {
    let flat = Flat::new(bytes);
    let view = flat.view(KeyOrder::Mbox, parts);
    let mut records = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            records.push(record);
            true
        });
    }
    records
}

fn kept<'a>(carved: &Carved<'a>) -> Vec<Record<'a>> {
    carved.kept.iter().map(|kept| kept.record.clone()).collect()
}

#[test]
fn the_view_of_a_healthy_file_is_what_its_cyrus_shows() {
    let mut compared = 0;
    for path in common::files("", is_flat_db) {
        let bytes = fs::read(&path).unwrap();
        let shown = path.with_extension("show.txt");
        if shown.exists() {
            assert_eq!(dumped(&walked(&bytes, 1)), fs::read(shown).unwrap(), "{path:?}");
            compared += 1;
        }
    }
    assert!(compared >= 40, "{compared}");
}

#[test]
fn healthy_files_have_no_finding_that_weighs() {
    for path in common::files("", is_flat_db) {
        let bytes = fs::read(&path).unwrap();
        let found = findings(&bytes);
        assert!(found.iter().all(|finding| finding.severity() == Severity::Note), "{path:?}: {found:?}");
        let carved = Flat::new(&bytes).carve(KeyOrder::Mbox);
        assert!(carved.lost.is_empty(), "{path:?}: {:?}", carved.lost);
        assert!(carved.kept.iter().all(|kept| kept.confidence == Confidence::Verified), "{path:?}");
        assert_eq!(dumped(&kept(&carved)), dumped(&walked(&bytes, 1)), "{path:?}");
        assert!(Flat::new(&bytes).order().fits(KeyOrder::Mbox), "{path:?}");
    }
}

#[test]
fn every_record_is_found_by_its_key_and_by_its_prefixes() {
    for path in common::files("", is_flat_db) {
        let bytes = fs::read(&path).unwrap();
        let flat = Flat::new(&bytes);
        let view = flat.view(KeyOrder::Mbox, 1);
        let all = walked(&bytes, 1);
        let step = (all.len() / 100).max(1);
        for record in all.iter().step_by(step) {
            assert_eq!(view.get(&record.key).as_ref(), Some(record), "{path:?}");
            let prefix = &record.key[..record.key.len() / 2];
            let mut found = Vec::new();
            view.prefix(prefix, &mut |record| {
                found.push(record);
                true
            });
            let wanted: Vec<_> = all.iter().filter(|record| record.key.starts_with(prefix)).cloned().collect();
            assert_eq!(found, wanted, "{path:?} {prefix:?}");
            let mut longer = record.key.to_vec();
            longer.extend(b"\x01nothing");
            assert_eq!(view.get(&longer), None);
        }
    }
}

#[test]
fn parts_together_are_the_whole_list() {
    let path = common::corpus().join("cyrus-3.6.1/big/master.flat.db");
    let bytes = fs::read(path).unwrap();
    let all = walked(&bytes, 1);
    assert_eq!(all.len(), 5000);
    for parts in [2, 3, 7, 64, 100_000] {
        assert_eq!(walked(&bytes, parts), all);
    }
    assert!(Flat::new(&bytes).view(KeyOrder::Mbox, 7).parts() == 7);
}

/// The damaged files; some are the good one beside a damaged companion.
fn damaged() -> Vec<PathBuf> {
    common::files("", |path| path.to_string_lossy().contains("damaged/flat/") && path.ends_with("before.db"))
}

/// Cases whose `before.db` itself is whole: the engine replaces the file by rename, so that a writer that was killed,
/// that aborted or that was cut short damages at most the `.NEW` file beside it.
const WHOLE: [&str; 5] =
    ["aborted", "committed-then-killed", "dbtool-damage", "killed-in-transaction", "torn-new-file"];

fn is_whole(path: &Path) -> bool {
    path.parent().and_then(Path::file_name).is_some_and(|case| WHOLE.iter().any(|whole| case == *whole))
}

#[test]
fn damaged_files_are_never_called_clean() {
    let cases = damaged();
    assert_eq!(cases.len(), 30);
    assert_eq!(cases.iter().filter(|path| is_whole(path)).count(), WHOLE.len());
    for path in cases {
        let bytes = fs::read(&path).unwrap();
        let bad = findings(&bytes).iter().any(|finding| finding.severity() > Severity::Note);
        assert_eq!(bad, !is_whole(&path), "{path:?}");
    }
}

#[test]
fn cyrus_reads_of_damaged_files_what_it_is_said_to() {
    for path in damaged() {
        let bytes = fs::read(&path).unwrap();
        let shown = fs::read(path.with_file_name("show.txt")).unwrap();
        let CyrusOutcome::Opens(mut records) = Flat::new(&bytes).as_cyrus(KeyOrder::Mbox) else {
            panic!("{path:?}: Cyrus opens any flat file");
        };
        records.sort_by_key(|record| record.span);
        assert_eq!(dumped(&records), shown, "{path:?}");
    }
}

#[test]
fn carving_keeps_what_cyrus_reads_and_more() {
    for path in damaged() {
        let bytes = fs::read(&path).unwrap();
        let carved = Flat::new(&bytes).carve(KeyOrder::Mbox);
        let CyrusOutcome::Opens(read) = Flat::new(&bytes).as_cyrus(KeyOrder::Mbox) else { unreachable!() };
        for record in
            read.iter().filter(|record| !read.iter().any(|other| other.span > record.span && other.key == record.key))
        {
            // A line without TAB makes Cyrus read it as part of the next key, and CR as part of the value.
            let key = record.key.rsplit(|&b| b == b'\n').next().unwrap();
            let found = carved.kept.iter().find(|kept| kept.record.key.as_ref() == key);
            let found = found.unwrap_or_else(|| panic!("{path:?}: {:?}", String::from_utf8_lossy(key)));
            assert_eq!(
                found.record.value.as_ref(),
                record.value.strip_suffix(b"\r").unwrap_or(&record.value),
                "{path:?}"
            );
        }
        for pair in carved.kept.windows(2) {
            assert!(KeyOrder::Mbox.compare(&pair[0].record.key, &pair[1].record.key).is_lt(), "{path:?}");
        }
    }
}

/// The records of the undamaged file that a damaged one was made from.
fn original(path: &Path) -> Vec<u8> {
    let release = path.ancestors().find(|p| p.file_name().unwrap().to_string_lossy().starts_with("cyrus-")).unwrap();
    let murder = release.join("murder-flat/be1.flat.db");
    let wanted = if release.ends_with("cyrus-3.6.1") { murder } else { release.join("undump/all.flat.db") };
    fs::read(wanted).unwrap()
}

#[test]
fn carving_loses_only_lines_that_are_hit() {
    let whole_lines = |bytes: &[u8]| bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    for path in damaged() {
        let bytes = fs::read(&path).unwrap();
        let original = original(&path);
        let known = whole_lines(&original);
        let present = whole_lines(&bytes);
        let carved = Flat::new(&bytes).carve(KeyOrder::Mbox);
        let lines: Vec<_> = kept(&carved).iter().map(|record| dumped(std::slice::from_ref(record))).collect();
        for line in known.iter().filter(|line| present.contains(line)) {
            let key = line.split(|&b| b == b'\t').next().unwrap();
            let kept = carved.kept.iter().find(|kept| kept.record.key.as_ref() == key);
            let kept = kept.unwrap_or_else(|| panic!("{path:?}: {} is lost", String::from_utf8_lossy(line)));
            assert!(lines.contains(line) || kept.confidence == Confidence::MaybeStale, "{path:?}");
        }
        let invented: Vec<_> = lines.iter().filter(|line| !known.contains(line) && !present.contains(line)).collect();
        assert!(invented.is_empty() || path.to_string_lossy().contains("crlf"), "{path:?}: {invented:?}");
    }
}

#[test]
fn a_line_whose_tab_became_a_blank_is_mended() {
    let path = common::corpus().join("cyrus-3.6.1/damaged/flat/no-tab/before.db");
    let carved_bytes = fs::read(&path).unwrap();
    let carved = Flat::new(&carved_bytes).carve(KeyOrder::Mbox);
    assert_eq!(dumped(&kept(&carved)), original(&path));
    let doubtful = carved.kept.iter().filter(|kept| kept.confidence != Confidence::Verified).count();
    assert_eq!(doubtful, 1);
}

#[test]
fn lines_with_cr_are_read_without() {
    let path = common::corpus().join("cyrus-3.6.1/damaged/flat/crlf/before.db");
    let bytes = fs::read(&path).unwrap();
    assert_eq!(dumped(&kept(&Flat::new(&bytes).carve(KeyOrder::Mbox))), original(&path));
}

#[test]
fn carving_knows_what_borders_a_loss() {
    let bytes = b"user.a\t0 default \nuser.b\t0 def\0\0\0\0\0\0\0\0rest\nuser.d\t0 default \n";
    let carved = Flat::new(bytes).carve(KeyOrder::Mbox);
    assert_eq!(dumped(&kept(&carved)), b"user.a\t0 default \nuser.d\t0 default \n");
    let [lost] = &carved.lost[..] else { panic!("{:?}", carved.lost) };
    assert_eq!((lost.span.start, lost.span.end), (18, 43));
    assert_eq!(lost.before.as_deref(), Some(&b"user.a"[..]));
    assert_eq!(lost.after.as_deref(), Some(&b"user.d"[..]));
}

#[test]
fn a_whole_line_behind_zeros_is_kept_if_it_stands_in_its_place() {
    let bytes = b"user.a\t0 default \n\0\0\0\0\0\0\0\0user.c\t0 default \nuser.d\t0 default \n";
    let carved = Flat::new(bytes).carve(KeyOrder::Mbox);
    assert_eq!(dumped(&kept(&carved)), b"user.a\t0 default \nuser.c\t0 default \nuser.d\t0 default \n");
    assert_eq!(carved.kept[1].confidence, Confidence::Unverified);
    let bytes = b"user.a\t0 default \n\0\0\0\0\0\0\0\0ser.c\t0 default \nuser.d\t0 default \n";
    assert_eq!(Flat::new(bytes).carve(KeyOrder::Mbox).kept.len(), 2);
}

#[test]
fn glued_lines_are_parted_where_that_is_certain() {
    for glued in [
        &b"user.a\t%(T e P default)user.b\t%(T e P p2)\nuser.c\t%(T e)\n"[..],
        b"user.a\t%(T e P default)*user.b\t%(T e P p2)\nuser.c\t%(T e)\n",
    ] {
        let carved = Flat::new(glued).carve(KeyOrder::Mbox);
        assert_eq!(dumped(&kept(&carved)), b"user.a\t%(T e P default)\nuser.b\t%(T e P p2)\nuser.c\t%(T e)\n");
    }
    let raw = b"user.a\t0 default a\tlrs\tuser.b\t0 p2 b\tlrs\t\nuser.c\t0 default \n";
    let carved = Flat::new(raw).carve(KeyOrder::Mbox);
    assert_eq!(dumped(&kept(&carved)), b"user.a\t0 default a\tlrs\t\nuser.b\t0 p2 b\tlrs\t\nuser.c\t0 default \n");
    let torn = b"user.a\t%(T e P defuser.b\t%(T e P p2)\nuser.c\t%(T e)\n";
    let carved = Flat::new(torn).carve(KeyOrder::Mbox);
    assert_eq!(dumped(&kept(&carved)), b"user.c\t%(T e)\n");
}

#[test]
fn a_dlist_with_a_raw_lf_is_joined() {
    let bytes = b"user.a\t%(T e A %(\"x\ny\" lrs))\nuser.b\t%(T e)\n";
    let carved = Flat::new(bytes).carve(KeyOrder::Mbox);
    assert_eq!(carved.kept[0].record.value.as_ref(), b"%(T e A %(\"x\ny\" lrs))");
    assert!(carved.lost.is_empty());
}

#[test]
fn of_two_lines_with_one_key_the_later_is_kept_as_doubtful() {
    let bytes = b"user.b\t0 p1 \nuser.a\t0 default \nuser.b\t0 p2 \n";
    let carved = Flat::new(bytes).carve(KeyOrder::Signed);
    assert_eq!(dumped(&kept(&carved)), b"user.a\t0 default \nuser.b\t0 p2 \n");
    assert_eq!(carved.kept[1].confidence, Confidence::MaybeStale);
}

#[test]
fn escaped_keys_and_values_are_unescaped() {
    let bytes = b"a\xFF\x89b\tx\xFF\x89y\xFF\x8Az\n";
    let records = walked(bytes, 1);
    assert_eq!((records[0].key.as_ref(), records[0].value.as_ref()), (&b"a\tb"[..], &b"x\ty\nz"[..]));
    let flat = Flat::new(bytes);
    assert_eq!(flat.view(KeyOrder::Mbox, 1).get(b"a\tb").as_ref(), Some(&records[0]));
}

#[test]
fn tiles_cover_every_file_and_label_its_lines() {
    for path in common::files("", |path| is_flat_db(path) || path.to_string_lossy().contains("damaged/flat/")) {
        let bytes = fs::read(&path).unwrap();
        common::assert_tiled(&Flat::new(&bytes), bytes.len());
    }
    let bytes = b"user.a\t0 default \nuser.b\t0 def\0\0\0rest\nnothing\nuser.d\t0 de";
    let flat = Flat::new(bytes);
    let kinds: Vec<_> = flat.tiles().map(|tile| tile.kind).collect();
    assert_eq!(kinds, [Kind::Record, Kind::Torn, Kind::Zeros, Kind::Gap, Kind::Gap, Kind::Torn]);
}

#[test]
fn no_truncation_and_no_byte_makes_it_stumble() {
    let small = common::corpus().join("cyrus-2.4.22/undump/all.flat.db");
    let whole = fs::read(small).unwrap();
    let other = b"Nuser\x1Fa\t%(T e A %(\"b c\" lrs))\nuser.b\t1 be1!default b\xFF\x89lrs\xFF\x89\n\0\0x\ty\r\nz\nq";
    for bytes in [&whole[..700.min(whole.len())], other] {
        common::maul(bytes, |mauled| common::exercise(&Flat::new(mauled), mauled.len()));
    }
}

/// Random numbers that are the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// One damage of the kinds that disks and copies do.
fn damage(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let (at, len) = (dice.below(bytes.len()), 40 + dice.below(600));
    let end = (at + len).min(bytes.len());
    match dice.below(4) {
        0 => bytes[..at].to_vec(),
        1 => [&bytes[..at], &vec![0; end - at], &bytes[end..]].concat(),
        2 => {
            let garbage: Vec<u8> = (0..len).map(|_| dice.below(256) as u8).collect();
            [&bytes[..at], &garbage, &bytes[at..]].concat()
        }
        _ => {
            let garbage: Vec<u8> = (at..end).map(|_| dice.below(256) as u8).collect();
            [&bytes[..at], &garbage, &bytes[end..]].concat()
        }
    }
}

#[test]
fn carving_keeps_every_whole_line_and_proves_none_that_was_not_written() {
    for name in ["cyrus-3.6.1/murder-flat/be1.flat.db", "cyrus-2.4.22/murder-flat/be1.flat.db"] {
        let whole = fs::read(common::corpus().join(name)).unwrap();
        let lines: Vec<&[u8]> = whole.split_inclusive(|&b| b == b'\n').collect();
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for round in 0..3000 {
            let bytes = damage(&whole, &mut dice);
            let carved = Flat::new(&bytes).carve(KeyOrder::Mbox);
            let kept: Vec<Vec<u8>> = kept(&carved).iter().map(|record| dumped(std::slice::from_ref(record))).collect();
            let present: std::collections::BTreeSet<&[u8]> = bytes.split_inclusive(|&b| b == b'\n').collect();
            for line in lines.iter().filter(|line| present.contains(**line)) {
                let text = String::from_utf8_lossy(line);
                assert!(kept.iter().any(|kept| kept == line), "{name} round {round}: {text} is lost");
            }
            for (line, kept) in kept.iter().zip(&carved.kept) {
                let proven = kept.confidence == Confidence::Verified;
                let text = String::from_utf8_lossy(line);
                assert!(lines.contains(&&line[..]) || !proven, "{name} round {round}: {text:?} was never written");
            }
        }
    }
}

#[test]
fn lines_are_held_against_each_other_across_the_parts_of_a_large_file() {
    let line = |at: usize| format!("user.u{at:06}\t%(T e P default A %(u{at:06} lrswipkxtecdan))\n");
    let lines: Vec<String> = (0..60_000).map(line).collect();
    let sound = lines.concat().into_bytes();
    assert!(sound.len() > 3 << 20);
    assert_eq!(findings(&sound), []);
    let len = lines[0].len();
    for border in [1 << 20, 2 << 20, 3 << 20] {
        // The line that a part begins with, its neighbours, and a key that is too small, the same, or no key.
        let first = usize::div_ceil(border, len);
        for at in [first - 1, first, first + 1] {
            for (key, code) in [(b"user.u000000".to_vec(), "order"), (sound[(at - 1) * len..][..12].to_vec(), "same")] {
                let mut bytes = sound.clone();
                bytes[at * len..][..12].copy_from_slice(&key);
                let found = findings(&bytes);
                assert!(!found.is_empty(), "{code} at line {at}");
                let number = format!("line {}:", at + 1);
                assert!(found.iter().any(|finding| finding.message.starts_with(&number)), "{code}: {found:?}");
            }
        }
    }
    // Raw TABs in one part, escaped ones in another.
    let mut mixed = sound.clone();
    mixed.extend_from_slice(b"user.v\t0 default anyone\tlrs\t\n");
    assert_eq!(findings(&mixed), []);
    mixed.splice(0..0, *b"user.a\t0 default anyone\xFF\x89lrs\xFF\x89\n");
    assert_ne!(findings(&mixed), []);
}
