//! Dumps of twelve releases, as they print them.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::dumped;
use coroner_formats::container::{CyrusOutcome, Database, Depth, Format, KeyOrder, Record, detect, detect_named, open};
use coroner_formats::finding::{Finding, Severity};
use coroner_formats::text::json::{self, PlainEntry};
use coroner_formats::text::lines::{self, Era, Numbering, PlainLine};
use coroner_formats::text::{Dump, show};

fn name(path: &Path) -> String {
    path.strip_prefix(common::corpus()).unwrap().display().to_string()
}

/// What a corpus file is, by its name.
fn named(path: &Path) -> Option<Format> {
    let name = name(path);
    if name.ends_with("berkeley/mboxsort.btree.show.txt") {
        return None; // cyr_dbtool ran in a circle there, and was stopped
    }
    let is = |ending: &str| name.ends_with(ending);
    match name.contains("damaged/") {
        true if is("show.txt") => Some(Format::Show),
        true => (name.contains("/flat/") && is("/before.db")).then_some(Format::Flat),
        false if is("flat.db") => Some(Format::Flat),
        false if is(".show.txt") => Some(Format::Show),
        false if is(".json") => Some(Format::Json),
        false if is(".dump.txt") || is(".in.txt") => Some(Format::Text),
        false => None,
    }
}

fn corpus(format: Format) -> Vec<PathBuf> {
    common::files("", |path| named(path) == Some(format) && fs::metadata(path).unwrap().len() > 0)
}

fn walked<'a>(database: &dyn Database<'a>) -> Vec<Record<'a>> {
    let view = database.view(KeyOrder::Unsigned, 4);
    let mut records = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            records.push(record);
            true
        });
    }
    records
}

fn findings(database: &dyn Database<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    database.verify(Depth::Full, &mut |finding| found.push(finding));
    found
}

fn codes(bytes: &[u8], format: Format) -> Vec<&'static str> {
    findings(&*open(bytes, format)).iter().map(|finding| finding.rule.code).collect()
}

#[test]
fn files_are_told_apart_wherever_their_bytes_allow_it() {
    let mut told: BTreeMap<Format, (usize, usize)> = BTreeMap::new();
    for wanted in [Format::Flat, Format::Show, Format::Json, Format::Text] {
        for path in corpus(wanted) {
            let bytes = fs::read(&path).unwrap();
            let seen = detect(&bytes);
            let format = seen.format.unwrap_or_else(|| panic!("{path:?}: {}", seen.evidence));
            let tally = told.entry(wanted).or_default();
            tally.1 += 1;
            if format == wanted {
                tally.0 += 1;
                continue;
            }
            // What is taken for something else is as good a file of that: the same records, and nothing to complain of.
            let other = open(&bytes, format);
            let damaged = name(&path).contains("damaged/");
            let bad = findings(&*other).into_iter().find(|finding| finding.severity() > Severity::Note);
            assert!(bad.is_none() || damaged, "{path:?} as {format}: {bad:?}");
            if damaged && bytes.contains(&b'\r') {
                continue;
            }
            assert_eq!(dumped(&walked(&*other)), dumped(&walked(&*open(&bytes, wanted))), "{path:?}");
            assert_ne!((wanted, format), (Format::Json, Format::Text), "{path:?}");
            assert!(seen.evidence.contains("flat database") || wanted == Format::Show, "{path:?}: {}", seen.evidence);
        }
    }
    println!("told right, of all: {told:?}");
    assert_eq!(told[&Format::Json], (195, 195));
    assert_eq!(told[&Format::Flat], (73, 74));
    assert!(told[&Format::Text].0 >= 137, "{told:?}");
    assert!(told[&Format::Show].0 >= 128, "{told:?}");
}

