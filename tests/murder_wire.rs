//! The protocol, byte by byte: the sessions recorded of real servers of every release, played to a node without sockets.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::ByteSlice;
use coroner::formats::record::Form;
use coroner::murder::node::{Config, List, Role};
use coroner::murder::session::client::{Client, Server};
use coroner::murder::wire::{Event, Grammar, Lexer, Limits, encode};

use common::random::Random;
use common::talk::{Exchange, Section, Stage, list, recording, rows};

/// Where coroner answers otherwise than a recording: what is sent, and what coroner says.
fn differences() -> BTreeMap<Vec<u8>, Vec<u8>> {
    let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/murder/PROTOCOL.md")).expect("the table");
    let code =
        |cell: &[u8]| cell.trim().strip_prefix(b"`").and_then(|cell| cell.strip_suffix(b"`")).map(<[u8]>::to_vec);
    let row = |line: &[u8]| {
        let cells: Vec<&[u8]> = line.strip_prefix(b"| ")?.split_str(b" | ").collect();
        Some((code(cells.first()?)?, code(cells.get(2)?.strip_suffix(b" |").unwrap_or(cells[2]))?))
    };
    text.lines().skip_while(|line| !line.starts_with(b"## Differences")).filter_map(row).collect()
}

fn config() -> Config {
    // Changes wait for a NOOP or a tick, as the real server's do.
    Config { update_wait: Duration::from_secs(30), ..Config::default() }
}

/// Without its tag: how the table spells a command or an answer.
fn untagged(bytes: &[u8]) -> &[u8] {
    let line = bytes.lines().next().unwrap_or_default();
    line.find_byte(b' ').map_or(line, |at| &line[at + 1..])
}

struct Replay {
    stage: Stage,
    differences: BTreeMap<Vec<u8>, Vec<u8>>,
    used: BTreeSet<Vec<u8>>,
    /// Names that the real server took and coroner did not.
    refused: BTreeSet<Vec<u8>>,
    failures: Vec<String>,
    exchanges: usize,
}

impl Replay {
    fn new(list: List) -> Replay {
        let stage = Stage::new(config(), list);
        let (used, refused) = (BTreeSet::new(), BTreeSet::new());
        Replay { stage, differences: differences(), used, refused, failures: Vec::new(), exchanges: 0 }
    }

    fn play(&mut self, file: &Path, section: &Section) {
        let (mut a, mut b) = (None, None);
        let mut dead = false;
        for exchange in &section.exchanges {
            if exchange.heard.starts_with(b"* AUTH") {
                let (id, banner) = self.stage.connect();
                let same = |line: &&[u8]| !line.starts_with(b"* OK MUPDATE") && !line.contains_str("COMPRESS");
                let lines = |bytes: &[u8]| -> Vec<Vec<u8>> { bytes.lines().filter(same).map(<[u8]>::to_vec).collect() };
                assert_eq!(lines(&banner), lines(&exchange.heard), "{}", file.display());
                // Recordings that begin with commands at once were logged in unseen.
                let logged_in = section.heading.is_empty();
                a = Some(if logged_in { self.stage.login() } else { id });
                dead = false;
                continue;
            }
            dead &= exchange.heard.is_empty();
            if dead {
                continue;
            }
            let streams = section.heading.contains("streaming") || section.heading.contains("UPDATE stream");
            if section.heading.starts_with("UPDATE with") || section.heading.starts_with("odd") {
                a = None;
            }
            let id = *a.get_or_insert_with(|| {
                if section.heading == "authenticate twice" {
                    return self.stage.connect().0;
                }
                let id = self.stage.login();
                if streams && !exchange.heard.starts_with(b"U1 ") {
                    self.stage.send(id, b"U1 UPDATE\r\n");
                }
                id
            });
            // While one follows, another one changes.
            let illegal = exchange.heard.contains_str("not legal") || exchange.heard.contains_str("read-only");
            let changes =
                [&b"RESERVE"[..], b"ACTIVATE", b"DELETE"].iter().any(|word| untagged(&exchange.sent).starts_with(word));
            let other = (streams || section.heading.starts_with("partial")) && changes && !illegal;
            let sender = if other { *b.get_or_insert_with(|| self.stage.login()) } else { id };
            let mut heard = self.stage.send(sender, &exchange.sent);
            let mut answer = heard.remove(&sender).unwrap_or_default();
            if other && exchange.heard.contains_str("\nU1 ") {
                answer.extend(self.stage.tick().remove(&id).unwrap_or_default());
            }
            dead = exchange.closed;
            self.compare(file, section, exchange, &answer);
            if self.stage.is_closed(sender) {
                a = None;
            }
        }
    }

