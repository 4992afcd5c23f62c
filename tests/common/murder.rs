//! A murder on loopback: hosts of an installed Cyrus 3.6, and coroner's own servers, on free ports.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bstr::ByteSlice;
use coroner::formats::record::{Key, Style, decode};
use coroner::murder::wire::{Event, Grammar, Lexer, Limits, Reply, reply};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Where Debian puts the programs.
pub const PROGRAMS: &str = "/usr/lib/cyrus/bin";
/// What Debian calls the master process.
pub const MASTER: &str = "/usr/sbin/cyrmaster";
/// How long anything may take that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// `\0murder\0secret` in base 64.
pub const PLAIN: &str = "AG11cmRlcgBzZWNyZXQ=";

/// Names and what they are: location, and ACL unless reserved.
pub type Rows = BTreeMap<Vec<u8>, (Vec<u8>, Option<Vec<u8>>)>;

/// A folder for hosts; goes away with this value.
pub struct Lab {
    home: TempDir,
    /// User and group of Cyrus.
    pub owner: (u32, u32),
}

/// What a host is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Master,
    /// A master that is started without Cyrus' recovery, which would drop its reservations.
    MasterAsItIs,
    /// Follows the master on this port.
    Frontend(u16),
    /// Tells the master on this port.
    Backend(u16),
}

/// A host of the real Cyrus.
pub struct Host {
    pub name: String,
    folder: PathBuf,
    part: Part,
    owner: (u32, u32),
    pub mupdate: u16,
    pub imap: u16,
    /// Where a backend takes mail without a login.
    pub lmtp: u16,
    running: Option<Child>,
}

/// A port that nobody has.
pub fn free_port() -> u16 {
    // Ports are given out one by one, so that two tests of one process do not get the same.
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}

impl Lab {
    /// The installed Cyrus. Without one, or without the rights to start it, the test that asks says so and passes, but fails
    /// if `CI=true`.
    pub fn find(test: &str) -> Option<Lab> {
        let programs = ["mupdate", "imapd", "ctl_mboxlist"].map(|name| Path::new(PROGRAMS).join(name));
        let others = [MASTER, "/usr/sbin/saslpasswd2"].map(PathBuf::from);
        let mounts = || Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
        let there = programs.iter().chain(&others).all(|path| path.exists());
        if !rustix::process::geteuid().is_root() || !there || !mounts() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no Cyrus Murder to start, and CI=true asks for it");
            let _ = writeln!(io::stderr(), "LEFT OUT {test}: no mupdate in {PROGRAMS}, or not root, or no mounts");
            return None;
        }
        let home = tempfile::Builder::new().prefix("coroner-murder-").tempdir().expect("a temporary folder");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let line = users.lines().find(|line| line.starts_with("cyrus:")).expect("a user named cyrus");
        let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().expect("a number")).collect();
        Some(Lab { home, owner: (ids[0], ids[1]) })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file that Cyrus may write to.
    pub fn hand_over(&self, path: &Path) {
        chown(path, Some(self.owner.0), Some(self.owner.1)).expect("chown to cyrus");
    }

    /// A file that lets these users log in to these servers with `secret`.
    pub fn passwords(&self, path: &Path, servers: &[&str], users: &[&str]) {
        for (server, user) in servers.iter().flat_map(|server| users.iter().map(move |user| (server, user))) {
            let mut password = Command::new("/usr/sbin/saslpasswd2");
            password.arg("-p").arg("-c").arg("-f").arg(path).args(["-u", server, user]);
            let mut password = password.stdin(Stdio::piped()).spawn().expect("saslpasswd2");
            password.stdin.take().expect("its input").write_all(b"secret\n").expect("a password");
            assert!(password.wait().expect("its end").success());
        }
        self.hand_over(path);
    }

    /// The folders of a host.
    pub fn folders(&self, folder: &Path) {
        for inner in ["", "conf", "conf/db", "conf/socket", "conf/proc", "conf/lock", "conf/log", "spool", "sieve"] {
            fs::create_dir_all(folder.join(inner)).expect("a folder");
            self.hand_over(&folder.join(inner));
        }
    }

    /// A host, not yet started.
    pub fn host(&self, name: &str, part: Part, engine: &str) -> Host {
        self.host_with(name, part, engine, "")
    }

    /// A host with these lines in its configuration, in the place of those that say something else.
    pub fn host_with(&self, name: &str, part: Part, engine: &str, more: &str) -> Host {
        let folder = self.path(name);
        self.folders(&folder);
        let (home, server) = (folder.display(), format!("{name}.murder.test"));
        let mut settings = format!(
            "configdirectory: {home}/conf\nproc_path: {home}/conf/proc\nmboxname_lockpath: {home}/conf/lock\n\
             partition-default: {home}/spool\npartition-p2: {home}/spool\ndefaultpartition: default\nsievedir: {home}/sieve\n\
             servername: {server}\nadmins: cyrus murder\nallowplaintext: yes\nsasl_pwcheck_method: auxprop\n\
             sasl_auxprop_plugin: sasldb\nsasl_sasldb_path: {home}/sasldb2\nsasl_mech_list: PLAIN\nmboxlist_db: {engine}\n\
             unixhierarchysep: yes\naltnamespace: no\ndelete_mode: delayed\nduplicatesuppression: no\nconversations: no\n\
             proxyservers: mailproxy\n"
        );
        if let Part::Frontend(master) | Part::Backend(master) = part {
            settings += &format!(
                "mupdate_server: 127.0.0.1\nmupdate_port: {master}\nmupdate_username: murder\nmupdate_authname: murder\n\
                 mupdate_password: secret\nmupdate_retry_delay: 2\n"
            );
            // The port comes from /etc/services and nowhere else: each host gets a file of its own there.
            fs::write(folder.join("services"), format!("mupdate {master}/tcp\nimap 143/tcp\n")).expect("services");
        }
        // Cyrus refuses a setting that is there twice.
        let said = |line: &&str| !more.lines().any(|other| other.split(':').next() == line.split(':').next());
        let settings: Vec<&str> = settings.lines().filter(said).chain(more.lines()).collect();
        fs::write(folder.join("imapd.conf"), settings.join("\n") + "\n").expect("a configuration");
        self.passwords(&folder.join("sasldb2"), &[&server], &["cyrus", "murder", "mailproxy", "anna"]);
        let (mupdate, imap, lmtp) = (free_port(), free_port(), free_port());
        Host { name: server, folder, part, owner: self.owner, mupdate, imap, lmtp, running: None }
    }
}

