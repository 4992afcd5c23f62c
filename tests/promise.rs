//! What Cyrus' manual says can't be done: a mupdate master from a dump of its list, or from a frontend's copy.

mod common;

use std::fs;
use std::path::Path;

use common::mupdate::Host;
use common::{coroner, corpus, records};
use coroner::formats::record::{Key, Style, decode};

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn convert(host: &Host, source: &Path, engine: &str) {
    let out = host.database().with_extension("converted");
    let options = ["--to", engine, "--role", "master", "--era", "3.6", "--force"];
    let output = coroner([&["convert", text(source), "-o", text(&out)], &options[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    host.put(&out);
}

/// What a mupdate master on a database answers to LIST, sorted.
fn rows(database: &Path) -> Vec<Vec<u8>> {
    let row = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let decoded = decode(key, value, &Style::NEW);
        let Key::Mailbox(name) = &decoded.key else { return None };
        // A master drops reservations when it starts.
        let entry = decoded.entry.filter(|entry| !entry.is_reserved())?;
        let mut row = b"MAILBOX".to_vec();
        for part in [name.to_internal(), entry.location(), entry.acl.to_text()] {
            row.extend_from_slice(format!(" {{{}+}}\r\n", part.len()).as_bytes());
            row.extend_from_slice(&part);
        }
        row.extend_from_slice(b"\r\n");
        Some(row)
    };
    let mut rows: Vec<_> = records(database).iter().filter_map(row).collect();
    rows.sort();
    rows
}

#[test]
fn a_master_comes_back_from_its_own_dump() {
    let Some(host) = Host::find("a_master_comes_back_from_its_own_dump", "twoskip") else { return };
    host.put(&corpus().join("cyrus-3.6.1/murder-twoskip/mup.twoskip.db"));
    let before = host.list();
    assert!(before.len() > 70, "{} rows", before.len());
    let dump = host.mboxlist(&["-d"], b"").stdout;
    let saved = host.database().with_extension("json");
    fs::write(&saved, &dump).expect("a dump");

    fs::remove_file(host.database()).expect("wiped");
    let loaded = host.mboxlist(&["-u"], &dump);
    assert!(String::from_utf8_lossy(&loaded.stderr).contains("missing uniqueid"), "Cyrus' own -u");
    assert_eq!(host.list(), Vec::<Vec<u8>>::new(), "what Cyrus' own -u leaves of the dump");

    convert(&host, &saved, "twoskip");
    assert_eq!(host.list(), before);
}

#[test]
fn a_master_comes_back_from_a_frontend_in_every_container() {
    for engine in ["skiplist", "twoskip", "flat"] {
        let Some(host) = Host::find("a_master_comes_back_from_a_frontend_in_every_container", engine) else { return };
        let frontend = corpus().join(format!("cyrus-3.6.1/murder-{engine}/fe1.{engine}.db"));
        let wanted = rows(&frontend);
        assert!(wanted.len() > 60, "{engine}: {} entries", wanted.len());
        convert(&host, &frontend, engine);
        assert_eq!(host.list(), wanted, "{engine}");
    }
}

#[test]
fn merging_gives_what_backends_push_to_an_empty_master() {
    for engine in ["skiplist", "flat"] {
        let Some(host) = Host::find("merging_gives_what_backends_push_to_an_empty_master", engine) else { return };
        let folder = corpus().join(format!("cyrus-3.6.1/murder-{engine}"));
        let backends = ["be1.murder.test", "be2.murder.test"];
        let files = ["be1", "be2"].map(|name| folder.join(format!("{name}.{engine}.db")));
        let pushed = host.list_after_pushes(&[(backends[0], &files[0]), (backends[1], &files[1])], engine);
        assert!(pushed.len() > 60, "{engine}: {} rows", pushed.len());

        let out = host.database().with_extension("merged");
        let named = [0, 1].map(|number| format!("{}={}", backends[number], text(&files[number])));
        let options = ["-o", text(&out), "--to", engine, "--era", "3.6"];
        let output = coroner([&["merge", &named[0], &named[1]], &options[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{engine}: {}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(rows(&out), pushed, "{engine}: merged, and pushed");
        // And the real master serves it.
        host.put(&out);
        assert_eq!(host.list(), pushed, "{engine}: served");
    }
}
