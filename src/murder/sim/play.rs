//! Plays a script: does what it says, lets time go by, heals all in the end, and has everything looked at meanwhile.

use std::time::Duration;

use super::check::{Check, Checked, Violation, holds};
use super::count::{Count, Counts};
use super::rng::Rng;
use super::script::{Deed, Loss, Role, Script, Step};
use super::stage;
use super::watch::Watch;
use crate::murder::defect::Defect;
use crate::murder::host::disk::Disk;
use crate::murder::host::request::{Answer, Data, Request};
use crate::murder::world::setup::Running;
use crate::murder::world::{HostId, Life, World};
use crate::render::text::printable;

/// What became of a script.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Played {
    /// What did not hold, if anything.
    pub violation: Option<Violation>,
    /// How much time went by in the murder.
    pub time: Duration,
    /// How much happened.
    pub events: u64,
    /// How many steps were made.
    pub steps: u64,
    /// A sum of all that was sent.
    pub sum: u64,
    /// What went wrong, what was answered, and what was looked at.
    pub counts: Counts,
}

struct Play<'s> {
    script: &'s Script,
    world: World,
    watch: Watch,
    copies: Vec<Option<Disk>>,
    counts: Counts,
    /// Whether the master lost all it had, and no frontend was seen to refuse that.
    emptied: bool,
    step: usize,
}

/// Plays a script, with a mistake if one is named.
pub fn play(script: &Script, defect: Option<Defect>) -> Played {
    let mut world = stage::world(&script.cast, defect);
    let began = world.now();
    let failed = |(check, text): (Check, String), step: usize, now: Duration| Violation {
        check,
        at: now.saturating_sub(began),
        step,
        text,
    };
    let watch = match Watch::new(&script.cast, &mut world) {
        Ok(watch) => watch,
        Err(wrong) => return Played { violation: Some(failed(wrong, 0, began)), ..Played::default() },
    };
    let copies = script.cast.hosts.iter().map(|_| None).collect();
    let mut play = Play { script, world, watch, copies, counts: Counts::default(), emptied: false, step: 0 };
    let told = play.all();
    let violation = told.err().map(|wrong| failed(wrong, play.step, play.world.now()));
    let Play { world, watch, mut counts, step, .. } = play;
    counts.bites.add(world.bites());
    counts.checks = watch.checks;
    counts.answers = watch.answers;
    let time = world.now().saturating_sub(began);
    Played { violation, time, events: world.events(), steps: step as u64, sum: world.trace.sum(), counts }
}

