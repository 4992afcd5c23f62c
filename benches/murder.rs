//! coroner's murder beside the real one, in one run: `cargo bench --bench murder`.
//!
//! Needs an installed Cyrus 3.6 and root; without them only coroner is measured. Times are the best of three, but for what
//! takes the real one minutes. `BENCH_PUSH=1` measures the push alone.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use common::coroner;
use common::murder::{Coroner, Host, Lab, PLAIN, Part, Talk};
use rustix::process::Signal;

const MAILBOXES: &str = "300000";
const PUSHED: &str = "10000";

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn synth(path: &Path, mailboxes: &str, role: &str) {
    let options = ["--mailboxes", mailboxes, "--seed", "1", "--role", role, "--era", "3.6"];
    let output = coroner([&["synth", "-o", text(path)], &options[..]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn best(mut run: impl FnMut() -> Duration) -> Duration {
    (0..3).map(|_| run()).min().unwrap_or_default()
}

fn show(what: &str, real: Option<Duration>, ours: Duration) {
    let ours = ours.as_secs_f64();
    match real.map(|real| real.as_secs_f64()) {
        Some(real) => {
            println!("{what:<46} real {real:>7.3} s   coroner {ours:>7.3} s   {:>6.1} times faster", real / ours)
        }
        None => println!("{what:<46} coroner {ours:>7.3} s"),
    }
}

/// How long LIST takes, from the question to the last byte of the answer.
fn time_list(port: u16) -> Duration {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("a server");
    let mut buffer = vec![0; 1 << 20];
    let mut until = |socket: &mut TcpStream, mark: &[u8]| {
        let mut tail: Vec<u8> = Vec::new();
        while !tail.windows(mark.len()).any(|window| window == mark) {
            let read = socket.read(&mut buffer).expect("an answer");
            assert!(read > 0, "gone");
            let keep = tail.len().saturating_sub(64);
            tail.drain(..keep);
            tail.extend_from_slice(&buffer[read.saturating_sub(4096)..read]);
        }
    };
    until(&mut socket, b"* OK MUPDATE");
    socket.write_all(format!("A1 AUTHENTICATE \"PLAIN\" \"{PLAIN}\"\r\n").as_bytes()).expect("sent");
    until(&mut socket, b"A1 OK");
    let started = Instant::now();
    socket.write_all(b"L1 LIST\r\n").expect("sent");
    until(&mut socket, b"\nL1 OK");
    started.elapsed()
}

/// Waits until a server lets somebody in.
fn time_ready(port: u16) -> Duration {
    let started = Instant::now();
    while Talk::open(port).is_none() {
        assert!(started.elapsed() < Duration::from_secs(120), "not ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}

fn serve(folder: &Path, database: &Path, more: &[&str]) -> Coroner {
    Coroner::serve(folder, &[&["--db", text(database), "--no-auth"], more].concat())
}

fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn main() {
    let lab = Lab::find("the real Cyrus");
    let spare = tempfile::tempdir().expect("a folder");
    let folder = lab.as_ref().map_or(spare.path().to_owned(), |lab| lab.path(""));
    let (list, backend) = (folder.join("list.db"), folder.join("backend.db"));
    synth(&backend, PUSHED, "backend");
    if std::env::var_os("BENCH_PUSH").is_some() {
        return push(lab.as_ref(), &folder, &backend);
    }
    synth(&list, MAILBOXES, "master");

    let mut real: Option<Host> = lab.as_ref().map(|lab| lab.host("mup", Part::Master, "twoskip"));
    if let Some(real) = &mut real {
        real.put(&list);
        real.start();
        time_ready(real.mupdate);
    }
    let ours = serve(&folder, &list, &["--role", "master"]);
    time_ready(ours.port);
    let theirs = real.as_ref().map(|real| best(|| time_list(real.mupdate)));
    show("LIST of 300,000", theirs, best(|| time_list(ours.port)));

    let theirs = real.as_ref().zip(lab.as_ref()).map(|(real, lab)| {
        let mut frontend = lab.host("fe-real", Part::Frontend(real.mupdate), "twoskip");
        let started = Instant::now();
        frontend.start();
        time_ready(frontend.mupdate);
        started.elapsed()
    });
    let mut turn = 0;
    let address = format!("127.0.0.1:{}", ours.port);
    let mut sync = |more: &[&str]| {
        turn += 1;
        let copy = folder.join(format!("copy{turn}.db"));
        let started = Instant::now();
        let frontend = serve(&folder, &copy, &[&["--role", "frontend", "--master", &address], more].concat());
        time_ready(frontend.port);
        let took = started.elapsed();
        frontend.stop(Signal::TERM);
        took
    };
    show("first sync of a frontend, 300,000", theirs, best(|| sync(&[])));
    if let Some(lab) = &lab {
        let mut frontend = lab.host("fe-ours", Part::Frontend(ours.port), "twoskip");
        let started = Instant::now();
        frontend.start();
        time_ready(frontend.mupdate);
        println!("{:<46} {:.3} s", "  the same of a real frontend <- coroner", started.elapsed().as_secs_f64());
    }

    let size = fs::metadata(&list).expect("the list").len() / 1024;
    let alone = resident(ours.id());
    let idle: Vec<Talk> = (0..1000).filter_map(|_| Talk::open(ours.port)).collect();
    let with = resident(ours.id());
    println!(
        "1,000 idle connections: {} of them; {} KiB resident, {} KiB beyond the database of {} KiB; {} KiB for them",
        idle.len(),
        with,
        with.saturating_sub(size),
        size,
        with.saturating_sub(alone)
    );
    drop(idle);
    drop((real, ours));
    push(lab.as_ref(), &folder, &backend);
}

/// A backend's list pushed to an empty master, each change durable; and the list that the master then has, merged.
fn push(lab: Option<&Lab>, folder: &Path, backend: &Path) {
    let theirs = lab.map(|lab| {
        let mut master = lab.host("mup-empty", Part::Master, "twoskip");
        master.start();
        time_ready(master.mupdate);
        let host = lab.host("be1", Part::Backend(master.mupdate), "twoskip");
        host.put(backend);
        let started = Instant::now();
        let output = host.mboxlist(&["-m"]);
        let took = started.elapsed();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        took
    });
    let mut turn = 0;
    let ours = best(|| {
        turn += 1;
        let master = serve(folder, &folder.join(format!("empty{turn}.db")), &["--role", "master"]);
        let (from, to) = (format!("be1.murder.test={}", backend.display()), format!("127.0.0.1:{}", master.port));
        let started = Instant::now();
        let output = coroner(["murder", "sync", "--backend", &from, "--master", &to]);
        let took = started.elapsed();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        took
    });
    show("push of 10,000 to an empty master", theirs, ours);
    show("  a merge of the same 10,000 instead", theirs, best(|| time_merge(folder, backend)));
}

/// How long it takes to make the master's list of a backend's, synced and read back.
fn time_merge(folder: &Path, backend: &Path) -> Duration {
    let (from, merged) = (format!("be1.murder.test={}", backend.display()), folder.join("merged.db"));
    let started = Instant::now();
    let output = coroner(["merge", &from, "--force", "-o", text(&merged)]);
    let took = started.elapsed();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    took
}
