//! One test for each requirement of twoskip's FORMAT.md: a small file that breaks it, and what verify says of that.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor as Memory;

use coroner_formats::container::twoskip::layout::{BLANK, FIRST_OFFSET, Head, Header, Type, crc};
use coroner_formats::container::twoskip::{Db, rules, writer};
use coroner_formats::container::{Database, Depth};
use coroner_formats::finding::{Finding, Rule, Severity};
use coroner_formats::image::{Cursor, Span};

/// A file to damage, with the means to put its sums right again.
#[derive(Clone)]
struct File {
    bytes: Vec<u8>,
}

impl File {
    /// Twenty records, freshly written.
    fn small() -> File {
        let records = (0..20).map(|i| (format!("key{i:02}"), format!("value {i}")));
        File {
            bytes: writer::write(Memory::new(Vec::new()), records, writer::Options::default()).unwrap().into_inner(),
        }
    }

    /// A genuine file with a long history of stores and deletes.
    fn busy() -> File {
        let path = common::corpus().join("cyrus-3.6.1/logtail/overwrites.twoskip.db");
        File { bytes: fs::read(path).unwrap() }
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.bytes)
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn flip(&mut self, at: u64) {
        self.bytes[at as usize] ^= 1;
    }

    fn word(&self, at: u64) -> u64 {
        self.cursor().be_u64(at).unwrap()
    }

    /// Changes the header, its crc included.
    fn header(&mut self, change: impl FnOnce(&mut Header)) {
        let mut header = Header::decode(self.cursor()).unwrap();
        change(&mut header);
        self.put(0, &header.encode());
    }

    fn head(&self, at: u64) -> Head {
        Head::decode(self.cursor(), at).unwrap()
    }

    /// The records from the first transaction on.
    fn heads(&self) -> Vec<Head> {
        let mut at = FIRST_OFFSET;
        let mut heads = Vec::new();
        while at < self.len() {
            if self.word(at) == BLANK {
                at += 8;
                continue;
            }
            heads.push(self.head(at));
            at = self.head(at).end;
        }
        heads
    }

    fn of(&self, kind: Type) -> Vec<Head> {
        self.heads().into_iter().filter(|head| head.kind == kind).collect()
    }

    /// The live records, and those that were replaced or deleted.
    fn live_and_dead(&self) -> (Vec<Head>, Vec<Head>) {
        let db = Db::new(&self.bytes);
        let view = db.view(db.order().best(coroner_formats::container::KeyOrder::Unsigned), 1);
        let mut live = Vec::new();
        view.walk(0, &mut |record| {
            live.push(self.head(record.span.start));
            true
        });
        let dead = self.of(Type::Record).into_iter().filter(|head| !live.contains(head)).collect();
        (live, dead)
    }

    /// Puts both sums of the record at `at` right.
    fn seal(&mut self, at: u64) {
        let head = self.head(at);
        let tail = self.cursor().bytes(head.key_offset(), head.end - head.key_offset()).map_or(0, crc);
        self.put(head.sums + 4, &tail.to_be_bytes());
        let sum = self.cursor().bytes(at, head.sums - at).map_or(0, crc);
        self.put(head.sums, &sum.to_be_bytes());
    }

    fn point(&mut self, at: u64, index: u8, pointer: u64) {
        let place = self.head(at).pointer_span(index).start;
        self.put(place, &pointer.to_be_bytes());
        self.seal(at);
    }

    fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        Db::new(&self.bytes).verify(Depth::Full, &mut |finding| found.push(finding));
        found
    }

    /// `rule` must be among the findings, at `span`.
    #[track_caller]
    fn breaks(&self, rule: &Rule, span: Span) {
        let found = self.findings();
        let hit = found.iter().any(|finding| finding.rule.code == rule.code && finding.span == span);
        assert!(hit, "no {} at {span}: {found:#?}", rule.code);
    }
}

#[test]
fn the_files_to_damage_are_sound() {
    for file in [File::small(), File::busy()] {
        assert!(file.findings().iter().all(|finding| finding.severity() == Severity::Note));
    }
}

#[test]
fn two_01_header_cut() {
    for len in [0, 40, 63] {
        let mut file = File::small();
        file.bytes.truncate(len);
        file.breaks(&rules::HEADER_CUT, Span::new(0, len as u64));
    }
}

#[test]
fn two_02_magic() {
    let mut file = File::small();
    file.flip(5);
    let sum = file.cursor().bytes(0, 60).map_or(0, crc);
    file.put(60, &sum.to_be_bytes());
    file.breaks(&rules::MAGIC, Header::MAGIC);
}

#[test]
fn two_03_version() {
    let mut file = File::small();
    file.header(|header| header.version = 2);
    file.breaks(&rules::VERSION, Header::VERSION);
}

