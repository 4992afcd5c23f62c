//! What a master lets happen to a name (`imap/mupdate.c`, `cmd_set`), and what it refuses where Cyrus would take it.

use super::list::{List, State, server};
use crate::formats::record::{Acl, Name};
use crate::murder::defect::Defect;
use crate::murder::wire::command::Change;

/// How the murder is set up (`mupdate_config`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Frontends and backends are different hosts.
    #[default]
    Standard,
    /// Every host is both. No host of such a murder is a real master: what a master is told of it makes no difference.
    Unified,
    /// All backends share one store; locations are partitions, and anybody may take over what another one has.
    Replicated,
}

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Role {
    /// Takes changes.
    #[default]
    Master,
    /// Follows a master, and takes none.
    Frontend,
}

/// How a node behaves.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// How the murder is set up.
    pub kind: Kind,
    /// What it is.
    pub role: Role,
    /// Whether UPDATE is served from an empty list, which makes frontends forget all they know.
    pub allow_empty: bool,
    /// Whether a mailbox stays with its server as long as that does not give it away.
    pub guard: bool,
    /// How long a change may wait before it is pushed to those who follow.
    pub update_wait: std::time::Duration,
    /// Whether those who follow are told what Cyrus tells, and nothing that helps a Cyrus frontend not to lose names.
    pub as_cyrus: bool,
    /// What it does wrong on purpose.
    pub defect: Option<Defect>,
}

/// What a change makes of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<'c> {
    /// This state.
    Set(State<'c>, Option<Cow<'c>>),
    /// It is gone.
    Remove,
    /// Nothing, and that is fine.
    Nothing,
    /// It is refused, with this text.
    No(&'static str),
}

/// An ACL that had to be put in order.
pub type Cow<'c> = std::borrow::Cow<'c, [u8]>;

/// Longest name and location in bytes: Cyrus' own clients cut longer ones (`imap/mupdate-client.c`).
const NAME_MAX: usize = 1023;

/// What is wrong with a name that is to be stored.
fn name_flaw(name: &[u8]) -> Option<&'static str> {
    let parsed = Name::internal(name);
    let empty_element = || parsed.elements().any(<[u8]>::is_empty);
    let control = name.iter().any(|byte| matches!(byte, 0..=0x1F | 0x7F));
    let empty_domain = parsed.domain().is_some_and(<[u8]>::is_empty);
    if name.is_empty() || control || empty_domain || !parsed.converts_exactly() || empty_element() {
        return Some("invalid mailbox name");
    }
    (name.len() > NAME_MAX).then_some("mailbox name too long")
}

/// What is wrong with a location.
fn location_flaw(location: &[u8], kind: Kind) -> Option<&'static str> {
    let bangs = location.iter().filter(|&&byte| byte == b'!').count();
    let wrong = location.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7F)) || bangs > 1;
    // A rename of 3.6 to 3.13 gives an empty partition. Replicated backends give no server, and so, for a rename, nothing.
    let nowhere = if bangs == 0 { kind != Kind::Replicated } else { server(location).is_empty() };
    if wrong || nowhere {
        return Some("invalid location");
    }
    (location.len() > NAME_MAX).then_some("location too long")
}

/// The complete pairs of an ACL, which are all that a record keeps.
fn whole_pairs(acl: &[u8]) -> Option<Vec<u8>> {
    let tabs = acl.iter().filter(|&&byte| byte == b'\t').count();
    if acl.is_empty() || (tabs % 2 == 0 && acl.last() == Some(&b'\t')) {
        return None;
    }
    let list = Acl::text(acl);
    let pairs: Vec<_> = list.pairs().collect();
    Some(Acl::from_pairs(pairs.iter().map(|pair| (&pair.identifier, &pair.rights))).as_bytes().to_vec())
}

/// What becomes of the name that `change` is about.
pub fn judge<'c>(list: &List, config: &Config, change: &'c Change) -> Verdict<'c> {
    let (name, kind) = (change.name(), config.kind);
    let now = list.find(name);
    let flaw = |location: &[u8]| name_flaw(name).or(location_flaw(location, kind));
    let reserve = |location: &'c [u8]| Verdict::Set(State { reserved: true, location, acl: b"" }, None);
    match change {
        Change::Reserve { location, .. } => match (flaw(location), now) {
            (Some(flaw), _) => Verdict::No(flaw),
            (None, Some(now))
                if kind != Kind::Replicated
                    && now.location != location
                    && config.defect != Some(Defect::ReserveWhatIsTaken) =>
            {
                Verdict::No("mailbox already exists")
            }
            _ => reserve(location),
        },
        Change::Activate { location, acl, .. } => {
            let taken = now.filter(|now| !now.reserved && now.server() != server(location));
            match flaw(location) {
                Some(flaw) => Verdict::No(flaw),
                None if config.guard && taken.is_some() => Verdict::No("mailbox is active on another server"),
                None => Verdict::Set(State { reserved: false, location, acl }, whole_pairs(acl).map(Cow::Owned)),
            }
        }
        Change::Deactivate { location, .. } => match now {
            None => Verdict::No("mailbox doesn't exist"),
            Some(now) if now.reserved => Verdict::No("mailbox not currently active"),
            Some(_) => location_flaw(location, kind).map_or_else(|| reserve(location), Verdict::No),
        },
        Change::Delete { .. } => match now {
            Some(_) => Verdict::Remove,
            None if kind != Kind::Replicated => Verdict::No("mailbox doesn't exist"),
            None => Verdict::Nothing,
        },
    }
}
