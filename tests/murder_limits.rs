//! What coroner's servers put up with, for how long, and what they leave behind when they are killed.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::ByteSlice;
use common::coroner;
use common::murder::{Coroner, PATIENCE, Rows, Talk, list, rows_of, wait};
use common::random::Random;
use common::talk::recording;
use coroner::murder::net::sasl;
use rustix::process::{Pid, Signal, kill_process};

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn serve(folder: &Path, database: &Path, more: &[&str]) -> Coroner {
    Coroner::serve(folder, &[&["--role", "master", "--db", text(database)], more].concat())
}

fn connect(server: &Coroner) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Everything up to the end of the connection.
fn rest(mut socket: &TcpStream) -> String {
    let mut said = Vec::new();
    // One that is reset ends too; one that stays open does not pass for ended.
    if let Err(error) = socket.read_to_end(&mut said) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "still open after {:?}", said.as_bstr());
    }
    said.to_str_lossy().into_owned()
}

#[test]
fn the_silent_and_the_slow_are_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let (users, database) = (folder.path().join("users"), folder.path().join("list.db"));
    fs::write(&users, sasl::lines("murder", "secret", b"salt").join("\n")).expect("users");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let options = ["--passwords", text(&users), "--tls-cert", text(&certificate), "--tls-key", text(&key)];
    let limits = ["--patience", "1", "--idle-timeout", "1"];
    let mut server = serve(folder.path(), &database, &[&options[..], &limits].concat());

    // Somebody who never logs in, and one in the middle of it.
    let silent = connect(&server);
    let mut halfway = connect(&server);
    halfway.write_all(b"a AUTHENTICATE \"PLAIN\"\r\n").expect("sent");
    // A handshake that does not begin.
    let mut handshake = connect(&server);
    handshake.write_all(b"a STARTTLS\r\n").expect("sent");
    // Somebody who is logged in and says nothing more.
    let idle = Talk::open(server.port).expect("a connection");
    for socket in [&silent, &halfway, &idle.socket] {
        let said = rest(socket);
        assert!(said.ends_with("* BYE \"idle for too long\"\r\n"), "{said:?}");
    }
    let said = rest(&handshake);
    assert!(said.ends_with("a OK Begin TLS negotiation now\r\n"), "{said:?}");
    assert!(server.is_running());
    assert_eq!(server.stop(Signal::TERM), Some(0));
}

#[test]
fn there_is_room_for_so_many_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path(), &folder.path().join("list.db"), &["--no-auth", "--max-connections", "4"]);
    let mut talks: Vec<Talk> = (0..4).map(|_| Talk::open(server.port).expect("a connection")).collect();
    assert_eq!(rest(&connect(&server)), "* BYE \"Server Unable\"\r\n");
    talks.iter_mut().for_each(|talk| drop(talk.ok("NOOP")));
    talks.pop();
    wait("room again", || Talk::open(server.port).is_some());
}

#[test]
fn whoever_reads_nothing_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("list.db");
    let output = coroner(["synth", "-o", text(&database), "--mailboxes", "60000", "--role", "master"]);
    assert!(output.status.success());
    let server = serve(folder.path(), &database, &["--no-auth", "--patience", "1"]);
    let stuck: Vec<TcpStream> = (0..5).map(|_| connect(&server)).collect();
    for mut socket in &stuck {
        socket.write_all(&b"a LIST\r\n".repeat(200)).expect("sent");
    }
    let mut talk = Talk::open(server.port).expect("a connection");
    assert_eq!(talk.ok("LIST").len(), 60_000);
    let ended = || fs::read_to_string(&server.log).expect("a log").matches("ended=Err(Stuck)").count();
    wait("their end", || ended() == 5);
    talk.ok("NOOP");
}

