//! What a sound twom file fulfils: the requirements that FORMAT.md numbers.

crate::rules! {
    /// The file is not empty.
    EMPTY_FILE = "TWOM-1", "empty-file", Error, "look for a complete .NEW file beside it before Cyrus opens it: Cyrus takes it for a new, empty database";
    /// The header and the DUMMY record are there as a whole.
    HEADER_CUT = "TWOM-2", "header-cut", Error, "look for a backup or another server's copy: too little is left of this one";
    /// The file starts with the magic.
    MAGIC = "TWOM-3", "magic", Error, "recover it: everything behind the header can be read without it";
    /// The version is 1.
    VERSION = "TWOM-4", "version", Error, "recover it: no other version was ever released, so the field is damaged";
    /// The header's sum is right.
    HEADER_SUM = "TWOM-5", "header-sum", Error, "recover it: Cyrus refuses the file; the committed size is found from the COMMITs";
    /// No flag is set that is not known.
    FLAGS = "TWOM-6", "flags", Warning, "write the file anew with `coroner convert`";
    /// Sums and order are those that Cyrus can make.
    FOREIGN = "TWOM-7", "foreign", Error, "recover it with `--order`: Cyrus refuses to open such a file; the program that wrote it can dump it";
    /// Sums can be checked.
    UNSUMMED = "TWOM-8", "unsummed", Note, "compare with another copy: changed bytes of a key or a value can't be told from right ones";
    /// DIRTY is clear.
    DIRTY = "TWOM-9", "dirty", Warning, "copy the file before Cyrus writes to it; reading is safe, and its next write mends the pointers";
    /// The generation is at least 1.
    GENERATION = "TWOM-10", "generation", Warning, "write the file anew with `coroner convert`";
    /// current_size is a multiple of 8 and not less than 368.
    CURRENT_SIZE = "TWOM-11", "current-size", Error, "recover it: the committed size is found from the COMMITs";
    /// The file is at least current_size bytes long.
    FILE_SHORT = "TWOM-12", "file-short", Error, "look for a longer copy; keep Cyrus away from this one, it dies of it, and recover what is there";
    /// current_size is where a COMMIT ends, or 368.
    LAST_COMMIT = "TWOM-13", "last-commit", Error, "recover it: the end of the last transaction is lost or overwritten";
    /// repack_size is a multiple of 8 from 368 up to current_size.
    REPACK_SIZE = "TWOM-14", "repack-size", Warning, "write the file anew with `coroner convert`";
    /// The file's length is one that Cyrus makes: 368, or a multiple of 16384.
    GROWTH = "TWOM-15", "growth", Note, "nothing: Cyrus reads and writes such a file; it was cut or lengthened by something else";
    /// The DUMMY record stands at 96, and its sum is right.
    DUMMY = "TWOM-16", "dummy", Error, "recover it: the records are read in file order";
    /// maxlevel is 31 at most, and no record has a higher level.
    MAXLEVEL = "TWOM-17", "maxlevel", Warning, "write the file anew with `coroner convert`";
    /// The sum of a record's head is right.
    HEAD_SUM = "TWOM-18", "head-sum", Error, "recover it: Cyrus stops reading here; key and value are kept if the tail proves them";
    /// The sum of a record's tail is right.
    TAIL_SUM = "TWOM-19", "tail-sum", Error, "recover it, with other copies as `--witness`: Cyrus stops reading here; `coroner log --key` shows older values";
    /// The length of a key is the whole length.
    LONG_KEY = "TWOM-20", "long-key", Error, "recover it: the whole key can be read, and is written with a long length";
    /// Everything in the committed part is something known.
    GAP = "TWOM-21", "unreadable", Error, "recover it, with other copies as `--witness`: what stood there is lost";
    /// No zeros stand between items.
    ZEROS = "TWOM-22", "zeros", Error, "recover it, with other copies as `--witness`: a page of the file is lost";
    /// The file does not end inside a committed record.
    TORN = "TWOM-23", "torn", Error, "look for a longer copy; recover it: what stands in front is kept";
    /// One NUL follows the key and one the value, zeros fill the rest, and what has no tail has no sum of one.
    FILL = "TWOM-24", "fill", Error, "compare the record with another copy: its lengths or its bytes are not what was written";
    /// Every record has a key.
    EMPTY_KEY = "TWOM-25", "empty-key", Error, "recover it: Cyrus can't have written such a record";
    /// Long lengths stand only where short ones do not do.
    FAT = "TWOM-26", "fat-form", Warning, "nothing for Cyrus, which reads it; it did not write it";
    /// A COMMIT names the end of the COMMIT in front of it.
    COMMIT_START = "TWOM-27", "commit-start", Error, "look at `coroner log`: transactions are lost or overwritten between the two";
    /// An ancestor is the offset of an earlier record, for a REPLACE also of a DELETE.
    ANCESTOR = "TWOM-28", "ancestor", Error, "recover it: what was replaced or deleted can't be known";
    /// An ancestor has the same key.
    ANCESTOR_KEY = "TWOM-29", "ancestor-key", Error, "recover it: Cyrus calls the file inconsistent and does not repack it";
    /// An ancestor has the same level.
    ANCESTOR_LEVEL = "TWOM-30", "ancestor-level", Warning, "write the file anew with `coroner convert`";
    /// Only one record or deletion names the same ancestor.
    ANCESTOR_TWICE = "TWOM-31", "ancestor-twice", Error, "look at `coroner log`: two writers, or lost bytes, left this; the later one is taken";
    /// Pointer words are 0 or offsets at which an item can stand.
    POINTER_WORD = "TWOM-32", "pointer-word", Error, "recover it: Cyrus reads whatever stands there";
    /// No pointer of a clean file leads behind current_size.
    FUTURE_POINTER = "TWOM-33", "future-pointer", Warning, "write the file anew with `coroner convert` before Cyrus writes something else there";
    /// Pointers lead to records, those of level 0 also to deletions.
    POINTER_TARGET = "TWOM-34", "pointer-target", Error, "recover it: Cyrus can't read on from here";
    /// A record that a pointer of some level leads to has that level.
    POINTER_LEVEL = "TWOM-35", "pointer-level", Error, "recover it: Cyrus reads past that record's pointers";
    /// Keys ascend bytewise along level 0.
    KEY_ORDER = "TWOM-36", "key-order", Error, "recover it: Cyrus does not find keys that stand out of order";
    /// Every upper pointer leads to the next record of its level.
    POINTER_SKIPS = "TWOM-37", "pointer-skips", Error, "recover it: Cyrus can miss keys that are there";
    /// Level 0 leads to the newest version of every key.
    UNREACHABLE = "TWOM-38", "unreachable", Error, "recover it: Cyrus does not see what is left out";
    /// Level 0 leads to no version that has a newer one.
    DEAD_LINKED = "TWOM-39", "dead-linked", Error, "recover it: Cyrus shows a record that was deleted or replaced";
    /// num_records is the number of live records.
    NUM_RECORDS = "TWOM-40", "num-records", Warning, "write the file anew with `coroner convert`: Cyrus calls it inconsistent and does not repack it";
    /// num_commits is the number of COMMITs.
    NUM_COMMITS = "TWOM-41", "num-commits", Warning, "write the file anew with `coroner convert`";
    /// dirty_size is the length of all deletions, and of all records that were deleted or replaced.
    DIRTY_SIZE = "TWOM-42", "dirty-size", Warning, "write the file anew with `coroner convert`: Cyrus calls it inconsistent and does not repack it";
    /// No finished transaction follows current_size.
    DISCARDED = "TWOM-43", "discarded-transaction", Error, "it is complete on disk, but Cyrus overwrites it: `coroner recover --include-uncommitted` keeps it";
    /// Nothing but zeros follows current_size while DIRTY is set.
    UNCOMMITTED = "TWOM-44", "uncommitted", Warning, "a transaction that never ended: `coroner log` shows it until Cyrus overwrites it";
    /// Nothing but zeros follows current_size.
    LEFTOVER = "TWOM-45", "leftover", Note, "nothing: an aborted transaction leaves its records there until others overwrite them";
}
