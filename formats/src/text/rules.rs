//! The requirements of `FORMAT.md`, as rules.

crate::rules! {
    /// The last line ends in LF.
    TORN = "TEXT-1", "torn-line", Error,
        "the dump may be cut there: make it again, or compare the last line with another source";
    /// Every line has the field separator of its grammar.
    NO_TAB = "TEXT-2", "no-tab", Error,
        "the line can't be read; look at it and at the one in front";
    /// Every line has a name.
    NO_NAME = "TEXT-3", "empty-name", Error,
        "the line can't be read; look at it and at the one in front";
    /// No name stands in a dump twice.
    DUPLICATE = "TEXT-4", "duplicate-name", Error,
        "compare the two; loading the dump keeps the later one";
    /// There is no NUL byte.
    NUL = "TEXT-5", "nul", Error,
        "the line can't be read; make the dump again";
    /// There is no CR at line ends.
    CARRIAGE_RETURN = "TEXT-6", "carriage-return", Warning,
        "the dump was edited on another system; coroner reads it without them";
    /// A record takes one line.
    CONTINUED = "TEXT-7", "continued-value", Note,
        "`cyr_dbtool … set` can't read such records back; `coroner convert` can";
    /// A TAB stands between name and value.
    BLANKS = "TEXT-8", "blanks-for-tabs", Warning,
        "TABs were lost in copying; make the dump again, or check the names that coroner made out";
    /// No line is longer than the readers' buffer.
    LONG_LINE = "TEXT-9", "long-line", Warning,
        "Cyrus splits such a line when it loads it; coroner does not";
    /// A line holds one entry.
    GLUED = "TEXT-10", "glued-lines", Error,
        "two lines became one; coroner parts them, check the place where it does";
    /// A type, or a partition and an ACL, follow the name.
    LINE_FORM = "TEXT-11", "line-form", Error,
        "the line can't be read; look at it and at the one in front";
    /// All lines have a type, or none has.
    MIXED_ERAS = "TEXT-12", "mixed-eras", Warning,
        "dumps of different releases were joined; part them and read each for itself";
    /// Missing strings are not printed as `(null)`.
    NULL = "TEXT-13", "null", Note,
        "usual for tombstones of 2.5 to 3.4; loading it makes a partition of that name, which coroner does not";
    /// An ACL consists of pairs, each ended by a TAB.
    ACL_PAIRS = "TEXT-14", "acl-pairs", Warning,
        "the last identifier has no rights: the line may be cut";
    /// The last pair of an ACL, too, is ended by a TAB.
    ACL_END = "TEXT-15", "acl-end", Warning,
        "an editor stripped the last TAB; coroner reads the ACL as if it were there";
    /// A partition has fewer than 64 bytes.
    LONG_PARTITION = "TEXT-16", "long-partition", Warning,
        "`ctl_mboxlist -u` skips the line: partition name too long";
    /// A remote mailbox has a server.
    SERVERS_LOST = "TEXT-17", "servers-lost", Note,
        "`ctl_mboxlist -d` of 2.5 leaves servers out: take them from the master, or from the backends' own dumps";
    /// A mailbox with a server is remote.
    TYPES_LOST = "TEXT-18", "types-lost", Note,
        "releases up to 2.2 lose the types of what they load: a mailbox with a server is remote all the same";
    /// Names are internal names.
    FOREIGN_NAME = "TEXT-19", "foreign-name", Warning,
        "the separator is that of database keys or of IMAP; convert the names before loading them";
    /// Every entry of a JSON dump has a name and an object.
    JSON_EMPTY = "TEXT-20", "json-empty-entry", Error,
        "a mailbox whose name is not UTF-8 is missing, and `ctl_mboxlist -u` loads nothing of this dump: take the mailbox from the database";
    /// A JSON dump ends with its closing bracket.
    JSON_CUT = "TEXT-21", "json-cut", Error,
        "the dump is cut: make it again; coroner reads the entries that are whole";
    /// A JSON dump holds nothing but entries between its brackets.
    JSON_GARBAGE = "TEXT-22", "json-garbage", Error,
        "the bytes can't be read; make the dump again";
    /// A comma parts two entries.
    JSON_COMMA = "TEXT-23", "json-comma", Error,
        "`ctl_mboxlist -u` loads nothing of this dump; coroner reads the entries all the same";
    /// An entry's object is JSON.
    JSON_OBJECT = "TEXT-24", "json-object", Error,
        "`ctl_mboxlist -u` loads nothing of this dump; compare the entry with another source";
    /// An entry has the same name outside and inside of its object.
    JSON_NAME = "TEXT-25", "json-name", Warning,
        "Cyrus takes the name outside; check which one is meant";
    /// Numbers are strings.
    JSON_NUMBER = "TEXT-26", "json-number", Warning,
        "`ctl_mboxlist -u` takes such a number for missing";
    /// Members are those that Cyrus prints, with values of their kind.
    JSON_MEMBER = "TEXT-27", "json-member", Note,
        "Cyrus ignores the member, coroner keeps it";
}
