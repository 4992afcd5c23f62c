//! Every requirement of the skiplist room's FORMAT.md, broken once.

#[path = "common/skiplist_sample.rs"]
mod sample;

use std::collections::BTreeSet;

use coroner_formats::container::Database;
use coroner_formats::container::Depth;
use coroner_formats::container::skiplist::{Db, rules};
use coroner_formats::finding::{Finding, Severity};
use coroner_formats::image::Span;

use sample::{ADD, CURLEVEL, INORDER, LAST_RECOVERY, LISTSIZE, LOGSTART, MAXLEVEL, Sample, VERSION, VERSION_MINOR};

fn findings(bytes: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    Db::new(bytes).verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

/// `verify` names `code` at exactly this range, and a damaged file is not called clean.
fn assert_finds(bytes: &[u8], code: &str, start: usize, end: usize) {
    let found = findings(bytes);
    let span = Span::new(start as u64, end as u64);
    assert!(found.iter().any(|f| f.rule.code == code && f.span == span), "no {code} at {span}: {found:#?}");
}

/// The same of a single changed word.
fn assert_word(sample: &Sample, at: usize, word: u32, code: &str) {
    let mut sample = sample.clone();
    sample.set(at, word);
    assert_finds(&sample.bytes, code, at, at + 4);
}

#[test]
fn samples_are_sound() {
    assert_eq!(findings(&Sample::new().bytes), []);
    assert_eq!(findings(&Sample::packed().bytes), []);
    assert_eq!(findings(&Sample::with_log().bytes), []);
}

#[test]
fn skip_01_magic() {
    let mut sample = Sample::packed();
    sample.bytes[5] = b'X';
    assert_finds(&sample.bytes, "SKIP-1", 0, 20);
    sample.bytes[..48].fill(0);
    assert_finds(&sample.bytes, "SKIP-1", 0, 20);
}

#[test]
fn skip_02_header_cut() {
    for len in [1, 20, 47] {
        assert_finds(&Sample::packed().bytes[..len], "SKIP-2", 0, len);
    }
}

#[test]
fn skip_03_empty_file() {
    assert_finds(&[], "SKIP-3", 0, 0);
}

#[test]
fn skip_04_version() {
    assert_word(&Sample::packed(), VERSION, 2, "SKIP-4");
}

#[test]
fn skip_05_version_minor() {
    assert_word(&Sample::packed(), VERSION_MINOR, 1, "SKIP-5");
}

#[test]
fn skip_06_maxlevel() {
    for level in [0, 21, u32::MAX] {
        assert_word(&Sample::packed(), MAXLEVEL, level, "SKIP-6");
    }
}

#[test]
fn skip_07_curlevel() {
    for level in [0, 21, u32::MAX] {
        assert_word(&Sample::packed(), CURLEVEL, level, "SKIP-7");
    }
}

#[test]
fn skip_08_curlevel_low() {
    assert_word(&Sample::packed(), CURLEVEL, 2, "SKIP-8");
    assert_word(&Sample::with_log(), CURLEVEL, 1, "SKIP-8");
}

#[test]
fn skip_09_listsize() {
    assert_word(&Sample::packed(), LISTSIZE, 5, "SKIP-9");
    let mut sample = Sample::with_log();
    sample.set(LISTSIZE, 5);
    assert_eq!(findings(&sample.bytes), [], "with a log behind it the number says nothing");
}

#[test]
fn skip_10_logstart() {
    let end = Sample::packed().bytes.len() as u32;
    for logstart in [0, 52, 144, end - 4, end + 1, end + 4, u32::MAX] {
        assert_word(&Sample::packed(), LOGSTART, logstart, "SKIP-10");
        assert_word(&Sample::with_log(), LOGSTART, logstart, "SKIP-10");
    }
}

#[test]
fn skip_11_recovery_due() {
    assert_word(&Sample::packed(), LAST_RECOVERY, 0, "SKIP-11");
}

#[test]
fn skip_12_dummy_node() {
    for (at, word) in [(48, 1), (48, 0), (52, 4), (56, 4), (60, u32::MAX), (140, 0), (MAXLEVEL, 19)] {
        let mut sample = Sample::with_log();
        sample.set(at, word);
        assert_finds(&sample.bytes, "SKIP-12", 48, 144);
    }
    assert_finds(&Sample::new().bytes[..100], "SKIP-12", 48, 100);
}

#[test]
fn skip_13_file_size() {
    // A file of holes: nothing of it but the first page is ever kept.
    let file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &file, &Sample::new().bytes).unwrap();
    let len = (1_u64 << 32) + 4096;
    file.set_len(len).unwrap();
    let image = coroner_formats::image::Image::open(&file).unwrap();
    let mut found = Vec::new();
    Db::new(&image).verify(Depth::Header, &mut |finding| found.push(finding));
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!((finding.rule.code, finding.span), ("SKIP-13", Span::new(u64::from(u32::MAX), len)));
}