#[test]
fn who_is_connected_is_told_of_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("list.db");
    let server = serve(folder.path(), &database, &["--no-auth", "--allow-empty"]);
    let (mut one, mut other) =
        (Talk::open(server.port).expect("a connection"), Talk::open(server.port).expect("a connection"));
    other.ok("UPDATE");
    one.ok("ACTIVATE \"user.anna\" \"be1!default\" \"anna\tlrs\t\"");
    // What is asked before the end is answered, and durable.
    one.socket.write_all(b"z ACTIVATE \"user.bert\" \"be1!default\" \"bert\tlrs\t\"\r\n").expect("sent");
    let (tag, word, _) = one.line().expect("an answer");
    assert_eq!((&tag[..], &word[..]), (&b"z"[..], &b"OK"[..]));
    let told = std::thread::spawn(move || (rest(&one.socket), rest(&other.socket)));
    assert_eq!(server.stop(Signal::TERM), Some(0));
    let (one, other) = told.join().expect("what they heard");
    assert_eq!(one, "* BYE \"shutting down\"\r\n");
    assert!(other.ends_with("* BYE \"shutting down\"\r\n"), "{other:?}");
    assert_eq!(rows_of(&database).len(), 2);
}

#[test]
fn a_frontend_becomes_a_master_when_its_own_is_gone_for_too_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, copy) = (folder.path().join("list.db"), folder.path().join("copy.db"));
    let output = coroner(["synth", "-o", text(&database), "--mailboxes", "300", "--role", "master"]);
    assert!(output.status.success());
    let master = serve(folder.path(), &database, &["--no-auth"]);
    let address = format!("127.0.0.1:{}", master.port);
    let options = ["--role", "frontend", "--db", text(&copy), "--no-auth", "--master", &address];
    let standby = Coroner::serve(folder.path(), &[&options[..], &["--retry-delay", "1", "--promote", "2"]].concat());
    let all = list(master.port).expect("a list");
    wait("the copy", || list(standby.port).as_ref() == Some(&all));
    let mut talk = Talk::open(standby.port).expect("the standby");
    let change = "ACTIVATE \"user.new\" \"be1!default\" \"a\tl\t\"";
    assert_eq!(talk.ask(change).expect("an answer").0, "BAD read-only session");
    kill(&master);
    wait("the promotion", || talk.ask(change).is_some_and(|(said, _)| said == "OK done"));
    assert_eq!(rows_of(&copy).len(), all.len() + 1);
}

/// Sessions of real clients, spoilt.
fn spoilt(random: &mut Random, recorded: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = recorded[random.below(recorded.len() as u64) as usize].clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(4) {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes.insert(at, b"\"{\r\n \\"[random.below(6) as usize]),
            _ => bytes[at] ^= 1 << random.below(8),
        }
    }
    bytes
}

#[test]
fn spoilt_sessions_harm_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("list.db");
    let transcripts = common::files(&common::corpus().join("cyrus-3.6.1/mupdate-transcripts"), &|_| true);
    let sections = transcripts.iter().flat_map(|file| recording(file));
    let recorded: Vec<Vec<u8>> = sections
        .map(|section| section.exchanges.iter().flat_map(|exchange| exchange.sent.clone()).collect::<Vec<u8>>())
        .filter(|sent| !sent.is_empty())
        .collect();
    let mut server = serve(folder.path(), &database, &["--no-auth", "--patience", "2", "--max-connections", "1000"]);
    let mut talk = Talk::open(server.port).expect("a connection");
    talk.ok("ACTIVATE \"well.known\" \"be1!default\" \"a\tlrs\t\"");
    let random = &mut Random(5);
    let mut half_open = Vec::new();
    for turn in 0..600 {
        let mut socket = connect(&server);
        let _ = socket.write_all(&spoilt(random, &recorded));
        if turn % 3 == 0 {
            half_open.push(socket);
        }
        if turn % 50 == 0 {
            assert_eq!(talk.ok("FIND \"well.known\"").len(), 1, "turn {turn}");
        }
    }
    talk.ok("NOOP");
    assert!(server.is_running());
    drop(half_open);
    assert_eq!(server.stop(Signal::TERM), Some(0));
    let verified = coroner(["verify", text(&database)]);
    // Odd names are nobody's harm; a file that is wrong would be.
    assert!(!verified.stdout.contains_str(": error "), "{}", verified.stdout.as_bstr());
    assert!(verified.stdout.contains_str("well.known"), "{}", verified.stderr.as_bstr());
}

fn kill(server: &Coroner) {
    let _ = kill_process(Pid::from_raw(server.id() as i32).expect("an id"), Signal::KILL);
}

