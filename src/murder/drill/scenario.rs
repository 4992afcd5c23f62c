//! Scenarios: readable files of steps, faults and expectations. [SCENARIO.md](../../../src/murder/drill/SCENARIO.md) is the
//! format.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::murder::host::request::{Manner, Request};
use crate::murder::wire::command::{Change, Verb};
use crate::murder::world::Fault;

/// A scenario as it stands in its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    title: String,
    manual: Option<String>,
    cyrus: Option<String>,
    /// How often the steps are done, with `{n}` in their texts for 0, 1 and so on.
    #[serde(default = "once")]
    each: u32,
    #[serde(default)]
    murder: Murder,
    #[serde(default, rename = "step")]
    steps: Vec<StepText>,
}

fn once() -> u32 {
    1
}

/// More rounds than anybody would watch.
const EACH_MAX: u32 = 1000;

/// The hosts that a scenario is played with, and what they have at the beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Murder {
    /// Names: of masters they begin with `mup`, of frontends with `fe`, of backends with `be`.
    pub hosts: Vec<String>,
    /// The mailboxes of each backend.
    pub mailboxes: BTreeMap<String, Vec<String>>,
    /// `immediate` or `delayed`; what is usual in the manner that is played.
    pub delete_mode: Option<String>,
    /// Seconds that frontends wait before they look for their master again.
    pub retry_delay: Option<u64>,
    /// Most percent of its list that a frontend lets a master delete at once.
    pub max_delete: Option<u8>,
}

impl Default for Murder {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        let mailboxes = [
            ("be1", &["user.anna", "user.anna.Sent", "user.foo"][..]),
            ("be2", &["user.bert", "user.bert.Trash", "shared"]),
        ];
        Murder {
            hosts: names(&["mup", "fe1", "be1", "be2"]),
            mailboxes: mailboxes.into_iter().map(|(host, list)| (host.to_owned(), names(list))).collect(),
            delete_mode: None,
            retry_delay: None,
            max_delete: None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct StepText {
    #[serde(rename = "do")]
    what: String,
    note: Option<String>,
    expect: Option<Expect>,
    only: Option<String>,
    #[serde(default)]
    needs_clock: bool,
}

/// What is expected of a step.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
enum Expect {
    Both(Lines),
    Each(BTreeMap<String, Lines>),
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Many(Vec<String>),
}

impl Lines {
    fn into_vec(self) -> Vec<String> {
        match self {
            Lines::One(line) => vec![line],
            Lines::Many(lines) => lines,
        }
    }
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called: the name of its file.
    pub name: String,
    /// What happens in it.
    pub title: String,
    /// What the manual says of it.
    pub manual: Option<String>,
    /// What 3.6.1 does instead.
    pub cyrus: Option<String>,
    /// Who plays.
    pub murder: Murder,
    /// What is done.
    pub steps: Vec<Step>,
}

/// A step of a scenario.
#[derive(Clone, Debug)]
pub struct Step {
    /// As it stands in the file.
    pub text: String,
    /// What is done.
    pub deed: Deed,
    /// What a reader should know.
    pub note: Option<String>,
    /// The manner that it is for, if not for both.
    pub only: Option<Manner>,
    /// Whether it makes sense only where the clock is the scenario's own.
    pub needs_clock: bool,
    expect: BTreeMap<Manner, Vec<String>>,
}

impl Step {
    /// The beginnings of the lines that are to be answered; `None` if nothing is expected.
    pub fn expected(&self, manner: Manner) -> Option<&[String]> {
        self.expect.get(&manner).map(Vec::as_slice)
    }
}

/// Whether a host is to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It starts.
    Start,
    /// It ends in order.
    Stop,
    /// It ends at once.
    Kill,
    /// It does nothing any more.
    Hang,
    /// It goes on.
    Resume,
}

/// What is done in a step. Hosts are named as the scenario names them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A host starts or ends.
    Life(Life, String),
    /// Time goes by.
    Wait(Duration),
    /// As much time as frontends need to find their master again and to hear all that it tells.
    Settle,
    /// Something happens between two hosts.
    Disturb(Fault, String, String),
    /// Nothing happens between them any more.
    Heal(String, String),
    /// A host's disk takes no more, or again.
    Full(String, bool),
    /// A host dies in front of its deed of that number, from 0 on.
    Fuse(String, u64),
    /// A host that is down loses its database.
    Wipe(String),
    /// A host that is down gets another one's database.
    Copy(String, String),
    /// `ctl_mboxlist -d` on a host.
    Dump(String),
    /// The dump becomes the database of a host that is down: with `ctl_mboxlist -u`, or with coroner.
    Restore(String, bool),
    /// `ctl_mboxlist -m` on a backend.
    Sync {
        /// The backend.
        host: String,
        /// `-w`.
        dry_run: bool,
        /// `-a`.
        authoritative: bool,
    },
    /// A user asks a host, by IMAP; deliveries go by LMTP.
    Ask(String, String, Request),
    /// Somebody tells a master something, by MUPDATE.
    Tell(String, Verb),
    /// A mailbox of a backend that is down is said to move to another one.
    Moving(String, String, String),
    /// Whether a host's list has a mailbox.
    Has(String, String),
    /// What a host's list says of a mailbox.
    Says(String, String),
    /// How many mailboxes a host's list has.
    Count(String),
    /// Whether all agree: the master has what the backends have, the frontends what the master has, and nothing is reserved.
    Agree,
}

