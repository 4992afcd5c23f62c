//! What must hold, and where it did not.

use std::fmt;
use std::time::Duration;

/// Something that must hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Check {
    /// A database opens whenever its host dies or starts; a host that started has a sound one.
    Opens,
    /// What is on a disk is the state before or after a change, never in between.
    BeforeOrAfter,
    /// What a host believes is on its disk, whenever nothing is being stored.
    MemoryIsDisk,
    /// A mailbox is on one backend, as long as no old copy of a database came back.
    OnePlace,
    /// What a client was told is done is on the backend's disk at that moment.
    OkIsDurable,
    /// What a client was told is done is on the master's disk at that moment.
    MasterKnows,
    /// What a client was told is not done has changed nothing on the backend.
    NoMeansNo,
    /// No mailbox, right or message of a backend goes, comes or changes but by an order.
    NothingIsLost,
    /// All orders are answered.
    Answered,
    /// A sync does what it is for.
    SyncWorks,
    /// A second sync has nothing to do.
    SyncSettles,
    /// In the end the master's list is that of the backends.
    MasterIsUnion,
    /// In the end nothing is reserved.
    NoReservation,
    /// In the end a frontend's list is the master's.
    FrontendIsMaster,
}

impl Check {
    /// As it is spelt in reports.
    pub fn name(self) -> &'static str {
        match self {
            Check::Opens => "database-opens",
            Check::BeforeOrAfter => "before-or-after",
            Check::MemoryIsDisk => "memory-is-disk",
            Check::OnePlace => "one-place",
            Check::OkIsDurable => "ok-is-durable",
            Check::MasterKnows => "master-knows",
            Check::NoMeansNo => "no-means-no",
            Check::NothingIsLost => "nothing-is-lost",
            Check::Answered => "answered",
            Check::SyncWorks => "sync-works",
            Check::SyncSettles => "sync-settles",
            Check::MasterIsUnion => "master-is-union",
            Check::NoReservation => "no-reservation-left",
            Check::FrontendIsMaster => "frontend-is-master",
        }
    }
}

/// What did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// What should have.
    pub check: Check,
    /// When, since the first host started.
    pub at: Duration,
    /// After how many steps of the script.
    pub step: usize,
    /// Where, and what was there instead.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { check, at, step, text } = self;
        write!(f, "{} after {step} steps, at {:.3} s: {text}", check.name(), at.as_secs_f64())
    }
}

/// What was looked at, as it should be or not.
pub type Checked = Result<(), (Check, String)>;

/// Whether something holds; the text is made only if it does not.
pub fn holds(check: Check, is: bool, text: impl FnOnce() -> String) -> Checked {
    if is { Ok(()) } else { Err((check, text())) }
}
