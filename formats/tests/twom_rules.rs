//! Every rule of the twom room finds what it is there for. FORMAT.md, the rules and these tests name the same.

mod twom_maker;

use std::collections::BTreeSet;

use coroner_formats::container::twom::layout::{DUMMY_OFFSET, FIRST_OFFSET, Type};
use coroner_formats::container::twom::{Db, Options, rules, write};
use coroner_formats::container::{Confidence, Database, Depth, KeyOrder};
use coroner_formats::finding::{Finding, Rule, Severity};
use coroner_formats::image::Span;

use twom_maker::{Bytes, Maker, at, example, forty, numbered};

fn findings(file: &Bytes) -> Vec<Finding> {
    let mut found = Vec::new();
    Db::new(&file.0).verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

fn names(file: &Bytes) -> Vec<&'static str> {
    findings(file).iter().map(|finding| finding.rule.name).collect()
}

/// The finding of `rule`, which must be there.
fn broken(file: &Bytes, rule: &Rule) -> Finding {
    let found = findings(file).into_iter().find(|finding| finding.rule == rule);
    found.unwrap_or_else(|| panic!("no {} among {:?}", rule.name, names(file)))
}

/// `rule` and nothing else is broken.
fn only(file: &Bytes, rule: &Rule) -> Finding {
    assert_eq!(names(file), [rule.name]);
    broken(file, rule)
}

fn with(mut file: Bytes, change: impl FnOnce(&mut Bytes)) -> Bytes {
    change(&mut file);
    file
}

/// The example with a change.
fn changed(change: impl FnOnce(&mut Bytes)) -> Bytes {
    with(example().finish(), change)
}

#[test]
fn what_the_tests_break_is_sound_before() {
    for maker in [Maker::new(), example(), forty()] {
        assert_eq!(names(&maker.finish()), Vec::<&str>::new());
    }
}

#[test]
fn the_example_is_the_one_that_the_library_writes() {
    let file = example().finish();
    assert_eq!(file.header().num_records, 1);
    assert_eq!(file.header().dirty_size, 0x78);
    assert_eq!(file.header().current_size, at::END);
    // Sums of the library's own file.
    let sums = [
        (DUMMY_OFFSET, 0x0bab_6d60),
        (at::ALICE, 0x45be_dbb6),
        (0x1A0, 0x3dbd_441d),
        (at::BOB, 0x2fba_0551),
        (at::SECOND_COMMIT, 0x3d88_861b),
        (at::ALICE_AGAIN, 0x4cc2_273b),
        (0x238, 0xec48_bd2c),
        (at::DELETE, 0xcbe0_93e1),
        (at::LAST_COMMIT, 0xb7c9_74a4),
    ];
    for (offset, sum) in sums {
        assert_eq!(file.get(file.head(offset).sums) as u32, sum, "0x{offset:X}");
    }
    let tails = [(at::ALICE, 0x33bf_1898), (at::BOB, 0x6d1a_43e9), (at::ALICE_AGAIN, 0xd8aa_fae9_u32)];
    for (offset, sum) in tails {
        assert_eq!((file.get(file.head(offset).sums) >> 32) as u32, sum, "0x{offset:X}");
    }
}

