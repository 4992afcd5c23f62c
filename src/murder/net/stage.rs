//! Carries a [`Host`] on real sockets: one task owns it, each connection is a task that reads and writes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, error, info, warn};

use super::client::{Connection, Target};
use super::transport::Transport;
use crate::failure::Failure;
use crate::murder::host::request::{Answer, Request};
use crate::murder::host::{ConnId, Door, Effect, Host, Keep};
use crate::murder::wire::{Form, encode};

/// How a stage treats those who come, and where it finds others.
pub struct Settings {
    /// Where other hosts listen, by name and door: `HOST:PORT`.
    pub peers: BTreeMap<(Vec<u8>, Door), String>,
    /// The master, and how to log in there.
    pub master: Option<Target>,
    /// Most connections of others at a time.
    pub connections_max: usize,
    /// How long others may be silent.
    pub idle: Duration,
    /// How long a connection may take to come about, and somebody to take what he is sent.
    pub patience: Duration,
}

/// An order of the administrator, and where its answer goes.
pub type Order = (Request, oneshot::Sender<Answer>);

/// Keeps what a host wants kept, all or none of it.
pub type Store = Box<dyn FnMut(&[Keep]) -> Result<(), Failure> + Send>;

/// What happens to a host.
enum Event {
    Accepted(ConnId, Door, Way),
    Connected(ConnId),
    Heard(ConnId, Vec<u8>),
    Lost(ConnId),
    Stored(Store, bool),
}

/// The way to a connection's task.
struct Way {
    outs: mpsc::UnboundedSender<Out>,
    /// Bytes that were not sent yet.
    waiting: Arc<AtomicUsize>,
}

/// What a connection is to do.
enum Out {
    Send(Vec<u8>),
    Close,
}

/// Pieces that may wait for the host; who sends more has to wait.
const EVENTS: usize = 256;
/// Bytes read at a time.
const PIECE: usize = 64 << 10;
/// Bytes that may wait to be sent over one connection before it is given up.
const OUT_MAX: usize = 64 << 20;

/// Lets others in until it is told to stop, and starts the host again each time that it dies.
///
/// # Errors
/// When it can't be started.
pub async fn serve(
    mut start: impl FnMut() -> Result<(Box<dyn Host>, Store), Failure>,
    listeners: Vec<(Door, TcpListener)>,
    settings: Arc<Settings>,
    mut orders: mpsc::Receiver<Order>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let listeners: Vec<_> = listeners.into_iter().map(|(door, listener)| (door, Arc::new(listener))).collect();
    loop {
        let (host, store) = start()?;
        let (events, heard) = mpsc::channel(EVENTS);
        let mut tasks = tokio::task::JoinSet::new();
        let (ids, open) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicUsize::new(0)));
        for (door, listener) in &listeners {
            let gate = Gate { door: *door, ids: ids.clone(), open: open.clone(), settings: settings.clone() };
            tasks.spawn(gate.accept(listener.clone(), events.clone()));
        }
        let stage = Stage {
            host,
            store: Some(store),
            conns: HashMap::new(),
            told: HashMap::new(),
            orders: 0,
            started: Instant::now(),
            settings: settings.clone(),
            events,
        };
        let died = stage.run(heard, &mut orders, &mut stop).await;
        tasks.shutdown().await;
        let until = Instant::now() + LAST_WORDS;
        while open.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            sleep(Duration::from_millis(5)).await;
        }
        let Some(why) = died else { return Ok(()) };
        error!(why, "died, and is started again");
    }
}

/// A door that is open.
struct Gate {
    door: Door,
    ids: Arc<AtomicU64>,
    open: Arc<AtomicUsize>,
    settings: Arc<Settings>,
}