#[test]
fn two_04_header_crc() {
    let mut file = File::small();
    file.flip(60);
    file.breaks(&rules::HEADER_CRC, Header::CRC);
}

#[test]
fn two_05_flags() {
    let mut file = File::small();
    file.header(|header| header.flags = 2);
    file.breaks(&rules::FLAGS, Header::FLAGS);
}

#[test]
fn two_06_dirty() {
    let mut file = File::small();
    file.header(|header| header.flags = 1);
    file.breaks(&rules::DIRTY, Header::FLAGS);
}

#[test]
fn two_07_current_size() {
    for size in [0, 64, 341] {
        let mut file = File::small();
        file.header(|header| header.current_size = size);
        file.breaks(&rules::CURRENT_SIZE, Header::CURRENT_SIZE);
    }
}

#[test]
fn two_08_file_short() {
    let mut file = File::small();
    file.bytes.truncate(file.bytes.len() - 24);
    file.breaks(&rules::FILE_SHORT, Header::CURRENT_SIZE);
}

#[test]
fn two_09_uncommitted_tail() {
    for more in [&[0; 100][..], &[0xA5; 61]] {
        let mut file = File::small();
        let len = file.len();
        file.bytes.extend_from_slice(more);
        file.breaks(&rules::TAIL, Span::new(len, file.len()));
    }
}

#[test]
fn two_10_complete_tail() {
    let mut file = File::busy();
    let commits = file.of(Type::Commit);
    let before = commits[commits.len() - 2].end;
    file.header(|header| {
        header.current_size = before;
        header.flags = 1;
    });
    file.breaks(&rules::COMPLETE_TAIL, Span::new(before, file.len()));
}

#[test]
fn two_11_stale_tail() {
    let mut file = File::busy();
    let (len, commits) = (file.len(), file.of(Type::Commit));
    let stale = file.bytes[commits[1].end as usize..commits[2].end as usize].to_vec();
    file.bytes.extend_from_slice(&stale);
    file.breaks(&rules::STALE_TAIL, Span::new(len, file.len()));
}

#[test]
fn two_12_repack_size() {
    let mut file = File::small();
    file.header(|header| header.repack_size = header.current_size + 8);
    file.breaks(&rules::REPACK_SIZE, Header::REPACK_SIZE);
}

#[test]
fn two_13_generation() {
    let mut file = File::small();
    file.header(|header| header.generation = 0);
    file.breaks(&rules::GENERATION, Header::GENERATION);
}

#[test]
fn two_14_dummy() {
    for at in [64, 65, 100, 328, 333] {
        let mut file = File::small();
        file.flip(at);
        file.breaks(&rules::DUMMY, Span::new(64, FIRST_OFFSET));
    }
}

#[test]
fn two_15_live_head_crc() {
    let mut file = File::small();
    let head = file.heads()[3];
    file.flip(head.pointer_span(1).start);
    file.breaks(&rules::LIVE_HEAD, head.span());
}

#[test]
fn two_16_dead_head_crc() {
    let file = File::busy();
    let dead = file.live_and_dead().1[0];
    for head in [dead, file.of(Type::Commit)[4]] {
        let mut file = file.clone();
        file.flip(head.sums);
        file.breaks(&rules::DEAD_HEAD, head.span());
    }
}

#[test]
fn two_17_live_tail_crc() {
    let mut file = File::small();
    let head = file.heads()[3];
    file.flip(head.value_span().start);
    file.breaks(&rules::LIVE_TAIL, head.span());
}

#[test]
fn two_18_dead_tail_crc() {
    let file = File::busy();
    let dead = file.live_and_dead().1[0];
    for (head, at) in [(dead, dead.value_span().start), (file.of(Type::Commit)[4], file.of(Type::Commit)[4].sums + 4)] {
        let mut file = file.clone();
        file.flip(at);
        file.breaks(&rules::DEAD_TAIL, head.span());
    }
}

#[test]
fn two_19_unreadable() {
    let mut file = File::busy();
    let head = file.live_and_dead().1[0];
    let garbage = vec![0xA5; head.span().len() as usize];
    file.put(head.offset, &garbage);
    file.breaks(&rules::GAP, head.span());
    // A second DUMMY is as little what belongs there.
    let mut file = File::small();
    let dummy = file.bytes[64..FIRST_OFFSET as usize].to_vec();
    let at = file.heads()[2].offset;
    file.put(at, &dummy);
    file.breaks(&rules::GAP, Span::at(at, dummy.len() as u64));
}

#[test]
fn two_20_zeros() {
    let mut file = File::busy();
    let head = file.live_and_dead().1[0];
    let zeros = vec![0; head.span().len() as usize];
    file.put(head.offset, &zeros);
    file.breaks(&rules::ZEROS, head.span());
}

