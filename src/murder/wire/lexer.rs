//! Bytes in pieces of any size to lines (`imap/mupdate.c`, `cmdloop`; `imap/imapparse.c`, `getword`, `getxstring`,
//! `eatline`; `imap/mupdate-client.c`, `mupdate_scarf`).

use super::line::{Flaw, Form, Line};

/// Which side's lines are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grammar {
    /// Commands: words end at brackets and quotes, items are quoted or literals, `{n}` asks for a go-ahead.
    Command,
    /// Replies: items may also be plain text.
    Reply,
}

/// How much is read before the other side is taken for hostile; all in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest tag or command.
    pub word: usize,
    /// Longest quoted string or literal.
    pub string: usize,
    /// Longest line, literals included.
    pub line: usize,
}

impl Limits {
    /// Those of Cyrus (`maxword`, `maxquoted`, `maxliteral`: 128 KiB), and for the whole line what two such strings need.
    pub const CYRUS: Limits = Limits { word: 131_072, string: 131_072, line: 400_000 };
    /// Before login.
    pub const STRANGER: Limits = Limits { word: 131_072, string: 32_768, line: 140_000 };
}

/// The other side sends more than it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooLong {
    /// A tag or command.
    #[error("word too long")]
    Word,
    /// A quoted string or a literal.
    #[error("string too long")]
    String,
    /// A line.
    #[error("command too long")]
    Line,
}

/// What was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The other side waits for `+ go ahead`.
    GoAhead,
    /// A line is complete: [`Lexer::line`].
    Line,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Tag,
    Word,
    Item,
    Quoted,
    Escaped,
    Raw,
    Count {
        count: u32,
        digits: bool,
    },
    CountPlus {
        count: u32,
    },
    CountClosed {
        count: u32,
        plus: bool,
    },
    CountReturn {
        count: u32,
        plus: bool,
    },
    Body {
        left: usize,
    },
    Behind,
    Return,
    /// The rest of a line that is of no use.
    Eat(Eaten),
    /// A literal in it.
    Skip {
        left: usize,
    },
    Done,
}

/// How much of `{n+}` CR was just eaten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Eaten {
    Nothing,
    Count(u32),
    Plus(u32),
    Closed(u32),
    Return(u32),
}

/// How many items a command of this word may have.
pub type Arity = fn(&[u8]) -> usize;

/// Makes lines of bytes.
#[derive(Debug)]
pub struct Lexer {
    grammar: Grammar,
    limits: Limits,
    arity: Arity,
    input: Vec<u8>,
    at: usize,
    state: State,
    line: Line,
    allowed: usize,
}

impl Lexer {
    /// A lexer at the beginning of a line.
    pub fn new(grammar: Grammar, limits: Limits, arity: Arity) -> Self {
        let (input, line) = (Vec::new(), Line::default());
        Lexer { grammar, limits, arity, input, at: 0, state: State::Tag, line, allowed: 0 }
    }

    /// Sets what is allowed from the next line on.
    pub fn allow(&mut self, limits: Limits, arity: Arity) {
        (self.limits, self.arity) = (limits, arity);
    }

