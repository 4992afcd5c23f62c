//! `coroner murder serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::Format;
use coroner::formats::record::Era;
use coroner::murder::net::follow::Follower;
use coroner::murder::net::sasl::Sasl;
use coroner::murder::net::server::{Settings, serve};
use coroner::murder::net::{hub, tls};
use coroner::murder::node::{Config, Kind, Node, Role};
use coroner::murder::session::server::Greeting;
use coroner::murder::store::Store;
use coroner::murder::store::durable::Durable;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

use super::super::args::{Common, seconds};
use super::super::out::Out;
use super::super::{Done, Outcome};
use super::reach::Reach;

/// Be the mupdate master of a murder on any copy of its list, or follow one
///
/// The database is a mailboxes.db of any release, skiplist, twoskip or flat; one that is not there begins empty. It stays what
/// a real Cyrus can take over at any moment: every change is appended to it under Cyrus' own lock, and is on the disk before
/// anyone is told that it is done. The address that is listened on is printed on standard output when it is ready; the log
/// goes to standard error. SIGTERM and SIGINT end it after everyone was told.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  coroner murder serve --role master --db mailboxes.db --no-auth
  coroner murder serve --role frontend --db copy.db --no-auth --listen 127.0.0.1:3906 --master mup.example.com
  coroner murder serve --role backend --db be1.db --no-auth --imap 127.0.0.1:1143 --lmtp 127.0.0.1:1024 --master mup.example.com --server-name be1
  coroner murder serve --role frontend --db fe.db --no-auth --imap 127.0.0.1:2143 --master mup.example.com --peer be1=127.0.0.1:1143,127.0.0.1:1024
  coroner murder serve --role master --db mailboxes.db --listen 192.0.2.1:3905 --passwords passwords --tls-cert c.pem --tls-key k.pem")]
pub struct Args {
    /// What to be
    #[arg(long, value_enum)]
    pub(super) role: RoleName,
    /// The database
    #[arg(long, value_name = "FILE")]
    pub(super) db: PathBuf,
    /// Where to listen for MUPDATE, 127.0.0.1:3905 if nothing is said; port 0 takes a free one. A host with --imap or --lmtp
    /// listens for MUPDATE only if told to
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<SocketAddr>,
    /// Let anyone do anything; on loopback addresses only
    #[arg(long, conflicts_with = "passwords")]
    pub(super) no_auth: bool,
    /// Who may log in: lines of `coroner murder password`
    #[arg(long, value_name = "FILE")]
    pub(super) passwords: Option<PathBuf>,
    /// Take passwords from the sasldb2 of a Cyrus host instead, as they are there now; --server-name is their realm
    #[arg(long, value_name = "FILE", requires = "admins", conflicts_with_all = ["passwords", "no_auth"])]
    sasldb: Option<PathBuf>,
    /// The users of the sasldb2 who may log in: what admins or mupdate_admins says there
    #[arg(long, value_name = "USER,…", requires = "sasldb", value_delimiter = ',')]
    admins: Vec<String>,
    /// Allow passwords to come in the clear from other hosts
    #[arg(long)]
    pub(super) allow_plain: bool,
    /// Offer TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let nobody log in without TLS
    #[arg(long, requires = "tls_cert", conflicts_with = "no_auth")]
    tls_required: bool,
    /// How the murder is set up: what mupdate_config says
    #[arg(long, value_enum, default_value = "standard")]
    config: KindName,
    /// The name to be known by
    #[arg(long, value_name = "NAME")]
    pub(super) server_name: Option<String>,
    /// Serve UPDATE even from an empty list: frontends that follow it forget all mailboxes
    #[arg(long)]
    allow_empty: bool,
    /// Refuse to let a server take over a mailbox that is active on another one
    #[arg(long)]
    guard: bool,
    /// Most connections at a time
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub(super) max_connections: usize,
    /// Seconds that somebody may be silent
    #[arg(long, value_name = "SECONDS", default_value = "10800", value_parser = seconds)]
    pub(super) idle_timeout: Duration,
    /// Seconds for logging in, for TLS to begin, and for what was sent to be read
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(super) patience: Duration,
    /// Seconds until a failed login is answered
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    failed_login_pause: Duration,
    /// The master that a frontend follows; port 3905 unless one is named
    #[arg(long, value_name = "HOST:PORT", required_if_eq("role", "frontend"))]
    pub(super) master: Option<String>,
    /// Seconds until a frontend connects to its master again, or asks whether it is there
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    pub(super) retry_delay: Duration,
    /// A frontend becomes a master when its own is gone for so many seconds; SIGUSR1 makes it one at once
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    promote: Option<Duration>,
    /// A frontend keeps its list if the master's would delete more than so many percent of it
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u8).range(..=100))]
    pub(super) max_delete: u8,
    #[command(flatten)]
    pub(super) doors: super::host::Doors,
    #[command(flatten)]
    pub(super) reach: Reach,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum RoleName {
    /// Takes changes from backends, and tells frontends
    Master,
    /// Follows a master, and serves what that has to those who only read; with --imap or --lmtp it hands clients on to backends
    Frontend,
    /// Has mailboxes, and tells a master of them: for rehearsals
    Backend,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindName {
    Standard,
    Unified,
    Replicated,
}

/// How long a change may wait for others before followers are told.
const UPDATE_WAIT: Duration = Duration::from_millis(50);

fn config(args: &Args) -> Config {
    Config {
        kind: match args.config {
            KindName::Standard => Kind::Standard,
            KindName::Unified => Kind::Unified,
            KindName::Replicated => Kind::Replicated,
        },
        role: match args.role {
            RoleName::Master => Role::Master,
            RoleName::Frontend | RoleName::Backend => Role::Frontend,
        },
        allow_empty: args.allow_empty,
        guard: args.guard,
        update_wait: UPDATE_WAIT,
        as_cyrus: false,
        defect: None,
    }
}

impl Args {
    /// Where MUPDATE is listened for.
    fn mupdate(&self) -> SocketAddr {
        self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3905)))
    }

    /// Where passwords count.
    fn open_to_all(&self) -> impl Iterator<Item = SocketAddr> {
        [self.listen, self.doors.imap].into_iter().flatten()
    }
}