impl Host {
    pub fn database(&self) -> PathBuf {
        self.folder.join("conf/mailboxes.db")
    }

    /// Puts a copy of `file` in the place of its database.
    pub fn put(&self, file: &Path) {
        fs::copy(file, self.database()).expect("a copy");
        chown(self.database(), Some(self.owner.0), Some(self.owner.1)).expect("chown to cyrus");
    }

    pub fn start(&mut self) {
        let configuration = self.folder.join("imapd.conf");
        let service = |name: &str, options: &str, port: u16, prefork: u8| {
            let listen = format!("listen=\"127.0.0.1:{port}\" prefork={prefork}");
            format!("  {name} cmd=\"{PROGRAMS}/{name}{options} -C {}\" {listen}\n", configuration.display())
        };
        let services = match self.part {
            Part::Master | Part::MasterAsItIs => service("mupdate", " -m", self.mupdate, 1),
            Part::Frontend(_) => service("mupdate", "", self.mupdate, 1),
            Part::Backend(_) => service("imapd", "", self.imap, 0) + &service("lmtpd", " -a", self.lmtp, 0),
        };
        let recover = format!("  recover cmd=\"{PROGRAMS}/ctl_cyrusdb -C {} -r\"\n", configuration.display());
        let recover = if self.part == Part::MasterAsItIs { "" } else { &recover };
        let text = format!("START {{\n{recover}}}\nSERVICES {{\n{services}}}\nEVENTS {{\n}}\n");
        fs::write(self.folder.join("cyrus.conf"), text).expect("a configuration");
        let mut command = self.with_services();
        command.arg(MASTER).arg("-C").arg(&configuration).arg("-M").arg(self.folder.join("cyrus.conf"));
        command.arg("-p").arg(self.folder.join(format!("master.{}.pid", free_port())));
        // A master process ends its whole group.
        command.process_group(0);
        self.running = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the master process"));
        let port = if matches!(self.part, Part::Backend(_)) { self.imap } else { self.mupdate };
        wait(&format!("{} to listen", self.name), || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// The beginning of a command that finds the host's own services.
    fn with_services(&self) -> Command {
        let services = self.folder.join("services");
        if !services.exists() {
            return Command::new("env");
        }
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/services && exec \"$@\""]).arg(services);
        command
    }