/// Changes mailboxes, and kills the server after so many answers; notes what was acknowledged and what was on its way.
fn change(server: &Coroner, turn: usize, after: usize, wanted: &mut Rows) -> Vec<Vec<u8>> {
    let mut talk = Talk::open(server.port).expect("a master");
    let mut sent = Vec::new();
    let mut bytes = Vec::new();
    for number in 0..CHANGES {
        // Some names come back again and again, so that the file is packed anew now and then.
        let name = format!("user.n{}", if number % 2 == 0 { number % 40 } else { CHANGES * turn + number });
        let delete = number % 80 == 78;
        let acl = format!("u{turn}.{number}\tlrs\t");
        let line = match delete {
            true => format!("A{number} DELETE \"{name}\"\r\n"),
            false => format!("A{number} ACTIVATE \"{name}\" \"be1!default\" \"{acl}\"\r\n"),
        };
        bytes.extend(line.into_bytes());
        let state = (!delete).then(|| (b"be1!default".to_vec(), Some(acl.into_bytes())));
        sent.push((name.into_bytes(), state));
    }
    talk.socket.write_all(&bytes).expect("sent");
    let mut sent = sent.into_iter();
    loop {
        if sent.len() == CHANGES - after {
            kill(server);
        }
        let Some((_, word, _)) = talk.line() else { break };
        assert_eq!(word.as_bstr(), b"OK".as_bstr());
        let (name, state) = sent.next().expect("something asked");
        match state {
            Some(state) => drop(wanted.insert(name, state)),
            None => drop(wanted.remove(&name)),
        }
    }
    sent.map(|(name, _)| name).collect()
}

/// Changes on their way at a time.
const CHANGES: usize = 3000;

#[test]
fn killed_at_many_moments_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    for era in ["2.4", "3.6"] {
        let database: PathBuf = folder.path().join(format!("{era}.db"));
        let (engine, release) = if era == "2.4" { ("skiplist", "2.4") } else { ("twoskip", "3.6") };
        let options = ["--mailboxes", "20", "--role", "master", "--to", engine, "--era", release];
        let output = coroner([&["synth", "-o", text(&database)], &options[..]].concat());
        assert!(output.status.success(), "{}", output.stderr.as_bstr());
        let (mut wanted, mut unsure) = (Rows::new(), Vec::new());
        let random = &mut Random(9);
        for turn in 0..30 {
            let server = serve(folder.path(), &database, &["--no-auth"]);
            let found = list(server.port).expect("a list");
            for (name, state) in &wanted {
                let same = found.get(name) == Some(state);
                assert!(same || unsure.contains(name), "{era}, turn {turn}: {} is lost", name.as_bstr());
            }
            wanted = found;
            unsure = change(&server, turn, random.below(CHANGES as u64 - 1) as usize, &mut wanted);
        }
        assert!(wanted.len() > 5000, "{era}: {} names", wanted.len());
    }
}

#[test]
fn a_frontend_killed_during_its_first_list_has_it_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let (database, copy) = (folder.path().join("list.db"), folder.path().join("copy.db"));
    let output = coroner(["synth", "-o", text(&database), "--mailboxes", "40000", "--role", "master"]);
    assert!(output.status.success());
    let master = serve(folder.path(), &database, &["--no-auth"]);
    let address = format!("127.0.0.1:{}", master.port);
    let options = ["--role", "frontend", "--db", text(&copy), "--no-auth", "--master", &address, "--retry-delay", "1"];
    let (mut none, mut all) = (0, 0);
    let wanted = rows_of(&database);
    for turn in 0..24 {
        let frontend = Coroner::serve(folder.path(), &options);
        std::thread::sleep(Duration::from_millis(8 * turn));
        kill(&frontend);
        drop(frontend);
        let rows = rows_of(&copy);
        match rows.len() {
            0 => none += 1,
            _ => {
                all += 1;
                assert!(rows == wanted, "turn {turn}: {} of {}", rows.len(), wanted.len());
                fs::remove_file(&copy).expect("gone");
            }
        }
    }
    let frontend = Coroner::serve(folder.path(), &options);
    wait("the list", || list(frontend.port).as_ref() == Some(&wanted));
    println!("killed before {none}, behind {all}");
}
