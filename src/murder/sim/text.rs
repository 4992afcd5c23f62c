//! Scripts as text: what fails is kept in this form, and played again from it.
//!
//! ```text
//! seed 17
//! retry 20000ms
//! update-wait 300ms
//! host mup master twoskip 3ms
//! host fe1 frontend flat 0ms
//! host be1 backend skiplist 12ms delayed
//! mailbox be1 user.kept
//! 1000ms be1 create user.zed%20b
//! 0ms mup cut be1 30
//! ```
//!
//! A step begins with the time since the one before it. In names a space is `%20`, `%` is `%25`. What stands behind `#` is for
//! people.

use std::fmt::{self, Write};
use std::time::Duration;

use super::script::{Cast, Deed, Loss, Part, Role, Script, Step};
use crate::formats::container::Format;
use crate::murder::host::request::Request;
use crate::murder::world::{Fault, HostId};

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'#') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    // A word has at least one letter.
    if text.is_empty() { "%".to_owned() } else { text }
}

fn unescaped(word: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if word == "%" {
        return Some(bytes);
    }
    let mut rest = word.as_bytes();
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, more) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = more;
    }
    Some(bytes)
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Script { seed, cast, steps } = self;
        writeln!(f, "seed {seed}")?;
        writeln!(f, "retry {}ms", cast.retry.as_millis())?;
        writeln!(f, "update-wait {}ms", cast.update_wait.as_millis())?;
        for part in &cast.hosts {
            let (role, more) = match part.role {
                Role::Master => ("master", ""),
                Role::Frontend => ("frontend", ""),
                Role::Backend { delayed: true } => ("backend", " delayed"),
                Role::Backend { delayed: false } => ("backend", " immediate"),
            };
            writeln!(f, "host {} {role} {} {}ms{more}", part.name, part.format, part.disk_time.as_millis())?;
        }
        for (host, name) in &cast.mailboxes {
            writeln!(f, "mailbox {} {}", cast.name(*host), escaped(name))?;
        }
        steps.iter().try_for_each(|step| writeln!(f, "{}ms {}", step.after.as_millis(), deed(cast, &step.deed)))
    }
}

/// A deed as a line without its time.
pub fn deed(cast: &Cast, deed: &Deed) -> String {
    let own = cast.name(deed.host());
    match deed {
        Deed::Order(_, request) => format!("{own} {}", order(request)),
        Deed::Disturb(_, b, fault) => {
            let other = cast.name(*b);
            match fault {
                Fault::Apart => format!("{own} apart {other}"),
                Fault::Reset => format!("{own} reset {other}"),
                Fault::CutAfter(bytes) => format!("{own} cut {other} {bytes}"),
                Fault::Stalled => format!("{own} stall {other}"),
                Fault::HalfOpen => format!("{own} half-open {other}"),
            }
        }
        Deed::Heal(_, b) => format!("{own} heal {}", cast.name(*b)),
        Deed::Kill(_, Loss::Kept) => format!("{own} kill kept"),
        Deed::Kill(_, Loss::Lost) => format!("{own} kill lost"),
        Deed::Kill(_, Loss::Torn(by)) => format!("{own} kill torn {by}"),
        Deed::Stop(_) => format!("{own} stop"),
        Deed::Start(_) => format!("{own} start"),
        Deed::Fuse(_, deeds) => format!("{own} fuse {deeds}"),
        Deed::Tear(_, steps, bytes) => format!("{own} tear {steps} {bytes}"),
        Deed::Hang(_) => format!("{own} hang"),
        Deed::Resume(_) => format!("{own} resume"),
        Deed::Full(_) => format!("{own} full"),
        Deed::Free(_) => format!("{own} free"),
        Deed::Jump(_, seconds) => format!("{own} jump {seconds}"),
        Deed::Copy(_) => format!("{own} copy"),
        Deed::Old(_) => format!("{own} old"),
        Deed::Empty(_) => format!("{own} empty"),
    }
}

fn order(request: &Request) -> String {
    let e = |bytes: &Vec<u8>| escaped(bytes);
    match request {
        Request::Create { name, .. } => format!("create {}", e(name)),
        Request::Delete { name } => format!("delete {}", e(name)),
        Request::Rename { from, to } => format!("rename {} {}", e(from), e(to)),
        Request::SetAcl { name, identifier, rights } => format!("setacl {} {} {}", e(name), e(identifier), e(rights)),
        Request::Append { name, message } => format!("append {} {}", e(name), e(message)),
        Request::Deliver { name, message } => format!("deliver {} {}", e(name), e(message)),
        Request::Sync { dry_run: true, .. } => "sync-dry-run".to_owned(),
        _ => "sync".to_owned(),
    }
}

/// A script that was written so.
///
/// # Errors
/// The number of the line that says nothing, and what is wrong.
pub fn parse(text: &str) -> Result<Script, String> {
    let mut script = Script::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let wrong = || format!("line {}: {}: not understood", number.saturating_add(1), line.trim());
        take(&mut script, &words).ok_or_else(wrong)?;
    }
    script.cast.flaw().map_or(Ok(script), |flaw| Err(flaw.to_owned()))
}

