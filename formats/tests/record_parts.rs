//! Names, types, ACLs and keys by themselves, and records made up for every era.

use std::borrow::Cow;

use bstr::ByteSlice;
use coroner_formats::record::*;
use proptest::prelude::*;

/// Names in internal form and in keys; `^` in the second stands for 0x1F, `~` for 0x1D.
const NAMES: [(&str, &str); 7] = [
    ("user.bob", "user^bob"),
    ("user.a^b.Sub", "user^a.b^Sub"),
    ("example.com!user.dave2^x.Sub", "example.com~user^dave2.x^Sub"),
    ("sub.example.org!shared", "sub.example.org~shared"),
    ("shared.news.local", "shared^news^local"),
    ("DELETED.user.tmp.6B042D2E", "DELETED^user^tmp^6B042D2E"),
    ("&ZeVnLIqe-", "&ZeVnLIqe-"),
];

fn db(text: &str) -> Vec<u8> {
    text.replace('^', "\x1F").replace('~', "\x1D").into_bytes()
}

#[test]
fn names_are_spelt_in_both_forms() {
    for (internal, key) in NAMES {
        let (a, b) = (Name::internal(internal.as_bytes()), Name::db(db(key)));
        assert_eq!(a, b);
        assert_eq!(a.to_db().as_bstr(), db(key).as_bstr());
        assert_eq!(b.to_internal().as_bstr(), internal.as_bytes().as_bstr());
        assert!(a.converts_exactly() && b.converts_exactly());
        assert_eq!((a.flaw(), b.flaw()), (None, None));
        assert_eq!(a.to_string(), internal);
        assert_eq!(b.to_string(), internal);
    }
    assert!(!Name::db(&b"user\x1Fa^b"[..]).converts_exactly());
    assert!(!Name::internal(&b"user.a\x1Fb"[..]).converts_exactly());
}

#[test]
fn names_have_parts() {
    let name = Name::internal(&b"example.com!user.a^b.Sub.x"[..]);
    for name in [name.clone(), name.into_form(Form::Db)] {
        assert_eq!(name.domain(), Some(&b"example.com"[..]));
        assert_eq!(name.user().unwrap(), &b"a.b"[..]);
        assert_eq!(name.userid().unwrap(), &b"a.b@example.com"[..]);
        assert!(!name.is_inbox() && name.deleted().is_none());
        let sub = name.parent().unwrap().into_owned();
        assert_eq!(sub.to_string(), "example.com!user.a^b.Sub");
        let inbox = sub.parent().unwrap().into_owned();
        assert!(inbox.is_inbox());
        assert_eq!(inbox.parent(), None);
    }
    let deleted = Name::internal(&b"DELETED.user.bob.Sub.5C3F0A11"[..]);
    assert_eq!(deleted.deleted().unwrap().time, Some(0x5C3F_0A11));
    assert_eq!(deleted.user().unwrap(), &b"bob"[..]);
    assert!(!deleted.is_inbox());
    assert_eq!(Name::internal(&b"DELETED.user.bob"[..]).deleted().unwrap().time, None);
    let shared = Name::internal(&b"lists.dev"[..]);
    assert_eq!((shared.user(), shared.userid(), shared.domain()), (None, None, None));
    assert_eq!(shared.elements().collect::<Vec<_>>(), [&b"lists"[..], b"dev"]);
}

/// Letter, number up to 3.4, number since 3.6; 0 where there is none.
const TYPES: [(&str, u32, u32); 15] = [
    ("r", 1, 16),
    ("z", 2, 32),
    ("n", 4, 1),
    ("m", 8, 64),
    ("d", 16, 128),
    ("c", 32, 9),
    ("a", 64, 10),
    ("b", 128, 8),
    ("i", 256, 256),
    ("s", 512, 2),
    ("p", 1024, 3),
    ("j", 0, 4),
    ("f", 0, 5),
    ("l", 0, 512),
    ("e", 0, 0),
];

