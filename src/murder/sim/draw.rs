//! A script out of a seed.
//!
//! A day goes by: long quiet hours, and in between a few things that are done at nearly the same time, while something goes
//! wrong. Names are few, so that they meet.

use std::collections::BTreeMap;
use std::time::Duration;

use super::rng::Rng;
use super::script::{Cast, Deed, Loss, Part, Role, Script, Step};
use crate::formats::container::Format;
use crate::murder::host::request::Request;
use crate::murder::world::{Fault, HostId};

/// The names that are made, renamed and deleted. A frontend of Cyrus can lose those behind others that have mailboxes below
/// them and go on with a byte in front of '.'.
const NAMES: [&str; 12] = [
    "user.zed",
    "user.zed.x",
    "user.zed.x.y",
    "user.zed-b",
    "user.zed b",
    "user.zed-b.x",
    "user.amy",
    "user.amy.x",
    "user.amy-1",
    "user.bob",
    "shared",
    "shared.all",
];

/// A mailbox that nobody touches: a master is never empty for want of mailboxes alone.
const KEPT: &str = "user.kept";

const RETRIES: [u64; 6] = [5, 20, 20, 40, 60, 60];
const FORMATS: [Format; 3] = [Format::Twoskip, Format::Skiplist, Format::Flat];
const IDENTIFIERS: [&str; 3] = ["anyone", "zed", "amy"];
const RIGHTS: [&str; 4] = ["lrs", "lrswipkxtea", "l", ""];

/// The script of a seed, of so many steps.
pub fn script(seed: u64, steps: usize) -> Script {
    let mut rng = Rng::new(seed);
    let cast = cast(&mut rng);
    let mut draw = Draw { guess: guess(&cast), rng, cast, steps: Vec::new(), messages: 0 };
    draw.day(steps);
    draw.finish(seed, steps)
}

fn cast(rng: &mut Rng) -> Cast {
    let part = |rng: &mut Rng, name: String, role: Role| {
        let format = rng.pick(&FORMATS).unwrap_or(Format::Twoskip);
        let millis = if rng.chance(50) { rng.within(0, 3) } else { rng.within(4, 400) };
        Part { name, role, format, disk_time: Duration::from_millis(millis) }
    };
    let mut hosts = vec![part(rng, "mup".into(), Role::Master)];
    for number in 1..=rng.below(3) {
        hosts.push(part(rng, format!("fe{number}"), Role::Frontend));
    }
    for number in 1..=rng.within(1, 4) {
        let delayed = rng.chance(50);
        hosts.push(part(rng, format!("be{number}"), Role::Backend { delayed }));
    }
    let retry = Duration::from_secs(rng.pick(&RETRIES).unwrap_or(20));
    let update_wait = Duration::from_millis(rng.pick(&[0, 20, 300, 1000, 5000]).unwrap_or(0));
    let mut cast = Cast { retry, update_wait, hosts, mailboxes: Vec::new() };
    let backends: Vec<HostId> = cast.backends().collect();
    cast.mailboxes.extend(backends.first().map(|&host| (host, KEPT.into())));
    for name in NAMES {
        if rng.chance(40) {
            cast.mailboxes.extend(rng.pick(&backends).map(|host| (host, name.into())));
        }
    }
    cast
}

/// Where mailboxes probably are.
fn guess(cast: &Cast) -> BTreeMap<Vec<u8>, HostId> {
    cast.mailboxes
        .iter()
        .filter(|(_, name)| name != KEPT.as_bytes())
        .map(|(host, name)| (name.clone(), *host))
        .collect()
}

struct Draw {
    rng: Rng,
    cast: Cast,
    guess: BTreeMap<Vec<u8>, HostId>,
    /// At which time, in milliseconds.
    steps: Vec<(u64, Deed)>,
    messages: u64,
}

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

impl Draw {
    fn day(&mut self, steps: usize) {
        let mut at = SECOND;
        while self.steps.len() < steps {
            let trouble = self.rng.chance(75);
            if trouble {
                for _ in 0..self.rng.within(1, 2) {
                    let sooner = self.rng.below(300);
                    self.fault(at.saturating_add(sooner));
                }
            }
            let pace = self.rng.pick(&[0, 3, 40, 700, 9000]).unwrap_or(0);
            let mut when = at;
            for _ in 0..self.rng.within(1, 6) {
                when = when.saturating_add(self.rng.within(0, pace));
                self.order(when);
            }
            let quiet = match self.rng.below(10) {
                0..=2 => self.rng.within(0, 2 * SECOND),
                3..=4 => self.rng.within(0, 200 * SECOND),
                _ => self.rng.within(HOUR, 6 * HOUR),
            };
            at = when.saturating_add(quiet);
        }
    }

    fn finish(mut self, seed: u64, most: usize) -> Script {
        // Those of one time stay in the order in which they were drawn.
        self.steps.sort_by_key(|(at, _)| *at);
        self.steps.truncate(most);
        let mut before = 0;
        let step = |(at, deed): (u64, Deed)| {
            let after = Duration::from_millis(at.saturating_sub(before));
            before = at;
            Step { after, deed }
        };
        let steps = self.steps.into_iter().map(step).collect();
        Script { seed, cast: self.cast, steps }
    }

    fn backend(&mut self) -> HostId {
        let backends: Vec<HostId> = self.cast.backends().collect();
        self.rng.pick(&backends).unwrap_or_default()
    }

    fn any_name(&mut self) -> Vec<u8> {
        self.rng.pick(&NAMES).unwrap_or_default().into()
    }

    /// A mailbox that is probably there, and where; mostly.
    fn mailbox(&mut self) -> (HostId, Vec<u8>) {
        let at = self.rng.index(self.guess.len());
        let known = self.guess.iter().nth(at).map(|(name, host)| (*host, name.clone()));
        match known.filter(|_| self.rng.chance(85)) {
            Some(known) => known,
            None => (self.backend(), self.any_name()),
        }
    }