#[test]
fn skip_14_alignment() {
    let sample = Sample::with_log();
    let len = sample.bytes.len();
    assert_finds(&sample.bytes[..len - 2], "SKIP-14", len - 4, len - 2);
}

#[test]
fn skip_15_zeros_inside() {
    let mut sample = Sample::with_log();
    let start = sample.bytes.len();
    sample.words(&[0; 5]);
    sample.delete(sample.find(INORDER, "f"));
    sample.commit();
    sample.link(&[
        sample.find(INORDER, "a"),
        sample.find(INORDER, "b"),
        sample.find(ADD, "c"),
        sample.find(INORDER, "d"),
    ]);
    assert_finds(&sample.bytes, "SKIP-15", start, start + 20);
}

#[test]
fn skip_16_zero_tail() {
    for count in [4, 512] {
        for mut sample in [Sample::packed(), Sample::with_log()] {
            let start = sample.bytes.len();
            sample.bytes.resize(start + count, 0);
            assert_finds(&sample.bytes, "SKIP-16", start, start + count);
        }
    }
}

#[test]
fn skip_17_torn_record() {
    let mut sample = Sample::with_log();
    let start = sample.node(ADD, "h", "a value that is cut", 1);
    for len in [start + 8, start + 12, start + 18, start + 32] {
        assert_finds(&sample.bytes[..len], "SKIP-17", start, len);
    }
}

#[test]
fn skip_18_uncommitted() {
    let mut sample = Sample::with_log();
    let start = sample.delete(sample.find(INORDER, "f"));
    sample.node(ADD, "h", "", 1);
    assert_finds(&sample.bytes, "SKIP-18", start, sample.bytes.len());
}

#[test]
fn skip_19_garbage() {
    let mut sample = Sample::with_log();
    let at = sample.find(ADD, "c");
    sample.set(at, 77);
    assert_finds(&sample.bytes, "SKIP-19", at, sample.end(at));
}

#[test]
fn skip_20_unterminated_record() {
    let sample = Sample::packed();
    let at = sample.find(INORDER, "b");
    let next = sample.end(at);
    let mut sample = sample;
    sample.set(next - 4, 0);
    let longer = (0..20).fold(sample.clone(), |mut longer, _| {
        longer.words(&[0]);
        longer
    });
    assert_finds(&longer.bytes, "SKIP-20", at, next);
    // Too many levels: 21 pointers in front of a terminator.
    let mut sample = Sample::with_log();
    let start = sample.node(ADD, "h", "", 21);
    sample.commit();
    assert_finds(&sample.bytes, "SKIP-20", start, sample.bytes.len() - 4);
}

#[test]
fn skip_21_record_length() {
    let sample = Sample::packed();
    let at = sample.find(INORDER, "b");
    let end = sample.end(at);
    for (word, len) in [(4, 0x4000_0000), (12, 0x4000_0000), (4, u32::MAX), (12, 40)] {
        let mut sample = sample.clone();
        sample.set(at + word, len);
        assert_finds(&sample.bytes, "SKIP-21", at, end);
    }
}

#[test]
fn skip_22_empty_key() {
    let mut sample = Sample::with_log();
    let at = sample.node(ADD, "", "value", 1);
    sample.commit();
    assert_finds(&sample.bytes, "SKIP-22", at, sample.end(at));
}

#[test]
fn skip_23_fill() {
    let sample = Sample::packed();
    let at = sample.find(INORDER, "b");
    for fill in [at + 9, at + 11, at + 19] {
        let mut sample = sample.clone();
        sample.bytes[fill] = 1;
        assert_finds(&sample.bytes, "SKIP-23", at, sample.pointer(at, 0));
    }
}

#[test]
fn skip_24_inorder_in_log() {
    let mut sample = Sample::with_log();
    let at = sample.node(INORDER, "h", "", 1);
    sample.commit();
    assert_finds(&sample.bytes, "SKIP-24", at, sample.end(at));
}

