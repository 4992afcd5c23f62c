//! The server's side of a connection, up to what its commands ask of the list.

use crate::murder::node::Ask;
use crate::murder::wire::command::{self, Command, Mistake};
use crate::murder::wire::{Event, Grammar, Lexer, Limits, TooLong, encode};

/// What a server says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Greeting {
    /// SASL mechanisms.
    pub mechanisms: Vec<String>,
    /// Whether TLS is offered.
    pub starttls: bool,
    /// Whether compression is offered.
    pub compress: bool,
    /// Its name.
    pub server: String,
    /// What it is.
    pub product: String,
    /// Its version.
    pub version: String,
    /// `(master)`, or `mupdate://` and the master's name.
    pub place: String,
}

impl Greeting {
    /// The lines, as 3.x writes them.
    pub fn banner(&self) -> Vec<u8> {
        let mut out = b"* AUTH".to_vec();
        for mechanism in &self.mechanisms {
            out.extend_from_slice(b" \"");
            out.extend_from_slice(mechanism.as_bytes());
            out.push(b'"');
        }
        out.extend_from_slice(b"\r\n");
        if self.starttls {
            out.extend_from_slice(b"* STARTTLS\r\n");
        }
        if self.compress {
            out.extend_from_slice(b"* COMPRESS \"DEFLATE\"\r\n");
        }
        out.extend_from_slice(b"* PARTIAL-UPDATE\r\n* OK MUPDATE");
        for text in [&self.server, &self.product, &self.version, &self.place] {
            out.push(b' ');
            encode::item(&mut out, text.as_bytes(), crate::murder::wire::Form::Quoted);
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

/// What is to be done next for a connection. Before login there is nothing else on its way; from then on answers come
/// from the node alone, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this.
    Say(Vec<u8>),
    /// Ask the node.
    Ask(Ask),
    /// Begin a SASL exchange. Nothing more comes before [`Session::authenticated`] or [`Session::expect_answer`].
    Authenticate {
        /// Tag of the command.
        tag: Vec<u8>,
        /// Mechanism, as the client spells it.
        mechanism: Vec<u8>,
        /// Initial response, in base64.
        initial: Option<Vec<u8>>,
    },
    /// The client's next line of a SASL exchange, as it stands.
    Answer(Vec<u8>),
    /// Begin TLS. Nothing more comes before [`Session::secured`].
    StartTls(Vec<u8>),
    /// Begin compression once everything asked is answered and sent. Nothing more comes before [`Session::compressed`].
    Compress(Vec<u8>),
    /// Send this and end the connection.
    Close(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Commands,
    /// The next line is the client's part of a SASL exchange.
    Answer,
    /// Somebody else has to do something first.
    Held,
    Closed,
}

/// One client's connection.
#[derive(Debug)]
pub struct Session {
    lexer: Lexer,
    phase: Phase,
    authenticated: bool,
    starttls: bool,
    tls: bool,
    compressed: bool,
    can_compress: bool,
}

impl Session {
    /// A connection that just began; TLS and compression as the greeting says.
    pub fn new(greeting: &Greeting) -> Self {
        Session {
            lexer: Lexer::new(Grammar::Command, Limits::STRANGER, command::arity_of_strangers),
            phase: Phase::Commands,
            authenticated: false,
            starttls: greeting.starttls,
            tls: false,
            compressed: false,
            can_compress: greeting.compress,
        }
    }

    /// Takes what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Closed {
            self.lexer.feed(bytes);
        }
    }

    /// Whether the client is logged in.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// What is to be done next; `None` until more arrives.
    pub fn next_step(&mut self) -> Option<Step> {
        match self.phase {
            Phase::Held | Phase::Closed => None,
            Phase::Answer => match self.lexer.next_plain() {
                Ok(line) => line.map(|line| {
                    self.phase = Phase::Held;
                    Step::Answer(line)
                }),
                Err(error) => Some(self.overrun(error)),
            },
            Phase::Commands => match self.lexer.next_event() {
                Ok(None) => None,
                Ok(Some(Event::GoAhead)) => Some(self.say(b"+ go ahead\r\n".to_vec())),
                Ok(Some(Event::Line)) => Some(self.command()),
                Err(error) => Some(self.overrun(error)),
            },
        }
    }

    /// The SASL exchange goes on: the client's next line belongs to it.
    pub fn expect_answer(&mut self) {
        self.phase = Phase::Answer;
    }

    /// The SASL exchange is over.
    pub fn authenticated(&mut self, success: bool) {
        self.phase = Phase::Commands;
        if success {
            self.authenticated = true;
            self.lexer.allow(Limits::CYRUS, command::arity);
        }
    }

    /// TLS began; what arrived before it is forgotten.
    pub fn secured(&mut self) {
        drop(self.lexer.take_rest());
        (self.phase, self.tls, self.starttls) = (Phase::Commands, true, false);
    }

    /// Compression began. What had arrived behind the command is compressed: it is given back.
    pub fn compressed(&mut self) -> Vec<u8> {
        (self.phase, self.compressed) = (Phase::Commands, true);
        self.lexer.take_rest()
    }

    /// Whether nothing that arrived waits to be read.
    pub fn is_drained(&self) -> bool {
        self.lexer.is_empty()
    }

    fn say(&self, bytes: Vec<u8>) -> Step {
        if self.authenticated { Step::Ask(Ask::Say(bytes)) } else { Step::Say(bytes) }
    }

    fn close(&mut self, bytes: Vec<u8>) -> Step {
        self.phase = Phase::Closed;
        if self.authenticated { Step::Ask(Ask::Bye(bytes)) } else { Step::Close(bytes) }
    }

    fn overrun(&mut self, error: TooLong) -> Step {
        let mut out = Vec::new();
        encode::answer(&mut out, b"*", "BYE", &error.to_string());
        self.close(out)
    }

    fn command(&mut self) -> Step {
        let line = self.lexer.line();
        let tag = line.tag().to_vec();
        let answer = |word: &str, text: &str| {
            let mut out = Vec::new();
            encode::answer(&mut out, &tag, word, text);
            out
        };
        let stranger = !self.authenticated;
        let parsed = command::parse(line);
        match parsed {
            Err(Mistake::Need) => {
                let mut out = Vec::new();
                encode::answer(&mut out, b"*", "BAD", Mistake::Need.text());
                self.say(out)
            }
            Err(Mistake::Null) => self.say(answer("BAD", Mistake::Null.text())),
            _ if stranger && !command::is_for_strangers(line.word()) => self.say(answer("BAD", "Please login first")),
            Ok(Command::Verb(verb)) => Step::Ask(Ask::Verb { tag, verb }),
            Ok(Command::Logout) => {
                let bye = answer("OK", "bye-bye");
                self.close(bye)
            }
            Ok(Command::Authenticate { .. }) if !stranger => self.say(answer("BAD", "already authenticated")),
            Ok(Command::Authenticate { mechanism, initial }) => {
                self.phase = Phase::Held;
                Step::Authenticate { tag, mechanism, initial }
            }
            Ok(Command::StartTls) => self.starttls(tag),
            Ok(Command::Compress(algorithm)) => self.compress(tag, &algorithm),
            Err(_) if !self.knows(line.word()) => self.say(answer("BAD", Mistake::Unrecognized.text())),
            Err(mistake) => self.say(answer("BAD", mistake.text())),
        }
    }

    /// Whether the command is offered at all.
    fn knows(&self, word: &[u8]) -> bool {
        let starttls = self.starttls || self.tls || !word.eq_ignore_ascii_case(b"STARTTLS");
        starttls && (self.can_compress || !word.eq_ignore_ascii_case(b"COMPRESS"))
    }

    fn starttls(&mut self, tag: Vec<u8>) -> Step {
        let mut out = Vec::new();
        if !self.knows(b"STARTTLS") {
            encode::answer(&mut out, &tag, "BAD", Mistake::Unrecognized.text());
        } else if self.authenticated {
            encode::plain_answer(&mut out, &tag, "BAD", b"Can't Starttls after authentication");
        } else if self.compressed {
            encode::plain_answer(&mut out, &tag, "BAD", b"Can't Starttls after Compress");
        } else if self.tls {
            encode::plain_answer(&mut out, &tag, "BAD", b"Already did a successful Starttls");
        } else {
            encode::plain_answer(&mut out, &tag, "OK", b"Begin TLS negotiation now");
            self.phase = Phase::Held;
            return Step::StartTls(out);
        }
        self.say(out)
    }

    fn compress(&mut self, tag: Vec<u8>, algorithm: &[u8]) -> Step {
        let mut out = Vec::new();
        if !self.can_compress {
            encode::answer(&mut out, &tag, "BAD", Mistake::Unrecognized.text());
        } else if self.compressed {
            encode::plain_answer(&mut out, &tag, "BAD", b"DEFLATE active via COMPRESS");
        } else if !algorithm.eq_ignore_ascii_case(b"DEFLATE") {
            // What the client sent is told back to it, but never as a line of its own.
            let text = crate::render::text::printable(algorithm.get(..algorithm.len().min(100)).unwrap_or_default());
            encode::plain_answer(&mut out, &tag, "NO", format!("Unknown COMPRESS algorithm: {text}").as_bytes());
        } else {
            encode::plain_answer(&mut out, &tag, "OK", b"DEFLATE active");
            self.phase = Phase::Held;
            return Step::Compress(out);
        }
        self.say(out)
    }
}
