//! The callers of a murder's doors against the real imapd and lmtpd, and what a session answers in their place.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::murder::{Lab, PATIENCE, Part};
use coroner::murder::door::{Caller, Namespace, imap, lmtp};
use coroner::murder::host::request::{Answer, Data, Request, Status, User, Word};

const SLASH: Namespace = Namespace { separator: b'/' };

/// A caller and its connection.
struct Call {
    socket: TcpStream,
    caller: Box<dyn Caller>,
}

impl Call {
    fn new(port: u16, caller: Box<dyn Caller>) -> Call {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Call { socket, caller }
    }

    #[track_caller]
    fn ask(&mut self, request: Request) -> Answer {
        self.caller.ask(request.clone());
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(answer) = self.caller.next_answer() {
                return answer;
            }
            assert!(!self.caller.is_lost(), "{request:?}");
            self.socket.write_all(&self.caller.take_output()).expect("sent");
            let read = self.socket.read(&mut buffer).unwrap_or_else(|error| panic!("{request:?}: {error}"));
            assert!(read > 0, "{request:?}: it is gone");
            self.caller.hear(&buffer[..read]);
        }
    }

    /// Asks what is done with this data.
    #[track_caller]
    fn gets(&mut self, request: Request, data: Data) {
        assert_eq!(self.ask(request), Answer::with(data));
    }

    /// Asks what is refused with this text.
    #[track_caller]
    fn refused(&mut self, request: Request, text: &str) {
        assert_eq!(self.ask(request), Answer::no(text));
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn login(user: &str, acting_for: Option<&str>) -> Request {
    Request::Login { user: bytes(user), password: bytes("secret"), acting_for: acting_for.map(bytes) }
}

fn create(name: &str, place: Option<&str>) -> Request {
    Request::Create { name: bytes(name), place: place.map(bytes) }
}

fn acl(pairs: &[(&str, &str)]) -> Data {
    Data::Acl(pairs.iter().map(|(identifier, rights)| (bytes(identifier), bytes(rights))).collect())
}

fn names(answer: Answer) -> Vec<String> {
    let Data::Mailboxes(names) = answer.data else { panic!("{answer:?}") };
    let mut names: Vec<String> = names.into_iter().map(|name| String::from_utf8(name).expect("text")).collect();
    names.sort();
    names
}

/// What is played against the real servers.
fn play(imap_port: u16, lmtp_port: u16) {
    let mut cyrus = Call::new(imap_port, Box::new(imap::Caller::new(SLASH, b"cyrus")));
    let told = cyrus.ask(login("cyrus", None));
    assert_eq!((told.word, told.data), (Word::Ok, Data::User(User { name: bytes("cyrus"), admin: false })));
    cyrus.gets(create("user.anna", None), Data::None);
    cyrus.refused(create("user.anna", None), "Mailbox already exists");
    cyrus.refused(create("shared.a%b", None), "Invalid mailbox name");
    cyrus.refused(create("shared.lost", Some("nowhere")), "Unknown/invalid partition");
    cyrus.gets(create("shared", Some("p2")), Data::None);
    cyrus.gets(create("user.bert^smith", None), Data::None);
    let set = |identifier: &str, rights: &str| Request::SetAcl {
        name: bytes("shared"),
        identifier: bytes(identifier),
        rights: bytes(rights),
    };
    cyrus.gets(set("anyone", "lrsp"), Data::None);
    cyrus.gets(set("anna", "lrswi"), Data::None);
    cyrus.gets(set("anna", "-w"), Data::None);
    cyrus.gets(set("bert.smith", "lr"), Data::None);
    cyrus.gets(set("bert.smith", ""), Data::None);
    cyrus.gets(Request::GetAcl { name: bytes("shared") }, acl(&[("anyone", "lrsp"), ("anna", "lrsi")]));
    cyrus.refused(Request::GetAcl { name: bytes("nosuch") }, "Mailbox does not exist");
    assert_eq!(names(cyrus.ask(Request::List { subscribed: false })), ["shared", "user.anna", "user.bert^smith"]);

    // As a frontend comes in.
    let mut anna = Call::new(imap_port, Box::new(imap::Caller::new(SLASH, b"anna")));
    let told = anna.ask(login("mailproxy", Some("anna")));
    assert_eq!((told.word, told.data), (Word::Ok, Data::User(User { name: bytes("anna"), admin: false })));
    anna.gets(create("user.anna.a^b", None), Data::None);
    anna.gets(create("user.anna.Entw&APw-rfe x", None), Data::None);
    let own = ["shared", "user.anna", "user.anna.Entw&APw-rfe x", "user.anna.a^b"];
    assert_eq!(names(anna.ask(Request::List { subscribed: false })), own);
    let subscribe = |name: &str, subscribed| Request::Subscribe { name: bytes(name), subscribed };
    anna.gets(subscribe("user.anna.a^b", true), Data::None);
    anna.gets(subscribe("shared", true), Data::None);
    anna.gets(subscribe("shared", false), Data::None);
    assert_eq!(names(anna.ask(Request::List { subscribed: true })), ["user.anna.a^b"]);
    let message = b"From: a@example.com\r\nSubject: x\r\n\r\n.\r\n{5}\r\n".to_vec();
    let append = |name: &str| Request::Append { name: bytes(name), message: message.clone() };
    anna.gets(append("user.anna.a^b"), Data::None);
    anna.refused(append("user.anna.nosuch"), "Mailbox does not exist");
    let Data::Status(status) = anna.ask(Request::Status { name: bytes("user.anna.a^b") }).data else {
        panic!("no status")
    };
    assert!(status.messages == 1 && status.uidnext == 2 && status.uidvalidity > 0, "{status:?}");
    let select = |name: &str, read_only| Request::Select { name: bytes(name), read_only };
    anna.gets(select("user.anna.a^b", false), Data::Status(status));
    anna.gets(select("user.anna.a^b", true), Data::Status(status));
    anna.refused(select("user.bert^smith", false), "Mailbox does not exist");

    let mut mail = Call::new(lmtp_port, Box::new(lmtp::Caller::new(SLASH)));
    let recipient = |name: &str| Request::Recipient { name: bytes(name) };
    let deliver = |name: &str| Request::Deliver { name: bytes(name), message: message.clone() };
    let said = |text: &str| Answer { text: text.to_owned(), ..Answer::ok() };
    assert_eq!(mail.ask(recipient("user.anna")), said("ok"));
    assert_eq!(mail.ask(recipient("user.nosuch")), Answer::unknown());
    assert_eq!(mail.ask(recipient("user.bert^smith")), said("ok"));
    assert_eq!(mail.ask(deliver("user.anna")), said("Success"));
    assert_eq!(mail.ask(deliver("user.nosuch")), Answer::unknown());
    assert_eq!(mail.ask(deliver("user.bert^smith")), said("Success"));
    let count = |told: Answer| {
        if let Data::Status(Status { messages, .. }) = told.data { messages } else { panic!("{told:?}") }
    };
    assert_eq!(count(anna.ask(Request::Status { name: bytes("user.anna") })), 1);

    let rename = Request::Rename { from: bytes("user.anna.a^b"), to: bytes("user.anna.other") };
    assert_eq!(anna.ask(rename).word, Word::Ok);
    assert_eq!(count(anna.ask(Request::Status { name: bytes("user.anna.other") })), 1);
    anna.gets(Request::Delete { name: bytes("user.anna.other") }, Data::None);
    anna.refused(Request::Delete { name: bytes("user.anna.other") }, "Mailbox does not exist");
}

#[test]
fn real_servers_answer_the_callers() {
    let Some(lab) = Lab::find("real_servers_answer_the_callers") else { return };
    let mut master = lab.host("mup", Part::Master, "twoskip");
    master.start();
    let mut backend = lab.host("be1", Part::Backend(master.mupdate), "twoskip");
    backend.start();
    play(backend.imap, backend.lmtp);
    assert!(backend.rows().contains_key(&bytes("user.anna")));
}
