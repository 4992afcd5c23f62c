//! Doors of a murder's hosts: what IMAP and LMTP clients and servers say, to the byte.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bstr::{ByteSlice, ByteVec};
use common::random::Random;
use coroner::murder::door::{Caller, Namespace, Session, Step, imap, lmtp};
use coroner::murder::host::request::{Answer, Data, Request, Status, User};

const SLASH: Namespace = Namespace { separator: b'/' };
const DOT: Namespace = Namespace { separator: b'.' };

type Acl = Vec<(Vec<u8>, Vec<u8>)>;

/// Mailboxes that answer as a host would: ACLs and messages by internal name.
#[derive(Clone)]
struct Toy {
    user: Vec<u8>,
    boxes: BTreeMap<Vec<u8>, (Acl, Vec<Vec<u8>>)>,
    subscribed: BTreeSet<Vec<u8>>,
    asked: Vec<Request>,
}

impl Toy {
    fn new() -> Toy {
        let names = [
            "user.anna",
            "user.anna.Sent",
            "user.anna.Sent.x",
            "user.anna.a^b",
            "user.bert^smith",
            "shared",
            "deep.er.still",
        ];
        let acl = || vec![(b"anna".to_vec(), b"lrswipkxtecda".to_vec())];
        let boxes = names.iter().map(|name| (name.as_bytes().to_vec(), (acl(), Vec::new()))).collect();
        Toy { user: Vec::new(), boxes, subscribed: BTreeSet::new(), asked: Vec::new() }
    }

    fn answer(&mut self, request: Request) -> Answer {
        self.asked.push(request.clone());
        let missing = request.name().is_some_and(|name| !self.boxes.contains_key(name));
        match request {
            Request::Login { password, .. } if password != b"secret" => {
                Answer::no("Login failed: authentication failure")
            }
            Request::Login { user, acting_for, .. } => {
                self.user = acting_for.unwrap_or(user);
                let user = User { name: self.user.clone(), admin: false };
                Answer { text: "User logged in".into(), ..Answer::with(Data::User(user)) }
            }
            Request::List { subscribed: false } => {
                Answer::with(Data::Mailboxes(self.boxes.keys().cloned().rev().collect()))
            }
            Request::List { subscribed: true } => {
                Answer::with(Data::Mailboxes(self.subscribed.iter().cloned().collect()))
            }
            Request::Create { place: Some(place), .. } if place == b"nowhere" => {
                Answer::no("Unknown/invalid partition")
            }
            Request::Create { name, .. } => match self.boxes.insert(name, (Vec::new(), Vec::new())) {
                Some(_) => Answer::no("Mailbox already exists"),
                None => Answer::ok(),
            },
            Request::Sync { .. } => Answer::no("Not from here"),
            Request::Recipient { name } | Request::Deliver { name, .. } if name == b"user.bert^smith" => {
                Answer::later("can not connect to mupdate server")
            }
            _ if missing => Answer::unknown(),
            Request::Select { name, .. } | Request::Status { name } => {
                let messages = u32::try_from(self.boxes[&name].1.len()).expect("a number");
                Answer::with(Data::Status(Status { messages, uidnext: messages + 1, uidvalidity: 1_795_000_000 }))
            }
            Request::Subscribe { name, subscribed: true } => {
                self.subscribed.insert(name);
                Answer::ok()
            }
            Request::Subscribe { name, .. } => {
                self.subscribed.remove(&name);
                Answer::ok()
            }
            Request::Delete { name } => {
                self.boxes.remove(&name);
                Answer::ok()
            }
            Request::Rename { from, to } => {
                let moved = self.boxes.remove(&from).expect("it is there");
                self.boxes.insert(to, moved);
                Answer::ok()
            }
            Request::SetAcl { name, identifier, rights } => {
                let acl = &mut self.boxes.get_mut(&name).expect("it is there").0;
                acl.retain(|(other, _)| *other != identifier);
                if !rights.is_empty() {
                    acl.push((identifier, rights));
                }
                Answer::ok()
            }
            Request::GetAcl { name } => Answer::with(Data::Acl(self.boxes[&name].0.clone())),
            Request::Append { name, message } => {
                self.boxes.get_mut(&name).expect("it is there").1.push(message);
                Answer::ok()
            }
            Request::Recipient { .. } => Answer { text: "ok".into(), ..Answer::ok() },
            Request::Deliver { name, message } => {
                self.boxes.get_mut(&name).expect("it is there").1.push(message);
                Answer { text: "Success".into(), ..Answer::ok() }
            }
        }
    }
}

