//! Whole commands against `cp` of the same file, and against the real Cyrus, as ratios in one run.
//!
//! `cargo bench` makes a database of a million invented mailboxes, reads it once to warm the cache, then runs every
//! command in turn, several rounds, and prints medians. Nothing is asserted: it says what was seen.
//!
//! What `cp` takes hangs on what it writes over: least to a new file; more over a copy whose pages have to be given back;
//! most when it is run several times in a row, for then the copy that it empties is still on its way to the disk. What a
//! command takes hangs on what the disk has to do beside it: the copy of the `cp` in front of it. So both are run twice in
//! a row, as whoever measures by hand does: the second run of a command is compared with the second one of `cp` (in a row),
//! and the first with the first (in turn). What commands print goes to a new file; those that write a database replace
//! what they wrote before. The bare loop walks the records by the file's pointers and writes them, one thread and no check:
//! less work than that cannot be.
//!
//! * `BENCH_MAILBOXES=100000` makes a smaller database;
//! * `BENCH_ROUNDS=9` runs more rounds;
//! * `BENCH_CYRUS=1` runs `cyr_dbtool` of an installed Cyrus too, once (it takes minutes, and runs as the user cyrus).

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use coroner::formats::container::{self, KeyOrder};
use coroner::formats::image::Image;

const CORONER: &str = env!("CARGO_BIN_EXE_coroner");
const CYR_DBTOOL: &str = "/usr/lib/cyrus/bin/cyr_dbtool";
const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;

/// One run: how long it took, and the most memory of its own that was seen, mapped files apart.
struct Run {
    time: Duration,
    memory_kib: u64,
}

/// Runs a command with its standard output in `output`, a new file.
fn run(program: &str, arguments: &[&Path], options: &[&str], output: &Path) -> Run {
    let _ = fs::remove_file(output);
    let from = Instant::now();
    let mut child = Command::new(program)
        .args(options)
        .args(arguments)
        .stdout(File::create(output).expect("an output"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut memory_kib = 0;
            // As seldom as tells enough: there are few processors.
            while !ended.load(Ordering::Relaxed) {
                memory_kib = memory_kib.max(anonymous(&status));
                thread::sleep(Duration::from_millis(5));
            }
            memory_kib
        });
        child.wait().expect("a child");
        let time = from.elapsed();
        ended.store(true, Ordering::Relaxed);
        Run { time, memory_kib: watching.join().expect("a number") }
    })
}

/// `RssAnon` of a process in KiB.
fn anonymous(status: &Path) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What is measured of one file.
struct Case {
    name: &'static str,
    options: Vec<&'static str>,
    damaged: bool,
    output: bool,
}

/// What is measured of a dump.
fn dump_cases() -> Vec<Case> {
    let to = |format| vec!["convert", "--to", format, "--force", "-o"];
    let case = |name, options, output| Case { name, options, damaged: false, output };
    vec![
        case("verify", vec!["verify"], false),
        case("convert to skiplist", to("skiplist"), true),
        case("convert to twoskip", to("twoskip"), true),
    ]
}

