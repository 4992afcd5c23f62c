//! A script that fails made short: steps are left out, and hosts and mailboxes, as long as the same thing fails.

use super::check::Check;
use super::play::play;
use super::script::{Cast, Deed, Role, Script};
use crate::murder::defect::Defect;
use crate::murder::world::HostId;

/// So many scripts are played at most.
const TRIES: usize = 4000;

/// The same script without what it does not take for the same check to fail.
pub fn shrink(script: &Script, check: Check, defect: Option<Defect>) -> Script {
    let mut tries = TRIES;
    let mut fails = |script: &Script| {
        tries = tries.saturating_sub(1);
        tries > 0 && play(script, defect).violation.is_some_and(|violation| violation.check == check)
    };
    let mut best = script.clone();
    loop {
        let before = best.clone();
        let steps = fewer(&best.steps, &mut |steps| fails(&Script { steps: steps.to_vec(), ..best.clone() }));
        best.steps = steps;
        let mailboxes = fewer(&best.cast.mailboxes, &mut |mailboxes| {
            let cast = Cast { mailboxes: mailboxes.to_vec(), ..best.cast.clone() };
            fails(&Script { cast, ..best.clone() })
        });
        best.cast.mailboxes = mailboxes;
        for host in (1..best.cast.hosts.len()).rev() {
            if let Some(without) = without(&best, host).filter(&mut fails) {
                best = without;
            }
        }
        if best == before {
            return best;
        }
    }
}

/// As few of these as still fail: halves, quarters and so on are left out (ddmin).
fn fewer<T: Clone>(all: &[T], fails: &mut dyn FnMut(&[T]) -> bool) -> Vec<T> {
    let mut all = all.to_vec();
    let mut size = all.len().div_ceil(2);
    while size > 0 && !all.is_empty() {
        let mut at = 0;
        while at < all.len() {
            let end = at.saturating_add(size).min(all.len());
            let rest: Vec<T> = all.iter().take(at).chain(all.iter().skip(end)).cloned().collect();
            if fails(&rest) {
                all = rest;
            } else {
                at = end;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    all
}

/// The same script without a host of which nothing is told.
fn without(script: &Script, host: HostId) -> Option<Script> {
    let other = |deed: &Deed| match deed {
        Deed::Disturb(_, other, _) | Deed::Heal(_, other) => Some(*other),
        _ => None,
    };
    let used = script.steps.iter().any(|step| step.deed.host() == host || other(&step.deed) == Some(host));
    let used = used || script.cast.mailboxes.iter().any(|(on, _)| *on == host);
    let backends = script.cast.backends().count();
    let last = matches!(script.cast.hosts.get(host)?.role, Role::Backend { .. }) && backends == 1;
    if used || last {
        return None;
    }
    // By way of its text, in which hosts have names.
    let name = script.cast.name(host);
    let text = script.to_string();
    let lines = text.lines().filter(|line| !line.starts_with(&format!("host {name} ")));
    super::text::parse(&lines.collect::<Vec<_>>().join("\n")).ok()
}
