//! What a value looks like from outside: as much as telling whole values from cut and glued ones needs.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr3_iter, memrchr};

/// Length of the dlist `%(…)` that `value` starts with, up to its closing bracket; `None` if it starts with none or if
/// the dlist is not closed. `value` is unescaped.
///
/// Brackets count outside of quoted strings and literals (`lib/dlist.c`, `dlist_parse`).
pub fn dlist_len(value: &[u8]) -> Option<usize> {
    dlist(value).map(|(len, _)| len)
}

/// The same, and whether it holds bytes outside of literals that a Cyrus only writes in literals.
fn dlist(value: &[u8]) -> Option<(usize, bool)> {
    if !value.starts_with(b"%(") {
        return None;
    }
    let mut depth = 0usize;
    let mut at = 0usize;
    let mut odd = false;
    while let Some(&byte) = value.get(at) {
        at = at.checked_add(1)?;
        if PLAIN[usize::from(byte)] {
            continue;
        }
        match byte {
            b'(' => depth = depth.checked_add(1)?,
            b')' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((at, odd));
                }
            }
            b'"' => {
                let end = behind_quoted(value, at)?;
                odd |= value.get(at..end)?.iter().any(|&b| is_odd_in_dlist(b));
                at = end;
            }
            b'{' => at = behind_literal(value, at)?,
            byte => odd |= is_odd_in_dlist(byte),
        }
    }
    None
}

/// What is among some bytes, asked of many records at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Whether some byte is a control but TAB and LF, is none of ASCII, or means more in a dlist than brackets and quotes
    /// do.
    pub special: bool,
    /// Number of TABs.
    pub tabs: usize,
    /// Number of LFs.
    pub line_ends: usize,
}

impl Seen {
    /// Looks at bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut seen = Seen::default();
        // Blocks of one length, and counts that fit a byte: so the compiler looks at many bytes at once.
        let (blocks, rest) = bytes.as_chunks::<128>();
        blocks.iter().for_each(|block| seen.add(block));
        seen.add(rest);
        seen
    }

    /// Looks at up to 255 bytes more.
    #[inline(always)]
    fn add(&mut self, bytes: &[u8]) {
        let (mut special, mut tabs, mut line_ends) = (0, 0_u8, 0_u8);
        for &byte in bytes {
            let (tab, line_end) = (u8::from(byte == b'\t'), u8::from(byte == b'\n'));
            let control = u8::from(byte < 0x1D) ^ tab ^ line_end;
            special |= control | u8::from(byte > 0x7E) | u8::from(byte == b'\\') | u8::from(byte == b'{');
            tabs = tabs.wrapping_add(tab);
            line_ends = line_ends.wrapping_add(line_end);
        }
        self.special |= special != 0;
        self.tabs += usize::from(tabs);
        self.line_ends += usize::from(line_ends);
    }
}

/// Whether some byte is special as [`Seen`] has it.
pub fn holds_special(bytes: &[u8]) -> bool {
    Seen::of(bytes).special
}

/// Whether `value`, which [holds nothing special](holds_special), is a dlist and nothing else.
pub fn is_plain_dlist(value: &[u8]) -> bool {
    // Most end with the brackets of the ACL and of all: few are left to look for.
    let Some(rest) = value.strip_prefix(b"%(").and_then(|rest| rest.strip_suffix(b")")) else { return false };
    let (inner, open) = rest.strip_suffix(b")").map_or((rest, 1), |inner| (inner, 2usize));
    let (mut depth, mut quoted) = (1usize, false);
    let nested = memchr3_iter(b'(', b')', b'"', inner).all(|at| {
        match inner.get(at) {
            Some(b'"') => quoted = !quoted,
            _ if quoted => {}
            Some(b'(') => depth = depth.saturating_add(1),
            _ => depth = depth.saturating_sub(1),
        }
        depth > 0
    });
    nested && depth == open && !quoted
}

/// Bytes that say nothing of where a dlist ends, and occur in any.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let special = matches!(byte as u8, b'(' | b')' | b'"' | b'{');
        plain[byte] = !special && !is_odd_in_dlist(byte as u8);
        byte += 1;
    }
    plain
};

/// Offset behind the quoted string whose first byte is at `at`.
fn behind_quoted(value: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let byte = *value.get(at)?;
        at = at.checked_add(if byte == b'\\' { 2 } else { 1 })?;
        if byte == b'"' {
            return Some(at);
        }
    }
}

