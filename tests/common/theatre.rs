//! A theatre of real hosts: scenarios of a murder's failures on an installed Cyrus 3.6.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coroner::murder::door;
use coroner::murder::drill::memory::{DOMAIN, NAMESPACE};
use coroner::murder::drill::scenario::{Deed, Life, Murder, Scenario};
use coroner::murder::drill::theatre::{Cant, House, Theatre};
use coroner::murder::host::Door;
use coroner::murder::host::request::{Answer, Data, Manner, Request};
use coroner::murder::wire::command::Verb;
use coroner::murder::wire::encode;
use coroner::murder::world::Fault;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::murder::{Lab, MASTER, PROGRAMS, Talk, within};
use super::relay::Relay;

/// Who may log in: what a scenario's steps name, and what hosts call themselves among each other.
const USERS: [&str; 6] = ["cyrus", "murder", "mailproxy", "anna", "bert", "foo"];
/// Whom passwords are made for.
const SERVERS: [&str; 4] = ["mup.murder.test", "fe1.murder.test", "be1.murder.test", "be2.murder.test"];
/// `mupdate_retry_delay`: with 0 and 1 a real frontend divides by zero.
const RETRY: Duration = Duration::from_secs(2);
/// How long a frontend may take to follow again: a connection that comes to nothing takes it ten seconds.
const SETTLED: Duration = Duration::from_secs(20);
/// How long somebody waits for an answer. A host that does not reach its master gives up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(40);
/// The longest that anything is waited for just because a scenario says so.
const WAIT: Duration = Duration::from_secs(6);
const IMAP: u16 = 143;
/// Where backends are delivered to by frontends, which log in.
const LMTP: u16 = 24;
/// Where anybody delivers, without a login.
const LMTP_OPEN: u16 = 2003;
const MUPDATE: u16 = 3905;

/// Opens theatres of real hosts, each for one scenario.
pub struct Real<'l> {
    lab: &'l Lab,
    number: u8,
    disturbed: BTreeSet<(String, String)>,
}

impl<'l> Real<'l> {
    /// A house for that scenario, which is the only one of that number at the time.
    pub fn new(lab: &'l Lab, number: u8, scenario: &Scenario) -> Real<'l> {
        let pair = |deed: &Deed| match deed {
            Deed::Disturb(_, a, b) | Deed::Heal(a, b) => vec![(a.clone(), b.clone()), (b.clone(), a.clone())],
            // What it says to its master is counted.
            Deed::Fuse(host, _) => vec![(host.clone(), "mup".to_owned())],
            _ => Vec::new(),
        };
        Real { lab, number, disturbed: scenario.steps.iter().flat_map(|step| pair(&step.deed)).collect() }
    }

    /// Makes what all theatres of a lab share.
    pub fn prepare(lab: &Lab) {
        lab.passwords(&lab.path("sasldb2"), &SERVERS, &USERS);
        fs::write(lab.path("services"), format!("imap {IMAP}/tcp\nlmtp {LMTP}/tcp\nmupdate {MUPDATE}/tcp\n"))
            .expect("services");
    }
}

impl House for Real<'_> {
    fn open(&mut self, murder: &Murder, _: Manner) -> Result<Box<dyn Theatre + '_>, Cant> {
        let odd = murder.hosts.iter().find(|host| !SERVERS.contains(&format!("{host}{DOMAIN}").as_str()));
        if let Some(host) = odd {
            return Err(Cant::Failed(format!("nobody can log in to {host}")));
        }
        let stage = Stage::new(self.lab, self.number, murder, &self.disturbed);
        Ok(Box::new(stage.map_err(|error| Cant::Failed(error.to_string()))?))
    }
}

/// The theatre.
struct Stage {
    actors: BTreeMap<String, Actor>,
    /// Ways from one host to another.
    relays: BTreeMap<(String, String), Relay>,
    begun: Instant,
}

