//! The client's side of IMAP.

use std::collections::VecDeque;

use imap_codec::decode::Decoder;
use imap_codec::imap_types::flag::FlagNameAttribute;
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::response::{
    Capability, Code, Data as Told, GreetingKind, Response, Status as Line, StatusBody, StatusKind,
};
use imap_codec::imap_types::status::StatusDataItem;
use imap_codec::{GreetingCodec, ResponseCodec};

use super::super::{Answer, Data, Namespace, Request, Status, User, Word};
use super::input::{Event, Input, Limits};
use super::question::{Piece, write};
use super::syntax::{Strings, without_end, word};

/// What a server may say at once.
const LIMITS: Limits = Limits { line: 1 << 20, literal: 1 << 20, whole: 4 << 20, rest: 64 << 20 };
/// What a server may say before it answers.
const ANSWER_MAX: usize = 256 << 20;

/// What was asked last, and what was said of it so far.
#[derive(Debug)]
struct Asked {
    tag: Vec<u8>,
    request: Kind,
    status: Status,
    names: Vec<Vec<u8>>,
    acl: Vec<(Vec<u8>, Vec<u8>)>,
    heard: usize,
}

/// What data belongs to an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Login(Vec<u8>),
    List,
    Status,
    Acl,
    Other,
}

/// The client's side of one connection, that acts for one user.
#[derive(Debug)]
pub struct Caller {
    namespace: Namespace,
    user: Vec<u8>,
    input: Input,
    greeted: bool,
    lost: bool,
    /// LITERAL+ and SASL-IR.
    can: Can,
    queue: VecDeque<Request>,
    /// What is still to be sent of a command, when the server says so.
    pieces: VecDeque<Piece>,
    asked: Option<Asked>,
    tags: u64,
    out: Vec<u8>,
    answers: VecDeque<Answer>,
}

/// What a server can do that makes a difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Can {
    /// Literals need not wait.
    pub literal_plus: bool,
    /// A login may come in one line.
    pub sasl_ir: bool,
}

impl Caller {
    /// Calls a server whose mailboxes are named so for this user.
    pub fn new(namespace: Namespace, user: &[u8]) -> Self {
        Caller {
            namespace,
            user: user.to_vec(),
            input: Input::new(LIMITS),
            greeted: false,
            lost: false,
            can: Can::default(),
            queue: VecDeque::new(),
            pieces: VecDeque::new(),
            asked: None,
            tags: 0,
            out: Vec::new(),
            answers: VecDeque::new(),
        }
    }

    /// Asks what is next, unless an answer is waited for.
    fn go_on(&mut self) {
        while self.greeted && !self.lost && self.asked.is_none() {
            let Some(request) = self.queue.pop_front() else { return };
            let tag = format!("A{}", self.tags.saturating_add(1)).into_bytes();
            match write(&tag, &request, self.namespace, &self.user, self.can) {
                Ok(pieces) => {
                    self.tags = self.tags.saturating_add(1);
                    self.pieces = pieces;
                    self.asked = Some(Asked::new(tag, request));
                    self.send(false);
                }
                Err(why) => self.answers.push_back(Answer::no(why)),
            }
        }
    }

    /// Sends what may be sent, with one piece that had to wait if the server says that it may come.
    fn send(&mut self, mut welcome: bool) {
        while self.pieces.front().is_some_and(|piece| !piece.waits || welcome) {
            let Some(piece) = self.pieces.pop_front() else { return };
            welcome = welcome && !piece.waits;
            self.out.extend_from_slice(&piece.bytes);
        }
    }

    fn message(&mut self) {
        let message = self.input.message().to_vec();
        if !self.greeted {
            return self.greeting(&message);
        }
        if let Some(asked) = &mut self.asked {
            asked.heard = asked.heard.saturating_add(message.len());
            self.lost |= asked.heard > ANSWER_MAX;
        }
        match ResponseCodec::default().decode(&message) {
            Ok((_, Response::CommandContinuationRequest(_))) => self.send(true),
            Ok((_, Response::Status(Line::Bye(_)))) => self.lost = true,
            Ok((_, Response::Status(Line::Untagged(body)))) => self.code(body.code.as_ref()),
            Ok((_, Response::Status(Line::Tagged(tagged)))) => {
                let StatusBody { kind, code, text } = tagged.body;
                self.finish(tagged.tag.inner().as_bytes(), kind, code.as_ref(), text.inner());
            }
            Ok((_, Response::Data(data))) => self.data(data),
            Err(_) => self.beside(&message),
        }
    }

    fn greeting(&mut self, message: &[u8]) {
        match GreetingCodec::default().decode(message) {
            Ok((_, greeting)) if greeting.kind != GreetingKind::Bye => {
                self.greeted = true;
                self.code(greeting.code.as_ref());
            }
            _ => self.lost = true,
        }
    }

    fn code(&mut self, code: Option<&Code<'_>>) {
        match (code, &mut self.asked) {
            (Some(Code::Capability(capabilities)), _) => self.capabilities(capabilities.as_ref()),
            (Some(Code::UidValidity(number)), Some(asked)) => asked.status.uidvalidity = number.get(),
            (Some(Code::UidNext(number)), Some(asked)) => asked.status.uidnext = number.get(),
            _ => {}
        }
    }

