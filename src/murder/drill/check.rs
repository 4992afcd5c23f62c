//! Whether the lists of a murder agree.

use std::collections::BTreeMap;

use super::theatre::{Listing, Row};
use crate::render::text::printable;

/// What the lists do not agree on, a line each: the master has what the backends have, the frontends what the master has, and
/// no name is only reserved.
pub fn differences(master: &Listing, backends: &[(String, Listing)], frontends: &[(String, Listing)]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut owners: BTreeMap<&[u8], Vec<(&str, &Row)>> = BTreeMap::new();
    for (host, listing) in backends {
        for (name, row) in listing {
            owners.entry(name).or_default().push((host, row));
        }
    }
    let first = |host: &str| host.split('.').next().unwrap_or_default().to_owned();
    for (name, owners) in &owners {
        let shown = printable(name);
        if owners.len() > 1 {
            let hosts: Vec<String> = owners.iter().map(|(host, _)| first(host)).collect();
            lines.push(format!("{shown}: {} have it", hosts.join(" and ")));
        }
        let Some(row) = master.get(*name) else {
            lines.push(format!("{shown}: the master does not know it"));
            continue;
        };
        let Some((_, own)) = owners.iter().find(|(host, own)| is_at(row, host, own)) else {
            lines.push(format!("{shown}: the master says it is at {}", printable(&row.location)));
            continue;
        };
        match &row.acl {
            None => lines.push(format!("{shown}: the master has it reserved")),
            acl if *acl != own.acl => lines.push(format!("{shown}: the master has other rights")),
            Some(_) => {}
        }
    }
    for (name, row) in master.iter().filter(|(name, _)| !owners.contains_key(&name[..])) {
        let what = if row.acl.is_none() { "reserved" } else { "listed" };
        lines.push(format!("{}: {what} at the master, and no backend has it", printable(name)));
    }
    for (host, listing) in frontends {
        for (name, row) in master {
            match listing.get(name) {
                None => lines.push(format!("{}: {host} does not know it", printable(name))),
                Some(own) if own != row => lines.push(format!("{}: {host} has something else", printable(name))),
                Some(_) => {}
            }
        }
        for name in listing.keys().filter(|name| !master.contains_key(*name)) {
            lines.push(format!("{}: {host} has it, and the master does not", printable(name)));
        }
    }
    lines
}

/// Whether the master's row is this mailbox of that host. What 3.6.1 renamed has no partition there.
fn is_at(row: &Row, host: &str, own: &Row) -> bool {
    let rest = row.location.strip_prefix(host.as_bytes()).and_then(|rest| rest.strip_prefix(b"!"));
    rest.is_some_and(|partition| partition == &own.location[..])
}