fn cases() -> Vec<Case> {
    let case =
        |name, options: &[&'static str], damaged, output| Case { name, options: options.to_vec(), damaged, output };
    vec![
        case("verify", &["verify"], false, false),
        case("verify --depth structure", &["verify", "--depth", "structure"], false, false),
        case("show", &["show"], false, false),
        case("list --json", &["list", "--json"], false, false),
        case("convert to skiplist", &["convert", "--to", "skiplist", "--force", "-o"], false, true),
        case("convert to twoskip", &["convert", "--to", "twoskip", "--force", "-o"], false, true),
        case("convert to flat", &["convert", "--to", "flat", "--force", "-o"], false, true),
        case("convert to json", &["convert", "--to", "json", "--force", "-o"], false, true),
        case("recover, 1 % of the pages damaged", &["recover", "--force", "-o"], true, true),
    ]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A copy with one page in a hundred overwritten, always the same ones.
fn damage(source: &Path, damaged: &Path) {
    fs::copy(source, damaged).expect("a copy");
    let file = File::options().write(true).open(damaged).expect("a copy");
    let pages = file.metadata().expect("a length").len() / PAGE;
    for page in (50..pages).step_by(100) {
        let fill = [(page % 251) as u8; PAGE as usize];
        file.write_all_at(&fill, page * PAGE).expect("room");
    }
}

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let folder = tempfile::tempdir_in(std::env::var("BENCH_DIR").unwrap_or_else(|_| ".".into())).expect("a folder");
    let mailboxes = setting("BENCH_MAILBOXES", 1_000_000).to_string();
    let rounds = setting("BENCH_ROUNDS", 5);
    for format in ["skiplist", "twoskip", "twom"] {
        let path = folder.path().join(format!("{format}.db"));
        let output = folder.path().join("output");
        let options = ["synth", "--mailboxes", &mailboxes, "--to", format, "--force", "-o"];
        let synth = run(CORONER, &[&path], &options, &output);
        let bytes = fs::metadata(&path).expect("a database").len();
        println!("{format}: {mailboxes} mailboxes, {bytes} bytes, written in {:.2} s", synth.time.as_secs_f64());
        let damaged = folder.path().join("damaged.db");
        damage(&path, &damaged);
        measure(&path, &damaged, &cases(), folder.path(), 64 + bytes / 16 / MIB, rounds);
        // No release that distributions carry knows twom yet.
        if format != "twom" && std::env::var_os("BENCH_CYRUS").is_some() && Path::new(CYR_DBTOOL).exists() {
            cyrus(&path, format, folder.path(), &output);
        }
    }
    let dump = folder.path().join("dump.json");
    let output = folder.path().join("output");
    run(CORONER, &[&dump, &folder.path().join("twoskip.db")], &["convert", "--to", "json", "-o"], &output);
    let bytes = fs::metadata(&dump).expect("a dump").len();
    println!("json: the dump of that, {bytes} bytes");
    // 64 bytes for each record that is made: under its name, and under its uniqueid.
    let limit = 64 * 2 * setting("BENCH_MAILBOXES", 1_000_000) / MIB;
    measure(&dump, &dump, &dump_cases(), folder.path(), limit, rounds);
    let mailboxes = setting("BENCH_MURDER", 2_000_000).to_string();
    murder(folder.path(), &mailboxes, rounds, &folder.path().join("output"));
}

/// Merges and compares the lists of an invented murder: 16 backends, a master, two frontends.
fn murder(folder: &Path, mailboxes: &str, rounds: u64, output: &Path) {
    let copies = folder.join("copies");
    fs::create_dir(&copies).expect("a folder");
    let site = ["synth", "--mailboxes", mailboxes, "--servers", "16", "--conflicts", "1000", "--force"];
    let synth = |path: &Path, more: &[&str]| run(CORONER, &[path], &[&site[..], more, &["-o"]].concat(), output);
    let backends: Vec<PathBuf> = (1..=16).map(|number| folder.join(format!("be{number}.db"))).collect();
    for (path, number) in backends.iter().zip(1..) {
        synth(path, &["--server", &i32::to_string(&number)]);
    }
    let others = ["mup.db", "fe1.db", "fe2.db"].map(|name| folder.join(name));
    for path in &others {
        synth(path, &["--role", "master"]);
    }
    let named = |path: &PathBuf, number: i32| format!("be{number}.example.com={}", path.display());
    let named: Vec<String> = backends.iter().zip(1..).map(|(path, number)| named(path, number)).collect();
    let merged = folder.join("merged.db");
    let [master, fe1, fe2] = others.each_ref().map(|path| path.to_str().expect("a plain path"));
    let mut merge = vec!["merge", "--force", "-o", merged.to_str().expect("a plain path")];
    merge.extend(named.iter().map(String::as_str));
    let mut drift = vec!["drift", "--master", master, "--frontend", fe1, "--frontend", fe2];
    drift.extend(named.iter().flat_map(|named| ["--backend", named]));
    let all: Vec<PathBuf> = backends.iter().chain(&others).cloned().collect();
    println!("a murder of {mailboxes} mailboxes on 16 backends");
    for (name, command, inputs) in [("merge", merge, &backends), ("drift", drift, &all)] {
        let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).chain([&*copies]).collect();
        let (mut times, mut copied, mut memory) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            copied.push(run("cp", &inputs, &[], output).time);
            let done = run(CORONER, &[], &command, output);
            memory = memory.max(done.memory_kib / 1024);
            times.push(done.time);
        }
        let (cp, time) = (median(copied).as_secs_f64(), median(times).as_secs_f64());
        println!("  {:<36} {cp:>8.3}", format!("cp of the inputs of {name}"));
        println!("  {name:<36} {time:>8.3} {:>8.2} {:>22}", time / cp, format!("{memory} (256)"));
    }
}

