//! How often each kind of fault did something, rather than only being there.

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Bite {
    /// Hosts that could not reach each other, and one of them tried.
    Apart,
    /// A connection was reset.
    Reset,
    /// A connection was cut in the middle of what was sent.
    Cut,
    /// Bytes waited in a connection that stalled.
    Stalled,
    /// Bytes waited in a connection that was half open.
    HalfOpen,
    /// A host was killed.
    Killed,
    /// A host was killed while something was being stored.
    KilledStoring,
    /// What a host had written and not synced was gone, all or some of it, when it was killed.
    Unsynced,
    /// A host died in front of one of its deeds.
    Fuse,
    /// A host died in the middle of a change of its disk.
    Torn,
    /// A host hung, and something came for it.
    Hung,
    /// A disk was full, and a change was refused.
    Full,
    /// A clock went forward.
    Forward,
    /// A clock went back.
    Back,
}

impl Bite {
    /// All kinds.
    pub const ALL: [Bite; 14] = [
        Bite::Apart,
        Bite::Reset,
        Bite::Cut,
        Bite::Stalled,
        Bite::HalfOpen,
        Bite::Killed,
        Bite::KilledStoring,
        Bite::Unsynced,
        Bite::Fuse,
        Bite::Torn,
        Bite::Hung,
        Bite::Full,
        Bite::Forward,
        Bite::Back,
    ];

    /// As it is spelt in reports.
    pub fn name(self) -> &'static str {
        match self {
            Bite::Apart => "hosts apart",
            Bite::Reset => "connection reset",
            Bite::Cut => "connection cut at a byte",
            Bite::Stalled => "connection stalled",
            Bite::HalfOpen => "connection half open",
            Bite::Killed => "host killed",
            Bite::KilledStoring => "killed while storing",
            Bite::Unsynced => "unsynced writes lost or torn",
            Bite::Fuse => "killed before a deed",
            Bite::Torn => "killed in the middle of a store",
            Bite::Hung => "host hung",
            Bite::Full => "disk full",
            Bite::Forward => "clock jumped forward",
            Bite::Back => "clock jumped back",
        }
    }
}

/// How often each kind did something.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bites([u64; Bite::ALL.len()]);

impl Bites {
    /// Counts one.
    pub fn count(&mut self, bite: Bite) {
        if let Some(count) = self.0.get_mut(bite as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How often one did something.
    pub fn of(&self, bite: Bite) -> u64 {
        self.0.get(bite as usize).copied().unwrap_or_default()
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Bites) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }
}