#[test]
fn names_decide_what_the_bytes_leave_open() {
    let mut told: BTreeMap<Format, (usize, usize)> = BTreeMap::new();
    for wanted in [Format::Flat, Format::Show, Format::Json, Format::Text] {
        for path in corpus(wanted) {
            let seen = detect_named(&fs::read(&path).unwrap(), &path);
            // `show` of records up to 2.4 is the same as a dump of 2.3 or 2.4, under any name.
            let good = seen.format == Some(wanted) || (wanted, seen.format) == (Format::Show, Some(Format::Text));
            let tally = told.entry(wanted).or_default();
            tally.0 += usize::from(good);
            tally.1 += 1;
            assert!(good || name(&path).contains("damaged/"), "{path:?}: {seen:?}");
        }
    }
    println!("told right, of all: {told:?}");
    let [flat, show] = [told[&Format::Flat], told[&Format::Show]];
    assert!(flat.0 == flat.1 && show.0 + 3 >= show.1, "{told:?}");
}

#[test]
fn what_show_prints_is_read_and_printed_again() {
    let paths = corpus(Format::Show);
    assert!(paths.len() >= 380, "{}", paths.len());
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        // Cyrus prints what it finds in damaged databases: values with NUL, lines that a CR ends, lines without TAB.
        let odd = bytes.contains(&b'\r') || bytes.contains(&0) || name(&path).contains("no-tab");
        if name(&path).contains("damaged/") && odd {
            continue;
        }
        let dump = open(&bytes, Format::Show);
        let records = walked(&*dump);
        let mut printed = Vec::new();
        for record in &records {
            show::write_record(&mut printed, &record.key, &record.value).unwrap();
        }
        assert_eq!(printed, bytes, "{path:?}");
        common::assert_tiled(&*dump, bytes.len());
        let bad = findings(&*dump).into_iter().find(|finding| finding.severity() > Severity::Note);
        assert!(bad.is_none() || name(&path).contains("damaged/"), "{path:?}: {bad:?}");
    }
}

#[test]
fn a_value_with_a_line_end_is_one_record() {
    for engine in ["flat", "skiplist", "twoskip"] {
        let path = common::corpus().join(format!("cyrus-3.6.1/synthetic/types.{engine}.show.txt"));
        let bytes = fs::read(path).unwrap();
        let dump = open(&bytes, Format::Show);
        let records = walked(&*dump);
        let quoted = records.iter().find(|record| record.key.as_ref() == b"Nuser\x1Fanna\x1Fquoted").unwrap();
        assert!(quoted.value.ends_with(b"{3+}\r\nx\ty w \"\" l))"), "{:?}", String::from_utf8_lossy(&quoted.value));
        assert_eq!(records.len(), bytes.split(|&b| b == b'\n').count() - 2);
    }
    let old = b"user.a\t0 default a\nb\tlrs\t\nuser.c\t0 default \n";
    assert_eq!(walked(&*open(old, Format::Show)).len(), 3);
    let old = b"user.a\t0 default a\tlrs\t\nmore\nuser.c\t0 default \n";
    let records = walked(&*open(old, Format::Show)).len();
    assert_eq!(records, 2);
}

/// The era of a corpus dump, by the release that printed it.
fn era_of(path: &Path) -> Era {
    let name = name(path);
    match name.split('/').next().unwrap() {
        "cyrus-2.2.13" => Era::D1,
        "cyrus-2.3.19" | "cyrus-2.4.22" => Era::D2,
        "cyrus-2.5.17" => Era::D3,
        _ => Era::D4,
    }
}

