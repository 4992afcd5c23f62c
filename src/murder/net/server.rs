//! Listens, and talks to those who come.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::hub::{Hub, Message};
use super::sasl::{Exchange, Next, Sasl};
use super::transport::Transport;
use crate::murder::node::{ConnId, Output};
use crate::murder::session::server::{Greeting, Session, Step};
use crate::murder::wire::encode;

/// How a server treats those who come.
pub struct Settings {
    /// What it says of itself; mechanisms and TLS are put in for each connection.
    pub greeting: Greeting,
    /// Who may log in; `None` lets anyone in.
    pub sasl: Option<Arc<Sasl>>,
    /// TLS for those who ask for it.
    pub tls: Option<TlsAcceptor>,
    /// Whether nobody may log in without it.
    pub tls_required: bool,
    /// Most connections at a time.
    pub connections_max: usize,
    /// How long somebody who follows nothing may be silent.
    pub idle: Duration,
    /// How long login and the TLS handshake may take, and how long somebody may leave what he is sent unread.
    pub patience: Duration,
    /// How long a failed login waits for its answer.
    pub pause: Duration,
    /// Whether it is a master by now, whatever the greeting says.
    pub promoted: watch::Receiver<bool>,
}

/// Questions on their way for one connection; no more is read before some are answered.
const CREDIT: usize = 4096;
/// Questions that are given to the hub together.
const BATCH: usize = 1024;

/// Accepts connections until `stop` says to end; then waits a moment for those there are.
pub async fn serve(
    listener: TcpListener,
    settings: Arc<Settings>,
    hub: Hub,
    ready: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let (ids, open) = (AtomicU64::new(1), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, mostly: they become fewer.
                warn!(%error, "can't accept a connection");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let refusal = if open.load(Ordering::Relaxed) >= settings.connections_max {
            Some("Server Unable")
        } else if !*ready.borrow() {
            Some("no longer ready for connections")
        } else {
            None
        };
        if let Some(text) = refusal {
            debug!(%peer, text, "refused");
            tasks.spawn(refuse(socket, text, settings.patience));
            continue;
        }
        let id = ids.fetch_add(1, Ordering::Relaxed);
        let guard = Open::new(&open);
        let (settings, hub, stop) = (settings.clone(), hub.clone(), stop.clone());
        tasks.spawn(async move {
            let _guard = guard;
            let connection = Connection::new(id, peer, socket, &settings, hub.clone());
            let ended = connection.run(stop).await;
            hub.tell(Message::Disconnect(id));
            debug!(%peer, id, ?ended, "gone");
        });
    }
    drop(listener);
    let _ = timeout(Duration::from_secs(5), async { while tasks.join_next().await.is_some() {} }).await;
}

async fn refuse(socket: TcpStream, text: &'static str, patience: Duration) {
    let mut out = Vec::new();
    encode::answer(&mut out, b"*", "BYE", text);
    let mut transport = Transport::new(socket);
    let _ = timeout(patience, transport.write(&out)).await;
    transport.shutdown().await;
}

struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Open(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection ended.
#[derive(Debug)]
#[allow(dead_code, reason = "printed in the log")]
enum Ended {
    ByServer,
    ByClient,
    Idle,
    Stuck,
    Failed(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Ended::Failed(error)
    }
}

struct Connection<'s> {
    id: ConnId,
    peer: SocketAddr,
    transport: Transport,
    session: Session,
    settings: &'s Settings,
    hub: Hub,
    outputs: Option<mpsc::UnboundedReceiver<Output>>,
    outstanding: usize,
    exchange: Option<(Vec<u8>, Exchange)>,
    compress: Option<Vec<u8>>,
    failures: u32,
}

impl<'s> Connection<'s> {
    fn new(id: ConnId, peer: SocketAddr, socket: TcpStream, settings: &'s Settings, hub: Hub) -> Self {
        let mut connection = Connection {
            id,
            peer,
            transport: Transport::new(socket),
            session: Session::new(&settings.greeting),
            settings,
            hub,
            outputs: None,
            outstanding: 0,
            exchange: None,
            compress: None,
            failures: 0,
        };
        connection.session = Session::new(&connection.greeting());
        if settings.sasl.is_none() {
            connection.let_in("anyone");
            connection.session.open_to_anyone();
        }
        connection
    }