    /// Ends its master process and what that started.
    pub fn stop(&mut self, signal: Signal) {
        let Some(mut child) = self.running.take() else { return };
        let _ = kill_process(Pid::from_child(&child), signal);
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
            sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        // What outlives its master process is not left behind, nor what that started last.
        let _ = within(|| {
            let left = self.processes();
            for &process in &left {
                let _ = kill_process(process, Signal::KILL);
            }
            left.is_empty()
        });
    }

    /// All that runs with its configuration.
    fn processes(&self) -> Vec<Pid> {
        let configuration = format!("-C\0{}/imapd.conf\0", self.folder.display());
        let mut found = Vec::new();
        for item in fs::read_dir("/proc").expect("/proc").flatten() {
            let id = item.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let mine = || fs::read(item.path().join("cmdline")).is_ok_and(|line| line.contains_str(&configuration));
            found.extend(id.filter(|_| mine()));
        }
        found
    }

    /// `ctl_mboxlist OPTIONS`, as Cyrus' own user.
    pub fn mboxlist<S: AsRef<OsStr>>(&self, options: &[S]) -> Output {
        let mut command = self.with_services();
        let (user, group) = self.owner;
        command.arg("setpriv").arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        command
            .arg(Path::new(PROGRAMS).join("ctl_mboxlist"))
            .arg("-C")
            .arg(self.folder.join("imapd.conf"))
            .args(options);
        command.current_dir(&self.folder).stdin(Stdio::null()).output().expect("ctl_mboxlist")
    }

    /// What mupdate ends with that is started as a master, for a call that does not come.
    pub fn run_mupdate(&self) -> Option<i32> {
        let mut command = Command::new("sh");
        command.args(["-c", "exec timeout 20 \"$@\" 3< /dev/null 4< /dev/null", "sh"]);
        command.arg(Path::new(PROGRAMS).join("mupdate")).arg("-C").arg(self.folder.join("imapd.conf")).arg("-m");
        command.env("CYRUS_SERVICE", "mupdate").uid(self.owner.0).gid(self.owner.1).current_dir(&self.folder);
        command.stdin(Stdio::null()).output().expect("mupdate").status.code()
    }

    /// The mailboxes in its database, as MUPDATE tells them.
    pub fn rows(&self) -> Rows {
        rows_of(&self.database())
    }

    /// An IMAP connection of the administrator.
    pub fn imap(&self) -> Imap {
        let socket = TcpStream::connect(("127.0.0.1", self.imap)).expect("imapd listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut imap = Imap { reader: BufReader::new(socket), tags: 0 };
        let mut greeting = String::new();
        imap.reader.read_line(&mut greeting).expect("a greeting");
        assert_eq!(imap.run("LOGIN cyrus secret").0, "OK");
        imap
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop(Signal::QUIT);
    }
}

/// An IMAP connection.
pub struct Imap {
    reader: BufReader<TcpStream>,
    tags: u32,
}

impl Imap {
    /// Runs a command; gives `OK`, `NO` or `BAD`, and everything that was said.
    pub fn run(&mut self, command: &str) -> (String, String) {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        self.reader.get_mut().write_all(format!("{tag} {command}\r\n").as_bytes()).expect("imapd reads");
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(self.reader.read_line(&mut line).expect("imapd answers") > 0, "{command}: gone after {said:?}");
            said += &line;
            if let Some(rest) = line.strip_prefix(&format!("{tag} ")) {
                return (rest.split_whitespace().next().unwrap_or_default().to_owned(), said);
            }
        }
    }

    #[track_caller]
    pub fn ok(&mut self, command: &str) {
        let (answer, said) = self.run(command);
        assert_eq!(answer, "OK", "{command}: {said}");
    }
}

/// Waits until `done`, or fails.
#[track_caller]
pub fn wait(what: &str, done: impl FnMut() -> bool) {
    assert!(within(done), "waited in vain for {what}");
}

/// Whether it is done in time.
pub fn within(mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() >= until {
            return false;
        }
        sleep(Duration::from_millis(30));
    }
    true
}

/// The mailboxes in a database, as MUPDATE tells them.
pub fn rows_of(path: &Path) -> Rows {
    let mut rows = Rows::new();
    for (key, value) in super::records(path) {
        let decoded = decode(&key, &value, &Style::NEW);
        let (Key::Mailbox(name), Some(entry)) = (decoded.key, decoded.entry) else { continue };
        let acl = (!entry.is_reserved()).then(|| entry.acl.to_text().into_owned());
        rows.insert(name.to_internal().into_owned(), (entry.location().into_owned(), acl));
    }
    rows
}

/// Tag, word and items of a line.
pub type Spoken = (Vec<u8>, Vec<u8>, Vec<Vec<u8>>);