#[test]
fn types_have_their_numbers_and_letters() {
    for (letter, old, new) in TYPES {
        let mbtype = MbType::from_letters(letter.as_bytes());
        assert!(mbtype.unknown.is_empty(), "{letter}");
        assert_eq!((mbtype.number(Numbering::Old), mbtype.number(Numbering::New)), (old, new), "{letter}");
        assert_eq!(mbtype.has_number(Numbering::Old), old != 0 || letter == "e", "{letter}");
        if old != 0 {
            assert_eq!(MbType::from_number(old, Numbering::Old), mbtype, "{letter}");
            assert_eq!(mbtype.letters(Numbering::Old), letter.as_bytes());
        }
        assert_eq!(MbType::from_number(new, Numbering::New), mbtype, "{letter}");
        let flag = Flag::from_letter(letter.as_bytes()[0]).is_some();
        let wanted = if flag { format!("e{letter}") } else { letter.to_string() };
        assert_eq!(mbtype.to_string(), wanted);
    }
    assert_eq!(MbType::from_letters(b"lizrmdc").to_string(), "cdmrzil");
    assert_eq!(MbType::from_letters(b"rcnd").letters(Numbering::Old), b"drcn");
    assert_eq!(MbType::from_number(1, Numbering::New).kind, Kind::Netnews);
    assert_eq!(MbType::from_number(0x806, Numbering::New).unknown.bits(), 0x806);
    assert_eq!(MbType::from_letters(b"exq?").unknown.letters().collect::<Vec<_>>(), b"qx");
}

#[test]
fn eras_know_their_own_types() {
    assert_eq!(
        Era::ALL.map(|era| era.known_bits()),
        [0, 7, 15, 15, 15, 31, 127, 255, 2047, 2047, 1023, 1023, 1023, 1023, 1023]
    );
    assert!(!Era::V3_6.knows_letter(b'j') && Era::V3_8.knows_letter(b'j'));
    assert!(Era::V3_4.knows(MbType::new(Kind::Calendar)) && !Era::V2_4.knows(MbType::new(Kind::Calendar)));
    let versions =
        [("2.2.13", Era::V2_2), ("3.6", Era::V3_6), ("3.7.0", Era::V3_8), ("3.13.7", Era::V3_13), ("1.5", Era::V1_5)];
    for (version, era) in versions {
        assert_eq!(Era::from_version(version), Some(era));
    }
    assert_eq!(Era::from_version("4.0"), None);
    assert_eq!(Era::from_version("x"), None);
}

#[test]
fn acls_convert_between_their_forms() {
    let text = Acl::text(&b"anyone\tlrs\tgroup:a b\tp\t-eve\t\t"[..]);
    let list = Acl::kvlist(text.to_kvlist().into_owned());
    assert_eq!(list.as_bytes().as_bstr(), "anyone lrs \"group:a b\" p -eve \"\"");
    assert!(list.same_pairs(&text));
    assert_eq!(list.to_text().as_bstr(), text.as_bytes().as_bstr());
    let odd = Acl::text(&b"a\tlrs\tb"[..]);
    let mut pairs = odd.pairs();
    assert_eq!(pairs.by_ref().count(), 1);
    assert_eq!(pairs.odd(), Some(&b"b"[..]));
    assert_eq!(odd.to_kvlist().as_bstr(), "a lrs");
    assert!(odd.lacks_last_tab() && !text.lacks_last_tab());
}

#[test]
fn keys_belong_to_their_families() {
    let sample = |keys: &[(&str, &str)]| {
        let keys: Vec<_> = keys.iter().map(|(key, value)| (db(key), value.as_bytes().to_vec())).collect();
        KeyStyle::guess(keys.iter().map(|(key, value)| (&key[..], &value[..])))
    };
    let old_names = [("INBOX2", "0 default a\tlrs\t"), ("News", "0 default "), ("Archive", "0 default ")];
    assert_eq!(sample(&old_names), KeyStyle::Plain);
    assert_eq!(sample(&[("Nfoo", "%(A %(a lrs) P default M 1)"), ("News", "%(A %() P x M 1)")]), KeyStyle::Plain);
    assert_eq!(sample(&[("Nfoo", "%(T er P default S a M 1 A %())")]), KeyStyle::Prefixed);
    assert_eq!(sample(&[("garbage", "x"), ("Nuser^a", "%(T e P default M 1 A %())")]), KeyStyle::Prefixed);
    assert_eq!(sample(&[("$RUNQ", "1"), ("Nuser^a", "0 default ")]), KeyStyle::Plain);
    assert_eq!(sample(&[]), KeyStyle::Prefixed);
    assert_eq!(Key::decode(b"$x", KeyStyle::Plain).family(), KeyFamily::Mailbox);
    assert_eq!(Key::decode(b"I", KeyStyle::Prefixed).family(), KeyFamily::Unknown);
    let key = Key::decode(b"AU\x1Ea\x1Euser\x1Fb", KeyStyle::Prefixed);
    assert_eq!(key, Key::ReverseAcl { scope: Scope::User, user: b"a", name: Name::internal(&b"user.b"[..]) });
}

