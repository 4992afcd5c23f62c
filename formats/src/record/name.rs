//! Mailbox names: the internal form of all versions, and the form that keys have since 3.6.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use bstr::ByteSlice;

/// First element of the name of a mailbox that a delayed delete moved away (`deletedprefix`'s default).
pub const DELETED_PREFIX: &[u8] = b"DELETED";

/// How a name is spelt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Form {
    /// `example.com!user.a^b.Sub`: separator '.', a '.' inside an element is '^', the domain ends with '!'.
    Internal,
    /// `example.com<1D>user<1F>a.b<1F>Sub`: separator 0x1F, the domain ends with 0x1D (keys since 3.6).
    Db,
}

impl Form {
    /// The byte between two elements.
    pub fn separator(self) -> u8 {
        match self {
            Form::Internal => b'.',
            Form::Db => 0x1F,
        }
    }

    /// The byte behind the domain.
    pub fn domain_end(self) -> u8 {
        match self {
            Form::Internal => b'!',
            Form::Db => 0x1D,
        }
    }
}

/// A mailbox name, as it is spelt in the record.
///
/// Two names are equal when they name the same mailbox, whatever their forms.
#[derive(Clone)]
pub struct Name<'a> {
    form: Form,
    bytes: Cow<'a, [u8]>,
}

/// The parts of a name that a delayed delete made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deleted {
    /// When, in seconds since 1970-01-01 UTC; `None` where the last element is no hexadecimal time.
    pub time: Option<u64>,
}

impl<'a> Name<'a> {
    /// A name in `form`.
    pub fn new(form: Form, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Name { form, bytes: bytes.into() }
    }

    /// A name in internal form.
    pub fn internal(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Name::new(Form::Internal, bytes)
    }

    /// A name in the form of the keys of 3.6 and later.
    pub fn db(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Name::new(Form::Db, bytes)
    }

    /// How it is spelt.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Its bytes in its own form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it has no byte.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The same name with bytes of its own.
    pub fn into_owned(self) -> Name<'static> {
        Name { form: self.form, bytes: Cow::Owned(self.bytes.into_owned()) }
    }

    /// Its internal form.
    pub fn to_internal(&self) -> Cow<'_, [u8]> {
        self.spelt(Form::Internal)
    }

    /// Its form in keys of 3.6 and later.
    pub fn to_db(&self) -> Cow<'_, [u8]> {
        self.spelt(Form::Db)
    }

    /// The bytes it has in `form` (`imap/mboxname.c`, `mboxname_to_dbname` and `mboxname_from_dbname`).
    pub fn spelt(&self, form: Form) -> Cow<'_, [u8]> {
        if form == self.form { Cow::Borrowed(&self.bytes) } else { Cow::Owned(self.respelt(form)) }
    }

    /// The bytes it has in `form`, which is not its own.
    fn respelt(&self, form: Form) -> Vec<u8> {
        let local = self.local();
        let mut bytes = Vec::with_capacity(self.bytes.len());
        bytes.extend_from_slice(self.bytes.get(..self.bytes.len().saturating_sub(local.len())).unwrap_or_default());
        if let Some(end) = bytes.last_mut() {
            *end = form.domain_end();
        }
        match form {
            Form::Db => bytes.extend(local.iter().map(|&byte| to_db_byte(byte, 0, 0))),
            Form::Internal => bytes.extend(local.iter().map(|&byte| to_internal_byte(byte, 0, 0))),
        }
        bytes
    }

    /// The same name in `form`, with bytes of its own where they differ.
    pub fn into_form(self, form: Form) -> Name<'a> {
        if form == self.form {
            return self;
        }
        let bytes = self.respelt(form);
        Name::new(form, bytes)
    }

    /// Whether spelling it in the other form and back gives the same bytes.
    ///
    /// It does not for a byte that only the other form gives a meaning: '^' and '!' in keys, 0x1D and 0x1F in internal
    /// names. Cyrus lets none of them into a name.
    pub fn converts_exactly(&self) -> bool {
        let local = self.local();
        match self.form {
            Form::Internal => !self.bytes.iter().any(|&b| b == 0x1F || b == 0x1D) && !local.contains(&b'!'),
            Form::Db => {
                !self.domain().is_some_and(|d| d.contains(&b'!')) && !local.iter().any(|b| b"^!\x1D".contains(b))
            }
        }
    }

    /// Its bytes in `form`, one by one.
    pub fn bytes_in(&self, form: Form) -> impl Iterator<Item = u8> + '_ {
        let domain_len = self.domain().map_or(0, |domain| domain.len().saturating_add(1));
        let (from, change) = (self.form, self.form != form);
        self.bytes.iter().enumerate().map(move |(index, &byte)| match (change, from) {
            (false, _) => byte,
            (true, Form::Internal) => to_db_byte(byte, index, domain_len),
            (true, Form::Db) => to_internal_byte(byte, index, domain_len),
        })
    }

    /// The virtual domain, if it names one.
    pub fn domain(&self) -> Option<&[u8]> {
        let end = self.bytes.find_byte(self.form.domain_end())?;
        self.bytes.get(..end)
    }

    /// What stands behind the domain; all of it where there is none.
    pub fn local(&self) -> &[u8] {
        let start = self.domain().map_or(0, |domain| domain.len().saturating_add(1));
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Its elements behind the domain, in its own form: `DELETED`, `user`, `a^b`, `Sub`.
    pub fn elements(&self) -> impl DoubleEndedIterator<Item = &[u8]> + '_ {
        let separator = self.form.separator();
        self.local().split(move |&byte| byte == separator)
    }

    /// What a delayed delete made of its name, if it is one of those; the first element must be [`DELETED_PREFIX`].
    pub fn deleted(&self) -> Option<Deleted> {
        let mut elements = self.elements();
        if elements.next()? != DELETED_PREFIX {
            return None;
        }
        let time = elements.next_back().and_then(hex_time);
        Some(Deleted { time })
    }

    /// The user's own element in its own form, also of a deleted mailbox: `a^b` of `DELETED.user.a^b.Sub.5C3F0A11`.
    fn user_element(&self) -> Option<&[u8]> {
        let mut elements = self.elements();
        let mut first = elements.next()?;
        if first == DELETED_PREFIX {
            first = elements.next()?;
        }
        if first != b"user" {
            return None;
        }
        elements.next().filter(|user| !user.is_empty())
    }

    /// The user it belongs to, without domain and with '.' for '^': `a.b`; `None` for shared mailboxes.
    pub fn user(&self) -> Option<Cow<'_, [u8]>> {
        let element = self.user_element()?;
        if self.form == Form::Db || !element.contains(&b'^') {
            return Some(Cow::Borrowed(element));
        }
        Some(Cow::Owned(element.iter().map(|&byte| if byte == b'^' { b'.' } else { byte }).collect()))
    }

    /// The userid of its owner: `a.b@example.com`; `None` for shared mailboxes.
    pub fn userid(&self) -> Option<Cow<'_, [u8]>> {
        let user = self.user()?;
        match self.domain() {
            None => Some(user),
            Some(domain) => Some(Cow::Owned([&user, &b"@"[..], domain].concat())),
        }
    }

    /// Whether it is a user's INBOX: `user.a^b`, not deleted.
    pub fn is_inbox(&self) -> bool {
        let mut elements = self.elements();
        elements.next() == Some(b"user")
            && elements.next().is_some_and(|user| !user.is_empty())
            && elements.next().is_none()
    }

    /// The name of the mailbox above it, in its own form; `None` where nothing is above it, or only `user`.
    pub fn parent(&self) -> Option<Name<'_>> {
        let local = self.local();
        let cut = local.rfind_byte(self.form.separator())?;
        let end = self.bytes.len().saturating_sub(local.len()).saturating_add(cut);
        let parent = Name::new(self.form, self.bytes.get(..end)?);
        (parent.local() != b"user" && parent.local() != DELETED_PREFIX).then_some(parent)
    }

    /// The first thing that Cyrus' policy does not let into a name (`imap/mboxname.c`, `GOODCHARS`).
    pub fn flaw(&self) -> Option<Flaw> {
        let local = self.local();
        let start = self.bytes.len().saturating_sub(local.len());
        let domain = self.bytes.get(..start.saturating_sub(1)).unwrap_or_default();
        if let Some(index) = domain.iter().position(|&byte| !is_good(byte)) {
            return Some(Flaw::Byte(index, domain.get(index).copied().unwrap_or_default()));
        }
        let separator = self.form.separator();
        // In a key '^' has no meaning.
        let bad = if self.form == Form::Db { b'^' } else { separator };
        let mut before = separator;
        for (index, &byte) in local.iter().enumerate() {
            if byte == separator {
                if before == separator {
                    return Some(Flaw::EmptyElement(start.saturating_add(index)));
                }
            } else if !is_good(byte) || byte == bad {
                return Some(Flaw::Byte(start.saturating_add(index), byte));
            }
            before = byte;
        }
        (before == separator).then_some(Flaw::EmptyElement(self.bytes.len()))
    }
}

