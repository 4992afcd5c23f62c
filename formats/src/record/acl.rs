//! Access control lists: pairs of identifier and rights, as text or as a dlist.

use std::borrow::Cow;
use std::fmt;

use bstr::ByteSlice;

use super::dialect::item;

/// How a list is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum AclForm {
    /// `identifier TAB rights TAB` again and again: L0, L1, L2 values and dumps.
    Text,
    /// `identifier SP rights` again and again, each an atom, quoted or a literal: D values since 2.5.
    Kvlist,
}

/// Who may do what with a mailbox, as it stands in the record.
#[derive(Clone, PartialEq, Eq)]
pub struct Acl<'a> {
    form: AclForm,
    raw: Cow<'a, [u8]>,
}

/// An identifier and the rights it has.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct AclPair<'a> {
    /// userid, `anyone`, `anonymous` or `group:name`; '-' in front takes the rights away.
    pub identifier: Cow<'a, [u8]>,
    /// Letters.
    pub rights: Cow<'a, [u8]>,
}

impl Default for Acl<'_> {
    fn default() -> Self {
        Acl { form: AclForm::Text, raw: Cow::Borrowed(b"") }
    }
}

impl<'a> Acl<'a> {
    /// A list in text form: TAB behind each element.
    pub fn text(raw: impl Into<Cow<'a, [u8]>>) -> Self {
        Acl { form: AclForm::Text, raw: raw.into() }
    }

    /// A list as it stands between `%(` and `)`.
    pub fn kvlist(raw: impl Into<Cow<'a, [u8]>>) -> Self {
        Acl { form: AclForm::Kvlist, raw: raw.into() }
    }

    /// A list of the given pairs, in text form.
    pub fn from_pairs<I, R>(pairs: impl IntoIterator<Item = (I, R)>) -> Acl<'static>
    where
        I: AsRef<[u8]>,
        R: AsRef<[u8]>,
    {
        let mut raw = Vec::with_capacity(64);
        for (identifier, rights) in pairs {
            raw.extend_from_slice(identifier.as_ref());
            raw.push(b'\t');
            raw.extend_from_slice(rights.as_ref());
            raw.push(b'\t');
        }
        Acl::text(raw)
    }

    /// How it is written.
    pub fn form(&self) -> AclForm {
        self.form
    }

    /// Its bytes in its own form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.raw
    }

    /// Whether it has no byte.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The same list with bytes of its own.
    pub fn into_owned(self) -> Acl<'static> {
        Acl { form: self.form, raw: Cow::Owned(self.raw.into_owned()) }
    }

    /// Its complete pairs, in order, duplicates and all; borrowed except where a quoted string has escapes.
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs { form: self.form, rest: &self.raw, odd: None }
    }

    /// Whether the two give the same pairs in the same order.
    pub fn same_pairs(&self, other: &Acl<'_>) -> bool {
        (self.form == other.form && self.raw == other.raw) || self.pairs().eq(other.pairs())
    }

    /// Its text form. An identifier without rights at the end is dropped, as Cyrus does.
    pub fn to_text(&self) -> Cow<'_, [u8]> {
        if self.form == AclForm::Text {
            return Cow::Borrowed(&self.raw);
        }
        let mut text = Vec::with_capacity(self.raw.len().saturating_add(1));
        for pair in self.pairs() {
            text.extend_from_slice(&pair.identifier);
            text.push(b'\t');
            text.extend_from_slice(&pair.rights);
            text.push(b'\t');
        }
        Cow::Owned(text)
    }

    /// What stands between `%(` and `)` in a record. An identifier without rights at the end is dropped, as Cyrus does.
    pub fn to_kvlist(&self) -> Cow<'_, [u8]> {
        if self.form == AclForm::Kvlist {
            return Cow::Borrowed(&self.raw);
        }
        let mut list = Vec::with_capacity(self.raw.len());
        for (index, pair) in self.pairs().enumerate() {
            if index > 0 {
                list.push(b' ');
            }
            item::write_text(&mut list, &pair.identifier, item::spelling(&pair.identifier, false));
            list.push(b' ');
            item::write_text(&mut list, &pair.rights, item::spelling(&pair.rights, false));
        }
        Cow::Owned(list)
    }

    /// Whether a text form lacks the TAB behind its last element.
    pub fn lacks_last_tab(&self) -> bool {
        self.form == AclForm::Text && !self.raw.is_empty() && self.raw.last() != Some(&b'\t')
    }
}

impl fmt::Debug for Acl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.pairs().map(|p| (p.identifier.as_bstr().to_owned(), p.rights.as_bstr().to_owned())))
            .finish()
    }
}

/// The pairs of an [`Acl`].
#[derive(Clone, Debug)]
pub struct Pairs<'a> {
    form: AclForm,
    rest: &'a [u8],
    odd: Option<Cow<'a, [u8]>>,
}

impl<'a> Pairs<'a> {
    /// The identifier without rights that ended the list, once all pairs are read.
    pub fn odd(&self) -> Option<&[u8]> {
        self.odd.as_deref()
    }

    #[inline]
    fn element(&mut self) -> Option<Cow<'a, [u8]>> {
        if self.rest.is_empty() {
            return None;
        }
        match self.form {
            AclForm::Text => {
                let (element, rest) = self.rest.split_once_str(b"\t").unwrap_or((self.rest, b""));
                self.rest = rest;
                Some(Cow::Borrowed(element))
            }
            AclForm::Kvlist if !matches!(self.rest.first(), Some(b'"' | b'{')) => {
                let (rest, word) = item::atom(self.rest).ok()?;
                self.rest = rest.strip_prefix(b" ").unwrap_or(rest);
                Some(Cow::Borrowed(word))
            }
            AclForm::Kvlist => {
                let (rest, text) = item::text(self.rest).ok()?;
                self.rest = rest.strip_prefix(b" ").unwrap_or(rest);
                Some(text.bytes)
            }
        }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = AclPair<'a>;

    #[inline]
    fn next(&mut self) -> Option<AclPair<'a>> {
        let before = self.rest.len();
        let identifier = self.element()?;
        if let Some(rights) = self.element() {
            return (self.rest.len() < before).then_some(AclPair { identifier, rights });
        }
        if !identifier.is_empty() {
            self.odd = Some(identifier);
        }
        None
    }
}
