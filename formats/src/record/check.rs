//! What can be said against a single record.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::acl::AclForm;
use super::decode::{Decoded, Style, decode};
use super::dialect::Grammar;
use super::entry::{Entry, Family, FieldKey, Under};
use super::key::{Key, KeyStyle};
use super::mbtype::{Flag, Kind, Numbering};
use super::name::{Flaw, Name};
use super::ordinary;
use super::rights::Rights;
use super::role::Role;
use super::rules;
use super::survey::Survey;
use crate::finding::{Finding, Rule, Sink};
use crate::image::Span;

/// Seconds of 2011-01-01, before any release wrote times.
pub(crate) const MTIME_MIN: u64 = 1_293_840_000;
/// Partition names of this many bytes are refused by `ctl_mboxlist -u` (`MAX_PARTITION_LEN`).
const PARTITION_LEN: usize = 64;

/// What is known about the host besides its database.
#[derive(Clone, Debug)]
pub struct Context {
    /// How its records are read.
    pub style: Style,
    /// Its role, if that was said; only then entries are held against it.
    pub role: Option<Role>,
    /// Its own name in a unified murder.
    pub servername: Option<Vec<u8>>,
    /// Identifiers that get no reverse-ACL keys (`admins`).
    pub admins: Vec<Vec<u8>>,
    /// The time now, in seconds since 1970-01-01 UTC; without it no time is too late.
    pub now: Option<u64>,
    /// Whether the reverse-ACL marker is there.
    pub reverse_acls: bool,
    /// Whether the marker of 3.4's uniqueid index is there.
    pub uniqueid_index: bool,
}

impl Context {
    /// The context of a database of `style`; `has` answers whether a key is there.
    pub fn new(style: Style, has: impl Fn(&[u8]) -> bool) -> Context {
        let has = |key: Key<'_>| key.encode(style.keys).is_some_and(|key| has(&key));
        Context {
            style,
            role: None,
            servername: None,
            admins: vec![b"cyrus".to_vec()],
            now: None,
            reverse_acls: has(Key::ReverseAclMarker),
            uniqueid_index: has(Key::UniqueidMarker),
        }
    }

    /// Whether ordinary records need no more than [`super::ordinary`] looks at.
    #[inline]
    fn is_ordinary(&self) -> bool {
        self.style == Style::NEW && self.role.is_none() && !self.reverse_acls
    }

    /// Longest name in bytes: 490 up to 3.6, 510 since 3.8.
    fn name_len_max(&self) -> usize {
        if self.style.keys == KeyStyle::Plain { 490 } else { 510 }
    }
}

/// Reports what is wrong with a record by itself: how it is written, and what it says.
#[inline]
pub fn check(decoded: &Decoded<'_>, value: &[u8], context: &Context, span: Span, sink: &mut Sink<'_>) {
    let mut report = Report { decoded, span, sink };
    for fault in &decoded.faults {
        report.say(fault.rule, fault.message.clone());
    }
    match (&decoded.key, &decoded.entry) {
        (Key::Mailbox(name), entry) => {
            check_name(name, context, &mut report);
            if let Some(entry) = entry {
                check_mailbox(entry, context, &mut report);
            }
        }
        (Key::Uniqueid(_) | Key::Jmap { .. }, Some(entry)) => check_indexed(entry, context, &mut report),
        (Key::Uniqueid(_) | Key::Jmap { .. }, None) => {}
        (key, _) => check_index(key, value, &mut report),
    }
}

/// Decodes a record, checks it and counts it: what [`decode`], [`check`] and [`Survey::push`] do in turn, and faster where
/// nothing is unusual about it.
#[inline]
pub fn examine(survey: &mut Survey, key: &[u8], value: &[u8], context: &Context, span: Span, sink: &mut Sink<'_>) {
    if context.is_ordinary() && ordinary::examine(survey, key, value, context) {
        return;
    }
    let decoded = decode(key, value, &context.style);
    check(&decoded, value, context, span, sink);
    survey.push(&decoded, value, context);
}