#[test]
fn an_entry_tells_absent_from_nil_and_empty() {
    let value = b"%(T er I NIL P \"\" S be1 M 5 A %())";
    let entry = decode(b"Nx", value, &Style::NEW).entry.unwrap();
    assert!(entry.has(FieldKey::Uniqueid) && entry.is_nil(FieldKey::Uniqueid) && entry.uniqueid.is_none());
    assert!(entry.has(FieldKey::Partition) && entry.partition.as_deref() == Some(b""));
    assert!(!entry.has(FieldKey::Jmapid) && entry.jmapid.is_none());
    assert_eq!(entry.location(), &b"be1!"[..]);
    assert_eq!(entry.field_order().map(FieldKey::letter).collect::<Vec<_>>(), b"TIPSMA");
}

#[test]
fn nil_in_any_place_is_written_back() {
    for field in "TNIJPSVCFMAH".chars() {
        for value in [format!("%({field} NIL)"), format!("%(X y {field} NIL)"), format!("%({field} \"\")")] {
            for key in [&b"Nx"[..], b"Iid", b"Ju\x1EP-F"] {
                let decoded = decode(key, value.as_bytes(), &Style::NEW);
                let again = encode(decoded.entry.as_ref().unwrap(), Numbering::New);
                let number = matches!(field, 'V' | 'C' | 'F' | 'M') && value.contains('"');
                assert!(number || again == value.as_bytes(), "{value} {:?}", again.as_bstr());
            }
        }
    }
}

#[test]
fn a_changed_entry_keeps_the_rest_as_it_was() {
    let value = b"%(A %(d lrs) I id2 P default X (1 2) T c V 5 M 17)";
    let mut entry = decode(b"user.d", value, &Style::OLD).entry.unwrap();
    entry.server = Some(Cow::Borrowed(b"be1"));
    entry.mbtype = entry.mbtype.with(Flag::Remote);
    entry.uidvalidity = None;
    let changed = encode(&entry, Numbering::Old);
    assert_eq!(changed.as_bstr(), "%(A %(d lrs) I id2 P default S be1 X (1 2) T rc M 17)");
}

#[test]
fn the_history_of_a_mailbox_is_read() {
    let value = b"%(T e N user\x1Fb P p H (%(N user\x1Fa M 15 V 4 C 3 F 4 T ed P default) %(N \"x y\" M 14)))";
    let entry = decode(b"Iid", value, &Style::NEW).entry.unwrap();
    let former: Vec<_> = entry.history().collect();
    let [first, second] = &former[..] else { panic!("{former:?}") };
    assert_eq!(first.name.to_string(), "user.a");
    assert_eq!(
        (first.mtime, first.uidvalidity, first.createdmodseq, first.foldermodseq),
        (Some(15), Some(4), Some(3), Some(4))
    );
    assert!(first.mbtype.has(Flag::Deleted));
    assert_eq!(first.partition.as_deref(), Some(&b"default"[..]));
    assert_eq!((second.name.to_string(), second.partition.as_deref()), ("x y".to_string(), None));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9+_-]{1,12}", "[a-z]{1,5} [a-z]{1,5}", "[&(),:=@A-Za-z*]{1,8}"]
}

fn name() -> impl Strategy<Value = String> {
    let domain = prop_oneof![4 => Just(String::new()), 1 => Just("sub.example.com!".to_string())];
    let element = word().prop_map(|word| word.replace(['!', '.', '^', '%'], "^"));
    (domain, prop::collection::vec(element, 1..4))
        .prop_map(|(domain, parts)| format!("{domain}user.{}", parts.join(".")))
}

fn acl() -> impl Strategy<Value = Vec<(String, String)>> {
    let identifier = prop_oneof![4 => word(), 1 => "-[a-z]{3}", 1 => "group:[a-z ]{1,9}", 1 => "[a-z\"\\\\%{}é]{1,9}"];
    prop::collection::vec((identifier, "[lrswipkxtecdan0-9]{0,5}"), 0..4)
}

