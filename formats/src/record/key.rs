//! Keys: a mailbox's own, and those of the indexes that Cyrus keeps beside.

use bstr::ByteSlice;

use super::name::{Form, Name};

/// How a database spells the keys of its mailboxes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum KeyStyle {
    /// The internal name; indexes start with '$' (up to 3.4).
    Plain,
    /// `N` and the name in db form; a letter for each index (since 3.6).
    Prefixed,
}

impl KeyStyle {
    /// Which style a database has, from a sample of its records; [`KeyStyle::Prefixed`] where nothing speaks for either.
    ///
    /// Cyrus looks at the first record alone (`imap/mboxlist.c`, `mboxlist_upgrade`). That fails on a damaged first
    /// record, and on old names that start with N, I, A or J, so here all records of the sample have a say.
    pub fn guess<'k>(sample: impl IntoIterator<Item = (&'k [u8], &'k [u8])>) -> KeyStyle {
        let sum: i64 = sample.into_iter().map(|(key, value)| vote(key, value)).fold(0, i64::saturating_add);
        if sum < 0 { KeyStyle::Plain } else { KeyStyle::Prefixed }
    }
}

/// Positive for [`KeyStyle::Prefixed`], negative for [`KeyStyle::Plain`].
fn vote(key: &[u8], value: &[u8]) -> i64 {
    let for_key = match key {
        [b'$', b'R', b'A' | b'U', ..] => -8,
        _ if matches!(prefixed(key), Key::Unknown) => -2,
        _ if key.iter().any(|byte| (0x1D..=0x1F).contains(byte)) => 4,
        _ => 0,
    };
    // Since 3.6 the type is the first field of a record, up to 3.4 it never is on a live mailbox.
    let for_value = match value {
        [b'%', b'(', b'T', b' ', ..] => 1,
        [b'%', ..] => -1,
        [b'0'..=b'9', ..] => -1,
        _ => 0,
    };
    for_key + for_value
}

/// Whose mailboxes a reverse-ACL key is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Scope {
    /// Those of users: `U`.
    User,
    /// Shared ones: `S`.
    Shared,
}

/// The byte between the parts of a key since 3.6.
pub const SEPARATOR: u8 = 0x1E;

/// What a key says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key<'a> {
    /// A mailbox under its name.
    Mailbox(Name<'a>),
    /// `I`: a mailbox under its uniqueid.
    Uniqueid(&'a [u8]),
    /// `J`: a mailbox under its owner and its JMAP id (since 3.13).
    Jmap {
        /// Owner; empty for shared mailboxes.
        userid: &'a [u8],
        /// JMAP id.
        jmapid: &'a [u8],
    },
    /// `A`, or `$RACL$` up to 3.4: a mailbox that `user` may see.
    ReverseAcl {
        /// Whose mailbox it is.
        scope: Scope,
        /// Identifier as it stands in the ACL.
        user: &'a [u8],
        /// The mailbox.
        name: Name<'a>,
    },
    /// `AS<1E>`, or `$RACL` up to 3.4: reverse ACLs are kept.
    ReverseAclMarker,
    /// `$RUNQ$` (3.4): a uniqueid's name.
    UniqueidIndex {
        /// The uniqueid.
        uniqueid: &'a [u8],
        /// The mailbox.
        name: Name<'a>,
    },
    /// `$RUNQ` (3.4): the uniqueid index is kept.
    UniqueidMarker,
    /// `UG`: a user's group, or a group's user (since 3.12).
    UserGroup {
        /// What stands in front of the separator.
        first: &'a [u8],
        /// What stands behind it.
        second: &'a [u8],
    },
    /// `<1F>VER<1F>`: the version of a database of subscriptions; not expected here.
    Version,
    /// None of these.
    Unknown,
}

/// The version key of subscription databases (`imap/mboxlist.c`, `DB_VERSION_KEY`).
const VERSION_KEY: &[u8] = b"\x1FVER\x1F";

impl<'a> Key<'a> {
    /// Reads a key of a database of the given style. Never fails.
    #[inline]
    pub fn decode(key: &'a [u8], style: KeyStyle) -> Key<'a> {
        match style {
            KeyStyle::Plain => plain(key),
            KeyStyle::Prefixed => prefixed(key),
        }
    }

    /// The mailbox it names, if it names one.
    pub fn name(&self) -> Option<&Name<'a>> {
        match self {
            Key::Mailbox(name) | Key::ReverseAcl { name, .. } | Key::UniqueidIndex { name, .. } => Some(name),
            _ => None,
        }
    }

    /// A word for a person, also used in JSON.
    pub fn family(&self) -> KeyFamily {
        match self {
            Key::Mailbox(_) => KeyFamily::Mailbox,
            Key::Uniqueid(_) => KeyFamily::Uniqueid,
            Key::Jmap { .. } => KeyFamily::Jmap,
            Key::ReverseAcl { .. } | Key::ReverseAclMarker => KeyFamily::ReverseAcl,
            Key::UniqueidIndex { .. } | Key::UniqueidMarker => KeyFamily::UniqueidIndex,
            Key::UserGroup { .. } => KeyFamily::UserGroup,
            Key::Version => KeyFamily::Version,
            Key::Unknown => KeyFamily::Unknown,
        }
    }

    /// The key's bytes, as `style` spells it; `None` where that style has no such key.
    pub fn encode(&self, style: KeyStyle) -> Option<Vec<u8>> {
        let sep = &[SEPARATOR][..];
        Some(match (style, self) {
            (KeyStyle::Plain, Key::Mailbox(name)) => name.to_internal().into_owned(),
            (KeyStyle::Plain, Key::ReverseAclMarker) => b"$RACL".to_vec(),
            (KeyStyle::Plain, Key::ReverseAcl { scope, user, name }) => {
                [b"$RACL$", scope.letter(), b"$", user, b"$", &name.to_internal()].concat()
            }
            (KeyStyle::Plain, Key::UniqueidMarker) => b"$RUNQ".to_vec(),
            (KeyStyle::Plain, Key::UniqueidIndex { uniqueid, name }) => {
                [b"$RUNQ$", *uniqueid, b"$", &name.to_internal()].concat()
            }
            (KeyStyle::Prefixed, Key::Mailbox(name)) => [b"N", &name.to_db()[..]].concat(),
            (KeyStyle::Prefixed, Key::Uniqueid(uniqueid)) => [b"I", *uniqueid].concat(),
            (KeyStyle::Prefixed, Key::Jmap { userid, jmapid }) => [b"J", *userid, sep, jmapid].concat(),
            (KeyStyle::Prefixed, Key::ReverseAclMarker) => [b"AS", sep].concat(),
            (KeyStyle::Prefixed, Key::ReverseAcl { scope, user, name }) => {
                [b"A", scope.letter(), sep, user, sep, &name.to_db()].concat()
            }
            (KeyStyle::Prefixed, Key::UserGroup { first, second }) => [b"UG", *first, sep, second].concat(),
            (_, Key::Version) => VERSION_KEY.to_vec(),
            _ => return None,
        })
    }
}

impl Scope {
    fn letter(self) -> &'static [u8] {
        match self {
            Scope::User => b"U",
            Scope::Shared => b"S",
        }
    }

    /// Whose mailbox `name` is.
    pub fn of(name: &Name<'_>) -> Scope {
        if name.user().is_some() { Scope::User } else { Scope::Shared }
    }
}

