//! `coroner murder serve --role backend`, and `--role frontend` with doors for clients.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use coroner::failure::Failure;
use coroner::formats::container::{self, Format};
use coroner::formats::record::Era;
use coroner::murder::door::Namespace;
use coroner::murder::host::backend::{self, Backend, DeleteMode};
use coroner::murder::host::frontend::{self, Frontend};
use coroner::murder::host::porch::Users;
use coroner::murder::host::request::{Data, Manner, Request};
use coroner::murder::host::{Door, Host, Keep};
use coroner::murder::net::keep::Keeper;
use coroner::murder::net::sasl::{Next, Sasl};
use coroner::murder::net::stage::{self, Settings, Store};
use coroner::murder::store::durable;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, warn};

use super::super::args::Common;
use super::super::out::Out;
use super::super::{Done, Outcome};
use super::serve::{Args, RoleName, ended, host_name, listening, sasl};

/// Where clients come in, and what they find.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Backends, and frontends with doors for clients")]
pub struct Doors {
    /// Where to listen for IMAP; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub imap: Option<SocketAddr>,
    /// Where to listen for LMTP, on a loopback address: anyone may deliver
    #[arg(long, value_name = "ADDRESS:PORT")]
    lmtp: Option<SocketAddr>,
    /// Where a backend listens, HOST:PORT; a frontend looks for others under their names, on the usual ports
    #[arg(long, value_name = "NAME=IMAP[,LMTP]", value_parser = peer)]
    peer: Vec<Peer>,
    /// Keep messages in this folder; otherwise they are counted and forgotten
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Whose behaviour to show where the manual and a real server part
    #[arg(long, value_enum, default_value = "manual")]
    manner: MannerName,
    /// What becomes of a mailbox that is deleted
    #[arg(long, value_enum, default_value = "delayed")]
    delete_mode: DeleteModeName,
    /// The partition where mailboxes go
    #[arg(long, value_name = "NAME", default_value = "default")]
    partition: String,
    /// A user who may do everything, and act for others; can be repeated
    #[arg(long, value_name = "USER", default_values_t = ["cyrus".to_owned(), "mailproxy".to_owned()])]
    admin: Vec<String>,
    /// As whom a frontend logs in at backends
    #[arg(long, value_name = "USER", default_value = "mailproxy")]
    proxy_user: String,
    /// The file whose first line is that user's password
    #[arg(long, value_name = "FILE")]
    proxy_password_file: Option<PathBuf>,
}

impl Doors {
    /// Whether there is any.
    pub fn are_open(&self) -> bool {
        self.imap.is_some() || self.lmtp.is_some()
    }
}

#[derive(Clone, Debug)]
struct Peer {
    name: String,
    imap: String,
    lmtp: Option<String>,
}