prop_compose! {
    fn mailbox()(
        name in name(),
        kind in prop::sample::select(&[Kind::Mail, Kind::Netnews, Kind::Calendar, Kind::Collection][..]),
        flags in prop::sample::subsequence(vec![Flag::Remote, Flag::Reserved, Flag::Moving, Flag::Deleted], 0..4),
        server in prop::option::of("[a-z0-9.-]{1,20}"),
        partition in "[a-z0-9_-]{1,20}",
        acl in acl(),
        uniqueid in prop::option::of("[0-9a-f-]{16,36}"),
        numbers in prop::array::uniform4(prop::option::of(1u64..u64::MAX)),
    ) -> Entry<'static> {
        let mut entry = Entry::new(Family::Dlist, Name::internal(name.into_bytes()));
        entry.mbtype = flags.into_iter().fold(MbType::new(kind), MbType::with);
        entry.server = server.map(|server| Cow::Owned(server.into_bytes()));
        entry.partition = Some(Cow::Owned(partition.into_bytes()));
        entry.acl = Acl::from_pairs(acl);
        entry.uniqueid = uniqueid.map(|id| Cow::Owned(id.into_bytes()));
        [entry.uidvalidity, entry.mtime, entry.foldermodseq, entry.createdmodseq] = numbers;
        entry
    }
}

/// Writes an entry as one era does and reads it back.
fn written_and_read(made: &Entry<'_>, family: Family, style: Style) {
    let key = Key::Mailbox(made.name.clone()).encode(style.keys).unwrap();
    let value = encode_as(made, family, style.numbering);
    let decoded = decode(&key, &value, &style);
    assert_eq!(decoded.faults, [], "{:?}", value.as_bstr());
    let read = decoded.entry.unwrap();
    assert_eq!((read.family, &read.name, read.mbtype), (family, &made.name, made.mbtype), "{:?}", value.as_bstr());
    assert_eq!((&read.server, &read.partition), (&made.server, &made.partition));
    assert!(read.acl.same_pairs(&made.acl), "{:?} {:?}", read.acl, made.acl);
    if matches!(family, Family::Dlist | Family::L2) {
        assert_eq!(read.uniqueid, made.uniqueid);
    }
    if family == Family::Dlist {
        let numbers = |e: &Entry<'_>| [e.uidvalidity, e.mtime, e.foldermodseq, e.createdmodseq];
        assert_eq!(numbers(&read), numbers(made));
    }
    assert_eq!(encode(&read, style.numbering).as_bstr(), value.as_bstr());
    assert_eq!(encode(&read.clone().into_owned(), style.numbering).as_bstr(), value.as_bstr());
}

proptest! {
    #[test]
    fn made_up_mailboxes_survive_every_era(entry in mailbox()) {
        written_and_read(&entry, Family::L1, Style::OLD);
        written_and_read(&entry, Family::L2, Style::OLD);
        written_and_read(&entry, Family::Dlist, Style::OLD);
        written_and_read(&entry, Family::Dlist, Style::NEW);
    }

    #[test]
    fn records_under_a_uniqueid_survive(entry in mailbox(), id in "[0-9a-f-]{16,36}") {
        let mut made = entry.clone();
        made.under = Under::Uniqueid;
        made.name = entry.name.clone().into_form(Form::Db);
        let value = encode(&made, Numbering::New);
        let key = Key::Uniqueid(id.as_bytes()).encode(KeyStyle::Prefixed).unwrap();
        let decoded = decode(&key, &value, &Style::NEW);
        prop_assert_eq!(decoded.faults, []);
        let read = decoded.entry.unwrap();
        prop_assert_eq!(&read.name, &entry.name);
        prop_assert_eq!(read.uniqueid.as_deref(), Some(id.as_bytes()));
        prop_assert_eq!(encode(&read, Numbering::New), value);
    }

    /// A damaged value is read exactly, or a fault says what is wrong; never a panic.
    #[test]
    fn damaged_values_are_exact_or_faulty(
        entry in mailbox(),
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(&["", " ", "  ", ")", "\t", "\"", "{3}", "\0"][..]),
        new: bool,
    ) {
        let style = if new { Style::NEW } else { Style::OLD };
        let mut value = encode(&entry, style.numbering);
        let at = at.index(value.len());
        value.splice(at..=at, with.bytes());
        let key = Key::Mailbox(entry.name.clone()).encode(style.keys).unwrap();
        let decoded = decode(&key, &value, &style);
        if let Some(read) = decoded.entry.as_ref().filter(|_| decoded.faults.is_empty()) {
            assert_eq!(encode(read, style.numbering).as_bstr(), value.as_bstr());
        } else {
            prop_assert!(!decoded.faults.is_empty());
        }
    }

    #[test]
    fn names_made_up_convert_and_come_back(internal in name()) {
        let name = Name::internal(internal.as_bytes());
        prop_assert!(name.converts_exactly());
        let key = name.to_db().into_owned();
        let back = Name::db(key);
        assert_eq!(back.to_internal().as_bstr(), internal.as_bytes().as_bstr());
    }
}
