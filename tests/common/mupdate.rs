//! A real mupdate master of an installed Cyrus on a loopback port, on a database that the test gives it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bstr::ByteSlice;
use tempfile::TempDir;

const PROGRAMS: &str = "/usr/lib/cyrus/bin";
const MASTER: &str = "/usr/sbin/cyrmaster";
const HOST: &str = "mup.example.com";
/// How often a master that does not come up is started.
const STARTS: usize = 5;
/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Masters are started one at a time: two could be given the same port.
static STARTING: Mutex<()> = Mutex::new(());
/// `\0murder\0secret` in base 64.
const PLAIN: &str = "AG11cmRlcgBzZWNyZXQ=";

/// A host that can be a mupdate master.
pub struct Host {
    home: TempDir,
    owner: (u32, u32),
}

impl Host {
    /// The installed Cyrus as a master whose database is of `engine`. Without one, or without the rights to start it, the
    /// test that asks says so and passes, but fails if `CI=true`.
    pub fn find(test: &str, engine: &str) -> Option<Host> {
        let programs = [Path::new(PROGRAMS).join("mupdate"), MASTER.into(), "/usr/sbin/saslpasswd2".into()];
        if !rustix::process::geteuid().is_root() || !programs.iter().all(|path| path.exists()) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no mupdate to start, and CI=true asks for it");
            let _ = writeln!(std::io::stderr(), "LEFT OUT {test}: no mupdate in {PROGRAMS}, or not root");
            return None;
        }
        let home = tempfile::Builder::new().prefix("coroner-mupdate-").tempdir().expect("a temporary folder");
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let line = users.lines().find(|line| line.starts_with("cyrus:")).expect("a user named cyrus");
        let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().expect("a number")).collect();
        let host = Host { home, owner: (ids[0], ids[1]) };
        host.configure(engine);
        Some(host)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn configure(&self, engine: &str) {
        let home = self.home.path().display();
        for folder in ["conf", "conf/db", "conf/socket", "conf/proc", "conf/lock", "spool"] {
            fs::create_dir(self.path(folder)).expect("a folder");
            self.hand_over(&self.path(folder));
        }
        let settings = format!(
            "configdirectory: {home}/conf\npartition-default: {home}/spool\ndefaultpartition: default\n\
             servername: {HOST}\nadmins: murder\nallowplaintext: yes\nsasl_pwcheck_method: auxprop\n\
             sasl_auxprop_plugin: sasldb\nsasl_sasldb_path: {home}/sasldb2\nsasl_mech_list: PLAIN\nmboxlist_db: {engine}\n"
        );
        fs::write(self.path("imapd.conf"), settings).expect("a configuration");
        let mut password = Command::new("/usr/sbin/saslpasswd2")
            .args(["-p", "-c", "-f", self.path("sasldb2").to_str().expect("a plain path"), "-u", HOST, "murder"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("saslpasswd2");
        password.stdin.take().expect("its input").write_all(b"secret\n").expect("a password");
        assert!(password.wait().expect("its end").success());
        self.hand_over(&self.path("sasldb2"));
    }

    fn hand_over(&self, path: &Path) {
        chown(path, Some(self.owner.0), Some(self.owner.1)).expect("chown to cyrus");
    }

    /// The master's database.
    pub fn database(&self) -> PathBuf {
        self.path("conf/mailboxes.db")
    }

    /// Puts a copy of `file` in the place of its database.
    pub fn put(&self, file: &Path) {
        fs::copy(file, self.database()).expect("a copy");
        self.hand_over(&self.database());
    }

    /// `ctl_mboxlist OPTIONS` on its database, as Cyrus' own user.
    pub fn mboxlist(&self, options: &[&str], input: &[u8]) -> Output {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(Path::new(PROGRAMS).join("ctl_mboxlist"));
        command.arg("-C").arg(self.path("imapd.conf")).args(options).uid(self.owner.0).gid(self.owner.1);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ctl_mboxlist");
        let mut stdin = child.stdin.take().expect("its input");
        std::thread::scope(|scope| {
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().expect("its output")
        })
    }

    /// Writes down what a master process on `port` runs.
    fn serve_on(&self, port: u16) {
        let home = self.home.path().display();
        let services = format!(
            "START {{\n recover cmd=\"{PROGRAMS}/ctl_cyrusdb -C {home}/imapd.conf -r\"\n}}\nSERVICES {{\n mupdate \
             cmd=\"{PROGRAMS}/mupdate -C {home}/imapd.conf -m\" listen=\"127.0.0.1:{}\" prefork=1\n}}\nEVENTS {{\n}}\n",
            port
        );
        fs::write(self.path("cyrus.conf"), services).expect("a configuration");
    }

    /// Starts the master, asks it for its LIST, and stops it: the rows, sorted.
    pub fn list(&self) -> Vec<Vec<u8>> {
        self.list_after(&|_| ())
    }

    /// The same, after the backends of these names have pushed copies of these databases with `ctl_mboxlist -m`, in turn.
    pub fn list_after_pushes(&self, backends: &[(&str, &Path)], engine: &str) -> Vec<Vec<u8>> {
        self.list_after(&|port| {
            for (name, file) in backends {
                let output = self.push(name, file, engine, port);
                assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            }
        })
    }

    /// Pushes a copy of a backend's database to the master on `port`.
    fn push(&self, name: &str, file: &Path, engine: &str, port: u16) -> Output {
        let home = self.path(name);
        for folder in ["", "conf", "conf/db", "conf/proc", "conf/lock", "spool"] {
            let folder = home.join(folder);
            fs::create_dir_all(&folder).expect("a folder");
            self.hand_over(&folder);
        }
        fs::copy(file, home.join("conf/mailboxes.db")).expect("a copy");
        self.hand_over(&home.join("conf/mailboxes.db"));
        let shown = home.display();
        let settings = format!(
            "configdirectory: {shown}/conf\npartition-default: {shown}/spool\ndefaultpartition: default\n\
             servername: {name}\nadmins: murder\nallowplaintext: yes\nsasl_mech_list: PLAIN\nmboxlist_db: {engine}\n\
             mupdate_server: 127.0.0.1\nmupdate_username: murder\nmupdate_authname: murder\n\
             mupdate_password: secret\n"
        );
        fs::write(home.join("imapd.conf"), settings).expect("a configuration");
        // Cyrus takes the port from /etc/services and nowhere else: the command sees one of its own there.
        fs::write(home.join("services"), format!("mupdate {port}/tcp\n")).expect("services");
        let mounted = "mount --bind \"$1/services\" /etc/services && exec setpriv --reuid=\"$2\" --regid=\"$3\" \
                       --clear-groups \"$4/ctl_mboxlist\" -C \"$1/imapd.conf\" -m";
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", mounted, "sh"]).arg(&home).arg(self.owner.0.to_string());
        command.arg(self.owner.1.to_string()).arg(PROGRAMS).stdin(Stdio::null()).output().expect("ctl_mboxlist")
    }

    fn list_after(&self, before: &dyn Fn(u16)) -> Vec<Vec<u8>> {
        let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = (0..STARTS).find_map(|_| self.start_and_ask(before)).expect("mupdate answers");
        let mut parts = answer.split_str(b"L1 ");
        parts.next();
        let mut rows: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).filter(|row| !row.starts_with(b"OK")).collect();
        rows.sort();
        rows
    }

    /// What it answers to LIST; `None` if it did not come up.
    fn start_and_ask(&self, before: &dyn Fn(u16)) -> Option<Vec<u8>> {
        // Each start gets a port and a process file of its own: the one before may not have let go of them yet.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        self.serve_on(port);
        let mut command = Command::new(MASTER);
        command.arg("-C").arg(self.path("imapd.conf")).arg("-M").arg(self.path("cyrus.conf"));
        command.arg("-p").arg(self.path(&format!("master.{port}.pid"))).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running(command.spawn().expect("the master process"));
        let until = Instant::now() + PATIENCE;
        // A master that starts hangs up on those who come too early.
        while Instant::now() < until && matches!(running.0.try_wait(), Ok(None)) {
            if talk(port).is_ok() {
                before(port);
                let answer = talk(port).ok();
                running.stop();
                return answer;
            }
            sleep(Duration::from_millis(100));
        }
        None
    }
}

fn talk(port: u16) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    read_until(&mut socket, b"* OK MUPDATE")?;
    socket.write_all(format!("A1 AUTHENTICATE \"PLAIN\" \"{PLAIN}\"\r\n").as_bytes())?;
    read_until(&mut socket, b"A1 OK")?;
    socket.write_all(b"L1 LIST\r\n")?;
    read_until(&mut socket, b"L1 OK")
}

/// Reads up to the end of the line that holds `mark`.
fn read_until(socket: &mut TcpStream, mark: &[u8]) -> io::Result<Vec<u8>> {
    let (mut answer, mut buffer) = (Vec::new(), [0; 65536]);
    while !(answer.contains_str(mark) && answer.ends_with(b"\r\n")) {
        let count = socket.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..count]);
    }
    Ok(answer)
}

/// The master process; ends with this value.
struct Running(Child);

impl Running {
    fn stop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::QUIT);
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}
