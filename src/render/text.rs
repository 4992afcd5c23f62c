//! Words for people: nothing a file holds reaches a terminal unescaped.

use crate::formats::finding::{Finding, Severity};
use crate::formats::tile::Value;
use crate::ops::findings::Findings;

/// Bytes of a file as one line of text: UTF-8 stays, control bytes and everything else become `\xNN`.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() && (c as u32) < 0x100 => push_escaped(&mut text, c.to_string().as_bytes()),
                c => text.push(c),
            }
        }
        push_escaped(&mut text, chunk.invalid());
    }
    text
}

/// Words of ours, in which what a file holds is already escaped, as one line without anything that a terminal obeys.
pub fn words(text: &str) -> String {
    let tamed = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
    text.chars().map(tamed).collect()
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        text.push_str("\\x");
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
}

/// What `printable` made, taken back: `\xNN` is a byte and `\\` a backslash; anything else stands for itself.
pub fn unprintable(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |index: usize| rest.get(index).and_then(|&b| char::from(b).to_digit(16));
        let escape = rest.get(1).filter(|_| first == b'\\');
        let (byte, behind) = match (escape, digit(2), digit(3)) {
            (Some(b'\\'), _, _) => (b'\\', rest.get(2..)),
            (Some(b'x'), Some(high), Some(low)) => ((high * 16 + low) as u8, rest.get(4..)),
            _ => (first, Some(tail)),
        };
        bytes.push(byte);
        rest = behind.unwrap_or_default();
    }
    bytes
}

/// Seconds since 1970 as RFC 3339 in UTC; `None` where no calendar reaches.
pub fn rfc3339(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok()?;
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// Seconds since 1970 with the date beside them.
pub fn time(seconds: u64) -> String {
    rfc3339(seconds).map_or_else(|| seconds.to_string(), |date| format!("{seconds} ({date})"))
}

/// A number with its noun: `1 record`, `2 records`.
pub fn count(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n if noun.ends_with('y') && !noun.ends_with("ey") => format!("{n} {}ies", &noun[..noun.len() - 1]),
        n if noun.ends_with('x') => format!("{n} {noun}es"),
        n => format!("{n} {noun}s"),
    }
}

/// A number of bytes in the largest unit that keeps it above one.
pub fn size(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|&(_, unit)| bytes >= unit) {
        Some((name, unit)) => format!("{:.1} {name} ({bytes} bytes)", bytes as f64 / unit as f64),
        None => count(bytes, "byte"),
    }
}

/// A tile field's value.
pub fn value(value: &Value<'_>) -> String {
    match value {
        Value::Int(n) => n.to_string(),
        Value::Offset(n) | Value::Hex(n) => format!("0x{n:X}"),
        Value::Time(n) => time(*n),
        Value::Bytes(bytes) => format!("\"{}\"", printable(bytes)),
        Value::Text(text) => printable(text.as_bytes()),
    }
}

/// A finding behind its file's name: `FILE:0xSTART-0xEND: severity code: message`.
pub fn finding(file: &str, finding: &Finding) -> String {
    format!("{file}:{}", finding_line(finding))
}

/// A finding without its file: `0xSTART-0xEND: severity code: message`.
pub fn finding_line(finding: &Finding) -> String {
    let Finding { rule, span, message, .. } = finding;
    format!("{span}: {} {}: {}", rule.severity.as_str(), rule.code, words(message))
}

/// How many findings of each severity: `2 errors, 1 warning, 3 notes`.
pub fn tally(findings: &Findings) -> String {
    let counted = Severity::ALL.iter().rev().map(|&severity| (findings.count(severity), severity.as_str()));
    let words: Vec<String> = counted.filter(|&(n, _)| n > 0).map(|(n, word)| count(n, word)).collect();
    if words.is_empty() { "nothing found".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_terminal_could_obey_and_takes_it_back() {
        let bytes = b"Nuser\x1fb\xc3\xb6b\xff\x1b[31m\\x41\xc2\x9b";
        let text = printable(bytes);
        assert_eq!(text, "Nuser\\x1Fb\u{f6}b\\xFF\\x1B[31m\\\\x41\\xC2\\x9B");
        assert_eq!(unprintable(text.as_bytes()), bytes);
    }

    #[test]
    fn an_escape_that_is_none_stands_for_itself() {
        assert_eq!(unprintable(b"a\\x4"), b"a\\x4");
        assert_eq!(unprintable(b"\\q\\"), b"\\q\\");
    }

    #[test]
    fn times_stand_in_seconds_and_as_a_date() {
        assert_eq!(time(1_795_430_334), "1795430334 (2026-11-23T10:38:54Z)");
        assert_eq!(time(u64::MAX), u64::MAX.to_string());
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size(1), "1 byte");
        assert_eq!(size(25_976), "25.4 KiB (25976 bytes)");
    }
}
