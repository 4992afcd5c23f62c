//! How coroner opens a user's file: what it refuses, the lock it takes, and that it leaves everything as it was.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coroner::input::{Locking, Options, Source};
use rustix::fs::{FlockOperation, Mode, fcntl_lock};

use common::{coroner, corpus};

/// What a second copy of this program does, instead of testing.
const ROLE: &str = "CORONER_TEST_ROLE";
const FILE: &str = "CORONER_TEST_FILE";

fn example() -> PathBuf {
    corpus().join("cyrus-3.6.1/murder-flat/be1.flat.db")
}

/// A copy of a genuine file in a folder of its own.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mailboxes.db");
    fs::copy(example(), &path).expect("copied");
    (folder, path)
}

/// A flat database of at least `len` bytes.
fn large(len: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mailboxes.db");
    let line = |n| format!("user.u{n:08}\t%(A %(u{n:08} lrswipkxtecda) P default M 1600000000)\n");
    let text: String = (0..len / 60).map(line).collect();
    fs::write(&path, text).expect("written");
    (folder, path)
}

/// Asserts exit status 2, one line on standard error that has all of `words`, and nothing on standard output.
#[track_caller]
fn assert_refused(arguments: &[&str], words: &[&str]) {
    let output = coroner(arguments);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("coroner: "), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error}");
    }
}

#[track_caller]
fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn what_is_no_regular_file_is_refused_without_blocking() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let fifo = path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .expect("a FIFO");
    let _socket = UnixListener::bind(path("socket")).expect("a socket");
    symlink("loop", path("loop")).expect("a link");
    let cases: [(&str, &[&str]); 5] = [
        ("fifo", &["a FIFO"]),
        ("socket", &["a socket"]),
        (".", &["a directory"]),
        ("missing", &["no such file", "check the path"]),
        ("loop", &["symbolic links"]),
    ];
    for (name, words) in cases {
        for command in ["show", "list", "verify", "hexdump", "digest", "inspect"] {
            assert_refused(&[command, text(&path(name))], words);
        }
    }
    assert_refused(&["show", "/dev/null"], &["a device"]);
    assert_refused(&["diff", text(&example()), text(&fifo)], &["a FIFO"]);
}

#[test]
fn what_is_no_mailbox_list_is_refused_with_what_it_looks_like() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        path
    };
    let gzip = write("gzip", b"\x1f\x8b\x08 and so on");
    assert_refused(&["show", text(&gzip)], &["not a mailbox list", "gzip data"]);
    assert_refused(&["show", "--as", "flat", text(&gzip)], &["not a flat file", "gzip data"]);
    let sqlite = write("sqlite", b"SQLite format 3\0 and so on");
    assert_refused(&["show", "--as", "twoskip", text(&sqlite)], &["not a twoskip file", "an SQLite file", "--as sql"]);
    let noise: Vec<u8> = (0..999u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 & 0x8F).collect();
    assert_refused(&["list", text(&write("noise", &noise))], &["not a mailbox list"]);
    let twoskip = corpus().join("cyrus-3.6.1/murder-twoskip/be1.twoskip.db");
    assert_refused(&["show", "--as", "skiplist", text(&twoskip)], &["not a skiplist file", "twoskip", "--as twoskip"]);
    assert_refused(&["show", "--as", "twoskip", text(&example())], &["not a twoskip file", "--as"]);
}

