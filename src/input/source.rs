//! A user's file, opened: its bytes, its lock, and the format to read it as.

use std::fs::Metadata;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Options;
use super::beside;
use super::gate::plain;
use super::held::Held;
use crate::failure::Failure;
use crate::formats::container::{self, Database, Detection, Format, KeyOrder, zeroskip};
use crate::formats::image::{Image, Parts};
use crate::render::text::printable;

enum Bytes {
    Held(Arc<Held>),
    Stdin(Image),
    /// The files of a folder.
    Folder(Files),
}

/// Files that belong together.
type Files = Vec<(PathBuf, Arc<Held>)>;

/// An opened file. Its lock, if any, lasts as long as it lives.
pub struct Source {
    path: PathBuf,
    bytes: Bytes,
    /// Files that hold what this one may lack.
    beside: Files,
    detection: Detection,
    format: Option<Format>,
    order: Option<KeyOrder>,
    at: Option<u64>,
}

impl Source {
    /// Opens the file at `path`; `-` reads standard input to its end.
    ///
    /// A file of zero bytes opens, without a [format](Source::format): Cyrus takes it for a new database.
    ///
    /// # Errors
    /// Whatever is no regular file, cannot be read or locked, or is no database.
    pub fn open(path: &Path, options: &Options) -> Result<Source, Failure> {
        let bytes = if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Failure::file(path, plain(error), "check what is piped into it"))?;
            Bytes::Stdin(Image::from(bytes))
        } else if let Some(files) = beside::folder(path) {
            Bytes::Folder(hold(&files, options)?)
        } else {
            Bytes::Held(Held::open(path, options)?)
        };
        let detection = container::detect_named(bytes_of(&bytes), path);
        let mut source = Source {
            path: path.to_owned(),
            bytes,
            beside: Vec::new(),
            detection,
            format: None,
            order: options.order,
            at: options.at,
        };
        if !source.is_empty() {
            source.format = Some(source.choose(options.format)?);
        }
        source.beside = hold(&source.belonging(), options)?;
        Ok(source)
    }

    /// Files beside this one that belong to it.
    fn belonging(&self) -> Vec<PathBuf> {
        match (&self.bytes, self.format) {
            (Bytes::Held(_), Some(format)) => beside::files(&self.path, format),
            _ => Vec::new(),
        }
    }

    /// The format to read it as: the forced one unless the file is certainly something else, or the one it looks like.
    fn choose(&self, forced: Option<Format>) -> Result<Format, Failure> {
        let evidence = &self.detection.evidence;
        let looks = self.detection.format;
        let Some(format) = forced.or(looks) else {
            let what = format!("not a mailbox list: it looks like {evidence}");
            return Err(Failure::file(&self.path, what, "name a mailboxes.db, or force a format with --as FORMAT"));
        };
        let wrong = |next: String| {
            let what = format!("not {}: it looks like {evidence}", article(format));
            Err(Failure::file(&self.path, what, next))
        };
        match looks {
            Some(other) if other != format && (self.detection.certain || is_text(other) != is_text(format)) => {
                wrong(format!("leave out --as, or use --as {other}"))
            }
            None if self.detection.certain => wrong("name a mailboxes.db".into()),
            _ => Ok(format),
        }
    }

    /// The path as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as it is printed in messages.
    pub fn name(&self) -> String {
        printable(self.path.as_os_str().as_encoded_bytes())
    }

    /// All files of the database, in one space of offsets.
    pub fn parts(&self) -> Parts<'_> {
        let mut parts = match &self.bytes {
            Bytes::Folder(files) => return zeroskip::gather(named(files).collect()),
            Bytes::Held(held) => Parts::one(&held.image),
            Bytes::Stdin(image) => Parts::one(image),
        };
        named(&self.beside).for_each(|(name, bytes)| parts.push(name, bytes));
        parts
    }

    /// Digest of all its files.
    pub fn blake3(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for part in self.parts().iter() {
            hasher.update(part.bytes);
        }
        *hasher.finalize().as_bytes()
    }

    /// Number of bytes of all its files.
    pub fn len(&self) -> u64 {
        self.parts().len()
    }

    /// What the system says of the file; `None` for standard input.
    pub fn metadata(&self) -> Option<Metadata> {
        match &self.bytes {
            Bytes::Held(held) => held.metadata(),
            Bytes::Stdin(_) | Bytes::Folder(_) => None,
        }
    }

    /// Whether the file has no bytes at all.
    pub fn is_empty(&self) -> bool {
        bytes_of(&self.bytes).is_empty()
    }

    /// The transaction after which to read the file's state, if not the last.
    pub fn at(&self) -> Option<u64> {
        self.at
    }

    /// That the file has no transaction of that number.
    pub fn has_no_transaction(&self, number: u64) -> Failure {
        Failure::file(&self.path, format!("has no transaction {number}"), "`coroner log` lists those it has")
    }

    /// What it looks like.
    pub fn detection(&self) -> &Detection {
        &self.detection
    }

    /// The format it is read as; `None` for a file of zero bytes.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The database in it; `None` for a file of zero bytes.
    pub fn database(&self) -> Option<Box<dyn Database<'_> + '_>> {
        self.format.map(|format| container::open_parts(self.parts(), format))
    }

    /// The order that the user says the keys stand in.
    pub fn forced_order(&self) -> Option<KeyOrder> {
        self.order
    }

    /// The order to read `database` in: the forced one, or the one that fits its keys.
    pub fn order(&self, database: &dyn Database<'_>) -> KeyOrder {
        self.order.unwrap_or_else(|| database.order().best(usual_order(database.format())))
    }

    /// A file that Cyrus was writing to take this one's place, if it is there: `mailboxes.db.NEW`.
    pub fn successor(&self) -> Option<PathBuf> {
        let mut name = self.path.clone().into_os_string();
        name.push(".NEW");
        let path = PathBuf::from(name);
        (matches!(self.bytes, Bytes::Held(_)) && path.exists()).then_some(path)
    }

    /// Whether the locked file is still the one at `path`; standard input and folders never are.
    ///
    /// # Errors
    /// When nothing, or no regular file, is there any more.
    pub fn is_at(&self, path: &Path) -> Result<bool, Failure> {
        match &self.bytes {
            Bytes::Held(held) => held.is_at(path),
            Bytes::Stdin(_) | Bytes::Folder(_) => Ok(false),
        }
    }

    /// Checks, when the work is done, that the file did not change meanwhile.
    ///
    /// # Errors
    /// If its length, time of modification or inode is another than at opening.
    pub fn still(&self) -> Result<(), Failure> {
        let files: &[(PathBuf, Arc<Held>)] = match &self.bytes {
            Bytes::Held(held) => {
                held.still(&self.path)?;
                &self.beside
            }
            Bytes::Folder(files) => files,
            Bytes::Stdin(_) => &[],
        };
        files.iter().try_for_each(|(path, held)| held.still(path))
    }
}