/// The families of keys, for counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum KeyFamily {
    /// Mailboxes under their names.
    Mailbox,
    /// Mailboxes under their uniqueids (since 3.6).
    Uniqueid,
    /// Mailboxes under their JMAP ids (since 3.13).
    Jmap,
    /// Reverse ACLs and their marker.
    ReverseAcl,
    /// `$RUNQ` and what it marks (3.4).
    UniqueidIndex,
    /// User groups (since 3.12).
    UserGroup,
    /// The version key.
    Version,
    /// None of these.
    Unknown,
}

impl KeyFamily {
    /// All families, in the order they are listed.
    pub const ALL: [KeyFamily; 8] = [
        KeyFamily::Mailbox,
        KeyFamily::Uniqueid,
        KeyFamily::Jmap,
        KeyFamily::ReverseAcl,
        KeyFamily::UniqueidIndex,
        KeyFamily::UserGroup,
        KeyFamily::Version,
        KeyFamily::Unknown,
    ];

    /// The word printed and used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyFamily::Mailbox => "mailbox",
            KeyFamily::Uniqueid => "uniqueid",
            KeyFamily::Jmap => "jmap",
            KeyFamily::ReverseAcl => "reverse-acl",
            KeyFamily::UniqueidIndex => "uniqueid-index",
            KeyFamily::UserGroup => "user-group",
            KeyFamily::Version => "version",
            KeyFamily::Unknown => "unknown",
        }
    }
}

fn plain(key: &[u8]) -> Key<'_> {
    let Some(rest) = key.strip_prefix(b"$R") else {
        return match key {
            [] => Key::Unknown,
            VERSION_KEY => Key::Version,
            _ => Key::Mailbox(Name::new(Form::Internal, key)),
        };
    };
    match rest {
        b"ACL" => return Key::ReverseAclMarker,
        b"UNQ" => return Key::UniqueidMarker,
        _ => {}
    }
    if let Some((uniqueid, name)) = rest.strip_prefix(b"UNQ$").and_then(|rest| rest.split_once_str(b"$")) {
        return Key::UniqueidIndex { uniqueid, name: Name::internal(name) };
    }
    let (scope, rest) = match rest {
        [b'A', b'C', b'L', b'$', b'U', b'$', rest @ ..] => (Scope::User, rest),
        [b'A', b'C', b'L', b'$', b'S', b'$', rest @ ..] => (Scope::Shared, rest),
        _ => return Key::Mailbox(Name::internal(key)),
    };
    match rest.split_once_str(b"$") {
        Some((user, name)) => Key::ReverseAcl { scope, user, name: Name::internal(name) },
        None => Key::Unknown,
    }
}

fn prefixed(key: &[u8]) -> Key<'_> {
    match key {
        [b'N', name @ ..] if !name.is_empty() => Key::Mailbox(Name::new(Form::Db, name)),
        [b'I', uniqueid @ ..] if !uniqueid.is_empty() => Key::Uniqueid(uniqueid),
        [b'J', rest @ ..] => match rest.split_once_str(&[SEPARATOR]) {
            Some((userid, jmapid)) => Key::Jmap { userid, jmapid },
            None => Key::Unknown,
        },
        [b'A', b'S', SEPARATOR] => Key::ReverseAclMarker,
        [b'A', scope @ (b'U' | b'S'), SEPARATOR, rest @ ..] => match rest.split_once_str(&[SEPARATOR]) {
            Some((user, name)) => {
                let scope = if *scope == b'U' { Scope::User } else { Scope::Shared };
                Key::ReverseAcl { scope, user, name: Name::db(name) }
            }
            None => Key::Unknown,
        },
        [b'U', b'G', rest @ ..] => match rest.split_once_str(&[SEPARATOR]) {
            Some((first, second)) => Key::UserGroup { first, second },
            None => Key::Unknown,
        },
        VERSION_KEY => Key::Version,
        _ => Key::Unknown,
    }
}