#[test]
fn two_21_torn() {
    for cut in [4, 10, 20] {
        let mut file = File::small();
        let commit = *file.heads().last().unwrap();
        file.bytes.truncate(file.bytes.len() - cut);
        file.breaks(&rules::TORN, Span::new(commit.offset, file.len()));
    }
}

#[test]
fn two_22_padding() {
    let mut file = File::small();
    let head = file.heads()[3];
    file.flip(head.end - 1);
    file.seal(head.offset);
    file.breaks(&rules::PADDING, head.padding_span());
}

#[test]
fn two_23_empty_key() {
    let mut file = File::small();
    let head = file.heads()[0];
    file.put(head.offset + 2, &[0, 0]);
    file.put(head.offset + 4, &((head.key_len + head.value_len) as u32).to_be_bytes());
    file.seal(head.offset);
    file.breaks(&rules::EMPTY_KEY, head.span());
}

#[test]
fn two_24_commit_start() {
    let mut file = File::busy();
    let commit = file.of(Type::Commit)[5];
    file.point(commit.offset, 0, commit.word(file.cursor()) - 24);
    file.breaks(&rules::COMMIT_START, commit.span());
}

#[test]
fn two_25_last_commit() {
    let mut file = File::small();
    let commit = *file.heads().last().unwrap();
    for size in [commit.offset, commit.offset - 8] {
        file.header(|header| header.current_size = size);
        file.breaks(&rules::LAST_COMMIT, Header::CURRENT_SIZE);
    }
}

#[test]
fn two_26_broken_link() {
    let file = File::small();
    let (head, next) = (file.heads()[3], file.heads()[4]);
    let link = Span::new(head.pointer_span(0).start, head.pointer_span(1).end);
    // Into a record, to a DUMMY, back to itself, and behind a record that upper levels know.
    for target in [next.offset + 16, 64, head.offset] {
        let mut file = file.clone();
        file.point(head.offset, 1, target);
        let rule = if target == head.offset { &rules::ORDER } else { &rules::BROKEN_LINK };
        let found = file.findings();
        assert!(found.iter().any(|finding| finding.span == link), "{target:#x}: {found:#?}");
        let hit = |finding: &Finding| [rules::BROKEN_LINK.code, rule.code].contains(&finding.rule.code);
        assert!(found.iter().any(hit), "{target:#x}: {found:#?}");
    }
    let mut skipping = file.clone();
    skipping.point(file.heads()[0].offset, 1, file.heads()[4].offset);
    let first = file.heads()[0];
    let link = Span::new(first.pointer_span(0).start, first.pointer_span(1).end);
    skipping.breaks(&rules::BROKEN_LINK, link);
}

#[test]
fn two_27_pointer_beyond() {
    let mut file = File::small();
    let head = file.heads()[3];
    let len = file.len();
    file.point(head.offset, 0, len);
    file.breaks(&rules::BEYOND, head.pointer_span(0));
}

#[test]
fn two_28_upper_link() {
    let mut file = File::small();
    let head = file.heads()[3];
    file.point(head.offset, 2, 0);
    file.breaks(&rules::UPPER_LINK, head.pointer_span(2));
}

#[test]
fn two_29_unrecovered_pointers() {
    let mut file = File::small();
    let head = file.heads()[3];
    file.header(|header| header.flags = 1);
    file.point(head.offset, 2, 0);
    file.breaks(&rules::UNRECOVERED, head.pointer_span(2));
    let len = file.len();
    file.point(head.offset, 0, len);
    file.breaks(&rules::UNRECOVERED, head.pointer_span(0));
}

#[test]
fn two_30_order() {
    let mut file = File::small();
    let heads = file.heads();
    let keys = [heads[4], heads[5]].map(|head| head.key(file.cursor()).to_vec());
    file.put(heads[4].key_offset(), &keys[1]);
    file.put(heads[5].key_offset(), &keys[0]);
    file.seal(heads[4].offset);
    file.seal(heads[5].offset);
    file.breaks(&rules::ORDER, heads[5].span());
}

#[test]
fn two_31_mbox_order() {
    let path = common::corpus().join("cyrus-3.4.9/mboxsort/all.twoskip.db");
    let file = File { bytes: fs::read(path).unwrap() };
    let tally = Db::new(&file.bytes).order();
    let misfit = tally.misfit(coroner_formats::container::KeyOrder::Unsigned).unwrap();
    file.breaks(&rules::MBOX_ORDER, Span::at(misfit.second, 8));
}

#[test]
fn two_32_equal_pointers() {
    let mut file = File::small();
    let (head, next) = (file.heads()[3], file.heads()[4]);
    file.point(head.offset, 0, next.offset);
    file.breaks(&rules::EQUAL_POINTERS, head.pointer_span(1));
}

