//! Finds the genuine files that the tests read.
#![allow(dead_code)]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use coroner_formats::container::{Database, Depth, Format, KeyOrder, Record, detect};
use coroner_formats::finding::Rule;

/// The corpus folder at the root of the repository.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").canonicalize().expect("the corpus folder")
}

/// Every file below `folder` (relative to the corpus) that `wanted` accepts, in a fixed order; never none.
pub fn files(folder: &str, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![corpus().join(folder)];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).expect("a corpus folder") {
            let path = item.expect("a corpus item").path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no file wanted below {folder:?}");
    found
}

/// Records of a `show` file: key TAB value LF; a value that ends in a literal's head goes on in the next line.
pub fn shown_records(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut open = false;
    let show = fs::read(path).expect("a show file");
    for line in show.strip_suffix(b"\n").unwrap_or(&show).split(|&byte| byte == b'\n') {
        if open && let Some((_, value)) = records.last_mut() {
            value.push(b'\n');
            value.extend_from_slice(line);
        } else {
            let tab = line.iter().position(|&byte| byte == b'\t').expect("a TAB");
            records.push((line[..tab].to_vec(), line[tab + 1..].to_vec()));
        }
        open = line.ends_with(b"}\r");
    }
    records
}

/// The `show` files of undamaged databases that `show` could read. A Berkeley file in mbox order sends it round in circles:
/// not those, nor those of databases that were put together outside Cyrus.
pub fn sound_shows() -> Vec<PathBuf> {
    files("", |path| {
        let name = path.to_string_lossy();
        let usable = !name.contains("/damaged/") && !name.contains("mboxsort.btree") && !name.contains("/other/");
        name.ends_with(".show.txt") && usable && fs::metadata(path).expect("a corpus file").len() > 0
    })
}

/// The release that a corpus file was made by: `3.6.1`.
pub fn release_of(path: &Path) -> String {
    let path = path.strip_prefix(corpus()).expect("a corpus file");
    let folder = path.iter().next().and_then(|folder| folder.to_str()).expect("a release");
    folder.trim_start_matches("cyrus-").to_string()
}

/// A genuine file and the format it is in.
pub struct Genuine {
    /// Path below the corpus folder.
    pub name: String,
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The format it is detected as.
    pub format: Format,
}

/// Every database and dump of the corpus that is read, up to `limit` bytes, each content once, the largest first.
pub fn genuine(limit: u64) -> Vec<Genuine> {
    let corpus = corpus();
    let wanted = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let kinds = [".db", ".db.NEW", "show.txt", ".dump.txt", ".dump.json", ".in.txt", ".in.json"];
        let data = name.starts_with("zeroskip-");
        (data || kinds.iter().any(|kind| name.ends_with(kind)) || name.contains(".dump-"))
            && !path.starts_with(corpus.join("regressions"))
            && fs::metadata(path).is_ok_and(|file| file.len() <= limit)
    };
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for path in files("", wanted) {
        let bytes = fs::read(&path).expect("a corpus file");
        let Some(format) = detect(&bytes).format else { continue };
        if seen.insert(bytes.clone()) {
            let name = path.strip_prefix(&corpus).unwrap_or(&path).display().to_string();
            found.push(Genuine { name, bytes, format });
        }
    }
    found.sort_by_key(|file| std::cmp::Reverse(file.bytes.len()));
    found
}

/// The live records, read in about `parts` parts.
pub fn records<'a>(db: &dyn Database<'a>, parts: usize) -> Vec<Record<'a>> {
    let view = db.view(KeyOrder::Unsigned, parts);
    let mut records = Vec::new();
    for part in 0..view.parts() {
        view.walk(part, &mut |record| {
            records.push(record);
            true
        });
    }
    records
}

/// Records as `cyr_dbtool … show` prints them.
pub fn dumped(records: &[Record<'_>]) -> Vec<u8> {
    let lines = records.iter().map(|record| [&record.key, &b"\t"[..], &record.value, b"\n"].concat());
    lines.collect::<Vec<_>>().concat()
}

/// Tiles follow each other from 0 to the file's length.
pub fn assert_tiled<'a>(database: &dyn Database<'a>, len: usize) {
    let end = database.tiles().fold(0, |at, tile| {
        assert_eq!(tile.span.start, at);
        assert!(!tile.span.is_empty());
        for field in &tile.fields {
            assert!(tile.span.start <= field.span.start && field.span.end <= tile.span.end, "{tile:?}");
        }
        tile.span.end
    });
    assert_eq!(end, len as u64);
}

/// Opens every door of a database and walks through.
pub fn exercise<'a>(database: &dyn Database<'a>, len: usize) {
    assert_tiled(database, len);
    database.verify(Depth::Full, &mut |finding| assert!(finding.span.end <= len as u64));
    for parts in [1, 3] {
        let view = database.view(KeyOrder::Mbox, parts);
        for part in 0..view.parts() {
            view.walk(part, &mut |record| record.span.end <= len as u64);
        }
        view.get(b"user.b");
        view.prefix(b"user.", &mut |_| true);
    }
    let carved = database.carve(KeyOrder::Mbox);
    assert!(carved.lost.iter().all(|lost| lost.span.end <= len as u64));
    database.as_cyrus(KeyOrder::Mbox);
    database.order();
    database.facts();
}

/// Hands over `bytes` cut at every byte, and with every byte overwritten in turn.
pub fn maul(bytes: &[u8], mut visit: impl FnMut(&[u8])) {
    for len in 0..=bytes.len() {
        visit(&bytes[..len]);
    }
    let mut mauled = bytes.to_vec();
    for at in 0..bytes.len() {
        for byte in [0, b'\t', b'\n', 0xFF, b'"', b'{', bytes[at] ^ 1] {
            mauled[at] = byte;
            visit(&mauled);
        }
        mauled[at] = bytes[at];
    }
}

/// A room's document, its rules and its tests are one list: a row `| CODE | requirement | test |` for each rule, in their
/// order, and a test function of that name, `ROOM_NN_rule_name`.
pub fn assert_rules(document: &str, rules: &[&Rule], tests: &str, room: &str) {
    let prefix = room.to_uppercase();
    let mut rows = document.lines().filter(|line| line.starts_with(&format!("| {prefix}-")));
    for (rule, number) in rules.iter().zip(1..) {
        let test = format!("{room}_{number:02}_{}", rule.name.replace('-', "_"));
        assert_eq!(rule.code, format!("{prefix}-{number}"));
        assert!(tests.contains(&format!("#[test]\nfn {test}() {{")), "no test {test}");
        let row = rows.next().unwrap_or_else(|| panic!("no row for {}", rule.code));
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!((cells[1], cells[cells.len() - 2]), (rule.code, format!("`{test}`").as_str()), "{row}");
        assert!(!rule.advice.is_empty() && cells[2].len() > 10, "{row}");
    }
    assert_eq!(rows.next(), None);
    assert_eq!(tests.matches(&format!("\nfn {room}_")).count(), rules.len());
}
