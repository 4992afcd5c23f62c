//! What a sound record fulfils; the codes of `FORMAT.md`.

crate::rules! {
    /// The value belongs to exactly one family of encodings and reads to its end.
    UNREADABLE = "REC-1", "value-unreadable", Error, "look at its bytes with `coroner hexdump --key`; another server's copy may have it";
    /// Cyrus itself can read the value.
    TOLERATED = "REC-2", "value-bad-format", Error, "re-encode it with `coroner convert` to the same era";
    /// Decoding and encoding gives the same bytes.
    NOT_EXACT = "REC-3", "value-not-canonical", Note, "nothing to do: it means the same, and is rewritten as Cyrus would write it";
    /// No field stands there twice.
    FIELD_TWICE = "REC-4", "field-twice", Warning, "check that the last of them is the right one";
    /// A field has the kind of value that its key promises.
    FIELD_SHAPE = "REC-5", "field-shape", Warning, "compare with another copy of the record";
    /// Numbers are decimal.
    BAD_NUMBER = "REC-6", "number-unreadable", Warning, "compare with another copy of the record";
}
