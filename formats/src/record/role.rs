//! What a host is in a murder, as far as its records tell, and what an upgrade would do to them.

use super::entry::Family;
use super::era::{Era, EraGuess};
use super::key::KeyStyle;
use super::mbtype::Flag;
use super::survey::Survey;

/// What a host is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// A server of its own.
    Standalone,
    /// Holds mailboxes, and tells the master of them.
    Backend,
    /// Holds none; a copy of the master's list tells it where they are.
    Frontend,
    /// The mupdate master.
    Master,
    /// Frontend and backend in one.
    Unified,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 5] = [Role::Standalone, Role::Backend, Role::Frontend, Role::Master, Role::Unified];

    /// The word printed, used in JSON, and taken by `--role`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Standalone => "standalone",
            Role::Backend => "backend",
            Role::Frontend => "frontend",
            Role::Master => "master",
            Role::Unified => "unified",
        }
    }

    /// Whether all its mailboxes are on other hosts.
    pub fn is_remote_only(self) -> bool {
        matches!(self, Role::Frontend | Role::Master)
    }

    /// Whether all its mailboxes are its own.
    pub fn is_local_only(self) -> bool {
        matches!(self, Role::Standalone | Role::Backend)
    }
}

/// What the records say about the host's role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleGuess {
    /// The roles that fit, most likely first; none where there is no mailbox.
    pub roles: Vec<Role>,
    /// What speaks for it, one line a point.
    pub evidence: Vec<String>,
}

/// Which roles fit what was surveyed.
pub fn guess(survey: &Survey) -> RoleGuess {
    let (local, remote, moving) = (survey.local, survey.remote, survey.flag(Flag::Moving));
    let mut evidence = vec![format!("{local} mailboxes of this host, {remote} on other hosts")];
    let roles = match (local > 0, remote > 0) {
        (true, true) => with_both(survey, &mut evidence),
        (true, false) if moving > 0 => {
            evidence.push(format!("{moving} mailboxes being transferred: a backend"));
            vec![Role::Backend, Role::Unified]
        }
        (true, false) => {
            evidence.push(
                "a backend's records are those of a standalone server: the murder's other hosts tell which".into(),
            );
            vec![Role::Backend, Role::Standalone]
        }
        (false, true) => remote_only(survey, &mut evidence),
        (false, false) => Vec::new(),
    };
    hints(survey, &mut evidence);
    RoleGuess { roles, evidence }
}

/// Up to this part of the entries (one in so many) can be leftovers.
const FEW: u64 = 10;

fn with_both(survey: &Survey, evidence: &mut Vec<String>) -> Vec<Role> {
    let (local, remote) = (survey.local, survey.remote);
    if remote <= survey.flag(Flag::Moving) {
        evidence.push("all of those on other hosts are being transferred: a backend".into());
        return vec![Role::Backend, Role::Unified];
    }
    if remote.saturating_mul(FEW) < local {
        evidence.push("few on other hosts: a backend with leftovers of transfers, or a unified server".into());
        return vec![Role::Backend, Role::Unified];
    }
    if local.saturating_mul(FEW) < remote {
        let why = "2.3 and 2.4 store locations without server so";
        evidence
            .push(format!("few of this host: a master or frontend with wrong entries ({why}), or a unified server"));
        return vec![Role::Master, Role::Frontend, Role::Unified];
    }
    evidence.push("both kinds: a unified server".into());
    vec![Role::Unified]
}

fn remote_only(survey: &Survey, evidence: &mut Vec<String>) -> Vec<Role> {
    evidence.push("a standard frontend and the master hold the same records: these can be either's".into());
    if survey.server_alone > 0 && survey.server_alone.saturating_mul(2) > survey.remote {
        let count = survey.server_alone;
        evidence.push(format!("{count} entries have their whole location in the server's place: a replicated murder"));
    }
    vec![Role::Master, Role::Frontend]
}

fn hints(survey: &Survey, evidence: &mut Vec<String>) {
    let reserved = survey.flag(Flag::Reserved);
    if reserved > 0 {
        let hint = match survey.local > survey.remote {
            true => "a backend leaves them when it dies while creating; `ctl_cyrusdb -r` removes them",
            false => "a master drops them at its start, a frontend copies them while a backend creates",
        };
        evidence.push(format!("{reserved} reservations: {hint}"));
    }
    let (servers, more) = (survey.servers.distinct(), if survey.servers.others() > 0 { " or more" } else { "" });
    if servers > 0 {
        evidence.push(format!("{servers}{more} servers named"));
    }
    let replicated = survey.family(Family::L1) > 0 && survey.local > 0 && survey.partitions.distinct() == 1;
    if replicated && survey.numbered_types == 0 {
        evidence.push("a master of 2.3 or 2.4 in a replicated murder looks like this too".into());
    }
}

/// Something that would go wrong when another version reads these records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hazard {
    /// The first version that does it.
    pub since: Era,
    /// Records that it happens to.
    pub count: u64,
    /// One line for a person.
    pub message: String,
}

/// What an upgrade of this database in place would do to it, and what older versions would make of it.
pub fn hazards(survey: &Survey, era: Option<&EraGuess>) -> Vec<Hazard> {
    let mut hazards = Vec::new();
    let mut add = |since, count: u64, message: String| {
        if count > 0 {
            hazards.push(Hazard { since, count, message });
        }
    };
    if survey.style.keys == KeyStyle::Plain {
        let all = survey.remote_without_uniqueid == survey.mailboxes;
        let whole = if all { ", that is all of them," } else { "" };
        let message =
            format!("entries on other hosts{whole} have no uniqueid: the upgrade drops them, without an error");
        add(Era::V3_6, survey.remote_without_uniqueid, message);
        let message = "mailboxes have no uniqueid in the list: the upgrade takes it from the mailbox on disk, and drops them where it can't";
        add(Era::V3_6, survey.local_without_uniqueid, message.into());
        let message =
            "types are numbers: the upgrade reads them with other bits (1 remote becomes netnews, 4 netnews is lost)";
        add(Era::V3_6, survey.numbered_types, message.into());
        for letter in (b'a'..=b'z').filter(|&letter| !Era::V3_6.knows_letter(letter)) {
            let message = format!("type letter {:?}: every process that reads them dies", char::from(letter));
            add(Era::V3_6, survey.letter(letter), message);
        }
        return hazards;
    }
    let skipped = survey.local_without_uniqueid.saturating_add(survey.remote_without_uniqueid);
    let message = "entries have no uniqueid: `ctl_mboxlist -u` skips them when it loads this database's own dump";
    add(Era::V3_6, skipped, message.into());
    if era.is_none_or(|era| era.newest < Era::V3_13) {
        let message = "reservations: the upgrade removes them";
        add(Era::V3_13, survey.flag(Flag::Reserved), message.into());
    }
    let message = "mailboxes of type jmapnotification: every process of 3.6 that reads them dies";
    add(Era::V3_6, survey.letter(b'j'), message.into());
    hazards
}
