//! Plays a scenario, step by step, and holds what happens against what is expected.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check;
use super::dump;
use super::scenario::{Deed, Life, Scenario, Step};
use super::theatre::{Cant, House, Listing, Row, Theatre, listing};
use crate::murder::host::request::{Answer, Data, Manner, Request, Word};
use crate::murder::wire::command::{Change, Verb};
use crate::render::text::printable;

/// What became of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was as expected, or nothing was expected.
    Fine,
    /// It was not; with what was expected.
    Unexpected(Vec<String>),
    /// It could not be played; with the reason.
    NotPlayed(String),
}

/// A step that was played.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acted {
    /// Its text.
    pub text: String,
    /// What a reader should know.
    pub note: Option<String>,
    /// When it was begun.
    pub at: Duration,
    /// What came of it.
    pub said: Vec<String>,
    /// What was expected of that, if anything.
    pub expected: bool,
    /// What happened meanwhile.
    pub told: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A scenario that was played.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Played {
    /// In which manner.
    pub manner: Manner,
    /// Its steps.
    pub steps: Vec<Acted>,
    /// How much time went by in it.
    pub took: Duration,
}

impl Played {
    /// Whether everything was as expected.
    pub fn is_fine(&self) -> bool {
        self.steps.iter().all(|step| !matches!(step.outcome, Outcome::Unexpected(_)))
    }

    /// How many steps were checked.
    pub fn checked(&self) -> usize {
        self.steps.iter().filter(|step| step.expected).count()
    }
}

/// The databases to begin with, by host; instead of the scenario's own mailboxes.
pub type Databases = BTreeMap<String, Vec<u8>>;

/// Plays a scenario.
///
/// # Errors
/// If it can't be begun.
pub fn play(house: &mut dyn House, scenario: &Scenario, manner: Manner, databases: &Databases) -> Result<Played, Cant> {
    let mut player = Player { theatre: house.open(&scenario.murder, manner)?, scenario, manner, dump: Vec::new() };
    player.begin(databases)?;
    let begun = player.theatre.now();
    let mut steps = Vec::new();
    for step in &scenario.steps {
        if step.only.is_none_or(|only| only == manner) {
            steps.push(player.step(step, begun));
        }
    }
    let took = player.theatre.now().saturating_sub(begun);
    Ok(Played { manner, steps, took })
}

struct Player<'p> {
    theatre: Box<dyn Theatre + 'p>,
    scenario: &'p Scenario,
    manner: Manner,
    dump: Vec<u8>,
}