/// A real host.
struct Actor {
    folder: PathBuf,
    passwords: PathBuf,
    services: PathBuf,
    name: String,
    address: Ipv4Addr,
    owner: (u32, u32),
    running: Option<Child>,
    hangs: bool,
}

impl Stage {
    fn new(lab: &Lab, number: u8, murder: &Murder, disturbed: &BTreeSet<(String, String)>) -> std::io::Result<Stage> {
        // All of 127.0.0.0/8 is this machine: each host has an address, so that all have the ports that they expect.
        let house = u8::try_from(std::process::id() % 200).unwrap_or_default() + 20;
        let address = |at: usize| Ipv4Addr::new(127, house, number, u8::try_from(at).unwrap_or_default());
        let at: BTreeMap<&String, Ipv4Addr> =
            murder.hosts.iter().zip(10..).map(|(host, at)| (host, address(at))).collect();
        let mut relays = BTreeMap::new();
        let mut by_relay = BTreeMap::new();
        for ((from, to), at_relay) in disturbed.iter().zip(100..) {
            relays.insert((from.clone(), to.clone()), Relay::open(address(at_relay), at[to], ports(to))?);
            by_relay.insert((from, to), address(at_relay));
        }
        let mut actors = BTreeMap::new();
        for host in &murder.hosts {
            let folder = lab.path(&format!("t{number}/{host}"));
            fs::create_dir_all(&folder)?;
            lab.folders(&folder);
            fs::write(folder.join("imapd.conf"), settings(&folder, lab, host, murder))?;
            fs::write(folder.join("cyrus.conf"), services(&folder, host, at[host]))?;
            let other = |other: &&String| {
                let address = by_relay.get(&(host, *other)).unwrap_or(&at[*other]);
                format!("{address} {other}{DOMAIN} {other}\n")
            };
            let others: String = murder.hosts.iter().map(|name| other(&name)).collect();
            fs::write(folder.join("hosts"), format!("127.0.0.1 localhost\n{others}"))?;
            let actor = Actor {
                passwords: lab.path("sasldb2"),
                services: lab.path("services"),
                name: host.clone(),
                address: at[host],
                owner: lab.owner,
                running: None,
                hangs: false,
                folder,
            };
            actors.insert(host.clone(), actor);
        }
        Ok(Stage { actors, relays, begun: Instant::now() })
    }

    fn actor(&mut self, host: &str) -> Result<&mut Actor, Cant> {
        self.actors.get_mut(host).ok_or_else(|| Cant::Failed(format!("there is no host {host:?}")))
    }
}

/// Where others come in to a host.
fn ports(host: &str) -> &'static [u16] {
    match host.get(..2) {
        Some("mu") => &[MUPDATE],
        Some("fe") => &[IMAP, MUPDATE],
        _ => &[IMAP, LMTP],
    }
}

fn settings(folder: &Path, lab: &Lab, host: &str, murder: &Murder) -> String {
    let (home, delete_mode) = (folder.display(), murder.delete_mode.as_deref().unwrap_or("delayed"));
    let mut settings = format!(
        "configdirectory: {home}/conf\nproc_path: {home}/conf/proc\nmboxname_lockpath: {home}/conf/lock\n\
         partition-default: {home}/spool\ndefaultpartition: default\nsievedir: {home}/sieve\nservername: {host}{DOMAIN}\n\
         admins: cyrus murder\nlmtp_admins: cyrus mailproxy\nallowplaintext: yes\nsasl_pwcheck_method: auxprop\n\
         sasl_auxprop_plugin: sasldb\nsasl_sasldb_path: {passwords}\nsasl_mech_list: PLAIN\nmboxlist_db: twoskip\n\
         unixhierarchysep: no\naltnamespace: no\ndelete_mode: {delete_mode}\nduplicatesuppression: no\nconversations: no\n\
         lmtpsocket: {home}/conf/socket/lmtp\nidlesocket: {home}/conf/socket/idle\nnotifysocket: {home}/conf/socket/notify\n",
        passwords = lab.path("sasldb2").display(),
    );
    if !host.starts_with("mup") {
        settings += &format!(
            "mupdate_server: mup{DOMAIN}\nmupdate_port: {MUPDATE}\nmupdate_username: murder\nmupdate_authname: murder\n\
             mupdate_password: secret\nmupdate_retry_delay: {}\n",
            RETRY.as_secs()
        );
    }
    settings
        + match host.starts_with("fe") {
            true => "proxy_authname: mailproxy\nproxy_password: secret\nbe1_password: secret\nbe2_password: secret\n",
            false => "proxyservers: mailproxy\n",
        }
}

