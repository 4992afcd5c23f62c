//! Entries of every era, invented: written, read, and what of them an encoding can't hold.

use std::borrow::Cow;

use coroner_formats::record::{
    Acl, Entry, Era, Family, Flag, Kind, MbType, Name, Numbering, Style, Under, decode, encode, encode_as,
    write_history,
};
use proptest::prelude::*;

fn text(pattern: &'static str) -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(pattern.prop_map(String::into_bytes))
}

fn mbtypes(era: Era) -> impl Strategy<Value = MbType> {
    let kinds: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| *kind == Kind::Mail || era.knows_letter(kind.letter())).collect();
    let flags: Vec<Flag> = Flag::ALL.into_iter().filter(|flag| era.knows_letter(flag.letter())).collect();
    let count = flags.len();
    (proptest::sample::select(kinds), proptest::sample::subsequence(flags, 0..=count))
        .prop_map(|(kind, flags)| flags.into_iter().fold(MbType::new(kind), MbType::with))
}

/// Identifiers and rights, spaces, quotes, brackets and bytes beyond ASCII among them.
fn acls() -> impl Strategy<Value = Acl<'static>> {
    let identifier = "[ -~\u{e4}]{1,12}|anyone|group:[a-z]{1,6}|-[a-z]{1,6}";
    proptest::collection::vec((identifier, "[lrswipkxtecdan0-9]{0,8}"), 0..4).prop_map(Acl::from_pairs)
}

fn eras() -> impl Strategy<Value = Era> {
    proptest::sample::select(Era::ALL.to_vec())
}

/// An entry that a release of `era` could have written, under its name.
fn entries(era: Era) -> impl Strategy<Value = Entry<'static>> {
    let name = "(example\\.com!)?(user\\.)?[a-zA-Z0-9^+-]{1,8}(\\.[a-zA-Z0-9 &-]{1,8}){0,3}";
    let place =
        if era >= Era::V2_5 { ("[!-~]{1,12}", "[ -~\u{f6}]{1,12}") } else { ("[a-z0-9.]{1,12}", "[a-z0-9]{1,12}") };
    let texts = (text(place.0), place.1, text("[0-9a-f-]{1,36}|[ -~]{1,12}"), text("P[A-Z]{1,4}"));
    let number = || proptest::option::of(1..=u64::MAX);
    let numbers = (number(), number(), number(), number());
    (name, mbtypes(era), acls(), texts, numbers).prop_map(move |(name, mbtype, acl, texts, numbers)| {
        let mut entry = Entry::new(era.family(), Name::internal(name.into_bytes()));
        (entry.mbtype, entry.acl) = (mbtype, acl);
        entry.server = texts.0.map(Cow::Owned);
        entry.partition = Some(Cow::Owned(texts.1.into_bytes()));
        if era >= Era::V2_5 {
            (entry.uniqueid, entry.uidvalidity, entry.mtime) = (texts.2.map(Cow::Owned), numbers.0, numbers.1);
        }
        entry.foldermodseq = numbers.2.filter(|_| era >= Era::V3_0);
        entry.createdmodseq = numbers.3.filter(|_| era >= Era::V3_2);
        entry.jmapid = texts.3.filter(|_| era >= Era::V3_13).map(Cow::Owned);
        entry
    })
}

fn of_any_era() -> impl Strategy<Value = (Era, Entry<'static>)> {
    eras().prop_flat_map(|era| (Just(era), entries(era)))
}

fn of_new_eras() -> impl Strategy<Value = (Era, Entry<'static>)> {
    let eras: Vec<Era> = Era::ALL.into_iter().filter(|&era| era >= Era::V3_6).collect();
    proptest::sample::select(eras).prop_flat_map(|era| (Just(era), entries(era)))
}

fn key(entry: &Entry<'_>, style: Style) -> Vec<u8> {
    match style == Style::NEW {
        true => [b"N", &*entry.name.to_db()].concat(),
        false => entry.name.to_internal().into_owned(),
    }
}

/// Whether two entries say the same.
fn same(a: &Entry<'_>, b: &Entry<'_>) -> bool {
    let said = |e: &Entry<'_>| {
        let texts = [&e.server, &e.partition, &e.uniqueid, &e.jmapid].map(|text| text.as_deref().map(<[u8]>::to_vec));
        (texts, [e.uidvalidity, e.mtime, e.foldermodseq, e.createdmodseq], e.mbtype)
    };
    a.name == b.name && said(a) == said(b) && a.acl.same_pairs(&b.acl)
}