/// Where the findings of one record go.
struct Report<'r, 's, 'a> {
    decoded: &'r Decoded<'a>,
    span: Span,
    sink: &'r mut Sink<'s>,
}

impl Report<'_, '_, '_> {
    #[cold]
    fn say(&mut self, rule: &'static Rule, what: impl Into<Cow<'static, str>>) {
        let message = format!("{}: {}", self.who(), what.into());
        (self.sink)(Finding::new(rule, self.span, message));
    }

    fn who(&self) -> String {
        match (&self.decoded.key, &self.decoded.entry) {
            (Key::Mailbox(name), _) => name.to_string(),
            (Key::Uniqueid(id), _) => format!("record under uniqueid {}", id.as_bstr()),
            (Key::Jmap { userid, jmapid }, _) => {
                format!("record under JMAP id {} of {:?}", jmapid.as_bstr(), userid.as_bstr())
            }
            _ => "key".to_string(),
        }
    }
}

fn check_index(key: &Key<'_>, value: &[u8], report: &mut Report<'_, '_, '_>) {
    let expected = match key {
        Key::Unknown => return report.say(&rules::KEY_UNKNOWN, "no version of Cyrus has such a key here"),
        Key::Version => {
            return report
                .say(&rules::VERSION_KEY, format!("version {:?}, as only subscriptions have", value.as_bstr()));
        }
        Key::ReverseAclMarker => value.is_empty() || value == b"3",
        Key::UniqueidMarker => value == b"1",
        _ => value.is_empty(),
    };
    if !expected {
        report.say(&rules::INDEX_VALUE, format!("of an index has the value {:?}", value.as_bstr()));
    }
}

/// Checks the name in a key.
#[inline]
fn check_name(name: &Name<'_>, context: &Context, report: &mut Report<'_, '_, '_>) {
    if name.as_bytes().len() > context.name_len_max() {
        let len = name.as_bytes().len();
        report.say(&rules::NAME_LONG, format!("a name of {len} bytes; the limit is {}", context.name_len_max()));
    }
    match name.flaw() {
        None => {}
        Some(Flaw::Byte(index, byte)) => {
            report.say(&rules::NAME_BYTES, format!("byte 0x{byte:02X} at {index} of the name"));
        }
        Some(Flaw::EmptyElement(index)) => {
            report.say(&rules::NAME_ELEMENT, format!("an empty element at {index} of the name"));
        }
    }
    if name.deleted().is_some_and(|deleted| deleted.time.is_none()) {
        report.say(&rules::DELETED_TIME, "no hexadecimal time at the end of the name");
    }
}

/// Checks a mailbox's own record.
#[inline]
fn check_mailbox(entry: &Entry<'_>, context: &Context, report: &mut Report<'_, '_, '_>) {
    check_type(entry, context, report);
    check_place(entry, report);
    check_acl(entry, report);
    check_numbers(entry, context, report);
    let live = !entry.is_tombstone() && !entry.is_intermediate() && !entry.is_reserved() && !entry.is_moving();
    if live && context.style.keys == KeyStyle::Prefixed && entry.is_local() && entry.uniqueid.is_none() {
        report.say(&rules::UNIQUEID_MISSING, "a mailbox of this host without uniqueid");
    }
    if context.role.is_some() {
        check_role(entry, context, report);
    }
}

/// Checks a record under a uniqueid or a JMAP id for what the cross checks don't tell.
#[inline]
fn check_indexed(entry: &Entry<'_>, context: &Context, report: &mut Report<'_, '_, '_>) {
    if entry.name.is_empty() {
        report.say(&rules::NAMELESS, "no name in it");
    }
    if entry.under == Under::Jmapid && entry.uniqueid.is_none() && !entry.is_tombstone() {
        report.say(&rules::NAMELESS, "no uniqueid in it");
    }
    if !entry.mbtype.unknown.is_empty() || type_letter(entry).is_none() {
        check_type(entry, context, report);
    }
}

/// The letter of the type where a reader of 3.6 and later looks for it.
#[inline]
fn type_letter(entry: &Entry<'_>) -> Option<Kind> {
    let first = entry.type_letters().first()?;
    Kind::from_letter(*first)
}