/// Offset behind the literal `{N}CRLF…` or `{N+}CRLF…` whose count starts at `at`; `at` itself if it is none.
fn behind_literal(value: &[u8], at: usize) -> Option<usize> {
    let rest = value.get(at..)?;
    let (len, used) = leading_number(rest)?;
    let tail = rest.get(used..)?;
    let head = if tail.starts_with(b"}\r\n") {
        3usize
    } else if tail.starts_with(b"+}\r\n") {
        4
    } else {
        return Some(at);
    };
    let end = at.checked_add(used)?.checked_add(head)?.checked_add(usize::try_from(len).ok()?)?;
    (end <= value.len()).then_some(end)
}

/// The decimal number that `bytes` start with, and how many bytes it takes; 0 of 0 bytes if there is none, `None` on
/// overflow.
pub fn leading_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit());
    digits
        .clone()
        .try_fold(0u64, |n, &b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
        .map(|n| (n, digits.count()))
}

/// Whether `value` starts as the records of 2.0 to 2.4 do: a number, and a space.
pub fn is_numbered(value: &[u8]) -> bool {
    matches!(leading_number(value), Some((_, used)) if used > 0 && value.get(used) == Some(&b' '))
}

/// Whether `value` starts as a record of some Cyrus does: a dlist, the bracket of the 2011 snapshots, or a numbered line.
pub fn is_record(value: &[u8]) -> bool {
    value.starts_with(b"%(") || value.starts_with(b"(") || is_numbered(value)
}

/// Whether a value looks as it was written: a closed dlist, or a numbered line whose ACL has its last TAB.
pub fn looks_whole(value: &[u8]) -> bool {
    dlist_len(value) == Some(value.len()) || (is_numbered(value) && value.ends_with(b"\t"))
}

/// What a value looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As a Cyrus writes it: a closed dlist, a numbered line whose ACL is pairs, or nothing at all.
    Whole,
    /// It begins as one of those, but does not go on like it.
    Spoilt,
    /// Nothing that mailboxes.db holds.
    Foreign,
}

/// What an unescaped value looks like.
pub fn judge(value: &[u8]) -> Verdict {
    let whole = if value.starts_with(b"%(") {
        dlist(value) == Some((value.len(), false))
    } else if is_numbered(value) {
        is_numbered_whole(value)
    } else {
        return if value.is_empty() { Verdict::Whole } else { Verdict::Foreign };
    };
    if whole { Verdict::Whole } else { Verdict::Spoilt }
}

/// Whether `byte` occurs in dlists only within literals (`lib/dlist.c`, `dlist_print`, quotes no byte from 0x80 up).
#[inline]
const fn is_odd_in_dlist(byte: u8) -> bool {
    byte >= 0x7F || (byte < 0x1D && !matches!(byte, b'\t' | b'\n' | b'\r'))
}

/// Whether a location and an ACL of pairs follow the number; the last TAB may be missing, as editors strip it.
fn is_numbered_whole(value: &[u8]) -> bool {
    let mut words = value.splitn(3, |&b| b == b' ').skip(1);
    let location =
        words.next().is_some_and(|location| !location.is_empty() && !location.iter().any(u8::is_ascii_control));
    let acl = words.next().unwrap_or_default();
    let mut fields = acl.strip_suffix(b"\t").unwrap_or(acl).split(|&b| b == b'\t');
    let is_right = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let mut pairs = std::iter::from_fn(|| fields.next().map(|identifier| (identifier, fields.next())));
    let paired = pairs.all(|(identifier, rights)| {
        !identifier.iter().any(u8::is_ascii_control) && rights.is_some_and(|rights| rights.iter().all(is_right))
    });
    location && (acl.is_empty() || paired)
}

/// Where a second record begins inside the value of a line whose LF is lost: the range of its key within the value.
///
/// A dlist that is closed has nothing behind it, and a line holds no raw TAB in it. A value up to 2.4 never has `number SP`
/// behind one of its TABs, since what stands there are identifiers and rights.
pub fn glued(value: &[u8]) -> Option<Range<usize>> {
    let tab = memchr(b'\t', value)?;
    if value.starts_with(b"%(") {
        let start = dlist_len(value).filter(|&end| end <= tab);
        return Some(start.unwrap_or(tab)..tab);
    }
    let mut fields = memchr_iter(b'\t', value);
    let second = fields.find(|&tab| value.get(tab.saturating_add(1)..).is_some_and(is_record))?;
    let start = value.get(..second).and_then(|front| memrchr(b'\t', front));
    Some(start.map_or(second, |start| start.saturating_add(1))..second)
}