/// What is wrong with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A byte that may not be there, with its index.
    Byte(usize, u8),
    /// An element without bytes ends at this index.
    EmptyElement(usize),
}

fn to_db_byte(byte: u8, index: usize, domain_len: usize) -> u8 {
    match byte {
        b'!' if index.saturating_add(1) == domain_len => 0x1D,
        _ if index < domain_len => byte,
        b'.' => 0x1F,
        b'^' => b'.',
        other => other,
    }
}

fn to_internal_byte(byte: u8, index: usize, domain_len: usize) -> u8 {
    match byte {
        0x1D if index.saturating_add(1) == domain_len => b'!',
        _ if index < domain_len => byte,
        0x1F => b'.',
        b'.' => b'^',
        other => other,
    }
}

/// Bytes that may stand in a name.
pub(crate) const GOOD: [bool; 256] = {
    let mut good = [false; 256];
    let others = b" #$&'()*+,-.:=?@[]^_~";
    let mut byte = 0;
    while byte < 128 {
        good[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        good[others[index] as usize] = true;
        index += 1;
    }
    good
};

#[inline]
fn is_good(byte: u8) -> bool {
    GOOD.get(byte as usize).copied().unwrap_or_default()
}

/// Reads the last element of a deleted name: the time in hexadecimal seconds, upper case as `%X` prints it.
fn hex_time(element: &[u8]) -> Option<u64> {
    let hex = !element.is_empty() && element.iter().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(b));
    if !hex {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(element).ok()?, 16).ok()
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Name<'_>) -> bool {
        match self.form == other.form {
            true => self.bytes == other.bytes,
            false => self.bytes.len() == other.bytes.len() && self.bytes_in(other.form).eq(other.bytes.iter().copied()),
        }
    }
}

impl Eq for Name<'_> {}

impl PartialOrd for Name<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name<'_> {
    /// Compares internal forms as unsigned bytes.
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes_in(Form::Internal).cmp(other.bytes_in(Form::Internal))
    }
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes_in(Form::Internal).for_each(|byte| state.write_u8(byte));
    }
}

impl fmt::Display for Name<'_> {
    /// Prints the internal form; bytes that are not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.to_internal().as_bstr(), f)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.bytes.as_bstr(), f)
    }
}
