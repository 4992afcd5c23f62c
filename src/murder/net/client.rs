//! Connects to a server, logs in, asks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SASLConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::transport::Transport;
use crate::failure::Failure;
use crate::murder::session::client::{Client, Heard, Server};
use crate::murder::wire::command::Verb;
use crate::murder::wire::{Reply, encode};

/// Where to connect to, and as whom.
#[derive(Clone)]
pub struct Target {
    /// `HOST:PORT`, or `HOST`.
    pub address: String,
    /// User and password, for servers that want to know.
    pub login: Option<(String, String)>,
    /// TLS, if it is to be used.
    pub tls: Option<Arc<ClientConfig>>,
    /// Whether to compress where the server can.
    pub compress: bool,
    /// How long to wait for an answer.
    pub patience: Duration,
}

impl Target {
    /// The same, waiting at least so long for an answer.
    pub fn patient(self, patience: Duration) -> Self {
        Target { patience: self.patience.max(patience), ..self }
    }

    fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or(&self.address[..], |(host, _)| host).trim_matches(['[', ']'])
    }

    fn full(&self) -> String {
        let has_port = self.address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { self.address.clone() } else { format!("{}:{PORT}", self.address) }
    }

    fn failure(&self, what: impl std::fmt::Display, next: &str) -> Failure {
        Failure::usage(format!("{}: {what}", self.full()), next)
    }
}

/// The port of MUPDATE.
pub const PORT: u16 = 3905;

/// A connection that is logged in.
pub struct Connection {
    transport: Transport,
    client: Client,
    /// What the server said of itself.
    pub server: Server,
    patience: Duration,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, and logs in if a user is named.
    ///
    /// # Errors
    /// When the server can't be reached, is none, or does not let us in.
    pub async fn open(target: &Target) -> Result<Connection, Failure> {
        let reach = "see that it runs, and listens there";
        let socket = timeout(target.patience, TcpStream::connect(target.full()))
            .await
            .map_err(|_| target.failure("no connection in time", reach))?
            .map_err(|error| target.failure(error, reach))?;
        let mut connection = Connection {
            transport: Transport::new(socket),
            client: Client::default(),
            server: Server::default(),
            patience: target.patience,
            buffer: Vec::new(),
        };
        let failed = |error: io::Error| target.failure(error, "see what its log says");
        connection.greet().await.map_err(failed)?;
        if let Some(tls) = &target.tls {
            connection.secure(target, tls).await?;
        }
        if let Some((user, password)) = &target.login {
            connection.log_in(target, user, password).await?;
        } else if connection.server.mechanisms.iter().any(|name| name == "EXTERNAL") {
            // The certificate that was shown says who we are.
            connection.send(b"A01 AUTHENTICATE \"EXTERNAL\" \"\"\r\n").await.map_err(failed)?;
            connection.expect_ok("A01").await.map_err(failed)?;
        }
        if target.compress && connection.server.compress {
            connection.compress().await.map_err(failed)?;
        }
        Ok(connection)
    }

    /// Reads the banner.
    async fn greet(&mut self) -> io::Result<()> {
        let mut server = Server::default();
        let mut whole = false;
        while !whole {
            self.hear(&mut |heard| {
                match heard.reply {
                    Reply::Bye => return Err(io::Error::other(format!("it says {}", heard.text()))),
                    Reply::Unknown => return Err(io::Error::other("it is no MUPDATE server")),
                    _ => whole = server.read(heard.line),
                }
                Ok(!whole)
            })
            .await?;
        }
        self.server = server;
        Ok(())
    }