    fn compare(&mut self, file: &Path, section: &Section, exchange: &Exchange, answer: &[u8]) {
        self.exchanges += 1;
        let command = untagged(&exchange.sent).trim_end().to_vec();
        if let Some(ours) = self.differences.get(&command)
            && untagged(answer).trim_end() == &ours[..]
            && (exchange.closed || answer != exchange.heard)
        {
            self.used.insert(command);
            if [untagged(&exchange.heard), untagged(answer)].iter().any(|answer| answer.starts_with(b"OK")) {
                self.refused.extend(exchange.sent.split_str("\"").nth(1).map(<[u8]>::to_vec));
            }
            return;
        }
        let same = if section.heading.starts_with("authentication failures") {
            // The server paused after a failure, and the recording ended before it went on.
            answer.starts_with(&exchange.heard)
        } else if exchange.sent.contains_str("LIST") || exchange.heard.contains_str(" MAILBOX ") {
            let known = |rows: Vec<(Vec<u8>, _, _)>| -> Vec<_> {
                let mut rows: Vec<_> = rows.into_iter().filter(|row| !self.refused.contains(&row.0)).collect();
                // Up to 3.4 the order is that of signed bytes.
                if !file.to_string_lossy().contains("cyrus-3.6.1/") {
                    rows.sort();
                }
                rows
            };
            known(rows(answer))
                == known(rows(&exchange.heard).into_iter().filter(|row| !row.0.contains_str("bangce")).collect())
                && answer.lines().next_back() == exchange.heard.lines().next_back()
        } else {
            answer == exchange.heard && (!exchange.closed || untagged(answer).starts_with(b"OK \"bye-bye\""))
        };
        if !same {
            self.failures.push(format!(
                "{} [{}]\n  sent     {:?}\n  recorded {:?}{}\n  coroner  {:?}",
                file.display(),
                section.heading,
                exchange.sent.as_bstr(),
                exchange.heard.as_bstr(),
                if exchange.closed { ", then closed" } else { "" },
                answer.as_bstr()
            ));
        }
    }
}

fn transcripts() -> Vec<PathBuf> {
    common::files(&common::corpus().join("cyrus-3.6.1/mupdate-transcripts"), &|_| true)
}

/// The list that the recorded 3.6.1 had when its recording began.
fn first_list() -> List {
    let sections = recording(&transcripts()[1]);
    let all = sections[0].exchanges.iter().find(|exchange| exchange.sent.starts_with(b"L7 LIST")).expect("a LIST");
    let list = list(Form::Db, &rows(&all.heard));
    assert_eq!(list.len(), 14);
    list
}

