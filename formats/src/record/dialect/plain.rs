//! D values as Cyrus writes nearly all of them, read in one straight pass; whatever is unusual is left to [`super::dlist`].

use std::borrow::Cow;

use memchr::memchr2;

use super::item::{self, Spelling};
use super::layout::Layout;
use super::number::number;
use crate::record::acl::Acl;
use crate::record::entry::{Entry, Family, FieldKey, Under};
use crate::record::mbtype::MbType;
use crate::record::name::{Form, Name};

/// Number of [`FieldKey`]s.
const FIELDS: usize = 13;

/// What a record's key says of its entry.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) under: Under,
    /// The name, and how it is spelt; empty under a uniqueid or a JMAP id.
    pub(crate) name: &'a [u8],
    pub(crate) form: Form,
    /// Uniqueid or JMAP id; empty under a name.
    pub(crate) id: &'a [u8],
}

/// The fields of a record, as they stand.
struct Fields<'a> {
    texts: [&'a [u8]; FIELDS],
    /// A bit for each field that is there and not `NIL`.
    given: u16,
    layout: Layout,
}

/// Reads a value of known fields, each there once, none of them spelt in a way that Cyrus does not write; `None` for others.
#[inline(always)]
pub(crate) fn decode<'a>(place: &Place<'a>, value: &'a [u8]) -> Option<Entry<'a>> {
    let fields = fields(value)?;
    let said_by_key = match place.under {
        Under::Name => FieldKey::Name,
        Under::Uniqueid => FieldKey::Uniqueid,
        Under::Jmapid => FieldKey::Jmapid,
    };
    if fields.layout.has(said_by_key) {
        return None;
    }
    let [uidvalidity, mtime, foldermodseq, createdmodseq] = fields.numbers()?;
    let key = |field: FieldKey, bytes: &'a [u8]| match place.under {
        Under::Uniqueid if field == FieldKey::Uniqueid => Some(Cow::Borrowed(bytes)),
        Under::Jmapid if field == FieldKey::Jmapid => Some(Cow::Borrowed(bytes)),
        _ => fields.get(field),
    };
    let in_db_form = place.under != Under::Name;
    let name = if in_db_form { fields.text(FieldKey::Name) } else { place.name };
    Some(Entry {
        family: Family::Dlist,
        under: place.under,
        name: Name::new(if in_db_form { Form::Db } else { place.form }, name),
        mbtype: MbType::from_letters(fields.text(FieldKey::Type)),
        server: fields.get(FieldKey::Server),
        partition: fields.get(FieldKey::Partition),
        acl: if fields.has(FieldKey::Acl) { Acl::kvlist(fields.text(FieldKey::Acl)) } else { Acl::default() },
        uniqueid: key(FieldKey::Uniqueid, place.id),
        jmapid: key(FieldKey::Jmapid, place.id),
        uidvalidity,
        mtime,
        foldermodseq,
        createdmodseq,
        specialuse: None,
        history_raw: fields.get(FieldKey::History),
        unknown: Vec::new(),
        raw: Cow::Borrowed(value),
        letters: Cow::Borrowed(fields.text(FieldKey::Type)),
        layout: fields.layout,
    })
}

#[inline(always)]
fn fields(value: &[u8]) -> Option<Fields<'_>> {
    let mut rest = value.strip_prefix(b"%(")?;
    let mut fields = Fields { texts: [b""; FIELDS], given: 0, layout: Layout::default() };
    loop {
        let [letter, b' ', after @ ..] = rest else { return None };
        let field = FieldKey::from_letter(*letter)?;
        let (spelling, text, after) = value_of(field, after)?;
        if fields.layout.has(field) || !fields.layout.push(field, spelling) {
            return None;
        }
        if spelling != Spelling::Nil {
            fields.given |= 1 << field as u8;
            *fields.texts.get_mut(field as usize)? = text;
        }
        rest = match after {
            [b' ', next @ ..] => next,
            [b')'] => return Some(fields),
            _ => return None,
        };
    }
}

/// A field's value and what follows it.
#[inline(always)]
fn value_of(field: FieldKey, input: &[u8]) -> Option<(Spelling, &[u8], &[u8])> {
    let list = matches!(field, FieldKey::Acl | FieldKey::History);
    match input {
        [b'%', b'(', inner @ ..] if field == FieldKey::Acl => {
            let (after, inner) = item::enclosed(inner, true).ok()?;
            Some((Spelling::List, inner, after))
        }
        [b'(', b')', after @ ..] if field == FieldKey::History => Some((Spelling::List, b"", after)),
        [b'(', inner @ ..] if field == FieldKey::History => {
            let (after, inner) = item::enclosed(inner, false).ok()?;
            Some((Spelling::List, inner, after))
        }
        [] | [b'%' | b'(' | b'{', ..] => None,
        [b'"', inner @ ..] => {
            let end = memchr2(b'"', b'\\', inner)?;
            let (text, after) = inner.split_at_checked(end)?;
            let after = after.strip_prefix(b"\"")?;
            (!list).then_some((Spelling::Quoted, text, after))
        }
        _ => {
            let (after, word) = item::atom(input).ok()?;
            match word {
                b"" => None,
                b"NIL" => Some((Spelling::Nil, word, after)),
                _ => (!list).then_some((Spelling::Atom, word, after)),
            }
        }
    }
}

impl<'a> Fields<'a> {
    #[inline]
    fn has(&self, field: FieldKey) -> bool {
        self.given & 1 << field as u8 != 0
    }

    #[inline]
    fn text(&self, field: FieldKey) -> &'a [u8] {
        self.texts.get(field as usize).copied().unwrap_or_default()
    }

    #[inline]
    fn get(&self, field: FieldKey) -> Option<Cow<'a, [u8]>> {
        self.has(field).then(|| Cow::Borrowed(self.text(field)))
    }

    /// V, M, F and C; `None` if one of them is not a number as Cyrus writes it.
    #[inline(always)]
    fn numbers(&self) -> Option<[Option<u64>; 4]> {
        let read = |field: FieldKey| match self.text(field) {
            b"" if !self.has(field) => Some(None),
            [b'0', _, ..] => None,
            digits => number(digits).map(Some),
        };
        let [v, m, f, c] = [FieldKey::Uidvalidity, FieldKey::Mtime, FieldKey::Foldermodseq, FieldKey::Createdmodseq];
        Some([read(v)?, read(m)?, read(f)?, read(c)?])
    }
}
