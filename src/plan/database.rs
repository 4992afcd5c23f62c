//! Writes a database file: whole, read back and compared before it gets its name.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::ledger;
use super::safe_file::SafeFile;
use crate::failure::Failure;
use crate::formats::container::{self, Depth, Format, KeyOrder, Pair, WriteError, WriteOptions, Written, flat};
use crate::formats::finding::Severity;
use crate::formats::image::Image;
use crate::input::usual_order;

/// Where a database goes.
#[derive(Clone, Copy)]
pub struct Target<'t> {
    /// The file to write.
    pub path: &'t Path,
    /// Whether a file of that name may be replaced.
    pub overwrite: bool,
    /// The file whose permissions and owner it takes.
    pub like: Option<&'t Metadata>,
}

/// The order that Cyrus 3.6 and later reads files of a format in, on most hosts.
pub fn target_order(format: Format, wanted: Option<KeyOrder>) -> KeyOrder {
    match format {
        Format::Flat => KeyOrder::Mbox,
        Format::Twom => KeyOrder::Unsigned,
        other => wanted.unwrap_or(usual_order(other)),
    }
}

/// The options for a file of `format` that holds `records`, written now.
///
/// A skiplist header gives the time as its last recovery; `SOURCE_DATE_EPOCH` in the environment sets it, for files
/// that must come out the same again.
pub fn options<R: Pair>(format: Format, order: KeyOrder, records: impl IntoIterator<Item = R>) -> WriteOptions {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = u32::try_from(given.unwrap_or_else(now)).unwrap_or(u32::MAX);
    let style = if format == Format::Flat { FlatNeed::of(records).style() } else { flat::Style::Escaped };
    WriteOptions { order, time, style }
}

/// What the bytes of records ask of a flat file, the most last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FlatNeed {
    /// Nothing: no style changes them.
    Nothing,
    /// Text values of 2.4 and older hold TABs, which those releases read only raw and later ones read both ways; so they
    /// are written raw, unless some byte can't be.
    Tabs,
    /// A byte that only an escape stands for.
    Escapes,
}

impl FlatNeed {
    /// What some records ask for.
    pub fn of<R: Pair>(records: impl IntoIterator<Item = R>) -> Self {
        let mut need = FlatNeed::Nothing;
        for record in records {
            let (key, value) = (record.key(), record.value());
            if holds(key, unwritable) || holds(value, unwritable) {
                return FlatNeed::Escapes;
            }
            if holds(value, |byte| byte == b'\t') {
                need = FlatNeed::Tabs;
            }
        }
        need
    }

    /// The style that meets it.
    pub fn style(self) -> flat::Style {
        if self == FlatNeed::Tabs { flat::Style::Raw } else { flat::Style::Escaped }
    }
}

/// Whether some byte is one of those. Without an early end the compiler looks at many at once.
fn holds(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(false, |found, &byte| found | wanted(byte))
}

/// Whether a flat file can hold a byte only as an escape.
#[inline]
pub fn unwritable(byte: u8) -> bool {
    matches!(byte, 0 | b'\r' | b'\n' | 0xFF)
}

/// Writes `records`, which stand in the order of `options`, as a new file.
///
/// The encoder decodes what it made and holds it against the records; what is read back is held against what it made. That it
/// is sound is shown of a large file by what the encoder saw, of another one as of a file that came from somewhere else.
///
/// # Errors
/// When the format can't hold a record, when a system call fails, or when what is read back is not what was written. The
/// target is then as it was.
pub fn write<R: Pair + Send>(
    target: Target<'_>,
    format: Format,
    records: impl IntoIterator<Item = R>,
    options: &WriteOptions,
) -> Result<Written, Failure> {
    prepare(target, format, records, options)?.appear()
}

/// A database that is written, read back and found right, and has no name yet.
pub struct Prepared {
    safe: SafeFile,
    written: Written,
    given: Option<String>,
}

impl Prepared {
    /// The file, to be read.
    pub fn file(&self) -> &File {
        self.safe.file()
    }

    /// What was written.
    pub fn written(&self) -> Written {
        self.written
    }