    fn order(&mut self, at: u64) {
        let (host, request) = match self.rng.below(100) {
            0..=34 => {
                let (host, name) = (self.backend(), self.any_name());
                self.guess.entry(name.clone()).or_insert(host);
                (host, Request::Create { name, place: None })
            }
            35..=51 => {
                let (host, name) = self.mailbox();
                self.guess.remove(&name);
                (host, Request::Delete { name })
            }
            52..=66 => {
                let (host, from) = self.mailbox();
                let to = self.any_name();
                self.guess.remove(&from);
                self.guess.entry(to.clone()).or_insert(host);
                (host, Request::Rename { from, to })
            }
            67..=80 => {
                let (host, name) = self.mailbox();
                let identifier = self.rng.pick(&IDENTIFIERS).unwrap_or_default().into();
                let rights = self.rng.pick(&RIGHTS).unwrap_or_default().into();
                (host, Request::SetAcl { name, identifier, rights })
            }
            81..=92 => {
                let (host, name) = self.mailbox();
                self.messages = self.messages.saturating_add(1);
                let message = format!("message-{}", self.messages).into_bytes();
                let by_lmtp = self.rng.chance(50);
                (host, if by_lmtp { Request::Deliver { name, message } } else { Request::Append { name, message } })
            }
            _ => (self.backend(), Request::Sync { dry_run: self.rng.chance(30), authoritative: false }),
        };
        self.steps.push((at, Deed::Order(host, request)));
    }

    fn push(&mut self, at: u64, deed: Deed) {
        self.steps.push((at, deed));
    }

    /// A time at which something is well again.
    fn later(&mut self, at: u64) -> u64 {
        let by = match self.rng.below(4) {
            0 => self.rng.within(1, SECOND),
            1 | 2 => self.rng.within(SECOND, 40 * SECOND),
            _ => self.rng.within(10 * SECOND, 300 * SECOND),
        };
        at.saturating_add(by)
    }

    fn host(&mut self) -> HostId {
        if self.rng.chance(40) { 0 } else { self.rng.index(self.cast.hosts.len()) }
    }

    fn fault(&mut self, at: u64) {
        let host = self.host();
        let later = self.later(at);
        match self.rng.below(100) {
            0..=29 => self.network(at, later),
            30..=37 => {
                let loss = self.rng.next() % 1000;
                let loss = self.rng.pick(&[Loss::Kept, Loss::Lost, Loss::Torn(loss)]).unwrap_or(Loss::Lost);
                self.push(at, Deed::Kill(host, loss));
                self.push(later, Deed::Start(host));
            }
            38..=40 => {
                self.push(at, Deed::Stop(host));
                self.push(later, Deed::Start(host));
            }
            41..=54 => {
                let deeds = self.rng.below(7);
                self.push(at, Deed::Fuse(host, deeds));
                self.starts(host, later);
            }
            55..=63 => {
                let (steps, bytes) = (self.rng.index(6), self.rng.pick(&[0, 0, 1, 9, 50, 1000]).unwrap_or(0));
                self.push(at, Deed::Tear(host, steps, bytes));
                self.starts(host, later);
            }
            64..=72 => {
                self.push(at, Deed::Hang(host));
                self.push(later, Deed::Resume(host));
            }
            73..=79 => {
                self.push(at, Deed::Full(host));
                self.push(later, Deed::Free(host));
            }
            80..=85 => {
                let most = self.rng.pick(&[2, 60, 4000]).unwrap_or(60);
                let seconds = i64::try_from(self.rng.within(1, most)).unwrap_or(1);
                let back = self.rng.chance(50);
                self.push(at, Deed::Jump(host, if back { -seconds } else { seconds }));
            }
            86..=93 => {
                let by =
                    if self.rng.chance(50) { self.rng.within(1, 30 * SECOND) } else { self.rng.within(1, 9 * HOUR) };
                self.push(at, Deed::Copy(host));
                self.push(at.saturating_add(by), Deed::Old(host));
            }
            94..=95 => self.push(at, Deed::Empty(0)),
            // The way that a connection is lost and one side is not told.
            _ => {
                let other = 1 + self.rng.index(self.cast.hosts.len().saturating_sub(1));
                self.push(at, Deed::Disturb(0, other, Fault::Apart));
                self.push(at, Deed::Kill(0, Loss::Kept));
                self.push(at.saturating_add(SECOND), Deed::Start(0));
                self.push(later, Deed::Heal(0, other));
            }
        }
    }

    /// It is not known when it will have died.
    fn starts(&mut self, host: HostId, at: u64) {
        self.push(at, Deed::Start(host));
        self.push(at.saturating_add(300 * SECOND), Deed::Start(host));
    }

    fn network(&mut self, at: u64, later: u64) {
        let other = 1 + self.rng.index(self.cast.hosts.len().saturating_sub(1));
        let bytes = self.rng.pick(&[0, 1, 5, 30, 60, 100, 200, 500, 2000]).unwrap_or(0);
        let near = usize::try_from(self.rng.below(20)).unwrap_or(0);
        let faults = [Fault::Apart, Fault::Reset, Fault::CutAfter(bytes + near), Fault::Stalled, Fault::HalfOpen];
        let fault = self.rng.pick(&faults).unwrap_or(Fault::Reset);
        let (a, b) = if self.rng.chance(50) { (0, other) } else { (other, 0) };
        self.push(at, Deed::Disturb(a, b, fault));
        if !matches!(fault, Fault::Reset | Fault::CutAfter(_)) {
            self.push(later, Deed::Heal(a, b));
        }
    }
}
