//! What a sound LMDB file of Cyrus fulfils: the requirements that FORMAT.md numbers.

crate::rules! {
    /// The file has both metas as a whole.
    META_CUT = "LMDB-1", "meta-cut", Error, "look for another copy of the file";
    /// One of the metas has the magic.
    MAGIC = "LMDB-2", "magic", Error, "recover it: leaves can be read without a meta, stale ones among them";
    /// The file is of a 64-bit little-endian host.
    HOST = "LMDB-3", "host", Error, "dump it with mdb_dump on a host of its own kind, and convert the dump";
    /// Both metas are sound.
    META = "LMDB-4", "meta", Warning, "convert it: the file was copied while it was written to, and the other state is read";
    /// The page size is a power of two from 512 to 32768.
    PAGE_SIZE = "LMDB-5", "page-size", Error, "recover it: the metas are damaged";
    /// The metas are of two transactions, one behind the other.
    TXNID = "LMDB-6", "txnid", Warning, "compare both states: the file was copied while it was written to, or a meta is damaged";
    /// The database is of the kind that Cyrus makes.
    FLAGS = "LMDB-7", "flags", Error, "check what file this is: no Cyrus makes such a database";
    /// The file has all pages that the meta counts.
    MISSING_PAGES = "LMDB-8", "missing-pages", Error, "recover it: the end of the file is lost";
    /// Every page that the tree leads to is there, has its own number and the flags of its level, and is met once.
    TREE = "LMDB-9", "tree", Error, "recover it: the records below this page are lost, older ones may be left";
    /// The pointers of every page lead to nodes in it that share no byte.
    NODES = "LMDB-10", "nodes", Error, "recover it: records of this page can't be found";
    /// Every long value has its overflow pages, and they belong to it alone.
    OVERFLOW = "LMDB-11", "overflow", Error, "recover it: the long value is lost";
    /// Keys ascend, in the order of their bytes or in that of mailboxes.
    ORDER = "LMDB-12", "order", Error, "recover it: lookups miss keys that stand out of order";
    /// No key is there twice.
    DUPLICATE = "LMDB-13", "duplicate-key", Error, "compare the two values: Cyrus uses no duplicates";
    /// There are as many pages and records as the meta counts.
    COUNTS = "LMDB-14", "counts", Error, "recover it, and compare with another copy: records are lost or stale";
    /// No page is both free and in use.
    FREE_IN_USE = "LMDB-15", "free-in-use", Error, "convert the file before anything is written to it: the page would be overwritten";
    /// Keys have at most 511 bytes.
    LONG_KEY = "LMDB-16", "long-key", Warning, "the library stores no such key: the node may be damaged";
    /// The state in front of the current one can be read.
    PREVIOUS = "LMDB-17", "previous-state", Note, "nothing: only the way back to the last transaction is lost";
    /// There are records.
    EMPTY = "LMDB-18", "empty", Warning, "look for another copy, and whether this is the file that Cyrus used";
}
