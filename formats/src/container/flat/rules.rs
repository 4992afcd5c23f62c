//! The requirements of `FORMAT.md`, as rules.

use crate::finding::Rule;

crate::rules! {
    /// The last line ends in LF.
    TORN = "FLAT-1", "torn-line", Error,
        "Cyrus does not read this line; `coroner recover` keeps it if it is whole";
    /// Every line has a TAB.
    NO_TAB = "FLAT-2", "no-tab", Error,
        "Cyrus takes this line for part of the next key; run `coroner recover`";
    /// Every key has at least one byte.
    NO_KEY = "FLAT-3", "empty-key", Error,
        "no Cyrus writes an empty key; `coroner recover` leaves the line out";
    /// Keys ascend in the mbox order of their bytes in the file.
    ORDER = "FLAT-4", "order", Error,
        "Cyrus looks keys up by bisection and does not find all of them; `coroner recover` sorts the file";
    /// No key stands on two lines.
    DUPLICATE = "FLAT-5", "duplicate-key", Error,
        "compare the two values; `coroner recover` keeps the later one";
    /// There is no NUL byte.
    NUL = "FLAT-6", "nul", Error,
        "Cyrus reads nothing from here on; `coroner recover` goes on at the next line";
    /// There is no CR: Cyrus since 2.5 escapes it, and before never had any.
    CARRIAGE_RETURN = "FLAT-7", "carriage-return", Error,
        "the file was edited on another system; `coroner recover` strips CR at line ends";
    /// Every 0xFF is followed by 0x80, 0x89, 0x8A, 0x8D or 0xFF.
    ESCAPE = "FLAT-8", "escape", Warning,
        "a file of Cyrus 2.4 or older may hold such bytes, but 2.5 and later read them as others";
    /// TABs in values are either all raw or all escaped.
    MIXED_STYLE = "FLAT-9", "mixed-style", Note,
        "usual after an upgrade from 2.4; `coroner convert --to flat` writes one style";
    /// It does not begin with another engine's magic.
    FOREIGN_MAGIC = "FLAT-10", "foreign-magic", Error,
        "leave out `--as flat`: the file is another engine's";
    /// Numbered values hold raw TABs.
    ESCAPED_ACL = "FLAT-11", "escaped-acl", Note,
        "Cyrus 2.4 and older read no rights from such lines; convert the file before a downgrade";
    /// Values have a type.
    DUMP_LINES = "FLAT-12", "dump-lines", Warning,
        "the lines are those of `ctl_mboxlist -d` up to 2.2, or of Cyrus 1.5: read it with `--as text` and convert it";
    /// A line holds one record.
    GLUED = "FLAT-13", "glued-lines", Error,
        "Cyrus reads two records as one; `coroner recover` parts them where that is certain";
    /// It is smaller than 2 GiB.
    TOO_LARGE = "FLAT-14", "too-large", Warning,
        "Cyrus finds nothing behind the first 2 GiB; convert the file to twoskip";
    /// Nothing stands behind a value.
    TRAILING_BLANKS = "FLAT-15", "trailing-blanks", Warning,
        "the file was edited by hand; check the lines around";
    /// Keys hold no control bytes but 0x1D, 0x1E and 0x1F.
    ODD_KEY = "FLAT-16", "odd-key", Error,
        "no Cyrus makes such names; the line may be foreign data, or damaged";
    /// It is not empty.
    EMPTY = "FLAT-17", "empty", Warning,
        "Cyrus takes it for a new database; look for a full `.NEW` file beside it, and for backups";
    /// A value that begins as a record of mailboxes.db goes on like one.
    SPOILT_VALUE = "FLAT-18", "spoilt-value", Error,
        "the line is cut, or parts of others lie in it; `coroner recover` leaves it out";
}

/// Rules that ask what keys and values say. Lines that hold the very records they were made of can break them.
pub static OF_CONTENT: [&Rule; 6] = [&ESCAPE, &DUMP_LINES, &GLUED, &TRAILING_BLANKS, &ODD_KEY, &SPOILT_VALUE];
