//! The list in memory, in the order of the database that it belongs to.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use crate::formats::record::{Form, Name};

/// What the list says of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State<'l> {
    /// Whether only the name is taken.
    pub reserved: bool,
    /// `server!partition`, or one of them.
    pub location: &'l [u8],
    /// ACL as text; empty for a reservation.
    pub acl: &'l [u8],
}

impl<'l> State<'l> {
    /// The server it is on: what stands in front of `!`.
    pub fn server(&self) -> &'l [u8] {
        server(self.location)
    }
}

/// The server of a location.
pub fn server(location: &[u8]) -> &[u8] {
    location.split(|&byte| byte == b'!').next().unwrap_or_default()
}

/// A name and its state, in one piece of memory: lists of hundreds of thousands are kept.
///
/// Two words of four bytes, little-endian: length of the key with the highest bit for a reservation, length of the
/// location; then key, location and ACL.
#[derive(Clone, Debug)]
pub(super) struct Row(Box<[u8]>);

const RESERVED: u32 = 1 << 31;

impl Row {
    pub(super) fn new(key: &[u8], state: State<'_>) -> Row {
        let word = |len: usize| u32::try_from(len).unwrap_or(u32::MAX) & !RESERVED;
        let flag = if state.reserved { RESERVED } else { 0 };
        let heads = [(word(key.len()) | flag).to_le_bytes(), word(state.location.len()).to_le_bytes()];
        Row([&heads[0], &heads[1], key, state.location, state.acl].concat().into_boxed_slice())
    }

    fn split(&self) -> (u32, u32, &[u8]) {
        let word = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        match self.0.split_first_chunk::<4>() {
            Some((key, rest)) => match rest.split_first_chunk::<4>() {
                Some((location, rest)) => (word(key), word(location), rest),
                None => (0, 0, b""),
            },
            None => (0, 0, b""),
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        let (len, _, rest) = self.split();
        rest.get(..(len & !RESERVED) as usize).unwrap_or_default()
    }

    pub(super) fn state(&self) -> State<'_> {
        let (key, location, rest) = self.split();
        let rest = rest.get((key & !RESERVED) as usize..).unwrap_or_default();
        let (location, acl) = rest.split_at_checked(location as usize).unwrap_or_default();
        State { reserved: key & RESERVED != 0, location, acl }
    }
}

impl Borrow<[u8]> for Row {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Row {}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Row) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Row) -> Ordering {
        self.key().cmp(other.key())
    }
}

/// A list in the making: fastest when names come in its order.
#[derive(Debug)]
pub struct Builder {
    form: Form,
    rows: Vec<Row>,
    /// Whether each name so far stands behind the one before.
    ascending: bool,
    /// Room for a key.
    key: Vec<u8>,
}

impl Builder {
    /// An empty list in the order of names spelt in `form`.
    pub fn new(form: Form) -> Self {
        Builder { form, rows: Vec::new(), ascending: true, key: Vec::new() }
    }

    /// Adds a name; of one that comes twice the later state counts.
    pub fn push(&mut self, name: &Name<'_>, state: State<'_>) {
        self.key.clear();
        self.key.extend(name.bytes_in(self.form));
        self.ascending = self.ascending && self.rows.last().is_none_or(|last| last.key() < &self.key[..]);
        self.rows.push(Row::new(&self.key, state));
    }

    /// The list.
    pub fn finish(self) -> List {
        let Builder { form, mut rows, ascending, .. } = self;
        if !ascending {
            // Stable: of one name, what came last stands last.
            rows.sort();
            rows.reverse();
            rows.dedup();
            rows.reverse();
        }
        List { form, rows: rows.into_iter().collect() }
    }
}

/// Names and their states. Keys are names in the form that the database spells them in, so that the order is the same.
#[derive(Clone, Debug)]
pub struct List {
    form: Form,
    rows: BTreeSet<Row>,
}

impl List {
    /// An empty list in the order of names spelt in `form`.
    pub fn new(form: Form) -> Self {
        List { form, rows: BTreeSet::new() }
    }

    /// A list of these names; where one comes twice the later counts.
    pub fn of<'r>(form: Form, rows: impl IntoIterator<Item = (Name<'r>, State<'r>)>) -> Self {
        let mut builder = Builder::new(form);
        rows.into_iter().for_each(|(name, state)| builder.push(&name, state));
        builder.finish()
    }

    /// How keys are spelt.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no name.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The key of an internal name.
    pub fn key(&self, name: &[u8]) -> Vec<u8> {
        Name::internal(name).spelt(self.form).into_owned()
    }

    /// The name of a key.
    pub fn name<'k>(&self, key: &'k [u8]) -> Name<'k> {
        Name::new(self.form, key)
    }

    /// What it says of a key.
    pub fn get(&self, key: &[u8]) -> Option<State<'_>> {
        self.rows.get(key).map(Row::state)
    }

    /// What it says of an internal name.
    pub fn find(&self, name: &[u8]) -> Option<State<'_>> {
        self.get(&self.key(name))
    }

    /// Says `state` of a key, or takes it away; gives what it said before.
    pub(super) fn set(&mut self, key: &[u8], state: Option<State<'_>>) -> Option<Row> {
        match state {
            Some(state) => self.rows.replace(Row::new(key, state)),
            None => self.rows.take(key),
        }
    }

    /// Puts back what [`List::set`] gave.
    pub(super) fn put_back(&mut self, key: &[u8], before: Option<Row>) {
        match before {
            Some(row) => drop(self.rows.replace(row)),
            None => drop(self.rows.take(key)),
        }
    }

    /// The names behind a key, or all, in order, with their keys.
    pub fn behind(&self, key: Option<&[u8]>) -> impl Iterator<Item = (&[u8], State<'_>)> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.rows.range::<[u8], _>((from, Bound::Unbounded)).map(|row| (row.key(), row.state()))
    }

    /// All names in order, with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], State<'_>)> {
        self.rows.iter().map(|row| (row.key(), row.state()))
    }

    /// Whether a mailbox of that name is there, or one below it.
    fn has_tree(&self, key: &[u8]) -> bool {
        let separator = self.form.separator();
        let found = self.rows.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).next();
        found.is_some_and(|row| {
            row.key().strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.first() == Some(&separator))
        })
    }

    /// Whether a Cyrus frontend can lose this name when it merges its list with ours.
    ///
    /// It walks both lists, which stand in the order of keys, by comparing internal names (`imap/mupdate.c`,
    /// `mupdate_synchronize`): where a name goes on, behind another one that has mailboxes below it, with a byte in front
    /// of '.', the two orders differ, and what stands behind is deleted. Bytes from 0x80 on stand elsewhere in skiplist files.
    pub fn is_endangered(&self, key: &[u8]) -> bool {
        key.iter().enumerate().any(|(index, &byte)| match byte {
            0x80.. => true,
            b' '..=b'-' => key.get(..index).is_some_and(|parent| !parent.is_empty() && self.has_tree(parent)),
            _ => false,
        })
    }
}
