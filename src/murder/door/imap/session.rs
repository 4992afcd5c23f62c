//! The server's side of IMAP.

use imap_codec::AuthenticateDataCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::auth::AuthenticateData;
use imap_codec::imap_types::response::{Code, StatusKind};
use imap_codec::imap_types::status::StatusDataItemName;

use super::super::{Answer, Data, Namespace, Request, Step, User};
use super::command::{Command, Mistake, parse};
use super::encode;
use super::input::{Event, Input, Limits};
use super::list::{self, Wanted};
use super::{LINE_MAX, LITERAL_MAX};

/// For those who are not let in yet.
const STRANGER: Limits = Limits { line: 8 << 10, literal: 2 << 10, whole: 16 << 10, rest: REST_MAX };
/// For users.
const FRIEND: Limits =
    Limits { line: LINE_MAX, literal: LITERAL_MAX, whole: LITERAL_MAX + 4 * LINE_MAX, rest: REST_MAX };
/// Commands that may wait for the answer to the one before them.
const REST_MAX: usize = 32 << 20;
/// Longest pattern of a list: longer than any mailbox's name.
const PATTERN_MAX: usize = 2048;

/// What stands between two commands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing was said yet.
    Greeting,
    /// Commands are taken.
    Commands,
    /// The next line belongs to the login under this tag.
    Plain(Vec<u8>),
    /// The host was asked.
    Asked(Vec<u8>, Asked),
    Closed,
}

/// What is to be said besides the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    Login,
    List(Wanted),
    Select { read_only: bool },
    Status(Vec<u8>, Vec<StatusDataItemName>),
    Acl(Vec<u8>),
    Other,
}

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    namespace: Namespace,
    server: String,
    input: Input,
    phase: Phase,
    /// What is to be said before anything else.
    answered: Option<Vec<u8>>,
    user: Option<User>,
    selected: bool,
}

impl Session {
    /// A client comes to the server of this name.
    pub fn new(namespace: Namespace, server: &str) -> Self {
        Session {
            namespace,
            server: server.to_owned(),
            input: Input::new(STRANGER),
            phase: Phase::Greeting,
            answered: None,
            user: None,
            selected: false,
        }
    }

    /// Who is logged in.
    pub fn user(&self) -> Option<&User> {
        self.user.as_ref()
    }

    fn close(&mut self, bytes: Vec<u8>) -> Step {
        self.phase = Phase::Closed;
        self.input = Input::new(Limits { line: 0, literal: 0, whole: 0, rest: 0 });
        Step::Close(bytes)
    }

    fn greeting(&mut self) -> Step {
        self.phase = Phase::Commands;
        let text = format!("[CAPABILITY {}] {} coroner IMAP server ready", encode::CAPABILITIES, self.server);
        Step::Say(said(b"", StatusKind::Ok, &text))
    }

    /// A line is complete.
    fn line(&mut self) -> Step {
        if let Phase::Plain(tag) = &self.phase {
            let tag = tag.clone();
            self.phase = Phase::Commands;
            return match AuthenticateDataCodec::default().decode(self.input.message()) {
                Ok((_, AuthenticateData::Continue(secret))) => {
                    let secret = secret.declassify().to_vec();
                    self.plain(tag, &secret)
                }
                Ok((_, AuthenticateData::Cancel)) => bad(&tag, "Client canceled authentication"),
                Err(_) => bad(&tag, "Invalid base64 string"),
            };
        }
        let (tag, parsed) = parse(self.input.message());
        match parsed {
            Ok(command) => self.command(tag, command),
            Err(Mistake::Tag) => bad(b"", "Invalid tag"),
            Err(Mistake::Bad(text)) => bad(&tag, &text),
            Err(Mistake::Message(_)) if self.user.is_none() => bad(&tag, "Please login first"),
            Err(Mistake::Message(text)) => Step::Say(said(&tag, StatusKind::No, text)),
        }
    }

