//! What a backend does about its list and a master's, mailbox by mailbox, in the order in which `ctl_mboxlist -m` does it.

use std::collections::HashMap;

use crate::murder::wire::command::Change;
use crate::ops::push::{Decision, Listed, Local, Manner, State, decide};

/// A mailbox of the backend: internal name and what its record says.
pub type Own = (Vec<u8>, Local<'static>);

/// A mailbox of the master's list.
pub type Known = (Vec<u8>, Listed<'static>);

/// What is done about one mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// What was decided.
    pub decision: Decision,
    /// What Cyrus says of it.
    pub words: &'static str,
    /// Internal name.
    pub name: Vec<u8>,
    /// What the master is told; nothing where the backend's own list or its messages would have to change.
    pub change: Option<Change>,
}

impl Deed {
    fn removal(name: &[u8]) -> Deed {
        Deed {
            decision: Decision::RemoveFromMupdate,
            words: REMOVE,
            name: name.to_vec(),
            change: Some(Change::Delete { name: name.to_vec() }),
        }
    }
}

const REMOVE: &str = "Remove from MUPDATE";

/// What the master tells of a mailbox.
pub fn listed(location: &[u8], acl: Option<&[u8]>) -> Listed<'static> {
    Listed { location: location.to_vec().into(), acl: acl.map(|acl| acl.to_vec().into()) }
}

/// The mailboxes of the backend that the master has to be asked about one by one, as they are not among those that it lists
/// for this backend.
pub fn unknown<'o>(own: &'o [Own], here: &[Known], manner: Manner) -> Vec<&'o [u8]> {
    let here: std::collections::HashSet<&[u8]> = here.iter().map(|(name, _)| &name[..]).collect();
    let asks = |(name, local): &&Own| local.state != State::Gone && !here.contains(&name[..]) && !manner.authoritative;
    own.iter().filter(asks).map(|(name, _)| &name[..]).collect()
}

/// What is done: `here` is what the master lists for this backend, `found` what it said of those that are [`unknown`].
pub fn deeds(
    server: &[u8],
    own: &[Own],
    here: &[Known],
    found: &HashMap<&[u8], Listed<'static>>,
    manner: Manner,
) -> Vec<Deed> {
    let places: HashMap<&[u8], usize> = here.iter().enumerate().map(|(index, (name, _))| (&name[..], index)).collect();
    let mut removals = vec![None; here.len()];
    let mut seen = vec![false; here.len()];
    let mut rest = Vec::new();
    for (name, local) in own {
        let place = places.get(&name[..]).copied();
        let listed = place.and_then(|place| here.get(place)).map(|(_, listed)| listed);
        let decision = decide(server, Some(local), listed.or(found.get(&name[..])), manner);
        if let Some(seen) = place.and_then(|place| seen.get_mut(place)) {
            *seen = true;
        }
        if decision.is_removal()
            && let Some(slot) = place.and_then(|place| removals.get_mut(place))
        {
            *slot = Some(Deed::removal(name));
        }
        rest.extend(deed(server, name, local, decision));
    }
    for ((slot, seen), (name, _)) in removals.iter_mut().zip(seen).zip(here) {
        if !seen {
            *slot = Some(Deed::removal(name));
        }
    }
    removals.into_iter().rev().flatten().chain(rest).collect()
}

/// What is done in the order of the backend's list.
fn deed(server: &[u8], name: &[u8], local: &Local<'_>, decision: Decision) -> Option<Deed> {
    let words = decision.words().iter().find(|words| **words != REMOVE)?;
    let activates = matches!(decision, Decision::ForceActivate | Decision::Renew);
    let location = [server, b"!", &local.partition].concat();
    let change = activates.then(|| Change::Activate { name: name.to_vec(), location, acl: local.acl.to_vec() });
    Some(Deed { decision, words, name: name.to_vec(), change })
}