#[test]
fn recorded_sessions_replay_except_where_the_table_says_so() {
    let mut replay = Replay::new(first_list());
    for file in transcripts() {
        for section in recording(&file) {
            let frontend = section.heading.starts_with("slave");
            // Told in words, or compressed: not to be replayed as bytes.
            if section.heading.starts_with("long words") || section.heading == "COMPRESS DEFLATE" {
                continue;
            }
            if frontend {
                let config = Config { role: Role::Frontend, ..config() };
                let master = std::mem::replace(&mut replay.stage, Stage::new(config, first_list()));
                replay.play(&file, &section);
                replay.stage = master;
            } else {
                replay.play(&file, &section);
            }
        }
    }
    assert!(replay.failures.is_empty(), "{}", replay.failures.join("\n"));
    let recorded: Vec<PathBuf> = common::files(&common::corpus(), &|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mup.commands"))
    });
    assert!(recorded.len() > 20, "{} recordings", recorded.len());
    for file in recorded {
        if file.to_string_lossy().contains("on-missing") {
            // Played behind the other one.
            continue;
        }
        let mut more = Replay::new(List::new(Form::Db));
        more.play(&file, &recording(&file)[0]);
        let missing = file.with_file_name("mup.commands-on-missing.txt");
        if missing.exists() {
            recording(&missing).iter().for_each(|section| more.play(&missing, section));
        }
        assert!(more.failures.is_empty(), "{}", more.failures.join("\n"));
        assert!(more.exchanges > 20, "{}: {} exchanges", file.display(), more.exchanges);
        replay.used.append(&mut more.used);
        replay.exchanges += more.exchanges;
    }
    assert!(replay.exchanges > 550, "{} exchanges", replay.exchanges);
    let unused: Vec<_> =
        replay.differences.keys().filter(|known| !replay.used.contains(*known)).map(|known| known.as_bstr()).collect();
    assert!(unused.is_empty(), "differences that no recording shows: {unused:?}");
}

/// All that recorded clients sent, a connection each.
fn recorded_bytes() -> Vec<Vec<u8>> {
    let sections = transcripts().into_iter().flat_map(|file| recording(&file));
    sections.map(|section| section.exchanges.iter().flat_map(|exchange| exchange.sent.clone()).collect()).collect()
}

#[test]
fn the_same_bytes_split_anywhere_give_the_same_answers() {
    for sent in recorded_bytes() {
        let answer = |pieces: &mut dyn FnMut(usize) -> usize| {
            let mut stage = Stage::new(config(), first_list());
            let id = stage.login();
            let (mut rest, mut heard) = (&sent[..], Vec::new());
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(pieces(rest.len()).clamp(1, rest.len()));
                heard.extend(stage.send(id, piece).remove(&id).unwrap_or_default());
                rest = more;
            }
            // What is compressed is not the lexer's business.
            (!stage.is_compressed(id)).then_some((heard, stage.is_closed(id)))
        };
        let whole = answer(&mut |len| len);
        assert_eq!(answer(&mut |_| 1), whole);
        for seed in 0..20 {
            let mut random = Random(seed);
            assert_eq!(answer(&mut |_| 1 + random.below(40) as usize), whole);
        }
    }
}

