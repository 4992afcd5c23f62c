//! What a sound skiplist file fulfils: the requirements that FORMAT.md numbers.

crate::rules! {
    /// The file starts with the magic.
    MAGIC = "SKIP-1", "magic", Error, "recover it: everything behind the header can be read without it";
    /// The header is there as a whole.
    HEADER_CUT = "SKIP-2", "header-cut", Error, "look for a backup (ctl_cyrusdb keeps db.backup1 and db.backup2) or another server's copy";
    /// The file is not empty.
    EMPTY_FILE = "SKIP-3", "empty-file", Error, "look for a complete .NEW file beside it before Cyrus opens it: Cyrus takes it for a new, empty database";
    /// The version is 1.
    VERSION = "SKIP-4", "version", Error, "recover it: no other version was ever released, so the field is damaged";
    /// The minor version is 2.
    VERSION_MINOR = "SKIP-5", "version-minor", Warning, "recover it: no release wrote another minor version";
    /// The greatest level is 1 to 20.
    MAXLEVEL = "SKIP-6", "maxlevel", Error, "recover it: Cyrus refuses to open such a file";
    /// The level in use is 1 up to the greatest level.
    CURLEVEL = "SKIP-7", "curlevel", Error, "recover it: Cyrus refuses to open such a file, or finds nothing in it";
    /// No node has more levels than the header says are in use.
    CURLEVEL_LOW = "SKIP-8", "curlevel-low", Warning, "recover it: Cyrus leaves the upper levels of such a file behind when it deletes";
    /// A file without a log holds as many records as its header says.
    LISTSIZE = "SKIP-9", "listsize", Note, "nothing: Cyrus only informs with this number";
    /// The log starts where the header says.
    LOGSTART = "SKIP-10", "logstart", Error, "recover it: older releases lose everything behind it";
    /// The header says when the file was made or last recovered.
    RECOVERY_DUE = "SKIP-11", "recovery-due", Note, "copy the file first: Cyrus recovers it at the next open, which can erase its log";
    /// The DUMMY node stands at 48 and has exactly maxlevel pointers.
    DUMMY_NODE = "SKIP-12", "dummy-node", Error, "recover it: Cyrus refuses to open such a file";
    /// The file is shorter than 4 GiB.
    FILE_SIZE = "SKIP-13", "file-size", Error, "recover it into a format without that limit: offsets in this one have 32 bits";
    /// The file's length is a multiple of 4.
    ALIGNMENT = "SKIP-14", "alignment", Error, "recover it: Cyrus cuts the last transaction off before its next write";
    /// No zeros stand between records.
    ZEROS_INSIDE = "SKIP-15", "zeros-inside", Error, "recover it: what stood there is lost, what follows it can be kept";
    /// No zeros stand behind the last record.
    ZERO_TAIL = "SKIP-16", "zero-tail", Error, "recover it: Cyrus can neither recover such a file nor write to it";
    /// No record is cut off by the end of the file.
    TORN_RECORD = "SKIP-17", "torn-record", Error, "recover it; whether the record was committed can't be known";
    /// The last transaction is committed.
    UNCOMMITTED = "SKIP-18", "uncommitted", Error, "recover it; use `coroner log` to see what was never committed";
    /// Everything behind the header is something known.
    GARBAGE = "SKIP-19", "garbage", Error, "recover it: Cyrus would cut off everything behind it";
    /// Every node has a terminator behind at most 20 pointers.
    UNTERMINATED = "SKIP-20", "unterminated-record", Error, "recover it: Cyrus would cut off everything behind it";
    /// Lengths of keys and values lie within the file.
    RECORD_LENGTH = "SKIP-21", "record-length", Error, "recover it: Cyrus would cut off everything behind it";
    /// Every record has a key.
    EMPTY_KEY = "SKIP-22", "empty-key", Error, "recover it: Cyrus can't have written such a record";
    /// Keys and values are filled up with zeros.
    FILL = "SKIP-23", "fill", Error, "compare the record with another copy: its lengths or its bytes are not what was written";
    /// INORDER records stand only in front of the log.
    INORDER_IN_LOG = "SKIP-24", "inorder-in-log", Error, "recover it: Cyrus would cut off everything behind it";
    /// Every pointer is 0 or the offset of a record.
    POINTER_TARGET = "SKIP-25", "pointer-target", Error, "recover it: Cyrus reads whatever stands there, or dies";
    /// A record that a pointer of some level leads to has that level.
    POINTER_LEVEL = "SKIP-26", "pointer-level", Error, "recover it: Cyrus reads past that record's pointers";
    /// The keys of level 0 ascend in one of the three orders.
    KEY_ORDER = "SKIP-27", "key-order", Error, "recover it: Cyrus does not find keys that stand out of order";
    /// Every pointer leads to the next live record of its level.
    POINTER_SKIPS = "SKIP-28", "pointer-skips", Error, "recover it: Cyrus misses the records that are left out";
    /// No pointer leads backwards.
    POINTER_BACKWARDS = "SKIP-29", "pointer-backwards", Error, "recover it: Cyrus walks in a circle";
    /// No pointer of level 0 leaves out a live record.
    UNREACHABLE = "SKIP-30", "unreachable", Error, "recover it: Cyrus does not list the records that are left out";
    /// No pointer leads to a record that was deleted or replaced.
    DEAD_LINKED = "SKIP-31", "dead-linked", Error, "recover it: Cyrus lists a record that was deleted or replaced";
    /// No pointer leads to a record that was never committed.
    UNCOMMITTED_LINKED = "SKIP-32", "uncommitted-linked", Error, "recover it: Cyrus lists a record that was never committed";
    /// Every DELETE names the offset of an earlier record.
    DELETE_TARGET = "SKIP-33", "delete-target", Error, "recover it: Cyrus' own recovery can die of such a deletion";
    /// What a DELETE names was live.
    DELETE_DEAD = "SKIP-34", "delete-dead", Error, "look at `coroner log`: two writers, or lost bytes, left this";
    /// The key of an ADD was not live.
    ADD_LIVE = "SKIP-35", "add-live", Error, "look at `coroner log`: two writers, or lost bytes, left this; the later one is taken";
    /// The keys of the INORDER records ascend in the order of the list.
    INORDER_ORDER = "SKIP-36", "inorder-order", Error, "recover it: Cyrus' recovery links these records as they stand, and deletes by key";
}
