//! Backends and frontends of `coroner murder serve` as other people's clients see them.

mod common;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use common::murder::{Coroner, free_port};
use rustix::process::Signal;

/// Whether a program is there. Without it the test that asks says so and passes, but fails if `CI=true`.
fn is_there(test: &str, program: &str) -> bool {
    let there = Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", program]).status();
    if there.is_ok_and(|status| status.success()) {
        return true;
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no {program}, and CI=true asks for it");
    let _ = writeln!(io::stderr(), "LEFT OUT {test}: no {program}");
    false
}

/// A host, and where it listens for IMAP and LMTP.
fn host(folder: &Path, role: &str, name: &str, more: &[&str]) -> (Coroner, u16, u16) {
    let (imap, lmtp) = (free_port(), free_port());
    let (imap_at, lmtp_at) = (format!("127.0.0.1:{imap}"), format!("127.0.0.1:{lmtp}"));
    let database = folder.join(format!("{name}.db"));
    let database = database.to_str().expect("text");
    let options =
        ["--role", role, "--db", database, "--no-auth", "--server-name", name, "--imap", &imap_at, "--lmtp", &lmtp_at];
    (Coroner::serve(folder, &[&options, more].concat()), imap, lmtp)
}

#[track_caller]
fn python(imap: u16, lmtp: u16) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doors/clients.py");
    let output = Command::new("python3").arg(script).args([imap.to_string(), lmtp.to_string()]).output();
    let output = output.expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn python_finds_its_way_in_a_backend() {
    if !is_there("python_finds_its_way_in_a_backend", "python3") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let spool = folder.path().join("spool");
    let more = ["--spool", spool.to_str().expect("text")];
    let (backend, imap, lmtp) = host(folder.path(), "backend", "be1.murder.test", &more);
    python(imap, lmtp);
    assert_eq!(backend.stop(Signal::TERM), Some(0));
    // It is on the disk.
    let listed = common::coroner(["list", folder.path().join("be1.murder.test.db").to_str().expect("text")]);
    let listed = String::from_utf8(listed.stdout).expect("text");
    assert!(listed.contains("user.anna") && listed.contains("shared"), "{listed}");
    let messages = common::files(&spool, &|_| true);
    let held = messages.iter().filter(|path| fs::read(path).is_ok_and(|bytes| bytes.ends_with(b".dot\r\n"))).count();
    assert_eq!(held, 1, "{messages:?}");
}

#[test]
fn imtest_and_lmtptest_talk_to_a_backend() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_backend, imap, lmtp) = host(folder.path(), "backend", "be1.murder.test", &[]);
    let programs = ["/usr/lib/cyrus/bin/imtest", "/usr/lib/cyrus/bin/lmtptest"];
    for (program, port, say, hear) in [
        (programs[0], imap, "1 LIST \"\" \"\"\r\n2 LOGOUT\r\n", "* LIST (\\Noselect) \"/\" \"\""),
        (programs[1], lmtp, "LHLO x\r\nQUIT\r\n", "221 2.0.0 bye"),
    ] {
        if !is_there("imtest_and_lmtptest_talk_to_a_backend", program) {
            return;
        }
        let mut test = Command::new(program);
        test.args(["-p", &port.to_string(), "-m", "plain", "-u", "anna", "-a", "anna", "-w", "secret", "127.0.0.1"]);
        let mut test = test.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        test.stdin.take().expect("its input").write_all(say.as_bytes()).expect("said");
        let output = test.wait_with_output().expect("its end");
        let heard = String::from_utf8_lossy(&output.stdout);
        assert!(heard.contains(hear), "{program}: {heard}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let database = tempfile::tempdir().expect("a folder");
    let database = database.path().join("x.db");
    let database = database.to_str().expect("text");
    let cases: [(&[&str], &str); 5] = [
        (&["--role", "master", "--imap", "127.0.0.1:0", "--no-auth"], "a master has no doors"),
        (&["--role", "backend", "--no-auth"], "a backend listens for IMAP and LMTP"),
        (&["--role", "backend", "--imap", "0.0.0.0:0", "--no-auth"], "no loopback address"),
        (&["--role", "backend", "--lmtp", "0.0.0.0:0", "--no-auth"], "anyone may deliver"),
        (&["--role", "backend", "--imap", "127.0.0.1:0"], "nobody may log in"),
    ];
    for (options, why) in cases {
        let output = common::coroner([&["murder", "serve", "--db", database], options].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {said}");
        assert!(said.contains(why), "{options:?}: {said}");
    }
}