/// Walks the records of a sound file by its pointers and writes them as `show` does, with one thread and no check.
fn bare_loop(path: &Path, output: &Path) -> Duration {
    let _ = fs::remove_file(output);
    let from = Instant::now();
    let image = Image::open(&File::open(path).expect("a database")).expect("a database");
    let format = container::detect(&image).format.expect("a known format");
    let database = container::open(&image, format);
    let mut output = File::create(output).expect("an output");
    let mut lines = Vec::with_capacity(1 << 19);
    database.view(KeyOrder::Unsigned, 1).walk(0, &mut |record| {
        for part in [&record.key[..], b"\t", &record.value, b"\n"] {
            lines.extend_from_slice(part);
        }
        if lines.len() >= 1 << 18 {
            output.write_all(&lines).expect("room");
            lines.clear();
        }
        true
    });
    output.write_all(&lines).expect("room");
    from.elapsed()
}

fn measure(path: &Path, damaged: &Path, cases: &[Case], folder: &Path, limit: u64, rounds: u64) {
    let [copy, made, output] = ["copy", "made", "output"].map(|name| folder.join(name));
    let mut runs: Vec<[Vec<Run>; 2]> = cases.iter().map(|_| Default::default()).collect();
    let (mut to_new, mut bare_loops, mut copies) = (Vec::new(), Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        let _ = fs::remove_file(&copy);
        to_new.push(run("cp", &[path, &copy], &[], &output).time);
        bare_loops.push(bare_loop(path, &output));
        for (case, runs) in cases.iter().zip(&mut runs) {
            let input = if case.damaged { damaged } else { path };
            let files: &[&Path] = if case.output { &[&made, input] } else { &[input] };
            for times in &mut copies {
                times.push(run("cp", &[input, &copy], &[], &output).time);
            }
            for runs in runs {
                runs.push(run(CORONER, files, &case.options, &output));
            }
        }
    }
    println!("  {:<34} {:>8} {:>7} {:>8} {:>7} {:>20}", "", "in a row", "x cp", "in turn", "x cp", "own memory, MiB");
    let seconds = |times: Vec<Duration>| median(times).as_secs_f64();
    let [in_turn, in_a_row] = copies.map(seconds);
    println!("  {:<34} {in_a_row:>8.3} {:>7} {in_turn:>8.3}", "cp", "");
    for (name, times) in [("cp, to a new file", to_new), ("a bare loop", bare_loops)] {
        println!("  {name:<34} {:>8.3}", seconds(times));
    }
    for (case, runs) in cases.iter().zip(runs) {
        let memory = runs.iter().flatten().map(|run| run.memory_kib).max().unwrap_or_default() / 1024;
        let [first, second] = runs.map(|runs| seconds(runs.into_iter().map(|run| run.time).collect()));
        let limit = if case.damaged { String::new() } else { format!(" (limit {limit})") };
        let (memory, ratio, other) = (format!("{memory}{limit}"), second / in_a_row, first / in_turn);
        println!("  {:<34} {second:>8.3} {ratio:>7.2} {first:>8.3} {other:>7.2} {memory:>20}", case.name);
    }
}

/// What the real Cyrus takes for the same on a copy.
fn cyrus(path: &Path, format: &str, folder: &Path, output: &Path) {
    let (copy, config) = (folder.join("cyrus.db"), folder.join("imapd.conf"));
    fs::write(&config, format!("configdirectory: {}\npartition-default: {0}\n", folder.display())).expect("a file");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("permissions");
    for command in ["consistent", "show"] {
        fs::copy(path, &copy).expect("a copy");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o666)).expect("permissions");
        let user = ["--reuid", "cyrus", "--regid", "mail", "--clear-groups", CYR_DBTOOL, "-C"];
        let took = run("setpriv", &[&config, &copy, Path::new(format), Path::new(command)], &user, output);
        println!("  cyr_dbtool {command:<25} {:>8.3}", took.time.as_secs_f64());
    }
}
