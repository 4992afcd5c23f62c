//! What a sound zeroskip directory fulfils: the requirements that FORMAT.md numbers.

crate::rules! {
    /// Every data file begins with the signature.
    SIGNATURE = "ZERO-1", "signature", Error, "recover it: the records behind the header can be read without it";
    /// Every data file has its header as a whole.
    HEADER_CUT = "ZERO-2", "header-cut", Error, "look for another copy of this file";
    /// The version is 1.
    VERSION = "ZERO-3", "version", Error, "recover it: no other version is known, so the field is damaged";
    /// The sum of every header is right.
    HEADER_SUM = "ZERO-4", "header-sum", Error, "recover it, and compare index and identifier with the file's name";
    /// All files are of one host's order of bytes.
    OTHER_HOST = "ZERO-5", "other-host", Warning, "the file moved between hosts of different order of bytes: convert it on this one";
    /// All headers, names and `.zsdb` have one identifier.
    UUID = "ZERO-6", "uuid", Error, "move files of other databases out of a copy of the directory";
    /// Header and name of every file give the same indexes.
    INDEXES = "ZERO-7", "indexes", Error, "compare the records of the file with those of its neighbours: it may have been renamed";
    /// `.zsdb` is there.
    NO_DOT = "ZERO-8", "no-zsdb", Error, "recover it: the active file is known by its name";
    /// `.zsdb` can be read and its sum is right.
    DOT = "ZERO-9", "zsdb", Error, "recover it: the active file is known by its name";
    /// `.zsdb` gives the index of the active file.
    DOT_INDEX = "ZERO-10", "zsdb-index", Error, "look for the file with that index: a writer died while it opened a new one";
    /// The active file is not shorter than `.zsdb` says.
    DOT_OFFSET = "ZERO-11", "zsdb-offset", Error, "recover it: the end of the active file is lost";
    /// There is exactly one active file.
    ACTIVE = "ZERO-12", "active-file", Error, "recover it: with none, the newest changes are missing; with several, two databases were mixed";
    /// The indexes of the files follow each other.
    MISSING_FILE = "ZERO-13", "missing-file", Error, "look for the missing file: its changes are lost, and older versions come back";
    /// No file's indexes lie within those of another.
    OVERLAP = "ZERO-14", "overlap", Warning, "packing was cut short: the complete one of the two is read";
    /// Every record is whole.
    TORN = "ZERO-15", "torn-record", Error, "recover it: what was written last is cut off";
    /// Everything behind a header is something known.
    GARBAGE = "ZERO-16", "garbage", Error, "recover it: what stood there is lost, what follows can be kept";
    /// No zeros stand where records should.
    ZEROS = "ZERO-17", "zeros", Error, "recover it: the file system lost what was written there";
    /// Every key record names the place of its value record.
    VALUE_OFFSET = "ZERO-18", "value-offset", Error, "compare the record with another copy: its head is damaged";
    /// Records are filled up with zeros.
    FILL = "ZERO-19", "fill", Warning, "compare the record with another copy: its length, or its bytes, are not what was written";
    /// Every commit covers whole records that no commit in front of it covers.
    COVERAGE = "ZERO-20", "commit-coverage", Error, "recover it: the commit, or records in front of it, are damaged";
    /// The sum of every commit is right.
    COMMIT_SUM = "ZERO-21", "commit-sum", Error, "compare the records of this transaction with another copy: one of them is damaged";
    /// Everything is committed.
    UNCOMMITTED = "ZERO-22", "uncommitted", Warning, "nothing: a transaction was cut short, and none of it counts";
    /// The keys of a packed file ascend.
    PACKED_ORDER = "ZERO-23", "packed-order", Error, "recover it: lookups in this file miss keys";
    /// A packed file ends with its index, and a right sum.
    PACKED_END = "ZERO-24", "packed-end", Error, "packing was cut short or the file is cut off: the files it was made from are read if they are there";
    /// The index of a packed file names each of its records in order.
    PACKED_INDEX = "ZERO-25", "packed-index", Error, "recover it: lookups in this file miss records";
    /// No lock file is there.
    LOCK = "ZERO-26", "lock-file", Note, "a writer is at work, or died: make sure that none runs before anything is changed";
}
