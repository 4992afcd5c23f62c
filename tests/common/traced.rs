//! Runs of coroner under strace, which makes system calls fail or sends signals.
//!
//! Where it is missing or may not trace, whoever asks says so; with CI=true that is a failure.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// System calls that touch files; those of memory and threads alone say nothing about the target.
pub const CALLS: &str = "open,openat,openat2,newfstatat,statx,fstat,fcntl,lseek,read,pread64,mmap,write,pwrite64,ftruncate,\
                         fsync,fdatasync,fchown,fchmod,linkat,mkdir,rename,renameat,renameat2,unlink,unlinkat,close";

/// Runs coroner under strace with more options for it; its trace goes to `trace`. Its clock stands still, so that the same
/// run writes the same bytes.
pub fn traced<S: AsRef<OsStr>>(trace: &Path, options: &[String], arguments: &[S]) -> ExitStatus {
    // Whoever runs the tests in the background has it ignore interruptions.
    Command::new("env")
        .args(["--default-signal=INT", "strace", "-f", "-qq", "-o"])
        .arg(trace)
        .args(options)
        .arg(env!("CARGO_BIN_EXE_coroner"))
        .args(["-j1"])
        .args(arguments)
        .env("SOURCE_DATE_EPOCH", "1795430512")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace")
}

/// Whether strace is there and may trace.
pub fn can_trace() -> bool {
    let mut command = Command::new("strace");
    let status = command.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let traces = status.is_ok_and(|status| status.success());
    if !traces {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "strace is missing or may not trace");
        println!("LEFT OUT: strace is missing or may not trace, so no system call was made to fail");
    }
    traces
}

/// How often a run makes each call.
pub fn counts(trace: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(trace).expect("a trace").lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        if let Some((name, _)) = call.split_once('(') {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}
