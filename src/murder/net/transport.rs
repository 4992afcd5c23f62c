//! Bytes to and from the other side: plain, in TLS, compressed.

use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

enum Layer {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Between the two.
    Nothing,
}

/// RFC 1951 streams without a header, each way.
struct Deflate {
    compress: Compress,
    decompress: Decompress,
    /// What arrived and was not inflated yet.
    waiting: Vec<u8>,
    /// Whether inflating may have more to give though nothing waits.
    full: bool,
}

/// A connection.
pub struct Transport {
    layer: Layer,
    deflate: Option<Box<Deflate>>,
}

/// Bytes read at a time.
const PIECE: usize = 64 << 10;

impl Transport {
    /// A connection that just began.
    pub fn new(socket: TcpStream) -> Self {
        let _ = socket.set_nodelay(true);
        Transport { layer: Layer::Plain(socket), deflate: None }
    }

    /// Whether it is in TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.layer, Layer::Tls(_))
    }

    /// Whether the other side is on this host.
    pub fn is_local(&self) -> bool {
        self.socket().and_then(|socket| socket.peer_addr().ok()).is_some_and(|peer| peer.ip().is_loopback())
    }

    fn socket(&self) -> Option<&TcpStream> {
        match &self.layer {
            Layer::Plain(socket) => Some(socket),
            Layer::Tls(tls) => Some(tls.get_ref().0),
            Layer::Nothing => None,
        }
    }

    /// The certificates that the other side showed, its own first.
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        let Layer::Tls(tls) = &self.layer else { return Vec::new() };
        let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default();
        certificates.iter().map(|certificate| certificate.as_ref().to_vec()).collect()
    }

    /// Takes the bare socket out, to begin TLS on it, with [`Transport::secured`] to follow.
    ///
    /// # Errors
    /// When it is in TLS already.
    pub fn take_socket(&mut self) -> io::Result<TcpStream> {
        match std::mem::replace(&mut self.layer, Layer::Nothing) {
            Layer::Plain(socket) => Ok(socket),
            _ => Err(io::Error::other("no plain connection")),
        }
    }

    /// TLS began.
    pub fn secured(&mut self, stream: TlsStream<TcpStream>) {
        self.layer = Layer::Tls(Box::new(stream));
    }

    /// Compression begins; `rest` is what arrived of it already.
    pub fn compress(&mut self, rest: Vec<u8>) {
        let (compress, decompress) = (Compress::new(Compression::fast(), false), Decompress::new(false));
        self.deflate = Some(Box::new(Deflate { compress, decompress, full: !rest.is_empty(), waiting: rest }));
    }

    /// Adds what arrives to `out`; 0 bytes are the end. Nothing is lost if it is dropped before it is done.
    ///
    /// # Errors
    /// What the system says, and what can't be inflated.
    pub async fn read(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            if let Some(deflate) = &mut self.deflate {
                let inflated = deflate.inflate(out)?;
                if inflated > 0 {
                    return Ok(inflated);
                }
            }
            let before = out.len();
            out.reserve(PIECE);
            // A limit keeps one read from growing with what the other side sends.
            let mut limited = bytes::BufMut::limit(&mut *out, PIECE);
            let read = match &mut self.layer {
                Layer::Plain(socket) => socket.read_buf(&mut limited).await?,
                Layer::Tls(tls) => tls.read_buf(&mut limited).await?,
                Layer::Nothing => 0,
            };
            let Some(deflate) = self.deflate.as_mut().filter(|_| read > 0) else { return Ok(read) };
            deflate.waiting.extend_from_slice(out.get(before..).unwrap_or_default());
            deflate.full = true;
            out.truncate(before);
        }
    }

    /// Waits until something arrives, without taking it, so that somebody idle costs no room.
    ///
    /// # Errors
    /// What the system says.
    pub async fn readable(&mut self) -> io::Result<()> {
        if self.deflate.as_ref().is_some_and(|deflate| deflate.full) {
            return Ok(());
        }
        match &self.layer {
            Layer::Plain(socket) => socket.readable().await,
            // What TLS has taken from the socket already does not make it readable.
            _ => Ok(()),
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// What the system says.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let deflated;
        let bytes = match &mut self.deflate {
            Some(deflate) => {
                deflated = deflate.deflate(bytes)?;
                &deflated[..]
            }
            None => bytes,
        };
        match &mut self.layer {
            Layer::Plain(socket) => socket.write_all(bytes).await,
            Layer::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await
            }
            Layer::Nothing => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Says that nothing more comes.
    pub async fn shutdown(&mut self) {
        let _ = match &mut self.layer {
            Layer::Plain(socket) => socket.shutdown().await,
            Layer::Tls(tls) => tls.shutdown().await,
            Layer::Nothing => Ok(()),
        };
    }
}

impl Deflate {
    /// Inflates up to a piece of what waits.
    fn inflate(&mut self, out: &mut Vec<u8>) -> io::Result<usize> {
        if !self.full {
            return Ok(0);
        }
        let (before, taken) = (out.len(), self.decompress.total_in());
        let mut room = Vec::with_capacity(PIECE);
        let status = self.decompress.decompress_vec(&self.waiting, &mut room, FlushDecompress::Sync);
        let status = status.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let used = usize::try_from(self.decompress.total_in().saturating_sub(taken)).unwrap_or_default();
        self.waiting.drain(..used.min(self.waiting.len()));
        out.extend_from_slice(&room);
        self.full = room.len() == PIECE && status != Status::StreamEnd;
        if status == Status::StreamEnd && room.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(out.len().saturating_sub(before))
    }

    fn deflate(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(bytes.len() / 2 + 1024);
        let mut rest = bytes;
        loop {
            let taken = self.compress.total_in();
            let status = self.compress.compress_vec(rest, &mut out, FlushCompress::Sync).map_err(io::Error::other)?;
            let used = usize::try_from(self.compress.total_in().saturating_sub(taken)).unwrap_or_default();
            rest = rest.get(used..).unwrap_or_default();
            // Room that is left says that everything is out.
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(out);
            }
            if status == Status::StreamEnd {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            out.reserve(4096);
        }
    }
}
