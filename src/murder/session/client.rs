//! The client's side of a connection: the banner, and answers to the tags that were given out.

use crate::murder::wire::command::Verb;
use crate::murder::wire::{Event, Grammar, Lexer, Limits, Line, Reply, TooLong, encode, reply};

/// What a server said of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Server {
    /// SASL mechanisms.
    pub mechanisms: Vec<String>,
    /// Whether it offers TLS.
    pub starttls: bool,
    /// Whether it offers compression.
    pub compress: bool,
    /// Whether it takes hosts behind UPDATE.
    pub partial_update: bool,
    /// Its name.
    pub name: String,
    /// Product and version, as far as it tells.
    pub version: String,
    /// `(master)`, or `mupdate://` and the master's name.
    pub place: String,
    /// Lines of the banner that no release sends.
    pub other: Vec<Vec<u8>>,
}

impl Server {
    /// Whether it calls itself the master.
    pub fn is_master(&self) -> bool {
        self.place == "(master)"
    }

    /// Takes a line of the banner; gives whether it was the last.
    pub fn read(&mut self, line: &Line) -> bool {
        let is = |word: &str| line.word().eq_ignore_ascii_case(word.as_bytes());
        let text = |index: usize| String::from_utf8_lossy(line.item(index).unwrap_or_default()).into_owned();
        if is("AUTH") {
            self.mechanisms = (0..line.count()).map(text).collect();
        } else if is("STARTTLS") {
            self.starttls = true;
        } else if is("COMPRESS") {
            self.compress = line.items().any(|(algorithm, _)| algorithm.eq_ignore_ascii_case(b"DEFLATE"));
        } else if is("PARTIAL-UPDATE") {
            self.partial_update = true;
        } else if is("OK") {
            // MUPDATE, name, product, version, place; the version of 2.1 has no product.
            self.name = text(1);
            self.place = text(line.count().saturating_sub(1));
            let between: Vec<String> = (2..line.count().saturating_sub(1)).map(text).collect();
            self.version = between.join(" ");
            return true;
        } else {
            let mut other = Vec::new();
            encode::line(&mut other, line);
            self.other.push(other);
        }
        false
    }
}

/// A line of the server, with its tag.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'l> {
    /// The whole line.
    pub line: &'l Line,
    /// What it says.
    pub reply: Reply<'l>,
}

impl Heard<'_> {
    /// Whether the line has this tag.
    pub fn is_for(&self, tag: &str) -> bool {
        self.line.tag() == tag.as_bytes()
    }

    /// What stands behind the word, as text.
    pub fn text(&self) -> String {
        crate::render::text::printable(&self.line.text(0))
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    lexer: Lexer,
    tags: u64,
}

impl Default for Client {
    fn default() -> Self {
        Client { lexer: Lexer::new(Grammar::Reply, Limits::CYRUS, |_| usize::MAX), tags: 0 }
    }
}

impl Client {
    /// Takes what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.lexer.feed(bytes);
    }

    /// The next line; `None` until more arrives.
    ///
    /// # Errors
    /// When the server sends more than a line can be.
    pub fn next_line(&mut self) -> Result<Option<Heard<'_>>, TooLong> {
        match self.lexer.next_event()? {
            Some(Event::Line) => {
                let line = self.lexer.line();
                Ok(Some(Heard { line, reply: reply::parse(line) }))
            }
            _ => Ok(None),
        }
    }

    /// The next line as it stands: during a SASL exchange.
    ///
    /// # Errors
    /// As of [`Client::next_line`].
    pub fn next_plain(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        self.lexer.next_plain()
    }

    /// What had arrived behind the answer to STARTTLS or COMPRESS.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.lexer.take_rest()
    }

    /// A tag that was not given out yet: `X` and a number, as Cyrus' own clients have them.
    pub fn tag(&mut self) -> String {
        self.tags = self.tags.saturating_add(1);
        format!("X{}", self.tags.saturating_sub(1))
    }

    /// Writes a command; gives its tag.
    pub fn command(&mut self, out: &mut Vec<u8>, verb: &Verb) -> String {
        let tag = self.tag();
        encode::command(out, &tag, verb);
        tag
    }
}