/// Opens files that belong together.
fn hold(paths: &[PathBuf], options: &Options) -> Result<Files, Failure> {
    paths.iter().map(|path| Ok((path.clone(), Held::open(path, options)?))).collect()
}

/// Files with their names.
fn named(files: &Files) -> impl Iterator<Item = (String, &[u8])> {
    files.iter().map(|(path, held)| (beside::name(path), &held.image[..]))
}

/// The bytes that tell what it is: of a folder, those of the first file that holds data.
fn bytes_of(bytes: &Bytes) -> &[u8] {
    match bytes {
        Bytes::Held(held) => &held.image,
        Bytes::Stdin(image) => image,
        Bytes::Folder(files) => {
            let data = named(files).find(|(name, bytes)| name != zeroskip::DOT_NAME && !bytes.is_empty());
            data.map_or(&[], |(_, bytes)| bytes)
        }
    }
}

/// The order a format's keys stand in on most servers (see [`KeyOrder`]).
pub fn usual_order(format: Format) -> KeyOrder {
    match format {
        Format::Skiplist => KeyOrder::Signed,
        Format::Flat => KeyOrder::Mbox,
        _ => KeyOrder::Unsigned,
    }
}

fn is_text(format: Format) -> bool {
    format == Format::Flat || format.is_dump()
}

fn article(format: Format) -> String {
    match format {
        Format::Show => "what `cyr_dbtool … show` prints".into(),
        Format::Json | Format::Text => format!("a dump of ctl_mboxlist ({format})"),
        Format::Lmdb | Format::Sql => format!("an {format} file"),
        _ => format!("a {format} file"),
    }
}
