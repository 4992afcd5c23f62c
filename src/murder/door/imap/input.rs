//! Bytes to lines with the literals in them, for both sides.

use imap_codec::fragmentizer::{FragmentInfo, Fragmentizer};
use imap_codec::imap_types::core::LiteralMode;

/// What is too long to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    /// A line between literals.
    pub line: usize,
    /// A literal.
    pub literal: usize,
    /// Lines and literals that belong together.
    pub whole: usize,
    /// What has arrived and was not looked at.
    pub rest: usize,
}

/// Something is too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// A line is complete, with its literals: [`Input::message`].
    Line,
    /// The other side waits to be told that its literal is welcome.
    GoAhead,
}

/// Lines that arrive in pieces.
///
/// Not a byte behind the line that is looked at is given to the fragmentizer, so that limits can change between two lines.
#[derive(Debug)]
pub(super) struct Input {
    fragments: Fragmentizer,
    /// Where the line behind the last literal begins.
    start: usize,
    /// Where the literal that is read ends.
    literal: Option<usize>,
    rest: Vec<u8>,
    at: usize,
    limits: Limits,
    overrun: bool,
}

impl Input {
    pub fn new(limits: Limits) -> Self {
        Input {
            fragments: Fragmentizer::without_max_message_size(),
            start: 0,
            literal: None,
            rest: Vec::new(),
            at: 0,
            limits,
            overrun: false,
        }
    }

    /// From now on other things are too long.
    pub fn allow(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            drop(self.rest.drain(..self.at.min(self.rest.len())));
            self.at = 0;
        }
        if self.overrun || self.rest.len().saturating_add(bytes.len()) > self.limits.rest {
            (self.overrun, self.rest) = (true, Vec::new());
            return;
        }
        self.rest.extend_from_slice(bytes);
    }

    /// Goes on to what comes next; `None` until more arrives.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLong> {
        if self.overrun {
            return Err(TooLong);
        }
        loop {
            if self.fragments.is_message_complete() {
                (self.start, self.literal) = (0, None);
            }
            let found = self.fragments.progress();
            self.check()?;
            match found {
                Some(FragmentInfo::Line { announcement: None, .. }) => return Ok(Some(Event::Line)),
                Some(FragmentInfo::Line { end, announcement: Some(announced), .. }) => {
                    let len = usize::try_from(announced.length).unwrap_or(usize::MAX);
                    let literal = end.saturating_add(len);
                    if len > self.limits.literal || literal > self.limits.whole {
                        return Err(TooLong);
                    }
                    self.literal = Some(literal);
                    if announced.mode == LiteralMode::Sync {
                        return Ok(Some(Event::GoAhead));
                    }
                }
                Some(FragmentInfo::Literal { end, .. }) => (self.start, self.literal) = (end, None),
                None if self.at >= self.rest.len() => return Ok(None),
                None => self.enqueue(),
            }
        }
    }

    /// The line that is complete.
    pub fn message(&self) -> &[u8] {
        self.fragments.message_bytes()
    }

    /// Forgets the line whose literal is not welcome.
    pub fn refuse(&mut self) {
        self.fragments.skip_message();
        (self.start, self.literal) = (0, None);
    }

    fn check(&self) -> Result<(), TooLong> {
        let len = self.message().len();
        let line = if self.literal.is_some() { 0 } else { len.saturating_sub(self.start) };
        if line > self.limits.line || len > self.limits.whole { Err(TooLong) } else { Ok(()) }
    }

    /// Hands over what belongs to the line or literal that is read, at most.
    fn enqueue(&mut self) {
        let rest = self.rest.get(self.at..).unwrap_or_default();
        let len = match self.literal {
            Some(end) => end.saturating_sub(self.message().len()).min(rest.len()),
            None => memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at.saturating_add(1)),
        };
        // Longer than any line that is allowed: what follows makes no difference.
        let len = if self.literal.is_some() { len } else { len.min(self.limits.line.saturating_add(1)) };
        self.fragments.enqueue_bytes(rest.get(..len).unwrap_or_default());
        self.at = self.at.saturating_add(len);
    }
}
