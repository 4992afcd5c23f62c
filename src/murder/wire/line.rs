//! A logical line: tag, word, and what follows them, with the literals that belong to it.

use std::ops::Range;

/// How an item is spelt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `"…"`, with `\` in front of quotes and backslashes.
    Quoted,
    /// `{n}` CRLF and n bytes.
    Literal,
    /// `{n+}` CRLF and n bytes.
    LiteralPlus,
    /// Anything else up to a space: only replies have it.
    Raw,
}

/// What keeps a line from being a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Nothing stands behind the tag.
    NoCommand,
    /// Two spaces stand behind the tag.
    EmptyCommand,
    /// What follows the items is no item, or one too many.
    Junk {
        /// Items begun, the unreadable one included.
        begun: usize,
    },
}

#[derive(Clone, Debug)]
struct Item {
    bytes: Range<usize>,
    form: Form,
}

/// One line, decoded.
#[derive(Clone, Debug, Default)]
pub struct Line {
    bytes: Vec<u8>,
    tag_end: usize,
    word_end: usize,
    items: Vec<Item>,
    flaw: Option<Flaw>,
}

impl Line {
    /// Makes it empty again, keeping its room unless that is large.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(ROOM);
        self.items.clear();
        (self.tag_end, self.word_end, self.flaw) = (0, 0, None);
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn end_tag(&mut self) {
        (self.tag_end, self.word_end) = (self.bytes.len(), self.bytes.len());
    }

    pub(super) fn end_word(&mut self) {
        self.word_end = self.bytes.len();
    }

    pub(super) fn begin_item(&mut self, form: Form) {
        self.items.push(Item { bytes: self.bytes.len()..self.bytes.len(), form });
    }

    /// Ends the item that was begun last.
    pub(super) fn end_item(&mut self) {
        if let Some(item) = self.items.last_mut() {
            item.bytes.end = self.bytes.len();
        }
    }

    /// Takes the item begun last away again.
    pub(super) fn drop_item(&mut self) {
        if let Some(item) = self.items.pop() {
            self.bytes.truncate(item.bytes.start);
        }
    }

    pub(super) fn set_flaw(&mut self, flaw: Flaw) {
        self.flaw = Some(flaw);
    }

    /// Bytes of the line that were decoded so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The tag.
    pub fn tag(&self) -> &[u8] {
        self.bytes.get(..self.tag_end).unwrap_or_default()
    }

    /// The command, or the first word of a reply.
    pub fn word(&self) -> &[u8] {
        self.bytes.get(self.tag_end..self.word_end).unwrap_or_default()
    }

    /// Number of items behind the word.
    pub fn count(&self) -> usize {
        self.items.len()
    }

    /// An item's bytes, without quotes.
    pub fn item(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.items.get(index)?.bytes.clone())
    }

    /// How an item is spelt.
    pub fn form(&self, index: usize) -> Option<Form> {
        self.items.get(index).map(|item| item.form)
    }

    /// All items.
    pub fn items(&self) -> impl Iterator<Item = (&[u8], Form)> {
        self.items.iter().map(|item| (self.bytes.get(item.bytes.clone()).unwrap_or_default(), item.form))
    }

    /// What keeps it from being a command.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// The items from `index` on as one text, with spaces between them: how a reply without quotes says something.
    pub fn text(&self, index: usize) -> Vec<u8> {
        let items: Vec<&[u8]> = self.items().skip(index).map(|(item, _)| item).collect();
        items.join(&b' ')
    }
}

/// Bytes of room that an empty line keeps.
const ROOM: usize = 4096;
