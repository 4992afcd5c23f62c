//! Lines as they are written.

use super::command::{Change, Verb};
use super::line::{Form, Line};

/// An item in a form.
pub fn item(out: &mut Vec<u8>, bytes: &[u8], form: Form) {
    match form {
        Form::Raw => out.extend_from_slice(bytes),
        Form::Quoted => {
            out.push(b'"');
            for &byte in bytes {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
        Form::Literal | Form::LiteralPlus => {
            literal_head(out, bytes.len(), form == Form::LiteralPlus);
            out.extend_from_slice(bytes);
        }
    }
}

fn literal_head(out: &mut Vec<u8>, len: usize, plus: bool) {
    out.push(b'{');
    number(out, len);
    out.extend_from_slice(if plus { b"+}\r\n" } else { b"}\r\n" });
}

fn number(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0_u8; 20];
    let mut from = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.saturating_add((number % 10) as u8);
        from = index;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

/// A string as a client sends it: quoted where it can be, else a literal that waits for nobody.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let plain = bytes.len() <= QUOTED_MAX
        && !bytes.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n' | b'"' | b'\\' | 0x80..));
    item(out, bytes, if plain { Form::Quoted } else { Form::LiteralPlus });
}

/// Longer strings are sent as literals.
const QUOTED_MAX: usize = 1024;

/// A decoded line, as it was.
pub fn line(out: &mut Vec<u8>, line: &Line) {
    out.extend_from_slice(line.tag());
    out.push(b' ');
    out.extend_from_slice(line.word());
    for (bytes, form) in line.items() {
        out.push(b' ');
        item(out, bytes, form);
    }
    out.extend_from_slice(b"\r\n");
}

/// `tag word "text"`: how a server ends a command.
pub fn answer(out: &mut Vec<u8>, tag: &[u8], word: &str, text: &str) {
    out.extend_from_slice(tag);
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
    out.push(b' ');
    item(out, text.as_bytes(), Form::Quoted);
    out.extend_from_slice(b"\r\n");
}

/// `tag word text`: the few answers that Cyrus gives without quotes.
pub fn plain_answer(out: &mut Vec<u8>, tag: &[u8], word: &str, text: &[u8]) {
    out.extend_from_slice(tag);
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
    out.push(b' ');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A mailbox as a server tells it; a reservation without `acl`. The name comes byte by byte, `name_len` of them.
pub fn row(
    out: &mut Vec<u8>,
    tag: &[u8],
    name_len: usize,
    name: impl Iterator<Item = u8>,
    location: &[u8],
    acl: Option<&[u8]>,
) {
    out.extend_from_slice(tag);
    out.extend_from_slice(if acl.is_some() { b" MAILBOX " } else { b" RESERVE " });
    literal_head(out, name_len, true);
    out.extend(name);
    out.push(b' ');
    item(out, location, Form::LiteralPlus);
    if let Some(acl) = acl {
        out.push(b' ');
        item(out, acl, Form::LiteralPlus);
    }
    out.extend_from_slice(b"\r\n");
}

/// A mailbox that went away, as a stream tells it.
pub fn deleted(out: &mut Vec<u8>, tag: &[u8], name: &[u8]) {
    out.extend_from_slice(tag);
    out.extend_from_slice(b" DELETE ");
    item(out, name, Form::LiteralPlus);
    out.extend_from_slice(b"\r\n");
}

/// A command as a client sends it.
pub fn command(out: &mut Vec<u8>, tag: &str, verb: &Verb) {
    let mut put = |word: &str, items: &[&[u8]]| {
        out.extend_from_slice(tag.as_bytes());
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        for item in items {
            out.push(b' ');
            string(out, item);
        }
        out.extend_from_slice(b"\r\n");
    };
    match verb {
        Verb::Noop => put("NOOP", &[]),
        Verb::Find(name) => put("FIND", &[name]),
        Verb::List(prefix) if prefix.is_empty() => put("LIST", &[]),
        Verb::List(prefix) => put("LIST", &[prefix]),
        Verb::Update(hosts) => put("UPDATE", &hosts.iter().map(Vec::as_slice).collect::<Vec<_>>()),
        Verb::Change(Change::Reserve { name, location }) => put("RESERVE", &[name, location]),
        Verb::Change(Change::Activate { name, location, acl }) => put("ACTIVATE", &[name, location, acl]),
        Verb::Change(Change::Deactivate { name, location }) => put("DEACTIVATE", &[name, location]),
        Verb::Change(Change::Delete { name }) => put("DELETE", &[name]),
    }
}