    /// What a record says, as it was given, that whoever reads the file takes for damage.
    pub fn given(&self) -> Option<&str> {
        self.given.as_deref()
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// As of [`SafeFile::appear`].
    pub fn appear(self) -> Result<Written, Failure> {
        self.safe.appear()?;
        Ok(self.written)
    }
}

/// Writes `records` as [`write()`] does, all but giving the file its name.
///
/// # Errors
/// As of [`write()`].
pub fn prepare<R: Pair + Send>(
    target: Target<'_>,
    format: Format,
    records: impl IntoIterator<Item = R>,
    options: &WriteOptions,
) -> Result<Prepared, Failure> {
    let safe = SafeFile::create(target.path, target.overwrite)?;
    if let Some(source) = target.like {
        safe.take_after(source)?;
    }
    let (written, ledger) = ledger::write(safe.file(), |out| container::write_proving(out, format, records, options));
    let (written, proof) = written.map_err(|error| {
        let next = match &error {
            // The system's word; what a format can't hold is invalid input.
            WriteError::Io(error) if error.kind() != ErrorKind::InvalidInput => {
                "nothing was written: make room there, or name another place with -o"
            }
            _ => "nothing was written: try another format with --to",
        };
        Failure::file(target.path, error, next)
    })?;
    let proof = proof.filter(|_| ledger.is_large());
    let mut given = None;
    safe.check(|file| {
        if ledger.read_back(file, proof)? != Some(written.records) {
            given = verify(file, format)?;
        }
        Ok(())
    })?;
    Ok(Prepared { safe, written, given })
}

/// Verifies a written file. What is wrong with it is an error; what is wrong with the records that it was given, the answer:
/// the encoder saw each line of a flat file read as the record it was made of.
fn verify(file: &File, format: Format) -> Result<Option<String>, String> {
    let image = Image::open(file).map_err(|error| error.to_string())?;
    if image.is_empty() && format == Format::Flat {
        return Ok(None);
    }
    let (mut wrong, mut given) = (None, None);
    container::open(&image, format).verify(Depth::Structure, &mut |finding| {
        let found = if flat::rules::OF_CONTENT.contains(&finding.rule) { &mut given } else { &mut wrong };
        if finding.severity() > Severity::Note {
            found.get_or_insert_with(|| format!("{}: {}", finding.rule.code, finding.message));
        }
    });
    wrong.map_or(Ok(given), Err)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use bstr::ByteSlice;

    use super::*;

    #[test]
    fn what_records_say_keeps_no_file_from_being_written() {
        let values: [&[u8]; 7] = [
            b"%(T e))",
            b"0 ",
            b"0 p a",
            b"default\tanna\tlrs\t",
            b"0 p a\tuser.x\t0 p b\tlrs\t",
            b"0 p a\tlrs\t ",
            b"\xFF",
        ];
        let records =
            values.map(|value| (&b"user.a"[..], value)).into_iter().chain([(&b"user\x01.a"[..], &b"0 p a\tlrs\t"[..])]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.db");
        for (key, value) in records {
            for format in [Format::Skiplist, Format::Twoskip, Format::Twom, Format::Flat] {
                for style in [flat::Style::Raw, flat::Style::Escaped] {
                    let options = WriteOptions { style, ..options(format, target_order(format, None), [(key, value)]) };
                    let target = Target { path: &path, overwrite: true, like: None };
                    let prepared = prepare(target, format, [(key, value)], &options).unwrap();
                    let told = prepared.given().is_some();
                    let shows = format == Format::Flat && (told || style == flat::Style::Raw);
                    assert_eq!(told, shows, "{format}, {style:?}, {}", value.escape_ascii());
                    prepared.appear().unwrap();
                    let image = Image::open(&File::open(&path).unwrap()).unwrap();
                    let record = container::open(&image, format).view(options.order, 1).get(key).unwrap();
                    assert_eq!(record.value, value, "{format}, {style:?}");
                }
            }
        }
    }

    #[test]
    fn a_written_file_that_is_not_sound_is_refused() {
        let records =
            [("Nuser\x1Fa", "%(T e P default M 1 A %(a l))"), ("Nuser\x1Fb", "%(T e P default M 1 A %(b l))")];
        for format in [Format::Skiplist, Format::Twoskip, Format::Twom, Format::Flat] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let options = options(format, target_order(format, None), records);
            container::write(&mut file, format, records, &options).unwrap();
            assert_eq!(verify(file.as_file(), format), Ok(None), "{format}");
            // The second key no longer follows the first one.
            let at = std::fs::read(file.path()).unwrap().rfind("Nuser").unwrap();
            file.as_file().write_all_at(b"\0", at as u64).unwrap();
            assert!(verify(file.as_file(), format).is_err(), "{format}");
        }
    }
}