fn services(folder: &Path, host: &str, address: Ipv4Addr) -> String {
    let settings = folder.join("imapd.conf");
    let service = |name: &str, command: &str, port: u16, prefork: u8| {
        format!(
            "  {name} cmd=\"{PROGRAMS}/{command} -C {}\" listen=\"{address}:{port}\" prefork={prefork}\n",
            settings.display()
        )
    };
    let services = match host.get(..2) {
        Some("mu") => service("mupdate", "mupdate -m", MUPDATE, 1),
        Some("fe") => {
            let doors = service("imap", "imapd", IMAP, 0) + &service("lmtp", "lmtpd -a", LMTP_OPEN, 0);
            service("mupdate", "mupdate", MUPDATE, 1) + &doors
        }
        _ => {
            let doors = service("imap", "imapd", IMAP, 0) + &service("lmtp", "lmtpd", LMTP, 0);
            doors + &service("lmtpopen", "lmtpd -a", LMTP_OPEN, 0)
        }
    };
    let recover = format!("  recover cmd=\"{PROGRAMS}/ctl_cyrusdb -C {} -r\"\n", settings.display());
    format!("START {{\n{recover}}}\nSERVICES {{\n{services}}}\nEVENTS {{\n}}\n")
}

impl Actor {
    fn database(&self) -> PathBuf {
        self.folder.join("conf/mailboxes.db")
    }

    /// The beginning of a command that finds the other hosts where they are.
    fn command(&self) -> Command {
        let mut command = Command::new("unshare");
        let mounts = "mount --bind \"$0\" /etc/services && mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
        command.args(["-m", "sh", "-c", mounts]).arg(&self.services).arg(self.folder.join("hosts"));
        command
    }

    /// `ctl_mboxlist OPTIONS`, as Cyrus' own user.
    fn mboxlist<S: AsRef<OsStr>>(&self, options: &[S], input: &[u8]) -> std::io::Result<Output> {
        let mut command = self.command();
        let (user, group) = self.owner;
        command.arg("setpriv").arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
        command.args(["timeout", &PATIENCE.as_secs().to_string()]).arg(Path::new(PROGRAMS).join("ctl_mboxlist"));
        command.arg("-C").arg(self.folder.join("imapd.conf")).args(options).current_dir(&self.folder);
        let given = self.folder.join("input");
        fs::write(&given, input)?;
        command.stdin(fs::File::open(given)?).output()
    }