#[test]
fn skip_25_pointer_target() {
    let sample = Sample::packed();
    let b = sample.find(INORDER, "b");
    for target in [48, b as u32 + 4, b as u32 + 1, 0x0800_0000, 0xFFFF_FFF0] {
        assert_word(&sample, sample.pointer(b, 0), target, "SKIP-25");
        assert_word(&sample, 60, target, "SKIP-25");
    }
}

#[test]
fn skip_26_pointer_level() {
    let sample = Sample::packed();
    let (b, c) = (sample.find(INORDER, "b"), sample.find(INORDER, "c"));
    assert_word(&sample, sample.pointer(b, 1), c as u32, "SKIP-26");
}

#[test]
fn skip_27_key_order() {
    let mut sample = Sample::with_log();
    let d = sample.find(INORDER, "d");
    sample.set(d + 8, u32::from(b'x') << 24);
    let f = sample.find(INORDER, "f");
    assert_finds(&sample.bytes, "SKIP-27", f, sample.end(f));
    // Two keys alike.
    sample.set(d + 8, u32::from(b'c') << 24);
    assert_finds(&sample.bytes, "SKIP-27", d, sample.end(d));
}

#[test]
fn skip_28_pointer_skips() {
    let sample = Sample::packed();
    let (b, f) = (sample.find(INORDER, "b"), sample.find(INORDER, "f"));
    assert_word(&sample, sample.pointer(b, 1), f as u32, "SKIP-28");
    assert_word(&sample, sample.pointer(b, 1), 0, "SKIP-28");
    assert_word(&sample, 64, f as u32, "SKIP-28");
}

#[test]
fn skip_29_pointer_backwards() {
    let sample = Sample::packed();
    let (b, c, d) = (sample.find(INORDER, "b"), sample.find(INORDER, "c"), sample.find(INORDER, "d"));
    assert_word(&sample, sample.pointer(c, 0), b as u32, "SKIP-29");
    assert_word(&sample, sample.pointer(d, 0), d as u32, "SKIP-29");
    assert_word(&sample, sample.pointer(d, 1), b as u32, "SKIP-29");
}

#[test]
fn skip_30_unreachable() {
    let sample = Sample::packed();
    let (b, d) = (sample.find(INORDER, "b"), sample.find(INORDER, "d"));
    assert_word(&sample, sample.pointer(b, 0), d as u32, "SKIP-30");
    assert_word(&sample, sample.pointer(b, 0), 0, "SKIP-30");
    assert_word(&sample, 60, 0, "SKIP-30");
}

#[test]
fn skip_31_dead_linked() {
    let sample = Sample::with_log();
    let (b, old, d, e) =
        (sample.find(INORDER, "b"), sample.find(INORDER, "c"), sample.find(INORDER, "d"), sample.find(INORDER, "e"));
    assert_word(&sample, sample.pointer(b, 0), old as u32, "SKIP-31");
    assert_word(&sample, sample.pointer(d, 0), e as u32, "SKIP-31");
}

#[test]
fn skip_32_uncommitted_linked() {
    let mut sample = Sample::with_log();
    let new = sample.node(ADD, "h", "", 1);
    let f = sample.find(INORDER, "f");
    assert_word(&sample, sample.pointer(f, 0), new as u32, "SKIP-32");
}

#[test]
fn skip_33_delete_target() {
    let sample = Sample::with_log();
    let at = sample.bytes.len() - 12;
    for target in [0, 48, 146, 148, at as u32, at as u32 + 8, 0x7FFF_FFF0, u32::MAX] {
        let mut sample = sample.clone();
        sample.set(at + 4, target);
        assert_finds(&sample.bytes, "SKIP-33", at, at + 8);
    }
}

#[test]
fn skip_34_delete_dead() {
    let mut sample = Sample::with_log();
    let twice = sample.delete(sample.find(INORDER, "e"));
    let replaced = sample.delete(sample.find(INORDER, "c"));
    sample.commit();
    assert_finds(&sample.bytes, "SKIP-34", twice, twice + 8);
    assert_finds(&sample.bytes, "SKIP-34", replaced, replaced + 8);
}

