//! What clients say.

use std::borrow::Cow;

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::CommandBody;
use imap_codec::imap_types::core::{IString, Tag};
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::status::StatusDataItemName;

use super::syntax::{Strings, without_end, word};

/// A command; names are those of the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Capability,
    Noop,
    Logout,
    Namespace,
    Login {
        user: Vec<u8>,
        password: Vec<u8>,
    },
    Authenticate {
        plain: bool,
        initial: Option<Vec<u8>>,
    },
    List {
        subscribed: bool,
        reference: Vec<u8>,
        pattern: Vec<u8>,
    },
    Subscribe {
        name: Vec<u8>,
        subscribed: bool,
    },
    Select {
        name: Vec<u8>,
        read_only: bool,
    },
    Status {
        name: Vec<u8>,
        items: Vec<StatusDataItemName>,
    },
    Create {
        name: Vec<u8>,
        place: Option<Vec<u8>>,
    },
    Delete {
        name: Vec<u8>,
    },
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    SetAcl {
        name: Vec<u8>,
        identifier: Vec<u8>,
        rights: Vec<u8>,
    },
    GetAcl {
        name: Vec<u8>,
    },
    Append {
        name: Vec<u8>,
        message: Vec<u8>,
    },
    Check,
    Close,
    Unselect,
    /// One that real servers have.
    Other(Cow<'static, str>),
}

/// Why a line is no command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Mistake {
    /// It has no tag that could be answered to.
    Tag,
    /// It is answered to so.
    Bad(String),
    /// A message that no mailbox takes, for this reason.
    Message(&'static str),
}

/// Words, and how many strings may stand behind them.
const WORDS: [(&str, usize, usize); 23] = [
    ("APPEND", 2, 4),
    ("AUTHENTICATE", 1, 2),
    ("CAPABILITY", 0, 0),
    ("CHECK", 0, 0),
    ("CLOSE", 0, 0),
    ("CREATE", 1, 2),
    ("DELETE", 1, 1),
    ("DELETEACL", 2, 2),
    ("EXAMINE", 1, 1),
    ("GETACL", 1, 1),
    ("LIST", 2, 2),
    ("LOGIN", 2, 2),
    ("LOGOUT", 0, 0),
    ("LSUB", 2, 2),
    ("NAMESPACE", 0, 0),
    ("NOOP", 0, 0),
    ("RENAME", 2, 2),
    ("SELECT", 1, 1),
    ("SETACL", 3, 3),
    ("STATUS", 2, 2),
    ("SUBSCRIBE", 1, 1),
    ("UNSELECT", 0, 0),
    ("UNSUBSCRIBE", 1, 1),
];

/// Words that real servers know, and that are not part of a rehearsal.
const OTHERS: [&str; 33] = [
    "COMPRESS",
    "COPY",
    "DUMP",
    "ENABLE",
    "EXPUNGE",
    "FETCH",
    "GETANNOTATION",
    "GETMETADATA",
    "GETQUOTA",
    "GETQUOTAROOT",
    "ID",
    "IDLE",
    "LISTRIGHTS",
    "LOCALAPPEND",
    "LOCALCREATE",
    "LOCALDELETE",
    "MOVE",
    "MYRIGHTS",
    "RLIST",
    "RLSUB",
    "SEARCH",
    "SETANNOTATION",
    "SETMETADATA",
    "SETQUOTA",
    "SORT",
    "STARTTLS",
    "STORE",
    "THREAD",
    "UID",
    "UNAUTHENTICATE",
    "UNDUMP",
    "XFER",
    "XLIST",
];

/// Reads a line with its literals: its tag, and what is wanted under it.
pub(super) fn parse(message: &[u8]) -> (Vec<u8>, Result<Command, Mistake>) {
    let (tag, rest) = word(without_end(message));
    let has_tag = Tag::validate(tag).is_ok() && message.get(tag.len()) == Some(&b' ');
    if !has_tag {
        return (b"*".to_vec(), Err(Mistake::Tag));
    }
    let tag = tag.to_vec();
    if let Ok((rest, command)) = CommandCodec::default().decode(message)
        && rest.is_empty()
    {
        return (tag, translate(command.body));
    }
    (tag, parse_beside(rest))
}

