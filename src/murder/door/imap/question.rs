//! What clients ask, as bytes.

use std::borrow::Cow;
use std::collections::VecDeque;

use imap_codec::encode::{Encoded, Encoder, Fragment};
use imap_codec::imap_types::auth::{AuthMechanism, AuthenticateData};
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{AString, Literal, LiteralMode, Tag};
use imap_codec::imap_types::extensions::binary::LiteralOrLiteral8;
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::secret::Secret;
use imap_codec::imap_types::status::StatusDataItemName;
use imap_codec::{AuthenticateDataCodec, CommandCodec};

use super::super::{Namespace, Request};
use super::caller::Can;
use super::encode::{string, with_mode};

/// A part of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub bytes: Vec<u8>,
    /// Not before the server says so.
    pub waits: bool,
}

/// A command under this tag, or why there is none.
pub(super) fn write(
    tag: &[u8],
    request: &Request,
    namespace: Namespace,
    user: &[u8],
    can: Can,
) -> Result<VecDeque<Piece>, &'static str> {
    let mode = if can.literal_plus { LiteralMode::NonSync } else { LiteralMode::Sync };
    let external = |name: &[u8]| namespace.external(name, user);
    let mailbox = |name: &[u8]| match AString::try_from(external(name)) {
        Ok(name) => Ok(Mailbox::from(with_mode(name, mode))),
        Err(_) => Err("Invalid mailbox name"),
    };
    let body = match request {
        Request::Login { user, password, acting_for } => {
            let secret = [acting_for.as_deref().unwrap_or_default(), user, password].join(&0);
            return login(tag, secret, can.sasl_ir);
        }
        Request::List { subscribed } => {
            let (reference, everything) = (AString::try_from("").map(Mailbox::from), ListMailbox::try_from("*"));
            let reference = reference.map_err(|_| "Invalid mailbox name")?;
            let mailbox_wildcard = everything.map_err(|_| "Invalid mailbox name")?;
            match subscribed {
                true => CommandBody::Lsub { reference, mailbox_wildcard },
                false => CommandBody::List { reference, mailbox_wildcard },
            }
        }
        Request::Subscribe { name, subscribed: true } => CommandBody::Subscribe { mailbox: mailbox(name)? },
        Request::Subscribe { name, subscribed: false } => CommandBody::Unsubscribe { mailbox: mailbox(name)? },
        Request::Select { name, read_only: true } => CommandBody::Examine { mailbox: mailbox(name)? },
        Request::Select { name, read_only: false } => CommandBody::Select { mailbox: mailbox(name)? },
        Request::Status { name } => {
            let items =
                &[StatusDataItemName::Messages, StatusDataItemName::UidNext, StatusDataItemName::UidValidity][..];
            CommandBody::Status { mailbox: mailbox(name)?, item_names: Cow::Borrowed(items) }
        }
        Request::Create { name, place: Some(place) } => {
            return Ok(beside(tag, "CREATE", &[&external(name), place], can));
        }
        Request::Create { name, place: None } => CommandBody::Create { mailbox: mailbox(name)? },
        Request::Delete { name } => CommandBody::Delete { mailbox: mailbox(name)? },
        Request::Rename { from, to } => CommandBody::Rename { from: mailbox(from)?, to: mailbox(to)? },
        Request::SetAcl { name, identifier, rights } if rights.is_empty() => {
            return Ok(beside(tag, "DELETEACL", &[&external(name), identifier], can));
        }
        Request::SetAcl { name, identifier, rights } => {
            return Ok(beside(tag, "SETACL", &[&external(name), identifier, rights], can));
        }
        Request::GetAcl { name } => return Ok(beside(tag, "GETACL", &[&external(name)], can)),
        Request::Append { name, message } => {
            let mut message = Literal::try_from(&message[..]).map_err(|_| "Message contains NUL characters")?;
            message.set_mode(mode);
            let message = LiteralOrLiteral8::Literal(message);
            CommandBody::Append { mailbox: mailbox(name)?, flags: Vec::new(), date: None, message }
        }
        Request::Recipient { .. } | Request::Deliver { .. } | Request::Sync { .. } => {
            return Err("This can't be asked by IMAP");
        }
    };
    let tag = Tag::try_from(tag).map_err(|_| "Invalid tag")?;
    Ok(pieces(CommandCodec::default().encode(&Command { tag, body })))
}

/// A login by PLAIN: who to be, whose password, the password.
fn login(tag: &[u8], secret: Vec<u8>, at_once: bool) -> Result<VecDeque<Piece>, &'static str> {
    let tag = Tag::try_from(tag).map_err(|_| "Invalid tag")?;
    let initial_response = at_once.then(|| Secret::new(Cow::Borrowed(&secret[..])));
    let body = CommandBody::Authenticate { mechanism: AuthMechanism::Plain, initial_response };
    let mut pieces = pieces(CommandCodec::default().encode(&Command { tag, body }));
    if !at_once {
        let answer = AuthenticateDataCodec::default().encode(&AuthenticateData::r#continue(secret));
        pieces.push_back(Piece { bytes: answer.dump(), waits: true });
    }
    Ok(pieces)
}

/// A command that `imap-codec` does not write.
fn beside(tag: &[u8], word: &str, strings: &[&[u8]], can: Can) -> VecDeque<Piece> {
    let (mut pieces, mut bytes) = (VecDeque::new(), [tag, b" ", word.as_bytes()].concat());
    let mut waits = false;
    for text in strings {
        bytes.push(b' ');
        let before = bytes.len();
        let is_literal = string(&mut bytes, text, can.literal_plus);
        if is_literal && !can.literal_plus {
            let literal = bytes.split_off(bytes.len().saturating_sub(text.len()).max(before));
            pieces.push_back(Piece { bytes: std::mem::replace(&mut bytes, literal), waits });
            waits = true;
        }
    }
    bytes.extend_from_slice(b"\r\n");
    pieces.push_back(Piece { bytes, waits });
    pieces
}

fn pieces(encoded: Encoded) -> VecDeque<Piece> {
    let piece = |fragment| match fragment {
        Fragment::Line { data } => Piece { bytes: data, waits: false },
        Fragment::Literal { data, mode } => Piece { bytes: data, waits: mode == LiteralMode::Sync },
    };
    encoded.map(piece).collect()
}