impl Player<'_> {
    fn hosts(&self, kind: &str) -> Vec<String> {
        self.scenario.murder.hosts.iter().filter(|name| name.starts_with(kind)).cloned().collect()
    }

    /// Starts all hosts, with their mailboxes.
    fn begin(&mut self, databases: &Databases) -> Result<(), Cant> {
        for (host, bytes) in databases {
            self.theatre.put_database(host, Some(bytes))?;
        }
        for kind in ["mup", "be"] {
            for host in self.hosts(kind) {
                self.theatre.life(&host, Life::Start)?;
            }
        }
        if databases.is_empty() {
            for (host, names) in &self.scenario.murder.mailboxes {
                for name in names {
                    let request = Request::Create { name: name.clone().into_bytes(), place: None };
                    let answer = self.theatre.ask("cyrus", host, &request)?;
                    if !answer.as_ref().is_some_and(Answer::is_done) {
                        return Err(Cant::Failed(format!("{name} can't be made on {host}: {answer:?}")));
                    }
                }
            }
        }
        for host in self.hosts("fe") {
            self.theatre.life(&host, Life::Start)?;
        }
        self.theatre.settle();
        self.theatre.told(Duration::ZERO);
        Ok(())
    }

    fn step(&mut self, step: &Step, begun: Duration) -> Acted {
        let at = self.theatre.now().saturating_sub(begun);
        let expected = step.expected(self.manner);
        let played = match step.needs_clock && !self.theatre.has_own_clock() {
            true => Err(Cant::Failed("it needs a clock of its own".into())),
            false => self.deed(&step.deed),
        };
        let (said, outcome) = match played {
            Err(cant) => (Vec::new(), Outcome::NotPlayed(cant.to_string())),
            Ok(said) => {
                let fine = expected.is_none_or(|expected| {
                    expected.len() == said.len()
                        && expected.iter().zip(&said).all(|(want, have)| have.starts_with(want))
                });
                let outcome = match expected {
                    Some(expected) if !fine => Outcome::Unexpected(expected.to_vec()),
                    _ => Outcome::Fine,
                };
                (said, outcome)
            }
        };
        let told = self.theatre.told(begun);
        let (text, note) = (step.text.clone(), step.note.clone());
        Acted { text, note, at, said, expected: expected.is_some(), told, outcome }
    }

    /// Does what a step says; gives what comes of it.
    fn deed(&mut self, deed: &Deed) -> Result<Vec<String>, Cant> {
        let theatre = &mut *self.theatre;
        match deed {
            Deed::Life(life, host) => theatre.life(host, *life).map(|()| Vec::new()),
            Deed::Wait(time) => {
                theatre.wait(*time);
                Ok(Vec::new())
            }
            Deed::Settle => {
                theatre.settle();
                Ok(Vec::new())
            }
            Deed::Disturb(fault, a, b) => theatre.disturb(a, b, Some(*fault)).map(|()| Vec::new()),
            Deed::Heal(a, b) => theatre.disturb(a, b, None).map(|()| Vec::new()),
            Deed::Full(host, full) => theatre.fill(host, *full).map(|()| Vec::new()),
            Deed::Fuse(host, deeds) => theatre.fuse(host, *deeds).map(|()| Vec::new()),
            Deed::Wipe(host) => theatre.put_database(host, None).map(|()| Vec::new()),
            Deed::Copy(from, to) => {
                let bytes = theatre.database(from)?;
                theatre.put_database(to, Some(&bytes)).map(|()| Vec::new())
            }
            Deed::Dump(host) => {
                self.dump = theatre.dump(host)?;
                let lines = self.dump.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"\"")).count();
                Ok(vec![format!("{lines} mailboxes dumped")])
            }
            Deed::Restore(host, false) => theatre.undump(host, &self.dump, self.manner).map(|()| Vec::new()),
            Deed::Restore(host, true) => {
                let bytes = dump::convert(&self.dump).map_err(Cant::Failed)?;
                theatre.put_database(host, Some(&bytes)).map(|()| Vec::new())
            }
            Deed::Moving(host, name, to) => {
                let (bytes, to) = (theatre.database(host)?, theatre.full_name(to));
                let bytes = dump::moving(&bytes, name.as_bytes(), to.as_bytes()).map_err(Cant::Failed)?;
                theatre.put_database(host, Some(&bytes)).map(|()| Vec::new())
            }
            Deed::Sync { host, dry_run, authoritative } => {
                let answer = theatre.sync(host, *dry_run, *authoritative)?;
                Ok(match answer {
                    Some(Answer { data: Data::Lines(lines), .. }) => lines,
                    other => said(other, Word::No),
                })
            }
            Deed::Ask(user, host, request) => {
                let request = self.located(request.clone());
                let lmtp = matches!(request, Request::Deliver { .. });
                let answer = self.theatre.ask(user, host, &request)?;
                Ok(match lmtp {
                    true => delivered(answer),
                    false => said(answer, Word::Ok),
                })
            }
            Deed::Tell(host, verb) => {
                let verb = self.placed(verb.clone());
                Ok(said(self.theatre.tell(host, &verb)?, Word::Ok))
            }
            Deed::Has(host, name) => {
                let listing = self.listing(host)?;
                let row = listing.get(name.as_bytes()).filter(|row| row.acl.is_some());
                Ok(vec![if row.is_some() { "yes" } else { "no" }.to_owned()])
            }
            Deed::Says(host, name) => {
                let listing = self.listing(host)?;
                Ok(vec![listing.get(name.as_bytes()).map_or("nothing".to_owned(), |row| self.row(row))])
            }
            Deed::Count(host) => Ok(vec![self.listing(host)?.len().to_string()]),
            Deed::Agree => self.agree(),
        }
    }

    fn listing(&mut self, host: &str) -> Result<Listing, Cant> {
        Ok(listing(&self.theatre.database(host)?))
    }

    /// A row as a reader sees it, with the hosts as the scenario names them.
    fn row(&self, row: &Row) -> String {
        let mut location = printable(&row.location);
        for host in &self.scenario.murder.hosts {
            location = location.replace(&format!("{}!", self.theatre.full_name(host)), &format!("{host}!"));
        }
        let remote = if row.remote || !row.location.contains(&b'!') { "" } else { " without the remote flag" };
        match &row.acl {
            None => format!("reserved {location}{remote}"),
            Some(acl) => {
                let words: Vec<String> = acl.split(|&byte| byte == b'\t').map(printable).collect();
                format!("{location} {}{remote}", words.join(" ").trim_end())
            }
        }
    }

    /// A place with the host's full name.
    fn place(&self, place: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(place).into_owned();
        let (host, rest) = text.split_once('!').map_or((&text[..], None), |(host, rest)| (host, Some(rest)));
        match (self.scenario.murder.hosts.iter().any(|known| known == host), rest) {
            (true, Some(rest)) => format!("{}!{rest}", self.theatre.full_name(host)).into_bytes(),
            (true, None) => self.theatre.full_name(host).into_bytes(),
            (false, _) => place.to_vec(),
        }
    }

    fn located(&self, mut request: Request) -> Request {
        if let Request::Create { place: Some(place), .. } = &mut request {
            *place = self.place(place);
        }
        request
    }

    fn placed(&self, mut verb: Verb) -> Verb {
        if let Verb::Change(
            Change::Reserve { location, .. } | Change::Activate { location, .. } | Change::Deactivate { location, .. },
        ) = &mut verb
        {
            *location = self.place(location);
        }
        verb
    }

    /// Whether all agree: `yes`, or who does not, and about what.
    fn agree(&mut self) -> Result<Vec<String>, Cant> {
        let mut backends = Vec::new();
        for host in self.hosts("be") {
            backends.push((self.theatre.full_name(&host), self.listing(&host)?));
        }
        let mut frontends = Vec::new();
        for host in self.hosts("fe") {
            frontends.push((host.clone(), self.listing(&host)?));
        }
        let master = self.hosts("mup").first().cloned().unwrap_or_default();
        let differences = check::differences(&self.listing(&master)?, &backends, &frontends);
        if differences.is_empty() { Ok(vec!["yes".to_owned()]) } else { Ok(differences) }
    }
}