fn translate(body: CommandBody<'_>) -> Result<Command, Mistake> {
    Ok(match body {
        CommandBody::Capability => Command::Capability,
        CommandBody::Noop => Command::Noop,
        CommandBody::Logout => Command::Logout,
        CommandBody::Check => Command::Check,
        CommandBody::Close => Command::Close,
        CommandBody::Unselect => Command::Unselect,
        CommandBody::Login { username, password } => {
            Command::Login { user: username.as_ref().to_vec(), password: password.declassify().as_ref().to_vec() }
        }
        CommandBody::Authenticate { mechanism, initial_response } => Command::Authenticate {
            plain: mechanism == AuthMechanism::Plain,
            initial: initial_response.map(|initial| initial.declassify().to_vec()),
        },
        CommandBody::List { reference, mailbox_wildcard } => {
            Command::List { subscribed: false, reference: mailbox(&reference), pattern: wildcard(&mailbox_wildcard) }
        }
        CommandBody::Lsub { reference, mailbox_wildcard } => {
            Command::List { subscribed: true, reference: mailbox(&reference), pattern: wildcard(&mailbox_wildcard) }
        }
        CommandBody::Subscribe { mailbox: name } => Command::Subscribe { name: mailbox(&name), subscribed: true },
        CommandBody::Unsubscribe { mailbox: name } => Command::Subscribe { name: mailbox(&name), subscribed: false },
        CommandBody::Select { mailbox: name } => Command::Select { name: mailbox(&name), read_only: false },
        CommandBody::Examine { mailbox: name } => Command::Select { name: mailbox(&name), read_only: true },
        CommandBody::Status { mailbox: name, item_names } => {
            Command::Status { name: mailbox(&name), items: item_names.into_owned() }
        }
        CommandBody::Create { mailbox: name } => Command::Create { name: mailbox(&name), place: None },
        CommandBody::Delete { mailbox: name } => Command::Delete { name: mailbox(&name) },
        CommandBody::Rename { from, to } => Command::Rename { from: mailbox(&from), to: mailbox(&to) },
        CommandBody::Append { mailbox: name, message, .. } => append(mailbox(&name), &message)?,
        other => Command::Other(Cow::Borrowed(other.name())),
    })
}

/// A message as a mailbox of Cyrus takes it.
fn append(name: Vec<u8>, message: &LiteralOrLiteral8<'_>) -> Result<Command, Mistake> {
    let message = match message {
        LiteralOrLiteral8::Literal(literal) => literal.data(),
        LiteralOrLiteral8::Literal8(literal) => &literal.data,
    };
    if message.contains(&0) {
        return Err(Mistake::Message("Message contains NUL characters"));
    }
    let bare = |at: usize| at.checked_sub(1).and_then(|before| message.get(before)) != Some(&b'\r');
    if memchr::memchr_iter(b'\n', message).any(bare) {
        return Err(Mistake::Message("Message contains bare newlines"));
    }
    Ok(Command::Append { name, message: message.to_vec() })
}

fn mailbox(mailbox: &Mailbox<'_>) -> Vec<u8> {
    match mailbox {
        Mailbox::Inbox => b"INBOX".to_vec(),
        Mailbox::Other(name) => name.as_ref().to_vec(),
    }
}

fn wildcard(wildcard: &ListMailbox<'_>) -> Vec<u8> {
    match wildcard {
        ListMailbox::Token(token) => token.as_ref().to_vec(),
        ListMailbox::String(IString::Literal(literal)) => literal.data().to_vec(),
        ListMailbox::String(IString::Quoted(quoted)) => quoted.inner().as_bytes().to_vec(),
    }
}

/// What `imap-codec` does not read: commands of access control lists, CREATE with a place, and mistakes.
fn parse_beside(rest: &[u8]) -> Result<Command, Mistake> {
    let (name, rest) = word(rest);
    let name = name.to_ascii_uppercase();
    let name = std::str::from_utf8(&name).unwrap_or_default();
    if name.is_empty() {
        return Err(Mistake::Bad("Null command".into()));
    }
    let Some(&(name, least, most)) = WORDS.iter().find(|(word, ..)| *word == name) else {
        return match OTHERS.iter().find(|word| **word == name) {
            Some(word) => Ok(Command::Other(Cow::Borrowed(word))),
            None => Err(Mistake::Bad("Unrecognized command".into())),
        };
    };
    if name == "APPEND" && rest.contains(&0) {
        return Err(Mistake::Message("Message contains NUL characters"));
    }
    let missing = || Mistake::Bad(format!("Missing required argument to {}", capitalized(name)));
    let strings = Strings::of(rest).all().ok_or_else(missing)?;
    if strings.len() < least {
        return Err(missing());
    }
    if strings.len() > most {
        return Err(Mistake::Bad(format!("Unexpected extra arguments to {}", capitalized(name))));
    }
    let mut strings = strings.into_iter();
    let mut next = || strings.next().unwrap_or_default();
    Ok(match name {
        "NAMESPACE" => Command::Namespace,
        "GETACL" => Command::GetAcl { name: next() },
        "SETACL" => Command::SetAcl { name: next(), identifier: next(), rights: next() },
        "DELETEACL" => Command::SetAcl { name: next(), identifier: next(), rights: Vec::new() },
        "CREATE" => Command::Create { name: next(), place: Some(next()).filter(|place| !place.is_empty()) },
        "AUTHENTICATE" => return Err(Mistake::Bad("Invalid base64 string".into())),
        _ => return Err(Mistake::Bad(format!("Invalid arguments to {}", capitalized(name)))),
    })
}

/// A word as Cyrus spells it in what it tells.
fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
    format!("{first}{}", rest.to_ascii_lowercase())
}