pub(super) fn sasl(args: &Args) -> Result<Option<Arc<Sasl>>, Failure> {
    if args.no_auth {
        if let Some(address) = args.open_to_all().find(|address| !address.ip().is_loopback()) {
            let what = format!("--no-auth on {address}, which is no loopback address");
            return Err(Failure::usage(what, "name who may log in with --passwords"));
        }
        return Ok(None);
    }
    let sasl = match (&args.passwords, &args.sasldb) {
        (Some(path), _) => Sasl::open(path, args.allow_plain)?,
        (None, Some(path)) => Sasl::of_sasldb(path, &server_name(args), &args.admins, args.allow_plain)?,
        (None, None) => {
            let what = "nobody may log in";
            return Err(Failure::usage(what, "name a file with --passwords, or let anyone in with --no-auth"));
        }
    };
    Ok(Some(Arc::new(sasl)))
}

fn log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CORONER_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A log that is set up already is the one to use.
    let _ = if json { log.json().try_init() } else { log.with_ansi(false).try_init() };
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    log(common.json);
    if args.role == RoleName::Backend || args.doors.are_open() {
        return super::host::run(args, common, out);
    }
    let started = Instant::now();
    let sasl = sasl(args)?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    let mut store = Durable::open(&args.db, Format::Twoskip, Era::V3_6, common.lock_timeout)?;
    let list = store.load()?;
    let name = server_name(args);
    let greeting = Greeting {
        mechanisms: Vec::new(),
        starttls: tls.is_some(),
        compress: true,
        server: name,
        product: "coroner".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        place: args.master.as_ref().map_or("(master)".into(), |master| format!("mupdate://{master}")),
    };
    let (promoted, is_promoted) = watch::channel(args.role == RoleName::Master);
    let settings = Arc::new(Settings {
        greeting,
        sasl,
        tls,
        tls_required: args.tls_required,
        connections_max: args.max_connections,
        idle: args.idle_timeout,
        patience: args.patience,
        pause: args.failed_login_pause,
        promoted: is_promoted,
    });
    let follower = match (&args.role, &args.master) {
        (RoleName::Frontend, Some(master)) => Some(Follower {
            target: args.reach.target(master)?.patient(args.retry_delay * 2),
            retry: args.retry_delay,
            form: list.form(),
            promote: args.promote,
        }),
        _ => None,
    };
    let is_ready = follower.is_none() || !list.is_empty();
    info!(db = %args.db.display(), format = %store.format(), era = store.era().as_str(), names = list.len(), "opened");
    let (hub, thread) = hub::start(Node::new(config(args), list), Box::new(store), Some(args.max_delete));
    super::block_on(2, async {
        let bound = TcpListener::bind(args.mupdate()).await;
        let listener = bound.map_err(|error| listening(args.mupdate(), error))?;
        let address = listener.local_addr().map_err(|error| listening(args.mupdate(), error))?;
        let (stop, stopped) = watch::channel(false);
        let (now_ready, ready) = watch::channel(is_ready);
        let serving = tokio::spawn(serve(listener, settings, hub.clone(), ready, stopped));
        info!(%address, ready_after = ?started.elapsed(), "ready");
        out.line(&format!("listening on {address}"))?;
        out.flush()?;
        let promoter = promoted.clone();
        let following =
            follower.map(|follower| tokio::spawn(follower.run(hub.clone(), now_ready.clone(), promoted.clone())));
        if following.is_some() {
            tokio::spawn(promote_when_told(promoter));
        }
        ended().await;
        info!("ending");
        hub.tell(hub::Message::Stop("shutting down"));
        let _ = stop.send(true);
        let _ = serving.await;
        Ok(())
    })?;
    let _ = thread.join();
    Ok(Outcome::Clean)
}

pub(super) fn listening(address: SocketAddr, error: std::io::Error) -> Failure {
    Failure::usage(format!("{address}: {error}"), "see what listens there already, or listen elsewhere")
}

/// Waits for the signal to become a master.
async fn promote_when_told(promoted: watch::Sender<bool>) {
    if let Ok(mut told) = signal(SignalKind::user_defined1())
        && told.recv().await.is_some()
    {
        let _ = promoted.send(true);
    }
}

/// Waits for the signal to end.
pub(super) async fn ended() {
    let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (term, int) {
        (Ok(mut term), Ok(mut int)) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

fn server_name(args: &Args) -> String {
    args.server_name.clone().unwrap_or_else(host_name)
}

pub(super) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