#[test]
fn format_md_the_rules_and_the_tests_name_the_same() {
    let format = include_str!("../src/container/twom/FORMAT.md");
    let listed: Vec<(&str, &str)> = format
        .lines()
        .filter(|line| line.starts_with("| TWOM-"))
        .filter_map(|line| {
            let mut columns = line.trim_matches('|').split('|').map(str::trim);
            Some((columns.next()?, columns.nth(1)?.trim_matches('`')))
        })
        .collect();
    let name = |rule: &Rule| {
        let number: u32 = rule.code.trim_start_matches("TWOM-").parse().expect("a number");
        format!("twom_{number:02}_{}", rule.name.replace('-', "_"))
    };
    let declared: Vec<(&str, String)> = rules::ALL.iter().map(|rule| (rule.code, name(rule))).collect();
    assert_eq!(listed, declared.iter().map(|(code, name)| (*code, name.as_str())).collect::<Vec<_>>());
    for (i, rule) in rules::ALL.iter().enumerate() {
        assert_eq!(rule.code, format!("TWOM-{}", i + 1));
    }
    let tests: BTreeSet<&str> = include_str!("twom_rules.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("fn ")?.strip_suffix("() {"))
        .filter(|name| name.starts_with("twom_"))
        .collect();
    assert_eq!(tests, declared.iter().map(|(_, name)| name.as_str()).collect());
}

#[test]
fn twom_01_empty_file() {
    only(&Bytes::default(), &rules::EMPTY_FILE);
}

#[test]
fn twom_02_header_cut() {
    for len in [1, 95, 96, 200, 367] {
        let finding = broken(&changed(|file| file.0.truncate(len)), &rules::HEADER_CUT);
        assert_eq!(finding.span, Span::new(0, len as u64));
    }
}

#[test]
fn twom_03_magic() {
    let file = changed(|file| file.flip(5, 1));
    assert_eq!(names(&file), ["magic", "header-sum"]);
    assert_eq!(broken(&file, &rules::MAGIC).span, Span::new(0, 16));
}

#[test]
fn twom_04_version() {
    only(&changed(|file| file.change_header(|header| header.version = 2)), &rules::VERSION);
}

#[test]
fn twom_05_header_sum() {
    // The uuid is known to nothing but the sum.
    only(&changed(|file| file.flip(20, 1)), &rules::HEADER_SUM);
    // The committed size is found all the same.
    let file = changed(|file| file.put(80, &[0xFF; 8]));
    broken(&file, &rules::HEADER_SUM);
    let db = Db::new(&file.0);
    assert_eq!(db.carve(KeyOrder::Unsigned).kept.len(), 1);
}

#[test]
fn twom_06_flags() {
    only(&changed(|file| file.change_header(|header| header.flags |= 1 << 5)), &rules::FLAGS);
}

#[test]
fn twom_07_foreign() {
    for flag in [1 << 29, 1 << 30] {
        let file = changed(|file| {
            file.change_header(|header| header.flags |= flag);
            let sum = twom_sum(&file.0[..92]);
            file.put(92, &sum);
        });
        broken(&file, &rules::FOREIGN);
    }
    // Sums of another function: nothing but the note that they can't be checked, and that Cyrus refuses the file.
    let file = changed(|file| {
        let mut offset = DUMMY_OFFSET;
        while offset < at::END {
            let head = file.head(offset);
            file.flip(head.sums, 0x55);
            offset = head.end;
        }
        file.change_header(|header| header.flags |= 1 << 29);
    });
    assert_eq!(names(&file), ["foreign", "unsummed"]);
}

fn twom_sum(bytes: &[u8]) -> [u8; 4] {
    coroner_formats::container::twom::layout::Sums::Xxh.compute(bytes).expect("a sum").to_le_bytes()
}

#[test]
fn twom_08_unsummed() {
    let file = changed(Bytes::take_sums);
    let finding = only(&file, &rules::UNSUMMED);
    assert_eq!(finding.severity(), Severity::Note);
    // Structure is still checked.
    broken(&with(file.clone(), |file| file.flip(at::BOB + 1, 0x40)), &rules::GAP);
    broken(&with(file, |file| file.flip(file.head(at::BOB).sums, 1)), &rules::GAP);
}

#[test]
fn twom_09_dirty() {
    only(&changed(|file| file.change_header(|header| header.flags |= 1)), &rules::DIRTY);
}

#[test]
fn twom_10_generation() {
    only(&changed(|file| file.change_header(|header| header.generation = 0)), &rules::GENERATION);
}

#[test]
fn twom_11_current_size() {
    for size in [0, 360, 0x281, u64::MAX] {
        let file = changed(|file| file.change_header(|header| header.current_size = size));
        broken(&file, &rules::CURRENT_SIZE);
        assert_eq!(Db::new(&file.0).carve(KeyOrder::Unsigned).kept.len(), 1);
    }
}

#[test]
fn twom_12_file_short() {
    // Cut between two items: nothing else tells.
    let file = changed(|file| file.0.truncate(0x250));
    assert_eq!(broken(&file, &rules::FILE_SHORT).found.as_deref(), Some("592"));
    // Bob's deletion may lie in what is missing, and so may newer values.
    let carved = Db::new(&file.0).carve(KeyOrder::Unsigned);
    assert!(carved.kept.iter().any(|kept| kept.confidence == Confidence::MaybeStale));
}

#[test]
fn twom_13_last_commit() {
    let file = changed(|file| file.put(at::LAST_COMMIT, &[0; 24]));
    broken(&file, &rules::LAST_COMMIT);
}

#[test]
fn twom_14_repack_size() {
    for size in [0, 360, 0x178 + 4, 0x1000] {
        let file = changed(|file| file.change_header(|header| header.repack_size = size));
        only(&file, &rules::REPACK_SIZE);
    }
}

#[test]
fn twom_15_growth() {
    let finding = only(&changed(|file| file.0.truncate(0x3008)), &rules::GROWTH);
    assert_eq!(finding.severity(), Severity::Note);
    assert_eq!(names(&changed(|file| file.0.truncate(at::END as usize))), ["growth"]);
}

#[test]
fn twom_16_dummy() {
    broken(&changed(|file| file.flip(DUMMY_OFFSET, 2)), &rules::DUMMY);
    broken(&changed(|file| file.flip(DUMMY_OFFSET + 264, 1)), &rules::DUMMY);
    broken(&changed(|file| file.flip(DUMMY_OFFSET + 268, 1)), &rules::DUMMY);
    broken(&changed(|file| file.put(DUMMY_OFFSET, &[0; 272])), &rules::DUMMY);
}

#[test]
fn twom_17_maxlevel() {
    only(&changed(|file| file.change_header(|header| header.maxlevel = 0)), &rules::MAXLEVEL);
    only(&changed(|file| file.change_header(|header| header.maxlevel = 32)), &rules::MAXLEVEL);
    only(&with(forty().finish(), |file| file.change_header(|header| header.maxlevel = 5)), &rules::MAXLEVEL);
}

#[test]
fn twom_18_head_sum() {
    // The idle pointer of a record: all else still fits.
    let file = changed(|file| file.flip(file.head(at::ALICE_AGAIN).sums, 1));
    let finding = only(&file, &rules::HEAD_SUM);
    assert_eq!(finding.span, Span::new(at::ALICE_AGAIN, at::ALICE_AGAIN + 36));
    only(&changed(|file| file.flip(at::DELETE + 16, 1)), &rules::HEAD_SUM);
    broken(&changed(|file| file.flip(at::SECOND_COMMIT + 16, 1)), &rules::HEAD_SUM);
}

#[test]
fn twom_19_tail_sum() {
    let file = changed(|file| file.flip(file.head(at::ALICE_AGAIN).value_span().start, 1));
    only(&file, &rules::TAIL_SUM);
    // The value is gone; the older one can be had, but is not the last.
    let kept = Db::new(&file.0).carve(KeyOrder::Unsigned).kept;
    let kept: Vec<_> = kept.iter().map(|kept| (&*kept.record.value, kept.confidence)).collect();
    assert_eq!(kept, [(b"A1".as_slice(), Confidence::MaybeStale)]);
    // A flipped bit of the key is mended by the ancestor, and the sum proves it.
    let file = changed(|file| file.flip(file.head(at::ALICE_AGAIN).key_offset() + 6, 1));
    let kept = Db::new(&file.0).carve(KeyOrder::Unsigned).kept;
    let kept: Vec<_> = kept.iter().map(|kept| (&*kept.record.key, &*kept.record.value, kept.confidence)).collect();
    assert_eq!(kept, [(b"user.alice".as_slice(), b"A2".as_slice(), Confidence::Unverified)]);
    broken(&changed(|file| file.flip(file.head(at::BOB).sums + 4, 1)), &rules::TAIL_SUM);
}

/// A file whose middle record has a key of 65,546 bytes and only the low 16 bits of that as its length.
fn cut_length() -> (Bytes, Vec<u8>) {
    let key = vec![b'k'; 65_546];
    let mut maker = Maker::new();
    let first = maker.set(b"a", b"1", 1);
    let long = maker.item(Type::Add, 1, &key, b"value", 0);
    let last = maker.item(Type::Add, 1, b"z", b"2", 0);
    maker.commit();
    let mut file = maker.finish();
    file.point(first, 0, long);
    let place = file.head(long).pointers;
    file.word(place, last);
    let sum = twom_sum(&file.0[long as usize..long as usize + 24]);
    file.put(long + 24, &sum);
    file.change_header(|header| header.num_records = 3);
    (file, key)
}

#[test]
fn twom_20_long_key() {
    let (file, key) = cut_length();
    let finding = broken(&file, &rules::LONG_KEY);
    assert_eq!((finding.expected.as_deref(), finding.found.as_deref()), (Some("65546"), Some("10")));
    let carved = Db::new(&file.0).carve(KeyOrder::Unsigned);
    assert!(carved.lost.is_empty());
    let kept: Vec<_> = carved.kept.iter().map(|kept| (kept.record.key.to_vec(), kept.confidence)).collect();
    let verified = |key: &[u8]| (key.to_vec(), Confidence::Verified);
    assert!(kept == [verified(b"a"), verified(&key), verified(b"z")]);
}

#[test]
fn twom_21_unreadable() {
    let file = changed(|file| file.put(at::BOB, &[0xAA; 48]));
    assert_eq!(broken(&file, &rules::GAP).span, Span::new(at::BOB, at::SECOND_COMMIT));
}

#[test]
fn twom_22_zeros() {
    let file = changed(|file| file.put(at::BOB, &[0; 48]));
    assert_eq!(broken(&file, &rules::ZEROS).span, Span::new(at::BOB, at::SECOND_COMMIT));
}

#[test]
fn twom_23_torn() {
    for len in [0x201, 0x208, 0x230] {
        let file = changed(|file| file.0.truncate(len));
        assert_eq!(broken(&file, &rules::TORN).span, Span::new(at::ALICE_AGAIN, len as u64));
    }
}

#[test]
fn twom_24_fill() {
    let padding = |file: &Bytes| file.head(at::BOB).padding_span();
    let sealed = |place: u64| {
        changed(|file| {
            file.flip(place, 1);
            file.seal(at::BOB);
        })
    };
    let span = padding(&example().finish());
    only(&sealed(span.start), &rules::FILL);
    only(&sealed(span.end - 1), &rules::FILL);
    broken(&changed(|file| file.flip(at::DELETE + 20, 1)), &rules::FILL);
}

#[test]
fn twom_25_empty_key() {
    let mut maker = Maker::new();
    let nameless = maker.item(Type::Add, 1, b"", b"value", 0);
    maker.commit();
    let mut file = maker.finish();
    file.point(DUMMY_OFFSET, 0, nameless);
    file.change_header(|header| {
        header.num_records = 1;
        header.maxlevel = 1;
    });
    broken(&file, &rules::EMPTY_KEY);
}

#[test]
fn twom_26_fat_form() {
    let mut maker = Maker::new();
    let fat = maker.item(Type::FatAdd, 1, b"key", b"value", 0);
    maker.commit();
    let mut file = maker.finish();
    file.point(DUMMY_OFFSET, 0, fat);
    file.change_header(|header| {
        header.num_records = 1;
        header.maxlevel = 1;
    });
    only(&file, &rules::FAT);
}

#[test]
fn twom_27_commit_start() {
    for start in [FIRST_OFFSET, at::BOB + 8] {
        let file = changed(|file| {
            file.word(at::SECOND_COMMIT + 8, start);
            file.seal(at::SECOND_COMMIT);
        });
        only(&file, &rules::COMMIT_START);
    }
    // A whole transaction cut out, and everything behind it moved: nothing is unreadable.
    let file = changed(|file| {
        file.word(0x238 + 8, 0x1A0);
        file.seal(0x238);
    });
    only(&file, &rules::COMMIT_START);
}

#[test]
fn twom_28_ancestor() {
    // Nothing, the middle of a record, a COMMIT, the DUMMY record, itself, the future.
    for ancestor in [0, 0x178, 0x1A0, DUMMY_OFFSET, at::ALICE_AGAIN, at::DELETE] {
        let file = changed(|file| {
            file.word(at::ALICE_AGAIN + 8, ancestor);
            file.seal(at::ALICE_AGAIN);
        });
        broken(&file, &rules::ANCESTOR);
    }
    let mut maker = example();
    let again = maker.item(Type::Delete, 0, b"", b"", at::DELETE);
    maker.commit();
    assert_eq!(broken(&maker.finish(), &rules::ANCESTOR).span, Span::at(again + 8, 8));
}

#[test]
fn twom_29_ancestor_key() {
    let file = changed(|file| {
        file.flip(file.head(at::ALICE_AGAIN).key_span().end - 1, 2);
        file.seal(at::ALICE_AGAIN);
    });
    let finding = only(&file, &rules::ANCESTOR_KEY);
    assert_eq!(finding.expected.as_deref(), Some("user.alice"));
}

#[test]
fn twom_30_ancestor_level() {
    let mut maker = Maker::new();
    let old = maker.set(b"key", b"1", 1);
    maker.commit();
    let new = maker.item(Type::Replace, 2, b"key", b"2", old);
    maker.commit();
    let mut file = maker.finish();
    file.point(DUMMY_OFFSET, 1, new);
    file.point(DUMMY_OFFSET, 2, new);
    let dirty_size = file.head(old).total_len();
    file.change_header(|header| {
        header.maxlevel = 2;
        header.dirty_size = dirty_size;
    });
    only(&file, &rules::ANCESTOR_LEVEL);
}

#[test]
fn twom_31_ancestor_twice() {
    let mut maker = example();
    maker.item(Type::Replace, 1, b"user.alice", b"A3", at::ALICE);
    maker.commit();
    broken(&maker.finish(), &rules::ANCESTOR_TWICE);
}

#[test]
fn twom_32_pointer_word() {
    // Word 1 of this record is idle.
    for word in [0x1B9, 8, FIRST_OFFSET - 8] {
        only(&changed(|file| file.point(at::ALICE_AGAIN, 1, word)), &rules::POINTER_WORD);
    }
}

#[test]
fn twom_33_future_pointer() {
    let file = with(forty().finish(), |file| {
        let end = file.header().current_size;
        file.point(numbered(file, 12), 2, end + 8);
    });
    only(&file, &rules::FUTURE_POINTER);
    let file = changed(|file| file.point(at::ALICE_AGAIN, 1, at::END));
    only(&file, &rules::FUTURE_POINTER);
}

#[test]
fn twom_34_pointer_target() {
    for target in [at::DELETE + 8, at::LAST_COMMIT] {
        let file = changed(|file| file.point(at::ALICE_AGAIN, 0, target));
        broken(&file, &rules::POINTER_TARGET);
    }
    let file = with(forty().finish(), |file| file.point(numbered(file, 12), 2, numbered(file, 14) + 8));
    only(&file, &rules::POINTER_TARGET);
}

#[test]
fn twom_35_pointer_level() {
    let file = with(forty().finish(), |file| file.point(numbered(file, 12), 2, numbered(file, 13)));
    only(&file, &rules::POINTER_LEVEL);
}

#[test]
fn twom_36_key_order() {
    let mut maker = Maker::new();
    let a = maker.set(b"a", b"1", 1);
    let b = maker.set(b"b", b"2", 1);
    maker.commit();
    let mut file = maker.finish();
    // The two change places.
    for (from, to) in [(DUMMY_OFFSET, b), (b, a), (a, 0)] {
        file.point(from, 0, to);
        file.point(from, 1, 0);
    }
    only(&file, &rules::KEY_ORDER);
    // A circle.
    file.point(a, 0, b);
    broken(&file, &rules::KEY_ORDER);
}

#[test]
fn twom_37_pointer_skips() {
    for target in [16, 20] {
        only(
            &with(forty().finish(), |file| file.point(numbered(file, 12), 2, numbered(file, target))),
            &rules::POINTER_SKIPS,
        );
    }
    only(&with(forty().finish(), |file| file.point(numbered(file, 12), 2, 0)), &rules::POINTER_SKIPS);
    // The last record of its level does not end it.
    only(&with(forty().finish(), |file| file.point(numbered(file, 40), 4, numbered(file, 8))), &rules::POINTER_SKIPS);
}

#[test]
fn twom_38_unreachable() {
    let file = with(forty().finish(), |file| {
        let from = numbered(file, 12);
        let index = u8::from(file.get(file.head(from).pointers) == 0);
        file.point(from, index, numbered(file, 14));
    });
    assert_eq!(only(&file, &rules::UNREACHABLE).span, file.head(numbered(&file, 13)).span());
    // A deletion that is not linked.
    let file = changed(|file| file.point(at::ALICE_AGAIN, 0, 0));
    assert!(names(&file).contains(&"unreachable") && names(&file).contains(&"dead-linked"));
}

#[test]
fn twom_39_dead_linked() {
    // The pointer from the time before the overwrite.
    let file = changed(|file| file.point(DUMMY_OFFSET, 1, 0));
    let finding = broken(&file, &rules::DEAD_LINKED);
    assert_eq!(finding.span.start, at::ALICE);
    assert_eq!(finding.trail.len(), 1);
}

#[test]
fn twom_40_num_records() {
    only(&changed(|file| file.change_header(|header| header.num_records = 2)), &rules::NUM_RECORDS);
}

#[test]
fn twom_41_num_commits() {
    only(&changed(|file| file.change_header(|header| header.num_commits = 3)), &rules::NUM_COMMITS);
}

#[test]
fn twom_42_dirty_size() {
    only(&changed(|file| file.change_header(|header| header.dirty_size = 0)), &rules::DIRTY_SIZE);
}

#[test]
fn twom_43_discarded_transaction() {
    // The last transaction is on disk, the header is not.
    let file = changed(|file| {
        file.change_header(|header| {
            header.flags |= 1;
            header.current_size = at::DELETE;
            header.num_records = 2;
            header.num_commits = 3;
            header.dirty_size = 48;
        });
    });
    assert_eq!(names(&file), ["dirty", "discarded-transaction"]);
    assert_eq!(broken(&file, &rules::DISCARDED).span, Span::new(at::DELETE, at::END));
    let carved = Db::new(&file.0).carve(KeyOrder::Unsigned);
    assert_eq!(carved.kept.len(), 2);
}

#[test]
fn twom_44_uncommitted() {
    let mut maker = example();
    maker.set(b"user.carol", b"C1", 2);
    let file = maker.die();
    assert_eq!(names(&file), ["dirty", "uncommitted"]);
    assert_eq!(broken(&file, &rules::UNCOMMITTED).span, Span::new(at::END, maker.end()));
    assert_eq!(Db::new(&file.0).carve(KeyOrder::Unsigned).uncommitted.len(), 1);
}

#[test]
fn twom_45_leftover() {
    let mut maker = example();
    maker.set(b"user.carol", b"C1", 2);
    maker.abort();
    let finding = only(&maker.finish(), &rules::LEFTOVER);
    assert_eq!(finding.severity(), Severity::Note);
}

#[test]
fn a_written_file_breaks_no_rule() {
    let records = [("a", "1"), ("b", "2")];
    let file =
        Bytes(write(std::io::Cursor::new(Vec::new()), records, Options::default()).expect("a file").into_inner());
    assert_eq!(names(&file), Vec::<&str>::new());
}
