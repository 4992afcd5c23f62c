//! What is said by IMAP and LMTP: split anywhere it is answered alike, and what one side asks the other side understands.

use super::murder::door::{Caller, Namespace, Session, Step, imap, lmtp};
use super::murder::host::request::{Answer, Data, Request, Status, User};

const NAMESPACES: [Namespace; 2] = [Namespace { separator: b'/' }, Namespace { separator: b'.' }];
const USER: &[u8] = b"anna";

/// What a host would say: not the same to everything, but always the same to the same.
fn answer(request: &Request) -> Answer {
    let sum = format!("{request:?}").bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    if let Request::Login { .. } = request {
        return Answer::with(Data::User(User { name: USER.to_vec(), admin: false }));
    }
    let name = request.name().unwrap_or(b"shared").to_vec();
    match sum % 8 {
        0 => return Answer::unknown(),
        1 => return Answer::no("Permission denied"),
        2 if matches!(request, Request::Recipient { .. } | Request::Deliver { .. }) => return Answer::later("busy"),
        _ => {}
    }
    Answer::with(match request {
        Request::List { .. } => {
            Data::Mailboxes(vec![b"user.anna".to_vec(), b"user.anna.a^b.c".to_vec(), b"shared.x".to_vec()])
        }
        Request::Select { .. } | Request::Status { .. } => {
            Data::Status(Status { messages: sum, uidnext: (sum >> 3).max(1), uidvalidity: (sum >> 5).max(1) })
        }
        Request::GetAcl { .. } => Data::Acl(vec![(name, b"lrs".to_vec()), (b"\"\\ \xff".to_vec(), b"a".to_vec())]),
        _ => Data::None,
    })
}

/// All that a server said, and what it asked its host.
#[derive(Default, PartialEq, Debug)]
struct Heard {
    said: Vec<u8>,
    asked: Vec<Request>,
    closed: bool,
}

impl Heard {
    fn hear(&mut self, session: &mut dyn Session, bytes: &[u8]) {
        session.feed(bytes);
        while let Some(step) = session.next_step() {
            assert!(!self.closed, "something comes behind the end");
            match step {
                Step::Say(bytes) => self.said.extend(bytes),
                Step::Ask(request) => {
                    assert_eq!(session.next_step(), None);
                    session.answer(answer(&request));
                    self.asked.push(request);
                }
                Step::Close(bytes) => {
                    self.said.extend(bytes);
                    self.closed = true;
                }
            }
        }
    }
}

/// Gives bytes in pieces of these lengths.
fn pieces(mut bytes: &[u8], mut len: impl FnMut() -> usize, mut take: impl FnMut(&[u8])) {
    while !bytes.is_empty() {
        let (now, later) = bytes.split_at(len().clamp(1, bytes.len()));
        take(now);
        bytes = later;
    }
}

/// Calls something three times: with pieces that are whole, single bytes, and uneven.
fn split<T: PartialEq + std::fmt::Debug>(seed: usize, mut read: impl FnMut(&mut dyn FnMut() -> usize) -> T) -> T {
    let mut state = seed;
    let whole = read(&mut || usize::MAX);
    assert_eq!(read(&mut || 1), whole);
    let uneven = read(&mut || {
        state = state.wrapping_mul(31).wrapping_add(7);
        state % 23
    });
    assert_eq!(uneven, whole);
    whole
}

/// What a server makes of bytes.
fn serve(bytes: &[u8], begin: &[u8], session: &dyn Fn() -> Box<dyn Session>) -> Heard {
    split(bytes.len(), |len| {
        let (mut session, mut heard) = (session(), Heard::default());
        heard.hear(&mut *session, begin);
        pieces(bytes, len, |piece| heard.hear(&mut *session, piece));
        heard
    })
}

/// What a caller makes of bytes, when it has asked for these.
fn call(bytes: &[u8], requests: &[Request], caller: &dyn Fn() -> Box<dyn Caller>) {
    split(bytes.len(), |len| {
        let (mut caller, mut sent, mut answers) = (caller(), Vec::new(), Vec::new());
        requests.iter().for_each(|request| caller.ask(request.clone()));
        pieces(bytes, len, |piece| {
            caller.hear(piece);
            sent.extend(caller.take_output());
            answers.extend(std::iter::from_fn(|| caller.next_answer()));
        });
        (sent, answers, caller.is_lost())
    });
}

/// What a caller is answered by a session, and what the session made of it.
fn ask(requests: &[Request], caller: &mut dyn Caller, session: &mut dyn Session) -> (Vec<Answer>, Vec<Request>) {
    let (mut heard, mut answers) = (Heard::default(), Vec::new());
    requests.iter().for_each(|request| caller.ask(request.clone()));
    heard.hear(session, b"");
    loop {
        caller.hear(&std::mem::take(&mut heard.said));
        answers.extend(std::iter::from_fn(|| caller.next_answer()));
        let sent = caller.take_output();
        if sent.is_empty() {
            assert!(!caller.is_lost() && !heard.closed);
            return (answers, heard.asked);
        }
        heard.hear(session, &sent);
    }
}