    fn greeting(&self) -> Greeting {
        let tls = self.transport.is_tls();
        let protected = tls || self.transport.is_local();
        let mechanisms = match &self.settings.sasl {
            _ if self.settings.tls_required && !tls => Vec::new(),
            Some(sasl) => sasl.mechanisms(protected, !self.transport.peer_certificates().is_empty()),
            None => vec!["PLAIN".to_owned()],
        };
        let mut greeting = self.settings.greeting.clone();
        if *self.settings.promoted.borrow() {
            greeting.place = "(master)".to_owned();
        }
        Greeting { mechanisms, starttls: self.settings.tls.is_some() && !tls, ..greeting }
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), Ended> {
        debug!(peer = %self.peer, id = self.id, "connected");
        let banner = self.greeting().banner();
        self.write(&banner).await?;
        let login = tokio::time::Instant::now() + self.settings.patience;
        let mut buffer = Vec::new();
        loop {
            if let Some(ended) = self.advance().await? {
                return ended;
            }
            let limit = match self.session.is_authenticated() {
                true => tokio::time::Instant::now() + self.settings.idle,
                false => login,
            };
            let reads = self.outstanding < CREDIT && self.compress.is_none();
            tokio::select! {
                biased;
                output = next(&mut self.outputs) => {
                    let Some(output) = output else { return Err(Ended::ByServer) };
                    self.outstanding = self.outstanding.saturating_sub(output.answered);
                    self.write(&output.bytes).await?;
                    if output.close {
                        self.transport.shutdown().await;
                        return Err(Ended::ByServer);
                    }
                    self.hub.tell(Message::GoOn(self.id));
                }
                read = read(&mut self.transport, &mut buffer), if reads => {
                    if read? == 0 {
                        return Err(Ended::ByClient);
                    }
                    self.session.feed(&buffer);
                    buffer = Vec::new();
                }
                () = tokio::time::sleep_until(limit) => {
                    let mut out = Vec::new();
                    encode::answer(&mut out, b"*", "BYE", "idle for too long");
                    self.write(&out).await?;
                    self.transport.shutdown().await;
                    return Err(Ended::Idle);
                }
                _ = stop.changed(), if self.outputs.is_none() => return Err(Ended::ByServer),
            }
        }
    }

    /// Does all that can be done with what has arrived.
    async fn advance(&mut self) -> Result<Option<Result<(), Ended>>, Ended> {
        let mut asks = Vec::new();
        loop {
            if self.outstanding == 0
                && let Some(answer) = self.compress.take()
            {
                self.write(&answer).await?;
                let rest = self.session.compressed();
                self.transport.compress(rest);
                debug!(peer = %self.peer, id = self.id, "compressed from now on");
            }
            if self.outstanding >= CREDIT {
                break;
            }
            let Some(step) = self.session.next_step() else { break };
            match step {
                Step::Ask(ask) => {
                    self.outstanding = self.outstanding.saturating_add(1);
                    asks.push(ask);
                    if asks.len() >= BATCH {
                        self.hub.tell(Message::Asks(self.id, std::mem::take(&mut asks)));
                    }
                }
                Step::Say(bytes) => self.write(&bytes).await?,
                Step::Close(bytes) => {
                    self.write(&bytes).await?;
                    self.transport.shutdown().await;
                    return Ok(Some(Err(Ended::ByServer)));
                }
                Step::Authenticate { tag, mechanism, initial } => self.authenticate(tag, &mechanism, initial).await?,
                Step::Answer(line) => self.answer(&line).await?,
                Step::Compress(answer) => self.compress = Some(answer),
                Step::StartTls(answer) => self.starttls(&answer).await?,
            }
        }
        if !asks.is_empty() {
            self.hub.tell(Message::Asks(self.id, asks));
        }
        Ok(None)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        // Somebody who reads slowly has the time for each piece, not for the whole.
        for piece in bytes.chunks(64 << 10) {
            match timeout(self.settings.patience, self.transport.write(piece)).await {
                Ok(written) => written?,
                Err(_) => return Err(Ended::Stuck),
            }
        }
        Ok(())
    }

    fn let_in(&mut self, user: &str) {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.outputs = Some(receiver);
        self.hub.tell(Message::Connect(self.id, sender));
        debug!(peer = %self.peer, id = self.id, user, "let in");
    }

