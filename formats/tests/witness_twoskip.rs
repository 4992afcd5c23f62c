//! The real Cyrus as witness: files that coroner wrote are opened, checked, changed and repacked by `cyr_dbtool`.

mod common;

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use coroner_formats::container::twoskip::layout::Header;
use coroner_formats::container::twoskip::{Db, writer};
use coroner_formats::container::{CyrusOutcome, Database, Depth, KeyOrder};
use coroner_formats::finding::Severity;

const DBTOOL: &str = "/usr/lib/cyrus/bin/cyr_dbtool";

/// A folder that `cyr_dbtool` can work in; gone when dropped.
struct Witness {
    folder: PathBuf,
}

impl Witness {
    /// `None`, said out loud, where Cyrus is not installed; in CI that is a failure.
    fn new(name: &str) -> Option<Witness> {
        if !Path::new(DBTOOL).exists() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "Cyrus is not installed, and CI needs it");
            eprintln!("Cyrus is not installed: {name} is not tested against it");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("coroner-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let conf = format!("configdirectory: {0}\npartition-default: {0}\n", folder.display());
        fs::write(folder.join("imapd.conf"), conf).unwrap();
        Some(Witness { folder })
    }

    fn place(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        path
    }

    /// Runs `cyr_dbtool PATH twoskip WORDS…`, as user cyrus where we are root.
    fn run(&self, path: &Path, words: &[&str]) -> Output {
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut command = Command::new(if is_root { "setpriv" } else { DBTOOL });
        if is_root {
            command.args(["--reuid", "cyrus", "--regid", "mail", "--clear-groups", DBTOOL]);
        }
        command.arg("-C").arg(self.folder.join("imapd.conf")).arg(path).arg("twoskip").args(words);
        command.output().unwrap()
    }

