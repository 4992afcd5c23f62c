//! What a sound SQLite file of Cyrus fulfils: the requirements that FORMAT.md numbers.

crate::rules! {
    /// The file starts with the magic.
    MAGIC = "SQL-1", "magic", Error, "recover it: the pages behind the header can be read without it";
    /// The header is there as a whole.
    HEADER_CUT = "SQL-2", "header-cut", Error, "look for another copy of the file";
    /// The page size is a power of two from 512 to 65536.
    PAGE_SIZE = "SQL-3", "page-size", Error, "recover it: the page size is inferred from the pages";
    /// Text is UTF-8.
    ENCODING = "SQL-4", "encoding", Error, "check what file this is: no Cyrus makes databases of this encoding";
    /// The file has all the pages that its header counts, each as a whole.
    MISSING_PAGES = "SQL-5", "missing-pages", Error, "recover it: the end of the file is lost";
    /// There is a table with the columns dbkey and data.
    NO_TABLE = "SQL-6", "no-table", Error, "recover it if the schema is damaged; otherwise no Cyrus made this file";
    /// The table has these two columns and no other.
    COLUMNS = "SQL-7", "columns", Warning, "check who changed the table: Cyrus' own statements fail on it";
    /// Every page that a tree leads to is one of it, and is met once.
    TREE = "SQL-8", "tree", Error, "recover it: the rows on this page are lost, older ones may be left";
    /// The pointers of every page lead to cells in it that share no byte.
    CELLS = "SQL-9", "cells", Error, "recover it: rows of this page can't be found";
    /// Cells, free blocks and fragments account for every byte behind the first cell.
    FREE_SPACE = "SQL-10", "free-space", Warning, "convert the file before anything is written to it: a new row could overwrite another";
    /// Every row has a key and a value that is text.
    ROW = "SQL-11", "row", Error, "recover it: the row is damaged";
    /// Every long row has its overflow pages, and they belong to it alone.
    OVERFLOW = "SQL-12", "overflow", Error, "recover it: the end of the row is lost";
    /// The numbers of rows ascend.
    ROW_ORDER = "SQL-13", "row-order", Error, "recover it: a page stands in the place of another";
    /// No key is there twice.
    DUPLICATE = "SQL-14", "duplicate-key", Error, "compare the two rows: two processes inserted at once; `coroner recover` keeps the later one";
    /// Every row has data.
    NULL_DATA = "SQL-15", "null-data", Warning, "check where the row comes from: Cyrus stores empty text";
    /// Keys are text.
    BLOB_KEY = "SQL-16", "blob-key", Error, "convert it: a key of bytes never equals Cyrus' text, so Cyrus does not find this row";
    /// No key or value holds an apostrophe.
    APOSTROPHE = "SQL-17", "apostrophe", Warning, "Cyrus' statements on this row fail, and it stores no such row itself";
    /// No row is longer than Cyrus' statements.
    TOO_LONG = "SQL-18", "too-long", Warning, "Cyrus can't change or delete this row: its statements hold 1024 bytes";
    /// The free list has as many pages as the header counts, each of them in no tree.
    FREE_LIST = "SQL-19", "free-list", Error, "convert the file before anything is written to it: pages in use would be overwritten";
    /// Every page is in a tree or on the free list.
    UNUSED_PAGE = "SQL-20", "unused-page", Warning, "look at `coroner hexdump`: a tree may have lost the page";
    /// No rollback journal is there.
    JOURNAL = "SQL-21", "journal", Error, "the last transaction was cut short: open a copy of both files with sqlite3, which rolls it back, and examine that";
    /// No write-ahead log is there.
    WAL = "SQL-22", "write-ahead-log", Error, "the newest rows may be only there: open a copy of both files with sqlite3, which takes them over, and examine that";
    /// There are rows.
    EMPTY = "SQL-23", "empty", Warning, "look for another copy, and whether this is the file that Cyrus used";
}
