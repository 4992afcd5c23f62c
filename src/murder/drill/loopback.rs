//! A theatre on sockets of this machine: the same hosts as in memory, in real time.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::memory::{DOMAIN, NAMESPACE, setups};
use super::scenario::{Life, Murder};
use super::theatre::{Cant, House, Theatre};
use crate::failure::Failure;
use crate::formats::container::Format;
use crate::murder::door::{self, Caller};
use crate::murder::host::disk::Disk;
use crate::murder::host::link::{Link, Told, Wish};
use crate::murder::host::request::{Answer, Data, Manner, Request};
use crate::murder::host::{Door, Host, Keep};
use crate::murder::net::client::Target;
use crate::murder::net::stage::{Order, Settings, Store, serve};
use crate::murder::wire::command::Verb;
use crate::murder::world::Fault;
use crate::murder::world::setup::Setup;

/// Opens theatres on loopback.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loopback;

impl House for Loopback {
    fn open(&mut self, murder: &Murder, manner: Manner) -> Result<Box<dyn Theatre + '_>, Cant> {
        Ok(Box::new(Stage::new(murder, manner)?))
    }
}

/// Seconds that frontends wait before they look for their master, unless the scenario says it.
const RETRY: u64 = 2;
/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The doors that a host may have.
const DOORS: [Door; 3] = [Door::Mupdate, Door::Imap, Door::Lmtp];

/// A host.
struct Station {
    setup: Setup,
    disk: Arc<Mutex<Disk>>,
    /// Where it listens, whenever it runs.
    addresses: BTreeMap<Door, SocketAddr>,
    running: Option<Running>,
}

/// A host that runs.
struct Running {
    task: JoinHandle<Result<(), Failure>>,
    stop: watch::Sender<bool>,
    orders: mpsc::Sender<Order>,
}

struct Stage {
    runtime: Runtime,
    stations: BTreeMap<String, Station>,
    retry: Duration,
    begun: Instant,
    clients: BTreeMap<(String, String, Door), Client>,
}

fn failed(error: impl std::fmt::Display) -> Cant {
    Cant::Failed(error.to_string())
}

