//! What is said by MUPDATE: split anywhere it reads the same, and what was read is written as it was.

use super::wire::command::{arity, arity_of_strangers, parse};
use super::wire::{Event, Grammar, Lexer, Limits, encode, reply};

/// Limits that inputs of some kilobytes reach.
const TIGHT: Limits = Limits { word: 60, string: 200, line: 500 };

/// What a lexer makes of bytes that come in pieces of these lengths.
fn read(bytes: &[u8], grammar: Grammar, limits: Limits, mut piece: impl FnMut() -> usize) -> Vec<String> {
    let arity = if limits == TIGHT { arity_of_strangers } else { arity };
    let mut lexer = Lexer::new(grammar, limits, arity);
    let (mut rest, mut events) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        lexer.feed(now);
        rest = later;
        loop {
            match lexer.next_event() {
                Ok(None) => break,
                Ok(Some(Event::GoAhead)) => events.push("go ahead".to_owned()),
                Ok(Some(Event::Line)) => {
                    let line = lexer.line();
                    if grammar == Grammar::Command {
                        events.push(format!("{:?} {:?}", line.tag(), parse(line)));
                        continue;
                    }
                    events.push(format!(
                        "{:?} {:?} {:?}",
                        line.tag(),
                        reply::parse(line),
                        line.items().collect::<Vec<_>>()
                    ));
                    let mut written = Vec::new();
                    encode::line(&mut written, line);
                    let mut again = Lexer::new(grammar, Limits::CYRUS, arity);
                    again.feed(&written);
                    if line.flaw().is_none() {
                        assert_eq!(again.next_event(), Ok(Some(Event::Line)), "{written:?}");
                        assert!(again.is_empty(), "{written:?}");
                        assert!(again.line().tag() == line.tag() && again.line().word() == line.word(), "{written:?}");
                        assert!(again.line().items().eq(line.items()), "{written:?}");
                    }
                }
                Err(error) => {
                    events.push(error.to_string());
                    return events;
                }
            }
        }
    }
    events
}

/// Reads an input whole, byte by byte and in uneven pieces, as both sides and under both limits.
pub fn wire(bytes: &[u8]) {
    let mut seed = bytes.len();
    for grammar in [Grammar::Command, Grammar::Reply] {
        for limits in [TIGHT, Limits::CYRUS] {
            let whole = read(bytes, grammar, limits, || usize::MAX);
            assert_eq!(read(bytes, grammar, limits, || 1), whole);
            let uneven = || {
                seed = seed.wrapping_mul(31).wrapping_add(7);
                seed % 23
            };
            assert_eq!(read(bytes, grammar, limits, uneven), whole);
        }
    }
}