/// A session with its host.
struct Server {
    session: Box<dyn Session>,
    toy: Toy,
    closed: bool,
}

impl Server {
    fn imap(namespace: Namespace) -> Server {
        let session = Box::new(imap::Session::new(namespace, "be1.murder.test"));
        Server { session, toy: Toy::new(), closed: false }
    }

    fn lmtp(namespace: Namespace) -> Server {
        let session = Box::new(lmtp::Session::new(namespace, "be1.murder.test"));
        Server { session, toy: Toy::new(), closed: false }
    }

    /// What it says to these bytes.
    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.session.feed(bytes);
        let mut said = Vec::new();
        while let Some(step) = self.session.next_step() {
            match step {
                Step::Say(bytes) => said.extend(bytes),
                Step::Ask(request) => {
                    assert_eq!(self.session.next_step(), None, "something comes before the answer");
                    let answer = self.toy.answer(request);
                    self.session.answer(answer);
                }
                Step::Close(bytes) => {
                    said.extend(bytes);
                    self.closed = true;
                }
            }
        }
        said
    }

    /// What it says to bytes in pieces of these lengths.
    fn hear_pieces(&mut self, mut bytes: &[u8], mut len: impl FnMut() -> usize) -> Vec<u8> {
        let mut said = self.hear(b"");
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(len().clamp(1, bytes.len()));
            said.extend(self.hear(piece));
            bytes = rest;
        }
        said
    }
}

/// What was sent and what has to be said to it: lines that begin with `C: ` and `S: `, with `\r`, `\0` and the like spelt so;
/// `\` at the end of a client's line means that it has none.
fn transcript(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut exchanges = vec![(Vec::new(), Vec::new())];
    let mut answered = true;
    for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (side, spelt) = line.split_at(3.min(line.len()));
        let (spelt, open) = match spelt.strip_suffix('\\') {
            Some(spelt) => (spelt, true),
            None => (spelt, false),
        };
        let mut bytes = Vec::unescape_bytes(spelt);
        if !open {
            bytes.extend_from_slice(b"\r\n");
        }
        match side {
            "C: " | "C:" => {
                if answered {
                    exchanges.push((Vec::new(), Vec::new()));
                }
                exchanges.last_mut().expect("one").0.extend(bytes);
                answered = false;
            }
            "S: " => {
                exchanges.last_mut().expect("one").1.extend(bytes);
                answered = true;
            }
            _ => panic!("{line}"),
        }
    }
    exchanges
}

#[track_caller]
fn plays(mut server: Server, text: &str) {
    for (sent, said) in transcript(text) {
        let heard = server.hear(&sent);
        assert_eq!(heard.as_bstr(), said.as_bstr(), "to {:?}", sent.as_bstr());
    }
}

/// The same bytes in any pieces are answered alike.
#[track_caller]
fn splits(server: impl Fn() -> Server, sent: &[u8]) {
    let whole = server().hear_pieces(sent, || usize::MAX);
    assert_eq!(server().hear_pieces(sent, || 1).as_bstr(), whole.as_bstr());
    for seed in 0..50 {
        let mut random = Random(seed);
        assert_eq!(server().hear_pieces(sent, || 1 + random.below(60) as usize).as_bstr(), whole.as_bstr());
    }
    for at in 0..sent.len() {
        let mut first = true;
        let len = || if std::mem::take(&mut first) { at.max(1) } else { usize::MAX };
        assert_eq!(server().hear_pieces(sent, len).as_bstr(), whole.as_bstr(), "split at {at}");
    }
}

const IMAP: &str = include_str!("doors/imap.txt");
const LMTP: &str = include_str!("doors/lmtp.txt");

#[test]
fn imap_is_answered_to_the_byte() {
    plays(Server::imap(SLASH), IMAP);
}

