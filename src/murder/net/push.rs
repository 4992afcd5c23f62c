//! A backend's list pushed to a master: `ctl_mboxlist -m`, with every question and every change on its way at once.

use std::collections::{HashMap, VecDeque};
use std::io;

use super::client::Connection;
use crate::murder::wire::command::{Change, Verb};
use crate::murder::wire::{Reply, encode};
use crate::ops::push::{Decision, Listed, Local, Manner, State, decide};

/// A mailbox of the backend: internal name and what its record says.
pub type Own = (Vec<u8>, Local<'static>);

/// What is done about one mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// What Cyrus says of it.
    pub words: &'static str,
    /// Internal name.
    pub name: Vec<u8>,
    /// What the master is told; nothing where the backend's own list or its messages would have to change.
    pub change: Option<Change>,
}

/// Commands on their way at a time.
const WINDOW: usize = 2000;

/// Asks the master what it has to be asked, and decides; in the order in which Cyrus does it.
///
/// # Errors
/// When the master goes away or refuses to answer.
pub async fn plan(master: &mut Connection, server: &[u8], own: &[Own], manner: Manner) -> io::Result<Vec<Deed>> {
    let mut listed: Vec<(Vec<u8>, Listed<'static>)> = Vec::new();
    let verb = Verb::List([server, b"!"].concat());
    master
        .ask(&verb, &mut |reply| {
            if let Reply::Row(row) = reply {
                listed.push((row.name.to_vec(), owned(row.location, row.acl)));
            }
        })
        .await?;
    let places: HashMap<&[u8], usize> =
        listed.iter().enumerate().map(|(index, (name, _))| (&name[..], index)).collect();
    let asks =
        |(name, local): &&Own| local.state != State::Gone && !places.contains_key(&name[..]) && !manner.authoritative;
    let unknown: Vec<&[u8]> = own.iter().filter(asks).map(|(name, _)| &name[..]).collect();
    let found = find(master, &unknown).await?;

    let mut removals = vec![None; listed.len()];
    let mut rest = Vec::new();
    let mut seen = vec![false; listed.len()];
    for (name, local) in own {
        let place = places.get(&name[..]).copied();
        let here = place.and_then(|place| listed.get(place)).map(|(_, listed)| listed);
        let decision = decide(server, Some(local), here.or(found.get(&name[..])), manner);
        if let Some(seen) = place.and_then(|place| seen.get_mut(place)) {
            *seen = true;
        }
        let removal = Deed {
            words: "Remove from MUPDATE",
            name: name.clone(),
            change: Some(Change::Delete { name: name.clone() }),
        };
        if decision.is_removal()
            && let Some(slot) = place.and_then(|place| removals.get_mut(place))
        {
            *slot = Some(removal);
        }
        rest.extend(deed(server, name, local, decision));
    }
    for ((slot, seen), (name, _)) in removals.iter_mut().zip(seen).zip(&listed) {
        if !seen {
            let change = Some(Change::Delete { name: name.clone() });
            *slot = Some(Deed { words: "Remove from MUPDATE", name: name.clone(), change });
        }
    }
    Ok(removals.into_iter().rev().flatten().chain(rest).collect())
}

fn owned(location: &[u8], acl: Option<&[u8]>) -> Listed<'static> {
    Listed { location: location.to_vec().into(), acl: acl.map(|acl| acl.to_vec().into()) }
}

/// What is done in the order of the backend's list.
fn deed(server: &[u8], name: &[u8], local: &Local<'_>, decision: Decision) -> Option<Deed> {
    let words = decision.words().iter().find(|words| **words != "Remove from MUPDATE")?;
    let activates = matches!(decision, Decision::ForceActivate | Decision::Renew);
    let location = [server, b"!", &local.partition].concat();
    let change = activates.then(|| Change::Activate { name: name.to_vec(), location, acl: local.acl.to_vec() });
    Some(Deed { words, name: name.to_vec(), change })
}

/// What the master says of each of these names, if it knows them.
async fn find<'n>(master: &mut Connection, names: &[&'n [u8]]) -> io::Result<HashMap<&'n [u8], Listed<'static>>> {
    let mut found = HashMap::new();
    let mut waiting: VecDeque<&[u8]> = VecDeque::new();
    let mut names = names.iter();
    loop {
        let mut out = Vec::new();
        for name in names.by_ref().take(WINDOW.saturating_sub(waiting.len())) {
            encode::command(&mut out, "F", &Verb::Find(name.to_vec()));
            waiting.push_back(name);
        }
        if waiting.is_empty() {
            return Ok(found);
        }
        master.send(&out).await?;
        master
            .hear(&mut |heard| {
                match heard.reply {
                    Reply::Row(row) => {
                        if let Some(name) = waiting.front() {
                            found.insert(*name, owned(row.location, row.acl));
                        }
                    }
                    Reply::Ok => drop(waiting.pop_front()),
                    _ => return Err(io::Error::other(heard.text())),
                }
                Ok(true)
            })
            .await?;
    }
}

/// Tells the master of the changes; gives those it refuses, with its words.
///
/// # Errors
/// When the master goes away.
pub async fn carry_out<'d>(master: &mut Connection, deeds: &'d [Deed]) -> io::Result<Vec<(&'d Deed, String)>> {
    let mut refused = Vec::new();
    let mut waiting: VecDeque<&'d Deed> = VecDeque::new();
    let mut deeds = deeds.iter().filter_map(|deed| Some((deed, deed.change.clone()?)));
    loop {
        let mut out = Vec::new();
        for (deed, change) in deeds.by_ref().take(WINDOW.saturating_sub(waiting.len())) {
            encode::command(&mut out, "P", &Verb::Change(change));
            waiting.push_back(deed);
        }
        if waiting.is_empty() {
            return Ok(refused);
        }
        if !out.is_empty() {
            master.send(&out).await?;
        }
        master
            .hear(&mut |heard| {
                match heard.reply {
                    Reply::Ok => drop(waiting.pop_front()),
                    Reply::No => refused.extend(waiting.pop_front().map(|deed| (deed, heard.text()))),
                    _ => return Err(io::Error::other(heard.text())),
                }
                Ok(true)
            })
            .await?;
    }
}
