//! A backend's list pushed to a master: `ctl_mboxlist -m`, with every question and every change on its way at once.

use std::collections::{HashMap, VecDeque};
use std::io;

use super::client::Connection;
use crate::murder::node::push::{Deed, Known, Own, deeds, listed, unknown};
use crate::murder::wire::command::Verb;
use crate::murder::wire::{Reply, encode};
use crate::ops::push::{Listed, Manner};

/// Commands on their way at a time.
const WINDOW: usize = 2000;

/// Asks the master what it has to be asked, and decides; in the order in which Cyrus does it.
///
/// # Errors
/// When the master goes away or refuses to answer.
pub async fn plan(master: &mut Connection, server: &[u8], own: &[Own], manner: Manner) -> io::Result<Vec<Deed>> {
    let mut here: Vec<Known> = Vec::new();
    let verb = Verb::List([server, b"!"].concat());
    master
        .ask(&verb, &mut |reply| {
            if let Reply::Row(row) = reply {
                here.push((row.name.to_vec(), listed(row.location, row.acl)));
            }
        })
        .await?;
    let found = find(master, &unknown(own, &here, manner)).await?;
    Ok(deeds(server, own, &here, &found, manner))
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
                            found.insert(*name, listed(row.location, row.acl));
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
