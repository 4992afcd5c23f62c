//! A murder of real Cyrus hosts around coroner, on loopback.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bstr::ByteSlice;
use common::murder::{Coroner, Host, Lab, Part, Rows, Talk, list, rows_of, wait, within};
use common::{coroner, corpus};
use coroner::murder::net::sasl;
use rustix::process::{Pid, Signal};
use sha2::{Digest, Sha256};

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A master's list with neighbours of every kind.
fn master_database(lab: &Lab) -> PathBuf {
    let path = lab.path("master.db");
    let options = ["--mailboxes", "2000", "--seed", "6", "--role", "master", "--servers", "3"];
    let output = coroner([&["synth", "-o", text(&path)], &options[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn serve(lab: &Lab, database: &Path, more: &[&str]) -> Coroner {
    Coroner::serve(lab.path("").as_path(), &[&["--role", "master", "--db", text(database), "--no-auth"], more].concat())
}

/// Waits until a server tells the same list, and has it in its database.
#[track_caller]
fn wait_for(what: &str, host: &Host, wanted: &Rows) {
    let mut last = None;
    let same = within(|| {
        last = list(host.mupdate);
        last.as_ref() == Some(wanted)
    });
    if !same {
        let last = last.unwrap_or_else(|| panic!("{what}: {} does not answer", host.name));
        let differs = |a: &Rows, b: &Rows| a.iter().filter(|(name, state)| b.get(*name) != Some(*state)).count();
        let some = wanted.iter().filter(|(name, state)| last.get(*name) != Some(*state)).take(5);
        let some: Vec<_> = some.map(|(name, _)| name.as_bstr()).collect();
        panic!(
            "{what}: {} lacks {} ({some:?}) and has {} other",
            host.name,
            differs(wanted, &last),
            differs(&last, wanted)
        );
    }
    let same = host.rows() == *wanted;
    assert!(same, "{what}: the database has {} entries, the list {}", host.rows().len(), wanted.len());
}

#[test]
fn a_real_frontend_follows_a_coroner_master() {
    let Some(lab) = Lab::find("a_real_frontend_follows_a_coroner_master") else { return };
    let database = master_database(&lab);
    let master = serve(&lab, &database, &["--listen", &format!("127.0.0.1:{}", common::murder::free_port())]);
    let port = master.port;
    let mut talk = Talk::open(port).expect("a master");
    for name in ["user.zed", "user.zed.sub", "user.zed-b", "user.zed b", "user.zoo", "user.a^b", "user.a^b.x"] {
        talk.ok(&format!("ACTIVATE \"{name}\" \"be1.murder.test!default\" \"anyone\tlrs\t\""));
    }
    talk.ok("RESERVE \"user.reserved\" \"be2.murder.test!default\"");
    let first = talk.ok("LIST");
    assert!(first.len() > 1900, "{} names", first.len());

    let mut frontend = lab.host("fe1", Part::Frontend(port), "twoskip");
    frontend.start();
    wait_for("the first list", &frontend, &first);

    talk.ok("ACTIVATE \"user.new\" \"be2.murder.test!p2\" \"new\tlrswip\tanyone\tp\t\"");
    talk.ok("ACTIVATE \"user.reserved\" \"be2.murder.test!default\" \"\"");
    talk.ok("DEACTIVATE \"user.zoo\" \"be3.murder.test!default\"");
    talk.ok("DELETE \"user.a^b.x\"");
    let changed = talk.ok("LIST");
    assert_ne!(changed, first);
    wait_for("changes", &frontend, &changed);

    // While they are apart, a mailbox goes whose absence makes a real frontend lose its neighbours.
    drop(talk);
    assert_eq!(master.stop(Signal::TERM), Some(0));
    assert_eq!(rows_of(&database), changed, "what a real Cyrus would read");
    let alone = serve(&lab, &database, &[]);
    let mut talk = Talk::open(alone.port).expect("a master");
    talk.ok("DELETE \"user.zed.sub\"");
    talk.ok("ACTIVATE \"user.later\" \"be1.murder.test!default\" \"later\tlrs\t\"");
    let later = talk.ok("LIST");
    assert!(later.contains_key(&b"user.zed-b"[..]));
    drop(talk);
    alone.stop(Signal::TERM);
    let _again = serve(&lab, &database, &["--listen", &format!("127.0.0.1:{port}")]);
    wait_for("the list after a reconnect", &frontend, &later);
}

#[test]
fn a_converted_dump_reaches_a_real_frontend_without_loss() {
    let Some(lab) = Lab::find("a_converted_dump_reaches_a_real_frontend_without_loss") else { return };
    for real in [true, false] {
        let engine = if real { "twoskip" } else { "skiplist" };
        let dump = corpus().join("cyrus-3.6.1/murder-twoskip/mup.twoskip.dump.json");
        let converted = lab.path(&format!("converted.{engine}.db"));
        let options = ["--to", engine, "--role", "master", "--era", "3.6"];
        let output = coroner([&["convert", text(&dump), "-o", text(&converted)], &options[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut wanted = rows_of(&converted);
        assert!(wanted.len() > 60, "{} entries", wanted.len());
        let mut master = None;
        let _ours;
        let port = if real {
            let host = master.insert(lab.host("mup", Part::Master, engine));
            host.put(&converted);
            host.start();
            // A real master drops reservations when it starts.
            wanted.retain(|_, (_, acl)| acl.is_some());
            host.mupdate
        } else {
            _ours = serve(&lab, &converted, &[]);
            _ours.port
        };
        wait("the master's list", || list(port).is_some());
        assert_eq!(list(port), Some(wanted.clone()));
        let mut frontend = lab.host(&format!("fe-{engine}"), Part::Frontend(port), engine);
        frontend.start();
        wait_for("the converted list", &frontend, &wanted);
    }
}

/// A file that lets `murder` log in with `secret`.
fn passwords(lab: &Lab) -> PathBuf {
    let path = lab.path("passwords");
    let mut command = Command::new(env!("CARGO_BIN_EXE_coroner"));
    command.args(["murder", "password", "murder"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("coroner");
    child.stdin.take().expect("its input").write_all(b"secret\n").expect("a password");
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success());
    fs::write(&path, output.stdout).expect("written");
    path
}

fn names(rows: &Rows) -> Vec<String> {
    rows.keys().map(|name| name.to_str_lossy().into_owned()).collect()
}

#[test]
fn real_backends_tell_a_coroner_master() {
    let Some(lab) = Lab::find("real_backends_tell_a_coroner_master") else { return };
    let (database, passwords) = (lab.path("list.db"), passwords(&lab));
    let port = common::murder::free_port().to_string();
    let listen = format!("127.0.0.1:{port}");
    let options = ["--role", "master", "--db", text(&database), "--passwords", text(&passwords), "--listen", &listen];
    let master = Coroner::serve(&lab.path(""), &options);
    let mut backends = ["be1", "be2"].map(|name| lab.host(name, Part::Backend(master.port), "twoskip"));
    backends.iter_mut().for_each(Host::start);
    let [mut one, mut two] = [backends[0].imap(), backends[1].imap()];
    let mut talk = Talk::open(master.port).expect("a master that lets us in");

    one.ok("CREATE user/anna");
    one.ok("CREATE user/anna/Sent");
    one.ok("CREATE user/anna/old");
    two.ok("CREATE user/bert");
    assert_eq!(two.run("CREATE user/anna").0, "NO", "a mailbox of another server");
    let created = talk.ok("LIST");
    assert_eq!(names(&created), ["user.anna", "user.anna.Sent", "user.anna.old", "user.bert"]);
    assert_eq!(created[&b"user.bert"[..]].0.as_bstr(), b"be2.murder.test!default".as_bstr());

    one.ok("SETACL user/anna bert lrs");
    one.ok("SETACL user/anna cyrus lrswipkxtecda");
    one.ok("RENAME user/anna/old user/anna/new");
    one.ok("SETACL user/anna/Sent cyrus lrswipkxtecda");
    one.ok("DELETE user/anna/Sent");
    let changed = talk.ok("LIST");
    let acl = changed[&b"user.anna"[..]].1.clone().expect("an ACL");
    assert!(acl.contains_str("bert\tlrs\t"), "{:?}", acl.as_bstr());
    assert!(changed.contains_key(&b"user.anna.new"[..]) && !changed.contains_key(&b"user.anna.old"[..]));
    assert!(names(&changed).iter().any(|name| name.starts_with("DELETED.user.anna.Sent.")), "{:?}", names(&changed));

    // What ctl_mboxlist says and does of it, and what coroner does of the same files.
    let sync = |host: &Host, options: &[&str]| {
        let backend = format!("{}={}", host.name, host.database().display());
        let secret = lab.path("secret");
        fs::write(&secret, "secret\n").expect("a password");
        let server = ["murder", "sync", "--backend", &backend, "--master", &listen];
        let login = ["--user", "murder", "--password-file", text(&secret)];
        coroner([&server[..], &login, options].concat())
    };
    for (theirs, ours) in [("-mw", &["--dry-run"][..]), ("-maw", &["--dry-run", "--authoritative"])] {
        let (cyrus, coroner) = (backends[0].mboxlist(&[theirs]), sync(&backends[0], ours));
        assert!(cyrus.status.success(), "{}", cyrus.stderr.as_bstr());
        assert!(cyrus.stdout.contains_str("Force Activate"), "{theirs}: {}", cyrus.stdout.as_bstr());
        assert_eq!(coroner.stdout.as_bstr(), cyrus.stdout.as_bstr(), "{theirs} {}", coroner.stderr.as_bstr());
        assert_eq!(coroner.status.code(), Some(1));
    }
    assert!(backends[0].mboxlist(&["-m"]).status.success());
    assert_eq!(backends[0].mboxlist(&["-mw"]).stdout.as_bstr(), b"".as_bstr(), "nothing is left to be done");
    let synced = talk.ok("LIST");

    // All is lost; the backends tell it again, one by Cyrus and one by coroner.
    drop(talk);
    assert_eq!(master.stop(Signal::TERM), Some(0));
    fs::remove_file(&database).expect("lost");
    let master = Coroner::serve(&lab.path(""), &options);
    assert!(backends[0].mboxlist(&["-ma"]).status.success());
    let told = sync(&backends[1], &[]);
    assert_eq!(told.status.code(), Some(0), "{}", told.stderr.as_bstr());
    assert_eq!(told.stdout.as_bstr(), b"Force Activate: user.bert\n".as_bstr());
    assert_eq!(Talk::open(master.port).expect("a master").ok("LIST"), synced);
    two.ok("CREATE user/bert/after");
    assert!(list(master.port).expect("a list").contains_key(&b"user.bert.after"[..]));
}

/// Every recorded list of what `ctl_mboxlist -mw` and `-maw` say, with the backend's and the master's database.
fn oracles() -> Vec<(PathBuf, PathBuf, PathBuf)> {
    let recorded = common::files(&corpus(), &|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".mw.txt") || name.ends_with(".maw.txt")
    });
    let beside = |path: &Path, start: &str| {
        let folder = path.parent().expect("a folder");
        let found = common::files(folder, &|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.parent() == Some(folder) && name.starts_with(start) && name.ends_with(".db")
        });
        found.into_iter().next()
    };
    let with_databases = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let backend = beside(&path, &format!("{}.", &name[..3])).expect("a backend's database");
        let restarted = name.contains("after-master-restart").then(|| beside(&path, "mup.after-restart.")).flatten();
        let master = restarted.or_else(|| beside(&path, "mup.")).expect("a master's database");
        (path, backend, master)
    };
    recorded.into_iter().map(with_databases).collect()
}

#[test]
fn sync_decides_as_ctl_mboxlist_did_in_every_release() {
    let folder = tempfile::tempdir().expect("a folder");
    let oracles = oracles();
    assert!(oracles.len() > 40, "{} recordings", oracles.len());
    let mut wrong = Vec::new();
    for (recorded, backend, master) in oracles {
        // twom is only read.
        if master.to_string_lossy().contains("twom") {
            continue;
        }
        let copy = folder.path().join("master.db");
        fs::copy(&master, &copy).expect("a copy");
        let server = Coroner::serve(folder.path(), &["--role", "master", "--db", text(&copy), "--no-auth"]);
        let name = recorded.file_name().expect("a name").to_string_lossy().into_owned();
        let backend = format!("{}.murder.test={}", &name[..3], backend.display());
        let address = format!("127.0.0.1:{}", server.port);
        let mut options = vec!["murder", "sync", "--backend", &backend, "--master", &address, "--dry-run"];
        options.extend(name.ends_with(".maw.txt").then_some("--authoritative"));
        let output = coroner(&options);
        // Some recordings end with the exit status.
        let mut expected = fs::read(&recorded).expect("a recording");
        expected.truncate(expected.len() - if expected.ends_with(b"rc 0\n") { 5 } else { 0 });
        if output.stdout != expected {
            let (ours, theirs): (Vec<_>, Vec<_>) = (output.stdout.lines().collect(), expected.lines().collect());
            let more: Vec<_> = ours.iter().filter(|line| !theirs.contains(line)).map(|line| line.as_bstr()).collect();
            let less: Vec<_> = theirs.iter().filter(|line| !ours.contains(line)).map(|line| line.as_bstr()).collect();
            wrong.push(format!("{}: more {more:?}, less {less:?} {}", recorded.display(), output.stderr.as_bstr()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sync_does_the_same_to_a_real_master_and_to_coroner() {
    let Some(lab) = Lab::find("sync_does_the_same_to_a_real_master_and_to_coroner") else { return };
    let conflicts = corpus().join("cyrus-3.6.1/conflicts");
    let mut real = lab.host("mup", Part::MasterAsItIs, "twoskip");
    real.put(&conflicts.join("mup.twoskip.db"));
    real.start();
    wait("the real master", || list(real.mupdate).is_some());
    let copy = lab.path("ours.db");
    fs::copy(conflicts.join("mup.twoskip.db"), &copy).expect("a copy");
    let ours = serve(&lab, &copy, &[]);
    let before = list(ours.port);
    assert_eq!(list(real.mupdate), before);
    let secret = lab.path("secret");
    fs::write(&secret, "secret\n").expect("a password");
    for backend in ["be1", "be2"] {
        let file = format!("{backend}.murder.test={}", conflicts.join(format!("{backend}.twoskip.db")).display());
        let run = |port: u16| {
            let address = format!("127.0.0.1:{port}");
            let command = ["murder", "sync", "--backend", &file, "--master", &address];
            coroner([&command[..], &["--user", "murder", "--password-file", text(&secret)]].concat())
        };
        let (theirs, ours) = (run(real.mupdate), run(ours.port));
        assert_eq!(theirs.stdout.as_bstr(), ours.stdout.as_bstr(), "{}", theirs.stderr.as_bstr());
        // Mailboxes that Cyrus would wipe are left.
        assert_eq!((theirs.status.code(), ours.status.code()), (Some(1), Some(1)), "{}", theirs.stderr.as_bstr());
    }
    assert_eq!(list(ours.port), list(real.mupdate));
    assert_ne!(list(ours.port), before);
}

#[test]
fn a_coroner_frontend_follows_a_real_master_and_takes_its_place() {
    let Some(lab) = Lab::find("a_coroner_frontend_follows_a_real_master_and_takes_its_place") else { return };
    let mut master = lab.host("mup", Part::Master, "twoskip");
    master.put(&corpus().join("cyrus-3.6.1/murder-twoskip/mup.twoskip.db"));
    master.start();
    wait("the real master", || list(master.mupdate).is_some());
    let secret = lab.path("secret");
    fs::write(&secret, "secret\n").expect("a password");
    let (copy, address) = (lab.path("standby.db"), format!("127.0.0.1:{}", master.mupdate));
    let options = ["--role", "frontend", "--db", text(&copy), "--no-auth", "--master", &address, "--retry-delay", "1"];
    let login = ["--user", "murder", "--password-file", text(&secret)];
    let standby = Coroner::serve(&lab.path(""), &[&options[..], &login].concat());
    let mut talk = Talk::open(master.mupdate).expect("a master");
    for line in
        ["ACTIVATE \"user.zed\" \"be1!default\" \"a\tl\t\"", "ACTIVATE \"user.zed-b\" \"be1!default\" \"a\tl\t\""]
    {
        talk.ok(line);
    }
    let first = talk.ok("LIST");
    wait("the first list", || list(standby.port).as_ref() == Some(&first));
    talk.ok("ACTIVATE \"user.zed.x\" \"be1!default\" \"a\tl\t\"");
    talk.ok("DELETE \"user.zed\"");
    let second = talk.ok("LIST");
    wait("changes", || list(standby.port).as_ref() == Some(&second));
    assert_eq!(rows_of(&copy), second, "what a real frontend would read");
    let said = Talk::open(standby.port).expect("a frontend").ask("DELETE \"user.zed.x\"").expect("an answer").0;
    assert_eq!(said, "BAD read-only session");

    // The master dies; the list stays, and its keeper takes the place.
    drop(talk);
    master.stop(Signal::KILL);
    assert_eq!(list(standby.port), Some(second.clone()));
    rustix::process::kill_process(Pid::from_raw(standby.id() as i32).expect("an id"), Signal::USR1).expect("a signal");
    let mut talk = Talk::open(standby.port).expect("a frontend");
    wait("the new master", || talk.ask("DELETE \"user.zed.x\"").is_some_and(|(said, _)| said.starts_with("OK")));
    let output = coroner(["murder", "query", &format!("127.0.0.1:{}", standby.port), "noop"]);
    assert!(output.stdout.contains_str("(master): Noop done"), "{}", output.stdout.as_bstr());
    // A real one goes on with the file.
    let last = talk.ok("LIST");
    drop(talk);
    assert_eq!(standby.stop(Signal::TERM), Some(0));
    let mut again = lab.host("mup2", Part::Master, "twoskip");
    again.put(&copy);
    again.start();
    wait("the real master again", || list(again.mupdate) == Some(last.clone()));
}

#[test]
fn master_and_coroner_take_turns_on_one_file_and_lose_nothing() {
    let Some(lab) = Lab::find("master_and_coroner_take_turns_on_one_file_and_lose_nothing") else { return };
    for engine in ["twoskip", "skiplist"] {
        let mut real = lab.host(&format!("mup-{engine}"), Part::Master, engine);
        let listen = format!("127.0.0.1:{}", common::murder::free_port());
        let mut wanted = Rows::new();
        let mut number = 0;
        for turn in 0..6 {
            let mut ours = None;
            let port = if turn % 2 == 0 {
                real.start();
                real.mupdate
            } else {
                let database = real.database();
                let options = ["--role", "master", "--db", text(&database), "--no-auth", "--listen", &listen];
                ours.insert(Coroner::serve(&lab.path(""), &options)).port
            };
            let mut found = None;
            let all = within(|| {
                found = list(port);
                found.is_some()
            });
            assert!(all, "{engine}, turn {turn}: no answer");
            let found = found.unwrap_or_default();
            // What was acknowledged is there; what was on its way when it was killed may be.
            let lost: Vec<_> = wanted.iter().filter(|(name, state)| found.get(*name) != Some(state)).collect();
            assert!(lost.is_empty(), "{engine}, turn {turn}: lost {lost:?}");
            wanted = found;
            let end = || match &ours {
                Some(ours) => kill(ours.id()),
                None => real.stop(Signal::KILL),
            };
            number = change_until_killed(port, number, 60 + 10 * turn, end, &mut wanted);
        }
        assert!(wanted.len() > 200, "{engine}: {} names", wanted.len());
    }
}

#[test]
fn frontends_and_backends_go_on_while_masters_take_turns() {
    let Some(lab) = Lab::find("frontends_and_backends_go_on_while_masters_take_turns") else { return };
    let mut real = lab.host("mup", Part::Master, "twoskip");
    let (port, database) = (real.mupdate, real.database());
    let listen = format!("127.0.0.1:{port}");
    let mut ours: Option<Coroner> = None;
    let mut frontend = lab.host("fe1", Part::Frontend(port), "twoskip");
    let mut backend = lab.host("be1", Part::Backend(port), "twoskip");
    for turn in 0..5 {
        // Each ends as if the power had gone.
        ours.take().into_iter().for_each(|ours| kill(ours.id()));
        real.stop(Signal::KILL);
        if turn % 2 == 0 {
            real.start();
        } else {
            let options = ["--role", "master", "--db", text(&database), "--no-auth", "--listen", &listen];
            ours = Some(Coroner::serve(&lab.path(""), &options));
        }
        wait("the master", || list(port).is_some());
        if turn == 0 {
            frontend.start();
            backend.start();
        }
        let mut imap = backend.imap();
        for command in ["CREATE user/uN", "CREATE user/uN/Sent", "CREATE user/uN-b", "SETACL user/uN anna lrs"] {
            imap.ok(&command.replace('N', &turn.to_string()));
        }
        let wanted = list(port).expect("a list");
        assert_eq!(wanted.len(), 3 * (turn + 1), "turn {turn}");
        wait_for(&format!("turn {turn}"), &frontend, &wanted);
    }
    let output = backend.mboxlist(&["-mw"]);
    assert!(output.status.success() && output.stdout.is_empty(), "{}", output.stdout.as_bstr());
}

fn kill(id: u32) {
    let _ = rustix::process::kill_process(Pid::from_raw(id as i32).expect("an id"), Signal::KILL);
}

/// Changes mailboxes, many at a time, until after `count` answers the server is killed; notes what was acknowledged.
fn change_until_killed(port: u16, from: usize, count: usize, kill: impl FnOnce(), wanted: &mut Rows) -> usize {
    let mut talk = Talk::open(port).expect("a master");
    let mut sent = Vec::new();
    let mut bytes = Vec::new();
    for number in from..from + 2 * count {
        let name = format!("user.turn{number}");
        bytes.extend(format!("A{number} ACTIVATE \"{name}\" \"be1!default\" \"u{number}\tlrs\t\"\r\n").into_bytes());
        sent.push((name, number));
    }
    talk.socket.write_all(&bytes).expect("sent");
    let mut kill = Some(kill);
    for (index, (name, number)) in sent.into_iter().enumerate() {
        if index == count
            && let Some(kill) = kill.take()
        {
            kill();
        }
        let Some((_, word, _)) = talk.line() else { break };
        assert_eq!(word, b"OK");
        let acl = format!("u{number}\tlrs\t").into_bytes();
        wanted.insert(name.into_bytes(), (b"be1!default".to_vec(), Some(acl)));
    }
    from + 2 * count
}

fn resident(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn hostile_clients_harm_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("list.db");
    let options = ["--mailboxes", "60000", "--seed", "8", "--role", "master"];
    let output = coroner([&["synth", "-o", text(&database)], &options[..]].concat());
    assert!(output.status.success());
    let more = ["--max-connections", "300", "--patience", "3"];
    let mut server = Coroner::serve(
        folder.path(),
        &[&["--role", "master", "--db", text(&database), "--no-auth"], &more[..]].concat(),
    );
    let before = resident(server.id());
    let address = ("127.0.0.1", server.port);

    // Those who ask for everything again and again, and read nothing.
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..40 {
        let mut socket = TcpStream::connect(address).expect("a connection");
        socket.write_all(&b"a LIST\r\nb LIST\r\nc UPDATE\r\n".repeat(50)).expect("sent");
        slow.push(socket);
    }
    // Those who send what they may not.
    for (seed, line) in [
        b"a FIND {99999999}\r\n".as_slice(),
        b"{",
        b"a ACTIVATE \"",
        b"\x00\xff\x80",
        b"a COMPRESS \"DEFLATE\"\r\nxxxxxxxx",
    ]
    .into_iter()
    .enumerate()
    {
        for _ in 0..10 {
            let mut socket = TcpStream::connect(address).expect("a connection");
            let _ = socket.write_all(line);
            let _ = socket.write_all(&vec![b'a' + seed as u8; 400_000]);
            if seed % 2 == 0 {
                slow.push(socket);
            }
        }
    }
    // More than there is room for.
    let flood: Vec<_> = (0..400).filter_map(|_| TcpStream::connect(address).ok()).collect();
    let refused = flood.iter().filter(|socket| {
        let mut start = [0; 6];
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        (&mut &**socket).read_exact(&mut start).is_ok() && &start == b"* BYE "
    });
    assert!(refused.count() >= 100);
    drop(flood);

    let mut talk = None;
    assert!(within(|| {
        talk = Talk::open(server.port);
        talk.is_some()
    }));
    let mut talk = talk.expect("a connection");
    assert_eq!(talk.ok("LIST").len(), 60_000);
    talk.ok("ACTIVATE \"user.well\" \"be1!default\" \"a\tlrs\t\"");
    assert_eq!(talk.ok("FIND \"user.well\"").len(), 1);
    let after = resident(server.id());
    assert!(after < before + 80_000, "{before} KiB before, {after} KiB with hostile clients");
    assert!(server.is_running());
    drop(slow);
    talk.ok("NOOP");
    assert_eq!(server.stop(Signal::TERM), Some(0));
}

/// A certificate for localhost and its key, in PEM files.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    fs::write(&paths.0, made.cert.pem()).expect("written");
    fs::write(&paths.1, made.signing_key.serialize_pem()).expect("written");
    (paths.0, paths.1, made.cert.der().to_vec())
}

#[test]
fn logins_tls_and_compression() {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, users, secret) =
        (folder.path().join("list.db"), folder.path().join("users"), folder.path().join("secret"));
    fs::write(&secret, "secret\n").expect("a password");
    let output = coroner(["synth", "-o", text(&database), "--mailboxes", "3000", "--role", "master"]);
    assert!(output.status.success());
    let (certificate_file, key, _) = certificate(folder.path(), "server");
    let (client_file, client_key, client) = certificate(folder.path(), "client");
    let mut lines = sasl::lines("murder", "secret", b"salt").join("\n");
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&client));
    lines += &format!("\nbackend:CERT-SHA256${digest}\n");
    fs::write(&users, lines).expect("users");
    let server = Coroner::serve(
        folder.path(),
        &[
            &["--role", "master", "--db", text(&database), "--passwords", text(&users)][..],
            &["--tls-cert", text(&certificate_file), "--tls-key", text(&key), "--failed-login-pause", "0"],
        ]
        .concat(),
    );
    let address = format!("localhost:{}", server.port);
    let query = |options: &[&str]| coroner([&["murder", "query", &address, "list"], options].concat());
    let login = ["--user", "murder", "--password-file", text(&secret)];
    let tls = ["--tls-ca", text(&certificate_file)];
    let plain = query(&login);
    assert_eq!(plain.stdout.lines().count(), 3000, "{}", plain.stderr.as_bstr());
    for options in [
        &[&login[..], &["--compress"]].concat(),
        &[&login[..], &tls].concat(),
        &[&login[..], &tls, &["--compress"]].concat(),
    ] {
        let output = query(options);
        assert!(output.stdout == plain.stdout, "{options:?}: {}", output.stderr.as_bstr());
    }
    // A certificate of another server, no login, a wrong password.
    let others = ["--tls-ca", text(&client_file)];
    let wrong = folder.path().join("wrong");
    fs::write(&wrong, "wrong\n").expect("a password");
    for options in [&[&login[..], &others].concat()[..], &[], &["--user", "murder", "--password-file", text(&wrong)]] {
        let output = query(options);
        assert_eq!((output.status.code(), output.stdout.as_bstr()), (Some(2), b"".as_bstr()), "{options:?}");
    }
    // Who shows a certificate that is known may log in by it alone.
    let shown = ["--client-cert", text(&client_file), "--client-key", text(&client_key)];
    let output = query(&[&tls[..], &shown].concat());
    assert!(output.stdout == plain.stdout, "EXTERNAL: {}", output.stderr.as_bstr());
    let log = fs::read_to_string(&server.log).expect("a log");
    assert!(log.contains("user=backend") && log.contains("login failed"), "{log}");
    // Nobody listens to the world without being told who may come.
    let output =
        coroner(["murder", "serve", "--role", "master", "--db", text(&database), "--no-auth", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(2));
}
