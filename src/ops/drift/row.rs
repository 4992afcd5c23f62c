//! A disagreement between hosts of a murder about one mailbox.

use serde_json::Value as Json;

use crate::ops::push::Decision;
use crate::render::json::Object;

/// What kind of disagreement it is, the gravest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Class {
    /// Several backends have the mailbox.
    DuplicateOwner,
    /// One backend has the mailbox, and the master says another server does.
    WrongServer,
    /// A transfer did not end.
    Moving,
    /// The master has the name reserved, or a backend left a reservation behind.
    StuckReservation,
    /// A backend has the mailbox, and the master does not know it.
    Missing,
    /// The master says that a backend has the mailbox, and that backend does not.
    Orphaned,
    /// The master has another ACL than the backend.
    AclDiffers,
    /// The master has another partition than the backend.
    PartitionDiffers,
    /// A record can't be read.
    Unreadable,
    /// A frontend does not know a mailbox of the master's list.
    FrontendMissing,
    /// A frontend still has a mailbox that the master does not list.
    FrontendOrphaned,
    /// A frontend has another location or ACL than the master.
    FrontendStale,
}

impl Class {
    /// All classes, the gravest first.
    pub const ALL: [Class; 12] = [
        Class::DuplicateOwner,
        Class::WrongServer,
        Class::Moving,
        Class::StuckReservation,
        Class::Missing,
        Class::Orphaned,
        Class::AclDiffers,
        Class::PartitionDiffers,
        Class::Unreadable,
        Class::FrontendMissing,
        Class::FrontendOrphaned,
        Class::FrontendStale,
    ];

    /// The word printed and used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::DuplicateOwner => "duplicate-owner",
            Class::WrongServer => "wrong-server",
            Class::Moving => "moving",
            Class::StuckReservation => "stuck-reservation",
            Class::Missing => "missing",
            Class::Orphaned => "orphaned",
            Class::AclDiffers => "acl-differs",
            Class::PartitionDiffers => "partition-differs",
            Class::Unreadable => "unreadable",
            Class::FrontendMissing => "frontend-missing",
            Class::FrontendOrphaned => "frontend-orphaned",
            Class::FrontendStale => "frontend-stale",
        }
    }

    /// What it means, for a person.
    pub fn meaning(self) -> &'static str {
        match self {
            Class::DuplicateOwner => "several backends have the mailbox",
            Class::WrongServer => "a backend has the mailbox, and the master says another server does",
            Class::Moving => "a transfer that did not end",
            Class::StuckReservation => "a reservation without a mailbox, or in place of one",
            Class::Missing => "a backend has the mailbox, and the master does not know it",
            Class::Orphaned => "the master says that a backend has the mailbox, and it does not",
            Class::AclDiffers => "the master has another ACL than the backend",
            Class::PartitionDiffers => "the master has another partition than the backend",
            Class::Unreadable => "a record that can't be read",
            Class::FrontendMissing => "a frontend does not know a mailbox that the master lists",
            Class::FrontendOrphaned => "a frontend still has a mailbox that the master does not list",
            Class::FrontendStale => "a frontend has another location or ACL than the master",
        }
    }
}

/// What a run of `ctl_mboxlist -m` would do on one backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Push {
    /// The backend's number among the hosts.
    pub host: usize,
    /// What it would do.
    pub decision: Decision,
}

/// What mends a disagreement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mend {
    /// A line to send to the master over MUPDATE, without its tag.
    Mupdate(Vec<u8>),
    /// Something to be done on a host, in words.
    Words(String),
}

/// A disagreement about one mailbox.
#[derive(Clone, Debug)]
pub struct Row {
    /// Internal name of the mailbox.
    pub name: Vec<u8>,
    /// What it is.
    pub class: Class,
    /// The numbers of the hosts that don't agree.
    pub between: Vec<usize>,
    /// What each list says.
    pub evidence: Vec<Json>,
    /// What `ctl_mboxlist -m` would do about it, on each backend where it would do something.
    pub pushes: Vec<Push>,
    /// What mends it, in order.
    pub mends: Vec<Mend>,
}

impl Row {
    /// The row as JSON; `hosts` are the names of all hosts.
    pub fn document(&self, hosts: &[Vec<u8>]) -> Json {
        let name = |host: usize| hosts.get(host).map(Vec::as_slice).unwrap_or_default();
        let between: Vec<Json> = self.between.iter().map(|&host| String::from_utf8_lossy(name(host)).into()).collect();
        let pushes = self.pushes.iter().map(|push| {
            let lines: Vec<Json> = push.decision.words().iter().map(|words| (*words).into()).collect();
            let object = Object::new().bytes("backend", name(push.host)).with("prints", lines);
            object.with("wipes", push.decision.wipes()).done()
        });
        let pushes: Vec<Json> = pushes.collect();
        let mends = self.mends.iter().map(|mend| match mend {
            Mend::Mupdate(line) => Object::new().bytes("mupdate", line).done(),
            Mend::Words(words) => Object::new().with("do", words.as_str()).done(),
        });
        let mends: Vec<Json> = mends.collect();
        Object::schema("drift")
            .with("kind", "row")
            .bytes("name", &self.name)
            .with("class", self.class.as_str())
            .with("between", between)
            .with("evidence", self.evidence.clone())
            .with("push", pushes)
            .with("mend", mends)
            .done()
    }

    /// Whether a backend that pushes its list would delete the mailbox with its messages.
    pub fn wipes(&self) -> bool {
        self.pushes.iter().any(|push| push.decision.wipes())
    }
}

/// A MUPDATE line of quoted strings; `None` if a quoted string can't hold one of them.
pub fn mupdate(command: &str, words: &[&[u8]]) -> Option<Vec<u8>> {
    let mut line = command.as_bytes().to_vec();
    for word in words {
        if word.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n' | 0x80..)) {
            return None;
        }
        line.extend_from_slice(b" \"");
        for &byte in *word {
            if matches!(byte, b'"' | b'\\') {
                line.push(b'\\');
            }
            line.push(byte);
        }
        line.push(b'"');
    }
    Some(line)
}
