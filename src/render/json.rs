//! JSON for programs: the same conventions in every command.
//!
//! * a document, or each line where the answer is a list, starts with `"schema": "coroner/COMMAND/1"`;
//! * a byte range is `{"start": N, "end": M}`, end exclusive, decimal;
//! * bytes of a file are text; where they are not UTF-8 or hold control bytes, each such byte stands as the character
//!   of its number (`\u00XX`), and a member `raw` beside it gives all bytes in base64: a string in an object with one
//!   text, an object by member name in an object with several;
//! * a time is `{"seconds": N, "rfc3339": "…"}`.

use std::fmt::Display;
use std::io;

use data_encoding::BASE64;
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Map, Value as Json, json};

use super::text::rfc3339;
use crate::formats::finding::{Finding, Severity};
use crate::formats::image::Span;
use crate::formats::tile::{Field, Tile, Value};
use crate::ops::findings::Findings;

/// An object under construction; members keep their order.
#[derive(Default)]
pub struct Object {
    members: Map<String, Json>,
    raw: Map<String, Json>,
}

impl Object {
    /// An object without members.
    pub fn new() -> Self {
        Object::default()
    }

    /// The beginning of what `command` prints.
    pub fn schema(command: &str) -> Self {
        Object::new().with("schema", format!("coroner/{command}/1"))
    }

    /// Adds a member.
    pub fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a member if there is a value for it.
    pub fn with_some(self, name: &str, value: Option<impl Into<Json>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds bytes of a file as text, and remembers them for `raw` if text cannot hold them.
    pub fn bytes(mut self, name: &str, bytes: &[u8]) -> Self {
        let (text, raw) = text(bytes);
        if let Some(raw) = raw {
            self.raw.insert(name.to_owned(), raw.into());
        }
        self.with(name, text)
    }

    /// Adds bytes of a file if there are any.
    pub fn bytes_some(self, name: &str, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.bytes(name, bytes),
            None => self,
        }
    }

    /// The finished object.
    pub fn done(mut self) -> Json {
        if !self.raw.is_empty() {
            self.members.insert("raw".to_owned(), Json::Object(self.raw));
        }
        Json::Object(self.members)
    }
}

/// Bytes as text, and in base64 if the text alone would not give them back.
pub fn text(bytes: &[u8]) -> (String, Option<String>) {
    let mut text = String::with_capacity(bytes.len());
    let mut plain = true;
    for chunk in bytes.utf8_chunks() {
        plain &= chunk.invalid().is_empty() && !chunk.valid().chars().any(char::is_control);
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&byte| char::from(byte)));
    }
    (text, (!plain).then(|| BASE64.encode(bytes)))
}

/// A byte range.
pub fn span(span: Span) -> Json {
    json!({"start": span.start, "end": span.end})
}

/// A time, in seconds and as a date.
pub fn time(seconds: u64) -> Json {
    json!({"seconds": seconds, "rfc3339": rfc3339(seconds)})
}

/// A tile, without its schema.
pub fn tile(object: Object, tile: &Tile<'_>) -> Object {
    let fields: Vec<Json> = tile.fields.iter().map(field).collect();
    object
        .with("span", span(tile.span))
        .with("kind", tile.kind.as_str())
        .with("label", &*tile.label)
        .with("fields", fields)
}

fn field(field: &Field<'_>) -> Json {
    let object = Object::new().with("name", &*field.name).with("span", span(field.span));
    match &field.value {
        Value::Int(n) | Value::Offset(n) | Value::Hex(n) => object.with("value", *n),
        Value::Time(n) => object.with("value", time(*n)),
        Value::Text(text) => object.with("value", &**text),
        Value::Bytes(bytes) => {
            let (text, raw) = text(bytes);
            object.with("value", text).with_some("raw", raw)
        }
    }
    .done()
}

/// A header's facts as an object by name.
pub fn facts(fields: &[Field<'_>]) -> Json {
    let with = |object: Object, fact: &Field<'_>| {
        let name = fact.name.replace(' ', "_");
        match &fact.value {
            Value::Int(n) | Value::Offset(n) | Value::Hex(n) => object.with(&name, *n),
            Value::Time(n) => object.with(&name, time(*n)),
            Value::Text(text) => object.with(&name, &**text),
            Value::Bytes(bytes) => object.bytes(&name, bytes),
        }
    };
    fields.iter().fold(Object::new(), with).done()
}

/// A finding.
pub fn finding(finding: &Finding) -> Json {
    let trail: Vec<Json> = finding.trail.iter().map(|step| json!({"what": step.what, "at": step.at})).collect();
    Object::new()
        .with("code", finding.rule.code)
        .with("name", finding.rule.name)
        .with("severity", finding.severity().as_str())
        .with("span", span(finding.span))
        .with("message", &*finding.message)
        .with("expected", finding.expected.clone())
        .with("found", finding.found.clone())
        .with("trail", trail)
        .with("advice", finding.rule.advice)
        .done()
}

/// The verdict's word: `damaged`, `suspect` where there are only warnings, `clean`.
pub fn verdict(findings: &Findings) -> &'static str {
    match findings.worst() {
        Some(Severity::Error) => "damaged",
        Some(Severity::Warning) => "suspect",
        Some(Severity::Note) | None => "clean",
    }
}

/// A map of counts in its own order.
pub fn counts<K: Display>(counts: impl IntoIterator<Item = (K, u64)>) -> Json {
    Json::Object(counts.into_iter().map(|(name, count)| (name.to_string(), count.into())).collect())
}

/// A document in one line, in which every byte that is not ASCII text is escaped up to U+00FF.
pub fn line(document: &Json) -> String {
    let mut line = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Escaping);
    let written = document.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "writing to memory");
    String::from_utf8_lossy(&line).into_owned()
}

/// Writes DEL and U+0080 to U+00FF as `\u00XX`, as control characters are: a terminal obeys some of them.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| ('\x7f'..='\u{ff}').contains(c)) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            write!(writer, "\\u{:04x}", c as u32)?;
            plain = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_raw() {
        assert_eq!(text("user.bob".as_bytes()), ("user.bob".into(), None));
        assert_eq!(text("user.bj\u{f6}rn".as_bytes()), ("user.bj\u{f6}rn".into(), None));
    }

    #[test]
    fn control_bytes_and_other_encodings_stand_as_their_numbers_beside_base64() {
        let line = Object::new().bytes("key", b"Nuser\x1fbob").bytes("value", b"\xffa").done();
        let expected = r#"{"key":"Nuser\u001fbob","value":"\u00ffa","raw":{"key":"TnVzZXIfYm9i","value":"/2E="}}"#;
        assert_eq!(super::line(&line), expected);
    }
}
