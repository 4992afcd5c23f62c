//! The server's side of LMTP.

use std::collections::VecDeque;

use super::super::{Answer, Namespace, Request, Step, Word, one_line};
use super::input::{Input, TooLong};
use super::{MESSAGE_MAX, UNKNOWN};

/// Most recipients of one message.
const RECIPIENTS_MAX: usize = 1000;

/// What stands between two commands.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing was said yet.
    Greeting,
    /// Commands are taken.
    Commands,
    /// The host was asked whether it takes mail for this mailbox.
    Recipient(Vec<u8>),
    /// A message comes.
    Data,
    /// The message is here, for the mailboxes that are left; the host was asked about the first unless the second says no.
    Delivery(Vec<u8>, VecDeque<Vec<u8>>),
    /// The host was asked to take it.
    Delivering(Vec<u8>, VecDeque<Vec<u8>>),
    Closed,
}

/// The server's side of one connection. Anyone may deliver.
#[derive(Debug)]
pub struct Session {
    namespace: Namespace,
    server: String,
    input: Input,
    phase: Phase,
    answered: Vec<u8>,
    /// Whether there was a MAIL.
    mail: bool,
    recipients: VecDeque<Vec<u8>>,
}

impl Session {
    /// A client comes to the server of this name.
    pub fn new(namespace: Namespace, server: &str) -> Self {
        Session {
            namespace,
            server: one_line(server),
            input: Input::default(),
            phase: Phase::Greeting,
            answered: Vec::new(),
            mail: false,
            recipients: VecDeque::new(),
        }
    }

    fn close(&mut self, text: &str) -> Step {
        (self.phase, self.input) = (Phase::Closed, Input::default());
        Step::Close(format!("{text}\r\n").into_bytes())
    }

    fn reset(&mut self) {
        (self.mail, self.recipients) = (false, VecDeque::new());
    }

    fn command(&mut self, line: &[u8]) -> Step {
        let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
        let (verb, rest) = line.split_at_checked(end).unwrap_or((line, b""));
        let rest = rest.strip_prefix(b" ").unwrap_or(rest);
        match (verb.to_ascii_uppercase().as_slice(), rest.is_empty()) {
            (b"LHLO", false) => {
                self.reset();
                say(&format!(
                    "250-{}\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250 SIZE {MESSAGE_MAX}",
                    self.server
                ))
            }
            (b"LHLO", true) => say("501 5.5.4 Syntax error in parameters"),
            (b"MAIL", false) => self.mail(rest),
            (b"RCPT", false) => self.recipient(rest),
            (b"DATA", true) if self.recipients.is_empty() => say("503 5.5.1 No recipients"),
            (b"DATA", true) => {
                self.phase = Phase::Data;
                say("354 go ahead")
            }
            (b"RSET", true) => {
                self.reset();
                say("250 2.0.0 Ok")
            }
            (b"NOOP", _) => say("250 2.0.0 ok"),
            (b"VRFY", false) => say("252 2.3.3 try RCPT to attempt delivery"),
            (b"QUIT", true) => self.close("221 2.0.0 bye"),
            _ => say("500 5.5.2 Syntax error"),
        }
    }

    fn mail(&mut self, rest: &[u8]) -> Step {
        if self.mail {
            return say("503 5.5.1 Nested MAIL command");
        }
        let Some((_, parameters)) = path(rest, b"FROM:") else { return say("501 5.5.4 Syntax error in parameters") };
        for parameter in parameters.split(|&byte| byte == b' ').filter(|parameter| !parameter.is_empty()) {
            let upper = parameter.to_ascii_uppercase();
            match upper.strip_prefix(b"SIZE=").map(|size| std::str::from_utf8(size).ok()?.parse::<u64>().ok()) {
                Some(Some(size)) if size > MESSAGE_MAX as u64 => return say(TOO_LARGE),
                Some(Some(_)) => {}
                None if matches!(&upper[..], b"BODY=8BITMIME" | b"BODY=7BIT" | b"IGNOREQUOTA") => {}
                _ => return say("501 5.5.4 Unrecognized parameters"),
            }
        }
        self.mail = true;
        say("250 2.1.0 ok")
    }

    fn recipient(&mut self, rest: &[u8]) -> Step {
        if !self.mail {
            return say("503 5.5.1 Need MAIL command");
        }
        let Some((address, parameters)) = path(rest, b"TO:") else {
            return say("501 5.5.4 Syntax error in parameters");
        };
        if !parameters.is_empty() && !parameters.eq_ignore_ascii_case(b" IGNOREQUOTA") {
            return say("501 5.5.4 Unrecognized parameters");
        }
        if self.recipients.len() >= RECIPIENTS_MAX {
            return say("452 4.5.3 Too many recipients");
        }
        match self.namespace.recipient(&local_part(address)) {
            Some(name) => {
                self.phase = Phase::Recipient(name.clone());
                Step::Ask(Request::Recipient { name })
            }
            None => say(&UNKNOWN.join("\r\n")),
        }
    }