#[test]
fn skip_35_add_live() {
    // The older one wins the list.
    let mut sample = Sample::with_log();
    let at = sample.node(ADD, "d", "again", 1);
    sample.commit();
    assert_finds(&sample.bytes, "SKIP-35", at, sample.end(at));
    // Nothing of it is left at the end: it was added beside the live one and deleted again.
    sample.delete(at);
    sample.commit();
    assert_finds(&sample.bytes, "SKIP-35", at, sample.end(at));
    // The older one is deleted later.
    let mut sample = Sample::with_log();
    let nodes = ["a", "b", "c"].map(|key| sample.find(if key == "c" { ADD } else { INORDER }, key));
    let (d, f) = (sample.find(INORDER, "d"), sample.find(INORDER, "f"));
    let at = sample.node(ADD, "d", "again", 3);
    sample.commit();
    sample.delete(d);
    sample.commit();
    sample.link(&[&nodes[..], &[at, f]].concat());
    assert_finds(&sample.bytes, "SKIP-35", at, sample.end(at));
}

#[test]
fn skip_36_inorder_order() {
    // The deleted record's key alone: no pointer leads there any more.
    let mut sample = Sample::with_log();
    let e = sample.find(INORDER, "e");
    sample.set(e + 8, u32::from(b'b') << 24);
    assert_finds(&sample.bytes, "SKIP-36", e, sample.end(e));
}

/// Class 1 of the damage catalogue: zeros between two complete transactions.
#[test]
fn damage_01_zeros_between_transactions() {
    skip_15_zeros_inside();
}

/// Class 2: the header's logstart, or other bytes of the header, overwritten.
#[test]
fn damage_02_header_overwritten() {
    let sample = Sample::with_log();
    for at in (0..48).step_by(4).filter(|&at| at != LAST_RECOVERY && at != LISTSIZE) {
        let mut sample = sample.clone();
        sample.set(at, sample.word(at) ^ 0x0101_0101);
        let found = findings(&sample.bytes);
        assert!(found.iter().any(|f| f.severity() > Severity::Note), "word at {at}: {found:?}");
    }
}

/// Class 3: zeros up to the end of the file.
#[test]
fn damage_03_zeros_at_the_end() {
    skip_16_zero_tail();
}

/// Class 4: a tail without COMMIT, wherever the file is cut.
#[test]
fn damage_04_tail_cut() {
    let sample = Sample::with_log();
    let logstart = sample.word(LOGSTART) as usize;
    // Cut here, the file loses a record that was added and deleted again: all that is left agrees.
    let unseen = sample.find(ADD, "g");
    for len in (logstart + 1..sample.bytes.len()).filter(|&len| len != unseen) {
        let found = findings(&sample.bytes[..len]);
        assert!(found.iter().any(|f| f.severity() == Severity::Error), "cut at {len}: {found:?}");
    }
}

/// Class 5: pointers to records beyond the last COMMIT, or to nothing.
#[test]
fn damage_05_pointers_patched_too_early() {
    skip_25_pointer_target();
    skip_32_uncommitted_linked();
}

/// Class 6: a DELETE of what is not live, an ADD of what is.
#[test]
fn damage_06_log_contradicts_itself() {
    skip_34_delete_dead();
    skip_35_add_live();
}

/// Class 7: two half transactions with one COMMIT. As such it reads like one transaction; what shows is both changing a key.
#[test]
fn damage_07_interleaved_transactions() {
    let mut sample = Sample::with_log();
    let d = sample.find(INORDER, "d");
    sample.delete(d);
    let mine = sample.node(ADD, "d", "mine", 3);
    let theirs = sample.delete(d);
    let late = sample.node(ADD, "d", "theirs", 3);
    sample.commit();
    let nodes = [sample.find(INORDER, "a"), sample.find(INORDER, "b"), sample.find(ADD, "c")];
    sample.link(&[&nodes[..], &[late, sample.find(INORDER, "f")]].concat());
    assert_finds(&sample.bytes, "SKIP-34", theirs, theirs + 8);
    assert!(mine < late);
}

/// Class 8: torn pointer pages: any pointer fallen back to an older value.
#[test]
fn damage_08_stale_pointers() {
    let sample = Sample::with_log();
    let logstart = sample.word(LOGSTART) as usize;
    let mut stale = Sample::packed();
    stale.bytes.extend(&sample.bytes[logstart..]);
    let found = findings(&stale.bytes);
    assert!(found.iter().any(|f| f.rule.code == "SKIP-31"), "{found:?}");
    skip_30_unreachable();
}

