//! A node without sockets, and the recorded sessions of real servers to hold against it.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::Path;
use std::time::Duration;

use bstr::ByteSlice;
use coroner::formats::record::{Form, Name};
use coroner::murder::node::{Builder, Config, ConnId, List, Node, State};
use coroner::murder::session::server::{Greeting, Session, Step};
use coroner::murder::wire::{Event, Grammar, Lexer, Limits, Reply, encode, reply};

/// A node, and the connections that talk to it.
pub struct Stage {
    pub node: Node,
    pub now: Duration,
    greeting: Greeting,
    sessions: BTreeMap<ConnId, Peer>,
    next: ConnId,
}

struct Peer {
    session: Session,
    tag: Vec<u8>,
    closed: bool,
    compressed: bool,
    outstanding: usize,
    compress: Option<Vec<u8>>,
}

impl Stage {
    pub fn new(config: Config, list: List) -> Stage {
        let greeting = Greeting {
            mechanisms: vec!["PLAIN".into()],
            starttls: false,
            compress: true,
            server: "mup.murder.test".into(),
            product: "Cyrus IMAP".into(),
            version: "3.6.1-Debian-3.6.1-4+deb12u5".into(),
            place: "(master)".into(),
        };
        let node = Node::new(config, list);
        Stage { node, now: Duration::ZERO, greeting, sessions: BTreeMap::new(), next: 1 }
    }

    /// A connection, and what it is greeted with.
    pub fn connect(&mut self) -> (ConnId, Vec<u8>) {
        let id = self.next;
        self.next += 1;
        let session = Session::new(&self.greeting);
        let peer = Peer { session, tag: Vec::new(), closed: false, compressed: false, outstanding: 0, compress: None };
        self.sessions.insert(id, peer);
        (id, self.greeting.banner())
    }

    /// A connection that is logged in.
    pub fn login(&mut self) -> ConnId {
        let (id, _) = self.connect();
        let answers = self.send(id, b"A0 AUTHENTICATE \"PLAIN\" \"AG11cmRlcgBzZWNyZXQ=\"\r\n");
        assert_eq!(answers[&id].as_bstr(), b"A0 OK \"Authenticated\"\r\n".as_bstr());
        id
    }

    pub fn is_closed(&self, id: ConnId) -> bool {
        self.sessions[&id].closed
    }

    pub fn is_compressed(&self, id: ConnId) -> bool {
        self.sessions[&id].compressed
    }

    /// Sends bytes; gives what everybody hears of it.
    pub fn send(&mut self, id: ConnId, bytes: &[u8]) -> BTreeMap<ConnId, Vec<u8>> {
        let mut heard = BTreeMap::new();
        let peer = self.sessions.get_mut(&id).expect("a connection");
        if peer.closed {
            return heard;
        }
        peer.session.feed(bytes);
        self.run(id, &mut heard);
        heard
    }

    /// Tells those who follow what is due.
    pub fn tick(&mut self) -> BTreeMap<ConnId, Vec<u8>> {
        let mut heard = BTreeMap::new();
        self.now += Duration::from_secs(60);
        self.node.tick(self.now);
        self.deliver(&mut heard);
        heard
    }

    fn run(&mut self, id: ConnId, heard: &mut BTreeMap<ConnId, Vec<u8>>) {
        loop {
            let peer = self.sessions.get_mut(&id).expect("a connection");
            if let Some(answer) = peer.compress.take_if(|_| peer.outstanding == 0) {
                heard.entry(id).or_default().extend(answer);
                peer.compressed = true;
                peer.session.compressed();
            }
            let Some(step) = peer.session.next_step() else { return };
            match step {
                Step::Say(bytes) => heard.entry(id).or_default().extend(bytes),
                Step::Close(bytes) => {
                    heard.entry(id).or_default().extend(bytes);
                    peer.closed = true;
                    return;
                }
                Step::Ask(ask) => {
                    peer.outstanding += 1;
                    self.node.ask(id, ask, self.now);
                    self.deliver(heard);
                }
                Step::Authenticate { tag, mechanism, initial } => {
                    peer.tag = tag;
                    let initial = initial.and_then(|text| data_encoding::BASE64.decode(&text).ok());
                    match (mechanism.eq_ignore_ascii_case(b"PLAIN"), initial) {
                        (true, None) => {
                            heard.entry(id).or_default().extend(b"\r\n");
                            peer.session.expect_answer();
                        }
                        (plain, response) => self.judge(id, plain, response, heard),
                    }
                }
                Step::Answer(line) if line == b"*" => {
                    let out = heard.entry(id).or_default();
                    encode::plain_answer(out, &peer.tag, "NO", b"Client canceled authentication");
                    peer.session.authenticated(false);
                }
                Step::Answer(line) => {
                    let response = data_encoding::BASE64.decode(&line).ok();
                    self.judge(id, true, response, heard);
                }
                Step::Compress(answer) => peer.compress = Some(answer),
                Step::StartTls(_) => unreachable!("TLS is not offered"),
            }
        }
    }