/// Reads an input as an IMAP client's and as a server's.
pub fn imap(bytes: &[u8]) {
    let login =
        Request::Login { user: b"mailproxy".to_vec(), password: b"secret".to_vec(), acting_for: Some(USER.to_vec()) };
    let (name, text) = (b"user.anna.x".to_vec(), b"\"\xff".to_vec());
    for namespace in NAMESPACES {
        let session = || Box::new(imap::Session::new(namespace, "be1")) as Box<dyn Session>;
        let caller = || Box::new(imap::Caller::new(namespace, USER)) as Box<dyn Caller>;
        serve(bytes, b"", &session);
        let heard = serve(bytes, b"x LOGIN anna x\r\n", &session);
        // What the session understood, a caller can say.
        let long = |request: &Request| matches!(request, Request::Login { user, password, .. } if user.len() + password.len() > 4000);
        let mut requests = vec![login.clone()];
        requests.extend(heard.asked.into_iter().skip(1).filter(|request| !long(request)));
        let (answers, asked) = ask(&requests, &mut *caller(), &mut *session());
        assert_eq!(asked, requests);
        for (request, told) in requests.iter().zip(answers) {
            let meant = answer(request);
            assert_eq!((told.word, told.text), (meant.word, meant.text));
            match (told.data, meant.data) {
                (Data::Mailboxes(mut told), Data::Mailboxes(mut meant)) => {
                    told.sort();
                    meant.sort();
                    assert_eq!(told, meant);
                }
                (told, meant) => assert_eq!(told, meant),
            }
        }
        let questions = [
            login.clone(),
            Request::List { subscribed: false },
            Request::GetAcl { name: name.clone() },
            Request::SetAcl { name: name.clone(), identifier: text.clone(), rights: text.clone() },
            Request::Select { name: name.clone(), read_only: true },
            Request::Append { name: name.clone(), message: text.clone() },
        ];
        call(bytes, &questions, &caller);
        call(&[b"* OK [CAPABILITY LITERAL+ SASL-IR] x\r\nA1 OK y\r\n", bytes].concat(), &questions, &caller);
    }
}

/// A message with CRLF at the end of every line.
fn as_lines(message: &[u8]) -> Vec<u8> {
    let lines = message.strip_suffix(b"\n").unwrap_or(message).split(|&byte| byte == b'\n');
    let lines: Vec<&[u8]> = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    if message.is_empty() { Vec::new() } else { lines.join(&b"\r\n"[..]) }
}

/// Reads an input as an LMTP client's and as a server's.
pub fn lmtp(bytes: &[u8]) {
    for namespace in NAMESPACES {
        let session = || Box::new(lmtp::Session::new(namespace, "be1")) as Box<dyn Session>;
        let caller = || Box::new(lmtp::Caller::new(namespace)) as Box<dyn Caller>;
        serve(bytes, b"", &session);
        let begin = b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna>\r\nRCPT TO:<bert+a.b/c>\r\n";
        let heard = serve(bytes, begin, &session);
        // Names that an address can hold, in which users' names are small.
        let plain = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && !b"<>\"\\@".contains(byte);
        let can = |request: &Request| request.name().is_some_and(|name| name.iter().all(plain));
        let requests: Vec<Request> = heard.asked.into_iter().filter(can).collect();
        let (answers, asked) = ask(&requests, &mut *caller(), &mut *session());
        assert_eq!(answers.len(), requests.len());
        // A message is not sent if its recipient is not taken.
        let mut asked = asked.into_iter();
        for (request, told) in requests.iter().zip(answers) {
            let first = asked.next();
            let as_recipient = Request::Recipient { name: request.name().unwrap_or_default().to_vec() };
            let Request::Deliver { message, .. } = request else {
                assert_eq!(first.as_ref(), Some(request));
                assert_eq!((told.word, told.text), (answer(request).word, answer(request).text));
                continue;
            };
            let mut last = first;
            if last.as_ref() == Some(&as_recipient) {
                let taken = answer(&as_recipient);
                if !taken.is_done() {
                    assert_eq!((told.word, told.text), (taken.word, taken.text));
                    continue;
                }
                last = asked.next();
            }
            let Some(Request::Deliver { message: delivered, .. }) = &last else { panic!("{last:?}, not {request:?}") };
            assert_eq!(as_lines(delivered), as_lines(message));
            let meant = answer(last.as_ref().expect("it is there"));
            assert_eq!((told.word, told.text), (meant.word, meant.text));
        }
        let name = b"user.anna.x".to_vec();
        let message = b".\r\n.x\n".to_vec();
        let questions = [
            Request::Recipient { name: name.clone() },
            Request::Deliver { name: name.clone(), message: message.clone() },
            Request::Deliver { name, message },
        ];
        call(bytes, &questions, &caller);
        call(&[b"220 x\r\n250 x\r\n250 y\r\n", bytes].concat(), &questions, &caller);
    }
}
