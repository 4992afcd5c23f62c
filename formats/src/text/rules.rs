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
}