    fn said(&self, path: &Path, words: &[&str]) -> Vec<u8> {
        let output = self.run(path, words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        output.stdout
    }

    fn is_consistent(&self, path: &Path) -> bool {
        self.said(path, &["consistent"]).starts_with(b"Yes")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn written(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let records = records.iter().map(|(key, value)| (key, value));
    writer::write(Cursor::new(Vec::new()), records, writer::Options::default()).unwrap().into_inner()
}

fn shown(records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    records.iter().flat_map(|(key, value)| [key, &b"\t"[..], value, &b"\n"[..]].concat()).collect()
}

fn assert_sound(path: &Path) {
    let bytes = fs::read(path).unwrap();
    Db::new(&bytes).verify(Depth::Full, &mut |finding| assert_eq!(finding.severity(), Severity::Note, "{finding:?}"));
}

type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Databases of the shapes that a writer can get wrong.
fn cases() -> Vec<(&'static str, Records)> {
    let simple = |count: usize| {
        (0..count).map(|i| (format!("user.{i:05}").into_bytes(), format!("value {i}").into_bytes())).collect::<Vec<_>>()
    };
    let mut long = simple(3);
    long.push((vec![b'v'; 70_000], b"the value of a long key".to_vec()));
    long.push((vec![b'w'; 65_535], vec![b'x'; 100_000]));
    let empty_values = (0..50).map(|i| (format!("key {i:03}").into_bytes(), Vec::new())).collect();
    let odd =
        [&b"\x01"[..], b"a\x1fb", b"\x80", b"\xC3\xA9", b"\xFF\xFF"].map(|key| (key.to_vec(), key.to_vec())).to_vec();
    vec![
        ("none", Vec::new()),
        ("one", simple(1)),
        ("two", simple(2)),
        ("thousand", simple(1000)),
        ("empty-values", empty_values),
        ("long", long),
        ("odd", odd),
    ]
}

#[test]
fn cyrus_reads_and_changes_what_the_writer_wrote() {
    let Some(witness) = Witness::new("writer") else { return };
    for (name, records) in cases() {
        let path = witness.place(&format!("{name}.db"), &written(&records));
        assert!(witness.is_consistent(&path), "{name}");
        assert!(witness.said(&path, &["show"]) == shown(&records), "{name}");
        for (key, value) in records.iter().filter(|(key, _)| key.len() < 100 && !key.contains(&0xFF)).step_by(37) {
            if let Ok(key) = std::str::from_utf8(key) {
                let answer = witness.said(&path, &["get", key]);
                assert!(answer.strip_suffix(b"\n") == Some(value) || value.is_empty(), "{name} {key:?}");
            }
        }
        witness.said(&path, &["set", "between", "new"]);
        assert!(witness.is_consistent(&path), "{name} after a store");
        assert_sound(&path);
        for (key, _) in records.iter().step_by(97).filter(|(key, _)| key.len() < 100) {
            if let Ok(key) = std::str::from_utf8(key) {
                witness.said(&path, &["delete", key]);
            }
        }
        assert!(witness.is_consistent(&path), "{name} after deletes");
        assert_sound(&path);
        witness.said(&path, &["repack"]);
        assert!(witness.is_consistent(&path), "{name} after a repack");
        assert_sound(&path);
        let bytes = fs::read(&path).unwrap();
        let view_len = {
            let mut count = 0;
            Db::new(&bytes).view(KeyOrder::Unsigned, 1).walk(0, &mut |_| {
                count += 1;
                true
            });
            count
        };
        let shown = witness.said(&path, &["show"]);
        assert_eq!(view_len, shown.split(|&byte| byte == b'\n').count() - 1, "{name}");
    }
}

/// Damages a file in the way that `round` stands for.
fn damage(bytes: &mut Vec<u8>, round: usize) -> String {
    let len = bytes.len();
    let at = round.wrapping_mul(2_654_435_761) % len;
    match round % 6 {
        0 => bytes.truncate(at.max(64)),
        1 => bytes.extend(vec![0xA5; 8 + at % 300]),
        2 => bytes[at] ^= 1 << (round % 8),
        3 => {
            let end = (at + 64).min(len);
            bytes[at..end].fill(0);
        }
        4 => bytes.truncate(len - 1 - at % 200),
        _ => {
            let header = Header::decode(coroner_formats::image::Cursor::new(bytes)).unwrap();
            let header = Header { flags: 1, current_size: header.current_size - 8 * (at as u64 % 40), ..header };
            bytes[..64].copy_from_slice(&header.encode());
        }
    }
    format!("way {} at {at} of {len}", round % 6)
}

#[test]
fn cyrus_makes_of_damaged_files_what_we_foretell() {
    let Some(witness) = Witness::new("foretold") else { return };
    let names = ["logtail/overwrites", "logtail/purged", "murder-twoskip/mup", "incidents/outage/be1", "repacked/be1"];
    for round in 0..60 {
        let name = names[round % names.len()];
        let file = common::corpus().join(format!("cyrus-3.6.1/{name}.twoskip.db"));
        let mut bytes = fs::read(file).unwrap();
        let how = format!("{name}, round {round}, {}", damage(&mut bytes, round));
        let path = witness.place("damaged.db", &bytes);
        let output = witness.run(&path, &["show"]);
        let code = output.status.code();
        match Db::new(&bytes).as_cyrus(KeyOrder::Unsigned) {
            CyrusOutcome::Opens(records) => {
                assert_eq!(code, Some(0), "{how}: {output:?}");
                let records: Records = records.iter().map(|r| (r.key.to_vec(), r.value.to_vec())).collect();
                assert!(output.stdout == shown(&records), "{how}: {} records", records.len());
            }
            CyrusOutcome::Refuses(why) => assert_eq!(code, Some(75), "{how}: {why}"),
            CyrusOutcome::Dies(why) => assert_eq!(code, Some(70), "{how}: {why}"),
        }
        let leftover = path.with_extension("db.NEW");
        let _ = fs::remove_file(leftover);
    }
}