proptest! {
    #[test]
    fn what_an_era_writes_it_reads((era, entry) in of_any_era()) {
        let style = era.style();
        let mut entry = entry;
        if era == Era::V1_5 {
            entry.mbtype = MbType::default();
        }
        let written = entry.clone().as_written_in(era);
        let (key, value) = (key(&entry, style), encode(&written, style.numbering));
        let read = decode(&key, &value, &style);
        prop_assert!(read.faults.is_empty(), "{era:?} {:?} {:?}", bstr::BStr::new(&value), read.faults);
        let read = read.entry.expect("an entry");
        prop_assert!(same(&read, &entry), "{era:?} {:?}\n{read:?}\n{entry:?}", bstr::BStr::new(&value));
        prop_assert_eq!(encode(&read, style.numbering), value, "the same bytes again");
    }

    #[test]
    fn a_record_under_a_uniqueid_says_whose_it_is((era, entry) in of_new_eras(), formers in 0usize..3) {
        let mut entry = entry;
        entry.uniqueid.get_or_insert(Cow::Borrowed(b"5f8d0c3e"));
        let remembered = vec![former(&entry); formers];
        entry.under = Under::Uniqueid;
        entry.history_raw = Some(Cow::Owned(write_history(remembered, era.quotes_separators())));
        let key = [b"I", entry.uniqueid.as_deref().unwrap_or_default()].concat();
        let value = encode(&entry.clone().as_written_in(era), Numbering::New);
        let read = decode(&key, &value, &Style::NEW);
        prop_assert!(read.faults.is_empty(), "{:?}", read.faults);
        let read = read.entry.expect("an entry");
        prop_assert!(same(&read, &entry));
        let names: Vec<_> = read.history().map(|former| former.name.to_string()).collect();
        prop_assert_eq!(names, vec![entry.name.to_string(); formers]);
    }

    #[test]
    fn fields_that_no_version_writes_are_kept((era, entry) in of_any_era(), unknown in "Z[a-z]{0,3} [a-z]{1,5}") {
        prop_assume!(era.family() == Family::Dlist);
        let mut entry = entry;
        let field = coroner_formats::record::UnknownField {
            key: Cow::Owned(unknown.split(' ').next().unwrap_or_default().as_bytes().to_vec()),
            raw: Cow::Owned(unknown.into_bytes()),
        };
        entry.unknown.push(field.clone());
        let style = era.style();
        let (key, value) = (key(&entry, style), encode(&entry.as_written_in(era), style.numbering));
        let read = decode(&key, &value, &style).entry.expect("an entry");
        prop_assert_eq!(read.unknown, vec![field]);
    }

    #[test]
    fn words_that_would_break_an_l2_value_are_left_out(uniqueid in "[a-f0-9 ()]{0,16}", specialuse in "[A-Za-z) ]{0,8}") {
        let mut entry = Entry::new(Family::L2, Name::internal(&b"user.a"[..]));
        entry.partition = Some(Cow::Borrowed(b"default"));
        entry.uniqueid = Some(Cow::Owned(uniqueid.clone().into_bytes()));
        entry.specialuse = Some(Cow::Owned(specialuse.clone().into_bytes()));
        let value = encode_as(&entry, Family::L2, Numbering::Old);
        let read = decode(b"user.a", &value, &Style::OLD);
        prop_assert!(read.faults.is_empty(), "{:?}", read.faults);
        let read = read.entry.expect("an entry");
        let whole = |word: &str| (!word.is_empty() && !word.contains([' ', ')'])).then(|| word.as_bytes().to_vec());
        prop_assert_eq!(read.uniqueid.map(Cow::into_owned), whole(&uniqueid));
        prop_assert_eq!(read.specialuse.map(Cow::into_owned), whole(&specialuse));
        prop_assert_eq!(read.partition.as_deref(), Some(&b"default"[..]));
    }
}

/// What a successor remembers of an entry.
fn former(entry: &Entry<'static>) -> coroner_formats::record::Former<'static> {
    coroner_formats::record::Former {
        name: entry.name.clone(),
        mtime: entry.mtime,
        uidvalidity: entry.uidvalidity,
        createdmodseq: entry.createdmodseq,
        foldermodseq: entry.foldermodseq,
        mbtype: entry.mbtype,
        partition: entry.partition.clone(),
    }
}
