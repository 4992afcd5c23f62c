//! What a sound Berkeley DB file of Cyrus fulfils: the requirements that FORMAT.md numbers.

crate::rules! {
    /// Page 0 holds the magic of a btree or a hash table.
    MAGIC = "BDB-1", "magic", Error, "recover it: the pages behind page 0 can be read without it";
    /// Page 0 is there as a whole.
    HEADER_CUT = "BDB-2", "header-cut", Error, "look for a backup, or for log files that begin with log.0000000001";
    /// The version is one whose pages are known: 6 to 10 for btree, 5 to 10 for hash.
    VERSION = "BDB-3", "version", Error, "compare with what db_dump prints of a copy: the pages may be laid out otherwise";
    /// The page size is a power of two from 512 to 65536.
    PAGE_SIZE = "BDB-4", "page-size", Error, "recover it: the page size is inferred from the pages";
    /// The type of page 0 agrees with its magic.
    META_TYPE = "BDB-5", "metadata-type", Error, "recover it: page 0 is damaged";
    /// Nothing is encrypted.
    ENCRYPTED = "BDB-6", "encrypted", Error, "no Cyrus encrypts its databases: check what file this is";
    /// The file consists of whole pages.
    TORN_PAGE = "BDB-7", "torn-page", Error, "recover it: what the last page held at its end is lost";
    /// The file has all the pages that page 0 counts.
    MISSING_PAGES = "BDB-8", "missing-pages", Error, "recover it: the end of the file is lost";
    /// Every page carries its own number.
    PAGE_NUMBER = "BDB-9", "page-number", Error, "recover it: another page, or foreign data, was written here";
    /// Every page is of a type that the access method has.
    PAGE_TYPE = "BDB-10", "page-type", Error, "recover it: the page is damaged";
    /// Every sum is right.
    SUM = "BDB-11", "sum", Error, "recover it, and compare the records of this page with another copy";
    /// Every index fits into its page, and its items stand behind it.
    INDEX = "BDB-12", "index", Error, "recover it: items of this page can't be found";
    /// Every item is of a known type.
    ITEM_TYPE = "BDB-13", "item-type", Error, "recover it: the item is damaged";
    /// Every key has a value.
    ODD_ITEMS = "BDB-14", "odd-items", Error, "recover it: a key of this page has lost its value, or a value its key";
    /// Items leave no bytes between them but to align the next.
    UNREFERENCED = "BDB-15", "unreferenced", Warning, "look at the bytes with `coroner hexdump`: a record may have lost its place in the index";
    /// Every chain of overflow pages is complete, and belongs to one item.
    OVERFLOW = "BDB-16", "overflow", Error, "recover it: the long value is lost or cut off";
    /// The tree above the leaves leads to pages of the level below, each once.
    TREE = "BDB-17", "tree", Error, "recover it: Cyrus does not find what stands below";
    /// The chain of leaves goes through the leaves of the tree, in the tree's order, and back.
    LEAF_CHAIN = "BDB-18", "leaf-chain", Error, "recover it: Cyrus does not list the records behind";
    /// Every page with records is in the chain of leaves, or in that of a bucket.
    UNREACHABLE = "BDB-19", "unreachable", Error, "recover it: Cyrus does not see the records of this page";
    /// The keys of a btree ascend, in the order of their bytes or in that of mailboxes.
    ORDER = "BDB-20", "order", Error, "recover it: Cyrus does not find keys that stand out of order";
    /// No key is there twice.
    DUPLICATE = "BDB-21", "duplicate-key", Error, "compare the two values; Cyrus uses no duplicates";
    /// Every bucket of a hash table starts at a page of it.
    BUCKET = "BDB-22", "bucket", Error, "recover it: Cyrus finds no record of this bucket";
    /// The free list leads through unused pages and ends.
    FREE_LIST = "BDB-23", "free-list", Warning, "convert the file before Cyrus writes to it: it would use these pages again";
    /// There are records.
    EMPTY = "BDB-24", "empty", Error, "do NOT take it for empty: before a checkpoint all content is only in log.0000000001 and later files; put them beside it, or run db_recover on a copy";
    /// What the log files beside it hold is in the pages too.
    LOG_AHEAD = "BDB-25", "log-ahead", Warning, "give the log files along whenever the database is read: committed changes are only there, and are taken from them";
    /// Nothing is marked deleted and kept in its place.
    DELETED_ITEMS = "BDB-26", "deleted-items", Note, "usual when a cursor stood on it; `coroner recover` lists what can still be read";
    /// All of the log is understood.
    LOG_UNREAD = "BDB-27", "log-unread", Error, "the newest records may be only in the log: run db_recover on a copy of the environment, or dump the list on the old host";
}