/// Whether `byte` does not occur in the names of any Cyrus: controls but its separators 0x1D, 0x1E and 0x1F.
#[inline]
pub fn is_odd_in_key(byte: u8) -> bool {
    byte < 0x1D || byte == 0x7F
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dlist_ends_at_its_own_bracket() {
        assert_eq!(dlist_len(b"%(T e)"), Some(6));
        assert_eq!(dlist_len(b"%(A %(x lrs)) rest"), Some(13));
        assert_eq!(dlist_len(b"%(A \")\\\")\" B c)"), Some(15));
        assert_eq!(dlist_len(b"%(A {3}\r\n)))) B"), Some(13));
        assert_eq!(dlist_len(b"%(A {3+}\r\n)))) B"), Some(14));
        for open in
            [&b"%(T e"[..], b"%(A \")", b"%(A {9}\r\n))", b"T e)", b"", b"%(A (x)", b"%(A {99999999999999999999}\r\n)"]
        {
            assert_eq!(dlist_len(open), None, "{open:?}");
        }
    }

    #[test]
    fn what_is_seen_is_what_is_there_wherever_it_stands() {
        for (byte, seen) in [
            (b'\t', Seen { tabs: 1, ..Seen::default() }),
            (b'\n', Seen { line_ends: 1, ..Seen::default() }),
            (b'{', Seen { special: true, ..Seen::default() }),
            (b'x', Seen::default()),
        ] {
            for len in [2, 127, 128, 129, 300] {
                for at in [0, 1, len / 2, len - 1] {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    assert_eq!(Seen::of(&bytes), seen, "{byte} at {at} of {len}");
                }
            }
        }
        assert_eq!(Seen::of(&[b'\t'; 1000]), Seen { tabs: 1000, ..Seen::default() });
        assert_eq!(Seen::of(&[b'\n'; 1000]), Seen { line_ends: 1000, ..Seen::default() });
    }

    #[test]
    fn what_holds_nothing_special_needs_only_its_brackets_counted() {
        for byte in 0..=255 {
            let harmless =
                matches!(byte, b'\t' | b'\n') || (0x1D..0x7F).contains(&byte) && !matches!(byte, b'\\' | b'{');
            assert_eq!(holds_special(&[b'a', byte, b'b']), !harmless, "{byte:#x}");
        }
        for value in [
            &b"%(T e)"[..],
            b"%(A (x)",
            b"%(A ()) (x)",
            b"%(N \")(\" B c)",
            b"%(N \")",
            b"%(N \"a)",
            b"%(A %(x lrs) B c)",
            b"%()",
            b"%(",
            b"(A)",
            b"",
            b"%(a))",
        ] {
            assert_eq!(is_plain_dlist(value), judge(value) == Verdict::Whole && !value.is_empty(), "{value:?}");
        }
    }

    #[test]
    fn shapes_are_told_apart() {
        assert!(is_numbered(b"0 default anna\tlrs\t"));
        assert!(!is_numbered(b"default anna") && !is_numbered(b" 1") && !is_numbered(b"12"));
        for whole in [&b"%(T e)"[..], b"", b"0 p ", b"0 p", b"1 be1!p a\tlrs\tb\t\t", b"0 p a\tlrs"] {
            assert_eq!(judge(whole), Verdict::Whole, "{whole:?}");
        }
        for spoilt in [
            &b"%(T e"[..],
            b"%(T e))",
            b"%(T \x80)",
            b"0 p a",
            b"0 p a\tlrs\tb\t",
            b"0 \x01 a\tlrs\t",
            b"0 p a\tl\x80s\t",
        ] {
            assert_eq!(judge(spoilt), Verdict::Spoilt, "{spoilt:?}");
        }
        assert_eq!(judge(b"5"), Verdict::Foreign);
        assert!(is_record(b"%(T e)") && is_record(b"(uniqueid x) 0 default "));
    }
}
