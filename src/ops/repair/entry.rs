//! What can be mended in one entry by itself: type, place and ACL.

use std::borrow::Cow;

use super::rules::Rule;
use crate::formats::record::{
    Acl, AclForm, AclPair, Decoded, Entry, Family, FieldKey, Flag, KeyStyle, Kind, MbType, Numbering, Rights, Style,
    decode, rules,
};

/// What is known of the host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Whether its list is a master's or a frontend's.
    pub remote_only: bool,
    /// Whether all mailboxes are its own, but for those being moved away.
    pub local_only: bool,
    /// Its name as backends and masters know it.
    pub server: Option<Vec<u8>>,
    /// How its records are read.
    pub style: Style,
    /// The time now, in seconds since 1970-01-01 UTC.
    pub now: u64,
}

/// A mended entry, and what speaks for it.
pub struct Mended {
    /// The entry; `None` to drop the record.
    pub entry: Option<Entry<'static>>,
    /// One line.
    pub evidence: String,
}

/// An entry to look at.
pub struct Case<'c> {
    key: &'c [u8],
    value: &'c [u8],
    decoded: &'c Decoded<'c>,
    entry: &'c Entry<'c>,
    host: &'c Host,
}

type Mend = fn(&Case<'_>) -> Option<Mended>;

/// The rules for entries, in the order they act: each sees what the ones before it left.
const MENDS: &[(Rule, Mend)] = &[
    (Rule::OldValue, old_value),
    (Rule::ValueFormat, value_format),
    (Rule::NullText, null_text),
    (Rule::ServerSplit, server_split),
    (Rule::LocationSplit, location_split),
    (Rule::TypeLetters, type_letters),
    (Rule::TypeLost, type_lost),
    (Rule::OwnServer, own_server),
    (Rule::TypeNumber, type_number),
    (Rule::ReservationFlag, reservation_flag),
    (Rule::RemoteFlag, remote_flag),
    (Rule::TombstoneNumber, tombstone_number),
    (Rule::RemoteCleared, remote_cleared),
    (Rule::MovingFlag, moving_flag),
    (Rule::MovingStuck, moving_stuck),
    (Rule::AclOdd, acl_odd),
    (Rule::AclTab, acl_tab),
    (Rule::AclRights, acl_rights),
    (Rule::AclTwice, acl_twice),
    (Rule::AclFirst, acl_first),
    (Rule::ReservationLeft, reservation_left),
    (Rule::Reservation, reservation),
];

/// The first of the rules from number `start` on that has something to mend in a mailbox's record: its number, itself, and
/// what it would make of the record.
pub fn first(start: usize, key: &[u8], value: &[u8], host: &Host) -> Option<(usize, Rule, Mended)> {
    let decoded = decode(key, value, &host.style);
    let entry = decoded.entry.as_ref()?;
    let case = Case { key, value, decoded: &decoded, entry, host };
    let rules = MENDS.iter().enumerate().skip(start);
    rules.filter_map(|(number, (rule, mend))| Some((number, *rule, mend(&case)?))).next()
}

impl Case<'_> {
    fn mended(&self, evidence: impl Into<String>, change: impl FnOnce(&mut Entry<'static>)) -> Option<Mended> {
        let mut entry = self.entry.clone().into_owned();
        change(&mut entry);
        Some(Mended { entry: Some(entry), evidence: evidence.into() })
    }

    fn server(&self) -> Option<&[u8]> {
        self.entry.server.as_deref().filter(|server| !server.is_empty())
    }

    /// Whether it names a server and is not said to be there.
    fn lost_flag(&self) -> bool {
        let entry = self.entry;
        let excused = entry.is_remote() || entry.is_moving() || entry.is_tombstone() || entry.is_intermediate();
        self.server().is_some() && !excused
    }

    /// Whether it names this very host as its server.
    fn is_own(&self) -> bool {
        match (self.server(), &self.host.server) {
            (Some(server), Some(own)) => !self.host.remote_only && own.eq_ignore_ascii_case(server),
            _ => false,
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    crate::render::text::printable(bytes)
}

fn old_value(case: &Case<'_>) -> Option<Mended> {
    if case.host.style.keys != KeyStyle::Prefixed || case.entry.family == Family::Dlist {
        return None;
    }
    let style = Style { numbering: Numbering::Old, ..case.host.style };
    let meant = decode(case.key, case.value, &style).entry?;
    let (wrong, right) = (case.entry.mbtype, meant.mbtype);
    let evidence = match wrong == right {
        true => "a value of 2.x under a key of 3.6".to_owned(),
        false => format!("a value of 2.x under a key of 3.6: its number is read as {wrong}, and was meant as {right}"),
    };
    let mut entry = meant.into_owned();
    entry.family = Family::Dlist;
    entry.raw = Cow::Borrowed(b"");
    entry.mtime = Some(case.host.now);
    Some(Mended { entry: Some(entry), evidence })
}

fn value_format(case: &Case<'_>) -> Option<Mended> {
    let fault = case.decoded.faults.iter().find(|fault| fault.rule == &rules::TOLERATED)?;
    case.mended(format!("Cyrus can't read it: {}", fault.message), |_| {})
}

fn null_text(case: &Case<'_>) -> Option<Mended> {
    const NULL: &[u8] = b"(null)";
    let entry = case.entry;
    let is_null = |field: &Option<Cow<'_, [u8]>>| field.as_deref() == Some(NULL);
    let acl = entry.acl.form() == AclForm::Text && entry.acl.as_bytes() == NULL;
    let fields = [
        ("partition", is_null(&entry.partition)),
        ("server", is_null(&entry.server)),
        ("uniqueid", is_null(&entry.uniqueid)),
        ("ACL", acl),
    ];
    let names: Vec<&str> = fields.into_iter().filter(|&(_, null)| null).map(|(name, _)| name).collect();
    if names.is_empty() {
        return None;
    }
    let evidence = format!("{} (null): what a dump printed for a missing string", names.join(" and "));
    case.mended(evidence, |entry| {
        for field in [&mut entry.partition, &mut entry.server, &mut entry.uniqueid] {
            field.take_if(|text| **text == *NULL);
        }
        if acl {
            entry.acl = Acl::default();
        }
    })
}

fn server_split(case: &Case<'_>) -> Option<Mended> {
    let (server, rest) = split(case.server()?)?;
    let known = case.entry.partition.as_deref().unwrap_or_default();
    if server.is_empty() || !(known.is_empty() || known == &rest[..]) {
        return None;
    }
    case.mended(format!("server {}, which is server and partition", shown(case.server()?)), |entry| {
        entry.server = Some(Cow::Owned(server));
        entry.partition = Some(Cow::Owned(rest));
    })
}

/// What stands in front of the first '!' and behind it.
fn split(location: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let bang = location.iter().position(|&byte| byte == b'!')?;
    Some((location.get(..bang)?.to_vec(), location.get(bang + 1..)?.to_vec()))
}

fn location_split(case: &Case<'_>) -> Option<Mended> {
    let partition = case.entry.partition.as_deref().filter(|_| case.entry.server.is_none())?;
    let (server, rest) = split(partition)?;
    let evidence = format!("partition {}: 2.5 loads server!partition of a dump so", shown(partition));
    case.mended(evidence, |entry| {
        entry.server = Some(Cow::Owned(server));
        entry.partition = Some(Cow::Owned(rest));
        if !entry.is_moving() {
            entry.mbtype = entry.mbtype.with(Flag::Remote);
        }
    })
}

fn type_letters(case: &Case<'_>) -> Option<Mended> {
    let letters = case.entry.type_letters();
    let mbtype = MbType { unknown: Default::default(), ..case.entry.mbtype };
    let new = case.host.style.numbering == Numbering::New;
    // Since 3.6 the letter of a type stands in front, and kills the reader anywhere else.
    let misplaced = new && letters.iter().skip(1).any(|&letter| Flag::from_letter(letter).is_none() && letter != b'f');
    if letters.is_empty() || (mbtype == case.entry.mbtype && !misplaced) {
        return None;
    }
    let meant = mbtype.letters(case.host.style.numbering);
    let evidence = format!("type {}: Cyrus knows no more of it than {}", shown(letters), shown(&meant));
    let numbering = case.host.style.numbering;
    case.mended(evidence, |entry| entry.set_type(mbtype, numbering))
}

fn type_lost(case: &Case<'_>) -> Option<Mended> {
    let letters = case.entry.type_letters();
    let new = case.host.style.numbering == Numbering::New && case.entry.family == Family::Dlist;
    let lost = new
        && !case.entry.is_nil(FieldKey::Type)
        && letters.first().is_none_or(|&first| Kind::from_letter(first).is_none());
    if !lost || case.entry.mbtype.kind != Kind::Mail {
        return None;
    }
    let kind = if letters == b"l" { Kind::Netnews } else { Kind::Mail };
    let meant = MbType { kind, ..case.entry.mbtype };
    let evidence = format!("type {} has no letter of a type; upgrades to 3.6 lose that of netnews so", shown(letters));
    case.mended(evidence, |entry| entry.set_type(meant, Numbering::New))
}

/// What the number of a type since 3.6 meant up to 3.4.
fn as_old_number(mbtype: MbType) -> Option<MbType> {
    let number = MbType::new(mbtype.kind).number(Numbering::New);
    let mut meant = MbType::from_number(number, Numbering::Old);
    if number == 0 || !meant.unknown.is_empty() || meant.flags.is_empty() {
        return None;
    }
    if !meant.has(Flag::Moving) {
        meant = meant.with(Flag::Remote);
    }
    Some(mbtype.flags.iter().fold(meant, MbType::with))
}

fn type_number(case: &Case<'_>) -> Option<Mended> {
    let sure = !case.host.local_only || case.host.server.is_some();
    if case.host.style.numbering != Numbering::New || !case.lost_flag() || case.is_own() || !sure {
        return None;
    }
    let meant = as_old_number(case.entry.mbtype)?;
    let number = MbType::new(case.entry.mbtype.kind).number(Numbering::New);
    let evidence = format!(
        "on server {} and of type {}: the number {number} of a version before 3.6, which meant {meant}",
        shown(case.server()?),
        case.entry.mbtype,
    );
    case.mended(evidence, |entry| entry.set_type(meant, Numbering::New))
}

fn own_server(case: &Case<'_>) -> Option<Mended> {
    if !case.is_own() || case.entry.is_moving() {
        return None;
    }
    let evidence = format!("on server {}, which is this host", shown(case.server()?));
    case.mended(evidence, |entry| {
        entry.server = None;
        entry.mbtype = entry.mbtype.without(Flag::Remote);
    })
}

fn reservation_flag(case: &Case<'_>) -> Option<Mended> {
    if !case.lost_flag() || !case.host.remote_only || !case.entry.acl.is_empty() {
        return None;
    }
    let evidence =
        format!("on server {} without the remote flag and without ACL, as reservations are", shown(case.server()?));
    case.mended(evidence, |entry| entry.mbtype = entry.mbtype.with(Flag::Remote).with(Flag::Reserved))
}

fn remote_flag(case: &Case<'_>) -> Option<Mended> {
    if !case.lost_flag() || case.host.local_only || case.is_own() {
        return None;
    }
    let where_ = if case.host.remote_only { "on a master or frontend an" } else { "an" };
    let evidence = format!(
        "on server {} without the remote flag: {where_} entry that names a server is remote",
        shown(case.server()?)
    );
    case.mended(evidence, |entry| entry.mbtype = entry.mbtype.with(Flag::Remote))
}

/// Whether it is remote, and of a kind of value that would name the server.
fn remote_nowhere(case: &Case<'_>) -> bool {
    let located = case.entry.partition.as_deref().is_some_and(|partition| partition.contains(&b'!'));
    case.entry.is_remote() && case.entry.server.is_none() && case.entry.family == Family::Dlist && !located
}

fn tombstone_number(case: &Case<'_>) -> Option<Mended> {
    if !remote_nowhere(case) || case.host.remote_only || case.host.style.numbering != Numbering::New {
        return None;
    }
    let evidence = "remote and no server named: the number 16 of a version before 3.6, which meant deleted";
    case.mended(evidence, |entry| entry.mbtype = entry.mbtype.without(Flag::Remote).with(Flag::Deleted))
}

fn remote_cleared(case: &Case<'_>) -> Option<Mended> {
    if !remote_nowhere(case) || case.host.remote_only {
        return None;
    }
    let evidence = "remote and no server named, on a host with mailboxes of its own";
    case.mended(evidence, |entry| entry.mbtype = entry.mbtype.without(Flag::Remote))
}

fn moving_flag(case: &Case<'_>) -> Option<Mended> {
    if !case.entry.is_moving() || !case.host.remote_only {
        return None;
    }
    let evidence = format!("being moved to {}: masters and frontends only say where it is", shown(case.server()?));
    case.mended(evidence, |entry| entry.mbtype = entry.mbtype.without(Flag::Moving).with(Flag::Remote))
}

fn moving_stuck(case: &Case<'_>) -> Option<Mended> {
    let located = case.entry.partition.as_deref().is_some_and(|partition| partition.contains(&b'!'));
    if !case.entry.is_moving() || case.host.remote_only || located {
        return None;
    }
    let to = case.server().map_or("nowhere".to_owned(), shown);
    let evidence = format!("being moved to {to}; if it is still here, its partition is the one it names");
    case.mended(evidence, |entry| {
        entry.mbtype = entry.mbtype.without(Flag::Moving).without(Flag::Remote);
        entry.server = None;
    })
}

fn reservation_left(case: &Case<'_>) -> Option<Mended> {
    let evidence = "reserved: a backend that died while it created the mailbox left it; ctl_cyrusdb -r removes it";
    dropped(case.entry.is_reserved() && case.host.local_only, evidence)
}

fn reservation(case: &Case<'_>) -> Option<Mended> {
    let server = case.server().map_or("an unnamed server".to_owned(), shown);
    let evidence = format!("reserved by {server}: nobody else can create it as long as this stands");
    dropped(case.entry.is_reserved() && !case.host.local_only, evidence)
}

fn dropped(applies: bool, evidence: impl Into<String>) -> Option<Mended> {
    applies.then(|| Mended { entry: None, evidence: evidence.into() })
}

/// The ACL's complete pairs.
fn pairs<'c>(case: &'c Case<'_>) -> Vec<AclPair<'c>> {
    case.entry.acl.pairs().collect()
}

/// The identifier without rights at the end of the ACL.
fn odd(case: &Case<'_>) -> Option<Vec<u8>> {
    let mut pairs = case.entry.acl.pairs();
    pairs.by_ref().for_each(drop);
    pairs.odd().map(<[u8]>::to_vec)
}

fn with_acl<'p>(case: &Case<'_>, evidence: String, pairs: impl IntoIterator<Item = AclPair<'p>>) -> Option<Mended> {
    let acl = Acl::from_pairs(pairs.into_iter().map(|pair| (pair.identifier, pair.rights)));
    case.mended(evidence, |entry| entry.acl = acl)
}

fn acl_odd(case: &Case<'_>) -> Option<Mended> {
    let odd = odd(case)?;
    let evidence = format!("{} has no rights behind it: Cyrus drops it when it next writes the record", shown(&odd));
    with_acl(case, evidence, pairs(case))
}

fn acl_tab(case: &Case<'_>) -> Option<Mended> {
    if !case.entry.acl.lacks_last_tab() || odd(case).is_some() || case.entry.acl.as_bytes() == b"(null)" {
        return None;
    }
    with_acl(case, "no TAB behind the last rights; they are kept as they stand".into(), pairs(case))
}

fn acl_rights(case: &Case<'_>) -> Option<Mended> {
    let mut pairs = pairs(case);
    let wrong = pairs.iter().find_map(|pair| Some((pair.identifier.to_vec(), Rights::first_unknown(&pair.rights)?)))?;
    if odd(case).is_some() {
        return None;
    }
    for pair in &mut pairs {
        let known = pair.rights.iter().copied().filter(|&letter| Rights::first_unknown(&[letter]).is_none());
        pair.rights = Cow::Owned(known.collect());
    }
    pairs.retain(|pair| !pair.rights.is_empty());
    with_acl(case, format!("{} has the right {}, which is none", shown(&wrong.0), shown(&[wrong.1])), pairs)
}

/// The pairs without those whose identifier an earlier one has, and the first identifier taken out; `same` says whether
/// those with the same rights go or the others.
fn without_repeated<'c>(case: &'c Case<'_>, same: bool) -> Option<(Vec<AclPair<'c>>, Vec<u8>)> {
    let mut kept: Vec<AclPair<'c>> = Vec::new();
    let mut gone = None;
    for pair in pairs(case) {
        let first = kept.iter().find(|known| known.identifier == pair.identifier);
        match first {
            Some(first) if (first.rights == pair.rights) == same => {
                gone.get_or_insert_with(|| pair.identifier.to_vec());
            }
            _ => kept.push(pair),
        }
    }
    Some((kept, gone.filter(|_| odd(case).is_none())?))
}

fn acl_twice(case: &Case<'_>) -> Option<Mended> {
    let (kept, identifier) = without_repeated(case, true)?;
    with_acl(case, format!("{} stands there twice with the same rights", shown(&identifier)), kept)
}

fn acl_first(case: &Case<'_>) -> Option<Mended> {
    let (kept, identifier) = without_repeated(case, false)?;
    let evidence =
        format!("{} stands there twice with different rights; Cyrus' writer keeps the first", shown(&identifier));
    with_acl(case, evidence, kept)
}