#[test]
fn mutated_and_cut_sessions_do_no_harm() {
    let recorded = recorded_bytes();
    for seed in 0..3000 {
        let random = &mut Random(seed);
        let mut bytes = recorded[random.below(recorded.len() as u64) as usize].clone();
        for _ in 0..1 + random.below(6) {
            let at = random.below(bytes.len() as u64) as usize;
            match random.below(5) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = random.below(256) as u8,
                2 => bytes
                    .insert(at, random.pick(&[b"\"".as_slice(), b"{", b"+}\r\n", b" ", b"\\", b"\r\n", b"{9}\r\n"])[0]),
                3 => drop(bytes.drain(at..(at + random.below(9) as usize).min(bytes.len()))),
                _ => bytes[at] ^= 1 << random.below(8),
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        let mut stage = Stage::new(config(), first_list());
        let (stranger, _) = stage.connect();
        stage.send(stranger, &bytes);
        let (id, other) = (stage.login(), stage.login());
        for piece in bytes.chunks(1 + random.below(50) as usize) {
            stage.send(id, piece);
        }
        let heard = stage.send(other, b"n NOOP\r\n").remove(&other).expect("an answer");
        assert_eq!(heard.as_bstr(), b"n OK \"Noop done\"\r\n".as_bstr(), "seed {seed}");
    }
}

#[test]
fn lines_are_written_as_they_were_read() {
    for file in transcripts() {
        for exchange in recording(&file).iter().flat_map(|section| &section.exchanges) {
            let mut lexer = Lexer::new(Grammar::Reply, Limits::CYRUS, |_| usize::MAX);
            lexer.feed(&exchange.heard);
            let mut again = Vec::new();
            while let Ok(Some(Event::Line)) = lexer.next_event() {
                encode::line(&mut again, lexer.line());
            }
            // A bare CRLF is an empty challenge, which is no line with a word.
            assert_eq!(again.replace(b" \r\n", b"\r\n").as_bstr(), exchange.heard.replace(b" \r\n", b"\r\n").as_bstr());
        }
    }
}

#[test]
fn what_is_too_long_ends_one_connection_politely() {
    let long = vec![b'x'; 200_000];
    let cases: [(&str, Vec<u8>, &str); 4] = [
        ("tag", long.clone(), "word too long"),
        ("quoted", [b"a FIND \"", &long[..]].concat(), "string too long"),
        ("literal", b"a FIND {4294967295+}\r\n".to_vec(), "string too long"),
        ("eaten", b"a FIND x {99999999999+}\r\n".to_vec(), "string too long"),
    ];
    for (what, bytes, text) in cases {
        for logged_in in [true, false] {
            let mut stage = Stage::new(config(), first_list());
            let other = stage.login();
            let id = if logged_in { stage.login() } else { stage.connect().0 };
            let mut heard = Vec::new();
            for piece in bytes.chunks(60_000) {
                heard.extend(stage.send(id, piece).remove(&id).unwrap_or_default());
            }
            if !logged_in && what == "quoted" {
                // What strangers may not ask is not kept, however long it is.
                continue;
            }
            assert_eq!(heard.as_bstr(), format!("* BYE \"{text}\"\r\n").as_bytes().as_bstr(), "{what}");
            assert!(stage.is_closed(id));
            assert_eq!(stage.send(other, b"n NOOP\r\n")[&other].as_bstr(), b"n OK \"Noop done\"\r\n".as_bstr());
        }
    }
}

#[test]
fn banners_of_every_release_are_read() {
    let mut releases = BTreeSet::new();
    let recorded = common::files(&common::corpus(), &|path| path.extension().is_some_and(|end| end == "txt"));
    for file in recorded.iter().filter(|file| fs::read(file).is_ok_and(|text| text.contains_str("* OK MUPDATE"))) {
        for exchange in recording(file).iter().flat_map(|section| &section.exchanges) {
            let Some(end) = exchange.heard.find("* OK MUPDATE") else { continue };
            let mut client = Client::default();
            client.feed(
                exchange.heard.get(..end).and_then(|head| head.find("* AUTH")).map_or(b"", |at| &exchange.heard[at..]),
            );
            let (mut server, mut whole) = (Server::default(), false);
            while let Ok(Some(heard)) = client.next_line() {
                assert!(!whole || heard.line.tag() != b"*", "{}: {}", file.display(), heard.text());
                whole = whole || server.read(heard.line);
            }
            assert!(whole, "{}: {:?}", file.display(), exchange.heard.as_bstr());
            assert_eq!(server.mechanisms, ["PLAIN"], "{}", file.display());
            let is_master = server.name == "mup.murder.test";
            assert_eq!(server.is_master(), is_master, "{server:?}");
            assert!(is_master || server.place == "mupdate://mup.murder.test", "{server:?}");
            assert!(server.partial_update && !server.starttls && server.other.is_empty(), "{server:?}");
            let (product, version) = server.version.rsplit_once(' ').expect("product and version");
            let old = version.starts_with('v') || version.starts_with("2.");
            assert_eq!(product, if old { "Cyrus Murder" } else { "Cyrus IMAP" }, "{version}");
            assert_eq!(server.compress, version != "v2.2.13", "{version}");
            releases.insert(version.to_owned());
        }
    }
    assert_eq!(releases.len(), 12, "{releases:?}");
}

#[test]
fn a_long_list_and_long_words_pass() {
    for len in [1000, 8000, 20_000, 70_000] {
        let long = "x".repeat(len);
        let mut stage = Stage::new(config(), first_list());
        let id = stage.login();
        let heard =
            stage.send(id, format!("{long} NOOP\r\na FIND \"{long}\"\r\nb FIND {{{len}+}}\r\n{long}\r\n").as_bytes());
        let expected = format!("{long} OK \"Noop done\"\r\na OK \"Search completed\"\r\nb OK \"Search completed\"\r\n");
        assert_eq!(heard[&id].as_bstr(), expected.as_bytes().as_bstr());
    }
}