    fn capabilities(&mut self, capabilities: &[Capability<'_>]) {
        let sasl_ir = capabilities.contains(&Capability::SaslIr);
        self.can = Can { literal_plus: capabilities.contains(&Capability::LiteralPlus), sasl_ir };
    }

    fn data(&mut self, data: Told<'_>) {
        let Some(asked) = &mut self.asked else { return };
        match data {
            Told::Capability(capabilities) => self.capabilities(capabilities.as_ref()),
            Told::List { items, mailbox, .. } | Told::Lsub { items, mailbox, .. } if asked.request == Kind::List => {
                let name = match &mailbox {
                    Mailbox::Inbox => &b"INBOX"[..],
                    Mailbox::Other(name) => name.as_ref(),
                };
                let is_one = !items.iter().any(|flag| {
                    *flag == FlagNameAttribute::Noselect || flag.to_string().eq_ignore_ascii_case("\\NonExistent")
                });
                if is_one && let Some(name) = self.namespace.internal(name, &self.user) {
                    asked.names.push(name);
                }
            }
            Told::Exists(count) => asked.status.messages = count,
            Told::Status { items, .. } => {
                for item in items.iter() {
                    match item {
                        StatusDataItem::Messages(count) => asked.status.messages = *count,
                        StatusDataItem::UidNext(number) => asked.status.uidnext = number.get(),
                        StatusDataItem::UidValidity(number) => asked.status.uidvalidity = number.get(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// What `imap-codec` does not read: access control lists, and texts that are not plain ASCII.
    fn beside(&mut self, message: &[u8]) {
        let (tag, rest) = word(without_end(message));
        let (kind, text) = word(rest);
        if tag == b"*" && kind.eq_ignore_ascii_case(b"ACL") {
            let Some(asked) = &mut self.asked else { return };
            let Some(strings) = Strings::of(text).all() else { return };
            let pairs = strings.get(1..).unwrap_or_default().chunks_exact(2);
            asked.acl = pairs.filter_map(|pair| Some((pair.first()?.clone(), pair.last()?.clone()))).collect();
            return;
        }
        let kind = match kind.to_ascii_uppercase().as_slice() {
            b"OK" => StatusKind::Ok,
            b"NO" => StatusKind::No,
            b"BAD" => StatusKind::Bad,
            b"BYE" if tag == b"*" => return self.lost = true,
            _ if tag == b"+" => return self.send(true),
            _ => return,
        };
        self.finish(tag, kind, None, &String::from_utf8_lossy(text));
    }

    fn finish(&mut self, tag: &[u8], kind: StatusKind, code: Option<&Code<'_>>, text: &str) {
        let Some(asked) = self.asked.take_if(|asked| asked.tag == tag) else { return };
        self.pieces.clear();
        self.code(code);
        let word = if kind == StatusKind::Ok { Word::Ok } else { Word::No };
        let data = match asked.request {
            _ if word != Word::Ok => Data::None,
            Kind::Login(name) => Data::User(User { name, admin: false }),
            Kind::List => Data::Mailboxes(asked.names),
            Kind::Status => Data::Status(asked.status),
            Kind::Acl => Data::Acl(asked.acl),
            Kind::Other => Data::None,
        };
        self.answers.push_back(Answer { word, text: plain(text).to_owned(), data });
        self.go_on();
    }
}

impl Asked {
    fn new(tag: Vec<u8>, request: Request) -> Self {
        let request = match request {
            Request::Login { user, acting_for, .. } => Kind::Login(acting_for.unwrap_or(user)),
            Request::List { .. } => Kind::List,
            Request::Select { .. } | Request::Status { .. } => Kind::Status,
            Request::GetAcl { .. } => Kind::Acl,
            _ => Kind::Other,
        };
        Asked { tag, request, status: Status::default(), names: Vec::new(), acl: Vec::new(), heard: 0 }
    }
}

impl super::super::Caller for Caller {
    fn ask(&mut self, request: Request) {
        self.queue.push_back(request);
        self.go_on();
    }

    fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.input.feed(bytes);
        while !self.lost {
            match self.input.next_event() {
                Ok(Some(Event::Line)) => {
                    self.message();
                    self.go_on();
                }
                // Servers' literals come of their own.
                Ok(Some(Event::GoAhead)) => {}
                Ok(None) => break,
                Err(_) => self.lost = true,
            }
        }
    }

    fn next_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    fn is_lost(&self) -> bool {
        self.lost
    }
}

/// A text without what a real server tells of the moment behind it: times and the number of the session.
fn plain(text: &str) -> &str {
    let moment = |rest: &str| {
        rest.strip_prefix('(').is_some_and(|rest| rest.contains(" secs")) || rest.starts_with("SESSIONID=<")
    };
    match text.rfind(" (").max(text.rfind(" SESSIONID=<")).and_then(|at| text.split_at_checked(at)) {
        Some((front, rest)) if moment(rest.trim_start()) => front,
        _ => text,
    }
}