#[inline]
fn check_type(entry: &Entry<'_>, context: &Context, report: &mut Report<'_, '_, '_>) {
    let new = context.style.numbering == Numbering::New;
    if entry.family == Family::Dlist || context.style.dump == Some(Grammar::Json) {
        if let [b'e'] | [b'e', b'r'] = entry.type_letters() {
            return;
        }
        if new { check_new_letters(entry, report) } else { check_old_letters(entry, report) }
    } else if new && context.style.keys == KeyStyle::Prefixed && entry.family != Family::Dump {
        let letters = entry.mbtype.to_string();
        let message = format!("a value of {} encoding, whose type Cyrus reads as {letters}", entry.family.as_str());
        report.say(&rules::OLD_VALUE, message);
    }
    if entry.mbtype.unknown.bits() != 0 {
        report.say(&rules::NUMBER_BITS, format!("bits 0x{:X} of the type mean nothing", entry.mbtype.unknown.bits()));
    }
    if entry.mbtype.has(Flag::Deleted) && entry.is_remote() {
        report.say(&rules::DELETED_REMOTE, "deleted, and on another server");
    }
}

fn check_old_letters(entry: &Entry<'_>, report: &mut Report<'_, '_, '_>) {
    let known = |letter: &u8| b"dmnrzcbaisp".contains(letter);
    if let Some(letter) = entry.type_letters().iter().find(|letter| !known(letter)) {
        let letter = [*letter];
        report.say(&rules::LETTER_IGNORED, format!("type letter {:?}", letter.as_bstr()));
    }
}

fn check_new_letters(entry: &Entry<'_>, report: &mut Report<'_, '_, '_>) {
    let letters = entry.type_letters();
    let (type_letter, flags) = match letters.split_first() {
        Some((first, rest)) if Kind::from_letter(*first).is_some() => (Some(first), rest),
        _ => (None, letters),
    };
    if type_letter.is_none() && !entry.is_nil(FieldKey::Type) {
        let shown = letters.as_bstr();
        report.say(&rules::TYPE_LOST, format!("T is {shown:?}, without the letter of a type: read as mail"));
    }
    // `imap/mboxlist.c`, `mboxlist_string_to_mbtype`: 'f' is taken anywhere.
    let wrong = flags.iter().find(|&&letter| Flag::from_letter(letter).is_none() && letter != b'f');
    if let Some(letter) = wrong {
        let letter = [*letter];
        report.say(&rules::LETTER_ABORTS, format!("type letter {:?} in T {:?}", letter.as_bstr(), letters.as_bstr()));
    }
}

/// Checks server and partition.
#[inline]
fn check_place(entry: &Entry<'_>, report: &mut Report<'_, '_, '_>) {
    let partition = entry.partition.as_deref();
    match entry.server.as_deref() {
        None => {
            if entry.is_remote() && entry.family == Family::Dlist && partition.is_none_or(|p| !p.contains(&b'!')) {
                report.say(&rules::REMOTE_NO_SERVER, "on another server, and no word on which");
            }
        }
        Some(server) => check_server(entry, server, report),
    }
    let Some(partition) = partition else {
        let excused = entry.server.is_some() || entry.is_tombstone() || entry.is_intermediate();
        if !excused {
            report.say(&rules::PARTITION_MISSING, "no partition");
        }
        return;
    };
    if partition == b"default" {
        return;
    }
    if partition.is_empty() {
        match entry.server.is_some() || entry.is_tombstone() || entry.is_intermediate() {
            true => report.say(&rules::PARTITION_EMPTY, "the partition is empty"),
            false => report.say(&rules::PARTITION_MISSING, "the partition is empty"),
        }
    } else if partition == b"(null)" {
        report.say(&rules::NULL_PRINTED, "the partition is \"(null)\"");
    } else if partition.contains(&b'!') {
        let message = format!("the partition is {:?}, which is server and partition", partition.as_bstr());
        report.say(&rules::PARTITION_IS_LOCATION, message);
    } else if partition.len() >= PARTITION_LEN || partition.iter().any(|byte| *byte <= b' ') {
        report.say(&rules::PARTITION_SHAPE, format!("the partition is {:?}", partition.as_bstr()));
    }
}