    /// Takes what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.input.len() {
            self.input.clear();
            self.input.shrink_to(ROOM);
            self.at = 0;
        } else if self.at > self.input.len() / 2 {
            self.input.drain(..self.at);
            self.at = 0;
        }
        self.input.extend_from_slice(bytes);
    }

    /// Bytes that were fed and not read yet; they are gone from here.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.input.split_off(self.at.min(self.input.len()));
        self.input = Vec::new();
        self.at = 0;
        rest
    }

    /// Whether everything fed was read.
    pub fn is_empty(&self) -> bool {
        self.at >= self.input.len()
    }

    /// The line that [`Event::Line`] announced.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// A line as it stands, without its end; `None` until there is one.
    ///
    /// # Errors
    /// If it is longer than a string may be.
    pub fn next_plain(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > self.limits.string { Err(TooLong::String) } else { Ok(None) };
        };
        if end > self.limits.string {
            return Err(TooLong::String);
        }
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
        self.at = self.at.saturating_add(end).saturating_add(1);
        Ok(Some(line))
    }

    /// Reads on to the next event; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When something is too long; nothing more can then be read.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLong> {
        if self.state == State::Done {
            self.line.clear();
            self.state = State::Tag;
        }
        while let Some(event) = self.step()? {
            match event {
                Progress::On => {}
                Progress::Event(event) => return Ok(Some(event)),
            }
        }
        Ok(None)
    }

    /// One step; `None` when more bytes are needed.
    fn step(&mut self) -> Result<Option<Progress>, TooLong> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let Some(&byte) = rest.first() else { return Ok(None) };
        match self.state {
            State::Tag | State::Word => self.word()?,
            State::Quoted | State::Raw => self.text()?,
            State::Body { left } => {
                let piece = rest.get(..left.min(rest.len())).unwrap_or_default();
                self.line.push(piece);
                self.at = self.at.saturating_add(piece.len());
                match left.saturating_sub(piece.len()) {
                    0 => self.end_item(),
                    left => self.state = State::Body { left },
                }
            }
            State::Skip { left } => {
                let skipped = left.min(rest.len());
                self.at = self.at.saturating_add(skipped);
                self.state = match left.saturating_sub(skipped) {
                    0 => State::Eat(Eaten::Nothing),
                    left => State::Skip { left },
                };
            }
            State::Eat(eaten) => {
                self.at = self.at.saturating_add(1);
                return self.eat(eaten, byte);
            }
            _ => return self.one(byte),
        }
        Ok(Some(Progress::On))
    }

    /// States that take one byte.
    fn one(&mut self, byte: u8) -> Result<Option<Progress>, TooLong> {
        let next = match (self.state, byte) {
            (State::Item, b'"') => {
                self.line.begin_item(Form::Quoted);
                State::Quoted
            }
            (State::Item, b'{') if self.whole_literal() => return Ok(Some(Progress::On)),
            (State::Item, b'{') => {
                self.line.begin_item(Form::Literal);
                State::Count { count: 0, digits: false }
            }
            (State::Item, _) if self.grammar == Grammar::Reply => {
                self.line.begin_item(Form::Raw);
                self.state = State::Raw;
                return Ok(Some(Progress::On));
            }
            (State::Escaped, _) if !matches!(byte, b'\r' | b'\n') => {
                self.line.push(&[byte]);
                State::Quoted
            }
            (State::Count { count, .. }, b'0'..=b'9') => {
                let digit = u32::from(byte.saturating_sub(b'0'));
                let count = count.checked_mul(10).and_then(|count| count.checked_add(digit)).ok_or(TooLong::String)?;
                State::Count { count, digits: true }
            }
            (State::Count { count, digits: true }, b'+') => State::CountPlus { count },
            (State::Count { count, digits: true }, b'}') => State::CountClosed { count, plus: false },
            (State::CountPlus { count }, b'}') => State::CountClosed { count, plus: true },
            (State::CountClosed { count, plus }, b'\r') => State::CountReturn { count, plus },
            (State::CountClosed { count, plus } | State::CountReturn { count, plus }, b'\n') => {
                self.at = self.at.saturating_add(1);
                return self.begin_literal(count, plus).map(Some);
            }
            (State::Behind, b' ') => self.next_item(),
            (State::Behind, b'\r') => State::Return,
            (State::Behind | State::Return, b'\n') => {
                self.at = self.at.saturating_add(1);
                return Ok(Some(self.done()));
            }
            _ => {
                let unreadable = !matches!(self.state, State::Behind | State::Return | State::Item);
                if unreadable {
                    self.line.drop_item();
                }
                let begun = usize::from(unreadable || self.state == State::Item);
                self.junk(self.line.count().saturating_add(begun));
                return Ok(Some(Progress::On));
            }
        };
        self.state = next;
        self.at = self.at.saturating_add(1);
        Ok(Some(Progress::On))
    }

    /// Tag and command.
    fn word(&mut self) -> Result<(), TooLong> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let command = self.grammar == Grammar::Command;
        let ends = |byte: &u8| match byte {
            b' ' | b'\r' | b'\n' => true,
            b'\t' | 0x0B | 0x0C | b'(' | b')' | b'"' => command,
            _ => false,
        };
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        let piece = rest.get(..len).unwrap_or_default();
        let start = if self.state == State::Tag { 0 } else { self.line.tag().len() };
        if self.line.len().saturating_sub(start).saturating_add(len) > self.limits.word {
            return Err(TooLong::Word);
        }
        self.line.push(piece);
        let end = rest.get(len).copied();
        self.at = self.at.saturating_add(len);
        let Some(end) = end else { return Ok(()) };
        if self.state == State::Tag {
            self.line.end_tag();
            if end == b' ' {
                self.at = self.at.saturating_add(1);
                self.state = State::Word;
            } else {
                self.flawed(Flaw::NoCommand);
            }
            return Ok(());
        }
        self.line.end_word();
        if self.line.word().is_empty() && command {
            self.flawed(Flaw::EmptyCommand);
            return Ok(());
        }
        self.allowed = if command { (self.arity)(self.line.word()) } else { usize::MAX };
        self.state = State::Behind;
        Ok(())
    }

    /// Quoted strings and plain text.
    fn text(&mut self) -> Result<(), TooLong> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let quoted = self.state == State::Quoted;
        let found = match quoted {
            true => {
                let end = memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
                memchr::memchr(b'\r', rest.get(..end).unwrap_or_default()).unwrap_or(end)
            }
            false => memchr::memchr3(b' ', b'\r', b'\n', rest).unwrap_or(rest.len()),
        };
        let piece = rest.get(..found).unwrap_or_default();
        let end = rest.get(found).copied();
        self.line.push(piece);
        self.at = self.at.saturating_add(found);
        self.check_len()?;
        match end {
            None => {}
            Some(b'"') if quoted => {
                self.at = self.at.saturating_add(1);
                self.end_item();
            }
            Some(b'\\') if quoted => {
                self.at = self.at.saturating_add(1);
                self.state = State::Escaped;
            }
            Some(_) if quoted => {
                self.line.drop_item();
                self.junk(self.line.count().saturating_add(1));
            }
            Some(_) => self.end_item(),
        }
        Ok(())
    }

    fn check_len(&self) -> Result<(), TooLong> {
        // Items but the last one were checked before.
        let last = self.line.count().checked_sub(1);
        let begun = last.map_or(0, |last| self.line.items().take(last).map(|(item, _)| item.len()).sum::<usize>());
        let heads = self.line.tag().len().saturating_add(self.line.word().len());
        let len = self.line.len().saturating_sub(begun).saturating_sub(heads);
        if len > self.limits.string {
            return Err(TooLong::String);
        }
        if self.line.len() > self.limits.line { Err(TooLong::Line) } else { Ok(()) }
    }

    /// Takes a `{n+}` literal that has arrived whole, as the lists of servers are made of them; anything else is left to be
    /// read piece by piece.
    fn whole_literal(&mut self) -> bool {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let Some(digits) = rest.iter().skip(1).take(DIGITS_MAX).position(|byte| !byte.is_ascii_digit()) else {
            return false;
        };
        let (head, rest) = rest.split_at_checked(digits.saturating_add(1)).unwrap_or_default();
        let number = head.iter().skip(1).fold(0, |number: usize, digit| {
            number.saturating_mul(10).saturating_add(usize::from(digit.saturating_sub(b'0')))
        });
        let whole = rest.strip_prefix(b"+}\r\n").and_then(|rest| rest.get(..number));
        let Some(bytes) = whole.filter(|_| digits > 0) else { return false };
        if number > self.limits.string || self.line.len().saturating_add(number) > self.limits.line {
            return false;
        }
        self.line.begin_item(Form::LiteralPlus);
        self.line.push(bytes);
        self.at = self.at.saturating_add(head.len()).saturating_add(4).saturating_add(number);
        self.end_item();
        true
    }

    fn begin_literal(&mut self, count: u32, plus: bool) -> Result<Progress, TooLong> {
        let len = usize::try_from(count).unwrap_or(usize::MAX);
        if len > self.limits.string {
            return Err(TooLong::String);
        }
        if self.line.len().saturating_add(len) > self.limits.line {
            return Err(TooLong::Line);
        }
        self.line.drop_item();
        self.line.begin_item(if plus { Form::LiteralPlus } else { Form::Literal });
        if len == 0 {
            self.end_item();
        } else {
            self.state = State::Body { left: len };
        }
        let ask = !plus && self.grammar == Grammar::Command;
        Ok(if ask { Progress::Event(Event::GoAhead) } else { Progress::On })
    }

    fn end_item(&mut self) {
        self.line.end_item();
        self.state = State::Behind;
    }

    /// Behind a space: an item, or one too many.
    fn next_item(&mut self) -> State {
        if self.line.count() >= self.allowed.min(ITEMS_MAX) {
            self.line.set_flaw(Flaw::Junk { begun: self.line.count().saturating_add(1) });
            return State::Eat(Eaten::Nothing);
        }
        State::Item
    }

    fn junk(&mut self, begun: usize) {
        self.flawed(Flaw::Junk { begun });
    }

    fn flawed(&mut self, flaw: Flaw) {
        self.line.set_flaw(flaw);
        self.state = State::Eat(Eaten::Nothing);
    }

    fn done(&mut self) -> Progress {
        self.state = State::Done;
        Progress::Event(Event::Line)
    }

    /// A byte of a line that is of no use; a literal at its end belongs to it.
    fn eat(&mut self, eaten: Eaten, byte: u8) -> Result<Option<Progress>, TooLong> {
        let next = match (eaten, byte) {
            (Eaten::Closed(count) | Eaten::Return(count), b'\n') => {
                let left = usize::try_from(count).unwrap_or(usize::MAX);
                if left > self.limits.string {
                    return Err(TooLong::String);
                }
                self.state = if left == 0 { State::Eat(Eaten::Nothing) } else { State::Skip { left } };
                return Ok(Some(Progress::On));
            }
            (_, b'\n') => return Ok(Some(self.done())),
            (_, b'{') => Eaten::Count(0),
            (Eaten::Count(count), b'0'..=b'9') => {
                let digit = u32::from(byte.saturating_sub(b'0'));
                Eaten::Count(count.checked_mul(10).and_then(|count| count.checked_add(digit)).ok_or(TooLong::String)?)
            }
            (Eaten::Count(count), b'+') => Eaten::Plus(count),
            (Eaten::Plus(count), b'}') => Eaten::Closed(count),
            (Eaten::Closed(count), b'\r') => Eaten::Return(count),
            _ => Eaten::Nothing,
        };
        self.state = State::Eat(next);
        Ok(Some(Progress::On))
    }
}

enum Progress {
    On,
    Event(Event),
}

/// More items than this has no line.
const ITEMS_MAX: usize = 64;
/// Digits of the longest string there is.
const DIGITS_MAX: usize = 10;
/// Bytes of room that an empty lexer keeps.
const ROOM: usize = 4096;
