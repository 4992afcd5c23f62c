//! What becomes of a name in every state, of a real master of every configuration and of coroner: PROTOCOL.md's tables.

mod common;

use std::fs;
use std::path::Path;

use bstr::ByteSlice;
use common::murder::{Coroner, Host, Lab, Part, Rows, Talk, rows_of, wait};
use rustix::process::Signal;

/// Where the events of the tables take place, and somewhere else.
struct Places {
    here: &'static str,
    elsewhere: &'static str,
}

const SERVERS: Places = Places { here: "be1.murder.test!default", elsewhere: "be2.murder.test!default" };
const PARTITIONS: Places = Places { here: "default", elsewhere: "p2" };
/// What a replicated backend of 3.6 gives for a mailbox that it renames.
const NOWHERE: Places = Places { here: "", elsewhere: "p2" };
const ACL: &str = "anna\tlrs\t";

/// The rows of a table: what is sent, and what becomes of a name in each state.
fn table(heading: &str) -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/murder/PROTOCOL.md")).expect("it");
    let part = text.split("\n### ").find(|part| part.starts_with(heading)).expect("the heading");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace(['`', '"'], "")).collect()
    };
    let lines =
        part.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `")).map(cells);
    let rows: Vec<_> = lines.map(|mut cells| (cells.remove(0), cells)).collect();
    assert!(rows.len() == 4 && rows.iter().all(|(_, cells)| cells.len() == STATES.len()), "{heading}: {rows:?}");
    rows
}

/// How a name comes into the state of a column.
const STATES: [&[&str]; 5] = [
    &[],
    &["RESERVE NAME HERE"],
    &["RESERVE NAME ELSEWHERE"],
    &["ACTIVATE NAME HERE ACL"],
    &["ACTIVATE NAME ELSEWHERE ACL"],
];

fn command(event: &str, name: &str, places: &Places) -> String {
    let quoted = |text: &str| format!("\"{text}\"");
    event
        .replace("NAME", &quoted(name))
        .replace("ELSEWHERE", &quoted(places.elsewhere))
        .replace("HERE", &quoted(places.here))
        .replace("ACL", &quoted("other\tlrswip\t"))
}

/// What a server answered, and what it says of the name then; nothing if it died.
fn outcome(talk: &mut Talk, command: &str, name: &str) -> Option<(String, Rows)> {
    let (said, _) = talk.ask(command)?;
    Some((said, talk.ok(&format!("FIND \"{name}\""))))
}

/// What the table says of a cell; `None` is a master that dies.
fn expected(cell: &str, name: &str, places: &Places, before: &Rows, real: bool) -> Option<(String, Rows)> {
    let state = |acl: Option<&str>| {
        let place = (places.here.as_bytes().to_vec(), acl.map(|acl| acl.as_bytes().to_vec()));
        Rows::from([(name.as_bytes().to_vec(), place)])
    };
    let done = |rows: Rows| Some(("OK done".to_owned(), rows));
    match cell {
        "reserved" => done(state(None)),
        "active" => done(state(Some("other\tlrswip\t"))),
        "absent" => done(Rows::new()),
        _ => match cell.strip_prefix("dies; ") {
            Some(_) if real => None,
            Some(answer) => Some((answer.to_owned(), before.clone())),
            None => Some((cell.to_owned(), before.clone())),
        },
    }
}

/// Plays the table to a server that `again` brings up, also after it died.
fn play(heading: &str, what: &str, places: &Places, real: bool, again: &mut dyn FnMut() -> Talk) -> usize {
    let mut talk = again();
    let mut deaths = 0;
    for (row, (event, cells)) in table(heading).iter().enumerate() {
        for (column, cell) in cells.iter().enumerate() {
            let name = format!("user.n{row}{column}");
            for step in STATES[column] {
                talk.ok(&command(&step.replace("ACL", &format!("\"{ACL}\"")), &name, places));
            }
            let before = talk.ok(&format!("FIND \"{name}\""));
            let wanted = expected(cell, &name, places, &before, real);
            let found = outcome(&mut talk, &command(event, &name, places), &name);
            assert_eq!(found, wanted, "{what}: {event} in column {column}, which says {cell}");
            if found.is_none() {
                deaths += 1;
                talk = again();
            }
        }
    }
    deaths
}

fn start(host: &mut Host) -> Talk {
    // A master process gives a service up that dies too often.
    host.stop(Signal::KILL);
    host.start();
    let mut talk = None;
    wait("the real master", || {
        talk = Talk::open(host.mupdate);
        talk.is_some()
    });
    talk.expect("a connection")
}

/// The lines of its configuration with which a real host runs as master, and which table it goes by.
const CONFIGURATIONS: [(&str, &str, &str); 4] = [
    ("standard", "", "Standard and unified"),
    ("unified", "mupdate_config: unified\n", "Standard and unified"),
    ("replicated-alone", "mupdate_config: replicated\n", "Standard and unified"),
    ("replicated", "mupdate_config: replicated\nmupdate_server: 127.0.0.1\n", "Replicated"),
];

#[test]
fn real_masters_of_every_configuration_go_by_the_tables() {
    let Some(lab) = Lab::find("real_masters_of_every_configuration_go_by_the_tables") else { return };
    for (name, more, heading) in CONFIGURATIONS {
        let mut host = lab.host_with(name, Part::MasterAsItIs, "twoskip", more);
        let deaths = play(heading, name, &SERVERS, true, &mut || start(&mut host));
        assert_eq!(deaths, 3, "{name}");
    }
    for (name, places) in [("partitions", &PARTITIONS), ("nowhere", &NOWHERE)] {
        let mut host = lab.host_with(name, Part::MasterAsItIs, "twoskip", CONFIGURATIONS[3].1);
        assert_eq!(play("Replicated", name, places, true, &mut || start(&mut host)), 3, "{name}");
    }
}

#[test]
fn a_real_unified_host_is_no_master() {
    let Some(lab) = Lab::find("a_real_unified_host_is_no_master") else { return };
    let exit = |name: &str, more: &str| lab.host_with(name, Part::Master, "twoskip", more).run_mupdate();
    // The first says so in its log; the others go on until they find that nobody called.
    assert_eq!(exit("unified", "mupdate_config: unified\nmupdate_server: 127.0.0.1\n"), Some(64));
    assert_eq!(exit("alone", "mupdate_config: unified\n"), Some(71));
    assert_eq!(exit("replicated", "mupdate_config: replicated\nmupdate_server: 127.0.0.1\n"), Some(71));
}

#[test]
fn coroner_goes_by_the_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        ("standard", "Standard and unified", &SERVERS),
        ("unified", "Standard and unified", &SERVERS),
        ("replicated", "Replicated", &SERVERS),
        ("replicated", "Replicated", &PARTITIONS),
        ("replicated", "Replicated", &NOWHERE),
    ];
    for (turn, (config, heading, places)) in cases.into_iter().enumerate() {
        let database = folder.path().join(format!("{turn}.db"));
        let options = ["--role", "master", "--no-auth", "--config", config, "--db", database.to_str().expect("a path")];
        let server = Coroner::serve(folder.path(), &options);
        let mut starts = 0;
        let mut again = || {
            starts += 1;
            Talk::open(server.port).expect("a master")
        };
        assert_eq!(play(heading, config, places, false, &mut again), 0);
        assert_eq!(starts, 1);
        let list = Talk::open(server.port).expect("a master").ok("LIST");
        drop(server);
        assert_eq!(rows_of(&database), list, "{config}: what a real Cyrus would read");
    }
}

/// What two real backends of a replicated murder make of a master, and what they would do about it.
fn replicated(lab: &Lab, name: &str, port: u16) -> (Rows, Vec<String>) {
    let more = "mupdate_config: replicated\n";
    let [mut a, mut b] =
        ["a", "b"].map(|part| lab.host_with(&format!("{name}-{part}"), Part::Backend(port), "twoskip", more));
    a.start();
    b.start();
    let mut said = Vec::new();
    let mut run = |host: &Host, commands: &[&str]| {
        let mut imap = host.imap();
        said.extend(commands.iter().map(|command| format!("{command}: {}", imap.run(command).0)));
    };
    run(&a, &["CREATE user/anna", "CREATE user/anna/Sub", "CREATE user/bert p2", "SETACL user/anna bert lrs"]);
    run(&a, &["RENAME user/anna/Sub user/anna/New", "SETACL user/bert cyrus lrswipkxtecda", "DELETE user/bert"]);
    // Another one may take over what somebody has.
    run(&b, &["CREATE user/carl", "CREATE user/anna", "SETACL user/carl anna lrs"]);
    for host in [&a, &b] {
        let output = host.mboxlist(&["-mw"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        said.extend(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned));
    }
    // The names of deleted ones hold the time.
    said.retain(|line| !line.contains("DELETED."));
    let deleted = |name: &[u8]| name.starts_with(b"DELETED.");
    let rows = common::murder::list(port).expect("a list").into_iter().filter(|(name, _)| !deleted(name)).collect();
    (rows, said)
}

#[test]
fn real_replicated_backends_do_the_same_with_a_real_master_and_with_coroner() {
    let Some(lab) = Lab::find("real_replicated_backends_do_the_same_with_a_real_master_and_with_coroner") else {
        return;
    };
    let mut real = lab.host_with("mup", Part::Master, "twoskip", CONFIGURATIONS[3].1);
    start(&mut real);
    let database = lab.path("ours.db");
    let options =
        ["--role", "master", "--no-auth", "--config", "replicated", "--db", database.to_str().expect("a path")];
    let ours = Coroner::serve(&lab.path(""), &options);
    let (theirs, here) = (replicated(&lab, "real", real.mupdate), replicated(&lab, "ours", ours.port));
    assert_eq!(here, theirs);
    let place = |name: &str| here.0.get(name.as_bytes()).map(|(place, _)| String::from_utf8_lossy(place).into_owned());
    assert_eq!([place("user.anna"), place("user.carl")], [Some("default".to_owned()), Some("default".to_owned())]);
    assert!(here.1.contains(&"RENAME user/anna/Sub user/anna/New: OK".to_owned()), "{:?}", here.1);
    // A frontend takes over what has no server.
    let list = common::murder::list(ours.port).expect("a list");
    let mut frontend = lab.host("fe", Part::Frontend(ours.port), "twoskip");
    frontend.start();
    wait("the frontend", || common::murder::list(frontend.mupdate).as_ref() == Some(&list));
}

#[test]
fn real_unified_hosts_push_to_coroner_and_follow_it() {
    let Some(lab) = Lab::find("real_unified_hosts_push_to_coroner_and_follow_it") else { return };
    let database = lab.path("master.db");
    let conflicts = common::corpus().join("cyrus-3.6.1/conflicts");
    fs::copy(conflicts.join("mup.twoskip.db"), &database).expect("a copy");
    let options = ["--role", "master", "--no-auth", "--config", "unified", "--db", database.to_str().expect("a path")];
    let master = Coroner::serve(&lab.path(""), &options);
    let hosts = ["be1", "be2"].map(|name| {
        let host = lab.host_with(name, Part::Frontend(master.port), "twoskip", "mupdate_config: unified\n");
        host.put(&conflicts.join(format!("{name}.twoskip.db")));
        host
    });
    for host in &hosts {
        let own = format!("{}={}", host.name, host.database().display());
        let address = format!("127.0.0.1:{}", master.port);
        let command = ["murder", "sync", "--backend", &own, "--master", &address, "--unified"];
        let planned = common::coroner([&command[..], &["--dry-run"]].concat());
        let real = host.mboxlist(&["-mw"]);
        assert_eq!(planned.stdout.as_bstr(), real.stdout.as_bstr(), "{}", host.name);
        assert!(real.stdout.lines().count() > 5, "{}", real.stdout.as_bstr());
        assert!(host.mboxlist(&["-m"]).status.success());
    }
    let [mut first, _second] = hosts;
    let local =
        |host: &Host| -> Rows { host.rows().into_iter().filter(|(_, (place, _))| !place.contains(&b'!')).collect() };
    let before = local(&first);
    assert!(before.len() > 20, "{} of its own", before.len());
    let all = Talk::open(master.port).expect("a master").ok("LIST");
    let elsewhere: Rows = all.into_iter().filter(|(_, (place, _))| !place.starts_with(b"be1.murder.test!")).collect();
    first.start();
    let taken_over = || {
        let rows = first.rows();
        elsewhere
            .iter()
            .filter(|(name, _)| !before.contains_key(*name))
            .all(|(name, state)| rows.get(name) == Some(state))
    };
    wait("the mailboxes of the other host", taken_over);
    assert_eq!(local(&first), before, "its own are left alone");
}