    fn command(&mut self, tag: Vec<u8>, command: Command) -> Step {
        let user = self.user.as_ref().map(|user| user.name.clone());
        match (command, user) {
            (Command::Capability, _) => {
                let mut out = format!("* CAPABILITY {}\r\n", encode::CAPABILITIES).into_bytes();
                encode::answer(&mut out, &tag, &Answer::ok(), None);
                Step::Say(out)
            }
            (Command::Noop, _) => Step::Say(done(&tag)),
            (Command::Logout, _) => self.close([&b"* BYE LOGOUT received\r\n"[..], &done(&tag)].concat()),
            (Command::Login { .. }, Some(_)) => bad(&tag, "Already logged in"),
            (Command::Authenticate { .. }, Some(_)) => bad(&tag, "Already authenticated"),
            (Command::Login { user, password }, None) => {
                self.ask(tag, Asked::Login, Request::Login { user, password, acting_for: None })
            }
            (Command::Authenticate { plain: false, .. }, None) => {
                Step::Say(said(&tag, StatusKind::No, "no mechanism available"))
            }
            (Command::Authenticate { initial: Some(secret), .. }, None) => self.plain(tag, &secret),
            (Command::Authenticate { initial: None, .. }, None) => {
                self.phase = Phase::Plain(tag);
                Step::Say(b"+ \r\n".to_vec())
            }
            (_, None) => bad(&tag, "Please login first"),
            (command, Some(user)) => self.command_of(tag, command, &user),
        }
    }

    /// A command of somebody who is logged in.
    fn command_of(&mut self, tag: Vec<u8>, command: Command, user: &[u8]) -> Step {
        let namespace = self.namespace;
        let name_of = |external: &[u8]| namespace.internal(external, user);
        let mut asked = Asked::Other;
        let request = match command {
            Command::Check if self.selected => return Step::Say(done(&tag)),
            Command::Close | Command::Unselect if self.selected => {
                self.selected = false;
                return Step::Say(done(&tag));
            }
            Command::Check | Command::Close | Command::Unselect => return bad(&tag, "Please select a mailbox first"),
            Command::Namespace => return Step::Say(self.namespaces(&tag)),
            Command::Other(word) => {
                return Step::Say(said(&tag, StatusKind::No, &format!("{word} is not part of a rehearsal")));
            }
            Command::List { pattern, subscribed, .. } if pattern.is_empty() => {
                let mut out = Vec::new();
                if !subscribed {
                    encode::listed(&mut out, false, &["Noselect"], namespace.separator, b"");
                }
                encode::answer(&mut out, &tag, &Answer::ok(), None);
                return Step::Say(out);
            }
            Command::List { subscribed, reference, pattern } => {
                let pattern = [reference, pattern].concat();
                if pattern.len() > PATTERN_MAX {
                    return bad(&tag, "Pattern too long");
                }
                asked = Asked::List(Wanted { subscribed, pattern });
                Some(Request::List { subscribed })
            }
            Command::Subscribe { name, subscribed } => {
                name_of(&name).map(|name| Request::Subscribe { name, subscribed })
            }
            Command::Select { name, read_only } => {
                self.selected = false;
                asked = Asked::Select { read_only };
                name_of(&name).map(|name| Request::Select { name, read_only })
            }
            Command::Status { name, items } => {
                let found = name_of(&name).map(|name| Request::Status { name });
                asked = Asked::Status(name, items);
                found
            }
            Command::Create { name, place } => {
                let name = namespace.may_be_made(&name).then(|| name_of(&name)).flatten();
                name.map(|name| Request::Create { name, place })
            }
            Command::Delete { name } => name_of(&name).map(|name| Request::Delete { name }),
            Command::Rename { from, to } => {
                let to = namespace.may_be_made(&to).then(|| name_of(&to)).flatten();
                name_of(&from).zip(to).map(|(from, to)| Request::Rename { from, to })
            }
            Command::SetAcl { name, identifier, rights } => {
                name_of(&name).map(|name| Request::SetAcl { name, identifier, rights })
            }
            Command::GetAcl { name } => {
                let found = name_of(&name).map(|name| Request::GetAcl { name });
                asked = Asked::Acl(name);
                found
            }
            Command::Append { name, message } => name_of(&name).map(|name| Request::Append { name, message }),
            // Answered before.
            Command::Capability
            | Command::Noop
            | Command::Logout
            | Command::Login { .. }
            | Command::Authenticate { .. } => None,
        };
        match request {
            Some(request) => self.ask(tag, asked, request),
            None => Step::Say(said(&tag, StatusKind::No, "Invalid mailbox name")),
        }
    }

