//! Drives the programs of a real Cyrus IMAP 3.6 on files of its own, as user cyrus when we are root.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use coroner::formats::container::Format;
use tempfile::TempDir;

/// Where Debian puts the programs.
const PROGRAMS: &str = "/usr/lib/cyrus/bin";

/// The configuration under which every skiplist is recovered when it is opened.
const RECOVERING: &str = "recovering";

/// An installation of Cyrus, with a folder to work in that goes away with this value.
pub struct Cyrus {
    home: TempDir,
    user: Option<(u32, u32)>,
}

impl Cyrus {
    /// The installed Cyrus. Without one the test that asks says so and passes, but fails if `CI=true`.
    pub fn find(test: &str) -> Option<Cyrus> {
        if !Path::new(PROGRAMS).join("cyr_dbtool").exists() {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "Cyrus IMAP is not installed, and CI=true asks for it"
            );
            // Written to the terminal itself: the test harness would swallow what a passing test prints.
            let _ = writeln!(std::io::stderr(), "LEFT OUT {test}: no Cyrus IMAP in {PROGRAMS}");
            return None;
        }
        let home = tempfile::Builder::new().prefix("coroner-oracle-").tempdir().expect("a temporary folder");
        let cyrus = Cyrus { user: cyrus_user(), home };
        let path = cyrus.home.path();
        for engine in ["skiplist", "twoskip", "flat"] {
            cyrus.configure(engine, path, engine);
        }
        // Skiplists not recovered since the moment in `db/skipstamp` are recovered when they are opened, which costs them
        // their log: a moment long ago means never, and no moment means always.
        fs::create_dir(path.join("db")).expect("a folder");
        fs::write(path.join("db/skipstamp"), 1_u32.to_be_bytes()).expect("a time stamp");
        let recovering = path.join(RECOVERING);
        fs::create_dir(&recovering).expect("a folder");
        cyrus.hand_over(&recovering);
        cyrus.configure(RECOVERING, &recovering, "twoskip");
        cyrus.hand_over(path);
        Some(cyrus)
    }

    fn configure(&self, name: &str, folder: &Path, engine: &str) {
        let configuration = format!(
            "configdirectory: {folder}\ndefaultpartition: default\npartition-default: {folder}/spool\nmboxlist_db: {engine}\n",
            folder = folder.display()
        );
        fs::write(self.home.path().join(format!("{name}.conf")), configuration).expect("a configuration");
    }

    /// A file of this name and content that Cyrus may change.
    pub fn place(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, bytes).expect("a copy for Cyrus");
        self.hand_over(&path);
        path
    }

    fn hand_over(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            chown(path, Some(user), Some(group)).expect("chown to cyrus");
        }
    }

    /// `cyr_dbtool FILE ENGINE ACTION…` with `input` on its standard input.
    pub fn dbtool(&self, file: &Path, engine: Format, action: &[&str], input: &[u8]) -> Output {
        let mut command = self.program("cyr_dbtool", engine.as_str());
        command.arg(file).arg(engine.as_str()).args(action);
        run(command, input)
    }

    /// `cyr_dbtool FILE ENGINE show`, with Cyrus' own recovery before it.
    pub fn recover_and_show(&self, file: &Path, engine: Format) -> Output {
        let mut command = self.program("cyr_dbtool", RECOVERING);
        command.arg(file).arg(engine.as_str()).arg("show");
        run(command, b"")
    }

    /// Gives `input`, which ends inside a transaction, to `cyr_dbtool FILE ENGINE batch`, and kills it there.
    pub fn dbtool_killed(&self, file: &Path, engine: Format, input: &[u8]) {
        let (mut child, _stdin) = self.dbtool_waiting(file, engine, input);
        child.kill().expect("kill");
        child.wait().expect("its end");
    }

    /// Gives `input`, which ends inside a transaction, to `cyr_dbtool FILE ENGINE batch`, which waits for more as long as
    /// its standard input lives.
    pub fn dbtool_waiting(&self, file: &Path, engine: Format, input: &[u8]) -> (Child, ChildStdin) {
        let mut command = self.program("cyr_dbtool", engine.as_str());
        command.arg(file).arg(engine.as_str()).arg("batch");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("its standard input");
        stdin.write_all(&[input, b"SET zzz-last done\nGET zzz-last\n"].concat()).expect("cyr_dbtool reads");
        // Its answer says that all before it is in the file.
        let answer = BufReader::new(child.stdout.take().expect("its standard output")).lines().next();
        assert_eq!(answer.expect("an answer").expect("text"), "zzz-last done", "{file:?}");
        (child, stdin)
    }

    /// `ctl_mboxlist OPTION… -f FILE`, FILE being of `engine`.
    pub fn mboxlist(&self, file: &Path, engine: Format, options: &[&str]) -> Output {
        let mut command = self.program("ctl_mboxlist", engine.as_str());
        command.args(options).arg("-f").arg(file);
        run(command, b"")
    }

    fn program(&self, name: &str, configuration: &str) -> Command {
        let mut command = Command::new(Path::new(PROGRAMS).join(name));
        command.arg("-C").arg(self.home.path().join(format!("{configuration}.conf"))).current_dir(self.home.path());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

fn run(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("its standard input");
    let output = std::thread::scope(|scope| {
        // A program that dies early stops reading: not our failure to report.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output()
    });
    output.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// User and group of Cyrus, if we are root and so have to become it.
fn cyrus_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with("cyrus:")).expect("a user named cyrus");
    let mut ids = line.split(':').skip(2).map(|id| id.parse::<u32>().expect("a number"));
    Some((ids.next()?, ids.next()?))
}