impl Play<'_> {
    fn all(&mut self) -> Checked {
        for host in self.world.hosts() {
            self.start(host)?;
        }
        // Frontends connect, and all is quiet.
        self.advance(SOON)?;
        for Step { after, deed } in &self.script.steps {
            self.advance(*after)?;
            self.deed(deed)?;
            self.look()?;
            self.step = self.step.saturating_add(1);
        }
        self.end()
    }

    fn look(&mut self) -> Checked {
        self.watch.look(&mut self.world)
    }

    /// Lets time go by.
    fn advance(&mut self, by: Duration) -> Checked {
        let until = self.world.now().saturating_add(by);
        while self.world.step(until) {
            self.look()?;
        }
        self.world.run_until(until);
        if by >= SOON {
            self.guarded();
            self.world.hosts().try_for_each(|host| self.watch.memory(&self.world, host))?;
        }
        Ok(())
    }

    /// Whether a frontend was seen not to believe a master that lost all.
    fn guarded(&mut self) {
        let refuses = |host: HostId| match self.world.running(host) {
            Some(Running::Frontend(frontend)) => !frontend.is_following() && !frontend.list().is_empty(),
            _ => false,
        };
        if self.emptied && self.watch.rows(0).is_empty() && self.world.hosts().any(refuses) {
            self.emptied = false;
            self.counts.count(Count::Guarded);
        }
    }

    fn start(&mut self, host: HostId) -> Checked {
        let name = self.script.cast.name(host);
        self.world.start(host).map_err(|refused| (Check::Opens, format!("{name} does not start: {refused:?}")))?;
        self.look()
    }

    fn kill(&mut self, host: HostId, loss: Loss) -> Checked {
        let mut rng = Rng::new(if let Loss::Torn(by) = loss { by } else { 0 });
        self.world.kill(host, &mut |len| match loss {
            Loss::Kept => len,
            Loss::Lost => 0,
            Loss::Torn(_) => rng.index(len.saturating_add(1)),
        });
        self.look()
    }

    fn deed(&mut self, deed: &Deed) -> Checked {
        match *deed {
            Deed::Order(host, ref request) => drop(self.order(host, request.clone())),
            Deed::Disturb(a, b, fault) => self.world.disturb(a, b, fault),
            Deed::Heal(a, b) => self.world.heal(a, b),
            Deed::Kill(host, loss) => self.kill(host, loss)?,
            Deed::Stop(host) => self.world.stop(host),
            Deed::Start(host) => self.start(host)?,
            Deed::Fuse(host, deeds) => self.world.fuse(host, deeds),
            Deed::Tear(host, steps, bytes) => self.world.tear(host, steps, bytes),
            Deed::Hang(host) => self.world.hang(host, true),
            Deed::Resume(host) => self.world.hang(host, false),
            Deed::Full(host) => self.world.fill(host, true),
            Deed::Free(host) => self.world.fill(host, false),
            Deed::Jump(host, seconds) => self.world.jump(host, seconds),
            Deed::Copy(host) => self.copy(host),
            Deed::Old(host) => {
                if let Some(copy) = self.copies[host].clone() {
                    self.replace(host, &copy)?;
                }
            }
            Deed::Empty(host) => {
                self.replace(host, &Disk::empty(self.script.cast.hosts[host].format))?;
                self.emptied = host == 0;
            }
        }
        Ok(())
    }

    fn order(&mut self, host: HostId, request: Request) -> u64 {
        let number = self.world.order(host, request.clone());
        self.watch.ordered(&self.world, number, host, request);
        number
    }

    fn copy(&mut self, host: HostId) {
        let mut copy = self.world.disk(host).clone();
        copy.sync();
        if copy.mend().is_ok() {
            self.copies[host] = Some(copy);
        }
    }

    /// Starts a host from another database.
    fn replace(&mut self, host: HostId, with: &Disk) -> Checked {
        self.kill(host, Loss::Kept)?;
        let before = self.world.disk(host).records();
        let disk = self.world.disk(host).with_database_of(with);
        if before != disk.records() {
            self.counts.count(match self.script.cast.hosts[host].role {
                _ if with.records().is_empty() => Count::Emptied,
                Role::Master => Count::OldMaster,
                Role::Frontend => Count::OldFrontend,
                Role::Backend { .. } => Count::OldBackend,
            });
        }
        self.world.set_disk(host, disk);
        self.watch.replaced(&mut self.world, host)?;
        self.start(host)
    }

    /// All is healed, everything runs, all backends are synced until nothing changes, and all must agree.
    fn end(&mut self) -> Checked {
        for host in self.world.hosts() {
            self.world.fill(host, false);
            self.world.calm(host);
            for other in host.saturating_add(1)..self.world.hosts().end {
                self.world.heal(host, other);
            }
        }
        for host in self.world.hosts() {
            self.world.hang(host, false);
            self.look()?;
            if self.world.life(host) == Life::Down {
                self.start(host)?;
            }
        }
        // Whoever waits for one who is gone has given up by then.
        let retry = self.script.cast.retry;
        self.advance(retry.saturating_mul(4).saturating_add(GIVEN_UP))?;
        let left = self.watch.unanswered();
        holds(Check::Answered, left.is_none(), || left.clone().unwrap_or_default())?;
        // What a master with an old list says of one backend keeps another from its own in the first round.
        for must in [false, true] {
            self.script.cast.backends().try_for_each(|host| self.sync(host, must))?;
        }
        for host in self.script.cast.backends() {
            let before = self.watch.rows(0).clone();
            self.sync(host, true)?;
            let (same, name) = (*self.watch.rows(0) == before, self.script.cast.name(host));
            holds(Check::SyncSettles, same, || format!("the third sync of {name} changes the master's list"))?;
        }
        self.advance(retry.saturating_add(self.script.cast.update_wait).saturating_add(SOON))?;
        super::end::all_agree(&self.script.cast, &self.world, &mut self.watch)?;
        self.script.cast.backends().try_for_each(|host| self.nothing_to_do(host))
    }

    fn asked(&mut self, host: HostId, dry_run: bool) -> Result<Answer, (Check, String)> {
        let number = self.order(host, Request::Sync { dry_run, authoritative: false });
        for _ in 0..PATIENCE_SECONDS {
            self.look()?;
            if let Some(answer) = self.watch.synced.remove(&number) {
                return Ok(answer);
            }
            self.advance(Duration::from_secs(1))?;
        }
        Err((Check::Answered, format!("the sync of {} is not answered", self.script.cast.name(host))))
    }

    /// Whether mailboxes of a backend are on another one too.
    fn contested(&self, host: HostId) -> Vec<Vec<u8>> {
        let others = || self.script.cast.backends().filter(|other| *other != host);
        let is = |name: &&Vec<u8>| others().any(|other| self.watch.rows(other).contains_key(*name));
        self.watch.rows(host).keys().filter(is).cloned().collect()
    }

    fn sync(&mut self, host: HostId, must: bool) -> Checked {
        let answer = self.asked(host, false)?;
        let stale = !must && self.watch.rows(host).keys().any(|name| self.watch.is_tainted(name));
        let is = answer.is_done() || stale || !self.contested(host).is_empty();
        holds(Check::SyncWorks, is, || format!("{}: {}", self.script.cast.name(host), answer.text))
    }

    /// A sync would do nothing, but for what is on two backends.
    fn nothing_to_do(&mut self, host: HostId) -> Checked {
        let answer = self.asked(host, true)?;
        let Data::Lines(lines) = answer.data else { return Ok(()) };
        let contested = self.contested(host);
        let is = |line: &&String| {
            let name = line.strip_prefix("Remove Local Mailbox: ");
            !contested.iter().any(|contested| Some(&printable(contested)[..]) == name)
        };
        let line = lines.iter().find(is);
        holds(Check::SyncSettles, line.is_none(), || {
            format!("{} would do: {}", self.script.cast.name(host), line.cloned().unwrap_or_default())
        })
    }
}

/// Longer than what hosts do takes.
const SOON: Duration = Duration::from_secs(2);
/// Longer than anybody waits for a host that does not answer.
const GIVEN_UP: Duration = Duration::from_secs(60);
const PATIENCE_SECONDS: u64 = 60;
