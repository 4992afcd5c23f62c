//! What the real Cyrus 3.6.1 makes of repaired databases, and its lock against repairs in place.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use coroner::formats::container::{Format, KeyOrder, WriteOptions, detect, flat, open, write};

use common::coroner;
use common::cyrus::Cyrus;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The records of a database in the order of its keys.
fn records(path: &Path) -> Pairs {
    let bytes = fs::read(path).expect("a database");
    let database = open(&bytes, detect(&bytes).format.expect("a format"));
    let mut records = Pairs::new();
    database.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        records.push((record.key.into_owned(), record.value.into_owned()));
        true
    });
    records
}

/// A file of these records that Cyrus may change.
fn place(cyrus: &Cyrus, name: &str, format: Format, mut records: Pairs) -> PathBuf {
    let order = if format == Format::Flat { KeyOrder::Mbox } else { KeyOrder::Unsigned };
    records.sort_by(|a, b| order.compare(&a.0, &b.0));
    let path = cyrus.place(name, b"");
    let mut file = fs::File::create(&path).expect("a file");
    let options = WriteOptions { order, time: 1_795_430_512, style: flat::Style::Escaped };
    write(&mut file, format, records, &options).expect("written");
    path
}

/// What `ctl_mboxlist -d` prints.
fn dump(cyrus: &Cyrus, path: &Path, format: Format) -> String {
    let output = cyrus.mboxlist(path, format, &["-d", "-y"]);
    assert!(output.status.success(), "{path:?}: {}", output.stderr.as_bstr());
    output.stdout.as_bstr().to_string()
}

#[test]
fn cyrus_reads_a_repaired_master_as_the_master_it_was() {
    let Some(cyrus) = Cyrus::find("cyrus_reads_a_repaired_master_as_the_master_it_was") else { return };
    let master = records(&common::corpus().join("cyrus-3.6.1/murder-twoskip/mup.twoskip.db"));
    for format in [Format::Twoskip, Format::Skiplist, Format::Flat] {
        let healthy = place(&cyrus, &format!("healthy.{format}.db"), format, master.clone());
        let expected = dump(&cyrus, &healthy, format);
        for (lost, misread) in [("T e ", "T ez "), ("T n ", "T p ")] {
            let mut sick = master.clone();
            for (_, value) in &mut sick {
                *value = value.replace("T er ", lost).replace("T erz ", misread);
            }
            let sick = place(&cyrus, &format!("sick.{format}.db"), format, sick);
            assert!(dump(&cyrus, &sick, format) != expected, "Cyrus sees the defect");
            let output = coroner([Path::new("repair"), Path::new("--in-place"), &sick]);
            assert_eq!(output.status.code(), Some(0), "{}", output.stderr.as_bstr());
            assert_eq!(dump(&cyrus, &sick, format), expected, "{format}");
            let consistent = cyrus.dbtool(&sick, format, &["consistent"], b"");
            assert!(consistent.stdout.contains_str("Yes, consistent"), "{}", consistent.stdout.as_bstr());
            let (theirs, ours) = (cyrus.dbtool(&sick, format, &["show"], b""), coroner([Path::new("show"), &healthy]));
            assert_eq!(theirs.stdout.as_bstr(), ours.stdout.as_bstr());
        }
    }
}

#[test]
fn cyrus_reads_what_its_own_load_of_an_old_dump_spoilt() {
    let Some(cyrus) = Cyrus::find("cyrus_reads_what_its_own_load_of_an_old_dump_spoilt") else { return };
    let spoilt = common::corpus().join("cyrus-2.4.22/upgrade-3.6.1/uL-mup.twoskip.db");
    let file = cyrus.place("spoilt.db", &fs::read(spoilt).expect("a database"));
    let count = |letters: &str| {
        let dump = dump(&cyrus, &file, Format::Twoskip);
        dump.matches(&format!("\"mbtype\": \"{letters}\"")).count()
    };
    assert_eq!((count("n"), count("p"), count("er"), count("erz")), (41, 2, 0, 0));
    assert_eq!(coroner([Path::new("repair"), Path::new("--in-place"), &file]).status.code(), Some(0));
    assert_eq!((count("n"), count("p"), count("er"), count("erz")), (0, 0, 41, 2));
}

#[test]
fn a_repair_in_place_waits_for_cyrus_and_cyrus_finds_the_new_file() {
    let Some(cyrus) = Cyrus::find("a_repair_in_place_waits_for_cyrus_and_cyrus_finds_the_new_file") else { return };
    for format in [Format::Twoskip, Format::Skiplist, Format::Flat] {
        let shape = b"%(T e P default S be1.murder.test M 1795430512 A %(anna lrs))".to_vec();
        let records = ["Nuser\x1fanna", "Nuser\x1fbert"].map(|key| (key.into(), shape.clone()));
        let file = place(&cyrus, &format!("busy.{format}.db"), format, records.into());
        let (mut child, stdin) = cyrus.dbtool_waiting(&file, format, b"BEGIN\n");
        let name = file.to_str().expect("a plain path");
        let output = coroner(["repair", "--in-place", "--lock-timeout", "0.1", name]);
        assert_eq!(output.status.code(), Some(2));
        let says = format!("locked by process {}", child.id());
        assert!(output.stderr.contains_str(&says), "{format}: {}", output.stderr.as_bstr());
        // Without an end of the transaction nothing of it stays.
        child.kill().expect("kill");
        child.wait().expect("its end");
        drop(stdin);
        if format != Format::Flat {
            cyrus.recover_and_show(&file, format);
            cyrus.dbtool(&file, format, &["set", "zzz", "x"], b"");
            cyrus.dbtool(&file, format, &["delete", "zzz"], b"");
        }
        let output = coroner(["repair", "--in-place", name]);
        assert_eq!(output.status.code(), Some(0), "{format}: {}{}", output.stdout.as_bstr(), output.stderr.as_bstr());
        let shown = cyrus.dbtool(&file, format, &["show"], b"").stdout;
        assert_eq!(shown.find_iter("T er ").count(), 2, "{format}: {}", shown.as_bstr());
    }
}