    /// A message is complete.
    fn message(&mut self, message: Result<Vec<u8>, TooLong>) {
        let recipients = std::mem::take(&mut self.recipients);
        self.mail = false;
        self.phase = match message {
            Ok(message) => Phase::Delivery(message, recipients),
            Err(TooLong) => {
                self.answered = recipients.iter().flat_map(|_| format!("{TOO_LARGE}\r\n").into_bytes()).collect();
                Phase::Commands
            }
        };
    }

    /// The next mailbox of a message that is here.
    fn deliver(&mut self) -> Option<Step> {
        let Phase::Delivery(message, mut left) = std::mem::replace(&mut self.phase, Phase::Commands) else {
            return None;
        };
        let name = left.pop_front()?;
        let copy = message.clone();
        self.phase = Phase::Delivering(message, left);
        Some(Step::Ask(Request::Deliver { name, message: copy }))
    }
}

const TOO_LARGE: &str = "552 5.3.4 Message size exceeds limit";

impl super::super::Session for Session {
    fn feed(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Closed {
            self.input.feed(bytes);
        }
    }

    fn next_step(&mut self) -> Option<Step> {
        loop {
            if !self.answered.is_empty() {
                return Some(Step::Say(std::mem::take(&mut self.answered)));
            }
            if self.input.is_overrun() && self.phase != Phase::Closed {
                return Some(self.close("421 4.3.0 Too much at once"));
            }
            match self.phase {
                Phase::Greeting => {
                    self.phase = Phase::Commands;
                    return Some(say(&format!("220 {} coroner LMTP server ready", self.server)));
                }
                Phase::Commands => {
                    return Some(match self.input.next_line()? {
                        Ok(line) => self.command(&line),
                        Err(TooLong) => say("500 5.5.2 Line too long"),
                    });
                }
                Phase::Data => {
                    let message = self.input.next_message()?;
                    self.message(message);
                }
                Phase::Delivery(..) => {
                    if let Some(step) = self.deliver() {
                        return Some(step);
                    }
                }
                Phase::Recipient(_) | Phase::Delivering(..) | Phase::Closed => return None,
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        let text = one_line(&answer.text);
        let line = match std::mem::replace(&mut self.phase, Phase::Commands) {
            Phase::Recipient(name) => {
                if answer.is_done() {
                    self.recipients.push_back(name);
                }
                reply(&answer, &text)
            }
            Phase::Delivering(message, left) => {
                self.phase = Phase::Delivery(message, left);
                reply(&answer, &text)
            }
            other => {
                self.phase = other;
                return;
            }
        };
        self.answered = format!("{line}\r\n").into_bytes();
    }
}

/// What is said of a recipient.
fn reply(answer: &Answer, text: &str) -> String {
    match answer.word {
        Word::Ok => format!("250 2.1.5 {text}"),
        Word::Later => format!("451 4.3.0 {text}"),
        Word::No if answer.text == Answer::unknown().text => UNKNOWN.join("\r\n"),
        Word::No => format!("550 5.7.1 {text}"),
    }
}

fn say(line: &str) -> Step {
    Step::Say(format!("{line}\r\n").into_bytes())
}

/// What stands between the angle brackets behind this word, and what behind them.
fn path<'l>(rest: &'l [u8], word: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let (begin, rest) = rest.split_at_checked(word.len())?;
    let begins = begin.eq_ignore_ascii_case(word);
    let inner = rest.trim_ascii_start().strip_prefix(b"<").filter(|_| begins)?;
    let (mut quoted, mut escaped) = (false, false);
    let end = inner.iter().position(|&byte| {
        let ends = byte == b'>' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let (path, behind) = inner.split_at_checked(end)?;
    Some((path, behind.strip_prefix(b">")?))
}

/// The local part of an address, without quotes; a route in front of it is left out.
fn local_part(address: &[u8]) -> Vec<u8> {
    let routed = address.strip_prefix(b"@").and_then(|route| route.iter().position(|&byte| byte == b':'));
    let address = routed.and_then(|at| address.get(at.checked_add(2)?..)).unwrap_or(address);
    let (mut local, mut quoted, mut escaped) = (Vec::new(), false, false);
    for &byte in address {
        match byte {
            _ if escaped => {
                local.push(byte);
                escaped = false;
            }
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'@' if !quoted => break,
            byte => local.push(byte),
        }
    }
    local
}