    async fn authenticate(&mut self, tag: Vec<u8>, mechanism: &[u8], initial: Option<Vec<u8>>) -> Result<(), Ended> {
        let Some(sasl) = self.settings.sasl.clone() else { return Ok(()) };
        let protected = self.transport.is_tls() || self.transport.is_local();
        let exchange = sasl.begin(mechanism, protected, &self.transport.peer_certificates());
        let exchange = exchange.filter(|_| self.transport.is_tls() || !self.settings.tls_required);
        let Some(exchange) = exchange else { return self.refuse(&tag, "no such mechanism").await };
        // As Cyrus does, what is no base64 counts as nothing sent.
        let initial = initial.and_then(|text| data_encoding::BASE64.decode(&text).ok());
        self.exchange = Some((tag, exchange));
        self.step(initial).await
    }

    async fn answer(&mut self, line: &[u8]) -> Result<(), Ended> {
        if line == b"*" {
            let Some((tag, _)) = self.exchange.take() else { return Ok(()) };
            let mut out = Vec::new();
            encode::plain_answer(&mut out, &tag, "NO", b"Client canceled authentication");
            self.session.authenticated(false);
            return self.write(&out).await;
        }
        match data_encoding::BASE64.decode(line) {
            Ok(response) => self.step(Some(response)).await,
            Err(_) => {
                let tag = self.exchange.take().map(|(tag, _)| tag).unwrap_or_default();
                self.refuse(&tag, "bad base64").await
            }
        }
    }

    async fn step(&mut self, response: Option<Vec<u8>>) -> Result<(), Ended> {
        let Some((tag, exchange)) = self.exchange.take() else { return Ok(()) };
        // Passwords are hashed, which takes its time: others are not to wait for it.
        let stepped = tokio::task::spawn_blocking(move || {
            let mut exchange = exchange;
            let next = exchange.step(response.as_deref());
            (exchange, next)
        });
        let Ok((exchange, next)) = stepped.await else { return self.refuse(&tag, "internal error").await };
        match next {
            Next::Challenge(bytes) => {
                self.exchange = Some((tag, exchange));
                let mut out = data_encoding::BASE64.encode(&bytes).into_bytes();
                out.extend_from_slice(b"\r\n");
                self.session.expect_answer();
                self.write(&out).await
            }
            Next::Done(user) => {
                let (mechanism, tls) = (exchange.mechanism(), self.transport.is_tls());
                info!(peer = %self.peer, id = self.id, %user, mechanism, tls, "logged in");
                let mut out = Vec::new();
                encode::answer(&mut out, &tag, "OK", "Authenticated");
                self.write(&out).await?;
                self.session.authenticated(true);
                self.let_in(&user);
                Ok(())
            }
            Next::Refused(why) => self.refuse(&tag, &why).await,
        }
    }

    /// A login that failed is answered after a pause; after a few, no more.
    async fn refuse(&mut self, tag: &[u8], why: &str) -> Result<(), Ended> {
        warn!(peer = %self.peer, id = self.id, why, "login failed");
        self.failures = self.failures.saturating_add(1);
        sleep(self.settings.pause).await;
        let mut out = Vec::new();
        encode::answer(&mut out, tag, "NO", "authentication failure");
        self.session.authenticated(false);
        self.write(&out).await?;
        if self.failures >= FAILURES_MAX { Err(Ended::ByServer) } else { Ok(()) }
    }

    async fn starttls(&mut self, answer: &[u8]) -> Result<(), Ended> {
        let Some(acceptor) = self.settings.tls.clone() else { return Ok(()) };
        self.write(answer).await?;
        let socket = self.transport.take_socket()?;
        let accepted = timeout(self.settings.patience, acceptor.accept(socket)).await;
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                warn!(peer = %self.peer, id = self.id, %error, "TLS failed");
                return Err(error.into());
            }
            Err(_) => return Err(Ended::Stuck),
        };
        self.transport.secured(stream.into());
        self.session.secured();
        let banner = self.greeting().banner();
        self.write(&banner).await
    }
}

/// Failed logins of one connection.
const FAILURES_MAX: u32 = 5;

/// What the hub gives next; never, for somebody who is not logged in.
async fn next(outputs: &mut Option<mpsc::UnboundedReceiver<Output>>) -> Option<Output> {
    match outputs {
        Some(outputs) => outputs.recv().await,
        None => std::future::pending().await,
    }
}

/// Reads what arrives; room is taken only when something does.
async fn read(transport: &mut Transport, buffer: &mut Vec<u8>) -> io::Result<usize> {
    transport.readable().await?;
    transport.read(buffer).await
}