fn peer(text: &str) -> Result<Peer, String> {
    let wrong = "write NAME=HOST:PORT or NAME=HOST:PORT,HOST:PORT";
    let (name, addresses) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(wrong)?;
    let (imap, lmtp) = match addresses.split_once(',') {
        Some((imap, lmtp)) => (imap, Some(lmtp.to_owned())),
        None => (addresses, None),
    };
    let is_address = |text: &str| text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !is_address(imap) || !lmtp.as_deref().is_none_or(is_address) {
        return Err(wrong.into());
    }
    Ok(Peer { name: name.to_owned(), imap: imap.to_owned(), lmtp })
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MannerName {
    /// What the manual's page of failures says
    Manual,
    /// What Cyrus 3.6.1 was seen to do
    #[value(name = "cyrus-3.6")]
    Cyrus36,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DeleteModeName {
    /// It is gone at once
    Immediate,
    /// It is renamed to one below DELETED
    Delayed,
}

/// How long a frontend may let a change wait before it tells others.
const UPDATE_WAIT: Duration = Duration::from_millis(50);

/// Who may come in: those of the password file, or anyone.
fn users(args: &Args) -> Result<Users, Failure> {
    let admins = args.doors.admin.iter().map(|name| name.clone().into_bytes()).collect();
    let Some(sasl) = sasl(args)? else { return Ok(Users { check: None, admins }) };
    if let Some(address) = args.doors.imap.filter(|address| !address.ip().is_loopback() && !args.allow_plain) {
        let what = format!("passwords would come to {address} in the clear");
        return Err(Failure::usage(what, "listen on a loopback address, or say --allow-plain"));
    }
    let check = move |user: &[u8], password: &[u8]| is_password(&sasl, user, password);
    Ok(Users { check: Some(Arc::new(check)), admins })
}

fn is_password(sasl: &Sasl, user: &[u8], password: &[u8]) -> bool {
    let Some(mut exchange) = sasl.begin(b"PLAIN", true, &[]) else { return false };
    let secret = [b"", user, password].join(&0);
    matches!(exchange.step(Some(&secret)), Next::Done(name) if name.as_bytes() == user)
}

fn password(args: &Args) -> Result<Vec<u8>, Failure> {
    let Some(path) = &args.doors.proxy_password_file else { return Ok(b"secret".to_vec()) };
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::file(path, error, "name a file with the password"))?;
    Ok(text.lines().next().unwrap_or_default().as_bytes().to_vec())
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let mut peers = BTreeMap::new();
    for peer in &args.doors.peer {
        peers.insert((peer.name.clone().into_bytes(), Door::Imap), peer.imap.clone());
        if let Some(lmtp) = &peer.lmtp {
            peers.insert((peer.name.clone().into_bytes(), Door::Lmtp), lmtp.clone());
        }
    }
    let master = args.master.as_ref().map(|master| args.reach.target(master)).transpose()?;
    Ok(Settings {
        peers,
        master,
        connections_max: args.max_connections,
        idle: args.idle_timeout,
        patience: args.patience,
    })
}

/// Makes the host that was asked for from what its database holds now.
fn host(args: &Args, common: &Common, users: &Users, proxy: &[u8]) -> Result<(Box<dyn Host>, Store), Failure> {
    let doors = &args.doors;
    let mut keeper = Keeper::open(&args.db, Format::Twoskip, common.lock_timeout, doors.spool.as_deref())?;
    let (era, list, records) = keeper.read(|bytes, format, order| {
        let (era, list) = durable::read(bytes, format, order, Era::V3_6);
        let mut records = Vec::new();
        if !bytes.is_empty() {
            container::open(bytes, format).view(order, 1).walk(0, &mut |record| {
                records.push((record.key.into_owned(), record.value.into_owned()));
                true
            });
        }
        Ok((era, list, records))
    })?;
    let name = args.server_name.clone().unwrap_or_else(host_name).into_bytes();
    let master = args.master.clone().map(String::into_bytes);
    let manner = match doors.manner {
        MannerName::Manual => Manner::Manual,
        MannerName::Cyrus36 => Manner::Cyrus36,
    };
    let (namespace, users) = (Namespace::default(), users.clone());
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let host: Box<dyn Host> = if args.role == RoleName::Backend {
        let delete_mode = match doors.delete_mode {
            DeleteModeName::Immediate => DeleteMode::Immediate,
            DeleteModeName::Delayed => DeleteMode::Delayed,
        };
        let partition = doors.partition.clone().into_bytes();
        let config = backend::Config {
            name,
            master,
            era,
            partition,
            manner,
            delete_mode,
            users,
            namespace,
            epoch,
            defect: None,
        };
        Box::new(Backend::new(config, &records, &keeper.spool()))
    } else {
        let config = frontend::Config {
            name,
            master: master.unwrap_or_default(),
            era,
            manner,
            retry: args.retry_delay,
            max_delete: args.max_delete,
            update_wait: UPDATE_WAIT,
            users,
            proxy: (doors.proxy_user.clone().into_bytes(), proxy.to_vec()),
            namespace,
            epoch,
            defect: None,
        };
        Box::new(Frontend::new(config, list))
    };
    Ok((host, Box::new(move |keeps: &[Keep]| keeper.keep(keeps))))
}

pub fn run(args: &Args, common: &Common, out: &mut Out) -> Done {
    let doors = &args.doors;
    if args.role == RoleName::Master {
        let what = "a master has no doors for IMAP and LMTP";
        return Err(Failure::usage(what, "leave --imap and --lmtp out, or be a backend or a frontend"));
    }
    if args.role == RoleName::Backend && (!doors.are_open() || args.listen.is_some()) {
        let what = "a backend listens for IMAP and LMTP, and for nothing else";
        return Err(Failure::usage(what, "say where with --imap and --lmtp, and leave --listen out"));
    }
    if let Some(address) = doors.lmtp.filter(|address| !address.ip().is_loopback()) {
        let what = format!("--lmtp on {address}, which is no loopback address: anyone may deliver there");
        return Err(Failure::usage(what, "listen for LMTP on a loopback address"));
    }
    let (users, proxy, settings) = (users(args)?, password(args)?, Arc::new(settings(args)?));
    super::block_on(2, async {
        let mut listeners = Vec::new();
        for (door, address) in [(Door::Imap, doors.imap), (Door::Lmtp, doors.lmtp), (Door::Mupdate, args.listen)] {
            let Some(address) = address else { continue };
            let listener = TcpListener::bind(address).await.map_err(|error| listening(address, error))?;
            let address = listener.local_addr().map_err(|error| listening(address, error))?;
            out.line(&format!("{} listening on {address}", door.as_str()))?;
            listeners.push((door, listener));
        }
        out.flush()?;
        let (stop, stopped) = watch::channel(false);
        let (orders, ordered) = mpsc::channel(16);
        tokio::spawn(async move {
            ended().await;
            info!("ending");
            let _ = stop.send(true);
        });
        if args.role == RoleName::Backend {
            tokio::spawn(sync_when_told(orders));
        }
        let start = || host(args, common, &users, &proxy);
        stage::serve(start, listeners, settings, ordered, stopped).await
    })?;
    Ok(Outcome::Clean)
}

/// What `ctl_mboxlist -m` does, each time that a SIGUSR1 comes.
async fn sync_when_told(orders: mpsc::Sender<stage::Order>) {
    let Ok(mut told) = signal(SignalKind::user_defined1()) else { return };
    while told.recv().await.is_some() {
        let (answer, answered) = oneshot::channel();
        if orders.send((Request::Sync { dry_run: false, authoritative: false }, answer)).await.is_err() {
            return;
        }
        let Ok(answer) = answered.await else { continue };
        if let Data::Lines(lines) = &answer.data {
            lines.iter().for_each(|line| info!("{line}"));
        }
        match answer.is_done() {
            true => info!("synchronised with the master"),
            false => warn!("not synchronised with the master: {}", answer.text),
        }
    }
}
