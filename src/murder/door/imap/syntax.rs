//! Tags, words and strings of lines that `imap-codec` has no types for.

/// The pieces of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strings<'l> {
    rest: &'l [u8],
}

/// The text of a line up to its end, without that.
pub(super) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What stands in front of the first space, and what behind it.
pub(super) fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or((line, b""));
    (word, rest.strip_prefix(b" ").unwrap_or(rest))
}

impl<'l> Strings<'l> {
    /// The strings of a text, with single spaces between them.
    pub fn of(rest: &'l [u8]) -> Self {
        Strings { rest }
    }

    /// All of them; `None` if something else stands among them.
    pub fn all(mut self) -> Option<Vec<Vec<u8>>> {
        let mut strings = Vec::new();
        while !self.rest.is_empty() {
            strings.push(self.string()?);
            if !self.rest.is_empty() {
                self.rest = self.rest.strip_prefix(b" ")?;
            }
        }
        Some(strings)
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        match self.rest.first()? {
            b'"' => self.quoted(),
            b'{' => self.literal(),
            _ => self.atom(),
        }
    }

    fn atom(&mut self) -> Option<Vec<u8>> {
        let special = |&byte: &u8| matches!(byte, b' ' | b'(' | b')' | b'{' | b'"' | b'\\' | 0x7F..) || byte < b' ';
        let end = self.rest.iter().position(special).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!atom.is_empty()).then(|| atom.to_vec())
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut string = Vec::new();
        let mut bytes = self.rest.get(1..)?;
        loop {
            let (&byte, rest) = bytes.split_first()?;
            bytes = rest;
            match byte {
                b'"' => break,
                b'\\' => {
                    let (&escaped, rest) = bytes.split_first()?;
                    bytes = rest;
                    string.push(escaped);
                }
                0 | b'\r' | b'\n' => return None,
                byte => string.push(byte),
            }
        }
        self.rest = bytes;
        Some(string)
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let close = self.rest.iter().position(|&byte| byte == b'}')?;
        let digits = self.rest.get(1..close)?;
        let digits = digits.strip_suffix(b"+").unwrap_or(digits);
        let len: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let body = self.rest.get(close..)?.strip_prefix(b"}")?;
        let body = body.strip_prefix(b"\r").unwrap_or(body).strip_prefix(b"\n")?;
        let (literal, rest) = body.split_at_checked(len)?;
        self.rest = rest;
        (!literal.contains(&0)).then(|| literal.to_vec())
    }
}
