//! What happened in a world, in lines for a reader.

use std::time::Duration;

use super::memory::DOMAIN;
use crate::murder::host::Door;
use crate::murder::world::trace::{Line, What};
use crate::murder::world::{Fault, HostId, World};
use crate::render::text::printable;

/// A time as a timeline gives it: seconds since the beginning.
pub fn time(at: Duration) -> String {
    format!("{:>7.3}", at.as_secs_f64())
}

fn name(world: &World, host: HostId) -> String {
    world.setup(host).name().trim_end_matches(DOMAIN).to_owned()
}

/// A line of what happened; `None` for what a scenario's steps tell already.
pub fn line(world: &World, line: &Line, begun: Duration) -> Option<String> {
    let host = name(world, line.host);
    let what = match &line.what {
        What::Started { recovered: false } if world.setup(line.host).role() == "client" => return None,
        What::Started { recovered: false } => "starts".to_owned(),
        What::Started { recovered: true } => "starts, and takes an unfinished transaction back".to_owned(),
        What::Stopped => "stops".to_owned(),
        What::Killed => "dies".to_owned(),
        What::Died(why) => format!("dies: {why}"),
        What::Hangs => "hangs".to_owned(),
        What::GoesOn => "goes on".to_owned(),
        What::Disturbed { other, fault } => format!("and {}: {}", name(world, *other), disturbed(*fault)),
        What::Healed { other } => format!("and {} reach each other again", name(world, *other)),
        What::Stored { done: true, records } => format!("stored {records}"),
        What::Stored { done: false, .. } => "could not store a change".to_owned(),
        What::Logged(text) => format!("log: {text}"),
        What::Sent { to, door: Door::Mupdate, bytes } => format!("-> {}: {}", name(world, *to), spoken(bytes)),
        What::Sent { .. } | What::Ordered { .. } | What::Answered { .. } => return None,
    };
    Some(format!("{} {host:<9} {what}", time(line.at.saturating_sub(begun))))
}

fn disturbed(fault: Fault) -> String {
    match fault {
        Fault::Apart => "can't reach each other".to_owned(),
        Fault::Reset => "lose their connections".to_owned(),
        Fault::CutAfter(bytes) => format!("lose their connections after {bytes} more bytes"),
        Fault::Stalled => "nothing comes through".to_owned(),
        Fault::HalfOpen => "nothing comes back".to_owned(),
    }
}

/// MUPDATE as a reader sees it: without the lengths of literals, lines side by side.
fn spoken(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = Vec::new();
    let mut joins = false;
    for line in text.lines() {
        let (line, more) = match line.rfind('{').filter(|_| line.ends_with("+}") || line.ends_with('}')) {
            Some(at) => (line.get(..at).unwrap_or_default(), true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if joins => *last = format!("{last}{line}"),
            _ => lines.push(line.to_owned()),
        }
        joins = more;
    }
    printable(lines.join(" | ").as_bytes())
}