    fn ask(&mut self, tag: Vec<u8>, asked: Asked, request: Request) -> Step {
        self.phase = Phase::Asked(tag, asked);
        Step::Ask(request)
    }

    /// Who to be, whose password, the password, with NUL between them.
    fn plain(&mut self, tag: Vec<u8>, secret: &[u8]) -> Step {
        let parts: Vec<&[u8]> = secret.split(|&byte| byte == 0).collect();
        let [acting_for, user, password] = parts[..] else { return bad(&tag, "Invalid authentication data") };
        let acting_for = Some(acting_for.to_vec()).filter(|name| !name.is_empty() && name != user);
        let request = Request::Login { user: user.to_vec(), password: password.to_vec(), acting_for };
        self.ask(tag, Asked::Login, request)
    }

    fn namespaces(&self, tag: &[u8]) -> Vec<u8> {
        let separator = char::from(self.namespace.separator);
        let named = |name: &str| {
            let begin = if name.is_empty() { String::new() } else { format!("{name}{separator}") };
            format!("((\"{begin}\" \"{separator}\"))")
        };
        let line = format!("* NAMESPACE {} {} {}\r\n", named("INBOX"), named("user"), named(""));
        [line.as_bytes(), &done(tag)].concat()
    }
}

impl super::super::Session for Session {
    fn feed(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Closed {
            self.input.feed(bytes);
        }
    }

    fn next_step(&mut self) -> Option<Step> {
        if let Some(out) = self.answered.take() {
            return Some(Step::Say(out));
        }
        match self.phase {
            Phase::Greeting => return Some(self.greeting()),
            Phase::Asked(..) | Phase::Closed => return None,
            Phase::Commands | Phase::Plain(_) => {}
        }
        match self.input.next_event() {
            Ok(None) => None,
            Ok(Some(Event::Line)) => Some(self.line()),
            Ok(Some(Event::GoAhead)) => match &self.phase {
                Phase::Plain(tag) => {
                    let refused = bad(tag, "Invalid base64 string");
                    self.phase = Phase::Commands;
                    self.input.refuse();
                    Some(refused)
                }
                _ => Some(Step::Say(b"+ go ahead\r\n".to_vec())),
            },
            Err(_) => Some(self.close(b"* BYE Too much at once\r\n".to_vec())),
        }
    }

    fn answer(&mut self, answer: Answer) {
        let Phase::Asked(tag, asked) = std::mem::replace(&mut self.phase, Phase::Commands) else { return };
        let mut out = Vec::new();
        let mut code = None;
        let user = self.user.as_ref().map(|user| user.name.clone()).unwrap_or_default();
        match (asked, &answer.data, answer.is_done()) {
            (Asked::Login, Data::User(user), true) => {
                self.user = Some(user.clone());
                self.input.allow(FRIEND);
            }
            (Asked::List(wanted), Data::Mailboxes(names), true) => {
                list::write(&mut out, &wanted, names, self.namespace, &user);
            }
            (Asked::Select { read_only }, Data::Status(found), true) => {
                encode::selected(&mut out, found, read_only);
                self.selected = true;
                code = Some(if read_only { Code::ReadOnly } else { Code::ReadWrite });
            }
            (Asked::Status(name, items), Data::Status(found), true) => encode::counts(&mut out, &name, &items, found),
            (Asked::Acl(name), Data::Acl(rights), true) => encode::acl(&mut out, &name, rights),
            _ => {}
        }
        encode::answer(&mut out, &tag, &answer, code);
        self.answered = Some(out);
    }
}

/// A line with this text.
fn said(tag: &[u8], kind: StatusKind, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    encode::status(&mut out, tag, kind, None, text);
    out
}

fn bad(tag: &[u8], text: &str) -> Step {
    Step::Say(said(tag, StatusKind::Bad, text))
}

fn done(tag: &[u8]) -> Vec<u8> {
    said(tag, StatusKind::Ok, "Completed")
}