impl Stage {
    fn new(murder: &Murder, manner: Manner) -> Result<Stage, Cant> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(2).enable_all().build().map_err(failed)?;
        let retry = murder.retry_delay.unwrap_or(RETRY).max(RETRY);
        let murder = Murder { retry_delay: Some(retry), ..murder.clone() };
        let mut stations = BTreeMap::new();
        for setup in setups(&murder, manner)? {
            let mut addresses = BTreeMap::new();
            for door in DOORS.into_iter().filter(|&door| setup.listens(door)) {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(failed)?;
                addresses.insert(door, listener.local_addr().map_err(failed)?);
            }
            let name = setup.name().trim_end_matches(DOMAIN).to_owned();
            let disk = Arc::new(Mutex::new(Disk::empty(Format::Twoskip)));
            stations.insert(name, Station { setup, disk, addresses, running: None });
        }
        let retry = Duration::from_secs(retry);
        Ok(Stage { runtime, stations, retry, begun: Instant::now(), clients: BTreeMap::new() })
    }

    fn station(&self, host: &str) -> Result<&Station, Cant> {
        self.stations.get(host).ok_or_else(|| Cant::Failed(format!("there is no host {host:?}")))
    }

    fn address(&self, host: &str, door: Door) -> Result<SocketAddr, Cant> {
        let address = self.station(host)?.addresses.get(&door).copied();
        address.ok_or_else(|| Cant::Failed(format!("{host} has no door for {}", door.as_str())))
    }

    fn settings(&self) -> Settings {
        let mut peers = BTreeMap::new();
        for (name, station) in &self.stations {
            for (&door, address) in &station.addresses {
                peers.insert((format!("{name}{DOMAIN}").into_bytes(), door), address.to_string());
            }
        }
        let master = self.stations.iter().find(|(_, station)| matches!(station.setup, Setup::Master(_)));
        let master = master.and_then(|(_, station)| station.addresses.get(&Door::Mupdate));
        Settings {
            peers,
            master: master.map(|address| Target {
                address: address.to_string(),
                login: None,
                tls: None,
                compress: false,
                patience: PATIENCE,
            }),
            connections_max: 1000,
            idle: Duration::from_secs(3600),
            patience: Duration::from_secs(10),
        }
    }

    fn start(&mut self, host: &str) -> Result<(), Cant> {
        let settings = Arc::new(self.settings());
        let station = self.station(host)?;
        if station.running.is_some() {
            return Ok(());
        }
        let (setup, disk) = (station.setup.clone(), station.disk.clone());
        let addresses = station.addresses.clone();
        let (stop, stopped) = watch::channel(false);
        let (orders, ordered) = mpsc::channel(16);
        let listeners = self.runtime.block_on(async {
            let mut listeners = Vec::new();
            for (door, address) in addresses {
                listeners.push((door, TcpListener::bind(address).await?));
            }
            Ok::<_, io::Error>(listeners)
        });
        let listeners = listeners.map_err(failed)?;
        let begin = move || {
            let mut locked = disk.lock().unwrap_or_else(PoisonError::into_inner);
            locked.mend().map_err(|refused| Failure::usage(format!("{refused:?}"), "see the scenario"))?;
            let running: Box<dyn Host> = Box::new(setup.start(&locked));
            let disk = disk.clone();
            let store: Store = Box::new(move |keeps: &[Keep]| {
                let stored = disk.lock().unwrap_or_else(PoisonError::into_inner).store(keeps, usize::MAX);
                stored.map(drop).map_err(|refused| Failure::usage(format!("{refused:?}"), "see the scenario"))
            });
            Ok((running, store))
        };
        let task = self.runtime.spawn(serve(begin, listeners, settings, ordered, stopped));
        let station = self.stations.get_mut(host);
        if let Some(station) = station {
            station.running = Some(Running { task, stop, orders });
        }
        Ok(())
    }

    fn end(&mut self, host: &str, at_once: bool) -> Result<(), Cant> {
        self.station(host)?;
        let Some(running) = self.stations.get_mut(host).and_then(|station| station.running.take()) else {
            return Ok(());
        };
        if at_once {
            running.task.abort();
        } else {
            let _ = running.stop.send(true);
        }
        // One that is ended at once is told so.
        let _ = self.runtime.block_on(running.task);
        self.clients.retain(|(_, to, _), _| to != host);
        Ok(())
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
        match life {
            Life::Start => self.start(host)?,
            Life::Stop => self.end(host, false)?,
            Life::Kill => self.end(host, true)?,
            Life::Hang | Life::Resume => return Err(Cant::Unsupported),
        }
        self.wait(Duration::from_millis(100));
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn settle(&mut self) {
        // Frontends wait up to one and a half times as long, and changes are told after a second.
        self.wait(self.retry.saturating_mul(3) / 2 + Duration::from_secs(2));
    }

    fn ask(&mut self, user: &str, host: &str, request: &Request) -> Result<Option<Answer>, Cant> {
        let door = if matches!(request, Request::Deliver { .. }) { Door::Lmtp } else { Door::Imap };
        let address = self.address(host, door)?;
        let key = (user.to_owned(), host.to_owned(), door);
        let client = match self.clients.remove(&key).filter(|client| !client.caller.is_lost()) {
            Some(client) => Some(client),
            None => Client::open(address, door, user),
        };
        let Some(mut client) = client else { return Ok(Some(Answer::later("the connection is gone"))) };
        let answer = client.ask(request);
        if answer.is_some() {
            self.clients.insert(key, client);
        }
        Ok(answer)
    }

    fn tell(&mut self, host: &str, verb: &Verb) -> Result<Option<Answer>, Cant> {
        Ok(tell(self.address(host, Door::Mupdate)?, verb))
    }

    fn sync(&mut self, host: &str, dry_run: bool, authoritative: bool) -> Result<Option<Answer>, Cant> {
        let Some(running) = &self.station(host)?.running else { return Ok(Some(Answer::no("the host is down"))) };
        let (answer, told) = oneshot::channel();
        let order = (Request::Sync { dry_run, authoritative }, answer);
        Ok(self.runtime.block_on(async {
            running.orders.send(order).await.ok()?;
            tokio::time::timeout(PATIENCE, told).await.ok()?.ok()
        }))
    }

    fn database(&mut self, host: &str) -> Result<Vec<u8>, Cant> {
        let disk = self.station(host)?.disk.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(disk.bytes().to_vec())
    }

    fn put_database(&mut self, host: &str, bytes: Option<&[u8]>) -> Result<(), Cant> {
        let station = self.station(host)?;
        if station.running.is_some() {
            return Err(Cant::Failed(format!("{host} is not down")));
        }
        let other = match bytes {
            None => Disk::empty(Format::Twoskip),
            Some(bytes) => Disk::of(bytes.to_vec()).ok_or_else(|| failed("it is no database of a murder's host"))?,
        };
        let mut disk = station.disk.lock().unwrap_or_else(PoisonError::into_inner);
        *disk = disk.with_database_of(&other);
        Ok(())
    }

    fn disturb(&mut self, _: &str, _: &str, _: Option<Fault>) -> Result<(), Cant> {
        Err(Cant::Unsupported)
    }

    fn fill(&mut self, _: &str, _: bool) -> Result<(), Cant> {
        Err(Cant::Unsupported)
    }

    fn fuse(&mut self, _: &str, _: u64) -> Result<(), Cant> {
        Err(Cant::Unsupported)
    }

    fn told(&mut self, _: Duration) -> Vec<String> {
        Vec::new()
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let names: Vec<String> = self.stations.keys().cloned().collect();
        for name in names {
            // There is such a host.
            let _ = self.end(&name, true);
        }
    }
}