impl Gate {
    async fn accept(self, listener: Arc<TcpListener>, events: mpsc::Sender<Event>) {
        loop {
            let (socket, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "can't accept a connection");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (door, events, settings) = (self.door, events.clone(), self.settings.clone());
            if self.open.fetch_add(1, Ordering::Relaxed) >= settings.connections_max {
                self.open.fetch_sub(1, Ordering::Relaxed);
                tokio::spawn(farewell(Transport::new(socket), door, "Server Unable", settings.patience));
                continue;
            }
            let (id, open) = (self.ids.fetch_add(1, Ordering::Relaxed), self.open.clone());
            debug!(%peer, id, door = door.as_str(), "connected");
            tokio::spawn(async move {
                let (way, outs) = way();
                let waiting = way.waiting.clone();
                if events.send(Event::Accepted(id, door, way)).await.is_ok() {
                    let transport = Transport::new(socket);
                    let line = Line { id, transport, outs, waiting, events, patience: settings.patience };
                    line.run(Some((door, settings.idle))).await;
                }
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

/// Says why there is nothing more, as the protocol has it.
async fn farewell(mut transport: Transport, door: Door, text: &str, patience: Duration) {
    let line = match door {
        Door::Mupdate => format!("* BYE \"{text}\"\r\n"),
        Door::Imap => format!("* BYE {text}\r\n"),
        Door::Lmtp => format!("421 4.3.0 {text}\r\n"),
    };
    let _ = timeout(patience, transport.write(line.as_bytes())).await;
    transport.shutdown().await;
}

/// A connection.
struct Line {
    id: ConnId,
    transport: Transport,
    outs: mpsc::UnboundedReceiver<Out>,
    waiting: Arc<AtomicUsize>,
    events: mpsc::Sender<Event>,
    patience: Duration,
}

impl Line {
    /// Carries bytes both ways until it ends. Those who came in by a door may be silent for so long.
    async fn run(mut self, guest: Option<(Door, Duration)>) {
        let mut buffer = Vec::with_capacity(PIECE);
        let mut silent = Instant::now();
        loop {
            let limit = silent + guest.map_or(FOREVER, |(_, idle)| idle.min(FOREVER));
            tokio::select! {
                biased;
                out = self.outs.recv() => match out {
                    Some(Out::Send(bytes)) => {
                        if self.write(&bytes).await.is_none() {
                            break;
                        }
                        self.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                        silent = Instant::now();
                    }
                    Some(Out::Close) | None => {
                        self.transport.shutdown().await;
                        return;
                    }
                },
                read = self.transport.read(&mut buffer) => match read {
                    Ok(len) if len > 0 => {
                        silent = Instant::now();
                        let bytes = std::mem::take(&mut buffer);
                        if self.events.send(Event::Heard(self.id, bytes)).await.is_err() {
                            return;
                        }
                    }
                    _ => break,
                },
                () = sleep_until(limit) => {
                    let Some((door, _)) = guest else { continue };
                    let _ = self.events.send(Event::Lost(self.id)).await;
                    return farewell(self.transport, door, "idle for too long", self.patience).await;
                }
            }
        }
        let _ = self.events.send(Event::Lost(self.id)).await;
    }

    /// Somebody who reads slowly has the time for each piece, not for the whole.
    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        for piece in bytes.chunks(PIECE) {
            timeout(self.patience, self.transport.write(piece)).await.ok()?.ok()?;
        }
        Some(())
    }
}

/// No clock counts further.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long those who are told something last have to take it.
const LAST_WORDS: Duration = Duration::from_secs(2);

fn way() -> (Way, mpsc::UnboundedReceiver<Out>) {
    let (outs, receiver) = mpsc::unbounded_channel();
    (Way { outs, waiting: Arc::default() }, receiver)
}

/// The host, and what it knows nothing of.
struct Stage {
    host: Box<dyn Host>,
    /// Not there while something is stored.
    store: Option<Store>,
    conns: HashMap<ConnId, Way>,
    told: HashMap<u64, oneshot::Sender<Answer>>,
    orders: u64,
    started: Instant,
    settings: Arc<Settings>,
    events: mpsc::Sender<Event>,
}

impl Stage {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Carries the host until it dies, of what is given back, or is told to stop.
    async fn run(
        mut self,
        mut heard: mpsc::Receiver<Event>,
        orders: &mut mpsc::Receiver<Order>,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<String> {
        let died = loop {
            if let Some(why) = self.carry_out() {
                break Some(why);
            }
            let due = self.host.next_tick().map_or(FOREVER, |due| due.min(FOREVER));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break None,
                Some(event) = heard.recv() => self.take(event),
                Some((request, answer)) = orders.recv() => {
                    self.orders = self.orders.wrapping_add(1);
                    self.told.insert(self.orders, answer);
                    let now = self.now();
                    self.host.order(self.orders, request, now);
                }
                () = sleep_until(self.started + due) => {}
            }
            if self.host.next_tick().is_some_and(|due| due <= self.now()) {
                let now = self.now();
                self.host.tick(now);
            }
        };
        // What is being stored is on the disk, or not, before anybody opens it again.
        while self.store.is_none() {
            match heard.recv().await {
                Some(Event::Stored(store, _)) => self.store = Some(store),
                Some(_) => {}
                None => break,
            }
        }
        died
    }

    fn take(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Accepted(conn, door, way) => {
                self.conns.insert(conn, way);
                self.host.accept(conn, door, now);
            }
            // A connection that was closed is not heard of any more.
            Event::Connected(conn) if self.conns.contains_key(&conn) => self.host.connected(conn, now),
            Event::Heard(conn, bytes) if self.conns.contains_key(&conn) => self.host.hear(conn, &bytes, now),
            Event::Lost(conn) if self.conns.remove(&conn).is_some() => self.host.lost(conn, now),
            Event::Connected(_) | Event::Heard(..) | Event::Lost(_) => {}
            Event::Stored(store, done) => {
                self.store = Some(store);
                self.host.stored(done, now);
            }
        }
    }

    /// Does all that the host wants done; gives what it dies of.
    fn carry_out(&mut self) -> Option<String> {
        while let Some(effect) = self.host.next_effect() {
            match effect {
                Effect::Connect { conn, to, door } => self.connect(conn, to, door),
                Effect::Send { conn, bytes } => self.send(conn, bytes),
                Effect::Close { conn } => {
                    if let Some(way) = self.conns.remove(&conn) {
                        let _ = way.outs.send(Out::Close);
                    }
                }
                Effect::Store(keeps) => self.keep(keeps),
                Effect::Told(number, answer) => {
                    if let Some(told) = self.told.remove(&number) {
                        let _ = told.send(answer);
                    }
                }
                Effect::Log(line) => info!("{line}"),
                Effect::Die(why) => return Some(why),
            }
        }
        None
    }

    fn send(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let Some(way) = self.conns.get(&conn) else { return };
        let waiting = way.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        if waiting.saturating_add(bytes.len()) <= OUT_MAX {
            let _ = way.outs.send(Out::Send(bytes));
            return;
        }
        warn!(conn, "takes nothing of what it is sent, and is given up");
        self.conns.remove(&conn);
        let now = self.now();
        self.host.lost(conn, now);
    }

    /// Keeps something, while the host goes on.
    fn keep(&mut self, keeps: Vec<Keep>) {
        let Some(mut store) = self.store.take() else {
            // There is one at a time.
            let now = self.now();
            return self.host.stored(false, now);
        };
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let kept = store(&keeps);
            if let Err(failure) = &kept {
                error!(%failure, "could not be kept");
            }
            let _ = events.blocking_send(Event::Stored(store, kept.is_ok()));
        });
    }

    fn connect(&mut self, conn: ConnId, to: Vec<u8>, door: Door) {
        let (way, outs) = way();
        let waiting = way.waiting.clone();
        self.conns.insert(conn, way);
        let (settings, events) = (self.settings.clone(), self.events.clone());
        tokio::spawn(async move {
            let (transport, rest) = match dial(&settings, &to, door).await {
                Ok(open) => open,
                Err(why) => {
                    warn!(to = %String::from_utf8_lossy(&to), door = door.as_str(), why, "no connection");
                    let _ = events.send(Event::Lost(conn)).await;
                    return;
                }
            };
            if events.send(Event::Connected(conn)).await.is_err() {
                return;
            }
            if !rest.is_empty() && events.send(Event::Heard(conn, rest)).await.is_err() {
                return;
            }
            let line = Line { id: conn, transport, outs, waiting, events, patience: settings.patience };
            line.run(None).await;
        });
    }
}

/// A connection to another host, and what it said already.
async fn dial(settings: &Settings, to: &[u8], door: Door) -> Result<(Transport, Vec<u8>), String> {
    if door == Door::Mupdate {
        let Some(master) = &settings.master else { return Err("no master was named".into()) };
        let connection = Connection::open(master).await.map_err(|failure| failure.to_string())?;
        let (transport, rest) = connection.into_parts();
        // The host is shown the end of a greeting, as if there had been no login.
        let mut said = b"* OK MUPDATE".to_vec();
        for text in [to, b"", b"", b"(master)"] {
            said.push(b' ');
            encode::item(&mut said, text, Form::Quoted);
        }
        said.extend_from_slice(b"\r\n");
        said.extend(rest);
        return Ok((transport, said));
    }
    let named = settings.peers.get(&(to.to_vec(), door)).cloned();
    let port = if door == Door::Imap { 143 } else { 24 };
    let address = named.unwrap_or_else(|| format!("{}:{port}", String::from_utf8_lossy(to)));
    match timeout(settings.patience, TcpStream::connect(&address)).await {
        Ok(Ok(socket)) => Ok((Transport::new(socket), Vec::new())),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address}: no connection in time")),
    }
}