#[test]
fn two_33_unreached() {
    let mut file = File::small();
    let heads = file.heads();
    // The third record has level 1: only the level-0 pointer of the second leads to it.
    assert_eq!(heads[2].level, 1);
    file.point(heads[1].offset, 1, heads[3].offset);
    file.breaks(&rules::UNREACHED, heads[2].span());
}

#[test]
fn two_34_undead() {
    let file = File::busy();
    let (live, dead) = file.live_and_dead();
    let cursor = file.cursor();
    // A live record of level 1 with an older version that leads on to the same record.
    let resurrected = live.windows(2).find_map(|pair| {
        let older = dead.iter().rev().find(|old| old.key(cursor) == pair[1].key(cursor))?;
        let next = |head: &Head| head.pointer(cursor, 0).max(head.pointer(cursor, 1));
        let fits = pair[1].level == 1 && older.level == 1 && next(older) == next(&pair[1]);
        fits.then_some((pair[0], pair[1], *older))
    });
    let (front, newest, older) = resurrected.expect("a record to bring back");
    let mut file = file.clone();
    let index = u8::from(front.pointer(file.cursor(), 1) == newest.offset);
    file.point(front.offset, index, older.offset);
    file.point(front.offset, 1 - index, 0);
    file.breaks(&rules::UNDEAD, older.span());
}

#[test]
fn two_35_num_records() {
    let mut file = File::small();
    file.header(|header| header.num_records += 1);
    file.breaks(&rules::NUM_RECORDS, Header::NUM_RECORDS);
}

#[test]
fn two_36_delete_next() {
    let mut file = File::busy();
    let delete = file.of(Type::Delete)[0];
    let other = file.heads()[0].offset;
    file.point(delete.offset, 0, other);
    file.breaks(&rules::DELETE_NEXT, delete.span());
    let mut file = File::busy();
    file.flip(delete.sums);
    file.breaks(&rules::DELETE_NEXT, delete.span());
}

#[test]
fn two_37_maybe_rescued() {
    let records = (0..1000).map(|i| (format!("key{i:04}"), "value"));
    let options = writer::Options::default();
    let mut file = File { bytes: writer::write(Memory::new(Vec::new()), records, options).unwrap().into_inner() };
    file.header(|header| header.repack_size = FIRST_OFFSET);
    file.breaks(&rules::RESCUED, Header::GENERATION);
}

#[test]
fn two_38_never_repacked() {
    let mut file = File::small();
    let commit = file.heads().last().unwrap().offset as usize;
    let blanks = BLANK.to_be_bytes().repeat(1 << 18);
    file.bytes.splice(commit..commit, blanks);
    let len = file.len();
    file.header(|header| header.current_size = len);
    file.breaks(&rules::NEVER_REPACKED, Header::REPACK_SIZE);
    assert!(file.findings().iter().all(|finding| finding.severity() == Severity::Note));
}

#[test]
fn two_39_idle_pointer() {
    let mut file = File::small();
    let head = file.heads()[3];
    file.point(head.offset, 0, 72);
    file.breaks(&rules::IDLE_POINTER, head.pointer_span(0));
}

/// The cells of the rows of FORMAT.md's tables whose first cell begins with `start`.
fn rows<'t>(text: &'t str, start: &str) -> Vec<Vec<&'t str>> {
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let rows = lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    rows.filter(|row| row[0].starts_with(start)).collect()
}

#[test]
fn format_md_lists_every_rule_with_the_test_that_enforces_it() {
    let format = include_str!("../src/container/twoskip/FORMAT.md");
    let tests: BTreeSet<&str> = include_str!("twoskip_rules.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("fn two_")?.split_once('(').map(|(name, _)| name))
        .collect();
    let listed = rows(format, "TWO-");
    assert_eq!(listed.len(), rules::ALL.len());
    assert_eq!(listed.len(), tests.len());
    for (row, rule) in listed.iter().zip(rules::ALL) {
        let [code, name, severity, _, test] = row[..] else { panic!("{row:?}") };
        assert_eq!((code, name, severity), (rule.code, rule.name, rule.severity.as_str()));
        let number: usize = code.trim_start_matches("TWO-").parse().unwrap();
        let expected = format!("two_{number:02}_{}", name.replace('-', "_"));
        assert_eq!(test, expected);
        assert!(tests.contains(expected.trim_start_matches("two_")), "no test {expected}");
    }
}

#[test]
fn format_md_maps_every_class_of_damage() {
    let format = include_str!("../src/container/twoskip/FORMAT.md");
    let classes = rows(format, "class ");
    let numbers: Vec<_> = classes.iter().map(|row| row[0].trim_start_matches("class ")).collect();
    assert_eq!(numbers, (1..=14).map(|number| number.to_string()).collect::<Vec<_>>());
    for row in &classes {
        for code in row[2].split(", ").filter(|code| *code != "-") {
            assert!(rules::ALL.iter().any(|rule| rule.code == code), "{row:?}");
        }
    }
}