    fn start(&mut self) -> Result<(), Cant> {
        let failed = |error: std::io::Error| Cant::Failed(error.to_string());
        if !self.passwords.exists() {
            return Err(Cant::Failed("nobody can log in".into()));
        }
        let mut command = self.command();
        command.arg(MASTER).arg("-C").arg(self.folder.join("imapd.conf")).arg("-M").arg(self.folder.join("cyrus.conf"));
        command.arg("-p").arg(self.folder.join("master.pid")).process_group(0);
        let _ = fs::remove_file(self.folder.join("master.pid"));
        self.running =
            Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)?);
        match within(|| self.listens()) {
            true => Ok(()),
            false => Err(Cant::Failed(format!("{} does not start", self.name))),
        }
    }

    fn listens(&self) -> bool {
        // A frontend does not listen for others that speak MUPDATE before it has a list.
        let port = if self.name.starts_with("mup") { MUPDATE } else { IMAP };
        TcpStream::connect((self.address, port)).is_ok()
    }

    /// Ends it with all that it started.
    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.running.take() else { return };
        let group = Pid::from_child(&child);
        if signal != Signal::KILL {
            let _ = kill_process(group, signal);
            let until = Instant::now() + Duration::from_secs(10);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                sleep(Duration::from_millis(20));
            }
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = child.wait();
        // What it started may outlive it for a moment.
        within(|| !self.listens());
        self.hangs = false;
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(child) = &self.running {
            let _ = kill_process_group(Pid::from_child(child), signal);
            self.hangs = signal == Signal::STOP;
        }
    }

    /// Whether a frontend has heard all that the master has to say: what its own proxies ask before they answer a client
    /// that a mailbox was made (`kick_mupdate()`).
    fn follows(&self) -> bool {
        let Ok(mut socket) = UnixStream::connect(self.folder.join("conf/socket/mupdate.target")) else { return false };
        let mut answer = [0; 2];
        let _ = socket.set_read_timeout(Some(RETRY * 2));
        socket.read_exact(&mut answer).is_ok() && &answer == b"ok"
    }

    /// Asks what was asked of it, behind what has to come before.
    fn ask(&self, user: &str, request: &Request) -> Option<Answer> {
        let door = if matches!(request, Request::Deliver { .. }) { Door::Lmtp } else { Door::Imap };
        let gone = || Some(Answer::later("the connection is gone"));
        let port = if door == Door::Lmtp { LMTP_OPEN } else { IMAP };
        let Ok(mut socket) = TcpStream::connect((self.address, port)) else { return gone() };
        let _ = socket.set_read_timeout(Some(Duration::from_millis(200)));
        let mut caller = door::caller(door, NAMESPACE, user.as_bytes());
        caller.ask(match request {
            Request::Deliver { name, .. } => Request::Recipient { name: name.clone() },
            _ => {
                let (user, password) = (user.as_bytes().to_vec(), b"secret".to_vec());
                Request::Login { user, password, acting_for: None }
            }
        });
        caller.ask(request.clone());
        let (mut answers, until) = (0, Instant::now() + PATIENCE);
        let mut buffer = [0; 65536];
        while Instant::now() < until {
            while let Some(answer) = caller.next_answer() {
                answers += 1;
                if answers == 2 {
                    return Some(answer);
                }
            }
            if caller.is_lost() || socket.write_all(&caller.take_output()).is_err() {
                return gone();
            }
            match socket.read(&mut buffer) {
                Ok(0) => return gone(),
                Ok(read) => caller.hear(buffer.get(..read)?),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return gone(),
            }
        }
        None
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

impl Theatre for Stage {
    fn has_own_clock(&self) -> bool {
        false
    }

    fn full_name(&self, host: &str) -> String {
        format!("{host}{DOMAIN}")
    }

    fn life(&mut self, host: &str, life: Life) -> Result<(), Cant> {
        if let Some(relay) = self.relays.get(&(host.to_owned(), "mup".to_owned())) {
            relay.fuse(None);
        }
        let actor = self.actor(host)?;
        match life {
            Life::Start => return actor.start(),
            Life::Stop => actor.end(Signal::QUIT),
            Life::Kill => actor.end(Signal::KILL),
            Life::Hang => actor.signal(Signal::STOP),
            Life::Resume => actor.signal(Signal::CONT),
        }
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        sleep(time.min(WAIT));
    }

    fn settle(&mut self) {
        let until = Instant::now() + SETTLED;
        let up = |kind: &str| {
            self.actors
                .values()
                .filter(|actor| actor.name.starts_with(kind) && actor.running.is_some() && !actor.hangs)
                .collect::<Vec<_>>()
        };
        if up("mup").is_empty() {
            return;
        }
        let frontends = up("fe");
        while !frontends.iter().all(|frontend| frontend.follows()) && Instant::now() < until {
            sleep(Duration::from_millis(100));
        }
    }

    fn ask(&mut self, user: &str, host: &str, request: &Request) -> Result<Option<Answer>, Cant> {
        Ok(self.actor(host)?.ask(user, request))
    }

    fn tell(&mut self, host: &str, verb: &Verb) -> Result<Option<Answer>, Cant> {
        let mut line = Vec::new();
        encode::command(&mut line, "T1", verb);
        let line = String::from_utf8_lossy(&line).into_owned();
        let line = line.trim_start_matches("T1 ").trim_end_matches("\r\n");
        let address = self.actor(host)?.address;
        let said = Talk::at((address, MUPDATE).into()).and_then(|mut talk| talk.ask(line));
        Ok(Some(match said {
            None => Answer::later("the connection is gone"),
            Some((said, _)) if said.starts_with("OK") => Answer::with(Data::Lines(Vec::new())),
            Some((said, _)) => Answer::no(said.trim_start_matches("NO ")),
        }))
    }

    fn sync(&mut self, host: &str, dry_run: bool, authoritative: bool) -> Result<Option<Answer>, Cant> {
        let option = ["-m", if authoritative { "a" } else { "" }, if dry_run { "w" } else { "" }].concat();
        let output = self.actor(host)?.mboxlist(&[option], b"").map_err(|error| Cant::Failed(error.to_string()))?;
        let lines = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        Ok(Some(match output.status.success() {
            true => Answer::with(Data::Lines(lines)),
            false => Answer::no(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()),
        }))
    }

    fn database(&mut self, host: &str) -> Result<Vec<u8>, Cant> {
        match fs::read(self.actor(host)?.database()) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Cant::Failed(error.to_string())),
        }
    }

    fn put_database(&mut self, host: &str, bytes: Option<&[u8]>) -> Result<(), Cant> {
        let actor = self.actor(host)?;
        if actor.running.is_some() {
            return Err(Cant::Failed(format!("{host} is not down")));
        }
        let (path, (user, group)) = (actor.database(), actor.owner);
        let done = match bytes {
            None => fs::remove_file(&path),
            Some(bytes) => {
                fs::write(&path, bytes).and_then(|()| std::os::unix::fs::chown(&path, Some(user), Some(group)))
            }
        };
        done.map_err(|error| Cant::Failed(format!("{}: {error}", path.display())))
    }

    fn dump(&mut self, host: &str) -> Result<Vec<u8>, Cant> {
        let output = self.actor(host)?.mboxlist(&["-d"], b"").map_err(|error| Cant::Failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Cant::Failed(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    fn undump(&mut self, host: &str, dump: &[u8], _: Manner) -> Result<(), Cant> {
        let output = self.actor(host)?.mboxlist(&["-u"], dump).map_err(|error| Cant::Failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(Cant::Failed(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    fn disturb(&mut self, a: &str, b: &str, fault: Option<Fault>) -> Result<(), Cant> {
        for (from, to, back) in [(a, b, false), (b, a, true)] {
            let relay = self.relays.get(&(from.to_owned(), to.to_owned())).ok_or(Cant::Unsupported)?;
            relay.disturb(fault, back);
        }
        Ok(())
    }

    fn fill(&mut self, _: &str, _: bool) -> Result<(), Cant> {
        Err(Cant::Unsupported)
    }

    fn fuse(&mut self, host: &str, deeds: u64) -> Result<(), Cant> {
        let group = self.actor(host)?.running.as_ref().map(Pid::from_child);
        let relay = self.relays.get(&(host.to_owned(), "mup".to_owned())).ok_or(Cant::Unsupported)?;
        relay.fuse(group.map(|group| (deeds, group)));
        Ok(())
    }

    fn told(&mut self, _: Duration) -> Vec<String> {
        Vec::new()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}