/// An answer as a client sees it.
fn said(answer: Option<Answer>, silent: Word) -> Vec<String> {
    let Some(answer) = answer else { return vec!["no answer".to_owned()] };
    let word = match answer.word {
        Word::Ok => "OK",
        Word::No | Word::Later => "NO",
    };
    let mut lines = match answer.data {
        Data::Lines(lines) => lines,
        Data::Mailboxes(mut names) => {
            names.sort_unstable();
            vec![names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(" ")]
        }
        Data::Status(status) => vec![format!("{} messages", status.messages)],
        Data::Acl(pairs) => {
            vec![
                pairs
                    .iter()
                    .map(|(id, rights)| format!("{} {}", printable(id), printable(rights)))
                    .collect::<Vec<_>>()
                    .join(" "),
            ]
        }
        Data::None | Data::User(_) => Vec::new(),
    };
    if silent != answer.word || lines.is_empty() || silent == Word::Ok {
        lines.insert(0, format!("{word} {}", answer.text).trim_end().to_owned());
    }
    lines
}

/// An answer as somebody sees it who delivers: what SMTP makes of the three words.
fn delivered(answer: Option<Answer>) -> Vec<String> {
    let Some(answer) = answer else { return vec!["no answer".to_owned()] };
    let word = match answer.word {
        Word::Ok => "delivered",
        Word::Later => "deferred",
        Word::No => "bounced",
    };
    vec![format!("{word}: {}", answer.text)]
}