/// What is wrong with a scenario's file.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// It is no TOML, or not what a scenario has in it.
    #[error("line {line}: {why}")]
    Toml {
        /// The line, from 1 on.
        line: usize,
        /// What is wrong, in one line.
        why: String,
    },
    /// A step that can't be understood.
    #[error("step {number}: {text:?}: {why}")]
    Step {
        /// Its number, from 1 on.
        number: usize,
        /// Its text.
        text: String,
        /// What is wrong.
        why: String,
    },
}

impl Wrong {
    fn toml(text: &str, error: &toml::de::Error) -> Wrong {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let why = error.message().lines().collect::<Vec<_>>().join(", ");
        Wrong::Toml { line: before.matches('\n').count().saturating_add(1), why }
    }
}

impl Scenario {
    /// The same, with nothing expected: for lists that it was not written for.
    #[must_use]
    pub fn expecting_nothing(mut self) -> Scenario {
        self.steps.iter_mut().for_each(|step| step.expect.clear());
        self
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Scenario, Wrong> {
        let text: Text = toml::from_str(text).map_err(|error| Wrong::toml(text, &error))?;
        let mut steps = Vec::new();
        let rounds = text.each.min(EACH_MAX);
        let all = (0..rounds).flat_map(|round| (1..).zip(&text.steps).map(move |(number, step)| (round, number, step)));
        for (round, number, step) in all {
            let wrong = |why: String| Wrong::Step { number, text: step.what.clone(), why };
            let filled = |text: &str| text.replace("{n}", &round.to_string());
            let what = filled(&step.what);
            let deed = deed(&what, &text.murder.hosts).map_err(wrong)?;
            let manner = |name: &str| {
                let known = Manner::ALL.into_iter().find(|manner| manner.name() == name);
                known.ok_or_else(|| wrong(format!("{name:?} is no manner: manual or cyrus-3.6")))
            };
            let mut expect = BTreeMap::new();
            match step.expect.clone() {
                None => {}
                Some(Expect::Both(lines)) => {
                    let lines = lines.into_vec();
                    expect.extend(Manner::ALL.map(|manner| (manner, lines.clone())));
                }
                Some(Expect::Each(each)) => {
                    for (name, lines) in each {
                        expect.insert(manner(&name)?, lines.into_vec());
                    }
                }
            }
            let only = step.only.as_deref().map(manner).transpose()?;
            steps.push(Step {
                text: what,
                deed,
                note: step.note.as_deref().map(filled),
                only,
                needs_clock: step.needs_clock,
                expect,
            });
        }
        let Text { title, manual, cyrus, murder, .. } = text;
        Ok(Scenario { name: name.to_owned(), title, manual, cyrus, murder, steps })
    }
}

/// Splits at blanks outside of double quotes.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut open) = (Vec::new(), String::new(), false, false);
    for letter in text.chars() {
        match letter {
            '"' => (quoted, open) = (!quoted, true),
            ' ' if !quoted => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            _ => {
                word.push(letter);
                open = true;
            }
        }
    }
    if open {
        words.push(word);
    }
    words
}