    async fn secure(&mut self, target: &Target, tls: &Arc<ClientConfig>) -> Result<(), Failure> {
        let failed =
            |error: io::Error| target.failure(error, "see that it offers STARTTLS, and what its certificate is");
        if !self.server.starttls {
            return Err(failed(io::Error::other("offers no TLS")));
        }
        self.send(b"S01 STARTTLS\r\n").await.map_err(failed)?;
        self.expect_ok("S01").await.map_err(failed)?;
        drop(self.client.take_rest());
        let name = ServerName::try_from(target.host().to_owned()).map_err(|error| failed(io::Error::other(error)))?;
        let socket = self.transport.take_socket().map_err(failed)?;
        let stream = timeout(self.patience, TlsConnector::from(tls.clone()).connect(name, socket)).await;
        let stream = stream.map_err(|_| failed(io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
        self.transport.secured(stream.into());
        self.greet().await.map_err(failed)
    }

    async fn log_in(&mut self, target: &Target, user: &str, password: &str) -> Result<(), Failure> {
        let next = "see user and password, and the server's log";
        let failed = |error: io::Error| target.failure(error, next);
        // Without TLS a password goes only to this host, or not as it is.
        let protected = self.transport.is_tls() || self.transport.is_local();
        let allowed = |name: &&String| protected || name.starts_with("SCRAM-");
        let offered: Vec<&String> = self.server.mechanisms.iter().filter(allowed).collect();
        let names: Vec<&Mechname> = offered.iter().filter_map(|name| Mechname::parse(name.as_bytes()).ok()).collect();
        let config = SASLConfig::with_credentials(None, user.to_owned(), password.to_owned());
        let session = config.and_then(|config| SASLClient::new(config).start_suggested(&names));
        let mut session = session.map_err(|_| {
            let offered = self.server.mechanisms.join(" ");
            target.failure(format!("no way to log in (it offers: {offered})"), "use TLS, or another mechanism")
        })?;
        let mechanism = session.get_mechname().as_str().to_owned();
        let mut out = format!("A01 AUTHENTICATE \"{mechanism}\"").into_bytes();
        if session.are_we_first() {
            let mut first = Vec::new();
            session.step(None, &mut first).map_err(|error| failed(io::Error::other(error)))?;
            out.extend_from_slice(b" ");
            encode::string(&mut out, BASE64.encode(&first).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        self.send(&out).await.map_err(failed)?;
        loop {
            let line = self.plain().await.map_err(failed)?;
            if let Some(rest) = line.strip_prefix(b"A01 ") {
                let said = crate::render::text::printable(rest);
                return if rest.starts_with(b"OK") {
                    Ok(())
                } else {
                    Err(target.failure(format!("login: {said}"), next))
                };
            }
            let challenge = BASE64.decode(&line).map_err(|error| failed(io::Error::other(error)))?;
            let mut answer = Vec::new();
            session.step(Some(&challenge), &mut answer).map_err(|error| failed(io::Error::other(error)))?;
            let mut out = BASE64.encode(&answer).into_bytes();
            out.extend_from_slice(b"\r\n");
            self.send(&out).await.map_err(failed)?;
        }
    }

    async fn compress(&mut self) -> io::Result<()> {
        self.send(b"Z01 COMPRESS \"DEFLATE\"\r\n").await?;
        self.expect_ok("Z01").await?;
        let rest = self.client.take_rest();
        self.transport.compress(rest);
        Ok(())
    }

    /// A line as it stands.
    async fn plain(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(line) = self.client.next_plain().map_err(io::Error::other)? {
                return Ok(line);
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        self.buffer.clear();
        let read = timeout(self.patience, self.transport.read(&mut self.buffer)).await;
        match read.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))?? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed the connection")),
            _ => {
                self.client.feed(&self.buffer);
                Ok(())
            }
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// What the system says.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = timeout(self.patience, self.transport.write(bytes)).await;
        sent.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "takes nothing"))?
    }

    /// Hears all lines that have arrived, at least one, until `each` answers `false`.
    ///
    /// # Errors
    /// When nothing comes, and what `each` says.
    pub async fn hear(&mut self, each: &mut (dyn FnMut(Heard<'_>) -> io::Result<bool> + Send)) -> io::Result<()> {
        let mut some = false;
        loop {
            while let Some(heard) = self.client.next_line().map_err(io::Error::other)? {
                some = true;
                if !each(heard)? {
                    return Ok(());
                }
            }
            if some {
                return Ok(());
            }
            self.receive().await?;
        }
    }

    async fn expect_ok(&mut self, tag: &str) -> io::Result<()> {
        let mut answer = None;
        while answer.is_none() {
            self.hear(&mut |heard| {
                if heard.reply == Reply::Bye {
                    return Err(io::Error::other(format!("it says {}", heard.text())));
                }
                if heard.is_for(tag) {
                    let text = heard.text();
                    answer = Some(if heard.reply == Reply::Ok { Ok(()) } else { Err(io::Error::other(text)) });
                }
                Ok(answer.is_none())
            })
            .await?;
        }
        answer.unwrap_or(Ok(()))
    }

    /// Asks, and hears rows until the answer is complete; gives what it ends with.
    ///
    /// # Errors
    /// When the server goes away, and its own text when it refuses.
    pub async fn ask(&mut self, verb: &Verb, row: &mut (dyn FnMut(Reply<'_>) + Send)) -> io::Result<String> {
        let mut out = Vec::new();
        let tag = self.client.command(&mut out, verb);
        self.send(&out).await?;
        let mut answer = None;
        while answer.is_none() {
            self.hear(&mut |heard| {
                match heard.reply {
                    Reply::Bye => return Err(io::Error::other(format!("it says {}", heard.text()))),
                    Reply::Ok if heard.is_for(&tag) => answer = Some(Ok(heard.text())),
                    Reply::No | Reply::Bad if heard.is_for(&tag) => answer = Some(Err(io::Error::other(heard.text()))),
                    reply if heard.is_for(&tag) => row(reply),
                    _ => {}
                }
                Ok(answer.is_none())
            })
            .await?;
        }
        answer.unwrap_or_else(|| Ok(String::new()))
    }

    /// The bare connection, and what was read of it and not looked at.
    pub fn into_parts(mut self) -> (Transport, Vec<u8>) {
        let rest = self.client.take_rest();
        (self.transport, rest)
    }

    /// Says goodbye.
    pub async fn log_out(mut self) {
        let _ = self.send(b"Q01 LOGOUT\r\n").await;
        self.transport.shutdown().await;
    }

    /// The state machine of the connection, to write commands with.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }
}
