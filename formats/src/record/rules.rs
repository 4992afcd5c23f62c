//! What a sound record fulfils; the codes of `FORMAT.md`.
//!
//! A healthy Cyrus breaks none of the rules that weigh more than a note.

crate::rules! {
    /// The value belongs to exactly one family of encodings and reads to its end.
    UNREADABLE = "REC-1", "value-unreadable", Error, "look at its bytes with `coroner hexdump --key`; another server's copy may have it";
    /// Cyrus itself can read the value.
    TOLERATED = "REC-2", "value-bad-format", Error, "re-encode it with `coroner repair --also value-format`";
    /// Decoding and encoding gives the same bytes.
    NOT_EXACT = "REC-3", "value-not-canonical", Note, "nothing to do: it means the same, and is rewritten as Cyrus would write it";
    /// No field stands there twice.
    FIELD_TWICE = "REC-4", "field-twice", Warning, "check that the last of them is the right one";
    /// A field has the kind of value that its key promises.
    FIELD_SHAPE = "REC-5", "field-shape", Warning, "compare with another copy of the record";
    /// Numbers are decimal.
    BAD_NUMBER = "REC-6", "number-unreadable", Warning, "compare with another copy of the record";
    /// Since 3.6: the type starts with a letter of a type, and only letters of flags follow.
    LETTER_ABORTS = "REC-7", "type-letter-aborts", Error, "every Cyrus process that reads the record dies: correct T before any Cyrus starts on this file (`coroner repair --also type-letters`)";
    /// Up to 3.4: all letters of the type have a meaning.
    LETTER_IGNORED = "REC-8", "type-letter-unknown", Warning, "harmless up to 3.4, but 3.6 and later die of it: correct T before upgrading";
    /// All bits of a type's number have a meaning.
    NUMBER_BITS = "REC-9", "type-number-unknown", Warning, "check which version's numbers these are";
    /// Since 3.6: values are dlists.
    OLD_VALUE = "REC-10", "old-value-in-new-key", Error, "the number of its type is read with other bits than it was written with: re-encode it with `coroner repair`";
    /// Since 3.6: T has a type letter.
    TYPE_LOST = "REC-11", "type-letter-missing", Warning, "the type was lost in an upgrade or a load: look at the mailbox, or at a copy of the older database";
    /// An entry that names a server has the remote flag, or is being moved there.
    SERVER_NOT_REMOTE = "REC-12", "server-without-remote", Error, "set the remote flag with `coroner repair`; up to 3.4 Cyrus takes the mailbox for a local one";
    /// A remote entry names its server.
    REMOTE_NO_SERVER = "REC-13", "remote-without-server", Error, "take the location from the master with `coroner repair --against`, from another frontend or the backends; never guess it";
    /// A partition is no location.
    PARTITION_IS_LOCATION = "REC-14", "location-as-partition", Error, "split it into server and partition with `coroner repair`";
    /// A server is a host name.
    SERVER_SHAPE = "REC-15", "server-unusable", Warning, "correct the server's name";
    /// A mailbox that exists here has a partition.
    PARTITION_MISSING = "REC-16", "partition-missing", Error, "find the partition that holds the mailbox's folder";
    /// A remote mailbox's record names its partition too.
    PARTITION_EMPTY = "REC-17", "partition-empty", Note, "nothing to do: RENAME and delayed DELETE leave it so since 3.6";
    /// A partition's name is shorter than 64 bytes and has no spaces.
    PARTITION_SHAPE = "REC-18", "partition-unusable", Warning, "Cyrus' own tools refuse such a name: compare with imapd.conf";
    /// No field holds what C prints for a missing string.
    NULL_PRINTED = "REC-19", "null-as-text", Warning, "a dump printed a missing field as (null) and it was loaded again: take it for missing with `coroner repair`";
    /// A tombstone is not remote.
    DELETED_REMOTE = "REC-20", "deleted-and-remote", Warning, "check whether the mailbox exists on the server it names";
    /// A reservation has no ACL.
    RESERVED_ACL = "REC-21", "reserved-with-acl", Warning, "check whether the mailbox exists on the server it names";
    /// Each identifier of an ACL has rights.
    ACL_ODD = "REC-22", "acl-odd", Warning, "the last identifier's rights are lost: take them from another copy";
    /// Each identifier stands in an ACL once.
    ACL_TWICE = "REC-23", "acl-identifier-twice", Warning, "Cyrus takes the first up to 3.4 and in dumps the last: keep one with `coroner repair`";
    /// All rights are known.
    ACL_RIGHTS = "REC-24", "acl-rights-unknown", Warning, "Cyrus ignores such letters; take them out with `coroner repair`";
    /// An ACL as text ends with a TAB.
    ACL_TAB = "REC-25", "acl-tab-missing", Warning, "the last rights may be cut: take them from another copy";
    /// Names hold only the bytes that Cyrus lets into them.
    NAME_BYTES = "REC-26", "name-illegal-byte", Warning, "clients can't reach such a mailbox; rename it";
    /// Names are not longer than Cyrus' limit.
    NAME_LONG = "REC-27", "name-too-long", Warning, "Cyrus' own tools refuse such a name; rename it";
    /// No element of a name is empty.
    NAME_ELEMENT = "REC-28", "name-empty-element", Warning, "clients can't reach such a mailbox; rename it";
    /// The name of a deleted mailbox ends with the time of its deletion.
    DELETED_TIME = "REC-29", "deleted-without-time", Note, "cyr_expire never removes such a mailbox by itself";
    /// A mailbox that exists here has a uniqueid (since 3.6).
    UNIQUEID_MISSING = "REC-30", "uniqueid-missing", Warning, "run reconstruct on the mailbox: 3.6 and later can't open it, and skip it in a dump";
    /// A uidvalidity is not 0.
    UIDVALIDITY_ZERO = "REC-31", "uidvalidity-zero", Warning, "take it from the mailbox's index with reconstruct";
    /// A record's time lies between 2011 and now.
    MTIME = "REC-32", "mtime-implausible", Note, "the clock was wrong when the record was written";
    /// Keys belong to a family that Cyrus knows.
    KEY_UNKNOWN = "REC-33", "key-unknown", Warning, "Cyrus passes over it; if it is a mailbox of another era, re-encode it";
    /// Keys that are an index have the value that Cyrus gives them.
    INDEX_VALUE = "REC-34", "index-value", Note, "nothing to do: Cyrus does not look at it";
    /// mailboxes.db has no version record.
    VERSION_KEY = "REC-35", "version-key", Note, "check that this is not a database of subscriptions";
    /// A record under a uniqueid or JMAP id says whose it is.
    NAMELESS = "REC-36", "index-record-nameless", Error, "drop it with `coroner repair`: Cyrus can't use it";
    /// An entry is what the host's role lets it be.
    ROLE = "REC-37", "role-mismatch", Warning, "check that the role given is the host's; otherwise compare with the master";
    /// Each record under a uniqueid belongs to a mailbox's own record.
    UNIQUEID_ORPHAN = "REC-38", "uniqueid-record-orphan", Warning, "drop it with `coroner repair`, or resurrect the mailbox's record from it (3.6.0 and 3.6.1 left such records when deleting)";
    /// Each mailbox with a uniqueid has a record under it (since 3.6).
    UNIQUEID_NO_RECORD = "REC-39", "uniqueid-record-missing", Warning, "write it with `coroner repair`";
    /// A mailbox's two records say the same.
    UNIQUEID_DIFFERS = "REC-40", "uniqueid-record-differs", Warning, "the record under the name counts; rewrite the other with `coroner repair`";
    /// No two mailboxes have one uniqueid.
    UNIQUEID_TWICE = "REC-41", "uniqueid-twice", Error, "find out which of the two owns the folder on disk before any Cyrus starts on this file";
    /// With reverse ACLs on, each right to see a mailbox has its key.
    RACL_MISSING = "REC-42", "reverse-acl-missing", Warning, "put the index right with `coroner repair`, or by switching `reverseacls` off and on";
    /// With reverse ACLs on, each key stands for a right.
    RACL_EXTRA = "REC-43", "reverse-acl-extra", Warning, "put the index right with `coroner repair`, or by switching `reverseacls` off and on";
    /// With the uniqueid index of 3.4, each uniqueid has its key.
    RUNQ_MISSING = "REC-44", "uniqueid-index-missing", Warning, "put the index right with `coroner repair`";
    /// With the uniqueid index of 3.4, each key stands for a mailbox.
    RUNQ_EXTRA = "REC-45", "uniqueid-index-extra", Warning, "put the index right with `coroner repair`";
    /// A record under a JMAP id is of a mailbox that has this JMAP id.
    JMAP_ORPHAN = "REC-46", "jmap-record-orphan", Note, "nothing to do: the next change of a mailbox of that user rewrites it";
    /// All fields are known.
    FIELD_UNKNOWN = "REC-47", "field-unknown", Note, "nothing to do if a newer Cyrus wrote it; otherwise look at the record";
    /// A user's mailboxes have an INBOX above them.
    INBOX_MISSING = "REC-48", "inbox-missing", Warning, "look for the INBOX's record in another copy: without it the user can't log in to the others";
    /// Mailboxes have the ones above them.
    PARENT_MISSING = "REC-49", "parent-missing", Note, "nothing to do if it never was: Cyrus up to 3.0 lets mailboxes be made so";
}
