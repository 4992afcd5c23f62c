//! The client's side of LMTP.

use std::collections::VecDeque;

use super::super::{Answer, Data, Namespace, Request, Word};
use super::UNKNOWN;
use super::input::{Input, TooLong};

/// Longest reply, in lines.
const LINES_MAX: usize = 100;

/// What was said last, and so what the next reply is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Said {
    /// Nothing: the greeting is waited for.
    Nothing,
    Lhlo,
    Reset,
    Mail,
    Rcpt,
    Data,
    Message,
}

/// The client's side of one connection. Each message goes to one mailbox, so that what is asked is what is done.
#[derive(Debug)]
pub struct Caller {
    namespace: Namespace,
    input: Input,
    said: Option<Said>,
    /// Whether there was a MAIL.
    mail: bool,
    /// Mailboxes that were taken as recipients since.
    taken: Vec<Vec<u8>>,
    lines: Vec<String>,
    queue: VecDeque<Request>,
    out: Vec<u8>,
    answers: VecDeque<Answer>,
    lost: bool,
}

impl Caller {
    /// Calls a server whose mailboxes are named so.
    pub fn new(namespace: Namespace) -> Self {
        Caller {
            namespace,
            input: Input::default(),
            said: Some(Said::Nothing),
            mail: false,
            taken: Vec::new(),
            lines: Vec::new(),
            queue: VecDeque::new(),
            out: Vec::new(),
            answers: VecDeque::new(),
            lost: false,
        }
    }

    /// Says what comes next for the question that is the first, unless an answer is waited for.
    fn go_on(&mut self) {
        while self.said.is_none() && !self.lost {
            let (name, delivers) = match self.queue.front() {
                None => return,
                Some(Request::Recipient { name }) => (name, false),
                Some(Request::Deliver { name, .. }) => (name, true),
                Some(_) => {
                    self.queue.pop_front();
                    self.answers.push_back(Answer::no("This can't be asked by LMTP"));
                    continue;
                }
            };
            let local = self.namespace.local_part(name);
            if local.iter().any(|byte| matches!(byte, b'\0'..=b' ' | b'<' | b'>' | b'"' | b'\\' | b'@' | 0x7F..)) {
                self.queue.pop_front();
                self.answers.push_back(Answer::unknown());
                continue;
            }
            let ready = self.taken == [name.clone()];
            let (said, line) = match (delivers, self.mail) {
                (true, true) if ready => (Said::Data, b"DATA".to_vec()),
                (_, true) if !self.taken.is_empty() => (Said::Reset, b"RSET".to_vec()),
                (_, true) => (Said::Rcpt, [b"RCPT TO:<", &local[..], b">"].concat()),
                (_, false) => (Said::Mail, b"MAIL FROM:<>".to_vec()),
            };
            self.say(said, &line);
        }
    }

    fn say(&mut self, said: Said, line: &[u8]) {
        self.said = Some(said);
        self.out.extend_from_slice(line);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A reply is complete.
    fn reply(&mut self, code: u16) {
        let lines = std::mem::take(&mut self.lines);
        let Some(said) = self.said.take() else {
            // What nobody asked for, as when a server goes down.
            self.lost = true;
            return;
        };
        match (said, code) {
            (_, 421) => self.lost = true,
            (Said::Nothing, 220) => self.say(Said::Lhlo, b"LHLO coroner"),
            (Said::Lhlo, 250) => {}
            (Said::Nothing | Said::Lhlo, _) => self.lost = true,
            (Said::Reset, _) => (self.mail, self.taken) = (false, Vec::new()),
            (Said::Mail, 250) => self.mail = true,
            (Said::Rcpt, 250) => self.taken_as_recipient(&lines),
            (Said::Data, 354) => self.message(),
            (Said::Mail | Said::Rcpt | Said::Data | Said::Message, code) => {
                if matches!(said, Said::Data | Said::Message) {
                    (self.mail, self.taken) = (false, Vec::new());
                }
                self.queue.pop_front();
                self.answers.push_back(answer(code, &lines));
            }
        }
    }

    fn taken_as_recipient(&mut self, lines: &[String]) {
        let Some(request) = self.queue.front() else { return };
        self.taken.extend(request.name().map(<[u8]>::to_vec));
        if matches!(request, Request::Recipient { .. }) {
            self.queue.pop_front();
            self.answers.push_back(answer(250, lines));
        }
    }

    fn message(&mut self) {
        let Some(Request::Deliver { message, .. }) = self.queue.front() else { return };
        stuff(&mut self.out, message);
        self.said = Some(Said::Message);
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
        self.lost |= self.input.is_overrun();
        while !self.lost {
            match self.input.next_line() {
                None => break,
                Some(Err(TooLong)) => self.lost = true,
                Some(Ok(line)) => {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    let code = line.get(..3).and_then(|code| code.parse().ok()).filter(|code| *code >= 200);
                    let goes_on = line.get(3..4) == Some("-");
                    self.lines.push(line);
                    match code {
                        Some(_) if goes_on => self.lost |= self.lines.len() > LINES_MAX,
                        Some(code) => self.reply(code),
                        None => self.lost = true,
                    }
                    self.go_on();
                }
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

/// What a reply to a recipient says.
fn answer(code: u16, lines: &[String]) -> Answer {
    let last = lines.last().map(String::as_str).unwrap_or_default();
    if lines.iter().map(String::as_str).eq(UNKNOWN) {
        return Answer::unknown();
    }
    let text = last.get(4..).unwrap_or_default();
    let text = match text.split_once(' ') {
        Some((code, text)) if is_enhanced(code) => text,
        _ => text,
    };
    let text = text.split(" SESSIONID=<").next().unwrap_or_default().to_owned();
    let word = match code {
        200..=299 => Word::Ok,
        400..=499 => Word::Later,
        _ => Word::No,
    };
    Answer { word, text, data: Data::None }
}

/// Whether it is three numbers with dots between them.
fn is_enhanced(code: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    code.split('.').count() == 3 && code.split('.').all(is_number)
}

/// Writes a message with a dot in front of every line that begins with one, and the line that ends it.
fn stuff(out: &mut Vec<u8>, message: &[u8]) {
    let mut lines = message.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() && lines.peek().is_none() {
            break;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
}