#[inline]
fn check_server(entry: &Entry<'_>, server: &[u8], report: &mut Report<'_, '_, '_>) {
    if server.is_empty() || server.iter().any(|byte| *byte <= b' ' || *byte == b'!') {
        report.say(&rules::SERVER_SHAPE, format!("the server is {:?}", server.as_bstr()));
    }
    if entry.is_remote() || entry.is_moving() || entry.is_tombstone() {
        return;
    }
    let meant = match entry.mbtype.kind {
        Kind::Netnews => ": type n is most likely number 1, remote, misread in an upgrade or a load",
        Kind::Submission => ": type s is most likely number 2, reserved, misread in an upgrade or a load",
        Kind::PushSubscription => {
            ": type p is most likely number 3, remote and reserved, misread in an upgrade or a load"
        }
        Kind::Collection => ": type b is most likely number 8, moving, misread in an upgrade or a load",
        Kind::Calendar => ": type c is most likely number 9, remote and moving, misread in an upgrade or a load",
        _ => "",
    };
    let message = format!("on server {} without the remote flag{meant}", server.as_bstr());
    report.say(&rules::SERVER_NOT_REMOTE, message);
}

#[inline]
fn check_acl(entry: &Entry<'_>, report: &mut Report<'_, '_, '_>) {
    if entry.acl.is_empty() {
        return;
    }
    if entry.acl.form() == AclForm::Text && entry.acl.as_bytes() == b"(null)" {
        return report.say(&rules::NULL_PRINTED, "the ACL is \"(null)\"");
    }
    if entry.is_reserved() {
        report.say(&rules::RESERVED_ACL, "a reservation with an ACL");
    }
    if entry.acl.lacks_last_tab() {
        report.say(&rules::ACL_TAB, "the ACL does not end with a TAB");
    }
    let mut pairs = entry.acl.pairs();
    let mut count = 0usize;
    for pair in pairs.by_ref() {
        if let Some(letter) = Rights::first_unknown(&pair.rights) {
            let message = format!("{} has right {:?}", pair.identifier.as_bstr(), [letter].as_bstr());
            report.say(&rules::ACL_RIGHTS, message);
        }
        if entry.acl.pairs().take(count).any(|earlier| earlier.identifier == pair.identifier) {
            report.say(&rules::ACL_TWICE, format!("{} stands in the ACL twice", pair.identifier.as_bstr()));
        }
        // Looking back over a list of unreasonable length would take time by its square.
        count = count.saturating_add(1).min(64);
    }
    if let Some(identifier) = pairs.odd() {
        report.say(&rules::ACL_ODD, format!("{} has no rights behind it", identifier.as_bstr()));
    }
}

#[inline]
fn check_numbers(entry: &Entry<'_>, context: &Context, report: &mut Report<'_, '_, '_>) {
    if entry.uidvalidity == Some(0) && entry.family == Family::Dlist {
        report.say(&rules::UIDVALIDITY_ZERO, "uidvalidity 0");
    }
    if let Some(mtime) = entry.mtime
        && (mtime < MTIME_MIN || context.now.is_some_and(|now| mtime > now.saturating_add(86_400)))
    {
        report.say(&rules::MTIME, format!("written at {mtime} seconds since 1970"));
    }
}

fn check_role(entry: &Entry<'_>, context: &Context, report: &mut Report<'_, '_, '_>) {
    let Some(role) = context.role else { return };
    let own = match (&context.servername, &entry.server) {
        (Some(own), Some(server)) => own.eq_ignore_ascii_case(server),
        _ => false,
    };
    if role.is_remote_only() && entry.is_local() {
        report.say(&rules::ROLE, format!("a mailbox of this host, on a {}", role.as_str()));
    } else if role.is_local_only() && entry.is_remote() && !entry.is_moving() {
        report.say(&rules::ROLE, format!("a mailbox of another host, on a {}", role.as_str()));
    } else if !role.is_remote_only() && own {
        report.say(&rules::ROLE, "remote on this very host");
    }
}