#[test]
fn a_file_of_zero_bytes_is_said_to_be_a_new_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mailboxes.db");
    File::create(&path).expect("a file");
    for command in ["show", "list", "verify", "hexdump", "digest", "inspect"] {
        let output = coroner([command, text(&path)]);
        let all = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        assert_eq!(output.status.code(), Some(1), "{command}: {all}");
        assert!(all.contains("zero bytes, which Cyrus takes for a new, empty database"), "{command}: {all}");
    }
    let output = coroner(["diff", text(&path), text(&path)]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_command_lines_exit_with_2_and_help_with_0() {
    for arguments in [&["show"][..], &["nosuch"], &[], &["show", "a", "--as", "nosuch"], &["list", "a", "--flag", "q"]]
    {
        assert_eq!(coroner(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["show", "--help"], &["help", "diff"]] {
        let output = coroner(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    assert_refused(&["diff", "-", "-"], &["standard input"]);
}

#[test]
fn a_source_is_left_untouched() {
    let (folder, path) = copy();
    let readable = fs::Permissions::from_mode(0o400);
    fs::set_permissions(&path, readable).expect("a file only to read");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).expect("a folder only to read");
    let state = || {
        let (file, folder) = (fs::metadata(&path).expect("a file"), fs::metadata(folder.path()).expect("a folder"));
        let stamps = [&file, &folder].map(|m| (m.ino(), m.len(), m.mode(), m.mtime(), m.mtime_nsec()));
        (fs::read(&path).expect("read"), stamps, fs::read_dir(folder_path(&path)).expect("listed").count())
    };
    let before = state();
    for command in ["show", "list", "verify", "hexdump", "digest", "inspect"] {
        for option in [&["--json"][..], &["--snapshot"], &["--no-lock"], &[]] {
            let output = coroner([&[command, text(&path)], option].concat());
            assert_eq!(output.status.code(), Some(0), "{command} {option:?}: {output:?}");
            assert!(!output.stdout.is_empty());
            assert!(state() == before, "{command} {option:?} changed its source");
        }
    }
    assert_eq!(coroner(["diff", text(&path), text(&path)]).status.code(), Some(0));
    assert!(state() == before, "diff changed its source");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("a folder to delete");
}

fn folder_path(path: &Path) -> &Path {
    path.parent().expect("a folder")
}

#[test]
fn standard_input_is_read_to_its_end() {
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coroner"));
        command.args(arguments).stdin(File::open(example()).expect("a file")).output().expect("coroner runs")
    };
    let shown = command(&["show", "-"]);
    assert_eq!(shown.status.code(), Some(0));
    assert_eq!(shown.stdout, fs::read(example().with_extension("show.txt")).expect("read"));
    assert_eq!(command(&["diff", "--exact", "-", text(&example())]).status.code(), Some(0));
}

/// Another process that holds the write lock on a file, as Cyrus does while it writes.
struct Writer {
    child: Child,
}

impl Writer {
    fn on(path: &Path) -> Self {
        let mut child = helper("hold", path);
        let mut said = Vec::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe")).read_until(b'!', &mut said).expect("readable");
        assert!(said.ends_with(b"!"), "the lock is not held");
        Writer { child }
    }

    fn let_go(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("ended");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A second copy of this program that plays a role on a file instead of testing; see [`second_copy`].
fn helper(role: &str, path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "second_copy", "--nocapture", "--quiet"]).env(ROLE, role).env(FILE, path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a second copy")
}

/// Whether another process could write the file now.
fn writable(path: &Path) -> bool {
    helper("try", path).wait().expect("ended").code() == Some(77)
}

/// Not a test of its own: what this program does for [`helper`].
#[test]
fn second_copy() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(FILE)) else { return };
    let file = OpenOptions::new().read(true).write(true).open(path).expect("a file");
    let locked = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive);
    if role == "try" {
        std::process::exit(if locked.is_ok() { 77 } else { 78 });
    }
    locked.expect("the lock");
    let mut out = std::io::stdout();
    out.write_all(b"!").and_then(|()| out.flush()).expect("said");
    let _ = std::io::stdin().read(&mut [0]);
    std::process::exit(0);
}

#[test]
fn a_file_that_is_being_written_is_waited_for_but_not_for_ever() {
    let (_folder, path) = copy();
    let writer = Writer::on(&path);
    let pid = format!("process {}", writer.child.id());
    let arguments = ["show", "--lock-timeout", "0.1", text(&path)];
    assert_refused(&arguments, &["locked", &pid, "0.1 s", "--lock-timeout"]);
    let unlocked = coroner(["show", "--no-lock", text(&path)]);
    assert_eq!(unlocked.status.code(), Some(0));
    let waiting = background(&["show", text(&path), "--lock-timeout", "60"]);
    std::thread::sleep(Duration::from_millis(100));
    writer.let_go();
    let output = waiting.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, unlocked.stdout);
}

/// Cyrus writes a new file under the old one's lock and renames it over the old one.
#[test]
fn a_file_that_is_replaced_while_waiting_is_read_anew() {
    let (folder, path) = copy();
    let writer = Writer::on(&path);
    let waiting = background(&["show", text(&path), "--lock-timeout", "60"]);
    std::thread::sleep(Duration::from_millis(200));
    let new = folder.path().join("mailboxes.db.NEW");
    fs::write(&new, b"user.new\t0 default new\tlrs\t\n").expect("written");
    fs::rename(&new, &path).expect("renamed");
    writer.let_go();
    let output = waiting.wait_with_output().expect("ended");
    assert_eq!(output.stdout, b"user.new\t0 default new\tlrs\t\n");
}