/// Class 9: a garbage word where a type is expected.
#[test]
fn damage_09_garbage_word() {
    let mut sample = Sample::with_log();
    let at = sample.bytes.len();
    sample.words(&[0xDEAD_BEEF]);
    sample.commit();
    assert_finds(&sample.bytes, "SKIP-19", at, at + 4);
}

/// Class 10: a terminator overwritten.
#[test]
fn damage_10_terminator_missing() {
    for sample in [Sample::packed(), Sample::with_log()] {
        for at in (144..sample.bytes.len()).step_by(4).filter(|&at| sample.word(at) == u32::MAX) {
            for word in [0, 144, 0x7573_6572] {
                let mut sample = sample.clone();
                sample.set(at, word);
                let found = findings(&sample.bytes);
                assert!(found.iter().any(|f| f.severity() == Severity::Error), "{at:#x} = {word:#x}: {found:?}");
            }
        }
    }
}

/// Class 11: keys in the order of two comparators. A file in any one of the three orders is sound.
#[test]
fn damage_11_mixed_orders() {
    let in_order = |keys: [&str; 4]| {
        let mut sample = Sample::new();
        let nodes = keys.map(|key| sample.node(INORDER, key, "", 1));
        sample.link(&nodes);
        sample.checkpoint(4);
        findings(&sample.bytes)
    };
    assert_eq!(in_order(["é", "a", "a b", "a.b"]), [], "signed");
    assert_eq!(in_order(["a", "a b", "a.b", "é"]), [], "unsigned");
    assert_eq!(in_order(["a", "a.b", "a b", "é"]), [], "mbox");
    let found = in_order(["é", "a", "a.b", "a b"]);
    assert!(found.iter().any(|f| f.rule.code == "SKIP-27"), "{found:?}");
}

/// Class 12: a file of zero bytes.
#[test]
fn damage_12_zero_bytes() {
    skip_03_empty_file();
}

/// Class 13: more levels than there can be.
#[test]
fn damage_13_too_many_levels() {
    skip_06_maxlevel();
    skip_20_unterminated_record();
}

/// Class 15: the end of the file is an older copy of another part of it.
#[test]
fn damage_15_stale_blocks() {
    let sample = Sample::with_log();
    let len = sample.bytes.len();
    for block in [16, 32, 64] {
        let mut stale = sample.clone();
        let older = sample.bytes[len - 2 * block..len - block].to_vec();
        stale.bytes[len - block..].copy_from_slice(&older);
        let found = findings(&stale.bytes);
        assert!(found.iter().any(|f| f.severity() == Severity::Error), "{block}: {found:?}");
    }
}

/// Rows of a table of FORMAT.md: their first and third cells.
fn rows(heading: &str) -> Vec<(String, String)> {
    let document = include_str!("../src/container/skiplist/FORMAT.md");
    let section = document.split("\n## ").find(|section| section.starts_with(heading)).expect("the section");
    let cells = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix('|')?.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        Some((cells.next()?, cells.nth(1)?))
    };
    section.lines().filter_map(cells).filter(|(first, _)| !first.starts_with('-')).skip(1).collect()
}

/// Names of this file's test functions that start with `prefix`.
fn tests(prefix: &str) -> BTreeSet<String> {
    let source = include_str!("skiplist_rules.rs");
    let names = source.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

#[test]
fn document_rules_and_tests_agree() {
    let documented = rows("Requirements");
    let codes: Vec<&str> = rules::ALL.iter().map(|rule| rule.code).collect();
    assert_eq!(documented.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), codes);
    assert_eq!(documented.iter().map(|(_, test)| test.clone()).collect::<BTreeSet<_>>(), tests("skip_"));
    for (number, (rule, (_, test))) in (1..).zip(rules::ALL.iter().zip(&documented)) {
        assert_eq!(rule.code, format!("SKIP-{number}"));
        assert_eq!(*test, format!("skip_{number:02}_{}", rule.name.replace('-', "_")));
    }
}

#[test]
fn damage_classes_and_tests_agree() {
    let classes = rows("Damage");
    let named: BTreeSet<String> = classes.iter().map(|(_, test)| test.clone()).filter(|test| test != "none").collect();
    assert_eq!(named, tests("damage_").into_iter().filter(|name| name != "damage_classes_and_tests_agree").collect());
    assert_eq!(
        classes.iter().map(|(number, _)| number.clone()).collect::<Vec<_>>(),
        (1..=15).map(|n| n.to_string()).collect::<Vec<_>>()
    );
}