/// What a step's text says.
fn deed(text: &str, hosts: &[String]) -> Result<Deed, String> {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let host = |name: &str| match hosts.iter().any(|known| known == name) {
        true => Ok(name.to_owned()),
        false => Err(format!("there is no host {name:?} in this murder")),
    };
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is no number"));
    let life = |life: Life, name: &str| Ok(Deed::Life(life, host(name)?));
    let between = |fault: Fault, a: &str, b: &str| Ok(Deed::Disturb(fault, host(a)?, host(b)?));
    match words[..] {
        ["start", name] => life(Life::Start, name),
        ["stop", name] => life(Life::Stop, name),
        ["kill", name] => life(Life::Kill, name),
        ["hang", name] => life(Life::Hang, name),
        ["resume", name] => life(Life::Resume, name),
        ["wait", seconds] => Ok(Deed::Wait(Duration::from_secs(number(seconds)?))),
        ["settle"] => Ok(Deed::Settle),
        ["part", a, b] => between(Fault::Apart, a, b),
        ["reset", a, b] => between(Fault::Reset, a, b),
        ["stall", a, b] => between(Fault::Stalled, a, b),
        ["half-open", a, b] => between(Fault::HalfOpen, a, b),
        ["cut", a, b, bytes] => between(Fault::CutAfter(usize::try_from(number(bytes)?).unwrap_or(usize::MAX)), a, b),
        ["heal", a, b] => Ok(Deed::Heal(host(a)?, host(b)?)),
        ["full", name] => Ok(Deed::Full(host(name)?, true)),
        ["free", name] => Ok(Deed::Full(host(name)?, false)),
        ["fuse", name, deeds] => Ok(Deed::Fuse(host(name)?, number(deeds)?)),
        ["wipe", name] => Ok(Deed::Wipe(host(name)?)),
        ["copy", from, to] => Ok(Deed::Copy(host(from)?, host(to)?)),
        ["dump", name] => Ok(Deed::Dump(host(name)?)),
        ["restore", name] => Ok(Deed::Restore(host(name)?, false)),
        ["convert", name] => Ok(Deed::Restore(host(name)?, true)),
        ["sync", name, ref options @ ..] => {
            let known = ["-w", "-a"];
            if let Some(odd) = options.iter().find(|option| !known.contains(option)) {
                return Err(format!("{odd:?}: sync takes -w and -a"));
            }
            let (dry_run, authoritative) = (options.contains(&"-w"), options.contains(&"-a"));
            Ok(Deed::Sync { host: host(name)?, dry_run, authoritative })
        }
        [name, "has", mailbox] => Ok(Deed::Has(host(name)?, mailbox.to_owned())),
        [name, "says", mailbox] => Ok(Deed::Says(host(name)?, mailbox.to_owned())),
        ["moving", name, mailbox, to] => Ok(Deed::Moving(host(name)?, mailbox.to_owned(), host(to)?)),
        ["count", name] => Ok(Deed::Count(host(name)?)),
        ["agree"] => Ok(Deed::Agree),
        [who, ref command @ ..] => match who.split_once('@') {
            Some((user, name)) => Ok(Deed::Ask(user.to_owned(), host(name)?, request(command)?)),
            None => Ok(Deed::Tell(host(who)?, verb(command)?)),
        },
        [] => Err("nothing is to be done".into()),
    }
}

/// What a user asks.
fn request(command: &[&str]) -> Result<Request, String> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let upper = command.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    match (&upper[..], command.get(1..).unwrap_or_default()) {
        ("LIST", []) => Ok(Request::List { subscribed: false }),
        ("SELECT", [name]) => Ok(Request::Select { name: bytes(name), read_only: false }),
        ("STATUS", [name]) => Ok(Request::Status { name: bytes(name) }),
        ("CREATE", [name]) => Ok(Request::Create { name: bytes(name), place: None }),
        ("CREATE", [name, place]) => Ok(Request::Create { name: bytes(name), place: Some(bytes(place)) }),
        ("DELETE", [name]) => Ok(Request::Delete { name: bytes(name) }),
        ("RENAME", [from, to]) => Ok(Request::Rename { from: bytes(from), to: bytes(to) }),
        ("SETACL", [name, identifier, rights]) => {
            Ok(Request::SetAcl { name: bytes(name), identifier: bytes(identifier), rights: bytes(rights) })
        }
        ("GETACL", [name]) => Ok(Request::GetAcl { name: bytes(name) }),
        ("DELIVER", [name]) => {
            Ok(Request::Deliver { name: bytes(name), message: b"Subject: drill\r\n\r\nhello\r\n".to_vec() })
        }
        ("APPEND", [name]) => {
            Ok(Request::Append { name: bytes(name), message: b"Subject: drill\r\n\r\nhello\r\n".to_vec() })
        }
        _ => Err("no such command: LIST SELECT STATUS CREATE DELETE RENAME SETACL GETACL APPEND DELIVER".into()),
    }
}

/// What a master is told.
fn verb(command: &[&str]) -> Result<Verb, String> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let upper = command.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
    let change = match (&upper[..], command.get(1..).unwrap_or_default()) {
        ("FIND", [name]) => return Ok(Verb::Find(bytes(name))),
        ("RESERVE", [name, location]) => Change::Reserve { name: bytes(name), location: bytes(location) },
        ("ACTIVATE", [name, location, acl @ ..]) => {
            let acl = acl.iter().flat_map(|word| word.split(' ')).flat_map(|word| [word, "\t"]).collect::<String>();
            Change::Activate { name: bytes(name), location: bytes(location), acl: acl.into_bytes() }
        }
        ("DEACTIVATE", [name, location]) => Change::Deactivate { name: bytes(name), location: bytes(location) },
        ("DELETE", [name]) => Change::Delete { name: bytes(name) },
        _ => return Err("it is no step, and no word of MUPDATE".into()),
    };
    Ok(Verb::Change(change))
}