fn background(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coroner"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("coroner runs")
}

/// Runs coroner until its output fills the pipe, then `meanwhile`, then to its end.
fn interrupted(arguments: &[&str], meanwhile: impl FnOnce()) -> (Option<i32>, String) {
    let mut child = background(arguments);
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0; 100]).expect("some output");
    meanwhile();
    std::io::copy(&mut out, &mut std::io::sink()).expect("the rest");
    let output = child.wait_with_output().expect("ended");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn the_lock_is_held_while_a_file_is_read_and_not_with_a_snapshot() {
    let (_folder, path) = large(1 << 20);
    assert!(writable(&path));
    let locked = interrupted(&["show", text(&path)], || assert!(!writable(&path), "no lock is held"));
    assert_eq!(locked, (Some(0), String::new()));
    let snapshot = interrupted(&["show", "--snapshot", text(&path)], || assert!(writable(&path), "a lock is held"));
    assert_eq!(snapshot, (Some(0), String::new()));
}

#[test]
fn opening_a_file_twice_keeps_its_lock_until_both_are_done() {
    let (folder, path) = copy();
    let other_name = folder.path().join("link");
    fs::hard_link(&path, &other_name).expect("linked");
    let options = Options::default();
    let first = Source::open(&path, &options).expect("opened");
    let second = Source::open(&other_name, &options).expect("opened");
    assert!(first.parts().first().bytes == second.parts().first().bytes);
    drop(second);
    assert!(!writable(&path), "closing the second descriptor dropped the lock");
    first.still().expect("unchanged");
    drop(first);
    assert!(writable(&path));
    let unlocked = Options { locking: Locking::None, ..options };
    let _third = Source::open(&path, &unlocked).expect("opened");
    assert!(writable(&path));
}

#[test]
fn a_file_that_grows_while_it_is_read_is_an_error() {
    let (_folder, path) = large(1 << 20);
    let append = || {
        let mut file = OpenOptions::new().append(true).open(&path).expect("a file");
        file.write_all(b"user.z\t0 default \n").expect("written");
    };
    let (status, error) = interrupted(&["show", "--no-lock", text(&path)], append);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("grew by 18 bytes while it was being read") && error.lines().count() == 1, "{error}");
    let (status, error) = interrupted(&["show", "--snapshot", text(&path)], append);
    assert_eq!((status, error.as_str()), (Some(0), ""));
}

#[test]
fn a_mapped_file_that_shrinks_while_it_is_read_is_an_error_not_a_crash() {
    let (_folder, path) = large(24 << 20);
    let cut = || OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(4096)).expect("cut");
    let (status, error) = interrupted(&["show", "--no-lock", text(&path)], cut);
    assert_eq!(status, Some(2), "{error}");
    assert!(error.contains("while it was being read") && error.lines().count() == 1, "{error}");
}

#[test]
fn a_reader_that_has_read_enough_is_no_error() {
    let (_folder, path) = large(1 << 20);
    let path = text(&path);
    for arguments in [&["show", path][..], &["show", "--json", path], &["list", path], &["hexdump", path]] {
        let mut child = background(arguments);
        child.stdout.take().expect("a pipe").read_exact(&mut [0; 10]).expect("some output");
        let output = child.wait_with_output().expect("ended");
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["verify", path], &["digest", path]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_coroner"));
        let status = command.args(arguments).stdin(Stdio::null()).stdout(writer).status().expect("coroner runs");
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}

/// Whether `program` can be run here; with CI=true it has to be.
fn have(program: &str) -> bool {
    let found = Command::new(program).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "{program} is missing");
    if !found {
        println!("LEFT OUT: {program} is missing");
    }
    found
}

/// Runs coroner without root's privileges: as `nobody`, if these tests run as root.
fn as_nobody(program: &Path, arguments: &[&str]) -> std::process::Output {
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut command = match rustix::process::getuid().is_root() {
        true => Command::new("setpriv"),
        false => Command::new(program),
    };
    if rustix::process::getuid().is_root() {
        command.args(nobody).arg(program);
    }
    command.args(arguments).output().expect("coroner starts")
}