    fn judge(&mut self, id: ConnId, plain: bool, response: Option<Vec<u8>>, heard: &mut BTreeMap<ConnId, Vec<u8>>) {
        let peer = self.sessions.get_mut(&id).expect("a connection");
        let right = plain && response.as_deref() == Some(b"\0murder\0secret");
        let (word, text) = if right { ("OK", "Authenticated") } else { ("NO", "undefined error!") };
        encode::answer(heard.entry(id).or_default(), &peer.tag, word, text);
        peer.session.authenticated(right);
        if right {
            self.node.connect(id);
        }
    }

    fn deliver(&mut self, heard: &mut BTreeMap<ConnId, Vec<u8>>) {
        loop {
            self.node.committed();
            let outputs = self.node.outputs();
            if outputs.is_empty() {
                return;
            }
            for (id, output) in outputs {
                let peer = self.sessions.get_mut(&id).expect("a connection");
                heard.entry(id).or_default().extend(output.bytes);
                peer.closed |= output.close;
                peer.outstanding -= output.answered;
                self.node.go_on(id, self.now);
            }
        }
    }
}

/// Name, location, and ACL unless it is reserved.
pub type Told = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// Rows of a recorded answer.
pub fn rows(bytes: &[u8]) -> Vec<Told> {
    let mut lexer = Lexer::new(Grammar::Reply, Limits::CYRUS, |_| usize::MAX);
    lexer.feed(bytes);
    let mut rows = Vec::new();
    while let Ok(Some(event)) = lexer.next_event() {
        assert_eq!(event, Event::Line);
        if let Reply::Row(row) = reply::parse(lexer.line()) {
            rows.push((row.name.to_vec(), row.location.to_vec(), row.acl.map(<[u8]>::to_vec)));
        }
    }
    rows
}

/// A list of such rows.
pub fn list(form: Form, rows: &[Told]) -> List {
    let mut list = Builder::new(form);
    for (name, location, acl) in rows {
        let state = State { reserved: acl.is_none(), location, acl: acl.as_deref().unwrap_or_default() };
        list.push(&Name::internal(&name[..]), state);
    }
    list.finish()
}

/// What was sent, and what the real server said to it.
#[derive(Debug, Default, Clone)]
pub struct Exchange {
    pub sent: Vec<u8>,
    pub heard: Vec<u8>,
    /// Whether the server closed the connection, or died.
    pub closed: bool,
}

/// A part of a recording with a heading.
#[derive(Debug, Default, Clone)]
pub struct Section {
    pub heading: String,
    pub exchanges: Vec<Exchange>,
}

/// Reads a recording: `C:` and `S:` lines with escapes.
pub fn recording(path: &Path) -> Vec<Section> {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut sections = vec![Section::default()];
    let mut open: VecDeque<Exchange> = VecDeque::new();
    for line in text.lines() {
        let section = sections.last_mut().expect("a section");
        if let Some(heading) = line.strip_prefix(b"### ") {
            section.exchanges.extend(open.drain(..));
            sections.push(Section { heading: heading.to_str_lossy().into_owned(), exchanges: Vec::new() });
        } else if let Some(sent) = line.strip_prefix(b"C: ") {
            if open.back().is_none_or(|exchange| !exchange.heard.is_empty() || exchange.closed) {
                section.exchanges.extend(open.drain(..));
                open.push_back(Exchange::default());
            }
            let exchange = open.back_mut().expect("an exchange");
            exchange.sent.extend(unescape(sent));
            exchange.sent.push(b'\n');
        } else if let Some(heard) = line.strip_prefix(b"S: ") {
            if heard.starts_with(b"... ") {
                continue;
            }
            if open.is_empty() || heard.starts_with(b"* AUTH") {
                section.exchanges.extend(open.drain(..));
                open.push_back(Exchange::default());
            }
            let exchange = open.back_mut().expect("an exchange");
            exchange.heard.extend(unescape(heard));
            exchange.heard.push(b'\n');
        } else if line.starts_with(b"[") && !line.contains_str(b"process ended") {
            open.back_mut().into_iter().for_each(|exchange| exchange.closed = true);
        }
    }
    sections.last_mut().expect("a section").exchanges.extend(open);
    sections.retain(|section| !section.exchanges.is_empty());
    sections
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (escape, tail) = rest.split_first().expect("an escape");
        rest = tail;
        match escape {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'x' => {
                out.push(u8::from_str_radix(rest[..2].to_str().expect("hex"), 16).expect("hex"));
                rest = &rest[2..];
            }
            other => out.push(*other),
        }
    }
    out
}