fn millis(word: &str) -> Option<Duration> {
    word.strip_suffix("ms")?.parse().ok().map(Duration::from_millis)
}

fn take(script: &mut Script, words: &[&str]) -> Option<()> {
    match words {
        ["seed", seed] => script.seed = seed.parse().ok()?,
        ["retry", time] => script.cast.retry = millis(time)?,
        ["update-wait", time] => script.cast.update_wait = millis(time)?,
        ["host", name, role, format, time, more @ ..] => {
            let role = match (*role, more) {
                ("master", []) => Role::Master,
                ("frontend", []) => Role::Frontend,
                ("backend", ["delayed"]) => Role::Backend { delayed: true },
                ("backend", ["immediate"]) => Role::Backend { delayed: false },
                _ => return None,
            };
            let known = [Format::Twoskip, Format::Skiplist, Format::Flat];
            let format = known.into_iter().find(|known| known.as_str() == *format)?;
            script.cast.hosts.push(Part { name: (*name).to_owned(), role, format, disk_time: millis(time)? });
        }
        ["mailbox", host, name] => {
            let host = backend(&script.cast, host)?;
            script.cast.mailboxes.push((host, unescaped(name)?));
        }
        [after, host, deed @ ..] => {
            let (after, host) = (millis(after)?, script.cast.find(host)?);
            let deed = parse_deed(&script.cast, host, deed)?;
            script.steps.push(Step { after, deed });
        }
        _ => return None,
    }
    Some(())
}

fn backend(cast: &Cast, name: &str) -> Option<HostId> {
    cast.find(name).filter(|host| cast.backends().any(|backend| backend == *host))
}

fn parse_deed(cast: &Cast, host: HostId, words: &[&str]) -> Option<Deed> {
    let disturb = |other: &str, fault: Fault| Some(Deed::Disturb(host, cast.find(other)?, fault));
    Some(match words {
        ["apart", other] => disturb(other, Fault::Apart)?,
        ["reset", other] => disturb(other, Fault::Reset)?,
        ["cut", other, bytes] => disturb(other, Fault::CutAfter(bytes.parse().ok()?))?,
        ["stall", other] => disturb(other, Fault::Stalled)?,
        ["half-open", other] => disturb(other, Fault::HalfOpen)?,
        ["heal", other] => Deed::Heal(host, cast.find(other)?),
        ["kill", "kept"] => Deed::Kill(host, Loss::Kept),
        ["kill", "lost"] => Deed::Kill(host, Loss::Lost),
        ["kill", "torn", by] => Deed::Kill(host, Loss::Torn(by.parse().ok()?)),
        ["stop"] => Deed::Stop(host),
        ["start"] => Deed::Start(host),
        ["fuse", deeds] => Deed::Fuse(host, deeds.parse().ok()?),
        ["tear", steps, bytes] => Deed::Tear(host, steps.parse().ok()?, bytes.parse().ok()?),
        ["hang"] => Deed::Hang(host),
        ["resume"] => Deed::Resume(host),
        ["full"] => Deed::Full(host),
        ["free"] => Deed::Free(host),
        ["jump", seconds] => Deed::Jump(host, seconds.parse().ok()?),
        ["copy"] => Deed::Copy(host),
        ["old"] => Deed::Old(host),
        ["empty"] => Deed::Empty(host),
        order => Deed::Order(backend(cast, cast.name(host))?, parse_order(order)?),
    })
}

fn parse_order(words: &[&str]) -> Option<Request> {
    Some(match words {
        ["create", name] => Request::Create { name: unescaped(name)?, place: None },
        ["delete", name] => Request::Delete { name: unescaped(name)? },
        ["rename", from, to] => Request::Rename { from: unescaped(from)?, to: unescaped(to)? },
        ["setacl", name, identifier, rights] => {
            let (name, identifier, rights) = (unescaped(name)?, unescaped(identifier)?, unescaped(rights)?);
            Request::SetAcl { name, identifier, rights }
        }
        ["append", name, message] => Request::Append { name: unescaped(name)?, message: unescaped(message)? },
        ["deliver", name, message] => Request::Deliver { name: unescaped(name)?, message: unescaped(message)? },
        ["sync"] => Request::Sync { dry_run: false, authoritative: false },
        ["sync-dry-run"] => Request::Sync { dry_run: true, authoritative: false },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::murder::sim::draw;

    #[test]
    fn what_is_drawn_is_the_same_after_it_was_written_and_read() {
        for seed in 0..200 {
            let script = draw::script(seed, 80);
            assert_eq!(parse(&script.to_string()).as_ref(), Ok(&script), "{seed}");
        }
    }

    #[test]
    fn what_says_nothing_is_refused_with_its_line() {
        let head = "host mup master flat 0ms\nhost be1 backend flat 0ms immediate\nretry 9000ms\n";
        assert!(parse(head).is_ok());
        for line in
            ["1ms be1 fly", "1ms mup create user.a", "1ms be9 stop", "1 be1 stop", "1ms be1 create %2", "mailbox mup a"]
        {
            let told = parse(&format!("{head}{line} # so\n"));
            assert_eq!(told, Err(format!("line 4: {line}: not understood")));
        }
        assert!(parse("retry 9000ms\n").is_err());
    }
}