#[test]
fn lines_of_all_eras_are_read_and_written_again() {
    let mut seen = BTreeMap::new();
    for path in corpus(Format::Text).into_iter().filter(|path| name(path).ends_with(".dump.txt")) {
        let bytes = fs::read(&path).unwrap();
        let dump = open(&bytes, Format::Text);
        let records = walked(&*dump);
        assert_eq!(dumped(&records), bytes, "{path:?}");
        let era = era_of(&path);
        let recognised = lines::recognise(records.iter().map(|record| record.value.as_ref())).unwrap();
        let fits = recognised.era == era || recognised.also.contains(&era);
        assert!(fits || (era == Era::D3 && recognised.era == Era::D4), "{path:?}: {recognised:?}");
        assert_ne!(recognised.numbering, Numbering::New, "{path:?}");
        let mut written = Vec::new();
        for record in &records {
            let fields = lines::parse(&record.value, era).unwrap();
            let null = record.value.windows(6).any(|window| window == b"(null)");
            let line = PlainLine {
                name: &record.key,
                mbtype: fields.mbtype.unwrap_or_default(),
                server: fields.server,
                partition: fields.partition.or(null.then_some(b"(null)")),
                acl: &fields.acl,
                extra: None,
            };
            assert_eq!(fields.mended, lines::Mended::default(), "{path:?}: {record:?}");
            // A P with a server in it, as 2.5 loads it, is printed as it is.
            let wanted = if era == Era::D3 && fields.server.is_some() { Era::D4 } else { era };
            lines::write_line(&mut written, wanted, &line).unwrap();
        }
        assert_eq!(written, bytes, "{path:?}");
        *seen.entry(era).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn healthy_dumps_have_no_finding_that_weighs() {
    for path in corpus(Format::Text) {
        let bytes = fs::read(&path).unwrap();
        let dump = open(&bytes, Format::Text);
        let bad: Vec<_> = findings(&*dump).into_iter().filter(|finding| finding.severity() > Severity::Note).collect();
        assert!(bad.is_empty(), "{path:?}: {bad:?}");
        common::assert_tiled(&*dump, bytes.len());
        assert!(dump.carve(KeyOrder::Unsigned).lost.is_empty());
        assert!(matches!(dump.as_cyrus(KeyOrder::Unsigned), CyrusOutcome::Refuses(_)));
    }
}

#[test]
fn a_line_of_the_fifth_era_gives_all_its_fields() {
    let value = b"16 be1!default bob\tlrs\t>5f8d0c3e 1600000000 1600000001 12 10 (null)";
    let fields = lines::parse(value, Era::D5).unwrap();
    let extra = fields.extra.unwrap();
    assert_eq!((fields.mbtype, fields.server, fields.partition), (Some(16), Some(&b"be1"[..]), Some(&b"default"[..])));
    assert_eq!(fields.acl.as_ref(), b"bob\tlrs\t");
    assert_eq!((extra.uniqueid, extra.specialuse), (Some(&b"5f8d0c3e"[..]), None));
    assert_eq!((extra.mtime, extra.uidvalidity), (Some(1_600_000_000), Some(1_600_000_001)));
    assert_eq!((extra.foldermodseq, extra.createdmodseq), (Some(12), Some(10)));
    let recognised = lines::recognise([&value[..], b"16 be2!p a>b\tlrs\t>(null) 1 2 3 4 \\Sent"]).unwrap();
    assert_eq!((recognised.era, recognised.numbering), (Era::D5, Numbering::New));
    let mut written = Vec::new();
    let line = PlainLine {
        name: b"user.bob",
        mbtype: 16,
        server: fields.server,
        partition: fields.partition,
        acl: &fields.acl,
        extra: fields.extra,
    };
    lines::write_line(&mut written, Era::D5, &line).unwrap();
    assert_eq!(written, [&b"user.bob\t"[..], value, b"\n"].concat());
}

#[test]
fn what_a_line_can_t_hold_is_not_written() {
    let mut out = Vec::new();
    let good = PlainLine { name: b"user.bob", partition: Some(b"default"), ..PlainLine::default() };
    for bad in [
        PlainLine { name: b"user\t.bob", ..good },
        PlainLine { name: b"", ..good },
        PlainLine { partition: Some(b"p 1"), ..good },
        PlainLine { server: Some(b"be\n"), ..good },
        PlainLine { acl: b"a\nb\tlrs\t", ..good },
    ] {
        assert!(matches!(lines::write_line(&mut out, Era::D4, &bad), Err(lines::WriteError::Unwritable { .. })));
    }
    assert!(out.is_empty());
    lines::write_line(&mut out, Era::D4, &good).unwrap();
    assert_eq!(out, b"user.bob\t0 default \n");
}

/// The entries of a dump, each written again.
fn rewritten(records: &[Record<'_>]) -> Vec<u8> {
    let mut writer = json::Writer::new(Vec::new()).unwrap();
    for record in records {
        let fields = json::parse(&record.value).unwrap();
        assert!(!fields.plain_numbers && fields.unknown.is_empty(), "{fields:?}");
        assert!(fields.name_history.is_empty());
        let acl = fields.acl.unwrap();
        let acl: Vec<(&[u8], &[u8])> = acl.iter().map(|(id, rights)| (id.as_ref(), rights.as_ref())).collect();
        let entry = PlainEntry {
            name: fields.name.as_deref().unwrap(),
            mtime: fields.mtime.unwrap(),
            uidvalidity: fields.uidvalidity.unwrap(),
            createdmodseq: fields.createdmodseq.unwrap(),
            foldermodseq: fields.foldermodseq.unwrap(),
            mbtype: fields.mbtype.as_deref().unwrap(),
            partition: fields.partition.as_deref(),
            server: fields.server.as_deref(),
            acl: &acl,
            uniqueid: fields.uniqueid.as_deref(),
            legacy_specialuse: fields.legacy_specialuse.as_deref(),
            jmap_id: fields.jmap_id.as_deref(),
            name_history: &[],
        };
        writer.push(&entry).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn json_of_all_releases_is_read_and_written_again() {
    let mut empty = 0;
    for path in corpus(Format::Json) {
        let bytes = fs::read(&path).unwrap();
        let dump = open(&bytes, Format::Json);
        let found = findings(&*dump);
        let holes = bytes.split(|&b| b == b'\n').filter(|line| *line == b",").count();
        assert_eq!(found.len(), holes, "{path:?}: {found:?}");
        assert!(found.iter().all(|finding| finding.rule.code == "TEXT-20"), "{path:?}");
        for finding in &found {
            let (start, end) = (finding.span.start as usize, finding.span.end as usize);
            assert_eq!(&bytes[start..end], b",\n", "{path:?}");
            let line = bytes[..start].split(|&b| b == b'\n').count();
            assert!(finding.message.starts_with(&format!("line {line}: ")), "{path:?}: {}", finding.message);
        }
        let filled = String::from_utf8(bytes.clone()).unwrap().replace("\n,\n", "\n");
        assert_eq!(String::from_utf8(rewritten(&walked(&*dump))).unwrap(), filled, "{path:?}");
        common::assert_tiled(&*dump, bytes.len());
        empty += holes;
    }
    assert!(empty >= 24, "{empty}");
}

const THREE: &str = "{\n\"a\": {\"name\": \"a\", \"mbtype\": \"e\", \"acl\": {\"anyone\": \"lrs\"}, \"name_history\": []},\n\
\"b\": {\"name\": \"b\", \"mbtype\": \"e\", \"acl\": {}, \"name_history\": []},\n\
\"c\": {\"name\": \"c\", \"mbtype\": \"e\", \"acl\": {}, \"name_history\": []}\n}\n";

fn keys(bytes: &[u8]) -> Vec<String> {
    let records = walked(&*open(bytes, Format::Json));
    records.iter().map(|record| String::from_utf8_lossy(&record.key).into_owned()).collect()
}

#[test]
fn a_cut_json_dump_gives_each_entry_that_is_whole() {
    let path = common::corpus().join("cyrus-3.6.1/murder-flat/be2.flat.dump.json");
    let whole = fs::read(path).unwrap();
    let all = keys(&whole);
    assert!(codes(&whole, Format::Json).is_empty());
    for len in 0..whole.len() - 1 {
        let cut = &whole[..len];
        let lines =
            cut.split(|&b| b == b'\n').filter(|line| line.starts_with(b"\"") && line.ends_with(b"[]},")).count();
        let found = keys(cut);
        assert!(found.len() == lines || found.len() == lines + 1, "{len}");
        assert_eq!(found, all[..found.len()], "{len}");
        assert!(len == whole.len() - 2 || codes(cut, Format::Json).contains(&"TEXT-21"), "{len}");
    }
}

#[test]
fn json_in_other_layouts_is_read() {
    let value: serde_json::Value = serde_json::from_str(THREE).unwrap();
    for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap(), THREE.replace('\n', "\r\n")] {
        assert_eq!(keys(text.as_bytes()), ["a", "b", "c"], "{text}");
        let found = codes(text.as_bytes(), Format::Json);
        assert!(found.iter().all(|code| *code == "TEXT-6"), "{text}: {found:?}");
    }
}

#[test]
fn json_is_read_around_what_is_broken() {
    let broken = [
        THREE.replace("{\n\"a\"", "\"a\""),
        THREE.replace(",\n\"b\"", "\n\"b\""),
        THREE.replace("\n\"b\"", "\n,\n,\n\"b\""),
        THREE.replace("\n\"b\"", "\n\0\0\0\0\n\"b\""),
        THREE.replace("\n\"b\"", "\n%$ garbage { \" \n\"b\""),
        THREE.replace("\n\"b\"", "\n\"x\": {\"name\": \"x\", \"mbtype\": \n\"b\""),
        THREE.replace("\n\"b\"", "\n\"x\": {\"name\": \"x\", \"mbt\"b\""),
        THREE.replace("\n\"b\"", "\nlr\"}, \"acl\": {\"name\": \"lrs\"}, \"name_history\": []},\n\"b\""),
        THREE.replace("}\n}\n", "}\n}\n{\n}\n"),
        THREE.replace("}\n}\n", "}\n}\nbash-5.2$ \n"),
    ];
    for text in broken {
        assert_eq!(keys(text.as_bytes()), ["a", "b", "c"], "{text}");
        assert!(!codes(text.as_bytes(), Format::Json).is_empty(), "{text}");
    }
}

#[test]
fn strange_members_do_not_cost_the_others() {
    let object =
        br#"{"name": "user.\u00e4\"", "mtime": 12, "uidvalidity": "13", "foldermodseq": "x", "partition": null,
        "acl": {"a\tb": "lrs", "c": "p"}, "odd": [{"x": "]}"}, 1.5e3], "jmapId": "P-F", "server": 5,
        "name_history": [{"name": "old", "mtime": "5", "uidvalidity": "4", "createdmodseq": "3", "foldermodseq": "4",
        "mbtype": "e", "partition": "default"}]}"#;
    let fields = json::parse(object).unwrap();
    assert_eq!(fields.name.as_deref(), Some("user.ä\"".as_bytes()));
    assert_eq!((fields.mtime, fields.uidvalidity, fields.plain_numbers), (Some(12), Some(13), true));
    assert_eq!((fields.foldermodseq, fields.partition, fields.server), (None, None, None));
    let acl = fields.acl.unwrap();
    assert_eq!((acl[0].0.as_ref(), acl[0].1.as_ref(), acl.len()), (&b"a\tb"[..], &b"lrs"[..], 2));
    let unknown: Vec<_> = fields.unknown.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
    assert_eq!(
        unknown,
        [(&b"foldermodseq"[..], &b"\"x\""[..]), (b"odd", br#"[{"x": "]}"}, 1.5e3]"#), (b"server", b"5")]
    );
    assert_eq!(fields.jmap_id.as_deref(), Some(&b"P-F"[..]));
    assert_eq!(fields.name_history[0].name.as_deref(), Some(&b"old"[..]));
    assert_eq!(fields.name_history[0].uidvalidity, Some(4));
    for broken in [&b"{\"name\": \"a\""[..], b"", b"[]", b"{\"name\" \"a\"}", b"{} x"] {
        assert!(json::parse(broken).is_err(), "{broken:?}");
    }
}

#[test]
fn json_strings_are_written_as_cyrus_does() {
    let mut text = Vec::new();
    let history = json::PlainHistory { name: b"user.old", mtime: 1, mbtype: b"e", ..json::PlainHistory::default() };
    let entry = PlainEntry {
        name: "user.ä\"\\\t\u{1f}\u{7f}/".as_bytes(),
        mbtype: b"e",
        acl: &[(b"a", b"l"), (b"b", b"r"), (b"a", b"s")],
        name_history: &[history],
        ..PlainEntry::default()
    };
    json::write_entry(&mut text, &entry).unwrap();
    let name = "\"user.ä\\\"\\\\\\t\\u001F\u{7f}/\"";
    let times = "\"uidvalidity\": \"0\", \"createdmodseq\": \"0\", \"foldermodseq\": \"0\", \"mbtype\": \"e\"";
    let wanted = format!(
        "{name}: {{\"name\": {name}, \"mtime\": \"0\", {times}, \"acl\": {{\"a\": \"s\", \"b\": \"r\"}}, \
         \"name_history\": [{{\"name\": \"user.old\", \"mtime\": \"1\", {times}}}]}}"
    );
    assert_eq!(String::from_utf8(text).unwrap(), wanted);
    let raw = PlainEntry { name: b"user.d\xE9\xE0", ..PlainEntry::default() };
    assert!(matches!(json::write_entry(&mut Vec::new(), &raw), Err(json::WriteError::NotUtf8 { .. })));
}

#[test]
fn lines_are_read_around_what_is_broken() {
    let text =
        b"user.a\t0 default a\tlrs\t\r\nuser.b 1 be1!default b lrs\nnothing\n\0\0\0\n\tx\nuser.\xE9\t0 default \n\
user.c    0 p2    c    lrs    \nuser.d\t0 default d\tlrs\tuser.e\t0 default e\tlrs\t\nuser.f\t0 default f\tlrs";
    let dump = open(text, Format::Text);
    let records = walked(&*dump);
    let names: Vec<_> = records.iter().map(|record| record.key.as_ref()).collect();
    assert_eq!(names, [&b"user.a"[..], b"user.b", b"user.\xE9", b"user.c", b"user.d", b"user.e", b"user.f"]);
    let acl = |at: usize| lines::parse(&records[at].value, Era::D4).unwrap().acl.into_owned();
    assert_eq!([acl(0), acl(1), acl(3)], [b"a\tlrs\t", b"b\tlrs\t", b"c\tlrs\t"]);
    assert_eq!([acl(4), acl(5), acl(6)], [b"d\tlrs\t", b"e\tlrs\t", b"f\tlrs\t"]);
    let lost = dump.carve(KeyOrder::Unsigned).lost;
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].before.as_deref(), lost[0].after.as_deref()), (Some(&b"user.b"[..]), Some(&b"user.\xE9"[..])));
    let messages: Vec<_> = findings(&*dump).into_iter().map(|finding| finding.message.into_owned()).collect();
    for line in [1, 2, 3, 4, 5, 7, 8, 9] {
        assert!(messages.iter().any(|message| message.starts_with(&format!("line {line}: "))), "{line}: {messages:?}");
    }
}

#[test]
fn dumps_answer_to_names_and_prefixes() {
    let text = b"user.b\t0 default \nuser.a\t0 default \nuser.a\t0 p2 \n";
    let dump = open(text, Format::Text);
    let view = dump.view(KeyOrder::Unsigned, 9);
    assert_eq!(view.get(b"user.a").unwrap().value.as_ref(), b"0 p2 ");
    assert_eq!(view.get(b"user"), None);
    let mut count = 0;
    view.prefix(b"user.a", &mut |_| {
        count += 1;
        count < 1
    });
    assert_eq!(count, 1);
    assert_eq!(dump.at(0, KeyOrder::Unsigned).unwrap().len(), 2);
    assert_eq!((dump.at(1, KeyOrder::Unsigned), dump.transactions()), (None, None));
    let era = Dump::new(text, Format::Text).era(10).unwrap();
    assert_eq!((era.era, era.also), (Era::D2, vec![Era::D3, Era::D4]));
}

#[test]
fn no_truncation_and_no_byte_makes_dumps_stumble() {
    let lines =
        b"user.a\t0 default a\tlrs\t\nuser.b 1 be1!default b lrs\nuser.d\t0 default d\tlrs\tuser.e\t0 p e\tlrs\t\n";
    let more = b"user.f\tdefault\ta\tlrs\t\r\nuser.g\t16 (null) \nuser.h\t0 p a\tl\t>u 1 2 3 4 (null)\n\0\0\nz";
    let shown = b"Nuser\x1Fa\t%(T e A %(a {3+}\r\nx\ty b \"\\\")\"))\nmore\nuser.b\t%(T e\nuser.c\t0 default \n";
    for (bytes, format) in [
        (&[&lines[..], more].concat()[..], Format::Text),
        (&shown[..], Format::Show),
        (THREE.as_bytes(), Format::Json),
        (serde_json::from_str::<serde_json::Value>(THREE).unwrap().to_string().as_bytes(), Format::Json),
    ] {
        common::maul(bytes, |mauled| {
            let dump = open(mauled, format);
            common::exercise(&*dump, mauled.len());
            for record in walked(&*dump) {
                let _ = lines::parse(&record.value, Era::D5);
                let _ = json::parse(&record.value);
            }
            detect(mauled);
        });
    }
}

#[test]
fn json_entries_are_held_against_each_other_across_the_parts_of_a_large_dump() {
    let entry = |at: usize| {
        let acl = format!("{{\"u{at:06}\": \"lrswipkxtecdan\", \"anyone\": \"p\"}}");
        format!(
            "\"user.u{at:06}\": {{\"name\": \"user.u{at:06}\", \"mbtype\": \"e\", \"acl\": {acl}, \"name_history\": []}}"
        )
    };
    let entries: Vec<String> = (0..32_000).map(entry).collect();
    let sound = format!("{{\n{}\n}}\n", entries.join(",\n"));
    assert!(sound.len() > 3 << 20);
    assert!(codes(sound.as_bytes(), Format::Json).is_empty());
    let found = |text: &str| {
        let found = findings(&*open(text.as_bytes(), Format::Json));
        found.into_iter().map(|finding| (finding.rule.code, finding.message.into_owned())).collect::<Vec<_>>()
    };
    let len = entries[0].len() + 2;
    let put = |at: usize, text: &str| [&sound[..2 + at * len], text, &sound[2 + (at + 1) * len..]].concat();
    for border in [1 << 20, 2 << 20, 3 << 20] {
        let first = border / len + 1;
        for at in [first - 2, first - 1, first, first + 1] {
            let lines = [format!("line {}: ", at + 2), format!("line {}: ", at + 3)];
            let told =
                |code: &str, message: &str| code == "TEXT-4" || lines.iter().any(|line| message.starts_with(line));
            // The name in front, one of another part, an entry over two lines, a closing bracket too many, a cut object.
            for text in [
                format!("{},\n", entries[at - 1]),
                format!("{},\n", entries[5]),
                format!("{},\n", entries[at].replace("[]", "[{\"a\": \"b\"},\n\"x\"]")),
                format!("{}\n}},\n", entries[at]),
                format!("{},\n", &entries[at][..len / 2]),
            ] {
                let found = found(&put(at, &text));
                assert!(found.iter().any(|(code, message)| told(code, message)), "{text}: {found:?}");
            }
        }
    }
    let cut = found(&sound[..sound.len() - 2]);
    assert!(matches!(&cut[..], [("TEXT-21", _)]), "{cut:?}");
    // Names in no order are no fault by themselves.
    assert_eq!(found(&put(20_000, &format!("{},\n", entry(0).replace("u000000", "a")))), []);
}
