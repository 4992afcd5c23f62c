//! The numbered requirements of `FORMAT.md`.

crate::rules! {
    /// The file holds a whole header.
    HEADER_CUT = "TWO-1", "header-cut", Error, "look for a copy; `coroner recover` reads what follows the header, if anything does";
    /// The file starts with the magic.
    MAGIC = "TWO-2", "magic", Error, "check with `coroner inspect` what the file is; `coroner recover` reads past a wrong magic";
    /// The version is 1.
    VERSION = "TWO-3", "version", Error, "if everything else reads well, `coroner recover` writes a sound file";
    /// The header's check sum is right.
    HEADER_CRC = "TWO-4", "header-crc", Error, "Cyrus refuses the file; `coroner recover` finds the committed size from the COMMITs";
    /// No flag but DIRTY is set.
    FLAGS = "TWO-5", "flags", Warning, "write the file anew with `coroner convert`";
    /// DIRTY is clear.
    DIRTY = "TWO-6", "dirty", Warning, "a crash left it; keep a copy before Cyrus opens the file, or use `coroner recover`";
    /// current_size is a multiple of 8, at least 336.
    CURRENT_SIZE = "TWO-7", "current-size", Error, "use `coroner recover`, which takes the committed size from the COMMITs";
    /// The file is at least current_size bytes long.
    FILE_SHORT = "TWO-8", "file-short", Error, "look for a longer copy; keep Cyrus away from this one and use `coroner recover`";
    /// No bytes follow current_size.
    TAIL = "TWO-9", "uncommitted-tail", Warning, "a transaction that never ended: `coroner log` shows it; Cyrus cuts it off at the next open";
    /// No finished transaction follows current_size.
    COMPLETE_TAIL = "TWO-10", "complete-tail", Error, "it is complete on disk but Cyrus would throw it away: `coroner recover --include-uncommitted` keeps it";
    /// What follows current_size starts there.
    STALE_TAIL = "TWO-11", "stale-tail", Warning, "bytes of another file or an older generation: `coroner log` shows them; Cyrus cuts them off";
    /// repack_size is a multiple of 8 between 336 and current_size.
    REPACK_SIZE = "TWO-12", "repack-size", Warning, "cosmetic; the next repack puts it right";
    /// The generation is at least 1.
    GENERATION = "TWO-13", "generation", Warning, "cosmetic; the next repack counts on from it";
    /// A DUMMY record of level 31 with the right check sum stands at 64.
    DUMMY = "TWO-14", "dummy", Error, "no record can be found by pointers; `coroner recover` reads the records in file order";
    /// crc_head of a live record is right.
    LIVE_HEAD = "TWO-15", "live-head-crc", Error, "Cyrus stops reading here; `coroner recover` keeps the record if its tail proves it";
    /// crc_head of a dead record or a COMMIT is right.
    DEAD_HEAD = "TWO-16", "dead-head-crc", Warning, "history only; write the file anew with `coroner convert`";
    /// crc_tail of a live record is right.
    LIVE_TAIL = "TWO-17", "live-tail-crc", Error, "key or value is not what was written: `coroner log --key` and other copies may have it";
    /// crc_tail of a dead record, a DELETE or a COMMIT is right.
    DEAD_TAIL = "TWO-18", "dead-tail-crc", Warning, "history only; write the file anew with `coroner convert`";
    /// Every item can be read.
    GAP = "TWO-19", "unreadable", Error, "records are lost here: use `coroner recover`, with other copies as `--witness`";
    /// There are no zeros between items.
    ZEROS = "TWO-20", "zeros", Error, "a lost page: use `coroner recover`, with other copies as `--witness`";
    /// The file does not end inside a record.
    TORN = "TWO-21", "torn", Error, "look for a longer copy; `coroner recover` keeps what stands in front of it";
    /// The bytes that fill a record up to a multiple of 8 are zeros.
    PADDING = "TWO-22", "padding", Warning, "not written by Cyrus; write the file anew with `coroner convert`";
    /// Keys have at least one byte.
    EMPTY_KEY = "TWO-23", "empty-key", Error, "Cyrus dies on it: use `coroner recover`";
    /// A COMMIT names the end of the COMMIT before it.
    COMMIT_START = "TWO-24", "commit-start", Error, "transactions are lost, overwritten or moved between the two: see `coroner log`";
    /// current_size is the end of a COMMIT, or 336.
    LAST_COMMIT = "TWO-25", "last-commit", Error, "current_size is not where a transaction ended: use `coroner recover`";
    /// Level-0 pointers lead to a record or a DELETE.
    BROKEN_LINK = "TWO-26", "broken-link", Error, "Cyrus cannot read on from here; `coroner recover` reads the records in file order";
    /// No pointer of a clean file leads behind current_size.
    BEYOND = "TWO-27", "pointer-beyond", Error, "use `coroner recover`";
    /// Each upper pointer leads to the next record of its level.
    UPPER_LINK = "TWO-28", "upper-link", Error, "Cyrus may miss keys that are there: use `coroner recover` or `coroner convert`";
    /// The upper pointers of a clean file were not left halfway.
    UNRECOVERED = "TWO-29", "unrecovered-pointers", Warning, "left by an unfinished transaction; Cyrus puts them right when it opens the file";
    /// Keys ascend bytewise, or by the mbox comparator.
    ORDER = "TWO-30", "order", Error, "lookups fail: `coroner recover` writes the records in order";
    /// Keys ascend bytewise.
    MBOX_ORDER = "TWO-31", "mbox-order", Note, "right for improved_mboxlist_sort before 3.6; for 3.6 and later convert with `--order unsigned`";
    /// The two level-0 pointers of a record differ, or are both 0.
    EQUAL_POINTERS = "TWO-32", "equal-pointers", Warning, "not written by Cyrus; write the file anew with `coroner convert`";
    /// Every record that the log leaves live is reached by pointers.
    UNREACHED = "TWO-33", "unreached", Error, "Cyrus does not see these records: use `coroner recover`";
    /// No record that the log says is dead is reached by pointers.
    UNDEAD = "TWO-34", "undead", Error, "Cyrus shows records that were replaced or deleted: use `coroner recover`";
    /// num_records is the number of live records.
    NUM_RECORDS = "TWO-35", "num-records", Warning, "Cyrus calls the file inconsistent and never repacks it; `coroner convert` writes it anew";
    /// A DELETE, its crc_head being right, names the record that follows the deleted one, or 0 at the end of the list.
    DELETE_NEXT = "TWO-36", "delete-next", Error, "what was deleted cannot be said for sure: see `coroner log`";
    /// A file larger than a repack allows was repacked at least once.
    RESCUED = "TWO-37", "maybe-rescued", Note, "a conversion, or Cyrus' second recovery, which brings back deleted keys and loses their successors: compare with other copies";
    /// The file is not mainly made of dead records.
    NEVER_REPACKED = "TWO-38", "never-repacked", Note, "2.5.x repacks too rarely; `coroner convert` writes it anew";
    /// The level-0 pointer that is not in use leads to a record or a DELETE, or is 0.
    IDLE_POINTER = "TWO-39", "idle-pointer", Warning, "a crash could bring it into use; write the file anew with `coroner convert`";
}
