//! What servers answer.

use imap_codec::ResponseCodec;
use imap_codec::encode::Encoder;
use imap_codec::imap_types::core::{AString, Atom, IString, LiteralMode, QuotedChar, Tag, Text};
use imap_codec::imap_types::flag::{Flag, FlagNameAttribute, FlagPerm};
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::response::{Code, Data, Response, Status as Line, StatusBody, StatusKind, Tagged};
use imap_codec::imap_types::status::{StatusDataItem, StatusDataItemName};

use super::super::{Answer, Status, Word, one_line};

/// What a server can do, as `imap-codec` writes it in the greeting and after CAPABILITY.
pub(super) const CAPABILITIES: &str =
    "IMAP4rev1 LITERAL+ ACL RIGHTS=kxten CHILDREN NAMESPACE UNSELECT AUTH=PLAIN SASL-IR";

/// Writes a response.
fn response(out: &mut Vec<u8>, response: &Response<'_>) {
    out.extend(ResponseCodec::default().encode(response).dump());
}

/// Writes `TAG OK`, `NO` or `BAD` and a text; untagged without a tag.
pub(super) fn status(out: &mut Vec<u8>, tag: &[u8], kind: StatusKind, code: Option<Code<'_>>, text: &str) {
    let text = Text::try_from(one_line(text)).unwrap_or_else(|_| Text::unvalidated("-"));
    let body = StatusBody { kind, code, text };
    let line = match Tag::try_from(tag) {
        Ok(tag) => Line::Tagged(Tagged { tag, body }),
        Err(_) => Line::Untagged(body),
    };
    response(out, &Response::Status(line));
}

/// Writes how a command is answered.
pub(super) fn answer(out: &mut Vec<u8>, tag: &[u8], answer: &Answer, code: Option<Code<'_>>) {
    let kind = if answer.word == Word::Ok { StatusKind::Ok } else { StatusKind::No };
    status(out, tag, kind, code.filter(|_| answer.is_done()), &answer.text);
}

/// Writes a mailbox of a list.
pub(super) fn listed(out: &mut Vec<u8>, subscribed: bool, flags: &[&'static str], separator: u8, name: &[u8]) {
    let Ok(mailbox) = Mailbox::try_from(name.to_vec()) else { return };
    let delimiter = QuotedChar::try_from(char::from(separator)).ok();
    let atom = |flag: &&'static str| Atom::try_from(*flag).ok().map(FlagNameAttribute::from);
    let items = flags.iter().filter_map(atom).collect();
    let data = match subscribed {
        true => Data::Lsub { items, delimiter, mailbox },
        false => Data::List { items, delimiter, mailbox },
    };
    response(out, &Response::Data(data));
}

/// Writes what a mailbox holds, for somebody who looks into it.
pub(super) fn selected(out: &mut Vec<u8>, status_of: &Status, read_only: bool) {
    let flags = || vec![Flag::Answered, Flag::Flagged, Flag::Draft, Flag::Deleted, Flag::Seen];
    response(out, &Response::Data(Data::Exists(status_of.messages)));
    response(out, &Response::Data(Data::Recent(0)));
    response(out, &Response::Data(Data::Flags(flags())));
    let mut lasting: Vec<FlagPerm<'_>> = Vec::new();
    if !read_only {
        lasting.extend(flags().into_iter().map(FlagPerm::Flag));
        lasting.push(FlagPerm::Asterisk);
    }
    let mut note = |code| status(out, b"", StatusKind::Ok, Some(code), "Ok");
    note(Code::PermanentFlags(lasting));
    if let Ok(number) = status_of.uidvalidity.try_into() {
        note(Code::UidValidity(number));
    }
    if let Ok(number) = status_of.uidnext.try_into() {
        note(Code::UidNext(number));
    }
}

/// Writes those counts of a mailbox that are asked for. Nobody has seen any message, and none is recent or deleted.
pub(super) fn counts(out: &mut Vec<u8>, name: &[u8], asked: &[StatusDataItemName], found: &Status) {
    let Ok(mailbox) = Mailbox::try_from(name.to_vec()) else { return };
    let count = |asked: &StatusDataItemName| match asked {
        StatusDataItemName::Messages => Some(StatusDataItem::Messages(found.messages)),
        StatusDataItemName::Recent => Some(StatusDataItem::Recent(0)),
        StatusDataItemName::UidNext => found.uidnext.try_into().ok().map(StatusDataItem::UidNext),
        StatusDataItemName::UidValidity => found.uidvalidity.try_into().ok().map(StatusDataItem::UidValidity),
        StatusDataItemName::Unseen => Some(StatusDataItem::Unseen(found.messages)),
        StatusDataItemName::Deleted => Some(StatusDataItem::Deleted(0)),
        StatusDataItemName::DeletedStorage => Some(StatusDataItem::DeletedStorage(0)),
    };
    let items: Vec<StatusDataItem> = asked.iter().filter_map(count).collect();
    response(out, &Response::Data(Data::Status { mailbox, items: items.into() }));
}

/// Writes who has which rights, which `imap-codec` has no type for.
pub(super) fn acl(out: &mut Vec<u8>, name: &[u8], rights: &[(Vec<u8>, Vec<u8>)]) {
    out.extend_from_slice(b"* ACL ");
    string(out, name, false);
    for text in rights.iter().flat_map(|(identifier, rights)| [identifier, rights]) {
        out.push(b' ');
        string(out, text, false);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes a string as an atom, in quotes, or as a literal, whichever comes first; whether it is a literal.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8], plus: bool) -> bool {
    match AString::try_from(text) {
        Ok(AString::Atom(atom)) => out.extend_from_slice(atom.inner().as_bytes()),
        Ok(AString::String(IString::Quoted(quoted))) => {
            out.push(b'"');
            for &byte in quoted.inner().as_bytes() {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
        _ => {
            let sign = if plus { "+" } else { "" };
            out.extend_from_slice(format!("{{{}{sign}}}\r\n", text.len()).as_bytes());
            out.extend_from_slice(text);
            return true;
        }
    }
    false
}

/// The same text, that goes without waiting or not.
pub(super) fn with_mode(text: AString<'_>, mode: LiteralMode) -> AString<'_> {
    match text {
        AString::String(IString::Literal(mut literal)) => {
            literal.set_mode(mode);
            AString::String(IString::Literal(literal))
        }
        other => other,
    }
}
