//! What must hold of every key and value, whatever the bytes.

use std::hint::black_box;

use bstr::ByteSlice;
use coroner_formats::finding::Finding;
use coroner_formats::image::Span;
use coroner_formats::record::{
    Acl, Context, Family, Form, Key, MbType, Name, Numbering, Style, Survey, check, decode, encode, encode_as, examine,
};

/// The input up to its first TAB, and what follows.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let tab = bytes.iter().position(|&byte| byte == b'\t').unwrap_or_default();
    (bytes.get(..tab).unwrap_or_default(), bytes.get(tab + usize::from(tab > 0)..).unwrap_or_default())
}

/// Decoding and encoding a record gives its own bytes, or a fault says why not; rewriting it for another era settles.
pub fn record(bytes: &[u8]) {
    let (key, value) = halves(bytes);
    examined(key, value);
    let mixed = Style { numbering: Numbering::Old, ..Style::NEW };
    for style in [Style::OLD, Style::NEW, mixed] {
        let decoded = decode(key, value, &style);
        if let Some(again) = decoded.key.encode(style.keys) {
            assert_eq!(again, key, "a key read and written");
        }
        let has_value = matches!(decoded.key, Key::Mailbox(_) | Key::Uniqueid(_) | Key::Jmap { .. });
        let Some(entry) = decoded.entry else {
            assert!(!has_value || !decoded.faults.is_empty(), "an unreadable value without a fault");
            continue;
        };
        let again = encode(&entry, style.numbering);
        if decoded.faults.is_empty() {
            assert_eq!(again.as_bstr(), value.as_bstr(), "a value read and written");
        }
        assert_eq!(entry.clone().into_owned(), entry);
        assert!(entry.history().count() <= value.len());
        for family in [Family::L0, Family::L1, Family::L2, Family::Dlist, Family::Dump] {
            let other = encode_as(&entry, family, style.numbering);
            let reread = decode(key, &other, &style);
            // Only dlists can quote whatever they hold.
            if let Some(reread) = reread.entry.filter(|_| family == Family::Dlist && reread.faults.is_empty()) {
                let again = encode(&reread, style.numbering);
                assert_eq!(again.as_bstr(), other.as_bstr(), "a value rewritten as {family:?}");
            }
        }
        black_box((entry.location(), format!("{entry:?}")));
    }
}

/// The short way through ordinary records finds and counts what the long way does.
fn examined(key: &[u8], value: &[u8]) {
    let mut context = Context::new(Style::NEW, |_| false);
    context.now = Some(1_800_000_000);
    let (mut checked, mut said) = (Vec::<Finding>::new(), Vec::<Finding>::new());
    let (mut counted, mut surveyed) = (Survey::new(Style::NEW), Survey::new(Style::NEW));
    let decoded = decode(key, value, &Style::NEW);
    check(&decoded, value, &context, Span::at(0, 1), &mut |finding| checked.push(finding));
    counted.push(&decoded, value, &context);
    examine(&mut surveyed, key, value, &context, Span::at(0, 1), &mut |finding| said.push(finding));
    assert_eq!(checked, said);
    assert_eq!(format!("{counted:?}"), format!("{surveyed:?}"));
}

/// Names, rights and types spelt another way and back are the same.
pub fn parts(bytes: &[u8]) {
    for (name, other) in [(Name::internal(bytes), Form::Db), (Name::db(bytes), Form::Internal)] {
        let back = Name::new(other, name.spelt(other).into_owned());
        if name.converts_exactly() {
            assert_eq!(back.spelt(name.form()), bytes, "a name spelt in the other form and back");
        }
        let mut ancestor = name.parent().map(Name::into_owned);
        while let Some(name) = ancestor {
            assert!(name.as_bytes().len() < bytes.len());
            ancestor = name.parent().filter(|next| next.as_bytes().len() < name.as_bytes().len()).map(Name::into_owned);
        }
        assert!(name.elements().count() <= bytes.len() + 1);
        black_box((name.deleted(), name.user(), name.userid(), name.is_inbox(), name.flaw()));
    }
    for acl in [Acl::text(bytes), Acl::kvlist(bytes)] {
        let (list, text) = (Acl::kvlist(acl.to_kvlist()), Acl::text(acl.to_text()));
        assert!(acl.pairs().count() <= bytes.len());
        assert!(list.same_pairs(&acl), "rights written as a list");
        // In text a TAB ends an element, so one inside an element can't be told from it.
        if acl.pairs().all(|pair| !pair.identifier.contains(&b'\t') && !pair.rights.contains(&b'\t')) {
            assert!(text.same_pairs(&acl), "rights written as text");
        }
        let mut pairs = acl.pairs();
        black_box((pairs.by_ref().count(), pairs.odd(), acl.lacks_last_tab()));
    }
    let number = u32::from_be_bytes([0, 1, 2, 3].map(|i| bytes.get(i).copied().unwrap_or_default()));
    for numbering in [Numbering::Old, Numbering::New] {
        assert_eq!(MbType::from_number(number, numbering).number(numbering), number);
    }
    let mbtype = MbType::from_letters(bytes);
    if bytes.iter().all(u8::is_ascii_lowercase) {
        assert_eq!(MbType::from_letters(&mbtype.letters(Numbering::New)), mbtype, "letters read and written");
    }
}