#[test]
fn lmtp_is_answered_to_the_byte() {
    plays(Server::lmtp(SLASH), LMTP);
}

fn sent(text: &str) -> Vec<u8> {
    transcript(text).into_iter().flat_map(|(sent, _)| sent).collect()
}

#[test]
fn the_same_bytes_split_anywhere_are_answered_alike() {
    splits(|| Server::imap(SLASH), &sent(IMAP));
    splits(|| Server::imap(DOT), &sent(IMAP));
    splits(|| Server::lmtp(SLASH), &sent(LMTP));
}

/// A caller and a server, and the connection between them.
struct Pair {
    caller: Box<dyn Caller>,
    server: Server,
    /// All that the caller sent.
    sent: Vec<u8>,
}

impl Pair {
    fn imap(namespace: Namespace, user: &str) -> Pair {
        let caller = Box::new(imap::Caller::new(namespace, user.as_bytes()));
        Pair { caller, server: Server::imap(namespace), sent: Vec::new() }
    }

    fn lmtp(namespace: Namespace) -> Pair {
        Pair { caller: Box::new(lmtp::Caller::new(namespace)), server: Server::lmtp(namespace), sent: Vec::new() }
    }

    /// Asks all of these at once, and gives the answers; bytes go over in pieces of these lengths. What a server says is
    /// changed on its way.
    fn ask(
        &mut self,
        requests: &[Request],
        mut len: impl FnMut() -> usize,
        change: &dyn Fn(Vec<u8>) -> Vec<u8>,
    ) -> Vec<Answer> {
        requests.iter().for_each(|request| self.caller.ask(request.clone()));
        let mut answers = Vec::new();
        let mut said = change(self.server.hear(b""));
        loop {
            for piece in said.chunks(len().max(1)) {
                self.caller.hear(piece);
            }
            answers.extend(std::iter::from_fn(|| self.caller.next_answer()));
            let sent = self.caller.take_output();
            if sent.is_empty() {
                return answers;
            }
            said = change(self.server.hear_pieces(&sent, &mut len));
            self.sent.extend(sent);
        }
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// Everything that can be asked by IMAP, a proxy's login first.
fn imap_requests() -> Vec<Request> {
    let name = bytes("user.anna.Sent");
    let odd = bytes("user.anna.b^c \"d\" \u{e4} &-");
    let text = b"From: a@b\r\n\r\n.\r\n{5}\r\nA1 OK\r\n\xff".to_vec();
    let login =
        |password: &str, acting_for| Request::Login { user: bytes("mailproxy"), password: bytes(password), acting_for };
    vec![
        login("wrong", None),
        login("secret", Some(bytes("anna"))),
        Request::List { subscribed: false },
        Request::Create { name: bytes("user.anna.new"), place: None },
        Request::Create { name: bytes("user.clara^x"), place: Some(bytes("be2.murder.test!p2")) },
        Request::Create { name: bytes("user.anna.new"), place: Some(bytes("a b")) },
        Request::Create { name: odd.clone(), place: None },
        Request::SetAcl { name: name.clone(), identifier: bytes("group:a \"b\" \u{fc}"), rights: bytes("+lrs") },
        Request::SetAcl { name: name.clone(), identifier: bytes("bert"), rights: bytes("lrswipkxtecdan") },
        Request::GetAcl { name: name.clone() },
        Request::SetAcl { name: name.clone(), identifier: bytes("anna"), rights: bytes("") },
        Request::GetAcl { name: name.clone() },
        Request::GetAcl { name: bytes("nosuch") },
        Request::Subscribe { name: name.clone(), subscribed: true },
        Request::Subscribe { name: bytes("nosuch"), subscribed: true },
        Request::List { subscribed: true },
        Request::Append { name: name.clone(), message: text.clone() },
        Request::Append { name: bytes("nosuch"), message: text },
        Request::Append { name: name.clone(), message: Vec::new() },
        Request::Append { name: name.clone(), message: vec![b'x'; 1 << 20] },
        Request::Select { name: name.clone(), read_only: false },
        Request::Select { name: name.clone(), read_only: true },
        Request::Select { name: odd.clone(), read_only: true },
        Request::Status { name: name.clone() },
        Request::Status { name: bytes("shared") },
        Request::Subscribe { name: name.clone(), subscribed: false },
        Request::List { subscribed: true },
        Request::Rename { from: name, to: bytes("user.anna.Old mail") },
        Request::Delete { name: bytes("user.anna.Old mail") },
        Request::Delete { name: odd },
        Request::List { subscribed: false },
    ]
}

/// Whether an answer tells the same as another one: in whatever order.
fn same(told: &Answer, meant: &Answer) -> bool {
    let sorted = |answer: &Answer| {
        let mut answer = answer.clone();
        if let Data::Mailboxes(names) = &mut answer.data {
            names.sort();
        }
        answer
    };
    sorted(told) == sorted(meant)
}

#[test]
fn callers_and_sessions_understand_each_other_by_imap() {
    let plus = |said: Vec<u8>| said;
    // Without LITERAL+ and SASL-IR.
    let plain = |said: Vec<u8>| said.replace("LITERAL+ ", "").replace(" SASL-IR", "");
    for namespace in [SLASH, DOT] {
        for change in [&plus as &dyn Fn(Vec<u8>) -> Vec<u8>, &plain] {
            for seed in 0..20 {
                let mut random = Random(seed);
                let mut pair = Pair::imap(namespace, "anna");
                let requests = imap_requests();
                let answers = pair.ask(&requests, || 1 + random.below(3000) as usize, change);
                assert!(!pair.caller.is_lost() && !pair.server.closed);
                let mut toy = Toy::new();
                let mut asked = Vec::new();
                for (request, told) in requests.iter().zip(&answers) {
                    // What no mailbox of Cyrus is called is refused by the session.
                    if request.name().is_some_and(|name| name.contains(&b'"')) {
                        let refused = matches!(request, Request::Create { .. });
                        let text = if refused { "Invalid mailbox name" } else { "Mailbox does not exist" };
                        assert_eq!(told, &Answer::no(text), "{request:?}");
                        if refused {
                            continue;
                        }
                    }
                    asked.push(request.clone());
                    let meant = toy.answer(request.clone());
                    assert!(same(told, &meant), "{request:?}: {told:?}, not {meant:?}");
                }
                assert_eq!(answers.len(), requests.len());
                assert_eq!(pair.server.toy.asked, asked);
                assert!(pair.server.toy.boxes == toy.boxes);
            }
        }
    }
}

#[test]
fn callers_and_sessions_understand_each_other_by_lmtp() {
    let (anna, deep) = (bytes("user.anna.a^b"), bytes("deep.er.still"));
    let message = b"From: a@b\r\n\r\n.\r\n..\r\n.x\r\n\xff\r\n".to_vec();
    let requests = [
        Request::Recipient { name: anna.clone() },
        Request::Deliver { name: anna.clone(), message: message.clone() },
        Request::Recipient { name: anna.clone() },
        Request::Recipient { name: deep.clone() },
        Request::Deliver { name: anna.clone(), message: message.clone() },
        Request::Deliver { name: deep.clone(), message: Vec::new() },
        Request::Recipient { name: bytes("user.nosuch") },
        Request::Deliver { name: bytes("user.nosuch"), message: message.clone() },
        Request::Recipient { name: bytes("user.bert^smith") },
        Request::Recipient { name: deep.clone() },
    ];
    for namespace in [SLASH, DOT] {
        for seed in 0..20 {
            let mut random = Random(seed);
            let mut pair = Pair::lmtp(namespace);
            let answers = pair.ask(&requests, || 1 + random.below(90) as usize, &|said| said);
            let mut toy = Toy::new();
            let meant: Vec<Answer> = requests.iter().map(|request| toy.answer(request.clone())).collect();
            assert_eq!(answers, meant);
            assert!(!pair.caller.is_lost() && !pair.server.closed);
            assert_eq!(pair.server.toy.boxes[&anna].1, [message.clone(), message.clone()]);
            assert_eq!(pair.server.toy.boxes[&deep].1, [Vec::<u8>::new()]);
        }
    }
}

#[test]
fn what_a_protocol_has_no_words_for_is_refused() {
    let mut imap = Pair::imap(SLASH, "anna");
    let login = Request::Login { user: bytes("anna"), password: bytes("secret"), acting_for: None };
    let sync = Request::Sync { dry_run: false, authoritative: false };
    let requests =
        [login.clone(), Request::Recipient { name: bytes("shared") }, sync, Request::GetAcl { name: bytes("shared") }];
    let words: Vec<bool> = imap.ask(&requests, || 9, &|said| said).iter().map(Answer::is_done).collect();
    assert_eq!(words, [true, false, false, true]);
    let requests =
        [login, Request::Recipient { name: bytes("user.a b") }, Request::Recipient { name: bytes("shared") }];
    let words: Vec<bool> = Pair::lmtp(SLASH).ask(&requests, || 9, &|said| said).iter().map(Answer::is_done).collect();
    assert_eq!(words, [false, false, true]);
}

#[test]
fn callers_notice_that_a_server_is_none_or_goes() {
    for said in ["* BYE busy\r\n", "220 x\r\n", "HTTP/1.1 400 Bad\r\n", "* OK hello\r\n* BYE idle\r\n"] {
        let mut caller = imap::Caller::new(SLASH, b"anna");
        caller.ask(Request::List { subscribed: false });
        caller.hear(said.as_bytes());
        assert!(caller.is_lost(), "{said}");
        assert_eq!(caller.next_answer(), None);
    }
    for said in ["421 busy\r\n", "* OK x\r\n", "554 no\r\n", "220 x\r\n250 x\r\n421 idle\r\n", "220 x\r\n500 what\r\n"]
    {
        let mut caller = lmtp::Caller::new(SLASH);
        caller.ask(Request::Recipient { name: bytes("shared") });
        caller.hear(said.as_bytes());
        assert!(caller.is_lost(), "{said}");
        assert_eq!(caller.next_answer(), None);
    }
}

#[test]
fn what_is_too_long_ends_one_connection() {
    let login = "a LOGIN anna secret\r\n";
    let line = |len: usize| format!("{login}b {}\r\n", "x".repeat(len));
    let cases = [
        (line(60_000), "b BAD Unrecognized command\r\n"),
        (line(66_000), "* BYE Too much at once\r\n"),
        (format!("b {}\r\n", "x".repeat(9000)), "* BYE Too much at once\r\n"),
        ("a LOGIN {5000}\r\n".to_owned(), "* BYE Too much at once\r\n"),
        ("a LOGIN {4294967295+}\r\n".to_owned(), "* BYE Too much at once\r\n"),
        (format!("{login}b APPEND INBOX {{8388608}}\r\n"), "+ go ahead\r\n"),
        (format!("{login}b APPEND INBOX {{8388609}}\r\n"), "* BYE Too much at once\r\n"),
        (
            format!("{login}b APPEND {{8388000+}}\r\n{} {{8388000+}}\r\n", "x".repeat(8_388_000)),
            "* BYE Too much at once\r\n",
        ),
    ];
    for (sent, said) in cases {
        for len in [usize::MAX, 1000] {
            let mut server = Server::imap(SLASH);
            let heard = server.hear_pieces(sent.as_bytes(), || len);
            assert!(heard.ends_with(said.as_bytes()), "{:?}", heard.as_bstr());
            assert_eq!(server.closed, said.starts_with("* BYE"));
            if server.closed {
                assert_eq!(server.hear(b"c NOOP\r\n"), b"", "it is over");
            }
        }
    }
    let begin = "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna>\r\nRCPT TO:<shared>\r\nRCPT TO:<+shared>\r\nDATA\r\n";
    let message = |len: usize| format!("{begin}{}\r\n.\r\nNOOP\r\n", "x".repeat(len));
    let mut server = Server::lmtp(SLASH);
    let heard = server.hear_pieces(message(8 << 20).as_bytes(), || 1 << 20);
    let large = "552 5.3.4 Message size exceeds limit\r\n";
    assert!(
        heard.ends_with(format!("354 go ahead\r\n{large}{large}250 2.0.0 ok\r\n").as_bytes()),
        "{:?}",
        heard.as_bstr()
    );
    assert!(server.toy.boxes[&bytes("shared")].1.is_empty());
    let heard = server.hear_pieces(message((8 << 20) - 2).as_bytes(), || 1 << 20);
    assert!(heard.ends_with(b"250 2.1.5 Success\r\n250 2.1.5 Success\r\n250 2.0.0 ok\r\n"), "{:?}", heard.as_bstr());
    assert_eq!(server.toy.boxes[&bytes("shared")].1[0].len(), 8 << 20);
    let heard = server.hear_pieces(format!("{}\r\nNOOP\r\n", "x".repeat(5000)).as_bytes(), || 700);
    assert_eq!(heard.as_bstr(), b"500 5.5.2 Line too long\r\n250 2.0.0 ok\r\n".as_bstr());
}

#[test]
fn somebody_who_does_not_wait_for_answers_is_not_kept_for_ever() {
    let mut session = imap::Session::new(SLASH, "be1");
    session.feed(b"a LOGIN anna secret\r\n");
    while !matches!(session.next_step(), Some(Step::Ask(_))) {}
    for _ in 0..40 {
        session.feed(&vec![b'\n'; 1 << 20]);
    }
    session.answer(Answer::no("Login failed"));
    assert_eq!(session.next_step(), Some(Step::Say(b"a NO Login failed\r\n".to_vec())));
    assert_eq!(session.next_step(), Some(Step::Close(b"* BYE Too much at once\r\n".to_vec())));
    assert_eq!(session.next_step(), None);
}

#[test]
fn names_go_in_and_out() {
    let there_and_back = [
        (SLASH, "anna", "INBOX", "user.anna"),
        (SLASH, "anna", "INBOX/a.b/c", "user.anna.a^b.c"),
        (SLASH, "bert.smith", "INBOX/x", "user.bert^smith.x"),
        (SLASH, "anna", "user/bert.smith/x", "user.bert^smith.x"),
        (SLASH, "anna", "user/annabel", "user.annabel"),
        (SLASH, "anna", "Entw&APw-rfe", "Entw&APw-rfe"),
        (SLASH, "cyrus", "user/anna", "user.anna"),
        (SLASH, "anna", "user", "user"),
        (DOT, "anna", "INBOX.x", "user.anna.x"),
        (DOT, "anna", "user.bert.x/y", "user.bert.x/y"),
        (DOT, "bert.smith", "INBOX", "user.bert^smith"),
    ];
    for (namespace, user, external, internal) in there_and_back {
        let found = namespace.internal(external.as_bytes(), user.as_bytes()).expect("a name");
        assert_eq!(found.as_bstr(), internal.as_bytes().as_bstr());
        assert_eq!(namespace.external(internal.as_bytes(), user.as_bytes()).as_bstr(), external.as_bytes().as_bstr());
    }
    for (external, internal) in
        [("inbox/x", "user.anna.x"), ("//shared//news/", "shared.news"), ("user/anna/x", "user.anna.x")]
    {
        assert_eq!(SLASH.internal(external.as_bytes(), b"anna"), Some(bytes(internal)));
    }
    assert_eq!(SLASH.internal(b"", b"anna"), None);
    assert_eq!(SLASH.internal(b"//", b"anna"), None);
    let recipients = [
        (SLASH, "anna", "user.anna"),
        (SLASH, "bert.smith", "user.bert^smith"),
        (SLASH, "anna+a.b/C", "user.anna.a^b.C"),
        (SLASH, "+shared/news", "shared.news"),
        (DOT, "anna+a.b", "user.anna.a.b"),
        (DOT, "+shared.news", "shared.news"),
    ];
    for (namespace, local, internal) in recipients {
        assert_eq!(namespace.recipient(local.as_bytes()), Some(bytes(internal)), "{local}");
        assert_eq!(namespace.local_part(internal.as_bytes()).as_bstr(), local.as_bytes().as_bstr());
    }
    assert_eq!(SLASH.recipient(b"Anna+Sent"), Some(bytes("user.anna.Sent")));
    assert_eq!(SLASH.recipient(b"+"), None);
    assert_eq!(SLASH.recipient(b"+user"), None);
}
