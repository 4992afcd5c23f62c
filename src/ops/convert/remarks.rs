//! What a conversion has to say: fields and entries that the target can't hold, and those that its role does not keep.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// What became of a field or an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Fate {
    /// The target can't hold it.
    Lost,
    /// The source does not say what the target needs to know.
    Unknown,
    /// The host's role keeps none of it; nothing that belongs there is missing.
    LeftOut,
    /// Taken from a witness.
    Supplied,
}

impl Fate {
    /// All fates.
    pub const ALL: [Fate; 4] = [Fate::Lost, Fate::Unknown, Fate::LeftOut, Fate::Supplied];

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Fate::Lost => "lost",
            Fate::Unknown => "unknown",
            Fate::LeftOut => "left-out",
            Fate::Supplied => "supplied",
        }
    }

    /// Whether the target then says less than the source, or less than it should.
    pub fn is_loss(self) -> bool {
        matches!(self, Fate::Lost | Fate::Unknown)
    }
}

/// The field of a remark that is about a whole entry.
pub const ENTRY: &str = "entry";

/// One field of one entry, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark<'r> {
    /// Internal name of the mailbox, or the key of a record that is no mailbox's.
    pub name: Cow<'r, [u8]>,
    /// The field, by its word in JSON; [`ENTRY`] for the whole entry.
    pub field: &'static str,
    /// What the source has there.
    pub value: Cow<'r, [u8]>,
    /// What became of it.
    pub fate: Fate,
    /// Why, for a person.
    pub why: &'static str,
}

impl Remark<'_> {
    /// The same with bytes of its own.
    pub fn into_owned(self) -> Remark<'static> {
        Remark {
            name: Cow::Owned(self.name.into_owned()),
            field: self.field,
            value: Cow::Owned(self.value.into_owned()),
            fate: self.fate,
            why: self.why,
        }
    }
}

/// Takes remarks as they are made.
pub type Say<'s> = dyn FnMut(Remark<'_>) + 's;

/// Remarks of one kind.
#[derive(Clone, Debug, Default)]
pub struct Sort {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Remark<'static>>,
}

/// How many remarks of a kind are kept one by one unless all are wanted.
pub const KEPT: usize = 20;

/// All remarks of a conversion, counted by kind; the first of each kind are kept, or all of them.
#[derive(Debug)]
pub struct Remarks {
    sorts: BTreeMap<(Fate, &'static str, &'static str), Sort>,
    kept: usize,
}

impl Default for Remarks {
    fn default() -> Self {
        Remarks::keeping(KEPT)
    }
}

impl Remarks {
    /// Keeps the first `kept` remarks of each kind.
    pub fn keeping(kept: usize) -> Self {
        Remarks { sorts: BTreeMap::new(), kept }
    }

    /// How many of each kind it keeps.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Takes a remark.
    pub fn push(&mut self, remark: Remark<'_>) {
        let sort = self.sorts.entry((remark.fate, remark.field, remark.why)).or_default();
        sort.count += 1;
        if sort.first.len() < self.kept {
            sort.first.push(remark.into_owned());
        }
    }

    /// Adds those of a later part of the source.
    pub fn append(&mut self, later: Remarks) {
        for (kind, theirs) in later.sorts {
            let ours = self.sorts.entry(kind).or_default();
            ours.count += theirs.count;
            let room = self.kept.saturating_sub(ours.first.len());
            ours.first.extend(theirs.first.into_iter().take(room));
        }
    }

    /// The kinds: fate, field and reason, and the remarks.
    pub fn sorts(&self) -> impl Iterator<Item = (Fate, &'static str, &'static str, &Sort)> {
        self.sorts.iter().map(|((fate, field, why), sort)| (*fate, *field, *why, sort))
    }

    /// How many there are of a fate.
    pub fn count(&self, fate: Fate) -> u64 {
        self.sorts().filter(|(found, ..)| *found == fate).map(|(.., sort)| sort.count).sum()
    }

    /// Whether the target says all that the source says and that it should say.
    pub fn is_lossless(&self) -> bool {
        !self.sorts().any(|(fate, ..)| fate.is_loss())
    }
}