#[test]
fn what_permissions_allow_is_read_and_nothing_more_is_needed() {
    if rustix::process::getuid().is_root() && !have("setpriv") {
        return;
    }
    let (folder, path) = copy();
    let program = folder.path().join("coroner");
    fs::copy(env!("CARGO_BIN_EXE_coroner"), &program).expect("copied");
    if rustix::process::getuid().is_root() {
        for owned in [folder.path(), &path] {
            std::os::unix::fs::chown(owned, Some(65534), Some(65534)).expect("another owner");
        }
    }
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    allow(&program, 0o755);
    allow(&path, 0o400);
    allow(folder.path(), 0o500);
    for command in ["show", "list", "verify", "hexdump", "digest", "inspect", "log"] {
        let output = as_nobody(&program, &[command, text(&path)]);
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
    }
    let refused = |arguments: &[&str]| {
        let output = as_nobody(&program, arguments);
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.to_lowercase().contains("permission denied") && error.lines().count() == 1, "{error}");
    };
    refused(&["recover", text(&path), "-o", text(&folder.path().join("new.db"))]);
    allow(&path, 0);
    refused(&["verify", text(&path)]);
    allow(folder.path(), 0o700);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 2, "something was left behind");
}

#[test]
fn a_disk_that_cannot_lock_is_said_and_no_lock_reads_it() {
    if !have("strace") {
        return;
    }
    let (folder, path) = copy();
    let trace = folder.path().join("trace");
    let run = |option: &[&str]| {
        let mut command = Command::new("strace");
        command.arg("-o").arg(&trace).args(["-f", "-e", "trace=fcntl", "-e", "inject=fcntl:error=ENOLCK:when=2+"]);
        command
            .arg(env!("CARGO_BIN_EXE_coroner"))
            .arg("verify")
            .args(option)
            .arg(&path)
            .output()
            .expect("strace starts")
    };
    let output = run(&[]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("cannot be locked") && error.contains("--no-lock"), "{error}");
    assert_eq!(run(&["--no-lock"]).status.code(), Some(0));
}

#[test]
fn long_work_shows_a_bar_on_a_terminal_and_nowhere_else() {
    if !have("script") {
        return;
    }
    let (_folder, path) = large(4 << 20);
    // Work lasts as long as nobody takes what is printed.
    let line = format!("'{}' show '{}' | (sleep 2; cat >/dev/null)", env!("CARGO_BIN_EXE_coroner"), text(&path));
    let terminal = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    let terminal = String::from_utf8_lossy(&terminal.expect("script starts").stdout).into_owned();
    for word in ["reading [", "% ", "B/s, ", " left"] {
        assert!(terminal.contains(word), "{word:?} is not in {terminal:?}");
    }
    let pipe = Command::new("sh").args(["-c", &line]).output().expect("sh starts");
    assert!(pipe.stdout.is_empty() && pipe.stderr.is_empty(), "{pipe:?}");
}

#[test]
fn a_merge_shows_its_rate_and_the_time_left() {
    if !have("script") || !have("strace") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let list = path("be1.db");
    assert!(coroner(["synth", "--mailboxes", "100000", "-o", text(&list)]).status.success());
    // Writing takes a quarter of a second a block.
    let slow = "strace -f -qq -o /dev/null -e trace=pwrite64 -e inject=pwrite64:delay_enter=250000";
    let merge = |out: &str| {
        let out = path(out);
        format!("'{}' merge be1='{}' -o '{}'", env!("CARGO_BIN_EXE_coroner"), text(&list), text(&out))
    };
    let line = format!("{slow} {}", merge("slow.db"));
    let terminal = Command::new("script").args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output();
    let terminal = String::from_utf8_lossy(&terminal.expect("script starts").stdout).into_owned();
    for word in ["merging [", "% ", "iB/s, ", "s left"] {
        assert!(terminal.contains(word), "{word:?} is not in {terminal:?}");
    }
    let plain = Command::new("sh").args(["-c", &merge("plain.db")]).output().expect("sh starts");
    assert_eq!((plain.status.code(), plain.stderr), (Some(0), Vec::new()));
    assert!(fs::read(path("slow.db")).expect("a list") == fs::read(path("plain.db")).expect("a list"));
}
