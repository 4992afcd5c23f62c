//! Bytes to lines and messages.

use super::MESSAGE_MAX;

/// Longest line of a command or reply.
const LINE_MAX: usize = 4 << 10;
/// What may wait to be looked at.
const REST_MAX: usize = 32 << 20;

/// Lines and messages that arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct Input {
    rest: Vec<u8>,
    at: usize,
    line: Vec<u8>,
    too_long: bool,
    overrun: bool,
    data: Data,
}

/// Where a message is.
#[derive(Debug)]
struct Data {
    bytes: Vec<u8>,
    too_long: bool,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// A line begins.
    Begin,
    /// Behind the dot that begins a line.
    Dot,
    /// Behind that dot and a CR.
    DotReturn,
    Text,
    /// Behind a CR.
    Return,
}

impl Default for Data {
    fn default() -> Self {
        Data { bytes: Vec::new(), too_long: false, place: Place::Begin }
    }
}

/// A line, or that there was one that is too long.
pub(super) type Line = Result<Vec<u8>, TooLong>;

/// Something is too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

impl Input {
    /// Takes what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            drop(self.rest.drain(..self.at.min(self.rest.len())));
            self.at = 0;
        }
        if self.overrun || self.rest.len().saturating_add(bytes.len()) > REST_MAX {
            (self.overrun, self.rest) = (true, Vec::new());
            return;
        }
        self.rest.extend_from_slice(bytes);
    }

    /// Whether more came than can be kept.
    pub fn is_overrun(&self) -> bool {
        self.overrun
    }

    /// The next line without its end; `None` until more arrives.
    pub fn next_line(&mut self) -> Option<Line> {
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest);
        let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.at = self.at.saturating_add(piece.len()).saturating_add(usize::from(end.is_some()));
        if self.line.len().saturating_add(piece.len()) > LINE_MAX {
            self.too_long = true;
        } else if !self.too_long {
            self.line.extend_from_slice(piece);
        }
        end?;
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return Some(Err(TooLong));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(Ok(line))
    }

    /// The next message, without the line that ends it and the dots in front of others; `None` until more arrives.
    pub fn next_message(&mut self) -> Option<Line> {
        while let Some(&byte) = self.rest.get(self.at) {
            if self.data.place == Place::Text {
                self.text();
                continue;
            }
            self.at = self.at.saturating_add(1);
            if self.data.byte(byte) {
                let data = std::mem::take(&mut self.data);
                return Some(if data.too_long { Err(TooLong) } else { Ok(data.bytes) });
            }
        }
        None
    }

    /// What is nothing special, up to the next CR.
    fn text(&mut self) {
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(b'\r', rest);
        let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        self.data.keep(piece);
        self.at = self.at.saturating_add(piece.len());
        if end.is_some() {
            self.at = self.at.saturating_add(1);
            self.data.keep(b"\r");
            self.data.place = Place::Return;
        }
    }
}

impl Data {
    fn keep(&mut self, bytes: &[u8]) {
        if self.bytes.len().saturating_add(bytes.len()) > MESSAGE_MAX {
            (self.too_long, self.bytes) = (true, Vec::new());
        } else if !self.too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// A byte, where it makes a difference which; whether the message is complete.
    fn byte(&mut self, byte: u8) -> bool {
        match (self.place, byte) {
            (Place::Begin, b'.') => self.place = Place::Dot,
            (Place::Dot, b'\r') => self.place = Place::DotReturn,
            (Place::DotReturn, b'\n') => return true,
            (place, byte) => {
                if place == Place::DotReturn {
                    self.keep(b"\r");
                }
                self.keep(&[byte]);
                self.place = match (place, byte) {
                    (_, b'\r') => Place::Return,
                    (Place::Return | Place::DotReturn, b'\n') => Place::Begin,
                    _ => Place::Text,
                };
            }
        }
        false
    }
}