/// Somebody's mail program, on a socket.
struct Client {
    socket: TcpStream,
    caller: Box<dyn Caller>,
    /// Answers to what nobody asked for.
    extra: usize,
}

impl Client {
    /// `None` if nobody is there.
    fn open(address: SocketAddr, door: Door, user: &str) -> Option<Client> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut caller = door::caller(door, NAMESPACE, user.as_bytes());
        let mut extra = 0;
        if door == Door::Imap {
            let (user, password) = (user.as_bytes().to_vec(), b"secret".to_vec());
            caller.ask(Request::Login { user, password, acting_for: None });
            extra = 1;
        }
        Some(Client { socket, caller, extra })
    }

    /// The answer, if one comes.
    fn ask(&mut self, request: &Request) -> Option<Answer> {
        if let Request::Deliver { name, .. } = request {
            self.caller.ask(Request::Recipient { name: name.clone() });
            self.extra += 1;
        }
        self.caller.ask(request.clone());
        let mut buffer = [0; 1 << 16];
        loop {
            while let Some(answer) = self.caller.next_answer() {
                if self.extra == 0 {
                    return Some(answer);
                }
                self.extra -= 1;
            }
            self.socket.write_all(&self.caller.take_output()).ok()?;
            let read = self.socket.read(&mut buffer).ok().filter(|&read| read > 0)?;
            self.caller.hear(buffer.get(..read)?);
            if self.caller.is_lost() {
                return None;
            }
        }
    }
}

/// Tells a master something, over a connection of its own.
fn tell(address: SocketAddr, verb: &Verb) -> Option<Answer> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut link = Link::default();
    link.ask(verb.clone(), Duration::ZERO);
    link.connected();
    let mut buffer = [0; 1 << 16];
    loop {
        while let Some(wish) = link.next_wish() {
            if let Wish::Send(bytes) = wish {
                socket.write_all(&bytes).ok()?;
            }
        }
        let read = socket.read(&mut buffer).ok().filter(|&read| read > 0)?;
        for told in link.hear(buffer.get(..read)?, Duration::ZERO) {
            match told {
                Told::Done(_, rows) => {
                    let line = |row: &crate::murder::host::link::Mailbox| row.to_string();
                    return Some(Answer::with(Data::Lines(rows.iter().map(line).collect())));
                }
                Told::Refused(_, text) => return Some(Answer::no(text)),
                Told::Lost => return None,
                Told::Changed(_) | Told::Deleted(_) => {}
            }
        }
    }
}