/// A MUPDATE connection that is logged in.
pub struct Talk {
    pub socket: TcpStream,
    lexer: Lexer,
}

impl Talk {
    /// `None` as long as nobody answers there.
    pub fn open(port: u16) -> Option<Talk> {
        Talk::at((Ipv4Addr::LOCALHOST, port).into())
    }

    /// The same of a host with an address of its own.
    pub fn at(address: SocketAddr) -> Option<Talk> {
        let socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut talk = Talk { socket, lexer: Lexer::new(Grammar::Reply, Limits::CYRUS, |_| usize::MAX) };
        loop {
            let line = talk.line()?;
            match (&line.0[..], &line.1[..]) {
                (_, b"OK") => break,
                (_, b"BYE") => return None,
                _ => {}
            }
        }
        let said = talk.ask(&format!("AUTHENTICATE \"PLAIN\" \"{PLAIN}\""))?;
        said.0.starts_with("OK").then_some(talk)
    }

    /// Tag, word, and the items of the next line.
    pub fn line(&mut self) -> Option<Spoken> {
        let mut buffer = [0; 65536];
        loop {
            if let Ok(Some(Event::Line)) = self.lexer.next_event() {
                let line = self.lexer.line();
                let items = line.items().map(|(item, _)| item.to_vec()).collect();
                return Some((line.tag().to_vec(), line.word().to_vec(), items));
            }
            let read = self.socket.read(&mut buffer).ok().filter(|&read| read > 0)?;
            self.lexer.feed(&buffer[..read]);
        }
    }

    /// Sends a command; gives how it is answered, and the rows before.
    pub fn ask(&mut self, command: &str) -> Option<(String, Rows)> {
        self.socket.write_all(format!("T1 {command}\r\n").as_bytes()).ok()?;
        let mut rows = Rows::new();
        loop {
            let mut buffer = [0; 65536];
            match self.lexer.next_event() {
                Ok(Some(Event::Line)) => {
                    let line = self.lexer.line();
                    match reply::parse(line) {
                        Reply::Row(row) => {
                            let state = (row.location.to_vec(), row.acl.map(<[u8]>::to_vec));
                            rows.insert(row.name.to_vec(), state);
                        }
                        _ if line.tag() == b"T1" => {
                            let text = line.text(0).to_str_lossy().into_owned();
                            return Some((format!("{} {text}", line.word().as_bstr()), rows));
                        }
                        _ => {}
                    }
                }
                _ => {
                    let read = self.socket.read(&mut buffer).ok().filter(|&read| read > 0)?;
                    self.lexer.feed(&buffer[..read]);
                }
            }
        }
    }

    #[track_caller]
    pub fn ok(&mut self, command: &str) -> Rows {
        let (said, rows) = self.ask(command).unwrap_or_else(|| panic!("{command}: gone"));
        assert!(said.starts_with("OK"), "{command}: {said}");
        rows
    }
}

/// The list of a MUPDATE server; `None` if it does not answer.
pub fn list(port: u16) -> Option<Rows> {
    Talk::open(port)?.ask("LIST").filter(|(said, _)| said.starts_with("OK")).map(|(_, rows)| rows)
}

/// Coroner as a server; ends with this value.
pub struct Coroner {
    child: Child,
    pub port: u16,
    pub log: PathBuf,
}

impl Coroner {
    /// `coroner murder serve OPTIONS`, on a free port unless the options name one, or doors for clients.
    pub fn serve<S: AsRef<OsStr>>(folder: &Path, options: &[S]) -> Coroner {
        let log = folder.join(format!("coroner.{}.log", free_port()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_coroner"));
        command.args(["murder", "serve"]).args(options);
        if !options.iter().any(|option| option.as_ref() == "--listen" || option.as_ref() == "--imap") {
            command.args(["--listen", &format!("127.0.0.1:{}", free_port())]);
        }
        command.env("CORONER_LOG", "debug").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(fs::File::create(&log).expect("a log")).spawn().expect("coroner");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        out.read_line(&mut line).expect("a line");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let Some(port) = port else {
            let _ = child.wait();
            panic!("coroner does not serve: {line:?} {}", fs::read_to_string(&log).unwrap_or_default());
        };
        Coroner { child, port, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it; gives its exit status.
    pub fn stop(mut self, signal: Signal) -> Option<i32> {
        let _ = kill_process(Pid::from_child(&self.child), signal);
        self.child.wait().expect("its end").code()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Coroner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}
