//! Every record that twelve Cyrus releases wrote, decoded and encoded again.

mod common;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use coroner_formats::container::{Format, KeyOrder};
use coroner_formats::record::*;
use coroner_formats::text::lines::Era;

fn style_of(records: &[(Vec<u8>, Vec<u8>)]) -> Style {
    Style::of(KeyStyle::guess(records.iter().map(|(key, value)| (&key[..], &value[..]))))
}

#[test]
fn every_genuine_value_decodes_and_encodes_to_the_same_bytes() {
    let mut count = 0;
    for path in common::sound_shows() {
        let records = common::shown_records(&path);
        let style = style_of(&records);
        let path = path.display();
        for (key, value) in &records {
            let decoded = decode(key, value, &style);
            let shown = (key.as_bstr(), value.as_bstr());
            match &decoded.key {
                Key::Mailbox(_) | Key::Uniqueid(_) | Key::Jmap { .. } => {
                    let entry =
                        decoded.entry.as_ref().unwrap_or_else(|| panic!("{path}: {shown:?}: {:?}", decoded.faults));
                    assert_eq!(encode(entry, style.numbering).as_bstr(), value.as_bstr(), "{path}");
                    assert_eq!(decoded.faults, [], "{path}: {shown:?}");
                    count += 1;
                }
                Key::Unknown => panic!("{path}: {shown:?}"),
                _ => {}
            }
            assert_eq!(decoded.key.encode(style.keys).as_deref(), Some(&key[..]), "{path}");
        }
    }
    assert!(count > 15_000, "{count}");
}

#[test]
fn the_style_of_every_genuine_file_is_known() {
    for path in common::sound_shows() {
        let records = common::shown_records(&path);
        if records.is_empty() {
            continue;
        }
        let new = path.to_string_lossy().contains("upgrade")
            || !matches!(&common::release_of(&path)[..3], "2.2" | "2.3" | "2.4" | "2.5" | "3.0" | "3.2" | "3.4");
        let wanted = if new { Style::NEW } else { Style::OLD };
        assert_eq!(style_of(&records), wanted, "{}", path.display());
    }
}

/// What a release's own `ctl_mboxlist -d` says of a database, and the style to read it with.
fn dump_of(show: &Path) -> Option<(PathBuf, Format, Style)> {
    let stem = show.to_str().unwrap().strip_suffix(".show.txt")?;
    let json = PathBuf::from(format!("{stem}.dump.json"));
    if json.exists() {
        return Some((json, Format::Json, Style::JSON));
    }
    let era = match &common::release_of(show)[..3] {
        "2.2" => Era::D1,
        "2.3" | "2.4" => Era::D2,
        "2.5" => Era::D3,
        _ => Era::D4,
    };
    let text = PathBuf::from(format!("{stem}.dump.txt"));
    text.exists().then_some((text, Format::Text, Style { dump: Some(Grammar::Lines(era)), ..Style::OLD }))
}

/// A field as a dump can show it: absent where it is empty or `(null)`.
fn shown<'e>(field: &'e Option<Cow<'_, [u8]>>) -> Option<&'e BStr> {
    field.as_deref().map(ByteSlice::as_bstr).filter(|field| !field.is_empty() && *field != "(null)")
}

/// An ACL as JSON shows it, made from its text form: an identifier once, with its last rights, or none at the end.
fn distinct(acl: &Acl<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let text = Acl::text(acl.to_text());
    let mut pairs = text.pairs();
    let mut shown: BTreeMap<_, _> =
        pairs.by_ref().map(|pair| (pair.identifier.into_owned(), pair.rights.into_owned())).collect();
    shown.extend(pairs.odd().map(|identifier| (identifier.to_vec(), Vec::new())));
    shown
}

/// Compares what the dump can hold.
fn assert_dumped(entry: &Entry<'_>, dumped: &Entry<'_>, grammar: Grammar, what: &str) {
    let number = |number: Option<u64>| number.unwrap_or_default();
    let Grammar::Lines(era) = grammar else {
        assert_eq!(entry.mbtype, dumped.mbtype, "{what}");
        assert_eq!(shown(&entry.server), shown(&dumped.server), "{what}");
        assert_eq!(shown(&entry.partition), shown(&dumped.partition), "{what}");
        assert_eq!(distinct(&entry.acl), distinct(&dumped.acl), "{what}");
        assert_eq!(shown(&entry.uniqueid), shown(&dumped.uniqueid), "{what}");
        assert_eq!(shown(&entry.jmapid), shown(&dumped.jmapid), "{what}");
        assert_eq!(number(entry.uidvalidity), number(dumped.uidvalidity), "{what}");
        assert_eq!(number(entry.foldermodseq), number(dumped.foldermodseq), "{what}");
        assert_eq!(number(entry.createdmodseq), number(dumped.createdmodseq), "{what}");
        assert_eq!(number(entry.mtime), number(dumped.mtime), "{what}");
        return;
    };
    if era != Era::D1 {
        assert_eq!(entry.mbtype, dumped.mbtype, "{what}");
    }
    let whole = shown(&entry.partition).is_some_and(|partition| partition.contains(&b'!'));
    if era == Era::D3 && !whole {
        assert_eq!((shown(&dumped.server), shown(&dumped.partition)), (None, shown(&entry.partition)), "{what}");
    } else if shown(&entry.partition).is_none() {
        assert_eq!((shown(&dumped.server), shown(&dumped.partition)), (shown(&entry.server), None), "{what}");
    } else {
        assert_eq!(entry.location(), dumped.location(), "{what}");
    }
    assert!(entry.acl.same_pairs(&dumped.acl), "{what}: {:?} {:?}", entry.acl, dumped.acl);
}

#[test]
fn entries_agree_with_what_each_release_dumps_of_them() {
    let (mut files, mut compared) = (BTreeMap::new(), 0);
    for path in common::sound_shows() {
        let Some((dump_path, format, dump_style)) = dump_of(&path) else { continue };
        let records = common::shown_records(&path);
        let style = style_of(&records);
        let bytes = fs::read(&dump_path).unwrap();
        let dump = coroner_formats::text::open(&bytes, format);
        let mut dumped = BTreeMap::new();
        let view = dump.view(KeyOrder::Unsigned, 1);
        view.walk(0, &mut |record| {
            let decoded = decode(&record.key, &record.value, &dump_style);
            let entry = decoded.entry.unwrap_or_else(|| panic!("{dump_path:?}: {:?}", record.key.as_bstr()));
            dumped.insert(record.key.to_vec(), entry.into_owned());
            true
        });
        for (key, value) in &records {
            let decoded = decode(key, value, &style);
            let (Key::Mailbox(name), Some(entry)) = (&decoded.key, &decoded.entry) else { continue };
            let what = format!("{}: {name}", path.display());
            let Some(of_dump) = dumped.remove(&*name.to_internal()) else {
                let unprintable = format == Format::Json && name.as_bytes().to_str().is_err();
                assert!(entry.is_intermediate() || unprintable, "{what} is not in the dump");
                continue;
            };
            assert_dumped(entry, &of_dump, dump_style.dump.unwrap(), &what);
            compared += 1;
        }
        assert!(dumped.is_empty(), "{}: only dumped: {:?}", path.display(), dumped.values());
        *files.entry(common::release_of(&path)).or_insert(0) += 1;
    }
    assert_eq!(files.len(), 12, "{files:?}");
    assert!(compared > 10_000, "{compared}");
}
