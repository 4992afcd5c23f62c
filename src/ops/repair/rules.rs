//! What repair can do: a rule for each kind of defect, with what speaks for its change.

use crate::formats::finding::Rule as Broken;
use crate::formats::record::rules as rec;

/// How sure a rule's change is to be right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sureness {
    /// The records themselves, or the master's, leave no doubt.
    Certain,
    /// A guess: only done when the user names the rule. What it is about is a defect.
    Guess,
    /// Only done when the user names the rule: what it is about can be as it should be.
    Choice,
}

macro_rules! rules {
    ($($(#[$doc:meta])+ $id:ident = $name:literal, $sureness:ident, [$($code:ident),*], $summary:literal;)+) => {
        /// A rule of `coroner repair`.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
        pub enum Rule {
            $($(#[$doc])+ $id,)+
        }

        impl Rule {
            /// All rules, in the order they are listed.
            pub const ALL: &[Rule] = &[$(Rule::$id),+];

            /// The word by which `--only` and `--also` take it, and that a plan names.
            pub fn as_str(self) -> &'static str {
                match self { $(Rule::$id => $name,)+ }
            }

            /// How sure its change is to be right.
            pub fn sureness(self) -> Sureness {
                match self { $(Rule::$id => Sureness::$sureness,)+ }
            }

            /// What it does, in one line.
            pub fn summary(self) -> &'static str {
                match self { $(Rule::$id => $summary,)+ }
            }

            /// The rules of sound records that it mends.
            pub fn mends(self) -> &'static [&'static Broken] {
                match self { $(Rule::$id => { const MENDS: &[&Broken] = &[$(&rec::$code),*]; MENDS })+ }
            }
        }
    };
}

rules! {
    /// Sets the remote flag of an entry that names a server.
    RemoteFlag = "remote-flag", Certain, [SERVER_NOT_REMOTE],
        "set the remote flag of an entry that names a server";
    /// Gives back the type that a number of 2.x to 3.4 meant.
    TypeNumber = "type-number", Certain, [SERVER_NOT_REMOTE],
        "give an entry on a server the type back that 3.6 misread from an older number: n is remote, z was s, m was b";
    /// Re-encodes a text value under a key of 3.6.
    OldValue = "old-value", Certain, [OLD_VALUE],
        "re-encode a value of 2.x under a key of 3.6, its number read as it was meant";
    /// Splits a server that is `server!partition`.
    ServerSplit = "server-split", Certain, [SERVER_SHAPE],
        "take the partition off a server that is server and partition";
    /// Splits a partition that is `server!partition`.
    LocationSplit = "location-split", Certain, [PARTITION_IS_LOCATION],
        "split a partition that is server and partition, and set the remote flag";
    /// Makes an entry that names this very host a local one.
    OwnServer = "own-server", Certain, [],
        "make an entry on the server that --server names a mailbox of this host (not on masters and frontends)";
    /// Takes what a dump printed as `(null)` for missing.
    NullText = "null-text", Certain, [NULL_PRINTED],
        "take a field that says (null) for missing";
    /// Clears the moving flag that masters and frontends never have.
    MovingFlag = "moving-flag", Certain, [],
        "on a master or frontend: make an entry that is being moved a remote one";
    /// Ends a transfer that never ended, on a backend.
    MovingStuck = "moving-stuck", Guess, [],
        "on a backend: take back a transfer that never ended; the partition stays the one it names";
    /// Removes reservations that a backend left.
    ReservationLeft = "reservation-left", Certain, [],
        "on a backend: remove a reservation, as a restart would";
    /// Removes reservations on masters and frontends.
    Reservation = "reservation", Choice, [],
        "on a master or frontend: remove reservations; a backend may just be creating these";
    /// Makes reservations of entries without ACL that lost their flags.
    ReservationFlag = "reservation-flag", Choice, [],
        "on a master or frontend: an entry that lost its remote flag and has no ACL was a reservation";
    /// Takes back a remote flag without server, on a backend.
    RemoteCleared = "remote-cleared", Guess, [REMOTE_NO_SERVER],
        "on a backend: clear a remote flag that names no server";
    /// Makes a tombstone of what is remote without server since 3.6.
    TombstoneNumber = "tombstone-number", Guess, [REMOTE_NO_SERVER],
        "on a backend since 3.6: a remote flag without server was the number 16, a tombstone";
    /// Gives a type without the letter of a type back its letter.
    TypeLost = "type-lost", Guess, [TYPE_LOST],
        "since 3.6: a type of nothing but l was netnews, which an upgrade loses; any other without its letter is mail";
    /// Takes letters that no version knows out of a type.
    TypeLetters = "type-letters", Guess, [LETTER_ABORTS, LETTER_IGNORED],
        "take letters out of a type that no version knows";
    /// Re-encodes a value that Cyrus can't read.
    ValueFormat = "value-format", Guess, [TOLERATED],
        "re-encode a value that Cyrus can't read; its end may be cut off";
    /// Ends an ACL with the TAB it lacks.
    AclTab = "acl-tab", Certain, [ACL_TAB],
        "end an ACL with the TAB that it lacks";
    /// Takes letters out of an ACL that are no rights.
    AclRights = "acl-rights", Certain, [ACL_RIGHTS],
        "take letters out of an ACL that are no rights; Cyrus ignores them";
    /// Takes the repetition of an identifier with the same rights out of an ACL.
    AclTwice = "acl-twice", Certain, [ACL_TWICE],
        "keep one of several equal entries of an ACL";
    /// Takes the repetition of an identifier with other rights out of an ACL.
    AclFirst = "acl-first", Guess, [ACL_TWICE],
        "keep the first of several entries of an identifier with different rights";
    /// Drops an identifier without rights at the end of an ACL.
    AclOdd = "acl-odd", Guess, [ACL_ODD],
        "drop an identifier without rights at the end of an ACL";
    /// Takes over from the master what is only there.
    MissingSibling = "missing-sibling", Certain, [],
        "with --against: add an entry that Cyrus' resync took away with a deleted neighbour";
    /// Takes over from the master what is only there.
    MissingEntry = "missing-entry", Certain, [],
        "with --against: add an entry that only the master has";
    /// Takes over from the master what is said otherwise there.
    MasterDiffers = "master-differs", Certain, [REMOTE_NO_SERVER, ACL_ODD],
        "with --against: take type, server, partition and ACL from the master";
    /// Drops what the master does not have.
    StaleEntry = "stale-entry", Choice, [],
        "with --against: drop an entry that the master does not have";
    /// Drops records under a uniqueid that name no mailbox.
    Nameless = "nameless", Certain, [NAMELESS],
        "drop a record under a uniqueid that names no mailbox";
    /// Writes the record under a mailbox's uniqueid.
    UniqueidRecord = "uniqueid-record", Certain, [UNIQUEID_NO_RECORD],
        "write the missing record under a mailbox's uniqueid";
    /// Rewrites the record under a mailbox's uniqueid.
    UniqueidDiffers = "uniqueid-differs", Certain, [UNIQUEID_DIFFERS],
        "rewrite the record under a uniqueid from the mailbox's own";
    /// Drops records under uniqueids that no mailbox has.
    UniqueidOrphan = "uniqueid-orphan", Certain, [UNIQUEID_ORPHAN],
        "drop a record under a uniqueid that no mailbox has";
    /// Makes mailboxes of records under uniqueids that no mailbox has.
    UniqueidResurrect = "uniqueid-resurrect", Guess, [UNIQUEID_ORPHAN],
        "make a mailbox's record of one under a uniqueid that no mailbox has";
    /// Takes a uniqueid from all mailboxes that have it but one.
    UniqueidTwice = "uniqueid-twice", Guess, [UNIQUEID_TWICE],
        "leave a uniqueid to the mailbox that the record under it names; reconstruct gives the others their own";
    /// Adds and drops reverse-ACL keys.
    ReverseAcl = "reverse-acl", Certain, [RACL_MISSING, RACL_EXTRA],
        "add missing reverse-ACL keys and drop those that stand for no right";
    /// Adds and drops keys of 3.4's uniqueid index.
    UniqueidIndex = "uniqueid-index", Certain, [RUNQ_MISSING, RUNQ_EXTRA],
        "add missing $RUNQ keys and drop those that stand for no mailbox";
    /// Writes the records in another order.
    KeyOrder = "key-order", Certain, [],
        "write the records in the order in which Cyrus looks for them";
}

impl Rule {
    /// The rule of this name.
    pub fn from_name(name: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.as_str() == name)
    }
}

/// Which rules may act.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Only these, if any are named.
    pub only: Vec<Rule>,
    /// These too.
    pub also: Vec<Rule>,
}

impl Wanted {
    /// Whether the rule may act.
    pub fn has(&self, rule: Rule) -> bool {
        self.is_named(rule) || self.only.is_empty() && rule.sureness() == Sureness::Certain
    }

    /// Whether the user named the rule.
    pub fn is_named(&self, rule: Rule) -> bool {
        self.only.contains(&rule) || self.also.contains(&rule)
    }
}

/// The rules that mend what breaks a rule of sound records.
pub fn menders(broken: &Broken) -> impl Iterator<Item = Rule> + '_ {
    Rule::ALL.iter().copied().filter(|rule| rule.mends().iter().any(|known| known.code == broken.code))
}
